/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: entering and leaving translated code, and what its stubs call.
 *
 * Context: owner.
 */
#include <time.h>

#include "cpu/flags.h"
#include "cpu/fpu.h"
#include "cpu/insn_forms.h"
#include "cpu/interp.h"
#include "cpu/mem.h"
#include "engine/soft/impl.h"
#include "engine/soft/trans/layout.h"
#include "engine/soft/trans/recode.h"

/* A slot that misses more often than once in so many cycles is worse than a lookup. */
#define SLOT_MISSES 256u
#define SLOT_CYCLES 400u

/* --- running --- */

static u64 image_of(const struct cpu *c)
{
	return (fl_status(c) & 0xd5) << 8 | fl_of(c);
}

static void flags_in(struct cpu *c, u32 image)
{
	fl_set_status(c, (image >> 8 & 0xd5) | (image & 1 ? FL_OF : 0));
}

static void link_to(struct vcpu *v, struct tlink *l, struct tblock *t)
{
	struct tcache *k = v->trans->k;
	struct tblock *from;
	pthread_mutex_lock(&k->lock);
	from = from_of(l);
	if (!l->to && l->target == (t->block_rip & 0xfff) && from->page == t->page &&
	    !from->dropped && !t->dropped) {
		unsigned to = from->vec	 ? l->saved ? t->code_vec_saved : t->code_vec
			      : l->saved ? t->code_saved
					 : t->code;
		l->to = t;
		l->next = t->in;
		t->in = l;
		trans_rel32(from->start + l->rel, t->start + to);
		v->trans->links++;
		if (unlikely(v->engine->traced))
			trace_link(v, l, t);
	}
	pthread_mutex_unlock(&k->lock);
}

static void timer_arm(struct vcpu *v)
{
	u64 deadline = lapic_timer_deadline_ns(&v->lapic), now;
	struct itimerspec its = {{0, 0}, {0, 0}};
	if (deadline == v->armed)
		return;
	v->armed = deadline;
	if (deadline != LAPIC_NEVER) {
		now = clock_now(&v->engine->board->clock);
		now = deadline > now ? deadline - now : 1;
		its.it_value.tv_sec = (time_t)(now / 1000000000ull);
		its.it_value.tv_nsec = (long)(now % 1000000000ull);
	}
	timer_settime(v->host_timer, 0, &its, NULL);
}

/* What RDTSC needs: from here to the next body nothing of it changes. */
static void tsc_ready(struct vcpu *v)
{
	const struct clock *clock = v->trans->k->host_tsc;
	u64 here = (u64)&v->hot;
	if (!clock)
		return;
	v->hot.tsc_add = clock->base_guest_tsc - clock->base_tsc + v->tsc_offset;
	v->hot.tsc_gate[0] = here;
	v->hot.tsc_gate[1] = v->cpu.s.cr4 & CR4_TSD ? 0 : here;
}

const struct insn *trans_insn(struct vcpu *v, const struct tinsn *ti)
{
	struct trans *x = v->trans;
	const struct tblock *t;
	const u8 *raw;
	if (ti->copy)
		return (const struct insn *)(const void *)(x->k->store + ti->copy);
	t = trans_of(x->k, ti);
	raw = bytes_of(t);
	for (const struct tinsn *i = t->ti; i < ti; i++)
		raw += i->len;
	insn_decode(&x->cur, raw, ti->len, ti->rip, t->page->mode, v->cpu.model->features);
	interp_bind(&x->cur, t->page->mode);
	recode_general(&x->cur, t->page->mode); /* as it was translated */
	x->cur.off = 0;
	return &x->cur;
}

/* Those before ti in its block that nobody has noted. */
static void x87_late(struct vcpu *v, const struct tinsn *ti)
{
	const struct tcache *k = v->trans->k;
	const struct tinsn *first = trans_of(k, ti)->ti;
	bool ip = false;
	while (ti-- > first) {
		u32 it = (u32)((const u8 *)ti - k->store);
		if (!(ti->x87 & X87_NOTES))
			continue;
		if (!ip && ti->x87 & X87_LATE_IP)
			v->hot.x87 = it;
		ip = true;
		if (!(trans_insn(v, ti)->pfx & PFX_MEM))
			continue;
		if (ti->x87 & X87_LATE_DP) {
			v->hot.x87_dp = mem_ea(&v->cpu, trans_insn(v, ti));
			v->hot.x87_mem = it;
		}
		break;
	}
}

