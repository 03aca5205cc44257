/* SPDX-License-Identifier: BSD-3-Clause */
/* The fixture: each test has a directory, a database and a clock of its own. */
#include "contract.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "store/internal.h"

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at)
{
	(void)info;
	(void)kind;
	(void)at;
	return remove(path);
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	snprintf(f->dir, sizeof f->dir, "/tmp/seed-contract-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/data/s.db", f->dir);
	snprintf(f->url, sizeof f->url, "sqlite:%s", f->path);
	f->settings.url = str_from(f->url);
	f->now.us = T0;
	fixture_open(f);
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	arena_release(&f->arena);
	nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

void fixture_open(struct fixture *f)
{
	struct error error = { .text = "" };

	if (store_open_writer(&f->settings, &f->store, &error) != ERR_OK)
		fail_msg("cannot open: %s", error.text);
}

void fixture_reopen(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
	fixture_open(f);
}

int64_t fixture_number(struct fixture *f, const char *sql)
{
	int64_t number = 0;

	assert_ok(db_scalar(f->store->db, sql, &number));
	return number;
}

enum err fixture_script(struct fixture *f, const char *sql)
{
	return db_script(f->store->db, sql);
}

void begin(struct fixture *f)
{
	assert_ok(store_begin(f->store, NULL));
}

void commit(struct fixture *f)
{
	assert_ok(store_commit(f->store, NULL));
}

void assert_whole(struct fixture *f)
{
	struct store_check check;
	struct error error = { .text = "" };

	assert_ok(store_check(f->store, &check, &error));
	assert_string_equal(check.integrity, "ok");
	assert_true(check.integrity_ok);
	if (!check.sum_holds)
		fail_msg("planned %ld, delivered %ld, failed %ld, cancelled %ld, skipped %ld, open %ld",
			 (long)check.planned, (long)check.delivered, (long)check.failed, (long)check.cancelled,
			 (long)check.skipped, (long)check.open);
}

static struct schedule_definition definition_base(void)
{
	return (struct schedule_definition){
		.endpoint = STR("http://a.test/x"), .payload = STR("{\"n\":1}"), .enabled = true, .timezone = STR("UTC")
	};
}

struct schedule_definition definition_cron(const char *cron)
{
	struct schedule_definition definition = definition_base();

	definition.cron = str_from(cron);
	return definition;
}

struct schedule_definition definition_interval(const char *interval)
{
	struct schedule_definition definition = definition_base();

	definition.interval = str_from(interval);
	return definition;
}

struct schedule_definition definition_once(int64_t once_us)
{
	struct schedule_definition definition = definition_base();

	definition.has_once = true;
	definition.once_at.us = once_us;
	return definition;
}

struct schedule insert(struct fixture *f, const struct schedule_definition *definition)
{
	struct schedule schedule;

	begin(f);
	assert_ok(store_schedule_insert(f->store, definition, 0, f->now, &f->arena, &schedule));
	commit(f);
	return schedule;
}

struct schedule get(struct fixture *f, const struct schedule *schedule)
{
	struct schedule found;

	assert_ok(store_schedule_get(f->store, schedule->uuid, &f->arena, &found));
	return found;
}

struct schedule update(struct fixture *f, const struct schedule *schedule, unsigned set,
		       const struct schedule_definition *changes)
{
	struct schedule found;

	begin(f);
	assert_ok(store_schedule_update(f->store, schedule->uuid, set, changes, 0, f->now, &f->arena, &found));
	commit(f);
	return found;
}

void delete (struct fixture *f, const struct schedule *schedule)
{
	begin(f);
	assert_ok(store_schedule_delete(f->store, schedule->uuid, f->now));
	commit(f);
}

static struct claim_batch claim_as(struct fixture *f, const struct store_claim *request)
{
	struct claim_batch batch;

	begin(f);
	assert_ok(store_claim(f->store, request, &batch));
	commit(f);
	return batch;
}

struct claim_batch claim(struct fixture *f, int64_t ahead_us, uint32_t room)
{
	return claim_as(f, &(struct store_claim){ .now = f->now,
						  .until = { f->now.us + ahead_us },
						  .missed_before = { f->now.us - HOUR },
						  .room = room });
}

struct claim_batch claim_late(struct fixture *f, int64_t missed_before_us, uint32_t room)
{
	return claim_as(f,
			&(struct store_claim){
				.now = f->now, .until = f->now, .missed_before = { missed_before_us }, .room = room });
}

struct claim_batch claim_lane(struct fixture *f, int64_t lane, uint32_t room)
{
	return claim_as(f, &(struct store_claim){ .now = f->now,
						  .until = f->now,
						  .missed_before = f->now,
						  .room = room,
						  .of_lane = true,
						  .lane = lane });
}

void batch_release(struct claim_batch *batch)
{
	arena_release(&batch->arena);
}

struct run claim_one(struct fixture *f)
{
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 1);
	struct run run = batch.runs[0];

	run.endpoint = arena_copy(&f->arena, run.endpoint);
	run.body = arena_copy(&f->arena, run.body);
	run.authorization = arena_copy(&f->arena, run.authorization);
	run.signing_secret = arena_copy(&f->arena, run.signing_secret);
	batch_release(&batch);
	return run;
}

struct outcome outcome_of(struct fixture *f, enum outcome_class class, unsigned status)
{
	struct outcome outcome = { .class = class,
				   .status = (uint16_t)status,
				   .started_at = f->now,
				   .duration_us = 1500,
				   .detail = "words",
				   .answer_n = 3,
				   .answer = "ans" };

	return outcome;
}

struct store_record record_of(const struct run *run, enum store_record_kind kind, const struct outcome *outcome)
{
	return (struct store_record){ .run_id = run->id,
				      .lease = run->lease,
				      .schedule_row = run->schedule_row,
				      .lane = run->lane,
				      .run_kind = run->kind,
				      .kind = kind,
				      .was_failed = run->was_failed,
				      .attempts = run->attempts + (outcome != NULL),
				      .outcome = outcome };
}

bool record(struct fixture *f, struct store_record record)
{
	begin(f);
	assert_ok(store_record(f->store, &record, 1, f->now));
	commit(f);
	return !record.was_fenced;
}

bool record_delivered(struct fixture *f, const struct run *run)
{
	struct outcome outcome = outcome_of(f, OUTCOME_DELIVERED, 204);

	return record(f, record_of(run, STORE_DELIVERED, &outcome));
}

bool record_failed(struct fixture *f, const struct run *run)
{
	struct outcome outcome = outcome_of(f, OUTCOME_HTTP, 503);

	return record(f, record_of(run, STORE_FAILED, &outcome));
}

bool record_retry(struct fixture *f, const struct run *run, int64_t at_us)
{
	struct outcome outcome = outcome_of(f, OUTCOME_TIMEOUT, 0);
	struct store_record retry = record_of(run, STORE_RETRY, &outcome);

	retry.eligible_at.us = at_us;
	return record(f, retry);
}

int64_t count(struct fixture *f, enum store_counted what)
{
	int64_t n = -1;

	assert_ok(store_count(f->store, what, &n));
	return n;
}

struct store_notice take_notice(struct fixture *f)
{
	struct store_notice notice;

	store_take_notice(f->store, &notice);
	return notice;
}

bool give_back(struct fixture *f, const struct run *run)
{
	struct store_record release = record_of(run, STORE_RELEASE, NULL);

	release.eligible_at = run->start_at;
	return record(f, release);
}
