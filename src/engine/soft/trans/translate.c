/* SPDX-License-Identifier: Apache-2.0 */
/*
 * translate: one decoded block into host code: its head, its instructions one by one, and behind it
 * what is seldom needed.
 *
 * Context: owner.
 */
#include <string.h>

#include "cpu/insn_forms.h"
#include "engine/soft/trans/gen.h"
#include "engine/soft/trans/recode.h"

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
	for (unsigned i = 0; i < ARRAY_LEN(s->also); i++)
		if (s->also[i])
			e_here(e, s->also[i]);
	emit_ea_again(e, &s->ea);
	e_mov_imm(e, H_R11, (u64)s->ti | s->write);
	e_call(e, t->x->miss);
	e_jmp(e, s->back);
	if (s->done)
		e_jmp(e, s->done);
}

/* To another page: the indirect branch of stubs.c with a constant address, and a jump of its own
 * for the host to predict. Who jumps backwards has polled. */
static void emit_known(struct emit *e, u64 target, bool saved)
{
	e_mov_imm(e, H_R10, target);
	e_gs_store(e, H_R10, G(cpu.rip));
	e_gs_load(e, H_R10, G(hot.xt));
	e_mov_imm(e, H_R11, (target >> 12 & mask64(36)) * 4);
	e_r11d_table(e, 0, 0);
	e_gs_load(e, H_R10, G(hot.desc));
	e_r11d_table(e, 2, (s32)(target & 0xfff) * 4);
	e_gs_load(e, H_R10, saved ? G(hot.code_saved) : G(hot.code));
	e_lea(e, H_R11, H_R11, H_R10, 0, 0, 8);
	e_jmp_r11(e);
}

