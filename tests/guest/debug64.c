/* SPDX-License-Identifier: Apache-2.0 */
/* debug64: TF, breakpoints, DR6/DR7, RF, and the STI / MOV SS shadows (Intel SDM 3B, 17; 3A, 6.8).
 */
#include "rt/rt.h"

static volatile u64 cell[4] __attribute__((aligned(32)));
static volatile u64 hits, hit_rip[64], hit_dr6[64];

/* Counts #DBs and goes on; steps over instruction breakpoints by RF. */
static bool count_db(struct frame *f)
{
	if (f->vector != DB)
		return false;
	if (hits < 64) {
		hit_rip[hits] = f->rip;
		hit_dr6[hits] = read_dr6();
	}
	hits++;
	write_dr6(0xffff0ff0);
	f->rflags |= FL_RF;
	return true;
}

static void counting(bool on)
{
	hits = 0;
	this_cpu()->hook = on ? count_db : NULL;
}

static void single_step(void)
{
	section("single step (SDM 3B 17.3.1.4)");
	counting(true);
	asm volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop; nop;"
		     "pushfq; andl $~0x100, (%%rsp); popfq" ::
			     : "memory", "cc");
	/* after each of: nop nop nop pushfq andl popfq; popfq that sets TF is not traced itself */
	CHECK_EQ(hits, 6, "one #DB after each instruction");
	CHECK_EQ(hit_dr6[0] & 0x400f, 0x4000, "DR6.BS");
	CHECK_EQ(hit_rip[1] - hit_rip[0], 1, "rip is that of the next instruction");
	counting(true);
	asm volatile("mov %%ss, %%ebx; pushfq; orl $0x100, (%%rsp); popfq; nop;"
		     "mov %%ebx, %%ss; nop; nop;"
		     "pushfq; andl $~0x100, (%%rsp); popfq" ::
			     : "rbx", "memory", "cc");
	CHECK_EQ(hits, 6, "no #DB between mov ss and the next instruction");
	counting(true);
	asm volatile("lea 1f(%%rip), %%rbx; pushfq; orl $0x100, (%%rsp); popfq; jmp *%%rbx; nop;"
		     "1: mov $3, %%ecx; 2: loop 2b;"
		     "pushfq; andl $~0x100, (%%rsp); popfq" ::
			     : "rbx", "rcx", "memory", "cc");
	CHECK_EQ(hits, 8, "branches and each turn of a loop");
	counting(true);
	asm volatile("lea %0, %%rdi; mov $4, %%ecx; mov $1, %%eax; cld;"
		     "pushfq; orl $0x100, (%%rsp); popfq; rep stosb;"
		     "pushfq; andl $~0x100, (%%rsp); popfq"
		     : "=m"(cell)::"rdi", "rcx", "rax", "memory", "cc");
	CHECK_EQ(hits, 7, "each turn of a repeated string instruction");
	counting(false);
}

/* hook: as count_db, and asks for the next branch again */
static bool count_block(struct frame *f)
{
	if (!count_db(f))
		return false;
	CHECK_EQ(rdmsr(0x1d9), 0, "#DB clears BTF");
	wrmsr(0x1d9, 2);
	return true;
}

static void single_block(void)
{
	section("branch trap flag (SDM 3B 17.4.3)");
	if (on_qemu()) {
		skip("DEBUGCTL.BTF", "QEMU has none");
		return;
	}
	counting(true);
	this_cpu()->hook = count_block;
	wrmsr(0x1d9, 2);
	asm volatile("xor %%eax, %%eax; mov $3, %%ecx; pushfq; orl $0x100, (%%rsp); popfq;"
		     "nop; nop; 1: nop; loop 1b; nop; test %%eax, %%eax; jnz 2f; 2: jz 3f; nop; 3:"
		     "pushfq; andl $~0x100, (%%rsp); popfq" ::
			     : "rax", "rcx", "memory", "cc");
	wrmsr(0x1d9, 0);
	this_cpu()->hook = NULL;
	CHECK_EQ(hits, 3, "one #DB for each branch that is taken");
}

static void t_step_int(void *arg)
{
	(void)arg;
	asm volatile("pushfq; orl $0x100, (%%rsp); popfq; int $0x50" ::: "memory", "cc");
}

static void t_cr4_de(void *arg)
{
	(void)arg;
	write_cr4(read_cr4() | CR4_DE);
}

static void io_breakpoints(void)
{
	counting(true);
	write_dr2(0x80);
	write_dr7(0x20 | 0x400 | 0x2ull << 24); /* G2, RW 10, 1 byte */
	outb(0x81, 0);
	CHECK_EQ(hits, 0, "port beside an I/O breakpoint");
	outb(0x80, 0);
	CHECK_EQ(hits, 1, "out to it");
	CHECK_EQ(hit_dr6[0] & 0xf, 4, "DR6.B2");
	inb(0x80);
	CHECK_EQ(hits, 2, "in from it");
	asm volatile("outsb" ::"S"(cell), "d"(0x80) : "memory");
	CHECK_EQ(hits, 3, "outs to it");
	write_dr7(0x400);
	counting(false);
}

