/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87: what x87 instructions and state-saving instructions share: looking at the live registers.
 *
 * Entered by exec/x87.c, exec/xsave.c and the MMX bodies. All of it expects c->fpu_live.
 * Context: the vCPU's thread.
 */
#ifndef CPU_EXEC_X87_H
#define CPU_EXEC_X87_H

#include "cpu/fpu.h"

/* FSW, FCW, MXCSR: SDM 1, 8.1.3, 8.1.5, 10.2.3 */
#define X87_FSW_FLAGS  0x003fu /* IE DE ZE OE UE PE */
#define X87_FSW_ES     0x0080u
#define X87_FCW_INIT   0x037fu
#define X87_FOP_MASK   0x07ffu
#define X87_MXCSR_INIT 0x1f80u
/* Bits LDMXCSR accepts; bit 17 (misaligned SSE) is in no model. */
#define X87_MXCSR_MASK 0xffffu

static always_inline u16 x87_fsw(void)
{
	u16 v;
	__asm__ volatile("fnstsw %0" : "=a"(v));
	return v;
}

static always_inline u16 x87_fcw(void)
{
	u16 v;
	__asm__ volatile("fnstcw %0" : "=m"(v));
	return v;
}

/* An unmasked exception is pending and a waiting instruction came: #MF with CR0.NE. Without NE the
 * CPU would assert FERR# for IRQ 13, which Holm's boards do not have: the error is dropped, as with
 * IGNNE# held low, and the call returns. */
void x87_pending(struct cpu *c);

/* Waiting instructions look for pending exceptions before they look at memory. Only needed where
 * a memory access may fault: the stub itself finds what is pending. */
static always_inline void x87_check(struct cpu *c)
{
	if (unlikely(x87_fsw() & X87_FSW_ES))
		x87_pending(c);
}

/* Copies the live registers and the pointers kept beside them. *hidden: this CPU's FXSAVE and XSAVE
 * show zero pointers now (AMD: unless an unmasked exception is pending). */
void fpu_snapshot(const struct cpu *c, struct cpu_fpu *out, bool *hidden);

#endif
