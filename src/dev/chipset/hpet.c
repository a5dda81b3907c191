/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpet: chip/hpet on the board.
 *
 * Registers come from vCPU threads with our lock held by the bus; the clock's timer comes on the
 * loop thread and takes the same lock. Legacy replacement cuts PIT and RTC off at board/irq.
 */
#include "dev/chipset/hpet.h"

#include <stdlib.h>

#include "board/layout.h"
#include "chip/hpet.h"
#include "chip/ticks.h"
#include "host/fail.h"
#include "lib/bits.h"

struct hpet_dev {
	struct device dev;
	pthread_mutex_t lock;
	struct hpet chip;
	struct clock_timer timer;
	struct bus_region region;
};

/* ---- helpers (lock held) ---- */

static void hpet_dev_irq(void *arg, unsigned gsi, bool level)
{
	struct hpet_dev *h = arg;

	irq_line_from(&h->dev.board->irq, IRQ_FROM_HPET, gsi, level);
}

static void hpet_dev_legacy(void *arg, bool on)
{
	struct hpet_dev *h = arg;

	irq_cut(&h->dev.board->irq, on ? BIT(LAYOUT_GSI_PIT) | BIT(LAYOUT_GSI_RTC) : 0);
}

static const struct hpet_ops hpet_ops = {.irq = hpet_dev_irq, .legacy = hpet_dev_legacy};

static void hpet_dev_arm(struct hpet_dev *h, u64 now)
{
	u64 deadline = hpet_deadline(&h->chip, now);

	if (deadline == TICKS_NEVER)
		clock_timer_cancel(&h->timer);
	else
		clock_timer_arm(&h->timer, deadline);
}

/* ---- work ---- */

static void hpet_dev_fire(struct clock_timer *timer)
{
	struct hpet_dev *h = timer->arg;
	u64 now;

	pthread_mutex_lock(&h->lock);
	now = clock_now(&h->dev.board->clock);
	hpet_poll(&h->chip, now);
	hpet_dev_arm(h, now);
	pthread_mutex_unlock(&h->lock);
}

static u64 hpet_dev_read(void *arg, u64 off, unsigned size)
{
	struct hpet_dev *h = arg;

	return hpet_read(&h->chip, (u32)off, size, clock_now(&h->dev.board->clock));
}

static void hpet_dev_write(void *arg, u64 off, unsigned size, u64 value)
{
	struct hpet_dev *h = arg;
	u64 now = clock_now(&h->dev.board->clock);

	hpet_write(&h->chip, (u32)off, size, value, now);
	hpet_dev_arm(h, now);
}

/* ---- life ---- */

static void hpet_dev_reset(struct device *dev)
{
	struct hpet_dev *h = (struct hpet_dev *)dev;

	pthread_mutex_lock(&h->lock);
	hpet_reset(&h->chip);
	clock_timer_cancel(&h->timer);
	pthread_mutex_unlock(&h->lock);
}

static void hpet_dev_pause(struct device *dev)
{
	struct hpet_dev *h = (struct hpet_dev *)dev;

	pthread_mutex_lock(&h->lock);
	clock_timer_cancel(&h->timer);
	pthread_mutex_unlock(&h->lock);
}

static void hpet_dev_resume(struct device *dev)
{
	struct hpet_dev *h = (struct hpet_dev *)dev;

	pthread_mutex_lock(&h->lock);
	hpet_dev_legacy(h, h->chip.config & 2);
	hpet_dev_arm(h, clock_now(&dev->board->clock));
	pthread_mutex_unlock(&h->lock);
}

static void hpet_dev_close(struct device *dev)
{
	struct hpet_dev *h = (struct hpet_dev *)dev;

	bus_remove(dev->board->bus, BUS_MMIO, &h->region);
	clock_timer_cancel(&h->timer);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static bool hpet_dev_describe(unused_arg const struct device *dev, struct device_desc *desc)
{
	*desc = (struct device_desc){.hid = "PNP0103", .res_count = 1};
	desc->res[0] = (struct board_resource){BOARD_RES_MMIO, LAYOUT_HPET, HPET_MMIO_SIZE};
	return true;
}

static const struct state_field hpet_fields[] = {
	STATE_FIELD(struct hpet_dev, chip.config, 1),
	STATE_FIELD(struct hpet_dev, chip.status, 1),
	STATE_FIELD(struct hpet_dev, chip.counter, 1),
	STATE_FIELD(struct hpet_dev, chip.since, 1),
	STATE_FIELD(struct hpet_dev, chip.lines, 1),
#define TIMER(n)                                                                                   \
	STATE_FIELD(struct hpet_dev, chip.timer[n].config, 1),                                     \
		STATE_FIELD(struct hpet_dev, chip.timer[n].compare, 1),                            \
		STATE_FIELD(struct hpet_dev, chip.timer[n].period, 1),                             \
		STATE_FIELD(struct hpet_dev, chip.timer[n].armed_from, 1)
	TIMER(0),
	TIMER(1),
	TIMER(2),
#undef TIMER
	STATE_END,
};

static const struct device_class hpet_class = {
	.name = "hpet",
	.close = hpet_dev_close,
	.reset = hpet_dev_reset,
	.pause = hpet_dev_pause,
	.resume = hpet_dev_resume,
	.fields = hpet_fields,
	.describe = hpet_dev_describe,
};

int hpet_open(struct board *board, struct device **out)
{
	struct hpet_dev *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return FAIL(-ENOMEM, "hpet: out of memory");
	h->dev = (struct device){.cls = &hpet_class, .board = board};
	pthread_mutex_init(&h->lock, NULL);
	clock_timer_init(&board->clock, &h->timer, hpet_dev_fire, h);
	hpet_init(&h->chip, &hpet_ops, h);
	h->region = (struct bus_region){.name = "hpet",
					.base = LAYOUT_HPET,
					.size = HPET_MMIO_SIZE,
					.read = hpet_dev_read,
					.write = hpet_dev_write,
					.arg = h,
					.lock = &h->lock,
					.max_size = 8};
	rc = bus_add(board->bus, BUS_MMIO, &h->region);
	if (rc) {
		pthread_mutex_destroy(&h->lock);
		free(h);
		return rc;
	}
	*out = &h->dev;
	return 0;
}
