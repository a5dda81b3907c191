/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: the methods of the native API, so far: "stats".
 *
 * Entered by: vm.c; the server's thread (methods), which reads the machine without stopping it:
 * counters that others only ever raise, and what does not change while it runs.
 */
#include "vm/service.h"

#include <stdio.h>
#include <unistd.h>

#include "api/rundir.h"
#include "host/fail.h"
#include "host/log.h"
#include "vm/vm_impl.h"

/* --- stats ------------------------------------------------------------------------------------ */

static json_t *number(u64 value)
{
	return json_integer((json_int_t)value);
}

static json_t *counters(const struct metrics *metrics)
{
	json_t *count = json_object();

	for (unsigned i = 0; i < metric_count; i++)
		json_object_set_new(count, metric_table[i].name,
				    number(metric_value(metrics, &metric_table[i])));
	return count;
}

static json_t *stats(void *arg)
{
	struct vm *vm = arg;
	struct engine_mode mode = {"off", ""};
	struct metrics metrics = {0};
	struct footprint_bytes bytes;
	u64 start = __atomic_load_n(&vm->life.start_ns, __ATOMIC_RELAXED);
	json_t *root = json_object();

	if (vm->ops->mode)
		vm->ops->mode(vm->engine, &mode);
	if (vm->ops->stats)
		vm->ops->stats(vm->engine, &metrics);
	bytes = footprint_read(&vm->footprint, &vm->board.ram, &metrics);
	json_object_set_new(root, "name", json_string(vm->config->name));
	json_object_set_new(root, "pid", number((u64)getpid()));
	json_object_set_new(root, "uptime_seconds",
			    json_real(start ? (double)(host_now_ns() - start) / 1e9 : 0));
	json_object_set_new(root, "vcpus", number(vm->config->cpus));
	json_object_set_new(root, "memory_bytes", number(vm->config->memory));
	json_object_set_new(root, "memory_resident_bytes", number(bytes.ram));
	json_object_set_new(root, "overhead_bytes", number(bytes.overhead));
	json_object_set_new(root, "engine", json_string(vm->ops->name));
	json_object_set_new(root, "translate", json_string(mode.translate));
	json_object_set_new(root, "translate_refusal",
			    *mode.refusal ? json_string(mode.refusal) : json_null());
	json_object_set_new(root, "resets",
			    number(__atomic_load_n(&vm->life.resets, __ATOMIC_RELAXED)));
	json_object_set_new(root, "console_bytes", number(console_bytes(vm->console)));
	json_object_set_new(root, "counters", counters(&metrics));
	return root;
}

static const struct server_method methods[] = {{"stats", stats}, {NULL, NULL}};

/* --- open, start, stop, close ----------------------------------------------------------------- */

void service_open(struct service *service)
{
	char folder[RUNDIR_MAX], path[RUNDIR_MAX + 32];
	int err = rundir_make(folder);

	service->janitor.hold = service->janitor.done = -1;
	if (!err) {
		snprintf(path, sizeof(path), "%s/%d.sock", folder, (int)getpid());
		err = server_open(path, &service->server);
	}
	if (!err) {
		err = janitor_start(&service->janitor, "stats", path);
		if (err)
			unlink(path);
	}
	if (!err)
		return;
	log_line(LOG_INFO, "'holm stats' will not see this machine: %s", fail_text());
	service_close(service);
}

int service_start(struct service *service, struct vm *vm)
{
	return service->server ? server_start(service->server, methods, vm) : 0;
}

void service_stop(struct service *service)
{
	if (service->server)
		server_stop(service->server);
}

void service_close(struct service *service)
{
	server_close(service->server);
	service->server = NULL;
	janitor_finish(&service->janitor);
}
