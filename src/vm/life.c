/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life: what happens to a running machine: power-off, reset, panic, crash, and what the user asks.
 *
 * Every wish arrives as a bit from whatever thread (a device on a vCPU thread, a signal on the
 * loop, a key on the console's thread). Those that end or reset the machine close the gate of the
 * vCPUs; when the last one is out, the loop acts. Nothing here waits for another thread.
 *
 * Entered by: devices through board->request, vcpus, the console, the loop. Owns vm->life.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cpu/cpu.h"
#include "host/fail.h"
#include "host/log.h"
#include "host/signal.h"
#include "vm/vm_impl.h"

#define BUTTON_AGAIN_NS	 5000000000ull /* a guest that was booting did not hear the first press */
#define PATIENCE_NS	 500000000ull
#define PVPANIC_PANICKED 1u

/* --- asking ----------------------------------------------------------------------------------- */

static void life_ask(struct vm *vm, enum life_ask ask)
{
	__atomic_or_fetch(&vm->life.asked, (u32)ask, __ATOMIC_SEQ_CST);
	if (vm->vcpus) /* else a device spoke while it was being opened */
		vcpus_stop(vm->vcpus);
}

static void life_todo(struct vm *vm, enum life_todo todo)
{
	__atomic_or_fetch(&vm->life.todo, (u32)todo, __ATOMIC_SEQ_CST);
	loop_post(vm->loop, &vm->life.work);
}

void life_request(void *arg, enum board_request request, u32 code)
{
	struct vm *vm = arg;

	switch (request) {
	case BOARD_POWEROFF: life_ask(vm, ASK_POWEROFF); break;
	case BOARD_RESET: life_ask(vm, ASK_RESET); break;
	case BOARD_PANIC:
		/* with a crash kernel loaded the guest goes on into it */
		if (!(code & PVPANIC_PANICKED))
			break;
		__atomic_store_n(&vm->life.guest_code, code, __ATOMIC_SEQ_CST);
		life_ask(vm, ASK_PANIC);
		break;
	case BOARD_DEBUG_EXIT:
		__atomic_store_n(&vm->life.guest_code, code, __ATOMIC_SEQ_CST);
		life_ask(vm, ASK_DEBUG_EXIT);
		break;
	}
}

static void life_error(struct vm *vm, const char *sentence)
{
	pthread_mutex_lock(&vm->life.error_lock);
	if (!vm->life.error[0])
		snprintf(vm->life.error, sizeof(vm->life.error), "%s", sentence);
	pthread_mutex_unlock(&vm->life.error_lock);
}

/* From a vCPU thread. */
static void life_exited(void *arg, unsigned id, enum vcpu_exit why)
{
	struct vm *vm = arg;
	char sentence[96];

	switch (why) {
	case VCPU_RESET: life_ask(vm, ASK_RESET); break;
	case VCPU_SHUTDOWN:
		snprintf(sentence, sizeof(sentence), "triple fault on vCPU %u", id);
		life_error(vm, sentence);
		life_ask(vm, ASK_CRASH);
		break;
	case VCPU_ERROR:
		life_error(vm, *fail_text() ? fail_text() : "the engine failed");
		life_ask(vm, ASK_ERROR);
		break;
	default: break;
	}
}

/* Any thread, the vCPUs' lock held. */
static void life_stopped(void *arg)
{
	struct vm *vm = arg;

	loop_post(vm->loop, &vm->life.stopped);
}

static void life_wait(void *arg)
{
	struct vm *vm = arg;

	console_wait(vm->console);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* The guest's last words first: a pager may take its time. */
static void life_end(struct vm *vm, int code)
{
	vm->life.code = code;
	vm->life.ending = true;
	loop_timer_cancel(&vm->life.button);
	if (code == EXIT_ENDED) /* somebody wants it to end: do not wait for a reader that sleeps */
		loop_timer_arm(&vm->life.patience, host_now_ns() + PATIENCE_NS);
	console_drain(vm->console);
}

static void life_impatient(struct loop_timer *timer)
{
	struct vm *vm = timer->arg;

	console_abandon(vm->console);
}

static void life_drained(struct loop_call *call)
{
	struct vm *vm = call->arg;

	loop_stop(vm->loop);
}

/* --- power-on and reset ----------------------------------------------------------------------- */

static unsigned life_describe(struct vm *vm, struct device_desc descs[VM_DEVICES_MAX])
{
	unsigned n = 0;

	memset(descs, 0, sizeof(descs[0]) * VM_DEVICES_MAX);
	for (unsigned i = 0; i < vm->devices; i++) {
		const struct device_class *cls = vm->device[i]->cls;

		if (cls->describe && cls->describe(vm->device[i], &descs[n]))
			n++;
	}
	return n;
}

int life_power_on(struct vm *vm)
{
	struct device_desc descs[VM_DEVICES_MAX];
	struct cpu_state state;
	unsigned count = life_describe(vm, descs);
	int err;

	memset(&state, 0, sizeof(state));
	err = boot_build(vm->boot, &vm->board, descs, count, &state);
	if (!err)
		err = vcpus_set_state(vm->vcpus, 0, &state);
	for (unsigned id = 1; id < vm->config->cpus && !err; id++) {
		cpu_state_reset(&state, id, false);
		boot_setup_ap(&state);
		err = vcpus_set_state(vm->vcpus, id, &state);
	}
	return err;
}

/* Three resets in ten seconds, and not one byte on the console since the first of them. */
static bool life_reset_loops(struct vm *vm)
{
	struct life *life = &vm->life;
	u64 now = host_now_ns(), bytes = console_bytes(vm->console);
	unsigned last = VM_RESET_LOOP - 1;

	memmove(life->reset_at, life->reset_at + 1, last * sizeof(life->reset_at[0]));
	memmove(life->reset_bytes, life->reset_bytes + 1, last * sizeof(life->reset_bytes[0]));
	life->reset_at[last] = now;
	life->reset_bytes[last] = bytes;
	__atomic_store_n(&life->resets, life->resets + 1, __ATOMIC_RELAXED);
	return life->resets >= VM_RESET_LOOP && now - life->reset_at[0] < VM_RESET_NS &&
	       life->reset_bytes[0] == bytes;
}

static void life_reset(struct vm *vm)
{
	if (vm->config->no_reboot) {
		life_end(vm, EXIT_REBOOT);
		return;
	}
	if (life_reset_loops(vm)) {
		life_error(vm, "three resets within 10 seconds without console output");
		life_end(vm, EXIT_CRASH);
		return;
	}
	log_line(LOG_INFO, "the guest resets");
	for (unsigned i = 0; i < vm->devices; i++)
		if (vm->device[i]->cls->reset)
			vm->device[i]->cls->reset(vm->device[i]);
	if (life_power_on(vm)) {
		life_error(vm, fail_text());
		life_end(vm, EXIT_HOST);
		return;
	}
	port_resize(vm);
	vcpus_go(vm->vcpus);
}

/* All vCPUs are out: the weightiest wish wins. */
static void life_act(struct loop_call *call)
{
	struct vm *vm = call->arg;
	u32 asked = __atomic_exchange_n(&vm->life.asked, 0, __ATOMIC_SEQ_CST);

	if (!asked || vm->life.ending)
		return;
	if (asked & ASK_ERROR)
		life_end(vm, EXIT_HOST);
	else if (asked & ASK_PANIC)
		life_end(vm, EXIT_PANIC);
	else if (asked & ASK_CRASH)
		life_end(vm, EXIT_CRASH);
	else if (asked & ASK_DEBUG_EXIT)
		life_end(vm, EXIT_DEBUG_EXIT + (int)(vm->life.guest_code & 31));
	else if (asked & ASK_POWEROFF)
		life_end(vm, EXIT_POWEROFF);
	else if (asked & ASK_END)
		life_end(vm, EXIT_ENDED);
	else
		life_reset(vm);
}

/* --- the user --------------------------------------------------------------------------------- */

static void life_finish(struct vm *vm)
{
	if (vm->life.ending) {
		loop_stop(vm->loop); /* not even waiting for the console's reader */
		return;
	}
	life_ask(vm, ASK_END);
}

static void life_button(struct vm *vm)
{
	chipset_pm_power_button(vm->chipset);
	loop_timer_arm(&vm->life.button, host_now_ns() + BUTTON_AGAIN_NS);
}

static void life_button_again(struct loop_timer *timer)
{
	life_button(timer->arg);
}

static void life_status(struct vm *vm)
{
	struct metrics stats = {0};
	u64 ns = host_now_ns() - vm->life.start_ns;

	if (vm->ops->stats)
		vm->ops->stats(vm->engine, &stats);
	dprintf(STDERR_FILENO,
		"\nholm: %s: running %llu s on engine %s, %u vCPU%s, %llu million instructions, "
		"%llu resets\n",
		vm->config->name, (unsigned long long)(ns / 1000000000ull), vm->ops->name,
		vm->config->cpus, vm->config->cpus == 1 ? "" : "s",
		(unsigned long long)(stats.instructions / 1000000ull),
		(unsigned long long)vm->life.resets);
}

static void life_work(struct loop_call *call)
{
	struct vm *vm = call->arg;
	u32 todo = __atomic_exchange_n(&vm->life.todo, 0, __ATOMIC_SEQ_CST);

	if (todo & TODO_BUTTON)
		life_button(vm);
	if (todo & TODO_STATUS)
		life_status(vm);
	if (todo & TODO_END)
		life_finish(vm);
}

/* Ctrl-] and a key, on the console's thread. */
static void life_key(void *arg, char key)
{
	struct vm *vm = arg;

	switch (key) {
	case 'q': life_todo(vm, TODO_END); break;
	case 'r': life_ask(vm, ASK_RESET); break;
	case 'p': life_todo(vm, TODO_BUTTON); break;
	case 'b': uart_break(vm->uart); break;
	default: life_todo(vm, TODO_STATUS); break;
	}
}

static void life_signals(struct loop_fd *src, u32 revents unused_arg)
{
	struct vm *vm = src->arg;
	int number;

	while ((number = signal_next(src->fd))) {
		if (number == SIGWINCH) {
			port_resize(vm);
		} else if (number == SIGCONT) {
			console_foreground(vm->console);
		} else if (number == SIGTSTP) {
			console_suspend(vm->console);
		} else if (vm->life.terms++ || vm->life.ending) {
			life_finish(vm);
		} else {
			log_line(LOG_INFO, "signal %d: pressing the power button; again to end",
				 number);
			life_button(vm);
		}
	}
}

static void life_console_drained(void *arg)
{
	struct vm *vm = arg;

	loop_post(vm->loop, &vm->life.drained);
}

/* --- open, close ------------------------------------------------------------------------------ */

int life_open(struct vm *vm)
{
	const struct vcpus_events vcpu_events = {
		.arg = vm, .stopped = life_stopped, .exited = life_exited, .wait = life_wait};
	struct console_events console_events = {
		.arg = vm, .key = life_key, .drained = life_console_drained};
	struct life *life = &vm->life;
	int err;

	life->stopped = (struct loop_call){.run = life_act, .arg = vm};
	life->work = (struct loop_call){.run = life_work, .arg = vm};
	life->drained = (struct loop_call){.run = life_drained, .arg = vm};
	loop_timer_init(vm->loop, &life->button, life_button_again, vm);
	loop_timer_init(vm->loop, &life->patience, life_impatient, vm);
	life->signals = (struct loop_fd){
		.fd = vm->signal_fd, .events = EPOLLIN, .ready = life_signals, .arg = vm};
	err = vcpus_open(vm->ops, vm->engine, vm->config->cpus, vm->loop, &vcpu_events, &vm->vcpus);
	if (err)
		return err;
	port_events(vm, &console_events);
	err = console_start(vm->console, &console_events);
	if (err)
		return err;
	err = vcpus_start(vm->vcpus);
	return err ? err : loop_add(vm->loop, &life->signals);
}

void life_close(struct vm *vm)
{
	struct life *life = &vm->life;

	if (life->signals.added)
		loop_remove(vm->loop, &life->signals);
	if (life->button.loop)
		loop_timer_cancel(&life->button);
	if (life->patience.loop)
		loop_timer_cancel(&life->patience);
	if (vm->console)
		console_stop(vm->console); /* its threads know vCPUs and devices */
	vcpus_close(vm->vcpus);
	vm->vcpus = NULL;
}
