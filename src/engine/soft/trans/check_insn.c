/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_insn: what one host instruction of a block does to what is known, jumps and calls apart.
 *
 * The rules know the forms that the emitters use, and the copied instructions of the guest by what
 * the table says that they write. A register that no rule follows becomes an unknown value.
 *
 * Context: owner, within check_block().
 */
#include "engine/soft/trans/check.h"

#define KEPT                                                                                       \
	3 /* terms of a sum that a guest register keeps: with one more and a segment it has room   \
	   */

/* --- the vCPU block --- */

static struct value gs_value(struct check *k, s64 off)
{
	static const struct {
		s64 off;
		u8 what;
		u32 id;
	} known[] = {
		{(s64)G(hot.rt), W_TABLE, T_RT},      {(s64)G(hot.wt), W_TABLE, T_WT},
		{(s64)G(hot.xt), W_TABLE, T_XT},      {(s64)G(hot.desc), W_TABLE, T_DESC},
		{(s64)G(hot.code), W_TABLE, T_CODE},  {(s64)G(hot.code_saved), W_TABLE, T_CODE},
		{(s64)G(cpu.poll), W_POLL, 0},	      {(s64)G(hot.tsc_gate[0]), W_POLL, 0},
		{(s64)G(hot.tsc_gate[1]), W_POLL, 0},
	};
	struct value v = {.what = W_NUMBER};
	s64 field;
	u32 slot;
	if (ck_cell(k, off))
		return *ck_cell(k, off);
	for (unsigned i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].off == off)
			return (struct value){.what = known[i].what, .id = known[i].id};
	if (ck_is_slot(off, &slot, &field) && field) {
		v.what = field == 8 ? W_ADD : W_HOST;
		v.id = slot;
		return v;
	}
	return ck_wide(k);
}

/* What glue may write: guest registers in memory and what belongs to one instruction. */
static bool gs_writable(s64 off, s64 size)
{
	static const struct {
		s64 from, to;
	} ok[] = {
		{0, 128},
		{(s64)G(cpu.rip), (s64)G(cpu.rip) + 8},
		{(s64)G(cpu.rflags), (s64)G(cpu.rflags) + 8},
		{(s64)G(cpu.shadow), (s64)G(cpu.shadow) + 1},
		{(s64)G(cpu.seg_base) + S_GS * 8, (s64)G(cpu.seg_base) + S_GS * 8 + 8},
		{(s64)G(cpu.s.seg[S_GS].base), (s64)G(cpu.s.seg[S_GS].base) + 8},
		{(s64)G(cpu.s.kernel_gs_base), (s64)G(cpu.s.kernel_gs_base) + 8},
		{(s64)G(hot.ea), (s64)G(hot.ea) + 8},
		{(s64)G(hot.bits), (s64)G(hot.bits) + 8},
		{(s64)G(hot.link), (s64)G(hot.link) + 8},
		{(s64)G(hot.looked[0]), (s64)G(hot.looked[TRANS_LOOKED])},
		{(s64)G(hot.x87_dp), (s64)G(hot.x87_dp) + 8},
		{(s64)G(hot.x87), (s64)G(hot.x87) + 4},
		{(s64)G(hot.x87_mem), (s64)G(hot.x87_mem) + 4},
		{(s64)G(hot.status), (s64)G(hot.status) + 4},
	};
	for (unsigned i = 0; i < ARRAY_LEN(ok); i++)
		if (off >= ok[i].from && off + size <= ok[i].to)
			return true;
	return false;
}

/* --- one host instruction --- */

static unsigned width_of(const struct insn *in, bool *read, bool *write)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned size = 0;
	*read = *write = false;
	for (unsigned i = 0; i < f->operands; i++)
		if (f->op[i].kind == OP_E || f->op[i].kind == OP_M || f->op[i].kind == OP_W) {
			size = classify_width(in, f->op[i].width);
			*read = f->op[i].access & OPA_R;
			*write = f->op[i].access & OPA_W;
		}
	return size;
}

static bool long_sum(const struct value *v)
{
	return v->what == W_NUMBER && v->lin.n > KEPT;
}

