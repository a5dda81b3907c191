/* SPDX-License-Identifier: Apache-2.0 */
/* smp64: local APIC (timer, TSC deadline, x2APIC, priorities, IPIs), start of other CPUs, and
 * memory-ordering litmus tests (Intel SDM 3A, 8.2, 8.4, 10). Runs with any number of CPUs. */
#include "rt/rt.h"

static struct cpu *me;
static u64 irq_rcx;

static bool count_irq(struct frame *f)
{
	if (f->vector < 0x60 || f->vector > 0x7f)
		return false;
	irq_rcx = f->rcx;
	apic_write(APIC_EOI, 0);
	return true;
}

static void wait_irq(unsigned vector, u64 want)
{
	sti();
	for (unsigned i = 0; i < 2000 && me->irqs[vector] < want; i++)
		delay_us(100);
	cli();
}

static void apic_basics(void)
{
	section("local APIC registers (SDM 3A 10.4)");
	CHECK(rdmsr(MSR_APICBASE) & 1u << 8, "the boot CPU says BSP");
	CHECK(rdmsr(MSR_APICBASE) & 1u << 11, "globally enabled");
	CHECK_EQ(apic_read(0x30) & 0xf0, 0x10, "version 1x");
	CHECK((apic_read(0x30) >> 16 & 255) >= 5, "at least six LVT entries");
	apic_enable();
	CHECK_EQ(apic_read(APIC_SVR) & 0x1ff, 0x1ff, "software-enabled");
	apic_write(APIC_TPR, 0x50);
	{
		uword cr8;

		asm volatile("mov %%cr8, %0" : "=r"(cr8));
		CHECK_EQ(cr8, 5, "CR8 mirrors TPR");
		asm volatile("mov %0, %%cr8" ::"r"(7ul));
		CHECK_EQ(apic_read(APIC_TPR), 0x70, "TPR mirrors CR8");
	}
	section("priorities (SDM 3A 10.8.3)");
	apic_write(APIC_TPR, 0x70);
	apic_ipi(me->apic_id, 0x4065);
	delay_us(200);
	sti();
	asm volatile("nop");
	cli();
	CHECK_EQ(me->irqs[0x65], 0, "TPR 7 holds class 6 back");
	CHECK_EQ(apic_read(APIC_IRR + 0x30) >> 5 & 1, 1, "it waits in IRR");
	apic_write(APIC_TPR, 0);
	wait_irq(0x65, 1);
	CHECK_EQ(me->irqs[0x65], 1, "and comes when TPR falls");
	CHECK_EQ(apic_read(APIC_IRR + 0x30) >> 5 & 1, 0, "IRR is clear");
	CHECK_EQ(apic_read(APIC_ISR + 0x30), 0, "ISR is clear after EOI");
	section("self IPIs (SDM 3A 10.6)");
	apic_write(APIC_ICR, 0x44066);
	wait_irq(0x66, 1);
	CHECK_EQ(me->irqs[0x66], 1, "shorthand self");
	apic_write(APIC_ICR, 0x84067);
	wait_irq(0x67, 1);
	CHECK_EQ(me->irqs[0x67], 1, "shorthand all including self");
	if (on_qemu()) {
		skip("illegal vectors", "QEMU delivers them");
		return;
	}
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ICR, 0x44005);
	delay_us(200);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR) & 0x20, 0x20, "vector under 16: send illegal vector");
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
}

/* 32 MiB byte by byte, long after the timer is due. */
static void timer_in_rep(u32 count)
{
	u64 at = 16 << 20, left = 32 << 20;

	apic_write(APIC_LVTT, 0x7e);
	apic_write(APIC_TMICT, count);
	sti();
	asm volatile("rep lodsb" : "+S"(at), "+c"(left)::"rax", "memory");
	cli();
	CHECK_EQ(me->irqs[0x7e], 1, "comes while REP LODS runs");
	CHECK(irq_rcx != 0, "between two iterations of it (SDM 2B, REP)");
}

