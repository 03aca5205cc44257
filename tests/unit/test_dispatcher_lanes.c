/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's rules about lanes: order, turns, shares, and what happens to a lane that clogs the memory (P10, P14). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "deliver/held.h"
#include "deliver/id_map.h"
#include "dispatcher_rig.h"

/* --- lanes --- */

static void a_lane_is_served_in_order_of_instant_then_id(void **state)
{
	static const struct {
		int64_t id, start_us;
	} arrivals[] = { { 9, T0 }, { 3, T0 - 2 }, { 4, T0 - 2 }, { 8, T0 - 1 }, { 1, T0 } };
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

static void lanes_above_a_quarter_take_turns_too(void **state)
{
	struct dispatcher_options options = options_default;
	uint32_t of_lane[2] = { 0, 0 };
	struct rig *rig;

	(void)state;
	options.lane_in_flight_max = 16;
	options.held_max = 400;
	rig = rig_new(&options);
	rig_claimed_n(rig, 1, 100, 5, T0, (struct claimed){ .more = true });
	rig_claimed_n(rig, 101, 100, 6, T0, (struct claimed){ .more = true });
	/* The attempts of both end in the order in which they began. */
	for (uint32_t i = 0; i < 100; i++)
		rig_done(rig, rig->starts[i].slot, delivered);
	for (uint32_t i = 40; i < 100; i++)
		of_lane[rig->starts[i].run_id > 100]++;
	assert_int_equal(of_lane[0], 30);
	assert_int_equal(of_lane[1], 30);
	assert_int_equal(rig->starts_n - 100, 12); /* on the wire now: two each for every free place but the last */
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

/* --- without a socket --- */

/* P10. The other host has a connection of its own. */
static void what_found_no_socket_goes_before_its_lane(void **state)
{
	struct rig *rig = rig_new(&options_default);
	struct outcome unsent = { .class = OUTCOME_INTERNAL, .is_unsent = true };

	(void)state;
	rig_claimed_n(rig, 1, 6, 5, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 4);
	rig_done(rig, rig->starts[1].slot, unsent);
	rig_done(rig, rig->starts[0].slot, unsent);
	assert_int_equal(rig->starts_n, 4);
	rig_hint(rig, T0);
	rig_claimed_n(rig, 7, 1, 6, T0, (struct claimed){ 0 });
	assert_int_equal(rig->starts_n, 5);
	assert_int_equal(rig->starts[4].run_id, 7);
	/* What has ended leaves one socket, and for one that is gone again there is none. */
	rig_done(rig, rig->starts[2].slot, delivered);
	assert_int_equal(rig->starts_n, 6);
	assert_int_equal(rig->starts[5].run_id, 1);
	rig_done(rig, rig->starts[5].slot, unsent);
	assert_int_equal(rig->starts_n, 6);
	rig_done(rig, rig->starts[3].slot, delivered);
	assert_int_equal(rig->starts_n, 7);
	assert_int_equal(rig->starts[6].run_id, 1);
	rig_pass(rig, S);
	assert_int_equal(rig->starts_n, 10);
	for (uint32_t i = 7; i < 10; i++)
		assert_int_equal(rig->starts[i].run_id, i == 7 ? 2 : i - 3);
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_DRAIN });
	rig_done(rig, rig->starts[6].slot, unsent);
	assert_int_equal(rig->starts_n, 10);
	assert_int_equal(rig->records_n, 3);
	rig_free(rig);
}

