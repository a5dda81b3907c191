/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: proves of one translated block, from its host code alone, that it reaches no memory but
 * the vCPU block, the translator's tables and guest memory that a lookup or a guard let it have.
 *
 * It walks the host instructions with what is known of each register: a sum of unknown values plus
 * a constant, a table, a table's index or entry, a slot's addend. A guard or a lookup adds a fact
 * ("bytes A to A+n lie in this slot's page"), and every access must follow from one; whatever calls
 * C or may have changed a table takes facts away. The way through a side exit back must bring what
 * the main line relies on. What the rules do not know is refused, so a mistake in the emitters
 * shows up as a block that cannot be proven, not as an access.
 *
 * Nothing here depends on how the emitters come to their code: bytes in, verdict out. It takes the
 * stubs' contracts (stubs.c), the slots' and tables' meaning (table.c), struct tinsn and the
 * widths that classify() says of an instruction's operand for granted.
 *
 * Context: owner, behind translate(), where it is asked for (translate=eager, lockstep).
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/insn_forms.h"
#include "engine/soft/trans/gen.h"
#include "host/fail.h"

#define TERMS 8
#define KEPT                                                                                       \
	3 /* terms of a sum that a guest register keeps: with another one and a segment it has     \
	     room */
#define FACTS	    64
#define POINTS	    256 /* places behind a conditional jump, and jumps out of the main line */
#define CELLS	    (16 + TRANS_LOOKED) /* guest registers in memory, two addresses, entries */
#define CELL_EA	    14
#define CELL_BITS   15
#define CELL_LOOKED 16
#define WIDE	    0x40000000u /* in the number of an unknown value, see wide() */

/* A sum of unknown values (each has a number) and a constant, modulo 2^64. */
struct lin {
	u32 var[TERMS];
	s64 coef[TERMS];
	s64 k;
	u8 n;
};

enum what {
	W_NUMBER, /* lin */
	W_TABLE,  /* rt, wt, xt, desc or the base of the code: `id` says which */
	W_INDEX,  /* page number of lin */
	W_ENTRY,  /* of page lin; id 1: of the table of writes; plus sum */
	W_DIFF,	  /* lin - page of slot id */
	W_ADD,	  /* lin + addend of slot id */
	W_HOST,	  /* lin + host page of slot id */
	W_POLL,	  /* where 4 bytes may be read */
	W_LOW,	  /* 0 .. id */
	W_DESC,	  /* from a code table, plus perhaps W_LOW */
	W_CODE,	  /* a place in the code cache, or its distance from its base */
	W_PAGES,  /* what differs between lin and lin + id */
};
enum table { T_RT, T_WT, T_XT, T_DESC, T_CODE };

struct value {
	u8 what;
	bool valid; /* W_ENTRY: bit 0 was seen to be 1 */
	u32 id;
	struct lin lin, sum;
};

enum fact_kind { F_RANGE, F_FIXED, F_WHOLE };
struct fact {
	u8 kind;
	bool write;
	u32 slot; /* F_RANGE, F_FIXED */
	s64 len;  /* F_RANGE: bytes from lin; F_WHOLE: so many from lin lie in one page */
	struct lin lin;
};

struct state {
	struct value r[16], cell[CELLS];
	struct fact fact[FACTS];
	u32 facts;
};

/* What the last comparison said. */
struct compare {
	enum { C_NONE, C_CROSS, C_VALID, C_RANGE, C_FIXED, C_SIMD } kind;
	struct value v;
	s64 imm;
	u32 slot;
};

struct point {
	const u8 *at;
	bool joins; /* a side may come back here */
	struct state s;
};

struct check {
	const struct tcache *x;
	const struct tblock *t;
	const u8 *p, *end, *main_end;
	struct state s;
	struct compare c;
	u32 vars;
	bool narrow; /* 32-bit code: numbers in guest registers are below 2^32 */
	struct {
		struct lin of, whole;
		u32 var;
	} cut[64];
	unsigned cuts;
	struct point side[POINTS], join[POINTS];
	unsigned sides, joins;
	const u8 *label[POINTS]; /* jumps forward inside the main line */
	unsigned labels;
	const u8 *done[POINTS]; /* where it goes on after a body instead of the access */
	unsigned dones;
	const char *why;
	struct insn in;
};

/* --- sums --- */

static struct lin number(s64 k)
{
	return (struct lin){.k = k};
}

static bool add_term(struct lin *a, u32 var, s64 coef)
{
	for (unsigned i = 0; i < a->n; i++)
		if (a->var[i] == var) {
			a->coef[i] = (s64)((u64)a->coef[i] + (u64)coef);
			if (!a->coef[i]) {
				a->n--;
				a->var[i] = a->var[a->n];
				a->coef[i] = a->coef[a->n];
			}
			return true;
		}
	if (a->n == TERMS)
		return false;
	a->var[a->n] = var;
	a->coef[a->n++] = coef;
	return true;
}

static bool add_lin(struct lin *a, const struct lin *b, s64 times)
{
	a->k = (s64)((u64)a->k + (u64)b->k * (u64)times);
	for (unsigned i = 0; i < b->n; i++)
		if (!add_term(a, b->var[i], (s64)((u64)b->coef[i] * (u64)times)))
			return false;
	return true;
}

