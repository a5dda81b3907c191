/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem: the slow halves of guest memory accesses: TLB misses, page crossings, MMIO, code pages.
 *
 * Every access first translates all pages it touches, so that a fault leaves memory as it was.
 * Entered from instruction bodies on the vCPU's thread.
 */
#include "cpu/mem.h"
#include "cpu/stack.h"

/* --- address checks --- */

static bool canonical(u64 la)
{
	return (u64)((s64)(la << 16) >> 16) == la;
}

/* The fault of an operand's address: its segment decides. */
static unsigned operand_vector(const struct cpu *c)
{
	return c->cur && c->cur->seg == S_SS ? EXC_SS : EXC_GP;
}

/* The whole of [la, la+size) must be canonical or, outside 64-bit mode, inside the flat segment
 * that nobody checked before; LA_WRAPS says that somebody did. */
static u64 checked(struct cpu *c, u64 la, unsigned size, unsigned vector)
{
	if (c->mode & MODE_64) {
		if (unlikely(!canonical(la) || !canonical(la + size - 1)))
			cpu_raise_err(c, vector, 0);
		return la;
	}
	if (unlikely(la + size - 1 > 0xffffffffull && !(la & LA_WRAPS)))
		cpu_raise_err(c, vector, 0);
	return (u32)la;
}

static u64 wrap(const struct cpu *c, u64 la)
{
	return c->mode & MODE_64 || c->s.efer & EFER_LMA ? la : (u32)la;
}

static enum cpu_view view_of(const struct cpu *c)
{
	return (enum cpu_view)(c->view - c->views);
}

static enum cpu_view sys_view(const struct cpu *c)
{
	return c->s.cr4 & CR4_SMAP ? VIEW_SMAP : VIEW_SUPER;
}

/* --- one page --- */

/* Translated piece of an access: RAM or MMIO. */
struct piece {
	u8 *host;
	gpa_t gpa;
	unsigned flags;
};

static struct piece piece_get(struct cpu *c, u64 la, enum cpu_access acc, enum cpu_view view)
{
	struct piece p = {.flags = 0};
	p.gpa = walk_translate(c, la, acc, view);
	p.host = c->ops->page(c, p.gpa & ~0xfffull, &p.flags);
	if (p.host)
		p.host += p.gpa & 0xfff;
	return p;
}

static void piece_read(struct cpu *c, const struct piece *p, void *buf, unsigned size)
{
	u8 *out = buf;
	if (p->host) {
		if (size <= 8 && is_pow2(size))
			st_size(buf, size, ld_size(p->host, size));
		else
			__builtin_memcpy(buf, p->host, size);
		return;
	}
	for (unsigned n, i = 0; i < size; i += n) {
		u64 v;
		for (n = 8; n > size - i || (p->gpa + i) & (n - 1); n /= 2)
			;
		v = c->ops->mmio_read(c, p->gpa + i, n);
		st_size(out + i, n, v);
	}
}

static void piece_write(struct cpu *c, const struct piece *p, const void *buf, unsigned size)
{
	const u8 *in = buf;
	if (p->host) {
		if (!(p->flags & (PAGE_WRITABLE | PAGE_CODE)))
			return; /* ROM stays as it is */
		if (c->ops->will_write)
			c->ops->will_write(c, p->host, size);
		if (size <= 8 && is_pow2(size))
			st_size(p->host, size, ld_size(buf, size));
		else
			__builtin_memcpy(p->host, buf, size);
		if (p->flags & PAGE_CODE)
			c->ops->slow_write(c, p->gpa, size);
		return;
	}
	for (unsigned n, i = 0; i < size; i += n) {
		for (n = 8; n > size - i || (p->gpa + i) & (n - 1); n /= 2)
			;
		c->ops->mmio_write(c, p->gpa + i, n, ld_size(in + i, n));
	}
}

/* MMIO of one register-sized access keeps its size even when unaligned. */
static bool mmio_whole(const struct piece *p, unsigned size)
{
	return !p->host && size <= 8 && is_pow2(size);
}

/* Data breakpoints (SDM 3A 17.2.4): pages under one are never in the TLB, so all come by here. */
static void breakpoints(struct cpu *c, u64 la, unsigned size, bool write)
{
	static const u8 len_of[4] = {1, 2, 8, 4};
	for (unsigned i = 0; i < 4; i++) {
		unsigned rw = c->s.dr7 >> (16 + i * 4) & 3;
		u64 len = len_of[c->s.dr7 >> (18 + i * 4) & 3], at = c->s.dr[i] & ~(len - 1);
		if (!(c->s.dr7 >> (i * 2) & 3) || !(rw == 3 || (rw == 1 && write)))
			continue;
		if (la < at + len && at < la + size)
			c->dr6_pending |= BIT(i);
	}
}

static void access_read(struct cpu *c, u64 la, void *buf, unsigned size, enum cpu_access acc,
			enum cpu_view view)
{
	unsigned first = 0x1000 - (unsigned)(la & 0xfff);
	struct piece a, b;
	a = piece_get(c, la, acc, view);
	if (unlikely(c->dr_armed))
		breakpoints(c, la, size, acc == ACC_WRITE);
	if (size <= first) {
		if (mmio_whole(&a, size))
			st_size(buf, size, c->ops->mmio_read(c, a.gpa, size));
		else
			piece_read(c, &a, buf, size);
		return;
	}
	b = piece_get(c, wrap(c, la + first), acc, view);
	piece_read(c, &a, buf, first);
	piece_read(c, &b, (u8 *)buf + first, size - first);
}

