/* SPDX-License-Identifier: BSD-3-Clause */
/* Intervals: the text means what an independent reading of plain ASCII finds; the grid's next, previous and count agree
 * with arithmetic in 128 bits. */
#include "fuzz.h"

#include <stdio.h>

#include "core/interval.h"

static __int128 floor_div(__int128 a, __int128 b)
{
	return a / b - (a % b < 0);
}

/* The grid instant at or before `until`, as its number; 0 = none. */
static __int128 index_at(struct wall anchor, int64_t period_us, struct wall until)
{
	__int128 last = ((__int128)WALL_US_MAX - anchor.us) / period_us;
	__int128 index = floor_div((__int128)until.us - anchor.us, period_us);

	return index < 0 ? 0 : index > last ? last : index;
}

static void check_grid(struct wall anchor, int64_t period_us, struct wall after, struct wall until)
{
	__int128 index = index_at(anchor, period_us, after), next_us = anchor.us + (index + 1) * period_us;
	__int128 count = index_at(anchor, period_us, until) - index;
	struct wall at, found;

	assert(interval_next(anchor, period_us, after, &at) == (next_us <= WALL_US_MAX));
	if (next_us <= WALL_US_MAX) {
		assert(at.us == next_us && at.us > after.us);
		assert(interval_previous(anchor, period_us, at, &found) && found.us == at.us);
		assert(interval_count(anchor, period_us, after, at) == 1);
	}
	assert(interval_previous(anchor, period_us, until, &at) == (index_at(anchor, period_us, until) > 0));
	if (index_at(anchor, period_us, until) > 0)
		assert(at.us == anchor.us + index_at(anchor, period_us, until) * period_us && at.us <= until.us);
	assert(interval_count(anchor, period_us, after, until) == (count > 0 ? (uint64_t)count : 0));
}

/* "<digits> <unit>" as plain as it can be; other forms are not judged here. */
static void check_plain(struct str text, enum interval_verdict verdict, int64_t period_us)
{
	static const struct {
		const char *name;
		int64_t us;
	} units[] = { { "day", 86400000000 },
		      { "hour", 3600000000 },
		      { "minute", 60000000 },
		      { "second", 1000000 },
		      { "microsecond", 1 } };
	struct str unit, number = str_split(text, ' ', &unit);
	uint64_t count;

	if (number.n > 10 || !str_to_u64(number, &count))
		return;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		struct str name = str_from(units[i].name);

		if (!str_starts_with(unit, name) ||
		    (unit.n != name.n && !str_equal(str_slice(unit, name.n, 9), STR("s"))))
			continue;
		__int128 product = (__int128)count * units[i].us;

		assert(verdict == (count > INT32_MAX ? INTERVAL_TOO_LARGE : INTERVAL_OK));
		assert(verdict != INTERVAL_OK || period_us == (product > INT64_MAX ? INT64_MAX : (int64_t)product));
	}
}

static void check_written_out(int64_t period_us)
{
	char text[64];
	int64_t again;

	if (period_us > INT32_MAX || period_us < -INT32_MAX)
		return;
	snprintf(text, sizeof text, "\t%lld \n microsecond ", (long long)period_us);
	assert(interval_parse(str_from(text), &again) == INTERVAL_OK && again == period_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct wall anchor = { fuzz_take_between(&in, WALL_US_MIN, WALL_US_MAX) };
	struct wall after = { fuzz_take_between(&in, WALL_US_MIN - US_PER_DAY, WALL_US_MAX + US_PER_DAY) };
	struct wall until = { fuzz_take_between(&in, WALL_US_MIN - US_PER_DAY, WALL_US_MAX + US_PER_DAY) };
	int64_t free_period_us = fuzz_take_i64(&in), period_us = 0;
	struct str text = fuzz_rest(&in);
	enum interval_verdict verdict = interval_parse(text, &period_us);

	check_plain(text, verdict, period_us);
	if (verdict == INTERVAL_OK)
		check_written_out(period_us);
	if (verdict == INTERVAL_OK && period_us > 0)
		check_grid(anchor, period_us, after, until);
	if (free_period_us > 0)
		check_grid(anchor, free_period_us, after, until);
	fuzz_free(text);
	return 0;
}
