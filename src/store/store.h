/* SPDX-License-Identifier: BSD-3-Clause */
/* What the service keeps, in domain verbs; the list of functions reads as the promise (P1-P5, P7, P8, P10, P12,
 * P13).
 *
 * A `struct store` is one connection to the database and its prepared statements; one thread uses it at a time. The
 * writing verbs run inside a transaction that the caller opens: store_begin … verbs … store_commit (store_thread.c
 * groups several jobs so, each in a savepoint). Reading verbs need no transaction. SQLite: exactly one writing
 * connection exists, held by the process that holds the lock; readers are read-only connections.
 *
 * Errors: ERR_NOT_FOUND, ERR_CONFLICT as named at each verb; ERR_UNAVAILABLE (disk full, read-only, busy: nothing was
 * written, may be repeated), ERR_CORRUPT. What a verb returns in views lives in the arena given. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/err.h"
#include "core/outcome.h"
#include "core/run.h"
#include "core/schedule.h"

struct store;

/* --- opening --------------------------------------------------------------------------------------------- */

/* How long history is kept unless the settings say otherwise. */
#define STORE_RETENTION_DAYS 7
#define STORE_RETENTION_FAILED_DAYS 30

struct store_settings {
	struct str url;		/* "sqlite:PATH" */
	struct str key_file;	/* of the key that seals secrets; absent: PATH + ".key", made (mode 0600) with a new
				   database */
	struct str hook_token;	/* HOOK_AUTH_TOKEN; absent: webhooks carry no Authorization */
	struct str metrics_url; /* METRICS_URL; absent: nothing is pushed */
	struct str metrics_authorization; /* "Basic …"; absent: none */
	int64_t interval_us_min; /* smallest interval taken; 0: one second. A schedule with a smaller one runs at this
				  */
	int64_t reserve_bytes;	 /* of room kept on the disk for results, in PATH + ".reserve"; 0: none */
	uint32_t attempts_max;	 /* budget of a new or requeued run; 0: that of retry_policy_default */
	/* How long history is kept: delivered, cancelled, skipped; failed, at least as long. 0: the days above. */
	int64_t retention_us, retention_failed_us;
};

/* Parses the URL alone: the clear error for an unknown scheme or an empty path. `path` is what follows "sqlite:". */
enum err store_url_check(struct str url, struct str *path, struct error *error) MUST_CHECK;
/* Takes the lock (ERR_LOCKED: the text names the holder's pid), creates or migrates the schema, checks integrity and
 * key (ERR_CORRUPT with what to do). */
enum err store_open_writer(const struct store_settings *settings, struct store **store, struct error *error) MUST_CHECK;
/* Read-only; the database must exist. Works beside a writer of any process. */
enum err store_open_reader(const struct store_settings *settings, struct store **store, struct error *error) MUST_CHECK;
void store_close(struct store *store);
/* The pid of the process that holds the writer's lock; 0 when nobody does. */
int store_lock_holder(struct str url);

enum err store_begin(struct store *store, struct error *error) MUST_CHECK;
enum err store_commit(struct store *store,
		      struct error *error) MUST_CHECK; /* on error everything since begin is undone */
void store_rollback(struct store *store);
/* On a reader: what is read until store_read_end is the state of one moment, and is found with one lock instead of one
 * for each statement. Held no longer than a turn of a loop: the log cannot be reset meanwhile. Both may be repeated. */
void store_read_begin(struct store *store);
void store_read_end(struct store *store);
/* One job inside a group: undone alone when it fails, or with its group when its pages were too many for the cache. */
enum err store_savepoint(struct store *store, struct error *error) MUST_CHECK;
enum err store_release(struct store *store, struct error *error) MUST_CHECK;
void store_rollback_to_savepoint(struct store *store);
/* Copies WAL pages back when the log is long; between transactions, bounded work. After a write that found no space it
 * gives up the reserve first. ERR_IO: the disk failed, which is not to be tried again; anything else is, by the next
 * call. */
