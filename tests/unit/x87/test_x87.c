/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_x87: every x87 instruction does what the host CPU does; unmasked exceptions become #MF at
 * the next waiting instruction; state images come out and go in as the manuals say.
 */
#include "world.h"

static u8 ram[8192] __attribute__((aligned(4096)));

/* --- every form against the host, on random states --- */

static u64 seed = 88172645463325252ull;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static void random_st(u8 *st)
{
	static const u16 exponents[] = {0,	1,	0x3fff, 0x3ffe, 0x4005, 0x403e,
					0x407e, 0x3f81, 0x43ff, 0x3c01, 0x7ffe, 0x7fff};
	static const u64 fractions[] = {0,     1ull << 63, 3ull << 62,	       1,
					~0ull, 1ull << 62, 0xc000000000000001, 0x8000000000000001};
	u64 r = rnd();

	memset(st, 0, 16);
	st64(st, r & 1 ? rnd() | BIT64(63) : fractions[r >> 1 & 7]);
	if (r & 16)
		st16(st + 8, (u16)(0x3fff + (int)(r >> 8 & 0x7f) - 0x3f));
	else
		st16(st + 8, exponents[(r >> 8) % ARRAY_LEN(exponents)]);
	if (r & 32)
		st[9] |= 0x80;
}

static void random_fpu(struct cpu_fpu *f, bool unmasked)
{
	u64 r = rnd();

	memset(f, 0, sizeof(*f));
	f->fcw = (u16)(0x40 | (r & 0x0f00) | (unmasked ? r >> 16 & 0x3f : 0x3f));
	f->fsw = (u16)((r >> 32 & 0x7f00) | (r >> 24 & 0x7f & f->fcw));
	f->fsw &= (u16)~0x40 | (u16)(f->fsw & 1) << 6;
	f->ftw = (r >> 40 & 3) ? 0xff : (u8)(r >> 48);
	f->mxcsr = X87_MXCSR_INIT;
	for (unsigned i = 0; i < 8; i++)
		random_st(f->st[i]);
}

struct native {
	u8 fx[512]; /* in and out */
	u64 rax;
	u8 flags, pad[7];
	u8 env[28];
} __attribute__((aligned(16)));

static u8 *code;

/* rdi = fx, rsi = flags in AH's place, rdx = operand, rcx = &rax, r8 = env */
static u64 native_run(struct native *n, u64 flags, void *operand, unsigned opcode, unsigned modrm)
{
	const u8 text[] = {0x48, 0x0f, 0xae, 0x0f, 0x89, 0xf0, 0x9e, (u8)opcode, (u8)modrm,
			   0x48, 0x89, 0x01, 0x9f, 0x88, 0x61, 0x08, 0x48,	 0x0f,
			   0xae, 0x07, 0x41, 0xd9, 0x30, 0xdb, 0xe3, 0xc3};

	memcpy(code, text, sizeof(text));
	((void (*)(void *, u64, void *, void *, void *))(uintptr_t)code)(n->fx, flags, operand,
									 &n->rax, n->env);
	return (u64)code + 7;
}

static void image_of(const struct cpu_fpu *f, u8 *fx)
{
	memset(fx, 0, 512);
	st16(fx, f->fcw);
	st16(fx + 2, f->fsw);
	fx[4] = f->ftw;
	st32(fx + 24, f->mxcsr);
	memcpy(fx + 32, f->st, sizeof(f->st));
}

static void same_fpu(const struct cpu_fpu *f, const u8 *fx, const char *what)
{
	if (f->fcw != ld16(fx) || f->fsw != ld16(fx + 2) || f->ftw != fx[4] ||
	    memcmp(f->st, fx + 32, sizeof(f->st)))
		fail_msg("%s: fcw %04x/%04x fsw %04x/%04x ftw %02x/%02x", what, f->fcw, ld16(fx),
			 f->fsw, ld16(fx + 2), f->ftw, fx[4]);
}

