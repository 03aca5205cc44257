/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine: which runs to claim, to start, to record, to put back, and when to wake. Pure: events in, actions out.
 *
 * `dispatcher_step(state, event) → actions` reads no clock, opens no socket, knows no SQL, and allocates nothing after
 * dispatcher_new. Production carries the actions out with sockets and store jobs (delivery_loop.c); the simulator with
 * arrays and a virtual clock.
 *
 *                                                  ┌─no socket────┐
 *                                                  ▼              │
 *   claimed ─▶ WAITING (for its instant) ─▶ READY (for room) ─▶ FLYING ─▶ UNRECORDED ⇄ RECORDING ─▶ GONE
 *                  └───────────put back unsent: drained, parked, revoked────▲
 *
 * Bounds: held_max runs in memory, in_flight_max on the wire, lane_in_flight_max of them to one host; a lane gets more
 * than a quarter of in_flight_max only while no other lane waits, and never the last slots. A lane whose waiting runs
 * clog the memory (a hung host with a backlog) is parked: its waiting runs go back to the store, and come back as its
 * flying ones end, in order; nobody else waits for it. docs/design/dispatcher.md has the reasons. */
#ifndef DELIVER_DISPATCHER_H
#define DELIVER_DISPATCHER_H

#include "core/outcome.h"
#include "core/retry.h"
#include "core/run.h"

struct dispatcher;

enum {
	DISPATCH_CLAIM_ROOM_MAX = 1000, /* runs asked for by one claim */
	DISPATCH_OUTCOMES_SPARE =
		2048, /* results that may wait for the disk beyond in_flight_max before starts pause */
	DISPATCH_SLOW_LANES_MAX = 1024, /* lanes that may be parked at once */
	DISPATCH_LANE_CLAIMS_MAX = 8,	/* CLAIM_LANEs outstanding at once */
};

struct dispatcher_options {
	uint32_t held_max;	 /* runs in memory, whatever their state */
	uint64_t held_bytes_max; /* of their bodies, endpoints and secrets; a claim of unusually large ones may exceed
				    it once */
	uint32_t in_flight_max;
	uint32_t lane_in_flight_max;
	int64_t look_ahead_us; /* a claim reaches this far ahead, and is made when half of it is left, so that a
				  commit's latency is not lateness */
	struct retry_policy retry;
	uint64_t seed; /* of the generator that jitters retries */
};

enum dispatch_event_kind {
	DISPATCH_TICK,		/* time has passed: the instant of the last WAKE has come, or more */
	DISPATCH_DUE_HINT,	/* something is due at `due_at` that no earlier answer told of */
	DISPATCH_CLAIMED,	/* the answer to CLAIM or CLAIM_LANE: runs now held by us */
	DISPATCH_CLAIM_FAILED,	/* the store could not: try again later */
	DISPATCH_DONE,		/* an attempt ended */
	DISPATCH_RECORDED,	/* the answer to RECORDs: on disk (or fenced: not ours any more) */
	DISPATCH_RECORD_FAILED, /* nothing was written: the same records are to be tried again */
	DISPATCH_REVOKED, /* an edit or delete wants these runs back: those not on the wire are released, not started */
	DISPATCH_SET_BACK, /* the wall clock was set back, the store knows or will before it hears from us again: waits
			      for another attempt shorten by as much */
	DISPATCH_DRAIN,	  /* claim no more; what flies ends and is recorded; what waits goes back */
};

/* Every event carries the time at which it is handled; both clocks were read together. */
struct dispatch_event {
	enum dispatch_event_kind kind;
	struct instant now;
	union {
		struct wall due_at; /* DUE_HINT */
		struct {
			/* The runs' memory belongs to the dispatcher until it gives each back with DISPATCH_FREE; the
			 * array itself is only read during the step. */
			struct run *const *runs;
			uint32_t runs_n;
			bool more; /* the store stopped at the room given: more is due now (of a lane: more is parked)
				    */
			bool has_next;
			struct wall next_at; /* otherwise the earliest instant at which something will be due */
			bool has_no_ahead;
			struct wall no_ahead_at; /* likewise, of what can be claimed only then, not ahead */
			bool of_lane;		 /* the answer to CLAIM_LANE for `lane`; also set in CLAIM_FAILED */
			int64_t lane;
		} claimed; /* CLAIMED, CLAIM_FAILED */
		struct {
			uint32_t slot;
			const struct outcome *outcome;
		} done; /* the outcome is copied */
		struct {
			const uint32_t *slots;
			uint32_t n;
		} slots; /* RECORDED, RECORD_FAILED */
		struct {
			const int64_t *run_ids;
			uint32_t n;
		} ids; /* REVOKED */
		int64_t by_us; /* SET_BACK, positive; 0: only the store has changed its rows */
	};
};

