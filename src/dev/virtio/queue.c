/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtq: see queue.h. This file is the wall between a hostile guest's rings and the devices.
 *
 * Entered on the device's loop thread only. Trusts nothing in guest memory: the guest writes there
 * while we read, so each value is loaded once and checked after the load.
 *
 * Follows virtio 1.2: 2.7 (split), 2.8 (packed), 2.7.5.3 / 2.8.7 (indirect), 2.7.10 / 2.8.10
 * (event suppression). Order on x86: guest and device threads see each other's stores in order;
 * only store-then-load needs a fence.
 */
#include "dev/virtio/queue.h"

#include <stdlib.h>
#include <string.h>

#include "host/fail.h"
#include "lib/bits.h"
#include "spec/virtio.h"

/* ---- helpers: guest memory --------------------------------------------------------------- */

static int virtq_break(struct virtq *queue, const char *why)
{
	if (!queue->error)
		queue->error = why;
	return -EIO;
}

/* One aligned load of a ring field. The rings were checked at start and slots do not go away. */
static u16 virtq_load16(const struct virtq *queue, gpa_t gpa)
{
	const u16 *at = ram_ptr(queue->ram, gpa, 2);

	return at ? __atomic_load_n(at, __ATOMIC_ACQUIRE) : 0;
}

static void virtq_store16(struct virtq *queue, gpa_t gpa, u16 value)
{
	u16 *at = ram_write_begin(queue->ram, gpa, 2);

	if (!at)
		return;
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
	ram_write_end(queue->ram, gpa, 2);
}

/* virtio 1.2, 2.7.10.1: did `new` step over `event` since `old`? All modulo 2^16. */
static bool virtq_event_passed(u16 event, u16 new, u16 old)
{
	return (u16)(new - event - 1) < (u16)(new - old);
}

/* ---- chains ------------------------------------------------------------------------------ */

static int virtq_add_seg(struct virtq *queue, struct virtq_req *req, u64 gpa, u32 len, u16 flags)
{
	const struct ram_slot *slot;
	bool write = flags & VIRTQ_DESC_F_WRITE;

	if (!write && req->ins)
		return virtq_break(queue, "a readable descriptor follows a writable one");
	if (!len)
		return 0;
	slot = ram_find(queue->ram, gpa);
	if (!slot || len > slot->size - (gpa - slot->gpa) || (write && slot->kind != RAM_KIND_RAM))
		return virtq_break(queue, "a descriptor points outside memory");
	if (req->outs + req->ins == VIRTQ_SEGS)
		return virtq_break(queue, "a chain has too many descriptors");
	req->seg[req->outs + req->ins] = (struct virtq_seg){.gpa = gpa, .len = len};
	if (write) {
		req->ins++;
		req->in_len += len;
	} else {
		req->outs++;
		req->out_len += len;
	}
	return 0;
}

/* The table of an indirect descriptor: number of entries, or -EIO. */
static int virtq_indirect_count(struct virtq *queue, u16 flags, u64 gpa, u32 len)
{
	if (!queue->setup.indirect)
		return virtq_break(queue, "an indirect descriptor without the feature");
	if (flags & VIRTQ_DESC_F_NEXT)
		return virtq_break(queue, "an indirect descriptor with a next one");
	if (!len || len % sizeof(struct virtq_desc) ||
	    len / sizeof(struct virtq_desc) > VIRTQ_SIZE_MAX)
		return virtq_break(queue, "an indirect table of wrong length");
	if (!ram_ptr(queue->ram, gpa, len))
		return virtq_break(queue, "an indirect table outside memory");
	return (int)(len / sizeof(struct virtq_desc));
}

/* Follows a split chain inside a table of `count` descriptors at `table`. Every descriptor of the
 * table may be used once, so a loop ends at `count`. */
static int virtq_walk(struct virtq *queue, struct virtq_req *req, gpa_t table, u32 count, u16 head,
		      bool nested)
{
	struct virtq_desc desc;
	u16 next = head;

	for (u32 left = count;; left--) {
		int rc;

		if (next >= count)
			return virtq_break(queue, "a descriptor index past the table");
		if (!left)
			return virtq_break(queue, "a chain that loops");
		if (ram_read(queue->ram, table + next * sizeof(desc), &desc, sizeof(desc)))
			return virtq_break(queue, "a descriptor table outside memory");
		if (!nested)
			req->descs++;
		if (desc.flags & VIRTQ_DESC_F_INDIRECT) {
			if (nested)
				return virtq_break(queue, "an indirect table inside another");
			rc = virtq_indirect_count(queue, desc.flags, desc.addr, desc.len);
			if (rc < 0)
				return rc;
			return virtq_walk(queue, req, desc.addr, (u32)rc, 0, true);
		}
		rc = virtq_add_seg(queue, req, desc.addr, desc.len, desc.flags);
		if (rc)
			return rc;
		if (!(desc.flags & VIRTQ_DESC_F_NEXT))
			return 0;
		next = desc.next;
	}
}

