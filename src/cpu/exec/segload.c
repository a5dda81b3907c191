/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segload: instructions that load, store or ask about segment selectors.
 *
 * MOV/PUSH/POP Sreg, LDS..LGS, LLDT, LTR, SLDT, STR, LAR, LSL, VERR, VERW, ARPL (SDM 2).
 * Forms with attribute `end` store RIP here.
 */
#include "cpu/flags.h"
#include "cpu/insn_forms.h"
#include "cpu/mem.h"
#include "cpu/seg.h"
#include "cpu/stack.h"

#include "cpu/exec/far.h"

#define SAME(fn)                                                                                   \
	{                                                                                          \
		{                                                                                  \
			fn, fn, fn, fn, fn, fn, fn, fn                                             \
		}                                                                                  \
	}

/* ---- helpers ---- */

/* 16-bit source: register or memory. */
static u16 ew_read(struct cpu *c, const struct insn *in)
{
	if (in->pfx & PFX_MEM)
		return (u16)mem_ld(c, mem_addr(c, in, 2, ACC_READ), 2);
	return (u16)reg_get(c, in->ereg, 2);
}

/* A selector to memory is 16 bits whatever the operand size; to a register zero-extended. */
static void sel_write(struct cpu *c, const struct insn *in, u16 sel)
{
	if (in->pfx & PFX_MEM)
		mem_st(c, mem_addr(c, in, 2, ACC_WRITE), 2, sel);
	else
		reg_set(c, in->ereg, in->osz, sel);
}

static void set_zf(struct cpu *c, bool zf)
{
	fl_set_status(c, (fl_status(c) & ~(u64)FL_ZF) | (zf ? FL_ZF : 0));
}

static void ss_shadow(struct cpu *c)
{
	c->shadow = 2;
	cpu_event(c, EV_SHADOW);
}

/* ---- MOV, PUSH, POP ---- */

static void mov_es(struct cpu *c, const struct insn *in)
{
	unsigned seg = in->reg & 7;

	if (seg > S_GS)
		cpu_ud(c);
	sel_write(c, in, c->s.seg[seg].sel);
}
const struct insn_body x_mov_ES = SAME(mov_es);

static void mov_se(struct cpu *c, const struct insn *in)
{
	unsigned seg = in->reg & 7;
	u64 next = cpu_next_rip(c, in);

	if (seg > S_GS || seg == S_CS)
		cpu_ud(c);
	seg_load(c, seg, ew_read(c, in));
	if (seg == S_SS)
		ss_shadow(c);
	c->rip = next;
}
const struct insn_body x_mov_SE = SAME(mov_se);

/* Which one is in the opcode: 06/07 ES, 0E CS, 16/17 SS, 1E/1F DS, 0F A0/A1 FS, 0F A8/A9 GS. */
static unsigned opcode_sreg(const struct insn *in)
{
	return in->opcode >= 0xa0 ? S_FS + (in->opcode >> 3 & 1) : in->opcode >> 3 & 3;
}

/* Intel writes only 16 bits when the operand size is 32; AMD all 32. */
static void push_sreg(struct cpu *c, const struct insn *in)
{
	unsigned width = in->osz == 4 && !cpu_is_amd(c) ? 2 : in->osz;
	u64 mask = stk_mask(c), sp = (c->r[R_RSP] - in->osz) & mask;
	u64 la = mem_la(c, S_SS, sp, width, ACC_WRITE);

	stack_st_slow(c, la, width, c->s.seg[opcode_sreg(in)].sel);
	stk_set_sp(c, mask, sp);
}
const struct insn_body x_push_sreg = SAME(push_sreg);

static void pop_sreg(struct cpu *c, const struct insn *in)
{
	unsigned seg = opcode_sreg(in);
	u64 mask = stk_mask(c), sp = c->r[R_RSP] & mask, next = cpu_next_rip(c, in);
	u16 sel = (u16)mem_ld(c, mem_la(c, S_SS, sp, in->osz, ACC_READ), in->osz);

	seg_load(c, seg, sel);
	stk_set_sp(c, mask, sp + in->osz);
	if (seg == S_SS)
		ss_shadow(c);
	c->rip = next;
}
const struct insn_body x_pop_sreg = SAME(pop_sreg);

