/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus: two sorted tables (ports, MMIO), read without locks by every vCPU exit.
 *
 * Each space keeps two copies of its table. A writer, under the bus lock, fills the copy that is
 * not in use and flips the sequence; a reader searches the copy the sequence names and looks again
 * if the sequence moved meanwhile. So a guest that moves a BAR in a tight loop costs others a
 * repeated search and nothing more; no memory is allocated or retired.
 *
 * So that bus_remove can wait until nobody is inside a region, readers stand in one of two counters
 * of a cell chosen by thread; the remover flips the parity twice and waits for the old side each
 * time (twice, because a reader may pick its side just before the flip and step in just after).
 */
#include "board/bus.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "host/fail.h"
#include "lib/bits.h"

#define BUS_REGIONS_MAX 512
#define BUS_CELLS	64

/* ---- types ------------------------------------------------------------------------------- */

/* base and last are copies: a region's own may change as soon as it is removed. */
struct bus_entry {
	u64 base;
	u64 last;
	struct bus_region *region;
};

struct bus_table {
	u32 count;
	struct bus_entry entry[BUS_REGIONS_MAX];
};

struct bus_map {
	u32 seq; /* table[seq & 1] is current */
	struct bus_table table[2];
};

struct bus_cell {
	u32 inside[2];
	u8 pad[56]; /* one cache line each */
};

/* Beside the two spaces of enum bus_space: the dword_only regions. */
#define BUS_MAP_DWORD 2
#define BUS_MAPS      3

struct bus {
	struct bus_map map[BUS_MAPS];
	pthread_mutex_t lock;	   /* writers */
	pthread_mutex_t wait_lock; /* one remover waits at a time */
	u32 parity;
	u32 cells_given;
	struct bus_cell cell[BUS_CELLS] __attribute__((aligned(64)));
};

/* How deep this thread is inside callbacks, and which cell it stands in. */
struct bus_thread {
	u32 depth;
	u32 cell; /* number + 1 */
};

static _Thread_local struct bus_thread bus_thread;

/* ---- readers ----------------------------------------------------------------------------- */

static u32 *bus_enter(struct bus *bus)
{
	u32 side, *inside;

	if (unlikely(!bus_thread.cell))
		bus_thread.cell =
			1 + __atomic_fetch_add(&bus->cells_given, 1, __ATOMIC_RELAXED) % BUS_CELLS;
	side = __atomic_load_n(&bus->parity, __ATOMIC_SEQ_CST) & 1;
	inside = &bus->cell[bus_thread.cell - 1].inside[side];
	__atomic_fetch_add(inside, 1, __ATOMIC_SEQ_CST);
	bus_thread.depth++;
	return inside;
}

static void bus_leave(u32 *inside)
{
	bus_thread.depth--;
	__atomic_fetch_sub(inside, 1, __ATOMIC_RELEASE);
}

/* The entry that holds addr, or the gap up to the next one (region NULL). */
static struct bus_entry bus_search(const struct bus_table *table, u64 addr)
{
	struct bus_entry hit = {.base = 0, .last = ~0ull, .region = NULL};
	u32 low = 0, high = __atomic_load_n(&table->count, __ATOMIC_RELAXED);

	while (low < high) {
		u32 mid = (low + high) / 2;
		const struct bus_entry *entry = &table->entry[mid];
		u64 base = __atomic_load_n(&entry->base, __ATOMIC_RELAXED);
		u64 last = __atomic_load_n(&entry->last, __ATOMIC_RELAXED);

		if (addr < base) {
			high = mid;
			hit.last = base - 1;
		} else if (addr > last) {
			low = mid + 1;
		} else {
			hit.base = base;
			hit.last = last;
			hit.region = __atomic_load_n(&entry->region, __ATOMIC_RELAXED);
			break;
		}
	}
	return hit;
}

static struct bus_entry bus_find(const struct bus_map *map, u64 addr)
{
	for (;;) {
		u32 seq = __atomic_load_n(&map->seq, __ATOMIC_SEQ_CST);
		struct bus_entry hit = bus_search(&map->table[seq & 1], addr);

		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (likely(__atomic_load_n(&map->seq, __ATOMIC_RELAXED) == seq))
			return hit;
	}
}

