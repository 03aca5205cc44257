/* SPDX-License-Identifier: BSD-3-Clause */
/* From due to leased: plans occurrences and claims waiting runs, in one transaction (P2).
 *
 * Candidates come as bare keys from two narrow indexes, waiting runs and due schedules, and are merged by instant: the
 * oldest first, whatever it is. Each is then loaded by its key and taken until the room or the memory of the batch is
 * used up. Schedules that run one at a time are due at their instant, not ahead of it (store_queue.c). A due schedule
 * advances with one UPDATE however many occurrences it plans, before its runs are inserted: if the database refuses the
 * advance (P2's constraint), nothing of it was written. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/metrics.h"
#include "core/planner.h"
#include "core/retry.h"
#include "store/internal.h"

/* A batch of unusually large bodies stops here; more is due then. */
enum { CLAIM_BYTES_MAX = 16 * 1024 * 1024 };

#define PUT_OFF_US US_PER_MINUTE

/* --- one run --------------------------------------------------------------------------------------------- */

enum err store_run_insert(struct store *store, const struct store_run_draft *draft, struct wall now)
{
	bool waits = draft->lease == 0;
	enum err err = db_run(store->db, SQL_RUN_INSERT,
			      DB_ARGS(db_int(store->next_run_id), db_blob(draft->uuid, 16), db_int(draft->schedule_id),
				      db_int(draft->definition_id), db_int(draft->kind), db_int(draft->planned_at.us),
				      db_int(now.us), db_int_or_null(!waits, draft->lease),
				      db_int_or_null(waits && !draft->is_queued, now.us), db_int(draft->is_queued),
				      db_int(store->attempts_max)));

	store->next_run_id++;
	return err;
}

enum err store_run_cancel(struct store *store, int64_t run_id, bool was_leased, uint32_t attempts, struct wall now)
{
	enum err err = db_run_one(store->db, SQL_RUN_CANCEL, DB_ARGS(db_int(run_id), db_int(now.us)));

	if (err == ERR_OK && attempts > 0)
		err = store_counter_add(store, "retries", -1);
	if (was_leased)
		store_tell_revoked(store, run_id);
	store->effects.cancelled++;
	return err;
}

/* --- the claim in progress ------------------------------------------------------------------------------- */

struct claim {
	struct store *store;
	const struct store_claim *request;
	struct arena *arena; /* of the batch */
	int64_t lease;
	size_t bytes;
	size_t queued_n; /* planned runs that wait; they take room too, so that one claim's work is bounded */
};

static bool has_room(const struct claim *claim)
{
	return claim->store->claimed_n + claim->queued_n < claim->request->room && claim->bytes < CLAIM_BYTES_MAX;
}

/* A row that cannot be read is its own misfortune: the others are claimed (P14). */
static bool is_damage(const struct claim *claim, enum err err)
{
	return err == ERR_CORRUPT && db_in_transaction(claim->store->db);
}

static void keep(struct claim *claim, const struct run *run)
{
	struct store *store = claim->store;

	if (store->claimed_n == store->claimed_room) {
		store->claimed_room = store->claimed_room ? 2 * store->claimed_room : 64;
		store->claimed = memory_resize(store->claimed, store->claimed_room * sizeof *store->claimed);
	}
	store->claimed[store->claimed_n++] = *run;
	claim->bytes += run->endpoint.n + run->body.n + run->authorization.n + run->signing_secret.n;
}

struct sealed {
	struct str auth_token, signing_secret;
};

/* Fills the headers' secrets. Never sends without one that is set: false when it does not open. */
static bool open_secrets(struct claim *claim, const struct sealed *sealed, const uint8_t owner[16], struct run *run)
{
	struct str token;

	if (!store_unseal(claim->store, claim->arena, owner, "auth_token", sealed->auth_token, &token) ||
	    !store_unseal(claim->store, claim->arena, owner, "signing_secret", sealed->signing_secret,
			  &run->signing_secret))
		return false;
	run->authorization =
		token.p && run->kind == RUN_SCHEDULE ? arena_printf(claim->arena, "Token %.*s", STR_ARG(token)) : token;
	return true;
}