/* FIP and its like (exec/x87.c: note_insn), if translated code left them to be told, before ti is
 * done (NULL: between blocks). */
static noinline void x87_tell(struct vcpu *v, const struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	const u8 *store = v->trans->k->store;
	const struct insn *in;
	if (ti && ti->x87 & X87_BEFORE)
		x87_late(v, ti);
	if (v->hot.x87_mem) {
		in = trans_insn(v, (const struct tinsn *)(const void *)(store + v->hot.x87_mem));
		c->x87_dp = v->hot.x87_dp;
		c->x87_ds = c->s.seg[in->seg].sel;
		v->hot.x87_mem = 0;
	}
	if (v->hot.x87) {
		ti = (const struct tinsn *)(const void *)(store + v->hot.x87);
		in = trans_insn(v, ti);
		c->x87_rip = ti->rip;
		c->x87_cs = c->s.seg[S_CS].sel;
		c->x87_op = (u16)((in->opcode & 7u) << 8 | in->modrm);
		v->hot.x87 = 0;
	}
}

static always_inline void x87_pointers(struct vcpu *v, const struct tinsn *ti)
{
	if (unlikely(v->hot.x87 | v->hot.x87_mem || (ti && ti->x87 & X87_BEFORE)))
		x87_tell(v, ti);
}

/* 32-bit code adds its registers as numbers of 64 bits: whatever bodies do to the upper halves,
 * that must not lead it out of its pages. */
static void cut_registers(struct cpu *c)
{
	for (unsigned i = 0; i < 8 && !(c->mode & MODE_64); i++)
		c->r[i] = (u32)c->r[i];
}

enum trans_exit trans_run(struct vcpu *v, struct tblock *t)
{
	struct trans *x = v->trans;
	const struct tcache *k = x->k;
	struct cpu *c = &v->cpu;
	u64 (*enter)(void *, const u8 *);
	enum trans_exit reason;
	if (unlikely(!__atomic_load_n(&c->poll, __ATOMIC_RELAXED))) {
		/* in this order: who sets an event sets it first */
		__atomic_store_n(&c->poll, (u64)&c->event, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&c->event, __ATOMIC_SEQ_CST)) {
			__atomic_store_n(&c->poll, 0, __ATOMIC_SEQ_CST);
			return TX_EVENT;
		}
	}
	table_mode(v);
	cut_registers(c);
	tsc_ready(v);
	if (!v->lockstep)
		table_code(v, c->rip, t->page->desc);
	if (v->link && !v->lockstep)
		link_to(v, v->link, t);
	v->link = NULL;
	timer_arm(v);
	x->entries++;
	v->hot.status = (u32)image_of(c);
	v->hot.simd = 0;
	*(const u8 **)(void *)&enter = k->rx + (k->enter - k->rw);
	reason = (enum trans_exit)enter(&v->hot, k->rx + (t->start - k->rw) + t->code_saved);
	if (reason == TX_BODY)
		return reason;
	x87_pointers(v, NULL);
	flags_in(c, v->hot.status);
	switch (reason) {
	case TX_LINK: v->link = (struct tlink *)v->hot.link; break;
	case TX_IBL:
		x->ibl_misses++;
		table_looked(v, c->rip);
		break;
	default: break;
	}
	return reason;
}

/* --- what stubs call --- */

/* What raises points at this instruction. */
static void at(struct vcpu *v, const struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	struct insn *cur = &v->trans->cur;
	x87_pointers(v, ti);
	cur->form = ti->form;
	cur->seg = ti->seg;
	cur->len = ti->len;
	cur->off = 0;
	c->cur = cur;
	c->blk_rip = ti->rip;
}

/* Its body. */
static const struct insn *do_it(struct vcpu *v, const struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	const struct insn *in;
	x87_pointers(v, ti);
	in = trans_insn(v, ti);
	c->cur = in;
	c->blk_rip = ti->rip - in->off;
	in->fn(c, in);
	return in;
}

