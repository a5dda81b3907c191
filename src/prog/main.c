/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main: the holm command.
 *
 * Reads what is wanted (api), does it (vm), says how it went (report, exit code). For `holm run`
 * this process becomes the VM process: what it needs a path for is opened before vm_run.
 *
 * Trusts nothing it is started with: closed standard descriptors are filled first, so that no disk
 * image can end up as stdout.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/cli.h"
#include "api/help.h"
#include "host/fail.h"
#include "host/log.h"
#include "prog/report.h"
#include "prog/stats.h"
#include "vm/vm.h"

/* --- helpers ---------------------------------------------------------------------------------- */

/* 0, 1 and 2 are open after this. stdout and stderr as a full device: what is said is lost, like
 * the user wanted. */
static void standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int say_error(int err)
{
	log_line(LOG_ERROR, "%s", *fail_text() ? fail_text() : strerror(-err));
	return vm_exit_code(err);
}

/* --- verbs ------------------------------------------------------------------------------------ */

static int do_doctor(const struct cli *cli)
{
	struct doctor doctor;
	int err;

	doctor_read(&doctor);
	err = report_doctor(&doctor, cli->json);
	if (err)
		return say_error(err);
	return doctor.best ? EXIT_POWEROFF : EXIT_HOST;
}

static int do_version(const struct cli *cli)
{
	int err = report_version(cli->json);

	return err ? say_error(err) : EXIT_POWEROFF;
}

static int do_help(const struct cli *cli)
{
	int err;

	for (unsigned verb = 0; cli->operand && verb < VERB_COUNT; verb++) {
		if (strcmp(verb_table[verb].name, cli->operand))
			continue;
		help_write_verb(stdout, (enum verb)verb);
		err = report_end();
		return err ? say_error(err) : EXIT_POWEROFF;
	}
	if (cli->operand) {
		FAIL(-EINVAL, "unknown verb '%.40s'; 'holm help' lists the known ones",
		     cli->operand);
		return say_error(-EINVAL);
	}
	help_write(stdout);
	err = report_end();
	return err ? say_error(err) : EXIT_POWEROFF;
}

/* --- run -------------------------------------------------------------------------------------- */

/* Where --json goes. The file is created now, while paths can still be reached, and written at the
 * end; if the machine never starts, a file we made is removed again. */
struct run_json {
	FILE *stream;
	const char *path;
	bool created;
};

/* The file is emptied later: it must not be one that the machine or its console uses. */
static int json_check(const struct run_json *json, const struct vm_config *config)
{
	const char *clash;
	struct stat own, console;
	int none = -1;

	if (fstat(fileno(json->stream), &own) || S_ISCHR(own.st_mode))
		return 0;
	clash = config_own_file(config, own.st_dev, own.st_ino);
	if (config->console == CONFIG_CONSOLE_STDIO)
		none = fstat(STDOUT_FILENO, &console);
	else if (config->console == CONFIG_CONSOLE_FILE)
		none = stat(config->console_path, &console);
	if (!clash && !none && console.st_dev == own.st_dev && console.st_ino == own.st_ino)
		clash = json->path;
	if (!clash)
		return 0;
	return FAIL(-EINVAL,
		    "--json: '%.200s' is also one of the machine's files or its console; name "
		    "another",
		    clash);
}

static int json_open(struct run_json *json, const struct cli *cli)
{
	int fd;

	if (!cli->json)
		return 0;
	json->stream = stderr;
	if (!cli->json_path)
		return 0;
	json->path = cli->json_path;
	json->created = true;
	fd = open(json->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd < 0 && errno == EEXIST) {
		json->created = false;
		fd = open(json->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	}
	json->stream = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (json->stream)
		return json_check(json, &cli->config);
	return FAIL(-errno, "--json: cannot write '%.200s': %s", json->path, strerror(errno));
}

/* The machine is there: what an earlier run wrote goes, before the jail that would forbid it. */
static int json_empty(struct run_json *json)
{
	struct stat st;

	/* a terminal, pipe or /dev/null is written to as it is */
	if (!json->path || fstat(fileno(json->stream), &st) || !S_ISREG(st.st_mode) ||
	    !ftruncate(fileno(json->stream), 0))
		return 0;
	return FAIL(-errno, "--json: cannot empty '%.200s': %s", json->path, strerror(errno));
}

/* -EIO when the report is not where it was asked to be. */
static int json_close(struct run_json *json, const char *name, const struct vm_outcome *outcome,
		      bool started)
{
	int err = 0;

	if (!json->stream)
		return 0;
	if (json->path && !started && json->created)
		unlink(json->path);
	else if (!json->path || started)
		err = report_outcome(name, outcome, json->stream);
	if (json->path)
		fclose(json->stream);
	return err;
}

/* The sentence a run ends with; nothing when the guest just powered off. */
static void say_outcome(const struct vm_outcome *outcome)
{
	if (outcome->error[0])
		log_line(LOG_ERROR, "%s", outcome->error);
	else
		log_line(LOG_INFO, "ended: %s (code %d)", exit_name(outcome->code), outcome->code);
}

/* err: what cli_parse found; who asked for JSON gets that, too, as JSON. */
static int do_run(struct cli *cli, int err)
{
	struct vm_outcome outcome;
	struct run_json json = {.stream = cli->json && !cli->json_path ? stderr : NULL};
	struct vm *vm = NULL;
	bool started = false;

	memset(&outcome, 0, sizeof(outcome));
	if (!err)
		err = json_open(&json, cli);
	if (!err)
		err = vm_open(&cli->config, &vm);
	if (!err)
		err = json_empty(&json);
	if (!err) {
		started = true;
		vm_run(vm, &outcome);
	} else {
		outcome.code = vm_exit_code(err);
		snprintf(outcome.error, sizeof(outcome.error), "%s",
			 *fail_text() ? fail_text() : strerror(-err));
	}
	vm_close(vm);
	say_outcome(&outcome);
	if (!json_close(&json, cli->config.name, &outcome, started))
		return outcome.code;
	log_line(LOG_ERROR, "%s", fail_text());
	return outcome.code ? outcome.code : EXIT_HOST;
}

/* --- main ------------------------------------------------------------------------------------- */

static int do_verb(struct cli *cli)
{
	int err;

	if (cli->help && cli->verb != VERB_HELP) {
		help_write_verb(stdout, cli->verb);
		err = report_end();
		return err ? say_error(err) : EXIT_POWEROFF;
	}
	switch (cli->verb) {
	case VERB_RUN: return do_run(cli, 0);
	case VERB_STATS: return stats_do(cli);
	case VERB_DOCTOR: return do_doctor(cli);
	case VERB_VERSION: return do_version(cli);
	default: return do_help(cli);
	}
}

int main(int argc, char **argv)
{
	struct cli cli;
	int err, code;

	standard_fds();
	err = cli_parse(&cli, argc, argv);
	if (cli.verbose)
		log_set_level(cli.verbose > 1 ? LOG_DEBUG : LOG_INFO);
	if (err && cli.verb == VERB_RUN)
		code = do_run(&cli, err);
	else
		code = err ? say_error(err) : do_verb(&cli);
	cli_close(&cli);
	return code;
}
