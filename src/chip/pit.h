/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pit: the Intel 8254 programmable interval timer with the PC's port 0x61 around channel 2.
 *
 * Channel 0 drives IRQ0 and channel 1 nothing; their gates are tied high. Channel 2's gate and the
 * speaker are bits of port 0x61 (ICH9 data sheet 13.7.1). Follows the 8254 data sheet (Intel
 * 231164). Time is given as ns since power-on; nothing is simulated tick by tick.
 *
 * Not thread-safe: the caller serialises. ops->irq is called from inside the functions.
 */
#ifndef CHIP_PIT_H
#define CHIP_PIT_H

#include "lib/types.h"

#define PIT_HZ 1193182u

struct pit_ops {
	/* OUT of channel 0. A missed period shows as one low, high pair. */
	void (*irq)(void *arg, bool level);
};

struct pit_channel {
	u64 start;   /* tick at which `count` was (or will be) loaded */
	u64 elapsed; /* ticks counted when the gate closed (modes 0, 4) */
	u64 edges;   /* rising edges of OUT before `start`, since the last control word */
	u64 seen;    /* rising edges already told */
	u32 count;   /* 1..65536 */
	u32 next;    /* count that takes over at the period's end, 0 = none (modes 2, 3) */
	u8 mode;     /* 0..5 */
	u8 access;   /* 1 = low byte, 2 = high byte, 3 = low then high */
	bool bcd;
	bool loaded;  /* a count was written since the control word */
	bool running; /* counting was started (modes 1, 5: by the gate) */
	bool gate;
	bool write_high; /* the next byte written is the high one */
	bool read_high;
	bool status_latched;
	u8 count_latched; /* bytes of `latch` left to read */
	u8 low;		  /* low byte waiting for its high byte */
	u8 status;
	u16 latch;
};

struct pit {
	struct pit_channel ch[3];
	u8 sysctl; /* bits 0..3 of port 0x61 as written */
	const struct pit_ops *ops;
	void *arg;
};

void pit_init(struct pit *pit, const struct pit_ops *ops, void *arg);
void pit_reset(struct pit *pit);

/* reg 0..2 = counters, 3 = control (reads as 0xff). */
u8 pit_read(struct pit *pit, unsigned reg, u64 now);
void pit_write(struct pit *pit, unsigned reg, u8 value, u64 now);

/* Port 0x61: gate 2, speaker, refresh toggle, OUT 2. */
u8 pit_sysctl_read(const struct pit *pit, u64 now);
void pit_sysctl_write(struct pit *pit, u8 value, u64 now);

/* OUT pin of a channel. */
bool pit_out(const struct pit *pit, unsigned channel, u64 now);

/* Tells ops->irq what happened on channel 0 until `now`. */
void pit_poll(struct pit *pit, u64 now);
/* ns of channel 0's next rising edge, TICKS_NEVER if none comes. */
u64 pit_deadline(const struct pit *pit, u64 now);

#endif
