/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assign: the part of a firmware's work that Holm does itself: where each BAR stands at power-on.
 *
 * Slots in rising order, largest alignment first is not needed: BARs are small and the windows
 * wide; each is placed at the next multiple of its size. The outcome depends only on which device
 * sits in which slot, so a saved machine finds its BARs again.
 *
 * Context: loop thread, vCPUs stopped.
 */
#include <string.h>

#include "board/layout.h"
#include "dev/pci/host.h"
#include "host/fail.h"
#include "lib/bits.h"

struct window {
	u64 next, end;
};

struct windows {
	struct window io, mem32, mem64;
};

static int assign_bar(struct pci_device *pci, unsigned n, struct windows *windows)
{
	struct pci_bar *bar = &pci->bar[n];
	struct window *window = bar->kind == PCI_BAR_IO	     ? &windows->io
				: bar->kind == PCI_BAR_MEM64 ? &windows->mem64
							     : &windows->mem32;
	u8 *reg = pci->config + PCI_BASE_ADDRESS_0 + n * 4;
	u64 at = round_up64(window->next, bar->size);

	if (at + bar->size > window->end)
		return FAIL(-ENOSPC, "%s: no room for a BAR of %llu KiB; give the VM fewer devices",
			    pci->name, (unsigned long long)(bar->size >> 10));
	window->next = at + bar->size;
	st32(reg, ld32(reg) | (u32)at);
	if (bar->kind == PCI_BAR_MEM64)
		st32(reg + 4, (u32)(at >> 32));
	return 0;
}

static int assign_device(struct pci_device *pci, struct windows *windows)
{
	u16 command = ld16(pci->reset_config + PCI_COMMAND);
	int rc;

	memcpy(pci->config, pci->reset_config, sizeof(pci->config));
	for (unsigned n = 0; n < PCI_BARS; n++) {
		u32 low = ld32(pci->config + PCI_BASE_ADDRESS_0 + n * 4);

		if (pci->bar[n].kind == PCI_BAR_NONE)
			continue;
		/* Assigned before: start again from the type bits. */
		low &= pci->bar[n].kind == PCI_BAR_IO ? 3u : 15u;
		st32(pci->config + PCI_BASE_ADDRESS_0 + n * 4, low);
		rc = assign_bar(pci, n, windows);
		if (rc)
			return rc;
		command |= pci->bar[n].kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
		command |= PCI_COMMAND_MASTER;
	}
	st16(pci->config + PCI_COMMAND, command);
	/* For a guest that knows the 8259 pair only. */
	if (pci->config[PCI_INTERRUPT_PIN])
		pci->config[PCI_INTERRUPT_LINE] = (u8)pci_slot_irq(pci->slot);
	memcpy(pci->reset_config, pci->config, sizeof(pci->config));
	return 0;
}

int pci_assign_bars(struct pci_host *host)
{
	struct windows windows = {
		.io = {LAYOUT_PCI_IO, LAYOUT_PCI_IO_END},
		.mem32 = {LAYOUT_PCI32, LAYOUT_PCI32_END},
		.mem64 = {LAYOUT_PCI64, LAYOUT_PCI64_END},
	};

	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		struct pci_device *pci = pci_host_slot(host, slot);
		int rc = pci ? assign_device(pci, &windows) : 0;

		if (rc)
			return rc;
	}
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		struct pci_device *pci = pci_host_slot(host, slot);

		if (pci)
			pci_device_reset(pci);
	}
	return 0;
}
