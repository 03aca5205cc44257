/* SPDX-License-Identifier: BSD-3-Clause */
/* What the dispatcher itself costs: `dispatcher_speed [RUNS]`. Claims of 1,000, every attempt ends at once, records are
 * answered 500 at a time.
 *
 * Prints microseconds of processor time a run, for few and for many lanes, and for what is due at once and what waits.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "deliver/dispatcher.h"

enum { HELD = 20000, RECORDED_AT_ONCE = 500, RUNS_DEFAULT = 1000000 };

struct speed {
	struct dispatcher *dispatcher;
	struct dispatch_actions actions;
	struct instant now;
	struct run *runs; /* a pool: one for each that can be held, and a claim's worth */
	struct run **free;
	uint32_t free_n;
	uint32_t *started, started_n;
	uint32_t *recording, recording_n;
	uint32_t room, lanes;
	int64_t next_id, runs_left, ahead_us;
	uint64_t steps;
};

static void step(struct speed *speed, struct dispatch_event event)
{
	do {
		event.now = speed->now;
		dispatcher_step(speed->dispatcher, &event, &speed->actions);
		speed->steps++;
		for (uint32_t i = 0; i < speed->actions.n; i++) {
			const struct dispatch_action *action = &speed->actions.list[i];

			if (action->kind == DISPATCH_CLAIM)
				speed->room = action->claim.room;
			else if (action->kind == DISPATCH_START)
				speed->started[speed->started_n++] = action->start.slot;
			else if (action->kind == DISPATCH_RECORD)
				speed->recording[speed->recording_n++] = action->record.slot;
			else if (action->kind == DISPATCH_FREE)
				speed->free[speed->free_n++] = action->run;
		}
		event = (struct dispatch_event){ .kind = DISPATCH_TICK };
	} while (speed->actions.more);
}

static void claim(struct speed *speed)
{
	static struct run *claimed[DISPATCH_CLAIM_ROOM_MAX];
	uint32_t n = 0;

	for (; n < speed->room && speed->runs_left > 0; n++, speed->runs_left--) {
		struct run *run = speed->free[--speed->free_n];
		int64_t id = speed->next_id++;

		*run = (struct run){ .id = id,
				     .lane = 1 + id % speed->lanes,
				     .attempts_budget = 6,
				     .start_at = { speed->now.wall.us + id % 97 * speed->ahead_us } };
		claimed[n] = run;
	}
	speed->room = 0;
	step(speed,
	     (struct dispatch_event){ .kind = DISPATCH_CLAIMED,
				      .claimed = { .runs = claimed, .runs_n = n, .more = speed->runs_left > 0 } });
}

static void turn(struct speed *speed)
{
	static const struct outcome outcome = { .class = OUTCOME_DELIVERED, .status = 200 };
	uint32_t n = speed->started_n;

	if (speed->room && speed->runs_left)
		claim(speed);
	for (uint32_t i = 0; i < n; i++)
		step(speed, (struct dispatch_event){ .kind = DISPATCH_DONE, .done = { speed->started[i], &outcome } });
	for (uint32_t i = n; i < speed->started_n; i++)
		speed->started[i - n] = speed->started[i];
	speed->started_n -= n;

	uint32_t recorded = speed->recording_n < RECORDED_AT_ONCE ? speed->recording_n : RECORDED_AT_ONCE;

	speed->recording_n -= recorded;
	step(speed, (struct dispatch_event){ .kind = DISPATCH_RECORDED,
					     .slots = { speed->recording + speed->recording_n, recorded } });
	speed->now.wall.us += 500;
	speed->now.boot.us += 500;
}

static void measure(int64_t runs, uint32_t lanes, int64_t ahead_us)
{
	struct speed *speed = memory_new(sizeof *speed);
	struct dispatcher_options options = { .held_max = HELD,
					      .held_bytes_max = UINT64_MAX,
					      .in_flight_max = 1024,
					      .lane_in_flight_max = 256,
					      .look_ahead_us = US_PER_SECOND,
					      .retry = retry_policy_default,
					      .seed = 1 };

	*speed = (struct speed){ .now = { { 1700000000 * US_PER_SECOND }, { US_PER_SECOND } },
				 .runs_left = runs,
				 .lanes = lanes,
				 .next_id = 1,
				 .ahead_us = ahead_us };
	speed->dispatcher = dispatcher_new(&options);
	speed->runs = memory_new((HELD + DISPATCH_CLAIM_ROOM_MAX) * sizeof *speed->runs);
	speed->free = memory_new((HELD + DISPATCH_CLAIM_ROOM_MAX) * sizeof(struct run *));
	speed->started = memory_new(HELD * sizeof *speed->started);
	speed->recording = memory_new(HELD * sizeof *speed->recording);
	for (uint32_t i = 0; i < HELD + DISPATCH_CLAIM_ROOM_MAX; i++)
		speed->free[speed->free_n++] = &speed->runs[i];

	clock_t began = clock();

	step(speed, (struct dispatch_event){ .kind = DISPATCH_TICK });
	while (speed->runs_left || speed->free_n < HELD + DISPATCH_CLAIM_ROOM_MAX)
		turn(speed);
	printf("%5u lanes, %s: %.3f us a run, %" PRIu64 " steps\n", lanes, ahead_us ? "waiting" : "due at once",
	       (double)(clock() - began) * 1e6 / CLOCKS_PER_SEC / (double)runs, speed->steps);
	dispatcher_free(speed->dispatcher);
	free(speed->runs);
	free(speed->free);
	free(speed->started);
	free(speed->recording);
	free(speed);
}

int main(int argc, char **argv)
{
	int64_t runs = argc > 1 ? strtoll(argv[1], NULL, 10) : RUNS_DEFAULT;

	measure(runs, 1, 0);
	measure(runs, 200, 0);
	measure(runs, 10000, 0);
	measure(runs, 200, 1000);
	return 0;
}
