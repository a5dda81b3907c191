/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: floating point, one number at a time: double in SSE2 registers, long double on the x87.
 * The same functions stand in vector.c with packed ones. Nothing here is left to rounding: add,
 * multiply, divide and square root have one right result.
 */
#include <math.h>

#include "bench.h"

/* --- double ----------------------------------------------------------------------------------- */

#define SIDE	   24u
#define MULTIPLIES (SIDE * SIDE * SIDE)

static double va[1024], vb[1024], vc[1024];

static void make_vectors(void)
{
	for (unsigned i = 0; i < COUNT(va); i++) {
		va[i] = 1.0 / (i + 1);
		vb[i] = i * 0.25 - 100;
		vc[i] = 0;
	}
}

static uint64_t daxpy(uint64_t n)
{
	while (n--)
		for (unsigned i = 0; i < COUNT(va); i++)
			vb[i] += 0.75 * va[i];
	return digest(vb, sizeof(vb));
}

static __attribute__((noinline)) void multiply(double *c, const double *a, const double *b)
{
	for (unsigned i = 0; i < SIDE; i++)
		for (unsigned j = 0; j < SIDE; j++) {
			double sum = c[i * SIDE + j];

			for (unsigned l = 0; l < SIDE; l++)
				sum += a[i * SIDE + l] * b[l * SIDE + j];
			c[i * SIDE + j] = sum;
		}
}

static uint64_t matmul(uint64_t n)
{
	while (n--)
		multiply(vc, va, vb);
	return digest(vc, sizeof(vc));
}

#define BODIES 5u

static struct body {
	double x[3], v[3], mass;
} bodies[BODIES];

static void make_bodies(void)
{
	for (unsigned i = 0; i < BODIES; i++) {
		for (unsigned j = 0; j < 3; j++) {
			bodies[i].x[j] = (i * 7 + j * 5) % 11 * 1.5;
			bodies[i].v[j] = (i * 3 + j * 2) % 5 * 0.01;
		}
		bodies[i].mass = 0.001 + i * 0.25;
	}
}

static void attract(struct body *a, struct body *b)
{
	double d[3], square = 0.01, pull;

	for (unsigned j = 0; j < 3; j++) {
		d[j] = a->x[j] - b->x[j];
		square += d[j] * d[j];
	}
	pull = 0.001 / (square * sqrt(square));
	for (unsigned j = 0; j < 3; j++) {
		a->v[j] -= d[j] * b->mass * pull;
		b->v[j] += d[j] * a->mass * pull;
	}
}

static uint64_t nbody(uint64_t n)
{
	while (n--) {
		for (unsigned i = 0; i < BODIES; i++)
			for (unsigned j = i + 1; j < BODIES; j++)
				attract(&bodies[i], &bodies[j]);
		for (unsigned i = 0; i < BODIES; i++)
			for (unsigned j = 0; j < 3; j++)
				bodies[i].x[j] += 0.001 * bodies[i].v[j];
	}
	return digest(bodies, sizeof(bodies));
}

const struct row float_rows[] = {
	{"daxpy", daxpy, 16, COUNT(va), make_vectors},
	{"matmul", matmul, 2, MULTIPLIES, make_vectors},
	{"nbody", nbody, 100, 1, make_bodies},
	{NULL},
};

/* --- long double ------------------------------------------------------------------------------ */

#define LSIDE		16u
#define LONG_MULTIPLIES (LSIDE * LSIDE * LSIDE)

static long double la[LSIDE * LSIDE], lb[LSIDE * LSIDE], lc[LSIDE * LSIDE];

static void make_long_vectors(void)
{
	for (unsigned i = 0; i < COUNT(la); i++) {
		la[i] = 1.0L / (i + 1);
		lb[i] = i * 0.25L - 50;
		lc[i] = 0;
	}
}

static __attribute__((noinline)) void long_multiply(long double *c, const long double *a,
						    const long double *b)
{
	for (unsigned i = 0; i < LSIDE; i++)
		for (unsigned j = 0; j < LSIDE; j++) {
			long double sum = c[i * LSIDE + j];

			for (unsigned l = 0; l < LSIDE; l++)
				sum += a[i * LSIDE + l] * b[l * LSIDE + j];
			c[i * LSIDE + j] = sum;
		}
}

/* The ten bytes that count of each number. */
static uint64_t long_digest(const long double *v, unsigned count)
{
	uint64_t h = 0;

	while (count--)
		h = h * 31 + digest(v++, 10);
	return h;
}

static uint64_t x87_matmul(uint64_t n)
{
	while (n--)
		long_multiply(lc, la, lb);
	return long_digest(lc, COUNT(lc));
}

/* A polynomial, a root and a quotient; integers and doubles come in and go out. */
static uint64_t x87_series(uint64_t n)
{
	long double x = 0.5L, sum = 0;
	double kept = 1;

	for (uint64_t i = 0; i < n; i++) {
		long double p = (((x * 0.125L - 0.25L) * x + 0.5L) * x - 1) * x + 1;

		sum += sqrtl(p * p + 1) / (1 + kept);
		kept = (double)(p - (int)(i & 7));
		kept *= kept;
		x = p / (2 + (int)(i & 3));
	}
	return long_digest(&sum, 1);
}

const struct row x87_rows[] = {
	{"x87_matmul", x87_matmul, 4, LONG_MULTIPLIES, make_long_vectors},
	{"x87_series", x87_series, 4000, 1},
	{NULL},
};
