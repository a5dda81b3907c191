/* SPDX-License-Identifier: Apache-2.0 */
/* corners64: hot code whose segment bases, view or flags change in its middle, and interrupts that
 * must get into loops of every kind (Intel SDM 2: WRFSBASE, SWAPGS, POPF, STI; 3A 4.6, 6.8, 6.15).
 */
#include "rt/code64.h"

static u8 *page_a, *page_b;

/* --- segment bases ---------------------------------------------------------------------------- */

#define TAG(page, off) (*(volatile u64 *)((page) + (off)))

static void tags(void)
{
	for (unsigned i = 0; i < 512; i++) {
		TAG(page_a, i * 8) = 0xa000 + i;
		TAG(page_b, i * 8) = 0xb000 + i;
	}
}

static bool runs(struct frame *f, u8 *start, bool user)
{
	return go(f, start, user) == VEC_DONE;
}

/* FS (64h) or GS (65h). */
static void between_runs(u8 seg, bool user)
{
	u32 msr = seg == 0x64 ? MSR_FS_BASE : MSR_GS_BASE;
	unsigned bad = 0;
	u8 *start = piece(64);

	put_mem(H_W, 0x8b, RAX, mem(RDI, NONE, 0, 0x100, seg));
	put_mem(H_W, 0x8b, RBX, mem(RDI, NONE, 0, 0x108, seg));
	put_mem(H_W, 0x8b, RSI, mem(RDI, R11, 3, 0x100, seg));
	put_mem(H_W, 0x89, RDX, mem(RDI, NONE, 0, 0x200, seg));
	put_done();
	tags();
	for (unsigned i = 0; i < 60; i++) {
		u8 *page = i & 1 ? page_b : page_a;
		struct frame f = fresh(), *t = &this_cpu()->trap.frame;
		u64 n = (i & 1 ? 0xb000 : 0xa000) + i % 5 + 0x20;

		wrmsr(msr, (user ? USER_BASE : 0) + (u64)page + i % 5 * 8);
		f.rdi = 0;
		f.r11 = 2;
		f.rdx = i;
		bad += !runs(&f, start, user) || t->rax != n || t->rbx != n + 1 ||
		       t->rsi != n + 2 || TAG(page, 0x200 + i % 5 * 8) != i;
		TAG(page, 0x200 + i % 5 * 8) = 0;
	}
	wrmsr(msr, 0);
	CHECK_EQ(bad, 0,
		 user ? "WRMSR of a base between two runs, CPL 3"
		      : "WRMSR of a base between two runs, CPL 0");
}

/* Loads around `middle`, which makes a base that led to page_a lead to page_b. */
static bool in_block(const u8 *middle, unsigned n, u8 seg, bool user, struct frame f)
{
	u8 *start = piece(128);
	bool good = true;

	put_mem(H_W, 0x8b, RBX, mem(RDI, NONE, 0, 0x100, seg));
	put_mem(H_W, 0x8b, R8, mem(RDI, NONE, 0, 0x108, seg));
	put_mem(H_W, 0x89, RSI, mem(RDI, NONE, 0, 0x110, seg));
	put(middle, n);
	put_mem(H_W, 0x8b, R12, mem(RDI, NONE, 0, 0x100, seg));
	put_mem(H_W, 0x8b, R13, mem(RDI, NONE, 0, 0x108, seg));
	put_mem(H_W, 0x89, RSI, mem(RDI, NONE, 0, 0x118, seg));
	put_done();
	for (unsigned i = 0; i < 8; i++) {
		struct frame g = f, *t = &this_cpu()->trap.frame;
		u64 to = (u64)page_a + (user ? USER_BASE : 0);

		tags();
		wrmsr(seg == 0x64 ? MSR_FS_BASE : MSR_GS_BASE, to);
		wrmsr(MSR_KERNEL_GS_BASE, (u64)page_b + (user ? USER_BASE : 0));
		g.rdi = 0;
		g.rsi = 0x1234;
		good &= runs(&g, start, user) && t->rbx == 0xa020 && t->r8 == 0xa021 &&
			t->r12 == 0xb020 && t->r13 == 0xb021;
		good &= TAG(page_a, 0x110) == 0x1234 && TAG(page_b, 0x118) == 0x1234 &&
			TAG(page_a, 0x118) == 0xa023 && TAG(page_b, 0x110) == 0xb022;
	}
	return good;
}

