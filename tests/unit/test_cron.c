/* SPDX-License-Identifier: BSD-3-Clause */
/* Cron entries: every form of the contract, every complaint word for word, known occurrences, and bytes at random. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "core/cron.h"
#include "core/timestamp.h"
#include "../property/zones.h"

#define N(array) (sizeof(array) / sizeof(array)[0])

static struct zones zones;

static struct cron parse_with(const char *text, uint64_t seed)
{
	struct cron cron;
	struct cron_problem problem;

	if (!cron_parse(str_from(text), seed, &cron, &problem))
		fail_msg("\"%s\" is refused: %s", text, problem.text);
	return cron;
}

static struct cron parse(const char *text)
{
	return parse_with(text, 0);
}

/* ---- Fields ---- */

static void check_bits(const char *entry, uint64_t bits, const char *expected)
{
	char text[512] = "";

	for (int i = 0; i < 64; i++)
		if (bits >> i & 1)
			sprintf(text + strlen(text), "%s%d", text[0] ? " " : "", i);
	if (strcmp(text, expected) != 0)
		fail_msg("\"%s\" gives %s instead of %s", entry, text, expected);
}

/* One field in its place among stars. */
static struct cron parse_field(int place, const char *field)
{
	char text[512] = "";

	for (int i = 0; i < 7; i++)
		sprintf(text + strlen(text), "%s%s", i ? " " : "", i == place ? field : "*");
	return parse(text);
}

static void test_fields(void **state)
{
	enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY };
	static const struct {
		int place;
		const char *field, *values;
	} rows[] = {
		{ SECOND, "0,59", "0 59" },
		{ SECOND, "*/20", "0 20 40" },
		{ MINUTE, "5", "5" },
		{ MINUTE, "007", "7" },
		{ MINUTE, "1,1,1", "1" },
		{ MINUTE, "*/15", "0 15 30 45" },
		{ MINUTE, "*/90", "0" },
		{ MINUTE, "*/+30", "0 30" },
		{ MINUTE, "*/3_0", "0 30" },
		{ MINUTE, "*/99999999999999999999", "0" },
		{ MINUTE, "5/15", "5 20 35 50" },
		{ MINUTE, "59/7", "59" },
		{ MINUTE, "10-20/5", "10 15 20" },
		{ MINUTE, "10-12,50", "10 11 12 50" },
		{ MINUTE, "58-1", "0 1 58 59" },
		{ MINUTE, "50-10/10", "0 10 50" },
		{ MINUTE, "50-10/7", "4 50 57" },
		{ HOUR, "22-3", "0 1 2 3 22 23" },
		{ HOUR, "23-22/12", "11 23" },
		{ HOUR, "*/8", "0 8 16" },
		{ DAY, "28-3", "1 2 3 28 29 30 31" },
		{ DAY, "*/10", "1 11 21 31" },
		{ DAY, "25-5/4", "2 25 29" },
		{ DAY, "L", "" },
		{ DAY, "l,15", "15" },
		{ DAY, "lw,15W", "" },
		{ MONTH, "jan,Dec", "1 12" },
		{ MONTH, "nov-FEB", "1 2 11 12" },
		{ MONTH, "mar/3", "3 6 9 12" },
		{ MONTH, "apr-6", "4 5 6" },
		{ WEEKDAY, "0", "0" },
		{ WEEKDAY, "7", "0" },
		{ WEEKDAY, "sun", "0" },
		{ WEEKDAY, "SAT-SUN", "0 6" },
		{ WEEKDAY, "6-7", "0 6" },
		{ WEEKDAY, "6-0", "0 6" },
		{ WEEKDAY, "fri-mon", "0 1 5 6" },
		{ WEEKDAY, "5-1", "0 1 5 6" },
		{ WEEKDAY, "0-7", "0 1 2 3 4 5 6" },
		{ WEEKDAY, "1-7", "0 1 2 3 4 5 6" },
		{ WEEKDAY, "0-6", "0 1 2 3 4 5 6" },
		{ WEEKDAY, "7-2", "0 1 2" },
		{ WEEKDAY, "7-7", "0" },
		{ WEEKDAY, "7-0", "0" },
		{ WEEKDAY, "0-0", "0" },
		{ WEEKDAY, "mon-sun/2", "0 1 3 5" },
		{ WEEKDAY, "fri-mon/2", "0 5" },
		{ WEEKDAY, "7/2", "0 2 4 6" },
		{ WEEKDAY, "mon/3", "1 4" },
		{ WEEKDAY, "*/2", "0 2 4 6" },
		{ WEEKDAY, "?", "0 1 2 3 4 5 6" },
		{ WEEKDAY, "l5", "" },
		{ WEEKDAY, "5#2,mon", "1" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct cron cron = parse_field(rows[i].place, rows[i].field);
		const uint64_t bits[] = {
			cron.seconds, cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays
		};

		check_bits(rows[i].field, bits[rows[i].place], rows[i].values);
	}
}

