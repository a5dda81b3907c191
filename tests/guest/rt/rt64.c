/* SPDX-License-Identifier: Apache-2.0 */
/* rt64: descriptor tables, CPL3 and compatibility mode, page tables, other CPUs. */
#include "rt.h"

struct gate64 {
	u16 low, selector;
	u8 ist, type;
	u16 mid;
	u32 high, zero;
};

u64 gdt[GDT_ENTRIES] __attribute__((aligned(16))) = {
	0,
	0x00af9b000000ffff, /* 08 code64 */
	0x00cf93000000ffff, /* 10 data */
	0x00cf9b000000ffff, /* 18 code32 */
	0x00cffb000000ffff, /* 20 user code32 */
	0x00cff3000000ffff, /* 28 user data */
	0x00affb000000ffff, /* 30 user code64 */
	0x00cff3000000ffff, /* 38 */
	0x00af9b000000ffff, /* 40 SYSENTER: code64 */
	0x00cf93000000ffff, /* 48 data */
	0x00cffb000000ffff, /* 50 user code32 */
	0x00cff3000000ffff, /* 58 user data */
	0x00affb000000ffff, /* 60 user code64 */
	0x00cff3000000ffff, /* 68 user data */
};
struct tss64 tss[MAX_CPUS] __attribute__((aligned(16)));
static struct gate64 idt[256] __attribute__((aligned(16)));
static u8 trap_stacks[MAX_CPUS][4][8192] __attribute__((aligned(16)));
static u8 user_stacks[MAX_CPUS][8192] __attribute__((aligned(16)));

extern u8 trap_stubs[], ap_start[], ap_end[];
extern volatile u32 ap_ticket;
void user_go(void *go);
void user_exit(void);
void rt_main(void);
void cpu_main(u32 index);

/* --- descriptors ---------------------------------------------------------------------------- */

void *idt_stub(u8 vector)
{
	return trap_stubs + 16 * vector;
}

void *idt_base(void)
{
	return idt;
}

void idt_gate(u8 vector, void *handler, u16 selector, u8 type, u8 ist)
{
	u64 p = (u64)handler;

	idt[vector] =
		(struct gate64){(u16)p, selector, ist, type, (u16)(p >> 16), (u32)(p >> 32), 0};
}

void idt_default(u8 vector)
{
	u8 type = vector == BP || vector == OF || vector == VEC_DONE ? 0xee : 0x8e;

	idt_gate(vector, idt_stub(vector), SEL_CODE, type,
		 vector == DF	 ? 1
		 : vector == NMI ? 2
				 : 0);
}

void gdt_load(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) p = {sizeof(gdt) - 1, (u64)gdt};

	asm volatile("lgdt %0" ::"m"(p));
}

static void cpu_tables(u32 index)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) p = {sizeof(idt) - 1, (u64)idt};
	u64 t = (u64)&tss[index];

	gdt_load();
	asm volatile("lidt %0" ::"m"(p));
	asm volatile("lldt %0" ::"r"((u16)0));
	tss[index].rsp[0] = (u64)(trap_stacks[index][0] + 8192);
	for (unsigned i = 0; i < 3; i++)
		tss[index].ist[i] = (u64)(trap_stacks[index][i + 1] + 8192);
	tss[index].iomap = sizeof(struct tss64);
	gdt_set((u16)SEL_TSS(index), (u32)t, offsetof(struct tss64, io) - 1, 0x89, 0);
	gdt[SEL_TSS(index) / 8 + 1] = t >> 32;
	asm volatile("ltr %0" ::"r"((u16)SEL_TSS(index)));
}

/* --- CPL3, compatibility mode --------------------------------------------------------------- */

struct go {
	u64 rip, cs, rflags, rsp, ss, rdi;
};

u32 user_run_sel(u16 cs, u16 ss, void *code, uword arg, u64 rflags)
{
	u64 *sp = (u64 *)(user_stacks[this_cpu()->index] + 8192 - 64);
	bool user = cs & 3;
	struct go go;

	*sp = (u64)user_exit + (user ? USER_BASE : 0);
	go = (struct go){(u64)code + (user ? USER_BASE : 0), cs, rflags,
			 (u64)sp + (user ? USER_BASE : 0),   ss, arg};
	return try_run(user_go, &go);
}

