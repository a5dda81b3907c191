/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: epoll around three things: watched descriptors, one eventfd for posted calls, one timerfd
 * for the earliest timer.
 *
 * A timer armed from another thread programs the timerfd straight from there, so arming never
 * wakes the loop; a cancelled timer leaves the timerfd alone and costs one idle wake-up at most.
 *
 * Owns the three descriptors and the two lists. Timers and calls are embedded in their owners.
 *
 * Locks: `lock` guards the lists and the flags; it is never held around a callback.
 */
#include "host/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "host/fail.h"

#define LOOP_BATCH 32
#define LOOP_NEVER (~0ull)

struct loop {
	int epoll_fd;
	int wake_fd;
	int timer_fd;
	pthread_mutex_t lock;

	/* lock */
	struct loop_call *posted, **posted_tail;
	struct loop_call *running; /* taken from `posted`, not yet called */
	struct loop_timer *timers; /* by deadline */
	u64 programmed;		   /* what the timerfd was set to */
	bool woken;		   /* the eventfd was written and not yet read */
	bool stop;

	u32 owner; /* thread id inside loop_run, 0 = none */

	/* the loop's thread only */
	struct epoll_event batch[LOOP_BATCH];
	int batch_len;
	int batch_pos;
};

/* ---- helpers ---------------------------------------------------------------------------- */

u64 host_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000ull + (u64)now.tv_nsec;
}

static u32 loop_thread_id(void)
{
	return (u32)syscall(SYS_gettid);
}

bool loop_is_mine(const struct loop *loop)
{
	u32 owner = __atomic_load_n(&loop->owner, __ATOMIC_ACQUIRE);

	return owner && owner == loop_thread_id();
}

bool loop_is_running(const struct loop *loop)
{
	return __atomic_load_n(&loop->owner, __ATOMIC_ACQUIRE);
}

/* Lock held. */
static void loop_wake(struct loop *loop)
{
	u64 one = 1;

	if (loop->woken)
		return;
	loop->woken = true;
	if (write(loop->wake_fd, &one, sizeof(one)) < 0)
		loop->woken = false;
}

/* Lock held. Only an earlier deadline needs the system call. */
static void loop_program(struct loop *loop)
{
	struct itimerspec when = {0};
	u64 first = loop->timers ? loop->timers->deadline : LOOP_NEVER;

	if (first >= loop->programmed)
		return;
	loop->programmed = first;
	if (!first)
		first = 1; /* zero would disarm */
	when.it_value.tv_sec = (time_t)(first / 1000000000ull);
	when.it_value.tv_nsec = (long)(first % 1000000000ull);
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Lock held. */
static void loop_timer_unlink(struct loop_timer *timer)
{
	struct loop_timer **at = &timer->loop->timers;

	while (*at != timer)
		at = &(*at)->next;
	*at = timer->next;
	timer->next = NULL;
	timer->armed = false;
}

/* ---- descriptors ------------------------------------------------------------------------- */

int loop_add(struct loop *loop, struct loop_fd *src)
{
	struct epoll_event event = {.events = src->events, .data.ptr = src};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, src->fd, &event) < 0)
		return FAIL(-errno, "loop: the host refused to watch descriptor %d", src->fd);
	src->added = true;
	return 0;
}

int loop_modify(struct loop *loop, struct loop_fd *src, u32 events)
{
	struct epoll_event event = {.events = events, .data.ptr = src};

	if (src->events == events)
		return 0;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, src->fd, &event) < 0)
		return FAIL(-errno, "loop: the host refused to change descriptor %d", src->fd);
	src->events = events;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_fd *src)
{
	if (!src->added)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
	src->added = false;
	/* An event of it may already be in the batch being worked on. */
	for (int i = loop->batch_pos; i < loop->batch_len; i++)
		if (loop->batch[i].data.ptr == src)
			loop->batch[i].data.ptr = NULL;
}

/* ---- calls ------------------------------------------------------------------------------- */

void loop_post(struct loop *loop, struct loop_call *call)
{
	pthread_mutex_lock(&loop->lock);
	if (!call->queued) {
		call->queued = true;
		call->next = NULL;
		*loop->posted_tail = call;
		loop->posted_tail = &call->next;
		loop_wake(loop);
	}
	pthread_mutex_unlock(&loop->lock);
}

void loop_unpost(struct loop *loop, struct loop_call *call)
{
	struct loop_call **at;

	pthread_mutex_lock(&loop->lock);
	if (call->queued) {
		for (at = &loop->running; *at && *at != call; at = &(*at)->next)
			;
		if (*at) {
			*at = call->next;
		} else {
			for (at = &loop->posted; *at != call; at = &(*at)->next)
				;
			*at = call->next;
			if (!*at)
				loop->posted_tail = at;
		}
		call->queued = false;
	}
	pthread_mutex_unlock(&loop->lock);
}

