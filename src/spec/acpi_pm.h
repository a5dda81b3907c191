/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acpi_pm: ACPI fixed hardware registers, bits and the offsets of Holm's PM block.
 *
 * ACPI specification 6.5, chapter 4.8. Shared by dev/chipset/pm (which answers) and boot/acpi
 * (which says so in FADT and _S5).
 */
#ifndef SPEC_ACPI_PM_H
#define SPEC_ACPI_PM_H

/* Offsets from LAYOUT_PORT_PM (the shape of ICH9's PMBASE, ICH9 data sheet 13.8.3). */
#define ACPI_PM1_STS	 0x00
#define ACPI_PM1_EN	 0x02
#define ACPI_PM1_EVT_LEN 4
#define ACPI_PM1_CNT	 0x04
#define ACPI_PM1_CNT_LEN 2
#define ACPI_PM_TMR	 0x08
#define ACPI_PM_TMR_LEN	 4
#define ACPI_GPE0	 0x20 /* 8 bytes of status, 8 bytes of enable */
#define ACPI_GPE0_LEN	 16
#define ACPI_SMI_EN	 0x30
#define ACPI_SMI_STS	 0x34
#define ACPI_PM_LEN	 0x80

/* PM1 status and enable (4.8.3.1, tables 4.11 and 4.12) */
#define ACPI_PM1_TMR	0x0001
#define ACPI_PM1_BM	0x0010
#define ACPI_PM1_GBL	0x0020
#define ACPI_PM1_PWRBTN 0x0100
#define ACPI_PM1_SLPBTN 0x0200
#define ACPI_PM1_RTC	0x0400
#define ACPI_PM1_WAK	0x8000

/* PM1 control (4.8.3.2.1, table 4.13) */
#define ACPI_CNT_SCI_EN	       0x0001
#define ACPI_CNT_BM_RLD	       0x0002
#define ACPI_CNT_GBL_RLS       0x0004
#define ACPI_CNT_SLP_TYP_SHIFT 10
#define ACPI_CNT_SLP_TYP       0x1c00
#define ACPI_CNT_SLP_EN	       0x2000

/* What the _S5 package says, SLP_TYPa. */
#define ACPI_SLP_TYP_S5 7u

/* Values for the SMI command port (FADT ACPI_ENABLE, ACPI_DISABLE). */
#define ACPI_SMI_ENABLE	 2
#define ACPI_SMI_DISABLE 3

/* What the FADT's RESET_REG is written with (ICH9 data sheet 13.7.5, RST_CNT: hard reset). */
#define ACPI_RESET_VALUE 6

/* PM timer (4.8.3.3): 24 bits wide here, FADT flag TMR_VAL_EXT clear. */
#define ACPI_PM_TMR_HZ	 3579545u
#define ACPI_PM_TMR_BITS 24

#endif