/* base + index << scale + disp */
static bool sum_of(struct check *k, const struct insn *in, struct value *v)
{
	unsigned b = in->base / 8u, x = in->index / 8u;
	struct value base = b < 16 ? k->s.r[b] : (struct value){.what = W_NUMBER};
	struct value index = x < 16 ? k->s.r[x] : (struct value){.what = W_NUMBER};
	if (in->asz != 8)
		return ck_no(k, "an address of 32 bits");
	if (base.what != W_NUMBER && index.what == W_NUMBER) {
		*v = base;
	} else if (base.what == W_NUMBER && index.what != W_NUMBER && !in->scale) {
		*v = index;
		index = base;
		base = *v;
	} else if (base.what == W_NUMBER && index.what == W_NUMBER) {
		*v = base;
	} else {
		return ck_no(k, "a sum of two addresses");
	}
	if (v->what == W_ENTRY) {
		v->sum.k = (s64)((u64)v->sum.k + (u64)in->disp);
		return ck_add_lin(&v->sum, &index.lin, 1 << in->scale) ||
		       ck_no(k, "too many terms");
	}
	if (v->what != W_NUMBER && v->what != W_ADD && v->what != W_HOST)
		return ck_no(k, "a sum with something else");
	v->lin.k = (s64)((u64)v->lin.k + (u64)in->disp);
	return ck_add_lin(&v->lin, &index.lin, 1 << in->scale) || ck_no(k, "too many terms");
}

/* The tables' own accesses: [table + index]. */
bool ck_table_load(struct check *k, const struct insn *in, struct value *v)
{
	unsigned b = in->base / 8u, x = in->index / 8u;
	const struct value *base, *index;
	if (b >= 16 || x >= 16)
		return false;
	base = &k->s.r[b];
	index = &k->s.r[x];
	if (base->what != W_TABLE)
		return false;
	if (base->id <= T_WT && index->what == W_INDEX && in->scale == 3 && !in->disp &&
	    in->osz == 8) {
		*v = (struct value){.what = W_ENTRY, .id = base->id, .lin = index->lin};
		return true;
	}
	if (base->id == T_XT && in->osz == 4 && !in->disp) {
		bool constant = index->what == W_NUMBER && !index->lin.n && index->lin.k >= 0 &&
				index->lin.k < (s64)BIT64(38) && !in->scale;
		*v = (struct value){.what = W_DESC};
		return constant || (index->what == W_INDEX && in->scale == 2);
	}
	if (base->id == T_DESC && in->osz == 4 && index->what == W_DESC && in->scale == 2 &&
	    in->disp >= 0 && in->disp <= 4095 * 4) {
		*v = (struct value){.what = W_CODE};
		return true;
	}
	return false;
}

void ck_set(struct check *k, unsigned r, struct value v)
{
	k->s.r[r] = v;
}

/* A copied instruction wrote it, perhaps not all of it. */
void ck_written(struct check *k, const struct insn *in, unsigned r)
{
	const struct value *was = &k->s.r[r];
	bool cut = in->osz != 8 && r != H_R10 && r != H_R11 && was->what == W_NUMBER &&
		   ck_no_upper_half(k, &was->lin);
	ck_set(k, r, cut ? ck_fresh(k) : ck_wide(k));
}

bool ck_memory(struct check *k, const struct insn *in)
{
	bool read, write;
	unsigned size = width_of(in, &read, &write);
	struct value v;
	if (!size)
		return ck_no(k, "an operand of unknown size");
	if (in->base / 8u < 16 && in->index / 8u == 16 && !in->disp &&
	    k->s.r[in->base / 8u].what == W_POLL && size == 4 && !write)
		return true;
	return sum_of(k, in, &v) && ck_may_access(k, &v, size, write);
}

