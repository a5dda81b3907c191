/* SPDX-License-Identifier: Apache-2.0 */
/* chipset: the fixed devices on a real board, driven through the bus as a guest does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "board/layout.h"
#include "dev/chipset/chipset.h"
#include "dev/chipset/i8042.h"
#include "dev/chipset/irqc.h"
#include "lib/bits.h"

struct rig {
	struct board board;
	struct chipset *chipset;
	unsigned msis, requests, rooms;
	u32 msi_data, code;
	enum board_request request;
	bool extint, blocked;
	char out[64];
	unsigned out_len;
};

static void on_msi(void *arg, u64 addr, u32 data)
{
	struct rig *r = arg;

	(void)addr;
	r->msis++;
	r->msi_data = data;
}

static void on_extint(void *arg, bool level)
{
	((struct rig *)arg)->extint = level;
}

static void on_request(void *arg, enum board_request request, u32 code)
{
	struct rig *r = arg;

	r->requests++;
	r->request = request;
	r->code = code;
}

static int on_put(void *arg, const u8 *bytes, unsigned len)
{
	struct rig *r = arg;

	if (r->blocked)
		return 0;
	for (unsigned i = 0; i < len && r->out_len < sizeof(r->out); i++)
		r->out[r->out_len++] = (char)bytes[i];
	return (int)len;
}

static void on_room(void *arg)
{
	((struct rig *)arg)->rooms++;
}

static int setup(void **state)
{
	static struct rig rig;
	struct rig *r = &rig;
	struct chipset_config config = {
		.low_ram = 0x100000,
		.has_uart = {true, false},
		.uart = {{.arg = r, .put = on_put, .room = on_room}},
		.has_pvpanic = true,
		.has_debug_exit = true,
		.has_mouse = true,
	};

	memset(r, 0, sizeof(*r));
	assert_int_equal(loop_open(&r->board.loop), 0);
	assert_int_equal(ram_open(&r->board.ram), 0);
	assert_int_equal(ram_add(&r->board.ram, 0, 0x100000, RAM_KIND_RAM, "low"), 0);
	assert_int_equal(bus_open(&r->board.bus), 0);
	assert_int_equal(irq_open(&r->board.irq), 0);
	assert_int_equal(clock_open(&r->board.clock, r->board.loop), 0);
	r->board.irq.receiver = (struct irq_receiver){.arg = r, .msi = on_msi, .extint = on_extint};
	r->board.cpus = 2;
	r->board.request = on_request;
	r->board.request_arg = r;
	assert_int_equal(chipset_open(&r->board, &config, &r->chipset), 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	chipset_close(r->chipset);
	irq_close(&r->board.irq);
	bus_close(r->board.bus);
	ram_close(&r->board.ram);
	loop_close(r->board.loop);
	return 0;
}

static u8 inb(struct rig *r, u16 port)
{
	return (u8)bus_read(r->board.bus, BUS_PIO, port, 1);
}

static void outb(struct rig *r, u16 port, u8 value)
{
	bus_write(r->board.bus, BUS_PIO, port, 1, value);
}

static void ioapic_pin(struct rig *r, u32 pin, u32 low)
{
	bus_write(r->board.bus, BUS_MMIO, LAYOUT_IOAPIC, 4, 0x10 + 2 * pin);
	bus_write(r->board.bus, BUS_MMIO, LAYOUT_IOAPIC + 0x10, 4, low);
}

static void pic_start(struct rig *r)
{
	static const u8 icw[2][4] = {{0x11, 0x30, 0x04, 0x01}, {0x11, 0x38, 0x02, 0x01}};

	for (unsigned half = 0; half < 2; half++) {
		u16 port = half ? LAYOUT_PORT_PIC1 : LAYOUT_PORT_PIC0;

		outb(r, port, icw[half][0]);
		for (unsigned i = 1; i < 4; i++)
			outb(r, (u16)(port + 1), icw[half][i]);
		outb(r, (u16)(port + 1), 0);
	}
}

static void test_lines(void **state)
{
	struct rig *r = *state;

	pic_start(r);
	ioapic_pin(r, 2, 0x32);
	irq_line(&r->board.irq, LAYOUT_GSI_PIT, true);
	assert_int_equal(r->msis, 1);
	assert_int_equal(r->msi_data & 0xff, 0x32);
	assert_true(r->extint);
	assert_int_equal(irq_ack(&r->board.irq), 0x30); /* PIC input 0 */
	assert_false(r->extint);
	irq_line(&r->board.irq, LAYOUT_GSI_PIT, false);
	ioapic_pin(r, 20, 0x8044);
	irq_line(&r->board.irq, 20, true);
	assert_int_equal(r->msis, 2);
	assert_false(r->extint); /* the PIC has no input 20 */
	irq_eoi(&r->board.irq, 0x44);
	assert_int_equal(r->msis, 3);
	irq_line(&r->board.irq, 20, false);
	irq_eoi(&r->board.irq, 0x44);
	assert_int_equal(r->msis, 3);
}

