/* SPDX-License-Identifier: BSD-3-Clause */
/* The runs in memory, by state and by lane: where each one is linked, and how many there are of each kind. Part of the
 * dispatcher.
 *
 * A run's state is the list it is in; held_move is the only function that links, unlinks and counts, so that limits
 * cannot drift from what is there. Knows no rule about who goes next. Pure; all memory is taken at held_init. */
#ifndef DELIVER_HELD_H
#define DELIVER_HELD_H

#include "core/run.h"
#include "deliver/dispatcher.h"
#include "deliver/id_map.h"

enum { HELD_NONE = UINT32_MAX };

enum held_state {
	HELD_FREE,	 /* the slot holds no run */
	HELD_WAITING,	 /* in the heap, by its instant */
	HELD_READY,	 /* in its lane's queue */
	HELD_FLYING,	 /* on the wire; counted */
	HELD_UNRECORDED, /* what came of it is to be written; in a queue */
	HELD_RECORDING,	 /* the store has the record; counted */
	HELD_GONE,	 /* its memory is to be given back; in a queue */
	HELD_STATES_N,
};

struct held_run {
	struct run *run;
	enum held_state state;
	enum record_kind kind; /* from UNRECORDED on */
	bool is_revoked;       /* by an edit, whatever its state was */
	uint32_t ahead_in;     /* its lane's `spell` when it came back from the parking place, or was ahead of what is
				  there: in that one it is not parked again */
	uint32_t lane;	       /* index */
	uint32_t next, prev;   /* in the queue of its state */
	uint32_t heap_at;
	uint32_t attempts;	 /* finished */
	uint32_t outcome;	 /* index in the dispatcher's pool, or HELD_NONE */
	struct wall eligible_at; /* of RETRY, RELEASE, PARK */
};

struct held_queue {
	uint32_t first, last;
};

/* One host. Exists while a run of it is held, or parked in the store, or asked for. */
struct lane {
	int64_t id;
	bool in_use;
	struct held_queue ready; /* by (start_at, id) */
	uint32_t runs_n, ready_n, flying_n;
	uint32_t parking_n;  /* of those UNRECORDED and RECORDING: the ones on their way to the store's parking place */
	bool is_startable;   /* in the ring: has ready runs and is below its limit */
	uint32_t next, prev; /* in the ring */
	bool is_slow;	     /* its due runs are parked */
	uint32_t spell;	     /* of slowness, the last one: counted from 1 */
	bool has_parked;     /* the store has parked runs, as far as we know */
	bool is_claiming;    /* a CLAIM_LANE is outstanding */
	bool is_starving;    /* slow, and its reserve is half empty while the store has more: wants a CLAIM_LANE */
	bool is_hungry; /* in the queue of those that can have one now: nothing of theirs is on its way to be parked */
	uint32_t next_hungry;
	bool is_hanging;	 /* its last attempt timed out */
	struct boot rests_until; /* before, it has no more on the wire than when one found no socket */
	uint32_t rest_flying_n;	 /* so many */
	struct boot done_at;	 /* when its last attempt ended; long ago before the first */
	struct boot window_at;	 /* progress is measured since then */
	uint32_t window_done_n;
};

struct held_due {
	int64_t start_us, id;
	uint32_t slot;
};

struct held {
	struct held_run *runs; /* owned, runs_max */
	uint32_t runs_max, free_first;
	uint32_t count[HELD_STATES_N];
	uint64_t bytes;
	struct held_queue unrecorded, gone;
	struct held_due *heap;			   /* owned; four children a node */
	struct id_map by_id;			   /* run id → slot, GONE ones left out */
	struct lane *lanes;			   /* owned, lanes_max */
	uint32_t lanes_max, lanes_free, lanes_top; /* indexes from lanes_top on were never used */
	struct id_map by_lane;
	uint32_t ring_at, ring_n; /* startable lanes; the next in turn */
	struct held_queue hungry;
	uint32_t lane_in_flight_max;
	uint32_t lane_reserve; /* ready runs that a slow lane keeps in memory */
	uint32_t slow_n, starving_n;
	struct boot now; /* of the present step */
};

/* A claim for less room than this costs more than it brings. A slow lane keeps no more than this, so that both kinds of
 * claims find room equally soon. */
static inline uint32_t dispatch_room_min(uint32_t runs_max)
{
	return runs_max / 8 < DISPATCH_CLAIM_ROOM_MAX / 4 ? runs_max / 8 : DISPATCH_CLAIM_ROOM_MAX / 4;
}

void held_init(struct held *held, uint32_t runs_max, uint32_t lane_in_flight_max);
void held_release(struct held *held);

/* Takes a run in, WAITING. There must be a free slot. */
uint32_t held_take(struct held *held, struct run *run);
/* The only way from one state to another. */
void held_move(struct held *held, uint32_t slot, enum held_state state);
/* The WAITING run with the earliest instant; HELD_NONE without one. */
uint32_t held_next_due(const struct held *held);
/* Gives a GONE run's slot back; returns the run. */
struct run *held_give(struct held *held, uint32_t slot);
/* For its instant, or for room. */
static inline bool held_is_waiting(const struct held_run *run)
{
	return run->state == HELD_WAITING || run->state == HELD_READY;
}
static inline uint32_t held_used(const struct held *held)
{
	return held->runs_max - held->count[HELD_FREE];
}

/* HELD_NONE when nothing of that lane is known. */
uint32_t held_lane_find(const struct held *held, int64_t lane_id);
/* What waits for its instant then is younger than what will be parked, whatever it was claimed as. */
void held_lane_set_slow(struct held *held, uint32_t lane, bool is_slow);
/* The run is older than all that is parked of its lane, until the lane becomes slow again. */
void held_set_ahead(struct held *held, uint32_t slot);
/* Older runs of its lane are parked. */
bool held_is_behind_parked(const struct held *held, uint32_t slot);
/* To be called after changing has_parked or is_claiming: keeps the queue of hungry lanes, and lets the lane go when
 * nothing speaks of it. */
void held_lane_settle(struct held *held, uint32_t lane);
/* Takes the first hungry lane out of its queue; HELD_NONE without one. */
uint32_t held_lane_take_hungry(struct held *held);

/* Asserts that counts, lists, heap and tables say the same. */
void held_sane(const struct held *held);

#endif
