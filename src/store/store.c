/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing the store, its transactions, and what they have to tell.
 *
 * A writer holds the lock from before the database is opened until after it is closed, so at most one process writes,
 * and a leased run that is found at start belongs to nobody alive. Effects outside the database (due hints, revoked
 * runs, metrics) are collected by the verbs and given out only after a commit; a rollback forgets them. */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/metrics.h"
#include "core/retry.h"
#include "store/file_lock.h"
#include "store/internal.h"
#include "store/key_file.h"
#include "store/migrate.h"

enum { OPEN_CHECK_PAGES_MAX = 4096 /* larger databases are checked by `seed-scheduler check` alone */ };

static const char key_check_field[] = "key_check";

/* --- opening --------------------------------------------------------------------------------------------- */

enum err store_url_check(struct str url, struct str *path, struct error *error)
{
	struct str scheme = STR("sqlite:");

	if (!str_starts_with(url, scheme))
		return error_set(error, ERR_INVALID,
				 "the database URL '%.*s' is not understood; use sqlite:PATH, for example "
				 "sqlite:/var/lib/seed-scheduler/scheduler.db",
				 STR_ARG(str_slice(url, 0, 200)));
	*path = str_slice(url, scheme.n, url.n);
	if (path->n == 0)
		return error_set(error, ERR_INVALID, "the database URL '%.*s' names no file; use sqlite:PATH",
				 STR_ARG(url));
	if (path->n >= PATH_MAX - 8 || str_find(*path, '\0') < path->n)
		return error_set(error, ERR_INVALID, "the path in the database URL is too long");
	return ERR_OK;
}

static enum err copy_path(struct str url, char path[PATH_MAX], struct error *error)
{
	struct str view = { 0 };
	enum err err = store_url_check(url, &view, error);

	if (err == ERR_OK)
		snprintf(path, PATH_MAX, "%.*s", STR_ARG(view));
	return err;
}

/* The directory of the file, for the owner alone; the ones above it must exist, or the path is a mistake. */
static enum err make_parent(const char *path, struct error *error)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return ERR_OK;
	snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
	if (mkdir(parent, 0700) < 0 && errno != EEXIST)
		return error_set(error, errno == EROFS || errno == ENOSPC ? ERR_UNAVAILABLE : ERR_IO,
				 "cannot make the directory %s: %s; make it, or give another path", parent,
				 strerror(errno));
	return ERR_OK;
}

static struct store *store_new(const struct store_settings *settings, bool is_writer)
{
	struct store *store = memory_new(sizeof *store);

	store->is_writer = is_writer;
	store->lock_fd = -1;
	store->hook_token = arena_copy(&store->arena, settings->hook_token);
	store->metrics_url = arena_copy(&store->arena, settings->metrics_url);
	store->metrics_authorization = arena_copy(&store->arena, settings->metrics_authorization);
	store->interval_us_min = settings->interval_us_min > 0 ? settings->interval_us_min : US_PER_SECOND;
	store->attempts_max = settings->attempts_max ? settings->attempts_max : retry_policy_default.attempts_max;
	store->retention_us = settings->retention_us ? settings->retention_us : STORE_RETENTION_DAYS * US_PER_DAY;
	store->retention_failed_us = settings->retention_failed_us ? settings->retention_failed_us
								   : STORE_RETENTION_FAILED_DAYS * US_PER_DAY;
	assert(store->retention_us <= store->retention_failed_us);
	store->zones = zonefile_cache_new(NULL);
	return store;
}

/* What an earlier process failed to sync may be in the kernel's memory alone, and every later sync would call it
 * written. So nothing is built on the log that is found: its pages are written anew, into the database. A reader may
 * hold up the cutting of the log, never the copying. */
static enum err start_log(struct store *store, const char *path, struct error *error)
{
	enum err err = db_use_log(store->db);

	if (err == ERR_OK) {
		err = db_check_log(store->db);
		if (err != ERR_OK)
			return error_set(error, err,
					 "%s-wal is damaged: %s; restore a backup, or move it away to go on without "
					 "them",
					 path, db_last_error(store->db));
		err = db_checkpoint(store->db, true);
		if (err == ERR_LOCKED)
			err = ERR_OK;
	}
	if (err == ERR_OK)
		return err;
	return error_set(error, err, "cannot write %s: %s", path, db_last_error(store->db));
}

