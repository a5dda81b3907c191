/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test board: RAM slots and their edges, the bus (splitting, moving regions under load), lines, the
 * clock.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "board/bus.h"
#include "board/clock.h"
#include "board/irq.h"
#include "board/ram.h"
#include "host/fail.h"
#include "host/log.h"
#include "host/thread.h"
#include "lib/bits.h"

/* ---- ram --------------------------------------------------------------------------------- */

static void test_ram(unused_arg void **state)
{
	u8 buf[0x3000], back[0x3000];
	struct ram ram;

	ram_open(&ram);
	assert_int_equal(ram_add(&ram, 0x100000000ull, 0x10000, RAM_KIND_RAM, "high"), 0);
	assert_int_equal(ram_add(&ram, 0, 0x10000, RAM_KIND_RAM, "low"), 0);
	assert_int_equal(ram_add(&ram, 0x10000, 0x1000, RAM_KIND_ROM, "rom"), 0);
	assert_int_equal(ram_add(&ram, 0xf000, 0x2000, RAM_KIND_RAM, "bad"), -EEXIST);
	assert_int_equal(ram_add(&ram, 0x20000, 100, RAM_KIND_RAM, "bad"), -EINVAL);
	assert_int_equal(ram_add(&ram, ~0ull - 0xfff, 0x2000, RAM_KIND_RAM, "bad"), -EINVAL);
	assert_int_equal(ram.bytes, 0x20000);
	memset(buf, 0x77, sizeof(buf));
	assert_int_equal(ram_write(&ram, 0xe000, buf, 0x2000), 0);
	assert_int_equal(ram_write(&ram, 0xe000, buf, 0x2001), -EFAULT); /* into ROM */
	assert_int_equal(ram_read(&ram, 0xe000, back, 0x3000), 0);	 /* across slots */
	assert_memory_equal(back, buf, 0x2000);
	assert_int_equal(back[0x2000], 0);
	assert_int_equal(ram_read(&ram, 0xe000, back, 0x3001), -EFAULT);
	assert_int_equal(ram_load(&ram, 0x10000, buf, 0x1000), 0);
	assert_null(ram_ptr(&ram, 0xffff, 2));
	assert_null(ram_ptr(&ram, 0x100000000ull, ~0ull));
	assert_null(ram_ptr(&ram, ~0ull, 2));
	assert_non_null(ram_ptr(&ram, 0xffff, 0));
	assert_null(ram_write_begin(&ram, 0x10000, 1));
	assert_true(((uintptr_t)ram.slot[0].host & 0x1fffff) == 0);
	ram_close(&ram);
}

static void test_ram_hole(unused_arg void **state)
{
	u8 buf[0x1000], back[0x1000];
	struct ram ram;

	ram_open(&ram);
	assert_int_equal(ram_add(&ram, 0, 0x10000, RAM_KIND_RAM, "low"), 0);
	assert_int_equal(ram_add(&ram, 0x20000, 0x1000, RAM_KIND_RAM, "high"), 0);
	memset(buf, 0x5a, sizeof(buf));
	assert_int_equal(ram_write(&ram, 0x9000, buf, sizeof(buf)), 0);
	assert_int_equal(ram_punch(&ram, 0x6000, 0x3000), 0);
	assert_int_equal(ram.slots, 3);
	assert_int_equal(ram.bytes, 0xe000);
	assert_int_equal(ram_read(&ram, 0x9000, back, sizeof(back)), 0);
	assert_memory_equal(back, buf, sizeof(buf));
	assert_int_equal(ram_write(&ram, 0x5000, buf, 0x1000), 0);
	assert_int_equal(ram_write(&ram, 0x5000, buf, 0x1001), -EFAULT);
	assert_int_equal(ram_read(&ram, 0x8fff, back, 2), -EFAULT);
	assert_null(ram_ptr(&ram, 0x6000, 1));
	assert_null(ram_find(&ram, 0x8fff));
	assert_ptr_equal(ram_find(&ram, 0x9000)->host - ram_find(&ram, 0)->host, 0x9000);
	assert_int_equal(ram_punch(&ram, 0x6000, 0x1000), -EINVAL);
	assert_int_equal(ram_punch(&ram, 0xf000, 0x1000), -EINVAL);
	assert_int_equal(ram_punch(&ram, 0xf000, 0x12000), -EINVAL);
	assert_int_equal(ram_punch(&ram, 0x0, 0x1000), -EINVAL);
	assert_int_equal(ram_punch(&ram, 0x1800, 0x1000), -EINVAL);
	ram_close(&ram);
}

/* ---- bus --------------------------------------------------------------------------------- */

struct counter {
	u64 last_off;
	unsigned last_size;
	u64 last_value;
	unsigned calls;
};

static u64 counter_read(void *arg, u64 off, unsigned size)
{
	struct counter *c = arg;

	c->last_off = off;
	c->last_size = size;
	c->calls++;
	return 0x1122334455667788ull >> (off % 8 * 8);
}

