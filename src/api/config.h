/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: the description of one virtual machine, filled from flags or from a VM file.
 *
 * Every value enters by one setter, whether it came from --memory 2G or from `memory: 2G`, so both
 * ways accept and refuse the same. Setters say what is wrong with a value by FAIL(); the caller
 * puts the flag's name or the file's line in front.
 *
 * Entered by: prog (fills it), vm (reads it). Owns its strings.
 *
 * Context: one thread.
 */
#ifndef API_CONFIG_H
#define API_CONFIG_H

#include "lib/types.h"

#define CONFIG_DISKS_MAX   16
#define CONFIG_CPUS_MAX	   64
#define CONFIG_CMDLINE_MAX 2047
#define CONFIG_SERIAL_MAX  20
#define CONFIG_MEMORY_MIN  (16ull << 20)
#define CONFIG_MEMORY_MAX  (506ull << 30)

enum config_console_kind {
	CONFIG_CONSOLE_STDIO,
	CONFIG_CONSOLE_NONE,
	CONFIG_CONSOLE_FILE,
	CONFIG_CONSOLE_UNIX,
};

struct config_disk {
	char *file;
	char *serial; /* NULL: none */
	bool readonly;
};

/* --log translate=...: translations that cover these guest addresses are shown. */
struct config_log {
	bool translate;
	u64 first, last;
	char *file; /* NULL: on stderr */
};

struct vm_config {
	char *name;    /* never NULL after config_open */
	char *machine; /* MACHINE_NAME */
	char *cpu_model;
	u32 cpus;
	u64 memory;	      /* bytes, whole MiB */
	char *engine;	      /* NULL: the best that works */
	char *engine_options; /* after the comma, or NULL */
	char *kernel;
	char *initrd;  /* NULL: none */
	char *cmdline; /* replaces the default; NULL: not given */
	char *append;  /* added; NULL: nothing */
	struct config_disk disk[CONFIG_DISKS_MAX];
	unsigned disks;
	enum config_console_kind console;
	char *console_path; /* for FILE and UNIX */
	char *source;	    /* the VM file it was read from; NULL: none */
	struct config_log log;
	bool console_virtio;
	bool no_reboot;
	bool no_jail;
};

/* Defaults. -ENOMEM. */
int config_open(struct vm_config *config);
void config_close(struct vm_config *config);

/* Setters. dir: the folder relative paths start from, NULL for the current one. 0, -EINVAL or
 * -ERANGE with a sentence, -ENOMEM. */
int config_set_name(struct vm_config *config, const char *value, const char *dir);
int config_set_machine(struct vm_config *config, const char *value, const char *dir);
int config_set_kernel(struct vm_config *config, const char *value, const char *dir);
int config_set_initrd(struct vm_config *config, const char *value, const char *dir);
int config_set_append(struct vm_config *config, const char *value, const char *dir);
int config_set_cmdline(struct vm_config *config, const char *value, const char *dir);
int config_set_disk(struct vm_config *config, const char *value, const char *dir);
int config_set_cpus(struct vm_config *config, const char *value, const char *dir);
int config_set_memory(struct vm_config *config, const char *value, const char *dir);
int config_set_cpu(struct vm_config *config, const char *value, const char *dir);
int config_set_engine(struct vm_config *config, const char *value, const char *dir);
int config_set_console(struct vm_config *config, const char *value, const char *dir);
int config_set_console_device(struct vm_config *config, const char *value, const char *dir);
int config_set_log(struct vm_config *config, const char *value, const char *dir);
int config_set_no_reboot(struct vm_config *config, const char *value, const char *dir);

/* path: the VM file that is being read. -ENOMEM. */
int config_note_source(struct vm_config *config, const char *path);

/* A disk given in parts, as a VM file may. serial may be NULL. */
int config_add_disk(struct vm_config *config, const char *file, bool readonly, const char *serial,
		    const char *dir);

/* The machine's own file (VM file, kernel, initrd, disk) that this is, NULL when none: an output
 * file must not be one, since it is emptied. */
const char *config_own_file(const struct vm_config *config, u64 dev, u64 ino);

/* What only the whole shows: a kernel is named, the command line fits. -EINVAL with a sentence. */
int config_check(const struct vm_config *config);

/* The command line the kernel gets: default or cmdline, then append. Checked to fit. */
void config_cmdline(const struct vm_config *config, char out[CONFIG_CMDLINE_MAX + 1]);

#endif
