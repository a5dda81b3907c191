/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode_text: see decode_text.h. The mnemonic may be another name of the same (same_name);
 * operands must be the same text, once both are written in one way.
 */
#include "decode_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/disasm.h"
#include "decode_rules.h"

bool texts_open(struct texts *t)
{
	ZydisFormatter *f = &t->formatter;

	return ZYAN_SUCCESS(ZydisFormatterInit(f, ZYDIS_FORMATTER_STYLE_INTEL)) &&
	       ZYAN_SUCCESS(ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_FORCE_SIZE, 1)) &&
	       ZYAN_SUCCESS(ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, 0)) &&
	       ZYAN_SUCCESS(ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE,
						      ZYDIS_PADDING_DISABLED)) &&
	       ZYAN_SUCCESS(ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_DISP_PADDING,
						      ZYDIS_PADDING_DISABLED)) &&
	       ZYAN_SUCCESS(ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_IMM_PADDING,
						      ZYDIS_PADDING_DISABLED)) &&
	       ZYAN_SUCCESS(ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_IMM_SIGNEDNESS,
						      ZYDIS_SIGNEDNESS_UNSIGNED));
}

/* Behind the mnemonic, which may have prefixes in front. */
static const char *operands_of(const char *text, const char *mnemonic)
{
	const char *at = strstr(text, mnemonic);

	at = at ? at + strlen(mnemonic) : text;
	while (*at == ' ')
		at++;
	return at;
}

static void cut(char *text, const char *what, const char *keep_if)
{
	for (char *p = text; (p = strstr(p, what)) != NULL; p++)
		if (!strchr(keep_if, p[strlen(what)]) || !p[strlen(what)])
			memmove(p, p + strlen(what), strlen(p + strlen(what)) + 1);
}

/* Zydis writes the scale of a 16-bit address, which is 1; targets in 32-bit code as 64 bits; far
 * ones with leading zeros; that a
 * RET is far as a word of its own. */
static void normal(char *text, const struct insn *in, u32 mode)
{
	cut(text, "*1", "0123456789");
	if (!(mode & MODE_64) && insn_forms[in->form].op[0].kind == OP_J)
		cut(text, "ffffffff", ",");
	if (insn_forms[in->form].op[0].kind == OP_FAR)
		for (char *p = text; (p = strstr(p, "0x0")) != NULL;)
			memmove(p + 2, p + 3, strlen(p + 3) + 1);
	if (!strcmp(insn_forms[in->form].name, "retf"))
		cut(text, "far", "");
	for (char *end = text + strlen(text); end > text && end[-1] == ' ';)
		*--end = '\0';
}

/* Operands that only one of both writes, or in another width. */
static bool other_text(const struct insn *in, const char *mnemonic)
{
	static const char *const name[] = {"nop",      "clflush",  "clflushopt", "lar", "lsl",
					   "movmskpd", "movmskps", "ud0",	 "ud1", "fucomp"};
	const struct insn_form *f = &insn_forms[in->form];

	for (unsigned i = 0; i < ARRAY_LEN(name); i++)
		if (!strcmp(f->name, name[i]))
			return true;
	return f->attr & IA_STRING || !strcmp(mnemonic, "pause") ||
	       (!strcmp(f->name, "movsxd") && in->osz == 2);
}

/* XMM0 as the last operand goes without saying in Zydis. */
static bool same_operands(const char *ours, const char *theirs)
{
	size_t n = strlen(theirs);

	while (*theirs == ' ') {
		theirs++;
		n--;
	}
	return !strncmp(ours, theirs, n) && (!ours[n] || !strcmp(ours + n, ", xmm0"));
}

bool same_text(struct texts *t, const struct insn *in, u32 mode, const ZydisDecodedInstruction *z,
	       const ZydisDecodedOperand *op, u64 rip)
{
	char name[DISASM_MAX];
	const char *mnemonic = ZydisMnemonicGetString(z->mnemonic);

	disasm(in, mode, t->ours);
	disasm_name(in, mode, name);
	if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&t->formatter, z, op,
							  z->operand_count_visible, t->theirs,
							  sizeof(t->theirs), rip, NULL)))
		return false;
	normal(t->theirs, in, mode);
	if (strcmp(name, mnemonic) && !same_name(name, mnemonic))
		return false;
	return other_text(in, mnemonic) ||
	       same_operands(operands_of(t->ours, name), operands_of(t->theirs, mnemonic));
}
