/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode: the decoder against Zydis: random bytes and mutated forms, in 64-, 32- and 16-bit code.
 *
 * Compared: whether it is valid, its length, operand and address size, the memory operand, and the
 * text that cpu/disasm.c makes of it. What
 * the host model does not offer is left out by Zydis's own ISA sets (isa_skip); where Zydis and the
 * CPUs disagree, or Intel and AMD, deviation() says so.
 */
#include <Zydis/Zydis.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu/insn.h"
#include "cpu/model.h"
#include "decode_rules.h"
#include "decode_text.h"
#include "rng.h"

#define RIP	  0x12345000ull
#define KINDS	  8192u
#define INPUT_LEN 16u

struct width {
	const char *name;
	u32 mode;
	ZydisMachineMode zmode;
	ZydisStackWidth zstack;
};

static const struct width widths[] = {
	{"64", MODE_PE | MODE_LMA | MODE_64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
	{"32", MODE_PE | MODE_CS32 | MODE_SS32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
	{"16", MODE_PE, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
};

struct run {
	u64 seed, cases, valid, mismatches;
	unsigned show;
	struct cpu_model model;
	ZydisDecoder z[ARRAY_LEN(widths)];
	struct texts texts;
	u16 shown[ZYDIS_MNEMONIC_MAX_VALUE + 1];
};

/* --- inputs --- */

static void random_opcode(struct rng *g, u8 *p, unsigned *n, bool wide)
{
	const struct insn_form *f = &insn_forms[rng_below(g, insn_form_count)];
	unsigned map = f->map, v = (unsigned)rng_next(g);

	if (wide && map < 4 && rng_one_in(g, 2))
		p[(*n)++] = (u8)(0x40 | (v & 15));
	if (map >= 4) {
		if (rng_one_in(g, 3) && map == 4) {
			p[(*n)++] = 0xc5;
		} else {
			p[(*n)++] = 0xc4;
			p[(*n)++] = (u8)((v & 0xe0) | (rng_one_in(g, 40) ? v >> 8 & 31 : map - 3));
		}
		p[(*n)++] = (u8)((v >> 16 & (rng_one_in(g, 2) ? 0xff : 0x84)) |
				 (rng_one_in(g, 2) ? 0x78 : 0) | rng_bit(g, f->pfx_mask));
	} else {
		if (map)
			p[(*n)++] = 0x0f;
		if (map >= 2)
			p[(*n)++] = map == 2 ? 0x38 : 0x3a;
	}
	p[(*n)++] = rng_one_in(g, 12) ? (u8)rng_next(g) : f->opcode;
	if (f->attr & IA_MODRM && rng_one_in(g, 2))
		p[*n] = (u8)((p[*n] & 0xc7) | rng_bit(g, f->reg_mask) << 3);
}

static void input(struct rng *g, u8 *p, bool wide)
{
	static const u8 prefix[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36,
				    0x3e, 0x64, 0x65, 0x66, 0x66, 0xf2, 0xf3, 0x48};
	unsigned n = 0, count = rng_below(g, 4);

	st64(p, rng_next(g));
	st64(p + 8, rng_next(g));
	if (rng_one_in(g, 8))
		return;
	if (rng_one_in(g, 100))
		count += 8;
	while (count--)
		if (rng_one_in(g, 2))
			p[n++] = prefix[rng_below(g, sizeof(prefix))];
	random_opcode(g, p, &n, wide);
}

/* --- comparison --- */

static int register_number(ZydisRegister r)
{
	return r == ZYDIS_REGISTER_NONE ? -1 : (int)ZydisRegisterGetId(r);
}

static const char *compare_memory(const struct insn *in, const struct width *w,
				  const ZydisDecodedOperand *op)
{
	bool rip = op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP;
	int base = rip ? -1 : register_number(op->mem.base), index = register_number(op->mem.index);
	u64 disp = (u64)op->mem.disp.value + (rip ? RIP + in->len : 0), mask = mask64(in->asz * 8);

	if (base != (in->base == REG_OFF_ZERO ? -1 : in->base / 8))
		return "base";
	if (index != (in->index == REG_OFF_ZERO ? -1 : in->index / 8))
		return "index";
	if (index >= 0 && op->mem.scale && op->mem.scale != 1 << in->scale)
		return "scale";
	if ((disp ^ (u64)in->disp) & mask)
		return "displacement";
	if (w->mode & MODE_64 && in->seg != S_FS && in->seg != S_GS)
		return NULL;
	return register_number(op->mem.segment) != in->seg ? "segment" : NULL;
}

static const char *compare_fields(const struct insn *in, const struct width *w,
				  const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	const struct insn_form *f = &insn_forms[in->form];

	if (in->len != z->length)
		return "length";
	if (!same_name(f->name, ZydisMnemonicGetString(z->mnemonic)))
		return "mnemonic";
	if (f->osz == OSZ_V && f->state == IST_INT && z->operand_width != in->osz * 8u &&
	    !osz_differs(f, z))
		return "operand size";
	if (!(in->pfx & PFX_MEM))
		return NULL;
	if (in->asz * 8u != z->address_width)
		return "address size";
	for (unsigned i = 0; i < z->operand_count_visible; i++)
		if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return compare_memory(in, w, &op[i]);
	return NULL;
}

static const char *compare_one(struct run *r, unsigned wi, const u8 *p, ZydisDecodedInstruction *z,
			       struct insn *in)
{
	const struct width *w = &widths[wi];
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	int ours = insn_decode(in, p, 15, RIP, w->mode, r->model.features);
	ZyanStatus theirs = ZydisDecoderDecodeFull(&r->z[wi], p, 15, z, op);

	if (ours != INSN_OK && !ZYAN_SUCCESS(theirs)) {
		z->mnemonic = ZYDIS_MNEMONIC_INVALID;
		return NULL;
	}
	if (ours == INSN_OK && ZYAN_SUCCESS(theirs)) {
		const char *what;

		r->valid++;
		if (deviation(in, z, p, w->mode, true))
			return NULL;
		what = compare_fields(in, w, z, op);
		if (!what && !same_text(&r->texts, in, w->mode, z, op, RIP))
			what = "text";
		return what;
	}
	if (ours == INSN_OK) {
		z->mnemonic = ZYDIS_MNEMONIC_INVALID;
		return deviation(in, NULL, p, w->mode, true) ? NULL : "valid here only";
	}
	if (isa_skip(z) || deviation(in, z, p, w->mode, false))
		return NULL;
	return "valid in Zydis only";
}

static void check(struct run *r, unsigned wi, const u8 *p, u64 index)
{
	ZydisDecodedInstruction z;
	struct insn in;
	const char *what = compare_one(r, wi, p, &z, &in);

	if (likely(!what))
		return;
	r->mismatches++;
	if (++r->shown[z.mnemonic] > r->show)
		return;
	printf("%s: %s: here %s, Zydis %s (%s): ", widths[wi].name, what,
	       in.form || in.len ? insn_forms[in.form].name : "-",
	       ZydisMnemonicGetString(z.mnemonic),
	       z.mnemonic ? ZydisISASetGetString(z.meta.isa_set) : "");
	for (unsigned i = 0; i < 15; i++)
		printf("%02x ", p[i]);
	if (!strcmp(what, "text"))
		printf(" %s | %s", r->texts.ours, r->texts.theirs);
	printf(" --first %llu\n", (unsigned long long)index);
}

/* --- main --- */

static int run_open(struct run *r)
{
	if (cpu_model_open(&r->model, "host", 1, 1000000, NULL) || !texts_open(&r->texts))
		return -1;
	for (unsigned i = 0; i < ARRAY_LEN(widths); i++) {
		ZydisDecoder *z = &r->z[i];
		ZydisDecoderInit(z, widths[i].zmode, widths[i].zstack);
		ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
		ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
		ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"seed", 1, NULL, 's'},
					      {"cases", 1, NULL, 'n'},
					      {"first", 1, NULL, 'f'},
					      {"show", 1, NULL, 'S'},
					      {NULL, 0, NULL, 0}};
	static struct run r = {.seed = 1, .cases = 1000000, .show = 2};
	const char *env = getenv("HOLM_DECODE_CASES");
	u64 first = 0;
	int c;

	if (env)
		r.cases = strtoull(env, NULL, 0);
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 's': r.seed = strtoull(optarg, NULL, 0); break;
		case 'n': r.cases = strtoull(optarg, NULL, 0); break;
		case 'f': first = strtoull(optarg, NULL, 0); break;
		case 'S': r.show = (unsigned)strtoul(optarg, NULL, 0); break;
		default: return 2;
		}
	if (run_open(&r))
		return 3;
	for (u64 i = first; i < first + r.cases; i++) {
		struct rng g = {r.seed * 0xd1342543de82ef95ull ^ i * 0x9e3779b97f4a7c15ull};
		unsigned wi = i % 4 < 2 ? 0 : (unsigned)(i % 4 - 1);
		u8 p[INPUT_LEN + 16];
		input(&g, p, wi == 0);
		check(&r, wi, p, i);
	}
	printf("decode: %llu cases, %llu valid on both sides, %llu mismatches\n",
	       (unsigned long long)r.cases, (unsigned long long)r.valid,
	       (unsigned long long)r.mismatches);
	return r.mismatches != 0;
}
