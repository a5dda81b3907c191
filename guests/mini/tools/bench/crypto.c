/* SPDX-License-Identifier: Apache-2.0 */
/* bench: ciphers and a hash in plain C, as libraries have them for any CPU. */
#include "bench.h"

#define ROR(v, s) ((v) >> (s) | (v) << (32 - (s)))
#define ROL(v, s) ((v) << (s) | (v) >> (32 - (s)))

/* --- SHA-256 ---------------------------------------------------------------------------------- */

static uint32_t k[64];

/* Constants from an LCG in place of cube roots: the same work. */
static void make_constants(void)
{
	for (uint32_t i = 0; i < 64; i++)
		k[i] = i * 2654435761u;
}

static void sha_schedule(uint32_t *w)
{
	for (int i = 16; i < 64; i++)
		w[i] = (ROR(w[i - 2], 17) ^ ROR(w[i - 2], 19) ^ w[i - 2] >> 10) + w[i - 7] +
		       (ROR(w[i - 15], 7) ^ ROR(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 16];
}

static void sha_rounds(uint32_t *h, const uint32_t *w)
{
	uint32_t a[8];

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

static uint64_t sha256(uint64_t n)
{
	uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8}, w[64];

	while (n--) {
		for (uint32_t i = 0; i < 16; i++)
			w[i] = h[i & 7] + i;
		sha_schedule(w);
		sha_rounds(h, w);
	}
	return h[0];
}

/* --- ChaCha20 (RFC 8439) ---------------------------------------------------------------------- */

#define QUARTER(a, b, c, d)                                                                        \
	(a += b, d ^= a, d = ROL(d, 16), c += d, b ^= c, b = ROL(b, 12), a += b, d ^= a,           \
	 d = ROL(d, 8), c += d, b ^= c, b = ROL(b, 7))

static void chacha_block(uint32_t *out, const uint32_t *in)
{
	uint32_t x[16];

	memcpy(x, in, sizeof(x));
	for (int i = 0; i < 10; i++) {
		QUARTER(x[0], x[4], x[8], x[12]);
		QUARTER(x[1], x[5], x[9], x[13]);
		QUARTER(x[2], x[6], x[10], x[14]);
		QUARTER(x[3], x[7], x[11], x[15]);
		QUARTER(x[0], x[5], x[10], x[15]);
		QUARTER(x[1], x[6], x[11], x[12]);
		QUARTER(x[2], x[7], x[8], x[13]);
		QUARTER(x[3], x[4], x[9], x[14]);
	}
	for (int i = 0; i < 16; i++)
		out[i] ^= x[i] + in[i];
}

static uint64_t chacha20(uint64_t n)
{
	uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, text[16] = {0};

	for (uint32_t i = 4; i < 16; i++)
		state[i] = i * 2654435761u;
	while (n--) {
		chacha_block(text, state);
		state[12]++;
	}
	return digest(text, sizeof(text));
}

/* --- AES-128 (FIPS 197), four tables ---------------------------------------------------------- */

static uint32_t t0[256], t1[256], t2[256], t3[256], round_keys[44];
static uint8_t sbox[256];

static uint8_t twice(uint8_t x)
{
	return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

/* p runs through the field by powers of 3 and q through the inverses. */
static void make_sbox(void)
{
	uint8_t p = 1, q = 1;

	do {
		p = p ^ twice(p);
		q ^= (uint8_t)(q << 1);
		q ^= (uint8_t)(q << 2);
		q ^= (uint8_t)(q << 4);
		if (q & 0x80)
			q ^= 9;
		sbox[p] = 0x63;
		for (int i = 0; i < 5; i++)
			sbox[p] ^= (uint8_t)(q << i | q >> (8 - i));
	} while (p != 1);
	sbox[0] = 0x63;
}

static uint32_t sub_word(uint32_t v)
{
	return sbox[v & 0xff] | (uint32_t)sbox[v >> 8 & 0xff] << 8 |
	       (uint32_t)sbox[v >> 16 & 0xff] << 16 | (uint32_t)sbox[v >> 24] << 24;
}

static void make_aes(void)
{
	uint8_t rcon = 1;

	make_sbox();
	for (int i = 0; i < 256; i++) {
		uint8_t s = sbox[i], s2 = twice(s);

		t0[i] = s2 | (uint32_t)s << 8 | (uint32_t)s << 16 | (uint32_t)(s2 ^ s) << 24;
		t1[i] = ROL(t0[i], 8);
		t2[i] = ROL(t0[i], 16);
		t3[i] = ROL(t0[i], 24);
	}
	for (uint32_t i = 0; i < 4; i++)
		round_keys[i] = 0x03020100 + i * 0x04040404;
	for (int i = 4; i < 44; i++) {
		uint32_t v = round_keys[i - 1];

		if (i % 4 == 0) {
			v = sub_word(ROR(v, 8)) ^ rcon;
			rcon = twice(rcon);
		}
		round_keys[i] = round_keys[i - 4] ^ v;
	}
}

static void aes_block(uint32_t *s)
{
	const uint32_t *key = round_keys;
	uint32_t a[4], b[4];

	for (int i = 0; i < 4; i++)
		a[i] = s[i] ^ *key++;
	for (int round = 1; round < 10; round++) {
		for (int i = 0; i < 4; i++)
			b[i] = t0[a[i] & 0xff] ^ t1[a[(i + 1) & 3] >> 8 & 0xff] ^
			       t2[a[(i + 2) & 3] >> 16 & 0xff] ^ t3[a[(i + 3) & 3] >> 24] ^ *key++;
		memcpy(a, b, sizeof(a));
	}
	for (int i = 0; i < 4; i++)
		s[i] = sub_word((a[i] & 0xff) | (a[(i + 1) & 3] & 0xff00) |
				(a[(i + 2) & 3] & 0xff0000) | (a[(i + 3) & 3] & 0xff000000)) ^
		       *key++;
}

static uint64_t aes(uint64_t n)
{
	uint32_t s[4] = {0x33221100, 0x77665544, 0xbbaa9988, 0xffeeddcc}; /* FIPS 197, C.1 */

	while (n--)
		aes_block(s);
	return (uint64_t)s[1] << 32 | s[0];
}

const struct row crypto_rows[] = {
	{"sha256", sha256, 32, 64, make_constants},
	{"chacha20", chacha20, 64, 64},
	{"aes", aes, 128, 16, make_aes},
	{NULL},
};
