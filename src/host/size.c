/* SPDX-License-Identifier: Apache-2.0 */
/*
 * size: numbers as people write them. No strtoull: it takes signs, blanks and 0x, which we refuse.
 *
 * Entered by: the parsers of flags and VM files. Owns nothing.
 */
#include "host/size.h"

#include <stdio.h>
#include <string.h>

#include "host/fail.h"

/* Reads leading digits; -ERANGE on overflow, -EINVAL without any. */
static int digits_parse(const char **text, u64 *out)
{
	const char *p = *text;
	u64 v = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10ull, &v) ||
		    __builtin_add_overflow(v, (u64)(*p - '0'), &v))
			return -ERANGE;
	}
	*text = p;
	*out = v;
	return 0;
}

static int unit_shift(const char *unit)
{
	static const char letters[] = "KMGT";
	const char *at;

	if (!*unit)
		return -1;
	at = strchr(letters, *unit >= 'a' ? *unit - 'a' + 'A' : *unit);
	if (!at)
		return -1;
	if (unit[1] && strcmp(unit + 1, "B") && strcmp(unit + 1, "iB"))
		return -1;
	return (int)(at - letters + 1) * 10;
}

int size_parse(const char *text, u64 *out)
{
	const char *p = text;
	u64 v = 0;
	int err = digits_parse(&p, &v);
	int shift;

	if (err == -ERANGE)
		return FAIL(-ERANGE, "'%.40s' is too large a size", text);
	if (err || (!v && !*p))
		return FAIL(-EINVAL, "'%.40s' is not a size; write 512M or 2G", text);
	if (!*p)
		return FAIL(-EINVAL, "'%.40s' has no unit; write %.20sM or %.20sG", text, text,
			    text);
	shift = unit_shift(p);
	if (shift < 0)
		return FAIL(-EINVAL,
			    "'%.40s' is not a size; write a whole number and K, M, G or T, as in "
			    "512M",
			    text);
	if (v > (u64)INT64_MAX >> shift)
		return FAIL(-ERANGE, "'%.40s' is too large a size", text);
	*out = v << shift;
	return 0;
}

int count_parse(const char *text, u32 min, u32 max, u32 *out)
{
	const char *p = text;
	u64 v = 0;
	int err = digits_parse(&p, &v);

	if (err == -EINVAL || p[strspn(p, "0123456789")])
		return FAIL(-EINVAL, "'%.40s' is not a whole number; write %u to %u", text, min,
			    max);
	if (err || v < min || v > max)
		return FAIL(-ERANGE, "'%.40s' is out of range; it can be %u to %u", text, min, max);
	*out = (u32)v;
	return 0;
}

int bool_parse(const char *text, bool *out)
{
	if (!strcmp(text, "true"))
		*out = true;
	else if (!strcmp(text, "false"))
		*out = false;
	else
		return FAIL(-EINVAL, "'%.40s' is neither true nor false", text);
	return 0;
}

const char *size_text(u64 bytes, char *buf, size_t len)
{
	static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	unsigned n = 0;
	u64 div = 1;

	while (n + 1 < ARRAY_LEN(unit) && bytes / div >= 1024) {
		div <<= 10;
		n++;
	}
	if (bytes % div == 0)
		snprintf(buf, len, "%llu %s", (unsigned long long)(bytes / div), unit[n]);
	else
		snprintf(buf, len, "%llu.%llu %s", (unsigned long long)(bytes / div),
			 (unsigned long long)(bytes % div * 10 / div), unit[n]);
	return buf;
}
