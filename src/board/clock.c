/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock: guest time as an affine function of the host's TSC, and timers in guest time.
 *
 * The TSC's frequency comes from, in this order: CPUID leaf 15H (Intel SDM 2A, CPUID), the
 * hypervisor timing leaf 40000010H, the kernel's own calibration as it shows in a perf event's
 * user page (perf_event_open(2): time_mult, time_shift), a measurement against CLOCK_MONOTONIC.
 *
 * Reads take no lock: pause and resume rewrite the bases under a sequence count.
 * Locks: `lock` guards the list of armed timers; taken before the loop's own lock.
 */
#include "board/clock.h"

#include <cpuid.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "host/fail.h"

#define CPUID_MAX_HYPERVISOR	      0x40000000u
#define CPUID_HYPERVISOR_TIMING	      0x40000010u /* EAX: virtual TSC frequency in kHz */
#define CPUID_MAX_EXTENDED	      0x80000000u
#define CPUID_POWER		      0x80000007u
#define CPUID_POWER_INVARIANT_TSC     0x100u /* EDX */
#define CPUID_TSC		      0x15u
#define CPUID_FEATURES_ECX_HYPERVISOR 0x80000000u

#define CLOCK_MEASURE_NS 11000000ull

/* ---- how fast the host's TSC is ---------------------------------------------------------- */

static u64 clock_khz_cpuid(void)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	if (eax >= CPUID_TSC) {
		__cpuid_count(CPUID_TSC, 0, eax, ebx, ecx, edx);
		if (eax && ebx && ecx)
			return (u64)ecx * ebx / eax / 1000;
	}
	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & CPUID_FEATURES_ECX_HYPERVISOR))
		return 0;
	__cpuid(CPUID_MAX_HYPERVISOR, eax, ebx, ecx, edx);
	if (eax < CPUID_HYPERVISOR_TIMING || eax > CPUID_MAX_HYPERVISOR + 0xffff)
		return 0;
	__cpuid(CPUID_HYPERVISOR_TIMING, eax, ebx, ecx, edx);
	return eax;
}

static u64 clock_khz_kernel(void)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_DUMMY,
				       .exclude_kernel = 1,
				       .exclude_hv = 1};
	struct perf_event_mmap_page *page;
	long size = sysconf(_SC_PAGESIZE);
	u64 khz = 0;
	int fd;

	fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return 0;
	page = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED) {
		/* ns = tsc * mult >> shift */
		if (page->cap_user_time && page->time_mult && page->time_shift < 43)
			khz = (1000000ull << page->time_shift) / page->time_mult;
		munmap(page, (size_t)size);
	}
	close(fd);
	return khz;
}

/* TSC and monotonic time of the same moment: of a few tries the one that took least. */
static void clock_pair(u64 *tsc, u64 *ns)
{
	u64 best = ~0ull;

	for (unsigned i = 0; i < 8; i++) {
		u64 before = __rdtsc(), now = host_now_ns(), after = __rdtsc();

		if (after - before < best) {
			best = after - before;
			*tsc = before + best / 2;
			*ns = now;
		}
	}
}

static u64 clock_khz_measure(void)
{
	struct timespec nap = {.tv_nsec = (long)CLOCK_MEASURE_NS};
	u64 tsc0 = 0, ns0 = 0, tsc1 = 0, ns1 = 0;

	clock_pair(&tsc0, &ns0);
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, &nap) == EINTR)
		;
	clock_pair(&tsc1, &ns1);
	return (u64)((unsigned __int128)(tsc1 - tsc0) * 1000000u / (ns1 - ns0));
}

static bool clock_tsc_invariant(void)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(CPUID_MAX_EXTENDED, eax, ebx, ecx, edx);
	if (eax < CPUID_POWER)
		return false;
	__cpuid(CPUID_POWER, eax, ebx, ecx, edx);
	return edx & CPUID_POWER_INVARIANT_TSC;
}

/* ---- reading ----------------------------------------------------------------------------- */

u64 clock_tsc_to_ns(const struct clock *clock, u64 tsc)
{
	return (u64)(((unsigned __int128)tsc * clock->ns_mult) >> 32);
}

u64 clock_ns_to_tsc(const struct clock *clock, u64 ns)
{
	/* Rounded up: the first TSC value at which that ns has come. */
	return (u64)((((unsigned __int128)ns << 32) + clock->ns_mult - 1) / clock->ns_mult);
}

/* TSC ticks since the bases were written. */
static u64 clock_elapsed_tsc(const struct clock *clock)
{
	u64 base, now;

	if (!clock->use_tsc)
		return clock_ns_to_tsc(clock, host_now_ns() - clock->base_host_ns);
	base = __atomic_load_n(&clock->base_tsc, __ATOMIC_RELAXED);
	now = __rdtsc();
	/* Another core's TSC may be a few ticks behind the one that wrote the base. */
	return now > base ? now - base : 0;
}