static void test_special_days(void **state)
{
	struct cron cron = parse("0 0 L,LW,15W,1w * 5#2,FRI#3,7#1,l0,L7,5L,monl,l3-4");

	(void)state;
	assert_true(cron.day_last && cron.workday_last);
	check_bits("15W,1w", cron.workdays_near, "1 15");
	check_bits("weekday#n", cron.weekdays_nth, "0 26 27");
	check_bits("last", cron.weekdays_last, "0 1 3 4 5");
	check_bits("l5-1", parse("* * * * l5-1").weekdays_last, "0 1 5 6");
	check_bits("sat#5", parse("* * * * sat#5").weekdays_nth, "34");
}

static void test_years(void **state)
{
	struct cron cron = parse("0 0 1 1 * 1970,2033,2034,2099");

	(void)state;
	assert_true(cron.years[0] == (1 | UINT64_C(1) << 63) && cron.years[1] == 1 && cron.years[2] == 2);
	cron = parse("0 0 1 1 * 2090-2099/3");
	/* 2090, 2093, 2096, 2099 are the years 120, 123, 126, 129. */
	assert_true(cron.years[0] == 0 && cron.years[1] == UINT64_C(0x49) << 56 && cron.years[2] == 2);
	cron = parse("* * * * *");
	assert_true(cron.years[0] == UINT64_MAX && cron.years[1] == UINT64_MAX && cron.years[2] == 3);
}

static void test_shapes(void **state)
{
	struct cron five = parse("1 2 3 4 5"), six = parse("1 2 3 4 5 2030"), seven = parse("9 1 2 3 4 5 2030");
	static const struct {
		const char *macro, *entry;
	} macros[] = {
		{ "@yearly", "0 0 1 1 *" }, { "@Annually", "0 0 1 1 *" },  { "@MONTHLY", "0 0 1 * *" },
		{ "@weekly", "0 0 * * 0" }, { "@daily", "0 0 * * *" },	   { "@midnight", "0 0 * * *" },
		{ "@hourly", "0 * * * *" }, { " @hourly\t", "0 * * * *" }, { "0\xC2\xA0*\n* * *", "0 * * * *" },
	};

	(void)state;
	assert_true(five.seconds == 1 && five.minutes == 2 && five.hours == 4);
	assert_true(six.seconds == 1 && six.minutes == 2 && six.years[0] == UINT64_C(1) << 60);
	assert_true(seven.seconds == 512 && seven.minutes == 2 && seven.years[0] == UINT64_C(1) << 60);
	for (size_t i = 0; i < N(macros); i++) {
		struct cron a = parse(macros[i].macro), b = parse(macros[i].entry);

		assert_memory_equal(&a, &b, sizeof a);
	}
}

static void test_open_fields(void **state)
{
	static const struct {
		const char *entry;
		bool hour, day, weekday;
	} rows[] = {
		{ "* * * * *", true, true, true },	    { "* */2 */2 * */2", true, true, true },
		{ "* 1 1 * 1", false, false, false },	    { "* 0-23 1-31 * 0-6", false, false, false },
		{ "* H ? * ?", false, true, true },	    { "* *,1 *,1 * ?,1", true, true, true },
		{ "* 1,* 1,* * 1,*", false, false, false }, { "@hourly", true, true, true },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct cron cron = parse(rows[i].entry);

		if (cron.hour_is_open != rows[i].hour || cron.day_is_open != rows[i].day ||
		    cron.weekday_is_open != rows[i].weekday)
			fail_msg("%s", rows[i].entry);
	}
}

/* ---- H ---- */