static void counter_write(void *arg, u64 off, unsigned size, u64 value)
{
	struct counter *c = arg;

	c->last_off = off;
	c->last_size = size;
	c->last_value = value;
	c->calls++;
}

static void test_bus(unused_arg void **state)
{
	struct counter a = {0}, b = {0}, d = {0};
	struct bus_region ra = {.name = "a",
				.base = 0x1000,
				.size = 8,
				.read = counter_read,
				.write = counter_write,
				.arg = &a};
	struct bus_region rb = {.name = "b",
				.base = 0x1008,
				.size = 8,
				.read = counter_read,
				.write = counter_write,
				.arg = &b,
				.max_size = 2};
	struct bus_region rd = {.name = "d",
				.base = 0xcf8,
				.size = 4,
				.write = counter_write,
				.arg = &d,
				.dword_only = true};
	struct bus_region re = {
		.name = "e", .base = 0xcf9, .size = 1, .write = counter_write, .arg = &a};
	struct bus *bus;

	assert_int_equal(bus_open(&bus), 0);
	assert_int_equal(bus_add(bus, BUS_MMIO, &ra), 0);
	assert_int_equal(bus_add(bus, BUS_MMIO, &rb), 0);
	assert_int_equal(bus_add(bus, BUS_MMIO, &rb), -EEXIST);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1000, 8), 0x1122334455667788ull);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1008, 4), 0x55667788);
	assert_int_equal(b.calls, 2);
	assert_int_equal(b.last_size, 2);
	/* across the border: bytes; past the end: ones */
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1006, 4), 0x77881122);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x100e, 4), 0xffff1122);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0xfff, 2), 0x88ff);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x5000, 8), ~0ull);
	assert_int_equal(bus_read(bus, BUS_PIO, 0x1000, 1), 0xff);
	bus_write(bus, BUS_MMIO, ~0ull, 8, 1);

	assert_int_equal(bus_add(bus, BUS_PIO, &rd), 0);
	assert_int_equal(bus_add(bus, BUS_PIO, &re), 0);
	a.calls = 0;
	bus_write(bus, BUS_PIO, 0xcf8, 4, 0x80001234);
	assert_int_equal(d.last_value, 0x80001234);
	assert_int_equal(a.calls, 0);
	bus_write(bus, BUS_PIO, 0xcf9, 1, 6);
	assert_int_equal(a.last_value, 6);
	assert_int_equal(d.calls, 1);
	bus_write(bus, BUS_PIO, 0xcf8, 2, 0x0600);
	assert_int_equal(d.calls, 1);
	bus_remove(bus, BUS_PIO, &rd);
	bus_remove(bus, BUS_MMIO, &ra);
	bus_remove(bus, BUS_MMIO, &ra);
	assert_int_equal(bus_read(bus, BUS_MMIO, 0x1000, 2), 0xffff);
	bus_close(bus);
}

/* Two readers against one mover: whoever is seen inside after bus_remove is an error. */
struct storm {
	struct bus *bus;
	struct bus_region region;
	bool gone, stop, error;
	u64 hits;
};

static u64 storm_read(void *arg, u64 off, unused_arg unsigned size)
{
	struct storm *s = arg;

	for (volatile unsigned i = 0; i < 50; i++)
		;
	if (__atomic_load_n(&s->gone, __ATOMIC_SEQ_CST) || off >= 0x1000)
		__atomic_store_n(&s->error, true, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&s->hits, 1, __ATOMIC_RELAXED);
	return 0;
}

static void *storm_reader(void *arg)
{
	struct storm *s = arg;

	for (u64 i = 0; !__atomic_load_n(&s->stop, __ATOMIC_RELAXED); i++)
		bus_read(s->bus, BUS_MMIO, 0x10000 + i % 16 * 0x1000, 4);
	return NULL;
}

