/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irqc: the machine's interrupt controllers on the board: 8259 pair and IOAPIC.
 *
 * Registers itself as board->irq's controller. Its registers are guarded by the irq lock, which
 * board/irq already holds when it calls.
 */
#ifndef DEV_CHIPSET_IRQC_H
#define DEV_CHIPSET_IRQC_H

#include "board/device.h"

/* 0 or -errno (a region is taken, no memory). Context: loop, vCPUs stopped. */
int irqc_open(struct board *board, struct device **out);

/* What IOAPIC pin `gsi` would send now; false when masked. *level: an EOI is awaited. For engines
 * that must know the routes beforehand. Context: any thread, irq lock not held. */
bool irqc_route(struct device *dev, unsigned gsi, u64 *addr, u32 *data, bool *level);

#endif