static struct bus_entry bus_find_access(struct bus *bus, enum bus_space space, u64 addr,
					unsigned size)
{
	struct bus_entry hit;

	if (space == BUS_PIO && size == 4) {
		hit = bus_find(&bus->map[BUS_MAP_DWORD], addr);
		if (hit.region && hit.base == addr)
			return hit;
	}
	return bus_find(&bus->map[space], addr);
}

static u64 bus_region_read(const struct bus_region *region, u64 off, unsigned size)
{
	unsigned step = region->max_size && region->max_size < size ? region->max_size : size;
	u64 value = 0;

	if (!region->read)
		return mask64(size * 8);
	if (region->lock)
		pthread_mutex_lock(region->lock);
	for (unsigned i = 0; i < size; i += step)
		value |= (region->read(region->arg, off + i, step) & mask64(step * 8)) << (i * 8);
	if (region->lock)
		pthread_mutex_unlock(region->lock);
	return value;
}

static void bus_region_write(const struct bus_region *region, u64 off, unsigned size, u64 value)
{
	unsigned step = region->max_size && region->max_size < size ? region->max_size : size;

	if (!region->write)
		return;
	if (region->lock)
		pthread_mutex_lock(region->lock);
	for (unsigned i = 0; i < size; i += step)
		region->write(region->arg, off + i, step, (value >> (i * 8)) & mask64(step * 8));
	if (region->lock)
		pthread_mutex_unlock(region->lock);
}

u64 bus_read(struct bus *bus, enum bus_space space, u64 addr, unsigned size)
{
	const struct bus_map *map = &bus->map[space];
	u32 *inside = bus_enter(bus);
	struct bus_entry hit = bus_find_access(bus, space, addr, size);
	u64 value = 0;

	if (likely(hit.last - addr >= size - 1)) {
		value = hit.region ? bus_region_read(hit.region, addr - hit.base, size)
				   : mask64(size * 8);
	} else {
		for (unsigned i = 0; i < size; i++) {
			hit = bus_find(map, addr + i);
			value |= (hit.region ? bus_region_read(hit.region, addr + i - hit.base, 1)
					     : 0xff)
				 << (i * 8);
		}
	}
	bus_leave(inside);
	return value;
}

void bus_write(struct bus *bus, enum bus_space space, u64 addr, unsigned size, u64 value)
{
	const struct bus_map *map = &bus->map[space];
	u32 *inside = bus_enter(bus);
	struct bus_entry hit = bus_find_access(bus, space, addr, size);

	value &= mask64(size * 8);
	if (likely(hit.last - addr >= size - 1)) {
		if (hit.region)
			bus_region_write(hit.region, addr - hit.base, size, value);
	} else {
		for (unsigned i = 0; i < size; i++) {
			hit = bus_find(map, addr + i);
			if (hit.region)
				bus_region_write(hit.region, addr + i - hit.base, 1,
						 (value >> (i * 8)) & 0xff);
		}
	}
	bus_leave(inside);
}

/* ---- writers ----------------------------------------------------------------------------- */

static void bus_entry_store(struct bus_entry *to, const struct bus_entry *from)
{
	__atomic_store_n(&to->base, from->base, __ATOMIC_RELAXED);
	__atomic_store_n(&to->last, from->last, __ATOMIC_RELAXED);
	__atomic_store_n(&to->region, from->region, __ATOMIC_RELAXED);
}

/* Lock held. Publishes the current table with entry `drop` left out (or none: count) and `add`
 * put in at its place (or none: NULL). */
