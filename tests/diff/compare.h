/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare: host result against interpreter result, minus what the manuals leave undefined.
 */
#ifndef DIFF_COMPARE_H
#define DIFF_COMPARE_H

#include <stdio.h>

#include "case.h"

/* What may differ for this instruction, by rules.c. */
struct allowance {
	u64 flags;	   /* RFLAGS bits */
	bool skip;	   /* nothing can be said */
	bool x87_pointers; /* FIP, FDP, FOP */
	bool fdp;
};

/* Rules that the table cannot state; `in` NULL: it did not decode. */
void rules_allow(const struct diff_case *k, const struct insn *in, const struct diff_result *host,
		 const struct diff_result *soft, struct allowance *a);
/* Adjusts both results for documented vendor differences before they are compared. */
void rules_vendor(const struct diff_case *k, const struct insn *in, struct diff_result *host,
		  struct diff_result *soft);

/* true: the same. Otherwise differences go to `to` if it is not NULL. */
bool compare(const struct diff_case *k, const struct insn *in, struct diff_result *host,
	     struct diff_result *soft, FILE *to);

/* Do they differ in nothing but x87 pointers that are 0 on the host? A switch of tasks on AMD loses
 * them, if no exception is pending. */
bool compare_pointers_lost(const struct diff_case *k, const struct insn *in,
			   const struct diff_result *host, const struct diff_result *soft);

#endif
