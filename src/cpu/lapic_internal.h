/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lapic_internal: what lapic.c (interrupts, timer, routing) and lapic_regs.c (registers) share.
 *
 * Entered by those two files only.
 */
#ifndef CPU_LAPIC_INTERNAL_H
#define CPU_LAPIC_INTERNAL_H

#include "cpu/lapic.h"
#include "lib/bits.h"

enum { LVT_CMCI, LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR };

#define DFR_FLAT     0xffffffffu
#define DEST_ALL     0xffffffffu
#define XAPIC_ALL    0xffu
#define VECTOR_FIRST 16u /* 0..15 are illegal (11.5.2) */

/* Owner's store to a word that others read. */
static inline void lapic_put(u32 *word, u32 value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline u32 lapic_get(const u32 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void set_bit(u32 *words, unsigned n)
{
	words[n / 32] |= BIT(n % 32);
}

static inline void clear_bit(u32 *words, unsigned n)
{
	words[n / 32] &= ~BIT(n % 32);
}

static inline bool test_bit(const u32 *words, unsigned n)
{
	return words[n / 32] & BIT(n % 32);
}

static inline int highest_bit(const u32 *words)
{
	for (int i = 7; i >= 0; i--)
		if (words[i])
			return i * 32 + 31 - __builtin_clz(words[i]);
	return -1;
}

static inline bool lapic_software_enabled(const struct lapic *l)
{
	return lapic_enabled(l) && (lapic_get(&l->svr) & APIC_SVR_ENABLE);
}

/* Logical id of x2APIC mode: cluster in the upper half, one bit in the lower (11.12.10.2). */
static inline u32 lapic_x2apic_ldr(u32 id)
{
	return id >> 4 << 16 | BIT(id & 15);
}

/* lapic.c */
u32 lapic_ppr(const struct lapic *l);
void lapic_accept_irr(struct lapic *l, u8 vector, bool level);
void lapic_error(struct lapic *l, u32 bits);
void lapic_fold(struct lapic *l);
void lapic_eoi(struct lapic *l);
u32 lapic_timer_current(const struct lapic *l);
void lapic_timer_lvt_write(struct lapic *l, u32 value);
void lapic_timer_initial_write(struct lapic *l, u32 value);
void lapic_timer_divide_write(struct lapic *l, u32 value);
void lapic_tsc_deadline_write(struct lapic *l, u64 value);

#endif
