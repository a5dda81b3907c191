/* SPDX-License-Identifier: Apache-2.0 */
/*
 * translate: one decoded block into host code.
 *
 * Every instruction does its lookups and accesses before it changes anything, so a miss can always
 * be answered by running the interpreter's body instead. Lookups use the flags; where the guest's
 * are still needed they are put aside in the vCPU block (`live`).
 *
 * Context: owner.
 */
#include <string.h>

#include "cpu/flags.h"
#include "cpu/insn_forms.h"
#include "engine/soft/trans/layout.h"
#include "engine/soft/trans/recode.h"

#define SIDE_MAX 160u

/* The address of a memory operand, so that it can be had again. */
struct ea {
	enum {
		EA_SIMPLE, /* base + disp */
		EA_AGAIN,  /* base + index << scale + disp + segment, at most one of them in a slot
			    */
		EA_STORED, /* in hot.ea */
	} kind;
	unsigned base, index; /* EA_SIMPLE: the host's register; EA_AGAIN: the guest's, 16: none */
	unsigned scale, size;
	u32 segment; /* its base's place in the vCPU block, 0: none */
	s64 disp;
};

/* Code that stands behind the block: misses, crossings, exits. */
struct side {
	enum {
		SIDE_CROSS,
		SIDE_MISS,
		SIDE_EXIT,
		SIDE_LINK,
		SIDE_SIMD,
		SIDE_STACK,
		SIDE_BODY,
		SIDE_AGAIN
	} kind;
	u8 *from; /* rel32 of the jump that leads here */
	u8 *back; /* SIDE_CROSS, SIDE_MISS: where the fast path goes on */
	u8 *done; /* SIDE_MISS: behind the instruction */
	struct ea ea;
	struct tinsn *ti;
	u8 size;
	bool write;
	bool saved; /* exits: where the flags are */
	int link;
	u64 target;
};

struct tr {
	struct trans *x;
	struct emit e;
	struct block *b;
	struct tblock *t;
	struct side side[SIDE_MAX];
	unsigned sides;
	u8 live[BLOCK_INSNS + 2];     /* flags needed before instruction i */
	bool window[BLOCK_INSNS + 2]; /* its stack access is in a window, see stack_windows() */
	unsigned i;		      /* the instruction that is emitted */
	unsigned links;
	bool failed, vec;
	bool saved; /* the guest's flags are in hot.status, the host's are anything */
	const struct tpage *second;
};

/* --- flags: where they are changes from instruction to instruction. r11 is clobbered. --- */

static void flags_save(struct emit *e)
{
	e_mov(e, H_R11, H_RAX);
	e_lahf_seto(e);
	e_gs(e, false, 0x89, H_RAX, G(hot.status));
	e_mov(e, H_RAX, H_R11);
}

static void flags_restore(struct emit *e)
{
	e_mov(e, H_R11, H_RAX);
	e_gs(e, false, 0x8b, H_RAX, G(hot.status));
	e_from_ax(e);
	e_mov(e, H_RAX, H_R11);
}

/* What follows clobbers the host's flags. */
static void flags_away(struct tr *t, bool live)
{
	if (live && !t->saved) {
		flags_save(&t->e);
		t->saved = true;
	}
}

static void flags_back(struct tr *t)
{
	if (t->saved)
		flags_restore(&t->e);
	t->saved = false;
}

/* --- addresses --- */

static struct side *side(struct tr *t)
{
	if (t->sides == SIDE_MAX) {
		t->failed = true;
		t->sides = 0;
	}
	t->side[t->sides] = (struct side){.link = -1};
	return &t->side[t->sides++];
}

/* The host register that holds guest register n (16: none): its home, or `scratch` after a load. */
static unsigned in_host(struct emit *e, unsigned n, unsigned scratch)
{
	if (n >= 16)
		return NOREG;
	if (home[n] != NOREG)
		return home[n];
	e_gs_load(e, scratch, G_REG(n));
	return scratch;
}

/* r10 = the operand's linear address; leaves r11. Clobbers the flags. */
static void emit_ea_again(struct emit *e, const struct ea *ea)
{
	unsigned base, index;
	switch (ea->kind) {
	case EA_SIMPLE: e_lea(e, H_R10, ea->base, NOREG, 0, (s32)ea->disp, 8); break;
	case EA_AGAIN:
		base = in_host(e, ea->base, H_R10);
		index = in_host(e, ea->index, H_R10);
		if (base == NOREG && index == NOREG)
			e_mov_imm(e, H_R10, ea->size == 8 ? (u64)ea->disp : (u32)ea->disp);
		else
			e_lea(e, H_R10, base, index, ea->scale, (s32)ea->disp, ea->size);
		if (ea->segment)
			e_gs(e, true, 0x03, H_R10, ea->segment); /* add */
		break;
	case EA_STORED: e_gs_load(e, H_R10, G(hot.ea)); break;
	}
}

static bool in_slot(unsigned guest)
{
	return guest < 16 && home[guest] == NOREG;
}

