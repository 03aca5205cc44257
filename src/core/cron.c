/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds the instants of a cron entry in a zone.
 *
 * Readings of a local clock ("local seconds", counted as if the clock showed UTC) either match the entry or not; that
 * part knows no zone and goes month by month. What a match means in time depends on the hour field (P9):
 *  - it restricts: a match fires at the first instant at which the local clock shows it or anything later. So a match
 * in a gap fires when the gap ends, matches in one gap fire together, and a match in an overlap fires the first time
 * only. With the highest reading that the clock has shown up to an instant, "next" is the first match above it:
 * strictly later by construction.
 *  - it starts with '*': every instant at which the local clock shows a match. Walked span by span of constant offset.
 * No loop here depends on anything but the calendar's 1,560 months and the changes of the zone on the way. */
#include "core/cron.h"

#include <assert.h>

#include "core/civil.h"

enum {
	SECONDS_PER_DAY = 86400,
	MARGIN_S = 3 * SECONDS_PER_DAY,
	OFFSETS_APART_S = ZONE_OFFSET_S_MAX - ZONE_OFFSET_S_MIN
};

/* Local seconds of the first and the last reading that can match. */
#define LOCAL_S_MIN INT64_C(0)
#define LOCAL_S_MAX INT64_C(4102444799)

/* ---- Days of a month, as bits 1 to 31 ---- */

static uint32_t bits_up_to(int32_t n)
{
	return (UINT32_C(2) << n) - 1;
}

/* The workday nearest to `day` inside the month, 0 when the month has no such day. */
static int32_t workday_near(int32_t day, int32_t days_n, int32_t weekday_of_first)
{
	if (day > days_n)
		return 0;

	int32_t weekday = (weekday_of_first + day - 1) % 7;

	if (weekday == 6)
		return day > 1 ? day - 1 : day + 2;
	if (weekday == 0)
		return day < days_n ? day + 1 : day - 2;
	return day;
}

static uint32_t days_by_date(const struct cron *cron, int32_t days_n, int32_t weekday_of_first)
{
	uint32_t days = cron->days;

	if (cron->day_last)
		days |= UINT32_C(1) << days_n;
	for (uint32_t rest = cron->workdays_near; rest; rest &= rest - 1)
		days |= UINT32_C(1) << workday_near(__builtin_ctz(rest), days_n, weekday_of_first);
	if (cron->workday_last) {
		int32_t weekday = (weekday_of_first + days_n - 1) % 7;

		days |= UINT32_C(1) << (days_n - (weekday == 6 ? 1 : weekday == 0 ? 2 : 0));
	}
	return days;
}

static uint32_t days_by_weekday(const struct cron *cron, int32_t days_n, int32_t weekday_of_first)
{
	const uint32_t every_week = 1U << 1 | 1U << 8 | 1U << 15 | 1U << 22 | 1U << 29;
	uint32_t days = 0;

	for (int32_t weekday = 0; weekday < 7; weekday++) {
		int32_t before_first = (weekday - weekday_of_first + 7) % 7;
		/* Bits of a sixth week fall off the end and are none of this weekday's dates. */
		uint32_t all = every_week << before_first & bits_up_to(days_n);
		uint32_t nth = (uint32_t)(cron->weekdays_nth >> (weekday * 5)) & 31;

		if (cron->weekdays >> weekday & 1)
			days |= all;
		if (cron->weekdays_last >> weekday & 1)
			days |= UINT32_C(1) << (31 - __builtin_clz(all));
		for (; nth; nth &= nth - 1)
			days |= all & (uint32_t)(UINT64_C(1) << (before_first + 1 + 7 * __builtin_ctz(nth)));
	}
	return days;
}

static bool year_matches(const struct cron *cron, int32_t year)
{
	assert(year >= CRON_YEAR_MIN && year <= CRON_YEAR_MAX);
	return cron->years[(year - CRON_YEAR_MIN) / 64] >> (year - CRON_YEAR_MIN) % 64 & 1;
}

/* All matching days of that month; none when the month or the year does not match. */
static uint32_t month_days(const struct cron *cron, int32_t year, int32_t month)
{
	if (!year_matches(cron, year) || !(cron->months >> month & 1))
		return 0;

	int32_t days_n = civil_days_in_month(year, month);
	int32_t weekday_of_first = civil_weekday(civil_to_days(year, month, 1));
	uint32_t by_date = days_by_date(cron, days_n, weekday_of_first);
	uint32_t by_weekday = days_by_weekday(cron, days_n, weekday_of_first);
	uint32_t days = cron->day_is_open || cron->weekday_is_open ? by_date & by_weekday : by_date | by_weekday;

	return days & bits_up_to(days_n) & ~UINT32_C(1);
}

/* ---- Times of a day ---- */

