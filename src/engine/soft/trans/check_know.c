/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_know: sums of unknown values, and what may be accessed by what is known of them.
 *
 * Sums are modulo 2^64, as the host reckons. What does not fit becomes an unknown value, which is
 * always true.
 *
 * Context: owner, within check_block().
 */
#include <string.h>

#include "engine/soft/trans/check.h"

/* --- sums --- */

struct lin ck_number(s64 k)
{
	return (struct lin){.k = k};
}

bool ck_add_term(struct lin *a, u32 var, s64 coef)
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

bool ck_add_lin(struct lin *a, const struct lin *b, s64 times)
{
	a->k = (s64)((u64)a->k + (u64)b->k * (u64)times);
	for (unsigned i = 0; i < b->n; i++)
		if (!ck_add_term(a, b->var[i], (s64)((u64)b->coef[i] * (u64)times)))
			return false;
	return true;
}

/* Is a - b a constant? */
bool ck_apart(const struct lin *a, const struct lin *b, s64 *by)
{
	struct lin d = *a;
	if (!ck_add_lin(&d, b, -1) || d.n)
		return false;
	*by = d.k;
	return true;
}

static bool equal(const struct lin *a, const struct lin *b)
{
	s64 by;
	return ck_apart(a, b, &by) && !by;
}

struct value ck_fresh(struct check *k)
{
	struct value v = {.what = W_NUMBER};
	v.lin.n = 1;
	v.lin.var[0] = ++k->vars;
	v.lin.coef[0] = 1;
	return v;
}

/* As long as a register of the host: in 32-bit code those of the guest are not. */
struct value ck_wide(struct check *k)
{
	struct value v = ck_fresh(k);
	v.lin.var[0] |= WIDE;
	return v;
}

/* In 32-bit code: a register, or what lies in or right behind a window's bytes, whose page ends
 * below 4 GiB. */
bool ck_no_upper_half(const struct check *k, const struct lin *of)
{
	s64 at;
	if (!k->narrow)
		return false;
	if (of->n == 1 && of->coef[0] == 1 && !of->k && !(of->var[0] & WIDE))
		return true;
	for (u32 f = 0; f < k->s.facts; f++)
		if (k->s.fact[f].kind == F_RANGE && ck_apart(of, &k->s.fact[f].lin, &at) &&
		    at >= 0 && at <= k->s.fact[f].len)
			return true;
	return false;
}

/* The lower half of a sum: the same number for the same sum. What was cut before need not have
 * been: only the lower half counts. */
struct value ck_cut(struct check *k, const struct lin *sum)
{
	struct value v = {.what = W_NUMBER, .lin = *sum};
	unsigned i, c;
	for (i = 0; i < v.lin.n;) {
		u32 var = v.lin.var[i];
		s64 times = v.lin.coef[i];
		if (ck_no_upper_half(k, &v.lin))
			return v;
		for (c = 0; c < k->cuts && k->cut[c].var != var; c++)
			;
		if (c == k->cuts) {
			i++;
			continue;
		}
		ck_add_term(&v.lin, var, (s64)(0 - (u64)times));
		if (!ck_add_lin(&v.lin, &k->cut[c].of, times))
			return ck_fresh(k);
		i = 0; /* terms have moved */
	}
	if (ck_no_upper_half(k, &v.lin))
		return v;
	for (i = 0; i < k->cuts && !equal(&k->cut[i].whole, &v.lin); i++)
		;
	if (i == k->cuts) {
		if (i == ARRAY_LEN(k->cut))
			return ck_fresh(k);
		k->cut[k->cuts].of = *sum;
		k->cut[k->cuts].whole = v.lin;
		k->cut[k->cuts++].var = ++k->vars;
	}
	v.lin = (struct lin){.n = 1};
	v.lin.var[0] = k->cut[i].var;
	v.lin.coef[0] = 1;
	return v;
}

bool ck_same_value(const struct value *a, const struct value *b)
{
	return a->what == b->what && a->id == b->id && a->valid == b->valid &&
	       equal(&a->lin, &b->lin) && equal(&a->sum, &b->sum);
}

bool ck_no(struct check *k, const char *why)
{
	if (!k->why)
		k->why = why;
	return false;
}

/* --- facts --- */

void ck_learn(struct check *k, struct fact f)
{
	if (k->s.facts == FACTS) { /* the oldest goes */
		memmove(k->s.fact, k->s.fact + 1, sizeof(k->s.fact) - sizeof(k->s.fact[0]));
		k->s.facts--;
	}
	k->s.fact[k->s.facts++] = f;
}

/* A slot was filled anew: what was known of its page is old. */
void ck_forget_slot(struct check *k, u32 slot)
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
bool ck_may_access(struct check *k, const struct value *v, s64 size, bool write)
{
	s64 at;
	if (v->what == W_ENTRY) {
		if (!v->valid)
			return ck_no(k, "an entry was not tested");
		if (write && v->id != T_WT)
			return ck_no(k, "a write by the table of reads");
		/* entry = addend + 1; the address, or one behind it in the same page */
		if (!ck_apart(&v->sum, &v->lin, &at) || at < -1 || at >= RAM_PAGE)
			return ck_no(k, "not the address that was looked up");
		return whole(k, &v->lin, size + at + 1) || ck_no(k, "perhaps in two pages");
	}
	for (u32 i = 0; i < k->s.facts; i++) {
		const struct fact *f = &k->s.fact[i];
		if (f->slot != v->id)
			continue;
		if (v->what == W_ADD && f->kind == F_RANGE && ck_apart(&v->lin, &f->lin, &at) &&
		    at >= 0 && at + size <= f->len && (f->write || !write))
			return true;
		if (v->what == W_HOST && f->kind == F_FIXED && !v->lin.n && v->lin.k >= 0 &&
		    v->lin.k + size <= RAM_PAGE && (f->write || !write))
			return true;
	}
	return ck_no(k, "nothing says that this may be accessed");
}

/* --- the vCPU block --- */

bool ck_is_slot(s64 off, u32 *slot, s64 *field)
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

bool ck_for_writes(u32 slot)
{
	return slot == G(hot.stack_page) ||
	       slot >= G(hot.slot) + TRANS_SLOTS / 2 * sizeof(struct page_slot);
}

struct value *ck_cell(struct check *k, s64 off)
{
	if (off >= 0 && off < 128 && !(off & 7) && home[off / 8] == NOREG)
		return &k->s.cell[off / 8];
	if (off == (s64)G(hot.ea))
		return &k->s.cell[CELL_EA];
	if (off >= (s64)G(hot.looked[0]) && off < (s64)G(hot.looked[TRANS_LOOKED]) && !(off & 7))
		return &k->s.cell[CELL_LOOKED + (off - (s64)G(hot.looked[0])) / 8];
	return off == (s64)G(hot.bits) ? &k->s.cell[CELL_BITS] : NULL;
}
