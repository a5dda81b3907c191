/* SPDX-License-Identifier: Apache-2.0 */
/* paging32: 32-bit paging with and without PSE, and PAE (Intel SDM 3A, 4.3 and 4.4). */
#include "rt/rt.h"

#define VA 0x40000000u

static u32 *pd;
static volatile u32 *pt;
static u8 *frame_a;

static void t_read(void *p)
{
	asm volatile("movb (%0), %%al" ::"r"(p) : "eax", "memory");
}
static void t_write(void *p)
{
	asm volatile("movb $1, (%0)" ::"r"(p) : "memory");
}
static void t_call(void *p)
{
	asm volatile("call *%0" ::"r"(p) : "memory");
}
static void t_cr3(void *p)
{
	write_cr3((uword)p);
}

static void leaf(u32 bits)
{
	pt[0] = (u32)frame_a | bits;
	invlpg(VA);
}

static void two_level(void)
{
	section("32-bit paging (SDM 3A 4.3)");
	pd = page_alloc();
	pt = page_alloc();
	for (u32 i = 0; i < 1; i++) {
		u32 *low = page_alloc();

		for (u32 j = 0; j < 1024; j++)
			low[j] = j << 12 | PTE_P | PTE_W | PTE_U;
		pd[i] = (u32)low | PTE_P | PTE_W | PTE_U;
	}
	pd[VA >> 22] = (u32)pt | PTE_P | PTE_W | PTE_U;
	write_cr3((u32)pd);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
	check(true, "paging on", "-");
	for (u32 bits = 0; bits < 8; bits++) {
		bool p = bits & PTE_P, w = bits & PTE_W, u = bits & PTE_U;

		leaf(bits);
		print("# P=%u W=%u U=%u\n", p, w, u);
		expect("supervisor read", p ? NO_TRAP : PF, 0, t_read, (void *)VA);
		expect("supervisor write", p && w ? NO_TRAP : PF, p && w ? 0 : 2 | p, t_write,
		       (void *)VA);
		expect_user("user read", p && u ? NO_TRAP : PF, p && u ? 0 : 4 | p, t_read,
			    (void *)VA);
		expect_user("user write", p && u && w ? NO_TRAP : PF, p && u && w ? 0 : 6 | p,
			    t_write, (void *)VA);
	}
	leaf(PTE_P | PTE_W);
	t_read((void *)VA);
	CHECK_EQ(pt[0] & (PTE_A | PTE_D), PTE_A, "a read sets A");
	t_write((void *)VA);
	CHECK_EQ(pt[0] & (PTE_A | PTE_D), PTE_A | PTE_D, "a write sets D");
	frame_a[0] = 0xc3;
	leaf(PTE_P);
	expect("fetch", NO_TRAP, 0, t_call, (void *)VA);
	leaf(0);
	expect("fetch of an absent page has no I bit", PF, 0, t_call, (void *)VA);
	section("4 MiB pages (SDM 3A 4.3, PSE)");
	write_cr4(read_cr4() | CR4_PSE);
	pd[0x50000000 >> 22] = 0 | PTE_P | PTE_W | PTE_PS;
	CHECK_EQ(*(volatile u32 *)(0x50000000 + 0x200040), *(volatile u32 *)0x200040, "maps");
	CHECK_EQ(((volatile u32 *)pd)[0x50000000 >> 22] & PTE_A, PTE_A, "sets A");
	pd[0x50000000 >> 22] = 1u << 21 | PTE_P | PTE_W | PTE_PS;
	invlpg(0x50000000);
	qemu_differs("P is missing");
	expect("reserved bit 21: RSVD", PF, 9, t_read, (void *)0x50000000);
	write_cr0(read_cr0() & ~CR0_PG);
	write_cr4(read_cr4() & ~CR4_PSE);
}

