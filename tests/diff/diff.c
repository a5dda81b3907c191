/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff: one instruction at a time, on the host CPU and in the interpreter, from the same state.
 *
 * While the child executes one batch, this process makes the next and interprets the last. What
 * differs is run once more at the end, and only what differs again counts: an interrupt on the host
 * may lose AMD's x87 pointers, which no kernel keeps (counted apart: on a busy host that happens
 * often). Nor does a case count whose address hits the child's own memory, wherever the kernel put
 * that this time: a gather's may. A mismatch prints everything needed to run that case alone.
 *
 * With --translated, cases go through translated code, a block of one instruction each, instead of
 * the interpreter.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "compare.h"
#include "gen.h"
#include "native.h"
#include "report.h"
#include "soft.h"
#include "spec/x86.h"
#include "translated.h"

struct options {
	u64 seed, first, cases;
	const char *form;
	unsigned show;
	bool verbose, list, translated;
};

#define SECOND_MAX 4096u

#ifdef __SANITIZE_ADDRESS__
#define SHADOW true
#else
#define SHADOW false
#endif
#define SHADOW_FROM 0x7fff8000ull
#define SHADOW_TO   0x800000000000ull

struct run {
	struct options o;
	struct native n;
	struct soft s;
	struct gen_plan plan;
	struct report rep;
	struct {
		u64 index;
		char *seen;   /* how the first run differed */
		bool lost;    /* only in x87 pointers that the host may have lost */
	} second[SECOND_MAX]; /* cases to run once more */
	unsigned seconds;
	u64 mismatches, lost, host_noise, strayed;
	/* --translated: cases by mode, operands in registers or in memory, form */
	u32 *native[DM_COUNT][2];
	u64 natively[DM_COUNT], by_body[DM_COUNT], interpreted[DM_COUNT];
};

/* --- output --- */

static void print_case(const struct run *r, const struct diff_case *k)
{
	printf("%s form %s --seed %llu --first %llu --cases 1%s%s\n  code",
	       k->mode == DM_64 ? "64" : "32", insn_forms[k->form].name,
	       (unsigned long long)r->o.seed, (unsigned long long)k->index,
	       r->o.form ? " --form " : "", r->o.form ? r->o.form : "");
	for (unsigned i = 0; i < k->code_len; i++)
		printf(" %02x", k->code[i]);
	printf("  at %llx\n", (unsigned long long)k->r.rip);
}

static void print_mismatch(struct run *r, const struct diff_case *k, const struct insn *in,
			   struct diff_result *host, struct diff_result *soft)
{
	static const char *const reg[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					  "r8",	 "r9",	"r10", "r11", "r12", "r13", "r14", "r15"};

	print_case(r, k);
	report_disassemble(k);
	compare(k, in, host, soft, stdout);
	if (r->o.verbose) {
		for (unsigned i = 0; i < 16; i++)
			printf("  %-3s %016llx%s", reg[i], (unsigned long long)k->r.gpr[i],
			       i % 4 == 3 ? "\n" : "");
		printf("  trap host %u soft %u error %x %x cr2 %llx %llx fsw %x fcw %x flags "
		       "%llx\n",
		       host->trap, soft->trap, host->error, soft->error,
		       (unsigned long long)host->cr2, (unsigned long long)soft->cr2, k->r.fsw,
		       k->r.fcw, (unsigned long long)k->r.rflags);
	}
	fflush(stdout);
}

/* --- the loop --- */

/* The address sanitizer maps its shadow where a stray address may point, and the host's CPU finds
 * memory there: such a case (a gather's, nearly always) says nothing. */
static bool hits_shadow(struct run *r, const struct diff_case *k)
{
	static struct diff_result out;

	if (!SHADOW)
		return false;
	soft_run(&r->s, k, &out);
	return out.trap == EXC_PF && out.cr2 >= SHADOW_FROM && out.cr2 < SHADOW_TO;
}

/* A case that cannot be used makes way for another one of its form. */
static void make_case(struct run *r, struct diff_case *k, u64 index)
{
	gen_case(&r->s, &r->plan, r->o.seed, index, k);
	while (hits_shadow(r, k)) {
		index += r->plan.count * 1000003ull;
		gen_case(&r->s, &r->plan, r->o.seed, index, k);
	}
}

