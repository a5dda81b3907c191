/* SPDX-License-Identifier: Apache-2.0 */
/*
 * debug_exit: BOARD_DEBUG_EXIT with the value written, unchanged. Stateless; any vCPU thread.
 */
#include "dev/chipset/debug_exit.h"

#include <stdlib.h>

#include "board/layout.h"
#include "host/fail.h"

struct debug_exit {
	struct device dev;
	struct bus_region region;
};

static u64 debug_exit_read(unused_arg void *arg, unused_arg u64 off, unused_arg unsigned size)
{
	return 0;
}

static void debug_exit_write(void *arg, u64 off, unused_arg unsigned size, u64 value)
{
	struct debug_exit *d = arg;

	if (!off)
		d->dev.board->request(d->dev.board->request_arg, BOARD_DEBUG_EXIT, (u32)value);
}

static void debug_exit_reset(unused_arg struct device *dev)
{
}

static void debug_exit_close(struct device *dev)
{
	struct debug_exit *d = (struct debug_exit *)dev;

	bus_remove(dev->board->bus, BUS_PIO, &d->region);
	free(d);
}

static const struct device_class debug_exit_class = {
	.name = "debug-exit",
	.close = debug_exit_close,
	.reset = debug_exit_reset,
};

int debug_exit_open(struct board *board, struct device **out)
{
	struct debug_exit *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return FAIL(-ENOMEM, "debug-exit: out of memory");
	d->dev = (struct device){.cls = &debug_exit_class, .board = board};
	d->region = (struct bus_region){.name = "debug exit",
					.base = LAYOUT_PORT_DEBUG_EXIT,
					.size = 4,
					.read = debug_exit_read,
					.write = debug_exit_write,
					.arg = d};
	rc = bus_add(board->bus, BUS_PIO, &d->region);
	if (rc) {
		free(d);
		return rc;
	}
	*out = &d->dev;
	return 0;
}
