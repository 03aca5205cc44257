/* SPDX-License-Identifier: BSD-3-Clause */
/* What to do about a schedule that is due: run an occurrence, record missed ones as skipped, and when to come back (P2,
 * P7). Pure.
 *
 * One call plans at most one run; the caller asks again while the answer says that more is due. Planned instants
 * strictly increase from call to call: asserted here, and by a constraint in the database. Any gap is planned in
 * constant memory. */
#ifndef CORE_PLANNER_H
#define CORE_PLANNER_H

#include "core/schedule.h"
#include "core/timing.h"

/* Gaps up to this run in full. */
enum { PLANNER_GAP_RUN_IN_FULL_S = 60 };

/* `all` looks this far back and runs this many; what lies before is recorded as skipped (P7). Both count from the end
 * of the gap, so they say the same again when part of the gap has been planned. */
enum { PLANNER_CATCH_UP_ALL_RUNS_MAX = 1000, PLANNER_CATCH_UP_ALL_AGE_S = 86400 };

struct plan_input {
	const struct timing *timing;
	struct wall next_at; /* the schedule's next planned instant, not after `until` */
	struct wall until;   /* plan occurrences up to here (now plus look-ahead) */
	/* Occurrences before this were missed while the service was down, suspended or the clock stepped; later ones
	 * are merely late and run. */
	struct wall missed_before;
	enum catch_up catch_up;
	/* An earlier run is open, and the schedule skips then (P10): whatever would run up to `until` is skipped
	 * instead. */
	bool is_blocked;
	int64_t runs_left; /* by `frequency`; negative = no limit */
};

struct plan {
	bool has_run;
	struct wall planned_at;		      /* of the run */
	uint64_t skipped_count;		      /* 0 = nothing was skipped */
	struct wall skipped_from, skipped_to; /* first and last skipped occurrence, both planned before the run */
	uint64_t blocked_count;		      /* skipped as `is_blocked`; then there is no run */
	struct wall blocked_from, blocked_to; /* likewise, after what catch-up skipped */
	bool has_next;
	struct wall next_at; /* strictly after everything planned here; may still be <= until: call again */
};

/* A one-shot (timing->has_once) runs however late, unless it is blocked. With runs_left 0 nothing runs and nothing is
 * next. Skipped occurrences do not count against runs_left. */
struct plan planner_step(const struct plan_input *input);

#endif
