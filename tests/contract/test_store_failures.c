/* SPDX-License-Identifier: BSD-3-Clause */
/* Failed tasks, requeue, and forgetting: P12, P3 over time. */
#include "contract.h"

/* Fires a one-shot and fails it for good. */
static struct run fail_one(struct fixture *f, struct schedule *schedule)
{
	struct schedule_definition definition = definition_once(f->now.us);

	definition.auth_token = STR("old");
	*schedule = insert(f, &definition);
	struct run run = claim_one(f);

	assert_true(record_failed(f, &run));
	return run;
}

static int64_t requeue(struct fixture *f)
{
	int64_t n = -1;

	begin(f);
	assert_ok(store_failures_requeue(f->store, f->now, &n));
	commit(f);
	return n;
}

static bool on_failure_id(void *ctx, const struct failure *failure)
{
	int64_t *ids = ctx;

	while (*ids)
		ids++;
	*ids = failure->id;
	return true;
}

static void a_failed_run_is_a_failed_task(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule, other;
	struct run run = fail_one(f, &schedule);
	struct failure failure;
	int64_t ids[4] = { 0 };

	f->now.us += SECOND;
	fail_one(f, &other);
	assert_int_equal(count(f, STORE_FAILURES), 2);
	assert_ok(store_failure_get(f->store, 1, &f->arena, &failure));
	assert_memory_equal(failure.schedule_uuid, schedule.uuid, 16);
	assert_memory_equal(failure.run_uuid, run.uuid, 16);
	assert_int_equal(failure.initiated_at.us, T0);
	assert_non_null(memmem(failure.reason.p, failure.reason.n, "503", 3));
	assert_int_equal(store_failure_get(f->store, 3, &f->arena, &failure), ERR_NOT_FOUND);
	assert_ok(store_failure_list(f->store, (struct page){ .limit = 10 }, on_failure_id, ids));
	assert_int_equal(ids[0], 2);
	assert_int_equal(ids[1], 1);
	delete (f, &other);
	assert_int_equal(count(f, STORE_FAILURES), 1);
	assert_whole(f);
}

static void a_requeue_sends_the_same_run_and_body(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	struct run before = fail_one(f, &schedule);
	struct schedule_definition changes = { .endpoint = STR("http://new.test/"),
					       .payload = STR("\"new\""),
					       .auth_token = STR("fresh"),
					       .enabled = false };

	f->now.us += MINUTE;
	update(f, &schedule, SCHEDULE_ENDPOINT | SCHEDULE_PAYLOAD | SCHEDULE_AUTH_TOKEN | SCHEDULE_ENABLED, &changes);
	assert_int_equal(requeue(f), 1);
	assert_true(take_notice(f).has_due);
	assert_int_equal(requeue(f), 0);
	assert_int_equal(count(f, STORE_FAILURES), 1);
	struct run after = claim_one(f);

	assert_int_equal(requeue(f), 0);
	assert_memory_equal(after.uuid, before.uuid, 16);
	assert_true(str_equal(after.body, before.body));
	assert_true(str_equal(after.endpoint, STR("http://new.test/")));
	assert_true(str_equal(after.authorization, STR("Token fresh")));
	assert_int_equal(after.attempts, 1);
	assert_int_equal(after.attempts_budget, 7);
	assert_true(after.was_failed);
	assert_true(after.lane != before.lane);
	assert_true(record_delivered(f, &after));
	assert_int_equal(count(f, STORE_FAILURES), 0);
	assert_int_equal(count(f, STORE_RETRIES), 0);
	assert_int_equal(requeue(f), 0);
	assert_whole(f);
}

static void a_requeued_run_that_fails_keeps_its_task(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	struct failure failure;

	fail_one(f, &schedule);
	assert_int_equal(requeue(f), 1);
	struct run run = claim_one(f);
	struct outcome outcome = outcome_of(f, OUTCOME_HTTP, 410);

	assert_true(record(f, record_of(&run, STORE_FAILED, &outcome)));
	assert_int_equal(count(f, STORE_FAILURES), 1);
	assert_ok(store_failure_get(f->store, 1, &f->arena, &failure));
	assert_non_null(memmem(failure.reason.p, failure.reason.n, "410", 3));
	assert_int_equal(requeue(f), 1);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM attempts"), 2);
	assert_whole(f);
}

static void many_failures_share_what_they_can(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("1 seconds"),
				   changes = { .endpoint = STR("http://new.test/") };
	struct schedule schedule = insert(f, &definition);

	f->now.us += 50 * SECOND;
	struct claim_batch batch = claim(f, 0, 100);

	assert_int_equal(batch.runs_n, 50);
	for (uint32_t i = 0; i < batch.runs_n; i++)
		assert_true(record_failed(f, &batch.runs[i]));
	batch_release(&batch);
	update(f, &schedule, SCHEDULE_ENDPOINT, &changes);
	assert_int_equal(requeue(f), 50);
	/* The body is the same, so the present definition serves all of them. */
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM definitions"), 2);
	assert_int_equal(fixture_number(f, "SELECT count(DISTINCT definition_id) FROM runs"), 1);
	assert_whole(f);
}

