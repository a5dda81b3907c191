/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio console: one port, with the window's size (virtio 1.2, 5.3). The guest's /dev/hvc0.
 *
 * The backend has the shape of the serial port's (dev/chipset/uart.h): bytes go out by put, come
 * in by virtio_console_receive, and each side tells the other when it takes bytes again.
 */
#ifndef DEV_VIRTIO_CONSOLE_H
#define DEV_VIRTIO_CONSOLE_H

#include "dev/pci/host.h"

/* Called on the device's thread, no lock held. */
struct virtio_console_backend {
	void *arg;
	/* Bytes from the guest; returns how many were taken (0..len). After less than len the
	 * device waits for virtio_console_writable(). NULL: everything is swallowed. */
	int (*put)(void *arg, const u8 *bytes, unsigned len);
	/* virtio_console_receive takes bytes again. Optional. */
	void (*room)(void *arg);
};

/* *backend is copied. Context: loop, before vCPUs. */
int virtio_console_open(struct board *board, struct pci_host *host, unsigned slot,
			const struct virtio_console_backend *backend, struct device **out);

/* Bytes for the guest; returns how many were accepted (0..len). After less than len wait for
 * backend->room. Context: any thread. */
unsigned virtio_console_receive(struct device *dev, const u8 *bytes, unsigned len);

/* The backend takes bytes again. Context: any thread. */
void virtio_console_writable(struct device *dev);

/* The window's size changed. Context: any thread. */
void virtio_console_resize(struct device *dev, u16 columns, u16 rows);

#endif