static struct virtq_req *virtq_take_req(struct virtq *queue)
{
	struct virtq_req *req = queue->free;

	if (!req) {
		virtq_break(queue, "more requests than the ring has entries");
		return NULL;
	}
	queue->free = req->next;
	req->next = NULL;
	req->descs = req->outs = req->ins = 0;
	req->out_len = req->in_len = 0;
	return req;
}

static void virtq_free_req(struct virtq *queue, struct virtq_req *req)
{
	req->in_flight = false;
	req->next = queue->free;
	queue->free = req;
}

/* ---- split ------------------------------------------------------------------------------- */

static bool virtq_split_pending(struct virtq *queue)
{
	if (queue->avail_idx == queue->last_avail)
		queue->avail_idx = virtq_load16(queue, queue->setup.driver + VIRTQ_AVAIL_IDX);
	return queue->avail_idx != queue->last_avail;
}

static int virtq_split_pop(struct virtq *queue, struct virtq_req *req)
{
	const struct virtq_setup *s = &queue->setup;
	u16 slot = queue->last_avail & (s->size - 1);
	u16 head;
	int rc;

	if ((u16)(queue->avail_idx - queue->last_avail) > s->size)
		return virtq_break(queue, "an available index too far ahead");
	head = virtq_load16(queue, s->driver + VIRTQ_AVAIL_RING + slot * 2u);
	rc = virtq_walk(queue, req, s->desc, s->size, head, false);
	if (rc)
		return rc;
	req->id = head;
	queue->last_avail++;
	return 0;
}

static void virtq_split_push(struct virtq *queue, struct virtq_req *req, u32 written)
{
	const struct virtq_setup *s = &queue->setup;
	u16 slot = queue->used_idx & (s->size - 1);
	struct virtq_used_elem elem = {.id = req->id, .len = written};

	ram_write(queue->ram, s->device + VIRTQ_USED_RING + slot * sizeof(elem), &elem,
		  sizeof(elem));
	queue->used_idx++;
	queue->since_signal++;
	virtq_store16(queue, s->device + VIRTQ_USED_IDX, queue->used_idx);
}

static bool virtq_split_wants_interrupt(struct virtq *queue, u16 count)
{
	const struct virtq_setup *s = &queue->setup;
	u16 event;

	if (!s->event_idx)
		return !(virtq_load16(queue, s->driver) & VIRTQ_AVAIL_F_NO_INTERRUPT);
	event = virtq_load16(queue, s->driver + VIRTQ_AVAIL_RING + s->size * 2u);
	return virtq_event_passed(event, queue->used_idx, (u16)(queue->used_idx - count));
}

static void virtq_split_notify(struct virtq *queue, bool on)
{
	const struct virtq_setup *s = &queue->setup;

	if (!s->event_idx)
		virtq_store16(queue, s->device, on ? 0 : VIRTQ_USED_F_NO_NOTIFY);
	else if (on)
		virtq_store16(queue, s->device + VIRTQ_USED_RING + s->size * 8u, queue->last_avail);
}

/* ---- packed ------------------------------------------------------------------------------ */

static gpa_t virtq_packed_at(const struct virtq *queue, u16 index)
{
	return queue->setup.desc + index * sizeof(struct virtq_packed_desc);
}

static bool virtq_packed_pending(struct virtq *queue)
{
	u16 flags = virtq_load16(queue, virtq_packed_at(queue, queue->last_avail) +
						offsetof(struct virtq_packed_desc, flags));
	bool avail = flags & VIRTQ_DESC_F_AVAIL, used = flags & VIRTQ_DESC_F_USED;

	return avail == queue->avail_wrap && used != queue->avail_wrap;
}

static int virtq_packed_indirect(struct virtq *queue, struct virtq_req *req, gpa_t table,
				 unsigned count)
{
	struct virtq_packed_desc desc;

	/* 2.8.7: entries in order; only the write flag means something. */
	for (unsigned i = 0; i < count; i++) {
		int rc;

		if (ram_read(queue->ram, table + i * sizeof(desc), &desc, sizeof(desc)))
			return virtq_break(queue, "an indirect table outside memory");
		if (desc.flags & VIRTQ_DESC_F_INDIRECT)
			return virtq_break(queue, "an indirect table inside another");
		rc = virtq_add_seg(queue, req, desc.addr, desc.len, desc.flags);
		if (rc)
			return rc;
	}
	return 0;
}