/* Wakes for the first of two lanes, and, while nothing may start, for none. */
static void a_rest_ends_by_itself(void **state)
{
	struct rig *rig = rig_new(&options_default);
	struct outcome unsent = { .class = OUTCOME_INTERNAL, .is_unsent = true };

	(void)state;
	rig_claimed_n(rig, 1, 1, 5, T0, (struct claimed){ .more = true });
	rig_claimed_n(rig, 2, 2, 6, T0, (struct claimed){ 0 });
	rig_done(rig, rig->starts[0].slot, unsent);
	rig_pass(rig, 300 * MS);
	rig_done(rig, rig->starts[1].slot, unsent);
	assert_int_equal(rig->wake_at.us, T0 + S);
	rig_pass(rig, 700 * MS);
	assert_int_equal(rig->starts_n, 4);
	assert_int_equal(rig->starts[3].run_id, 1);
	assert_int_equal(rig->wake_at.us, T0 + 1300 * MS);
	rig_done(rig, rig->starts[3].slot, delivered);
	rig_recorded(rig, DISPATCH_RECORD_FAILED);
	rig_pass(rig, 100 * MS);
	rig_recorded(rig, DISPATCH_RECORD_FAILED);
	rig_pass(rig, 200 * MS);
	rig_recorded(rig, DISPATCH_RECORD_FAILED);
	assert_int_equal(rig->starts_n, 4);
	assert_int_equal(rig->wake_at.us, T0 + 1700 * MS);
	rig_free(rig);
}

/* P10, however many wait behind it. */
static void what_found_no_socket_keeps_its_order_in_a_long_queue(void **state)
{
	struct dispatcher_options options = options_default;
	struct outcome unsent = { .class = OUTCOME_INTERNAL, .is_unsent = true };
	struct rig *rig;

	(void)state;
	options.held_max = 4000;
	rig = rig_new(&options);
	rig_claimed_n(rig, 1, 750, 5, T0, (struct claimed){ .more = true });
	rig_claimed_n(rig, 751, 750, 5, T0, (struct claimed){ 0 });
	for (uint32_t i = 0; i < 4; i++)
		rig_done(rig, rig->starts[i].slot, unsent);
	rig_forget(rig);
	rig_pass(rig, S);
	assert_int_equal(rig->starts_n, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(rig->starts[i].run_id, 1 + i);
	rig_free(rig);
}

/* --- parking --- */

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
	struct run *runs[3] = { run_new(2000, 5, rig->now.wall.us), run_new(2001, 6, rig->now.wall.us),
				run_new(2002, 5, rig->now.wall.us + 50 * MS) };

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
			rig_claimed_n(rig, parked, n, 5, T0,
				      (struct claimed){ .of_lane = true, .lane = 5, .more = parked + n < 801 });
			parked += n;
		}
	}
	assert_int_equal(flown, 800);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).slow_lanes, 0);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).recording, 0);
	rig_free(rig);
}

/* What was ready waits for its instant again, and must not find that younger runs of its schedule have come back from
 * the parking place meanwhile. */
static void a_clock_set_back_lets_no_parked_run_overtake(void **state)
{
	struct rig *rig = rig_parked();

	(void)state;
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_claimed(rig, NULL, 0, (struct claimed){ 0 });
	rig_forget(rig);
	rig->now.wall.us -= 10 * S;
	rig_tick(rig);
	for (uint32_t slot = 0; slot < 16; slot++)
		rig_done(rig, slot, delivered);
	assert_int_equal(rig->starts_n, 0);
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_forget(rig);
	rig_pass(rig, 10 * S);
	assert_int_equal(rig->records_n, 0); /* nobody is parked */
	assert_int_equal(rig->starts_n, 16);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(rig->starts[i].run_id, 17 + i);
	rig_free(rig);
}

/* … and moves on: on return it is asked for, and everything else is answered. */
static struct rig *rig_moving(void)
{
	struct rig *rig = rig_parked();

	rig_recorded(rig, DISPATCH_RECORDED);
	rig_claimed(rig, NULL, 0, (struct claimed){ 0 });
	for (uint32_t i = 0; i < 8; i++)
		rig_done(rig, rig->starts[i].slot, delivered);
	assert_int_equal(rig->lanes_n, 1);
	rig_recorded(rig, DISPATCH_RECORDED);
	return rig;
}

