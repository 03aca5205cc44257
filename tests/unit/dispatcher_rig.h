/* SPDX-License-Identifier: BSD-3-Clause */
/* A dispatcher between two arrays, for its tests: events go in by short calls, every action that comes out is written
 * down.
 *
 * Time is a number that the test sets; nothing waits. Every step is followed by dispatcher_sane. Include after
 * cmocka.h. */
#ifndef TESTS_DISPATCHER_RIG_H
#define TESTS_DISPATCHER_RIG_H

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "deliver/dispatcher.h"

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

static inline void rig_log(struct rig *rig, const struct dispatch_action *action)
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
		rig->starts[rig->starts_n++] =
			(struct started){ action->start.run->id, action->start.slot, action->start.attempt };
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

static inline void rig_step(struct rig *rig, struct dispatch_event event)
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

static inline void rig_forget(struct rig *rig)
{
	rig->starts_n = rig->records_n = rig->lanes_n = rig->claims_n = rig->room = rig->freed_n = rig->drained_n = 0;
}

static inline void rig_tick(struct rig *rig)
{
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_TICK });
}

static inline void rig_pass(struct rig *rig, int64_t us)
{
	rig->now.wall.us += us;
	rig->now.boot.us += us;
	rig_tick(rig);
}

static inline struct rig *rig_new(const struct dispatcher_options *options)
{
	struct rig *rig = memory_new(sizeof *rig);

	rig->now = (struct instant){ .wall = { T0 }, .boot = { 1000 * S } };
	rig->dispatcher = dispatcher_new(options);
	rig_tick(rig);
	assert_int_equal(rig->claims_n, 1);
	return rig;
}

static inline void free_run(void *ctx, struct run *run)
{
	(void)ctx;
	free(run);
}

static inline void rig_free(struct rig *rig)
{
	dispatcher_each_run(rig->dispatcher, free_run, NULL);
	dispatcher_free(rig->dispatcher);
	free(rig);
}

static inline struct run *run_new(int64_t id, int64_t lane, int64_t start_us)
{
	struct run *run = memory_new(sizeof *run);

	*run = (struct run){ .id = id,
			     .lease = 1000 + id,
			     .lane = lane,
			     .schedule_row = 7,
			     .attempts_budget = 6,
			     .planned_at = { start_us },
			     .start_at = { start_us } };
	return run;
}

struct claimed {
	bool more, has_next, of_lane, has_no_ahead;
	int64_t next_us, lane, no_ahead_us;
};

static inline void rig_claimed(struct rig *rig, struct run **runs, uint32_t n, struct claimed c)
{
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_CLAIMED,
					       .claimed = { .runs = runs,
							    .runs_n = n,
							    .more = c.more,
							    .has_next = c.has_next,
							    .next_at = { c.next_us },
							    .has_no_ahead = c.has_no_ahead,
							    .no_ahead_at = { c.no_ahead_us },
							    .of_lane = c.of_lane,
							    .lane = c.lane } });
}

/* Ids first … first + n - 1, all of one lane, due at `start_us`. */
static inline void rig_claimed_n(struct rig *rig, int64_t first, uint32_t n, int64_t lane, int64_t start_us,
				 struct claimed c)
{
	struct run **runs = memory_new((n + 1) * sizeof *runs);

	for (uint32_t i = 0; i < n; i++)
		runs[i] = run_new(first + i, lane, start_us);
	rig_claimed(rig, runs, n, c);
	free(runs);
}

static inline void rig_done(struct rig *rig, uint32_t slot, struct outcome outcome)
{
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_DONE, .done = { slot, &outcome } });
}

static inline void rig_recorded(struct rig *rig, enum dispatch_event_kind kind)
{
	uint32_t *slots = memory_new((rig->records_n + 1) * sizeof *slots), n = rig->records_n;

	for (uint32_t i = 0; i < n; i++)
		slots[i] = rig->records[i].slot;
	rig->records_n = 0;
	rig_step(rig, (struct dispatch_event){ .kind = kind, .slots = { slots, n } });
	free(slots);
}

static inline void rig_hint(struct rig *rig, int64_t us)
{
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_DUE_HINT, .due_at = { us } });
}

static inline void rig_revoke(struct rig *rig, int64_t id)
{
	rig_step(rig, (struct dispatch_event){ .kind = DISPATCH_REVOKED, .ids = { &id, 1 } });
}

static const struct outcome delivered = { .class = OUTCOME_DELIVERED, .status = 200, .answer_n = 2, .answer = "ok" };
static const struct outcome failed = { .class = OUTCOME_HTTP, .status = 503, .answer_n = 4, .answer = "full" };

#endif
