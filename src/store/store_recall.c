/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs that an edit wants back from the delivery side (P13).
 *
 * Only the delivery side knows whether a leased run is on the wire. So an edit writes into the row what it wants, in
 * its own transaction, and tells; a run that was not started comes back unsent and gets it here; one on the wire ends
 * as it would have, with the body that it was sent with. */
#include "base/failpoint.h"
#include "store/internal.h"

enum { IDS_PER_ROUND = 64 };

enum err store_recall_ask(struct store *store, int64_t run_id, enum store_recall recall)
{
	store_tell_revoked(store, run_id);
	FAILPOINT("store.recall.asked");
	return db_run_one(store->db, SQL_RUN_RECALL, DB_ARGS(db_int(run_id), db_int(recall)));
}

struct wall store_rearmed(const struct store_schedule_row *row, struct wall now)
{
	return wall_max(now, wall_add_us(row->last_at, 1));
}

/* The run never ran, so it is none of those that `frequency` counts; a schedule that had used them up has one left, and
 * a one-shot is still to be delivered (P7). Who waited for its end is next. */
static enum err uncount(struct store *store, const uint8_t uuid[16], struct wall planned_at, struct wall now)
{
	struct arena arena = { 0 };
	struct store_schedule_row row;
	enum err err = store_schedule_load(store, uuid, &arena, &row);
	struct schedule *schedule = &row.schedule;

	if (err == ERR_OK) {
		schedule->triggered--;
		err = store_queue_advance(store, schedule->row, now);
	}
	if (err == ERR_OK)
		err = db_run(store->db, SQL_TIMER_SET_TRIGGERED,
			     DB_ARGS(db_int(schedule->row), db_int(schedule->triggered)));
	if (err == ERR_OK && schedule->definition.has_once && schedule->definition.once_at.us == planned_at.us) {
		schedule->definition.once_at = store_rearmed(&row, now);
		err = db_run(store->db, SQL_SCHEDULE_SET_ONCE,
			     DB_ARGS(db_int(schedule->row), db_int(schedule->definition.once_at.us)));
	}
	if (err == ERR_OK && schedule->definition.enabled && !schedule->has_next) {
		err = store_plan_next(store, &row, now, &schedule->has_next, &schedule->next_at);
		if (err == ERR_OK && schedule->has_next) {
			err = db_run(store->db, SQL_TIMER_SET_NEXT,
				     DB_ARGS(db_int(schedule->row), db_int(schedule->next_at.us)));
			store_tell_due(store, schedule->next_at);
		}
	}
	arena_release(&arena);
	return err;
}

/* What an edit has made of the schedule of a run that comes back. */
struct present {
	int64_t schedule_id, definition_id;
	enum overlap overlap;
};

/* Where runs may not overlap the run lines up behind older ones that wait (P10). */
static enum err line_up(struct store *store, int64_t run_id, struct present present, struct wall now)
{
	enum err err = store_queue_join(store, present.schedule_id, run_id);

	return err == ERR_OK ? store_queue_advance(store, present.schedule_id, now) : err;
}

static enum err redefine(struct store *store, int64_t run_id, struct present present, struct wall planned_at,
			 struct wall now)
{
	enum err err =
		db_run(store->db, SQL_RUN_REDEFINE,
		       DB_ARGS(db_int(run_id), db_int(present.definition_id), db_int(planned_at.us), db_int(now.us)));

	store_tell_due(store, planned_at);
	return err != ERR_OK || present.overlap == OVERLAP_ALLOW ? err : line_up(store, run_id, present, now);
}

/* What an edit wants of a run, and what it has made of its schedule. */
struct recalled {
	bool is_found;
	enum store_recall recall;
	bool may_be_sent; /* an earlier process had it when it died */
	struct wall planned_at;
	uint8_t uuid[16]; /* of the schedule */
	struct present present;
};

/* `lease`: the one that must still hold the run, or null for whichever. */
static enum err find_recalled(struct store *store, int64_t run_id, struct db_value lease, struct recalled *recalled)
{
	struct db_cursor row = db_query(store->db, SQL_RUN_RECALLED, DB_ARGS(db_int(run_id), lease));