static int virtq_packed_pop(struct virtq *queue, struct virtq_req *req)
{
	u16 size = queue->setup.size, index = queue->last_avail;
	struct virtq_packed_desc desc;
	int rc;

	do {
		if (req->descs == size)
			return virtq_break(queue, "a chain that loops");
		if (ram_read(queue->ram, virtq_packed_at(queue, index), &desc, sizeof(desc)))
			return virtq_break(queue, "a descriptor ring outside memory");
		req->descs++;
		index = (u16)(index + 1 == size ? 0 : index + 1);
		if (desc.flags & VIRTQ_DESC_F_INDIRECT) {
			rc = virtq_indirect_count(queue, desc.flags, desc.addr, desc.len);
			if (rc > 0)
				rc = virtq_packed_indirect(queue, req, desc.addr, (unsigned)rc);
		} else {
			rc = virtq_add_seg(queue, req, desc.addr, desc.len, desc.flags);
		}
		if (rc)
			return rc;
	} while (desc.flags & VIRTQ_DESC_F_NEXT);
	if (queue->descs_in_flight + req->descs > size)
		return virtq_break(queue, "more descriptors than the ring has entries");
	req->id = desc.id;
	if (index <= queue->last_avail)
		queue->avail_wrap = !queue->avail_wrap;
	queue->last_avail = index;
	return 0;
}

static void virtq_packed_push(struct virtq *queue, struct virtq_req *req, u32 written)
{
	gpa_t at = virtq_packed_at(queue, queue->used_idx);
	struct virtq_packed_desc *desc = ram_write_begin(queue->ram, at, sizeof(*desc));
	u16 flags = queue->used_wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0;

	if (desc) {
		if (written)
			flags |= VIRTQ_DESC_F_WRITE;
		desc->id = req->id;
		desc->len = written;
		__atomic_store_n(&desc->flags, flags, __ATOMIC_RELEASE);
		ram_write_end(queue->ram, at, sizeof(*desc));
	}
	queue->used_idx += req->descs;
	queue->since_signal += req->descs;
	if (queue->used_idx >= queue->setup.size) {
		queue->used_idx -= queue->setup.size;
		queue->used_wrap = !queue->used_wrap;
	}
}

static bool virtq_packed_wants_interrupt(struct virtq *queue, u16 count)
{
	const struct virtq_setup *s = &queue->setup;
	u16 flags = virtq_load16(queue, s->driver + VIRTQ_EVENT_FLAGS);
	u16 off, event;

	if (flags != VIRTQ_EVENT_F_DESC || !s->event_idx)
		return flags != VIRTQ_EVENT_F_DISABLE;
	off = virtq_load16(queue, s->driver + VIRTQ_EVENT_OFF);
	event = off & 0x7fff;
	if ((off >> 15) != queue->used_wrap)
		event -= s->size; /* in the previous round of the ring */
	return virtq_event_passed(event, queue->used_idx, (u16)(queue->used_idx - count));
}

static void virtq_packed_notify(struct virtq *queue, bool on)
{
	const struct virtq_setup *s = &queue->setup;

	if (!on) {
		virtq_store16(queue, s->device + VIRTQ_EVENT_FLAGS, VIRTQ_EVENT_F_DISABLE);
	} else if (s->event_idx) {
		virtq_store16(queue, s->device + VIRTQ_EVENT_OFF,
			      (u16)(queue->last_avail | queue->avail_wrap << 15));
		virtq_store16(queue, s->device + VIRTQ_EVENT_FLAGS, VIRTQ_EVENT_F_DESC);
	} else {
		virtq_store16(queue, s->device + VIRTQ_EVENT_FLAGS, VIRTQ_EVENT_F_ENABLE);
	}
}

/* ---- work -------------------------------------------------------------------------------- */

static bool virtq_pending(struct virtq *queue)
{
	return queue->setup.packed ? virtq_packed_pending(queue) : virtq_split_pending(queue);
}

int virtq_pop(struct virtq *queue, struct virtq_req **out)
{
	struct virtq_req *req;
	int rc;

	if (queue->error)
		return -EIO;
	if (!queue->live || !virtq_pending(queue))
		return 0;
	req = virtq_take_req(queue);
	if (!req)
		return -EIO;
	rc = queue->setup.packed ? virtq_packed_pop(queue, req) : virtq_split_pop(queue, req);
	if (rc) {
		virtq_free_req(queue, req);
		return rc;
	}
	req->in_flight = true;
	queue->in_flight++;
	queue->descs_in_flight += req->descs;
	*out = req;
	return 1;
}

