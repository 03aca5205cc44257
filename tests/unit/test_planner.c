/* SPDX-License-Identifier: BSD-3-Clause */
/* Catch-up (P7): exact sets of runs and skipped ranges for every policy, gap and kind of timing, against counting by
 * hand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <time.h>

#include "core/planner.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define S US_PER_SECOND

/* 2026-01-02T03:00:00Z */
#define T0 (INT64_C(1767322800) * S)

static struct timing every(int64_t period_us)
{
	return (struct timing){ .has_interval = true, .anchor = { T0 }, .period_us = period_us };
}

static struct timing with_cron(const char *entry)
{
	struct timing timing = { .has_cron = true, .zone = zone_utc() };
	struct cron_problem problem;

	if (!cron_parse(str_from(entry), 0, &timing.cron, &problem))
		fail_msg("%s: %s", entry, problem.text);
	return timing;
}

/* ---- The expectation, by enumeration ---- */

enum { MODEL_MAX = 200000 };

static int64_t due[MODEL_MAX];
static size_t due_n;

static void enumerate(const struct plan_input *input)
{
	struct wall at = input->next_at;

	for (due_n = 0; due_n < MODEL_MAX && at.us <= input->until.us; due_n++) {
		due[due_n] = at.us;
		if (!timing_next(input->timing, at, &at)) {
			due_n++;
			break;
		}
	}
	assert_true(due_n < MODEL_MAX);
}

/* The index of the first due occurrence that runs; what lies before is skipped. */
static size_t first_that_runs(const struct plan_input *input)
{
	size_t missed = 0;

	while (missed < due_n && due[missed] < input->missed_before.us)
		missed++;
	if (missed == 0 || input->missed_before.us - due[0] <= 60 * S)
		return 0;
	if (input->catch_up == CATCH_UP_NONE)
		return missed;
	if (input->catch_up == CATCH_UP_LATEST)
		return missed - 1;

	size_t first = missed > 1000 ? missed - 1000 : 0;

	while (first < missed && due[first] < input->missed_before.us - 86400 * S)
		first++;
	return first;
}

/* Asks until nothing is due and compares every answer. */
static void check_all(struct plan_input input)
{
	enumerate(&input);

	size_t first = first_that_runs(&input), i = 0;
	int64_t runs_left = input.runs_left;

	for (;;) {
		input.runs_left = runs_left;

		struct plan plan = planner_step(&input);

		if (runs_left == 0) {
			assert_false(plan.has_run || plan.has_next || plan.skipped_count > 0);
			return;
		}
		if (i == 0 && first > 0) {
			assert_int_equal(plan.skipped_count, first);
			assert_int_equal(plan.skipped_from.us, due[0]);
			assert_int_equal(plan.skipped_to.us, due[first - 1]);
			i = first;
		} else {
			assert_int_equal(plan.skipped_count, 0);
			assert_true(plan.has_run);
		}
		if (plan.has_run) {
			assert_true(i < due_n);
			assert_int_equal(plan.planned_at.us, due[i]);
			i++;
			runs_left -= runs_left > 0;
			if (runs_left == 0) {
				assert_false(plan.has_next);
				return;
			}
		}
		if (!plan.has_next || wall_is_after(plan.next_at, input.until))
			break;
		assert_int_equal(plan.next_at.us, due[i]);
		input.next_at = plan.next_at;
	}
	assert_int_equal(i, due_n);
}