enum err store_checkpoint(struct store *store);
/* The disk is full and the reserve given up: what can wait is to wait. Between transactions store_room_renew looks, a
 * few times a second at most, whether the reserve can be made anew. */
bool store_room_is_short(const struct store *store);
void store_room_renew(struct store *store);
/* A small write and commit: is the disk there? For /readyz. */
enum err store_probe(struct store *store, struct wall now, struct error *error) MUST_CHECK;
const char *store_library_version(void); /* "3.40.1" */
/* Words about the last verb, if it answered ERR_UNAVAILABLE, ERR_CORRUPT or ERR_IO, for the log; else none, or what a
 * row was damaged by that the verb passed over. Never a secret. */
const char *store_last_error(const struct store *store);

/* --- accounts -------------------------------------------------------------------------------------------- */

enum err store_user_by_token(struct store *store, const uint8_t digest[32], struct arena *arena,
			     struct user *user) MUST_CHECK;
enum err store_user_by_name(struct store *store, struct str username, struct arena *arena,
			    struct user *user) MUST_CHECK;
enum err store_user_get(struct store *store, int64_t id, struct arena *arena, struct user *user) MUST_CHECK;
/* ERR_CONFLICT: the name is taken. `password_hash` may be absent. */
enum err store_user_insert(struct store *store, const struct user *draft, struct wall now, int64_t *id) MUST_CHECK;
enum err store_user_set_password(struct store *store, int64_t id, struct str password_hash) MUST_CHECK;
enum err store_user_set_active(struct store *store, int64_t id, bool is_active) MUST_CHECK;
/* Their tokens go, too; schedules stay, their created_by and updated_by become null; webhooks they made are deleted (as
 * Django's cascade did). */
enum err store_user_delete(struct store *store, int64_t id) MUST_CHECK;
enum err store_group_get(struct store *store, int64_t id, struct arena *arena, struct group *group) MUST_CHECK;
enum err store_group_by_name(struct store *store, struct str name, struct arena *arena, struct group *group) MUST_CHECK;
enum err store_group_insert(struct store *store, struct str name, int64_t *id) MUST_CHECK;   /* ERR_CONFLICT */
enum err store_group_add(struct store *store, int64_t group_id, int64_t user_id) MUST_CHECK; /* repeatable */
enum err store_token_insert(struct store *store, int64_t user_id, const uint8_t digest[32], const char prefix[8],
			    struct wall now) MUST_CHECK;
/* ERR_NOT_FOUND: there is no such token. */
enum err store_token_revoke(struct store *store, int64_t id) MUST_CHECK;

/* --- lists: newest first; on_row returns false to stop --------------------------------------------------- */

struct page {
	uint64_t limit, offset;
	int64_t before_id; /* keyset continuation: only ids below this; 0 = from the newest. With it offset is 0 */
};

typedef bool (*on_schedule)(void *ctx, const struct schedule *schedule);
typedef bool (*on_user)(void *ctx, const struct user *user);
typedef bool (*on_group)(void *ctx, const struct group *group);
typedef bool (*on_token)(void *ctx, const struct token *token);
typedef bool (*on_webhook)(void *ctx, const struct webhook *webhook);
typedef bool (*on_failure)(void *ctx, const struct failure *failure);

enum err store_schedule_list(struct store *store, struct page page, on_schedule on_row, void *ctx) MUST_CHECK;
enum err store_user_list(struct store *store, struct page page, on_user on_row, void *ctx) MUST_CHECK;
enum err store_group_list(struct store *store, struct page page, on_group on_row, void *ctx) MUST_CHECK;
enum err store_token_list(struct store *store, int64_t user_id, on_token on_row,
			  void *ctx) MUST_CHECK; /* user_id 0: everybody's */
enum err store_webhook_list(struct store *store, struct page page, on_webhook on_row, void *ctx) MUST_CHECK;
enum err store_failure_list(struct store *store, struct page page, on_failure on_row, void *ctx) MUST_CHECK;

