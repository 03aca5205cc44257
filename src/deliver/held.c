/* SPDX-License-Identifier: BSD-3-Clause */
/* Slabs, a heap by instant, a queue per lane, and a ring of the lanes that may start something: all linked by index,
 * nothing allocated after the start. */
#include "deliver/held.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"

enum {
	HEAP_CHILDREN = 4,
	QUEUE_STEPS_MAX = 1000, /* so far from either end of its lane's queue a run's place is looked for; runs of one
				   schedule come in order anyway */
};

/* --- the heap of WAITING runs --- */

static bool is_due_before(const struct held_due *a, const struct held_due *b)
{
	return a->start_us != b->start_us ? a->start_us < b->start_us : a->id < b->id;
}

static void heap_put(struct held *held, uint32_t at, struct held_due due)
{
	held->heap[at] = due;
	held->runs[due.slot].heap_at = at;
}

static void heap_rise(struct held *held, uint32_t at, struct held_due due)
{
	while (at > 0) {
		uint32_t parent = (at - 1) / HEAP_CHILDREN;

		if (!is_due_before(&due, &held->heap[parent]))
			break;
		heap_put(held, at, held->heap[parent]);
		at = parent;
	}
	heap_put(held, at, due);
}

static uint32_t heap_least_child(const struct held *held, uint32_t at, uint32_t n)
{
	uint32_t first = at * HEAP_CHILDREN + 1, least = HELD_NONE;

	for (uint32_t child = first; child < first + HEAP_CHILDREN && child < n; child++)
		if (least == HELD_NONE || is_due_before(&held->heap[child], &held->heap[least]))
			least = child;
	return least;
}

static void heap_sink(struct held *held, uint32_t at, uint32_t n, struct held_due due)
{
	for (;;) {
		uint32_t child = heap_least_child(held, at, n);

		if (child == HELD_NONE || !is_due_before(&held->heap[child], &due))
			break;
		heap_put(held, at, held->heap[child]);
		at = child;
	}
	heap_put(held, at, due);
}

/* `n` is the size afterwards. */
static void heap_insert(struct held *held, uint32_t slot, uint32_t n)
{
	const struct run *run = held->runs[slot].run;

	heap_rise(held, n - 1, (struct held_due){ .start_us = run->start_at.us, .id = run->id, .slot = slot });
}

static void heap_remove(struct held *held, uint32_t slot, uint32_t n)
{
	uint32_t at = held->runs[slot].heap_at;
	struct held_due last = held->heap[n];

	assert(held->heap[at].slot == slot);
	if (at == n)
		return;
	if (at > 0 && is_due_before(&last, &held->heap[(at - 1) / HEAP_CHILDREN]))
		heap_rise(held, at, last);
	else
		heap_sink(held, at, n, last);
}

uint32_t held_next_due(const struct held *held)
{
	return held->count[HELD_WAITING] ? held->heap[0].slot : HELD_NONE;
}

/* --- queues --- */

/* Links `slot` behind `prev`; at the front when that is HELD_NONE. */
static void queue_insert(struct held *held, struct held_queue *queue, uint32_t slot, uint32_t prev)
{
	struct held_run *run = &held->runs[slot];

	run->prev = prev;
	run->next = prev == HELD_NONE ? queue->first : held->runs[prev].next;
	if (run->next == HELD_NONE)
		queue->last = slot;
	else
		held->runs[run->next].prev = slot;
	if (prev == HELD_NONE)
		queue->first = slot;
	else
		held->runs[prev].next = slot;
}

static void queue_remove(struct held *held, struct held_queue *queue, uint32_t slot)
{
	struct held_run *run = &held->runs[slot];

	if (run->prev == HELD_NONE)
		queue->first = run->next;
	else
		held->runs[run->prev].next = run->next;
	if (run->next == HELD_NONE)
		queue->last = run->prev;
	else
		held->runs[run->next].prev = run->prev;
	run->next = run->prev = HELD_NONE;
}

static bool is_run_before(const struct run *a, const struct run *b)
{
	return a->start_at.us != b->start_at.us ? a->start_at.us < b->start_at.us : a->id < b->id;
}

/* Behind the last one that is older, looked for from both ends: claimed runs come nearly in order, and one that found
 * no socket belongs near the front. */
static void ready_insert(struct held *held, struct lane *lane, uint32_t slot)
{
	const struct run *run = held->runs[slot].run;
	uint32_t prev = lane->ready.last, next = lane->ready.first;

	for (uint32_t steps = 0;
	     prev != HELD_NONE && steps < QUEUE_STEPS_MAX && is_run_before(run, held->runs[prev].run); steps++) {
		if (is_run_before(run, held->runs[next].run)) {
			prev = held->runs[next].prev;
			break;
		}
		prev = held->runs[prev].prev;
		next = held->runs[next].next;
	}
	queue_insert(held, &lane->ready, slot, prev);
}

