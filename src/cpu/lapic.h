/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lapic: the local APIC as a pure state machine: xAPIC and x2APIC, timer with TSC deadline.
 *
 * Follows Intel SDM 3A, chapter 11. One per vCPU. Two kinds of callers: the owner, the vCPU's own
 * thread, does everything; other threads may only post (lapic_post, lapic_deliver, lapic_ipi_send's
 * targets) and ask for a destination match. What they post waits in atomic words until the owner
 * folds it into IRR. The timer is not driven: the owner asks for the deadline and polls.
 *
 * Timer clock: 1 GHz before the divider. Freestanding.
 *
 * Context: "owner" = the vCPU's thread (or any with the vCPU stopped); "any" = every thread.
 */
#ifndef CPU_LAPIC_H
#define CPU_LAPIC_H

#include "cpu/state.h"
#include "lib/bits.h"
#include "lib/types.h"
#include "spec/apic.h"

#define LAPIC_TIMER_HZ 1000000000u
#define LAPIC_NEVER    (~0ull)
#define LAPIC_VERSION  (0x14u | 5u << 16 | APIC_VERSION_DIRECTED_EOI)

/* An interrupt message, decoded from an ICR or an MSI. */
struct lapic_ipi {
	u32 dest; /* 0xffffffff = all */
	u8 mode;  /* APIC_MODE_* */
	u8 vector;
	u8 shorthand; /* APIC_TO_* */
	bool logical;
	bool level; /* level-triggered: EOI will be broadcast */
};

struct lapic_ops {
	/* Guest ns (board clock) and this vCPU's TSC as the guest reads it. */
	u64 (*now_ns)(void *arg);
	u64 (*tsc)(void *arg);
	/* Guest ns at which this vCPU's TSC reads `tsc`; may round up, not down. */
	u64 (*tsc_to_ns)(void *arg, u64 tsc);
	/* The guest wrote ICR (self-IPIs never come here). Usually lapic_ipi_send(). */
	void (*send_ipi)(void *arg, const struct lapic_ipi *ipi);
	/* A level-triggered vector was EOI'd: irq_eoi(). */
	void (*eoi_broadcast)(void *arg, u8 vector);
};

/* Events for the owner, besides vectors. */
#define LAPIC_EVENT_VECTOR BIT(0) /* something was posted: lapic_highest() sees it */
#define LAPIC_EVENT_NMI	   BIT(1)
#define LAPIC_EVENT_SMI	   BIT(2)
#define LAPIC_EVENT_INIT   BIT(3)
#define LAPIC_EVENT_SIPI   BIT(4) /* vector: lapic_sipi_vector() */

struct lapic {
	/* Any thread, atomic. */
	u32 events;
	u32 post_edge[8], post_level[8];
	u32 post_error;
	u32 sipi_vector;
	/* Written by the owner, read by any thread, atomic. */
	u64 base; /* IA32_APIC_BASE */
	u32 id;	  /* full 32 bits; xAPIC shows the low 8 */
	u32 ldr, dfr, svr, tpr;
	/* Owner only. */
	u32 esr, esr_pending, icr_lo, icr_hi;
	u32 lvt[7]; /* in the order of struct cpu_lapic_state; [0] = CMCI is not there */
	u32 irr[8], isr[8], tmr[8];
	u32 timer_initial, timer_divide;
	u64 timer_started; /* guest ns; LAPIC_NEVER = one-shot over, or never started */
	u64 tsc_deadline;  /* 0 = off */
	u32 cpu_id;
	u8 maxphyaddr;
	bool bsp;
	const struct lapic_ops *ops;
	void *arg;
};

/* ---- life: owner ---- */

void lapic_init(struct lapic *l, u32 cpu_id, bool bsp, u8 maxphyaddr, const struct lapic_ops *ops,
		void *arg);
/* Power-up state. */
void lapic_reset(struct lapic *l);
/* INIT: as above, but id, APIC_BASE (and with it the mode) stay (11.4.7.3). */
void lapic_init_reset(struct lapic *l);
/* What firmware leaves on the boot CPU: enabled, LINT0 = ExtINT, LINT1 = NMI (11.5.1, MP 1.4
 * 3.6.2.2 "virtual wire"). For kernels started without firmware. */