/* The same, and `ea` tells how to have it again. Clobbers r11, too. */
static void emit_ea(struct tr *t, const struct insn *in, struct ea *ea)
{
	struct emit *e = &t->e;
	unsigned b = in->base / 8u, x = in->index / 8u, hb, hx;
	*ea = (struct ea){.kind = EA_AGAIN,
			  .base = b,
			  .index = x,
			  .scale = in->scale,
			  .size = in->asz,
			  .disp = in->disp};
	if (in->seg == S_FS || in->seg == S_GS)
		ea->segment = (u32)(G(cpu.seg_base) + in->seg * 8u);
	if ((b < 16 || x < 16) && (in->disp != (s32)in->disp || in->disp < -0x7fffffff))
		t->failed = true;
	if (b < 16 && x == 16 && home[b] != NOREG && in->asz == 8 && !ea->segment) {
		ea->kind = EA_SIMPLE;
		ea->base = home[b];
	}
	if (!in_slot(b) || !in_slot(x)) {
		emit_ea_again(e, ea);
		return;
	}
	hb = in_host(e, b, H_R10);
	hx = in_host(e, x, H_R11);
	e_lea(e, H_R10, hb, hx, in->scale, (s32)in->disp, in->asz);
	if (ea->segment)
		e_gs(e, true, 0x03, H_R10, ea->segment);
	ea->kind = EA_STORED;
	e_gs_store(e, H_R10, G(hot.ea));
}

/* r10 (an address `ea` describes) -> r11 = its table entry. Returns the miss side, whose `done` the
 * caller sets. */
static unsigned emit_lookup(struct tr *t, struct tinsn *ti, const struct ea *ea, unsigned size,
			    bool write)
{
	struct emit *e = &t->e;
	struct side *s;
	u8 *cross = NULL, *miss, *top;
	if (size > 1) { /* m80: 10 bytes that begin at 16 */
		e_test_imm8(e, H_R10, size == 10 ? 15 : size - 1);
		cross = e_jcc_fwd(e, 5);
	}
	top = e->p;
	e_pext_gs(e, H_R11, H_R10, G(hot.mask));
	e_gs_load(e, H_R10, write ? G(hot.wt) : G(hot.rt));
	e_load(e, H_R11, H_R10, H_R11, 3, 0);
	e_test_imm8(e, H_R11, 1);
	miss = e_jcc_fwd(e, 4);
	if (cross) {
		s = side(t);
		s->kind = SIDE_CROSS;
		s->from = cross;
		s->back = top;
		s->size = (u8)size;
	}
	s = side(t);
	s->kind = SIDE_MISS;
	s->from = miss;
	s->back = e->p;
	s->ea = *ea;
	s->ti = ti;
	s->write = write;
	return t->sides - 1;
}

/* After the lookup: r10 = host address. */
static void emit_host(struct tr *t, const struct ea *ea)
{
	struct emit *e = &t->e;
	if (ea->kind == EA_SIMPLE) {
		e_lea(e, H_R10, ea->base, H_R11, 0, (s32)ea->disp - 1, 8);
	} else {
		emit_ea_again(e, ea);
		e_lea(e, H_R10, H_R10, H_R11, 0, -1, 8);
	}
}

/* Both for [host register + disp] of 8 bytes: the stack. */
static unsigned emit_lookup_at(struct tr *t, struct tinsn *ti, unsigned base, s32 disp, bool write)
{
	struct ea ea = {.kind = EA_SIMPLE, .base = base, .disp = disp};
	unsigned miss;
	e_lea(&t->e, H_R10, base, NOREG, 0, disp, 8);
	miss = emit_lookup(t, ti, &ea, 8, write);
	emit_host(t, &ea);
	return miss;
}

static void done_here(struct tr *t, unsigned s)
{
	t->side[s].done = t->e.p;
}

/* --- the stack: a window --- */

/*
 * A run of instructions that move RSP by known amounts touches bytes whose distance from RSP is
 * known. One guard before the first of them proves that all lie in the page hot.stack_page, which
 * is mapped for reading and writing: then the accesses need no lookups, and cannot fault. Where it
 * does not hold, trans_stack() looks for such a page; where there is none, the block is run as it
 * is translated without windows (TX_PLAIN).
 */
#define WINDOW_MOST 2048

static bool in_window(const struct tr *t)
{
	return t->window[t->i];
}

static bool writes_rsp(const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	for (unsigned i = 0; i < f->operands; i++) {
		if (!(f->op[i].access & OPA_W))
			continue;
		switch ((enum insn_opk)f->op[i].kind) {
		case OP_G:
			if (in->reg == R_RSP || f->op[i].width == 1) /* AH has RSP's number */
				return true;
			break;
		case OP_E:
		case OP_R:
		case OP_Z:
			if (!(in->pfx & PFX_MEM) && (in->rm == R_RSP || f->op[i].width == 1))
				return true;
			break;
		case OP_VREG:
			if (in->vvvv == R_RSP)
				return true;
			break;
		default: break;
		}
	}
	return false;
}

/* What an instruction does to the stack: bytes [lo, hi) from RSP before it (none: lo == hi), and by
 * how much it moves RSP. */
struct stack_use {
	s32 lo, hi, move;
	bool known; /* of it and so of what follows */
	bool last;  /* RSP is not known after it */
};

