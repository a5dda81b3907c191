/* SPDX-License-Identifier: Apache-2.0 */
/*
 * footprint: /proc/self/status through a descriptor from before the jail, less what the guest has.
 *
 * The kernel counts pages by mapping: the translated code, which is mapped twice, would count
 * twice. It is the only shared memory here, so its own figure takes that place. Libraries count as
 * a whole, although other processes share them. Without /proc what the engine knows of itself must
 * do.
 *
 * Entered by: vm.c at the end, service.c when it is asked. Owns the descriptor.
 */
#include "vm/footprint.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/bits.h"

#define PIECE 16384u /* pages that mincore(2) is asked for at once */

void footprint_open(struct footprint *footprint)
{
	footprint->status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

void footprint_close(struct footprint *footprint)
{
	if (footprint->status_fd >= 0)
		close(footprint->status_fd);
	footprint->status_fd = -1;
}

static u64 slot_resident(const struct ram_slot *slot)
{
	unsigned char in[PIECE];
	u64 pages = slot->size / RAM_PAGE, resident = 0, n;

	for (u64 at = 0; at < pages; at += n) {
		n = min_u64(pages - at, PIECE);
		if (mincore(slot->host + at * RAM_PAGE, n * RAM_PAGE, in))
			return slot->size;
		for (u64 i = 0; i < n; i++)
			resident += in[i] & 1u;
	}
	return resident * RAM_PAGE;
}

/* "Name:   1234 kB" in bytes. */
static u64 line_bytes(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) << 10 : 0;
}

static bool status_read(const struct footprint *footprint, u64 *private, u64 *tables)
{
	char text[8192];
	ssize_t got = -1;

	if (footprint->status_fd >= 0)
		got = pread(footprint->status_fd, text, sizeof(text) - 1, 0);
	if (got <= 0)
		return false;
	text[got] = '\0';
	*private = line_bytes(text, "\nRssAnon:") + line_bytes(text, "\nRssFile:");
	*tables = line_bytes(text, "\nVmPTE:");
	return *private > 0;
}

struct footprint_bytes footprint_read(const struct footprint *footprint, const struct ram *ram,
				      const struct metrics *metrics)
{
	struct footprint_bytes bytes = {0};
	u64 private, tables;

	for (unsigned i = 0; i < ram->slots; i++)
		bytes.ram += slot_resident(&ram->slot[i]);
	if (status_read(footprint, &private, &tables))
		bytes.overhead = (private > bytes.ram ? private - bytes.ram : 0) + tables;
	else
		bytes.overhead = metrics->decoded_touched_bytes + metrics->store_touched_bytes +
				 metrics->table_bytes;
	bytes.overhead += metrics->code_touched_bytes;
	return bytes;
}
