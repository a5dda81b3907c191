/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioapic: a 24-pin I/O APIC, version 0x20.
 *
 * Follows the 82093AA data sheet (Intel 290566) and ICH9 data sheet 13.5 for the EOI register.
 * Polarity is stored but not applied: a line is given as asserted or not.
 *
 * Not thread-safe: the caller serialises. ops->msi is called from inside the functions.
 */
#ifndef CHIP_IOAPIC_H
#define CHIP_IOAPIC_H

#include "lib/types.h"

#define IOAPIC_PINS	 24
#define IOAPIC_MMIO_SIZE 0x1000u

struct ioapic_ops {
	/* An interrupt message: address 0xFEExxxxx and data as of an MSI (SDM 3A, 11.11). */
	void (*msi)(void *arg, u64 addr, u32 data);
};

struct ioapic {
	u64 redir[IOAPIC_PINS];
	u32 lines; /* bit per asserted pin */
	u8 id;
	u8 select; /* IOREGSEL */
	const struct ioapic_ops *ops;
	void *arg;
};

/* All pins masked, id 0. Lines keep the level their devices give them. */
void ioapic_init(struct ioapic *io, const struct ioapic_ops *ops, void *arg);
void ioapic_reset(struct ioapic *io);

void ioapic_line(struct ioapic *io, unsigned pin, bool level);
/* A local APIC's EOI of a level-triggered vector. */
void ioapic_eoi(struct ioapic *io, u8 vector);

/* off 0..0xfff, accesses of 32 bits (narrower ones act on the register's low byte). */
u32 ioapic_read(const struct ioapic *io, u32 off);
void ioapic_write(struct ioapic *io, u32 off, u32 value);

/* The message `pin` would send; false when it is masked or not a vectored interrupt.
 * *level: EOIs of it are awaited. For engines that route pins themselves. */
bool ioapic_message(const struct ioapic *io, unsigned pin, u64 *addr, u32 *data, bool *level);

#endif
