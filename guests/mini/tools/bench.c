/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: small loops with known work, run in the guest and natively. `bench [NAME]` prints
 * "bench NAME UNITS NANOSECONDS CHECK": best of five, so that the caller can compare rates.
 * `bench count` prints "count NAME UNITS INSTRUCTIONS", counted by stepping through the loops.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Integer work without memory: xorshift. */
static uint64_t alu(uint64_t n)
{
	uint64_t x = 88172645463325252u;

	while (n--) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}

static uint32_t table[4096];

/* Integer work on 16 KiB: an LCG picks, adds and branches. */
static uint64_t mem(uint64_t n)
{
	uint32_t x = 1, sum = 0;

	memset(table, 0, sizeof(table));
	while (n--) {
		x = x * 1664525u + 1013904223u;
		table[x >> 20] += x;
		if (table[(x >> 8) & 4095] & 1)
			sum += x;
	}
	return sum;
}

#define ROR(v, s) ((v) >> (s) | (v) << (32 - (s)))
static uint32_t k[64];

/* SHA-256's compression, constants from cube roots replaced by an LCG: the same work. */
static uint64_t sha(uint64_t n)
{
	uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8}, w[64];

	for (int i = 0; i < 64; i++)
		k[i] = (uint32_t)i * 2654435761u;
	while (n--) {
		uint32_t a[8];

		for (int i = 0; i < 16; i++)
			w[i] = h[i & 7] + (uint32_t)i;
		for (int i = 16; i < 64; i++)
			w[i] = (ROR(w[i - 2], 17) ^ ROR(w[i - 2], 19) ^ w[i - 2] >> 10) + w[i - 7] +
			       (ROR(w[i - 15], 7) ^ ROR(w[i - 15], 18) ^ w[i - 15] >> 3) +
			       w[i - 16];
		memcpy(a, h, sizeof(a));
		for (int i = 0; i < 64; i++) {
			uint32_t t = a[7] + (ROR(a[4], 6) ^ ROR(a[4], 11) ^ ROR(a[4], 25)) +
				     ((a[4] & a[5]) ^ (~a[4] & a[6])) + k[i] + w[i];
			uint32_t u = (ROR(a[0], 2) ^ ROR(a[0], 13) ^ ROR(a[0], 22)) +
				     ((a[0] & a[1]) ^ (a[0] & a[2]) ^ (a[1] & a[2]));

			memmove(a + 1, a, 28);
			a[4] += t;
			a[0] = t + u;
		}
		for (int i = 0; i < 8; i++)
			h[i] += a[i];
	}
	return h[0];
}

static uint8_t from[65536], to[65536];

static uint64_t copy(uint64_t n)
{
	while (n--) {
		memcpy(to, from, sizeof(to));
		__asm__ volatile("" ::: "memory");
	}
	return to[0];
}

static uint64_t sys(uint64_t n)
{
	uint64_t sum = 0;

	while (n--)
		sum += syscall(SYS_getppid) >= 0;
	return sum;
}

static const struct {
	const char *name;
	uint64_t (*run)(uint64_t n);
	uint64_t n;
	unsigned units; /* of work in one n: bytes for sha and copy */
} table_of[] = {
	{"alu", alu, 2000000, 1},     {"mem", mem, 1000000, 1},	  {"sha256", sha, 4000, 64},
	{"memcpy", copy, 200, 65536}, {"syscall", sys, 20000, 1},
};

#define STEPPED	     500u
#define INTEGER_ROWS 3u /* the first ones */

/* Instructions of a child that runs loop i n times, by single steps. */
static long steps(unsigned i, uint64_t n)
{
	long count = 0;
	int status;
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit((int)table_of[i].run(n) & 0x7f);
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
		count++;
	}
	return count;
}

static int count_all(void)
{
	for (unsigned i = 0; i < INTEGER_ROWS; i++) { /* a REP would be a step for each byte */
		uint64_t n = table_of[i].units > 1 ? 4 : STEPPED;
		long once = steps(i, n), twice = steps(i, 2 * n);

		printf("count %s %llu %ld\n", table_of[i].name,
		       (unsigned long long)(n * table_of[i].units), twice - once);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "count"))
		return count_all();
	for (unsigned i = 0; i < sizeof(table_of) / sizeof(table_of[0]); i++) {
		uint64_t best = ~0ull, check = 0;

		if (argc > 1 && strcmp(argv[1], table_of[i].name))
			continue;
		for (int round = 0; round < 5; round++) {
			uint64_t t = now();

			check = table_of[i].run(table_of[i].n);
			t = now() - t;
			if (t < best)
				best = t;
		}
		printf("bench %s %llu %llu %llx\n", table_of[i].name,
		       (unsigned long long)(table_of[i].n * table_of[i].units),
		       (unsigned long long)best, (unsigned long long)check);
	}
	return 0;
}