static struct stack_use stack_use(const struct insn *in, const struct tclass *c)
{
	struct stack_use u = {.known = true};
	bool rsp = in->pfx & PFX_MEM && in->base == R_RSP * 8 && in->index / 8u == 16 &&
		   in->asz == 8 && in->seg != S_FS && in->seg != S_GS && in->disp > -WINDOW_MOST &&
		   in->disp < WINDOW_MOST;
	switch ((enum tkind)c->kind) {
	case T_PUSH_R:
	case T_PUSH_I:
	case T_PUSH_M:
	case T_PUSHF:
	case T_CALL:
	case T_CALL_E: u.lo = u.move = -8; return u;
	case T_POP_RSP: u.last = true; /* fallthrough */
	case T_POP_R:
	case T_POPF:
	case T_RET: u.hi = u.move = 8; return u;
	case T_COPY:
		if (rsp) {
			u.lo = (s32)in->disp;
			u.hi = u.lo + c->size;
		}
		if (!writes_rsp(in))
			return u;
		/* ADD, SUB RSP, imm */
		if ((in->opcode == 0x81 || in->opcode == 0x83) && insn_forms[in->form].map == 0 &&
		    in->osz == 8 && !(in->pfx & PFX_MEM) && in->rm == R_RSP &&
		    (in->modrm & 0x38) % 0x28 == 0 && (s64)in->imm > -WINDOW_MOST &&
		    (s64)in->imm < WINDOW_MOST) {
			u.move = in->modrm & 0x38 ? -(s32)in->imm : (s32)in->imm;
			return u;
		}
		break;
	case T_LEA:
		if (in->reg != R_RSP)
			return u;
		if (rsp && in->osz == 8) {
			u.move = (s32)in->disp;
			return u;
		}
		break;
	case T_NOP:
	case T_JCC:
	case T_JRCXZ:
	case T_JMP:
	case T_JMP_E:
	case T_CLI:
	case T_STI:
	case T_SWAPGS: return u;
	case T_LEAVE:
	case T_INTERP:
	case T_END: break;
	}
	u.lo = u.hi = 0;
	u.known = false;
	return u;
}

/* Marks the windows of the block; the first instruction of each gets its extent. */
static void stack_windows(struct tr *t, const struct tclass *c)
{
	unsigned i = 0, n = t->b->retired;
	while (i < n) {
		struct tinsn *ti = &t->t->ti[i];
		struct stack_use u = stack_use(&t->b->insn[i], &c[i]);
		s32 lo, hi, rsp;
		unsigned k;
		if (c[i].kind == T_LEAVE)
			u = (struct stack_use){0, 8, 8, true, false}; /* from RBP */
		if (u.lo == u.hi) {
			i++;
			continue;
		}
		lo = u.lo;
		hi = u.hi;
		rsp = u.move;
		t->window[i] = true;
		for (k = i + 1; k < n && !u.last; k++) {
			s32 to, from;
			u = stack_use(&t->b->insn[k], &c[k]);
			from = u.lo + rsp < lo && u.lo != u.hi ? u.lo + rsp : lo;
			to = u.hi + rsp > hi && u.lo != u.hi ? u.hi + rsp : hi;
			if (!u.known || to - from > WINDOW_MOST)
				break;
			t->window[k] = u.lo != u.hi;
			lo = from;
			hi = to;
			rsp += u.move;
		}
		ti->stack_lo = (s16)lo;
		ti->stack_len = (u16)(hi - lo);
		i = k;
	}
}

/* Before the first instruction of a window. */
static void emit_guard(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	struct side *s;
	flags_away(t, live);
	e_lea(e, H_R10, ti->leave ? H_RBP : H_R9, NOREG, 0, ti->stack_lo, 8);
	e_gs(e, true, 0x2b, H_R10, G(hot.stack_page)); /* sub */
	e8(e, 0x49);				       /* cmp r10, imm32 */
	e8(e, 0x81);
	e8(e, 0xfa);
	e32(e, RAM_PAGE - ti->stack_len);
	s = side(t);
	s->kind = SIDE_STACK;
	s->from = e_jcc_fwd(e, 7);
	s->back = e->p;
	s->ti = ti;
}

/* mov [r9 + stack_add + disp], from;  mov to, [base + stack_add + disp] */
static void window_store(struct tr *t, unsigned from, s32 disp)
{
	struct emit *e = &t->e;
	e_gs_load(e, H_R11, G(hot.stack_add));
	e_rex(e, true, from, H_R11, H_R9);
	e8(e, 0x89);
	e_mem(e, from, H_R9, H_R11, 0, disp);
}

static void window_load(struct tr *t, unsigned to, unsigned base, s32 disp)
{
	e_gs_load(&t->e, H_R11, G(hot.stack_add));
	e_load(&t->e, to, base, H_R11, 0, disp);
}

/* --- kinds --- */

static void emit_interp(struct tr *t, struct tinsn *ti)
{
	flags_back(t);
	e_mov_imm(&t->e, H_R10, (u64)ti);
	e_call(&t->e, t->x->interp);
}

