/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz: what every target shares: the entry point, and reading an input as numbers and bytes.
 *
 * A target is one file that defines LLVMFuzzerTestOneInput. libFuzzer calls it with inputs it makes
 * up (preset fuzz), replay.c with the files of a corpus (every other preset). The same input does
 * the same thing each time: no wall clock, no randomness, nothing kept from the input before.
 *
 * An input that ended goes on as zeroes, so that each prefix of an input is one too.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <string.h>

#include "lib/bits.h"
#include "lib/types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct fuzz_in {
	const u8 *at;
	size_t left;
};

static inline void fuzz_bytes(struct fuzz_in *in, void *to, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	memset(to, 0, len);
	if (!n)
		return;
	memcpy(to, in->at, n);
	in->at += n;
	in->left -= n;
}

/* 1, 2, 4 or 8 bytes, little-endian. */
static inline u64 fuzz_sized(struct fuzz_in *in, unsigned size)
{
	u8 bytes[8] = {0};

	fuzz_bytes(in, bytes, size);
	return ld64(bytes);
}

static inline u8 fuzz_u8(struct fuzz_in *in)
{
	return (u8)fuzz_sized(in, 1);
}

static inline u16 fuzz_u16(struct fuzz_in *in)
{
	return (u16)fuzz_sized(in, 2);
}

static inline u32 fuzz_u32(struct fuzz_in *in)
{
	return (u32)fuzz_sized(in, 4);
}

static inline u64 fuzz_u64(struct fuzz_in *in)
{
	return fuzz_sized(in, 8);
}

/* An access size out of two bits of `code`: 1, 2, 4, 8. */
static inline unsigned fuzz_size(u8 code)
{
	return 1u << (code & 3);
}

#endif
