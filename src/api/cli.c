/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: our own small argument parser, because getopt cannot say which flags a verb knows or which
 * one was meant.
 *
 * Entered by: prog's main, once. Owns the struct cli's config. Trusts nothing on the command line.
 */
#include "api/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/vmfile.h"
#include "host/fail.h"

/* --- types ------------------------------------------------------------------------------------ */

/* One flag as given; kept until the VM file, which it overrides, has been read. */
struct cli_given {
	const struct option_row *option;
	const char *value;
	bool by_letter;
};

struct cli_args {
	int argc;
	char **argv;
	int at;
	struct cli_given *given;
	size_t count;
};

/* --- the flags that are not part of a machine ------------------------------------------------- */

static int cli_set_file(struct cli *cli, const char *value)
{
	cli->file = value;
	return 0;
}

static int cli_set_no_jail(struct cli *cli, const char *value unused_arg)
{
	cli->config.no_jail = true;
	return 0;
}

static int cli_set_json(struct cli *cli, const char *value)
{
	if (value && !*value)
		return FAIL(-EINVAL, "the file name is empty");
	cli->json = true;
	cli->json_path = value;
	return 0;
}

static int cli_set_verbose(struct cli *cli, const char *value unused_arg)
{
	cli->verbose++;
	return 0;
}

static int cli_set_watch(struct cli *cli, const char *value)
{
	size_t len = strlen(value);
	double seconds = strspn(value, "0123456789.") == len && len < 16 ? strtod(value, NULL) : 0;

	if (!(seconds >= 0.1 && seconds <= 3600))
		return FAIL(-EINVAL, "'%.40s' is not a number of seconds; write 0.1 to 3600",
			    value);
	cli->watch_ms = (u32)(seconds * 1000 + 0.5);
	return 0;
}

static int cli_set_help(struct cli *cli, const char *value unused_arg)
{
	cli->help = true;
	return 0;
}

/* --- tables ----------------------------------------------------------------------------------- */

const struct verb_row verb_table[VERB_COUNT] = {
#define VERB(id, name, operands, summary) {name, operands, summary},
#include "api/verbs.def"
#undef VERB
};

#define SET_CLI(setter)	  NULL, cli_set_##setter
#define SET_TEXT(setter)  config_set_##setter, NULL
#define SET_PATH(setter)  config_set_##setter, NULL
#define SET_COUNT(setter) config_set_##setter, NULL
#define SET_SIZE(setter)  config_set_##setter, NULL
#define SET_BOOL(setter)  config_set_##setter, NULL
#define SET_LIST(setter)  config_set_##setter, NULL

const struct option_row option_table[] = {
#define OPTION(verbs, flag, letter, arg, key, kind, setter, help)                                  \
	{verbs, flag, letter, arg, key, OPTION_##kind, SET_##kind(setter), help},
#include "api/options.def"
#undef OPTION
};
const size_t option_count = ARRAY_LEN(option_table);

const struct exit_row exit_table[] = {
#define EXIT_CODE(id, code, name, text) {code, name, text},
#include "api/exit.def"
#undef EXIT_CODE
};
const size_t exit_count = ARRAY_LEN(exit_table);

#define EXIT_CODE(id, code, name, text)                                                            \
	_Static_assert((code) >= 0 && (code) < 92, "exit codes stay below 124");
#include "api/exit.def"
#undef EXIT_CODE

const struct option_row *option_by_flag(const char *flag, size_t len)
{
	for (size_t i = 0; i < option_count; i++)
		if (strlen(option_table[i].flag) == len && !memcmp(option_table[i].flag, flag, len))
			return &option_table[i];
	return NULL;
}

const struct option_row *option_by_letter(char letter)
{
	for (size_t i = 0; i < option_count; i++)
		if (letter && option_table[i].letter == letter)
			return &option_table[i];
	return NULL;
}

const struct option_row *option_by_key(const char *key)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].key && !strcmp(option_table[i].key, key))
			return &option_table[i];
	return NULL;
}

const char *exit_name(int code)
{
	if (code >= EXIT_DEBUG_EXIT && code < EXIT_DEBUG_EXIT + 32)
		code = EXIT_DEBUG_EXIT;
	for (size_t i = 0; i < exit_count; i++)
		if (exit_table[i].code == code)
			return exit_table[i].name;
	return "unknown";
}

