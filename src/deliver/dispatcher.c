/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides what delivery does next. An event only moves runs between states; then one pass over the states, always in
 * the same order, says what has become possible: what is due becomes ready, clogged lanes are parked, and records,
 * starts, releases and claims are issued until the list is full.
 *
 * Invariants: nothing starts before its start_at by the wall clock of the step; every START has a place for its result
 * reserved; what is held plus what outstanding claims may bring never exceeds held_max; a held run leaves only through
 * RECORDED, or when the store gave it to us anew. */
#include "deliver/dispatcher.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "deliver/backoff.h"
#include "deliver/held.h"

#define WAKE_US_MAX US_PER_SECOND	  /* however the wall clock steps, it is looked at again within this */
#define PARK_LOOK_US (25 * US_PER_MS)	  /* how often lanes are judged while memory is short */
#define PARK_WINDOW_US (100 * US_PER_MS)  /* progress is measured over at least this */
#define PARK_DRAIN_US US_PER_SECOND	  /* a lane that needs longer than this for what it has in memory is slow */
#define PARK_REST_US (60 * US_PER_SECOND) /* then an ordinary claim finds a parked run, whatever was forgotten */
/* So long waits the lane of a run that found no socket, or a run of which an attempt is still in our hands. */
#define REST_US US_PER_SECOND
#define CLAIM_REST_US (30 * US_PER_SECOND) /* however little we know to be due, the store is asked this often */
#define RUN_BYTES_TYPICAL 1024
#define PROGRESS_US US_PER_SECOND /* a lane gets more than its share only if an attempt ended within this */
#define NEVER_US INT64_MAX

enum {
	LANE_SHARE = 4, /* a lane's part of in_flight_max while others wait: a quarter */
	LANE_GREED = 2, /* so many of a lane on the wire for each place still free; the last one is a newcomer's */
	LANE_SHARE_HANGING = 64, /* the part of a lane whose last attempt timed out, until one ends otherwise */
	REVOKED_IDS_MAX = 4096,
};

struct dispatcher {
	struct dispatcher_options options;
	struct held held;
	struct instant now; /* of the present step */

	struct outcome *outcomes; /* owned; in_flight_max + DISPATCH_OUTCOMES_SPARE */
	uint32_t *outcomes_free;  /* owned; a stack of indexes */
	uint32_t outcomes_free_n;
	uint64_t dice;

	int64_t next_due_us; /* the earliest instant at which the store may have something, for all we know; NEVER_US */
	bool is_claiming;
	int64_t claimed_due_us; /* next_due_us before the outstanding claim */
	uint32_t claim_room;	/* of the outstanding claim */
	struct boot claimed_at; /* when the last answer came */
	uint32_t lane_claims_n; /* outstanding, each of at most held.lane_reserve */
	uint64_t run_bytes;	/* of the largest run in the last claim: what the next ones may weigh */
	struct backoff claims, records;
	struct boot park_look_at;
	struct boot rest_ends_at; /* of the first lane that rests and could start something; NEVER_US */

	/* Revoked before the claim's answer that brings them came; a notice may overtake an answer of the same commit.
	 */
	struct id_map revoked;
	bool revoked_all; /* there were more than fit */

	bool is_draining, is_drained;
};

/* --- small helpers --- */

