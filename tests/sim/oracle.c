/* SPDX-License-Identifier: BSD-3-Clause */
/* Brute force over the minutes of a zone's clock. An entry with a restricted hour runs at the first minute that shows a
 * matching reading or comes behind a gap that had one, and not again when the clock shows the reading a second time; an
 * entry with an open hour runs whenever the clock shows a match. */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

/* From April 2029 to February 2032. */
#define TABLE_FROM_S INT64_C(1870000000)
#define TABLE_UNTIL_S INT64_C(1960000000)

enum { CHANGES_MAX = 6, MINUTE_S = 60, DAY_S = 86400, OVERLAP_S_MAX = 2 * 3600 };

/* By the rules of 2029 to 2031: the last Sundays of March and October in Europe, the second of March and the first of
 * November in New York, the first of April and October on Lord Howe, which moves by half an hour. */
struct oracle_zone {
	const char *name;
	int64_t before_s; /* the offset up to the first change */
	struct {
		int64_t at_s, offset_s;
	} changes[CHANGES_MAX];
};

static const struct oracle_zone zones[ORACLE_ZONES_N] = {
	{ "UTC", 0, { { 0, 0 } } },
	{ "Asia/Kolkata", 19800, { { 0, 0 } } },
	{ "Europe/Berlin",
	  7200,
	  { { 1887843600, 3600 },
	    { 1901149200, 7200 },
	    { 1919293200, 3600 },
	    { 1932598800, 7200 },
	    { 1950742800, 3600 } } },
	{ "America/New_York",
	  -14400,
	  { { 1888466400, -18000 },
	    { 1899356400, -14400 },
	    { 1919916000, -18000 },
	    { 1930806000, -14400 },
	    { 1951365600, -18000 } } },
	{ "Australia/Lord_Howe",
	  37800,
	  { { 1885995000, 39600 },
	    { 1901718000, 37800 },
	    { 1917444600, 39600 },
	    { 1933167600, 37800 },
	    { 1948894200, 39600 } } },
};

const char *oracle_zone_name(unsigned index)
{
	return index < ORACLE_ZONES_N ? zones[index].name : NULL;
}

bool oracle_zone_change(unsigned index, struct wall *at)
{
	for (unsigned zone = 0; zone < ORACLE_ZONES_N; zone++)
		for (unsigned i = 0; i < CHANGES_MAX && zones[zone].changes[i].at_s; i++)
			if (index-- == 0) {
				at->us = zones[zone].changes[i].at_s * US_PER_SECOND;
				return true;
			}
	return false;
}

static int64_t offset_s(const struct oracle_zone *zone, int64_t unix_s)
{
	int64_t offset = zone->before_s;

	for (unsigned i = 0; i < CHANGES_MAX && zone->changes[i].at_s && unix_s >= zone->changes[i].at_s; i++)
		offset = zone->changes[i].offset_s;
	return offset;
}

/* --- reading --- */

/* One field: lists of '*', numbers and ranges, each maybe with a step. */
static bool read_field(struct str text, int highest, uint64_t *bits)
{
	char copy[64], *rest = copy, *part;

	if (text.n == 0 || text.n >= sizeof copy)
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	*bits = 0;
	while ((part = strsep(&rest, ","))) {
		char *end;
		long low = 0, high = highest, step = 1;

		if (*part == '*') {
			end = part + 1;
		} else {
			low = high = strtol(part, &end, 10);
			if (end == part)
				return false;
			if (*end == '-')
				high = strtol(end + 1, &end, 10);
		}
		if (*end == '/')
			step = strtol(end + 1, &end, 10);
		if (*end || step < 1 || low < 0 || high > highest || low > high)
			return false;
		for (long n = low; n <= high; n += step)
			*bits |= UINT64_C(1) << n;
	}
	return true;
}

static struct str next_word(struct str *text)
{
	size_t from = 0, n;

	while (from < text->n && text->p[from] == ' ')
		from++;
	for (n = from; n < text->n && text->p[n] != ' ';)
		n++;
	struct str word = { text->p + from, n - from };

	*text = (struct str){ text->p + n, text->n - n };
	return word;
}

static bool is_star(struct str word)
{
	return word.n == 1 && word.p[0] == '*';
}

static bool read_cron(struct str text, struct str timezone, struct oracle *oracle)
{
	struct str minute = next_word(&text), hour = next_word(&text);

	for (unsigned i = 0; i < ORACLE_ZONES_N; i++)
		if (timezone.n == strlen(zones[i].name) && memcmp(timezone.p, zones[i].name, timezone.n) == 0)
			oracle->zone = &zones[i];
	oracle->is_hour_open = hour.n > 0 && hour.p[0] == '*';
	return oracle->zone && read_field(minute, 59, &oracle->minutes) && read_field(hour, 23, &oracle->hours) &&
	       is_star(next_word(&text)) && is_star(next_word(&text)) && is_star(next_word(&text)) &&
	       next_word(&text).n == 0;
}

