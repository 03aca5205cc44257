/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's rules one by one: when runs start, what is claimed when, what comes of attempts, edits, stopping.
 *
 * The rules are P2, P5, P6, P12, P13 of docs/promise.md. Lanes and parking are in test_dispatcher_lanes.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "dispatcher_rig.h"

/* --- time --- */

static void starts_at_its_instant_and_not_a_microsecond_before(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed_n(rig, 1, 1, 5, T0 + 150 * MS, (struct claimed){ 0 });
	assert_int_equal(rig->wake_at.us, T0 + 150 * MS);
	rig_pass(rig, 150 * MS - 1);
	assert_int_equal(rig->starts_n, 0);
	assert_int_equal(rig->wake_at.us, T0 + 150 * MS);
	rig_pass(rig, 1);
	assert_int_equal(rig->starts_n, 1);
	assert_int_equal(rig->starts[0].attempt, 1);
	rig_free(rig);
}

static void a_wall_clock_set_back_makes_ready_runs_wait_again(void **state)
{
	struct dispatcher_options options = options_default;
	struct rig *rig;

	(void)state;
	options.in_flight_max = options.lane_in_flight_max = 1;
	rig = rig_new(&options);
	rig_claimed_n(rig, 1, 3, 5, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 1);
	rig->now.wall.us -= 3600 * S;
	rig_done(rig, rig->starts[0].slot, delivered);
	assert_int_equal(rig->starts_n, 1);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).waiting, 2);
	rig->now.wall.us = T0 - 1;
	rig_tick(rig);
	assert_int_equal(rig->starts_n, 1);
	rig->now.wall.us = T0;
	rig_tick(rig);
	assert_int_equal(rig->starts_n, 2);
	assert_int_equal(rig->starts[1].run_id, 2);
	rig_free(rig);
}

static void a_wall_clock_set_back_makes_no_wait_for_a_retry_longer(void **state)
{
	struct rig *rig = rig_new(&options_default);
	struct run *runs[] = { run_new(1, 5, T0), run_new(2, 5, T0 + 150 * MS) };

	(void)state;
	runs[0]->attempts = 1;
	runs[0]->start_at.us = T0 + 150 * MS;
	rig_claimed(rig, runs, 2, (struct claimed){ 0 });
	rig->now.wall.us -= 3600 * S;
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_SET_BACK, .by_us = 3600 * S });
	/* It waits by the store's clock from now on. */
	assert_int_equal(rig->records_n, 1);
	assert_int_equal(rig->records[0].kind, RECORD_RELEASE);
	assert_int_equal(rig->records[0].run->id, 1);
	assert_int_equal(rig->records[0].eligible_at.us, rig->now.wall.us);
	/* One that was not tried yet stays, and is not early. */
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).waiting, 1);
	assert_int_equal(rig->starts_n, 0);
	rig_free(rig);
}

static void a_retry_that_waits_for_a_place_is_put_back_too(void **state)
{
	struct dispatcher_options options = options_default;
	struct run *runs[] = { run_new(2, 5, T0), run_new(3, 5, T0) };
	struct rig *rig;

	(void)state;
	options.lane_in_flight_max = 1;
	rig = rig_new(&options);
	rig_claimed_n(rig, 1, 1, 5, T0, (struct claimed){ .more = true });
	runs[0]->attempts = runs[1]->attempts = 1;
	runs[1]->start_at.us = T0 - 7200 * S; /* due by the new clock as well */
	rig_claimed(rig, runs, 2, (struct claimed){ 0 });
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).ready, 2);
	rig->now.wall.us -= 3600 * S;
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_SET_BACK, .by_us = 3600 * S });
	assert_int_equal(rig->records_n, 1);
	assert_int_equal(rig->records[0].kind, RECORD_RELEASE);
	assert_int_equal(rig->records[0].run->id, 2);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).ready, 1);
	rig_free(rig);
}

