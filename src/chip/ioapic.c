/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioapic: the I/O APIC as a state machine.
 *
 * Entered by dev/chipset/irqc and metal with their lock held. A masked pin forgets edges; a level
 * pin sends once, sets Remote IRR, and sends again after the EOI while the line stays asserted.
 */
#include "chip/ioapic.h"

#include "lib/bits.h"

/* Registers (82093AA 3.1, ICH9 13.5.1) */
#define IOREGSEL  0x00u
#define IOWIN	  0x10u
#define IOEOI	  0x40u
#define IOAPICID  0x00u
#define IOAPICVER 0x01u
#define IOAPICARB 0x02u
#define IOREDTBL  0x10u

#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)

/* Redirection entry (82093AA 3.2.4) */
#define REDIR_VECTOR	 0xffull
#define REDIR_DELMOD(e)	 ((unsigned)((e) >> 8) & 7u)
#define REDIR_LOGICAL	 BIT64(11)
#define REDIR_DELIVS	 BIT64(12)
#define REDIR_REMOTE_IRR BIT64(14)
#define REDIR_LEVEL	 BIT64(15)
#define REDIR_MASK	 BIT64(16)
#define REDIR_DEST(e)	 ((u8)((e) >> 56))
#define REDIR_READ_ONLY	 (REDIR_DELIVS | REDIR_REMOTE_IRR)
#define REDIR_WRITABLE	 0xff0000000001afffull

#define DELMOD_LOWEST 1u

#define MSI_ADDR	 0xfee00000u
#define MSI_ADDR_LOGICAL BIT(2)
#define MSI_DATA_ASSERT	 BIT(14)
#define MSI_DATA_LEVEL	 BIT(15)

/* ---- helpers ---- */

/* Only vectored deliveries know Remote IRR; the others are edges whatever the entry says. */
static bool redir_is_level(u64 entry)
{
	return (entry & REDIR_LEVEL) && REDIR_DELMOD(entry) <= DELMOD_LOWEST;
}

static void redir_message(u64 entry, u64 *addr, u32 *data)
{
	*addr = MSI_ADDR | (u32)REDIR_DEST(entry) << 12;
	if (entry & REDIR_LOGICAL)
		*addr |= MSI_ADDR_LOGICAL;
	*data = (u32)(entry & REDIR_VECTOR) | REDIR_DELMOD(entry) << 8 | MSI_DATA_ASSERT;
	if (redir_is_level(entry))
		*data |= MSI_DATA_LEVEL;
}

static void pin_send(struct ioapic *io, unsigned pin)
{
	u64 entry = io->redir[pin];
	u64 addr;
	u32 data;

	if (redir_is_level(entry))
		io->redir[pin] |= REDIR_REMOTE_IRR;
	redir_message(entry, &addr, &data);
	io->ops->msi(io->arg, addr, data);
}

/* A level pin that is asserted, unmasked and not awaiting an EOI sends. */
static void pin_service_level(struct ioapic *io, unsigned pin)
{
	u64 entry = io->redir[pin];

	if (redir_is_level(entry) && !(entry & (REDIR_MASK | REDIR_REMOTE_IRR)) &&
	    (io->lines & BIT(pin)))
		pin_send(io, pin);
}

/* ---- work ---- */

void ioapic_line(struct ioapic *io, unsigned pin, bool level)
{
	bool was;

	if (pin >= IOAPIC_PINS)
		return;
	was = io->lines & BIT(pin);
	if (level)
		io->lines |= BIT(pin);
	else
		io->lines &= ~BIT(pin);
	if (!level)
		return;
	if (redir_is_level(io->redir[pin]))
		pin_service_level(io, pin);
	else if (!was && !(io->redir[pin] & REDIR_MASK))
		pin_send(io, pin);
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 entry = io->redir[pin];

		if (!(entry & REDIR_REMOTE_IRR) || (entry & REDIR_VECTOR) != vector)
			continue;
		io->redir[pin] &= ~REDIR_REMOTE_IRR;
		pin_service_level(io, pin);
	}
}

bool ioapic_message(const struct ioapic *io, unsigned pin, u64 *addr, u32 *data, bool *level)
{
	u64 entry = io->redir[pin];

	if ((entry & REDIR_MASK) || REDIR_DELMOD(entry) > DELMOD_LOWEST)
		return false;
	redir_message(entry, addr, data);
	*level = redir_is_level(entry);
	return true;
}

/* ---- registers ---- */

static u32 window_read(const struct ioapic *io)
{
	unsigned pin;

	switch (io->select) {
	case IOAPICID:
	case IOAPICARB: return (u32)io->id << 24;
	case IOAPICVER: return VERSION;
	default:
		pin = (io->select - IOREDTBL) / 2u;
		if (io->select < IOREDTBL || pin >= IOAPIC_PINS)
			return 0;
		return (u32)(io->redir[pin] >> (io->select & 1 ? 32 : 0));
	}
}

static void window_write(struct ioapic *io, u32 value)
{
	unsigned pin = (io->select - IOREDTBL) / 2u;
	u64 entry;

	if (io->select == IOAPICID) {
		io->id = value >> 24 & 0xf;
		return;
	}
	if (io->select < IOREDTBL || pin >= IOAPIC_PINS)
		return;
	entry = io->redir[pin];
	if (io->select & 1)
		entry = (entry & 0xffffffffu) | (u64)value << 32;
	else
		entry = (entry & ~0xffffffffull) | value;
	entry = (entry & REDIR_WRITABLE) | (io->redir[pin] & REDIR_READ_ONLY);
	/* turning a pin to edge forgets the EOI it waited for: guests use this as an EOI */
	if (!redir_is_level(entry))
		entry &= ~REDIR_REMOTE_IRR;
	io->redir[pin] = entry;
	pin_service_level(io, pin);
}

u32 ioapic_read(const struct ioapic *io, u32 off)
{
	switch (off & 0xff) {
	case IOREGSEL: return io->select;
	case IOWIN: return window_read(io);
	default: return 0;
	}
}

void ioapic_write(struct ioapic *io, u32 off, u32 value)
{
	switch (off & 0xff) {
	case IOREGSEL: io->select = (u8)value; break;
	case IOWIN: window_write(io, value); break;
	case IOEOI: ioapic_eoi(io, (u8)value); break;
	default: break;
	}
}

/* ---- open ---- */

void ioapic_reset(struct ioapic *io)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->redir[pin] = REDIR_MASK;
	io->id = 0;
	io->select = 0;
}

void ioapic_init(struct ioapic *io, const struct ioapic_ops *ops, void *arg)
{
	*io = (struct ioapic){.ops = ops, .arg = arg};
	ioapic_reset(io);
}
