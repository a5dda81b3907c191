/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci host: 8086:29c0 in slot 0, 8086:2918 in slot 31, and the bus between.
 *
 * Configuration mechanism #1 (PCI 3.0, 3.2.2.3.2): a dword at 0xcf8 selects, 0xcfc..0xcff access.
 * ECAM (PCI Express, 7.2.2): 4 KiB per function at PCIEXBAR, on from reset because Holm boots
 * kernels without firmware; the guest may move it. Only bus 0 has functions.
 *
 * INTx pins of several slots share a line (PIRQ A..H); it is high while any of them asserts. Line n
 * is IOAPIC pin 16 + n, and the ISA IRQ in the LPC bridge's PIRQ register for guests without an
 * IOAPIC driver. PAM and SMRAM are stored for firmware; the board does not act on them.
 *
 * Locks: `lock` serialises configuration space and BAR moves; `intx_lock` the shared lines.
 */
#include "dev/pci/host.h"

#include <stdlib.h>
#include <string.h>

#include "board/layout.h"
#include "host/fail.h"
#include "host/log.h"
#include "lib/bits.h"

#define PCI_LINES 8

struct pci_host {
	struct pci_device bridge; /* first: its struct device stands for the whole host */
	struct pci_device lpc;
	pthread_mutex_t lock;
	struct pci_device *slot[PCI_SLOTS];
	u32 address; /* 0xcf8 */
	struct bus_region port_address, port_data, ecam;
	pthread_mutex_t intx_lock;
	u32 line_users[PCI_LINES]; /* bit per slot that asserts */
	u16 pirq_level;		   /* ISA IRQs that are up for a line */
};

/* ---- configuration accesses: host->lock held --------------------------------------------- */

static u32 host_config_read(struct pci_host *host, unsigned bus, unsigned devfn, unsigned off,
			    unsigned size)
{
	struct pci_device *pci = bus || devfn & 7 ? NULL : host->slot[devfn >> 3];

	if (!pci)
		return (u32)mask64(size * 8);
	return pci_config_read(pci, off, size);
}

static void host_config_write(struct pci_host *host, unsigned bus, unsigned devfn, unsigned off,
			      unsigned size, u32 value)
{
	struct pci_device *pci = bus || devfn & 7 ? NULL : host->slot[devfn >> 3];

	if (pci)
		pci_config_write(pci, off, size, value);
}

static u64 host_address_read(void *arg, unused_arg u64 off, unused_arg unsigned size)
{
	struct pci_host *host = arg;

	return host->address;
}

static void host_address_write(void *arg, unused_arg u64 off, unused_arg unsigned size, u64 value)
{
	struct pci_host *host = arg;

	host->address = (u32)value & ~0x7f000003u;
}

static u64 host_data_read(void *arg, u64 off, unsigned size)
{
	struct pci_host *host = arg;
	u32 a = host->address;

	if (!(a & PCI_CONF1_ENABLE))
		return mask64(size * 8);
	return host_config_read(host, (a >> 16) & 0xff, (a >> 8) & 0xff, (a & 0xfc) + (u32)off,
				size);
}

static void host_data_write(void *arg, u64 off, unsigned size, u64 value)
{
	struct pci_host *host = arg;
	u32 a = host->address;

	if (a & PCI_CONF1_ENABLE)
		host_config_write(host, (a >> 16) & 0xff, (a >> 8) & 0xff, (a & 0xfc) + (u32)off,
				  size, (u32)value);
}

/* An access that crosses a function's 4 KiB has no meaning on PCI Express. */
static bool host_ecam_crosses(u64 off, unsigned size)
{
	return (off & 0xfff) + size > PCIE_CONFIG_SIZE;
}

static u64 host_ecam_read(void *arg, u64 off, unsigned size)
{
	if (host_ecam_crosses(off, size))
		return ~0ull;
	return host_config_read(arg, (unsigned)(off >> 20), (off >> 12) & 0xff, off & 0xfff, size);
}

static void host_ecam_write(void *arg, u64 off, unsigned size, u64 value)
{
	if (!host_ecam_crosses(off, size))
		host_config_write(arg, (unsigned)(off >> 20), (off >> 12) & 0xff, off & 0xfff, size,
				  (u32)value);
}

