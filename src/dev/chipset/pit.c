/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pit: chip/pit on the board.
 *
 * Registers come from vCPU threads with our lock held by the bus; the clock's timer comes on the
 * loop thread and takes the same lock. The timer is armed only while IRQ0 has an edge to give.
 */
#include "dev/chipset/pit.h"

#include <stdlib.h>

#include "board/layout.h"
#include "chip/pit.h"
#include "chip/ticks.h"
#include "host/fail.h"

struct pit_dev {
	struct device dev;
	pthread_mutex_t lock;
	struct pit chip;
	struct clock_timer timer;
	struct bus_region region, sysctl;
	bool line;
};

/* ---- helpers (lock held) ---- */

static void pit_dev_irq(void *arg, bool level)
{
	struct pit_dev *p = arg;

	if (level == p->line)
		return;
	p->line = level;
	irq_line(&p->dev.board->irq, LAYOUT_GSI_PIT, level);
}

static const struct pit_ops pit_ops = {.irq = pit_dev_irq};

static void pit_dev_arm(struct pit_dev *p, u64 now)
{
	u64 deadline = pit_deadline(&p->chip, now);

	if (deadline == TICKS_NEVER)
		clock_timer_cancel(&p->timer);
	else
		clock_timer_arm(&p->timer, deadline);
}

/* ---- work ---- */

static void pit_dev_fire(struct clock_timer *timer)
{
	struct pit_dev *p = timer->arg;
	u64 now;

	pthread_mutex_lock(&p->lock);
	now = clock_now(&p->dev.board->clock);
	pit_poll(&p->chip, now);
	pit_dev_arm(p, now);
	pthread_mutex_unlock(&p->lock);
}

static u64 pit_dev_read(void *arg, u64 off, unused_arg unsigned size)
{
	struct pit_dev *p = arg;

	return pit_read(&p->chip, (unsigned)off, clock_now(&p->dev.board->clock));
}

static void pit_dev_write(void *arg, u64 off, unused_arg unsigned size, u64 value)
{
	struct pit_dev *p = arg;
	u64 now = clock_now(&p->dev.board->clock);

	pit_write(&p->chip, (unsigned)off, (u8)value, now);
	pit_dev_arm(p, now);
}

static u64 sysctl_read(void *arg, unused_arg u64 off, unused_arg unsigned size)
{
	struct pit_dev *p = arg;

	return pit_sysctl_read(&p->chip, clock_now(&p->dev.board->clock));
}

static void sysctl_write(void *arg, unused_arg u64 off, unused_arg unsigned size, u64 value)
{
	struct pit_dev *p = arg;

	pit_sysctl_write(&p->chip, (u8)value, clock_now(&p->dev.board->clock));
}

/* ---- life ---- */

static void pit_dev_reset(struct device *dev)
{
	struct pit_dev *p = (struct pit_dev *)dev;

	pthread_mutex_lock(&p->lock);
	pit_reset(&p->chip);
	clock_timer_cancel(&p->timer);
	pthread_mutex_unlock(&p->lock);
}

static void pit_dev_pause(struct device *dev)
{
	struct pit_dev *p = (struct pit_dev *)dev;

	pthread_mutex_lock(&p->lock);
	clock_timer_cancel(&p->timer);
	pthread_mutex_unlock(&p->lock);
}

static void pit_dev_resume(struct device *dev)
{
	struct pit_dev *p = (struct pit_dev *)dev;

	pthread_mutex_lock(&p->lock);
	pit_dev_arm(p, clock_now(&dev->board->clock));
	pthread_mutex_unlock(&p->lock);
}

