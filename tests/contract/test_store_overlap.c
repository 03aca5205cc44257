/* SPDX-License-Identifier: BSD-3-Clause */
/* Catch-up and overlap of a schedule in the store: what runs after a gap (P7), and that runs which may not overlap
 * never do, whatever ends the one before them, and never wait for nothing (P10). */
#include "contract.h"

#include <time.h>

#include "store/internal.h"

#define DAY (24 * HOUR)

static int64_t open_n(struct fixture *f)
{
	return fixture_number(f, "SELECT count(*) FROM runs WHERE state = 0");
}

static int64_t queued_n(struct fixture *f)
{
	return fixture_number(f, "SELECT count(*) FROM runs WHERE queued = 1");
}

static int64_t skipped_n(struct fixture *f)
{
	return fixture_number(f, "SELECT sum(count) FROM skips WHERE reason = 1");
}

static void assert_none(struct fixture *f)
{
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 0);
	assert_false(batch.more);
	batch_release(&batch);
}

/* The one run that may be sent now, of that second. */
static struct run claim_second(struct fixture *f, int64_t second)
{
	struct run run = claim_one(f);

	assert_int_equal((run.planned_at.us - T0) / SECOND, second);
	return run;
}

static struct schedule insert_every(struct fixture *f, const char *interval, enum overlap overlap)
{
	struct schedule_definition definition = definition_interval(interval);

	definition.overlap = overlap;
	return insert(f, &definition);
}

static void at_second(struct fixture *f, int64_t second)
{
	f->now.us = T0 + second * SECOND;
}

/* --- records --------------------------------------------------------------------------------------------- */

static void the_policies_are_kept(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("1 hours");
	struct schedule plain = insert(f, &definition);

	assert_int_equal(plain.definition.catch_up, CATCH_UP_LATEST);
	assert_int_equal(plain.definition.overlap, OVERLAP_ALLOW);
	definition.catch_up = CATCH_UP_NONE;
	definition.overlap = OVERLAP_QUEUE;
	struct schedule schedule = insert(f, &definition);

	fixture_reopen(f);
	assert_int_equal(get(f, &schedule).definition.catch_up, CATCH_UP_NONE);
	assert_int_equal(get(f, &schedule).definition.overlap, OVERLAP_QUEUE);
	definition.catch_up = CATCH_UP_ALL;
	definition.overlap = OVERLAP_SKIP;
	update(f, &schedule, SCHEDULE_CATCH_UP, &definition);
	assert_int_equal(get(f, &schedule).definition.catch_up, CATCH_UP_ALL);
	assert_int_equal(get(f, &schedule).definition.overlap, OVERLAP_QUEUE);
	assert_int_equal(update(f, &schedule, SCHEDULE_OVERLAP, &definition).definition.overlap, OVERLAP_SKIP);
	assert_int_equal(get(f, &schedule).next_at.us, T0 + HOUR);
}

/* --- at the instant -------------------------------------------------------------------------------------- */

static void nothing_is_decided_ahead(void **state)
{
	struct fixture *f = *state;

	for (int overlap = OVERLAP_SKIP; overlap <= OVERLAP_QUEUE; overlap++) {
		struct schedule schedule = insert_every(f, "10 seconds", (enum overlap)overlap);
		int64_t due_us = schedule.next_at.us, age;

		f->now.us = due_us - 1;
		struct claim_batch batch = claim(f, SECOND, 10);

		assert_int_equal(batch.runs_n, 0);
		assert_false(batch.more || batch.has_next);
		assert_true(batch.has_no_ahead);
		assert_int_equal(batch.no_ahead_at.us, due_us);
		batch_release(&batch);
		assert_int_equal(open_n(f), 0);
		f->now.us = due_us;
		struct run run = claim_one(f);

		assert_int_equal(run.planned_at.us, due_us);
		assert_int_equal(run.start_at.us, due_us);
		f->now.us += 13 * SECOND;
		assert_ok(store_oldest_due(f->store, f->now, &age));
		assert_int_equal(age, 3 * SECOND);
		delete (f, &schedule);
	}
	assert_whole(f);
}

