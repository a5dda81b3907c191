/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soft: cases in the interpreter, or in translated code.
 */
#ifndef DIFF_SOFT_H
#define DIFF_SOFT_H

#include "case.h"

struct soft {
	struct cpu *cpu[DM_COUNT];
	u32 mode[DM_COUNT]; /* MODE_*, as the decoder wants it */
	struct cpu_model model;
	u8 *data, *pattern, *code, *tables;
	u16 form;	  /* the form last decoded, 0xffff: none */
	struct insn insn; /* and its instruction */
	bool translate;	  /* cases are translated, by one CPU whose mode changes */
	bool translated;  /* the last one was */
};

/* 0 or -1 (message printed). */
int soft_open(struct soft *s, bool has_fs, bool translate);
void soft_run(struct soft *s, const struct diff_case *k, struct diff_result *out);
void soft_close(struct soft *s);

/* Decodes the case's instruction; INSN_*. */
int soft_decode(const struct soft *s, const struct diff_case *k, struct insn *in);

#endif
