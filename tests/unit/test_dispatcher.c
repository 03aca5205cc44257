/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's rules one by one: events go in, the actions that come out are compared. Time is a number that the test sets; nothing waits.
 *
 * Every step is followed by dispatcher_sane. The rules are P2, P5, P6, P10, P13, P14 of docs/promise.md. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "deliver/dispatcher.h"
#include "deliver/id_map.h"

enum { LOG_MAX = 20000 };

#define MS US_PER_MS
#define S US_PER_SECOND
#define T0 INT64_C(1700000000000000)

struct started {
	int64_t run_id;
	uint32_t slot, attempt;
};

/* A dispatcher and everything it asked for since the last rig_forget. */
struct rig {
	struct dispatcher *dispatcher;
	struct instant now;
	struct dispatch_actions actions;
	struct started starts[LOG_MAX];
	struct run_record records[LOG_MAX];
	int64_t lanes[64]; /* of CLAIM_LANEs */
	uint32_t starts_n, records_n, lanes_n, lane_room, claims_n, room, freed_n, drained_n;
	struct wall wake_at, until;
};

static const struct dispatcher_options options_default = {
	.held_max = 100,
	.held_bytes_max = 1 << 30,
	.in_flight_max = 16,
	.lane_in_flight_max = 4,
	.look_ahead_us = 200 * MS,
	.retry = { .attempts_max = 6, .delay_us_first = 5 * S, .delay_us_max = 300 * S },
	.seed = 1,
};

static void rig_log(struct rig *rig, const struct dispatch_action *action)
{
	switch (action->kind) {
	case DISPATCH_CLAIM:
		rig->claims_n++;
		rig->room = action->claim.room;
		rig->until = action->claim.until;
		break;
	case DISPATCH_CLAIM_LANE:
		rig->lanes[rig->lanes_n++] = action->claim.lane;
		rig->lane_room = action->claim.room;
		break;
	case DISPATCH_START:
		assert_true(action->start.run->start_at.us <= rig->now.wall.us);
		rig->starts[rig->starts_n++] = (struct started){ action->start.run->id, action->start.slot, action->start.attempt };
		break;
	case DISPATCH_RECORD:
		rig->records[rig->records_n++] = action->record;
		break;
	case DISPATCH_FREE:
		free(action->run);
		rig->freed_n++;
		break;
	case DISPATCH_WAKE:
		rig->wake_at = action->wake_at;
		break;
	case DISPATCH_DRAINED:
		rig->drained_n++;
		break;
	}
}

static void rig_step(struct rig *rig, struct dispatch_event event)
{
	do {
		event.now = rig->now;
		dispatcher_step(rig->dispatcher, &event, &rig->actions);
		dispatcher_sane(rig->dispatcher);
		assert_int_equal(rig->actions.list[rig->actions.n - 1].kind, DISPATCH_WAKE);
		for (uint32_t i = 0; i < rig->actions.n; i++)
			rig_log(rig, &rig->actions.list[i]);
		event = (struct dispatch_event){ .kind = DISPATCH_TICK };
	} while (rig->actions.more);
	assert_true(rig->wake_at.us >= rig->now.wall.us && rig->wake_at.us <= rig->now.wall.us + S);
}

static void rig_forget(struct rig *rig)
{
	rig->starts_n = rig->records_n = rig->lanes_n = rig->claims_n = rig->room = rig->freed_n = rig->drained_n = 0;
}

static void rig_tick(struct rig *rig)
{
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_TICK });
}

static void rig_pass(struct rig *rig, int64_t us)
{
	rig->now.wall.us += us;
	rig->now.boot.us += us;
	rig_tick(rig);
}

static struct rig *rig_new(const struct dispatcher_options *options)
{
	struct rig *rig = memory_new(sizeof *rig);

	rig->now = (struct instant){ .wall = { T0 }, .boot = { 1000 * S } };
	rig->dispatcher = dispatcher_new(options);
	rig_tick(rig);
	assert_int_equal(rig->claims_n, 1);
	return rig;
}

static void free_run(void *ctx, struct run *run)
{
	(void)ctx;
	free(run);
}

