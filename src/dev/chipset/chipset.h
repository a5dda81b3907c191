/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chipset: every fixed device of machine holm-1, opened in the right order.
 *
 * The caller (vm/) drives the devices of the list like any others; chipset_close frees only the
 * list's frame, after the devices were closed through their class.
 *
 * Context: open/close: loop thread, vCPUs stopped.
 */
#ifndef DEV_CHIPSET_CHIPSET_H
#define DEV_CHIPSET_CHIPSET_H

#include "board/device.h"
#include "dev/chipset/fw_cfg.h"
#include "dev/chipset/uart.h"

#define CHIPSET_UARTS 2

struct chipset_config {
	u64 low_ram;  /* bytes of RAM below 4 GiB, for CMOS */
	u64 high_ram; /* bytes of RAM from 4 GiB on */
	bool has_uart[CHIPSET_UARTS];
	struct uart_backend uart[CHIPSET_UARTS];
	bool has_pvpanic;
	bool has_debug_exit;
	bool has_mouse; /* a PS/2 mouse on the i8042's second port */
	bool no_hpet;
};

struct chipset;

/* board->irq, bus, clock, cpus and request are ready. 0 or -errno with everything undone. */
int chipset_open(struct board *board, const struct chipset_config *config, struct chipset **out);

/* All devices, linked by device.next in the order they were opened. */
struct device *chipset_devices(struct chipset *chipset);

/* Handles; NULL when the configuration leaves the device out. */
struct device *chipset_uart(struct chipset *chipset, unsigned index);
struct device *chipset_fw_cfg(struct chipset *chipset);
struct device *chipset_irqc(struct chipset *chipset);
struct device *chipset_pm(struct chipset *chipset);

/* Context: any thread. */
void chipset_pm_power_button(struct chipset *chipset);

/* Closes the devices in reverse order, then the frame. */
void chipset_close(struct chipset *chipset);
/* Only the frame: for a caller that has closed the devices itself, as part of its own list. */
void chipset_free(struct chipset *chipset);

#endif
