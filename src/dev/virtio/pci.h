/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio pci: the register window of the modern transport (virtio 1.2, 4.1).
 *
 * Entered by virtio/device.c only.
 */
#ifndef DEV_VIRTIO_PCI_H
#define DEV_VIRTIO_PCI_H

#include "dev/virtio/device.h"

/* Sets ids, BARs, capabilities. Undone by virtio_pci_close. */
int virtio_pci_open(struct virtio_device *vdev, u16 class_code, const char *name);
void virtio_pci_close(struct virtio_device *vdev);

/* Registers as at power-on. `lock` held. */
void virtio_pci_reset_registers(struct virtio_device *vdev);

#endif
