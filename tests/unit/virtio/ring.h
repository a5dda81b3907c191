/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring: a guest driver's half of a virtqueue, split and packed, for tests. It writes whatever the
 * test asks, right or wrong.
 */
#ifndef TEST_VIRTIO_RING_H
#define TEST_VIRTIO_RING_H

#include <string.h>

#include "board/ram.h"
#include "lib/bits.h"
#include "spec/virtio.h"

struct ring {
	struct ram *ram;
	u16 size;
	bool packed, event_idx;
	gpa_t desc, driver, device;
	u16 next;	/* split: next free descriptor; packed: next slot */
	u16 avail;	/* split: index */
	bool wrap;	/* packed: avail wrap */
	u16 used;	/* split: index seen; packed: slot */
	bool used_wrap; /* packed */
};

struct ring_buf {
	gpa_t gpa;
	u32 len;
	bool write;
};

static inline u8 *ring_mem(const struct ring *ring, gpa_t gpa)
{
	return (u8 *)(uintptr_t)ram_ptr(ring->ram, gpa, 1);
}

static inline void ring_init(struct ring *ring, struct ram *ram, gpa_t base, u16 size, bool packed,
			     bool event_idx)
{
	*ring = (struct ring){.ram = ram,
			      .size = size,
			      .packed = packed,
			      .event_idx = event_idx,
			      .desc = base,
			      .driver = base + 0x4000,
			      .device = base + 0x8000,
			      .wrap = true,
			      .used_wrap = true};
	memset(ring_mem(ring, base), 0, 0xc000);
}

static inline void ring_desc(struct ring *ring, gpa_t table, u16 index, u64 gpa, u32 len, u16 flags,
			     u16 next)
{
	struct virtq_desc desc = {.addr = gpa, .len = len, .flags = flags, .next = next};

	memcpy(ring_mem(ring, table + index * 16u), &desc, 16);
}

static inline void ring_publish_split(struct ring *ring, u16 head)
{
	st16(ring_mem(ring, ring->driver + 4 + (ring->avail % ring->size) * 2u), head);
	ring->avail++;
	__atomic_store_n((u16 *)(void *)ring_mem(ring, ring->driver + 2), ring->avail,
			 __ATOMIC_SEQ_CST);
}

/* Makes the buffers available; `indirect`: 0, or where the table may be built. Returns the id. */
static inline u16 ring_add(struct ring *ring, const struct ring_buf *buf, unsigned n,
			   gpa_t indirect)
{
	u16 head = ring->next, first_flags = 0, id = head;

	if (indirect) {
		for (unsigned i = 0; i < n; i++) {
			u16 flags = buf[i].write ? 2 : 0;

			if (ring->packed) /* flags follow the id */
				ring_desc(ring, indirect, (u16)i, buf[i].gpa, buf[i].len, 0, flags);
			else
				ring_desc(ring, indirect, (u16)i, buf[i].gpa, buf[i].len,
					  (u16)(flags | (i + 1 < n ? 1 : 0)), (u16)(i + 1));
		}
	}
	for (unsigned i = 0; i < (indirect ? 1 : n); i++) {
		u16 at = ring->next;
		u16 flags = indirect ? 4 : (u16)((buf[i].write ? 2 : 0) | (i + 1 < n ? 1 : 0));
		u64 gpa = indirect ? indirect : buf[i].gpa;
		u32 len = indirect ? n * 16 : buf[i].len;

		ring->next = (u16)((at + 1) % ring->size);
		if (!ring->packed) {
			ring_desc(ring, ring->desc, at, gpa, len, flags, ring->next);
			continue;
		}
		flags |= ring->wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
		if (i == 0)
			first_flags = flags;
		/* The packed descriptor has its id where the split one has its flags; the first
		 * one's flags are stored last of all. */
		st64(ring_mem(ring, ring->desc + at * 16u), gpa);
		st32(ring_mem(ring, ring->desc + at * 16u + 8), len);
		st16(ring_mem(ring, ring->desc + at * 16u + 12), id);
		if (i)
			st16(ring_mem(ring, ring->desc + at * 16u + 14), flags);
		if (ring->next == 0)
			ring->wrap = !ring->wrap;
	}
	if (ring->packed)
		__atomic_store_n((u16 *)(void *)ring_mem(ring, ring->desc + head * 16u + 14),
				 first_flags, __ATOMIC_SEQ_CST);
	else
		ring_publish_split(ring, head);
	return id;
}

/* Takes one used entry; false when there is none. `descs`: ring entries that buffer took. */
static inline bool ring_take(struct ring *ring, u16 descs, u16 *id, u32 *len)
{
	if (!ring->packed) {
		u16 idx = __atomic_load_n((u16 *)(void *)ring_mem(ring, ring->device + 2),
					  __ATOMIC_SEQ_CST);
		u8 *elem = ring_mem(ring, ring->device + 4 + (ring->used % ring->size) * 8u);

		if (idx == ring->used)
			return false;
		*id = (u16)ld32(elem);
		*len = ld32(elem + 4);
		ring->used++;
		return true;
	}
	u8 *desc = ring_mem(ring, ring->desc + ring->used * 16u);
	u16 flags = __atomic_load_n((u16 *)(void *)(desc + 14), __ATOMIC_SEQ_CST);
	bool a = flags & VIRTQ_DESC_F_AVAIL, u = flags & VIRTQ_DESC_F_USED;

	if (a != u || u != ring->used_wrap)
		return false;
	*id = ld16(desc + 12);
	*len = ld32(desc + 8);
	ring->used = (u16)(ring->used + descs);
	if (ring->used >= ring->size) {
		ring->used = (u16)(ring->used - ring->size);
		ring->used_wrap = !ring->used_wrap;
	}
	return true;
}

#endif