/* What Linux's 8250 driver does to recognise a 16550A. */
static void test_uart_probe(void **state)
{
	struct rig *r = *state;
	const u16 p = LAYOUT_PORT_COM1;

	outb(r, p + 1, 0);
	assert_int_equal(inb(r, p + 1) & 0x0f, 0);
	outb(r, p + 1, 0x0f);
	assert_int_equal(inb(r, p + 1) & 0x0f, 0x0f);
	outb(r, p + 1, 0);
	outb(r, p + 4, 0x1a); /* loopback: RTS and OUT2 come back as CTS and DCD */
	assert_int_equal(inb(r, p + 6) & 0xf0, 0x90);
	outb(r, p + 4, 0);
	outb(r, p + 2, 1);
	assert_int_equal(inb(r, p + 2) & 0xc0, 0xc0);
	outb(r, p + 3, 0x80);
	outb(r, p, 1);
	outb(r, p + 1, 0);
	assert_int_equal(inb(r, p), 1);
	outb(r, p + 3, 0x03);
	outb(r, p + 4, 0x1b);
	for (unsigned i = 0; i < 20; i++)
		outb(r, p, (u8)i);
	assert_int_equal(inb(r, p + 5) & 0x03, 0x03); /* data and overrun */
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(inb(r, p), i);
	assert_int_equal(inb(r, p + 5), 0x60);
	assert_int_equal(r->out_len, 0);
	outb(r, p + 7, 0x5a);
	assert_int_equal(inb(r, p + 7), 0x5a);
}

static void test_uart_data(void **state)
{
	struct rig *r = *state;
	const u16 p = LAYOUT_PORT_COM1;
	struct device *uart = chipset_uart(r->chipset, 0);

	ioapic_pin(r, 4, 0x24);
	outb(r, p + 2, 0x81); /* FIFO, trigger 8 */
	outb(r, p + 4, 0x0b);
	outb(r, p + 1, 0x02);
	assert_int_equal(r->msis, 1); /* THR is empty */
	assert_int_equal(inb(r, p + 2), 0xc2);
	assert_int_equal(inb(r, p + 2), 0xc1); /* the read cleared it */
	outb(r, p, 'h');
	outb(r, p, 'i');
	assert_memory_equal(r->out, "hi", 2);
	assert_int_equal(r->msis, 2);
	outb(r, p + 1, 0x01);
	assert_int_equal(uart_receive(uart, (const u8 *)"0123456789abcdefXYZ", 19), 16);
	assert_int_equal(r->msis, 3);
	assert_int_equal(inb(r, p + 2), 0xc4);
	for (unsigned i = 0; i < 9; i++)
		inb(r, p);
	assert_int_equal(inb(r, p + 2), 0xcc); /* below the trigger: timeout */
	assert_int_equal(r->rooms, 0);
	for (unsigned i = 0; i < 7; i++)
		inb(r, p);
	assert_int_equal(inb(r, p + 2), 0xc1);
	assert_int_equal(r->rooms, 1);
	r->blocked = true;
	outb(r, p, '!');
	assert_int_equal(inb(r, p + 5) & 0x60, 0);
	r->blocked = false;
	uart_writable(uart);
	assert_int_equal(inb(r, p + 5) & 0x60, 0x60);
	assert_memory_equal(r->out, "hi!", 3);
}

/* What came in during a loopback test is asked for again when that is over, even if the guest looks
 * at LSR only and so never reads the empty receiver. */
