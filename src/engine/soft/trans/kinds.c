/* SPDX-License-Identifier: Apache-2.0 */
/* kinds: one instruction into host code, by its kind. See gen.h. */
#include <string.h>

#include "cpu/insn_forms.h"
#include "engine/soft/trans/gen.h"
#include "engine/soft/trans/recode.h"

void emit_interp(struct tr *t, struct tinsn *ti)
{
	flags_back(t);
	forget_addends(t);
	e_mov_imm(&t->e, H_R10, (u64)ti);
	e_call(&t->e, t->x->interp);
}

void emit_end(struct tr *t, struct tinsn *ti)
{
	e_mov_imm(&t->e, H_R10, (u64)ti);
	e_jmp(&t->e, t->saved ? t->x->interp_end_saved : t->x->interp_end);
}

/* The instruction's body, from here, if the jump is taken; the flags are in hot.status or nowhere.
 */
void body_if(struct tr *t, struct tinsn *ti, unsigned cc)
{
	struct side *s = side_new(t);
	s->kind = SIDE_BODY;
	s->from = e_jcc_fwd(&t->e, cc);
	s->ti = ti;
}

/* Registers that the fields name and that live in slots get r11, then r10. False: too many. */
struct use {
	struct recode rc;
	u8 guest[2], host[2];
	bool written[2];
	unsigned n;
};

static bool use_reg(struct use *u, unsigned guest, bool written, unsigned most)
{
	if (home[guest] != NOREG) {
		return true;
	}
	for (unsigned i = 0; i < u->n; i++)
		if (u->guest[i] == guest) {
			u->written[i] |= written;
			return true;
		}
	if (u->n == most)
		return false;
	u->guest[u->n] = (u8)guest;
	u->written[u->n] = written;
	u->host[u->n] = u->n ? H_R10 : H_R11;
	u->rc.host[guest] = u->host[u->n];
	u->n++;
	return true;
}

static bool use_all(struct use *u, const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned most = in->pfx & PFX_MEM ? 1 : 2;
	bool ok = true;
	memcpy(u->rc.host, home, sizeof(home));
	u->rc.base = H_R10;
	u->rc.index = NOREG;
	u->rc.scale = 0;
	u->rc.disp = 0;
	u->n = 0;
	for (unsigned i = 0; i < f->operands; i++) {
		bool w = f->op[i].access & OPA_W;
		switch ((enum insn_opk)f->op[i].kind) {
		case OP_G:
			if (!(in->greg & 1) || f->op[i].width != 1)
				ok &= use_reg(u, in->reg, w, most);
			break;
		case OP_E:
		case OP_R:
		case OP_Z:
			if (!(in->pfx & PFX_MEM) && (!(in->ereg & 1) || f->op[i].width != 1))
				ok &= use_reg(u, in->rm, w, most);
			break;
		case OP_VREG: ok &= use_reg(u, in->vvvv, w, most); break;
		default: break;
		}
	}
	return ok;
}

static bool lea_of_64(const struct insn *in)
{
	return in->osz == 8 && in->asz == 8 && in->base / 8u == 16 && in->index / 8u == 16;
}

bool can_emit(const struct insn *in, const struct tclass *c, const u8 *raw)
{
	u8 code[RECODE_MAX];
	struct use u;
	switch ((enum tkind)c->kind) {
	case T_COPY:
		if (c->x87 && (in->seg == S_FS || in->seg == S_GS) && in->base / 8u < 16 &&
		    in->index / 8u < 16)
			return false; /* note_x87() has the sum only */
				      /* fallthrough */
	case T_BT: return use_all(&u, in) && recode(code, in, raw, &u.rc);
	case T_LEA:
		return lea_of_64(in) ||
		       !(in->osz == 2 || in->asz == 2 || in->disp != (s32)in->disp);
	default: return true;
	}
}

/* FIP, FDP and FOP are made of this when somebody asks (run.c: x87_pointers). Clobbers no flags. */
static void note_x87(struct tr *t, const struct tinsn *ti, const struct ea *ea)
{
	struct emit *e = &t->e;
	u32 it = (u32)((const u8 *)ti - t->x->store);
	if (ea && !(ti->x87 & X87_LATE_DP)) {
		struct ea offset = *ea; /* in its segment */
		offset.segment = 0;
		emit_ea_again(e, &offset);
		t->r10_holds = 0;
		e_gs_store(e, H_R10, G(hot.x87_dp));
		e_gs_set(e, G(hot.x87_mem), it);
	}
	if (!(ti->x87 & X87_LATE_IP))
		e_gs_set(e, G(hot.x87), it);
}

