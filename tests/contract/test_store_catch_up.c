/* SPDX-License-Identifier: BSD-3-Clause */
/* Catch-up in the store: what runs and what is skipped after a gap, in however many claims (P7). */
#include "contract.h"

#include <time.h>

#include "store/internal.h"

#define DAY (24 * HOUR)

static int64_t skipped_n(struct fixture *f)
{
	return fixture_number(f, "SELECT sum(count) FROM skips WHERE reason = 0");
}

static void at_second(struct fixture *f, int64_t second)
{
	f->now.us = T0 + second * SECOND;
}

/* Claims in pieces and delivers until nothing is due: runs in planned order, none twice. Returns how many. */
static int64_t catch_up(struct fixture *f, int64_t missed_before_us, uint32_t room, int64_t *first_us, int64_t *last_us)
{
	int64_t n = 0;
	bool more = true;

	*first_us = 0;
	*last_us = INT64_MIN;
	while (more) {
		struct store_claim request = {
			.now = f->now, .until = f->now, .missed_before = { missed_before_us }, .room = room
		};
		struct outcome outcome = outcome_of(f, OUTCOME_DELIVERED, 204);
		struct claim_batch batch;

		begin(f);
		assert_ok(store_claim(f->store, &request, &batch));
		assert_true(batch.runs_n <= room);
		for (uint32_t i = 0; i < batch.runs_n; i++) {
			struct store_record delivered = record_of(&batch.runs[i], STORE_DELIVERED, &outcome);

			assert_true(batch.runs[i].planned_at.us > *last_us);
			*last_us = batch.runs[i].planned_at.us;
			*first_us = n++ == 0 ? *last_us : *first_us;
			assert_ok(store_record(f->store, &delivered, 1, f->now));
			assert_false(delivered.was_fenced);
		}
		commit(f);
		more = batch.more;
		assert_true(n < 100000);
		batch_release(&batch);
	}
	return n;
}

/* T24: what runs and what is skipped after being down for so long. */
static void gaps_by_policy_and_kind(void **state)
{
	enum { KINDS_N = 3 };
	struct fixture *f = *state;
	static const struct {
		int64_t down_s;
		struct {
			int64_t runs, skipped;
		} expected[KINDS_N][3]; /* every 10 seconds, every minute by cron, once; by policy */
	} rows[] = {
		{ 0,
		  { { { 1, 0 }, { 1, 0 }, { 1, 0 } },
		    { { 1, 0 }, { 1, 0 }, { 1, 0 } },
		    { { 1, 0 }, { 1, 0 }, { 1, 0 } } } },
		{ 59,
		  { { { 6, 0 }, { 6, 0 }, { 6, 0 } },
		    { { 1, 0 }, { 1, 0 }, { 1, 0 } },
		    { { 1, 0 }, { 1, 0 }, { 1, 0 } } } },
		{ 61,
		  { { { 1, 6 }, { 7, 0 }, { 0, 7 } },
		    { { 1, 1 }, { 2, 0 }, { 0, 2 } },
		    { { 1, 0 }, { 1, 0 }, { 1, 0 } } } },
		{ 3601,
		  { { { 1, 360 }, { 361, 0 }, { 0, 361 } },
		    { { 1, 60 }, { 61, 0 }, { 0, 61 } },
		    { { 1, 0 }, { 1, 0 }, { 1, 0 } } } },
		{ 30 * 86400 + 1,
		  { { { 1, 259200 }, { 1000, 258201 }, { 0, 259201 } },
		    { { 1, 43200 }, { 1000, 42201 }, { 0, 43201 } },
		    { { 1, 0 }, { 1, 0 }, { 1, 0 } } } },
	};

	for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
		for (int kind = 0; kind < KINDS_N; kind++) {
			for (int policy = CATCH_UP_LATEST; policy <= CATCH_UP_NONE; policy++) {
				f->now.us += US_PER_MINUTE - f->now.us % US_PER_MINUTE;
				struct schedule_definition definition =
					kind == 0   ? definition_interval("10 seconds")
					: kind == 1 ? definition_cron("* * * * *")
						    : definition_once(f->now.us + US_PER_MINUTE);

				definition.catch_up = (enum catch_up)policy;
				struct schedule schedule = insert(f, &definition);
				int64_t before = skipped_n(f), first_us, last_us, due_us = schedule.next_at.us;

				/* Down from just before the first instant on. */
				f->now.us = due_us + rows[r].down_s * SECOND;
				int64_t n = catch_up(f, f->now.us, 70, &first_us, &last_us);

				if (n != rows[r].expected[kind][policy].runs ||
				    skipped_n(f) - before != rows[r].expected[kind][policy].skipped)
					fail_msg("down %ld s, kind %d, policy %d: %ld runs, %ld skipped",
						 (long)rows[r].down_s, kind, policy, (long)n,
						 (long)(skipped_n(f) - before));
				assert_int_equal(get(f, &schedule).triggered, n);
				assert_whole(f);
				delete (f, &schedule);
			}
		}
	}
}

