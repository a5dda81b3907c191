/* SPDX-License-Identifier: Apache-2.0 */
/* paging64: 4-level paging: rights, A/D bits, large pages, reserved bits (Intel SDM 3A, 4.5-4.8).
 */
#include "rt/rt.h"

#define VA	 0x10000000000ul /* a free PML4 slot's worth of addresses */
#define ERR_P	 1u
#define ERR_W	 2u
#define ERR_U	 4u
#define ERR_RSVD 8u
#define ERR_I	 16u

static u8 *frame_a, *frame_b;
static u8 code_ret[] __attribute__((aligned(64))) = {0xc3};

static void t_read(void *p)
{
	asm volatile("movb (%0), %%al" ::"r"(p) : "rax", "memory");
}
static void t_write(void *p)
{
	asm volatile("movb $1, (%0)" ::"r"(p) : "memory");
}
static void t_write0(void *p)
{
	asm volatile("lock addb $0, (%0)" ::"r"(p) : "memory");
}
static void t_call(void *p)
{
	asm volatile("call *%0" ::"r"(p) : "memory");
}
static void t_stac_read(void *p)
{
	asm volatile("stac; movb (%0), %%al; clac" ::"r"(p) : "rax");
}
static void t_push_user(void *p)
{
	asm volatile("mov %%rsp, %%rbx; mov %0, %%rsp; push %%rax; mov %%rbx, %%rsp" ::"r"(p)
		     : "rbx", "memory");
}
static void t_wrss(void *p)
{
	asm volatile("movq $1, (%0)" ::"r"(p) : "memory");
}

/* Sets the leaf of VA. */
static volatile u64 *leaf(u64 bits)
{
	return page_map(VA, (u64)frame_a, bits);
}

static void rights(void)
{
	static const struct {
		u64 bits;
		bool sup_write, user_read, user_write;
	} rows[] = {
		{PTE_P, false, false, false},
		{PTE_P | PTE_W, true, false, false},
		{PTE_P | PTE_U, false, true, false},
		{PTE_P | PTE_W | PTE_U, true, true, true},
	};

	section("rights of a 4 KiB page (SDM 3A 4.6.1)");
	for (unsigned i = 0; i < 4; i++) {
		leaf(rows[i].bits);
		print("# U=%u W=%u\n", (unsigned)(rows[i].bits >> 2 & 1),
		      (unsigned)(rows[i].bits >> 1 & 1));
		expect("supervisor read", NO_TRAP, 0, t_read, (void *)VA);
		expect("supervisor write with WP", rows[i].sup_write ? NO_TRAP : PF,
		       rows[i].sup_write ? 0 : ERR_P | ERR_W, t_write, (void *)VA);
		write_cr0(read_cr0() & ~(uword)CR0_WP);
		expect("supervisor write without WP", NO_TRAP, 0, t_write, (void *)VA);
		write_cr0(read_cr0() | CR0_WP);
		expect("supervisor write after WP came back", rows[i].sup_write ? NO_TRAP : PF,
		       rows[i].sup_write ? 0 : ERR_P | ERR_W, t_write, (void *)VA);
		expect_user("user read", rows[i].user_read ? NO_TRAP : PF,
			    rows[i].user_read ? 0 : ERR_P | ERR_U, t_read, (void *)VA);
		expect_user("user write", rows[i].user_write ? NO_TRAP : PF,
			    rows[i].user_write ? 0 : ERR_P | ERR_U | ERR_W, t_write, (void *)VA);
	}
	section("rights come from every level (SDM 3A 4.6.1)");
	leaf(PTE_P | PTE_W | PTE_U);
	for (unsigned level = 2; level <= 4; level++) {
		volatile u64 *e = page_entry(VA, level);
		u64 old = *e;

		print("# level %u\n", level);
		*e = old & ~(u64)PTE_W;
		write_cr3(read_cr3());
		expect("write, W=0 above", PF, ERR_P | ERR_W, t_write, (void *)VA);
		*e = old & ~(u64)PTE_U;
		write_cr3(read_cr3());
		expect_user("user read, U=0 above", PF, ERR_P | ERR_U, t_read, (void *)VA);
		*e = old | PTE_NX;
		write_cr3(read_cr3());
		expect("fetch, NX above", PF, ERR_P | ERR_I, t_call, (void *)VA);
		*e = old & ~(u64)PTE_P;
		write_cr3(read_cr3());
		expect("read, P=0 above", PF, 0, t_read, (void *)VA);
		*e = old | 1ull << 45;
		write_cr3(read_cr3());
		qemu_differs("P is missing");
		expect("read, address over MAXPHYADDR: RSVD", PF, ERR_P | ERR_RSVD, t_read,
		       (void *)VA);
		if (level == 4) {
			*e = old | PTE_PS;
			write_cr3(read_cr3());
			qemu_differs("P is missing");
			expect("read, PS in the PML4: RSVD", PF, ERR_P | ERR_RSVD, t_read,
			       (void *)VA);
		}
		*e = old;
		write_cr3(read_cr3());
		expect("read, all restored", NO_TRAP, 0, t_read, (void *)VA);
	}
}

