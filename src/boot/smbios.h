/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smbios: the tables dmidecode shows, with both the 2.1 and the 3.0 entry point.
 *
 * Entered by: boot.c, once per build. Source: DSP0134 3.3. Context: any.
 */
#ifndef BOOT_SMBIOS_H
#define BOOT_SMBIOS_H

#include "lib/types.h"
#include "spec/smbios.h"

#define SMBIOS_TABLE_MAX 2048

struct smbios_input {
	u64 table_gpa; /* below 4 GiB */
	u64 ram;
	unsigned cpus;
	const char *model; /* may be NULL */
	const u8 *uuid;	   /* 16 bytes, all zero = none; big-endian text order */
};

struct smbios {
	struct smbios_entry2 entry2;
	struct smbios_entry3 entry3;
	u8 table[SMBIOS_TABLE_MAX];
	u32 len;
	u16 count;
	u16 max_size;
};

void smbios_build(const struct smbios_input *in, struct smbios *out);

#endif
