/* SPDX-License-Identifier: Apache-2.0 */
/*
 * debug_exit: test guests end the machine with a code by writing to port 0x501 (1, 2 or 4 bytes).
 */
#ifndef DEV_CHIPSET_DEBUG_EXIT_H
#define DEV_CHIPSET_DEBUG_EXIT_H

#include "board/device.h"

/* Context: loop, vCPUs stopped. */
int debug_exit_open(struct board *board, struct device **out);

#endif
