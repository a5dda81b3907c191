/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lapic: the local APIC as a state machine (Intel SDM 3A, chapter 11): interrupts in and out,
 * timer, routing, life. The registers are in lapic_regs.c.
 *
 * The owner vCPU enters for acceptance and time; any thread may post. Posted vectors wait in
 * post_edge/post_level and are folded into IRR and TMR when the owner looks, so IRR itself needs no
 * atomics. Registers that a destination match reads are stored atomically by the owner.
 * Freestanding: engines and metal use the same file.
 */
#include "cpu/lapic_internal.h"

#define DIVIDE_BITS 0x0bu

/* ---- helpers ---- */

u64 lapic_base(const struct lapic *l)
{
	return __atomic_load_n(&l->base, __ATOMIC_RELAXED);
}

bool lapic_enabled(const struct lapic *l)
{
	return lapic_base(l) & APIC_BASE_EN;
}

bool lapic_x2apic(const struct lapic *l)
{
	return (lapic_base(l) & (APIC_BASE_EN | APIC_BASE_EXTD)) == (APIC_BASE_EN | APIC_BASE_EXTD);
}

bool lapic_mmio(const struct lapic *l)
{
	return (lapic_base(l) & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN;
}

/* Class of the highest vector in service against TPR (11.8.3.1). */
u32 lapic_ppr(const struct lapic *l)
{
	int isr = highest_bit(l->isr);
	u32 served = isr < 0 ? 0 : (u32)isr & 0xf0;

	return (l->tpr & 0xf0) >= served ? l->tpr : served;
}

/* ---- interrupts in: any thread ---- */

static void raise_event(struct lapic *l, u32 event)
{
	__atomic_fetch_or(&l->events, event, __ATOMIC_SEQ_CST);
}

bool lapic_post(struct lapic *l, u8 vector, bool level)
{
	u32 *words = level ? l->post_level : l->post_edge;

	if (!lapic_software_enabled(l))
		return false;
	if (vector < VECTOR_FIRST) {
		__atomic_fetch_or(&l->post_error, APIC_ESR_RECEIVE_ILLEGAL, __ATOMIC_RELAXED);
		raise_event(l, LAPIC_EVENT_VECTOR);
		return true;
	}
	__atomic_fetch_or(&words[vector / 32], BIT(vector % 32), __ATOMIC_RELAXED);
	raise_event(l, LAPIC_EVENT_VECTOR);
	return true;
}

bool lapic_deliver(struct lapic *l, const struct lapic_ipi *ipi)
{
	if (!lapic_enabled(l))
		return false;
	switch (ipi->mode) {
	case APIC_MODE_FIXED:
	case APIC_MODE_LOWEST: return lapic_post(l, ipi->vector, ipi->level);
	case APIC_MODE_SMI: raise_event(l, LAPIC_EVENT_SMI); return true;
	case APIC_MODE_NMI: raise_event(l, LAPIC_EVENT_NMI); return true;
	case APIC_MODE_INIT: raise_event(l, LAPIC_EVENT_INIT); return true;
	case APIC_MODE_SIPI:
		lapic_put(&l->sipi_vector, ipi->vector);
		raise_event(l, LAPIC_EVENT_SIPI);
		return true;
	default: /* ExtINT by message reaches nobody */ return false;
	}
}

/* ---- errors and local interrupts: owner ---- */

void lapic_accept_irr(struct lapic *l, u8 vector, bool level)
{
	set_bit(l->irr, vector);
	if (level)
		set_bit(l->tmr, vector);
	else
		clear_bit(l->tmr, vector);
}

/* What an LVT entry says happens now. */
static void lvt_deliver(struct lapic *l, unsigned index)
{
	u32 lvt = l->lvt[index];
	unsigned mode = lvt >> APIC_LVT_MODE_SHIFT & 7;
	u8 vector = lvt & APIC_LVT_VECTOR;

	if (lvt & APIC_LVT_MASK)
		return;
	if (index == LVT_TIMER || index == LVT_ERROR)
		mode = APIC_MODE_FIXED;
	switch (mode) {
	case APIC_MODE_FIXED:
		if (vector >= VECTOR_FIRST)
			lapic_accept_irr(l, vector, (lvt & APIC_LVT_LEVEL) && index == LVT_LINT0);
		else if (index != LVT_ERROR) /* an error about the error entry would not end */
			lapic_error(l, APIC_ESR_RECEIVE_ILLEGAL);
		break;
	case APIC_MODE_SMI: raise_event(l, LAPIC_EVENT_SMI); break;
	case APIC_MODE_NMI: raise_event(l, LAPIC_EVENT_NMI); break;
	case APIC_MODE_INIT: raise_event(l, LAPIC_EVENT_INIT); break;
	default: break;
	}
}

void lapic_error(struct lapic *l, u32 bits)
{
	u32 fresh = bits & ~l->esr_pending;

	l->esr_pending |= bits;
	if (fresh)
		lvt_deliver(l, LVT_ERROR);
}

/* Takes what other threads posted. */
void lapic_fold(struct lapic *l)
{
	u32 errors;

	if (!(lapic_events(l) & LAPIC_EVENT_VECTOR))
		return;
	__atomic_fetch_and(&l->events, ~LAPIC_EVENT_VECTOR, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 8; i++) {
		u32 edge = 0, level = 0;

		if (lapic_get(&l->post_edge[i]))
			edge = __atomic_exchange_n(&l->post_edge[i], 0, __ATOMIC_ACQ_REL);
		if (lapic_get(&l->post_level[i]))
			level = __atomic_exchange_n(&l->post_level[i], 0, __ATOMIC_ACQ_REL);
		l->irr[i] |= edge | level;
		l->tmr[i] = (l->tmr[i] & ~edge) | level;
	}
	errors = __atomic_exchange_n(&l->post_error, 0, __ATOMIC_ACQ_REL);
	if (errors)
		lapic_error(l, errors);
}

void lapic_lint(struct lapic *l, unsigned pin)
{
	if (lapic_software_enabled(l))
		lvt_deliver(l, pin ? LVT_LINT1 : LVT_LINT0);
}

bool lapic_extint_open(const struct lapic *l)
{
	u32 lvt = l->lvt[LVT_LINT0];

	if (!lapic_enabled(l))
		return true; /* LINT0 is INTR then (11.4.3) */
	return !(lvt & APIC_LVT_MASK) &&
	       (lvt & APIC_LVT_MODE) >> APIC_LVT_MODE_SHIFT == APIC_MODE_EXTINT;
}

/* ---- interrupts out: owner ---- */

u32 lapic_events_take(struct lapic *l, u32 mask)
{
	mask &= ~LAPIC_EVENT_VECTOR;
	if (!(lapic_events(l) & mask))
		return 0;
	return __atomic_fetch_and(&l->events, ~mask, __ATOMIC_SEQ_CST) & mask;
}

u8 lapic_sipi_vector(const struct lapic *l)
{
	return (u8)lapic_get(&l->sipi_vector);
}

int lapic_pending(struct lapic *l)
{
	lapic_fold(l);
	return lapic_enabled(l) ? highest_bit(l->irr) : -1;
}

int lapic_highest(struct lapic *l)
{
	int vector = lapic_pending(l);

	if (vector < 0 || ((u32)vector & 0xf0) <= (lapic_ppr(l) & 0xf0))
		return -1;
	return vector;
}

u8 lapic_accept(struct lapic *l)
{
	int vector = lapic_highest(l);

	if (vector < 0)
		return l->svr & 0xff;
	clear_bit(l->irr, (unsigned)vector);
	set_bit(l->isr, (unsigned)vector);
	return (u8)vector;
}

void lapic_eoi(struct lapic *l)
{
	int vector = highest_bit(l->isr);

	if (vector < 0)
		return;
	clear_bit(l->isr, (unsigned)vector);
	if (test_bit(l->tmr, (unsigned)vector) && !(l->svr & APIC_SVR_NO_BROADCAST))
		l->ops->eoi_broadcast(l->arg, (u8)vector);
}

/* ---- timer: owner ---- */

static u32 timer_divisor(const struct lapic *l)
{
	u32 code = (l->timer_divide & 3) | (l->timer_divide >> 1 & 4);

	return code == 7 ? 1 : 2u << code;
}

static u64 timer_period(const struct lapic *l)
{
	return (u64)l->timer_initial * timer_divisor(l);
}

static u32 timer_mode(const struct lapic *l)
{
	return l->lvt[LVT_TIMER] & APIC_LVT_TIMER_MODE;
}

/* Counting mode and counting. */
static bool timer_counting(const struct lapic *l)
{
	return !(timer_mode(l) & APIC_LVT_DEADLINE) && l->timer_initial &&
	       l->timer_started != LAPIC_NEVER;
}

u32 lapic_timer_current(const struct lapic *l)
{
	u64 now, elapsed;

	if (!timer_counting(l))
		return 0;
	now = l->ops->now_ns(l->arg);
	elapsed = now > l->timer_started ? (now - l->timer_started) / timer_divisor(l) : 0;
	if (timer_mode(l) & APIC_LVT_PERIODIC)
		return l->timer_initial - (u32)(elapsed % l->timer_initial);
	return elapsed >= l->timer_initial ? 0 : l->timer_initial - (u32)elapsed;
}

u64 lapic_timer_deadline_ns(const struct lapic *l)
{
	if (l->lvt[LVT_TIMER] & APIC_LVT_MASK)
		return LAPIC_NEVER;
	if (timer_mode(l) == APIC_LVT_DEADLINE)
		return l->tsc_deadline ? l->ops->tsc_to_ns(l->arg, l->tsc_deadline) : LAPIC_NEVER;
	return timer_counting(l) ? l->timer_started + timer_period(l) : LAPIC_NEVER;
}

bool lapic_timer_poll(struct lapic *l, u64 now_ns)
{
	u64 period, elapsed;

	if (timer_mode(l) == APIC_LVT_DEADLINE) {
		if (!l->tsc_deadline || l->ops->tsc(l->arg) < l->tsc_deadline)
			return false;
		l->tsc_deadline = 0;
	} else {
		period = timer_period(l);
		if (!timer_counting(l) || now_ns < l->timer_started)
			return false;
		elapsed = now_ns - l->timer_started;
		if (elapsed < period)
			return false;
		if (timer_mode(l) & APIC_LVT_PERIODIC)
			l->timer_started += elapsed / period * period;
		else
			l->timer_started = LAPIC_NEVER;
	}
	if (l->lvt[LVT_TIMER] & APIC_LVT_MASK)
		return false;
	lvt_deliver(l, LVT_TIMER);
	return true;
}

void lapic_timer_lvt_write(struct lapic *l, u32 value)
{
	u32 was = timer_mode(l);

	/* what expired under the old setting was decided under it */
	lapic_timer_poll(l, l->ops->now_ns(l->arg));
	l->lvt[LVT_TIMER] = value;
	/* changing to or from deadline mode disarms (11.5.4.1) */
	if ((was ^ value) & APIC_LVT_DEADLINE) {
		l->timer_started = LAPIC_NEVER;
		l->timer_initial = 0;
		l->tsc_deadline = 0;
	}
}

void lapic_timer_initial_write(struct lapic *l, u32 value)
{
	if (timer_mode(l) & APIC_LVT_DEADLINE)
		return;
	lapic_timer_poll(l, l->ops->now_ns(l->arg));
	l->timer_initial = value;
	l->timer_started = value ? l->ops->now_ns(l->arg) : LAPIC_NEVER;
}

/* A new divisor goes on from the present count. */
void lapic_timer_divide_write(struct lapic *l, u32 value)
{
	u64 now = l->ops->now_ns(l->arg);
	u32 current;

	lapic_timer_poll(l, now);
	current = lapic_timer_current(l);
	l->timer_divide = value & DIVIDE_BITS;
	if (current)
		l->timer_started = now - (u64)(l->timer_initial - current) * timer_divisor(l);
}

void lapic_tsc_deadline_write(struct lapic *l, u64 value)
{
	if (timer_mode(l) == APIC_LVT_DEADLINE)
		l->tsc_deadline = value;
}

/* ---- routing: any thread ---- */

bool lapic_dest_match(const struct lapic *l, u32 dest, bool logical)
{
	u32 id = lapic_get(&l->id), ldr = lapic_get(&l->ldr), mda;

	if (!lapic_enabled(l))
		return false;
	if (dest == DEST_ALL)
		return true;
	if (lapic_x2apic(l)) {
		if (!logical)
			return dest == id;
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	}
	if (dest == XAPIC_ALL)
		return true;
	if (dest > XAPIC_ALL)
		return false;
	if (!logical)
		return dest == id;
	mda = ldr >> 24;
	if (lapic_get(&l->dfr) == DFR_FLAT)
		return dest & mda;
	return dest >> 4 == mda >> 4 && (dest & mda & 0xf);
}

struct lapic_ipi lapic_ipi_from_msi(u64 addr, u32 data)
{
	struct lapic_ipi ipi = {
		.dest = (u32)(addr >> APIC_MSI_DEST_SHIFT) & 0xff,
		.mode = data >> 8 & 7,
		.vector = (u8)data,
		.logical = addr & APIC_MSI_LOGICAL,
		.level = data & APIC_MSI_LEVEL,
	};

	if (ipi.dest == XAPIC_ALL)
		ipi.dest = DEST_ALL;
	return ipi;
}

static bool ipi_match(struct lapic *const *set, unsigned index, int source,
		      const struct lapic_ipi *ipi)
{
	switch (ipi->shorthand) {
	case APIC_TO_SELF: return (int)index == source;
	case APIC_TO_ALL: return true;
	case APIC_TO_OTHERS: return (int)index != source;
	default: return lapic_dest_match(set[index], ipi->dest, ipi->logical);
	}
}

/* Lowest priority: the least TPR among those that match; ties go round by vector. */
static int ipi_lowest(struct lapic *const *set, unsigned count, int source,
		      const struct lapic_ipi *ipi)
{
	u32 best_tpr = 0;
	int best = -1;

	for (unsigned i = 0; i < count; i++) {
		unsigned index = (ipi->vector + i) % count;
		u32 tpr;

		if (!ipi_match(set, index, source, ipi) || !lapic_software_enabled(set[index]))
			continue;
		tpr = lapic_get(&set[index]->tpr) >> 4;
		if (best < 0 || tpr < best_tpr) {
			best = (int)index;
			best_tpr = tpr;
		}
	}
	return best;
}

bool lapic_ipi_send(struct lapic *const *set, unsigned count, int source,
		    const struct lapic_ipi *ipi, void (*wake)(void *arg, unsigned index), void *arg)
{
	bool any = false;

	if (ipi->mode == APIC_MODE_LOWEST) {
		int index = ipi_lowest(set, count, source, ipi);

		if (index < 0 || !lapic_deliver(set[index], ipi))
			return false;
		wake(arg, (unsigned)index);
		return true;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!ipi_match(set, i, source, ipi) || !lapic_deliver(set[i], ipi))
			continue;
		any = true;
		wake(arg, i);
	}
	return any;
}

