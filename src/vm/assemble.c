/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assemble: builds machine holm-1 out of its parts, in the order they need each other.
 *
 * Two halves, with the jail's first step between them: vm_open_files opens everything that has a
 * path, vm_open_machine the rest. Whatever the user can mend is found in the first half, before a
 * file is made. Memory comes before the files because nothing else says whether -m can be.
 *
 * Entered by: vm.c. Owns every part in struct vm; vm_close_machine undoes whatever was done.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/size.h"
#include "board/layout.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/rng.h"
#include "host/fail.h"
#include "host/log.h"
#include "lib/bits.h"
#include "vm/hostinfo.h"
#include "vm/vm_impl.h"

/* --- engine and CPU model --------------------------------------------------------------------- */

static int engine_usable(const struct engine_ops *ops, struct engine_reason *reason)
{
	memset(reason, 0, sizeof(*reason));
	ops->probe(reason);
	return reason->code == ENGINE_OK;
}

static struct engine_config engine_wants(struct vm *vm)
{
	const struct vm_config *config = vm->config;

	vm->trace.first = config->log.first;
	vm->trace.last = config->log.last;
	return (struct engine_config){.board = &vm->board,
				      .model = &vm->model,
				      .options = config->engine_options,
				      .cpus = config->cpus,
				      .trace = config->log.translate ? &vm->trace : NULL};
}

static int engine_choose(struct vm *vm)
{
	const struct engine_config config = engine_wants(vm);
	const char *name = vm->config->engine;
	const struct engine_ops *const *list = engine_list();
	struct engine_reason reason;

	if (name) {
		vm->ops = engine_find(name);
		if (!vm->ops)
			return FAIL(-EINVAL, "'%.40s' is not an engine; 'holm doctor' lists them",
				    name);
		if (engine_usable(vm->ops, &reason))
			return vm->ops->check(&config);
		return FAIL(-ENOTSUP, "engine %.40s cannot run here: %s%s%s", name, reason.sentence,
			    reason.mend[0] ? "; " : "", reason.mend);
	}
	for (; *list; list++) {
		vm->ops = *list;
		if (engine_usable(vm->ops, &reason))
			return 0;
	}
	return FAIL(-ENOTSUP, "no engine can run here; 'holm doctor' tells why");
}

static int model_choose(struct vm *vm)
{
	const char *name = vm->config->cpu_model, *missing = NULL;
	int err = cpu_model_open(&vm->model, name, vm->config->cpus, (u32)vm->board.clock.tsc_khz,
				 &missing);

	if (err == -ENOTSUP)
		return FAIL(err,
			    "CPU model %s needs %s, which this host's CPU does not have; use a "
			    "smaller model such as v2-1, or --cpu host",
			    name, missing ? missing : "a feature");
	if (err)
		return FAIL(err, "CPU model %s: %s", name, strerror(-err));
	return 0;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void memory_warn(const struct vm *vm)
{
	struct host_limits limits;
	char want[32], have[32];

	host_memory_read(&limits);
	size_text(vm->config->memory, want, sizeof(want));
	if (limits.cgroup_memory && vm->config->memory > limits.cgroup_memory)
		log_line(LOG_WARN,
			 "memory: %s is above the control group's limit of %s (%s); the "
			 "machine is ended if it uses more",
			 want, size_text(limits.cgroup_memory, have, sizeof(have)),
			 limits.cgroup_memory_at);
	else if (limits.ram && vm->config->memory > limits.ram)
		log_line(LOG_WARN,
			 "memory: %s is above the host's %s; the machine is ended if it "
			 "uses more than there is",
			 want, size_text(limits.ram, have, sizeof(have)));
}

static int memory_open(struct vm *vm)
{
	u64 low = vm->config->memory, high = 0;
	int err = ram_open(&vm->board.ram);

	if (err)
		return err;
	vm->has_ram = true;
	if (low > LAYOUT_LOW_RAM_MAX) {
		high = low - LAYOUT_LOW_RAM_MAX;
		low = LAYOUT_LOW_RAM_MAX;
	}
	err = ram_add(&vm->board.ram, 0, low, RAM_KIND_RAM, "low");
	if (!err)
		err = ram_punch(&vm->board.ram, LAYOUT_VGA_HOLE, LAYOUT_VGA_END - LAYOUT_VGA_HOLE);
	if (!err && high)
		err = ram_add(&vm->board.ram, LAYOUT_HIGH_RAM, high, RAM_KIND_RAM, "high");
	return err;
}

/* --- files ------------------------------------------------------------------------------------ */

static bool same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return !stat(a, &sa) && !stat(b, &sb) && same_inode(&sa, &sb);
}

