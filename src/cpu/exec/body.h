/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body: macros that make an insn_body's eight functions out of one inline one.
 *
 * BODY_SIZED(name, fn): fn(c, in, size, mem) is an always_inline function; the eight instances have
 * both constants folded. BODY_ONE(name, fn): one insn_fn for everything.
 *
 * Entered by the files of exec/ only.
 */
#ifndef CPU_EXEC_BODY_H
#define CPU_EXEC_BODY_H

#include "cpu/insn_forms.h"
#include "cpu/mem.h"

#define BODY_INST_(name, fn, size, mem)                                                            \
	static void name##_##size##_##mem(struct cpu *c, const struct insn *in)                    \
	{                                                                                          \
		fn(c, in, size, mem);                                                              \
	}

#define BODY_SIZED(name, fn)                                                                       \
	BODY_INST_(name, fn, 1, 0)                                                                 \
	BODY_INST_(name, fn, 1, 1)                                                                 \
	BODY_INST_(name, fn, 2, 0)                                                                 \
	BODY_INST_(name, fn, 2, 1)                                                                 \
	BODY_INST_(name, fn, 4, 0)                                                                 \
	BODY_INST_(name, fn, 4, 1)                                                                 \
	BODY_INST_(name, fn, 8, 0)                                                                 \
	BODY_INST_(name, fn, 8, 1)                                                                 \
	const struct insn_body x_##name = {{name##_1_0, name##_1_1, name##_2_0, name##_2_1,        \
					    name##_4_0, name##_4_1, name##_8_0, name##_8_1}};

#define BODY_ONE(name, fn) const struct insn_body x_##name = {{fn, fn, fn, fn, fn, fn, fn, fn}};

/* ModRM.rm as a source, read-only. */
static always_inline u64 src_e(struct cpu *c, const struct insn *in, unsigned size, bool mem)
{
	if (mem)
		return mem_ld(c, mem_addr(c, in, size, ACC_READ), size);
	return reg_get(c, in->ereg, size);
}

/* ModRM.rm as a plain destination. */
static always_inline void dst_e(struct cpu *c, const struct insn *in, unsigned size, bool mem,
				u64 v)
{
	if (mem)
		mem_st(c, mem_addr(c, in, size, ACC_WRITE), size, v);
	else
		reg_set(c, in->ereg, size, v);
}

/* A read-modify-write of memory: translated for writing once, then loaded and stored. */
struct rmw {
	void *p;
	u64 la;
};

static always_inline u64 rmw_begin(struct cpu *c, const struct insn *in, unsigned size,
				   struct rmw *m)
{
	m->la = mem_addr(c, in, size, ACC_WRITE);
	m->p = tlb_write(c, m->la, size);
	return likely(m->p != NULL) ? ld_size(m->p, size) : mem_rmw_slow(c, m->la, size);
}

static always_inline void rmw_end(struct cpu *c, unsigned size, const struct rmw *m, u64 v)
{
	if (likely(m->p != NULL))
		st_size(m->p, size, v);
	else
		mem_st_slow(c, m->la, size, v);
}

/* A LOCKed read-modify-write: compare-and-swap on host memory, or with the world stopped. */
struct locked {
	void *p; /* NULL: the world stands still */
	u64 la;
	u64 old;
};

void locked_begin_at(struct cpu *c, u64 la, unsigned size, struct locked *l);
/* false: another vCPU was faster, l->old is the new value: compute again */
bool locked_try(struct cpu *c, unsigned size, struct locked *l, u64 v);

static always_inline void locked_begin(struct cpu *c, const struct insn *in, unsigned size,
				       struct locked *l)
{
	locked_begin_at(c, mem_addr(c, in, size, ACC_WRITE), size, l);
}

#endif