/* --- lanes --- */

static void ring_insert(struct held *held, uint32_t index)
{
	struct lane *lane = &held->lanes[index];

	if (held->ring_n == 0) {
		lane->next = lane->prev = index;
		held->ring_at = index;
	} else {
		/* Last in turn: before the one whose turn it is. */
		lane->next = held->ring_at;
		lane->prev = held->lanes[held->ring_at].prev;
		held->lanes[lane->prev].next = index;
		held->lanes[lane->next].prev = index;
	}
	held->ring_n++;
	lane->is_startable = true;
}

static void ring_remove(struct held *held, uint32_t index)
{
	struct lane *lane = &held->lanes[index];

	held->lanes[lane->prev].next = lane->next;
	held->lanes[lane->next].prev = lane->prev;
	held->ring_n--;
	if (held->ring_n == 0)
		held->ring_at = HELD_NONE;
	else if (held->ring_at == index)
		held->ring_at = lane->next;
	lane->is_startable = false;
}

uint32_t held_lane_find(const struct held *held, int64_t lane_id)
{
	return id_map_find(&held->by_lane, lane_id);
}

static uint32_t lane_open(struct held *held, int64_t id)
{
	uint32_t index = held->lanes_free;

	if (index != HELD_NONE)
		held->lanes_free = held->lanes[index].next;
	else
		index = held->lanes_top++;
	assert(index < held->lanes_max);
	held->lanes[index] = (struct lane){
		.id = id,
		.in_use = true,
		.ready = { HELD_NONE, HELD_NONE },
		.next_hungry = HELD_NONE,
		.spell = 1,
		.window_at = held->now,
		.done_at = { INT64_MIN / 2 },
	};
	id_map_insert(&held->by_lane, id, index);
	return index;
}

static void lane_close(struct held *held, uint32_t index)
{
	struct lane *lane = &held->lanes[index];

	id_map_remove(&held->by_lane, lane->id, index);
	*lane = (struct lane){ .next = held->lanes_free };
	held->lanes_free = index;
}

void held_lane_settle(struct held *held, uint32_t index)
{
	struct lane *lane = &held->lanes[index];
	bool should_start = lane->ready_n > 0 && lane->flying_n < held->lane_in_flight_max;
	bool starving =
		lane->is_slow && lane->has_parked && !lane->is_claiming && lane->ready_n <= held->lane_reserve / 2;

	if (should_start && !lane->is_startable)
		ring_insert(held, index);
	else if (!should_start && lane->is_startable)
		ring_remove(held, index);
	if (starving != lane->is_starving) {
		lane->is_starving = starving;
		held->starving_n += starving ? 1 : UINT32_MAX;
	}
	if (starving && lane->parking_n == 0 && !lane->is_hungry) {
		lane->is_hungry = true;
		if (held->hungry.last == HELD_NONE)
			held->hungry.first = index;
		else
			held->lanes[held->hungry.last].next_hungry = index;
		held->hungry.last = index;
	}
	if (lane->runs_n == 0 && !lane->is_slow && !lane->is_claiming && !lane->is_hungry)
		lane_close(held, index);
}

uint32_t held_lane_take_hungry(struct held *held)
{
	uint32_t index = held->hungry.first;

	if (index == HELD_NONE)
		return HELD_NONE;
	held->hungry.first = held->lanes[index].next_hungry;
	if (held->hungry.first == HELD_NONE)
		held->hungry.last = HELD_NONE;
	held->lanes[index].is_hungry = false;
	held->lanes[index].next_hungry = HELD_NONE;
	return index;
}

void held_lane_set_slow(struct held *held, uint32_t index, bool is_slow)
{
	struct lane *lane = &held->lanes[index];

	assert(lane->is_slow != is_slow);
	lane->is_slow = is_slow;
	held->slow_n += is_slow ? 1 : UINT32_MAX;
	lane->spell += is_slow;
	held_lane_settle(held, index);
}

void held_set_ahead(struct held *held, uint32_t slot)
{
	held->runs[slot].ahead_in = held->lanes[held->runs[slot].lane].spell;
}

bool held_is_behind_parked(const struct held *held, uint32_t slot)
{
	const struct lane *lane = &held->lanes[held->runs[slot].lane];

	return lane->is_slow && held->runs[slot].ahead_in != lane->spell;
}

/* --- runs --- */

