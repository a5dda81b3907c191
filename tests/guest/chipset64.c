/* SPDX-License-Identifier: Apache-2.0 */
/* chipset64: the chips of a PC as drivers other than Linux's use them: 8254, 8259A, MC146818, HPET,
 * I/O APIC, 16550A, i8042, ACPI timer (their data sheets; ICH9 data sheet for what surrounds them).
 */
#include "rt/rt.h"

#define COM1 0x3f8

static u32 pm_ticks(void)
{
	return inl(0x608);
}

/* `ticks` of a counter of `hz` between two readings of it, which lie between the ACPI timer's
 * readings t[0] and t[1], t[2] and t[3]: a host that is busy only widens the bounds. */
static bool rate_ok(u64 ticks, u64 hz, const u32 t[4])
{
	const u64 pm_hz = 3579545;
	u64 least = (t[2] - t[1]) & 0xffffff, most = (t[3] - t[0]) & 0xffffff;

	return ticks * pm_hz * 100 >= least * hz * 99 &&
	       ticks * pm_hz * 100 <= (most + 8) * hz * 101;
}

/* --- 8254 ------------------------------------------------------------------------------------- */

static void pit_set(unsigned channel, unsigned mode, u16 count)
{
	outb(0x43, (u8)(channel << 6 | 0x30 | mode << 1));
	outb((u16)(0x40 + channel), (u8)count);
	outb((u16)(0x40 + channel), (u8)(count >> 8));
}

static u16 pit_count(unsigned channel)
{
	u8 low;

	outb(0x43, (u8)(channel << 6));
	low = inb((u16)(0x40 + channel));
	return (u16)(low | inb((u16)(0x40 + channel)) << 8);
}

static u8 pit_status(unsigned channel)
{
	outb(0x43, (u8)(0xe0 | 2u << channel));
	return inb((u16)(0x40 + channel));
}

static void test_pit(void)
{
	u16 first, second;
	u8 low, status;
	u32 t[4];

	section("8254: counting, latches, status; port 61h");
	pit_set(0, 2, 0);
	do { /* within one turn of the counter, 54 ms */
		delay_us(1000);
		t[0] = pm_ticks();
		first = pit_count(0);
		t[1] = pm_ticks();
		delay_us(10000);
		t[2] = pm_ticks();
		second = pit_count(0);
		t[3] = pm_ticks();
	} while (((t[3] - t[0]) & 0xffffff) > 190000);
	check(rate_ok((u16)(first - second), 1193182, t), "its rate", "%u clocks, %u PM ticks",
	      (u16)(first - second), (t[3] - t[0]) & 0xffffff);
	outb(0x43, 0x00);
	first = inb(0x40);
	delay_us(2000);
	first = (u16)(first | inb(0x40) << 8);
	second = pit_count(0);
	check((u16)(first - second) > 1000, "a latched count stands still", "%x %x", first, second);
	/* count and status latched together: status comes first */
	outb(0x43, 0xc2);
	status = inb(0x40);
	low = inb(0x40);
	inb(0x40);
	(void)low;
	CHECK_EQ(status & 0x3f, 0x34, "read-back: status, then count; mode 2, both bytes");
	pit_set(0, 3, 1000);
	CHECK_EQ(pit_status(0) & 0x3f, 0x36, "mode 3");
	outb(0x43, 0x11);
	outb(0x40, 0x99);
	CHECK_EQ(pit_status(0) & 0x3f, 0x11, "low byte only, mode 0, BCD");
	delay_us(1000);
	CHECK_EQ(pit_status(0) & 0x80, 0x80, "mode 0: OUT is high when the count is over");
	pit_set(0, 0, 60000);
	CHECK_EQ(pit_status(0) & 0x80, 0, "mode 0: OUT is low while counting");
	outb(0x43, 0x30);
	delay_us(100);
	qemu_differs("QEMU has no null count");
	CHECK_EQ(pit_status(0) & 0x40, 0x40, "null count until a count is written");

	outb(0x61, (u8)(inb(0x61) & ~3));
	pit_set(2, 0, 2000);
	first = pit_count(2);
	delay_us(3000);
	second = pit_count(2);
	qemu_differs("in QEMU a low gate does not stop modes 0 and 4");
	check(first == second, "a low gate stops channel 2", "%x %x", first, second);
	qemu_differs("in QEMU a low gate does not stop modes 0 and 4");
	CHECK_EQ(inb(0x61) & 0x20, 0, "port 61h bit 5: OUT 2 is low");
	outb(0x61, (u8)((inb(0x61) & ~2) | 1));
	delay_us(3000);
	CHECK_EQ(inb(0x61) & 0x20, 0x20, "... and high at the end");
	CHECK_EQ(inb(0x61) & 3, 1, "port 61h bits 0 and 1 read back");
	first = 0;
	for (unsigned i = 0, was = inb(0x61) & 0x10; i < 100; i++) {
		delay_us(11);
		first += (inb(0x61) & 0x10) != was;
		was = inb(0x61) & 0x10;
	}
	check(first > 10, "port 61h bit 4 toggles", "%u of 100", first);
	outb(0x61, 0);
}

