/* SPDX-License-Identifier: Apache-2.0 */
/* bench: one busy thread, and two of them, which on two CPUs should get twice as far. */
#include <pthread.h>
#include <stdlib.h>

#include "bench.h"

struct job {
	pthread_t thread;
	uint64_t n, result;
	uint32_t table[4096];
};

static struct job jobs[2];

static void *work(void *opaque)
{
	struct job *job = opaque;

	job->result = integer_mem(job->table, job->n);
	return NULL;
}

static void clear_jobs(void)
{
	memset(jobs, 0, sizeof(jobs));
}

static uint64_t busy(unsigned count, uint64_t n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < count; i++) {
		jobs[i].n = n;
		if (pthread_create(&jobs[i].thread, NULL, work, &jobs[i]))
			exit(1);
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(jobs[i].thread, NULL);
		sum = sum * 31 + jobs[i].result;
	}
	return sum;
}

static uint64_t busy_one(uint64_t n)
{
	return busy(1, n);
}

static uint64_t busy_two(uint64_t n)
{
	return busy(2, n);
}

const struct row smp_rows[] = {
	{"busy1", busy_one, 12000, 1, clear_jobs},
	{"busy2", busy_two, 12000, 2, clear_jobs},
	{NULL},
};
