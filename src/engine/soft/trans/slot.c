/* SPDX-License-Identifier: Apache-2.0 */
/* slot: operands in memory that remember the page they were in. See gen.h. */
#include "cpu/insn_forms.h"
#include "engine/soft/trans/gen.h"

/*
 * The operands of a block that are counted from the same registers, unchanged but for known
 * amounts, are a family: the distances between them are known. The first of them compares the bytes
 * of all with the page in the family's slot of the vCPU block (hot.slot): same page, and the slot's
 * addend leads to all of them. Where it is another page, trans_slot() looks for it; where no page
 * will do (two pages, one that may not be written yet, MMIO), the block goes on as it is translated
 * without windows (TX_PLAIN).
 *
 * Only for CPL 3, where the view cannot change inside a block. A site that meets another page all
 * the time gets lookups instead (struct tabled).
 *
 * In 32-bit code registers are cut to 32 bits when they move, and sums are not: the guard's, of 64
 * bits, holds for pages below 4 GiB only (the last one is never in a slot). So that the sum of a
 * later member is what the guard took it for, no register may have been cut since: families with
 * an index do not survive moves, and a base that moved must be in the page, too. A sum that is not
 * an address in 32 bits gets lookups. So do operands in FS and GS, whose offsets end at 4 GiB.
 *
 * At the other CPLs the view may change, and the same code works on another object each time: there
 * the first of a family looks the page up, and leaves the entry in the vCPU block (hot.looked) for
 * the others. Only in 64-bit code, and only for families of two and more.
 */
#define FAMILIES    16
#define FAMILY_MOST 1024
#define FAR	    (1 << 30)

struct family {
	u8 base, index, scale, seg; /* guest registers, 16: none; seg: FS, GS or none (0) */
	u32 base_at, index_at;	    /* versions of those registers */
	s64 lo, hi;   /* of the bytes, as counted from the registers at their versions */
	s64 first_at; /* where the first operand is */
	s64 base_moved, index_moved; /* there */
	unsigned first;		     /* that instruction */
	bool write;
};

/* Registers as the walk over the block knows them: which version, and how far from it. */
struct walk {
	u32 version[17];
	s64 moved[17];
	struct family family[FAMILIES];
	unsigned families;
	/* of the family that instruction i is the first of: bytes, its own place in them, members
	 */
	struct {
		u16 len, own, members;
		bool write;
	} at[BLOCK_INSNS + 2];
};

/* AH..BH have the numbers of RSP..RDI. */
static u32 bit_of(const struct insn *in, unsigned reg, unsigned width)
{
	bool high = width == 1 && reg >= 4 && reg < 8 && !(in->pfx & (PFX_REX | PFX_VEX));
	return 1u << (high ? reg & 3 : reg);
}

u32 writes_gprs(const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned op = in->opcode, reg = in->modrm >> 3 & 7;
	u32 m = 0;
	for (unsigned i = 0; i < f->operands; i++) {
		unsigned width = f->op[i].width;
		if (!(f->op[i].access & OPA_W))
			continue;
		switch ((enum insn_opk)f->op[i].kind) {
		case OP_G: m |= bit_of(in, in->reg, width); break;
		case OP_E:
		case OP_R:
		case OP_Z: m |= in->pfx & PFX_MEM ? 0 : bit_of(in, in->rm, width); break;
		case OP_VREG: m |= 1u << in->vvvv; break;
		case OP_FIXED: m |= 1u << R_RAX; break; /* no other is written so */
		default: break;
		}
	}
	switch (f->map) {
	case 0: /* CBW, LAHF, FNSTSW AX; CWD; MUL, IMUL, DIV, IDIV */
		if (op == 0x98 || op == 0x9f || op == 0xdf || (op == 0xf6 && reg >= 4))
			m |= 1u << R_RAX;
		if (op == 0x99)
			m |= 1u << R_RDX;
		if (op == 0xf7 && reg >= 4)
			m |= 1u << R_RAX | 1u << R_RDX;
		break;
	case 1:
		if (op == 0xb0 || op == 0xb1) /* CMPXCHG */
			m |= (1u << R_RAX);
		if (op == 0xc7) /* CMPXCHG8B */
			m |= (1u << R_RAX) | (1u << R_RDX);
		break;
	case 3:
	case 6:
		if (op >= 0x60 && op <= 0x63) /* PCMPESTRI and its like */
			m |= (1u << R_RCX);
		break;
	default: break;
	}
	return m;
}