/* --- 8259A ------------------------------------------------------------------------------------ */

static void pic_init(u8 icw4)
{
	static const u16 port[2] = {0x20, 0xa0};

	for (unsigned i = 0; i < 2; i++) {
		outb(port[i], 0x11);
		outb((u16)(port[i] + 1), (u8)(0x20 + 8 * i));
		outb((u16)(port[i] + 1), i ? 2 : 4);
		outb((u16)(port[i] + 1), icw4);
		outb((u16)(port[i] + 1), 0xff);
	}
}

static u8 pic_irr(u16 port)
{
	outb(port, 0x0a);
	return inb(port);
}

static u8 pic_isr(u16 port)
{
	outb(port, 0x0b);
	return inb(port);
}

/* One edge of IRQ0. A busy host may be late with it. */
static void irq0(void)
{
	pit_set(0, 0, 10);
	delay_us(50000);
}

static void test_pic(void)
{
	section("8259A: requests, polls, EOI, rotation, special mask");
	cli();
	pic_init(1);
	CHECK_EQ(inb(0x21), 0xff, "the mask reads back");
	outb(0xa1, 0x5a);
	CHECK_EQ(inb(0xa1), 0x5a, "the slave's too");
	outb(0xa1, 0xff);
	irq0();
	CHECK_EQ(pic_irr(0x20) & 1, 1, "a masked request waits in IRR");
	outb(0x20, 0x0c);
	CHECK_EQ(inb(0x20) & 0x80, 0, "poll: nothing while it is masked");
	outb(0x21, 0xfe);
	outb(0x20, 0x0c);
	CHECK_EQ(inb(0x20), 0x80, "poll: interrupt, level 0");
	CHECK_EQ(pic_isr(0x20) & 1, 1, "the poll acknowledged it: ISR");
	CHECK_EQ(pic_irr(0x20) & 1, 0, "... and IRR is clear");
	irq0();
	outb(0x20, 0x0c);
	CHECK_EQ(inb(0x20) & 0x80, 0, "no second one of the same level in service");
	outb(0x20, 0x68);
	outb(0x20, 0x0c);
	CHECK_EQ(inb(0x20) & 0x80, 0,
		 "special mask: a level in service and not masked still blocks");
	outb(0x20, 0x48);
	outb(0x20, 0x20);
	CHECK_EQ(pic_isr(0x20), 0, "non-specific EOI");
	outb(0x20, 0x0c);
	CHECK_EQ(inb(0x20), 0x80, "the second one is taken then");
	outb(0x20, 0x60);
	CHECK_EQ(pic_isr(0x20), 0, "specific EOI");
	outb(0x21, 0xff);
	pic_init(1);
	CHECK_EQ(pic_isr(0x20), 0, "ICW1 clears ISR and selects IRR");
	outb(0x4d0, 0);
	CHECK_EQ(inb(0x4d0), 0, "ELCR: IRQ 0, 1, 2 are edges");
	outb(0x4d1, 0x0c);
	CHECK_EQ(inb(0x4d1), 0x0c, "ELCR reads back");
}

/* --- MC146818 --------------------------------------------------------------------------------- */

static u8 cmos(u8 index)
{
	outb(0x70, index);
	return inb(0x71);
}

static void cmos_set(u8 index, u8 value)
{
	outb(0x70, index);
	outb(0x71, value);
}

