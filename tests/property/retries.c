/* SPDX-License-Identifier: BSD-3-Clause */
/* Ten thousand runs of which nine attempts in ten fail, through the real dispatcher on a virtual clock, against an
 * oracle that knows only the coins: how many attempts each run takes, which ones end as failed tasks, and how long the
 * waits between them are.
 *
 * The waits at each place of the ladder must lie within its ceiling and be uniform there (Kolmogorov-Smirnov, p >
 * 0.01); a receiver's Retry-After is a floor; a final answer ends a run at once; a requeued run climbs the ladder anew.
 * `retries [--runs N] [--seed N]`; the last line is the proof in JSON. */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sim/dice.h"
#include "base/arena.h"
#include "deliver/dispatcher.h"

enum { BUDGET = 6, ATTEMPTS_MAX = 2 * BUDGET, WISH_S = 7, LANES = 61, STEPS_MAX = 100000000 };

static const int64_t ceilings_s[BUDGET - 1] = { 5, 10, 20, 40, 80 };

struct entry {
	struct wall eligible_at;
	struct wall ended_at;
	int64_t wait_us[ATTEMPTS_MAX]; /* after each attempt but the last */
	uint32_t attempts, budget;
	bool is_held, is_delivered, is_dead;
};

struct world {
	struct dispatcher *dispatcher;
	struct dispatch_actions actions;
	struct instant now;
	struct entry *entries; /* id - 1 */
	int64_t runs_n, over_n;
	uint64_t seed;
	struct wall wake_at;
	bool is_claim_wanted;
	uint32_t room;
	struct wall until;
	struct started {
		uint32_t slot, attempt;
		int64_t id;
	} * started;
	uint32_t *recorded;
	uint32_t started_n, recorded_n;
};

static int problems;

static void complain(int64_t id, const char *what, int64_t found, int64_t wanted)
{
	if (problems++ < 20)
		printf("PROBLEM: run %" PRId64 ": %s: %" PRId64 ", not %" PRId64 "\n", id, what, found, wanted);
}

/* --- chance: what the receiver says to that attempt, the same whoever asks --- */

static struct outcome say(uint64_t seed, int64_t id, uint32_t attempt)
{
	uint64_t dice = seed ^ (uint64_t)id * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)attempt << 56;
	struct outcome outcome = { .class = OUTCOME_DELIVERED, .status = 200 };

	if (!chance(&dice, 90))
		return outcome;
	outcome.class = OUTCOME_HTTP;
	outcome.status = 503;
	outcome.is_final = chance(&dice, 2);
	outcome.retry_after_us = chance(&dice, 10) ? WISH_S * US_PER_SECOND : 0;
	return outcome;
}

/* --- the store: an array --- */

static void claim(struct world *world)
{
	struct run **runs = memory_new((world->room + 1) * sizeof(struct run *));
	struct dispatch_event event = { .kind = DISPATCH_CLAIMED, .now = world->now, .claimed.runs = runs };
	struct wall next = { INT64_MAX };

	for (int64_t id = 1; id <= world->runs_n; id++) {
		struct entry *entry = &world->entries[id - 1];

		if (entry->is_held || entry->is_delivered || entry->is_dead)
			continue;
		if (wall_is_after(entry->eligible_at, world->until)) {
			next = wall_is_after(next, entry->eligible_at) ? entry->eligible_at : next;
			continue;
		}
		if (event.claimed.runs_n == world->room) {
			event.claimed.more = true;
			break;
		}
		struct run *run = memory_new(sizeof *run);

		*run = (struct run){ .id = id, .lease = id, .lane = id % LANES, .schedule_row = id };
		run->attempts = entry->attempts;
		run->attempts_budget = entry->budget;
		run->start_at = entry->eligible_at;
		runs[event.claimed.runs_n++] = run;
		entry->is_held = true;
	}
	event.claimed.has_next = next.us != INT64_MAX;
	event.claimed.next_at = event.claimed.has_next ? next : (struct wall){ 0 };
	world->is_claim_wanted = false;
	dispatcher_step(world->dispatcher, &event, &world->actions);
	free(runs);
}

static void end_run(struct world *world, struct entry *entry)
{
	/* Every other dead run is requeued once, as somebody would by hand. */
	if (entry->is_dead && entry->budget == BUDGET && (entry - world->entries) % 2 == 0) {
		entry->is_dead = false;
		entry->budget = entry->attempts + BUDGET;
		entry->eligible_at = world->now.wall;
		return;
	}
	world->over_n++;
}

