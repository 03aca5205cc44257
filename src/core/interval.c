/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads "5 minutes" and does the arithmetic of a grid of instants.
 *
 * Grid instant number n, counted from 1, is anchor + n x period. All sums are made so that they cannot overflow: the
 * grid ends with the year 9999. */
#include "core/interval.h"

#include <assert.h>

#include "core/words.h"

enum { COUNT_MAX = INT32_MAX };

struct period {
	const char *plural;
	int64_t us;
};

static const struct period periods[] = {
	{ "days", US_PER_DAY },	      { "hours", 60 * US_PER_MINUTE }, { "minutes", US_PER_MINUTE },
	{ "seconds", US_PER_SECOND }, { "microseconds", 1 },
};

static int64_t period_find(struct str word)
{
	for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++) {
		struct str plural = str_from(periods[i].plural);

		if (str_equal(word, plural) || str_equal(word, str_slice(plural, 0, plural.n - 1)))
			return periods[i].us;
	}
	return 0;
}

enum interval_verdict interval_parse(struct str text, int64_t *period_us)
{
	struct str number = words_next(&text);
	struct str unit = words_next(&text);
	int64_t count;

	if (!unit.p || words_next(&text).p || !words_to_integer(number, &count))
		return INTERVAL_BAD_TEXT;

	int64_t unit_us = period_find(unit);

	if (unit_us == 0)
		return INTERVAL_BAD_PERIOD;
	if (count > COUNT_MAX || count < -COUNT_MAX)
		return INTERVAL_TOO_LARGE;
	if (__builtin_mul_overflow(count, unit_us, period_us))
		*period_us = count < 0 ? INT64_MIN : INT64_MAX;
	return INTERVAL_OK;
}

/* How many grid instants lie at or before `until`. */
static int64_t grid_index(struct wall anchor, int64_t period_us, struct wall until)
{
	assert(period_us > 0);
	assert(anchor.us >= WALL_US_MIN && anchor.us <= WALL_US_MAX);

	if (until.us <= anchor.us)
		return 0;
	return (until.us > WALL_US_MAX ? WALL_US_MAX - anchor.us : until.us - anchor.us) / period_us;
}

bool interval_next(struct wall anchor, int64_t period_us, struct wall after, struct wall *at)
{
	int64_t index = grid_index(anchor, period_us, after) + 1;

	if (index > (WALL_US_MAX - anchor.us) / period_us)
		return false;
	*at = wall_add_us(anchor, index * period_us);
	assert(wall_is_after(*at, after));
	return true;
}

bool interval_previous(struct wall anchor, int64_t period_us, struct wall until, struct wall *at)
{
	int64_t index = grid_index(anchor, period_us, until);

	if (index == 0)
		return false;
	*at = wall_add_us(anchor, index * period_us);
	assert(!wall_is_after(*at, until));
	return true;
}

uint64_t interval_count(struct wall anchor, int64_t period_us, struct wall after, struct wall until)
{
	int64_t count = grid_index(anchor, period_us, until) - grid_index(anchor, period_us, after);

	return count > 0 ? (uint64_t)count : 0;
}
