/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvh: the PVH direct-boot ABI: how an ELF kernel says it can be entered, and what it is given.
 *
 * Source: Xen docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h (version 1).
 */
#ifndef SPEC_PVH_H
#define SPEC_PVH_H

#include "lib/types.h"

#define PVH_NOTE_NAME	 "Xen"
#define PVH_PHYS32_ENTRY 18u /* XEN_ELFNOTE_PHYS32_ENTRY */

#define PVH_START_MAGIC	  0x336ec578u
#define PVH_START_VERSION 1u

struct hvm_start_info {
	le32 magic;
	le32 version;
	le32 flags;
	le32 nr_modules;
	le64 modlist_paddr;
	le64 cmdline_paddr;
	le64 rsdp_paddr;
	le64 memmap_paddr; /* version 1 */
	le32 memmap_entries;
	le32 reserved;
} packed_struct;

struct hvm_modlist_entry {
	le64 paddr;
	le64 size;
	le64 cmdline_paddr;
	le64 reserved;
} packed_struct;

struct hvm_memmap_entry {
	le64 addr;
	le64 size;
	le32 type; /* as e820 */
	le32 reserved;
} packed_struct;

_Static_assert(sizeof(struct hvm_start_info) == 56, "start_info.h");
_Static_assert(sizeof(struct hvm_modlist_entry) == 32, "start_info.h");
_Static_assert(sizeof(struct hvm_memmap_entry) == 24, "start_info.h");

#endif
