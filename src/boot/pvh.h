/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvh: an ELF kernel by the PVH direct-boot ABI, entered in 32-bit protected mode.
 *
 * Entered by: payload.c (check), boot.c (load). Source: Xen docs/misc/pvh.pandoc, start_info.h.
 */
#ifndef BOOT_PVH_H
#define BOOT_PVH_H

#include "boot/linux.h"

/* An x86 ELF, 64- or 32-bit, with XEN_ELFNOTE_PHYS32_ENTRY, not truncated; -ENOEXEC with the
 * sentence. */
int pvh_check(const struct payload_file *file, struct kernel_image *out);

/* As linux_load(). */
int pvh_load(const struct boot_load *load, struct ram *ram, struct cpu_state *bsp);

#endif
