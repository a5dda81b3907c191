/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: turns argv into a verb and a machine.
 *
 * Entered by: prog. Flags win over the VM file, in whatever order they stand. Nothing on the host
 * is changed; the only file read is the VM file.
 *
 * Context: one thread.
 */
#ifndef API_CLI_H
#define API_CLI_H

#include "api/config.h"
#include "api/options.h"
#include "lib/types.h"

struct cli {
	enum verb verb;
	struct vm_config config;
	const char *file;      /* of -f, or NULL */
	const char *operand;   /* NAME of run or stats, VERB of help, or NULL */
	const char *json_path; /* of --json=FILE, or NULL */
	bool json;
	bool help;
	unsigned verbose;
	u32 watch_ms; /* of --watch, 0: once */
};

/* 0, or -errno with a sentence to print after "holm: ". cli_close in both cases. */
int cli_parse(struct cli *cli, int argc, char **argv);
void cli_close(struct cli *cli);

/* The file `holm run NAME` reads: $XDG_CONFIG_HOME/holm/NAME.yaml. To be freed; NULL with a
 * sentence. */
char *cli_name_path(const char *name);

#endif