/* Whether the store has the record just then, or has refused it and will be asked again. */
static void a_retry_on_its_way_to_the_store_takes_the_set_back_along(void **state)
{
	(void)state;
	for (int is_refused = 0; is_refused <= 1; is_refused++) {
		struct rig *rig = rig_new(&options_default);

		rig_claimed_n(rig, 1, 2, 5, T0, (struct claimed){ 0 });
		rig_done(rig, rig->starts[0].slot, failed);
		rig_done(rig, rig->starts[1].slot, delivered);
		assert_int_equal(rig->records_n, 2);
		int64_t wait_us = rig->records[0].eligible_at.us - T0;

		if (is_refused)
			rig_recorded(rig, DISPATCH_RECORD_FAILED);
		rig->now.wall.us -= 3600 * S;
		rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_SET_BACK, .by_us = 3600 * S });
		if (!is_refused)
			rig_recorded(rig, DISPATCH_RECORD_FAILED);
		rig_forget(rig);
		rig_pass(rig, S);
		assert_int_equal(rig->records_n, 2);
		assert_int_equal(rig->records[0].eligible_at.us, T0 - 3600 * S + wait_us);
		assert_int_equal(rig->records[1].kind, RECORD_DELIVERED);
		assert_int_equal(rig->records[1].eligible_at.us, 0);
		rig_free(rig);
	}
}

/* --- claims --- */

static void claims_ahead_of_what_is_due_next_and_only_then(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	assert_int_equal(rig->room, 100);
	assert_int_equal(rig->until.us, T0 + 200 * MS);
	rig_forget(rig);
	rig_claimed(rig, NULL, 0, (struct claimed){ .has_next = true, .next_us = T0 + 700 * MS });
	assert_int_equal(rig->claims_n, 0);
	assert_int_equal(rig->wake_at.us, T0 + 600 * MS);
	rig_pass(rig, 600 * MS - 1);
	assert_int_equal(rig->claims_n, 0);
	rig_pass(rig, 1);
	assert_int_equal(rig->claims_n, 1);
	rig_pass(rig, 100 * MS);
	assert_int_equal(rig->claims_n, 1); /* one at a time */
	rig_free(rig);
}

static void claims_at_the_instant_what_cannot_be_claimed_ahead(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_forget(rig);
	rig_claimed(rig, NULL, 0,
		    (struct claimed){ .has_next = true,
				      .next_us = T0 + 900 * MS,
				      .has_no_ahead = true,
				      .no_ahead_us = T0 + 700 * MS });
	assert_int_equal(rig->wake_at.us, T0 + 700 * MS);
	rig_pass(rig, 700 * MS - 1);
	assert_int_equal(rig->claims_n, 0);
	rig_pass(rig, 1);
	assert_int_equal(rig->claims_n, 1);
	/* What can be claimed ahead is, when that is earlier. */
	rig_claimed(rig, NULL, 0,
		    (struct claimed){ .has_next = true,
				      .next_us = T0 + 900 * MS,
				      .has_no_ahead = true,
				      .no_ahead_us = T0 + 850 * MS });
	assert_int_equal(rig->wake_at.us, T0 + 800 * MS);
	rig_free(rig);
}

static void more_means_again_at_once(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed_n(rig, 1, 60, 5, T0 + 100 * MS, (struct claimed){ .more = true });
	assert_int_equal(rig->claims_n, 2);
	assert_int_equal(rig->room, 40);
	rig_claimed_n(rig, 100, 40, 5, T0 + 100 * MS, (struct claimed){ .more = true });
	assert_int_equal(rig->claims_n, 2); /* full */
	rig_free(rig);
}

static void a_hint_during_a_claim_is_not_lost(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_hint(rig, T0 + 50 * MS);
	assert_int_equal(rig->claims_n, 1);
	rig_claimed(rig, NULL, 0, (struct claimed){ .has_next = true, .next_us = T0 + 3600 * S });
	assert_int_equal(rig->claims_n, 2);
	rig_claimed(rig, NULL, 0, (struct claimed){ .has_next = true, .next_us = T0 + 3600 * S });
	assert_int_equal(rig->claims_n, 2);
	rig_hint(rig, T0 + 500 * MS);
	assert_int_equal(rig->claims_n, 2);
	assert_int_equal(rig->wake_at.us, T0 + 400 * MS);
	rig_hint(rig, T0 + 20 * MS);
	assert_int_equal(rig->claims_n, 3);
	rig_free(rig);
}

