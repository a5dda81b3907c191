/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smbios: types 0, 1, 3, 4, 16, 17, 19, 32 and 127 (DSP0134 annex A asks for these), vendor "Holm".
 *
 * A structure is its fixed part, then its strings, numbered from 1 in the order they are added.
 */
#include "boot/smbios.h"

#include <stdio.h>
#include <string.h>

#include "board/layout.h"
#include "host/fail.h"
#include "lib/bits.h"

#define SMBIOS_MAJOR 3
#define SMBIOS_MINOR 3
#define SMBIOS_NONE  0xfffeu /* no error information */

/* Handles: the structure's type and a number. */
enum {
	SMBIOS_H_BIOS = 0x000,
	SMBIOS_H_SYSTEM = 0x100,
	SMBIOS_H_CHASSIS = 0x300,
	SMBIOS_H_CPU = 0x400,
	SMBIOS_H_ARRAY = 0x1000,
	SMBIOS_H_MEMORY = 0x1100,
	SMBIOS_H_RANGE = 0x1300,
	SMBIOS_H_BOOT = 0x2000,
	SMBIOS_H_END = 0x7f00
};

/* ---- writer ------------------------------------------------------------------------------ */

/* Appends the fixed part and up to three strings (NULL ends them) with the double NUL. */
static void smbios_add(struct smbios *out, void *fixed, u32 len, u8 type, u16 handle,
		       const char *const strings[3])
{
	struct smbios_header *h = fixed;
	u32 start = out->len;
	unsigned n;

	h->type = type;
	h->length = (u8)len;
	h->handle = handle;
	ASSERT(out->len + len + 256 <= sizeof(out->table), "the SMBIOS tables fit their area");
	memcpy(out->table + out->len, fixed, len);
	out->len += len;
	for (n = 0; n < 3 && strings && strings[n]; n++) {
		size_t size = strnlen(strings[n], 64);

		memcpy(out->table + out->len, strings[n], size);
		out->len += (u32)size;
		out->table[out->len++] = 0;
	}
	if (!n)
		out->table[out->len++] = 0;
	out->table[out->len++] = 0;
	out->count++;
	if (out->len - start > out->max_size)
		out->max_size = (u16)(out->len - start);
}

static u8 smbios_sum(const void *data, size_t len)
{
	const u8 *p = data;
	u8 sum = 0;

	while (len--)
		sum = (u8)(sum + *p++);
	return sum;
}

/* ---- structures -------------------------------------------------------------------------- */

static void smbios_add_bios(struct smbios *out)
{
	struct smbios_bios s = {.vendor = 1,
				.version = 2,
				.segment = 0xf000,
				.date = 3,
				.characteristics = SMBIOS_BIOS_UNSUPPORTED,
				.ext = {SMBIOS_EXT_ACPI, SMBIOS_EXT_VM | SMBIOS_EXT_TARGETED},
				.major = 1,
				.ec_major = 0xff,
				.ec_minor = 0xff};
	const char *const str[3] = {"Holm", MACHINE_NAME, "01/01/2026"};

	smbios_add(out, &s, sizeof(s), 0, SMBIOS_H_BIOS, str);
}

/* 7.2.1: the first three fields are little-endian since 2.6. */
static void smbios_set_uuid(u8 to[16], const u8 from[16])
{
	static const u8 order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

	for (unsigned i = 0; i < 16; i++)
		to[i] = from[order[i]];
}

static void smbios_add_system(struct smbios *out, const struct smbios_input *in)
{
	struct smbios_system s = {.manufacturer = 1, .product = 2, .version = 3, .wakeup = 6};
	const char *const str[3] = {"Holm", "Virtual Machine", MACHINE_NAME};

	smbios_set_uuid(s.uuid, in->uuid);
	smbios_add(out, &s, sizeof(s), 1, SMBIOS_H_SYSTEM, str);
}

static void smbios_add_chassis(struct smbios *out)
{
	struct smbios_chassis s = {.manufacturer = 1, /* type: other; states: safe */
				   .type = 1,
				   .version = 2,
				   .bootup = 3,
				   .power = 3,
				   .thermal = 3,
				   .security = 2};
	const char *const str[3] = {"Holm", MACHINE_NAME};

	smbios_add(out, &s, sizeof(s), 3, SMBIOS_H_CHASSIS, str);
}

