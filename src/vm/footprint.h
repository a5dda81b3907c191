/* SPDX-License-Identifier: Apache-2.0 */
/*
 * footprint: how much memory of the host this process holds: for the guest, and beside it.
 *
 * Context: open and close: loop thread. read: any, in the jail too.
 */
#ifndef VM_FOOTPRINT_H
#define VM_FOOTPRINT_H

#include "board/ram.h"
#include "host/metrics.h"

struct footprint {
	int status_fd; /* -1: no /proc here */
};

struct footprint_bytes {
	u64 ram;      /* guest memory that is resident */
	u64 overhead; /* all else: what the process holds, page tables included, each page once */
};

/* Before the jail, which allows no path. */
void footprint_open(struct footprint *footprint);
void footprint_close(struct footprint *footprint);
/* metrics: the engine's, as they are now. */
struct footprint_bytes footprint_read(const struct footprint *footprint, const struct ram *ram,
				      const struct metrics *metrics);

#endif
