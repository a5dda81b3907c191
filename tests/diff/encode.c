/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode: bytes of a form, with everything left open by the table chosen at random: prefixes in
 * any order, REX, VEX length, ModRM, SIB, displacement, immediate.
 *
 * Prefixes that make the encoding invalid come up now and then: both sides must refuse them.
 * Left out by vendor rule: 66 before near branches in 64-bit code (AMD truncates RIP, Intel
 * ignores the prefix).
 */
#include <stdlib.h>

#include "gen.h"

struct enc {
	u8 b[32];
	unsigned n;
};

static void emit(struct enc *e, unsigned b)
{
	e->b[e->n++] = (u8)b;
}

static bool has_kind(const struct insn_form *f, unsigned kind)
{
	for (unsigned i = 0; i < f->operands; i++)
		if (f->op[i].kind == kind)
			return true;
	return false;
}

/* --- prefixes --- */

struct prefixes {
	u8 b[8];
	unsigned n;
	bool opsize, adsize;
};

static void add(struct prefixes *p, unsigned b)
{
	p->b[p->n++] = (u8)b;
}

static void shuffle(struct gen *g, struct prefixes *p)
{
	for (unsigned i = p->n; i > 1; i--) {
		unsigned j = rng_below(&g->r, i);
		u8 t = p->b[i - 1];
		p->b[i - 1] = p->b[j];
		p->b[j] = t;
	}
}

