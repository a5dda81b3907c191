/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate: events through the IDT: exceptions, interrupts, INT n (SDM 3A 6; SDM 2A INT n).
 *
 * interp_deliver() and interp_interrupt() are the run loop's entrance and never raise: they catch
 * what delivery itself raises and apply the double-fault table. far_interrupt() is one attempt.
 *
 * Trusts nothing in guest tables. Registers change only after the last possible fault.
 */
#include "cpu/flags.h"
#include "cpu/insn_forms.h"
#include "cpu/interp.h"
#include "cpu/mem.h"
#include "cpu/seg.h"

#include "cpu/exec/far.h"

#define SAME(fn)                                                                                   \
	{                                                                                          \
		{                                                                                  \
			fn, fn, fn, fn, fn, fn, fn, fn                                             \
		}                                                                                  \
	}

/* One attempt to deliver one event. */
struct event {
	u64 rf; /* FL_RF if the pushed image has it */
	u32 error;
	u32 ext; /* EXT bit of error codes */
	u8 vector;
	bool soft; /* INT n, INT3, INTO: gate DPL counts */
	bool has_error;
};

/* ---- helpers ---- */

static u32 idt_error(const struct event *e)
{
	return e->vector * 8u + 2 + e->ext;
}

/* What every gate of type INT also clears is IF. */
static void flags_enter(struct cpu *c, bool interrupt_gate)
{
	c->rflags &= ~(u64)(FL_TF | FL_NT | FL_RF | FL_VM);
	if (interrupt_gate)
		c->rflags &= ~(u64)FL_IF;
}

/* ---- real mode ---- */

static void event_real(struct cpu *c, const struct event *e)
{
	struct stk st;
	u64 vec;

	if (e->vector * 4u + 3 > c->s.idt.limit)
		cpu_raise_err(c, EXC_GP, idt_error(e));
	vec = sys_ld(c, sys_la(c, c->s.idt.base, e->vector * 4u), 4);
	stk_current(c, &st, 0);
	stk_push(c, &st, 2, fl_get(c));
	stk_push(c, &st, 2, c->s.seg[S_CS].sel);
	stk_push(c, &st, 2, c->rip);

	c->rflags &= ~(u64)(FL_IF | FL_TF | FL_AC | FL_RF);
	stk_set_sp(c, st.mask, st.sp);
	seg_set_real(&c->s.seg[S_CS], (u16)(vec >> 16));
	c->rip = vec & 0xffff;
	cpu_update_mode(c);
}

/* ---- long mode ---- */

/* CS of a long-mode gate. */
static void gate64_cs(struct cpu *c, u16 sel, u32 ext, struct cpu_segment *cs)
{
	struct desc d;
	u32 ar;

	if (sel_is_null(sel))
		cpu_raise_err(c, EXC_GP, ext);
	desc_read(c, sel, EXC_GP, ext, &d);
	ar = desc_ar(d.raw);
	if (unlikely(!ar_is_code(ar) || ar_dpl(ar) > c->cpl || (ar & (AR_L | AR_DB)) != AR_L))
		cpu_raise_err(c, EXC_GP, sel_error(sel, ext));
	if (unlikely(!(ar & AR_P)))
		cpu_raise_err(c, EXC_NP, sel_error(sel, ext));
	desc_touch(c, &d);
	seg_fill(cs, sel, d.raw);
}

