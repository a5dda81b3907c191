/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpuid: leaf numbers and field encodings.
 *
 * Source: Intel SDM 2A, CPUID; AMD APM 3, appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst.
 */
#ifndef SPEC_CPUID_H
#define SPEC_CPUID_H

/* Vendor strings as EBX, EDX, ECX of leaf 0. */
#define CPUID_INTEL_EBX 0x756e6547u /* "Genu" */
#define CPUID_INTEL_EDX 0x49656e69u /* "ineI" */
#define CPUID_INTEL_ECX 0x6c65746eu /* "ntel" */
#define CPUID_AMD_EBX	0x68747541u /* "Auth" */
#define CPUID_AMD_EDX	0x69746e65u /* "enti" */
#define CPUID_AMD_ECX	0x444d4163u /* "cAMD" */
#define CPUID_HYGON_EBX 0x6f677948u /* "Hygo" */

#define CPUID_BASIC	0x0u
#define CPUID_FEATURES	0x1u
#define CPUID_CACHE_TLB 0x2u
#define CPUID_CACHE	0x4u /* Intel */
#define CPUID_POWER	0x6u
#define CPUID_EXTENDED	0x7u
#define CPUID_TOPOLOGY	0xbu
#define CPUID_XSTATE	0xdu

#define CPUID_EXT_MAX	   0x80000000u
#define CPUID_EXT_FEATURES 0x80000001u
#define CPUID_EXT_BRAND	   0x80000002u /* .. 0x80000004 */
#define CPUID_EXT_L1	   0x80000005u /* AMD */
#define CPUID_EXT_L2	   0x80000006u
#define CPUID_EXT_POWER	   0x80000007u
#define CPUID_EXT_ADDRESS  0x80000008u
#define CPUID_EXT_CACHE	   0x8000001du /* AMD */
#define CPUID_EXT_TOPOLOGY 0x8000001eu /* AMD */

/* Leaf 1 */
#define CPUID_1_EAX_FMS	    0x0fff3fffu /* family, model, stepping, type */
#define CPUID_1_ECX_OSXSAVE (1u << 27)
#define CPUID_1_EBX_CLFLUSH (8u << 8) /* 64 bytes, in units of 8 */

/* Leaf 2, AL = 1 and descriptor FF: caches are told by leaf 4. */
#define CPUID_2_SEE_LEAF_4 0x00feff01u

/* Leaf 4 and 0x8000001d, EAX */
#define CPUID_CACHE_DATA    1u
#define CPUID_CACHE_CODE    2u
#define CPUID_CACHE_UNIFIED 3u
#define CPUID_CACHE_INIT    (1u << 8) /* self-initialising */

/* Leaf 0xb, ECX[15:8] */
#define CPUID_LEVEL_SMT	 1u
#define CPUID_LEVEL_CORE 2u

/* Bits of leaf 1 EDX that AMD repeats in 0x80000001 EDX (APM 3, E.4.2). */
#define CPUID_AMD_EDX_COMMON 0x0183f3ffu

/* Hypervisor leaves, KVM's */
#define CPUID_HV_BASE		       0x40000000u
#define CPUID_HV_FEATURES	       0x40000001u
#define CPUID_HV_TIMING		       0x40000010u /* EAX: TSC kHz, EBX: APIC bus kHz */
#define CPUID_HV_LAST		       0x4fffffffu
#define CPUID_KVM_EBX		       0x4b4d564bu /* "KVMK" */
#define CPUID_KVM_ECX		       0x564b4d56u /* "VMKV" */
#define CPUID_KVM_EDX		       0x0000004du /* "M" */
#define KVM_FEATURE_CLOCKSOURCE2       (1u << 3)
#define KVM_FEATURE_CLOCKSOURCE_STABLE (1u << 24)

/* XSAVE area (SDM 1, 13.4) */
#define XSAVE_LEGACY_SIZE 576u /* FXSAVE region and header */
#define XSAVE_AVX_SIZE	  256u

#endif
