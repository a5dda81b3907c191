/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smbios: entry points and the structures a machine must have.
 *
 * Source: DMTF DSP0134 3.3: 5.2 (entry points), 6 (structures), 7 (types), annex A (required ones).
 */
#ifndef SPEC_SMBIOS_H
#define SPEC_SMBIOS_H

#include "lib/types.h"

struct smbios_entry2 {
	u8 anchor[4]; /* "_SM_" */
	u8 checksum;
	u8 length;
	u8 major, minor;
	le16 max_size;
	u8 revision;
	u8 formatted[5];
	u8 anchor2[5]; /* "_DMI_" */
	u8 checksum2;
	le16 table_length;
	le32 table_address;
	le16 count;
	u8 bcd_revision;
} packed_struct;

struct smbios_entry3 {
	u8 anchor[5]; /* "_SM3_" */
	u8 checksum;
	u8 length;
	u8 major, minor, docrev;
	u8 revision;
	u8 reserved;
	le32 max_size;
	le64 table_address;
} packed_struct;

struct smbios_header {
	u8 type;
	u8 length;
	le16 handle;
} packed_struct;

/* 7.1 */
struct smbios_bios {
	struct smbios_header h;
	u8 vendor, version;
	le16 segment;
	u8 date;
	u8 rom_size;
	le64 characteristics;
	u8 ext[2];
	u8 major, minor, ec_major, ec_minor;
	le16 ext_rom_size;
} packed_struct;

#define SMBIOS_BIOS_UNSUPPORTED (1ull << 3) /* characteristics are not told */
#define SMBIOS_EXT_ACPI		0x01	    /* ext[0] */
#define SMBIOS_EXT_VM		0x10	    /* ext[1]: a virtual machine */
#define SMBIOS_EXT_TARGETED	0x04	    /* ext[1] */

/* 7.2 */
struct smbios_system {
	struct smbios_header h;
	u8 manufacturer, product, version, serial;
	u8 uuid[16];
	u8 wakeup;
	u8 sku, family;
} packed_struct;

/* 7.4 */
struct smbios_chassis {
	struct smbios_header h;
	u8 manufacturer, type, version, serial, asset;
	u8 bootup, power, thermal, security;
	le32 oem;
	u8 height, cords, contained, contained_length, sku;
} packed_struct;

/* 7.5 */
struct smbios_processor {
	struct smbios_header h;
	u8 socket, type, family, manufacturer;
	u8 id[8];
	u8 version, voltage;
	le16 clock, max_speed, speed;
	u8 status, upgrade;
	le16 l1, l2, l3;
	u8 serial, asset, part;
	u8 cores, cores_enabled, threads;
	le16 characteristics;
	le16 family2;
	le16 cores2, cores_enabled2, threads2;
} packed_struct;

/* 7.17 */
struct smbios_array {
	struct smbios_header h;
	u8 location, use, correction;
	le32 capacity; /* KiB, 0x80000000 = see extended */
	le16 error_handle;
	le16 devices;
	le64 ext_capacity; /* bytes */
} packed_struct;

/* 7.18 */
struct smbios_memory {
	struct smbios_header h;
	le16 array, error_handle, total_width, data_width, size;
	u8 form, set, locator, bank, type;
	le16 detail, speed;
	u8 manufacturer, serial, asset, part, attributes;
	le32 ext_size; /* MiB */
	le16 configured_speed, min_voltage, max_voltage, voltage;
} packed_struct;

/* 7.20 */
struct smbios_range {
	struct smbios_header h;
	le32 start, end; /* KiB; all ones = see extended */
	le16 array;
	u8 width;
	le64 ext_start, ext_end;
} packed_struct;

/* 7.33 */
struct smbios_bootinfo {
	struct smbios_header h;
	u8 reserved[6];
	u8 status;
} packed_struct;

_Static_assert(sizeof(struct smbios_entry2) == 0x1f, "5.2.1");
_Static_assert(sizeof(struct smbios_entry3) == 0x18, "5.2.2");
_Static_assert(sizeof(struct smbios_bios) == 0x1a, "7.1");
_Static_assert(sizeof(struct smbios_system) == 0x1b, "7.2");
_Static_assert(sizeof(struct smbios_chassis) == 0x16, "7.4");
_Static_assert(sizeof(struct smbios_processor) == 0x30, "7.5");
_Static_assert(sizeof(struct smbios_array) == 0x17, "7.17");
_Static_assert(sizeof(struct smbios_memory) == 0x28, "7.18");
_Static_assert(sizeof(struct smbios_range) == 0x1f, "7.20");
_Static_assert(sizeof(struct smbios_bootinfo) == 0x0b, "7.33");

#endif