static void event_long(struct cpu *c, const struct event *e)
{
	struct cpu_segment cs;
	u64 gate, high, rip, rsp, frame[6];
	unsigned type, ist, cpl, n = 5;

	if (unlikely(e->vector * 16u + 15 > c->s.idt.limit))
		cpu_raise_err(c, EXC_GP, idt_error(e));
	gate = sys_ld(c, c->s.idt.base + e->vector * 16u, 8);
	high = sys_ld(c, c->s.idt.base + e->vector * 16u + 8, 8);
	type = desc_type(gate);
	if (unlikely((type != DT_INT && type != DT_TRAP) || high >> 40 & 0x1f))
		cpu_raise_err(c, EXC_GP, idt_error(e));
	if (unlikely(e->soft && desc_dpl(gate) < c->cpl))
		cpu_raise_err(c, EXC_GP, idt_error(e));
	if (unlikely(!desc_present(gate)))
		cpu_raise_err(c, EXC_NP, idt_error(e));
	gate64_cs(c, (u16)(gate >> 16), e->ext, &cs);
	cpl = cs.ar & AR_CONFORMING ? c->cpl : ar_dpl(cs.ar);
	ist = gate >> 32 & 7;
	rsp = c->r[R_RSP];
	if (cpl != c->cpl || ist)
		rsp = far_tss_rsp(c, cpl, ist, e->ext);
	else if (!(c->mode & MODE_64))
		rsp = (u32)rsp;
	rip = (gate & 0xffff) | (gate >> 32 & 0xffff0000) | high << 32;

	if (unlikely(!is_canonical(rsp)))
		cpu_raise_err(c, EXC_SS, e->ext);
	if (unlikely(!is_canonical(rip)))
		cpu_raise_err(c, EXC_GP, e->ext);
	frame[0] = c->s.seg[S_SS].sel;
	frame[1] = c->r[R_RSP];
	frame[2] = fl_get(c) | e->rf;
	frame[3] = c->s.seg[S_CS].sel;
	frame[4] = c->rip;
	if (e->has_error)
		frame[n++] = e->error;
	rsp = stk_push64(c, cpl, rsp & ~0xfull, frame, n, e->ext);

	c->r[R_RSP] = rsp;
	if (cpl != c->cpl)
		seg_set_null(&c->s.seg[S_SS], (u16)cpl, cpl);
	c->cpl = (u8)cpl;
	c->s.seg[S_CS] = cs;
	c->s.seg[S_CS].sel = (u16)((cs.sel & ~3u) | cpl);
	c->rip = rip;
	flags_enter(c, type == DT_INT);
	cpu_update_mode(c);
}

/* ---- protected mode ---- */

static void push_frame(struct cpu *c, const struct event *e, struct stk *st, unsigned size)
{
	stk_push(c, st, size, fl_get(c) | e->rf);
	stk_push(c, st, size, c->s.seg[S_CS].sel);
	stk_push(c, st, size, c->rip);
	if (e->has_error)
		stk_push(c, st, size, e->error);
}

/* Out of virtual-8086 mode the data segments go on the stack too, and come back null. */
static void push_v86_segments(struct cpu *c, struct stk *st, unsigned size)
{
	stk_push(c, st, size, c->s.seg[S_GS].sel);
	stk_push(c, st, size, c->s.seg[S_FS].sel);
	stk_push(c, st, size, c->s.seg[S_DS].sel);
	stk_push(c, st, size, c->s.seg[S_ES].sel);
}

static void null_data_segments(struct cpu *c)
{
	seg_set_null(&c->s.seg[S_GS], 0, 0);
	seg_set_null(&c->s.seg[S_FS], 0, 0);
	seg_set_null(&c->s.seg[S_DS], 0, 0);
	seg_set_null(&c->s.seg[S_ES], 0, 0);
}

