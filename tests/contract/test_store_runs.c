/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's verbs: planning, claiming, recording, recovering, and what a crash, a lost lease or a damaged row may
 * not do (P2-P5, P7, P9). */
#include "contract.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "store/internal.h"

static void assert_none(struct fixture *f)
{
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 0);
	batch_release(&batch);
}

/* --- planning -------------------------------------------------------------------------------------------- */

static void a_claim_plans_and_leases(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	uint8_t expected[16];

	definition.auth_token = STR("t");
	struct schedule schedule = insert(f, &definition);
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 0);
	assert_false(batch.more);
	assert_true(batch.has_next);
	assert_int_equal(batch.next_at.us, T0 + HOUR);
	batch_release(&batch);
	f->now.us = T0 + HOUR - SECOND / 2;
	batch = claim(f, SECOND, 10);
	assert_int_equal(batch.runs_n, 1);
	const struct run *run = &batch.runs[0];

	assert_int_equal(run->planned_at.us, T0 + HOUR);
	assert_int_equal(run->start_at.us, T0 + HOUR);
	assert_int_equal(run->schedule_row, schedule.row);
	assert_memory_equal(run->schedule_uuid, schedule.uuid, 16);
	run_uuid(f->store->installation, schedule.uuid, run->planned_at, expected);
	assert_memory_equal(run->uuid, expected, 16);
	assert_true(str_equal(run->endpoint, STR("http://a.test/x")));
	assert_true(str_equal(run->body, STR("{\"n\":1}")));
	assert_true(str_equal(run->authorization, STR("Token t")));
	assert_null(run->signing_secret.p);
	assert_int_equal(run->attempts, 0);
	assert_int_equal(run->attempts_budget, 6);
	assert_true(run->lease > 0);
	assert_int_equal(run->lane, store_lane(run->endpoint));
	assert_int_equal(batch.next_at.us, T0 + 2 * HOUR);
	batch_release(&batch);
	/* Leased: nobody gets it again. */
	f->now.us += MINUTE;
	assert_none(f);
	assert_int_equal(get(f, &schedule).triggered, 1);
	assert_int_equal(get(f, &schedule).next_at.us, T0 + 2 * HOUR);
	assert_whole(f);
}

static void set_back(struct fixture *f, int64_t by_us)
{
	f->now.us -= by_us;
	begin(f);
	assert_ok(store_set_back(f->store, f->now, by_us));
	commit(f);
}

static void a_clock_set_back_makes_no_wait_longer(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0 + SECOND), later = definition_once(T0 + 3 * SECOND);

	insert(f, &definition);
	insert(f, &later);
	f->now.us += 2 * SECOND;
	struct run run = claim_one(f);

	assert_true(record_retry(f, &run, f->now.us + 5 * SECOND));
	set_back(f, HOUR);
	f->now.us += 5 * SECOND - 1;
	assert_none(f);
	/* Its second attempt, though its planned instant lies ahead again. The other one's is its first. */
	f->now.us += 1;
	run = claim_one(f);
	assert_int_equal(run.attempts, 1);
	assert_int_equal(run.start_at.us, f->now.us);
	assert_none(f);
	f->now.us = T0 + 3 * SECOND;
	assert_int_equal(claim_one(f).planned_at.us, T0 + 3 * SECOND);
	assert_whole(f);
}

static void a_clock_set_back_while_down_makes_no_wait_longer_than_the_longest(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0 + SECOND);
	int64_t recovered;

	insert(f, &definition);
	f->now.us += 2 * SECOND;
	struct run run = claim_one(f);

	assert_true(record_retry(f, &run, f->now.us + 5 * SECOND));
	fixture_reopen(f);
	f->now.us -= HOUR;
	begin(f);
	assert_ok(store_recover(f->store, f->now, &recovered));
	commit(f);
	f->now.us += 300 * SECOND - 1;
	assert_none(f);
	f->now.us += 1;
	assert_int_equal(claim_one(f).start_at.us, f->now.us);
	assert_whole(f);
}