static void test_gaps_by_policies_by_kinds(void **state)
{
	static const int64_t gaps_s[] = { 0, 1, 59, 60, 61, 3599, 3600, 3601, 86399, 86400, 86401, 172800, 30 * 86400 };
	struct timing both = with_cron("*/7 * * * *");
	struct timing timings[] = {
		every(S),
		every(60 * S),
		every(7 * 60 * S + 1),
		every(86400 * S),
		with_cron("* * * * *"),
		with_cron("0 3 * * *"),
		with_cron("*/5 2-4 * * 1-5"),
		with_cron("15 * * * * * *"),
		both,
	};

	(void)state;
	timings[N(timings) - 1].has_interval = true;
	timings[N(timings) - 1].anchor.us = T0;
	timings[N(timings) - 1].period_us = 11 * 60 * S;
	for (size_t t = 0; t < N(timings); t++) {
		for (size_t g = 0; g < N(gaps_s); g++) {
			if (timings[t].period_us == S && gaps_s[g] > 100000)
				continue;
			for (int policy = CATCH_UP_LATEST; policy <= CATCH_UP_NONE; policy++) {
				for (int64_t late_s = -1; late_s <= 90; late_s += 45) {
					struct plan_input input = { .timing = &timings[t],
								    .missed_before = { T0 + 86400 * S + gaps_s[g] * S },
								    .catch_up = (enum catch_up)policy,
								    .runs_left = -1 };

					input.until = wall_add_us(input.missed_before, late_s * S + 30 * S);
					assert_true(timing_next(&timings[t], (struct wall){ T0 + 86400 * S - 1 },
								&input.next_at));
					if (wall_is_after(input.next_at, input.until))
						continue;
					check_all(input);
					input.runs_left = 3;
					check_all(input);
					input.runs_left = 0;
					check_all(input);
				}
			}
		}
	}
}

static void test_sixty_seconds(void **state)
{
	const struct timing timing = every(10 * S);
	struct plan_input input = { .timing = &timing,
				    .next_at = { T0 + 10 * S },
				    .until = { T0 + 71 * S },
				    .missed_before = { T0 + 70 * S },
				    .catch_up = CATCH_UP_NONE,
				    .runs_left = -1 };
	struct plan plan = planner_step(&input);

	(void)state;
	assert_true(plan.has_run && plan.skipped_count == 0 && plan.planned_at.us == T0 + 10 * S);
	input.missed_before.us++;
	plan = planner_step(&input);
	assert_false(plan.has_run);
	assert_int_equal(plan.skipped_count, 7);
	assert_int_equal(plan.skipped_from.us, T0 + 10 * S);
	assert_int_equal(plan.skipped_to.us, T0 + 70 * S);
	assert_int_equal(plan.next_at.us, T0 + 80 * S);
}

static void test_a_thousand(void **state)
{
	const struct timing timing = every(60 * S);

	(void)state;
	for (int missed = 998; missed <= 1003; missed++)
		check_all((struct plan_input){ .timing = &timing,
					       .next_at = { T0 + 60 * S },
					       .until = { T0 + (missed + 2) * 60 * S },
					       .missed_before = { T0 + missed * 60 * S + 1 },
					       .catch_up = CATCH_UP_ALL,
					       .runs_left = -1 });
}

/* A claim may end before all that was missed has been looked at: what lies behind it is for the next one. */
static void test_a_claim_that_ends_within_the_gap(void **state)
{
	const struct timing timing = every(10 * S);

	(void)state;
	for (int policy = CATCH_UP_LATEST; policy <= CATCH_UP_NONE; policy++)
		check_all((struct plan_input){ .timing = &timing,
					       .next_at = { T0 + 10 * S },
					       .until = { T0 + 95 * S },
					       .missed_before = { T0 + 200 * S },
					       .catch_up = (enum catch_up)policy,
					       .runs_left = -1 });
}

static void test_late_is_not_missed(void **state)
{
	const struct timing timing = every(60 * S);

	(void)state;
	/* An hour of backlog that nobody missed: all of it runs. */
	check_all((struct plan_input){ .timing = &timing,
				       .next_at = { T0 + 60 * S },
				       .until = { T0 + 3600 * S },
				       .missed_before = { T0 },
				       .catch_up = CATCH_UP_NONE,
				       .runs_left = -1 });
}

