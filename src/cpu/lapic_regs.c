/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lapic_regs: the local APIC as the guest sees it: xAPIC page, x2APIC MSRs, IA32_APIC_BASE,
 * IA32_TSC_DEADLINE, CR8 (Intel SDM 3A, chapter 11).
 *
 * Entered by the owner vCPU only. Both register interfaces share one table of meanings; they differ
 * in ID, ICR, DFR and in what faults. Freestanding.
 */
#include "cpu/lapic_internal.h"

#define DFR_CLUSTER	    0x0fffffffu
#define ICR_WRITABLE	    0x000ccfffu
#define ICR_X2_MUST_BE_ZERO 0xfff32000u /* 31:20, 17:16, 13 (figure 11-28); 12 is ignored */
#define SVR_WRITABLE	    (0xffu | APIC_SVR_ENABLE | APIC_SVR_FOCUS | APIC_SVR_NO_BROADCAST)
#define DIVIDE_BITS	    0x0bu

/* Writable bits of each LVT entry (figure 11-8). */
static const u32 lvt_writable[7] = {
	[LVT_TIMER] = APIC_LVT_VECTOR | APIC_LVT_MASK | APIC_LVT_TIMER_MODE,
	[LVT_THERMAL] = APIC_LVT_VECTOR | APIC_LVT_MODE | APIC_LVT_MASK,
	[LVT_PERF] = APIC_LVT_VECTOR | APIC_LVT_MODE | APIC_LVT_MASK,
	[LVT_LINT0] = APIC_LVT_VECTOR | APIC_LVT_MODE | APIC_LVT_POLARITY | APIC_LVT_LEVEL |
		      APIC_LVT_MASK,
	[LVT_LINT1] = APIC_LVT_VECTOR | APIC_LVT_MODE | APIC_LVT_POLARITY | APIC_LVT_LEVEL |
		      APIC_LVT_MASK,
	[LVT_ERROR] = APIC_LVT_VECTOR | APIC_LVT_MASK,
};

/* ---- ICR ---- */

static void icr_send(struct lapic *l, u32 dest)
{
	u32 lo = l->icr_lo;
	struct lapic_ipi ipi = {
		.dest = dest,
		.mode = lo >> APIC_LVT_MODE_SHIFT & 7,
		.vector = (u8)lo,
		.shorthand = lo >> APIC_ICR_SHORTHAND_SHIFT & 3,
		.logical = lo & APIC_ICR_LOGICAL,
	};
	bool vectored = ipi.mode == APIC_MODE_FIXED || ipi.mode == APIC_MODE_LOWEST;

	if (vectored && ipi.vector < VECTOR_FIRST) {
		lapic_error(l, APIC_ESR_SEND_ILLEGAL);
		return;
	}
	/* INIT level de-assert: not supported since the Pentium 4 (11.6.1, note) */
	if (ipi.mode == APIC_MODE_INIT && (lo & APIC_ICR_LEVEL) && !(lo & APIC_ICR_ASSERT))
		return;
	if (ipi.mode == 3 || ipi.mode == APIC_MODE_EXTINT)
		return;
	if (ipi.shorthand == APIC_TO_SELF) {
		if (vectored && (l->svr & APIC_SVR_ENABLE))
			lapic_accept_irr(l, ipi.vector, false);
		else if (ipi.mode == APIC_MODE_NMI) /* not in table 11-3, but KVM does it */
			lapic_deliver(l, &ipi);
		return;
	}
	l->ops->send_ipi(l->arg, &ipi);
}

static void self_ipi(struct lapic *l, u8 vector)
{
	if (vector < VECTOR_FIRST)
		lapic_error(l, APIC_ESR_SEND_ILLEGAL);
	else if (l->svr & APIC_SVR_ENABLE)
		lapic_accept_irr(l, vector, false);
}

/* ---- registers ---- */

/* Index into lvt[] of a register, -1 if it is none. */
static int lvt_index(u32 reg)
{
	if (reg >= APIC_LVT_TIMER && reg <= APIC_LVT_ERROR)
		return (int)((reg - APIC_LVT_TIMER) >> 4) + LVT_TIMER;
	return -1;
}

/* While software-disabled all LVT entries are masked, and stay so (11.4.7.2). */
static void svr_write(struct lapic *l, u32 value)
{
	lapic_put(&l->svr, value & SVR_WRITABLE);
	if (value & APIC_SVR_ENABLE)
		return;
	lapic_timer_lvt_write(l, l->lvt[LVT_TIMER] | APIC_LVT_MASK);
	for (unsigned i = LVT_THERMAL; i <= LVT_ERROR; i++)
		l->lvt[i] |= APIC_LVT_MASK;
}