static void rig_free(struct rig *rig)
{
	dispatcher_each_run(rig->dispatcher, free_run, NULL);
	dispatcher_free(rig->dispatcher);
	free(rig);
}

static struct run *run_new(int64_t id, int64_t lane, int64_t start_us)
{
	struct run *run = memory_new(sizeof *run);

	*run = (struct run){ .id = id, .lease = 1000 + id, .lane = lane, .schedule_row = 7, .attempts_budget = 6, .planned_at = { start_us }, .start_at = { start_us } };
	return run;
}

struct claimed {
	bool more, has_next, of_lane;
	int64_t next_us, lane;
};

static void rig_claimed(struct rig *rig, struct run **runs, uint32_t n, struct claimed c)
{
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_CLAIMED,
					       .claimed = { .runs = runs, .runs_n = n, .more = c.more, .has_next = c.has_next, .next_at = { c.next_us },
							    .of_lane = c.of_lane, .lane = c.lane } });
}

/* Ids first … first + n - 1, all of one lane, due at `start_us`. */
static void rig_claimed_n(struct rig *rig, int64_t first, uint32_t n, int64_t lane, int64_t start_us, struct claimed c)
{
	struct run **runs = memory_new((n + 1) * sizeof *runs);

	for (uint32_t i = 0; i < n; i++)
		runs[i] = run_new(first + i, lane, start_us);
	rig_claimed(rig, runs, n, c);
	free(runs);
}

static void rig_done(struct rig *rig, uint32_t slot, struct outcome outcome)
{
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_DONE, .done = { slot, &outcome } });
}

static void rig_recorded(struct rig *rig, enum dispatch_event_kind kind)
{
	uint32_t *slots = memory_new((rig->records_n + 1) * sizeof *slots), n = rig->records_n;

	for (uint32_t i = 0; i < n; i++)
		slots[i] = rig->records[i].slot;
	rig->records_n = 0;
	rig_step(rig, (struct dispatch_event){ .kind = kind, .slots = { slots, n } });
	free(slots);
}

static void rig_hint(struct rig *rig, int64_t us)
{
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_DUE_HINT, .due_at = { us } });
}

static void rig_revoke(struct rig *rig, int64_t id)
{
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_REVOKED, .ids = { &id, 1 } });
}

static const struct outcome delivered = { .class = OUTCOME_DELIVERED, .status = 200, .answer_n = 2, .answer = "ok" };
static const struct outcome failed = { .class = OUTCOME_HTTP, .status = 503, .answer_n = 4, .answer = "full" };

/* --- time --------------------------------------------------------------------------------------------------------------------------------- */

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

/* --- lanes -------------------------------------------------------------------------------------------------------------------------------- */

static void a_lane_is_served_in_order_of_instant_then_id(void **state)
{
	static const struct { int64_t id, start_us; } arrivals[] = { { 9, T0 }, { 3, T0 - 2 }, { 4, T0 - 2 }, { 8, T0 - 1 }, { 1, T0 } };
	static const int64_t expected[] = { 3, 4, 8, 1, 9 };
	struct dispatcher_options options = options_default;
	struct run *runs[5];
	struct rig *rig;

	(void)state;
	options.lane_in_flight_max = 1;
	rig = rig_new(&options);
	for (unsigned i = 0; i < 5; i++)
		runs[i] = run_new(arrivals[i].id, 5, arrivals[i].start_us);
	rig_claimed(rig, runs, 5, (struct claimed){ 0 });
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(rig->starts_n, i + 1);
		assert_int_equal(rig->starts[i].run_id, expected[i]);
		rig_done(rig, rig->starts[i].slot, delivered);
	}
	rig_free(rig);
}