static void the_oldest_come_first_and_room_is_kept(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition every = definition_interval("20 seconds"), one = definition_once(T0 + 30 * SECOND),
				   other = definition_once(T0 + 10 * SECOND);
	static const int64_t offsets[] = { 10, 20, 40, 60, 30 };

	insert(f, &every);
	insert(f, &one);
	insert(f, &other);
	f->now.us += 65 * SECOND;
	struct claim_batch first = claim(f, 0, 2), second = claim(f, 0, 2), third = claim(f, 0, 2);
	struct claim_batch *batches[] = { &first, &second, &third };
	size_t at = 0;

	assert_true(first.more);
	assert_true(second.more);
	assert_int_equal(third.runs_n, 1);
	assert_false(third.more);
	int64_t seen[5];

	for (size_t i = 0; i < 3; i++)
		for (uint32_t k = 0; k < batches[i]->runs_n; k++)
			seen[at++] = (batches[i]->runs[k].planned_at.us - T0) / SECOND;
	assert_int_equal(at, 5);
	assert_int_equal(seen[0], offsets[0]);
	assert_int_equal(seen[1], offsets[1]);
	/* What a schedule has due beyond the room waits its turn by instant. */
	assert_int_equal(seen[2], 30);
	assert_int_equal(seen[3], 40);
	assert_int_equal(seen[4], 60);
	for (size_t i = 0; i < 3; i++)
		batch_release(batches[i]);
	assert_whole(f);
}

