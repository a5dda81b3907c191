/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff: one instruction at a time, on the host CPU and in the interpreter, from the same state.
 *
 * While the child executes one batch, this process makes the next and interprets the last. A
 * mismatch prints everything needed to run that case alone.
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

struct options {
	u64 seed, first, cases;
	const char *form;
	unsigned show;
	bool verbose, list;
};

struct run {
	struct options o;
	struct native n;
	struct soft s;
	struct gen_plan plan;
	struct report rep;
	u64 mismatches;
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

static void make_batch(struct run *r, struct diff_case *k, u64 from, u32 count)
{
	for (u32 i = 0; i < count; i++)
		gen_case(&r->s, &r->plan, r->o.seed, from + i, &k[i]);
}

static void check_batch(struct run *r, const struct diff_case *k, struct diff_result *host,
			u32 count)
{
	static struct diff_result soft;

	for (u32 i = 0; i < count; i++) {
		const struct insn *in;
		soft_run(&r->s, &k[i], &soft);
		in = r->s.form == 0xffff ? NULL : &r->s.insn;
		report_count(&r->rep, &k[i], in ? in->form : 0xffff, host[i].trap);
		if (likely(compare(&k[i], in, &host[i], &soft, NULL)))
			continue;
		r->mismatches++;
		report_mismatch(&r->rep, k[i].form);
		if (report_mismatches(&r->rep, k[i].form) <= r->o.show)
			print_mismatch(r, &k[i], in, &host[i], &soft);
	}
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
		check_batch(r, sh->k[slot], sh->out[slot], count);
		at += count;
		count = next;
	}
	return 0;
}

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"seed", 1, NULL, 's'}, {"cases", 1, NULL, 'n'}, {"first", 1, NULL, 'f'},
		{"form", 1, NULL, 'F'}, {"show", 1, NULL, 'S'},	 {"verbose", 0, NULL, 'v'},
		{"list", 0, NULL, 'l'}, {NULL, 0, NULL, 0},
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
		default: return -1;
		}
	return 0;
}

int main(int argc, char **argv)
{
	static struct run r;
	struct timespec t0, t1;
	int err;

	if (parse(&r.o, argc, argv))
		return 2;
	if (native_open(&r.n) || soft_open(&r.s, r.n.sh->has_fs))
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
	printf("diff: %llu cases, %llu mismatches, %.1f s\n", (unsigned long long)r.o.cases,
	       (unsigned long long)r.mismatches,
	       (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
	err |= report_print(&r.rep, &r.plan, r.o.cases >= 1000000 && !r.o.form, r.o.list);
	native_close(&r.n);
	soft_close(&r.s);
	return err || r.mismatches ? 1 : 0;
}
