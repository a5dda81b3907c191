/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disasm: a decoded instruction as text, in Intel's notation: "add dword ptr [rax+rcx*4+0x10],
 * 0x1".
 *
 * Freestanding but for snprintf. Context: any.
 */
#ifndef CPU_DISASM_H
#define CPU_DISASM_H

#include "cpu/insn.h"

#define DISASM_MAX 160u

/* in: of insn_decode in `mode`. Numbers are hexadecimal; addresses relative to RIP and targets of
 * branches are absolute. Returns out. */
const char *disasm(const struct insn *in, u32 mode, char out[DISASM_MAX]);

/* The mnemonic alone, as the manual names it for this operand size. Returns out. */
const char *disasm_name(const struct insn *in, u32 mode, char out[DISASM_MAX]);

#endif
