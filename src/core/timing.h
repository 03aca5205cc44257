/* SPDX-License-Identifier: BSD-3-Clause */
/* When a schedule fires: a cron entry in a zone, an interval grid, both together, or one instant. Pure.
 *
 * The occurrences of a timing are the union of its parts: one set of instants, strictly increasing; an instant that
 * both parts name is one occurrence. */
#ifndef CORE_TIMING_H
#define CORE_TIMING_H

#include "core/cron.h"
#include "core/interval.h"
#include "core/zone.h"

struct timing {
	bool has_cron, has_interval, has_once; /* has_once only without the other two */
	struct cron cron;
	const struct zone *zone; /* borrowed; not NULL when has_cron */
	struct wall anchor;	 /* of the interval */
	int64_t period_us;
	struct wall once_at;
};

/* The first occurrence strictly after `after`; false when there is none. */
bool timing_next(const struct timing *timing, struct wall after, struct wall *at);
/* The last occurrence at or before `until`. */
bool timing_previous(const struct timing *timing, struct wall until, struct wall *at);
/* Occurrences in (after, until]. Constant memory; time grows with the months in between, and where cron and interval
 * can fall on the same instants (a grid on whole seconds) with the occurrences of the rarer one of them. */
uint64_t timing_count(const struct timing *timing, struct wall after, struct wall until);

#endif
