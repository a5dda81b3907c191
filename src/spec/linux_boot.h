/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_boot: the Linux x86 boot protocol: setup header, boot_params ("zero page"), setup_data.
 *
 * Source: Linux Documentation/arch/x86/boot.rst and zero-page.rst (protocol 2.06 .. 2.15).
 */
#ifndef SPEC_LINUX_BOOT_H
#define SPEC_LINUX_BOOT_H

#include "lib/types.h"

#define LINUX_SETUP_OFFSET   0x1f1u	 /* of the setup header, in the file and in boot_params */
#define LINUX_HEADER_MAGIC   0x53726448u /* "HdrS" */
#define LINUX_BOOT_FLAG	     0xaa55u
#define LINUX_SECTOR	     512u
#define LINUX_PROTOCOL_MIN   0x0206u   /* cmdline_size */
#define LINUX_PROTOCOL_PREF  0x020au   /* pref_address, init_size */
#define LINUX_PROTOCOL_XLF   0x020cu   /* xloadflags */
#define LINUX_LOAD_HIGH	     0x100000u /* where a bzImage goes that cannot be relocated */
#define LINUX_ENTRY64_OFFSET 0x200u    /* from the protected-mode code's start */
#define LINUX_LOADER_UNKNOWN 0xffu
#define LINUX_VIDEO_NORMAL   0xffffu

/* loadflags */
#define LINUX_LOADED_HIGH  0x01u
#define LINUX_CAN_USE_HEAP 0x80u

/* xloadflags */
#define XLF_KERNEL_64		   0x0001u
#define XLF_CAN_BE_LOADED_ABOVE_4G 0x0002u

/* e820 types (also ACPI 6.x, 15: system address map) */
#define E820_RAM      1u
#define E820_RESERVED 2u
#define E820_ACPI     3u
#define E820_NVS      4u
#define E820_MAX      128u /* entries boot_params holds */

/* setup_data.type */
#define LINUX_SETUP_RNG_SEED 9u

/* GDT selectors of the 64-bit entry */
#define LINUX_BOOT_CS 0x10u
#define LINUX_BOOT_DS 0x18u

struct linux_setup_header {
	u8 setup_sects;
	le16 root_flags;
	le32 syssize;
	le16 ram_size;
	le16 vid_mode;
	le16 root_dev;
	le16 boot_flag;
	u8 jump;	/* 0xeb */
	u8 jump_offset; /* the header ends at 0x202 + this */
	le32 header;
	le16 version;
	le32 realmode_swtch;
	le16 start_sys_seg;
	le16 kernel_version;
	u8 type_of_loader;
	u8 loadflags;
	le16 setup_move_size;
	le32 code32_start;
	le32 ramdisk_image;
	le32 ramdisk_size;
	le32 bootsect_kludge;
	le16 heap_end_ptr;
	u8 ext_loader_ver;
	u8 ext_loader_type;
	le32 cmd_line_ptr;
	le32 initrd_addr_max;
	le32 kernel_alignment;
	u8 relocatable_kernel;
	u8 min_alignment;
	le16 xloadflags;
	le32 cmdline_size;
	le32 hardware_subarch;
	le64 hardware_subarch_data;
	le32 payload_offset;
	le32 payload_length;
	le64 setup_data;
	le64 pref_address;
	le32 init_size;
	le32 handover_offset;
	le32 kernel_info_offset;
} packed_struct;

struct linux_e820_entry {
	le64 addr;
	le64 size;
	le32 type;
} packed_struct;

struct linux_boot_params {
	u8 screen_info[0x40];
	u8 apm_bios_info[0x14];
	u8 pad054[4];
	le64 tboot_addr;
	u8 ist_info[0x10];
	le64 acpi_rsdp_addr; /* protocol 2.14 */
	u8 pad078[0x48];
	le32 ext_ramdisk_image;
	le32 ext_ramdisk_size;
	le32 ext_cmd_line_ptr;
	u8 pad0cc[0x1e8 - 0xcc];
	u8 e820_entries;
	u8 eddbuf_entries;
	u8 edd_mbr_sig_buf_entries;
	u8 kbd_status;
	u8 secure_boot;
	u8 pad1ed[2];
	u8 sentinel;
	u8 pad1f0;
	struct linux_setup_header hdr;
	u8 pad26c[0x2d0 - 0x26c];
	struct linux_e820_entry e820_table[E820_MAX];
	u8 padcd0[0x1000 - 0xcd0];
} packed_struct;

struct linux_setup_data {
	le64 next;
	le32 type;
	le32 len;
	u8 data[32];
} packed_struct;

_Static_assert(offsetof(struct linux_boot_params, acpi_rsdp_addr) == 0x070, "zero-page.rst");
_Static_assert(offsetof(struct linux_boot_params, ext_ramdisk_image) == 0x0c0, "zero-page.rst");
_Static_assert(offsetof(struct linux_boot_params, e820_entries) == 0x1e8, "zero-page.rst");
_Static_assert(offsetof(struct linux_boot_params, hdr) == LINUX_SETUP_OFFSET, "zero-page.rst");
_Static_assert(offsetof(struct linux_boot_params, hdr.header) == 0x202, "boot.rst");
_Static_assert(offsetof(struct linux_boot_params, hdr.cmdline_size) == 0x238, "boot.rst");
_Static_assert(offsetof(struct linux_boot_params, hdr.pref_address) == 0x258, "boot.rst");
_Static_assert(offsetof(struct linux_boot_params, e820_table) == 0x2d0, "zero-page.rst");
_Static_assert(sizeof(struct linux_boot_params) == 4096, "zero-page.rst");

#endif
