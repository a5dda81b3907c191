/* SPDX-License-Identifier: Apache-2.0 */
/* pit: modes against the data sheet's clock counts, latches, read-back, BCD, gate 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "chip/pit.h"
#include "chip/ticks.h"

struct rig {
	struct pit pit;
	bool line;
	unsigned rises;
};

static void on_irq(void *arg, bool level)
{
	struct rig *r = arg;

	if (level && !r->line)
		r->rises++;
	r->line = level;
}

static const struct pit_ops ops = {.irq = on_irq};

/* ns at which `clk` clocks have passed */
static u64 at(u64 clk)
{
	return ticks_to_ns(clk, PIT_HZ);
}

static void program(struct rig *r, unsigned channel, u8 mode, u16 count, u64 clk)
{
	pit_write(&r->pit, 3, (u8)(channel << 6 | 0x30 | mode << 1), at(clk));
	pit_write(&r->pit, channel, (u8)count, at(clk));
	pit_write(&r->pit, channel, (u8)(count >> 8), at(clk));
}

static u16 latched(struct rig *r, unsigned channel, u64 clk)
{
	u16 low;

	pit_write(&r->pit, 3, (u8)(channel << 6), at(clk));
	low = pit_read(&r->pit, channel, at(clk));
	return (u16)(low | pit_read(&r->pit, channel, at(clk)) << 8);
}

static void test_mode0(void **state)
{
	struct rig r = {0};

	(void)state;
	pit_init(&r.pit, &ops, &r);
	program(&r, 0, 0, 1000, 100);
	assert_false(r.line);
	assert_int_equal(pit_deadline(&r.pit, at(100)), at(1101)); /* N + 1 clocks */
	assert_int_equal(latched(&r, 0, 101), 1000);
	assert_int_equal(latched(&r, 0, 601), 500);
	pit_poll(&r.pit, at(1100));
	assert_false(r.line);
	pit_poll(&r.pit, at(1101));
	assert_true(r.line);
	assert_int_equal(r.rises, 1);
	assert_int_equal(pit_deadline(&r.pit, at(1101)), TICKS_NEVER);
	assert_int_equal(latched(&r, 0, 1102), 0xffff); /* goes on counting */
	pit_write(&r.pit, 0, 5, at(1200));		/* the first byte lowers OUT */
	assert_false(r.line);
	pit_write(&r.pit, 0, 0, at(1200));
	pit_poll(&r.pit, at(1206));
	assert_int_equal(r.rises, 2);
}

static void test_mode2(void **state)
{
	struct rig r = {0};
	unsigned base;

	(void)state;
	pit_init(&r.pit, &ops, &r);
	program(&r, 0, 2, 100, 0);
	base = r.rises; /* OUT goes high with the control word */
	assert_int_equal(pit_deadline(&r.pit, at(0)), at(101));
	pit_poll(&r.pit, at(101));
	assert_int_equal(r.rises, base + 1);
	assert_int_equal(pit_deadline(&r.pit, at(101)), at(201));
	pit_poll(&r.pit, at(201));
	pit_poll(&r.pit, at(202));
	assert_int_equal(r.rises, base + 2);
	pit_poll(&r.pit, at(551)); /* three missed: one edge */
	assert_int_equal(r.rises, base + 3);
	assert_int_equal(latched(&r, 0, 601), 100); /* N .. 1 */
	assert_int_equal(latched(&r, 0, 700), 1);
	/* a new count takes over at the end of the period */
	pit_write(&r.pit, 0, 50, at(750));
	pit_write(&r.pit, 0, 0, at(750));
	assert_int_equal(pit_deadline(&r.pit, at(750)), at(801));
	pit_poll(&r.pit, at(801));
	assert_int_equal(pit_deadline(&r.pit, at(801)), at(851));
	/* OUT is low for the last clock */
	assert_true(pit_out(&r.pit, 0, at(849)));
	assert_false(pit_out(&r.pit, 0, at(850)));
	assert_true(pit_out(&r.pit, 0, at(851)));
}

static void test_mode3(void **state)
{
	struct rig r = {0};

	(void)state;
	pit_init(&r.pit, &ops, &r);
	program(&r, 0, 3, 5, 0); /* odd: high 3, low 2 */
	assert_true(pit_out(&r.pit, 0, at(1)));
	assert_true(pit_out(&r.pit, 0, at(3)));
	assert_false(pit_out(&r.pit, 0, at(4)));
	assert_false(pit_out(&r.pit, 0, at(5)));
	assert_true(pit_out(&r.pit, 0, at(6)));
	program(&r, 0, 3, 0, 100); /* 65536, the PC's 18.2 Hz */
	assert_int_equal(pit_deadline(&r.pit, at(100)), at(65637));
	assert_int_equal(latched(&r, 0, 101 + 10), 65536 - 20); /* counts by two */
}

static void test_one_shot_gate(void **state)
{
	struct rig r = {0};

	(void)state;
	pit_init(&r.pit, &ops, &r);
	program(&r, 2, 1, 100, 0);
	assert_true(pit_out(&r.pit, 2, at(50)));
	pit_sysctl_write(&r.pit, 1, at(60));
	assert_false(pit_out(&r.pit, 2, at(61)));
	assert_false(pit_out(&r.pit, 2, at(160)));
	assert_true(pit_out(&r.pit, 2, at(161)));
	pit_sysctl_write(&r.pit, 0, at(200));
	pit_sysctl_write(&r.pit, 1, at(210)); /* retrigger */
	assert_false(pit_out(&r.pit, 2, at(310)));
	assert_true(pit_out(&r.pit, 2, at(311)));
}

