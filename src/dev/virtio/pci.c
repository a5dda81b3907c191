/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio pci: what a driver finds in configuration space and behind BAR 0.
 *
 * BAR 0, 16 KiB: common configuration at 0, ISR at 0x1000, device configuration at 0x2000, one
 * notify dword per queue from 0x3000. BAR 1: MSI-X. All of it is also reachable through the PCI
 * configuration access capability (4.1.4.9).
 *
 * Entered on vCPU threads. The notify path takes no lock; the rest works under vdev->lock.
 * Follows virtio 1.2: 4.1.2 - 4.1.5, 3.1 (initialisation), 2.2 (features), 2.1 (status).
 */
#include "dev/virtio/pci.h"

#include <string.h>

#include "host/fail.h"
#include "host/log.h"
#include "lib/bits.h"
#include "spec/virtio.h"

#define WINDOW_SIZE	  0x4000
#define WINDOW_COMMON	  0x0000
#define WINDOW_ISR	  0x1000
#define WINDOW_DEVICE	  0x2000
#define WINDOW_NOTIFY	  0x3000
#define WINDOW_PART	  0x1000
#define NOTIFY_MULTIPLIER 4

#define VIRTIO_BAR	0
#define VIRTIO_MSIX_BAR 1

/* What the transport itself can do. */
#define TRANSPORT_FEATURES                                                                         \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_EVENT_IDX) |     \
	 BIT64(VIRTIO_F_INDIRECT_DESC))

/* ---- common configuration: lock held ----------------------------------------------------- */

static struct virtio_queue_config *common_queue(struct virtio_device *vdev)
{
	return vdev->queue_select < vdev->queues ? &vdev->queue_config[vdev->queue_select] : NULL;
}

static u32 feature_word(u64 features, u32 select)
{
	return select < 2 ? (u32)(features >> (32 * select)) : 0;
}

/* The whole structure as bytes: a driver may read any part of any field. */
static void common_image(struct virtio_device *vdev, u8 *image)
{
	const struct virtio_queue_config *queue = common_queue(vdev);

	memset(image, 0, VIRTIO_PCI_COMMON_SIZE);
	st32(image + VIRTIO_PCI_COMMON_DFSELECT, vdev->feature_select);
	st32(image + VIRTIO_PCI_COMMON_DF, feature_word(vdev->offered, vdev->feature_select));
	st32(image + VIRTIO_PCI_COMMON_GFSELECT, vdev->driver_feature_select);
	st32(image + VIRTIO_PCI_COMMON_GF,
	     feature_word(vdev->driver_features, vdev->driver_feature_select));
	st16(image + VIRTIO_PCI_COMMON_MSIX, vdev->config_vector);
	st16(image + VIRTIO_PCI_COMMON_NUMQ, (u16)vdev->queues);
	image[VIRTIO_PCI_COMMON_STATUS] = vdev->status;
	image[VIRTIO_PCI_COMMON_CFGGEN] = vdev->generation;
	st16(image + VIRTIO_PCI_COMMON_Q_SELECT, vdev->queue_select);
	if (!queue)
		return;
	st16(image + VIRTIO_PCI_COMMON_Q_SIZE, queue->size);
	st16(image + VIRTIO_PCI_COMMON_Q_MSIX, queue->vector);
	st16(image + VIRTIO_PCI_COMMON_Q_ENABLE, queue->enabled);
	st16(image + VIRTIO_PCI_COMMON_Q_NOFF, vdev->queue_select);
	st64(image + VIRTIO_PCI_COMMON_Q_DESC, queue->desc);
	st64(image + VIRTIO_PCI_COMMON_Q_DRIVER, queue->driver);
	st64(image + VIRTIO_PCI_COMMON_Q_DEVICE, queue->device);
}

static u16 common_vector(const struct virtio_device *vdev, u32 value)
{
	return value < vdev->pci.msix.vectors ? (u16)value : VIRTIO_MSI_NO_VECTOR;
}

static void common_driver_features(struct virtio_device *vdev, u32 value)
{
	unsigned shift = vdev->driver_feature_select * 32;

	/* 3.1.1: settled with FEATURES_OK. */
	if (vdev->driver_feature_select > 1 || (vdev->status & VIRTIO_STATUS_FEATURES_OK))
		return;
	vdev->driver_features &= ~(0xffffffffull << shift);
	vdev->driver_features |= (u64)value << shift;
}

