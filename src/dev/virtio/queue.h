/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtq: the only reader of virtqueues. Takes requests out of guest memory, checked; puts used ones
 * back.
 *
 * Both layouts, split (virtio 1.2, 2.7) and packed (2.8), behind the same calls. Every descriptor
 * is copied once; what a device gets is a list of guest ranges that lie whole in RAM, readable ones
 * before writable ones, at most VIRTQ_SEGS of them. Anything else breaks the queue: it delivers
 * nothing more until virtq_stop(), and `error` says why.
 *
 * Requests are preallocated, as many as the ring has entries.
 *
 * Context: all calls from the device's loop thread. open/close: before and after that thread works.
 */
#ifndef DEV_VIRTIO_QUEUE_H
#define DEV_VIRTIO_QUEUE_H

#include <sys/uio.h>

#include "board/ram.h"
#include "lib/types.h"

#define VIRTQ_SIZE_MAX 1024
#define VIRTQ_SEGS     130

/* What the guest configured. */
struct virtq_setup {
	u16 size;
	bool packed, event_idx, indirect;
	gpa_t desc, driver, device; /* descriptor area, driver area, device area */
};

struct virtq_seg {
	gpa_t gpa;
	u32 len;
};

struct virtq_req {
	struct virtq *queue;
	struct virtq_req *next; /* free list */
	u16 id;
	u16 descs;	     /* ring entries the request takes */
	u16 outs, ins;	     /* segments: seg[0..outs) readable, then `ins` writable */
	u64 out_len, in_len; /* their bytes */
	bool in_flight;
	struct virtq_seg seg[VIRTQ_SEGS];
};

struct virtq {
	struct ram *ram;
	struct virtq_setup setup;
	u16 max_size;
	bool live;
	const char *error;	    /* why the queue is broken; NULL = sound */
	u16 last_avail;		    /* next entry to take */
	u16 avail_idx;		    /* split: the driver's index as last read */
	u16 used_idx;		    /* next used entry */
	bool avail_wrap, used_wrap; /* packed */
	u16 since_signal;	    /* used entries since the driver was last asked about */
	u16 in_flight;		    /* requests out with the device */
	u16 descs_in_flight;
	bool notify_off; /* the driver was told not to kick */
	struct virtq_req *req, *free;
};

/* Room for rings of up to max_size (<= VIRTQ_SIZE_MAX). 0, -ENOMEM. */
int virtq_open(struct virtq *queue, struct ram *ram, u16 max_size);
void virtq_close(struct virtq *queue);

/* Begins to serve the ring. -EINVAL when size, alignment or place are wrong: queue->error tells. */
int virtq_start(struct virtq *queue, const struct virtq_setup *setup);
/* Forgets everything; no request may be in flight. */
void virtq_stop(struct virtq *queue);

/* 1 and *out: a request; 0: none there; -EIO: the guest broke the ring (queue->error). */
int virtq_pop(struct virtq *queue, struct virtq_req **out);
/* Gives the request back with `written` bytes stored in its writable part. */
void virtq_push(struct virtq *queue, struct virtq_req *req, u32 written);
/* Puts the last popped request back as if it had not been taken. Only when nothing was popped
 * after it. */
void virtq_unpop(struct virtq *queue, struct virtq_req *req);

/* After pushes: must the driver be interrupted? Asks once; counts from zero again. */
bool virtq_wants_interrupt(struct virtq *queue);
/* Tells the driver not to kick. A hint. */
void virtq_notify_off(struct virtq *queue);
/* Tells it to kick again; true when requests came meanwhile: take them before sleeping. */
bool virtq_notify_on(struct virtq *queue);

/* ---- request data ------------------------------------------------------------------------ */

/* Copy from the readable part at `off`; to the writable part at `off`. Bytes copied: less than len
 * where the part ends. */
size_t virtq_copy_out(const struct virtq_req *req, u64 off, void *buf, size_t len);
size_t virtq_copy_in(const struct virtq_req *req, u64 off, const void *buf, size_t len);

/* Host vectors for `len` bytes of the readable part from `off`: count, or -EIO. `iov` has room for
 * VIRTQ_SEGS. */
int virtq_iov_out(const struct virtq_req *req, u64 off, u64 len, struct iovec *iov);
/* The same for the writable part; begins a device write on each range (board/ram.h), ended by
 * virtq_iov_in_end with the same off and len. */
int virtq_iov_in(const struct virtq_req *req, u64 off, u64 len, struct iovec *iov);
void virtq_iov_in_end(const struct virtq_req *req, u64 off, u64 len);

#endif
