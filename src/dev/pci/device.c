/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci device: configuration space under write masks, and BARs that follow it.
 *
 * Entered from the host bridge (guest's configuration accesses, vCPU threads, host lock held), from
 * devices while they open, and from any thread for the bus-master question. Owns the bytes of
 * configuration space; the regions behind BARs belong to the devices.
 *
 * Follows PCI 3.0 chapter 6. A guest can write any BAR value at any time: a BAR that would cover
 * somebody else's addresses is simply not mapped until the conflict ends.
 */
#include "dev/pci/device.h"

#include <stdio.h>
#include <string.h>

#include "dev/pci/host.h"
#include "host/fail.h"
#include "host/log.h"
#include "lib/bits.h"

/* ---- opening ----------------------------------------------------------------------------- */

void pci_device_init(struct pci_device *pci, const char *name, const struct pci_ids *ids)
{
	u8 *config = pci->config;

	memset(config, 0, sizeof(pci->config));
	memset(pci->wmask, 0, sizeof(pci->wmask));
	memset(pci->bar, 0, sizeof(pci->bar));
	snprintf(pci->name, sizeof(pci->name), "%s", name);
	st16(config + PCI_VENDOR_ID, ids->vendor);
	st16(config + PCI_DEVICE_ID, ids->device);
	st16(config + PCI_CLASS_DEVICE, ids->class_code);
	st16(config + PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor);
	st16(config + PCI_SUBSYSTEM_ID, ids->subsystem);
	config[PCI_CLASS_PROG] = ids->prog;
	config[PCI_REVISION_ID] = ids->revision;
	config[PCI_INTERRUPT_PIN] = ids->intx ? 1 : 0;
	st16(pci->wmask + PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
					       (ids->intx ? PCI_COMMAND_INTX_DISABLE : 0));
	pci->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
	pci->wmask[PCI_INTERRUPT_LINE] = 0xff;
	pci->cap_next = 0x40;
	pci->cap_last = 0;
	pci->intx = pci->intx_driven = false;
}

void pci_bar_set(struct pci_device *pci, unsigned index, enum pci_bar_kind kind,
		 struct bus_region *region)
{
	unsigned reg = PCI_BASE_ADDRESS_0 + index * 4;
	bool wide = kind == PCI_BAR_MEM64;
	u64 least = kind == PCI_BAR_IO ? 4 : 4096;
	u64 mask = ~(region->size - 1);

	ASSERT(index + wide < PCI_BARS && pci->bar[index].kind == PCI_BAR_NONE &&
		       is_pow2(region->size) && region->size >= least,
	       "a device asks for an impossible BAR");
	pci->bar[index] = (struct pci_bar){.kind = kind, .size = region->size, .region = region};
	st32(pci->config + reg, kind == PCI_BAR_IO ? PCI_BASE_ADDRESS_IO
				: wide		   ? PCI_BASE_ADDRESS_MEM_64
						   : 0);
	st32(pci->wmask + reg, (u32)mask);
	if (wide)
		st32(pci->wmask + reg + 4, (u32)(mask >> 32));
	st16(pci->wmask + PCI_COMMAND,
	     ld16(pci->wmask + PCI_COMMAND) |
		     (kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY));
}

u8 pci_cap_add(struct pci_device *pci, u8 id, u8 size)
{
	u8 at = pci->cap_next;

	ASSERT(at + size <= PCI_CONFIG_SIZE, "a device has too many capabilities");
	pci->config[at] = id;
	pci->config[at + 1] = 0;
	if (pci->cap_last)
		pci->config[pci->cap_last + 1] = at;
	else
		pci->config[PCI_CAPABILITY_LIST] = at;
	st16(pci->config + PCI_STATUS, ld16(pci->config + PCI_STATUS) | PCI_STATUS_CAP_LIST);
	pci->cap_last = at;
	pci->cap_next = (u8)round_up64((u64)at + size, 4);
	return at;
}

/* ---- BARs -------------------------------------------------------------------------------- */

u64 pci_bar_address(const struct pci_device *pci, unsigned n)
{
	const u8 *reg = pci->config + PCI_BASE_ADDRESS_0 + n * 4;

	switch (pci->bar[n].kind) {
	case PCI_BAR_IO: return ld32(reg) & PCI_BASE_ADDRESS_IO_MASK;
	case PCI_BAR_MEM32: return ld32(reg) & PCI_BASE_ADDRESS_MEM_MASK;
	case PCI_BAR_MEM64:
		return (ld32(reg) & PCI_BASE_ADDRESS_MEM_MASK) | (u64)ld32(reg + 4) << 32;
	default: return 0;
	}
}

static enum bus_space pci_bar_space(const struct pci_bar *bar)
{
	return bar->kind == PCI_BAR_IO ? BUS_PIO : BUS_MMIO;
}

/* Decoding is on and the address is one the kind of BAR can have. Address 0 is "not set", and the
 * all-ones of a guest that sizes the BAR must not flash up in the map. */
static bool pci_bar_wanted(const struct pci_device *pci, unsigned n, u64 addr)
{
	const struct pci_bar *bar = &pci->bar[n];
	u16 command = ld16(pci->config + PCI_COMMAND);

	if (bar->kind == PCI_BAR_NONE || !addr)
		return false;
	if (bar->kind == PCI_BAR_IO)
		return (command & PCI_COMMAND_IO) && addr + bar->size <= 0x10000;
	if (!(command & PCI_COMMAND_MEMORY))
		return false;
	if (bar->kind == PCI_BAR_MEM32)
		return addr + bar->size < 0x100000000ull;
	return addr + bar->size > addr && addr + bar->size < 1ull << 52;
}

bool pci_bars_update(struct pci_device *pci)
{
	struct bus *bus = pci->dev.board->bus;
	bool removed = false;

	for (unsigned n = 0; n < PCI_BARS; n++) {
		struct pci_bar *bar = &pci->bar[n];
		u64 addr = pci_bar_address(pci, n);
		bool wanted = pci_bar_wanted(pci, n, addr);

		if (!bar->region)
			continue;
		if (bar->region->added && (!wanted || bar->region->base != addr)) {
			bus_remove(bus, pci_bar_space(bar), bar->region);
			removed = true;
		}
		if (!wanted || bar->region->added) {
			bar->conflict = false;
			continue;
		}
		bar->region->base = addr;
		if (bus_add(bus, pci_bar_space(bar), bar->region)) {
			if (!bar->conflict)
				LOG_GUEST("%s: %s", pci->name, fail_text());
			fail_clear();
			bar->conflict = true;
		} else {
			bar->conflict = false;
		}
	}
	return removed;
}

void pci_bars_remove(struct pci_device *pci)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		struct pci_bar *bar = &pci->bar[n];

		if (bar->region && bar->region->added)
			bus_remove(pci->dev.board->bus, pci_bar_space(bar), bar->region);
	}
}

