/* SPDX-License-Identifier: Apache-2.0 */
/* pic: priorities, EOI kinds, rotation, cascade, spurious, ELCR, poll. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "chip/pic.h"

struct rig {
	struct pic pic;
	bool intr;
};

static void on_intr(void *arg, bool level)
{
	((struct rig *)arg)->intr = level;
}

static const struct pic_ops ops = {.intr = on_intr};

/* As a PC's firmware does: vectors 0x20 and 0x28, everything unmasked. */
static void start(struct rig *r, u8 icw4)
{
	pic_init(&r->pic, &ops, r);
	for (unsigned half = 0; half < 2; half++) {
		pic_write(&r->pic, half, 0, 0x11);
		pic_write(&r->pic, half, 1, half ? 0x28 : 0x20);
		pic_write(&r->pic, half, 1, half ? 2 : 4);
		pic_write(&r->pic, half, 1, icw4);
		pic_write(&r->pic, half, 1, 0);
	}
}

static void test_priority_and_eoi(void **state)
{
	struct rig r = {0};

	(void)state;
	start(&r, 0x01);
	pic_line(&r.pic, 4, true);
	assert_true(r.intr);
	pic_line(&r.pic, 1, true);
	assert_int_equal(pic_ack(&r.pic), 0x21);
	assert_false(r.intr); /* 4 is below 1 in service */
	pic_line(&r.pic, 0, true);
	assert_true(r.intr); /* 0 nests */
	assert_int_equal(pic_ack(&r.pic), 0x20);
	pic_write(&r.pic, 0, 0, 0x0b);
	assert_int_equal(pic_read(&r.pic, 0, 0), 0x03); /* ISR */
	pic_write(&r.pic, 0, 0, 0x20);			/* non-specific: ends 0 */
	assert_int_equal(pic_read(&r.pic, 0, 0), 0x02);
	pic_write(&r.pic, 0, 0, 0x61); /* specific: ends 1 */
	assert_true(r.intr);
	assert_int_equal(pic_ack(&r.pic), 0x24);
	pic_write(&r.pic, 0, 0, 0x20);
	assert_false(r.intr);
	pic_write(&r.pic, 0, 0, 0x0a);
	assert_int_equal(pic_read(&r.pic, 0, 0), 0x00); /* edges were consumed */
}

static void test_cascade(void **state)
{
	struct rig r = {0};

	(void)state;
	start(&r, 0x01);
	pic_line(&r.pic, 12, true);
	pic_line(&r.pic, 8, true);
	assert_int_equal(pic_ack(&r.pic), 0x28);
	assert_false(r.intr);
	pic_write(&r.pic, 1, 0, 0x20);
	assert_false(r.intr); /* the master still serves input 2 */
	pic_write(&r.pic, 0, 0, 0x20);
	assert_true(r.intr);
	assert_int_equal(pic_ack(&r.pic), 0x2c);
	pic_line(&r.pic, 3, true); /* lower than the cascade */
	assert_false(r.intr);
	pic_line(&r.pic, 1, true);
	assert_true(r.intr);
}

static void test_fully_nested_slave(void **state)
{
	struct rig r = {0};

	(void)state;
	start(&r, 0x11); /* special fully nested mode */
	pic_line(&r.pic, 12, true);
	assert_int_equal(pic_ack(&r.pic), 0x2c);
	pic_line(&r.pic, 8, true);
	assert_true(r.intr); /* the slave may interrupt itself */
	assert_int_equal(pic_ack(&r.pic), 0x28);
}

static void test_spurious(void **state)
{
	struct rig r = {0};

	(void)state;
	start(&r, 0x01);
	pic_elcr_write(&r.pic, 0, 0x20); /* IRQ5 level */
	pic_line(&r.pic, 5, true);
	pic_line(&r.pic, 5, false);
	assert_false(r.intr);
	assert_int_equal(pic_ack(&r.pic), 0x27); /* nothing there */
	pic_write(&r.pic, 0, 0, 0x0b);
	assert_int_equal(pic_read(&r.pic, 0, 0), 0); /* and nothing in service */
}

