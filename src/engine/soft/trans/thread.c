/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread: a vCPU's thread, as translated code needs it: GS, its timer's signal, faults of the host.
 *
 * Context: owner; signal handlers of its thread.
 */
#include <signal.h>
#include <string.h>

#include "engine/soft/impl.h"
#include "engine/soft/trans/layout.h"
#include "host/fail.h"

static __thread struct vcpu *self;

bool trans_fixup(u64 *rip, u64 *r10)
{
	const struct tcache *x = self && self->trans ? self->trans->k : NULL;
	u64 off;
	u32 n;
	const struct tblock *t;
	if (!x || *rip - (u64)x->rx >= x->used)
		return false;
	off = *rip - (u64)x->rx;
	if (off >= (u64)(x->ibl - x->rw) && off < (u64)(x->ibl_end - x->rw)) {
		*rip = (u64)(x->rx + (x->unknown - x->rw));
		return true;
	}
	if (off >= (u64)(x->ibl_saved - x->rw) && off < (u64)(x->ibl_saved_end - x->rw)) {
		*rip = (u64)(x->rx + (x->unknown_saved - x->rw));
		return true;
	}
	t = trans_with(x, x->rw + off);
	if (!t)
		return false;
	off -= (u64)(t->start - x->rw);
	for (n = t->count; n-- > 0 && t->ti[n].at > off;)
		;
	if (n >= t->count)
		return false;
	*r10 = (u64)&t->ti[n];
	*rip = (u64)(x->rx + ((t->ti[n].saved ? x->fault_saved : x->fault) - x->rw));
	return true;
}

static void on_timer(int number unused_arg)
{
	if (self)
		cpu_event(&self->cpu, EV_TIMER);
}

void trans_signal(void)
{
	struct sigaction action;
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_timer;
	action.sa_flags = SA_RESTART | SA_ONSTACK;
	sigaction(TRANS_SIGNAL, &action, NULL);
}

int trans_thread(struct vcpu *v, const char **lack)
{
	int err;
	if (self == v)
		return 0;
	*lack = "translator-no-timer";
	err = trans_timer(&v->host_timer);
	if (err)
		return FAIL(err, "no timer for a vCPU (ulimit -i?): %s; use translate=off",
			    strerror(-err));
	v->armed = LAPIC_NEVER;
	*lack = "translator-no-gs";
	err = trans_gs((u64)v);
	if (err)
		return FAIL(err, "the host lets no thread set GS: %s; use translate=off",
			    strerror(-err));
	self = v;
	return 0;
}
