/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map: where the loader puts its own things in guest memory, and what they may not touch.
 *
 * Everything below 640 KiB is free again once the kernel runs; the ACPI region at the top of low
 * RAM is kept by its e820 type, the BIOS area by being reserved.
 */
#ifndef BOOT_MAP_H
#define BOOT_MAP_H

#include "board/layout.h"

#define MAP_BDA		0x400u
#define MAP_PARAMS	0x10000u /* boot_params, or PVH's hvm_start_info page */
#define MAP_SETUP_DATA	0x11000u
#define MAP_GDT		0x12000u
#define MAP_TSS		0x12800u
#define MAP_PAGE_TABLES 0x13000u /* PML4, PDPT, 4 page directories */
#define MAP_CMDLINE	0x20000u
#define MAP_CMDLINE_MAX 0x10000u /* bytes, terminator included */
#define MAP_KERNEL_MIN	0x100000u

/* The BIOS area. */
#define MAP_RSDP	  (LAYOUT_BIOS_TABLES + 0x000u)
#define MAP_SMBIOS3	  (LAYOUT_BIOS_TABLES + 0x040u)
#define MAP_SMBIOS2	  (LAYOUT_BIOS_TABLES + 0x060u)
#define MAP_SMBIOS_TABLES (LAYOUT_BIOS_TABLES + 0x100u)
#define MAP_SMBIOS_SIZE	  0x1000u
#define MAP_RESET_VECTOR  0xffff0u /* f000:fff0 */

/* The top of low RAM: tables (ACPI data), then one page of NVS holding the FACS. */
#define MAP_ACPI_DATA_SIZE 0x1f000u
#define MAP_ACPI_NVS_SIZE  0x1000u
#define MAP_ACPI_SIZE	   (MAP_ACPI_DATA_SIZE + MAP_ACPI_NVS_SIZE)

/* The least RAM a machine can have: everything above, and something to run. */
#define MAP_RAM_MIN 0x1000000ull

#endif