/* Is a - b a constant? */
static bool apart(const struct lin *a, const struct lin *b, s64 *by)
{
	struct lin d = *a;
	if (!add_lin(&d, b, -1) || d.n)
		return false;
	*by = d.k;
	return true;
}

static bool equal(const struct lin *a, const struct lin *b)
{
	s64 by;
	return apart(a, b, &by) && !by;
}

static struct value fresh(struct check *k)
{
	struct value v = {.what = W_NUMBER};
	v.lin.n = 1;
	v.lin.var[0] = ++k->vars;
	v.lin.coef[0] = 1;
	return v;
}

/* As long as a register of the host: in 32-bit code those of the guest are not. */
static struct value wide(struct check *k)
{
	struct value v = fresh(k);
	v.lin.var[0] |= WIDE;
	return v;
}

/* In 32-bit code: a register, or what lies in or right behind a window's bytes, whose page ends
 * below 4 GiB. */
static bool no_upper_half(const struct check *k, const struct lin *of)
{
	s64 at;
	if (!k->narrow)
		return false;
	if (of->n == 1 && of->coef[0] == 1 && !of->k && !(of->var[0] & WIDE))
		return true;
	for (u32 f = 0; f < k->s.facts; f++)
		if (k->s.fact[f].kind == F_RANGE && apart(of, &k->s.fact[f].lin, &at) && at >= 0 &&
		    at <= k->s.fact[f].len)
			return true;
	return false;
}

/* The lower half of a sum: the same number for the same sum. What was cut before need not have
 * been: only the lower half counts. */
static struct value cut(struct check *k, const struct lin *sum)
{
	struct value v = {.what = W_NUMBER, .lin = *sum};
	unsigned i, c;
	for (i = 0; i < v.lin.n;) {
		u32 var = v.lin.var[i];
		s64 times = v.lin.coef[i];
		if (no_upper_half(k, &v.lin))
			return v;
		for (c = 0; c < k->cuts && k->cut[c].var != var; c++)
			;
		if (c == k->cuts) {
			i++;
			continue;
		}
		add_term(&v.lin, var, (s64)(0 - (u64)times));
		if (!add_lin(&v.lin, &k->cut[c].of, times))
			return fresh(k);
		i = 0; /* terms have moved */
	}
	if (no_upper_half(k, &v.lin))
		return v;
	for (i = 0; i < k->cuts && !equal(&k->cut[i].whole, &v.lin); i++)
		;
	if (i == k->cuts) {
		if (i == ARRAY_LEN(k->cut))
			return fresh(k);
		k->cut[k->cuts].of = *sum;
		k->cut[k->cuts].whole = v.lin;
		k->cut[k->cuts++].var = ++k->vars;
	}
	v.lin = (struct lin){.n = 1};
	v.lin.var[0] = k->cut[i].var;
	v.lin.coef[0] = 1;
	return v;
}

static bool same_value(const struct value *a, const struct value *b)
{
	return a->what == b->what && a->id == b->id && a->valid == b->valid &&
	       equal(&a->lin, &b->lin) && equal(&a->sum, &b->sum);
}

static bool no(struct check *k, const char *why)
{
	if (!k->why)
		k->why = why;
	return false;
}

/* --- facts --- */

static void learn(struct check *k, struct fact f)
{
	if (k->s.facts == FACTS) { /* the oldest goes */
		memmove(k->s.fact, k->s.fact + 1, sizeof(k->s.fact) - sizeof(k->s.fact[0]));
		k->s.facts--;
	}
	k->s.fact[k->s.facts++] = f;
}

/* A slot was filled anew: what was known of its page is old. */
static void forget_slot(struct check *k, u32 slot)
{
	u32 n = 0;
	for (u32 i = 0; i < k->s.facts; i++)
		if (k->s.fact[i].kind == F_WHOLE || k->s.fact[i].slot != slot)
			k->s.fact[n++] = k->s.fact[i];
	k->s.facts = n;
}

static bool whole(const struct check *k, const struct lin *at, s64 size)
{
	if (size == 1)
		return true;
	for (u32 i = 0; i < k->s.facts; i++) {
		const struct fact *f = &k->s.fact[i];
		if (f->kind == F_WHOLE && f->len >= size && equal(&f->lin, at))
			return true;
	}
	return false;
}

/* [v, v + size) as a host address: guest memory that may be accessed so? */
static bool may_access(struct check *k, const struct value *v, s64 size, bool write)
{
	s64 at;
	if (v->what == W_ENTRY) {
		if (!v->valid)
			return no(k, "an entry was not tested");
		if (write && v->id != T_WT)
			return no(k, "a write by the table of reads");
		/* entry = addend + 1; the address, or one behind it in the same page */
		if (!apart(&v->sum, &v->lin, &at) || at < -1 || at >= RAM_PAGE)
			return no(k, "not the address that was looked up");
		return whole(k, &v->lin, size + at + 1) || no(k, "perhaps in two pages");
	}
	for (u32 i = 0; i < k->s.facts; i++) {
		const struct fact *f = &k->s.fact[i];
		if (f->slot != v->id)
			continue;
		if (v->what == W_ADD && f->kind == F_RANGE && apart(&v->lin, &f->lin, &at) &&
		    at >= 0 && at + size <= f->len && (f->write || !write))
			return true;
		if (v->what == W_HOST && f->kind == F_FIXED && !v->lin.n && v->lin.k >= 0 &&
		    v->lin.k + size <= RAM_PAGE && (f->write || !write))
			return true;
	}
	return no(k, "nothing says that this may be accessed");
}