static uint64_t bytes_of(const struct run *run)
{
	return sizeof *run + run->endpoint.n + run->body.n + run->authorization.n + run->signing_secret.n;
}

static bool is_parking(const struct held_run *run)
{
	return (run->state == HELD_UNRECORDED || run->state == HELD_RECORDING) && run->kind == RECORD_PARK;
}

static void leave(struct held *held, uint32_t slot)
{
	struct held_run *run = &held->runs[slot];
	struct lane *lane = &held->lanes[run->lane];

	held->count[run->state]--;
	if (is_parking(run))
		lane->parking_n--;
	switch (run->state) {
	case HELD_WAITING:
		heap_remove(held, slot, held->count[HELD_WAITING]);
		break;
	case HELD_READY:
		queue_remove(held, &lane->ready, slot);
		lane->ready_n--;
		break;
	case HELD_FLYING:
		lane->flying_n--;
		break;
	case HELD_UNRECORDED:
		queue_remove(held, &held->unrecorded, slot);
		break;
	case HELD_GONE:
		queue_remove(held, &held->gone, slot);
		break;
	case HELD_RECORDING:
	case HELD_FREE:
	case HELD_STATES_N:
		break;
	}
}

static void enter_ready(struct held *held, struct lane *lane, uint32_t slot)
{
	if (lane->ready_n == 0) {
		lane->window_at = held->now;
		lane->window_done_n = 0;
	}
	ready_insert(held, lane, slot);
	lane->ready_n++;
}

static void enter(struct held *held, uint32_t slot, enum held_state state)
{
	struct held_run *run = &held->runs[slot];
	struct lane *lane = &held->lanes[run->lane];

	run->state = state;
	held->count[state]++;
	if (is_parking(run))
		lane->parking_n++;
	switch (state) {
	case HELD_WAITING:
		heap_insert(held, slot, held->count[HELD_WAITING]);
		break;
	case HELD_READY:
		enter_ready(held, lane, slot);
		break;
	case HELD_FLYING:
		lane->flying_n++;
		break;
	case HELD_UNRECORDED:
		queue_insert(held, &held->unrecorded, slot, held->unrecorded.last);
		break;
	case HELD_GONE:
		queue_insert(held, &held->gone, slot, held->gone.last);
		id_map_remove(&held->by_id, run->run->id, slot);
		lane->runs_n--;
		break;
	case HELD_RECORDING:
	case HELD_FREE:
	case HELD_STATES_N:
		break;
	}
}

/* From → to, one bit a state. Backwards from READY only when the wall clock was set back; from FLYING, for want of a
 * socket. */
static const uint8_t moves[HELD_STATES_N] = {
	[HELD_WAITING] = 1 << HELD_READY | 1 << HELD_UNRECORDED | 1 << HELD_GONE,
	[HELD_READY] = 1 << HELD_WAITING | 1 << HELD_FLYING | 1 << HELD_UNRECORDED | 1 << HELD_GONE,
	[HELD_FLYING] = 1 << HELD_UNRECORDED | 1 << HELD_READY,
	[HELD_UNRECORDED] = 1 << HELD_RECORDING,
	[HELD_RECORDING] = 1 << HELD_UNRECORDED | 1 << HELD_GONE,
};

void held_move(struct held *held, uint32_t slot, enum held_state state)
{
	assert(slot < held->runs_max && (moves[held->runs[slot].state] >> state & 1));
	leave(held, slot);
	enter(held, slot, state);
	held_lane_settle(held, held->runs[slot].lane);
}

uint32_t held_take(struct held *held, struct run *run)
{
	uint32_t slot = held->free_first, lane = held_lane_find(held, run->lane);

	assert(slot != HELD_NONE && held->runs[slot].state == HELD_FREE);
	if (lane == HELD_NONE)
		lane = lane_open(held, run->lane);
	held->free_first = held->runs[slot].next;
	held->count[HELD_FREE]--;
	held->runs[slot] = (struct held_run){ .run = run,
					      .lane = lane,
					      .next = HELD_NONE,
					      .prev = HELD_NONE,
					      .attempts = run->attempts,
					      .outcome = HELD_NONE };
	held->lanes[lane].runs_n++;
	held->bytes += bytes_of(run);
	id_map_insert(&held->by_id, run->id, slot);
	enter(held, slot, HELD_WAITING);
	return slot;
}

struct run *held_give(struct held *held, uint32_t slot)
{
	struct run *run = held->runs[slot].run;

	assert(held->runs[slot].state == HELD_GONE);
	leave(held, slot);
	held->bytes -= bytes_of(run);
	held->runs[slot] = (struct held_run){ .state = HELD_FREE, .next = held->free_first };
	held->free_first = slot;
	held->count[HELD_FREE]++;
	return run;
}

