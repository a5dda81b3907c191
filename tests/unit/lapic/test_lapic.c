/* SPDX-License-Identifier: Apache-2.0 */
/* lapic: priorities, nesting, EOI broadcast, timer modes, ICR, modes and #GPs, destinations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <sched.h>
#include <cmocka.h>

#include "cpu/lapic.h"

struct rig {
	struct lapic l;
	u64 now;
	struct lapic_ipi ipi;
	unsigned ipis, eois, wakes;
	u8 eoi;
};

static u64 now_ns(void *arg)
{
	return ((struct rig *)arg)->now;
}

/* A TSC of 2 GHz. */
static u64 tsc(void *arg)
{
	return ((struct rig *)arg)->now * 2;
}

static u64 tsc_to_ns(void *arg, u64 value)
{
	(void)arg;
	return (value + 1) / 2;
}

static void send_ipi(void *arg, const struct lapic_ipi *ipi)
{
	struct rig *r = arg;

	r->ipi = *ipi;
	r->ipis++;
}

static void eoi_broadcast(void *arg, u8 vector)
{
	struct rig *r = arg;

	r->eoi = vector;
	r->eois++;
}

static const struct lapic_ops ops = {.now_ns = now_ns,
				     .tsc = tsc,
				     .tsc_to_ns = tsc_to_ns,
				     .send_ipi = send_ipi,
				     .eoi_broadcast = eoi_broadcast};

static void start(struct rig *r, u32 id)
{
	*r = (struct rig){.now = 1000};
	lapic_init(&r->l, id, id == 0, 40, &ops, r);
	lapic_mmio_write(&r->l, APIC_SVR, 4, 0x1ff);
}

static u32 rd(struct rig *r, u32 reg)
{
	return lapic_mmio_read(&r->l, reg, 4);
}

static void wr(struct rig *r, u32 reg, u32 value)
{
	lapic_mmio_write(&r->l, reg, 4, value);
}

static int msr_wr(struct rig *r, u32 msr, u64 value)
{
	return lapic_msr_write(&r->l, msr, value);
}

static u64 msr_rd(struct rig *r, u32 msr)
{
	u64 value = 0;

	assert_int_equal(lapic_msr_read(&r->l, msr, &value), 0);
	return value;
}

static void to_x2apic(struct rig *r)
{
	assert_int_equal(msr_wr(r, 0x1b, msr_rd(r, 0x1b) | APIC_BASE_EXTD), 0);
}

static void test_reset(void **state)
{
	struct rig r = {0};

	(void)state;
	lapic_init(&r.l, 3, false, 40, &ops, &r);
	assert_int_equal(msr_rd(&r, 0x1b), 0xfee00800);
	assert_int_equal(rd(&r, APIC_ID), 3u << 24);
	assert_int_equal(rd(&r, APIC_VERSION), 0x01050014);
	assert_int_equal(rd(&r, APIC_SVR), 0xff);
	assert_int_equal(rd(&r, APIC_DFR), 0xffffffff);
	for (u32 reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg += 0x10)
		assert_int_equal(rd(&r, reg), 0x10000);
	assert_false(lapic_post(&r.l, 0x40, false)); /* software-disabled */
	wr(&r, APIC_LVT_LINT0, 0x700);
	assert_int_equal(rd(&r, APIC_LVT_LINT0), 0x10700); /* the mask sticks */
	lapic_init(&r.l, 0, true, 40, &ops, &r);
	assert_int_equal(msr_rd(&r, 0x1b), 0xfee00900);
	assert_false(lapic_extint_open(&r.l));
	lapic_virtual_wire(&r.l);
	assert_true(lapic_extint_open(&r.l));
}