static void emit_end(struct tr *t, struct tinsn *ti)
{
	e_mov_imm(&t->e, H_R10, (u64)ti);
	e_jmp(&t->e, t->saved ? t->x->interp_end_saved : t->x->interp_end);
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

/* FIP, FDP and FOP are made of this when somebody asks (trans_x87). Clobbers the flags of none. */
static void note_x87(struct tr *t, const struct tinsn *ti, const struct ea *ea)
{
	struct emit *e = &t->e;
	if (ea) {
		emit_ea_again(e, ea);
		e_gs_store(e, H_R10, G(hot.x87_dp));
	}
	e_gs_set(e, G(hot.x87), (u32)((const u8 *)ti - t->x->store));
}

static void emit_copy(struct tr *t, struct tinsn *ti, const struct tclass *c, const u8 *raw,
		      bool live)
{
	const struct insn *in = &ti->in;
	struct emit *e = &t->e;
	struct use u;
	unsigned miss = 0, n;
	bool mem = in->pfx & PFX_MEM;
	u8 code[RECODE_MAX];
	struct ea ea;
	u.rc.base = H_R10;
	u.rc.index = NOREG;
	u.rc.disp = 0;
	if (!use_all(&u, in) || recode(code, in, raw, &u.rc) == 0) {
		emit_interp(t, ti);
		return;
	}
	if (mem && !in_window(t)) {
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
				u.rc.disp = (s32)ea.disp - 1;
			} else {
				emit_ea_again(e, &ea);
			}
		}
	}
	if (c->fl_touch)
		flags_back(t);
	if (mem && in_window(t)) {
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
	n = recode(code, in, raw, &u.rc);
	if (!n)
		t->failed = true; /* it was possible above, and neither base needs less */
	ti->saved = t->saved;
	for (unsigned i = 0; i < u.n; i++)
		e_gs_load(e, u.host[i], G_REG(u.guest[i]));
	for (unsigned i = 0; i < n; i++)
		e8(e, code[i]);
	for (unsigned i = 0; i < u.n; i++)
		if (u.written[i])
			e_gs_store(e, u.host[i], G_REG(u.guest[i]));
	if (c->x87 && classify_x87_notes(in))
		note_x87(t, ti, mem ? &ea : NULL);
	if (mem && !in_window(t))
		done_here(t, miss);
}

/* mov between r11 and a guest register */
static void reg_to(struct emit *e, unsigned host, unsigned guest)
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

static void emit_lea(struct tr *t, struct tinsn *ti)
{
	const struct insn *in = &ti->in;
	struct emit *e = &t->e;
	unsigned b = in->base / 8u, x = in->index / 8u, hb, hx;
	unsigned to = home[in->reg] == NOREG ? H_R10 : home[in->reg];
	if (in->osz == 2 || in->asz == 2 || in->disp != (s32)in->disp) {
		if (in->osz == 8 && in->asz == 8 && b == 16 && x == 16) {
			e_mov_imm(e, to, (u64)in->disp);
			goto store;
		}
		emit_interp(t, ti);
		return;
	}
	hb = in_host(e, b, H_R10);
	hx = in_host(e, x, H_R11);
	if (hb == NOREG && hx == NOREG)
		e_mov_imm(e, to, in->osz == 8 && in->asz == 8 ? (u64)in->disp : (u32)in->disp);
	else
		e_lea(e, to, hb, hx, in->scale, (s32)in->disp,
		      in->osz == 8 && in->asz == 8 ? 8 : 4);
store:
	if (home[in->reg] == NOREG)
		e_gs_store(e, H_R10, G_REG(in->reg));
}

/* mov [r10], r11 */
static void store_r11(struct emit *e)
{
	e8(e, 0x4d);
	e8(e, 0x89);
	e8(e, 0x1a);
}

static void emit_push(struct tr *t, struct tinsn *ti, bool imm, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	if (in_window(t)) {
		unsigned from = imm || home[ti->in.rm] == NOREG ? H_R10 : home[ti->in.rm];
		if (imm)
			e_mov_imm(e, H_R10, ti->in.imm);
		else if (from == H_R10)
			e_gs_load(e, H_R10, G_REG(ti->in.rm));
		window_store(t, from, -8);
		e_lea(e, H_R9, H_R9, NOREG, 0, -8, 8);
		return;
	}
	flags_away(t, live);
	miss = emit_lookup_at(t, ti, H_R9, -8, true);
	ti->saved = t->saved;
	if (imm)
		e_mov_imm(e, H_R11, ti->in.imm);
	else
		reg_to(e, H_R11, ti->in.rm);
	store_r11(e);
	e_lea(e, H_R9, H_R9, NOREG, 0, -8, 8);
	done_here(t, miss);
}

static void emit_pop(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	if (in_window(t)) {
		unsigned to = home[ti->in.rm] == NOREG ? H_R10 : home[ti->in.rm];
		window_load(t, to, H_R9, 0);
		if (to == H_R10)
			e_gs_store(e, H_R10, G_REG(ti->in.rm));
		e_lea(e, H_R9, H_R9, NOREG, 0, 8, 8);
		return;
	}
	flags_away(t, live);
	miss = emit_lookup_at(t, ti, H_R9, 0, false);
	ti->saved = t->saved;
	e_load(e, H_R11, H_R10, NOREG, 0, 0);
	reg_from(e, ti->in.rm, H_R11);
	e_lea(e, H_R9, H_R9, NOREG, 0, 8, 8);
	done_here(t, miss);
}

static void emit_pop_rsp(struct tr *t, struct tinsn *ti)
{
	if (in_window(t))
		window_load(t, H_R9, H_R9, 0);
	else
		emit_interp(t, ti);
}

static void emit_push_m(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	struct ea ea;
	unsigned miss;
	if (!in_window(t)) {
		emit_interp(t, ti);
		return;
	}
	flags_away(t, live);
	emit_ea(t, &ti->in, &ea);
	miss = emit_lookup(t, ti, &ea, 8, false);
	emit_host(t, &ea);
	ti->saved = t->saved;
	e_load(e, H_R10, H_R10, NOREG, 0, 0);
	window_store(t, H_R10, -8);
	e_lea(e, H_R9, H_R9, NOREG, 0, -8, 8);
	done_here(t, miss);
}

