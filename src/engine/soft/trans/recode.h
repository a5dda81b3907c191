/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recode: one guest instruction's bytes again, with other registers and another memory operand.
 *
 * What the host then executes differs from the guest's instruction in names only: general registers
 * go through a map, the memory operand becomes [base + disp]. Prefixes that only the guest's
 * addressing needs (segments, 67h) are gone.
 *
 * Pure. Entered by translate.c. Trusts that `raw` holds the bytes `in` was decoded from.
 */
#ifndef ENGINE_SOFT_TRANS_RECODE_H
#define ENGINE_SOFT_TRANS_RECODE_H

#include "cpu/insn.h"

#define RECODE_MAX 24u /* bytes that one instruction may need */

struct recode {
	u8 host[16]; /* host register for each guest general register */
	u8 base;     /* the memory operand: host registers of base and index (16: none) */
	u8 index;
	u8 scale; /* of the index: shift count */
	s32 disp;
};

/* An instruction that 64-bit mode lacks, or that names RAX and an absolute address, becomes the
 * general one that does the same: INC and DEC of a register (40..4F), MOV with moffs (A0..A3). And
 * outside 64-bit mode an absolute address is that, no sign-extended number. */
void recode_general(struct insn *in, u32 mode);
/* Can it be done at all: 64-bit or flat code, no vector of indices, no system register. */
bool recode_able(const struct insn *in);
/* Writes at most RECODE_MAX bytes; how many, or 0 where no encoding exists (AH..BH beside a
 * register or address that needs REX). */
unsigned recode(u8 *out, const struct insn *in, const u8 *raw, const struct recode *r);

#endif
