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

/* Who drives a line: it is up while one of them holds it up. Several devices behind one of these
 * (PCI's interrupt pins) are joined by whoever owns them. */
enum irq_source {
	IRQ_FROM_DEVICE, /* whose GSI it is by the board's layout */
	IRQ_FROM_PIRQ,	 /* PCI's pins at ISA IRQs, by the LPC bridge's PIRQ registers */
	IRQ_FROM_HPET,	 /* comparators, which the guest routes as it likes */
	IRQ_SOURCES
};

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
	u32 level[IRQ_SOURCES];	  /* bit per GSI */
	u32 cut;		  /* GSIs that do not see IRQ_FROM_DEVICE */
};

int irq_open(struct irq *irq);
void irq_close(struct irq *irq);

void irq_line(struct irq *irq, unsigned gsi, bool level);
void irq_line_from(struct irq *irq, enum irq_source source, unsigned gsi, bool level);
/* From now on exactly these GSIs do not see IRQ_FROM_DEVICE: the HPET has taken its place. */
void irq_cut(struct irq *irq, u32 gsis);
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