/* ---- life ---- */

void lapic_init_reset(struct lapic *l)
{
	for (unsigned i = 0; i < 8; i++) {
		l->irr[i] = l->isr[i] = l->tmr[i] = 0;
		lapic_put(&l->post_edge[i], 0);
		lapic_put(&l->post_level[i], 0);
	}
	for (unsigned i = LVT_TIMER; i <= LVT_ERROR; i++)
		l->lvt[i] = APIC_LVT_MASK;
	lapic_put(&l->post_error, 0);
	lapic_put(&l->tpr, 0);
	lapic_put(&l->svr, 0xff);
	lapic_put(&l->dfr, DFR_FLAT);
	lapic_put(&l->ldr, lapic_x2apic(l) ? lapic_x2apic_ldr(l->id) : 0);
	l->esr = l->esr_pending = 0;
	l->icr_lo = l->icr_hi = 0;
	l->timer_initial = l->timer_divide = 0;
	l->timer_started = LAPIC_NEVER;
	l->tsc_deadline = 0;
}

void lapic_reset(struct lapic *l)
{
	__atomic_store_n(&l->base, APIC_BASE_DEFAULT | APIC_BASE_EN | (l->bsp ? APIC_BASE_BSP : 0),
			 __ATOMIC_RELAXED);
	lapic_put(&l->id, l->cpu_id);
	lapic_put(&l->events, 0);
	lapic_put(&l->sipi_vector, 0);
	lapic_init_reset(l);
}