/* --- the vCPU block --- */

static bool is_slot(s64 off, u32 *slot, s64 *field)
{
	const s64 first = (s64)G(hot.slot), bytes = TRANS_SLOTS * sizeof(struct page_slot);
	if (off == (s64)G(hot.stack_page) || off == (s64)G(hot.stack_add)) {
		*slot = (u32)G(hot.stack_page);
		*field = off - *slot;
		return true;
	}
	if (off < first || off >= first + bytes)
		return false;
	*field = (off - first) % (s64)sizeof(struct page_slot);
	*slot = (u32)(off - *field);
	return true;
}

static bool for_writes(u32 slot)
{
	return slot == G(hot.stack_page) ||
	       slot >= G(hot.slot) + TRANS_SLOTS / 2 * sizeof(struct page_slot);
}

static struct value *cell(struct check *k, s64 off)
{
	if (off >= 0 && off < 128 && !(off & 7) && home[off / 8] == NOREG)
		return &k->s.cell[off / 8];
	if (off == (s64)G(hot.ea))
		return &k->s.cell[CELL_EA];
	if (off >= (s64)G(hot.looked[0]) && off < (s64)G(hot.looked[TRANS_LOOKED]) && !(off & 7))
		return &k->s.cell[CELL_LOOKED + (off - (s64)G(hot.looked[0])) / 8];
	return off == (s64)G(hot.bits) ? &k->s.cell[CELL_BITS] : NULL;
}

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
	if (cell(k, off))
		return *cell(k, off);
	for (unsigned i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].off == off)
			return (struct value){.what = known[i].what, .id = known[i].id};
	if (is_slot(off, &slot, &field) && field) {
		v.what = field == 8 ? W_ADD : W_HOST;
		v.id = slot;
		return v;
	}
	return wide(k);
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
		return no(k, "an address of 32 bits");
	if (base.what != W_NUMBER && index.what == W_NUMBER) {
		*v = base;
	} else if (base.what == W_NUMBER && index.what != W_NUMBER && !in->scale) {
		*v = index;
		index = base;
		base = *v;
	} else if (base.what == W_NUMBER && index.what == W_NUMBER) {
		*v = base;
	} else {
		return no(k, "a sum of two addresses");
	}
	if (v->what == W_ENTRY) {
		v->sum.k = (s64)((u64)v->sum.k + (u64)in->disp);
		return add_lin(&v->sum, &index.lin, 1 << in->scale) || no(k, "too many terms");
	}
	if (v->what != W_NUMBER && v->what != W_ADD && v->what != W_HOST)
		return no(k, "a sum with something else");
	v->lin.k = (s64)((u64)v->lin.k + (u64)in->disp);
	return add_lin(&v->lin, &index.lin, 1 << in->scale) || no(k, "too many terms");
}

/* The tables' own accesses: [table + index]. */
static bool table_load(struct check *k, const struct insn *in, struct value *v)
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

static void set(struct check *k, unsigned r, struct value v)
{
	k->s.r[r] = v;
}

/* A copied instruction wrote it, perhaps not all of it. */
static void written(struct check *k, const struct insn *in, unsigned r)
{
	const struct value *was = &k->s.r[r];
	bool cut = in->osz != 8 && r != H_R10 && r != H_R11 && was->what == W_NUMBER &&
		   no_upper_half(k, &was->lin);
	set(k, r, cut ? fresh(k) : wide(k));
}

static bool memory(struct check *k, const struct insn *in)
{
	bool read, write;
	unsigned size = width_of(in, &read, &write);
	struct value v;
	if (!size)
		return no(k, "an operand of unknown size");
	if (in->base / 8u < 16 && in->index / 8u == 16 && !in->disp &&
	    k->s.r[in->base / 8u].what == W_POLL && size == 4 && !write)
		return true;
	return sum_of(k, in, &v) && may_access(k, &v, size, write);
}

