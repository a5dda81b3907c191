/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ram: the slot table and the checked ways into guest memory.
 *
 * Owns one anonymous mapping per slot added, 2 MiB aligned, without swap reservation: a page costs
 * host memory when the guest first touches it. The slot table only changes while no vCPU and no
 * device thread runs, so look-ups take no lock.
 *
 * Guest memory changes under our hands at any time; callers copy what they check.
 */
#include "board/ram.h"

#include <string.h>
#include <sys/mman.h>

#include "host/fail.h"
#include "lib/bits.h"

#define RAM_ALIGN 0x200000ull

/* ---- host memory ------------------------------------------------------------------------- */

static int ram_map(u64 size, u8 **out)
{
	u64 span = round_up64(size, RAM_ALIGN) + RAM_ALIGN;
	u8 *map, *host;
	u64 head, tail;

	map = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (map == MAP_FAILED)
		return FAIL(-ENOMEM, "ram: the host has no room for %llu MiB (see ulimit -v)",
			    (unsigned long long)(size >> 20));
	host = (u8 *)round_up64((u64)map, RAM_ALIGN);
	head = (u64)(host - map);
	if (head)
		munmap(map, head);
	tail = span - head - size;
	if (tail)
		munmap(host + size, tail);
	/* Best effort: hosts without huge pages still run. */
	madvise(host, size, MADV_HUGEPAGE);
	/* Guest memory does not belong in a core file of ours. */
	madvise(host, size, MADV_DONTDUMP);
	*out = host;
	return 0;
}

/* ---- slots ------------------------------------------------------------------------------- */

int ram_open(struct ram *ram)
{
	memset(ram, 0, sizeof(*ram));
	return 0;
}

void ram_close(struct ram *ram)
{
	for (unsigned i = 0; i < ram->slots; i++)
		munmap(ram->slot[i].host, ram->slot[i].size);
	ram->slots = 0;
	ram->bytes = 0;
}

int ram_add(struct ram *ram, gpa_t gpa, u64 size, enum ram_kind kind, const char *name)
{
	unsigned at;
	u8 *host = NULL;
	int rc;

	if (!size || (gpa | size) % RAM_PAGE || gpa + size < gpa)
		return FAIL(-EINVAL, "ram: slot %s is not whole pages", name);
	if (ram->slots == RAM_SLOTS_MAX)
		return FAIL(-ENOSPC, "ram: more than %d slots", RAM_SLOTS_MAX);
	for (at = 0; at < ram->slots && ram->slot[at].gpa < gpa; at++)
		;
	if ((at && ram->slot[at - 1].gpa + ram->slot[at - 1].size > gpa) ||
	    (at < ram->slots && gpa + size > ram->slot[at].gpa))
		return FAIL(-EEXIST, "ram: slot %s overlaps another", name);
	rc = ram_map(size, &host);
	if (rc)
		return rc;
	memmove(&ram->slot[at + 1], &ram->slot[at], (ram->slots - at) * sizeof(ram->slot[0]));
	ram->slot[at] = (struct ram_slot){
		.gpa = gpa, .size = size, .host = host, .kind = kind, .name = name};
	ram->slots++;
	if (kind == RAM_KIND_RAM)
		ram->bytes += size;
	if (ram->listener.changed)
		ram->listener.changed(ram->listener.arg);
	return 0;
}

int ram_punch(struct ram *ram, gpa_t gpa, u64 size)
{
	struct ram_slot *slot = NULL, after;
	unsigned at;

	for (at = 0; at < ram->slots && !slot; at++)
		if (gpa - ram->slot[at].gpa < ram->slot[at].size)
			slot = &ram->slot[at];
	if (!slot || !size || (gpa | size) % RAM_PAGE || gpa == slot->gpa ||
	    size >= slot->size - (gpa - slot->gpa))
		return FAIL(-EINVAL, "ram: a hole that is not inside a slot");
	if (ram->slots == RAM_SLOTS_MAX)
		return FAIL(-ENOSPC, "ram: more than %d slots", RAM_SLOTS_MAX);
	after = *slot;
	after.gpa = gpa + size;
	after.host += after.gpa - slot->gpa;
	after.size -= after.gpa - slot->gpa;
	munmap(after.host - size, size);
	slot->size = gpa - slot->gpa;
	memmove(&ram->slot[at + 1], &ram->slot[at], (ram->slots - at) * sizeof(ram->slot[0]));
	ram->slot[at] = after;
	ram->slots++;
	if (after.kind == RAM_KIND_RAM)
		ram->bytes -= size;
	if (ram->listener.changed)
		ram->listener.changed(ram->listener.arg);
	return 0;
}

