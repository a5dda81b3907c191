/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msix: a device's table of messages, its masks and its pending bits (PCI 3.0, 6.8.2).
 *
 * Table and pending bits live in one 4 KiB memory BAR: table at 0, PBA at 0x800. Entered by vCPUs
 * (table accesses, through the bus with `lock` held), by the host bridge (the enable and
 * function-mask bits) and by device threads that send.
 *
 * A message for a masked vector, or of a device that may not write memory (bus mastering off), is
 * remembered once and sent when that ends.
 */
#include "dev/pci/device.h"

#include <string.h>

#include "board/layout.h"
#include "host/fail.h"
#include "lib/bits.h"

#define MSIX_BAR_SIZE	0x1000
#define MSIX_PBA_OFFSET 0x800

/* Lock held. */
static void msix_deliver(struct pci_device *pci, unsigned n)
{
	const struct pci_msix_entry *entry = &pci->msix.entry[n];
	u64 addr = (u64)entry->addr_hi << 32 | (entry->addr_lo & ~3u);

	/* A message is a write like others (6.8.3.2): elsewhere it goes to memory, or to nobody. */
	if (addr >> 20 == LAYOUT_LAPIC >> 20)
		irq_msi(&pci->dev.board->irq, addr, entry->data);
	else
		ram_write(&pci->dev.board->ram, addr, &entry->data, sizeof(entry->data));
}

/* Lock held. Sends what is pending and no longer masked. */
static void msix_flush(struct pci_device *pci)
{
	struct pci_msix *msix = &pci->msix;
	u64 pending = msix->pending;

	if (!msix->enabled || msix->masked || !pci_bus_master(pci))
		return;
	while (pending) {
		unsigned n = (unsigned)__builtin_ctzll(pending);

		pending &= pending - 1;
		if (msix->entry[n].ctrl & PCI_MSIX_ENTRY_CTRL_MASK)
			continue;
		msix->pending &= ~BIT64(n);
		msix_deliver(pci, n);
	}
}

bool pci_msix_send(struct pci_device *pci, unsigned n)
{
	struct pci_msix *msix = &pci->msix;
	bool enabled;

	if (n >= msix->vectors)
		return false;
	pthread_mutex_lock(&msix->lock);
	enabled = msix->enabled;
	if (enabled) {
		if (msix->masked || (msix->entry[n].ctrl & PCI_MSIX_ENTRY_CTRL_MASK) ||
		    !pci_bus_master(pci))
			msix->pending |= BIT64(n);
		else
			msix_deliver(pci, n);
	}
	pthread_mutex_unlock(&msix->lock);
	return enabled;
}

bool pci_msix_enabled(struct pci_device *pci)
{
	return __atomic_load_n(&pci->msix.enabled, __ATOMIC_RELAXED);
}

void pci_msix_config_changed(struct pci_device *pci)
{
	struct pci_msix *msix = &pci->msix;
	u16 flags = ld16(pci->config + msix->cap + PCI_MSIX_FLAGS);

	pthread_mutex_lock(&msix->lock);
	__atomic_store_n(&msix->enabled, !!(flags & PCI_MSIX_FLAGS_ENABLE), __ATOMIC_RELAXED);
	msix->masked = flags & PCI_MSIX_FLAGS_MASKALL;
	msix_flush(pci);
	pthread_mutex_unlock(&msix->lock);
}

/* ---- the BAR: msix->lock held by the bus ------------------------------------------------- */

static u64 msix_bar_read(void *arg, u64 off, unsigned size)
{
	struct pci_device *pci = arg;
	struct pci_msix *msix = &pci->msix;

	if (off + size <= (u64)msix->vectors * PCI_MSIX_ENTRY_SIZE)
		return ld_size((const u8 *)msix->entry + off, size);
	if (off >= MSIX_PBA_OFFSET && off + size <= MSIX_PBA_OFFSET + 8)
		return ld_size((const u8 *)&msix->pending + (off - MSIX_PBA_OFFSET), size);
	return 0;
}

static void msix_bar_write(void *arg, u64 off, unsigned size, u64 value)
{
	struct pci_device *pci = arg;
	struct pci_msix *msix = &pci->msix;

	/* The specification allows aligned 4- and 8-byte accesses; others are dropped. */
	if (size < 4 || off % size || off + size > (u64)msix->vectors * PCI_MSIX_ENTRY_SIZE)
		return;
	st_size((u8 *)msix->entry + off, size, value);
	msix_flush(pci);
}

/* ---- open/close -------------------------------------------------------------------------- */

void pci_msix_reset(struct pci_device *pci)
{
	struct pci_msix *msix = &pci->msix;

	if (!msix->vectors)
		return;
	pthread_mutex_lock(&msix->lock);
	memset(msix->entry, 0, sizeof(msix->entry));
	for (unsigned n = 0; n < msix->vectors; n++)
		msix->entry[n].ctrl = PCI_MSIX_ENTRY_CTRL_MASK;
	msix->pending = 0;
	__atomic_store_n(&msix->enabled, false, __ATOMIC_RELAXED);
	msix->masked = false;
	pthread_mutex_unlock(&msix->lock);
}

int pci_msix_open(struct pci_device *pci, unsigned bar, unsigned vectors)
{
	struct pci_msix *msix = &pci->msix;
	u8 *cap;

	ASSERT(vectors && vectors <= PCI_MSIX_VECTORS_MAX, "too many MSI-X vectors");
	if (pthread_mutex_init(&msix->lock, NULL))
		return FAIL(-ENOMEM, "%s: no lock from the host", pci->name);
	msix->vectors = (u16)vectors;
	msix->region = (struct bus_region){.name = "msix",
					   .size = MSIX_BAR_SIZE,
					   .read = msix_bar_read,
					   .write = msix_bar_write,
					   .arg = pci,
					   .lock = &msix->lock};
	pci_bar_set(pci, bar, PCI_BAR_MEM32, &msix->region);
	msix->cap = pci_cap_add(pci, PCI_CAP_ID_MSIX, PCI_MSIX_CAP_SIZE);
	cap = pci->config + msix->cap;
	st16(cap + PCI_MSIX_FLAGS, (u16)(vectors - 1));
	st16(pci->wmask + msix->cap + PCI_MSIX_FLAGS,
	     PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	st32(cap + PCI_MSIX_TABLE, bar);
	st32(cap + PCI_MSIX_PBA, MSIX_PBA_OFFSET | bar);
	pci_msix_reset(pci);
	return 0;
}

void pci_msix_close(struct pci_device *pci)
{
	if (!pci->msix.vectors)
		return;
	pci->msix.vectors = 0;
	pthread_mutex_destroy(&pci->msix.lock);
}