static void test_uart_loopback_input(void **state)
{
	struct rig *r = *state;
	const u16 p = LAYOUT_PORT_COM1;
	struct device *uart = chipset_uart(r->chipset, 0);

	outb(r, p + 4, 0x10);
	assert_int_equal(uart_receive(uart, (const u8 *)"x", 1), 0);
	outb(r, p, 0x55);
	assert_int_equal(inb(r, p), 0x55);
	assert_int_equal(r->rooms, 0); /* it would be refused again */
	outb(r, p + 4, 0x0b);
	assert_int_equal(r->rooms, 1);
	assert_int_equal(uart_receive(uart, (const u8 *)"x", 1), 1);
	assert_int_equal(inb(r, p + 5) & 1, 1);
	assert_int_equal(inb(r, p), 'x');
}

/* A break stands in the FIFO where it came, as a zero byte that LSR tells of when it is next. */
static void test_uart_break(void **state)
{
	struct rig *r = *state;
	const u16 p = LAYOUT_PORT_COM1;
	struct device *uart = chipset_uart(r->chipset, 0);

	outb(r, p + 2, 0x01);
	uart_break(uart);
	assert_int_equal(inb(r, p + 5), 0x71);
	assert_int_equal(inb(r, p + 5), 0x61); /* the read cleared it */
	assert_int_equal(inb(r, p), 0);
	assert_int_equal(uart_receive(uart, (const u8 *)"ab", 2), 2);
	uart_break(uart);
	assert_int_equal(uart_receive(uart, (const u8 *)"h", 1), 1);
	assert_int_equal(inb(r, p + 5), 0x61);
	assert_int_equal(inb(r, p), 'a');
	assert_int_equal(inb(r, p + 5), 0x61);
	assert_int_equal(inb(r, p), 'b');
	assert_int_equal(inb(r, p + 5), 0x71);
	assert_int_equal(inb(r, p), 0);
	assert_int_equal(inb(r, p + 5), 0x61);
	assert_int_equal(inb(r, p), 'h');
	assert_int_equal(inb(r, p + 5), 0x60);
	/* Full: lost, as on the wire. */
	assert_int_equal(uart_receive(uart, (const u8 *)"0123456789abcdef", 16), 16);
	uart_break(uart);
	assert_int_equal(inb(r, p + 5), 0x63);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_not_equal(inb(r, p), 0);
		assert_int_equal(inb(r, p + 5) & 0x10, 0);
	}
	assert_int_equal(inb(r, p + 5), 0x60);
}

/* Answers of the keyboard controller to Linux's probe, in its order. */
static void test_i8042_probe(void **state)
{
	struct rig *r = *state;

	pic_start(r);
	assert_int_equal(inb(r, 0x64) & 0x11, 0x10); /* nothing to flush, not locked */
	outb(r, 0x64, 0xaa);
	assert_int_equal(inb(r, 0x64) & 0x21, 0x01);
	assert_int_equal(inb(r, 0x60), 0x55);
	outb(r, 0x64, 0x20);
	assert_int_equal(inb(r, 0x60), 0x47);
	outb(r, 0x64, 0x60);
	outb(r, 0x60, 0x74); /* keyboard and mouse off, no interrupts */
	outb(r, 0x64, 0xd3);
	outb(r, 0x60, 0x5a);
	assert_int_equal(inb(r, 0x64) & 0x21, 0x21);
	assert_int_equal(inb(r, 0x60), 0x5a);
	outb(r, 0x64, 0xa8);
	outb(r, 0x64, 0x20);
	assert_int_equal(inb(r, 0x60) & 0x20, 0);
	outb(r, 0x64, 0x60);
	outb(r, 0x60, 0x47);
	outb(r, 0x60, 0xf2); /* keyboard: identify */
	assert_true(r->extint);
	assert_int_equal(inb(r, 0x60), 0xfa);
	assert_int_equal(inb(r, 0x60), 0xab);
	assert_int_equal(inb(r, 0x60), 0x41); /* 0x83, translated */
	assert_int_equal(inb(r, 0x64) & 1, 0);
	assert_int_equal(irq_ack(&r->board.irq), 0x31);
	outb(r, 0x20, 0x20);
	outb(r, 0x64, 0xd4); /* mouse: reset */
	outb(r, 0x60, 0xff);
	assert_int_equal(irq_ack(&r->board.irq), 0x3c);
	assert_int_equal(inb(r, 0x64) & 0x21, 0x21);
	assert_int_equal(inb(r, 0x60), 0xfa);
	assert_int_equal(inb(r, 0x60), 0xaa);
	assert_int_equal(inb(r, 0x60), 0x00);
	outb(r, 0x60, 0xed); /* LEDs */
	assert_int_equal(inb(r, 0x60), 0xfa);
	outb(r, 0x60, 0x02);
	assert_int_equal(inb(r, 0x60), 0xfa);
	assert_int_equal(r->requests, 0);
	outb(r, 0x64, 0xfe);
	assert_int_equal(r->request, BOARD_RESET);
}

