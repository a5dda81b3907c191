/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reset: the reset control register at port 0xcf9 (ICH9 data sheet 13.7.5).
 */
#ifndef DEV_CHIPSET_RESET_H
#define DEV_CHIPSET_RESET_H

#include "board/device.h"

/* Context: loop, vCPUs stopped. */
int reset_open(struct board *board, struct device **out);

#endif