static void test_priority(void **state)
{
	struct rig r;

	(void)state;
	start(&r, 0);
	assert_int_equal(lapic_highest(&r.l), -1);
	assert_true(lapic_post(&r.l, 0x45, false));
	assert_true(lapic_post(&r.l, 0x31, false));
	assert_int_equal(lapic_highest(&r.l), 0x45);
	wr(&r, APIC_TPR, 0x4f); /* class 4: inhibits 0x45 */
	assert_int_equal(lapic_highest(&r.l), -1);
	assert_int_equal(lapic_pending(&r.l), 0x45);
	assert_int_equal(lapic_cr8_read(&r.l), 4);
	lapic_cr8_write(&r.l, 3);
	assert_int_equal(rd(&r, APIC_TPR), 0x30);
	assert_int_equal(lapic_accept(&r.l), 0x45);
	assert_int_equal(rd(&r, APIC_PPR), 0x40);
	assert_int_equal(rd(&r, APIC_ISR + 0x20), 1u << 5);
	assert_int_equal(rd(&r, APIC_IRR + 0x10), 1u << 17);
	lapic_post(&r.l, 0x4f, false); /* same class does not nest */
	assert_int_equal(lapic_highest(&r.l), -1);
	lapic_post(&r.l, 0x50, false);
	assert_int_equal(lapic_accept(&r.l), 0x50);
	assert_int_equal(rd(&r, APIC_PPR), 0x50);
	wr(&r, APIC_EOI, 0);
	assert_int_equal(rd(&r, APIC_PPR), 0x40);
	wr(&r, APIC_EOI, 0);
	assert_int_equal(lapic_accept(&r.l), 0x4f);
	wr(&r, APIC_EOI, 0);
	assert_int_equal(lapic_highest(&r.l), -1); /* TPR 0x30 holds 0x31 */
	wr(&r, APIC_TPR, 0);
	assert_int_equal(lapic_accept(&r.l), 0x31);
	assert_int_equal(lapic_accept(&r.l), 0xff); /* spurious */
}

static void test_level_eoi(void **state)
{
	struct rig r;

	(void)state;
	start(&r, 0);
	lapic_post(&r.l, 0x61, true);
	assert_int_equal(rd(&r, APIC_TMR + 0x30), 2);
	assert_int_equal(lapic_accept(&r.l), 0x61);
	wr(&r, APIC_EOI, 0);
	assert_int_equal(r.eois, 1);
	assert_int_equal(r.eoi, 0x61);
	lapic_post(&r.l, 0x61, false); /* the same vector as an edge: no broadcast */
	lapic_accept(&r.l);
	wr(&r, APIC_EOI, 0);
	assert_int_equal(r.eois, 1);
	wr(&r, APIC_SVR, 0x11ff); /* suppressed */
	lapic_post(&r.l, 0x61, true);
	lapic_accept(&r.l);
	wr(&r, APIC_EOI, 0);
	assert_int_equal(r.eois, 1);
	wr(&r, APIC_EOI, 0); /* nothing in service */
	assert_int_equal(r.eois, 1);
}

static void test_timer_one_shot(void **state)
{
	struct rig r;

	(void)state;
	start(&r, 0);
	wr(&r, APIC_LVT_TIMER, 0xec);
	wr(&r, APIC_TIMER_DIV, 0x3); /* by 16 */
	wr(&r, APIC_TIMER_INIT, 1000);
	assert_int_equal(lapic_timer_deadline_ns(&r.l), 17000);
	r.now = 9000;
	assert_int_equal(rd(&r, APIC_TIMER_CUR), 500);
	assert_false(lapic_timer_poll(&r.l, 16999));
	r.now = 17000;
	assert_true(lapic_timer_poll(&r.l, 17000));
	assert_int_equal(lapic_accept(&r.l), 0xec);
	assert_int_equal(rd(&r, APIC_TIMER_CUR), 0);
	assert_int_equal(lapic_timer_deadline_ns(&r.l), LAPIC_NEVER);
	assert_false(lapic_timer_poll(&r.l, 1000000));
	/* masked: it counts but does not interrupt, then or later */
	wr(&r, APIC_EOI, 0);
	wr(&r, APIC_LVT_TIMER, 0x100ec);
	wr(&r, APIC_TIMER_DIV, 0xb); /* by 1 */
	wr(&r, APIC_TIMER_INIT, 100);
	assert_int_equal(lapic_timer_deadline_ns(&r.l), LAPIC_NEVER);
	r.now = 17050;
	assert_int_equal(rd(&r, APIC_TIMER_CUR), 50);
	r.now = 18000;
	wr(&r, APIC_LVT_TIMER, 0xec);
	assert_int_equal(lapic_highest(&r.l), -1);
	assert_int_equal(lapic_timer_deadline_ns(&r.l), LAPIC_NEVER);
}