static void make_batch(struct run *r, struct diff_case *k, u64 from, u32 count)
{
	for (u32 i = 0; i < count; i++)
		make_case(r, &k[i], from + i);
}

/* What only translated code may do; and which way the instruction went. */
static void translated(struct run *r, const struct diff_case *k, const struct insn *in,
		       const struct diff_result *host, struct diff_result *soft, bool count)
{
	u32 mode = r->s.mode[k->mode];
	bool native = in && translated_natively(mode, in);
	bool fault = host->trap != TRAP_NONE && host->r.rip == k->r.rip;
	u64 dead = in && fault ? translated_dead(mode, in) : 0;

	soft->r.rflags = (soft->r.rflags & ~dead) | (host->r.rflags & dead);
	if (!count)
		return;
	if (!r->s.translated)
		r->interpreted[k->mode]++;
	else if (!native)
		r->by_body[k->mode]++;
	else {
		r->natively[k->mode]++;
		r->native[k->mode][(in->pfx & PFX_MEM) != 0][in->form]++;
	}
}

/* What differs, as text: said if it does not differ again. NULL: no memory for it. */
static char *difference(const struct diff_case *k, const struct insn *in, struct diff_result *host,
			struct diff_result *soft)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	compare(k, in, host, soft, f);
	fclose(f);
	return text;
}

/* Did it come out the same? Says so if not and `last`, else notes it for a second run. */
static bool check_case(struct run *r, const struct diff_case *k, struct diff_result *host,
		       bool last)
{
	static struct diff_result soft;
	const struct insn *in;

	soft_run(&r->s, k, &soft);
	in = r->s.form == 0xffff ? NULL : &r->s.insn;
	if (r->o.translated)
		translated(r, k, in, host, &soft, !last);
	if (!last)
		report_count(&r->rep, k, in ? in->form : 0xffff, host->trap);
	if (likely(compare(k, in, host, &soft, NULL)))
		return true;
	if (soft.trap == EXC_PF && native_strayed(&r->n, soft.cr2)) {
		r->strayed++;
		return true;
	}
	if (!last && r->seconds < SECOND_MAX) {
		r->second[r->seconds].index = k->index;
		r->second[r->seconds].lost = compare_pointers_lost(k, in, host, &soft);
		r->second[r->seconds++].seen = difference(k, in, host, &soft);
		return true;
	}
	r->mismatches++;
	report_mismatch(&r->rep, k->form);
	if (report_mismatches(&r->rep, k->form) <= r->o.show)
		print_mismatch(r, k, in, host, &soft);
	return false;
}

/* The child is idle: one case alone. */
static int run_again(struct run *r, u64 index, bool lost, const char *seen)
{
	unsigned slot = (r->n.turn + 1) >> 1 & 1;
	struct diff_shared *sh = r->n.sh;

	make_batch(r, sh->k[slot], index, 1);
	native_start(&r->n, 1);
	if (native_wait(&r->n))
		return 1;
	if (!check_case(r, sh->k[slot], sh->out[slot], true))
		return 0;
	if (lost)
		r->lost++;
	else {
		r->host_noise++;
		printf("once, not again: ");
		print_case(r, sh->k[slot]);
		printf("%s", seen ? seen : "");
	}
	return 0;
}