static void event_through(struct cpu *c, const struct event *e, u64 gate)
{
	unsigned size = desc_type(gate) & 8 ? 4 : 2, cpl;
	bool v86 = c->mode & MODE_VM, inner;
	u16 sel = (u16)(gate >> 16);
	struct cpu_segment cs;
	struct desc d;
	struct stk st;
	u64 rip;
	u32 ar;

	if (sel_is_null(sel))
		cpu_raise_err(c, EXC_GP, e->ext);
	desc_read(c, sel, EXC_GP, e->ext, &d);
	ar = desc_ar(d.raw);
	if (!ar_is_code(ar) || ar_dpl(ar) > c->cpl)
		cpu_raise_err(c, EXC_GP, sel_error(sel, e->ext));
	if (!(ar & AR_P))
		cpu_raise_err(c, EXC_NP, sel_error(sel, e->ext));
	cpl = ar & AR_CONFORMING ? c->cpl : ar_dpl(ar);
	if (v86 && cpl)
		cpu_raise_err(c, EXC_GP, sel_error(sel, e->ext));
	inner = cpl != c->cpl;
	if (inner)
		far_tss_stack(c, cpl, e->ext, &st);
	else
		stk_current(c, &st, e->ext);
	seg_fill(&cs, sel, d.raw);
	rip = (gate & 0xffff) | (size == 4 ? gate >> 32 & 0xffff0000 : 0);
	if (v86)
		push_v86_segments(c, &st, size);
	if (inner) {
		stk_push(c, &st, size, c->s.seg[S_SS].sel);
		stk_push(c, &st, size, c->r[R_RSP]);
	}
	push_frame(c, e, &st, size);
	rip = far_check_rip(c, &cs, rip, e->ext);
	desc_touch(c, &d);
	cs.ar |= AR_ACCESSED;

	c->s.seg[S_CS] = cs;
	c->s.seg[S_CS].sel = (u16)((sel & ~3u) | cpl);
	c->cpl = (u8)cpl;
	if (inner) {
		c->s.seg[S_SS] = st.ss;
		c->r[R_RSP] = (u32)st.sp;
	} else {
		stk_set_sp(c, st.mask, st.sp);
	}
	c->rip = rip;
	if (v86)
		null_data_segments(c);
	flags_enter(c, !(desc_type(gate) & 1));
	cpu_update_mode(c);
}

/* The new task's stack gets the error code. */
static void event_task(struct cpu *c, const struct event *e, u64 gate)
{
	struct stk st;

	task_gate(c, gate, TASK_CALL, e->ext, e->rf);
	if (e->has_error) {
		stk_current(c, &st, e->ext);
		stk_push(c, &st, c->s.seg[S_TR].ar & 8 ? 4 : 2, e->error);
		stk_set_sp(c, st.mask, st.sp);
	}
}

static void event_protected(struct cpu *c, const struct event *e)
{
	unsigned type;
	u64 gate;

	if (e->vector * 8u + 7 > c->s.idt.limit)
		cpu_raise_err(c, EXC_GP, idt_error(e));
	gate = sys_ld(c, sys_la(c, c->s.idt.base, e->vector * 8u), 8);
	type = desc_type(gate);
	if (type != DT_TASK && type != DT_INT16 && type != DT_TRAP16 && type != DT_INT &&
	    type != DT_TRAP)
		cpu_raise_err(c, EXC_GP, idt_error(e));
	if (e->soft && desc_dpl(gate) < c->cpl)
		cpu_raise_err(c, EXC_GP, idt_error(e));
	if (!desc_present(gate))
		cpu_raise_err(c, EXC_NP, idt_error(e));
	if (type == DT_TASK)
		event_task(c, e, gate);
	else
		event_through(c, e, gate);
}

static void event_go(struct cpu *c, const struct event *e)
{
	if (!(c->mode & MODE_PE))
		event_real(c, e);
	else if (c->mode & MODE_LMA)
		event_long(c, e);
	else
		event_protected(c, e);
}

/* ---- the run loop's entrance ---- */

noinline void far_interrupt(struct cpu *c, u8 vector, bool soft, bool has_error, u32 error,
			    bool external)
{
	struct event e = {.vector = vector,
			  .soft = soft,
			  .has_error = has_error,
			  .error = error,
			  .ext = !soft,
			  .rf = external && c->repeated ? FL_RF : 0};
	event_go(c, &e);
}

/* What an exception sets besides its frame. */
static void exception_enter(struct cpu *c, const struct cpu_exception *x)
{
	if (x->kind == EXK_SOFT || x->kind == EXK_EXTERNAL)
		return;
	if (x->vector == EXC_PF)
		c->s.cr2 = x->cr2;
	if (x->vector == EXC_DB) {
		c->s.dr6 = (c->s.dr6 & ~0xfull) | x->dr6;
		c->s.dr7 &= ~(u64)DR7_GD;
		c->s.debugctl &= ~(u64)DEBUGCTL_BTF;
	}
}

