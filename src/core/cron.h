/* SPDX-License-Identifier: BSD-3-Clause */
/* The cron dialect of docs/design/time.md: text to bit sets, bit sets to instants. Pure.
 *
 * 5 fields: minute hour day month weekday; 6: those and year; 7: second first and year last. `H` is a hash of the
 * schedule's id, so that it is stable per schedule. Day and weekday both restricted: either matches, crontab(5). */
#ifndef CORE_CRON_H
#define CORE_CRON_H

#include "base/instant.h"
#include "base/str.h"
#include "core/zone.h"

enum { CRON_YEAR_MIN = 1970, CRON_YEAR_MAX = 2099 };

struct cron {
	uint64_t seconds; /* bit n: second n */
	uint64_t minutes;
	uint32_t hours;
	uint32_t days;	   /* bits 1-31 */
	uint32_t months;   /* bits 1-12 */
	uint32_t weekdays; /* bits 0-6, 0 = Sunday */
	uint64_t years[3]; /* bit (year - 1970) */
	/* L, W and #: days that depend on the month. */
	uint32_t workdays_near;		   /* bits 1-31: nW */
	uint64_t weekdays_nth;		   /* bit weekday * 5 + (n - 1): weekday#n */
	uint32_t weekdays_last;		   /* bits 0-6: fril */
	bool day_last, workday_last;	   /* L, LW */
	bool day_is_open, weekday_is_open; /* the field starts with '*', or is '?': it does not restrict */
	bool hour_is_open;		   /* the hour field starts with '*': real elapsed time through DST (P9) */
};

enum { CRON_PROBLEM_BYTES_MAX = 1280 };

struct cron_problem {
	/* The reason alone, in the words that clients know; the caller puts "<value> is not a valid crontab string: "
	 * first. Zero-terminated; UTF-8 when the entry was. Cut when a field quoted in it is very long. */
	char text[CRON_PROBLEM_BYTES_MAX];
};

/* `seed`: the first 8 bytes of the schedule's id as a number, for H. False: *problem is filled and *cron is not
 * touched. */
bool cron_parse(struct str text, uint64_t seed, struct cron *cron, struct cron_problem *problem);
/* There is an instant in 1970-2099 that matches, whatever the zone. `0 0 30 2 *` has none. */
bool cron_ever_occurs(const struct cron *cron);

/* The occurrences of an entry in a zone form a strictly increasing set of whole seconds (P9 says which). */
/* The first occurrence strictly after `after`; false when there is none up to the end of 2099. */
bool cron_next(const struct cron *cron, const struct zone *zone, struct wall after, struct wall *at);
/* The last occurrence at or before `until`; false when there is none since 1970. */
bool cron_previous(const struct cron *cron, const struct zone *zone, struct wall until, struct wall *at);
/* How many occurrences lie in (after, until], in time that grows with the months in between, not with the count. */
uint64_t cron_count(const struct cron *cron, const struct zone *zone, struct wall after, struct wall until);

#endif