	*recalled = (struct recalled){ .is_found = db_next(&row) };
	if (recalled->is_found) {
		recalled->recall = (enum store_recall)db_get_int(&row, 0);
		recalled->planned_at = db_get_wall(&row, 1);
		recalled->may_be_sent = !db_is_null(&row, 6);
		db_get_bytes(&row, 3, recalled->uuid, sizeof recalled->uuid);
		recalled->present =
			(struct present){ .schedule_id = db_get_int(&row, 4),
					  .definition_id = db_get_int(&row, 2),
					  .overlap = (enum overlap)db_get_enum(&row, 5, OVERLAP_QUEUE, OVERLAP_ALLOW) };
	}
	return db_end(&row);
}

/* Nobody knows whether the run was sent before a process died. A one-shot that is still wanted goes on under its id,
 * with the body it may have been sent with (P4, P7). Anything else is cancelled, and counts as a run. */
static enum err settle(struct store *store, int64_t run_id, const struct recalled *recalled, struct wall now,
		       bool *kept)
{
	struct arena arena = { 0 };
	struct store_schedule_row row = { 0 };
	enum err err = store_schedule_load(store, recalled->uuid, &arena, &row);
	const struct schedule_definition *definition = &row.schedule.definition;

	*kept = definition->enabled && definition->has_once && definition->once_at.us == recalled->planned_at.us;
	if (err == ERR_OK)
		err = *kept ? db_run(store->db, SQL_RUN_RECALL_DROP, DB_ARGS(db_int(run_id)))
			    : store_run_cancel(store, run_id, false, 0, now);
	if (err == ERR_OK)
		err = store_queue_advance(store, row.schedule.row, now);
	arena_release(&arena);
	return err;
}

enum err store_recall_apply(struct store *store, int64_t run_id, int64_t lease, struct wall now, bool *applied)
{
	struct recalled recalled;
	bool kept;
	enum err err = find_recalled(store, run_id, db_int(lease), &recalled);

	*applied = recalled.is_found;
	if (err != ERR_OK || !*applied)
		return err;
	FAILPOINT("store.recall.returned");
	if (recalled.recall == STORE_RECALL_QUEUE) {
		/* An edit may have taken that back, too; then it is released like any other. */
		*applied = recalled.present.overlap != OVERLAP_ALLOW;
		return *applied ? line_up(store, run_id, recalled.present, now) : ERR_OK;
	}
	if (recalled.recall == STORE_RECALL_REDEFINE)
		return redefine(store, run_id, recalled.present, recalled.planned_at, now);
	if (recalled.may_be_sent) {
		err = settle(store, run_id, &recalled, now, &kept);
		*applied = !kept;
		return err;
	}
	err = store_run_cancel(store, run_id, false, 0, now);
	return err == ERR_OK ? uncount(store, recalled.uuid, recalled.planned_at, now) : err;
}

enum err store_recall_recover(struct store *store, struct wall now)
{
	int64_t ids[IDS_PER_ROUND];
	struct recalled recalled;
	enum err err = ERR_OK;
	bool kept;
	size_t n;

	do {
		struct db_cursor row = db_query(store->db, SQL_RUNS_RECALLED, DB_ARGS(db_int(STORE_RECALL_CANCEL)));

		for (n = 0; n < IDS_PER_ROUND && db_next(&row); n++)
			ids[n] = db_get_int(&row, 0);
		err = db_end(&row);
		for (size_t i = 0; i < n && err == ERR_OK; i++) {
			err = find_recalled(store, ids[i], db_null(), &recalled);
			if (err == ERR_OK && recalled.is_found)
				err = settle(store, ids[i], &recalled, now, &kept);
			else if (err == ERR_OK)
				err = store_run_cancel(store, ids[i], false, 0, now);
		}
		FAILPOINT("store.recall.settled");
	} while (n == IDS_PER_ROUND && err == ERR_OK);
	return err;
}
