/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test pci: a device in every slot of a real board: configuration space as foreign firmware and
 * kernels use it, BARs, and each interrupt pin, which must arrive where the DSDT's _PRT says, by
 * IOAPIC and by the PIC pair.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "board/layout.h"
#include "boot/acpi.h"
#include "dev/chipset/chipset.h"
#include "dev/pci/host.h"
#include "lib/bits.h"

#define FIRST_VECTOR 0x40u

struct rig {
	struct board board;
	struct chipset *chipset;
	struct pci_host *host;
	struct pci_device pci[PCI_SLOTS];
	struct bus_region region[PCI_SLOTS][3];
	unsigned msis;
	u8 vector;
	bool extint;
};

static void on_msi(void *arg, unused_arg u64 addr, u32 data)
{
	struct rig *r = arg;

	r->msis++;
	r->vector = (u8)data;
}

static void on_extint(void *arg, bool level)
{
	((struct rig *)arg)->extint = level;
}

static void on_request(unused_arg void *arg, unused_arg enum board_request request,
		       unused_arg u32 code)
{
}

static u64 on_read(void *arg, u64 off, unused_arg unsigned size)
{
	return (u64)(uintptr_t)arg + off;
}

static void plug(struct rig *r, unsigned slot)
{
	static const struct {
		enum pci_bar_kind kind;
		u64 size;
		unsigned index;
	} bars[3] = {
		{PCI_BAR_MEM32, 0x4000, 0}, {PCI_BAR_IO, 0x20, 1}, {PCI_BAR_MEM64, 1 << 20, 2}};
	const struct pci_ids ids = {.vendor = 0x1af4,
				    .device = (u16)(0x1100 + slot),
				    .class_code = PCI_CLASS_OTHERS,
				    .intx = true};
	struct pci_device *pci = &r->pci[slot];

	pci->dev.board = &r->board;
	pci_device_init(pci, "test", &ids);
	for (unsigned i = 0; i < 3; i++) {
		r->region[slot][i] = (struct bus_region){.name = "test",
							 .size = bars[i].size,
							 .read = on_read,
							 .arg = (void *)(uintptr_t)(slot << 24)};
		pci_bar_set(pci, bars[i].index, bars[i].kind, &r->region[slot][i]);
	}
	assert_int_equal(pci_device_add(r->host, pci, slot), 0);
}

