/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lapic: the local APIC as a state machine (Intel SDM 3A, chapter 11).
 *
 * The owner vCPU enters for registers, acceptance and time; any thread may post. Posted vectors
 * wait in post_edge/post_level and are folded into IRR and TMR when the owner looks, so IRR itself
 * needs no atomics. Registers that a destination match reads are stored atomically by the owner.
 * Freestanding: engines and metal use the same file.
 */
#include "cpu/lapic.h"

#include "lib/bits.h"

enum { LVT_CMCI, LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR };

#define DFR_FLAT      0xffffffffu
#define DFR_CLUSTER   0x0fffffffu
#define DEST_ALL      0xffffffffu
#define XAPIC_ALL     0xffu
#define VECTOR_FIRST  16u /* 0..15 are illegal (11.5.2) */
#define ICR_WRITABLE  0x000ccfffu
#define ICR_X2_MUST_BE_ZERO 0xfff32000u /* 31:20, 17:16, 13 (figure 11-28); 12 is ignored */
#define SVR_WRITABLE  (0xffu | APIC_SVR_ENABLE | APIC_SVR_FOCUS | APIC_SVR_NO_BROADCAST)
#define DIVIDE_BITS   0x0bu

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

/* ---- helpers ---- */

/* Owner's store to a word that others read. */
static void put32(u32 *word, u32 value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static u32 get32(const u32 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void set_bit(u32 *words, unsigned n)
{
	words[n / 32] |= BIT(n % 32);
}

static void clear_bit(u32 *words, unsigned n)
{
	words[n / 32] &= ~BIT(n % 32);
}

static bool test_bit(const u32 *words, unsigned n)
{
	return words[n / 32] & BIT(n % 32);
}

static int highest_bit(const u32 *words)
{
	for (int i = 7; i >= 0; i--)
		if (words[i])
			return i * 32 + 31 - __builtin_clz(words[i]);
	return -1;
}

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
	return (lapic_base(l) & (APIC_BASE_EN | APIC_BASE_EXTD)) ==
	       (APIC_BASE_EN | APIC_BASE_EXTD);
}

bool lapic_mmio(const struct lapic *l)
{
	return (lapic_base(l) & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN;
}

static bool software_enabled(const struct lapic *l)
{
	return lapic_enabled(l) && (get32(&l->svr) & APIC_SVR_ENABLE);
}

/* Logical id of x2APIC mode: cluster in the upper half, one bit in the lower (11.12.10.2). */
static u32 x2apic_ldr(u32 id)
{
	return id >> 4 << 16 | BIT(id & 15);
}

/* Class of the highest vector in service against TPR (11.8.3.1). */
static u32 lapic_ppr(const struct lapic *l)
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

	if (!software_enabled(l))
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
	case APIC_MODE_LOWEST:
		return lapic_post(l, ipi->vector, ipi->level);
	case APIC_MODE_SMI:
		raise_event(l, LAPIC_EVENT_SMI);
		return true;
	case APIC_MODE_NMI:
		raise_event(l, LAPIC_EVENT_NMI);
		return true;
	case APIC_MODE_INIT:
		raise_event(l, LAPIC_EVENT_INIT);
		return true;
	case APIC_MODE_SIPI:
		put32(&l->sipi_vector, ipi->vector);
		raise_event(l, LAPIC_EVENT_SIPI);
		return true;
	default: /* ExtINT by message reaches nobody */
		return false;
	}
}

/* ---- errors and local interrupts: owner ---- */

static void accept_irr(struct lapic *l, u8 vector, bool level)
{
	set_bit(l->irr, vector);
	if (level)
		set_bit(l->tmr, vector);
	else
		clear_bit(l->tmr, vector);
}

static void lapic_error(struct lapic *l, u32 bits);

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
			accept_irr(l, vector, (lvt & APIC_LVT_LEVEL) && index == LVT_LINT0);
		else if (index != LVT_ERROR) /* an error about the error entry would not end */
			lapic_error(l, APIC_ESR_RECEIVE_ILLEGAL);
		break;
	case APIC_MODE_SMI:
		raise_event(l, LAPIC_EVENT_SMI);
		break;
	case APIC_MODE_NMI:
		raise_event(l, LAPIC_EVENT_NMI);
		break;
	case APIC_MODE_INIT:
		raise_event(l, LAPIC_EVENT_INIT);
		break;
	default:
		break;
	}
}

static void lapic_error(struct lapic *l, u32 bits)
{
	u32 fresh = bits & ~l->esr_pending;

	l->esr_pending |= bits;
	if (fresh)
		lvt_deliver(l, LVT_ERROR);
}

