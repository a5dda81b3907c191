/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio blk: requests from up to eight queues go to one disk, all on the device's own thread.
 *
 * A request of the guest (5.2.6): a 16-byte head and, for writes, data, all readable; then data to
 * be read and one status byte, writable. Sector numbers and lengths are the guest's and are checked
 * against the disk here; below, everything is in range.
 *
 * Owns one context per ring entry, made at open: nothing allocates while it works.
 *
 * Context: the device's loop thread; config_written on vCPUs.
 */
#include "dev/virtio/blk.h"

#include <stdlib.h>
#include <string.h>

#include "dev/virtio/device.h"
#include "host/fail.h"
#include "lib/bits.h"
#include "spec/virtio.h"

#define BLK_QUEUES_MAX 8
#define BLK_QUEUE_SIZE 256
#define BLK_SEG_MAX    (VIRTQ_SEGS - 4)
/* One discard or write-zeroes request covers at most this much. */
#define BLK_RANGE_SECTORS 0x400000u

/* ---- state ------------------------------------------------------------------------------- */

/* One request under way. */
struct blk_req {
	struct disk_req disk;
	struct virtio_blk *blk;
	struct virtq_req *ring;
	u32 type;
	u64 length; /* of a read into guest memory */
	struct iovec iov[VIRTQ_SEGS];
};

struct virtio_blk {
	struct virtio_device vdev; /* first */
	struct disk *disk;
	bool attached;
	struct blk_req *req[BLK_QUEUES_MAX];
	u32 signal; /* queues with used entries not yet told; loop */
	char serial[VIRTIO_BLK_ID_BYTES];
	struct virtio_blk_stats stats; /* written on the loop, read anywhere */
};

static struct virtio_blk *blk_of(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_blk, vdev);
}

static void blk_count(u64 *counter, u64 n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static unsigned blk_queue_of(const struct virtio_blk *blk, const struct virtq_req *ring)
{
	return (unsigned)(ring->queue - blk->vdev.queue);
}

/* ---- completion -------------------------------------------------------------------------- */

static void blk_finish(struct virtio_blk *blk, struct virtq_req *ring, u8 status)
{
	unsigned n = blk_queue_of(blk, ring);
	u32 written = ring->in_len > 0xffffffffu ? 0xffffffffu : (u32)ring->in_len;

	if (status != VIRTIO_BLK_S_OK)
		blk_count(&blk->stats.errors, 1);
	virtq_copy_in(ring, ring->in_len - 1, &status, 1);
	virtq_push(ring->queue, ring, written);
	blk->signal |= BIT(n);
}

/* Interrupts for everything finished since the last time. */
static void blk_signal(void *arg)
{
	struct virtio_blk *blk = arg;

	while (blk->signal) {
		unsigned n = (unsigned)__builtin_ctz(blk->signal);

		blk->signal &= blk->signal - 1;
		virtio_queue_signal(&blk->vdev, n);
	}
}

/* Without a volatile cache as the driver sees it, a write is done when it is on the medium: when
 * the driver switched write-back off, or cannot flush (5.2.5.1, 5.2.6.2). */
static bool blk_writes_through(const struct virtio_blk *blk)
{
	const struct virtio_device *vdev = &blk->vdev;

	if (virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE))
		return !__atomic_load_n(
			&vdev->config[offsetof(struct virtio_blk_config, writeback)],
			__ATOMIC_RELAXED);
	return !virtio_has(vdev, VIRTIO_BLK_F_FLUSH);
}

static void blk_done(struct disk_req *disk_req, int result);

static void blk_start(struct virtio_blk *blk, struct blk_req *req, enum disk_op op)
{
	req->disk.op = op;
	req->disk.done = blk_done;
	disk_submit(blk->disk, &req->disk);
}

