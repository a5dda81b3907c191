/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio console: queue 0 carries bytes to the guest, queue 1 from it (virtio 1.2, 5.3.2).
 *
 * Output the backend does not take stays in the guest's buffer: the request is kept with the count
 * of bytes already gone. Input waits in a small ring until the guest offers buffers.
 *
 * Locks: `in_lock` for the input ring only, a leaf.
 * Context: the device's thread; receive, writable, resize from any.
 */
#include "dev/virtio/console.h"

#include <stdlib.h>
#include <string.h>

#include "dev/virtio/device.h"
#include "host/fail.h"
#include "lib/bits.h"
#include "spec/virtio.h"

#define CONSOLE_RX	   0
#define CONSOLE_TX	   1
#define CONSOLE_QUEUES	   2
#define CONSOLE_QUEUE_SIZE 64
#define CONSOLE_INPUT	   4096u
#define CONSOLE_CHUNK	   1024u

struct virtio_console {
	struct virtio_device vdev; /* first */
	struct virtio_console_backend backend;
	struct virtq_req *tx; /* being written out; loop */
	u64 tx_done;

	pthread_mutex_t in_lock;
	u8 in[CONSOLE_INPUT];
	u32 in_head, in_count; /* in_lock */
	bool in_refused;       /* in_lock: somebody waits for room */
};

static struct virtio_console *console_of(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_console, vdev);
}

static struct virtio_console *console_of_device(struct device *dev)
{
	return container_of(dev, struct virtio_console, vdev.pci.dev);
}

/* ---- to the guest ------------------------------------------------------------------------ */

/* Bytes waiting at the ring's head in one piece, at most max. They stay until console_in_drop. */
static u32 console_in_peek(struct virtio_console *console, u8 *to, u32 max)
{
	u32 n;

	pthread_mutex_lock(&console->in_lock);
	n = console->in_count < max ? console->in_count : max;
	for (u32 i = 0; i < n; i++)
		to[i] = console->in[(console->in_head + i) % CONSOLE_INPUT];
	pthread_mutex_unlock(&console->in_lock);
	return n;
}

static void console_in_drop(struct virtio_console *console, u32 n)
{
	bool room;

	pthread_mutex_lock(&console->in_lock);
	console->in_head = (console->in_head + n) % CONSOLE_INPUT;
	console->in_count -= n;
	room = console->in_refused;
	console->in_refused = false;
	pthread_mutex_unlock(&console->in_lock);
	if (room && console->backend.room)
		console->backend.room(console->backend.arg);
}

static void console_fill(struct virtio_console *console)
{
	struct virtio_device *vdev = &console->vdev;
	struct virtq *queue = &vdev->queue[CONSOLE_RX];
	unsigned budget = CONSOLE_QUEUE_SIZE;
	u8 chunk[CONSOLE_CHUNK];
	struct virtq_req *req;
	u32 n;

	while (budget && (n = console_in_peek(console, chunk, sizeof(chunk)))) {
		budget--;
		if (!virtio_queue_pop(vdev, CONSOLE_RX, &req)) {
			if (virtq_notify_on(queue) && virtio_live(vdev) && !vdev->paused)
				continue;
			break;
		}
		n = (u32)virtq_copy_in(req, 0, chunk, n);
		virtq_push(queue, req, n);
		console_in_drop(console, n);
	}
	if (!budget)
		virtio_queue_kick(vdev, CONSOLE_RX);
	virtio_queue_signal(vdev, CONSOLE_RX);
}

unsigned virtio_console_receive(struct device *dev, const u8 *bytes, unsigned len)
{
	struct virtio_console *console = console_of_device(dev);
	unsigned n = 0;

	pthread_mutex_lock(&console->in_lock);
	while (n < len && console->in_count < CONSOLE_INPUT) {
		console->in[(console->in_head + console->in_count) % CONSOLE_INPUT] = bytes[n++];
		console->in_count++;
	}
	console->in_refused = n < len;
	pthread_mutex_unlock(&console->in_lock);
	if (n)
		virtio_queue_kick(&console->vdev, CONSOLE_RX);
	return n;
}

/* ---- from the guest ---------------------------------------------------------------------- */