u32 user_run(void (*fn)(void *), void *arg)
{
	return user_run_sel(SEL_UCODE, SEL_UDATA, (void *)fn, (uword)arg, 2);
}

u32 compat_run(void *code32, u64 rdi)
{
	return user_run_sel(SEL_CODE32, SEL_DATA, code32, rdi, 2);
}

u32 user32_run(void *code32, u64 rdi)
{
	return user_run_sel(SEL_UCODE32, SEL_UDATA, code32, rdi, 2);
}

/* --- page tables ---------------------------------------------------------------------------- */

volatile u64 *page_entry(u64 va, unsigned level)
{
	volatile u64 *table = boot_pml4;

	for (unsigned l = 4;; l--) {
		volatile u64 *e = &table[va >> (12 + 9 * (l - 1)) & 511];

		if (l == level)
			return e;
		if (!(*e & PTE_P)) {
			*e = (u64)page_alloc() | PTE_P | PTE_W | PTE_U;
		} else if (*e & PTE_PS) {
			u64 *fresh = page_alloc(), old = *e;
			u64 step = 1ull << (12 + 9 * (l - 2));

			for (unsigned i = 0; i < 512; i++)
				fresh[i] = (old + i * step) & (l == 2 ? ~(u64)PTE_PS : ~0ull);
			*e = (u64)fresh | PTE_P | PTE_W | PTE_U;
			write_cr3(read_cr3());
		}
		table = (volatile u64 *)(*e & 0xffffffffff000ull);
	}
}

volatile u64 *page_map(u64 va, u64 pa, u64 bits)
{
	volatile u64 *e = page_entry(va, 1);

	*e = pa | bits;
	invlpg(va);
	return e;
}

/* --- CPUs ----------------------------------------------------------------------------------- */

void cpu_main(u32 index)
{
	struct cpu *cpu = &cpus[index];

	if (!index) {
		for (unsigned v = 0; v < 256; v++)
			idt_default((u8)v);
	}
	cpu_tables(index);
	cpu->index = index;
	cpu->apic_id = cpuid(1, 0).b >> 24;
	if (!index)
		rt_main();
	apic_enable();
	__atomic_store_n(&cpu->online, true, __ATOMIC_SEQ_CST);
	for (;;) {
		void (*work)(struct cpu *) = __atomic_load_n(&cpu->work, __ATOMIC_ACQUIRE);

		if (work) {
			work(cpu);
			__atomic_store_n(&cpu->work, NULL, __ATOMIC_RELEASE);
		}
		pause();
	}
}

unsigned smp_start(void)
{
	static unsigned count;

	if (count)
		return count;
	apic_enable();
	memcpy((void *)0x8000, ap_start, (size_t)(ap_end - ap_start));
	/* all but self: INIT, SIPI, SIPI (SDM 3A 8.4.4.1) */
	apic_write(APIC_ICR, 0xc4500);
	delay_us(10000);
	apic_write(APIC_ICR, 0xc4608);
	delay_us(200);
	apic_write(APIC_ICR, 0xc4608);
	delay_us(300000);
	count = 1;
	for (unsigned i = 1; i < MAX_CPUS && i < ap_ticket; i++) {
		while (!__atomic_load_n(&cpus[i].online, __ATOMIC_SEQ_CST))
			pause();
		count++;
	}
	return count;
}

void smp_run(unsigned n, void (*fn)(struct cpu *cpu))
{
	for (unsigned i = 1; i < n; i++)
		__atomic_store_n(&cpus[i].work, fn, __ATOMIC_RELEASE);
	fn(&cpus[0]);
	for (unsigned i = 1; i < n; i++) {
		while (__atomic_load_n(&cpus[i].work, __ATOMIC_ACQUIRE))
			pause();
	}
}
