/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irqc: PIC pair and IOAPIC on the board.
 *
 * One GSI drives both: IOAPIC pin n and PIC input n, except that GSI 2 is PIC input 0 (the timer)
 * and GSI 0 reaches the IOAPIC only. Entered by any thread through board/irq and by vCPU threads
 * through the bus; the irq lock serialises all of it. Owns the chips; trusts nothing of the guest.
 */
#include "dev/chipset/irqc.h"

#include <stdlib.h>

#include "board/layout.h"
#include "chip/ioapic.h"
#include "chip/pic.h"
#include "host/fail.h"
#include "lib/bits.h"

struct irqc {
	struct device dev;
	struct pic pic;
	struct ioapic ioapic;
	struct bus_region pic_region[2], elcr_region, ioapic_region;
};

/* ---- from the chips (irq lock held) ---- */

static void irqc_intr(void *arg, bool level)
{
	struct irqc *c = arg;

	irq_deliver_extint(&c->dev.board->irq, level);
}

static void irqc_msi(void *arg, u64 addr, u32 data)
{
	struct irqc *c = arg;

	irq_deliver_msi(&c->dev.board->irq, addr, data);
}

static const struct pic_ops pic_ops = {.intr = irqc_intr};
static const struct ioapic_ops ioapic_ops = {.msi = irqc_msi};

/* ---- from board/irq (irq lock held) ---- */

static void irqc_line(void *arg, unsigned gsi, bool level)
{
	struct irqc *c = arg;

	ioapic_line(&c->ioapic, gsi, level);
	if (gsi == LAYOUT_GSI_PIT)
		pic_line(&c->pic, 0, level);
	else if (gsi != 0 && gsi < 16)
		pic_line(&c->pic, gsi, level);
}

static void irqc_eoi(void *arg, u8 vector)
{
	struct irqc *c = arg;

	ioapic_eoi(&c->ioapic, vector);
}

static u8 irqc_ack(void *arg)
{
	struct irqc *c = arg;

	return pic_ack(&c->pic);
}

/* ---- registers (irq lock held by the bus) ---- */

static u64 master_read(void *arg, u64 off, unused_arg unsigned size)
{
	struct irqc *c = arg;

	return pic_read(&c->pic, 0, (unsigned)off & 1);
}

static void master_write(void *arg, u64 off, unused_arg unsigned size, u64 value)
{
	struct irqc *c = arg;

	pic_write(&c->pic, 0, (unsigned)off & 1, (u8)value);
}

static u64 slave_read(void *arg, u64 off, unused_arg unsigned size)
{
	struct irqc *c = arg;

	return pic_read(&c->pic, 1, (unsigned)off & 1);
}

static void slave_write(void *arg, u64 off, unused_arg unsigned size, u64 value)
{
	struct irqc *c = arg;

	pic_write(&c->pic, 1, (unsigned)off & 1, (u8)value);
}

static u64 elcr_read(void *arg, u64 off, unused_arg unsigned size)
{
	struct irqc *c = arg;

	return pic_elcr_read(&c->pic, (unsigned)off & 1);
}

static void elcr_write(void *arg, u64 off, unused_arg unsigned size, u64 value)
{
	struct irqc *c = arg;

	pic_elcr_write(&c->pic, (unsigned)off & 1, (u8)value);
}

static u64 ioapic_mmio_read(void *arg, u64 off, unused_arg unsigned size)
{
	struct irqc *c = arg;

	return ioapic_read(&c->ioapic, (u32)off);
}

static void ioapic_mmio_write(void *arg, u64 off, unused_arg unsigned size, u64 value)
{
	struct irqc *c = arg;

	ioapic_write(&c->ioapic, (u32)off, (u32)value);
}

/* ---- life ---- */

/* Lock held. As firmware leaves it: what PCI interrupts and the SCI arrive on is level-triggered.
 */
static void irqc_levels(struct irqc *c)
{
	pic_elcr_write(&c->pic, 1,
		       BIT(LAYOUT_GSI_SCI - 8) | BIT(LAYOUT_IRQ_PCI_EVEN - 8) |
			       BIT(LAYOUT_IRQ_PCI_ODD - 8));
}

bool irqc_route(struct device *dev, unsigned gsi, u64 *addr, u32 *data, bool *level)
{
	struct irqc *c = (struct irqc *)dev;
	bool ok;

	pthread_mutex_lock(&dev->board->irq.lock);
	ok = gsi < IOAPIC_PINS && ioapic_message(&c->ioapic, gsi, addr, data, level);
	pthread_mutex_unlock(&dev->board->irq.lock);
	return ok;
}

static void irqc_reset(struct device *dev)
{
	struct irqc *c = (struct irqc *)dev;

	pthread_mutex_lock(&dev->board->irq.lock);
	pic_reset(&c->pic);
	irqc_levels(c);
	ioapic_reset(&c->ioapic);
	pthread_mutex_unlock(&dev->board->irq.lock);
}

/* After a load the processor's pin has to be told. */
static void irqc_resume(struct device *dev)
{
	struct irqc *c = (struct irqc *)dev;

	pthread_mutex_lock(&dev->board->irq.lock);
	pic_refresh(&c->pic);
	pthread_mutex_unlock(&dev->board->irq.lock);
}