static void test_hash(void **state)
{
	uint64_t minutes_seen = 0, window_seen = 0, days_seen = 0, offsets_seen = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 2000; seed++) {
		struct cron cron = parse_with("H H(8-10) H * H", seed);

		assert_int_equal(__builtin_popcountll(cron.minutes), 1);
		assert_int_equal(__builtin_popcount(cron.hours), 1);
		assert_int_equal(__builtin_popcount(cron.days), 1);
		assert_int_equal(__builtin_popcount(cron.weekdays), 1);
		minutes_seen |= cron.minutes;
		window_seen |= cron.hours;
		days_seen |= cron.days;

		struct cron again = parse_with("h h(8-10) h * h", seed);

		assert_memory_equal(&cron, &again, sizeof cron);

		/* Every 15 minutes, from anywhere in the first 15. */
		uint64_t quarter = parse_with("H/15 * * * *", seed).minutes;

		assert_int_equal(__builtin_popcountll(quarter), 4);
		assert_true((quarter & 0x7FFF) && (quarter & 0x7FFF) == (quarter >> 15 & 0x7FFF));
		offsets_seen |= quarter & 0x7FFF;
		assert_int_equal(__builtin_popcountll(parse_with("H(0-29)/10 * * * *", seed).minutes), 3);
		assert_int_equal(parse_with("H(0-29)/10 * * * *", seed).minutes >> 30, 0);
		assert_int_equal(parse_with("* H(22-3) * * *", seed).hours & ~UINT32_C(0xC0000F), 0);
		assert_int_equal(__builtin_popcountll(parse_with("H/99 * * * *", seed).minutes), 1);
	}
	assert_true(minutes_seen == (UINT64_C(1) << 60) - 1);
	assert_int_equal(window_seen, 7 << 8);
	assert_int_equal(days_seen, ((UINT64_C(1) << 28) - 1) << 1);
	assert_int_equal(offsets_seen, 0x7FFF);
	/* Fields of one schedule do not move together. */
	int same = 0;

	for (uint64_t seed = 0; seed < 1000; seed++) {
		struct cron cron = parse_with("H H H H * * *", seed);

		same += cron.seconds == cron.minutes;
	}
	assert_in_range(same, 1, 60);
}

/* ---- Complaints ---- */

