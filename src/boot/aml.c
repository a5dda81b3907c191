/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aml: a small writer of ACPI machine language.
 *
 * An object's length stands before its content and has a variable size, so content is written
 * first and moved up when the object is closed. Tables are small; the copies do not matter.
 */
#include "boot/aml.h"

#include <string.h>

#include "lib/bits.h"
#include "spec/acpi.h"

/* ---- bytes ------------------------------------------------------------------------------- */

static void aml_bytes(struct aml *a, const void *data, u32 len)
{
	if (a->overflow || len > a->cap - a->len) {
		a->overflow = true;
		return;
	}
	memcpy(a->buf + a->len, data, len);
	a->len += len;
}

static void aml_insert(struct aml *a, u32 at, const u8 *data, u32 len)
{
	if (a->overflow || len > a->cap - a->len) {
		a->overflow = true;
		return;
	}
	memmove(a->buf + at + len, a->buf + at, a->len - at);
	memcpy(a->buf + at, data, len);
	a->len += len;
}

static void aml_u16(struct aml *a, u16 v)
{
	aml_bytes(a, &v, sizeof(v));
}

static void aml_u32(struct aml *a, u32 v)
{
	aml_bytes(a, &v, sizeof(v));
}

static void aml_u64(struct aml *a, u64 v)
{
	aml_bytes(a, &v, sizeof(v));
}

void aml_op(struct aml *a, u8 op)
{
	aml_bytes(a, &op, 1);
}

void aml_init(struct aml *a, u8 *buf, u32 cap)
{
	memset(a, 0, sizeof(*a));
	a->buf = buf;
	a->cap = cap;
}

/* ---- names and constants (20.2.2, 20.2.3) ------------------------------------------------ */

void aml_path(struct aml *a, const char *path)
{
	unsigned segs = 1;

	if (*path == '\\') {
		aml_op(a, '\\');
		path++;
	}
	if (!*path) {
		aml_op(a, AML_ZERO); /* NullName: the root itself */
		return;
	}
	for (const char *p = path; *p; p++)
		segs += *p == '.';
	if (segs == 2)
		aml_op(a, AML_DUAL_NAME);
	if (segs > 2) {
		aml_op(a, AML_MULTI_NAME);
		aml_op(a, (u8)segs);
	}
	while (*path) {
		char seg[4] = {'_', '_', '_', '_'};

		for (unsigned i = 0; i < 4 && *path && *path != '.'; i++)
			seg[i] = *path++;
		aml_bytes(a, seg, sizeof(seg));
		if (*path == '.')
			path++;
	}
}

/* The shortest encoding, as a compiler would choose; returns its size. */
static u32 aml_encode_int(u8 *out, u64 value)
{
	if (value <= 1) {
		out[0] = (u8)value;
		return 1;
	}
	if (value <= 0xff) {
		out[0] = AML_BYTE;
		st8(out + 1, (u8)value);
		return 2;
	}
	if (value <= 0xffff) {
		out[0] = AML_WORD;
		st16(out + 1, (u16)value);
		return 3;
	}
	if (value <= 0xffffffff) {
		out[0] = AML_DWORD;
		st32(out + 1, (u32)value);
		return 5;
	}
	out[0] = AML_QWORD;
	st64(out + 1, value);
	return 9;
}

void aml_int(struct aml *a, u64 value)
{
	u8 enc[9];

	aml_bytes(a, enc, aml_encode_int(enc, value));
}

void aml_string(struct aml *a, const char *text)
{
	aml_op(a, AML_STRING);
	aml_bytes(a, text, (u32)strlen(text) + 1);
}

static u32 aml_hex(char c)
{
	return (u32)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) & 0xf;
}

/* 6.1.5: three letters of 5 bits, four hex digits, big-endian. */
void aml_hid(struct aml *a, const char *hid)
{
	u32 id = 0;

	if (strlen(hid) != 7) {
		aml_string(a, hid);
		return;
	}
	for (unsigned i = 0; i < 3; i++)
		id = id << 5 | ((u32)hid[i] & 0x1f);
	for (unsigned i = 3; i < 7; i++)
		id = id << 4 | aml_hex(hid[i]);
	aml_op(a, AML_DWORD);
	aml_u32(a, __builtin_bswap32(id));
}

/* ---- objects (20.2.5) -------------------------------------------------------------------- */

static void aml_open(struct aml *a)
{
	if (a->depth == AML_DEPTH) {
		a->overflow = true;
		return;
	}
	a->open[a->depth++] = a->len;
}

/* PkgLength (20.2.4): counts itself. */
static u32 aml_encode_length(u8 *out, u32 content)
{
	u32 size = content + 1 <= 0x3f	    ? 1
		   : content + 2 <= 0xfff   ? 2
		   : content + 3 <= 0xfffff ? 3
					    : 4;
	u32 total = content + size;

	if (size == 1) {
		out[0] = (u8)total;
		return 1;
	}
	out[0] = (u8)((size - 1) << 6 | (total & 0xf));
	for (u32 i = 1; i < size; i++)
		out[i] = (u8)(total >> (4 + 8 * (i - 1)));
	return size;
}

