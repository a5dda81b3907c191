/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio device: the loop's side: starting queues, spreading kicks, interrupts, reset, pause.
 *
 * A guest's reset runs on the device's loop while the vCPU waits: requests under way are finished
 * first, so that after the status reads 0 the device touches no guest memory.
 *
 * Entered on vCPU threads (kick, reset), the device's thread (everything else) and the main loop
 * (life cycle).
 */
#include "dev/virtio/device.h"

#include <string.h>

#include "dev/virtio/pci.h"
#include "host/fail.h"
#include "host/log.h"
#include "lib/bits.h"
#include "spec/virtio.h"

/* ---- questions --------------------------------------------------------------------------- */

bool virtio_has(const struct virtio_device *vdev, unsigned feature)
{
	return vdev->driver_features & BIT64(feature);
}

bool virtio_live(const struct virtio_device *vdev)
{
	u8 status = __atomic_load_n(&vdev->status, __ATOMIC_ACQUIRE);

	return (status & VIRTIO_STATUS_DRIVER_OK) &&
	       !(status & (VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED));
}

/* ---- interrupts -------------------------------------------------------------------------- */

/* `lock` held. */
static void virtio_isr_raise(struct virtio_device *vdev, u8 bit)
{
	vdev->isr |= bit;
	pci_intx(&vdev->pci, true);
}

void virtio_config_interrupt(struct virtio_device *vdev)
{
	if (!(vdev->status & VIRTIO_STATUS_DRIVER_OK))
		return;
	if (!pci_msix_enabled(&vdev->pci))
		virtio_isr_raise(vdev, VIRTIO_PCI_ISR_CONFIG);
	else if (vdev->config_vector != VIRTIO_MSI_NO_VECTOR)
		pci_msix_send(&vdev->pci, vdev->config_vector);
}

void virtio_queue_signal(struct virtio_device *vdev, unsigned n)
{
	u16 vector;

	if (!virtq_wants_interrupt(&vdev->queue[n]))
		return;
	vector = __atomic_load_n(&vdev->queue_config[n].vector, __ATOMIC_RELAXED);
	if (pci_msix_enabled(&vdev->pci)) {
		if (vector != VIRTIO_MSI_NO_VECTOR)
			pci_msix_send(&vdev->pci, vector);
		return;
	}
	pthread_mutex_lock(&vdev->lock);
	virtio_isr_raise(vdev, VIRTIO_PCI_ISR_QUEUE);
	pthread_mutex_unlock(&vdev->lock);
}

void virtio_config_set(struct virtio_device *vdev, unsigned off, const void *data, unsigned len)
{
	pthread_mutex_lock(&vdev->lock);
	memcpy(vdev->config + off, data, len);
	vdev->generation++;
	virtio_config_interrupt(vdev);
	pthread_mutex_unlock(&vdev->lock);
}

void virtio_device_break(struct virtio_device *vdev, const char *why)
{
	LOG_GUEST("%s: %s; the device waits for a reset", vdev->pci.name, why);
	__atomic_fetch_add(&vdev->errors, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&vdev->lock);
	if (!(vdev->status & VIRTIO_STATUS_NEEDS_RESET)) {
		__atomic_store_n(&vdev->status, vdev->status | VIRTIO_STATUS_NEEDS_RESET,
				 __ATOMIC_RELEASE);
		virtio_config_interrupt(vdev);
	}
	pthread_mutex_unlock(&vdev->lock);
}

/* ---- kicks ------------------------------------------------------------------------------- */

void virtio_queue_kick(struct virtio_device *vdev, unsigned n)
{
	__atomic_fetch_or(&vdev->kicked, BIT(n), __ATOMIC_SEQ_CST);
	loop_post(vdev->loop, &vdev->kick_call);
}

void virtio_kick_all(struct virtio_device *vdev)
{
	__atomic_fetch_or(&vdev->kicked, (u32)mask64(vdev->queues), __ATOMIC_SEQ_CST);
	loop_post(vdev->loop, &vdev->kick_call);
}

/* The queue's ring as configured by now; false when it is off or wrong. */
static bool virtio_queue_start(struct virtio_device *vdev, unsigned n)
{
	struct virtio_queue_config config;
	struct virtq_setup setup;

	pthread_mutex_lock(&vdev->lock);
	config = vdev->queue_config[n];
	pthread_mutex_unlock(&vdev->lock);
	if (!config.enabled)
		return false;
	setup = (struct virtq_setup){
		.size = config.size,
		.packed = virtio_has(vdev, VIRTIO_F_RING_PACKED),
		.event_idx = virtio_has(vdev, VIRTIO_F_EVENT_IDX),
		.indirect = virtio_has(vdev, VIRTIO_F_INDIRECT_DESC),
		.desc = config.desc,
		.driver = config.driver,
		.device = config.device,
	};
	if (virtq_start(&vdev->queue[n], &setup)) {
		virtio_device_break(vdev, vdev->queue[n].error);
		return false;
	}
	return true;
}

static void virtio_kicked(struct loop_call *call)
{
	struct virtio_device *vdev = call->arg;
	u32 kicked;

	if (vdev->paused)
		return; /* resume looks again */
	kicked = __atomic_exchange_n(&vdev->kicked, 0, __ATOMIC_SEQ_CST);
	if (!virtio_live(vdev) || !pci_bus_master(&vdev->pci))
		return;
	if (!vdev->started) {
		vdev->started = true;
		if (vdev->ops->start)
			vdev->ops->start(vdev);
	}
	for (unsigned n = 0; n < vdev->queues; n++) {
		if (!(kicked & BIT(n)))
			continue;
		if (!vdev->queue[n].live && !virtio_queue_start(vdev, n))
			continue;
		if (virtio_live(vdev))
			vdev->ops->queue_ready(vdev, n);
	}
}