/* True when DRIVER_OK is new. */
static bool common_status(struct virtio_device *vdev, u8 value)
{
	u8 old = vdev->status, status = old | (value & ~VIRTIO_STATUS_NEEDS_RESET);

	if ((status & ~old & VIRTIO_STATUS_FEATURES_OK) &&
	    ((vdev->driver_features & ~vdev->offered) ||
	     !(vdev->driver_features & BIT64(VIRTIO_F_VERSION_1))))
		status &= ~VIRTIO_STATUS_FEATURES_OK;
	if ((status & ~old & VIRTIO_STATUS_FEATURES_OK) && vdev->ops->features_settled)
		vdev->ops->features_settled(vdev);
	/* Without agreed features there is nothing to drive. */
	if (!(status & VIRTIO_STATUS_FEATURES_OK))
		status &= ~VIRTIO_STATUS_DRIVER_OK;
	__atomic_store_n(&vdev->status, status, __ATOMIC_RELEASE);
	return status & ~old & VIRTIO_STATUS_DRIVER_OK;
}

static void set_half(u64 *reg, bool high, u32 value)
{
	if (high)
		*reg = (*reg & 0xffffffffull) | (u64)value << 32;
	else
		*reg = (*reg & ~0xffffffffull) | value;
}

static void common_write_queue(struct virtio_device *vdev, u64 off, u32 value)
{
	struct virtio_queue_config *queue = common_queue(vdev);

	if (!queue)
		return;
	if (off == VIRTIO_PCI_COMMON_Q_MSIX) {
		__atomic_store_n(&queue->vector, common_vector(vdev, value), __ATOMIC_RELAXED);
		return;
	}
	if (queue->enabled)
		return; /* 4.1.4.3.2: not to be changed any more */
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE: queue->size = (u16)value; break;
	case VIRTIO_PCI_COMMON_Q_ENABLE: queue->enabled = (u16)value == 1; break;
	case VIRTIO_PCI_COMMON_Q_DESC:
	case VIRTIO_PCI_COMMON_Q_DESC + 4:
		set_half(&queue->desc, off != VIRTIO_PCI_COMMON_Q_DESC, value);
		break;
	case VIRTIO_PCI_COMMON_Q_DRIVER:
	case VIRTIO_PCI_COMMON_Q_DRIVER + 4:
		set_half(&queue->driver, off != VIRTIO_PCI_COMMON_Q_DRIVER, value);
		break;
	case VIRTIO_PCI_COMMON_Q_DEVICE:
	case VIRTIO_PCI_COMMON_Q_DEVICE + 4:
		set_half(&queue->device, off != VIRTIO_PCI_COMMON_Q_DEVICE, value);
		break;
	default: break;
	}
}

static void common_write(struct virtio_device *vdev, u64 off, u32 value)
{
	bool start = false;

	if (off == VIRTIO_PCI_COMMON_STATUS && !(u8)value) {
		virtio_guest_reset(vdev);
		return;
	}
	pthread_mutex_lock(&vdev->lock);
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT: vdev->feature_select = value; break;
	case VIRTIO_PCI_COMMON_GFSELECT: vdev->driver_feature_select = value; break;
	case VIRTIO_PCI_COMMON_GF: common_driver_features(vdev, value); break;
	case VIRTIO_PCI_COMMON_MSIX: vdev->config_vector = common_vector(vdev, value); break;
	case VIRTIO_PCI_COMMON_STATUS: start = common_status(vdev, (u8)value); break;
	case VIRTIO_PCI_COMMON_Q_SELECT: vdev->queue_select = (u16)value; break;
	default: common_write_queue(vdev, off, value); break;
	}
	pthread_mutex_unlock(&vdev->lock);
	if (start)
		virtio_kick_all(vdev);
}

/* ---- the window -------------------------------------------------------------------------- */

static u32 isr_read(struct virtio_device *vdev)
{
	u32 isr = vdev->isr;

	vdev->isr = 0;
	if (isr)
		pci_intx(&vdev->pci, false);
	return isr;
}