void aml_end(struct aml *a)
{
	u8 enc[4];
	u32 at;

	if (a->overflow || !a->depth) {
		a->overflow = true;
		return;
	}
	at = a->open[--a->depth];
	aml_insert(a, at, enc, aml_encode_length(enc, a->len - at));
}

void aml_scope(struct aml *a, const char *path)
{
	aml_op(a, AML_SCOPE);
	aml_open(a);
	aml_path(a, path);
}

void aml_device(struct aml *a, const char *name)
{
	aml_op(a, AML_EXT);
	aml_op(a, AML_EXT_DEVICE);
	aml_open(a);
	aml_path(a, name);
}

void aml_method(struct aml *a, const char *name, unsigned args, bool serialized)
{
	aml_op(a, AML_METHOD);
	aml_open(a);
	aml_path(a, name);
	aml_op(a, (u8)(args | (serialized ? AML_SERIALIZED : 0)));
}

void aml_package(struct aml *a, u8 count)
{
	aml_op(a, AML_PACKAGE);
	aml_open(a);
	aml_op(a, count);
}

void aml_if(struct aml *a)
{
	aml_op(a, AML_IF);
	aml_open(a);
}

void aml_else(struct aml *a)
{
	aml_op(a, AML_ELSE);
	aml_open(a);
}

void aml_name(struct aml *a, const char *path)
{
	aml_op(a, AML_NAME);
	aml_path(a, path);
}

void aml_buffer(struct aml *a, const u8 *data, u32 len)
{
	aml_op(a, AML_BUFFER);
	aml_open(a);
	aml_int(a, len);
	aml_bytes(a, data, len);
	aml_end(a);
}

/* ---- resources (6.4) --------------------------------------------------------------------- */

void aml_resources(struct aml *a)
{
	aml_op(a, AML_BUFFER);
	aml_open(a);
}

void aml_resources_end(struct aml *a)
{
	u8 enc[9];
	u32 at;

	aml_op(a, RES_END);
	aml_op(a, 0); /* checksum 0: treated as right */
	if (a->overflow || !a->depth)
		return;
	at = a->open[a->depth - 1];
	aml_insert(a, at, enc, aml_encode_int(enc, a->len - at));
	aml_end(a);
}

void aml_res_io(struct aml *a, u16 base, u8 len)
{
	aml_op(a, RES_IO);
	aml_op(a, 1); /* decodes 16 bits */
	aml_u16(a, base);
	aml_u16(a, base);
	aml_op(a, 1);
	aml_op(a, len);
}

void aml_res_irq(struct aml *a, unsigned irq)
{
	aml_op(a, RES_IRQ_NOFLAGS);
	aml_u16(a, (u16)(1u << irq));
}

void aml_res_mem32(struct aml *a, u32 base, u32 len)
{
	aml_op(a, RES_MEM32_FIXED);
	aml_u16(a, 9);
	aml_op(a, RES_MEM_RW);
	aml_u32(a, base);
	aml_u32(a, len);
}

static void aml_res_word(struct aml *a, u8 type, u8 flags, u16 first, u16 last)
{
	aml_op(a, RES_WORD);
	aml_u16(a, 13);
	aml_op(a, type);
	aml_op(a, RES_FIXED);
	aml_op(a, flags);
	aml_u16(a, 0); /* granularity */
	aml_u16(a, first);
	aml_u16(a, last);
	aml_u16(a, 0); /* translation */
	aml_u16(a, (u16)(last - first + 1));
}

void aml_res_bus(struct aml *a, u16 first, u16 last)
{
	aml_res_word(a, RES_TYPE_BUS, 0, first, last);
}

void aml_res_io_window(struct aml *a, u16 first, u16 last)
{
	aml_res_word(a, RES_TYPE_IO, RES_IO_ENTIRE, first, last);
}

void aml_res_mem32_window(struct aml *a, u32 first, u32 last)
{
	aml_op(a, RES_DWORD);
	aml_u16(a, 23);
	aml_op(a, RES_TYPE_MEM);
	aml_op(a, RES_FIXED);
	aml_op(a, RES_MEM_RW);
	aml_u32(a, 0);
	aml_u32(a, first);
	aml_u32(a, last);
	aml_u32(a, 0);
	aml_u32(a, last - first + 1);
}

void aml_res_mem64_window(struct aml *a, u64 first, u64 last)
{
	aml_op(a, RES_QWORD);
	aml_u16(a, 43);
	aml_op(a, RES_TYPE_MEM);
	aml_op(a, RES_FIXED);
	aml_op(a, RES_MEM_RW | RES_MEM_CACHEABLE);
	aml_u64(a, 0);
	aml_u64(a, first);
	aml_u64(a, last);
	aml_u64(a, 0);
	aml_u64(a, last - first + 1);
}
