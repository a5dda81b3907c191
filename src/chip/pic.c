/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pic: the 8259A pair as a state machine.
 *
 * Entered by dev/chipset/irqc and metal with their lock held; owns nothing but its struct. An edge
 * stays latched in IRR even when the line falls before INTA, as in chipsets; a level request that
 * goes away before INTA gives the spurious vector.
 */
#include "chip/pic.h"

#include "lib/bits.h"

#define CASCADE 2u /* master input the slave hangs on */

/* ICW1, ICW4, OCW2, OCW3 (8259A data sheet, figures 7 and 8) */
#define ICW1_IC4    0x01u
#define ICW1_SNGL   0x02u
#define ICW1_SELECT 0x10u
#define ICW4_AEOI   0x02u
#define ICW4_SFNM   0x10u
#define OCW2_LEVEL  0x07u
#define OCW3_SELECT 0x08u
#define OCW3_RIS    0x01u
#define OCW3_RR	    0x02u
#define OCW3_POLL   0x04u
#define OCW3_SMM    0x20u
#define OCW3_ESMM   0x40u

/* Inputs that can be made level-triggered: not 0, 1, 2, 8, 13 (ICH9 13.4.12, 13.4.13). */
static const u8 elcr_writable[2] = {0xf8, 0xde};

/* ---- helpers ---- */

/* Distance of the highest-priority set bit from `first`, 8 if none. */
static unsigned half_rank(const struct pic_half *h, u8 bits)
{
	for (unsigned rank = 0; rank < 8; rank++)
		if (bits & BIT((h->first + rank) & 7))
			return rank;
	return 8;
}

/* The input that deserves service now, or -1. */
static int half_request(const struct pic_half *h, bool master)
{
	u8 busy = h->isr;
	unsigned rank;

	if (h->icw)
		return -1;
	if (h->special_mask)
		busy &= (u8)~h->imr;
	if (h->sfnm && master)
		busy &= (u8)~BIT(CASCADE);
	rank = half_rank(h, h->irr & (u8)~h->imr);
	if (rank == 8 || rank >= half_rank(h, busy))
		return -1;
	return (int)((h->first + rank) & 7);
}

/* Carries the slave's INT to the master and the master's INT to the processor. */
static void pic_update(struct pic *pic)
{
	struct pic_half *master = &pic->half[0];
	bool level;

	if (half_request(&pic->half[1], false) >= 0)
		master->irr |= BIT(CASCADE);
	else
		master->irr &= (u8)~BIT(CASCADE);
	level = half_request(master, true) >= 0;
	if (level == pic->intr)
		return;
	pic->intr = level;
	pic->ops->intr(pic->arg, level);
}

/* INTA for one input: into service, edge latch cleared. */
static void half_ack(struct pic_half *h, unsigned input)
{
	if (!h->aeoi)
		h->isr |= (u8)BIT(input);
	else if (h->aeoi_rotate)
		h->first = (u8)((input + 1) & 7);
	if (!(h->elcr & BIT(input)))
		h->irr &= (u8)~BIT(input);
}

static void half_init(struct pic_half *h, u8 icw1)
{
	h->irr = h->lines & h->elcr;
	h->isr = 0;
	h->imr = 0;
	h->first = 0;
	h->special_mask = false;
	h->read_isr = false;
	h->poll = false;
	h->icw4_needed = icw1 & ICW1_IC4;
	h->single = icw1 & ICW1_SNGL;
	h->aeoi = false;
	h->aeoi_rotate = false;
	h->sfnm = false;
	h->icw = 2;
}

/* ---- work ---- */

void pic_line(struct pic *pic, unsigned irq, bool level)
{
	struct pic_half *h = &pic->half[irq >> 3 & 1];
	u8 bit = (u8)BIT(irq & 7);

	if (h->elcr & bit) {
		if (level)
			h->irr |= bit;
		else
			h->irr &= (u8)~bit;
	} else if (level && !(h->lines & bit)) {
		h->irr |= bit;
	}
	if (level)
		h->lines |= bit;
	else
		h->lines &= (u8)~bit;
	pic_update(pic);
}

u8 pic_ack(struct pic *pic)
{
	struct pic_half *slave = &pic->half[1];
	int input = half_request(&pic->half[0], true);
	u8 vector;

	if (input < 0)
		return (u8)(pic->half[0].base + 7);
	if (input == (int)CASCADE) {
		int second = half_request(slave, false);

		if (second >= 0)
			half_ack(slave, (unsigned)second);
		else
			second = 7;
		vector = (u8)(slave->base + second);
	} else {
		vector = (u8)(pic->half[0].base + input);
	}
	half_ack(&pic->half[0], (unsigned)input);
	pic_update(pic);
	return vector;
}

