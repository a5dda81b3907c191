/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpet: the event timer block on the board, at LAYOUT_HPET.
 */
#ifndef DEV_CHIPSET_HPET_H
#define DEV_CHIPSET_HPET_H

#include "board/device.h"

/* Context: loop, vCPUs stopped. */
int hpet_open(struct board *board, struct device **out);

#endif
