/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides about a due schedule by the rules of catch-up (P7).
 *
 * Missed are the occurrences before `missed_before`. A gap of up to 60 s is no gap: everything in it runs. In a longer
 * one the policy says from which occurrence on they run; all before that one are one skipped range, counted by
 * arithmetic. Occurrences from `missed_before` on run, however late they are by now. Invariant: skipped_from <=
 * skipped_to < planned_at < next_at; blocked ones lie where the run would. */
#include "core/planner.h"

#include <assert.h>

/* One missed gap: the occurrences from `first` up to `last`, both included. */
struct gap {
	const struct timing *timing;
	struct wall first, last;
};

static struct wall just_before(struct wall at)
{
	return wall_add_us(at, -1);
}

/* The last occurrence at or before `until`, but never before the gap's first. */
static struct wall gap_previous(const struct gap *gap, struct wall until)
{
	struct wall at;

	return timing_previous(gap->timing, until, &at) ? wall_max(at, gap->first) : gap->first;
}

/* Occurrences of the gap at or after `from`, which lies behind its first. */
static uint64_t gap_count_from(const struct gap *gap, struct wall from)
{
	return timing_count(gap->timing, just_before(from), gap->last);
}

/* Where `all` begins: at most so many runs, and at most so far back. False when the whole gap lies further back. */
static bool gap_start_of_all(const struct gap *gap, struct wall missed_before, struct wall *start)
{
	struct wall oldest = wall_add_us(missed_before, -PLANNER_CATCH_UP_ALL_AGE_S * US_PER_SECOND);

	if (wall_is_after(oldest, gap->last))
		return false;
	*start = wall_max(gap->first, oldest);
	if (gap_count_from(gap, wall_add_us(*start, 1)) < PLANNER_CATCH_UP_ALL_RUNS_MAX)
		return true;

	/* The latest instant from which on there are still as many as may run: bisected, as occurrences cannot be
	 * indexed. */
	struct wall low = *start, high = gap->last;

	while (high.us - low.us > 1) {
		struct wall middle = wall_add_us(low, (high.us - low.us) / 2);

		if (gap_count_from(gap, middle) >= PLANNER_CATCH_UP_ALL_RUNS_MAX)
			low = middle;
		else
			high = middle;
	}
	*start = low;
	return true;
}

/* Which occurrence of the gap runs first; false when none does. */
static bool gap_first_run(const struct gap *gap, const struct plan_input *input, struct wall *first)
{
	struct wall start;

	if (input->catch_up == CATCH_UP_NONE)
		return false;
	if (input->catch_up == CATCH_UP_LATEST) {
		*first = gap->last;
		return true;
	}
	if (!gap_start_of_all(gap, input->missed_before, &start))
		return false;
	*first = gap->first;
	if (start.us > gap->first.us) {
		bool found = timing_next(gap->timing, just_before(start), first);

		assert(found && !wall_is_after(*first, gap->last));
	}
	return true;
}

static void plan_skip(struct plan *plan, const struct gap *gap, struct wall last)
{
	plan->skipped_from = gap->first;
	plan->skipped_to = last;
	plan->skipped_count = 1 + timing_count(gap->timing, gap->first, last);
}

static bool is_gap(const struct plan_input *input)
{
	return input->missed_before.us - input->next_at.us > PLANNER_GAP_RUN_IN_FULL_S * US_PER_SECOND;
}

/* The run, and everything due after it, is skipped; returns the last of them. */
static struct wall plan_blocked(const struct plan_input *input, struct plan *plan)
{
	struct gap due = { .timing = input->timing, .first = plan->planned_at };

	plan->has_run = false;
	plan->blocked_from = due.first;
	plan->blocked_to = gap_previous(&due, input->until);
	plan->blocked_count = 1 + timing_count(input->timing, due.first, plan->blocked_to);
	return plan->blocked_to;
}

/* Fills in what runs and what is skipped; returns the last occurrence that this plan deals with. */
static struct wall plan_due(const struct plan_input *input, struct plan *plan)
{
	if (input->timing->has_once || !is_gap(input)) {
		plan->has_run = true;
		plan->planned_at = input->next_at;
		return input->next_at;
	}

	struct gap gap = { .timing = input->timing, .first = input->next_at };
	struct wall last_missed = just_before(input->missed_before);

	gap.last = gap_previous(&gap, wall_is_after(last_missed, input->until) ? input->until : last_missed);
	plan->has_run = gap_first_run(&gap, input, &plan->planned_at);
	if (!plan->has_run) {
		plan_skip(plan, &gap, gap.last);
		return gap.last;
	}
	if (wall_is_after(plan->planned_at, gap.first))
		plan_skip(plan, &gap, gap_previous(&gap, just_before(plan->planned_at)));
	return plan->planned_at;
}

static void check(const struct plan *plan, const struct plan_input *input, struct wall done)
{
	assert(plan->has_run || plan->skipped_count > 0 || plan->blocked_count > 0);
	assert(!plan->has_run || !input->is_blocked);
	if (plan->skipped_count > 0) {
		assert(plan->skipped_from.us == input->next_at.us);
		assert(plan->skipped_from.us <= plan->skipped_to.us && plan->skipped_to.us <= done.us);
		assert((plan->skipped_count == 1) == (plan->skipped_from.us == plan->skipped_to.us));
	}
	if (plan->has_run) {
		assert(plan->planned_at.us >= input->next_at.us && plan->planned_at.us <= input->until.us);
		assert(plan->skipped_count == 0 || plan->skipped_to.us < plan->planned_at.us);
	}
	if (plan->blocked_count > 0) {
		assert(input->is_blocked && plan->blocked_from.us >= input->next_at.us);
		assert(plan->skipped_count == 0 || plan->skipped_to.us < plan->blocked_from.us);
		assert(plan->blocked_from.us <= plan->blocked_to.us && plan->blocked_to.us <= done.us);
		assert((plan->blocked_count == 1) == (plan->blocked_from.us == plan->blocked_to.us));
	}
	assert(!plan->has_next || wall_is_after(plan->next_at, done));
}

struct plan planner_step(const struct plan_input *input)
{
	struct plan plan = { 0 };

	assert(!wall_is_after(input->next_at, input->until));
	if (input->runs_left == 0)
		return plan;

	struct wall done = plan_due(input, &plan);

	if (plan.has_run && input->is_blocked)
		done = plan_blocked(input, &plan);

	bool was_last_run = plan.has_run && input->runs_left == 1;

	if (!was_last_run)
		plan.has_next = timing_next(input->timing, done, &plan.next_at);
	check(&plan, input, done);
	return plan;
}