/* ---- configuration space ----------------------------------------------------------------- */

u32 pci_config_read(struct pci_device *pci, unsigned off, unsigned size)
{
	u32 value;

	if (pci->ops && pci->ops->config_read && pci->ops->config_read(pci, off, size, &value))
		return value;
	value = (u32)ld_size(pci->config + off, size);
	if (off <= PCI_STATUS && off + size > PCI_STATUS &&
	    __atomic_load_n(&pci->intx, __ATOMIC_RELAXED))
		value |= PCI_STATUS_INTERRUPT << (8 * (PCI_STATUS - off));
	return value;
}

static bool pci_touches(unsigned off, unsigned size, unsigned at, unsigned len)
{
	return off < at + len && off + size > at;
}

void pci_config_write(struct pci_device *pci, unsigned off, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size; i++) {
		u8 mask = pci->wmask[off + i];
		u8 byte = (u8)(value >> (8 * i));

		/* COMMAND is read by device threads: one byte at a time is enough for its bits. */
		__atomic_store_n(&pci->config[off + i],
				 (u8)((pci->config[off + i] & ~mask) | (byte & mask)),
				 __ATOMIC_RELAXED);
	}
	if (pci_touches(off, size, PCI_COMMAND, 2) ||
	    pci_touches(off, size, PCI_BASE_ADDRESS_0, PCI_BARS * 4))
		pci_host_bars_changed(pci->host, pci);
	if (pci_touches(off, size, PCI_COMMAND, 2))
		pci_host_intx_update(pci->host, pci);
	/* Messages are memory writes: what waited for bus mastering goes now. */
	if (pci->msix.vectors && (pci_touches(off, size, pci->msix.cap + PCI_MSIX_FLAGS, 2) ||
				  pci_touches(off, size, PCI_COMMAND, 2)))
		pci_msix_config_changed(pci);
	if (pci->ops && pci->ops->config_written)
		pci->ops->config_written(pci, off, size);
}

bool pci_bus_master(const struct pci_device *pci)
{
	return __atomic_load_n(&pci->config[PCI_COMMAND], __ATOMIC_RELAXED) & PCI_COMMAND_MASTER;
}

void pci_intx(struct pci_device *pci, bool level)
{
	if (!pci->config[PCI_INTERRUPT_PIN])
		return;
	pci_host_intx_set(pci->host, pci, level);
}

void pci_device_reset(struct pci_device *pci)
{
	pci_host_device_reset(pci->host, pci);
}
