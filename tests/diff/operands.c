/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operands: where memory operands lie, and what the registers must hold to reach them.
 *
 * Most lie in the sandbox: aligned, unaligned, across pages, into the read-only page and into the
 * holes; some at addresses no process has: low, beyond the canonical range, the top of the
 * kernel's. Nothing else may be reached: the host has more mapped than the interpreter.
 */
#include "gen.h"
#include "spec/x86.h"

#define DISP_MAX 0x7fffffffu

/* --- places --- */

static u64 place_edge(struct gen *g, unsigned n)
{
	static const u32 edge[] = {BOX_DATA + 0x1000, BOX_DATA + 0x2000, BOX_RO, BOX_DATA,
				   BOX_DATA + BOX_DATA_SIZE};
	unsigned i = rng_below(&g->r, 8);

	return edge[i < 5 ? i : i & 1] - rng_below(&g->r, n + 2);
}

static u64 place_outside(struct gen *g, unsigned n, bool wide)
{
	switch (rng_below(&g->r, wide ? 6 : 3)) {
	case 0: /* low: never mapped */ return 0x800 + rng_below(&g->r, 0xe000);
	case 1:
		if (g->k->mode == DM_32 && rng_one_in(&g->r, 2)) /* the last bytes below 4 GiB */
			return 0x100000000ull - 1 - rng_below(&g->r, n + 2);
		return BOX_DATA + BOX_DATA_SIZE + rng_below(&g->r, 0x1000);
	case 2: return BOX_CODE + rng_below(&g->r, BOX_CODE_SIZE - 64); /* readable, not writable */
	case 3:								/* not canonical */
		return (rng_next(&g->r) & 0xffff7fffffffffffull) | 0x4000800000000000ull;
	case 4: /* across the edge of the canonical range */
		return 0x0000800000000000ull - rng_below(&g->r, n + 1);
	default: /* the top, and across it to 0 */ return (u64)0 - 1 - rng_below(&g->r, 0x800);
	}
}

static u64 place(struct gen *g, unsigned n, unsigned align, bool wide)
{
	unsigned kind = rng_below(&g->r, 100);
	u64 at = BOX_DATA + rng_below(&g->r, 0x3000 - 1024);

	if (kind < 12)
		return place_edge(g, n);
	if (kind < 17)
		return place_outside(g, n, wide);
	if (align > 1 ? kind < 95 : kind < 50)
		return round_up64(at, align > 1 ? align : 64);
	return at;
}

/* No host mapping of the child's can be there. */
static bool reachable_only_here(u64 la)
{
	return la - (BOX_BASE - 0x1000) < 0x40000 || la - 0xfffff000ull < 0x1000 ||
	       la < 0x10000 - 0x400 || la >= 0xffffffffffe00000ull ||
	       (la >= 0x00007ffffffff000ull && la < 0xffff800000000000ull);
}

/* --- sizes --- */

static unsigned width_bytes(unsigned width, const struct insn *in)
{
	switch (width) {
	case OPW_V:
	case OPW_Y: return in->osz;
	case OPW_Z: return in->osz == 2 ? 2 : 4;
	case OPW_X: return in->vl;
	case OPW_H: return in->vl / 2u;
	case OPW_QTR: return in->vl / 4u;
	case OPW_EIGHTH: return in->vl / 8u;
	case OPW_P: return in->osz + 2u;
	case OPW_A: return in->osz * 2u;
	case OPW_S: return 10;
	case OPW_0: return 512;
	default: return width;
	}
}

unsigned gen_mem_size(const struct insn_form *f, const struct insn *in)
{
	if (!strncmp(f->name, "xsave", 5) || !strncmp(f->name, "xrstor", 6))
		return 832;
	for (unsigned i = 0; i < f->operands; i++)
		switch (f->op[i].kind) {
		case OP_E:
		case OP_M:
		case OP_W:
		case OP_Q:
		case OP_O:
		case OP_VM:
		case OP_X:
		case OP_Y: return width_bytes(f->op[i].width, in);
		default: break;
		}
	return in->osz;
}

static unsigned alignment(const struct insn_form *f, unsigned n)
{
	if (f->attr & IA_ALIGN)
		return n;
	return n == 832 ? 64 : n == 512 ? 16 : 1;
}

/* --- registers --- */

static u64 *reg_at(struct gen *g, unsigned off)
{
	return &g->k->r.gpr[off / 8];
}

static u64 segment_base(const struct gen *g, unsigned seg)
{
	if (g->k->mode != DM_64)
		return 0;
	return seg == S_FS ? g->k->r.fs_base : seg == S_GS ? g->k->r.gs_base : 0;
}