static void an_edit_of_overlap_holds_for_the_next_instant(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition changes = { .overlap = OVERLAP_SKIP };
	struct schedule schedule = insert_every(f, "10 seconds", OVERLAP_ALLOW);

	update(f, &schedule, SCHEDULE_OVERLAP, &changes);
	at_second(f, 9);
	struct claim_batch batch = claim(f, 2 * SECOND, 10);

	assert_int_equal(batch.runs_n, 0);
	assert_true(batch.has_no_ahead && !batch.has_next);
	batch_release(&batch);
	changes.overlap = OVERLAP_ALLOW;
	update(f, &schedule, SCHEDULE_OVERLAP, &changes);
	assert_int_equal(take_notice(f).due_at.us, T0 + 10 * SECOND);
	batch = claim(f, 2 * SECOND, 10);
	assert_int_equal(batch.runs_n, 1);
	batch_release(&batch);
	assert_whole(f);
}

/* --- skip ------------------------------------------------------------------------------------------------ */

static void an_open_run_skips_the_next(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("10 seconds");

	definition.overlap = OVERLAP_SKIP;
	definition.has_frequency = true;
	definition.frequency = 2;
	struct schedule schedule = insert(f, &definition);

	at_second(f, 10);
	struct run first = claim_second(f, 10);

	for (int64_t second = 20; second <= 40; second += 10) {
		at_second(f, second);
		assert_none(f);
	}
	/* Also while it waits for its retry. */
	assert_true(record_retry(f, &first, T0 + 55 * SECOND));
	at_second(f, 50);
	assert_none(f);
	assert_int_equal(skipped_n(f), 4);
	assert_int_equal(get(f, &schedule).triggered, 1);
	assert_int_equal(get(f, &schedule).next_at.us, T0 + 60 * SECOND);
	at_second(f, 55);
	first = claim_second(f, 10);
	assert_true(record_delivered(f, &first));
	at_second(f, 60);
	struct run second = claim_second(f, 60);

	assert_false(get(f, &schedule).has_next);
	assert_true(record_failed(f, &second));
	assert_none(f);
	assert_int_equal(open_n(f), 0);
	assert_whole(f);
}

/* Of several that are due at once the first runs; the others find it open. */
static void what_is_late_together_is_one_run(void **state)
{
	struct fixture *f = *state;

	insert_every(f, "1 seconds", OVERLAP_SKIP);
	at_second(f, 50000);
	struct claim_batch batch = claim_late(f, 0, 10);

	assert_int_equal(batch.runs_n, 1);
	assert_false(batch.more);
	assert_int_equal(batch.runs[0].planned_at.us, T0 + SECOND);
	batch_release(&batch);
	assert_int_equal(skipped_n(f), 49999);
	assert_int_equal(fixture_number(f, "SELECT to_at FROM skips"), f->now.us);
	assert_whole(f);
}

static void missed_ones_and_overlapping_ones_are_told_apart(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("1 seconds");

	definition.overlap = OVERLAP_SKIP;
	definition.catch_up = CATCH_UP_ALL;
	insert(f, &definition);
	at_second(f, 1);
	struct run run = claim_second(f, 1);

	at_second(f, 5001);
	struct claim_batch batch = claim_late(f, f->now.us + 1, 10);

	assert_int_equal(batch.runs_n, 0);
	batch_release(&batch);
	assert_int_equal(fixture_number(f, "SELECT sum(count) FROM skips WHERE reason = 0"), 4000);
	assert_int_equal(skipped_n(f), 1000);
	assert_int_equal(fixture_number(f, "SELECT from_at FROM skips WHERE reason = 1"), T0 + 4002 * SECOND);
	assert_true(record_delivered(f, &run));
	assert_whole(f);
}

