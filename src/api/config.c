/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: one setter per property of a machine, and the checks that need the whole of it.
 *
 * Entered by: cli.c (flags), vmfile.c (VM file), prog and vm (reading). Owns every string inside a
 * vm_config. Trusts nothing: the texts come from people and from files.
 */
#include "api/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/size.h"
#include "host/fail.h"

#define UNIX_PATH_MAX 107 /* sun_path without its NUL */

/* --- helpers ---------------------------------------------------------------------------------- */

static int text_set(char **slot, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return FAIL(-ENOMEM, "out of memory");
	free(*slot);
	*slot = copy;
	return 0;
}

static int path_set(char **slot, const char *value, const char *dir)
{
	char *joined;

	if (!*value)
		return FAIL(-EINVAL, "the file name is empty");
	if (!dir || value[0] == '/')
		return text_set(slot, value);
	if (asprintf(&joined, "%s/%s", dir, value) < 0)
		return FAIL(-ENOMEM, "out of memory");
	free(*slot);
	*slot = joined;
	return 0;
}

/* Words that reach the guest's command line: printable and no line breaks. */
static int words_check(const char *value)
{
	for (const char *p = value; *p; p++)
		if ((u8)*p < 0x20 || *p == 0x7f)
			return FAIL(-EINVAL, "control characters cannot be on a command line");
	if (strlen(value) > CONFIG_CMDLINE_MAX)
		return FAIL(-EINVAL, "the command line is longer than %u bytes",
			    CONFIG_CMDLINE_MAX);
	return 0;
}

static int name_check(const char *value)
{
	if (!*value || strlen(value) > 64)
		return FAIL(-EINVAL, "a name has 1 to 64 characters");
	for (const char *p = value; *p; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			      (*p >= '0' && *p <= '9');

		if (!letter && !strchr("-_.", *p))
			return FAIL(-EINVAL,
				    "'%.64s' is not a name; use letters, digits, - _ and .", value);
	}
	return 0;
}

/* --- open, close ------------------------------------------------------------------------------ */

int config_open(struct vm_config *config)
{
	memset(config, 0, sizeof(*config));
	config->cpus = 1;
	config->memory = 512ull << 20;
	if (text_set(&config->name, "vm") || text_set(&config->machine, "holm-1") ||
	    text_set(&config->cpu_model, "v2-1")) {
		config_close(config);
		return -ENOMEM;
	}
	return 0;
}

void config_close(struct vm_config *config)
{
	char **text[] = {&config->name,		&config->machine, &config->cpu_model,
			 &config->engine,	&config->kernel,  &config->engine_options,
			 &config->initrd,	&config->cmdline, &config->append,
			 &config->console_path, &config->source,  &config->log.file};

	for (size_t i = 0; i < ARRAY_LEN(text); i++)
		free(*text[i]);
	for (unsigned i = 0; i < config->disks; i++) {
		free(config->disk[i].file);
		free(config->disk[i].serial);
	}
	memset(config, 0, sizeof(*config));
}

/* --- setters: what it is ---------------------------------------------------------------------- */

int config_set_name(struct vm_config *config, const char *value, const char *dir unused_arg)
{
	int err = name_check(value);

	return err ? err : text_set(&config->name, value);
}

int config_set_machine(struct vm_config *config, const char *value, const char *dir unused_arg)
{
	if (strcmp(value, "holm-1"))
		return FAIL(-EINVAL, "'%.40s' is not a machine; there is holm-1", value);
	return text_set(&config->machine, value);
}

int config_set_cpu(struct vm_config *config, const char *value, const char *dir unused_arg)
{
	if (strcmp(value, "v2-1") && strcmp(value, "v3-1") && strcmp(value, "host"))
		return FAIL(-EINVAL, "'%.40s' is not a CPU model; there are v2-1, v3-1 and host",
			    value);
	return text_set(&config->cpu_model, value);
}

int config_set_cpus(struct vm_config *config, const char *value, const char *dir unused_arg)
{
	return count_parse(value, 1, CONFIG_CPUS_MAX, &config->cpus);
}

int config_set_memory(struct vm_config *config, const char *value, const char *dir unused_arg)
{
	u64 bytes = 0;
	int err = size_parse(value, &bytes);

	if (err && err != -ERANGE)
		return err;
	if (err || bytes < CONFIG_MEMORY_MIN || bytes > CONFIG_MEMORY_MAX)
		return FAIL(-ERANGE, "'%.40s' is out of range; memory can be 16M to 506G", value);
	if (bytes & 0xfffff)
		return FAIL(-EINVAL, "'%.40s' is not whole MiB; write a multiple of 1M", value);
	config->memory = bytes;
	return 0;
}