#define M(...) (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__})

static void bases_change(void)
{
	struct frame f;

	section("segment bases");
	for (unsigned user = 2; user-- > 0;) {
		between_runs(0x64, user);
		between_runs(0x65, user);
		f = fresh();
		/* mov fs, edx; mov gs, edx */
		gdt_set(SEL_FREE, (u32)(u64)page_b + (user ? (u32)USER_BASE : 0), 0xfffff, 0xf3,
			12);
		f.rdx = SEL_FREE | 3;
		CHECK(in_block(M(0x8e, 0xe2), 0x64, user, f), "mov to FS in a block");
		CHECK(in_block(M(0x8e, 0xea), 0x65, user, f), "mov to GS in a block");
		asm volatile("mov %0, %%fs; mov %0, %%gs" ::"r"(0));
		if (cpuid(7, 0).b & 1) {
			write_cr4(read_cr4() | CR4_FSGSBASE);
			f.rdx = (u64)page_b + (user ? USER_BASE : 0);
			CHECK(in_block(M(0xf3, 0x48, 0x0f, 0xae, 0xd2), 0x64, user, f),
			      "WRFSBASE in a block");
			CHECK(in_block(M(0xf3, 0x48, 0x0f, 0xae, 0xda), 0x65, user, f),
			      "WRGSBASE in a block");
			write_cr4(read_cr4() & ~(uword)CR4_FSGSBASE);
		} else {
			skip("WRFSBASE", "not offered");
		}
	}
	f = fresh();
	CHECK(in_block(M(0x0f, 0x01, 0xf8), 0x65, false, f), "SWAPGS in a block");
	CHECK(in_block(M(0x0f, 0x01, 0xf8, 0x0f, 0x01, 0xf8, 0x0f, 0x01, 0xf8), 0x65, false, f),
	      "three of them");
	f.rax = (u64)page_b;
	f.rdx = 0;
	f.rcx = MSR_GS_BASE;
	CHECK(in_block(M(0x0f, 0x30), 0x65, false, f), "WRMSR in a block");
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	wrmsr(MSR_GS_BASE, 0);
	wrmsr(MSR_FS_BASE, 0);
}

/* --- SMAP, alignment ----------------------------------------------------------------------------
 */

