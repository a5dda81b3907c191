/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtqueue: dev/virtio/queue.c against a driver that writes whatever it likes.
 *
 * Input: layout, features, size and the three addresses, then a program: bytes into guest memory,
 * pops, pushes, copies, vectors, event suppression, restarts. Guest memory has RAM, a ROM page and
 * holes. What is handed out must be whole: each segment inside a slot, writable ones in RAM.
 */
#include "dev/virtio/queue.h"
#include "fuzz.h"
#include "host/fail.h"
#include "spec/virtio.h"

#define RAM_SIZE  0x8000u
#define ROM_AT	  0x8000u
#define HIGH_AT	  0xa000u
#define HIGH_SIZE 0x1000u
#define STEPS	  512u
#define QUEUE_MAX 32

struct rig {
	struct ram ram;
	struct virtq queue;
	struct virtq_req *held[QUEUE_MAX];
	unsigned held_count;
	bool popped_last; /* nothing was popped after the last pop's request */
};

static void ram_fill(struct ram *ram)
{
	ASSERT(!ram_open(ram), "ram");
	ASSERT(!ram_add(ram, 0, RAM_SIZE, RAM_KIND_RAM, "low"), "ram");
	ASSERT(!ram_add(ram, ROM_AT, RAM_PAGE, RAM_KIND_ROM, "rom"), "ram");
	ASSERT(!ram_add(ram, HIGH_AT, HIGH_SIZE, RAM_KIND_RAM, "high"), "ram");
}

/* Mapping memory costs more than all else: it stays, and is emptied. */
static void rig_open(struct rig *rig)
{
	if (!rig->ram.slots)
		ram_fill(&rig->ram);
	for (unsigned i = 0; i < rig->ram.slots; i++)
		memset(rig->ram.slot[i].host, 0, rig->ram.slot[i].size);
	rig->held_count = 0;
	rig->popped_last = false;
	ASSERT(!virtq_open(&rig->queue, &rig->ram, QUEUE_MAX), "queue");
}

static void rig_give_back(struct rig *rig, unsigned at, u32 written)
{
	struct virtq_req *req = rig->held[at];

	rig->held[at] = rig->held[--rig->held_count];
	virtq_push(&rig->queue, req, written);
	rig->popped_last = false;
}

static void rig_close(struct rig *rig)
{
	while (rig->held_count)
		rig_give_back(rig, 0, 0);
	ASSERT(!rig->queue.in_flight && !rig->queue.descs_in_flight, "requests were lost");
	virtq_stop(&rig->queue);
	virtq_close(&rig->queue);
}

/* ---- what a request must be -------------------------------------------------------------- */

static void check_request(const struct rig *rig, const struct virtq_req *req)
{
	u64 out = 0, in = 0;

	ASSERT(req->outs + req->ins <= VIRTQ_SEGS, "too many segments");
	ASSERT(req->descs && req->descs <= rig->queue.setup.size, "more entries than the ring has");
	for (unsigned i = 0; i < req->outs + req->ins; i++) {
		const struct virtq_seg *seg = &req->seg[i];
		const struct ram_slot *slot = ram_find(&rig->ram, seg->gpa);

		ASSERT(slot && seg->len && seg->len <= slot->size - (seg->gpa - slot->gpa),
		       "a segment outside memory");
		ASSERT(i < req->outs || slot->kind == RAM_KIND_RAM, "a writable segment in ROM");
		*(i < req->outs ? &out : &in) += seg->len;
	}
	ASSERT(out == req->out_len && in == req->in_len, "lengths do not add up");
}

static void use_vectors(struct virtq_req *req, u64 off, u64 len)
{
	struct iovec iov[VIRTQ_SEGS];
	u64 sum = 0;
	int n = virtq_iov_out(req, off, len, iov);

	ASSERT(n <= VIRTQ_SEGS, "too many vectors");
	for (int i = 0; i < n; i++) {
		u8 sink = 0;

		for (size_t k = 0; k < iov[i].iov_len; k += 64)
			sink ^= ((const volatile u8 *)iov[i].iov_base)[k];
		(void)sink;
		sum += iov[i].iov_len;
	}
	ASSERT(sum <= req->out_len, "vectors longer than the request");
	sum = 0;
	n = virtq_iov_in(req, off, len, iov);
	ASSERT(n <= VIRTQ_SEGS, "too many vectors");
	for (int i = 0; i < n; i++) {
		memset(iov[i].iov_base, 0x5a, iov[i].iov_len);
		sum += iov[i].iov_len;
	}
	ASSERT(sum <= req->in_len, "vectors longer than the request");
	if (n >= 0)
		virtq_iov_in_end(req, off, len);
}