static void emit_leave(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	if (in_window(t)) {
		e_mov(e, H_R9, H_RBP);
		window_load(t, H_RBP, H_R9, 0);
		e_lea(e, H_R9, H_R9, NOREG, 0, 8, 8);
		return;
	}
	flags_away(t, live);
	miss = emit_lookup_at(t, ti, H_RBP, 0, false);
	ti->saved = t->saved;
	e_load(e, H_R11, H_R10, NOREG, 0, 0);
	e_lea(e, H_R9, H_RBP, NOREG, 0, 8, 8);
	e_mov(e, H_RBP, H_R11);
	done_here(t, miss);
}

/* --- what the kernel does all the time (SDM 2: PUSHF, POPF, CLI, STI, SWAPGS) --- */

#define POPF_REST                                                                                  \
	0x247500u /* what POPF changes at CPL 0 besides IF and the status: its body knows */

/* op qword gs:[off], imm32: 1 or, 4 and, 6 xor */
static void gs_imm(struct emit *e, unsigned op, u32 off, u32 imm)
{
	e8(e, 0x65);
	e8(e, 0x48);
	e8(e, 0x81);
	e_mem(e, op, NOREG, NOREG, 0, (s32)off);
	e32(e, imm);
}

/* movzx to, byte gs:[off] */
static void gs_byte(struct emit *e, unsigned to, u32 off)
{
	e8(e, 0x65);
	e_rex(e, false, to, 0, 0);
	e8(e, 0x0f);
	e8(e, 0xb6);
	e_mem(e, to, NOREG, NOREG, 0, (s32)off);
}

/* The instruction's body, from here, if the jump is taken; the flags are in hot.status or nowhere.
 */
static void body_if(struct tr *t, struct tinsn *ti, unsigned cc)
{
	struct side *s = side(t);
	s->kind = SIDE_BODY;
	s->from = e_jcc_fwd(&t->e, cc);
	s->ti = ti;
}

/* An interrupt that waits for IF is the body's. */
static void body_if_waiting(struct tr *t, struct tinsn *ti)
{
	struct emit *e = &t->e;
	e8(e, 0x65); /* cmp byte gs:[intr_wait], 0 */
	e8(e, 0x80);
	e_mem(e, 7, NOREG, NOREG, 0, (s32)G(cpu.intr_wait));
	e8(e, 0);
	body_if(t, ti, 5);
}

static void emit_cli(struct tr *t, bool live)
{
	flags_away(t, live);
	gs_imm(&t->e, 4, G(cpu.rflags), ~(u32)FL_IF);
}

/* Nothing comes between it and the next instruction: events are looked at behind jumps only. */
static void emit_sti(struct tr *t, struct tinsn *ti, bool live)
{
	flags_away(t, live);
	body_if_waiting(t, ti);
	gs_imm(&t->e, 1, G(cpu.rflags), FL_IF);
}

static void emit_swapgs(struct tr *t)
{
	const u32 base = (u32)(G(cpu.s.seg) + S_GS * sizeof(struct cpu_segment) +
			       offsetof(struct cpu_segment, base));
	struct emit *e = &t->e;
	e_gs_load(e, H_R10, G(cpu.s.kernel_gs_base));
	e_gs_load(e, H_R11, base);
	e_gs_store(e, H_R11, G(cpu.s.kernel_gs_base));
	e_gs_store(e, H_R10, base);
	e_gs_store(e, H_R10, (u32)(G(cpu.seg_base) + S_GS * 8));
}

static void emit_pushf(struct tr *t, struct tinsn *ti)
{
	struct emit *e = &t->e;
	if (!in_window(t)) {
		emit_interp(t, ti);
		return;
	}
	flags_away(t, true);
	gs_byte(e, H_R10, G(hot.status)); /* OF */
	e8(e, 0x41);			  /* shl r10d, 11 */
	e8(e, 0xc1);
	e8(e, 0xe2);
	e8(e, 11);
	gs_byte(e, H_R11, G(hot.status) + 1); /* the others, where EFLAGS has them */
	e8(e, 0x45);			      /* or r10d, r11d */
	e8(e, 0x09);
	e8(e, 0xda);
	e_gs(e, true, 0x0b, H_R10, G(cpu.rflags)); /* or */
	e8(e, 0x41);				   /* and r10d, imm32 */
	e8(e, 0x81);
	e8(e, 0xe2);
	e32(e, 0xfcffff);
	window_store(t, H_R10, -8);
	e_lea(e, H_R9, H_R9, NOREG, 0, -8, 8);
}

