/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall: SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM 2B; AMD APM 3).
 *
 * Segments are made up, not read. Where the vendors disagree the model's vendor decides: AMD has
 * SYSCALL and SYSRET outside 64-bit mode and no SYSENTER in long mode, Intel the reverse; Intel's
 * SYSRET faults on a non-canonical RCX before it leaves CPL 0, AMD's after.
 */
#include "cpu/flags.h"
#include "cpu/insn_forms.h"
#include "cpu/interp.h"
#include "cpu/seg.h"

#include "cpu/exec/far.h"

#define SAME(fn)                                                                                   \
	{                                                                                          \
		{                                                                                  \
			fn, fn, fn, fn, fn, fn, fn, fn                                             \
		}                                                                                  \
	}

#define AR_FLAT (AR_S | AR_P | AR_G)

/* ---- helpers ---- */

/* Flat code (L or D set by `bits`) and data at privilege cpl. */
static void load_flat(struct cpu *c, u32 cs, u32 ss, unsigned cpl, u32 bits)
{
	c->s.seg[S_CS] = (struct cpu_segment){.limit = 0xffffffff,
					      .sel = (u16)cs,
					      .ar = AR_FLAT | 0xb | cpl << AR_DPL_SHIFT | bits};
	c->s.seg[S_SS] = (struct cpu_segment){.limit = 0xffffffff,
					      .sel = (u16)ss,
					      .ar = AR_FLAT | AR_DB | 0x3 | cpl << AR_DPL_SHIFT};
	c->cpl = (u8)cpl;
	cpu_update_mode(c);
}

/* TF counts as it is afterwards (APM 3 SYSCALL, SYSRET): masked by SFMASK, SYSCALL is not stepped;
 * a SYSRET that sets it traps at its target, as if the system call had been one instruction. */
static void step_after(struct cpu *c)
{
	if (unlikely(c->rflags & FL_TF))
		c->dr6_pending |= DR6_BS;
	if (unlikely(c->dr6_pending))
		interp_debug_trap(c);
}

/* ---- SYSCALL ---- */

static void syscall_legacy(struct cpu *c, u64 next)
{
	u32 sel = (u32)(c->s.star >> 32);

	c->r[R_RCX] = (u32)next;
	c->rip = (u32)c->s.star;
	c->rflags &= ~(u64)(FL_VM | FL_IF | FL_RF);
	load_flat(c, sel & 0xfffc, sel + 8, 0, AR_DB);
	step_after(c);
}

static void syscall_(struct cpu *c, const struct insn *in)
{
	u64 next = cpu_next_rip(c, in), flags;
	u32 sel = (u32)(c->s.star >> 32);

	if (unlikely(!(c->s.efer & EFER_SCE)))
		cpu_ud(c);
	if (unlikely(!(c->mode & MODE_64))) {
		if (!cpu_is_amd(c))
			cpu_ud(c);
		if (!(c->mode & MODE_LMA)) {
			syscall_legacy(c, next);
			return;
		}
	}
	flags = fl_get(c) & ~(u64)FL_RF;
	c->r[R_RCX] = next;
	c->r[R_R11] = flags;
	c->rip = c->mode & MODE_64 ? c->s.lstar : c->s.cstar;
	flags = (flags & ~c->s.sfmask) | FL_R1;
	fl_set_status(c, flags);
	c->rflags = flags & ~(u64)FL_STATUS;
	load_flat(c, sel & 0xfffc, sel + 8, 0, AR_L);
	step_after(c);
}
const struct insn_body x_syscall = SAME(syscall_);

/* ---- SYSRET ---- */

#define SYSRET_FLAGS 0x3c7fd7u /* of R11: all but RF and VM */

static void sysret_legacy(struct cpu *c)
{
	u32 sel = (u32)(c->s.star >> 48);

	c->rip = (u32)c->r[R_RCX];
	c->rflags |= FL_IF;
	load_flat(c, (sel | 3), (sel + 8) | 3, 3, AR_DB);
	step_after(c);
}

static void sysret(struct cpu *c, const struct insn *in)
{
	u32 sel = (u32)(c->s.star >> 48);
	u64 flags = (c->r[R_R11] & SYSRET_FLAGS) | FL_R1;
	bool wide = in->osz == 8;

	if (unlikely(!(c->s.efer & EFER_SCE)))
		cpu_ud(c);
	if (unlikely(!(c->mode & MODE_64)) && !cpu_is_amd(c))
		cpu_ud(c);
	if (unlikely(c->cpl || !(c->mode & MODE_PE)))
		cpu_gp0(c);
	if (unlikely(!(c->mode & MODE_LMA))) {
		sysret_legacy(c);
		return;
	}
	if (wide && unlikely(!is_canonical(c->r[R_RCX])) && !cpu_is_amd(c))
		cpu_gp0(c);
	c->rip = wide ? c->r[R_RCX] : (u32)c->r[R_RCX];
	fl_set_status(c, flags);
	c->rflags = flags & ~(u64)FL_STATUS;
	load_flat(c, (wide ? sel + 16 : sel) | 3, (sel + 8) | 3, 3, wide ? AR_L : AR_DB);
	step_after(c);
}
const struct insn_body x_sysret = SAME(sysret);

/* ---- SYSENTER, SYSEXIT ---- */

static void sysenter(struct cpu *c, const struct insn *in)
{
	bool lng = c->mode & MODE_LMA;
	u32 sel = (u32)c->s.sysenter_cs & 0xfffc;

	(void)in;
	if (lng && cpu_is_amd(c))
		cpu_ud(c);
	if (!(c->mode & MODE_PE) || !sel)
		cpu_gp0(c);
	c->r[R_RSP] = lng ? c->s.sysenter_esp : (u32)c->s.sysenter_esp;
	c->rip = lng ? c->s.sysenter_eip : (u32)c->s.sysenter_eip;
	c->rflags &= ~(u64)(FL_VM | FL_IF | FL_RF);
	load_flat(c, sel, sel + 8, 0, lng ? AR_L : AR_DB);
}
const struct insn_body x_sysenter = SAME(sysenter);

static void sysexit(struct cpu *c, const struct insn *in)
{
	u32 sel = (u32)c->s.sysenter_cs & 0xfffc;
	bool wide = in->osz == 8;

	if (c->mode & MODE_LMA && cpu_is_amd(c))
		cpu_ud(c);
	if (!(c->mode & MODE_PE) || !sel || c->cpl)
		cpu_gp0(c);
	if (wide && (!is_canonical(c->r[R_RCX]) || !is_canonical(c->r[R_RDX])))
		cpu_gp0(c);
	c->r[R_RSP] = wide ? c->r[R_RCX] : (u32)c->r[R_RCX];
	c->rip = wide ? c->r[R_RDX] : (u32)c->r[R_RDX];
	sel += wide ? 32 : 16;
	load_flat(c, sel | 3, (sel + 8) | 3, 3, wide ? AR_L : AR_DB);
}
const struct insn_body x_sysexit = SAME(sysexit);