static void test_timer_periodic(void **state)
{
	struct rig r;

	(void)state;
	start(&r, 0);
	wr(&r, APIC_LVT_TIMER, 0x200ec);
	wr(&r, APIC_TIMER_DIV, 0x0); /* by 2 */
	wr(&r, APIC_TIMER_INIT, 500);
	assert_int_equal(lapic_timer_deadline_ns(&r.l), 2000);
	assert_true(lapic_timer_poll(&r.l, 2000));
	assert_int_equal(lapic_timer_deadline_ns(&r.l), 3000);
	assert_true(lapic_timer_poll(&r.l, 5500)); /* late: once, in phase */
	assert_int_equal(lapic_timer_deadline_ns(&r.l), 6000);
	r.now = 5600;
	assert_int_equal(rd(&r, APIC_TIMER_CUR), 200);
	wr(&r, APIC_TIMER_INIT, 0);
	assert_int_equal(lapic_timer_deadline_ns(&r.l), LAPIC_NEVER);
}

/* The count goes on under the new mode; what has run out stays so (11.5.4). */
static void test_timer_mode_change(void **state)
{
	struct rig r;

	(void)state;
	start(&r, 0);
	wr(&r, APIC_TIMER_DIV, 0xb);
	wr(&r, APIC_LVT_TIMER, 0x10040); /* one-shot */
	wr(&r, APIC_TIMER_INIT, 1000);
	r.now += 600;
	wr(&r, APIC_LVT_TIMER, 0x30040); /* periodic */
	assert_int_equal(rd(&r, APIC_TIMER_INIT), 1000);
	assert_int_equal(rd(&r, APIC_TIMER_CUR), 400);
	r.now += 700;
	assert_int_equal(rd(&r, APIC_TIMER_CUR), 700);
	wr(&r, APIC_LVT_TIMER, 0x10040);
	assert_int_equal(rd(&r, APIC_TIMER_CUR), 700);
	r.now += 800;
	assert_int_equal(rd(&r, APIC_TIMER_CUR), 0);
	wr(&r, APIC_LVT_TIMER, 0x30040);
	assert_int_equal(rd(&r, APIC_TIMER_CUR), 0);
	r.now += 5000;
	assert_int_equal(rd(&r, APIC_TIMER_CUR), 0);
	wr(&r, APIC_LVT_TIMER, 0x50040); /* deadline: takes the count along */
	assert_int_equal(rd(&r, APIC_TIMER_INIT), 0);
}

static void test_timer_tsc_deadline(void **state)
{
	struct rig r;

	(void)state;
	start(&r, 0);
	assert_int_equal(msr_wr(&r, 0x6e0, 5000), 0); /* not in that mode: ignored */
	assert_int_equal(msr_rd(&r, 0x6e0), 0);
	wr(&r, APIC_LVT_TIMER, 0x400ec);
	wr(&r, APIC_TIMER_INIT, 100); /* ignored in that mode */
	assert_int_equal(rd(&r, APIC_TIMER_INIT), 0);
	msr_wr(&r, 0x6e0, 5001);
	assert_int_equal(lapic_timer_deadline_ns(&r.l), 2501);
	r.now = 2500;
	assert_false(lapic_timer_poll(&r.l, 2500));
	r.now = 2501;
	assert_true(lapic_timer_poll(&r.l, 2501));
	assert_int_equal(msr_rd(&r, 0x6e0), 0);
	assert_int_equal(lapic_accept(&r.l), 0xec);
	msr_wr(&r, 0x6e0, 9000);
	wr(&r, APIC_LVT_TIMER, 0xec); /* leaving the mode disarms */
	wr(&r, APIC_LVT_TIMER, 0x400ec);
	assert_int_equal(msr_rd(&r, 0x6e0), 0);
	msr_wr(&r, 0x6e0, 1); /* in the past: at once */
	assert_true(lapic_timer_deadline_ns(&r.l) <= r.now);
	assert_true(lapic_timer_poll(&r.l, r.now));
}