static void late_arrivals_take_their_place_in_the_queue(void **state)
{
	struct dispatcher_options options = options_default;
	struct rig *rig;
	static const int64_t expected[] = { 1, 40, 2, 30, 3 };

	(void)state;
	options.lane_in_flight_max = 1;
	rig = rig_new(&options);
	rig_claimed_n(rig, 1, 1, 5, T0 - 10, (struct claimed){ .more = true });
	rig_claimed_n(rig, 2, 1, 5, T0 - 8, (struct claimed){ .more = true });
	rig_claimed_n(rig, 3, 1, 5, T0 - 4, (struct claimed){ .more = true });
	rig_claimed_n(rig, 30, 1, 5, T0 - 6, (struct claimed){ .more = true });
	rig_claimed_n(rig, 40, 1, 5, T0 - 9, (struct claimed){ .more = true });
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(rig->starts[i].run_id, expected[i]);
		rig_done(rig, rig->starts[i].slot, delivered);
	}
	rig_free(rig);
}

static void lanes_take_turns(void **state)
{
	struct run *runs[12];
	struct rig *rig = rig_new(&options_default);

	(void)state;
	/* Four of each of three lanes, the lanes one after another. */
	for (unsigned i = 0; i < 12; i++)
		runs[i] = run_new(1 + i, 100 + i / 4, T0);
	rig_claimed(rig, runs, 12, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 12);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal((rig->starts[i].run_id - 1) / 4, i % 3);
	rig_free(rig);
}

static void a_lane_has_its_limit(void **state)
{
	struct rig *rig = rig_new(&options_default);

	(void)state;
	rig_claimed_n(rig, 1, 10, 5, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 4);
	rig_done(rig, rig->starts[1].slot, delivered);
	assert_int_equal(rig->starts_n, 5);
	assert_int_equal(rig->starts[4].run_id, 5);
	rig_free(rig);
}

static void a_lane_above_a_quarter_lets_others_go_first(void **state)
{
	struct dispatcher_options options = options_default;
	struct rig *rig;

	(void)state;
	options.lane_in_flight_max = 16;
	rig = rig_new(&options);
	rig_claimed_n(rig, 1, 30, 5, T0, (struct claimed){ .more = true });
	/* Its quarter at once; alone, and as long as its attempts end, more; and some places stay for a newcomer. */
	assert_int_equal(rig->starts_n, 4);
	rig_done(rig, rig->starts[0].slot, delivered);

	uint32_t alone = rig->starts_n - 1;

	assert_true(alone > 4 && alone < 14);
	rig_forget(rig);
	rig_claimed_n(rig, 101, 20, 6, T0, (struct claimed){ .more = true });
	assert_int_equal(rig->starts_n, 4);

	/* While both wait, a place that becomes free goes to the lane that has less than its quarter. */
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(rig->starts[i].run_id > 100);
		rig_done(rig, rig->starts[i].slot, delivered);
	}
	assert_int_equal(rig->starts_n, 7);
	for (uint32_t i = 0; i < rig->starts_n; i++)
		assert_true(rig->starts[i].run_id > 100);
	rig_free(rig);
}

static void hung_lanes_keep_few_places(void **state)
{
	struct dispatcher_options options = options_default;
	uint32_t landed = 0;
	struct rig *rig;

	(void)state;
	options.held_max = 2000;
	options.in_flight_max = 64;
	options.lane_in_flight_max = 16;
	rig = rig_new(&options);
	for (int64_t lane = 0; lane < 12; lane++)
		rig_claimed_n(rig, 1 + lane * 50, 50, 100 + lane, T0, (struct claimed){ .more = true });
	/* All ends by timeout: from then on each has one place, and what is free is there for others. */
	while (landed < 200)
		rig_done(rig, rig->starts[landed++].slot, (struct outcome){ .class = OUTCOME_TIMEOUT });
	assert_int_equal(rig->starts_n - landed, 12);
	rig_forget(rig);
	rig_claimed_n(rig, 5000, 1, 7, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 1);
	assert_int_equal(rig->starts[0].run_id, 5000);
	rig_free(rig);
}

/* --- claims ------------------------------------------------------------------------------------------------------------------------------- */

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
	static const int64_t delays_ms[] = { 100, 200, 400, 800, 1600, 2000, 2000 };
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
	struct dispatcher_options options = options_default;
	static char body[100000];
	struct run *run = run_new(1, 5, T0 + 100 * MS);
	struct rig *rig;

	(void)state;
	options.held_bytes_max = 500000;
	rig = rig_new(&options);
	run->body = (struct str){ body, sizeof body };
	rig_claimed(rig, &run, 1, (struct claimed){ .more = true });
	assert_int_equal(rig->room, 3);
	rig_free(rig);
}

