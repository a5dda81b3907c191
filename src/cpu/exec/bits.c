/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bits: bit tests, scans and counts, BMI1/BMI2, byte swaps, CRC32, RDRAND/RDSEED. SDM 2A-2D.
 *
 * Entered from the run loop through the form table.
 */
#include "cpu/exec/body.h"
#include "cpu/flags.h"

/* --- BT, BTS, BTR, BTC --- */

enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_FLIP };

static always_inline u64 bit_apply(u64 v, u64 mask, enum bit_op op)
{
	switch (op) {
	case BIT_SET: return v | mask;
	case BIT_RESET: return v & ~mask;
	case BIT_FLIP: return v ^ mask;
	case BIT_TEST: break;
	}
	return v;
}

static always_inline void bit_mem(struct cpu *c, const struct insn *in, unsigned size, u64 la,
				  unsigned bit, enum bit_op op)
{
	u64 v, mask = BIT64(bit);
	if (op == BIT_TEST) {
		v = mem_ld(c, la, size);
	} else if (in->pfx & PFX_LOCK) {
		struct locked l;
		locked_begin_at(c, la, size, &l);
		do {
			v = l.old;
		} while (!locked_try(c, size, &l, bit_apply(v, mask, op)));
	} else {
		struct rmw m = {tlb_write(c, la, size), la};
		v = m.p ? ld_size(m.p, size) : mem_rmw_slow(c, la, size);
		rmw_end(c, size, &m, bit_apply(v, mask, op));
	}
	fl_set_cf(c, v & mask);
}

static always_inline void bit_reg(struct cpu *c, const struct insn *in, unsigned size, unsigned bit,
				  enum bit_op op)
{
	u64 v = reg_get(c, in->ereg, size), mask = BIT64(bit);
	if (op != BIT_TEST)
		reg_set(c, in->ereg, size, bit_apply(v, mask, op));
	fl_set_cf(c, v & mask);
}

/* A register bit offset reaches outside the operand: SDM 2A, 3.1.1.9, figure 3-2. */
static always_inline void bit_eg(struct cpu *c, const struct insn *in, unsigned size, bool mem,
				 enum bit_op op)
{
	u64 index = reg_get(c, in->greg, size);
	unsigned bits = size * 8, bit = (unsigned)index & (bits - 1);
	u64 ea;
	if (!mem) {
		bit_reg(c, in, size, bit, op);
		return;
	}
	ea = mem_ea(c, in) + (u64)((s64)sx_size(index, size) >> __builtin_ctz(bits)) * size;
	if (in->asz != 8)
		ea = in->asz == 4 ? (u32)ea : (u16)ea;
	bit_mem(c, in, size, mem_la(c, in->seg, ea, size, op == BIT_TEST ? ACC_READ : ACC_WRITE),
		bit, op);
}

static always_inline void bit_ei(struct cpu *c, const struct insn *in, unsigned size, bool mem,
				 enum bit_op op)
{
	unsigned bit = (u8)in->imm & (size * 8 - 1);
	if (!mem)
		bit_reg(c, in, size, bit, op);
	else
		bit_mem(c, in, size, mem_addr(c, in, size, op == BIT_TEST ? ACC_READ : ACC_WRITE),
			bit, op);
}

