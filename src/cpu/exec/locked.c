/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locked: atomic read-modify-write on guest memory.
 *
 * Inside one page of RAM the host's own LOCKed instruction does it, whatever the alignment. A
 * page-crossing, MMIO or ROM operand stops all other vCPUs for the duration.
 *
 * Entered by instruction bodies with a LOCK prefix and by XCHG. Context: vcpu.
 */
#include "cpu/exec/body.h"

/* The compiler's builtins want aligned pointers; the CPU does not. */
static bool cas(void *p, unsigned size, u64 *old, u64 v)
{
	bool ok;
	switch (size) {
	case 1:
		__asm__ volatile("lock cmpxchgb %b3, %1"
				 : "=@ccz"(ok), "+m"(*(u8 *)p), "+a"(*old)
				 : "q"(v)
				 : "memory");
		*old = (u8)*old;
		break;
	case 2:
		__asm__ volatile("lock cmpxchgw %w3, %1"
				 : "=@ccz"(ok), "+m"(*(u16 *)p), "+a"(*old)
				 : "r"(v)
				 : "memory");
		*old = (u16)*old;
		break;
	case 4:
		__asm__ volatile("lock cmpxchgl %k3, %1"
				 : "=@ccz"(ok), "+m"(*(u32 *)p), "+a"(*old)
				 : "r"(v)
				 : "memory");
		*old = (u32)*old;
		break;
	default:
		__asm__ volatile("lock cmpxchgq %3, %1"
				 : "=@ccz"(ok), "+m"(*(u64 *)p), "+a"(*old)
				 : "r"(v)
				 : "memory");
		break;
	}
	return ok;
}

void locked_begin_at(struct cpu *c, u64 la, unsigned size, struct locked *l)
{
	l->la = la;
	l->p = mem_lock_ptr(c, la, size);
	if (l->p) {
		l->old = ld_size(l->p, size);
		return;
	}
	c->ops->world_stop(c);
	c->world = true;
	l->old = mem_rmw_slow(c, la, size);
}

bool locked_try(struct cpu *c, unsigned size, struct locked *l, u64 v)
{
	if (l->p)
		return cas(l->p, size, &l->old, v);
	mem_st_slow(c, l->la, size, v);
	c->world = false;
	c->ops->world_start(c);
	return true;
}