void lapic_virtual_wire(struct lapic *l)
{
	lapic_put(&l->svr, APIC_SVR_ENABLE | 0xff);
	l->lvt[LVT_LINT0] = APIC_MODE_EXTINT << APIC_LVT_MODE_SHIFT;
	l->lvt[LVT_LINT1] = APIC_MODE_NMI << APIC_LVT_MODE_SHIFT;
}

void lapic_init(struct lapic *l, u32 cpu_id, bool bsp, u8 maxphyaddr, const struct lapic_ops *ops,
		void *arg)
{
	*l = (struct lapic){
		.cpu_id = cpu_id, .bsp = bsp, .maxphyaddr = maxphyaddr, .ops = ops, .arg = arg};
	lapic_reset(l);
}

void lapic_save(struct lapic *l, struct cpu_lapic_state *out)
{
	lapic_fold(l);
	*out = (struct cpu_lapic_state){
		.base = l->base,
		.id = l->id,
		.tpr = l->tpr,
		.ldr = l->ldr,
		.dfr = l->dfr,
		.svr = l->svr,
		.esr = l->esr,
		.icr_lo = l->icr_lo,
		.icr_hi = l->icr_hi,
		.timer_initial = l->timer_initial,
		.timer_divide = l->timer_divide,
		.timer_started_ns = l->timer_started,
		.tsc_deadline = l->tsc_deadline,
	};
	__builtin_memcpy(out->lvt, l->lvt, sizeof(l->lvt));
	__builtin_memcpy(out->irr, l->irr, sizeof(l->irr));
	__builtin_memcpy(out->isr, l->isr, sizeof(l->isr));
	__builtin_memcpy(out->tmr, l->tmr, sizeof(l->tmr));
}

void lapic_load(struct lapic *l, const struct cpu_lapic_state *in)
{
	lapic_init_reset(l);
	/* An INIT, SIPI or NMI on its way to the machine that was is not for the new one. */
	lapic_put(&l->events, 0);
	__atomic_store_n(&l->base, in->base, __ATOMIC_RELAXED);
	lapic_put(&l->id, in->id);
	lapic_put(&l->tpr, in->tpr);
	lapic_put(&l->ldr, in->ldr);
	lapic_put(&l->dfr, in->dfr);
	lapic_put(&l->svr, in->svr);
	l->esr = in->esr;
	l->icr_lo = in->icr_lo;
	l->icr_hi = in->icr_hi;
	l->timer_initial = in->timer_initial;
	l->timer_divide = in->timer_divide;
	l->timer_started = in->timer_started_ns;
	l->tsc_deadline = in->tsc_deadline;
	__builtin_memcpy(l->lvt, in->lvt, sizeof(l->lvt));
	__builtin_memcpy(l->irr, in->irr, sizeof(l->irr));
	__builtin_memcpy(l->isr, in->isr, sizeof(l->isr));
	__builtin_memcpy(l->tmr, in->tmr, sizeof(l->tmr));
}
