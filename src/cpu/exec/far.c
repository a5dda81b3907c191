/* SPDX-License-Identifier: Apache-2.0 */
/*
 * far: far JMP, CALL and RET (SDM 2, "operation" of each; SDM 3A 5.8), and the helpers of far.h.
 *
 * IMM_FAR immediates: offset in imm, selector in disp.
 */
#include "cpu/flags.h"
#include "cpu/insn_forms.h"
#include "cpu/mem.h"
#include "cpu/seg.h"

#include "cpu/exec/far.h"

#define SAME(fn)                                                                                   \
	{                                                                                          \
		{                                                                                  \
			fn, fn, fn, fn, fn, fn, fn, fn                                             \
		}                                                                                  \
	}

static bool is_protected(const struct cpu *c)
{
	return (c->mode & (MODE_PE | MODE_VM)) == MODE_PE;
}

/* ---- stacks ---- */

void stk_current(const struct cpu *c, struct stk *st, u32 ext)
{
	st->ss = c->s.seg[S_SS];
	st->sp = c->r[R_RSP];
	st->mask = stk_mask(c);
	st->error = ext;
	st->cpl = c->cpl;
	st->flat = c->mode & MODE_64;
}

void stk_new(struct stk *st, const struct cpu_segment *ss, u64 sp, unsigned cpl, u32 error)
{
	st->flat = !ss;
	if (ss)
		st->ss = *ss;
	else
		seg_set_null(&st->ss, (u16)cpl, cpl);
	st->sp = sp;
	st->mask = st->flat ? ~0ull : st->ss.ar & AR_DB ? 0xffffffffu : 0xffffu;
	st->error = error;
	st->cpl = (u8)cpl;
}

static u64 stk_la(struct cpu *c, const struct stk *st, u64 off, unsigned size)
{
	if (st->flat) {
		if (unlikely(!is_canonical(off) || !is_canonical(off + size - 1)))
			cpu_raise_err(c, EXC_SS, st->error);
		return off;
	}
	if (unlikely(st->ss.ar & AR_UNUSABLE || !seg_in_limit(&st->ss, off, size)))
		cpu_raise_err(c, EXC_SS, st->error);
	return (u32)(st->ss.base + off);
}

/* The view stores of privilege cpl go through. */
static const struct tlb_view *cpl_view(const struct cpu *c, unsigned cpl)
{
	if (cpl == 3)
		return &c->views[VIEW_USER];
	return &c->views[c->s.cr4 & CR4_SMAP && !(c->rflags & FL_AC) ? VIEW_SMAP : VIEW_SUPER];
}

static u64 stk_move(const struct stk *st, u64 sp)
{
	return (st->sp & ~st->mask) | (sp & st->mask);
}

void stk_push(struct cpu *c, struct stk *st, unsigned size, u64 v)
{
	u64 sp = (st->sp - size) & st->mask;

	u64 la = stk_la(c, st, sp, size);
	const struct tlb_entry *e = &cpl_view(c, st->cpl)->e[la >> 12 & (TLB_ENTRIES - 1)];

	if (likely(e->w == (la + size - 1) >> 12))
		st_size((void *)(la + e->add), size, v);
	else
		cpl_st(c, st->cpl, la, size, v);
	st->sp = stk_move(st, sp);
}

u64 stk_pop(struct cpu *c, struct stk *st, unsigned size)
{
	u64 sp = st->sp & st->mask, la = stk_la(c, st, sp, size), v;
	const struct tlb_entry *e = &cpl_view(c, st->cpl)->e[la >> 12 & (TLB_ENTRIES - 1)];

	if (likely(e->r == (la + size - 1) >> 12))
		v = ld_size((const void *)(la + e->add), size);
	else
		v = cpl_ld(c, st->cpl, la, size);
	st->sp = stk_move(st, sp + size);
	return v;
}

u64 stk_push64(struct cpu *c, unsigned cpl, u64 sp, const u64 *v, unsigned n, u32 error)
{
	u64 low = sp - n * 8;
	const struct tlb_entry *e = &cpl_view(c, cpl)->e[low >> 12 & (TLB_ENTRIES - 1)];

	if (likely(e->w == low >> 12 && e->w == (sp - 1) >> 12 && !(sp & 7))) {
		u64 *p = (u64 *)(sp + e->add);
		for (unsigned i = 0; i < n; i++)
			__atomic_store_n(--p, v[i], __ATOMIC_RELAXED);
		return low;
	}
	if (!is_canonical(low) || !is_canonical(sp - 1))
		cpu_raise_err(c, EXC_SS, error);
	for (unsigned i = 0; i < n; i++)
		cpl_st(c, cpl, sp - 8 * (i + 1), 8, v[i]);
	return low;
}