/* --- waiting runs: retries, requeues, released ones ------------------------------------------------------ */

static void read_run(const struct db_cursor *at, struct arena *arena, struct run *run, struct sealed *sealed)
{
	*run = (struct run){
		.schedule_row = db_get_int(at, 1),
		.kind = (enum run_kind)db_get_int(at, 2),
		.planned_at = db_get_wall(at, 3),
		/* A wait after an attempt is a length of time, whatever the wall clock says of the planned instant. */
		.start_at = db_get_wall(at, db_is_null(at, 4) ? 3 : 4),
		.attempts = (uint32_t)db_get_int(at, 5),
		.attempts_budget = (uint32_t)db_get_int(at, 6),
		.was_failed = db_get_bool(at, 7),
		.is_awaited = !db_is_null(at, 14),
		.lane = db_get_int(at, 8),
		.endpoint = db_get_str(at, 9, arena),
		.body = db_get_str(at, 10, arena),
	};
	db_get_bytes(at, 0, run->uuid, sizeof run->uuid);
	db_get_bytes(at, 13, run->schedule_uuid, sizeof run->schedule_uuid);
	*sealed = (struct sealed){ db_get_str(at, 11, arena), db_get_str(at, 12, arena) };
}

static enum err take_waiting(struct claim *claim, int64_t id)
{
	struct store *store = claim->store;
	struct run run;
	struct sealed sealed;
	struct db_cursor row = db_query(store->db, SQL_RUN_LOAD, DB_ARGS(db_int(id)));
	bool found = db_next(&row), must_wait = found && db_get_bool(&row, 14);
	int64_t schedule_id = found ? db_get_int(&row, 1) : 0;

	if (found && !must_wait)
		read_run(&row, claim->arena, &run, &sealed);
	enum err err = db_end(&row);

	if (err != ERR_OK && !is_damage(claim, err))
		return err;
	if (must_wait)
		return store_queue_join(store, schedule_id, id);
	if (!found || run.kind > RUN_METRIC ||
	    !open_secrets(claim, &sealed, run.kind == RUN_SCHEDULE ? run.schedule_uuid : run.uuid, &run)) {
		log_event(LOG_ERROR, "run_put_off", log_int("run", id),
			  log_text("reason", "its definition is missing or damaged, or its secrets do not open"));
		return db_run(store->db, SQL_RUN_PUT_OFF,
			      DB_ARGS(db_int(id), db_int(claim->request->now.us + PUT_OFF_US)));
	}
	run.id = id;
	run.lease = claim->lease;
	keep(claim, &run);
	FAILPOINT("store.claim.waiting");
	return db_run(store->db, SQL_RUN_LEASE, DB_ARGS(db_int(id), db_int(claim->lease)));
}

/* --- due schedules --------------------------------------------------------------------------------------- */

struct due {
	int64_t schedule_id, definition_id;
	uint8_t uuid[16];
	struct wall next_at; /* the true one, if it was put off */
	int64_t triggered;
	bool has_frequency;
	int64_t frequency;
	enum catch_up catch_up;
	enum overlap overlap;
	bool is_open;	/* an earlier run is; told only where `overlap` asks */
	struct run run; /* what all its runs have in common */
	struct sealed sealed;
};

