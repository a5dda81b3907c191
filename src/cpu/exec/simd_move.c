/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_move: MOVAPS, MOVUPS, MOVDQA, MOVQ, MOVD, MOVSS, MOVSD, MOVLPS, MOVHPS and their VEX forms,
 * VZEROUPPER, VZEROALL, MFENCE, CLFLUSH. The most frequent SIMD instructions, so plain C.
 *
 * Entered by: the interpreter, one body per table form (V, W, H .. as in table/README.md).
 * Trusts the decoder. Context: vcpu.
 */
#include "cpu/exec/simd_move.h"

/* A register-only or memory-only form: the other half is never bound. */
#define BODY(name) BODY_RM(name, name, name)
#define FN(name)   static void name(struct cpu *c, const struct insn *in)

/* --- whole registers --- */

static always_inline void load16(struct cpu *c, const struct insn *in, unsigned align)
{
	u64 la = mem_addr(c, in, 16, ACC_READ);
	mem_ld_vec(c, la, slot(c, in->reg), 16, align);
}

static always_inline void store16(struct cpu *c, const struct insn *in, unsigned align)
{
	u64 la = mem_addr(c, in, 16, ACC_WRITE);
	mem_st_vec(c, la, slot(c, in->reg), 16, align);
}

static always_inline void vload16(struct cpu *c, const struct insn *in, unsigned align)
{
	load16(c, in, align);
	_mm_storeu_si128((__m128i *)slot(c, in->reg) + 1, _mm_setzero_si128());
}

static always_inline void vload32(struct cpu *c, const struct insn *in, unsigned align)
{
	u64 la = mem_addr(c, in, 32, ACC_READ);
	const void *p;

	if (unlikely(align && (la & (align - 1))))
		cpu_gp0(c);
	p = tlb_read(c, la, 32);
	if (likely(p != NULL))
		copy32(slot(c, in->reg), p);
	else
		mem_ld_bytes(c, la, slot(c, in->reg), 32);
}

static always_inline void vstore32(struct cpu *c, const struct insn *in, unsigned align)
{
	u64 la = mem_addr(c, in, 32, ACC_WRITE);
	void *p;

	if (unlikely(align && (la & (align - 1))))
		cpu_gp0(c);
	p = tlb_write(c, la, 32);
	if (likely(p != NULL))
		copy32(p, slot(c, in->reg));
	else
		mem_st_bytes(c, la, slot(c, in->reg), 32);
}

FN(mov16_vw)
{
	slot_set(c, in->reg, slot_low(c, in->rm));
}
FN(mov16_wv)
{
	slot_set(c, in->rm, slot_low(c, in->reg));
}
FN(mov16u_vm)
{
	load16(c, in, 0);
}
FN(mov16a_vm)
{
	load16(c, in, 16);
}
FN(mov16u_mv)
{
	store16(c, in, 0);
}
FN(mov16a_mv)
{
	store16(c, in, 16);
}
BODY_RM(mov16u_VW, mov16_vw, mov16u_vm)
BODY_RM(mov16a_VW, mov16_vw, mov16a_vm)
BODY_RM(mov16u_WV, mov16_wv, mov16u_mv)
BODY_RM(mov16a_WV, mov16_wv, mov16a_mv)

FN(vmov16_vw)
{
	slot_set_zx(c, in->reg, slot_low(c, in->rm));
}
FN(vmov16_wv)
{
	slot_set_zx(c, in->rm, slot_low(c, in->reg));
}
FN(vmov16u_vm)
{
	vload16(c, in, 0);
}
FN(vmov16a_vm)
{
	vload16(c, in, 16);
}
BODY_RM(vmov16u_VW, vmov16_vw, vmov16u_vm)
BODY_RM(vmov16a_VW, vmov16_vw, vmov16a_vm)
BODY_RM(vmov16u_WV, vmov16_wv, mov16u_mv)
BODY_RM(vmov16a_WV, vmov16_wv, mov16a_mv)

FN(vmov32_vw)
{
	copy32(slot(c, in->reg), slot(c, in->rm));
}
FN(vmov32_wv)
{
	copy32(slot(c, in->rm), slot(c, in->reg));
}
FN(vmov32u_vm)
{
	vload32(c, in, 0);
}
FN(vmov32a_vm)
{
	vload32(c, in, 32);
}
FN(vmov32u_mv)
{
	vstore32(c, in, 0);
}
FN(vmov32a_mv)
{
	vstore32(c, in, 32);
}
BODY_RM(vmov32u_VW, vmov32_vw, vmov32u_vm)
BODY_RM(vmov32a_VW, vmov32_vw, vmov32a_vm)
BODY_RM(vmov32u_WV, vmov32_wv, vmov32u_mv)
BODY_RM(vmov32a_WV, vmov32_wv, vmov32a_mv)