/* The bound is one for the gap, into however many claims its runs are cut. */
static void a_gap_in_pieces_has_one_bound(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("1 seconds");
	int64_t first_us, last_us;

	definition.catch_up = CATCH_UP_ALL;
	struct schedule schedule = insert(f, &definition);

	at_second(f, 5000);
	assert_int_equal(catch_up(f, f->now.us + 1, 10, &first_us, &last_us), 1000);
	assert_int_equal(first_us, T0 + 4001 * SECOND);
	assert_int_equal(last_us, T0 + 5000 * SECOND);
	assert_int_equal(skipped_n(f), 4000);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM skips"), 1);
	assert_int_equal(get(f, &schedule).triggered, 1000);
	assert_int_equal(get(f, &schedule).next_at.us, T0 + 5001 * SECOND);
	assert_whole(f);
}

static void all_looks_back_a_day(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	int64_t first_us, last_us;

	definition.catch_up = CATCH_UP_ALL;
	insert(f, &definition);
	f->now.us = T0 + 10 * DAY + 30 * MINUTE;
	assert_int_equal(catch_up(f, f->now.us, 5, &first_us, &last_us), 24);
	assert_int_equal(first_us, T0 + 9 * DAY + HOUR);
	assert_int_equal(last_us, T0 + 10 * DAY);
	assert_int_equal(skipped_n(f), 9 * 24);
	assert_whole(f);
}

/* Killed in the middle of catching up: the rest is made up, nothing twice, the sum holds. */
static void catching_up_survives_a_crash(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("10 seconds");
	int64_t first_us, last_us, recovered;

	definition.catch_up = CATCH_UP_ALL;
	insert(f, &definition);
	at_second(f, 3600);
	struct claim_batch batch = claim_late(f, f->now.us, 100);

	assert_int_equal(batch.runs_n, 100);
	assert_int_equal(batch.runs[99].planned_at.us, T0 + 1000 * SECOND);
	batch_release(&batch);
	fixture_reopen(f);
	at_second(f, 3605);
	begin(f);
	assert_ok(store_recover(f->store, f->now, &recovered));
	commit(f);
	assert_int_equal(recovered, 100);
	assert_int_equal(catch_up(f, f->now.us, 1000, &first_us, &last_us), 360);
	assert_int_equal(first_us, T0 + 10 * SECOND);
	assert_int_equal(last_us, T0 + 3600 * SECOND);
	assert_int_equal(skipped_n(f), 0);
	assert_whole(f);
}

static void frequency_bounds_catching_up(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("1 seconds");
	int64_t first_us, last_us;

	definition.catch_up = CATCH_UP_ALL;
	definition.has_frequency = true;
	definition.frequency = 25;
	struct schedule schedule = insert(f, &definition);

	at_second(f, 5000);
	assert_int_equal(catch_up(f, f->now.us, 10, &first_us, &last_us), 25);
	assert_int_equal(skipped_n(f), 3999);
	assert_false(get(f, &schedule).has_next);
	assert_whole(f);
}

/* T24: many schedules, a long time. */
static void a_year_of_ten_thousand_schedules(void **state)
{
	enum { SCHEDULES_N = 10000 };
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("* * * * *");
	struct schedule schedule;
	clock_t before;
	int64_t n = 0;
	bool more = true;

	begin(f);
	for (int i = 0; i < SCHEDULES_N; i++) {
		definition.catch_up = (enum catch_up)(i % 2 ? CATCH_UP_LATEST : CATCH_UP_NONE);
		assert_ok(store_schedule_insert(f->store, &definition, 0, f->now, &f->arena, &schedule));
		arena_release(&f->arena);
	}
	commit(f);
	f->now.us += 365 * DAY + SECOND;
	before = clock();
	while (more) {
		struct claim_batch batch = claim_late(f, f->now.us, 1000);

		n += batch.runs_n;
		more = batch.more;
		batch_release(&batch);
	}
	assert_true((clock() - before) / CLOCKS_PER_SEC < 10);
	assert_int_equal(n, SCHEDULES_N / 2);
	assert_int_equal(skipped_n(f), (int64_t)SCHEDULES_N * 365 * 24 * 60 - n);
	assert_whole(f);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(gaps_by_policy_and_kind),	 T(a_gap_in_pieces_has_one_bound), T(all_looks_back_a_day),
		T(catching_up_survives_a_crash), T(frequency_bounds_catching_up),  T(a_year_of_ten_thousand_schedules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