static void nx(void)
{
	section("NX (SDM 3A 4.6.2)");
	memcpy(frame_a, code_ret, 1);
	leaf(PTE_P | PTE_W);
	expect("fetch without NX", NO_TRAP, 0, t_call, (void *)VA);
	leaf(PTE_P | PTE_W | PTE_NX);
	expect("fetch with NX: error I", PF, ERR_P | ERR_I, t_call, (void *)VA);
	expect("read with NX", NO_TRAP, 0, t_read, (void *)VA);
	leaf(PTE_P | PTE_W | PTE_U | PTE_NX);
	expect_user("user call of an NX page", PF, ERR_P | ERR_I | ERR_U, t_call, (void *)VA);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(u64)EFER_NXE);
	qemu_differs("P is missing");
	expect("NX is reserved without NXE", PF, ERR_P | ERR_RSVD, t_read, (void *)VA);
	leaf(0);
	expect("fetch without NXE has no I bit", PF, 0, t_call, (void *)VA);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
}

static void accessed_dirty(void)
{
	volatile u64 *e;

	section("accessed and dirty (SDM 3A 4.8)");
	e = leaf(PTE_P | PTE_W | PTE_U);
	CHECK_EQ(*e & (PTE_A | PTE_D), 0, "clean at first");
	t_read((void *)VA);
	CHECK_EQ(*e & (PTE_A | PTE_D), PTE_A, "a read sets A");
	t_write((void *)VA);
	CHECK_EQ(*e & (PTE_A | PTE_D), PTE_A | PTE_D, "a write sets D");
	e = leaf(PTE_P | PTE_W | PTE_U);
	t_write0((void *)VA);
	CHECK_EQ(*e & (PTE_A | PTE_D), PTE_A | PTE_D, "a locked add of 0 sets A and D");
	e = leaf(PTE_P | PTE_U);
	try_run(t_write, (void *)VA);
	qemu_differs("A is set before the rights are known");
	CHECK_EQ(*e & PTE_D, 0, "a write that faults leaves D alone");
	e = leaf(PTE_P | PTE_W);
	for (unsigned level = 2; level <= 4; level++)
		*page_entry(VA, level) &= ~(u64)PTE_A;
	write_cr3(read_cr3());
	t_read((void *)VA);
	for (unsigned level = 2; level <= 4; level++)
		CHECK_EQ(*page_entry(VA, level) & PTE_A, PTE_A, "A is set at the upper levels");
	CHECK_EQ(*page_entry(VA, 2) & PTE_D, 0, "D is not set in a table's entry");
	e = leaf(PTE_P | PTE_W | PTE_U);
	user_run(t_read, (void *)VA);
	CHECK_EQ(*e & (PTE_A | PTE_D), PTE_A, "a user read sets A");
}

