/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry: the CPU modes a kernel is entered in, and the tables in guest memory they need.
 *
 * Entered by: linux.c, pvh.c, boot.c. Source: SDM 3A chapters 3, 4 and 9; boot.rst; Xen's pvh.
 */
#ifndef BOOT_ENTRY_H
#define BOOT_ENTRY_H

#include "board/ram.h"
#include "cpu/state.h"

/* GDT at MAP_GDT for entry_set_protected_mode. -EFAULT. */
int entry_load_gdt32(struct ram *ram);

/* The same for entry_set_long_mode, and page tables at MAP_PAGE_TABLES (identity, 4 GiB, 2 MiB
 * pages). -EFAULT. */
int entry_load_tables64(struct ram *ram);

/* On top of reset values: everything but rip and the general registers. */
void entry_set_long_mode(struct cpu_state *s);
void entry_set_protected_mode(struct cpu_state *s);

/* MTRRs as firmware leaves them on every CPU: write-back, uncached where devices are. */
void entry_set_mtrrs(struct cpu_state *s);

/* The boot CPU's local APIC in virtual wire mode (MP Specification 1.4, 3.6.2.2): the PIC reaches
 * it before, or without, an I/O APIC driver. */
void entry_set_virtual_wire(struct cpu_state *s);

#endif
