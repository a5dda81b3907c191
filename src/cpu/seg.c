/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seg: descriptors and segment registers. See seg.h.
 *
 * Trusts nothing in the tables: every index is checked against the table's limit, and the guest may
 * change a descriptor between two reads, so each is read once.
 */
#include "cpu/seg.h"

#include "cpu/mem.h"

/* ---- access checks ---- */

bool seg_in_limit(const struct cpu_segment *s, u64 off, unsigned size)
{
	u64 last = off + size - 1;

	if ((s->ar & (AR_S | AR_CODE | AR_DOWN)) == (AR_S | AR_DOWN))
		return off > s->limit && last <= (s->ar & AR_DB ? 0xffffffffu : 0xffffu);
	return last <= s->limit;
}

static bool seg_allows(const struct cpu *c, const struct cpu_segment *s, enum cpu_access acc)
{
	if (s->ar & AR_UNUSABLE)
		return false;
	if ((c->mode & (MODE_PE | MODE_VM)) != MODE_PE || acc == ACC_EXEC)
		return true;
	if (acc == ACC_WRITE)
		return (s->ar & (AR_CODE | AR_WRITABLE)) == AR_WRITABLE;
	return (s->ar & (AR_CODE | AR_READABLE)) != AR_CODE;
}

/* #AC is for user code that asked for it, and for naturally sized operands. */
static void align_check(struct cpu *c, u64 la, unsigned size)
{
	unsigned align = size;

	if (c->cpl != 3 || !(c->s.cr0 & CR0_AM) || !(c->rflags & FL_AC))
		return;
	if (c->mode & MODE_64 && (!is_canonical(la) || !is_canonical(la + size - 1)))
		return;	    /* #GP or #SS when it is accessed */
	if (!is_pow2(size)) /* m80; far pointers, x87 environments: by their elements */
		align = size == 10 ? 8 : size & 2 ? 2 : 4;
	else if (size > 16)
		align = size == 32 ? 16 : 1;
	if (size > 108) /* FXSAVE, XSAVE: #GP */
		return;
	if (!(la & (align - 1)))
		return;
	if (insn_forms[c->cur->form].attr & IA_ALIGN)
		return; /* #GP goes first */
	cpu_raise_err(c, EXC_AC, 0);
}

u64 seg_check(struct cpu *c, unsigned seg, u64 off, unsigned size, enum cpu_access acc)
{
	const struct cpu_segment *s = &c->s.seg[seg];
	u64 la;

	if (c->mode & MODE_64) {
		la = c->seg_base[seg] + off;
	} else {
		if (unlikely(!seg_allows(c, s, acc) || !seg_in_limit(s, off, size)))
			cpu_raise_err(c, seg == S_SS ? EXC_SS : EXC_GP, 0);
		la = (u32)(s->base + off);
	}
	if (acc != ACC_EXEC)
		align_check(c, la, size);
	if (unlikely(la + size - 1 > 0xffffffffull) && !(c->mode & MODE_64))
		la |= LA_WRAPS;
	return la;
}

/* ---- descriptors ---- */

bool cpu_is_amd(const struct cpu *c)
{
	return c->model && cpu_model_cpuid(c->model, 0, 0).ebx == 0x68747541; /* "Auth" */
}

bool desc_find(struct cpu *c, u16 sel, struct desc *out)
{
	u64 base = c->s.gdt.base;
	u32 limit = c->s.gdt.limit;

	if (sel & 4) {
		if (c->s.seg[S_LDTR].ar & AR_UNUSABLE)
			return false;
		base = c->s.seg[S_LDTR].base;
		limit = c->s.seg[S_LDTR].limit;
	}
	if ((sel | 7u) > limit)
		return false;
	out->la = sys_la(c, base, sel & 0xfff8u);
	out->sel = sel;
	out->raw = sys_ld(c, out->la, 8);
	return true;
}

void desc_read(struct cpu *c, u16 sel, unsigned vector, u32 ext, struct desc *out)
{
	if (unlikely(!desc_find(c, sel, out)))
		cpu_raise_err(c, vector, sel_error(sel, ext));
}

u64 desc_read_high(struct cpu *c, const struct desc *d, unsigned vector, u32 ext)
{
	u32 limit = d->sel & 4 ? c->s.seg[S_LDTR].limit : c->s.gdt.limit;

	if ((d->sel & 0xfff8u) + 15 > limit)
		cpu_raise_err(c, vector, sel_error(d->sel, ext));
	return sys_ld(c, sys_la(c, d->la, 8), 8);
}

/* Host byte of a linear address that sys_probe_write has just accepted; NULL if it has no plain
 * writable page. */
static u8 *probed_byte(struct cpu *c, u64 la)
{
	for (unsigned v = VIEW_SUPER; v <= VIEW_SMAP; v++) {
		const struct tlb_entry *e = &c->views[v].e[la >> 12 & (TLB_ENTRIES - 1)];
		if (e->w == la >> 12)
			return (u8 *)(la + e->add);
	}
	return NULL;
}