/* Glue: an operand in the vCPU block, by constant offset. */
static bool vcpu_block(struct check *k, const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	bool read, write, pext = f->map == 5 && in->opcode == 0xf5;
	unsigned size = width_of(in, &read, &write), op = in->opcode;
	struct value v;
	s64 field;
	u32 slot;
	if (in->base / 8u < 16 || in->index / 8u < 16)
		return no(k, "a register in an address of the vCPU block");
	if (!size || in->disp < 0 || in->disp + size > (s64)sizeof(struct vcpu))
		return no(k, "outside of the vCPU block");
	if (write && !gs_writable(in->disp, size))
		return no(k, "a write to the vCPU block that glue does not do");
	if (pext) {
		v = k->s.r[in->vvvv];
		if (in->disp == (s64)G(hot.low))
			v = (struct value){.what = W_LOW, .id = RAM_PAGE - 1};
		else if (in->disp == (s64)G(hot.mask) && v.what == W_NUMBER)
			v.what = W_INDEX;
		else
			return no(k, "pext of what is not an address");
		set(k, in->reg, v);
		return true;
	}
	if (f->map == 0 && op == 0x8b && in->osz == 8) {
		set(k, in->reg, gs_value(k, in->disp));
		return true;
	}
	if (f->map == 0 && op == 0x89) {
		struct value *to = cell(k, in->disp);
		v = in->osz == 8 ? k->s.r[in->reg] : wide(k);
		if (to) /* a guest's register, or an address that is wanted again */
			*to = long_sum(&v) && to < &k->s.cell[CELL_EA] ? wide(k) : v;
		return true;
	}
	if (f->map == 0 && op == 0x03 && in->osz >= 4) { /* add r, gs:[a segment's base] */
		v = gs_value(k, in->disp);
		if (v.what != W_NUMBER || k->s.r[in->reg].what != W_NUMBER)
			return no(k, "an addition of two addresses");
		v.lin = k->s.r[in->reg].lin;
		if (!add_term(&v.lin, (u32)(0x80000000u | (u32)in->disp), 1))
			return no(k, "too many terms");
		set(k, in->reg, in->osz == 8 ? v : cut(k, &v.lin));
		return true;
	}
	if (f->map == 0 && op == 0x2b && in->osz == 8 && is_slot(in->disp, &slot, &field) &&
	    !field && k->s.r[in->reg].what == W_NUMBER) {
		v = k->s.r[in->reg];
		v.what = W_DIFF;
		v.id = slot;
		set(k, in->reg, v);
		return true;
	}
	if (f->map == 0 && op == 0x3b && in->osz == 8 && is_slot(in->disp, &slot, &field) &&
	    !field) {
		k->c = (struct compare){.kind = C_FIXED, .v = k->s.r[in->reg], .slot = slot};
		return true;
	}
	if (f->map == 0 && op == 0x81 && (in->modrm >> 3 & 7) == 7 && in->osz == 8 &&
	    is_slot(in->disp, &slot, &field) && !field) {
		k->c = (struct compare){.kind = C_FIXED, .slot = slot};
		k->c.v.lin = number((s64)in->imm);
		return true;
	}
	if (f->map == 0 && op == 0x83 && in->disp == (s64)G(hot.simd)) {
		k->c = (struct compare){.kind = C_SIMD};
		return true;
	}
	if (write && in->disp < 128 && cell(k, in->disp & ~7))
		*cell(k, in->disp & ~7) = wide(k);
	for (unsigned i = 0; i < 16; i++)
		if (writes_gprs(in) >> i & 1)
			written(k, in, i);
	return true;
}

/* Segment bases count as unknown values that stay: one number for each. */
static bool base_of_segment(s64 off, struct value *v)
{
	if (off < (s64)G(cpu.seg_base) || off >= (s64)G(cpu.seg_base) + 64 || off & 7)
		return false;
	*v = (struct value){.what = W_NUMBER};
	add_term(&v->lin, 0x80000000u | (u32)off, 1);
	return true;
}

/* Registers, as far as addresses are made of them; the rest becomes unknown. */
static bool registers(struct check *k, const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned op = in->opcode, sub = in->modrm >> 3 & 7;
	bool wide = in->osz == 8;
	struct value v;
	if (writes_gprs(in) >> H_RSP & 1)
		return no(k, "a write to the host's stack pointer");
	if (f->map == 5 && op == 0xf7 && f->pfx_mask == 1 && wide) { /* bextr */
		const struct value *what = &k->s.r[in->vvvv], *of = &k->s.r[in->rm];
		if (what->what == W_NUMBER && !what->lin.n && what->lin.k == (36 << 8 | 12) &&
		    of->what == W_NUMBER) {
			v = *of;
			v.what = W_INDEX;
			set(k, in->reg, v);
			return true;
		}
	}
	if (f->map == 0) {
		if (op == 0x8d) {
			if (!wide) {
				if (sum_of(k, in, &v) && v.what == W_NUMBER)
					set(k, in->reg, cut(k, &v.lin));
				else
					set(k, in->reg, fresh(k));
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
						set(k, in->reg, (struct value){.what = W_DESC});
						return true;
					}
					if ((vb->what == W_CODE && vx->what == W_TABLE &&
					     vx->id == T_CODE) ||
					    (vx->what == W_CODE && vb->what == W_TABLE &&
					     vb->id == T_CODE)) {
						set(k, in->reg,
						    (struct value){.what = W_CODE, .id = 1});
						return true;
					}
				}
				goto unknown;
			}
			if (long_sum(&v) && in->reg != H_R10 && in->reg != H_R11)
				goto unknown;
			set(k, in->reg, v);
			return true;
		}
		if ((op == 0x89 || op == 0x8b) && wide) {
			v = op == 0x89 ? k->s.r[in->reg] : k->s.r[in->rm];
			set(k, op == 0x89 ? in->rm : in->reg, v);
			return true;
		}
		if (op >= 0xb8 && op <= 0xbf && in->osz >= 4) {
			set(k, in->rm,
			    (struct value){.what = W_NUMBER,
					   .lin = number(wide ? (s64)in->imm : (u32)in->imm)});
			return true;
		}
		if (op == 0xc7 && wide) {
			set(k, in->rm,
			    (struct value){.what = W_NUMBER, .lin = number((s64)in->imm)});
			return true;
		}
		if ((((op == 0x81 || op == 0x83) && (sub == 0 || sub == 5)) ||
		     (op == 0xff && sub < 2)) &&
		    in->osz >= 4 && k->s.r[in->rm].what == W_NUMBER) {
			u64 by = op == 0xff ? 1 : in->imm;
			v = k->s.r[in->rm];
			v.lin.k = (s64)((u64)v.lin.k + (sub ? 0 - by : by));
			set(k, in->rm, wide ? v : cut(k, &v.lin));
			return true;
		}
		if (k->narrow && op == 0x83 && sub == 4 && in->osz == 4 && (s64)in->imm >= 0 &&
		    in->rm == H_R11) { /* a masked bit, see emit_bt() */
			set(k, in->rm, (struct value){.what = W_LOW, .id = (u32)in->imm});
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
			    apart(&a->lin, &b->lin, &by) && by >= 0 && by < RAM_PAGE) {
				set(k, in->rm,
				    (struct value){.what = W_PAGES, .id = (u32)by, .lin = b->lin});
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
			written(k, in, i);
	return true;
}

