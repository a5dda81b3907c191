/* SPDX-License-Identifier: Apache-2.0 */
/* ioapic: registers, edges, level re-delivery after EOI, masks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "chip/ioapic.h"

struct rig {
	struct ioapic io;
	unsigned sent;
	u64 addr;
	u32 data;
};

static void on_msi(void *arg, u64 addr, u32 data)
{
	struct rig *r = arg;

	r->sent++;
	r->addr = addr;
	r->data = data;
}

static const struct ioapic_ops ops = {.msi = on_msi};

static u32 get(struct rig *r, u32 reg)
{
	ioapic_write(&r->io, 0x00, reg);
	return ioapic_read(&r->io, 0x10);
}

static void set(struct rig *r, u32 reg, u32 value)
{
	ioapic_write(&r->io, 0x00, reg);
	ioapic_write(&r->io, 0x10, value);
}

static void test_registers(void **state)
{
	struct rig r = {0};

	(void)state;
	ioapic_init(&r.io, &ops, &r);
	assert_int_equal(get(&r, 1), 0x00170020);
	set(&r, 0, 0x0f000000);
	assert_int_equal(get(&r, 0), 0x0f000000);
	assert_int_equal(get(&r, 2), 0x0f000000);
	for (u32 pin = 0; pin < 24; pin++)
		assert_int_equal(get(&r, 0x10 + 2 * pin), 0x00010000);
	set(&r, 0x10, 0xffffffff);
	assert_int_equal(get(&r, 0x10), 0x0001afff); /* status bits are read-only */
	set(&r, 0x11, 0xffffffff);
	assert_int_equal(get(&r, 0x11), 0xff000000);
	assert_int_equal(get(&r, 0x40), 0); /* beyond pin 23 */
	assert_int_equal(r.sent, 0);
}

static void test_edge(void **state)
{
	struct rig r = {0};

	(void)state;
	ioapic_init(&r.io, &ops, &r);
	ioapic_line(&r.io, 4, true); /* masked: forgotten */
	set(&r, 0x19, 0x03000000);
	set(&r, 0x18, 0x00000834); /* logical, fixed, vector 0x34 */
	assert_int_equal(r.sent, 0);
	ioapic_line(&r.io, 4, true); /* no edge */
	assert_int_equal(r.sent, 0);
	ioapic_line(&r.io, 4, false);
	ioapic_line(&r.io, 4, true);
	assert_int_equal(r.sent, 1);
	assert_int_equal(r.addr, 0xfee03004);
	assert_int_equal(r.data, 0x4034);
	assert_int_equal(get(&r, 0x18), 0x00000834); /* no Remote IRR for edges */
}

static void test_level(void **state)
{
	struct rig r = {0};

	(void)state;
	ioapic_init(&r.io, &ops, &r);
	set(&r, 0x30, 0x0000a051); /* pin 16: level, low-active, vector 0x51, CPU 0 */
	ioapic_line(&r.io, 16, true);
	assert_int_equal(r.sent, 1);
	assert_int_equal(r.addr, 0xfee00000);
	assert_int_equal(r.data, 0xc051);
	assert_int_equal(get(&r, 0x30), 0x0000e051); /* Remote IRR */
	ioapic_line(&r.io, 16, false);
	ioapic_line(&r.io, 16, true);
	assert_int_equal(r.sent, 1); /* waits for the EOI */
	ioapic_eoi(&r.io, 0x50);
	assert_int_equal(r.sent, 1);
	ioapic_eoi(&r.io, 0x51);
	assert_int_equal(r.sent, 2); /* still asserted: again */
	ioapic_line(&r.io, 16, false);
	ioapic_write(&r.io, 0x40, 0x51); /* EOI register of version 0x20 */
	assert_int_equal(r.sent, 2);
	assert_int_equal(get(&r, 0x30), 0x0000a051);
}

static void test_level_mask(void **state)
{
	struct rig r = {0};

	(void)state;
	ioapic_init(&r.io, &ops, &r);
	set(&r, 0x32, 0x00018060); /* pin 17 level, masked */
	ioapic_line(&r.io, 17, true);
	assert_int_equal(r.sent, 0);
	set(&r, 0x32, 0x00008060); /* unmasked while asserted */
	assert_int_equal(r.sent, 1);
	set(&r, 0x32, 0x00018060);
	ioapic_eoi(&r.io, 0x60);
	assert_int_equal(r.sent, 1);
	set(&r, 0x32, 0x00008060);
	assert_int_equal(r.sent, 2);
	/* mask and edge, then level again: an EOI without a vector */
	set(&r, 0x32, 0x00010060);
	assert_int_equal(get(&r, 0x32) & 0x4000, 0);
	set(&r, 0x32, 0x00008060);
	assert_int_equal(r.sent, 3);
}

static void test_shared_vector(void **state)
{
	struct rig r = {0};

	(void)state;
	ioapic_init(&r.io, &ops, &r);
	set(&r, 0x30, 0x00008070);
	set(&r, 0x32, 0x00008070);
	ioapic_line(&r.io, 16, true);
	ioapic_line(&r.io, 17, true);
	assert_int_equal(r.sent, 2);
	ioapic_eoi(&r.io, 0x70);
	assert_int_equal(r.sent, 4);
}

static void test_message(void **state)
{
	struct rig r = {0};
	u64 addr;
	u32 data;
	bool level;

	(void)state;
	ioapic_init(&r.io, &ops, &r);
	assert_false(ioapic_message(&r.io, 9, &addr, &data, &level));
	set(&r, 0x22, 0x00008149); /* pin 9: level, lowest priority */
	set(&r, 0x23, 0x02000000);
	assert_true(ioapic_message(&r.io, 9, &addr, &data, &level));
	assert_true(level);
	assert_int_equal(addr, 0xfee02000);
	assert_int_equal(data, 0xc149);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),     cmocka_unit_test(test_edge),
		cmocka_unit_test(test_level),	      cmocka_unit_test(test_level_mask),
		cmocka_unit_test(test_shared_vector), cmocka_unit_test(test_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