static u64 ea_of(const struct gen *g)
{
	const u64 *r = g->k->r.gpr;
	u64 base = g->in.base == REG_OFF_ZERO ? 0 : r[g->in.base / 8];
	u64 index = g->in.index == REG_OFF_ZERO ? 0 : r[g->in.index / 8];
	u64 ea = base + (index << g->in.scale) + (u64)g->in.disp;

	return g->in.asz == 8 ? ea : g->in.asz == 4 ? (u32)ea : (u16)ea;
}

static void patch_disp(struct gen *g, u64 by)
{
	u8 *p = g->k->code + g->disp_at;

	if (g->disp_len == 8)
		st64(p, ld64(p) + by);
	else if (g->disp_len == 4)
		st32(p, ld32(p) + (u32)by);
	else if (g->disp_len == 2)
		st16(p, (u16)(ld16(p) + by));
	soft_decode(g->soft, g->k, &g->in);
}

/* Makes the effective address `ea`, as nearly as the addressing form allows. */
static void reach(struct gen *g, u64 ea)
{
	const struct insn *in = &g->in;
	bool base = in->base != REG_OFF_ZERO, index = in->index != REG_OFF_ZERO;
	u64 upper = in->asz == 8 ? 0 : rng_next(&g->r) << (in->asz * 8), want;

	if (g->k->mode == DM_32)
		upper = (u32)upper;
	if (g->f->attr & IA_VSIB)
		index = false;
	if (base && index && in->base == in->index) {
		*reg_at(g, in->base) = (ea - (u64)in->disp) / (1 + BIT64(in->scale));
	} else if (base) {
		if (index && (rng_next(&g->r) & 1)) /* keep the sum easy to reach for 32 bits */
			*reg_at(g, in->index) = rng_below(&g->r, 256);
		want = ea - (u64)in->disp - (index ? *reg_at(g, in->index) << in->scale : 0);
		*reg_at(g, in->base) = in->asz == 8 ? want : (want & mask64(in->asz * 8)) | upper;
	} else if (index) {
		want = (ea - (u64)in->disp);
		if (in->asz != 8)
			want &= mask64(in->asz * 8);
		*reg_at(g, in->index) = want >> in->scale;
	} else {
		patch_disp(g, ea - ea_of(g));
	}
	if (g->k->mode == DM_32)
		for (unsigned i = 0; i < 16; i++)
			g->k->r.gpr[i] = (u32)g->k->r.gpr[i];
}

/* --- memory contents --- */

static void clip(u32 *at, u32 *len, u64 want, u32 n)
{
	u64 from = max_u64(want, BOX_DATA), to = min_u64(want + n, BOX_RO);

	*len = want + n > want && from < to ? (u32)(to - from) : 0;
	*at = *len ? (u32)from : BOX_DATA;
}

static void patch_a(struct gen *g, u64 at, u32 n)
{
	clip(&g->k->at_a, &g->k->len_a, at, n);
	if (g->k->len_a && at < BOX_DATA)
		memmove(g->k->a, g->k->a + (BOX_DATA - at), g->k->len_a);
}

static void patch_b(struct gen *g, u64 at, u32 n)
{
	clip(&g->k->at_b, &g->k->len_b, at, n);
	if (g->k->len_b && at < BOX_DATA)
		memmove(g->k->b, g->k->b + (BOX_DATA - at), g->k->len_b);
}

static bool named(const struct gen *g, const char *name)
{
	return !strcmp(g->f->name, name);
}

static void put_control(struct gen *g, u8 *p, bool env32)
{
	struct diff_regs *r = &g->k->r;
	unsigned step = env32 ? 4 : 2;

	memset(p, 0xff, step * 3);
	st16(p, rng_one_in(&g->r, 8) ? (u16)rng_next(&g->r) : r->fcw);
	st16(p + step, (u16)(rng_next(&g->r) & 0x7f7f));
	st16(p + step * 2, (u16)rng_next(&g->r));
}

