/* SPDX-License-Identifier: Apache-2.0 */
/* An instruction re-encoded with other registers decodes to the same instruction with other
 * registers: for whatever random bytes decode to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/soft/trans/emit.h"
#include "engine/soft/trans/recode.h"
#include "engine/soft/trans/trans.h"
#include "lib/bits.h"

#define MODE32 (MODE_PE | MODE_CS32 | MODE_SS32 | MODE_OSFXSR | MODE_OSXSAVE | MODE_AVX | 3)
#define MODE   (MODE_64 | MODE_PE | MODE_LMA | MODE_OSFXSR | MODE_OSXSAVE | MODE_AVX | 3)

static u64 seed = 0x243f6a8885a308d3ull;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Bytes with a chance: prefixes, opcode maps and VEX more often than by luck. */
static void make(u8 *p)
{
	static const u8 prefix[] = {0x66, 0xf2, 0xf3, 0xf0, 0x64, 0x67};
	static const u8 map[] = {0x0f, 0x38, 0x3a};
	unsigned n = 0, r = (unsigned)rnd();
	for (unsigned i = 0; i < 16; i++)
		p[i] = (u8)rnd();
	while (r & 1 && n < 2) {
		p[n++] = prefix[rnd() % sizeof(prefix)];
		r >>= 1;
	}
	switch (r >> 4 & 7) {
	case 0: p[n++] = 0xc5; break;
	case 1:
		p[n++] = 0xc4;
		p[n] = (u8)((p[n] & 0xe0) | (1 + rnd() % 3));
		break;
	case 2:
	case 3: p[n++] = (u8)(0x40 | (rnd() & 15)); /* fall through */
	case 4:
	case 5:
		p[n++] = map[0];
		if (r & 0x1000)
			p[n++] = map[1 + (r >> 13 & 1)];
		break;
	case 6: p[n++] = (u8)(0x40 | (rnd() & 15)); break;
	default: break;
	}
}

/* A permutation of the registers, and an address. */
static void choose(struct recode *r)
{
	for (unsigned i = 0; i < 16; i++)
		r->host[i] = (u8)i;
	for (unsigned i = 15; i > 0; i--) {
		unsigned j = (unsigned)(rnd() % (i + 1));
		u8 t = r->host[i];
		r->host[i] = r->host[j];
		r->host[j] = t;
	}
	r->base = (u8)(rnd() & 15);
	r->index = (u8)(rnd() & 1 ? 16 : rnd() & 15);
	if (r->index == H_RSP) /* no index has its number */
		r->index = 16;
	r->disp = (s32)(rnd() & 3 ? (s8)rnd() : (s32)rnd());
	if (!(rnd() & 7))
		r->disp = 0;
}

static bool odd(u8 off)
{
	return off & 1;
}

static void compare(const struct insn *a, const struct insn *b, const struct recode *r)
{
	const struct insn_form *f = &insn_forms[a->form];
	assert_string_equal(f->name, insn_forms[b->form].name);
	assert_ptr_equal(f->body, insn_forms[b->form].body);
	/* in 32-bit code it is 4 for vectors of any size, and W may be ignored */
	if (f->state == IST_INT || (f->osz != OSZ_Q && !(a->pfx & PFX_W)))
		assert_int_equal(a->osz, b->osz);
	assert_int_equal(a->vl, b->vl);
	assert_int_equal(a->pfx & (PFX_LOCK | PFX_MEM | PFX_VEX),
			 b->pfx & (PFX_LOCK | PFX_MEM | PFX_VEX));
	if (f->imm != IMM_JB && f->imm != IMM_JZ)
		assert_true(a->imm == b->imm);
	if (a->pfx & PFX_MEM) {
		assert_int_equal(b->base, REG_OFF(r->base));
		assert_int_equal(b->index, r->index < 16 ? REG_OFF(r->index) : REG_OFF_ZERO);
		assert_true(b->disp == r->disp);
		assert_int_equal(b->segpfx, 0xff);
	}
	for (unsigned i = 0; i < f->operands; i++)
		switch ((enum insn_opk)f->op[i].kind) {
		case OP_G:
			if (!odd(a->greg) || f->op[i].width != 1)
				assert_int_equal(b->reg, r->host[a->reg]);
			else
				assert_int_equal(b->greg, a->greg);
			break;
		case OP_E:
		case OP_R:
		case OP_Z:
			if (a->pfx & PFX_MEM)
				break;
			if (!odd(a->ereg) || f->op[i].width != 1)
				assert_int_equal(b->rm, r->host[a->rm]);
			else
				assert_int_equal(b->ereg, a->ereg);
			break;
		case OP_VREG: assert_int_equal(b->vvvv, r->host[a->vvvv]); break;
		case OP_V: assert_int_equal(b->reg, a->reg); break;
		case OP_H: assert_int_equal(b->vvvv, a->vvvv); break;
		case OP_W:
		case OP_U:
			if (!(a->pfx & PFX_MEM))
				assert_int_equal(b->rm, a->rm);
			break;
		case OP_L: assert_int_equal(b->imm2, a->imm2); break;
		default: break;
		}
}

