/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic: the guest tells that it panicked: port 0x505 (QEMU documentation, specs/pvpanic).
 *
 * BOARD_PANIC's code is the byte written: bit 0 = panicked, bit 1 = a crash kernel takes over.
 */
#ifndef DEV_CHIPSET_PVPANIC_H
#define DEV_CHIPSET_PVPANIC_H

#include "board/device.h"

/* Context: loop, vCPUs stopped. */
int pvpanic_open(struct board *board, struct device **out);

#endif