/* Takes what other threads posted. */
static void lapic_fold(struct lapic *l)
{
	u32 errors;

	if (!(lapic_events(l) & LAPIC_EVENT_VECTOR))
		return;
	__atomic_fetch_and(&l->events, ~LAPIC_EVENT_VECTOR, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 8; i++) {
		u32 edge = 0, level = 0;

		if (get32(&l->post_edge[i]))
			edge = __atomic_exchange_n(&l->post_edge[i], 0, __ATOMIC_ACQ_REL);
		if (get32(&l->post_level[i]))
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
	if (software_enabled(l))
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
	return (u8)get32(&l->sipi_vector);
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

static void lapic_eoi(struct lapic *l)
{
	int vector = highest_bit(l->isr);

	if (vector < 0)
		return;
	clear_bit(l->isr, (unsigned)vector);
	if (test_bit(l->tmr, (unsigned)vector) && !(l->svr & APIC_SVR_NO_BROADCAST))
		l->ops->eoi_broadcast(l->arg, (u8)vector);
}

u8 lapic_cr8_read(const struct lapic *l)
{
	return (u8)(l->tpr >> 4);
}

void lapic_cr8_write(struct lapic *l, u8 value)
{
	put32(&l->tpr, (u32)(value & 0xf) << 4);
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

static u32 timer_current(const struct lapic *l)
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

static void timer_lvt_write(struct lapic *l, u32 value)
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

static void timer_initial_write(struct lapic *l, u32 value)
{
	if (timer_mode(l) & APIC_LVT_DEADLINE)
		return;
	lapic_timer_poll(l, l->ops->now_ns(l->arg));
	l->timer_initial = value;
	l->timer_started = value ? l->ops->now_ns(l->arg) : LAPIC_NEVER;
}

/* A new divisor goes on from the present count. */
static void timer_divide_write(struct lapic *l, u32 value)
{
	u64 now = l->ops->now_ns(l->arg);
	u32 current;

	lapic_timer_poll(l, now);
	current = timer_current(l);
	l->timer_divide = value & DIVIDE_BITS;
	if (current)
		l->timer_started = now - (u64)(l->timer_initial - current) * timer_divisor(l);
}

static void tsc_deadline_write(struct lapic *l, u64 value)
{
	if (timer_mode(l) == APIC_LVT_DEADLINE)
		l->tsc_deadline = value;
}

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
			accept_irr(l, ipi.vector, false);
		return;
	}
	l->ops->send_ipi(l->arg, &ipi);
}

static void self_ipi(struct lapic *l, u8 vector)
{
	if (vector < VECTOR_FIRST)
		lapic_error(l, APIC_ESR_SEND_ILLEGAL);
	else if (l->svr & APIC_SVR_ENABLE)
		accept_irr(l, vector, false);
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
	put32(&l->svr, value & SVR_WRITABLE);
	if (value & APIC_SVR_ENABLE)
		return;
	timer_lvt_write(l, l->lvt[LVT_TIMER] | APIC_LVT_MASK);
	for (unsigned i = LVT_THERMAL; i <= LVT_ERROR; i++)
		l->lvt[i] |= APIC_LVT_MASK;
}

static void lvt_write(struct lapic *l, unsigned index, u32 value)
{
	value &= lvt_writable[index];
	if (!(l->svr & APIC_SVR_ENABLE))
		value |= APIC_LVT_MASK;
	if (index == LVT_TIMER)
		timer_lvt_write(l, value);
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
	case APIC_VERSION:
		*value = LAPIC_VERSION;
		return true;
	case APIC_TPR:
		*value = l->tpr;
		return true;
	case APIC_PPR:
		*value = lapic_ppr(l);
		return true;
	case APIC_LDR:
		*value = l->ldr;
		return true;
	case APIC_SVR:
		*value = l->svr;
		return true;
	case APIC_ESR:
		*value = l->esr;
		return true;
	case APIC_TIMER_INIT:
		*value = l->timer_initial;
		return true;
	case APIC_TIMER_CUR:
		lapic_timer_poll(l, l->ops->now_ns(l->arg));
		*value = timer_current(l);
		return true;
	case APIC_TIMER_DIV:
		*value = l->timer_divide;
		return true;
	default:
		return false;
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
	case APIC_TPR:
		put32(&l->tpr, value & 0xff);
		return true;
	case APIC_EOI:
		lapic_eoi(l);
		return true;
	case APIC_SVR:
		svr_write(l, value);
		return true;
	case APIC_ESR: /* a write makes the errors since the last one readable (11.5.3) */
		lapic_fold(l);
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		return true;
	case APIC_TIMER_INIT:
		timer_initial_write(l, value);
		return true;
	case APIC_TIMER_DIV:
		timer_divide_write(l, value);
		return true;
	default:
		return false;
	}
}

/* ---- xAPIC page ---- */