static void missed_occurrences_are_one_range(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("* * * * *");
	struct schedule schedule = insert(f, &definition);

	f->now.us += 30 * 24 * HOUR + SECOND;
	struct claim_batch batch = claim_late(f, f->now.us, 1000);

	assert_int_equal(batch.runs_n, 1);
	assert_int_equal(batch.runs[0].planned_at.us, T0 + 30 * 24 * HOUR);
	assert_true(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM skips"), 1);
	assert_int_equal(fixture_number(f, "SELECT count FROM skips"), 30 * 24 * 60 - 1);
	assert_int_equal(fixture_number(f, "SELECT from_at FROM skips"), T0 + MINUTE);
	assert_int_equal(get(f, &schedule).triggered, 1);
	assert_whole(f);
}

static void a_schedule_that_cannot_be_planned_waits_alone(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition poison = definition_cron("30 * * * *"), good = definition_cron("30 * * * *");

	poison.timezone = STR("Europe/Berlin");
	struct schedule bad = insert(f, &poison);

	insert(f, &good);
	assert_ok(fixture_script(f, "UPDATE schedules SET timezone = 'Moon/Tycho' WHERE id = 1"));
	f->now.us += 30 * MINUTE;
	struct run run = claim_one(f);

	assert_int_not_equal(run.schedule_row, bad.row);
	assert_int_equal(get(f, &bad).next_at.us, T0 + 30 * MINUTE);
	assert_none(f);
	f->now.us += 30 * SECOND;
	assert_none(f);
	/* It is looked at again after a minute, and has lost nothing. */
	assert_ok(fixture_script(f, "UPDATE schedules SET timezone = 'Europe/Berlin' WHERE id = 1"));
	f->now.us += 31 * SECOND;
	run = claim_one(f);
	assert_int_equal(run.schedule_row, bad.row);
	assert_int_equal(run.planned_at.us, T0 + 30 * MINUTE);
	assert_whole(f);
}

static void a_secret_that_does_not_open_is_never_left_out(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");

	definition.auth_token = STR("t");
	insert(f, &definition);
	definition.auth_token = STR("u");
	struct schedule victim = insert(f, &definition);

	/* A sealed token copied from another record. */
	assert_ok(fixture_script(
		f, "UPDATE definitions SET auth_token = (SELECT auth_token FROM definitions WHERE id = 1) "
		   "WHERE id = 2"));
	f->now.us += HOUR;
	struct run run = claim_one(f);

	assert_int_not_equal(run.schedule_row, victim.row);
}

static void write_zone(struct fixture *f, const char *from, const char *name)
{
	char command[512];

	snprintf(command, sizeof command, "cp /usr/share/zoneinfo/%s %s/zones/new && mv %s/zones/new %s/zones/%s", from,
		 f->dir, f->dir, f->dir, name);
	assert_int_equal(system(command), 0);
}

/* P9: new rules move future runs, at once for a running service and after a restart, and leave what is due. */
static void changed_zone_rules_move_future_runs(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 12 * * *");
	char dir[96];

	snprintf(dir, sizeof dir, "%s/zones", f->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	write_zone(f, "Europe/Berlin", "Here");
	setenv("TZDIR", dir, 1);
	fixture_reopen(f);
	definition.timezone = STR("Here");
	struct schedule schedule = insert(f, &definition);

	assert_int_equal(schedule.next_at.us, T0 + 11 * HOUR);
	assert_none(f);
	write_zone(f, "Asia/Tokyo", "Here");
	f->now.us += 30 * SECOND;
	assert_none(f);
	assert_int_equal(get(f, &schedule).next_at.us, T0 + 11 * HOUR);
	f->now.us += 31 * SECOND;
	assert_none(f);
	assert_int_equal(get(f, &schedule).next_at.us, T0 + 3 * HOUR);
	write_zone(f, "UTC", "Here");
	fixture_reopen(f);
	f->now.us += MINUTE;
	assert_none(f);
	assert_int_equal(get(f, &schedule).next_at.us, T0 + 12 * HOUR);
	/* Due already when the rules change: it runs as it was promised. */
	f->now.us = T0 + 12 * HOUR + 2 * MINUTE;
	write_zone(f, "Asia/Tokyo", "Here");
	assert_int_equal(claim_one(f).planned_at.us, T0 + 12 * HOUR);
	unsetenv("TZDIR");
	assert_whole(f);
}

/* --- leases ---------------------------------------------------------------------------------------------- */

static void a_crash_gives_the_same_run_again(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	int64_t recovered = 0;

	insert(f, &definition);
	f->now.us += HOUR;
	struct run before = claim_one(f);

	fixture_reopen(f);
	assert_none(f);
	begin(f);
	assert_ok(store_recover(f->store, f->now, &recovered));
	commit(f);
	assert_int_equal(recovered, 1);
	assert_true(take_notice(f).has_due);
	struct run after = claim_one(f);

	assert_memory_equal(after.uuid, before.uuid, 16);
	assert_true(str_equal(after.body, before.body));
	assert_int_not_equal(after.lease, before.lease);
	assert_false(record_delivered(f, &before));
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM runs WHERE state = 0"), 1);
	assert_true(record_delivered(f, &after));
	assert_false(record_delivered(f, &after));
	assert_int_equal(fixture_number(f, "SELECT status FROM runs WHERE state = 1"), 204);
	assert_whole(f);
}

static void a_recovered_run_does_not_start_early(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	int64_t recovered;

	insert(f, &definition);
	f->now.us += HOUR - SECOND;
	struct claim_batch batch = claim(f, SECOND, 10);

	assert_int_equal(batch.runs_n, 1);
	batch_release(&batch);
	begin(f);
	assert_ok(store_recover(f->store, f->now, &recovered));
	commit(f);
	batch = claim(f, 0, 10);
	assert_int_equal(batch.runs_n, 0);
	batch_release(&batch);
	batch = claim(f, SECOND, 10);
	assert_int_equal(batch.runs_n, 1);
	assert_int_equal(batch.runs[0].start_at.us, T0 + HOUR);
	batch_release(&batch);
}

static void recover_at(struct fixture *f, int64_t us)
{
	int64_t recovered;

	f->now.us = us;
	begin(f);
	assert_ok(store_recover(f->store, f->now, &recovered));
	commit(f);
}

/* P10: found by the simulator. The clock was wrong when three runs were planned; of those that a start makes eligible
 * some are leased again and found by the next start, some are not. */
static void starts_under_a_clock_set_back_keep_the_order(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("* * * * *");

	insert(f, &definition);
	f->now.us += 3 * MINUTE;
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 3);
	batch_release(&batch);
	recover_at(f, T0);
	batch = claim(f, 2 * MINUTE, 2);
	assert_int_equal(batch.runs_n, 2);
	batch_release(&batch);
	recover_at(f, T0 + 10 * SECOND);
	f->now.us = T0 + 3 * MINUTE;
	batch = claim(f, 0, 10);
	assert_int_equal(batch.runs_n, 3);
	for (int64_t i = 0; i < 3; i++)
		assert_int_equal(batch.runs[i].planned_at.us, T0 + (i + 1) * MINUTE);
	batch_release(&batch);
}

/* P4: found by the simulator. Nobody knows whether a run that was leased when the process died had been sent. */
static void an_edit_after_a_start_leaves_what_may_have_been_sent(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("* * * * *");
	struct schedule schedule = insert(f, &definition);
	struct schedule_definition changes = { .payload = STR("{\"new\":1}") };

	f->now.us += MINUTE;
	struct run run = claim_one(f);

	recover_at(f, f->now.us + SECOND);
	update(f, &schedule, SCHEDULE_PAYLOAD, &changes);
	struct run again = claim_one(f);

	assert_int_equal(again.id, run.id);
	assert_true(str_equal(again.body, definition.payload));
}

static void a_rolled_back_claim_never_was(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct claim_batch batch;

	insert(f, &definition);
	f->now.us += HOUR;
	struct store_claim request = { .now = f->now, .until = f->now, .missed_before = f->now, .room = 10 };

	begin(f);
	assert_ok(store_claim(f->store, &request, &batch));
	assert_int_equal(batch.runs_n, 1);
	store_rollback(f->store);
	assert_false(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	struct run run = claim_one(f);

	assert_true(record_delivered(f, &run));
	assert_whole(f);
}

/* P10: three are on the wire when overlap ends, and the process with them. Wherever they come from, the claim lets one
 * through at a time; a retry whose time has come while another is out waits as well. */
static void a_claim_leases_no_second_run_where_they_may_not_overlap(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("10 seconds"), queue = { .overlap = OVERLAP_QUEUE };
	struct schedule schedule = insert(f, &definition);
	int64_t recovered;

	f->now.us = T0 + 30 * SECOND;
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 3);
	batch_release(&batch);
	update(f, &schedule, SCHEDULE_OVERLAP, &queue);
	fixture_reopen(f);
	begin(f);
	assert_ok(store_recover(f->store, f->now, &recovered));
	commit(f);
	assert_int_equal(recovered, 3);
	struct run first = claim_one(f);

	assert_int_equal(first.planned_at.us, T0 + 10 * SECOND);
	assert_none(f);
	/* Its retry is the next to go, and nobody overtakes it meanwhile. */
	assert_true(record_retry(f, &first, f->now.us + 5 * SECOND));
	assert_none(f);
	f->now.us += 5 * SECOND;
	first = claim_one(f);
	assert_int_equal(first.attempts, 1);
	assert_none(f);
	assert_true(record_delivered(f, &first));
	for (int64_t second = 20; second <= 30; second += 10) {
		struct run run = claim_one(f);

		assert_int_equal(run.planned_at.us, T0 + second * SECOND);
		assert_none(f);
		assert_true(record_delivered(f, &run));
	}
	assert_none(f);
	assert_whole(f);
}

/* --- records --------------------------------------------------------------------------------------------- */

static void a_retry_waits_and_counts_on(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0 + HOUR);

	insert(f, &definition);
	f->now.us += HOUR;
	struct run run = claim_one(f);

	assert_true(record_retry(f, &run, f->now.us + 5 * SECOND));
	assert_int_equal(count(f, STORE_RETRIES), 1);
	assert_int_equal(take_notice(f).due_at.us, f->now.us + 5 * SECOND);
	assert_none(f);
	f->now.us += 4 * SECOND;
	struct claim_batch ahead = claim(f, 2 * SECOND, 10);

	assert_int_equal(ahead.runs_n, 1);
	assert_int_equal(ahead.runs[0].attempts, 1);
	assert_int_equal(ahead.runs[0].attempts_budget, 6);
	assert_int_equal(ahead.runs[0].start_at.us, T0 + HOUR + 5 * SECOND);
	assert_memory_equal(ahead.runs[0].uuid, run.uuid, 16);
	assert_true(record_delivered(f, &ahead.runs[0]));
	batch_release(&ahead);
	assert_int_equal(count(f, STORE_RETRIES), 0);
	assert_int_equal(fixture_number(f, "SELECT started_at FROM runs"), T0 + HOUR);
	assert_whole(f);
}