static void put_area(struct gen *g, u8 *p)
{
	u64 bv = rng_next(&g->r) & 7, comp = 0;

	st16(p, rng_one_in(&g->r, 4) ? 0x37f : (u16)(0x7f | (rng_next(&g->r) & 0xf00)));
	st16(p + 2, (u16)(rng_next(&g->r) & 0x7f00));
	st16(p + 4, (u8)rng_next(&g->r));
	st16(p + 6, (u16)(rng_next(&g->r) & 0x7ff));
	st64(p + 8, rng_next(&g->r) >> 17);
	st64(p + 16, rng_next(&g->r) >> 17);
	st32(p + 24, 0x1f80 | (rng_next(&g->r) & 0xe03f));
	if (rng_one_in(&g->r, 20))
		st32(p + 24, BIT(16 + rng_below(&g->r, 16)) & ~BIT(17));
	for (unsigned i = 0; i < 8; i++) {
		rng_f80(&g->r, p + 32 + i * 16);
		memset(p + 32 + i * 16 + 10, 0, 6);
	}
	memset(p + 512, 0, 64);
	if (rng_one_in(&g->r, 12))
		bv |= BIT64(63);
	if (rng_one_in(&g->r, 3))
		comp = BIT64(63) | bv | (rng_next(&g->r) & 7);
	st64(p + 512, bv);
	st64(p + 520, comp);
	if (rng_one_in(&g->r, 24))
		p[528 + rng_below(&g->r, 48)] = 1;
}

static void fill_operand(struct gen *g, u64 ea, unsigned n)
{
	u8 *p = g->k->a;

	for (unsigned i = 0; i < PATCH_A && i < n + 64; i += 64)
		rng_vector(&g->r, p + i, 64);
	if (n >= 512) {
		put_area(g, p);
	} else if (g->f->state == IST_X87) {
		if (named(g, "fldenv") || named(g, "frstor"))
			put_control(g, p, g->in.osz != 2);
		else if (n == 10)
			rng_f80(&g->r, p);
		else if (n == 2 || (g->f->name[1] == 'i' && rng_one_in(&g->r, 2)))
			st64(p, rng_int(&g->r));
	} else if (g->f->state == IST_INT || (n <= 8 && rng_one_in(&g->r, 4))) {
		st64(p, rng_int(&g->r));
		st64(p + 8, rng_int(&g->r));
	}
	if (named(g, "ldmxcsr") || named(g, "vldmxcsr"))
		st32(p, (u32)rng_next(&g->r) & (rng_one_in(&g->r, 8) ? ~BIT(17) : 0xffff));
	patch_a(g, ea, (u32)min_u64(n < 16 ? 16 : n, PATCH_A));
}

/* --- places to jump to --- */

static bool overlaps_code(const struct gen *g, u64 to)
{
	return to - (g->k->r.rip - 1) <= g->k->code_len;
}

static u64 jump_target(struct gen *g)
{
	unsigned kind = rng_below(&g->r, 20);
	u64 to;

	do {
		to = BOX_CODE + rng_below(&g->r, BOX_CODE_SIZE);
		if (kind == 0)
			to += BOX_CODE_SIZE;
		else if (kind == 1)
			to = BOX_DATA + rng_below(&g->r, BOX_DATA_SIZE);
		else if (kind == 2)
			to = place_outside(g, 1, g->k->mode == DM_64 && rng_one_in(&g->r, 2));
	} while (overlaps_code(g, to));
	return to;
}

static void patch_relative(struct gen *g)
{
	u8 *p = g->k->code + g->k->code_len;
	u64 next = g->k->r.rip + g->k->code_len;

	if (g->f->imm == IMM_JB) {
		do
			p[-1] = (u8)rng_next(&g->r);
		while (overlaps_code(g, next + (u64)(s64)(s8)p[-1]));
	} else if (g->in.osz == 2) {
		st16(p - 2, (u16)rng_int(&g->r));
	} else {
		u64 to = jump_target(g), by = to - next;
		if ((u64)(s64)(s32)by != by && g->k->mode == DM_64)
			by = BOX_CODE + BOX_CODE_SIZE - next;
		st32(p - 4, (u32)by);
	}
	soft_decode(g->soft, g->k, &g->in);
}

/* --- implicit operands --- */

static void stack(struct gen *g)
{
	u64 *rsp = &g->k->r.gpr[R_RSP], *rbp = &g->k->r.gpr[R_RBP];
	bool wide = g->k->mode == DM_64;

	*rsp = rng_one_in(&g->r, 12) ? place(g, 8, 8, wide)
				     : BOX_DATA + 0x1800 + rng_below(&g->r, 64) * 8;
	if (rng_one_in(&g->r, 8))
		*rsp += rng_below(&g->r, 8);
	if (!wide)
		*rsp = (u32)*rsp;
	*rbp = rng_one_in(&g->r, 2) ? *rsp + rng_below(&g->r, 256) : place(g, 8, 8, wide);
}

