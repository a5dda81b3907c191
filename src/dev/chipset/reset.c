/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reset: port 0xcf9 on the board.
 *
 * RST_CPU going from 0 to 1 resets, hard or soft as SYS_RST says; both are a reset of the whole
 * machine here. Entered by vCPU threads with our lock held by the bus.
 */
#include "dev/chipset/reset.h"

#include <stdlib.h>

#include "board/layout.h"
#include "host/fail.h"

#define RST_SYS	 0x02u /* hard reset */
#define RST_CPU	 0x04u
#define RST_FULL 0x08u /* with a power cycle */

struct reset {
	struct device dev;
	pthread_mutex_t lock;
	struct bus_region region;
	u8 value;
};

static u64 reset_read(void *arg, unused_arg u64 off, unused_arg unsigned size)
{
	struct reset *r = arg;

	return r->value;
}

static void reset_write(void *arg, unused_arg u64 off, unused_arg unsigned size, u64 value)
{
	struct reset *r = arg;
	struct board *board = r->dev.board;
	bool edge = (value & RST_CPU) && !(r->value & RST_CPU);

	r->value = (u8)value & (RST_SYS | RST_CPU | RST_FULL);
	if (edge)
		board->request(board->request_arg, BOARD_RESET, 0);
}

static void reset_reset(struct device *dev)
{
	struct reset *r = (struct reset *)dev;

	pthread_mutex_lock(&r->lock);
	r->value = 0;
	pthread_mutex_unlock(&r->lock);
}

static void reset_close(struct device *dev)
{
	struct reset *r = (struct reset *)dev;

	bus_remove(dev->board->bus, BUS_PIO, &r->region);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static const struct state_field reset_fields[] = {
	STATE_FIELD(struct reset, value, 1),
	STATE_END,
};

static const struct device_class reset_class = {
	.name = "reset",
	.close = reset_close,
	.reset = reset_reset,
	.fields = reset_fields,
};

int reset_open(struct board *board, struct device **out)
{
	struct reset *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return FAIL(-ENOMEM, "reset port: out of memory");
	r->dev = (struct device){.cls = &reset_class, .board = board};
	pthread_mutex_init(&r->lock, NULL);
	r->region = (struct bus_region){.name = "reset",
					.base = LAYOUT_PORT_RESET,
					.size = 1,
					.read = reset_read,
					.write = reset_write,
					.arg = r,
					.lock = &r->lock,
					.max_size = 1};
	rc = bus_add(board->bus, BUS_PIO, &r->region);
	if (rc) {
		pthread_mutex_destroy(&r->lock);
		free(r);
		return rc;
	}
	*out = &r->dev;
	return 0;
}