/* The way Linux measures the TSC: channel 2, mode 0, gate on, OUT in port 0x61 bit 5. */
static void test_calibration(void **state)
{
	struct rig r = {0};

	(void)state;
	pit_init(&r.pit, &ops, &r);
	pit_sysctl_write(&r.pit, 1, at(0));
	program(&r, 2, 0, 11931, 10); /* 10 ms */
	assert_int_equal(pit_sysctl_read(&r.pit, at(11941)) & 0x20, 0);
	assert_int_equal(pit_sysctl_read(&r.pit, at(11942)) & 0x20, 0x20);
	assert_int_equal(pit_sysctl_read(&r.pit, at(11942)) & 0x03, 0x01);
	/* gate off holds the count */
	program(&r, 2, 0, 100, 20000);
	pit_sysctl_write(&r.pit, 0, at(20051));
	assert_int_equal(latched(&r, 2, 30000), 50);
	pit_sysctl_write(&r.pit, 1, at(30000));
	assert_int_equal(pit_out(&r.pit, 2, at(30049)), false);
	assert_int_equal(pit_out(&r.pit, 2, at(30050)), true);
}

static void test_strobe(void **state)
{
	struct rig r = {0};
	unsigned base;

	(void)state;
	pit_init(&r.pit, &ops, &r);
	program(&r, 0, 4, 10, 0);
	base = r.rises;
	assert_true(pit_out(&r.pit, 0, at(10)));
	assert_false(pit_out(&r.pit, 0, at(11)));
	assert_true(pit_out(&r.pit, 0, at(12)));
	assert_int_equal(pit_deadline(&r.pit, at(5)), at(12));
	pit_poll(&r.pit, at(12));
	assert_int_equal(r.rises, base + 1);
	assert_int_equal(pit_deadline(&r.pit, at(12)), TICKS_NEVER);
}

static void test_read_back(void **state)
{
	struct rig r = {0};

	(void)state;
	pit_init(&r.pit, &ops, &r);
	pit_write(&r.pit, 3, 0x34, at(0));
	pit_write(&r.pit, 3, 0xe2, at(0));				  /* status of channel 0 */
	assert_int_equal(pit_read(&r.pit, 0, at(0)), 0x80 | 0x40 | 0x34); /* null count */
	pit_write(&r.pit, 0, 0x00, at(0));
	pit_write(&r.pit, 0, 0x10, at(0));
	pit_write(&r.pit, 3, 0xc2, at(17)); /* count and status */
	assert_int_equal(pit_read(&r.pit, 0, at(500)), 0x80 | 0x34);
	assert_int_equal(pit_read(&r.pit, 0, at(500)), 0xf0); /* 0x1000 - 16 */
	assert_int_equal(pit_read(&r.pit, 0, at(500)), 0x0f);
	/* a latch holds until read; a second latch command changes nothing */
	pit_write(&r.pit, 3, 0x00, at(17));
	pit_write(&r.pit, 3, 0x00, at(1017));
	assert_int_equal(pit_read(&r.pit, 0, at(2000)), 0xf0);
	assert_int_equal(pit_read(&r.pit, 0, at(2000)), 0x0f);
}

static void test_bcd_and_bytes(void **state)
{
	struct rig r = {0};

	(void)state;
	pit_init(&r.pit, &ops, &r);
	pit_write(&r.pit, 3, 0x31, at(0)); /* mode 0, BCD */
	pit_write(&r.pit, 0, 0x00, at(0));
	pit_write(&r.pit, 0, 0x10, at(0)); /* 1000 */
	assert_int_equal(latched(&r, 0, 2), 0x0999);
	assert_int_equal(latched(&r, 0, 1002), 0x9999);
	pit_write(&r.pit, 3, 0x10, at(3000)); /* low byte only, mode 0 */
	pit_write(&r.pit, 0, 200, at(3000));
	assert_int_equal(pit_deadline(&r.pit, at(3000)), at(3201));
	pit_write(&r.pit, 3, 0x20, at(5000)); /* high byte only */
	pit_write(&r.pit, 0, 2, at(5000));
	assert_int_equal(pit_deadline(&r.pit, at(5000)), at(5513));
	assert_int_equal(pit_read(&r.pit, 0, at(5001)), 2);
}

static void test_long_time(void **state)
{
	(void)state;
	for (u64 t = 1; t < 1ull << 50; t = t * 3 + 1)
		assert_int_equal(ticks_from_ns(ticks_to_ns(t, PIT_HZ), PIT_HZ), t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode0),	    cmocka_unit_test(test_mode2),
		cmocka_unit_test(test_mode3),	    cmocka_unit_test(test_one_shot_gate),
		cmocka_unit_test(test_calibration), cmocka_unit_test(test_strobe),
		cmocka_unit_test(test_read_back),   cmocka_unit_test(test_bcd_and_bytes),
		cmocka_unit_test(test_long_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