static void views_change(void)
{
	struct frame f, *t = &this_cpu()->trap.frame;
	unsigned bad = 0;
	u8 *start, *third;

	section("what may be accessed changes in a block (SDM 3A 4.6, 6.15)");
	if (cpuid(7, 0).b >> 20 & 1) {
		start = piece(64);
		B(0x0f, 0x01, 0xcb); /* stac */
		put_mem(H_W, 0x8b, RAX, mem(RDI, NONE, 0, 0x100, 0));
		B(0x53, 0x5b); /* push rbx; pop rbx */
		put_mem(H_W, 0x89, RAX, mem(RDI, NONE, 0, 0x108, 0));
		B(0x0f, 0x01, 0xca); /* clac */
		third = out;
		put_mem(H_W, 0x8b, RBX, mem(RDI, NONE, 0, 0x100, 0));
		put_done();
		write_cr4(read_cr4() | CR4_SMAP);
		for (unsigned i = 0; i < 20; i++) {
			f = fresh();
			f.rsp = (u64)stack + 2048;
			f.rdi = (u64)(i % 3 == 2 ? page_a : USER(page_a));
			bad += go(&f, start, false) != (i % 3 == 2 ? VEC_DONE : PF);
			if (i % 3 != 2)
				bad += this_cpu()->trap.error != 1 || t->rip != (u64)third ||
				       t->rax != TAG(page_a, 0x100);
		}
		write_cr4(read_cr4() & ~(uword)CR4_SMAP);
		CHECK_EQ(bad, 0, "behind CLAC a user page faults again");
	} else {
		skip("SMAP", "not offered");
	}
	bad = 0;
	start = piece(64);
	put_mem(H_W, 0x8b, RAX, mem(RDI, NONE, 0, 0, 0));
	put_mem(H_W, 0x89, RAX, mem(RDI, NONE, 0, 8, 0));
	third = out;
	put_mem(H_W, 0x89, RDX, mem(RDI, NONE, 0, 0x11, 0));
	put_done();
	write_cr0(read_cr0() | CR0_AM);
	for (unsigned i = 0; i < 20 && !on_qemu(); i++) {
		tags();
		f = fresh();
		f.rdi = (u64)USER(page_a) + 0x100;
		f.rflags = i & 1 ? FL_AC : 0;
		bad += go(&f, start, true) != (i & 1 ? AC : VEC_DONE);
		bad += TAG(page_a, 0x108) != 0xa020;
		if (i & 1)
			bad += t->rip != (u64)USER(third) || TAG(page_a, 0x110) != 0xa022;
	}
	write_cr0(read_cr0() & ~(uword)CR0_AM);
	if (on_qemu())
		skip("alignment checks", "QEMU makes none");
	else
		CHECK_EQ(bad, 0,
			 "#AC in a group once AC is set, at the operand that is misaligned");
}

/* --- flags -------------------------------------------------------------------------------------
 */

static void flag_images(bool user)
{
	/* IF stays at CPL 3; IOPL too */
	u64 may = user ? 0x244dd5 : 0x247dd5;
	unsigned bad = 0, lazy = 0;
	u8 *start = piece(64), *after;

	may &= ~(u64)FL_TF;
	put(M(0x52, 0x9d, 0x9c, 0x58)); /* push rdx; popf; pushf; pop rax */
	put_done();
	after = piece(64); /* the same, and something looks at the flags in between */
	put(M(0x52, 0x9d, 0x0f, 0x92, 0xc1, 0x0f, 0x9a, 0xc5, 0x9c, 0x58, 0x9c, 0x5b));
	put_done();
	for (unsigned i = 0; i < 600; i++) {
		struct frame f = fresh(), *t = &this_cpu()->trap.frame;
		u64 image = i < 256 ? i : dice(1u << 22);

		image &= ~(u64)(FL_TF | FL_IF | (user ? 0 : FL_NT));
		f.rsp = (u64)stack + (user ? USER_BASE : 0) + 2048;
		if (i % 3 == 2) /* nowhere near one page */
			f.rsp = (u64)stack + (user ? USER_BASE : 0) + 4096 + 4;
		f.rdx = image;
		f.rflags = i * 0x91 & FL_STATUS;
		bad += !runs(&f, start, user) || t->rax != ((image & may) | 2);
		lazy += !runs(&f, after, user) || t->rax != ((image & may) | 2) ||
			t->rbx != t->rax || (t->rcx & 0xff) != (image & 1) ||
			(t->rcx >> 8 & 1) != (image >> 2 & 1);
	}
	CHECK_EQ(bad, 0,
		 user ? "POPF and PUSHF: reserved bits as they shall be, CPL 3"
		      : "POPF and PUSHF: reserved bits as they shall be, CPL 0");
	CHECK_EQ(lazy, 0, "and with SETcc between them");
}

/* --- interrupts ---------------------------------------------------------------------------------
 */

static volatile u64 ticks, tick_rip;
static u64 end_rip; /* where a loop's interrupt leads; 0: nowhere else */