/* A call that posts itself again runs in the next round, so descriptors are not starved. */
static void loop_run_calls(struct loop *loop)
{
	struct loop_call *call;

	pthread_mutex_lock(&loop->lock);
	loop->running = loop->posted;
	loop->posted = NULL;
	loop->posted_tail = &loop->posted;
	while ((call = loop->running)) {
		loop->running = call->next;
		call->queued = false;
		pthread_mutex_unlock(&loop->lock);
		call->run(call);
		pthread_mutex_lock(&loop->lock);
	}
	pthread_mutex_unlock(&loop->lock);
}

/* ---- timers ------------------------------------------------------------------------------ */

void loop_timer_init(struct loop *loop, struct loop_timer *timer,
		     void (*fire)(struct loop_timer *timer), void *arg)
{
	*timer = (struct loop_timer){.fire = fire, .arg = arg, .loop = loop};
}

void loop_timer_arm(struct loop_timer *timer, u64 deadline_ns)
{
	struct loop *loop = timer->loop;
	struct loop_timer **at;

	pthread_mutex_lock(&loop->lock);
	if (timer->armed)
		loop_timer_unlink(timer);
	timer->deadline = deadline_ns;
	timer->armed = true;
	for (at = &loop->timers; *at && (*at)->deadline <= deadline_ns; at = &(*at)->next)
		;
	timer->next = *at;
	*at = timer;
	loop_program(loop);
	pthread_mutex_unlock(&loop->lock);
}

void loop_timer_cancel(struct loop_timer *timer)
{
	struct loop *loop = timer->loop;

	if (!loop)
		return;
	pthread_mutex_lock(&loop->lock);
	if (timer->armed)
		loop_timer_unlink(timer);
	pthread_mutex_unlock(&loop->lock);
}

static void loop_run_timers(struct loop *loop)
{
	u64 now = host_now_ns();
	struct loop_timer *timer;

	pthread_mutex_lock(&loop->lock);
	loop->programmed = LOOP_NEVER;
	while ((timer = loop->timers) && timer->deadline <= now) {
		loop_timer_unlink(timer);
		pthread_mutex_unlock(&loop->lock);
		timer->fire(timer);
		pthread_mutex_lock(&loop->lock);
	}
	loop_program(loop);
	pthread_mutex_unlock(&loop->lock);
}

/* ---- work -------------------------------------------------------------------------------- */

static void loop_dispatch(struct loop *loop, struct epoll_event *event)
{
	struct loop_fd *src = event->data.ptr;
	u64 drained;

	if (event->data.ptr == &loop->wake_fd) {
		pthread_mutex_lock(&loop->lock);
		if (read(loop->wake_fd, &drained, sizeof(drained)) == sizeof(drained))
			loop->woken = false;
		pthread_mutex_unlock(&loop->lock);
		loop_run_calls(loop);
	} else if (event->data.ptr == &loop->timer_fd) {
		if (read(loop->timer_fd, &drained, sizeof(drained)) < 0 && errno != EAGAIN)
			return;
		loop_run_timers(loop);
	} else if (src) {
		src->ready(src, event->events);
	}
}

static bool loop_stopping(struct loop *loop)
{
	bool stop;

	pthread_mutex_lock(&loop->lock);
	stop = loop->stop;
	pthread_mutex_unlock(&loop->lock);
	return stop;
}

int loop_run(struct loop *loop)
{
	int rc = 0;

	__atomic_store_n(&loop->owner, loop_thread_id(), __ATOMIC_RELEASE);
	while (!loop_stopping(loop)) {
		int n = epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH, -1);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			rc = FAIL(-errno, "loop: epoll_wait failed");
			break;
		}
		loop->batch_len = n;
		for (int i = 0; i < n; i++) {
			loop->batch_pos = i + 1;
			loop_dispatch(loop, &loop->batch[i]);
		}
		loop->batch_len = 0;
	}
	pthread_mutex_lock(&loop->lock);
	loop->stop = false;
	pthread_mutex_unlock(&loop->lock);
	__atomic_store_n(&loop->owner, 0, __ATOMIC_RELEASE);
	return rc;
}

void loop_stop(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->stop = true;
	loop_wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

/* ---- open/close -------------------------------------------------------------------------- */

static int loop_watch_own(struct loop *loop, int *fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, *fd, &event) < 0)
		return FAIL(-errno, "loop: the host refused an event descriptor");
	return 0;
}

int loop_open(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int rc;

	if (!loop)
		return FAIL(-ENOMEM, "loop: out of memory");
	loop->posted_tail = &loop->posted;
	loop->programmed = LOOP_NEVER;
	pthread_mutex_init(&loop->lock, NULL);

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->wake_fd < 0 || loop->timer_fd < 0) {
		rc = FAIL(-errno, "loop: the host has no descriptors left (see ulimit -n)");
		goto fail;
	}
	rc = loop_watch_own(loop, &loop->wake_fd);
	if (!rc)
		rc = loop_watch_own(loop, &loop->timer_fd);
	if (rc)
		goto fail;
	*out = loop;
	return 0;
fail:
	loop_close(loop);
	return rc;
}

void loop_close(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}
