/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail: keeps the last sentence of each thread; ends the process on a bug of ours.
 *
 * Entered by: every hosted floor, any thread. Owns one fixed slot per thread and nothing else: no
 * allocation, so that a failed allocation can still be told.
 */
#include "host/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/log.h"

struct fail_slot {
	char text[FAIL_TEXT];
};

/* One per thread by nature, the way errno is. */
static _Thread_local struct fail_slot fail_slot;

int fail_set(int code, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fail_slot.text, sizeof(fail_slot.text), fmt, ap);
	va_end(ap);
	if (log_get_level() >= LOG_DEBUG)
		log_line(LOG_DEBUG, "%s:%d: %s (%d)", file, line, fail_slot.text, code);
	return code;
}

const char *fail_text(void)
{
	return fail_slot.text;
}

void fail_clear(void)
{
	fail_slot.text[0] = '\0';
}

void fail_assert(const char *cond, const char *sentence, const char *file, int line)
{
	log_line(LOG_ERROR, "a bug in holm: %s (%s at %s:%d)", sentence, cond, file, line);
	abort();
}
