/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pm: ACPI fixed hardware: PM1 events and control, PM timer, GPE0, the SMI command port.
 *
 * Offsets and bits are in spec/acpi_pm.h. SCI is GSI 9, level.
 */
#ifndef DEV_CHIPSET_PM_H
#define DEV_CHIPSET_PM_H

#include "board/device.h"

/* Context: loop, vCPUs stopped. */
int pm_open(struct board *board, struct device **out);

/* Presses the power button: PWRBTN_STS, and SCI if the guest wants it. Context: any thread. */
void pm_power_button(struct device *dev);

/* The real-time clock's alarm went off: RTC_STS, and SCI if the guest waits for it (ACPI 6.5,
 * 4.8.3.1). Context: any thread. */
void pm_rtc_alarm(struct device *dev);

/* Sets general-purpose event `bit` 0..63. Context: any thread. */
void pm_gpe_raise(struct device *dev, unsigned bit);

#endif
