/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: what a row is. A family of rows is one table, which ends with a row without a name.
 *
 * Every run starts from the same state, so that the same n gives the same result anywhere.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct row {
	const char *name;
	uint64_t (*run)(uint64_t n); /* works n times; what it computed */
	uint64_t n;		     /* times for the checksum, some 100 000 instructions */
	unsigned units;		     /* of work in one time: bytes, calls, steps */
	void (*begin)(void);	     /* before every run and not timed; or NULL */
	void (*end)(void);	     /* after every run; or NULL */
	bool (*have)(void);	     /* does this CPU have what the row needs? NULL: all do */
};

extern const struct row integer_rows[], crypto_rows[], float_rows[], x87_rows[], sse_rows[],
	avx_rows[], memcpy_rows[], kernel_rows[], smp_rows[];

/* What an array of `size` bytes holds, in few instructions. */
static inline uint64_t digest(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h;
}

static inline uint32_t lcg(uint32_t *x)
{
	return *x = *x * 1664525u + 1013904223u;
}

/* Work without system calls, for rows that need a busy processor (integer.c). */
uint64_t integer_mem(uint32_t *table_of_4096, uint64_t n);

#endif
