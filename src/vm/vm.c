/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm: the outer life of a machine: open, run, close, and what it tells at the end.
 *
 * Entered by: prog's main thread, which becomes the machine's loop thread in vm_run. Owns struct
 * vm. The order of vm_open and vm_run is the promise of docs/security.md: files first, then no more
 * paths, then threads and devices, then the system-call list, then the guest.
 */
#include "vm/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/size.h"
#include "host/fail.h"
#include "host/log.h"
#include "host/signal.h"
#include "vm/vm_impl.h"

/* --- the jail --------------------------------------------------------------------------------- */

static int jail_drop(struct vm *vm)
{
	footprint_open(&vm->footprint);
	if (vm->config->no_jail) {
		log_line(LOG_WARN, "--no-jail: a guest that breaks out of its machine has this "
				   "user's rights");
		return 0;
	}
	return sandbox_drop(&vm->jail);
}

static int jail_seal(struct vm *vm)
{
	return vm->config->no_jail ? 0 : sandbox_seal(&vm->jail);
}

static void start_tell(const struct vm *vm)
{
	const struct vm_config *config = vm->config;
	char memory[32];

	log_line(LOG_INFO,
		 "%s: engine %s, CPU model %s, %u vCPU%s, %s of memory, %u disk%s; jail: "
		 "seccomp %s, Landlock %s",
		 config->name, vm->ops->name, config->cpu_model, config->cpus,
		 config->cpus == 1 ? "" : "s", size_text(config->memory, memory, sizeof(memory)),
		 config->disks, config->disks == 1 ? "" : "s", vm->jail.seccomp ? "yes" : "no",
		 vm->jail.landlock ? "yes" : "no");
}

/* --- open, close ------------------------------------------------------------------------------ */

int vm_open(const struct vm_config *config, struct vm **out)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int err;

	if (!vm)
		return FAIL(-ENOMEM, "out of memory");
	vm->config = config;
	vm->open_ns = host_now_ns();
	vm->signal_fd = vm->footprint.status_fd = -1;
	vm->service.janitor.hold = vm->service.janitor.done = -1;
	pthread_mutex_init(&vm->life.error_lock, NULL);
	/* before the engine opens: it puts its own SIGFPE handler in front */
	signal_catch_crashes();
	err = signal_open(&vm->signal_fd);
	if (!err)
		err = loop_open(&vm->loop);
	if (!err)
		err = vm_open_files(vm);
	if (!err)
		service_open(&vm->service);
	if (!err)
		err = jail_drop(vm);
	if (!err)
		err = vm_open_machine(vm);
	if (!err)
		err = vm_log_empty(vm);
	if (err)
		vm_close(vm);
	else
		*out = vm;
	return err;
}

void vm_close(struct vm *vm)
{
	if (!vm)
		return;
	service_stop(&vm->service);
	if (vm->loop)
		life_close(vm);
	vm_close_machine(vm);
	if (vm->loop)
		loop_close(vm->loop);
	footprint_close(&vm->footprint);
	service_close(&vm->service);
	if (vm->signal_fd >= 0)
		signal_close(vm->signal_fd);
	pthread_mutex_destroy(&vm->life.error_lock);
	free(vm);
}

/* --- run -------------------------------------------------------------------------------------- */

static int vm_start(struct vm *vm)
{
	int err = life_open(vm);

	if (!err)
		err = life_power_on(vm);
	if (!err)
		err = service_start(&vm->service, vm);
	if (!err)
		err = jail_seal(vm);
	if (err)
		return err;
	start_tell(vm);
	port_resize(vm);
	__atomic_store_n(&vm->life.start_ns, host_now_ns(), __ATOMIC_RELAXED);
	vcpus_go(vm->vcpus);
	return 0;
}

static void vm_report(struct vm *vm, struct vm_outcome *outcome)
{
	struct engine_mode mode = {"off", ""};
	u64 now = host_now_ns();

	outcome->code = vm->life.code;
	outcome->guest_code = vm->life.guest_code;
	snprintf(outcome->error, sizeof(outcome->error), "%s", vm->life.error);
	snprintf(outcome->engine, sizeof(outcome->engine), "%s", vm->ops->name);
	if (vm->ops->mode)
		vm->ops->mode(vm->engine, &mode);
	snprintf(outcome->translate, sizeof(outcome->translate), "%s", mode.translate);
	snprintf(outcome->translate_refusal, sizeof(outcome->translate_refusal), "%s",
		 mode.refusal);
	if (vm->life.start_ns) {
		outcome->startup_ns = vm->life.start_ns - vm->open_ns;
		outcome->run_ns = now - vm->life.start_ns;
	}
	outcome->resets = vm->life.resets;
	outcome->console_bytes = console_bytes(vm->console);
	if (vm->ops->stats)
		vm->ops->stats(vm->engine, &outcome->counters);
	outcome->overhead_bytes =
		footprint_read(&vm->footprint, &vm->board.ram, &outcome->counters).overhead;
}

void vm_run(struct vm *vm, struct vm_outcome *outcome)
{
	int err;

	memset(outcome, 0, sizeof(*outcome));
	err = vm_start(vm);
	if (!err)
		err = loop_run(vm->loop);
	if (err) {
		vm->life.code = vm_exit_code(err);
		snprintf(vm->life.error, sizeof(vm->life.error), "%s", fail_text());
	}
	vm_report(vm, outcome);
}

int vm_exit_code(int err)
{
	switch (err) {
	case 0: return EXIT_POWEROFF;
	case -EINVAL:
	case -ERANGE:
	case -ENOENT:
	case -EISDIR:
	case -ENOTDIR:
	case -ELOOP:
	case -ENAMETOOLONG:
	case -ENODATA:
	case -ENOEXEC:
	case -ENOSPC:
	case -E2BIG:
	case -EFBIG:
	case -ENOTSUP:
	case -EEXIST:
	case -ENXIO: return EXIT_USAGE;
	default: return EXIT_HOST;
	}
}