static u64 window_read(void *arg, u64 off, unsigned size)
{
	struct virtio_device *vdev = arg;
	u64 part = off & (WINDOW_PART - 1);
	u8 image[VIRTIO_PCI_COMMON_SIZE];
	u64 value = 0;

	pthread_mutex_lock(&vdev->lock);
	switch (off & ~(u64)(WINDOW_PART - 1)) {
	case WINDOW_COMMON:
		if (part + size <= sizeof(image)) {
			common_image(vdev, image);
			value = ld_size(image + part, size);
		}
		break;
	case WINDOW_ISR:
		if (!part)
			value = isr_read(vdev);
		break;
	case WINDOW_DEVICE:
		if (part + size <= vdev->config_len)
			value = ld_size(vdev->config + part, size);
		break;
	default: break;
	}
	pthread_mutex_unlock(&vdev->lock);
	return value;
}

static void device_write(struct virtio_device *vdev, u64 off, unsigned size, u64 value)
{
	bool changed = false;

	if (off + size > vdev->config_len)
		return;
	pthread_mutex_lock(&vdev->lock);
	for (unsigned i = 0; i < size; i++) {
		u8 mask = vdev->config_wmask[off + i], *byte = &vdev->config[off + i];

		changed |= mask != 0;
		*byte = (u8)((*byte & ~mask) | ((value >> (8 * i)) & mask));
	}
	if (changed && vdev->ops->config_written)
		vdev->ops->config_written(vdev);
	pthread_mutex_unlock(&vdev->lock);
}

static void window_write(void *arg, u64 off, unsigned size, u64 value)
{
	struct virtio_device *vdev = arg;
	u64 part = off & (WINDOW_PART - 1);

	switch (off & ~(u64)(WINDOW_PART - 1)) {
	case WINDOW_NOTIFY:
		if (part / NOTIFY_MULTIPLIER < vdev->queues)
			virtio_queue_kick(vdev, (unsigned)(part / NOTIFY_MULTIPLIER));
		break;
	case WINDOW_COMMON: common_write(vdev, part, (u32)value); break;
	case WINDOW_DEVICE: device_write(vdev, part, size, value); break;
	default: break;
	}
}

/* ---- the window through configuration space: PCI host lock held -------------------------- */

/* True with the access the capability's registers ask for. */
static bool cfg_access(struct virtio_device *vdev, u32 *off, u32 *len)
{
	const u8 *cap = vdev->pci.config + vdev->cfg_cap;

	*off = ld32(cap + VIRTIO_PCI_CAP_OFFSET);
	*len = ld32(cap + VIRTIO_PCI_CAP_LENGTH);
	return cap[VIRTIO_PCI_CAP_BAR] == VIRTIO_BAR && (*len == 1 || *len == 2 || *len == 4) &&
	       !(*off % *len) && *off < WINDOW_SIZE;
}

static bool cfg_touches(const struct virtio_device *vdev, unsigned off, unsigned size)
{
	unsigned data = vdev->cfg_cap + VIRTIO_PCI_CAP_DATA;

	return off < data + 4 && off + size > data;
}

static bool cfg_read(struct pci_device *pci, unsigned off, unsigned size, unused_arg u32 *value)
{
	struct virtio_device *vdev = container_of(pci, struct virtio_device, pci);
	u32 at, len;

	if (cfg_touches(vdev, off, size) && cfg_access(vdev, &at, &len))
		st_size(pci->config + vdev->cfg_cap + VIRTIO_PCI_CAP_DATA, len,
			window_read(vdev, at, len));
	return false; /* configuration space holds it now */
}

/* On: what was kicked before is due now. Off: whoever wrote it (a kernel that starts another one)
 * counts on memory being left alone from here on. */
static void cfg_bus_master(struct virtio_device *vdev, bool on)
{
	if (on)
		virtio_kick_all(vdev);
	else
		virtio_settle(vdev);
}

static void cfg_written(struct pci_device *pci, unsigned off, unsigned size)
{
	struct virtio_device *vdev = container_of(pci, struct virtio_device, pci);
	u32 at, len;

	if (off <= PCI_COMMAND && off + size > PCI_COMMAND)
		cfg_bus_master(vdev, pci_bus_master(pci));
	if (cfg_touches(vdev, off, size) && cfg_access(vdev, &at, &len))
		window_write(vdev, at, len,
			     ld_size(pci->config + vdev->cfg_cap + VIRTIO_PCI_CAP_DATA, len));
}

