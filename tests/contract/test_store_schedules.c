/* SPDX-License-Identifier: BSD-3-Clause */
/* Schedules: what is kept and shown, when they are next, and what an edit takes back (P2, P13). */
#include "contract.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void assert_next(struct schedule schedule, int64_t offset_us)
{
	assert_true(schedule.has_next);
	assert_int_equal(schedule.next_at.us - T0, offset_us);
}

/* --- records --------------------------------------------------------------------------------------------- */

static void what_is_inserted_is_read(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = {
		.has_frequency = true,
		.frequency = 7,
		.cron = STR("*/5 * * * *"),
		.interval = STR("90 seconds"),
		.endpoint = STR("https://e.test/a?b"),
		.payload = STR("{\"a\": 1e400}"),
		.auth_token = STR("tok"),
		.signing_secret = STR("whsec_x"),
		.enabled = true,
		.timezone = STR("Europe/Berlin"),
	};
	struct schedule schedule = insert(f, &definition), found = get(f, &schedule);
	struct schedule unknown = { .uuid = { 1 } };

	assert_int_equal(found.definition.frequency, 7);
	assert_true(found.definition.has_frequency);
	assert_true(str_equal(found.definition.cron, definition.cron));
	assert_true(str_equal(found.definition.interval, definition.interval));
	assert_true(str_equal(found.definition.endpoint, definition.endpoint));
	assert_true(str_equal(found.definition.payload, definition.payload));
	assert_true(str_equal(found.definition.timezone, definition.timezone));
	assert_null(found.definition.auth_token.p);
	assert_null(found.definition.signing_secret.p);
	assert_true(found.has_auth_token && found.has_signing_secret);
	assert_false(found.definition.has_once);
	assert_int_equal(found.created_at.us, T0);
	assert_int_equal(found.triggered, 0);
	assert_next(found, 90 * SECOND);
	assert_memory_equal(found.uuid, schedule.uuid, 16);
	assert_int_equal(found.uuid[6] >> 4, 4);
	assert_int_equal(store_schedule_get(f->store, unknown.uuid, &f->arena, &found), ERR_NOT_FOUND);
}

static void the_first_instant_is_computed(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *cron, *interval, *timezone;
		int64_t offset_us; /* -1: none */
	} rows[] = {
		{ "0 * * * *", NULL, "UTC", HOUR },
		{ "0 0 * * *", NULL, "Europe/Berlin", 23 * HOUR },
		{ NULL, "5 minutes", "UTC", 5 * MINUTE },
		{ "0 * * * *", "61 minutes", "UTC", HOUR },
		{ "0 * * * *", "59 minutes", "UTC", 59 * MINUTE },
		{ "0 0 1 1 * 2029", NULL, "UTC", -1 },
		{ "", "", "UTC", -1 },
		{ NULL, NULL, "UTC", -1 },
		{ NULL, "1 microseconds", "UTC", SECOND },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct schedule_definition definition = definition_cron("");

		definition.cron = str_from(rows[i].cron);
		definition.interval = str_from(rows[i].interval);
		definition.timezone = str_from(rows[i].timezone);
		struct schedule schedule = insert(f, &definition);

		assert_int_equal(schedule.has_next, rows[i].offset_us >= 0);
		if (schedule.has_next)
			assert_next(schedule, rows[i].offset_us);
	}
	struct schedule_definition nowhere = definition_cron("0 * * * *");
	struct schedule schedule;

	nowhere.timezone = STR("Moon/Tycho");
	begin(f);
	assert_int_equal(store_schedule_insert(f->store, &nowhere, 0, f->now, &f->arena, &schedule), ERR_INVALID);
	store_rollback(f->store);
}

