/* SPDX-License-Identifier: Apache-2.0 */
/*
 * emit: a buffer of host code and the few instructions that translated code is glued with.
 *
 * Register numbers are the encoding's (0 rax .. 15 r15). Operands in the vCPU block are named by
 * their offset from the GS base. A full buffer swallows what does not fit and says so in `full`.
 * Encodings: SDM 2A-2D.
 *
 * Pure. Entered by translate.c and stubs.c.
 */
#ifndef ENGINE_SOFT_TRANS_EMIT_H
#define ENGINE_SOFT_TRANS_EMIT_H

#include "lib/bits.h"
#include "lib/types.h"

enum host_reg {
	H_RAX,
	H_RCX,
	H_RDX,
	H_RBX,
	H_RSP,
	H_RBP,
	H_RSI,
	H_RDI,
	H_R8,
	H_R9,
	H_R10,
	H_R11,
	H_R12,
	H_R13,
	H_R14,
	H_R15
};

struct emit {
	u8 *p, *end;
	bool full;
};

static inline void e8(struct emit *e, unsigned v)
{
	if (e->p < e->end)
		*e->p++ = (u8)v;
	else
		e->full = true;
}
static inline void e32(struct emit *e, u32 v)
{
	for (unsigned i = 0; i < 32; i += 8)
		e8(e, v >> i & 0xff);
}
static inline void e64(struct emit *e, u64 v)
{
	e32(e, (u32)v);
	e32(e, (u32)(v >> 32));
}
static inline void e_rex(struct emit *e, bool w, unsigned reg, unsigned index, unsigned rm)
{
	unsigned rex = 0x40u | (w ? 8u : 0) | (reg & 8 ? 4u : 0) | (index & 8 ? 2u : 0) |
		       (rm & 8 ? 1u : 0);
	if (rex != 0x40)
		e8(e, rex);
}
/* ModRM, SIB and displacement of [base + index << scale + disp]; base 16, index 16: none. */
/* Can this host's CPU run what is emitted? It takes BMI1 (BEXTR) and BMI2 (PEXT, RORX). */
bool e_host_can(void);

void e_mem(struct emit *e, unsigned reg, unsigned base, unsigned index, unsigned scale, s32 disp);

/* op reg, gs:[off] or the other way: one-byte opcodes; w: 64 bits */
void e_gs(struct emit *e, bool w, unsigned op, unsigned reg, u32 off);
static inline void e_gs_load(struct emit *e, unsigned reg, u32 off)
{
	e_gs(e, true, 0x8b, reg, off);
}
static inline void e_gs_store(struct emit *e, unsigned reg, u32 off)
{
	e_gs(e, true, 0x89, reg, off);
}
void e_mov(struct emit *e, unsigned to, unsigned from);
void e_mov_imm(struct emit *e, unsigned reg, u64 v); /* shortest form that leaves flags alone */
/* lea: size 8, or 4 (result truncated to 32 bits) */
void e_lea(struct emit *e, unsigned reg, unsigned base, unsigned index, unsigned scale, s32 disp,
	   unsigned size);
/* mov reg, [base + index << scale + disp], and back: 8 or 4 bytes, which are extended by 0 */
void e_load(struct emit *e, unsigned size, unsigned reg, unsigned base, unsigned index,
	    unsigned scale, s32 disp);
void e_store(struct emit *e, unsigned size, unsigned reg, unsigned base, unsigned index, s32 disp);
/* pext to, from, gs:[off] */
void e_pext_gs(struct emit *e, unsigned to, unsigned from, u32 off);
/* r11 = bits 47..12 of r10. Clobbers the flags; where they must stay: pext, which takes longer. */
void e_page_number(struct emit *e);
void e_test_imm8(struct emit *e, unsigned reg, unsigned imm); /* test reg8, imm8 */

/* Jumps: *_fwd return the address of the rel32 to be patched by e_here() later. */
u8 *e_jcc_fwd(struct emit *e, unsigned cc);
u8 *e_jmp_fwd(struct emit *e);
void e_here(struct emit *e, u8 *rel32);
void e_jmp(struct emit *e, const u8 *to);
void e_call(struct emit *e, const u8 *to);
void e_rel32(u8 *at, const u8 *to);

#endif
