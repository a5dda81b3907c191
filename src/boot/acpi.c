/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acpi: the fixed tables: RSDP, XSDT, FADT, FACS, MADT, MCFG, HPET, WAET; the DSDT's body is in
 * dsdt.c.
 *
 * Tables are appended one after the other; the XSDT comes last, when all addresses are known.
 */
#include "boot/acpi.h"

#include <string.h>

#include "board/layout.h"
#include "host/fail.h"
#include "lib/bits.h"
#include "spec/acpi_pm.h"

#define ACPI_FADT_REVISION 6
#define ACPI_DSDT_REVISION 2 /* 64-bit integers */
#define ACPI_MADT_REVISION 5
#define ACPI_HPET_BLOCK_ID 0x8086a201u /* vendor, legacy route, 64 bit, 3 comparators, rev 1 */
#define ACPI_XAPIC_MAX	   255u	       /* ids below this fit a local APIC entry */
#define ACPI_CMOS_CENTURY  0x32
#define ACPI_ALL_CPUS	   0xffu
#define ACPI_ALL_CPUS_X2   0xffffffffu

/* ---- state ------------------------------------------------------------------------------- */

struct acpi_builder {
	const struct acpi_input *in;
	struct acpi_output *out;
	u64 table[ACPI_TABLES_MAX]; /* addresses for the XSDT */
	unsigned tables;
	bool overflow;
};

/* ---- helpers ----------------------------------------------------------------------------- */

static u8 acpi_sum(const void *data, size_t len)
{
	const u8 *p = data;
	u8 sum = 0;

	while (len--)
		sum = (u8)(sum + *p++);
	return sum;
}

static void acpi_header(struct acpi_header *h, const char *sig, u8 revision)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->signature, sig, sizeof(h->signature));
	h->revision = revision;
	memcpy(h->oem_id, "HOLM  ", sizeof(h->oem_id));
	memcpy(h->oem_table_id, "HOLM-1  ", sizeof(h->oem_table_id));
	h->oem_revision = 1;
	memcpy(h->creator_id, "HOLM", sizeof(h->creator_id));
	h->creator_revision = 1;
}

/* Opens a table at the end of the buffer; NULL (and overflow) when it cannot hold `len` more. */
static void *acpi_reserve(struct acpi_builder *b, u32 len)
{
	struct acpi_output *out = b->out;
	void *p = out->data + out->len;

	if (b->overflow || len > out->cap - out->len) {
		b->overflow = true;
		return NULL;
	}
	memset(p, 0, len);
	out->len += len;
	return p;
}

/* Length and checksum of the table that begins at `h` and ends the buffer; returns its address. */
static u64 acpi_close(struct acpi_builder *b, struct acpi_header *h)
{
	struct acpi_output *out = b->out;
	u32 at = (u32)((u8 *)h - out->data);

	h->length = out->len - at;
	h->checksum = 0;
	h->checksum = (u8)-acpi_sum(h, h->length);
	out->len = (u32)min_u64(round_up64(out->len, 64), out->cap);
	return b->in->base + at;
}

static void acpi_list(struct acpi_builder *b, u64 address)
{
	ASSERT(b->tables < ACPI_TABLES_MAX, "the XSDT holds every table we build");
	b->table[b->tables++] = address;
}

const struct device_desc *acpi_find_desc(const struct acpi_input *in, const char *hid)
{
	for (unsigned i = 0; i < in->desc_count; i++)
		if (!strcmp(in->descs[i].hid, hid))
			return &in->descs[i];
	return NULL;
}

static struct acpi_gas acpi_io(u64 port, u8 bytes, u8 access)
{
	return (struct acpi_gas){ACPI_SPACE_IO, (u8)(bytes * 8), 0, access, port};
}

/* ---- tables ------------------------------------------------------------------------------ */

static u64 acpi_build_dsdt(struct acpi_builder *b)
{
	struct acpi_header *h = acpi_reserve(b, sizeof(*h));
	struct acpi_output *out = b->out;
	struct aml a;

	if (!h)
		return 0;
	acpi_header(h, "DSDT", ACPI_DSDT_REVISION);
	aml_init(&a, out->data + out->len, out->cap - out->len);
	dsdt_write(&a, b->in);
	if (a.overflow || a.depth) {
		b->overflow = true;
		return 0;
	}
	out->len += a.len;
	return acpi_close(b, h);
}

