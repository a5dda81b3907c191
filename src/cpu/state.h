/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: all architectural state of one vCPU, independent of any engine.
 *
 * The one currency between engines, saved files and debuggers. Plain values in manual units; no
 * pointers, no cached or derived data. XSAVE components are stored one by one, never as a host
 * layout.
 *
 * Entered by: cpu, engine, boot (initial state), vm (save/restore).
 */
#ifndef CPU_STATE_H
#define CPU_STATE_H

#include "lib/types.h"

enum cpu_gpr {
	R_RAX,
	R_RCX,
	R_RDX,
	R_RBX,
	R_RSP,
	R_RBP,
	R_RSI,
	R_RDI,
	R_R8,
	R_R9,
	R_R10,
	R_R11,
	R_R12,
	R_R13,
	R_R14,
	R_R15,
};

/* Order of the sreg field in MOV Sreg (SDM 2B), then LDTR and TR. */
enum cpu_seg { S_ES, S_CS, S_SS, S_DS, S_FS, S_GS, S_LDTR, S_TR, S_COUNT };

/* Descriptor attributes as in bits 40..47 and 52..55 of a descriptor (SDM 3A, 3.4.5), packed like
 * VMX access rights (SDM 3C, 24.4.1): type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15,
 * unusable 16. */
struct cpu_segment {
	u64 base;
	u32 limit; /* bytes, granularity applied */
	u32 ar;
	u16 sel;
};

#define BIT_AR(n)    (1u << (n))
#define AR_TYPE	     0xfu
#define AR_S	     BIT_AR(4)
#define AR_DPL_SHIFT 5
#define AR_DPL	     0x60u
#define AR_P	     BIT_AR(7)
#define AR_AVL	     BIT_AR(12)
#define AR_L	     BIT_AR(13)
#define AR_DB	     BIT_AR(14)
#define AR_G	     BIT_AR(15)
#define AR_UNUSABLE  BIT_AR(16)

struct cpu_dtable {
	u64 base;
	u16 limit;
};

/* What the vCPU does when it is let run. */
enum cpu_activity { CPU_RUNNING, CPU_HALTED, CPU_WAIT_SIPI, CPU_SHUTDOWN };

/* x87 and SSE state; register i of the x87 file is physical register i, not ST(i). */
struct cpu_fpu {
	u16 fcw, fsw;
	u8 ftw; /* abridged as in FXSAVE: bit per physical register, 1 = not empty */
	u16 fop;
	u64 fip, fdp;
	u16 fcs, fds;
	u32 mxcsr;
	u8 st[8][16]; /* ST(0)..ST(7) as in FXSAVE, 10 bytes used */
};

struct cpu_lapic_state {
	u64 base; /* IA32_APIC_BASE */
	u32 id, tpr, ldr, dfr, svr, esr, icr_lo, icr_hi;
	u32 lvt[7]; /* CMCI, timer, thermal, perf, LINT0, LINT1, error */
	u32 irr[8], isr[8], tmr[8];
	u32 timer_initial, timer_divide;
	u64 timer_started_ns; /* guest ns when the count was written */
	u64 tsc_deadline;
};

struct cpu_state {
	u64 gpr[16];
	u64 rip, rflags;
	struct cpu_segment seg[S_COUNT];
	struct cpu_dtable gdt, idt;
	u64 cr0, cr2, cr3, cr4, efer, xcr0, xss;
	u64 dr[4], dr6, dr7;
	struct cpu_fpu fpu;
	u8 ymm[16][32]; /* low halves are XMM */
	/* MSRs without a field above */
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, misc_enable, tsc_aux;
	u64 tsc_adjust, tsc; /* tsc as the guest would read it at `clock_ns` */
	u64 clock_ns;
	u64 mtrr_def, mtrr_fix[11], mtrr_var[16];
	u64 kvm_system_time, kvm_wall_clock;
	u64 spec_ctrl, debugctl;
	/* events */
	u8 activity; /* enum cpu_activity */
	u8 sipi_vector;
	bool nmi_pending, nmi_blocked;
	bool init_pending, sipi_pending;
	u8 shadow; /* 1 = STI, 2 = MOV SS/POP SS: blocks interrupts (and #DB) for one instruction */
	u64 pending_dbg; /* DR6 bits of a #DB held back by the MOV SS shadow */
	struct cpu_lapic_state lapic;
};

#endif