/* By how much does it move a register, and nothing else? False: it does not. */
static bool moves(const struct insn *in, const struct tclass *c, unsigned word, unsigned *reg,
		  s64 *by)
{
	unsigned op = in->opcode, sub = in->modrm >> 3 & 7;
	if (in->osz != word)
		return false;
	if (c->kind == T_LEA) {
		*reg = in->reg;
		*by = in->disp;
		return in->base == in->reg * 8 && in->index / 8u == 16 && in->asz == word;
	}
	if (c->kind != T_COPY || in->pfx & PFX_MEM || insn_forms[in->form].map)
		return false;
	*reg = in->rm;
	*by = op == 0xff ? 1 : (s64)in->imm;
	if (((op == 0x81 || op == 0x83) && sub == 5) || (op == 0xff && sub == 1))
		*by = -*by;
	return ((op == 0x81 || op == 0x83) && (sub == 0 || sub == 5)) || (op == 0xff && sub < 2);
}

static void changed(struct walk *w, u32 regs)
{
	for (unsigned i = 0; i < 16; i++)
		if (regs >> i & 1) {
			w->version[i]++;
			w->moved[i] = 0;
		}
}

/* What instruction i does to the registers. */
static void step(struct walk *w, const struct insn *in, const struct tclass *c, unsigned word)
{
	unsigned reg;
	s64 by;
	switch ((enum tkind)c->kind) {
	case T_COPY:
	case T_LEA:
		if (moves(in, c, word, &reg, &by) && by > -FAR && by < FAR &&
		    w->moved[reg] > -FAR && w->moved[reg] < FAR)
			w->moved[reg] += by;
		else
			changed(w, c->kind == T_LEA ? (1u << in->reg) : writes_gprs(in));
		break;
	case T_PUSH_R:
	case T_PUSH_I:
	case T_PUSH_M:
	case T_PUSHF: changed(w, (1u << R_RSP)); break;
	case T_POP_R: changed(w, (1u << R_RSP) | (1u << in->rm)); break;
	case T_RDTSC:
		changed(w, 1u << R_RAX | 1u << R_RDX | (in->opcode == 0x01 ? 1u << R_RCX : 0));
		break;
	case T_MOV_SEG: changed(w, in->pfx & PFX_MEM ? 0 : 1u << in->rm); break;
	case T_NOP:
	case T_BT:
	case T_JMP:
	case T_JCC: break; /* not the last one: followed, or inside an unrolled loop */
	default:	   /* anything may have changed, tables too */
		changed(w, 0xffff);
		w->families = 0;
		break;
	}
}

static bool fixed_address(const struct insn *in)
{
	return in->base / 8u == 16 && in->index / 8u == 16 && in->seg != S_FS && in->seg != S_GS;
}

/* Bytes at the memory operand that a family may have; 0: none. */
static unsigned operand(const struct tr *t, unsigned i, const struct tclass *c)
{
	const struct insn *in = &t->in[i];
	bool mem = in->pfx & PFX_MEM && (c->kind == T_COPY || c->kind == T_PUSH_M ||
					 c->kind == T_JMP_E || c->kind == T_CALL_E);
	if (!mem || in->asz != t->word || t->tabled >> place_of(t, i) & 1 ||
	    (c->kind == T_COPY && in_window_at(t, i)))
		return 0;
	/* the operand is one of 32 bits of displacement, less 1 with an entry */
	if ((in->disp != (s32)in->disp || in->disp - 1 != (s32)(in->disp - 1)) &&
	    (t->looked || !fixed_address(in)))
		return 0;
	if (t->word == 4 && (in->seg == S_FS || in->seg == S_GS))
		return 0;
	if (c->x87 && in->base / 8u < 16 && in->index / 8u < 16 &&
	    (home[in->base / 8u] == NOREG || home[in->index / 8u] == NOREG))
		return 0; /* note_x87() wants the address again */
	return c->kind == T_COPY ? c->size : t->word;
}

static bool same(const struct tr *t, const struct walk *w, const struct family *f,
		 const struct insn *in, unsigned seg)
{
	unsigned b = in->base / 8u, x = in->index / 8u;
	if (t->word == 4 && x < 16 &&
	    (f->base_moved != w->moved[b] || f->index_moved != w->moved[x]))
		return false;
	return f->base == b && f->index == x && (x == 16 || f->scale == in->scale) &&
	       f->seg == seg && f->base_at == w->version[b] && f->index_at == w->version[x];
}

/* Shared when there are too many: those of families that write by none that only read, since what
 * may be read need not be writable. */
static u32 slot_new(struct tcache *x, bool write)
{
	u32 n = x->slot_next[write]++ % (TRANS_SLOTS / 2) + (write ? TRANS_SLOTS / 2 : 0);
	return (u32)(G(hot.slot) + n * sizeof(struct page_slot));
}