static void wrap_reg(struct gen *g, unsigned reg, u64 v)
{
	u64 m = mask64(g->in.asz * 8);

	g->k->r.gpr[reg] =
		(v & m) | (rng_next(&g->r) & ~m & (g->k->mode == DM_64 ? ~0ull : 0xffffffff));
}

static bool string_operands(struct gen *g)
{
	unsigned n = gen_mem_size(g->f, &g->in);
	bool wide = g->k->mode == DM_64 && g->in.asz == 8;
	u64 a = place(g, n, 1, wide), b = place(g, n, 1, wide), count;

	if (g->in.asz == 2)
		a &= 0x7fff, b &= 0x7fff;
	if (rng_one_in(&g->r, 4))
		b = a + rng_below(&g->r, 64) - 32;
	count = rng_one_in(&g->r, 20) ? rng_next(&g->r) & 0x3fff : rng_below(&g->r, 40);
	rng_vector(&g->r, g->k->a, 64);
	rng_vector(&g->r, g->k->b, 64);
	if (rng_one_in(&g->r, 2))
		memcpy(g->k->b, g->k->a, rng_below(&g->r, 65));
	patch_a(g, a, 64);
	patch_b(g, b, 64);
	if (rng_one_in(&g->r, 3))
		memcpy(&g->k->r.gpr[R_RAX], g->k->b, 8);
	if (g->k->mode != DM_64)
		g->k->r.gpr[R_RAX] = (u32)g->k->r.gpr[R_RAX];
	wrap_reg(g, R_RSI, a - segment_base(g, g->in.seg));
	wrap_reg(g, R_RDI, b);
	wrap_reg(g, R_RCX, count);
	return true;
}

/* One register and no ModRM: XLAT and MASKMOV. */
static void implicit_base(struct gen *g, unsigned reg, unsigned n)
{
	bool wide = g->k->mode == DM_64 && g->in.asz == 8;
	u64 at = place(g, n, 1, wide);

	wrap_reg(g, reg, at - segment_base(g, g->in.seg));
	if (reg == R_RBX)
		g->k->r.gpr[R_RAX] &= ~0x80ull;
}

static void divide(struct gen *g)
{
	u64 *r = g->k->r.gpr;

	switch (rng_below(&g->r, 4)) {
	case 0: r[R_RDX] = 0; break;
	case 1: r[R_RDX] = (u64)((s64)r[R_RAX] >> 63); break;
	case 2: r[R_RDX] = rng_next(&g->r) & 0xff; break;
	default: break;
	}
	if (g->in.osz == 1 && rng_one_in(&g->r, 2))
		r[R_RAX] &= 0x1ff;
	if (g->k->mode != DM_64)
		r[R_RDX] = (u32)r[R_RDX];
}

static bool is_bit_offset(const struct gen *g)
{
	return g->f->map == 1 && (g->f->opcode == 0xa3 || g->f->opcode == 0xab ||
				  g->f->opcode == 0xb3 || g->f->opcode == 0xbb);
}

static void compare_equal(struct gen *g)
{
	u64 *r = g->k->r.gpr;

	if (rng_one_in(&g->r, 2))
		return;
	r[R_RAX] = ld64(g->k->a);
	if (named(g, "cmpxchg8b")) {
		r[R_RAX] = ld32(g->k->a);
		r[R_RDX] = ld32(g->k->a + 4);
	} else if (named(g, "cmpxchg16b")) {
		r[R_RDX] = ld64(g->k->a + 8);
	}
	if (g->k->mode != DM_64)
		r[R_RAX] = (u32)r[R_RAX];
}

static void gather(struct gen *g, u64 base)
{
	bool quad = g->f->opcode & 1;
	u8 *index = g->k->r.ymm[g->in.index / 8], *mask = g->k->r.ymm[g->in.vvvv];
	unsigned step = quad ? 8 : 4;

	for (unsigned i = 0; i < 32; i += step) {
		u64 at = rng_one_in(&g->r, 24) ? place_edge(g, 8)
					       : BOX_DATA + rng_below(&g->r, 0x3f00);
		u64 v = (u64)((s64)(at - base) >> g->in.scale);
		st_size(index + i, step, v);
	}
	for (unsigned i = 0; i < 32; i += 4)
		if (rng_next(&g->r) & 1)
			mask[i + 3] ^= 0x80;
}

/* --- all of it --- */

static void branch_value(struct gen *g)
{
	u64 to = jump_target(g);

	if (named(g, "ret")) {
		memset(g->k->b, 0, PATCH_B);
		st64(g->k->b, to);
		patch_b(g, g->k->r.gpr[R_RSP], 8);
	} else if (g->in.pfx & PFX_MEM) {
		st64(g->k->a, to);
		patch_a(g, ea_of(g) + segment_base(g, g->in.seg), 8);
	} else {
		*reg_at(g, g->in.ereg & 0xf8u) = to;
	}
}