static void a_notice_tells_what_is_due(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition late = definition_cron("0 * * * *"), soon = definition_interval("10 seconds");
	struct schedule schedule;

	begin(f);
	assert_ok(store_schedule_insert(f->store, &late, 0, f->now, &f->arena, &schedule));
	assert_ok(store_savepoint(f->store, NULL));
	assert_ok(store_schedule_insert(f->store, &soon, 0, f->now, &f->arena, &schedule));
	store_rollback_to_savepoint(f->store);
	commit(f);
	struct store_notice notice = take_notice(f);

	assert_true(notice.has_due);
	assert_int_equal(notice.due_at.us, T0 + HOUR);
	assert_int_equal(notice.revoked_n, 0);
	assert_false(take_notice(f).has_due);
}

struct seen {
	int64_t rows[16];
	size_t n;
};

static bool on_row_id(void *ctx, const struct schedule *schedule)
{
	struct seen *seen = ctx;

	seen->rows[seen->n++] = schedule->row;
	return true;
}

static void lists_are_newest_first(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct schedule last = { 0 };
	static const struct {
		struct page page;
		size_t n;
		int64_t first;
	} rows[] = {
		{ { .limit = 10 }, 5, 5 },
		{ { .limit = 2 }, 2, 5 },
		{ { .limit = 2, .offset = 3 }, 2, 2 },
		{ { .limit = 2, .offset = 4 }, 1, 1 },
		{ { .limit = 2, .offset = 5 }, 0, 0 },
		{ { .limit = 3, .before_id = 3 }, 2, 2 },
		{ { .limit = UINT64_MAX, .offset = UINT64_MAX }, 0, 0 },
	};

	for (int i = 0; i < 5; i++)
		last = insert(f, &definition);
	assert_int_equal(last.row, 5);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct seen seen = { 0 };

		assert_ok(store_schedule_list(f->store, rows[i].page, on_row_id, &seen));
		assert_int_equal(seen.n, rows[i].n);
		for (size_t k = 0; k < seen.n; k++)
			assert_int_equal(seen.rows[k], rows[i].first - (int64_t)k);
	}
	assert_int_equal(count(f, STORE_SCHEDULES), 5);
	assert_int_equal(count(f, STORE_SCHEDULES_ENABLED), 5);
	struct schedule_definition off = { .enabled = false };

	update(f, &last, SCHEDULE_ENABLED, &off);
	assert_int_equal(count(f, STORE_SCHEDULES_ENABLED), 4);
	delete (f, &last);
	assert_int_equal(count(f, STORE_SCHEDULES), 4);
	assert_int_equal(count(f, STORE_SCHEDULES_ENABLED), 4);
	assert_whole(f);
}

static bool file_holds(const char *path, const char *needle)
{
	static char bytes[4 * 1024 * 1024];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, bytes, sizeof bytes);

	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(bytes, (size_t)n, needle, strlen(needle)) != NULL;
}

/* Closing descriptors of a database that is open would drop SQLite's locks, so the files are read after the store is
 * closed. */
static void secrets_are_sealed_on_disk(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("1 seconds");
	char wal[128];

	definition.auth_token = STR("CANARY-TOKEN");
	definition.signing_secret = STR("whsec_CANARY");
	definition.payload = STR("\"PLAIN-PAYLOAD\"");
	f->settings.hook_token = STR("CANARY-HOOK");
	fixture_reopen(f);
	struct webhook hook;

	begin(f);
	assert_ok(store_webhook_insert(f->store, STR("schedule.added"), STR("http://h.test/"), 1, f->now, &f->arena,
				       &hook));
	commit(f);
	insert(f, &definition);
	f->now.us += 2 * SECOND;
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 3);
	assert_true(str_equal(batch.runs[0].authorization, STR("Token CANARY-HOOK")));
	assert_true(str_equal(batch.runs[1].authorization, STR("Token CANARY-TOKEN")));
	assert_true(str_equal(batch.runs[1].signing_secret, STR("whsec_CANARY")));
	batch_release(&batch);
	store_close(f->store);
	f->store = NULL;
	snprintf(wal, sizeof wal, "%s-wal", f->path);
	assert_true(file_holds(f->path, "PLAIN-PAYLOAD") || file_holds(wal, "PLAIN-PAYLOAD"));
	assert_false(file_holds(f->path, "CANARY") || file_holds(wal, "CANARY"));
}