const struct ram_slot *ram_find(const struct ram *ram, gpa_t gpa)
{
	unsigned low = 0, high = ram->slots;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		const struct ram_slot *slot = &ram->slot[mid];

		if (gpa < slot->gpa)
			high = mid;
		else if (gpa - slot->gpa >= slot->size)
			low = mid + 1;
		else
			return slot;
	}
	return NULL;
}

/* ---- checked access ---------------------------------------------------------------------- */

static u8 *ram_range(const struct ram *ram, gpa_t gpa, u64 len, bool write)
{
	const struct ram_slot *slot = ram_find(ram, gpa);
	u64 off;

	if (!slot || (write && slot->kind != RAM_KIND_RAM))
		return NULL;
	off = gpa - slot->gpa;
	if (len > slot->size - off)
		return NULL;
	return slot->host + off;
}

const void *ram_ptr(const struct ram *ram, gpa_t gpa, u64 len)
{
	return ram_range(ram, gpa, len, false);
}

/* Every byte of the range lies in a slot (of RAM, when `write`). */
static bool ram_covers(const struct ram *ram, gpa_t gpa, u64 len, bool write)
{
	while (len) {
		const struct ram_slot *slot = ram_find(ram, gpa);
		u64 part;

		if (!slot || (write && slot->kind != RAM_KIND_RAM))
			return false;
		part = min_u64(len, slot->size - (gpa - slot->gpa));
		gpa += part;
		len -= part;
	}
	return true;
}

int ram_read(const struct ram *ram, gpa_t gpa, void *buf, u64 len)
{
	const u8 *host = ram_range(ram, gpa, len, false);
	u8 *to = buf;

	if (likely(host)) {
		memcpy(to, host, len);
		return 0;
	}
	if (!ram_covers(ram, gpa, len, false))
		return -EFAULT;
	while (len) {
		const struct ram_slot *slot = ram_find(ram, gpa);
		u64 part = min_u64(len, slot->size - (gpa - slot->gpa));

		memcpy(to, slot->host + (gpa - slot->gpa), part);
		gpa += part;
		to += part;
		len -= part;
	}
	return 0;
}

static void ram_copy_in(const struct ram *ram, gpa_t gpa, const u8 *from, u64 len)
{
	while (len) {
		const struct ram_slot *slot = ram_find(ram, gpa);
		u64 part = min_u64(len, slot->size - (gpa - slot->gpa));

		memcpy(slot->host + (gpa - slot->gpa), from, part);
		gpa += part;
		from += part;
		len -= part;
	}
}

static void ram_dma_begin(const struct ram *ram, gpa_t gpa, u64 len)
{
	if (ram->listener.dma_begin)
		ram->listener.dma_begin(ram->listener.arg, gpa, len);
}

static void ram_dma_end(const struct ram *ram, gpa_t gpa, u64 len)
{
	if (ram->listener.dma_end)
		ram->listener.dma_end(ram->listener.arg, gpa, len);
}

int ram_write(struct ram *ram, gpa_t gpa, const void *buf, u64 len)
{
	u8 *host = ram_range(ram, gpa, len, true);

	if (!host && !ram_covers(ram, gpa, len, true))
		return -EFAULT;
	ram_dma_begin(ram, gpa, len);
	if (likely(host))
		memcpy(host, buf, len);
	else
		ram_copy_in(ram, gpa, buf, len);
	ram_dma_end(ram, gpa, len);
	return 0;
}

void *ram_write_begin(struct ram *ram, gpa_t gpa, u64 len)
{
	u8 *host = ram_range(ram, gpa, len, true);

	if (host)
		ram_dma_begin(ram, gpa, len);
	return host;
}

void ram_write_end(struct ram *ram, gpa_t gpa, u64 len)
{
	ram_dma_end(ram, gpa, len);
}

int ram_load(struct ram *ram, gpa_t gpa, const void *buf, u64 len)
{
	if (!ram_covers(ram, gpa, len, false))
		return -EFAULT;
	ram_dma_begin(ram, gpa, len);
	ram_copy_in(ram, gpa, buf, len);
	ram_dma_end(ram, gpa, len);
	return 0;
}
