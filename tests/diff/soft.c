/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soft: executes cases in the interpreter, at CPL 3 in long mode, paging as the host's.
 *
 * With `translate` they go through translated code. One CPU per mode, or one whose mode changes if
 * they are translated, with page tables that map the sandbox where the host has it. Exceptions are
 * taken where the body's long jump lands, before delivery.
 */
#include "soft.h"

#include "translated.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "cpu/flags.h"
#include "cpu/fpu.h"
#include "cpu/interp.h"
#include "cpu/mem.h"
#include "spec/x86.h"

#define TABLES	   0x1000u /* guest-physical */
#define TABLE_SIZE 0x4000u
#define PT_P	   1u
#define PT_W	   2u
#define PT_U	   4u
#define PT_NX	   BIT64(63)

/* --- the CPU's surroundings --- */

static u8 *op_page(struct cpu *c, gpa_t page, unsigned *flags)
{
	struct soft *s = c->owner;

	if (flags)
		*flags = PAGE_WRITABLE;
	if (page - TABLES < TABLE_SIZE)
		return s->tables + (page - TABLES);
	if (page - BOX_CODE < BOX_CODE_SIZE)
		return s->code + (page - BOX_CODE);
	if (page - BOX_DATA < BOX_DATA_SIZE)
		return s->data + (page - BOX_DATA);
	return NULL;
}

static u64 op_mmio_read(struct cpu *c unused_arg, gpa_t gpa unused_arg, unsigned size unused_arg)
{
	return ~0ull;
}

static void op_mmio_write(struct cpu *c unused_arg, gpa_t gpa unused_arg, unsigned size unused_arg,
			  u64 v unused_arg)
{
}

static void op_nothing(struct cpu *c unused_arg)
{
}

static const struct cpu_ops ops = {
	.page = op_page,
	.mmio_read = op_mmio_read,
	.mmio_write = op_mmio_write,
	.flushed = op_nothing,
	.pause = op_nothing,
	.world_stop = op_nothing,
	.world_start = op_nothing,
};

static void map(struct soft *s, u32 from, u32 size, u64 flags)
{
	for (u32 at = from; at < from + size; at += 0x1000)
		st64(s->tables + 0x3000 + (at >> 12 & 511) * 8, at | PT_P | PT_U | flags);
}

static void build_tables(struct soft *s)
{
	st64(s->tables, (TABLES + 0x1000) | PT_P | PT_W | PT_U);
	st64(s->tables + 0x1000, (TABLES + 0x2000) | PT_P | PT_W | PT_U);
	st64(s->tables + 0x2000 + (BOX_BASE >> 21 & 511) * 8,
	     (TABLES + 0x3000) | PT_P | PT_W | PT_U);
	map(s, BOX_CODE, BOX_CODE_SIZE, 0);
	map(s, BOX_DATA, BOX_DATA_SIZE, PT_W | PT_NX);
	map(s, BOX_RO, 0x1000, PT_NX);
}

static struct cpu_segment flat(u16 sel, u32 ar)
{
	return (struct cpu_segment){.limit = 0xffffffff, .ar = ar, .sel = sel};
}

static struct cpu_segment code_segment(enum diff_mode mode)
{
	u32 code = AR_P | AR_DPL | AR_S | AR_G | 11;

	return mode == DM_64 ? flat(SEL_CS64, code | AR_L) : flat(SEL_CS32, code | AR_DB);
}

static void load_state(struct soft *s, enum diff_mode mode, bool has_fs)
{
	struct cpu_state st;
	u32 data = AR_P | AR_DPL | AR_S | AR_DB | AR_G | 3;

	cpu_state_reset(&st, 0, true);
	st.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	st.cr4 = CR4_DE | CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE |
		 (has_fs ? CR4_FSGSBASE : 0);
	st.cr3 = TABLES;
	st.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	st.xcr0 = s->model.features & CPU_FEAT_BIT(AVX) ? 7 : 3;
	for (unsigned i = 0; i < 6; i++)
		st.seg[i] = flat(SEL_DATA, data);
	st.seg[S_FS] = st.seg[S_GS] = (struct cpu_segment){.ar = AR_UNUSABLE};
	st.seg[S_CS] = code_segment(mode);
	/* no I/O permission bitmap */
	st.seg[S_TR] = (struct cpu_segment){.limit = 0x65, .ar = AR_P | 11, .sel = 0x40};
	st.rflags = FL_R1 | FL_IF;
	cpu_load(s->cpu[mode], &st);
}