static void large(void)
{
	volatile u64 *e2 = page_entry(VA + 0x40000000, 2), *e3;

	section("large pages (SDM 3A 4.5.4)");
	*e2 = 0x200000 | PTE_P | PTE_W | PTE_PS;
	CHECK_EQ(*(volatile u32 *)(VA + 0x40000000 + 64), *(volatile u32 *)(0x200000 + 64),
		 "2 MiB page maps");
	CHECK_EQ(*e2 & (PTE_A | PTE_D), PTE_A, "its A");
	*(volatile u32 *)(VA + 0x40000000 + 0x1ff000) = *(volatile u32 *)(0x3ff000);
	CHECK_EQ(*e2 & (PTE_A | PTE_D), PTE_A | PTE_D, "its D");
	*e2 = 0x202000 | PTE_P | PTE_W | PTE_PS;
	invlpg(VA + 0x40000000);
	qemu_differs("P is missing");
	expect("2 MiB page with address bit 13: RSVD", PF, ERR_P | ERR_RSVD, t_read,
	       (void *)(VA + 0x40000000));
	*e2 = 0;
	e3 = page_entry(VA + 0x80000000, 3);
	if (cpuid(0x80000001, 0).d & 1u << 26) {
		*e3 = 0 | PTE_P | PTE_W | PTE_PS;
		CHECK_EQ(*(volatile u32 *)(VA + 0x80000000 + 0x200040), *(volatile u32 *)0x200040,
			 "1 GiB page maps");
		*e3 = 0x200000 | PTE_P | PTE_W | PTE_PS;
		invlpg(VA + 0x80000000);
		qemu_differs("P is missing");
		expect("1 GiB page with address bit 21: RSVD", PF, ERR_P | ERR_RSVD, t_read,
		       (void *)(VA + 0x80000000));
	} else {
		*e3 = 0 | PTE_P | PTE_W | PTE_PS;
		qemu_differs("P is missing");
		expect("1 GiB page when CPUID has none: RSVD", PF, ERR_P | ERR_RSVD, t_read,
		       (void *)(VA + 0x80000000));
	}
	*e3 = 0;
	invlpg(VA + 0x80000000);
}

static void translations(void)
{
	volatile u8 *p = (volatile u8 *)VA;
	volatile u64 *e;

	section("invalidation (SDM 3A 4.10)");
	frame_a[0] = 0xaa;
	frame_b[0] = 0xbb;
	e = leaf(PTE_P | PTE_W);
	CHECK_EQ(*p, 0xaa, "first frame");
	*e = (u64)frame_b | PTE_P | PTE_W;
	invlpg(VA);
	CHECK_EQ(*p, 0xbb, "second frame after invlpg");
	*e = (u64)frame_a | PTE_P | PTE_W;
	write_cr3(read_cr3());
	CHECK_EQ(*p, 0xaa, "first frame after a CR3 load");
	*e = 0;
	invlpg(VA);
	expect("gone after invlpg", PF, 0, t_read, (void *)VA);
	*e = (u64)frame_b | PTE_P | PTE_W;
	CHECK_EQ(*p, 0xbb, "a new mapping needs no invalidation");
	if (cpuid(1, 0).d & 1u << 13) {
		write_cr4(read_cr4() | CR4_PGE);
		*e = (u64)frame_b | PTE_P | PTE_W | 0x100;
		invlpg(VA);
		CHECK_EQ(*p, 0xbb, "global page");
		*e = (u64)frame_a | PTE_P | PTE_W | 0x100;
		write_cr4(read_cr4() & ~(uword)CR4_PGE);
		CHECK_EQ(*p, 0xaa, "a change of CR4.PGE drops global entries");
	}
	section("accesses that cross a page (SDM 3A 4.7)");
	page_map(VA, (u64)frame_a, PTE_P | PTE_W);
	page_map(VA + 4096, (u64)frame_b, PTE_P | PTE_W);
	*(volatile u64 *)(VA + 4092) = 0x1122334455667788;
	CHECK_EQ(*(u32 *)(frame_a + 4092), 0x55667788, "low half in the first frame");
	CHECK_EQ(*(u32 *)frame_b, 0x11223344, "high half in the second");
	CHECK_EQ(*(volatile u64 *)(VA + 4092), 0x1122334455667788, "read back");
	page_map(VA + 4096, (u64)frame_b, PTE_P);
	expect("write into a read-only second page", PF, ERR_P | ERR_W, t_wrss,
	       (void *)(VA + 4092));
	CHECK_EQ(this_cpu()->trap.cr2, VA + 4096, "CR2 is the second page");
	CHECK_EQ(*(u32 *)(frame_a + 4092), 0x55667788, "and nothing was written");
	page_map(VA + 4096, 0, 0);
	expect("read into an absent second page", PF, 0, t_read, (void *)(VA + 4096));
	/* mov eax, imm32; ret, with the page's end inside the immediate */
	memcpy(frame_a + 4093, "\xb8\x11\x22", 3);
	memcpy(frame_b, "\x33\x44\xc3", 3);
	expect("fetch across into an absent page", PF, ERR_I, t_call, (void *)(VA + 4093));
	CHECK_EQ(this_cpu()->trap.cr2, VA + 4096, "CR2 is the second page");
	page_map(VA + 4096, (u64)frame_b, PTE_P);
	expect("fetch across", NO_TRAP, 0, t_call, (void *)(VA + 4093));
	section("code that is changed (SDM 3A 8.1.3)");
	memcpy(frame_a, "\xb8\x01\x00\x00\x00\xc3", 6);
	page_map(VA, (u64)frame_a, PTE_P | PTE_W);
	CHECK_EQ(((u32(*)(void))VA)(), 1, "first version");
	frame_a[1] = 2;
	CHECK_EQ(((u32(*)(void))VA)(), 2, "changed through another address");
	*(volatile u8 *)(VA + 1) = 3;
	CHECK_EQ(((u32(*)(void))VA)(), 3, "changed through its own");
	memcpy(frame_b, "\xb8\x04\x00\x00\x00\xc3", 6);
	page_map(VA, (u64)frame_b, PTE_P | PTE_W);
	CHECK_EQ(((u32(*)(void))VA)(), 4, "another frame at the same address");
}

