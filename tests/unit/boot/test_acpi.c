/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_acpi: the tables walk and sum up, and iasl reads the DSDT and compiles it back unchanged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "board/layout.h"
#include "boot/acpi.h"
#include "boot/map.h"
#include "host/fail.h"
#include "lib/bits.h"

#define BASE 0x7ffe0000ull

static const struct device_desc descs[] = {
	{"PNP0501", 1, {{BOARD_RES_PIO, 0x3f8, 8}, {BOARD_RES_IRQ, 4, 1}}, 2},
	{"PNP0501", 2, {{BOARD_RES_PIO, 0x2f8, 8}, {BOARD_RES_IRQ, 3, 1}}, 2},
	{"PNP0B00", 0, {{BOARD_RES_PIO, 0x70, 2}, {BOARD_RES_IRQ, 8, 1}}, 2},
	{"PNP0100", 0, {{BOARD_RES_PIO, 0x40, 4}, {BOARD_RES_IRQ, 0, 1}}, 2},
	{"PNP0303",
	 0,
	 {{BOARD_RES_PIO, 0x60, 1}, {BOARD_RES_PIO, 0x64, 1}, {BOARD_RES_IRQ, 1, 1}},
	 3},
	{"PNP0F13", 0, {{BOARD_RES_IRQ, 12, 1}}, 1},
	{"QEMU0002", 0, {{BOARD_RES_PIO, 0x510, 12}}, 1},
	{"QEMU0001", 0, {{BOARD_RES_PIO, 0x505, 1}}, 1},
	{"PNP0103", 0, {{BOARD_RES_MMIO, LAYOUT_HPET, 0x400}}, 1},
	{"HOLM0001", 0, {{BOARD_RES_PIO, 0x501, 2}}, 1},
};

static u8 buffer[MAP_ACPI_DATA_SIZE];

static struct acpi_output build(unsigned cpus, unsigned n)
{
	struct acpi_input in = {.base = BASE,
				.facs_gpa = BASE + MAP_ACPI_DATA_SIZE,
				.cpus = cpus,
				.descs = descs,
				.desc_count = n};
	struct acpi_output out = {.data = buffer, .cap = sizeof(buffer)};

	memset(buffer, 0, sizeof(buffer));
	assert_int_equal(acpi_build(&in, &out), 0);
	return out;
}

static u8 sum(const void *p, size_t len)
{
	const u8 *b = p;
	u8 s = 0;

	while (len--)
		s = (u8)(s + *b++);
	return s;
}

/* The table at a guest address, its checksum verified. */
static const struct acpi_header *table(u64 gpa)
{
	const struct acpi_header *h;

	assert_in_range(gpa, BASE, BASE + sizeof(buffer) - sizeof(*h));
	h = (const void *)(buffer + (gpa - BASE));
	assert_true(h->length >= sizeof(*h) && gpa - BASE + h->length <= sizeof(buffer));
	assert_int_equal(sum(h, h->length), 0);
	assert_memory_equal(h->oem_id, "HOLM  ", 6);
	return h;
}

static const void *find(const struct acpi_output *out, const char *sig)
{
	const struct acpi_header *x = table(out->rsdp.xsdt);

	for (u32 i = 0; i < (x->length - sizeof(*x)) / 8; i++) {
		const struct acpi_header *h = table(ld64((const u8 *)(x + 1) + i * 8));

		if (!memcmp(h->signature, sig, 4))
			return h;
	}
	return NULL;
}

static void test_walk(void **state)
{
	struct acpi_output out = build(4, ARRAY_LEN(descs));
	const struct acpi_fadt *f;

	(void)state;
	assert_int_equal(sum(&out.rsdp, 20), 0);
	assert_int_equal(sum(&out.rsdp, 36), 0);
	assert_int_equal(out.rsdp.revision, 2);
	f = find(&out, "FACP");
	assert_non_null(f);
	assert_int_equal(f->h.length, 276);
	assert_int_equal(f->firmware_ctrl % 64, 0);
	assert_int_equal(f->reset_reg.address, 0xcf9);
	assert_int_equal(f->reset_value, 6);
	assert_int_equal(f->x_pm_tmr.address, LAYOUT_PORT_PM + 8);
	assert_int_equal(f->iapc_boot_arch, 7);
	assert_int_equal(f->flags, 0x425);
	assert_memory_equal(table(f->x_dsdt)->signature, "DSDT", 4);
	assert_int_equal(f->dsdt, f->x_dsdt);
	assert_non_null(find(&out, "APIC"));
	assert_non_null(find(&out, "MCFG"));
	assert_non_null(find(&out, "HPET"));
	assert_non_null(find(&out, "WAET"));
	/* No HPET device, no table; no keyboard controller, no flag. */
	out = build(1, 4);
	assert_null(find(&out, "HPET"));
	f = find(&out, "FACP");
	assert_int_equal(f->iapc_boot_arch, 5);
}

