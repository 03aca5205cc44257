/* SPDX-License-Identifier: BSD-3-Clause */
/* From attempted to recorded: what came of runs, each write conditional on its lease (P3-P5, P12).
 *
 * A record whose lease is not the row's any more writes nothing at all, neither an attempt nor a failed task nor a
 * metric. Counters and metric keys are summed over the call and written once. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "store/internal.h"

enum { ATTEMPTS_KEPT_MAX = 10, KEYS_PER_CALL_MAX = 32, KEY_BYTES_MAX = 128 };

struct recording {
	struct store *store;
	struct wall now;
	int64_t retries, failures, metric_runs; /* by how much the counters move */
	struct {
		char key[KEY_BYTES_MAX];
		int64_t n;
	} keys[KEYS_PER_CALL_MAX];
	size_t keys_n;
};

static void count_key(struct recording *recording, const struct outcome *outcome)
{
	char middle[64], key[KEY_BYTES_MAX];
	size_t i = 0;

	outcome_metric_key(outcome, middle);
	snprintf(key, sizeof key, "scheduler.deliver_task.%s.sum", middle);
	while (i < recording->keys_n && strcmp(recording->keys[i].key, key) != 0)
		i++;
	/* More kinds of status in one call than there is room for: the last entry speaks for all of them. */
	if (i == KEYS_PER_CALL_MAX)
		i--;
	if (i == recording->keys_n) {
		memcpy(recording->keys[i].key, key, sizeof key);
		recording->keys_n++;
	}
	recording->keys[i].n++;
}

/* The row that the lease allows to change; *changed tells whether it did. */
static enum err update_run(struct store *store, const struct store_record *record, struct wall now, bool *changed)
{
	struct db_value id = db_int(record->run_id), lease = db_int(record->lease),
			eligible = db_int(record->eligible_at.us);
	const struct outcome *outcome = record->outcome;
	enum err err = ERR_INVALID;

	switch (record->kind) {
	case STORE_DELIVERED:
	case STORE_FAILED:
		err = db_run(store->db, SQL_RUN_FINISH,
			     DB_ARGS(id, lease, db_int(record->kind == STORE_DELIVERED ? RUN_DELIVERED : RUN_FAILED),
				     db_int(record->attempts), db_int(outcome->started_at.us), db_int(now.us),
				     db_int(outcome->duration_us), db_int(outcome->status)));
		break;
	case STORE_RETRY:
		err = db_run(store->db, SQL_RUN_RETRY,
			     DB_ARGS(id, lease, db_int(record->attempts), db_int(outcome->started_at.us),
				     db_int(now.us), db_int(outcome->duration_us), db_int(outcome->status), eligible));
		break;
	case STORE_RELEASE:
	case STORE_PARK:
		err = store_recall_apply(store, record->run_id, record->lease, now, changed);
		if (err != ERR_OK || *changed)
			return err;
		err = db_run(store->db, SQL_RUN_RELEASE,
			     DB_ARGS(id, lease, eligible, db_int_or_null(record->kind == STORE_PARK, record->lane)));
		break;
	}
	*changed = err == ERR_OK && db_changes(store->db) > 0;
	return err;
}

static enum err insert_attempt(struct store *store, const struct store_record *record)
{
	const struct outcome *outcome = record->outcome;
	enum err err = db_run(store->db, SQL_ATTEMPT_INSERT,
			      DB_ARGS(db_int(record->run_id), db_int(record->attempts), db_int(outcome->started_at.us),
				      db_int(outcome->duration_us), db_int(outcome->class), db_int(outcome->status),
				      db_text(str_from(outcome->detail)), db_blob(outcome->answer, outcome->answer_n)));

	if (err == ERR_OK && record->attempts > ATTEMPTS_KEPT_MAX)
		err = db_run(store->db, SQL_ATTEMPT_DELETE_OLD,
			     DB_ARGS(db_int(record->run_id), db_int((int64_t)record->attempts - ATTEMPTS_KEPT_MAX)));
	return err;
}

/* A requeued run that fails again keeps its failed task, with the new reason. */
static enum err insert_failure(struct recording *recording, const struct store_record *record)
{
	struct store *store = recording->store;
	char reason[300];
	int64_t known = 0;
	enum err err = db_number(store->db, SQL_FAILURE_OF_RUN, DB_ARGS(db_int(record->run_id)), &known);

	if (err != ERR_OK)
		return err;
	recording->failures += known == 0;
	outcome_reason(record->outcome, reason);
	FAILPOINT("store.record.failure");
	return db_run(store->db, SQL_FAILURE_PUT,
		      DB_ARGS(db_int(record->run_id), db_int(record->schedule_row), db_text(str_from(reason))));
}

static enum err follow_up(struct recording *recording, const struct store_record *record)
{
	struct store *store = recording->store;
	bool is_over = record->kind == STORE_DELIVERED || record->kind == STORE_FAILED;
	enum err err = ERR_OK;

	if (!record->outcome) {
		store_tell_due(store, record->eligible_at);
		return ERR_OK;
	}
	recording->retries += (int)(!is_over && record->attempts == 1) - (int)(is_over && record->attempts > 1);
	recording->metric_runs -= is_over && record->run_kind == RUN_METRIC;
	if (is_over && record->run_kind == RUN_SCHEDULE)
		err = store_queue_advance(store, record->schedule_row, recording->now);
	if (err != ERR_OK)
		return err;
	if (record->kind == STORE_DELIVERED) {
		if (record->was_failed) {
			err = db_run(store->db, SQL_FAILURE_DELETE_OF_RUN, DB_ARGS(db_int(record->run_id)));
			FAILPOINT("store.record.redelivered");
			recording->failures -= err == ERR_OK ? db_changes(store->db) : 0;
		}
		return err;
	}
	err = insert_attempt(store, record);
	FAILPOINT("store.record.attempt");
	if (record->run_kind == RUN_SCHEDULE)
		count_key(recording, record->outcome);
	if (record->kind == STORE_RETRY)
		store_tell_due(store, record->eligible_at);
	else if (err == ERR_OK && record->run_kind == RUN_SCHEDULE)
		err = insert_failure(recording, record);
	return err;
}

enum err store_record(struct store *store, struct store_record *records, size_t n, struct wall now)
{
	struct recording recording = { .store = store, .now = now };
	enum err err = ERR_OK;

	for (size_t i = 0; i < n && err == ERR_OK; i++) {
		bool changed = false;

		assert((records[i].outcome != NULL) == (records[i].kind <= STORE_FAILED));
		err = update_run(store, &records[i], now, &changed);
		FAILPOINT("store.record.updated");
		records[i].was_fenced = !changed;
		if (err == ERR_OK && changed)
			err = follow_up(&recording, &records[i]);
	}
	FAILPOINT("store.record.counters");
	if (err == ERR_OK)
		err = store_counter_add(store, "retries", recording.retries);
	if (err == ERR_OK)
		err = store_counter_add(store, "failures", recording.failures);
	if (err == ERR_OK)
		err = store_counter_add(store, "metric_runs", recording.metric_runs);
	for (size_t i = 0; i < recording.keys_n && err == ERR_OK; i++)
		err = store_push_metric(store, recording.keys[i].key, recording.keys[i].n, now);
	return err;
}