static bool read_due(struct claim *claim, const struct db_cursor *at, struct due *due, struct timing *timing)
{
	struct arena *arena = claim->arena;

	*due = (struct due){
		.next_at = db_get_wall(at, 0),
		.triggered = db_get_count(at, 1),
		.has_frequency = !db_is_null(at, 3),
		.frequency = db_get_count(at, 3),
		.definition_id = db_get_int(at, 9),
		.run = { .kind = RUN_SCHEDULE,
			 .lane = db_get_int(at, 10),
			 .endpoint = db_get_str(at, 11, arena),
			 .body = db_get_str(at, 12, arena) },
		.sealed = { db_get_str(at, 13, arena), db_get_str(at, 14, arena) },
		.catch_up = (enum catch_up)db_get_enum(at, 15, CATCH_UP_NONE, CATCH_UP_LATEST),
		.overlap = (enum overlap)db_get_enum(at, 16, OVERLAP_QUEUE, OVERLAP_ALLOW),
		.is_open = db_get_bool(at, 17),
	};
	due->run.is_awaited = due->overlap != OVERLAP_ALLOW;
	db_get_bytes(at, 2, due->uuid, sizeof due->uuid);
	memcpy(due->run.schedule_uuid, due->uuid, sizeof due->uuid);
	struct store_timing_source source = {
		.uuid = due->uuid,
		.cron = db_get_str(at, 4, NULL),
		.interval = db_get_str(at, 5, NULL),
		.anchor_at = db_get_wall(at, 6),
		.has_once = !db_is_null(at, 7),
		.once_at = db_get_wall(at, 7),
		.timezone = db_get_str(at, 8, NULL),
	};

	return store_timing(claim->store, &source, timing) && open_secrets(claim, &due->sealed, due->uuid, &due->run);
}

/* One range, whatever the number of steps it took. */
struct skipped {
	int64_t n;
	struct wall from, to;
};

struct advance {
	bool has_next;
	struct wall next_at, last_at;
	int64_t runs, planned;
	struct skipped skipped[2]; /* by enum store_skip, in the order of their instants */
	size_t first;		   /* the first of its runs in store->claimed; of those that wait the lease is 0 */
};

static void keep_planned(struct claim *claim, const struct due *due, struct wall planned_at, bool is_queued)
{
	struct run run = due->run;

	run.schedule_row = due->schedule_id;
	run.lease = is_queued ? 0 : claim->lease;
	run.attempts_budget = claim->store->attempts_max;
	run.planned_at = run.start_at = planned_at;
	run_uuid(claim->store->installation, due->uuid, planned_at, run.uuid);
	keep(claim, &run);
}

static void note_skip(struct advance *advance, enum store_skip reason, struct skipped range)
{
	struct skipped *skipped = &advance->skipped[reason];

	if (range.n == 0)
		return;
	if (skipped->n == 0)
		skipped->from = range.from;
	skipped->n += range.n;
	skipped->to = advance->last_at = range.to;
	advance->planned += range.n;
}

static void note_plan(struct claim *claim, const struct due *due, const struct plan *plan, struct advance *advance)
{
	bool is_queued = due->overlap == OVERLAP_QUEUE && (due->is_open || advance->runs > 0);

	note_skip(advance, STORE_SKIP_MISSED,
		  (struct skipped){ (int64_t)plan->skipped_count, plan->skipped_from, plan->skipped_to });
	note_skip(advance, STORE_SKIP_OVERLAP,
		  (struct skipped){ (int64_t)plan->blocked_count, plan->blocked_from, plan->blocked_to });
	if (plan->has_run) {
		advance->last_at = plan->planned_at;
		advance->planned++;
		advance->runs++;
		keep_planned(claim, due, plan->planned_at, is_queued);
	}
	advance->has_next = plan->has_next;
	advance->next_at = plan->next_at;
}

/* Asks the planner until nothing more is due or there is no room; the planner asserts that instants increase. */
static void plan_due(struct claim *claim, const struct due *due, const struct timing *timing, struct advance *advance)
{
	const struct store_claim *request = claim->request;
	struct wall until = due->overlap == OVERLAP_ALLOW ? request->until : request->now;

	*advance = (struct advance){ .has_next = true, .next_at = due->next_at, .first = claim->store->claimed_n };
	while (advance->has_next && advance->next_at.us <= until.us && has_room(claim)) {
		struct plan_input input = {
			.timing = timing,
			.next_at = advance->next_at,
			.until = until,
			.missed_before = request->missed_before,
			.catch_up = due->catch_up,
			.is_blocked = due->overlap == OVERLAP_SKIP && (due->is_open || advance->runs > 0),
			.runs_left = due->has_frequency ? due->frequency - due->triggered - advance->runs : -1,
		};
		struct plan plan = planner_step(&input);

		note_plan(claim, due, &plan, advance);
	}
	if (due->has_frequency && due->triggered + advance->runs >= due->frequency)
		advance->has_next = false;
}