/* --- jumps and calls --- */

static void snapshot(struct check *k, const u8 *at, struct point *to, unsigned *n, bool joins)
{
	if (*n == POINTS) {
		no(k, "too many jumps");
		return;
	}
	to[*n].at = at;
	to[*n].joins = joins;
	to[*n].s = k->s;
	(*n)++;
}

static bool is_main(const struct check *k, const u8 *at)
{
	return at >= k->t->start && at < k->main_end;
}

/* What a lookup or guard makes known where its jump was not taken (or, `taken`, was). */
static void believe(struct check *k, unsigned cc, bool taken)
{
	const struct compare *c = &k->c;
	struct fact f = {.slot = c->slot, .lin = c->v.lin, .len = c->imm};
	switch (c->kind) {
	case C_CROSS: /* test, jnz: not taken; shr, jz: taken */
		if (c->slot ? !(cc == 4 && taken) && !(cc == 5 && !taken) : !(!taken && cc == 5))
			return;
		f.kind = F_WHOLE;
		f.slot = 0;
		/* aligned to a power of two; ten bytes from a multiple of 16 */
		learn(k, f);
		return;
	case C_VALID:
		if (!taken && cc == 4)
			k->s.r[c->slot].valid = true;
		return;
	case C_RANGE:
		if (taken || cc != 7 || c->imm > RAM_PAGE)
			return;
		f.kind = F_RANGE;
		f.len = RAM_PAGE - c->imm;
		f.write = for_writes(c->slot);
		learn(k, f);
		return;
	case C_FIXED:
		if (taken || cc != 5 || c->v.what != W_NUMBER || c->v.lin.n ||
		    c->v.lin.k & (RAM_PAGE - 1))
			return;
		f.kind = F_FIXED;
		f.write = for_writes(c->slot);
		learn(k, f);
		return;
	default: return;
	}
}

/* A crossing test proves as many bytes as its side tests: lea r11, [r10 + n - 1]. */
static s64 side_bytes(const struct check *k, const u8 *to)
{
	const u32 mode = MODE_PE | MODE_LMA | MODE_64 | 3;
	struct insn in;
	if (insn_decode(&in, to, (unsigned)min_u64(15, (u64)(k->end - to)), 0, mode, ~0ull) !=
		    INSN_OK ||
	    in.opcode != 0x8d || in.base != H_R10 * 8)
		return 0;
	return in.disp + 1;
}

/* A conditional jump. */
static bool jcc(struct check *k, unsigned cc, const u8 *to)
{
	struct check *c = k;
	struct compare last = k->c;
	if (is_main(k, to) && k->p < k->main_end) { /* forward, or to this block's own head */
		if (to > k->p) {
			if (c->labels == POINTS)
				return no(k, "too many jumps");
			c->label[c->labels++] = to;
		}
		return true;
	}
	if (k->p <= k->main_end && to >= k->main_end && to < k->end) {
		if (last.kind == C_RANGE || last.kind == C_FIXED) {
			/* r10 is nothing any more: the way through the side leaves it so */
			set(k, H_R10, wide(k));
			set(k, H_R11, wide(k));
		}
		snapshot(k, to, k->side, &k->sides, false);
		if (last.kind == C_RANGE || last.kind == C_FIXED)
			forget_slot(k, last.slot); /* the side may fill it anew */
		if (last.kind == C_CROSS && !last.slot && side_bytes(k, to) < last.imm)
			k->c.imm = side_bytes(k, to);
		if (k->c.kind == C_CROSS && k->c.imm <= 0)
			k->c.kind = C_NONE; /* it leads to the body: nothing follows from it */
		believe(k, cc, false);
		/* what the way through the side leaves of them */
		if (last.kind == C_SIMD || last.kind == C_VALID)
			set(k, H_R10, wide(k));
		if (last.kind == C_SIMD || last.kind == C_CROSS)
			set(k, H_R11, wide(k));
		snapshot(k, k->p, k->join, &k->joins, last.kind != C_NONE);
		k->c.kind = C_NONE;
		return true;
	}
	return true; /* a link: out of the block */
}

