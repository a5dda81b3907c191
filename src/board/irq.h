/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irq: lines and messages between devices, the interrupt controllers and the engine.
 *
 * A device raises a GSI (irq_line) or sends an MSI (irq_msi). dev/chipset registers the pair
 * PIC + IOAPIC as the controller of lines; the engine registers the receiver of MSIs and of the
 * PIC's INTR pin. Level EOIs come back from the engine by irq_eoi.
 *
 * GSI 0..23 are the IOAPIC's pins; ISA IRQ n is GSI n except IRQ0, which is GSI 2 (the override in
 * the MADT); the controller drives the PIC for GSI 0..15 as well.
 *
 * Locks: one lock inside serialises the controllers. Callers may hold device locks; nothing called
 * from here takes one.
 *
 * Context: any thread.
 */
#ifndef BOARD_IRQ_H
#define BOARD_IRQ_H

#include <pthread.h>

#include "lib/types.h"

#define IRQ_GSIS 24

/* dev/chipset: PIC and IOAPIC. Called with the irq lock held. */
struct irq_controller {
	void *arg;
	void (*line)(void *arg, unsigned gsi, bool level);
	void (*eoi)(void *arg, u8 vector);
	/* INTA cycle: the PIC's vector; spurious vectors included. */
	u8 (*ack)(void *arg);
};

/* The engine. Any thread, irq lock held: must not call back into irq_*. */
struct irq_receiver {
	void *arg;
	/* A message as on the x86 bus: address 0xFEExxxxx and data (Intel SDM 3A, 11.11). */
	void (*msi)(void *arg, u64 addr, u32 data);
	/* The PIC's INTR pin went up or down (goes to vCPU 0's LINT0). */
	void (*extint)(void *arg, bool level);
};

struct irq {
	pthread_mutex_t lock;
	struct irq_controller controller;
	struct irq_receiver receiver;
	u64 line_count[IRQ_GSIS]; /* rising edges seen, for statistics */
	u32 level;		  /* bit per GSI, as its device drives it */
	u32 pirq;		  /* bit per ISA IRQ that a PCI interrupt pin is routed to and up */
};

int irq_open(struct irq *irq);
void irq_close(struct irq *irq);

void irq_line(struct irq *irq, unsigned gsi, bool level);
/* The PCI host's own input to ISA IRQ `line` 3..15 (an ICH9's PIRQ registers), beside its device's:
 * the line is up while either is. */
void irq_pirq(struct irq *irq, unsigned line, bool level);
/* Low, high, low: one edge. */
void irq_pulse(struct irq *irq, unsigned gsi);
void irq_msi(struct irq *irq, u64 addr, u32 data);

/* From the engine: a level-triggered vector was EOI'd at a local APIC. */
void irq_eoi(struct irq *irq, u8 vector);
/* From the engine on vCPU 0, when it takes the PIC's interrupt. */
u8 irq_ack(struct irq *irq);

/* For the controller's implementation, lock held. */
void irq_deliver_msi(struct irq *irq, u64 addr, u32 data);
void irq_deliver_extint(struct irq *irq, bool level);

#endif
