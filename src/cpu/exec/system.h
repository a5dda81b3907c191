/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system: checks shared by the privileged bodies.
 *
 * Context: vcpu.
 */
#ifndef CPU_EXEC_SYSTEM_H
#define CPU_EXEC_SYSTEM_H

#include "cpu/cpu.h"

/* IOPL and the TSS's I/O permission bitmap (SDM 1 19.5); raises #GP(0). */
void io_check(struct cpu *c, u16 port, unsigned size);

/* Control registers as MOV CRn does, without the mode checks of the instruction. Raises #GP(0). */
void cr0_write(struct cpu *c, u64 v);
void cr3_write(struct cpu *c, u64 v);
void cr4_write(struct cpu *c, u64 v);

/* PAE: reads the four PDPTEs named by cr3 (SDM 3A 4.4.1). false: a reserved bit is set. */
bool pdpte_load(struct cpu *c, u64 cr3);

/* RDMSR / WRMSR: 0, or -1 for #GP(0). */
int msr_read(struct cpu *c, u32 msr, u64 *v);
int msr_write(struct cpu *c, u32 msr, u64 v);

/* Features CR4 may show under this model. */
u64 cr4_allowed(const struct cpu_model *model);

/* After DR7 changed: breakpoints armed or not. */
void debug_update(struct cpu *c);

#endif