static void test_once(void **state)
{
	const struct timing timing = { .has_once = true, .once_at = { T0 } };

	(void)state;
	for (int policy = CATCH_UP_LATEST; policy <= CATCH_UP_NONE; policy++) {
		struct plan_input input = { .timing = &timing,
					    .next_at = { T0 },
					    .until = { T0 + 400 * 86400 * S },
					    .missed_before = { T0 + 400 * 86400 * S },
					    .catch_up = (enum catch_up)policy,
					    .runs_left = -1 };
		struct plan plan = planner_step(&input);

		assert_true(plan.has_run && !plan.has_next && plan.skipped_count == 0);
		assert_int_equal(plan.planned_at.us, T0);
		input.runs_left = 0;
		plan = planner_step(&input);
		assert_false(plan.has_run || plan.has_next);
	}
}

/* What is planned already does not count again: the first run is the same wherever the rest of the gap is looked at
 * from, and nothing more is skipped. */
static void test_the_bound_is_one_for_the_gap(void **state)
{
	const struct timing timing = every(S);
	struct plan_input input = { .timing = &timing,
				    .next_at = { T0 + S },
				    .until = { T0 + 100000 * S },
				    .missed_before = { T0 + 100000 * S },
				    .catch_up = CATCH_UP_ALL,
				    .runs_left = -1 };
	int64_t runs = 0, skipped = 0;

	(void)state;
	for (bool more = true; more;) {
		struct plan plan = planner_step(&input);

		assert_true(plan.has_run);
		assert_int_equal(plan.planned_at.us, T0 + (100000 - 1000 + runs) * S);
		runs++;
		skipped += (int64_t)plan.skipped_count;
		more = plan.has_next && plan.next_at.us < input.missed_before.us;
		input.next_at = plan.next_at;
		/* A later claim looks further ahead. */
		input.until.us += S / 10;
	}
	assert_int_equal(runs, 1000);
	assert_int_equal(skipped, 100000 - 1 - 1000);
}

/* While an earlier run is open, what catch-up leaves to run is skipped up to now, in one step. */
static void test_blocked(void **state)
{
	static const struct {
		int64_t missed_s; /* of occurrences at seconds 1 to 5000 */
		enum catch_up catch_up;
		int64_t skipped, blocked;
	} rows[] = {
		{ 0, CATCH_UP_LATEST, 0, 5000 },       { 5000, CATCH_UP_LATEST, 4998, 2 },
		{ 4000, CATCH_UP_LATEST, 3998, 1002 }, { 4000, CATCH_UP_ALL, 2999, 2001 },
		{ 4000, CATCH_UP_NONE, 3999, 0 },      { 61, CATCH_UP_NONE, 0, 5000 },
	};
	const struct timing timing = every(S);

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct plan_input input = { .timing = &timing,
					    .next_at = { T0 + S },
					    .until = { T0 + 5000 * S },
					    .missed_before = { T0 + rows[i].missed_s * S },
					    .catch_up = rows[i].catch_up,
					    .is_blocked = true,
					    .runs_left = 1 };
		struct plan plan = planner_step(&input);

		assert_false(plan.has_run);
		assert_int_equal(plan.skipped_count, rows[i].skipped);
		assert_int_equal(plan.blocked_count, rows[i].blocked);
		assert_true(plan.has_next);
		if (rows[i].blocked == 0)
			continue;
		assert_int_equal(plan.blocked_from.us, T0 + (rows[i].skipped + 1) * S);
		assert_int_equal(plan.blocked_to.us, input.until.us);
		assert_int_equal(plan.next_at.us, T0 + 5001 * S);
		input.runs_left = 0;
		plan = planner_step(&input);
		assert_true(!plan.has_next && plan.blocked_count == 0);
	}
}

