/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu: decoder and interpreter on random code and random state, in every mode, through the soft
 * engine's blocks or instruction by instruction.
 *
 * Input: mode, flags, registers, a few writes into memory (where GDT, IDT, TSS and page tables
 * are), the rest is code. A bounded number of blocks runs; the guest may fault, halt or shut down,
 * but Holm may not. Time stands still. The machine: 256 KiB of RAM, the local APIC, nothing else.
 */
#include "board/clock.h"
#include "board/device.h"
#include "cpu/flags.h"
#include "cpu/fpu.h"
#include "cpu/interp.h"
#include "cpu/mem.h"
#include "cpu/seg.h"
#include "engine/soft/impl.h"
#include "engine/soft/soft.h"
#include "fuzz.h"
#include "host/fail.h"
#include "host/log.h"

#define RAM_SIZE 0x40000u
#define GDT	 0x1000u
#define IDT	 0x2000u
#define TSS	 0x3000u
#define LDT	 0x3800u
#define KSTACK	 0x8000u
#define USTACK	 0x9000u
#define CODE	 0x10000u
#define TABLES	 0x20000u
#define HANDLERS 0x30000u
#define DATA	 0x38000u
#define ROUNDS	 300u /* blocks, or instructions outside one */
#define INSNS	 1000u
#define PATCHES	 24u

#define SEL_CODE64  0x08u
#define SEL_DATA    0x10u
#define SEL_CODE32  0x18u
#define SEL_UDATA   0x23u
#define SEL_UCODE32 0x2bu
#define SEL_UCODE64 0x33u
#define SEL_TSS	    0x38u
#define SEL_LDT	    0x48u
#define SEL_GATE    0x58u
#define SEL_CODE16  0x60u
#define SEL_DATA16  0x68u
#define SEL_TASK    0x70u
#define SEL_TSS2    0x78u
#define TSS2	    0x3400u

enum mode { M_REAL, M_PROT16, M_PROT32, M_PAGED32, M_PAE, M_COMPAT, M_LONG, M_V86, M_COUNT };

struct rig {
	struct board board;
	struct cpu_model model;
	struct engine *engine;
	struct vcpu *vcpu;
	bool uncached; /* every instruction by itself, without the engine's blocks */
	unsigned rounds;
	unsigned long_ones;
};

/* ---- guest memory ------------------------------------------------------------------------ */

static u8 *mem(struct rig *rig, u32 at)
{
	return rig->board.ram.slot[0].host + at;
}

static u64 descriptor(u32 base, u32 limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}

static u64 gate(u16 sel, u32 off, unsigned access)
{
	return (off & 0xffff) | (u64)sel << 16 | (u64)access << 40 | (u64)(off >> 16) << 48;
}

/* A handler goes back to the byte after the one that faulted, so that a fault is not the end: drop
 * the error code, inc [sp], iret. */