/* --- edits: when ----------------------------------------------------------------------------------------- */

static void edits_set_only_what_they_name(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct schedule_definition changes = { .endpoint = STR("http://b.test/"),
					       .payload = STR("null"),
					       .cron = STR("5 * * * *"),
					       .frequency = 3,
					       .has_frequency = true };

	definition.auth_token = STR("secret");
	struct schedule schedule = insert(f, &definition);

	f->now.us += MINUTE;
	struct schedule after = update(f, &schedule, SCHEDULE_ENDPOINT | SCHEDULE_FREQUENCY, &changes);

	assert_true(str_equal(after.definition.endpoint, STR("http://b.test/")));
	assert_true(str_equal(after.definition.payload, definition.payload));
	assert_true(str_equal(after.definition.cron, definition.cron));
	assert_int_equal(after.definition.frequency, 3);
	assert_true(after.has_auth_token);
	assert_int_equal(after.created_at.us, T0);
	assert_int_equal(after.updated_at.us, T0 + MINUTE);
	assert_next(after, HOUR);
	after = update(f, &schedule, SCHEDULE_AUTH_TOKEN | SCHEDULE_CRON, &changes);
	assert_false(after.has_auth_token);
	assert_next(after, 5 * MINUTE);
	struct schedule unknown = { .uuid = { 1 } };

	begin(f);
	assert_int_equal(store_schedule_update(f->store, unknown.uuid, 0, &changes, 0, f->now, &f->arena, &after),
			 ERR_NOT_FOUND);
	assert_int_equal(store_schedule_delete(f->store, unknown.uuid, f->now), ERR_NOT_FOUND);
	commit(f);
}

static void an_interval_is_anchored_anew_by_a_new_text_alone(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("10 minutes"),
				   changes = { .interval = STR("10 minutes") };
	struct schedule schedule = insert(f, &definition);

	f->now.us += 7 * MINUTE;
	assert_next(update(f, &schedule, SCHEDULE_INTERVAL, &changes), 10 * MINUTE);
	changes.interval = STR("600 seconds");
	assert_next(update(f, &schedule, SCHEDULE_INTERVAL, &changes), 17 * MINUTE);
	changes.interval = STR("");
	assert_false(update(f, &schedule, SCHEDULE_INTERVAL, &changes).has_next);
}

static void disabling_misses_nothing(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *"), off = { .enabled = false },
				   on = { .enabled = true };
	struct schedule schedule = insert(f, &definition);

	assert_false(update(f, &schedule, SCHEDULE_ENABLED, &off).has_next);
	f->now.us += 5 * HOUR + MINUTE;
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 0);
	batch_release(&batch);
	assert_next(update(f, &schedule, SCHEDULE_ENABLED, &on), 6 * HOUR);
	assert_next(update(f, &schedule, SCHEDULE_ENABLED, &on), 6 * HOUR);
}

static void frequency_ends_a_schedule(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("10 seconds"),
				   more = { .has_frequency = true, .frequency = 3 }, none = { 0 };

	definition.has_frequency = true;
	definition.frequency = 2;
	struct schedule schedule = insert(f, &definition);

	f->now.us += 45 * SECOND;
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 2);
	batch_release(&batch);
	struct schedule used_up = get(f, &schedule);

	assert_int_equal(used_up.triggered, 2);
	assert_false(used_up.has_next);
	assert_next(update(f, &schedule, SCHEDULE_FREQUENCY, &more), 50 * SECOND);
	f->now.us += 10 * SECOND;
	batch = claim(f, 0, 10);
	assert_int_equal(batch.runs_n, 1);
	batch_release(&batch);
	assert_false(get(f, &schedule).has_next);
	assert_next(update(f, &schedule, SCHEDULE_FREQUENCY, &none), 60 * SECOND);
	assert_whole(f);
}

