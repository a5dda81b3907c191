/* SPDX-License-Identifier: Apache-2.0 */
/*
 * far: what far transfers, interrupt delivery, IRET and task switches share.
 *
 * All of them work the same way: read and check everything, push to the new stack, and only then
 * change registers; so a fault anywhere leaves the CPU as it was. `ext` is the EXT bit of error
 * codes: 1 while an event that is not a software interrupt is being delivered.
 *
 * Entered by: exec/. Context: vcpu. All may raise.
 */
#ifndef CPU_EXEC_FAR_H
#define CPU_EXEC_FAR_H

#include "cpu/cpu.h"
#include "cpu/seg.h"

/* A stack that is not committed yet. */
struct stk {
	struct cpu_segment ss;
	u64 sp;	   /* moves with each push or pop */
	u64 mask;  /* of the stack address size */
	u32 error; /* #SS error code */
	u8 cpl;	   /* privilege of the accesses */
	bool flat; /* 64-bit mode: no limits, canonical */
};

/* Mask of the current stack address size. */
static inline u64 stk_mask(const struct cpu *c)
{
	return c->mode & MODE_64 ? ~0ull : c->mode & MODE_SS32 ? 0xffffffffu : 0xffffu;
}

/* Stores sp into SP, ESP or RSP by mask. */
static inline void stk_set_sp(struct cpu *c, u64 mask, u64 sp)
{
	if (mask == 0xffff)
		sp = (c->r[R_RSP] & ~mask) | (sp & mask);
	c->r[R_RSP] = mask == 0xffffffffu ? (u32)sp : sp;
}

/* The current stack. */
void stk_current(const struct cpu *c, struct stk *st, u32 ext);
/* A stack of privilege cpl; legacy (ss from a descriptor) or 64-bit (ss NULL). error: as above. */
void stk_new(struct stk *st, const struct cpu_segment *ss, u64 sp, unsigned cpl, u32 error);
void stk_push(struct cpu *c, struct stk *st, unsigned size, u64 v);
u64 stk_pop(struct cpu *c, struct stk *st, unsigned size);
/* Puts n quadwords below sp (first is the highest), as privilege cpl; returns the new sp. */
u64 stk_push64(struct cpu *c, unsigned cpl, u64 sp, const u64 *v, unsigned n, u32 error);

/* SS:ESP of privilege cpl from the current TSS, checked; legacy modes. #TS, #SS. */
void far_tss_stack(struct cpu *c, unsigned cpl, u32 ext, struct stk *st);
/* RSP of privilege cpl, or IST 1..7, from the 64-bit TSS. #TS. */
u64 far_tss_rsp(struct cpu *c, unsigned cpl, unsigned ist, u32 ext);

/* #GP(ext) unless rip is inside cs; returns rip cut to what cs holds. */
u64 far_check_rip(struct cpu *c, const struct cpu_segment *cs, u64 rip, u32 ext);

/* CS and SS of RETF and IRET, checked, not committed. */
void far_return_cs(struct cpu *c, u16 sel, struct cpu_segment *cs);
void far_return_ss(struct cpu *c, u16 sel, const struct cpu_segment *cs, struct cpu_segment *ss);
/* Commits a return: CS, SS, CPL, RIP, SP; drops data segments when CPL changed. */
void far_return_outer(struct cpu *c, const struct cpu_segment *cs, const struct cpu_segment *ss,
		      u64 rip, u64 sp);

/* Bytes of the offset in a far pointer: AMD has no 64-bit ones. */
static inline unsigned far_ptr_size(const struct cpu *c, const struct insn *in)
{
	return in->osz == 8 && cpu_is_amd(c) ? 4 : in->osz;
}

/* task.c: switches to the task of a TSS descriptor or through a task gate. c->rip is what the old
 * task goes on with; rf: RF of the saved image. */
enum task_cause { TASK_JMP, TASK_CALL, TASK_IRET };
void task_switch(struct cpu *c, struct desc *tss, enum task_cause cause, u32 ext, u64 rf);
/* Checks a TSS descriptor named by a task gate and switches. */
void task_gate(struct cpu *c, u64 gate, enum task_cause cause, u32 ext, u64 rf);
/* The #DB of a TSS with its T bit set, if one is due. */
bool task_trapped(struct cpu *c, struct cpu_exception *x);
/* Instructions, after everything else of the transfer: delivers it. Never raises. */
void task_trap(struct cpu *c);

#endif
