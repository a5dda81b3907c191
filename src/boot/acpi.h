/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acpi: all ACPI tables of the machine, built into memory of the caller.
 *
 * What is frozen comes from board/layout.h, what is not from the devices' descriptions. The tables
 * are placed at `base` (ACPI data), the FACS alone at `facs_gpa` (NVS), the RSDP in the BIOS area.
 *
 * Entered by: boot.c, once per build. Context: any.
 */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include "board/device.h"
#include "boot/aml.h"
#include "spec/acpi.h"

#define ACPI_TABLES_MAX 8

struct acpi_input {
	u64 base;
	u64 facs_gpa;
	unsigned cpus;
	const struct device_desc *descs;
	unsigned desc_count;
};

struct acpi_output {
	u8 *data; /* cap bytes, belonging at input.base */
	u32 cap;
	u32 len;
	struct acpi_facs facs;
	struct acpi_rsdp rsdp;
};

/* 0, or -ENOSPC when cap is too small. ACPI 6.4, 5.2. */
int acpi_build(const struct acpi_input *in, struct acpi_output *out);

/* dsdt.c: the definition block after the header. */
void dsdt_write(struct aml *a, const struct acpi_input *in);

/* The description with this hid, or NULL. */
const struct device_desc *acpi_find_desc(const struct acpi_input *in, const char *hid);

#endif
