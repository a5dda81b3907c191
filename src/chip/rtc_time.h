/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtc_time: seconds since 1970 to calendar fields and back (proleptic Gregorian).
 *
 * Entered by: chip/rtc. Pure.
 */
#ifndef CHIP_RTC_TIME_H
#define CHIP_RTC_TIME_H

#include "lib/types.h"

struct rtc_time {
	u32 year;   /* full, e.g. 2026 */
	u8 month;   /* 1..12 */
	u8 day;	    /* 1..31 */
	u8 weekday; /* 1 = Sunday .. 7 */
	u8 hour, minute, second;
};

void rtc_time_from_seconds(u64 seconds, struct rtc_time *out);
/* Fields out of range are taken as they come (month 13 is next January); a day before 1970 is its
 * first. */
u64 rtc_time_to_seconds(const struct rtc_time *time);

#endif
