/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry: long mode for the 64-bit Linux entry, flat protected mode for the 32-bit one and PVH, and
 * the memory types a firmware would have set.
 *
 * The selectors are the ones the Linux protocol fixes. Segment caches are
 * filled by hand, so nothing is loaded from the GDT until the guest does so itself.
 */
#include "boot/entry.h"

#include "board/layout.h"
#include "boot/map.h"
#include "lib/bits.h"
#include "spec/linux_boot.h"

/* SDM 3A, 2.5 and 4.5 */
#define CR0_PE	 BIT64(0)
#define CR0_ET	 BIT64(4)
#define CR0_NE	 BIT64(5)
#define CR0_WP	 BIT64(16)
#define CR0_PG	 BIT64(31)
#define CR4_PAE	 BIT64(5)
#define EFER_LME BIT64(8)
#define EFER_LMA BIT64(10)
#define PTE_P	 BIT64(0)
#define PTE_RW	 BIT64(1)
#define PTE_PS	 BIT64(7)

#define ENTRY_TSS_SEL 0x20u
#define ENTRY_GDT_LEN 6 /* null, unused, code, data, TSS (16 bytes in long mode) */

/* SDM 3A, 11.11: memory types and MSR layouts */
#define MTRR_UC		0u
#define MTRR_WB		6u
#define MTRR_ENABLE	BIT64(11)
#define MTRR_FIX_ENABLE BIT64(10)
#define MTRR_VALID	BIT64(11)

/* SDM 3A, 11.5.1 and 11.9: spurious vector and local vector table */
#define APIC_SVR_ENABLE 0x1ffu
#define APIC_LVT_EXTINT 0x700u
#define APIC_LVT_NMI	0x400u
#define ENTRY_LVT_LINT0 4 /* in cpu_lapic_state.lvt */
#define ENTRY_LVT_LINT1 5

/* ---- tables ------------------------------------------------------------------------------ */

/* A descriptor of SDM 3A, 3.4.5 from base, limit field and attributes as in cpu_segment.ar. */
static u64 entry_descriptor(u64 base, u32 limit, u32 ar)
{
	return (limit & 0xffffu) | (base & 0xffffff) << 16 | (u64)(ar & 0xff) << 40 |
	       (u64)(limit >> 16 & 0xf) << 48 | (u64)(ar >> 12 & 0xf) << 52 |
	       (base >> 24 & 0xff) << 56;
}

/* code_ar: what the code segment has beside being flat, AR_L or AR_DB */
static int entry_load_gdt(struct ram *ram, u32 code_ar)
{
	const u32 flat = AR_S | AR_P | AR_G;
	u64 gdt[ENTRY_GDT_LEN] = {0};

	gdt[LINUX_BOOT_CS / 8] = entry_descriptor(0, 0xfffff, 0xb | flat | code_ar);
	gdt[LINUX_BOOT_DS / 8] = entry_descriptor(0, 0xfffff, 0x3 | flat | AR_DB);
	gdt[ENTRY_TSS_SEL / 8] = entry_descriptor(MAP_TSS, 0x67, 0x9 | AR_P);
	return ram_load(ram, MAP_GDT, gdt, sizeof(gdt));
}

int entry_load_gdt32(struct ram *ram)
{
	return entry_load_gdt(ram, AR_DB);
}

int entry_load_tables64(struct ram *ram)
{
	u64 page[512] = {0};
	u64 table = MAP_PAGE_TABLES;
	int rc;

	rc = entry_load_gdt(ram, AR_L);
	if (rc)
		return rc;
	page[0] = (table + 0x1000) | PTE_P | PTE_RW;
	rc = ram_load(ram, table, page, sizeof(page));
	for (u64 i = 0; i < 4; i++)
		page[i] = (table + 0x2000 + i * 0x1000) | PTE_P | PTE_RW;
	if (!rc)
		rc = ram_load(ram, table + 0x1000, page, sizeof(page));
	for (u64 gib = 0; gib < 4 && !rc; gib++) {
		for (u64 i = 0; i < 512; i++)
			page[i] = (gib << 30 | i << 21) | PTE_P | PTE_RW | PTE_PS;
		rc = ram_load(ram, table + 0x2000 + gib * 0x1000, page, sizeof(page));
	}
	return rc;
}

/* ---- modes ------------------------------------------------------------------------------- */

static void entry_set_segments(struct cpu_state *s, u32 code_ar)
{
	static const u8 data[] = {S_ES, S_SS, S_DS, S_FS, S_GS};

	s->seg[S_CS] = (struct cpu_segment){0, 0xffffffff, 0xb | AR_S | AR_P | AR_G | code_ar,
					    LINUX_BOOT_CS};
	for (size_t i = 0; i < ARRAY_LEN(data); i++)
		s->seg[data[i]] = (struct cpu_segment){
			0, 0xffffffff, 0x3 | AR_S | AR_P | AR_G | AR_DB, LINUX_BOOT_DS};
	s->seg[S_TR] = (struct cpu_segment){MAP_TSS, 0x67, 0xb | AR_P, ENTRY_TSS_SEL};
	s->seg[S_LDTR] = (struct cpu_segment){0, 0, AR_UNUSABLE, 0};
	s->gdt = (struct cpu_dtable){MAP_GDT, ENTRY_GDT_LEN * 8 - 1};
	s->idt = (struct cpu_dtable){0, 0};
	s->rflags = 2;
	s->activity = CPU_RUNNING;
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = 0;
}

void entry_set_long_mode(struct cpu_state *s)
{
	entry_set_segments(s, AR_L);
	s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	s->cr3 = MAP_PAGE_TABLES;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
}

void entry_set_protected_mode(struct cpu_state *s)
{
	entry_set_segments(s, AR_DB);
	s->cr0 = CR0_PE | CR0_ET;
	s->cr3 = 0;
	s->cr4 = 0;
	s->efer = 0;
}

void entry_set_mtrrs(struct cpu_state *s)
{
	const u64 wb = 0x0606060606060606ull;
	const u64 phys = mask64(LAYOUT_MAXPHYADDR);

	s->mtrr_def = MTRR_ENABLE | MTRR_FIX_ENABLE | MTRR_WB;
	/* 0..512K, 512K..640K; the VGA hole stays uncached; C0000..FFFFF is RAM to us. */
	for (unsigned i = 0; i < ARRAY_LEN(s->mtrr_fix); i++)
		s->mtrr_fix[i] = wb;
	s->mtrr_fix[2] = MTRR_UC;
	for (unsigned i = 0; i < ARRAY_LEN(s->mtrr_var); i++)
		s->mtrr_var[i] = 0;
	s->mtrr_var[0] = LAYOUT_LOW_RAM_MAX | MTRR_UC;
	s->mtrr_var[1] = (~(LAYOUT_HIGH_RAM - LAYOUT_LOW_RAM_MAX - 1) & phys) | MTRR_VALID;
	s->mtrr_var[2] = LAYOUT_PCI64 | MTRR_UC;
	s->mtrr_var[3] = (~(LAYOUT_PCI64_END - LAYOUT_PCI64 - 1) & phys) | MTRR_VALID;
}

void entry_set_virtual_wire(struct cpu_state *s)
{
	s->lapic.svr = APIC_SVR_ENABLE;
	s->lapic.lvt[ENTRY_LVT_LINT0] = APIC_LVT_EXTINT;
	s->lapic.lvt[ENTRY_LVT_LINT1] = APIC_LVT_NMI;
}
