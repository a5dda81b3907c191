/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcpu: the run loop of a soft vCPU: events, then a block, then events.
 *
 * Interrupts, IPIs and requests of siblings arrive as bits of cpu.event, looked at between blocks;
 * the local APIC's timer is polled every few thousand instructions, so nothing ever signals a
 * running vCPU. A halted one sleeps in a futex on the same word until the timer's deadline.
 *
 * Entered by: vm/'s vCPU thread through engine_ops.vcpu_run.
 */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cpu/flags.h"
#include "cpu/fpu.h"
#include "cpu/interp.h"
#include "cpu/mem.h"
#include "engine/soft/impl.h"
#include "host/loop.h"

#define POLL_INSNS 4000u /* between looks at the timer: some 40 us */

/* --- INIT, SIPI, NMI --- */

/* A SIPI that is pending beside it came after it: senders do not wait between the two. */
static void take_init(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	struct cpu_state s;
	cpu_save(c, &s);
	cpu_state_init(&s, v->lapic.bsp);
	s.gpr[R_RDX] = cpu_model_cpuid(c->model, 1, 0).eax;
	lapic_init_reset(&v->lapic);
	cpu_load(c, &s);
}

/* SDM 3A 8.4.3: CS = vector << 8, IP = 0. */
static void take_sipi(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	u8 vector = lapic_sipi_vector(&v->lapic);
	c->s.seg[S_CS].sel = (u16)(vector << 8);
	c->s.seg[S_CS].base = (u64)vector << 12;
	c->rip = 0;
	c->s.activity = CPU_RUNNING;
	cpu_update_mode(c);
}

static void apic_signals(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	u32 ev = lapic_events_take(&v->lapic, LAPIC_EVENT_NMI | LAPIC_EVENT_INIT | LAPIC_EVENT_SMI);
	if (ev & LAPIC_EVENT_INIT)
		take_init(v);
	if (ev & LAPIC_EVENT_NMI)
		c->s.nmi_pending = true;
	if (c->s.activity == CPU_WAIT_SIPI && lapic_events_take(&v->lapic, LAPIC_EVENT_SIPI))
		take_sipi(v);
	else if (c->s.activity != CPU_WAIT_SIPI)
		lapic_events_take(&v->lapic, LAPIC_EVENT_SIPI);
}

/* --- interrupts --- */

static bool extint_pending(const struct vcpu *v)
{
	return v->id == 0 && __atomic_load_n(&v->engine->extint, __ATOMIC_ACQUIRE) &&
	       lapic_extint_open(&v->lapic);
}

static bool interrupt_pending(struct vcpu *v)
{
	return lapic_highest(&v->lapic) >= 0 || extint_pending(v);
}

/* Delivers at most one; true when there may be more. */
static bool take_interrupt(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	u8 vector;
	c->intr_wait = false;
	if (c->s.nmi_pending && !c->s.nmi_blocked) {
		c->s.nmi_pending = false;
		c->s.nmi_blocked = true;
		c->s.activity = CPU_RUNNING;
		interp_interrupt(c, EXC_NMI);
		return true;
	}
	if (!interrupt_pending(v))
		return false;
	if (!(c->rflags & FL_IF)) {
		c->intr_wait = true;
		return false;
	}
	if (lapic_highest(&v->lapic) >= 0)
		vector = lapic_accept(&v->lapic);
	else
		vector = irq_ack(&v->engine->board->irq);
	c->s.activity = CPU_RUNNING;
	c->interrupts++;
	interp_interrupt(c, vector);
	return true;
}

static void timer_poll(struct vcpu *v)
{
	u64 deadline = lapic_timer_deadline_ns(&v->lapic);
	if (deadline != LAPIC_NEVER &&
	    lapic_timer_poll(&v->lapic, clock_now(&v->engine->board->clock)))
		cpu_event(&v->cpu, EV_INTR);
	v->poll_at = v->cpu.insns + POLL_INSNS;
}

/* --- sleeping --- */

static void sleep_until_event(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	u64 deadline = lapic_timer_deadline_ns(&v->lapic), now;
	struct timespec ts, *timeout = NULL;
	if (deadline != LAPIC_NEVER && c->s.activity == CPU_HALTED) {
		now = clock_now(&v->engine->board->clock);
		deadline = deadline > now ? host_now_ns() + (deadline - now) : 0;
		ts.tv_sec = (time_t)(deadline / 1000000000ull);
		ts.tv_nsec = (long)(deadline % 1000000000ull);
		timeout = &ts;
	}
	v->halts++;
	if (c->fpu_live)
		fpu_store(c);
	__atomic_store_n(&v->epoch_seen, ~0ull, __ATOMIC_SEQ_CST);
	world_leave(v);
	__atomic_store_n(&v->sleeping, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&c->event, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &c->event, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, timeout,
			NULL, FUTEX_BITSET_MATCH_ANY);
	__atomic_store_n(&v->sleeping, 0, __ATOMIC_SEQ_CST);
	world_enter(v);
	code_ack(v);
	timer_poll(v);
}

