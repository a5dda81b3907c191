/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_simd: every MMX, SSE and AVX form of the table, interpreted and on the host, with the same
 * registers and memory: all registers, flags, MXCSR, x87 tags and memory must come out the same.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "cpu/flags.h"
#include "cpu/fpu.h"
#include "cpu/mem.h"
#include "simd_native.h"

#define MEM_SIZE 4096u
#define ROUNDS	 60u

static u8 *memory; /* under 4 GiB: linear = physical without paging */
static struct cpu cpu;
static u64 seed = 88172645463325252ull;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

/* --- an encoding of a form --- */

struct sample {
	const struct insn_form *f;
	bool mem, unmask;
	unsigned l, w, reg, rm, v;
	u8 code[16];
	unsigned len;
};

static bool has(const struct insn_form *f, unsigned kind)
{
	for (unsigned i = 0; i < f->operands; i++)
		if (f->op[i].kind == kind)
			return true;
	return false;
}

static unsigned pick_bit(unsigned mask)
{
	unsigned i;
	do
		i = rnd() & 7;
	while (!(mask >> i & 1));
	return i;
}

static unsigned pick_reg(bool gpr, bool mmx)
{
	unsigned n = (unsigned)rnd() & (mmx ? 7 : 15);
	return gpr && n == R_RSP ? R_RAX : n;
}

static void emit(struct sample *s, unsigned b)
{
	s->code[s->len++] = (u8)b;
}