static void access_write(struct cpu *c, u64 la, const void *buf, unsigned size, enum cpu_view view)
{
	unsigned first = 0x1000 - (unsigned)(la & 0xfff);
	struct piece a, b;
	a = piece_get(c, la, ACC_WRITE, view);
	if (unlikely(c->dr_armed))
		breakpoints(c, la, size, true);
	if (size <= first) {
		if (mmio_whole(&a, size))
			c->ops->mmio_write(c, a.gpa, size, ld_size(buf, size));
		else
			piece_write(c, &a, buf, size);
		return;
	}
	b = piece_get(c, wrap(c, la + first), ACC_WRITE, view);
	piece_write(c, &a, buf, first);
	piece_write(c, &b, (const u8 *)buf + first, size - first);
}

/* --- explicit accesses --- */

u64 mem_ld_slow(struct cpu *c, u64 la, unsigned size)
{
	u64 v = 0;
	la = checked(c, la, size, operand_vector(c));
	access_read(c, la, &v, size, ACC_READ, view_of(c));
	return v;
}

u64 mem_rmw_slow(struct cpu *c, u64 la, unsigned size)
{
	u64 v = 0;
	la = checked(c, la, size, operand_vector(c));
	access_read(c, la, &v, size, ACC_WRITE, view_of(c));
	return v;
}

void mem_st_slow(struct cpu *c, u64 la, unsigned size, u64 v)
{
	la = checked(c, la, size, operand_vector(c));
	access_write(c, la, &v, size, view_of(c));
}

void mem_ld_bytes(struct cpu *c, u64 la, void *buf, unsigned size)
{
	const void *p = tlb_read(c, la, size);
	if (likely(p != NULL)) {
		__builtin_memcpy(buf, p, size);
		return;
	}
	la = checked(c, la, size, operand_vector(c));
	access_read(c, la, buf, size, ACC_READ, view_of(c));
}

void mem_st_bytes(struct cpu *c, u64 la, const void *buf, unsigned size)
{
	void *p = tlb_write(c, la, size);
	if (likely(p != NULL)) {
		__builtin_memcpy(p, buf, size);
		return;
	}
	la = checked(c, la, size, operand_vector(c));
	access_write(c, la, buf, size, view_of(c));
}

void mem_probe(struct cpu *c, u64 la, unsigned size, enum cpu_access acc)
{
	if (likely(acc == ACC_WRITE ? tlb_write(c, la, size) != NULL
				    : acc == ACC_READ && tlb_read(c, la, size) != NULL))
		return;
	la = checked(c, la, size, operand_vector(c));
	walk_translate(c, la, acc, view_of(c));
	if ((la & 0xfff) + size > 0x1000) /* CR2: the first byte that cannot be reached */
		walk_translate(c, wrap(c, (la | 0xfff) + 1), acc, view_of(c));
}

void *mem_lock_ptr(struct cpu *c, u64 la, unsigned size)
{
	void *p = tlb_write(c, la, size);
	struct piece a;
	if (likely(p != NULL))
		return p;
	mem_probe(c, la, size, ACC_WRITE);
	if ((la & 0xfff) + size > 0x1000)
		return NULL;
	la = checked(c, la, size, operand_vector(c));
	a = piece_get(c, la, ACC_WRITE, view_of(c));
	return a.host && a.flags & PAGE_WRITABLE ? a.host : NULL;
}

/* --- stack --- */

u64 stack_ld_slow(struct cpu *c, u64 la, unsigned size)
{
	u64 v = 0;
	la = checked(c, la, size, EXC_SS);
	access_read(c, la, &v, size, ACC_READ, view_of(c));
	return v;
}

void stack_st_slow(struct cpu *c, u64 la, unsigned size, u64 v)
{
	la = checked(c, la, size, EXC_SS);
	access_write(c, la, &v, size, view_of(c));
}

void stack_probe_slow(struct cpu *c, u64 la, unsigned size)
{
	mem_probe(c, checked(c, la, size, EXC_SS), size, ACC_WRITE);
}

/* --- implicit accesses --- */

u64 sys_ld(struct cpu *c, u64 la, unsigned size)
{
	const struct tlb_entry *e = &c->views[sys_view(c)].e[la >> 12 & (TLB_ENTRIES - 1)];
	u64 v = 0;
	if (likely(e->r == (la + size - 1) >> 12))
		return ld_size((const void *)(la + e->add), size);
	access_read(c, wrap(c, la), &v, size, ACC_READ, sys_view(c));
	return v;
}

void sys_st(struct cpu *c, u64 la, unsigned size, u64 v)
{
	const struct tlb_entry *e = &c->views[sys_view(c)].e[la >> 12 & (TLB_ENTRIES - 1)];
	if (likely(e->w == (la + size - 1) >> 12))
		st_size((void *)(la + e->add), size, v);
	else
		access_write(c, wrap(c, la), &v, size, sys_view(c));
}

void sys_probe_write(struct cpu *c, u64 la, unsigned size)
{
	walk_translate(c, la, ACC_WRITE, sys_view(c));
	if ((la & 0xfff) + size > 0x1000)
		walk_translate(c, wrap(c, (la | 0xfff) + 1), ACC_WRITE, sys_view(c));
}

static enum cpu_view cpl_view(const struct cpu *c, unsigned cpl)
{
	if (cpl == 3)
		return VIEW_USER;
	return c->s.cr4 & CR4_SMAP && !(c->rflags & FL_AC) ? VIEW_SMAP : VIEW_SUPER;
}

u64 cpl_ld(struct cpu *c, unsigned cpl, u64 la, unsigned size)
{
	u64 v = 0;
	access_read(c, wrap(c, la), &v, size, ACC_READ, cpl_view(c, cpl));
	return v;
}

void cpl_st(struct cpu *c, unsigned cpl, u64 la, unsigned size, u64 v)
{
	access_write(c, wrap(c, la), &v, size, cpl_view(c, cpl));
}
