/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: what flags mean, that they win over the VM file, and what bad ones get.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "api/cli.h"
#include "api/help.h"
#include "host/fail.h"

#define WORDS_MAX 32

/* Splits at blanks; a quoted part stays whole. Changes text. */
static int words_split(char *text, char **argv)
{
	int argc = 0;

	argv[argc++] = (char *)"holm";
	for (char *p = strtok(text, " "); p && argc < WORDS_MAX - 1; p = strtok(NULL, " "))
		argv[argc++] = p;
	argv[argc] = NULL;
	return argc;
}

static int parse(struct cli *cli, char *text)
{
	char *argv[WORDS_MAX];
	int argc = words_split(text, argv);

	return cli_parse(cli, argc, argv);
}

static void test_flags(void **state)
{
	char text[] = "run --kernel k --initrd=i -c4 -m 2G --disk d.raw,ro --disk e --append a "
		      "--append b --console none --no-reboot --no-jail --json=out -vv --cpu v3-1";
	struct cli cli;

	(void)state;
	assert_int_equal(parse(&cli, text), 0);
	assert_int_equal(cli.verb, VERB_RUN);
	assert_string_equal(cli.config.kernel, "k");
	assert_string_equal(cli.config.initrd, "i");
	assert_int_equal(cli.config.cpus, 4);
	assert_int_equal(cli.config.memory, 2ull << 30);
	assert_int_equal(cli.config.disks, 2);
	assert_true(cli.config.disk[0].readonly);
	assert_string_equal(cli.config.append, "a b");
	assert_int_equal(cli.config.console, CONFIG_CONSOLE_NONE);
	assert_true(cli.config.no_reboot);
	assert_true(cli.config.no_jail);
	assert_true(cli.json);
	assert_string_equal(cli.json_path, "out");
	assert_int_equal(cli.verbose, 2);
	cli_close(&cli);
}