static void timer(void)
{
	u32 a, b;
	u64 before;

	section("timer (SDM 3A 10.5.4)");
	apic_write(APIC_TDCR, 0xb); /* divide by 1 */
	apic_write(APIC_LVTT, 0x10068);
	apic_write(APIC_TMICT, 0xffffffff);
	a = apic_read(APIC_TMCCT);
	delay_us(1000);
	b = apic_read(APIC_TMCCT);
	CHECK(b < a, "counts down");
	apic_write(APIC_LVTT, 0x68);
	apic_write(APIC_TMICT, a - b);
	wait_irq(0x68, 1);
	CHECK_EQ(me->irqs[0x68], 1, "one shot");
	CHECK_EQ(apic_read(APIC_TMCCT), 0, "and stands at 0");
	timer_in_rep(a - b);
	apic_write(APIC_LVTT, 0x20069);
	apic_write(APIC_TMICT, (a - b) * 2);
	wait_irq(0x69, 3);
	CHECK(me->irqs[0x69] >= 3, "periodic");
	apic_write(APIC_TMICT, 0);
	before = me->irqs[0x69];
	delay_us(5000);
	sti();
	asm volatile("nop; nop");
	cli();
	CHECK(me->irqs[0x69] <= before + 1, "stops when the count is 0");
	apic_write(APIC_LVTT, 0x10069);
	if (cpuid(1, 0).c & 1u << 24) {
		apic_write(APIC_LVTT, 0x4006a);
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + 1000000);
		CHECK(rdmsr(MSR_TSC_DEADLINE) || me->irqs[0x6a], "the deadline reads back");
		wait_irq(0x6a, 1);
		CHECK_EQ(me->irqs[0x6a], 1, "TSC deadline");
		CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0, "reads 0 after it fired");
		wrmsr(MSR_TSC_DEADLINE, 1);
		wait_irq(0x6a, 2);
		CHECK_EQ(me->irqs[0x6a], 2, "a deadline in the past fires at once");
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + 3000000);
		wrmsr(MSR_TSC_DEADLINE, 0);
		delay_us(5000);
		sti();
		asm volatile("nop; nop");
		cli();
		CHECK_EQ(me->irqs[0x6a], 2, "0 disarms");
		apic_write(APIC_LVTT, 0x10068);
	} else {
		skip("TSC deadline", "not offered");
	}
	section("TSC (SDM 3B 17.17)");
	if (cpuid(7, 0).b & 2) {
		u64 t0 = rdtsc(), t1;
		u64 adjust = rdmsr(MSR_TSC_ADJUST);

		wrmsr(MSR_TSC_ADJUST, adjust + (1ull << 40));
		t1 = rdtsc();
		CHECK(t1 - t0 >= 1ull << 40 && t1 - t0 < (1ull << 40) + (1ull << 36),
		      "TSC_ADJUST moves the TSC");
		wrmsr(MSR_TSC_ADJUST, adjust);
		CHECK_EQ(rdmsr(MSR_TSC_ADJUST), adjust, "and back");
	} else {
		skip("TSC_ADJUST", "not offered");
	}
}

/* --- several CPUs --------------------------------------------------------------------------- */

static unsigned n_cpus;
static volatile u32 counters[4] __attribute__((aligned(64)));
static volatile u32 lock_word __attribute__((aligned(64)));
static volatile u64 plain __attribute__((aligned(64)));
static volatile u64 wide[2] __attribute__((aligned(16)));
static u8 split[128] __attribute__((aligned(64)));

static void count_all(struct cpu *cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < 20000; i++) {
		asm volatile("lock incl %0" : "+m"(counters[0]));
		asm volatile("lock xaddl %1, %0" : "+m"(counters[1]), "+r"((u32){3}));
		for (u32 old = counters[2];;) {
			u32 got = old;

			asm volatile("lock cmpxchgl %2, %1"
				     : "+a"(got), "+m"(counters[2])
				     : "r"(old + 5)
				     : "memory");
			if (got == old)
				break;
			old = got;
		}
		for (u32 v = 1; v;)
			asm volatile("xchgl %0, %1" : "+r"(v), "+m"(lock_word)::"memory");
		plain++;
		asm volatile("movl $0, %0" : "=m"(lock_word)::"memory");
		asm volatile("lock incl %0" : "+m"(*(u32 *)(split + 62)));
		{
			u64 lo = wide[0], hi = wide[1];
			bool done;

			do
				asm volatile("lock cmpxchg16b %1; sete %0"
					     : "=q"(done), "+m"(*(volatile u64(*)[2])wide),
					       "+a"(lo), "+d"(hi)
					     : "b"(lo + 1), "c"(hi + 2)
					     : "memory");
			while (!done);
		}
	}
}

