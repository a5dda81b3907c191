/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_thunk: SIMD arithmetic by the host's own instructions: one assembled stub per table form.
 *
 * A stub gets pointers to its operands, loads them into fixed registers with the operand's exact
 * width, executes the guest's very instruction, and stores the result. It touches no memory but
 * its operands and no callee-saved register, and keeps nothing on the stack, so that the owner of
 * SIGFPE may redirect it to a return with -1 (fpu_fixup).
 *
 *   v  ModRM.reg: an XMM/YMM slot (32 bytes; legacy forms write 16, VEX ones all 32) or c->r + n
 *   w  ModRM.rm: a slot, a general register, or the memory operand (exactly its width is touched)
 *   h  VEX.vvvv's slot;   l  is4's slot, or XMM0's for forms with an implicit one
 *   y  c->s.ymm, g c->r: only for PCMPxSTRx
 *   result: -1 the instruction faulted, nothing changed; forms that write flags: AH after LAHF in
 *   bits 15:8 and OF in bit 0; otherwise 0, or nothing when the form cannot fault
 *
 * insn_thunk[form][n]: n = VEX.L, or W for forms with a `y` operand; MMX: 0 register, 1 memory
 * form. Stubs of one form for every immediate are T_STRIDE apart. MMX stubs work on the live MMX
 * registers and exist for each register (pair).
 *
 * Entered by: gen/thunks.c (the bodies), the translator. Context: vcpu.
 */
#ifndef CPU_EXEC_SIMD_THUNK_H
#define CPU_EXEC_SIMD_THUNK_H

#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "cpu/exec/x87.h"
#include "cpu/fpu.h"
#include "cpu/mem.h"

typedef int thunk_fn(void *v, void *w, void *h, void *l, void *y, void *g);
extern thunk_fn *const insn_thunk[][2];
extern const char thunk_text_start[], thunk_text_avx[], thunk_text_end[];
extern const char thunk_mm_store[]; /* movq [w], mm0..mm7 */
extern const char thunk_fault[], thunk_fault_avx[];

#define T_STRIDE    32u
#define T_MM_STRIDE 16u

/* ---- what a body does, see thunk_flags() in tools/insn_table.py ---- */

#define T_none	0x000000u
#define T_V	0x000001u
#define T_G	0x000002u
#define T_W	0x000004u
#define T_M	0x000008u
#define T_E	0x000010u
#define T_H	0x000020u
#define T_L	0x000040u
#define T_X0	0x000080u
#define T_P	0x000100u
#define T_Q	0x000200u
#define T_MM	0x000400u
#define T_ST	0x000800u /* the memory operand is written */
#define T_BY_W	0x001000u /* variant by operand size */
#define T_STR	0x002000u
#define T_ALIGN 0x004000u
#define T_FP	0x008000u /* needs MXCSR; may raise #XM */
#define T_FL	0x010000u /* writes the status flags */
#define T_IMM	0x020000u /* a stub for each immediate */
#define T_IMM16 0x040000u /* the same for MMX */
#define T_IMM4	0x080000u /* MMX: for each value of its two low bits */
#define T_SHIFT 0x100000u /* MMX shift: the immediate is passed in memory */

/* Operand sizes that depend on the encoding. */
#define T_SIZE_X (-1)
#define T_SIZE_H (-2)
#define T_SIZE_K (-3)
#define T_SIZE_E (-4)
#define T_SIZE_Y (-5)

/* #XM, #MF or #UD after a stub returned -1. Returns when a pending x87 error was dropped (CR0.NE =
 * 0, see x87_pending): then the stub is to be run again. */
void thunk_failed(struct cpu *c, bool mmx);

static always_inline unsigned thunk_size(const struct insn *in, int size)
{
	switch (size) {
	case T_SIZE_X: return in->vl;
	case T_SIZE_H: return in->vl / 2u;
	case T_SIZE_K: return in->vl / 4u;
	case T_SIZE_E: return in->vl / 8u;
	case T_SIZE_Y: return in->osz;
	default: return (unsigned)size;
	}
}

/* MM register n as 8 bytes; like every MMX instruction it may raise #MF and sets the tags. */
void thunk_mm_get(struct cpu *c, unsigned n, u64 *v);

