/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the store share: the store itself, and the few helpers that more than one of them needs. Not for
 * anybody else. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "base/crypto.h"
#include "core/timing.h"
#include "store/db.h"
#include "store/file_place.h"
#include "store/reserve.h"
#include "store/store.h"
#include "store/zonefile.h"

/* Earlier than every instant: the last_at of a schedule that has not planned anything. */
#define STORE_NEVER_US (WALL_US_MIN - 1)

/* Schedules whose ids are the same modulo this share a bit. */
#define STORE_QUEUE_BITS 65536

/* What the verbs have to tell once their transaction is on disk; a savepoint remembers how far it had come. */
struct store_effects {
	bool has_due;
	struct wall due_at;
	size_t revoked_n;
	int64_t cancelled, skipped;
};

struct store_due_key {
	int64_t id;
	struct wall at;
};

struct store {
	struct db *db;
	bool is_writer;
	int lock_fd;		     /* -1: none */
	struct file_place places[2]; /* of a writer: the database and its log */
	struct reserve reserve;	     /* of a writer */
	struct boot room_looked_at;  /* while the reserve is spent */
	struct arena arena;	     /* of the settings below */
	struct str hook_token, metrics_url, metrics_authorization;
	int64_t interval_us_min;
	uint32_t attempts_max;
	int64_t retention_us, retention_failed_us;
	uint8_t key[SEAL_KEY_BYTES];
	uint8_t installation[16];
	struct zonefile_cache *zones;
	struct wall zones_checked_at;
	int64_t next_run_id;
	int64_t next_lease;
	uint64_t queues[STORE_QUEUE_BITS / 64]; /* see store_queue.c */
	int64_t purge_at;			/* the run id up to which the present round of purging has come */

	struct store_effects effects, effects_at_savepoint;
	unsigned spilled_at_savepoint; /* see db_spilled */
	int64_t *revoked; /* owned; effects.revoked_n are filled */
	size_t revoked_room;

	/* Scratch of store_claim, kept from call to call. */
	struct run *claimed;
	size_t claimed_n, claimed_room;
	struct store_due_key *eligible, *due, *due_no_ahead;
	size_t keys_room;
};

/* A page as arguments of a list statement. */
struct store_page {
	struct db_value below, limit, offset;
};

static inline struct store_page store_page(struct page page)
{
	return (struct store_page){
		.below = db_int(page.before_id > 0 ? page.before_id : INT64_MAX),
		.limit = db_int(page.limit > INT64_MAX ? INT64_MAX : (int64_t)page.limit),
		.offset = db_int(page.before_id > 0	   ? 0
				 : page.offset > INT64_MAX ? INT64_MAX
							   : (int64_t)page.offset),
	};
}

/* --- store.c --------------------------------------------------------------------------------------------- */

enum err store_counter_add(struct store *store, const char *name, int64_t n) MUST_CHECK;
enum err store_counter_get(struct store *store, const char *name, int64_t *n) MUST_CHECK;
void store_tell_due(struct store *store, struct wall at);
void store_tell_revoked(struct store *store, int64_t run_id);
/* "what failed: why; what to do" into *error. */
enum err store_explain(struct store *store, enum err err, const char *what, struct error *error);

/* --- store_room.c ---------------------------------------------------------------------------------------- */

/* For a writer whose places are noted. */
void store_room_open(struct store *store, const char *path, int64_t reserve_bytes);

/* --- store_secrets.c ------------------------------------------------------------------------------------- */

/* `owner`: the schedule's id, or the run's for webhooks and metrics; `field`: "auth_token". Absent stays absent. */
struct str store_seal(const struct store *store, struct arena *arena, const uint8_t owner[16], const char *field,
		      struct str secret);
bool store_unseal(const struct store *store, struct arena *arena, const uint8_t owner[16], const char *field,
		  struct str sealed, struct str *secret);

/* --- store_timing.c -------------------------------------------------------------------------------------- */

struct store_timing_source {
	const uint8_t *uuid;
	struct str cron, interval, timezone;
	struct wall anchor_at;
	bool has_once;
	struct wall once_at;
};

/* False: it cannot be computed: its zone cannot be read, or its text was damaged. */
bool store_timing(struct store *store, const struct store_timing_source *source, struct timing *timing) MUST_CHECK;
/* Puts the digest of the zone's file on record when a schedule begins to use it. */
enum err store_note_zone(struct store *store, struct str name) MUST_CHECK;
/* Plans anew what depends on zone files that have changed since they were last used (P9); looks at most once a minute.
 */
enum err store_follow_zones(struct store *store, struct wall now) MUST_CHECK;

/* --- store_schedules.c ----------------------------------------------------------------------------------- */

/* A schedule as the database has it; `schedule.definition` holds the stored once_at, fired or not. */
struct store_schedule_row {
	struct schedule schedule;
	int64_t definition_id, lane;
	struct wall anchor_at, last_at;
	struct str auth_token, signing_secret; /* sealed; absent: none */
};