enum store_counted {
	STORE_SCHEDULES,
	STORE_USERS,
	STORE_GROUPS,
	STORE_WEBHOOKS,
	STORE_FAILURES,
	STORE_SCHEDULES_ENABLED,
	STORE_RETRIES
};
/* O(1) for schedules and failures: kept in the table `counters` by the same transactions that change them. */
enum err store_count(struct store *store, enum store_counted what, int64_t *n) MUST_CHECK;

/* --- schedules ------------------------------------------------------------------------------------------- */

/* Effects of writes that the delivery side must hear of after the commit. Accumulated by the writing verbs, given out
 * by store_thread.c. */
struct store_notice {
	bool has_due;
	struct wall due_at; /* the earliest new due instant */
	/* Ids of leased runs that an edit or delete wants back: those not on the wire are to be released unsent. Owned
	 * by whoever takes the notice; free(). */
	int64_t *revoked;
	size_t revoked_n;
};

/* After a commit and before the next store_begin, which forgets what was not taken. */
void store_take_notice(struct store *store, struct store_notice *notice);

/* `user_id` is the caller. Computes next_at; queues the schedule.added webhooks and the schedules.created.sum metric in
 * the same transaction. */
enum err store_schedule_insert(struct store *store, const struct schedule_definition *definition, int64_t user_id,
			       struct wall now, struct arena *arena, struct schedule *out) MUST_CHECK;
enum err store_schedule_get(struct store *store, const uint8_t uuid[16], struct arena *arena,
			    struct schedule *out) MUST_CHECK;
/* Sets the fields named in `set` (enum schedule_field bits), moves updated_at and updated_by, plans anew (an instant
 * never repeats, P2), and takes back runs recorded but not yet sent: one whose instant is still to come and still on
 * the new timing gets the new definition, any other is cancelled (P13). A leased one gets it when the delivery side
 * releases it; one that is on the wire ends as it would have. Nothing is taken back when nothing changed. When
 * `overlap` ceases to be allow, what is open and not on the wire waits for its turn; when it becomes allow, nothing
 * waits. */
enum err store_schedule_update(struct store *store, const uint8_t uuid[16], unsigned set,
			       const struct schedule_definition *changes, int64_t user_id, struct wall now,
			       struct arena *arena, struct schedule *out) MUST_CHECK;
/* With its failures; all its open runs are cancelled, retries included. */
enum err store_schedule_delete(struct store *store, const uint8_t uuid[16], struct wall now) MUST_CHECK;

/* --- webhooks, failed tasks ------------------------------------------------------------------------------ */

enum err store_webhook_get(struct store *store, int64_t id, struct arena *arena, struct webhook *out) MUST_CHECK;
enum err store_webhook_insert(struct store *store, struct str event, struct str target, int64_t user_id,
			      struct wall now, struct arena *arena, struct webhook *out) MUST_CHECK;
/* An absent event or target stays as it is. */
enum err store_webhook_update(struct store *store, int64_t id, struct str event, struct str target, struct wall now,
			      struct arena *arena, struct webhook *out) MUST_CHECK;
enum err store_webhook_delete(struct store *store, int64_t id) MUST_CHECK;
enum err store_failure_get(struct store *store, int64_t id, struct arena *arena, struct failure *out) MUST_CHECK;
typedef bool (*on_attempt)(void *ctx, const struct attempt *attempt);
/* The last failed attempts of that failed task's run, oldest first. */
enum err store_attempt_list(struct store *store, int64_t failure_id, on_attempt on_row, void *ctx) MUST_CHECK;
/* Opens every failed run anew: same run id and body, the schedule's present endpoint and secrets, a fresh budget of
 * attempts. The failures stay until their redelivery succeeded. Repeatable: a run that is open already is left alone.
 */
enum err store_failures_requeue(struct store *store, struct wall now, int64_t *requeued) MUST_CHECK;

