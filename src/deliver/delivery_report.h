/* SPDX-License-Identifier: BSD-3-Clause */
/* What delivery tells the operator about its work: metrics and one log line for each failed attempt and each run
 * that is over; for debugging also one that says when a failed run is tried again. Decides nothing. */
#ifndef DELIVER_DELIVERY_REPORT_H
#define DELIVER_DELIVERY_REPORT_H

#include "core/outcome.h"
#include "core/run.h"
#include "deliver/dispatcher.h"
#include "deliver/clock_watch.h"

/* The attempt ended. One that was not sent is no attempt: it is logged and not counted. */
void report_attempt(const struct run *run, uint32_t attempt, const struct outcome *outcome);
/* What came of the run is on disk. */
void report_recorded(const struct run_record *record);
void report_clock(enum clock_change change, int64_t by_us, struct wall now);
void report_counts(const struct dispatcher_counts *counts, int64_t oldest_due_us, int64_t turn_us_max);

#endif