static bool emit_popf(struct tr *t, struct tinsn *ti)
{
	struct emit *e = &t->e;
	u8 *off;
	if (!in_window(t)) {
		emit_end(t, ti);
		return false;
	}
	window_load(t, H_R10, H_R9, 0);
	e_mov(e, H_R11, H_R10);
	e_gs(e, true, 0x33, H_R11, G(cpu.rflags)); /* xor */
	e8(e, 0x41);				   /* test r11d, imm32 */
	e8(e, 0xf7);
	e8(e, 0xc3);
	e32(e, POPF_REST);
	body_if(t, ti, 5);
	e8(e, 0x41); /* test r10d, IF */
	e8(e, 0xf7);
	e8(e, 0xc2);
	e32(e, FL_IF);
	off = e_jcc_fwd(e, 4);
	body_if_waiting(t, ti);
	e_here(e, off);
	e8(e, 0x41); /* and r11d, IF */
	e8(e, 0x81);
	e8(e, 0xe3);
	e32(e, FL_IF);
	e_gs(e, true, 0x31, H_R11, G(cpu.rflags)); /* xor */
	e8(e, 0x65);				   /* mov gs:[status + 1], r10b */
	e8(e, 0x44);
	e8(e, 0x88);
	e_mem(e, H_R10, NOREG, NOREG, 0, (s32)G(hot.status) + 1);
	e8(e, 0x41); /* bt r10d, 11 */
	e8(e, 0x0f);
	e8(e, 0xba);
	e8(e, 0xe2);
	e8(e, 11);
	e8(e, 0x65); /* setc gs:[status] */
	e8(e, 0x0f);
	e8(e, 0x92);
	e_mem(e, 0, NOREG, NOREG, 0, (s32)G(hot.status));
	t->saved = true;
	e_lea(e, H_R9, H_R9, NOREG, 0, 8, 8);
	return true;
}

/* --- leaving the block --- */

static bool same_page(const struct tr *t, u64 target)
{
	return (target ^ t->b->rip) >> 12 == 0;
}

static void to_ibl(struct tr *t)
{
	e_jmp(&t->e, t->saved ? t->x->ibl_saved : t->x->ibl);
}

/* `from`: rel32 of a jump that shall reach target. */
static void exit_to(struct tr *t, u8 *from, u64 target)
{
	struct side *s = side(t);
	s->kind = SIDE_EXIT;
	s->from = from;
	s->target = target;
	s->saved = t->saved;
	if (same_page(t, target) && t->links < 2 && canonical(target)) {
		s->kind = SIDE_LINK;
		s->link = (int)t->links;
		t->t->out[t->links] = (struct tlink){
			.from = t->t, .rel = from, .target = target, .saved = t->saved};
		t->links++;
	}
}

static void emit_jump(struct tr *t, u64 target)
{
	exit_to(t, e_jmp_fwd(&t->e), target);
}

/* Every loop has a jump backwards, or an indirect one, which polls in its stub. */
static void poll_if_back(struct tr *t, struct tinsn *ti)
{
	ti->saved = t->saved;
	if (ti->in.imm <= ti->rip)
		e_poll(&t->e);
}

static void emit_jcc(struct tr *t, struct tinsn *ti)
{
	flags_back(t);
	poll_if_back(t, ti);
	exit_to(t, e_jcc_fwd(&t->e, ti->in.opcode & 15), ti->in.imm);
	emit_jump(t, ti->rip + ti->in.len);
}

static void emit_jrcxz(struct tr *t, struct tinsn *ti)
{
	struct emit *e = &t->e;
	poll_if_back(t, ti);
	e8(e, 0xe3); /* jrcxz over the next jump */
	e8(e, 5);
	emit_jump(t, ti->rip + ti->in.len);
	emit_jump(t, ti->in.imm);
}

static void emit_call(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	if (in_window(t)) {
		poll_if_back(t, ti);
		e_mov_imm(e, H_R10, ti->rip + ti->in.len);
		window_store(t, H_R10, -8);
		e_lea(e, H_R9, H_R9, NOREG, 0, -8, 8);
		emit_jump(t, ti->in.imm);
		return;
	}
	flags_away(t, live); /* one state for both that may fault */
	poll_if_back(t, ti);
	miss = emit_lookup_at(t, ti, H_R9, -8, true);
	ti->saved = t->saved;
	e_mov_imm(e, H_R11, ti->rip + ti->in.len);
	store_r11(e);
	e_lea(e, H_R9, H_R9, NOREG, 0, -8, 8);
	emit_jump(t, ti->in.imm);
	t->side[miss].done = NULL; /* the body set RIP: leave */
}

static void emit_ret(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	s32 more = ti->in.opcode == 0xc2 ? (s32)(u16)ti->in.imm : 0;
	if (in_window(t)) {
		window_load(t, H_R10, H_R9, 0);
		ti->saved = t->saved;
		e_new_rip(e);
		e_lea(e, H_R9, H_R9, NOREG, 0, 8 + more, 8);
		to_ibl(t);
		return;
	}
	flags_away(t, live);
	miss = emit_lookup_at(t, ti, H_R9, 0, false);
	ti->saved = t->saved;
	e_load(e, H_R10, H_R10, NOREG, 0, 0);
	e_new_rip(e);
	e_lea(e, H_R9, H_R9, NOREG, 0, 8 + more, 8);
	to_ibl(t);
	t->side[miss].done = NULL;
}

/* r10 = the operand of an indirect jump or call. */
static int emit_target(struct tr *t, struct tinsn *ti)
{
	const struct insn *in = &ti->in;
	struct ea ea;
	unsigned miss;
	if (!(in->pfx & PFX_MEM)) {
		reg_to(&t->e, H_R10, in->rm);
		return -1;
	}
	emit_ea(t, in, &ea);
	miss = emit_lookup(t, ti, &ea, 8, false);
	emit_host(t, &ea);
	e_load(&t->e, H_R10, H_R10, NOREG, 0, 0);
	t->side[miss].done = NULL;
	return (int)miss;
}

