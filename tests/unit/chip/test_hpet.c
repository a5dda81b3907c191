/* SPDX-License-Identifier: Apache-2.0 */
/* hpet: capabilities, one-shot, periodic with value-set, legacy routes, level status, wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "chip/hpet.h"
#include "chip/ticks.h"

struct rig {
	struct hpet hpet;
	unsigned edges[32];
	bool level[32];
	bool legacy;
};

static void on_irq(void *arg, unsigned gsi, bool level)
{
	struct rig *r = arg;

	if (level && !r->level[gsi])
		r->edges[gsi]++;
	r->level[gsi] = level;
}

static void on_legacy(void *arg, bool on)
{
	((struct rig *)arg)->legacy = on;
}

static const struct hpet_ops ops = {.irq = on_irq, .legacy = on_legacy};

static void wr(struct rig *r, u32 off, u64 value, u64 now)
{
	hpet_write(&r->hpet, off, 8, value, now);
}

static u64 rd(struct rig *r, u32 off, u64 now)
{
	return hpet_read(&r->hpet, off, 8, now);
}

static void test_capabilities(void **state)
{
	struct rig r = {0};

	(void)state;
	hpet_init(&r.hpet, &ops, &r);
	assert_int_equal(rd(&r, 0, 0) >> 32, 10000000); /* fs: 100 MHz */
	assert_int_equal(rd(&r, 0, 0) & 0xffffffff, 0x8086a201);
	assert_int_equal(hpet_read(&r.hpet, 4, 4, 0), 10000000);
	assert_int_equal(rd(&r, 0x100, 0) & 0x30, 0x30); /* periodic, 64 bits */
	assert_int_equal(rd(&r, 0x100, 0) >> 32, 0x00ff0104);
	assert_int_equal(rd(&r, 0x100, 0) & 0x8000, 0); /* no FSB */
	assert_int_equal(rd(&r, 0xf0, 12345), 0);	/* halted */
}

static void test_counter(void **state)
{
	struct rig r = {0};

	(void)state;
	hpet_init(&r.hpet, &ops, &r);
	wr(&r, 0x10, 1, 1000);
	assert_int_equal(rd(&r, 0xf0, 1009), 0);
	assert_int_equal(rd(&r, 0xf0, 2000), 100);
	wr(&r, 0x10, 0, 3000);
	assert_int_equal(rd(&r, 0xf0, 9000), 200);
	wr(&r, 0xf0, 0x1fffffff0, 9000);
	wr(&r, 0x10, 1, 9000);
	assert_int_equal(rd(&r, 0xf0, 9320), 0x200000010);
	assert_int_equal(hpet_read(&r.hpet, 0xf4, 4, 9320), 2);
}

static void test_one_shot_legacy(void **state)
{
	struct rig r = {0};

	(void)state;
	hpet_init(&r.hpet, &ops, &r);
	wr(&r, 0x10, 3, 0);
	assert_true(r.legacy);
	wr(&r, 0x100, 0x004, 0);
	wr(&r, 0x108, 500, 0);
	assert_int_equal(hpet_deadline(&r.hpet, 0), 5000);
	hpet_poll(&r.hpet, 4999);
	assert_int_equal(r.edges[2], 0);
	hpet_poll(&r.hpet, 5000);
	assert_int_equal(r.edges[2], 1);
	hpet_poll(&r.hpet, 90000);
	assert_int_equal(r.edges[2], 1);
	assert_int_equal(hpet_deadline(&r.hpet, 90000), TICKS_NEVER);
	wr(&r, 0x120, 0x004, 90000); /* timer 1 is IRQ8 */
	wr(&r, 0x128, 9100, 90000);
	hpet_poll(&r.hpet, 91000);
	assert_int_equal(r.edges[8], 1);
	wr(&r, 0x10, 1, 92000);
	assert_false(r.legacy);
}

static void test_periodic(void **state)
{
	struct rig r = {0};

	(void)state;
	hpet_init(&r.hpet, &ops, &r);
	wr(&r, 0x10, 3, 0);
	hpet_poll(&r.hpet, 700);
	hpet_write(&r.hpet, 0x100, 4, 0x14c, 1000); /* enable, periodic, value set, 32 bits */
	hpet_write(&r.hpet, 0x108, 4, 1100, 1000);  /* first match */
	hpet_write(&r.hpet, 0x108, 4, 1000, 1000);  /* period */
	assert_int_equal(hpet_deadline(&r.hpet, 1000), 11000);
	hpet_poll(&r.hpet, 11000);
	assert_int_equal(r.edges[2], 1);
	assert_int_equal(hpet_deadline(&r.hpet, 11000), 21000);
	hpet_poll(&r.hpet, 21005);
	assert_int_equal(r.edges[2], 2);
	assert_int_equal(hpet_deadline(&r.hpet, 21005), 31000);
	hpet_poll(&r.hpet, 65000); /* late: one interrupt, phase kept */
	assert_int_equal(r.edges[2], 3);
	assert_int_equal(hpet_deadline(&r.hpet, 65000), 71000);
	assert_int_equal(rd(&r, 0x108, 65000), 7100);
}

static void test_level(void **state)
{
	struct rig r = {0};

	(void)state;
	hpet_init(&r.hpet, &ops, &r);
	wr(&r, 0x10, 1, 0);
	wr(&r, 0x140, 20 << 9 | 0x6, 0); /* timer 2 on pin 20, level */
	wr(&r, 0x148, 10, 0);
	hpet_poll(&r.hpet, 100);
	assert_true(r.level[20]);
	assert_int_equal(rd(&r, 0x20, 100), 4);
	assert_int_equal(hpet_deadline(&r.hpet, 100), TICKS_NEVER);
	hpet_write(&r.hpet, 0x20, 4, 3, 100); /* other bits: nothing */
	assert_true(r.level[20]);
	hpet_write(&r.hpet, 0x20, 4, 4, 100);
	assert_false(r.level[20]);
	assert_int_equal(rd(&r, 0x20, 100), 0);
}

static void test_wrap_32(void **state)
{
	struct rig r = {0};

	(void)state;
	hpet_init(&r.hpet, &ops, &r);
	wr(&r, 0xf0, 0xfffffff0, 0);
	wr(&r, 0x10, 3, 0);
	wr(&r, 0x100, 0x104, 0);
	wr(&r, 0x108, 0x10, 0); /* 32 ticks ahead, over the wrap */
	assert_int_equal(hpet_deadline(&r.hpet, 0), 320);
	hpet_poll(&r.hpet, 319);
	assert_int_equal(r.edges[2], 0);
	hpet_poll(&r.hpet, 320);
	assert_int_equal(r.edges[2], 1);
	/* a 64-bit comparator in the past never matches */
	wr(&r, 0x120, 0x004, 400);
	wr(&r, 0x128, 5, 400);
	hpet_poll(&r.hpet, 1000000);
	assert_int_equal(r.edges[8], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capabilities),	cmocka_unit_test(test_counter),
		cmocka_unit_test(test_one_shot_legacy), cmocka_unit_test(test_periodic),
		cmocka_unit_test(test_level),		cmocka_unit_test(test_wrap_32),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