static void emit_sides(struct tr *t)
{
	struct emit *e = &t->e;
	for (unsigned i = 0; i < t->sides && !e->full; i++) {
		struct side *s = &t->side[i];
		e_here(e, s->from);
		s->start = e->p;
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
			e_mov_imm(e, H_R10, (u64)s->guard);
			e_call(e, s->guard->leave ? t->x->stack_leave
						  : t->x->stack_stub[t->word == 4]);
			e_jmp(e, s->back);
			break;
		case SIDE_SLOT:
			emit_ea_again(e, &s->ea);
			e_mov_imm(e, H_R11, (u64)s->guard);
			e_call(e, t->x->slot_stub[t->word == 4][s->guard->write]);
			e_jmp(e, s->back);
			break;
		case SIDE_FAMILY:
			e_here(e, s->also[0]);
			emit_ea_again(e, &s->ea);
			e_mov_imm(e, H_R11, (u64)s->guard);
			e_call(e, t->x->family[s->guard->write]);
			e_jmp(e, s->back);
			break;
		case SIDE_EXIT:
			if (canonical(s->target)) {
				emit_known(e, s->target, s->saved);
			} else { /* ran out of the addresses: the fetch faults */
				e_mov_imm(e, H_R10, s->target);
				e_jmp(e, s->saved ? t->x->exit_to_saved : t->x->exit_to);
			}
			break;
		case SIDE_LINK:
			t->t->out[s->link].stub = (u32)(e->p - t->t->start);
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
	if (t->vec || (t->second && !t->second_at))
		return true;
	for (unsigned i = 0; i < t->count; i++) {
		const struct insn *in = &t->in[i];
		switch ((enum tkind)c[i].kind) {
		case T_COPY:
			if (in->pfx & PFX_MEM)
				return !c[i].fl_touch;
			break;
		case T_NOP:
		case T_SWAPGS:
		case T_RDTSC:
		case T_LEA: break;
		case T_MOV_SEG:
			if (in->pfx & PFX_MEM)
				return true;
			break;
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

/* Is the second page still what it was? If not, on at `target` by the code table. */
static void emit_second(struct tr *t, u64 target)
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
	s = side_new(t);
	s->kind = SIDE_AGAIN;
	s->from = e_jcc_fwd(e, 5);
	s->saved = t->saved;
	s->target = target;
}

static u16 here(const struct tr *t)
{
	return (u16)(t->e.p - t->t->start);
}

/* Two entries, for flags in the host's and for flags put aside: one code if nobody needs them.
 * Indirect branches find the first one ENTRY_GAP before the second. Has the vector registers
 * brought in. */
static void emit_head(struct tr *t, const struct tclass *c)
{
	struct emit *e = &t->e;
	struct side *s;
	const u8 *saved = t->t->start + ENTRY_GAP;
	u8 *past = NULL;
	if (t->live[0] && away_first(t, c))
		flags_away(t, true); /* which is as long */
	else
		past = e_jmp_fwd(e);
	e_fill(e, saved);
	if (e->p != saved)
		t->failed = true;
	t->t->code_saved = here(t);
	if (t->live[0] && past)
		flags_restore(e);
	t->t->code = t->saved ? 0 : here(t);
	if (past)
		e_here(e, past);
	if (t->second && !t->second_at)
		emit_second(t, t->b->rip);
	t->t->code_vec = t->t->code;
	t->t->code_vec_saved = t->t->code_saved;
	if (!t->vec)
		return;
	e_gs_is_0(e, G(hot.simd));
	s = side_new(t);
	s->kind = SIDE_SIMD;
	s->from = e_jcc_fwd(e, 4);
	s->back = e->p;
	t->t->vec = true;
	if (t->second && !t->second_at) /* none comes in behind that test */
		return;
	t->t->code_vec_saved = here(t);
	if (!t->live[0])
		t->t->code_vec = here(t);
}

/* Does its code leave r10 and r11 alone, or know what is in them? */
static bool leaves_addends(const struct insn *in, const struct tclass *c)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned b = in->base / 8u, x = in->index / 8u;
	if (c->kind == T_NOP || c->kind == T_JCC)
		return true;
	if (c->kind == T_LEA)
		return home[in->reg] != NOREG && (b >= 16 || home[b] != NOREG) &&
		       (x >= 16 || home[x] != NOREG);
	if (c->kind != T_COPY)
		return false;
	for (unsigned i = 0; i < f->operands; i++) /* registers in slots may need r10 */
		switch ((enum insn_opk)f->op[i].kind) {
		case OP_G:
			if (home[in->reg] == NOREG)
				return false;
			break;
		case OP_E:
		case OP_R:
		case OP_Z:
			if (!(in->pfx & PFX_MEM) && home[in->rm] == NOREG)
				return false;
			break;
		case OP_VREG:
			if (home[in->vvvv] == NOREG)
				return false;
			break;
		default: break;
		}
	return true;
}

/* A jump or a call whose target is the next instruction here. */
static void emit_followed(struct tr *t, struct tinsn *ti, bool call)
{
	struct emit *e = &t->e;
	poll_if_back(t, ti);
	if (!call)
		return;
	e_mov_imm(e, H_R10, ti->rip + ti->len);
	window_store(t, H_R10, -(s32)t->word);
	move_rsp(t, -(s32)t->word);
}

static bool emit_one(struct tr *t, unsigned i, const struct tclass *c)
{
	struct tinsn *ti = &t->t->ti[i];
	bool live = t->live[i], leaves = leaves_addends(&t->in[i], c);
	if (!live)
		t->saved = false;
	t->i = i;
	if (t->second && i && i == t->second_at) {
		flags_away(t, true);
		emit_second(t, ti->rip);
	}
	if (t->stack_guard[i] || t->slot_guard[i] || !leaves)
		forget_addends(t);
	if (t->stack_guard[i])
		window_guard(t, live);
	if (t->slot_guard[i])
		slot_guard(t, live);
	ti->saved = t->saved;
	switch ((enum tkind)c->kind) {
	case T_INTERP: emit_interp(t, ti); break;
	case T_END: emit_end(t, ti); return false;
	case T_COPY: emit_copy(t, ti, c, t->raw[i], live); break;
	case T_NOP: break;
	case T_LEA: emit_lea(t); break;
	case T_PUSH_R: emit_push(t, ti, false, live); break;
	case T_PUSH_I: emit_push(t, ti, true, live); break;
	case T_PUSH_M: emit_push_m(t, ti, live); break;
	case T_POP_R: emit_pop(t, ti, live); break;
	case T_POP_RSP: emit_pop_rsp(t, ti); break;
	case T_LEAVE: emit_leave(t, ti, live); break;
	case T_JCC:
		if (i + 1 == t->count) {
			emit_jcc(t, ti);
			return false;
		}
		emit_jcc_inside(t, ti);
		break;
	case T_JRCXZ: emit_jrcxz(t, ti); return false;
	case T_JMP:
	case T_CALL:
		if (i + 1 < t->count) {
			emit_followed(t, ti, c->kind == T_CALL);
			break;
		}
		if (c->kind == T_JMP)
			emit_jmp(t, ti);
		else
			emit_call(t, ti, live);
		return false;
	case T_RET: emit_ret(t, ti, live); return false;
	case T_JMP_E: emit_jmp_e(t, ti, live); return false;
	case T_CALL_E: emit_call_e(t, ti, live); return false;
	case T_PUSHF: emit_pushf(t, ti); break;
	case T_RDTSC: emit_rdtsc(t, ti); break;
	case T_MOV_SEG: emit_mov_seg(t, ti, live); break;
	case T_BT: emit_bt(t, ti, c, t->raw[i], live); break;
	case T_SYSCALL: emit_far(t, ti, t->x->syscall); return false;
	case T_SYSRET: emit_far(t, ti, t->x->sysret); return false;
	case T_POPF: return emit_popf(t, ti);
	case T_CLI: emit_cli(t, live); break;
	case T_STI: emit_sti(t, ti, live); break;
	case T_SWAPGS: emit_swapgs(t); break;
	}
	if (!leaves)
		forget_addends(t);
	return true;
}

struct tguard *guard_new(struct tr *t, unsigned i)
{
	struct tguard *g = &guards_of(t->t)[t->t->guards++];
	*g = (struct tguard){.ti = &t->t->ti[i], .left = 1};
	return g;
}

/* Do helpers ask for it again and again? */
static bool wants_copy(const struct insn *in, const struct tclass *c)
{
	switch ((enum tkind)c->kind) {
	case T_INTERP:
	case T_END:
	case T_POP_RSP:
	case T_PUSH_M:
	case T_SYSCALL:
	case T_SYSRET: return true;
	default: return c->x87 && classify_x87_notes(in);
	}
}

/* Behind the block's record and its guards, which are complete: what trans_insn() wants. There is
 * room for all of it (trans_room()). */
static void keep(struct tr *t, const struct tclass *c)
{
	struct tblock *tb = t->t;
	u8 *at = bytes_of(tb);
	for (unsigned i = 0; i < t->count; i++) {
		memcpy(at, t->raw[i], t->in[i].len);
		at += t->in[i].len;
	}
	t->x->store_used = (u32)(at - t->x->store + 15) & ~15u;
	for (unsigned i = 0; i < t->count; i++) {
		struct insn *copy;
		if (!wants_copy(&t->in[i], &c[i]))
			continue;
		copy = (struct insn *)(void *)(t->x->store + t->x->store_used);
		*copy = t->in[i];
		tb->ti[i].copy = t->x->store_used;
		t->x->store_used += (u32)(sizeof(*copy) + 15) & ~15u;
	}
}

/* Classes of all instructions, flags that each still needs before it. */
static void prepare(struct tr *t, struct tclass *c)
{
	u8 live = 0x3f; /* nothing is known of what follows the block */
	for (unsigned i = t->count; i-- > 0;) {
		struct tinsn *ti = &t->t->ti[i];
		const struct insn *in = &t->in[i];
		c[i] = classify(in, t->b->mode);
		if (!can_emit(in, &c[i], t->raw[i]))
			c[i] = (struct tclass){.kind = T_INTERP, .fl_read = 0x3f, .fl_touch = true};
		*ti = (struct tinsn){.rip = t->rip[i],
				     .form = in->form,
				     .size = c[i].size ? c[i].size : (u8)t->word,
				     .len = in->len,
				     .seg = in->seg,
				     .write = c[i].kind == T_COPY && c[i].write};
		t->vec |= c[i].vec;
		if (c[i].kind == T_JCC)
			live = 0x3f; /* the way out of an unrolled loop */
		live = (u8)((live & ~c[i].fl_kill) | c[i].fl_read);
		if (t->second && i == t->second_at)
			live = 0x3f; /* it may leave here */
		t->live[i] = live;
	}
}

/* Do instructions i to j - 1 leave what the operand of i is counted from? */
static bool operand_stays(const struct tr *t, const struct tclass *c, unsigned i, unsigned j)
{
	unsigned b = t->in[i].base / 8u, x = t->in[i].index / 8u;
	u32 mask = ((b < 16 ? 1u << b : 0) | (x < 16 ? 1u << x : 0)) & 0xffff;
	for (; i < j; i++) {
		const struct insn *in = &t->in[i];
		switch ((enum tkind)c[i].kind) {
		case T_COPY:
			if (writes_gprs(in) & mask)
				return false;
			break;
		case T_LEA:
			if (mask >> in->reg & 1)
				return false;
			break;
		case T_NOP: break;
		default: return false;
		}
	}
	return true;
}

/* Which x87 instructions need not be noted when they are done: a later one is, before the block can
 * be left but through a helper, which finds them by the instruction that it is called for. */
static void note_late(struct tr *t, const struct tclass *c)
{
	bool later = false, before = false;
	unsigned mem = 0; /* the next one with an operand in memory; 0: none */
	for (unsigned i = t->count; i-- > 0;) {
		struct tinsn *ti = &t->t->ti[i];
		if (c[i].kind == T_JCC) {
			later = false;
			mem = 0;
		}
		if (c[i].kind == T_COPY && c[i].x87 && classify_x87_notes(&t->in[i])) {
			ti->x87 = X87_NOTES | (later ? X87_LATE_IP : 0);
			later = true;
			if (t->in[i].pfx & PFX_MEM) {
				ti->x87 |= mem && operand_stays(t, c, i, mem) ? X87_LATE_DP : 0;
				mem = i;
			}
		}
		if (t->second && i == t->second_at) {
			later = false;
			mem = 0;
		}
	}
	for (unsigned i = 0; i < t->count; i++) {
		struct tinsn *ti = &t->t->ti[i];
		ti->x87 |= before ? X87_BEFORE : 0;
		before |= ti->x87 & (X87_LATE_IP | X87_LATE_DP);
	}
}

/* A loop of one block that works on memory: its body several times, so that a guard serves several
 * rounds. How many. */
static unsigned unroll(const struct block *b)
{
	const struct insn *last = &b->insn[b->retired - 1];
	unsigned times = BLOCK_INSNS / b->retired;
	bool memory = false;
	if ((b->mode & MODE_CPL) != 3 || classify(last, b->mode).kind != T_JCC ||
	    last->imm != b->rip)
		return 1;
	for (unsigned i = 0; i < b->retired; i++) {
		const struct tclass c = classify(&b->insn[i], b->mode);
		memory |= c.kind == T_COPY && b->insn[i].pfx & PFX_MEM;
		if (c.kind == T_INTERP || c.kind == T_END)
			return 1;
	}
	return !memory ? 1 : times < UNROLL ? times : UNROLL;
}

static void add_block(struct tr *t, const struct block *b, const u8 *raw)
{
	for (unsigned i = 0; i < b->retired; i++) {
		t->in[t->count] = b->insn[i];
		recode_general(&t->in[t->count], b->mode);
		t->raw[t->count] = raw + b->insn[i].off;
		t->rip[t->count] = b->rip + b->insn[i].off;
		t->count++;
	}
}

/* The blocks that jumps and calls at the end lead to, if they are short and a return is at the end
 * of them: the kernel's thunks for returns and indirect branches, where one return would serve all
 * functions. They may be in one other page. */
static void follow(struct tr *t, struct vcpu *v)
{
	const struct block *b[FOLLOW + 1] = {t->b};
	struct tpage *p = NULL;
	unsigned n, total = t->count, at = 0;
	for (n = 0;; n++) {
		const struct insn *last = &b[n]->insn[b[n]->retired - 1];
		unsigned kind = classify(last, b[n]->mode).kind;
		if (kind == T_RET)
			break;
		if ((kind != T_JMP && kind != T_CALL) || n == FOLLOW)
			return;
		b[n + 1] = block_known(v, last->imm);
		if (!b[n + 1] || b[n + 1]->retired > FOLLOW_INSNS || b[n + 1]->mode != t->b->mode)
			return;
		if ((b[n + 1]->rip ^ t->b->rip) >> 12) {
			struct tpage *q = trans_page(t->x, b[n + 1]);
			if (!q || (p && p != q))
				return;
			if (!p)
				at = total;
			p = q;
		}
		total += b[n + 1]->retired;
	}
	if (!n || total > BLOCK_INSNS)
		return;
	for (unsigned i = 1; i <= n; i++) {
		add_block(t, b[i], block_bytes(v, b[i]));
		t->followed[i - 1] = b[i];
	}
	t->second = p;
	t->second_at = at;
}

/* Did what was followed change since it was decoded? */
static bool stale(const struct tr *t)
{
	for (unsigned i = 0; i < FOLLOW && t->followed[i]; i++)
		if (__atomic_load_n(&t->followed[i]->page->ver, __ATOMIC_SEQ_CST) !=
		    t->followed[i]->ver)
			return true;
	return false;
}

struct tblock *translate(struct vcpu *v, struct block *b, struct tpage *page, const u8 *raw,
			 bool plain, struct tpage *second)
{
	struct tcache *x = v->trans->k;
	struct tclass c[BLOCK_INSNS + 2];
	struct tr t = {.x = x, .b = b, .second = second, .word = mode_word(b->mode)};
	bool more = true;
	add_block(&t, b, raw);
	t.rounds = 1;
	if (!plain && !second && !v->lockstep) {
		t.rounds = unroll(b);
		for (unsigned i = 1; i < t.rounds; i++)
			add_block(&t, b, raw);
		if (t.rounds == 1)
			follow(&t, v);
	}
	t.tabled = trans_tabled(x, b->rip, b->mode);
	t.t = (struct tblock *)(void *)(x->store + x->store_used);
	memset(t.t, 0, sizeof(*t.t));
	t.t->block_rip = b->rip;
	t.t->page = page;
	t.t->plain = plain;
	t.t->second = t.second;
	t.t->rounds = (u8)t.rounds;
	t.t->count = (u16)t.count;
	prepare(&t, c);
	note_late(&t, c);
	if (!plain) {
		window_find(&t, c);
		slot_find(&t, c);
	}
	keep(&t, c);
	/* the entry of indirect branches where the host likes to jump to */
	t.e = (struct emit){.p = x->rw + ((x->used + ENTRY_GAP + 15) & ~15u) - ENTRY_GAP,
			    .end = x->rw + x->size};
	t.t->start = t.e.p;
	emit_head(&t, c);
	for (unsigned i = 0; i < t.count && more; i++) {
		t.t->ti[i].at = (u32)(t.e.p - t.t->start);
		more = emit_one(&t, i, &c[i]);
	}
	if (more)
		emit_jump(&t, b->rip + b->bytes);
	t.body_end = t.e.p;
	emit_sides(&t);
	x->stale = stale(&t);
	if (t.e.full || t.failed || x->stale) {
		x->store_used = (u32)((u8 *)t.t - x->store); /* pages that follow() made stay */
		return NULL;
	}
	if (v->engine->check && !check_block(x, t.t, t.body_end, t.e.p)) {
		v->failed = true; /* ends the machine */
		cpu_event(&v->cpu, EV_KICK);
		return NULL;
	}
	x->used = (u32)(t.e.p - x->rw);
	x->translated++;
	if (unlikely(v->engine->traced))
		trace_block(v, &t);
	return t.t;
}