/* ---- stacks out of the TSS ---- */

static u64 tss_at(struct cpu *c, u32 off, unsigned size)
{
	return sys_ld(c, sys_la(c, c->s.seg[S_TR].base, off), size);
}

static void tss_limit(struct cpu *c, u32 last, u32 ext)
{
	const struct cpu_segment *tr = &c->s.seg[S_TR];

	if (unlikely(tr->ar & AR_UNUSABLE || last > tr->limit))
		cpu_raise_err(c, EXC_TS, sel_error(tr->sel, ext));
}

void far_tss_stack(struct cpu *c, unsigned cpl, u32 ext, struct stk *st)
{
	struct cpu_segment ss;
	u32 off;
	u64 sp;
	u16 sel;

	if (c->s.seg[S_TR].ar & 8) {
		off = cpl * 8 + 4;
		tss_limit(c, off + 5, ext);
		sp = tss_at(c, off, 4);
		sel = (u16)tss_at(c, off + 4, 2);
	} else {
		off = cpl * 4 + 2;
		tss_limit(c, off + 3, ext);
		sp = tss_at(c, off, 2);
		sel = (u16)tss_at(c, off + 2, 2);
	}
	if (sel_is_null(sel))
		cpu_raise_err(c, EXC_TS, ext);
	seg_check_ss(c, sel, cpl, EXC_TS, ext, &ss);
	stk_new(st, &ss, sp, cpl, sel_error(sel, ext));
}

u64 far_tss_rsp(struct cpu *c, unsigned cpl, unsigned ist, u32 ext)
{
	u32 off = ist ? ist * 8 + 28 : cpl * 8 + 4;

	tss_limit(c, off + 7, ext);
	return tss_at(c, off, 8);
}

/* ---- code segments ---- */

u64 far_check_rip(struct cpu *c, const struct cpu_segment *cs, u64 rip, u32 ext)
{
	if (c->mode & MODE_LMA && cs->ar & AR_L) {
		if (unlikely(!is_canonical(rip)))
			cpu_raise_err(c, EXC_GP, ext);
		return rip;
	}
	rip = (u32)rip;
	if (unlikely(rip > cs->limit))
		cpu_raise_err(c, EXC_GP, ext);
	return rip;
}

/* L and D together mean nothing in long mode. */
static bool code_size_bad(const struct cpu *c, u32 ar)
{
	return c->mode & MODE_LMA && (ar & (AR_L | AR_DB)) == (AR_L | AR_DB);
}

static void commit_cs(struct cpu *c, const struct cpu_segment *cs, unsigned cpl)
{
	c->s.seg[S_CS] = *cs;
	c->s.seg[S_CS].sel = (u16)((cs->sel & ~3u) | cpl);
	c->cpl = (u8)cpl;
}

/* Real and virtual-8086 mode: any selector goes. */
static void commit_cs_real(struct cpu *c, u16 sel, u64 rip)
{
	struct cpu_segment cs = c->s.seg[S_CS];

	if (c->mode & MODE_VM)
		seg_set_v86(&cs, sel);
	else
		seg_set_real(&cs, sel);
	if (rip > cs.limit)
		cpu_gp0(c);
	c->s.seg[S_CS] = cs;
	c->rip = rip;
}

/* ---- JMP and CALL ---- */

struct far_call {
	u16 sel;
	u64 off;       /* cut to the operand size */
	unsigned size; /* operand size in bytes */
	bool call;
	u64 next; /* return address */
};

