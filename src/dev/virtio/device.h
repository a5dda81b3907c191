/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio device: what every virtio device is made of, whatever it does: features, status, queues,
 * configuration, interrupts, on the modern PCI transport (virtio 1.2, 4.1).
 *
 * A device embeds struct virtio_device (first), fills in ops, features, queue count and config,
 * and calls virtio_device_open. Its ops run on its own loop's thread, except where said.
 *
 * How a guest's kick travels: vCPU writes the notify register -> a bit in `kicked` and a loop_post
 * -> on the loop: ops->queue_ready(queue) for each kicked, live queue.
 *
 * Locks: `lock` guards what vCPUs write (common configuration, status) and the device
 * configuration; it is taken after the PCI host lock, before MSI-X, INTx and irq locks. It is never
 * held while waiting for the loop.
 */
#ifndef DEV_VIRTIO_DEVICE_H
#define DEV_VIRTIO_DEVICE_H

#include "dev/pci/device.h"
#include "dev/pci/host.h"
#include "dev/virtio/queue.h"
#include "host/thread.h"

#define VIRTIO_QUEUES_MAX 32
#define VIRTIO_CONFIG_MAX 64

struct virtio_device;

struct virtio_ops {
	/* There may be requests in queue n. Pop until 0 or error, then virtq_notify_on. Loop. */
	void (*queue_ready)(struct virtio_device *vdev, unsigned n);
	/* The driver set DRIVER_OK. Optional. Loop. */
	void (*start)(struct virtio_device *vdev);
	/* Finish every request under way. With `forget` none may be in flight after return;
	 * without, one that waits for the outside (a full terminal) may stay. Loop. */
	void (*drain)(struct virtio_device *vdev, bool forget);
	/* Back to power-on; called after drain. Optional. Loop. */
	void (*reset)(struct virtio_device *vdev);
	/* FEATURES_OK is set: virtio_has answers for good. Optional. vCPU, `lock` held. */
	void (*features_settled)(struct virtio_device *vdev);
	/* The guest wrote the writable part of config. Optional. vCPU, `lock` held. */
	void (*config_written)(struct virtio_device *vdev);
	/* Take descriptors and calls off the loop; it is about to end. Optional. Loop. */
	void (*detach)(struct virtio_device *vdev);
	/* Frees what open made, after the loop no longer calls in. */
	void (*close)(struct virtio_device *vdev);
};

/* One queue as the guest configures it; `lock`. */
struct virtio_queue_config {
	u16 size;
	u16 vector;
	bool enabled;
	u64 desc, driver, device;
};

struct virtio_device {
	struct pci_device pci; /* first; its first is struct device */
	const struct virtio_ops *ops;
	struct loop_thread thread;
	struct loop *loop; /* the thread's, where ops run */

	/* By the device before virtio_device_open. */
	u16 id;	     /* VIRTIO_ID_* */
	u64 offered; /* device features; the transport adds its own */
	unsigned queues;
	u16 queue_max[VIRTIO_QUEUES_MAX];
	u8 config[VIRTIO_CONFIG_MAX];
	u8 config_wmask[VIRTIO_CONFIG_MAX];
	unsigned config_len;

	pthread_mutex_t lock;
	struct bus_region region;
	struct loop_call kick_call;

	/* lock */
	u64 driver_features; /* settled by FEATURES_OK, read without lock from then on */
	u32 feature_select, driver_feature_select;
	u16 config_vector;
	u16 queue_select;
	u8 status; /* also read without lock */
	u8 generation;
	u8 isr;
	struct virtio_queue_config queue_config[VIRTIO_QUEUES_MAX];
	u8 cfg_cap; /* offset of the PCI configuration access capability */

	u32 kicked; /* bit per queue; atomic */

	/* loop */
	struct virtq queue[VIRTIO_QUEUES_MAX];
	bool started; /* ops->start was called */
	bool paused;

	u64 errors; /* times the guest made it NEEDS_RESET; atomic */
};

int virtio_device_open(struct virtio_device *vdev, struct board *board, struct pci_host *host,
		       unsigned slot, u16 class_code, const char *name);
/* Takes it off the bus, stops the thread, ends with ops->close. Also for a failing open after
 * virtio_device_open succeeded. */
void virtio_device_close(struct virtio_device *vdev);

/* ---- for devices, on their loop ---------------------------------------------------------- */

/* A feature the driver accepted. */
bool virtio_has(const struct virtio_device *vdev, unsigned feature);
/* DRIVER_OK is set, and nothing broke. */
bool virtio_live(const struct virtio_device *vdev);
/* After pushes: interrupts when the driver wants it. */
void virtio_queue_signal(struct virtio_device *vdev, unsigned n);
/* The guest broke the rules: NEEDS_RESET, a line in the log, a count. */
void virtio_device_break(struct virtio_device *vdev, const char *why);
/* Changes `len` bytes of config at off, bumps the generation and interrupts. Any thread. */
void virtio_config_set(struct virtio_device *vdev, unsigned off, const void *data, unsigned len);
/* Makes ops->queue_ready run soon. Any thread. */
void virtio_queue_kick(struct virtio_device *vdev, unsigned n);
/* The guest's kicks and status writes, from the transport. vCPU. */
void virtio_kick_all(struct virtio_device *vdev);
void virtio_guest_reset(struct virtio_device *vdev);
/* Returns when no request is under way; new ones wait for bus mastering. vCPU. */
void virtio_settle(struct virtio_device *vdev);
/* Raises the configuration interrupt. `lock` held. */
void virtio_config_interrupt(struct virtio_device *vdev);
/* virtq_pop with a broken ring reported. True when there is a request. */
bool virtio_queue_pop(struct virtio_device *vdev, unsigned n, struct virtq_req **out);

#endif
