/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pic: the pair of Intel 8259A interrupt controllers of a PC, with the chipset's ELCR.
 *
 * Master inputs are IRQ 0..7, slave inputs IRQ 8..15, the slave's INT feeds master input 2.
 * Follows the 8259A data sheet (Intel 231468) and ICH9 data sheet 5.8 and 13.4 for ELCR and for
 * what a chipset leaves out (no MCS-80 mode, LTIM replaced by ELCR).
 *
 * Not thread-safe: the caller serialises. ops->intr is called from inside any of the functions.
 */
#ifndef CHIP_PIC_H
#define CHIP_PIC_H

#include "lib/types.h"

struct pic_ops {
	/* The INTR pin to the processor changed. */
	void (*intr)(void *arg, bool level);
};

/* One 8259A. */
struct pic_half {
	u8 irr;	  /* requests: latched edges, or the level of level-triggered inputs */
	u8 lines; /* levels of the input pins */
	u8 isr, imr;
	u8 elcr;  /* 1 = level-triggered */
	u8 base;  /* vector of input 0 (ICW2) */
	u8 first; /* input with the highest priority, 0 unless rotated */
	u8 icw;	  /* next initialisation word expected: 2, 3, 4; 0 = initialised */
	bool icw4_needed, single;
	bool aeoi, aeoi_rotate, sfnm;
	bool special_mask, read_isr, poll;
};

struct pic {
	struct pic_half half[2];
	bool intr;
	const struct pic_ops *ops;
	void *arg;
};

void pic_init(struct pic *pic, const struct pic_ops *ops, void *arg);
void pic_reset(struct pic *pic);

/* Input pin `irq` 0..15 (not 2). */
void pic_line(struct pic *pic, unsigned irq, bool level);

/* Registers: half 0 = master, 1 = slave; a0 = lowest address bit. */
u8 pic_read(struct pic *pic, unsigned half, unsigned a0);
void pic_write(struct pic *pic, unsigned half, unsigned a0, u8 value);
u8 pic_elcr_read(const struct pic *pic, unsigned half);
void pic_elcr_write(struct pic *pic, unsigned half, u8 value);

/* The processor's INTA cycle: the vector, spurious input 7 or 15 included. */
u8 pic_ack(struct pic *pic);

/* Tells ops->intr the present level (after a restore). */
void pic_refresh(struct pic *pic);

#endif
