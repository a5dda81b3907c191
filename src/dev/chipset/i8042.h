/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8042: keyboard controller with a keyboard and, if asked for, a PS/2 mouse: ports 0x60, 0x64 and
 * the fast A20/reset port 0x92.
 *
 * Follows IBM's PS/2 Hardware Interface Technical Reference, "Keyboard and auxiliary device
 * controller". A20 is always open; its bit is kept for guests that read it back.
 */
#ifndef DEV_CHIPSET_I8042_H
#define DEV_CHIPSET_I8042_H

#include "board/device.h"

/* With `mouse` a second struct device (for describe() only) hangs at (*out)->next.
 * Context: loop, vCPUs stopped. */
int i8042_open(struct board *board, bool mouse, struct device **out);

/* A key as scan code set 2 bytes (e.g. 1c, f0 1c); dropped when the guest has scanning off or the
 * queue is full. Context: any thread. */
void i8042_key(struct device *dev, const u8 *codes, unsigned len);

#endif
