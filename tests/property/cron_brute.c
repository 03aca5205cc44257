/* SPDX-License-Identifier: BSD-3-Clause */
/* Compares cron_next, cron_previous and cron_count with brute force, around changes of offset in all zones.
 *
 * The oracle takes the definition literally: it looks at every second (or minute, where that is the same) of some days,
 *asks what the local clock shows, and collects the set of instants that P9 names. It shares nothing with the code under
 *test but zone_offset_at, which oracle_time.py checks.
 *
 *	cron_brute [windows [seed]]
 *
 * One window is one zone, six days, and a handful of random entries. The ordinary run takes 1,000 windows; a million of
 *them take some hours. */
#include <assert.h>
#include <stdlib.h>

#include "core/civil.h"
#include "core/cron.h"
#include "zones.h"

enum { DAY_S = 86400, SIDE_S = 3 * DAY_S, TESTED_S = DAY_S, ENTRIES_A_WINDOW = 8, LOCAL_MARGIN_S = 2 * DAY_S };

/* ---- Chance ---- */

static uint64_t dice_state;

static uint64_t dice(uint64_t sides)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return dice_state % sides;
}

static int64_t between(int64_t low, int64_t high)
{
	return low + (int64_t)dice((uint64_t)(high - low + 1));
}

/* ---- Random entries ---- */

static void add_number_field(char *text, int64_t min, int64_t max)
{
	char *end = text + strlen(text);
	int64_t a = between(min, max), b = between(min, max);

	switch (dice(8)) {
	case 0:
	case 1:
		sprintf(end, "* ");
		break;
	case 2:
		sprintf(end, "*/%d ", (int)between(1, max));
		break;
	case 3:
		sprintf(end, "%d-%d ", (int)a, (int)b);
		break;
	case 4:
		sprintf(end, "%d-%d/%d ", (int)a, (int)b, (int)between(1, 9));
		break;
	case 5:
		sprintf(end, "%d,%d,%d ", (int)a, (int)b, (int)between(min, max));
		break;
	case 6:
		sprintf(end, "H/%d ", (int)between(1, 20));
		break;
	default:
		sprintf(end, "%d ", (int)a);
		break;
	}
}

static void add_day_fields(char *text)
{
	static const char *const days[] = { "*",  "*",	 "*",	 "*",	"?",	"L", "LW", "15W",
					    "1W", "31W", "1,15", "*/2", "28-3", "H", "13" };
	static const char *const months[] = { "*", "*", "*", "*", "*", "*", "oct-apr", "3,10,11", "*/5", "2" };
	static const char *const weekdays[] = { "*",   "*",	"*",	"*",  "?",   "sun", "sat-sun", "fri-mon",
						"5#2", "sun#5", "sunL", "L6", "*/2", "7",   "mon,l0" };
#define PICK(list) list[dice(sizeof list / sizeof list[0])]
	const char *month = PICK(months);

	sprintf(text + strlen(text), "%s %s %s", PICK(days), month, PICK(weekdays));
#undef PICK
}

static void random_entry(char text[256], bool with_seconds)
{
	text[0] = '\0';
	if (with_seconds)
		add_number_field(text, 0, 59);
	add_number_field(text, 0, 59);
	/* The hours around midnight and the usual hours of change matter most. */
	if (dice(2))
		sprintf(text + strlen(text), "%s ",
			(const char *const[]){ "0", "1", "2", "3", "23", "1-3", "0,12", "22-2" }[dice(8)]);
	else
		add_number_field(text, 0, 23);
	add_day_fields(text);
	if (with_seconds)
		strcat(text, " *");
}

/* ---- The oracle ---- */

/* Whether that date matches, found by walking through its month. */
static bool oracle_day(const struct cron *cron, const struct civil *c)
{
	int32_t days_n = civil_days_in_month(c->year, c->month);
	int32_t weekday = civil_weekday(civil_to_days(c->year, c->month, c->day));
	bool by_date = cron->days >> c->day & 1, by_weekday = cron->weekdays >> weekday & 1;
	int32_t last_workday = 0;

	for (int32_t day = 1; day <= days_n; day++) {
		int32_t that = civil_weekday(civil_to_days(c->year, c->month, day));

		if (that >= 1 && that <= 5)
			last_workday = day;
	}
	by_date = by_date || (cron->day_last && c->day == days_n) || (cron->workday_last && c->day == last_workday);
	/* A day is the workday nearest to n when no workday is nearer, and the month holds n. A tie cannot happen. */
	for (int32_t n = 1; n <= days_n; n++) {
		int32_t nearest = 0;

		if (!(cron->workdays_near >> n & 1))
			continue;
		for (int32_t day = 1; day <= days_n; day++) {
			int32_t that = civil_weekday(civil_to_days(c->year, c->month, day));

			if (that >= 1 && that <= 5 && (nearest == 0 || abs(day - n) < abs(nearest - n)))
				nearest = day;
		}
		by_date = by_date || nearest == c->day;
	}
	by_weekday = by_weekday || (cron->weekdays_nth >> (weekday * 5 + (c->day - 1) / 7) & 1);
	by_weekday = by_weekday || ((cron->weekdays_last >> weekday & 1) && c->day + 7 > days_n);
	return cron->day_is_open || cron->weekday_is_open ? by_date && by_weekday : by_date || by_weekday;
}