static int setup(void **state)
{
	static struct rig rig;
	struct rig *r = &rig;
	const struct chipset_config config = {.low_ram = 0x100000};

	memset(r, 0, sizeof(*r));
	assert_int_equal(loop_open(&r->board.loop), 0);
	assert_int_equal(ram_open(&r->board.ram), 0);
	assert_int_equal(ram_add(&r->board.ram, 0, 0x100000, RAM_KIND_RAM, "low"), 0);
	assert_int_equal(bus_open(&r->board.bus), 0);
	assert_int_equal(irq_open(&r->board.irq), 0);
	assert_int_equal(clock_open(&r->board.clock, r->board.loop), 0);
	r->board.irq.receiver = (struct irq_receiver){.arg = r, .msi = on_msi, .extint = on_extint};
	r->board.cpus = 1;
	r->board.request = on_request;
	assert_int_equal(chipset_open(&r->board, &config, &r->chipset), 0);
	assert_int_equal(pci_host_open(&r->board, &r->host), 0);
	for (unsigned slot = 1; slot < LAYOUT_SLOT_LPC; slot++)
		plug(r, slot);
	assert_int_equal(pci_assign_bars(r->host), 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	for (unsigned slot = 1; slot < LAYOUT_SLOT_LPC; slot++)
		pci_device_remove(&r->pci[slot]);
	pci_host_device(r->host)->cls->close(pci_host_device(r->host));
	chipset_close(r->chipset);
	clock_close(&r->board.clock);
	irq_close(&r->board.irq);
	bus_close(r->board.bus);
	ram_close(&r->board.ram);
	loop_close(r->board.loop);
	return 0;
}

/* ---- the two ways in --------------------------------------------------------------------- */

static u64 ecam(unsigned slot, unsigned off)
{
	return LAYOUT_ECAM + ((u64)slot << 15) + off;
}

static u32 get(struct rig *r, unsigned slot, unsigned off, unsigned size)
{
	return (u32)bus_read(r->board.bus, BUS_MMIO, ecam(slot, off), size);
}

static void put(struct rig *r, unsigned slot, unsigned off, unsigned size, u32 value)
{
	bus_write(r->board.bus, BUS_MMIO, ecam(slot, off), size, value);
}

static u32 in(struct rig *r, u16 port, unsigned size)
{
	return (u32)bus_read(r->board.bus, BUS_PIO, port, size);
}

static void out(struct rig *r, u16 port, unsigned size, u32 value)
{
	bus_write(r->board.bus, BUS_PIO, port, size, value);
}

static void test_mechanisms(void **state)
{
	struct rig *r = *state;

	for (unsigned slot = 1; slot < LAYOUT_SLOT_LPC; slot++) {
		out(r, 0xcf8, 4, 0x80000000u | slot << 11);
		for (unsigned off = 0; off < 256; off += 4) {
			u32 want = get(r, slot, off, 4);

			out(r, 0xcf8, 4, 0x80000000u | slot << 11 | off);
			assert_int_equal(in(r, 0xcfc, 4), want);
			for (unsigned i = 0; i < 4; i++) {
				assert_int_equal(in(r, (u16)(0xcfc + i), 1), want >> 8 * i & 0xff);
				assert_int_equal(get(r, slot, off + i, 1), want >> 8 * i & 0xff);
			}
			assert_int_equal(in(r, 0xcfe, 2), want >> 16);
			assert_int_equal(get(r, slot, off + 2, 2), want >> 16);
		}
	}
	/* what nobody answers: other functions, other buses, the enable bit off */
	assert_int_equal(get(r, 1, 0x1000, 4), 0xffffffff);
	assert_int_equal(get(r, 1, 0x7002, 2), 0xffff);
	assert_int_equal(bus_read(r->board.bus, BUS_MMIO, LAYOUT_ECAM + (1 << 20), 4), 0xffffffff);
	assert_int_equal(bus_read(r->board.bus, BUS_MMIO, LAYOUT_ECAM + LAYOUT_ECAM_SIZE - 1, 1),
			 0xff);
	out(r, 0xcf8, 4, 1 << 11);
	assert_int_equal(in(r, 0xcfc, 4), 0xffffffff);
	out(r, 0xcf8, 4, 0x80010000u);
	assert_int_equal(in(r, 0xcfc, 4), 0xffffffff);
	/* bytes of 0xcf8 belong to others; 0xcf8 reads back without its reserved bits */
	out(r, 0xcf8, 1, 0x5a);
	assert_int_equal(in(r, 0xcf8, 4), 0x80010000u);
	out(r, 0xcf8, 4, 0xffffffff);
	assert_int_equal(in(r, 0xcf8, 4), 0x80fffffcu);
	/* PAM: RAM from C0000 up, as the board has it */
	assert_int_equal(get(r, LAYOUT_SLOT_HOST, Q35_PAM0, 4), 0x33333330);
	/* one function a slot, header type 0, no ROM */
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		assert_int_equal(get(r, slot, PCI_HEADER_TYPE, 1), 0);
		put(r, slot, 0x30, 4, 0xfffff801);
		assert_int_equal(get(r, slot, 0x30, 4), 0);
	}
}

/* Every way drivers size BARs: with decoding off and on; the value comes back, the device answers.
 */