/* Locked read-modify-write of one byte: (old & keep) | set. Returns old. */
static u8 sys_rmw_byte(struct cpu *c, u64 la, u8 keep, u8 set)
{
	u8 *p, old;

	sys_probe_write(c, la, 1);
	p = probed_byte(c, la);
	if (p) {
		old = *(volatile u8 *)p;
		while (!__atomic_compare_exchange_n(p, &old, (u8)((old & keep) | set), false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		return old;
	}
	/* ROM, MMIO, or a page with decoded code. */
	c->ops->world_stop(c);
	c->world = true;
	old = (u8)sys_ld(c, la, 1);
	sys_st(c, la, 1, (u8)((old & keep) | set));
	c->world = false;
	c->ops->world_start(c);
	return old;
}

void desc_touch(struct cpu *c, struct desc *d)
{
	if (likely(d->raw >> 40 & AR_ACCESSED))
		return;
	sys_rmw_byte(c, sys_la(c, d->la, 5), 0xff, AR_ACCESSED);
	d->raw |= (u64)AR_ACCESSED << 40;
}

bool desc_set_busy(struct cpu *c, u64 la, bool busy)
{
	return sys_rmw_byte(c, sys_la(c, la, 5), busy ? 0xff : 0xfd, busy ? 2 : 0) & 2;
}

/* ---- register images ---- */

void seg_fill(struct cpu_segment *s, u16 sel, u64 raw)
{
	s->sel = sel;
	s->base = desc_base(raw);
	s->limit = desc_limit(raw);
	s->ar = desc_ar(raw);
}

void seg_set_null(struct cpu_segment *s, u16 sel, unsigned dpl)
{
	s->sel = sel;
	s->base = 0;
	s->limit = 0;
	s->ar = AR_UNUSABLE | dpl << AR_DPL_SHIFT;
}

/* Limit and size survive (big real mode), unless there were none. */
void seg_set_real(struct cpu_segment *s, u16 sel)
{
	if (s->ar & AR_UNUSABLE) {
		s->ar = 0;
		s->limit = 0xffff;
	}
	s->sel = sel;
	s->base = (u32)sel << 4;
	s->ar = (s->ar & (AR_DB | AR_G | AR_AVL)) | AR_REAL;
}

void seg_set_v86(struct cpu_segment *s, u16 sel)
{
	s->sel = sel;
	s->base = (u32)sel << 4;
	s->limit = 0xffff;
	s->ar = AR_V86;
}

/* ---- loads ---- */

void seg_check_ss(struct cpu *c, u16 sel, unsigned cpl, unsigned vector, u32 ext,
		  struct cpu_segment *out)
{
	struct desc d;

	desc_read(c, sel, vector, ext, &d);
	if ((sel & 3u) != cpl || !ar_is_writable_data(desc_ar(d.raw)) || desc_dpl(d.raw) != cpl)
		cpu_raise_err(c, vector, sel_error(sel, ext));
	if (!desc_present(d.raw))
		cpu_raise_err(c, EXC_SS, sel_error(sel, ext));
	desc_touch(c, &d);
	seg_fill(out, sel, d.raw);
}

void seg_check_data(struct cpu *c, u16 sel, unsigned cpl, unsigned vector, u32 ext,
		    struct cpu_segment *out)
{
	struct desc d;
	u32 ar;

	desc_read(c, sel, vector, ext, &d);
	ar = desc_ar(d.raw);
	if (!(ar & AR_S) || (ar & (AR_CODE | AR_READABLE)) == AR_CODE)
		cpu_raise_err(c, vector, sel_error(sel, ext));
	if (!ar_is_conforming(ar) && ((sel & 3u) > ar_dpl(ar) || cpl > ar_dpl(ar)))
		cpu_raise_err(c, vector, sel_error(sel, ext));
	if (!desc_present(d.raw))
		cpu_raise_err(c, EXC_NP, sel_error(sel, ext));
	desc_touch(c, &d);
	seg_fill(out, sel, d.raw);
}

static void seg_load_protected(struct cpu *c, unsigned seg, u16 sel)
{
	struct cpu_segment *s = &c->s.seg[seg];

	if (sel_is_null(sel)) {
		if (seg == S_SS && (!(c->mode & MODE_64) || c->cpl == 3 || (sel & 3) != c->cpl))
			cpu_gp0(c);
		seg_set_null(s, sel, seg == S_SS ? c->cpl : 0);
		return;
	}
	if (seg == S_SS)
		seg_check_ss(c, sel, c->cpl, EXC_GP, 0, s);
	else
		seg_check_data(c, sel, c->cpl, EXC_GP, 0, s);
}

void seg_load(struct cpu *c, unsigned seg, u16 sel)
{
	if (!(c->mode & MODE_PE))
		seg_set_real(&c->s.seg[seg], sel);
	else if (c->mode & MODE_VM)
		seg_set_v86(&c->s.seg[seg], sel);
	else
		seg_load_protected(c, seg, sel);

	/* In 64-bit mode only the bases of FS and GS count. */
	if (c->mode & MODE_64 && seg != S_SS) {
		if (seg >= S_FS)
			c->seg_base[seg] = c->s.seg[seg].base;
	} else {
		cpu_update_mode(c);
	}
}

void seg_drop_privileged(struct cpu *c)
{
	static const u8 data[] = {S_ES, S_DS, S_FS, S_GS};

	for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
		struct cpu_segment *s = &c->s.seg[data[i]];
		if (s->ar & AR_UNUSABLE) {
			s->sel = 0; /* null with an RPL (SDM 2 RET, IRET) */
			continue;
		}
		if (ar_is_conforming(s->ar) || ar_dpl(s->ar) >= c->cpl)
			continue;
		s->sel = 0;
		s->ar = AR_UNUSABLE;
	}
}