/* The lowest set bit at or above `from`, -1 without. */
static int32_t bit_at_or_above(uint64_t bits, int32_t from)
{
	bits = bits >> from << from;
	return bits ? __builtin_ctzll(bits) : -1;
}

/* The highest set bit at or below `from`, -1 without; `from` may be -1. */
static int32_t bit_at_or_below(uint64_t bits, int32_t from)
{
	bits = from >= 0 ? bits << (63 - from) >> (63 - from) : 0;
	return bits ? 63 - __builtin_clzll(bits) : -1;
}

static int32_t time_join(int32_t hour, int32_t minute, int32_t second)
{
	return hour * 3600 + minute * 60 + second;
}

static int32_t time_first(const struct cron *cron)
{
	return time_join(bit_at_or_above(cron->hours, 0), bit_at_or_above(cron->minutes, 0),
			 bit_at_or_above(cron->seconds, 0));
}

static int32_t time_last(const struct cron *cron)
{
	return time_join(bit_at_or_below(cron->hours, 23), bit_at_or_below(cron->minutes, 59),
			 bit_at_or_below(cron->seconds, 59));
}

/* The first matching time of day at or after `from`, -1 without. */
static int32_t time_next(const struct cron *cron, int32_t from)
{
	int32_t hour = from / 3600, minute = from / 60 % 60;

	if (cron->hours >> hour & 1) {
		if (cron->minutes >> minute & 1) {
			int32_t second = bit_at_or_above(cron->seconds, from % 60);

			if (second >= 0)
				return time_join(hour, minute, second);
		}
		minute = bit_at_or_above(cron->minutes, minute + 1);
		if (minute >= 0)
			return time_join(hour, minute, bit_at_or_above(cron->seconds, 0));
	}
	hour = bit_at_or_above(cron->hours, hour + 1);
	return hour >= 0 ? hour * 3600 + time_first(cron) % 3600 : -1;
}

/* The last matching time of day at or before `until`, -1 without. */
static int32_t time_previous(const struct cron *cron, int32_t until)
{
	int32_t hour = until / 3600, minute = until / 60 % 60;

	if (cron->hours >> hour & 1) {
		if (cron->minutes >> minute & 1) {
			int32_t second = bit_at_or_below(cron->seconds, until % 60);

			if (second >= 0)
				return time_join(hour, minute, second);
		}
		minute = bit_at_or_below(cron->minutes, minute - 1);
		if (minute >= 0)
			return time_join(hour, minute, bit_at_or_below(cron->seconds, 59));
	}
	hour = bit_at_or_below(cron->hours, hour - 1);
	return hour >= 0 ? hour * 3600 + time_last(cron) % 3600 : -1;
}

/* How many matching times of day lie before `end`, which may be the end of the day. */
static int64_t times_before(const struct cron *cron, int32_t end)
{
	int32_t hour = end / 3600, minute = end / 60 % 60, second = end % 60;
	int64_t seconds_n = __builtin_popcountll(cron->seconds);
	int64_t minutes_n = __builtin_popcountll(cron->minutes);
	int64_t n = __builtin_popcount(cron->hours & ((UINT32_C(1) << hour) - 1)) * minutes_n * seconds_n;

	if (!(cron->hours >> hour & 1))
		return n;
	n += __builtin_popcountll(cron->minutes & ((UINT64_C(1) << minute) - 1)) * seconds_n;
	if (!(cron->minutes >> minute & 1))
		return n;
	return n + __builtin_popcountll(cron->seconds & ((UINT64_C(1) << second) - 1));
}

/* ---- Matching readings of a local clock, no zone involved ---- */

static int64_t floor_days(int64_t local_s)
{
	return local_s / SECONDS_PER_DAY - (local_s % SECONDS_PER_DAY < 0);
}

static bool year_month_step(int32_t *year, int32_t *month, int32_t step)
{
	*month += step;
	if (*month < 1 || *month > 12) {
		*year += step;
		*month = step > 0 ? 1 : 12;
	}
	return *year >= CRON_YEAR_MIN && *year <= CRON_YEAR_MAX;
}

/* The first matching reading at or after `from`. */
static bool local_next(const struct cron *cron, int64_t from, int64_t *local_s)
{
	if (from < LOCAL_S_MIN)
		from = LOCAL_S_MIN;
	if (from > LOCAL_S_MAX)
		return false;

	int64_t today = floor_days(from);
	struct civil c = civil_from_days(today);
	uint32_t days = month_days(cron, c.year, c.month);

	if (days >> c.day & 1) {
		int32_t time = time_next(cron, (int32_t)(from - today * SECONDS_PER_DAY));

		if (time >= 0) {
			*local_s = today * SECONDS_PER_DAY + time;
			return true;
		}
	}
	days &= ~bits_up_to(c.day);
	while (!days) {
		if (!year_month_step(&c.year, &c.month, 1))
			return false;
		days = month_days(cron, c.year, c.month);
	}
	*local_s = civil_to_days(c.year, c.month, __builtin_ctz(days)) * SECONDS_PER_DAY + time_first(cron);
	return true;
}

