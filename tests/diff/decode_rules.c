/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode_rules: the differences, each with its reason.
 */
#include "decode_rules.h"

#include <string.h>

bool isa_skip(const ZydisDecodedInstruction *z)
{
	static const char *const known[] = {
		"ADOX_ADCX",	 "AES",	       "AVX",	       "AVX2",	       "AVX2GATHER",
		"AVXAES",	 "BMI1",       "BMI2",	       "CLFLUSHOPT",   "CLFSH",
		"CMOV",		 "CMPXCHG16B", "F16C",	       "FAT_NOP",      "FCMOV",
		"FCOMI",	 "FMA",	       "FXSAVE",       "FXSAVE64",     "I186",
		"I286PROTECTED", "I286REAL",   "I386",	       "I486",	       "I486REAL",
		"I86",		 "INVPCID",    "LAHF",	       "LONGMODE",     "LZCNT",
		"MOVBE",	 "PAUSE",      "PCLMULQDQ",    "PENTIUMMMX",   "PENTIUMREAL",
		"POPCNT",	 "PPRO",       "PREFETCH_NOP", "RDPMC",	       "RDRAND",
		"RDSEED",	 "RDTSCP",     "RDWRFSGS",     "SHA",	       "SMAP",
		"SSE",		 "SSE2",       "SSE2MMX",      "SSE3",	       "SSE3X87",
		"SSE4",		 "SSE42",      "SSEMXCSR",     "SSE_PREFETCH", "SSSE3",
		"SSSE3MMX",	 "X87",	       "XSAVE",	       "XSAVEC",       "XSAVEOPT",
		"XSAVES",
	};
	const char *set = ZydisISASetGetString(z->meta.isa_set);

	for (unsigned i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i], set))
			return false;
	return true;
}

/* Everything that is decided by the body, not the decoder: it raises #UD there. */
static bool body_refuses(const struct insn *in)
{
	const struct insn_form *f = &insn_forms[in->form];
	unsigned reg = in->reg;

	if (f->map == 0 &&
	    (f->opcode == 0x8c || f->opcode == 0x8e)) /* segment registers 6, 7; CS */
		return (reg & 7) > 5 || (f->opcode == 0x8e && (reg & 7) == 1);
	return f->attr & IA_VSIB; /* the same register twice */
}

bool deviation(const struct insn *in, const ZydisDecodedInstruction *z, const u8 *p unused_arg,
	       u32 mode, bool valid)
{
	const struct insn_form *f = &insn_forms[in->form];

	if (valid && !z)
		return body_refuses(in);
	if (valid && z->mnemonic == ZYDIS_MNEMONIC_LEA)
		return true; /* no segment */
	/* Zydis 4.0 gives [disp32] with a REX.B a base when the address size is 32 */
	if (valid && mode & MODE_64 && in->asz == 4 && in->pfx & PFX_MEM &&
	    in->base == REG_OFF_ZERO && f->attr & IA_MODRM && (in->modrm & 0xc7) == 4)
		return true;
	return false;
}

struct alias {
	const char *ours, *zydis;
};

/* Conditions: the table's names, the manual's other ones. */
static const struct alias conditions[] = {
	{"a", "nbe"}, {"ae", "nb"}, {"e", "z"}, {"g", "nle"}, {"ge", "nl"}, {"ne", "nz"},
};

static const struct alias aliases[] = {
	{"callf", "call"},
	{"cbw", "cdqe"},
	{"cbw", "cwde"},
	{"cwd", "cdq"},
	{"cwd", "cqo"},
	{"fcom2", "fcom"},
	{"fcomp5", "fcomp"},
	{"fcomp3", "fcomp"},
	{"fndisi", "fdisi8087_nop"},
	{"fneni", "feni8087_nop"},
	{"fnsetpm", "fsetpm287_nop"},
	{"fstp8", "fstp"},
	{"fstp9", "fstp"},
	{"fxch4", "fxch"},
	{"fxch7", "fxch"},
	{"jmpf", "jmp"},
	{"jrcxz", "jcxz"},
	{"jrcxz", "jecxz"},
	{"movd", "movq"},
	{"vmovd", "vmovq"},
	{"pextrd", "pextrq"},
	{"pinsrd", "pinsrq"},
	{"vpextrd", "vpextrq"},
	{"vpinsrd", "vpinsrq"},
	{"prefetch", "prefetchnta"},
	{"prefetch", "prefetcht0"},
	{"prefetch", "prefetcht1"},
	{"prefetch", "prefetcht2"},
	{"prefetchw", "prefetch"},
	{"prefetchw", "prefetchwt1"},
	{"retf", "ret"},
	{"wait", "fwait"},
	{"wbnoinvd", "wbinvd"},
	{"xchg", "nop"},
	{"xchg", "pause"}, /* F3 REX.B 90: the CPUs exchange */
};

static bool same_but(const char *ours, const char *zydis, const char *suffixes)
{
	size_t n = strlen(ours);

	if (strncmp(ours, zydis, n))
		return false;
	return !zydis[n] || (!zydis[n + 1] && strchr(suffixes, zydis[n])) ||
	       !strcmp(zydis + n, "64");
}

static bool same_condition(const char *ours, const char *zydis)
{
	static const char *const stem[] = {"j", "set", "cmov"};

	for (unsigned s = 0; s < ARRAY_LEN(stem); s++) {
		size_t n = strlen(stem[s]);
		if (strncmp(ours, stem[s], n) || strncmp(zydis, stem[s], n))
			continue;
		for (unsigned i = 0; i < ARRAY_LEN(conditions); i++)
			if (!strcmp(ours + n, conditions[i].ours) &&
			    !strcmp(zydis + n, conditions[i].zydis))
				return true;
	}
	return false;
}

bool same_name(const char *ours, const char *zydis)
{
	/* cmps .. cmpsq, pusha .. pushad: the operand size is compared apart */
	if (same_but(ours, zydis, "wdq") || same_condition(ours, zydis))
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(aliases); i++)
		if (!strcmp(ours, aliases[i].ours) && !strcmp(zydis, aliases[i].zydis))
			return true;
	return false;
}

bool osz_differs(const struct insn_form *f, const ZydisDecodedInstruction *z)
{
	/* ports have no 64-bit form; table registers and SYSCALL no operand size at all */
	return !strcmp(f->name, "in") || !strcmp(f->name, "out") || z->operand_width == 64 ||
	       !strcmp(f->name + 1, "gdt") || !strcmp(f->name + 1, "idt") || f->map == 1;
}