static void a_failed_claim_comes_again_later_and_later(void **state)
{
	static const int64_t delays_ms[] = { 100, 200, 400, 800, 1000, 1000 };
	struct rig *rig = rig_new(&options_default);

	(void)state;
	for (unsigned i = 0; i < sizeof delays_ms / sizeof *delays_ms; i++) {
		rig_forget(rig);
		rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_CLAIM_FAILED });
		if (delays_ms[i] <= 1000)
			assert_int_equal(rig->wake_at.us, rig->now.wall.us + delays_ms[i] * MS);
		rig_pass(rig, delays_ms[i] * MS - 1);
		assert_int_equal(rig->claims_n, 0);
		rig_pass(rig, 1);
		assert_int_equal(rig->claims_n, 1);
	}
	rig_free(rig);
}

static void asks_now_and_then_even_if_nothing_is_known_to_be_due(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed(rig, NULL, 0, (struct claimed){ 0 });
	rig_forget(rig);
	for (unsigned second = 0; second < 31; second++)
		rig_pass(rig, S);
	assert_int_equal(rig->claims_n, 1);
	rig_free(rig);
}

static void large_bodies_limit_what_is_claimed(void **state)
{
	static const struct {
		size_t body_n;
		uint32_t room; /* 0: nothing is claimed until that body has gone */
	} rows[] = { { 100000, 3 }, { 300000, 1 }, { 600000, 0 } };
	struct dispatcher_options options = options_default;
	static char body[600000];

	(void)state;
	options.held_bytes_max = 500000;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct run *run = run_new(1, 5, T0);
		struct rig *rig = rig_new(&options);

		rig_forget(rig);
		run->body = (struct str){ body, rows[i].body_n };
		rig_claimed(rig, &run, 1, (struct claimed){ .more = true });
		assert_int_equal(rig->room, rows[i].room);
		assert_int_equal(rig->claims_n, rows[i].room > 0);
		rig_done(rig, rig->starts[0].slot, delivered);
		rig_recorded(rig, DISPATCH_RECORDED);
		rig_tick(rig); /* what was given back counts from the next step on */
		assert_int_equal(rig->claims_n, 1);
		rig_free(rig);
	}
}

/* --- what comes of attempts --- */

