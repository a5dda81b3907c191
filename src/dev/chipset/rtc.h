/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtc: the real-time clock and CMOS on the board: ports 0x70 and 0x71, IRQ8.
 */
#ifndef DEV_CHIPSET_RTC_H
#define DEV_CHIPSET_RTC_H

#include "board/device.h"

struct rtc_config {
	u64 low_ram;   /* bytes of RAM below 4 GiB */
	u64 high_ram;  /* bytes from 4 GiB on */
	unsigned cpus; /* CMOS 0x5f tells firmware */
	bool mouse;    /* equipment byte: a PS/2 mouse is there */
	/* Told of each alarm that asserts IRQ8, also while it is cut. May be NULL. Our lock is
	 * held. */
	void (*alarm)(void *arg);
	void *alarm_arg;
};

/* Context: loop, vCPUs stopped. */
int rtc_open(struct board *board, const struct rtc_config *config, struct device **out);

#endif