#define BIT_SHAPES(name, op)                                                                       \
	static always_inline void body_##name##_EG(struct cpu *c, const struct insn *in,           \
						   unsigned size, bool mem)                        \
	{                                                                                          \
		bit_eg(c, in, size, mem, op);                                                      \
	}                                                                                          \
	BODY_SIZED(name##_EG, body_##name##_EG)                                                    \
	static always_inline void body_##name##_EI(struct cpu *c, const struct insn *in,           \
						   unsigned size, bool mem)                        \
	{                                                                                          \
		bit_ei(c, in, size, mem, op);                                                      \
	}                                                                                          \
	BODY_SIZED(name##_EI, body_##name##_EI)
BIT_SHAPES(bt, BIT_TEST)
BIT_SHAPES(bts, BIT_SET)
BIT_SHAPES(btr, BIT_RESET)
BIT_SHAPES(btc, BIT_FLIP)

/* --- scans and counts --- */

static void zf_only(struct cpu *c, bool zf)
{
	fl_set_status(c, (fl_status(c) & ~(u64)FL_ZF) | (zf ? FL_ZF : 0));
}

/* A zero source leaves the destination (documented by AMD, done by both). */
static always_inline void body_bsf(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 v = src_e(c, in, size, mem);
	if (v)
		reg_set(c, in->greg, size, (u64)__builtin_ctzll(v));
	zf_only(c, !v);
}
BODY_SIZED(bsf, body_bsf)
static always_inline void body_bsr(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 v = src_e(c, in, size, mem);
	if (v)
		reg_set(c, in->greg, size, 63 - (u64)__builtin_clzll(v));
	zf_only(c, !v);
}
BODY_SIZED(bsr, body_bsr)

static always_inline void count_flags(struct cpu *c, unsigned size, u64 r, bool cf)
{
	fl_logic(c, size, r);
	fl_set_cf_of_af(c, cf, false, false);
}
static always_inline void body_tzcnt(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 v = src_e(c, in, size, mem), r = v ? (u64)__builtin_ctzll(v) : size * 8;
	reg_set(c, in->greg, size, r);
	count_flags(c, size, r, !v);
}
BODY_SIZED(tzcnt, body_tzcnt)
static always_inline void body_lzcnt(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 v = src_e(c, in, size, mem);
	u64 r = v ? (u64)__builtin_clzll(v) - (64 - size * 8) : size * 8;
	reg_set(c, in->greg, size, r);
	count_flags(c, size, r, !v);
}
BODY_SIZED(lzcnt, body_lzcnt)
static always_inline void body_popcnt(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 v = src_e(c, in, size, mem), r = 0;
	for (u64 x = v; x; x &= x - 1)
		r++;
	reg_set(c, in->greg, size, r);
	/* all flags 0 but ZF */
	fl_set_status(c, v ? 0 : FL_ZF);
}
BODY_SIZED(popcnt, body_popcnt)

/* --- byte order --- */

static always_inline u64 swap(u64 v, unsigned size)
{
	switch (size) {
	case 2: return __builtin_bswap16((u16)v);
	case 4: return __builtin_bswap32((u32)v);
	default: return __builtin_bswap64(v);
	}
}
static always_inline void body_bswap(struct cpu *c, const struct insn *in, unsigned size,
				     bool mem unused_arg)
{
	/* 16-bit: undefined; both vendors give 0 */
	reg_set(c, in->ereg, size, size == 2 ? 0 : swap(reg_get(c, in->ereg, size), size));
}
BODY_SIZED(bswap, body_bswap)
static always_inline void body_movbe_GM(struct cpu *c, const struct insn *in, unsigned size,
					bool mem)
{
	reg_set(c, in->greg, size, swap(src_e(c, in, size, mem), size));
}
BODY_SIZED(movbe_GM, body_movbe_GM)
static always_inline void body_movbe_MG(struct cpu *c, const struct insn *in, unsigned size,
					bool mem)
{
	dst_e(c, in, size, mem, swap(reg_get(c, in->greg, size), size));
}
BODY_SIZED(movbe_MG, body_movbe_MG)

/* CRC-32C; a model with SSE4.2 only opens on a host that has it. */
static always_inline void body_crc32(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 crc = (u32)reg_get(c, in->greg, 8), v = src_e(c, in, size, mem);
	switch (size) {
	case 1: __asm__("crc32b %b1, %k0" : "+r"(crc) : "q"(v)); break;
	case 2: __asm__("crc32w %w1, %k0" : "+r"(crc) : "r"(v)); break;
	case 4: __asm__("crc32l %k1, %k0" : "+r"(crc) : "r"(v)); break;
	default: __asm__("crc32q %1, %0" : "+r"(crc) : "r"(v)); break;
	}
	reg_set(c, in->greg, 4, crc);
}
BODY_SIZED(crc32, body_crc32)

/* --- BMI --- */

static always_inline void bmi_flags(struct cpu *c, unsigned size, u64 r, bool cf)
{
	fl_logic(c, size, r);
	fl_set_cf_of_af(c, cf, false, false);
}
static always_inline void body_andn(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 r = ~reg_get(c, REG_OFF(in->vvvv), size) & src_e(c, in, size, mem);
	reg_set(c, in->greg, size, r);
	bmi_flags(c, size, r, false);
}
BODY_SIZED(andn, body_andn)

#define BLS(name, expr, carry)                                                                     \
	static always_inline void body_##name(struct cpu *c, const struct insn *in, unsigned size, \
					      bool mem)                                            \
	{                                                                                          \
		u64 a = src_e(c, in, size, mem), r = (expr);                                       \
		reg_set(c, REG_OFF(in->vvvv), size, r);                                            \
		bmi_flags(c, size, r, (carry));                                                    \
	}                                                                                          \
	BODY_SIZED(name, body_##name)
BLS(blsr, a &(a - 1), a == 0)
BLS(blsmsk, a ^ (a - 1), a == 0)
BLS(blsi, a &(0 - a), a != 0)

static always_inline void body_bextr(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 a = src_e(c, in, size, mem), control = reg_get(c, REG_OFF(in->vvvv), 8);
	unsigned start = (u8)control, len = (u8)(control >> 8);
	u64 r = start < size * 8 ? a >> start : 0;
	r &= mask64(len);
	reg_set(c, in->greg, size, r);
	fl_set_status(c, r ? 0 : FL_ZF);
}
BODY_SIZED(bextr, body_bextr)

static always_inline void body_bzhi(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 a = src_e(c, in, size, mem);
	unsigned n = (u8)reg_get(c, REG_OFF(in->vvvv), 8);
	bool over = n >= size * 8;
	u64 r = over ? a : a & mask64(n);
	reg_set(c, in->greg, size, r);
	bmi_flags(c, size, r, over);
}
BODY_SIZED(bzhi, body_bzhi)

static always_inline void body_pext(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 mask = src_e(c, in, size, mem), r;
	__asm__("pextq %2, %1, %0" : "=r"(r) : "r"(reg_get(c, REG_OFF(in->vvvv), size)), "r"(mask));
	reg_set(c, in->greg, size, r);
}
BODY_SIZED(pext, body_pext)
static always_inline void body_pdep(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 mask = src_e(c, in, size, mem), r;
	__asm__("pdepq %2, %1, %0" : "=r"(r) : "r"(reg_get(c, REG_OFF(in->vvvv), size)), "r"(mask));
	reg_set(c, in->greg, size, r);
}
BODY_SIZED(pdep, body_pdep)

/* --- random numbers: a model has them only where the host does --- */

static always_inline void random_result(struct cpu *c, const struct insn *in, unsigned size, u64 v,
					bool ok)
{
	reg_set(c, in->ereg, size, ok ? v : 0);
	fl_set_status(c, ok ? FL_CF : 0);
}
static always_inline void body_rdrand(struct cpu *c, const struct insn *in, unsigned size,
				      bool mem unused_arg)
{
	u64 v;
	bool ok;
	__asm__ volatile("rdrand %0" : "=r"(v), "=@ccc"(ok));
	random_result(c, in, size, v, ok);
}
BODY_SIZED(rdrand, body_rdrand)
static always_inline void body_rdseed(struct cpu *c, const struct insn *in, unsigned size,
				      bool mem unused_arg)
{
	u64 v;
	bool ok;
	__asm__ volatile("rdseed %0" : "=r"(v), "=@ccc"(ok));
	random_result(c, in, size, v, ok);
}
BODY_SIZED(rdseed, body_rdseed)
