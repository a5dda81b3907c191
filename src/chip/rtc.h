/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtc: the MC146818 real-time clock with 128 bytes of CMOS, century at 0x32.
 *
 * Time of day is wall ns (since 1970) plus the offset the guest set; nothing ticks. Flags of
 * register C are worked out when somebody looks (rtc_poll), so a timer is only needed while an
 * interrupt is enabled. Follows the MC146818 data sheet and ICH9 data sheet 13.6.
 *
 * Not thread-safe: the caller serialises. `wall` must not go backwards by more than the host's
 * clock does. ops->irq is called from inside the functions.
 */
#ifndef CHIP_RTC_H
#define CHIP_RTC_H

#include "lib/types.h"

#define RTC_CMOS_SIZE 128u

/* Register numbers (MC146818, "Address map") */
enum rtc_reg {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_WEEKDAY = 0x06,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_REG_A = 0x0a,
	RTC_REG_B = 0x0b,
	RTC_REG_C = 0x0c,
	RTC_REG_D = 0x0d,
	RTC_CENTURY = 0x32,
};

/* Register A */
#define RTC_A_UIP      0x80u
#define RTC_A_DV_RESET 0x60u /* both bits: divider held in reset */
#define RTC_A_RS       0x0fu
/* Register B */
#define RTC_B_SET 0x80u
#define RTC_B_PIE 0x40u
#define RTC_B_AIE 0x20u
#define RTC_B_UIE 0x10u
#define RTC_B_DM  0x04u /* 1 = binary */
#define RTC_B_24  0x02u
/* Register C */
#define RTC_C_IRQF 0x80u
#define RTC_C_PF   0x40u
#define RTC_C_AF   0x20u
#define RTC_C_UF   0x10u
/* Register D */
#define RTC_D_VRT 0x80u

struct rtc_ops {
	void (*irq)(void *arg, bool level);
};

struct rtc {
	u8 cmos[RTC_CMOS_SIZE]; /* time registers are valid while frozen only */
	s64 offset;		/* guest's time of day minus wall, ns */
	u64 polled;		/* time of day up to which flags are settled */
	u8 index;
	bool line;
	const struct rtc_ops *ops;
	void *arg;
};

void rtc_init(struct rtc *rtc, const struct rtc_ops *ops, void *arg, u64 wall);
/* A reset of the machine: interrupts off; time and CMOS are battery-backed. */
void rtc_reset(struct rtc *rtc);

/* Ports 0x70 and 0x71. */
void rtc_select(struct rtc *rtc, u8 index);
u8 rtc_read(struct rtc *rtc, u64 wall);
void rtc_write(struct rtc *rtc, u8 value, u64 wall);

/* Settles flags up to now and drives ops->irq. */
void rtc_poll(struct rtc *rtc, u64 wall);
/* Wall ns at which the next enabled interrupt is due, TICKS_NEVER if none. */
u64 rtc_deadline(const struct rtc *rtc, u64 wall);

/* CMOS bytes for firmware, index 0x0e.. */
void rtc_cmos_set(struct rtc *rtc, u8 index, u8 value);

/* Memory sizes at 0x15..0x18, 0x30, 0x31, 0x34, 0x35, 0x5b..0x5d, as SeaBIOS reads them.
 * low: bytes of RAM below 4 GiB, high: bytes from 4 GiB on. */
void rtc_cmos_memory(struct rtc *rtc, u64 low, u64 high);

#endif
