/* SPDX-License-Identifier: Apache-2.0 */
/*
 * box: the sandbox's contents, and finding what an instruction changed in it.
 *
 * Used by both processes, in the child inside a signal handler: no libc, no thread-local storage.
 */
#include <emmintrin.h>

#include "case.h"
#include "rng.h"

void box_pattern(u8 *data)
{
	struct rng g = {0x9e3779b97f4a7c15ull};

	for (unsigned i = 0; i < BOX_DATA_SIZE; i += 64)
		rng_vector(&g, data + i, 64);
}

static bool line_same(const u8 *a, const u8 *b)
{
	__m128i d = _mm_setzero_si128();

	for (unsigned i = 0; i < 64; i += 16)
		d = _mm_or_si128(
			d, _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)(a + i)),
					 _mm_loadu_si128((const __m128i *)(const void *)(b + i))));
	return _mm_movemask_epi8(_mm_cmpeq_epi8(d, _mm_setzero_si128())) == 0xffff;
}

void box_collect(u8 *data, const u8 *pattern, struct diff_result *out)
{
	out->lines = 0;
	out->hash = 0;
	for (u32 at = 0; at < BOX_DATA_SIZE; at += 64) {
		if (likely(line_same(data + at, pattern + at)))
			continue;
		box_hash(out, at, data + at);
		if (out->lines < LINES) {
			out->line[out->lines].at = BOX_DATA + at;
			__builtin_memcpy(out->line[out->lines].b, data + at, 64);
		}
		out->lines++;
		__builtin_memcpy(data + at, pattern + at, 64);
	}
}