static void a_one_shot_can_be_skipped(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0 + SECOND);

	definition.overlap = OVERLAP_SKIP;
	struct schedule schedule = insert(f, &definition);

	at_second(f, 1);
	struct run run = claim_second(f, 1);

	definition = definition_once(T0 + 2 * SECOND);
	update(f, &schedule, SCHEDULE_ONCE_AT, &definition);
	at_second(f, 2);
	assert_none(f);
	assert_false(get(f, &schedule).has_next);
	assert_int_equal(skipped_n(f), 1);
	assert_true(record_delivered(f, &run));
	assert_whole(f);
}

/* Nobody loses a failed task to `skip`: requeued runs wait for each other. */
static void requeued_runs_are_not_skipped(void **state)
{
	struct fixture *f = *state;
	int64_t requeued;

	for (int overlap = OVERLAP_SKIP; overlap <= OVERLAP_QUEUE; overlap++) {
		struct schedule schedule = insert_every(f, "10 seconds", (enum overlap)overlap);
		int64_t base_us = f->now.us;

		for (int i = 1; i <= 4; i++) {
			f->now.us = base_us + i * 10 * SECOND;
			struct run run = claim_one(f);

			if (i < 4)
				assert_true(record_failed(f, &run));
		}
		begin(f);
		assert_ok(store_failures_requeue(f->store, f->now, &requeued));
		commit(f);
		assert_int_equal(requeued, 3);
		assert_int_equal(count(f, STORE_RETRIES), 3);
		/* The fourth is on the wire. */
		assert_none(f);
		assert_whole(f);
		assert_ok(fixture_script(f, "UPDATE runs SET state = 1, lease = NULL WHERE lease IS NOT NULL"));
		fixture_reopen(f);
		begin(f);
		assert_ok(store_recover(f->store, f->now, &requeued));
		commit(f);
		for (int i = 1; i <= 3; i++) {
			struct run run = claim_one(f);

			assert_int_equal(run.planned_at.us, base_us + i * 10 * SECOND);
			assert_true(run.was_failed);
			assert_none(f);
			assert_true(record_delivered(f, &run));
		}
		assert_int_equal(count(f, STORE_FAILURES), 0);
		assert_whole(f);
		delete (f, &schedule);
	}
}

/* --- queue ----------------------------------------------------------------------------------------------- */

static void runs_wait_in_order(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule = insert_every(f, "10 seconds", OVERLAP_QUEUE);

	at_second(f, 10);
	struct run first = claim_second(f, 10);

	for (int64_t second = 20; second <= 40; second += 10) {
		at_second(f, second);
		assert_none(f);
	}
	assert_int_equal(queued_n(f), 3);
	assert_int_equal(get(f, &schedule).triggered, 4);
	/* No timer: the claim tells of nothing but the next instant. */
	struct claim_batch batch = claim(f, 0, 10);

	assert_false(batch.has_next);
	assert_int_equal(batch.no_ahead_at.us, T0 + 50 * SECOND);
	batch_release(&batch);
	assert_whole(f);
	take_notice(f);
	assert_true(record_failed(f, &first));
	assert_int_equal(take_notice(f).due_at.us, f->now.us);
	struct run second = claim_second(f, 20);

	assert_int_equal(second.start_at.us, T0 + 20 * SECOND);
	assert_none(f);
	/* A retry keeps its place. */
	assert_true(record_retry(f, &second, T0 + 45 * SECOND));
	assert_none(f);
	at_second(f, 45);
	second = claim_second(f, 20);
	assert_true(record_delivered(f, &second));
	struct run third = claim_second(f, 30);

	at_second(f, 50);
	assert_none(f);
	assert_true(record_delivered(f, &third));
	for (int64_t at = 40; at <= 50; at += 10) {
		struct run run = claim_second(f, at);

		assert_none(f);
		assert_true(record_delivered(f, &run));
	}
	assert_int_equal(open_n(f), 0);
	assert_none(f);
	assert_whole(f);
}

