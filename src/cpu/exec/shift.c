/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shift: rotates, shifts, double shifts, and multiplication and division. SDM 2A-2B.
 *
 * Entered from the run loop through the form table.
 */
#include "cpu/exec/body.h"
#include "cpu/flags.h"

static always_inline u64 msb(u64 v, unsigned size)
{
	return v >> (size * 8 - 1) & 1;
}

/* Each takes the operand (zero-extended) and a count already masked to 5 or 6 bits and not 0,
 * returns the result (low `size` bytes count) and sets flags. */
typedef u64 shift_fn(struct cpu *c, unsigned size, u64 a, unsigned n);

static always_inline u64 sh_shl(struct cpu *c, unsigned size, u64 a, unsigned n)
{
	unsigned bits = size * 8;
	u64 r = a << n;
	bool cf = n <= bits && (a >> (bits - n) & 1);
	fl_logic(c, size, r);
	fl_set_cf_of_af(c, cf, msb(r, size) ^ cf, false);
	return r;
}
static always_inline u64 sh_shr(struct cpu *c, unsigned size, u64 a, unsigned n)
{
	u64 r = a >> n;
	bool cf = a >> (n - 1) & 1;
	fl_logic(c, size, r);
	fl_set_cf_of_af(c, cf, msb(a, size), false);
	return r;
}
static always_inline u64 sh_sar(struct cpu *c, unsigned size, u64 a, unsigned n)
{
	s64 s = (s64)sx_size(a, size);
	u64 r = (u64)(s >> n);
	fl_logic(c, size, r);
	fl_set_cf_of_af(c, (u64)(s >> (n - 1)) & 1, false, false);
	return r;
}
static always_inline u64 sh_rol(struct cpu *c, unsigned size, u64 a, unsigned n)
{
	unsigned bits = size * 8, k = n % bits;
	u64 r = k ? a << k | a >> (bits - k) : a;
	bool cf = r & 1;
	fl_set_cf_of_af(c, cf, msb(r, size) ^ cf, fl_af(c));
	return r;
}
static always_inline u64 sh_ror(struct cpu *c, unsigned size, u64 a, unsigned n)
{
	unsigned bits = size * 8, k = n % bits;
	u64 r = k ? a >> k | a << (bits - k) : a;
	fl_set_cf_of_af(c, msb(r, size), msb(r, size) ^ (r >> (bits - 2) & 1), fl_af(c));
	return r;
}
static always_inline u64 sh_rcl(struct cpu *c, unsigned size, u64 a, unsigned n)
{
	unsigned bits = size * 8, k = size < 4 ? n % (bits + 1) : n;
	bool cf = fl_cf(c);
	for (; k; k--) {
		bool out = msb(a, size);
		a = a << 1 | cf;
		cf = out;
	}
	fl_set_cf_of_af(c, cf, msb(a, size) ^ cf, fl_af(c));
	return a;
}
static always_inline u64 sh_rcr(struct cpu *c, unsigned size, u64 a, unsigned n)
{
	unsigned bits = size * 8, k = size < 4 ? n % (bits + 1) : n;
	bool cf = fl_cf(c);
	for (; k; k--) {
		bool out = a & 1;
		a = a >> 1 | (u64)cf << (bits - 1);
		cf = out;
	}
	fl_set_cf_of_af(c, cf, msb(a, size) ^ (a >> (bits - 2) & 1), fl_af(c));
	return a;
}