static void test_level(void **state)
{
	struct rig r = {0};

	(void)state;
	start(&r, 0x01);
	pic_elcr_write(&r.pic, 1, 0xff);
	assert_int_equal(pic_elcr_read(&r.pic, 1), 0xde); /* 8 and 13 cannot be level */
	pic_elcr_write(&r.pic, 0, 0xff);
	assert_int_equal(pic_elcr_read(&r.pic, 0), 0xf8);
	pic_line(&r.pic, 10, true);
	assert_int_equal(pic_ack(&r.pic), 0x2a);
	pic_write(&r.pic, 1, 0, 0x20);
	pic_write(&r.pic, 0, 0, 0x20);
	assert_true(r.intr); /* still asserted: again */
	assert_int_equal(pic_ack(&r.pic), 0x2a);
	pic_line(&r.pic, 10, false);
	pic_write(&r.pic, 1, 0, 0x20);
	pic_write(&r.pic, 0, 0, 0x20);
	assert_false(r.intr);
}

static void test_mask_and_special_mask(void **state)
{
	struct rig r = {0};

	(void)state;
	start(&r, 0x01);
	pic_write(&r.pic, 0, 1, 0x08);
	pic_line(&r.pic, 3, true);
	assert_false(r.intr);
	pic_write(&r.pic, 0, 1, 0x00);
	assert_true(r.intr); /* the edge was kept */
	assert_int_equal(pic_ack(&r.pic), 0x23);
	pic_line(&r.pic, 6, true);
	assert_false(r.intr);
	pic_write(&r.pic, 0, 1, 0x08); /* masks the one in service ... */
	pic_write(&r.pic, 0, 0, 0x68); /* ... in special mask mode: it inhibits nobody */
	assert_true(r.intr);
	assert_int_equal(pic_ack(&r.pic), 0x26);
}

static void test_rotation(void **state)
{
	struct rig r = {0};

	(void)state;
	start(&r, 0x01);
	pic_line(&r.pic, 3, true);
	assert_int_equal(pic_ack(&r.pic), 0x23);
	pic_write(&r.pic, 0, 0, 0xa0); /* rotate on non-specific EOI: 3 becomes lowest */
	pic_line(&r.pic, 3, false);
	pic_line(&r.pic, 3, true);
	pic_line(&r.pic, 4, true);
	pic_line(&r.pic, 1, true);
	assert_int_equal(pic_ack(&r.pic), 0x24);
	pic_write(&r.pic, 0, 0, 0x20);
	assert_int_equal(pic_ack(&r.pic), 0x21);
	pic_write(&r.pic, 0, 0, 0x20);
	assert_int_equal(pic_ack(&r.pic), 0x23);
	pic_write(&r.pic, 0, 0, 0x20);
	pic_write(&r.pic, 0, 0, 0xc7); /* set priority: 7 lowest, 0 highest again */
	pic_line(&r.pic, 4, false);
	pic_line(&r.pic, 4, true);
	pic_line(&r.pic, 0, true);
	assert_int_equal(pic_ack(&r.pic), 0x20);
}

static void test_auto_eoi_and_poll(void **state)
{
	struct rig r = {0};

	(void)state;
	start(&r, 0x03);
	pic_line(&r.pic, 5, true);
	assert_int_equal(pic_ack(&r.pic), 0x25);
	pic_write(&r.pic, 0, 0, 0x0b);
	assert_int_equal(pic_read(&r.pic, 0, 0), 0);
	pic_write(&r.pic, 0, 0, 0x80); /* rotate in AEOI mode */
	pic_line(&r.pic, 1, true);
	assert_int_equal(pic_ack(&r.pic), 0x21);
	pic_line(&r.pic, 0, true);
	pic_line(&r.pic, 7, true);
	assert_int_equal(pic_ack(&r.pic), 0x27); /* 2 is now first, 0 comes after 7 */
	start(&r, 0x01);
	pic_line(&r.pic, 6, false);
	pic_line(&r.pic, 6, true);
	pic_write(&r.pic, 0, 0, 0x0c);
	assert_int_equal(pic_read(&r.pic, 0, 0), 0x86);
	assert_false(r.intr);
	pic_write(&r.pic, 0, 0, 0x0c);
	assert_int_equal(pic_read(&r.pic, 0, 1), 0x00);
	assert_int_equal(pic_read(&r.pic, 0, 1), 0x00); /* the mask again */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_priority_and_eoi),
		cmocka_unit_test(test_cascade),
		cmocka_unit_test(test_fully_nested_slave),
		cmocka_unit_test(test_spurious),
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_mask_and_special_mask),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_auto_eoi_and_poll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