/* RF in the image (SDM 3A 17.3.1.1): faults but instruction breakpoints; interrupted REP. */
static u64 exception_rf(const struct cpu *c, const struct cpu_exception *x)
{
	bool rf = c->repeated && c->rip == cpu_insn_rip(c); /* still about to go on with it */

	if (x->kind == EXK_SOFT)
		return 0;
	if (x->kind == EXK_FAULT && !(x->vector == EXC_DB && x->dr6 & 0xf))
		rf = true;
	return rf ? FL_RF : 0;
}

static noinline void exception_go(struct cpu *c, const struct cpu_exception *x)
{
	struct event e = {.vector = x->vector,
			  .soft = x->kind == EXK_SOFT,
			  .has_error = x->has_error && x->kind != EXK_EXTERNAL,
			  .error = x->error,
			  .ext = x->kind != EXK_SOFT,
			  .rf = exception_rf(c, x)};

	event_go(c, &e);
}

/* Delivers *x, or returns false with the exception that came up instead in c->exc. */
static noinline bool exception_try(struct cpu *c, const struct cpu_exception *x)
{
	void *saved[5];

	__builtin_memcpy(saved, c->jb, sizeof(saved));
	if (__builtin_setjmp(c->jb)) {
		__builtin_memcpy(c->jb, saved, sizeof(saved));
		return false;
	}
	exception_go(c, x);
	__builtin_memcpy(c->jb, saved, sizeof(saved));
	return true;
}

/* SDM 3A table 6-4. */
enum exception_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT };

static enum exception_class exception_class(const struct cpu_exception *x)
{
	if (x->kind == EXK_SOFT || x->kind == EXK_EXTERNAL)
		return CLASS_BENIGN;
	if (x->vector == EXC_PF)
		return CLASS_PAGE_FAULT;
	if (x->vector == EXC_DE || (x->vector >= EXC_TS && x->vector <= EXC_GP))
		return CLASS_CONTRIBUTORY;
	return CLASS_BENIGN;
}

/* SDM 3A table 6-5: does `second`, raised while delivering `first`, make a double fault? */
static bool is_double_fault(const struct cpu_exception *first, const struct cpu_exception *second)
{
	enum exception_class a = exception_class(first), b = exception_class(second);

	if (a == CLASS_PAGE_FAULT)
		return b != CLASS_BENIGN;
	return a == CLASS_CONTRIBUTORY && b == CLASS_CONTRIBUTORY;
}

static void shut_down(struct cpu *c)
{
	c->s.activity = CPU_SHUTDOWN;
	cpu_event(c, EV_STOP);
}

/* Task gates can lead from one event to the next (T bits); a guest must not loop here for ever. */
#define DELIVER_MAX 16

void interp_deliver(struct cpu *c)
{
	struct cpu_exception x = c->exc;
	unsigned tries = 0;

	for (;;) {
		if (tries++ == DELIVER_MAX) {
			shut_down(c);
			return;
		}
		exception_enter(c, &x);
		if (likely(exception_try(c, &x))) {
			if (likely(!task_trapped(c, &x)))
				break;
			continue;
		}
		if (x.vector == EXC_DF && x.kind == EXK_FAULT &&
		    exception_class(&c->exc) != CLASS_BENIGN) {
			shut_down(c);
			return;
		}
		if (is_double_fault(&x, &c->exc)) {
			exception_enter(c, &c->exc);
			x = (struct cpu_exception){
				.vector = EXC_DF, .kind = EXK_FAULT, .has_error = true};
		} else {
			x = c->exc;
		}
	}
	c->repeated = false;
	c->shadow = 0;
	if (unlikely(c->s.activity == CPU_HALTED)) /* HLT under TF */
		c->s.activity = CPU_RUNNING;
}