static void test_icr(void **state)
{
	struct rig r;

	(void)state;
	start(&r, 1);
	wr(&r, APIC_ICR_HI, 0x02000000);
	wr(&r, APIC_ICR_LO, 0x000040fd);
	assert_int_equal(r.ipis, 1);
	assert_int_equal(r.ipi.dest, 2);
	assert_int_equal(r.ipi.vector, 0xfd);
	assert_false(r.ipi.logical);
	wr(&r, APIC_ICR_LO, 0x00004500); /* INIT */
	assert_int_equal(r.ipi.mode, APIC_MODE_INIT);
	wr(&r, APIC_ICR_LO, 0x00008500); /* INIT de-assert: nothing */
	assert_int_equal(r.ipis, 2);
	wr(&r, APIC_ICR_LO, 0x00000609); /* SIPI, vector below 16 is a page */
	assert_int_equal(r.ipi.mode, APIC_MODE_SIPI);
	assert_int_equal(r.ipi.vector, 9);
	wr(&r, APIC_ICR_LO, 0x000440f0); /* self */
	assert_int_equal(r.ipis, 3);
	assert_int_equal(lapic_accept(&r.l), 0xf0);
	wr(&r, APIC_ICR_LO, 0x00044400); /* NMI to self */
	assert_int_equal(r.ipis, 3);
	assert_int_equal(lapic_events_take(&r.l, LAPIC_EVENT_NMI), LAPIC_EVENT_NMI);
	wr(&r, APIC_ICR_LO, 0x000c4400); /* NMI to all others */
	assert_int_equal(r.ipi.shorthand, APIC_TO_OTHERS);
	assert_int_equal(r.ipi.mode, APIC_MODE_NMI);
	wr(&r, APIC_ICR_LO, 0x00004008); /* illegal vector */
	assert_int_equal(r.ipis, 4);
	assert_int_equal(rd(&r, APIC_ESR), 0);
	wr(&r, APIC_ESR, 0);
	assert_int_equal(rd(&r, APIC_ESR), APIC_ESR_SEND_ILLEGAL);
	wr(&r, APIC_ESR, 0);
	assert_int_equal(rd(&r, APIC_ESR), 0);
	assert_int_equal(rd(&r, APIC_ICR_LO) & APIC_ICR_STATUS, 0);
}

static void test_errors(void **state)
{
	struct rig r;

	(void)state;
	start(&r, 0);
	wr(&r, APIC_LVT_ERROR, 0xfe);
	lapic_post(&r.l, 5, false);
	assert_int_equal(lapic_highest(&r.l), 0xfe);
	rd(&r, 0x040); /* no such register */
	wr(&r, APIC_ESR, 0);
	assert_int_equal(rd(&r, APIC_ESR), APIC_ESR_RECEIVE_ILLEGAL | APIC_ESR_REGISTER);
}

static void test_events_and_pins(void **state)
{
	struct lapic_ipi ipi = {.mode = APIC_MODE_NMI};
	struct rig r;

	(void)state;
	start(&r, 0);
	assert_int_equal(lapic_events(&r.l), 0);
	assert_true(lapic_deliver(&r.l, &ipi));
	assert_int_equal(lapic_events_take(&r.l, LAPIC_EVENT_INIT), 0);
	assert_int_equal(lapic_events_take(&r.l, LAPIC_EVENT_NMI), LAPIC_EVENT_NMI);
	assert_int_equal(lapic_events(&r.l), 0);
	ipi = (struct lapic_ipi){.mode = APIC_MODE_SIPI, .vector = 0x9a};
	lapic_deliver(&r.l, &ipi);
	assert_int_equal(lapic_events_take(&r.l, ~0u), LAPIC_EVENT_SIPI);
	assert_int_equal(lapic_sipi_vector(&r.l), 0x9a);
	ipi.mode = APIC_MODE_EXTINT;
	assert_false(lapic_deliver(&r.l, &ipi));
	wr(&r, APIC_LVT_LINT1, 0x400);
	lapic_lint(&r.l, 1);
	assert_int_equal(lapic_events_take(&r.l, ~0u), LAPIC_EVENT_NMI);
	wr(&r, APIC_LVT_LINT0, 0x35);
	lapic_lint(&r.l, 0);
	assert_int_equal(lapic_accept(&r.l), 0x35);
	assert_false(lapic_extint_open(&r.l));
}

