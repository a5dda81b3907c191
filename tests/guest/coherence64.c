/* SPDX-License-Identifier: Apache-2.0 */
/* coherence64: code that changes under the CPU's feet, repeated strings that are interrupted, LOCK
 * across pages, TLB shootdown (Intel SDM 3A 8.1, 8.1.3, 11.6, 4.10.5; SDM 2 REP). Any number of
 * CPUs. */
#include "rt/rt.h"

#define VA 0x100000000ul

static u8 *code; /* two pages, one after the other */
static unsigned n_cpus;

/* --- self-modifying code -------------------------------------------------------------------- */

struct call {
	u64 rax, rcx, rdx, rsi, rdi;
};

static u64 run(const void *fn, struct call r)
{
	asm volatile("mov %%rbx, %%r12; call *%[fn]; mov %%r12, %%rbx; cld"
		     : "+a"(r.rax), "+c"(r.rcx), "+d"(r.rdx), "+S"(r.rsi), "+D"(r.rdi)
		     : [fn] "r"(fn)
		     : "r8", "r9", "r10", "r11", "r12", "memory", "cc");
	return r.rax;
}

static u8 *place(unsigned at, const void *bytes, size_t n)
{
	memcpy(code + at, bytes, n);
	return code + at;
}

#define PUT(at, ...) place(at, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))
#define RETURNS(n)   0xb8, (n), 0, 0, 0, 0xc3 /* mov eax, n; ret */

/* mov eax, imm, whose second and third byte are in the next page: changed, and mapped elsewhere,
 * once it is hot. */
static void two_pages(void)
{
	u8 *p = PUT(4096 - 2, RETURNS(0x31)), *other = page_alloc();
	unsigned bad = 0;

	for (unsigned i = 0; i < 40; i++) {
		p[2] = (u8)i;
		bad += run(p, (struct call){0}) != (0x31 | i << 8);
	}
	CHECK_EQ(bad, 0, "a hot instruction in two pages, the second one written");
	for (unsigned i = 0; i < 40; i++) {
		p[1] = (u8)i;
		bad += run(p, (struct call){0}) != (i | 39 << 8);
	}
	CHECK_EQ(bad, 0, "the first one written");
	memcpy(other, p + 2, 6);
	other[0] = 9;
	page_map(VA, (u64)code, PTE_P | PTE_W);
	for (unsigned i = 0; i < 40; i++) {
		page_map(VA + 4096, i & 1 ? (u64)other : (u64)code + 4096, PTE_P | PTE_W);
		bad += run((void *)(VA + 4094), (struct call){0}) != (39 | (i & 1 ? 9 : 39) << 8);
	}
	CHECK_EQ(bad, 0, "the second one mapped elsewhere");
	for (unsigned i = 0; i < 40; i++) {
		page_map(VA + 4096, (u64)code + 4096, i & 1 ? PTE_P | PTE_W : 0);
		if (i & 1)
			bad += run((void *)(VA + 4094), (struct call){0}) != (39 | 39 << 8);
	}
	CHECK_EQ(bad, 0, "the second one absent in between");
	page_map(VA + 4096, 0, 0);
}