static void test_sizing(void **state)
{
	static const u32 mask[4] = {0xffffc000, 0xffffffe1, 0xfff00004, 0xffffffff};
	struct rig *r = *state;
	const unsigned slot = 7;
	const u32 tag = slot << 24;

	for (unsigned round = 0; round < 2; round++) {
		put(r, slot, PCI_COMMAND, 2, round ? 7 : 0);
		for (unsigned n = 0; n < 4; n++) {
			unsigned reg = PCI_BASE_ADDRESS_0 + 4 * n;
			u32 was = get(r, slot, reg, 4);

			put(r, slot, reg, 4, 0xffffffff);
			assert_int_equal(get(r, slot, reg, 4), mask[n]);
			put(r, slot, reg, 4, was);
			assert_int_equal(get(r, slot, reg, 4), was);
		}
		assert_int_equal(get(r, slot, PCI_BASE_ADDRESS_0 + 16, 4), 0);
	}
	assert_int_equal(bus_read(r->board.bus, BUS_MMIO, get(r, slot, 0x10, 4) & ~15u, 4), tag);
	assert_int_equal(in(r, (u16)(get(r, slot, 0x14, 4) & ~3u), 4), tag);
	assert_int_equal(bus_read(r->board.bus, BUS_MMIO,
				  (u64)get(r, slot, 0x1c, 4) << 32 | (get(r, slot, 0x18, 4) & ~15u),
				  4),
			 tag);
	/* decoding off: nobody */
	put(r, slot, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(bus_read(r->board.bus, BUS_MMIO, get(r, slot, 0x10, 4) & ~15u, 4),
			 0xffffffff);
	put(r, slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(in(r, (u16)(get(r, slot, 0x14, 4) & ~3u), 4), 0xffffffff);
}

/* ---- interrupts -------------------------------------------------------------------------- */

struct route {
	u32 address, pin, source, index;
};

static u32 aml_number(const u8 **p)
{
	const u8 *at = *p;

	switch (*at) {
	case 0x0a: *p += 2; return at[1];
	case 0x0b: *p += 3; return ld16(at + 1);
	case 0x0c: *p += 5; return ld32(at + 1);
	default:
		assert_true(*at <= 1);
		*p += 1;
		return *at;
	}
}

/* The package Name(name, Package(){Package(4){..}, ..}) of the DSDT, as ACPI 20.2.5.4 encodes it.
 */
static unsigned routes_read(const char *name, struct route *route)
{
	static u8 data[0x20000];
	const struct acpi_input in = {.cpus = 1, .base = 0x100000, .facs_gpa = 0x120000};
	struct acpi_output out = {.data = data, .cap = sizeof(data)};
	const u8 *p = NULL;
	unsigned count;

	assert_int_equal(acpi_build(&in, &out), 0);
	for (u32 i = 0; i + 4 < out.len && !p; i++)
		if (data[i] == 0x08 && !memcmp(data + i + 1, name, 4))
			p = data + i + 5;
	assert_non_null(p);
	assert_int_equal(*p, 0x12);
	p += 2 + (p[1] >> 6);
	count = *p++;
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(p[0], 0x12);
		assert_true(p[1] < 0x40 && p[2] == 4);
		p += 3;
		route[i].address = aml_number(&p);
		route[i].pin = aml_number(&p);
		route[i].source = aml_number(&p);
		route[i].index = aml_number(&p);
	}
	return count;
}

static unsigned route_of(const struct route *route, unsigned count, unsigned slot)
{
	for (unsigned i = 0; i < count; i++)
		if (route[i].address == (slot << 16 | 0xffff) && route[i].pin == 0) {
			assert_int_equal(route[i].source, 0);
			return route[i].index;
		}
	fail_msg("_PRT has nothing for slot %u", slot);
	return 0;
}

static void test_intx_ioapic(void **state)
{
	struct route route[255];
	unsigned count = routes_read("PRTA", route);
	struct rig *r = *state;

	for (unsigned slot = 1; slot < LAYOUT_SLOT_LPC; slot++) {
		unsigned pin = route_of(route, count, slot), vector = FIRST_VECTOR + pin;

		assert_int_equal(get(r, slot, PCI_INTERRUPT_PIN, 1), 1);
		/* level, active low, as ACPI makes PCI interrupts */
		bus_write(r->board.bus, BUS_MMIO, LAYOUT_IOAPIC, 4, 0x10 + 2 * pin);
		bus_write(r->board.bus, BUS_MMIO, LAYOUT_IOAPIC + 0x10, 4, 0xa000 | vector);
		r->msis = r->vector = 0;
		pci_intx(&r->pci[slot], true);
		assert_int_equal(r->msis, 1);
		assert_int_equal(r->vector, vector);
		assert_true(get(r, slot, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
		irq_eoi(&r->board.irq, (u8)vector); /* not served yet */
		assert_int_equal(r->msis, 2);
		/* COMMAND bit 10 takes it off the line but not out of STATUS */
		put(r, slot, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
		assert_true(get(r, slot, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
		irq_eoi(&r->board.irq, (u8)vector);
		assert_int_equal(r->msis, 2);
		put(r, slot, PCI_COMMAND, 2, 0);
		assert_int_equal(r->msis, 3);
		pci_intx(&r->pci[slot], false);
		irq_eoi(&r->board.irq, (u8)vector);
		assert_int_equal(r->msis, 3);
		assert_false(get(r, slot, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	}
	/* two slots on one line: it stays up for the second */
	r->msis = 0;
	pci_intx(&r->pci[2], true);
	pci_intx(&r->pci[10], true);
	pci_intx(&r->pci[2], false);
	irq_eoi(&r->board.irq, (u8)(FIRST_VECTOR + route_of(route, count, 2)));
	assert_int_equal(r->msis, 2);
	pci_intx(&r->pci[10], false);
}

/* An HPET comparator that the guest routed to a PCI line neither hides nor ends the pin's level. */
static void test_intx_shared_with_hpet(void **state)
{
	const unsigned slot = 4, pin = pci_slot_gsi(slot), vector = FIRST_VECTOR + pin;
	struct rig *r = *state;

	bus_write(r->board.bus, BUS_MMIO, LAYOUT_IOAPIC, 4, 0x10 + 2 * pin);
	bus_write(r->board.bus, BUS_MMIO, LAYOUT_IOAPIC + 0x10, 4, 0xa000 | vector);
	pci_intx(&r->pci[slot], true);
	assert_int_equal(r->msis, 1);
	irq_line_from(&r->board.irq, IRQ_FROM_HPET, pin, true);
	irq_line_from(&r->board.irq, IRQ_FROM_HPET, pin, false);
	irq_eoi(&r->board.irq, (u8)vector);
	assert_int_equal(r->msis, 2);
	irq_line_from(&r->board.irq, IRQ_FROM_HPET, pin, true);
	pci_intx(&r->pci[slot], false);
	irq_eoi(&r->board.irq, (u8)vector);
	assert_int_equal(r->msis, 3);
	irq_line_from(&r->board.irq, IRQ_FROM_HPET, pin, false);
	irq_eoi(&r->board.irq, (u8)vector);
	assert_int_equal(r->msis, 3);
}

/* For guests without an IOAPIC driver (Linux: noapic, acpi=off). */
static void test_intx_pic(void **state)
{
	static const u8 icw[2][4] = {{0x11, 0x20, 0x04, 0x01}, {0x11, 0x28, 0x02, 0x01}};
	struct route route[255];
	unsigned count = routes_read("PRTP", route);
	struct rig *r = *state;

	for (unsigned half = 0; half < 2; half++) {
		u16 port = half ? LAYOUT_PORT_PIC1 : LAYOUT_PORT_PIC0;

		for (unsigned i = 0; i < 4; i++)
			out(r, (u16)(port + !!i), 1, icw[half][i]);
		out(r, (u16)(port + 1), 1, 0);
	}
	for (unsigned slot = 1; slot < LAYOUT_SLOT_LPC; slot++) {
		unsigned irq = route_of(route, count, slot);

		assert_int_equal(get(r, slot, PCI_INTERRUPT_LINE, 1), irq);
		assert_true(in(r, (u16)(LAYOUT_PORT_ELCR + irq / 8), 1) & BIT(irq & 7));
		pci_intx(&r->pci[slot], true);
		assert_true(r->extint);
		assert_int_equal(irq_ack(&r->board.irq), 0x20 + irq);
		assert_false(r->extint);
		out(r, LAYOUT_PORT_PIC1, 1, 0x20);
		out(r, LAYOUT_PORT_PIC0, 1, 0x20);
		assert_true(r->extint); /* a level */
		pci_intx(&r->pci[slot], false);
		assert_false(r->extint);
	}
	/* rerouted, shared with the device of that IRQ, switched off, and as before after a reset
	 */
	put(r, LAYOUT_SLOT_LPC, ICH9_PIRQA + 2, 1, 5);
	pci_intx(&r->pci[2], true);
	assert_int_equal(irq_ack(&r->board.irq), 0x25);
	out(r, LAYOUT_PORT_PIC0, 1, 0x20);
	out(r, LAYOUT_PORT_ELCR, 1, 0x20);
	irq_line(&r->board.irq, 5, true);
	pci_intx(&r->pci[2], false);
	assert_true(r->extint);
	irq_line(&r->board.irq, 5, false);
	assert_false(r->extint);
	put(r, LAYOUT_SLOT_LPC, ICH9_PIRQA + 2, 1, 0x80);
	pci_intx(&r->pci[2], true);
	assert_false(r->extint);
	put(r, LAYOUT_SLOT_LPC, ICH9_PIRQA + 2, 1, 2); /* reserved: not an input of its own */
	assert_false(r->extint);
	pci_intx(&r->pci[2], false);
	pci_host_device(r->host)->cls->reset(pci_host_device(r->host));
	assert_int_equal(get(r, LAYOUT_SLOT_LPC, ICH9_PIRQA + 2, 1), route_of(route, count, 2));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mechanisms),	TEST(test_sizing),
		TEST(test_intx_ioapic), TEST(test_intx_shared_with_hpet),
		TEST(test_intx_pic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