/* --- what comes of attempts ------------------------------------------------------------------------------------------------------------------ */

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
		{ "requeued: fresh budget, first wait", { .class = OUTCOME_HTTP, .status = 500 }, 6, 12, RECORD_RETRY, 5 * S },
		{ "requeued: used up", { .class = OUTCOME_HTTP, .status = 500 }, 11, 12, RECORD_FAILED, 0 },
		{ "budget of an earlier, larger configuration", { .class = OUTCOME_HTTP, .status = 500 }, 0, 20, RECORD_RETRY, 5 * S },
		{ "budget of an earlier, smaller configuration", { .class = OUTCOME_HTTP, .status = 500 }, 2, 3, RECORD_FAILED, 0 },
		{ "Retry-After", { .class = OUTCOME_HTTP, .status = 429, .retry_after_us = 100 * S }, 0, 6, RECORD_RETRY, 100 * S },
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
			assert_in_range(record->eligible_at.us, T0 + cases[i].outcome.retry_after_us, T0 + cases[i].wait_us_max);
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
	rig_done(rig, rig->starts[0].slot, (struct outcome){ .class = OUTCOME_HTTP, .status = 429, .retry_after_us = 20 * S });
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
	static const int64_t delays_ms[] = { 100, 200, 400, 800, 1600, 2000, 2000 };
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
}

/* --- edits ----------------------------------------------------------------------------------------------------------------------------------- */

static void a_revoked_run_vanishes_unless_it_flies(void **state)
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
	assert_int_equal(rig->freed_n, 2);
	rig_done(rig, rig->starts[0].slot, failed);
	assert_int_equal(rig->records_n, 1);
	assert_int_equal(rig->records[0].run->id, 1);
	assert_int_equal(rig->starts[1].run_id, 3);
	rig_pass(rig, 60 * MS);
	assert_int_equal(rig->starts_n, 2);
	rig_free(rig);
}

/* The notice of an edit may overtake the claim's answer of the same commit. The store decides by the lease whose it is. */
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

/* --- stopping ---------------------------------------------------------------------------------------------------------------------------------- */

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
	rig_claimed_n(rig, 10, 1, 7, T0, (struct claimed){ .more = true }); /* the answer to a claim that was on its way */
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

/* --- parking -------------------------------------------------------------------------------------------------------------------------------------- */

static const struct dispatcher_options options_parking = {
	.held_max = 800,
	.held_bytes_max = 1 << 30,
	.in_flight_max = 64,
	.lane_in_flight_max = 16,
	.look_ahead_us = 200 * MS,
	.retry = { .attempts_max = 6, .delay_us_first = 5 * S, .delay_us_max = 300 * S },
	.seed = 1,
};

/* A lane of a hung host fills the memory; on return it is parked and its records are answered. */
static struct rig *rig_parked(void)
{
	struct rig *rig = rig_new(&options_parking);

	rig_claimed_n(rig, 1, 800, 5, T0, (struct claimed){ .more = true });
	assert_int_equal(rig->starts_n, 16);
	assert_int_equal(rig->claims_n, 1);
	rig_pass(rig, 99 * MS);
	assert_int_equal(rig->records_n, 0);
	rig_pass(rig, 26 * MS);
	assert_int_equal(rig->records_n, 800 - 16 - 16);
	return rig;
}

static void a_clogged_lane_is_parked_and_keeps_its_oldest(void **state)
{
	struct rig *rig = rig_parked();

	(void)state;
	for (uint32_t i = 0; i < rig->records_n; i++) {
		assert_int_equal(rig->records[i].kind, RECORD_PARK);
		assert_int_equal(rig->records[i].eligible_at.us, rig->now.wall.us + 60 * S);
		assert_true(rig->records[i].run->id > 32);
	}
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->claims_n, 2); /* there is room again */
	assert_int_equal(rig->lanes_n, 0);  /* but none on the lane */

	/* What comes for a slow lane goes to the same place when it is due; others start at once. */
	rig_forget(rig);
	struct run *runs[3] = { run_new(2000, 5, rig->now.wall.us), run_new(2001, 6, rig->now.wall.us), run_new(2002, 5, rig->now.wall.us + 50 * MS) };

	rig_claimed(rig, runs, 3, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 1);
	assert_int_equal(rig->starts[0].run_id, 2001);
	assert_int_equal(rig->records_n, 1);
	assert_int_equal(rig->records[0].run->id, 2000);
	rig_pass(rig, 50 * MS);
	assert_int_equal(rig->records_n, 2);
	rig_free(rig);
}

