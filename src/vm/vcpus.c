/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcpus: the gate in front of the engine.
 *
 * Entered by: life.c (go, stop), the console's throttle (hold), the threads themselves. Owns the
 * threads and the engine's struct vcpu. The lock is a leaf: vcpu_kick is the only thing called
 * under it, apart from events.stopped, which only posts.
 */
#include "vm/vcpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/fail.h"

#define VCPU_STACK    (1u << 20)
#define KICK_AGAIN_NS 10000000ull /* a kick that came before the engine listened is repeated */

struct vm_vcpu {
	struct vcpus *set;
	struct vcpu *vcpu;
	pthread_t thread;
	unsigned id;
	bool started;
	bool inside; /* in vcpu_run; lock */
	bool hold;   /* atomic */
};

struct vcpus {
	const struct engine_ops *ops;
	struct vcpus_events events;
	struct loop_timer kick_timer;
	pthread_mutex_t lock;
	pthread_cond_t gate;
	bool go, quit;
	unsigned inside;
	unsigned count;
	struct vm_vcpu cpu[];
};

/* --- the threads ------------------------------------------------------------------------------ */

static bool vcpu_enter(struct vm_vcpu *cpu)
{
	struct vcpus *set = cpu->set;
	bool enter;

	pthread_mutex_lock(&set->lock);
	while (!set->go && !set->quit)
		pthread_cond_wait(&set->gate, &set->lock);
	enter = !set->quit;
	if (enter) {
		cpu->inside = true;
		set->inside++;
	}
	pthread_mutex_unlock(&set->lock);
	return enter;
}

static void vcpu_leave(struct vm_vcpu *cpu)
{
	struct vcpus *set = cpu->set;

	pthread_mutex_lock(&set->lock);
	cpu->inside = false;
	if (!--set->inside && !set->go)
		set->events.stopped(set->events.arg);
	pthread_mutex_unlock(&set->lock);
}

/* Runs until there is something to decide, or the gate closes. */
static enum vcpu_exit vcpu_stay(struct vm_vcpu *cpu)
{
	struct vcpus *set = cpu->set;
	enum vcpu_exit why;

	do {
		why = set->ops->vcpu_run(cpu->vcpu);
	} while (why == VCPU_AGAIN && __atomic_load_n(&set->go, __ATOMIC_ACQUIRE) &&
		 !__atomic_load_n(&cpu->hold, __ATOMIC_ACQUIRE));
	return why;
}

static void *vcpu_thread(void *arg)
{
	struct vm_vcpu *cpu = arg;
	struct vcpus *set = cpu->set;
	enum vcpu_exit why;

	while (vcpu_enter(cpu)) {
		why = vcpu_stay(cpu);
		/* before leaving, so that what it asks for is seen by whoever hears "stopped" */
		if (why != VCPU_AGAIN)
			set->events.exited(set->events.arg, cpu->id, why);
		vcpu_leave(cpu);
		if (__atomic_exchange_n(&cpu->hold, false, __ATOMIC_ACQ_REL))
			set->events.wait(set->events.arg);
	}
	return NULL;
}

/* --- go, stop, hold --------------------------------------------------------------------------- */

/* Lock held. */
static void vcpus_kick(struct vcpus *set)
{
	for (unsigned i = 0; i < set->count; i++)
		if (set->cpu[i].inside)
			set->ops->vcpu_kick(set->cpu[i].vcpu);
}

void vcpus_go(struct vcpus *set)
{
	loop_timer_cancel(&set->kick_timer);
	pthread_mutex_lock(&set->lock);
	__atomic_store_n(&set->go, true, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&set->gate);
	pthread_mutex_unlock(&set->lock);
}

void vcpus_stop(struct vcpus *set)
{
	pthread_mutex_lock(&set->lock);
	__atomic_store_n(&set->go, false, __ATOMIC_RELEASE);
	vcpus_kick(set);
	if (!set->inside)
		set->events.stopped(set->events.arg);
	else
		loop_timer_arm(&set->kick_timer, host_now_ns() + KICK_AGAIN_NS);
	pthread_mutex_unlock(&set->lock);
}

static void vcpus_kick_again(struct loop_timer *timer)
{
	struct vcpus *set = timer->arg;

	pthread_mutex_lock(&set->lock);
	if (!set->go && set->inside) {
		vcpus_kick(set);
		loop_timer_arm(&set->kick_timer, host_now_ns() + KICK_AGAIN_NS);
	}
	pthread_mutex_unlock(&set->lock);
}

void vcpus_hold_self(struct vcpus *set)
{
	pthread_t self = pthread_self();

	for (unsigned i = 0; i < set->count; i++) {
		struct vm_vcpu *cpu = &set->cpu[i];

		if (!cpu->started || !pthread_equal(cpu->thread, self))
			continue;
		if (!__atomic_exchange_n(&cpu->hold, true, __ATOMIC_ACQ_REL))
			set->ops->vcpu_kick(cpu->vcpu);
		return;
	}
}

int vcpus_set_state(struct vcpus *set, unsigned id, const struct cpu_state *state)
{
	return set->ops->vcpu_set(set->cpu[id].vcpu, state);
}

/* --- open, start, close ----------------------------------------------------------------------- */

int vcpus_open(const struct engine_ops *ops, struct engine *engine, unsigned count,
	       struct loop *loop, const struct vcpus_events *events, struct vcpus **out)
{
	struct vcpus *set = calloc(1, sizeof(*set) + count * sizeof(set->cpu[0]));
	int err = 0;

	if (!set)
		return FAIL(-ENOMEM, "out of memory");
	set->ops = ops;
	set->events = *events;
	pthread_mutex_init(&set->lock, NULL);
	pthread_cond_init(&set->gate, NULL);
	loop_timer_init(loop, &set->kick_timer, vcpus_kick_again, set);
	for (unsigned i = 0; i < count && !err; i++) {
		set->cpu[i].set = set;
		set->cpu[i].id = i;
		err = ops->vcpu_open(engine, i, &set->cpu[i].vcpu);
		if (!err)
			set->count++;
	}
	if (err)
		vcpus_close(set);
	else
		*out = set;
	return err;
}

/* Small stacks: an engine that needs more says so in its own docs. Threads keep the process name.
 */
int vcpus_start(struct vcpus *set)
{
	pthread_attr_t attr;
	int err = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VCPU_STACK);
	for (unsigned i = 0; i < set->count && !err; i++) {
		err = pthread_create(&set->cpu[i].thread, &attr, vcpu_thread, &set->cpu[i]);
		set->cpu[i].started = !err;
	}
	pthread_attr_destroy(&attr);
	return err ? FAIL(-err, "cannot start a vCPU thread: %s", strerror(err)) : 0;
}

void vcpus_close(struct vcpus *set)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	if (!set)
		return;
	loop_timer_cancel(&set->kick_timer);
	pthread_mutex_lock(&set->lock);
	__atomic_store_n(&set->go, false, __ATOMIC_RELEASE);
	set->quit = true;
	vcpus_kick(set);
	pthread_cond_broadcast(&set->gate);
	while (set->inside) {
		pthread_mutex_unlock(&set->lock);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&set->lock);
		vcpus_kick(set);
	}
	pthread_mutex_unlock(&set->lock);
	for (unsigned i = 0; i < set->count; i++)
		if (set->cpu[i].started)
			pthread_join(set->cpu[i].thread, NULL);
	for (unsigned i = set->count; i-- > 0;)
		set->ops->vcpu_close(set->cpu[i].vcpu);
	pthread_cond_destroy(&set->gate);
	pthread_mutex_destroy(&set->lock);
	free(set);
}
