/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtc: the MC146818 as a state machine.
 *
 * "Time of day" (tod) is ns since 1970 as the guest set it. While SET or the divider reset holds
 * the clock, the time registers live in cmos[] and the guest edits them; on release they become
 * the new offset. Entered by dev/chipset/rtc and metal with their lock held.
 */
#include "chip/rtc.h"

#include "chip/rtc_time.h"
#include "chip/ticks.h"

#define OSC_HZ	  32768u
#define UIP_NS	  244000u /* UIP rises this long before the update (MC146818, "Update cycle") */
#define ALARM_ANY 0xc0u	  /* 11xxxxxx: don't care */
#define SECOND	  TICKS_NS_PER_SEC
#define IRQ_FLAGS (RTC_C_PF | RTC_C_AF | RTC_C_UF)

/* ---- helpers ---- */

static u64 tod(const struct rtc *rtc, u64 wall)
{
	return wall + (u64)rtc->offset;
}

static bool divider_held(const struct rtc *rtc)
{
	return (rtc->cmos[RTC_REG_A] & RTC_A_DV_RESET) == RTC_A_DV_RESET;
}

static bool frozen(const struct rtc *rtc)
{
	return (rtc->cmos[RTC_REG_B] & RTC_B_SET) || divider_held(rtc);
}

static u8 encode(const struct rtc *rtc, u32 v)
{
	if (rtc->cmos[RTC_REG_B] & RTC_B_DM)
		return (u8)v;
	return (u8)(v / 10 % 10 << 4 | v % 10);
}

static u8 decode(const struct rtc *rtc, u8 v)
{
	if (rtc->cmos[RTC_REG_B] & RTC_B_DM)
		return v;
	return (u8)((v >> 4) * 10 + (v & 0xf));
}

