/* SPDX-License-Identifier: BSD-3-Clause */
/* Intervals: their text, and the grid of instants against counting by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/interval.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define S US_PER_SECOND

static void test_parse(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum interval_verdict verdict;
		int64_t us;
	} rows[] = {
		{ "5 minutes", INTERVAL_OK, 300 * S },
		{ "1 minute", INTERVAL_OK, 60 * S },
		{ "5  minutes", INTERVAL_OK, 300 * S },
		{ "\t5\n minutes  ", INTERVAL_OK, 300 * S },
		{ "5\xC2\xA0hours", INTERVAL_OK, 5 * 3600 * S },
		{ "5\xE2\x80\x83"
		  "days",
		  INTERVAL_OK, 5 * 86400 * S },
		{ "5\x1F"
		  "seconds",
		  INTERVAL_OK, 5 * S },
		{ "1 day", INTERVAL_OK, 86400 * S },
		{ "2 second", INTERVAL_OK, 2 * S },
		{ "7 microseconds", INTERVAL_OK, 7 },
		{ "7 microsecond", INTERVAL_OK, 7 },
		{ "0 days", INTERVAL_OK, 0 },
		{ "-3 hours", INTERVAL_OK, -3 * 3600 * S },
		{ "+3 hours", INTERVAL_OK, 3 * 3600 * S },
		{ "0003 hours", INTERVAL_OK, 3 * 3600 * S },
		{ "1_0 seconds", INTERVAL_OK, 10 * S },
		{ "1_000_000 seconds", INTERVAL_OK, 1000000 * S },
		{ "\xD9\xA3 seconds", INTERVAL_OK, 3 * S }, /* Arabic-Indic */
		{ "\xE0\xA5\xA7\xD9\xA2"
		  "3 seconds",
		  INTERVAL_OK, 123 * S },			    /* scripts may mix */
		{ "\xF0\x9D\x9F\x97 seconds", INTERVAL_OK, 9 * S }, /* mathematical bold */
		{ "2147483647 seconds", INTERVAL_OK, 2147483647 * S },
		{ "2147483647 days", INTERVAL_OK, INT64_MAX },
		{ "-2147483647 days", INTERVAL_OK, INT64_MIN },
		{ "2147483648 seconds", INTERVAL_TOO_LARGE, 0 },
		{ "-2147483648 seconds", INTERVAL_TOO_LARGE, 0 },
		{ "99999999999999999999999999 days", INTERVAL_TOO_LARGE, 0 },
		{ "99999999999999999999999999 weeks", INTERVAL_BAD_PERIOD, 0 },
		{ "1 weeks", INTERVAL_BAD_PERIOD, 0 },
		{ "1 Minutes", INTERVAL_BAD_PERIOD, 0 },
		{ "1 minutess", INTERVAL_BAD_PERIOD, 0 },
		{ "1 s", INTERVAL_BAD_PERIOD, 0 },
		{ "", INTERVAL_BAD_TEXT, 0 },
		{ "minutes", INTERVAL_BAD_TEXT, 0 },
		{ "5", INTERVAL_BAD_TEXT, 0 },
		{ "5minutes", INTERVAL_BAD_TEXT, 0 },
		{ "5 minutes more", INTERVAL_BAD_TEXT, 0 },
		{ "five minutes", INTERVAL_BAD_TEXT, 0 },
		{ "1.5 minutes", INTERVAL_BAD_TEXT, 0 },
		{ "1e3 minutes", INTERVAL_BAD_TEXT, 0 },
		{ "- minutes", INTERVAL_BAD_TEXT, 0 },
		{ "-+5 minutes", INTERVAL_BAD_TEXT, 0 },
		{ "_5 minutes", INTERVAL_BAD_TEXT, 0 },
		{ "5_ minutes", INTERVAL_BAD_TEXT, 0 },
		{ "5__0 minutes", INTERVAL_BAD_TEXT, 0 },
		{ "-_5 minutes", INTERVAL_BAD_TEXT, 0 },
		{ "0x5 minutes", INTERVAL_BAD_TEXT, 0 },
		{ "\xC2\xB2 minutes", INTERVAL_BAD_TEXT, 0 }, /* superscript two: no decimal digit */
		{ "\xFF minutes", INTERVAL_BAD_TEXT, 0 },
		{ "\xD9 minutes", INTERVAL_BAD_TEXT, 0 },
		{ "5\xD9 minutes", INTERVAL_BAD_TEXT, 0 },
		{ "\xC0\xB5 minutes", INTERVAL_BAD_TEXT, 0 }, /* an overlong 5 */
		{ "x weeks", INTERVAL_BAD_TEXT, 0 },
	};

	for (size_t i = 0; i < N(rows); i++) {
		int64_t us = 42;

		if (interval_parse(str_from(rows[i].text), &us) != rows[i].verdict)
			fail_msg("%s", rows[i].text);
		if (us != (rows[i].verdict == INTERVAL_OK ? rows[i].us : 42))
			fail_msg("%s gives %lld", rows[i].text, (long long)us);
	}
}