static void self_modifying(void)
{
	static const u32 source = 0x11223344;
	static u8 wide[16] = {RETURNS(0x66), 0x90, 0x90, 0x90, 0x90};
	u8 *p;

	section("self-modifying code (SDM 3A 8.1.3, 11.6)");
	/* movl $0x77, imm of the next instruction */
	p = PUT(0, 0xc7, 5, 1, 0, 0, 0, 0x77, 0, 0, 0, RETURNS(0));
	CHECK_EQ(run(p, (struct call){0}), 0x77, "the very next instruction");
	p[11] = 0;
	CHECK_EQ(run(p, (struct call){0}), 0x77, "and again, decoded or not");
	/* 1: incl imm; mov eax, imm; dec ecx; jnz 1b; ret */
	p = PUT(64, 0xff, 5, 1, 0, 0, 0, 0xb8, 0, 0, 0, 0, 0xff, 0xc9, 0x75, 0xf1, 0xc3);
	CHECK_EQ(run(p, (struct call){.rcx = 5000}), 5000, "a loop that counts in its own code");
	/* rep movsb into what follows */
	p = PUT(128, 0xf3, 0xa4, RETURNS(0));
	CHECK_EQ(run(p, (struct call){.rcx = 4, .rsi = (u64)&source, .rdi = (u64)p + 3}), source,
		 "rep movsb");
	p = PUT(160, 0xf3, 0xaa, RETURNS(0));
	CHECK_EQ(run(p, (struct call){.rax = 0x5a, .rcx = 2, .rdi = (u64)p + 3}), 0x5a5a,
		 "rep stosb");
	p = PUT(192, 0xf0, 0x0f, 0xc1, 0x0f, RETURNS(1));
	CHECK_EQ(run(p, (struct call){.rcx = 5, .rdi = (u64)p + 5}), 6, "lock xadd");
	p = PUT(224, 0x0f, 0xc3, 0x0f, RETURNS(1));
	CHECK_EQ(run(p, (struct call){.rcx = 9, .rdi = (u64)p + 4}), 9, "movnti");
	p = PUT(256, 0x0f, 0x11, 0x07, RETURNS(0), 0x90, 0x90);
	write_cr4(read_cr4() | CR4_OSFXSR);
	asm volatile(".byte 0x0f, 0x10, 0x06" ::"S"(wide), "m"(wide)); /* movups xmm0, [rsi] */
	CHECK_EQ(run(p, (struct call){.rdi = (u64)p + 3}), 0x66, "movups");
	/* mov rax, rsp; lea rsp, [end of imm64]; call 1f; 1: mov rsp, rax; mov rax, imm64; ret */
	p = PUT(320, 0x48, 0x89, 0xe0, 0x48, 0x8d, 0x25, 18, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x48, 0x89,
		0xc4, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xc3);
	CHECK_EQ(run(p, (struct call){0}), (u64)p + 15, "call pushes into code ahead");
	/* through another address, with a serialising instruction */
	page_map(VA, (u64)code, PTE_P | PTE_W);
	p = PUT(384, 0xc7, 0x07, 0x44, 0, 0, 0, 0x31, 0xc0, 0x0f, 0xa2, RETURNS(0));
	CHECK_EQ(run(p, (struct call){.rdi = VA + 384 + 11}), 0x44, "through another mapping");
	/* the opcode itself: mov eax becomes mov ecx */
	p = PUT(448, 0xc6, 5, 0, 0, 0, 0, 0xb9, 0xb8, 1, 0, 0, 0, 0xc3);
	CHECK_EQ(run(p, (struct call){.rax = 0x99}), 0x99, "an opcode");
	/* the instruction's second page */
	p = PUT(4096 - 11, 0xc7, 5, 1, 0, 0, 0, 0x21, 0, 0, 0, RETURNS(0));
	CHECK_EQ(run(p, (struct call){0}), 0x21, "an instruction that crosses a page");
	p[11] = 0x22;
	CHECK_EQ(run(p + 10, (struct call){0}), 0x22, "its second page, from outside");
	two_pages();
	/* data beside code in one page is not code */
	p = PUT(512, 0xff, 5, 58, 0, 0, 0, 0xff, 0xc9, 0x75, 0xf6, 0x8b, 5, 48, 0, 0, 0, 0xc3);
	*(u32 *)(p + 64) = 0;
	CHECK_EQ(run(p, (struct call){.rcx = 20000}), 20000, "a counter in the code's page");
}

/* --- cross-modifying code ------------------------------------------------------------------- */

#define CHANGES 2000
static volatile u32 seen_last, seen_back;

static void cross(struct cpu *cpu)
{
	u8 *p = code + 1024;
	volatile u32 *imm = (volatile u32 *)(p + 4); /* of the mov at p + 3 */

	if (!cpu->index) {
		for (u32 i = 1; i <= CHANGES; i++) {
			*imm = i;
			for (unsigned n = 0; n < (i & 63); n++)
				pause();
		}
		return;
	}
	for (u32 last = 0; last < CHANGES;) {
		u32 now = (u32)run(p + 3, (struct call){0});

		if (now < last)
			__atomic_add_fetch(&seen_back, 1, __ATOMIC_SEQ_CST);
		last = now;
	}
	__atomic_add_fetch(&seen_last, 1, __ATOMIC_SEQ_CST);
}

