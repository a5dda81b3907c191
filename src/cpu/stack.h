/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack: near pushes and pops at the current privilege level.
 *
 * RSP changes only after the access succeeded. The stack-address size follows SS.B (64-bit mode:
 * 64). Non-canonical stack addresses are #SS(0).
 *
 * Context: vcpu.
 */
#ifndef CPU_STACK_H
#define CPU_STACK_H

#include "cpu/mem.h"

u64 stack_ld_slow(struct cpu *c, u64 la, unsigned size);
void stack_st_slow(struct cpu *c, u64 la, unsigned size, u64 v);
/* Faults as a store would. */
void stack_probe_slow(struct cpu *c, u64 la, unsigned size);

static always_inline u64 stack_mask(const struct cpu *c)
{
	if (likely(c->mode & MODE_64))
		return ~0ull;
	return c->mode & MODE_SS32 ? 0xffffffffull : 0xffffull;
}

/* Writes RSP under the stack-address size. */
static always_inline void stack_set(struct cpu *c, u64 sp)
{
	u64 mask = stack_mask(c);
	if (mask == 0xffff)
		c->r[R_RSP] = (c->r[R_RSP] & ~mask) | (sp & mask);
	else
		c->r[R_RSP] = sp & mask;
}

/* Value at [SP + disp], no change of SP. */
static always_inline u64 stack_peek(struct cpu *c, unsigned size, u64 disp)
{
	u64 la = mem_la(c, S_SS, (c->r[R_RSP] + disp) & stack_mask(c), size, ACC_READ);
	const void *p = tlb_read(c, la, size);
	return likely(p != NULL) ? ld_size(p, size) : stack_ld_slow(c, la, size);
}

static always_inline void stack_push(struct cpu *c, unsigned size, u64 v)
{
	u64 sp = (c->r[R_RSP] - size) & stack_mask(c);
	u64 la = mem_la(c, S_SS, sp, size, ACC_WRITE);
	void *p = tlb_write(c, la, size);
	if (likely(p != NULL))
		st_size(p, size, v);
	else
		stack_st_slow(c, la, size, v);
	stack_set(c, sp);
}

static always_inline u64 stack_pop(struct cpu *c, unsigned size)
{
	u64 v = stack_peek(c, size, 0);
	stack_set(c, c->r[R_RSP] + size);
	return v;
}

#endif
