/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apic: local APIC registers and bits (Intel SDM 3A, chapter 11 "APIC").
 *
 * Register offsets are those of the MMIO page; the x2APIC MSR of a register is 0x800 + offset / 16.
 */
#ifndef SPEC_APIC_H
#define SPEC_APIC_H

/* Registers (table 11-1) */
#define APIC_ID		 0x020u
#define APIC_VERSION	 0x030u
#define APIC_TPR	 0x080u
#define APIC_APR	 0x090u
#define APIC_PPR	 0x0a0u
#define APIC_EOI	 0x0b0u
#define APIC_RRD	 0x0c0u
#define APIC_LDR	 0x0d0u
#define APIC_DFR	 0x0e0u
#define APIC_SVR	 0x0f0u
#define APIC_ISR	 0x100u /* .. 0x170 */
#define APIC_TMR	 0x180u
#define APIC_IRR	 0x200u
#define APIC_ESR	 0x280u
#define APIC_LVT_CMCI	 0x2f0u
#define APIC_ICR_LO	 0x300u
#define APIC_ICR_HI	 0x310u
#define APIC_LVT_TIMER	 0x320u
#define APIC_LVT_THERMAL 0x330u
#define APIC_LVT_PERF	 0x340u
#define APIC_LVT_LINT0	 0x350u
#define APIC_LVT_LINT1	 0x360u
#define APIC_LVT_ERROR	 0x370u
#define APIC_TIMER_INIT	 0x380u
#define APIC_TIMER_CUR	 0x390u
#define APIC_TIMER_DIV	 0x3e0u
#define APIC_SELF_IPI	 0x3f0u /* x2APIC only */

#define APIC_MMIO_SIZE 0x1000u
#define APIC_MSR_FIRST 0x800u
#define APIC_MSR_LAST  0x8ffu

/* IA32_APIC_BASE (11.4.4, 11.12.1) */
#define APIC_BASE_DEFAULT 0xfee00000ull
#define APIC_BASE_BSP	  0x100ull
#define APIC_BASE_EXTD	  0x400ull
#define APIC_BASE_EN	  0x800ull

/* Version register (11.4.8) */
#define APIC_VERSION_DIRECTED_EOI (1u << 24)

/* Spurious vector register (11.9) */
#define APIC_SVR_ENABLE	      0x100u
#define APIC_SVR_FOCUS	      0x200u
#define APIC_SVR_NO_BROADCAST 0x1000u

/* LVT (11.5.1) */
#define APIC_LVT_VECTOR	    0xffu
#define APIC_LVT_MODE_SHIFT 8
#define APIC_LVT_MODE	    0x700u
#define APIC_LVT_STATUS	    0x1000u
#define APIC_LVT_POLARITY   0x2000u
#define APIC_LVT_REMOTE_IRR 0x4000u
#define APIC_LVT_LEVEL	    0x8000u
#define APIC_LVT_MASK	    0x10000u
#define APIC_LVT_PERIODIC   0x20000u
#define APIC_LVT_DEADLINE   0x40000u
#define APIC_LVT_TIMER_MODE 0x60000u

/* Delivery modes: LVT, ICR, MSI data (11.5.1, 11.6.1, 11.11.2) */
#define APIC_MODE_FIXED	 0u
#define APIC_MODE_LOWEST 1u
#define APIC_MODE_SMI	 2u
#define APIC_MODE_NMI	 4u
#define APIC_MODE_INIT	 5u
#define APIC_MODE_SIPI	 6u
#define APIC_MODE_EXTINT 7u

/* Interrupt command register (11.6.1) */
#define APIC_ICR_LOGICAL	 0x800u
#define APIC_ICR_STATUS		 0x1000u
#define APIC_ICR_ASSERT		 0x4000u
#define APIC_ICR_LEVEL		 0x8000u
#define APIC_ICR_SHORTHAND_SHIFT 18
#define APIC_TO_DEST		 0u
#define APIC_TO_SELF		 1u
#define APIC_TO_ALL		 2u
#define APIC_TO_OTHERS		 3u

/* Error status (11.5.3) */
#define APIC_ESR_SEND_ILLEGAL	 0x20u
#define APIC_ESR_RECEIVE_ILLEGAL 0x40u
#define APIC_ESR_REGISTER	 0x80u

/* Message address and data (11.11.1, 11.11.2) */
#define APIC_MSI_BASE	    0xfee00000ull
#define APIC_MSI_DEST_SHIFT 12
#define APIC_MSI_LOGICAL    0x4u
#define APIC_MSI_LEVEL	    0x8000u

#endif