static bool is_control(const struct insn_form *f)
{
	return !strncmp(f->name, "fn", 2) || !strcmp(f->name, "fldcw") ||
	       !strcmp(f->name, "fldenv") || !strcmp(f->name, "frstor");
}

static void one_form(unsigned opcode, unsigned modrm, bool unmasked)
{
	const struct insn_form *form = form_of(0, opcode, modrm);
	u64 flags = rnd() & 0xd5, rip;
	struct native n = {.rax = 0};
	struct cpu_fpu f;
	u8 operand[128];
	char what[64];

	random_fpu(&f, unmasked);
	for (unsigned i = 0; i < sizeof(ram) / 64; i += 8)
		st64(ram + i, rnd());
	random_st(ram + 16);
	if (rnd() & 1)
		memcpy(ram, ram + 16, 10);
	/* control words stay sane, environments have nothing pending by themselves */
	if (is_control(form)) {
		memset(ram, 0, 128);
		st16(ram, (u16)(rnd() | 0x7f));
		st16(ram + 4, (u16)rnd() & 0x7f00);
		st16(ram + 8, (u16)rnd());
		st32(ram + 16, (u32)rnd());
	}
	memcpy(operand, ram, sizeof(operand));
	image_of(&f, n.fx);
	rip = native_run(&n, flags << 8, ram, opcode, modrm);

	snprintf(what, sizeof(what), "%s %02x %02x", form->name, opcode, modrm);
	for (unsigned i = 0; i < sizeof(operand); i++) {
		u8 t = ram[i];
		ram[i] = operand[i];
		operand[i] = t;
	}
	fpu_store(&cpu);
	cpu.s.fpu = f;
	fl_set_status(&cpu, flags);
	cpu.r[R_RAX] = flags << 8;
	tlb_on = rnd() & 1;
	if (run(0, opcode, modrm, modrm < 0xc0 ? ram : NULL, 4, rip) != -1)
		fail_msg("%s: vector %d", what, vector);
	fpu_store(&cpu);
	same_fpu(&cpu.s.fpu, n.fx, what);
	if (memcmp(ram, operand, sizeof(operand)))
		fail_msg("%s: memory differs", what);
	if ((u8)fl_status(&cpu) != (n.flags & 0xd5))
		fail_msg("%s: flags %02x, not %02x", what, (u8)fl_status(&cpu), n.flags & 0xd5);
	if ((u16)cpu.r[R_RAX] != (u16)n.rax)
		fail_msg("%s: ax %04x, not %04x", what, (u16)cpu.r[R_RAX], (u16)n.rax);
	/* an AMD host forgets its pointers when its kernel switches tasks */
	if (!is_control(form) && ld32(n.env + 12) &&
	    (cpu.x87_op != (ld16(n.env + 18) & 0x7ff) || (u32)cpu.x87_rip != ld32(n.env + 12) ||
	     (u32)cpu.x87_dp != ld32(n.env + 20)))
		fail_msg("%s: op %03x/%03x ip %x/%x dp %x/%x", what, cpu.x87_op, ld16(n.env + 18),
			 (u32)cpu.x87_rip, ld32(n.env + 12), (u32)cpu.x87_dp, ld32(n.env + 20));
}

static void every_form(void **state unused_arg)
{
	unsigned forms = 0;

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	assert_ptr_not_equal(code, MAP_FAILED);
	world_reset();
	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
		for (unsigned modrm = 0; modrm < 256; modrm += modrm < 0xc0 ? 8 : 1) {
			unsigned m = modrm < 0xc0 ? modrm | 2 : modrm; /* [rdx] */
			if ((modrm >= 0x40 && modrm < 0xc0) || !form_of(0, opcode, m))
				continue;
			forms++;
			for (unsigned i = 0; i < 400; i++)
				one_form(opcode, m, i & 1);
		}
	}
	munmap(code, 4096);
	assert_int_equal(forms, 60 + 420);
}

/* --- load and store --- */