enum dispatch_action_kind {
	DISPATCH_CLAIM,	     /* ask the store for up to `room` runs due by `until` */
	DISPATCH_CLAIM_LANE, /* ask for up to `room` parked runs of `lane` */
	DISPATCH_START,	     /* put `run` on the wire; `attempt` is its number from 1; answer with DONE for `slot` */
	DISPATCH_RECORD, /* write `record`; answer with RECORDED or RECORD_FAILED for its slot. All records of one step
			    may share one job */
	DISPATCH_FREE,	 /* `run` is not held any more: release its memory */
	DISPATCH_WAKE, /* call DISPATCH_TICK at `wake_at` (at the latest; on the wall clock); exactly one per step, the
			  last action */
	DISPATCH_DRAINED, /* after DRAIN: nothing is held any more */
};

/* What the store writes about a run after an attempt, or when it is given back unsent. */
enum record_kind {
	RECORD_DELIVERED,
	RECORD_RETRY,
	RECORD_FAILED,	/* after an attempt: outcome is set */
	RECORD_RELEASE, /* unsent: drained, revoked, claimed twice, or a retry without a socket; eligible again at
			   `eligible_at` */
	RECORD_PARK,	/* unsent: waits in its lane */
};

struct run_record {
	uint32_t slot;	       /* names the held run in the answer */
	const struct run *run; /* valid until FREE: id, lease, lane and the rest of who it is */
	enum record_kind kind;
	uint32_t attempts;	 /* finished now */
	struct wall eligible_at; /* RETRY, RELEASE, PARK (as safety net) */
	const struct outcome
		*outcome; /* valid until RECORDED; NULL when unsent. Of a delivered run without the answer's bytes */
};

struct dispatch_action {
	enum dispatch_action_kind kind;
	union {
		struct {
			uint32_t room;
			int64_t lane;
			struct wall until;
		} claim;
		struct {
			struct run *run;
			uint32_t slot;
			uint32_t attempt;
		} start;
		struct run_record record;
		struct run *run; /* FREE */
		struct wall wake_at;
	};
};

enum { DISPATCH_ACTIONS_MAX = 512 };

struct dispatch_actions {
	uint32_t n;
	bool more; /* the list was full: step again at once with DISPATCH_TICK */
	struct dispatch_action list[DISPATCH_ACTIONS_MAX];
};

/* All memory is taken here. held_max and in_flight_max at least 1. */
struct dispatcher *dispatcher_new(const struct dispatcher_options *options);
/* Frees the dispatcher, not the runs it holds: see dispatcher_each_run. */
void dispatcher_free(struct dispatcher *dispatcher);
/* Calls on_run for every run in memory, for an owner that stops without draining. */
void dispatcher_each_run(struct dispatcher *dispatcher, void (*on_run)(void *ctx, struct run *run), void *ctx);
void dispatcher_step(struct dispatcher *dispatcher, const struct dispatch_event *event,
		     struct dispatch_actions *actions);

struct dispatcher_counts {
	uint32_t waiting, ready, flying, recording;
	uint32_t slow_lanes;	     /* parked at present */
	int64_t oldest_ready_age_us; /* now minus the start_at of the oldest run that is due, not flying, and not
					waiting for its own host alone (P14: one that hangs says nothing about us); 0
					when there is none */
};
struct dispatcher_counts dispatcher_count(const struct dispatcher *dispatcher, struct wall now);
/* Recounts everything and compares it with what is kept, by assert. For tests and the simulator: costs time in
 * proportion to held_max. */
void dispatcher_sane(const struct dispatcher *dispatcher);

#endif