static void the_last_attempts_are_kept(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0);

	insert(f, &definition);
	for (int i = 0; i < 14; i++) {
		struct run run = claim_one(f);

		assert_int_equal(run.attempts, i);
		assert_true(record_retry(f, &run, f->now.us + SECOND));
		f->now.us += SECOND;
	}
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM attempts"), 10);
	assert_int_equal(fixture_number(f, "SELECT min(n) FROM attempts"), 5);
	assert_int_equal(fixture_number(f, "SELECT class FROM attempts WHERE n = 14 AND detail = 'words' AND "
					   "answer = x'616e73' AND duration_us = 1500"),
			 OUTCOME_TIMEOUT);
	assert_whole(f);
}

static void released_and_parked_runs_come_back(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0);

	for (int i = 0; i < 3; i++)
		insert(f, &definition);
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 3);
	int64_t lane = batch.runs[0].lane;

	for (uint32_t i = 0; i < 3; i++) {
		struct store_record put_back = record_of(&batch.runs[i], i == 0 ? STORE_RELEASE : STORE_PARK, NULL);

		put_back.eligible_at.us = i == 0 ? T0 : T0 + 10 * MINUTE;
		assert_true(record(f, put_back));
	}
	batch_release(&batch);
	struct run released = claim_one(f);

	assert_int_equal(released.attempts, 0);
	assert_true(record_delivered(f, &released));
	batch = claim_lane(f, lane + 1, 10);
	assert_int_equal(batch.runs_n, 0);
	batch_release(&batch);
	batch = claim_lane(f, lane, 1);
	assert_int_equal(batch.runs_n, 1);
	assert_true(batch.more);
	assert_int_equal(batch.runs[0].start_at.us, T0);
	assert_true(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	/* Nobody asks for the lane any more: the safety net brings it back. */
	f->now.us += 10 * MINUTE;
	struct run last = claim_one(f);

	assert_true(record_delivered(f, &last));
	batch = claim_lane(f, lane, 10);
	assert_int_equal(batch.runs_n, 0);
	assert_false(batch.more);
	batch_release(&batch);
	assert_whole(f);
}