static void test_refused(void **state)
{
	static const char last[] =
		"last <day> specifier must include a day number or range in the 'weekday' field, you entered ";
	static const char bare[] = "you can only specify a bare 'L' in the 'day' field";
	static const char leading[] = "you can only specify a leading 'L' in the 'weekday' field";
	static const char unpack[] = "too many values to unpack (expected 2)";
	static const struct {
		const char *entry, *reason, *quoted;
	} rows[] = {
		{ "", "improper number of cron entries specified; got 0 need 5 to 7", "" },
		{ "x", "improper number of cron entries specified; got 1 need 5 to 7", "" },
		{ "@reboot", "improper number of cron entries specified; got 1 need 5 to 7", "" },
		{ "@daily @daily", "improper number of cron entries specified; got 2 need 5 to 7", "" },
		{ "60 * * *", "improper number of cron entries specified; got 4 need 5 to 7", "" },
		{ "* * * * * * * *", "improper number of cron entries specified; got 8 need 5 to 7", "" },
		{ "60 * * * *", "item value 60 out of range [0, 59]", "" },
		{ "* 24 * * *", "item value 24 out of range [0, 23]", "" },
		{ "* * 0 * *", "item value 0 out of range [1, 31]", "" },
		{ "* * 32 * *", "item value 32 out of range [1, 31]", "" },
		{ "* * * 13 *", "item value 13 out of range [1, 12]", "" },
		{ "* * * * 8", "item value 8 out of range [0, 7]", "" },
		{ "* * * * * 1969", "item value 1969 out of range [1970, 2099]", "" },
		{ "* * * * * 2100", "item value 2100 out of range [1970, 2099]", "" },
		{ "60 99 * * * * *", "item value 60 out of range [0, 59]", "" },
		{ "0-99 * * * *", "item value 99 out of range [0, 59]", "" },
		{ "1,2,077 99 * * *", "item value 77 out of range [0, 59]", "" },
		{ "98765432109876543210 * * * *", "item value 98765432109876543210 out of range [0, 59]", "" },
		{ "000 * 000 * *", "item value 0 out of range [1, 31]", "" },
		{ "-1 * * * *", "invalid range specifier: '' ('-1')", "" },
		{ "1- * * * *", "invalid range specifier: '' ('1-')", "" },
		{ "1,,2 * * * *", "invalid range specifier: '' ('')", "" },
		{ "1, * * * *", "invalid range specifier: '' ('')", "" },
		{ "/5 * * * *", "invalid range specifier: '' ('')", "" },
		{ "15W * * * *", "invalid range specifier: '15w' ('15w')", "" },
		{ "* * 32W * *", "invalid range specifier: '32w' ('32w')", "" },
		{ "* * W * *", "invalid range specifier: 'w' ('w')", "" },
		{ "* * 15W/2 * *", "invalid range specifier: '15w' ('15w')", "" },
		{ "* * 1-15W * *", "invalid range specifier: '15w' ('1-15w')", "" },
		{ "*-5 * * * *", "invalid range specifier: '*' ('*-5')", "" },
		{ "5-* * * * *", "invalid range specifier: '*' ('5-*')", "" },
		{ "FOO/2 * * * *", "invalid range specifier: 'foo' ('foo')", "" },
		{ "1-Foo/2 * * * *", "invalid range specifier: 'foo' ('1-foo')", "" },
		{ "* * jan * *", "invalid range specifier: 'jan' ('jan')", "" },
		{ "* * * sun *", "invalid range specifier: 'sun' ('sun')", "" },
		{ "* * * * sunday", "invalid range specifier: 'sunday' ('sunday')", "" },
		{ "* * * * 5#6", "invalid range specifier: '5#6' ('5#6')", "" },
		{ "* * * * 5#0", "invalid range specifier: '5#0' ('5#0')", "" },
		{ "* * * * 8#1", "invalid range specifier: '8#1' ('8#1')", "" },
		{ "* * * * 5#2/2", "invalid range specifier: '5#2' ('5#2')", "" },
		{ "* * 5#2 * *", "invalid range specifier: '5#2' ('5#2')", "" },
		{ "* * * * xl", "invalid range specifier: 'xl' ('xl')", "" },
		{ "* * * * 9l", "invalid range specifier: '9l' ('9l')", "" },
		{ "* * 5l * *", "invalid range specifier: '5l' ('5l')", "" },
		{ "H( * * * *", "invalid range specifier: 'h(' ('h(')", "" },
		{ "H() * * * *", "invalid range specifier: 'h()' ('h()')", "" },
		{ "H(5) * * * *", "invalid range specifier: 'h(5)' ('h(5)')", "" },
		{ "H(0-60) * * * *", "invalid range specifier: 'h(0' ('h(0-60)')", "" },
		{ "H-5 * * * *", "invalid range specifier: 'h' ('h-5')", "" },
		{ "* * * * * H", "invalid range specifier: 'h' ('h')", "" },
		{ "it's * * * *", "invalid range specifier: \"it's\" (\"it's\")", "" },
		{ "'\" * * * *", "invalid range specifier: '\\'\"' ('\\'\"')", "" },
		{ "\\ * * * *", "invalid range specifier: '\\\\' ('\\\\')", "" },
		{ "\x01\x7F * * * *", "invalid range specifier: '\\x01\\x7f' ('\\x01\\x7f')", "" },
		{ "\xC3\xBC * * * *", "invalid range specifier: '\xC3\xBC' ('\xC3\xBC')", "" },
		{ "*/0 * * * *", "you can only use positive increment values, you provided 0", "" },
		{ "*/-5 * * * *", "you can only use positive increment values, you provided -5", "" },
		{ "x/0 * * * *", "you can only use positive increment values, you provided 0", "" },
		{ "*/X * * * *", "invalid literal for int() with base 10: 'x'", "" },
		{ "*/ * * * *", "invalid literal for int() with base 10: ''", "" },
		{ "*/1.5 * * * *", "invalid literal for int() with base 10: '1.5'", "" },
		{ "*/2/3 * * * *", unpack, "" },
		{ "*/x/y/z * * * *", unpack, "" },
		{ "1-2-3 * * * *", unpack, "" },
		{ "1-2-3-x * * * *", unpack, "" },
		{ "1-2-x * * * *", "invalid range specifier: 'x' ('1-2-x')", "" },
		{ "* * * * * 2030-2020", "year range start value 2030 > end value 2020", "" },
		{ "* * * * * 2030-2020/2", "year range start value 2030 > end value 2020", "" },
		{ "? * * * *", "cannot use '?' in the 'minute' field", "" },
		{ "? * * * * * *", "cannot use '?' in the 'second' field", "" },
		{ "* ? * * *", "cannot use '?' in the 'hour' field", "" },
		{ "* * * ? *", "cannot use '?' in the 'month' field", "" },
		{ "* * * * * ?", "cannot use '?' in the 'year' field", "" },
		{ "* * ?/2 * *", "invalid range specifier: '?' ('?')", "" },
		{ "L * * * *", bare, "" },
		{ "* * * * L", bare, "" },
		{ "L5 * * * *", leading, "" },
		{ "* * L5 * *", leading, "" },
		{ "* * L/2 * *", leading, "" },
		{ "* * * LW *", leading, "" },
		{ "* * * * L8", last, "'l8'" },
		{ "* * * * LW", last, "'lw'" },
		{ "* * * * Lfri", last, "'lfri'" },
		{ "* * * * l1-8", last, "'l1-8'" },
		{ "* * * * l1-", last, "'l1-'" },
		{ "* * * * l5/2", last, "'l5/2'" },
		{ "* * * * l1-2-3", last, "'l1-2-3'" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct cron cron, before;
		struct cron_problem problem;
		char expected[256];

		memset(&cron, 7, sizeof cron);
		memcpy(&before, &cron, sizeof cron);
		snprintf(expected, sizeof expected, "%s%s", rows[i].reason, rows[i].quoted);
		if (cron_parse(str_from(rows[i].entry), 0, &cron, &problem))
			fail_msg("\"%s\" is taken", rows[i].entry);
		if (strcmp(problem.text, expected) != 0)
			fail_msg("\"%s\": %s", rows[i].entry, problem.text);
		assert_memory_equal(&cron, &before, sizeof cron);
	}
}

static void test_a_long_complaint_is_cut_at_a_character(void **state)
{
	(void)state;
	for (int shift = 0; shift < 4; shift++) {
		char entry[4096] = "";
		struct cron cron;
		struct cron_problem problem;

		memset(entry, 'x', (size_t)shift);
		for (int i = 0; i < 1000; i++)
			strcat(entry, i % 2 ? "\xE2\x82\xAC" : "\xC3\xBC");
		strcat(entry, " * * * *");
		assert_false(cron_parse(str_from(entry), 0, &cron, &problem));
		assert_in_range(strlen(problem.text), CRON_PROBLEM_BYTES_MAX - 5, CRON_PROBLEM_BYTES_MAX - 1);
		assert_true(utf8_is_valid(str_from(problem.text)));
	}
}

static uint64_t dice_state = 88172645463325252;

static uint64_t dice(uint64_t sides)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return dice_state % sides;
}

