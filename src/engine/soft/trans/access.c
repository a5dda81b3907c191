/* SPDX-License-Identifier: Apache-2.0 */
/* access: where the flags are, addresses of memory operands, the lookup of their pages. See gen.h.
 */
#include "engine/soft/trans/gen.h"

/* --- flags: where they are changes from instruction to instruction. r11 is clobbered. --- */

void flags_save(struct emit *e)
{
	e_mov(e, H_R11, H_RAX);
	e_lahf_seto(e);
	e_gs(e, false, 0x89, H_RAX, G(hot.status));
	e_mov(e, H_RAX, H_R11);
}

void flags_restore(struct emit *e)
{
	e_mov(e, H_R11, H_RAX);
	e_gs(e, false, 0x8b, H_RAX, G(hot.status));
	e_from_ax(e);
	e_mov(e, H_RAX, H_R11);
}

/* What follows clobbers the host's flags. */
void flags_away(struct tr *t, bool live)
{
	if (live && !t->saved) {
		t->r11_holds = 0;
		flags_save(&t->e);
		t->saved = true;
	}
}

void flags_back(struct tr *t)
{
	if (t->saved) {
		t->r11_holds = 0;
		flags_restore(&t->e);
	}
	t->saved = false;
}

/* --- addresses --- */

struct side *side_new(struct tr *t)
{
	if (t->sides == SIDE_MAX) {
		t->failed = true;
		t->sides = 0;
	}
	t->side[t->sides] = (struct side){.link = -1};
	return &t->side[t->sides++];
}

/* The host register that holds guest register n (16: none): its home, or `scratch` after a load. */
unsigned reg_in_host(struct emit *e, unsigned n, unsigned scratch)
{
	if (n >= 16)
		return NOREG;
	if (home[n] != NOREG)
		return home[n];
	e_gs_load(e, scratch, G_REG(n));
	return scratch;
}

/* r10 = the operand's linear address; leaves r11. Clobbers the flags. */
void emit_ea_again(struct emit *e, const struct ea *ea)
{
	unsigned base, index;
	switch (ea->kind) {
	case EA_SIMPLE: e_lea(e, H_R10, ea->base, NOREG, 0, (s32)ea->disp, 8); break;
	case EA_AGAIN:
		base = reg_in_host(e, ea->base, H_R10);
		index = reg_in_host(e, ea->index, H_R10);
		if (base == NOREG && index == NOREG)
			e_mov_imm(e, H_R10, ea->size == 8 ? (u64)ea->disp : (u32)ea->disp);
		else
			e_lea(e, H_R10, base, index, ea->scale, (s32)ea->disp, ea->size);
		if (ea->segment)
			e_gs(e, !ea->narrow, 0x03, H_R10, ea->segment); /* add */
		break;
	case EA_STORED: e_gs_load(e, H_R10, G(hot.ea)); break;
	}
}

static bool in_slot(unsigned guest)
{
	return guest < 16 && home[guest] == NOREG;
}

struct ea ea_of(const struct tr *t, const struct insn *in)
{
	unsigned b = in->base / 8u, x = in->index / 8u;
	struct ea ea = {.kind = EA_AGAIN,
			.base = b,
			.index = x,
			.scale = in->scale,
			.size = in->asz,
			.narrow = t->word == 4,
			.disp = in->disp};
	if (in->seg == S_FS || in->seg == S_GS)
		ea.segment = (u32)(G(cpu.seg_base) + in->seg * 8u);
	/* in 32-bit code the sum is cut, but the register alone is none */
	if (b < 16 && x == 16 && home[b] != NOREG && !ea.segment &&
	    (in->asz == 8 || (t->word == 4 && !in->disp))) {
		ea.kind = EA_SIMPLE;
		ea.base = home[b];
	}
	return ea;
}

/* The operand is counted from FS or GS in 32-bit code: r10 = its linear address if the segment is
 * one that adds no more than its base and the offset is aligned, so that the operand does not go
 * over its end; else to the miss that comes next. */