static void pae(void)
{
	u64 *pdpt = page_alloc(), *pd0 = page_alloc(), *pd1 = page_alloc();
	volatile u64 *pt1 = page_alloc();

	section("PAE (SDM 3A 4.4)");
	for (u32 i = 0; i < 8; i++)
		pd0[i] = (u64)i << 21 | PTE_P | PTE_W | PTE_U | PTE_PS;
	pdpt[0] = (u32)pd0 | PTE_P;
	pdpt[1] = (u32)pd1 | PTE_P;
	pd1[0] = (u32)pt1 | PTE_P | PTE_W | PTE_U;
	write_cr3((u32)pdpt);
	write_cr4(read_cr4() | CR4_PAE);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	write_cr0(read_cr0() | CR0_PG);
	pt1[0] = (u32)frame_a | PTE_P | PTE_W | PTE_U;
	frame_a[0] = 0xc3;
	expect("read", NO_TRAP, 0, t_read, (void *)VA);
	expect("fetch", NO_TRAP, 0, t_call, (void *)VA);
	pt1[0] = (u32)frame_a | PTE_P | PTE_W | PTE_U | PTE_NX;
	invlpg(VA);
	expect("fetch with NX", PF, 17, t_call, (void *)VA);
	expect_user("user fetch with NX", PF, 21, t_call, (void *)VA);
	pt1[0] = (u32)frame_a | PTE_P | 1ull << 60;
	invlpg(VA);
	qemu_differs("P is missing");
	expect("reserved bit 60: RSVD", PF, 9, t_read, (void *)VA);
	pt1[0] = (u32)frame_a | PTE_P;
	invlpg(VA);
	expect("write to a read-only page", PF, 3, t_write, (void *)VA);
	expect_user("user read of a supervisor page", PF, 5, t_read, (void *)VA);
	section("PDPTEs are loaded with CR3 (SDM 3A 4.4.1)");
	pdpt[1] = 0;
	invlpg(VA);
	qemu_differs("reads PDPTEs from memory");
	expect("a change in memory waits for CR3", NO_TRAP, 0, t_read, (void *)VA);
	write_cr3((u32)pdpt);
	expect("and then counts", PF, 0, t_read, (void *)VA);
	pdpt[1] = (u32)pd1 | PTE_P | PTE_W; /* bit 1 is reserved */
	qemu_differs("not checked");
	expect("reserved bit in a PDPTE: mov to CR3 is #GP(0)", GP, 0, t_cr3, pdpt);
	pdpt[1] = 0;
	write_cr3((u32)pdpt);
	write_cr0(read_cr0() & ~CR0_PG);
	write_cr4(read_cr4() & ~CR4_PAE);
}

static void t_pg(void *arg)
{
	(void)arg;
	write_cr0(read_cr0() | CR0_PG);
}

static void long_mode(void)
{
	u64 *pml4 = page_alloc(), *pdpt = page_alloc(), *dir = page_alloc();

	section("entering long mode (SDM 3A 10.8.5)");
	if (on_qemu()) {
		skip("checks at CR0.PG", "QEMU has none and would be in long mode");
		return;
	}
	for (u32 i = 0; i < 512; i++)
		dir[i] = (u64)i << 21 | PTE_P | PTE_W | PTE_PS;
	pdpt[0] = (u32)dir | PTE_P | PTE_W;
	pml4[0] = (u32)pdpt | PTE_P | PTE_W;
	write_cr3((u32)pml4);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_LME);
	expect("without PAE: #GP(0)", GP, 0, t_pg, NULL);
	write_cr4(read_cr4() | CR4_PAE);
	gdt_set(SEL_FREE, (u32)&tss[0], 103, 0x81, 0);
	asm volatile("ltr %0" ::"r"((u16)SEL_FREE));
	expect("with a 16-bit TSS in TR: #GP(0)", GP, 0, t_pg, NULL);
	CHECK_EQ(rdmsr(MSR_EFER) >> 10 & 1, 0, "LMA stays clear");
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(u64)EFER_LME);
	write_cr4(read_cr4() & ~CR4_PAE);
	gdt_set(SEL_TSS(0), (u32)&tss[0], offsetof(struct tss32, io) - 1, 0x89, 0);
	asm volatile("ltr %0" ::"r"((u16)SEL_TSS(0)));
}

void suite(void)
{
	frame_a = page_alloc();
	two_level();
	pae();
	long_mode();
}