static void emit_jmp_e(struct tr *t, struct tinsn *ti, bool live)
{
	flags_away(t, live && ti->in.pfx & PFX_MEM);
	emit_target(t, ti);
	ti->saved = t->saved;
	e_new_rip(&t->e);
	to_ibl(t);
}

static void emit_call_e(struct tr *t, struct tinsn *ti, bool live)
{
	struct emit *e = &t->e;
	unsigned miss;
	flags_away(t, live && (ti->in.pfx & PFX_MEM || !in_window(t)));
	emit_target(t, ti);
	ti->saved = t->saved;
	e_new_rip(e);
	if (in_window(t)) {
		e_mov_imm(e, H_R10, ti->rip + ti->in.len);
		window_store(t, H_R10, -8);
		e_lea(e, H_R9, H_R9, NOREG, 0, -8, 8);
		e_gs_load(e, H_R10, G(cpu.rip));
		to_ibl(t);
		return;
	}
	miss = emit_lookup_at(t, ti, H_R9, -8, true);
	e_mov_imm(e, H_R11, ti->rip + ti->in.len);
	store_r11(e);
	e_lea(e, H_R9, H_R9, NOREG, 0, -8, 8);
	e_gs_load(e, H_R10, G(cpu.rip));
	to_ibl(t);
	t->side[miss].done = NULL;
}

/* --- behind the block --- */

static void emit_cross(struct tr *t, const struct side *s)
{
	struct emit *e = &t->e;
	/* r10 is the address: does its last byte lie in another page? */
	e_lea(e, H_R11, H_R10, NOREG, 0, s->size - 1, 8);
	e8(e, 0x4d);
	e8(e, 0x31);
	e8(e, 0xd3); /* xor r11, r10 */
	e8(e, 0x49);
	e8(e, 0xc1);
	e8(e, 0xeb);
	e8(e, 12); /* shr r11, 12 */
	e_rel32(e_jcc_fwd(e, 4), s->back);
}

static void emit_miss(struct tr *t, const struct side *s)
{
	struct emit *e = &t->e;
	emit_ea_again(e, &s->ea);
	e_mov_imm(e, H_R11, (u64)s->ti | s->write);
	e_call(e, t->x->miss);
	e_jmp(e, s->back);
	if (s->done)
		e_jmp(e, s->done);
}

static void emit_sides(struct tr *t)
{
	struct emit *e = &t->e;
	for (unsigned i = 0; i < t->sides && !e->full; i++) {
		struct side *s = &t->side[i];
		e_here(e, s->from);
		switch (s->kind) {
		case SIDE_CROSS:
			emit_cross(t, s); /* falls into the miss, which is next */
			break;
		case SIDE_MISS: emit_miss(t, s); break;
		case SIDE_SIMD:
			e_call(e, t->x->simd);
			e_jmp(e, s->back);
			break;
		case SIDE_AGAIN:
			e_mov_imm(e, H_R10, s->target);
			e_jmp(e, s->saved ? t->x->exit_to_saved : t->x->exit_to);
			break;
		case SIDE_BODY:
			e_mov_imm(e, H_R10, (u64)s->ti);
			e_jmp(e, t->x->interp_end_saved);
			break;
		case SIDE_STACK:
			e_mov_imm(e, H_R10, (u64)s->ti);
			e_call(e, s->ti->leave ? t->x->stack_leave : t->x->stack);
			e_jmp(e, s->back);
			break;
		case SIDE_EXIT:
			e_mov_imm(e, H_R10, s->target);
			if (canonical(s->target)) {
				e_gs_store(e, H_R10, G(cpu.rip));
				e_jmp(e, s->saved ? t->x->ibl_saved : t->x->ibl);
			} else { /* ran out of the addresses: the fetch faults */
				e_jmp(e, s->saved ? t->x->exit_to_saved : t->x->exit_to);
			}
			break;
		case SIDE_LINK:
			t->t->out[s->link].stub = e->p;
			e_mov_imm(e, H_R10, (u64)&t->t->out[s->link]);
			e_gs_store(e, H_R10, G(hot.link));
			e_mov_imm(e, H_R10, s->target);
			e_jmp(e, s->saved ? t->x->exit_link_saved : t->x->exit_link);
			break;
		}
	}
}

/* --- the block --- */

/* Is the first thing that the block does with the flags to put them aside? */
static bool away_first(const struct tr *t, const struct tclass *c)
{
	if (t->vec || t->second)
		return true;
	for (unsigned i = 0; i < t->b->retired; i++) {
		const struct insn *in = &t->b->insn[i];
		switch ((enum tkind)c[i].kind) {
		case T_COPY:
			if (in->pfx & PFX_MEM)
				return !c[i].fl_touch;
			break;
		case T_NOP:
		case T_SWAPGS:
		case T_LEA: break;
		case T_INTERP:
		case T_END:
		case T_JCC: return false;
		default: return true;
		}
		if (c[i].fl_touch)
			return false;
	}
	return true;
}

/* Is the second page still what it was? */
static void emit_second(struct tr *t)
{
	struct emit *e = &t->e;
	struct side *s;
	e_gs_load(e, H_R10, G(hot.xt));
	e_mov_imm(e, H_R11, (t->second->rip >> 12 & mask64(36)) * 4);
	e8(e, 0x43); /* cmp dword [r10 + r11], imm32 */
	e8(e, 0x81);
	e8(e, 0x3c);
	e8(e, 0x1a);
	e32(e, t->second->desc);
	s = side(t);
	s->kind = SIDE_AGAIN;
	s->from = e_jcc_fwd(e, 5);
	s->saved = t->saved;
	s->target = t->b->rip;
}

