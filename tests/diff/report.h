/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report: what was covered.
 */
#ifndef DIFF_REPORT_H
#define DIFF_REPORT_H

#include "case.h"
#include "gen.h"

struct report {
	u32 *ran, *clean, *wrong; /* per form: cases, without a fault, mismatches */
};

void report_open(struct report *r, const struct gen_plan *p);
void report_count(struct report *r, const struct diff_case *k, unsigned form, unsigned trap);
void report_mismatch(struct report *r, unsigned form);
unsigned report_mismatches(const struct report *r, unsigned form);
/* Prints the figures; with `strict`, 1 if a form was covered less than 100 times. */
int report_print(const struct report *r, const struct gen_plan *p, bool strict, bool list);
/* One line with the instruction as Zydis reads it. */
void report_disassemble(const struct diff_case *k);

#endif
