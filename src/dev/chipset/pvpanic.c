/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic: port 0x505. Reads give the events understood; stateless; any vCPU thread.
 */
#include "dev/chipset/pvpanic.h"

#include <stdlib.h>

#include "board/layout.h"
#include "host/fail.h"

#define PVPANIC_PANICKED     0x01u
#define PVPANIC_CRASH_LOADED 0x02u
#define PVPANIC_EVENTS	     (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)

struct pvpanic {
	struct device dev;
	struct bus_region region;
};

static u64 pvpanic_read(unused_arg void *arg, unused_arg u64 off, unused_arg unsigned size)
{
	return PVPANIC_EVENTS;
}

static void pvpanic_write(void *arg, unused_arg u64 off, unused_arg unsigned size, u64 value)
{
	struct pvpanic *p = arg;
	struct board *board = p->dev.board;

	if (value & PVPANIC_EVENTS)
		board->request(board->request_arg, BOARD_PANIC, (u32)value & PVPANIC_EVENTS);
}

static void pvpanic_reset(unused_arg struct device *dev)
{
}

static void pvpanic_close(struct device *dev)
{
	struct pvpanic *p = (struct pvpanic *)dev;

	bus_remove(dev->board->bus, BUS_PIO, &p->region);
	free(p);
}

static bool pvpanic_describe(unused_arg const struct device *dev, struct device_desc *desc)
{
	*desc = (struct device_desc){.hid = "QEMU0001", .res_count = 1};
	desc->res[0] = (struct board_resource){BOARD_RES_PIO, LAYOUT_PORT_PVPANIC, 1};
	return true;
}

static const struct device_class pvpanic_class = {
	.name = "pvpanic",
	.close = pvpanic_close,
	.reset = pvpanic_reset,
	.describe = pvpanic_describe,
};

int pvpanic_open(struct board *board, struct device **out)
{
	struct pvpanic *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return FAIL(-ENOMEM, "pvpanic: out of memory");
	p->dev = (struct device){.cls = &pvpanic_class, .board = board};
	p->region = (struct bus_region){.name = "pvpanic",
					.base = LAYOUT_PORT_PVPANIC,
					.size = 1,
					.read = pvpanic_read,
					.write = pvpanic_write,
					.arg = p,
					.max_size = 1};
	rc = bus_add(board->bus, BUS_PIO, &p->region);
	if (rc) {
		free(p);
		return rc;
	}
	*out = &p->dev;
	return 0;
}