int config_set_engine(struct vm_config *config, const char *value, const char *dir unused_arg)
{
	const char *comma = strchr(value, ',');
	char *name, *options = NULL;

	if (!*value || comma == value)
		return FAIL(-EINVAL, "the engine has no name; 'holm doctor' lists them");
	name = comma ? strndup(value, (size_t)(comma - value)) : strdup(value);
	if (comma)
		options = strdup(comma + 1);
	if (!name || (comma && !options)) {
		free(name);
		free(options);
		return FAIL(-ENOMEM, "out of memory");
	}
	free(config->engine);
	free(config->engine_options);
	config->engine = name;
	config->engine_options = options;
	return 0;
}

/* Hexadecimal, with or without 0x; *text goes behind it. */
static bool address_parse(const char **text, u64 *out)
{
	const char *at = *text + (!strncmp(*text, "0x", 2) ? 2 : 0);
	size_t digits = strspn(at, "0123456789abcdefABCDEF");

	*out = digits && digits <= 16 ? strtoull(at, NULL, 16) : 0;
	*text = at + digits;
	return digits && digits <= 16;
}

/* translate=ADDR[-ADDR][,FILE] */
int config_set_log(struct vm_config *config, const char *value, const char *dir)
{
	struct config_log *log = &config->log;
	const char *at = value + 10;
	bool good = !strncmp(value, "translate=", 10);

	if (!good)
		return FAIL(-EINVAL,
			    "'%.40s' cannot be logged; there is translate=ADDR[-ADDR][,FILE]",
			    value);
	good = address_parse(&at, &log->first);
	log->last = log->first;
	if (good && *at == '-') {
		at++;
		good = address_parse(&at, &log->last);
	}
	if (!good || (*at && *at != ','))
		return FAIL(-EINVAL,
			    "'%.60s': after translate= stands a hexadecimal guest address or two, "
			    "such as ffffffff81000000-ffffffff81000fff",
			    value);
	if (log->first > log->last)
		return FAIL(-EINVAL, "'%.60s': the second address is below the first", value);
	if (log->translate)
		return FAIL(-EINVAL, "translate= is given twice; one range of addresses is all");
	log->translate = true;
	return *at ? path_set(&log->file, at + 1, dir) : 0;
}

int config_set_no_reboot(struct vm_config *config, const char *value, const char *dir unused_arg)
{
	return bool_parse(value, &config->no_reboot);
}

/* --- setters: what it boots ------------------------------------------------------------------- */

int config_set_kernel(struct vm_config *config, const char *value, const char *dir)
{
	return path_set(&config->kernel, value, dir);
}

int config_set_initrd(struct vm_config *config, const char *value, const char *dir)
{
	return path_set(&config->initrd, value, dir);
}

int config_set_append(struct vm_config *config, const char *value, const char *dir unused_arg)
{
	char *joined;
	int err = words_check(value);

	if (err)
		return err;
	if (!config->append)
		return text_set(&config->append, value);
	if (asprintf(&joined, "%s %s", config->append, value) < 0)
		return FAIL(-ENOMEM, "out of memory");
	free(config->append);
	config->append = joined;
	return 0;
}

int config_set_cmdline(struct vm_config *config, const char *value, const char *dir unused_arg)
{
	int err = words_check(value);

	return err ? err : text_set(&config->cmdline, value);
}

/* --- setters: disks, console ------------------------------------------------------------------ */

int config_add_disk(struct vm_config *config, const char *file, bool readonly, const char *serial,
		    const char *dir)
{
	struct config_disk *disk;
	int err;

	if (config->disks == CONFIG_DISKS_MAX)
		return FAIL(-EINVAL, "too many disks; a machine can have %u", CONFIG_DISKS_MAX);
	if (serial && (!*serial || strlen(serial) > CONFIG_SERIAL_MAX))
		return FAIL(-EINVAL, "a disk's serial has 1 to %u characters", CONFIG_SERIAL_MAX);
	for (const char *p = serial; p && *p; p++)
		if ((u8)*p <= 0x20 || (u8)*p >= 0x7f)
			return FAIL(-EINVAL, "a disk's serial is printable ASCII without blanks");
	disk = &config->disk[config->disks];
	memset(disk, 0, sizeof(*disk));
	disk->readonly = readonly;
	err = path_set(&disk->file, file, dir);
	if (!err && serial)
		err = text_set(&disk->serial, serial);
	if (err) {
		free(disk->file);
		return err;
	}
	config->disks++;
	return 0;
}

