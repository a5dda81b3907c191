/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aio: file I/O that does not block its loop: io_uring, or a pool of threads where the host refuses
 * io_uring (old kernel, seccomp, sysctl kernel.io_uring_disabled).
 *
 * Everything (ring, threads, memory) is made at open. Completions arrive on the loop, or inside
 * aio_drain.
 *
 * Context: open/close: before and after the loop works; the rest: the loop's thread.
 */
#ifndef HOST_AIO_H
#define HOST_AIO_H

#include <sys/uio.h>

#include "host/loop.h"
#include "lib/types.h"

enum aio_op { AIO_READ, AIO_WRITE, AIO_SYNC, AIO_ALLOCATE };

struct aio_req {
	enum aio_op op;
	int fd;
	int mode; /* AIO_ALLOCATE: FALLOC_FL_* */
	unsigned iovs;
	const struct iovec *iov;
	u64 offset;
	u64 length; /* AIO_ALLOCATE */
	/* result: bytes, or 0, or -errno as of preadv, pwritev, fdatasync, fallocate. */
	void (*done)(struct aio_req *req, s64 result);
	/* Its own while under way. */
	struct aio_req *next;
	s64 result;
};

struct aio;

struct aio_ops {
	const char *name; /* "io_uring", "threads" */
	int (*open)(struct loop *loop, unsigned depth, struct aio **out);
	void (*close)(struct aio *aio);
	void (*submit)(struct aio *aio, struct aio_req *req);
	void (*kick)(struct aio *aio);
	void (*drain)(struct aio *aio);
};

/* The part both kinds share. */
struct aio {
	const struct aio_ops *ops;
	struct loop *loop;
	unsigned in_flight;
	/* Optional: called after a batch of done() calls. */
	void (*batch)(void *arg);
	void *batch_arg;
};

extern const struct aio_ops aio_uring;
extern const struct aio_ops aio_pool;

/* kind: NULL or "" for the best this host allows, or a name. At most `depth` requests at a time go
 * to the host; more wait in line. */
int aio_open(const char *kind, struct loop *loop, unsigned depth, struct aio **out);
void aio_close(struct aio *aio);

static inline void aio_submit(struct aio *aio, struct aio_req *req)
{
	aio->ops->submit(aio, req);
}

/* Hands over what was submitted since the last kick. */
static inline void aio_kick(struct aio *aio)
{
	aio->ops->kick(aio);
}

/* Returns with nothing under way; every done() was called. */
static inline void aio_drain(struct aio *aio)
{
	aio->ops->drain(aio);
}

#endif
