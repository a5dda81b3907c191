/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move: MOV in its general forms, extensions, conditional moves and sets, LEA, stack moves, XLAT,
 * flag moves that need no privilege. SDM 2A-2B.
 *
 * Entered from the run loop through the form table.
 */
#include "cpu/exec/body.h"
#include "cpu/flags.h"
#include "cpu/stack.h"

static always_inline void body_mov_EG(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	dst_e(c, in, size, mem, reg_get(c, in->greg, size));
}
BODY_SIZED(mov_EG, body_mov_EG)
static always_inline void body_mov_GE(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	reg_set(c, in->greg, size, src_e(c, in, size, mem));
}
BODY_SIZED(mov_GE, body_mov_GE)
static always_inline void body_mov_EI(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	dst_e(c, in, size, mem, in->imm);
}
BODY_SIZED(mov_EI, body_mov_EI)
static always_inline void body_mov_ZI(struct cpu *c, const struct insn *in, unsigned size,
				      bool mem unused_arg)
{
	reg_set(c, in->ereg, size, in->imm);
}
BODY_SIZED(mov_ZI, body_mov_ZI)
static always_inline void body_mov_AO(struct cpu *c, const struct insn *in, unsigned size,
				      bool mem unused_arg)
{
	u64 la = mem_la(c, in->seg, (u64)in->disp, size, ACC_READ);
	reg_set(c, REG_OFF(R_RAX), size, mem_ld(c, la, size));
}
BODY_SIZED(mov_AO, body_mov_AO)
static always_inline void body_mov_OA(struct cpu *c, const struct insn *in, unsigned size,
				      bool mem unused_arg)
{
	u64 la = mem_la(c, in->seg, (u64)in->disp, size, ACC_WRITE);
	mem_st(c, la, size, reg_get(c, REG_OFF(R_RAX), size));
}
BODY_SIZED(mov_OA, body_mov_OA)

