/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtc_time: calendar arithmetic for the RTC.
 *
 * A year is counted from March, so that the leap day is its last; months then have a closed form:
 * month m (0 = March) starts at day (153 m + 2) / 5.
 */
#include "chip/rtc_time.h"

#define DAYS_400_YEARS 146097u
#define EPOCH_DAYS     719468u /* from 1 March 0000 to 1 January 1970 */

static u64 days_before_year(u64 year)
{
	return year * 365 + year / 4 - year / 100 + year / 400;
}

void rtc_time_from_seconds(u64 seconds, struct rtc_time *out)
{
	u64 days = seconds / 86400 + EPOCH_DAYS;
	u32 rest = (u32)(seconds % 86400);
	u64 year = days * 400 / DAYS_400_YEARS;
	u32 yday, month;

	while (days_before_year(year) > days)
		year--;
	while (days_before_year(year + 1) <= days)
		year++;
	yday = (u32)(days - days_before_year(year));
	month = (5 * yday + 2) / 153;
	out->day = (u8)(yday - (153 * month + 2) / 5 + 1);
	out->month = (u8)(month < 10 ? month + 3 : month - 9);
	out->year = (u32)(year + (month >= 10));
	out->weekday = (u8)((seconds / 86400 + 4) % 7 + 1); /* 1 January 1970 was a Thursday */
	out->hour = (u8)(rest / 3600);
	out->minute = (u8)(rest / 60 % 60);
	out->second = (u8)(rest % 60);
}

u64 rtc_time_to_seconds(const struct rtc_time *time)
{
	u32 month0 = time->month ? time->month - 1u : 0; /* from January */
	u64 year = time->year + month0 / 12;
	u32 month = (month0 % 12 + 10) % 12; /* from March */
	u64 days;

	if (month >= 10)
		year--;
	days = days_before_year(year) + (153 * month + 2) / 5 + time->day - 1u;
	if (days < EPOCH_DAYS) /* a date nobody means: the time of day still counts */
		days = EPOCH_DAYS;
	return (days - EPOCH_DAYS) * 86400 + time->hour * 3600u + time->minute * 60u + time->second;
}