/* FILE[,ro][,serial=S]: words are taken from the end, so that a name may hold commas. */
int config_set_disk(struct vm_config *config, const char *value, const char *dir)
{
	char *file = strdup(value), *comma;
	const char *serial = NULL;
	bool readonly = false;
	int err;

	if (!file)
		return FAIL(-ENOMEM, "out of memory");
	while ((comma = strrchr(file, ','))) {
		if (!strcmp(comma + 1, "ro"))
			readonly = true;
		else if (!strncmp(comma + 1, "serial=", 7))
			serial = comma + 8;
		else
			break;
		*comma = '\0';
	}
	err = config_add_disk(config, file, readonly, serial, dir);
	free(file);
	return err;
}

int config_set_console(struct vm_config *config, const char *value, const char *dir)
{
	enum config_console_kind kind = CONFIG_CONSOLE_FILE;
	int err;

	if (!strcmp(value, "stdio"))
		kind = CONFIG_CONSOLE_STDIO;
	else if (!strcmp(value, "none"))
		kind = CONFIG_CONSOLE_NONE;
	else if (!strncmp(value, "unix:", 5))
		kind = CONFIG_CONSOLE_UNIX;
	if (kind == CONFIG_CONSOLE_UNIX || kind == CONFIG_CONSOLE_FILE) {
		err = path_set(&config->console_path,
			       kind == CONFIG_CONSOLE_UNIX ? value + 5 : value, dir);
		if (err)
			return err;
	}
	if (kind == CONFIG_CONSOLE_UNIX && strlen(config->console_path) > UNIX_PATH_MAX)
		return FAIL(-EINVAL, "the socket's path is longer than %u bytes", UNIX_PATH_MAX);
	config->console = kind;
	return 0;
}

int config_set_console_device(struct vm_config *config, const char *value,
			      const char *dir unused_arg)
{
	if (strcmp(value, "serial") && strcmp(value, "virtio"))
		return FAIL(-EINVAL, "'%.40s' is not a console device; there are serial and virtio",
			    value);
	config->console_virtio = !strcmp(value, "virtio");
	return 0;
}

int config_note_source(struct vm_config *config, const char *path)
{
	return text_set(&config->source, path);
}

/* --- the whole -------------------------------------------------------------------------------- */

static const char *cmdline_base(const struct vm_config *config)
{
	if (config->cmdline)
		return config->cmdline;
	return config->console_virtio ? "console=hvc0" : "console=ttyS0";
}

static bool path_is(const char *path, u64 dev, u64 ino)
{
	struct stat st;

	return path && !stat(path, &st) && st.st_dev == dev && st.st_ino == ino;
}

const char *config_own_file(const struct vm_config *config, u64 dev, u64 ino)
{
	const char *const path[] = {config->source, config->kernel, config->initrd};

	for (size_t i = 0; i < ARRAY_LEN(path); i++)
		if (path_is(path[i], dev, ino))
			return path[i];
	for (unsigned i = 0; i < config->disks; i++)
		if (path_is(config->disk[i].file, dev, ino))
			return config->disk[i].file;
	return NULL;
}

int config_check(const struct vm_config *config)
{
	size_t len =
		strlen(cmdline_base(config)) + (config->append ? strlen(config->append) + 1 : 0);

	if (!config->kernel)
		return FAIL(-EINVAL, "no kernel is named; give --kernel FILE, or a VM file with a "
				     "'kernel:' line by -f");
	if (len > CONFIG_CMDLINE_MAX)
		return FAIL(-EINVAL, "the kernel command line has %zu bytes; %u is the most", len,
			    CONFIG_CMDLINE_MAX);
	return 0;
}

void config_cmdline(const struct vm_config *config, char out[CONFIG_CMDLINE_MAX + 1])
{
	const char *base = cmdline_base(config);

	if (config->append && *config->append)
		snprintf(out, CONFIG_CMDLINE_MAX + 1, "%s%s%s", base, *base ? " " : "",
			 config->append);
	else
		snprintf(out, CONFIG_CMDLINE_MAX + 1, "%s", base);
}