static inline bool store_is_set(struct str text)
{
	return text.n > 0;
}

/* Blank is the same as absent. */
static inline struct str store_some(struct str text)
{
	return store_is_set(text) ? text : (struct str){ 0 };
}

enum err store_schedule_load(struct store *store, const uint8_t uuid[16], struct arena *arena,
			     struct store_schedule_row *row) MUST_CHECK;
/* Views are borrowed from the row when `arena` is NULL. */
void store_schedule_read(const struct db_cursor *cursor, struct arena *arena, struct store_schedule_row *row);
/* What a reader sees: a one-shot that has fired is none any more. */
struct schedule store_schedule_shown(const struct store_schedule_row *row);
struct store_timing_source store_timing_source(const struct store_schedule_row *row);
int64_t store_lane(struct str endpoint);
/* The next instant as of `now`, from the definition alone; false: there is none. ERR_INVALID: cannot be computed. */
enum err store_plan_next(struct store *store, const struct store_schedule_row *row, struct wall now, bool *has_next,
			 struct wall *next_at) MUST_CHECK;

struct store_definition_draft {
	const uint8_t *owner; /* see store_seal */
	struct str endpoint, payload;
	struct str auth_token, signing_secret; /* in the clear; blank or absent: none */
	int64_t used_by_run; /* the last run that will ever use it; 0: a schedule's present definition */
};

enum err store_definition_insert(struct store *store, const struct store_definition_draft *draft,
				 int64_t *id) MUST_CHECK;

/* --- store_push.c ---------------------------------------------------------------------------------------- */

/* Queues schedule.added for every webhook of that event. */
enum err store_push_added(struct store *store, const struct schedule *schedule, struct wall now) MUST_CHECK;
/* Queues a metric for METRICS_URL, if there is one. */
enum err store_push_metric(struct store *store, const char *key, int64_t value, struct wall now) MUST_CHECK;

/* --- store_queue.c --------------------------------------------------------------------------------------- */

/* A run of this schedule is queued, or is about to be. */
void store_queue_note(struct store *store, int64_t schedule_id);
/* The open run waits from now on for the others of its schedule. */
enum err store_queue_join(struct store *store, int64_t schedule_id, int64_t run_id) MUST_CHECK;
/* To be called whenever a run of the schedule has ended: the oldest queued one becomes eligible, if no open one is left
 * that is not queued. Costs nothing where nothing was ever queued. */
enum err store_queue_advance(struct store *store, int64_t schedule_id, struct wall now) MUST_CHECK;
/* `overlap` is not allow any more: what is open and not leased waits, and what is leased is asked for, to wait if it is
 * not on the wire. Advance afterwards. */
enum err store_queue_gather(struct store *store, int64_t schedule_id) MUST_CHECK;
/* `overlap` is allow from now on: nothing waits. */
enum err store_queue_dissolve(struct store *store, int64_t schedule_id, struct wall now) MUST_CHECK;
/* At opening: which schedules have a queue. */
enum err store_queue_load(struct store *store) MUST_CHECK;
/* At start: every queue advances. */
enum err store_queue_recover(struct store *store, struct wall now) MUST_CHECK;

/* --- store_recall.c -------------------------------------------------------------------------------------- */

/* Stored in runs.recall. */
enum store_recall { STORE_RECALL_CANCEL = 1, STORE_RECALL_REDEFINE = 2, STORE_RECALL_QUEUE = 3 };

/* When a one-shot fires whose own instant may not be planned again: at once, after everything planned before (P2). */
struct wall store_rearmed(const struct store_schedule_row *row, struct wall now);

/* Asks the delivery side for a leased run back. */
enum err store_recall_ask(struct store *store, int64_t run_id, enum store_recall recall) MUST_CHECK;
/* The delivery side gives the run back unsent: does what was asked for. *applied is false when nothing was, or when the
 * lease is another one. */
enum err store_recall_apply(struct store *store, int64_t run_id, int64_t lease, struct wall now,
			    bool *applied) MUST_CHECK;
/* At start: who held these runs is gone, and they may have been sent. See store_recall.c. */
enum err store_recall_recover(struct store *store, struct wall now) MUST_CHECK;

/* --- store_runs.c ---------------------------------------------------------------------------------------- */

struct store_run_draft {
	const uint8_t *uuid;
	int64_t schedule_id, definition_id;
	enum run_kind kind;
	struct wall planned_at;
	int64_t lease;	/* 0: waits, eligible at once unless queued */
	bool is_queued; /* behind an earlier run of its schedule */
};

/* Stored in skips.reason. */
enum store_skip { STORE_SKIP_MISSED = 0, STORE_SKIP_OVERLAP = 1 };

enum err store_run_insert(struct store *store, const struct store_run_draft *draft, struct wall now) MUST_CHECK;
/* Ends an open run unsent or before its next attempt; tells the delivery side when it was leased. */
enum err store_run_cancel(struct store *store, int64_t run_id, bool was_leased, uint32_t attempts,
			  struct wall now) MUST_CHECK;

#endif