static enum err put_off(struct claim *claim, int64_t schedule_id, const struct due *due, const char *why)
{
	metric_add(METRIC_SCHEDULES_PUT_OFF, 1);
	/* Of a damaged row the id may not be known. */
	log_event(LOG_ERROR, "schedule_put_off", log_uuid("schedule_id", due->uuid),
		  log_int("schedule_row", schedule_id), log_text("reason", why));
	return db_run(claim->store->db, SQL_TIMER_PUT_OFF,
		      DB_ARGS(db_int(schedule_id), db_int(claim->request->now.us + PUT_OFF_US)));
}

static enum err write_advance(struct store *store, int64_t schedule_id, const struct advance *advance)
{
	struct db_value id = db_int(schedule_id), next = db_int_or_null(advance->has_next, advance->next_at.us);

	if (advance->planned == 0)
		return db_run(store->db, SQL_TIMER_SET_NEXT, DB_ARGS(id, next));
	return db_run(store->db, SQL_TIMER_ADVANCE,
		      DB_ARGS(id, next, db_int(advance->last_at.us), db_int(advance->runs), db_int(advance->planned)));
}

static enum err write_skips(struct claim *claim, int64_t schedule_id, const struct advance *advance)
{
	enum err err = ERR_OK;

	for (int reason = STORE_SKIP_MISSED; reason <= STORE_SKIP_OVERLAP && err == ERR_OK; reason++) {
		const struct skipped *skipped = &advance->skipped[reason];

		if (skipped->n == 0)
			continue;
		claim->store->effects.skipped += skipped->n;
		err = db_run(claim->store->db, SQL_SKIP_INSERT,
			     DB_ARGS(db_int(schedule_id), db_int(skipped->from.us), db_int(skipped->to.us),
				     db_int(skipped->n), db_int(reason), db_int(claim->request->now.us)));
		FAILPOINT("store.claim.skipped");
	}
	return err;
}

/* Of what was planned the runs that wait are not given out. */
static enum err let_wait(struct claim *claim, int64_t schedule_id, const struct advance *advance)
{
	struct store *store = claim->store;
	size_t kept = advance->first;

	for (size_t i = advance->first; i < store->claimed_n; i++)
		if (store->claimed[i].lease != 0)
			store->claimed[kept++] = store->claimed[i];

	size_t queued_n = store->claimed_n - kept;

	store->claimed_n = kept;
	claim->queued_n += queued_n;
	if (queued_n == 0)
		return ERR_OK;
	store_queue_note(store, schedule_id);
	FAILPOINT("store.claim.queued");
	return store_queue_advance(store, schedule_id, claim->request->now);
}

static enum err write_planned(struct claim *claim, const struct due *due, const struct advance *advance)
{
	struct store *store = claim->store;

	FAILPOINT("store.claim.planned");
	enum err err = write_advance(store, due->schedule_id, advance);

	FAILPOINT("store.claim.advanced");
	if (is_damage(claim, err)) {
		store->claimed_n = advance->first;
		return put_off(claim, due->schedule_id, due, db_last_error(store->db));
	}
	if (err == ERR_OK)
		err = write_skips(claim, due->schedule_id, advance);
	for (size_t i = advance->first; i < store->claimed_n && err == ERR_OK; i++) {
		struct run *run = &store->claimed[i];
		struct store_run_draft draft = { .uuid = run->uuid,
						 .schedule_id = due->schedule_id,
						 .definition_id = due->definition_id,
						 .planned_at = run->planned_at,
						 .lease = run->lease,
						 .is_queued = run->lease == 0 };

		run->id = store->next_run_id;
		err = store_run_insert(store, &draft, claim->request->now);
		FAILPOINT("store.claim.inserted");
	}
	return err == ERR_OK && due->overlap == OVERLAP_QUEUE ? let_wait(claim, due->schedule_id, advance) : err;
}