/* ---- far pointers into a segment and a register ---- */

static void load_far(struct cpu *c, const struct insn *in, unsigned seg)
{
	unsigned size = far_ptr_size(c, in);
	u64 next = cpu_next_rip(c, in);
	u64 la = mem_addr(c, in, size + 2, ACC_READ);
	u64 off = mem_ld(c, la, size);
	u16 sel = (u16)mem_ld(c, la + size, 2);

	seg_load(c, seg, sel);
	reg_set(c, in->greg, size, off);
	c->rip = next;
}

#define LOAD_FAR(name, seg)                                                                        \
	static void name(struct cpu *c, const struct insn *in)                                     \
	{                                                                                          \
		load_far(c, in, seg);                                                              \
	}                                                                                          \
	const struct insn_body x_##name = SAME(name)

LOAD_FAR(les, S_ES);
LOAD_FAR(lds, S_DS);
LOAD_FAR(lss, S_SS);
LOAD_FAR(lfs, S_FS);
LOAD_FAR(lgs, S_GS);

/* ---- LDTR and TR ---- */

static void umip_check(struct cpu *c)
{
	if (c->s.cr4 & CR4_UMIP && c->cpl)
		cpu_gp0(c);
}

static void sldt(struct cpu *c, const struct insn *in)
{
	umip_check(c);
	sel_write(c, in, c->s.seg[S_LDTR].sel);
}
const struct insn_body x_sldt = SAME(sldt);

static void str(struct cpu *c, const struct insn *in)
{
	umip_check(c);
	sel_write(c, in, c->s.seg[S_TR].sel);
}
const struct insn_body x_str = SAME(str);

/* Base of a system segment; 16-byte descriptors in long mode. */
static u64 system_base(struct cpu *c, const struct desc *d)
{
	u64 base = desc_base(d->raw), high;

	if (!(c->mode & MODE_LMA))
		return base;
	high = desc_read_high(c, d, EXC_GP, 0);
	base |= high << 32;
	if (!is_canonical(base) || high >> 40 & 0x1f) /* the upper half's type must be 0 */
		cpu_raise_err(c, EXC_GP, sel_error(d->sel, 0));
	return base;
}

static void lldt(struct cpu *c, const struct insn *in)
{
	u16 sel = ew_read(c, in);
	struct desc d;
	u64 base;

	if (sel_is_null(sel)) {
		seg_set_null(&c->s.seg[S_LDTR], sel, 0);
		return;
	}
	if (sel & 4)
		cpu_raise_err(c, EXC_GP, sel_error(sel, 0));
	desc_read(c, sel, EXC_GP, 0, &d);
	if (desc_type(d.raw) != DT_LDT)
		cpu_raise_err(c, EXC_GP, sel_error(sel, 0));
	if (!desc_present(d.raw))
		cpu_raise_err(c, EXC_NP, sel_error(sel, 0));
	base = system_base(c, &d);
	seg_fill(&c->s.seg[S_LDTR], sel, d.raw);
	c->s.seg[S_LDTR].base = base;
}
const struct insn_body x_lldt = SAME(lldt);

static void ltr(struct cpu *c, const struct insn *in)
{
	u16 sel = ew_read(c, in);
	unsigned type;
	struct desc d;
	u64 base;

	if (sel_is_null(sel))
		cpu_gp0(c);
	if (sel & 4)
		cpu_raise_err(c, EXC_GP, sel_error(sel, 0));
	desc_read(c, sel, EXC_GP, 0, &d);
	type = desc_type(d.raw);
	if (type != DT_TSS_AVL && (type != DT_TSS16_AVL || c->mode & MODE_LMA))
		cpu_raise_err(c, EXC_GP, sel_error(sel, 0));
	if (!desc_present(d.raw))
		cpu_raise_err(c, EXC_NP, sel_error(sel, 0));
	base = system_base(c, &d);
	if (desc_set_busy(c, d.la, true)) /* another processor was faster */
		cpu_raise_err(c, EXC_GP, sel_error(sel, 0));
	seg_fill(&c->s.seg[S_TR], sel, d.raw);
	c->s.seg[S_TR].ar |= 2;
	c->s.seg[S_TR].base = base;
}
const struct insn_body x_ltr = SAME(ltr);

