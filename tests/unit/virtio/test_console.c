/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test console: bytes both ways with a backend that refuses, the window's size, and entropy.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>

#include "dev/virtio/console.h"
#include "dev/virtio/device.h"
#include "dev/virtio/rng.h"
#include "host/fail.h"
#include "host/log.h"
#include "ring.h"

#define RAM_SIZE 0x400000u
#define RING	 0x10000u
#define DATA	 0x200000u

struct rig {
	struct board board;
	struct pci_host *host;
	struct device *dev;
	struct ring ring[2];
	u64 bar;
	u8 out[256];
	u32 out_len, take, rooms; /* atomic */
};

static int put(void *arg, const u8 *bytes, unsigned len)
{
	struct rig *rig = arg;
	u32 take = __atomic_load_n(&rig->take, __ATOMIC_SEQ_CST);
	u32 n = len < take ? len : take;

	memcpy(rig->out + rig->out_len, bytes, n);
	__atomic_fetch_sub(&rig->take, n, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&rig->out_len, n, __ATOMIC_SEQ_CST);
	return (int)n;
}

static void room(void *arg)
{
	__atomic_fetch_add(&((struct rig *)arg)->rooms, 1, __ATOMIC_SEQ_CST);
}

static void set(struct rig *rig, unsigned off, unsigned size, u64 value)
{
	bus_write(rig->board.bus, BUS_MMIO, rig->bar + off, size, value);
}

static u64 reg(struct rig *rig, unsigned off, unsigned size)
{
	return bus_read(rig->board.bus, BUS_MMIO, rig->bar + off, size);
}

static void rig_open(struct rig *rig, bool console)
{
	const struct virtio_console_backend backend = {.arg = rig, .put = put, .room = room};

	memset(rig, 0, sizeof(*rig));
	rig->board.cpus = 1;
	assert_int_equal(ram_open(&rig->board.ram), 0);
	assert_int_equal(ram_add(&rig->board.ram, 0, RAM_SIZE, RAM_KIND_RAM, "ram"), 0);
	assert_int_equal(bus_open(&rig->board.bus), 0);
	assert_int_equal(irq_open(&rig->board.irq), 0);
	assert_int_equal(pci_host_open(&rig->board, &rig->host), 0);
	if (console)
		assert_int_equal(
			virtio_console_open(&rig->board, rig->host, 3, &backend, &rig->dev), 0);
	else
		assert_int_equal(virtio_rng_open(&rig->board, rig->host, 3, &rig->dev), 0);
	assert_int_equal(pci_assign_bars(rig->host), 0);
	rig->bar = pci_bar_address(pci_host_slot(rig->host, 3), 0);
}

static void rig_close(struct rig *rig)
{
	rig->dev->cls->close(rig->dev);
	pci_host_device(rig->host)->cls->close(pci_host_device(rig->host));
	irq_close(&rig->board.irq);
	bus_close(rig->board.bus);
	ram_close(&rig->board.ram);
}

