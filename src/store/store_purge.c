/* SPDX-License-Identifier: BSD-3-Clause */
/* Forgetting history in small steps, without forgetting the sums (P3).
 *
 * A round goes through the runs by id, which is the order they were recorded in, and ends at the first one that was
 * planned too lately to go. Of the failed runs that stay longer a round reads the key and two numbers; so it does of
 * those that were planned in a future that a wrong clock showed, which would else keep all younger ones. Then skipped
 * ranges, then definitions that no run can refer to any more: a definition names the last run that may use it, so it
 * goes when the oldest run left is younger. */
#include "base/failpoint.h"
#include "store/internal.h"

/* Rows looked at for each row that may be deleted: bounds a step over runs that stay. */
enum { LOOKS_PER_ROW = 4 };

struct purge {
	struct store *store;
	struct wall now;
	int64_t rows_left;
	int64_t by_state[4]; /* runs of schedules, deleted */
	int64_t failures;
	bool at_end;
};

/* All that follow were planned after it. */
static bool is_young(const struct purge *purge, struct wall planned_at)
{
	return planned_at.us >= purge->now.us - purge->store->retention_us &&
	       planned_at.us < purge->now.us + US_PER_DAY;
}

static bool is_old(const struct purge *purge, enum run_state state, struct wall changed_at)
{
	const struct store *store = purge->store;
	int64_t kept_us = state == RUN_FAILED ? store->retention_failed_us : store->retention_us;

	return state != RUN_OPEN && changed_at.us < purge->now.us - kept_us;
}

static enum err delete_run(struct purge *purge, int64_t id, enum run_state state, enum run_kind kind)
{
	struct db *db = purge->store->db;
	enum err err = db_run(db, SQL_RUN_DELETE, DB_ARGS(db_int(id)));

	FAILPOINT("store.purge.run");
	if (err == ERR_OK)
		err = db_run(db, SQL_ATTEMPT_DELETE_OF_RUN, DB_ARGS(db_int(id)));
	if (err == ERR_OK && state == RUN_FAILED) {
		err = db_run(db, SQL_FAILURE_DELETE_OF_RUN, DB_ARGS(db_int(id)));
		purge->failures += err == ERR_OK ? db_changes(db) : 0;
	}
	purge->by_state[state] += kind == RUN_SCHEDULE;
	purge->rows_left--;
	return err;
}

static enum err purge_runs(struct purge *purge)
{
	struct store *store = purge->store;
	int64_t newest_deleted = 0;
	enum err err = ERR_OK;

	for (int64_t looks = purge->rows_left * LOOKS_PER_ROW; err == ERR_OK && looks > 0 && purge->rows_left > 0;
	     looks--) {
		struct db_cursor row = db_query(store->db, SQL_RUN_AFTER, DB_ARGS(db_int(store->purge_at)));
		bool found = db_next(&row);
		int64_t id = found ? db_get_int(&row, 0) : 0;
		enum run_state state = found ? (enum run_state)db_get_enum(&row, 1, RUN_CANCELLED, RUN_OPEN) : RUN_OPEN;
		enum run_kind kind =
			found ? (enum run_kind)db_get_enum(&row, 2, RUN_METRIC, RUN_SCHEDULE) : RUN_SCHEDULE;
		struct wall changed_at = found ? db_get_wall(&row, 3) : (struct wall){ 0 };
		struct wall planned_at = found ? db_get_wall(&row, 4) : (struct wall){ 0 };

		err = db_end(&row);
		if (err != ERR_OK)
			break;
		if (!found || is_young(purge, planned_at)) {
			purge->at_end = true;
			break;
		}
		store->purge_at = id;
		if (!is_old(purge, state, changed_at))
			continue;
		err = delete_run(purge, id, state, kind);
		newest_deleted = id;
	}
	if (err == ERR_OK && newest_deleted > 0)
		err = db_run(store->db, SQL_COUNTER_RAISE, DB_ARGS(db_text(STR("run_ids")), db_int(newest_deleted)));
	return err;
}

static enum err keep_sums(struct purge *purge)
{
	static const char *const names[4] = { NULL, "purged_delivered", "purged_failed", "purged_cancelled" };
	enum err err = store_counter_add(purge->store, "failures", -purge->failures);

	for (int state = RUN_DELIVERED; state <= RUN_CANCELLED && err == ERR_OK; state++)
		err = store_counter_add(purge->store, names[state], purge->by_state[state]);
	return err;
}

static enum err purge_skips(struct purge *purge)
{
	struct db *db = purge->store->db;
	int64_t before_us = purge->now.us - purge->store->retention_us, count = 0, up_to = 0;
	struct db_cursor row = db_query(db, SQL_SKIPS_OLD, DB_ARGS(db_int(before_us), db_int(purge->rows_left)));

	if (db_next(&row)) {
		up_to = db_get_int(&row, 0);
		count = db_get_count(&row, 1);
	}
	enum err err = db_end(&row);

	if (err != ERR_OK || up_to == 0)
		return err;
	err = db_run(db, SQL_SKIPS_DELETE, DB_ARGS(db_int(up_to), db_int(before_us)));
	if (err == ERR_OK) {
		purge->rows_left -= db_changes(db);
		err = store_counter_add(purge->store, "purged_skipped", count);
	}
	return err;
}

static enum err purge_definitions(struct purge *purge)
{
	struct store *store = purge->store;
	int64_t oldest = 0;
	enum err err = db_number(store->db, SQL_RUN_ID_MIN, DB_NO_ARGS, &oldest);

	if (err == ERR_OK)
		err = db_run(store->db, SQL_DEFINITION_DELETE_UNUSED,
			     DB_ARGS(db_int(oldest ? oldest : store->next_run_id), db_int(purge->rows_left)));
	if (err == ERR_OK)
		purge->rows_left -= db_changes(store->db);
	return err;
}

enum err store_purge(struct store *store, struct wall now, unsigned rows, bool *more)
{
	struct purge purge = { .store = store, .now = now, .rows_left = rows };
	enum err err = purge_runs(&purge);

	FAILPOINT("store.purge.runs");
	if (err == ERR_OK)
		err = keep_sums(&purge);
	FAILPOINT("store.purge.sums");
	if (err == ERR_OK && purge.rows_left > 0)
		err = purge_skips(&purge);
	if (err == ERR_OK && purge.rows_left > 0)
		err = purge_definitions(&purge);
	FAILPOINT("store.purge.definitions");
	/* A round that has reached the young ones is over; the next starts at the oldest again. */
	if (purge.at_end)
		store->purge_at = 0;
	*more = err == ERR_OK && (!purge.at_end || purge.rows_left <= 0);
	return err;
}