static void breakpoints(void)
{
	static volatile u16 ss_word __attribute__((aligned(2)));
	extern u8 bp_here[] asm("bp_here_label");

	section("breakpoint registers (SDM 3B 17.2)");
	write_dr6(0);
	CHECK_EQ(read_dr6(), 0xffff0ff0, "DR6 fixed bits");
	write_dr7(0);
	CHECK_EQ(read_dr7(), 0x400, "DR7 fixed bits");
	counting(true);
	write_dr0((uword)bp_here);
	write_dr7(0x2 | 0x400);
	asm volatile("nop; .globl bp_here_label; bp_here_label: nop; nop");
	CHECK_EQ(hits, 1, "instruction breakpoint hits once, RF steps over");
	CHECK_EQ(hit_rip[0], (uword)bp_here, "before the instruction: a fault");
	CHECK_EQ(hit_dr6[0] & 0xf, 1, "DR6.B0");
	write_dr7(0x400);
	counting(true);
	write_dr1((uword)&cell[1]);
	write_dr7(0x8 | 0x400 | 0x9ull << 20); /* G1, write, 8 bytes: LEN 10, RW 01 */
	cell[0] = 1;
	CHECK_EQ(hits, 0, "write beside a data breakpoint");
	cell[1] = 1;
	CHECK_EQ(hits, 1, "write into it");
	CHECK_EQ(hit_dr6[0] & 0xf, 2, "DR6.B1");
	(void)cell[1];
	CHECK_EQ(hits, 1, "a read does not count");
	asm volatile("movb $1, %0" : "=m"(*((volatile u8 *)cell + 15)));
	CHECK_EQ(hits, 2, "its last byte");
	asm volatile("movw $1, %0" : "=m"(*(volatile u16 *)((u8 *)cell + 7)));
	CHECK_EQ(hits, 3, "a write that only touches it");
	write_dr7(0x8 | 0x400 | 0xbull << 20); /* read or write */
	counting(true);
	(void)cell[1];
	CHECK_EQ(hits, 1, "read with RW = 11");
	write_dr7(0x400);
	cell[1] = 2;
	CHECK_EQ(hits, 1, "nothing when disabled");
	counting(true);
	write_dr0((uword)&cell[0]);
	write_dr7(0x2 | 0x400 | 0x1ull << 16); /* 1 byte, write */
	asm volatile("rep stosb" ::"D"(cell), "c"(8), "a"(7) : "memory");
	CHECK_EQ(hits, 1, "a repeated string instruction over it");
	write_dr7(0x400);
	counting(false);

	section("a data breakpoint held back by mov ss (SDM 3A 6.8.3)");
	asm volatile("mov %%ss, %0" : "=m"(ss_word));
	write_dr0((uword)&ss_word);
	write_dr7(0x2 | 0x400 | 0x7ull << 16); /* 2 bytes, read or write */
	counting(true);
	asm volatile("mov %0, %%ss; nop; nop" ::"m"(ss_word));
	CHECK_EQ(hits, 1, "comes after the next instruction");
	CHECK_EQ(hit_dr6[0] & 0xf, 1, "DR6.B0");
	if (on_qemu()) {
		skip("mov ss; int1", "F1 is #UD");
	} else {
		extern u8 after_int1[] asm("after_int1_label");

		counting(true);
		asm volatile("mov %0, %%ss; .byte 0xf1; .globl after_int1_label;"
			     "after_int1_label: nop" ::"m"(ss_word));
		CHECK_EQ(hits, 1, "mov ss; int1: one #DB for both");
		CHECK_EQ(hit_rip[0], (uword)after_int1, "behind int1");
		CHECK_EQ(hit_dr6[0] & 0xf, 1, "DR6.B0");
	}
	write_dr7(0x400);
	counting(false);

	section("general detect and DE (SDM 3B 17.2.2-17.2.4)");
	write_dr6(0);
	write_dr7(0x2400); /* GD */
	if (on_qemu()) {
		skip("general detect", "QEMU has none");
		write_dr7(0x400);
	} else {
		expect("DR7.GD: mov to dr0 is #DB", DB, 0, (void (*)(void *))(void *)write_dr0,
		       NULL);
		CHECK_EQ(read_dr6() & 0x2000, 0x2000, "DR6.BD");
		CHECK_EQ(read_dr7() & 0x2000, 0, "GD is cleared on the way in");
		write_dr7(0x400);
	}
	write_dr6(0);
	asm volatile("mov %%db4, %%rax" ::: "rax");
	check(true, "dr4 is dr6 without DE", "-");
	if (cpuid(1, 0).d & 4) {
		u8 code[] = {0x0f, 0x21, 0xe0, 0xc3}; /* mov rax, dr4 */

		write_cr4(read_cr4() | CR4_DE);
		expect("dr4 with DE: #UD", UD, 0, (void (*)(void *))(void *)code, NULL);
		io_breakpoints();
		write_cr4(read_cr4() & ~(uword)CR4_DE);
	} else {
		expect("CR4.DE when not offered", GP, 0, t_cr4_de, NULL);
	}
	expect("software interrupt while stepping", 0x50, 0, t_step_int, NULL);
	CHECK(this_cpu()->trap.frame.rflags & FL_TF, "the frame keeps TF");
	CHECK(!(read_flags() & FL_TF), "the handler runs without TF");
}

