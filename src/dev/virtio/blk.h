/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio blk: a disk for the guest (virtio 1.2, 5.2).
 */
#ifndef DEV_VIRTIO_BLK_H
#define DEV_VIRTIO_BLK_H

#include "dev/pci/host.h"
#include "disk/disk.h"

/* Plugs `disk` into `slot`; the device owns the disk from then on and closes it (not when open
 * fails). `serial`: up to 20 characters for the guest, may be NULL. Context: loop, before vCPUs. */
int virtio_blk_open(struct board *board, struct pci_host *host, unsigned slot, struct disk *disk,
		    const char *serial, struct device **out);

struct virtio_blk_stats {
	u64 reads, writes, flushes, discards, errors;
	u64 read_bytes, written_bytes;
};
/* Context: any. */
void virtio_blk_stats(const struct device *dev, struct virtio_blk_stats *stats);

#endif