/* Two-party protocol of SDM 3A 8.1.3: the flag, then a serialising instruction, then the code. */
static volatile u32 turn, wrong;

static void handshake(struct cpu *cpu)
{
	u8 *p = code + 1088;

	for (u32 i = 1; i <= 500; i++) {
		if (!cpu->index) {
			memcpy(p, (const u8[]){RETURNS(0)}, 6);
			*(u32 *)(p + 1) = i;
			__atomic_store_n(&turn, i * 2 - 1, __ATOMIC_RELEASE);
			while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != i * 2)
				pause();
		} else if (cpu->index == 1) {
			while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != i * 2 - 1)
				pause();
			cpuid(0, 0);
			wrong += run(p, (struct call){0}) != i;
			__atomic_store_n(&turn, i * 2, __ATOMIC_RELEASE);
		}
	}
}

/* Every CPU rewrites and calls a function of its own, all of them in one page. */
static volatile u32 stale_own;

static void neighbours(struct cpu *cpu)
{
	u8 *p = code + 1536 + 256 + 64 * cpu->index;

	memcpy(p, (const u8[]){RETURNS(0)}, 6);
	for (u32 i = 1; i <= 20000; i++) {
		*(volatile u32 *)(p + 1) = i;
		if (run(p, (struct call){0}) != i)
			__atomic_add_fetch(&stale_own, 1, __ATOMIC_SEQ_CST);
	}
}

static void cross_modifying(void)
{
	section("cross-modifying code (SDM 3A 8.1.3)");
	PUT(1024 + 3, RETURNS(0));
	smp_run(n_cpus, cross);
	CHECK_EQ(seen_last, n_cpus - 1, "every CPU sees the last version");
	CHECK_EQ(seen_back, 0, "and none an older one again");
	smp_run(n_cpus, handshake);
	CHECK_EQ(wrong, 0, "new code after a handshake and CPUID");
	smp_run(n_cpus, neighbours);
	CHECK_EQ(stale_own, 0, "own functions in a page that all CPUs write");
}

/* --- LOCK across pages ---------------------------------------------------------------------- */

static u8 *split; /* two pages */
static u8 bytes_of_word[8] __attribute__((aligned(8)));

#define ADDS 2000

static void locked(struct cpu *cpu)
{
	u8 *mine = &bytes_of_word[cpu->index & 7];

	for (unsigned i = 0; i < ADDS; i++) {
		asm volatile("lock incq %0" : "+m"(*(u64 *)(split + 4096 - 3)));
		asm volatile("lock xaddl %1, %0"
			     : "+m"(*(u32 *)(split + 2048 - 1)), "+r"((u32){3}));
		for (u32 old = *(volatile u32 *)(split + 1024 - 2);;) {
			u32 got = old;

			asm volatile("lock cmpxchgl %2, %1"
				     : "+a"(got), "+m"(*(u32 *)(split + 1024 - 2))
				     : "r"(old + 5)
				     : "memory");
			if (got == old)
				break;
			old = got;
		}
		asm volatile("lock btcl $0, %0" : "+m"(*(u32 *)(split + 512 - 3)));
		(*(volatile u8 *)mine)++;
	}
}

static void locks(void)
{
	u64 bytes = 0;

	section("LOCK on operands across lines and pages (SDM 3A 8.1.2.2)");
	memset(split, 0, 8192);
	smp_run(n_cpus, locked);
	CHECK_EQ(*(u64 *)(split + 4096 - 3), (u64)ADDS * n_cpus, "lock inc across a page");
	CHECK_EQ(*(u32 *)(split + 2048 - 1), ADDS * n_cpus * 3, "lock xadd across a line");
	CHECK_EQ(*(u32 *)(split + 1024 - 2), ADDS * n_cpus * 5, "lock cmpxchg across a line");
	CHECK_EQ(*(u32 *)(split + 512 - 3) & 1, 0, "lock btc, an even number of times");
	for (unsigned i = 0; i < n_cpus; i++)
		bytes += bytes_of_word[i] == (u8)ADDS;
	CHECK_EQ(bytes, n_cpus, "a byte store leaves its neighbours alone");
	/* read-only second page: nothing is written */
	page_map(VA, (u64)split, PTE_P | PTE_W);
	page_map(VA + 4096, (u64)split + 4096, PTE_P);
	memset(split + 4090, 0x11, 12);
	{
		u8 *p = PUT(1536, 0xf0, 0xff, 0x07, 0xc3);

		expect("lock inc into a read-only second page", PF, 3, (void (*)(void *))(void *)p,
		       (void *)(VA + 4094));
	}
	CHECK_EQ(*(u32 *)(split + 4092), 0x11111111, "leaves the first alone");
}

