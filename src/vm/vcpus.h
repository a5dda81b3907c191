/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcpus: one thread per virtual CPU, and how they are all let go and all stopped.
 *
 * Stopping is asynchronous: vcpus_stop returns at once, events.stopped comes when the last one has
 * left the engine. Nobody waits for a vCPU, so the loop stays able to hear signals.
 *
 * Context: as said at each call.
 */
#ifndef VM_VCPUS_H
#define VM_VCPUS_H

#include <pthread.h>

#include "engine/engine.h"
#include "host/loop.h"

struct vcpus;

struct vcpus_events {
	void *arg;
	/* No vCPU is inside the engine and none will enter. Any thread, vcpus's lock held: must
	 * only post. */
	void (*stopped)(void *arg);
	/* vcpu_run came back with something to decide (never VCPU_AGAIN). vCPU thread. */
	void (*exited)(void *arg, unsigned id, enum vcpu_exit why);
	/* Called by a held vCPU thread, outside the engine; returns when it may go on. */
	void (*wait)(void *arg);
};

/* The engine's vCPUs are opened; threads come with vcpus_start. Loop thread. */
int vcpus_open(const struct engine_ops *ops, struct engine *engine, unsigned count,
	       struct loop *loop, const struct vcpus_events *events, struct vcpus **out);
/* Threads exist and wait for vcpus_go. Loop thread. */
int vcpus_start(struct vcpus *vcpus);
/* Stops and joins. Loop thread, outside any lock a vCPU could want. */
void vcpus_close(struct vcpus *vcpus);

/* State of vCPU id; none runs. Loop thread. */
int vcpus_set_state(struct vcpus *vcpus, unsigned id, const struct cpu_state *state);

void vcpus_go(struct vcpus *vcpus);   /* loop thread */
void vcpus_stop(struct vcpus *vcpus); /* any thread, device locks may be held */

/* The calling vCPU thread is to call events.wait as soon as it is out of the engine. No effect on
 * other threads. */
void vcpus_hold_self(struct vcpus *vcpus);

#endif
