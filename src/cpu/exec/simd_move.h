/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_move: XMM/YMM slots as the bodies of moves see them.
 *
 * XMM n is the low half of c->s.ymm[n]. Legacy SSE keeps the high half, VEX.128 clears it. Slots
 * are written with the width they will be read with, or store forwarding fails in the stub that
 * follows.
 *
 * Freestanding, no state. Context: vcpu.
 */
#ifndef CPU_EXEC_SIMD_MOVE_H
#define CPU_EXEC_SIMD_MOVE_H

#include <emmintrin.h>

#include "cpu/cpu.h"
#include "cpu/insn_forms.h"
#include "cpu/mem.h"

static always_inline void *slot(struct cpu *c, unsigned n)
{
	return c->s.ymm[n];
}

static always_inline __m128i slot_low(struct cpu *c, unsigned n)
{
	return _mm_loadu_si128(slot(c, n));
}
/* Legacy write: bits 255:128 stay. */
static always_inline void slot_set(struct cpu *c, unsigned n, __m128i x)
{
	_mm_storeu_si128(slot(c, n), x);
}
/* VEX.128 write. */
static always_inline void slot_set_zx(struct cpu *c, unsigned n, __m128i x)
{
	__m128i *p = slot(c, n);
	_mm_storeu_si128(p, x);
	_mm_storeu_si128(p + 1, _mm_setzero_si128());
}
/* 32 bytes in one load and one store. Only where the guest, so the host, has AVX. */
static always_inline void copy32(void *to, const void *from)
{
	__asm__ volatile("vmovdqu (%1), %%ymm0\n\tvmovdqu %%ymm0, (%0)\n\tvzeroupper"
			 :
			 : "r"(to), "r"(from)
			 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory");
}

static always_inline __m128i vec_of64(u64 v)
{
	return _mm_cvtsi64_si128((s64)v);
}
static always_inline __m128i vec_of32(u32 v)
{
	return _mm_cvtsi32_si128((s32)v);
}

/* Bodies that do not depend on the operand size. */
#define BODY_RM(name, reg, mem)                                                                    \
	const struct insn_body x_##name = {{reg, mem, reg, mem, reg, mem, reg, mem}};

#endif