/* Not running: waits until something lets it. False: leave vcpu_run. */
static bool halted(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	while (c->s.activity != CPU_RUNNING) {
		u32 ev = __atomic_exchange_n(&c->event, 0, __ATOMIC_SEQ_CST);
		if (c->s.activity == CPU_SHUTDOWN)
			return false;
		if (ev & EV_KICK)
			return false;
		if (ev & EV_WORLD)
			world_park(v);
		if (ev & EV_FLUSH)
			code_ack(v);
		if (ev & EV_CODE && v->trans)
			trans_changed(v);
		apic_signals(v);
		if (c->s.activity == CPU_HALTED) {
			timer_poll(v);
			take_interrupt(v);
		}
		if (c->s.activity != CPU_RUNNING)
			sleep_until_event(v);
	}
	cpu_event(c, EV_INTR);
	return true;
}

/* --- events between blocks --- */

enum next { GO_ON, LEAVE };

static enum next handle_events(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	u32 ev = __atomic_exchange_n(&c->event, 0, __ATOMIC_SEQ_CST);
	if (ev & EV_FLUSH)
		code_ack(v);
	if (ev & EV_WORLD)
		world_park(v);
	if (ev & EV_CODE && v->trans)
		trans_changed(v);
	if (ev & EV_TIMER)
		v->armed = LAPIC_NEVER;
	if (c->s.activity != CPU_RUNNING) {
		cpu_event(c, ev & EV_KICK);
		return halted(v) ? GO_ON : LEAVE;
	}
	if (ev & EV_KICK) {
		cpu_event(c, ev & ~(EV_KICK | EV_FLUSH | EV_WORLD));
		return LEAVE;
	}
	if (c->shadow) { /* STI, MOV SS: one more instruction first */
		cpu_event(c, EV_INTR);
		interp_one(c);
		return GO_ON;
	}
	if (ev & EV_TIMER)
		timer_poll(v);
	apic_signals(v);
	if (c->s.activity == CPU_RUNNING && take_interrupt(v))
		cpu_event(c, EV_INTR);
	if (c->s.activity != CPU_RUNNING)
		cpu_event(c, EV_STOP);
	return GO_ON;
}

/* --- the loop --- */

static void run_block(struct cpu *c, const struct block *b)
{
	const struct insn *in = b->insn, *end = in + b->count;
	c->blk_rip = b->rip;
	do {
		c->cur = in;
		in->fn(c, in);
	} while (++in != end);
	c->insns += b->retired;
}

static void run_guest(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	struct block *b;
	for (;;) {
		if (unlikely(__atomic_load_n(&c->event, __ATOMIC_RELAXED))) {
			v->inside = false;
			if (handle_events(v) == LEAVE)
				return;
			continue; /* the HLT of "sti; hlt" ran in there */
		}
		if (unlikely(c->insns >= v->poll_at))
			timer_poll(v);
		if (unlikely(c->mode & MODE_STEP)) {
			interp_one(c);
			continue;
		}
		v->inside = false;
		if (v->trans && !trans_enter(v))
			continue;
		b = block_at(v);
		if (unlikely(!b)) {
			struct tblock *t = v->trans ? trans_cross(v) : NULL;
			if (t)
				trans_run(v, t);
			else
				interp_one(c);
			continue;
		}
		if (v->trans) {
			struct tblock *t = trans_block(v, b);
			if (unlikely(v->plain))
				t = trans_plain(v, b, t);
			if (t) {
				v->block = NULL;
				if (!v->lockstep)
					trans_run(v, t);
				else if (!lockstep_run(v, b, t)) {
					v->failed = true;
					return;
				}
				continue;
			}
			v->link = NULL;
		}
		v->block = b;
		run_block(c, b);
	}
}

/* The long jump lands here, in a frame that stays: nothing local survives it. */
static noinline void run_protected(struct vcpu *v)
{
	struct vcpu *volatile self = v;
	if (__builtin_setjmp(v->cpu.jb)) {
		self->block = NULL;
		interp_landed(&self->cpu);
	}
	run_guest(self);
	cpu_keep_frame();
}

/* The thread of a vCPU that translates; false: it cannot, and was to. */
static bool thread_ready(struct vcpu *v)
{
	const char *lack;
	if (!v->trans || !trans_thread(v, &lack))
		return true;
	if (v->engine->asked)
		return false;
	soft_refused(v, lack);
	trans_rest(v);
	return true;
}

enum vcpu_exit soft_vcpu_run(struct vcpu *v)
{
	struct cpu *c = &v->cpu;
	if (!thread_ready(v))
		return VCPU_ERROR;
	world_enter(v);
	code_ack(v);
	cpu_event(c, EV_INTR);
	run_protected(v);
	v->inside = false;
	if (c->fpu_live)
		fpu_store(c);
	__atomic_store_n(&v->epoch_seen, ~0ull, __ATOMIC_SEQ_CST);
	world_leave(v);
	if (v->failed)
		return VCPU_ERROR;
	return c->s.activity == CPU_SHUTDOWN ? VCPU_SHUTDOWN : VCPU_AGAIN;
}
