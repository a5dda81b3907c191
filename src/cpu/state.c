/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: what a CPU is like after power-up and after INIT (SDM 3A table 10-1, section 10.1.1).
 *
 * CPUID-dependent values (the signature in EDX, the APIC id's place in its register) are the
 * engine's to refine. Freestanding.
 */
#include "cpu/cpu.h"

#include "cpu/seg.h"

#define RESET_CR0    (CR0_CD | CR0_NW | CR0_ET)
#define RESET_RIP    0xfff0u
#define RESET_CS     0xf000u
#define RESET_BASE   0xffff0000u
#define RESET_EDX    0x600u /* family 6 */
#define AR_LDT_RESET (AR_P | DT_LDT)
#define AR_TSS_RESET (AR_P | DT_TSS_BUSY)
#define APIC_BASE    0xfee00000u
#define APIC_BSP     0x100u
#define APIC_ENABLE  0x800u
#define APIC_MASKED  0x10000u

static void segments_reset(struct cpu_state *s)
{
	for (unsigned i = 0; i < S_COUNT; i++)
		s->seg[i] = (struct cpu_segment){.limit = 0xffff, .ar = AR_REAL};
	s->seg[S_CS].sel = RESET_CS;
	s->seg[S_CS].base = RESET_BASE;
	s->seg[S_LDTR].ar = AR_LDT_RESET;
	s->seg[S_TR].ar = AR_TSS_RESET;
	s->gdt = s->idt = (struct cpu_dtable){.limit = 0xffff};
}

static void lapic_reset(struct cpu_lapic_state *a)
{
	*a = (struct cpu_lapic_state){.base = a->base, .id = a->id, .dfr = 0xffffffff, .svr = 0xff};
	for (unsigned i = 0; i < ARRAY_LEN(a->lvt); i++)
		a->lvt[i] = APIC_MASKED;
}

/* What power-up and INIT have in common. */
static void state_restart(struct cpu_state *s, bool bsp)
{
	__builtin_memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[R_RDX] = RESET_EDX;
	s->rip = RESET_RIP;
	s->rflags = FL_R1;
	segments_reset(s);
	s->cr2 = s->cr3 = s->cr4 = s->efer = 0;
	__builtin_memset(s->dr, 0, sizeof(s->dr));
	s->dr6 = DR6_INIT;
	s->dr7 = DR7_INIT;
	s->debugctl = 0;
	s->activity = bsp ? CPU_RUNNING : CPU_WAIT_SIPI;
	s->nmi_pending = s->nmi_blocked = s->init_pending = s->sipi_pending = false;
	s->shadow = 0;
	s->pending_dbg = 0;
	lapic_reset(&s->lapic);
}

void cpu_state_reset(struct cpu_state *s, unsigned apic_id, bool bsp)
{
	*s = (struct cpu_state){
		.cr0 = RESET_CR0,
		.xcr0 = 1,
		.fpu = {.fcw = 0x40, .ftw = 0xff, .mxcsr = 0x1f80},
		.pat = PAT_RESET,
		.misc_enable = 0x1801, /* fast strings; no BTS, no PEBS */
		.lapic = {.base = APIC_BASE | APIC_ENABLE | (bsp ? APIC_BSP : 0), .id = apic_id},
	};
	state_restart(s, bsp);
}

void cpu_state_init(struct cpu_state *s, bool bsp)
{
	s->cr0 = (s->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
	state_restart(s, bsp);
}
