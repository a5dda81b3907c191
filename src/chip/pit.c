/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pit: the 8254 as a state machine.
 *
 * A channel is (count, tick of loading); count and OUT follow from the time. A count takes effect
 * one clock after it was written (8254 data sheet, "Mode definitions"), so mode 0 raises OUT N + 1
 * clocks after the write. In mode 3 a new count waits for the full period's end.
 */
#include "chip/pit.h"

#include "chip/ticks.h"
#include "lib/bits.h"

#define REFRESH_NS 15085u /* memory refresh toggles bit 4 of port 0x61 */

#define SYSCTL_GATE	0x01u
#define SYSCTL_REFRESH	0x10u
#define SYSCTL_OUT	0x20u
#define SYSCTL_WRITABLE 0x0fu

/* ---- helpers ---- */

static u64 tick(u64 now)
{
	return ticks_from_ns(now, PIT_HZ);
}

static bool periodic(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* A low gate stops the count in these; in 1 and 5 the gate only triggers. */
static bool gate_stops(const struct pit_channel *c)
{
	return c->mode != 1 && c->mode != 5;
}

/* Clocks counted since `count` was loaded; 0 before that. */
static u64 channel_elapsed(const struct pit_channel *c, u64 t)
{
	if (!c->running)
		return 0;
	if (!c->gate && gate_stops(c))
		return c->elapsed;
	return t > c->start ? t - c->start : 0;
}

/* Ends finished periods so that `start` lies in the present one and a waiting count takes over. */
static void channel_settle(struct pit_channel *c, u64 t)
{
	u64 periods;

	if (!periodic(c) || !c->running || !c->gate || t < c->start)
		return;
	periods = (t - c->start) / c->count;
	if (!periods)
		return;
	if (c->next) {
		c->start += c->count;
		c->edges++;
		c->count = c->next;
		c->next = 0;
		periods = (t - c->start) / c->count;
	}
	c->start += periods * c->count;
	c->edges += periods;
}

/* Rising edges of OUT since the control word. */
static u64 channel_edges(const struct pit_channel *c, u64 t)
{
	u64 d = channel_elapsed(c, t);

	if (!c->running)
		return c->edges;
	switch (c->mode) {
	case 2:
	case 3: return c->edges; /* settled */
	case 4:
	case 5: return c->edges + (d > c->count);
	default: return c->edges + (d >= c->count);
	}
}

static bool channel_out(const struct pit_channel *c, u64 t)
{
	u64 d = channel_elapsed(c, t);

	if (!c->running)
		return c->mode != 0;
	switch (c->mode) {
	case 0:
	case 1: return d >= c->count;
	case 2: return !c->gate || d % c->count != c->count - 1;
	case 3: return !c->gate || d % c->count < (c->count + 1) / 2;
	default: return d != c->count;
	}
}

static u16 to_bcd(u32 v)
{
	return (u16)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static u32 from_bcd(u16 v)
{
	return (v & 0xfu) + (v >> 4 & 0xfu) * 10 + (v >> 8 & 0xfu) * 100 + (v >> 12) * 1000u;
}

/* The counting element as the guest reads it. */
static u16 channel_value(const struct pit_channel *c, u64 t)
{
	u32 modulus = c->bcd ? 10000 : 0x10000;
	u64 d = channel_elapsed(c, t);
	u32 v;

	if (c->mode == 2) {
		v = c->count - (u32)(d % c->count);
	} else if (c->mode == 3) {
		u32 p = (u32)(d % c->count), half = (c->count + 1) / 2;

		/* counts by two, the odd clock goes to the high half */
		v = (c->count & ~1u) - 2 * (p < half ? p : p - half);
	} else {
		v = (c->count + modulus - (u32)(d % modulus)) % modulus;
	}
	v %= modulus;
	return c->bcd ? to_bcd(v) : (u16)v;
}

/* ---- programming ---- */

static void channel_load(struct pit_channel *c, u16 value, u64 t)
{
	u32 count = c->bcd ? from_bcd(value) : value;

	if (!count)
		count = c->bcd ? 10000 : 0x10000;
	channel_settle(c, t);
	/* a count of 1 is not allowed in modes 2 and 3; it behaves as the shortest period */
	if (periodic(c) && count == 1)
		count = 2;
	if (c->loaded && c->running && periodic(c) && c->gate) {
		c->next = count;
		return;
	}
	if ((c->mode == 1 || c->mode == 5) && c->running) {
		c->next = count; /* used by the next trigger */
		return;
	}
	c->edges = channel_edges(c, t);
	c->count = count;
	c->next = 0;
	c->loaded = true;
	c->elapsed = 0;
	c->start = t + 1;
	c->running = gate_stops(c);
}

static void channel_control(struct pit_channel *c, u8 value)
{
	c->access = value >> 4 & 3;
	c->mode = value >> 1 & 7;
	if (c->mode > 5)
		c->mode &= 3;
	c->bcd = value & 1;
	c->loaded = false;
	c->running = false;
	c->next = 0;
	c->edges = 0;
	c->seen = 0;
	c->write_high = false;
	c->read_high = false;
	c->status_latched = false;
	c->count_latched = 0;
}

static void channel_latch_count(struct pit_channel *c, u64 t)
{
	if (c->count_latched)
		return;
	c->latch = channel_value(c, t);
	c->count_latched = c->access == 3 ? 2 : 1;
}

static void channel_latch_status(struct pit_channel *c, u64 t)
{
	bool null_count = !c->loaded || c->next || (c->running && t < c->start);

	if (c->status_latched)
		return;
	c->status_latched = true;
	c->status = (u8)(channel_out(c, t) << 7 | null_count << 6 | c->access << 4 | c->mode << 1 |
			 c->bcd);
}

static void pit_control(struct pit *pit, u8 value, u64 t)
{
	unsigned n = value >> 6;

	if (n == 3) { /* read-back: bits 5 and 4 low = latch count, status */
		for (unsigned i = 0; i < 3; i++) {
			if (!(value & BIT(i + 1)))
				continue;
			if (!(value & 0x20))
				channel_latch_count(&pit->ch[i], t);
			if (!(value & 0x10))
				channel_latch_status(&pit->ch[i], t);
		}
	} else if (!(value & 0x30)) {
		channel_latch_count(&pit->ch[n], t);
	} else {
		channel_control(&pit->ch[n], value);
	}
}

static void channel_write(struct pit_channel *c, u8 value, u64 t)
{
	switch (c->access) {
	case 1: channel_load(c, value, t); break;
	case 2: channel_load(c, (u16)(value << 8), t); break;
	default:
		if (c->write_high) {
			c->write_high = false;
			channel_load(c, (u16)(value << 8 | c->low), t);
			break;
		}
		c->low = value;
		c->write_high = true;
		/* the first byte stops mode 0 and lowers OUT (data sheet, mode 0) */
		if (c->mode == 0) {
			c->running = false;
			c->loaded = false;
			c->edges = 0;
			c->seen = 0;
		}
		break;
	}
}

static u8 channel_read(struct pit_channel *c, u64 t)
{
	u16 value;
	bool high;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	value = c->count_latched ? c->latch : channel_value(c, t);
	high = c->access == 2;
	if (c->access == 3) {
		high = c->read_high;
		c->read_high = !high;
	}
	if (c->count_latched)
		c->count_latched--;
	return (u8)(high ? value >> 8 : value);
}

static void channel_gate(struct pit_channel *c, bool gate, u64 t)
{
	if (gate == c->gate)
		return;
	channel_settle(c, t);
	if (!gate) {
		c->elapsed = channel_elapsed(c, t);
		c->gate = false;
		return;
	}
	c->gate = true;
	if (!c->loaded)
		return;
	if (c->mode == 0 || c->mode == 4) { /* goes on where it stopped */
		c->start = t - c->elapsed;
		return;
	}
	if (c->next) {
		c->count = c->next;
		c->next = 0;
	}
	c->start = t + 1;
	c->running = true;
}

/* ---- registers ---- */

static void pit_settle(struct pit *pit, u64 t)
{
	for (unsigned i = 0; i < 3; i++)
		channel_settle(&pit->ch[i], t);
}

u8 pit_read(struct pit *pit, unsigned reg, u64 now)
{
	u64 t = tick(now);

	if (reg >= 3)
		return 0xff;
	channel_settle(&pit->ch[reg], t);
	return channel_read(&pit->ch[reg], t);
}

void pit_write(struct pit *pit, unsigned reg, u8 value, u64 now)
{
	u64 t = tick(now);

	pit_poll(pit, now); /* what came before belongs to the old programming */
	pit_settle(pit, t);
	if (reg < 3)
		channel_write(&pit->ch[reg], value, t);
	else
		pit_control(pit, value, t);
	pit_poll(pit, now);
}

u8 pit_sysctl_read(const struct pit *pit, u64 now)
{
	u8 value = pit->sysctl;

	if (now / REFRESH_NS & 1)
		value |= SYSCTL_REFRESH;
	if (pit_out(pit, 2, now))
		value |= SYSCTL_OUT;
	return value;
}

void pit_sysctl_write(struct pit *pit, u8 value, u64 now)
{
	pit->sysctl = value & SYSCTL_WRITABLE;
	channel_gate(&pit->ch[2], value & SYSCTL_GATE, tick(now));
}

bool pit_out(const struct pit *pit, unsigned channel, u64 now)
{
	struct pit_channel c = pit->ch[channel];
	u64 t = tick(now);

	channel_settle(&c, t);
	return channel_out(&c, t);
}

/* ---- time ---- */

void pit_poll(struct pit *pit, u64 now)
{
	struct pit_channel *c = &pit->ch[0];
	u64 t = tick(now), edges;

	channel_settle(c, t);
	edges = channel_edges(c, t);
	if (edges != c->seen) {
		c->seen = edges;
		pit->ops->irq(pit->arg, false);
		pit->ops->irq(pit->arg, true);
	}
	/* mode 2's low clock is not worth a wake-up: the line stays high between edges */
	pit->ops->irq(pit->arg, c->mode == 2 || channel_out(c, t));
}

u64 pit_deadline(const struct pit *pit, u64 now)
{
	struct pit_channel c = pit->ch[0];
	u64 t = tick(now), d;

	channel_settle(&c, t);
	if (!c.running)
		return TICKS_NEVER;
	d = channel_elapsed(&c, t);
	switch (c.mode) {
	case 2:
	case 3: return ticks_to_ns(c.start + c.count, PIT_HZ);
	case 4:
	case 5: return d > c.count ? TICKS_NEVER : ticks_to_ns(c.start + c.count + 1, PIT_HZ);
	default: return d >= c.count ? TICKS_NEVER : ticks_to_ns(c.start + c.count, PIT_HZ);
	}
}

/* ---- open ---- */

void pit_reset(struct pit *pit)
{
	for (unsigned i = 0; i < 3; i++) {
		pit->ch[i] = (struct pit_channel){
			.count = 0x10000, .mode = 0, .access = 3, .gate = i != 2};
	}
	pit->sysctl = 0;
	pit->ops->irq(pit->arg, false);
}

void pit_init(struct pit *pit, const struct pit_ops *ops, void *arg)
{
	*pit = (struct pit){.ops = ops, .arg = arg};
	pit_reset(pit);
}