u32 lapic_mmio_read(struct lapic *l, u32 off, unsigned size)
{
	u32 reg = off & 0xff0u, value = 0;

	switch (reg) {
	case APIC_ID:
		value = l->id << 24;
		break;
	case APIC_DFR:
		value = l->dfr;
		break;
	case APIC_ICR_LO:
		value = l->icr_lo;
		break;
	case APIC_ICR_HI:
		value = l->icr_hi;
		break;
	case APIC_APR:
	case APIC_RRD:
	case APIC_EOI:
		break;
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
	case APIC_ID:
		put32(&l->id, value >> 24);
		break;
	case APIC_LDR:
		put32(&l->ldr, value & 0xff000000u);
		break;
	case APIC_DFR:
		put32(&l->dfr, value | DFR_CLUSTER);
		break;
	case APIC_ICR_LO:
		l->icr_lo = value & ICR_WRITABLE;
		icr_send(l, l->icr_hi >> 24 == XAPIC_ALL && !(value & APIC_ICR_LOGICAL)
				    ? DEST_ALL
				    : l->icr_hi >> 24);
		break;
	case APIC_ICR_HI:
		l->icr_hi = value & 0xff000000u;
		break;
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
	case APIC_ID:
		*value = l->id;
		return 0;
	case APIC_ICR_LO:
		*value = (u64)l->icr_hi << 32 | l->icr_lo;
		return 0;
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
	case APIC_SELF_IPI:
		return ~0xffu;
	case APIC_SVR:
		return ~SVR_WRITABLE;
	case APIC_TIMER_DIV:
		return ~DIVIDE_BITS;
	case APIC_TIMER_INIT:
		return 0;
	default: /* EOI and ESR take zero only */
		return ~0u;
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
		put32(&l->id, l->cpu_id);
	}
	__atomic_store_n(&l->base, value, __ATOMIC_RELAXED);
	if (was != now && now == mode) {
		put32(&l->id, l->cpu_id);
		put32(&l->ldr, x2apic_ldr(l->cpu_id));
		l->icr_hi = 0;
	} else if (was != now && now == APIC_BASE_EN) {
		put32(&l->ldr, 0);
	}
	return 0;
}

int lapic_msr_read(struct lapic *l, u32 msr, u64 *value)
{
	switch (msr) {
	case 0x1b: /* IA32_APIC_BASE */
		*value = l->base;
		return 0;
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
	case 0x1b:
		return base_write(l, value);
	case 0x6e0:
		tsc_deadline_write(l, value);
		return 0;
	default:
		if (msr < APIC_MSR_FIRST || msr > APIC_MSR_LAST || !lapic_x2apic(l))
			return -1;
		return x2apic_write(l, msr, value);
	}
}

/* ---- routing: any thread ---- */

bool lapic_dest_match(const struct lapic *l, u32 dest, bool logical)
{
	u32 id = get32(&l->id), ldr = get32(&l->ldr), mda;

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
	if (get32(&l->dfr) == DFR_FLAT)
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
	case APIC_TO_SELF:
		return (int)index == source;
	case APIC_TO_ALL:
		return true;
	case APIC_TO_OTHERS:
		return (int)index != source;
	default:
		return lapic_dest_match(set[index], ipi->dest, ipi->logical);
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

		if (!ipi_match(set, index, source, ipi) || !software_enabled(set[index]))
			continue;
		tpr = get32(&set[index]->tpr) >> 4;
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
		put32(&l->post_edge[i], 0);
		put32(&l->post_level[i], 0);
	}
	for (unsigned i = LVT_TIMER; i <= LVT_ERROR; i++)
		l->lvt[i] = APIC_LVT_MASK;
	put32(&l->post_error, 0);
	put32(&l->tpr, 0);
	put32(&l->svr, 0xff);
	put32(&l->dfr, DFR_FLAT);
	put32(&l->ldr, lapic_x2apic(l) ? x2apic_ldr(l->id) : 0);
	l->esr = l->esr_pending = 0;
	l->icr_lo = l->icr_hi = 0;
	l->timer_initial = l->timer_divide = 0;
	l->timer_started = LAPIC_NEVER;
	l->tsc_deadline = 0;
}

void lapic_reset(struct lapic *l)
{
	__atomic_store_n(&l->base,
			 APIC_BASE_DEFAULT | APIC_BASE_EN | (l->bsp ? APIC_BASE_BSP : 0),
			 __ATOMIC_RELAXED);
	put32(&l->id, l->cpu_id);
	put32(&l->events, 0);
	put32(&l->sipi_vector, 0);
	lapic_init_reset(l);
}

void lapic_virtual_wire(struct lapic *l)
{
	put32(&l->svr, APIC_SVR_ENABLE | 0xff);
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
		.base = l->base, .id = l->id, .tpr = l->tpr, .ldr = l->ldr, .dfr = l->dfr,
		.svr = l->svr, .esr = l->esr, .icr_lo = l->icr_lo, .icr_hi = l->icr_hi,
		.timer_initial = l->timer_initial, .timer_divide = l->timer_divide,
		.timer_started_ns = l->timer_started, .tsc_deadline = l->tsc_deadline,
	};
	__builtin_memcpy(out->lvt, l->lvt, sizeof(l->lvt));
	__builtin_memcpy(out->irr, l->irr, sizeof(l->irr));
	__builtin_memcpy(out->isr, l->isr, sizeof(l->isr));
	__builtin_memcpy(out->tmr, l->tmr, sizeof(l->tmr));
}

void lapic_load(struct lapic *l, const struct cpu_lapic_state *in)
{
	lapic_init_reset(l);
	__atomic_store_n(&l->base, in->base, __ATOMIC_RELAXED);
	put32(&l->id, in->id);
	put32(&l->tpr, in->tpr);
	put32(&l->ldr, in->ldr);
	put32(&l->dfr, in->dfr);
	put32(&l->svr, in->svr);
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