static void smep_smap(void)
{
	struct cpuid seven = cpuid(7, 0);

	section("SMEP, SMAP (SDM 3A 4.6)");
	memcpy(frame_a, code_ret, 1);
	leaf(PTE_P | PTE_W | PTE_U);
	if (seven.b & 1u << 7) {
		write_cr4(read_cr4() | CR4_SMEP);
		expect("supervisor fetch of a user page", PF, ERR_P | ERR_I, t_call, (void *)VA);
		expect("supervisor read of it", NO_TRAP, 0, t_read, (void *)VA);
		expect_user("user fetch of it", NO_TRAP, 0, t_call, (void *)VA);
		write_cr4(read_cr4() & ~(uword)CR4_SMEP);
		expect("supervisor fetch after SMEP went", NO_TRAP, 0, t_call, (void *)VA);
	} else {
		skip("SMEP", "not offered");
	}
	if (seven.b & 1u << 20) {
		write_cr4(read_cr4() | CR4_SMAP);
		expect("supervisor read of a user page", PF, ERR_P, t_read, (void *)VA);
		expect("supervisor write of it", PF, ERR_P | ERR_W, t_write, (void *)VA);
		idt_gate(PF, idt_stub(PF), SEL_CODE, 0x8e, 3);
		expect("push onto it", PF, ERR_P | ERR_W, t_push_user, (void *)(VA + 2048));
		idt_default(PF);
		expect("read with AC", NO_TRAP, 0, t_stac_read, (void *)VA);
		expect("AC is gone after clac", PF, ERR_P, t_read, (void *)VA);
		expect("fetch of it (SMAP is about data)", NO_TRAP, 0, t_call, (void *)VA);
		expect_user("user read of it", NO_TRAP, 0, t_read, (void *)VA);
		expect_user("stac at CPL3", UD, 0, t_stac_read, (void *)VA);
		write_cr4(read_cr4() & ~(uword)CR4_SMAP);
		expect("supervisor read after SMAP went", NO_TRAP, 0, t_read, (void *)VA);
	} else {
		skip("SMAP", "not offered");
		expect("stac without SMAP in CPUID", UD, 0, t_stac_read, (void *)VA);
	}
}

static void t_pcid_cr3(void *v)
{
	write_cr3((uword)v);
}

static void pcid(void)
{
	section("PCID, INVPCID (SDM 3A 4.10.1)");
	if (!(cpuid(1, 0).c & 1u << 17)) {
		skip("PCID", "not offered");
		qemu_differs("not checked");
		expect("CR4.PCIDE without PCID", GP, 0, (void (*)(void *))(void *)write_cr4,
		       (void *)(read_cr4() | 1u << 17));
		return;
	}
	write_cr4(read_cr4() | 1u << 17);
	leaf(PTE_P | PTE_W);
	frame_a[0] = 0xa1;
	write_cr3((uword)boot_pml4 | 5);
	CHECK_EQ(*(volatile u8 *)VA, 0xa1, "PCID 5 sees memory");
	write_cr3((uword)boot_pml4 | 6 | 1ull << 63);
	CHECK_EQ(read_cr3() >> 63, 0, "CR3 bit 63 reads as 0");
	CHECK_EQ(read_cr3() & 0xfff, 6, "CR3 shows the PCID");
	write_cr3((uword)boot_pml4);
	expect("CR3 with a reserved bit", GP, 0, t_pcid_cr3, (void *)(1ull << 62));
	write_cr4(read_cr4() & ~(uword)(1u << 17));
}

void suite(void)
{
	frame_a = page_alloc();
	frame_b = page_alloc();
	rights();
	nx();
	accessed_dirty();
	large();
	translations();
	smep_smap();
	pcid();
}