static void parked_runs_come_back_in_order_as_the_lane_moves(void **state)
{
	struct rig *rig = rig_parked();
	uint32_t flown = 0;
	int64_t parked = 33;

	(void)state;
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_claimed(rig, NULL, 0, (struct claimed){ 0 });
	/* The store gives the lane's runs back, oldest first, until none is left. */
	while (flown < rig->starts_n) {
		assert_int_equal(rig->starts[flown].run_id, flown + 1);
		rig_done(rig, rig->starts[flown++].slot, delivered);
		if (rig->lanes_n) {
			uint32_t n = parked + rig->lane_room <= 801 ? rig->lane_room : (uint32_t)(801 - parked);

			assert_int_equal(rig->lanes[0], 5);
			rig->lanes_n = 0;
			rig_claimed_n(rig, parked, n, 5, T0, (struct claimed){ .of_lane = true, .lane = 5, .more = parked + n < 801 });
			parked += n;
		}
	}
	assert_int_equal(flown, 800);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).slow_lanes, 0);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).recording, 0);
	rig_free(rig);
}

static void a_lane_stays_slow_while_runs_are_on_their_way_to_the_parking_place(void **state)
{
	struct rig *rig = rig_parked();

	(void)state;
	rig_recorded(rig, DISPATCH_RECORDED);
	rig->lanes_n = 0;
	for (uint32_t i = 0; i < 8; i++)
		rig_done(rig, rig->starts[i].slot, delivered);
	assert_int_equal(rig->lanes_n, 1);
	rig_forget(rig);
	rig_claimed_n(rig, 2000, 1, 5, T0, (struct claimed){ 0 }); /* parked: its record is out */
	assert_int_equal(rig->records_n, 1);
	rig_claimed_n(rig, 33, 3, 5, T0, (struct claimed){ .of_lane = true, .lane = 5 });
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).slow_lanes, 1);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).slow_lanes, 1);
	rig_free(rig);
}

static void a_failed_lane_claim_comes_again(void **state)
{
	struct rig *rig = rig_parked();

	(void)state;
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_claimed(rig, NULL, 0, (struct claimed){ 0 });
	rig_forget(rig);
	for (uint32_t i = 0; i < 8; i++)
		rig_done(rig, rig->starts[i].slot, delivered);
	assert_int_equal(rig->lanes_n, 1);
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_CLAIM_FAILED, .claimed = { .of_lane = true, .lane = 5 } });
	assert_int_equal(rig->lanes_n, 1);
	rig_pass(rig, 100 * MS);
	assert_int_equal(rig->lanes_n, 2);
	rig_free(rig);
}

/* A burst to one host that answers quickly is served from memory: 64 places, an answer each millisecond. */
static void a_burst_to_a_quick_host_is_not_parked(void **state)
{
	struct dispatcher_options options = options_parking;
	struct rig *rig;
	int64_t next = 1;
	uint32_t flown = 0;

	(void)state;
	options.lane_in_flight_max = 64;
	rig = rig_new(&options);
	for (unsigned ms = 0; ms < 300 && flown < 10000; ms++) {
		uint32_t landed = rig->starts_n;

		if (rig->claims_n) {
			rig->claims_n = 0;
			uint32_t n = next + rig->room <= 10001 ? rig->room : (uint32_t)(10001 - next);

			rig_claimed_n(rig, next, n, 5, T0, (struct claimed){ .more = next + n < 10001 });
			next += n;
		}
		for (; flown < landed; flown++)
			rig_done(rig, rig->starts[flown].slot, delivered);
		for (uint32_t i = 0; i < rig->records_n; i++)
			assert_int_equal(rig->records[i].kind, RECORD_DELIVERED);
		rig_recorded(rig, DISPATCH_RECORDED);
		rig_pass(rig, MS);
	}
	assert_true(flown >= 10000);
	rig_free(rig);
}

