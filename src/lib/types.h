/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types: the integer names every floor uses, and a few compiler words.
 *
 * Entered by: everyone. Owns nothing. Freestanding.
 */
#ifndef LIB_TYPES_H
#define LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

/* Little-endian integers in guest-visible or on-disk structs. */
typedef uint16_t le16;
typedef uint32_t le32;
typedef uint64_t le64;

typedef u64 gpa_t; /* guest-physical address */
typedef u64 gva_t; /* guest-virtual (linear) address */

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define always_inline	inline __attribute__((always_inline))
#define noinline	__attribute__((noinline))
#define noreturn_fn	__attribute__((noreturn))
#define cold_fn		__attribute__((cold, noinline))
#define packed_struct	__attribute__((packed))
#define format_fn(f, a) __attribute__((format(printf, f, a)))
#define unused_arg	__attribute__((unused))
#define must_check	__attribute__((warn_unused_result))

#define ARRAY_LEN(a)			(sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
