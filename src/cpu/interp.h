/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interp: binding decoded instructions to bodies, single steps, exception delivery.
 *
 * engine/soft runs decoded blocks itself; everything else it needs from the interpreter is here.
 * Context: vcpu.
 */
#ifndef CPU_INTERP_H
#define CPU_INTERP_H

#include "cpu/cpu.h"

/* Chooses in->fn for this mode: the form's body, or a body that raises #UD, #NM, #GP. */
void interp_bind(struct insn *in, u32 mode);

/* Bodies that only raise; a decoder failure becomes one of these. */
insn_fn interp_ud, interp_gp0, interp_nm;

/* Fetches, decodes and binds the instruction at c->rip without any cache. May raise (#PF, #GP):
 * call inside the run loop's setjmp. Sets c->blk_rip and in->off so that faults point at it. */
void interp_fetch(struct cpu *c, struct insn *in);

/*
 * Delivers c->exc (SDM 3A 6): pushes, switches, loads; nested faults become #DF, then shutdown
 * (c->s.activity = CPU_SHUTDOWN, EV_STOP). c->rip is the RIP to push. Never raises.
 */
void interp_deliver(struct cpu *c);
/* Delivers an external interrupt or NMI (2). Never raises. */
void interp_interrupt(struct cpu *c, u8 vector);

/* Delivers the #DB trap that c->dr6_pending asks for, at c->rip. Never raises. */
void interp_debug_trap(struct cpu *c);

/* One uncached instruction inside somebody's setjmp: breakpoints, TF, shadows included. */
void interp_one(struct cpu *c);
/* What the owner of c->jb does after a long jump arrived: delivers the exception, or lets an
 * interrupted REP instruction go on at c->rip. */
void interp_landed(struct cpu *c);

/* Executes one instruction at c->rip including #DB traps, outside any block; exceptions are
 * delivered to the guest. For tests and for metal's emulation. */
void interp_step(struct cpu *c);

/* exec/far.c: protected-mode control transfers, used by delivery and by bodies. Raises. */
void far_interrupt(struct cpu *c, u8 vector, bool soft, bool has_error, u32 error, bool external);

#endif