static int loop(struct run *r)
{
	struct diff_shared *sh = r->n.sh;
	u64 at = r->o.first, end = at + r->o.cases;
	u32 count = (u32)min_u64(end - at, BATCH);

	make_batch(r, sh->k[(r->n.turn + 1) >> 1 & 1], at, count);
	while (count) {
		unsigned slot = (r->n.turn + 1) >> 1 & 1;
		u32 next = (u32)min_u64(end - at - count, BATCH);
		native_start(&r->n, count);
		make_batch(r, sh->k[slot ^ 1], at + count, next);
		if (native_wait(&r->n)) {
			if (sh->done < count)
				print_case(r, &sh->k[slot][sh->done]);
			return 1;
		}
		for (u32 i = 0; i < count; i++)
			check_case(r, &sh->k[slot][i], &sh->out[slot][i], false);
		at += count;
		count = next;
	}
	for (unsigned i = 0; i < r->seconds; i++) {
		if (run_again(r, r->second[i].index, r->second[i].lost, r->second[i].seen))
			return 1;
		free(r->second[i].seen);
	}
	return 0;
}

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"seed", 1, NULL, 's'}, {"cases", 1, NULL, 'n'},      {"first", 1, NULL, 'f'},
		{"form", 1, NULL, 'F'}, {"show", 1, NULL, 'S'},	      {"verbose", 0, NULL, 'v'},
		{"list", 0, NULL, 'l'}, {"translated", 0, NULL, 't'}, {NULL, 0, NULL, 0},
	};
	const char *env = getenv("HOLM_DIFF_CASES");
	int c;

	*o = (struct options){
		.seed = 1, .cases = env ? strtoull(env, NULL, 0) : 1000000, .show = 2};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 's': o->seed = strtoull(optarg, NULL, 0); break;
		case 'n': o->cases = strtoull(optarg, NULL, 0); break;
		case 'f': o->first = strtoull(optarg, NULL, 0); break;
		case 'F': o->form = optarg; break;
		case 'S': o->show = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'v': o->verbose = true; break;
		case 'l': o->list = true; break;
		case 't': o->translated = true; break;
		default: return -1;
		}
	return 0;
}

/* 1 if a form that was translated was so less than 100 times (32-bit code: 20). */
static int report_translated(const struct run *r, enum diff_mode mode, bool strict)
{
	unsigned forms[2] = {0, 0}, few = 0, enough = mode == DM_64 ? 100 : 20;
	u32 least[2] = {~0u, ~0u};

	for (unsigned m = 0; m < 2; m++)
		for (unsigned i = 0; i < insn_form_count; i++) {
			u32 n = r->native[mode][m][i];
			if (!n)
				continue;
			forms[m]++;
			least[m] = n < least[m] ? n : least[m];
			if (n < enough && strict) {
				printf("  short: %s map %u opcode %02x %s: %u cases translated\n",
				       insn_forms[i].name, insn_forms[i].map, insn_forms[i].opcode,
				       m ? "memory" : "registers", n);
				few++;
			}
		}
	printf("diff: %s-bit cases in host code %llu, by a body called from it %llu, not "
	       "translated "
	       "%llu\n",
	       mode == DM_64 ? "64" : "32", (unsigned long long)r->natively[mode],
	       (unsigned long long)r->by_body[mode], (unsigned long long)r->interpreted[mode]);
	printf("diff: forms in host code: %u with registers (least %u times), %u with memory "
	       "(least "
	       "%u)\n",
	       forms[0], forms[0] ? least[0] : 0, forms[1], forms[1] ? least[1] : 0);
	return few ||
	       (strict && (!forms[0] || !forms[1] || r->interpreted[mode] > r->natively[mode] / 4));
}

int main(int argc, char **argv)
{
	static struct run r;
	struct timespec t0, t1;
	int err;

	if (parse(&r.o, argc, argv))
		return 2;
	if (native_open(&r.n) || soft_open(&r.s, r.n.sh->has_fs, r.o.translated))
		return 3;
	for (unsigned m = 0; m < DM_COUNT * 2; m++)
		if (!(r.native[m / 2][m & 1] = calloc(insn_form_count, sizeof(u32))))
			return 3;
	gen_plan_open(&r.plan, r.s.model.features, r.o.form);
	if (!r.plan.count) {
		printf("diff: no such form\n");
		return 2;
	}
	report_open(&r.rep, &r.plan);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	err = loop(&r);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	printf("diff: %llu cases, %llu mismatches, %llu differed once but not again, %llu lost x87 "
	       "pointers on the host, %llu met the host's memory, %.1f s\n",
	       (unsigned long long)r.o.cases, (unsigned long long)r.mismatches,
	       (unsigned long long)r.host_noise, (unsigned long long)r.lost,
	       (unsigned long long)r.strayed,
	       (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
	err |= report_print(&r.rep, &r.plan, r.o.cases >= 1000000 && !r.o.form, r.o.list);
	for (unsigned m = 0; m < DM_COUNT && r.o.translated; m++)
		err |= report_translated(&r, m, r.o.cases >= 1000000 && !r.o.form);
	/* noise is rare, or it is no noise */
	err |= r.host_noise + r.strayed > 3 + r.o.cases / 1000000;
	native_close(&r.n);
	soft_close(&r.s);
	return err || r.mismatches ? 1 : 0;
}