static void atomics(void)
{
	u32 total = 20000 * n_cpus;

	section("locked operations (SDM 3A 8.1.2)");
	smp_run(n_cpus, count_all);
	CHECK_EQ(counters[0], total, "lock inc");
	CHECK_EQ(counters[1], total * 3, "lock xadd");
	CHECK_EQ(counters[2], total * 5, "lock cmpxchg");
	CHECK_EQ(plain, total, "xchg spin lock");
	CHECK_EQ(*(u32 *)(split + 62), total, "lock inc across a cache line");
	CHECK_EQ(wide[0], total, "lock cmpxchg16b, low");
	CHECK_EQ(wide[1], (u64)total * 2, "lock cmpxchg16b, high");
}

#define ROUNDS 20000
static struct {
	volatile u32 v;
	u32 pad[15];
} x, y;
static volatile u32 r[4][ROUNDS];
static volatile u32 barrier_count, barrier_turn;
static unsigned barrier_n;

static void barrier(void)
{
	u32 turn = barrier_turn;

	if (__atomic_add_fetch(&barrier_count, 1, __ATOMIC_SEQ_CST) == barrier_n) {
		barrier_count = 0;
		__atomic_store_n(&barrier_turn, turn + 1, __ATOMIC_SEQ_CST);
	} else {
		while (__atomic_load_n(&barrier_turn, __ATOMIC_SEQ_CST) == turn)
			pause();
	}
}

static inline void store(volatile u32 *p, u32 v)
{
	asm volatile("movl %1, %0" : "=m"(*p) : "r"(v));
}
static inline u32 load(volatile u32 *p)
{
	u32 v;
	asm volatile("movl %1, %0" : "=r"(v) : "m"(*p));
	return v;
}

/* Each round: zero by CPU 0, meet, race. */
#define LITMUS(name, body)                                                                         \
	static void name(struct cpu *cpu)                                                          \
	{                                                                                          \
		for (unsigned i = 0; i < litmus_rounds; i++) {                                     \
			if (!cpu->index)                                                           \
				x.v = y.v = 0;                                                     \
			barrier();                                                                 \
			body;                                                                      \
			barrier();                                                                 \
		}                                                                                  \
	}
static unsigned litmus_rounds;

LITMUS(
	sb_fenced,
	if (cpu->index == 0) {
		store(&x.v, 1);
		asm volatile("mfence");
		r[0][i] = load(&y.v);
	} else {
		store(&y.v, 1);
		asm volatile("lock orl $0, (%%rsp)" ::: "memory");
		r[1][i] = load(&x.v);
	})
LITMUS(
	sb_plain,
	if (cpu->index == 0) {
		store(&x.v, 1);
		r[0][i] = load(&y.v);
	} else {
		store(&y.v, 1);
		r[1][i] = load(&x.v);
	})
LITMUS(
	mp,
	if (cpu->index == 0) {
		store(&x.v, 1);
		store(&y.v, 1);
	} else {
		r[0][i] = load(&y.v);
		r[1][i] = load(&x.v);
	})
LITMUS(
	lb,
	if (cpu->index == 0) {
		r[0][i] = load(&x.v);
		store(&y.v, 1);
	} else {
		r[1][i] = load(&y.v);
		store(&x.v, 1);
	})
LITMUS(
	iriw, switch (cpu->index) {
case 0: store(&x.v, 1); break;
case 1: store(&y.v, 1); break;
case 2:
	r[0][i] = load(&x.v);
	r[1][i] = load(&y.v);
	break;
case 3:
	r[2][i] = load(&y.v);
	r[3][i] = load(&x.v);
	break;
	})

static unsigned run_litmus(unsigned n, void (*fn)(struct cpu *), bool four, u32 a, u32 b)
{
	unsigned seen = 0;

	barrier_n = n;
	litmus_rounds = ROUNDS / 20;
	smp_run(n, fn);
	for (unsigned i = 0; i < litmus_rounds; i++)
		seen += r[0][i] == a && r[1][i] == b && (!four || (r[2][i] == a && r[3][i] == b));
	return seen;
}