static void driver_start(struct rig *rig, unsigned queues)
{
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	set(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	set(rig, VIRTIO_PCI_COMMON_GF, 4, 1u << VIRTIO_CONSOLE_F_SIZE & reg(rig, 4, 4));
	set(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	set(rig, VIRTIO_PCI_COMMON_GF, 4, 1);
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 11);
	for (unsigned n = 0; n < queues; n++) {
		ring_init(&rig->ring[n], &rig->board.ram, RING + n * 0x10000, 8, false, false);
		set(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, n);
		set(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
		set(rig, VIRTIO_PCI_COMMON_Q_DESC, 8, rig->ring[n].desc);
		set(rig, VIRTIO_PCI_COMMON_Q_DRIVER, 8, rig->ring[n].driver);
		set(rig, VIRTIO_PCI_COMMON_Q_DEVICE, 8, rig->ring[n].device);
		set(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	}
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	assert_int_equal(reg(rig, VIRTIO_PCI_COMMON_STATUS, 1), 15);
}

/* Up to two seconds for a used entry. */
static bool take(struct rig *rig, unsigned n, u32 *len, unsigned tries)
{
	struct timespec nap = {.tv_nsec = 1000000};
	u16 id;

	for (unsigned i = 0; i < tries; i++) {
		if (ring_take(&rig->ring[n], 1, &id, len))
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

static void test_output(unused_arg void **state)
{
	struct ring_buf buf = {DATA, 10, false};
	struct rig rig;
	u32 len;

	rig_open(&rig, true);
	driver_start(&rig, 2);
	memcpy(ring_mem(&rig.ring[1], DATA), "0123456789", 10);
	rig.take = 4;
	ring_add(&rig.ring[1], &buf, 1, 0);
	set(&rig, 0x3004, 2, 1);
	assert_false(take(&rig, 1, &len, 30)); /* six bytes wait */
	assert_int_equal(rig.out_len, 4);
	/* They outlive a pause. */
	rig.dev->cls->pause(rig.dev);
	rig.dev->cls->resume(rig.dev);
	__atomic_store_n(&rig.take, 100, __ATOMIC_SEQ_CST);
	virtio_console_writable(rig.dev);
	assert_true(take(&rig, 1, &len, 2000));
	assert_int_equal(rig.out_len, 10);
	assert_memory_equal(rig.out, "0123456789", 10);
	/* A reset while the backend refuses gives the request up. */
	__atomic_store_n(&rig.take, 0, __ATOMIC_SEQ_CST);
	ring_add(&rig.ring[1], &buf, 1, 0);
	set(&rig, 0x3004, 2, 1);
	assert_false(take(&rig, 1, &len, 10));
	driver_start(&rig, 2);
	rig_close(&rig);
}

static void test_input(unused_arg void **state)
{
	struct ring_buf buf = {DATA, 64, true};
	static u8 bulk[5000];
	struct rig rig;
	u32 len;

	rig_open(&rig, true);
	assert_int_equal(virtio_console_receive(rig.dev, (const u8 *)"early", 5), 5);
	driver_start(&rig, 2);
	ring_add(&rig.ring[0], &buf, 1, 0);
	set(&rig, 0x3000, 2, 0);
	assert_true(take(&rig, 0, &len, 2000));
	assert_int_equal(len, 5);
	assert_memory_equal(ring_mem(&rig.ring[0], DATA), "early", 5);
	/* More than fits: the rest is refused, and room is told. */
	assert_int_equal(virtio_console_receive(rig.dev, bulk, sizeof(bulk)), 4096);
	ring_add(&rig.ring[0], &buf, 1, 0);
	set(&rig, 0x3000, 2, 0);
	assert_true(take(&rig, 0, &len, 2000));
	assert_int_equal(len, 64);
	for (unsigned i = 0; i < 1000 && !__atomic_load_n(&rig.rooms, __ATOMIC_SEQ_CST); i++)
		take(&rig, 0, &len, 1);
	assert_int_equal(rig.rooms, 1);
	rig_close(&rig);
}

static void test_size(unused_arg void **state)
{
	struct rig rig;
	u64 generation;

	rig_open(&rig, true);
	driver_start(&rig, 2);
	generation = reg(&rig, VIRTIO_PCI_COMMON_CFGGEN, 1);
	virtio_console_resize(rig.dev, 132, 43);
	assert_int_equal(reg(&rig, 0x2000, 2), 132);
	assert_int_equal(reg(&rig, 0x2002, 2), 43);
	assert_int_not_equal(reg(&rig, VIRTIO_PCI_COMMON_CFGGEN, 1), generation);
	assert_int_equal(reg(&rig, 0x1000, 1), VIRTIO_PCI_ISR_CONFIG);
	assert_int_equal(reg(&rig, 0x1000, 1), 0);
	rig_close(&rig);
}

static void test_rng(unused_arg void **state)
{
	struct ring_buf buf = {DATA, 64, true};
	static const u8 zeroes[64];
	struct rig rig;
	u32 len;

	rig_open(&rig, false);
	driver_start(&rig, 1);
	for (unsigned i = 0; i < 50; i++) {
		memset(ring_mem(&rig.ring[0], DATA), 0, 64);
		ring_add(&rig.ring[0], &buf, 1, 0);
		set(&rig, 0x3000, 2, 0);
		assert_true(take(&rig, 0, &len, 2000));
		assert_int_equal(len, 64);
		assert_memory_not_equal(ring_mem(&rig.ring[0], DATA), zeroes, 64);
	}
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_rng),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