/* The zone's rules or the definition moved: the stored instant is none of the set any more, but it was promised. */
static void test_an_instant_that_is_none_any_more(void **state)
{
	const struct timing timing = with_cron("0 3 * * *");
	struct plan_input input = { .timing = &timing,
				    .next_at = { T0 + 5 * 60 * S },
				    .until = { T0 + 3600 * S },
				    .missed_before = { T0 + 3600 * S },
				    .catch_up = CATCH_UP_LATEST,
				    .runs_left = -1 };
	struct plan plan = planner_step(&input);

	(void)state;
	assert_true(plan.has_run && plan.skipped_count == 0);
	assert_int_equal(plan.planned_at.us, T0 + 5 * 60 * S);
	assert_int_equal(plan.next_at.us, T0 + 86400 * S);
	input.catch_up = CATCH_UP_ALL;
	plan = planner_step(&input);
	assert_true(plan.has_run && plan.planned_at.us == T0 + 5 * 60 * S);
	input.until.us = input.missed_before.us = T0 + 3 * 86400 * S + 3600 * S;
	plan = planner_step(&input);
	assert_int_equal(plan.skipped_count, 3);
	assert_int_equal(plan.skipped_from.us, T0 + 5 * 60 * S);
	assert_int_equal(plan.skipped_to.us, T0 + 2 * 86400 * S);
	assert_int_equal(plan.planned_at.us, T0 + 3 * 86400 * S);
}

/* Nothing of the new set is due yet, but what was promised before the edit is. */
static void test_an_instant_before_the_whole_set(void **state)
{
	const struct timing timing = with_cron("0 3 1 1 * 2030");
	struct plan_input input = { .timing = &timing,
				    .next_at = { T0 + 5 * S },
				    .until = { T0 + 3600 * S },
				    .missed_before = { T0 + 3600 * S },
				    .catch_up = CATCH_UP_LATEST,
				    .runs_left = -1 };
	struct plan plan = planner_step(&input);

	(void)state;
	assert_true(plan.has_run && plan.skipped_count == 0 && plan.planned_at.us == T0 + 5 * S);
	assert_true(plan.has_next);
	assert_int_equal(plan.next_at.us, T0 + 1460 * 86400 * S);
}

static void test_a_last_occurrence(void **state)
{
	const struct timing timing = with_cron("0 0 1 1 * 2026");
	struct plan_input input = { .timing = &timing,
				    .next_at = { INT64_C(1767225600) * S },
				    .until = { T0 },
				    .missed_before = { T0 },
				    .catch_up = CATCH_UP_LATEST,
				    .runs_left = -1 };
	struct plan plan = planner_step(&input);

	(void)state;
	assert_true(plan.has_run && !plan.has_next);
	input.catch_up = CATCH_UP_NONE;
	plan = planner_step(&input);
	assert_true(!plan.has_run && !plan.has_next && plan.skipped_count == 1);
}

/* A year of every-second and every-minute occurrences is counted, not walked. */
static void test_a_long_gap_is_cheap(void **state)
{
	static const char *const entries[] = { "* * * * *", "* * * * * * *", "0-59 0-23 * * *", "0 0 29 2 *" };
	clock_t before = clock();

	(void)state;
	for (int policy = CATCH_UP_LATEST; policy <= CATCH_UP_NONE; policy++) {
		for (size_t i = 0; i < N(entries); i++) {
			const struct timing timing = with_cron(entries[i]);
			struct plan_input input = { .timing = &timing,
						    .until = { T0 + 80 * 365 * US_PER_DAY },
						    .missed_before = { T0 + 70 * 365 * US_PER_DAY },
						    .catch_up = (enum catch_up)policy,
						    .runs_left = -1 };

			assert_true(timing_next(&timing, (struct wall){ T0 }, &input.next_at));
			for (int round = 0; round < 100; round++) {
				struct plan plan = planner_step(&input);

				assert_true(plan.skipped_count > 15);
			}
		}
	}
	/* 1,200 plans of 70 years; walking a single one of them would take longer. */
	assert_true((clock() - before) / CLOCKS_PER_SEC < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gaps_by_policies_by_kinds),
		cmocka_unit_test(test_sixty_seconds),
		cmocka_unit_test(test_a_thousand),
		cmocka_unit_test(test_the_bound_is_one_for_the_gap),
		cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_a_claim_that_ends_within_the_gap),
		cmocka_unit_test(test_late_is_not_missed),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_an_instant_that_is_none_any_more),
		cmocka_unit_test(test_an_instant_before_the_whole_set),
		cmocka_unit_test(test_a_last_occurrence),
		cmocka_unit_test(test_a_long_gap_is_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
