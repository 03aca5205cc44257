/* SPDX-License-Identifier: BSD-3-Clause */
/* Edits around the death of a process: what it had may have been sent, so it keeps its id and its body or counts as a
 * run (P4, P7, P13). */
#include "contract.h"

/* Dies, starts again, recovers. */
static void crash(struct fixture *f)
{
	int64_t recovered;

	fixture_reopen(f);
	begin(f);
	assert_int_equal(store_recover(f->store, f->now, &recovered), ERR_OK);
	commit(f);
}

/* The process dies between the edit and the answer of the delivery side. */
static void what_was_asked_back_is_settled_at_the_next_start(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *"), off = { .enabled = false },
				   changes = { .payload = STR("\"new\"") };
	struct schedule cancelled = insert(f, &definition), redefined = insert(f, &definition);

	f->now.us += HOUR - SECOND;
	struct claim_batch batch = claim(f, 2 * SECOND, 10);

	assert_int_equal(batch.runs_n, 2);
	batch_release(&batch);
	update(f, &cancelled, SCHEDULE_ENABLED, &off);
	update(f, &redefined, SCHEDULE_PAYLOAD, &changes);
	crash(f);
	batch = claim(f, 2 * SECOND, 10);
	assert_int_equal(batch.runs_n, 1);
	assert_memory_equal(batch.runs[0].schedule_uuid, redefined.uuid, 16);
	assert_true(str_equal(batch.runs[0].body, definition.payload)); /* it may have been sent: the body stays (P4) */
	batch_release(&batch);
	assert_int_equal(get(f, &cancelled).triggered, 1); /* it may have been sent, too */
	assert_whole(f);
}

/* Switched off after the start: whatever of it was sent before, nothing is sent now (P13), and it counts as a run. */
static void what_a_crash_left_is_cancelled_by_a_later_edit(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *"), off = { .enabled = false };
	struct schedule waiting = insert(f, &definition), leased = insert(f, &definition);

	f->now.us += HOUR - SECOND;
	struct claim_batch batch = claim(f, 2 * SECOND, 10);

	assert_int_equal(batch.runs_n, 2);
	batch_release(&batch);
	crash(f);
	update(f, &waiting, SCHEDULE_ENABLED, &off);
	batch = claim(f, 2 * SECOND, 10);
	assert_int_equal(batch.runs_n, 1);
	assert_memory_equal(batch.runs[0].schedule_uuid, leased.uuid, 16);
	update(f, &leased, SCHEDULE_ENABLED, &off);
	assert_true(give_back(f, &batch.runs[0]));
	batch_release(&batch);
	batch = claim(f, 2 * SECOND, 10);
	assert_int_equal(batch.runs_n, 0);
	batch_release(&batch);
	assert_int_equal(get(f, &waiting).triggered, 1);
	assert_int_equal(get(f, &leased).triggered, 1);
	assert_whole(f);
}

/* Off and on again while the delivery side has it: its instant does not come under another id (P4). */
static void a_one_shot_that_a_crash_left_keeps_its_id_through_edits(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(f->now.us), off = { .enabled = false },
				   on = { .enabled = true };
	struct schedule schedule = insert(f, &definition);
	struct run old = claim_one(f);

	crash(f);
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 1);
	update(f, &schedule, SCHEDULE_ENABLED, &off);
	update(f, &schedule, SCHEDULE_ENABLED, &on);
	give_back(f, &batch.runs[0]);
	batch_release(&batch);
	batch = claim(f, 0, 10);
	assert_int_equal(batch.runs_n, 1);
	assert_memory_equal(batch.runs[0].uuid, old.uuid, 16);
	assert_true(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	assert_false(get(f, &schedule).has_next);
	assert_int_equal(get(f, &schedule).triggered, 1);
	assert_whole(f);
}

/* A one-shot whose content was edited while it was on the wire, and then the process died. */
static void an_edited_one_shot_keeps_its_id_through_a_crash(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_once(f->now.us), changes = { .payload = STR("\"new\"") };
	struct schedule schedule = insert(f, &definition);
	struct run old = claim_one(f);

	update(f, &schedule, SCHEDULE_PAYLOAD, &changes);
	crash(f);
	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 1);
	assert_memory_equal(batch.runs[0].uuid, old.uuid, 16);
	assert_true(str_equal(batch.runs[0].body, definition.payload));
	assert_true(record_delivered(f, &batch.runs[0]));
	batch_release(&batch);
	assert_false(get(f, &schedule).has_next);
	assert_whole(f);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_asked_back_is_settled_at_the_next_start),
		T(what_a_crash_left_is_cancelled_by_a_later_edit),
		T(a_one_shot_that_a_crash_left_keeps_its_id_through_edits),
		T(an_edited_one_shot_keeps_its_id_through_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
