/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci host: the Q35 host bridge and the ICH9 LPC bridge: bus 0, its 32 slots, the two ways into
 * configuration space (ports 0xcf8/0xcfc, ECAM) and the interrupt pins.
 *
 * Order at start: pci_host_open, every device's open (which calls pci_device_add), pci_assign_bars.
 *
 * Context: open/add/assign/close: vCPUs stopped. The guest's accesses come from vCPU threads.
 */
#ifndef DEV_PCI_HOST_H
#define DEV_PCI_HOST_H

#include "dev/pci/device.h"

#define PCI_SLOTS 32

int pci_host_open(struct board *board, struct pci_host **out);

/* The host bridge as a device for the machine's list: reset and close (its close frees the host;
 * devices close before). Reset covers the LPC bridge too. */
struct device *pci_host_device(struct pci_host *host);

/* Plugs the function 0 of `slot`. -EBUSY when the slot is taken, -EINVAL above 31. */
int pci_device_add(struct pci_host *host, struct pci_device *pci, unsigned slot);
/* Unmaps its BARs and takes it off the bus. */
void pci_device_remove(struct pci_device *pci);

/* The firmware's job: gives every BAR an address (layout.h's windows), switches decoding and bus
 * mastering on, sets the interrupt lines. This is also the state that reset restores. */
int pci_assign_bars(struct pci_host *host);

/* Device in a slot, or NULL: for assignment and for listings. */
struct pci_device *pci_host_slot(struct pci_host *host, unsigned slot);

/* GSI of INTx pin A of a slot. */
unsigned pci_slot_gsi(unsigned slot);
/* The ISA IRQ it is routed to at power-on. */
unsigned pci_slot_irq(unsigned slot);

/* For device.c. Host lock held, except intx_set (any thread) and device_reset (vCPUs stopped). */
void pci_host_bars_changed(struct pci_host *host, struct pci_device *pci);
void pci_host_intx_update(struct pci_host *host, struct pci_device *pci);
void pci_host_intx_set(struct pci_host *host, struct pci_device *pci, bool level);
void pci_host_device_reset(struct pci_host *host, struct pci_device *pci);

#endif