/* --- what was meant --------------------------------------------------------------------------- */

/* Edit distance, both texts short; 99 when hopeless. */
static unsigned text_distance(const char *a, size_t len_a, const char *b)
{
	unsigned row[24], diagonal, keep;
	size_t len_b = strlen(b);

	if (len_a >= 23 || len_b >= 23)
		return 99;
	for (unsigned j = 0; j <= len_b; j++)
		row[j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= len_b; j++) {
			keep = row[j];
			row[j] = diagonal + (a[i - 1] != b[j - 1]);
			if (row[j] > keep + 1)
				row[j] = keep + 1;
			if (row[j] > row[j - 1] + 1)
				row[j] = row[j - 1] + 1;
			diagonal = keep;
		}
	}
	return row[len_b];
}

static int fail_unknown_flag(enum verb verb, const char *text, size_t len)
{
	const char *best = NULL;
	unsigned least = 3, distance;

	for (size_t i = 0; i < option_count; i++) {
		if (!(option_table[i].verbs & (1u << verb)))
			continue;
		distance = text_distance(text, len, option_table[i].flag);
		if (len > 2 && !strncmp(text, option_table[i].flag, len))
			distance = 0; /* only its beginning */
		if (distance < least) {
			least = distance;
			best = option_table[i].flag;
		}
	}
	if (best)
		return FAIL(-EINVAL, "unknown flag --%.*s; did you mean --%s?",
			    len > 40 ? 40 : (int)len, text, best);
	return FAIL(-EINVAL, "unknown flag --%.*s; 'holm %s --help' lists the known ones",
		    len > 40 ? 40 : (int)len, text, verb_table[verb].name);
}

/* --- parsing ---------------------------------------------------------------------------------- */

static int verb_find(const char *name, enum verb *out)
{
	for (unsigned i = 0; i < VERB_COUNT; i++) {
		if (!strcmp(verb_table[i].name, name)) {
			*out = (enum verb)i;
			return 0;
		}
	}
	return FAIL(-EINVAL, "unknown verb '%.40s'; 'holm help' lists the known ones", name);
}

static int args_value(struct cli_args *args, const struct option_row *option, const char *name,
		      const char *attached, const char **value)
{
	*value = attached;
	if (!option->arg && attached)
		return FAIL(-EINVAL, "%s takes no value", name);
	if (!option->arg || option->arg[0] == '=' || attached)
		return 0;
	if (args->at >= args->argc)
		return FAIL(-EINVAL, "%s needs a value: %s", name, option->arg);
	*value = args->argv[args->at++];
	return 0;
}

static int args_long(struct cli_args *args, enum verb verb, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : strlen(text);
	const struct option_row *option = option_by_flag(text, len);
	char name[40];
	struct cli_given *given;

	if (!option || !(option->verbs & (1u << verb)))
		return fail_unknown_flag(verb, text, len);
	snprintf(name, sizeof(name), "--%s", option->flag);
	given = &args->given[args->count++];
	given->option = option;
	return args_value(args, option, name, equals ? equals + 1 : NULL, &given->value);
}

/* -c 4, -c4, -vv */
static int args_short(struct cli_args *args, enum verb verb, const char *text)
{
	const struct option_row *option;
	struct cli_given *given;
	char name[3] = "-?";

	for (; *text; text++) {
		option = option_by_letter(*text);
		name[1] = *text;
		if (!option || !(option->verbs & (1u << verb)))
			return FAIL(-EINVAL,
				    "unknown flag -%c; 'holm %s --help' lists the known ones",
				    *text, verb_table[verb].name);
		given = &args->given[args->count++];
		given->option = option;
		given->by_letter = true;
		given->value = NULL;
		if (option->arg)
			return args_value(args, option, name, text[1] ? text + 1 : NULL,
					  &given->value);
	}
	return 0;
}

static int args_operand(struct cli *cli, const char *text)
{
	if (!*verb_table[cli->verb].operands)
		return FAIL(-EINVAL, "'%.40s': holm %s takes no operand", text,
			    verb_table[cli->verb].name);
	if (cli->operand)
		return FAIL(-EINVAL, "'%.40s': one operand is enough, '%.40s' was given", text,
			    cli->operand);
	cli->operand = text;
	return 0;
}