/* --- one-shots ------------------------------------------------------------------------------------------- */

static void a_one_shot_fires_once(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0 + HOUR),
				   again = { .has_once = true, .once_at = { T0 + HOUR } }, none = { 0 };
	struct schedule schedule = insert(f, &definition);

	assert_next(schedule, HOUR);
	assert_true(schedule.definition.has_once);
	f->now.us += HOUR;
	struct run run = claim_one(f);

	assert_int_equal(run.planned_at.us, T0 + HOUR);
	schedule = get(f, &schedule);
	assert_false(schedule.has_next);
	assert_false(schedule.definition.has_once);
	/* A client that writes back what it read a moment ago does not fire it again, nor does one that writes the
	 * present null. */
	assert_false(update(f, &schedule, SCHEDULE_ONCE_AT, &again).has_next);
	assert_false(update(f, &schedule, SCHEDULE_ONCE_AT, &none).has_next);
	assert_true(record_delivered(f, &run));
	again.once_at.us = T0 + 2 * HOUR;
	assert_next(update(f, &schedule, SCHEDULE_ONCE_AT, &again), 2 * HOUR);
	assert_false(update(f, &schedule, SCHEDULE_ONCE_AT, &none).has_next);
	assert_whole(f);
}

static void a_past_one_shot_fires_at_once(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0 - 1000 * HOUR),
				   again = { .has_once = true, .once_at = { T0 - 2000 * HOUR } };
	struct schedule schedule = insert(f, &definition);
	struct run run = claim_one(f);

	assert_int_equal(run.planned_at.us, T0 - 1000 * HOUR);
	assert_true(record_delivered(f, &run));
	/* An instant before the last one cannot be planned any more: it fires now. */
	f->now.us += MINUTE;
	assert_next(update(f, &schedule, SCHEDULE_ONCE_AT, &again), MINUTE);
	run = claim_one(f);
	assert_int_equal(run.planned_at.us, T0 + MINUTE);
	assert_whole(f);
}

static void a_one_shot_waits_while_disabled(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0 + HOUR), on = { .enabled = true };

	definition.enabled = false;
	struct schedule schedule = insert(f, &definition);

	assert_false(schedule.has_next);
	f->now.us += 2 * HOUR;
	assert_next(update(f, &schedule, SCHEDULE_ENABLED, &on), HOUR);
	assert_int_equal(claim_one(f).planned_at.us, T0 + HOUR);
}

static void beside_a_cron_an_instant_has_no_effect(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *"), none = { 0 },
				   cron = definition_cron("30 * * * *");

	definition.has_once = true;
	definition.once_at.us = T0 + MINUTE;
	struct schedule schedule = insert(f, &definition);

	assert_next(schedule, HOUR);
	assert_false(update(f, &schedule, SCHEDULE_CRON, &none).has_next);
	struct schedule_definition armed = definition_once(T0 + 5 * MINUTE);

	assert_next(update(f, &schedule, SCHEDULE_ONCE_AT, &armed), 5 * MINUTE);
	assert_next(update(f, &schedule, SCHEDULE_CRON, &cron), 30 * MINUTE);
	assert_false(update(f, &schedule, SCHEDULE_CRON, &none).has_next);
}

/* --- edits: what was recorded and not yet sent (P13) ----------------------------------------------------- */

/* Only the delivery side knows that it is on the wire: it ends as if there had been no edit, and its retries keep the
 * body. */
static void a_run_on_the_wire_outlives_an_edit(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *"),
				   changes = { .payload = STR("\"new\""), .enabled = false };
	struct schedule schedule = insert(f, &definition);

	f->now.us += HOUR;
	struct run run = claim_one(f);

	update(f, &schedule, SCHEDULE_PAYLOAD | SCHEDULE_ENABLED, &changes);
	assert_true(record_retry(f, &run, f->now.us + MINUTE));
	f->now.us += MINUTE;
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 1);
	assert_true(str_equal(batch.runs[0].body, definition.payload));
	assert_true(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	assert_int_equal(get(f, &schedule).triggered, 1);
	assert_whole(f);
}