static void round_trip(void **state unused_arg)
{
	struct cpu_fpu f;
	u32 mxcsr;

	world_reset();
	for (unsigned i = 0; i < 1000; i++) {
		random_fpu(&f, false);
		f.fip = rnd();
		f.fdp = rnd();
		f.fop = rnd() & 0x7ff;
		f.fcs = (u16)rnd();
		f.fds = (u16)rnd();
		f.mxcsr = rnd() & 0xffc0;
		cpu.s.fpu = f;
		fpu_load(&cpu);
		assert_true(cpu.fpu_live);
		memset(cpu.s.fpu.st, 0xee, sizeof(cpu.s.fpu.st));
		cpu.s.fpu.fcw = 0;
		fpu_store(&cpu);
		assert_false(cpu.fpu_live);
		assert_memory_equal(&cpu.s.fpu, &f, sizeof(f));
	}
	assert_int_equal(x87_fcw(), X87_FCW_INIT);
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	assert_int_equal(mxcsr, X87_MXCSR_INIT);
}

/* --- exceptions --- */

static void divide_by_zero(void)
{
	cpu.s.fpu.fcw = 0x37b; /* ZE unmasked */
	st32(ram, 0);
	assert_int_equal(run(0, 0xd9, 0xe8, NULL, 4, 0x1000), -1); /* fld1 */
	assert_int_equal(run(0, 0xd8, 0x30, ram, 4, 0x1002), -1);  /* fdiv m32 */
	assert_int_equal(x87_fsw() & 0x84, 0x84);
}

static void pending_mf(void **state unused_arg)
{
	static const u8 waiting[][2] = {{0xd9, 0xe8}, {0xd9, 0xd0}, {0xd8, 0x00}, {0xd9, 0x18},
					{0xd9, 0x28}, {0xd9, 0x20}, {0xdd, 0x20}, {0xda, 0xc1},
					{0xdb, 0xf1}, {0xdd, 0xc1}, {0xdb, 0x38}};
	struct cpu_fpu before = {0};
	bool hidden;

	world_reset();
	divide_by_zero();
	fpu_snapshot(&cpu, &before, &hidden);
	assert_false(hidden);
	for (unsigned i = 0; i < ARRAY_LEN(waiting); i++) {
		struct cpu_fpu now = {0};
		for (unsigned n = 0; n < 3; n++) {
			bool mem = waiting[i][1] < 0xc0;
			/* present, present but not in the TLB, absent: #MF comes first */
			tlb_on = n == 0;
			assert_int_equal(run(0, waiting[i][0], waiting[i][1],
					     !mem || n == 2 ? NULL : ram, 4, 0x2000),
					 EXC_MF);
			fpu_snapshot(&cpu, &now, &hidden);
			assert_memory_equal(&now, &before, sizeof(now));
		}
	}
	assert_int_equal(run(0, 0x9b, 0, NULL, 4, 0x2000), EXC_MF);
	/* and the others do not wait */
	assert_int_equal(run(0, 0xdf, 0xe0, NULL, 4, 0x2000), -1);
	assert_int_equal(cpu.r[R_RAX], before.fsw);
	assert_int_equal(run(0, 0xdd, 0x38, ram, 4, 0x2000), -1);
	assert_int_equal(ld16(ram), before.fsw);
	assert_int_equal(run(0, 0xdd, 0x38, NULL, 4, 0x2000), EXC_PF);
	assert_int_equal(run(0, 0xd9, 0x30, ram, 4, 0x2000), -1); /* fnstenv masks */
	assert_int_equal(ld32(ram + 12), 0x1002);
	assert_int_equal(ld32(ram + 16), 0x00300033);
	assert_int_equal(ld32(ram + 20), (u32)(u64)ram);
	assert_int_equal(run(0, 0x9b, 0, NULL, 4, 0x2000), -1);
	assert_int_equal(run(0, 0xdb, 0xe2, NULL, 4, 0x2000), -1); /* fnclex */
	assert_int_equal(x87_fsw() & 0xff, 0);
	fpu_store(&cpu);
}

