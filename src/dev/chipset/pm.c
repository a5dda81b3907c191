/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pm: ACPI fixed hardware on the board.
 *
 * Registers come from vCPU threads with our lock held by the bus, except the PM timer, which is a
 * function of the clock and has a region without a lock. The clock's timer is armed only while the
 * guest has enabled the PM timer's carry interrupt, which Linux never does.
 */
#include "dev/chipset/pm.h"

#include <stdlib.h>

#include "board/layout.h"
#include "chip/ticks.h"
#include "host/fail.h"
#include "lib/bits.h"
#include "spec/acpi_pm.h"

#define PM1_STS_BITS                                                                               \
	(ACPI_PM1_TMR | ACPI_PM1_BM | ACPI_PM1_GBL | ACPI_PM1_PWRBTN | ACPI_PM1_SLPBTN |           \
	 ACPI_PM1_RTC | ACPI_PM1_WAK)
#define PM1_EN_BITS  (ACPI_PM1_TMR | ACPI_PM1_GBL | ACPI_PM1_PWRBTN | ACPI_PM1_SLPBTN | ACPI_PM1_RTC)
#define PM1_CNT_BITS (ACPI_CNT_SCI_EN | ACPI_CNT_BM_RLD | ACPI_CNT_SLP_TYP)

/* TMR_STS is set whenever the top bit of the timer changes. */
#define CARRY_TICKS BIT64(ACPI_PM_TMR_BITS - 1)

struct pm {
	struct device dev;
	pthread_mutex_t lock;
	struct bus_region low, tmr, high, smi;
	struct clock_timer timer;
	u16 pm1_sts, pm1_en, pm1_cnt;
	u64 gpe_sts, gpe_en;
	u32 smi_en;
	u8 smi_cmd, smi_data;
	u64 carries; /* changes of the timer's top bit already seen */
	bool sci;
};

/* ---- helpers (lock held) ---- */

static u64 pm_ticks(const struct pm *pm)
{
	return ticks_from_ns(clock_now(&pm->dev.board->clock), ACPI_PM_TMR_HZ);
}

static void sci_update(struct pm *pm)
{
	bool level = (pm->pm1_cnt & ACPI_CNT_SCI_EN) &&
		     ((pm->pm1_sts & pm->pm1_en) || (pm->gpe_sts & pm->gpe_en));

	if (level == pm->sci)
		return;
	pm->sci = level;
	irq_line(&pm->dev.board->irq, LAYOUT_GSI_SCI, level);
}

/* Brings TMR_STS up to date and arms for the next carry if somebody waits for it. */
static void pm_poll(struct pm *pm)
{
	u64 carries = pm_ticks(pm) / CARRY_TICKS;

	if (carries != pm->carries) {
		pm->carries = carries;
		pm->pm1_sts |= ACPI_PM1_TMR;
	}
	if (pm->pm1_en & ACPI_PM1_TMR)
		clock_timer_arm(&pm->timer,
				ticks_to_ns((carries + 1) * CARRY_TICKS, ACPI_PM_TMR_HZ));
	else
		clock_timer_cancel(&pm->timer);
	sci_update(pm);
}

static void pm_fire(struct clock_timer *timer)
{
	struct pm *pm = timer->arg;

	pthread_mutex_lock(&pm->lock);
	pm_poll(pm);
	pthread_mutex_unlock(&pm->lock);
}

/* ---- PM1: +0 .. +7 ---- */

static u64 low_read(void *arg, u64 off, unsigned size)
{
	struct pm *pm = arg;
	u64 all;

	pm_poll(pm);
	all = pm->pm1_sts | (u64)pm->pm1_en << 16 | (u64)pm->pm1_cnt << 32;
	return all >> off * 8 & mask64(size * 8);
}

static void cnt_write(struct pm *pm, u16 value)
{
	struct board *board = pm->dev.board;
	unsigned type = (value & ACPI_CNT_SLP_TYP) >> ACPI_CNT_SLP_TYP_SHIFT;

	/* SCI_EN belongs to the SMI command port, but guests write back what they read */
	pm->pm1_cnt =
		(u16)((value & PM1_CNT_BITS & ~ACPI_CNT_SCI_EN) | (pm->pm1_cnt & ACPI_CNT_SCI_EN));
	if ((value & ACPI_CNT_SLP_EN) && type == ACPI_SLP_TYP_S5)
		board->request(board->request_arg, BOARD_POWEROFF, 0);
}