/* A small database is checked whole, a large one only where it is read: an operator waits for a start. */
static enum err check_structure(struct store *store, const char *path, struct error *error)
{
	int64_t pages = 0;
	char complaint[200] = "";
	bool is_ok = true;
	enum err err = db_scalar(store->db, "PRAGMA page_count", &pages);

	if (err == ERR_OK && pages <= OPEN_CHECK_PAGES_MAX)
		err = db_integrity(store->db, true, complaint, sizeof complaint, &is_ok);
	if (err != ERR_OK)
		return error_set(error, err, "cannot read %s: %s", path, db_last_error(store->db));
	if (!is_ok)
		return error_set(error, ERR_CORRUPT,
				 "%s is damaged: %s; restore a backup, or move the file away to start afresh", path,
				 complaint);
	return ERR_OK;
}

static enum err load_meta(struct store *store, const char *name, struct arena *arena, struct str *value)
{
	struct db_cursor cursor = db_query(store->db, SQL_META_GET, DB_ARGS(db_text(str_from(name))));
	bool found = db_next(&cursor);

	if (found)
		*value = db_get_str(&cursor, 0, arena);
	enum err err = db_end(&cursor);

	return err == ERR_OK && !found ? ERR_NOT_FOUND : err;
}

static enum err save_meta(struct store *store, const char *name, struct str value)
{
	return db_run(store->db, SQL_META_SET, DB_ARGS(db_text(str_from(name)), db_blob(value.p, value.n)));
}

static void key_path(const struct store_settings *settings, const char *path, char text[PATH_MAX])
{
	if (settings->key_file.n)
		snprintf(text, PATH_MAX, "%.*s", STR_ARG(settings->key_file));
	else
		snprintf(text, PATH_MAX, "%s.key", path);
}

/* A new database gets its id and a proof of the key. */
static enum err begin_life(struct store *store, const char *path, const char *key_file, struct error *error)
{
	struct arena arena = { 0 };
	enum err err = key_file_load(key_file, store->key, error);

	if (err == ERR_NOT_FOUND)
		err = key_file_make(key_file, store->key, error);
	else if (err == ERR_OK)
		/* A first start that was killed half way leaves this, and so does a key that was put there beforehand.
		 */
		log_event(LOG_WARN, "new_database_with_old_key", log_text("path", path), log_text("key_file", key_file),
			  log_text("remedy",
				   "if there was a database before, stop the service, then correct --database "
				   "or restore the backup: the new one is empty"));
	if (err != ERR_OK)
		return err;
	FAILPOINT("store.open.keyed");
	random_bytes(store->installation, sizeof store->installation);
	struct str id = { (const char *)store->installation, sizeof store->installation };

	err = store_begin(store, error);
	if (err == ERR_OK)
		err = save_meta(store, "installation", id);
	if (err == ERR_OK)
		err = save_meta(store, key_check_field,
				store_seal(store, &arena, store->installation, key_check_field, id));
	if (err == ERR_OK)
		err = store_commit(store, error);
	else
		store_rollback(store);
	arena_release(&arena);
	return err;
}

static enum err resume_life(struct store *store, const char *path, const char *key_file, struct str id,
			    struct error *error)
{
	struct arena arena = { 0 };
	struct str sealed = { 0 }, opened;
	enum err err = ERR_OK;

	memcpy(store->installation, id.p, sizeof store->installation);
	if (!store->is_writer)
		return ERR_OK;
	err = key_file_load(key_file, store->key, error);
	if (err == ERR_NOT_FOUND)
		err = error_set(
			error, ERR_CORRUPT,
			"the key file %s is missing, and %s cannot be read without it; restore it from a backup, "
			"or name it with --key-file",
			key_file, path);
	if (err == ERR_OK)
		err = load_meta(store, key_check_field, &arena, &sealed);
	if (err == ERR_OK && (!store_unseal(store, &arena, store->installation, key_check_field, sealed, &opened) ||
			      !str_equal(opened, id)))
		err = error_set(error, ERR_CORRUPT,
				"the key in %s is not the one that %s was written with; restore the right key file, "
				"or name it with --key-file",
				key_file, path);
	arena_release(&arena);
	return err;
}

