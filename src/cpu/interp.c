/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interp: the live CPU's life: load and save, mode bits, raising, binding, uncached single steps.
 *
 * Entered by engine/soft (later metal) on the vCPU's thread. Exceptions leave instruction bodies by
 * a long jump to c->jb; the two functions that set it up are engine/soft's run loop and
 * interp_step().
 */
#include "cpu/interp.h"
#include "cpu/exec/system.h"
#include "cpu/flags.h"
#include "cpu/fpu.h"
#include "cpu/insn_forms.h"
#include "cpu/mem.h"

/* --- mode --- */

void cpu_update_view(struct cpu *c)
{
	if (c->cpl == 3)
		c->view = &c->views[VIEW_USER];
	else if (c->s.cr4 & CR4_SMAP && !(c->rflags & FL_AC))
		c->view = &c->views[VIEW_SMAP];
	else
		c->view = &c->views[VIEW_SUPER];
}

/* 4 GiB of writable expand-up data: outside 64-bit mode, needs no check if its base is 0. */
static bool segment_wide(const struct cpu_segment *s)
{
	return s->limit == 0xffffffffu &&
	       (s->ar & (AR_P | AR_S | AR_UNUSABLE | 0xe)) == (AR_P | AR_S | 2);
}

static bool code_flat(const struct cpu *c)
{
	const u32 bits = MODE_PE | MODE_VM | MODE_CS32 | MODE_SS32;
	const u32 data = BIT(S_ES) | BIT(S_SS) | BIT(S_DS);
	return (c->mode & bits) == (bits & ~MODE_VM) && !(c->seg_chk & data) &&
	       !c->s.seg[S_CS].base && c->s.seg[S_CS].limit == 0xffffffffu;
}

/* Software must not count on the upper halves after 64-bit mode (SDM 1 3.4.1.1). */
static void cut_registers(struct cpu *c)
{
	for (unsigned i = 0; i < 8; i++)
		c->r[i] = (u32)c->r[i];
}

static void update_segments(struct cpu *c)
{
	bool align = c->cpl == 3 && c->s.cr0 & CR0_AM && c->rflags & FL_AC;
	if (c->mode & MODE_64) {
		c->seg_base[S_ES] = c->seg_base[S_CS] = c->seg_base[S_SS] = c->seg_base[S_DS] = 0;
		c->seg_base[S_FS] = c->s.seg[S_FS].base;
		c->seg_base[S_GS] = c->s.seg[S_GS].base;
		c->seg_chk = align ? 0xff : 0;
		c->seg_wide = 0;
		c->flat = !align;
		return;
	}
	cut_registers(c);
	c->seg_chk = align ? 0xff : 0;
	c->seg_wide = 0;
	for (unsigned i = 0; i < 6; i++) {
		c->seg_base[i] = c->s.seg[i].base;
		if ((c->mode & (MODE_PE | MODE_VM)) == MODE_PE && segment_wide(&c->s.seg[i]))
			c->seg_wide |= BIT(i);
		if (!(c->seg_wide >> i & 1) || c->seg_base[i])
			c->seg_chk |= BIT(i);
	}
	c->flat = code_flat(c);
}

void cpu_update_mode(struct cpu *c)
{
	const struct cpu_segment *cs = &c->s.seg[S_CS];
	u32 mode = c->cpl;
	if (c->s.cr0 & CR0_PE) {
		mode |= MODE_PE;
		if (c->s.efer & EFER_LMA)
			mode |= MODE_LMA | (cs->ar & AR_L ? MODE_64 : 0);
		if (c->rflags & FL_VM)
			mode |= MODE_VM;
	}
	if (!(mode & MODE_64)) {
		mode |= cs->ar & AR_DB ? MODE_CS32 : 0;
		mode |= c->s.seg[S_SS].ar & AR_DB ? MODE_SS32 : 0;
	}
	mode |= c->s.cr0 & CR0_TS ? MODE_TS : 0;
	mode |= c->s.cr0 & CR0_EM ? MODE_EM : 0;
	mode |= c->s.cr4 & CR4_OSFXSR ? MODE_OSFXSR : 0;
	if (c->s.cr4 & CR4_OSXSAVE)
		mode |= MODE_OSXSAVE | ((c->s.xcr0 & 6) == 6 ? MODE_AVX : 0);
	/* RF only matters while a breakpoint is armed */
	if (!c->dr_armed)
		c->rflags &= ~(u64)FL_RF;
	if (c->rflags & FL_TF || c->dr_armed)
		mode |= MODE_STEP;
	c->mode = mode;
	update_segments(c);
	cpu_update_view(c);
	if (c->intr_wait && c->rflags & FL_IF)
		cpu_event(c, EV_INTR);
}

