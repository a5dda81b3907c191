/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpet: the event timer block as a state machine.
 *
 * The counter is a function of time while enabled. A comparator's next match is counted from
 * `armed_from`, the counter value at which it was last written or last matched, which makes wrap-
 * around (32-bit timers wrap every 43 s) come out right. Entered by dev/chipset/hpet, lock held.
 */
#include "chip/hpet.h"

#include "chip/ticks.h"
#include "lib/bits.h"

/* Registers (HPET specification 1.0a, 2.3) */
#define REG_CAP	    0x000u
#define REG_CONFIG  0x010u
#define REG_STATUS  0x020u
#define REG_COUNTER 0x0f0u
#define REG_TIMER   0x100u /* + 0x20 n: config +0, comparator +8, FSB route +0x10 */

#define CONFIG_ENABLE BIT64(0)
#define CONFIG_LEGACY BIT64(1)

#define TN_LEVEL     BIT64(1)
#define TN_ENABLE    BIT64(2)
#define TN_PERIODIC  BIT64(3)
#define TN_PER_CAP   BIT64(4)
#define TN_SIZE_CAP  BIT64(5)
#define TN_VAL_SET   BIT64(6)
#define TN_32MODE    BIT64(8)
#define TN_ROUTE(c)  ((unsigned)((c) >> 9) & 31u)
#define TN_WRITABLE  0x3f4eull
#define TN_READ_ONLY (TN_PER_CAP | TN_SIZE_CAP | (u64)HPET_ROUTES << 32)

#define FS_PER_NS 1000000ull
#define CAP                                                                                        \
	(1ull | (HPET_TIMERS - 1ull) << 8 | BIT64(13) | BIT64(15) | 0x8086ull << 16 |              \
	 HPET_PERIOD_NS * FS_PER_NS << 32)

/* ---- helpers ---- */

static u64 counter_now(const struct hpet *hpet, u64 now)
{
	if (!(hpet->config & CONFIG_ENABLE) || now < hpet->since)
		return hpet->counter;
	return hpet->counter + (now - hpet->since) / HPET_PERIOD_NS;
}

static u64 timer_mask(const struct hpet_timer *t)
{
	return t->config & TN_32MODE ? 0xffffffffull : ~0ull;
}

/* Ticks from armed_from to the match; 0 means a whole 64-bit turn: never. */
static u64 timer_distance(const struct hpet_timer *t)
{
	u64 mask = timer_mask(t);
	u64 d = (t->compare - t->armed_from) & mask;

	return d ? d : mask + 1;
}

/* The IOAPIC pin, or -1 when the guest chose one that is not offered. */
static int timer_gsi(const struct hpet *hpet, unsigned n)
{
	unsigned route = TN_ROUTE(hpet->timer[n].config);

	if ((hpet->config & CONFIG_LEGACY) && n < 2)
		return n == 0 ? 2 : 8;
	return HPET_ROUTES & BIT(route) ? (int)route : -1;
}

static void line_set(struct hpet *hpet, unsigned n, bool level)
{
	int gsi = timer_gsi(hpet, n);

	if (level == !!(hpet->lines & BIT(n)) || gsi < 0)
		return;
	hpet->lines ^= BIT(n);
	hpet->ops->irq(hpet->arg, (unsigned)gsi, level);
}

/* Level lines follow the status register. */
static void lines_update(struct hpet *hpet)
{
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		u64 c = hpet->timer[n].config;

		line_set(hpet, n, (c & TN_LEVEL) && (c & TN_ENABLE) && (hpet->status & BIT(n)));
	}
}

static void timer_fire(struct hpet *hpet, unsigned n)
{
	u64 c = hpet->timer[n].config;
	int gsi = timer_gsi(hpet, n);

	if (c & TN_LEVEL) {
		hpet->status |= BIT(n);
		lines_update(hpet);
	} else if ((c & TN_ENABLE) && gsi >= 0) {
		hpet->ops->irq(hpet->arg, (unsigned)gsi, true);
		hpet->ops->irq(hpet->arg, (unsigned)gsi, false);
	}
}

/* ---- time ---- */

void hpet_poll(struct hpet *hpet, u64 now)
{
	u64 counter = counter_now(hpet, now);

	if (!(hpet->config & CONFIG_ENABLE))
		return;
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		struct hpet_timer *t = &hpet->timer[n];
		u64 d = timer_distance(t), passed = counter - t->armed_from;

		if (!d || passed < d)
			continue;
		if ((t->config & TN_PERIODIC) && t->period)
			t->compare += ((passed - d) / t->period + 1) * t->period;
		t->compare &= timer_mask(t);
		t->armed_from = counter;
		timer_fire(hpet, n);
	}
}

u64 hpet_deadline(const struct hpet *hpet, u64 now)
{
	u64 best = TICKS_NEVER, counter = counter_now(hpet, now);

	if (!(hpet->config & CONFIG_ENABLE))
		return best;
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		const struct hpet_timer *t = &hpet->timer[n];
		u64 d = timer_distance(t), passed = counter - t->armed_from, left, at;

		if (!(t->config & TN_ENABLE) || !d)
			continue;
		if ((t->config & TN_LEVEL) && (hpet->status & BIT(n)))
			continue; /* nothing new before the guest clears it */
		left = d > passed ? d - passed : 0;
		if (left > TICKS_NEVER / HPET_PERIOD_NS / 2)
			continue; /* centuries away */
		/* the counter steps at since + k * period, not at now */
		at = hpet->since + (counter - hpet->counter + left) * HPET_PERIOD_NS;
		if (at < best)
			best = at;
	}
	return best;
}