static void rounds(u32 mode, unsigned at_least)
{
	static u32 seen[4096];
	unsigned forms = 0;
	memset(seen, 0, sizeof(seen));
	for (unsigned n = 0; n < 3000000; n++) {
		struct insn a, b;
		struct recode r;
		u8 raw[16], out[RECODE_MAX + 16] = {0};
		unsigned len;
		make(raw);
		if (insn_decode(&a, raw, 15, 0x400000, mode, ~0ull) != INSN_OK)
			continue;
		/* not all means the same in 64-bit mode */
		if (mode == MODE32 && classify(&a, mode).kind != T_COPY)
			continue;
		recode_general(&a, mode);
		if (!recode_able(&a))
			continue;
		choose(&r);
		len = recode(out, &a, raw, &r);
		if (!len)
			continue; /* AH..BH beside a new register */
		assert_true(len <= RECODE_MAX);
		if (insn_decode(&b, out, 15, 0x400000, MODE, ~0ull) != INSN_OK) {
			for (unsigned i = 0; i < a.len; i++)
				fprintf(stderr, "%02x ", raw[i]);
			fail_msg("%s does not decode again", insn_forms[a.form].name);
		}
		assert_int_equal(b.len, len);
		compare(&a, &b, &r);
		forms += !seen[a.form]++;
	}
	printf("%u forms re-encoded\n", forms);
	assert_true(forms > at_least);
}

static void test_round(void **state)
{
	(void)state;
	rounds(MODE, 900);
}

/* 32-bit code, which the host runs in 64-bit mode. */
static void test_round_32(void **state)
{
	(void)state;
	rounds(MODE32, 800);
}

static unsigned again(const char *raw, u32 mode, struct insn *a, u8 *out)
{
	const u8 *bytes = (const u8 *)raw;
	struct recode r = {.base = H_R10, .index = H_R11, .disp = -1};
	for (unsigned i = 0; i < 16; i++)
		r.host[i] = (u8)(i == H_RSP ? H_R9 : i);
	assert_int_equal(insn_decode(a, bytes, 15, 0x400000, mode, ~0ull), INSN_OK);
	recode_general(a, mode);
	assert_true(recode_able(a));
	return recode(out, a, bytes, &r);
}

/* What has no encoding in 64-bit mode, or one that the translator has no use for. */
static void test_general(void **state)
{
	static const struct {
		u32 mode;
		char raw[16];
		s64 disp;
		unsigned n;
		u8 want[8];
	} row[] = {
		/* MOV EAX, moffs; in 32-bit code above 2 GiB; AL; and back */
		{MODE32, "\xa1\x78\x56\x34\xf2", 0xf2345678, 5, {0x43, 0x8b, 0x44, 0x1a, 0xff}},
		{MODE32, "\xa0\x78\x56\x34\x12", 0x12345678, 5, {0x43, 0x8a, 0x44, 0x1a, 0xff}},
		{MODE32,
		 "\x66\xa3\x78\x56\x34\x12",
		 0x12345678,
		 6,
		 {0x66, 0x43, 0x89, 0x44, 0x1a, 0xff}},
		{MODE,
		 "\x48\xa1\x88\x77\x66\x55\x44\x33\x22\x11",
		 0x1122334455667788,
		 5,
		 {0x4b, 0x8b, 0x44, 0x1a, 0xff}},
		{MODE,
		 "\xa2\x88\x77\x66\x55\x44\x33\x22\x11",
		 0x1122334455667788,
		 5,
		 {0x43, 0x88, 0x44, 0x1a, 0xff}},
		/* INC EDI, DEC ESP, INC AX */
		{MODE32, "\x47", 0, 2, {0xff, 0xc7}},
		{MODE32, "\x4c", 0, 3, {0x41, 0xff, 0xc9}},
		{MODE32, "\x66\x40", 0, 3, {0x66, 0xff, 0xc0}},
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		u8 out[RECODE_MAX];
		struct insn a;
		assert_int_equal(again(row[i].raw, row[i].mode, &a, out), row[i].n);
		assert_memory_equal(out, row[i].want, row[i].n);
		assert_true(a.disp == row[i].disp);
		assert_int_equal(classify(&a, row[i].mode).kind, T_COPY);
	}
}

/* What 32-bit code must leave to its bodies. */
static void test_not_in_64(void **state)
{
	static const char raw[][16] = {
		"\x63\xc1",			/* ARPL, which is MOVSXD */
		"\x62\x00",			/* BOUND */
		"\xc4\xe2\xf8\xf2\xc1",		/* ANDN with a W that is ignored */
		"\xc4\xe3\x71\x4a\xc2\xb0",	/* VBLENDVPS, xmm3 by an immediate of B0h */
		"\x67\x8b\x07",			/* 16-bit addresses */
		"\x2e\x8b\x07",			/* through CS */
		"\x65\xa1\xfd\xff\xff\xff",	/* over the end of GS */
		"\x65\xff\x35\xfd\xff\xff\xff", /* so for PUSH */
		"\x66\x50",			/* 2 bytes */
		"\x06",				/* PUSH ES */
		"\x60",				/* PUSHA */
		"\xd4\x0a",			/* AAM */
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
		struct insn a;
		assert_int_equal(insn_decode(&a, (const u8 *)raw[i], 15, 0x400000, MODE32, ~0ull),
				 INSN_OK);
		assert_int_equal(classify(&a, MODE32).kind, T_INTERP);
	}
}

/* BSF with a stray F3 must not become TZCNT where the guest's CPU has none. */
static void test_stray_prefix(void **state)
{
	static const u8 raw[] = {0xf3, 0x0f, 0xbc, 0xc1};
	struct insn a;
	struct recode r;
	u8 out[RECODE_MAX];
	(void)state;
	choose(&r);
	for (unsigned i = 0; i < 16; i++)
		r.host[i] = (u8)i;
	assert_int_equal(insn_decode(&a, raw, sizeof(raw), 0, MODE, 0), INSN_OK);
	assert_string_equal(insn_forms[a.form].name, "bsf");
	assert_int_equal(recode(out, &a, raw, &r), 3);
	assert_memory_equal(out, raw + 1, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),	     cmocka_unit_test(test_round_32),
		cmocka_unit_test(test_general),	     cmocka_unit_test(test_not_in_64),
		cmocka_unit_test(test_stray_prefix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