/* A long backlog is recorded in bounded pieces; of each schedule one is given out, and others have their turn. */
static void a_backlog_is_queued_in_pieces(void **state)
{
	struct fixture *f = *state;
	int64_t last_us = 0;
	unsigned claims = 0, given = 0;
	bool more = true;
	struct run run = { 0 };

	insert_every(f, "1 seconds", OVERLAP_QUEUE);
	at_second(f, 95);
	while (more) {
		struct claim_batch batch = claim_late(f, 0, 10);

		given += batch.runs_n;
		if (batch.runs_n)
			run = batch.runs[0];
		more = batch.more;
		assert_true(fixture_number(f, "SELECT count(*) FROM runs") <= 10 * (int64_t)++claims);
		batch_release(&batch);
	}
	assert_int_equal(given, 1);
	assert_int_equal(claims, 10);
	assert_int_equal(queued_n(f), 94);
	for (int i = 0; i < 95; i++) {
		assert_true(run.planned_at.us > last_us);
		last_us = run.planned_at.us;
		assert_true(record_delivered(f, &run));
		if (i < 94)
			run = claim_one(f);
	}
	assert_int_equal(open_n(f), 0);
	assert_whole(f);
}

static void schedules_do_not_wait_for_each_other(void **state)
{
	struct fixture *f = *state;

	insert_every(f, "10 seconds", OVERLAP_QUEUE);
	insert_every(f, "10 seconds", OVERLAP_QUEUE);
	insert_every(f, "10 seconds", OVERLAP_ALLOW);
	at_second(f, 20);
	struct claim_batch batch = claim_late(f, 0, 100);

	assert_int_equal(batch.runs_n, 4);
	for (uint32_t i = 0; i < batch.runs_n; i++)
		if (batch.runs[i].schedule_row != 1)
			assert_true(record_delivered(f, &batch.runs[i]));
	batch_release(&batch);
	struct run run = claim_second(f, 20);

	assert_int_equal(run.schedule_row, 2);
	assert_true(record_delivered(f, &run));
	assert_int_equal(queued_n(f), 1);
	assert_none(f);
	assert_whole(f);
}

/* --- every end hands on ---------------------------------------------------------------------------------- */

/* Two waiting behind one that is given out; minutes 1, 2 and 3. */
static struct run three_minutes(struct fixture *f, struct schedule *schedule)
{
	struct schedule_definition definition = definition_cron("* * * * *");

	definition.overlap = OVERLAP_QUEUE;
	*schedule = insert(f, &definition);
	at_second(f, 60);
	struct run run = claim_second(f, 60);

	for (int64_t minute = 2; minute <= 3; minute++) {
		at_second(f, minute * 60);
		assert_none(f);
	}
	assert_int_equal(queued_n(f), 2);
	return run;
}

/* Odd minutes are no occurrences any more. */
static void to_even_minutes(struct fixture *f, const struct schedule *schedule)
{
	struct schedule_definition changes = definition_cron("*/2 * * * *");

	update(f, schedule, SCHEDULE_CRON, &changes);
}

static void a_run_taken_back_hands_on(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	struct run run = three_minutes(f, &schedule);

	to_even_minutes(f, &schedule);
	struct store_notice notice = take_notice(f);

	assert_int_equal(notice.revoked_n, 1);
	free(notice.revoked);
	/* The third was cancelled at once, the first is when it comes back. */
	assert_int_equal(queued_n(f), 1);
	assert_none(f);
	assert_true(record(f, record_of(&run, STORE_RELEASE, NULL)));
	assert_true(take_notice(f).has_due);
	assert_int_equal(get(f, &schedule).triggered, 1);
	run = claim_second(f, 120);
	assert_true(record_delivered(f, &run));
	assert_int_equal(open_n(f), 0);
	assert_whole(f);
}