static void blk_done(struct disk_req *disk_req, int result)
{
	struct blk_req *req = container_of(disk_req, struct blk_req, disk);
	struct virtio_blk *blk = req->blk;
	bool wrote = req->type == VIRTIO_BLK_T_OUT || req->type == VIRTIO_BLK_T_WRITE_ZEROES;

	if (disk_req->op == DISK_READ)
		virtq_iov_in_end(req->ring, 0, req->length);
	if (!result && wrote && disk_req->op != DISK_FLUSH && blk_writes_through(blk)) {
		blk_start(blk, req, DISK_FLUSH);
		disk_kick(blk->disk);
		return;
	}
	blk_finish(blk, req->ring, result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

/* ---- requests ---------------------------------------------------------------------------- */

static bool blk_in_range(const struct virtio_blk *blk, u64 sector, u64 bytes)
{
	u64 size = blk->disk->size;

	return !(bytes % DISK_SECTOR) && sector <= size / DISK_SECTOR &&
	       bytes <= size - sector * DISK_SECTOR;
}

/* Each returns a status to finish with at once, or -1: the disk has it. */

static int blk_read(struct virtio_blk *blk, struct blk_req *req, u64 sector)
{
	u64 length = req->ring->in_len - 1;
	int iovs;

	if (!blk_in_range(blk, sector, length))
		return VIRTIO_BLK_S_IOERR;
	if (!length)
		return VIRTIO_BLK_S_OK;
	iovs = virtq_iov_in(req->ring, 0, length, req->iov);
	req->length = length;
	req->disk.offset = sector * DISK_SECTOR;
	req->disk.length = length;
	req->disk.iov = req->iov;
	req->disk.iovs = (unsigned)iovs;
	blk_count(&blk->stats.reads, 1);
	blk_count(&blk->stats.read_bytes, length);
	blk_start(blk, req, DISK_READ);
	return -1;
}

static int blk_write(struct virtio_blk *blk, struct blk_req *req, u64 sector)
{
	u64 head = sizeof(struct virtio_blk_req_head), length = req->ring->out_len - head;
	int iovs;

	if (blk->disk->read_only || !blk_in_range(blk, sector, length))
		return VIRTIO_BLK_S_IOERR;
	if (!length)
		return VIRTIO_BLK_S_OK;
	iovs = virtq_iov_out(req->ring, head, length, req->iov);
	if (iovs < 0)
		return VIRTIO_BLK_S_IOERR;
	req->disk.offset = sector * DISK_SECTOR;
	req->disk.length = length;
	req->disk.iov = req->iov;
	req->disk.iovs = (unsigned)iovs;
	blk_count(&blk->stats.writes, 1);
	blk_count(&blk->stats.written_bytes, length);
	blk_start(blk, req, DISK_WRITE);
	return -1;
}

static int blk_range(struct virtio_blk *blk, struct blk_req *req)
{
	u64 head = sizeof(struct virtio_blk_req_head);
	bool zeroes = req->type == VIRTIO_BLK_T_WRITE_ZEROES;
	struct virtio_blk_range range;

	if (blk->disk->read_only || req->ring->out_len - head != sizeof(range))
		return VIRTIO_BLK_S_IOERR;
	virtq_copy_out(req->ring, head, &range, sizeof(range));
	if (range.flags & ~(zeroes ? VIRTIO_BLK_WRITE_ZEROES_F_UNMAP : 0u))
		return VIRTIO_BLK_S_UNSUPP;
	if (range.num_sectors > BLK_RANGE_SECTORS ||
	    !blk_in_range(blk, range.sector, (u64)range.num_sectors * DISK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	if (!range.num_sectors)
		return VIRTIO_BLK_S_OK;
	req->disk.offset = range.sector * DISK_SECTOR;
	req->disk.length = (u64)range.num_sectors * DISK_SECTOR;
	req->disk.flags = range.flags ? DISK_REQ_UNMAP : 0;
	req->disk.iov = req->iov;
	blk_count(&blk->stats.discards, 1);
	blk_start(blk, req, zeroes ? DISK_WRITE_ZEROES : DISK_DISCARD);
	return -1;
}

static int blk_dispatch(struct virtio_blk *blk, struct blk_req *req, u64 sector)
{
	switch (req->type) {
	case VIRTIO_BLK_T_IN: return blk_read(blk, req, sector);
	case VIRTIO_BLK_T_OUT: return blk_write(blk, req, sector);
	case VIRTIO_BLK_T_FLUSH:
		blk_count(&blk->stats.flushes, 1);
		if (blk->disk->read_only)
			return VIRTIO_BLK_S_OK;
		blk_start(blk, req, DISK_FLUSH);
		return -1;
	case VIRTIO_BLK_T_GET_ID:
		virtq_copy_in(req->ring, 0, blk->serial,
			      min_u64(sizeof(blk->serial), req->ring->in_len - 1));
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES: return blk_range(blk, req);
	default: return VIRTIO_BLK_S_UNSUPP;
	}
}

/* False when the guest broke the rules and nothing more is to be taken. */
static bool blk_handle(struct virtio_blk *blk, struct virtq_req *ring)
{
	struct blk_req *req = &blk->req[blk_queue_of(blk, ring)][ring - ring->queue->req];
	struct virtio_blk_req_head head;
	int status;

	if (virtq_copy_out(ring, 0, &head, sizeof(head)) != sizeof(head) || !ring->in_len) {
		virtq_push(ring->queue, ring, 0);
		virtio_device_break(&blk->vdev, "a request without head or status");
		return false;
	}
	req->blk = blk;
	req->ring = ring;
	req->type = head.type;
	req->disk.flags = 0;
	status = blk_dispatch(blk, req, head.sector);
	if (status >= 0)
		blk_finish(blk, ring, (u8)status);
	return true;
}

static void blk_queue_ready(struct virtio_device *vdev, unsigned n)
{
	struct virtio_blk *blk = blk_of(vdev);
	struct virtq *queue = &vdev->queue[n];
	unsigned budget = BLK_QUEUE_SIZE;
	struct virtq_req *ring;

	virtq_notify_off(queue);
	do {
		while (budget && virtio_queue_pop(vdev, n, &ring)) {
			budget--;
			if (!blk_handle(blk, ring))
				break;
		}
		disk_kick(blk->disk);
		blk_signal(blk);
	} while (budget && virtq_notify_on(queue) && virtio_live(vdev));
	/* A guest that never pauses must not keep the thread from its other work. */
	if (!budget)
		virtio_queue_kick(vdev, n);
}

static void blk_drain(struct virtio_device *vdev, unused_arg bool forget)
{
	struct virtio_blk *blk = blk_of(vdev);

	if (!blk->attached)
		return;
	disk_drain(blk->disk);
	blk_signal(blk);
}

static void blk_detach(struct virtio_device *vdev)
{
	struct virtio_blk *blk = blk_of(vdev);

	if (blk->attached)
		disk_detach(blk->disk);
}

static void blk_reset(struct virtio_device *vdev)
{
	__atomic_store_n(&vdev->config[offsetof(struct virtio_blk_config, writeback)], 1,
			 __ATOMIC_RELAXED);
}

/* 5.2.5.2: a driver that cannot flush, but can set the mode, starts in write-through. */
static void blk_features_settled(struct virtio_device *vdev)
{
	if (virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE) && !virtio_has(vdev, VIRTIO_BLK_F_FLUSH))
		__atomic_store_n(&vdev->config[offsetof(struct virtio_blk_config, writeback)], 0,
				 __ATOMIC_RELAXED);
}

/* A driver may write 0 or 1; anything else counts as 1. */
static void blk_config_written(struct virtio_device *vdev)
{
	u8 *writeback = &vdev->config[offsetof(struct virtio_blk_config, writeback)];

	__atomic_store_n(writeback, *writeback != 0, __ATOMIC_RELAXED);
}

/* ---- open/close -------------------------------------------------------------------------- */

static void blk_free(struct virtio_blk *blk)
{
	for (unsigned n = 0; n < BLK_QUEUES_MAX; n++)
		free(blk->req[n]);
	free(blk);
}

static void blk_close(struct virtio_device *vdev)
{
	struct virtio_blk *blk = blk_of(vdev);

	if (blk->attached)
		disk_close(blk->disk);
	blk_free(blk);
}

static const struct virtio_ops blk_ops = {
	.queue_ready = blk_queue_ready,
	.drain = blk_drain,
	.detach = blk_detach,
	.reset = blk_reset,
	.features_settled = blk_features_settled,
	.config_written = blk_config_written,
	.close = blk_close,
};

static void blk_describe(struct virtio_blk *blk)
{
	struct virtio_device *vdev = &blk->vdev;
	struct virtio_blk_config config = {
		.capacity = blk->disk->size / DISK_SECTOR,
		.seg_max = BLK_SEG_MAX,
		.blk_size = DISK_SECTOR,
		.physical_block_exp = (u8)__builtin_ctz(blk->disk->block_size / DISK_SECTOR),
		.min_io_size = 1,
		.writeback = 1,
		.num_queues = (u16)vdev->queues,
		.max_discard_sectors = BLK_RANGE_SECTORS,
		.max_discard_seg = 1,
		.discard_sector_alignment = blk->disk->block_size / DISK_SECTOR,
		.max_write_zeroes_sectors = BLK_RANGE_SECTORS,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = blk->disk->can_discard,
	};

	memcpy(vdev->config, &config, sizeof(config));
	vdev->config_len = sizeof(config);
	vdev->config_wmask[offsetof(struct virtio_blk_config, writeback)] =
		blk->disk->read_only ? 0 : 0xff;
	vdev->offered = BIT64(VIRTIO_BLK_F_SEG_MAX) | BIT64(VIRTIO_BLK_F_BLK_SIZE) |
			BIT64(VIRTIO_BLK_F_TOPOLOGY) | BIT64(VIRTIO_BLK_F_FLUSH);
	if (vdev->queues > 1)
		vdev->offered |= BIT64(VIRTIO_BLK_F_MQ);
	if (blk->disk->read_only) {
		vdev->offered |= BIT64(VIRTIO_BLK_F_RO);
		return;
	}
	vdev->offered |= BIT64(VIRTIO_BLK_F_CONFIG_WCE) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES);
	if (blk->disk->can_discard)
		vdev->offered |= BIT64(VIRTIO_BLK_F_DISCARD);
}

int virtio_blk_open(struct board *board, struct pci_host *host, unsigned slot, struct disk *disk,
		    const char *serial, struct device **out)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	struct virtio_device *vdev;
	int rc;

	if (!blk)
		return FAIL(-ENOMEM, "virtio-blk: out of memory");
	vdev = &blk->vdev;
	blk->disk = disk;
	strncpy(blk->serial, serial ? serial : "", sizeof(blk->serial));
	vdev->ops = &blk_ops;
	vdev->id = VIRTIO_ID_BLOCK;
	vdev->queues = board->cpus < BLK_QUEUES_MAX ? board->cpus : BLK_QUEUES_MAX;
	if (!vdev->queues)
		vdev->queues = 1;
	for (unsigned n = 0; n < vdev->queues; n++) {
		vdev->queue_max[n] = BLK_QUEUE_SIZE;
		blk->req[n] = calloc(BLK_QUEUE_SIZE, sizeof(*blk->req[n]));
		if (!blk->req[n]) {
			rc = FAIL(-ENOMEM, "virtio-blk: out of memory");
			goto fail;
		}
	}
	blk_describe(blk);
	rc = virtio_device_open(vdev, board, host, slot, PCI_CLASS_STORAGE_SCSI, "virtio-blk");
	if (rc)
		goto fail;
	disk->batch = blk_signal;
	disk->batch_arg = blk;
	rc = disk_attach(disk, vdev->loop);
	if (rc) {
		virtio_device_close(vdev); /* the disk stays the caller's */
		return rc;
	}
	blk->attached = true;
	*out = &vdev->pci.dev;
	return 0;
fail:
	blk_free(blk);
	return rc;
}

void virtio_blk_stats(const struct device *dev, struct virtio_blk_stats *stats)
{
	const struct virtio_blk *blk =
		container_of((const struct device *)dev, struct virtio_blk, vdev.pci.dev);
	const u64 *from = (const u64 *)&blk->stats;
	u64 *to = (u64 *)stats;

	for (size_t i = 0; i < sizeof(*stats) / sizeof(u64); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
