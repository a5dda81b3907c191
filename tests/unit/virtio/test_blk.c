/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test blk: a driver that finds the disk over ECAM, negotiates, and reads and writes through real
 * rings, in every combination of layout, event index, interrupts and I/O engine; then abuse of the
 * registers.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "board/layout.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/device.h"
#include "host/fail.h"
#include "host/log.h"
#include "host/thread.h"
#include "ring.h"

#define RAM_SIZE  0x800000u
#define RING	  0x10000u
#define DATA	  0x400000u
#define HEAD	  0x300000u
#define STATUS	  0x301000u
#define TABLE	  0x302000u
#define DISK_SIZE 0x100000u
#define SLOT	  LAYOUT_SLOT_DISK0

struct rig {
	struct board board;
	struct loop *loop;
	struct pci_host *host;
	struct device *dev;
	struct ring ring;
	char path[64];
	u64 bar, msix;
	u32 msis, lines; /* atomic counters */
	bool level;
};

/* ---- the machine ------------------------------------------------------------------------- */

static void on_msi(void *arg, unused_arg u64 addr, u32 data)
{
	struct rig *rig = arg;

	if (data == 0x41)
		__atomic_fetch_add(&rig->msis, 1, __ATOMIC_SEQ_CST);
}

static void on_line(void *arg, unused_arg unsigned gsi, bool level)
{
	struct rig *rig = arg;

	if (gsi == pci_slot_irq(SLOT))
		return; /* the same, for the PIC pair */
	assert_int_equal(gsi, pci_slot_gsi(SLOT));
	__atomic_store_n(&rig->level, level, __ATOMIC_SEQ_CST);
	if (level)
		__atomic_fetch_add(&rig->lines, 1, __ATOMIC_SEQ_CST);
}

static u64 ecam(unsigned off)
{
	return LAYOUT_ECAM + (SLOT << 15) + off;
}

static u32 cfg(struct rig *rig, unsigned off, unsigned size)
{
	return (u32)bus_read(rig->board.bus, BUS_MMIO, ecam(off), size);
}

static u32 reg(struct rig *rig, unsigned off, unsigned size)
{
	return (u32)bus_read(rig->board.bus, BUS_MMIO, rig->bar + off, size);
}

static void set(struct rig *rig, unsigned off, unsigned size, u64 value)
{
	bus_write(rig->board.bus, BUS_MMIO, rig->bar + off, size, value);
}

/* On the image rig->path. */
static void rig_start(struct rig *rig, const char *aio, bool read_only)
{
	struct disk_config config = {.path = rig->path, .aio = aio, .read_only = read_only};
	struct disk *disk;

	assert_int_equal(loop_open(&rig->loop), 0);
	rig->board.loop = rig->loop;
	rig->board.cpus = 2;
	assert_int_equal(ram_open(&rig->board.ram), 0);
	assert_int_equal(ram_add(&rig->board.ram, 0, RAM_SIZE, RAM_KIND_RAM, "ram"), 0);
	assert_int_equal(bus_open(&rig->board.bus), 0);
	assert_int_equal(irq_open(&rig->board.irq), 0);
	rig->board.irq.receiver = (struct irq_receiver){.arg = rig, .msi = on_msi};
	rig->board.irq.controller = (struct irq_controller){.arg = rig, .line = on_line};
	assert_int_equal(pci_host_open(&rig->board, &rig->host), 0);
	assert_int_equal(disk_open(&config, &disk), 0);
	assert_int_equal(virtio_blk_open(&rig->board, rig->host, SLOT, disk, "s3rial", &rig->dev),
			 0);
	assert_int_equal(pci_assign_bars(rig->host), 0);
	rig->bar = cfg(rig, 0x10, 4) & ~15u;
	rig->msix = cfg(rig, 0x14, 4) & ~15u;
}