static bool rtc_wait(u8 flag, u32 ms)
{
	while (ms--) {
		if (cmos(0x0c) & flag)
			return true;
		delay_us(1000);
	}
	return false;
}

static u8 bin(u8 bcd)
{
	return (u8)((bcd >> 4) * 10 + (bcd & 15));
}

static void test_rtc(void)
{
	u8 b = cmos(0x0b), hour;

	section("MC146818: formats, set, flags, alarm");
	CHECK_EQ(cmos(0x0d), 0x80, "VRT");
	CHECK_EQ(cmos(0x0a) & 0x70, 0x20, "32768 Hz");
	cmos_set(0x0b, 0x82);
	cmos_set(4, 0x23);
	cmos_set(2, 0x59);
	cmos_set(0, 0x58);
	cmos_set(7, 0x28);
	cmos_set(8, 0x02);
	cmos_set(9, 0x24);
	cmos_set(0x32, 0x20);
	delay_us(1200000);
	CHECK_EQ(cmos(0), 0x58, "SET holds the clock");
	cmos_set(5, 0x00);
	cmos_set(3, 0xc0);
	cmos_set(1, 0x00);
	cmos(0x0c);
	cmos_set(0x0b, 0x02);
	CHECK_EQ(rtc_wait(0x20, 4000), true, "alarm at 0:*:00");
	CHECK_EQ(cmos(7) << 8 | cmos(8), 0x2902, "29 February of a leap year follows");
	CHECK_EQ(cmos(4) << 8 | cmos(2), 0x0000, "... at midnight");
	CHECK_EQ(rtc_wait(0x10, 1500), true, "update ended");
	CHECK_EQ(cmos(0x0c) & 0x10, 0, "reading C clears it");
	cmos_set(0x0a, 0x26);
	cmos(0x0c);
	qemu_differs("QEMU sets PF with PIE only");
	CHECK_EQ(rtc_wait(0x40, 10), true, "periodic flag without its interrupt");
	CHECK_EQ(cmos(0x0c) & 0x80, 0, "IRQF only with an enabled one");
	cmos_set(0x0b, 0x42);
	delay_us(3000);
	CHECK_EQ(cmos(0x0c) & 0xc0, 0xc0, "IRQF with it");
	cmos_set(0x0b, 0x82);
	cmos_set(4, 0x13);
	cmos_set(0x0b, 0x02);
	hour = bin(cmos(4));
	CHECK_EQ(hour, 13, "24 hours, BCD");
	cmos_set(0x0b, 0x86);
	cmos_set(4, 13);
	cmos_set(0x0b, 0x06);
	CHECK_EQ(cmos(4), 13, "24 hours, binary");
	cmos_set(0x0b, 0x80);
	cmos_set(4, 0x92);
	cmos_set(0x0b, 0x00);
	CHECK_EQ(cmos(4), 0x92, "12 hours, BCD: noon is 12 PM");
	cmos_set(0x0b, b & 0x7f);
	outb(0x70, 0x80 | 0x0d);
	CHECK_EQ(inb(0x71), 0x80, "bit 7 of the index masks NMI and is no address");
	cmos_set(0x40, 0x5a);
	CHECK_EQ(cmos(0x40), 0x5a, "CMOS RAM");
}

/* --- HPET ------------------------------------------------------------------------------------- */

static volatile u32 *const hpet = (volatile u32 *)0xfed00000ul;

static u64 hpet_counter(void)
{
	return *(volatile u64 *)(0xfed000f0ul);
}

