/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig: one interpreted CPU over a flat 4 MiB memory, with a GDT, an IDT whose handler for vector v
 * is at handler(v), a TSS, and in long mode an identity map.
 */
#ifndef TEST_CPU_SEG_RIG_H
#define TEST_CPU_SEG_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cpu/flags.h"
#include "cpu/interp.h"
#include "cpu/seg.h"

#define MEM_SIZE  0x400000u
#define GDT	  0x1000u
#define IDT	  0x2000u
#define TSS	  0x3000u
#define TSS2	  0x3400u
#define LDT	  0x3800u
#define KSTACK	  0x8000u
#define USTACK	  0x9000u
#define IST1	  0xa000u
#define CODE	  0x10000u
#define TABLES	  0x20000u
#define HANDLERS  0x40000u
#define TARGET_AT 0x50000u

#define SEL_CODE64  0x08
#define SEL_DATA    0x10
#define SEL_CODE32  0x18
#define SEL_UDATA   0x23
#define SEL_UCODE32 0x2b
#define SEL_UCODE64 0x33
#define SEL_TSS	    0x38
#define SEL_TSS2    0x48
#define SEL_GATE    0x50
#define SEL_CONF    0x60
#define SEL_ABSENT  0x68
#define SEL_LDT	    0x70
#define SEL_DOWN    0x80
#define SEL_TASK    0x88
#define SEL_CODE16  0x90
#define SEL_DATA16  0x98
#define SEL_XONLY   0xa0
#define GDT_LIMIT   0xa7

struct rig {
	struct cpu c;
	struct cpu_model model;
	u8 *mem;
};

static inline u8 *op_page(struct cpu *c, gpa_t page, unsigned *flags)
{
	struct rig *r = c->owner;

	if (flags)
		*flags = PAGE_WRITABLE;
	return page < MEM_SIZE ? r->mem + page : NULL;
}

static inline u64 op_mmio_read(struct cpu *c, gpa_t gpa, unsigned size)
{
	(void)c, (void)gpa, (void)size;
	return ~0ull;
}

static inline void op_mmio_write(struct cpu *c, gpa_t gpa, unsigned size, u64 v)
{
	(void)c, (void)gpa, (void)size, (void)v;
}

static inline void op_nothing(struct cpu *c)
{
	(void)c;
}

static const struct cpu_ops ops = {
	.page = op_page,
	.mmio_read = op_mmio_read,
	.mmio_write = op_mmio_write,
	.flushed = op_nothing,
	.world_stop = op_nothing,
	.world_start = op_nothing,
};

static inline void put(struct rig *r, u32 at, unsigned size, u64 v)
{
	st_size(r->mem + at, size, v);
}

static inline u64 get(const struct rig *r, u32 at, unsigned size)
{
	return ld_size(r->mem + at, size);
}

static inline u64 descriptor(u32 base, u32 limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}

static inline u64 gate(u16 sel, u32 off, unsigned access)
{
	return (off & 0xffff) | (u64)sel << 16 | (u64)access << 40 | (u64)(off >> 16) << 48;
}

static inline void set_desc(struct rig *r, unsigned sel, u64 d)
{
	put(r, GDT + (sel & 0xfff8u), 8, d);
}

static inline void fill_gdt(struct rig *r, bool lng)
{
	set_desc(r, SEL_CODE64, descriptor(0, 0xfffff, 0x9b, 0xa));
	set_desc(r, SEL_DATA, descriptor(0, 0xfffff, 0x93, 0xc));
	set_desc(r, SEL_CODE32, descriptor(0, 0xfffff, 0x9b, 0xc));
	set_desc(r, SEL_UDATA, descriptor(0, 0xfffff, 0xf3, 0xc));
	set_desc(r, SEL_UCODE32, descriptor(0, 0xfffff, 0xfb, 0xc));
	set_desc(r, SEL_UCODE64, descriptor(0, 0xfffff, 0xfb, 0xa));
	set_desc(r, SEL_TSS, descriptor(TSS, 0x3ff, 0x89, 0));
	set_desc(r, SEL_TSS2, lng ? 0 : descriptor(TSS2, 0x67, 0x89, 0));
	set_desc(r, SEL_CONF, descriptor(0, 0xfffff, 0x9f, lng ? 0xa : 0xc));
	set_desc(r, SEL_ABSENT, descriptor(0, 0xfffff, 0x73, 0xc));
	set_desc(r, SEL_LDT, descriptor(LDT, 0xff, 0x82, 0));
	set_desc(r, SEL_DOWN, descriptor(0, 0xfff, 0x96, 0x4));
	set_desc(r, SEL_TASK, gate(SEL_TSS2, 0, 0xe5));
	set_desc(r, SEL_CODE16, descriptor(0, 0xffff, 0x9a, 0));
	set_desc(r, SEL_DATA16, descriptor(0, 0xffff, 0x92, 0));
	set_desc(r, SEL_XONLY, descriptor(0, 0xfffff, 0x98, 0xc));
}

static inline u64 handler(unsigned vector)
{
	return HANDLERS + vector * 16;
}

