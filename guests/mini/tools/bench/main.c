/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: small loops with known work, run in the guest and natively.
 *
 * `bench [-t MS] [NAME-OR-FAMILY]...` takes MS (300) milliseconds for each row, five runs that
 * together last that long, and prints "bench NAME UNITS NANOSECONDS CHECK" of the best one, or
 * "lacks NAME" where the CPU cannot run it. CHECK does not depend on the time given. The last
 * line, "elapsed NANOSECONDS", is for comparing this clock with another.
 * `bench count` prints "count NAME UNITS INSTRUCTIONS", counted by stepping through the loops.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define REPEATS 5u

static const struct family {
	const char *name;
	const struct row *rows;
	bool stepped; /* `count` covers them: no system calls and no REP, a step for each byte */
} families[] = {
	{"integer", integer_rows, true}, {"crypto", crypto_rows, true},
	{"float", float_rows, false},	 {"x87", x87_rows, false},
	{"sse", sse_rows, false},	 {"avx", avx_rows, false},
	{"memcpy", memcpy_rows, false},	 {"kernel", kernel_rows, false},
	{"smp", smp_rows, false},
};

/* --- one row ---------------------------------------------------------------------------------- */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Nanoseconds of one run. */
static uint64_t timed(const struct row *row, uint64_t n, uint64_t *result)
{
	uint64_t t;

	if (row->begin)
		row->begin();
	t = now();
	*result = row->run(n);
	t = now() - t;
	if (row->end)
		row->end();
	return t ? t : 1;
}

/* How often to work so that a run lasts `share` ns; the first run gives the checksum. */
static uint64_t calibrate(const struct row *row, uint64_t share, uint64_t *check)
{
	uint64_t n = row->n, t = timed(row, n, check), ignored;

	while (t < share / 4) {
		n *= t < share / 64 ? 16 : 4;
		t = timed(row, n, &ignored);
	}
	n = (uint64_t)((double)n * (double)share / (double)t);
	return n ? n : 1;
}

static int measure(const struct row *row, uint64_t budget)
{
	uint64_t check, first = 0, best = UINT64_MAX;
	uint64_t n = calibrate(row, budget / REPEATS, &check);

	for (unsigned i = 0; i < REPEATS; i++) {
		uint64_t result, t = timed(row, n, &result);

		if (t < best)
			best = t;
		if (i && result != first) {
			printf("differs %s\n", row->name);
			return 1;
		}
		first = result;
	}
	printf("bench %s %llu %llu %llx\n", row->name, (unsigned long long)(n * row->units),
	       (unsigned long long)best, (unsigned long long)check);
	return 0;
}

/* A process for each row: none finds what another left in memory, or dies with it. */
static int measure_apart(const struct row *row, uint64_t budget)
{
	int status = 0;
	pid_t pid;

	if (row->have && !row->have()) {
		printf("lacks %s\n", row->name);
		return 0;
	}
	fflush(stdout);
	pid = fork();
	if (!pid)
		exit(measure(row, budget));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		printf("failed %s %x\n", row->name, (unsigned)status);
		return 1;
	}
	return 0;
}

/* --- instructions ----------------------------------------------------------------------------- */

/* Instructions of a child that works n times, by single steps; begin() is not stepped through. */
static long steps(const struct row *row, uint64_t n)
{
	long count = 0;
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (row->begin)
			row->begin();
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit((int)row->run(n) & 0x7f);
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
		count++;
	}
	return count;
}

static int count(const struct row *row)
{
	uint64_t n = row->n > 100 ? row->n / 100 : 1;
	long once = steps(row, n), twice = steps(row, 2 * n);

	printf("count %s %llu %ld\n", row->name, (unsigned long long)(n * row->units),
	       twice - once);
	return 0;
}

/* --- the command line ------------------------------------------------------------------------- */

static bool wanted(const struct family *family, const struct row *row, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, row->name) || !strcmp(*names, family->name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	bool counting = argc > 1 && !strcmp(argv[1], "count");
	uint64_t budget = 300, begun = now();
	int bad = 0;

	if (argc > 1 && !strcmp(argv[1], "exit")) /* the program of the row "exec" */
		_exit(0);
	argv += 1 + counting;
	if (!counting && argc > 2 && !strcmp(argv[0], "-t")) {
		budget = strtoull(argv[1], NULL, 10);
		argv += 2;
	}
	for (unsigned i = 0; i < COUNT(families); i++)
		for (const struct row *row = families[i].rows; row->name; row++) {
			if (!wanted(&families[i], row, argv))
				continue;
			if (!counting)
				bad |= measure_apart(row, budget * 1000000);
			else if (families[i].stepped)
				bad |= count(row);
		}
	if (!counting)
		printf("elapsed %llu\n", (unsigned long long)(now() - begun));
	return bad;
}