static void low_write(void *arg, u64 off, unsigned size, u64 value)
{
	struct pm *pm = arg;
	u64 mask = mask64(size * 8) << off * 8;
	u64 old = (u64)pm->pm1_en << 16 | (u64)pm->pm1_cnt << 32;
	u64 all = (old & ~mask) | (value << off * 8 & mask);

	pm_poll(pm);
	pm->pm1_sts &= (u16)~all; /* bits outside the access are 0 in `all` */
	pm->pm1_en = (u16)(all >> 16) & PM1_EN_BITS;
	/* SLP_EN is in the high byte, so writing that alone is enough */
	if (mask >> 32)
		cnt_write(pm, (u16)(all >> 32));
	pm_poll(pm);
}

static u64 tmr_read(void *arg, u64 off, unsigned size)
{
	struct pm *pm = arg;
	u64 value = pm_ticks(pm) & mask64(ACPI_PM_TMR_BITS);

	return value >> off * 8 & mask64(size * 8);
}

static void tmr_write(unused_arg void *arg, unused_arg u64 off, unused_arg unsigned size,
		      unused_arg u64 value)
{
}

/* ---- GPE0 and SMI enable: +0x20 .. ---- */

static u64 high_read(void *arg, u64 off, unsigned size)
{
	struct pm *pm = arg;
	u64 reg = off & ~7ull, value = 0;

	if (reg == 0)
		value = pm->gpe_sts;
	else if (reg == 8)
		value = pm->gpe_en;
	else if (reg == ACPI_SMI_EN - ACPI_GPE0)
		value = pm->smi_en; /* SMI_STS, in the upper half, stays 0: there is no SMM */
	return value >> (off & 7) * 8 & mask64(size * 8);
}

static void high_write(void *arg, u64 off, unsigned size, u64 value)
{
	struct pm *pm = arg;
	u64 reg = off & ~7ull, shift = (off & 7) * 8, mask = mask64(size * 8) << shift;

	if (reg == 0)
		pm->gpe_sts &= ~(value << shift & mask);
	else if (reg == 8)
		pm->gpe_en = (pm->gpe_en & ~mask) | (value << shift & mask);
	else if (reg == ACPI_SMI_EN - ACPI_GPE0)
		pm->smi_en = (u32)((pm->smi_en & ~mask) | (value << shift & mask));
	sci_update(pm);
}

/* ---- SMI command port: 0xb2, 0xb3 ---- */

static u64 smi_read(void *arg, u64 off, unused_arg unsigned size)
{
	struct pm *pm = arg;

	return off ? pm->smi_data : pm->smi_cmd;
}

static void smi_write(void *arg, u64 off, unused_arg unsigned size, u64 value)
{
	struct pm *pm = arg;

	if (off) {
		pm->smi_data = (u8)value;
		return;
	}
	pm->smi_cmd = (u8)value;
	if (value == ACPI_SMI_ENABLE)
		pm->pm1_cnt |= ACPI_CNT_SCI_EN;
	else if (value == ACPI_SMI_DISABLE)
		pm->pm1_cnt &= (u16)~ACPI_CNT_SCI_EN;
	sci_update(pm);
}

/* ---- events from the host ---- */

static void pm_event(struct device *dev, u16 bit)
{
	struct pm *pm = (struct pm *)dev;

	pthread_mutex_lock(&pm->lock);
	pm->pm1_sts |= bit;
	sci_update(pm);
	pthread_mutex_unlock(&pm->lock);
}

void pm_power_button(struct device *dev)
{
	pm_event(dev, ACPI_PM1_PWRBTN);
}

void pm_rtc_alarm(struct device *dev)
{
	pm_event(dev, ACPI_PM1_RTC);
}

void pm_gpe_raise(struct device *dev, unsigned bit)
{
	struct pm *pm = (struct pm *)dev;

	pthread_mutex_lock(&pm->lock);
	pm->gpe_sts |= BIT64(bit & 63);
	sci_update(pm);
	pthread_mutex_unlock(&pm->lock);
}

/* ---- life ---- */

static void pm_reset(struct device *dev)
{
	struct pm *pm = (struct pm *)dev;

	pthread_mutex_lock(&pm->lock);
	pm->pm1_sts = pm->pm1_en = pm->pm1_cnt = 0;
	pm->gpe_sts = pm->gpe_en = 0;
	pm->smi_en = 0;
	pm->smi_cmd = pm->smi_data = 0;
	pm->carries = pm_ticks(pm) / CARRY_TICKS;
	clock_timer_cancel(&pm->timer);
	sci_update(pm);
	pthread_mutex_unlock(&pm->lock);
}