static enum err load_identity(struct store *store, const struct store_settings *settings, const char *path,
			      struct error *error)
{
	struct arena arena = { 0 };
	struct str id = { 0 };
	char key_file[PATH_MAX];
	enum err err = load_meta(store, "installation", &arena, &id);

	key_path(settings, path, key_file);
	if (err == ERR_NOT_FOUND && store->is_writer)
		err = begin_life(store, path, key_file, error);
	else if (err == ERR_OK && id.n == sizeof store->installation)
		err = resume_life(store, path, key_file, id, error);
	else
		err = error_set(error, ERR_CORRUPT,
				"%s has no installation id; restore a backup, or move the file away to start afresh",
				path);
	arena_release(&arena);
	return err;
}

/* Ids of runs go up for ever, also over a purge of the newest; leases start at a random place, so that no earlier
 * process's fits. */
static enum err load_ids(struct store *store)
{
	int64_t newest = 0, purged = 0;
	enum err err = db_number(store->db, SQL_RUN_ID_MAX, DB_NO_ARGS, &newest);

	if (err == ERR_OK)
		err = store_counter_get(store, "run_ids", &purged);
	if (err == ERR_OK)
		err = store_queue_load(store);
	store->next_run_id = (newest > purged ? newest : purged) + 1;
	store->next_lease = (int64_t)(((uint64_t)random_u32() >> 1) << 32) + 1;
	return err;
}

static void note_places(struct store *store, const char *path)
{
	char log_path[PATH_MAX];

	file_place_note(&store->places[0], path);
	if ((size_t)snprintf(log_path, sizeof log_path, "%s-wal", path) < sizeof log_path)
		file_place_note(&store->places[1], log_path);
}

static enum err open_at(struct store *store, const struct store_settings *settings, const char *path,
			struct error *error)
{
	struct db_settings db_settings = { .path = path, .read_only = !store->is_writer };
	int64_t version = 0;
	enum err err = db_sqlite_open(&db_settings, &store->db, error);

	if (err == ERR_OK)
		err = migrate_version(store->db, path, &version, error);
	if (err == ERR_OK && store->is_writer)
		err = start_log(store, path, error);
	FAILPOINT("store.open.logging");
	if (err == ERR_OK && store->is_writer)
		err = check_structure(store, path, error);
	if (err == ERR_OK && version < SCHEMA_VERSION) {
		if (!store->is_writer)
			return error_set(error, ERR_UNAVAILABLE,
					 "%s has an older schema; start the service once to bring it up to date", path);
		err = migrate_run(store->db, path, version, SCHEMA_VERSION, error);
	}
	if (err == ERR_OK)
		err = load_identity(store, settings, path, error);
	if (err == ERR_OK && store->is_writer) {
		err = load_ids(store);
		if (err != ERR_OK)
			err = store_explain(store, err, path, error);
		note_places(store, path);
	}
	if (err == ERR_OK && store->is_writer)
		store_room_open(store, path, settings->reserve_bytes);
	return err;
}

enum err store_open_writer(const struct store_settings *settings, struct store **store, struct error *error)
{
	char path[PATH_MAX];
	enum err err = copy_path(settings->url, path, error);

	if (err == ERR_OK)
		err = make_parent(path, error);
	if (err != ERR_OK)
		return err;
	struct store *opened = store_new(settings, true);

	err = file_lock_take(path, &opened->lock_fd, error);
	FAILPOINT("store.open.locked");
	if (err == ERR_OK)
		err = open_at(opened, settings, path, error);
	if (err == ERR_OK)
		*store = opened;
	else
		store_close(opened);
	return err;
}

enum err store_open_reader(const struct store_settings *settings, struct store **store, struct error *error)
{
	char path[PATH_MAX];
	struct stat file;
	enum err err = copy_path(settings->url, path, error);

	if (err != ERR_OK)
		return err;
	if (stat(path, &file) < 0)
		return error_set(error, ERR_UNAVAILABLE, "cannot open %s: %s; start the service once to make it", path,
				 strerror(errno));
	struct store *opened = store_new(settings, false);

