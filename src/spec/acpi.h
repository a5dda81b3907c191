/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acpi: table layouts, AML opcodes and resource descriptors.
 *
 * Source: ACPI 6.4: 5.2 (tables), 6.4 (resources), 20.2 (AML); PCI Firmware 3.2, 4.1.2 (MCFG);
 * IA-PC HPET 1.0a, 3.2.4; WAET 1.0.
 */
#ifndef SPEC_ACPI_H
#define SPEC_ACPI_H

#include "lib/types.h"

/* ---- tables (5.2) ------------------------------------------------------------------------ */

struct acpi_header {
	u8 signature[4];
	le32 length;
	u8 revision;
	u8 checksum;
	u8 oem_id[6];
	u8 oem_table_id[8];
	le32 oem_revision;
	u8 creator_id[4];
	le32 creator_revision;
} packed_struct;

struct acpi_rsdp {
	u8 signature[8]; /* "RSD PTR " */
	u8 checksum;	 /* first 20 bytes */
	u8 oem_id[6];
	u8 revision;
	le32 rsdt;
	le32 length;
	le64 xsdt;
	u8 ext_checksum; /* all */
	u8 reserved[3];
} packed_struct;

/* Generic address structure (5.2.3.2). */
struct acpi_gas {
	u8 space;
	u8 width;
	u8 offset;
	u8 access;
	le64 address;
} packed_struct;

#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_IO	  1
#define ACPI_ACCESS_BYTE  1
#define ACPI_ACCESS_WORD  2
#define ACPI_ACCESS_DWORD 3

struct acpi_fadt {
	struct acpi_header h;
	le32 firmware_ctrl;
	le32 dsdt;
	u8 reserved44;
	u8 pm_profile;
	le16 sci_int;
	le32 smi_cmd;
	u8 acpi_enable;
	u8 acpi_disable;
	u8 s4bios_req;
	u8 pstate_cnt;
	le32 pm1a_evt;
	le32 pm1b_evt;
	le32 pm1a_cnt;
	le32 pm1b_cnt;
	le32 pm2_cnt;
	le32 pm_tmr;
	le32 gpe0;
	le32 gpe1;
	u8 pm1_evt_len;
	u8 pm1_cnt_len;
	u8 pm2_cnt_len;
	u8 pm_tmr_len;
	u8 gpe0_len;
	u8 gpe1_len;
	u8 gpe1_base;
	u8 cst_cnt;
	le16 p_lvl2_lat;
	le16 p_lvl3_lat;
	le16 flush_size;
	le16 flush_stride;
	u8 duty_offset;
	u8 duty_width;
	u8 day_alrm;
	u8 mon_alrm;
	u8 century;
	le16 iapc_boot_arch;
	u8 reserved111;
	le32 flags;
	struct acpi_gas reset_reg;
	u8 reset_value;
	le16 arm_boot_arch;
	u8 minor;
	le64 x_firmware_ctrl;
	le64 x_dsdt;
	struct acpi_gas x_pm1a_evt;
	struct acpi_gas x_pm1b_evt;
	struct acpi_gas x_pm1a_cnt;
	struct acpi_gas x_pm1b_cnt;
	struct acpi_gas x_pm2_cnt;
	struct acpi_gas x_pm_tmr;
	struct acpi_gas x_gpe0;
	struct acpi_gas x_gpe1;
	struct acpi_gas sleep_control;
	struct acpi_gas sleep_status;
	u8 hypervisor_id[8];
} packed_struct;

/* FADT flags (table 5-10) */
#define FADT_WBINVD	   (1u << 0)
#define FADT_PROC_C1	   (1u << 2)
#define FADT_PWR_BUTTON	   (1u << 4) /* set: a control-method button, no fixed one */
#define FADT_SLP_BUTTON	   (1u << 5)
#define FADT_TMR_VAL_EXT   (1u << 8)
#define FADT_RESET_REG_SUP (1u << 10)

/* IAPC_BOOT_ARCH (table 5-11) */
#define FADT_LEGACY_DEVICES  (1u << 0)
#define FADT_8042	     (1u << 1)
#define FADT_VGA_NOT_PRESENT (1u << 2)

struct acpi_facs {
	u8 signature[4];
	le32 length;
	le32 hardware_signature;
	le32 waking_vector;
	le32 global_lock;
	le32 flags;
	le64 x_waking_vector;
	u8 version;
	u8 reserved33[3];
	le32 ospm_flags;
	u8 reserved40[24];
} packed_struct;

struct acpi_madt {
	struct acpi_header h;
	le32 lapic_address;
	le32 flags; /* bit 0: PCAT_COMPAT */
} packed_struct;