/* 1: leave, RIP is set. */
static u64 after_body(struct vcpu *v, const struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	table_mode(v);
	cut_registers(c);
	if (unlikely(trans_stale(v) || !c->flat)) { /* alignment is checked */
		c->rip = ti->rip + ti->len;
		return 1;
	}
	v->hot.status = (u32)image_of(c);
	if (v->hot.simd)
		fpu_need(c);
	return 0;
}

u64 trans_interp(struct vcpu *v, struct tinsn *ti)
{
	flags_in(&v->cpu, v->hot.status);
	do_it(v, ti);
	return after_body(v, ti);
}

/* 1: go on with what is known of RIP. */
u64 trans_interp_end(struct vcpu *v, struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	flags_in(c, v->hot.status);
	fast_learn(v, do_it(v, ti));
	tsc_ready(v);
	if (v->lockstep || __atomic_load_n(&c->event, __ATOMIC_RELAXED) || c->mode & MODE_STEP ||
	    !code_known(c, c->rip) || trans_stale(v))
		return 0;
	table_mode(v);
	cut_registers(c);
	v->hot.status = (u32)image_of(c);
	return 1;
}

/* In 32-bit code: does FS or GS add no more than its base, and lead to all of the operand? */
static bool within_segment(struct vcpu *v, const struct tinsn *ti)
{
	const struct cpu *c = &v->cpu;
	const struct insn *in;
	if (c->mode & MODE_64 || (ti->seg != S_FS && ti->seg != S_GS))
		return true;
	in = trans_insn(v, ti);
	if (!(in->pfx & PFX_MEM))
		return true;
	return c->seg_wide >> in->seg & 1 && mem_ea(c, in) + ti->size - 1 <= 0xffffffffu;
}

u64 trans_miss(struct vcpu *v, u64 insn, u64 va)
{
	struct tinsn *ti = (struct tinsn *)(insn & ~1ull);
	struct cpu *c = &v->cpu;
	bool write = insn & 1;
	enum cpu_view view = (enum cpu_view)(c->view - c->views);
	struct tlb_entry *e = &c->view->e[va >> 12 & (TLB_ENTRIES - 1)];
	unsigned at_end = insn_forms[ti->form].attr & IA_END;
	v->trans->misses++;
	table_looked(v, va);
	flags_in(c, v->hot.status);
	at(v, ti);
	if (canonical(va) && within_segment(v, ti)) {
		lockstep_fill(v, true);
		/* a fault of alignment comes before a page fault: the body knows */
		if ((write ? e->w : e->r) != va >> 12 && !(va & (ti->size - 1u)) &&
		    insn_forms[ti->form].state != IST_X87) /* as #MF does */
			walk_translate(c, va, write ? ACC_WRITE : ACC_READ, view);
		lockstep_fill(v, false);
		if ((write ? e->w : e->r) == va >> 12 && (va & 0xfff) + ti->size <= 0x1000) {
			table_fill(v, va, view);
			if (v->lockstep)
				e->w = TLB_NONE;
			return e->add + 1;
		}
	}
	do_it(v, ti);
	if (at_end)
		return 2;
	return after_body(v, ti) ? 2 : 0;
}

/* The instruction faulted in the host: its body says how the guest sees that. */
u64 trans_fault(struct vcpu *v, struct tinsn *ti)
{
	struct cpu *c = &v->cpu;
	flags_in(c, v->hot.status);
	do_it(v, ti);
	if (!(insn_forms[ti->form].attr & IA_END))
		c->rip = ti->rip + ti->len;
	return 0;
}

/* 0: no window for it: RIP is set, go on without. */
u64 trans_stack(struct vcpu *v, struct tguard *g)
{
	struct cpu *c = &v->cpu;
	unsigned base = g->leave ? R_RBP : R_RSP;
	x87_pointers(v, g->ti);
	table_looked(v, c->r[base]);
	if (table_stack(v, c->r[base] + (u64)(s64)g->lo, g->len))
		return 1;
	c->rip = g->ti->rip;
	v->plain = g;
	return 0;
}

