/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw: requests go to the file at the same offset.
 *
 * Partial transfers are continued. Zeroes are written by the file system where it can (hole or zero
 * range), else from a page of zeroes; a discard that the file system cannot do is a success that
 * does nothing, as virtio allows.
 *
 * Context: disk.h's.
 */
#include "disk/raw.h"

#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/fail.h"
#include "lib/bits.h"

#define SECTOR	   512u
#define ZERO_BYTES 65536u

struct raw {
	struct disk disk;
	struct disk_file file;
	struct aio *aio;
	u8 *zeroes;
};

/* How a request of zeroes is being done; the next one is tried when the host cannot. */
enum raw_zero_step { RAW_ZERO_RANGE, RAW_ZERO_PUNCH, RAW_ZERO_WRITE };

static struct raw *raw_of(struct disk *disk)
{
	return container_of(disk, struct raw, disk);
}

static void raw_zero_step(struct raw *raw, struct disk_req *req);

/* ---- completions ------------------------------------------------------------------------- */

/* Skips `n` bytes of the vectors. */
static void raw_advance(struct disk_req *req, u64 n)
{
	while (n && n >= req->iov->iov_len) {
		n -= req->iov->iov_len;
		req->iov++;
		req->iovs--;
	}
	if (n) {
		req->iov->iov_base = (u8 *)req->iov->iov_base + n;
		req->iov->iov_len -= n;
	}
}

static void raw_transfer_done(struct aio_req *aio, s64 result)
{
	struct disk_req *req = container_of(aio, struct disk_req, aio);
	struct raw *raw = raw_of(req->disk);

	if (result == -EINTR || result == -EAGAIN)
		result = 0;
	else if (!result)
		result = -EIO; /* the file became shorter than the disk */
	if (result < 0) {
		req->done(req, (int)result);
		return;
	}
	req->progress += (u64)result;
	if (req->progress >= req->length) {
		req->done(req, 0);
		return;
	}
	raw_advance(req, (u64)result);
	req->aio.iov = req->iov;
	req->aio.iovs = req->iovs;
	req->aio.offset = req->offset + req->progress;
	aio_submit(raw->aio, &req->aio);
	aio_kick(raw->aio);
}

static void raw_simple_done(struct aio_req *aio, s64 result)
{
	struct disk_req *req = container_of(aio, struct disk_req, aio);

	/* -EINVAL: smaller than a block of the device, which cannot be dropped in part */
	if (req->op == DISK_DISCARD &&
	    (result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL))
		result = 0;
	req->done(req, (int)result);
}

static void raw_zero_done(struct aio_req *aio, s64 result)
{
	struct disk_req *req = container_of(aio, struct disk_req, aio);
	struct raw *raw = raw_of(req->disk);

	if (req->step == RAW_ZERO_WRITE) {
		if (result == -EINTR || result == -EAGAIN)
			result = 0;
		if (result < 0 || (req->progress += (u64)result) >= req->length) {
			req->done(req, result < 0 ? (int)result : 0);
			return;
		}
	} else if (result != -EOPNOTSUPP && result != -ENOSYS && result != -EINVAL) {
		req->done(req, (int)result);
		return;
	} else {
		req->step++;
	}
	raw_zero_step(raw, req);
	aio_kick(raw->aio);
}

/* ---- submission -------------------------------------------------------------------------- */

static void raw_zero_step(struct raw *raw, struct disk_req *req)
{
	struct aio_req *aio = &req->aio;

	*aio = (struct aio_req){.op = AIO_ALLOCATE,
				.fd = raw->file.fd,
				.offset = req->offset,
				.length = req->length,
				.done = raw_zero_done};
	switch (req->step) {
	case RAW_ZERO_RANGE: aio->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE; break;
	case RAW_ZERO_PUNCH: aio->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE; break;
	default:
		req->iov[0] =
			(struct iovec){.iov_base = raw->zeroes,
				       .iov_len = min_u64(ZERO_BYTES, req->length - req->progress)};
		aio->op = AIO_WRITE;
		aio->iov = req->iov;
		aio->iovs = 1;
		aio->offset = req->offset + req->progress;
		break;
	}
	aio_submit(raw->aio, aio);
}

