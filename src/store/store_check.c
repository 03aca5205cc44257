/* SPDX-License-Identifier: BSD-3-Clause */
/* The proof that nothing vanished (P3), and that the database is whole.
 *
 * Everything is recounted from the rows in one snapshot: the counters that make counts cheap are compared, not
 * believed. */
#include <stdio.h>

#include "store/internal.h"

static enum err count(struct store *store, enum statement statement, int64_t *n)
{
	return db_number(store->db, statement, DB_NO_ARGS, n);
}

static enum err add_counter(struct store *store, const char *name, int64_t *n)
{
	int64_t value = 0;
	enum err err = store_counter_get(store, name, &value);

	*n += value;
	return err;
}

static enum err count_runs(struct store *store, struct store_check *check)
{
	int64_t *const by_state[] = { &check->open, &check->delivered, &check->failed, &check->cancelled };
	struct db_cursor row = db_query(store->db, SQL_CHECK_RUNS, DB_NO_ARGS);

	while (db_next(&row)) {
		int64_t state = db_get_int(&row, 0);

		if (state >= RUN_OPEN && state <= RUN_CANCELLED)
			*by_state[state] = db_get_count(&row, 1);
	}
	return db_end(&row);
}

static enum err sum_up(struct store *store, struct store_check *check)
{
	const struct {
		const char *counter;
		int64_t *sum;
	} kept[] = {
		{ "deleted_planned", &check->planned }, { "purged_delivered", &check->delivered },
		{ "purged_failed", &check->failed },	{ "purged_cancelled", &check->cancelled },
		{ "purged_skipped", &check->skipped },
	};
	enum err err = count_runs(store, check);

	if (err == ERR_OK)
		err = count(store, SQL_CHECK_PLANNED, &check->planned);
	if (err == ERR_OK)
		err = count(store, SQL_CHECK_SKIPPED, &check->skipped);
	for (size_t i = 0; i < sizeof kept / sizeof kept[0] && err == ERR_OK; i++)
		err = add_counter(store, kept[i].counter, kept[i].sum);
	check->sum_holds =
		check->planned == check->delivered + check->failed + check->cancelled + check->skipped + check->open;
	return err;
}

/* The first counter that is not what the rows say becomes the complaint. */
static enum err compare_counters(struct store *store, struct store_check *check)
{
	static const struct {
		const char *name;
		enum statement statement;
	} counters[] = {
		{ "schedules", SQL_CHECK_SCHEDULES },	  { "schedules_enabled", SQL_CHECK_ENABLED },
		{ "failures", SQL_CHECK_FAILURES },	  { "retries", SQL_CHECK_RETRIES },
		{ "metric_runs", SQL_CHECK_METRIC_RUNS },
	};
	enum err err = ERR_OK;

	for (size_t i = 0; i < sizeof counters / sizeof counters[0] && err == ERR_OK; i++) {
		int64_t counted = 0, kept = 0;

		err = count(store, counters[i].statement, &counted);
		if (err == ERR_OK)
			err = store_counter_get(store, counters[i].name, &kept);
		if (err == ERR_OK && counted != kept && check->integrity_ok) {
			check->integrity_ok = false;
			snprintf(check->integrity, sizeof check->integrity, "counter %s is %lld, counted %lld",
				 counters[i].name, (long long)kept, (long long)counted);
		}
	}
	if (err == ERR_OK)
		err = count(store, SQL_CHECK_SCHEDULES, &check->schedules);
	if (err == ERR_OK)
		err = count(store, SQL_CHECK_FAILURES, &check->failures);
	return err;
}

static enum err count_orphans(struct store *store, struct store_check *check)
{
	int64_t orphans = 0, stuck = 0;
	enum err err = count(store, SQL_CHECK_ORPHANS, &orphans);

	if (err == ERR_OK)
		err = count(store, SQL_CHECK_STUCK, &stuck);
	if (err == ERR_OK && stuck > 0 && check->integrity_ok) {
		check->integrity_ok = false;
		snprintf(check->integrity, sizeof check->integrity, "%lld open runs wait for nothing",
			 (long long)stuck);
	}

	if (err == ERR_OK && orphans > 0 && check->integrity_ok) {
		check->integrity_ok = false;
		snprintf(check->integrity, sizeof check->integrity,
			 "%lld rows refer to a definition, schedule or run that is not there", (long long)orphans);
	}
	return err;
}

enum err store_check(struct store *store, struct store_check *check, struct error *error)
{
	bool own = !db_in_transaction(store->db);
	enum err err = own ? db_run(store->db, SQL_BEGIN_READ, DB_NO_ARGS) : ERR_OK;

	*check = (struct store_check){ 0 };
	if (err == ERR_OK)
		err = db_integrity(store->db, false, check->integrity, sizeof check->integrity, &check->integrity_ok);
	/* Counting in a damaged file shows nothing. */
	if (err == ERR_OK && check->integrity_ok)
		err = sum_up(store, check);
	if (err == ERR_OK && check->integrity_ok)
		err = compare_counters(store, check);
	if (err == ERR_OK && check->integrity_ok)
		err = count_orphans(store, check);
	if (err != ERR_OK)
		store_explain(store, err, "cannot check the database", error);
	if (own && db_in_transaction(store->db)) {
		enum err ended = db_run(store->db, SQL_ROLLBACK, DB_NO_ARGS);

		if (err == ERR_OK && ended != ERR_OK)
			err = store_explain(store, ended, "cannot end the check", error);
	}
	return err;
}
