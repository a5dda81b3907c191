/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout: the frozen map of machine `holm-1`: addresses, ports, interrupt pins, PCI slots.
 *
 * This is identity: saved states and installed guests depend on it, so a number here never changes;
 * a new machine name gets a new table. The shape is that of Intel's Q35 + ICH9.
 *
 * Entered by: dev, boot, vm, engine. Numbers only.
 */
#ifndef BOARD_LAYOUT_H
#define BOARD_LAYOUT_H

#define MACHINE_NAME "holm-1"

/* Guest-physical memory. RAM: [0, low) but for the VGA hole, and [4 GiB, ...);
 * low = min(RAM, LAYOUT_LOW_RAM_MAX). */
#define LAYOUT_LOW_RAM_MAX 0x80000000ull
#define LAYOUT_HIGH_RAM	   0x100000000ull
#define LAYOUT_ECAM	   0xb0000000ull /* 256 buses */
#define LAYOUT_ECAM_SIZE   0x10000000ull
#define LAYOUT_PCI32	   0xc0000000ull /* 32-bit BAR window */
#define LAYOUT_PCI32_END   0xfec00000ull
#define LAYOUT_IOAPIC	   0xfec00000ull
#define LAYOUT_HPET	   0xfed00000ull
#define LAYOUT_LAPIC	   0xfee00000ull
#define LAYOUT_PCI64	   0x8000000000ull /* 64-bit BAR window: 512 GiB .. 1 TiB (MAXPHYADDR 40) */
#define LAYOUT_PCI64_END   0x10000000000ull
#define LAYOUT_RAM_MAX	   0x7f00000000ull /* what fits below the 64-bit window */
#define LAYOUT_MAXPHYADDR  40

/* Below 1 MiB. */
#define LAYOUT_EBDA	   0x9fc00u
#define LAYOUT_VGA_HOLE	   0xa0000u /* nobody answers: there is no VGA to be found */
#define LAYOUT_VGA_END	   0xc0000u
#define LAYOUT_BIOS_AREA   0xe0000u /* RSDP and SMBIOS anchors live in 0xf0000.. */
#define LAYOUT_BIOS_TABLES 0xf0000u

/* Ports. */
#define LAYOUT_PORT_PIC0       0x020
#define LAYOUT_PORT_PIC1       0x0a0
#define LAYOUT_PORT_ELCR       0x4d0
#define LAYOUT_PORT_PIT	       0x040
#define LAYOUT_PORT_SYSCTL_B   0x061
#define LAYOUT_PORT_I8042_DATA 0x060
#define LAYOUT_PORT_I8042_CMD  0x064
#define LAYOUT_PORT_RTC	       0x070
#define LAYOUT_PORT_SYSCTL_A   0x092
#define LAYOUT_PORT_SMI_CMD    0x0b2 /* ACPI enable/disable: 2 = enable, 3 = disable */
#define LAYOUT_PORT_COM1       0x3f8
#define LAYOUT_PORT_COM2       0x2f8
#define LAYOUT_PORT_DEBUG_EXIT 0x501
#define LAYOUT_PORT_PVPANIC    0x505
#define LAYOUT_PORT_FW_CFG     0x510
#define LAYOUT_PORT_PM	       0x600 /* PM1a_EVT +0, PM1a_CNT +4, PM_TMR +8, GPE0 +0x20, SMI +0x30 */
#define LAYOUT_PORT_PCI_ADDR   0xcf8
#define LAYOUT_PORT_RESET      0xcf9
#define LAYOUT_PORT_PCI_DATA   0xcfc
#define LAYOUT_PCI_IO	       0xc000u /* I/O BAR window 0xc000..0xffff */
#define LAYOUT_PCI_IO_END      0x10000u

/* Interrupts (GSI). ISA IRQ0 arrives on GSI 2. */
#define LAYOUT_GSI_PIT	2
#define LAYOUT_GSI_KBD	1
#define LAYOUT_GSI_COM2 3
#define LAYOUT_GSI_COM1 4
#define LAYOUT_GSI_RTC	8
#define LAYOUT_GSI_SCI	9
#define LAYOUT_GSI_AUX	12
#define LAYOUT_GSI_PCI	16 /* INTx of slot s, pin p (A=0): 16 + ((s + p) & 7) */
/* The same INTx at the 8259 pair: by the low bit of s + p. */
#define LAYOUT_IRQ_PCI_EVEN 10
#define LAYOUT_IRQ_PCI_ODD  11
#define LAYOUT_IOAPIC_ID    0 /* its id register; MADT says the same */

/* PCI slots of bus 0. */
#define LAYOUT_SLOT_HOST    0 /* 8086:29c0 */
#define LAYOUT_SLOT_RNG	    2
#define LAYOUT_SLOT_CONSOLE 3
#define LAYOUT_SLOT_DISK0   4 /* disks take 4..19, NICs 20..27 in the order of the VM file */
#define LAYOUT_SLOT_DISKS   16
#define LAYOUT_SLOT_NIC0    20
#define LAYOUT_SLOT_LPC	    31 /* 8086:2918 */

#endif