static bool facts_hold(const struct check *k, const struct state *want)
{
	for (u32 i = 0; i < want->facts; i++) {
		const struct fact *w = &want->fact[i];
		bool found = false;
		for (u32 j = 0; j < k->s.facts && !found; j++) {
			const struct fact *f = &k->s.fact[j];
			s64 at;
			found = f->kind == w->kind && f->slot == w->slot && f->len >= w->len &&
				(f->write || !w->write) &&
				(f->kind == F_FIXED ? true : apart(&f->lin, &w->lin, &at) && !at);
		}
		if (!found)
			return false;
	}
	return true;
}

/* From a side back into the main line: it must bring what is known there. */
static bool come_back(struct check *k, const u8 *to)
{
	for (unsigned i = 0; i < k->joins; i++) {
		const struct state *want = &k->join[i].s;
		if (k->join[i].at != to)
			continue;
		for (unsigned r = 0; r < 16; r++) {
			const struct value *a = &k->s.r[r], *b = &want->r[r];
			/* a number that appeared at the join is any number */
			bool any = b->what == W_NUMBER && b->lin.n == 1 && !b->lin.k &&
				   b->lin.coef[0] == 1 && (r == H_R10 || r == H_R11);
			if (!same_value(a, b) && !any)
				return no(k, "a side comes back with another register");
		}
		for (unsigned c = 0; c < CELLS; c++)
			if (!same_value(&k->s.cell[c], &want->cell[c]))
				return no(k, "a side comes back with another value in memory");
		return facts_hold(k, want) || no(k, "a side comes back without proof");
	}
	return no(k, "a side comes back where nothing is known");
}

static const struct tinsn *tinsn_of(struct check *k, const struct value *v)
{
	u64 at = (u64)v->lin.k & ~1ull, first = (u64)k->t->ti;
	if (v->what != W_NUMBER || v->lin.n || at < first || (at - first) % sizeof(struct tinsn) ||
	    (at - first) / sizeof(struct tinsn) >= k->t->count)
		return NULL;
	return (const struct tinsn *)at;
}

static const struct tguard *guard_of(struct check *k, const struct value *v)
{
	u64 at = (u64)v->lin.k, first = (u64)guards_of(k->t);
	if (v->what != W_NUMBER || v->lin.n || at < first || (at - first) % sizeof(struct tguard) ||
	    (at - first) / sizeof(struct tguard) >= k->t->guards)
		return NULL;
	return (const struct tguard *)at;
}

static bool is_stub(const struct check *k, const u8 *to)
{
	return to >= k->x->rw && to < k->x->rw + k->x->stubs;
}

static bool call(struct check *k, const u8 *to)
{
	const struct tcache *x = k->x;
	const struct tinsn *ti;
	const struct tguard *g;
	struct value *r10 = &k->s.r[H_R10], *r11 = &k->s.r[H_R11];
	struct fact f = {.kind = F_RANGE};
	bool write;
	if (to == x->simd) {
		*r10 = wide(k);
		*r11 = wide(k);
		return true;
	}
	if (to == x->interp) {
		if (!tinsn_of(k, r10))
			return no(k, "a body without its instruction");
		for (unsigned i = 0; i < 16; i++)
			set(k, i, i == H_R10 || i == H_R11 ? wide(k) : fresh(k));
		for (unsigned i = 0; i < CELLS; i++)
			k->s.cell[i] = wide(k);
		k->s.facts = 0;
		return true;
	}
	if (to == x->miss) {
		struct value e = {.what = W_ENTRY, .valid = true};
		ti = tinsn_of(k, r11);
		if (!ti || r10->what != W_NUMBER)
			return no(k, "a miss without its instruction or address");
		e.id = (u64)r11->lin.k & 1 ? T_WT : T_RT;
		e.lin = r10->lin;
		learn(k, (struct fact){.kind = F_WHOLE, .lin = r10->lin, .len = ti->size});
		*r10 = wide(k);
		*r11 = e;
		return true;
	}
	if (to == x->family[0] || to == x->family[1]) {
		struct value e = {.what = W_ENTRY, .valid = true};
		g = guard_of(k, r11);
		write = to == x->family[1];
		if (!g || r10->what != W_NUMBER || write != g->write)
			return no(k, "a family without its guard");
		e.id = write ? T_WT : T_RT;
		e.lin = r10->lin;
		learn(k, (struct fact){.kind = F_WHOLE, .lin = r10->lin, .len = g->len});
		*r10 = wide(k);
		*r11 = e;
		return true;
	}
	write = to == x->slot_stub[k->narrow][1];
	if (write || to == x->slot_stub[k->narrow][0]) {
		g = guard_of(k, r11);
		if (!g || r10->what != W_NUMBER || !g->slot || write != g->write ||
		    for_writes(g->slot) != g->write)
			return no(k, "a slot without its family");
		f.slot = g->slot;
		f.lin = r10->lin;
		f.len = g->len;
		f.write = g->write;
		forget_slot(k, f.slot);
		learn(k, f);
		f.kind = F_FIXED;
		learn(k, f);
		*r10 = wide(k);
		*r11 = wide(k);
		return true;
	}
	if (to == x->stack_stub[k->narrow] || to == x->stack_leave) {
		g = guard_of(k, r10);
		if (!g || g->slot || (to == x->stack_leave) != g->leave)
			return no(k, "a window without its guard");
		f.slot = (u32)G(hot.stack_page);
		f.lin = k->s.r[g->leave ? H_RBP : H_R9].lin;
		f.lin.k += g->lo;
		f.len = g->len;
		f.write = true;
		if (k->s.r[g->leave ? H_RBP : H_R9].what != W_NUMBER)
			return no(k, "a window of what is no number");
		forget_slot(k, f.slot);
		learn(k, f);
		*r10 = wide(k);
		*r11 = wide(k);
		return true;
	}
	return no(k, "a call of something else");
}