void lapic_virtual_wire(struct lapic *l);

void lapic_save(struct lapic *l, struct cpu_lapic_state *out);
void lapic_load(struct lapic *l, const struct cpu_lapic_state *in);

/* ---- mode: any ---- */

bool lapic_enabled(const struct lapic *l); /* globally: APIC_BASE.EN */
bool lapic_x2apic(const struct lapic *l);
/* MMIO page answers: xAPIC mode only. Its address is lapic_base() & ~0xfff. */
bool lapic_mmio(const struct lapic *l);
u64 lapic_base(const struct lapic *l);

/* ---- registers: owner ---- */

/* off 0..0xfff in the page; size 1, 2, 4, 8. Only aligned 32-bit accesses are architectural. */
u32 lapic_mmio_read(struct lapic *l, u32 off, unsigned size);
void lapic_mmio_write(struct lapic *l, u32 off, unsigned size, u32 value);

/* MSRs 0x800..0x8ff, 0x1b, 0x6e0: 0, or -1 = #GP(0). */
int lapic_msr_read(struct lapic *l, u32 msr, u64 *value);
int lapic_msr_write(struct lapic *l, u32 msr, u64 value);

/* CR8 */
u8 lapic_cr8_read(const struct lapic *l);
void lapic_cr8_write(struct lapic *l, u8 value);

/* ---- interrupts in: any ---- */

/* A vector, edge or level. True when it was accepted: then wake the owner. */
bool lapic_post(struct lapic *l, u8 vector, bool level);
/* A message that matched: any delivery mode. True when the owner has to look. */
bool lapic_deliver(struct lapic *l, const struct lapic_ipi *ipi);

/* True when anything was posted since the owner's last look. One atomic load. */
static inline u32 lapic_events(const struct lapic *l)
{
	return __atomic_load_n(&l->events, __ATOMIC_ACQUIRE);
}

/* ---- interrupts out: owner ---- */

/* Takes the given LAPIC_EVENT_* bits (not VECTOR) and returns those that were set. */
u32 lapic_events_take(struct lapic *l, u32 mask);
u8 lapic_sipi_vector(const struct lapic *l);

/* The vector that would be delivered now (priority above PPR), or -1. */
int lapic_highest(struct lapic *l);
/* INTA: moves it to ISR and returns it; the spurious vector when nothing deserves delivery. */
u8 lapic_accept(struct lapic *l);
/* Highest vector in IRR whatever the priority, or -1: for HLT and for TPR thresholds. */
int lapic_pending(struct lapic *l);

/* The PIC's INTR reaches this CPU: LINT0 unmasked as ExtINT, or APIC globally off. */
bool lapic_extint_open(const struct lapic *l);
/* A local pin (0 or 1) was asserted: delivers what its LVT says, except ExtINT. */
void lapic_lint(struct lapic *l, unsigned pin);

/* ---- timer: owner ---- */

/* Guest ns of the next timer interrupt, LAPIC_NEVER if none. */
u64 lapic_timer_deadline_ns(const struct lapic *l);
/* Puts a due timer interrupt into IRR; true when one was. */
bool lapic_timer_poll(struct lapic *l, u64 now_ns);

/* ---- routing: any ---- */

/* Does this destination name this APIC? */
bool lapic_dest_match(const struct lapic *l, u32 dest, bool logical);

/* Decodes an MSI or IOAPIC message. */
struct lapic_ipi lapic_ipi_from_msi(u64 addr, u32 data);

/* Delivers to all that match among `set` (source: index of the sender, -1 for devices); wake is
 * called for each APIC whose owner has to look. True when at least one accepted it. */
bool lapic_ipi_send(struct lapic *const *set, unsigned count, int source,
		    const struct lapic_ipi *ipi, void (*wake)(void *arg, unsigned index),
		    void *arg);

#endif