static void an_attempt_ends_in_the_right_record(void **state)
{
	static const struct {
		const char *name;
		struct outcome outcome;
		uint32_t attempts, budget;
		enum record_kind kind;
		int64_t wait_us_max;
	} cases[] = {
		{ "delivered", { .class = OUTCOME_DELIVERED, .status = 204 }, 0, 6, RECORD_DELIVERED, 0 },
		{ "first failure", { .class = OUTCOME_HTTP, .status = 500 }, 0, 6, RECORD_RETRY, 5 * S },
		{ "timeout", { .class = OUTCOME_TIMEOUT }, 1, 6, RECORD_RETRY, 10 * S },
		{ "last but one", { .class = OUTCOME_CONNECT }, 4, 6, RECORD_RETRY, 80 * S },
		{ "budget used up", { .class = OUTCOME_CONNECT }, 5, 6, RECORD_FAILED, 0 },
		{ "delivered at last", { .class = OUTCOME_DELIVERED, .status = 200 }, 5, 6, RECORD_DELIVERED, 0 },
		{ "gone", { .class = OUTCOME_HTTP, .status = 410, .is_final = true }, 0, 6, RECORD_FAILED, 0 },
		{ "requeued: fresh budget, first wait",
		  { .class = OUTCOME_HTTP, .status = 500 },
		  6,
		  12,
		  RECORD_RETRY,
		  5 * S },
		{ "requeued: used up", { .class = OUTCOME_HTTP, .status = 500 }, 11, 12, RECORD_FAILED, 0 },
		{ "budget of an earlier, larger configuration",
		  { .class = OUTCOME_HTTP, .status = 500 },
		  0,
		  20,
		  RECORD_RETRY,
		  5 * S },
		{ "budget of an earlier, smaller configuration",
		  { .class = OUTCOME_HTTP, .status = 500 },
		  2,
		  3,
		  RECORD_FAILED,
		  0 },
		{ "Retry-After",
		  { .class = OUTCOME_HTTP, .status = 429, .retry_after_us = 100 * S },
		  0,
		  6,
		  RECORD_RETRY,
		  100 * S },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct rig *rig = rig_new(&options_default);
		struct run *run = run_new(1, 5, T0);

		run->attempts = cases[i].attempts;
		run->attempts_budget = cases[i].budget;
		rig_claimed(rig, &run, 1, (struct claimed){ 0 });
		assert_int_equal(rig->starts[0].attempt, cases[i].attempts + 1);
		rig_done(rig, rig->starts[0].slot, cases[i].outcome);
		assert_int_equal(rig->records_n, 1);

		const struct run_record *record = &rig->records[0];

		if (record->kind != cases[i].kind)
			fail_msg("%s: record kind %d", cases[i].name, (int)record->kind);
		assert_int_equal(record->attempts, cases[i].attempts + 1);
		assert_int_equal(record->run->lease, 1001);
		assert_int_equal(record->run->schedule_row, 7);
		assert_int_equal(record->outcome->status, cases[i].outcome.status);
		if (record->kind == RECORD_RETRY) {
			assert_in_range(record->eligible_at.us, T0 + cases[i].outcome.retry_after_us,
					T0 + cases[i].wait_us_max);
		}
		rig_recorded(rig, DISPATCH_RECORDED);
		assert_int_equal(rig->freed_n, 1);
		rig_free(rig);
	}
}

static void an_answer_is_kept_for_failures_only(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed_n(rig, 1, 2, 5, T0, (struct claimed){ 0 });
	rig_done(rig, rig->starts[0].slot, delivered);
	rig_done(rig, rig->starts[1].slot, failed);
	assert_int_equal(rig->records[0].outcome->answer_n, 0);
	assert_int_equal(rig->records[1].outcome->answer_n, 4);
	assert_memory_equal(rig->records[1].outcome->answer, "full", 4);
	rig_free(rig);
}

static void a_recorded_retry_is_claimed_when_its_time_comes(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed_n(rig, 1, 1, 5, T0, (struct claimed){ 0 });
	rig_done(rig, rig->starts[0].slot,
		 (struct outcome){ .class = OUTCOME_HTTP, .status = 429, .retry_after_us = 20 * S });
	rig_forget(rig);
	rig->records_n = 1;
	rig_recorded(rig, DISPATCH_RECORDED);
	rig->now.wall.us += 20 * S - 100 * MS - 1;
	rig_tick(rig);
	assert_int_equal(rig->claims_n, 0);
	rig->now.wall.us += 1;
	rig_tick(rig);
	assert_int_equal(rig->claims_n, 1);
	rig_free(rig);
}

static void a_record_that_fails_comes_again_and_nothing_starts_meanwhile(void **state)
{
	static const int64_t delays_ms[] = { 100, 200, 400, 800, 1000, 1000 };
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed_n(rig, 1, 6, 5, T0, (struct claimed){ .more = true });
	rig_done(rig, rig->starts[0].slot, delivered);
	rig_done(rig, rig->starts[1].slot, failed);
	for (unsigned i = 0; i < sizeof delays_ms / sizeof *delays_ms; i++) {
		assert_int_equal(rig->records_n, 2);
		rig->starts_n = 0;
		rig_recorded(rig, DISPATCH_RECORD_FAILED);
		rig_pass(rig, delays_ms[i] * MS - 1);
		assert_int_equal(rig->records_n, 0);
		rig_pass(rig, 1);
		assert_int_equal(rig->starts_n, 0);
	}
	assert_int_equal(rig->records[0].run->id, 1);
	assert_int_equal(rig->records[1].run->id, 2);
	rig_forget(rig);
	rig_claimed_n(rig, 50, 1, 9, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 0);
	rig->records_n = 2;
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->starts_n, 1);
	rig_free(rig);
}

