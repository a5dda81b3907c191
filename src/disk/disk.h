/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: a disk image as devices see it: numbered bytes, asynchronous requests.
 *
 * A request goes down with vectors and comes back through done(), with 0 or -errno, on the loop
 * that the disk was attached to. Offsets and lengths are bytes, whole multiples of 512, inside the
 * size; the caller checks (a guest's numbers are the device's to judge). Requests complete in any
 * order; a flush covers what was completed before it was submitted.
 *
 * Context: open/close by the owner, before and after its loop works; attach before the first
 * request; submit, drain: the attached loop's thread.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include <sys/uio.h>

#include "host/aio.h"
#include "lib/types.h"

#define DISK_SECTOR 512u

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_WRITE_ZEROES };

/* Zeroes may be left allocated (off) or punched out (on). */
#define DISK_REQ_UNMAP 1u

struct disk_req {
	enum disk_op op;
	u32 flags;
	u64 offset;
	u64 length; /* of read and write: the sum of iov */
	/* The disk may change it. DISK_WRITE_ZEROES needs room for one, contents unused. */
	struct iovec *iov;
	unsigned iovs;
	void (*done)(struct disk_req *req, int result);
	/* The disk's own while under way. */
	struct disk *disk;
	u64 progress;
	unsigned step;
	struct aio_req aio;
};

struct disk;

struct disk_ops {
	const char *format;
	void (*close)(struct disk *disk);
	int (*attach)(struct disk *disk, struct loop *loop);
	/* Before the loop goes away; nothing under way. */
	void (*detach)(struct disk *disk);
	void (*submit)(struct disk *disk, struct disk_req *req);
	/* Hands over what was submitted since; a hint to batch system calls. */
	void (*kick)(struct disk *disk);
	/* Returns when no request is under way; their done() ran. */
	void (*drain)(struct disk *disk);
};

struct disk {
	const struct disk_ops *ops;
	u64 size;	/* bytes */
	u32 block_size; /* physical: a power of two, at least 512 */
	bool read_only;
	bool can_discard;
	/* Optional, set by the device: called after a batch of done() calls. */
	void (*batch)(void *arg);
	void *batch_arg;
	const char *aio; /* as in the config */
	char path[256];	 /* for messages */
};

enum disk_format { DISK_FORMAT_PROBE, DISK_FORMAT_RAW };

struct disk_config {
	const char *path;
	enum disk_format format; /* PROBE: raw unless a known magic says otherwise */
	bool read_only;
	/* "" or NULL: io_uring where the host allows it, else threads; "io_uring", "threads". */
	const char *aio;
};

/* Opens and locks the image. Errors come with a sentence that names the mend. */
int disk_open(const struct disk_config *config, struct disk **out);
void disk_close(struct disk *disk);

static inline int disk_attach(struct disk *disk, struct loop *loop)
{
	return disk->ops->attach(disk, loop);
}

static inline void disk_detach(struct disk *disk)
{
	disk->ops->detach(disk);
}

static inline void disk_submit(struct disk *disk, struct disk_req *req)
{
	disk->ops->submit(disk, req);
}

static inline void disk_kick(struct disk *disk)
{
	disk->ops->kick(disk);
}

static inline void disk_drain(struct disk *disk)
{
	disk->ops->drain(disk);
}

#endif