/* Glue: an operand in the vCPU block, by constant offset. */
bool ck_vcpu_block(struct check *k, const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	bool read, write, pext = f->map == 5 && in->opcode == 0xf5;
	unsigned size = width_of(in, &read, &write), op = in->opcode;
	struct value v;
	s64 field;
	u32 slot;
	if (in->base / 8u < 16 || in->index / 8u < 16)
		return ck_no(k, "a register in an address of the vCPU block");
	if (!size || in->disp < 0 || in->disp + size > (s64)sizeof(struct vcpu))
		return ck_no(k, "outside of the vCPU block");
	if (write && !gs_writable(in->disp, size))
		return ck_no(k, "a write to the vCPU block that glue does not do");
	if (pext) {
		v = k->s.r[in->vvvv];
		if (in->disp == (s64)G(hot.low))
			v = (struct value){.what = W_LOW, .id = RAM_PAGE - 1};
		else if (in->disp == (s64)G(hot.mask) && v.what == W_NUMBER)
			v.what = W_INDEX;
		else
			return ck_no(k, "pext of what is not an address");
		ck_set(k, in->reg, v);
		return true;
	}
	if (f->map == 0 && op == 0x8b && in->osz == 8) {
		ck_set(k, in->reg, gs_value(k, in->disp));
		return true;
	}
	if (f->map == 0 && op == 0x89) {
		struct value *to = ck_cell(k, in->disp);
		v = in->osz == 8 ? k->s.r[in->reg] : ck_wide(k);
		if (to) /* a guest's register, or an address that is wanted again */
			*to = long_sum(&v) && to < &k->s.cell[CELL_EA] ? ck_wide(k) : v;
		return true;
	}
	if (f->map == 0 && op == 0x03 && in->osz >= 4) { /* add r, gs:[a segment's base] */
		v = gs_value(k, in->disp);
		if (v.what != W_NUMBER || k->s.r[in->reg].what != W_NUMBER)
			return ck_no(k, "an addition of two addresses");
		v.lin = k->s.r[in->reg].lin;
		if (!ck_add_term(&v.lin, (u32)(0x80000000u | (u32)in->disp), 1))
			return ck_no(k, "too many terms");
		ck_set(k, in->reg, in->osz == 8 ? v : ck_cut(k, &v.lin));
		return true;
	}
	if (f->map == 0 && op == 0x2b && in->osz == 8 && ck_is_slot(in->disp, &slot, &field) &&
	    !field && k->s.r[in->reg].what == W_NUMBER) {
		v = k->s.r[in->reg];
		v.what = W_DIFF;
		v.id = slot;
		ck_set(k, in->reg, v);
		return true;
	}
	if (f->map == 0 && op == 0x3b && in->osz == 8 && ck_is_slot(in->disp, &slot, &field) &&
	    !field) {
		k->c = (struct compare){.kind = C_FIXED, .v = k->s.r[in->reg], .slot = slot};
		return true;
	}
	if (f->map == 0 && op == 0x81 && (in->modrm >> 3 & 7) == 7 && in->osz == 8 &&
	    ck_is_slot(in->disp, &slot, &field) && !field) {
		k->c = (struct compare){.kind = C_FIXED, .slot = slot};
		k->c.v.lin = ck_number((s64)in->imm);
		return true;
	}
	if (f->map == 0 && op == 0x83 && in->disp == (s64)G(hot.simd)) {
		k->c = (struct compare){.kind = C_SIMD};
		return true;
	}
	if (write && in->disp < 128 && ck_cell(k, in->disp & ~7))
		*ck_cell(k, in->disp & ~7) = ck_wide(k);
	for (unsigned i = 0; i < 16; i++)
		if (writes_gprs(in) >> i & 1)
			ck_written(k, in, i);
	return true;
}

/* Segment bases count as unknown values that stay: one number for each. */
bool ck_base_of_segment(s64 off, struct value *v)
{
	if (off < (s64)G(cpu.seg_base) || off >= (s64)G(cpu.seg_base) + 64 || off & 7)
		return false;
	*v = (struct value){.what = W_NUMBER};
	ck_add_term(&v->lin, 0x80000000u | (u32)off, 1);
	return true;
}