/* --- shootdown ------------------------------------------------------------------------------ */

static volatile u32 stale, rounds_done;

static bool flush_hook(struct frame *f)
{
	if (f->vector != 0x60)
		return false;
	invlpg(VA);
	apic_write(APIC_EOI, 0);
	__atomic_add_fetch(&rounds_done, 1, __ATOMIC_SEQ_CST);
	return true;
}

static void shoot(struct cpu *cpu)
{
	static volatile u32 phase;

	if (cpu->index) {
		cpu->hook = flush_hook;
		sti();
		for (u32 i = 0; i < 200;) {
			u32 now = __atomic_load_n(&phase, __ATOMIC_ACQUIRE);
			u32 value = *(volatile u32 *)VA;

			/* phase n: frame n & 1 is in place everywhere */
			if (now & 0x80000000 && value != (now & 1))
				stale += __atomic_load_n(&phase, __ATOMIC_ACQUIRE) == now;
			i = now & 0xffff;
		}
		cli();
		cpu->hook = NULL;
		return;
	}
	delay_us(1000);
	for (u32 i = 1; i <= 200; i++) {
		volatile u64 *e = page_entry(VA, 1);

		__atomic_store_n(&phase, i - 1, __ATOMIC_RELEASE); /* in between */
		rounds_done = 0;
		*e = (u64)(i & 1 ? split + 4096 : split) | PTE_P | PTE_W;
		invlpg(VA);
		apic_write(APIC_ICR, 0xc4060);
		while (__atomic_load_n(&rounds_done, __ATOMIC_SEQ_CST) < n_cpus - 1)
			pause();
		__atomic_store_n(&phase, i | 0x80000000, __ATOMIC_RELEASE);
		for (unsigned n = 0; n < 20; n++)
			pause();
	}
}

static void shootdown(void)
{
	section("TLB shootdown by IPI (SDM 3A 4.10.5)");
	*(u32 *)split = 0;
	*(u32 *)(split + 4096) = 1;
	page_map(VA, (u64)split, PTE_P | PTE_W);
	smp_run(n_cpus, shoot);
	CHECK_EQ(stale, 0, "no stale translation after the handler's invlpg");
}

/* --- a stack that lies in two pages ---------------------------------------------------------- */

/* Pushes, pops, a call, LEAVE and operands beside RSP, with RSP at RDI: 2 RAX + 3 RCX + 2 RDX + 3.
 * It is copied before it runs, so that it is new to whoever translates it. */
asm(".globl stack_code, stack_code_end\n"
    "stack_code: mov %rsp, %r11; mov %rdi, %rsp\n"
    "push %rax; push %rcx; pushfq; sub $24, %rsp\n"
    "mov %rdx, 8(%rsp); mov %rax, (%rsp); add %rcx, 8(%rsp)\n"
    "push %rbp; mov %rsp, %rbp; push 16(%rbp)\n"
    "call 1f; jmp 2f; 1: addq $3, 8(%rsp); ret\n"
    "2: pop %rdx; leave\n"
    "mov 8(%rsp), %rax; add (%rsp), %rax\n"
    "lea 24(%rsp), %rsp; popfq; pop %rcx; pop %r8\n"
    "add %r8, %rax; add %rcx, %rax; add %rdx, %rax\n"
    "mov %r11, %rsp; ret; stack_code_end:");
extern const u8 stack_code[], stack_code_end[];

static bool stack_work(const u8 *at, int off, u64 a)
{
	struct call r = {
		.rax = a, .rcx = 7, .rdx = (u64)(s64)off, .rdi = VA + 4096 + (u64)(s64)off};

	return run(at, r) == 2 * a + 21 + 2 * r.rdx + 3;
}

static volatile unsigned stack_ticks;

