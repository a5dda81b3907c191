/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test queue: good traffic in both layouts, then everything a hostile guest may write in a ring.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dev/virtio/queue.h"
#include "host/fail.h"
#include "host/log.h"
#include "ring.h"

#define RAM_SIZE 0x400000u
#define RING	 0x10000u
#define DATA	 0x100000u
#define TABLE	 0x200000u

struct rig {
	struct ram ram;
	struct virtq queue;
	struct ring ring;
};

static void rig_open(struct rig *rig, u16 size, bool packed, bool event_idx)
{
	struct virtq_setup setup = {
		.size = size, .packed = packed, .event_idx = event_idx, .indirect = true};

	assert_int_equal(ram_open(&rig->ram), 0);
	assert_int_equal(ram_add(&rig->ram, 0, RAM_SIZE, RAM_KIND_RAM, "ram"), 0);
	assert_int_equal(virtq_open(&rig->queue, &rig->ram, 256), 0);
	ring_init(&rig->ring, &rig->ram, RING, size, packed, event_idx);
	setup.desc = rig->ring.desc;
	setup.driver = rig->ring.driver;
	setup.device = rig->ring.device;
	assert_int_equal(virtq_start(&rig->queue, &setup), 0);
}

static void rig_close(struct rig *rig)
{
	rig->queue.in_flight = 0;
	virtq_close(&rig->queue);
	ram_close(&rig->ram);
}

/* ---- good traffic ------------------------------------------------------------------------ */

static void echo_once(struct rig *rig, unsigned round, gpa_t indirect)
{
	struct ring_buf buf[4] = {{DATA, 100, false},
				  {DATA + 0x1000, 28, false},
				  {DATA + 0x2000, 64, true},
				  {DATA + 0x3000, 64, true}};
	u8 data[128], back[128];
	struct virtq_req *req;
	u16 id, got;
	u32 len;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (u8)(i * 3 + round);
	memcpy(ring_mem(&rig->ring, DATA), data, 100);
	memcpy(ring_mem(&rig->ring, DATA + 0x1000), data + 100, 28);
	id = ring_add(&rig->ring, buf, 4, indirect);
	assert_int_equal(virtq_pop(&rig->queue, &req), 1);
	assert_int_equal(req->out_len, 128);
	assert_int_equal(req->in_len, 128);
	assert_int_equal(virtq_copy_out(req, 0, back, 200), 128);
	assert_memory_equal(back, data, 128);
	assert_int_equal(virtq_copy_out(req, 90, back, 20), 20);
	assert_memory_equal(back, data + 90, 20);
	assert_int_equal(virtq_copy_in(req, 0, data, 128), 128);
	virtq_push(&rig->queue, req, 128);
	assert_true(ring_take(&rig->ring, indirect ? 1 : 4, &got, &len));
	assert_int_equal(got, id);
	assert_int_equal(len, 128);
	assert_memory_equal(ring_mem(&rig->ring, DATA + 0x2000), data, 64);
	assert_memory_equal(ring_mem(&rig->ring, DATA + 0x3000), data + 64, 64);
	assert_int_equal(virtq_pop(&rig->queue, &req), 0);
}

static void test_echo(unused_arg void **state)
{
	static const u16 sizes[] = {8, 16, 256};

	for (unsigned mode = 0; mode < 12; mode++) {
		struct rig rig;

		rig_open(&rig, sizes[mode / 4], mode & 1, false);
		/* Past 65536 entries, so that every index wraps. */
		for (unsigned i = 0; i < 70000; i++)
			echo_once(&rig, i, mode & 2 ? TABLE : 0);
		rig_close(&rig);
	}
}

static void test_packed_odd_size(unused_arg void **state)
{
	struct rig rig;

	rig_open(&rig, 13, true, false);
	for (unsigned i = 0; i < 1000; i++)
		echo_once(&rig, i, i % 3 ? 0 : TABLE);
	rig_close(&rig);
}

static void test_out_of_order(unused_arg void **state)
{
	for (unsigned packed = 0; packed < 2; packed++) {
		struct ring_buf buf = {DATA, 16, true};
		struct virtq_req *req[8];
		struct rig rig;
		u16 id[8], got;
		u32 len;

		rig_open(&rig, 8, packed, false);
		for (unsigned round = 0; round < 100; round++) {
			for (unsigned i = 0; i < 8; i++)
				id[i] = ring_add(&rig.ring, &buf, 1, 0);
			for (unsigned i = 0; i < 8; i++)
				assert_int_equal(virtq_pop(&rig.queue, &req[i]), 1);
			for (unsigned i = 0; i < 8; i++)
				virtq_push(&rig.queue, req[i ^ 5], i);
			for (unsigned i = 0; i < 8; i++) {
				assert_true(ring_take(&rig.ring, 1, &got, &len));
				assert_int_equal(got, id[i ^ 5]);
				assert_int_equal(len, i);
			}
		}
		rig_close(&rig);
	}
}

