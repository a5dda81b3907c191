/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irq: the wires. One lock serialises the controllers and the receiver; see irq.h for the order.
 *
 * Owns the level of each GSI as last driven by each of its sources, and joins them.
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
static bool irq_up(const struct irq *irq, unsigned gsi)
{
	u32 up = irq->level[IRQ_FROM_DEVICE] & ~irq->cut;

	return (up | irq->level[IRQ_FROM_PIRQ] | irq->level[IRQ_FROM_HPET]) & BIT(gsi);
}

/* Lock held. */
static void irq_tell(struct irq *irq, unsigned gsi, bool was)
{
	bool up = irq_up(irq, gsi);

	if (up && !was)
		irq->line_count[gsi]++;
	if (irq->controller.line)
		irq->controller.line(irq->controller.arg, gsi, up);
}

/* Lock held. */
static void irq_drive(struct irq *irq, enum irq_source source, unsigned gsi, bool level)
{
	bool was = irq_up(irq, gsi);

	if (level)
		irq->level[source] |= BIT(gsi);
	else
		irq->level[source] &= ~BIT(gsi);
	irq_tell(irq, gsi, was);
}

void irq_line_from(struct irq *irq, enum irq_source source, unsigned gsi, bool level)
{
	ASSERT(gsi < IRQ_GSIS, "a device drives a GSI that does not exist");
	pthread_mutex_lock(&irq->lock);
	irq_drive(irq, source, gsi, level);
	pthread_mutex_unlock(&irq->lock);
}

void irq_line(struct irq *irq, unsigned gsi, bool level)
{
	irq_line_from(irq, IRQ_FROM_DEVICE, gsi, level);
}

void irq_cut(struct irq *irq, u32 gsis)
{
	pthread_mutex_lock(&irq->lock);
	for (unsigned gsi = 0; gsi < IRQ_GSIS; gsi++) {
		bool was = irq_up(irq, gsi);

		if (!((irq->cut ^ gsis) & BIT(gsi)))
			continue;
		irq->cut ^= BIT(gsi);
		irq_tell(irq, gsi, was);
	}
	pthread_mutex_unlock(&irq->lock);
}

void irq_pulse(struct irq *irq, unsigned gsi)
{
	ASSERT(gsi < IRQ_GSIS, "a device pulses a GSI that does not exist");
	pthread_mutex_lock(&irq->lock);
	irq_drive(irq, IRQ_FROM_DEVICE, gsi, false);
	irq_drive(irq, IRQ_FROM_DEVICE, gsi, true);
	irq_drive(irq, IRQ_FROM_DEVICE, gsi, false);
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