/* --- the engine's verbs ---------------------------------------------------------------------------------- */

struct store_claim {
	struct wall now;
	struct wall until;	   /* now plus look-ahead */
	struct wall missed_before; /* see planner.h */
	uint32_t room;		   /* runs at most */
	bool of_lane;		   /* only parked runs of `lane` */
	int64_t lane;
};

/* Memory of one claim's answer. */
struct claim_batch {
	struct arena arena;
	struct run *runs;
	uint32_t runs_n;
	bool more; /* stopped at `room` (of a lane: more is parked there) */
	bool has_next;
	struct wall next_at; /* when something is due next, if not more */
	bool has_no_ahead;
	struct wall no_ahead_at; /* when something is due next that can only be claimed then, not ahead of it */
};

/* P2: plans due occurrences (core/planner.h) and claims eligible runs (retries, requeues, released ones), oldest first;
 * all of it leased when the transaction commits. A schedule that cannot be planned (its zone file is damaged …) is put
 * off for a minute and logged; the others go on.
 *
 * P10: occurrences of a schedule whose `overlap` is skip or queue are planned at their instant and not ahead of it.
 * While an earlier run of it is open they are recorded as skipped, or as runs that wait and become eligible, the oldest
 * first, when the one before them has ended in whatever way. No second run of such a schedule is leased. */
enum err store_claim(struct store *store, const struct store_claim *claim, struct claim_batch *batch) MUST_CHECK;

enum store_record_kind { STORE_DELIVERED, STORE_RETRY, STORE_FAILED, STORE_RELEASE, STORE_PARK };

/* Same members and meaning as deliver/dispatcher.h's struct run_record. */
struct store_record {
	int64_t run_id, lease, schedule_row, lane;
	enum run_kind run_kind;
	enum store_record_kind kind;
	bool was_failed;
	uint32_t attempts;
	struct wall eligible_at;
	const struct outcome *outcome;
	bool was_fenced; /* out: the lease was not ours any more, nothing was written for this one */
};

/* P3-P5, P12: writes what came of runs, conditional on the lease; a failed attempt gets its row in `attempts`, a final
 * failure its failed task, a success of a requeued run removes it. Pushes the metric keys of failed attempts (counted
 * per key and call) when METRICS_URL is set. */
enum err store_record(struct store *store, struct store_record *records, size_t n, struct wall now) MUST_CHECK;
/* At start, after the lock is ours: every leased or parked run is eligible again, under the same id (P4), as of its own
 * instant, so that occurrences of a schedule keep their order (P10). No wait is longer than the longest retry's, in
 * case the clock was set back meanwhile. */
enum err store_recover(struct store *store, struct wall now, int64_t *recovered) MUST_CHECK;
/* P8: the wall clock was set back by `by_us` (positive) and shows `now`. What waits by it, for another attempt or to be
 * looked at again, becomes eligible that much earlier, so that its wait is as long as it was meant to be; planned
 * instants stay. Told twice, waits end early. */
enum err store_set_back(struct store *store, struct wall now, int64_t by_us) MUST_CHECK;
/* Deletes at most `rows` of history beyond its retention, keeping the sums of P3. *more: call again later. */
enum err store_purge(struct store *store, struct wall now, unsigned rows, bool *more) MUST_CHECK;
/* Age of the oldest instant that is due and neither planned nor leased; 0 when none. */
enum err store_oldest_due(struct store *store, struct wall now, int64_t *age_us) MUST_CHECK;

/* P3's sum and the database's own integrity; for `seed-scheduler check`. Works on a reader. */
struct store_check {
	int64_t planned, delivered, failed, cancelled, skipped, open;
	int64_t schedules, failures;
	bool sum_holds;
	bool integrity_ok;
	char integrity[256]; /* the database's first complaint */
};

enum err store_check(struct store *store, struct store_check *check, struct error *error) MUST_CHECK;

#endif