static void while_claims_are_refused_nothing_starts(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed_n(rig, 1, 2, 5, T0 + 20 * MS, (struct claimed){ .more = true });
	assert_int_equal(rig->claims_n, 2);
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_CLAIM_FAILED });
	rig_pass(rig, 50 * MS);
	assert_int_equal(rig->starts_n, 0);
	/* Asked again, not yet answered. */
	rig_pass(rig, 50 * MS);
	assert_int_equal(rig->claims_n, 3);
	rig_pass(rig, 50 * MS);
	assert_int_equal(rig->starts_n, 0);
	rig_claimed(rig, NULL, 0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 2);
	rig_free(rig);
}

/* P8: what the refused claim was for is due only in ten seconds again. */
static void a_wall_clock_set_back_after_a_refused_claim_holds_up_nothing(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed_n(rig, 1, 5, 5, T0 - 60 * S, (struct claimed){ .more = true });
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_CLAIM_FAILED });
	rig_done(rig, rig->starts[0].slot, delivered);
	assert_int_equal(rig->starts_n, 4);
	rig->now.wall.us -= 10 * S;
	rig_pass(rig, 100 * MS);
	assert_int_equal(rig->starts_n, 5);
	assert_int_equal(rig->claims_n, 2);
	rig_free(rig);
}

/* The budget is for the endpoint's failures, not for ours. */
static void what_found_no_socket_was_no_attempt(void **state)
{
	struct rig *rig = rig_new(&options_default);
	struct outcome unsent = { .class = OUTCOME_INTERNAL, .is_unsent = true };

	(void)state;
	rig_claimed_n(rig, 1, 1, 5, T0, (struct claimed){ 0 });
	rig_done(rig, rig->starts[0].slot, unsent);
	assert_int_equal(rig->records_n, 0);
	assert_int_equal(rig->starts_n, 1);
	rig_pass(rig, S);
	assert_int_equal(rig->starts_n, 2);
	assert_int_equal(rig->starts[1].attempt, 1);
	/* A retry's wait is the store's to keep, and so is a run that an edit wants back. */
	rig_done(rig, rig->starts[1].slot, failed);
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_pass(rig, 10 * S);
	struct run *retry = run_new(2, 5, T0), *edited = run_new(3, 5, T0);

	retry->attempts = 1;
	rig_claimed(rig, (struct run *[]){ retry, edited }, 2, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 4);
	rig_revoke(rig, 3);
	for (uint32_t i = 0; i < 2; i++) {
		rig_done(rig, rig->starts[2 + i].slot, unsent);
		assert_int_equal(rig->records[i].kind, RECORD_RELEASE);
		assert_int_equal(rig->records[i].attempts, 1 - i);
		assert_int_equal(rig->records[i].eligible_at.us, T0 + 12 * S);
		assert_null(rig->records[i].outcome);
	}
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_free(rig);
}

static void results_that_wait_for_the_disk_stop_new_starts_in_the_end(void **state)
{
	struct dispatcher_options options = options_default;
	struct rig *rig;

	(void)state;
	options.held_max = 8000;
	options.in_flight_max = options.lane_in_flight_max = 64;
	rig = rig_new(&options);
	for (int64_t i = 0; i < 4; i++)
		rig_claimed_n(rig, 1 + 1000 * i, 1000, 5, T0, (struct claimed){ .more = true });
	for (uint32_t i = 0; i < rig->starts_n; i++)
		rig_done(rig, rig->starts[i].slot, delivered);
	assert_int_equal(rig->starts_n, 64 + DISPATCH_OUTCOMES_SPARE);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_true(rig->starts_n > 64 + DISPATCH_OUTCOMES_SPARE);
	rig_free(rig);
}

