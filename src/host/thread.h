/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread: a thread that runs a loop, for devices that own one; and calls into a loop that wait.
 *
 * Context: any thread; open and close by the owner.
 */
#ifndef HOST_THREAD_H
#define HOST_THREAD_H

#include <pthread.h>

#include "host/loop.h"

struct loop_thread {
	struct loop *loop;
	pthread_t thread;
	char name[16];
	bool running;
};

/* Starts the thread; it blocks every signal, so signals stay with the program's first thread. */
int loop_thread_open(struct loop_thread *thread, const char *name);
/* Stops the loop, joins, closes. Harmless on a zeroed struct. */
void loop_thread_close(struct loop_thread *thread);

/* Runs fn(arg) on the loop's thread and returns after it. Runs it here when this is that thread, or
 * when nobody runs the loop (the caller answers for nobody starting to meanwhile). */
void loop_sync(struct loop *loop, void (*fn)(void *arg), void *arg);

#endif