static void rig_open(struct rig *rig, const char *aio, bool read_only)
{
	int fd;

	memset(rig, 0, sizeof(*rig));
	snprintf(rig->path, sizeof(rig->path), "/tmp/holm-test-blk-XXXXXX");
	fd = mkstemp(rig->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DISK_SIZE), 0);
	close(fd);
	rig_start(rig, aio, read_only);
}

static void rig_close(struct rig *rig)
{
	rig->dev->cls->close(rig->dev);
	pci_host_device(rig->host)->cls->close(pci_host_device(rig->host));
	irq_close(&rig->board.irq);
	bus_close(rig->board.bus);
	ram_close(&rig->board.ram);
	loop_close(rig->loop);
	unlink(rig->path);
}

/* ---- the driver -------------------------------------------------------------------------- */

static void queue_setup(struct rig *rig, unsigned n, u16 size)
{
	set(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, n);
	set(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	set(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	set(rig, VIRTIO_PCI_COMMON_Q_DESC, 8, rig->ring.desc);
	set(rig, VIRTIO_PCI_COMMON_Q_DRIVER, 4, rig->ring.driver);
	set(rig, VIRTIO_PCI_COMMON_Q_DRIVER + 4, 4, 0);
	set(rig, VIRTIO_PCI_COMMON_Q_DEVICE, 8, rig->ring.device);
	set(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void driver_start(struct rig *rig, bool packed, bool event_idx, bool msix)
{
	u64 features = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_BLK_F_FLUSH) |
		       BIT64(VIRTIO_F_INDIRECT_DESC) | (packed ? BIT64(VIRTIO_F_RING_PACKED) : 0) |
		       (event_idx ? BIT64(VIRTIO_F_EVENT_IDX) : 0);

	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(reg(rig, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	set(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	set(rig, VIRTIO_PCI_COMMON_GF, 4, (u32)features);
	set(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	set(rig, VIRTIO_PCI_COMMON_GF, 4, features >> 32);
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 11);
	assert_int_equal(reg(rig, VIRTIO_PCI_COMMON_STATUS, 1), 11);
	if (msix) {
		struct pci_device *pci = pci_host_slot(rig->host, SLOT);

		bus_write(rig->board.bus, BUS_MMIO, rig->msix + 16, 8, 0xfee00000);
		bus_write(rig->board.bus, BUS_MMIO, rig->msix + 24, 4, 0x41);
		bus_write(rig->board.bus, BUS_MMIO, rig->msix + 28, 4, 0);
		bus_write(rig->board.bus, BUS_MMIO, ecam(pci->msix.cap + 2u), 2, 0x8000);
	}
	ring_init(&rig->ring, &rig->board.ram, RING, 16, packed, event_idx);
	queue_setup(rig, 0, 16);
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	assert_int_equal(reg(rig, VIRTIO_PCI_COMMON_STATUS, 1), 15);
}

static void wait_used(struct rig *rig, u16 descs, u16 *id, u32 *len)
{
	struct timespec nap = {.tv_nsec = 20000};

	for (unsigned i = 0; i < 100000; i++) {
		if (ring_take(&rig->ring, descs, id, len))
			return;
		nanosleep(&nap, NULL);
	}
	fail_msg("the request never came back");
}

static void wait_count(const u32 *counter, u32 least)
{
	struct timespec nap = {.tv_nsec = 20000};

	for (unsigned i = 0; i < 100000 && __atomic_load_n(counter, __ATOMIC_SEQ_CST) < least; i++)
		nanosleep(&nap, NULL);
	assert_true(__atomic_load_n(counter, __ATOMIC_SEQ_CST) >= least);
}

static u8 request(struct rig *rig, u32 type, u64 sector, u32 len, bool indirect)
{
	struct virtio_blk_req_head head = {.type = type, .sector = sector};
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct ring_buf buf[4] = {{HEAD, sizeof(head), false}};
	unsigned n = 1;
	u32 used;
	u16 id;

	memcpy(ring_mem(&rig->ring, HEAD), &head, sizeof(head));
	*ring_mem(&rig->ring, STATUS) = 0xee;
	if (len) {
		/* in two pieces, so that vectors are not trivial */
		buf[n++] = (struct ring_buf){DATA, len / 2, in};
		buf[n++] = (struct ring_buf){DATA + len / 2, len - len / 2, in};
	}
	buf[n++] = (struct ring_buf){STATUS, 1, true};
	ring_add(&rig->ring, buf, n, indirect ? TABLE : 0);
	set(rig, 0x3000, 2, 0);
	wait_used(rig, (u16)(indirect ? 1 : n), &id, &used);
	return *ring_mem(&rig->ring, STATUS);
}

static void fill(struct rig *rig, u32 len, unsigned seed)
{
	for (u32 i = 0; i < len; i++)
		*ring_mem(&rig->ring, DATA + i) = (u8)(i * 7 + seed + i / 512);
}

static void check(struct rig *rig, u32 len, unsigned seed)
{
	for (u32 i = 0; i < len; i++)
		assert_int_equal(*ring_mem(&rig->ring, DATA + i), (u8)(i * 7 + seed + i / 512));
}

/* ---- good traffic ------------------------------------------------------------------------ */

static void exercise(struct rig *rig)
{
	for (unsigned i = 0; i < 40; i++) {
		u32 len = 512u << (i % 6);
		u64 sector = (u64)i * 37 % (DISK_SIZE / 512 - 64);

		fill(rig, len, i);
		assert_int_equal(request(rig, VIRTIO_BLK_T_OUT, sector, len, i & 1), 0);
		memset(ring_mem(&rig->ring, DATA), 0, len);
		assert_int_equal(request(rig, VIRTIO_BLK_T_IN, sector, len, i & 1), 0);
		check(rig, len, i);
	}
	assert_int_equal(request(rig, VIRTIO_BLK_T_FLUSH, 0, 0, false), 0);
	assert_int_equal(request(rig, VIRTIO_BLK_T_GET_ID, 0, 20, false), 0);
	assert_memory_equal(ring_mem(&rig->ring, DATA), "s3rial\0", 7);
}

static void test_traffic(unused_arg void **state)
{
	for (unsigned mode = 0; mode < 16; mode++) {
		struct rig rig;

		rig_open(&rig, mode & 8 ? "threads" : NULL, false);
		driver_start(&rig, mode & 1, mode & 2, mode & 4);
		exercise(&rig);
		if (mode & 4)
			wait_count(&rig.msis, 1);
		else
			wait_count(&rig.lines, 1);
		if (!(mode & 4)) {
			assert_int_equal(reg(&rig, 0x1000, 1) & 1, 1);
			assert_false(rig.level);
		}
		/* A reset and a second driver. */
		driver_start(&rig, !(mode & 1), mode & 2, mode & 4);
		exercise(&rig);
		assert_int_equal(reg(&rig, VIRTIO_PCI_COMMON_STATUS, 1), 15);
		rig_close(&rig);
	}
}

static void test_zeroes(unused_arg void **state)
{
	struct virtio_blk_range range = {.sector = 8, .num_sectors = 8};
	struct rig rig;

	rig_open(&rig, NULL, false);
	driver_start(&rig, false, true, true);
	for (unsigned i = 0; i < 3; i++) {
		fill(&rig, 8192, i);
		assert_int_equal(request(&rig, VIRTIO_BLK_T_OUT, 4, 8192, false), 0);
		range.flags = i == 1;
		memcpy(ring_mem(&rig.ring, DATA), &range, sizeof(range));
		assert_int_equal(request(&rig,
					 i == 2 ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES,
					 0, 16, false),
				 0);
		assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 4, 8192, false), 0);
		for (unsigned k = 0; k < 8192; k++)
			assert_int_equal(*ring_mem(&rig.ring, DATA + k),
					 k >= 2048 && k < 2048 + 4096 ? 0
								      : (u8)(k * 7 + i + k / 512));
	}
	range.flags = 2;
	memcpy(ring_mem(&rig.ring, DATA), &range, sizeof(range));
	assert_int_equal(request(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false),
			 VIRTIO_BLK_S_UNSUPP);
	range.flags = 0;
	range.sector = ~0ull;
	memcpy(ring_mem(&rig.ring, DATA), &range, sizeof(range));
	assert_int_equal(request(&rig, VIRTIO_BLK_T_DISCARD, 0, 16, false), VIRTIO_BLK_S_IOERR);
	rig_close(&rig);
}

static void negotiate(struct rig *rig, u64 features)
{
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	for (unsigned i = 0; i < 2; i++) {
		set(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		set(rig, VIRTIO_PCI_COMMON_GF, 4, (u32)(features >> (32 * i)));
	}
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 11);
}

/* 5.2.5.2 and 2.2, 3.1.1 */
static void test_negotiation(unused_arg void **state)
{
	const u64 v1 = BIT64(VIRTIO_F_VERSION_1), wce = BIT64(VIRTIO_BLK_F_CONFIG_WCE);
	const unsigned writeback = 0x2000 + offsetof(struct virtio_blk_config, writeback);
	struct rig rig;

	rig_open(&rig, NULL, false);
	negotiate(&rig, BIT64(VIRTIO_BLK_F_FLUSH)); /* a legacy driver */
	assert_int_equal(reg(&rig, VIRTIO_PCI_COMMON_STATUS, 1), 3);
	negotiate(&rig, v1 | BIT64(VIRTIO_BLK_F_RO)); /* not offered */
	assert_int_equal(reg(&rig, VIRTIO_PCI_COMMON_STATUS, 1), 3);
	set(&rig, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	assert_int_equal(reg(&rig, VIRTIO_PCI_COMMON_STATUS, 1), 3);
	negotiate(&rig, v1 | wce | BIT64(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(reg(&rig, VIRTIO_PCI_COMMON_STATUS, 1), 11);
	assert_int_equal(reg(&rig, writeback, 1), 1);
	negotiate(&rig, v1 | wce);
	assert_int_equal(reg(&rig, writeback, 1), 0);
	set(&rig, writeback, 1, 1);
	assert_int_equal(reg(&rig, writeback, 1), 1);
	negotiate(&rig, v1);
	assert_int_equal(reg(&rig, writeback, 1), 1);
	/* settled: later words change nothing */
	set(&rig, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	set(&rig, VIRTIO_PCI_COMMON_GF, 4, 0xffffffff);
	assert_int_equal(reg(&rig, VIRTIO_PCI_COMMON_GF, 4), 1);
	rig_close(&rig);
}

static void test_refused(unused_arg void **state)
{
	u64 last = DISK_SIZE / 512;
	struct rig rig;

	rig_open(&rig, NULL, true);
	driver_start(&rig, true, true, true);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_OUT, 0, 512, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, last, 512, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, last - 1, 1024, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, ~0ull, 512, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 1ull << 55, 512, false),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, 513, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, last - 1, 512, false), 0);
	assert_int_equal(request(&rig, 99, 0, 512, false), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(reg(&rig, VIRTIO_PCI_COMMON_STATUS, 1), 15);
	rig_close(&rig);
}

/* What the host refuses the guest hears of, and only of that: the image is a file sealed against
 * writing that then becomes shorter than the disk. */
static void test_host_errors(unused_arg void **state)
{
	static const char *const kinds[] = {NULL, "threads"};
	const struct virtio_blk_range range = {.sector = 8, .num_sectors = 8};

	for (unsigned k = 0; k < 2; k++) {
		int fd = memfd_create("image", MFD_ALLOW_SEALING);
		struct rig rig;

		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, DISK_SIZE), 0);
		memset(&rig, 0, sizeof(rig));
		snprintf(rig.path, sizeof(rig.path), "/proc/self/fd/%d", fd);
		rig_start(&rig, kinds[k], false);
		driver_start(&rig, false, true, true);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
		fill(&rig, 4096, 1);
		assert_int_equal(request(&rig, VIRTIO_BLK_T_OUT, 0, 4096, false),
				 VIRTIO_BLK_S_IOERR);
		memcpy(ring_mem(&rig.ring, DATA), &range, sizeof(range));
		assert_int_equal(request(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(&rig, VIRTIO_BLK_T_DISCARD, 0, 16, false),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(&rig, VIRTIO_BLK_T_FLUSH, 0, 0, false), 0);
		assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, 4096, false), 0);
		assert_int_equal(ftruncate(fd, DISK_SIZE / 2), 0);
		assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, 4096, false), 0);
		assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, DISK_SIZE / 1024 - 4, 4096, false),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(reg(&rig, VIRTIO_PCI_COMMON_STATUS, 1), 15);
		rig_close(&rig);
		close(fd);
	}
}