static void long_lists_come_in_parts(void **state)
{
	struct dispatcher_options options = options_default;
	struct rig *rig;

	(void)state;
	options.held_max = 3000;
	options.in_flight_max = options.lane_in_flight_max = 2000;
	rig = rig_new(&options);
	for (int64_t i = 0; i < 3; i++)
		rig_claimed_n(rig, 1 + 1000 * i, 1000, 5 + i, T0, (struct claimed){ .more = i < 2 });
	assert_int_equal(rig->starts_n, 1500);
	for (uint32_t i = 0; i < 1500; i++)
		rig_done(rig, rig->starts[i].slot, delivered);
	assert_int_equal(rig->records_n, 1500);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->freed_n, 1500);
	rig_free(rig);

	options.in_flight_max = options.lane_in_flight_max = 4000;
	rig = rig_new(&options);
	rig_claimed_n(rig, 1, 1000, 5, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 1000); /* more than one list has room for */
	rig_free(rig);
}

/* --- edits --- */

static void a_revoked_run_is_given_back_unless_it_flies(void **state)
{
	struct dispatcher_options options = options_default;
	struct rig *rig;

	(void)state;
	options.lane_in_flight_max = 1;
	rig = rig_new(&options);
	rig_claimed_n(rig, 1, 3, 5, T0, (struct claimed){ .more = true });
	rig_claimed_n(rig, 4, 1, 6, T0 + 50 * MS, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 1);
	rig_revoke(rig, 1); /* flies */
	rig_revoke(rig, 2); /* ready */
	rig_revoke(rig, 4); /* waits */
	rig_revoke(rig, 99);
	assert_int_equal(rig->records_n, 2);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(rig->records[i].kind, RECORD_RELEASE);
	assert_int_equal(rig->records[0].run->id, 2);
	assert_int_equal(rig->records[1].run->id, 4);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->freed_n, 2);
	rig_done(rig, rig->starts[0].slot, failed);
	assert_int_equal(rig->records_n, 1);
	assert_int_equal(rig->records[0].run->id, 1);
	assert_int_equal(rig->starts[1].run_id, 3);
	rig_pass(rig, 60 * MS);
	assert_int_equal(rig->starts_n, 2);
	rig_free(rig);
}

/* The notice of an edit may overtake the claim's answer of the same commit. The store decides by the lease whose it is.
 */
static void a_run_revoked_before_the_claim_answers_is_put_back(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_revoke(rig, 2);
	rig_claimed_n(rig, 1, 3, 5, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 2);
	assert_int_equal(rig->records_n, 1);
	assert_int_equal(rig->records[0].run->id, 2);
	assert_int_equal(rig->records[0].kind, RECORD_RELEASE);
	assert_int_equal(rig->records[0].eligible_at.us, T0);
	assert_null(rig->records[0].outcome);
	rig_recorded(rig, DISPATCH_RECORDED);
	/* It may be due at once: asks again; and the notice is forgotten with that answer. */
	assert_int_equal(rig->claims_n, 2);
	rig_forget(rig);
	rig_claimed_n(rig, 2, 1, 5, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 1);
	rig_free(rig);
}

static void more_revoked_runs_than_can_be_remembered(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	for (int64_t id = 1000; id < 6000; id++)
		rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_REVOKED, .ids = { &id, 1 } });
	rig_claimed_n(rig, 1, 3, 5, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 0);
	assert_int_equal(rig->records_n, 3);
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_claimed_n(rig, 1, 3, 5, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 3);
	rig_free(rig);
}

static void a_run_claimed_anew_replaces_the_one_that_waits_for_a_place(void **state)
{
	struct dispatcher_options options = options_default;
	struct run *again = run_new(2, 5, T0);
	struct rig *rig;

	(void)state;
	options.lane_in_flight_max = 1;
	rig = rig_new(&options);
	rig_claimed_n(rig, 1, 2, 5, T0, (struct claimed){ .more = true });
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).ready, 1);
	again->lease = 77;
	rig_claimed(rig, &again, 1, (struct claimed){ 0 });
	assert_int_equal(rig->freed_n, 1);
	rig_done(rig, rig->starts[0].slot, delivered);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->starts_n, 2);
	rig_done(rig, rig->starts[1].slot, delivered);
	assert_int_equal(rig->records_n, 1);
	assert_int_equal(rig->records[0].run->lease, 77);
	rig_free(rig);
}