/* The guest's pending exception survives leaving and re-entering the host's registers. */
static void pending_across_store(void **state unused_arg)
{
	world_reset();
	divide_by_zero();
	fpu_store(&cpu);
	__asm__ volatile("fwait");
	assert_int_equal(run(0, 0xd9, 0xe8, NULL, 4, 0x2000), EXC_MF);
	assert_int_equal(run(0, 0xdb, 0xe3, NULL, 4, 0x2000), -1);
	assert_int_equal(run(0, 0xd9, 0xe8, NULL, 4, 0x2000), -1);
	fpu_store(&cpu);
}

static void without_ne(void **state unused_arg)
{
	world_reset();
	cpu.s.cr0 &= ~(u64)CR0_NE;
	divide_by_zero();
	assert_int_equal(run(0, 0xd9, 0xe8, NULL, 4, 0x2000), -1);
	fpu_store(&cpu);
	assert_int_equal(cpu.s.fpu.ftw, 0xc0);
	assert_int_equal(cpu.s.fpu.fsw & 0x3800, 6 << 11);
}

/* Unmasked invalid, overflow, underflow: memory stays, nothing is popped. */
static void unmasked_store(void **state unused_arg)
{
	world_reset();
	cpu.s.fpu.fcw = 0x372;	       /* IE, ZE, OE unmasked */
	st64(ram, 0x7e37e43c8800759c); /* 1e300 */
	assert_int_equal(run(0, 0xdd, 0x00, ram, 4, 0x1000), -1);
	memset(ram, 0xcc, 16);
	assert_int_equal(run(0, 0xd9, 0x18, ram, 4, 0x1002), -1); /* fstp m32 */
	assert_int_equal(ld32(ram), 0xcccccccc);
	assert_int_equal(run(0, 0xdb, 0xe2, NULL, 4, 0x1004), -1);
	assert_int_equal(run(0, 0xdf, 0x18, ram, 4, 0x1006), -1); /* fistp m16 */
	assert_int_equal(ld32(ram), 0xcccccccc);
	assert_int_equal(run(0, 0xdb, 0xe2, NULL, 4, 0x1008), -1);
	fpu_store(&cpu);
	assert_int_equal(cpu.s.fpu.ftw, 0x80);
}

/* A popping store whose page is absent pops nothing. */
static void faulting_store(void **state unused_arg)
{
	world_reset();
	assert_int_equal(run(0, 0xd9, 0xe8, NULL, 4, 0x1000), -1);
	assert_int_equal(run(0, 0xdd, 0x18, NULL, 4, 0x1002), EXC_PF);
	assert_int_equal(run(0, 0xdf, 0x30, NULL, 4, 0x1002), EXC_PF);
	assert_int_equal(run(0, 0xdd, 0x30, NULL, 4, 0x1002), EXC_PF);
	fpu_store(&cpu);
	assert_int_equal(cpu.s.fpu.ftw, 0x80);
	assert_int_equal(cpu.x87_rip, 0x1000);
}

static void fwait_ts(void **state unused_arg)
{
	world_reset();
	cpu.s.cr0 |= CR0_TS;
	assert_int_equal(run(0, 0x9b, 0, NULL, 4, 0), EXC_NM);
	cpu.s.cr0 &= ~(u64)CR0_MP;
	assert_int_equal(run(0, 0x9b, 0, NULL, 4, 0), -1);
	fpu_store(&cpu);
}

/* --- environments --- */