void emit_copy(struct tr *t, struct tinsn *ti, const struct tclass *c, const u8 *raw, bool live)
{
	const struct insn *in = insn_now(t);
	struct emit *e = &t->e;
	struct use u;
	unsigned miss = 0, n;
	struct place p;
	bool mem = in->pfx & PFX_MEM, lookup = mem && !in_window(t) && !in_family(t);
	u8 code[RECODE_MAX];
	struct ea ea;
	use_all(&u, in);
	if (lookup) {
		flags_away(t, live);
		emit_ea(t, in, &ea);
		miss = emit_lookup(t, ti, &ea, c->size, c->write);
		if (u.n || (c->fl_touch && t->saved)) { /* r11 is wanted for something else */
			emit_host(t, &ea);
		} else {
			u.rc.index = H_R11;
			u.rc.disp = -1;
			if (ea.kind == EA_SIMPLE) {
				u.rc.base = (u8)ea.base;
				u.rc.disp = (s32)(ea.disp - 1);
			} else {
				emit_ea_again(e, &ea);
			}
		}
	}
	if (c->fl_touch)
		flags_back(t);
	if (mem && in_window(t)) {
		forget_addends(t);
		ea = (struct ea){.kind = EA_SIMPLE, .base = H_R9, .disp = in->disp};
		e_gs_load(e, H_R11, G(hot.stack_add));
		u.rc.base = H_R9;
		u.rc.index = H_R11;
		u.rc.disp = (s32)in->disp;
		if (u.n) {
			e_lea(e, H_R10, H_R9, H_R11, 0, (s32)in->disp, 8);
			u.rc.base = H_R10;
			u.rc.index = NOREG;
			u.rc.disp = 0;
		}
	}
	if (in_family(t)) {
		p = slot_operand(t, in, !u.n);
		u.rc.base = p.base;
		u.rc.index = p.index;
		u.rc.scale = p.scale;
		u.rc.disp = p.disp;
		ea = ea_of(t, in);
	}
	n = recode(code, in, raw, &u.rc);
	if (!n)
		t->failed = true; /* can_emit() said that it is possible */
	ti->saved = t->saved;
	for (unsigned i = 0; i < u.n; i++)
		e_gs_load(e, u.host[i], G_REG(u.guest[i]));
	for (unsigned i = 0; i < n; i++)
		e8(e, code[i]);
	for (unsigned i = 0; i < u.n; i++)
		if (u.written[i])
			e_gs_store(e, u.host[i], G_REG(u.guest[i]));
	if (u.n)
		t->r11_holds = 0;
	if (u.n > 1)
		t->r10_holds = 0;
	if (ti->x87 & X87_NOTES)
		note_x87(t, ti, mem ? &ea : NULL);
	if (lookup)
		done_here(t, miss);
}

/* A bit string: the operand is where the bit is, and the instruction finds it from the string's
 * start again. */
void emit_bt(struct tr *t, struct tinsn *ti, const struct tclass *c, const u8 *raw, bool live)
{
	const struct insn *in = insn_now(t);
	struct emit *e = &t->e;
	struct use u;
	unsigned miss, n;
	u8 code[RECODE_MAX];
	struct ea ea;
	use_all(&u, in);
	n = recode(code, in, raw, &u.rc);
	flags_away(t, live);
	emit_ea(t, in, &ea);
	e_gs_store(e, H_R10, G(hot.bits));
	reg_to(e, H_R11, in->reg);
	if (in->osz == 4) { /* movsxd r11, r11d */
		e8(e, 0x4d);
		e8(e, 0x63);
		e8(e, 0xdb);
	} else if (in->osz == 2) { /* movsx r11, r11w */
		e8(e, 0x4d);
		e8(e, 0x0f);
		e8(e, 0xbf);
		e8(e, 0xdb);
	}
	e8(e, 0x49); /* sar r11, 3 */
	e8(e, 0xc1);
	e8(e, 0xfb);
	e8(e, 3);
	e8(e, 0x49); /* and r11, -osz */
	e8(e, 0x83);
	e8(e, 0xe3);
	e8(e, (u8)-in->osz);
	e_lea(e, H_R10, H_R10, H_R11, 0, 0, t->word);
	e_gs_store(e, H_R10, G(hot.ea));
	ea = (struct ea){.kind = EA_STORED};
	miss = emit_lookup(t, ti, &ea, c->size, c->write);
	if (t->word == 4) { /* the sum was cut: the bit from where it is, not from the start */
		e_gs_load(e, H_R10, G(hot.ea));
		e_lea(e, H_R10, H_R10, H_R11, 0, -1, 8);
		reg_to(e, H_R11, in->reg);
		e8(e, 0x41); /* and r11d, imm8 */
		e8(e, 0x83);
		e8(e, 0xe3);
		e8(e, in->osz * 8u - 1);
		e_gs_store(e, H_R11, G(hot.bits));
		flags_back(t);
		e_gs_load(e, H_R11, G(hot.bits));
		u.rc.host[in->reg] = H_R11;
		n = recode(code, in, raw, &u.rc);
	} else {
		e_gs_load(e, H_R10, G(hot.bits));
		e_lea(e, H_R10, H_R10, H_R11, 0, -1, 8);
		flags_back(t);
	}
	ti->saved = t->saved;
	for (unsigned i = 0; i < u.n; i++)
		e_gs_load(e, u.host[i], G_REG(u.guest[i]));
	for (unsigned i = 0; i < n; i++)
		e8(e, code[i]);
	done_here(t, miss);
}

