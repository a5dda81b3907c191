/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ps2: a PS/2 keyboard and a PS/2 mouse, as they answer commands over their serial line.
 *
 * Follows IBM's PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-key)" and
 * "Mouse". Pure state; the i8042 holds the lock and fetches the answers.
 */
#ifndef DEV_CHIPSET_PS2_H
#define DEV_CHIPSET_PS2_H

#include "lib/types.h"

#define PS2_QUEUE 32u

struct ps2 {
	bool mouse;
	u8 queue[PS2_QUEUE];
	u8 head, count;
	u8 command;   /* waiting for its argument; 0 = none */
	bool enabled; /* keyboard scans, mouse reports */
	u8 scan_set;  /* keyboard: 1..3 */
	u8 leds;
	u8 rate, resolution; /* mouse */
	bool scaling, remote;
	u8 last; /* last byte sent, for Resend */
};

void ps2_init(struct ps2 *ps2, bool mouse);
void ps2_reset(struct ps2 *ps2);

/* A byte from the host to the device; the answer is queued. */
void ps2_write(struct ps2 *ps2, u8 value);
/* Next byte for the host; false if none. */
bool ps2_fetch(struct ps2 *ps2, u8 *value);
/* Bytes the device sends on its own, all or nothing. */
bool ps2_send(struct ps2 *ps2, const u8 *bytes, unsigned len);

#endif