static void acpi_fill_pm(struct acpi_fadt *f)
{
	const u16 pm = LAYOUT_PORT_PM;

	f->sci_int = LAYOUT_GSI_SCI;
	f->smi_cmd = LAYOUT_PORT_SMI_CMD;
	f->acpi_enable = ACPI_SMI_ENABLE;
	f->acpi_disable = ACPI_SMI_DISABLE;
	f->pm1a_evt = pm + ACPI_PM1_STS;
	f->pm1a_cnt = pm + ACPI_PM1_CNT;
	f->pm_tmr = pm + ACPI_PM_TMR;
	f->gpe0 = pm + ACPI_GPE0;
	f->pm1_evt_len = ACPI_PM1_EVT_LEN;
	f->pm1_cnt_len = ACPI_PM1_CNT_LEN;
	f->pm_tmr_len = ACPI_PM_TMR_LEN;
	f->gpe0_len = ACPI_GPE0_LEN;
	f->x_pm1a_evt = acpi_io(f->pm1a_evt, f->pm1_evt_len, ACPI_ACCESS_WORD);
	f->x_pm1a_cnt = acpi_io(f->pm1a_cnt, f->pm1_cnt_len, ACPI_ACCESS_WORD);
	f->x_pm_tmr = acpi_io(f->pm_tmr, f->pm_tmr_len, ACPI_ACCESS_DWORD);
	f->x_gpe0 = acpi_io(f->gpe0, f->gpe0_len, ACPI_ACCESS_BYTE);
}

static u64 acpi_build_fadt(struct acpi_builder *b, u64 dsdt)
{
	struct acpi_fadt *f = acpi_reserve(b, sizeof(*f));

	if (!f)
		return 0;
	acpi_header(&f->h, "FACP", ACPI_FADT_REVISION);
	f->firmware_ctrl = (u32)b->in->facs_gpa;
	f->dsdt = (u32)dsdt;
	f->x_dsdt = dsdt;
	acpi_fill_pm(f);
	f->p_lvl2_lat = 0xfff; /* over 100: no C2 */
	f->p_lvl3_lat = 0xfff; /* over 1000: no C3 */
	f->century = ACPI_CMOS_CENTURY;
	f->iapc_boot_arch = FADT_LEGACY_DEVICES | FADT_VGA_NOT_PRESENT;
	if (acpi_find_desc(b->in, "PNP0303"))
		f->iapc_boot_arch |= FADT_8042;
	/* No FADT_PWR_BUTTON: the button is the fixed one. No FADT_TMR_VAL_EXT: 24 bits. */
	f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_RESET_REG_SUP;
	f->reset_reg = acpi_io(LAYOUT_PORT_RESET, 1, ACPI_ACCESS_BYTE);
	f->reset_value = ACPI_RESET_VALUE;
	memcpy(f->hypervisor_id, "Holm", 4);
	return acpi_close(b, &f->h);
}

static void acpi_add_cpus(struct acpi_builder *b)
{
	for (unsigned id = 0; id < b->in->cpus; id++) {
		if (id < ACPI_XAPIC_MAX) {
			struct acpi_madt_lapic *e = acpi_reserve(b, sizeof(*e));

			if (!e)
				return;
			*e = (struct acpi_madt_lapic){MADT_LAPIC, sizeof(*e), (u8)id, (u8)id,
						      MADT_ENABLED};
		} else {
			struct acpi_madt_x2apic *e = acpi_reserve(b, sizeof(*e));

			if (!e)
				return;
			*e = (struct acpi_madt_x2apic){MADT_X2APIC, sizeof(*e),	  0,
						       id,	    MADT_ENABLED, id};
		}
	}
}

static void acpi_add_override(struct acpi_builder *b, u8 irq, u32 gsi, u16 flags)
{
	struct acpi_madt_override *e = acpi_reserve(b, sizeof(*e));

	if (e)
		*e = (struct acpi_madt_override){MADT_OVERRIDE, sizeof(*e), 0, irq, gsi, flags};
}

static void acpi_add_nmi(struct acpi_builder *b)
{
	struct acpi_madt_lapic_nmi *e = acpi_reserve(b, sizeof(*e));
	struct acpi_madt_x2apic_nmi *x;

	if (e)
		*e = (struct acpi_madt_lapic_nmi){MADT_LAPIC_NMI, sizeof(*e), ACPI_ALL_CPUS, 0, 1};
	if (b->in->cpus <= ACPI_XAPIC_MAX)
		return;
	x = acpi_reserve(b, sizeof(*x));
	if (x)
		*x = (struct acpi_madt_x2apic_nmi){MADT_X2APIC_NMI,  sizeof(*x), 0,
						   ACPI_ALL_CPUS_X2, 1,		 {0}};
}

