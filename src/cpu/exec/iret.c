/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iret: return from interrupt in every mode (SDM 2A IRET/IRETD/IRETQ).
 *
 * Pops and checks first, commits last. The 64-bit form is on the hot path of every guest.
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

/* ---- flags ---- */

static void flags_merge(struct cpu *c, u64 image, u64 change)
{
	fl_set_status(c, image);
	c->rflags = (c->rflags & ~change) | (image & change & ~(u64)FL_STATUS);
	/* RF matters to instruction breakpoints alone; without any it would only linger. */
	if (!c->dr_armed)
		c->rflags &= ~(u64)FL_RF;
}

/* What IRET may change in protected mode at privilege cpl. */
static u64 flags_allowed(const struct cpu *c, unsigned cpl, unsigned size)
{
	u64 change = FL_TF | FL_DF | FL_NT;

	if (size > 2)
		change |= FL_RF | FL_AC | FL_ID;
	if (cpl <= (c->rflags & FL_IOPL) >> FL_IOPL_SHIFT)
		change |= FL_IF;
	if (!cpl) {
		change |= FL_IOPL;
		if (size > 2)
			change |= FL_VIF | FL_VIP;
	}
	return change;
}

/* ---- real and virtual-8086 mode ---- */

static void iret_real(struct cpu *c, unsigned size)
{
	struct cpu_segment cs = c->s.seg[S_CS];
	u64 rip, image, change = FL_TF | FL_IF | FL_DF | FL_NT | FL_IOPL;
	struct stk st;
	u16 sel;

	stk_current(c, &st, 0);
	rip = stk_pop(c, &st, size);
	sel = (u16)stk_pop(c, &st, size);
	image = stk_pop(c, &st, size);
	if (size > 2)
		change |= FL_RF | FL_AC | FL_ID;
	if (c->mode & MODE_VM) {
		change &= ~(u64)FL_IOPL;
		seg_set_v86(&cs, sel);
	} else {
		seg_set_real(&cs, sel);
	}
	if (rip > cs.limit)
		cpu_gp0(c);
	c->s.seg[S_CS] = cs;
	c->rip = rip;
	stk_set_sp(c, st.mask, st.sp);
	flags_merge(c, image, change);
	cpu_update_mode(c);
}

/* CR4.VME and IOPL < 3: IF is the virtual one. */
static void iret_vme(struct cpu *c)
{
	u64 rip, image;
	struct stk st;
	u16 sel;

	stk_current(c, &st, 0);
	rip = stk_pop(c, &st, 2);
	sel = (u16)stk_pop(c, &st, 2);
	image = stk_pop(c, &st, 2);
	if ((c->rflags & FL_VIP && image & FL_IF) || image & FL_TF)
		cpu_gp0(c);
	seg_set_v86(&c->s.seg[S_CS], sel);
	c->rip = rip;
	stk_set_sp(c, st.mask, st.sp);
	flags_merge(c, image, FL_TF | FL_DF | FL_NT);
	c->rflags = (c->rflags & ~(u64)FL_VIF) | (image & FL_IF ? FL_VIF : 0);
	cpu_update_mode(c);
}

static void iret_v86(struct cpu *c, unsigned size)
{
	if ((c->rflags & FL_IOPL) == FL_IOPL)
		iret_real(c, size);
	else if (size == 2 && c->s.cr4 & CR4_VME)
		iret_vme(c);
	else
		cpu_gp0(c);
}

/* CPL 0 into a virtual-8086 task: the stack has everything. */
static void iret_to_v86(struct cpu *c, struct stk *st, u64 rip, u16 cs, u64 image)
{
	static const u8 order[] = {S_SS, S_ES, S_DS, S_FS, S_GS};
	u16 sel[ARRAY_LEN(order)];
	u64 sp = stk_pop(c, st, 4);

	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		sel[i] = (u16)stk_pop(c, st, 4);
	rip &= 0xffff;

	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		seg_set_v86(&c->s.seg[order[i]], sel[i]);
	seg_set_v86(&c->s.seg[S_CS], cs);
	c->r[R_RSP] = (u32)sp;
	c->rip = rip;
	flags_merge(c, image, flags_allowed(c, 0, 4) | FL_VM);
	c->cpl = 3;
	cpu_update_mode(c);
}

/* ---- protected and long mode ---- */

