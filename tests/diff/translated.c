/* SPDX-License-Identifier: Apache-2.0 */
/*
 * translated: see translated.h. The vCPU has an engine with one slot, the code pages, and neither
 * board nor devices; memory is the interpreter's.
 */
#include "translated.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "cpu/interp.h"
#include "engine/soft/impl.h"
#include "engine/soft/trans/gen.h"
#include "host/fail.h"

static struct cpu_ops with_drops;
static struct soft_page pages[BOX_CODE_SIZE / RAM_PAGE];

static void dropped(struct cpu *c, enum tlb_loss loss, u64 page, u64 n)
{
	soft_cpu_ops.dropped(c, loss, page, n);
}

struct cpu *translated_open(const struct cpu_model *model, const struct cpu_ops *ops, void *owner,
			    u8 *code)
{
	struct vcpu *v = aligned_alloc(4096, (sizeof(*v) + 4095) & ~4095ul);
	const char *lack;
	struct engine *e = calloc(1, sizeof(*e));

	if (!v || !e)
		return NULL;
	memset(v, 0, sizeof(*v));
	with_drops = *ops;
	with_drops.dropped = dropped;
	e->hot_runs = 1;
	e->check = true;
	e->cpus = 1;
	e->slots = 1;
	e->slot[0] = (struct soft_slot){
		.gpa = BOX_CODE, .size = BOX_CODE_SIZE, .host = code, .pages = pages};
	v->engine = e;
	cpu_open(&v->cpu, model, &with_drops, owner);
	lapic_init(&v->lapic, 0, true, model->maxphyaddr, &soft_lapic_ops, v);
	if (trans_open(v) || trans_thread(v, &lack)) {
		printf("diff: no translator here\n");
		return NULL;
	}
	return &v->cpu;
}

static bool ends(const struct insn *in)
{
	return in->fn == interp_ud || in->fn == interp_gp0 || in->fn == interp_nm ||
	       insn_forms[in->form].attr & IA_END;
}

/* The case's bytes were laid down behind the engine's back. */
static void code_is_new(struct vcpu *v)
{
	struct engine *e = v->engine;

	for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
		e->changed[e->changes++ % CHANGES] = &pages[i];
	trans_changed(v);
}

/* What the translator believes of a copied instruction, writes_gprs(), must be all that it does. */
static void writes_are_known(const struct cpu *c, const u64 before[16])
{
	const struct insn *in = &c->step_insn;
	u32 mask = writes_gprs(in);

	if (classify(in, c->mode).kind != T_COPY)
		return;
	for (unsigned i = 0; i < 16; i++)
		if (c->r[i] != before[i] && !(mask >> i & 1)) {
			printf("diff: %s writes register %u, which writes_gprs() does not know\n",
			       insn_forms[in->form].name, i);
			exit(1);
		}
}

bool translated_one(struct cpu *c)
{
	struct vcpu *v = (struct vcpu *)(void *)c;
	static u64 space[(sizeof(struct block) + 2 * sizeof(struct insn)) / 8 + 1];
	struct block *b = (struct block *)(void *)space;
	struct tblock *t;
	u64 page = (c->rip & ~0xfffull) - BOX_CODE, before[16];

	code_is_new(v);
	while (!trans_enter(v))
		;
	c->step_insn.len = 0;
	interp_fetch(c, &c->step_insn);
	/* the engine's blocks do not cross pages either */
	if (page >= BOX_CODE_SIZE || ((c->rip + c->step_insn.len - 1) ^ c->rip) >> 12) {
		interp_one(c);
		return false;
	}
	memset(b, 0, sizeof(*b));
	b->rip = b->gpa = c->rip; /* identity-mapped */
	b->page = &pages[page >> 12];
	b->mode = c->mode;
	b->count = b->retired = 1;
	b->bytes = c->step_insn.len;
	b->trusted = true;
	b->insn[0] = c->step_insn;
	b->insn[0].off = 0;
	if (!ends(&c->step_insn))
		b->count = 2; /* the pseudo-instruction that closes a block; not looked at */
	memcpy(before, c->r, sizeof(before));
	t = trans_block(v, b);
	if (v->failed) {
		printf("diff: %s\n", fail_text());
		exit(1);
	}
	if (!t) {
		interp_one(c);
		return false;
	}
	while (trans_run(v, t) == TX_PLAIN) {
		t = trans_plain(v, b, trans_block(v, b));
		if (!t) {
			interp_one(c);
			return false;
		}
	}
	writes_are_known(c, before);
	return true;
}

bool translated_fixup(void *ucontext)
{
	ucontext_t *uc = ucontext;
	u64 rip = (u64)uc->uc_mcontext.gregs[REG_RIP], r10 = (u64)uc->uc_mcontext.gregs[REG_R10];

	if (!trans_fixup(&rip, &r10))
		return false;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)rip;
	uc->uc_mcontext.gregs[REG_R10] = (greg_t)r10;
	return true;
}

bool translated_natively(u32 mode, const struct insn *in)
{
	struct tclass t = classify(in, mode);

	return t.kind != T_INTERP && t.kind != T_END;
}

u64 translated_dead(u32 mode, const struct insn *in)
{
	static const u16 fl[] = {FL_CF, FL_PF, FL_AF, FL_ZF, FL_SF, FL_OF};
	struct tclass t = classify(in, mode);
	u64 dead = 0;

	for (unsigned i = 0; i < 6; i++)
		dead |= (t.fl_kill & ~t.fl_read) >> i & 1 ? fl[i] : 0;
	return dead;
}
