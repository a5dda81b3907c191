/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manpage: fills a man page's list lines from the tables of api. Build tool, not installed.
 *
 * A line `.\" @options@` (or @keys@, @exits@) of stdin is replaced by that list; @VERSION@ in any
 * line by the version. Usage: manpage VERSION < holm.1 > out.
 */
#include <stdio.h>
#include <string.h>

#include "api/help.h"

static void line_write(const char *line, const char *version)
{
	const char *at = strstr(line, "@VERSION@");

	if (!at) {
		fputs(line, stdout);
		return;
	}
	printf("%.*s%s%s", (int)(at - line), line, version, at + strlen("@VERSION@"));
}

int main(int argc, char **argv)
{
	char line[1024], which[32];

	if (argc != 2)
		return 2;
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, ".\\\" @%31[a-z]@", which) == 1) {
			if (help_write_roff(stdout, which))
				return 2;
		} else {
			line_write(line, argv[1]);
		}
	}
	return ferror(stdout) ? 1 : 0;
}
