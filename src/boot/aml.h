/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aml: a small writer of ACPI machine language into a fixed buffer.
 *
 * Calls come in source order, as ASL would be typed. Every aml_scope .. aml_package has its
 * aml_end. Too little room or nesting too deep sets `overflow` and nothing more is written; the
 * caller asks once, at the end. Strings are ours, not a guest's.
 *
 * Entered by: dsdt.c. Source: ACPI 6.4, 20.2 and 6.4. Context: any.
 */
#ifndef BOOT_AML_H
#define BOOT_AML_H

#include "lib/types.h"

#define AML_DEPTH 12

struct aml {
	u8 *buf;
	u32 cap;
	u32 len;
	u32 open[AML_DEPTH]; /* where each open object's content begins */
	unsigned depth;
	bool overflow;
};

void aml_init(struct aml *a, u8 *buf, u32 cap);

/* Names: "\\_SB", "PCI0", "\\_SB.PCI0"; short segments are padded with '_'. */
void aml_path(struct aml *a, const char *path);
void aml_op(struct aml *a, u8 op);

/* Objects with content, closed by aml_end(). */
void aml_scope(struct aml *a, const char *path);
void aml_device(struct aml *a, const char *name);
void aml_method(struct aml *a, const char *name, unsigned args, bool serialized);
void aml_package(struct aml *a, u8 count);
void aml_if(struct aml *a);
void aml_else(struct aml *a);
void aml_end(struct aml *a);

/* Name(path, ...): one value follows. */
void aml_name(struct aml *a, const char *path);
void aml_int(struct aml *a, u64 value);
void aml_string(struct aml *a, const char *text);
/* "PNP0A08" as a compressed id, longer ids ("ACPI0007") as a string. */
void aml_hid(struct aml *a, const char *hid);
void aml_buffer(struct aml *a, const u8 *data, u32 len);

/* A ResourceTemplate() value: aml_resources, descriptors, aml_resources_end. */
void aml_resources(struct aml *a);
void aml_resources_end(struct aml *a);
void aml_res_io(struct aml *a, u16 base, u8 len);
void aml_res_irq(struct aml *a, unsigned irq); /* edge, active high, exclusive */
void aml_res_mem32(struct aml *a, u32 base, u32 len);
/* Windows a bridge hands down: first and last address. */
void aml_res_bus(struct aml *a, u16 first, u16 last);
void aml_res_io_window(struct aml *a, u16 first, u16 last);
void aml_res_mem32_window(struct aml *a, u32 first, u32 last);
void aml_res_mem64_window(struct aml *a, u64 first, u64 last);

#endif
