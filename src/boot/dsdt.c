/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dsdt: the definition block: sleep states, the PCI root with its windows and interrupt routing,
 * the board's own resources, the devices on the ISA bridge, the processors.
 *
 * No _OSI: every guest sees the same machine. Interrupt routing follows the model the guest tells
 * by _PIC: I/O APIC pins, or the ISA IRQs that the LPC bridge routes to at power-on.
 */
#include "boot/acpi.h"

#include <stdio.h>
#include <string.h>

#include "board/layout.h"
#include "lib/bits.h"
#include "spec/acpi_pm.h"

#define DSDT_SLOTS	32
#define DSDT_PINS	4
#define DSDT_OSC_PCIE	0x10u /* PCI Express capability structure control */
#define DSDT_OSC_MASKED 0x10u /* status: capabilities masked */
#define DSDT_OSC_UUID	0x04u /* status: unrecognised UUID */

/* PCI Firmware 3.2, 4.5.1: 33DB4D5B-1FF7-401C-9657-7441C03DD766 in buffer order */
static const u8 dsdt_pci_uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
				     0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};

/* Readable names for the devices we know; others are called D000.. . */
static const struct {
	const char *hid;
	const char *prefix;
} dsdt_names[] = {
	{"PNP0501", "COM"},  {"PNP0B00", "RTC"},  {"PNP0100", "PIT"},
	{"PNP0303", "KBD"},  {"PNP0F13", "AUX"},  {"PNP0103", "HPT"},
	{"QEMU0002", "FWC"}, {"QEMU0001", "PVP"}, {"PNP0000", "PIC"},
};

/* ---- root -------------------------------------------------------------------------------- */

static void dsdt_write_sleep(struct aml *a)
{
	aml_name(a, "_S5");
	aml_package(a, 4);
	aml_int(a, ACPI_SLP_TYP_S5);
	aml_int(a, ACPI_SLP_TYP_S5);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_end(a);

	/* The guest tells its interrupt model: 0 is the PIC pair (5.8.1). */
	aml_name(a, "PICM");
	aml_int(a, 0);
	aml_method(a, "_PIC", 1, false);
	aml_op(a, AML_STORE);
	aml_op(a, AML_ARG0);
	aml_path(a, "PICM");
	aml_end(a);
}

/* ---- PCI --------------------------------------------------------------------------------- */

static void dsdt_write_windows(struct aml *a)
{
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_res_bus(a, 0, (u16)(LAYOUT_ECAM_SIZE / 0x100000 - 1));
	aml_res_io(a, LAYOUT_PORT_PCI_ADDR, 8);
	aml_res_io_window(a, 0, LAYOUT_PORT_PCI_ADDR - 1);
	aml_res_io_window(a, LAYOUT_PORT_PCI_ADDR + 8, (u16)(LAYOUT_PCI_IO_END - 1));
	aml_res_mem32_window(a, (u32)LAYOUT_PCI32, (u32)(LAYOUT_PCI32_END - 1));
	aml_res_mem64_window(a, LAYOUT_PCI64, LAYOUT_PCI64_END - 1);
	aml_resources_end(a);
}

/* 6.2.13: {address, pin, source, source index}; source 0: the index is a GSI, which the PIC pair's
 * inputs are as well. */
