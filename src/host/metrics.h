/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: the lines of metrics.def as a struct and as a table.
 *
 * Entered by: engines (fill it), vm (reads it), api and prog (print it). Const table.
 *
 * Context: any.
 */
#ifndef HOST_METRICS_H
#define HOST_METRICS_H

#include "lib/types.h"

struct metrics {
#define METRIC(name, kind, text) u64 name;
#include "host/metrics.def"
#undef METRIC
};

enum metric_kind { METRIC_COUNT, METRIC_SIZE };

struct metric_row {
	const char *name;
	enum metric_kind kind;
	const char *text;
	size_t offset; /* in struct metrics */
};

extern const struct metric_row metric_table[];
extern const unsigned metric_count;

static inline u64 metric_value(const struct metrics *metrics, const struct metric_row *row)
{
	return *(const u64 *)(const void *)((const u8 *)metrics + row->offset);
}

#endif