static void lvt_write(struct lapic *l, unsigned index, u32 value)
{
	value &= lvt_writable[index];
	if (!(l->svr & APIC_SVR_ENABLE))
		value |= APIC_LVT_MASK;
	if (index == LVT_TIMER)
		lapic_timer_lvt_write(l, value);
	else
		l->lvt[index] = value;
}

/* Registers that read alike in both modes; false when there is none at `reg`. */
static bool reg_read(struct lapic *l, u32 reg, u32 *value)
{
	unsigned word = reg >> 4 & 7;
	int lvt = lvt_index(reg);

	if (lvt > 0) {
		*value = l->lvt[lvt];
		return true;
	}
	if (reg >= APIC_ISR && reg < APIC_ESR) {
		lapic_fold(l);
		*value = reg < APIC_TMR	  ? l->isr[word]
			 : reg < APIC_IRR ? l->tmr[word]
					  : l->irr[word];
		return true;
	}
	switch (reg) {
	case APIC_VERSION: *value = LAPIC_VERSION; return true;
	case APIC_TPR: *value = l->tpr; return true;
	case APIC_PPR: *value = lapic_ppr(l); return true;
	case APIC_LDR: *value = l->ldr; return true;
	case APIC_SVR: *value = l->svr; return true;
	case APIC_ESR: *value = l->esr; return true;
	case APIC_TIMER_INIT: *value = l->timer_initial; return true;
	case APIC_TIMER_CUR:
		lapic_timer_poll(l, l->ops->now_ns(l->arg));
		*value = lapic_timer_current(l);
		return true;
	case APIC_TIMER_DIV: *value = l->timer_divide; return true;
	default: return false;
	}
}

/* Registers that are written alike in both modes; false when there is none at `reg`. */
static bool reg_write(struct lapic *l, u32 reg, u32 value)
{
	int lvt = lvt_index(reg);

	if (lvt > 0) {
		lvt_write(l, (unsigned)lvt, value);
		return true;
	}
	switch (reg) {
	case APIC_TPR: lapic_put(&l->tpr, value & 0xff); return true;
	case APIC_EOI: lapic_eoi(l); return true;
	case APIC_SVR: svr_write(l, value); return true;
	case APIC_ESR: /* a write makes the errors since the last one readable (11.5.3) */
		lapic_fold(l);
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		return true;
	case APIC_TIMER_INIT: lapic_timer_initial_write(l, value); return true;
	case APIC_TIMER_DIV: lapic_timer_divide_write(l, value); return true;
	default: return false;
	}
}

/* ---- xAPIC page ---- */

u32 lapic_mmio_read(struct lapic *l, u32 off, unsigned size)
{
	u32 reg = off & 0xff0u, value = 0;

	switch (reg) {
	case APIC_ID: value = l->id << 24; break;
	case APIC_DFR: value = l->dfr; break;
	case APIC_ICR_LO: value = l->icr_lo; break;
	case APIC_ICR_HI: value = l->icr_hi; break;
	case APIC_APR:
	case APIC_RRD:
	case APIC_EOI: break;
	default:
		if (!reg_read(l, reg, &value))
			lapic_error(l, APIC_ESR_REGISTER);
		break;
	}
	if ((off & 15) + size > 4)
		return off & 12 ? 0 : value;
	return value >> (off & 3) * 8 & (u32)mask64(size * 8);
}

void lapic_mmio_write(struct lapic *l, u32 off, unsigned size, u32 value)
{
	u32 reg = off & 0xff0u;

	if (off & 15 || size != 4)
		return; /* undefined (11.4.1) */
	switch (reg) {
	case APIC_ID: lapic_put(&l->id, value >> 24); break;
	case APIC_LDR: lapic_put(&l->ldr, value & 0xff000000u); break;
	case APIC_DFR: lapic_put(&l->dfr, value | DFR_CLUSTER); break;
	case APIC_ICR_LO:
		l->icr_lo = value & ICR_WRITABLE;
		icr_send(l, l->icr_hi >> 24 == XAPIC_ALL && !(value & APIC_ICR_LOGICAL)
				    ? DEST_ALL
				    : l->icr_hi >> 24);
		break;
	case APIC_ICR_HI: l->icr_hi = value & 0xff000000u; break;
	default:
		if (!reg_write(l, reg, value))
			lapic_error(l, APIC_ESR_REGISTER);
		break;
	}
}

