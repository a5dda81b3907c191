/* SPDX-License-Identifier: Apache-2.0 */
/*
 * translated: cases in translated code: a block of one instruction each.
 */
#ifndef DIFF_TRANSLATED_H
#define DIFF_TRANSLATED_H

#include "case.h"

struct vcpu;

/* A vCPU whose interpreter is its `cpu`, and room for translated code; NULL (message printed). The
 * code pages are at `code`. Never closed. */
struct cpu *translated_open(const struct cpu_model *model, const struct cpu_ops *ops, void *owner,
			    u8 *code);
/* One instruction at c->rip, as interp_one() does it. May long-jump. False: none was translated, it
 * was interpreted. */
bool translated_one(struct cpu *c);
/* A signal at `rip`; see trans_fixup. */
bool translated_fixup(void *ucontext);
/* Is the instruction one that the translator copies or glues in that mode (MODE_*)? */
bool translated_natively(u32 mode, const struct insn *in);
/* RFLAGS bits that it overwrites whatever they were: at its fault they may be anything, since it
 * will run again. */
u64 translated_dead(u32 mode, const struct insn *in);

#endif