static void iret_nested(struct cpu *c, const struct insn *in)
{
	const struct cpu_segment *tr = &c->s.seg[S_TR];
	struct desc d;
	unsigned type;
	u16 link;

	if (c->mode & MODE_LMA)
		cpu_gp0(c);
	link = (u16)sys_ld(c, sys_la(c, tr->base, 0), 2);
	if (link & 4 || sel_is_null(link))
		cpu_raise_err(c, EXC_TS, sel_error(link, 0));
	desc_read(c, link, EXC_TS, 0, &d);
	type = desc_type(d.raw);
	if (type != DT_TSS16_BUSY && type != DT_TSS_BUSY)
		cpu_raise_err(c, EXC_TS, sel_error(link, 0));
	if (!desc_present(d.raw))
		cpu_raise_err(c, EXC_NP, sel_error(link, 0));
	c->rip = cpu_next_rip(c, in);
	task_switch(c, &d, TASK_IRET, 0, 0);
	task_trap(c);
}

static void iret_same(struct cpu *c, const struct stk *st, const struct cpu_segment *cs, u64 rip)
{
	c->s.seg[S_CS] = *cs;
	c->rip = rip;
	stk_set_sp(c, st->mask, st->sp);
	cpu_update_mode(c);
}

static void iret_legacy(struct cpu *c, unsigned size)
{
	u64 rip, image, sp, change = flags_allowed(c, c->cpl, size);
	struct cpu_segment cs, ss;
	struct stk st;
	u16 sel;

	stk_current(c, &st, 0);
	rip = stk_pop(c, &st, size);
	sel = (u16)stk_pop(c, &st, size);
	image = stk_pop(c, &st, size);
	if (image & FL_VM && size == 4 && !c->cpl && !(c->mode & MODE_LMA)) {
		iret_to_v86(c, &st, rip, sel, image);
		return;
	}
	far_return_cs(c, sel, &cs);
	if ((sel & 3) == c->cpl) {
		rip = far_check_rip(c, &cs, rip, 0);
		flags_merge(c, image, change);
		iret_same(c, &st, &cs, rip);
		return;
	}
	sp = stk_pop(c, &st, size);
	far_return_ss(c, (u16)stk_pop(c, &st, size), &cs, &ss);
	rip = far_check_rip(c, &cs, rip, 0);
	flags_merge(c, image, change);
	far_return_outer(c, &cs, &ss, rip, sp);
}

/* RIP, CS, RFLAGS, RSP, SS. */
static void frame_read(struct cpu *c, unsigned size, u64 frame[5])
{
	struct stk st;
	const u64 *p = size == 8 ? tlb_read(c, c->r[R_RSP], 40) : NULL;

	if (likely(p != NULL)) {
		for (unsigned i = 0; i < 5; i++)
			frame[i] = ld64(p + i);
		return;
	}
	stk_current(c, &st, 0);
	for (unsigned i = 0; i < 5; i++)
		frame[i] = stk_pop(c, &st, size);
}

/* In 64-bit mode SS:RSP is always there. */
static void iret_64(struct cpu *c, unsigned size)
{
	u64 frame[5], rip, change = flags_allowed(c, c->cpl, size);
	struct cpu_segment cs, ss;

	frame_read(c, size, frame);
	far_return_cs(c, (u16)frame[1], &cs);
	far_return_ss(c, (u16)frame[4], &cs, &ss);
	rip = far_check_rip(c, &cs, frame[0], 0);
	flags_merge(c, frame[2], change);
	far_return_outer(c, &cs, &ss, rip, frame[3]);
}

/* ---- the instruction ---- */

static void iret(struct cpu *c, const struct insn *in)
{
	if (unlikely(c->s.nmi_blocked)) {
		c->s.nmi_blocked = false;
		if (c->s.nmi_pending)
			cpu_event(c, EV_NMI | EV_INTR);
	}
	if (likely(c->mode & MODE_64)) {
		if (unlikely(c->rflags & FL_NT))
			cpu_gp0(c);
		iret_64(c, in->osz);
	} else if (!(c->mode & MODE_PE)) {
		iret_real(c, in->osz);
	} else if (c->mode & MODE_VM) {
		iret_v86(c, in->osz);
	} else if (c->rflags & FL_NT) {
		iret_nested(c, in);
	} else {
		iret_legacy(c, in->osz);
	}
}
const struct insn_body x_iret = SAME(iret);
