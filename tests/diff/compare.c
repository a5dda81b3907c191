/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare: field by field; prints what differs.
 */
#include "compare.h"

#include "spec/x86.h"

#define FLAGS_SEEN (FL_STATUS | FL_DF | FL_TF | FL_AC | FL_NT | FL_ID | FL_IF | FL_IOPL)

struct check {
	const struct diff_case *k;
	FILE *to;
	bool same, fs;
};

static void number(struct check *c, const char *what, u64 before, u64 host, u64 soft)
{
	if (likely(host == soft))
		return;
	c->same = false;
	if (c->to)
		fprintf(c->to, "  %-8s before %016llx host %016llx soft %016llx\n", what,
			(unsigned long long)before, (unsigned long long)host,
			(unsigned long long)soft);
}

static void put_bytes(FILE *to, const char *who, const u8 *p, unsigned n)
{
	fprintf(to, "    %s ", who);
	for (unsigned i = n; i--;)
		fprintf(to, "%02x%s", p[i], i % 8 ? "" : " ");
	fprintf(to, "\n");
}

static void bytes(struct check *c, const char *what, unsigned i, const u8 *before, const u8 *host,
		  const u8 *soft, unsigned n)
{
	if (likely(!memcmp(host, soft, n)))
		return;
	c->same = false;
	if (!c->to)
		return;
	fprintf(c->to, "  %s%u\n", what, i);
	if (before)
		put_bytes(c->to, "before", before, n);
	put_bytes(c->to, "host  ", host, n);
	put_bytes(c->to, "soft  ", soft, n);
}

static void registers(struct check *c, const struct diff_regs *b, const struct diff_regs *h,
		      const struct diff_regs *s, const struct allowance *a)
{
	static const char *const name[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					   "r8",  "r9",	 "r10", "r11", "r12", "r13", "r14", "r15"};
	u64 seen = FLAGS_SEEN & ~a->flags;

	for (unsigned i = 0; i < 16; i++)
		number(c, name[i], b->gpr[i], h->gpr[i], s->gpr[i]);
	number(c, "rip", b->rip, h->rip, s->rip);
	number(c, "rflags", b->rflags, h->rflags & seen, s->rflags & seen);
	number(c, "mxcsr", b->mxcsr, h->mxcsr, s->mxcsr);
	for (unsigned i = 0; i < 16; i++)
		bytes(c, "ymm", i, b->ymm[i], h->ymm[i], s->ymm[i], 32);
	number(c, "fcw", b->fcw, h->fcw, s->fcw);
	number(c, "fsw", b->fsw, h->fsw, s->fsw);
	number(c, "ftw", b->ftw, h->ftw, s->ftw);
	for (unsigned i = 0; i < 8; i++)
		bytes(c, "st", i, b->st[i], h->st[i], s->st[i], 10);
	if (c->fs && c->k->mode == DM_64) {
		number(c, "fs_base", b->fs_base, h->fs_base, s->fs_base);
		number(c, "gs_base", b->gs_base, h->gs_base, s->gs_base);
	}
	if (a->x87_pointers)
		return;
	number(c, "fop", b->fop, h->fop, s->fop);
	number(c, "fip", b->fip, h->fip, s->fip);
	if (!a->fdp)
		number(c, "fdp", b->fdp, h->fdp, s->fdp);
}

static void memory(struct check *c, const struct diff_result *h, const struct diff_result *s)
{
	if (likely(h->hash == s->hash && h->lines == s->lines))
		return;
	number(c, "memory", 0, h->hash, s->hash);
	for (unsigned i = 0; i < LINES && (i < h->lines || i < s->lines); i++) {
		if (i < h->lines && i < s->lines && h->line[i].at == s->line[i].at) {
			bytes(c, "at ", h->line[i].at, NULL, h->line[i].b, s->line[i].b, 64);
			continue;
		}
		if (c->to && i < h->lines)
			fprintf(c->to, "  host changed %x\n", h->line[i].at);
		if (c->to && i < s->lines)
			fprintf(c->to, "  soft changed %x\n", s->line[i].at);
	}
}

bool compare(const struct diff_case *k, const struct insn *in, struct diff_result *host,
	     struct diff_result *soft, FILE *to)
{
	struct check c = {k, to, true, host->r.fs_base || host->r.gs_base};
	struct allowance a;

	rules_vendor(k, in, host, soft);
	rules_allow(k, in, host, soft, &a);
	if (a.skip)
		return true;
	number(&c, "trap", 0, host->trap, soft->trap);
	if (host->trap != TRAP_NONE && host->trap == soft->trap) {
		number(&c, "error", 0, host->error, soft->error);
		if (host->trap == EXC_PF)
			number(&c, "cr2", 0, host->cr2, soft->cr2);
	}
	registers(&c, &k->r, &host->r, &soft->r, &a);
	memory(&c, host, soft);
	return c.same;
}

/* What FNSTENV, FNSAVE, FXSAVE or XSAVE wrote, but for bytes that are 0 on the host. */
static void memory_lost(const struct insn *in, const struct diff_result *h, struct diff_result *s)
{
	const char *name = in ? insn_forms[in->form].name : "";

	if (strncmp(name, "xsave", 5) && strncmp(name, "fxsave", 6) && strcmp(name, "fnstenv") &&
	    strcmp(name, "fnsave"))
		return;
	if (h->lines != s->lines || h->lines > LINES)
		return;
	for (unsigned i = 0; i < h->lines; i++)
		for (unsigned n = 0; n < 64; n++)
			if (h->line[i].at != s->line[i].at ||
			    (h->line[i].b[n] && h->line[i].b[n] != s->line[i].b[n]))
				return;
	s->hash = h->hash;
}

bool compare_pointers_lost(const struct diff_case *k, const struct insn *in,
			   const struct diff_result *host, const struct diff_result *soft)
{
	struct diff_result h = *host, s = *soft;

	s.r.fop = h.r.fop ? s.r.fop : 0;
	s.r.fip = h.r.fip ? s.r.fip : 0;
	s.r.fdp = h.r.fdp ? s.r.fdp : 0;
	memory_lost(in, &h, &s);
	return compare(k, in, &h, &s, NULL);
}
