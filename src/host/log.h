/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: Holm's own words, always on stderr, never on stdout (which belongs to the guest).
 *
 * Silent by default: only LOG_WARN and above show. Guest-caused messages go through log_limited,
 * which counts and lets ten a second through per call site.
 *
 * Context: any thread.
 */
#ifndef HOST_LOG_H
#define HOST_LOG_H

#include "lib/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_limit {
	u64 window; /* second in which `count` was counted */
	u32 count;
};

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* One line: "holm: <text>\n", written with a single write(2). */
void log_line(enum log_level level, const char *fmt, ...) format_fn(2, 3);
void log_limited(struct log_limit *limit, const char *fmt, ...) format_fn(2, 3);

/* For what a guest did wrong. */
#define LOG_GUEST(...)                                                                             \
	do {                                                                                       \
		static struct log_limit log_limit_here;                                            \
		log_limited(&log_limit_here, __VA_ARGS__);                                         \
	} while (0)

#endif