static void encode(struct sample *s)
{
	static const u8 pp_byte[] = {0, 0x66, 0xf3, 0xf2};
	const struct insn_form *f = s->f;
	unsigned map = f->map & 3u, pp = pick_bit(f->pfx_mask), vsib = f->attr & IA_VSIB;
	/* memory: [rsi], or [rsi + v*scale] for VSIB with index register rm */
	unsigned b = !s->mem && s->rm > 7, x = vsib && s->rm > 7, r = s->reg > 7;
	bool wants_reg = f->reg_mask == 0xff;

	s->len = 0;
	if (f->map >= 4) {
		map = f->map - 3u;
		emit(s, 0xc4);
		emit(s, (r && wants_reg ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | map);
		emit(s, s->w << 7 | (~s->v & 15) << 3 | s->l << 2 | pp);
	} else {
		if (pp)
			emit(s, pp_byte[pp]);
		if (s->w || (r && wants_reg) || b)
			emit(s, 0x40 | s->w << 3 | (r && wants_reg) << 2 | b);
		emit(s, 0x0f);
		if (map > 1)
			emit(s, map == 2 ? 0x38 : 0x3a);
	}
	emit(s, f->opcode);
	if (f->attr & IA_MODRM) {
		unsigned reg = wants_reg ? s->reg & 7 : pick_bit(f->reg_mask);
		emit(s, (s->mem ? 0 : 0xc0) | reg << 3 | (vsib ? 4 : s->mem ? 6 : s->rm & 7));
		if (vsib)
			emit(s, 2u << 6 | (s->rm & 7) << 3 | 6);
	}
	if (f->imm == IMM_B || f->imm == IMM_IS4)
		emit(s, (unsigned)rnd());
}

static void choose(struct sample *s, unsigned i)
{
	const struct insn_form *f = s->f;
	bool gv = has(f, OP_G), ge = has(f, OP_E) || has(f, OP_R);

	s->mem = f->attr & IA_MODRM && (f->mod_mask == 1 || (f->mod_mask == 3 && (i & 1)));
	s->l = f->map >= 4 ? (f->l_mask == 3 ? i >> 1 & 1 : f->l_mask >> 1) : 0;
	s->w = f->w_mask == 3 ? i >> 2 & 1 : f->w_mask >> 1;
	s->reg = pick_reg(gv, has(f, OP_P));
	s->rm = pick_reg(ge, has(f, OP_Q) || has(f, OP_N));
	s->v = has(f, OP_H) ? (unsigned)rnd() & 15 : 0;
	if (f->attr & IA_VSIB) {
		s->reg &= ~3u;
		s->v = (s->v & ~3u) | 1;
		s->rm = (s->rm & ~3u) | 2;
	}
	encode(s);
}

/* --- state --- */

static u64 lane(void)
{
	static const u64 special[] = {0,
				      0x8000000000000000ull,
				      0x7ff0000000000000ull,
				      0x7f800000ff800000ull,
				      0x7ff8000000000001ull,
				      0x7ff0000000000001ull,
				      0x7f8000017fc00000ull,
				      0x3ff0000000000000ull,
				      0x3f80000040000000ull,
				      0x0000000000000001ull,
				      0xffffffffffffffffull,
				      0x000fffff007fffffull};
	u64 v = rnd();
	switch (rnd() & 7) {
	case 0: return special[rnd() % ARRAY_LEN(special)];
	case 1: /* doubles near 1 */
		return (v & 0x800fffffffffffffull) | (0x3f0 + (v >> 52 & 31)) << 52;
	case 2: /* floats near 1 */ return (v & 0x807fffff807fffffull) | 0x3f0000003f000000ull;
	case 3: return v & 0x000000ff000000ffull;
	default: return v;
	}
}

static void fill_state(struct native_state *st, const struct sample *s)
{
	u32 mxcsr = 0x1f80 | (rnd() & 0xe040);
	unsigned i, j;

	for (i = 0; i < 16; i++) {
		st->gpr[i] = rnd() & 1 ? rnd() : rnd() & 31;
		for (j = 0; j < 4; j++)
			((u64 *)(void *)st->ymm[i])[j] = lane();
	}
	st->gpr[R_RSI] = (u64)memory + 1024 + (rnd() & 3 ? 0 : rnd() & 31);
	st->gpr[R_RDI] = (u64)memory + 2048 + (rnd() & 15);
	if (s->f->attr & IA_VSIB) {
		bool q = strstr(s->f->name, "gatherq") != NULL;
		for (j = 0; j < 4; j++)
			((u64 *)(void *)st->ymm[s->rm])[j] =
				q ? rnd() & 255 : rnd() & 0xff000000ffull;
		if (q && !(rnd() & 3)) /* an element that faults: not canonical */
			((u64 *)(void *)st->ymm[s->rm])[rnd() & 3] = BIT64(60);
	}
	for (i = 0; i < MEM_SIZE / 8; i++)
		((u64 *)(void *)memory)[i] = lane();
	st->flags = 0x202 | (rnd() & 0x8d5);
	memset(st->fx, 0, sizeof(st->fx));
	st16(st->fx, 0x37f);
	st16(st->fx + 2, (u16)(rnd() & 0x3800)); /* TOP */
	st->fx[4] = (u8)rnd();
	if (s->unmask)
		mxcsr &= ~(u32)(rnd() & 0x1f80);
	st32(st->fx + 24, mxcsr);
	if (s->unmask && !(rnd() & 7)) { /* pending x87 exception */
		st16(st->fx, 0x37e);
		st16(st->fx + 2, 0x8081);
	}
	for (i = 0; i < 8; i++) {
		st64(st->fx + 32 + 16 * i, lane());
		st16(st->fx + 40 + 16 * i, (u16)rnd());
	}
}

/* --- the interpreter --- */

static u8 *identity_page(struct cpu *c, gpa_t page, unsigned *flags)
{
	(void)c;
	if (flags)
		*flags = PAGE_WRITABLE;
	return page == (u64)memory ? memory : NULL;
}

static void no_slow_write(struct cpu *c, gpa_t gpa, unsigned size)
{
	(void)c, (void)gpa, (void)size;
}

static void interpret(struct native_state *st, const struct sample *s)
{
	struct cpu *c = &cpu;
	static const struct cpu_ops ops = {.page = identity_page, .slow_write = no_slow_write};
	struct insn in;
	unsigned i, size;

	memset(c, 0, sizeof(*c));
	c->view = &c->views[0];
	for (i = 0; i < TLB_ENTRIES; i++)
		c->view->e[i].r = c->view->e[i].w = TLB_NONE;
	c->ops = &ops;
	i = (unsigned)((u64)memory >> 12) & (TLB_ENTRIES - 1);
	if (rnd() & 3) /* else the slow paths */
		c->view->e[i].r = c->view->e[i].w = (u64)memory >> 12;
	c->mode = MODE_64 | MODE_PE | MODE_LMA | MODE_OSFXSR | MODE_AVX | MODE_OSXSAVE | 3;
	c->s.cr0 = CR0_PE | CR0_NE;
	c->s.cr4 = CR4_OSXMMEXCPT;
	c->cur = &in;
	memcpy(c->r, st->gpr, sizeof(st->gpr));
	memcpy(c->s.ymm, st->ymm, sizeof(st->ymm));
	fl_set_status(c, st->flags);
	c->s.fpu.fcw = ld16(st->fx);
	c->s.fpu.fsw = ld16(st->fx + 2);
	c->s.fpu.ftw = st->fx[4];
	c->s.fpu.mxcsr = ld32(st->fx + 24);
	memcpy(c->s.fpu.st, st->fx + 32, sizeof(c->s.fpu.st));
	assert_int_equal(insn_decode(&in, s->code, s->len, 0x1000, c->mode, ~0ull), INSN_OK);
	assert_string_equal(insn_forms[in.form].name, s->f->name);
	assert_int_equal(in.len, s->len);
	size = in.osz == 8 ? 3 : in.osz == 4 ? 2 : in.osz == 2;
	fpu_load(c);
	st->fault = 0;
	if (!__builtin_setjmp(c->jb))
		insn_forms[in.form].body->f[size * 2 + s->mem](c, &in);
	else
		st->fault = c->exc.vector;
	fpu_store(c);
	memcpy(st->gpr, c->r, sizeof(st->gpr));
	memcpy(st->ymm, c->s.ymm, sizeof(st->ymm));
	st->flags = fl_status(c) | (st->flags & ~0x8d5ull);
	st16(st->fx + 2, c->s.fpu.fsw);
	st->fx[4] = c->s.fpu.ftw;
	st32(st->fx + 24, c->s.fpu.mxcsr);
	memcpy(st->fx + 32, c->s.fpu.st, sizeof(c->s.fpu.st));
}

/* --- comparison --- */

static void dump(const char *what, const void *a, const void *b, unsigned n)
{
	const u8 *x = a, *y = b;
	printf("  %s\n   host ", what);
	for (unsigned i = n; i--;)
		printf("%02x%s", x[i], i & 7 ? "" : " ");
	printf("\n   holm ");
	for (unsigned i = n; i--;)
		printf("%02x%s", y[i], i & 7 ? "" : " ");
	printf("\n");
}

/* What Linux makes of an exception. */
static u64 signal_of(u64 vector)
{
	switch (vector) {
	case 0: return 0;
	case EXC_MF:
	case EXC_XM: return SIGFPE;
	case EXC_UD: return SIGILL;
	default: return SIGSEGV;
	}
}

static bool same(const struct native_state *a, const struct native_state *b, const u8 *ma,
		 const u8 *mb)
{
	bool ok = true;
	u64 flags = 0x8d5;
	char what[16];

#define CHECK(name, x, y, n)                                                                       \
	do {                                                                                       \
		if (memcmp(x, y, n)) {                                                             \
			dump(name, x, y, n);                                                       \
			ok = false;                                                                \
		}                                                                                  \
	} while (0)
	for (unsigned i = 0; i < 16; i++) {
		snprintf(what, sizeof(what), "r%u", i);
		if (i != R_RSP)
			CHECK(what, &a->gpr[i], &b->gpr[i], 8);
		snprintf(what, sizeof(what), "ymm%u", i);
		CHECK(what, a->ymm[i], b->ymm[i], 32);
	}
	if ((a->flags ^ b->flags) & flags)
		CHECK("flags", &a->flags, &b->flags, 8);
	CHECK("fsw", a->fx + 2, b->fx + 2, 2);
	CHECK("ftw", a->fx + 4, b->fx + 4, 1);
	CHECK("mxcsr", a->fx + 24, b->fx + 24, 4);
	for (unsigned i = 0; i < 8; i++)
		CHECK("st", a->fx + 32 + 16 * i, b->fx + 32 + 16 * i, 10);
	if (a->fault != signal_of(b->fault)) {
		printf("  fault host signal %u, holm vector %u\n", (unsigned)a->fault,
		       (unsigned)b->fault);
		ok = false;
	}
	if (memcmp(ma, mb, MEM_SIZE)) {
		for (unsigned i = 0; i < MEM_SIZE; i += 32)
			CHECK("memory", ma + i, mb + i, 32);
		ok = false;
	}
	return ok;
}

static bool compare_once(struct sample *s)
{
	static u8 before[MEM_SIZE], host_mem[MEM_SIZE];
	static struct native_state st, host, holm;

	fill_state(&st, s);
	memcpy(before, memory, MEM_SIZE);
	host = st;
	native_run(&host, s->code, s->len);
	memcpy(host_mem, memory, MEM_SIZE);
	memcpy(memory, before, MEM_SIZE);
	holm = st;
	interpret(&holm, s);
	if (same(&host, &holm, host_mem, memory))
		return true;
	printf("%s%s:", s->f->name, s->mem ? " mem" : "");
	for (unsigned i = 0; i < s->len; i++)
		printf(" %02x", s->code[i]);
	printf("\n");
	return false;
}

static bool ours(const struct insn_form *f)
{
	if (f->state != IST_MMX && f->state != IST_SSE && f->state != IST_AVX)
		return false;
	return !strstr(f->name, "mxcsr") && !strstr(f->name, "fx");
}

static void every_form(bool unmask)
{
	unsigned failed = 0, forms = 0;

	memory = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	native_open(fpu_fixup); /* cmocka sets its own handlers around a test */
	for (unsigned n = 0; n < insn_form_count; n++) {
		struct sample s = {.f = &insn_forms[n], .unmask = unmask};
		if (!ours(s.f))
			continue;
		forms++;
		for (unsigned i = 0; i < ROUNDS; i++) {
			choose(&s, i);
			if (!compare_once(&s)) {
				failed++;
				break;
			}
		}
	}
	print_message("%u forms\n", forms);
	assert_int_equal(failed, 0);
}

static void masked(void **state)
{
	(void)state;
	every_form(false);
}

static void unmasked(void **state)
{
	(void)state;
	every_form(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(masked),
		cmocka_unit_test(unmasked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
