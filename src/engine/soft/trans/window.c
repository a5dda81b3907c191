/* SPDX-License-Identifier: Apache-2.0 */
/* window: operands on the stack that one guard for many lets pass without lookups. See gen.h. */
#include "cpu/insn_forms.h"
#include "engine/soft/trans/gen.h"

/*
 * A run of instructions that move RSP by known amounts touches bytes whose distance from RSP is
 * known. One guard before the first of them proves that all lie in the page hot.stack_page, which
 * is mapped for reading and writing: then the accesses need no lookups, and cannot fault. Where it
 * does not hold, trans_stack() looks for such a page; where there is none, the block is run as it
 * is translated without windows (TX_PLAIN).
 */
#define WINDOW_MOST 2048

bool in_window(const struct tr *t)
{
	return t->window[t->i];
}

bool in_window_at(const struct tr *t, unsigned i)
{
	return t->window[i];
}

/* What an instruction does to the stack: bytes [lo, hi) from RSP before it (none: lo == hi), and by
 * how much it moves RSP. */
struct stack_use {
	s32 lo, hi, move;
	bool known; /* of it and so of what follows */
	bool last;  /* RSP is not known after it */
};

static struct stack_use stack_use(const struct insn *in, const struct tclass *c, unsigned word)
{
	struct stack_use u = {.known = true};
	bool rsp = in->pfx & PFX_MEM && in->base == R_RSP * 8 && in->index / 8u == 16 &&
		   in->asz == word && in->seg != S_FS && in->seg != S_GS &&
		   in->disp > -WINDOW_MOST && in->disp < WINDOW_MOST;
	switch ((enum tkind)c->kind) {
	case T_PUSH_R:
	case T_PUSH_I:
	case T_PUSH_M:
	case T_PUSHF:
	case T_CALL:
	case T_CALL_E: u.lo = u.move = -(s32)word; return u;
	case T_POP_RSP: u.last = true; /* fallthrough */
	case T_POP_R:
	case T_POPF:
	case T_RET: u.hi = u.move = (s32)word; return u;
	case T_COPY:
		if (rsp) {
			u.lo = (s32)in->disp;
			u.hi = u.lo + c->size;
		}
		if (!(writes_gprs(in) >> R_RSP & 1))
			return u;
		/* ADD, SUB RSP, imm */
		if ((in->opcode == 0x81 || in->opcode == 0x83) && insn_forms[in->form].map == 0 &&
		    in->osz == word && !(in->pfx & PFX_MEM) && in->rm == R_RSP &&
		    (in->modrm & 0x38) % 0x28 == 0 && (s64)in->imm > -WINDOW_MOST &&
		    (s64)in->imm < WINDOW_MOST) {
			u.move = in->modrm & 0x38 ? -(s32)in->imm : (s32)in->imm;
			return u;
		}
		break;
	case T_LEA:
		if (in->reg != R_RSP)
			return u;
		if (rsp && in->osz == word) {
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
	case T_SWAPGS:
	case T_RDTSC:
	case T_SYSCALL:
	case T_SYSRET: return u;
	case T_BT: return u;
	case T_MOV_SEG:
		if (in->pfx & PFX_MEM || in->rm != R_RSP)
			return u;
		break;
	case T_LEAVE:
	case T_INTERP:
	case T_END: break;
	}
	u.lo = u.hi = 0;
	u.known = false;
	return u;
}

/*
 * In 32-bit code RSP is cut to 32 bits when it moves, and the guard's sum is not: where it holds,
 * all bytes lie below 4 GiB (table_stack() takes no page that ends there), but RSP may have moved
 * beyond in between. So that [RSP + disp] is what the guard took it for, RSP itself must be in that
 * page, too, when it is used, or be what it was at the guard.
 */
static void with_rsp(const struct tr *t, s32 rsp, s32 *lo, s32 *hi)
{
	if (t->word == 8 || !rsp)
		return;
	*lo = rsp < *lo ? rsp : *lo;
	*hi = rsp > *hi ? rsp : *hi;
}

/* Marks the windows of the block; the first instruction of each gets its extent. */
void window_find(struct tr *t, const struct tclass *c)
{
	unsigned i = 0, n = t->count;
	while (i < n) {
		struct stack_use u = stack_use(&t->in[i], &c[i], t->word);
		struct tguard *g;
		s32 lo, hi, rsp;
		unsigned k;
		if (c[i].kind == T_LEAVE)
			u = (struct stack_use){0, (s32)t->word, (s32)t->word, true,
					       false}; /* from RBP */
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
			u = stack_use(&t->in[k], &c[k], t->word);
			from = u.lo + rsp < lo && u.lo != u.hi ? u.lo + rsp : lo;
			to = u.hi + rsp > hi && u.lo != u.hi ? u.hi + rsp : hi;
			if (u.lo != u.hi)
				with_rsp(t, rsp, &from, &to);
			if (!u.known || to - from > WINDOW_MOST)
				break;
			t->window[k] = u.lo != u.hi;
			lo = from;
			hi = to;
			rsp += u.move;
		}
		g = guard_new(t, i);
		g->lo = (s16)lo;
		g->len = (u16)(hi - lo);
		g->leave = c[i].kind == T_LEAVE;
		t->stack_guard[i] = g;
		i = k;
	}
}

/* Before the first instruction of a window. */
void window_guard(struct tr *t, bool live)
{
	struct tguard *g = t->stack_guard[t->i];
	struct emit *e = &t->e;
	struct side *s;
	flags_away(t, live);
	e_lea(e, H_R10, g->leave ? H_RBP : H_R9, NOREG, 0, g->lo, 8);
	e_gs(e, true, 0x2b, H_R10, G(hot.stack_page)); /* sub */
	e8(e, 0x49);				       /* cmp r10, imm32 */
	e8(e, 0x81);
	e8(e, 0xfa);
	e32(e, RAM_PAGE - g->len);
	s = side_new(t);
	s->kind = SIDE_STACK;
	s->from = e_jcc_fwd(e, 7);
	s->back = e->p;
	s->ti = g->ti;
	s->guard = g;
}

/* mov [r9 + stack_add + disp], from;  mov to, [base + stack_add + disp] */
void window_store(struct tr *t, unsigned from, s32 disp)
{
	struct emit *e = &t->e;
	e_gs_load(e, H_R11, G(hot.stack_add));
	e_store(e, t->word, from, H_R9, H_R11, disp);
}

void window_load(struct tr *t, unsigned to, unsigned base, s32 disp)
{
	e_gs_load(&t->e, H_R11, G(hot.stack_add));
	e_load(&t->e, t->word, to, base, H_R11, 0, disp);
}

void move_rsp(struct tr *t, s32 by)
{
	e_lea(&t->e, H_R9, H_R9, NOREG, 0, by, t->word);
}