static void a_lane_stays_slow_while_runs_are_on_their_way_to_the_parking_place(void **state)
{
	struct rig *rig = rig_moving();

	(void)state;
	rig_forget(rig);
	rig_hint(rig, T0);
	assert_int_equal(rig->claims_n, 1);
	rig_claimed_n(rig, 2000, 1, 5, T0, (struct claimed){ 0 }); /* parked: its record is out */
	assert_int_equal(rig->records_n, 1);
	rig_claimed_n(rig, 33, 3, 5, T0, (struct claimed){ .of_lane = true, .lane = 5 });
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).slow_lanes, 1);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).slow_lanes, 1);
	rig_free(rig);
}

/* The clock was set back while runs were parked, so some come back before their instants: when the lane clogs again,
 * those that are due go back to the store, and the others must not overtake them. */
static void what_waits_for_its_instant_stays_behind_what_is_parked(void **state)
{
	struct rig *rig = rig_moving();

	(void)state;
	rig_claimed_n(rig, 3000, 2, 5, T0 + S, (struct claimed){ .of_lane = true, .lane = 5 });
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).slow_lanes, 0);
	rig_hint(rig, T0);
	rig_forget(rig);
	rig_claimed_n(rig, 1000, 770, 5, T0, (struct claimed){ 0 });
	rig_pass(rig, 130 * MS);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).slow_lanes, 1);
	assert_in_range(rig->records_n, 700, 770);
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_pass(rig, S);
	assert_int_equal(rig->records_n, 2);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(rig->records[i].run->id, 3000 + i);
	rig_free(rig);
}

/* What an ordinary claim brings may have been parked before: nothing newer of the lane may be fetched until it is
 * parked again. */
static void a_lane_claim_waits_for_the_ordinary_one_and_goes_first_then(void **state)
{
	struct rig *rig = rig_parked();

	(void)state;
	rig_recorded(rig, DISPATCH_RECORDED);
	rig->lanes_n = 0;
	for (uint32_t i = 0; i < 8; i++)
		rig_done(rig, rig->starts[i].slot, delivered);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->lanes_n, 0);
	rig_forget(rig);
	rig_claimed_n(rig, 33, 1, 5, T0, (struct claimed){ .more = true });
	assert_int_equal(rig->records[0].kind, RECORD_PARK);
	assert_int_equal(rig->lanes_n + rig->claims_n, 0);
	assert_true(rig->wake_at.us > rig->now.wall.us);
	rig_recorded(rig, DISPATCH_RECORDED);
	assert_int_equal(rig->lanes_n, 1);
	assert_int_equal(rig->claims_n, 1);
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
	rig_step(rig,
		 (struct dispatch_event){ .kind = DISPATCH_CLAIM_FAILED, .claimed = { .of_lane = true, .lane = 5 } });
	assert_int_equal(rig->lanes_n, 1);
	rig_pass(rig, 100 * MS);
	assert_int_equal(rig->lanes_n, 2);
	rig_free(rig);
}

/* The second claim is refused and cannot be made again: as soon as it may be tried, what is ready starts without it. */
static void check_holds_up_nothing(struct rig *rig, uint32_t ended)
{
	uint32_t started = rig->starts_n;

	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_CLAIM_FAILED });
	rig_done(rig, rig->starts[ended].slot, failed);
	assert_int_equal(rig->starts_n, started);
	rig_pass(rig, 100 * MS);
	assert_int_equal(rig->starts_n, started + 1);
	assert_int_equal(rig->claims_n, 2);
}

/* P14: a claim was refused, and while a parked lane fills the memory it cannot be asked for again: what is ready starts
 * all the same. */
static void a_refused_claim_without_room_holds_up_nothing(void **state)
{
	/* Room for one more claim, until a parked lane keeps its reserve of it. */
	const uint32_t n = options_parking.held_max - dispatch_room_min(options_parking.held_max) - 15;
	struct rig *rig = rig_new(&options_parking);

	(void)state;
	rig_claimed_n(rig, 1, n, 5, T0, (struct claimed){ .more = true });
	assert_int_equal(rig->claims_n, 2);
	rig_pass(rig, 125 * MS);
	assert_int_equal(rig->records_n, n - 16 - 16);
	assert_int_equal(rig->starts_n, 16);
	check_holds_up_nothing(rig, 0);
	rig_free(rig);
}