/* ---- the host bridge's own registers ----------------------------------------------------- */

/* PCIEXBAR: bit 0 enable, bits 2:1 length (256, 128, 64 MiB), base above. */
static void host_ecam_update(struct pci_host *host)
{
	u64 reg = ld64(host->bridge.config + Q35_PCIEXBAR);
	u64 size = LAYOUT_ECAM_SIZE >> ((reg >> 1) & 3);
	u64 base = reg & 0xfffffffffull & ~(size - 1);
	bool on = (reg & Q35_PCIEXBAR_ENABLE) && ((reg >> 1) & 3) != 3;

	if (host->ecam.added && on && host->ecam.base == base && host->ecam.size == size)
		return;
	bus_remove(host->bridge.dev.board->bus, BUS_MMIO, &host->ecam);
	if (!on)
		return;
	host->ecam.base = base;
	host->ecam.size = size;
	if (bus_add(host->bridge.dev.board->bus, BUS_MMIO, &host->ecam)) {
		LOG_GUEST("PCIEXBAR: %s", fail_text());
		fail_clear();
	}
}

static void host_bridge_written(struct pci_device *pci, unsigned off, unsigned size)
{
	struct pci_host *host = container_of(pci, struct pci_host, bridge);

	if (off < Q35_PCIEXBAR + 8 && off + size > Q35_PCIEXBAR)
		host_ecam_update(host);
}

static const struct pci_device_ops host_bridge_ops = {.config_written = host_bridge_written};

/* ---- what devices need ------------------------------------------------------------------- */

void pci_host_bars_changed(struct pci_host *host, struct pci_device *pci)
{
	if (!pci_bars_update(pci))
		return;
	/* Addresses came free: someone's BAR may have waited for them. */
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		for (unsigned n = 0; host->slot[i] && n < PCI_BARS; n++)
			if (host->slot[i]->bar[n].conflict) {
				pci_bars_update(host->slot[i]);
				break;
			}
}

unsigned pci_slot_gsi(unsigned slot)
{
	return LAYOUT_GSI_PCI + (slot & (PCI_LINES - 1));
}

unsigned pci_slot_irq(unsigned slot)
{
	return slot & 1 ? LAYOUT_IRQ_PCI_ODD : LAYOUT_IRQ_PCI_EVEN;
}

static unsigned host_pirq_register(unsigned line)
{
	return line < 4 ? ICH9_PIRQA + line : ICH9_PIRQE + line - 4;
}

/* intx_lock held. The ISA IRQs as lines and PIRQ registers want them (ICH9 data sheet, 13.1.13). */
static void host_pirq_drive(struct pci_host *host)
{
	u16 level = 0, changed;

	for (unsigned line = 0; line < PCI_LINES; line++) {
		u8 *reg = &host->lpc.config[host_pirq_register(line)];
		u8 route = __atomic_load_n(reg, __ATOMIC_RELAXED);

		if (host->line_users[line] && !(route & ICH9_PIRQ_DISABLED))
			level |= (u16)(BIT(route & 15) & ICH9_PIRQ_IRQS);
	}
	changed = level ^ host->pirq_level;
	host->pirq_level = level;
	for (unsigned irq = 0; irq < 16; irq++)
		if (changed & BIT(irq))
			irq_line_from(&host->bridge.dev.board->irq, IRQ_FROM_PIRQ, irq,
				      level & BIT(irq));
}

static void host_pirq_update(struct pci_host *host)
{
	pthread_mutex_lock(&host->intx_lock);
	host_pirq_drive(host);
	pthread_mutex_unlock(&host->intx_lock);
}

static void host_lpc_written(struct pci_device *pci, unsigned off, unsigned size)
{
	if (off < ICH9_PIRQE + 4 && off + size > ICH9_PIRQA)
		host_pirq_update(container_of(pci, struct pci_host, lpc));
}

static const struct pci_device_ops host_lpc_ops = {.config_written = host_lpc_written};