static void t_dr7_high(void *arg)
{
	(void)arg;
	asm volatile("mov $0x100000000, %%rax; mov %%rax, %%db7" ::: "rax");
}

static void t_dr6_high(void *arg)
{
	(void)arg;
	asm volatile("mov $0x100000000, %%rax; mov %%rax, %%db6" ::: "rax");
}

/* --- shadows -------------------------------------------------------------------------------- */

static volatile u64 taken_rip;

static bool take_irq(struct frame *f)
{
	if (f->vector != 0x60)
		return false;
	taken_rip = f->rip;
	apic_write(APIC_EOI, 0);
	f->rflags &= ~(u64)FL_IF;
	return true;
}

static void shadows(void)
{
	extern u8 after_sti[] asm("after_sti_label"), after_ss[] asm("after_ss_label");
	struct cpu *cpu = this_cpu();

	section("interrupt shadows (SDM 2 STI, 3A 6.8.3)");
	apic_enable();
	cpu->hook = take_irq;
	cli();
	apic_ipi(cpu->apic_id, 0x4060);
	delay_us(200);
	CHECK_EQ(cpu->irqs[0x60], 0, "IF = 0 holds an interrupt back");
	asm volatile("sti; nop; .globl after_sti_label; after_sti_label: nop; nop; nop; cli");
	CHECK_EQ(cpu->irqs[0x60], 1, "taken after sti");
	CHECK_EQ(taken_rip, (uword)after_sti, "one instruction after sti");
	apic_ipi(cpu->apic_id, 0x4060);
	delay_us(200);
	asm volatile("sti; cli");
	CHECK_EQ(cpu->irqs[0x60], 1, "sti; cli leaves no window");
	asm volatile("mov %%ss, %%ebx; sti; mov %%ebx, %%ss; nop;"
		     ".globl after_ss_label; after_ss_label: nop; nop; cli" ::
			     : "rbx");
	CHECK_EQ(cpu->irqs[0x60], 2, "taken after mov ss");
	/* after sti's shadow comes mov ss with a shadow of its own */
	check(taken_rip == (uword)after_ss || taken_rip == (uword)after_ss - 1,
	      "not before the instruction after mov ss", "rip %llx, label %llx",
	      (unsigned long long)taken_rip, (unsigned long long)(uword)after_ss);
	apic_ipi(cpu->apic_id, 0x4060);
	delay_us(200);
	asm volatile("sti; hlt; cli");
	CHECK_EQ(cpu->irqs[0x60], 3, "sti; hlt wakes");
	cpu->hook = NULL;
}

static void t_nmi(void *arg)
{
	(void)arg;
	apic_ipi(this_cpu()->apic_id, 0x4400);
	delay_us(1000);
}

static volatile unsigned nmi_depth, nmi_most, nmi_count;

static bool nest_nmi(struct frame *f)
{
	if (f->vector != NMI)
		return false;
	nmi_count++;
	if (++nmi_depth > nmi_most)
		nmi_most = nmi_depth;
	if (nmi_count == 1) {
		apic_ipi(this_cpu()->apic_id, 0x4400);
		delay_us(1000);
	}
	nmi_depth--;
	return true;
}

static void nmis(void)
{
	struct cpu *cpu = this_cpu();

	section("NMI (SDM 3A 6.7)");
	expect("NMI to oneself by IPI", NMI, 0, t_nmi, NULL);
	CHECK_EQ(cpu->trap.stack + sizeof(struct frame), tss[0].ist[1], "on its IST stack");
	cpu->hook = nest_nmi;
	apic_ipi(cpu->apic_id, 0x4400);
	delay_us(2000);
	cpu->hook = NULL;
	CHECK_EQ(nmi_count, 2, "an NMI during the handler is kept");
	CHECK_EQ(nmi_most, 1, "until its IRET");
}

void suite(void)
{
	single_step();
	single_block();
	breakpoints();
	qemu_differs("not checked");
	expect("dr7: bit 32", GP, 0, t_dr7_high, NULL);
	qemu_differs("not checked");
	expect("dr6: bit 32", GP, 0, t_dr6_high, NULL);
	shadows();
	nmis();
}
