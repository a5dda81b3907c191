/* SPDX-License-Identifier: Apache-2.0 */
/*
 * branch: near jumps, calls, returns and loops. SDM 2A-2B.
 *
 * All of them store c->rip. Targets are checked against the CS limit outside 64-bit mode and for
 * being canonical inside it, before anything changes. Entered from the run loop.
 */
#include "cpu/exec/body.h"
#include "cpu/flags.h"
#include "cpu/stack.h"

static always_inline void check_target(struct cpu *c, u64 target)
{
	if (likely(c->mode & MODE_64)) {
		if (unlikely((u64)((s64)(target << 16) >> 16) != target))
			cpu_gp0(c);
	} else if (unlikely(target > c->s.seg[S_CS].limit)) {
		cpu_gp0(c);
	}
}

static always_inline u64 cut(u64 target, unsigned size)
{
	return size == 8 ? target : size == 4 ? (u32)target : (u16)target;
}

static always_inline void branch(struct cpu *c, const struct insn *in, bool taken)
{
	if (taken) {
		check_target(c, in->imm);
		c->rip = in->imm;
	} else {
		c->rip = cpu_next_rip(c, in);
	}
}

#define JCC(cc)                                                                                    \
	static void op_jcc##cc(struct cpu *c, const struct insn *in)                               \
	{                                                                                          \
		branch(c, in, fl_cond(c, cc));                                                     \
	}                                                                                          \
	BODY_ONE(jcc##cc, op_jcc##cc)
JCC(0)
JCC(1)
JCC(2)
JCC(3)
JCC(4)
JCC(5)
JCC(6)
JCC(7)
JCC(8)
JCC(9)
JCC(10)
JCC(11)
JCC(12)
JCC(13)
JCC(14)
JCC(15)

static void op_jmp(struct cpu *c, const struct insn *in)
{
	branch(c, in, true);
}
BODY_ONE(jmp, op_jmp)

static always_inline void body_jmp_E(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 target = src_e(c, in, size, mem);
	check_target(c, target);
	c->rip = target;
}
BODY_SIZED(jmp_E, body_jmp_E)

static always_inline void body_call(struct cpu *c, const struct insn *in, unsigned size,
				    bool mem unused_arg)
{
	check_target(c, in->imm);
	stack_push(c, size, cpu_next_rip(c, in));
	c->rip = in->imm;
}
BODY_SIZED(call, body_call)

static always_inline void body_call_E(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	u64 target = src_e(c, in, size, mem);
	check_target(c, target);
	stack_push(c, size, cpu_next_rip(c, in));
	c->rip = target;
}
BODY_SIZED(call_E, body_call_E)

static always_inline void body_ret(struct cpu *c, const struct insn *in unused_arg, unsigned size,
				   bool mem unused_arg)
{
	u64 target = stack_peek(c, size, 0);
	check_target(c, target);
	stack_set(c, c->r[R_RSP] + size);
	c->rip = target;
}
BODY_SIZED(ret, body_ret)

static always_inline void body_ret_I(struct cpu *c, const struct insn *in, unsigned size,
				     bool mem unused_arg)
{
	u64 target = stack_peek(c, size, 0);
	check_target(c, target);
	stack_set(c, c->r[R_RSP] + size + in->imm);
	c->rip = target;
}
BODY_SIZED(ret_I, body_ret_I)

/* LOOPcc and JrCXZ count in rCX of the address size. */
static u64 counter(const struct cpu *c, const struct insn *in)
{
	return cut(c->r[R_RCX], in->asz);
}
static void loop_if(struct cpu *c, const struct insn *in, bool cond)
{
	u64 n = counter(c, in) - 1;
	branch(c, in, cond && cut(n, in->asz));
	reg_set(c, REG_OFF(R_RCX), in->asz, n);
}
static void op_loop(struct cpu *c, const struct insn *in)
{
	loop_if(c, in, true);
}
BODY_ONE(loop, op_loop)
static void op_loope(struct cpu *c, const struct insn *in)
{
	loop_if(c, in, fl_zf(c));
}
BODY_ONE(loope, op_loope)
static void op_loopne(struct cpu *c, const struct insn *in)
{
	loop_if(c, in, !fl_zf(c));
}
BODY_ONE(loopne, op_loopne)
static void op_jrcxz(struct cpu *c, const struct insn *in)
{
	branch(c, in, !counter(c, in));
}
BODY_ONE(jrcxz, op_jrcxz)