static void virtq_retire(struct virtq *queue, struct virtq_req *req)
{
	ASSERT(req->in_flight && req->queue == queue, "a request is given back twice");
	queue->in_flight--;
	queue->descs_in_flight -= req->descs;
	virtq_free_req(queue, req);
}

void virtq_push(struct virtq *queue, struct virtq_req *req, u32 written)
{
	/* A broken queue is left as the guest broke it. */
	if (queue->live && !queue->error) {
		if (queue->setup.packed)
			virtq_packed_push(queue, req, written);
		else
			virtq_split_push(queue, req, written);
	}
	virtq_retire(queue, req);
}

void virtq_unpop(struct virtq *queue, struct virtq_req *req)
{
	if (!queue->setup.packed) {
		queue->last_avail--;
	} else if (queue->last_avail >= req->descs) {
		queue->last_avail -= req->descs;
	} else {
		queue->last_avail = (u16)(queue->last_avail + queue->setup.size - req->descs);
		queue->avail_wrap = !queue->avail_wrap;
	}
	virtq_retire(queue, req);
}

bool virtq_wants_interrupt(struct virtq *queue)
{
	u16 count = queue->since_signal;

	if (!queue->live || queue->error || !count)
		return false;
	queue->since_signal = 0;
	/* Our used entries before the driver's wish. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return queue->setup.packed ? virtq_packed_wants_interrupt(queue, count)
				   : virtq_split_wants_interrupt(queue, count);
}

void virtq_notify_off(struct virtq *queue)
{
	if (!queue->live || queue->error || queue->notify_off)
		return;
	queue->notify_off = true;
	if (queue->setup.packed)
		virtq_packed_notify(queue, false);
	else
		virtq_split_notify(queue, false);
}

bool virtq_notify_on(struct virtq *queue)
{
	if (!queue->live || queue->error)
		return false;
	queue->notify_off = false;
	if (queue->setup.packed)
		virtq_packed_notify(queue, true);
	else
		virtq_split_notify(queue, true);
	/* Our wish before the driver's entries. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtq_pending(queue);
}

/* ---- request data ------------------------------------------------------------------------ */

/* One stretch of a request's data: calls for each piece of [off, off + len) in segments
 * [first, first + count). */
struct virtq_cursor {
	const struct virtq_req *req;
	unsigned at, end;
	u64 skip, left;
};

static struct virtq_cursor virtq_cursor(const struct virtq_req *req, bool in, u64 off, u64 len)
{
	unsigned first = in ? req->outs : 0;
	u64 whole = in ? req->in_len : req->out_len;

	if (off > whole)
		off = whole;
	return (struct virtq_cursor){.req = req,
				     .at = first,
				     .end = first + (in ? req->ins : req->outs),
				     .skip = off,
				     .left = min_u64(len, whole - off)};
}

static bool virtq_cursor_next(struct virtq_cursor *c, struct virtq_seg *piece)
{
	while (c->left && c->at < c->end) {
		const struct virtq_seg *seg = &c->req->seg[c->at++];

		if (c->skip >= seg->len) {
			c->skip -= seg->len;
			continue;
		}
		piece->gpa = seg->gpa + c->skip;
		piece->len = (u32)min_u64(seg->len - c->skip, c->left);
		c->skip = 0;
		c->left -= piece->len;
		return true;
	}
	return false;
}

size_t virtq_copy_out(const struct virtq_req *req, u64 off, void *buf, size_t len)
{
	struct virtq_cursor c = virtq_cursor(req, false, off, len);
	struct virtq_seg piece;
	size_t done = 0;

	while (virtq_cursor_next(&c, &piece)) {
		ram_read(req->queue->ram, piece.gpa, (u8 *)buf + done, piece.len);
		done += piece.len;
	}
	return done;
}

size_t virtq_copy_in(const struct virtq_req *req, u64 off, const void *buf, size_t len)
{
	struct virtq_cursor c = virtq_cursor(req, true, off, len);
	struct virtq_seg piece;
	size_t done = 0;

	while (virtq_cursor_next(&c, &piece)) {
		ram_write(req->queue->ram, piece.gpa, (const u8 *)buf + done, piece.len);
		done += piece.len;
	}
	return done;
}

int virtq_iov_out(const struct virtq_req *req, u64 off, u64 len, struct iovec *iov)
{
	struct virtq_cursor c = virtq_cursor(req, false, off, len);
	struct virtq_seg piece;
	int n = 0;

	while (virtq_cursor_next(&c, &piece)) {
		const void *host = ram_ptr(req->queue->ram, piece.gpa, piece.len);

		if (!host)
			return -EIO;
		iov[n++] =
			(struct iovec){.iov_base = (void *)(uintptr_t)host, .iov_len = piece.len};
	}
	return n;
}

int virtq_iov_in(const struct virtq_req *req, u64 off, u64 len, struct iovec *iov)
{
	struct virtq_cursor c = virtq_cursor(req, true, off, len);
	struct virtq_seg piece;
	int n = 0;

	while (virtq_cursor_next(&c, &piece)) {
		iov[n].iov_base = ram_write_begin(req->queue->ram, piece.gpa, piece.len);
		iov[n].iov_len = piece.len;
		/* Checked when popped, and slots stay while devices work. */
		ASSERT(iov[n].iov_base, "guest memory went away under a device");
		n++;
	}
	return n;
}

void virtq_iov_in_end(const struct virtq_req *req, u64 off, u64 len)
{
	struct virtq_cursor c = virtq_cursor(req, true, off, len);
	struct virtq_seg piece;

	while (virtq_cursor_next(&c, &piece))
		ram_write_end(req->queue->ram, piece.gpa, piece.len);
}

/* ---- open/close, start/stop -------------------------------------------------------------- */

static bool virtq_area_ok(const struct virtq *queue, gpa_t gpa, u64 len, u64 align, bool write)
{
	const struct ram_slot *slot = ram_find(queue->ram, gpa);

	return !(gpa % align) && slot && (!write || slot->kind == RAM_KIND_RAM) &&
	       ram_ptr(queue->ram, gpa, len);
}

static const char *virtq_check(const struct virtq *queue, const struct virtq_setup *s)
{
	u64 size = s->size;

	if (!size || size > queue->max_size)
		return "a ring of impossible size";
	if (s->packed) {
		if (!virtq_area_ok(queue, s->desc, size * 16, VIRTQ_DESC_ALIGN, true))
			return "the descriptor ring is misplaced";
		if (!virtq_area_ok(queue, s->driver, VIRTQ_EVENT_SIZE, VIRTQ_EVENT_ALIGN, false) ||
		    !virtq_area_ok(queue, s->device, VIRTQ_EVENT_SIZE, VIRTQ_EVENT_ALIGN, true))
			return "an event area is misplaced";
		return NULL;
	}
	if (!is_pow2(size))
		return "a split ring's size is not a power of two";
	if (!virtq_area_ok(queue, s->desc, size * 16, VIRTQ_DESC_ALIGN, false))
		return "the descriptor table is misplaced";
	if (!virtq_area_ok(queue, s->driver, VIRTQ_AVAIL_RING + size * 2 + 2, VIRTQ_AVAIL_ALIGN,
			   false))
		return "the available ring is misplaced";
	if (!virtq_area_ok(queue, s->device, VIRTQ_USED_RING + size * 8 + 2, VIRTQ_USED_ALIGN,
			   true))
		return "the used ring is misplaced";
	return NULL;
}

int virtq_start(struct virtq *queue, const struct virtq_setup *setup)
{
	virtq_stop(queue);
	queue->error = virtq_check(queue, setup);
	if (queue->error)
		return -EINVAL;
	queue->setup = *setup;
	queue->avail_wrap = queue->used_wrap = true;
	queue->free = NULL;
	for (unsigned i = setup->size; i-- > 0;)
		virtq_free_req(queue, &queue->req[i]);
	queue->live = true;
	return 0;
}

void virtq_stop(struct virtq *queue)
{
	ASSERT(!queue->in_flight, "a queue is stopped with requests in flight");
	queue->live = false;
	queue->error = NULL;
	queue->last_avail = queue->avail_idx = queue->used_idx = 0;
	queue->since_signal = queue->descs_in_flight = 0;
	queue->notify_off = false;
}

int virtq_open(struct virtq *queue, struct ram *ram, u16 max_size)
{
	memset(queue, 0, sizeof(*queue));
	queue->req = calloc(max_size, sizeof(*queue->req));
	if (!queue->req)
		return FAIL(-ENOMEM, "virtio: out of memory for a queue");
	for (unsigned i = 0; i < max_size; i++)
		queue->req[i].queue = queue;
	queue->ram = ram;
	queue->max_size = max_size;
	return 0;
}

void virtq_close(struct virtq *queue)
{
	free(queue->req);
	queue->req = NULL;
}
