/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem: guest memory as instruction bodies see it: segment + offset -> linear -> host.
 *
 * Explicit accesses use the view of the current CPL; implicit ones (descriptor tables, TSS, the
 * stack of another privilege level) the sys_* calls, which check as supervisor. All of them leave
 * through cpu_raise on a fault, before anything was changed. Page-crossing accesses validate both
 * pages first. Aligned accesses of up to 8 bytes are single-copy atomic.
 *
 * Context: vcpu.
 */
#ifndef CPU_MEM_H
#define CPU_MEM_H

#include "cpu/cpu.h"

/* Effective address (offset in the segment) of the memory operand, wrapped to the address size. */
static always_inline u64 mem_ea(const struct cpu *c, const struct insn *in)
{
	u64 ea = reg_get(c, in->base, 8) + (reg_get(c, in->index, 8) << in->scale) + (u64)in->disp;
	if (unlikely(in->asz != 8))
		ea = in->asz == 4 ? (u32)ea : (u16)ea;
	return ea;
}

/* Set in a linear address outside 64-bit mode: the operand is inside its segment's limit, and goes
 * on at linear address 0. */
#define LA_WRAPS BIT64(40)

/* Segment checks outside 64-bit mode (limit, type, null) and #AC; returns the linear address, with
 * LA_WRAPS if need be. Raises #GP(0) or, for SS, #SS(0). */
u64 seg_check(struct cpu *c, unsigned seg, u64 off, unsigned size, enum cpu_access acc);

/* Linear address of [off, off+size) in seg. */
static always_inline u64 mem_la(struct cpu *c, unsigned seg, u64 off, unsigned size,
				enum cpu_access acc)
{
	if (unlikely(c->seg_chk >> seg & 1))
		return seg_check(c, seg, off, size, acc);
	return c->seg_base[seg] + off;
}

static always_inline u64 mem_addr(struct cpu *c, const struct insn *in, unsigned size,
				  enum cpu_access acc)
{
	return mem_la(c, in->seg, mem_ea(c, in), size, acc);
}

/* Host pointer when [la, la+size) is in one page of plain RAM that is already translated. */
static always_inline void *tlb_read(struct cpu *c, u64 la, unsigned size)
{
	const struct tlb_entry *e = &c->view->e[(la >> 12) & (TLB_ENTRIES - 1)];
	return likely(e->r == (la + size - 1) >> 12) ? (void *)(la + e->add) : NULL;
}
static always_inline void *tlb_write(struct cpu *c, u64 la, unsigned size)
{
	const struct tlb_entry *e = &c->view->e[(la >> 12) & (TLB_ENTRIES - 1)];
	return likely(e->w == (la + size - 1) >> 12) ? (void *)(la + e->add) : NULL;
}

/* Slow halves; size 1, 2, 4, 8. st_slow splits and invalidates code as needed. */
u64 mem_ld_slow(struct cpu *c, u64 la, unsigned size);
void mem_st_slow(struct cpu *c, u64 la, unsigned size, u64 v);
/* Reads with write intent: faults as a write, sets D; for read-modify-write. */
u64 mem_rmw_slow(struct cpu *c, u64 la, unsigned size);

/* Host pointer for a LOCKed access inside one page of RAM, after everything a write needs was done;
 * NULL: page-crossing, ROM or MMIO (use world_stop). Raises. */
void *mem_lock_ptr(struct cpu *c, u64 la, unsigned size);

/* By linear address, after mem_addr(). */
static always_inline u64 mem_ld(struct cpu *c, u64 la, unsigned size)
{
	const void *p = tlb_read(c, la, size);
	if (unlikely(!p))
		return mem_ld_slow(c, la, size);
	return ld_size(p, size);
}
static always_inline void mem_st(struct cpu *c, u64 la, unsigned size, u64 v)
{
	void *p = tlb_write(c, la, size);
	if (unlikely(!p)) {
		mem_st_slow(c, la, size, v);
		return;
	}
	st_size(p, size, v);
}

/* Bulk, any size up to 4096 (one page crossing at most): all or nothing with respect to faults. */
void mem_ld_bytes(struct cpu *c, u64 la, void *buf, unsigned size);
void mem_st_bytes(struct cpu *c, u64 la, const void *buf, unsigned size);
/* Faults as an access of that kind would, touches nothing else (sets A/D). */
void mem_probe(struct cpu *c, u64 la, unsigned size, enum cpu_access acc);

/* Vector operands: `align` != 0 raises #GP(0) when la is not a multiple of it. */
static always_inline void mem_ld_vec(struct cpu *c, u64 la, void *buf, unsigned size,
				     unsigned align)
{
	const void *p;
	if (unlikely(align && (la & (align - 1))))
		cpu_gp0(c);
	p = tlb_read(c, la, size);
	if (likely(p != NULL))
		__builtin_memcpy(buf, p, size);
	else
		mem_ld_bytes(c, la, buf, size);
}
static always_inline void mem_st_vec(struct cpu *c, u64 la, const void *buf, unsigned size,
				     unsigned align)
{
	void *p;
	if (unlikely(align && (la & (align - 1))))
		cpu_gp0(c);
	p = tlb_write(c, la, size);
	if (likely(p != NULL))
		__builtin_memcpy(p, buf, size);
	else
		mem_st_bytes(c, la, buf, size);
}

/* Implicit supervisor accesses at linear addresses. */
u64 sys_ld(struct cpu *c, u64 la, unsigned size);
void sys_st(struct cpu *c, u64 la, unsigned size, u64 v);
/* Faults as a supervisor write of [la, la+size) would. */
void sys_probe_write(struct cpu *c, u64 la, unsigned size);
/* Accesses as if at privilege `cpl` (stack pushes while CPL changes). */
u64 cpl_ld(struct cpu *c, unsigned cpl, u64 la, unsigned size);
void cpl_st(struct cpu *c, unsigned cpl, u64 la, unsigned size, u64 v);

/* walk.c: page walk. Fills the data TLB of `view` and returns the gpa; raises #PF. */
gpa_t walk_translate(struct cpu *c, u64 la, enum cpu_access acc, enum cpu_view view);
/* Without side effects and without raising: 0, or -1 when not mapped. For debuggers. */
int walk_peek(struct cpu *c, u64 la, gpa_t *gpa);
/* Instruction fetch: entry for la's page; raises #PF / #GP. */
const struct itlb_entry *walk_fetch(struct cpu *c, u64 la);

void tlb_flush_all(struct cpu *c); /* global entries too */
void tlb_flush_nonglobal(struct cpu *c);
void tlb_flush_page(struct cpu *c, u64 la);
void tlb_flush_writes(struct cpu *c); /* write tags only (EV_FLUSH) */

#endif
