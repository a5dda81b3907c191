/* SPDX-License-Identifier: Apache-2.0 */
/* metrics: see metrics.h. */
#include "host/metrics.h"

const struct metric_row metric_table[] = {
#define METRIC(name, kind, text) {#name, METRIC_##kind, text, offsetof(struct metrics, name)},
#include "host/metrics.def"
#undef METRIC
};
const unsigned metric_count = ARRAY_LEN(metric_table);