/* --- the host's faults that are the guest's: in a stub, in translated code --- */

static void on_fault(int sig, siginfo_t *info unused_arg, void *frame)
{
	ucontext_t *uc = frame;
	u64 to = sig == SIGFPE ? fpu_fixup((u64)uc->uc_mcontext.gregs[REG_RIP]) : 0;

	if (to)
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)to;
	else if (!translated_fixup(frame))
		signal(sig, SIG_DFL);
}

static int catch_faults(bool translate)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

	if (translate && sigaction(SIGSEGV, &sa, NULL))
		return -1;
	return sigaction(SIGFPE, &sa, NULL);
}

/* --- open, close --- */

static struct cpu *plain_cpu(struct soft *s)
{
	struct cpu *c = aligned_alloc(64, (sizeof(struct cpu) + 63) & ~63ul);

	cpu_open(c, &s->model, &ops, s);
	return c;
}

int soft_open(struct soft *s, bool has_fs, bool translate)
{
	memset(s, 0, sizeof(*s));
	if (cpu_model_open(&s->model, "host", 1, 1000000, NULL)) {
		printf("diff: no host model\n");
		return -1;
	}
	/* not shown by any model, but there */
	if (s->model.features & CPU_FEAT_BIT(XSAVEC))
		s->model.features |= CPU_FEAT_BIT(XGETBV1);
	s->data = aligned_alloc(4096, BOX_DATA_SIZE);
	s->pattern = aligned_alloc(4096, BOX_DATA_SIZE);
	s->code = aligned_alloc(4096, BOX_CODE_SIZE);
	s->tables = aligned_alloc(4096, TABLE_SIZE);
	box_pattern(s->data);
	box_pattern(s->pattern);
	memset(s->code, 0xcc, BOX_CODE_SIZE);
	memset(s->tables, 0, TABLE_SIZE);
	build_tables(s);
	for (unsigned m = 0; m < DM_COUNT; m++) {
		if (translate)
			s->cpu[m] = m ? s->cpu[0] : translated_open(&s->model, &ops, s, s->code);
		else
			s->cpu[m] = plain_cpu(s);
		if (!s->cpu[m])
			return -1;
		load_state(s, m, has_fs);
		s->mode[m] = s->cpu[m]->mode;
	}
	s->translate = translate;
	return catch_faults(translate);
}

void soft_close(struct soft *s)
{
	for (unsigned m = 0; m < DM_COUNT; m++)
		if (!s->translate)
			free(s->cpu[m]);
	free(s->data);
	free(s->pattern);
	free(s->code);
	free(s->tables);
}

/* --- state in, state out --- */

static void put_state(struct cpu *c, const struct diff_regs *r, enum diff_mode mode)
{
	struct cpu_fpu *f = &c->s.fpu;
	bool changed = (c->rflags ^ r->rflags) & FL_AC || (mode == DM_64) != !!(c->mode & MODE_64);

	memcpy(c->r, r->gpr, sizeof(r->gpr));
	c->rip = r->rip;
	c->rflags = (r->rflags & ~(u64)FL_STATUS) | FL_R1;
	fl_set_status(c, r->rflags);
	*f = (struct cpu_fpu){.fcw = r->fcw,
			      .fsw = r->fsw,
			      .ftw = r->ftw,
			      .fop = r->fop,
			      .fip = r->fip,
			      .fdp = r->fdp,
			      .mxcsr = r->mxcsr};
	memcpy(f->st, r->st, sizeof(f->st));
	memcpy(c->s.ymm, r->ymm, sizeof(r->ymm));
	c->event = 0;
	c->shadow = 0;
	c->repeated = false;
	c->exc = (struct cpu_exception){0};
	if (changed || c->s.seg[S_FS].base != r->fs_base || c->s.seg[S_GS].base != r->gs_base) {
		c->s.seg[S_FS].base = r->fs_base;
		c->s.seg[S_GS].base = r->gs_base;
		c->s.seg[S_CS] = code_segment(mode);
		cpu_update_mode(c);
	}
}