static enum err take_due(struct claim *claim, int64_t schedule_id)
{
	struct store *store = claim->store;
	struct due due = { 0 };
	struct timing timing;
	struct advance advance;
	struct db_cursor row = db_query(store->db, SQL_DUE_LOAD, DB_ARGS(db_int(schedule_id)));
	bool usable = db_next(&row) && read_due(claim, &row, &due, &timing);
	enum err err = db_end(&row);

	if (err != ERR_OK && !is_damage(claim, err))
		return err;
	if (!usable || err != ERR_OK)
		return put_off(claim, schedule_id, &due, "its time zone cannot be read, or its row is damaged");
	due.schedule_id = schedule_id;
	plan_due(claim, &due, &timing, &advance);
	err = write_planned(claim, &due, &advance);
	/* Its body was read in vain, which takes memory all the same. */
	if (store->claimed_n == advance.first)
		claim->bytes += due.run.body.n;
	return err;
}

/* --- the verb -------------------------------------------------------------------------------------------- */

static enum err list_keys(struct store *store, enum statement statement, int64_t bound, uint32_t room,
			  struct store_due_key *keys, uint32_t *n)
{
	struct db_cursor row = db_query(store->db, statement, DB_ARGS(db_int(bound), db_int(room)));

	for (*n = 0; *n < room && db_next(&row); (*n)++)
		keys[*n] = (struct store_due_key){ .id = db_get_int(&row, 0), .at = db_get_wall(&row, 1) };
	return db_end(&row);
}

static void make_key_room(struct store *store, size_t n)
{
	if (n <= store->keys_room)
		return;
	store->eligible = memory_resize(store->eligible, n * sizeof *store->eligible);
	store->due = memory_resize(store->due, n * sizeof *store->due);
	store->due_no_ahead = memory_resize(store->due_no_ahead, n * sizeof *store->due_no_ahead);
	store->keys_room = n;
}

static enum err take_of_lane(struct claim *claim, struct claim_batch *batch)
{
	struct store *store = claim->store;
	uint32_t n, i = 0;
	enum err err =
		list_keys(store, SQL_RUNS_PARKED, claim->request->lane, claim->request->room + 1, store->eligible, &n);

	for (; i < n && err == ERR_OK && has_room(claim); i++)
		err = take_waiting(claim, store->eligible[i].id);
	/* Behind those that were put off, or wait for others, there may be more. */
	batch->more = i < n || n > claim->request->room;
	return err;
}

/* One source of candidates: keys in the order of their instants. */
struct source {
	enum statement statement;
	struct wall until;
	struct store_due_key *keys;
	enum err (*take)(struct claim *claim, int64_t id);
	uint32_t n, at;
};

/* The source whose next key is the oldest, the first of several; NULL when all are used up. */
static struct source *oldest_source(struct source *sources, size_t n)
{
	struct source *oldest = NULL;

	for (struct source *source = sources; source < sources + n; source++)
		if (source->at < source->n &&
		    (!oldest || source->keys[source->at].at.us < oldest->keys[oldest->at].at.us))
			oldest = source;
	return oldest;
}

static enum err take_oldest(struct claim *claim, struct claim_batch *batch)
{
	enum { SOURCES_N = 3 };
	struct store *store = claim->store;
	const struct store_claim *request = claim->request;
	struct source *source, sources[SOURCES_N] = {
		{ SQL_RUNS_ELIGIBLE, request->until, store->eligible, take_waiting, 0, 0 },
		{ SQL_TIMERS_DUE, request->until, store->due, take_due, 0, 0 },
		{ SQL_TIMERS_DUE_NO_AHEAD, request->now, store->due_no_ahead, take_due, 0, 0 },
	};
	enum err err = ERR_OK;

	for (size_t i = 0; i < SOURCES_N && err == ERR_OK; i++)
		err = list_keys(store, sources[i].statement, sources[i].until.us, request->room + 1, sources[i].keys,
				&sources[i].n);
	while (err == ERR_OK && has_room(claim) && (source = oldest_source(sources, SOURCES_N)))
		err = source->take(claim, source->keys[source->at++].id);
	/* The last schedule may have had more than there was room for: its next instant tells. */
	batch->more = err == ERR_OK && oldest_source(sources, SOURCES_N);
	return err;
}