/* ---- registers ---- */

static void config_write(struct hpet *hpet, u64 value, u64 now)
{
	u64 was = hpet->config;

	value &= CONFIG_ENABLE | CONFIG_LEGACY;
	if ((was ^ value) & CONFIG_LEGACY) {
		for (unsigned n = 0; n < HPET_TIMERS; n++)
			line_set(hpet, n, false);
	}
	if ((was & CONFIG_ENABLE) && !(value & CONFIG_ENABLE))
		hpet->counter = counter_now(hpet, now);
	hpet->config = value;
	if (!(was & CONFIG_ENABLE) && (value & CONFIG_ENABLE)) {
		hpet->since = now;
		for (unsigned n = 0; n < HPET_TIMERS; n++)
			hpet->timer[n].armed_from = hpet->counter;
	}
	if ((was ^ value) & CONFIG_LEGACY)
		hpet->ops->legacy(hpet->arg, value & CONFIG_LEGACY);
	lines_update(hpet);
}

static void timer_config_write(struct hpet *hpet, unsigned n, u64 value)
{
	struct hpet_timer *t = &hpet->timer[n];

	line_set(hpet, n, false); /* the route may change */
	t->config = (value & TN_WRITABLE) | TN_READ_ONLY;
	if (t->config & TN_32MODE) {
		t->compare &= 0xffffffffull;
		t->period &= 0xffffffffull;
	}
	if (!(t->config & TN_LEVEL))
		hpet->status &= ~BIT64(n);
	lines_update(hpet);
}

static void compare_write(struct hpet *hpet, unsigned n, u64 value, u64 now)
{
	struct hpet_timer *t = &hpet->timer[n];

	value &= timer_mask(t);
	if (!(t->config & TN_PERIODIC) || (t->config & TN_VAL_SET)) {
		t->compare = value;
		t->armed_from = counter_now(hpet, now);
	}
	if (t->config & TN_PERIODIC)
		t->period = value;
	t->config &= ~TN_VAL_SET;
}

/* A 64-bit register at 8-byte aligned `reg`. */
static u64 register_read(const struct hpet *hpet, u32 reg, u64 now)
{
	const struct hpet_timer *t;

	switch (reg) {
	case REG_CAP: return CAP;
	case REG_CONFIG: return hpet->config;
	case REG_STATUS: return hpet->status;
	case REG_COUNTER: return counter_now(hpet, now);
	default: break;
	}
	if (reg < REG_TIMER || (reg - REG_TIMER) / 0x20 >= HPET_TIMERS)
		return 0;
	t = &hpet->timer[(reg - REG_TIMER) / 0x20];
	switch (reg & 0x18) {
	case 0x00: return t->config;
	case 0x08: return t->compare;
	default: return 0;
	}
}

u64 hpet_read(struct hpet *hpet, u32 off, unsigned size, u64 now)
{
	u64 value;

	if ((size != 4 && size != 8) || off % size)
		return 0;
	hpet_poll(hpet, now);
	value = register_read(hpet, off & ~7u, now);
	return size == 8 ? value : (u32)(value >> (off & 4 ? 32 : 0));
}

void hpet_write(struct hpet *hpet, u32 off, unsigned size, u64 value, u64 now)
{
	u32 reg = off & ~7u;
	unsigned n = (reg - REG_TIMER) / 0x20;

	if ((size != 4 && size != 8) || off % size)
		return;
	hpet_poll(hpet, now);
	if (size == 4 && reg == REG_STATUS) { /* write 1 to clear: no old bits */
		value = off & 4 ? 0 : value & 0xffffffffull;
	} else if (size == 4) {
		u64 old = register_read(hpet, reg, now);

		if (reg >= REG_TIMER && n < HPET_TIMERS && (reg & 0x18) == 8 &&
		    (hpet->timer[n].config & TN_PERIODIC) && !(hpet->timer[n].config & TN_VAL_SET))
			old = hpet->timer[n].period;
		value = off & 4 ? (old & 0xffffffffull) | value << 32
				: (old & ~0xffffffffull) | (u32)value;
	}
	if (reg == REG_CONFIG) {
		config_write(hpet, value, now);
	} else if (reg == REG_STATUS) {
		hpet->status &= ~value;
		lines_update(hpet);
	} else if (reg == REG_COUNTER) {
		hpet->counter = value;
		hpet->since = now;
		for (unsigned i = 0; i < HPET_TIMERS; i++)
			hpet->timer[i].armed_from = value;
	} else if (reg >= REG_TIMER && n < HPET_TIMERS) {
		if ((reg & 0x18) == 0)
			timer_config_write(hpet, n, value);
		else if ((reg & 0x18) == 8)
			compare_write(hpet, n, value, now);
	}
}

/* ---- open ---- */

void hpet_reset(struct hpet *hpet)
{
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		line_set(hpet, n, false);
		hpet->timer[n] = (struct hpet_timer){.config = TN_READ_ONLY, .compare = ~0ull};
	}
	hpet->config = 0;
	hpet->status = 0;
	hpet->counter = 0;
	hpet->since = 0;
	hpet->ops->legacy(hpet->arg, false);
}

void hpet_init(struct hpet *hpet, const struct hpet_ops *ops, void *arg)
{
	*hpet = (struct hpet){.ops = ops, .arg = arg};
	hpet_reset(hpet);
}