static void test_grid(void **state)
{
	(void)state;
	static const struct {
		int64_t anchor, period, after;
		bool found;
		int64_t at;
	} rows[] = {
		{ 1000, 10, -5000, true, 1010 },
		{ 1000, 10, 1000, true, 1010 },
		{ 1000, 10, 1009, true, 1010 },
		{ 1000, 10, 1010, true, 1020 },
		{ 1000, 10, 1011, true, 1020 },
		{ -1000, 7, -994, true, -993 },
		{ -1000, 7, -993, true, -986 },
		{ 0, 1, WALL_US_MAX - 1, true, WALL_US_MAX },
		{ 0, 1, WALL_US_MAX, false, 0 },
		{ 0, 1, INT64_MAX, false, 0 },
		{ WALL_US_MIN, INT64_MAX, WALL_US_MIN, false, 0 },
		{ WALL_US_MIN, WALL_US_MAX - WALL_US_MIN, INT64_MIN, true, WALL_US_MAX },
		{ WALL_US_MAX, 1, 0, false, 0 },
	};

	for (size_t i = 0; i < N(rows); i++) {
		struct wall at = { 42 };

		assert_int_equal(interval_next((struct wall){ rows[i].anchor }, rows[i].period,
					       (struct wall){ rows[i].after }, &at),
				 rows[i].found);
		assert_int_equal(at.us, rows[i].found ? rows[i].at : 42);
	}
}

/* A walk with interval_next meets every grid instant, and previous and count agree with it at every microsecond. */
static void test_grid_by_hand(void **state)
{
	(void)state;
	for (int64_t period = 1; period <= 9; period++) {
		const struct wall anchor = { -20 };
		uint64_t passed = 0;
		struct wall last = { 0 };

		for (int64_t t = -40; t < 60; t++) {
			bool on_grid = t > anchor.us && (t - anchor.us) % period == 0;
			struct wall at = { 42 };

			if (on_grid) {
				assert_true(interval_next(anchor, period, (struct wall){ t - 1 }, &at));
				assert_int_equal(at.us, t);
				last = at;
				passed++;
			}
			assert_int_equal(interval_previous(anchor, period, (struct wall){ t }, &at), passed > 0);
			if (passed > 0)
				assert_int_equal(at.us, last.us);
			assert_int_equal(interval_count(anchor, period, (struct wall){ -1000 }, (struct wall){ t }),
					 passed);
			assert_int_equal(interval_count(anchor, period, (struct wall){ t - 1 }, (struct wall){ t }),
					 on_grid);
			assert_int_equal(interval_count(anchor, period, (struct wall){ t }, (struct wall){ t - 1 }), 0);
		}
	}
}

static void test_no_drift(void **state)
{
	(void)state;
	const struct wall anchor = { 1767323045 * S + 123456 };
	struct wall at = anchor;

	for (int i = 1; i <= 100000; i++) {
		assert_true(interval_next(anchor, 90 * S, at, &at));
		assert_int_equal(at.us, anchor.us + i * 90 * S);
	}
	assert_int_equal(interval_count(anchor, 90 * S, anchor, at), 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_grid),
		cmocka_unit_test(test_grid_by_hand),
		cmocka_unit_test(test_no_drift),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
