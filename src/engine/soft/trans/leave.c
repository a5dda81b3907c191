/* SPDX-License-Identifier: Apache-2.0 */
/* leave: jumps, calls and returns: to a block of the page, or by what the code table knows. See
 * gen.h. */
#include "engine/soft/trans/gen.h"

static bool same_page(const struct tr *t, u64 target)
{
	return (target ^ t->b->rip) >> 12 == 0;
}

/* A return or a jump gets a host jump of its own: an interpreter's dispatch is foreseen better (5
 * %). Calls share one: for virtual calls it was twice as fast on Zen 5. */
static void to_ibl(struct tr *t, bool call)
{
	if (call)
		e_jmp(&t->e, t->saved ? t->x->ibl_saved : t->x->ibl);
	else
		e_indirect(&t->e, t->saved);
}

/* Polls. r10, where the branch goes, becomes cpu.rip; the body raises what must be if it is not
 * canonical. Clobbers r11. */
static void new_rip(struct tr *t, struct tinsn *ti)
{
	struct emit *e = &t->e;
	e_poll(e);
	if (t->word == 4) { /* all of them will do */
		e_gs_store(e, H_R10, G(cpu.rip));
		return;
	}
	if (!t->saved) {
		e_new_rip(e);
		return;
	}
	e_gs_store(e, H_R10, G(cpu.rip));
	e_mov(e, H_R11, H_R10);
	e8(e, 0x49); /* sar r11, 47: 0 or -1 */
	e8(e, 0xc1);
	e8(e, 0xfb);
	e8(e, 47);
	e_lea(e, H_R11, H_R11, NOREG, 0, 1, 8);
	e8(e, 0x49); /* cmp r11, 1 */
	e8(e, 0x83);
	e8(e, 0xfb);
	e8(e, 1);
	body_if(t, ti, 7);
}

/* `from`: rel32 of a jump that shall reach target. */
static void exit_to(struct tr *t, u8 *from, u64 target)
{
	struct side *s = side_new(t);
	s->kind = SIDE_EXIT;
	s->from = from;
	s->target = target;
	s->saved = t->saved;
	if (same_page(t, target) && t->links < 2 && canonical(target)) {
		s->kind = SIDE_LINK;
		s->link = (int)t->links;
		t->t->out[t->links] = (struct tlink){.rel = (u32)(from - t->t->start),
						     .target = target & 0xfff,
						     .which = (u8)t->links,
						     .saved = t->saved};
		t->links++;
	}
}

/* What links patch, the 4 bytes that begin `at` from here, lies in one line of the host's cache:
 * other vCPUs see all of it change or nothing. */
static void one_line(struct emit *e, unsigned at)
{
	while (((u64)(e->p + at) & 63) > 60)
		e8(e, 0x90); /* nop */
}

void emit_jump(struct tr *t, u64 target)
{
	one_line(&t->e, 1);
	exit_to(t, e_jmp_fwd(&t->e), target);
}

/* Every loop has a jump backwards, or an indirect one, which polls in its stub. */
void poll_if_back(struct tr *t, struct tinsn *ti)
{
	ti->saved = t->saved;
	if ((s64)(insn_now(t)->imm - ti->rip) <= 0)
		e_poll(&t->e);
}

void emit_jmp(struct tr *t, struct tinsn *ti)
{
	poll_if_back(t, ti);
	emit_jump(t, insn_now(t)->imm);
}

void emit_jcc(struct tr *t, struct tinsn *ti)
{
	flags_back(t);
	poll_if_back(t, ti);
	one_line(&t->e, 2);
	exit_to(t, e_jcc_fwd(&t->e, insn_now(t)->opcode & 15), insn_now(t)->imm);
	for (unsigned i = 0; i < t->leaves; i++)
		e_here(&t->e, t->leave[i]);
	emit_jump(t, ti->rip + ti->len);
}

void emit_jcc_inside(struct tr *t, struct tinsn *ti)
{
	flags_back(t);
	ti->saved = false;
	t->leave[t->leaves++] = e_jcc_fwd(&t->e, (insn_now(t)->opcode & 15) ^ 1);
}

void emit_jrcxz(struct tr *t, struct tinsn *ti)
{
	struct emit *e = &t->e;
	poll_if_back(t, ti);
	one_line(e, 3);
	e8(e, 0xe3); /* jrcxz over the next jump */
	e8(e, 5);
	emit_jump(t, ti->rip + ti->len);
	emit_jump(t, insn_now(t)->imm);
}

void emit_call(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	if (in_window(t)) {
		poll_if_back(t, ti);
		e_mov_imm(e, H_R10, ti->rip + ti->len);
		window_store(t, H_R10, -(s32)t->word);
		move_rsp(t, -(s32)t->word);
		emit_jump(t, insn_now(t)->imm);
		return;
	}
	flags_away(t, live); /* one state for both that may fault */
	poll_if_back(t, ti);
	miss = emit_lookup_at(t, ti, R_RSP, -(s32)t->word, true);
	ti->saved = t->saved;
	e_mov_imm(e, H_R11, ti->rip + ti->len);
	store_r11(t);
	move_rsp(t, -(s32)t->word);
	emit_jump(t, insn_now(t)->imm);
	t->side[miss].done = NULL; /* the body set RIP: leave */
}

void emit_ret(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	s32 more = insn_now(t)->opcode == 0xc2 ? (s32)(u16)insn_now(t)->imm : 0;
	if (in_window(t)) {
		window_load(t, H_R10, H_R9, 0);
		ti->saved = t->saved;
		new_rip(t, ti);
		move_rsp(t, (s32)t->word + more);
		to_ibl(t, false);
		return;
	}
	flags_away(t, live);
	miss = emit_lookup_at(t, ti, R_RSP, 0, false);
	ti->saved = t->saved;
	e_load(e, t->word, H_R10, H_R10, NOREG, 0, 0);
	new_rip(t, ti);
	move_rsp(t, (s32)t->word + more);
	to_ibl(t, false);
	t->side[miss].done = NULL;
}

/* r10 = the operand of an indirect jump or call. */
static void emit_target(struct tr *t, struct tinsn *ti, bool live)
{
	if (insn_now(t)->pfx & PFX_MEM)
		load_m(t, ti, live); /* its miss has no `done`: the body set RIP */
	else
		reg_to(&t->e, H_R10, insn_now(t)->rm);
}

void emit_jmp_e(struct tr *t, struct tinsn *ti, bool live)
{
	emit_target(t, ti, live);
	ti->saved = t->saved;
	new_rip(t, ti);
	to_ibl(t, false);
}

void emit_call_e(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	flags_away(t, live && !in_window(t));
	emit_target(t, ti, live);
	ti->saved = t->saved;
	new_rip(t, ti);
	if (in_window(t)) {
		e_mov_imm(e, H_R10, ti->rip + ti->len);
		window_store(t, H_R10, -(s32)t->word);
		move_rsp(t, -(s32)t->word);
		e_gs_load(e, H_R10, G(cpu.rip));
		to_ibl(t, true);
		return;
	}
	miss = emit_lookup_at(t, ti, R_RSP, -(s32)t->word, true);
	e_mov_imm(e, H_R11, ti->rip + ti->len);
	store_r11(t);
	move_rsp(t, -(s32)t->word);
	e_gs_load(e, H_R10, G(cpu.rip));
	to_ibl(t, true);
	t->side[miss].done = NULL;
}
