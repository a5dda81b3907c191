/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen: makes cases: an encoding of a form, registers, memory, and where the operands point.
 */
#ifndef DIFF_GEN_H
#define DIFF_GEN_H

#include "case.h"
#include "rng.h"
#include "soft.h"

struct gen {
	struct rng r;
	const struct soft *soft; /* decoding only */
	struct diff_case *k;
	const struct insn_form *f;
	struct insn in; /* what our decoder makes of it */
	bool decoded;
	/* encode.c: where the displacement sits in k->code */
	unsigned disp_at, disp_len;
};

/* Forms the generator makes, and how often each comes up: every form in turn. */
struct gen_plan {
	u16 form[4096];
	unsigned count;
};
bool gen_refused(const struct insn_form *f);
void gen_plan_open(struct gen_plan *p, u64 features, const char *only);

/* Case number `index` of `seed`; the same for the same arguments, whatever came before. */
void gen_case(const struct soft *soft, const struct gen_plan *p, u64 seed, u64 index,
	      struct diff_case *k);

/* encode.c: writes k->code and decodes it. */
void gen_encode(struct gen *g);
/* operands.c: points registers and displacements at the sandbox; false: try another encoding. */
bool gen_operands(struct gen *g);
/* Bytes of the memory operand. */
unsigned gen_mem_size(const struct insn_form *f, const struct insn *in);

#endif