static void environments(void **state unused_arg)
{
	static const unsigned sizes[][2] = {{2, 94}, {4, 108}};
	struct cpu_fpu f, g;

	for (unsigned real = 0; real < 2; real++) {
		for (unsigned s = 0; s < 2; s++) {
			unsigned osz = sizes[s][0], size = sizes[s][1];
			world_reset();
			if (real)
				cpu.mode = 0;
			random_fpu(&f, false);
			/* FNSAVE keeps no contents of empty registers' order: all are valid */
			f.ftw = 0xff;
			f.fip = 0x1234;
			f.fdp = 0x5678;
			f.fop = osz == 2 && !real ? 0 : 0x345;
			f.fcs = 0x1110;
			f.fds = 0x2220;
			cpu.s.fpu = f;
			memset(ram, 0x5a, 256);
			assert_int_equal(run(0, 0xdd, 0x30, ram, osz, 0x99), -1);
			assert_int_equal(ram[size], 0x5a);
			fpu_store(&cpu);
			assert_int_equal(cpu.s.fpu.fcw, X87_FCW_INIT);
			assert_int_equal(cpu.s.fpu.fip, 0);
			assert_int_equal(run(0, 0xdd, 0x20, ram, osz, 0x99), -1);
			fpu_store(&cpu);
			g = cpu.s.fpu;
			if (real) {
				f.fip += (u64)f.fcs << 4;
				f.fdp += (u64)f.fds << 4;
				f.fcs = f.fds = 0;
			}
			assert_memory_equal(&g, &f, sizeof(g));
		}
	}
}

/* --- FXSAVE, XSAVE --- */

#define MAP_0F 1

static void xmask(u64 mask)
{
	cpu.r[R_RAX] = (u32)mask;
	cpu.r[R_RDX] = mask >> 32;
}

static void random_state(void)
{
	world_reset();
	random_fpu(&cpu.s.fpu, false);
	cpu.s.fpu.mxcsr = 0x1fa0;
	for (unsigned i = 0; i < 16; i++)
		for (unsigned b = 0; b < 32; b += 8)
			st64(cpu.s.ymm[i] + b, rnd());
}

static void same_state(const struct cpu_state *want, bool avx)
{
	fpu_store(&cpu);
	assert_int_equal(cpu.s.fpu.fcw, want->fpu.fcw);
	assert_int_equal(cpu.s.fpu.fsw, want->fpu.fsw);
	assert_int_equal(cpu.s.fpu.ftw, want->fpu.ftw);
	assert_int_equal(cpu.s.fpu.mxcsr, want->fpu.mxcsr);
	assert_memory_equal(cpu.s.fpu.st, want->fpu.st, sizeof(want->fpu.st));
	for (unsigned i = 0; i < 16; i++)
		assert_memory_equal(cpu.s.ymm[i], want->ymm[i], avx ? 32 : 16);
}

static void fxsave_fxrstor(void **state unused_arg)
{
	struct cpu_state want;

	for (unsigned w = 4; w <= 8; w += 4) {
		random_state();
		want = cpu.s;
		memset(ram, 0x5a, 1024);
		assert_int_equal(run(MAP_0F, 0xae, 0x00, ram + 8, w, 0), EXC_GP);
		assert_int_equal(run(MAP_0F, 0xae, 0x00, ram, w, 0), -1);
		for (unsigned i = 416; i < 1024; i++)
			assert_int_equal(ram[i], 0x5a);
		world_reset();
		assert_int_equal(run(MAP_0F, 0xae, 0x08, ram, w, 0), -1);
		same_state(&want, false);
		st32(ram + 24, 0x10000);
		assert_int_equal(run(MAP_0F, 0xae, 0x08, ram, w, 0), EXC_GP);
	}
}

static void xsave_xrstor(void **state unused_arg)
{
	/* opcode, modrm: XSAVE, XSAVEOPT, XSAVEC, XSAVES */
	static const u8 save[][2] = {{0xae, 0x20}, {0xae, 0x30}, {0xc7, 0x20}, {0xc7, 0x28}};
	struct cpu_state want;

	for (unsigned i = 0; i < 4; i++) {
		random_state();
		want = cpu.s;
		memset(ram, 0x5a, 1024);
		memset(ram + 512, 0, 64);
		xmask(~0ull);
		assert_int_equal(run(MAP_0F, save[i][0], save[i][1], ram + 32, 8, 0), EXC_GP);
		assert_int_equal(run(MAP_0F, save[i][0], save[i][1], ram, 8, 0), -1);
		assert_int_equal(ld64(ram + 512), 7);
		assert_true(ld64(ram + 520) == (i < 2 ? 0 : BIT64(63) | 7));
		assert_int_equal(ram[416], 0x5a);
		assert_int_equal(ram[832], 0x5a);
		world_reset();
		xmask(7);
		assert_int_equal(run(MAP_0F, 0xae, 0x28, ram, 8, 0), -1);
		same_state(&want, true);
	}
}