/* The last matching reading at or before `until`. */
static bool local_previous(const struct cron *cron, int64_t until, int64_t *local_s)
{
	if (until > LOCAL_S_MAX)
		until = LOCAL_S_MAX;
	if (until < LOCAL_S_MIN)
		return false;

	int64_t today = floor_days(until);
	struct civil c = civil_from_days(today);
	uint32_t days = month_days(cron, c.year, c.month);

	if (days >> c.day & 1) {
		int32_t time = time_previous(cron, (int32_t)(until - today * SECONDS_PER_DAY));

		if (time >= 0) {
			*local_s = today * SECONDS_PER_DAY + time;
			return true;
		}
	}
	days &= bits_up_to(c.day - 1);
	while (!days) {
		if (!year_month_step(&c.year, &c.month, -1))
			return false;
		days = month_days(cron, c.year, c.month);
	}
	*local_s = civil_to_days(c.year, c.month, 31 - __builtin_clz(days)) * SECONDS_PER_DAY + time_last(cron);
	return true;
}

/* How many matching readings lie in [from, end). */
static int64_t local_count(const struct cron *cron, int64_t from, int64_t end)
{
	if (from < LOCAL_S_MIN)
		from = LOCAL_S_MIN;
	if (end > LOCAL_S_MAX + 1)
		end = LOCAL_S_MAX + 1;
	if (from >= end)
		return 0;

	int64_t per_day = (int64_t)__builtin_popcount(cron->hours) * __builtin_popcountll(cron->minutes) *
			  __builtin_popcountll(cron->seconds);
	int64_t first_day = floor_days(from), last_day = floor_days(end - 1);
	struct civil first = civil_from_days(first_day), last = civil_from_days(last_day);
	int64_t days_n = 0;
	struct civil c = first;
	bool is_last;

	/* All matching days whole, then what was too much at both ends. */
	do {
		uint32_t days = month_days(cron, c.year, c.month);

		is_last = c.year == last.year && c.month == last.month;
		if (c.year == first.year && c.month == first.month)
			days &= ~bits_up_to(first.day - 1);
		if (is_last)
			days &= bits_up_to(last.day);
		days_n += __builtin_popcount(days);
		year_month_step(&c.year, &c.month, 1);
	} while (!is_last);

	int64_t n = days_n * per_day;

	if (month_days(cron, first.year, first.month) >> first.day & 1)
		n -= times_before(cron, (int32_t)(from - first_day * SECONDS_PER_DAY));
	if (month_days(cron, last.year, last.month) >> last.day & 1)
		n -= per_day - times_before(cron, (int32_t)(end - last_day * SECONDS_PER_DAY));
	assert(n >= 0);
	return n;
}

/* ---- The hour field restricts: a local clock that only counts when it shows something new ---- */

/* The highest reading that the clock has shown up to and at `unix_s`. */
static int64_t high_reading(const struct zone *zone, int64_t unix_s)
{
	struct zone_span span = zone_span_at(zone, unix_s);
	int64_t high = unix_s + span.offset_s;

	/* Readings of earlier spans can only be higher when they are not further back than two offsets can lie apart.
	 */
	while (span.from_s > unix_s - OFFSETS_APART_S) {
		int64_t before = span.from_s - 1;

		span = zone_span_at(zone, before);
		if (before + span.offset_s > high)
			high = before + span.offset_s;
	}
	return high;
}

/* The first instant at which the clock shows `local_s` or later. */
static int64_t first_shown(const struct zone *zone, int64_t local_s)
{
	struct zone_span span = zone_span_at(zone, local_s - ZONE_OFFSET_S_MAX);

	while (local_s - span.offset_s >= span.until_s)
		span = zone_span_at(zone, span.until_s);

	int64_t unix_s = local_s - span.offset_s;

	return unix_s > span.from_s ? unix_s : span.from_s;
}

static bool once_next(const struct cron *cron, const struct zone *zone, int64_t after_s, int64_t *unix_s)
{
	int64_t local_s;

	if (!local_next(cron, high_reading(zone, after_s) + 1, &local_s))
		return false;
	*unix_s = first_shown(zone, local_s);
	return true;
}

static bool once_previous(const struct cron *cron, const struct zone *zone, int64_t until_s, int64_t *unix_s)
{
	int64_t local_s;

	if (!local_previous(cron, high_reading(zone, until_s), &local_s))
		return false;
	*unix_s = first_shown(zone, local_s);
	return true;
}