static enum err find_next(struct store *store, const struct store_claim *request, struct claim_batch *batch)
{
	struct db_cursor row = db_query(store->db, SQL_NEXT_INSTANTS, DB_NO_ARGS);

	if (db_next(&row)) {
		batch->has_next = !db_is_null(&row, 0);
		batch->next_at = db_get_wall(&row, 0);
		batch->has_no_ahead = !db_is_null(&row, 1);
		batch->no_ahead_at = db_get_wall(&row, 1);
	}
	batch->more |= (batch->has_next && batch->next_at.us <= request->until.us) ||
		       (batch->has_no_ahead && batch->no_ahead_at.us <= request->now.us);
	return db_end(&row);
}

enum err store_claim(struct store *store, const struct store_claim *request, struct claim_batch *batch)
{
	struct claim claim = { .store = store, .request = request, .arena = &batch->arena, .lease = store->next_lease };

	assert(request->room > 0 && request->until.us >= request->now.us);
	*batch = (struct claim_batch){ 0 };
	store->next_lease = store->next_lease == INT64_MAX ? 1 : store->next_lease + 1;
	store->claimed_n = 0;
	make_key_room(store, (size_t)request->room + 1);
	enum err err = store_follow_zones(store, request->now);

	if (err == ERR_OK)
		err = request->of_lane ? take_of_lane(&claim, batch) : take_oldest(&claim, batch);
	FAILPOINT("store.claim.taken");
	if (err == ERR_OK && !request->of_lane)
		err = find_next(store, request, batch);
	if (err != ERR_OK) {
		arena_release(&batch->arena);
		*batch = (struct claim_batch){ 0 };
		return err;
	}
	batch->runs_n = (uint32_t)store->claimed_n;
	if (batch->runs_n > 0) {
		batch->runs = arena_alloc(&batch->arena, batch->runs_n * sizeof *batch->runs);
		memcpy(batch->runs, store->claimed, batch->runs_n * sizeof *batch->runs);
	}
	return ERR_OK;
}

enum err store_set_back(struct store *store, struct wall now, int64_t by_us)
{
	assert(by_us > 0);
	enum err err = db_run(store->db, SQL_RUNS_SET_BACK, DB_ARGS(db_int(now.us), db_int(by_us)));

	if (err == ERR_OK)
		err = db_run(store->db, SQL_TIMERS_SET_BACK, DB_ARGS(db_int(now.us)));
	store_tell_due(store, now);
	return err;
}

enum err store_recover(struct store *store, struct wall now, int64_t *recovered)
{
	enum err err = store_recall_recover(store, now);

	FAILPOINT("store.recover.recalled");
	if (err == ERR_OK)
		err = db_run(store->db, SQL_RUNS_RECOVER, DB_NO_ARGS);
	*recovered = err == ERR_OK ? db_changes(store->db) : 0;
	FAILPOINT("store.recover.released");
	if (err == ERR_OK)
		err = db_run(store->db, SQL_RUNS_SET_BACK,
			     DB_ARGS(db_int(now.us + retry_policy_default.delay_us_max), db_int(WALL_US_MAX)));
	if (err == ERR_OK)
		err = db_run(store->db, SQL_TIMERS_SET_BACK, DB_ARGS(db_int(now.us)));
	if (err == ERR_OK)
		err = store_queue_recover(store, now);
	FAILPOINT("store.recover.queues");
	if (*recovered > 0)
		store_tell_due(store, now);
	return err;
}

enum err store_oldest_due(struct store *store, struct wall now, int64_t *age_us)
{
	struct db_cursor row = db_query(store->db, SQL_NEXT_INSTANTS, DB_NO_ARGS);

	*age_us = 0;
	if (db_next(&row)) {
		for (unsigned i = 0; i < 2; i++)
			if (!db_is_null(&row, i) && now.us - db_get_wall(&row, i).us > *age_us)
				*age_us = now.us - db_get_wall(&row, i).us;
	}
	return db_end(&row);
}
