/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: the VM file and the command line, from bytes.
 *
 * Input: one byte that chooses, then text: a VM file, or words of a command line with a line feed
 * between them. Whatever is accepted must hold together; whatever is refused must say why.
 */
#include <stdlib.h>

#include "api/cli.h"
#include "api/vmfile.h"
#include "board/ram.h"
#include "fuzz.h"
#include "host/fail.h"

#define WORDS_MAX 64

/* What every accepted machine has, however it was described. */
static void check_config(const struct vm_config *config)
{
	char cmdline[CONFIG_CMDLINE_MAX + 1];

	if (config_check(config)) {
		ASSERT(fail_text()[0], "refused without a sentence");
		return;
	}
	config_cmdline(config, cmdline);
	ASSERT(strlen(cmdline) <= CONFIG_CMDLINE_MAX, "the command line is too long");
	ASSERT(config->name && config->kernel && config->kernel[0], "no name or kernel");
	ASSERT(config->cpus && config->cpus <= CONFIG_CPUS_MAX, "impossible number of CPUs");
	ASSERT(config->memory >= CONFIG_MEMORY_MIN && config->memory <= CONFIG_MEMORY_MAX &&
		       !(config->memory & (RAM_PAGE - 1)),
	       "impossible size of memory");
	ASSERT(config->disks <= CONFIG_DISKS_MAX, "too many disks");
	for (unsigned i = 0; i < config->disks; i++)
		ASSERT(config->disk[i].file && config->disk[i].file[0] &&
			       (!config->disk[i].serial ||
				strlen(config->disk[i].serial) <= CONFIG_SERIAL_MAX),
		       "an impossible disk");
	ASSERT((config->console != CONFIG_CONSOLE_FILE && config->console != CONFIG_CONSOLE_UNIX) ||
		       config->console_path,
	       "a console without its path");
}

static void try_file(const u8 *data, size_t size)
{
	struct vm_config config;
	/* of exactly that size, and not ended by a zero */
	char *text = malloc(size ? size : 1);

	ASSERT(text && !config_open(&config), "out of memory");
	if (size)
		memcpy(text, data, size);
	fail_clear();
	if (vmfile_parse(&config, "/etc/vm/web.yaml", text, size))
		ASSERT(strstr(fail_text(), "web.yaml"), "refused without the file's name");
	else
		check_config(&config);
	config_close(&config);
	free(text);
}

/* Each word in memory of its own, as long as it is. */
static int split(const u8 *data, size_t size, char **argv)
{
	int argc = 0;

	argv[argc++] = strdup("holm");
	while (size && argc < WORDS_MAX - 1) {
		const u8 *end = memchr(data, '\n', size);
		size_t len = end ? (size_t)(end - data) : size;

		argv[argc++] = strndup((const char *)data, len);
		len += end ? 1 : 0;
		data += len;
		size -= len;
	}
	argv[argc] = NULL;
	return argc;
}

/* A VM file named on it would be read: only those that cannot be there. */
static bool reads_files(char **argv)
{
	for (; *argv; argv++)
		if (strstr(*argv, "/dev") || strstr(*argv, "/proc") || strstr(*argv, "/sys"))
			return true;
	return false;
}

static void try_line(const u8 *data, size_t size)
{
	char *argv[WORDS_MAX], *keep[WORDS_MAX];
	int argc = split(data, size, argv);
	struct cli cli;

	memcpy(keep, argv, sizeof(keep));
	if (!reads_files(argv)) {
		fail_clear();
		if (cli_parse(&cli, argc, argv))
			ASSERT(fail_text()[0], "refused without a sentence");
		else if (cli.verb == VERB_RUN && !cli.help)
			check_config(&cli.config);
		cli_close(&cli);
	}
	for (int i = 0; i < argc; i++)
		free(keep[i]);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static bool ready;

	if (!ready) {
		/* machines by name are looked up where none are */
		setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
		ready = true;
	}
	if (!size)
		return 0;
	if (data[0] & 1)
		try_line(data + 1, size - 1);
	else
		try_file(data + 1, size - 1);
	return 0;
}