/* --- the walk --- */

/* The check of a branch's target (layout.h: e_new_rip), taken as one. */
static bool new_rip(struct check *k)
{
	u8 buf[128];
	struct emit e = {.p = buf, .end = buf + sizeof(buf)};
	size_t n;
	e_new_rip(&e);
	n = (size_t)(e.p - buf);
	if ((size_t)(k->end - k->p) < n || memcmp(k->p, buf, n))
		return false;
	k->p += n;
	set(k, H_R11, wide(k));
	return true;
}

/* False: the way ends here (k->why tells if it is a mistake). */
static bool step(struct check *k)
{
	const u64 all = ~0ull;
	const u32 mode = MODE_PE | MODE_LMA | MODE_64 | MODE_OSFXSR | MODE_OSXSAVE | MODE_AVX | 3;
	struct insn *in = &k->in;
	const struct insn_form *f;
	struct tclass c;
	struct value v;
	const u8 *to;
	bool mem;
	if (new_rip(k))
		return true;
	if (insn_decode(in, k->p, (unsigned)min_u64(15, (u64)(k->end - k->p)), (u64)k->p, mode,
			all) != INSN_OK)
		return no(k, "bytes that are no instruction");
	f = &insn_forms[in->form];
	mem = in->pfx & PFX_MEM;
	k->p += in->len;
	to = (const u8 *)in->imm;
	if (f->map == 0 && in->opcode == 0xe9) {
		if (is_stub(k, to) || to < k->t->start || to >= k->end)
			return false;
		if (is_main(k, to) && k->p > k->main_end)
			come_back(k, to);
		else if (k->p <= k->main_end && to > k->p && is_main(k, to) &&
			 to != k->t->start + k->t->code_saved && to != k->t->start + k->t->code)
			no(k, "a jump inside the main line");
		else if (to >= k->main_end)
			snapshot(k, to, k->side, &k->sides, false);
		return false;
	}
	if (f->map == 0 && in->opcode == 0xe8) {
		if (to == k->x->miss && k->end - k->p >= 10 && k->p[5] == 0xe9) {
			s32 by;
			memcpy(&by, k->p + 6, sizeof(by));
			if (is_main(k, k->p + 10 + by) && k->dones < POINTS)
				k->done[k->dones++] = k->p + 10 + by;
		}
		return call(k, to);
	}
	if (f->map == 1 && (in->opcode & 0xf0) == 0x80) {
		unsigned cc = in->opcode & 15;
		if (k->p > k->main_end) { /* in a side: the crossing test comes back */
			struct state keep = k->s;
			believe(k, cc, true);
			if (!is_main(k, to) || !come_back(k, to))
				return no(k, "a jump in a side");
			k->s = keep;
			k->c.kind = C_NONE;
			return true;
		}
		return jcc(k, cc, to);
	}
	if (f->map == 0 && in->opcode == 0xe3) { /* jrcxz over the next jump */
		k->s.facts = 0;
		k->p += 5;
		return true;
	}
	if (f->map == 0 && in->opcode == 0xff && !mem && (in->modrm >> 3 & 7) == 4) {
		if (k->s.r[in->rm].what != W_CODE || !k->s.r[in->rm].id)
			no(k, "a jump to what is no code");
		return false;
	}
	if (k->c.kind != C_NONE && !(f->map == 0 && (in->opcode == 0x8b || in->opcode == 0x8d)))
		k->c.kind = C_NONE;
	if (f->map == 1 && in->opcode == 0x31) {
		set(k, H_RAX, fresh(k));
		set(k, H_RDX, fresh(k));
		return true;
	}
	if (mem && in->seg == S_GS) {
		if (f->map == 0 && in->opcode == 0x8b && in->osz == 8 &&
		    base_of_segment(in->disp, &v) && in->base / 8u == 16 && in->index / 8u == 16) {
			set(k, in->reg, v);
			return true;
		}
		return vcpu_block(k, in);
	}
	if (mem && (in->seg == S_FS || in->base / 8u == H_RSP))
		return no(k, "a segment or the host's stack in an address");
	c = classify(in, mode & ~3u);
	if (k->narrow && f->map == 1 && in->opcode == 0xc7 && mem && (in->modrm >> 3 & 7) == 1)
		c = (struct tclass){.kind = T_COPY, .size = 8}; /* CMPXCHG8B */
	if (c.kind != T_COPY && c.kind != T_LEA && c.kind != T_NOP && c.kind != T_BT)
		return no(k, "an instruction that is not copied");
	if (mem && f->map == 0 && in->opcode == 0x8b && table_load(k, in, &v)) {
		set(k, in->reg, v);
		return true;
	}
	/* cmp dword [xt + constant], imm32: the second page of a block */
	if (mem && f->map == 0 && in->opcode == 0x81 && (in->modrm >> 3 & 7) == 7 &&
	    table_load(k, in, &v) && v.what == W_DESC)
		return true;
	if (c.kind == T_NOP)
		return true;
	if (c.kind == T_BT && k->narrow) { /* the bit is masked, the string starts where it is */
		const struct value *bit = &k->s.r[in->reg];
		if (bit->what != W_LOW || bit->id >= in->osz * 8u || in->index / 8u < 16 ||
		    in->disp)
			return no(k, "a bit string at an unknown place");
		return may_access(k, &k->s.r[in->base / 8u & 15], in->osz, in->opcode != 0xa3);
	}
	if (c.kind == T_BT) {
		/* the bit's place was looked up as hot.ea, the string starts at hot.bits */
		const struct value *b = &k->s.r[in->base / 8u & 15], *ea = &k->s.cell[CELL_EA],
				   *start = &k->s.cell[CELL_BITS];
		struct value at = *b;
		if (b->what != W_ENTRY || in->index / 8u < 16 || in->disp || ea->what != W_NUMBER ||
		    start->what != W_NUMBER || !add_lin(&at.sum, &start->lin, -1) ||
		    !add_lin(&at.sum, &ea->lin, 1))
			return no(k, "a bit string at an unknown place");
		return may_access(k, &at, in->osz, in->opcode != 0xa3);
	}
	if (mem && c.kind == T_COPY && !memory(k, in))
		return false;
	if (mem && c.kind == T_COPY) {
		for (unsigned i = 0; i < 16; i++)
			if (writes_gprs(in) >> i & 1 && i != H_RSP)
				written(k, in, i);
		return true;
	}
	return registers(k, in);
}