/* --- the state instructions against the host --- */

/* Host state in rdi, mask esi, area r8 (5th argument), state after in r9. */
static void native_state(const u8 *before, u32 mask, u8 *area, u8 *after, bool w, unsigned opcode,
			 unsigned modrm)
{
	const u8 text[] = {0xb8, 7,	     0,
			   0,	 0,	     0x31,
			   0xd2, 0x48,	     0x0f,
			   0xae, 0x2f, /* xrstor64 */
			   0x89, 0xf0,	     (u8)(w ? 0x49 : 0x41),
			   0x0f, (u8)opcode, (u8)modrm,
			   0xb8, 7,	     0,
			   0,	 0,	     0x31,
			   0xd2, 0x49,	     0x0f,
			   0xae, 0x21, /* xsave64 */
			   0xdb, 0xe3,	     0xc3};
	u32 mxcsr = X87_MXCSR_INIT;

	memcpy(code, text, sizeof(text));
	((void (*)(const u8 *, u64, u64, u64, u8 *, u8 *))(uintptr_t)code)(before, mask, 0, 0, area,
									   after);
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr) : "memory");
}

/* A valid standard-format area: some components initial by header, some by value. */
static void random_area(u8 *area)
{
	struct cpu_fpu f;
	u64 r = rnd();

	memset(area, 0, 1024);
	random_fpu(&f, false);
	if (r & 1)
		x87_initial(&f);
	image_of(&f, area);
	st32(area + 24, r & 2 ? 0x1f80 : (u32)rnd() & 0xffff);
	for (unsigned i = 160; i < 416 && (r & 12); i += 8)
		st64(area + i, rnd());
	for (unsigned i = 576; i < 832 && (r & 48); i += 8)
		st64(area + i, rnd());
	st64(area + 512, r & 64 ? 7 : r >> 8 & 7);
}

static void state_in(const u8 *area)
{
	memcpy(ram + 4096, area, 1024);
	xmask(7);
	assert_int_equal(run(MAP_0F, 0xae, 0x28, ram + 4096, 8, 0), -1);
}

/* Byte where the images differ, or size. MXCSR_MASK is the model's. */
static unsigned difference(const u8 *a, const u8 *b, unsigned size)
{
	unsigned i = 0;

	while (i < size && (a[i] == b[i] || (i >= 28 && i < 32)))
		i++;
	return i;
}