/* ---- questions ---- */

/* The descriptor, if the selector may be looked at from here: not null, in its table, and (but for
 * conforming code) DPL no less privileged than CPL and RPL. */
static bool desc_visible(struct cpu *c, u16 sel, struct desc *d)
{
	if (sel_is_null(sel) || !desc_find(c, sel, d))
		return false;
	if (ar_is_conforming(desc_ar(d->raw)))
		return true;
	return c->cpl <= desc_dpl(d->raw) && (sel & 3u) <= desc_dpl(d->raw);
}

/* System types LAR and LSL accept: bit per type, legacy and long mode. */
#define LAR_LEGACY 0x1a3eu /* 1, 2, 3, 4, 5, 9, B, C */
#define LAR_LONG   0x1a04u /* 2, 9, B, C */
#define LSL_LEGACY 0x0a0eu /* 1, 2, 3, 9, B */
#define LSL_LONG   0x0a04u /* 2, 9, B */

static bool type_in(const struct cpu *c, u64 raw, u32 legacy, u32 lng)
{
	unsigned type = desc_type(raw);

	return type >= 16 || (c->mode & MODE_LMA ? lng : legacy) >> type & 1;
}

static void lar(struct cpu *c, const struct insn *in)
{
	u16 sel = ew_read(c, in);
	struct desc d;
	bool ok = desc_visible(c, sel, &d) && type_in(c, d.raw, LAR_LEGACY, LAR_LONG);

	if (ok)
		reg_set(c, in->greg, in->osz, d.raw >> 32 & 0x00f0ff00);
	set_zf(c, ok);
}
const struct insn_body x_lar = SAME(lar);

static void lsl(struct cpu *c, const struct insn *in)
{
	u16 sel = ew_read(c, in);
	struct desc d;
	bool ok = desc_visible(c, sel, &d) && type_in(c, d.raw, LSL_LEGACY, LSL_LONG);

	if (ok)
		reg_set(c, in->greg, in->osz, desc_limit(d.raw));
	set_zf(c, ok);
}
const struct insn_body x_lsl = SAME(lsl);

static void verr(struct cpu *c, const struct insn *in)
{
	u16 sel = ew_read(c, in);
	struct desc d;
	bool ok = desc_visible(c, sel, &d);
	u32 ar = ok ? desc_ar(d.raw) : 0;

	set_zf(c, ok && ar & AR_S && (ar & (AR_CODE | AR_READABLE)) != AR_CODE);
}
const struct insn_body x_verr = SAME(verr);

static void verw(struct cpu *c, const struct insn *in)
{
	u16 sel = ew_read(c, in);
	struct desc d;

	set_zf(c, desc_visible(c, sel, &d) && ar_is_writable_data(desc_ar(d.raw)));
}
const struct insn_body x_verw = SAME(verw);

static void arpl(struct cpu *c, const struct insn *in)
{
	unsigned rpl = reg_get(c, in->greg, 2) & 3;
	u64 la = 0;
	u16 dst;

	if (in->pfx & PFX_MEM) {
		la = mem_addr(c, in, 2, ACC_READ);
		dst = (u16)mem_ld(c, la, 2);
	} else {
		dst = (u16)reg_get(c, in->ereg, 2);
	}
	if ((dst & 3u) >= rpl) {
		set_zf(c, false);
		return;
	}
	dst = (u16)((dst & ~3u) | rpl);
	if (in->pfx & PFX_MEM)
		mem_st(c, mem_addr(c, in, 2, ACC_WRITE), 2, dst);
	else
		reg_set(c, in->ereg, 2, dst);
	set_zf(c, true);
}
const struct insn_body x_arpl = SAME(arpl);
