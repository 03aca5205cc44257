/* SPDX-License-Identifier: BSD-3-Clause */
/* Cron entries: what is refused is refused with words and changes nothing; the occurrences of what is accepted strictly
 * increase, all match, miss nothing in between, and next, previous and count tell the same story. */
#include "fuzz.h"

#include "base/text.h"
#include "core/civil.h"
#include "core/cron.h"

enum { STEPS = 12, SCAN_STEPS = 1500, ZONES_N = 4 };

#define FROM_S INT64_C(-400000000)
#define UNTIL_S INT64_C(4200000000)

/* Independent of the folder of zones: one with the usual changes, one of half an hour, one that never changes. */
static const struct zone *zone_of(struct arena *arena, unsigned which)
{
	static const char *const footers[ZONES_N] = { NULL, "CET-1CEST,M3.5.0,M10.5.0/3",
						      "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "<-0330>3:30" };
	struct buf bytes;
	const struct zone *zone;

	if (!footers[which])
		return zone_utc();
	buf_init(&bytes, 512);
	fuzz_add_zone_file(&bytes, 0, footers[which]);
	zone = zone_read(arena, buf_str(&bytes));
	assert(zone);
	buf_release(&bytes);
	return zone;
}

/* ---- an independent reading of the bit sets ---- */

static int32_t weekday_of(const struct civil *c, int32_t day)
{
	return civil_weekday(civil_to_days(c->year, c->month, day));
}

/* The workday of the month that is nearest to day n. */
static int32_t nearest_workday(const struct civil *c, int32_t n, int32_t days_n)
{
	for (int32_t far = 0; far <= 2; far++)
		for (int32_t side = -1; side <= 1; side += 2) {
			int32_t day = n + side * far;

			if (day >= 1 && day <= days_n && weekday_of(c, day) % 6 != 0)
				return day;
		}
	return 0;
}

static bool day_matches(const struct cron *cron, const struct civil *c)
{
	int32_t days_n = civil_days_in_month(c->year, c->month), weekday = weekday_of(c, c->day);
	bool by_date = (cron->days >> c->day & 1) || (cron->day_last && c->day == days_n);
	bool by_weekday = (cron->weekdays >> weekday & 1) ||
			  (cron->weekdays_nth >> (weekday * 5 + (c->day - 1) / 7) & 1) ||
			  ((cron->weekdays_last >> weekday & 1) && c->day + 7 > days_n);

	if (cron->workday_last && c->day == nearest_workday(c, days_n, days_n))
		by_date = true;
	for (int32_t n = 1; n <= days_n && !by_date; n++)
		by_date = (cron->workdays_near >> n & 1) && nearest_workday(c, n, days_n) == c->day;
	return cron->day_is_open || cron->weekday_is_open ? by_date && by_weekday : by_date || by_weekday;
}

static bool matches(const struct cron *cron, int64_t local_s)
{
	struct civil c = civil_from_seconds(local_s);

	return c.year >= CRON_YEAR_MIN && c.year <= CRON_YEAR_MAX && (cron->seconds >> c.second & 1) &&
	       (cron->minutes >> c.minute & 1) && (cron->hours >> c.hour & 1) && (cron->months >> c.month & 1) &&
	       (cron->years[(c.year - 1970) / 64] >> (c.year - 1970) % 64 & 1) && day_matches(cron, &c);
}

/* The reading matches, or a gap ends here that swallowed one that does. */
static bool occurs_at(const struct cron *cron, const struct zone *zone, int64_t unix_s)
{
	int64_t local_s = unix_s + zone_offset_at(zone, unix_s), before_s = unix_s + zone_offset_at(zone, unix_s - 1);

	if (matches(cron, local_s))
		return true;
	for (int64_t skipped = before_s; !cron->hour_is_open && skipped < local_s; skipped++)
		if (matches(cron, skipped))
			return true;
	return false;
}

/* In UTC nothing matches strictly between the two, as far as a scan of bounded length can see. */
static void check_nothing_between(const struct cron *cron, int64_t after_s, int64_t until_s)
{
	int64_t step = cron->seconds == 1 ? 60 : 1, at = after_s + 1;

	at += step == 60 ? ((-at) % 60 + 60) % 60 : 0;
	for (unsigned i = 0; i < SCAN_STEPS && at < until_s; i++, at += step)
		assert(!matches(cron, at));
}

/* ---- the text ---- */

static void check_refusal(struct str text, const struct cron_problem *problem, const struct cron *cron)
{
	struct cron untouched;

	memset(&untouched, 0x5a, sizeof untouched);
	assert(memcmp(cron, &untouched, sizeof untouched) == 0);

	size_t n = strnlen(problem->text, CRON_PROBLEM_BYTES_MAX);

	assert(n > 0 && n < CRON_PROBLEM_BYTES_MAX);
	assert(!utf8_is_valid(text) || utf8_is_valid((struct str){ problem->text, n }));
}

/* Case and the amount of blanks do not matter. */
static void check_variants(struct str text, uint64_t seed, bool is_valid, const struct cron *cron)
{
	struct cron other = { 0 };
	struct cron_problem ignored;
	struct buf buf;

	buf_init(&buf, 2 * text.n + 2);
	buf_add_char(&buf, ' ');
	for (size_t i = 0; i < text.n; i++) {
		bool is_letter = (text.p[i] >= 'a' && text.p[i] <= 'z') || (text.p[i] >= 'A' && text.p[i] <= 'Z');

		buf_add_char(&buf, is_letter ? text.p[i] ^ 0x20 : text.p[i]);
		if (text.p[i] == ' ')
			buf_add_char(&buf, '\t');
	}
	assert(cron_parse(buf_str(&buf), seed, &other, &ignored) == is_valid);
	if (is_valid)
		assert(cron->seconds == other.seconds && cron->minutes == other.minutes && cron->hours == other.hours &&
		       cron->days == other.days && cron->months == other.months && cron->weekdays == other.weekdays &&
		       cron->workdays_near == other.workdays_near && cron->weekdays_nth == other.weekdays_nth &&
		       cron->weekdays_last == other.weekdays_last && cron->day_is_open == other.day_is_open);
	buf_release(&buf);
}

/* ---- the occurrences ---- */

static void check_occurrence(const struct cron *cron, const struct zone *zone, struct wall before, struct wall at)
{
	struct wall found;

	assert(at.us % US_PER_SECOND == 0 && wall_is_after(at, before));
	assert(occurs_at(cron, zone, at.us / US_PER_SECOND));
	assert(cron_previous(cron, zone, at, &found) && found.us == at.us);
	assert(cron_next(cron, zone, (struct wall){ at.us - 1 }, &found) && found.us == at.us);
	assert(!cron_previous(cron, zone, (struct wall){ at.us - 1 }, &found) || found.us <= before.us);
	assert(cron_count(cron, zone, before, at) == 1);
}

static void walk(const struct cron *cron, const struct zone *zone, struct wall after)
{
	struct wall before = after, at;
	uint64_t n = 0;

	for (; n < STEPS && cron_next(cron, zone, before, &at); n++) {
		check_occurrence(cron, zone, before, at);
		if (zone == zone_utc())
			check_nothing_between(cron, before.us / US_PER_SECOND - (before.us % US_PER_SECOND < 0),
					      at.us / US_PER_SECOND);
		before = at;
	}
	assert(cron_count(cron, zone, after, before) == n);
	assert(cron_ever_occurs(cron) || n == 0);
	if (n < STEPS)
		assert(cron_count(cron, zone, before, (struct wall){ UNTIL_S * US_PER_SECOND }) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned which = (unsigned)fuzz_take(&in, 1) % ZONES_N;
	uint64_t seed = fuzz_take(&in, 2);
	struct wall after = { (FROM_S + (int64_t)fuzz_take(&in, 4)) * US_PER_SECOND - (int64_t)(seed & 1) };
	struct str text = fuzz_rest(&in);
	struct arena arena = { 0 };
	struct cron_problem problem;
	struct cron cron;

	memset(&cron, 0x5a, sizeof cron);

	bool is_valid = cron_parse(text, seed, &cron, &problem);

	check_variants(text, seed, is_valid, &cron);
	if (is_valid)
		walk(&cron, zone_of(&arena, which), after);
	else
		check_refusal(text, &problem, &cron);
	arena_release(&arena);
	fuzz_free(text);
	return 0;
}