static void test_verbs(void **state)
{
	static const struct {
		const char *text;
		enum verb verb;
	} row[] = {
		{"doctor", VERB_DOCTOR},   {"doctor --json", VERB_DOCTOR},
		{"version", VERB_VERSION}, {"--version", VERB_VERSION},
		{"help", VERB_HELP},	   {"help run", VERB_HELP},
		{"--help", VERB_HELP},	   {"-h", VERB_HELP},
		{"run --help", VERB_RUN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char text[64];
		struct cli cli;

		snprintf(text, sizeof(text), "%s", row[i].text);
		assert_int_equal(parse(&cli, text), 0);
		assert_int_equal(cli.verb, row[i].verb);
		cli_close(&cli);
	}
}

static const struct {
	const char *text;
	const char *sentence;
} bad[] = {
	{"", "no verb is given; 'holm help' lists them"},
	{"rum", "unknown verb 'rum'"},
	{"run", "no kernel is named; give --kernel FILE"},
	{"run --kernle k", "unknown flag --kernle; did you mean --kernel?"},
	{"run --mem 1G", "unknown flag --mem; did you mean --memory?"},
	{"run --zzzzzzzz", "unknown flag --zzzzzzzz; 'holm run --help' lists"},
	{"run -x", "unknown flag -x; 'holm run --help' lists"},
	{"run --kernel", "--kernel needs a value: FILE"},
	{"run -m", "-m needs a value: SIZE"},
	{"run --no-reboot=yes --kernel k", "--no-reboot takes no value"},
	{"run --kernel k -m 512", "-m: '512' has no unit; write 512M or 512G"},
	{"run --kernel k -m 1K", "-m: '1K' is out of range"},
	{"run --kernel k -m 0", "-m: '0' is not a size; write 512M"},
	{"run --kernel k -m 1.5G", "-m: '1.5G' is not a size; write a whole number and K, M"},
	{"run --kernel k -m 99999999999999999999G", "is out of range; memory can be 16M to"},
	{"run --kernel k -c 99999999999999999999", "is out of range; it can be 1 to 64"},
	{"run --kernel k -c 0", "-c: '0' is out of range; it can be 1 to 64"},
	{"run --kernel k -c many", "-c: 'many' is not a whole number"},
	{"run --kernel k --cpus=-1", "--cpus: '-1' is not a whole number"},
	{"run --kernel= -c 1", "--kernel: the file name is empty"},
	{"run --kernel k --cpu 486", "--cpu: '486' is not a CPU model"},
	{"run --kernel k --machine pc", "--machine: 'pc' is not a machine"},
	{"run --kernel k --disk ,ro", "--disk: the file name is empty"},
	{"run --kernel k --disk d,serial=", "--disk: a disk's serial has 1 to 20"},
	{"run --kernel k --json=", "the file name is empty"},
	{"run a b", "'b': one operand is enough, 'a' was given"},
	{"run ../x", "'../x' is not a machine's name; give a file by -f ../x"},
	{"run a -f b", "both NAME 'a' and -f are given"},
	{"run -f /nowhere/x.yaml", "VM file '/nowhere/x.yaml': No such file or directory"},
	{"doctor --json=x", "--json: holm doctor prints to stdout; give it without =FILE"},
	{"doctor x", "'x': holm doctor takes no operand"},
	{"doctor --kernel k", "unknown flag --kernel"},
	{"version -c 1", "unknown flag -c"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char text[128];
		struct cli cli;

		snprintf(text, sizeof(text), "%s", bad[i].text);
		if (parse(&cli, text) >= 0)
			fail_msg("accepted: %s", bad[i].text);
		if (!strstr(fail_text(), bad[i].sentence))
			fail_msg("'%s' does not say '%s'", fail_text(), bad[i].sentence);
		assert_null(strchr(fail_text(), '\n'));
		cli_close(&cli);
	}
}

/* $XDG_CONFIG_HOME/holm/NAME.yaml, and flags over it in any order. */
static void test_name(void **state)
{
	char dir[] = "/tmp/holm-test-XXXXXX", path[128], text[128];
	struct cli cli;
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(dir));
	setenv("XDG_CONFIG_HOME", dir, 1);
	snprintf(path, sizeof(path), "mkdir %s/holm", dir);
	assert_int_equal(system(path), 0);
	snprintf(path, sizeof(path), "%s/holm/web.yaml", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("kernel: vmlinuz\ncpus: 2\nmemory: 1G\nappend: x\n", file);
	fclose(file);
	snprintf(text, sizeof(text), "run -c 3 web --append y");
	assert_int_equal(parse(&cli, text), 0);
	assert_string_equal(cli.config.name, "web");
	assert_int_equal(cli.config.cpus, 3);
	assert_int_equal(cli.config.memory, 1ull << 30);
	assert_string_equal(cli.config.append, "x y");
	snprintf(text, sizeof(text), "%s/holm/vmlinuz", dir);
	assert_string_equal(cli.config.kernel, text);
	cli_close(&cli);
	unlink(path);
	snprintf(text, sizeof(text), "run web");
	assert_int_equal(parse(&cli, text), -ENOENT);
	assert_non_null(strstr(fail_text(), "there is no machine 'web': write /tmp/holm-test-"));
	cli_close(&cli);
	snprintf(path, sizeof(path), "%s/holm", dir);
	rmdir(path);
	rmdir(dir);
}

/* The tables: flags and letters are unique, exit codes documented once, every part has help. */
static void test_tables(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	(void)state;
	for (size_t i = 0; i < option_count; i++) {
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(option_table[i].flag, option_table[j].flag);
			if (option_table[i].letter)
				assert_int_not_equal(option_table[i].letter,
						     option_table[j].letter);
		}
		assert_true(option_table[i].help[0]);
		assert_true(!option_table[i].set != !option_table[i].set_cli);
	}
	assert_string_equal(exit_name(0), "poweroff");
	assert_string_equal(exit_name(12), "crash");
	assert_string_equal(exit_name(70), "debug-exit");
	assert_string_equal(exit_name(99), "unknown");
	out = open_memstream(&text, &len);
	help_write(out);
	for (unsigned verb = 0; verb < VERB_COUNT; verb++)
		help_write_verb(out, (enum verb)verb);
	assert_int_equal(help_write_roff(out, "options"), 0);
	assert_int_equal(help_write_roff(out, "keys"), 0);
	assert_int_equal(help_write_roff(out, "exits"), 0);
	assert_true(help_write_roff(out, "what") < 0);
	fclose(out);
	for (size_t i = 0; i < option_count; i++) {
		char flag[40];

		snprintf(flag, sizeof(flag), " --%s", option_table[i].flag);
		assert_non_null(strstr(text, flag));
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),  cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_bad),    cmocka_unit_test(test_name),
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
