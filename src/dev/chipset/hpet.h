/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpet: the event timer block on the board, at LAYOUT_HPET.
 */
#ifndef DEV_CHIPSET_HPET_H
#define DEV_CHIPSET_HPET_H

#include "board/device.h"

/* *legacy (kept by the caller, longer than the device) is set with __atomic while legacy
 * replacement is on. Context: loop, vCPUs stopped. */
int hpet_open(struct board *board, bool *legacy, struct device **out);

#endif