/* … nor does one that a starving lane goes before, which itself waits for the last of its runs to be parked. */
static void a_refused_claim_that_has_to_wait_holds_up_nothing(void **state)
{
	struct rig *rig = rig_parked();
	uint32_t *slots = memory_new(rig->records_n * sizeof *slots);

	(void)state;
	for (uint32_t i = 0; i < rig->records_n; i++)
		slots[i] = rig->records[i].slot;
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_RECORDED, .slots = { slots, rig->records_n - 1 } });
	free(slots);
	assert_int_equal(rig->claims_n, 2);
	for (uint32_t i = 0; i < 8; i++)
		rig_done(rig, rig->starts[i].slot, failed);
	assert_int_equal(rig->starts_n, 24);
	check_holds_up_nothing(rig, 8);
	assert_int_equal(rig->lanes_n, 0);
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

static void a_lane_whose_bodies_fill_the_memory_is_parked(void **state)
{
	struct dispatcher_options options = options_parking;
	static char body[20000];
	struct run *runs[40];
	struct rig *rig;

	(void)state;
	options.held_bytes_max = 1000000;
	rig = rig_new(&options);
	for (unsigned i = 0; i < 40; i++) {
		runs[i] = run_new(1 + i, 5, T0);
		runs[i]->body = (struct str){ body, sizeof body };
	}
	rig_claimed(rig, runs, 40, (struct claimed){ .more = true });
	rig_pass(rig, 125 * MS);
	assert_int_equal(rig->records_n, 40 - 16 - 16);
	assert_int_equal(rig->records[0].kind, RECORD_PARK);
	rig_free(rig);
}

static void so_many_lanes_are_parked_and_no_more(void **state)
{
	struct dispatcher_options options = options_parking;
	const uint32_t lanes = DISPATCH_SLOW_LANES_MAX + 1;
	struct run *runs[1000];
	uint32_t next = 0;
	struct rig *rig;

	(void)state;
	options.held_max = 5 * lanes;
	options.in_flight_max = lanes;
	options.lane_in_flight_max = 1;
	rig = rig_new(&options);
	while (next < 4 * lanes) {
		uint32_t n = 0;

		for (; n < rig->room && next < 4 * lanes; n++, next++)
			runs[n] = run_new(1 + next, 5 + next / 4, T0);
		rig_claimed(rig, runs, n, (struct claimed){ .more = true });
	}
	assert_int_equal(rig->starts_n, lanes);
	rig_pass(rig, 125 * MS);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).slow_lanes, DISPATCH_SLOW_LANES_MAX);
	assert_int_equal(rig->records_n, DISPATCH_SLOW_LANES_MAX);
	rig_free(rig);
}

/* Of nine lanes that want theirs back eight are asked for at once; meanwhile ordinary claims go on. */
static void so_many_lanes_are_asked_for_at_once(void **state)
{
	struct dispatcher_options options = options_parking;
	struct rig *rig;

	(void)state;
	options.lane_in_flight_max = 1;
	rig = rig_new(&options);
	for (int64_t lane = 0; lane < 9; lane++)
		rig_claimed_n(rig, 1 + 75 * lane, 75, 5 + lane, T0, (struct claimed){ .more = true });
	rig_pass(rig, 125 * MS);
	assert_int_equal(dispatcher_count(rig->dispatcher, rig->now.wall).slow_lanes, 9);
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_claimed(rig, NULL, 0, (struct claimed){ 0 });
	rig->lanes_n = rig->claims_n = 0;
	for (uint32_t i = 0; i < 9; i++)
		rig_done(rig, rig->starts[i].slot, delivered);
	assert_int_equal(rig->lanes_n, DISPATCH_LANE_CLAIMS_MAX);
	rig_hint(rig, T0);
	assert_int_equal(rig->claims_n, 1);
	rig_claimed_n(rig, 1000, 2, rig->lanes[0], T0, (struct claimed){ .of_lane = true, .lane = rig->lanes[0] });
	rig_claimed(rig, NULL, 0, (struct claimed){ 0 });
	assert_int_equal(rig->lanes_n, 9);
	rig_free(rig);
}