static void irqc_close(struct device *dev)
{
	struct irqc *c = (struct irqc *)dev;
	struct board *board = dev->board;

	bus_remove(board->bus, BUS_MMIO, &c->ioapic_region);
	bus_remove(board->bus, BUS_PIO, &c->elcr_region);
	bus_remove(board->bus, BUS_PIO, &c->pic_region[1]);
	bus_remove(board->bus, BUS_PIO, &c->pic_region[0]);
	pthread_mutex_lock(&board->irq.lock);
	board->irq.controller = (struct irq_controller){0};
	pthread_mutex_unlock(&board->irq.lock);
	free(c);
}

static const struct state_field irqc_fields[] = {
#define HALF(n)                                                                                    \
	STATE_FIELD(struct irqc, pic.half[n].irr, 1),                                              \
		STATE_FIELD(struct irqc, pic.half[n].lines, 1),                                    \
		STATE_FIELD(struct irqc, pic.half[n].isr, 1),                                      \
		STATE_FIELD(struct irqc, pic.half[n].imr, 1),                                      \
		STATE_FIELD(struct irqc, pic.half[n].elcr, 1),                                     \
		STATE_FIELD(struct irqc, pic.half[n].base, 1),                                     \
		STATE_FIELD(struct irqc, pic.half[n].first, 1),                                    \
		STATE_FIELD(struct irqc, pic.half[n].icw, 1),                                      \
		STATE_FIELD(struct irqc, pic.half[n].icw4_needed, 1),                              \
		STATE_FIELD(struct irqc, pic.half[n].single, 1),                                   \
		STATE_FIELD(struct irqc, pic.half[n].aeoi, 1),                                     \
		STATE_FIELD(struct irqc, pic.half[n].aeoi_rotate, 1),                              \
		STATE_FIELD(struct irqc, pic.half[n].sfnm, 1),                                     \
		STATE_FIELD(struct irqc, pic.half[n].special_mask, 1),                             \
		STATE_FIELD(struct irqc, pic.half[n].read_isr, 1),                                 \
		STATE_FIELD(struct irqc, pic.half[n].poll, 1)
	HALF(0),
	HALF(1),
#undef HALF
	STATE_FIELD(struct irqc, pic.intr, 1),
	STATE_ARRAY(struct irqc, ioapic.redir, 1),
	STATE_FIELD(struct irqc, ioapic.lines, 1),
	STATE_FIELD(struct irqc, ioapic.id, 1),
	STATE_FIELD(struct irqc, ioapic.select, 1),
	STATE_END,
};

static const struct device_class irqc_class = {
	.name = "irqc",
	.close = irqc_close,
	.reset = irqc_reset,
	.resume = irqc_resume,
	.fields = irqc_fields,
};

static int irqc_regions_add(struct irqc *c)
{
	struct board *board = c->dev.board;
	pthread_mutex_t *lock = &board->irq.lock;
	int rc;

	c->pic_region[0] = (struct bus_region){.name = "pic0",
					       .base = LAYOUT_PORT_PIC0,
					       .size = 2,
					       .read = master_read,
					       .write = master_write,
					       .arg = c,
					       .lock = lock,
					       .max_size = 1};
	c->pic_region[1] = (struct bus_region){.name = "pic1",
					       .base = LAYOUT_PORT_PIC1,
					       .size = 2,
					       .read = slave_read,
					       .write = slave_write,
					       .arg = c,
					       .lock = lock,
					       .max_size = 1};
	c->elcr_region = (struct bus_region){.name = "elcr",
					     .base = LAYOUT_PORT_ELCR,
					     .size = 2,
					     .read = elcr_read,
					     .write = elcr_write,
					     .arg = c,
					     .lock = lock,
					     .max_size = 1};
	c->ioapic_region = (struct bus_region){.name = "ioapic",
					       .base = LAYOUT_IOAPIC,
					       .size = IOAPIC_MMIO_SIZE,
					       .read = ioapic_mmio_read,
					       .write = ioapic_mmio_write,
					       .arg = c,
					       .lock = lock,
					       .max_size = 4};
	rc = bus_add(board->bus, BUS_PIO, &c->pic_region[0]);
	if (rc)
		return rc;
	rc = bus_add(board->bus, BUS_PIO, &c->pic_region[1]);
	if (rc)
		goto drop_pic0;
	rc = bus_add(board->bus, BUS_PIO, &c->elcr_region);
	if (rc)
		goto drop_pic1;
	rc = bus_add(board->bus, BUS_MMIO, &c->ioapic_region);
	if (rc)
		goto drop_elcr;
	return 0;
drop_elcr:
	bus_remove(board->bus, BUS_PIO, &c->elcr_region);
drop_pic1:
	bus_remove(board->bus, BUS_PIO, &c->pic_region[1]);
drop_pic0:
	bus_remove(board->bus, BUS_PIO, &c->pic_region[0]);
	return rc;
}

int irqc_open(struct board *board, struct device **out)
{
	struct irqc *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return FAIL(-ENOMEM, "interrupt controllers: out of memory");
	c->dev = (struct device){.cls = &irqc_class, .board = board};
	pthread_mutex_lock(&board->irq.lock);
	pic_init(&c->pic, &pic_ops, c);
	irqc_levels(c);
	ioapic_init(&c->ioapic, &ioapic_ops, c);
	board->irq.controller = (struct irq_controller){
		.arg = c, .line = irqc_line, .eoi = irqc_eoi, .ack = irqc_ack};
	pthread_mutex_unlock(&board->irq.lock);
	rc = irqc_regions_add(c);
	if (rc) {
		pthread_mutex_lock(&board->irq.lock);
		board->irq.controller = (struct irq_controller){0};
		pthread_mutex_unlock(&board->irq.lock);
		free(c);
		return rc;
	}
	*out = &c->dev;
	return 0;
}