struct day_cache {
	int64_t day;
	bool matches;
};

static bool oracle_matches(const struct cron *cron, int64_t local_s, struct day_cache *cache)
{
	int64_t day = local_s / DAY_S - (local_s % DAY_S < 0), rest = local_s - day * DAY_S;

	if (!(cron->seconds >> rest % 60 & 1) || !(cron->minutes >> rest / 60 % 60 & 1) ||
	    !(cron->hours >> rest / 3600 & 1))
		return false;
	if (cache->day != day) {
		struct civil c = civil_from_days(day);

		cache->day = day;
		cache->matches = c.year >= 1970 && c.year <= 2099 &&
				 (cron->years[(c.year - 1970) / 64] >> (c.year - 1970) % 64 & 1) &&
				 (cron->months >> c.month & 1) && oracle_day(cron, &c);
	}
	return cache->matches;
}

struct window {
	const struct zone *zone;
	int64_t from, step, n;
	int32_t *offsets; /* at from + i * step */
	uint8_t *shown; /* per local reading from local_from on: 1 = at some instant, 2 = already before the one looked
			   at */
	int64_t local_from, local_n;
	int64_t *found;
	size_t found_n;
};

static void window_open(struct window *w, const struct zone *zone, int64_t centre)
{
	w->zone = zone;
	w->step = 60;
	w->from = centre - SIDE_S - ((centre - SIDE_S) % 60 + 60) % 60;
	for (int64_t t = w->from; t < w->from + 2 * SIDE_S; t += 900)
		if (zone_offset_at(zone, t) % 60 != 0)
			w->step = 1;
	/* Some windows look at each second although minutes would do. */
	if (dice(40) == 0)
		w->step = 1;
	w->n = 2 * SIDE_S / w->step;
	w->local_from = w->from - LOCAL_MARGIN_S;
	w->local_n = (2 * SIDE_S + 2 * LOCAL_MARGIN_S) / w->step;
	w->offsets = malloc((size_t)w->n * sizeof w->offsets[0]);
	w->shown = malloc((size_t)w->local_n);
	w->found = malloc((size_t)w->n * sizeof w->found[0]);
	for (int64_t i = 0; i < w->n; i++)
		w->offsets[i] = zone_offset_at(zone, w->from + i * w->step);
}

static void window_close(struct window *w)
{
	free(w->offsets);
	free(w->shown);
	free(w->found);
}

static uint8_t *window_shown(struct window *w, int64_t local_s)
{
	int64_t i = (local_s - w->local_from) / w->step;

	assert(i >= 0 && i < w->local_n);
	return &w->shown[i];
}

/* Matches in the gap that ends with instant number i, none of which the clock ever shows. */
static bool oracle_gap(struct window *w, const struct cron *cron, int64_t i, struct day_cache *cache)
{
	int64_t before = w->from + (i - 1) * w->step + w->offsets[i - 1], after = w->from + i * w->step + w->offsets[i];

	for (int64_t local_s = before + w->step; local_s < after; local_s += w->step)
		if (*window_shown(w, local_s) == 0 && oracle_matches(cron, local_s, cache))
			return true;
	return false;
}

/* Collects the occurrences of the whole window; those near its ends may be wrong, as it knows nothing outside. */
static void oracle_run(struct window *w, const struct cron *cron)
{
	struct day_cache cache = { INT64_MIN, false }, gap_cache = { INT64_MIN, false };

	w->found_n = 0;
	memset(w->shown, 0, (size_t)w->local_n);
	for (int64_t i = 0; i < w->n; i++)
		*window_shown(w, w->from + i * w->step + w->offsets[i]) = 1;
	for (int64_t i = 0; i < w->n; i++) {
		int64_t t = w->from + i * w->step, local_s = t + w->offsets[i];
		uint8_t *shown = window_shown(w, local_s);
		bool first_time = *shown == 1;
		bool occurs = oracle_matches(cron, local_s, &cache) && (cron->hour_is_open || first_time);

		*shown = 2;
		if (!occurs && !cron->hour_is_open && i > 0 && w->offsets[i] > w->offsets[i - 1])
			occurs = oracle_gap(w, cron, i, &gap_cache);
		if (occurs)
			w->found[w->found_n++] = t;
	}
}