/* intx_lock held. */
static void host_intx_drive(struct pci_host *host, struct pci_device *pci)
{
	unsigned line = pci->slot & (PCI_LINES - 1);
	u8 command_high = __atomic_load_n(&pci->config[PCI_COMMAND + 1], __ATOMIC_RELAXED);
	bool drive = pci->intx && !(command_high & (PCI_COMMAND_INTX_DISABLE >> 8));
	u32 before = host->line_users[line], after;

	if (drive == pci->intx_driven)
		return;
	pci->intx_driven = drive;
	after = drive ? before | BIT(pci->slot) : before & ~BIT(pci->slot);
	host->line_users[line] = after;
	if (!before == !after)
		return;
	irq_line(&pci->dev.board->irq, pci_slot_gsi(pci->slot), after != 0);
	host_pirq_drive(host);
}

void pci_host_intx_update(struct pci_host *host, struct pci_device *pci)
{
	pthread_mutex_lock(&host->intx_lock);
	host_intx_drive(host, pci);
	pthread_mutex_unlock(&host->intx_lock);
}

void pci_host_intx_set(struct pci_host *host, struct pci_device *pci, bool level)
{
	pthread_mutex_lock(&host->intx_lock);
	__atomic_store_n(&pci->intx, level, __ATOMIC_RELAXED);
	host_intx_drive(host, pci);
	pthread_mutex_unlock(&host->intx_lock);
}

void pci_host_device_reset(struct pci_host *host, struct pci_device *pci)
{
	pthread_mutex_lock(&host->lock);
	pci_host_intx_set(host, pci, false);
	memcpy(pci->config, pci->reset_config, sizeof(pci->config));
	pci_msix_reset(pci);
	pci_host_bars_changed(host, pci);
	pthread_mutex_unlock(&host->lock);
}

struct pci_device *pci_host_slot(struct pci_host *host, unsigned slot)
{
	return slot < PCI_SLOTS ? host->slot[slot] : NULL;
}

int pci_device_add(struct pci_host *host, struct pci_device *pci, unsigned slot)
{
	if (slot >= PCI_SLOTS)
		return FAIL(-EINVAL, "%s: PCI slot %u; bus 0 has 0 to 31", pci->name, slot);
	if (host->slot[slot])
		return FAIL(-EBUSY, "%s: PCI slot %u already holds %s", pci->name, slot,
			    host->slot[slot]->name);
	pci->host = host;
	pci->slot = slot;
	pci->dev.board = host->bridge.dev.board;
	memcpy(pci->reset_config, pci->config, sizeof(pci->config));
	pthread_mutex_lock(&host->lock);
	host->slot[slot] = pci;
	pthread_mutex_unlock(&host->lock);
	return 0;
}

void pci_device_remove(struct pci_device *pci)
{
	struct pci_host *host = pci->host;

	if (!host || host->slot[pci->slot] != pci)
		return;
	pthread_mutex_lock(&host->lock);
	pci_host_intx_set(host, pci, false);
	host->slot[pci->slot] = NULL;
	pthread_mutex_unlock(&host->lock);
	/* Without the lock: a vCPU inside a BAR's callback is waited for here. */
	pci_bars_remove(pci);
}

/* ---- life cycle -------------------------------------------------------------------------- */

static void host_reset(struct device *dev)
{
	struct pci_host *host = (struct pci_host *)dev;

	pci_device_reset(&host->bridge);
	pci_device_reset(&host->lpc);
	pthread_mutex_lock(&host->lock);
	host->address = 0;
	host_ecam_update(host);
	host_pirq_update(host);
	pthread_mutex_unlock(&host->lock);
}

static void host_close(struct device *dev)
{
	struct pci_host *host = (struct pci_host *)dev;
	struct bus *bus = dev->board->bus;

	bus_remove(bus, BUS_MMIO, &host->ecam);
	bus_remove(bus, BUS_PIO, &host->port_data);
	bus_remove(bus, BUS_PIO, &host->port_address);
	pthread_mutex_destroy(&host->intx_lock);
	pthread_mutex_destroy(&host->lock);
	free(host);
}

static const struct device_class host_class = {
	.name = "pci-host",
	.close = host_close,
	.reset = host_reset,
};

struct device *pci_host_device(struct pci_host *host)
{
	return &host->bridge.dev;
}