/* True when the request is out completely. */
static bool console_write_out(struct virtio_console *console)
{
	struct virtq_req *req = console->tx;
	u8 chunk[CONSOLE_CHUNK];

	while (console->tx_done < req->out_len) {
		unsigned len =
			(unsigned)virtq_copy_out(req, console->tx_done, chunk, sizeof(chunk));
		int taken = (int)len;

		if (console->backend.put)
			taken = console->backend.put(console->backend.arg, chunk, len);
		if (taken < 0)
			taken = (int)len; /* the other end is gone: nobody reads it */
		console->tx_done += (unsigned)taken;
		if ((unsigned)taken < len)
			return false;
	}
	return true;
}

static void console_tx(struct virtio_console *console)
{
	struct virtio_device *vdev = &console->vdev;
	struct virtq *queue = &vdev->queue[CONSOLE_TX];
	unsigned budget = CONSOLE_QUEUE_SIZE;

	do {
		while (budget &&
		       (console->tx || virtio_queue_pop(vdev, CONSOLE_TX, &console->tx))) {
			budget--;
			if (!console_write_out(console))
				goto out;
			virtq_push(queue, console->tx, 0);
			console->tx = NULL;
			console->tx_done = 0;
		}
	} while (budget && virtq_notify_on(queue) && virtio_live(vdev) && !vdev->paused);
	if (!budget)
		virtio_queue_kick(vdev, CONSOLE_TX);
out:
	virtio_queue_signal(vdev, CONSOLE_TX);
}

void virtio_console_writable(struct device *dev)
{
	virtio_queue_kick(&console_of_device(dev)->vdev, CONSOLE_TX);
}

/* ---- size -------------------------------------------------------------------------------- */

void virtio_console_resize(struct device *dev, u16 columns, u16 rows)
{
	struct virtio_console *console = console_of_device(dev);
	le16 size[2] = {columns, rows};

	virtio_config_set(&console->vdev, 0, size, sizeof(size));
}

/* A driver without multiport (Linux) reads the size only after an interrupt says it changed. */
static void console_start(struct virtio_device *vdev)
{
	pthread_mutex_lock(&vdev->lock);
	virtio_config_interrupt(vdev);
	pthread_mutex_unlock(&vdev->lock);
}

/* ---- ops --------------------------------------------------------------------------------- */

static void console_queue_ready(struct virtio_device *vdev, unsigned n)
{
	if (n == CONSOLE_RX)
		console_fill(console_of(vdev));
	else
		console_tx(console_of(vdev));
}

/* Output the backend did not take stays when only pausing. */
static void console_drain(struct virtio_device *vdev, bool forget)
{
	struct virtio_console *console = console_of(vdev);

	if (!console->tx || !forget)
		return;
	virtq_push(console->tx->queue, console->tx, 0);
	console->tx = NULL;
	console->tx_done = 0;
}

static void console_close(struct virtio_device *vdev)
{
	struct virtio_console *console = console_of(vdev);

	pthread_mutex_destroy(&console->in_lock);
	free(console);
}

static const struct virtio_ops console_ops = {
	.queue_ready = console_queue_ready,
	.start = console_start,
	.drain = console_drain,
	.close = console_close,
};

int virtio_console_open(struct board *board, struct pci_host *host, unsigned slot,
			const struct virtio_console_backend *backend, struct device **out)
{
	struct virtio_console *console = calloc(1, sizeof(*console));
	struct virtio_console_config config = {.cols = 80, .rows = 25, .max_nr_ports = 1};
	struct virtio_device *vdev;
	int rc;

	if (!console)
		return FAIL(-ENOMEM, "virtio-console: out of memory");
	if (backend)
		console->backend = *backend;
	pthread_mutex_init(&console->in_lock, NULL);
	vdev = &console->vdev;
	vdev->ops = &console_ops;
	vdev->id = VIRTIO_ID_CONSOLE;
	vdev->offered = BIT64(VIRTIO_CONSOLE_F_SIZE);
	vdev->queues = CONSOLE_QUEUES;
	vdev->queue_max[CONSOLE_RX] = vdev->queue_max[CONSOLE_TX] = CONSOLE_QUEUE_SIZE;
	memcpy(vdev->config, &config, sizeof(config));
	vdev->config_len = sizeof(config);
	rc = virtio_device_open(vdev, board, host, slot, PCI_CLASS_COMMUNICATION_OTHER,
				"virtio-console");
	if (rc) {
		console_close(vdev);
		return rc;
	}
	*out = &vdev->pci.dev;
	return 0;
}