static bool tick(struct frame *f)
{
	if (f->vector != 0x61)
		return false;
	ticks++;
	tick_rip = f->rip;
	if (end_rip) {
		f->rip = end_rip;
		f->rflags &= ~(u64)FL_IF;
	}
	apic_write(APIC_EOI, 0);
	return true;
}

static void arm(u32 count)
{
	ticks = 0;
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, 0x61);
	apic_write(APIC_TMICT, count);
}

static void disarm(void)
{
	apic_write(APIC_TMICT, 0);
	sti();
	asm volatile("nop; nop");
	cli();
}

/* STI is a page's last byte. */
static void sti_at_the_end(void)
{
	unsigned bad = 0, late = 0, nop = 0;
	u8 *start;

	out = code + 4096 - 12;
	start = out;
	while (out != code + 4095)
		B(0x90);
	B(0xfb, 0xf4, 0xfa); /* sti; hlt; cli */
	put_done();
	for (unsigned i = 0; i < 60; i++) {
		struct frame f = fresh();

		f.rsp = (u64)stack + 2048;
		if (i & 1) { /* it waits already */
			arm(10);
			for (unsigned n = 0; n < 50000 && !(apic_read(APIC_IRR + 0x30) & 2); n++)
				delay_us(10);
		} else {
			arm(100000);
		}
		*(i & 1 ? &bad : &late) +=
			!runs(&f, start, false) || ticks != 1 || tick_rip != (u64)code + 4097;
	}
	CHECK_EQ(bad, 0, "STI at a page's end, HLT on the next one, an interrupt waits");
	CHECK_EQ(late, 0, "and it comes later");
	out = code + 4096;
	B(0x90, 0x90, 0x90, 0xfa);
	put_done();
	for (unsigned i = 0; i < 20; i++) {
		struct frame f = fresh();

		f.rsp = (u64)stack + 2048;
		arm(10);
		for (unsigned n = 0; n < 50000 && !(apic_read(APIC_IRR + 0x30) & 2); n++)
			delay_us(10);
		nop += !runs(&f, start, false) || ticks != 1 || tick_rip != (u64)code + 4097;
	}
	CHECK_EQ(nop, 0, "and behind the first instruction after it where that is none");
	out = code;
}

#define ROUNDS 100000000 /* a loop that nothing gets into ends some time */

/* Each kind of loop, without an end but RCX's. */
static u8 *endless(unsigned kind, u8 **done)
{
	u8 *start = piece(256), *again = out, *fix;

	switch (kind) {
	case 0: B(0x48, 0xff, 0xc9, 0x75, 0xfb); break; /* dec rcx; jnz */
	case 1: B(0xe2, 0xfe); break;			/* loop */
	case 2:						/* forward, and back */
		B(0x48, 0xff, 0xc9, 0x74, 6, 0xeb, 2, 0x90, 0x90, 0xeb, 0xf5);
		break;
	case 3: /* jmp rdi */ B(0x48, 0xff, 0xc9, 0x74, 2, 0xff, 0xe7); break;
	case 4: /* push rdi; ret */ B(0x48, 0xff, 0xc9, 0x74, 2, 0x57, 0xc3); break;
	case 5: /* dec rcx; jrcxz over; jmp back */ B(0x48, 0xff, 0xc9, 0xe3, 2, 0xeb, 0xf9); break;
	case 6: /* memory, many times in a row */
		put_mem(H_W, 0x8b, RAX, mem(RSI, NONE, 0, 0, 0));
		put_mem(H_W, 0x89, RAX, mem(RSI, NONE, 0, 8, 0));
		B(0x48, 0xff, 0xc9, 0x75, 0);
		out[-1] = (u8)(again - out);
		break;
	case 7: /* a call and its return */
		B(0xe8, 7, 0, 0, 0, 0x48, 0xff, 0xc9, 0x75, 0xf6, 0xeb, 1, 0xc3);
		break;
	case 8: /* jmp through memory */ B(0x48, 0xff, 0xc9, 0x74, 2, 0xff, 0x26); break;
	case 9: /* across a page: jumps forward to the next one, from where it jumps back */
		out = code + 8192 - 16;
		start = out;
		B(0x48, 0xff, 0xc9, 0x74, 0, 0xe9);
		fix = out;
		put32(0);
		out = code + 8192 + 32;
		*(u32 *)fix = (u32)(out - fix - 4);
		B(0xe9);
		put32((u32)(start - out - 4));
		fix[-2] = (u8)(out - (fix - 1));
		break;
	}
	*done = out;
	put_done();
	return start;
}