/* Else the dispatcher would take the lane for empty, and newer runs for the first in turn (P10). */
static void a_lane_whose_first_runs_cannot_go_is_not_called_empty(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0);

	for (int i = 0; i < 3; i++)
		insert(f, &definition);
	struct claim_batch batch = claim(f, 0, 10);
	int64_t lane = batch.runs[0].lane, last_id = batch.runs[2].id;

	for (uint32_t i = 0; i < 3; i++) {
		struct store_record park = record_of(&batch.runs[i], STORE_PARK, NULL);

		park.eligible_at.us = T0 + MINUTE;
		assert_true(record(f, park));
	}
	batch_release(&batch);
	assert_ok(fixture_script(f, "DELETE FROM definitions WHERE id < (SELECT max(id) FROM definitions)"));
	batch = claim_lane(f, lane, 1);
	assert_int_equal(batch.runs_n, 0);
	assert_true(batch.more);
	batch_release(&batch);
	batch = claim_lane(f, lane, 1);
	assert_int_equal(batch.runs_n, 1);
	assert_int_equal(batch.runs[0].id, last_id);
	assert_false(batch.more);
	batch_release(&batch);
}

static void a_parked_retry_keeps_its_time(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0);

	insert(f, &definition);
	struct run run = claim_one(f);

	assert_true(record_retry(f, &run, T0 + SECOND));
	struct claim_batch batch = claim(f, 2 * SECOND, 10);
	struct store_record park = record_of(&batch.runs[0], STORE_PARK, NULL);

	park.eligible_at.us = T0 + MINUTE;
	assert_true(record(f, park));
	batch_release(&batch);
	batch = claim_lane(f, run.lane, 10);
	assert_int_equal(batch.runs[0].start_at.us, T0 + SECOND);
	batch_release(&batch);
}

