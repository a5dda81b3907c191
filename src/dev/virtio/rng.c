/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio rng: fills the guest's buffers with random bytes, at most 4 KiB per request.
 *
 * getrandom never blocks once the host has booted, so the work is done where the kick arrives.
 *
 * Context: the device's thread.
 */
#include "dev/virtio/rng.h"

#include <stdlib.h>
#include <sys/random.h>

#include "dev/virtio/device.h"
#include "host/fail.h"
#include "lib/bits.h"
#include "spec/virtio.h"

#define RNG_QUEUE_SIZE	8
#define RNG_CHUNK	256u
#define RNG_REQUEST_MAX 4096u

struct virtio_rng {
	struct virtio_device vdev; /* first */
};

static u32 rng_fill(const struct virtq_req *req)
{
	u64 want = min_u64(req->in_len, RNG_REQUEST_MAX);
	u8 chunk[RNG_CHUNK];
	u64 done = 0;

	while (done < want) {
		ssize_t n = getrandom(chunk, min_u64(sizeof(chunk), want - done), 0);

		if (n <= 0)
			break;
		done += virtq_copy_in(req, done, chunk, (size_t)n);
	}
	return (u32)done;
}

static void rng_queue_ready(struct virtio_device *vdev, unsigned n)
{
	struct virtq *queue = &vdev->queue[n];
	unsigned budget = 2 * RNG_QUEUE_SIZE;
	struct virtq_req *req;

	do {
		while (budget && virtio_queue_pop(vdev, n, &req)) {
			budget--;
			virtq_push(queue, req, rng_fill(req));
		}
	} while (budget && virtq_notify_on(queue) && virtio_live(vdev));
	if (!budget)
		virtio_queue_kick(vdev, n);
	virtio_queue_signal(vdev, n);
}

/* Nothing is ever under way between two calls. */
static void rng_drain(unused_arg struct virtio_device *vdev, unused_arg bool forget)
{
}

static void rng_close(struct virtio_device *vdev)
{
	free(container_of(vdev, struct virtio_rng, vdev));
}

static const struct virtio_ops rng_ops = {
	.queue_ready = rng_queue_ready,
	.drain = rng_drain,
	.close = rng_close,
};

int virtio_rng_open(struct board *board, struct pci_host *host, unsigned slot, struct device **out)
{
	struct virtio_rng *rng = calloc(1, sizeof(*rng));
	struct virtio_device *vdev;
	int rc;

	if (!rng)
		return FAIL(-ENOMEM, "virtio-rng: out of memory");
	vdev = &rng->vdev;
	vdev->ops = &rng_ops;
	vdev->id = VIRTIO_ID_RNG;
	vdev->queues = 1;
	vdev->queue_max[0] = RNG_QUEUE_SIZE;
	rc = virtio_device_open(vdev, board, host, slot, PCI_CLASS_OTHERS, "virtio-rng");
	if (rc) {
		free(rng);
		return rc;
	}
	*out = &vdev->pci.dev;
	return 0;
}