static void test_event_idx(unused_arg void **state)
{
	struct ring_buf buf = {DATA, 16, true};
	struct virtq_req *req;
	struct rig rig;
	u16 id;
	u32 len;

	rig_open(&rig, 8, false, true);
	/* Interrupt only when used entry 3 is there. */
	st16(ring_mem(&rig.ring, rig.ring.driver + 4 + 8 * 2), 3);
	for (unsigned i = 0; i < 6; i++) {
		ring_add(&rig.ring, &buf, 1, 0);
		assert_int_equal(virtq_pop(&rig.queue, &req), 1);
		virtq_push(&rig.queue, req, 0);
		assert_int_equal(virtq_wants_interrupt(&rig.queue), i == 3);
		assert_true(ring_take(&rig.ring, 1, &id, &len));
	}
	assert_false(virtq_wants_interrupt(&rig.queue));
	assert_false(virtq_notify_on(&rig.queue));
	assert_int_equal(ld16(ring_mem(&rig.ring, rig.ring.device + 4 + 8 * 8)), 6);
	ring_add(&rig.ring, &buf, 1, 0);
	assert_true(virtq_notify_on(&rig.queue));
	rig_close(&rig);
}

static void test_event_packed(unused_arg void **state)
{
	struct ring_buf buf = {DATA, 16, true};
	struct virtq_req *req;
	struct rig rig;
	u16 id;
	u32 len;

	rig_open(&rig, 4, true, true);
	for (unsigned round = 0; round < 5; round++) {
		/* Ask for slot 2 of this round of the ring. */
		st16(ring_mem(&rig.ring, rig.ring.driver), (u16)(2 | (round & 1 ? 0 : 0x8000)));
		st16(ring_mem(&rig.ring, rig.ring.driver + 2), VIRTQ_EVENT_F_DESC);
		for (unsigned i = 0; i < 4; i++) {
			ring_add(&rig.ring, &buf, 1, 0);
			assert_int_equal(virtq_pop(&rig.queue, &req), 1);
			virtq_push(&rig.queue, req, 0);
			assert_int_equal(virtq_wants_interrupt(&rig.queue), i == 2);
			assert_true(ring_take(&rig.ring, 1, &id, &len));
		}
	}
	virtq_notify_off(&rig.queue);
	assert_int_equal(ld16(ring_mem(&rig.ring, rig.ring.device + 2)), VIRTQ_EVENT_F_DISABLE);
	virtq_notify_on(&rig.queue);
	assert_int_equal(ld16(ring_mem(&rig.ring, rig.ring.device + 2)), VIRTQ_EVENT_F_DESC);
	/* 20 entries on a ring of 4: slot 0, wrap as in round 5. */
	assert_int_equal(ld16(ring_mem(&rig.ring, rig.ring.device)), 0x0000);
	rig_close(&rig);
}

/* ---- abuse ------------------------------------------------------------------------------- */

/* The queue must refuse, stay refused, and work again after a restart. */
static void must_break(struct rig *rig)
{
	struct virtq_setup setup = rig->queue.setup;
	struct virtq_req *req;

	assert_int_equal(virtq_pop(&rig->queue, &req), -EIO);
	assert_non_null(rig->queue.error);
	assert_int_equal(virtq_pop(&rig->queue, &req), -EIO);
	assert_false(virtq_wants_interrupt(&rig->queue));
	virtq_stop(&rig->queue);
	assert_int_equal(virtq_start(&rig->queue, &setup), 0);
	ring_init(&rig->ring, &rig->ram, RING, setup.size, setup.packed, setup.event_idx);
	echo_once(rig, 1, 0);
	rig_close(rig);
}

static void test_bad_head(unused_arg void **state)
{
	struct rig rig;

	rig_open(&rig, 8, false, false);
	ring_publish_split(&rig.ring, 8);
	must_break(&rig);
	rig_open(&rig, 8, false, false);
	ring_publish_split(&rig.ring, 0xffff);
	must_break(&rig);
}

static void test_bad_avail(unused_arg void **state)
{
	struct rig rig;

	rig_open(&rig, 8, false, false);
	st16(ring_mem(&rig.ring, rig.ring.driver + 2), 9);
	must_break(&rig);
	rig_open(&rig, 8, false, false);
	st16(ring_mem(&rig.ring, rig.ring.driver + 2), 0xffff);
	must_break(&rig);
}

