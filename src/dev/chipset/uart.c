/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uart: 16550A on the board.
 *
 * Registers come from vCPU threads with our lock held by the bus; received bytes and "writable"
 * come from the backend's thread and take the lock. The transmit path touches nothing but the
 * backend and, if enabled, the THRE interrupt.
 */
#include "dev/chipset/uart.h"

#include <stdlib.h>

#include "board/layout.h"
#include "host/fail.h"
#include "lib/bits.h"

/* Registers (PC16550D, table II); 0 and 1 are the divisor while LCR.DLAB */
enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RDA	 0x01u
#define IER_THRE 0x02u
#define IER_RLS	 0x04u
#define IER_MS	 0x08u

#define IIR_MODEM   0x00u
#define IIR_NONE    0x01u
#define IIR_THRE    0x02u
#define IIR_RDA	    0x04u
#define IIR_RLS	    0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFO    0xc0u

#define FCR_ENABLE   0x01u
#define FCR_CLEAR_RX 0x02u
#define FCR_CLEAR_TX 0x04u

#define LCR_DLAB 0x80u

#define MCR_DTR	 0x01u
#define MCR_RTS	 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u /* on a PC: lets the interrupt through */
#define MCR_LOOP 0x10u

#define LSR_DR	   0x01u
#define LSR_OE	   0x02u
#define LSR_BI	   0x10u
#define LSR_THRE   0x20u
#define LSR_TEMT   0x40u
#define LSR_ERRORS 0x1eu

#define MSR_DELTA 0x0fu
#define MSR_CTS	  0x10u
#define MSR_DSR	  0x20u
#define MSR_RI	  0x40u
#define MSR_DCD	  0x80u

#define FIFO_SIZE 16u

struct uart {
	struct device dev;
	pthread_mutex_t lock;
	struct bus_region region;
	struct uart_backend backend;
	unsigned index, gsi;
	u8 ier, fcr, lcr, mcr, lsr, msr, scr;
	u16 divisor;
	u8 rx[FIFO_SIZE];
	u8 rx_head, rx_count;
	u16 rx_break;	  /* bit per place in rx: this byte came as a break */
	u8 tx[FIFO_SIZE]; /* only what the backend did not take */
	u8 tx_count;
	bool thre_pending; /* THRE interrupt latched: cleared by reading IIR or writing THR */
	bool starved;	   /* uart_receive was refused bytes: tell `room` */
	bool line;
};

/* ---- interrupts (lock held) ---- */

static const u8 rx_trigger[4] = {1, 4, 8, 14};

static unsigned fifo_depth(const struct uart *u)
{
	return u->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

/* The highest-priority interrupt as IIR shows it (PC16550D, table IV). */
static u8 uart_cause(const struct uart *u)
{
	if ((u->ier & IER_RLS) && (u->lsr & LSR_ERRORS))
		return IIR_RLS;
	if ((u->ier & IER_RDA) && u->rx_count) {
		if ((u->fcr & FCR_ENABLE) && u->rx_count < rx_trigger[u->fcr >> 6])
			return IIR_TIMEOUT;
		return IIR_RDA;
	}
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MS) && (u->msr & MSR_DELTA))
		return IIR_MODEM;
	return IIR_NONE;
}