static unsigned count_entries(const struct acpi_header *m, u8 type)
{
	const u8 *p = (const u8 *)m + sizeof(struct acpi_madt);
	const u8 *end = (const u8 *)m + m->length;
	unsigned n = 0;

	for (; p < end; p += p[1]) {
		assert_true(p[1] >= 2 && p + p[1] <= end);
		n += p[0] == type;
	}
	return n;
}

static void test_madt(void **state)
{
	static const unsigned cpus[] = {1, 2, 255, 256, 1000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cpus); i++) {
		struct acpi_output out = build(cpus[i], ARRAY_LEN(descs));
		const void *m = find(&out, "APIC");
		unsigned low = cpus[i] < 255 ? cpus[i] : 255;

		assert_int_equal(count_entries(m, MADT_LAPIC), low);
		assert_int_equal(count_entries(m, MADT_X2APIC), cpus[i] - low);
		assert_int_equal(count_entries(m, MADT_IOAPIC), 1);
		assert_int_equal(count_entries(m, MADT_OVERRIDE), 2);
		assert_int_equal(count_entries(m, MADT_LAPIC_NMI), 1);
	}
}

static void test_too_small(void **state)
{
	struct acpi_input in = {.base = BASE, .cpus = 8, .descs = descs, .desc_count = 3};

	(void)state;
	for (u32 cap = 0; cap < 6000; cap += 7) {
		struct acpi_output out = {.data = buffer, .cap = cap};
		int rc = acpi_build(&in, &out);

		assert_true(rc == 0 || rc == -ENOSPC);
		if (!cap)
			assert_int_equal(rc, -ENOSPC);
	}
}

/* ---- iasl -------------------------------------------------------------------------------- */

static void save(const char *dir, const char *name, const void *data, u32 len)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

/* Runs a command in dir; its output into out; returns the exit status. */
static int run(const char *dir, const char *cmd, char *out, size_t cap)
{
	char line[512];
	size_t len;
	FILE *p;

	snprintf(line, sizeof(line), "cd %s && %s 2>&1", dir, cmd);
	p = popen(line, "r");
	assert_non_null(p);
	len = fread(out, 1, cap - 1, p);
	out[len] = 0;
	return pclose(p);
}

/* Disassembles and compiles back; -ve would hide remarks, so all are shown and none is allowed. */
static void round_trip(const char *dir, const char *name, const struct acpi_header *h)
{
	static char out[65536];
	char cmd[256];
	u8 *back;
	FILE *f;

	save(dir, name, h, h->length);
	snprintf(cmd, sizeof(cmd), "iasl -d %s.dat", name);
	if (run(dir, cmd, out, sizeof(out)) || strstr(out, "Warning") || strstr(out, "Invalid"))
		fail_msg("iasl -d %s: %s", name, out);
	snprintf(cmd, sizeof(cmd), "iasl -p %s.new %s.dsl", name, name);
	if (run(dir, cmd, out, sizeof(out)))
		fail_msg("iasl %s: %s", name, out);
	if (!memcmp(h->signature, "DSDT", 4) && !strstr(out, " 0 Errors, 0 Warnings, 0 Remarks"))
		fail_msg("iasl %s: %s", name, out);
	snprintf(cmd, sizeof(cmd), "%s/%s.new.aml", dir, name);
	f = fopen(cmd, "rb");
	if (!f) {
		snprintf(cmd, sizeof(cmd), "%s/%s.aml", dir, name);
		f = fopen(cmd, "rb");
	}
	assert_non_null(f);
	back = malloc(h->length + 1);
	assert_non_null(back);
	/* Same bytes but for the compiler's name and the checksum. */
	assert_int_equal(fread(back, 1, h->length + 1, f), h->length);
	fclose(f);
	assert_memory_equal(back + 36, h + 1, h->length - 36);
	free(back);
}

static void test_iasl(void **state)
{
	static const char *const sigs[] = {"FACP", "APIC", "MCFG", "HPET", "WAET"};
	char dir[] = "/tmp/holm-acpi-XXXXXX", cmd[64], text[256];
	struct acpi_output out;
	const struct acpi_fadt *f;

	(void)state;
	if (system("command -v iasl >/dev/null 2>&1"))
		skip();
	assert_non_null(mkdtemp(dir));
	out = build(300, ARRAY_LEN(descs));
	f = find(&out, "FACP");
	round_trip(dir, "dsdt", table(f->x_dsdt));
	for (size_t i = 0; i < ARRAY_LEN(sigs); i++)
		round_trip(dir, sigs[i], find(&out, sigs[i]));
	if (getenv("HOLM_KEEP")) {
		print_message("kept %s\n", dir);
		return;
	}
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	run("/tmp", cmd, text, sizeof(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_madt),
		cmocka_unit_test(test_too_small),
		cmocka_unit_test(test_iasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
