/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen: the schedule of forms, and the registers of a case.
 */
#include "gen.h"

#include "spec/x86.h"

#define ATTEMPTS 40

/* --- schedule --- */

static bool offered(const struct insn_form *f, u64 features)
{
	return f->feature == CPU_FEAT_COUNT || features >> f->feature & 1;
}

/* What the privileged ones and their like do at CPL 3: refuse. RSM, VMCALL and the rest are left
 * out: a hypervisor below may have its own ideas. */
bool gen_refused(const struct insn_form *f)
{
	static const char *const name[] = {"cli",  "sti",  "in",    "out",  "ins",
					   "insb", "outs", "outsb", "clac", "stac"};

	if (f->attr & IA_PRIV && f->attr & IA_NOFUZZ)
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(name); i++)
		if (!strcmp(f->name, name[i]))
			return true;
	return false;
}

void gen_plan_open(struct gen_plan *p, u64 features, const char *only)
{
	p->count = 0;
	for (unsigned i = 0; i < insn_form_count && p->count < ARRAY_LEN(p->form); i++) {
		const struct insn_form *f = &insn_forms[i];
		if ((f->attr & IA_NOFUZZ && !gen_refused(f)) || !offered(f, features) ||
		    (only && strcmp(only, f->name)))
			continue;
		p->form[p->count++] = (u16)i;
	}
}

/* --- registers --- */

static void general(struct gen *g)
{
	u64 *r = g->k->r.gpr;

	for (unsigned i = 0; i < 16; i++)
		r[i] = rng_int(&g->r);
	if (rng_one_in(&g->r, 6))
		r[rng_below(&g->r, 16)] = r[rng_below(&g->r, 16)];
	if (rng_one_in(&g->r, 3))
		r[R_RCX] = rng_below(&g->r, 70);
	if (g->k->mode != DM_64)
		for (unsigned i = 0; i < 16; i++)
			r[i] = (u32)r[i];
}

static void x87(struct gen *g)
{
	struct diff_regs *r = &g->k->r;
	unsigned pending;

	r->fcw = (u16)(0x40 | (rng_next(&g->r) & 0xf00) | 0x3f);
	if (rng_one_in(&g->r, 2))
		r->fcw |= 0x300;
	if (rng_one_in(&g->r, 8))
		r->fcw &= (u16)(0xffc0 | rng_next(&g->r));
	r->fsw = (u16)(rng_next(&g->r) & 0x7f00);
	if (rng_one_in(&g->r, 3))
		r->fsw |= (u16)(rng_next(&g->r) & 0x7f);
	pending = r->fsw & ~r->fcw & 0x3f;
	if (pending && !rng_one_in(&g->r, 3))
		r->fsw &= (u16)~pending;
	else if (pending)
		r->fsw |= 0x8080;
	r->ftw = rng_one_in(&g->r, 3) ? (u8)rng_next(&g->r) : 0xff;
	r->fop = (u16)(rng_next(&g->r) & 0x7ff);
	r->fip = rng_next(&g->r) >> 17;
	r->fdp = rng_next(&g->r) >> 17;
	for (unsigned i = 0; i < 8; i++) {
		rng_f80(&g->r, r->st[i]);
		memset(r->st[i] + 10, 0, 6);
	}
}

static void vectors(struct gen *g)
{
	struct diff_regs *r = &g->k->r;
	bool upper = !rng_one_in(&g->r, 8);

	r->mxcsr = 0x1f80 | ((u32)rng_next(&g->r) & 0xe03f);
	if (rng_one_in(&g->r, 8))
		r->mxcsr ^= (u32)rng_next(&g->r) & 0x1f80;
	if (rng_one_in(&g->r, 8))
		r->mxcsr |= 0x40;
	if (!rng_one_in(&g->r, 4))
		r->mxcsr &= ~0x8000u;
	for (unsigned i = 0; i < 16; i++) {
		rng_vector(&g->r, r->ymm[i], 16);
		rng_vector(&g->r, r->ymm[i] + 16, 16);
		if (!upper)
			memset(r->ymm[i] + 16, 0, 16);
	}
	if (rng_one_in(&g->r, 6))
		memcpy(r->ymm[rng_below(&g->r, 16)], r->ymm[rng_below(&g->r, 16)], 32);
}

static void flags(struct gen *g)
{
	u64 fl = FL_R1 | FL_IF | (rng_next(&g->r) & FL_STATUS);

	if (rng_one_in(&g->r, 3))
		fl |= FL_DF;
	if (rng_one_in(&g->r, 24))
		fl |= FL_AC;
	g->k->r.rflags = fl;
}

static void place_code(struct gen *g)
{
	u64 at = BOX_CODE + 0x100 + rng_below(&g->r, BOX_CODE_SIZE - 0x200);

	if (rng_one_in(&g->r, 24))
		at = BOX_CODE + 0x1000 - rng_below(&g->r, 15);
	else if (rng_one_in(&g->r, 24)) /* may end in the hole */
		at = BOX_CODE + BOX_CODE_SIZE - 1 - rng_below(&g->r, 15);
	g->k->r.rip = at;
}

/* --- a case --- */

static enum diff_mode mode_of(struct gen *g)
{
	if (g->f->mode_mask != 3)
		return g->f->mode_mask == 2 ? DM_64 : DM_32;
	return rng_one_in(&g->r, 4) ? DM_32 : DM_64;
}

void gen_case(const struct soft *soft, const struct gen_plan *p, u64 seed, u64 index,
	      struct diff_case *k)
{
	struct gen g = {.r = {seed * 0xd1342543de82ef95ull ^ index * 0x9e3779b97f4a7c15ull},
			.soft = soft,
			.k = k};

	k->index = index;
	k->form = p->form[index % p->count];
	g.f = &insn_forms[k->form];
	rng_next(&g.r);
	k->mode = (u8)mode_of(&g);
	k->flush = rng_one_in(&g.r, 8);
	k->r.fs_base = k->mode == DM_64 ? BOX_FS : 0;
	k->r.gs_base = k->mode == DM_64 ? BOX_GS : 0;
	x87(&g);
	vectors(&g);
	flags(&g);
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		k->len_a = k->len_b = 0;
		place_code(&g);
		general(&g);
		gen_encode(&g);
		if (gen_operands(&g)) {
			for (unsigned n = 0; n < 16 && k->mode == DM_32; n++)
				k->r.gpr[n] = (u32)k->r.gpr[n];
			return;
		}
	}
	/* no way to point this form at the sandbox: an INT3 */
	k->code[0] = 0xcc;
	k->code_len = 1;
}