static void record(struct world *world, const struct run_record *record)
{
	struct entry *entry = &world->entries[record->run->id - 1];
	bool is_attempt =
		record->kind == RECORD_DELIVERED || record->kind == RECORD_RETRY || record->kind == RECORD_FAILED;

	world->recorded[world->recorded_n++] = record->slot;
	entry->is_held = false;
	entry->eligible_at = record->eligible_at;
	if (!is_attempt)
		return;
	if (record->attempts != entry->attempts + 1)
		complain(record->run->id, "attempts on record", record->attempts, entry->attempts + 1);
	entry->attempts = record->attempts;
	if (record->kind == RECORD_RETRY) {
		entry->wait_us[record->attempts - 1] = record->eligible_at.us - entry->ended_at.us;
		return;
	}
	entry->is_delivered = record->kind == RECORD_DELIVERED;
	entry->is_dead = record->kind == RECORD_FAILED;
	end_run(world, entry);
}

/* --- the loop --- */

static void carry_out(struct world *world)
{
	for (uint32_t i = 0; i < world->actions.n; i++) {
		const struct dispatch_action *action = &world->actions.list[i];

		switch (action->kind) {
		case DISPATCH_CLAIM:
			world->is_claim_wanted = true;
			world->room = action->claim.room;
			world->until = action->claim.until;
			break;
		case DISPATCH_START:
			if (wall_is_after(action->start.run->start_at, world->now.wall))
				complain(action->start.run->id, "started early, at", world->now.wall.us,
					 action->start.run->start_at.us);
			world->started[world->started_n++] =
				(struct started){ action->start.slot, action->start.attempt, action->start.run->id };
			break;
		case DISPATCH_RECORD:
			record(world, &action->record);
			break;
		case DISPATCH_FREE:
			free(action->run);
			break;
		case DISPATCH_WAKE:
			world->wake_at = action->wake_at;
			break;
		case DISPATCH_CLAIM_LANE:
		case DISPATCH_DRAINED:
			complain(0, "an action that has no cause here", action->kind, 0);
			break;
		}
	}
}

static void step(struct world *world, struct dispatch_event event)
{
	event.now = world->now;
	dispatcher_step(world->dispatcher, &event, &world->actions);
	carry_out(world);
}

static void end_attempt(struct world *world)
{
	struct started started = world->started[--world->started_n];
	struct outcome outcome = say(world->seed, started.id, started.attempt);

	world->entries[started.id - 1].ended_at = world->now.wall;
	step(world, (struct dispatch_event){ .kind = DISPATCH_DONE, .done = { started.slot, &outcome } });
}

static void run_until_over(struct world *world)
{
	for (int64_t steps = 0; (world->over_n < world->runs_n || world->recorded_n) && steps < STEPS_MAX; steps++) {
		if (world->started_n) {
			end_attempt(world);
		} else if (world->recorded_n) {
			uint32_t slot = world->recorded[--world->recorded_n];

			step(world, (struct dispatch_event){ .kind = DISPATCH_RECORDED, .slots = { &slot, 1 } });
		} else if (world->is_claim_wanted) {
			claim(world);
			carry_out(world);
		} else {
			int64_t us = world->wake_at.us - world->now.wall.us;

			world->now.wall.us += us > 0 && !world->actions.more ? us : 0;
			world->now.boot.us += us > 0 && !world->actions.more ? us : 0;
			step(world, (struct dispatch_event){ .kind = DISPATCH_TICK });
		}
	}
}

/* --- the oracle --- */

