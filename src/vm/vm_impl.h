/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_impl: the insides of a struct vm, shared by vm.c (outer life), assemble.c (parts), life.c
 * (requests, reset, end) and port.c (console devices); nobody else includes it.
 */
#ifndef VM_VM_IMPL_H
#define VM_VM_IMPL_H

#include "api/options.h"
#include "board/device.h"
#include "boot/boot.h"
#include "dev/chipset/chipset.h"
#include "dev/pci/host.h"
#include "disk/disk.h"
#include "engine/engine.h"
#include "host/sandbox.h"
#include "vm/console.h"
#include "vm/footprint.h"
#include "vm/service.h"
#include "vm/vcpus.h"
#include "vm/vm.h"

#define VM_DEVICES_MAX 64
#define VM_RESET_LOOP  3	      /* resets ... */
#define VM_RESET_NS    10000000000ull /* ... within this, and not a byte on the console */

/* What was asked of the machine and not acted on yet: bits of life.asked. */
enum life_ask {
	ASK_RESET = 1 << 0,
	ASK_POWEROFF = 1 << 1,
	ASK_DEBUG_EXIT = 1 << 2,
	ASK_PANIC = 1 << 3,
	ASK_CRASH = 1 << 4,
	ASK_ERROR = 1 << 5,
	ASK_END = 1 << 6, /* by the user */
};

/* Work for the loop that is not worth stopping the vCPUs: bits of life.todo. */
enum life_todo {
	TODO_BUTTON = 1 << 0,
	TODO_STATUS = 1 << 1,
	TODO_END = 1 << 2,
};

struct life {
	u32 asked;	       /* enum life_ask; atomic */
	u32 todo;	       /* enum life_todo; atomic */
	u32 guest_code;	       /* atomic; of the last request that had one */
	char error[FAIL_TEXT]; /* error_lock */
	pthread_mutex_t error_lock;
	struct loop_call stopped, work, drained;
	struct loop_fd signals;
	struct loop_timer button, patience;
	unsigned terms;			/* SIGTERM and the like, so far */
	bool ending;			/* the code is set, the console drains */
	u64 reset_at[VM_RESET_LOOP];	/* host ns of the latest resets, oldest first */
	u64 reset_bytes[VM_RESET_LOOP]; /* console_bytes then */
	u64 resets;
	u64 start_ns;
	int code;
};

struct vm {
	const struct vm_config *config;
	struct loop *loop;
	struct board board;
	bool has_ram, has_irq, has_clock;
	struct boot *boot;
	char cmdline[CONFIG_CMDLINE_MAX + 1];
	struct cpu_model model;
	const struct engine_ops *ops;
	struct engine *engine;
	struct engine_trace trace; /* fd: of --log's file, stderr, or -1 */
	struct chipset *chipset;
	struct pci_host *pci;
	struct disk *disk[CONFIG_DISKS_MAX];   /* NULL once a device owns it */
	struct device *device[VM_DEVICES_MAX]; /* in the order of opening */
	unsigned devices;
	struct device *uart; /* COM1 */
	struct device *vconsole;
	struct console *console;
	struct vcpus *vcpus;
	struct sandbox_report jail;
	struct footprint footprint;
	struct service service;
	struct life life;
	int signal_fd;
	u64 open_ns;
};

/* assemble.c: what the machine is made of. */
int vm_open_files(struct vm *vm);   /* everything with a path */
int vm_log_empty(struct vm *vm);    /* the machine is there: what --log wrote before goes */
int vm_open_machine(struct vm *vm); /* the rest; opens no path */
void vm_close_machine(struct vm *vm);

/* life.c */
int life_open(struct vm *vm);
void life_close(struct vm *vm);
/* Boot state of memory and CPUs; vCPUs stopped. */
int life_power_on(struct vm *vm);
void life_request(void *arg, enum board_request request, u32 code);

/* port.c: the console's devices. */
int port_open(struct vm *vm, struct device **out); /* virtio-console */
void port_backend(struct vm *vm, struct uart_backend *backend);
void port_events(struct vm *vm, struct console_events *events);
void port_resize(struct vm *vm);

#endif