static void test_hpet(void)
{
	u32 fs = hpet[1], t[4];
	u64 a, b;

	section("HPET 1.0a: counter, comparators, level status");
	CHECK(fs > 0 && fs <= 100000000, "period");
	CHECK((hpet[0] & 0x2000) && (hpet[0] >> 8 & 31) >= 2, "64 bits, three timers");
	hpet[4] = 0;
	hpet[0x3c] = 0;
	hpet[0x3d] = 0;
	delay_us(100);
	CHECK_EQ(hpet_counter(), 0, "stopped and set to 0");
	hpet[4] = 1;
	t[0] = pm_ticks();
	a = hpet_counter();
	t[1] = pm_ticks();
	delay_us(10000);
	t[2] = pm_ticks();
	b = hpet_counter();
	t[3] = pm_ticks();
	check(rate_ok(b - a, 1000000000000000ull / fs, t), "its rate", "%u ticks", (u32)(b - a));
	/* timer 0: level, no route that anybody listens to; status tells the match */
	hpet[8] = 0;
	hpet[0x40] = 20 << 9 | 2;
	a = hpet_counter() + 50000000000000ull / fs; /* 50 ms */
	hpet[0x42] = (u32)a;
	hpet[0x43] = (u32)(a >> 32);
	hpet[0x40] |= 4;
	CHECK_EQ(hpet[8] & 1, 0, "no match yet");
	for (unsigned i = 0; i < 1000 && !(hpet[8] & 1); i++)
		delay_us(1000);
	CHECK_EQ(hpet[8] & 1, 1, "level: status is set at the match");
	hpet[8] = 2;
	CHECK_EQ(hpet[8] & 1, 1, "other bits do not clear it");
	hpet[8] = 1;
	CHECK_EQ(hpet[8] & 1, 0, "1 clears it");
	/* periodic, 1 ms: VAL_SET writes the comparator, the next write the period */
	hpet[0x40] = 20 << 9 | 0x4a;
	b = 1000000000000ull / fs;
	a = hpet_counter() + 50 * b;
	*(volatile u64 *)(0xfed00108ul) = a;
	*(volatile u64 *)(0xfed00108ul) = b;
	hpet[0x40] |= 4;
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < 1000 && !(hpet[8] & 1); k++)
			delay_us(1000);
		CHECK_EQ(hpet[8] & 1, 1, "periodic: again");
		hpet[8] = 1;
	}
	hpet[0x40] = 0;
	hpet[4] = 0;
}

/* --- I/O APIC --------------------------------------------------------------------------------- */

static u32 ioapic(u8 reg)
{
	*(volatile u32 *)0xfec00000ul = reg;
	return *(volatile u32 *)0xfec00010ul;
}

static void ioapic_set(u8 reg, u32 value)
{
	*(volatile u32 *)0xfec00000ul = reg;
	*(volatile u32 *)0xfec00010ul = value;
}

#define VEC_EDGE  0x50
#define VEC_LEVEL 0x51

/* A level that its device holds up comes again after each EOI. */
static bool on_irq(struct frame *f)
{
	if (f->vector != VEC_EDGE && f->vector != VEC_LEVEL)
		return false;
	if (f->vector == VEC_LEVEL && this_cpu()->irqs[VEC_LEVEL] == 3)
		hpet[8] = 4; /* comparator 2 */
	apic_write(APIC_EOI, 0);
	return true;
}

static void wait_irq(unsigned vector, u64 want)
{
	sti();
	for (unsigned i = 0; i < 2000 && this_cpu()->irqs[vector] < want; i++)
		delay_us(100);
	delay_us(1000);
	cli();
}

static void test_ioapic(void)
{
	struct cpu *cpu = this_cpu();
	u64 at;

	section("82093AA: registers, mask, edge, level and EOI");
	CHECK_EQ(ioapic(1) & 0xff00ff, 0x170020, "version 20h, 24 entries");
	ioapic_set(0x11, 0xa5000000);
	CHECK_EQ(ioapic(0x11), 0xa5000000, "destination reads back");
	ioapic_set(0x10, 0x1f0ff);
	CHECK_EQ(ioapic(0x10), 0x1a0ff, "delivery status and remote IRR are read only");
	ioapic_set(0x10, 0x10000);
	cpu->hook = on_irq;
	apic_enable();
	/* the PIT on pin 2, edge */
	ioapic_set(0x15, apic_read(APIC_ID) & 0xff000000);
	ioapic_set(0x14, 0x10000 | VEC_EDGE);
	irq0();
	wait_irq(VEC_EDGE, 1);
	CHECK_EQ(cpu->irqs[VEC_EDGE], 0, "a masked pin sends nothing");
	ioapic_set(0x14, VEC_EDGE);
	irq0();
	wait_irq(VEC_EDGE, 1);
	CHECK_EQ(cpu->irqs[VEC_EDGE], 1, "an edge sends once");
	ioapic_set(0x14, 0x10000);
	/* an HPET comparator on pin 20, level */
	ioapic_set(0x39, apic_read(APIC_ID) & 0xff000000);
	ioapic_set(0x38, 0x8000 | VEC_LEVEL);
	hpet[4] = 1;
	hpet[0x50] = 20 << 9 | 2;
	at = hpet_counter() + 50000000000000ull / hpet[1];
	hpet[0x52] = (u32)at;
	hpet[0x53] = (u32)(at >> 32);
	hpet[8] = 4;
	hpet[0x50] |= 4;
	for (unsigned i = 0; i < 1000 && !(ioapic(0x38) & 0x4000); i++)
		delay_us(100);
	CHECK_EQ(ioapic(0x38) & 0x4000, 0x4000, "a level sets remote IRR until its EOI");
	wait_irq(VEC_LEVEL, 3);
	CHECK_EQ(cpu->irqs[VEC_LEVEL], 3, "it comes again after each EOI while it is held");
	CHECK_EQ(ioapic(0x38) & 0x4000, 0, "remote IRR is clear after the last");
	ioapic_set(0x38, 0x10000);
	hpet[0x50] = 0;
	hpet[4] = 0;
	cpu->hook = NULL;
}