/* --- open, load, save --- */

void cpu_open(struct cpu *c, const struct cpu_model *model, const struct cpu_ops *ops, void *owner)
{
	__builtin_memset(c, 0, sizeof(*c));
	c->model = model;
	c->ops = ops;
	c->owner = owner;
	c->has_1g = cpu_model_cpuid(model, 0x80000001, 0).edx & BIT(26);
	c->cr4_allowed = cr4_allowed(model);
	c->cur = &c->step_insn;
}

void cpu_load(struct cpu *c, const struct cpu_state *s)
{
	if (c->fpu_live)
		fpu_store(c);
	c->s = *s;
	__builtin_memcpy(c->r, s->gpr, sizeof(s->gpr));
	c->r[16] = 0;
	c->rip = s->rip;
	c->rflags = (s->rflags & ~(u64)FL_STATUS) | FL_R1;
	fl_set_status(c, s->rflags);
	c->cpl = s->rflags & FL_VM ? 3
		 : s->cr0 & CR0_PE ? (s->seg[S_SS].ar >> AR_DPL_SHIFT) & 3
				   : 0;
	c->shadow = s->shadow;
	c->dr_armed = s->dr7 & DR7_ENABLED;
	c->x87_rip = s->fpu.fip;
	c->x87_dp = s->fpu.fdp;
	c->x87_op = s->fpu.fop;
	c->x87_cs = s->fpu.fcs;
	c->x87_ds = s->fpu.fds;
	if (s->cr0 & CR0_PG && s->cr4 & CR4_PAE && !(s->efer & EFER_LMA))
		pdpte_load(c, s->cr3);
	tlb_flush_all(c);
	cpu_update_mode(c);
	if (c->shadow)
		cpu_event(c, EV_SHADOW);
	cpu_event(c, EV_INTR);
}

void cpu_save(struct cpu *c, struct cpu_state *s)
{
	if (c->fpu_live)
		fpu_store(c);
	c->s.fpu.fip = c->x87_rip;
	c->s.fpu.fdp = c->x87_dp;
	c->s.fpu.fop = c->x87_op;
	c->s.fpu.fcs = c->x87_cs;
	c->s.fpu.fds = c->x87_ds;
	*s = c->s;
	__builtin_memcpy(s->gpr, c->r, sizeof(s->gpr));
	s->rip = c->rip;
	s->rflags = fl_get(c);
	s->shadow = c->shadow;
}

/* --- raising --- */

static noreturn_fn void leave(struct cpu *c, int why)
{
	c->jump = why;
	__builtin_longjmp(c->jb, 1);
}

noreturn_fn void cpu_raise(struct cpu *c, unsigned vector)
{
	c->exc.vector = (u8)vector;
	c->exc.has_error = false;
	c->exc.error = 0;
	c->exc.kind = EXK_FAULT;
	leave(c, CPU_JMP_EXCEPTION);
}

noreturn_fn void cpu_raise_err(struct cpu *c, unsigned vector, u32 error)
{
	c->exc.vector = (u8)vector;
	c->exc.has_error = true;
	c->exc.error = error;
	c->exc.kind = EXK_FAULT;
	leave(c, CPU_JMP_EXCEPTION);
}

noreturn_fn void cpu_raise_pf(struct cpu *c, u64 cr2, u32 error)
{
	c->exc.cr2 = cr2;
	cpu_raise_err(c, EXC_PF, error);
}

