/* SPDX-License-Identifier: Apache-2.0 */
/*
 * help: what --help prints and what the man pages list, from the same tables as the parser.
 *
 * Entered by: prog (stdout), the man page generator. Const; writes to the stream it is given.
 *
 * Context: any.
 */
#ifndef API_HELP_H
#define API_HELP_H

#include <stdio.h>

#include "api/options.h"

/* `holm help`: verbs, examples, where to read on. */
void help_write(FILE *out);

/* `holm VERB --help`. */
void help_write_verb(FILE *out, enum verb verb);

/* Parts of the man pages in roff: which is "options", "stats", "metrics", "keys" or "exits";
 * -EINVAL for another. */
int help_write_roff(FILE *out, const char *which);

#endif
