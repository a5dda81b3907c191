/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fpu: where the guest's x87 registers and MXCSR are.
 *
 * While a vCPU thread runs guest code its x87 registers and MXCSR may live in the host CPU
 * (c->fpu_live), because Holm's C code uses neither: no long double, no float. Thunks then run on
 * them directly. fpu_store() brings them back into c->s.fpu and gives the thread its own defaults;
 * fpu_live() puts them in. XMM/YMM always stay in c->s.ymm.
 *
 * Unmasked exceptions raised inside a thunk arrive at the host as SIGFPE; whoever owns the signal
 * calls fpu_fixup() with the faulting RIP.
 *
 * Context: the vCPU's thread.
 */
#ifndef CPU_FPU_H
#define CPU_FPU_H

#include "cpu/cpu.h"

void fpu_store(struct cpu *c);
void fpu_load(struct cpu *c);

static always_inline void fpu_need(struct cpu *c)
{
	if (unlikely(!c->fpu_live))
		fpu_load(c);
}

/* If rip lies in the thunks: where to go on (a stub that returns 1 to the thunk's caller, leaving
 * guest registers unchanged); 0 otherwise. Async-signal-safe. */
u64 fpu_fixup(u64 rip);

#endif