static u8 encode_hour(const struct rtc *rtc, u32 hour)
{
	if (rtc->cmos[RTC_REG_B] & RTC_B_24)
		return encode(rtc, hour);
	return (u8)(encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

static u8 decode_hour(const struct rtc *rtc, u8 v)
{
	u32 hour;

	if (rtc->cmos[RTC_REG_B] & RTC_B_24)
		return decode(rtc, v);
	hour = decode(rtc, v & 0x7f) % 12u;
	return (u8)(v & 0x80 ? hour + 12 : hour);
}

static bool is_time(u8 index)
{
	return index == RTC_CENTURY || index == RTC_SECONDS || index == RTC_MINUTES ||
	       index == RTC_HOURS || (index >= RTC_WEEKDAY && index <= RTC_YEAR);
}

/* Writes the time of day into the time registers. */
static void time_show(struct rtc *rtc, u64 now)
{
	struct rtc_time t;
	u8 *r = rtc->cmos;

	rtc_time_from_seconds(now / SECOND, &t);
	r[RTC_SECONDS] = encode(rtc, t.second);
	r[RTC_MINUTES] = encode(rtc, t.minute);
	r[RTC_HOURS] = encode_hour(rtc, t.hour);
	r[RTC_WEEKDAY] = encode(rtc, t.weekday);
	r[RTC_DAY] = encode(rtc, t.day);
	r[RTC_MONTH] = encode(rtc, t.month);
	r[RTC_YEAR] = encode(rtc, t.year % 100);
	r[RTC_CENTURY] = encode(rtc, t.year / 100);
}

/* The time registers become the time of day; `phase` = ns into the second. */
static void time_set(struct rtc *rtc, u64 wall, u64 phase)
{
	const u8 *r = rtc->cmos;
	struct rtc_time t = {
		.second = decode(rtc, r[RTC_SECONDS]),
		.minute = decode(rtc, r[RTC_MINUTES]),
		.hour = decode_hour(rtc, r[RTC_HOURS]),
		.day = decode(rtc, r[RTC_DAY]),
		.month = decode(rtc, r[RTC_MONTH]),
		.year = decode(rtc, r[RTC_CENTURY]) * 100u + decode(rtc, r[RTC_YEAR]),
	};

	rtc->offset = (s64)(rtc_time_to_seconds(&t) * SECOND + phase - wall);
	rtc->polled = tod(rtc, wall);
}

/* Periodic interrupt's period in oscillator ticks, 0 = off (MC146818, table 5). */
static u32 period_ticks(const struct rtc *rtc)
{
	unsigned rs = rtc->cmos[RTC_REG_A] & RTC_A_RS;

	if (!rs || divider_held(rtc))
		return 0;
	if (rs < 3)
		rs += 7; /* 1 and 2 are 256 Hz and 128 Hz again */
	return 1u << (rs - 1);
}

static bool alarm_hit(const struct rtc *rtc, u8 reg, u32 have)
{
	u8 want = rtc->cmos[reg];

	if ((want & ALARM_ANY) == ALARM_ANY)
		return true;
	return (reg == RTC_HOURS_ALARM ? decode_hour(rtc, want) : decode(rtc, want)) == have;
}

/* A field that no time of day has would make the search below go through the whole day. */
static bool alarm_possible(const struct rtc *rtc)
{
	static const struct {
		u8 reg, end;
	} field[] = {{RTC_HOURS_ALARM, 24}, {RTC_MINUTES_ALARM, 60}, {RTC_SECONDS_ALARM, 60}};

	for (unsigned i = 0; i < ARRAY_LEN(field); i++) {
		u8 want = rtc->cmos[field[i].reg];

		if ((want & ALARM_ANY) == ALARM_ANY)
			continue;
		want = i ? decode(rtc, want) : decode_hour(rtc, want);
		if (want >= field[i].end)
			return false;
	}
	return true;
}

/* First second after `sec` whose time of day matches the alarm; 0 if none does. */
static u64 alarm_next(const struct rtc *rtc, u64 sec)
{
	u64 at = sec + 1, end = sec + 86400;

	if (!alarm_possible(rtc))
		return 0;
	while (at <= end) {
		if (!alarm_hit(rtc, RTC_HOURS_ALARM, (u32)(at / 3600 % 24)))
			at += 3600 - at % 3600;
		else if (!alarm_hit(rtc, RTC_MINUTES_ALARM, (u32)(at / 60 % 60)))
			at += 60 - at % 60;
		else if (!alarm_hit(rtc, RTC_SECONDS_ALARM, (u32)(at % 60)))
			at++;
		else
			return at;
	}
	return 0;
}

/* ---- interrupts ---- */

static void line_update(struct rtc *rtc)
{
	u8 *r = rtc->cmos;
	bool level = r[RTC_REG_C] & r[RTC_REG_B] & IRQ_FLAGS;

	if (level)
		r[RTC_REG_C] |= RTC_C_IRQF;
	else
		r[RTC_REG_C] &= (u8)~RTC_C_IRQF;
	if (level == rtc->line)
		return;
	rtc->line = level;
	rtc->ops->irq(rtc->arg, level);
}

void rtc_poll(struct rtc *rtc, u64 wall)
{
	u64 now = tod(rtc, wall), was = rtc->polled;
	u32 period = period_ticks(rtc);

	if (now <= was) { /* the host's clock was set back */
		rtc->polled = now;
		line_update(rtc);
		return;
	}
	rtc->polled = now;
	if (period && ticks_from_ns(now, OSC_HZ) / period != ticks_from_ns(was, OSC_HZ) / period)
		rtc->cmos[RTC_REG_C] |= RTC_C_PF;
	if (!frozen(rtc) && now / SECOND != was / SECOND) {
		u64 alarm = alarm_next(rtc, was / SECOND);

		rtc->cmos[RTC_REG_C] |= RTC_C_UF;
		if (alarm && alarm <= now / SECOND)
			rtc->cmos[RTC_REG_C] |= RTC_C_AF;
	}
	line_update(rtc);
}

u64 rtc_deadline(const struct rtc *rtc, u64 wall)
{
	u64 now = tod(rtc, wall), next = TICKS_NEVER;
	u8 b = rtc->cmos[RTC_REG_B];
	u32 period = period_ticks(rtc);

	if (rtc->line)
		return TICKS_NEVER; /* nothing changes before the guest reads C */
	if ((b & RTC_B_PIE) && period) {
		u64 ticks = (ticks_from_ns(now, OSC_HZ) / period + 1) * period;

		next = ticks_to_ns(ticks, OSC_HZ);
	}
	if (!frozen(rtc) && (b & RTC_B_UIE)) {
		u64 at = (now / SECOND + 1) * SECOND;

		next = at < next ? at : next;
	}
	if (!frozen(rtc) && (b & RTC_B_AIE)) {
		u64 at = alarm_next(rtc, now / SECOND) * SECOND;

		if (at)
			next = at < next ? at : next;
	}
	return next == TICKS_NEVER ? next : next - (u64)rtc->offset;
}

/* ---- registers ---- */

void rtc_select(struct rtc *rtc, u8 index)
{
	rtc->index = index & 0x7f; /* bit 7 masks NMI, of which there is none here */
}

u8 rtc_read(struct rtc *rtc, u64 wall)
{
	u64 now = tod(rtc, wall);
	u8 value;

	if (is_time(rtc->index)) {
		if (!frozen(rtc))
			time_show(rtc, now);
		return rtc->cmos[rtc->index];
	}
	value = rtc->cmos[rtc->index];
	switch (rtc->index) {
	case RTC_REG_A:
		if (!frozen(rtc) && now % SECOND >= SECOND - UIP_NS)
			value |= RTC_A_UIP;
		return value;
	case RTC_REG_C:
		rtc_poll(rtc, wall);
		value = rtc->cmos[RTC_REG_C];
		rtc->cmos[RTC_REG_C] = 0;
		line_update(rtc);
		return value;
	default: return value;
	}
}

/* Registers A and B may stop or release the clock. */
static void control_write(struct rtc *rtc, u8 value, u64 wall)
{
	bool was_frozen = frozen(rtc), was_held = divider_held(rtc);
	u64 now = tod(rtc, wall);

	if (!was_frozen)
		time_show(rtc, now);
	if (rtc->index == RTC_REG_A) {
		rtc->cmos[RTC_REG_A] = value & (u8)~RTC_A_UIP;
	} else {
		if (value & RTC_B_SET)
			value &= (u8)~RTC_B_UIE; /* SET going high clears UIE */
		rtc->cmos[RTC_REG_B] = value;
	}
	if (!was_frozen || frozen(rtc))
		return;
	/* the first update follows half a second after the divider is released */
	time_set(rtc, wall, was_held ? SECOND / 2 : now % SECOND);
}

void rtc_write(struct rtc *rtc, u8 value, u64 wall)
{
	rtc_poll(rtc, wall);
	switch (rtc->index) {
	case RTC_REG_A:
	case RTC_REG_B: control_write(rtc, value, wall); break;
	case RTC_REG_C:
	case RTC_REG_D: return;
	default:
		if (is_time(rtc->index) && !frozen(rtc)) {
			u64 now = tod(rtc, wall);

			time_show(rtc, now);
			rtc->cmos[rtc->index] = value;
			time_set(rtc, wall, now % SECOND);
		} else {
			rtc->cmos[rtc->index] = value;
		}
		break;
	}
	line_update(rtc);
}

/* ---- CMOS for firmware ---- */

void rtc_cmos_set(struct rtc *rtc, u8 index, u8 value)
{
	rtc->cmos[index & 0x7f] = value;
}

static void cmos_set16(struct rtc *rtc, u8 index, u64 value)
{
	u64 v = value > 0xffff ? 0xffff : value;

	rtc_cmos_set(rtc, index, (u8)v);
	rtc_cmos_set(rtc, (u8)(index + 1), (u8)(v >> 8));
}

void rtc_cmos_memory(struct rtc *rtc, u64 low, u64 high)
{
	const u64 kib = 1024, mib = 1024 * kib;
	u64 ext = low > mib ? (low - mib) / kib : 0;
	u64 above16 = low > 16 * mib ? (low - 16 * mib) / (64 * kib) : 0;
	u64 above4g = high / (64 * kib);

	cmos_set16(rtc, 0x15, low < 640 * kib ? low / kib : 640);
	cmos_set16(rtc, 0x17, ext);
	cmos_set16(rtc, 0x30, ext);
	cmos_set16(rtc, 0x34, above16);
	rtc_cmos_set(rtc, 0x5b, (u8)above4g);
	rtc_cmos_set(rtc, 0x5c, (u8)(above4g >> 8));
	rtc_cmos_set(rtc, 0x5d, (u8)(above4g >> 16));
}

/* ---- open ---- */

void rtc_reset(struct rtc *rtc)
{
	rtc->cmos[RTC_REG_B] &= (u8) ~(RTC_B_PIE | RTC_B_AIE | RTC_B_UIE);
	rtc->cmos[RTC_REG_C] = 0;
	rtc->index = 0;
	line_update(rtc);
}

void rtc_init(struct rtc *rtc, const struct rtc_ops *ops, void *arg, u64 wall)
{
	*rtc = (struct rtc){.ops = ops, .arg = arg};
	rtc->cmos[RTC_REG_A] = 0x26; /* 32.768 kHz, 1024 Hz periodic rate */
	rtc->cmos[RTC_REG_B] = RTC_B_24;
	rtc->cmos[RTC_REG_D] = RTC_D_VRT;
	rtc->polled = wall;
}