#define MADT_LAPIC	0
#define MADT_IOAPIC	1
#define MADT_OVERRIDE	2
#define MADT_LAPIC_NMI	4
#define MADT_X2APIC	9
#define MADT_X2APIC_NMI 10
#define MADT_ENABLED	1u
/* MPS INTI flags (table 5-26) */
#define MADT_INTI_HIGH	0x1u
#define MADT_INTI_LEVEL 0xcu

struct acpi_madt_lapic {
	u8 type, length, uid, apic_id;
	le32 flags;
} packed_struct;

struct acpi_madt_ioapic {
	u8 type, length, id, reserved;
	le32 address;
	le32 gsi_base;
} packed_struct;

struct acpi_madt_override {
	u8 type, length, bus, source;
	le32 gsi;
	le16 flags;
} packed_struct;

struct acpi_madt_lapic_nmi {
	u8 type, length, uid;
	le16 flags;
	u8 lint;
} packed_struct;

struct acpi_madt_x2apic {
	u8 type, length;
	le16 reserved;
	le32 x2apic_id;
	le32 flags;
	le32 uid;
} packed_struct;

struct acpi_madt_x2apic_nmi {
	u8 type, length;
	le16 flags;
	le32 uid;
	u8 lint;
	u8 reserved[3];
} packed_struct;

struct acpi_mcfg {
	struct acpi_header h;
	u8 reserved[8];
	le64 base;
	le16 segment;
	u8 bus_first, bus_last;
	u8 reserved2[4];
} packed_struct;

struct acpi_hpet {
	struct acpi_header h;
	le32 event_timer_block_id; /* low half of the capabilities register */
	struct acpi_gas address;
	u8 number;
	le16 min_tick;
	u8 page_protection;
} packed_struct;

struct acpi_waet {
	struct acpi_header h;
	le32 flags;
} packed_struct;

#define WAET_RTC_GOOD	   1u
#define WAET_PM_TIMER_GOOD 2u

_Static_assert(sizeof(struct acpi_header) == 36, "5.2.6");
_Static_assert(sizeof(struct acpi_rsdp) == 36, "5.2.5.3");
_Static_assert(sizeof(struct acpi_gas) == 12, "5.2.3.2");
_Static_assert(sizeof(struct acpi_fadt) == 276, "5.2.9");
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_pm1a_evt) == 148, "5.2.9");
_Static_assert(sizeof(struct acpi_facs) == 64, "5.2.10");
_Static_assert(sizeof(struct acpi_madt) == 44, "5.2.12");
_Static_assert(sizeof(struct acpi_madt_override) == 10, "5.2.12.5");
_Static_assert(sizeof(struct acpi_madt_lapic_nmi) == 6, "5.2.12.7");
_Static_assert(sizeof(struct acpi_madt_x2apic) == 16, "5.2.12.12");
_Static_assert(sizeof(struct acpi_mcfg) == 60, "PCI Firmware 4.1.2");
_Static_assert(sizeof(struct acpi_hpet) == 56, "HPET 3.2.4");

/* ---- AML (20.2) -------------------------------------------------------------------------- */

#define AML_ZERO	 0x00
#define AML_ONE		 0x01
#define AML_NAME	 0x08
#define AML_BYTE	 0x0a
#define AML_WORD	 0x0b
#define AML_DWORD	 0x0c
#define AML_STRING	 0x0d
#define AML_QWORD	 0x0e
#define AML_SCOPE	 0x10
#define AML_BUFFER	 0x11
#define AML_PACKAGE	 0x12
#define AML_METHOD	 0x14
#define AML_DUAL_NAME	 0x2e
#define AML_MULTI_NAME	 0x2f
#define AML_EXT		 0x5b
#define AML_EXT_DEVICE	 0x82
#define AML_LOCAL0	 0x60
#define AML_ARG0	 0x68
#define AML_STORE	 0x70
#define AML_AND		 0x7b
#define AML_OR		 0x7d
#define AML_CREATE_DWORD 0x8a
#define AML_LEQUAL	 0x93
#define AML_IF		 0xa0
#define AML_ELSE	 0xa1
#define AML_RETURN	 0xa4
#define AML_SERIALIZED	 0x08 /* MethodFlags bit 3 */

/* ---- resource descriptors (6.4) ---------------------------------------------------------- */

#define RES_IRQ_NOFLAGS	  0x22
#define RES_IO		  0x47
#define RES_END		  0x79
#define RES_MEM32_FIXED	  0x86
#define RES_DWORD	  0x87
#define RES_WORD	  0x88
#define RES_QWORD	  0x8a
#define RES_TYPE_MEM	  0
#define RES_TYPE_IO	  1
#define RES_TYPE_BUS	  2
#define RES_FIXED	  0x0c /* _MIF | _MAF, producer, positive decode */
#define RES_IO_ENTIRE	  0x03
#define RES_MEM_RW	  0x01
#define RES_MEM_CACHEABLE 0x02

#endif
