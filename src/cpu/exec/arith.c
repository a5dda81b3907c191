/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arith: ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT, XADD, CMPXCHG and the
 * decimal adjustments. SDM 2A-2B.
 *
 * Entered from the run loop through the form table.
 */
#include "cpu/exec/body.h"
#include "cpu/flags.h"

/* --- the operations: result and flags; `cf` is the carry before --- */

static always_inline u64 alu_add(struct cpu *c, unsigned size, u64 a, u64 b, bool cf unused_arg)
{
	u64 r = a + b;
	fl_add(c, size, a, b, r);
	return r;
}
static always_inline u64 alu_adc(struct cpu *c, unsigned size, u64 a, u64 b, bool cf)
{
	u64 r = a + b + cf;
	fl_add(c, size, a, b, r);
	return r;
}
static always_inline u64 alu_sub(struct cpu *c, unsigned size, u64 a, u64 b, bool cf unused_arg)
{
	u64 r = a - b;
	fl_sub(c, size, a, b, r);
	return r;
}
static always_inline u64 alu_sbb(struct cpu *c, unsigned size, u64 a, u64 b, bool cf)
{
	u64 r = a - b - cf;
	fl_sub(c, size, a, b, r);
	return r;
}
static always_inline u64 alu_and(struct cpu *c, unsigned size, u64 a, u64 b, bool cf unused_arg)
{
	fl_logic(c, size, a & b);
	return a & b;
}
static always_inline u64 alu_or(struct cpu *c, unsigned size, u64 a, u64 b, bool cf unused_arg)
{
	fl_logic(c, size, a | b);
	return a | b;
}
static always_inline u64 alu_xor(struct cpu *c, unsigned size, u64 a, u64 b, bool cf unused_arg)
{
	fl_logic(c, size, a ^ b);
	return a ^ b;
}
static always_inline u64 alu_inc(struct cpu *c, unsigned size, u64 a, u64 b unused_arg, bool cf)
{
	fl_add(c, size, a, 1, a + 1);
	fl_set_cf(c, cf);
	return a + 1;
}
static always_inline u64 alu_dec(struct cpu *c, unsigned size, u64 a, u64 b unused_arg, bool cf)
{
	fl_sub(c, size, a, 1, a - 1);
	fl_set_cf(c, cf);
	return a - 1;
}
static always_inline u64 alu_neg(struct cpu *c, unsigned size, u64 a, u64 b unused_arg,
				 bool cf unused_arg)
{
	fl_sub(c, size, 0, a, 0 - a);
	return 0 - a;
}
static always_inline u64 alu_not(struct cpu *c unused_arg, unsigned size unused_arg, u64 a,
				 u64 b unused_arg, bool cf unused_arg)
{
	return ~a;
}

/* --- operand shapes --- */