static void test_modes(void **state)
{
	struct rig r;
	u64 value;

	(void)state;
	start(&r, 0x25);
	assert_int_equal(lapic_msr_read(&r.l, 0x802, &value), -1); /* not in x2APIC mode */
	assert_int_equal(msr_wr(&r, 0x1b, 0xfee00c01), -1);	   /* reserved bit */
	assert_int_equal(msr_wr(&r, 0x1b, 0x10000000c00ull), -1);  /* beyond MAXPHYADDR */
	assert_int_equal(msr_wr(&r, 0x1b, 0xfee00400), -1);	   /* EXTD without EN */
	wr(&r, APIC_TPR, 0x20);
	assert_int_equal(msr_wr(&r, 0x1b, 0xfee00c00), 0);
	assert_true(lapic_x2apic(&r.l));
	assert_false(lapic_mmio(&r.l));
	assert_int_equal(msr_rd(&r, 0x802), 0x25);
	assert_int_equal(msr_rd(&r, 0x80d), 0x00020020);    /* cluster 2, bit 5 */
	assert_int_equal(msr_rd(&r, 0x808), 0x20);	    /* kept */
	assert_int_equal(msr_wr(&r, 0x1b, 0xfee00800), -1); /* no way back but through off */
	assert_int_equal(msr_wr(&r, 0x1b, 0xfee00000), 0);
	assert_false(lapic_enabled(&r.l));
	assert_true(lapic_extint_open(&r.l));
	assert_int_equal(msr_wr(&r, 0x1b, 0xfee00c00), -1);
	assert_int_equal(msr_wr(&r, 0x1b, 0xfee00800), 0);
	assert_int_equal(rd(&r, APIC_TPR), 0);
	assert_int_equal(rd(&r, APIC_SVR), 0xff);
	/* INIT keeps x2APIC mode and id */
	to_x2apic(&r);
	lapic_init_reset(&r.l);
	assert_int_equal(msr_rd(&r, 0x802), 0x25);
	assert_int_equal(msr_rd(&r, 0x80d), 0x00020020);
}

static void test_x2apic_faults(void **state)
{
	static const u32 no_read[] = {0x800, 0x809, 0x80b, 0x80c, 0x80e, 0x82f,
				      0x831, 0x83a, 0x83f, 0x840, 0x8ff};
	static const u32 no_write[] = {0x802, 0x803, 0x80a, 0x80d, 0x80e, 0x810,
				       0x818, 0x820, 0x82f, 0x831, 0x839, 0x840};
	struct rig r;
	u64 value;

	(void)state;
	start(&r, 2);
	to_x2apic(&r);
	for (unsigned i = 0; i < ARRAY_LEN(no_read); i++)
		assert_int_equal(lapic_msr_read(&r.l, no_read[i], &value), -1);
	for (unsigned i = 0; i < ARRAY_LEN(no_write); i++)
		assert_int_equal(msr_wr(&r, no_write[i], 0), -1);
	assert_int_equal(msr_wr(&r, 0x80b, 1), -1);
	assert_int_equal(msr_wr(&r, 0x80b, 0), 0);
	assert_int_equal(msr_wr(&r, 0x828, 1), -1);
	assert_int_equal(msr_wr(&r, 0x828, 0), 0);
	assert_int_equal(msr_wr(&r, 0x808, 0x100), -1);
	assert_int_equal(msr_wr(&r, 0x808, 0x100000000ull), -1);
	assert_int_equal(msr_wr(&r, 0x80f, 0x21ff), -1);
	assert_int_equal(msr_wr(&r, 0x832, 0x800ec), -1);
	assert_int_equal(msr_wr(&r, 0x832, 0x400ec), 0);
	assert_int_equal(msr_wr(&r, 0x835, 0x7700), 0); /* read-only bits are let pass */
	assert_int_equal(msr_wr(&r, 0x83e, 4), -1);
	assert_int_equal(msr_wr(&r, 0x830, 0x100000), -1);
	assert_int_equal(msr_wr(&r, 0x83f, 0x141), -1);
	assert_int_equal(msr_wr(&r, 0x83f, 0x41), 0);
	assert_int_equal(lapic_accept(&r.l), 0x41);
	assert_int_equal(msr_wr(&r, 0x830, 0x12345678000040f1ull), 0);
	assert_int_equal(r.ipi.dest, 0x12345678);
	assert_int_equal(msr_rd(&r, 0x830), 0x12345678000040f1ull);
}

