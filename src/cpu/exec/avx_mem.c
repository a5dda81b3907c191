/* SPDX-License-Identifier: Apache-2.0 */
/*
 * avx_mem: vector instructions that touch memory element by element: VMASKMOV, VPMASKMOV, gathers,
 * MASKMOVDQU, MASKMOVQ.
 *
 * Masked-off elements never fault. Masked loads and stores are all or nothing; gathers go from the
 * lowest element up, and a fault leaves the elements before it loaded and their mask cleared
 * (SDM 2C, VPGATHERDD).
 *
 * Entered by: the interpreter. Context: vcpu.
 */
#include "cpu/exec/simd_move.h"
#include "cpu/exec/simd_thunk.h"

#define BODY(name) BODY_RM(name, name, name)
#define FN(name)   static void name(struct cpu *c, const struct insn *in)

/* --- elements of a slot --- */

static always_inline u64 elem(const void *v, unsigned size, unsigned i)
{
	return ld_size((const u8 *)v + i * size, size);
}
static always_inline void elem_set(void *v, unsigned size, unsigned i, u64 x)
{
	st_size((u8 *)v + i * size, size, x);
}
/* The top bit of element i. */
static always_inline bool elem_on(const void *v, unsigned size, unsigned i)
{
	return elem(v, size, i) >> (size * 8 - 1) & 1;
}

/* Clears the slot above its first `from` bytes. */
static void slot_clear_above(struct cpu *c, unsigned n, unsigned from)
{
	__builtin_memset((u8 *)slot(c, n) + from, 0, 32 - from);
}

/* --- masked moves --- */

/* Linear address of element i at segment offset `off`. */
static u64 elem_addr(struct cpu *c, const struct insn *in, u64 off, unsigned size,
		     enum cpu_access acc)
{
	if (in->asz != 8)
		off = in->asz == 4 ? (u32)off : (u16)off;
	if (unlikely(c->seg_chk >> in->seg & 1)) { /* limit, but no alignment check */
		u64 last = mem_la(c, in->seg, off + size - 1, 1, acc);
		u64 la = mem_la(c, in->seg, off, 1, acc);
		return c->mode & MODE_64 || last >= la ? la : la | LA_WRAPS;
	}
	return mem_la(c, in->seg, off, 1, acc);
}

static always_inline void maskmov_load(struct cpu *c, const struct insn *in, unsigned size)
{
	const void *mask = slot(c, in->vvvv);
	u64 buf[4] = {0}, ea = mem_ea(c, in);
	unsigned i;

	for (i = 0; i < in->vl / size; i++)
		if (elem_on(mask, size, i))
			elem_set(buf, size, i,
				 mem_ld(c, elem_addr(c, in, ea + i * size, size, ACC_READ), size));
	__builtin_memcpy(slot(c, in->reg), buf, 32);
}

/* Stores the elements whose mask is on; nothing is stored when one of them faults. */
static always_inline void masked_store(struct cpu *c, const struct insn *in, u64 ea, unsigned total,
				       unsigned size, const void *mask, const void *data)
{
	unsigned i;
	u64 la;

	for (i = 0; i < total / size; i++) {
		if (!elem_on(mask, size, i))
			continue;
		la = elem_addr(c, in, ea + i * size, size, ACC_WRITE);
		if (!tlb_write(c, la, size))
			mem_probe(c, la, size, ACC_WRITE);
	}
	for (i = 0; i < total / size; i++) {
		if (!elem_on(mask, size, i))
			continue;
		la = elem_addr(c, in, ea + i * size, size, ACC_WRITE);
		mem_st(c, la, size, elem(data, size, i));
	}
}

FN(vmaskmov4_VHM)
{
	maskmov_load(c, in, 4);
}
FN(vmaskmov8_VHM)
{
	maskmov_load(c, in, 8);
}
FN(vmaskmov4_MHV)
{
	masked_store(c, in, mem_ea(c, in), in->vl, 4, slot(c, in->vvvv), slot(c, in->reg));
}
FN(vmaskmov8_MHV)
{
	masked_store(c, in, mem_ea(c, in), in->vl, 8, slot(c, in->vvvv), slot(c, in->reg));
}
BODY(vmaskmov4_VHM)
BODY(vmaskmov8_VHM)
BODY(vmaskmov4_MHV)
BODY(vmaskmov8_MHV)

/* MASKMOVDQU and MASKMOVQ fault as a store of the whole operand, also where the mask is off: the
 * manual leaves it open, AMD does it. */
static void maskmov_probe(struct cpu *c, const struct insn *in, unsigned size)
{
	u64 off = c->r[R_RDI], la;

	if (in->asz != 8)
		off = in->asz == 4 ? (u32)off : (u16)off;
	mem_la(c, in->seg, off + size - 1, 1, ACC_WRITE);
	la = mem_la(c, in->seg, off, 8, ACC_WRITE);
	if (!tlb_write(c, la, size))
		mem_probe(c, la, size, ACC_WRITE);
}

FN(maskmovdqu)
{
	maskmov_probe(c, in, 16);
	masked_store(c, in, c->r[R_RDI], 16, 1, slot(c, in->rm), slot(c, in->reg));
}
BODY(maskmovdqu)

/* The stub of MASKMOVQ copies the live registers: v = ModRM.reg, w = ModRM.rm. */
FN(maskmovq)
{
	u64 data, mask;

	fpu_need(c);
	thunk_mm_get(c, in->reg & 7, &data);
	thunk_mm_get(c, in->rm & 7, &mask);
	maskmov_probe(c, in, 8);
	masked_store(c, in, c->r[R_RDI], 8, 1, &mask, &data);
}
BODY(maskmovq)

/* --- gathers --- */

static always_inline void gather(struct cpu *c, const struct insn *in, unsigned isize,
				 unsigned size)
{
	unsigned index = in->index / 8u, n = in->vl / (isize > size ? isize : size), i;
	void *dest = slot(c, in->reg), *mask = slot(c, in->vvvv);
	const void *idx = slot(c, index);
	u64 base = reg_get(c, in->base, 8) + (u64)in->disp, off;

	if (in->reg == in->vvvv || in->reg == index || in->vvvv == index)
		cpu_ud(c);
	for (i = 0; i < n; i++) {
		if (elem_on(mask, size, i)) {
			off = elem(idx, isize, i);
			if (isize == 4)
				off = (u64)(s64)(s32)off;
			off = base + (off << in->scale);
			off = mem_ld(c, elem_addr(c, in, off, size, ACC_READ), size);
			elem_set(dest, size, i, off);
		}
		elem_set(mask, size, i, 0);
	}
	slot_clear_above(c, in->reg, n * size);
	slot_clear_above(c, in->vvvv, 0);
}

FN(vgather_dd)
{
	gather(c, in, 4, 4);
}
FN(vgather_dq)
{
	gather(c, in, 4, 8);
}
FN(vgather_qd)
{
	gather(c, in, 8, 4);
}
FN(vgather_qq)
{
	gather(c, in, 8, 8);
}
BODY(vgather_dd)
BODY(vgather_dq)
BODY(vgather_qd)
BODY(vgather_qq)