static void a_run_that_was_to_be_taken_back_in_a_crash_hands_on(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	int64_t recovered;

	three_minutes(f, &schedule);
	to_even_minutes(f, &schedule);
	fixture_reopen(f);
	begin(f);
	assert_ok(store_recover(f->store, f->now, &recovered));
	commit(f);
	claim_second(f, 120);
	assert_whole(f);
}

static void an_unsent_run_that_an_edit_cancels_hands_on(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	struct run run = three_minutes(f, &schedule);

	/* Given back unsent (a drain), so that the edit finds it waiting. */
	struct store_record release = record_of(&run, STORE_RELEASE, NULL);

	release.eligible_at = f->now;
	assert_true(record(f, release));
	assert_int_equal(queued_n(f), 2);
	to_even_minutes(f, &schedule);
	assert_true(take_notice(f).has_due);
	run = claim_second(f, 120);
	assert_whole(f);
}

static void a_parked_run_keeps_its_place(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	struct run run = three_minutes(f, &schedule);
	struct store_record park = record_of(&run, STORE_PARK, NULL);

	park.eligible_at.us = f->now.us + 30 * SECOND;
	assert_true(record(f, park));
	assert_none(f);
	struct claim_batch batch = claim_lane(f, run.lane, 10);

	assert_int_equal(batch.runs_n, 1);
	assert_int_equal(batch.runs[0].planned_at.us, T0 + MINUTE);
	assert_true(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	claim_second(f, 120);
	assert_whole(f);
}

/* P13: as any other run that was not sent. */
static void waiting_runs_are_taken_back(void **state)
{
	struct fixture *f = *state;
	const struct {
		unsigned set;
		struct schedule_definition changes;
	} rows[] = {
		{ SCHEDULE_PAYLOAD, { .payload = STR("{\"n\":2}"), .enabled = true } },
		{ SCHEDULE_ENABLED, { .enabled = false } },
		{ SCHEDULE_CRON, { .cron = STR("30 4 * * *"), .enabled = true } },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct schedule schedule;
		struct run run = three_minutes(f, &schedule);

		assert_true(record_retry(f, &run, f->now.us));
		run = claim_second(f, 60);
		update(f, &schedule, rows[i].set, &rows[i].changes);
		/* The one that was sent goes on with what it was sent with. */
		assert_int_equal(open_n(f), 1);
		assert_int_equal(get(f, &schedule).triggered, 1);
		assert_true(record_delivered(f, &run));
		assert_whole(f);
		delete (f, &schedule);
		f->now.us = T0;
		assert_none(f);
	}
}

static void a_deleted_schedule_leaves_nobody_waiting(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	struct run run = three_minutes(f, &schedule);

	delete (f, &schedule);
	assert_int_equal(open_n(f), 0);
	assert_false(record_delivered(f, &run));
	assert_none(f);
	assert_whole(f);
}

static void a_queue_survives_a_crash(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	int64_t recovered;
	struct run before = three_minutes(f, &schedule);

	for (int64_t minute = 1; minute <= 3; minute++) {
		fixture_reopen(f);
		begin(f);
		assert_ok(store_recover(f->store, f->now, &recovered));
		commit(f);
		assert_int_equal(recovered, minute == 1);
		struct run run = claim_second(f, minute * 60);

		assert_int_equal(memcmp(run.uuid, before.uuid, 16) == 0, minute == 1);
		assert_none(f);
		/* Without a start in between: the queue is known from the file. */
		fixture_reopen(f);
		assert_true(record_delivered(f, &run));
	}
	assert_int_equal(open_n(f), 0);
	assert_whole(f);
}

/* A fenced record ends nothing. */
static void a_lost_lease_hands_nothing_on(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	struct run run = three_minutes(f, &schedule), stale = run;

	stale.lease++;
	assert_false(record_delivered(f, &stale));
	assert_none(f);
	assert_int_equal(queued_n(f), 2);
	assert_whole(f);
}

static void an_undone_record_hands_nothing_on(void **state)
{
	struct fixture *f = *state;
	struct schedule schedule;
	struct run run = three_minutes(f, &schedule);
	struct outcome outcome = outcome_of(f, OUTCOME_DELIVERED, 200);
	struct store_record delivered = record_of(&run, STORE_DELIVERED, &outcome);

	begin(f);
	assert_ok(store_record(f->store, &delivered, 1, f->now));
	store_rollback(f->store);
	assert_none(f);
	assert_int_equal(queued_n(f), 2);
	assert_true(record_delivered(f, &run));
	claim_second(f, 120);
	assert_whole(f);
}

/* The one in front cannot be sent for the time being: they wait, and an edit frees them. */
static void who_waits_behind_a_damaged_run_is_freed_by_an_edit(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("* * * * *");
	struct schedule_definition off = { .enabled = false };

	definition.overlap = OVERLAP_QUEUE;
	definition.auth_token = STR("t");
	struct schedule schedule = insert(f, &definition);

	at_second(f, 60);
	struct run run = claim_second(f, 60);

	at_second(f, 120);
	assert_none(f);
	assert_true(record_retry(f, &run, f->now.us));
	assert_ok(fixture_script(f, "UPDATE definitions SET auth_token = x'00'"));
	assert_none(f);
	assert_int_equal(queued_n(f), 1);
	assert_whole(f);
	assert_ok(fixture_script(f, "UPDATE definitions SET auth_token = NULL"));
	update(f, &schedule, SCHEDULE_ENABLED, &off);
	assert_int_equal(queued_n(f), 0);
	f->now.us += 2 * MINUTE;
	run = claim_second(f, 60);
	assert_true(record_delivered(f, &run));
	assert_whole(f);
}

/* --- edits of overlap ------------------------------------------------------------------------------------ */

static void open_runs_line_up_when_overlap_ends(void **state)
{
	struct fixture *f = *state;

	for (int overlap = OVERLAP_SKIP; overlap <= OVERLAP_QUEUE; overlap++) {
		struct schedule_definition changes = { .overlap = (enum overlap)overlap };

		at_second(f, 0);
		struct schedule schedule = insert_every(f, "10 seconds", OVERLAP_ALLOW);

		at_second(f, 50);
		struct claim_batch batch = claim(f, 10 * SECOND, 10);

		assert_int_equal(batch.runs_n, 6);
		/* 10 and 30 wait for a retry, 20 was given back; 40 is on the wire, 50 waits in memory, 60 for its
		 * instant. */
		assert_true(record_retry(f, &batch.runs[0], T0 + 51 * SECOND));
		assert_true(record_retry(f, &batch.runs[2], T0 + 51 * SECOND));
		struct store_record release = record_of(&batch.runs[1], STORE_RELEASE, NULL);

		release.eligible_at = f->now;
		assert_true(record(f, release));
		update(f, &schedule, SCHEDULE_OVERLAP, &changes);
		struct store_notice notice = take_notice(f);

		assert_int_equal(notice.revoked_n, 3);
		free(notice.revoked);
		at_second(f, 55);
		assert_none(f);
		for (size_t i = 4; i <= 5; i++) {
			struct store_record back = record_of(&batch.runs[i], STORE_RELEASE, NULL);

			back.eligible_at = f->now;
			assert_true(record(f, back));
		}
		assert_none(f);
		assert_whole(f);
		assert_true(record_delivered(f, &batch.runs[3]));
		batch_release(&batch);
		static const int64_t order[] = { 10, 20, 30, 50, 60 };

		for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
			batch = claim(f, 10 * SECOND, 10);
			assert_int_equal(batch.runs_n, 1);
			assert_int_equal((batch.runs[0].planned_at.us - T0) / SECOND, order[i]);
			assert_true(record_delivered(f, &batch.runs[0]));
			batch_release(&batch);
		}
		assert_int_equal(open_n(f), 0);
		assert_whole(f);
		delete (f, &schedule);
	}
}