static always_inline void shift_e(struct cpu *c, const struct insn *in, unsigned size, bool mem,
				  unsigned n, shift_fn *op)
{
	n &= size == 8 ? 63 : 31;
	if (!mem) {
		/* a count of 0 still zero-extends a 32-bit destination */
		u64 a = reg_get(c, in->ereg, size);
		reg_set(c, in->ereg, size, n ? op(c, size, a, n) : a);
	} else {
		struct rmw m;
		u64 a = rmw_begin(c, in, size, &m), v;
		struct {
			u64 fl_res, fl_car, fl_sx;
		} before;
		if (!n) {
			rmw_end(c, size, &m, a);
			return;
		}
		before.fl_res = c->fl_res;
		before.fl_car = c->fl_car;
		before.fl_sx = c->fl_sx;
		v = op(c, size, a, n);
		if (likely(m.p != NULL)) {
			st_size(m.p, size, v);
		} else { /* the store may fault: flags after it */
			u64 res = c->fl_res, car = c->fl_car, sx = c->fl_sx;
			c->fl_res = before.fl_res;
			c->fl_car = before.fl_car;
			c->fl_sx = before.fl_sx;
			mem_st_slow(c, m.la, size, v);
			c->fl_res = res;
			c->fl_car = car;
			c->fl_sx = sx;
		}
	}
}