/* Offset of the stub in the form's array, for MMX registers. */
static always_inline unsigned thunk_mm_offset(const struct insn *in, unsigned t, bool mem)
{
	unsigned i = 0;
	if (t & T_P)
		i = in->reg & 7;
	if ((t & T_Q) && !mem)
		i = i * 8 + (in->rm & 7);
	if (t & T_IMM16)
		i = i * 256 + (u8)in->imm;
	if (t & T_IMM4)
		i = i * 4 + (in->imm & 3);
	return i * T_MM_STRIDE;
}

static always_inline thunk_fn *thunk_stub(const struct insn *in, unsigned t, bool mem)
{
	unsigned variant = t & T_MM ? mem : t & T_BY_W ? in->osz >> 3 : in->vl >> 5;
	const char *stub = (const char *)insn_thunk[in->form][variant];

	if (t & T_MM)
		stub += thunk_mm_offset(in, t, mem);
	else if (t & T_IMM)
		stub += (unsigned)(u8)in->imm * T_STRIDE;
	return (thunk_fn *)(void *)(u64)stub;
}

/* Host address of the memory operand: guest RAM itself, or `buf`. */
static always_inline void *thunk_mem(struct cpu *c, u64 la, unsigned t, unsigned size, void *buf)
{
	void *p;

	if ((t & T_ALIGN) && unlikely(la & (size - 1)))
		cpu_gp0(c);
	p = t & T_ST ? tlb_write(c, la, size) : tlb_read(c, la, size);
	if (likely(p != NULL))
		return p;
	if (t & T_ST)
		mem_probe(c, la, size, ACC_WRITE);
	else
		mem_ld_bytes(c, la, buf, size);
	return buf;
}

static always_inline void thunk_exec(struct cpu *c, const struct insn *in, unsigned t, int size,
				     bool mem)
{
	u8 buf[32] __attribute__((aligned(32)));
	u64 la = 0, count;
	unsigned n = mem ? thunk_size(in, size) : 0;
	void *v = NULL, *w = NULL, *h = NULL, *l = NULL;
	thunk_fn *stub;
	int r;

	if (t & T_V)
		v = c->s.ymm[in->reg];
	else if (t & T_G)
		v = (char *)c->r + in->greg;
	if (t & T_H)
		h = c->s.ymm[in->vvvv];
	if (t & T_L)
		l = c->s.ymm[in->imm2];
	if (t & T_X0)
		l = c->s.ymm[0];
	if (t & (T_FP | T_MM))
		fpu_need(c);
	if (t & T_SHIFT) {
		count = (u8)in->imm;
		w = &count;
	} else if (mem) {
		if ((t & T_MM) && !(t & T_V))
			x87_check(c);
		la = mem_addr(c, in, n, t & T_ST ? ACC_WRITE : ACC_READ);
		w = thunk_mem(c, la, t, n, buf);
	} else if (t & T_W) {
		w = c->s.ymm[in->rm];
	} else if (t & T_E) {
		w = (char *)c->r + in->ereg;
	}
	stub = thunk_stub(in, t, mem);
	for (;;) {
		r = stub(v, w, h, l, t & T_STR ? c->s.ymm : NULL, t & T_STR ? c->r : NULL);
		if (!(t & (T_FP | T_MM)) || likely(r >= 0))
			break;
		thunk_failed(c, t & T_MM);
	}
	if (t & T_FL)
		fl_set_status(c, (r >> 8 & 0xd5) | (r & 1) << 11);
	if (mem && (t & T_ST) && w == buf)
		mem_st_bytes(c, la, buf, n);
}

#define THUNK_BODY(name, t, size)                                                                  \
	static void name##_r(struct cpu *c, const struct insn *in)                                 \
	{                                                                                          \
		thunk_exec(c, in, t, size, false);                                                 \
	}                                                                                          \
	static void name##_m(struct cpu *c, const struct insn *in)                                 \
	{                                                                                          \
		thunk_exec(c, in, t, size, true);                                                  \
	}                                                                                          \
	const struct insn_body name = {                                                            \
		{name##_r, name##_m, name##_r, name##_m, name##_r, name##_m, name##_r, name##_m}};

#endif
