/* SPDX-License-Identifier: BSD-3-Clause */
/* Failed tasks: reading them, and opening their runs anew (P12).
 *
 * A requeued run keeps its id and its body; its endpoint and secrets are the schedule's present ones. The failed task
 * stays until the redelivery succeeded, so a second requeue finds the run open and leaves it alone. */
#include "base/failpoint.h"
#include "store/internal.h"

static void read_failure(const struct db_cursor *row, struct arena *arena, struct failure *failure)
{
	*failure = (struct failure){ .id = db_get_int(row, 0),
				     .initiated_at = db_get_wall(row, 3),
				     .reason = db_get_str(row, 4, arena) };
	db_get_bytes(row, 1, failure->schedule_uuid, sizeof failure->schedule_uuid);
	db_get_bytes(row, 2, failure->run_uuid, sizeof failure->run_uuid);
}

enum err store_failure_get(struct store *store, int64_t id, struct arena *arena, struct failure *out)
{
	struct db_cursor row = db_query(store->db, SQL_FAILURE_GET, DB_ARGS(db_int(id)));
	bool found = db_next(&row);

	if (found)
		read_failure(&row, arena, out);
	enum err err = db_end(&row);

	return err == ERR_OK && !found ? ERR_NOT_FOUND : err;
}

enum err store_failure_list(struct store *store, struct page page, on_failure on_row, void *ctx)
{
	struct store_page at = store_page(page);
	struct db_cursor row = db_query(store->db, SQL_FAILURE_LIST, DB_ARGS(at.below, at.limit, at.offset));
	bool more = true;

	while (more && db_next(&row)) {
		struct failure failure;

		read_failure(&row, NULL, &failure);
		more = on_row(ctx, &failure);
	}
	return db_end(&row);
}

enum err store_attempt_list(struct store *store, int64_t failure_id, on_attempt on_row, void *ctx)
{
	struct db_cursor row = db_query(store->db, SQL_ATTEMPTS_OF_FAILURE, DB_ARGS(db_int(failure_id)));
	bool more = true;

	while (more && db_next(&row)) {
		struct attempt attempt = { .number = (uint32_t)db_get_int(&row, 0),
					   .started_at = db_get_wall(&row, 1),
					   .duration_us = db_get_int(&row, 2),
					   .class = (enum outcome_class)db_get_enum(&row, 3, OUTCOME_CLASSES_N - 1,
										    OUTCOME_INTERNAL),
					   .status = (uint16_t)db_get_int(&row, 4),
					   .answer = db_get_str(&row, 5, NULL) };

		more = on_row(ctx, &attempt);
	}
	return db_end(&row);
}

/* --- requeue --------------------------------------------------------------------------------------------- */

struct requeue {
	struct store *store;
	struct wall now;
	int64_t schedule_id, failure_id; /* how far it has come */
	int64_t run_id, attempts, old_definition, present_definition;
	bool is_serial; /* of the schedule: one run at a time (P10) */
	/* The pair that was resolved last: runs of one schedule and one snapshot come together. */
	int64_t known_old, known_present, known_result;
};

/* The definition with the old body and the present endpoint and secrets: the present one itself when the body is the
 * same. */
static enum err resolve(struct requeue *requeue, int64_t *result)
{
	struct db *db = requeue->store->db;
	int64_t is_same = 0;
	struct db_value old = db_int(requeue->old_definition), present = db_int(requeue->present_definition);

	if (requeue->old_definition == requeue->known_old && requeue->present_definition == requeue->known_present) {
		*result = requeue->known_result;
		return ERR_OK;
	}
	enum err err = db_number(db, SQL_DEFINITION_SAME_BODY, DB_ARGS(old, present), &is_same);

	*result = requeue->present_definition;
	if (err == ERR_OK && !is_same) {
		err = db_run(db, SQL_DEFINITION_MIX, DB_ARGS(old, present, db_int(requeue->store->next_run_id - 1)));
		*result = db_last_id(db);
	}
	requeue->known_old = requeue->old_definition;
	requeue->known_present = requeue->present_definition;
	requeue->known_result = *result;
	return err;
}

static enum err open_anew(struct requeue *requeue)
{
	int64_t definition = 0;
	enum err err = resolve(requeue, &definition);

	if (err != ERR_OK)
		return err;
	return db_run(requeue->store->db, SQL_RUN_REOPEN,
		      DB_ARGS(db_int(requeue->run_id), db_int(definition),
			      db_int(requeue->attempts + requeue->store->attempts_max), db_int(requeue->now.us),
			      db_int(requeue->is_serial)));
}

/* The next failed task, by schedule and id, whose run is over; false when there is none. */
static bool next_failed(struct requeue *requeue, enum err *err)
{
	struct db_cursor row = db_query(requeue->store->db, SQL_FAILURE_NEXT_CLOSED,
					DB_ARGS(db_int(requeue->schedule_id), db_int(requeue->failure_id)));
	bool found = db_next(&row);

	if (found) {
		requeue->schedule_id = db_get_int(&row, 0);
		requeue->failure_id = db_get_int(&row, 1);
		requeue->run_id = db_get_int(&row, 2);
		requeue->attempts = db_get_count(&row, 3);
		requeue->old_definition = db_get_int(&row, 4);
		requeue->present_definition = db_get_int(&row, 5);
		requeue->is_serial = db_get_int(&row, 6) != OVERLAP_ALLOW;
	}
	*err = db_end(&row);
	return found && *err == ERR_OK;
}

enum err store_failures_requeue(struct store *store, struct wall now, int64_t *requeued)
{
	struct requeue requeue = { .store = store, .now = now };
	enum err err = ERR_OK;
	int64_t queue_of = 0; /* a schedule whose runs were queued; its oldest goes first when all are */

	for (*requeued = 0; err == ERR_OK && next_failed(&requeue, &err); (*requeued)++) {
		err = open_anew(&requeue);
		FAILPOINT("store.requeue.reopened");
		if (err == ERR_OK && queue_of != requeue.schedule_id)
			err = store_queue_advance(store, queue_of, now);
		queue_of = requeue.schedule_id;
		if (requeue.is_serial)
			store_queue_note(store, queue_of);
	}
	if (err == ERR_OK)
		err = store_queue_advance(store, queue_of, now);
	if (err == ERR_OK)
		err = store_counter_add(store, "retries", *requeued);
	FAILPOINT("store.requeue.counted");
	if (err == ERR_OK && *requeued > 0)
		store_tell_due(store, now);
	return err;
}