/* Two mistakes that the disk's own sentence does not see: a word after a comma that is none of
 * ours, and the same image given twice. */
static int disk_explain(const struct vm_config *config, unsigned n, int err)
{
	const char *file = config->disk[n].file, *comma = strrchr(file, ',');
	char name[PATH_MAX];

	if (err == -ENOENT && comma) {
		snprintf(name, sizeof(name), "%.*s", (int)(comma - file), file);
		if (!access(name, F_OK))
			return FAIL(
				-ENOENT,
				"disk: %.200s does not exist; what may follow %.200s is ,ro and "
				",serial=S",
				file, name);
	}
	for (unsigned i = 0; err == -EBUSY && i < n; i++)
		if (same_file(config->disk[i].file, file))
			return FAIL(
				-EINVAL,
				"disk: %.200s is given twice; only with ,ro at both may that be",
				file);
	return err;
}

static int disks_open(struct vm *vm)
{
	int err = 0;

	for (unsigned i = 0; i < vm->config->disks && !err; i++) {
		const struct disk_config config = {.path = vm->config->disk[i].file,
						   .read_only = vm->config->disk[i].readonly};

		err = disk_open(&config, &vm->disk[i]);
		if (err)
			err = disk_explain(vm->config, i, err);
	}
	return err;
}

/* A console file is emptied at start: it must not be one of the machine's own. */
static int console_check(const struct vm *vm)
{
	const char *clash = NULL;
	u64 dev, ino;

	if (console_file(vm->console, &dev, &ino))
		clash = config_own_file(vm->config, dev, ino);
	if (clash)
		return FAIL(-EINVAL,
			    "console: '%.150s' is also one of the machine's files; name "
			    "another file",
			    clash);
	return 0;
}

static int boot_files_open(struct vm *vm)
{
	const struct boot_config boot = {.kernel = vm->config->kernel,
					 .initrd = vm->config->initrd,
					 .cmdline = vm->cmdline,
					 .model = vm->config->cpu_model,
					 .ram = vm->config->memory,
					 .cpus = vm->config->cpus};

	config_cmdline(vm->config, vm->cmdline);
	return boot_open(&boot, &vm->boot);
}