static void test_destinations(void **state)
{
	struct rig r;

	(void)state;
	start(&r, 5);
	assert_true(lapic_dest_match(&r.l, 5, false));
	assert_false(lapic_dest_match(&r.l, 4, false));
	assert_true(lapic_dest_match(&r.l, 0xff, false));
	assert_true(lapic_dest_match(&r.l, 0xffffffff, false));
	assert_false(lapic_dest_match(&r.l, 0x105, false));
	wr(&r, APIC_LDR, 0x20000000); /* flat */
	assert_true(lapic_dest_match(&r.l, 0x30, true));
	assert_false(lapic_dest_match(&r.l, 0x10, true));
	wr(&r, APIC_DFR, 0x0fffffff); /* cluster */
	assert_int_equal(rd(&r, APIC_DFR), 0x0fffffff);
	wr(&r, APIC_LDR, 0x24000000);
	assert_true(lapic_dest_match(&r.l, 0x2c, true));
	assert_false(lapic_dest_match(&r.l, 0x1c, true));
	assert_false(lapic_dest_match(&r.l, 0x23, true));
	to_x2apic(&r);
	assert_true(lapic_dest_match(&r.l, 0x20, true));
	assert_false(lapic_dest_match(&r.l, 0x10020, true));
	assert_false(lapic_dest_match(&r.l, 0xff, false)); /* an id like any other */
	start(&r, 0x123);
	to_x2apic(&r);
	assert_true(lapic_dest_match(&r.l, 0x123, false));
	assert_true(lapic_dest_match(&r.l, 0x120008, true));
	msr_wr(&r, 0x1b, 0xfee00000);
	assert_false(lapic_dest_match(&r.l, 0xffffffff, false));
}

static void wake(void *arg, unsigned index)
{
	((struct rig *)arg)->wakes |= 1u << index;
}

static void test_send(void **state)
{
	static struct rig cpu[4];
	struct lapic *set[4];
	struct lapic_ipi ipi;
	unsigned got = 0;

	(void)state;
	for (u32 i = 0; i < 4; i++) {
		start(&cpu[i], i);
		wr(&cpu[i], APIC_LDR, 1u << (24 + i));
		set[i] = &cpu[i].l;
	}
	ipi = lapic_ipi_from_msi(0xfee02000, 0x4041);
	assert_true(lapic_ipi_send(set, 4, -1, &ipi, wake, &cpu[0]));
	assert_int_equal(cpu[0].wakes, 1u << 2);
	assert_int_equal(lapic_accept(set[2]), 0x41);
	cpu[0].wakes = 0;
	ipi = lapic_ipi_from_msi(0xfee0f004, 0xc151); /* lowest priority, logical, level */
	assert_true(ipi.level);
	wr(&cpu[0], APIC_TPR, 0x40);
	wr(&cpu[1], APIC_TPR, 0x40);
	wr(&cpu[2], APIC_TPR, 0x40);
	assert_true(lapic_ipi_send(set, 4, -1, &ipi, wake, &cpu[0]));
	assert_int_equal(cpu[0].wakes, 1u << 3);
	for (unsigned i = 0; i < 4; i++)
		wr(&cpu[i], APIC_TPR, 0);
	cpu[0].wakes = 0;
	for (unsigned i = 0; i < 8; i++) { /* ties are spread */
		ipi.vector = (u8)(0x60 + i);
		lapic_ipi_send(set, 4, -1, &ipi, wake, &cpu[0]);
	}
	assert_int_equal(cpu[0].wakes, 0xf);
	cpu[0].wakes = 0;
	ipi = (struct lapic_ipi){
		.mode = APIC_MODE_FIXED, .vector = 0xf2, .shorthand = APIC_TO_OTHERS};
	assert_true(lapic_ipi_send(set, 4, 1, &ipi, wake, &cpu[0]));
	assert_int_equal(cpu[0].wakes, 0xd);
	ipi = lapic_ipi_from_msi(0xfeeff000, 0x42);
	for (unsigned i = 0; i < 4; i++)
		got += lapic_dest_match(set[i], ipi.dest, ipi.logical);
	assert_int_equal(got, 4);
	ipi = lapic_ipi_from_msi(0xfee09000, 0x42);
	assert_false(lapic_ipi_send(set, 4, -1, &ipi, wake, &cpu[0]));
}