static void state_against_host(void **state unused_arg)
{
	/* loads: from the area; compact: XRSTOR of a compacted area */
	static const struct {
		u8 opcode, reg;
		bool loads, compact;
	} ops[] = {{0xae, 0, false, false}, {0xae, 1, true, false},  {0xae, 4, false, false},
		   {0xae, 5, true, false},  {0xae, 6, false, false}, {0xc7, 4, false, false},
		   {0xae, 5, true, true}};
	static u8 before[1024] __attribute__((aligned(64)));
	static u8 area[1024] __attribute__((aligned(64)));
	static u8 native[1024] __attribute__((aligned(64)));
	static u8 after[1024] __attribute__((aligned(64)));
	char what[64];

	if (!__builtin_cpu_supports("avx2"))
		skip();
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	assert_ptr_not_equal(code, MAP_FAILED);
	for (unsigned n = 0; n < 20000; n++) {
		unsigned k = (unsigned)(rnd() % ARRAY_LEN(ops)), modrm = ops[k].reg * 8u;
		unsigned at = 0, at_after = 0;
		u32 mask = (u32)rnd() & 7;
		bool w = rnd() & 1;

		world_reset();
		random_area(before);
		random_area(area);
		if (!ops[k].loads)
			memset(area, 0x5a, 512);
		if (ops[k].compact)
			st64(area + 520, BIT64(63) | ld64(area + 512) | (rnd() & 7));
		snprintf(what, sizeof(what), "%02x /%u w %u mask %x", ops[k].opcode, ops[k].reg, w,
			 mask);
		state_in(before);
		memcpy(ram, area, sizeof(area));
		xmask(mask);
		if (run(MAP_0F, ops[k].opcode, modrm, ram, w ? 8 : 4, 0) != -1)
			fail_msg("%s: vector %d", what, vector);
		memset(ram + 2048, 0, 1024);
		xmask(7);
		assert_int_equal(run(MAP_0F, 0xae, 0x20, ram + 2048, 8, 0), -1);

		/* a task switch in between may leave the host with more marked as in use */
		for (unsigned tries = 0; tries < 4; tries++) {
			memcpy(native, area, sizeof(area));
			memset(after, 0, sizeof(after));
			native_state(before, mask, native, after, w, ops[k].opcode, modrm);
			at = difference(ram, native, 1024);
			at_after = difference(ram + 2048, after, 832);
			if (at == 1024 && at_after == 832)
				break;
		}
		if (at < 1024)
			fail_msg("%s: byte %u is %02x, not %02x", what, at, ram[at], native[at]);
		if (at_after < 832)
			fail_msg("%s: then byte %u is %02x, not %02x", what, at_after,
				 ram[2048 + at_after], after[at_after]);
	}
	fpu_store(&cpu);
	munmap(code, 4096);
}

static void xrstor_partial(void **state unused_arg)
{
	struct cpu_state want;

	random_state();
	want = cpu.s;
	/* everything initial but MXCSR, which the standard form always loads */
	memset(ram, 0, 1024);
	st32(ram + 24, 0x1f81);
	xmask(4);
	assert_int_equal(run(MAP_0F, 0xae, 0x28, ram, 8, 0), -1);
	want.fpu.mxcsr = 0x1f81;
	for (unsigned i = 0; i < 16; i++)
		memset(want.ymm[i] + 16, 0, 16);
	same_state(&want, true);
	/* compacted: AVX does not touch MXCSR, SSE resets it */
	st64(ram + 520, BIT64(63) | 7);
	st32(ram + 24, 0xffffffff);
	assert_int_equal(run(MAP_0F, 0xae, 0x28, ram, 8, 0), -1);
	same_state(&want, true);
	xmask(3);
	assert_int_equal(run(MAP_0F, 0xae, 0x28, ram, 8, 0), -1);
	memset(want.ymm, 0, sizeof(want.ymm));
	memset(&want.fpu, 0, sizeof(want.fpu));
	want.fpu.fcw = X87_FCW_INIT;
	want.fpu.mxcsr = X87_MXCSR_INIT;
	same_state(&want, true);
	xmask(0);
	cpu.r[R_RCX] = 1;
	assert_int_equal(run(MAP_0F, 0x01, 0xd0, NULL, 4, 0), -1);
	assert_int_equal(cpu.r[R_RAX], 0);
}

static void xrstor_header(void **state unused_arg)
{
	static const struct {
		u64 bv, comp;
		unsigned at; /* a byte set to 1 */
		int result;
	} cases[] = {
		{7, 0, 536, -1},
		{BIT64(62), 0, 536, EXC_GP},
		{1, 7, 536, EXC_GP},
		{0, 0, 528, EXC_GP},
		{0, 0, 575, -1},
		{7, BIT64(63) | 7, 0, -1},
		{4, BIT64(63) | 3, 0, EXC_GP},
		{1, BIT64(63) | 15, 0, EXC_GP},
		{0, BIT64(63) | 7, 528, EXC_GP},
		{0, BIT64(63) | 7, 575, EXC_GP},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		world_reset();
		memset(ram, 0, 1024);
		st64(ram + 512, cases[i].bv);
		st64(ram + 520, cases[i].comp);
		if (cases[i].at)
			ram[cases[i].at] = 1;
		xmask(7);
		if (run(MAP_0F, 0xae, 0x28, ram, 8, 0) != cases[i].result)
			fail_msg("case %u: vector %d", i, vector);
	}
	world_reset();
	assert_int_equal(run(MAP_0F, 0xc7, 0x18, ram, 8, 0), EXC_GP); /* XRSTORS: compacted only */
	cpu.mode |= MODE_TS;
	assert_int_equal(run(MAP_0F, 0xae, 0x28, ram, 8, 0), EXC_NM);
	cpu.mode &= ~(u32)MODE_OSXSAVE;
	assert_int_equal(run(MAP_0F, 0xae, 0x28, ram, 8, 0), EXC_UD);
}