void interp_interrupt(struct cpu *c, u8 vector)
{
	c->exc = (struct cpu_exception){.vector = vector, .kind = EXK_EXTERNAL};
	if (vector == EXC_NMI)
		c->s.nmi_blocked = true;
	interp_deliver(c);
}

/* ---- instructions ---- */

static void int_soft(struct cpu *c, const struct insn *in, u8 vector)
{
	c->rip = cpu_next_rip(c, in);
	far_interrupt(c, vector, true, false, 0, false);
	task_trap(c);
}

/* INT n with CR4.VME: through the IVT of the virtual-8086 task (SDM 3B 20.3.3). */
static void int_redirected(struct cpu *c, u8 vector)
{
	bool virtual_if = (c->rflags & FL_IOPL) != FL_IOPL;
	u64 image = fl_get(c), vec;
	struct stk st;

	vec = mem_ld(c, vector * 4u, 4);
	if (virtual_if) {
		image = (image & ~(u64)FL_IF) | FL_IOPL;
		if (image & FL_VIF)
			image |= FL_IF;
	}
	stk_current(c, &st, 0);
	stk_push(c, &st, 2, image);
	stk_push(c, &st, 2, c->s.seg[S_CS].sel);
	stk_push(c, &st, 2, c->rip);

	stk_set_sp(c, st.mask, st.sp);
	c->rflags &= ~(u64)(FL_TF | FL_NT | FL_RF | (virtual_if ? FL_VIF : FL_IF));
	seg_set_v86(&c->s.seg[S_CS], (u16)(vec >> 16));
	c->rip = vec & 0xffff;
	cpu_update_mode(c);
}

/* The bit of `vector` in the redirection bitmap, the 32 bytes below the I/O bitmap; set: to the
 * monitor. */
static bool int_to_monitor(struct cpu *c, u8 vector)
{
	const struct cpu_segment *tr = &c->s.seg[S_TR];
	u32 at;

	if (!(tr->ar & 8) || tr->limit < 103)
		cpu_gp0(c);
	at = (u32)sys_ld(c, sys_la(c, tr->base, 102), 2) - 32 + vector / 8;
	if (at > tr->limit)
		cpu_gp0(c);
	return sys_ld(c, sys_la(c, tr->base, at), 1) >> (vector & 7) & 1;
}

static void int_(struct cpu *c, const struct insn *in)
{
	u8 vector = (u8)in->imm;

	if (c->mode & MODE_VM) {
		if (c->s.cr4 & CR4_VME && !int_to_monitor(c, vector)) {
			c->rip = cpu_next_rip(c, in);
			int_redirected(c, vector);
			return;
		}
		if ((c->rflags & FL_IOPL) != FL_IOPL)
			cpu_gp0(c);
	}
	int_soft(c, in, vector);
}
const struct insn_body x_int = SAME(int_);

static void int3(struct cpu *c, const struct insn *in)
{
	int_soft(c, in, EXC_BP);
}
const struct insn_body x_int3 = SAME(int3);

static void into(struct cpu *c, const struct insn *in)
{
	if (fl_of(c))
		int_soft(c, in, EXC_OF);
	else
		c->rip = cpu_next_rip(c, in);
}
const struct insn_body x_into = SAME(into);

/* INT1: like a #DB from outside: no DPL check, nothing of its own in DR6. What MOV SS held back is
 * part of this #DB: a second one would find its handler on the same IST stack. */
static void int1(struct cpu *c, const struct insn *in)
{
	u64 held = c->dr6_pending;

	c->dr6_pending = 0;
	c->rip = cpu_next_rip(c, in);
	far_interrupt(c, EXC_DB, false, false, 0, false);
	if (held)
		c->s.dr6 = (c->s.dr6 & ~0xfull) | held;
	c->s.dr7 &= ~(u64)DR7_GD;
	c->s.debugctl &= ~(u64)DEBUGCTL_BTF;
	task_trap(c);
}
const struct insn_body x_int1 = SAME(int1);