/* A code segment named directly by JMP or CALL. */
static void far_direct(struct cpu *c, const struct far_call *f, struct desc *d)
{
	u32 ar = desc_ar(d->raw);
	struct cpu_segment cs;
	struct stk st;
	u64 rip;

	if (code_size_bad(c, ar))
		cpu_raise_err(c, EXC_GP, sel_error(f->sel, 0));
	if (ar & AR_CONFORMING ? ar_dpl(ar) > c->cpl
			       : (f->sel & 3) > c->cpl || ar_dpl(ar) != c->cpl)
		cpu_raise_err(c, EXC_GP, sel_error(f->sel, 0));
	if (!(ar & AR_P))
		cpu_raise_err(c, EXC_NP, sel_error(f->sel, 0));
	stk_current(c, &st, 0);
	if (f->call) {
		stk_push(c, &st, f->size, c->s.seg[S_CS].sel);
		stk_push(c, &st, f->size, f->next);
	}
	desc_touch(c, d);
	seg_fill(&cs, f->sel, d->raw);
	rip = far_check_rip(c, &cs, f->off, 0);

	commit_cs(c, &cs, c->cpl);
	if (f->call)
		stk_set_sp(c, st.mask, st.sp);
	c->rip = rip;
	cpu_update_mode(c);
}

/* CALL through a gate to a more privileged level. `params` words of `size` bytes move along. */
static void gate_inner(struct cpu *c, const struct cpu_segment *cs, u64 off, unsigned size,
		       unsigned params, u64 next)
{
	unsigned dpl = ar_dpl(cs->ar);
	u64 param[31], rip;
	struct stk old, st;

	stk_current(c, &old, 0);
	if (c->mode & MODE_LMA) { /* no parameters */
		u64 rsp = far_tss_rsp(c, dpl, 0, 0);
		stk_new(&st, NULL, rsp, dpl, 0);
	} else {
		far_tss_stack(c, dpl, 0, &st);
	}
	rip = far_check_rip(c, cs, off, 0);
	stk_push(c, &st, size, c->s.seg[S_SS].sel);
	stk_push(c, &st, size, c->r[R_RSP]);
	for (unsigned i = 0; i < params; i++)
		param[i] = stk_pop(c, &old, size);
	for (unsigned i = params; i-- > 0;)
		stk_push(c, &st, size, param[i]);
	stk_push(c, &st, size, c->s.seg[S_CS].sel);
	stk_push(c, &st, size, next);

	commit_cs(c, cs, dpl);
	c->s.seg[S_SS] = st.ss;
	c->r[R_RSP] = st.flat ? st.sp : (u32)st.sp;
	c->rip = rip;
	cpu_update_mode(c);
}

/* JMP or CALL through a call gate, the target checked, no change of privilege. */
static void gate_same(struct cpu *c, const struct far_call *f, const struct cpu_segment *cs,
		      u64 off, unsigned size)
{
	struct stk st;
	u64 rip;

	stk_current(c, &st, 0);
	if (c->mode & MODE_LMA) { /* the push is already that of 64-bit mode */
		st.mask = ~0ull;
		st.flat = true;
		st.sp = c->mode & MODE_64 ? st.sp : (u32)st.sp;
	}
	if (f->call) {
		stk_push(c, &st, size, c->s.seg[S_CS].sel);
		stk_push(c, &st, size, f->next);
	}
	rip = far_check_rip(c, cs, off, 0);
	commit_cs(c, cs, c->cpl);
	if (f->call)
		stk_set_sp(c, st.mask, st.sp);
	c->rip = rip;
	cpu_update_mode(c);
}

static void far_gate(struct cpu *c, const struct far_call *f, const struct desc *gate)
{
	bool lng = c->mode & MODE_LMA;
	unsigned size = lng ? 8 : desc_type(gate->raw) == DT_CALL ? 4 : 2;
	u64 off = (gate->raw & 0xffff) | (gate->raw >> 32 & 0xffff0000);
	u16 sel = (u16)(gate->raw >> 16);
	struct cpu_segment cs;
	struct desc d;
	u64 high;
	u32 ar;

	if (desc_dpl(gate->raw) < c->cpl || desc_dpl(gate->raw) < (f->sel & 3u))
		cpu_raise_err(c, EXC_GP, sel_error(f->sel, 0));
	if (lng) {
		high = desc_read_high(c, gate, EXC_GP, 0);
		if (high >> 40 & 0x1f)
			cpu_raise_err(c, EXC_GP, sel_error(f->sel, 0));
		off |= high << 32;
	}
	if (!desc_present(gate->raw))
		cpu_raise_err(c, EXC_NP, sel_error(f->sel, 0));
	if (sel_is_null(sel))
		cpu_gp0(c);
	desc_read(c, sel, EXC_GP, 0, &d);
	ar = desc_ar(d.raw);
	if (!ar_is_code(ar) || ar_dpl(ar) > c->cpl ||
	    (!f->call && !(ar & AR_CONFORMING) && ar_dpl(ar) != c->cpl) ||
	    (lng && (ar & (AR_L | AR_DB)) != AR_L))
		cpu_raise_err(c, EXC_GP, sel_error(sel, 0));
	if (!(ar & AR_P))
		cpu_raise_err(c, EXC_NP, sel_error(sel, 0));
	if (size == 2)
		off &= 0xffff;
	desc_touch(c, &d);
	seg_fill(&cs, sel, d.raw);

	if (f->call && !(ar & AR_CONFORMING) && ar_dpl(ar) < c->cpl)
		gate_inner(c, &cs, off, size, lng ? 0 : gate->raw >> 32 & 0x1f, f->next);
	else
		gate_same(c, f, &cs, off, size);
}

