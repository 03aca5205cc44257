/* SPDX-License-Identifier: BSD-3-Clause */
/* What two looks at the clocks mean, as a table (P8). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "deliver/clock_watch.h"

#define MS US_PER_MS
#define S US_PER_SECOND

static void a_change_has_a_name_a_size_and_a_consequence(void **state)
{
	static const struct {
		const char *name;
		int64_t boot_us, wall_us;
		enum clock_change change;
		int64_t by_us;
		bool is_missed; /* what was due meanwhile counts as missed */
	} cases[] = {
		{ "nothing", 0, 0, CLOCK_STEADY, 0, false },
		{ "a second", S, S, CLOCK_STEADY, S, false },
		{ "slewed forward", S, S + 500, CLOCK_STEADY, S, false },
		{ "slewed back for half a minute", 30 * S, 30 * S - 15 * MS, CLOCK_STEADY, 30 * S, false },
		{ "a preempted reader", S, S + 240 * MS, CLOCK_STEADY, S, false },
		{ "a second forward", S, 2 * S, CLOCK_STEPPED_FORWARD, S, false },
		{ "a minute forward", S, 61 * S, CLOCK_STEPPED_FORWARD, 60 * S, false },
		{ "more than a minute forward", S, 62 * S, CLOCK_STEPPED_FORWARD, 61 * S, true },
		{ "a year forward", S, 31536001 * S, CLOCK_STEPPED_FORWARD, 31536000 * S, true },
		{ "a second back", S, 0, CLOCK_STEPPED_BACK, -S, false },
		{ "an hour back", 0, -3600 * S, CLOCK_STEPPED_BACK, -3600 * S, false },
		{ "just not a stall", 60 * S - 1, 60 * S - 1, CLOCK_STEADY, 60 * S - 1, false },
		{ "a minute's stall runs in full", 60 * S, 60 * S, CLOCK_STALLED, 60 * S, false },
		{ "a suspend", 3600 * S, 3600 * S + 100 * MS, CLOCK_STALLED, 3600 * S, true },
	};
	const struct instant before = { .wall = { 1700000000 * S }, .boot = { 5 * S } };
	const struct wall missed_before = { before.wall.us - 1000 * S };

	(void)state;
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct instant now = { .wall = { before.wall.us + cases[i].wall_us },
				       .boot = { before.boot.us + cases[i].boot_us } };
		int64_t by_us = -1;
		enum clock_change change = clock_watch(before, now, &by_us);

		if (change != cases[i].change)
			fail_msg("%s: %s", cases[i].name, clock_change_name(change));
		assert_int_equal(by_us, cases[i].by_us);

		struct wall missed = clock_watch_missed(change, by_us, now.wall, missed_before);
		int64_t expected =
			cases[i].is_missed || now.wall.us < missed_before.us ? now.wall.us : missed_before.us;

		if (missed.us != expected)
			fail_msg("%s: missed before %lld", cases[i].name, (long long)missed.us);
	}
}

static void a_clock_set_back_before_the_start_takes_the_start_along(void **state)
{
	struct wall start = { 1000 * S };

	(void)state;
	assert_int_equal(clock_watch_missed(CLOCK_STEPPED_BACK, -500 * S, (struct wall){ 600 * S }, start).us, 600 * S);
	assert_int_equal(clock_watch_missed(CLOCK_STEPPED_BACK, -500 * S, (struct wall){ 1600 * S }, start).us,
			 1000 * S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_has_a_name_a_size_and_a_consequence),
		cmocka_unit_test(a_clock_set_back_before_the_start_takes_the_start_along),
	};

	return cmocka_run_group_tests_name("clock_watch", tests, NULL, NULL);
}