static void test_bus_storm(unused_arg void **state)
{
	struct storm s = {0};
	pthread_t thread[2];

	assert_int_equal(bus_open(&s.bus), 0);
	s.region = (struct bus_region){
		.name = "storm", .base = 0x10000, .size = 0x1000, .read = storm_read, .arg = &s};
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, storm_reader, &s);
	for (unsigned i = 0; i < 5000; i++) {
		s.region.base = 0x10000 + i % 16 * 0x1000;
		__atomic_store_n(&s.gone, false, __ATOMIC_SEQ_CST);
		assert_int_equal(bus_add(s.bus, BUS_MMIO, &s.region), 0);
		for (volatile unsigned k = 0; k < 500; k++)
			;
		bus_remove(s.bus, BUS_MMIO, &s.region);
		__atomic_store_n(&s.gone, true, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_false(s.error);
	bus_close(s.bus);
}

/* ---- irq --------------------------------------------------------------------------------- */

static void note_line(void *arg, unsigned gsi, bool level)
{
	u32 *log = arg;

	*log = *log << 8 | gsi << 1 | level;
}

static void test_irq(unused_arg void **state)
{
	struct irq irq;
	u32 log = 0;

	irq_open(&irq);
	irq_line(&irq, 4, true); /* no controller yet */
	irq.controller = (struct irq_controller){.arg = &log, .line = note_line};
	irq_pulse(&irq, 4);
	assert_int_equal(log, 0x080908);
	assert_int_equal(irq.line_count[4], 2);
	/* up while one of its sources holds it up; the device's can be cut off, and comes back */
	irq_line(&irq, 5, true);
	irq_line_from(&irq, IRQ_FROM_PIRQ, 5, true);
	irq_line(&irq, 5, false);
	assert_int_equal(log & 0xff, 5 << 1 | 1);
	irq_line_from(&irq, IRQ_FROM_PIRQ, 5, false);
	assert_int_equal(log & 0xff, 5 << 1);
	irq_line(&irq, 2, true);
	irq_cut(&irq, BIT(2) | BIT(8));
	assert_int_equal(log & 0xffff, (2 << 1) << 8 | 8 << 1);
	irq_line(&irq, 2, false);
	irq_line(&irq, 2, true);
	assert_int_equal(log & 0xff, 2 << 1);
	irq_line_from(&irq, IRQ_FROM_HPET, 2, true);
	assert_int_equal(log & 0xff, 2 << 1 | 1);
	irq_line_from(&irq, IRQ_FROM_HPET, 2, false);
	irq_cut(&irq, 0);
	assert_int_equal((log >> 8 & 0xff), 2 << 1 | 1);
	irq_msi(&irq, 0xfee00000, 1);
	irq_eoi(&irq, 1);
	assert_int_equal(irq_ack(&irq), 0xff);
	irq_close(&irq);
}

/* ---- clock ------------------------------------------------------------------------------- */

struct alarm {
	struct clock_timer timer;
	u64 fired_at;
	u32 count;
};

static void alarm_fire(struct clock_timer *timer)
{
	struct alarm *alarm = timer->arg;

	alarm->fired_at = clock_now(timer->clock);
	__atomic_fetch_add(&alarm->count, 1, __ATOMIC_SEQ_CST);
}

static void nap(u64 ns)
{
	struct timespec t = {.tv_nsec = (long)ns};

	nanosleep(&t, NULL);
}

/* The loop's thread gets a CPU when the host has one; then once, and not again. */
static void wait_alarm(const struct alarm *alarm, u32 count)
{
	for (unsigned i = 0; i < 500 && __atomic_load_n(&alarm->count, __ATOMIC_SEQ_CST) < count;
	     i++)
		nap(10000000);
	nap(40000000);
	assert_int_equal(__atomic_load_n(&alarm->count, __ATOMIC_SEQ_CST), count);
}

static void test_clock(unused_arg void **state)
{
	struct loop_thread thread;
	struct alarm alarm = {0};
	struct clock clock;
	u64 a, b, host[4], least, most;

	assert_int_equal(loop_thread_open(&thread, "test"), 0);
	assert_int_equal(clock_open(&clock, thread.loop), 0);
	assert_true(clock_now(&clock) < 1000000000ull);
	/* as fast as the host's clock, however late this thread reads either of them */
	host[0] = host_now_ns();
	a = clock_now(&clock);
	host[1] = host_now_ns();
	nap(100000000);
	host[2] = host_now_ns();
	b = clock_now(&clock) - a;
	host[3] = host_now_ns();
	most = host[3] - host[0];
	least = host[2] - host[1];
	assert_true(b > least - least / 1000 - 1000 && b < most + most / 1000 + 1000);
	for (u64 ns = 1; ns < 1ull << 50; ns = ns * 3 + 1)
		assert_true(clock_tsc_to_ns(&clock, clock_ns_to_tsc(&clock, ns)) >= ns);

	clock_timer_init(&clock, &alarm.timer, alarm_fire, &alarm);
	a = clock_now(&clock) + 20000000;
	clock_timer_arm(&alarm.timer, a);
	wait_alarm(&alarm, 1);
	assert_true(alarm.fired_at >= a);
	clock_timer_arm(&alarm.timer, clock_now(&clock) + 200000000);
	clock_timer_cancel(&alarm.timer);
	nap(250000000);
	assert_int_equal(__atomic_load_n(&alarm.count, __ATOMIC_SEQ_CST), 1);

	/* paused: neither time nor timers move */
	clock_timer_arm(&alarm.timer, clock_now(&clock) + 200000000);
	clock_pause(&clock);
	a = clock_now(&clock);
	nap(250000000);
	assert_int_equal(clock_now(&clock), a);
	assert_int_equal(__atomic_load_n(&alarm.count, __ATOMIC_SEQ_CST), 1);
	clock_resume(&clock);
	wait_alarm(&alarm, 2);
	loop_thread_close(&thread);
	clock_close(&clock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ram), cmocka_unit_test(test_ram_hole),
		cmocka_unit_test(test_bus), cmocka_unit_test(test_bus_storm),
		cmocka_unit_test(test_irq), cmocka_unit_test(test_clock),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