static void litmus(void)
{
	unsigned n;

	section("memory ordering (SDM 3A 8.2.3)");
	CHECK_EQ(run_litmus(2, mp, false, 1, 0), 0, "MP: stores are seen in order");
	CHECK_EQ(run_litmus(2, lb, false, 1, 1), 0, "LB: no load after a later store");
	CHECK_EQ(run_litmus(2, sb_fenced, false, 0, 0), 0, "SB with fences: not both 0");
	n = run_litmus(2, sb_plain, false, 0, 0);
	print("# SB without fences: both 0 in %u of %u (allowed)\n", n, litmus_rounds);
	if (n_cpus >= 4)
		CHECK_EQ(run_litmus(4, iriw, true, 1, 0), 0, "IRIW: one order for all");
	else
		skip("IRIW", "needs 4 CPUs");
}

static volatile u32 ipi_seen;
static u32 ipis[256]; /* by CPU, its own */

static bool ap_hook(struct frame *f)
{
	if (f->vector < 0x60 || f->vector > 0x7f)
		return false;
	__atomic_add_fetch(&ipis[this_cpu()->index & 255], 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&ipi_seen, 1, __ATOMIC_SEQ_CST);
	apic_write(APIC_EOI, 0);
	return true;
}

static void ap_wait(struct cpu *cpu)
{
	if (!cpu->index) {
		delay_us(1000);
		ipi_seen = 0;
		apic_ipi(cpus[1].apic_id, 0x4070);
		for (unsigned i = 0; i < 5000 && ipi_seen < 1; i++)
			delay_us(100);
		CHECK_EQ(ipi_seen, 1, "fixed IPI to one halted CPU");
		apic_write(APIC_ICR, 0xc4071);
		for (unsigned i = 0; i < 5000 && ipi_seen < n_cpus; i++)
			delay_us(100);
		CHECK_EQ(ipi_seen, n_cpus, "all but self");
		apic_write(APIC_DFR, 0xffffffff);
		return;
	}
	cpu->hook = ap_hook;
	/* the second one may come before the first HLT's CLI */
	while (__atomic_load_n(&ipis[cpu->index & 255], __ATOMIC_SEQ_CST) <
	       (cpu->index == 1 ? 2u : 1u))
		asm volatile("sti; hlt; cli");
	cpu->hook = NULL;
}

static void ap_bsp(struct cpu *cpu)
{
	cpu->irqs[0x80] = rdmsr(MSR_APICBASE);
	cpu->irqs[0x81] = cpuid(1, 0).b >> 24;
}

static void several(void)
{
	n_cpus = smp_start();
	print("# %u CPUs\n", n_cpus);
	if (n_cpus < 2) {
		skip("several CPUs", "there is one");
		smp_run(1, count_all);
		CHECK_EQ(counters[0], 20000, "lock inc alone");
		return;
	}
	section("start (SDM 3A 8.4)");
	smp_run(n_cpus, ap_bsp);
	for (unsigned i = 1; i < n_cpus; i++) {
		CHECK_EQ(cpus[i].irqs[0x80] >> 8 & 1, 0, "an AP does not say BSP");
		CHECK(cpus[i].irqs[0x81] != cpus[0].irqs[0x81], "and has another APIC id");
	}
	smp_run(n_cpus, ap_wait);
	atomics();
	litmus();
}

static void t_x2_bad(void *arg)
{
	(void)arg;
	rdmsr(0x8fe);
}

static void t_x2_back(void *arg)
{
	(void)arg;
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) & ~(u64)(1u << 10));
}

static void x2apic(void)
{
	section("x2APIC (SDM 3A 10.12)");
	if (!(cpuid(1, 0).c & 1u << 21)) {
		skip("x2APIC", "not offered");
		return;
	}
	expect("x2APIC MSR while in xAPIC mode", GP, 0, t_x2_bad, NULL);
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | 1u << 10);
	CHECK_EQ(rdmsr(0x802), me->apic_id, "id");
	wrmsr(0x83f, 0x6b);
	wait_irq(0x6b, 1);
	CHECK_EQ(me->irqs[0x6b], 1, "self IPI register");
	wrmsr(0x830, (u64)me->apic_id << 32 | 0x406c);
	wait_irq(0x6c, 1);
	CHECK_EQ(me->irqs[0x6c], 1, "64-bit ICR");
	CHECK_EQ(rdmsr(0x80d), (u64)(me->apic_id >> 4) << 16 | 1u << (me->apic_id & 15),
		 "LDR is derived from the id");
	expect("x2APIC to xAPIC directly: #GP(0)", GP, 0, t_x2_back, NULL);
}

void suite(void)
{
	me = this_cpu();
	me->hook = count_irq;
	apic_basics();
	timer();
	several();
	me->hook = count_irq;
	x2apic();
}
