/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world: one vCPU alone with guest memory, for LOCKed accesses that cross a page or hit MMIO.
 *
 * A vCPU is `parked` whenever it is outside guest code: halted, leaving, or waiting here. The one
 * that wants the world raises EV_WORLD everywhere and waits until all others are parked; whoever
 * is asked while itself waiting counts as parked.
 *
 * Context: owner of v. Locks: world_lock is a leaf.
 */
#include "engine/soft/impl.h"

void world_open(struct engine *e)
{
	pthread_mutex_init(&e->world_lock, NULL);
	pthread_cond_init(&e->world_cond, NULL);
}

void world_close(struct engine *e)
{
	pthread_cond_destroy(&e->world_cond);
	pthread_mutex_destroy(&e->world_lock);
}

static bool others_parked(const struct engine *e, const struct vcpu *v)
{
	for (unsigned i = 0; i < e->cpus; i++)
		if (e->vcpu[i] && e->vcpu[i] != v && !e->vcpu[i]->parked)
			return false;
	return true;
}

/* Lock held; returns with the lock held and v not parked, nobody else owning the world. */
static void wait_turn(struct vcpu *v)
{
	struct engine *e = v->engine;
	while (e->world_wanted) {
		v->parked = 1;
		pthread_cond_broadcast(&e->world_cond);
		pthread_cond_wait(&e->world_cond, &e->world_lock);
	}
	v->parked = 0;
}

void world_stop(struct vcpu *v)
{
	struct engine *e = v->engine;
	pthread_mutex_lock(&e->world_lock);
	wait_turn(v);
	e->world_wanted = 1;
	for (unsigned i = 0; i < e->cpus; i++)
		if (e->vcpu[i] && e->vcpu[i] != v)
			cpu_event(&e->vcpu[i]->cpu, EV_WORLD);
	while (!others_parked(e, v))
		pthread_cond_wait(&e->world_cond, &e->world_lock);
	pthread_mutex_unlock(&e->world_lock);
}

void world_start(struct vcpu *v)
{
	struct engine *e = v->engine;
	pthread_mutex_lock(&e->world_lock);
	e->world_wanted = 0;
	pthread_cond_broadcast(&e->world_cond);
	pthread_mutex_unlock(&e->world_lock);
}

void world_park(struct vcpu *v)
{
	pthread_mutex_lock(&v->engine->world_lock);
	wait_turn(v);
	pthread_mutex_unlock(&v->engine->world_lock);
}

void world_leave(struct vcpu *v)
{
	pthread_mutex_lock(&v->engine->world_lock);
	v->parked = 1;
	pthread_cond_broadcast(&v->engine->world_cond);
	pthread_mutex_unlock(&v->engine->world_lock);
}

void world_enter(struct vcpu *v)
{
	world_park(v);
}
