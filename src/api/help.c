/* SPDX-License-Identifier: Apache-2.0 */
/*
 * help: prints the tables of options.h for people and for man.
 *
 * Entered by: `holm help`, `holm VERB --help`, and the generator of the man pages. Owns nothing.
 */
#include "api/help.h"

#include <errno.h>
#include <string.h>

#include "host/metrics.h"

#define HELP_COLUMN 31
#define HELP_WIDTH  96

/* --- examples --------------------------------------------------------------------------------- */

static const char help_examples[] =
	"Examples:\n"
	"  holm run --kernel vmlinuz --initrd initrd.img          a guest on this terminal\n"
	"  holm run --kernel vmlinuz --initrd initrd.img -c 2 -m 2G --append quiet\n"
	"  holm run --kernel vmlinuz --append root=/dev/vda1 --disk debian.raw\n"
	"  holm run -f web.yaml --console unix:/run/user/1000/web.sock\n"
	"  holm run web                                           ~/.config/holm/web.yaml\n"
	"  holm stats                                             what runs, and what it takes\n"
	"  holm doctor                                            what this host offers\n"
	"\n"
	"On a terminal, Ctrl-] then h lists the keys, Ctrl-] then q ends the machine.\n";

/* --- text ------------------------------------------------------------------------------------- */

/* Prints text from column `at` on, wrapped between HELP_COLUMN and HELP_WIDTH. */
static void help_wrap(FILE *out, const char *text, int at)
{
	int column = HELP_COLUMN;
	bool first = true;

	if (at >= HELP_COLUMN - 1) {
		fprintf(out, "\n");
		at = 0;
	}
	fprintf(out, "%*s", HELP_COLUMN - at, "");
	while (*text) {
		size_t len = strcspn(text, " ");

		if (!first && column + 1 + (int)len > HELP_WIDTH) {
			fprintf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
			first = true;
		}
		column += fprintf(out, "%s%.*s", first ? "" : " ", (int)len, text);
		first = false;
		text += len + (text[len] == ' ');
	}
	fprintf(out, "\n");
}

static void help_option(FILE *out, const struct option_row *option)
{
	char left[80];
	int at;

	at = snprintf(left, sizeof(left), "  %c%c%s --%s", option->letter ? '-' : ' ',
		      option->letter ? option->letter : ' ', option->letter ? "," : " ",
		      option->flag);
	if (option->arg)
		at += snprintf(left + at, sizeof(left) - (size_t)at,
			       option->arg[0] == '=' ? "[%s]" : " %s", option->arg);
	fprintf(out, "%s", left);
	help_wrap(out, option->help, at);
}

void help_write(FILE *out)
{
	fprintf(out,
		"Holm runs virtual machines.\n\nUsage: holm VERB [FLAG]... [OPERAND]\n\nVerbs:\n");
	for (unsigned i = 0; i < VERB_COUNT; i++)
		fprintf(out, "  %-8s %-10s  %s\n", verb_table[i].name, verb_table[i].operands,
			verb_table[i].summary);
	fprintf(out,
		"\n%s\n'holm VERB --help' lists a verb's flags; see also holm(1), holm-vm(5).\n",
		help_examples);
}

void help_write_verb(FILE *out, enum verb verb)
{
	const struct verb_row *row = &verb_table[verb];

	fprintf(out, "holm %s: %s.\n\nUsage: holm %s [FLAG]...%s%s\n\nFlags:\n", row->name,
		row->summary, row->name, *row->operands ? " " : "", row->operands);
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].verbs & (1u << verb))
			help_option(out, &option_table[i]);
	if (verb == VERB_STATS)
		fprintf(out, "\nNAME or PID shows all counters of one machine; without, each has a "
			     "line.\n");
	if (verb != VERB_RUN)
		return;
	fprintf(out,
		"\nNAME stands for $XDG_CONFIG_HOME/holm/NAME.yaml (~/.config/holm/NAME.yaml).\n"
		"Signals: SIGTERM, SIGINT and SIGHUP press the power button; a second one ends "
		"the machine.\n\n%s\nExit codes:\n",
		help_examples);
	for (size_t i = 0; i < exit_count; i++) {
		int at = fprintf(out, "  %3d  %s", exit_table[i].code, exit_table[i].name);

		help_wrap(out, exit_table[i].text, at);
	}
}

/* --- roff ------------------------------------------------------------------------------------- */

/* Escapes what roff would read as its own. */
static void roff_text(FILE *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (*p == '-')
			fputs("\\-", out);
		else if (*p == '\\')
			fputs("\\e", out);
		else if (*p == '\'' || *p == '.')
			fprintf(out, "\\&%c", *p);
		else
			fputc(*p, out);
	}
}

static void roff_flag(FILE *out, const struct option_row *option)
{
	fputs(".TP\n", out);
	if (option->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", option->letter);
	fputs("\\fB\\-\\-", out);
	roff_text(out, option->flag);
	fputs("\\fR", out);
	if (option->arg) {
		fputs(option->arg[0] == '=' ? "[" : " ", out);
		fputs("\\fI", out);
		roff_text(out, option->arg);
		fputs("\\fR", out);
		fputs(option->arg[0] == '=' ? "]" : "", out);
	}
	fputs("\n", out);
	roff_text(out, option->help);
	fputs(".\n", out);
}

static const char *kind_name(enum option_kind kind)
{
	static const char *const name[] = {"",	   "text",	    "file", "number",
					   "size", "true or false", "list"};

	return name[kind];
}

static void roff_key(FILE *out, const struct option_row *option)
{
	fputs(".TP\n\\fB", out);
	roff_text(out, option->key);
	fprintf(out, "\\fR (%s)\nAs \\fB\\-\\-", kind_name(option->kind));
	roff_text(out, option->flag);
	fputs("\\fR: ", out);
	roff_text(out, option->help);
	fputs(".\n", out);
}

static void roff_flags(FILE *out, enum verb_bit verb)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].verbs & verb)
			roff_flag(out, &option_table[i]);
}

static void roff_metrics(FILE *out)
{
	for (unsigned i = 0; i < metric_count; i++) {
		fprintf(out, ".TP\n\\fB%s\\fR\n", metric_table[i].name);
		roff_text(out, metric_table[i].text);
		fputs(metric_table[i].kind == METRIC_SIZE ? ", bytes.\n" : ".\n", out);
	}
}

int help_write_roff(FILE *out, const char *which)
{
	if (!strcmp(which, "options")) {
		roff_flags(out, V_RUN);
	} else if (!strcmp(which, "stats")) {
		roff_flags(out, V_STATS);
	} else if (!strcmp(which, "metrics")) {
		roff_metrics(out);
	} else if (!strcmp(which, "keys")) {
		for (size_t i = 0; i < option_count; i++)
			if (option_table[i].key)
				roff_key(out, &option_table[i]);
	} else if (!strcmp(which, "exits")) {
		for (size_t i = 0; i < exit_count; i++) {
			fprintf(out, ".TP\n\\fB%d\\fR\n", exit_table[i].code);
			roff_text(out, exit_table[i].text);
			fputs(".\n", out);
		}
	} else {
		return -EINVAL;
	}
	return 0;
}
