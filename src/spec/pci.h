/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci: numbers of PCI configuration space.
 *
 * Sources: PCI Local Bus Specification 3.0 (chapters 3.2.2.3 and 6, appendix H for capability ids),
 * PCI Express Base Specification (ECAM, 7.2.2), Intel 3 Series Express Chipset datasheet (host
 * bridge), Intel ICH9 datasheet (LPC bridge, chapter 13).
 */
#ifndef SPEC_PCI_H
#define SPEC_PCI_H

#define PCI_CONFIG_SIZE	 256
#define PCIE_CONFIG_SIZE 4096

/* Type 0 header (PCI 3.0, figure 6-1). */
#define PCI_VENDOR_ID		      0x00
#define PCI_DEVICE_ID		      0x02
#define PCI_COMMAND		      0x04
#define PCI_COMMAND_IO		      0x0001
#define PCI_COMMAND_MEMORY	      0x0002
#define PCI_COMMAND_MASTER	      0x0004
#define PCI_COMMAND_PARITY	      0x0040
#define PCI_COMMAND_SERR	      0x0100
#define PCI_COMMAND_INTX_DISABLE      0x0400
#define PCI_STATUS		      0x06
#define PCI_STATUS_INTERRUPT	      0x0008
#define PCI_STATUS_CAP_LIST	      0x0010
#define PCI_REVISION_ID		      0x08
#define PCI_CLASS_PROG		      0x09
#define PCI_CLASS_DEVICE	      0x0a
#define PCI_CACHE_LINE_SIZE	      0x0c
#define PCI_LATENCY_TIMER	      0x0d
#define PCI_HEADER_TYPE		      0x0e
#define PCI_BASE_ADDRESS_0	      0x10
#define PCI_BARS		      6
#define PCI_BASE_ADDRESS_IO	      0x1u
#define PCI_BASE_ADDRESS_IO_MASK      0xfffffffcu
#define PCI_BASE_ADDRESS_MEM_64	      0x4u
#define PCI_BASE_ADDRESS_MEM_PREFETCH 0x8u
#define PCI_BASE_ADDRESS_MEM_MASK     0xfffffff0u
#define PCI_SUBSYSTEM_VENDOR_ID	      0x2c
#define PCI_SUBSYSTEM_ID	      0x2e
#define PCI_CAPABILITY_LIST	      0x34
#define PCI_INTERRUPT_LINE	      0x3c
#define PCI_INTERRUPT_PIN	      0x3d

/* Capabilities (PCI 3.0, appendix H). */
#define PCI_CAP_ID_VENDOR 0x09
#define PCI_CAP_ID_MSIX	  0x11

/* MSI-X (PCI 3.0, 6.8.2). */
#define PCI_MSIX_CAP_SIZE	 12
#define PCI_MSIX_FLAGS		 2
#define PCI_MSIX_FLAGS_MASKALL	 0x4000
#define PCI_MSIX_FLAGS_ENABLE	 0x8000
#define PCI_MSIX_TABLE		 4
#define PCI_MSIX_PBA		 8
#define PCI_MSIX_ENTRY_SIZE	 16
#define PCI_MSIX_ENTRY_CTRL_MASK 0x1u

/* Configuration mechanism #1 (PCI 3.0, 3.2.2.3.2). */
#define PCI_CONF1_ENABLE 0x80000000u

/* Class codes (PCI 3.0, appendix D), base and sub class. */
#define PCI_CLASS_STORAGE_SCSI	      0x0100
#define PCI_CLASS_NETWORK_ETHERNET    0x0200
#define PCI_CLASS_BRIDGE_HOST	      0x0600
#define PCI_CLASS_BRIDGE_ISA	      0x0601
#define PCI_CLASS_COMMUNICATION_OTHER 0x0780
#define PCI_CLASS_SYSTEM_OTHER	      0x0880
#define PCI_CLASS_OTHERS	      0xff00

/* Intel Q35 host bridge. */
#define PCI_VENDOR_INTEL    0x8086
#define PCI_DEVICE_Q35_HOST 0x29c0
#define Q35_PCIEXBAR	    0x60
#define Q35_PCIEXBAR_ENABLE 0x1u
#define Q35_PAM0	    0x90
#define Q35_PAMS	    7
#define Q35_SMRAM	    0x9d

/* Intel ICH9 LPC bridge. */
#define PCI_DEVICE_ICH9_LPC   0x2918
#define ICH9_PMBASE	      0x40
#define ICH9_PMBASE_IO	      0x1u
#define ICH9_ACPI_CNTL	      0x44
#define ICH9_ACPI_CNTL_ENABLE 0x80
#define ICH9_PIRQA	      0x60
#define ICH9_PIRQE	      0x68
#define ICH9_PIRQ_DISABLED    0x80
#define ICH9_PIRQ_IRQS	      0xdef8 /* those a PIRQ may be routed to: 3..7, 9..12, 14, 15 */
#define ICH9_RCBA	      0xf0

#endif