/* E op= src, with LOCK when asked */
#define ALU_E(name, op, src)                                                                       \
	static always_inline void body_##name(struct cpu *c, const struct insn *in, unsigned size, \
					      bool mem)                                            \
	{                                                                                          \
		bool cf = fl_cf(c);                                                                \
		u64 b = (src);                                                                     \
		if (!mem) {                                                                        \
			reg_set(c, in->ereg, size,                                                 \
				alu_##op(c, size, reg_get(c, in->ereg, size), b, cf));             \
		} else if (unlikely(in->pfx & PFX_LOCK)) {                                         \
			struct locked l;                                                           \
			u64 v;                                                                     \
			locked_begin(c, in, size, &l);                                             \
			do {                                                                       \
				v = alu_##op(c, size, l.old, b, cf);                               \
			} while (!locked_try(c, size, &l, v));                                     \
		} else {                                                                           \
			struct rmw m;                                                              \
			u64 a = rmw_begin(c, in, size, &m);                                        \
			rmw_end_flags(c, in, size, &m, a, b, cf, alu_##op);                        \
		}                                                                                  \
	}                                                                                          \
	BODY_SIZED(name, body_##name)

/* The store may still fault (a slow page): flags change after it. */
typedef u64 alu_fn(struct cpu *c, unsigned size, u64 a, u64 b, bool cf);
static always_inline void rmw_end_flags(struct cpu *c, const struct insn *in unused_arg,
					unsigned size, const struct rmw *m, u64 a, u64 b, bool cf,
					alu_fn *op)
{
	if (likely(m->p != NULL)) {
		st_size(m->p, size, op(c, size, a, b, cf));
	} else {
		u64 res = c->fl_res, car = c->fl_car, sx = c->fl_sx;
		u64 v = op(c, size, a, b, cf);
		u64 res2 = c->fl_res, car2 = c->fl_car, sx2 = c->fl_sx;
		c->fl_res = res;
		c->fl_car = car;
		c->fl_sx = sx;
		mem_st_slow(c, m->la, size, v);
		c->fl_res = res2;
		c->fl_car = car2;
		c->fl_sx = sx2;
	}
}

/* G op= E */
#define ALU_G(name, op)                                                                            \
	static always_inline void body_##name(struct cpu *c, const struct insn *in, unsigned size, \
					      bool mem)                                            \
	{                                                                                          \
		u64 b = src_e(c, in, size, mem);                                                   \
		reg_set(c, in->greg, size,                                                         \
			alu_##op(c, size, reg_get(c, in->greg, size), b, fl_cf(c)));               \
	}                                                                                          \
	BODY_SIZED(name, body_##name)

/* rAX op= imm */
#define ALU_A(name, op)                                                                            \
	static always_inline void body_##name(struct cpu *c, const struct insn *in, unsigned size, \
					      bool mem unused_arg)                                 \
	{                                                                                          \
		reg_set(c, REG_OFF(R_RAX), size,                                                   \
			alu_##op(c, size, reg_get(c, REG_OFF(R_RAX), size), in->imm, fl_cf(c)));   \
	}                                                                                          \
	BODY_SIZED(name, body_##name)

#define ALU_ALL(op)                                                                                \
	ALU_E(op##_EG, op, reg_get(c, in->greg, size))                                             \
	ALU_E(op##_EI, op, in->imm)                                                                \
	ALU_G(op##_GE, op)                                                                         \
	ALU_A(op##_AI, op)

ALU_ALL(add)
ALU_ALL(or)
ALU_ALL(adc)
ALU_ALL(sbb)
ALU_ALL(and)
ALU_ALL(sub)
ALU_ALL(xor)
ALU_E(inc_E, inc, 0)
ALU_E(dec_E, dec, 0)
ALU_E(neg_E, neg, 0)
ALU_E(not_E, not, 0)

/* --- no destination --- */

#define ALU_COMPARE(name, op, left, right)                                                         \
	static always_inline void body_##name(struct cpu *c, const struct insn *in, unsigned size, \
					      bool mem unused_arg)                                 \
	{                                                                                          \
		u64 a = (left), b = (right);                                                       \
		alu_##op(c, size, a, b, false);                                                    \
	}                                                                                          \
	BODY_SIZED(name, body_##name)

ALU_COMPARE(cmp_EG, sub, src_e(c, in, size, mem), reg_get(c, in->greg, size))
ALU_COMPARE(cmp_GE, sub, reg_get(c, in->greg, size), src_e(c, in, size, mem))
ALU_COMPARE(cmp_EI, sub, src_e(c, in, size, mem), in->imm)
ALU_COMPARE(cmp_AI, sub, reg_get(c, REG_OFF(R_RAX), size), in->imm)
ALU_COMPARE(test_EG, and, src_e(c, in, size, mem), reg_get(c, in->greg, size))
ALU_COMPARE(test_EI, and, src_e(c, in, size, mem), in->imm)
ALU_COMPARE(test_AI, and, reg_get(c, REG_OFF(R_RAX), size), in->imm)

static always_inline void body_inc_Z(struct cpu *c, const struct insn *in, unsigned size,
				     bool mem unused_arg)
{
	reg_set(c, in->ereg, size, alu_inc(c, size, reg_get(c, in->ereg, size), 0, fl_cf(c)));
}
BODY_SIZED(inc_Z, body_inc_Z)
static always_inline void body_dec_Z(struct cpu *c, const struct insn *in, unsigned size,
				     bool mem unused_arg)
{
	reg_set(c, in->ereg, size, alu_dec(c, size, reg_get(c, in->ereg, size), 0, fl_cf(c)));
}
BODY_SIZED(dec_Z, body_dec_Z)

/* --- exchange --- */

static always_inline void body_xadd(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 b = reg_get(c, in->greg, size), a;
	if (!mem) {
		a = reg_get(c, in->ereg, size);
		reg_set(c, in->greg, size, a);
		reg_set(c, in->ereg, size, alu_add(c, size, a, b, false));
		return;
	}
	if (in->pfx & PFX_LOCK) {
		struct locked l;
		locked_begin(c, in, size, &l);
		do {
			a = l.old;
		} while (!locked_try(c, size, &l, a + b));
	} else {
		struct rmw m;
		a = rmw_begin(c, in, size, &m);
		rmw_end(c, size, &m, a + b);
	}
	alu_add(c, size, a, b, false);
	reg_set(c, in->greg, size, a);
}
BODY_SIZED(xadd, body_xadd)

static always_inline void body_xchg_EG(struct cpu *c, const struct insn *in, unsigned size,
				       bool mem)
{
	u64 b = reg_get(c, in->greg, size);
	if (!mem) {
		u64 a = reg_get(c, in->ereg, size);
		reg_set(c, in->ereg, size, b);
		reg_set(c, in->greg, size, a);
	} else {
		struct locked l;
		u64 a;
		locked_begin(c, in, size, &l);
		do {
			a = l.old;
		} while (!locked_try(c, size, &l, b));
		reg_set(c, in->greg, size, a);
	}
}
BODY_SIZED(xchg_EG, body_xchg_EG)

static always_inline void body_xchg_AZ(struct cpu *c, const struct insn *in, unsigned size,
				       bool mem unused_arg)
{
	u64 a = reg_get(c, REG_OFF(R_RAX), size), b = reg_get(c, in->ereg, size);
	if (in->rm == 0)
		return; /* 90: NOP, upper halves stay */
	reg_set(c, REG_OFF(R_RAX), size, b);
	reg_set(c, in->ereg, size, a);
}
BODY_SIZED(xchg_AZ, body_xchg_AZ)

static always_inline void body_cmpxchg(struct cpu *c, const struct insn *in, unsigned size,
				       bool mem)
{
	u64 acc = reg_get(c, REG_OFF(R_RAX), size), b = reg_get(c, in->greg, size), a;
	if (!mem) {
		a = reg_get(c, in->ereg, size);
		if (a == acc)
			reg_set(c, in->ereg, size, b);
		else
			reg_set(c, REG_OFF(R_RAX), size, a);
	} else if (in->pfx & PFX_LOCK) {
		struct locked l;
		locked_begin(c, in, size, &l);
		do {
			a = l.old;
		} while (!locked_try(c, size, &l, a == acc ? b : a));
		if (a != acc)
			reg_set(c, REG_OFF(R_RAX), size, a);
	} else {
		struct rmw m;
		a = rmw_begin(c, in, size, &m);
		rmw_end(c, size, &m, a == acc ? b : a);
		if (a != acc)
			reg_set(c, REG_OFF(R_RAX), size, a);
	}
	alu_sub(c, size, acc, a, false);
}
BODY_SIZED(cmpxchg, body_cmpxchg)

static void set_zf(struct cpu *c, bool zf)
{
	fl_set_status(c, (fl_status(c) & ~(u64)FL_ZF) | (zf ? FL_ZF : 0));
}

static u64 edx_eax(const struct cpu *c)
{
	return (u32)c->r[R_RAX] | c->r[R_RDX] << 32;
}

static void op_cmpxchg8b(struct cpu *c, const struct insn *in)
{
	u64 want = edx_eax(c), v = (u32)c->r[R_RBX] | c->r[R_RCX] << 32, a;
	if (in->pfx & PFX_LOCK) {
		struct locked l;
		locked_begin(c, in, 8, &l);
		do {
			a = l.old;
		} while (!locked_try(c, 8, &l, a == want ? v : a));
	} else {
		struct rmw m;
		a = rmw_begin(c, in, 8, &m);
		rmw_end(c, 8, &m, a == want ? v : a);
	}
	if (a != want) {
		c->r[R_RAX] = (u32)a;
		c->r[R_RDX] = a >> 32;
	}
	set_zf(c, a == want);
}
BODY_ONE(cmpxchg8b, op_cmpxchg8b)

/* Always done atomically: an aligned 16-byte operand never crosses a page. */
static void op_cmpxchg16b(struct cpu *c, const struct insn *in)
{
	u64 la = mem_addr(c, in, 16, ACC_WRITE), lo = c->r[R_RAX], hi = c->r[R_RDX];
	bool ok;
	u64 *p;
	if (la & 15)
		cpu_gp0(c);
	p = mem_lock_ptr(c, la, 16);
	if (p) {
		__asm__ volatile("lock cmpxchg16b %1"
				 : "=@ccz"(ok), "+m"(*(unsigned __int128 *)p), "+a"(lo), "+d"(hi)
				 : "b"(c->r[R_RBX]), "c"(c->r[R_RCX])
				 : "memory");
	} else { /* ROM or MMIO: no other vCPU's plain store can be ordered against it anyway */
		u64 v[2], w[2] = {c->r[R_RBX], c->r[R_RCX]};
		mem_ld_bytes(c, la, v, 16);
		ok = v[0] == lo && v[1] == hi;
		mem_st_bytes(c, la, ok ? w : v, 16);
		lo = v[0];
		hi = v[1];
	}
	if (!ok) {
		c->r[R_RAX] = lo;
		c->r[R_RDX] = hi;
	}
	set_zf(c, ok);
}
BODY_ONE(cmpxchg16b, op_cmpxchg16b)

/* --- decimal, 16/32-bit code only (SDM 2A AAA, AAD, AAM, AAS, DAA, DAS) --- */

static void set_al_flags(struct cpu *c, u8 al, bool cf, bool af)
{
	fl_logic(c, 1, al);
	fl_set_cf_of_af(c, cf, false, af);
}

static void decimal_adjust(struct cpu *c, bool subtract)
{
	u8 al = (u8)c->r[R_RAX], old = al;
	bool cf = fl_cf(c), af = fl_af(c), new_cf = false;
	if ((old & 15) > 9 || af) {
		new_cf = cf || (subtract ? old < 6 : old > 0xf9);
		al = (u8)(subtract ? al - 6 : al + 6);
		af = true;
	} else {
		af = false;
	}
	if (old > 0x99 || cf) {
		al = (u8)(subtract ? al - 0x60 : al + 0x60);
		new_cf = true;
	} else if (!subtract) {
		new_cf = false;
	}
	reg_set(c, REG_OFF(R_RAX), 1, al);
	set_al_flags(c, al, new_cf, af);
}
static void op_daa(struct cpu *c, const struct insn *in unused_arg)
{
	decimal_adjust(c, false);
}
BODY_ONE(daa, op_daa)
static void op_das(struct cpu *c, const struct insn *in unused_arg)
{
	decimal_adjust(c, true);
}
BODY_ONE(das, op_das)

static void ascii_adjust(struct cpu *c, int sign)
{
	u16 ax = (u16)c->r[R_RAX];
	bool adjust = (ax & 15) > 9 || fl_af(c);
	if (adjust)
		ax = (u16)(ax + sign * 0x106);
	ax &= 0xff0f;
	reg_set(c, REG_OFF(R_RAX), 2, ax);
	set_al_flags(c, (u8)ax, adjust, adjust);
}
static void op_aaa(struct cpu *c, const struct insn *in unused_arg)
{
	ascii_adjust(c, 1);
}
BODY_ONE(aaa, op_aaa)
static void op_aas(struct cpu *c, const struct insn *in unused_arg)
{
	ascii_adjust(c, -1);
}
BODY_ONE(aas, op_aas)

static void op_aam(struct cpu *c, const struct insn *in)
{
	u8 al = (u8)c->r[R_RAX], base = (u8)in->imm;
	if (!base)
		cpu_raise(c, EXC_DE);
	reg_set(c, REG_OFF(R_RAX), 2, (u64)(al / base) << 8 | al % base);
	set_al_flags(c, al % base, false, false);
}
BODY_ONE(aam, op_aam)
static void op_aad(struct cpu *c, const struct insn *in)
{
	u8 al = (u8)(c->r[R_RAX] + (u8)(c->r[R_RAX] >> 8) * (u8)in->imm);
	reg_set(c, REG_OFF(R_RAX), 2, al);
	set_al_flags(c, al, false, false);
}
BODY_ONE(aad, op_aad)

/* --- carry flag --- */

static void op_clc(struct cpu *c, const struct insn *in unused_arg)
{
	fl_set_cf(c, false);
}
BODY_ONE(clc, op_clc)
static void op_stc(struct cpu *c, const struct insn *in unused_arg)
{
	fl_set_cf(c, true);
}
BODY_ONE(stc, op_stc)
static void op_cmc(struct cpu *c, const struct insn *in unused_arg)
{
	fl_set_cf(c, !fl_cf(c));
}
BODY_ONE(cmc, op_cmc)

/* ADCX and ADOX: one flag each, the others untouched. */
static always_inline u64 add_with(u64 a, u64 b, bool carry, unsigned size, bool *out)
{
	u64 r;
	if (size == 8) {
		bool c1 = __builtin_add_overflow(a, b, &r);
		bool c2 = __builtin_add_overflow(r, (u64)carry, &r);
		*out = c1 || c2;
		return r;
	}
	r = (u64)(u32)a + (u32)b + carry;
	*out = r >> 32;
	return r;
}
static always_inline void body_adcx(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 b = src_e(c, in, size, mem);
	bool cf;
	u64 r = add_with(reg_get(c, in->greg, size), b, fl_cf(c), size, &cf);
	reg_set(c, in->greg, size, r);
	fl_set_cf(c, cf);
}
BODY_SIZED(adcx, body_adcx)
static always_inline void body_adox(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 b = src_e(c, in, size, mem);
	bool of;
	u64 r = add_with(reg_get(c, in->greg, size), b, fl_of(c), size, &of);
	reg_set(c, in->greg, size, r);
	fl_set_cf_of_af(c, fl_cf(c), of, fl_af(c));
}
BODY_SIZED(adox, body_adox)