static void smbios_add_cpu(struct smbios *out, const struct smbios_input *in)
{
	u8 cores = in->cpus > 255 ? 255 : (u8)in->cpus;
	struct smbios_processor s = {.socket = 1,
				     .type = 3,	  /* central processor */
				     .family = 1, /* other */
				     .manufacturer = 2,
				     .version = 3,
				     .status = 0x41, /* populated, enabled */
				     .upgrade = 1,
				     .l1 = 0xffff,
				     .l2 = 0xffff,
				     .l3 = 0xffff,
				     .cores = cores,
				     .cores_enabled = cores,
				     .threads = cores,
				     .characteristics = 0x0c, /* 64-bit, multi-core */
				     .family2 = 1,
				     .cores2 = (u16)in->cpus,
				     .cores_enabled2 = (u16)in->cpus,
				     .threads2 = (u16)in->cpus};
	const char *const str[3] = {"CPU 0", "Holm", in->model && *in->model ? in->model : "vCPU"};

	smbios_add(out, &s, sizeof(s), 4, SMBIOS_H_CPU, str);
}

static void smbios_add_memory(struct smbios *out, const struct smbios_input *in)
{
	u64 mib = (in->ram + 0xfffff) >> 20, kib = in->ram >> 10;
	struct smbios_array a = {.location = 1,
				 .use = 3,
				 .correction = 6,
				 .capacity = kib < 0x80000000ull ? (u32)kib : 0x80000000u,
				 .error_handle = SMBIOS_NONE,
				 .devices = 1};
	struct smbios_memory m = {.array = SMBIOS_H_ARRAY,
				  .error_handle = SMBIOS_NONE,
				  .total_width = 0xffff,
				  .data_width = 0xffff,
				  .size = mib < 0x7fff ? (u16)mib : 0x7fff,
				  .form = 9, /* DIMM */
				  .locator = 1,
				  .manufacturer = 2,
				  .type = 7, /* RAM */
				  .detail = 2};
	const char *const str[3] = {"DIMM 0", "Holm"};

	if (a.capacity == 0x80000000u)
		a.ext_capacity = in->ram;
	if (m.size == 0x7fff)
		m.ext_size = (u32)mib;
	smbios_add(out, &a, sizeof(a), 16, SMBIOS_H_ARRAY, NULL);
	smbios_add(out, &m, sizeof(m), 17, SMBIOS_H_MEMORY, str);
}

static void smbios_add_range(struct smbios *out, u16 nth, u64 first, u64 end)
{
	struct smbios_range r = {.array = SMBIOS_H_ARRAY, .width = 1};

	if (end <= first)
		return;
	if ((end - 1) >> 10 < 0xffffffffull) {
		r.start = (u32)(first >> 10);
		r.end = (u32)((end - 1) >> 10);
	} else {
		r.start = r.end = 0xffffffff;
		r.ext_start = first;
		r.ext_end = end - 1;
	}
	smbios_add(out, &r, sizeof(r), 19, (u16)(SMBIOS_H_RANGE + nth), NULL);
}

/* ---- build ------------------------------------------------------------------------------- */

static void smbios_set_entries(struct smbios *out, const struct smbios_input *in)
{
	struct smbios_entry2 *e2 = &out->entry2;
	struct smbios_entry3 *e3 = &out->entry3;

	memcpy(e2->anchor, "_SM_", 4);
	e2->length = sizeof(*e2);
	e2->major = SMBIOS_MAJOR;
	e2->minor = SMBIOS_MINOR;
	e2->max_size = out->max_size;
	memcpy(e2->anchor2, "_DMI_", 5);
	e2->table_length = (u16)out->len;
	e2->table_address = (u32)in->table_gpa;
	e2->count = out->count;
	e2->bcd_revision = SMBIOS_MAJOR << 4 | SMBIOS_MINOR;
	e2->checksum2 =
		(u8)-smbios_sum(e2->anchor2, sizeof(*e2) - offsetof(struct smbios_entry2, anchor2));
	e2->checksum = (u8)-smbios_sum(e2, sizeof(*e2));

	memcpy(e3->anchor, "_SM3_", 5);
	e3->length = sizeof(*e3);
	e3->major = SMBIOS_MAJOR;
	e3->minor = SMBIOS_MINOR;
	e3->revision = 1;
	e3->max_size = out->len;
	e3->table_address = in->table_gpa;
	e3->checksum = (u8)-smbios_sum(e3, sizeof(*e3));
}

void smbios_build(const struct smbios_input *in, struct smbios *out)
{
	u64 low = min_u64(in->ram, LAYOUT_LOW_RAM_MAX);
	struct smbios_bootinfo boot = {.status = 0};
	struct smbios_header end;

	memset(out, 0, sizeof(*out));
	smbios_add_bios(out);
	smbios_add_system(out, in);
	smbios_add_chassis(out);
	smbios_add_cpu(out, in);
	smbios_add_memory(out, in);
	smbios_add_range(out, 0, 0, low);
	smbios_add_range(out, 1, LAYOUT_HIGH_RAM, LAYOUT_HIGH_RAM + (in->ram - low));
	smbios_add(out, &boot, sizeof(boot), 32, SMBIOS_H_BOOT, NULL);
	smbios_add(out, &end, sizeof(end), 127, SMBIOS_H_END, NULL);
	smbios_set_entries(out, in);
}