#define EXTEND(name, from, expr)                                                                   \
	static always_inline void body_##name(struct cpu *c, const struct insn *in, unsigned size, \
					      bool mem)                                            \
	{                                                                                          \
		u64 v = src_e(c, in, from, mem);                                                   \
		reg_set(c, in->greg, size, (expr));                                                \
	}                                                                                          \
	BODY_SIZED(name, body_##name)
EXTEND(movzx_b, 1, v)
EXTEND(movzx_w, 2, v)
EXTEND(movsx_b, 1, sx_size(v, 1))
EXTEND(movsx_w, 2, sx_size(v, 2))

static always_inline void body_movsxd(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	if (size == 2)
		reg_set(c, in->greg, 2, src_e(c, in, 2, mem));
	else
		reg_set(c, in->greg, size, sx_size(src_e(c, in, 4, mem), 4));
}
BODY_SIZED(movsxd, body_movsxd)

static always_inline void body_lea(struct cpu *c, const struct insn *in, unsigned size,
				   bool mem unused_arg)
{
	reg_set(c, in->greg, size, mem_ea(c, in));
}
BODY_SIZED(lea, body_lea)

static always_inline void body_cbw(struct cpu *c, const struct insn *in unused_arg, unsigned size,
				   bool mem unused_arg)
{
	unsigned from = size == 1 ? 1 : size / 2;
	reg_set(c, REG_OFF(R_RAX), size, sx_size(c->r[R_RAX], from));
}
BODY_SIZED(cbw, body_cbw)
static always_inline void body_cwd(struct cpu *c, const struct insn *in unused_arg, unsigned size,
				   bool mem unused_arg)
{
	reg_set(c, REG_OFF(R_RDX), size, (u64)((s64)sx_size(c->r[R_RAX], size) >> 63));
}
BODY_SIZED(cwd, body_cwd)

/* --- conditional --- */

#define CONDITIONAL(cc)                                                                            \
	static always_inline void body_cmov##cc(struct cpu *c, const struct insn *in,              \
						unsigned size, bool mem)                           \
	{                                                                                          \
		u64 v = src_e(c, in, size, mem);                                                   \
		reg_set(c, in->greg, size, fl_cond(c, cc) ? v : reg_get(c, in->greg, size));       \
	}                                                                                          \
	BODY_SIZED(cmov##cc, body_cmov##cc)                                                        \
	static always_inline void body_setcc##cc(struct cpu *c, const struct insn *in,             \
						 unsigned size unused_arg, bool mem)               \
	{                                                                                          \
		dst_e(c, in, 1, mem, fl_cond(c, cc));                                              \
	}                                                                                          \
	BODY_SIZED(setcc##cc, body_setcc##cc)
CONDITIONAL(0)
CONDITIONAL(1)
CONDITIONAL(2)
CONDITIONAL(3)
CONDITIONAL(4)
CONDITIONAL(5)
CONDITIONAL(6)
CONDITIONAL(7)
CONDITIONAL(8)
CONDITIONAL(9)
CONDITIONAL(10)
CONDITIONAL(11)
CONDITIONAL(12)
CONDITIONAL(13)
CONDITIONAL(14)
CONDITIONAL(15)

/* --- stack --- */

static always_inline void body_push_Z(struct cpu *c, const struct insn *in, unsigned size,
				      bool mem unused_arg)
{
	stack_push(c, size, reg_get(c, in->ereg, size));
}
BODY_SIZED(push_Z, body_push_Z)
static always_inline void body_pop_Z(struct cpu *c, const struct insn *in, unsigned size,
				     bool mem unused_arg)
{
	u64 v = stack_pop(c, size);
	reg_set(c, in->ereg, size, v);
}
BODY_SIZED(pop_Z, body_pop_Z)
static always_inline void body_push_I(struct cpu *c, const struct insn *in, unsigned size,
				      bool mem unused_arg)
{
	stack_push(c, size, in->imm);
}
BODY_SIZED(push_I, body_push_I)
static always_inline void body_push_E(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	stack_push(c, size, src_e(c, in, size, mem));
}
BODY_SIZED(push_E, body_push_E)
/* An RSP-based destination is computed with RSP after the pop. */
static always_inline void body_pop_E(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 v = stack_peek(c, size, 0), sp = c->r[R_RSP] + size, ea;
	if (!mem) {
		stack_set(c, sp);
		reg_set(c, in->ereg, size, v);
		return;
	}
	ea = mem_ea(c, in);
	if (in->base == REG_OFF(R_RSP))
		ea += size;
	if (in->asz != 8)
		ea = in->asz == 4 ? (u32)ea : (u16)ea;
	mem_st(c, mem_la(c, in->seg, ea, size, ACC_WRITE), size, v);
	stack_set(c, sp);
}
BODY_SIZED(pop_E, body_pop_E)

/* Faults as a push to SS:sp would. */
static void push_probe(struct cpu *c, u64 sp, unsigned size)
{
	u64 la = mem_la(c, S_SS, sp, size, ACC_WRITE);
	if (!tlb_write(c, la, size))
		stack_probe_slow(c, la, size);
}

static void push_at(struct cpu *c, u64 sp, unsigned size, u64 v)
{
	u64 la = mem_la(c, S_SS, sp, size, ACC_WRITE);
	void *p = tlb_write(c, la, size);
	if (likely(p != NULL))
		st_size(p, size, v);
	else
		stack_st_slow(c, la, size, v);
}

static always_inline void body_pusha(struct cpu *c, const struct insn *in unused_arg, unsigned size,
				     bool mem unused_arg)
{
	u64 mask = stack_mask(c), sp = c->r[R_RSP];
	for (unsigned i = 0; i < 8; i++) /* all eight or none */
		push_probe(c, (sp - size * (i + 1)) & mask, size);
	for (unsigned i = 0; i < 8; i++)
		push_at(c, (sp - size * (i + 1)) & mask, size, i == R_RSP ? sp : c->r[i]);
	stack_set(c, sp - size * 8);
}
BODY_SIZED(pusha, body_pusha)
static always_inline void body_popa(struct cpu *c, const struct insn *in unused_arg, unsigned size,
				    bool mem unused_arg)
{
	u64 v[8];
	for (unsigned i = 0; i < 8; i++)
		v[i] = stack_peek(c, size, i * size);
	for (unsigned i = 0; i < 8; i++)
		if (7 - i != R_RSP)
			reg_set(c, REG_OFF(7 - i), size, v[i]);
	stack_set(c, c->r[R_RSP] + size * 8);
}
BODY_SIZED(popa, body_popa)

static always_inline void body_leave(struct cpu *c, const struct insn *in unused_arg, unsigned size,
				     bool mem unused_arg)
{
	u64 mask = stack_mask(c), sp = c->r[R_RBP] & mask;
	u64 la = mem_la(c, S_SS, sp, size, ACC_READ);
	const void *p = tlb_read(c, la, size);
	u64 v = likely(p != NULL) ? ld_size(p, size) : stack_ld_slow(c, la, size);
	stack_set(c, sp + size);
	reg_set(c, REG_OFF(R_RBP), size, v);
}
BODY_SIZED(leave, body_leave)

static u64 stack_at(struct cpu *c, u64 sp, unsigned size)
{
	return stack_ld_slow(c, mem_la(c, S_SS, sp & stack_mask(c), size, ACC_READ), size);
}

/* SDM 2A ENTER. Faults come in the order of its pushes and reads, before anything is stored; a
 * read of the frame chain sees what was pushed before it. */
static always_inline void body_enter(struct cpu *c, const struct insn *in, unsigned size,
				     bool mem unused_arg)
{
	unsigned level = in->imm2 & 31, n = level ? level + 1 : 1;
	u64 mask = stack_mask(c), sp = c->r[R_RSP] & mask, frame = sp - size, bp = c->r[R_RBP];
	push_probe(c, frame & mask, size);
	for (unsigned i = 1; i < n; i++) {
		if (i < level)
			stack_at(c, bp - i * size, size);
		push_probe(c, (frame - i * size) & mask, size);
	}
	/* the final stack pointer must be writable too */
	push_probe(c, (sp - n * size - in->imm) & mask, size);
	push_at(c, frame & mask, size, bp);
	for (unsigned i = 1; i < level; i++)
		push_at(c, (frame - i * size) & mask, size, stack_at(c, bp - i * size, size));
	if (level)
		push_at(c, (frame - level * size) & mask, size, frame);
	reg_set(c, REG_OFF(R_RBP), size, frame);
	stack_set(c, sp - n * size - in->imm);
}
BODY_SIZED(enter, body_enter)

/* --- odds and ends --- */

static void op_xlat(struct cpu *c, const struct insn *in)
{
	u64 ea = c->r[R_RBX] + (u8)c->r[R_RAX];
	if (in->asz != 8)
		ea = in->asz == 4 ? (u32)ea : (u16)ea;
	reg_set(c, REG_OFF(R_RAX), 1, mem_ld(c, mem_la(c, in->seg, ea, 1, ACC_READ), 1));
}
BODY_ONE(xlat, op_xlat)

/* SBB AL,AL without flags. */
static void op_salc(struct cpu *c, const struct insn *in unused_arg)
{
	reg_set(c, REG_OFF(R_RAX), 1, fl_cf(c) ? 0xff : 0);
}
BODY_ONE(salc, op_salc)

static void op_sahf(struct cpu *c, const struct insn *in unused_arg)
{
	u64 ah = c->r[R_RAX] >> 8 & (FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF);
	if (c->mode & MODE_64 && !(c->model->features & CPU_FEAT_BIT(LAHF_LM)))
		cpu_ud(c);
	fl_set_status(c, ah | (fl_of(c) ? FL_OF : 0));
}
BODY_ONE(sahf, op_sahf)
static void op_lahf(struct cpu *c, const struct insn *in unused_arg)
{
	if (c->mode & MODE_64 && !(c->model->features & CPU_FEAT_BIT(LAHF_LM)))
		cpu_ud(c);
	reg_set(c, REG_OFF(R_RAX) + 1u, 1, (fl_status(c) & ~(u64)FL_OF) | FL_R1);
}
BODY_ONE(lahf, op_lahf)

static void op_cld(struct cpu *c, const struct insn *in unused_arg)
{
	c->rflags &= ~(u64)FL_DF;
}
BODY_ONE(cld, op_cld)
static void op_std(struct cpu *c, const struct insn *in unused_arg)
{
	c->rflags |= FL_DF;
}
BODY_ONE(std, op_std)

static void op_nop(struct cpu *c unused_arg, const struct insn *in unused_arg)
{
}
BODY_ONE(nop, op_nop)
static void op_pause(struct cpu *c, const struct insn *in unused_arg)
{
	c->ops->pause(c);
}
BODY_ONE(pause, op_pause)
static void op_ud(struct cpu *c, const struct insn *in unused_arg)
{
	cpu_ud(c);
}
BODY_ONE(ud, op_ud)

static always_inline void body_bound(struct cpu *c, const struct insn *in, unsigned size,
				     bool mem unused_arg)
{
	u64 ea = mem_ea(c, in);
	u64 la = mem_la(c, in->seg, ea, size, ACC_READ);
	s64 low = (s64)sx_size(mem_ld(c, la, size), size), high, v;
	ea = in->asz == 4 ? (u32)(ea + size) : (u16)(ea + size);
	la = mem_la(c, in->seg, ea, size, ACC_READ);
	high = (s64)sx_size(mem_ld(c, la, size), size);
	v = (s64)sx_size(reg_get(c, in->greg, size), size);
	if (v < low || v > high)
		cpu_raise(c, EXC_BR);
}
BODY_SIZED(bound, body_bound)
