list(APPEND DEV_SOURCES virtio/queue.c virtio/device.c virtio/pci.c virtio/blk.c virtio/console.c
	virtio/rng.c)
