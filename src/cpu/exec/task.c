/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task: hardware task switches between 16- and 32-bit TSSs (SDM 3A 7.3).
 *
 * Two halves. Up to the commit point every fault belongs to the old task; after it the new task's
 * registers are in place and faults in loading its segments are its own, at its first instruction.
 * Not reached in long mode.
 */
#include "cpu/flags.h"
#include "cpu/interp.h"
#include "cpu/mem.h"
#include "cpu/seg.h"

#include "cpu/exec/far.h"
#include "cpu/exec/system.h"

/* Where things are (SDM 3A figures 7-2 and 7-10). */
struct tss_layout {
	u8 reg;	     /* bytes of EIP, EFLAGS, general registers */
	u8 seg_step; /* bytes from one selector to the next */
	u8 segs;     /* selectors kept: the 16-bit TSS has no FS and GS */
	u8 ip, flags, gpr, seg, ldt;
	u8 save_end; /* first byte after what a switch away writes */
	u8 min_limit;
};
static const struct tss_layout tss16 = {2, 2, 4, 14, 16, 18, 34, 42, 42, 0x2b};
static const struct tss_layout tss32 = {4, 4, 6, 32, 36, 40, 72, 96, 96, 0x67};

#define TSS32_CR3  28
#define TSS32_TRAP 100
#define DR7_LOCAL  0x155u /* L0..L3, LE */

/* What a switch loads. */
struct task {
	u64 rip, flags, gpr[8], cr3;
	u16 sel[6], ldt;
	bool trap, wide;
};

static const struct tss_layout *tss_layout(u32 ar)
{
	return ar & 8 ? &tss32 : &tss16;
}

/* ---- the old task's half ---- */

static void task_read(struct cpu *c, u64 base, bool wide, struct task *t)
{
	const struct tss_layout *l = wide ? &tss32 : &tss16;

	*t = (struct task){.wide = wide};
	t->rip = sys_ld(c, sys_la(c, base, l->ip), l->reg);
	t->flags = sys_ld(c, sys_la(c, base, l->flags), l->reg);
	for (unsigned i = 0; i < 8; i++)
		t->gpr[i] = sys_ld(c, sys_la(c, base, l->gpr + i * l->reg), l->reg);
	for (unsigned i = 0; i < l->segs; i++)
		t->sel[i] = (u16)sys_ld(c, sys_la(c, base, l->seg + i * l->seg_step), 2);
	t->ldt = (u16)sys_ld(c, sys_la(c, base, l->ldt), 2);
	if (wide) {
		t->cr3 = sys_ld(c, sys_la(c, base, TSS32_CR3), 4);
		t->trap = sys_ld(c, sys_la(c, base, TSS32_TRAP), 2) & 1;
	}
}

static void task_save(struct cpu *c, u64 flags)
{
	const struct tss_layout *l = tss_layout(c->s.seg[S_TR].ar);
	u64 base = c->s.seg[S_TR].base;

	sys_st(c, sys_la(c, base, l->ip), l->reg, c->rip);
	sys_st(c, sys_la(c, base, l->flags), l->reg, flags);
	for (unsigned i = 0; i < 8; i++)
		sys_st(c, sys_la(c, base, l->gpr + i * l->reg), l->reg, c->r[i]);
	for (unsigned i = 0; i < l->segs; i++)
		sys_st(c, sys_la(c, base, l->seg + i * l->seg_step), 2, c->s.seg[i].sel);
}

/* Everything a switch will write is writable, so that nothing after this faults. */
static void task_probe(struct cpu *c, const struct desc *to, enum task_cause cause)
{
	const struct cpu_segment *tr = &c->s.seg[S_TR];
	const struct tss_layout *l = tss_layout(tr->ar);

	sys_probe_write(c, sys_la(c, tr->base, l->ip), l->save_end - l->ip);
	if (cause != TASK_CALL)
		sys_probe_write(c, sys_la(c, c->s.gdt.base, (tr->sel & 0xfff8u) + 5), 1);
	else
		sys_probe_write(c, desc_base(to->raw), 2);
	if (cause != TASK_IRET)
		sys_probe_write(c, sys_la(c, to->la, 5), 1);
}

/* ---- the new task's half ---- */

/* A bad PAE table shows at the new task's first access. */
static void load_cr3(struct cpu *c, u64 cr3)
{
	if (!(c->s.cr0 & CR0_PG))
		return;
	c->s.cr3 = cr3;
	if (c->s.cr4 & CR4_PAE && !pdpte_load(c, cr3))
		__builtin_memset(c->pdpte, 0, sizeof(c->pdpte));
	tlb_flush_nonglobal(c);
}

static void task_commit(struct cpu *c, const struct task *t, const struct desc *to, bool nested)
{
	u64 flags = t->flags & (t->wide ? 0x3f7fd5u : 0x7fd5u);

	seg_fill(&c->s.seg[S_TR], to->sel, to->raw | (u64)2 << 40);
	c->s.cr0 |= CR0_TS;
	if (t->wide)
		load_cr3(c, t->cr3);
	for (unsigned i = 0; i < 8; i++)
		c->r[i] = t->gpr[i];
	if (nested)
		flags |= FL_NT;
	fl_set_status(c, flags);
	c->rflags = (flags & ~(u64)FL_STATUS) | FL_R1;
	for (unsigned i = 0; i < 6; i++)
		seg_set_null(&c->s.seg[i], t->sel[i], 0);
	seg_set_null(&c->s.seg[S_LDTR], t->ldt, 0);
	c->cpl = flags & FL_VM ? 3 : t->sel[S_CS] & 3;
	c->rip = t->rip;
	/* Faults from here on are at the new task's RIP. */
	if (c->cur)
		c->blk_rip = c->rip - c->cur->off;
	cpu_update_mode(c);
	if (c->s.dr7 & DR7_LOCAL) {
		c->s.dr7 &= ~(u64)DR7_LOCAL;
		debug_update(c);
	}
}