/* The run of the old instant is still out when the next edit comes: it must not come back to life. */
static void a_later_edit_does_not_revive_what_is_to_be_cancelled(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0 + HOUR), moved = definition_once(T0 + 2 * HOUR);
	struct schedule_definition changes = { .payload = STR("\"new\"") };
	struct schedule schedule = insert(f, &definition);

	f->now.us += HOUR - SECOND;
	struct claim_batch batch = claim(f, 2 * SECOND, 10);

	update(f, &schedule, SCHEDULE_ONCE_AT, &moved);
	update(f, &schedule, SCHEDULE_PAYLOAD, &changes);
	assert_true(give_back(f, &batch.runs[0]));
	batch_release(&batch);
	batch = claim(f, 2 * SECOND, 10);
	assert_int_equal(batch.runs_n, 0);
	batch_release(&batch);
	assert_next(get(f, &schedule), 2 * HOUR);
	assert_int_equal(get(f, &schedule).triggered, 0);
	/* And back again: its own instant cannot be planned twice, so it is the next microsecond. */
	assert_true(update(f, &schedule, SCHEDULE_ONCE_AT, &definition).has_next);
	batch = claim(f, 2 * SECOND, 10);
	assert_int_equal(batch.runs_n, 1);
	batch_release(&batch);
	assert_whole(f);
}

/* A one-shot is always delivered (P7): one that is due, unsent and edited fires anew, with what the edit made of it. */
static void an_edited_one_shot_is_still_delivered(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition changes = { .payload = STR("\"new\"") };

	for (int leased = 0; leased < 2; leased++) {
		struct schedule_definition definition = definition_once(f->now.us - HOUR);
		struct schedule schedule = insert(f, &definition);
		struct claim_batch batch = claim(f, 0, 10);

		assert_int_equal(batch.runs_n, 1);
		struct run old = batch.runs[0];

		if (!leased)
			assert_true(give_back(f, &old));
		update(f, &schedule, SCHEDULE_PAYLOAD, &changes);
		if (leased)
			assert_true(give_back(f, &old));
		struct claim_batch again = claim(f, 0, 10);

		assert_int_equal(again.runs_n, 1);
		assert_true(str_equal(again.runs[0].body, STR("\"new\"")));
		assert_memory_not_equal(again.runs[0].uuid, old.uuid, 16); /* another body, another id (P4) */
		assert_true(record_delivered(f, &again.runs[0]));
		assert_int_equal(get(f, &schedule).triggered, 1);
		assert_false(get(f, &schedule).has_next);
		batch_release(&batch);
		batch_release(&again);
		f->now.us += HOUR;
	}
	assert_whole(f);
}

/* The only run that `frequency` allows is taken back: the next one takes its place. */
static void a_run_taken_back_does_not_count(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *"), changes = { .cron = STR("30 * * * *") };

	definition.has_frequency = true;
	definition.frequency = 1;
	struct schedule schedule = insert(f, &definition);

	f->now.us += HOUR - SECOND;
	struct claim_batch batch = claim(f, 2 * SECOND, 10);

	update(f, &schedule, SCHEDULE_CRON, &changes);
	assert_true(give_back(f, &batch.runs[0]));
	batch_release(&batch);
	assert_int_equal(get(f, &schedule).triggered, 0);
	assert_next(get(f, &schedule), HOUR + 30 * MINUTE);
	assert_whole(f);
}