static void a_queue_dissolves(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition changes = { .overlap = OVERLAP_SKIP };
	struct schedule schedule;

	three_minutes(f, &schedule);
	/* From queue to skip: who waits already, waits on. */
	update(f, &schedule, SCHEDULE_OVERLAP, &changes);
	assert_int_equal(queued_n(f), 2);
	assert_none(f);
	changes.overlap = OVERLAP_ALLOW;
	take_notice(f);
	update(f, &schedule, SCHEDULE_OVERLAP, &changes);
	assert_int_equal(take_notice(f).due_at.us, f->now.us);
	assert_int_equal(queued_n(f), 0);
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 2);
	batch_release(&batch);
	assert_whole(f);
}

/* --- the books ------------------------------------------------------------------------------------------- */

static void the_check_finds_who_waits_for_nothing(void **state)
{
	static const char *const damages[] = {
		"UPDATE runs SET state = 1, lease = NULL WHERE lease IS NOT NULL",
		"UPDATE runs SET queued = 0 WHERE queued = 1",
	};
	struct fixture *f = *state;
	struct store_check check;
	struct schedule schedule;

	for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
		three_minutes(f, &schedule);
		assert_whole(f);
		assert_ok(fixture_script(f, damages[i]));
		assert_ok(store_check(f->store, &check, NULL));
		assert_false(check.integrity_ok);
		assert_string_equal(check.integrity, "2 open runs wait for nothing");
		delete (f, &schedule);
		at_second(f, 0);
	}
	/* The next occurrence heals a queue without a head. */
	three_minutes(f, &schedule);
	assert_ok(fixture_script(f, damages[0]));
	at_second(f, 240);
	struct claim_batch batch = claim(f, 0, 10);

	assert_true(batch.more);
	batch_release(&batch);
	claim_second(f, 120);
	assert_whole(f);
}