	err = open_at(opened, settings, path, error);
	if (err == ERR_OK)
		*store = opened;
	else
		store_close(opened);
	return err;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	db_close(store->db);
	file_lock_drop(store->lock_fd);
	crypto_wipe(store->key, sizeof store->key);
	zonefile_cache_free(store->zones);
	arena_release(&store->arena);
	free(store->revoked);
	free(store->claimed);
	free(store->eligible);
	free(store->due);
	free(store->due_no_ahead);
	free(store);
}

int store_lock_holder(struct str url)
{
	char path[PATH_MAX];

	return copy_path(url, path, NULL) == ERR_OK ? file_lock_holder(path) : 0;
}

const char *store_library_version(void)
{
	return db_sqlite_version();
}

/* --- transactions ---------------------------------------------------------------------------------------- */

enum err store_explain(struct store *store, enum err err, const char *what, struct error *error)
{
	return error_set(error, err, "%s: %s", what, db_last_error(store->db));
}

enum err store_begin(struct store *store, struct error *error)
{
	assert(!db_in_transaction(store->db));
	store->effects = store->effects_at_savepoint = (struct store_effects){ 0 };
	enum err err = db_run(store->db, SQL_BEGIN, DB_NO_ARGS);

	return err == ERR_OK ? err : store_explain(store, err, "cannot begin a transaction", error);
}

/* Whatever fails here fails again in the statement that wants to read. */
void store_read_begin(struct store *store)
{
	if (!db_in_transaction(store->db) && db_run(store->db, SQL_BEGIN_READ, DB_NO_ARGS) != ERR_OK)
		return;
}

void store_read_end(struct store *store)
{
	if (db_in_transaction(store->db) && db_run(store->db, SQL_COMMIT, DB_NO_ARGS) != ERR_OK)
		store_rollback(store);
}

static enum err lost_transaction(struct store *store, struct error *error)
{
	return error_set(error, ERR_UNAVAILABLE, "the database undid the transaction: %s", db_last_error(store->db));
}

/* What is written to a file without a name is gone with the process. */
static enum err check_places(const struct store *store, struct error *error)
{
	for (size_t i = 0; i < sizeof store->places / sizeof store->places[0]; i++)
		if (!file_place_holds(&store->places[i]))
			return error_set(error, ERR_UNAVAILABLE,
					 "%s was removed or replaced while in use; put it back, or copy what is still "
					 "open in /proc/%d/fd before the service is stopped",
					 store->places[i].path, (int)getpid());
	return ERR_OK;
}

enum err store_commit(struct store *store, struct error *error)
{
	if (!db_in_transaction(store->db)) {
		store_rollback(store);
		return lost_transaction(store, error);
	}
	enum err err = check_places(store, error);

	if (err != ERR_OK) {
		store_rollback(store);
		return err;
	}
	err = FAILPOINT_ERROR("store.commit") ? ERR_UNAVAILABLE : db_run(store->db, SQL_COMMIT, DB_NO_ARGS);

	if (err != ERR_OK) {
		error_set(error, err, "cannot commit: %s", db_last_error(store->db));
		store_rollback(store);
		return err;
	}
	metric_add(METRIC_FIRES_CANCELLED, store->effects.cancelled);
	metric_add(METRIC_FIRES_SKIPPED, store->effects.skipped);
	return ERR_OK;
}

void store_rollback(struct store *store)
{
	store->effects = (struct store_effects){ 0 };
	if (!db_in_transaction(store->db))
		return;
	/* A rollback that cannot read the disk has still ended the transaction. */
	enum err err = db_run(store->db, SQL_ROLLBACK, DB_NO_ARGS);

	if (err != ERR_OK)
		log_event(LOG_ERROR, "rollback_failed", log_text("error", db_last_error(store->db)));
}

enum err store_savepoint(struct store *store, struct error *error)
{
	enum err err = db_in_transaction(store->db) ? db_run(store->db, SQL_SAVEPOINT, DB_NO_ARGS)
						    : lost_transaction(store, error);

	store->effects_at_savepoint = store->effects;
	store->spilled_at_savepoint = db_spilled(store->db);
	return err;
}

enum err store_release(struct store *store, struct error *error)
{
	if (!db_in_transaction(store->db))
		return lost_transaction(store, error);
	enum err err = db_run(store->db, SQL_RELEASE, DB_NO_ARGS);

	return err == ERR_OK ? err : store_explain(store, err, "cannot keep a savepoint", error);
}