/* --- parts --------------------------------------------------------------------------------------------------------------------------------------- */

static void the_id_map_finds_what_was_put_in(void **state)
{
	struct id_map map;
	uint32_t cursor = 0, n = 0;

	(void)state;
	id_map_init(&map, 1000);
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 1000; i++)
			id_map_insert(&map, (int64_t)i * 4096, i);
		for (uint32_t i = 0; i < 1000; i += 3)
			id_map_remove(&map, (int64_t)i * 4096, i);
		for (uint32_t i = 0; i < 1000; i++)
			assert_int_equal(id_map_find(&map, (int64_t)i * 4096), i % 3 ? i : ID_MAP_NONE);
		for (uint32_t i = 0; i < 1000; i++)
			if (i % 3)
				id_map_remove(&map, (int64_t)i * 4096, i);
		assert_int_equal(map.n, 0);
	}
	for (uint32_t i = 0; i < 5; i++)
		id_map_insert(&map, 17, i);
	while (id_map_each(&map, 17, &cursor) != ID_MAP_NONE)
		n++;
	assert_int_equal(n, 5);
	id_map_release(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_at_its_instant_and_not_a_microsecond_before),
		cmocka_unit_test(a_wall_clock_set_back_makes_ready_runs_wait_again),
		cmocka_unit_test(a_lane_is_served_in_order_of_instant_then_id),
		cmocka_unit_test(late_arrivals_take_their_place_in_the_queue),
		cmocka_unit_test(lanes_take_turns),
		cmocka_unit_test(a_lane_has_its_limit),
		cmocka_unit_test(a_lane_above_a_quarter_lets_others_go_first),
		cmocka_unit_test(hung_lanes_keep_few_places),
		cmocka_unit_test(claims_ahead_of_what_is_due_next_and_only_then),
		cmocka_unit_test(more_means_again_at_once),
		cmocka_unit_test(a_hint_during_a_claim_is_not_lost),
		cmocka_unit_test(a_failed_claim_comes_again_later_and_later),
		cmocka_unit_test(asks_now_and_then_even_if_nothing_is_known_to_be_due),
		cmocka_unit_test(large_bodies_limit_what_is_claimed),
		cmocka_unit_test(an_attempt_ends_in_the_right_record),
		cmocka_unit_test(an_answer_is_kept_for_failures_only),
		cmocka_unit_test(a_recorded_retry_is_claimed_when_its_time_comes),
		cmocka_unit_test(a_record_that_fails_comes_again_and_nothing_starts_meanwhile),
		cmocka_unit_test(results_that_wait_for_the_disk_stop_new_starts_in_the_end),
		cmocka_unit_test(long_lists_come_in_parts),
		cmocka_unit_test(a_revoked_run_vanishes_unless_it_flies),
		cmocka_unit_test(a_run_revoked_before_the_claim_answers_is_put_back),
		cmocka_unit_test(more_revoked_runs_than_can_be_remembered),
		cmocka_unit_test(a_run_claimed_anew_replaces_the_waiting_one_and_waits_for_the_flying_one),
		cmocka_unit_test(draining_puts_back_what_waits_and_ends_with_what_flies),
		cmocka_unit_test(a_clogged_lane_is_parked_and_keeps_its_oldest),
		cmocka_unit_test(parked_runs_come_back_in_order_as_the_lane_moves),
		cmocka_unit_test(a_lane_stays_slow_while_runs_are_on_their_way_to_the_parking_place),
		cmocka_unit_test(a_failed_lane_claim_comes_again),
		cmocka_unit_test(a_burst_to_a_quick_host_is_not_parked),
		cmocka_unit_test(the_id_map_finds_what_was_put_in),
	};

	return cmocka_run_group_tests_name("dispatcher", tests, NULL, NULL);
}