static void uart_update(struct uart *u)
{
	bool level = uart_cause(u) != IIR_NONE && (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	if (level == u->line)
		return;
	u->line = level;
	irq_line(&u->dev.board->irq, u->gsi, level);
}

/* ---- data (lock held) ---- */

/* LSR tells of a break when its byte is the next to be read (PC16550D, 8.4 "LSR4"). */
static void rx_show_break(struct uart *u)
{
	if (u->rx_count && (u->rx_break >> u->rx_head & 1))
		u->lsr |= LSR_BI;
	u->rx_break &= (u16)~BIT64(u->rx_head);
}

static void rx_push(struct uart *u, u8 byte)
{
	if (u->rx_count == fifo_depth(u)) {
		u->lsr |= LSR_OE;
		return;
	}
	u->rx[(u->rx_head + u->rx_count) % FIFO_SIZE] = byte;
	u->rx_count++;
	u->lsr |= LSR_DR;
}

/* Tells a backend whose bytes were refused to come again. */
static void rx_room(struct uart *u)
{
	if (u->starved && !(u->mcr & MCR_LOOP) && u->backend.room) {
		u->starved = false;
		u->backend.room(u->backend.arg);
	}
}

static u8 rx_pop(struct uart *u)
{
	u8 byte = 0;

	if (u->rx_count) {
		byte = u->rx[u->rx_head];
		u->rx_head = (u8)((u->rx_head + 1) % FIFO_SIZE);
		u->rx_count--;
		rx_show_break(u);
	}
	if (!u->rx_count) {
		u->lsr &= (u8)~LSR_DR;
		rx_room(u);
	}
	uart_update(u);
	return byte;
}

static void rx_clear(struct uart *u)
{
	u->rx_count = 0;
	u->rx_break = 0;
	rx_pop(u);
}

static int backend_put(struct uart *u, const u8 *bytes, unsigned len)
{
	if (!u->backend.put)
		return (int)len;
	return u->backend.put(u->backend.arg, bytes, len);
}

static void tx_write(struct uart *u, u8 byte)
{
	if (u->mcr & MCR_LOOP) {
		rx_push(u, byte);
	} else if (u->tx_count || backend_put(u, &byte, 1) <= 0) {
		if (u->tx_count < fifo_depth(u))
			u->tx[u->tx_count++] = byte;
		u->lsr &= (u8) ~(LSR_THRE | LSR_TEMT);
		u->thre_pending = false;
		uart_update(u);
		return;
	}
	u->thre_pending = true;
	uart_update(u);
}

/* The modem inputs: a connected, ready peer, or our own outputs in loopback. */
static void msr_update(struct uart *u)
{
	u8 now = MSR_CTS | MSR_DSR | MSR_DCD, changed;

	if (u->mcr & MCR_LOOP)
		now = (u8)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
			   (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
	changed = (u8)((now ^ u->msr) & 0xf0);
	/* the ring indicator counts when it ends */
	if (now & MSR_RI)
		changed &= (u8)~MSR_RI;
	u->msr = (u8)(now | (u->msr & MSR_DELTA) | changed >> 4);
}

/* ---- registers (lock held by the bus) ---- */

static u64 uart_read(void *arg, u64 off, unused_arg unsigned size)
{
	struct uart *u = arg;
	u8 value;

	switch (off) {
	case REG_DATA: return u->lcr & LCR_DLAB ? u->divisor & 0xff : rx_pop(u);
	case REG_IER: return u->lcr & LCR_DLAB ? u->divisor >> 8 : u->ier;
	case REG_IIR_FCR:
		value = uart_cause(u);
		if (value == IIR_THRE) {
			u->thre_pending = false;
			uart_update(u);
		}
		return value | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
	case REG_LCR: return u->lcr;
	case REG_MCR: return u->mcr;
	case REG_LSR:
		value = u->lsr;
		if (value & LSR_ERRORS) {
			u->lsr &= (u8)~LSR_ERRORS;
			uart_update(u);
		}
		return value;
	case REG_MSR:
		value = u->msr;
		if (value & MSR_DELTA) {
			u->msr &= (u8)~MSR_DELTA;
			uart_update(u);
		}
		return value;
	default: return u->scr;
	}
}

static void fcr_write(struct uart *u, u8 value)
{
	if ((value ^ u->fcr) & FCR_ENABLE)
		value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	if (!(value & FCR_ENABLE))
		value &= FCR_CLEAR_RX | FCR_CLEAR_TX;
	u->fcr = value & (u8) ~(FCR_CLEAR_RX | FCR_CLEAR_TX);
	if (value & FCR_CLEAR_RX)
		rx_clear(u);
	if (value & FCR_CLEAR_TX) {
		u->tx_count = 0;
		u->lsr |= LSR_THRE | LSR_TEMT;
		u->thre_pending = true;
	}
}

static void uart_write(void *arg, u64 off, unused_arg unsigned size, u64 value64)
{
	struct uart *u = arg;
	u8 value = (u8)value64, was;

	switch (off) {
	case REG_DATA:
		if (u->lcr & LCR_DLAB)
			u->divisor = (u16)((u->divisor & 0xff00) | value);
		else
			tx_write(u, value);
		return;
	case REG_IER:
		if (u->lcr & LCR_DLAB) {
			u->divisor = (u16)((u->divisor & 0xff) | value << 8);
			return;
		}
		was = u->ier;
		u->ier = value & 0x0f;
		/* enabling THRE with an empty holding register interrupts at once */
		if ((u->ier & ~was & IER_THRE) && (u->lsr & LSR_THRE))
			u->thre_pending = true;
		break;
	case REG_IIR_FCR: fcr_write(u, value); break;
	case REG_LCR: u->lcr = value; return;
	case REG_MCR:
		u->mcr = value & 0x1f;
		msr_update(u);
		if (!u->rx_count)
			rx_room(u); /* loopback, which takes nothing from outside, may be over */
		break;
	case REG_SCR: u->scr = value; return;
	default: /* LSR and MSR are for reading */ return;
	}
	uart_update(u);
}

/* ---- from the backend ---- */

unsigned uart_receive(struct device *dev, const u8 *bytes, unsigned len)
{
	struct uart *u = (struct uart *)dev;
	unsigned taken = 0;

	pthread_mutex_lock(&u->lock);
	if (!(u->mcr & MCR_LOOP)) {
		while (taken < len && u->rx_count < fifo_depth(u))
			rx_push(u, bytes[taken++]);
	}
	if (taken < len)
		u->starved = true;
	uart_update(u);
	pthread_mutex_unlock(&u->lock);
	return taken;
}

void uart_writable(struct device *dev)
{
	struct uart *u = (struct uart *)dev;

	pthread_mutex_lock(&u->lock);
	if (u->tx_count) {
		int taken = backend_put(u, u->tx, u->tx_count);

		if (taken > 0) {
			u->tx_count = (u8)(u->tx_count - (unsigned)taken);
			for (unsigned i = 0; i < u->tx_count; i++)
				u->tx[i] = u->tx[i + (unsigned)taken];
		}
		if (!u->tx_count) {
			u->lsr |= LSR_THRE | LSR_TEMT;
			u->thre_pending = true;
		}
		uart_update(u);
	}
	pthread_mutex_unlock(&u->lock);
}

void uart_break(struct device *dev)
{
	struct uart *u = (struct uart *)dev;

	pthread_mutex_lock(&u->lock);
	if (u->rx_count < fifo_depth(u))
		u->rx_break |= (u16)BIT64((u->rx_head + u->rx_count) % FIFO_SIZE);
	rx_push(u, 0);
	if (u->rx_count == 1)
		rx_show_break(u);
	uart_update(u);
	pthread_mutex_unlock(&u->lock);
}

/* ---- life ---- */

static void uart_reset(struct device *dev)
{
	struct uart *u = (struct uart *)dev;

	pthread_mutex_lock(&u->lock);
	u->ier = u->fcr = u->lcr = u->scr = 0;
	u->mcr = 0;
	u->divisor = 12; /* 9600 baud */
	u->lsr = LSR_THRE | LSR_TEMT;
	u->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	u->tx_count = 0;
	u->thre_pending = false;
	rx_clear(u);
	pthread_mutex_unlock(&u->lock);
}

static void uart_close(struct device *dev)
{
	struct uart *u = (struct uart *)dev;

	bus_remove(dev->board->bus, BUS_PIO, &u->region);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static bool uart_describe(const struct device *dev, struct device_desc *desc)
{
	const struct uart *u = (const struct uart *)dev;

	*desc = (struct device_desc){.hid = "PNP0501", .uid = u->index + 1, .res_count = 2};
	desc->res[0] = (struct board_resource){BOARD_RES_PIO, u->region.base, 8};
	desc->res[1] = (struct board_resource){BOARD_RES_IRQ, u->gsi, 1};
	return true;
}

static const struct state_field uart_fields[] = {
	STATE_FIELD(struct uart, ier, 1),
	STATE_FIELD(struct uart, fcr, 1),
	STATE_FIELD(struct uart, lcr, 1),
	STATE_FIELD(struct uart, mcr, 1),
	STATE_FIELD(struct uart, lsr, 1),
	STATE_FIELD(struct uart, msr, 1),
	STATE_FIELD(struct uart, scr, 1),
	STATE_FIELD(struct uart, divisor, 1),
	STATE_ARRAY(struct uart, rx, 1),
	STATE_FIELD(struct uart, rx_head, 1),
	STATE_FIELD(struct uart, rx_count, 1),
	STATE_FIELD(struct uart, rx_break, 1),
	STATE_ARRAY(struct uart, tx, 1),
	STATE_FIELD(struct uart, tx_count, 1),
	STATE_FIELD(struct uart, thre_pending, 1),
	STATE_FIELD(struct uart, line, 1),
	STATE_END,
};

static const struct device_class uart_class = {
	.name = "uart",
	.close = uart_close,
	.reset = uart_reset,
	.fields = uart_fields,
	.describe = uart_describe,
};

int uart_open(struct board *board, unsigned index, const struct uart_backend *backend,
	      struct device **out)
{
	struct uart *u;
	int rc;

	if (index > 1)
		return FAIL(-EINVAL, "uart: there is no port %u", index);
	u = calloc(1, sizeof(*u));
	if (!u)
		return FAIL(-ENOMEM, "uart: out of memory");
	u->dev = (struct device){.cls = &uart_class, .board = board};
	u->index = index;
	u->gsi = index ? LAYOUT_GSI_COM2 : LAYOUT_GSI_COM1;
	if (backend)
		u->backend = *backend;
	pthread_mutex_init(&u->lock, NULL);
	uart_reset(&u->dev);
	u->region = (struct bus_region){.name = index ? "com2" : "com1",
					.base = index ? LAYOUT_PORT_COM2 : LAYOUT_PORT_COM1,
					.size = 8,
					.read = uart_read,
					.write = uart_write,
					.arg = u,
					.lock = &u->lock,
					.max_size = 1};
	rc = bus_add(board->bus, BUS_PIO, &u->region);
	if (rc) {
		pthread_mutex_destroy(&u->lock);
		free(u);
		return rc;
	}
	*out = &u->dev;
	return 0;
}
