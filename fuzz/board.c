/* SPDX-License-Identifier: Apache-2.0 */
/*
 * board: port and MMIO traffic over every fixed device: PIC, IOAPIC, PIT, RTC, HPET, PM, reset
 * port, i8042 with keyboard and mouse, both UARTs, fw_cfg with its DMA, pvpanic, debug exit, the
 * PCI host bridge by 0xcf8 and by ECAM.
 *
 * Input: a program of accesses, time steps and what the outside does. Time stands still but for
 * those steps, and timers fire where they fall, so an input does the same each time.
 */
#include "board/layout.h"
#include "dev/chipset/chipset.h"
#include "dev/chipset/i8042.h"
#include "dev/chipset/pm.h"
#include "dev/pci/host.h"
#include "fuzz.h"
#include "host/fail.h"
#include "host/log.h"

#define RAM_SIZE    0x10000u
#define STEPS	    400u
#define FIRES	    500u /* timer events in one step of time; the rest is missed */
#define STUCK	    64u	 /* of them without time going on */
#define EPOCH_NS    1700000000000000000ll
#define PORT_GROUPS ARRAY_LEN(port_base)

struct rig {
	struct board board;
	struct chipset *chipset;
	struct pci_host *host;
	bool blocked;	   /* the serial ports' other end takes nothing */
	bool wants_reset;  /* asked for by the guest */
	u64 msis, extints; /* counted, so that the calls are not for nothing */
};

static const u16 port_base[] = {
	LAYOUT_PORT_PIC0,     LAYOUT_PORT_PIC1,	      LAYOUT_PORT_ELCR,	 LAYOUT_PORT_PIT,
	LAYOUT_PORT_SYSCTL_B, LAYOUT_PORT_I8042_DATA, LAYOUT_PORT_RTC,	 LAYOUT_PORT_SYSCTL_A,
	LAYOUT_PORT_SMI_CMD,  LAYOUT_PORT_COM1,	      LAYOUT_PORT_COM2,	 LAYOUT_PORT_DEBUG_EXIT,
	LAYOUT_PORT_PVPANIC,  LAYOUT_PORT_FW_CFG,     LAYOUT_PORT_PM,	 LAYOUT_PORT_PM + 0x20,
	LAYOUT_PORT_PCI_ADDR, LAYOUT_PORT_PCI_DATA,   LAYOUT_PORT_RESET, 0x80,
};

/* ---- what the devices are connected to --------------------------------------------------- */

static void on_msi(void *arg, unused_arg u64 addr, unused_arg u32 data)
{
	((struct rig *)arg)->msis++;
}

static void on_extint(void *arg, unused_arg bool level)
{
	((struct rig *)arg)->extints++;
}

static void on_request(void *arg, enum board_request request, unused_arg u32 code)
{
	struct rig *rig = arg;

	ASSERT(request <= BOARD_DEBUG_EXIT, "a request that does not exist");
	if (request == BOARD_RESET)
		rig->wants_reset = true;
}

static int on_put(void *arg, unused_arg const u8 *bytes, unsigned len)
{
	return ((struct rig *)arg)->blocked ? 0 : (int)len;
}

static void on_written(unused_arg void *arg, const u8 *data, u32 len)
{
	ASSERT(data && len == 8, "a file whose size changed");
}

/* ---- open, close ------------------------------------------------------------------------- */

/* The parts that cost most to open stay from one input to the next. */
static void keep_open(struct board *board)
{
	log_set_level(LOG_ERROR);
	ASSERT(!loop_open(&board->loop), "loop");
	ASSERT(!ram_open(&board->ram), "ram");
	ASSERT(!ram_add(&board->ram, 0, RAM_SIZE, RAM_KIND_RAM, "low"), "ram");
	ASSERT(!clock_open(&board->clock, board->loop), "clock");
	/* the same on every host */
	board->clock.tsc_khz = 1000000;
	board->clock.ns_mult = 1ull << 32;
	board->clock.epoch_ns = EPOCH_NS;
	clock_pause(&board->clock);
	board->cpus = 2;
}