static bool count_tick(struct frame *f)
{
	if (f->vector != 0x61)
		return false;
	stack_ticks++;
	apic_write(APIC_EOI, 0);
	return true;
}

static void stack_pages(void)
{
	u64 page[2] = {(u64)page_alloc(), (u64)page_alloc()};
	unsigned bad = 0;

	section("a stack in two pages");
	place(0, stack_code, (size_t)(stack_code_end - stack_code));
	for (unsigned round = 0; round < 24; round++) {
		/* neighbours that are none in physical memory, and change places */
		for (unsigned i = 0; i < 2; i++)
			page_map(VA + i * 4096, page[(round / 6 + i + 1) & 1], PTE_P | PTE_W);
		for (int off = -100; off <= 100; off++)
			bad += !stack_work(code, off, round);
	}
	CHECK_EQ(bad, 0, "each place around the edge");
	this_cpu()->hook = count_tick;
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, 0x20061);
	apic_write(APIC_TMICT, 60000);
	for (unsigned n = 0; n < 20000 && stack_ticks < 2000; n++) {
		u8 *at = place(n % 16 * 160, stack_code, (size_t)(stack_code_end - stack_code));

		sti();
		for (unsigned i = 0; i < 4; i++)
			bad += !stack_work(at, (int)(n % 120) - 60, n);
		cli();
	}
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVTT, 0x10061);
	sti();
	asm volatile("nop; nop");
	cli();
	this_cpu()->hook = NULL;
	print("# %u interrupts\n", (unsigned)stack_ticks);
	CHECK_EQ(bad, 0, "and with interrupts on that stack");
	for (unsigned i = 0; i < 2; i++)
		page_map(VA + i * 4096, 0, 0);
}

/* --- large pages and invlpg ----------------------------------------------------------------- */

static void large_pages(void)
{
	volatile u64 *e = page_entry(VA + 0x40000000, 2);
	volatile u8 *p = (volatile u8 *)(VA + 0x40000000);
	volatile u8 *one = (u8 *)0x2000000, *two = (u8 *)0x2200000;

	section("invlpg and large pages (SDM 3A 4.10.2.4, 4.10.4.1)");
	one[0x1000] = one[0x1ff000] = 1;
	two[0x1000] = two[0x1ff000] = 2;
	*e = (u64)one | PTE_P | PTE_W | PTE_PS;
	CHECK_EQ(p[0x1000] + p[0x1ff000], 2, "the first");
	*e = (u64)two | PTE_P | PTE_W | PTE_PS;
	invlpg((uword)p + 0x80000);
	CHECK_EQ(p[0x1000] + p[0x1ff000], 4, "invlpg of any address drops all 2 MiB");
	if (cpuid(1, 0).d & 1u << 13) {
		write_cr4(read_cr4() | CR4_PGE);
		*e = (u64)two | PTE_P | PTE_W | PTE_PS | 0x100;
		invlpg((uword)p);
		CHECK_EQ(p[0x1000], 2, "a global large page");
		*e = (u64)one | PTE_P | PTE_W | PTE_PS | 0x100;
		invlpg((uword)p + 0x1ff000);
		CHECK_EQ(p[0x1000] + p[0x1ff000], 2, "invlpg drops global entries too");
		write_cr4(read_cr4() & ~(uword)CR4_PGE);
	}
	/* 2 MiB page to a table of 4 KiB pages */
	{
		u64 *table = page_alloc();

		for (unsigned i = 0; i < 512; i++)
			table[i] = ((u64)(i & 1 ? two : one) + i * 4096ul) | PTE_P | PTE_W;
		*e = (u64)table | PTE_P | PTE_W;
		write_cr3(read_cr3());
		CHECK_EQ(p[0x1000], 2, "split: odd pages");
		one[0x2000] = 7;
		CHECK_EQ(p[0x2000], 7, "split: even pages");
	}
	*e = 0;
	write_cr3(read_cr3());
}

/* --- repeated strings and interrupts -------------------------------------------------------- */

static volatile u64 ticks, inside, odd_state, without_rf;
extern u8 rep_here[] asm("rep_here_label");