static int args_read(struct cli *cli, struct cli_args *args)
{
	bool flags_over = false;
	int err = 0;

	while (!err && args->at < args->argc) {
		const char *text = args->argv[args->at++];

		if (flags_over || text[0] != '-' || !text[1])
			err = args_operand(cli, text);
		else if (!strcmp(text, "--"))
			flags_over = true;
		else if (text[1] == '-')
			err = args_long(args, cli->verb, text + 2);
		else
			err = args_short(args, cli->verb, text + 1);
	}
	return err;
}

static int given_apply(struct cli *cli, const struct cli_given *given)
{
	const struct option_row *option = given->option;
	char sentence[FAIL_TEXT];
	int err;

	if (option->set_cli)
		err = option->set_cli(cli, given->value);
	else
		err = option->set(&cli->config, option->arg ? given->value : "true", NULL);
	if (!err)
		return 0;
	snprintf(sentence, sizeof(sentence), "%s", fail_text());
	if (given->by_letter)
		return FAIL(err, "-%c: %s", option->letter, sentence);
	return FAIL(err, "--%s: %s", option->flag, sentence);
}

/* The VM file first, then what the flags say over it. */
static int given_apply_all(struct cli *cli, const struct cli_args *args)
{
	char *path = NULL;
	int err = 0;

	for (size_t i = 0; i < args->count && !err; i++)
		if (args->given[i].option->set_cli)
			err = given_apply(cli, &args->given[i]);
	if (!err && cli->json_path && cli->verb != VERB_RUN)
		err = FAIL(-EINVAL, "--json: holm %s prints to stdout; give it without =FILE",
			   verb_table[cli->verb].name);
	if (err || cli->help || cli->verb != VERB_RUN)
		return err;
	if (cli->file && cli->operand)
		return FAIL(-EINVAL, "both NAME '%.64s' and -f are given; give one", cli->operand);
	if (cli->operand) {
		path = cli_name_path(cli->operand);
		if (!path)
			return -EINVAL;
		err = config_set_name(&cli->config, cli->operand, NULL);
	}
	if (path && access(path, F_OK) && errno == ENOENT)
		err = FAIL(-ENOENT,
			   "there is no machine '%.64s': write %.300s, or give a file by -f",
			   cli->operand, path);
	if (!err && (path || cli->file))
		err = vmfile_load(&cli->config, path ? path : cli->file);
	free(path);
	for (size_t i = 0; i < args->count && !err; i++)
		if (!args->given[i].option->set_cli)
			err = given_apply(cli, &args->given[i]);
	return err ? err : config_check(&cli->config);
}

char *cli_name_path(const char *name)
{
	const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char *path;
	int len;

	if (!*name || *name == '.' || strchr(name, '/')) {
		FAIL(-EINVAL, "'%.64s' is not a machine's name; give a file by -f %.64s", name,
		     name);
		return NULL;
	}
	if (base && base[0] == '/')
		len = asprintf(&path, "%s/holm/%s.yaml", base, name);
	else if (home && *home)
		len = asprintf(&path, "%s/.config/holm/%s.yaml", home, name);
	else {
		FAIL(-EINVAL,
		     "neither XDG_CONFIG_HOME nor HOME is set, so '%.64s' cannot be "
		     "looked up; give a file by -f",
		     name);
		return NULL;
	}
	if (len < 0) {
		FAIL(-ENOMEM, "out of memory");
		return NULL;
	}
	return path;
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
	struct cli_args args = {.argc = argc, .argv = argv, .at = 2};
	size_t room = 1;
	int err;

	memset(cli, 0, sizeof(*cli));
	err = config_open(&cli->config);
	if (err)
		return err;
	if (argc < 2)
		return FAIL(-EINVAL, "no verb is given; 'holm help' lists them");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		cli->verb = VERB_HELP;
		return 0;
	}
	if (!strcmp(argv[1], "--version"))
		argv[1] += 2;
	err = verb_find(argv[1], &cli->verb);
	if (err)
		return err;
	for (int i = 2; i < argc; i++)
		room += strlen(argv[i]) + 1;
	args.given = calloc(room, sizeof(*args.given));
	if (!args.given)
		return FAIL(-ENOMEM, "out of memory");
	err = args_read(cli, &args);
	if (!err)
		err = given_apply_all(cli, &args);
	free(args.given);
	return err;
}

void cli_close(struct cli *cli)
{
	config_close(&cli->config);
}
