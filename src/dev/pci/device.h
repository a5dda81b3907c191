/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci device: what every PCI function is made of: configuration space, BARs, INTx, MSI-X.
 *
 * A device embeds struct pci_device, fills it with the calls below before pci_device_add(), and
 * from then on sees its registers through the bus regions it gave to its BARs; where the guest
 * puts them is not its business.
 *
 * Locks, outermost first: pci host lock (configuration space, BAR moves) - region lock of the
 * device - MSI-X lock - INTx lock - board/irq. The host lock is never taken from a device
 * callback that holds a device's own lock.
 */
#ifndef DEV_PCI_DEVICE_H
#define DEV_PCI_DEVICE_H

#include "board/device.h"
#include "lib/types.h"
#include "spec/pci.h"

#define PCI_MSIX_VECTORS_MAX 64

struct pci_host;
struct pci_device;

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

struct pci_bar {
	enum pci_bar_kind kind;
	u64 size;		   /* power of two: I/O 4.. , memory 4096.. */
	struct bus_region *region; /* the device's; base belongs to this room */
	bool conflict;		   /* enabled, but something else answers there */
};

struct pci_msix_entry {
	u32 addr_lo, addr_hi, data, ctrl;
};

struct pci_msix {
	pthread_mutex_t lock;
	struct bus_region region;
	struct pci_msix_entry entry[PCI_MSIX_VECTORS_MAX];
	u64 pending;
	u16 vectors; /* 0: the device has no MSI-X */
	u8 cap;	     /* offset of the capability */
	bool enabled, masked;
};

/* Optional: a device's say in its own configuration space. Host lock held. */
struct pci_device_ops {
	/* True when it answered *value for this read. */
	bool (*config_read)(struct pci_device *pci, unsigned off, unsigned size, u32 *value);
	/* After the write was stored under the write masks. */
	void (*config_written)(struct pci_device *pci, unsigned off, unsigned size);
};

struct pci_device {
	struct device dev; /* first */
	struct pci_host *host;
	const struct pci_device_ops *ops;
	unsigned slot;
	char name[24];
	u8 config[PCIE_CONFIG_SIZE];
	u8 wmask[PCIE_CONFIG_SIZE]; /* bits the guest may change */
	u8 reset_config[PCIE_CONFIG_SIZE];
	struct pci_bar bar[PCI_BARS];
	struct pci_msix msix;
	u8 cap_next;	  /* first free byte for capabilities */
	u8 cap_last;	  /* offset of the last one, 0 = none */
	bool intx;	  /* the device asserts its pin; INTx lock */
	bool intx_driven; /* counted in the host's line; INTx lock */
};

struct pci_ids {
	u16 vendor, device;
	u16 subsystem_vendor, subsystem;
	u16 class_code; /* base << 8 | sub */
	u8 prog, revision;
	bool intx; /* has pin A */
};

/* ---- while opening a device -------------------------------------------------------------- */

/* Clears *pci's PCI part and sets the header. `name` is for logs. */
void pci_device_init(struct pci_device *pci, const char *name, const struct pci_ids *ids);

/* Gives BAR `index` to `region` (its size; name and callbacks by the device). A MEM64 BAR takes
 * index + 1 as well. */
void pci_bar_set(struct pci_device *pci, unsigned index, enum pci_bar_kind kind,
		 struct bus_region *region);

/* Room for a capability of `size` bytes whose first byte is id; returns its offset. */
u8 pci_cap_add(struct pci_device *pci, u8 id, u8 size);

/* MSI-X with a 4 KiB memory BAR of its own. */
int pci_msix_open(struct pci_device *pci, unsigned bar, unsigned vectors);
void pci_msix_close(struct pci_device *pci);

/* ---- at work ----------------------------------------------------------------------------- */

/* Interrupt pin A. Context: any. */
void pci_intx(struct pci_device *pci, bool level);

/* Sends vector n, or marks it pending while masked. False when MSI-X is off or n out of range:
 * the caller may use INTx then. Context: any. */
bool pci_msix_send(struct pci_device *pci, unsigned n);
bool pci_msix_enabled(struct pci_device *pci);

/* The guest lets this device read and write memory (COMMAND bit 2). Context: any. */
bool pci_bus_master(const struct pci_device *pci);

/* Configuration space as after pci_assign_bars(); line low, MSI-X off. Context: vCPUs stopped. */
void pci_device_reset(struct pci_device *pci);

/* For the host bridge. Host lock held. size 1, 2, 4, off + size <= 4096. */
u32 pci_config_read(struct pci_device *pci, unsigned off, unsigned size);
void pci_config_write(struct pci_device *pci, unsigned off, unsigned size, u32 value);
/* Where BAR n stands by the bytes of configuration space. */
u64 pci_bar_address(const struct pci_device *pci, unsigned n);
/* Puts every BAR's region where configuration space says. True when one was taken away. */
bool pci_bars_update(struct pci_device *pci);
void pci_bars_remove(struct pci_device *pci);
void pci_msix_config_changed(struct pci_device *pci);
void pci_msix_reset(struct pci_device *pci);

#endif