static void pm_pause(struct device *dev)
{
	struct pm *pm = (struct pm *)dev;

	pthread_mutex_lock(&pm->lock);
	clock_timer_cancel(&pm->timer);
	pthread_mutex_unlock(&pm->lock);
}

static void pm_resume(struct device *dev)
{
	struct pm *pm = (struct pm *)dev;

	pthread_mutex_lock(&pm->lock);
	pm_poll(pm);
	pthread_mutex_unlock(&pm->lock);
}

static void pm_close(struct device *dev)
{
	struct pm *pm = (struct pm *)dev;
	struct bus *bus = dev->board->bus;

	bus_remove(bus, BUS_PIO, &pm->smi);
	bus_remove(bus, BUS_PIO, &pm->high);
	bus_remove(bus, BUS_PIO, &pm->tmr);
	bus_remove(bus, BUS_PIO, &pm->low);
	clock_timer_cancel(&pm->timer);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

static const struct state_field pm_fields[] = {
	STATE_FIELD(struct pm, pm1_sts, 1),
	STATE_FIELD(struct pm, pm1_en, 1),
	STATE_FIELD(struct pm, pm1_cnt, 1),
	STATE_FIELD(struct pm, gpe_sts, 1),
	STATE_FIELD(struct pm, gpe_en, 1),
	STATE_FIELD(struct pm, smi_en, 1),
	STATE_FIELD(struct pm, smi_cmd, 1),
	STATE_FIELD(struct pm, smi_data, 1),
	STATE_FIELD(struct pm, carries, 1),
	STATE_FIELD(struct pm, sci, 1),
	STATE_END,
};

static const struct device_class pm_class = {
	.name = "pm",
	.close = pm_close,
	.reset = pm_reset,
	.pause = pm_pause,
	.resume = pm_resume,
	.fields = pm_fields,
};

static int pm_regions_add(struct pm *pm)
{
	struct bus *bus = pm->dev.board->bus;
	int rc;

	pm->low = (struct bus_region){.name = "pm1",
				      .base = LAYOUT_PORT_PM,
				      .size = 8,
				      .read = low_read,
				      .write = low_write,
				      .arg = pm,
				      .lock = &pm->lock};
	pm->tmr = (struct bus_region){.name = "pm timer",
				      .base = LAYOUT_PORT_PM + ACPI_PM_TMR,
				      .size = ACPI_PM_TMR_LEN,
				      .read = tmr_read,
				      .write = tmr_write,
				      .arg = pm};
	pm->high = (struct bus_region){.name = "gpe0",
				       .base = LAYOUT_PORT_PM + ACPI_GPE0,
				       .size = ACPI_PM_LEN - ACPI_GPE0,
				       .read = high_read,
				       .write = high_write,
				       .arg = pm,
				       .lock = &pm->lock};
	pm->smi = (struct bus_region){.name = "smi command",
				      .base = LAYOUT_PORT_SMI_CMD,
				      .size = 2,
				      .read = smi_read,
				      .write = smi_write,
				      .arg = pm,
				      .lock = &pm->lock,
				      .max_size = 1};
	rc = bus_add(bus, BUS_PIO, &pm->low);
	if (rc)
		return rc;
	rc = bus_add(bus, BUS_PIO, &pm->tmr);
	if (rc)
		goto drop_low;
	rc = bus_add(bus, BUS_PIO, &pm->high);
	if (rc)
		goto drop_tmr;
	rc = bus_add(bus, BUS_PIO, &pm->smi);
	if (rc)
		goto drop_high;
	return 0;
drop_high:
	bus_remove(bus, BUS_PIO, &pm->high);
drop_tmr:
	bus_remove(bus, BUS_PIO, &pm->tmr);
drop_low:
	bus_remove(bus, BUS_PIO, &pm->low);
	return rc;
}

int pm_open(struct board *board, struct device **out)
{
	struct pm *pm = calloc(1, sizeof(*pm));
	int rc;

	if (!pm)
		return FAIL(-ENOMEM, "pm: out of memory");
	pm->dev = (struct device){.cls = &pm_class, .board = board};
	pthread_mutex_init(&pm->lock, NULL);
	clock_timer_init(&board->clock, &pm->timer, pm_fire, pm);
	rc = pm_regions_add(pm);
	if (rc) {
		pthread_mutex_destroy(&pm->lock);
		free(pm);
		return rc;
	}
	*out = &pm->dev;
	return 0;
}
