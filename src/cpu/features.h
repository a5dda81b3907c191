/* SPDX-License-Identifier: Apache-2.0 */
/*
 * features: the CPUID features by number: bits of cpu_model.features, and the system ones beside.
 *
 * Entered by: the decoder (which opcode exists), the CPU model, whoever prints a feature's name.
 * Freestanding; numbers only.
 */
#ifndef CPU_FEATURES_H
#define CPU_FEATURES_H

#include "lib/types.h"

/* Instruction-set features: bit numbers in cpu_model.features. */
enum cpu_feature {
#define F(name, leaf, subleaf, reg, bit) CPU_FEAT_##name,
#include "cpu/features.def"
	CPU_FEAT_COUNT
};

/* System features: known only by their CPUID bit. */
enum cpu_system_feature {
#define S(name, leaf, subleaf, reg, bit) CPU_SYS_##name,
#include "cpu/features.def"
	CPU_SYS_COUNT
};

#define CPU_FEAT_BIT(name) (1ull << CPU_FEAT_##name)
#define CPU_SYS_BIT(name)  (1ull << CPU_SYS_##name)

_Static_assert(CPU_FEAT_COUNT <= 64, "cpu_model.features is one u64");
_Static_assert(CPU_SYS_COUNT <= 64, "a system feature set is one u64");

#endif
