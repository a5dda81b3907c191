/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus: who answers at a port or an MMIO address.
 *
 * Regions are embedded in their devices and added or removed at any time (PCI BARs move while the
 * guest runs). Look-ups on the exit path are lock-free: the table is rebuilt aside and published.
 * Unclaimed reads give all ones, unclaimed writes vanish, as on a PC.
 *
 * An access arrives with size 1, 2, 4 or 8 (ports: 1, 2, 4), never crossing a region's end: the
 * bus splits. If the region names a lock, the bus holds it around the call.
 *
 * Context: bus_read/bus_write: vcpu threads; bus_add/bus_remove: vcpu or loop.
 */
#ifndef BOARD_BUS_H
#define BOARD_BUS_H

#include <pthread.h>

#include "lib/types.h"

enum bus_space { BUS_PIO, BUS_MMIO };

struct bus_region {
	const char *name;
	u64 base;
	u64 size;
	/* off = address - base. Read returns the value in the low `size` bytes. */
	u64 (*read)(void *arg, u64 off, unsigned size);
	void (*write)(void *arg, u64 off, unsigned size, u64 value);
	void *arg;
	pthread_mutex_t *lock; /* held around read/write; may be NULL */
	u8 max_size;	       /* larger accesses are split into this size; 0 = no limit */
	/* Ports only: answers nothing but a 4-byte access at base, and goes before other regions
	 * there. For 0xcf8, whose bytes belong to others (0xcf9 is the reset port). */
	bool dword_only;
	bool added;
};

struct bus;

int bus_open(struct bus **out);
void bus_close(struct bus *bus);

/* -EEXIST when it overlaps another region of that space. */
int bus_add(struct bus *bus, enum bus_space space, struct bus_region *region);
/* After return no access of another vCPU is inside the region's callbacks, unless the caller holds
 * region->lock or is itself inside such a callback. */
void bus_remove(struct bus *bus, enum bus_space space, struct bus_region *region);
/* Does not wait: for callers outside any callback who hold region->lock (bus_remove would wait for
 * a vCPU that waits for that lock). The region's memory must outlive accesses already under way. */
void bus_remove_nowait(struct bus *bus, enum bus_space space, struct bus_region *region);

u64 bus_read(struct bus *bus, enum bus_space space, u64 addr, unsigned size);
void bus_write(struct bus *bus, enum bus_space space, u64 addr, unsigned size, u64 value);

#endif
