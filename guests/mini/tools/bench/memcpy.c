/* SPDX-License-Identifier: Apache-2.0 */
/* bench: blocks copied by REP MOVSB and by the C library, which picks its way by CPUID. */
#include "bench.h"

#define SMALL 65536u
#define LARGE 4194304u

static uint8_t from[LARGE], to[LARGE];

static void fill(void)
{
	uint32_t x = 1;

	if (from[0])
		return;
	for (unsigned i = 0; i < LARGE; i += 64) {
		uint32_t word = lcg(&x);

		memcpy(from + i, &word, sizeof(word));
	}
	from[0] = 1;
	memset(to, 1, LARGE);
}

/* What arrived, from one word of each page. */
static uint64_t copied(size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < size; i += 4096) {
		uint32_t word;

		memcpy(&word, to + i, sizeof(word));
		sum = sum * 31 + word;
	}
	return sum;
}

static uint64_t rep(size_t size, uint64_t n)
{
	while (n--) {
		const uint8_t *source = from;
		uint8_t *target = to;
		size_t count = size;

		__asm__ volatile("rep movsb"
				 : "+S"(source), "+D"(target), "+c"(count)
				 :
				 : "memory");
	}
	return copied(size);
}

static uint64_t library(size_t size, uint64_t n)
{
	while (n--) {
		memcpy(to, from, size);
		__asm__ volatile("" ::: "memory");
	}
	return copied(size);
}

static uint64_t rep_small(uint64_t n)
{
	return rep(SMALL, n);
}

static uint64_t rep_large(uint64_t n)
{
	return rep(LARGE, n);
}

static uint64_t library_small(uint64_t n)
{
	return library(SMALL, n);
}

static uint64_t library_large(uint64_t n)
{
	return library(LARGE, n);
}

const struct row memcpy_rows[] = {
	{"rep_64k", rep_small, 4, SMALL, fill},
	{"rep_4m", rep_large, 1, LARGE, fill},
	{"memcpy_64k", library_small, 4, SMALL, fill},
	{"memcpy_4m", library_large, 1, LARGE, fill},
	{NULL},
};