/* --- forgetting ------------------------------------------------------------------------------------------ */

static int64_t purge_all(struct fixture *f, unsigned rows)
{
	int64_t steps = 0;
	bool more = true;

	for (; more; steps++) {
		assert_true(steps < 1000);
		begin(f);
		assert_ok(store_purge(f->store, f->now, rows, &more));
		commit(f);
	}
	return steps;
}

static void a_purge_keeps_the_sum(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("1 seconds"), changes = { .payload = STR("2") };
	struct schedule schedule = insert(f, &definition), failing;

	fail_one(f, &failing);
	f->now.us += 50 * SECOND;
	struct claim_batch batch = claim(f, 0, 100);

	assert_int_equal(batch.runs_n, 50);
	for (uint32_t i = 0; i < 40; i++)
		assert_true(record_delivered(f, &batch.runs[i]));
	batch_release(&batch);
	update(f, &schedule, SCHEDULE_PAYLOAD, &changes);
	f->now.us += 2 * HOUR + SECOND / 2;
	batch = claim_late(f, f->now.us, 100);
	assert_int_equal(batch.runs_n, 1);
	batch_release(&batch);
	delete (f, &schedule);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM runs"), 52);
	purge_all(f, 10);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM runs"), 52);
	assert_whole(f);
	f->now.us += 8 * 24 * HOUR;
	assert_true(purge_all(f, 10) > 5);
	/* The failed one stays for its 30 days, and everything it may need. */
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM runs"), 1);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM skips"), 0);
	assert_int_equal(count(f, STORE_FAILURES), 1);
	assert_whole(f);
	f->now.us += 30 * 24 * HOUR;
	purge_all(f, 10);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM runs"), 0);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM attempts"), 0);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM definitions"), 1);
	assert_int_equal(count(f, STORE_FAILURES), 0);
	assert_whole(f);
	struct store_check check;

	assert_ok(store_check(f->store, &check, NULL));
	assert_int_equal(check.delivered, 40);
	assert_int_equal(check.failed, 1);
	assert_int_equal(check.planned, check.delivered + check.failed + check.cancelled + check.skipped);
	assert_true(check.skipped > 7000);
}

/* A clock that was a year ahead for a moment left runs behind that look young; those after them go all the same. */
static void runs_of_a_wrong_clock_do_not_keep_the_younger(void **state)
{
	struct fixture *f = *state;
	const int64_t right_us = f->now.us, shown_us[] = { right_us, right_us + 365 * 24 * HOUR, right_us + SECOND };

	for (size_t i = 0; i < sizeof shown_us / sizeof shown_us[0]; i++) {
		f->now.us = shown_us[i];
		struct schedule_definition definition = definition_once(f->now.us);

		insert(f, &definition);
		struct run run = claim_one(f);

		assert_true(record_delivered(f, &run));
	}
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM runs"), 3);
	f->now.us = right_us + 8 * 24 * HOUR;
	purge_all(f, 10);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM runs"), 1);
	assert_whole(f);
}

static void ids_of_runs_are_never_used_twice(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	struct run first = fail_one(f, &schedule);

	f->now.us += 31 * 24 * HOUR;
	purge_all(f, 10);
	fixture_reopen(f);
	struct run second = fail_one(f, &schedule);

	assert_true(second.id > first.id);
}

static void open_runs_and_what_they_send_stay(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0), changes = { .payload = STR("2") };
	struct schedule schedule = insert(f, &definition);
	struct run run = claim_one(f);

	assert_true(record_retry(f, &run, T0 + 40 * 24 * HOUR));
	update(f, &schedule, SCHEDULE_PAYLOAD, &changes);
	f->now.us += 40 * 24 * HOUR;
	purge_all(f, 10);
	run = claim_one(f);
	assert_true(str_equal(run.body, STR("{\"n\":1}")));
	assert_whole(f);
}

static void a_broken_sum_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	struct store_check check;

	fail_one(f, &schedule);
	assert_ok(fixture_script(f, "DELETE FROM runs; DELETE FROM failures;"));
	assert_ok(store_check(f->store, &check, NULL));
	assert_false(check.sum_holds);
	assert_false(check.integrity_ok);
	assert_non_null(strstr(check.integrity, "failures"));
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_failed_run_is_a_failed_task),
		T(a_requeue_sends_the_same_run_and_body),
		T(a_requeued_run_that_fails_keeps_its_task),
		T(many_failures_share_what_they_can),
		T(a_purge_keeps_the_sum),
		T(runs_of_a_wrong_clock_do_not_keep_the_younger),
		T(ids_of_runs_are_never_used_twice),
		T(open_runs_and_what_they_send_stay),
		T(a_broken_sum_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
