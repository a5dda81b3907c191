/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring: aio on io_uring, through liburing. An eventfd tells the loop of completions.
 *
 * Requests beyond the ring's depth wait in line, so the completion queue (twice as deep) never
 * overflows.
 *
 * Context: the loop's thread.
 */
#include <liburing.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/aio.h"
#include "host/fail.h"

#define URING_DEPTH_MAX 256u

struct uring {
	struct aio aio;
	struct io_uring ring;
	struct loop_fd event;
	struct loop_call retry;
	unsigned depth, prepared; /* prepared: handed over or about to be, and not completed */
	struct aio_req *line, **line_tail;
};

/* ---- work -------------------------------------------------------------------------------- */

static void uring_prepare(struct uring *u, struct aio_req *req)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	ASSERT(sqe, "the submission ring has room for as many as it is deep");
	switch (req->op) {
	case AIO_READ: io_uring_prep_readv(sqe, req->fd, req->iov, req->iovs, req->offset); break;
	case AIO_WRITE: io_uring_prep_writev(sqe, req->fd, req->iov, req->iovs, req->offset); break;
	case AIO_SYNC: io_uring_prep_fsync(sqe, req->fd, IORING_FSYNC_DATASYNC); break;
	case AIO_ALLOCATE:
		io_uring_prep_fallocate(sqe, req->fd, req->mode, (off_t)req->offset,
					(off_t)req->length);
		break;
	}
	io_uring_sqe_set_data(sqe, req);
	u->prepared++;
}

static void uring_submit(struct aio *aio, struct aio_req *req)
{
	struct uring *u = container_of(aio, struct uring, aio);

	aio->in_flight++;
	if (u->prepared < u->depth) {
		uring_prepare(u, req);
		return;
	}
	req->next = NULL;
	*u->line_tail = req;
	u->line_tail = &req->next;
}

static void uring_kick(struct aio *aio)
{
	struct uring *u = container_of(aio, struct uring, aio);

	/* The kernel may take a part only: it stops at a request that fails at once. */
	while (io_uring_sq_ready(&u->ring) && io_uring_submit(&u->ring) > 0)
		;
	/* Refused (-EAGAIN, -EBUSY): goes with the next completion; if none is due, try again. */
	if (u->prepared && io_uring_sq_ready(&u->ring) == u->prepared)
		loop_post(aio->loop, &u->retry);
}

static void uring_retry(struct loop_call *call)
{
	uring_kick(call->arg);
}

static void uring_next_in_line(struct uring *u)
{
	while (u->line && u->prepared < u->depth) {
		struct aio_req *req = u->line;

		u->line = req->next;
		if (!u->line)
			u->line_tail = &u->line;
		uring_prepare(u, req);
	}
}

static bool uring_reap(struct uring *u)
{
	struct io_uring_cqe *cqe;
	bool any = false;

	while (!io_uring_peek_cqe(&u->ring, &cqe)) {
		struct aio_req *req = io_uring_cqe_get_data(cqe);
		s64 result = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		u->prepared--;
		u->aio.in_flight--;
		any = true;
		req->done(req, result);
	}
	uring_next_in_line(u);
	uring_kick(&u->aio);
	if (any && u->aio.batch)
		u->aio.batch(u->aio.batch_arg);
	return any;
}

static void uring_ready(struct loop_fd *src, unused_arg u32 revents)
{
	struct uring *u = src->arg;
	u64 count;

	if (read(src->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	uring_reap(u);
}

static void uring_drain(struct aio *aio)
{
	struct uring *u = container_of(aio, struct uring, aio);
	struct io_uring_cqe *cqe;

	while (aio->in_flight) {
		uring_kick(aio);
		if (!uring_reap(u) && io_uring_sq_ready(&u->ring) < u->prepared)
			io_uring_wait_cqe(&u->ring, &cqe);
	}
}

/* ---- open/close -------------------------------------------------------------------------- */

static bool uring_has_ops(struct io_uring *ring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool ok;

	if (!probe)
		return false;
	ok = io_uring_opcode_supported(probe, IORING_OP_READV) &&
	     io_uring_opcode_supported(probe, IORING_OP_WRITEV) &&
	     io_uring_opcode_supported(probe, IORING_OP_FSYNC) &&
	     io_uring_opcode_supported(probe, IORING_OP_FALLOCATE);
	io_uring_free_probe(probe);
	return ok;
}

static void uring_close(struct aio *aio)
{
	struct uring *u = container_of(aio, struct uring, aio);

	loop_remove(aio->loop, &u->event);
	loop_unpost(aio->loop, &u->retry);
	io_uring_queue_exit(&u->ring);
	close(u->event.fd);
	free(u);
}

static int uring_open(struct loop *loop, unsigned depth, struct aio **out)
{
	struct uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return FAIL(-ENOMEM, "io_uring: out of memory");
	u->aio = (struct aio){.ops = &aio_uring, .loop = loop};
	u->line_tail = &u->line;
	u->retry = (struct loop_call){.run = uring_retry, .arg = &u->aio};
	u->depth = depth < URING_DEPTH_MAX ? depth : URING_DEPTH_MAX;
	rc = io_uring_queue_init(u->depth, &u->ring, 0);
	if (rc) {
		rc = FAIL(rc, "io_uring: the host refuses it (error %d)", -rc);
		goto fail_alloc;
	}
	if (!uring_has_ops(&u->ring)) {
		rc = FAIL(-ENOSYS, "io_uring: the host's kernel lacks operations we need");
		goto fail_ring;
	}
	u->event = (struct loop_fd){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				    .events = EPOLLIN,
				    .ready = uring_ready,
				    .arg = u};
	if (u->event.fd < 0) {
		rc = FAIL(-errno, "io_uring: no descriptor left (see ulimit -n)");
		goto fail_ring;
	}
	rc = io_uring_register_eventfd(&u->ring, u->event.fd);
	if (rc) {
		rc = FAIL(rc, "io_uring: the host refuses an event descriptor");
		goto fail_event;
	}
	rc = loop_add(loop, &u->event);
	if (rc)
		goto fail_event;
	*out = &u->aio;
	return 0;
fail_event:
	close(u->event.fd);
fail_ring:
	io_uring_queue_exit(&u->ring);
fail_alloc:
	free(u);
	return rc;
}

const struct aio_ops aio_uring = {
	.name = "io_uring",
	.open = uring_open,
	.close = uring_close,
	.submit = uring_submit,
	.kick = uring_kick,
	.drain = uring_drain,
};
