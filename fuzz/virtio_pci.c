/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_pci: virtio-blk, console and rng whole, on the bus, with a hostile driver.
 *
 * Input: a program of register accesses (common configuration, notify, device configuration, ISR,
 * MSI-X table, configuration space by ECAM and 0xcf8, BARs moved about), bytes into guest memory,
 * and what the outside does (console input, resize, pause). Two operations do in a few bytes what
 * a good driver does in many accesses: start a device, and offer a buffer.
 *
 * The devices have threads of their own; after each operation the fuzzer waits until the device
 * has seen it. Opening them costs most of the time, so only the console, which keeps most, is
 * opened for each input; the others are reset.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "board/layout.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/console.h"
#include "dev/virtio/device.h"
#include "dev/virtio/rng.h"
#include "fuzz.h"
#include "host/fail.h"
#include "host/log.h"
#include "ring.h"

#define RAM_SIZE  0x80000u
#define DISK_SIZE 0x20000u
#define STEPS	  80u
#define DEVICES	  3u
#define QUEUES	  2u
#define RINGS	  0x10000u /* 0xc000 bytes for each queue of each device */
#define RING_SPAN 0xc000u
#define BUFFERS	  0x1000u
#define TABLES	  0x58000u
#define QUEUE_LEN 8u /* the most that rng takes */

struct rig {
	struct board board;
	struct pci_host *host;
	struct device *dev[DEVICES];
	struct ring ring[DEVICES][QUEUES];
	int disk_fd;
	bool blocked; /* the console's other end takes nothing */
	u64 msis;
};

static const unsigned slots[DEVICES] = {LAYOUT_SLOT_DISK0, LAYOUT_SLOT_CONSOLE, LAYOUT_SLOT_RNG};

/* ---- what the devices are connected to --------------------------------------------------- */

static void on_msi(void *arg, unused_arg u64 addr, unused_arg u32 data)
{
	__atomic_fetch_add(&((struct rig *)arg)->msis, 1, __ATOMIC_RELAXED);
}

static void on_line(unused_arg void *arg, unsigned gsi, unused_arg bool level)
{
	ASSERT((gsi >= LAYOUT_GSI_PCI && gsi < LAYOUT_GSI_PCI + 8) ||
		       (gsi < 16 && ICH9_PIRQ_IRQS & BIT(gsi)),
	       "a pin that is not PCI's");
}

static int on_put(void *arg, unused_arg const u8 *bytes, unsigned len)
{
	return __atomic_load_n(&((struct rig *)arg)->blocked, __ATOMIC_RELAXED) ? 0 : (int)len;
}

/* ---- open, reset ------------------------------------------------------------------------- */

static struct disk *disk_make(int *fd)
{
	char path[32];
	/* with threads the sanitizer sees each transfer; io_uring moves bytes behind its back */
	struct disk_config config = {.path = path, .aio = "threads"};
	struct disk *disk;

