/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread: loop threads and synchronous calls.
 *
 * Entered by device models at open and close, and by vCPUs or the main loop that need something
 * done on a device's thread. Owns nothing beyond what its callers embed.
 */
#include "host/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "host/fail.h"
#include "host/signal.h"
#include "host/log.h"

static void *loop_thread_main(void *arg)
{
	struct loop_thread *thread = arg;

	pthread_setname_np(pthread_self(), thread->name);
	if (loop_run(thread->loop))
		log_line(LOG_ERROR, "%s: %s", thread->name, fail_text());
	return NULL;
}

int loop_thread_open(struct loop_thread *thread, const char *name)
{
	sigset_t all, old;
	int rc;

	memset(thread, 0, sizeof(*thread));
	snprintf(thread->name, sizeof(thread->name), "%s", name);
	rc = loop_open(&thread->loop);
	if (rc)
		return rc;
	signal_mask_async(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread->thread, NULL, loop_thread_main, thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		loop_close(thread->loop);
		thread->loop = NULL;
		return FAIL(-rc, "%s: the host gives no more threads (see ulimit -u)", name);
	}
	thread->running = true;
	/* From here on loop_sync finds an owner. */
	while (!loop_is_running(thread->loop))
		sched_yield();
	return 0;
}

void loop_thread_close(struct loop_thread *thread)
{
	if (!thread->running)
		return;
	loop_stop(thread->loop);
	pthread_join(thread->thread, NULL);
	loop_close(thread->loop);
	thread->loop = NULL;
	thread->running = false;
}

struct loop_sync_call {
	struct loop_call call;
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void loop_sync_run(struct loop_call *call)
{
	struct loop_sync_call *sync = call->arg;

	sync->fn(sync->arg);
	pthread_mutex_lock(&sync->lock);
	sync->done = true;
	pthread_cond_signal(&sync->cond);
	pthread_mutex_unlock(&sync->lock);
}

void loop_sync(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct loop_sync_call sync = {.fn = fn, .arg = arg};

	if (loop_is_mine(loop) || !loop_is_running(loop)) {
		fn(arg);
		return;
	}
	sync.call = (struct loop_call){.run = loop_sync_run, .arg = &sync};
	pthread_mutex_init(&sync.lock, NULL);
	pthread_cond_init(&sync.cond, NULL);
	loop_post(loop, &sync.call);
	pthread_mutex_lock(&sync.lock);
	while (!sync.done)
		pthread_cond_wait(&sync.cond, &sync.lock);
	pthread_mutex_unlock(&sync.lock);
	pthread_cond_destroy(&sync.cond);
	pthread_mutex_destroy(&sync.lock);
}