static void load_ldt(struct cpu *c, u16 sel, u32 ext)
{
	struct desc d;

	if (sel_is_null(sel))
		return;
	if (sel & 4 || !desc_find(c, sel, &d) || desc_type(d.raw) != DT_LDT || !desc_present(d.raw))
		cpu_raise_err(c, EXC_TS, sel_error(sel, ext));
	seg_fill(&c->s.seg[S_LDTR], sel, d.raw);
}

static void load_cs(struct cpu *c, u16 sel, u32 ext)
{
	struct desc d;
	u32 ar;

	if (sel_is_null(sel))
		cpu_raise_err(c, EXC_TS, sel_error(sel, ext));
	desc_read(c, sel, EXC_TS, ext, &d);
	ar = desc_ar(d.raw);
	if (!ar_is_code(ar) ||
	    (ar & AR_CONFORMING ? ar_dpl(ar) > (sel & 3u) : ar_dpl(ar) != (sel & 3u)))
		cpu_raise_err(c, EXC_TS, sel_error(sel, ext));
	if (!(ar & AR_P))
		cpu_raise_err(c, EXC_NP, sel_error(sel, ext));
	desc_touch(c, &d);
	seg_fill(&c->s.seg[S_CS], sel, d.raw);
}

static void load_segments(struct cpu *c, const struct task *t, u32 ext)
{
	static const u8 data[] = {S_DS, S_ES, S_FS, S_GS};

	load_cs(c, t->sel[S_CS], ext);
	if (sel_is_null(t->sel[S_SS]))
		cpu_raise_err(c, EXC_TS, sel_error(t->sel[S_SS], ext));
	seg_check_ss(c, t->sel[S_SS], c->cpl, EXC_TS, ext, &c->s.seg[S_SS]);
	for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
		u16 sel = t->sel[data[i]];
		if (!sel_is_null(sel))
			seg_check_data(c, sel, c->cpl, EXC_TS, ext, &c->s.seg[data[i]]);
	}
}

static void task_enter(struct cpu *c, const struct task *t, u32 ext)
{
	load_ldt(c, t->ldt, ext);
	if (c->rflags & FL_VM) {
		for (unsigned i = 0; i < 6; i++)
			seg_set_v86(&c->s.seg[i], t->sel[i]);
	} else {
		load_segments(c, t, ext);
	}
	cpu_update_mode(c);
	if (c->rip > c->s.seg[S_CS].limit)
		cpu_raise_err(c, EXC_GP, ext);
}

/* ---- public ---- */

void task_switch(struct cpu *c, struct desc *to, enum task_cause cause, u32 ext, u64 rf)
{
	struct cpu_segment old = c->s.seg[S_TR];
	u64 base = desc_base(to->raw), flags = fl_get(c) | rf;
	bool wide = desc_type(to->raw) & 8;
	struct task t;

	if (desc_limit(to->raw) < (wide ? tss32 : tss16).min_limit)
		cpu_raise_err(c, EXC_TS, sel_error(to->sel, ext));
	if (old.ar & AR_UNUSABLE || old.limit < tss_layout(old.ar)->save_end - 1u)
		cpu_raise_err(c, EXC_TS, sel_error(old.sel, ext));
	task_probe(c, to, cause);
	task_read(c, base, wide, &t);

	if (cause == TASK_IRET)
		flags &= ~(u64)FL_NT;
	if (cause != TASK_CALL)
		desc_set_busy(c, sys_la(c, c->s.gdt.base, old.sel & 0xfff8u), false);
	task_save(c, flags);
	if (cause == TASK_CALL)
		sys_st(c, base, 2, old.sel);
	if (cause != TASK_IRET)
		desc_set_busy(c, to->la, true);
	task_commit(c, &t, to, cause == TASK_CALL);

	task_enter(c, &t, ext);
	if (t.trap)
		c->dr6_pending |= DR6_BT;
}

bool task_trapped(struct cpu *c, struct cpu_exception *x)
{
	if (likely(!(c->dr6_pending & DR6_BT)))
		return false;
	*x = (struct cpu_exception){.vector = EXC_DB, .kind = EXK_TRAP, .dr6 = c->dr6_pending};
	c->dr6_pending = 0;
	return true;
}

void task_trap(struct cpu *c)
{
	if (task_trapped(c, &c->exc))
		interp_deliver(c);
}

void task_gate(struct cpu *c, u64 gate, enum task_cause cause, u32 ext, u64 rf)
{
	u16 sel = (u16)(gate >> 16);
	struct desc d;
	unsigned type;

	if (sel & 4 || sel_is_null(sel))
		cpu_raise_err(c, EXC_GP, sel_error(sel, ext));
	desc_read(c, sel, EXC_GP, ext, &d);
	type = desc_type(d.raw);
	if (type != DT_TSS16_AVL && type != DT_TSS_AVL)
		cpu_raise_err(c, EXC_GP, sel_error(sel, ext));
	if (!desc_present(d.raw))
		cpu_raise_err(c, EXC_NP, sel_error(sel, ext));
	task_switch(c, &d, cause, ext, rf);
}