static u64 acpi_build_madt(struct acpi_builder *b)
{
	struct acpi_madt *m = acpi_reserve(b, sizeof(*m));
	struct acpi_madt_ioapic *io;

	if (!m)
		return 0;
	acpi_header(&m->h, "APIC", ACPI_MADT_REVISION);
	m->lapic_address = (u32)LAYOUT_LAPIC;
	m->flags = 1; /* PCAT_COMPAT: there is a PIC pair */
	acpi_add_cpus(b);
	io = acpi_reserve(b, sizeof(*io));
	if (io)
		*io = (struct acpi_madt_ioapic){MADT_IOAPIC, sizeof(*io),	 LAYOUT_IOAPIC_ID,
						0,	     (u32)LAYOUT_IOAPIC, 0};
	acpi_add_override(b, 0, LAYOUT_GSI_PIT, 0); /* as ISA: edge, high */
	acpi_add_override(b, LAYOUT_GSI_SCI, LAYOUT_GSI_SCI, MADT_INTI_HIGH | MADT_INTI_LEVEL);
	acpi_add_nmi(b);
	return acpi_close(b, &m->h);
}

static u64 acpi_build_mcfg(struct acpi_builder *b)
{
	struct acpi_mcfg *m = acpi_reserve(b, sizeof(*m));

	if (!m)
		return 0;
	acpi_header(&m->h, "MCFG", 1);
	m->base = LAYOUT_ECAM;
	m->bus_last = (u8)(LAYOUT_ECAM_SIZE / 0x100000 - 1);
	return acpi_close(b, &m->h);
}

static u64 acpi_build_hpet(struct acpi_builder *b)
{
	struct acpi_hpet *h = acpi_reserve(b, sizeof(*h));

	if (!h)
		return 0;
	acpi_header(&h->h, "HPET", 1);
	h->event_timer_block_id = ACPI_HPET_BLOCK_ID;
	h->address = (struct acpi_gas){ACPI_SPACE_MEMORY, 64, 0, 0, LAYOUT_HPET};
	h->min_tick = 100;
	return acpi_close(b, &h->h);
}

static u64 acpi_build_waet(struct acpi_builder *b)
{
	struct acpi_waet *w = acpi_reserve(b, sizeof(*w));

	if (!w)
		return 0;
	acpi_header(&w->h, "WAET", 1);
	w->flags = WAET_RTC_GOOD | WAET_PM_TIMER_GOOD;
	return acpi_close(b, &w->h);
}

static u64 acpi_build_xsdt(struct acpi_builder *b)
{
	u32 list = (u32)(b->tables * sizeof(u64));
	struct acpi_header *h = acpi_reserve(b, (u32)sizeof(*h) + list);

	if (!h)
		return 0;
	acpi_header(h, "XSDT", 1);
	memcpy(h + 1, b->table, list);
	return acpi_close(b, h);
}

static void acpi_build_rsdp(struct acpi_rsdp *r, u64 xsdt)
{
	memset(r, 0, sizeof(*r));
	memcpy(r->signature, "RSD PTR ", sizeof(r->signature));
	memcpy(r->oem_id, "HOLM  ", sizeof(r->oem_id));
	r->revision = 2;
	r->length = sizeof(*r);
	r->xsdt = xsdt;
	r->checksum = (u8)-acpi_sum(r, 20);
	r->ext_checksum = (u8)-acpi_sum(r, sizeof(*r));
}

/* ---- build ------------------------------------------------------------------------------- */

int acpi_build(const struct acpi_input *in, struct acpi_output *out)
{
	struct acpi_builder b = {.in = in, .out = out};
	u64 dsdt;

	out->len = 0;
	dsdt = acpi_build_dsdt(&b);
	acpi_list(&b, acpi_build_fadt(&b, dsdt));
	acpi_list(&b, acpi_build_madt(&b));
	acpi_list(&b, acpi_build_mcfg(&b));
	if (acpi_find_desc(in, "PNP0103"))
		acpi_list(&b, acpi_build_hpet(&b));
	acpi_list(&b, acpi_build_waet(&b));
	acpi_build_rsdp(&out->rsdp, acpi_build_xsdt(&b));

	memset(&out->facs, 0, sizeof(out->facs));
	memcpy(out->facs.signature, "FACS", 4);
	out->facs.length = sizeof(out->facs);
	out->facs.version = 2;
	if (b.overflow)
		return FAIL(-ENOSPC,
			    "boot: the ACPI tables of %u CPUs and %u devices exceed %u KiB",
			    in->cpus, in->desc_count, out->cap / 1024);
	return 0;
}
