/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode_text: what cpu/disasm.c writes beside what Zydis writes in Intel's notation.
 */
#ifndef DIFF_DECODE_TEXT_H
#define DIFF_DECODE_TEXT_H

#include <Zydis/Zydis.h>

#include "cpu/insn.h"

#define TEXT_MAX 256u

struct texts {
	ZydisFormatter formatter;
	char ours[TEXT_MAX], theirs[TEXT_MAX]; /* of the last one */
};

bool texts_open(struct texts *t);
/* The same but for the notation? rip: of the instruction. */
bool same_text(struct texts *t, const struct insn *in, u32 mode, const ZydisDecodedInstruction *z,
	       const ZydisDecodedOperand *op, u64 rip);

#endif
