/* SPDX-License-Identifier: BSD-3-Clause */
/* Joins the occurrences of a cron entry, an interval and a single instant into one set. */
#include "core/timing.h"

#include <assert.h>

static void check(const struct timing *timing)
{
	assert(!timing->has_once || (!timing->has_cron && !timing->has_interval));
	assert(!timing->has_cron || timing->zone);
	assert(!timing->has_interval || timing->period_us > 0);
}

bool timing_next(const struct timing *timing, struct wall after, struct wall *at)
{
	struct wall found[3];
	int n = 0;

	check(timing);
	if (timing->has_cron && cron_next(&timing->cron, timing->zone, after, &found[n]))
		n++;
	if (timing->has_interval && interval_next(timing->anchor, timing->period_us, after, &found[n]))
		n++;
	if (timing->has_once && wall_is_after(timing->once_at, after))
		found[n++] = timing->once_at;
	for (int i = 0; i < n; i++)
		if (i == 0 || wall_is_after(*at, found[i]))
			*at = found[i];
	assert(n == 0 || wall_is_after(*at, after));
	return n > 0;
}

bool timing_previous(const struct timing *timing, struct wall until, struct wall *at)
{
	struct wall found[3];
	int n = 0;

	check(timing);
	if (timing->has_cron && cron_previous(&timing->cron, timing->zone, until, &found[n]))
		n++;
	if (timing->has_interval && interval_previous(timing->anchor, timing->period_us, until, &found[n]))
		n++;
	if (timing->has_once && !wall_is_after(timing->once_at, until))
		found[n++] = timing->once_at;
	for (int i = 0; i < n; i++)
		if (i == 0 || wall_is_after(found[i], *at))
			*at = found[i];
	assert(n == 0 || !wall_is_after(*at, until));
	return n > 0;
}

/* Cron occurrences are whole seconds; a grid may have none of those. */
static bool grid_has_whole_seconds(const struct timing *timing)
{
	int64_t a = timing->period_us, b = US_PER_SECOND;

	while (b != 0) {
		int64_t rest = a % b;

		a = b;
		b = rest;
	}
	return timing->anchor.us % a == 0;
}

/* Instants in (after, until] that both parts name: each part in turn jumps to where the other one stands. */
static uint64_t count_shared(const struct timing *timing, struct wall after, struct wall until)
{
	uint64_t n = 0;
	struct wall cron_at, grid_at;

	if (!grid_has_whole_seconds(timing))
		return 0;
	while (cron_next(&timing->cron, timing->zone, after, &cron_at) && !wall_is_after(cron_at, until)) {
		if (!interval_next(timing->anchor, timing->period_us, wall_add_us(cron_at, -1), &grid_at) ||
		    wall_is_after(grid_at, until))
			break;
		if (grid_at.us == cron_at.us)
			n++;
		after = grid_at.us == cron_at.us ? cron_at : wall_add_us(grid_at, -1);
	}
	return n;
}

uint64_t timing_count(const struct timing *timing, struct wall after, struct wall until)
{
	uint64_t n = 0;

	check(timing);
	if (timing->has_cron)
		n += cron_count(&timing->cron, timing->zone, after, until);
	if (timing->has_interval)
		n += interval_count(timing->anchor, timing->period_us, after, until);
	if (timing->has_cron && timing->has_interval)
		n -= count_shared(timing, after, until);
	if (timing->has_once && wall_is_after(timing->once_at, after) && !wall_is_after(timing->once_at, until))
		n++;
	return n;
}