static void test_loops(unused_arg void **state)
{
	struct rig rig;

	rig_open(&rig, 8, false, false);
	ring_desc(&rig.ring, RING, 0, DATA, 1, VIRTQ_DESC_F_NEXT, 0);
	ring_publish_split(&rig.ring, 0);
	must_break(&rig);

	rig_open(&rig, 8, false, false);
	ring_desc(&rig.ring, RING, 0, DATA, 0, VIRTQ_DESC_F_NEXT, 1);
	ring_desc(&rig.ring, RING, 1, DATA, 0, VIRTQ_DESC_F_NEXT, 0);
	ring_publish_split(&rig.ring, 0);
	must_break(&rig);

	/* An indirect table that loops, and one that points out of itself. */
	for (u16 next = 0; next < 5; next += 4) {
		rig_open(&rig, 8, false, false);
		ring_desc(&rig.ring, TABLE, 0, DATA, 1, VIRTQ_DESC_F_NEXT, next);
		ring_desc(&rig.ring, RING, 0, TABLE, 64, VIRTQ_DESC_F_INDIRECT, 0);
		ring_publish_split(&rig.ring, 0);
		must_break(&rig);
	}

	/* A packed ring whose every descriptor says "next". */
	rig_open(&rig, 8, true, false);
	for (u16 i = 0; i < 8; i++)
		ring_desc(&rig.ring, RING, i, DATA, 1, 0, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_AVAIL);
	must_break(&rig);
}

static void test_direction(unused_arg void **state)
{
	struct ring_buf buf[2] = {{DATA, 8, true}, {DATA, 8, false}};

	for (unsigned mode = 0; mode < 4; mode++) {
		struct rig rig;

		rig_open(&rig, 8, mode & 1, false);
		ring_add(&rig.ring, buf, 2, mode & 2 ? TABLE : 0);
		must_break(&rig);
	}
}

static void test_ranges(unused_arg void **state)
{
	static const struct ring_buf bad[] = {
		{RAM_SIZE, 1, false},	       {RAM_SIZE - 1, 2, true}, {~0ull, 1, false},
		{~0ull - 1, 0xffffffff, true}, {0, 0xffffffff, false},	{1ull << 63, 4096, true},
	};

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		for (unsigned mode = 0; mode < 4; mode++) {
			struct rig rig;

			rig_open(&rig, 8, mode & 1, false);
			ring_add(&rig.ring, &bad[i], 1, mode & 2 ? TABLE : 0);
			must_break(&rig);
		}
}

static void test_indirect_wrong(unused_arg void **state)
{
	static const struct {
		u64 gpa;
		u32 len;
		u16 flags;
	} bad[] = {
		{TABLE, 0, 4},
		{TABLE, 8, 4},
		{TABLE, 17, 4},
		{TABLE, 16 * 2000, 4},
		{RAM_SIZE - 8, 16, 4},
		{~0ull - 7, 16, 4},
		{TABLE, 16, 4 | VIRTQ_DESC_F_NEXT},
		{TABLE, 0xfffffff0u, 4},
	};

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		for (unsigned packed = 0; packed < 2; packed++) {
			struct rig rig;

			rig_open(&rig, 8, packed, false);
			if (packed) {
				ring_desc(&rig.ring, RING, 0, bad[i].gpa, bad[i].len, 0,
					  (u16)(bad[i].flags | VIRTQ_DESC_F_AVAIL));
			} else {
				ring_desc(&rig.ring, RING, 0, bad[i].gpa, bad[i].len, bad[i].flags,
					  1);
				ring_publish_split(&rig.ring, 0);
			}
			must_break(&rig);
		}
}

static void test_nested_indirect(unused_arg void **state)
{
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig rig;

		rig_open(&rig, 8, packed, false);
		ring_desc(&rig.ring, TABLE, 0, TABLE, 16, packed ? 0 : 4, packed ? 4 : 0);
		ring_desc(&rig.ring, RING, 0, TABLE, 16, packed ? 0 : 4,
			  packed ? 4 | VIRTQ_DESC_F_AVAIL : 0);
		if (!packed)
			ring_publish_split(&rig.ring, 0);
		must_break(&rig);
	}
}

static void test_indirect_not_offered(unused_arg void **state)
{
	struct ring_buf buf = {DATA, 8, true};
	struct virtq_req *req;
	struct rig rig;

	rig_open(&rig, 8, false, false);
	rig.queue.setup.indirect = false;
	ring_add(&rig.ring, &buf, 1, TABLE);
	assert_int_equal(virtq_pop(&rig.queue, &req), -EIO);
	rig_close(&rig);
}