static void get_state(struct cpu *c, struct diff_regs *r)
{
	const struct cpu_fpu *f = &c->s.fpu;

	if (c->fpu_live)
		fpu_store(c);
	memcpy(r->gpr, c->r, sizeof(r->gpr));
	r->rip = c->rip;
	r->rflags = fl_get(c);
	r->fs_base = c->s.seg[S_FS].base;
	r->gs_base = c->s.seg[S_GS].base;
	r->fcw = f->fcw;
	r->fsw = f->fsw;
	r->ftw = f->ftw;
	r->fop = f->fop;
	r->fip = f->fip;
	r->fdp = f->fdp;
	r->mxcsr = f->mxcsr;
	memcpy(r->st, f->st, sizeof(r->st));
	memcpy(r->ymm, c->s.ymm, sizeof(r->ymm));
}

/* --- one case --- */

/* In a frame of its own: setjmp must not share one with variables that change. */
static noinline int step(struct soft *s, struct cpu *c)
{
	if (__builtin_setjmp(c->jb))
		return c->jump;
	if (s->translate)
		s->translated = translated_one(c);
	else
		interp_one(c);
	s->insn = c->step_insn;
	return 0;
}

/* The fetch that follows: a jump into a hole faults there. */
static noinline int fetch(struct cpu *c)
{
	struct insn in;

	if (__builtin_setjmp(c->jb))
		return c->jump;
	interp_fetch(c, &in);
	return 0;
}

static void take_exception(struct soft *s, struct cpu *c, struct diff_result *out)
{
	out->trap = c->exc.vector;
	out->error = c->exc.has_error ? c->exc.error : 0;
	out->cr2 = c->exc.cr2;
	c->rip = cpu_insn_rip(c);
	if (c->world) {
		c->world = false;
		ops.world_start(c);
	}
	(void)s;
}

void soft_run(struct soft *s, const struct diff_case *k, struct diff_result *out)
{
	struct cpu *c = s->cpu[k->mode];
	u32 at = (u32)k->r.rip - BOX_CODE;
	unsigned len = (unsigned)min_u64(k->code_len, BOX_CODE_SIZE - at);
	int why;

	memcpy(s->code + at, k->code, len);
	box_patch(s->data, k);
	put_state(c, &k->r, k->mode);
	if (k->flush)
		tlb_flush_nonglobal(c);
	c->step_insn.len = 0;
	c->step_insn.form = 0xffff;
	s->translated = true; /* or the instruction's fault says nothing else */
	out->trap = TRAP_NONE;
	out->error = 0;
	do { /* a REP instruction that let somebody look at the time goes on */
		c->event = 0;
		why = step(s, c);
	} while (why == CPU_JMP_RESTART);
	s->insn = c->step_insn;
	s->form = c->step_insn.len ? c->step_insn.form : 0xffff;
	if (why == CPU_JMP_EXCEPTION)
		take_exception(s, c, out);
	else if (c->rip - BOX_CODE >= BOX_CODE_SIZE && fetch(c) == CPU_JMP_EXCEPTION)
		take_exception(s, c, out);
	get_state(c, &out->r);
	memset(s->code + at, 0xcc, len);
	box_collect(s->data, s->pattern, out);
}

int soft_decode(const struct soft *s, const struct diff_case *k, struct insn *in)
{
	u8 bytes[32];

	memset(bytes, 0xcc, sizeof(bytes));
	memcpy(bytes, k->code, sizeof(k->code));
	return insn_decode(in, bytes, 16, k->r.rip, s->mode[k->mode], s->model.features);
}