/* Emptied later, as the console's file is. */
static int log_open(struct vm *vm)
{
	const char *path = vm->config->log.file, *clash = NULL;
	struct stat st, console;

	vm->trace.fd = STDERR_FILENO;
	if (!path)
		return 0;
	vm->trace.fd = open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
	if (vm->trace.fd < 0)
		return FAIL(-errno, "--log: cannot write '%.200s': %s", path, strerror(errno));
	if (fstat(vm->trace.fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	clash = config_own_file(vm->config, st.st_dev, st.st_ino);
	if (!clash && !fstat(STDOUT_FILENO, &console) && same_inode(&st, &console))
		clash = path;
	if (!clash && vm->config->console == CONFIG_CONSOLE_FILE &&
	    same_file(path, vm->config->console_path))
		clash = path;
	if (!clash)
		return 0;
	return FAIL(-EINVAL,
		    "--log: '%.200s' is also one of the machine's files or its console; name "
		    "another",
		    clash);
}

int vm_log_empty(struct vm *vm)
{
	struct stat st;

	if (!vm->config->log.file || fstat(vm->trace.fd, &st) || !S_ISREG(st.st_mode) ||
	    !ftruncate(vm->trace.fd, 0))
		return 0;
	return FAIL(-errno, "--log: cannot empty '%.200s': %s", vm->config->log.file,
		    strerror(errno));
}

int vm_open_files(struct vm *vm)
{
	int err = engine_choose(vm);

	if (!err)
		err = memory_open(vm);
	if (!err)
		err = clock_open(&vm->board.clock, vm->loop);
	if (err)
		return err;
	vm->has_clock = true;
	err = model_choose(vm);
	if (!err)
		err = boot_files_open(vm);
	if (!err)
		err = disks_open(vm);
	if (!err)
		err = console_open(vm->config->console, vm->config->console_path, &vm->console);
	if (!err)
		err = console_check(vm);
	if (!err && vm->config->log.translate)
		err = log_open(vm);
	if (!err)
		memory_warn(vm);
	return err;
}

/* --- the engine's ears ------------------------------------------------------------------------ */

static void ram_changed(void *arg)
{
	struct vm *vm = arg;

	if (vm->ops->ram_changed)
		vm->ops->ram_changed(vm->engine);
}

static void dma_begin(void *arg, gpa_t gpa, u64 len)
{
	struct vm *vm = arg;

	vm->ops->dma_begin(vm->engine, gpa, len);
}

static void dma_end(void *arg, gpa_t gpa, u64 len)
{
	struct vm *vm = arg;

	vm->ops->dma_end(vm->engine, gpa, len);
}

static void engine_msi(void *arg, u64 addr, u32 data)
{
	struct vm *vm = arg;

	vm->ops->msi(vm->engine, addr, data);
}

static void engine_extint(void *arg, bool level)
{
	struct vm *vm = arg;

	vm->ops->extint(vm->engine, level);
}

static int engine_start(struct vm *vm)
{
	const struct engine_config config = engine_wants(vm);
	int err = vm->ops->open(&config, &vm->engine);

	if (err)
		return err;
	vm->board.ram.listener =
		(struct ram_listener){.arg = vm,
				      .changed = ram_changed,
				      .dma_begin = vm->ops->dma_begin ? dma_begin : NULL,
				      .dma_end = vm->ops->dma_end ? dma_end : NULL};
	vm->board.irq.receiver =
		(struct irq_receiver){.arg = vm, .msi = engine_msi, .extint = engine_extint};
	return 0;
}

/* --- devices ---------------------------------------------------------------------------------- */

static int device_note(struct vm *vm, struct device *dev)
{
	if (vm->devices == VM_DEVICES_MAX)
		return FAIL(-ENOSPC, "too many devices");
	vm->device[vm->devices++] = dev;
	return 0;
}

static int chipset_start(struct vm *vm)
{
	struct chipset_config config = {.has_uart = {true, false},
					.has_pvpanic = true,
					.has_debug_exit = true,
					.has_mouse = true};
	struct device *dev;
	int err;

	config.low_ram = min_u64(vm->config->memory, LAYOUT_LOW_RAM_MAX);
	config.high_ram = vm->config->memory - config.low_ram;
	port_backend(vm, &config.uart[0]);
	err = chipset_open(&vm->board, &config, &vm->chipset);
	if (err)
		return err;
	vm->uart = chipset_uart(vm->chipset, 0);
	for (dev = chipset_devices(vm->chipset); dev && !err; dev = dev->next)
		err = device_note(vm, dev);
	return err;
}

static int pci_start(struct vm *vm)
{
	int err = pci_host_open(&vm->board, &vm->pci);

	return err ? err : device_note(vm, pci_host_device(vm->pci));
}

static int virtio_start(struct vm *vm)
{
	struct device *dev = NULL;
	int err;

	err = virtio_rng_open(&vm->board, vm->pci, LAYOUT_SLOT_RNG, &dev);
	if (!err)
		err = device_note(vm, dev);
	if (!err)
		err = port_open(vm, &dev);
	if (!err)
		err = device_note(vm, dev);
	for (unsigned i = 0; i < vm->config->disks && !err; i++) {
		err = virtio_blk_open(&vm->board, vm->pci, LAYOUT_SLOT_DISK0 + i, vm->disk[i],
				      vm->config->disk[i].serial, &dev);
		if (err)
			break;
		vm->disk[i] = NULL; /* the device's from here on */
		err = device_note(vm, dev);
	}
	return err;
}

int vm_open_machine(struct vm *vm)
{
	struct board *board = &vm->board;
	int err;

	board->loop = vm->loop;
	board->cpus = vm->config->cpus;
	board->request = life_request;
	board->request_arg = vm;
	err = bus_open(&board->bus);
	if (!err)
		err = irq_open(&board->irq);
	if (err)
		return err;
	vm->has_irq = true;
	err = engine_start(vm);
	if (!err)
		err = chipset_start(vm);
	if (!err)
		err = pci_start(vm);
	if (!err)
		err = virtio_start(vm);
	if (!err)
		err = pci_assign_bars(vm->pci);
	return err;
}

/* --- closing ---------------------------------------------------------------------------------- */

static void devices_close(struct vm *vm)
{
	while (vm->devices) {
		struct device *dev = vm->device[--vm->devices];

		dev->cls->close(dev);
	}
	if (vm->chipset)
		chipset_free(vm->chipset);
}

void vm_close_machine(struct vm *vm)
{
	devices_close(vm);
	if (vm->engine)
		vm->ops->close(vm->engine);
	if (vm->trace.fd > STDERR_FILENO)
		close(vm->trace.fd);
	console_close(vm->console);
	for (unsigned i = 0; i < CONFIG_DISKS_MAX; i++)
		if (vm->disk[i])
			disk_close(vm->disk[i]);
	boot_close(vm->boot);
	if (vm->has_irq)
		irq_close(&vm->board.irq);
	if (vm->board.bus)
		bus_close(vm->board.bus);
	if (vm->has_clock)
		clock_close(&vm->board.clock);
	if (vm->has_ram)
		ram_close(&vm->board.ram);
}