static void raw_submit(struct disk *disk, struct disk_req *req)
{
	struct raw *raw = raw_of(disk);

	req->disk = disk;
	req->progress = 0;
	req->aio = (struct aio_req){.fd = raw->file.fd,
				    .iov = req->iov,
				    .iovs = req->iovs,
				    .offset = req->offset,
				    .length = req->length,
				    .done = raw_simple_done};
	switch (req->op) {
	case DISK_READ:
	case DISK_WRITE:
		req->aio.op = req->op == DISK_READ ? AIO_READ : AIO_WRITE;
		req->aio.done = raw_transfer_done;
		break;
	case DISK_FLUSH: req->aio.op = AIO_SYNC; break;
	case DISK_DISCARD:
		req->aio.op = AIO_ALLOCATE;
		req->aio.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		break;
	case DISK_WRITE_ZEROES:
		req->step = req->flags & DISK_REQ_UNMAP ? RAW_ZERO_PUNCH : RAW_ZERO_RANGE;
		raw_zero_step(raw, req);
		return;
	}
	aio_submit(raw->aio, &req->aio);
}

static void raw_kick(struct disk *disk)
{
	aio_kick(raw_of(disk)->aio);
}

static void raw_drain(struct disk *disk)
{
	if (raw_of(disk)->aio)
		aio_drain(raw_of(disk)->aio);
}

static void raw_batch(void *arg)
{
	struct raw *raw = arg;

	if (raw->disk.batch)
		raw->disk.batch(raw->disk.batch_arg);
}

/* ---- open/close -------------------------------------------------------------------------- */

static int raw_attach(struct disk *disk, struct loop *loop)
{
	struct raw *raw = raw_of(disk);
	int rc = aio_open(disk->aio, loop, 256, &raw->aio);

	if (rc)
		return rc;
	raw->aio->batch = raw_batch;
	raw->aio->batch_arg = raw;
	return 0;
}

static void raw_detach(struct disk *disk)
{
	aio_close(raw_of(disk)->aio);
	raw_of(disk)->aio = NULL;
}

static void raw_close(struct disk *disk)
{
	struct raw *raw = raw_of(disk);

	raw_detach(disk);
	disk_file_close(&raw->file);
	free(raw->zeroes);
	free(raw);
}

static const struct disk_ops raw_ops = {
	.format = "raw",
	.close = raw_close,
	.attach = raw_attach,
	.detach = raw_detach,
	.submit = raw_submit,
	.kick = raw_kick,
	.drain = raw_drain,
};

int disk_raw_open(const struct disk_config *config, const struct disk_file *file, struct disk **out)
{
	struct raw *raw;

	if (file->size % SECTOR)
		return FAIL(-EINVAL,
			    "disk: %s is %llu bytes, not a multiple of 512; round it up with: "
			    "truncate -s %%512 %s",
			    config->path, (unsigned long long)file->size, config->path);
	raw = calloc(1, sizeof(*raw));
	if (!raw)
		return FAIL(-ENOMEM, "disk: out of memory");
	raw->zeroes = calloc(1, ZERO_BYTES);
	if (!raw->zeroes) {
		free(raw);
		return FAIL(-ENOMEM, "disk: out of memory");
	}
	raw->file = *file;
	raw->disk = (struct disk){.ops = &raw_ops,
				  .size = file->size,
				  .block_size = file->block_size,
				  .read_only = file->read_only,
				  .can_discard = !file->read_only,
				  .aio = config->aio};
	snprintf(raw->disk.path, sizeof(raw->disk.path), "%s", config->path);
	*out = &raw->disk;
	return 0;
}
