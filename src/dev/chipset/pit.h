/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pit: the 8254 timer on the board: ports 0x40..0x43 and 0x61, IRQ0 (GSI 2).
 */
#ifndef DEV_CHIPSET_PIT_H
#define DEV_CHIPSET_PIT_H

#include "board/device.h"

/* Context: loop, vCPUs stopped. */
int pit_open(struct board *board, struct device **out);

#endif