static void use_copies(struct virtq_req *req, u64 off)
{
	u8 buf[300];
	size_t n = virtq_copy_out(req, off, buf, sizeof(buf));

	ASSERT(n <= sizeof(buf) && n <= req->out_len, "copied too much");
	n = virtq_copy_in(req, off, buf, n);
	ASSERT(n <= sizeof(buf) && n <= req->in_len, "copied too much");
}

/* ---- the program ------------------------------------------------------------------------- */

static void write_memory(struct rig *rig, struct fuzz_in *in)
{
	gpa_t gpa = fuzz_u16(in);
	u8 bytes[256];
	u8 len = fuzz_u8(in);

	fuzz_bytes(in, bytes, len);
	ram_load(&rig->ram, gpa, bytes, len);
}

/* A descriptor and, split, an available entry for it: the common case in few bytes. */
static void write_chain(struct rig *rig, struct fuzz_in *in)
{
	const struct virtq_setup *s = &rig->queue.setup;
	u16 index = fuzz_u8(in), next, flags = fuzz_u16(in);
	struct virtq_desc desc = {.addr = fuzz_u16(in), .len = fuzz_u16(in)};
	u8 idx[2], head[2];

	next = fuzz_u8(in);
	/* the packed descriptor has its id where the split one has its flags */
	desc.flags = s->packed ? next : flags;
	desc.next = s->packed ? flags : next;
	ram_load(&rig->ram, s->desc + index * sizeof(desc), &desc, sizeof(desc));
	if (s->packed || !s->size || ram_read(&rig->ram, s->driver + VIRTQ_AVAIL_IDX, idx, 2))
		return;
	st16(head, index);
	ram_load(&rig->ram, s->driver + VIRTQ_AVAIL_RING + (ld16(idx) % s->size) * 2u, head, 2);
	st16(idx, (u16)(ld16(idx) + 1));
	ram_load(&rig->ram, s->driver + VIRTQ_AVAIL_IDX, idx, 2);
}

static void start(struct rig *rig, struct fuzz_in *in)
{
	u8 flags = fuzz_u8(in);
	struct virtq_setup setup = {.packed = flags & 1,
				    .event_idx = flags & 2,
				    .indirect = flags & 4,
				    .size = fuzz_u16(in),
				    .desc = fuzz_u16(in),
				    .driver = fuzz_u16(in),
				    .device = fuzz_u16(in)};

	while (rig->held_count)
		rig_give_back(rig, 0, 0);
	virtq_stop(&rig->queue);
	if (flags & 8)
		setup.size = (u16)BIT(setup.size & 15);
	if (flags & 16)
		setup.desc |= ~0ull << 32;
	if (virtq_start(&rig->queue, &setup))
		ASSERT(rig->queue.error, "refused without a reason");
}

static void pop(struct rig *rig)
{
	struct virtq_req *req;
	int rc = virtq_pop(&rig->queue, &req);

	rig->popped_last = rc == 1;
	if (rc < 0)
		ASSERT(rig->queue.error, "refused without a reason");
	if (rc != 1)
		return;
	ASSERT(rig->held_count < QUEUE_MAX && rig->held_count < rig->queue.setup.size,
	       "more requests than the ring has entries");
	check_request(rig, req);
	rig->held[rig->held_count++] = req;
}

static void step(struct rig *rig, struct fuzz_in *in)
{
	u8 op = fuzz_u8(in);
	unsigned at = rig->held_count ? (op >> 4) % rig->held_count : 0;

	switch (op & 15) {
	case 0: write_memory(rig, in); break;
	case 1: write_chain(rig, in); break;
	case 2:
	case 3: pop(rig); break;
	case 4:
		if (rig->held_count)
			rig_give_back(rig, at, fuzz_u16(in));
		break;
	case 5:
		if (rig->held_count)
			use_copies(rig->held[at], fuzz_u16(in));
		break;
	case 6: {
		u64 off = fuzz_u16(in), len = fuzz_u32(in);

		if (rig->held_count)
			use_vectors(rig->held[at], off, len);
		break;
	}
	case 7: virtq_wants_interrupt(&rig->queue); break;
	case 8: virtq_notify_off(&rig->queue); break;
	case 9: virtq_notify_on(&rig->queue); break;
	case 10:
		if (rig->popped_last) {
			virtq_unpop(&rig->queue, rig->held[--rig->held_count]);
			rig->popped_last = false;
		}
		break;
	case 11: start(rig, in); break;
	default: pop(rig); break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct rig rig;

	rig_open(&rig);
	start(&rig, &in);
	for (unsigned i = 0; i < STEPS && in.left; i++)
		step(&rig, &in);
	rig_close(&rig);
	return 0;
}
