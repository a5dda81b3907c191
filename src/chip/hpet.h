/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpet: a high-precision event timer block: 64-bit counter at 100 MHz, three timers.
 *
 * Every timer can be periodic; all can use legacy replacement or any IOAPIC pin offered in
 * HPET_ROUTES; FSB messages are not offered. Follows the IA-PC HPET Specification 1.0a.
 *
 * Not thread-safe: the caller serialises. ops are called from inside the functions.
 */
#ifndef CHIP_HPET_H
#define CHIP_HPET_H

#include "lib/types.h"

#define HPET_TIMERS    3u
#define HPET_MMIO_SIZE 0x400u
#define HPET_PERIOD_NS 10u
/* IOAPIC pins a timer may choose: 2, 8, 16..23 */
#define HPET_ROUTES 0x00ff0104u

struct hpet_ops {
	/* Timer n's interrupt on `gsi`. Edge timers call it high then low. */
	void (*irq)(void *arg, unsigned gsi, bool level);
	/* Legacy replacement went on or off: PIT and RTC lines are cut while on. */
	void (*legacy)(void *arg, bool on);
};

struct hpet_timer {
	u64 config;
	u64 compare;
	u64 period;	/* last value written in periodic mode, counter ticks */
	u64 armed_from; /* counter value since which the comparator has not matched */
};

struct hpet {
	u64 config;
	u64 status;
	u64 counter; /* value at `since` */
	u64 since;   /* ns when the counter was started */
	u32 lines;   /* level interrupts now asserted, bit per timer */
	struct hpet_timer timer[HPET_TIMERS];
	const struct hpet_ops *ops;
	void *arg;
};

void hpet_init(struct hpet *hpet, const struct hpet_ops *ops, void *arg);
void hpet_reset(struct hpet *hpet);

/* off 0..0x3ff; size 4 or 8, naturally aligned (others read 0 and are dropped). */
u64 hpet_read(struct hpet *hpet, u32 off, unsigned size, u64 now);
void hpet_write(struct hpet *hpet, u32 off, unsigned size, u64 value, u64 now);

/* Raises what is due at `now`. */
void hpet_poll(struct hpet *hpet, u64 now);
/* ns of the next comparator match that raises an interrupt, TICKS_NEVER if none. */
u64 hpet_deadline(const struct hpet *hpet, u64 now);

#endif