static bool tick(struct frame *f)
{
	if (f->vector != 0x61)
		return false;
	ticks++;
	if (f->rip == (u64)rep_here && f->rcx != 0x40000) {
		inside++;
		without_rf += !(f->rflags & FL_RF);
		/* what was done and what is left make the whole */
		odd_state += f->rdi - 0x2400000 != 0x40000 - f->rcx ||
			     f->rsi - 0x2000000 != 0x40000 - f->rcx;
	}
	apic_write(APIC_EOI, 0);
	return true;
}

static volatile unsigned faults;

/* Maps the page that is missing and goes on. */
static bool map_late(struct frame *f)
{
	u64 page = read_cr2() & ~0xffful;

	if (f->vector != PF)
		return false;
	faults++;
	odd_state += f->rdi != VA + 0x2000 && f->rdi != VA + 0x3000 && f->rdi != VA + 0x1fff;
	page_map(page, 0x2400000 + (page - VA), PTE_P | PTE_W);
	return true;
}

static void strings(void)
{
	u8 *from = (u8 *)0x2000000, *to = (u8 *)0x2400000;
	unsigned bad = 0;

	section("repeated strings are restartable (SDM 2 REP)");
	for (unsigned i = 0; i < 0x40000; i++)
		from[i] = (u8)(i * 7 + (i >> 8));
	this_cpu()->hook = tick;
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, 0x20061);
	apic_write(APIC_TMICT, 100000);
	for (unsigned n = 0; n < 20000 && ticks < 100; n++) {
		memset(to, 0, 64);
		asm volatile(
			"cld; sti; .globl rep_here_label; rep_here_label: rep movsb; cli" ::"S"(
				from),
			"D"(to), "c"(0x40000)
			: "memory");
	}
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVTT, 0x10061);
	sti();
	asm volatile("nop; nop");
	cli();
	for (unsigned i = 0; i < 0x40000; i++)
		bad += to[i] != from[i];
	print("# %u interrupts, %u inside rep movsb\n", (unsigned)ticks, (unsigned)inside);
	CHECK_EQ(bad, 0, "rep movsb with interrupts copies everything");
	CHECK_EQ(odd_state, 0, "RCX, RSI and RDI agree when interrupted");
	qemu_differs("RF is not set");
	/* Holm drops RF at IRET while no breakpoint is armed: an interrupt right there has none */
	check(!inside || without_rf < inside / 2, "RF is set in the frame (SDM 3B 17.3.1.1)",
	      "%u of %u without", (unsigned)without_rf, (unsigned)inside);
	this_cpu()->hook = map_late;
	for (u64 page = VA; page < VA + 0x4000; page += 4096)
		page_map(page, 0, 0);
	page_map(VA + 0x1000, 0x2401000, PTE_P | PTE_W);
	memset(to, 0, 0x4000);
	asm volatile("cld; rep movsb" ::"S"(from), "D"(VA + 0x1000), "c"(0x3000) : "memory");
	CHECK_EQ(faults, 2, "rep movsb faults once for each absent page");
	CHECK_EQ(odd_state, 0, "at the page's first byte");
	CHECK_EQ(memcmp(to + 0x1000, from, 0x3000), 0, "and goes on after the handler");
	faults = 0;
	page_map(VA + 0x2000, 0, 0);
	page_map(VA + 0x1000, 0, 0);
	page_map(VA + 0x3000, 0x2403000, PTE_P | PTE_W);
	asm volatile("std; rep stosb; cld" ::"a"(0xee), "D"(VA + 0x3010), "c"(0x1020) : "memory");
	CHECK_EQ(faults, 2, "backwards: rep stosb");
	/* the second fault is at VA + 0x1fff */
	CHECK_EQ(to[0x3010] + to[0x2000] + to[0x1ff1], 0xee * 3, "fills to the last byte");
	CHECK_EQ(to[0x1ff0] == 0xee, 0, "and no further");
	this_cpu()->hook = NULL;
}

void suite(void)
{
	code = page_alloc();
	page_alloc();
	split = page_alloc();
	page_alloc();
	self_modifying();
	stack_pages();
	large_pages();
	n_cpus = smp_start();
	print("# %u CPUs\n", n_cpus);
	locks();
	if (n_cpus > 1) {
		cross_modifying();
		shootdown();
	} else {
		skip("cross-modifying code, shootdown", "one CPU");
	}
	apic_enable();
	strings();
}
