/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio rng: entropy from the host's getrandom(2) (virtio 1.2, 5.4).
 */
#ifndef DEV_VIRTIO_RNG_H
#define DEV_VIRTIO_RNG_H

#include "dev/pci/host.h"

/* Context: loop, before vCPUs. */
int virtio_rng_open(struct board *board, struct pci_host *host, unsigned slot, struct device **out);

#endif