/* The site meets another page all the time: lookups are better there. */
static void table_from_now_on(struct vcpu *v, const struct tinsn *ti)
{
	struct tcache *k = v->trans->k;
	struct tblock *t = trans_of(k, ti);
	pthread_mutex_lock(&k->lock);
	if (!t->dropped && !t->plain) {
		u64 known = trans_tabled(k, t->block_rip, t->page->mode);
		*trans_tabled_of(k, t->block_rip) = (struct tabled){
			.rip = t->block_rip,
			.mode = t->page->mode,
			.which = known | BIT64((u64)(ti - t->ti) % (t->count / t->rounds))};
		trans_drop(v, t);
	}
	pthread_mutex_unlock(&k->lock);
}

/* The page of a family, from va on, if it may be accessed as all of them will. 0: no window for it:
 * RIP is set, go on without. */
u64 trans_slot(struct vcpu *v, struct tguard *g, u64 va)
{
	const struct tinsn *ti = g->ti;
	struct cpu *c = &v->cpu;
	u64 page = va >> 12, own = va + g->own, now;
	struct tlb_entry *e = &c->view->e[page & (TLB_ENTRIES - 1)];
	v->trans->misses++;
	table_looked(v, va);
	flags_in(c, v->hot.status);
	at(v, ti);
	if (!(c->mode & MODE_64) && va >= LAST_PAGE) { /* the sum is cut */
		table_from_now_on(v, ti);
		goto plain;
	}
	if (!canonical(va) || (va & 0xfff) + g->len > RAM_PAGE)
		goto plain;
	lockstep_fill(v, true);
	/* faults of alignment and #MF come first: the body knows */
	if ((ti->write ? e->w : e->r) != page && !(own & (ti->size - 1u)) &&
	    insn_forms[ti->form].state != IST_X87)
		walk_translate(c, own, ti->write ? ACC_WRITE : ACC_READ,
			       (enum cpu_view)(c->view - c->views));
	lockstep_fill(v, false);
	if ((g->write ? e->w : e->r) != page)
		goto plain;
	table_fill(v, va, (enum cpu_view)(c->view - c->views));
	if (v->lockstep)
		e->w = TLB_NONE;
	table_slot(v, g->slot, va);
	if (!g->left) {
		now = __builtin_ia32_rdtsc();
		if (now - g->stamp < SLOT_MISSES * SLOT_CYCLES)
			table_from_now_on(v, ti);
		g->stamp = now;
		g->left = SLOT_MISSES;
	}
	return 1;
plain:
	c->rip = ti->rip;
	v->plain = g;
	return 0;
}

/* The entry of a family's page, as trans_slot(). 0: RIP is set, go on without. */
u64 trans_family(struct vcpu *v, struct tguard *g, u64 va)
{
	const struct tinsn *ti = g->ti;
	struct cpu *c = &v->cpu;
	enum cpu_view view = (enum cpu_view)(c->view - c->views);
	u64 page = va >> 12, own = va + g->own;
	struct tlb_entry *e = &c->view->e[page & (TLB_ENTRIES - 1)];
	v->trans->misses++;
	table_looked(v, va);
	flags_in(c, v->hot.status);
	at(v, ti);
	if (canonical(va) && (va & 0xfff) + g->len <= RAM_PAGE) {
		lockstep_fill(v, true);
		/* faults of alignment and #MF come first: the body knows */
		if ((ti->write ? e->w : e->r) != page && !(own & (ti->size - 1u)) &&
		    insn_forms[ti->form].state != IST_X87)
			walk_translate(c, own, ti->write ? ACC_WRITE : ACC_READ, view);
		lockstep_fill(v, false);
		if ((g->write ? e->w : e->r) == page) {
			table_fill(v, va, view);
			if (v->lockstep)
				e->w = TLB_NONE;
			return e->add + 1;
		}
	}
	if (!--g->left) /* again and again */
		table_from_now_on(v, ti);
	c->rip = ti->rip;
	v->plain = g;
	return 0;
}

void trans_fpu(struct vcpu *v)
{
	fpu_need(&v->cpu);
}