	*fd = memfd_create("disk", MFD_CLOEXEC);
	ASSERT(*fd >= 0 && !ftruncate(*fd, DISK_SIZE), "memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	ASSERT(!disk_open(&config, &disk), "disk");
	return disk;
}

static void rig_open(struct rig *rig)
{
	struct board *board = &rig->board;

	log_set_level(LOG_ERROR);
	ASSERT(!loop_open(&board->loop), "loop");
	ASSERT(!ram_open(&board->ram), "ram");
	ASSERT(!ram_add(&board->ram, 0, RAM_SIZE, RAM_KIND_RAM, "low"), "ram");
	ASSERT(!ram_add(&board->ram, RAM_SIZE, RAM_PAGE, RAM_KIND_ROM, "rom"), "ram");
	ASSERT(!bus_open(&board->bus), "bus");
	ASSERT(!irq_open(&board->irq), "irq");
	board->irq.receiver = (struct irq_receiver){.arg = rig, .msi = on_msi};
	board->irq.controller = (struct irq_controller){.arg = rig, .line = on_line};
	board->cpus = 2;
	ASSERT(!pci_host_open(board, &rig->host), "pci");
	ASSERT(!virtio_blk_open(board, rig->host, slots[0], disk_make(&rig->disk_fd), "serial",
				&rig->dev[0]),
	       "blk");
	ASSERT(!virtio_rng_open(board, rig->host, slots[2], &rig->dev[2]), "rng");
}

static void machine_reset(struct rig *rig)
{
	struct device *bridge = pci_host_device(rig->host);

	for (unsigned i = 0; i < DEVICES; i++)
		rig->dev[i]->cls->reset(rig->dev[i]);
	bridge->cls->reset(bridge);
}

/* Power-on: what a reset leaves alone (the disk's contents, input that waits in the console, its
 * size) goes too. */
static void rig_start(struct rig *rig)
{
	struct virtio_console_backend backend = {.arg = rig, .put = on_put};

	if (rig->dev[1])
		rig->dev[1]->cls->close(rig->dev[1]);
	ASSERT(!ftruncate(rig->disk_fd, 0) && !ftruncate(rig->disk_fd, DISK_SIZE), "memfd");
	memset(rig->board.ram.slot[0].host, 0, RAM_SIZE);
	rig->blocked = false;
	ASSERT(!virtio_console_open(&rig->board, rig->host, slots[1], &backend, &rig->dev[1]),
	       "console");
	ASSERT(!pci_assign_bars(rig->host), "pci");
	machine_reset(rig);
}

static struct virtio_device *vdev_of(struct rig *rig, unsigned n)
{
	return container_of(rig->dev[n], struct virtio_device, pci.dev);
}

static void nothing(unused_arg void *arg)
{
}

/* Everything the device was told by now is done, but for disk transfers. */
static void settle(struct rig *rig, unsigned n)
{
	loop_sync(vdev_of(rig, n)->loop, nothing, NULL);
}

static void rings_clear(struct rig *rig)
{
	for (unsigned i = 0; i < DEVICES; i++)
		for (unsigned q = 0; q < QUEUES; q++)
			ring_init(&rig->ring[i][q], &rig->board.ram,
				  RINGS + (i * QUEUES + q) * RING_SPAN, QUEUE_LEN, false, false);
}

/* ---- register accesses ------------------------------------------------------------------- */

static u64 ecam(unsigned n, unsigned off)
{
	return LAYOUT_ECAM + (slots[n] << 15) + off;
}

static u64 bar(struct rig *rig, unsigned n, unsigned index)
{
	return bus_read(rig->board.bus, BUS_MMIO, ecam(n, 0x10 + index * 4), 4) & ~15ull;
}

static void set(struct rig *rig, unsigned n, unsigned off, unsigned size, u64 value)
{
	bus_write(rig->board.bus, BUS_MMIO, bar(rig, n, 0) + off, size, value);
}

/* What a driver does up to DRIVER_OK, with the features the input picks of those offered. */
static void driver_start(struct rig *rig, unsigned n, struct fuzz_in *in)
{
	u64 features = (vdev_of(rig, n)->offered & ~fuzz_u64(in)) | BIT64(VIRTIO_F_VERSION_1);
	bool packed = features & BIT64(VIRTIO_F_RING_PACKED);

	set(rig, n, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	set(rig, n, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	for (unsigned half = 0; half < 2; half++) {
		set(rig, n, VIRTIO_PCI_COMMON_GFSELECT, 4, half);
		set(rig, n, VIRTIO_PCI_COMMON_GF, 4, features >> half * 32);
	}
	set(rig, n, VIRTIO_PCI_COMMON_STATUS, 1, 11);
	for (unsigned q = 0; q < QUEUES; q++) {
		struct ring *ring = &rig->ring[n][q];

		ring_init(ring, &rig->board.ram, RINGS + (n * QUEUES + q) * RING_SPAN, QUEUE_LEN,
			  packed, features & BIT64(VIRTIO_F_EVENT_IDX));
		set(rig, n, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		set(rig, n, VIRTIO_PCI_COMMON_Q_SIZE, 2, QUEUE_LEN);
		set(rig, n, VIRTIO_PCI_COMMON_Q_MSIX, 2, q);
		set(rig, n, VIRTIO_PCI_COMMON_Q_DESC, 8, ring->desc);
		set(rig, n, VIRTIO_PCI_COMMON_Q_DRIVER, 8, ring->driver);
		set(rig, n, VIRTIO_PCI_COMMON_Q_DEVICE, 8, ring->device);
		set(rig, n, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	}
	set(rig, n, VIRTIO_PCI_COMMON_STATUS, 1, 15);
}

/* Up to four buffers in one request, and a kick. */
static void offer(struct rig *rig, unsigned n, unsigned q, struct fuzz_in *in)
{
	u8 shape = fuzz_u8(in);
	unsigned count = (shape & 3) + 1;
	struct ring_buf buf[4];

	for (unsigned i = 0; i < count; i++)
		buf[i] = (struct ring_buf){.gpa = BUFFERS + fuzz_u16(in) % 0xe000u,
					   .len = fuzz_u16(in),
					   .write = shape & BIT(4 + i)};
	ring_add(&rig->ring[n][q], buf, count, shape & 4 ? TABLES + n * 0x100 : 0);
	set(rig, n, 0x3000 + q * 4, 2, q);
}

/* ---- the program ------------------------------------------------------------------------- */

static void write_memory(struct rig *rig, struct fuzz_in *in)
{
	u32 gpa = fuzz_u16(in) * 8u;
	u8 bytes[256], len = fuzz_u8(in);

	fuzz_bytes(in, bytes, len);
	ram_load(&rig->board.ram, gpa, bytes, len);
}

static void outside(struct rig *rig, unsigned n, struct fuzz_in *in)
{
	u8 what = fuzz_u8(in), bytes[128];
	unsigned got;

	switch (what & 7) {
	case 0:
	case 1:
		fuzz_bytes(in, bytes, sizeof(bytes));
		got = virtio_console_receive(rig->dev[1], bytes, what >> 1);
		ASSERT(got <= what >> 1, "took more than there was");
		break;
	case 2: virtio_console_writable(rig->dev[1]); break;
	case 3: virtio_console_resize(rig->dev[1], fuzz_u16(in), fuzz_u16(in)); break;
	case 4: __atomic_store_n(&rig->blocked, what & 8, __ATOMIC_RELAXED); break;
	case 5:
		rig->dev[n]->cls->pause(rig->dev[n]);
		rig->dev[n]->cls->resume(rig->dev[n]);
		break;
	case 6: rig->dev[n]->cls->reset(rig->dev[n]); break;
	default: machine_reset(rig); break;
	}
}

static void access_window(struct rig *rig, unsigned n, unsigned off, u8 code, struct fuzz_in *in)
{
	unsigned size = fuzz_size(code);
	u64 at = bar(rig, n, 0) + off;

	if (code & 4)
		bus_read(rig->board.bus, BUS_MMIO, at, size);
	else
		bus_write(rig->board.bus, BUS_MMIO, at, size, fuzz_sized(in, size));
}

/* Configuration space by the two ports. */
static void access_ports(struct rig *rig, unsigned n, u8 code, struct fuzz_in *in)
{
	unsigned size = fuzz_size(code) == 8 ? 4 : fuzz_size(code);
	u32 off = fuzz_u8(in);

	bus_write(rig->board.bus, BUS_PIO, LAYOUT_PORT_PCI_ADDR, 4,
		  0x80000000u | slots[n] << 11 | (off & 0xfc));
	if (code & 4)
		bus_read(rig->board.bus, BUS_PIO, LAYOUT_PORT_PCI_DATA + (off & 3), size);
	else
		bus_write(rig->board.bus, BUS_PIO, LAYOUT_PORT_PCI_DATA + (off & 3), size,
			  fuzz_sized(in, size));
}

static void access_ecam(struct rig *rig, unsigned n, u8 code, struct fuzz_in *in)
{
	unsigned size = fuzz_size(code);
	u16 off = fuzz_u16(in);
	u64 at = ecam(n, off & 0x8000 ? off & 0xfff : off & 0xff);

	if (code & 4)
		bus_read(rig->board.bus, BUS_MMIO, at, size);
	else
		bus_write(rig->board.bus, BUS_MMIO, at, size, fuzz_sized(in, size));
}

static void access_msix(struct rig *rig, unsigned n, u8 code, struct fuzz_in *in)
{
	unsigned size = fuzz_size(code);
	u64 at = bar(rig, n, 1) + (fuzz_u16(in) & 0xfff);

	if (code & 4)
		bus_read(rig->board.bus, BUS_MMIO, at, size);
	else
		bus_write(rig->board.bus, BUS_MMIO, at, size, fuzz_sized(in, size));
}

static void step(struct rig *rig, struct fuzz_in *in)
{
	u8 op = fuzz_u8(in), code = fuzz_u8(in);
	unsigned n = (op >> 4) % DEVICES, q = code & 1;

	switch (op & 15) {
	case 0: driver_start(rig, n, in); break;
	case 1:
	case 2: offer(rig, n, q, in); break;
	case 3:
	case 4: write_memory(rig, in); break;
	case 5:
	case 6: access_window(rig, n, fuzz_u8(in) & 0x3f, code, in); break;
	case 7: access_window(rig, n, 0x2000 + (fuzz_u8(in) & 0x7f), code, in); break;
	case 8: set(rig, n, 0x3000 + (code & 31) * 4u, 2, code); break;
	case 9: access_window(rig, n, fuzz_u16(in) & 0x3fff, code, in); break;
	case 10: access_window(rig, n, 0x1000, 4, in); break;
	case 11: access_msix(rig, n, code, in); break;
	case 12: access_ecam(rig, n, code, in); break;
	case 13: access_ports(rig, n, code, in); break;
	case 14: outside(rig, n, in); break;
	default: set(rig, n, VIRTIO_PCI_COMMON_STATUS, 1, code); break;
	}
	settle(rig, n);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct rig rig;
	struct fuzz_in in = {data, size};

	if (!rig.host)
		rig_open(&rig);
	rig_start(&rig);
	rings_clear(&rig);
	for (unsigned i = 0; i < STEPS && in.left; i++)
		step(&rig, &in);
	machine_reset(&rig);
	return 0;
}