static void the_oldest_due_instant_is_known(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0 + HOUR);
	int64_t age = -1;

	insert(f, &definition);
	assert_ok(store_oldest_due(f->store, f->now, &age));
	assert_int_equal(age, 0);
	f->now.us += HOUR + 3 * SECOND;
	assert_ok(store_oldest_due(f->store, f->now, &age));
	assert_int_equal(age, 3 * SECOND);
	claim_one(f);
	assert_ok(store_oldest_due(f->store, f->now, &age));
	assert_int_equal(age, 0);
}

/* --- what the service itself sends ----------------------------------------------------------------------- */

static void a_new_schedule_is_told_to_webhooks(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = { .endpoint = STR("http://a.test/x"),
						  .payload = STR("[1.0]"),
						  .enabled = true,
						  .timezone = STR("UTC"),
						  .cron = STR("0 * * * *") };
	struct webhook hook;
	char expected[1024], id[UUID_TEXT_BYTES];

	begin(f);
	assert_ok(store_webhook_insert(f->store, STR("other"), STR("http://o.test/"), 1, f->now, &f->arena, &hook));
	assert_ok(store_webhook_insert(f->store, STR("schedule.added"), STR("http://h.test/?a"), 1, f->now, &f->arena,
				       &hook));
	commit(f);
	struct schedule schedule = insert(f, &definition);
	struct store_notice notice = take_notice(f);

	assert_int_equal(notice.due_at.us, T0);
	struct run run = claim_one(f);

	uuid_format(schedule.uuid, id);
	snprintf(
		expected, sizeof expected,
		"{\"hook\":{\"id\":2,\"event\":\"schedule.added\",\"target\":\"http://h.test/?a\"},"
		"\"data\":{\"id\":\"%.36s\",\"frequency\":null,\"triggered\":0,"
		"\"cron_definition\":\"0 * * * *\",\"interval_definition\":null,"
		"\"endpoint\":\"http://a.test/x\",\"payload\":[1.0],"
		"\"next_send_at\":\"2030-01-01T01:00:00+00:00\",\"enabled\":true,\"created_at\":\"2030-01-01T00:00:00+00:00\","
		"\"updated_at\":\"2030-01-01T00:00:00+00:00\"}}",
		id);
	assert_true(str_equal(run.body, str_from(expected)));
	assert_int_equal(run.kind, RUN_WEBHOOK);
	assert_int_equal(run.schedule_row, 0);
	assert_true(str_equal(run.endpoint, STR("http://h.test/?a")));
	assert_null(run.authorization.p);
	assert_true(record_failed(f, &run));
	assert_int_equal(count(f, STORE_FAILURES), 0);
	assert_whole(f);
}

