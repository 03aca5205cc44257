/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers the service shows on GET /metrics (Prometheus text format 0.0.4), in one table: metrics.def.
 *
 * Counters and gauges are relaxed atomics: any thread may add, a scrape costs the same however many schedules there are.
 * No label ever holds a schedule, a user or a URL. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#include "base/buf.h"

/* metrics.def rows: COUNTER(ID, "name", "labels or empty", "help") GAUGE(…) HISTOGRAM(ID, "name", "help"): a histogram's
 * samples are microseconds, shown in seconds, and so is a gauge whose ID ends in _US. Rows of one name stand together. */
enum metric {
#define COUNTER(id, name, labels, help) METRIC_##id,
#define GAUGE(id, name, labels, help) METRIC_##id,
#define HISTOGRAM(id, name, help)
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
	METRIC_N
};

enum histogram {
#define COUNTER(id, name, labels, help)
#define GAUGE(id, name, labels, help)
#define HISTOGRAM(id, name, help) HISTOGRAM_##id,
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
	HISTOGRAM_N
};

/* Any thread. */
void metric_add(enum metric id, int64_t n);
void metric_set(enum metric id, int64_t value);
int64_t metric_get(enum metric id);
void histogram_observe_us(enum histogram id, int64_t us);
/* Shown as a label of seed_tzdata_info. Call before threads start. */
void metrics_set_tzdata_version(const char *version);
/* The whole page, process_* included (read from /proc/self and getrusage(2)). */
void metrics_render(struct buf *page);

#endif
