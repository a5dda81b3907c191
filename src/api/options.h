/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: the rows of options.def, verbs.def and exit.def as C.
 *
 * Entered by: cli.c, vmfile.c, help.c; prog and vm for the enums. Const tables only.
 *
 * Context: any.
 */
#ifndef API_OPTIONS_H
#define API_OPTIONS_H

#include "lib/types.h"

enum verb {
#define VERB(id, name, operands, summary) VERB_##id,
#include "api/verbs.def"
#undef VERB
	VERB_COUNT
};

enum verb_bit {
#define VERB(id, name, operands, summary) V_##id = 1 << VERB_##id,
#include "api/verbs.def"
#undef VERB
};

enum exit_code {
#define EXIT_CODE(id, code, name, text) EXIT_##id = (code),
#include "api/exit.def"
#undef EXIT_CODE
};

struct verb_row {
	const char *name;
	const char *operands;
	const char *summary;
};

struct exit_row {
	int code;
	const char *name;
	const char *text;
};

/* What the VM file accepts for a key; OPTION_CLI is not a key. */
enum option_kind {
	OPTION_CLI,
	OPTION_TEXT,
	OPTION_PATH,
	OPTION_COUNT,
	OPTION_SIZE,
	OPTION_BOOL,
	OPTION_LIST,
};

struct cli;
struct vm_config;

struct option_row {
	unsigned verbs;	  /* enum verb_bit */
	const char *flag; /* without the dashes */
	char letter;	  /* 0: none */
	const char *arg;  /* NULL: takes none */
	const char *key;  /* in the VM file; NULL: not there */
	enum option_kind kind;
	int (*set)(struct vm_config *config, const char *value, const char *dir);
	int (*set_cli)(struct cli *cli, const char *value);
	const char *help;
};

extern const struct verb_row verb_table[VERB_COUNT];
extern const struct option_row option_table[];
extern const size_t option_count;
extern const struct exit_row exit_table[];
extern const size_t exit_count;

/* NULL if none is named so. */
const struct option_row *option_by_flag(const char *flag, size_t len);
const struct option_row *option_by_letter(char letter);
const struct option_row *option_by_key(const char *key);
/* "poweroff", "panic", ... for a code of exit.def; codes 64 to 95 are "debug-exit". */
const char *exit_name(int code);

#endif
