/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e820: the guest's memory map as firmware would tell it.
 *
 * Entered by: boot.c, once per build. Pure arithmetic on the RAM size and the frozen layout.
 */
#ifndef BOOT_E820_H
#define BOOT_E820_H

#include "lib/types.h"

#define E820_ENTRIES 16

struct e820_entry {
	u64 base;
	u64 size;
	u32 type; /* E820_* of spec/linux_boot.h */
};

struct e820 {
	struct e820_entry entry[E820_ENTRIES]; /* sorted, never overlapping */
	unsigned count;
};

/* First byte after low RAM for `ram` bytes in all. */
u64 e820_low_top(u64 ram);

/* Where the ACPI data region begins: the end of what a kernel or initrd may use below 4 GiB. */
u64 e820_usable_top(u64 ram);

/* ram: bytes, page aligned, MAP_RAM_MIN .. LAYOUT_RAM_MAX. ACPI 6.x, 15.1. Context: any. */
void e820_build(struct e820 *map, u64 ram);

#endif
