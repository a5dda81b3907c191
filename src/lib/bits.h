/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bits: masks, rounding, sign extension, unaligned loads and stores.
 *
 * Entered by: everyone. Owns nothing. Freestanding; the host is little-endian x86-64.
 */
#ifndef LIB_BITS_H
#define LIB_BITS_H

#include "lib/types.h"

#define BIT(n)	 (1u << (n))
#define BIT64(n) (1ull << (n))

static inline u64 mask64(unsigned bits)
{
	return bits >= 64 ? ~0ull : BIT64(bits) - 1;
}

static inline u64 round_down64(u64 v, u64 align)
{
	return v & ~(align - 1);
}

static inline u64 round_up64(u64 v, u64 align)
{
	return (v + align - 1) & ~(align - 1);
}

static inline bool is_pow2(u64 v)
{
	return v && !(v & (v - 1));
}

static inline u64 min_u64(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 max_u64(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* Unaligned little-endian access to host memory. */
#define BITS_DEFINE_LDST(bits)                                                                     \
	static inline u##bits ld##bits(const void *p)                                              \
	{                                                                                          \
		u##bits v;                                                                         \
		__builtin_memcpy(&v, p, sizeof(v));                                                \
		return v;                                                                          \
	}                                                                                          \
	static inline void st##bits(void *p, u##bits v)                                            \
	{                                                                                          \
		__builtin_memcpy(p, &v, sizeof(v));                                                \
	}
BITS_DEFINE_LDST(8)
BITS_DEFINE_LDST(16)
BITS_DEFINE_LDST(32)
BITS_DEFINE_LDST(64)
#undef BITS_DEFINE_LDST

/* Reads or writes the low `size` (1, 2, 4, 8) bytes at p. */
static inline u64 ld_size(const void *p, unsigned size)
{
	switch (size) {
	case 1: return ld8(p);
	case 2: return ld16(p);
	case 4: return ld32(p);
	default: return ld64(p);
	}
}

static inline void st_size(void *p, unsigned size, u64 v)
{
	switch (size) {
	case 1: st8(p, (u8)v); break;
	case 2: st16(p, (u16)v); break;
	case 4: st32(p, (u32)v); break;
	default: st64(p, v); break;
	}
}

#endif