/* ---- The comparison ---- */

static struct wall wall_from_s(int64_t s)
{
	return (struct wall){ s * US_PER_SECOND };
}

/* The index of the first one found after `t`. */
static size_t found_after(const struct window *w, int64_t t)
{
	size_t i = 0;

	while (i < w->found_n && w->found[i] <= t)
		i++;
	return i;
}

static bool compare_walk(const struct window *w, const struct cron *cron, int64_t from, int64_t until)
{
	size_t i = found_after(w, from);
	struct wall at = wall_from_s(from);

	for (int steps = 0; steps < 5000; steps++, i++) {
		bool has = i < w->found_n && w->found[i] <= until;
		bool got = cron_next(cron, w->zone, at, &at) && at.us <= until * US_PER_SECOND;

		if (has != got || (has && at.us != w->found[i] * US_PER_SECOND)) {
			printf("next: expected %lld, got %lld\n", has ? (long long)w->found[i] : -1,
			       got ? (long long)(at.us / US_PER_SECOND) : -1);
			return false;
		}
		if (!has)
			break;
	}
	return true;
}

static bool compare_points(const struct window *w, const struct cron *cron, int64_t from, int64_t until)
{
	for (int i = 0; i < 12; i++) {
		int64_t a = between(from, until), b = between(a, until);
		size_t after_a = found_after(w, a), after_b = found_after(w, b);
		uint64_t count = cron_count(cron, w->zone, wall_from_s(a), wall_from_s(b));
		struct wall at = { 0 };

		if (count != after_b - after_a) {
			printf("count: (%lld, %lld] expected %zu, got %llu\n", (long long)a, (long long)b,
			       after_b - after_a, (unsigned long long)count);
			return false;
		}

		bool has = after_b > 0 && w->found[after_b - 1] >= from;
		bool got = cron_previous(cron, w->zone, wall_from_s(b), &at) && at.us >= from * US_PER_SECOND;

		if (has != got || (has && at.us != w->found[after_b - 1] * US_PER_SECOND)) {
			printf("previous: of %lld expected %lld, got %lld\n", (long long)b,
			       has ? (long long)w->found[after_b - 1] : -1,
			       got ? (long long)(at.us / US_PER_SECOND) : -1);
			return false;
		}
	}
	return true;
}

static bool try_entry(struct window *w, const char *name, int64_t centre)
{
	char text[256];
	struct cron cron;
	struct cron_problem problem;

	random_entry(text, w->step == 1 && dice(2));
	if (!cron_parse(str_from(text), dice(UINT64_MAX), &cron, &problem)) {
		printf("\"%s\" is refused: %s\n", text, problem.text);
		return false;
	}
	oracle_run(w, &cron);
	if (compare_walk(w, &cron, centre - TESTED_S, centre + TESTED_S) &&
	    compare_points(w, &cron, centre - TESTED_S, centre + TESTED_S))
		return true;
	printf("entry \"%s\", zone %s, around %lld\n", text, name, (long long)centre);
	return false;
}

int main(int argc, char **argv)
{
	static struct zones zones;
	long long windows = argc > 1 ? atoll(argv[1]) : 1000;
	int failures = 0;

	dice_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 20260101;
	if (!zones_read_all(&zones))
		return 77;
	for (long long i = 0; i < windows && failures < 10; i++) {
		size_t z = dice(zones.n);
		int64_t centre = between(0, INT64_C(4102444800));

		/* Most windows lie around a change; some anywhere, also at both ends of the calendar. */
		if (dice(10) < 8 && !zone_next_change(zones.zones[z], centre, &centre))
			centre = between(0, INT64_C(1600000000));
		if (dice(100) == 0)
			centre = dice(2) ? 0 : INT64_C(4102444800);
		centre += between(-7200, 7200);

		struct window w;

		window_open(&w, zones.zones[z], centre);
		for (int e = 0; e < ENTRIES_A_WINDOW; e++)
			failures += !try_entry(&w, zones.names[z], centre);
		window_close(&w);
	}
	printf("%lld windows, %d failures\n", windows, failures);
	arena_release(&zones.arena);
	return failures > 0;
}
