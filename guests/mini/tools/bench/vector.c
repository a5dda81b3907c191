/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: packed numbers, the same three kernels with SSE2 and with AVX2 and FMA. Which of them run
 * is CPUID's (and XCR0's) word at run time.
 */
#include <immintrin.h>

#include "bench.h"

#define SIDE	   32u
#define MULTIPLIES (SIDE * SIDE * SIDE)
#define BYTES	   4096u

static double da[1024], db[1024];
static float fa[SIDE * SIDE], fb[SIDE * SIDE], fc[SIDE * SIDE];
static uint8_t ba[BYTES], bb[BYTES];

static void make_doubles(void)
{
	for (unsigned i = 0; i < COUNT(da); i++) {
		da[i] = 1.0 / (i + 1);
		db[i] = i * 0.25 - 100;
	}
}

static void make_floats(void)
{
	for (unsigned i = 0; i < COUNT(fa); i++) {
		fa[i] = 1.0f / (float)(i + 1);
		fb[i] = (float)i * 0.25f - 100;
		fc[i] = 0;
	}
}

static void make_bytes(void)
{
	uint32_t x = 1;

	for (unsigned i = 0; i < BYTES; i++) {
		ba[i] = (uint8_t)(lcg(&x) >> 24);
		bb[i] = (uint8_t)(x >> 16);
	}
}

/* --- SSE2 ------------------------------------------------------------------------------------- */

static uint64_t sse_daxpy(uint64_t n)
{
	const __m128d factor = _mm_set1_pd(1.0 / 3);

	while (n--)
		for (unsigned i = 0; i < COUNT(da); i += 2) {
			__m128d x = _mm_mul_pd(factor, _mm_loadu_pd(da + i));

			_mm_storeu_pd(db + i, _mm_add_pd(_mm_loadu_pd(db + i), x));
		}
	return digest(db, sizeof(db));
}

static void sse_multiply(unsigned row)
{
	for (unsigned j = 0; j < SIDE; j += 4) {
		__m128 sum = _mm_loadu_ps(fc + row * SIDE + j);

		for (unsigned l = 0; l < SIDE; l++) {
			__m128 a = _mm_set1_ps(fa[row * SIDE + l]);

			sum = _mm_add_ps(sum, _mm_mul_ps(a, _mm_loadu_ps(fb + l * SIDE + j)));
		}
		_mm_storeu_ps(fc + row * SIDE + j, sum);
	}
}

static uint64_t sse_matmul(uint64_t n)
{
	while (n--)
		for (unsigned row = 0; row < SIDE; row++)
			sse_multiply(row);
	return digest(fc, sizeof(fc));
}

/* What picture and text code does: differences, averages, comparisons, masks, shuffles. */
static uint64_t sse_bytes(uint64_t n)
{
	__m128i sum = _mm_setzero_si128();
	uint64_t hits = 0, out[2];

	while (n--)
		for (unsigned i = 0; i < BYTES; i += 16) {
			__m128i a = _mm_loadu_si128((const __m128i *)(ba + i));
			__m128i b = _mm_loadu_si128((const __m128i *)(bb + i));
			__m128i mean = _mm_avg_epu8(a, _mm_min_epu8(a, b));

			sum = _mm_add_epi64(sum, _mm_sad_epu8(a, b));
			hits += (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(a, mean));
			b = _mm_unpacklo_epi8(_mm_shuffle_epi32(b, 0x1b), mean);
			_mm_storeu_si128((__m128i *)(bb + i),
					 _mm_xor_si128(b, _mm_slli_epi16(a, 3)));
		}
	_mm_storeu_si128((__m128i *)out, sum);
	return digest(bb, BYTES) + out[0] + out[1] + hits;
}

const struct row sse_rows[] = {
	{"sse_daxpy", sse_daxpy, 32, COUNT(da), make_doubles},
	{"sse_matmul", sse_matmul, 2, MULTIPLIES, make_floats},
	{"sse_bytes", sse_bytes, 16, BYTES, make_bytes},
	{NULL},
};

/* --- AVX2 and FMA ----------------------------------------------------------------------------- */

#define AVX __attribute__((target("avx2,fma")))

static bool have_avx(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

AVX static uint64_t avx_daxpy(uint64_t n)
{
	const __m256d factor = _mm256_set1_pd(1.0 / 3);

	while (n--)
		for (unsigned i = 0; i < COUNT(da); i += 4) {
			__m256d x = _mm256_loadu_pd(da + i), y = _mm256_loadu_pd(db + i);

			_mm256_storeu_pd(db + i, _mm256_fmadd_pd(factor, x, y));
		}
	return digest(db, sizeof(db));
}

AVX static void avx_multiply(unsigned row)
{
	for (unsigned j = 0; j < SIDE; j += 8) {
		__m256 sum = _mm256_loadu_ps(fc + row * SIDE + j);

		for (unsigned l = 0; l < SIDE; l++)
			sum = _mm256_fmadd_ps(_mm256_broadcast_ss(fa + row * SIDE + l),
					      _mm256_loadu_ps(fb + l * SIDE + j), sum);
		_mm256_storeu_ps(fc + row * SIDE + j, sum);
	}
}

AVX static uint64_t avx_matmul(uint64_t n)
{
	while (n--)
		for (unsigned row = 0; row < SIDE; row++)
			avx_multiply(row);
	return digest(fc, sizeof(fc));
}

AVX static uint64_t avx_bytes(uint64_t n)
{
	__m256i sum = _mm256_setzero_si256();
	uint64_t hits = 0, out[4];

	while (n--)
		for (unsigned i = 0; i < BYTES; i += 32) {
			__m256i a = _mm256_loadu_si256((const __m256i *)(ba + i));
			__m256i b = _mm256_loadu_si256((const __m256i *)(bb + i));
			__m256i mean = _mm256_avg_epu8(a, _mm256_min_epu8(a, b));

			sum = _mm256_add_epi64(sum, _mm256_sad_epu8(a, b));
			hits += (unsigned)_mm256_movemask_epi8(_mm256_cmpgt_epi8(a, mean));
			b = _mm256_shuffle_epi8(_mm256_permute4x64_epi64(b, 0x1b), mean);
			b = _mm256_xor_si256(b, _mm256_slli_epi16(a, 3));
			_mm256_storeu_si256((__m256i *)(bb + i), b);
		}
	_mm256_storeu_si256((__m256i *)out, sum);
	return digest(bb, BYTES) + out[0] + out[1] + out[2] + out[3] + hits;
}

const struct row avx_rows[] = {
	{"avx_daxpy", avx_daxpy, 32, COUNT(da), make_doubles, NULL, have_avx},
	{"avx_matmul", avx_matmul, 2, MULTIPLIES, make_floats, NULL, have_avx},
	{"avx_bytes", avx_bytes, 16, BYTES, make_bytes, NULL, have_avx},
	{NULL},
};