static void failed_attempts_push_metrics(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0);

	f->settings.metrics_url = STR("http://m.test");
	f->settings.metrics_authorization = STR("Basic eA==");
	fixture_reopen(f);
	insert(f, &definition);
	insert(f, &definition);
	struct claim_batch batch = claim(f, 0, 10);
	struct store_record records[2];
	struct outcome outcome = outcome_of(f, OUTCOME_HTTP, 503);
	size_t n = 0, created = 0;

	assert_int_equal(batch.runs_n, 4);
	for (uint32_t i = 0; i < 4; i++) {
		const struct run *run = &batch.runs[i];

		if (run->kind == RUN_SCHEDULE) {
			records[n] = record_of(run, STORE_RETRY, &outcome);
			records[n++].eligible_at.us = T0 + HOUR;
			continue;
		}
		assert_true(str_equal(run->endpoint, STR("http://m.test/metrics/")));
		assert_true(str_equal(run->authorization, STR("Basic eA==")));
		assert_true(str_equal(run->body, STR("{\"schedules.created.sum\": 1.0}")));
		assert_true(record_failed(f, run));
		created++;
	}
	assert_int_equal(created, 2);
	begin(f);
	assert_ok(store_record(f->store, records, n, f->now));
	commit(f);
	batch_release(&batch);
	struct run metric = claim_one(f);

	assert_true(str_equal(metric.body, STR("{\"scheduler.deliver_task.http_error.503.sum\": 2.0}")));
	/* A metric that cannot be delivered is no reason for another one. */
	assert_true(record_retry(f, &metric, T0 + HOUR));
	assert_none(f);
	assert_whole(f);
}

static void metrics_that_cannot_be_sent_do_not_pile_up(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0 + HOUR);
	struct schedule schedule;

	f->settings.metrics_url = STR("http://m.test");
	fixture_reopen(f);
	begin(f);
	for (int i = 0; i < 1010; i++)
		assert_ok(store_schedule_insert(f->store, &definition, 0, f->now, &f->arena, &schedule));
	commit(f);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM runs WHERE kind = 2 AND state = 0"), 1000);
	struct claim_batch batch = claim(f, 0, 1);

	assert_true(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	insert(f, &definition);
	insert(f, &definition);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM runs WHERE kind = 2 AND state = 0"), 1000);
	assert_whole(f);
}

static void large_bodies_end_a_batch_early(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(T0);
	size_t n = 1024 * 1024;
	char *payload = malloc(n);

	memset(payload, '7', n);
	definition.payload = (struct str){ payload, n };
	for (int i = 0; i < 20; i++)
		insert(f, &definition);
	free(payload);
	struct claim_batch batch = claim(f, 0, 1000);

	assert_int_equal(batch.runs_n, 16);
	assert_true(batch.more);
	batch_release(&batch);
	batch = claim(f, 0, 1000);
	assert_int_equal(batch.runs_n, 4);
	assert_false(batch.more);
	batch_release(&batch);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_claim_plans_and_leases),
		T(a_clock_set_back_makes_no_wait_longer),
		T(a_clock_set_back_while_down_makes_no_wait_longer_than_the_longest),
		T(the_oldest_come_first_and_room_is_kept),
		T(missed_occurrences_are_one_range),
		T(a_schedule_that_cannot_be_planned_waits_alone),
		T(a_secret_that_does_not_open_is_never_left_out),
		T(changed_zone_rules_move_future_runs),
		T(a_crash_gives_the_same_run_again),
		T(a_recovered_run_does_not_start_early),
		T(starts_under_a_clock_set_back_keep_the_order),
		T(an_edit_after_a_start_leaves_what_may_have_been_sent),
		T(a_rolled_back_claim_never_was),
		T(a_claim_leases_no_second_run_where_they_may_not_overlap),
		T(a_retry_waits_and_counts_on),
		T(the_last_attempts_are_kept),
		T(released_and_parked_runs_come_back),
		T(a_lane_whose_first_runs_cannot_go_is_not_called_empty),
		T(a_parked_retry_keeps_its_time),
		T(the_oldest_due_instant_is_known),
		T(a_new_schedule_is_told_to_webhooks),
		T(failed_attempts_push_metrics),
		T(metrics_that_cannot_be_sent_do_not_pile_up),
		T(large_bodies_end_a_batch_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