static void emit_ea_segment(struct tr *t, const struct insn *in, const struct ea *ea)
{
	struct emit *e = &t->e;
	struct ea offset = *ea;
	unsigned size = t->t->ti[t->i].size;
	offset.segment = 0;
	emit_ea_again(e, &offset);
	e8(e, 0x65); /* test byte gs:[seg_wide], bit */
	e8(e, 0xf6);
	e_mem(e, 0, NOREG, NOREG, 0, (s32)G(cpu.seg_wide));
	e8(e, BIT(in->seg));
	t->no_seg[0] = e_jcc_fwd(e, 4);
	if (size > 1 && (ea->base < 16 || ea->index < 16)) {
		e_test_imm8(e, H_R10, size - 1);
		t->no_seg[1] = e_jcc_fwd(e, 5);
	}
	e_gs(e, false, 0x03, H_R10, ea->segment); /* add */
}

/* The same, and `ea` tells how to have it again. Clobbers r11, too. */
void emit_ea(struct tr *t, const struct insn *in, struct ea *ea)
{
	struct emit *e = &t->e;
	unsigned b = in->base / 8u, x = in->index / 8u, hb, hx;
	forget_addends(t);
	*ea = ea_of(t, in);
	if ((b < 16 || x < 16) && (in->disp != (s32)in->disp || in->disp < -0x7fffffff))
		t->failed = true;
	if (ea->segment && ea->narrow) {
		emit_ea_segment(t, in, ea);
		return;
	}
	if (!in_slot(b) || !in_slot(x)) {
		emit_ea_again(e, ea);
		return;
	}
	hb = reg_in_host(e, b, H_R10);
	hx = reg_in_host(e, x, H_R11);
	e_lea(e, H_R10, hb, hx, in->scale, (s32)in->disp, in->asz);
	if (ea->segment)
		e_gs(e, true, 0x03, H_R10, ea->segment);
	ea->kind = EA_STORED;
	e_gs_store(e, H_R10, G(hot.ea));
}

/* r10 (an address `ea` describes) -> r11 = its table entry. Returns the miss side, whose `done` the
 * caller sets. */
unsigned emit_lookup(struct tr *t, struct tinsn *ti, const struct ea *ea, unsigned size, bool write)
{
	struct emit *e = &t->e;
	struct side *s;
	u8 *cross = NULL, *miss, *top;
	if (size > 1) { /* m80: 10 bytes that begin at 16 */
		e_test_imm8(e, H_R10, size == 10 ? 15 : size - 1);
		cross = e_jcc_fwd(e, 5);
	}
	top = e->p;
	e_page_number(e);
	e_gs_load(e, H_R10, write ? G(hot.wt) : G(hot.rt));
	e_load(e, 8, H_R11, H_R10, H_R11, 3, 0);
	e_test_imm8(e, H_R11, 1);
	miss = e_jcc_fwd(e, 4);
	if (cross) {
		s = side_new(t);
		s->kind = SIDE_CROSS;
		s->from = cross;
		s->back = top;
		s->size = (u8)size;
	}
	s = side_new(t);
	s->kind = SIDE_MISS;
	s->from = miss;
	s->also[0] = t->no_seg[0];
	s->also[1] = t->no_seg[1];
	t->no_seg[0] = t->no_seg[1] = NULL;
	s->back = e->p;
	s->ea = *ea;
	s->ti = ti;
	s->write = write;
	return t->sides - 1;
}

/* After the lookup: r10 = host address. */
void emit_host(struct tr *t, const struct ea *ea)
{
	struct emit *e = &t->e;
	if (ea->kind == EA_SIMPLE) {
		e_lea(e, H_R10, ea->base, H_R11, 0, (s32)(ea->disp - 1), 8);
	} else {
		emit_ea_again(e, ea);
		e_lea(e, H_R10, H_R10, H_R11, 0, -1, 8);
	}
}

/* Both for [RSP or RBP + disp], a word: the stack. */
unsigned emit_lookup_at(struct tr *t, struct tinsn *ti, unsigned guest, s32 disp, bool write)
{
	struct ea ea = {.kind = EA_SIMPLE, .base = home[guest], .disp = disp};
	unsigned miss;
	if (t->word == 4 && disp)
		ea = (struct ea){
			.kind = EA_AGAIN, .base = guest, .index = 16, .size = 4, .disp = disp};
	emit_ea_again(&t->e, &ea);
	miss = emit_lookup(t, ti, &ea, t->word, write);
	emit_host(t, &ea);
	return miss;
}

void done_here(struct tr *t, unsigned s)
{
	t->side[s].done = t->e.p;
}