noreturn_fn void cpu_gp0(struct cpu *c)
{
	cpu_raise_err(c, EXC_GP, 0);
}

noreturn_fn void cpu_ud(struct cpu *c)
{
	cpu_raise(c, EXC_UD);
}

noreturn_fn void cpu_restart(struct cpu *c)
{
	leave(c, CPU_JMP_RESTART);
}

/* --- binding --- */

void interp_ud(struct cpu *c, const struct insn *in unused_arg)
{
	cpu_ud(c);
}
void interp_gp0(struct cpu *c, const struct insn *in unused_arg)
{
	cpu_gp0(c);
}
void interp_nm(struct cpu *c, const struct insn *in unused_arg)
{
	cpu_raise(c, EXC_NM);
}

/* SDM 3A 2.5 (EM, TS), 13.1.3 (OSFXSR), SDM 2A 2.4 (VEX). */
static insn_fn *state_guard(const struct insn_form *f, u32 mode)
{
	switch ((enum insn_state)f->state) {
	case IST_INT: return NULL;
	case IST_X87:
		if (f->opcode == 0x9b && f->map == 0) /* FWAIT looks at MP and TS itself */
			return NULL;
		return mode & (MODE_EM | MODE_TS) ? interp_nm : NULL;
	case IST_MMX:
		if (mode & MODE_EM)
			return interp_ud;
		break;
	case IST_SSE:
		if (mode & MODE_EM || !(mode & MODE_OSFXSR))
			return interp_ud;
		break;
	case IST_AVX:
		if (!(mode & MODE_AVX))
			return interp_ud;
		break;
	}
	return mode & MODE_TS ? interp_nm : NULL;
}

void interp_bind(struct insn *in, u32 mode)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned size = in->osz == 8 ? 3 : in->osz == 4 ? 2 : in->osz == 2 ? 1 : 0;
	insn_fn *guard = state_guard(f, mode);
	if (guard)
		in->fn = guard;
	else if (f->attr & IA_PRIV && (mode & MODE_CPL || mode & MODE_VM))
		in->fn = interp_gp0;
	else
		in->fn = f->body->f[size * 2 + (in->pfx & PFX_MEM ? 1 : 0)];
}

/* --- uncached fetch --- */

static u64 fetch_linear(struct cpu *c, u64 rip)
{
	if (c->mode & MODE_64) {
		if ((u64)((s64)(rip << 16) >> 16) != rip)
			cpu_gp0(c);
		return rip;
	}
	if (rip > c->s.seg[S_CS].limit)
		cpu_gp0(c);
	return (u32)(c->s.seg[S_CS].base + rip);
}

/* Bytes from RIP + n on, up to the end of their page; how many. */
static unsigned fetch_some(struct cpu *c, unsigned n, u8 *bytes, unsigned most)
{
	u64 rip = c->rip + n, la;
	const struct itlb_entry *e;
	unsigned some;
	if (!(c->mode & MODE_64))
		rip = c->mode & MODE_CS32 ? (u32)rip : rip;
	la = fetch_linear(c, rip);
	e = walk_fetch(c, la);
	if (unlikely(!e->host)) {
		*bytes = (u8)c->ops->mmio_read(c, e->gpa + (la & 0xfff), 1);
		return 1;
	}
	some = 0x1000 - (unsigned)(la & 0xfff);
	if (!(c->mode & MODE_64)) /* the limit, and where RIP wraps, may come first */
		some = 1;
	some = some < most ? some : most;
	__builtin_memcpy(bytes, e->host + (la & 0xfff), some);
	return some;
}

void interp_fetch(struct cpu *c, struct insn *in)
{
	u8 bytes[15];
	unsigned n = 0;
	int r;
	c->blk_rip = c->rip;
	in->off = 0;
	c->cur = in;
	do {
		n += fetch_some(c, n, bytes + n, (unsigned)sizeof(bytes) - n);
		r = insn_decode(in, bytes, n, c->rip, c->mode, c->model->features);
	} while (r == INSN_MORE && n < sizeof(bytes));
	in->off = 0;
	if (r == INSN_OK)
		interp_bind(in, c->mode);
	else
		in->fn = r == INSN_UD ? interp_ud : interp_gp0;
}