static void far_task(struct cpu *c, const struct far_call *f, struct desc *d)
{
	enum task_cause cause = f->call ? TASK_CALL : TASK_JMP;

	if (desc_dpl(d->raw) < c->cpl || desc_dpl(d->raw) < (f->sel & 3u))
		cpu_raise_err(c, EXC_GP, sel_error(f->sel, 0));
	if (!desc_present(d->raw))
		cpu_raise_err(c, EXC_NP, sel_error(f->sel, 0));
	c->rip = f->next;
	if (desc_type(d->raw) == DT_TASK)
		task_gate(c, d->raw, cause, 0, 0);
	else
		task_switch(c, d, cause, 0, 0);
	task_trap(c);
}

static void far_protected(struct cpu *c, const struct far_call *f)
{
	struct desc d;

	if (sel_is_null(f->sel))
		cpu_gp0(c);
	desc_read(c, f->sel, EXC_GP, 0, &d);
	if (ar_is_code(desc_ar(d.raw))) {
		far_direct(c, f, &d);
		return;
	}
	switch (desc_type(d.raw)) {
	case DT_CALL16:
		if (c->mode & MODE_LMA)
			break;
		/* fall through */
	case DT_CALL: far_gate(c, f, &d); return;
	case DT_TASK:
	case DT_TSS16_AVL:
	case DT_TSS_AVL:
		if (c->mode & MODE_LMA)
			break;
		far_task(c, f, &d);
		return;
	default: break;
	}
	cpu_raise_err(c, EXC_GP, sel_error(f->sel, 0));
}

static void far_real(struct cpu *c, const struct far_call *f)
{
	struct stk st;

	stk_current(c, &st, 0);
	if (f->call) {
		stk_push(c, &st, f->size, c->s.seg[S_CS].sel);
		stk_push(c, &st, f->size, f->next);
	}
	commit_cs_real(c, f->sel, f->off);
	if (f->call)
		stk_set_sp(c, st.mask, st.sp);
	cpu_update_mode(c);
}

static void far_go(struct cpu *c, const struct insn *in, u16 sel, u64 off, unsigned size, bool call)
{
	struct far_call f = {.sel = sel, .off = off & mask64(size * 8), .size = size, .call = call};

	f.next = cpu_next_rip(c, in);
	if (is_protected(c))
		far_protected(c, &f);
	else
		far_real(c, &f);
}

static void far_go_mem(struct cpu *c, const struct insn *in, bool call)
{
	unsigned size = far_ptr_size(c, in);
	u64 la = mem_addr(c, in, size + 2, ACC_READ);
	u64 off = mem_ld(c, la, size);

	far_go(c, in, (u16)mem_ld(c, la + size, 2), off, size, call);
}

static void callf_I(struct cpu *c, const struct insn *in)
{
	far_go(c, in, (u16)in->disp, in->imm, in->osz, true);
}
const struct insn_body x_callf_I = SAME(callf_I);

static void jmpf_I(struct cpu *c, const struct insn *in)
{
	far_go(c, in, (u16)in->disp, in->imm, in->osz, false);
}
const struct insn_body x_jmpf_I = SAME(jmpf_I);

static void callf_M(struct cpu *c, const struct insn *in)
{
	far_go_mem(c, in, true);
}
const struct insn_body x_callf_M = SAME(callf_M);