static void a_run_claimed_anew_replaces_the_waiting_one_and_waits_for_the_flying_one(void **state)
{
	struct rig *rig = rig_new(&options_default);
	struct run *again;

	(void)state;
	rig_claimed_n(rig, 1, 1, 5, T0, (struct claimed){ .more = true });
	rig_claimed_n(rig, 2, 1, 5, T0 + 50 * MS, (struct claimed){ .more = true });
	again = run_new(2, 5, T0 + 60 * MS);
	again->lease = 77;
	rig_claimed(rig, &again, 1, (struct claimed){ .more = true });
	assert_int_equal(rig->freed_n, 1);
	again = run_new(1, 5, T0);
	again->lease = 78;
	rig_claimed(rig, &again, 1, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 1);
	assert_int_equal(rig->records_n, 1);
	assert_int_equal(rig->records[0].run->lease, 78);
	assert_int_equal(rig->records[0].kind, RECORD_RELEASE);
	assert_int_equal(rig->records[0].eligible_at.us, T0 + S);
	rig_pass(rig, 60 * MS);
	assert_int_equal(rig->starts_n, 2);
	rig_free(rig);
}

/* --- stopping --- */

static void draining_puts_back_what_waits_and_ends_with_what_flies(void **state)
{
	struct dispatcher_options options = options_default;
	struct rig *rig;

	(void)state;
	options.lane_in_flight_max = 1;
	rig = rig_new(&options);
	rig_claimed_n(rig, 1, 3, 5, T0, (struct claimed){ .more = true });
	rig_claimed_n(rig, 4, 2, 6, T0 + 150 * MS, (struct claimed){ .more = true });
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_DRAIN });
	assert_int_equal(rig->records_n, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(rig->records[i].kind, RECORD_RELEASE);
		assert_int_equal(rig->records[i].eligible_at.us, rig->records[i].run->id >= 4 ? T0 + 150 * MS : T0);
		assert_int_equal(rig->records[i].attempts, 0);
	}
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_claimed_n(rig, 10, 1, 7, T0,
		      (struct claimed){ .more = true }); /* the answer to a claim that was on its way */
	assert_int_equal(rig->records[0].kind, RECORD_RELEASE);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->drained_n, 0);
	rig_done(rig, rig->starts[0].slot, failed);
	assert_int_equal(rig->drained_n, 0);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->drained_n, 1);
	assert_int_equal(rig->starts_n, 1);
	assert_int_equal(rig->freed_n, 6);
	rig_pass(rig, 10 * S);
	assert_int_equal(rig->drained_n, 1);
	rig_free(rig);
}

static void draining_waits_for_the_answer_to_a_claim(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_DRAIN });
	assert_int_equal(rig->drained_n, 0);
	rig_claimed(rig, NULL, 0, (struct claimed){ .more = true });
	assert_int_equal(rig->drained_n, 1);
	assert_int_equal(rig->claims_n, 1);
	rig_free(rig);
}

static void draining_asks_for_no_claim_that_was_refused(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed_n(rig, 1, 1, 5, T0, (struct claimed){ .more = true });
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_CLAIM_FAILED });
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_DRAIN });
	rig_pass(rig, 100 * MS);
	rig_done(rig, rig->starts[0].slot, delivered);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->drained_n, 1);
	assert_int_equal(rig->claims_n, 2);
	rig_free(rig);
}