static uint32_t roll(struct dispatcher *d)
{
	uint64_t x = d->dice += UINT64_C(0x9E3779B97F4A7C15);

	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return (uint32_t)((x ^ x >> 31) >> 32);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void hint(struct dispatcher *d, struct wall due_at)
{
	d->next_due_us = earlier(d->next_due_us, due_at.us);
}

/* The last two places are kept for DRAINED and WAKE. */
static struct dispatch_action *act(struct dispatch_actions *actions, enum dispatch_action_kind kind)
{
	if (actions->n + 2 >= DISPATCH_ACTIONS_MAX) {
		actions->more = true;
		return NULL;
	}
	actions->list[actions->n].kind = kind;
	return &actions->list[actions->n++];
}

/* What came of the run, or why it goes back, waits to be written from now on. */
static void put_record(struct dispatcher *d, uint32_t slot, enum record_kind kind, struct wall eligible_at)
{
	struct held_run *run = &d->held.runs[slot];

	run->kind = kind;
	run->eligible_at = eligible_at;
	held_move(&d->held, slot, HELD_UNRECORDED);
}

static void put_back(struct dispatcher *d, uint32_t slot)
{
	put_record(d, slot, RECORD_RELEASE, d->held.runs[slot].run->start_at);
}

static void park(struct dispatcher *d, uint32_t slot)
{
	put_record(d, slot, RECORD_PARK, wall_add_us(d->now.wall, PARK_REST_US));
}

/* --- events --- */

static bool is_any_claim_outstanding(const struct dispatcher *d)
{
	return d->is_claiming || d->lane_claims_n;
}

static void on_claim_ended(struct dispatcher *d, const struct dispatch_event *event)
{
	bool failed = event->kind == DISPATCH_CLAIM_FAILED; /* and brings nothing */

	if (failed)
		backoff_fail(&d->claims, d->now.boot);
	else
		d->claims.failures = 0;
	if (!event->claimed.of_lane) {
		assert(d->is_claiming && event->claimed.runs_n <= d->claim_room);
		d->is_claiming = false;
		d->claim_room = 0;
		d->claimed_at = d->now.boot;
		if (failed)
			hint(d, (struct wall){ d->claimed_due_us });
		else if (event->claimed.more)
			hint(d, d->now.wall);
		else if (event->claimed.has_next)
			hint(d, event->claimed.next_at);
		/* Claims are made half a look-ahead early; this one is not to be. */
		if (!failed && event->claimed.has_no_ahead)
			hint(d, wall_add_us(event->claimed.no_ahead_at, d->options.look_ahead_us / 2));
		return;
	}

	uint32_t index = held_lane_find(&d->held, event->claimed.lane);

	assert(index != HELD_NONE && d->held.lanes[index].is_claiming && d->lane_claims_n);
	d->lane_claims_n--;
	d->held.lanes[index].is_claiming = false;
	d->held.lanes[index].has_parked |= failed || event->claimed.more;
}

/* The run is in our hands already. An unsent one has lost its lease to the new claim; one on the wire, or not yet
 * recorded, must end first. */
static bool is_collided(struct dispatcher *d, int64_t run_id)
{
	struct held *held = &d->held;

	for (uint32_t cursor = 0, slot; (slot = id_map_each(&held->by_id, run_id, &cursor)) != ID_MAP_NONE;) {
		if (!held_is_waiting(&held->runs[slot]))
			return true;
		held_move(held, slot, HELD_GONE);
		cursor = 0;
	}
	return false;
}

static void take(struct dispatcher *d, struct run *run, bool of_lane)
{
	bool collided = is_collided(d, run->id);
	bool revoked = d->revoked_all || id_map_find(&d->revoked, run->id) != ID_MAP_NONE;
	uint32_t slot = held_take(&d->held, run);

	if (of_lane)
		held_set_ahead(&d->held, slot);
	/* Whether the notice was about this lease or about an earlier one, the store knows: a stale lease writes
	 * nothing. */
	if (d->is_draining || revoked)
		put_back(d, slot);
	else if (collided)
		put_record(d, slot, RECORD_RELEASE, wall_add_us(d->now.wall, REST_US));
}

static void on_claimed(struct dispatcher *d, const struct dispatch_event *event)
{
	uint64_t largest = RUN_BYTES_TYPICAL;

	on_claim_ended(d, event);
	for (uint32_t i = 0; i < event->claimed.runs_n; i++) {
		uint64_t before = d->held.bytes;

		take(d, event->claimed.runs[i], event->claimed.of_lane);
		if (d->held.bytes - before > largest)
			largest = d->held.bytes - before;
	}
	if (event->claimed.runs_n)
		d->run_bytes = largest;
	if (event->claimed.of_lane) {
		uint32_t index = held_lane_find(&d->held, event->claimed.lane);
		const struct lane *lane = &d->held.lanes[index];

		if (!lane->has_parked && lane->parking_n == 0)
			held_lane_set_slow(&d->held, index, false);
		else
			held_lane_settle(&d->held, index);
	}
	if (!is_any_claim_outstanding(d) && d->revoked.n) {
		id_map_clear(&d->revoked);
		d->revoked_all = false;
	}
}

/* A delivered run's answer is of no interest; without its bytes the copy is a sixth of the size. */
static uint32_t keep_outcome(struct dispatcher *d, const struct outcome *outcome)
{
	assert(d->outcomes_free_n && outcome->answer_n <= OUTCOME_ANSWER_BYTES_MAX);

	uint32_t index = d->outcomes_free[--d->outcomes_free_n];
	uint16_t answer_n = outcome->class == OUTCOME_DELIVERED ? 0 : outcome->answer_n;

	memcpy(&d->outcomes[index], outcome, offsetof(struct outcome, answer) + answer_n);
	d->outcomes[index].answer_n = answer_n;
	return index;
}

/* The budget is the run's own, since a requeue opens a fresh one; waits grow with the attempts of the present one. */
static enum record_kind decide_failed(struct dispatcher *d, const struct held_run *run, const struct outcome *outcome,
				      struct wall *eligible_at)
{
	struct retry_policy policy = d->options.retry;
	int64_t before = (int64_t)run->run->attempts_budget - policy.attempts_max;
	int64_t attempts = (int64_t)run->attempts - (before > 0 ? before : 0);

	if (run->attempts >= run->run->attempts_budget)
		return RECORD_FAILED;
	policy.attempts_max = UINT32_MAX;
	if (retry_decide(&policy, outcome, attempts > 1 ? (uint32_t)attempts : 1, d->now.wall, roll(d), eligible_at) ==
	    RETRY_DEAD)
		return RECORD_FAILED;
	return RECORD_RETRY;
}

/* It was no attempt. The first one of a run stays before those of younger runs (P10), so its lane rests with it: what
 * is on the wire may end and leave its socket to one more. Others may have a socket open. A run that an edit wants, or
 * one whose wait would move with the wall clock, the store has. */
static void on_unsent(struct dispatcher *d, uint32_t slot)
{
	struct held_run *run = &d->held.runs[slot];
	struct lane *lane = &d->held.lanes[run->lane];

	if (d->is_draining || run->is_revoked || run->attempts > 0) {
		put_record(d, slot, RECORD_RELEASE, wall_add_us(d->now.wall, REST_US));
	} else {
		held_move(&d->held, slot, HELD_READY);
		lane->rests_until = boot_add_us(d->now.boot, REST_US);
		lane->rest_flying_n = lane->flying_n;
	}
}

static void on_done(struct dispatcher *d, const struct dispatch_event *event)
{
	uint32_t slot = event->done.slot;

	assert(slot < d->held.runs_max && d->held.runs[slot].state == HELD_FLYING);

	struct held_run *run = &d->held.runs[slot];
	struct lane *lane = &d->held.lanes[run->lane];
	enum record_kind kind = RECORD_DELIVERED;
	struct wall eligible_at = { 0 };

	if (event->done.outcome->is_unsent) {
		on_unsent(d, slot);
		return;
	}
	run->attempts++;
	if (event->done.outcome->class != OUTCOME_DELIVERED)
		kind = decide_failed(d, run, event->done.outcome, &eligible_at);
	run->outcome = keep_outcome(d, event->done.outcome);
	lane->window_done_n++;
	lane->done_at = d->now.boot;
	lane->is_hanging = event->done.outcome->class == OUTCOME_TIMEOUT;
	put_record(d, slot, kind, eligible_at);
}

static void on_recorded(struct dispatcher *d, const struct dispatch_event *event)
{
	for (uint32_t i = 0; i < event->slots.n; i++) {
		uint32_t slot = event->slots.slots[i];
		struct held_run *run = &d->held.runs[slot];

		assert(slot < d->held.runs_max && run->state == HELD_RECORDING);
		if (run->outcome != HELD_NONE)
			d->outcomes_free[d->outcomes_free_n++] = run->outcome;
		if (run->kind != RECORD_DELIVERED && run->kind != RECORD_FAILED)
			hint(d, run->eligible_at);
		if (run->kind == RECORD_PARK)
			d->held.lanes[run->lane].has_parked = true;
		held_move(&d->held, slot, HELD_GONE);
	}
	if (event->slots.n)
		d->records.failures = 0;
}

static void on_record_failed(struct dispatcher *d, const struct dispatch_event *event)
{
	for (uint32_t i = 0; i < event->slots.n; i++) {
		assert(event->slots.slots[i] < d->held.runs_max);
		held_move(&d->held, event->slots.slots[i], HELD_UNRECORDED);
	}
	backoff_fail(&d->records, d->now.boot);
}

/* The store wants them back, or has written about them already. What is on the wire cannot be called back: it ends as
 * it would have. */
static void revoke(struct dispatcher *d, int64_t run_id)
{
	struct held *held = &d->held;

	for (uint32_t cursor = 0, slot; (slot = id_map_each(&held->by_id, run_id, &cursor)) != ID_MAP_NONE;) {
		held->runs[slot].is_revoked = true;
		if (held_is_waiting(&held->runs[slot])) {
			put_back(d, slot);
			cursor = 0;
		}
	}
	if (!is_any_claim_outstanding(d) || d->revoked_all)
		return;
	if (d->revoked.n < REVOKED_IDS_MAX)
		id_map_insert(&d->revoked, run_id, 0);
	else
		d->revoked_all = true;
}

static void on_revoked(struct dispatcher *d, const struct dispatch_event *event)
{
	for (uint32_t i = 0; i < event->ids.n; i++)
		revoke(d, event->ids.run_ids[i]);
}

static void on_due_hint(struct dispatcher *d, const struct dispatch_event *event)
{
	hint(d, event->due_at);
}

/* A planned instant is a wall instant; a wait for another attempt is a length of time (P8). Those that wait here go
 * back to the store, which has the new instants; those on the way there take theirs along. */
static void on_set_back(struct dispatcher *d, const struct dispatch_event *event)
{
	for (uint32_t slot = 0; slot < d->held.runs_max; slot++) {
		struct held_run *run = &d->held.runs[slot];

		if (held_is_waiting(run) && run->attempts > 0 && wall_is_after(run->run->start_at, d->now.wall))
			put_record(d, slot, RECORD_RELEASE, d->now.wall);
		else if ((run->state == HELD_UNRECORDED || run->state == HELD_RECORDING) &&
			 wall_is_after(run->eligible_at, d->now.wall))
			run->eligible_at = wall_max(d->now.wall, wall_add_us(run->eligible_at, -event->by_us));
	}
}

static void on_drain(struct dispatcher *d, const struct dispatch_event *event)
{
	(void)event;
	d->is_draining = true;
	for (uint32_t slot = 0; slot < d->held.runs_max; slot++)
		if (held_is_waiting(&d->held.runs[slot]))
			put_back(d, slot);
}

static void handle(struct dispatcher *d, const struct dispatch_event *event)
{
	static void (*const handlers[])(struct dispatcher * d, const struct dispatch_event *event) = {
		[DISPATCH_DUE_HINT] = on_due_hint,    [DISPATCH_CLAIMED] = on_claimed,
		[DISPATCH_CLAIM_FAILED] = on_claimed, [DISPATCH_DONE] = on_done,
		[DISPATCH_RECORDED] = on_recorded,    [DISPATCH_RECORD_FAILED] = on_record_failed,
		[DISPATCH_REVOKED] = on_revoked,      [DISPATCH_SET_BACK] = on_set_back,
		[DISPATCH_DRAIN] = on_drain,
	};

	if (event->kind != DISPATCH_TICK)
		handlers[event->kind](d, event);
}

/* --- what is due, what is parked --- */

/* A slow lane's older runs are in the store: a newer one must not overtake them (P10). */
static void ready_due(struct dispatcher *d)
{
	uint32_t slot;

	while ((slot = held_next_due(&d->held)) != HELD_NONE &&
	       !wall_is_after(d->held.runs[slot].run->start_at, d->now.wall)) {
		if (held_is_behind_parked(&d->held, slot))
			park(d, slot);
		else
			held_move(&d->held, slot, HELD_READY);
	}
}

static uint32_t free_room(const struct dispatcher *d)
{
	uint32_t promised = d->claim_room + d->lane_claims_n * d->held.lane_reserve;

	assert(held_used(&d->held) + promised <= d->options.held_max);
	return d->options.held_max - held_used(&d->held) - promised;
}

static bool is_memory_short(const struct dispatcher *d)
{
	return free_room(d) < d->options.held_max / 4 || d->held.bytes > d->options.held_bytes_max / 4 * 3;
}

static bool is_above_share(const struct dispatcher *d, const struct lane *lane)
{
	return lane->flying_n > 0 && lane->flying_n >= d->options.in_flight_max / LANE_SHARE;
}

/* Whether one more of the lane, which is below its own limit, may have one of the free places. What hangs keeps its
 * places for a whole timeout, so a lane gets many only as long as its attempts end. */
static bool has_lane_room(const struct dispatcher *d, const struct lane *lane)
{
	uint32_t free = d->options.in_flight_max - d->held.count[HELD_FLYING];

	assert(lane->flying_n < d->options.lane_in_flight_max && free > 0);
	if (lane->flying_n == 0)
		return true;
	if (lane->flying_n >= LANE_GREED * (free - 1))
		return false;
	if (lane->is_hanging)
		return lane->flying_n < d->options.in_flight_max / LANE_SHARE_HANGING;
	return !is_above_share(d, lane) || boot_since_us(d->now.boot, lane->done_at) <= PROGRESS_US;
}

/* Its own share is used up; not just a moment at which everything is on the wire. */
static bool is_lane_full(const struct dispatcher *d, const struct lane *lane)
{
	return lane->flying_n >= d->options.lane_in_flight_max || is_above_share(d, lane) || lane->is_hanging ||
	       (d->held.count[HELD_FLYING] < d->options.in_flight_max && !has_lane_room(d, lane));
}

/* Stuck behind its own limit, and at the rate of the last window it would be for longer than PARK_DRAIN_US. */
static bool is_clogged(struct dispatcher *d, struct lane *lane)
{
	int64_t elapsed = boot_since_us(d->now.boot, lane->window_at);

	if (lane->is_slow || lane->ready_n <= d->held.lane_reserve || !is_lane_full(d, lane) ||
	    elapsed < PARK_WINDOW_US)
		return false;

	bool clogged = lane->ready_n * elapsed > lane->window_done_n * PARK_DRAIN_US;

	lane->window_at = d->now.boot;
	lane->window_done_n = 0;
	return clogged;
}

static void park_clogged(struct dispatcher *d)
{
	struct held *held = &d->held;

	if (d->is_draining || d->records.failures || !is_memory_short(d) || boot_is_after(d->park_look_at, d->now.boot))
		return;
	d->park_look_at = boot_add_us(d->now.boot, PARK_LOOK_US);
	for (uint32_t i = 0; i < held->lanes_top && held->slow_n < DISPATCH_SLOW_LANES_MAX; i++) {
		struct lane *lane = &held->lanes[i];

		if (!lane->in_use || !is_clogged(d, lane))
			continue;
		held_lane_set_slow(held, i, true);
		while (lane->ready_n > held->lane_reserve)
			park(d, lane->ready.last);
	}
}

/* --- claims --- */

/* An ordinary claim may hold runs that were parked and have rested; what a lane claim brought meanwhile would overtake
 * them. So a lane claim goes out only when no ordinary one is outstanding and nothing of the lane is on its way to the
 * parking place (P10). */
static void claim_lanes(struct dispatcher *d, struct dispatch_actions *actions)
{
	struct held *held = &d->held;

	if (d->is_draining || d->is_claiming || !backoff_is_over(&d->claims, d->now.boot))
		return;
	while (d->lane_claims_n < DISPATCH_LANE_CLAIMS_MAX && free_room(d) >= held->lane_reserve &&
	       held->hungry.first != HELD_NONE) {
		uint32_t index = held->hungry.first;
		struct lane *lane = &held->lanes[index];
		bool is_ready = lane->is_starving && lane->parking_n == 0;
		struct dispatch_action *action = is_ready ? act(actions, DISPATCH_CLAIM_LANE) : NULL;

		if (is_ready && !action)
			return;
		held_lane_take_hungry(held);
		if (is_ready) {
			lane->is_claiming = true;
			lane->has_parked = false; /* unless the answer, or a run parked meanwhile, says otherwise */
			d->lane_claims_n++;
			action->claim.lane = lane->id;
			action->claim.until = d->now.wall;
			action->claim.room = held->lane_reserve;
		}
		held_lane_settle(held, index);
	}
}

static uint32_t claim_room(const struct dispatcher *d)
{
	uint32_t room = free_room(d),
		 lanes = d->held.slow_n < DISPATCH_LANE_CLAIMS_MAX ? d->held.slow_n : DISPATCH_LANE_CLAIMS_MAX;
	uint64_t bytes = d->held.bytes < d->options.held_bytes_max ? d->options.held_bytes_max - d->held.bytes : 0;

	/* What parked lanes may ask for is theirs. */
	lanes = lanes > d->lane_claims_n ? (lanes - d->lane_claims_n) * d->held.lane_reserve : 0;
	room = room > lanes ? room - lanes : 0;
	if (room == 0 || room < dispatch_room_min(d->options.held_max) || bytes == 0)
		return 0;
	if (room > DISPATCH_CLAIM_ROOM_MAX)
		room = DISPATCH_CLAIM_ROOM_MAX;
	if (room > bytes / d->run_bytes)
		room = bytes / d->run_bytes ? (uint32_t)(bytes / d->run_bytes) : 1;
	return room;
}

/* The instant at which what is due next should be claimed. */
static int64_t claim_at_us(const struct dispatcher *d)
{
	return d->next_due_us == NEVER_US ? NEVER_US : d->next_due_us - d->options.look_ahead_us / 2;
}

/* Lanes that want theirs go first; a moment without an ordinary claim is all they need. */
static bool may_claim(const struct dispatcher *d)
{
	bool lanes_first = d->held.starving_n > 0 && d->lane_claims_n < DISPATCH_LANE_CLAIMS_MAX;

	return !d->is_draining && !d->is_claiming && !lanes_first && backoff_is_over(&d->claims, d->now.boot);
}

static void claim(struct dispatcher *d, struct dispatch_actions *actions)
{
	if (boot_since_us(d->now.boot, d->claimed_at) >= CLAIM_REST_US)
		hint(d, d->now.wall);
	if (!may_claim(d) || claim_at_us(d) > d->now.wall.us)
		return;

	uint32_t room = claim_room(d);
	struct dispatch_action *action = room ? act(actions, DISPATCH_CLAIM) : NULL;

	if (!action)
		return;
	d->is_claiming = true;
	d->claim_room = room;
	d->claimed_due_us = d->next_due_us;
	d->next_due_us = NEVER_US; /* hints that come meanwhile count from here */
	action->claim.room = room;
	action->claim.lane = 0;
	action->claim.until = wall_add_us(d->now.wall, d->options.look_ahead_us);
}

/* --- records, starts, releases --- */

static void record(struct dispatcher *d, struct dispatch_actions *actions)
{
	struct held *held = &d->held;

	if (!backoff_is_over(&d->records, d->now.boot))
		return;
	while (held->unrecorded.first != HELD_NONE) {
		struct dispatch_action *action = act(actions, DISPATCH_RECORD);
		uint32_t slot = held->unrecorded.first;
		const struct held_run *run = &held->runs[slot];

		if (!action)
			return;
		action->record = (struct run_record){
			.slot = slot,
			.run = run->run,
			.kind = run->kind,
			.attempts = run->attempts,
			.eligible_at = run->eligible_at,
			.outcome = run->outcome == HELD_NONE ? NULL : &d->outcomes[run->outcome],
		};
		held_move(held, slot, HELD_RECORDING);
	}
}

/* In turn; those above their share only when nobody below it can start. */
static uint32_t next_lane(struct dispatcher *d)
{
	const struct held *held = &d->held;
	uint32_t index = held->ring_at, above_share = HELD_NONE;

	for (uint32_t i = 0; i < held->ring_n; i++, index = held->lanes[index].next) {
		const struct lane *lane = &held->lanes[index];

		if (!has_lane_room(d, lane))
			continue;
		if (lane->flying_n >= lane->rest_flying_n && boot_is_after(lane->rests_until, d->now.boot)) {
			d->rest_ends_at.us = earlier(d->rest_ends_at.us, lane->rests_until.us);
			continue;
		}
		if (!is_above_share(d, lane))
			return index;
		if (above_share == HELD_NONE)
			above_share = index;
	}
	return above_share;
}

/* A refused claim says that the disk is full, until the next one is answered; one that cannot be made, for lack of
 * room, holds up nothing. */
static bool are_claims_refused(const struct dispatcher *d)
{
	return d->claims.failures && (is_any_claim_outstanding(d) || !backoff_is_over(&d->claims, d->now.boot) ||
				      (may_claim(d) && claim_room(d) && claim_at_us(d) <= d->now.wall.us));
}

/* While results cannot be written nothing new goes out: each would be one more to repeat after a crash (P5). */
static bool can_start(const struct dispatcher *d)
{
	return !d->records.failures && !are_claims_refused(d) &&
	       d->held.count[HELD_FLYING] < d->options.in_flight_max && d->outcomes_free_n > d->held.count[HELD_FLYING];
}

static void start(struct dispatcher *d, struct dispatch_actions *actions)
{
	struct held *held = &d->held;
	uint32_t index;

	d->rest_ends_at.us = NEVER_US;
	while (can_start(d) && (index = next_lane(d)) != HELD_NONE) {
		uint32_t slot = held->lanes[index].ready.first;
		struct run *run = held->runs[slot].run;

		if (wall_is_after(run->start_at, d->now.wall)) {
			/* The wall clock was set back. What is parked of the lane is younger, and stays behind it
			 * (P10). */
			held_set_ahead(held, slot);
			held_move(held, slot, HELD_WAITING);
			continue;
		}

		struct dispatch_action *action = act(actions, DISPATCH_START);

		if (!action)
			return;
		action->start.run = run;
		action->start.slot = slot;
		action->start.attempt = held->runs[slot].attempts + 1;
		held->ring_at = held->lanes[index].next;
		held_move(held, slot, HELD_FLYING);
	}
}

static void give_back(struct dispatcher *d, struct dispatch_actions *actions)
{
	struct dispatch_action *action;

	while (d->held.gone.first != HELD_NONE && (action = act(actions, DISPATCH_FREE)))
		action->run = held_give(&d->held, d->held.gone.first);
}

/* --- the step --- */

/* Back-offs run on the boot clock; a wake-up is a wall instant that is as far away now. */
static int64_t wall_of(const struct dispatcher *d, struct boot at)
{
	return d->now.wall.us + boot_since_us(at, d->now.boot);
}

static struct wall wake_at(const struct dispatcher *d, const struct dispatch_actions *actions)
{
	int64_t at = d->now.wall.us + WAKE_US_MAX;
	uint32_t slot = held_next_due(&d->held);

	if (actions->more)
		return d->now.wall;
	if (slot != HELD_NONE)
		at = earlier(at, d->held.runs[slot].run->start_at.us);
	if (may_claim(d) && claim_room(d))
		at = earlier(at, claim_at_us(d));
	if (!backoff_is_over(&d->claims, d->now.boot))
		at = earlier(at, wall_of(d, d->claims.until));
	if (!backoff_is_over(&d->records, d->now.boot))
		at = earlier(at, wall_of(d, d->records.until));
	if (d->rest_ends_at.us != NEVER_US)
		at = earlier(at, wall_of(d, d->rest_ends_at));
	if (!d->is_draining && is_memory_short(d))
		at = earlier(at, d->now.wall.us + PARK_LOOK_US);
	return (struct wall){ at > d->now.wall.us ? at : d->now.wall.us };
}

void dispatcher_step(struct dispatcher *d, const struct dispatch_event *event, struct dispatch_actions *actions)
{
	actions->n = 0;
	actions->more = false;
	d->now = event->now;
	d->held.now = event->now.boot;

	handle(d, event);
	ready_due(d);
	park_clogged(d);
	record(d, actions);
	start(d, actions);
	give_back(d, actions);
	claim_lanes(d, actions);
	claim(d, actions);

	if (d->is_draining && !d->is_drained && held_used(&d->held) == 0 && !is_any_claim_outstanding(d)) {
		d->is_drained = true;
		actions->list[actions->n++].kind = DISPATCH_DRAINED;
	}
	assert(actions->n < DISPATCH_ACTIONS_MAX);
	actions->list[actions->n].wake_at = wake_at(d, actions);
	actions->list[actions->n++].kind = DISPATCH_WAKE;
}

/* --- life, questions --- */

struct dispatcher *dispatcher_new(const struct dispatcher_options *options)
{
	struct dispatcher *d = memory_new(sizeof *d);

	assert(options->held_max >= 1 && options->in_flight_max >= 1 && options->look_ahead_us >= 0);
	*d = (struct dispatcher){ .options = *options, .dice = options->seed, .run_bytes = RUN_BYTES_TYPICAL };
	d->next_due_us = WALL_US_MIN; /* what is due is unknown: ask at once */
	held_init(&d->held, options->held_max, options->lane_in_flight_max);
	id_map_init(&d->revoked, REVOKED_IDS_MAX);
	d->outcomes_free_n = options->in_flight_max + DISPATCH_OUTCOMES_SPARE;
	d->outcomes = memory_new(d->outcomes_free_n * sizeof *d->outcomes);
	d->outcomes_free = memory_new(d->outcomes_free_n * sizeof *d->outcomes_free);
	for (uint32_t i = 0; i < d->outcomes_free_n; i++)
		d->outcomes_free[i] = i;
	return d;
}

void dispatcher_free(struct dispatcher *d)
{
	if (!d)
		return;
	held_release(&d->held);
	id_map_release(&d->revoked);
	free(d->outcomes);
	free(d->outcomes_free);
	free(d);
}

void dispatcher_each_run(struct dispatcher *d, void (*on_run)(void *ctx, struct run *run), void *ctx)
{
	for (uint32_t slot = 0; slot < d->held.runs_max; slot++)
		if (d->held.runs[slot].state != HELD_FREE)
			on_run(ctx, d->held.runs[slot].run);
}

struct dispatcher_counts dispatcher_count(const struct dispatcher *d, struct wall now)
{
	const struct held *held = &d->held;
	int64_t oldest = now.us;

	for (uint32_t i = 0; i < held->lanes_top; i++) {
		const struct lane *lane = &held->lanes[i];
		uint32_t slot = lane->in_use ? lane->ready.first : HELD_NONE;

		if (slot != HELD_NONE && !is_lane_full(d, lane))
			oldest = earlier(oldest, held->runs[slot].run->start_at.us);
	}
	return (struct dispatcher_counts){
		.waiting = held->count[HELD_WAITING],
		.ready = held->count[HELD_READY],
		.flying = held->count[HELD_FLYING],
		.recording = held->count[HELD_UNRECORDED] + held->count[HELD_RECORDING],
		.slow_lanes = held->slow_n,
		.oldest_ready_age_us = now.us - oldest,
	};
}

void dispatcher_sane(const struct dispatcher *d)
{
	uint32_t outcomes = d->options.in_flight_max + DISPATCH_OUTCOMES_SPARE - d->outcomes_free_n, kept = 0,
		 claiming = 0;

	held_sane(&d->held);
	for (uint32_t slot = 0; slot < d->held.runs_max; slot++) {
		const struct held_run *run = &d->held.runs[slot];

		kept += (run->state == HELD_UNRECORDED || run->state == HELD_RECORDING) && run->outcome != HELD_NONE;
	}
	for (uint32_t i = 0; i < d->held.lanes_top; i++)
		claiming += d->held.lanes[i].in_use && d->held.lanes[i].is_claiming;
	assert(kept == outcomes && claiming == d->lane_claims_n);
	assert(d->held.count[HELD_FLYING] <= d->options.in_flight_max &&
	       d->outcomes_free_n >= d->held.count[HELD_FLYING]);
	assert(free_room(d) <= d->options.held_max);
}
