/* SPDX-License-Identifier: Apache-2.0 */
/*
 * size: reads numbers people write: 512M, 2G, 4, true.
 *
 * Entered by: the parsers of flags, VM files and engine options. Owns nothing. Errors come as
 * sentences that say what to write.
 *
 * Context: any.
 */
#ifndef HOST_SIZE_H
#define HOST_SIZE_H

#include "lib/types.h"

/* "512M", "2G", "1T", "64K"; binary units, "iB" or "B" may follow. A unit is required. -EINVAL with
 * a sentence, -ERANGE above 2^63. */
int size_parse(const char *text, u64 *out);

/* A decimal number from min to max. */
int count_parse(const char *text, u32 min, u32 max, u32 *out);

/* "true" or "false", nothing else. */
int bool_parse(const char *text, bool *out);

/* "512 MiB", "2 GiB": whole units when it divides, one decimal otherwise. Returns buf. */
const char *size_text(u64 bytes, char *buf, size_t len);

#endif