/* Registers, as far as addresses are made of them; the rest becomes unknown. */
bool ck_registers(struct check *k, const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned op = in->opcode, sub = in->modrm >> 3 & 7;
	bool wide = in->osz == 8;
	struct value v;
	if (writes_gprs(in) >> H_RSP & 1)
		return ck_no(k, "a write to the host's stack pointer");
	if (f->map == 5 && op == 0xf7 && f->pfx_mask == 1 && wide) { /* bextr */
		const struct value *what = &k->s.r[in->vvvv], *of = &k->s.r[in->rm];
		if (what->what == W_NUMBER && !what->lin.n && what->lin.k == (36 << 8 | 12) &&
		    of->what == W_NUMBER) {
			v = *of;
			v.what = W_INDEX;
			ck_set(k, in->reg, v);
			return true;
		}
	}
	if (f->map == 0) {
		if (op == 0x8d) {
			if (!wide) {
				if (sum_of(k, in, &v) && v.what == W_NUMBER)
					ck_set(k, in->reg, ck_cut(k, &v.lin));
				else
					ck_set(k, in->reg, ck_fresh(k));
				k->why = NULL;
				return true;
			}
			if (!sum_of(k, in, &v)) {
				/* the code's address, or a crossing test: see below */
				unsigned b = in->base / 8u, x = in->index / 8u;
				const struct value *vb = b < 16 ? &k->s.r[b] : NULL;
				const struct value *vx = x < 16 ? &k->s.r[x] : NULL;
				k->why = NULL;
				if (vb && vx && !in->scale && !in->disp) {
					if ((vb->what == W_DESC && vx->what == W_LOW) ||
					    (vb->what == W_LOW && vx->what == W_DESC)) {
						ck_set(k, in->reg, (struct value){.what = W_DESC});
						return true;
					}
					if ((vb->what == W_CODE && vx->what == W_TABLE &&
					     vx->id == T_CODE) ||
					    (vx->what == W_CODE && vb->what == W_TABLE &&
					     vb->id == T_CODE)) {
						ck_set(k, in->reg,
						       (struct value){.what = W_CODE, .id = 1});
						return true;
					}
				}
				goto unknown;
			}
			if (long_sum(&v) && in->reg != H_R10 && in->reg != H_R11)
				goto unknown;
			ck_set(k, in->reg, v);
			return true;
		}
		if ((op == 0x89 || op == 0x8b) && wide) {
			v = op == 0x89 ? k->s.r[in->reg] : k->s.r[in->rm];
			ck_set(k, op == 0x89 ? in->rm : in->reg, v);
			return true;
		}
		if (op >= 0xb8 && op <= 0xbf && in->osz >= 4) {
			ck_set(k, in->rm,
			       (struct value){
				       .what = W_NUMBER,
				       .lin = ck_number(wide ? (s64)in->imm : (u32)in->imm)});
			return true;
		}
		if (op == 0xc7 && wide) {
			ck_set(k, in->rm,
			       (struct value){.what = W_NUMBER, .lin = ck_number((s64)in->imm)});
			return true;
		}
		if ((((op == 0x81 || op == 0x83) && (sub == 0 || sub == 5)) ||
		     (op == 0xff && sub < 2)) &&
		    in->osz >= 4 && k->s.r[in->rm].what == W_NUMBER) {
			u64 by = op == 0xff ? 1 : in->imm;
			v = k->s.r[in->rm];
			v.lin.k = (s64)((u64)v.lin.k + (sub ? 0 - by : by));
			ck_set(k, in->rm, wide ? v : ck_cut(k, &v.lin));
			return true;
		}
		if (k->narrow && op == 0x83 && sub == 4 && in->osz == 4 && (s64)in->imm >= 0 &&
		    in->rm == H_R11) { /* a masked bit, see emit_bt() */
			ck_set(k, in->rm, (struct value){.what = W_LOW, .id = (u32)in->imm});
			return true;
		}
		if (op == 0x81 && wide && sub == 7 && k->s.r[in->rm].what == W_DIFF) {
			k->c = (struct compare){
				.kind = C_RANGE, .v = k->s.r[in->rm], .imm = (s64)in->imm};
			k->c.slot = k->s.r[in->rm].id;
			return true;
		}
		if (op == 0xf6 && sub == 0 && !(in->ereg & 1)) {
			v = k->s.r[in->rm];
			if (v.what == W_ENTRY && (in->imm & 0xff) == 1)
				k->c = (struct compare){.kind = C_VALID, .v = v, .slot = in->rm};
			else if (v.what == W_NUMBER && in->rm == H_R10)
				k->c = (struct compare){
					.kind = C_CROSS, .v = v, .imm = (s64)(in->imm & 0xff) + 1};
			return true;
		}
		if (op == 0x31 && wide) { /* xor r11, r10: the crossing test */
			s64 by;
			const struct value *a = &k->s.r[in->rm], *b = &k->s.r[in->reg];
			if (a->what == W_NUMBER && b->what == W_NUMBER &&
			    ck_apart(&a->lin, &b->lin, &by) && by >= 0 && by < RAM_PAGE) {
				ck_set(k, in->rm,
				       (struct value){
					       .what = W_PAGES, .id = (u32)by, .lin = b->lin});
				return true;
			}
		}
		if (op == 0xc1 && wide && sub == 5 && (in->imm & 63) == 12 &&
		    k->s.r[in->rm].what == W_PAGES) { /* shr r11, 12 */
			k->c = (struct compare){.kind = C_CROSS,
						.v = k->s.r[in->rm],
						.imm = (s64)k->s.r[in->rm].id + 1,
						.slot = 1};
			return true;
		}
	}
unknown:
	for (unsigned i = 0; i < 16; i++)
		if (writes_gprs(in) >> i & 1 && i != H_RSP)
			ck_written(k, in, i);
	return true;
}