void store_rollback_to_savepoint(struct store *store)
{
	store->effects = store->effects_at_savepoint;
	if (!db_in_transaction(store->db))
		return;
	/* SQLite (3.40.1 at least) cannot take frames back that are in the log already: it would commit what follows
	 * without valid checksums, and the next recovery would drop that commit and every later one. */
	if (db_spilled(store->db) != store->spilled_at_savepoint) {
		log_event(LOG_WARN, "group_undone", log_text("reason", "a job failed after it had outgrown the cache"));
		store_rollback(store);
		return;
	}
	enum err err = db_run(store->db, SQL_ROLLBACK_TO, DB_NO_ARGS);

	if (err == ERR_OK)
		err = db_run(store->db, SQL_RELEASE, DB_NO_ARGS);
	/* Half a job must not be committed with the others. */
	if (err != ERR_OK)
		store_rollback(store);
}

static enum err probe(struct store *store, struct wall now)
{
	return db_run(store->db, SQL_META_SET, DB_ARGS(db_text(STR("probed_at")), db_int(now.us)));
}

enum err store_probe(struct store *store, struct wall now, struct error *error)
{
	enum err err;

	/* As a job of a group the write is proven by the group's commit. */
	if (db_in_transaction(store->db)) {
		err = probe(store, now);
		return err == ERR_OK ? err : store_explain(store, err, "cannot write to the database", error);
	}
	err = store_begin(store, error);
	if (err != ERR_OK)
		return err;
	err = probe(store, now);
	if (err == ERR_OK)
		return store_commit(store, error);
	store_explain(store, err, "cannot write to the database", error);
	store_rollback(store);
	return err;
}

const char *store_last_error(const struct store *store)
{
	return db_last_error(store->db);
}

/* --- counters and effects -------------------------------------------------------------------------------- */

enum err store_counter_add(struct store *store, const char *name, int64_t n)
{
	return n == 0 ? ERR_OK : db_run_one(store->db, SQL_COUNTER_ADD, DB_ARGS(db_text(str_from(name)), db_int(n)));
}

enum err store_counter_get(struct store *store, const char *name, int64_t *n)
{
	return db_number(store->db, SQL_COUNTER_GET, DB_ARGS(db_text(str_from(name))), n);
}

enum err store_count(struct store *store, enum store_counted what, int64_t *n)
{
	switch (what) {
	case STORE_SCHEDULES:
		return store_counter_get(store, "schedules", n);
	case STORE_SCHEDULES_ENABLED:
		return store_counter_get(store, "schedules_enabled", n);
	case STORE_FAILURES:
		return store_counter_get(store, "failures", n);
	case STORE_RETRIES:
		return store_counter_get(store, "retries", n);
	case STORE_USERS:
		return db_number(store->db, SQL_USER_COUNT, DB_NO_ARGS, n);
	case STORE_GROUPS:
		return db_number(store->db, SQL_GROUP_COUNT, DB_NO_ARGS, n);
	case STORE_WEBHOOKS:
		return db_number(store->db, SQL_WEBHOOK_COUNT, DB_NO_ARGS, n);
	}
	return ERR_INVALID;
}

void store_tell_due(struct store *store, struct wall at)
{
	if (!store->effects.has_due || at.us < store->effects.due_at.us)
		store->effects.due_at = at;
	store->effects.has_due = true;
}

void store_tell_revoked(struct store *store, int64_t run_id)
{
	if (store->effects.revoked_n == store->revoked_room) {
		store->revoked_room = store->revoked_room ? 2 * store->revoked_room : 16;
		store->revoked = memory_resize(store->revoked, store->revoked_room * sizeof *store->revoked);
	}
	store->revoked[store->effects.revoked_n++] = run_id;
}

void store_take_notice(struct store *store, struct store_notice *notice)
{
	const struct store_effects *effects = &store->effects;

	*notice = (struct store_notice){ .has_due = effects->has_due,
					 .due_at = effects->due_at,
					 .revoked_n = effects->revoked_n };
	if (effects->revoked_n) {
		notice->revoked = memory_new(effects->revoked_n * sizeof *notice->revoked);
		memcpy(notice->revoked, store->revoked, effects->revoked_n * sizeof *notice->revoked);
	}
	store->effects = (struct store_effects){ 0 };
}