/* --- 16550A ----------------------------------------------------------------------------------- */

static void test_uart(void)
{
	u8 lcr = inb(COM1 + 3), mcr = inb(COM1 + 4), ier = inb(COM1 + 1), got[17], iir, lsr, msr;
	unsigned n = 0;

	section("16550A: scratch, divisor, FIFO, loopback, interrupt identification");
	while (!(inb(COM1 + 5) & 0x40))
		pause();
	outb(COM1 + 7, 0xa5);
	CHECK_EQ(inb(COM1 + 7), 0xa5, "scratch");
	outb(COM1 + 3, lcr | 0x80);
	lsr = inb(COM1);
	outb(COM1, 0x0c);
	iir = inb(COM1);
	outb(COM1, lsr);
	outb(COM1 + 3, lcr);
	CHECK_EQ(iir, 0x0c, "divisor behind DLAB");
	while (!(inb(COM1 + 5) & 0x40))
		pause();
	/* no output before loopback ends again */
	outb(COM1 + 1, 0);
	outb(COM1 + 2, 0x07);
	outb(COM1 + 4, 0x10);
	for (unsigned i = 0; i < 16; i++)
		outb(COM1, (u8)(0x30 + i));
	delay_us(50000);
	while (n < 17 && (inb(COM1 + 5) & 1))
		got[n++] = inb(COM1);
	outb(COM1 + 4, 0x1a);
	inb(COM1 + 6);
	outb(COM1 + 4, 0x10);
	msr = inb(COM1 + 6);
	outb(COM1 + 1, 0x02);
	iir = inb(COM1 + 2);
	lsr = inb(COM1 + 2);
	outb(COM1 + 1, 0);
	outb(COM1 + 4, mcr);
	outb(COM1 + 1, ier);
	CHECK_EQ(n, 16, "sixteen bytes through the FIFO in loopback");
	CHECK_EQ(n ? got[0] << 8 | got[n - 1] : 0, 0x303f, "in order");
	qemu_differs("in QEMU loopback shows levels but no deltas");
	CHECK_EQ(msr, 0x09, "MSR: CTS and DCD fell");
	CHECK_EQ(iir, 0xc2, "THRE when enabled with an empty register");
	CHECK_EQ(lsr, 0xc1, "reading IIR clears it");
}

/* --- i8042 ------------------------------------------------------------------------------------ */

static int kbc_read(void)
{
	for (unsigned i = 0; i < 1000; i++) {
		if (inb(0x64) & 1)
			return inb(0x60);
		delay_us(100);
	}
	return -1;
}

static void kbc_command(u8 command)
{
	while (inb(0x64) & 2)
		pause();
	outb(0x64, command);
}

static void kbc_write(u8 value)
{
	while (inb(0x64) & 2)
		pause();
	outb(0x60, value);
}