u64 clock_tsc(const struct clock *clock)
{
	u32 seq;
	u64 tsc;

	do {
		while ((seq = __atomic_load_n(&clock->seq, __ATOMIC_ACQUIRE)) & 1)
			;
		tsc = __atomic_load_n(&clock->base_guest_tsc, __ATOMIC_RELAXED);
		if (!__atomic_load_n(&clock->paused, __ATOMIC_RELAXED))
			tsc += clock_elapsed_tsc(clock);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (unlikely(__atomic_load_n(&clock->seq, __ATOMIC_RELAXED) != seq));
	return tsc;
}

u64 clock_now(const struct clock *clock)
{
	return clock_tsc_to_ns(clock, clock_tsc(clock));
}

u64 clock_wall_ns(const struct clock *clock)
{
	return clock_now(clock) + (u64)clock->epoch_ns;
}

/* ---- timers ------------------------------------------------------------------------------ */

/* Lock held. */
static void clock_timer_schedule(struct clock_timer *timer)
{
	u64 now = clock_now(timer->clock);
	u64 wait = timer->deadline > now ? timer->deadline - now : 0;
	u64 host = host_now_ns();

	loop_timer_arm(&timer->host, host + wait < host ? ~0ull - 1 : host + wait);
}

/* Lock held. */
static void clock_timer_unlink(struct clock_timer *timer)
{
	struct clock_timer **at = &timer->clock->timers;

	while (*at != timer)
		at = &(*at)->next;
	*at = timer->next;
	timer->armed = false;
}

static void clock_timer_due(struct loop_timer *host)
{
	struct clock_timer *timer = host->arg;
	struct clock *clock = timer->clock;
	bool fire = false;

	pthread_mutex_lock(&clock->lock);
	if (timer->armed && !clock->paused) {
		/* The host's clock and the TSC may differ by some millionths. */
		if (clock_now(clock) >= timer->deadline) {
			clock_timer_unlink(timer);
			fire = true;
		} else {
			clock_timer_schedule(timer);
		}
	}
	pthread_mutex_unlock(&clock->lock);
	if (fire)
		timer->fire(timer);
}

void clock_timer_init(struct clock *clock, struct clock_timer *timer,
		      void (*fire)(struct clock_timer *timer), void *arg)
{
	*timer = (struct clock_timer){.clock = clock, .fire = fire, .arg = arg};
	loop_timer_init(clock->loop, &timer->host, clock_timer_due, timer);
}

void clock_timer_arm(struct clock_timer *timer, u64 deadline)
{
	struct clock *clock = timer->clock;

	pthread_mutex_lock(&clock->lock);
	timer->deadline = deadline;
	if (!timer->armed) {
		timer->armed = true;
		timer->next = clock->timers;
		clock->timers = timer;
	}
	if (!clock->paused)
		clock_timer_schedule(timer);
	pthread_mutex_unlock(&clock->lock);
}

void clock_timer_cancel(struct clock_timer *timer)
{
	struct clock *clock = timer->clock;

	if (!clock)
		return;
	pthread_mutex_lock(&clock->lock);
	if (timer->armed)
		clock_timer_unlink(timer);
	loop_timer_cancel(&timer->host);
	pthread_mutex_unlock(&clock->lock);
}

/* ---- pause, resume ----------------------------------------------------------------------- */

/* Lock held. Bases for guest TSC `tsc` now. */
static void clock_rebase(struct clock *clock, u64 tsc, bool paused)
{
	u64 host_tsc = 0, host_ns = 0;

	clock_pair(&host_tsc, &host_ns);
	__atomic_store_n(&clock->seq, clock->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&clock->base_guest_tsc, tsc, __ATOMIC_RELAXED);
	__atomic_store_n(&clock->base_ns, clock_tsc_to_ns(clock, tsc), __ATOMIC_RELAXED);
	__atomic_store_n(&clock->base_tsc, host_tsc, __ATOMIC_RELAXED);
	__atomic_store_n(&clock->base_host_ns, host_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&clock->paused, paused, __ATOMIC_RELAXED);
	__atomic_store_n(&clock->seq, clock->seq + 1, __ATOMIC_RELEASE);
}

void clock_pause(struct clock *clock)
{
	pthread_mutex_lock(&clock->lock);
	if (!clock->paused) {
		clock_rebase(clock, clock_tsc(clock), true);
		for (struct clock_timer *t = clock->timers; t; t = t->next)
			loop_timer_cancel(&t->host);
	}
	pthread_mutex_unlock(&clock->lock);
}

void clock_resume(struct clock *clock)
{
	pthread_mutex_lock(&clock->lock);
	if (clock->paused) {
		clock_rebase(clock, clock->base_guest_tsc, false);
		for (struct clock_timer *t = clock->timers; t; t = t->next)
			clock_timer_schedule(t);
	}
	pthread_mutex_unlock(&clock->lock);
}

void clock_set(struct clock *clock, u64 ns)
{
	pthread_mutex_lock(&clock->lock);
	ASSERT(clock->paused, "guest time is set while it runs");
	clock_rebase(clock, clock_ns_to_tsc(clock, ns), true);
	pthread_mutex_unlock(&clock->lock);
}

/* ---- open/close -------------------------------------------------------------------------- */

int clock_open(struct clock *clock, struct loop *loop)
{
	struct timespec wall;

	memset(clock, 0, sizeof(*clock));
	clock->loop = loop;
	if (pthread_mutex_init(&clock->lock, NULL))
		return FAIL(-ENOMEM, "clock: no lock from the host");
	clock->tsc_khz = clock_khz_cpuid();
	if (!clock->tsc_khz)
		clock->tsc_khz = clock_khz_kernel();
	if (!clock->tsc_khz)
		clock->tsc_khz = clock_khz_measure();
	if (clock->tsc_khz < 1000 || clock->tsc_khz > 100000000)
		return FAIL(-ENOTSUP, "clock: the host's TSC runs at %llu kHz, which cannot be",
			    (unsigned long long)clock->tsc_khz);
	clock->ns_mult = (1000000ull << 32) / clock->tsc_khz;
	clock->use_tsc = clock_tsc_invariant();
	clock_rebase(clock, 0, false);
	clock_gettime(CLOCK_REALTIME, &wall);
	clock->epoch_ns = (s64)wall.tv_sec * 1000000000ll + wall.tv_nsec;
	return 0;
}

void clock_close(struct clock *clock)
{
	pthread_mutex_destroy(&clock->lock);
}