void held_init(struct held *held, uint32_t runs_max, uint32_t lane_in_flight_max)
{
	uint32_t reserve = dispatch_room_min(runs_max);

	if (reserve > lane_in_flight_max)
		reserve = lane_in_flight_max;
	assert(runs_max >= 1 && lane_in_flight_max >= 1);
	*held = (struct held){
		.runs_max = runs_max,
		.lanes_max = runs_max + DISPATCH_SLOW_LANES_MAX + DISPATCH_LANE_CLAIMS_MAX,
		.lanes_free = HELD_NONE,
		.ring_at = HELD_NONE,
		.unrecorded = { HELD_NONE, HELD_NONE },
		.gone = { HELD_NONE, HELD_NONE },
		.hungry = { HELD_NONE, HELD_NONE },
		.lane_in_flight_max = lane_in_flight_max,
		.lane_reserve = reserve > 2 ? reserve : 2,
		.free_first = 0,
		.count[HELD_FREE] = runs_max,
	};
	held->runs = memory_new(runs_max * sizeof *held->runs);
	held->heap = memory_new((runs_max + 1) * sizeof *held->heap);
	held->lanes = memory_new(held->lanes_max * sizeof *held->lanes);
	for (uint32_t slot = 0; slot < runs_max; slot++)
		held->runs[slot] =
			(struct held_run){ .state = HELD_FREE, .next = slot + 1 < runs_max ? slot + 1 : HELD_NONE };
	id_map_init(&held->by_id, runs_max);
	id_map_init(&held->by_lane, held->lanes_max);
}

void held_release(struct held *held)
{
	free(held->runs);
	free(held->heap);
	free(held->lanes);
	id_map_release(&held->by_id);
	id_map_release(&held->by_lane);
}

/* --- what must always hold --- */

static void runs_sane(const struct held *held)
{
	uint32_t count[HELD_STATES_N] = { 0 };
	uint64_t bytes = 0;

	for (uint32_t slot = 0; slot < held->runs_max; slot++) {
		const struct held_run *run = &held->runs[slot];

		count[run->state]++;
		if (run->state == HELD_FREE)
			continue;
		bytes += bytes_of(run->run);
		if (run->state == HELD_GONE)
			continue;
		assert(held->lanes[run->lane].in_use && held->lanes[run->lane].id == run->run->lane);
		assert(id_map_find(&held->by_id, run->run->id) != ID_MAP_NONE);
		assert(run->state != HELD_WAITING || held->heap[run->heap_at].slot == slot);
	}
	for (unsigned state = 0; state < HELD_STATES_N; state++)
		assert(count[state] == held->count[state]);
	assert(bytes == held->bytes);
	assert(held->by_id.n == held_used(held) - held->count[HELD_GONE]);
	for (uint32_t at = 1; at < held->count[HELD_WAITING]; at++)
		assert(!is_due_before(&held->heap[at], &held->heap[(at - 1) / HEAP_CHILDREN]));
}

static void lane_sane(const struct held *held, const struct lane *lane)
{
	uint32_t ready = 0;

	for (uint32_t slot = lane->ready.first; slot != HELD_NONE; slot = held->runs[slot].next) {
		assert(held->runs[slot].state == HELD_READY && &held->lanes[held->runs[slot].lane] == lane);
		ready++;
	}
	assert(ready == lane->ready_n && lane->flying_n <= held->lane_in_flight_max);
	assert(lane->is_startable == (lane->ready_n > 0 && lane->flying_n < held->lane_in_flight_max));
	assert(lane->runs_n > 0 || lane->is_slow || lane->is_claiming || lane->is_hungry);
	assert(held_lane_find(held, lane->id) == (uint32_t)(lane - held->lanes));
}

void held_sane(const struct held *held)
{
	uint32_t runs = 0, ready = 0, flying = 0, slow = 0, starving = 0, ring = 0, used = 0;

	runs_sane(held);
	for (uint32_t i = 0; i < held->lanes_top; i++) {
		const struct lane *lane = &held->lanes[i];

		if (!lane->in_use)
			continue;
		lane_sane(held, lane);
		runs += lane->runs_n;
		ready += lane->ready_n;
		flying += lane->flying_n;
		slow += lane->is_slow;
		starving += lane->is_starving;
		ring += lane->is_startable;
		used++;
	}
	assert(runs == held_used(held) - held->count[HELD_GONE] && ready == held->count[HELD_READY] &&
	       flying == held->count[HELD_FLYING]);
	assert(slow == held->slow_n && starving == held->starving_n && ring == held->ring_n && used == held->by_lane.n);
}