static void join(struct tr *t, struct walk *w, unsigned i, unsigned size, bool write)
{
	const struct insn *in = &t->in[i];
	unsigned b = in->base / 8u, x = in->index / 8u;
	unsigned seg = in->seg == S_FS || in->seg == S_GS ? in->seg + 1u : 0;
	bool fixed = !t->looked && b == 16 && x == 16 && !seg;
	s64 at = in->disp + w->moved[b] + (x < 16 ? w->moved[x] * (1 << in->scale) : 0);
	struct family *f;
	unsigned k;
	if (fixed && (at & 0xfff) + size > RAM_PAGE)
		return;
	for (k = 0; k < w->families; k++) {
		s64 lo, hi;
		f = &w->family[k];
		if (!same(t, w, f, in, seg))
			continue;
		lo = at < f->lo ? at : f->lo;
		hi = at + size > f->hi ? at + size : f->hi;
		if (t->word == 4 && w->moved[b] != f->base_moved) {
			lo = w->moved[b] < lo ? w->moved[b] : lo;
			hi = w->moved[b] > hi ? w->moved[b] : hi;
		}
		if (hi - lo > FAMILY_MOST || (fixed && (lo ^ (hi - 1)) >> 12))
			continue;
		f->lo = lo;
		f->hi = hi;
		f->write |= write;
		break;
	}
	if (k == w->families) {
		if (k == FAMILIES)
			return;
		f = &w->family[w->families++];
		*f = (struct family){.base = (u8)b,
				     .index = (u8)x,
				     .scale = in->scale,
				     .seg = (u8)seg,
				     .base_at = w->version[b],
				     .index_at = w->version[x],
				     .lo = at,
				     .hi = at + size,
				     .first_at = at,
				     .base_moved = w->moved[b],
				     .index_moved = w->moved[x],
				     .first = i,
				     .write = write};
	}
	f = &w->family[k];
	t->slot[i] = f->first + 1;
	w->at[f->first].len = (u16)(f->hi - f->lo);
	w->at[f->first].own = (u16)(f->first_at - f->lo);
	w->at[f->first].write = f->write;
	w->at[f->first].members++;
}

/* Finds the families of the block; the first operand of each gets its guard. */
void slot_find(struct tr *t, const struct tclass *c)
{
	struct walk w = {0};
	unsigned looked = 0;
	t->looked = (t->b->mode & MODE_CPL) != 3;
	if ((t->looked && t->word == 4) || (t->second && !t->second_at))
		return;
	for (unsigned i = 0; i < t->count; i++) {
		unsigned size = operand(t, i, &c[i]);
		if (size)
			join(t, &w, i, size, c[i].kind == T_COPY && c[i].write);
		step(&w, &t->in[i], &c[i], t->word);
	}
	for (unsigned i = 0; i < t->count; i++) { /* it is known now which of them write */
		struct tguard *g;
		if (!w.at[i].members) {
			t->slot[i] = t->slot[i] ? t->slot[t->slot[i] - 1] : 0;
			continue;
		}
		t->slot[i] = 0;
		if (t->looked && (w.at[i].members < 2 || looked == TRANS_LOOKED))
			continue;
		g = t->slot_guard[i] = guard_new(t, i);
		g->len = w.at[i].len;
		g->own = w.at[i].own;
		g->write = w.at[i].write;
		g->slot =
			t->looked ? (u32)(G(hot.looked) + 8 * looked++) : slot_new(t->x, g->write);
		g->left = t->looked ? 16 : 1;
		t->slot[i] = g->slot;
	}
}

bool in_family(const struct tr *t)
{
	return t->slot[t->i] != 0;
}

/* r11 = the entry of the family's page, which hot.looked gets, too. */
static void look_up(struct tr *t, struct tguard *g, const struct insn *in)
{
	struct emit *e = &t->e;
	u8 *cross;
	struct side *s;
	struct ea ea;
	emit_ea(t, in, &ea);
	e_lea(e, H_R11, H_R10, NOREG, 0, g->len - 1, 8);
	e8(e, 0x4d); /* xor r11, r10 */
	e8(e, 0x31);
	e8(e, 0xd3);
	e8(e, 0x49); /* shr r11, 12 */
	e8(e, 0xc1);
	e8(e, 0xeb);
	e8(e, 12);
	cross = e_jcc_fwd(e, 5);
	e_page_number(e);
	e_gs_load(e, H_R10, g->write ? G(hot.wt) : G(hot.rt));
	e_load(e, 8, H_R11, H_R10, H_R11, 3, 0);
	e_test_imm8(e, H_R11, 1);
	s = side_new(t);
	s->kind = SIDE_FAMILY;
	s->from = e_jcc_fwd(e, 4);
	s->also[0] = cross;
	s->back = e->p;
	s->ti = g->ti;
	s->guard = g;
	s->ea = ea;
	e_gs_store(e, H_R11, g->slot);
	t->r11_holds = g->slot;
}

