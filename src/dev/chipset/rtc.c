/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtc: chip/rtc on the board, and what firmware finds in CMOS.
 *
 * Registers come from vCPU threads with our lock held by the bus; the clock's timer comes on the
 * loop thread and takes the same lock. Time of day is board->clock's wall time.
 */
#include "dev/chipset/rtc.h"

#include <stdlib.h>

#include "board/layout.h"
#include "chip/rtc.h"
#include "chip/ticks.h"
#include "host/fail.h"

/* CMOS bytes of the AT (IBM AT Technical Reference, "CMOS RAM address map") */
#define CMOS_EQUIPMENT	0x14
#define EQUIPMENT_FPU	0x02
#define EQUIPMENT_MOUSE 0x04
#define CMOS_CPUS	0x5f /* count - 1, as SeaBIOS reads it */
#define CMOS_SUM_FIRST	0x10
#define CMOS_SUM_LAST	0x2d
#define CMOS_SUM	0x2e

struct rtc_dev {
	struct device dev;
	pthread_mutex_t lock;
	struct rtc chip;
	struct clock_timer timer;
	struct bus_region region;
	struct rtc_config config;
	bool line;
};

/* ---- helpers (lock held) ---- */

static void rtc_dev_irq(void *arg, bool level)
{
	struct rtc_dev *r = arg;

	/* The HPET cuts the pin only: the alarm still is a wake event (ICH9 data sheet 13.8.3.1).
	 */
	if (level && (r->chip.cmos[RTC_REG_C] & RTC_C_AF) && r->config.alarm)
		r->config.alarm(r->config.alarm_arg);
	if (level == r->line)
		return;
	r->line = level;
	irq_line(&r->dev.board->irq, LAYOUT_GSI_RTC, level);
}

static const struct rtc_ops rtc_ops = {.irq = rtc_dev_irq};

static u64 wall(const struct rtc_dev *r)
{
	return clock_wall_ns(&r->dev.board->clock);
}

static void rtc_dev_arm(struct rtc_dev *r)
{
	u64 now = wall(r), deadline = rtc_deadline(&r->chip, now);

	if (deadline == TICKS_NEVER)
		clock_timer_cancel(&r->timer);
	else
		clock_timer_arm(&r->timer, clock_now(&r->dev.board->clock) +
						   (deadline > now ? deadline - now : 0));
}

static void cmos_fill(struct rtc_dev *r)
{
	u32 sum = 0;

	rtc_cmos_memory(&r->chip, r->config.low_ram, r->config.high_ram);
	rtc_cmos_set(&r->chip, CMOS_EQUIPMENT,
		     EQUIPMENT_FPU | (r->config.mouse ? EQUIPMENT_MOUSE : 0));
	rtc_cmos_set(&r->chip, CMOS_CPUS, (u8)(r->config.cpus - 1));
	for (unsigned i = CMOS_SUM_FIRST; i <= CMOS_SUM_LAST; i++)
		sum += r->chip.cmos[i];
	rtc_cmos_set(&r->chip, CMOS_SUM, (u8)(sum >> 8));
	rtc_cmos_set(&r->chip, CMOS_SUM + 1, (u8)sum);
}

/* ---- work ---- */

static void rtc_dev_fire(struct clock_timer *timer)
{
	struct rtc_dev *r = timer->arg;

	pthread_mutex_lock(&r->lock);
	rtc_poll(&r->chip, wall(r));
	rtc_dev_arm(r);
	pthread_mutex_unlock(&r->lock);
}

static u64 rtc_dev_read(void *arg, u64 off, unused_arg unsigned size)
{
	struct rtc_dev *r = arg;
	u8 value;

	if (!off)
		return 0xff; /* the index is write-only */
	value = rtc_read(&r->chip, wall(r));
	if (r->chip.index == RTC_REG_C)
		rtc_dev_arm(r);
	return value;
}

static void rtc_dev_write(void *arg, u64 off, unused_arg unsigned size, u64 value)
{
	struct rtc_dev *r = arg;

	if (!off) {
		rtc_select(&r->chip, (u8)value);
		return;
	}
	rtc_write(&r->chip, (u8)value, wall(r));
	rtc_dev_arm(r);
}

/* ---- life ---- */

static void rtc_dev_reset(struct device *dev)
{
	struct rtc_dev *r = (struct rtc_dev *)dev;

	pthread_mutex_lock(&r->lock);
	rtc_reset(&r->chip);
	cmos_fill(r);
	clock_timer_cancel(&r->timer);
	pthread_mutex_unlock(&r->lock);
}

static void rtc_dev_pause(struct device *dev)
{
	struct rtc_dev *r = (struct rtc_dev *)dev;

	pthread_mutex_lock(&r->lock);
	clock_timer_cancel(&r->timer);
	pthread_mutex_unlock(&r->lock);
}

static void rtc_dev_resume(struct device *dev)
{
	struct rtc_dev *r = (struct rtc_dev *)dev;

	pthread_mutex_lock(&r->lock);
	rtc_dev_arm(r);
	pthread_mutex_unlock(&r->lock);
}

static void rtc_dev_close(struct device *dev)
{
	struct rtc_dev *r = (struct rtc_dev *)dev;

	bus_remove(dev->board->bus, BUS_PIO, &r->region);
	clock_timer_cancel(&r->timer);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static bool rtc_dev_describe(unused_arg const struct device *dev, struct device_desc *desc)
{
	*desc = (struct device_desc){.hid = "PNP0B00", .res_count = 2};
	desc->res[0] = (struct board_resource){BOARD_RES_PIO, LAYOUT_PORT_RTC, 2};
	desc->res[1] = (struct board_resource){BOARD_RES_IRQ, LAYOUT_GSI_RTC, 1};
	return true;
}

static const struct state_field rtc_fields[] = {
	STATE_ARRAY(struct rtc_dev, chip.cmos, 1),
	STATE_FIELD(struct rtc_dev, chip.offset, 1),
	STATE_FIELD(struct rtc_dev, chip.polled, 1),
	STATE_FIELD(struct rtc_dev, chip.index, 1),
	STATE_FIELD(struct rtc_dev, chip.line, 1),
	STATE_FIELD(struct rtc_dev, line, 1),
	STATE_END,
};

static const struct device_class rtc_class = {
	.name = "rtc",
	.close = rtc_dev_close,
	.reset = rtc_dev_reset,
	.pause = rtc_dev_pause,
	.resume = rtc_dev_resume,
	.fields = rtc_fields,
	.describe = rtc_dev_describe,
};

int rtc_open(struct board *board, const struct rtc_config *config, struct device **out)
{
	struct rtc_dev *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return FAIL(-ENOMEM, "rtc: out of memory");
	r->dev = (struct device){.cls = &rtc_class, .board = board};
	r->config = *config;
	pthread_mutex_init(&r->lock, NULL);
	clock_timer_init(&board->clock, &r->timer, rtc_dev_fire, r);
	rtc_init(&r->chip, &rtc_ops, r, wall(r));
	cmos_fill(r);
	r->region = (struct bus_region){.name = "rtc",
					.base = LAYOUT_PORT_RTC,
					.size = 2,
					.read = rtc_dev_read,
					.write = rtc_dev_write,
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