/* What the coins say of the run: its attempts, and whether it died. */
static uint32_t foretell(uint64_t seed, int64_t id, bool *is_dead)
{
	uint32_t attempt = 0, budget = BUDGET;

	for (;;) {
		struct outcome outcome = say(seed, id, ++attempt);

		*is_dead = outcome.class != OUTCOME_DELIVERED;
		if (!*is_dead)
			return attempt;
		if (outcome.is_final || attempt == budget) {
			if (budget != BUDGET || id % 2 == 0)
				return attempt;
			budget = attempt + BUDGET;
		}
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The chance that `n` uniform numbers lie as far from the diagonal as these do (Kolmogorov's series). */
static double uniform_p(double *samples, size_t n)
{
	double distance = 0, p = 0, root;

	qsort(samples, n, sizeof samples[0], compare);
	for (size_t i = 0; i < n; i++) {
		distance = fmax(distance, (double)(i + 1) / (double)n - samples[i]);
		distance = fmax(distance, samples[i] - (double)i / (double)n);
	}
	root = sqrt((double)n);
	root = (root + 0.12 + 0.11 / root) * distance;
	for (int k = 1; k <= 100; k++)
		p += (k % 2 ? 2 : -2) * exp(-2.0 * k * k * root * root);
	return p < 0 ? 0 : p > 1 ? 1 : p;
}

/* Which place of the ladder the attempt had: 0 after the first of a budget. */
static uint32_t rung_of(const struct world *world, int64_t id, uint32_t attempt)
{
	const struct entry *entry = &world->entries[id - 1];
	uint32_t second = entry->budget - BUDGET; /* attempts before the requeue, if there was one */

	return attempt > second ? attempt - second - 1 : attempt - 1;
}

static void check_wait(const struct world *world, int64_t id, uint32_t attempt, double *samples[], size_t samples_n[])
{
	int64_t wait = world->entries[id - 1].wait_us[attempt - 1],
		floor = say(world->seed, id, attempt).retry_after_us;
	uint32_t rung = rung_of(world, id, attempt);
	int64_t ceiling = ceilings_s[rung] * US_PER_SECOND;

	if (wait < floor || wait > (ceiling > floor ? ceiling : floor))
		complain(id, "a wait out of bounds", wait, ceiling);
	if (floor == 0)
		samples[rung][samples_n[rung]++] = (double)wait / (double)ceiling;
}

static int64_t check_runs(const struct world *world, double *samples[], size_t samples_n[], int64_t *attempts_n)
{
	int64_t dead_n = 0;

	for (int64_t id = 1; id <= world->runs_n; id++) {
		const struct entry *entry = &world->entries[id - 1];
		bool is_dead;
		uint32_t attempts = foretell(world->seed, id, &is_dead);

		if (entry->attempts != attempts)
			complain(id, "attempts", entry->attempts, attempts);
		if (entry->is_dead != is_dead || entry->is_delivered == is_dead)
			complain(id, "dead", entry->is_dead, is_dead);
		/* The last attempt of a budget has no wait behind it. */
		for (uint32_t n = 1; n < entry->attempts; n++)
			if (n != entry->budget - BUDGET)
				check_wait(world, id, n, samples, samples_n);
		dead_n += is_dead;
		*attempts_n += attempts;
	}
	return dead_n;
}

static int report(const struct world *world)
{
	double *samples[BUDGET - 1], p_min = 1;
	size_t samples_n[BUDGET - 1] = { 0 }, total = 0;
	int64_t attempts_n = 0;

	for (unsigned i = 0; i < BUDGET - 1; i++)
		samples[i] = memory_new((size_t)world->runs_n * 2 * sizeof(double));
	int64_t dead_n = check_runs(world, samples, samples_n, &attempts_n);

	for (unsigned i = 0; i < BUDGET - 1; i++) {
		double p = uniform_p(samples[i], samples_n[i]);

		printf("waits below %2" PRId64 " s: %6zu, uniform with p = %.3f\n", ceilings_s[i], samples_n[i], p);
		if (p <= 0.01)
			complain(0, "waits are not uniform, thousandths of p", (int64_t)(p * 1000), 10);
		p_min = fmin(p_min, p);
		total += samples_n[i];
		free(samples[i]);
	}
	if (dead_n == 0 || dead_n == world->runs_n || total < (size_t)world->runs_n)
		complain(0, "void: too little happened", (int64_t)total, world->runs_n);
	printf("proof: {\"part\": \"retries\", \"tried\": {\"runs\": %" PRId64 ", \"attempts\": %" PRId64
	       "}, \"found\": {\"dead\": %" PRId64 ", \"waits\": %zu, \"uniform_p_min\": %.3f, \"problems\": %d}, "
	       "\"held\": %s}\n",
	       world->runs_n, attempts_n, dead_n, total, p_min, problems, problems ? "false" : "true");
	return problems ? 1 : 0;
}

static void no_run_left(void *ctx, struct run *run)
{
	(void)ctx;
	complain(run->id, "is still held", 1, 0);
	free(run);
}

int main(int argc, char **argv)
{
	struct world *world = memory_new(sizeof *world);

	world->runs_n = 10000;
	world->seed = 1;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--runs") == 0)
			world->runs_n = atoll(argv[i + 1]);
		else if (strcmp(argv[i], "--seed") == 0)
			world->seed = (uint64_t)atoll(argv[i + 1]);
	}
	struct dispatcher_options options = { .held_max = 16384,
					      .held_bytes_max = 1 << 30,
					      .in_flight_max = 1024,
					      .lane_in_flight_max = 128,
					      .look_ahead_us = 500 * US_PER_MS,
					      .retry = retry_policy_default,
					      .seed = world->seed };

	world->dispatcher = dispatcher_new(&options);
	world->now = (struct instant){ .wall = { INT64_C(1700000000000000) }, .boot = { US_PER_SECOND } };
	world->entries = memory_new((size_t)world->runs_n * sizeof world->entries[0]);
	world->started = memory_new(options.held_max * sizeof world->started[0]);
	world->recorded = memory_new(options.held_max * sizeof world->recorded[0]);
	for (int64_t i = 0; i < world->runs_n; i++) {
		world->entries[i].budget = BUDGET;
		world->entries[i].eligible_at = wall_add_us(world->now.wall, i * 1000);
	}
	step(world, (struct dispatch_event){ .kind = DISPATCH_TICK });
	run_until_over(world);
	if (world->over_n != world->runs_n)
		complain(0, "runs that came to an end", world->over_n, world->runs_n);
	dispatcher_each_run(world->dispatcher, no_run_left, NULL);
	int status = report(world);

	dispatcher_free(world->dispatcher);
	free(world->entries);
	free(world->started);
	free(world->recorded);
	free(world);
	return status;
}
