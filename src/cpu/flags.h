/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flags: the six status flags, kept lazily in three words.
 *
 *   fl_res  the result, sign-extended to 64 bits:           ZF = !fl_res
 *   fl_car  the carries: bit 63 out of the top bit of the operand, bit 62 out of the bit below,
 *           bit 3 out of bit 3:  CF = bit 63, OF = bit 63 ^ bit 62, AF = bit 3
 *   fl_sx   what SF and PF differ by from fl_res: SF = bit 63 of res ^ sx, PF = even parity of the
 *           low byte of res ^ sx. 0 unless flags were set from memory (POPF and such).
 *
 * Context: vcpu.
 */
#ifndef CPU_FLAGS_H
#define CPU_FLAGS_H

#include "cpu/cpu.h"

static always_inline bool fl_cf(const struct cpu *c)
{
	return c->fl_car >> 63;
}
static always_inline bool fl_of(const struct cpu *c)
{
	return (c->fl_car ^ c->fl_car << 1) >> 63;
}
static always_inline bool fl_af(const struct cpu *c)
{
	return c->fl_car >> 3 & 1;
}
static always_inline bool fl_zf(const struct cpu *c)
{
	return !c->fl_res;
}
static always_inline bool fl_sf(const struct cpu *c)
{
	return (c->fl_res ^ c->fl_sx) >> 63;
}
static always_inline bool fl_pf(const struct cpu *c)
{
	return !__builtin_parity((u8)(c->fl_res ^ c->fl_sx));
}

/* Sign extension of the low `size` bytes. */
static always_inline u64 sx_size(u64 v, unsigned size)
{
	switch (size) {
	case 1: return (u64)(s64)(s8)v;
	case 2: return (u64)(s64)(s16)v;
	case 4: return (u64)(s64)(s32)v;
	default: return v;
	}
}

/* From a result and its carry vector (bit i = carry or borrow out of bit i). */
static always_inline void fl_set(struct cpu *c, unsigned size, u64 res, u64 carries)
{
	c->fl_res = sx_size(res, size);
	c->fl_car = size == 8 ? carries : carries << (64 - size * 8) | (carries & 8);
	c->fl_sx = 0;
}
static always_inline void fl_add(struct cpu *c, unsigned size, u64 a, u64 b, u64 res)
{
	fl_set(c, size, res, (a & b) | ((a | b) & ~res));
}
static always_inline void fl_sub(struct cpu *c, unsigned size, u64 a, u64 b, u64 res)
{
	fl_set(c, size, res, (~a & b) | ((~a | b) & res));
}
/* AND, OR, XOR, TEST: CF = OF = 0; AF is undefined, hardware gives 0. */
static always_inline void fl_logic(struct cpu *c, unsigned size, u64 res)
{
	c->fl_res = sx_size(res, size);
	c->fl_car = 0;
	c->fl_sx = 0;
}
/* Keeps ZF, SF, PF. */
static always_inline void fl_set_cf_of_af(struct cpu *c, bool cf, bool of, bool af)
{
	c->fl_car = (u64)cf << 63 | (u64)(cf ^ of) << 62 | (u64)af << 3;
}
static always_inline void fl_set_cf(struct cpu *c, bool cf)
{
	fl_set_cf_of_af(c, cf, fl_of(c), fl_af(c));
}

/* The status bits as in EFLAGS. */
static inline u64 fl_status(const struct cpu *c)
{
	return (fl_cf(c) ? FL_CF : 0) | (fl_pf(c) ? FL_PF : 0) | (fl_af(c) ? FL_AF : 0) |
	       (fl_zf(c) ? FL_ZF : 0) | (fl_sf(c) ? FL_SF : 0) | (fl_of(c) ? FL_OF : 0);
}
/* Sets all six from an EFLAGS image. */
static inline void fl_set_status(struct cpu *c, u64 fl)
{
	u64 res = fl & FL_ZF ? 0 : 1;
	fl_set_cf_of_af(c, fl & FL_CF, fl & FL_OF, fl & FL_AF);
	c->fl_res = res;
	/* want parity even iff PF: res 0 is even, 1 is odd */
	c->fl_sx = (fl & FL_SF ? BIT64(63) : 0) | ((res ^ !(fl & FL_PF)) & 1);
}
/* Whole RFLAGS. */
static inline u64 fl_get(const struct cpu *c)
{
	return c->rflags | fl_status(c);
}

/* Condition code cc (SDM 1, appendix B). */
static always_inline bool fl_cond(const struct cpu *c, unsigned cc)
{
	bool v;
	switch (cc >> 1) {
	case 0: v = fl_of(c); break;
	case 1: v = fl_cf(c); break;
	case 2: v = fl_zf(c); break;
	case 3: v = fl_cf(c) || fl_zf(c); break;
	case 4: v = fl_sf(c); break;
	case 5: v = fl_pf(c); break;
	case 6: v = fl_sf(c) != fl_of(c); break;
	default: v = fl_zf(c) || fl_sf(c) != fl_of(c); break;
	}
	return v ^ (cc & 1);
}

#endif
