/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: one thread's event loop over epoll: file descriptors, timers and calls from other threads.
 *
 * A VM has one main loop (the process's first thread); a device may own further ones. Everything
 * registered on a loop is called back on the thread that runs loop_run(). Nothing allocates after
 * registration: sources and timers are embedded in their owners.
 *
 * Context: loop_call, loop_stop and timer_* are safe from any thread; the rest from the loop's own
 * thread or before it runs.
 */
#ifndef HOST_LOOP_H
#define HOST_LOOP_H

#include "lib/types.h"

struct loop;

/* A watched descriptor. events/revents are EPOLL* bits. */
struct loop_fd {
	int fd;
	u32 events;
	void (*ready)(struct loop_fd *src, u32 revents);
	void *arg;
	bool added;
};

/* A call posted from another thread; queued at most once at a time (posting again while queued
 * is a no-op, and the call then sees everything posted before it ran). */
struct loop_call {
	void (*run)(struct loop_call *call);
	void *arg;
	struct loop_call *next;
	bool queued;
};

/* A one-shot timer on CLOCK_MONOTONIC, absolute nanoseconds. Late by scheduling, never early. */
struct loop_timer {
	void (*fire)(struct loop_timer *timer);
	void *arg;
	struct loop *loop;
	u64 deadline; /* ns; valid while armed */
	struct loop_timer *next;
	bool armed;
};

int loop_open(struct loop **out);
void loop_close(struct loop *loop);

/* Runs until loop_stop(); 0 or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* level-triggered by default; add EPOLLET for edges */
int loop_add(struct loop *loop, struct loop_fd *src);
int loop_modify(struct loop *loop, struct loop_fd *src, u32 events);
void loop_remove(struct loop *loop, struct loop_fd *src);

void loop_post(struct loop *loop, struct loop_call *call);
/* Takes a queued call back before its owner goes away. From the loop's own thread, or while no one
 * runs the loop. */
void loop_unpost(struct loop *loop, struct loop_call *call);

/* True on the thread that is inside loop_run(). Any thread. */
bool loop_is_mine(const struct loop *loop);
/* True while some thread is inside loop_run(). Any thread. */
bool loop_is_running(const struct loop *loop);

void loop_timer_init(struct loop *loop, struct loop_timer *timer,
		     void (*fire)(struct loop_timer *timer), void *arg);
/* Arms or re-arms. Any thread. */
void loop_timer_arm(struct loop_timer *timer, u64 deadline_ns);
/* After return from the loop's own thread the timer will not fire; from another thread a fire in
 * progress may still be running. */
void loop_timer_cancel(struct loop_timer *timer);

/* CLOCK_MONOTONIC in nanoseconds. */
u64 host_now_ns(void);

#endif