static void rig_open(struct rig *rig)
{
	struct chipset_config config = {
		.low_ram = RAM_SIZE,
		.has_uart = {true, true},
		.uart = {{.arg = rig, .put = on_put}, {.arg = NULL}},
		.has_pvpanic = true,
		.has_debug_exit = true,
		.has_mouse = true,
	};
	struct board *board = &rig->board;

	if (!board->loop)
		keep_open(board);
	memset(board->ram.slot[0].host, 0, RAM_SIZE);
	clock_set(&board->clock, 0);
	rig->blocked = rig->wants_reset = false;
	ASSERT(!bus_open(&board->bus), "bus");
	ASSERT(!irq_open(&board->irq), "irq");
	board->irq.receiver = (struct irq_receiver){.arg = rig, .msi = on_msi, .extint = on_extint};
	board->request = on_request;
	board->request_arg = rig;
	ASSERT(!chipset_open(board, &config, &rig->chipset), "chipset");
	ASSERT(!fw_cfg_add_file(chipset_fw_cfg(rig->chipset), "etc/text", "0123456789", 10),
	       "file");
	ASSERT(!fw_cfg_add_writable(chipset_fw_cfg(rig->chipset), "etc/box", "01234567", 8,
				    on_written, rig),
	       "file");
	ASSERT(!pci_host_open(board, &rig->host), "pci");
	ASSERT(!pci_assign_bars(rig->host), "pci");
}

static void rig_close(struct rig *rig)
{
	struct device *bridge = pci_host_device(rig->host);

	bridge->cls->close(bridge);
	chipset_close(rig->chipset);
	irq_close(&rig->board.irq);
	bus_close(rig->board.bus);
	ASSERT(!rig->board.clock.timers, "a closed device has a timer running");
}

static void machine_reset(struct rig *rig)
{
	struct device *dev = chipset_devices(rig->chipset);

	rig->wants_reset = false;
	for (; dev; dev = dev->next)
		dev->cls->reset(dev);
	dev = pci_host_device(rig->host);
	dev->cls->reset(dev);
}

/* ---- time -------------------------------------------------------------------------------- */

static struct clock_timer *due(struct clock *clock, u64 until)
{
	struct clock_timer *first = NULL;

	for (struct clock_timer *t = clock->timers; t; t = t->next)
		if (t->deadline <= until && (!first || t->deadline < first->deadline))
			first = t;
	return first;
}

static void advance(struct rig *rig, u64 by)
{
	struct clock *clock = &rig->board.clock;
	u64 until = clock_now(clock) + by;
	unsigned stuck = 0;

	for (unsigned i = 0; i < FIRES; i++) {
		struct clock_timer *timer = due(clock, until);

		if (!timer)
			break;
		stuck = timer->deadline > clock_now(clock) ? 0 : stuck + 1;
		ASSERT(stuck < STUCK, "a timer fires again and again at one moment");
		if (timer->deadline > clock_now(clock))
			clock_set(clock, timer->deadline);
		clock_timer_cancel(timer);
		timer->fire(timer);
	}
	clock_set(clock, until);
}

/* ---- the program ------------------------------------------------------------------------- */

static u16 port(struct fuzz_in *in)
{
	u8 group = fuzz_u8(in), off;

	if (group >= 0xf0)
		return fuzz_u16(in);
	off = fuzz_u8(in);
	return (u16)(port_base[group % PORT_GROUPS] + (off & 0x1f));
}

static u64 address(struct fuzz_in *in)
{
	u8 group = fuzz_u8(in);
	u16 off = fuzz_u16(in);

	switch (group & 3) {
	case 0: return LAYOUT_IOAPIC + (off & 0xff);
	case 1: return LAYOUT_HPET + (off & 0x3ff);
	case 2: return LAYOUT_ECAM + ((u64)(group >> 2 & 31) << 15) + (off & 0x7fff);
	default: return (u64)group << 24 | (u64)off << 8 | fuzz_u8(in);
	}
}

