/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock: the one clock of a VM. Guest nanoseconds since power-on; stands still while paused.
 *
 * Every timer of the machine (TSC, kvmclock, PM timer, HPET, PIT, RTC, local APIC) derives from
 * it. On a host with an invariant TSC guest time is an affine function of the host TSC, so that a
 * guest's RDTSC and its clock agree exactly.
 *
 * Context: any thread (reads are lock-free); clock_pause/resume from the loop with vCPUs stopped.
 */
#ifndef BOARD_CLOCK_H
#define BOARD_CLOCK_H

#include <pthread.h>

#include "host/loop.h"
#include "lib/types.h"

struct clock {
	u64 base_ns;	  /* guest ns at base_tsc / base_host_ns */
	u64 base_tsc;	  /* host TSC at that moment */
	u64 base_host_ns; /* CLOCK_MONOTONIC then */
	u64 tsc_khz;	  /* host and guest TSC frequency */
	u64 ns_mult;	  /* ns = (tsc_delta * ns_mult) >> 32 */
	bool paused;
	s64 epoch_ns; /* CLOCK_REALTIME ns minus guest ns, at open: what RTC and kvmclock show */
	struct loop *loop;
	u64 base_guest_tsc;	    /* guest TSC at base_tsc */
	bool use_tsc;		    /* the host's TSC is invariant: guest time follows it */
	u32 seq;		    /* odd while pause/resume rewrites the bases */
	pthread_mutex_t lock;	    /* timers, pause/resume */
	struct clock_timer *timers; /* armed ones */
};

/* A device timer in guest time; fires on the VM's main loop. */
struct clock_timer {
	struct clock *clock;
	struct loop_timer host;
	void (*fire)(struct clock_timer *timer);
	void *arg;
	u64 deadline; /* guest ns */
	bool armed;
	struct clock_timer *next; /* armed timers of the clock */
};

/* Starts at guest time 0, running. Takes up to 12 ms when the TSC must be measured. */
int clock_open(struct clock *clock, struct loop *loop);
void clock_close(struct clock *clock);

/* Loading a saved VM: guest time goes on from ns. While paused only. */
void clock_set(struct clock *clock, u64 ns);

/* Guest ns since power-on. */
u64 clock_now(const struct clock *clock);

/* Guest TSC counts at tsc_khz from 0 at power-on; per-vCPU offsets are the engine's. */
u64 clock_tsc(const struct clock *clock);
u64 clock_tsc_to_ns(const struct clock *clock, u64 tsc);
u64 clock_ns_to_tsc(const struct clock *clock, u64 ns);

/* Wall time in ns since 1970 as the guest should see it now. */
u64 clock_wall_ns(const struct clock *clock);

void clock_pause(struct clock *clock);
void clock_resume(struct clock *clock);

void clock_timer_init(struct clock *clock, struct clock_timer *timer,
		      void (*fire)(struct clock_timer *timer), void *arg);
/* Any thread; deadline in guest ns, in the past fires at once. While paused nothing fires; after
 * clock_resume it goes on. Cancel as loop_timer_cancel: final only from the loop's own thread. */
void clock_timer_arm(struct clock_timer *timer, u64 deadline);
void clock_timer_cancel(struct clock_timer *timer);

#endif
