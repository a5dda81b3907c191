/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng: numbers for a case: a small generator, and values instructions find interesting.
 *
 * The same seed gives the same case everywhere.
 */
#ifndef DIFF_RNG_H
#define DIFF_RNG_H

#include "lib/bits.h"
#include "lib/types.h"

struct rng {
	u64 s;
};

/* splitmix64 */
static inline u64 rng_next(struct rng *g)
{
	u64 z = g->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 .. n-1 */
static inline unsigned rng_below(struct rng *g, unsigned n)
{
	return (unsigned)((rng_next(g) >> 32) * n >> 32);
}

static inline bool rng_one_in(struct rng *g, unsigned n)
{
	return rng_below(g, n) == 0;
}

/* A set bit of mask, which is not 0. */
unsigned rng_bit(struct rng *g, unsigned mask);
u64 rng_int(struct rng *g);
u32 rng_f32(struct rng *g);
u64 rng_f64(struct rng *g);
u16 rng_f16(struct rng *g);
void rng_f80(struct rng *g, u8 *out); /* 10 bytes */
/* n bytes (a multiple of 16) as lanes of one interesting kind */
void rng_vector(struct rng *g, u8 *out, unsigned n);

#endif