static bool read_interval(struct str text, int64_t *period_us)
{
	static const struct {
		const char *name;
		int64_t us;
	} units[] = { { "second", US_PER_SECOND },
		      { "minute", US_PER_MINUTE },
		      { "hour", 60 * US_PER_MINUTE },
		      { "day", US_PER_DAY } };
	struct str number = next_word(&text), unit = next_word(&text);
	int64_t n = 0;

	for (size_t i = 0; i < number.n; i++)
		n = n * 10 + (number.p[i] - '0');
	for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++)
		if (unit.n >= strlen(units[i].name) && memcmp(unit.p, units[i].name, strlen(units[i].name)) == 0)
			*period_us = n * units[i].us;
	return n > 0 && *period_us > 0;
}

bool oracle_read(const struct schedule_definition *definition, struct wall anchor, struct oracle *oracle)
{
	*oracle =
		(struct oracle){ .has_interval = definition->interval.n > 0,
				 .has_cron = definition->cron.n > 0,
				 .anchor = anchor,
				 .once_at = definition->has_once ? definition->once_at : (struct wall){ WALL_US_MIN } };
	oracle->has_once = !oracle->has_interval && !oracle->has_cron;
	return (!oracle->has_interval || read_interval(definition->interval, &oracle->period_us)) &&
	       (!oracle->has_cron || read_cron(definition->cron, definition->timezone, oracle));
}

/* --- occurrences --- */

static bool is_match(const struct oracle *oracle, int64_t local_s)
{
	int64_t of_day = local_s % DAY_S;

	return of_day % MINUTE_S == 0 && oracle->hours >> (of_day / 3600) & 1 &&
	       oracle->minutes >> (of_day / 60 % 60) & 1;
}

/* The clock has shown this reading before: it was set back by so much lately. */
static bool is_shown_again(const struct oracle_zone *zone, int64_t unix_s)
{
	for (unsigned i = 0; i < CHANGES_MAX && zone->changes[i].at_s; i++) {
		int64_t at_s = zone->changes[i].at_s, back_s = offset_s(zone, at_s - 1) - offset_s(zone, at_s);

		if (unix_s >= at_s && unix_s - at_s < OVERLAP_S_MAX && unix_s < at_s + back_s)
			return true;
	}
	return false;
}

static bool is_cron_minute(const struct oracle *oracle, int64_t unix_s)
{
	int64_t offset = offset_s(oracle->zone, unix_s), before = offset_s(oracle->zone, unix_s - MINUTE_S);

	if (oracle->is_hour_open)
		return is_match(oracle, unix_s + offset);
	for (int64_t left_out = unix_s + before; left_out < unix_s + offset; left_out += MINUTE_S)
		if (is_match(oracle, left_out))
			return true;
	return is_match(oracle, unix_s + offset) && !is_shown_again(oracle->zone, unix_s);
}

static bool next_cron(const struct oracle *oracle, struct wall after, struct wall *at)
{
	int64_t minute_s = after.us / US_PER_MINUTE * MINUTE_S;

	/* A day has every reading, so two days are enough whatever the clock does. */
	for (int64_t end_s = minute_s + 2 * DAY_S; minute_s < end_s;) {
		minute_s += MINUTE_S;
		if (is_cron_minute(oracle, minute_s)) {
			at->us = minute_s * US_PER_SECOND;
			return true;
		}
	}
	return false;
}

static struct wall next_grid(const struct oracle *oracle, struct wall after)
{
	int64_t passed_us = after.us - oracle->anchor.us;
	int64_t n = passed_us < 0 ? 1 : passed_us / oracle->period_us + 1;

	return (struct wall){ oracle->anchor.us + n * oracle->period_us };
}

bool oracle_next(const struct oracle *oracle, struct wall after, struct wall *at)
{
	struct wall cron = { INT64_MAX }, grid = { INT64_MAX };

	if (oracle->has_once) {
		*at = oracle->once_at;
		return at->us > after.us;
	}
	if (oracle->has_cron && !next_cron(oracle, after, &cron))
		cron.us = INT64_MAX;
	if (oracle->has_interval)
		grid = next_grid(oracle, after);
	at->us = cron.us < grid.us ? cron.us : grid.us;
	return at->us != INT64_MAX;
}

bool oracle_covers(const struct oracle *oracle, struct wall at)
{
	bool is_fixed = !oracle->has_cron || oracle->zone->changes[0].at_s == 0;

	return is_fixed || (at.us >= TABLE_FROM_S * US_PER_SECOND && at.us <= TABLE_UNTIL_S * US_PER_SECOND);
}

bool oracle_is(const struct oracle *oracle, struct wall at)
{
	struct wall next;

	return oracle_next(oracle, (struct wall){ at.us - 1 }, &next) && next.us == at.us;
}

int64_t oracle_count(const struct oracle *oracle, struct wall from, struct wall to)
{
	struct wall at = { from.us - 1 };
	int64_t n = 0;

	if (oracle->has_interval && !oracle->has_cron)
		return (to.us - oracle->anchor.us) / oracle->period_us -
		       (from.us - 1 - oracle->anchor.us) / oracle->period_us;
	while (oracle_next(oracle, at, &at) && at.us <= to.us)
		n++;
	return n;
}