static inline void fill_idt(struct rig *r, bool lng)
{
	for (unsigned v = 0; v < 256; v++) {
		unsigned access = v == 0x80 ? 0xee : v == 3 || v == 4 ? 0xef : 0x8e;
		u64 g = gate(lng ? SEL_CODE64 : SEL_CODE32, (u32)handler(v), access);
		put(r, IDT + v * (lng ? 16 : 8), 8, g);
	}
}

static inline struct cpu_segment segment(struct rig *r, u16 sel)
{
	struct cpu_segment s;

	seg_fill(&s, sel, get(r, GDT + (sel & 0xfff8u), 8));
	return s;
}

static inline void vendor(struct rig *r, bool amd)
{
	r->model.leaf[0].regs.ebx = amd ? 0x68747541 : 0x756e6547;
}

static inline struct rig *rig_new(void)
{
	struct rig *r = aligned_alloc(64, (sizeof(*r) + 63) & ~63ul);

	memset(r, 0, sizeof(*r));
	r->mem = aligned_alloc(4096, MEM_SIZE);
	memset(r->mem, 0, MEM_SIZE);
	r->model.features = ~0ull;
	r->model.maxphyaddr = 40;
	r->model.leaves = 1;
	vendor(r, false);
	cpu_open(&r->c, &r->model, &ops, r);
	return r;
}

static inline void rig_free(struct rig *r)
{
	free(r->mem);
	free(r);
}

static inline struct rig *rig_real(void)
{
	struct rig *r = rig_new();
	struct cpu_state s;

	cpu_state_reset(&s, 0, true);
	s.idt.limit = 0x3ff;
	seg_set_real(&s.seg[S_CS], 0x1000);
	s.rip = 0;
	s.gpr[R_RSP] = KSTACK;
	for (unsigned v = 0; v < 256; v++)
		put(r, v * 4, 4, 0x40000000u | v * 16);
	cpu_load(&r->c, &s);
	return r;
}

static inline void state_protected(struct rig *r, struct cpu_state *s, unsigned cpl, bool lng)
{
	cpu_state_reset(s, 0, true);
	fill_gdt(r, lng);
	fill_idt(r, lng);
	s->cr0 = CR0_PE | CR0_ET | CR0_NE;
	s->gdt = (struct cpu_dtable){GDT, GDT_LIMIT};
	s->idt = (struct cpu_dtable){IDT, 0xfff};
	s->seg[S_TR] = segment(r, SEL_TSS);
	s->seg[S_TR].ar |= 2;
	seg_set_null(&s->seg[S_LDTR], 0, 0);
	s->seg[S_CS] = segment(r, cpl	? (lng ? SEL_UCODE64 : SEL_UCODE32)
				  : lng ? SEL_CODE64
					: SEL_CODE32);
	for (unsigned i = 0; i < 6; i++)
		if (i != S_CS)
			s->seg[i] = segment(r, cpl ? SEL_UDATA : SEL_DATA);
	s->rip = CODE;
	s->rflags = FL_R1 | FL_IF;
	s->gpr[R_RSP] = cpl ? USTACK : KSTACK - 0x100;
}

static inline struct rig *rig_protected(unsigned cpl)
{
	struct rig *r = rig_new();
	struct cpu_state s;

	state_protected(r, &s, cpl, false);
	set_desc(r, SEL_TSS, descriptor(TSS, 0x3ff, 0x8b, 0));
	put(r, TSS + 4, 4, KSTACK);
	put(r, TSS + 8, 2, SEL_DATA);
	cpu_load(&r->c, &s);
	return r;
}

static inline struct rig *rig_long(unsigned cpl)
{
	struct rig *r = rig_new();
	struct cpu_state s;

	state_protected(r, &s, cpl, true);
	s.cr0 |= CR0_PG | CR0_WP;
	s.cr4 = CR4_PAE;
	s.cr3 = TABLES;
	s.efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	put(r, TABLES, 8, (TABLES + 0x1000) | 7);
	put(r, TABLES + 0x1000, 8, (TABLES + 0x2000) | 7);
	put(r, TABLES + 0x2000, 8, 0x87);
	put(r, TABLES + 0x2008, 8, 0x200087);
	put(r, TSS + 4, 8, KSTACK);
	put(r, TSS + 36, 8, IST1);
	cpu_load(&r->c, &s);
	return r;
}

/* Puts the bytes at CS:RIP and executes one instruction. */
static inline void step(struct rig *r, const char *bytes, unsigned n)
{
	memcpy(r->mem + (u32)(r->c.mode & MODE_64 ? 0 : r->c.s.seg[S_CS].base) + r->c.rip, bytes,
	       n);
	interp_step(&r->c);
}
#define STEP(r, bytes) step(r, bytes, sizeof(bytes) - 1)

/* The handler of `vector` runs with `error` on top of its stack. */
#define EXPECT_FAULT(r, vector, err)                                                               \
	do {                                                                                       \
		assert_int_equal((r)->c.rip, handler(vector));                                     \
		assert_int_equal(get(r, (u32)(r)->c.r[R_RSP], 4), err);                            \
	} while (0)

#endif