static void pause_and_go_on(struct rig *rig)
{
	struct device *dev;

	for (dev = chipset_devices(rig->chipset); dev; dev = dev->next)
		if (dev->cls->pause)
			dev->cls->pause(dev);
	for (dev = chipset_devices(rig->chipset); dev; dev = dev->next)
		if (dev->cls->resume)
			dev->cls->resume(dev);
}

static void press_keys(struct rig *rig, struct fuzz_in *in)
{
	u8 codes[4];

	fuzz_bytes(in, codes, sizeof(codes));
	for (struct device *dev = chipset_devices(rig->chipset); dev; dev = dev->next)
		if (!strcmp(dev->cls->name, "i8042"))
			i8042_key(dev, codes, sizeof(codes));
}

static void outside(struct rig *rig, struct fuzz_in *in)
{
	struct device *com1 = chipset_uart(rig->chipset, 0);
	u8 what = fuzz_u8(in), bytes[24];

	switch (what & 7) {
	case 0:
		fuzz_bytes(in, bytes, sizeof(bytes));
		ASSERT(uart_receive(com1, bytes, what >> 3 < 24 ? what >> 3 : 24) <= 24, "uart");
		break;
	case 1: rig->blocked = !rig->blocked; break;
	case 2: uart_writable(com1); break;
	case 3:
		if (what & 8)
			press_keys(rig, in);
		else
			uart_break(com1);
		break;
	case 4:
		if (what & 8)
			pm_gpe_raise(chipset_pm(rig->chipset), what >> 4);
		else
			chipset_pm_power_button(rig->chipset);
		break;
	case 5: irq_ack(&rig->board.irq); break;
	case 6: irq_eoi(&rig->board.irq, fuzz_u8(in)); break;
	default:
		if (what & 8)
			pause_and_go_on(rig);
		else
			irq_line(&rig->board.irq, 16 + (what >> 5), what & 16);
		break;
	}
}

static void write_memory(struct rig *rig, struct fuzz_in *in)
{
	gpa_t gpa = fuzz_u16(in);
	u8 bytes[64], len = fuzz_u8(in) % sizeof(bytes);

	fuzz_bytes(in, bytes, len);
	ram_load(&rig->board.ram, gpa, bytes, len);
}

static void step(struct rig *rig, struct fuzz_in *in)
{
	struct bus *bus = rig->board.bus;
	u8 op = fuzz_u8(in);
	unsigned size = fuzz_size(op >> 4), port_size = size == 8 ? 1 : size;
	u64 at;

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
	case 3:
		at = port(in);
		bus_write(bus, BUS_PIO, at, port_size, fuzz_sized(in, port_size));
		break;
	case 4:
	case 5: bus_read(bus, BUS_PIO, port(in), port_size); break;
	case 6:
	case 7:
	case 8:
		at = address(in);
		bus_write(bus, BUS_MMIO, at, size, fuzz_sized(in, size));
		break;
	case 9:
	case 10: bus_read(bus, BUS_MMIO, address(in), size); break;
	case 11: advance(rig, fuzz_u16(in)); break;
	case 12: advance(rig, (u64)fuzz_u16(in) << (op >> 4) * 2); break;
	case 13: outside(rig, in); break;
	case 14: write_memory(rig, in); break;
	default:
		if (op >> 4 == 15)
			rig->wants_reset = true;
		break;
	}
	if (rig->wants_reset)
		machine_reset(rig);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct rig rig;
	struct fuzz_in in = {data, size};

	rig_open(&rig);
	for (unsigned i = 0; i < STEPS && in.left; i++)
		step(&rig, &in);
	rig_close(&rig);
	return 0;
}