static void test_save(void **state)
{
	struct cpu_lapic_state saved;
	struct rig r, other;

	(void)state;
	start(&r, 0);
	wr(&r, APIC_LVT_TIMER, 0xec);
	wr(&r, APIC_TIMER_DIV, 0xb);
	wr(&r, APIC_TIMER_INIT, 500);
	wr(&r, APIC_TPR, 0x10);
	lapic_post(&r.l, 0x44, true);
	lapic_accept(&r.l);
	lapic_post(&r.l, 0x77, false); /* still posted, not folded */
	lapic_save(&r.l, &saved);
	start(&other, 0);
	lapic_load(&other.l, &saved);
	assert_int_equal(lapic_timer_deadline_ns(&other.l), 1500);
	assert_int_equal(lapic_accept(&other.l), 0x77);
	wr(&other, APIC_EOI, 0);
	wr(&other, APIC_EOI, 0);
	assert_int_equal(other.eoi, 0x44);
	assert_int_equal(rd(&other, APIC_TPR), 0x10);
	/* what was on its way to the machine that was there before is not for this one */
	other.l.events = LAPIC_EVENT_NMI | LAPIC_EVENT_INIT | LAPIC_EVENT_SIPI;
	lapic_load(&other.l, &saved);
	assert_int_equal(lapic_events(&other.l), 0);
	/* a one-shot that is over stays over */
	lapic_timer_poll(&r.l, 1500);
	lapic_save(&r.l, &saved);
	lapic_load(&other.l, &saved);
	assert_int_equal(lapic_timer_deadline_ns(&other.l), LAPIC_NEVER);
}

#define ROUNDS 20000u

struct poster {
	struct lapic *l;
	u32 taken; /* rounds the owner has finished, atomic */
};

static void *post_thread(void *arg)
{
	struct poster *p = arg;

	for (u32 i = 0; i < ROUNDS; i++) {
		lapic_post(p->l, (u8)(0x20 + i % 0xc0), i & 1);
		while (__atomic_load_n(&p->taken, __ATOMIC_ACQUIRE) == i)
			sched_yield();
	}
	return NULL;
}

/* No vector that another thread posts is lost, and its trigger mode comes along. */
static void test_post_from_thread(void **state)
{
	struct poster p = {0};
	pthread_t thread;
	struct rig r;

	(void)state;
	start(&r, 0);
	p.l = &r.l;
	assert_int_equal(pthread_create(&thread, NULL, post_thread, &p), 0);
	for (u32 i = 0; i < ROUNDS; i++) {
		while (!(lapic_events(&r.l) & LAPIC_EVENT_VECTOR))
			sched_yield();
		assert_int_equal(lapic_accept(&r.l), 0x20 + i % 0xc0);
		wr(&r, APIC_EOI, 0);
		__atomic_store_n(&p.taken, i + 1, __ATOMIC_RELEASE);
	}
	pthread_join(thread, NULL);
	assert_int_equal(r.eois, ROUNDS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_priority),
		cmocka_unit_test(test_level_eoi),
		cmocka_unit_test(test_timer_one_shot),
		cmocka_unit_test(test_timer_periodic),
		cmocka_unit_test(test_timer_mode_change),
		cmocka_unit_test(test_timer_tsc_deadline),
		cmocka_unit_test(test_icr),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_events_and_pins),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_x2apic_faults),
		cmocka_unit_test(test_destinations),
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_save),
		cmocka_unit_test(test_post_from_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