/* Initial state: XSAVEOPT and XSAVEC write no component. */
static void init_optimisation(void **state unused_arg)
{
	world_reset();
	memset(ram, 0x5a, 1024);
	memset(ram + 512, 0, 64);
	ram[512] = 7;
	xmask(7);
	assert_int_equal(run(MAP_0F, 0xae, 0x30, ram, 8, 0), -1);
	assert_int_equal(ld64(ram + 512), 0);
	assert_int_equal(ram[0], 0x5a);
	assert_int_equal(ld32(ram + 24), X87_MXCSR_INIT);
	assert_int_equal(ram[576], 0x5a);
	memset(ram, 0x5a, 1024);
	st32(ram + 4000, 0x1fa0);
	assert_int_equal(run(MAP_0F, 0xae, 0x10, ram + 4000, 4, 0), -1); /* ldmxcsr */
	assert_int_equal(run(MAP_0F, 0xc7, 0x20, ram, 8, 0), -1);
	assert_int_equal(ld64(ram + 512), 2);
	assert_int_equal(ld32(ram + 24), 0x1fa0);
	assert_int_equal(ram[0], 0x5a);
	assert_int_equal(ld64(ram + 160), 0);
	fpu_store(&cpu);
}

static void mxcsr(void **state unused_arg)
{
	world_reset();
	for (unsigned live = 0; live < 2; live++) {
		st32(ram, 0x10000);
		assert_int_equal(run(MAP_0F, 0xae, 0x10, ram, 4, 0), EXC_GP);
		st32(ram, 0xffff);
		assert_int_equal(run(MAP_0F, 0xae, 0x10, ram, 4, 0), -1);
		st32(ram, 0);
		assert_int_equal(run(MAP_0F, 0xae, 0x18, ram, 4, 0), -1);
		assert_int_equal(ld32(ram), 0xffff);
		fpu_load(&cpu);
	}
	fpu_store(&cpu);
}

static void xsetbv_values(void **state unused_arg)
{
	static const struct {
		u64 value;
		int result;
	} cases[] = {{1, -1},
		     {3, -1},
		     {7, -1},
		     {0, EXC_GP},
		     {5, EXC_GP},
		     {15, EXC_GP},
		     {BIT64(62) | 7, EXC_GP}};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		world_reset();
		xmask(cases[i].value);
		assert_int_equal(run(MAP_0F, 0x01, 0xd1, NULL, 4, 0), cases[i].result);
		assert_int_equal(cpu.s.xcr0, cases[i].result == -1 ? cases[i].value : 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),	      cmocka_unit_test(every_form),
		cmocka_unit_test(pending_mf),	      cmocka_unit_test(pending_across_store),
		cmocka_unit_test(without_ne),	      cmocka_unit_test(unmasked_store),
		cmocka_unit_test(faulting_store),     cmocka_unit_test(fwait_ts),
		cmocka_unit_test(environments),	      cmocka_unit_test(fxsave_fxrstor),
		cmocka_unit_test(xsave_xrstor),	      cmocka_unit_test(xrstor_partial),
		cmocka_unit_test(xrstor_header),      cmocka_unit_test(init_optimisation),
		cmocka_unit_test(state_against_host), cmocka_unit_test(mxcsr),
		cmocka_unit_test(xsetbv_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