static void fill_handler(u8 *to, unsigned vector, bool lng)
{
	static const u8 prot[] = {0xff, 0x04, 0x24, 0xcf};
	static const u8 wide[] = {0x48, 0xff, 0x04, 0x24, 0x48, 0xcf};

	if (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
		*to++ = 0x58;
	memcpy(to, lng ? wide : prot, lng ? sizeof(wide) : sizeof(prot));
}

/* The same in real mode: push bp; mov bp, sp; inc word [bp + 2]; pop bp; iret. */
static void fill_vectors(struct rig *rig)
{
	static const u8 code[] = {0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf};

	for (unsigned v = 0; v < 256; v++)
		st32(mem(rig, v * 4), (u32)HANDLERS << 12);
	memcpy(mem(rig, HANDLERS), code, sizeof(code));
}

static void fill_tables(struct rig *rig, bool lng)
{
	const struct {
		u16 sel;
		u64 raw;
	} row[] = {
		{SEL_CODE64, descriptor(0, 0xfffff, 0x9b, 0xa)},
		{SEL_DATA, descriptor(0, 0xfffff, 0x93, 0xc)},
		{SEL_CODE32, descriptor(0, 0xfffff, 0x9b, 0xc)},
		{SEL_UDATA, descriptor(0, 0xfffff, 0xf3, 0xc)},
		{SEL_UCODE32, descriptor(0, 0xfffff, 0xfb, 0xc)},
		{SEL_UCODE64, descriptor(0, 0xfffff, 0xfb, 0xa)},
		{SEL_TSS, descriptor(TSS, 0x3ff, 0x8b, 0)},
		{SEL_LDT, descriptor(LDT, 0xff, 0x82, 0)},
		{SEL_GATE, gate(lng ? SEL_CODE64 : SEL_CODE32, HANDLERS + 0x700, 0xec)},
		{SEL_CODE16, descriptor(0, 0xffff, 0x9b, 0)},
		{SEL_DATA16, descriptor(0, 0xffff, 0x93, 0)},
		{SEL_TASK, gate(SEL_TSS2, 0, 0xe5)},
		{SEL_TSS2, lng ? 0 : descriptor(TSS2, 0x67, 0x89, 0)},
	};

	for (unsigned i = 0; i < ARRAY_LEN(row); i++)
		st64(mem(rig, GDT + (row[i].sel & 0xfff8u)), row[i].raw);
	for (unsigned v = 0; v < 256; v++) {
		st64(mem(rig, IDT + v * (lng ? 16 : 8)),
		     gate(lng ? SEL_CODE64 : SEL_CODE32, HANDLERS + v * 8, v & 3 ? 0x8e : 0xee));
		fill_handler(mem(rig, HANDLERS + v * 8), v, lng);
	}
	st32(mem(rig, TSS + 4), KSTACK);
	st32(mem(rig, TSS + 8), lng ? 0 : SEL_DATA);
	st16(mem(rig, TSS + 0x66), 0x68);
}

/* Page directories in the form of the mode; the first 2 or 4 MiB are where they are. */
static void fill_paging(struct rig *rig, enum mode mode)
{
	if (mode == M_PAGED32) {
		st32(mem(rig, TABLES), (TABLES + 0x1000) | 7);
		for (u32 i = 0; i < 1024; i++)
			st32(mem(rig, TABLES + 0x1000 + i * 4), i << 12 | 7);
		return;
	}
	st64(mem(rig, TABLES), (TABLES + 0x1000) | (mode == M_PAE ? 1 : 7));
	if (mode != M_PAE)
		st64(mem(rig, TABLES + 0x1000), (TABLES + 0x2000) | 7);
	st64(mem(rig, TABLES + (mode == M_PAE ? 0x1000 : 0x2000)), (TABLES + 0x3000) | 7);
	for (u32 i = 0; i < 512; i++)
		st64(mem(rig, TABLES + 0x3000 + i * 8), i << 12 | 7);
}

/* ---- CPU state --------------------------------------------------------------------------- */

static struct cpu_segment segment(struct rig *rig, u16 sel)
{
	struct cpu_segment s;

	seg_fill(&s, sel, ld64(mem(rig, GDT + (sel & 0xfff8u))));
	return s;
}

static void state_real(struct cpu_state *s)
{
	s->idt.limit = 0x3ff;
	seg_set_real(&s->seg[S_CS], CODE >> 4);
	for (unsigned i = 0; i < 6; i++)
		if (i != S_CS)
			seg_set_real(&s->seg[i], DATA >> 4);
	s->rip = 0;
}

static void state_segments(struct rig *rig, struct cpu_state *s, enum mode mode, bool user)
{
	u16 code = mode == M_LONG     ? (user ? SEL_UCODE64 : SEL_CODE64)
		   : mode == M_PROT16 ? SEL_CODE16
		   : user	      ? SEL_UCODE32
				      : SEL_CODE32;
	u16 data = mode == M_PROT16 ? SEL_DATA16 : user ? SEL_UDATA : SEL_DATA;

	if (mode == M_PROT16)
		st64(mem(rig, GDT + SEL_CODE16), descriptor(CODE, 0xffff, 0x9b, 0));
	s->gdt = (struct cpu_dtable){GDT, 0xff};
	s->idt = (struct cpu_dtable){IDT, 0xfff};
	s->seg[S_TR] = segment(rig, SEL_TSS);
	s->seg[S_LDTR] = segment(rig, SEL_LDT);
	for (unsigned i = 0; i < 6; i++)
		s->seg[i] = segment(rig, i == S_CS ? code : data);
	s->rip = mode == M_PROT16 ? 0 : CODE;
}

static void state_v86(struct cpu_state *s)
{
	seg_set_v86(&s->seg[S_CS], CODE >> 4);
	for (unsigned i = 0; i < 6; i++)
		if (i != S_CS)
			seg_set_v86(&s->seg[i], DATA >> 4);
	s->rip = 0;
	s->rflags |= FL_VM | FL_IOPL;
}

static void state_make(struct rig *rig, struct cpu_state *s, struct fuzz_in *in)
{
	u8 code = fuzz_u8(in), flags = fuzz_u8(in);
	enum mode mode = code % M_COUNT;
	bool lng = mode == M_LONG || mode == M_COMPAT;
	bool user = code & 0x80 && mode > M_PROT16;

	cpu_state_reset(s, 0, true);
	rig->uncached = code & 0x40;
	s->rflags = FL_R1 | (flags & 1 ? FL_IF : 0) | (flags & 2 ? FL_TF : 0) |
		    (flags & 4 ? FL_DF : 0) | (flags & 8 ? FL_AC : 0);
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = DATA + i * 0x100;
	s->gpr[R_RSP] = user ? USTACK : KSTACK - 0x100;
	s->cr0 = CR0_ET | CR0_NE | (flags & 16 ? CR0_AM | CR0_MP : 0);
	s->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | (flags & 32 ? 0 : CR4_OSXSAVE);
	s->xcr0 = rig->model.xcr0 | 1;
	if (mode == M_REAL) {
		fill_vectors(rig);
		state_real(s);
		return;
	}
	fill_tables(rig, lng);
	state_segments(rig, s, mode, user);
	s->cr0 |= CR0_PE;
	if (mode >= M_PAGED32) {
		fill_paging(rig, mode == M_V86 ? M_PAGED32 : mode);
		s->cr0 |= CR0_PG | (flags & 64 ? CR0_WP : 0);
		s->cr3 = TABLES;
	}
	if (mode == M_PAE || lng)
		s->cr4 |= CR4_PAE;
	if (lng)
		s->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	if (mode == M_V86)
		state_v86(s);
}

/* Registers and memory as the input wants them. Each patch begins with its kind. */
static void state_patch(struct rig *rig, struct cpu_state *s, struct fuzz_in *in)
{
	for (unsigned i = 0; i < PATCHES; i++) {
		u8 kind = fuzz_u8(in), bytes[64];
		u32 at;

		switch (kind & 7) {
		case 1: s->gpr[kind >> 4] = fuzz_u64(in); break;
		case 2: s->gpr[kind >> 4] = DATA + fuzz_u16(in); break;
		case 3:
			at = fuzz_u16(in) * 4u % (RAM_SIZE - 64);
			fuzz_bytes(in, bytes, 8);
			memcpy(mem(rig, at), bytes, 8);
			break;
		case 4:
			at = fuzz_u16(in) * 4u % (RAM_SIZE - 64);
			fuzz_bytes(in, bytes, kind >> 3);
			memcpy(mem(rig, at), bytes, kind >> 3);
			break;
		case 5: fuzz_bytes(in, s->ymm[kind >> 4], 32); break;
		case 6:
			fuzz_bytes(in, s->fpu.st, sizeof(s->fpu.st[0]));
			s->fpu.fcw = (u16)((fuzz_u16(in) & 0x0f3f) | 0x40);
			s->fpu.ftw = fuzz_u8(in);
			s->fpu.mxcsr = fuzz_u16(in);
			break;
		case 7: /* a breakpoint */
			s->dr[kind >> 4 & 3] = kind & 8 ? CODE + fuzz_u8(in) : DATA + fuzz_u16(in);
			s->dr7 = (fuzz_u32(in) & 0xffff03ff) | 0x400;
			break;
		default: return;
		}
	}
}

/* ---- the run ----------------------------------------------------------------------------- */

/* What engine/soft/vcpu.c does between blocks, but for sleeping and for other vCPUs. False: the
 * guest halts or is shut down. */
static bool take_events(struct rig *rig)
{
	struct vcpu *v = rig->vcpu;
	struct cpu *c = &v->cpu;
	u32 ev = __atomic_exchange_n(&c->event, 0, __ATOMIC_SEQ_CST);

	if (ev & EV_FLUSH)
		code_ack(v);
	if (ev & EV_TIMER && (rig->long_ones++ > 2))
		return false; /* a REP that would go on for thousands of elements more */
	if (c->s.activity != CPU_RUNNING)
		return false;
	if (c->shadow) {
		cpu_event(c, EV_INTR);
		interp_one(c);
	} else if (lapic_highest(&v->lapic) >= 0 && c->rflags & FL_IF) {
		interp_interrupt(c, lapic_accept(&v->lapic));
	}
	return true;
}

static void run_block(struct cpu *c, const struct block *b)
{
	const struct insn *insn = b->insn, *end = insn + b->count;

	c->blk_rip = b->rip;
	do {
		c->cur = insn;
		insn->fn(c, insn);
	} while (++insn != end);
	c->insns += b->retired;
}

static noinline void run_on(struct rig *rig)
{
	struct vcpu *v = rig->vcpu;
	struct cpu *c = &v->cpu;

	while (rig->rounds-- > 1 && c->insns < INSNS) {
		struct block *b;

		if (c->event) {
			if (!take_events(rig))
				break;
			continue;
		}
		b = rig->uncached || c->mode & MODE_STEP ? NULL : block_at(v);
		if (!b) {
			interp_one(c);
			continue;
		}
		v->block = b;
		run_block(c, b);
	}
	rig->rounds = 0;
}

/* The long jump lands here, in a frame that stays. */
static noinline void run(struct rig *rig)
{
	struct rig *volatile self = rig;

	if (__builtin_setjmp(self->vcpu->cpu.jb)) {
		self->vcpu->block = NULL;
		if (!self->rounds)
			return;
		interp_landed(&self->vcpu->cpu);
	}
	if (self->rounds)
		run_on(self);
	cpu_keep_frame();
}

/* ---- open, start ------------------------------------------------------------------------- */

static void rig_open(struct rig *rig)
{
	struct engine_config config = {
		.board = &rig->board, .model = &rig->model, .options = "translate=off", .cpus = 1};
	struct board *board = &rig->board;

	log_set_level(LOG_ERROR);
	ASSERT(!loop_open(&board->loop), "loop");
	ASSERT(!clock_open(&board->clock, board->loop), "clock");
	board->clock.tsc_khz = 1000000;
	board->clock.ns_mult = 1ull << 32;
	board->clock.epoch_ns = 1700000000000000000ll;
	clock_pause(&board->clock);
	clock_set(&board->clock, 1000000000);
	ASSERT(!ram_open(&board->ram), "ram");
	ASSERT(!ram_add(&board->ram, 0, RAM_SIZE, RAM_KIND_RAM, "low"), "ram");
	ASSERT(!bus_open(&board->bus), "bus");
	ASSERT(!irq_open(&board->irq), "irq");
	board->cpus = 1;
	ASSERT(!cpu_model_open(&rig->model, "host", 1, 1000000, NULL), "model");
	ASSERT(!engine_soft_ops.open(&config, &rig->engine), "engine");
	ASSERT(!engine_soft_ops.vcpu_open(rig->engine, 0, &rig->vcpu), "vcpu");
}

/* As engine/soft/soft.c opens a vCPU, without mapping its memory anew. */
static void rig_start(struct rig *rig, const struct cpu_state *s)
{
	struct vcpu *v = rig->vcpu;
	struct engine *e = rig->engine;

	memset(e->slot[0].pages, 0, (RAM_SIZE >> 12) * sizeof(struct soft_page));
	cpu_open(&v->cpu, &rig->model, &soft_cpu_ops, v);
	lapic_init(&v->lapic, 0, true, rig->model.maxphyaddr, &soft_lapic_ops, v);
	ASSERT(!engine_soft_ops.vcpu_set(v, s), "state");
	code_ack(v);
	rig->rounds = ROUNDS;
	rig->long_ones = 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct rig rig;
	struct fuzz_in in = {data, size};
	struct cpu_state s;

	if (!rig.engine)
		rig_open(&rig);
	memset(mem(&rig, 0), 0, RAM_SIZE);
	state_make(&rig, &s, &in);
	state_patch(&rig, &s, &in);
	fuzz_bytes(&in, mem(&rig, CODE), in.left < 0x1000 ? in.left : 0x1000);
	rig_start(&rig, &s);
	run(&rig);
	engine_soft_ops.vcpu_get(rig.vcpu, &s);
	return 0;
}