static bool memory_operand(struct gen *g)
{
	unsigned n = gen_mem_size(g->f, &g->in);
	u64 seg = segment_base(g, g->in.seg), ea, la;
	u64 at = place(g, n, alignment(g->f, n), g->k->mode == DM_64 && g->in.asz == 8);

	if (g->in.asz == 2)
		at &= 0x7fff;
	else if (g->in.asz == 4)
		at = (u32)at;
	if (is_bit_offset(g)) {
		*reg_at(g, g->in.greg) = (u64)(s64)((s64)rng_below(&g->r, 2048) - 1024);
		if (g->k->mode != DM_64)
			*reg_at(g, g->in.greg) = (u32)*reg_at(g, g->in.greg);
	}
	reach(g, at - seg);
	ea = ea_of(g);
	la = ea + seg;
	if (g->f->attr & IA_VSIB)
		gather(g, la);
	else if (!reachable_only_here(la))
		return false;
	if (is_bit_offset(g)) {
		/* the base may be the offset register itself */
		s64 bits = (s64)*reg_at(g, g->in.greg);
		bits = g->in.osz == 2 ? (s16)bits : g->in.osz == 4 ? (s32)bits : bits;
		ea += (u64)((bits >> 3) & ~(s64)(g->in.osz - 1));
		if (g->in.asz != 8)
			ea &= mask64(g->in.asz * 8);
		if (!reachable_only_here(ea + seg))
			return false;
	}
	fill_operand(g, la, n);
	if (!strncmp(g->f->name, "cmpxchg", 7))
		compare_equal(g);
	return reachable_only_here(ea_of(g) + seg) || g->f->attr & IA_VSIB;
}

bool gen_operands(struct gen *g)
{
	const struct insn_form *f = g->f;

	stack(g);
	if (!g->decoded)
		return true;
	if (f->attr & IA_STRING)
		return string_operands(g);
	if (named(g, "xlat"))
		implicit_base(g, R_RBX, 1);
	if (strstr(f->name, "maskmovq") == f->name || strstr(f->name, "maskmovdqu"))
		implicit_base(g, R_RDI, 16);
	if (named(g, "div") || named(g, "idiv"))
		divide(g);
	if (named(g, "enter") && !rng_one_in(&g->r, 8)) {
		st16(g->k->code + g->k->code_len - 3, (u16)rng_below(&g->r, 0x700));
		g->k->code[g->k->code_len - 1] &= 0xe7;
	}
	if (named(g, "xgetbv"))
		g->k->r.gpr[R_RCX] = rng_below(&g->r, 8) < 6 ? rng_below(&g->r, 2) : rng_int(&g->r);
	if (!strncmp(f->name, "xsave", 5) || !strncmp(f->name, "xrstor", 6)) {
		g->k->r.gpr[R_RAX] = rng_next(&g->r) & 7;
		g->k->r.gpr[R_RDX] = 0;
	}
	if (named(g, "popf")) {
		/* the kernel does not reload ID and NT: they would stay for the next case */
		st64(g->k->b, rng_next(&g->r) & ~(u64)(FL_TF | FL_ID | FL_NT));
		patch_b(g, g->k->r.gpr[R_RSP], 8);
		if (g->k->len_b < 8) /* the pattern might have TF set */
			return false;
	}
	if (f->imm == IMM_MOFFS) {
		u64 at = place(g, g->in.osz, 1, g->in.asz == 8);
		u8 *p = g->k->code + g->k->code_len - g->in.asz;
		at -= segment_base(g, g->in.seg);
		st_size(p, g->in.asz, at);
		soft_decode(g->soft, g->k, &g->in);
		return reachable_only_here((u64)g->in.disp + segment_base(g, g->in.seg));
	}
	if (g->in.pfx & PFX_MEM && !memory_operand(g))
		return false;
	if (gen_mem_size(f, &g->in) == 832 && (g->k->r.gpr[R_RAX] & ~7u || g->k->r.gpr[R_RDX]))
		return false; /* components the host has and no model */
	if (f->imm == IMM_JB || f->imm == IMM_JZ)
		patch_relative(g);
	else if (f->attr & IA_F64 && f->attr & IA_END &&
		 (named(g, "ret") || named(g, "jmp") || named(g, "call")))
		branch_value(g);
	return true;
}