static void skipped_ones_are_purged_with_their_sum(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition off = { .enabled = false };
	struct schedule schedule = insert_every(f, "10 seconds", OVERLAP_SKIP);
	bool more = true;

	at_second(f, 100);
	struct claim_batch batch = claim_late(f, 0, 10);

	assert_int_equal(batch.runs_n, 1);
	assert_true(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	update(f, &schedule, SCHEDULE_ENABLED, &off);
	f->now.us += 8 * DAY;
	while (more) {
		begin(f);
		assert_ok(store_purge(f->store, f->now, 100, &more));
		commit(f);
	}
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM skips"), 0);
	assert_whole(f);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_policies_are_kept),
		T(nothing_is_decided_ahead),
		T(an_edit_of_overlap_holds_for_the_next_instant),
		T(an_open_run_skips_the_next),
		T(what_is_late_together_is_one_run),
		T(missed_ones_and_overlapping_ones_are_told_apart),
		T(a_one_shot_can_be_skipped),
		T(requeued_runs_are_not_skipped),
		T(runs_wait_in_order),
		T(a_backlog_is_queued_in_pieces),
		T(schedules_do_not_wait_for_each_other),
		T(a_run_taken_back_hands_on),
		T(a_run_that_was_to_be_taken_back_in_a_crash_hands_on),
		T(an_unsent_run_that_an_edit_cancels_hands_on),
		T(a_parked_run_keeps_its_place),
		T(waiting_runs_are_taken_back),
		T(a_deleted_schedule_leaves_nobody_waiting),
		T(a_queue_survives_a_crash),
		T(a_lost_lease_hands_nothing_on),
		T(an_undone_record_hands_nothing_on),
		T(who_waits_behind_a_damaged_run_is_freed_by_an_edit),
		T(open_runs_line_up_when_overlap_ends),
		T(a_queue_dissolves),
		T(the_check_finds_who_waits_for_nothing),
		T(skipped_ones_are_purged_with_their_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