/* --- 4 and 8 bytes, memory and general registers --- */

static always_inline u64 load(struct cpu *c, const struct insn *in, unsigned size)
{
	return mem_ld(c, mem_addr(c, in, size, ACC_READ), size);
}

static always_inline void store(struct cpu *c, const struct insn *in, unsigned size, u64 v)
{
	mem_st(c, mem_addr(c, in, size, ACC_WRITE), size, v);
}

static always_inline u64 slot_q(struct cpu *c, unsigned n, unsigned i)
{
	return ((const u64 *)slot(c, n))[i];
}

FN(mov4_VM)
{
	slot_set(c, in->reg, vec_of32((u32)load(c, in, 4)));
}
FN(vmov4_VM)
{
	slot_set_zx(c, in->reg, vec_of32((u32)load(c, in, 4)));
}
FN(mov4_MV)
{
	store(c, in, 4, (u32)slot_q(c, in->reg, 0));
}
BODY(mov4_VM)
BODY(vmov4_VM)
BODY(mov4_MV)

FN(movq_vu)
{
	slot_set(c, in->reg, _mm_move_epi64(slot_low(c, in->rm)));
}
FN(movq_vm)
{
	slot_set(c, in->reg, vec_of64(load(c, in, 8)));
}
FN(movq_UV)
{
	slot_set(c, in->rm, _mm_move_epi64(slot_low(c, in->reg)));
}
FN(vmovq_vu)
{
	slot_set_zx(c, in->reg, _mm_move_epi64(slot_low(c, in->rm)));
}
FN(vmovq_vm)
{
	slot_set_zx(c, in->reg, vec_of64(load(c, in, 8)));
}
FN(vmovq_UV)
{
	slot_set_zx(c, in->rm, _mm_move_epi64(slot_low(c, in->reg)));
}
FN(movq_MV)
{
	store(c, in, 8, slot_q(c, in->reg, 0));
}
FN(movhps_MV)
{
	store(c, in, 8, slot_q(c, in->reg, 1));
}
BODY_RM(movq_VW, movq_vu, movq_vm)
BODY_RM(vmovq_VW, vmovq_vu, vmovq_vm)
BODY(movq_UV)
BODY(vmovq_UV)
BODY(movq_MV)
BODY(movhps_MV)

FN(movd_ve4)
{
	slot_set(c, in->reg, vec_of32((u32)reg_get(c, in->ereg, 4)));
}
FN(movd_ve8)
{
	slot_set(c, in->reg, vec_of64(reg_get(c, in->ereg, 8)));
}
FN(vmovd_ve4)
{
	slot_set_zx(c, in->reg, vec_of32((u32)reg_get(c, in->ereg, 4)));
}
FN(vmovd_ve8)
{
	slot_set_zx(c, in->reg, vec_of64(reg_get(c, in->ereg, 8)));
}
FN(movd_ev4)
{
	reg_set(c, in->ereg, 4, slot_q(c, in->reg, 0));
}
FN(movd_ev8)
{
	reg_set(c, in->ereg, 8, slot_q(c, in->reg, 0));
}

/* By operand size, 4 or 8 bytes. */
#define BODY_Y(name, r4, m4, r8, m8)                                                               \
	const struct insn_body x_##name = {{r4, m4, r4, m4, r4, m4, r8, m8}};
BODY_Y(movd_VE, movd_ve4, mov4_VM, movd_ve8, movq_vm)
BODY_Y(vmovd_VE, vmovd_ve4, vmov4_VM, vmovd_ve8, vmovq_vm)
BODY_Y(movd_EV, movd_ev4, mov4_MV, movd_ev8, movq_MV)

/* --- parts of registers --- */

static always_inline __m128i low4(__m128i low, __m128i rest)
{
	return (__m128i)_mm_move_ss((__m128)rest, (__m128)low);
}
static always_inline __m128i low8(__m128i low, __m128i rest)
{
	return (__m128i)_mm_move_sd((__m128d)rest, (__m128d)low);
}
/* low 64 bits of a, low 64 bits of b above them */
static always_inline __m128i pair_low(__m128i a, __m128i b)
{
	return _mm_unpacklo_epi64(a, b);
}
static always_inline __m128i pair_high(__m128i a, __m128i b)
{
	return _mm_unpackhi_epi64(a, b);
}