/* ---- x2APIC MSRs ---- */

static int x2apic_read(struct lapic *l, u32 msr, u64 *value)
{
	u32 reg = (msr - APIC_MSR_FIRST) << 4, low = 0;

	switch (reg) {
	case APIC_ID: *value = l->id; return 0;
	case APIC_ICR_LO: *value = (u64)l->icr_hi << 32 | l->icr_lo; return 0;
	default:
		if (!reg_read(l, reg, &low))
			return -1;
		*value = low;
		return 0;
	}
}

/* Bits that must be zero in a 32-bit register's MSR (table 11-6 and figures). */
static u32 x2apic_reserved(u32 reg)
{
	int lvt = lvt_index(reg);

	if (lvt > 0)
		return ~(lvt_writable[lvt] | APIC_LVT_STATUS |
			 (lvt == LVT_LINT0 || lvt == LVT_LINT1 ? APIC_LVT_REMOTE_IRR : 0));
	switch (reg) {
	case APIC_TPR:
	case APIC_SELF_IPI: return ~0xffu;
	case APIC_SVR: return ~SVR_WRITABLE;
	case APIC_TIMER_DIV: return ~DIVIDE_BITS;
	case APIC_TIMER_INIT: return 0;
	default: /* EOI and ESR take zero only */ return ~0u;
	}
}

static int x2apic_write(struct lapic *l, u32 msr, u64 value)
{
	u32 reg = (msr - APIC_MSR_FIRST) << 4, low = (u32)value;

	if (reg == APIC_ICR_LO) {
		if (low & ICR_X2_MUST_BE_ZERO)
			return -1;
		l->icr_lo = low & ICR_WRITABLE;
		l->icr_hi = (u32)(value >> 32);
		icr_send(l, l->icr_hi);
		return 0;
	}
	if (value >> 32 || (low & x2apic_reserved(reg)))
		return -1;
	if (reg == APIC_SELF_IPI) {
		self_ipi(l, (u8)low);
		return 0;
	}
	return reg_write(l, reg, low) ? 0 : -1;
}

/* Legal moves between off, xAPIC and x2APIC (11.12.5, figure 11-26). */
static int base_write(struct lapic *l, u64 value)
{
	const u64 mode = APIC_BASE_EN | APIC_BASE_EXTD;
	u64 was = l->base & mode, now = value & mode;

	if (value & ~(APIC_BASE_BSP | mode | (mask64(l->maxphyaddr) & ~0xfffull)))
		return -1;
	if (now == APIC_BASE_EXTD)
		return -1;
	if (was == mode && now == APIC_BASE_EN)
		return -1;
	if (was == 0 && now == mode)
		return -1;
	if (was != now && !now) { /* off: registers as after a reset */
		lapic_init_reset(l);
		lapic_put(&l->id, l->cpu_id);
	}
	__atomic_store_n(&l->base, value, __ATOMIC_RELAXED);
	if (was != now && now == mode) {
		lapic_put(&l->id, l->cpu_id);
		lapic_put(&l->ldr, lapic_x2apic_ldr(l->cpu_id));
		l->icr_hi = 0;
	} else if (was != now && now == APIC_BASE_EN) {
		lapic_put(&l->ldr, 0);
	}
	return 0;
}

int lapic_msr_read(struct lapic *l, u32 msr, u64 *value)
{
	switch (msr) {
	case 0x1b: /* IA32_APIC_BASE */ *value = l->base; return 0;
	case 0x6e0: /* IA32_TSC_DEADLINE */
		lapic_timer_poll(l, l->ops->now_ns(l->arg));
		*value = l->tsc_deadline;
		return 0;
	default:
		if (msr < APIC_MSR_FIRST || msr > APIC_MSR_LAST || !lapic_x2apic(l))
			return -1;
		return x2apic_read(l, msr, value);
	}
}

int lapic_msr_write(struct lapic *l, u32 msr, u64 value)
{
	switch (msr) {
	case 0x1b: return base_write(l, value);
	case 0x6e0: lapic_tsc_deadline_write(l, value); return 0;
	default:
		if (msr < APIC_MSR_FIRST || msr > APIC_MSR_LAST || !lapic_x2apic(l))
			return -1;
		return x2apic_write(l, msr, value);
	}
}

/* ---- CR8 ---- */

u8 lapic_cr8_read(const struct lapic *l)
{
	return (u8)(l->tpr >> 4);
}

void lapic_cr8_write(struct lapic *l, u8 value)
{
	lapic_put(&l->tpr, (u32)(value & 0xf) << 4);
}