static void into_loops(bool user)
{
	static const char *const name[] = {
		"dec, jnz",    "loop",	    "a jump forward and one back",
		"jmp reg",     "push, ret", "jrcxz",
		"memory",      "call, ret", "jmp m",
		"across pages"};
	u64 off = user ? USER_BASE : 0;

	for (unsigned k = 0; k < 10; k++) {
		u8 *done, *start = endless(k, &done);
		unsigned bad = 0;

		for (unsigned i = 0; i < 5; i++) {
			struct frame f = fresh();

			f.rcx = ROUNDS;
			f.rdi = (u64)start + off;
			f.rsi = (u64)page_a + 0x100 + off;
			TAG(page_a, 0x100) = f.rdi;
			f.rsp = (u64)stack + 2048 + off;
			f.rflags = FL_IF;
			end_rip = (u64)done + off;
			arm(50000);
			bad += !runs(&f, start, user) || ticks != 1 || !this_cpu()->trap.frame.rcx;
		}
		CHECK_EQ(bad, 0, name[k]);
	}
	end_rip = 0;
	out = code;
}

/* A loop that runs over the end of the addresses, from the last page into page 0. */
static void around(bool jump)
{
	u8 *top = page_alloc(), kept[32];
	volatile u8 *zero = (volatile u8 *)0;
	unsigned bad = 0;

	asm volatile("" : "+r"(zero));
	page_map(0xfffffffffffff000, (u64)top, PTE_P | PTE_W);
	for (unsigned i = 0; i < 32; i++)
		kept[i] = zero[i];
	memset(top, 0x90, 4096);
	/* dec rcx; jz done (the INT, behind a jump over it); NOPs, or a jump to 0 */
	out = top + 4096 - 0x110;
	B(0x48, 0xff, 0xc9, 0x0f, 0x84);
	put32(0x107 - 0x3e);
	if (jump) {
		B(0xe9);
		put32((u32)(top + 4096 - out - 4));
	}
	out = top + 4096 - 0x40;
	B(0xeb, 2);
	put_done();
	zero[0] = 0xe9; /* jmp -110h */
	for (unsigned i = 0; i < 4; i++)
		zero[1 + i] = (u8)((u32)(-0x110 - 5) >> i * 8);
	for (unsigned i = 0; i < 5; i++) {
		struct frame f = fresh();

		f.rcx = ROUNDS / 10;
		f.rsp = (u64)stack + 2048;
		f.rflags = FL_IF;
		end_rip = (u64)-0x3e;
		arm(50000);
		bad += !runs(&f, (u8 *)(u64)-0x110, false) || ticks != 1 ||
		       !this_cpu()->trap.frame.rcx;
	}
	end_rip = 0;
	for (unsigned i = 0; i < 32; i++)
		zero[i] = kept[i];
	page_map(0xfffffffffffff000, 0, 0);
	out = code;
	CHECK_EQ(bad, 0,
		 jump ? "over the end of the addresses, by a jump"
		      : "over the end of the addresses, running on");
}

/* --- x87 pointers ------------------------------------------------------------------------------
 */

#define FSTENV_IP 12
#define FSTENV_DP 20

