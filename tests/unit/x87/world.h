/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world: just enough of a guest around the x87 and XSAVE bodies: memory where guest addresses are
 * host addresses, page 0 absent, exceptions caught by a long jump. Included once, by test_x87.c,
 * together with the rooms under test, so that no other instruction body has to be linked.
 */
#ifndef TEST_X87_WORLD_H
#define TEST_X87_WORLD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* REG_RIP */
#endif

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

/* The form table names bodies of the whole CPU; those that are not here become NULL. */
#define extern extern __attribute__((weak))
#include "cpu/insn_forms.h"
#undef extern
#include "insn_forms.c"

#include "cpu/exec/x87.c"
#include "cpu/exec/xsave.c"
#include "cpu/fpu.c"

static struct cpu cpu;
static struct cpu_model model;
static jmp_buf raised;
static int vector;  /* of the exception raised last, -1 none */
static bool tlb_on; /* guest accesses hit the TLB */
static u64 tlb_page;

/* --- what bodies call --- */

void cpu_raise(struct cpu *c unused_arg, unsigned v)
{
	vector = (int)v;
	longjmp(raised, 1);
}
void cpu_gp0(struct cpu *c)
{
	cpu_raise(c, EXC_GP);
}
void cpu_ud(struct cpu *c)
{
	cpu_raise(c, EXC_UD);
}
void cpu_update_mode(struct cpu *c unused_arg)
{
}
u64 seg_check(struct cpu *c, unsigned seg unused_arg, u64 off unused_arg, unsigned size unused_arg,
	      enum cpu_access acc unused_arg)
{
	cpu_raise(c, EXC_GP);
}
void mem_probe(struct cpu *c, u64 la, unsigned size unused_arg, enum cpu_access acc unused_arg)
{
	if (la < 4096)
		cpu_raise(c, EXC_PF);
}
void mem_ld_bytes(struct cpu *c, u64 la, void *buf, unsigned size)
{
	mem_probe(c, la, size, ACC_READ);
	memcpy(buf, (void *)la, size);
}
void mem_st_bytes(struct cpu *c, u64 la, const void *buf, unsigned size)
{
	mem_probe(c, la, size, ACC_WRITE);
	memcpy((void *)la, buf, size);
}
u64 mem_ld_slow(struct cpu *c, u64 la, unsigned size)
{
	u64 v = 0;
	mem_ld_bytes(c, la, &v, size);
	return v;
}
void mem_st_slow(struct cpu *c, u64 la, unsigned size, u64 v)
{
	mem_st_bytes(c, la, &v, size);
}

/* --- one instruction --- */

static const struct insn_form *form_of(unsigned map, unsigned opcode, unsigned modrm)
{
	bool mem = modrm < 0xc0;

	for (unsigned i = insn_first[map][opcode]; i < insn_first[map][opcode + 1]; i++) {
		const struct insn_form *f = &insn_forms[i];
		if ((f->reg_mask >> (modrm >> 3 & 7) & 1) && (f->mod_mask & (mem ? 1 : 2)) &&
		    (f->pfx_mask & 1) && (mem || (f->rm_mask >> (modrm & 7) & 1)))
			return f;
	}
	return NULL;
}

static noinline void execute(insn_fn *fn, const struct insn *in)
{
	vector = -1;
	if (!setjmp(raised))
		fn(&cpu, in);
}

/* Runs opcode/modrm (memory operand at `at`), operand size osz. Returns the vector or -1. */
static int run(unsigned map, unsigned opcode, unsigned modrm, const void *at, unsigned osz, u64 rip)
{
	struct insn in = {.opcode = (u8)opcode,
			  .modrm = (u8)modrm,
			  .osz = (u8)osz,
			  .asz = 8,
			  .seg = S_DS,
			  .base = REG_OFF_ZERO,
			  .index = REG_OFF_ZERO,
			  .disp = (s64)(u64)at,
			  .reg = modrm >> 3 & 7,
			  .rm = modrm & 7,
			  .len = 2};
	const struct insn_form *f = form_of(map, opcode, modrm);
	u64 page = (u64)at >> 12;

	assert_non_null(f);
	assert_non_null(f->body);
	in.form = (u16)(f - insn_forms);
	in.pfx = (u8)((modrm < 0xc0 ? PFX_MEM : 0) | (osz == 8 ? PFX_W : 0));
	cpu.views[0].e[tlb_page & (TLB_ENTRIES - 1)].r = TLB_NONE;
	cpu.views[0].e[tlb_page & (TLB_ENTRIES - 1)].w = TLB_NONE;
	if (tlb_on && page) {
		struct tlb_entry *e = &cpu.views[0].e[page & (TLB_ENTRIES - 1)];
		*e = (struct tlb_entry){.r = page, .w = page};
		tlb_page = page;
	}
	cpu.blk_rip = rip;
	cpu.cur = &in;
	execute(f->body->f[0], &in);
	return vector;
}

/* --- world --- */

static void on_sigfpe(int sig unused_arg, siginfo_t *si unused_arg, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	u64 at = (u64)*rip;

	if (at < (u64)x87_thunk_start || at >= (u64)x87_thunk_end)
		abort();
	*rip = (greg_t)(u64)x87_thunk_fault;
}

/* FNINIT's state, CR0.NE, x87 + SSE + AVX enabled. */
static void world_reset(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO};

	sigaction(SIGFPE, &sa, NULL); /* cmocka sets its own for each test */
	fpu_store(&cpu);
	memset(&cpu, 0, sizeof(cpu));
	memset(cpu.views, 0xff, sizeof(cpu.views));
	cpu.view = &cpu.views[0];
	cpu.model = &model;
	model.features = ~0ull;
	model.xcr0 = 7;
	cpu.mode = MODE_64 | MODE_PE | MODE_LMA | MODE_OSFXSR | MODE_OSXSAVE | MODE_AVX;
	cpu.s.cr0 = CR0_PE | CR0_NE | CR0_MP;
	cpu.s.xcr0 = 7;
	cpu.s.fpu.fcw = X87_FCW_INIT;
	cpu.s.fpu.mxcsr = X87_MXCSR_INIT;
	cpu.s.seg[S_CS].sel = 0x33;
	tlb_on = true;
}

#endif