static void pit_dev_close(struct device *dev)
{
	struct pit_dev *p = (struct pit_dev *)dev;

	bus_remove(dev->board->bus, BUS_PIO, &p->sysctl);
	bus_remove(dev->board->bus, BUS_PIO, &p->region);
	clock_timer_cancel(&p->timer);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static bool pit_dev_describe(unused_arg const struct device *dev, struct device_desc *desc)
{
	*desc = (struct device_desc){.hid = "PNP0100", .res_count = 1};
	desc->res[0] = (struct board_resource){BOARD_RES_PIO, LAYOUT_PORT_PIT, 4};
	return true;
}

static const struct state_field pit_fields[] = {
#define CHANNEL(n)                                                                                 \
	STATE_FIELD(struct pit_dev, chip.ch[n].start, 1),                                          \
		STATE_FIELD(struct pit_dev, chip.ch[n].elapsed, 1),                                \
		STATE_FIELD(struct pit_dev, chip.ch[n].edges, 1),                                  \
		STATE_FIELD(struct pit_dev, chip.ch[n].seen, 1),                                   \
		STATE_FIELD(struct pit_dev, chip.ch[n].count, 1),                                  \
		STATE_FIELD(struct pit_dev, chip.ch[n].next, 1),                                   \
		STATE_FIELD(struct pit_dev, chip.ch[n].mode, 1),                                   \
		STATE_FIELD(struct pit_dev, chip.ch[n].access, 1),                                 \
		STATE_FIELD(struct pit_dev, chip.ch[n].bcd, 1),                                    \
		STATE_FIELD(struct pit_dev, chip.ch[n].loaded, 1),                                 \
		STATE_FIELD(struct pit_dev, chip.ch[n].running, 1),                                \
		STATE_FIELD(struct pit_dev, chip.ch[n].gate, 1),                                   \
		STATE_FIELD(struct pit_dev, chip.ch[n].write_high, 1),                             \
		STATE_FIELD(struct pit_dev, chip.ch[n].read_high, 1),                              \
		STATE_FIELD(struct pit_dev, chip.ch[n].status_latched, 1),                         \
		STATE_FIELD(struct pit_dev, chip.ch[n].count_latched, 1),                          \
		STATE_FIELD(struct pit_dev, chip.ch[n].low, 1),                                    \
		STATE_FIELD(struct pit_dev, chip.ch[n].status, 1),                                 \
		STATE_FIELD(struct pit_dev, chip.ch[n].latch, 1)
	CHANNEL(0),
	CHANNEL(1),
	CHANNEL(2),
#undef CHANNEL
	STATE_FIELD(struct pit_dev, chip.sysctl, 1),
	STATE_FIELD(struct pit_dev, line, 1),
	STATE_END,
};

static const struct device_class pit_class = {
	.name = "pit",
	.close = pit_dev_close,
	.reset = pit_dev_reset,
	.pause = pit_dev_pause,
	.resume = pit_dev_resume,
	.fields = pit_fields,
	.describe = pit_dev_describe,
};

int pit_open(struct board *board, struct device **out)
{
	struct pit_dev *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return FAIL(-ENOMEM, "pit: out of memory");
	p->dev = (struct device){.cls = &pit_class, .board = board};
	pthread_mutex_init(&p->lock, NULL);
	clock_timer_init(&board->clock, &p->timer, pit_dev_fire, p);
	pit_init(&p->chip, &pit_ops, p);
	p->region = (struct bus_region){.name = "pit",
					.base = LAYOUT_PORT_PIT,
					.size = 4,
					.read = pit_dev_read,
					.write = pit_dev_write,
					.arg = p,
					.lock = &p->lock,
					.max_size = 1};
	p->sysctl = (struct bus_region){.name = "sysctl b",
					.base = LAYOUT_PORT_SYSCTL_B,
					.size = 1,
					.read = sysctl_read,
					.write = sysctl_write,
					.arg = p,
					.lock = &p->lock,
					.max_size = 1};
	rc = bus_add(board->bus, BUS_PIO, &p->region);
	if (rc)
		goto free_pit;
	rc = bus_add(board->bus, BUS_PIO, &p->sysctl);
	if (rc)
		goto drop_region;
	*out = &p->dev;
	return 0;
drop_region:
	bus_remove(board->bus, BUS_PIO, &p->region);
free_pit:
	pthread_mutex_destroy(&p->lock);
	free(p);
	return rc;
}
