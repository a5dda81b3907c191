/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chipset: opens the fixed devices one after the other and keeps them in one list.
 *
 * The interrupt controllers come first (all others raise lines), the HPET before PIT and RTC,
 * whose lines it can cut. Entered by vm/ on the loop thread.
 */
#include "dev/chipset/chipset.h"

#include <stdlib.h>

#include "dev/chipset/debug_exit.h"
#include "dev/chipset/hpet.h"
#include "dev/chipset/i8042.h"
#include "dev/chipset/irqc.h"
#include "dev/chipset/pit.h"
#include "dev/chipset/pm.h"
#include "dev/chipset/pvpanic.h"
#include "dev/chipset/reset.h"
#include "dev/chipset/rtc.h"
#include "host/fail.h"

struct chipset {
	struct device *first, *last;
	struct device *uart[CHIPSET_UARTS];
	struct device *fw_cfg, *irqc, *pm;
};

/* ---- helpers ---- */

static void list_add(struct chipset *chipset, struct device *dev)
{
	if (chipset->last)
		chipset->last->next = dev;
	else
		chipset->first = dev;
	while (dev->next)
		dev = dev->next;
	chipset->last = dev;
}

static void chipset_rtc_alarm(void *arg)
{
	struct chipset *chipset = arg;

	pm_rtc_alarm(chipset->pm);
}

/* ---- open, in order ---- */

static int open_timers(struct chipset *chipset, struct board *board,
		       const struct chipset_config *config)
{
	const struct rtc_config rtc = {.low_ram = config->low_ram,
				       .high_ram = config->high_ram,
				       .cpus = board->cpus,
				       .mouse = config->has_mouse,
				       .alarm = chipset_rtc_alarm,
				       .alarm_arg = chipset};
	struct device *dev;
	int rc;

	if (!config->no_hpet) {
		rc = hpet_open(board, &dev);
		if (rc)
			return rc;
		list_add(chipset, dev);
	}
	rc = pit_open(board, &dev);
	if (rc)
		return rc;
	list_add(chipset, dev);
	rc = rtc_open(board, &rtc, &dev);
	if (rc)
		return rc;
	list_add(chipset, dev);
	return 0;
}

static int open_ports(struct chipset *chipset, struct board *board,
		      const struct chipset_config *config)
{
	struct device *dev;
	int rc;

	rc = i8042_open(board, config->has_mouse, &dev);
	if (rc)
		return rc;
	list_add(chipset, dev);
	for (unsigned i = 0; i < CHIPSET_UARTS; i++) {
		if (!config->has_uart[i])
			continue;
		rc = uart_open(board, i, &config->uart[i], &chipset->uart[i]);
		if (rc)
			return rc;
		list_add(chipset, chipset->uart[i]);
	}
	rc = fw_cfg_open(board, &chipset->fw_cfg);
	if (rc)
		return rc;
	list_add(chipset, chipset->fw_cfg);
	if (config->has_pvpanic) {
		rc = pvpanic_open(board, &dev);
		if (rc)
			return rc;
		list_add(chipset, dev);
	}
	if (config->has_debug_exit) {
		rc = debug_exit_open(board, &dev);
		if (rc)
			return rc;
		list_add(chipset, dev);
	}
	return 0;
}

int chipset_open(struct board *board, const struct chipset_config *config, struct chipset **out)
{
	struct chipset *chipset = calloc(1, sizeof(*chipset));
	struct device *dev;
	int rc;

	if (!chipset)
		return FAIL(-ENOMEM, "chipset: out of memory");
	rc = irqc_open(board, &chipset->irqc);
	if (rc)
		goto fail;
	list_add(chipset, chipset->irqc);
	rc = open_timers(chipset, board, config);
	if (rc)
		goto fail;
	rc = pm_open(board, &chipset->pm);
	if (rc)
		goto fail;
	list_add(chipset, chipset->pm);
	rc = reset_open(board, &dev);
	if (rc)
		goto fail;
	list_add(chipset, dev);
	rc = open_ports(chipset, board, config);
	if (rc)
		goto fail;
	*out = chipset;
	return 0;
fail:
	chipset_close(chipset);
	return rc;
}

/* ---- handles ---- */

struct device *chipset_devices(struct chipset *chipset)
{
	return chipset->first;
}

struct device *chipset_uart(struct chipset *chipset, unsigned index)
{
	return index < CHIPSET_UARTS ? chipset->uart[index] : NULL;
}

struct device *chipset_fw_cfg(struct chipset *chipset)
{
	return chipset->fw_cfg;
}

struct device *chipset_irqc(struct chipset *chipset)
{
	return chipset->irqc;
}

struct device *chipset_pm(struct chipset *chipset)
{
	return chipset->pm;
}

void chipset_pm_power_button(struct chipset *chipset)
{
	pm_power_button(chipset->pm);
}

/* ---- close ---- */

void chipset_close(struct chipset *chipset)
{
	struct device *reversed = NULL, *dev = chipset->first;

	while (dev) {
		struct device *next = dev->next;

		dev->next = reversed;
		reversed = dev;
		if (dev == chipset->last)
			break; /* the caller may have linked others behind */
		dev = next;
	}
	while (reversed) {
		struct device *next = reversed->next;

		reversed->cls->close(reversed);
		reversed = next;
	}
	chipset_free(chipset);
}

void chipset_free(struct chipset *chipset)
{
	free(chipset);
}
