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

#include "engine/soft/trans/check.h"
#include "host/fail.h"

/* --- jumps and calls --- */

static void snapshot(struct check *k, const u8 *at, struct point *to, unsigned *n, bool joins)
{
	if (*n == POINTS) {
		ck_no(k, "too many jumps");
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
		ck_learn(k, f);
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
		f.write = ck_for_writes(c->slot);
		ck_learn(k, f);
		return;
	case C_FIXED:
		if (taken || cc != 5 || c->v.what != W_NUMBER || c->v.lin.n ||
		    c->v.lin.k & (RAM_PAGE - 1))
			return;
		f.kind = F_FIXED;
		f.write = ck_for_writes(c->slot);
		ck_learn(k, f);
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
				return ck_no(k, "too many jumps");
			c->label[c->labels++] = to;
		}
		return true;
	}
	if (k->p <= k->main_end && to >= k->main_end && to < k->end) {
		if (last.kind == C_RANGE || last.kind == C_FIXED) {
			/* r10 is nothing any more: the way through the side leaves it so */
			ck_set(k, H_R10, ck_wide(k));
			ck_set(k, H_R11, ck_wide(k));
		}
		snapshot(k, to, k->side, &k->sides, false);
		if (last.kind == C_RANGE || last.kind == C_FIXED)
			ck_forget_slot(k, last.slot); /* the side may fill it anew */
		if (last.kind == C_CROSS && !last.slot && side_bytes(k, to) < last.imm)
			k->c.imm = side_bytes(k, to);
		if (k->c.kind == C_CROSS && k->c.imm <= 0)
			k->c.kind = C_NONE; /* it leads to the body: nothing follows from it */
		believe(k, cc, false);
		/* what the way through the side leaves of them */
		if (last.kind == C_SIMD || last.kind == C_VALID)
			ck_set(k, H_R10, ck_wide(k));
		if (last.kind == C_SIMD || last.kind == C_CROSS)
			ck_set(k, H_R11, ck_wide(k));
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
				(f->kind == F_FIXED ? true
						    : ck_apart(&f->lin, &w->lin, &at) && !at);
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
			if (!ck_same_value(a, b) && !any)
				return ck_no(k, "a side comes back with another register");
		}
		for (unsigned c = 0; c < CELLS; c++)
			if (!ck_same_value(&k->s.cell[c], &want->cell[c]))
				return ck_no(k, "a side comes back with another value in memory");
		return facts_hold(k, want) || ck_no(k, "a side comes back without proof");
	}
	return ck_no(k, "a side comes back where nothing is known");
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
		*r10 = ck_wide(k);
		*r11 = ck_wide(k);
		return true;
	}
	if (to == x->interp) {
		if (!tinsn_of(k, r10))
			return ck_no(k, "a body without its instruction");
		for (unsigned i = 0; i < 16; i++)
			ck_set(k, i, i == H_R10 || i == H_R11 ? ck_wide(k) : ck_fresh(k));
		for (unsigned i = 0; i < CELLS; i++)
			k->s.cell[i] = ck_wide(k);
		k->s.facts = 0;
		return true;
	}
	if (to == x->miss) {
		struct value e = {.what = W_ENTRY, .valid = true};
		ti = tinsn_of(k, r11);
		if (!ti || r10->what != W_NUMBER)
			return ck_no(k, "a miss without its instruction or address");
		e.id = (u64)r11->lin.k & 1 ? T_WT : T_RT;
		e.lin = r10->lin;
		ck_learn(k, (struct fact){.kind = F_WHOLE, .lin = r10->lin, .len = ti->size});
		*r10 = ck_wide(k);
		*r11 = e;
		return true;
	}
	if (to == x->family[0] || to == x->family[1]) {
		struct value e = {.what = W_ENTRY, .valid = true};
		g = guard_of(k, r11);
		write = to == x->family[1];
		if (!g || r10->what != W_NUMBER || write != g->write)
			return ck_no(k, "a family without its guard");
		e.id = write ? T_WT : T_RT;
		e.lin = r10->lin;
		ck_learn(k, (struct fact){.kind = F_WHOLE, .lin = r10->lin, .len = g->len});
		*r10 = ck_wide(k);
		*r11 = e;
		return true;
	}
	write = to == x->slot_stub[k->narrow][1];
	if (write || to == x->slot_stub[k->narrow][0]) {
		g = guard_of(k, r11);
		if (!g || r10->what != W_NUMBER || !g->slot || write != g->write ||
		    ck_for_writes(g->slot) != g->write)
			return ck_no(k, "a slot without its family");
		f.slot = g->slot;
		f.lin = r10->lin;
		f.len = g->len;
		f.write = g->write;
		ck_forget_slot(k, f.slot);
		ck_learn(k, f);
		f.kind = F_FIXED;
		ck_learn(k, f);
		*r10 = ck_wide(k);
		*r11 = ck_wide(k);
		return true;
	}
	if (to == x->stack_stub[k->narrow] || to == x->stack_leave) {
		g = guard_of(k, r10);
		if (!g || g->slot || (to == x->stack_leave) != g->leave)
			return ck_no(k, "a window without its guard");
		f.slot = (u32)G(hot.stack_page);
		f.lin = k->s.r[g->leave ? H_RBP : H_R9].lin;
		f.lin.k += g->lo;
		f.len = g->len;
		f.write = true;
		if (k->s.r[g->leave ? H_RBP : H_R9].what != W_NUMBER)
			return ck_no(k, "a window of what is no number");
		ck_forget_slot(k, f.slot);
		ck_learn(k, f);
		*r10 = ck_wide(k);
		*r11 = ck_wide(k);
		return true;
	}
	return ck_no(k, "a call of something else");
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
	ck_set(k, H_R11, ck_wide(k));
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
		return ck_no(k, "bytes that are no instruction");
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
			ck_no(k, "a jump inside the main line");
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
				return ck_no(k, "a jump in a side");
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
			ck_no(k, "a jump to what is no code");
		return false;
	}
	if (k->c.kind != C_NONE && !(f->map == 0 && (in->opcode == 0x8b || in->opcode == 0x8d)))
		k->c.kind = C_NONE;
	if (f->map == 1 && in->opcode == 0x31) {
		ck_set(k, H_RAX, ck_fresh(k));
		ck_set(k, H_RDX, ck_fresh(k));
		return true;
	}
	if (mem && in->seg == S_GS) {
		if (f->map == 0 && in->opcode == 0x8b && in->osz == 8 &&
		    ck_base_of_segment(in->disp, &v) && in->base / 8u == 16 &&
		    in->index / 8u == 16) {
			ck_set(k, in->reg, v);
			return true;
		}
		return ck_vcpu_block(k, in);
	}
	if (mem && (in->seg == S_FS || in->base / 8u == H_RSP))
		return ck_no(k, "a segment or the host's stack in an address");
	c = classify(in, mode & ~3u);
	if (k->narrow && f->map == 1 && in->opcode == 0xc7 && mem && (in->modrm >> 3 & 7) == 1)
		c = (struct tclass){.kind = T_COPY, .size = 8}; /* CMPXCHG8B */
	if (c.kind != T_COPY && c.kind != T_LEA && c.kind != T_NOP && c.kind != T_BT)
		return ck_no(k, "an instruction that is not copied");
	if (mem && f->map == 0 && in->opcode == 0x8b && ck_table_load(k, in, &v)) {
		ck_set(k, in->reg, v);
		return true;
	}
	/* cmp dword [xt + constant], imm32: the second page of a block */
	if (mem && f->map == 0 && in->opcode == 0x81 && (in->modrm >> 3 & 7) == 7 &&
	    ck_table_load(k, in, &v) && v.what == W_DESC)
		return true;
	if (c.kind == T_NOP)
		return true;
	if (c.kind == T_BT && k->narrow) { /* the bit is masked, the string starts where it is */
		const struct value *bit = &k->s.r[in->reg];
		if (bit->what != W_LOW || bit->id >= in->osz * 8u || in->index / 8u < 16 ||
		    in->disp)
			return ck_no(k, "a bit string at an unknown place");
		return ck_may_access(k, &k->s.r[in->base / 8u & 15], in->osz, in->opcode != 0xa3);
	}
	if (c.kind == T_BT) {
		/* the bit's place was looked up as hot.ea, the string starts at hot.bits */
		const struct value *b = &k->s.r[in->base / 8u & 15], *ea = &k->s.cell[CELL_EA],
				   *start = &k->s.cell[CELL_BITS];
		struct value at = *b;
		if (b->what != W_ENTRY || in->index / 8u < 16 || in->disp || ea->what != W_NUMBER ||
		    start->what != W_NUMBER || !ck_add_lin(&at.sum, &start->lin, -1) ||
		    !ck_add_lin(&at.sum, &ea->lin, 1))
			return ck_no(k, "a bit string at an unknown place");
		return ck_may_access(k, &at, in->osz, in->opcode != 0xa3);
	}
	if (mem && c.kind == T_COPY && !ck_memory(k, in))
		return false;
	if (mem && c.kind == T_COPY) {
		for (unsigned i = 0; i < 16; i++)
			if (writes_gprs(in) >> i & 1 && i != H_RSP)
				ck_written(k, in, i);
		return true;
	}
	return ck_registers(k, in);
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
		ck_set(k, i, i == H_R10 || i == H_R11 ? ck_wide(k) : ck_fresh(k));
	for (unsigned i = 0; i < CELLS; i++)
		k->s.cell[i] = ck_wide(k);
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
				ck_set(k, H_R10, ck_wide(k));
				ck_set(k, H_R11, ck_wide(k));
				k->s.cell[CELL_EA] = k->s.cell[CELL_BITS] = ck_wide(k);
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
