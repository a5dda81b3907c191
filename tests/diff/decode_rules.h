/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode_rules: where Holm's decoder and Zydis may differ.
 */
#ifndef DIFF_DECODE_RULES_H
#define DIFF_DECODE_RULES_H

#include <Zydis/Zydis.h>

#include "cpu/insn.h"

/* The instruction set is not in the host model. */
bool isa_skip(const ZydisDecodedInstruction *z);
/* A documented difference. valid: Holm decodes it; z NULL: Zydis does not. */
bool deviation(const struct insn *in, const ZydisDecodedInstruction *z, const u8 *p, u32 mode,
	       bool valid);
/* The table's name and Zydis's mean the same instruction. */
bool same_name(const char *ours, const char *zydis);
/* Zydis's operand width is not the one the table speaks of. */
bool osz_differs(const struct insn_form *f, const ZydisDecodedInstruction *z);

#endif
