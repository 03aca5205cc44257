/* SPDX-License-Identifier: BSD-3-Clause */
/* One run at a time, for schedules whose `overlap` is skip or queue (P10): who waits, and who is next.
 *
 * A run that waits for an earlier one of its schedule is `queued`: open, and nothing else; no timer looks at it.
 * Invariant: beside a queued run there is an open one of the same schedule that is not queued, so whatever ends that
 * one (recorded, cancelled, deleted) hands on. The door is the claim: a run whose schedule has another one leased is
 * queued instead of leased, wherever it comes from (a retry, a requeue, a restart, an edit of `overlap`).
 *
 * Most schedules have no queue, and the end of a run is the hot path; so a set of bits in memory says which schedules
 * may have one. It only grows: a bit too many costs a statement, and no rollback can take one away. */
#include "store/internal.h"

static uint64_t *word_of(struct store *store, int64_t schedule_id)
{
	return &store->queues[(uint64_t)schedule_id % STORE_QUEUE_BITS / 64];
}

static uint64_t bit_of(int64_t schedule_id)
{
	return UINT64_C(1) << ((uint64_t)schedule_id % 64);
}

void store_queue_note(struct store *store, int64_t schedule_id)
{
	*word_of(store, schedule_id) |= bit_of(schedule_id);
}

enum err store_queue_join(struct store *store, int64_t schedule_id, int64_t run_id)
{
	store_queue_note(store, schedule_id);
	return db_run_one(store->db, SQL_RUN_QUEUE, DB_ARGS(db_int(run_id)));
}

enum err store_queue_advance(struct store *store, int64_t schedule_id, struct wall now)
{
	if (!(*word_of(store, schedule_id) & bit_of(schedule_id)))
		return ERR_OK;
	enum err err = db_run(store->db, SQL_QUEUE_ADVANCE, DB_ARGS(db_int(schedule_id)));

	if (err == ERR_OK && db_changes(store->db) > 0)
		store_tell_due(store, now);
	return err;
}

enum err store_queue_gather(struct store *store, int64_t schedule_id)
{
	enum err err = db_run(store->db, SQL_QUEUE_GATHER, DB_ARGS(db_int(schedule_id)));

	store_queue_note(store, schedule_id);
	for (int64_t id = 0; err == ERR_OK;) {
		struct db_cursor row = db_query(store->db, SQL_QUEUE_LEASED, DB_ARGS(db_int(schedule_id), db_int(id)));
		bool found = db_next(&row);

		id = found ? db_get_int(&row, 0) : 0;
		err = db_end(&row);
		if (!found)
			break;
		if (err == ERR_OK)
			err = store_recall_ask(store, id, STORE_RECALL_QUEUE);
	}
	return err;
}

enum err store_queue_dissolve(struct store *store, int64_t schedule_id, struct wall now)
{
	enum err err = db_run(store->db, SQL_QUEUE_DISSOLVE, DB_ARGS(db_int(schedule_id)));

	if (err == ERR_OK && db_changes(store->db) > 0)
		store_tell_due(store, now);
	return err;
}

/* The next schedule by id that has a queue; 0: there is none. */
static enum err next_schedule(struct store *store, int64_t *schedule_id)
{
	struct db_cursor row = db_query(store->db, SQL_QUEUE_NEXT_SCHEDULE, DB_ARGS(db_int(*schedule_id)));

	*schedule_id = db_next(&row) ? db_get_int(&row, 0) : 0;
	return db_end(&row);
}

enum err store_queue_load(struct store *store)
{
	int64_t schedule_id = 0;
	enum err err = next_schedule(store, &schedule_id);

	while (err == ERR_OK && schedule_id != 0) {
		store_queue_note(store, schedule_id);
		err = next_schedule(store, &schedule_id);
	}
	return err;
}

enum err store_queue_recover(struct store *store, struct wall now)
{
	int64_t schedule_id = 0;
	enum err err = next_schedule(store, &schedule_id);

	while (err == ERR_OK && schedule_id != 0) {
		err = store_queue_advance(store, schedule_id, now);
		if (err == ERR_OK)
			err = next_schedule(store, &schedule_id);
	}
	return err;
}