/* --- one instruction, with debug semantics (SDM 3A 17.3) --- */

static u64 code_breakpoints(const struct cpu *c)
{
	u64 la = c->mode & MODE_64 ? c->rip : (u32)(c->s.seg[S_CS].base + c->rip), hit = 0;
	for (unsigned i = 0; i < 4; i++)
		if (c->s.dr7 >> (i * 2) & 3 && !(c->s.dr7 >> (16 + i * 4) & 3) && c->s.dr[i] == la)
			hit |= BIT(i);
	return hit;
}

/* INT n and its like enter their handler with TF clear and without a single-step trap; SYSCALL and
 * SYSRET look at TF themselves. */
static bool swallows_step(const struct cpu *c, const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	if (f->map == 1)
		return f->opcode == 0x05 || f->opcode == 0x07;
	return f->map == 0 && (f->opcode == 0xcc || f->opcode == 0xcd || f->opcode == 0xf1 ||
			       (f->opcode == 0xce && fl_of(c)));
}

/* With DEBUGCTL.BTF only control transfers are steps (SDM 3B 17.4.3). */
static bool steps(const struct cpu *c, const struct insn *in)
{
	return likely(!(c->s.debugctl & DEBUGCTL_BTF)) || c->rip != cpu_next_rip(c, in);
}

static bool is_iret(const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	return f->map == 0 && f->opcode == 0xcf;
}

void interp_debug_trap(struct cpu *c)
{
	c->exc = (struct cpu_exception){.vector = EXC_DB, .kind = EXK_TRAP, .dr6 = c->dr6_pending};
	c->dr6_pending = 0;
	interp_deliver(c);
}

void interp_one(struct cpu *c)
{
	struct insn *in = &c->step_insn;
	bool tf = c->rflags & FL_TF, rf = c->rflags & FL_RF;
	u8 shadow = c->shadow;
	u64 hit;
	c->cur = in;
	c->blk_rip = c->rip;
	in->off = 0;
	in->len = 0;
	if (c->dr_armed && !rf && shadow != 2 && (hit = code_breakpoints(c)) != 0) {
		c->exc.dr6 = hit;
		cpu_raise(c, EXC_DB);
	}
	c->dr6_pending = c->s.pending_dbg;
	c->s.pending_dbg = 0;
	interp_fetch(c, in);
	tf = tf && !swallows_step(c, in);
	in->fn(c, in);
	c->insns++;
	if (!(insn_forms[in->form].attr & IA_END))
		c->rip = cpu_next_rip(c, in);
	if (rf && c->rflags & FL_RF && !is_iret(in)) {
		c->rflags &= ~(u64)FL_RF;
		cpu_update_mode(c);
	}
	if (shadow && c->shadow == shadow)
		c->shadow = 0;
	if (tf && steps(c, in))
		c->dr6_pending |= DR6_BS;
	if (likely(!c->dr6_pending))
		return;
	if (c->shadow == 2) { /* after MOV SS: with the next instruction */
		c->s.pending_dbg = c->dr6_pending & 15;
		return;
	}
	interp_debug_trap(c);
}

void interp_landed(struct cpu *c)
{
	if (c->world) {
		c->world = false;
		c->ops->world_start(c);
	}
	if (c->jump == CPU_JMP_EXCEPTION) {
		c->rip = cpu_insn_rip(c);
		c->exceptions++;
		c->shadow = 0;
		c->dr6_pending = 0;
		interp_deliver(c);
		return;
	}
	/* an iteration was the one instruction that STI or MOV SS shields */
	c->shadow = 0;
	if (c->mode & MODE_STEP && c->rflags & FL_TF && !(c->s.debugctl & DEBUGCTL_BTF))
		c->dr6_pending |= DR6_BS; /* a REP iteration counts as an instruction */
	if (c->dr6_pending)
		interp_debug_trap(c);
}

void interp_step(struct cpu *c)
{
	if (__builtin_setjmp(c->jb))
		interp_landed(c);
	else
		interp_one(c);
	cpu_keep_frame();
}