/* Keys in set 2, read in set 1: translation is on from power-on and can be switched off. */
static void test_i8042_keys(void **state)
{
	static const u8 keys[] = {0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0x83, 0xf0, 0x83};
	static const u8 set1[] = {0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0x41, 0xc1};
	struct rig *r = *state;
	struct device *dev = chipset_devices(r->chipset);

	while (strcmp(dev->cls->name, "i8042"))
		dev = dev->next;
	i8042_key(dev, keys, sizeof(keys));
	for (unsigned i = 0; i < sizeof(set1); i++) {
		assert_int_equal(inb(r, 0x64) & 1, 1);
		assert_int_equal(inb(r, 0x60), set1[i]);
	}
	assert_int_equal(inb(r, 0x64) & 1, 0);
	outb(r, 0x64, 0x60);
	outb(r, 0x60, 0x05);
	i8042_key(dev, keys, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(inb(r, 0x60), keys[i]);
}

/* The alarm is a wake event, whoever has IRQ8. */
static void test_rtc_wake(void **state)
{
	struct rig *r = *state;
	const u16 p = LAYOUT_PORT_PM;
	unsigned msis;

	ioapic_pin(r, 9, 0x8029);
	outb(r, LAYOUT_PORT_SMI_CMD, 2);
	bus_write(r->board.bus, BUS_MMIO, LAYOUT_HPET + 0x10, 4, 3); /* legacy replacement */
	for (u8 reg = 1; reg <= 5; reg = (u8)(reg + 2)) {
		outb(r, 0x70, reg);
		outb(r, 0x71, 0xff); /* every second */
	}
	outb(r, 0x70, 0x0b);
	outb(r, 0x71, 0x02); /* no alarm interrupt yet */
	bus_write(r->board.bus, BUS_PIO, p + 2, 2, 0x0400);
	outb(r, 0x70, 0x0c);
	inb(r, 0x71);
	while (!(inb(r, 0x71) & 0x20))
		;
	assert_int_equal(bus_read(r->board.bus, BUS_PIO, p, 2) & 0x0400, 0);
	msis = r->msis;
	outb(r, 0x70, 0x0b);
	outb(r, 0x71, 0x22);
	outb(r, 0x70, 0x0c);
	while (!(inb(r, 0x71) & 0x20))
		;
	assert_int_equal(bus_read(r->board.bus, BUS_PIO, p, 2) & 0x0400, 0x0400);
	assert_int_equal(r->msis, msis + 1);
	bus_write(r->board.bus, BUS_PIO, p, 2, 0x0400);
	assert_int_equal(bus_read(r->board.bus, BUS_PIO, p, 2) & 0x0400, 0);
}

static void test_pm(void **state)
{
	struct rig *r = *state;
	const u16 p = LAYOUT_PORT_PM;
	u64 t0, t1;

	ioapic_pin(r, 9, 0x8029);
	assert_int_equal(bus_read(r->board.bus, BUS_PIO, p + 4, 2), 0);
	outb(r, LAYOUT_PORT_SMI_CMD, 2);
	assert_int_equal(bus_read(r->board.bus, BUS_PIO, p + 4, 2), 1);
	bus_write(r->board.bus, BUS_PIO, p + 2, 2, 0x0120);
	assert_int_equal(r->msis, 0);
	chipset_pm_power_button(r->chipset);
	assert_int_equal(r->msis, 1);
	assert_int_equal(bus_read(r->board.bus, BUS_PIO, p, 2) & 0x0100, 0x0100);
	bus_write(r->board.bus, BUS_PIO, p, 2, 0x0100);
	assert_int_equal(bus_read(r->board.bus, BUS_PIO, p, 2) & 0x0100, 0);
	assert_int_equal(bus_read(r->board.bus, BUS_PIO, p + 2, 2), 0x0120);
	irq_eoi(&r->board.irq, 0x29);
	assert_int_equal(r->msis, 1); /* the line is low again */
	t0 = bus_read(r->board.bus, BUS_PIO, p + 8, 4);
	do
		t1 = bus_read(r->board.bus, BUS_PIO, p + 8, 4);
	while (t1 == t0);
	assert_int_equal(t1 >> 24, 0);
	bus_write(r->board.bus, BUS_PIO, p + 0x28, 1, 0x01); /* GPE0 enable */
	assert_int_equal(bus_read(r->board.bus, BUS_PIO, p + 0x28, 1), 0x01);
	bus_write(r->board.bus, BUS_PIO, p + 4, 2, 0x2001); /* not S5 */
	assert_int_equal(r->requests, 0);
	bus_write(r->board.bus, BUS_PIO, p + 4, 2, 0x3c01);
	assert_int_equal(r->requests, 1);
	assert_int_equal(r->request, BOARD_POWEROFF);
}

static void test_small_ports(void **state)
{
	struct rig *r = *state;

	outb(r, 0xcf9, 0x02);
	assert_int_equal(r->requests, 0);
	outb(r, 0xcf9, 0x06);
	assert_int_equal(r->requests, 1);
	assert_int_equal(r->request, BOARD_RESET);
	outb(r, 0xcf9, 0x06); /* no edge */
	assert_int_equal(r->requests, 1);
	bus_write(r->board.bus, BUS_PIO, LAYOUT_PORT_DEBUG_EXIT, 4, 0x1234);
	assert_int_equal(r->request, BOARD_DEBUG_EXIT);
	assert_int_equal(r->code, 0x1234);
	assert_int_equal(inb(r, LAYOUT_PORT_PVPANIC), 3);
	outb(r, LAYOUT_PORT_PVPANIC, 1);
	assert_int_equal(r->request, BOARD_PANIC);
	assert_int_equal(r->code, 1);
	outb(r, 0x70, 0x5f);
	assert_int_equal(inb(r, 0x71), 1);
	assert_int_equal(inb(r, 0x92), 0x02);
	assert_int_equal(bus_read(r->board.bus, BUS_MMIO, LAYOUT_HPET + 4, 4), 10000000);
}

static void stop(struct loop_timer *timer)
{
	loop_stop(timer->loop);
}

static void run_for(struct rig *r, u64 ns)
{
	struct loop_timer timer;

	loop_timer_init(r->board.loop, &timer, stop, r);
	loop_timer_arm(&timer, host_now_ns() + ns);
	assert_int_equal(loop_run(r->board.loop), 0);
}

/* Timers on the real loop: PIT at 1 kHz, then the HPET takes IRQ0 from it, then the RTC. */
static void test_ticks(void **state)
{
	struct rig *r = *state;
	struct bus *bus = r->board.bus;

	ioapic_pin(r, 2, 0x32);
	outb(r, 0x43, 0x34);
	outb(r, 0x40, 1193 & 0xff);
	outb(r, 0x40, 1193 >> 8);
	run_for(r, 50000000);
	assert_in_range(r->msis, 10, 52);
	bus_write(bus, BUS_MMIO, LAYOUT_HPET + 0x10, 4, 3);
	r->msis = 0;
	run_for(r, 20000000);
	assert_int_equal(r->msis, 0); /* cut */
	bus_write(bus, BUS_MMIO, LAYOUT_HPET + 0x100, 4, 0x14c);
	bus_write(bus, BUS_MMIO, LAYOUT_HPET + 0x108, 4,
		  bus_read(bus, BUS_MMIO, LAYOUT_HPET + 0xf0, 4) + 200000);
	bus_write(bus, BUS_MMIO, LAYOUT_HPET + 0x108, 4, 200000); /* 2 ms */
	run_for(r, 50000000);
	assert_in_range(r->msis, 8, 26);
	bus_write(bus, BUS_MMIO, LAYOUT_HPET + 0x10, 4, 0);
	outb(r, 0x43, 0x30); /* PIT: mode 0 without a count: silence */
	ioapic_pin(r, 8, 0x28);
	outb(r, 0x70, 0x0c);
	inb(r, 0x71); /* flags are set without their enables, too */
	r->msis = 0;
	outb(r, 0x70, 0x0b);
	outb(r, 0x71, 0x42); /* periodic, 1024 Hz */
	run_for(r, 10000000);
	assert_int_equal(r->msis, 1); /* until register C is read */
	outb(r, 0x70, 0x0c);
	assert_int_equal(inb(r, 0x71) & 0xc0, 0xc0);
	run_for(r, 10000000);
	assert_int_equal(r->msis, 2);
}

static void st_be32(u8 *p, u32 v)
{
	st32(p, __builtin_bswap32(v));
}

static void test_fw_cfg(void **state)
{
	struct rig *r = *state;
	struct device *fw = chipset_fw_cfg(r->chipset);
	u8 dma[16] = {0}, buf[16] = {0}, zero[6] = {0};

	assert_int_equal(fw_cfg_add_file(fw, "etc/test", "0123456789", 10), 0);
	bus_write(r->board.bus, BUS_PIO, 0x510, 2, FW_CFG_SIGNATURE);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(inb(r, 0x511), "QEMU"[i]);
	assert_int_equal(inb(r, 0x511), 0);
	assert_int_equal(bus_read(r->board.bus, BUS_PIO, 0x514, 4), 0x554d4551); /* "QEMU" */
	bus_write(r->board.bus, BUS_PIO, 0x510, 2, FW_CFG_FILE_DIR);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(inb(r, 0x511), 0);
	assert_int_equal(inb(r, 0x511), 1);
	/* select, skip nothing, read 16 bytes of the 10 there are */
	st_be32(dma, 0x20u << 16 | 0x0a);
	st_be32(dma + 4, 16);
	st_be32(dma + 12, 0x2000);
	assert_int_equal(ram_write(&r->board.ram, 0x1000, dma, sizeof(dma)), 0);
	memset(buf, 0xee, sizeof(buf));
	ram_write(&r->board.ram, 0x2000, buf, sizeof(buf));
	bus_write(r->board.bus, BUS_PIO, 0x514, 4, 0);
	bus_write(r->board.bus, BUS_PIO, 0x518, 4, __builtin_bswap32(0x1000));
	ram_read(&r->board.ram, 0x2000, buf, sizeof(buf));
	assert_memory_equal(buf, "0123456789", 10);
	assert_memory_equal(buf + 10, zero, 6);
	ram_read(&r->board.ram, 0x1000, dma, 4);
	assert_int_equal(ld32(dma), 0);
	/* an address outside RAM is the guest's error, not ours */
	st_be32(dma, 0x20u << 16 | 0x0a);
	st_be32(dma + 12, 0xfffff000);
	ram_write(&r->board.ram, 0x1000, dma, sizeof(dma));
	bus_write(r->board.bus, BUS_PIO, 0x518, 4, __builtin_bswap32(0x1000));
	ram_read(&r->board.ram, 0x1000, dma, 4);
	assert_int_equal(ld32(dma), 0x01000000);
}

static void test_life(void **state)
{
	struct rig *r = *state;
	unsigned devices = 0, described = 0;

	for (struct device *dev = chipset_devices(r->chipset); dev; dev = dev->next) {
		struct device_desc desc;

		devices++;
		assert_non_null(dev->cls->close);
		dev->cls->reset(dev);
		if (dev->cls->pause)
			dev->cls->pause(dev);
		if (dev->cls->resume)
			dev->cls->resume(dev);
		if (dev->cls->describe && dev->cls->describe(dev, &desc)) {
			described++;
			assert_non_null(desc.hid);
			assert_true(desc.res_count <= 8);
		}
	}
	assert_int_equal(devices, 12);
	assert_int_equal(described, 8);
	assert_int_equal(r->requests, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_lines),	TEST(test_uart_probe),
		TEST(test_uart_data),	TEST(test_uart_loopback_input),
		TEST(test_i8042_probe), TEST(test_i8042_keys),
		TEST(test_pm),		TEST(test_small_ports),
		TEST(test_fw_cfg),	TEST(test_ticks),
		TEST(test_life),	TEST(test_rtc_wake),
		TEST(test_uart_break),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