static void a_run_to_come_gets_the_new_definition(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *"), changes = { .payload = STR("\"new\"") };
	struct schedule schedule = insert(f, &definition);

	f->now.us += HOUR - SECOND;
	struct claim_batch batch = claim(f, 2 * SECOND, 10);

	assert_int_equal(batch.runs_n, 1);
	struct run old = batch.runs[0];

	update(f, &schedule, SCHEDULE_PAYLOAD, &changes);
	struct store_notice notice = take_notice(f);

	assert_int_equal(notice.revoked_n, 1);
	assert_int_equal(notice.revoked[0], old.id);
	free(notice.revoked);
	assert_true(give_back(f, &old));
	notice = take_notice(f);
	assert_true(notice.has_due);
	assert_int_equal(notice.due_at.us, T0 + HOUR);
	assert_false(record_delivered(f, &old));
	batch_release(&batch);
	batch = claim(f, 2 * SECOND, 10);
	assert_int_equal(batch.runs_n, 1);
	assert_true(str_equal(batch.runs[0].body, STR("\"new\"")));
	assert_memory_equal(batch.runs[0].uuid, old.uuid, 16);
	assert_int_equal(batch.runs[0].start_at.us, T0 + HOUR);
	assert_true(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	assert_int_equal(get(f, &schedule).triggered, 1);
	assert_whole(f);
}