bool virtio_queue_pop(struct virtio_device *vdev, unsigned n, struct virtq_req **out)
{
	int rc;

	if (!virtio_live(vdev) || vdev->paused)
		return false;
	rc = virtq_pop(&vdev->queue[n], out);
	if (rc < 0)
		virtio_device_break(vdev, vdev->queue[n].error);
	return rc > 0;
}

/* ---- reset, pause: on the loop ----------------------------------------------------------- */

static void virtio_reset_on_loop(void *arg)
{
	struct virtio_device *vdev = arg;

	vdev->ops->drain(vdev, true);
	for (unsigned n = 0; n < vdev->queues; n++)
		virtq_stop(&vdev->queue[n]);
	vdev->started = false;
	if (vdev->ops->reset)
		vdev->ops->reset(vdev);
	pthread_mutex_lock(&vdev->lock);
	virtio_pci_reset_registers(vdev);
	pci_intx(&vdev->pci, false);
	pthread_mutex_unlock(&vdev->lock);
	__atomic_store_n(&vdev->kicked, 0, __ATOMIC_SEQ_CST);
}

void virtio_guest_reset(struct virtio_device *vdev)
{
	loop_sync(vdev->loop, virtio_reset_on_loop, vdev);
}

static void virtio_settle_on_loop(void *arg)
{
	struct virtio_device *vdev = arg;

	vdev->ops->drain(vdev, false);
}

void virtio_settle(struct virtio_device *vdev)
{
	loop_sync(vdev->loop, virtio_settle_on_loop, vdev);
}

static void virtio_pause_on_loop(void *arg)
{
	struct virtio_device *vdev = arg;

	vdev->paused = true;
	vdev->ops->drain(vdev, false);
}

static void virtio_resume_on_loop(void *arg)
{
	struct virtio_device *vdev = arg;

	vdev->paused = false;
	virtio_kick_all(vdev);
}

/* ---- life cycle -------------------------------------------------------------------------- */

static struct virtio_device *virtio_of(struct device *dev)
{
	return container_of(dev, struct virtio_device, pci.dev);
}

static void virtio_class_close(struct device *dev)
{
	virtio_device_close(virtio_of(dev));
}

static void virtio_class_reset(struct device *dev)
{
	virtio_guest_reset(virtio_of(dev));
	pci_device_reset(&virtio_of(dev)->pci);
}

static void virtio_class_pause(struct device *dev)
{
	loop_sync(virtio_of(dev)->loop, virtio_pause_on_loop, virtio_of(dev));
}

static void virtio_class_resume(struct device *dev)
{
	loop_sync(virtio_of(dev)->loop, virtio_resume_on_loop, virtio_of(dev));
}

static const struct device_class virtio_device_class = {
	.name = "virtio",
	.close = virtio_class_close,
	.reset = virtio_class_reset,
	.pause = virtio_class_pause,
	.resume = virtio_class_resume,
};

static void virtio_queues_close(struct virtio_device *vdev)
{
	for (unsigned n = 0; n < vdev->queues; n++)
		virtq_close(&vdev->queue[n]);
}

static int virtio_queues_open(struct virtio_device *vdev, struct ram *ram)
{
	for (unsigned n = 0; n < vdev->queues; n++) {
		int rc = virtq_open(&vdev->queue[n], ram, vdev->queue_max[n]);

		if (rc) {
			virtio_queues_close(vdev);
			return rc;
		}
	}
	return 0;
}

int virtio_device_open(struct virtio_device *vdev, struct board *board, struct pci_host *host,
		       unsigned slot, u16 class_code, const char *name)
{
	int rc;

	ASSERT(vdev->queues && vdev->queues <= VIRTIO_QUEUES_MAX, "impossible number of queues");
	vdev->pci.dev = (struct device){.cls = &virtio_device_class, .board = board};
	vdev->kick_call = (struct loop_call){.run = virtio_kicked, .arg = vdev};
	pthread_mutex_init(&vdev->lock, NULL);
	rc = virtio_queues_open(vdev, &board->ram);
	if (rc)
		goto fail_lock;
	rc = virtio_pci_open(vdev, class_code, name);
	if (rc)
		goto fail_queues;
	rc = loop_thread_open(&vdev->thread, name);
	if (rc)
		goto fail_pci;
	vdev->loop = vdev->thread.loop;
	rc = pci_device_add(host, &vdev->pci, slot);
	if (rc)
		goto fail_thread;
	return 0;
fail_thread:
	loop_thread_close(&vdev->thread);
fail_pci:
	virtio_pci_close(vdev);
fail_queues:
	virtio_queues_close(vdev);
fail_lock:
	pthread_mutex_destroy(&vdev->lock);
	return rc;
}

static void virtio_close_on_loop(void *arg)
{
	struct virtio_device *vdev = arg;

	virtio_pause_on_loop(vdev);
	if (vdev->ops->detach)
		vdev->ops->detach(vdev);
}

void virtio_device_close(struct virtio_device *vdev)
{
	pci_device_remove(&vdev->pci);
	loop_sync(vdev->loop, virtio_close_on_loop, vdev);
	loop_thread_close(&vdev->thread);
	virtio_pci_close(vdev);
	virtio_queues_close(vdev);
	pthread_mutex_destroy(&vdev->lock);
	vdev->ops->close(vdev);
}