static void test_oversize(unused_arg void **state)
{
	struct ring_buf buf[VIRTQ_SEGS + 1];

	for (unsigned i = 0; i < ARRAY_LEN(buf); i++)
		buf[i] = (struct ring_buf){DATA + i, 1, true};
	for (unsigned packed = 0; packed < 2; packed++) {
		struct virtq_req *req;
		struct rig rig;

		rig_open(&rig, 256, packed, false);
		ring_add(&rig.ring, buf, VIRTQ_SEGS, TABLE);
		assert_int_equal(virtq_pop(&rig.queue, &req), 1);
		virtq_push(&rig.queue, req, 0);
		ring_add(&rig.ring, buf, VIRTQ_SEGS + 1, TABLE);
		must_break(&rig);
	}
}

/* The same buffers offered again and again while all are in flight. */
static void test_flood(unused_arg void **state)
{
	for (unsigned packed = 0; packed < 2; packed++) {
		struct ring_buf buf = {DATA, 8, true};
		struct virtq_req *req;
		struct rig rig;
		int rc = 1;

		rig_open(&rig, 8, packed, false);
		for (unsigned i = 0; i < 100 && rc == 1; i++) {
			ring_add(&rig.ring, &buf, 1, 0);
			rc = virtq_pop(&rig.queue, &req);
		}
		assert_int_equal(rc, -EIO);
		assert_int_equal(rig.queue.in_flight, 8);
		rig_close(&rig);
	}
}

static void refuse(struct rig *rig, struct virtq_setup setup)
{
	assert_int_equal(virtq_start(&rig->queue, &setup), -EINVAL);
	assert_non_null(rig->queue.error);
}

static void test_setup_wrong(unused_arg void **state)
{
	struct virtq_setup good, s;
	struct rig rig;

	rig_open(&rig, 8, false, false);
	good = rig.queue.setup;
	for (u32 size = 0; size < 0x10000; size++) {
		if (size <= 256 && is_pow2(size))
			continue;
		s = good;
		s.size = (u16)size;
		refuse(&rig, s);
	}
	for (unsigned i = 0; i < 3; i++) {
		static const u64 places[] = {RAM_SIZE, RAM_SIZE - 2, ~0ull, ~0ull - 15, 1};

		for (unsigned k = 0; k < ARRAY_LEN(places); k++) {
			s = good;
			*(i == 0 ? &s.desc : i == 1 ? &s.driver : &s.device) = places[k];
			refuse(&rig, s);
			s.packed = true;
			refuse(&rig, s);
		}
	}
	assert_int_equal(virtq_start(&rig.queue, &good), 0);
	rig_close(&rig);
}

/* Random bytes everywhere: nothing to check but that we live. */
static void test_noise(unused_arg void **state)
{
	u32 seed = 12345;

	for (unsigned round = 0; round < 3000; round++) {
		struct virtq_req *req;
		struct rig rig;

		rig_open(&rig, 16, round & 1, round & 2);
		for (unsigned i = 0; i < 0x300; i += 2) {
			seed = seed * 1664525 + 1013904223;
			st16(ring_mem(&rig.ring, RING + i), (u16)(seed >> 16));
			/* mostly small addresses, so that checks past the first are reached */
			if (i % 16 >= 4 && i % 16 < 8 && (round & 4))
				st16(ring_mem(&rig.ring, RING + i), 0);
		}
		st16(ring_mem(&rig.ring, rig.ring.driver + 2), (u16)(seed % 20));
		for (unsigned i = 0; i < 20 && virtq_pop(&rig.queue, &req) == 1; i++) {
			struct iovec iov[VIRTQ_SEGS];

			assert_true(virtq_iov_out(req, 0, req->out_len, iov) >= 0);
			assert_true(virtq_iov_in(req, 0, req->in_len, iov) >= 0);
			virtq_iov_in_end(req, 0, req->in_len);
			virtq_push(&rig.queue, req, 1);
			virtq_wants_interrupt(&rig.queue);
		}
		rig_close(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_packed_odd_size),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_event_idx),
		cmocka_unit_test(test_event_packed),
		cmocka_unit_test(test_bad_head),
		cmocka_unit_test(test_bad_avail),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_direction),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_indirect_wrong),
		cmocka_unit_test(test_nested_indirect),
		cmocka_unit_test(test_indirect_not_offered),
		cmocka_unit_test(test_oversize),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_setup_wrong),
		cmocka_unit_test(test_noise),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
