/* SPDX-License-Identifier: BSD-3-Clause */
/* Timings as one set: cron and interval together, shared instants once, and the one-shot. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/timing.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define S US_PER_SECOND

static struct timing with_cron(const char *entry)
{
	struct timing timing = { .has_cron = true, .zone = zone_utc() };
	struct cron_problem problem;

	if (!cron_parse(str_from(entry), 0, &timing.cron, &problem))
		fail_msg("%s: %s", entry, problem.text);
	return timing;
}

static struct timing with_both(const char *entry, int64_t anchor_us, int64_t period_us)
{
	struct timing timing = with_cron(entry);

	timing.has_interval = true;
	timing.anchor.us = anchor_us;
	timing.period_us = period_us;
	return timing;
}

static void test_once(void **state)
{
	const struct timing timing = { .has_once = true, .once_at = { 500 } };
	struct wall at = { 0 };

	(void)state;
	assert_true(timing_next(&timing, (struct wall){ 499 }, &at));
	assert_int_equal(at.us, 500);
	assert_false(timing_next(&timing, (struct wall){ 500 }, &at));
	assert_true(timing_previous(&timing, (struct wall){ 500 }, &at));
	assert_int_equal(at.us, 500);
	assert_false(timing_previous(&timing, (struct wall){ 499 }, &at));
	assert_int_equal(timing_count(&timing, (struct wall){ 499 }, (struct wall){ 500 }), 1);
	assert_int_equal(timing_count(&timing, (struct wall){ 500 }, (struct wall){ 501 }), 0);
	assert_int_equal(timing_count(&timing, (struct wall){ 0 }, (struct wall){ 499 }), 0);
}

static void test_nothing(void **state)
{
	const struct timing timing = { 0 };
	struct wall at = { 42 };

	(void)state;
	assert_false(timing_next(&timing, (struct wall){ 0 }, &at));
	assert_false(timing_previous(&timing, (struct wall){ 0 }, &at));
	assert_int_equal(timing_count(&timing, (struct wall){ 0 }, (struct wall){ S }), 0);
	assert_int_equal(at.us, 42);
}

static void test_union(void **state)
{
	/* Minutes 0, 10, 20 ... and every 4 minutes from 0: 4 8 10 12 16 20 (both) 24 ... */
	const struct timing timing = with_both("*/10 * * * *", 0, 240 * S);
	static const int64_t minutes[] = { 4, 8, 10, 12, 16, 20, 24, 28, 30, 32, 36, 40, 44 };
	struct wall at = { 0 };

	(void)state;
	for (size_t i = 0; i < N(minutes); i++) {
		assert_true(timing_next(&timing, at, &at));
		assert_int_equal(at.us, minutes[i] * 60 * S);
	}
	assert_int_equal(timing_count(&timing, (struct wall){ 0 }, at), N(minutes));
	/* The first of January 1970 belongs to the cron entry alone: a grid begins one period behind its anchor. */
	assert_true(timing_previous(&timing, (struct wall){ 1 }, &at));
	assert_int_equal(at.us, 0);
}

/* A walk with timing_next must agree with previous and count, for grids on, between and rarely on whole seconds. */
static void test_walk(void **state)
{
	static const struct {
		const char *entry;
		int64_t anchor_us, period_us;
	} rows[] = {
		{ "*/7 * * * *", 12 * S, 35 * 60 * S },
		{ "*/7 * * * *", 12 * S + 1, 35 * 60 * S },
		{ "*/20 * * * * * *", -5 * S, 3 * S },
		{ "* * * * * * *", 500000, 1500000 },
		{ "* * * * * * *", 250000, 1500000 },
		{ "30 2 * * *", 3600 * S * 2 + 1800 * S, 86400 * S },
		{ "0 0 29 2 *", 0, 86400 * S },
		{ "*/3 * * * * * *", 0, S },
		{ "* * * * * 1999", 915148800 * S - 1, 1000001 },
		{ "* * * * *", 7, 999999 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const struct timing timing = with_both(rows[i].entry, rows[i].anchor_us, rows[i].period_us);
		struct wall start = { 915148790 * S + 3 }, at = start;

		for (uint64_t steps = 1; steps <= 400; steps++) {
			struct wall before = at, back;

			assert_true(timing_next(&timing, before, &at));
			assert_true(wall_is_after(at, before));
			assert_true(timing_previous(&timing, at, &back));
			assert_int_equal(back.us, at.us);
			if (steps > 1) {
				assert_true(timing_previous(&timing, wall_add_us(at, -1), &back));
				assert_int_equal(back.us, before.us);
			}
			assert_int_equal(timing_count(&timing, start, at), steps);
			assert_int_equal(timing_count(&timing, start, wall_add_us(at, -1)), steps - 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_union),
		cmocka_unit_test(test_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