static void bus_publish(struct bus_map *map, u32 drop, const struct bus_entry *add)
{
	const struct bus_table *old = &map->table[map->seq & 1];
	struct bus_table *new = &map->table[(map->seq + 1) & 1];
	u32 n = 0;

	/* Readers of the table before last must see this flip before the stores below. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (u32 i = 0; i < old->count; i++) {
		if (add && add->base < old->entry[i].base) {
			bus_entry_store(&new->entry[n++], add);
			add = NULL;
		}
		if (i != drop)
			bus_entry_store(&new->entry[n++], &old->entry[i]);
	}
	if (add)
		bus_entry_store(&new->entry[n++], add);
	__atomic_store_n(&new->count, n, __ATOMIC_RELAXED);
	__atomic_store_n(&map->seq, map->seq + 1, __ATOMIC_SEQ_CST);
}

static struct bus_map *bus_map_of(struct bus *bus, enum bus_space space,
				  const struct bus_region *region)
{
	return &bus->map[region->dword_only ? BUS_MAP_DWORD : space];
}

int bus_add(struct bus *bus, enum bus_space space, struct bus_region *region)
{
	struct bus_map *map = bus_map_of(bus, space, region);
	struct bus_entry add = {
		.base = region->base, .last = region->base + region->size - 1, .region = region};
	const struct bus_table *table;
	int rc = 0;

	if (!region->size || add.last < add.base)
		return FAIL(-EINVAL, "bus: region %s has no size", region->name);
	pthread_mutex_lock(&bus->lock);
	table = &map->table[map->seq & 1];
	if (table->count == BUS_REGIONS_MAX)
		rc = FAIL(-ENOSPC, "bus: more than %d regions", BUS_REGIONS_MAX);
	for (u32 i = 0; i < table->count && !rc; i++)
		if (add.base <= table->entry[i].last && add.last >= table->entry[i].base)
			rc = FAIL(-EEXIST, "bus: %s at %#llx overlaps %s", region->name,
				  (unsigned long long)region->base, table->entry[i].region->name);
	if (!rc) {
		bus_publish(map, BUS_REGIONS_MAX, &add);
		region->added = true;
	}
	pthread_mutex_unlock(&bus->lock);
	return rc;
}

static void bus_wait_side(struct bus *bus, u32 side)
{
	for (unsigned i = 0; i < BUS_CELLS; i++)
		while (__atomic_load_n(&bus->cell[i].inside[side], __ATOMIC_SEQ_CST))
			sched_yield();
}

/* Until everyone who may still hold an entry of an old table has left. */
static void bus_wait_readers(struct bus *bus)
{
	pthread_mutex_lock(&bus->wait_lock);
	for (unsigned round = 0; round < 2; round++) {
		u32 old = __atomic_fetch_add(&bus->parity, 1, __ATOMIC_SEQ_CST) & 1;

		bus_wait_side(bus, old);
	}
	pthread_mutex_unlock(&bus->wait_lock);
}

void bus_remove_nowait(struct bus *bus, enum bus_space space, struct bus_region *region)
{
	struct bus_map *map = bus_map_of(bus, space, region);
	const struct bus_table *table;

	pthread_mutex_lock(&bus->lock);
	table = &map->table[map->seq & 1];
	for (u32 i = 0; i < table->count && region->added; i++) {
		if (table->entry[i].region == region) {
			bus_publish(map, i, NULL);
			region->added = false;
		}
	}
	pthread_mutex_unlock(&bus->lock);
}

void bus_remove(struct bus *bus, enum bus_space space, struct bus_region *region)
{
	bus_remove_nowait(bus, space, region);
	/* Inside a callback we would wait for ourselves, or for another who waits for us. */
	if (!bus_thread.depth)
		bus_wait_readers(bus);
}

/* ---- open/close -------------------------------------------------------------------------- */

int bus_open(struct bus **out)
{
	struct bus *bus = aligned_alloc(64, sizeof(*bus));

	if (!bus)
		return FAIL(-ENOMEM, "bus: out of memory");
	memset(bus, 0, sizeof(*bus));
	pthread_mutex_init(&bus->lock, NULL);
	pthread_mutex_init(&bus->wait_lock, NULL);
	*out = bus;
	return 0;
}

void bus_close(struct bus *bus)
{
	if (!bus)
		return;
	pthread_mutex_destroy(&bus->wait_lock);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}
