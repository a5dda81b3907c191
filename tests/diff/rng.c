/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng: values at the edges: zero, one, signs, limits, denormals, infinities, NaNs, neighbours.
 */
#include "rng.h"

unsigned rng_bit(struct rng *g, unsigned mask)
{
	unsigned n = rng_below(g, (unsigned)__builtin_popcount(mask));

	while (n--)
		mask &= mask - 1;
	return (unsigned)__builtin_ctz(mask);
}

u64 rng_int(struct rng *g)
{
	static const u64 edge[] = {
		0,
		1,
		~0ull,
		0x7f,
		0x80,
		0xff,
		0x7fff,
		0x8000,
		0xffff,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x7fffffffffffffffull,
		0x8000000000000000ull,
		0x100000000ull,
		0xffffffff80000000ull,
		0xffffffffffff8000ull,
		0xffffffffffffff80ull,
		0x0f0f0f0f0f0f0f0full,
		0x5555555555555555ull,
		0x99,
		0x9a,
		0x0909,
		2,
		10,
	};
	u64 v = rng_next(g);

	switch (rng_below(g, 10)) {
	case 0:
	case 1: return edge[v % ARRAY_LEN(edge)];
	case 2: return BIT64(v & 63);
	case 3: return BIT64(v & 63) - 1;
	case 4: return v & 63;
	case 5: return (u64)(s64)(s8)v;
	case 6: return (u32)v;
	case 7: return v >> (v & 63);
	default: return v;
	}
}

/* sign, exponent and fraction chosen apart; `top` is the number of exponent bits */
static u64 float_of(struct rng *g, unsigned exp_bits, unsigned frac_bits)
{
	u64 v = rng_next(g), emax = mask64(exp_bits), bias = emax >> 1, exp, frac;

	switch (rng_below(g, 12)) {
	case 0: exp = 0; break;
	case 1: exp = emax; break;
	case 2: exp = 1 + (v & 1); break;
	case 3: exp = emax - 1 - (v & 1); break;
	case 4:
	case 5: exp = bias; break;
	case 6: /* where conversions to integers overflow */ exp = bias + 6 + (v >> 8 & 63); break;
	case 7:
	case 8:
	case 9: exp = bias - 8 + (v >> 8 & 31); break;
	default: exp = v >> 8; break;
	}
	v = rng_next(g);
	switch (rng_below(g, 8)) {
	case 0:
	case 1:
	case 2: frac = 0; break;
	case 3: frac = 1; break;
	case 4: frac = mask64(frac_bits); break;
	case 5: frac = BIT64(frac_bits - 1) | (v & 1); break;
	case 6: frac = v << (v & 31); break;
	default: frac = v; break;
	}
	return (rng_next(g) & 1) << (exp_bits + frac_bits) | (exp & emax) << frac_bits |
	       (frac & mask64(frac_bits));
}

u32 rng_f32(struct rng *g)
{
	return (u32)float_of(g, 8, 23);
}
u64 rng_f64(struct rng *g)
{
	return float_of(g, 11, 52);
}
u16 rng_f16(struct rng *g)
{
	return (u16)float_of(g, 5, 10);
}

void rng_f80(struct rng *g, u8 *out)
{
	u64 frac = float_of(g, 1, 62);
	unsigned se = (unsigned)(float_of(g, 15, 20) >> 20);

	if (rng_one_in(g, 12)) { /* packed decimal */
		for (unsigned i = 0; i < 9; i++)
			out[i] = (u8)(rng_below(g, 10) | rng_below(g, 10) << 4);
		out[9] = (u8)(rng_next(g) & 0x80);
		return;
	}
	/* usually the integer bit fits the exponent; otherwise an unsupported encoding */
	frac &= mask64(63);
	if (rng_one_in(g, 10) ? rng_next(g) & 1 : (se & 0x7fff) != 0)
		frac |= BIT64(63);
	if (rng_one_in(g, 16))
		frac = 0, se &= 0x8000;
	st64(out, frac);
	st16(out + 8, (u16)se);
}

void rng_vector(struct rng *g, u8 *out, unsigned n)
{
	unsigned kind = rng_below(g, 12);

	for (unsigned i = 0; i < n; i += 8) {
		u64 v = rng_next(g);
		switch (kind) {
		case 0:
		case 1:
		case 2: v = rng_f32(g) | (u64)rng_f32(g) << 32; break;
		case 3:
		case 4:
		case 5: v = rng_f64(g); break;
		case 6: v = rng_int(g); break;
		case 7:
			v = rng_f16(g) | (u32)rng_f16(g) << 16 | (u64)rng_f16(g) << 32 |
			    (u64)rng_f16(g) << 48;
			break;
		case 8: /* few different bytes, zeros among them: strings */
			v &= 0x0303030303030303ull;
			break;
		case 9: /* small words */ v &= 0x001f001f001f001full; break;
		case 10: v = v & 1 ? 0 : ~0ull; break;
		default: break;
		}
		st64(out + i, v);
	}
}
