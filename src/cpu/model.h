/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: named CPU models: which CPUID leaves and which instructions a guest gets.
 *
 * `v2-1` and `v3-1` are frozen: the exact feature lists never change, so that saved VMs keep
 * working. `host` is what the host's CPUID offers, cut to what the engine does.
 *
 * Freestanding; the host's CPUID is read with the cpuid instruction.
 */
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include "lib/types.h"

struct cpuid_regs {
	u32 eax, ebx, ecx, edx;
};

#define CPU_MODEL_LEAVES 48

struct cpuid_leaf {
	u32 leaf, subleaf;
	bool any_subleaf; /* answer for every subleaf */
	struct cpuid_regs regs;
};

/* Instruction-set features the decoder asks for, one bit each: enum cpu_feature of insn.h. */
struct cpu_model {
	char name[16];
	u64 features; /* bit per enum cpu_feature */
	u64 xcr0;     /* components XSETBV may enable */
	struct cpuid_leaf leaf[CPU_MODEL_LEAVES];
	unsigned leaves;
	u32 tsc_khz;
	u8 maxphyaddr;
};

/* Fills *out for `name` ("v2-1", "v3-1", "host"), cpus vCPUs. 0; -ENOENT unknown name; -ENOTSUP
 * when the host lacks a feature of it, then *missing names the first one. */
int cpu_model_open(struct cpu_model *out, const char *name, unsigned cpus, u32 tsc_khz,
		   const char **missing);

/* What CPUID answers, without the bits that depend on live state (OSXSAVE, APIC id, APIC enable),
 * which the engine patches. Out-of-range leaves follow the vendor's rule. */
struct cpuid_regs cpu_model_cpuid(const struct cpu_model *model, u32 leaf, u32 subleaf);

#endif