static void an_edit_that_changes_nothing_takes_nothing_back(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");

	definition.auth_token = STR("t");
	definition.signing_secret = STR("whsec_s");
	struct schedule schedule = insert(f, &definition);

	f->now.us += HOUR - SECOND;
	struct claim_batch batch = claim(f, 2 * SECOND, 10);

	update(f, &schedule, ~0U, &definition);
	assert_int_equal(take_notice(f).revoked_n, 0);
	assert_true(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM definitions"), 1);
}

static void an_edit_over_a_secret_that_does_not_open_says_so(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct schedule out;

	definition.auth_token = STR("t");
	struct schedule schedule = insert(f, &definition);

	assert_ok(fixture_script(f, "UPDATE definitions SET auth_token = x'00'"));
	begin(f);
	assert_int_equal(store_schedule_update(f->store, schedule.uuid, SCHEDULE_PAYLOAD, &definition, 0, f->now,
					       &f->arena, &out),
			 ERR_CORRUPT);
	assert_string_equal(store_last_error(f->store), "the stored auth_token does not open");
	store_rollback(f->store);
}

static void runs_off_the_new_timing_are_cancelled(void **state)
{
	struct fixture *f = *state;
	static const struct {
		unsigned set;
		struct schedule_definition changes;
		bool is_cancelled;
	} rows[] = {
		{ SCHEDULE_CRON, { .cron = { "30 * * * *", 10 } }, true },
		{ SCHEDULE_CRON, { .cron = { "0,30 * * * *", 12 } }, false },
		{ SCHEDULE_CRON, { .cron = { NULL, 0 } }, true },
		{ SCHEDULE_ENABLED, { .enabled = false }, true },
		{ SCHEDULE_TIMEZONE, { .timezone = { "Asia/Kathmandu", 14 } }, true },
		{ SCHEDULE_TIMEZONE, { .timezone = { "Europe/Berlin", 13 } }, false },
		{ SCHEDULE_FREQUENCY, { .has_frequency = true, .frequency = 1 }, false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		f->now.us = T0 + (int64_t)i * HOUR;
		struct schedule_definition definition = definition_cron("0 * * * *");
		struct schedule schedule = insert(f, &definition);

		f->now.us = T0 + (int64_t)(i + 1) * HOUR - SECOND;
		struct claim_batch batch = claim(f, 2 * SECOND, 10);

		assert_int_equal(batch.runs_n, 1);
		free(take_notice(f).revoked);
		update(f, &schedule, rows[i].set, &rows[i].changes);
		struct store_notice notice = take_notice(f);

		assert_int_equal(notice.revoked_n, rows[i].is_cancelled);
		free(notice.revoked);
		if (rows[i].is_cancelled)
			assert_true(give_back(f, &batch.runs[0]));
		assert_int_equal(record_delivered(f, &batch.runs[0]), !rows[i].is_cancelled);
		assert_int_equal(get(f, &schedule).triggered, !rows[i].is_cancelled);
		batch_release(&batch);
		delete (f, &schedule);
		assert_whole(f);
	}
}

static void late_runs_are_cancelled_attempted_ones_kept(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *"),
				   changes = { .endpoint = STR("http://b.test/") };
	struct schedule schedule = insert(f, &definition);

	f->now.us += HOUR;
	struct run attempted = claim_one(f);

	assert_true(record_retry(f, &attempted, f->now.us + MINUTE));
	f->now.us += HOUR;
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 2);
	update(f, &schedule, SCHEDULE_ENDPOINT, &changes);
	for (uint32_t i = 0; i < 2; i++) {
		if (batch.runs[i].attempts == 0)
			assert_true(give_back(f, &batch.runs[i]));
		assert_int_equal(record_delivered(f, &batch.runs[i]), batch.runs[i].attempts > 0);
	}
	batch_release(&batch);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM runs WHERE state = 3"), 1);
	assert_whole(f);
}

static void an_edit_never_plans_an_instant_twice(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *"), off = { .enabled = false },
				   on = { .enabled = true };
	struct schedule schedule = insert(f, &definition);

	f->now.us += HOUR - SECOND;
	struct claim_batch batch = claim(f, 2 * SECOND, 10);

	batch_release(&batch);
	update(f, &schedule, SCHEDULE_ENABLED, &off);
	assert_next(update(f, &schedule, SCHEDULE_ENABLED, &on), 2 * HOUR);
	assert_int_equal(fixture_script(f, "UPDATE timers SET before_at = last_at, last_at = last_at - 1"),
			 ERR_CORRUPT);
	assert_int_equal(fixture_script(f, "UPDATE timers SET before_at = last_at, last_at = last_at"), ERR_CORRUPT);
	assert_int_equal(fixture_script(f, "UPDATE timers SET next_at = last_at"), ERR_CORRUPT);
	assert_whole(f);
}

static void a_delete_cancels_retries_too(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct schedule schedule = insert(f, &definition), kept = insert(f, &definition);

	f->now.us += HOUR;
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 2);
	assert_true(record_retry(f, &batch.runs[0], f->now.us + MINUTE));
	assert_true(record_retry(f, &batch.runs[1], f->now.us + MINUTE));
	batch_release(&batch);
	assert_int_equal(count(f, STORE_RETRIES), 2);
	delete (f, &schedule);
	assert_int_equal(count(f, STORE_RETRIES), 1);
	f->now.us += 2 * MINUTE;
	struct run run = claim_one(f);

	assert_int_equal(run.schedule_row, kept.row);
	assert_int_equal(store_schedule_get(f->store, schedule.uuid, &f->arena, &schedule), ERR_NOT_FOUND);
	assert_whole(f);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_inserted_is_read),
		T(the_first_instant_is_computed),
		T(a_notice_tells_what_is_due),
		T(lists_are_newest_first),
		T(secrets_are_sealed_on_disk),
		T(edits_set_only_what_they_name),
		T(an_interval_is_anchored_anew_by_a_new_text_alone),
		T(disabling_misses_nothing),
		T(frequency_ends_a_schedule),
		T(a_one_shot_fires_once),
		T(a_past_one_shot_fires_at_once),
		T(a_one_shot_waits_while_disabled),
		T(beside_a_cron_an_instant_has_no_effect),
		T(a_run_to_come_gets_the_new_definition),
		T(a_run_on_the_wire_outlives_an_edit),
		T(a_run_taken_back_does_not_count),
		T(an_edited_one_shot_is_still_delivered),
		T(a_later_edit_does_not_revive_what_is_to_be_cancelled),
		T(an_edit_that_changes_nothing_takes_nothing_back),
		T(an_edit_over_a_secret_that_does_not_open_says_so),
		T(runs_off_the_new_timing_are_cancelled),
		T(late_runs_are_cancelled_attempted_ones_kept),
		T(an_edit_never_plans_an_instant_twice),
		T(a_delete_cancels_retries_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
