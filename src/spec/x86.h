/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86: numbers of the architecture: EFLAGS, control registers, EFER, exceptions, MSRs, page tables.
 *
 * SDM 3A 2.3 (EFLAGS), 2.5 (CRn), 4 (paging), 6.3 (vectors); SDM 4 (MSRs). Numbers only.
 */
#ifndef SPEC_X86_H
#define SPEC_X86_H

/* EFLAGS */
#define FL_CF	      0x1u
#define FL_R1	      0x2u
#define FL_PF	      0x4u
#define FL_AF	      0x10u
#define FL_ZF	      0x40u
#define FL_SF	      0x80u
#define FL_TF	      0x100u
#define FL_IF	      0x200u
#define FL_DF	      0x400u
#define FL_OF	      0x800u
#define FL_IOPL	      0x3000u
#define FL_NT	      0x4000u
#define FL_RF	      0x10000u
#define FL_VM	      0x20000u
#define FL_AC	      0x40000u
#define FL_VIF	      0x80000u
#define FL_VIP	      0x100000u
#define FL_ID	      0x200000u
#define FL_STATUS     (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)
#define FL_IOPL_SHIFT 12

/* CR0 */
#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

/* CR4 */
#define CR4_VME	       0x1u
#define CR4_PVI	       0x2u
#define CR4_TSD	       0x4u
#define CR4_DE	       0x8u
#define CR4_PSE	       0x10u
#define CR4_PAE	       0x20u
#define CR4_MCE	       0x40u
#define CR4_PGE	       0x80u
#define CR4_PCE	       0x100u
#define CR4_OSFXSR     0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP       0x800u
#define CR4_FSGSBASE   0x10000u
#define CR4_PCIDE      0x20000u
#define CR4_OSXSAVE    0x40000u
#define CR4_SMEP       0x100000u
#define CR4_SMAP       0x200000u

/* EFER */
#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u

/* Exception vectors */
#define EXC_DE	0
#define EXC_DB	1
#define EXC_NMI 2
#define EXC_BP	3
#define EXC_OF	4
#define EXC_BR	5
#define EXC_UD	6
#define EXC_NM	7
#define EXC_DF	8
#define EXC_TS	10
#define EXC_NP	11
#define EXC_SS	12
#define EXC_GP	13
#define EXC_PF	14
#define EXC_MF	16
#define EXC_AC	17
#define EXC_MC	18
#define EXC_XM	19

/* Page-fault error code */
#define PF_P   0x1u
#define PF_W   0x2u
#define PF_U   0x4u
#define PF_RSV 0x8u
#define PF_I   0x10u

/* Page-table entries */
#define PTE_P  0x1ull
#define PTE_W  0x2ull
#define PTE_U  0x4ull
#define PTE_A  0x20ull
#define PTE_D  0x40ull
#define PTE_PS 0x80ull
#define PTE_G  0x100ull
#define PTE_NX 0x8000000000000000ull

/* DR6, DR7 */
#define DR6_BD	    0x2000u
#define DR6_BS	    0x4000u
#define DR6_BT	    0x8000u
#define DR6_INIT    0xffff0ff0u
#define DR7_INIT    0x400u
#define DR7_ENABLED 0xffu
#define DR7_GD	    0x2000u

/* MSRs */
#define MSR_TSC			0x10
#define MSR_PLATFORM_ID		0x17
#define MSR_APIC_BASE		0x1b
#define MSR_TSC_ADJUST		0x3b
#define MSR_SPEC_CTRL		0x48
#define MSR_BIOS_SIGN_ID	0x8b
#define MSR_MTRRCAP		0xfe
#define MSR_ARCH_CAPS		0x10a
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_MCG_CAP		0x179
#define MSR_MCG_STATUS		0x17a
#define MSR_MCG_CTL		0x17b
#define MSR_PERF_STATUS		0x198
#define MSR_THERM_STATUS	0x19c
#define MSR_MISC_ENABLE		0x1a0
#define MSR_DEBUGCTL		0x1d9
#define MSR_MTRR_PHYSBASE0	0x200
#define MSR_MTRR_FIX64K		0x250
#define MSR_MTRR_FIX16K		0x258
#define MSR_MTRR_FIX4K		0x268
#define MSR_PAT			0x277
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_X2APIC		0x800
#define MSR_XSS			0xda0
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_SFMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103
#define MSR_AMD_SYSCFG		0xc0010010
#define MSR_AMD_HWCR		0xc0010015
#define MSR_AMD_TOP_MEM		0xc001001a
#define MSR_AMD_TOP_MEM2	0xc001001d
#define MSR_AMD_NB_CFG		0xc001001f
#define MSR_AMD_INT_PENDING	0xc0010055
#define MSR_AMD_DE_CFG		0xc0011029
#define MSR_KVM_WALL_CLOCK	0x4b564d00
#define MSR_KVM_SYSTEM_TIME	0x4b564d01
#define MSR_KVM_WALL_CLOCK_OLD	0x11
#define MSR_KVM_SYSTEM_TIME_OLD 0x12

#define DEBUGCTL_LBR 1u
#define DEBUGCTL_BTF 2u

#define PAT_RESET 0x0007040600070406ull

#endif