static void test_i8042(void)
{
	int ctr;

	section("i8042: self-tests, command byte, loops, keyboard");
	kbc_command(0xad);
	kbc_command(0xa7);
	while (inb(0x64) & 1)
		inb(0x60);
	kbc_command(0xaa);
	CHECK_EQ(kbc_read(), 0x55, "self-test");
	kbc_command(0xab);
	CHECK_EQ(kbc_read(), 0x00, "keyboard port test");
	kbc_command(0xa9);
	CHECK_EQ(kbc_read(), 0x00, "mouse port test");
	kbc_command(0x60);
	kbc_write(0x30);
	kbc_command(0x20);
	ctr = kbc_read();
	CHECK_EQ(ctr & 0x33, 0x30, "the command byte reads back");
	kbc_command(0xd2);
	kbc_write(0x5a);
	CHECK_EQ(inb(0x64) & 0x21, 0x01, "keyboard loop: not the mouse's");
	CHECK_EQ(kbc_read(), 0x5a, "... the byte");
	kbc_command(0xd3);
	kbc_write(0xa5);
	CHECK_EQ(inb(0x64) & 0x21, 0x21, "mouse loop: the mouse's");
	CHECK_EQ(kbc_read(), 0xa5, "... the byte");
	kbc_command(0xd0);
	CHECK_EQ(kbc_read() & 3, 3, "output port: no reset, A20 on");
	kbc_command(0xae);
	kbc_write(0xff);
	CHECK_EQ(kbc_read(), 0xfa, "keyboard reset: ACK");
	CHECK_EQ(kbc_read(), 0xaa, "... self-test passed");
	kbc_write(0xf2);
	CHECK_EQ(kbc_read(), 0xfa, "identify: ACK");
	CHECK_EQ(kbc_read(), 0xab, "... MF2");
	CHECK_EQ(kbc_read(), 0x83, "... without translation");
	kbc_write(0xee);
	CHECK_EQ(kbc_read(), 0xee, "echo");
	kbc_command(0x60);
	kbc_write(0x74);
	kbc_write(0xf2);
	kbc_read();
	kbc_read();
	CHECK_EQ(kbc_read(), 0x41, "the identity's second byte, translated");
	kbc_command(0xa8);
	kbc_command(0xd4);
	kbc_write(0xf2);
	CHECK_EQ(inb(0x64) & 0x20, 0x20, "the mouse answers as the mouse");
	CHECK_EQ(kbc_read(), 0xfa, "... ACK");
	CHECK_EQ(kbc_read(), 0x00, "... identity 0");
	CHECK_EQ(inb(0x92) & 3, 2, "port 92h: A20 on");
}

/* --- memory, ACPI, PCI ------------------------------------------------------------------------ */

static void test_board(void)
{
	u32 a, b;

	section("unclaimed addresses, the ACPI timer, configuration space");
	CHECK_EQ(inb(0x3e0), 0xff, "a port that nobody answers reads all ones");
	qemu_differs("QEMU's unassigned memory reads 0");
	CHECK_EQ(*(volatile u32 *)0xfea00000ul, 0xffffffff, "memory that nobody answers, too");
	qemu_differs("QEMU q35 of this test has a VGA there");
	CHECK_EQ(*(volatile u32 *)0xb8000ul, 0xffffffff, "no VGA in the VGA hole");
	a = pm_ticks();
	b = pm_ticks();
	CHECK(((b - a) & 0xffffff) < 0x800000, "the ACPI timer goes forward");
	CHECK_EQ((a | b) >> 24, 0, "... in 24 bits");
	outl(0xcf8, 0x80000000);
	CHECK_EQ(inl(0xcfc), 0x29c08086, "host bridge");
	outl(0xcf8, 0x8000f800);
	CHECK_EQ(inl(0xcfc), 0x29188086, "LPC bridge");
	outl(0xcf8, 0x8000f808);
	CHECK_EQ(inl(0xcfc) >> 16, 0x0601, "... an ISA bridge");
	outl(0xcf8, 0x80010000);
	CHECK_EQ(inl(0xcfc), 0xffffffff, "nothing on bus 1");
	outl(0xcf8, 0);
	CHECK_EQ(inl(0xcfc), 0xffffffff, "nothing without the enable bit");
}

void suite(void)
{
	test_pit();
	test_pic();
	test_rtc();
	test_hpet();
	test_ioapic();
	test_uart();
	test_i8042();
	test_board();
}