static void common_prefixes(struct gen *g, struct prefixes *p)
{
	static const u8 seg[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

	if (rng_one_in(&g->r, g->k->mode == DM_64 ? 8 : 24)) {
		p->adsize = true;
		add(p, 0x67);
	}
	if (rng_one_in(&g->r, 8))
		add(p, seg[rng_below(&g->r, 6)]);
}

static void legacy_prefixes(struct gen *g, struct prefixes *p, bool mem)
{
	static const u8 rep[] = {0xf3, 0xf2};
	const struct insn_form *f = g->f;
	bool near_branch = f->attr & IA_F64 && g->k->mode == DM_64;

	common_prefixes(g, p);
	if (f->pfx_mask == 15) {
		unsigned often = f->attr & IA_STRING ? 2 : 32;
		p->opsize = !near_branch && rng_one_in(&g->r, f->osz == OSZ_V ? 4 : 16);
		if (rng_one_in(&g->r, often))
			add(p, rep[rng_below(&g->r, 2)]);
	} else {
		unsigned pp = rng_bit(&g->r, f->pfx_mask);
		if (pp >= 2)
			add(p, rep[pp - 2]);
		p->opsize = pp == 1 || (pp >= 2 && !near_branch && rng_one_in(&g->r, 16));
	}
	if (p->opsize)
		add(p, 0x66);
	if (rng_one_in(&g->r, f->attr & IA_LOCK && mem ? 3 : 200))
		add(p, 0xf0);
	shuffle(g, p);
}

/* --- ModRM and what follows --- */

static void displacement(struct gen *g, struct enc *e, unsigned size)
{
	u64 v = rng_one_in(&g->r, 3) ? rng_int(&g->r) : (u64)(s64)(s8)rng_next(&g->r);

	g->disp_at = e->n;
	g->disp_len = size;
	for (unsigned i = 0; i < size; i++)
		emit(e, (unsigned)(v >> (i * 8)) & 0xff);
}

static void memory(struct gen *g, struct enc *e, unsigned reg, bool adr16)
{
	unsigned mod = rng_below(&g->r, 3), rm = rng_below(&g->r, 8), sib = 0;

	if (g->f->attr & IA_VSIB && !rng_one_in(&g->r, 64))
		rm = 4;
	emit(e, mod << 6 | reg << 3 | rm);
	if (adr16) {
		if (mod == 1 || mod == 2 || rm == 6)
			displacement(g, e, mod == 1 ? 1 : 2);
		return;
	}
	if (rm == 4) {
		sib = (unsigned)rng_next(&g->r) & 0xff;
		emit(e, sib);
	}
	if (mod == 1)
		displacement(g, e, 1);
	else if (mod == 2 || rm == 5 || (rm == 4 && (sib & 7) == 5))
		displacement(g, e, 4);
}

static void modrm(struct gen *g, struct enc *e, bool mem, bool adr16)
{
	const struct insn_form *f = g->f;
	unsigned reg = rng_bit(&g->r, f->reg_mask);

	g->disp_len = 0;
	if (mem)
		memory(g, e, reg, adr16);
	else
		emit(e, 0xc0 | reg << 3 | rng_bit(&g->r, f->rm_mask));
}

/* --- opcodes --- */

static void legacy_opcode(struct gen *g, struct enc *e)
{
	const struct insn_form *f = g->f;
	unsigned w = rng_bit(&g->r, f->w_mask), rex = (unsigned)rng_next(&g->r) & 7;

	if (g->k->mode == DM_64 && (w || f->w_mask == 2 || rng_one_in(&g->r, 2)))
		emit(e, 0x40 | w << 3 | rex);
	if (f->map)
		emit(e, 0x0f);
	if (f->map >= 2)
		emit(e, f->map == 2 ? 0x38 : 0x3a);
	emit(e, f->opcode);
}

static void vex_opcode(struct gen *g, struct enc *e)
{
	const struct insn_form *f = g->f;
	bool wide = g->k->mode == DM_64;
	unsigned rxb = wide ? (unsigned)rng_next(&g->r) & 7 : 7; /* inverted, as encoded */
	unsigned w = rng_bit(&g->r, f->w_mask), l = rng_bit(&g->r, f->l_mask);
	unsigned pp = rng_bit(&g->r, f->pfx_mask), v = (unsigned)rng_next(&g->r) & 15;

	if (f->attr & IA_NOPFX && !rng_one_in(&g->r, 100))
		v = 15;
	if (!wide && f->map == 4)
		v |= 8; /* would be LES or LDS, or mean the same */
	if (f->map == 4 && !w && (rxb & 3) == 3 && rng_one_in(&g->r, 2)) {
		emit(e, 0xc5);
		emit(e, (rxb & 4) << 5 | v << 3 | l << 2 | pp);
	} else {
		emit(e, 0xc4);
		emit(e, rxb << 5 | (f->map - 3u));
		emit(e, w << 7 | v << 3 | l << 2 | pp);
	}
	emit(e, f->opcode);
}

void gen_encode(struct gen *g)
{
	const struct insn_form *f = g->f;
	struct diff_case *k = g->k;
	struct prefixes p = {.n = 0};
	struct enc e = {.n = 0};
	bool mem = f->attr & IA_MODRM &&
		   (f->mod_mask == 1 || (f->mod_mask == 3 && rng_one_in(&g->r, 2)));
	int r;

	if (f->map >= 4)
		common_prefixes(g, &p);
	else
		legacy_prefixes(g, &p, mem);
	if (rng_one_in(&g->r, 300)) /* up to and over 15 bytes */
		for (unsigned n = rng_below(&g->r, 14); n; n--)
			emit(&e, p.n ? p.b[0] : 0x3e);
	for (unsigned i = 0; i < p.n; i++)
		emit(&e, p.b[i]);
	if (f->map >= 4)
		vex_opcode(g, &e);
	else
		legacy_opcode(g, &e);
	g->disp_at = g->disp_len = 0;
	if (f->attr & IA_MODRM)
		modrm(g, &e, mem, p.adsize && k->mode == DM_32);
	memset(k->code, 0xcc, sizeof(k->code));
	for (unsigned i = e.n, n = 0; i < sizeof(e.b) && n < 8; i++, n++)
		e.b[i] = (u8)(n ? rng_next(&g->r) : rng_int(&g->r));
	memcpy(k->code, e.b, sizeof(k->code));
	r = soft_decode(g->soft, k, &g->in);
	g->decoded = r == INSN_OK;
	k->code_len = g->decoded ? g->in.len : (u8)min_u64(e.n + 4, 16);
	if (r == INSN_TOO_LONG)
		k->code_len = 16;
	memset(k->code + k->code_len, 0xcc, sizeof(k->code) - k->code_len);
	if (g->disp_at + g->disp_len > k->code_len)
		g->disp_len = 0;
	(void)has_kind;
}