FN(movss_VU)
{
	slot_set(c, in->reg, low4(slot_low(c, in->rm), slot_low(c, in->reg)));
}
FN(movss_UV)
{
	slot_set(c, in->rm, low4(slot_low(c, in->reg), slot_low(c, in->rm)));
}
FN(movsd_VU)
{
	slot_set(c, in->reg, low8(slot_low(c, in->rm), slot_low(c, in->reg)));
}
FN(movsd_UV)
{
	slot_set(c, in->rm, low8(slot_low(c, in->reg), slot_low(c, in->rm)));
}
FN(vmovss_VHU)
{
	slot_set_zx(c, in->reg, low4(slot_low(c, in->rm), slot_low(c, in->vvvv)));
}
FN(vmovss_UHV)
{
	slot_set_zx(c, in->rm, low4(slot_low(c, in->reg), slot_low(c, in->vvvv)));
}
FN(vmovsd_VHU)
{
	slot_set_zx(c, in->reg, low8(slot_low(c, in->rm), slot_low(c, in->vvvv)));
}
FN(vmovsd_UHV)
{
	slot_set_zx(c, in->rm, low8(slot_low(c, in->reg), slot_low(c, in->vvvv)));
}
BODY(movss_VU)
BODY(movss_UV)
BODY(movsd_VU)
BODY(movsd_UV)
BODY(vmovss_VHU)
BODY(vmovss_UHV)
BODY(vmovsd_VHU)
BODY(vmovsd_UHV)

FN(movlps_VM)
{
	__m128i m = vec_of64(load(c, in, 8));
	slot_set(c, in->reg, low8(m, slot_low(c, in->reg)));
}
FN(movhps_VM)
{
	__m128i m = vec_of64(load(c, in, 8));
	slot_set(c, in->reg, pair_low(slot_low(c, in->reg), m));
}
FN(vmovlps_VHM)
{
	__m128i m = vec_of64(load(c, in, 8));
	slot_set_zx(c, in->reg, low8(m, slot_low(c, in->vvvv)));
}
FN(vmovhps_VHM)
{
	__m128i m = vec_of64(load(c, in, 8));
	slot_set_zx(c, in->reg, pair_low(slot_low(c, in->vvvv), m));
}
BODY(movlps_VM)
BODY(movhps_VM)
BODY(vmovlps_VHM)
BODY(vmovhps_VHM)

/* MOVHLPS: the source's high half into the low one, which is UNPCKHPD the other way round. */
FN(movhlps)
{
	slot_set(c, in->reg, pair_high(slot_low(c, in->rm), slot_low(c, in->reg)));
}
FN(vmovhlps)
{
	slot_set_zx(c, in->reg, pair_high(slot_low(c, in->rm), slot_low(c, in->vvvv)));
}
FN(movlhps)
{
	slot_set(c, in->reg, pair_low(slot_low(c, in->reg), slot_low(c, in->rm)));
}
FN(vmovlhps)
{
	slot_set_zx(c, in->reg, pair_low(slot_low(c, in->vvvv), slot_low(c, in->rm)));
}
BODY(movhlps)
BODY(vmovhlps)
BODY(movlhps)
BODY(vmovlhps)

/* --- without operands --- */

FN(vzeroupper)
{
	unsigned i, n = c->mode & MODE_64 ? 16 : 8;

	(void)in;
	for (i = 0; i < n; i++)
		_mm_storeu_si128((__m128i *)slot(c, i) + 1, _mm_setzero_si128());
}
FN(vzeroall)
{
	unsigned i, n = c->mode & MODE_64 ? 16 : 8;

	(void)in;
	for (i = 0; i < n; i++)
		slot_set_zx(c, i, _mm_setzero_si128());
}
BODY(vzeroupper)
BODY(vzeroall)

/* Guest accesses are host accesses in program order: only MFENCE orders more than x86 does anyway.
 */
FN(mfence)
{
	(void)c;
	(void)in;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
BODY(mfence)

/* Coherent memory: only the address is checked. */
FN(clflush)
{
	mem_probe(c, mem_addr(c, in, 1, ACC_READ), 1, ACC_READ);
}
BODY(clflush)