static void half_ocw2(struct pic_half *h, u8 value)
{
	unsigned input = value & OCW2_LEVEL;
	u8 busy = h->special_mask ? h->isr & (u8)~h->imr : h->isr;
	unsigned rank = half_rank(h, busy);
	unsigned highest = (h->first + rank) & 7;

	switch (value >> 5) {
	case 0: /* rotate in AEOI mode: clear */ h->aeoi_rotate = false; break;
	case 1: /* non-specific EOI */
	case 5: /* rotate on non-specific EOI */
		if (rank == 8)
			break;
		h->isr &= (u8)~BIT(highest);
		if (value >> 5 == 5)
			h->first = (u8)((highest + 1) & 7);
		break;
	case 3: /* specific EOI */ h->isr &= (u8)~BIT(input); break;
	case 4: /* rotate in AEOI mode: set */ h->aeoi_rotate = true; break;
	case 6: /* set priority: `input` becomes the lowest */
		h->first = (u8)((input + 1) & 7);
		break;
	case 7: /* rotate on specific EOI */
		h->isr &= (u8)~BIT(input);
		h->first = (u8)((input + 1) & 7);
		break;
	default: /* 2: no operation */ break;
	}
}

static void half_ocw3(struct pic_half *h, u8 value)
{
	if (value & OCW3_POLL)
		h->poll = true;
	if (value & OCW3_RR)
		h->read_isr = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		h->special_mask = value & OCW3_SMM;
}

/* Writes with a0 = 1: the initialisation words in order, afterwards the mask. */
static void half_write_a1(struct pic_half *h, u8 value)
{
	switch (h->icw) {
	case 2:
		h->base = value & 0xf8;
		h->icw = h->single ? (h->icw4_needed ? 4 : 0) : 3;
		break;
	case 3: /* the wiring is fixed */ h->icw = h->icw4_needed ? 4 : 0; break;
	case 4:
		h->aeoi = value & ICW4_AEOI;
		h->sfnm = value & ICW4_SFNM;
		h->icw = 0;
		break;
	default: h->imr = value; break;
	}
}

void pic_write(struct pic *pic, unsigned half, unsigned a0, u8 value)
{
	struct pic_half *h = &pic->half[half & 1];

	if (a0)
		half_write_a1(h, value);
	else if (value & ICW1_SELECT)
		half_init(h, value);
	else if (value & OCW3_SELECT)
		half_ocw3(h, value);
	else
		half_ocw2(h, value);
	pic_update(pic);
}

/* The read after a poll command is the acknowledge. */
static u8 pic_poll(struct pic *pic, unsigned half)
{
	struct pic_half *h = &pic->half[half];
	int input = half_request(h, half == 0);

	h->poll = false;
	if (input < 0)
		return 0;
	half_ack(h, (unsigned)input);
	pic_update(pic);
	return (u8)(0x80 | input);
}

u8 pic_read(struct pic *pic, unsigned half, unsigned a0)
{
	struct pic_half *h = &pic->half[half & 1];

	if (h->poll)
		return pic_poll(pic, half & 1);
	if (a0)
		return h->imr;
	return h->read_isr ? h->isr : h->irr;
}

u8 pic_elcr_read(const struct pic *pic, unsigned half)
{
	return pic->half[half & 1].elcr;
}

void pic_elcr_write(struct pic *pic, unsigned half, u8 value)
{
	struct pic_half *h = &pic->half[half & 1];
	u8 was = h->elcr;

	h->elcr = value & elcr_writable[half & 1];
	/* inputs that changed kind: a level shows at once, a latch starts empty */
	h->irr &= (u8) ~(was ^ h->elcr);
	h->irr |= h->lines & h->elcr;
	pic_update(pic);
}

/* ---- open ---- */

void pic_refresh(struct pic *pic)
{
	pic->ops->intr(pic->arg, pic->intr);
}

void pic_reset(struct pic *pic)
{
	for (unsigned i = 0; i < 2; i++) {
		struct pic_half *h = &pic->half[i];
		u8 lines = h->lines;

		*h = (struct pic_half){.lines = lines, .imr = 0xff};
	}
	pic_update(pic);
}

void pic_init(struct pic *pic, const struct pic_ops *ops, void *arg)
{
	*pic = (struct pic){.ops = ops, .arg = arg};
	pic_reset(pic);
}