static const struct pci_device_ops virtio_pci_ops = {
	.config_read = cfg_read,
	.config_written = cfg_written,
};

/* ---- open/close -------------------------------------------------------------------------- */

void virtio_pci_reset_registers(struct virtio_device *vdev)
{
	vdev->driver_features = 0;
	vdev->feature_select = vdev->driver_feature_select = 0;
	vdev->config_vector = VIRTIO_MSI_NO_VECTOR;
	vdev->queue_select = 0;
	vdev->isr = 0;
	for (unsigned n = 0; n < vdev->queues; n++)
		vdev->queue_config[n] = (struct virtio_queue_config){
			.size = vdev->queue_max[n], .vector = VIRTIO_MSI_NO_VECTOR};
	__atomic_store_n(&vdev->status, 0, __ATOMIC_RELEASE);
}

static u8 virtio_cap(struct virtio_device *vdev, u8 type, u8 size, u32 offset, u32 length)
{
	u8 at = pci_cap_add(&vdev->pci, PCI_CAP_ID_VENDOR, size);
	u8 *cap = vdev->pci.config + at;

	cap[VIRTIO_PCI_CAP_LEN] = size;
	cap[VIRTIO_PCI_CAP_TYPE] = type;
	cap[VIRTIO_PCI_CAP_BAR] = VIRTIO_BAR;
	st32(cap + VIRTIO_PCI_CAP_OFFSET, offset);
	st32(cap + VIRTIO_PCI_CAP_LENGTH, length);
	return at;
}

static void virtio_caps(struct virtio_device *vdev)
{
	u8 at;

	virtio_cap(vdev, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_SIZE, WINDOW_COMMON,
		   VIRTIO_PCI_COMMON_SIZE);
	virtio_cap(vdev, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_CAP_SIZE, WINDOW_ISR, 4);
	if (vdev->config_len)
		virtio_cap(vdev, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_CAP_SIZE, WINDOW_DEVICE,
			   vdev->config_len);
	at = virtio_cap(vdev, VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_CAP_SIZE + 4, WINDOW_NOTIFY,
			vdev->queues * NOTIFY_MULTIPLIER);
	st32(vdev->pci.config + at + VIRTIO_PCI_CAP_NOTIFY_MULT, NOTIFY_MULTIPLIER);
	at = virtio_cap(vdev, VIRTIO_PCI_CAP_PCI_CFG, VIRTIO_PCI_CAP_SIZE + 4, 0, 0);
	vdev->cfg_cap = at;
	vdev->pci.wmask[at + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(vdev->pci.wmask + at + VIRTIO_PCI_CAP_OFFSET, 0xff, 12);
}

int virtio_pci_open(struct virtio_device *vdev, u16 class_code, const char *name)
{
	const struct pci_ids ids = {.vendor = VIRTIO_PCI_VENDOR,
				    .device = (u16)(VIRTIO_PCI_DEVICE_MODERN + vdev->id),
				    .subsystem_vendor = VIRTIO_PCI_VENDOR,
				    .subsystem = 0x1100,
				    .class_code = class_code,
				    .revision = 1,
				    .intx = true};

	vdev->offered |= TRANSPORT_FEATURES;
	pci_device_init(&vdev->pci, name, &ids);
	vdev->pci.ops = &virtio_pci_ops;
	vdev->region = (struct bus_region){.name = "virtio",
					   .size = WINDOW_SIZE,
					   .read = window_read,
					   .write = window_write,
					   .arg = vdev,
					   .max_size = 4};
	pci_bar_set(&vdev->pci, VIRTIO_BAR, PCI_BAR_MEM32, &vdev->region);
	virtio_caps(vdev);
	virtio_pci_reset_registers(vdev);
	return pci_msix_open(&vdev->pci, VIRTIO_MSIX_BAR, vdev->queues + 1);
}

void virtio_pci_close(struct virtio_device *vdev)
{
	pci_msix_close(&vdev->pci);
}