static void host_bridge_init(struct pci_host *host)
{
	struct pci_device *bridge = &host->bridge;
	const struct pci_ids ids = {.vendor = PCI_VENDOR_INTEL,
				    .device = PCI_DEVICE_Q35_HOST,
				    .class_code = PCI_CLASS_BRIDGE_HOST};

	pci_device_init(bridge, "host bridge", &ids);
	bridge->ops = &host_bridge_ops;
	st64(bridge->config + Q35_PCIEXBAR, LAYOUT_ECAM | Q35_PCIEXBAR_ENABLE);
	st64(bridge->wmask + Q35_PCIEXBAR, 0xffc000007ull);
	/* What is true here: C0000..FFFFF is RAM, read and written. */
	bridge->config[Q35_PAM0] = 0x30;
	memset(bridge->config + Q35_PAM0 + 1, 0x33, Q35_PAMS - 1);
	memset(bridge->wmask + Q35_PAM0, 0x33, Q35_PAMS);
	bridge->wmask[Q35_SMRAM] = 0x7f;
}

static void host_lpc_init(struct pci_host *host)
{
	struct pci_device *lpc = &host->lpc;
	const struct pci_ids ids = {.vendor = PCI_VENDOR_INTEL,
				    .device = PCI_DEVICE_ICH9_LPC,
				    .class_code = PCI_CLASS_BRIDGE_ISA,
				    .revision = 2};

	pci_device_init(lpc, "lpc bridge", &ids);
	lpc->ops = &host_lpc_ops;
	st16(lpc->config + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	st16(lpc->wmask + PCI_COMMAND, PCI_COMMAND_SERR | PCI_COMMAND_PARITY);
	st32(lpc->config + ICH9_PMBASE, LAYOUT_PORT_PM | ICH9_PMBASE_IO);
	lpc->config[ICH9_ACPI_CNTL] = ICH9_ACPI_CNTL_ENABLE;
	for (unsigned line = 0; line < PCI_LINES; line++) {
		lpc->config[host_pirq_register(line)] = (u8)pci_slot_irq(line);
		lpc->wmask[host_pirq_register(line)] = 0x8f;
	}
	/* RCBA reads 0: there is no root complex register block to point at. */
}

static int host_regions_add(struct pci_host *host)
{
	struct bus *bus = host->bridge.dev.board->bus;
	int rc;

	host->port_address = (struct bus_region){.name = "pci address",
						 .base = LAYOUT_PORT_PCI_ADDR,
						 .size = 4,
						 .read = host_address_read,
						 .write = host_address_write,
						 .arg = host,
						 .lock = &host->lock,
						 .dword_only = true};
	host->port_data = (struct bus_region){.name = "pci data",
					      .base = LAYOUT_PORT_PCI_DATA,
					      .size = 4,
					      .read = host_data_read,
					      .write = host_data_write,
					      .arg = host,
					      .lock = &host->lock};
	host->ecam = (struct bus_region){.name = "pci ecam",
					 .base = LAYOUT_ECAM,
					 .size = LAYOUT_ECAM_SIZE,
					 .read = host_ecam_read,
					 .write = host_ecam_write,
					 .arg = host,
					 .lock = &host->lock,
					 .max_size = 4};
	rc = bus_add(bus, BUS_PIO, &host->port_address);
	if (!rc)
		rc = bus_add(bus, BUS_PIO, &host->port_data);
	if (!rc)
		rc = bus_add(bus, BUS_MMIO, &host->ecam);
	return rc;
}

int pci_host_open(struct board *board, struct pci_host **out)
{
	struct pci_host *host = calloc(1, sizeof(*host));
	int rc;

	if (!host)
		return FAIL(-ENOMEM, "pci: out of memory");
	pthread_mutex_init(&host->lock, NULL);
	pthread_mutex_init(&host->intx_lock, NULL);
	host->bridge.dev = (struct device){.cls = &host_class, .board = board};
	host_bridge_init(host);
	host_lpc_init(host);
	rc = host_regions_add(host);
	if (!rc)
		rc = pci_device_add(host, &host->bridge, LAYOUT_SLOT_HOST);
	if (!rc)
		rc = pci_device_add(host, &host->lpc, LAYOUT_SLOT_LPC);
	if (rc) {
		host_close(&host->bridge.dev);
		return rc;
	}
	*out = host;
	return 0;
}
