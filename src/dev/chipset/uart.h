/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uart: 16550A serial port with FIFOs (National PC16550D data sheet).
 *
 * Transmission takes no time: a byte written goes straight to the backend. Received bytes raise
 * the interrupt at once, below the trigger level as a character timeout.
 */
#ifndef DEV_CHIPSET_UART_H
#define DEV_CHIPSET_UART_H

#include "board/device.h"

/* Called with the port's lock held; must not call uart_* (post to a loop instead). */
struct uart_backend {
	void *arg;
	/* Bytes from the guest; returns how many were taken. With 0 the port holds the byte and
	 * shows "transmitter busy" until uart_writable(). NULL: everything is swallowed. */
	int (*put)(void *arg, const u8 *bytes, unsigned len);
	/* The receive FIFO was emptied by the guest: uart_receive takes bytes again. Optional. */
	void (*room)(void *arg);
};

/* index 0 = COM1 (0x3f8, IRQ4), 1 = COM2 (0x2f8, IRQ3). *backend is copied; NULL = not connected.
 * -EINVAL for other indices. Context: loop, vCPUs stopped. */
int uart_open(struct board *board, unsigned index, const struct uart_backend *backend,
	      struct device **out);

/* Bytes for the guest; returns how many were accepted (0..len). After less than len wait for
 * backend->room. Context: any thread. */
unsigned uart_receive(struct device *dev, const u8 *bytes, unsigned len);

/* The backend takes bytes again after put returned 0. Context: any thread. */
void uart_writable(struct device *dev);

/* A break condition on the line: a zero byte with BI, after what is in the FIFO; an overrun when
 * that is full. Context: any thread. */
void uart_break(struct device *dev);

#endif