static void draining_after_a_lane_has_gone(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed_n(rig, 1, 1, 5, T0, (struct claimed){ .more = true });
	rig_claimed_n(rig, 2, 1, 6, T0 + 150 * MS, (struct claimed){ 0 });
	rig_done(rig, rig->starts[0].slot, delivered);
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_DRAIN });
	assert_int_equal(rig->records_n, 1);
	assert_int_equal(rig->records[0].run->id, 2);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->drained_n, 1);
	rig_free(rig);
}

/* --- what operators see --- */

/* Only what waits for us counts: not what waits for its own host. */
static void the_oldest_ready_run_is_the_one_that_others_keep_waiting(void **state)
{
	struct dispatcher_options options = options_default;
	struct rig *rig;

	(void)state;
	options.in_flight_max = options.lane_in_flight_max = 4;
	rig = rig_new(&options);
	for (int64_t lane = 0; lane < 4; lane++)
		rig_claimed_n(rig, 1 + 10 * lane, 2, 5 + lane, T0 - 60 * S, (struct claimed){ .more = true });
	assert_int_equal(rig->starts_n, 4);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).oldest_ready_age_us, 0);
	rig_claimed_n(rig, 100, 2, 50, T0 - S, (struct claimed){ 0 });
	rig_pass(rig, 3 * S);
	assert_int_equal(rig->starts_n, 4);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).oldest_ready_age_us, 4 * S);
	rig_free(rig);
	dispatcher_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_at_its_instant_and_not_a_microsecond_before),
		cmocka_unit_test(a_wall_clock_set_back_makes_ready_runs_wait_again),
		cmocka_unit_test(a_wall_clock_set_back_makes_no_wait_for_a_retry_longer),
		cmocka_unit_test(a_retry_that_waits_for_a_place_is_put_back_too),
		cmocka_unit_test(a_retry_on_its_way_to_the_store_takes_the_set_back_along),
		cmocka_unit_test(claims_ahead_of_what_is_due_next_and_only_then),
		cmocka_unit_test(claims_at_the_instant_what_cannot_be_claimed_ahead),
		cmocka_unit_test(more_means_again_at_once),
		cmocka_unit_test(a_hint_during_a_claim_is_not_lost),
		cmocka_unit_test(a_failed_claim_comes_again_later_and_later),
		cmocka_unit_test(asks_now_and_then_even_if_nothing_is_known_to_be_due),
		cmocka_unit_test(large_bodies_limit_what_is_claimed),
		cmocka_unit_test(an_attempt_ends_in_the_right_record),
		cmocka_unit_test(an_answer_is_kept_for_failures_only),
		cmocka_unit_test(a_recorded_retry_is_claimed_when_its_time_comes),
		cmocka_unit_test(a_record_that_fails_comes_again_and_nothing_starts_meanwhile),
		cmocka_unit_test(while_claims_are_refused_nothing_starts),
		cmocka_unit_test(a_wall_clock_set_back_after_a_refused_claim_holds_up_nothing),
		cmocka_unit_test(what_found_no_socket_was_no_attempt),
		cmocka_unit_test(results_that_wait_for_the_disk_stop_new_starts_in_the_end),
		cmocka_unit_test(long_lists_come_in_parts),
		cmocka_unit_test(a_revoked_run_is_given_back_unless_it_flies),
		cmocka_unit_test(a_run_revoked_before_the_claim_answers_is_put_back),
		cmocka_unit_test(more_revoked_runs_than_can_be_remembered),
		cmocka_unit_test(a_run_claimed_anew_replaces_the_one_that_waits_for_a_place),
		cmocka_unit_test(a_run_claimed_anew_replaces_the_waiting_one_and_waits_for_the_flying_one),
		cmocka_unit_test(draining_puts_back_what_waits_and_ends_with_what_flies),
		cmocka_unit_test(draining_waits_for_the_answer_to_a_claim),
		cmocka_unit_test(draining_asks_for_no_claim_that_was_refused),
		cmocka_unit_test(draining_after_a_lane_has_gone),
		cmocka_unit_test(the_oldest_ready_run_is_the_one_that_others_keep_waiting),
	};

	return cmocka_run_group_tests_name("dispatcher", tests, NULL, NULL);
}
