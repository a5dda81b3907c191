/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: one line, one write(2) to stderr.
 *
 * Entered by: everyone, any thread. Owns the process's log level, which is the one setting that
 * cannot hang on an object: lines are also written where no object is at hand.
 */
#include "host/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/fail.h"

#define LOG_PER_SECOND 10u

static u32 *log_level_cell(void)
{
	static u32 level = LOG_WARN;

	return &level;
}

void log_set_level(enum log_level level)
{
	__atomic_store_n(log_level_cell(), (u32)level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
	return (enum log_level)__atomic_load_n(log_level_cell(), __ATOMIC_RELAXED);
}

/* Control characters would let a guest's text drive the user's terminal. */
static void log_clean(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((u8)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
}

static void log_write(const char *tag, const char *fmt, va_list ap)
{
	char line[FAIL_TEXT + 200]; /* a sentence whole, and what stands before it */
	int head, body;
	size_t len;

	head = snprintf(line, sizeof(line), "holm: %s", tag);
	body = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, ap);
	if (body < 0)
		body = 0;
	len = (size_t)head + (size_t)body;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	log_clean(line, len);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to say it */
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > log_get_level())
		return;
	va_start(ap, fmt);
	log_write("", fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *limit, const char *fmt, ...)
{
	struct timespec now;
	va_list ap;
	u64 second;
	u32 count;

	if (LOG_WARN > log_get_level())
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	second = (u64)now.tv_sec;
	/* Two threads may both reset the window: a line more or less does not matter. */
	if (__atomic_load_n(&limit->window, __ATOMIC_RELAXED) != second) {
		__atomic_store_n(&limit->window, second, __ATOMIC_RELAXED);
		__atomic_store_n(&limit->count, 0, __ATOMIC_RELAXED);
	}
	count = __atomic_add_fetch(&limit->count, 1, __ATOMIC_RELAXED);
	if (count > LOG_PER_SECOND)
		return;
	va_start(ap, fmt);
	log_write("guest: ", fmt, ap);
	va_end(ap);
}