static int64_t once_count(const struct cron *cron, const struct zone *zone, int64_t after_s, int64_t until_s)
{
	int64_t n = local_count(cron, high_reading(zone, after_s) + 1, high_reading(zone, until_s) + 1);
	struct zone_span span = zone_span_at(zone, after_s);

	/* Everything from a gap, and the reading at its end, is one occurrence. */
	while (span.until_s <= until_s) {
		int64_t change = span.until_s;

		span = zone_span_at(zone, change);

		int64_t in_gap = local_count(cron, high_reading(zone, change - 1) + 1, change + span.offset_s + 1);

		if (in_gap > 1)
			n -= in_gap - 1;
	}
	return n;
}

/* ---- The hour field is open: every instant whose reading matches ---- */

static bool always_next(const struct cron *cron, const struct zone *zone, int64_t after_s, int64_t *unix_s)
{
	int64_t at = after_s + 1, local_s;

	for (;;) {
		struct zone_span span = zone_span_at(zone, at);

		if (!local_next(cron, at + span.offset_s, &local_s)) {
			/* Only a clock set back soon can show a match again. */
			if (span.until_s > at + OFFSETS_APART_S)
				return false;
			at = span.until_s;
			continue;
		}
		if (local_s - span.offset_s < span.until_s) {
			*unix_s = local_s - span.offset_s;
			return true;
		}
		/* A clock set back can show again what came before the reading at `at`, but only so far back. Beyond
		 * that nothing matches until the clock comes near local_s. */
		if (span.until_s > at + OFFSETS_APART_S && span.until_s < local_s - ZONE_OFFSET_S_MAX)
			at = local_s - ZONE_OFFSET_S_MAX;
		else
			at = span.until_s;
	}
}

static bool always_previous(const struct cron *cron, const struct zone *zone, int64_t until_s, int64_t *unix_s)
{
	int64_t at = until_s, local_s;

	for (;;) {
		struct zone_span span = zone_span_at(zone, at);

		if (!local_previous(cron, at + span.offset_s, &local_s)) {
			if (span.from_s < at - OFFSETS_APART_S)
				return false;
			at = span.from_s - 1;
			continue;
		}
		if (local_s - span.offset_s >= span.from_s) {
			*unix_s = local_s - span.offset_s;
			return true;
		}
		if (span.from_s < at - OFFSETS_APART_S && span.from_s > local_s - ZONE_OFFSET_S_MIN)
			at = local_s - ZONE_OFFSET_S_MIN;
		else
			at = span.from_s - 1;
	}
}

static int64_t always_count(const struct cron *cron, const struct zone *zone, int64_t after_s, int64_t until_s)
{
	int64_t n = 0;

	for (int64_t from = after_s + 1; from <= until_s;) {
		struct zone_span span = zone_span_at(zone, from);
		int64_t end = span.until_s <= until_s ? span.until_s : until_s + 1;

		n += local_count(cron, from + span.offset_s, end + span.offset_s);
		from = end;
	}
	return n;
}

/* ---- What the header promises ---- */

/* Whole seconds, rounded down, kept near the years that an entry can name. */
static int64_t clamp_seconds(struct wall at)
{
	int64_t s = at.us / US_PER_SECOND - (at.us % US_PER_SECOND < 0);

	if (s < LOCAL_S_MIN - MARGIN_S)
		return LOCAL_S_MIN - MARGIN_S;
	return s > LOCAL_S_MAX + MARGIN_S ? LOCAL_S_MAX + MARGIN_S : s;
}

bool cron_ever_occurs(const struct cron *cron)
{
	int64_t local_s;

	return local_next(cron, LOCAL_S_MIN, &local_s);
}

bool cron_next(const struct cron *cron, const struct zone *zone, struct wall after, struct wall *at)
{
	int64_t after_s = clamp_seconds(after), unix_s;

	if (!(cron->hour_is_open ? always_next : once_next)(cron, zone, after_s, &unix_s))
		return false;
	at->us = unix_s * US_PER_SECOND;
	assert(wall_is_after(*at, after));
	return true;
}

bool cron_previous(const struct cron *cron, const struct zone *zone, struct wall until, struct wall *at)
{
	int64_t until_s = clamp_seconds(until), unix_s;

	if (!(cron->hour_is_open ? always_previous : once_previous)(cron, zone, until_s, &unix_s))
		return false;
	at->us = unix_s * US_PER_SECOND;
	assert(!wall_is_after(*at, until));
	return true;
}

uint64_t cron_count(const struct cron *cron, const struct zone *zone, struct wall after, struct wall until)
{
	int64_t after_s = clamp_seconds(after), until_s = clamp_seconds(until);

	if (until_s <= after_s)
		return 0;

	int64_t n = (cron->hour_is_open ? always_count : once_count)(cron, zone, after_s, until_s);

	assert(n >= 0);
	return (uint64_t)n;
}
