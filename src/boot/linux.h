/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux: a bzImage by the Linux boot protocol, entered at its 64-bit or 32-bit entry point.
 *
 * Entered by: payload.c (check), boot.c (load). Source: boot.rst.
 */
#ifndef BOOT_LINUX_H
#define BOOT_LINUX_H

#include "boot/e820.h"
#include "boot/payload.h"
#include "board/ram.h"
#include "cpu/state.h"

/* What every loader puts into guest memory. */
struct boot_load {
	const struct payload_file *kernel;
	const struct kernel_image *image;
	const struct e820 *map;
	const char *cmdline;
	u64 initrd_addr;
	u64 initrd_size; /* 0 = none */
	u64 rsdp_addr;
};

/* Setup header >= 2.06, not truncated, no real-mode program; -ENOEXEC with the sentence. */
int linux_check(const struct payload_file *file, struct kernel_image *out);

/* Kernel, boot_params, GDT and page tables; bsp at the entry point in its mode. The command line
 * and the initrd are in place already. -EFAULT when guest RAM is smaller than was checked. */
int linux_load(const struct boot_load *load, struct ram *ram, struct cpu_state *bsp);

#endif