static void a_lane_is_asked_for_after_a_list_without_room(void **state)
{
	struct dispatcher_options options = options_parking;
	int64_t ids[600];
	struct rig *rig;

	(void)state;
	options.held_max = 3000;
	rig = rig_new(&options);
	for (int64_t i = 0; i < 3; i++)
		rig_claimed_n(rig, 1 + 1000 * i, rig->room, 5, T0, (struct claimed){ .more = true });
	rig_pass(rig, 125 * MS);
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_claimed(rig, NULL, 0, (struct claimed){ .more = true });
	for (uint32_t i = 0; i < 8; i++)
		rig_done(rig, rig->starts[i].slot, delivered);
	rig_recorded(rig, DISPATCH_RECORDED);
	rig_forget(rig);
	/* Their notices have overtaken the claim's answer, so that all of them go back at once. */
	for (int64_t i = 0; i < 600; i++)
		ids[i] = 10000 + i;
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_REVOKED, .ids = { ids, 600 } });
	rig_claimed_n(rig, 10000, 600, 6, T0, (struct claimed){ 0 });
	assert_int_equal(rig->records_n, 600);
	assert_int_equal(rig->lanes_n, 1);
	assert_int_equal(rig->lanes[0], 5);
	rig_free(rig);
}

/* --- parts --- */

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
		cmocka_unit_test(a_lane_is_served_in_order_of_instant_then_id),
		cmocka_unit_test(late_arrivals_take_their_place_in_the_queue),
		cmocka_unit_test(lanes_take_turns),
		cmocka_unit_test(a_lane_has_its_limit),
		cmocka_unit_test(a_lane_above_a_quarter_lets_others_go_first),
		cmocka_unit_test(lanes_above_a_quarter_take_turns_too),
		cmocka_unit_test(hung_lanes_keep_few_places),
		cmocka_unit_test(what_found_no_socket_goes_before_its_lane),
		cmocka_unit_test(a_rest_ends_by_itself),
		cmocka_unit_test(what_found_no_socket_keeps_its_order_in_a_long_queue),
		cmocka_unit_test(a_clogged_lane_is_parked_and_keeps_its_oldest),
		cmocka_unit_test(parked_runs_come_back_in_order_as_the_lane_moves),
		cmocka_unit_test(a_clock_set_back_lets_no_parked_run_overtake),
		cmocka_unit_test(a_lane_stays_slow_while_runs_are_on_their_way_to_the_parking_place),
		cmocka_unit_test(what_waits_for_its_instant_stays_behind_what_is_parked),
		cmocka_unit_test(a_lane_claim_waits_for_the_ordinary_one_and_goes_first_then),
		cmocka_unit_test(a_failed_lane_claim_comes_again),
		cmocka_unit_test(a_refused_claim_without_room_holds_up_nothing),
		cmocka_unit_test(a_refused_claim_that_has_to_wait_holds_up_nothing),
		cmocka_unit_test(a_burst_to_a_quick_host_is_not_parked),
		cmocka_unit_test(a_lane_whose_bodies_fill_the_memory_is_parked),
		cmocka_unit_test(so_many_lanes_are_parked_and_no_more),
		cmocka_unit_test(so_many_lanes_are_asked_for_at_once),
		cmocka_unit_test(a_lane_is_asked_for_after_a_list_without_room),
		cmocka_unit_test(the_id_map_finds_what_was_put_in),
	};

	return cmocka_run_group_tests_name("dispatcher_lanes", tests, NULL, NULL);
}
