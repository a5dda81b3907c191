/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manpage: fills a man page's list lines from the tables of api. Build tool, not installed.
 *
 * A line `.\" @options@` (or @keys@, @exits@) of stdin is replaced by that list; the first
 * @VERSION@ and @DATE@ of a line by the arguments. Usage: manpage VERSION DATE < holm.1 > out.
 */
#include <stdio.h>
#include <string.h>

#include "api/help.h"

static void word_replace(char *line, size_t size, const char *word, const char *with)
{
	char *at = strstr(line, word), rest[1024];

	if (!at)
		return;
	snprintf(rest, sizeof(rest), "%s", at + strlen(word));
	snprintf(at, size - (size_t)(at - line), "%s%s", with, rest);
}

int main(int argc, char **argv)
{
	char line[1024], which[32];

	if (argc != 3)
		return 2;
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, ".\\\" @%31[a-z]@", which) == 1) {
			if (help_write_roff(stdout, which))
				return 2;
		} else {
			word_replace(line, sizeof(line), "@VERSION@", argv[1]);
			word_replace(line, sizeof(line), "@DATE@", argv[2]);
			fputs(line, stdout);
		}
	}
	return ferror(stdout) ? 1 : 0;
}