#define SHIFT_SHAPE(name, op, count)                                                               \
	static always_inline void body_##name(struct cpu *c, const struct insn *in, unsigned size, \
					      bool mem)                                            \
	{                                                                                          \
		shift_e(c, in, size, mem, (unsigned)(count), sh_##op);                             \
	}                                                                                          \
	BODY_SIZED(name, body_##name)
#define SHIFT_ALL(op)                                                                              \
	SHIFT_SHAPE(op##_EI, op, (u8)in->imm)                                                      \
	SHIFT_SHAPE(op##_E1, op, 1)                                                                \
	SHIFT_SHAPE(op##_EC, op, (u8)c->r[R_RCX])

SHIFT_ALL(rol)
SHIFT_ALL(ror)
SHIFT_ALL(rcl)
SHIFT_ALL(rcr)
SHIFT_ALL(shl)
SHIFT_ALL(shr)
SHIFT_ALL(sar)

/* --- SHLD, SHRD --- */

static always_inline u64 double_shift(struct cpu *c, unsigned size, u64 a, u64 b, unsigned n,
				      bool left)
{
	unsigned bits = size * 8;
	u64 r;
	bool cf;
	if (size == 2) { /* counts over 16 are undefined; the CPU shifts a:b:a */
		u64 wide = left ? a << 32 | b << 16 | a : a << 32 | b << 16 | a;
		if (left) {
			r = wide >> (32 - n) & 0xffff;
			cf = wide >> (48 - n) & 1;
		} else {
			r = wide >> n & 0xffff;
			cf = wide >> (n - 1) & 1;
		}
	} else if (left) {
		r = a << n | b >> (bits - n);
		cf = a >> (bits - n) & 1;
	} else {
		r = a >> n | b << (bits - n);
		cf = a >> (n - 1) & 1;
	}
	fl_logic(c, size, r);
	fl_set_cf_of_af(c, cf, msb(r ^ a, size), false);
	return r;
}

static always_inline void body_double(struct cpu *c, const struct insn *in, unsigned size, bool mem,
				      unsigned n, bool left)
{
	u64 b = reg_get(c, in->greg, size), a;
	n &= size == 8 ? 63 : 31;
	if (!mem) {
		a = reg_get(c, in->ereg, size);
		reg_set(c, in->ereg, size, n ? double_shift(c, size, a, b, n, left) : a);
	} else {
		struct rmw m;
		u64 res, car, sx, v;
		a = rmw_begin(c, in, size, &m);
		if (!n) {
			rmw_end(c, size, &m, a);
			return;
		}
		res = c->fl_res;
		car = c->fl_car;
		sx = c->fl_sx;
		v = double_shift(c, size, a, b, n, left);
		if (m.p) {
			st_size(m.p, size, v);
		} else {
			u64 res2 = c->fl_res, car2 = c->fl_car, sx2 = c->fl_sx;
			c->fl_res = res;
			c->fl_car = car;
			c->fl_sx = sx;
			mem_st_slow(c, m.la, size, v);
			c->fl_res = res2;
			c->fl_car = car2;
			c->fl_sx = sx2;
		}
	}
}
#define DOUBLE_SHAPE(name, count, left)                                                            \
	static always_inline void body_##name(struct cpu *c, const struct insn *in, unsigned size, \
					      bool mem)                                            \
	{                                                                                          \
		body_double(c, in, size, mem, (unsigned)(count), left);                            \
	}                                                                                          \
	BODY_SIZED(name, body_##name)
DOUBLE_SHAPE(shld_I, (u8)in->imm, true)
DOUBLE_SHAPE(shld_C, (u8)c->r[R_RCX], true)
DOUBLE_SHAPE(shrd_I, (u8)in->imm, false)
DOUBLE_SHAPE(shrd_C, (u8)c->r[R_RCX], false)

/* --- MUL, IMUL --- */

/* rDX:rAX, or AX for bytes. */
static always_inline void set_product(struct cpu *c, unsigned size, u64 lo, u64 hi)
{
	if (size == 1) {
		reg_set(c, REG_OFF(R_RAX), 2, (lo & 0xff) | (hi & 0xff) << 8);
	} else {
		reg_set(c, REG_OFF(R_RAX), size, lo);
		reg_set(c, REG_OFF(R_RDX), size, hi);
	}
}

static always_inline void mul_flags(struct cpu *c, unsigned size, u64 lo, bool over)
{
	fl_logic(c, size, lo);
	fl_set_cf_of_af(c, over, over, false);
}

static always_inline void body_mul_E(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 a = reg_get(c, REG_OFF(R_RAX), size), b = src_e(c, in, size, mem), lo, hi;
	unsigned __int128 r = (unsigned __int128)a * b;
	lo = (u64)r & mask64(size * 8);
	hi = (u64)(r >> (size * 8)) & mask64(size * 8);
	set_product(c, size, lo, hi);
	mul_flags(c, size, lo, hi != 0);
}
BODY_SIZED(mul_E, body_mul_E)

static always_inline bool imul(unsigned size, u64 a, u64 b, u64 *lo, u64 *hi)
{
	__int128 r = (__int128)(s64)sx_size(a, size) * (s64)sx_size(b, size);
	*lo = (u64)r & mask64(size * 8);
	*hi = (u64)(r >> (size * 8)) & mask64(size * 8);
	return r != (s64)sx_size(*lo, size);
}

static always_inline void body_imul_E(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 lo, hi;
	bool over = imul(size, reg_get(c, REG_OFF(R_RAX), size), src_e(c, in, size, mem), &lo, &hi);
	set_product(c, size, lo, hi);
	mul_flags(c, size, lo, over);
}
BODY_SIZED(imul_E, body_imul_E)

static always_inline void body_imul_GE(struct cpu *c, const struct insn *in, unsigned size,
				       bool mem)
{
	u64 lo, hi;
	bool over = imul(size, reg_get(c, in->greg, size), src_e(c, in, size, mem), &lo, &hi);
	reg_set(c, in->greg, size, lo);
	mul_flags(c, size, lo, over);
}
BODY_SIZED(imul_GE, body_imul_GE)

static always_inline void body_imul_GEI(struct cpu *c, const struct insn *in, unsigned size,
					bool mem)
{
	u64 lo, hi;
	bool over = imul(size, src_e(c, in, size, mem), in->imm, &lo, &hi);
	reg_set(c, in->greg, size, lo);
	mul_flags(c, size, lo, over);
}
BODY_SIZED(imul_GEI, body_imul_GEI)

static always_inline void body_mulx(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 a = reg_get(c, REG_OFF(R_RDX), size), b = src_e(c, in, size, mem);
	unsigned __int128 r = (unsigned __int128)a * b;
	reg_set(c, REG_OFF(in->vvvv), size, (u64)r);
	reg_set(c, in->greg, size, (u64)(r >> (size * 8)));
}
BODY_SIZED(mulx, body_mulx)

/* --- DIV, IDIV: flags undefined, left as they were --- */

static always_inline void set_quotient(struct cpu *c, unsigned size, u64 q, u64 r)
{
	if (size == 1) {
		reg_set(c, REG_OFF(R_RAX), 2, (q & 0xff) | (r & 0xff) << 8);
	} else {
		reg_set(c, REG_OFF(R_RAX), size, q);
		reg_set(c, REG_OFF(R_RDX), size, r);
	}
}

static always_inline void body_div_E(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 d = src_e(c, in, size, mem);
	if (!d)
		cpu_raise(c, EXC_DE);
	if (size == 8) {
		u64 hi = c->r[R_RDX], lo = c->r[R_RAX];
		if (hi >= d)
			cpu_raise(c, EXC_DE);
		if (!hi) {
			set_quotient(c, 8, lo / d, lo % d);
			return;
		}
		/* no overflow: checked above */
		__asm__("divq %4" : "=a"(lo), "=d"(hi) : "a"(lo), "d"(hi), "r"(d) : "cc");
		set_quotient(c, 8, lo, hi);
	} else {
		u64 n = size == 1 ? (u16)c->r[R_RAX]
				  : reg_get(c, REG_OFF(R_RDX), size) << (size * 8) |
					    reg_get(c, REG_OFF(R_RAX), size);
		if (n / d > mask64(size * 8))
			cpu_raise(c, EXC_DE);
		set_quotient(c, size, n / d, n % d);
	}
}
BODY_SIZED(div_E, body_div_E)

static always_inline void body_idiv_E(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	s64 d = (s64)sx_size(src_e(c, in, size, mem), size);
	if (!d)
		cpu_raise(c, EXC_DE);
	if (size == 8) {
		__int128 n = (__int128)((unsigned __int128)c->r[R_RDX] << 64 | c->r[R_RAX]), q;
		/* the most negative dividend over -1 has no 128-bit quotient */
		if (d == -1 && n == (__int128)((unsigned __int128)1 << 127))
			cpu_raise(c, EXC_DE);
		q = n / d;
		if (q != (s64)q)
			cpu_raise(c, EXC_DE);
		set_quotient(c, 8, (u64)q, (u64)(n % d));
	} else {
		s64 n = size == 1 ? (s16)c->r[R_RAX]
				  : (s64)sx_size(reg_get(c, REG_OFF(R_RDX), size) << (size * 8) |
							 reg_get(c, REG_OFF(R_RAX), size),
						 size * 2);
		s64 q;
		if (d == -1 && n == INT64_MIN)
			cpu_raise(c, EXC_DE);
		q = n / d;
		if (q != (s64)sx_size((u64)q, size))
			cpu_raise(c, EXC_DE);
		set_quotient(c, size, (u64)q, (u64)(n % d));
	}
}
BODY_SIZED(idiv_E, body_idiv_E)

/* --- BMI2 shifts: no flags --- */

#define SHIFTX(name, expr)                                                                         \
	static always_inline void body_##name(struct cpu *c, const struct insn *in, unsigned size, \
					      bool mem)                                            \
	{                                                                                          \
		u64 a = src_e(c, in, size, mem);                                                   \
		unsigned n = (unsigned)reg_get(c, REG_OFF(in->vvvv), 8) & (size == 8 ? 63 : 31);   \
		reg_set(c, in->greg, size, (expr));                                                \
	}                                                                                          \
	BODY_SIZED(name, body_##name)
SHIFTX(shlx, a << n)
SHIFTX(shrx, a >> n)
SHIFTX(sarx, (u64)((s64)sx_size(a, size) >> n))

static always_inline void body_rorx(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 a = src_e(c, in, size, mem);
	unsigned bits = size * 8, n = (u8)in->imm & (bits - 1);
	reg_set(c, in->greg, size, n ? a >> n | a << (bits - n) : a);
}
BODY_SIZED(rorx, body_rorx)