/* ---- abuse ------------------------------------------------------------------------------- */

static void wait_needs_reset(struct rig *rig)
{
	struct timespec nap = {.tv_nsec = 20000};

	for (unsigned i = 0; i < 100000; i++) {
		if (reg(rig, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_STATUS_NEEDS_RESET)
			return;
		nanosleep(&nap, NULL);
	}
	fail_msg("the device does not ask for a reset");
}

static void test_breaks(unused_arg void **state)
{
	struct ring_buf no_status = {HEAD, 16, false}, no_head = {STATUS, 1, true};
	struct rig rig;

	rig_open(&rig, NULL, false);
	for (unsigned mode = 0; mode < 8; mode++) {
		driver_start(&rig, mode & 1, false, true);
		if (mode < 4)
			ring_add(&rig.ring, mode & 2 ? &no_status : &no_head, 1, 0);
		else
			ring_desc(&rig.ring, RING, 0, ~0ull, 5, mode & 1 ? 0 : 0,
				  mode & 1 ? VIRTQ_DESC_F_AVAIL : 0);
		if (mode >= 4 && !(mode & 1))
			ring_publish_split(&rig.ring, mode == 6 ? 77 : 0);
		set(&rig, 0x3000, 2, 0);
		wait_needs_reset(&rig);
		set(&rig, 0x3000, 2, 0);	   /* a dead queue */
		set(&rig, 0x3000 + 4, 2, 1);	   /* one never set up */
		set(&rig, 0x3000 + 4 * 200, 2, 9); /* one that does not exist */
		driver_start(&rig, mode & 2, true, true);
		exercise(&rig);
	}
	rig_close(&rig);
}

static void test_bad_queue(unused_arg void **state)
{
	struct rig rig;

	rig_open(&rig, NULL, false);
	for (unsigned mode = 0; mode < 4; mode++) {
		driver_start(&rig, false, true, true);
		if (mode == 0)
			rig.ring.desc = RAM_SIZE - 16;
		if (mode == 1)
			rig.ring.device = ~0ull - 3;
		if (mode == 2)
			rig.ring.driver = 1;
		queue_setup(&rig, 1, mode == 3 ? 12 : 16); /* 12: no power of two */
		set(&rig, 0x3004, 2, 1);
		wait_needs_reset(&rig);
	}
	driver_start(&rig, true, true, false);
	exercise(&rig);
	rig_close(&rig);
}

/* Resets from one side while requests are under way. */
static void test_reset_in_flight(unused_arg void **state)
{
	struct virtio_blk_req_head head = {.type = VIRTIO_BLK_T_IN};
	struct rig rig;

	rig_open(&rig, NULL, false);
	for (unsigned round = 0; round < 300; round++) {
		struct ring_buf buf[3] = {
			{HEAD, sizeof(head), false}, {DATA, 65536, true}, {STATUS, 1, true}};

		driver_start(&rig, round & 1, round & 2, true);
		memcpy(ring_mem(&rig.ring, HEAD), &head, sizeof(head));
		for (unsigned i = 0; i < 5; i++)
			ring_add(&rig.ring, buf, 3, 0);
		set(&rig, 0x3000, 2, 0);
		if (round % 3 == 0)
			rig.dev->cls->reset(rig.dev);
		else
			set(&rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		/* From here on the memory is ours again. */
		memset(ring_mem(&rig.ring, DATA), 0x5a, 65536);
		for (unsigned i = 0; i < 65536; i += 512)
			assert_int_equal(*ring_mem(&rig.ring, DATA + i), 0x5a);
	}
	driver_start(&rig, true, true, true);
	rig.dev->cls->pause(rig.dev);
	rig.dev->cls->resume(rig.dev);
	exercise(&rig);
	rig_close(&rig);
}

static void master(struct rig *rig, bool on)
{
	bus_write(rig->board.bus, BUS_MMIO, ecam(PCI_COMMAND), 2,
		  PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0));
}

struct under_way {
	struct virtio_device *vdev;
	unsigned count;
};

static void count_in_flight(void *arg)
{
	struct under_way *u = arg;

	u->count = u->vdev->queue[0].in_flight;
}

/* Without bus mastering a device writes no memory: neither data nor messages (PCI 3.0, 6.2.2). */
static void test_bus_master(unused_arg void **state)
{
	struct virtio_blk_req_head head = {.type = VIRTIO_BLK_T_IN};
	struct ring_buf buf[3] = {
		{HEAD, sizeof(head), false}, {DATA, 65536, true}, {STATUS, 1, true}};
	struct virtio_device *vdev;
	struct under_way under_way;
	struct pci_device *pci;
	struct rig rig;
	u32 len, word;
	u16 id;

	rig_open(&rig, "threads", false);
	vdev = container_of(rig.dev, struct virtio_device, pci.dev);
	pci = pci_host_slot(rig.host, SLOT);
	under_way = (struct under_way){.vdev = vdev};
	for (unsigned round = 0; round < 100; round++) {
		driver_start(&rig, round & 1, false, true);
		memcpy(ring_mem(&rig.ring, HEAD), &head, sizeof(head));
		for (unsigned i = 0; i < 4; i++)
			ring_add(&rig.ring, buf, 3, 0);
		set(&rig, 0x3000, 2, 0);
		loop_sync(vdev->loop, count_in_flight, &under_way); /* behind the kick */
		master(&rig, false);
		under_way.count = 99;
		loop_sync(vdev->loop, count_in_flight, &under_way);
		assert_int_equal(under_way.count, 0);
		memset(ring_mem(&rig.ring, DATA), 0x5a, 65536);
		for (unsigned i = 0; i < 65536; i += 512)
			assert_int_equal(*ring_mem(&rig.ring, DATA + i), 0x5a);
		master(&rig, true);
		for (unsigned i = 0; i < 4; i++)
			wait_used(&rig, 3, &id, &len);
	}
	set(&rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	master(&rig, false);
	rig.msis = 0;
	assert_true(pci_msix_send(pci, 1));
	assert_int_equal(bus_read(rig.board.bus, BUS_MMIO, rig.msix + 0x800, 4), 2);
	/* neither unmasking nor the function mask lets it out */
	bus_write(rig.board.bus, BUS_MMIO, rig.msix + 28, 4, 1);
	bus_write(rig.board.bus, BUS_MMIO, rig.msix + 28, 4, 0);
	bus_write(rig.board.bus, BUS_MMIO, ecam(pci->msix.cap + 2u), 2, 0xc000);
	bus_write(rig.board.bus, BUS_MMIO, ecam(pci->msix.cap + 2u), 2, 0x8000);
	assert_int_equal(rig.msis, 0);
	master(&rig, true);
	assert_int_equal(rig.msis, 1);
	assert_int_equal(bus_read(rig.board.bus, BUS_MMIO, rig.msix + 0x800, 4), 0);
	/* a message to somewhere else than the local APICs is a write to memory, or to nobody */
	bus_write(rig.board.bus, BUS_MMIO, rig.msix + 16, 8, TABLE);
	assert_true(pci_msix_send(pci, 1));
	assert_int_equal(ram_read(&rig.board.ram, TABLE, &word, 4), 0);
	assert_int_equal(word, 0x41);
	bus_write(rig.board.bus, BUS_MMIO, rig.msix + 16, 8, 0x1fee00000ull);
	assert_true(pci_msix_send(pci, 1));
	assert_int_equal(rig.msis, 1);
	rig_close(&rig);
}

static void test_registers_noise(unused_arg void **state)
{
	u32 seed = 99;
	struct rig rig;

	rig_open(&rig, NULL, false);
	for (unsigned i = 0; i < 60000; i++) {
		static const u8 sizes[] = {1, 2, 4, 8};
		unsigned off, size;

		seed = seed * 1664525 + 1013904223;
		size = sizes[(seed >> 8) & 3];
		off = (seed >> 10) % 0x40;
		if (seed & 0x80000000u)
			off = (seed >> 10) % 0x4000;
		seed = seed * 1664525 + 1013904223;
		set(&rig, off, size, seed % 3 ? seed >> 28 : seed);
		reg(&rig, off, size);
	}
	driver_start(&rig, false, true, true);
	exercise(&rig);
	/* And configuration space; the BARs wander. */
	for (unsigned i = 0; i < 20000; i++) {
		seed = seed * 1664525 + 1013904223;
		bus_write(rig.board.bus, BUS_MMIO, ecam((seed >> 8) & 0xff), 1 + (seed & 1),
			  seed >> 16);
		bus_read(rig.board.bus, BUS_MMIO, ecam((seed >> 8) & 0xff), 4);
	}
	rig.dev->cls->reset(rig.dev);
	assert_int_equal(cfg(&rig, 0x10, 4) & ~15u, rig.bar);
	driver_start(&rig, true, true, true);
	exercise(&rig);
	rig_close(&rig);
}

static void test_config_access(unused_arg void **state)
{
	struct virtio_device *vdev;
	struct rig rig;
	unsigned cap;

	rig_open(&rig, NULL, false);
	vdev = container_of(rig.dev, struct virtio_device, pci.dev);
	cap = vdev->cfg_cap;
	assert_int_equal(cfg(&rig, cap + 3, 1), VIRTIO_PCI_CAP_PCI_CFG);
	bus_write(rig.board.bus, BUS_MMIO, ecam(cap + 4), 1, 0);
	bus_write(rig.board.bus, BUS_MMIO, ecam(cap + 8), 4, 0x2000);
	bus_write(rig.board.bus, BUS_MMIO, ecam(cap + 12), 4, 4);
	assert_int_equal(cfg(&rig, cap + 16, 4), DISK_SIZE / 512);
	/* the old way in, ports 0xcf8 and 0xcfc */
	bus_write(rig.board.bus, BUS_PIO, 0xcf8, 4, 0x80000000u | SLOT << 11);
	assert_int_equal(bus_read(rig.board.bus, BUS_PIO, 0xcfc, 4), 0x10421af4);
	assert_int_equal(bus_read(rig.board.bus, BUS_PIO, 0xcfe, 2), 0x1042);
	assert_int_equal(bus_read(rig.board.bus, BUS_PIO, 0xcff, 1), 0x10);
	bus_write(rig.board.bus, BUS_PIO, 0xcf8, 4, 0x80000000u | 9 << 11);
	assert_int_equal(bus_read(rig.board.bus, BUS_PIO, 0xcfc, 4), 0xffffffff);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traffic),		cmocka_unit_test(test_zeroes),
		cmocka_unit_test(test_refused),		cmocka_unit_test(test_breaks),
		cmocka_unit_test(test_bad_queue),	cmocka_unit_test(test_reset_in_flight),
		cmocka_unit_test(test_registers_noise), cmocka_unit_test(test_config_access),
		cmocka_unit_test(test_bus_master),	cmocka_unit_test(test_negotiation),
		cmocka_unit_test(test_host_errors),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