/* Two entries, for flags in the host's and for flags put aside: one code if nobody needs them. Has
 * the vector registers brought in. */
static void emit_head(struct tr *t, const struct tclass *c)
{
	struct emit *e = &t->e;
	struct side *s;
	t->t->code = t->t->code_saved = e->p;
	if (t->live[0] && away_first(t, c)) {
		flags_away(t, true);
		t->t->code_saved = e->p;
	} else if (t->live[0]) {
		flags_restore(e);
		t->t->code = e->p;
	}
	if (t->second)
		emit_second(t);
	if (!t->vec)
		return;
	e_gs_is_0(e, G(hot.simd));
	s = side(t);
	s->kind = SIDE_SIMD;
	s->from = e_jcc_fwd(e, 4);
	s->back = e->p;
}

static bool emit_one(struct tr *t, unsigned i, const struct tclass *c, const u8 *raw)
{
	struct tinsn *ti = &t->t->ti[i];
	bool live = t->live[i];
	if (!live)
		t->saved = false;
	t->i = i;
	if (ti->stack_len)
		emit_guard(t, ti, live);
	switch ((enum tkind)c->kind) {
	case T_INTERP: emit_interp(t, ti); break;
	case T_END: emit_end(t, ti); return false;
	case T_COPY: emit_copy(t, ti, c, raw + ti->in.off, live); break;
	case T_NOP: break;
	case T_LEA: emit_lea(t, ti); break;
	case T_PUSH_R: emit_push(t, ti, false, live); break;
	case T_PUSH_I: emit_push(t, ti, true, live); break;
	case T_PUSH_M: emit_push_m(t, ti, live); break;
	case T_POP_R: emit_pop(t, ti, live); break;
	case T_POP_RSP: emit_pop_rsp(t, ti); break;
	case T_LEAVE: emit_leave(t, ti, live); break;
	case T_JCC: emit_jcc(t, ti); return false;
	case T_JRCXZ: emit_jrcxz(t, ti); return false;
	case T_JMP:
		poll_if_back(t, ti);
		emit_jump(t, ti->in.imm);
		return false;
	case T_CALL: emit_call(t, ti, live); return false;
	case T_RET: emit_ret(t, ti, live); return false;
	case T_JMP_E: emit_jmp_e(t, ti, live); return false;
	case T_CALL_E: emit_call_e(t, ti, live); return false;
	case T_PUSHF: emit_pushf(t, ti); break;
	case T_POPF: return emit_popf(t, ti);
	case T_CLI: emit_cli(t, live); break;
	case T_STI: emit_sti(t, ti, live); break;
	case T_SWAPGS: emit_swapgs(t); break;
	}
	return true;
}

/* Classes of all instructions, flags that each still needs before it. */
static void prepare(struct tr *t, struct tclass *c)
{
	u8 live = 0x3f; /* nothing is known of what follows the block */
	for (unsigned i = t->b->retired; i-- > 0;) {
		const struct insn *in = &t->b->insn[i];
		struct tinsn *ti = &t->t->ti[i];
		c[i] = classify(in, t->b->mode);
		ti->in = *in;
		ti->rip = t->b->rip + in->off;
		ti->size = c[i].kind == T_COPY ? c[i].size : 8;
		ti->stack_len = 0;
		ti->saved = t->window[i] = false;
		ti->leave = c[i].kind == T_LEAVE;
		t->vec |= c[i].vec;
		live = (u8)((live & ~c[i].fl_kill) | c[i].fl_read);
		t->live[i] = live;
	}
}

struct tblock *translate(struct vcpu *v, struct block *b, struct tpage *page, const u8 *raw,
			 bool plain, const struct tpage *second)
{
	struct trans *x = v->trans;
	struct tclass c[BLOCK_INSNS + 2];
	struct tr t = {.x = x, .b = b, .second = second};
	u32 need = (u32)(sizeof(struct tblock) + b->retired * sizeof(struct tinsn) + 15) & ~15u;
	bool more = true;
	if (x->store_used + need > x->store_size)
		return NULL;
	t.t = (struct tblock *)(void *)(x->store + x->store_used);
	memset(t.t, 0, sizeof(*t.t));
	t.t->block_rip = b->rip;
	t.t->page = page;
	t.t->plain = plain;
	t.t->second = second ? second->desc : 0;
	t.t->count = b->retired;
	prepare(&t, c);
	if (!plain)
		stack_windows(&t, c);
	t.e = (struct emit){.p = x->rw + x->used, .end = x->rw + x->size};
	t.t->start = t.e.p;
	emit_head(&t, c);
	for (unsigned i = 0; i < b->retired && more; i++) {
		t.t->ti[i].at = (u32)(t.e.p - t.t->start);
		more = emit_one(&t, i, &c[i], raw);
	}
	if (more)
		emit_jump(&t, b->rip + b->bytes);
	emit_sides(&t);
	if (t.e.full || t.failed)
		return NULL;
	x->used = (u32)(t.e.p - x->rw + 15) & ~15u;
	x->store_used += need;
	x->translated++;
	return t.t;
}