static void jmpf_M(struct cpu *c, const struct insn *in)
{
	far_go_mem(c, in, false);
}
const struct insn_body x_jmpf_M = SAME(jmpf_M);

/* ---- returns ---- */

void far_return_cs(struct cpu *c, u16 sel, struct cpu_segment *cs)
{
	unsigned rpl = sel & 3;
	struct desc d;
	u32 ar;

	if (sel_is_null(sel))
		cpu_gp0(c);
	desc_read(c, sel, EXC_GP, 0, &d);
	ar = desc_ar(d.raw);
	if (!ar_is_code(ar) || rpl < c->cpl || code_size_bad(c, ar) ||
	    (ar & AR_CONFORMING ? ar_dpl(ar) > rpl : ar_dpl(ar) != rpl))
		cpu_raise_err(c, EXC_GP, sel_error(sel, 0));
	if (!(ar & AR_P))
		cpu_raise_err(c, EXC_NP, sel_error(sel, 0));
	desc_touch(c, &d);
	seg_fill(cs, sel, d.raw);
}

void far_return_ss(struct cpu *c, u16 sel, const struct cpu_segment *cs, struct cpu_segment *ss)
{
	unsigned rpl = cs->sel & 3;

	if (sel_is_null(sel)) {
		/* Fine for 64-bit code that is not the user's. */
		if (!(c->mode & MODE_LMA) || !(cs->ar & AR_L) || rpl == 3)
			cpu_gp0(c);
		if ((sel & 3u) != rpl)
			cpu_raise_err(c, EXC_GP, sel_error(sel, 0));
		seg_set_null(ss, sel, rpl);
		return;
	}
	seg_check_ss(c, sel, rpl, EXC_GP, 0, ss);
}

void far_return_outer(struct cpu *c, const struct cpu_segment *cs, const struct cpu_segment *ss,
		      u64 rip, u64 sp)
{
	unsigned cpl = cs->sel & 3;
	bool outer = cpl != c->cpl;

	commit_cs(c, cs, cpl);
	c->s.seg[S_SS] = *ss;
	if (c->mode & MODE_LMA && cs->ar & AR_L)
		stk_set_sp(c, ~0ull, sp);
	else
		stk_set_sp(c, ss->ar & AR_DB ? 0xffffffffu : 0xffffu, sp);
	c->rip = rip;
	if (outer)
		seg_drop_privileged(c);
	cpu_update_mode(c);
}

static void retf_protected(struct cpu *c, unsigned size, unsigned drop)
{
	struct cpu_segment cs, ss;
	struct stk st;
	u64 rip, sp;
	u16 sel;

	stk_current(c, &st, 0);
	rip = stk_pop(c, &st, size);
	sel = (u16)stk_pop(c, &st, size);
	far_return_cs(c, sel, &cs);
	st.sp = stk_move(&st, (st.sp & st.mask) + drop);
	if ((sel & 3) == c->cpl) {
		rip = far_check_rip(c, &cs, rip, 0);
		commit_cs(c, &cs, c->cpl);
		stk_set_sp(c, st.mask, st.sp);
		c->rip = rip;
		cpu_update_mode(c);
		return;
	}
	sp = stk_pop(c, &st, size);
	far_return_ss(c, (u16)stk_pop(c, &st, size), &cs, &ss);
	rip = far_check_rip(c, &cs, rip, 0);
	far_return_outer(c, &cs, &ss, rip, sp + drop);
}

static void retf_any(struct cpu *c, unsigned size, unsigned drop)
{
	struct stk st;
	u64 rip;
	u16 sel;

	if (is_protected(c)) {
		retf_protected(c, size, drop);
		return;
	}
	stk_current(c, &st, 0);
	rip = stk_pop(c, &st, size);
	sel = (u16)stk_pop(c, &st, size);
	commit_cs_real(c, sel, rip);
	stk_set_sp(c, st.mask, st.sp + drop);
	cpu_update_mode(c);
}

static void retf(struct cpu *c, const struct insn *in)
{
	retf_any(c, in->osz, 0);
}
const struct insn_body x_retf = SAME(retf);

static void retf_I(struct cpu *c, const struct insn *in)
{
	retf_any(c, in->osz, (u16)in->imm);
}
const struct insn_body x_retf_I = SAME(retf_I);