static void dsdt_write_routes(struct aml *a, const char *name, bool apic)
{
	aml_name(a, name);
	aml_package(a, DSDT_SLOTS * DSDT_PINS);
	for (unsigned slot = 0; slot < DSDT_SLOTS; slot++) {
		for (unsigned pin = 0; pin < DSDT_PINS; pin++) {
			unsigned line = (slot + pin) & 7;

			aml_package(a, 4);
			aml_int(a, slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_int(a, 0);
			aml_int(a, apic	      ? LAYOUT_GSI_PCI + line
				   : line & 1 ? LAYOUT_IRQ_PCI_ODD
					      : LAYOUT_IRQ_PCI_EVEN);
			aml_end(a);
		}
	}
	aml_end(a);
}

static void dsdt_write_routing(struct aml *a)
{
	dsdt_write_routes(a, "PRTA", true);
	dsdt_write_routes(a, "PRTP", false);
	aml_method(a, "_PRT", 0, false);
	aml_if(a);
	aml_path(a, "PICM");
	aml_op(a, AML_RETURN);
	aml_path(a, "PRTA");
	aml_end(a);
	aml_op(a, AML_RETURN);
	aml_path(a, "PRTP");
	aml_end(a);
}

/* Local0 = CDW3 & mask; differs: say so in CDW1; store back. */
static void dsdt_write_osc_grant(struct aml *a)
{
	aml_op(a, AML_CREATE_DWORD);
	aml_op(a, AML_ARG0 + 3);
	aml_int(a, 8);
	aml_path(a, "CDW3");
	aml_op(a, AML_AND);
	aml_path(a, "CDW3");
	aml_int(a, DSDT_OSC_PCIE);
	aml_op(a, AML_LOCAL0);
	aml_if(a);
	aml_op(a, AML_LEQUAL);
	aml_op(a, AML_LOCAL0);
	aml_path(a, "CDW3");
	aml_op(a, AML_RETURN);
	aml_op(a, AML_ARG0 + 3);
	aml_end(a);
	aml_op(a, AML_OR);
	aml_path(a, "CDW1");
	aml_int(a, DSDT_OSC_MASKED);
	aml_path(a, "CDW1");
	aml_op(a, AML_STORE);
	aml_op(a, AML_LOCAL0);
	aml_path(a, "CDW3");
}

/* PCI Firmware 3.2, 4.5.1: the guest may own the PCIe capability; there is nothing else to own. */
static void dsdt_write_osc(struct aml *a)
{
	aml_method(a, "_OSC", 4, true);
	aml_op(a, AML_CREATE_DWORD);
	aml_op(a, AML_ARG0 + 3);
	aml_int(a, 0);
	aml_path(a, "CDW1");
	aml_if(a);
	aml_op(a, AML_LEQUAL);
	aml_op(a, AML_ARG0);
	aml_buffer(a, dsdt_pci_uuid, sizeof(dsdt_pci_uuid));
	dsdt_write_osc_grant(a);
	aml_end(a);
	aml_else(a);
	aml_op(a, AML_OR);
	aml_path(a, "CDW1");
	aml_int(a, DSDT_OSC_UUID);
	aml_path(a, "CDW1");
	aml_end(a);
	aml_op(a, AML_RETURN);
	aml_op(a, AML_ARG0 + 3);
	aml_end(a);
}

/* ---- described devices ------------------------------------------------------------------- */

static bool dsdt_is_mmio(const struct device_desc *d)
{
	for (unsigned i = 0; i < d->res_count; i++)
		if (d->res[i].kind == BOARD_RES_MMIO)
			return true;
	return false;
}

static void dsdt_device_name(const struct acpi_input *in, unsigned index, char name[8])
{
	const char *hid = in->descs[index].hid;
	unsigned nth = 1;

	for (unsigned i = 0; i < index; i++)
		nth += !strcmp(in->descs[i].hid, hid);
	for (size_t i = 0; i < ARRAY_LEN(dsdt_names); i++) {
		if (strcmp(hid, dsdt_names[i].hid) || nth > 9)
			continue;
		snprintf(name, 8, "%s%u", dsdt_names[i].prefix, nth);
		return;
	}
	snprintf(name, 8, "D%03X", index & 0xfff);
}

static void dsdt_write_resource(struct aml *a, const struct board_resource *r)
{
	switch (r->kind) {
	case BOARD_RES_PIO: aml_res_io(a, (u16)r->base, (u8)r->size); break;
	case BOARD_RES_MMIO: aml_res_mem32(a, (u32)r->base, (u32)r->size); break;
	case BOARD_RES_IRQ: aml_res_irq(a, (unsigned)r->base & 15); break;
	}
}

static void dsdt_write_device(struct aml *a, const struct acpi_input *in, unsigned index)
{
	const struct device_desc *d = &in->descs[index];
	char name[8];

	dsdt_device_name(in, index, name);
	aml_device(a, name);
	aml_name(a, "_HID");
	aml_hid(a, d->hid);
	aml_name(a, "_UID");
	aml_int(a, d->uid);
	aml_name(a, "_STA");
	aml_int(a, 0xf);
	if (d->res_count) {
		aml_name(a, "_CRS");
		aml_resources(a);
		for (unsigned i = 0; i < d->res_count; i++)
			dsdt_write_resource(a, &d->res[i]);
		aml_resources_end(a);
	}
	aml_end(a);
}

static void dsdt_write_pci(struct aml *a, const struct acpi_input *in)
{
	aml_device(a, "PCI0");
	aml_name(a, "_HID");
	aml_hid(a, "PNP0A08");
	aml_name(a, "_CID");
	aml_hid(a, "PNP0A03");
	aml_name(a, "_UID");
	aml_int(a, 0);
	aml_name(a, "_BBN");
	aml_int(a, 0);
	dsdt_write_windows(a);
	dsdt_write_routing(a);
	dsdt_write_osc(a);
	aml_device(a, "ISA");
	aml_name(a, "_ADR");
	aml_int(a, LAYOUT_SLOT_LPC << 16);
	for (unsigned i = 0; i < in->desc_count; i++)
		if (!dsdt_is_mmio(&in->descs[i]))
			dsdt_write_device(a, in, i);
	aml_end(a);
	aml_end(a);
}

/* ---- board and processors ---------------------------------------------------------------- */

/* What the chipset itself answers to, so that no guest places anything there. PCI Firmware 3.2,
 * 4.1.2 wants the ECAM window in a motherboard resource. */
static void dsdt_write_board(struct aml *a)
{
	aml_device(a, "MBRD");
	aml_name(a, "_HID");
	aml_hid(a, "PNP0C02");
	aml_name(a, "_UID");
	aml_int(a, 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_res_mem32(a, (u32)LAYOUT_ECAM, (u32)LAYOUT_ECAM_SIZE);
	aml_res_io(a, LAYOUT_PORT_SYSCTL_B, 1);
	aml_res_io(a, LAYOUT_PORT_SYSCTL_A, 1);
	aml_res_io(a, LAYOUT_PORT_SMI_CMD, 2);
	aml_res_io(a, LAYOUT_PORT_ELCR, 2);
	aml_res_io(a, LAYOUT_PORT_PM, ACPI_PM_LEN);
	aml_resources_end(a);
	aml_end(a);
}

static void dsdt_write_cpu(struct aml *a, unsigned id)
{
	char name[8];

	snprintf(name, sizeof(name), "C%03X", id & 0xfff);
	aml_device(a, name);
	aml_name(a, "_HID");
	aml_hid(a, "ACPI0007");
	aml_name(a, "_UID");
	aml_int(a, id);
	aml_end(a);
}

void dsdt_write(struct aml *a, const struct acpi_input *in)
{
	dsdt_write_sleep(a);
	aml_scope(a, "_SB");
	dsdt_write_pci(a, in);
	dsdt_write_board(a);
	for (unsigned i = 0; i < in->desc_count; i++)
		if (dsdt_is_mmio(&in->descs[i]))
			dsdt_write_device(a, in, i);
	for (unsigned id = 0; id < in->cpus; id++)
		dsdt_write_cpu(a, id);
	aml_end(a);
}