static bool label_here(const struct check *k)
{
	for (unsigned i = 0; i < k->labels; i++)
		if (k->label[i] == k->p)
			return true;
	return false;
}

static void unknown_state(struct check *k)
{
	memset(&k->s, 0, sizeof(k->s));
	for (unsigned i = 0; i < 16; i++)
		set(k, i, i == H_R10 || i == H_R11 ? wide(k) : fresh(k));
	for (unsigned i = 0; i < CELLS; i++)
		k->s.cell[i] = wide(k);
	k->c.kind = C_NONE;
}

static void walk(struct check *k)
{
	const struct tblock *t = k->t;
	k->vars = k->sides = k->joins = k->labels = k->cuts = 0;
	k->why = NULL;
	unknown_state(k);
	k->p = t->start;
	while (k->p < k->main_end && !k->why) {
		/* another entry, a way out of an unrolled loop: nothing is known there */
		if (k->p == t->start + t->code || k->p == t->start + t->code_saved || label_here(k))
			unknown_state(k);
		if (k->p == t->start + t->code_vec || k->p == t->start + t->code_vec_saved)
			k->s.facts = 0;
		for (unsigned i = 0; i < k->dones; i++)
			if (k->done[i] == k->p) { /* as if it had been executed here */
				set(k, H_R10, wide(k));
				set(k, H_R11, wide(k));
				k->s.cell[CELL_EA] = k->s.cell[CELL_BITS] = wide(k);
			}
		if (!step(k) && !k->why)
			unknown_state(k); /* behind a jump: only by a label */
	}
	for (unsigned i = 0; i < k->sides && !k->why; i++) {
		k->s = k->side[i].s;
		k->c.kind = C_NONE;
		k->p = k->side[i].at;
		while (k->p < k->end && step(k) && !k->why)
			;
	}
}

bool check_block(struct tcache *x, const struct tblock *t, const u8 *main_end, const u8 *end)
{
	struct check *k = x->check;
	if (!k)
		k = x->check = malloc(sizeof(*k));
	if (!k) {
		FAIL(-ENOMEM, "out of memory");
		return false;
	}
	k->x = x;
	k->t = t;
	k->end = end;
	k->main_end = main_end;
	k->dones = 0;
	k->narrow = t->page && !(t->page->mode & MODE_64);
	walk(k); /* finds where bodies come back */
	if (!k->why)
		walk(k);
	if (!k->why)
		return true;
	FAIL(-EPROTO, "the block at %llx is not proven: %s, before host byte %u, %s",
	     (unsigned long long)t->block_rip, k->why, (unsigned)(k->p - t->start),
	     insn_forms[k->in.form].name);
	return false;
}
