/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail: how an error is born, and how a bug of ours ends.
 *
 * FAIL(-EINVAL, "disk: %s is empty", path) keeps file, line and one sentence for the user in this
 * thread's slot and returns the error code; the code travels up, and whoever talks to the user
 * prints fail_text(). The sentence names the mend where there is one. ASSERT ends the process: it
 * is for our own bugs only, never for what a guest or a user can cause.
 *
 * Context: any thread.
 */
#ifndef HOST_FAIL_H
#define HOST_FAIL_H

#include <errno.h>

#include "lib/types.h"

#define FAIL_TEXT 1024 /* bytes of a sentence; one that names two long paths fits */

#define FAIL(code, ...) fail_set((code), __FILE__, __LINE__, __VA_ARGS__)
#define ASSERT(cond, sentence)                                                                     \
	((cond) ? (void)0 : fail_assert(#cond, (sentence), __FILE__, __LINE__))

/* Stores the sentence for this thread; returns code (negative errno). */
int fail_set(int code, const char *file, int line, const char *fmt, ...) format_fn(4, 5);

/* The last sentence of this thread, "" if none. Valid until the next FAIL in this thread. */
const char *fail_text(void);

/* Forgets the sentence (an error that was handled). */
void fail_clear(void);

noreturn_fn void fail_assert(const char *cond, const char *sentence, const char *file, int line);

#endif
