/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report: coverage per form and per class, and disassembly of a mismatch.
 */
#include "report.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>

#define WANTED 100u

void report_open(struct report *r, const struct gen_plan *p unused_arg)
{
	r->ran = calloc(insn_form_count, sizeof(u32));
	r->clean = calloc(insn_form_count, sizeof(u32));
	r->wrong = calloc(insn_form_count, sizeof(u32));
	if (!r->ran || !r->clean || !r->wrong)
		exit(3);
}

void report_count(struct report *r, const struct diff_case *k unused_arg, unsigned form,
		  unsigned trap)
{
	if (form >= insn_form_count)
		return;
	r->ran[form]++;
	if (trap == TRAP_NONE)
		r->clean[form]++;
}

void report_mismatch(struct report *r, unsigned form)
{
	r->wrong[form]++;
}

unsigned report_mismatches(const struct report *r, unsigned form)
{
	return r->wrong[form];
}

struct tally {
	unsigned forms, covered, least;
};

static void tally_add(struct tally *t, u32 ran)
{
	t->forms++;
	t->covered += ran >= WANTED;
	if (t->forms == 1 || ran < t->least)
		t->least = ran;
}

/* --- the forms that are not here --- */

static const struct {
	const char *name, *test;
} elsewhere_list[] = {
#define E(n, t) {n, t},
#include "elsewhere.def"
#undef E
};

static bool is_elsewhere(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(elsewhere_list); i++)
		if (!strcmp(elsewhere_list[i].name, name))
			return true;
	return false;
}

static bool has_nofuzz(const char *name)
{
	for (unsigned i = 0; i < insn_form_count; i++)
		if (insn_forms[i].attr & IA_NOFUZZ && !strcmp(insn_forms[i].name, name))
			return true;
	return false;
}

/* The list against the table, both ways; 1 if they differ. */
static int elsewhere(bool list)
{
	unsigned forms = 0, bad = 0;

	for (unsigned i = 0; i < insn_form_count; i++) {
		if (!(insn_forms[i].attr & IA_NOFUZZ))
			continue;
		forms++;
		if (!is_elsewhere(insn_forms[i].name)) {
			printf("  not covered anywhere: %s\n", insn_forms[i].name);
			bad++;
		}
	}
	for (unsigned i = 0; i < ARRAY_LEN(elsewhere_list); i++) {
		if (!has_nofuzz(elsewhere_list[i].name)) {
			printf("  elsewhere.def: %s is not nofuzz\n", elsewhere_list[i].name);
			bad++;
		}
		if (list)
			printf("  %-9s %s\n", elsewhere_list[i].name, elsewhere_list[i].test);
	}
	printf("diff: forms covered by other tests: %u, by %u entries of elsewhere.def\n", forms,
	       (unsigned)ARRAY_LEN(elsewhere_list));
	return bad != 0;
}

int report_print(const struct report *r, const struct gen_plan *p, bool strict, bool list)
{
	struct tally c = {0}, thunk = {0}, refused = {0};

	for (unsigned i = 0; i < p->count; i++) {
		const struct insn_form *f = &insn_forms[p->form[i]];
		u32 ran = r->ran[p->form[i]];
		bool native = f->attr & IA_THUNK || f->state == IST_X87;
		tally_add(gen_refused(f) ? &refused : native ? &thunk : &c, ran);
		if (r->wrong[p->form[i]])
			printf("  mismatch: %s %02x: %u of %u\n", f->name, f->opcode,
			       r->wrong[p->form[i]], ran);
		if ((strict || list) && (ran < WANTED || (list && r->clean[p->form[i]] < WANTED)))
			printf("  %s: %s map %u opcode %02x: %u cases, %u without a fault\n",
			       ran < WANTED ? "short" : "faults", f->name, f->map, f->opcode, ran,
			       r->clean[p->form[i]]);
	}
	printf("diff: C forms: %u, %u at least %u times (least %u)\n", c.forms, c.covered, WANTED,
	       c.least);
	printf("diff: thunk forms: %u, %u at least %u times (least %u)\n", thunk.forms,
	       thunk.covered, WANTED, thunk.least);
	printf("diff: forms that CPL 3 may not execute, their refusal: %u, %u at least %u times\n",
	       refused.forms, refused.covered, WANTED);
	if (elsewhere(list))
		return 1;
	return strict && (c.covered != c.forms || thunk.covered != thunk.forms);
}

void report_disassemble(const struct diff_case *k)
{
	ZydisMachineMode mode =
		k->mode == DM_64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LONG_COMPAT_32;
	ZydisDisassembledInstruction in;

	if (ZYAN_SUCCESS(ZydisDisassembleIntel(mode, k->r.rip, k->code, k->code_len, &in)))
		printf("  %s\n", in.text);
	else
		printf("  (invalid)\n");
}