/* Before the first operand of a family. Leaves what the operand needs of r10 and r11. */
void slot_guard(struct tr *t, bool live)
{
	struct tguard *g = t->slot_guard[t->i];
	struct emit *e = &t->e;
	struct insn in = *insn_now(t);
	struct side *s;
	struct ea ea;
	bool fixed = fixed_address(&in);
	in.asz = 8;
	in.disp -= g->own;
	flags_away(t, live);
	if (t->looked) {
		look_up(t, g, &in);
		return;
	}
	if (fixed)
		ea = (struct ea){
			.kind = EA_AGAIN, .base = 16, .index = 16, .size = 8, .disp = in.disp};
	if (fixed && in.disp == (s32)in.disp) {
		e8(e, 0x65); /* cmp qword gs:[slot], imm32 */
		e8(e, 0x48);
		e8(e, 0x81);
		e_mem(e, 7, NOREG, NOREG, 0, (s32)g->slot);
		e32(e, (u32)in.disp & ~0xfffu);
	} else if (fixed) {
		e_mov_imm(e, H_R10, (u64)in.disp & ~0xfffull);
		e_gs(e, true, 0x3b, H_R10, g->slot); /* cmp */
	} else {
		emit_ea(t, &in, &ea);
		e_gs(e, true, 0x2b, H_R10, g->slot); /* sub */
		e8(e, 0x49);			     /* cmp r10, imm32 */
		e8(e, 0x81);
		e8(e, 0xfa);
		e32(e, RAM_PAGE - g->len);
	}
	s = side_new(t);
	s->kind = SIDE_SLOT;
	s->from = e_jcc_fwd(e, fixed ? 5 : 7);
	s->back = e->p;
	s->ti = g->ti;
	s->guard = g;
	s->ea = ea;
}

/* r10 or r11 has the slot's addend: which. Both remember what they have, so that two families that
 * take turns need no loads. */
static unsigned addend(struct tr *t, u32 slot, bool r11)
{
	u32 at = t->looked ? slot : slot + (u32)offsetof(struct page_slot, add);
	if (t->r10_holds == slot)
		return H_R10;
	if (r11 && t->r11_holds == slot)
		return H_R11;
	if (r11 && t->r10_holds && !t->r11_holds) {
		e_gs_load(&t->e, H_R11, at);
		t->r11_holds = slot;
		return H_R11;
	}
	e_gs_load(&t->e, H_R10, at);
	t->r10_holds = slot;
	return H_R10;
}

/* The operand as host registers; r10 (or r11, if it may) is one of them. Leaves the flags. */
struct place slot_operand(struct tr *t, const struct insn *in, bool r11)
{
	struct emit *e = &t->e;
	unsigned b = in->base / 8u, x = in->index / 8u, add, r;
	bool segment = in->seg == S_FS || in->seg == S_GS;
	struct place p = {
		.base = H_R10, .index = NOREG, .disp = (s32)(in->disp - (t->looked ? 1 : 0))};
	u32 slot = t->slot[t->i];
	/* more than one register beside the addend: it is added to */
	bool sum =
		segment || (x < 16 && (home[x] == NOREG || b < 16)) || (b < 16 && home[b] == NOREG);
	if (fixed_address(in) && !t->looked) {
		t->r10_holds = 0;
		e_gs_load(e, H_R10, slot + (u32)offsetof(struct page_slot, host));
		p.disp = (s32)(in->disp & 0xfff);
		return p;
	}
	add = addend(t, slot, r11 && !sum);
	if (sum)
		forget_addends(t);
	if (segment) {
		e_gs_load(e, H_R11, (u32)(G(cpu.seg_base) + in->seg * 8u));
		e_lea(e, H_R10, H_R10, H_R11, 0, 0, 8);
	}
	p.base = (u8)add;
	r = reg_in_host(e, x, H_R11);
	if (r == H_R11)
		e_lea(e, H_R10, H_R10, H_R11, in->scale, 0, 8);
	else if (r != NOREG) {
		p.index = (u8)r;
		p.scale = in->scale;
	}
	r = reg_in_host(e, b, H_R11);
	if (r == NOREG)
		return p;
	if (r == H_R11 || p.index != NOREG) {
		e_lea(e, H_R10, H_R10, r, 0, 0, 8);
		return p;
	}
	p.base = (u8)r;
	p.index = (u8)add;
	return p;
}
