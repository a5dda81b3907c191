/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irq: the wires. One lock serialises the controllers and the receiver; see irq.h for the order.
 *
 * Owns the level of each GSI as last driven. Several sources on one GSI are joined by whoever owns
 * them (dev/pci for INTx); only what dev/pci routes to ISA IRQs joins their devices here.
 *
 * Context: any thread.
 */
#include "board/irq.h"

#include <string.h>

#include "host/fail.h"
#include "lib/bits.h"

int irq_open(struct irq *irq)
{
	memset(irq, 0, sizeof(*irq));
	if (pthread_mutex_init(&irq->lock, NULL))
		return FAIL(-ENOMEM, "irq: no lock from the host");
	return 0;
}

void irq_close(struct irq *irq)
{
	pthread_mutex_destroy(&irq->lock);
}

/* Lock held. */
static void irq_drive(struct irq *irq, unsigned gsi, bool level)
{
	u32 bit = BIT(gsi);

	if (level && !(irq->level & bit))
		irq->line_count[gsi]++;
	if (level)
		irq->level |= bit;
	else
		irq->level &= ~bit;
	if (irq->controller.line)
		irq->controller.line(irq->controller.arg, gsi, level || (irq->pirq & bit));
}

void irq_line(struct irq *irq, unsigned gsi, bool level)
{
	ASSERT(gsi < IRQ_GSIS, "a device drives a GSI that does not exist");
	pthread_mutex_lock(&irq->lock);
	irq_drive(irq, gsi, level);
	pthread_mutex_unlock(&irq->lock);
}

void irq_pirq(struct irq *irq, unsigned line, bool level)
{
	u32 bit = BIT(line);

	ASSERT(line > 2 && line < 16, "a PCI interrupt is routed to an IRQ that has no input");
	pthread_mutex_lock(&irq->lock);
	irq->pirq = level ? irq->pirq | bit : irq->pirq & ~bit;
	irq_drive(irq, line, irq->level & bit);
	pthread_mutex_unlock(&irq->lock);
}

void irq_pulse(struct irq *irq, unsigned gsi)
{
	ASSERT(gsi < IRQ_GSIS, "a device pulses a GSI that does not exist");
	pthread_mutex_lock(&irq->lock);
	irq_drive(irq, gsi, false);
	irq_drive(irq, gsi, true);
	irq_drive(irq, gsi, false);
	pthread_mutex_unlock(&irq->lock);
}

void irq_msi(struct irq *irq, u64 addr, u32 data)
{
	pthread_mutex_lock(&irq->lock);
	irq_deliver_msi(irq, addr, data);
	pthread_mutex_unlock(&irq->lock);
}

void irq_eoi(struct irq *irq, u8 vector)
{
	pthread_mutex_lock(&irq->lock);
	if (irq->controller.eoi)
		irq->controller.eoi(irq->controller.arg, vector);
	pthread_mutex_unlock(&irq->lock);
}

u8 irq_ack(struct irq *irq)
{
	u8 vector = 0xff;

	pthread_mutex_lock(&irq->lock);
	if (irq->controller.ack)
		vector = irq->controller.ack(irq->controller.arg);
	pthread_mutex_unlock(&irq->lock);
	return vector;
}

void irq_deliver_msi(struct irq *irq, u64 addr, u32 data)
{
	if (irq->receiver.msi)
		irq->receiver.msi(irq->receiver.arg, addr, data);
}

void irq_deliver_extint(struct irq *irq, bool level)
{
	if (irq->receiver.extint)
		irq->receiver.extint(irq->receiver.arg, level);
}