/* Half of the texts are fields of bytes that mean something, half are anything. */
static size_t random_text(char text[600])
{
	static const char meaningful[] = "**,-/?0123456789LWHlwh#()@satfri";
	size_t n = 0;

	if (dice(2)) {
		for (size_t end = dice(600); n < end; n++)
			text[n] = (char)dice(256);
		return n;
	}
	for (uint64_t fields = 5 + dice(3); fields > 0; fields--) {
		for (uint64_t bytes = dice(3) ? 1 : 1 + dice(5); bytes > 0; bytes--)
			text[n++] = meaningful[dice(dice(2) ? 2 : sizeof meaningful - 1)];
		text[n++] = ' ';
	}
	return n;
}

static void test_any_bytes_are_safe(void **state)
{
	int taken = 0;

	(void)state;
	for (int round = 0; round < 40000; round++) {
		char text[600];
		size_t n = random_text(text);
		/* A copy of exactly n bytes, so that reading beyond them is seen. */
		char *exact = malloc(n ? n : 1);
		struct cron cron;
		struct cron_problem problem;

		memcpy(exact, text, n);
		if (cron_parse((struct str){ exact, n }, dice(UINT64_MAX), &cron, &problem)) {
			struct wall at = { 0 };

			taken++;
			for (int i = 0; i < 3 && cron_next(&cron, zone_utc(), at, &at); i++)
				;
		} else {
			assert_in_range(strlen(problem.text), 1, CRON_PROBLEM_BYTES_MAX - 1);
		}
		free(exact);
	}
	/* Otherwise the test looked at one kind only. */
	assert_in_range(taken, 100, 39000);
}