/* FNSTENV behind it: FIP is that of `last`, FDP that of the last operand in memory, RDI + at. */
static void pointers_of(const char *what, const char *text, size_t n, unsigned last, u32 at,
			bool user)
{
	unsigned bad = 0;
	u8 *start = piece(96);
	struct frame f;
	u64 base = user ? USER_BASE : 0;

	put(text, n);
	B(0xd9, 0x36); /* fnstenv [rsi] */
	put_done();
	for (unsigned i = 0; i < 40; i++) {
		u32 ip, dp;

		memset(page_b, 0, 32);
		f = fresh();
		f.rdi = base + (u64)page_a + i * 8;
		f.rsi = base + (u64)page_b;
		f.rdx = base + (u64)stack;
		f.rcx = 3;
		if (i % 8 == 7)
			write_cr3(read_cr3()); /* an access finds no page on its way */
		bad += !runs(&f, start, user);
		memcpy(&ip, page_b + FSTENV_IP, 4);
		memcpy(&dp, page_b + FSTENV_DP, 4);
		bad += ip != (u32)(base + (u64)start + last) || dp != (u32)(f.rdi + at);
	}
	CHECK_EQ(bad, 0, what);
}

static void pointers(bool user)
{
#define P(what, last, at, text) pointers_of(what, text, sizeof(text) - 1, last, at, user)
	P("FNINIT, FLD m64", 2, 0x10, "\xdb\xe3\xdd\x47\x10");
	P("then FLD1, FADDP", 7, 0x10, "\xdb\xe3\xdd\x47\x10\xd9\xe8\xde\xc1");
	P("the operand's register moves", 9, 0x18, "\xdb\xe3\xdd\x47\x18\x48\x83\xc7\x40\xd9\xe8");
	P("another operand, of which the register moves", 13, 0x28,
	  "\xdb\xe3\xdd\x47\x18\xd9\xe8\xdc\x47\x28\x83\xc7\x08\xd9\xe1");
	P("a jump between", 9, 0x18, "\xdb\xe3\xdd\x47\x18\xd9\xe8\xeb\x00\xd9\xe1");
	P("a body between", 8, 0x18, "\xdb\xe3\xdd\x47\x18\x0f\xa2\x90\xd9\xe8");
	P("a load between", 5, 0x20, "\xdb\xe3\xdd\x47\x20\xd9\xe8\x48\x8b\x02");
	P("a loop", 2, 0x30, "\xdb\xe3\xdc\x47\x30\xe2\xfb");
	P("a loop of a block, then none in memory", 11, 0x28,
	  "\xdb\xe3\xdd\x47\x28\xdd\xd8\xff\xc9\x75\xf7\xd9\xe8");
	wrmsr(MSR_FS_BASE, 0x100);
	P("an operand in FS: its offset", 2, 0x40, "\xdb\xe3\x64\xdd\x47\x40");
	P("and with an index", 7, 0x4b, "\xdb\xe3\x64\xdd\x44\x0f\x48\xd9\xe8");
	wrmsr(MSR_FS_BASE, 0);
#undef P
}

void suite(void)
{
	page_a = page_alloc();
	page_b = page_alloc();
	stack = page_alloc();
	page_alloc(); /* behind the stack */
	write_cr4(read_cr4() | CR4_OS);
	apic_enable();
	traps_on_ist(true);
	bases_change();
	views_change();
	section("POPF and PUSHF (SDM 2)");
	flag_images(true);
	flag_images(false);
	section("x87 instruction and operand pointers (SDM 1 8.1.8)");
	pointers(true);
	pointers(false);
	section("interrupts (SDM 2 STI, 3A 6.8.1)");
	this_cpu()->hook = tick;
	sti_at_the_end();
	section("interrupts get into each kind of loop: CPL 3");
	into_loops(true);
	section("at CPL 0");
	into_loops(false);
	around(false);
	around(true);
	disarm();
	this_cpu()->hook = NULL;
	traps_on_ist(false);
}