/* mov between r11 and a guest register */
void reg_to(struct emit *e, unsigned host, unsigned guest)
{
	if (home[guest] == NOREG)
		e_gs_load(e, host, G_REG(guest));
	else
		e_mov(e, host, home[guest]);
}
static void reg_from(struct emit *e, unsigned guest, unsigned host)
{
	if (home[guest] == NOREG)
		e_gs_store(e, host, G_REG(guest));
	else
		e_mov(e, home[guest], host);
}

void emit_lea(struct tr *t)
{
	const struct insn *in = insn_now(t);
	struct emit *e = &t->e;
	unsigned b = in->base / 8u, x = in->index / 8u, hb, hx;
	unsigned to = home[in->reg] == NOREG ? H_R10 : home[in->reg];
	if (lea_of_64(in)) {
		e_mov_imm(e, to, (u64)in->disp);
		goto store;
	}
	hb = reg_in_host(e, b, H_R10);
	hx = reg_in_host(e, x, H_R11);
	if (hb == NOREG && hx == NOREG)
		e_mov_imm(e, to, in->osz == 8 && in->asz == 8 ? (u64)in->disp : (u32)in->disp);
	else
		e_lea(e, to, hb, hx, in->scale, (s32)in->disp,
		      in->osz == 8 && in->asz == 8 ? 8 : 4);
store:
	if (home[in->reg] == NOREG)
		e_gs_store(e, H_R10, G_REG(in->reg));
}

/* mov [r10], r11: a word */
void store_r11(struct tr *t)
{
	e_store(&t->e, t->word, H_R11, H_R10, NOREG, 0);
}

void emit_push(struct tr *t, struct tinsn *ti, bool imm, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	if (in_window(t)) {
		unsigned from =
			imm || home[insn_now(t)->rm] == NOREG ? H_R10 : home[insn_now(t)->rm];
		if (imm)
			e_mov_imm(e, H_R10, insn_now(t)->imm);
		else if (from == H_R10)
			e_gs_load(e, H_R10, G_REG(insn_now(t)->rm));
		window_store(t, from, -(s32)t->word);
		move_rsp(t, -(s32)t->word);
		return;
	}
	flags_away(t, live);
	miss = emit_lookup_at(t, ti, R_RSP, -(s32)t->word, true);
	ti->saved = t->saved;
	if (imm)
		e_mov_imm(e, H_R11, insn_now(t)->imm);
	else
		reg_to(e, H_R11, insn_now(t)->rm);
	store_r11(t);
	move_rsp(t, -(s32)t->word);
	done_here(t, miss);
}

void emit_pop(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	if (in_window(t)) {
		unsigned to = home[insn_now(t)->rm] == NOREG ? H_R10 : home[insn_now(t)->rm];
		window_load(t, to, H_R9, 0);
		if (to == H_R10)
			e_gs_store(e, H_R10, G_REG(insn_now(t)->rm));
		move_rsp(t, (s32)t->word);
		return;
	}
	flags_away(t, live);
	miss = emit_lookup_at(t, ti, R_RSP, 0, false);
	ti->saved = t->saved;
	e_load(e, t->word, H_R11, H_R10, NOREG, 0, 0);
	reg_from(e, insn_now(t)->rm, H_R11);
	move_rsp(t, (s32)t->word);
	done_here(t, miss);
}

void emit_pop_rsp(struct tr *t, struct tinsn *ti)
{
	if (in_window(t))
		window_load(t, H_R9, H_R9, 0);
	else
		emit_interp(t, ti);
}

/* r10 = the operand, a word. Its miss side, or -1. */
int load_m(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	struct place p;
	struct ea ea;
	unsigned miss;
	if (in_family(t)) {
		p = slot_operand(t, insn_now(t), false);
		ti->saved = t->saved;
		e_load(e, t->word, H_R10, p.base, p.index, p.scale, p.disp);
		return -1;
	}
	flags_away(t, live);
	emit_ea(t, insn_now(t), &ea);
	miss = emit_lookup(t, ti, &ea, t->word, false);
	emit_host(t, &ea);
	ti->saved = t->saved;
	e_load(e, t->word, H_R10, H_R10, NOREG, 0, 0);
	return (int)miss;
}

void emit_push_m(struct tr *t, struct tinsn *ti, bool live)
{
	int miss;
	if (!in_window(t)) {
		emit_interp(t, ti);
		return;
	}
	miss = load_m(t, ti, live);
	window_store(t, H_R10, -(s32)t->word);
	move_rsp(t, -(s32)t->word);
	if (miss >= 0)
		done_here(t, (unsigned)miss);
}

void emit_leave(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	if (in_window(t)) {
		window_load(t, H_R10, H_RBP, 0);
		e_lea(e, H_R9, H_RBP, NOREG, 0, (s32)t->word, t->word);
		e_mov(e, H_RBP, H_R10);
		return;
	}
	flags_away(t, live);
	miss = emit_lookup_at(t, ti, R_RBP, 0, false);
	ti->saved = t->saved;
	e_load(e, t->word, H_R11, H_R10, NOREG, 0, 0);
	e_lea(e, H_R9, H_RBP, NOREG, 0, (s32)t->word, t->word);
	e_mov(e, H_RBP, H_R11);
	done_here(t, miss);
}