/* ---- Occurrences ---- */

static const struct zone *zone_named(const char *name)
{
	const struct zone *zone = strcmp(name, "UTC") == 0 ? zone_utc() : zones_find(&zones, name);

	if (!zone)
		skip();
	return zone;
}

static struct wall instant(const char *text)
{
	struct wall at;

	if (timestamp_parse(str_from(text), &at) != TIMESTAMP_OK)
		fail_msg("%s", text);
	return at;
}

static void test_next(void **state)
{
	static const struct {
		const char *entry, *zone, *after, *expected; /* expected: one after the other; "-" = no more */
	} rows[] = {
		{ "*/15 * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:15:00Z 2026-01-01T00:30:00Z" },
		{ "* * * * *", "UTC", "2026-01-01T00:00:00.000001Z", "2026-01-01T00:01:00Z" },
		{ "* * * * *", "UTC", "2025-12-31T23:59:59.999999Z", "2026-01-01T00:00:00Z" },
		{ "*/20 * * * * * *", "UTC", "2026-01-01T00:00:41Z", "2026-01-01T00:01:00Z 2026-01-01T00:01:20Z" },
		{ "0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z" },
		{ "0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "-" },
		{ "30 2 29 2 1", "UTC", "2026-02-10T00:00:00Z",
		  "2026-02-16T02:30:00Z 2026-02-23T02:30:00Z 2027-02-01T02:30:00Z" },
		{ "30 2 29 2 1", "UTC", "2028-02-28T12:00:00Z", "2028-02-29T02:30:00Z 2029-02-05T02:30:00Z" },
		/* Both restricted: either. One of them starts with '*': both. */
		{ "0 0 13 * fri", "UTC", "2026-03-01T00:00:00Z",
		  "2026-03-06T00:00:00Z 2026-03-13T00:00:00Z 2026-03-20T00:00:00Z" },
		{ "0 0 */2 * fri", "UTC", "2026-03-01T00:00:00Z",
		  "2026-03-13T00:00:00Z 2026-03-27T00:00:00Z 2026-04-03T00:00:00Z" },
		{ "0 0 13 * */5", "UTC", "2026-01-01T00:00:00Z",
		  "2026-02-13T00:00:00Z 2026-03-13T00:00:00Z 2026-09-13T00:00:00Z" },
		{ "0 0 L * *", "UTC", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z 2026-03-31T00:00:00Z" },
		{ "0 0 LW * *", "UTC", "2026-01-01T00:00:00Z",
		  "2026-01-30T00:00:00Z 2026-02-27T00:00:00Z 2026-03-31T00:00:00Z" },
		{ "0 0 LW 5 *", "UTC", "2026-01-01T00:00:00Z", "2026-05-29T00:00:00Z 2027-05-31T00:00:00Z" },
		/* 2026-02-15 is a Sunday, 2026-08-15 a Saturday, 2026-08-01 a Saturday, 2026-05-31 a Sunday. */
		{ "0 0 15W * *", "UTC", "2026-02-01T00:00:00Z", "2026-02-16T00:00:00Z" },
		{ "0 0 15W * *", "UTC", "2026-08-01T00:00:00Z", "2026-08-14T00:00:00Z" },
		{ "0 0 1W * *", "UTC", "2026-07-31T00:00:00Z", "2026-08-03T00:00:00Z" },
		{ "0 0 31W * *", "UTC", "2026-05-01T00:00:00Z", "2026-05-29T00:00:00Z 2026-07-31T00:00:00Z" },
		{ "0 0 * * fri#2", "UTC", "2026-01-01T00:00:00Z", "2026-01-09T00:00:00Z 2026-02-13T00:00:00Z" },
		{ "0 0 * * sat#5", "UTC", "2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z 2026-05-30T00:00:00Z" },
		{ "0 0 * * fril", "UTC", "2026-01-01T00:00:00Z", "2026-01-30T00:00:00Z 2026-02-27T00:00:00Z" },
		{ "0 0 1 1 * 2099", "UTC", "2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z -" },
		{ "59 23 31 12 *", "UTC", "2099-12-31T23:58:59Z", "2099-12-31T23:59:00Z -" },
		{ "59 23 31 12 *", "Etc/GMT+5", "2099-12-31T23:58:59Z", "2100-01-01T04:59:00Z -" },
		{ "0 0 1 1 *", "UTC", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z" },
		{ "0 0 1 1 *", "Pacific/Auckland", "0001-01-01T00:00:00Z", "1969-12-31T12:00:00Z" },
		{ "* * * * *", "UTC", "9999-12-31T00:00:00Z", "-" },
		/* The gap of 2026-03-29 and the overlap of 2026-10-25, 01:00 UTC. */
		{ "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:30:00Z" },
		{ "0,30 2-3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
		  "2026-03-29T01:00:00Z 2026-03-29T01:30:00Z 2026-03-30T00:00:00Z" },
		{ "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z" },
		{ "0,30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:00:00Z" },
		{ "0,30 2 * * *", "Europe/Berlin", "2026-10-25T01:15:00Z", "2026-10-26T01:00:00Z" },
		{ "30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z",
		  "2026-03-29T00:30:00Z 2026-03-29T01:30:00Z 2026-03-29T02:30:00Z" },
		{ "30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z",
		  "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z 2026-10-25T02:30:00Z" },
		/* Far from a change of the clock, with the match in the day behind it. */
		{ "0 * 26 10 *", "Europe/Berlin", "2026-10-01T00:00:00Z", "2026-10-25T23:00:00Z 2026-10-26T00:00:00Z" },
		{ "0 */2 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z",
		  "2026-10-25T00:00:00Z 2026-10-25T01:00:00Z 2026-10-25T03:00:00Z" },
		/* The last matches of the year in both passes of an overlap at midnight. */
		{ "30 */24 1 11 * 2020", "America/Havana", "2020-10-31T00:00:00Z",
		  "2020-11-01T04:30:00Z 2020-11-01T05:30:00Z -" },
		/* Negative summer time, half an hour, two hours, a day, midnight, quarter hours, seconds. */
		{ "30 1 * * *", "Europe/Dublin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:30:00Z" },
		{ "30 1 * * *", "Europe/Dublin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z" },
		{ "15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00Z",
		  "2026-10-03T15:30:00Z 2026-10-04T15:15:00Z" },
		{ "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z",
		  "2026-04-04T14:45:00Z 2026-04-05T15:15:00Z" },
		{ "0 2 * * *", "Antarctica/Troll", "2026-03-28T12:00:00Z",
		  "2026-03-29T01:00:00Z 2026-03-30T00:00:00Z" },
		{ "0 9 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z",
		  "2011-12-29T19:00:00Z 2011-12-30T10:00:00Z 2011-12-30T19:00:00Z" },
		{ "0 0 30 12 * 2011", "Pacific/Apia", "2011-01-01T00:00:00Z", "2011-12-30T10:00:00Z -" },
		{ "0 */24 30 12 * 2011", "Pacific/Apia", "2011-01-01T00:00:00Z", "-" },
		{ "0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z",
		  "2018-11-04T03:00:00Z 2018-11-05T02:00:00Z" },
		{ "45 2 * * *", "Pacific/Chatham", "2026-09-26T00:00:00Z",
		  "2026-09-26T14:00:00Z 2026-09-27T13:00:00Z" },
		{ "0 12 * * *", "Africa/Monrovia", "1972-01-05T00:00:00Z",
		  "1972-01-05T12:44:30Z 1972-01-06T12:44:30Z 1972-01-07T12:00:00Z" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct cron cron = parse(rows[i].entry);
		const struct zone *zone = zone_named(rows[i].zone);
		struct str rest = str_from(rows[i].expected);
		struct wall at = instant(rows[i].after);

		while (rest.p) {
			struct str expected = str_split(rest, ' ', &rest);
			bool found = cron_next(&cron, zone, at, &at);
			struct buf buf;

			buf_init(&buf, 64);
			if (found)
				timestamp_add(&buf, at);
			else
				buf_add_char(&buf, '-');
			if (!str_equal(buf_str(&buf), expected))
				fail_msg("\"%s\" in %s after %s: %.*s instead of %.*s", rows[i].entry, rows[i].zone,
					 rows[i].after, STR_ARG(buf_str(&buf)), STR_ARG(expected));
			buf_release(&buf);
		}
	}
}

static void test_ever_occurs(void **state)
{
	static const char *const never[] = { "0 0 30 2 *",  "* * 31 2,4,6,9,11 *", "0 0 29 2 * 2097-2099", "0 0 30 2 ?",
					     "0 0 30W 2 *", "0 0 29 2 * 1999",	   "0 0 30 2 */7" };
	static const char *const sometimes[] = { "0 0 29 2 *",	      "0 0 30 2 1",    "0 0 31 1,2 *",
						 "0 0 29 2 * 2096",   "0 0 * 2 sun#5", "0 0 1 1 * 1970",
						 "59 23 31 12 * 2099" };

	(void)state;
	for (size_t i = 0; i < N(never); i++) {
		struct cron cron = parse(never[i]);
		struct wall at;

		if (cron_ever_occurs(&cron) || cron_next(&cron, zone_utc(), (struct wall){ 0 }, &at))
			fail_msg("%s", never[i]);
	}
	for (size_t i = 0; i < N(sometimes); i++) {
		struct cron cron = parse(sometimes[i]);

		if (!cron_ever_occurs(&cron))
			fail_msg("%s", sometimes[i]);
	}
}

static void test_previous_and_count(void **state)
{
	static const struct {
		const char *entry, *zone, *after, *until, *last;
		uint64_t count;
	} rows[] = {
		{ "* * * * *", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z", 525600 },
		{ "* * * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z",
		  525600 },
		{ "0-59 0-23 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z",
		  "2027-01-01T00:00:00Z", 525600 - 60 },
		{ "* * * * * * *", "UTC", "1970-01-01T00:00:00Z", "2099-12-31T23:59:59Z", "2099-12-31T23:59:59Z",
		  4102444799 },
		{ "* * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00Z",
		  0 },
		{ "* * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:00:59.999999Z", "2026-01-01T00:00:00Z",
		  0 },
		{ "* * * * *", "UTC", "2025-12-31T23:59:59.999999Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z",
		  1 },
		{ "0 0 29 2 *", "UTC", "1970-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "2096-02-29T00:00:00Z", 32 },
		{ "0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z",
		  "2026-03-29T01:00:00Z", 1 },
		{ "0,30 2-3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z",
		  "2026-03-29T01:30:00Z", 2 },
		{ "0,30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z",
		  "2026-10-25T00:30:00Z", 2 },
		{ "0,30 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", "2026-10-25T02:00:00Z",
		  "2026-10-25T02:00:00Z", 5 },
		/* … or in the day before it. */
		{ "0 * 24 10 *", "Europe/Berlin", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z",
		  "2026-10-24T21:00:00Z", 24 },
		{ "30 */24 1 11 * 2020", "America/Havana", "2020-10-31T00:00:00Z", "2020-11-01T05:10:00Z",
		  "2020-11-01T04:30:00Z", 1 },
		{ "0 0 1 1 *", "UTC", "1960-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "-", 0 },
		{ "0 0 1 1 *", "UTC", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 1 },
		{ "0 0 1 1 * 2050", "UTC", "2026-01-01T00:00:00Z", "2049-01-01T00:00:00Z", "-", 0 },
		{ "0 */24 30 12 * 2011", "Pacific/Apia", "2000-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "-", 0 },
		{ "0 0 30 12 * 2011", "Pacific/Apia", "2000-01-01T00:00:00Z", "2020-01-01T00:00:00Z",
		  "2011-12-30T10:00:00Z", 1 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct cron cron = parse(rows[i].entry);
		const struct zone *zone = zone_named(rows[i].zone);
		struct wall at, until = instant(rows[i].until);
		uint64_t count = cron_count(&cron, zone, instant(rows[i].after), until);
		bool found = cron_previous(&cron, zone, until, &at);

		if (count != rows[i].count)
			fail_msg("row %zu counts %llu", i, (unsigned long long)count);
		assert_int_equal(cron_count(&cron, zone, until, instant(rows[i].after)), 0);
		if (found != (rows[i].last[0] != '-') || (found && at.us != instant(rows[i].last).us))
			fail_msg("row %zu: previous", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_special_days),
		cmocka_unit_test(test_years),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_open_fields),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_a_long_complaint_is_cut_at_a_character),
		cmocka_unit_test(test_any_bytes_are_safe),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_ever_occurs),
		cmocka_unit_test(test_previous_and_count),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	arena_release(&zones.arena);
	return failed;
}
