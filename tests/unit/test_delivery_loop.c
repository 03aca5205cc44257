/* SPDX-License-Identifier: BSD-3-Clause */
/* The delivery thread between a store and an outbound side that are both made of arrays: the real loop, the real
 * dispatcher, real clocks.
 *
 * This file defines the store's and outbound's functions itself, so the linker does not take the real ones. A hanging
 * endpoint never answers; every other one answers in the next turn of the loop. Nothing sleeps: the test waits on a
 * condition, with a deadline. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "deliver/delivery_jobs.h"
#include "deliver/delivery_loop.h"
#include "store/store_thread.h"

enum { RUNS_MAX = 2000, WAIT_S = 20 };

/* --- a store of arrays --- */

struct entry {
	struct run run;
	bool is_leased, is_over;
	enum store_record_kind kind;
	uint32_t attempts;
	struct wall eligible_at;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct entry entries[RUNS_MAX];
	size_t n, recorded_n, released_n;
	int64_t lease;
	unsigned refuse, claims_fail, records_fail;
	struct wall missed_before;
	struct mailbox jobs;
	pthread_t thread;
	bool is_stopping;
} world = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static bool take_one(unsigned *n)
{
	if (*n == 0)
		return false;
	--*n;
	return true;
}

static void *serve(void *ctx)
{
	for (;;) {
		struct mail *mail = mailbox_wait_all(&world.jobs, 50);

		while (mail) {
			struct mail *next = mail->next;
			struct store_job *job = (struct store_job *)(void *)mail;

			job->result = job->run(NULL, job);
			mailbox_answer(job->answer_to, &job->mail);
			mail = next;
		}
		pthread_mutex_lock(&world.lock);
		bool stop = world.is_stopping;

		pthread_mutex_unlock(&world.lock);
		if (stop)
			return ctx;
	}
}

bool store_thread_submit(struct store_thread *thread, struct store_job *job)
{
	(void)thread;
	pthread_mutex_lock(&world.lock);
	bool refused = take_one(&world.refuse);

	pthread_mutex_unlock(&world.lock);
	return !refused && mailbox_put(&world.jobs, &job->mail);
}

void store_notice_free(struct store_notice_mail *mail)
{
	free(mail->notice.revoked);
	free(mail);
}

enum err store_claim(struct store *store, const struct store_claim *claim, struct claim_batch *batch)
{
	(void)store;
	pthread_mutex_lock(&world.lock);
	enum err err = take_one(&world.claims_fail) ? ERR_UNAVAILABLE : ERR_OK;

	world.missed_before = claim->missed_before;
	batch->runs = arena_alloc(&batch->arena, (claim->room + 1) * sizeof *batch->runs);
	for (size_t i = 0; err == ERR_OK && i < world.n; i++) {
		struct entry *entry = &world.entries[i];

		if (entry->is_leased || entry->is_over)
			continue;
		if (entry->eligible_at.us > claim->until.us) {
			if (!batch->has_next || entry->eligible_at.us < batch->next_at.us)
				batch->next_at = entry->eligible_at;
			batch->has_next = true;
			continue;
		}
		if (batch->runs_n == claim->room) {
			batch->more = true;
			break;
		}
		entry->is_leased = true;
		entry->run.lease = ++world.lease;
		entry->run.attempts = entry->attempts;
		batch->runs[batch->runs_n] = entry->run;
		batch->runs[batch->runs_n].endpoint = arena_copy(&batch->arena, entry->run.endpoint);
		batch->runs[batch->runs_n++].start_at = wall_max(entry->eligible_at, entry->run.planned_at);
	}
	pthread_mutex_unlock(&world.lock);
	return err;
}

enum err store_record(struct store *store, struct store_record *records, size_t n, struct wall now)
{
	(void)store;
	(void)now;
	pthread_mutex_lock(&world.lock);
	enum err err = take_one(&world.records_fail) ? ERR_UNAVAILABLE : ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < n; i++) {
		struct entry *entry = &world.entries[records[i].run_id - 1];

		records[i].was_fenced = entry->run.lease != records[i].lease;
		if (records[i].was_fenced)
			continue;
		entry->kind = records[i].kind;
		entry->attempts = records[i].attempts;
		entry->is_leased = false;
		entry->is_over = records[i].kind == STORE_DELIVERED || records[i].kind == STORE_FAILED;
		entry->eligible_at = records[i].eligible_at;
		world.recorded_n += entry->is_over;
		world.released_n += records[i].kind == STORE_RELEASE;
	}
	pthread_cond_broadcast(&world.changed);
	pthread_mutex_unlock(&world.lock);
	return err;
}

/* No clock is set in these tests. */
enum err store_set_back(struct store *store, struct wall now, int64_t by_us)
{
	(void)store;
	(void)now;
	(void)by_us;
	return ERR_OK;
}

enum err store_oldest_due(struct store *store, struct wall now, int64_t *age_us)
{
	(void)store;
	(void)now;
	*age_us = 0;
	return ERR_OK;
}

/* --- an outbound side of arrays --- */

struct outbound {
	uv_idle_t teller;
	outbound_done done;
	void *ctx;
	size_t n;
	struct {
		void *attempt_ctx;
		struct outcome outcome;
	} ended[RUNS_MAX];
	bool is_closed;
};

static size_t started_n;
static unsigned sockets_short; /* so many attempts find none */
static int64_t lateness_us_max;

static void on_tell(uv_idle_t *idle)
{
	struct outbound *outbound = idle->data;
	size_t n = outbound->n;
	void **ctxs = memory_new((n + 1) * sizeof *ctxs);
	struct outcome *outcomes = memory_new((n + 1) * sizeof *outcomes);

	for (size_t i = 0; i < n; i++) {
		ctxs[i] = outbound->ended[i].attempt_ctx;
		outcomes[i] = outbound->ended[i].outcome;
	}
	outbound->n = 0;
	uv_idle_stop(idle);
	for (size_t i = 0; i < n; i++)
		outbound->done(outbound->ctx, ctxs[i], &outcomes[i]);
	free(ctxs);
	free(outcomes);
}

enum err outbound_new(struct uv_loop_s *loop, const struct outbound_options *options, outbound_done done, void *ctx,
		      struct outbound **outbound, struct error *error)
{
	(void)options;
	(void)error;
	*outbound = memory_new(sizeof **outbound);
	(*outbound)->done = done;
	(*outbound)->ctx = ctx;
	uv_idle_init(loop, &(*outbound)->teller);
	(*outbound)->teller.data = *outbound;
	return ERR_OK;
}

void outbound_start(struct outbound *outbound, const struct run *run, uint32_t attempt, struct instant now,
		    void *attempt_ctx)
{
	assert(now.wall.us >= run->start_at.us && clock_read().wall.us >= run->start_at.us);
	started_n++;
	if (now.wall.us - run->start_at.us > lateness_us_max)
		lateness_us_max = now.wall.us - run->start_at.us;
	if (run->endpoint.p[0] == 'x') /* hangs */
		return;
	outbound->ended[outbound->n].attempt_ctx = attempt_ctx;
	outbound->ended[outbound->n].outcome =
		(struct outcome){ .class = OUTCOME_DELIVERED, .status = 200, .started_at = now.wall };
	if (run->endpoint.p[0] == 'f' && attempt == 1)
		outbound->ended[outbound->n].outcome = (struct outcome){ .class = OUTCOME_CONNECT,
									 .started_at = now.wall,
									 .detail = "connection refused" };
	if (take_one(&sockets_short))
		outbound->ended[outbound->n].outcome = (struct outcome){ .class = OUTCOME_INTERNAL, .is_unsent = true };
	outbound->n++;
	uv_idle_start(&outbound->teller, on_tell);
}

void outbound_close(struct outbound *outbound)
{
	assert(!outbound->is_closed);
	outbound->is_closed = true;
	uv_close((uv_handle_t *)&outbound->teller, NULL);
}

void outbound_free(struct outbound *outbound)
{
	free(outbound);
}

/* --- the rig --- */

static struct delivery *delivery_up(int64_t drain_us_max)
{
	struct delivery_options options = {
		.dispatcher = { .held_max = 500,
				.held_bytes_max = 1 << 30,
				.in_flight_max = 64,
				.lane_in_flight_max = 16,
				.look_ahead_us = 100 * US_PER_MS,
				.retry = { .attempts_max = 3, .delay_us_first = 1000, .delay_us_max = 1000 },
				.seed = 7 },
		.missed_before = { 12345 },
		.drain_us_max = drain_us_max,
	};
	struct delivery *delivery;

	log_set_level(LOG_ERROR);
	world.n = world.recorded_n = world.released_n = world.refuse = world.claims_fail = world.records_fail = 0;
	world.is_stopping = false;
	started_n = 0;
	lateness_us_max = 0;
	memset(world.entries, 0, sizeof world.entries);
	mailbox_init(&world.jobs, 64, NULL, NULL);
	pthread_create(&world.thread, NULL, serve, NULL);
	assert_int_equal(delivery_new(&options, &delivery, NULL), ERR_OK);
	return delivery;
}

static void start(struct delivery *delivery)
{
	assert_int_equal(delivery_start(delivery, NULL, NULL), ERR_OK);
}

static bool down(struct delivery *delivery)
{
	delivery_drain(delivery);
	bool complete = delivery_join(delivery);

	pthread_mutex_lock(&world.lock);
	world.is_stopping = true;
	pthread_mutex_unlock(&world.lock);
	pthread_join(world.thread, NULL);
	mailbox_release(&world.jobs);
	delivery_free(delivery);
	return complete;
}

static void add_runs(size_t n, const char *endpoint, int64_t lane, struct wall start_at)
{
	pthread_mutex_lock(&world.lock);
	for (size_t i = 0; i < n; i++) {
		struct entry *entry = &world.entries[world.n++];

		entry->run = (struct run){ .id = (int64_t)world.n,
					   .lane = lane,
					   .attempts_budget = 3,
					   .planned_at = start_at,
					   .endpoint = str_from(endpoint) };
		entry->eligible_at = start_at;
	}
	pthread_mutex_unlock(&world.lock);
}

static void notify(struct delivery *delivery, struct wall due_at)
{
	struct store_notice_mail *mail = memory_new(sizeof *mail);

	mail->notice = (struct store_notice){ .has_due = true, .due_at = due_at };
	assert_true(mailbox_put(delivery_notices(delivery), &mail->mail));
}

static void wait_recorded(size_t n)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	pthread_mutex_lock(&world.lock);
	while (world.recorded_n < n)
		if (pthread_cond_timedwait(&world.changed, &world.lock, &until))
			break;
	assert_int_equal(world.recorded_n, n);
	pthread_mutex_unlock(&world.lock);
}

/* --- tests --- */

static void what_is_due_is_delivered_and_recorded(void **state)
{
	struct delivery *delivery = delivery_up(30 * US_PER_SECOND);

	(void)state;
	add_runs(1200, "http://a/", 1, clock_read().wall);
	add_runs(100, "http://b/", 2, wall_add_us(clock_read().wall, 300 * US_PER_MS));
	start(delivery);
	wait_recorded(1300);
	assert_int_equal(world.missed_before.us, 12345);
	assert_true(delivery_health(delivery).turned_at.us > clock_read().boot.us - 10 * US_PER_SECOND);
	assert_true(down(delivery));
	assert_int_equal(started_n, 1300);
	assert_true(lateness_us_max < WAIT_S * US_PER_SECOND);
}

static void a_notice_wakes_the_loop(void **state)
{
	struct delivery *delivery = delivery_up(30 * US_PER_SECOND);
	struct wall at;

	(void)state;
	add_runs(1, "http://a/", 1, clock_read().wall);
	start(delivery);
	wait_recorded(1);
	at = wall_add_us(clock_read().wall, 50 * US_PER_MS);
	add_runs(1, "http://a/", 1, at);
	notify(delivery, at);
	wait_recorded(2);
	assert_true(down(delivery));
}

static void failures_of_store_and_endpoint_are_overcome(void **state)
{
	struct delivery *delivery = delivery_up(30 * US_PER_SECOND);

	(void)state;
	world.claims_fail = 1;
	world.records_fail = 2;
	world.refuse = 2;
	add_runs(50, "f", 1, clock_read().wall);
	start(delivery);
	wait_recorded(50);
	assert_true(down(delivery));
	assert_int_equal(started_n, 100);
	for (size_t i = 0; i < 50; i++) {
		assert_int_equal(world.entries[i].kind, STORE_DELIVERED);
		assert_int_equal(world.entries[i].attempts, 2);
	}
}

static void what_found_no_socket_is_not_counted(void **state)
{
	int64_t internal_before = metric_get(METRIC_ATTEMPTS_INTERNAL);
	struct delivery *delivery = delivery_up(30 * US_PER_SECOND);

	(void)state;
	sockets_short = 3;
	add_runs(5, "http://a/", 1, clock_read().wall);
	start(delivery);
	wait_recorded(5);
	assert_true(down(delivery));
	assert_int_equal(started_n, 8);
	assert_int_equal(metric_get(METRIC_ATTEMPTS_INTERNAL), internal_before);
}

static void draining_puts_back_what_waits(void **state)
{
	struct delivery *delivery = delivery_up(30 * US_PER_SECOND);
	struct wall far = wall_add_us(clock_read().wall, 3600 * US_PER_SECOND);

	(void)state;
	add_runs(10, "http://a/", 1, clock_read().wall);
	add_runs(40, "http://a/", 1, far);
	for (size_t i = 10; i < 50; i++)
		world.entries[i].eligible_at.us = 0; /* claimed now, to be started later */
	start(delivery);
	wait_recorded(10);
	assert_true(down(delivery));
	assert_int_equal(started_n, 10);
	assert_int_equal(world.released_n, 40);
	for (size_t i = 0; i < 50; i++) {
		assert_false(world.entries[i].is_leased);
		if (i >= 10)
			assert_int_equal(world.entries[i].eligible_at.us, far.us);
	}
}

static void what_hangs_is_abandoned_at_the_deadline(void **state)
{
	struct delivery *delivery = delivery_up(50 * US_PER_MS);

	(void)state;
	add_runs(3, "x", 1, clock_read().wall);
	add_runs(5, "http://a/", 2, clock_read().wall);
	start(delivery);
	wait_recorded(5);
	assert_false(down(delivery));
	assert_int_equal(started_n, 8);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(world.entries[i].is_leased, i < 3);
}

static void a_result_without_company_is_recorded_soon(void **state)
{
	struct delivery *delivery = delivery_up(30 * US_PER_SECOND);
	enum { ROUNDS = 8 };
	struct boot began;

	(void)state;
	start(delivery);
	began = clock_read().boot;
	for (size_t i = 1; i <= ROUNDS; i++) {
		struct wall at = wall_add_us(clock_read().wall, 20 * US_PER_MS);

		add_runs(1, "http://a/", 1, at);
		add_runs(1, "http://a/", 1, wall_add_us(at, 2 * US_PER_MS));
		notify(delivery, at);
		wait_recorded(2 * i);
	}
	/* Without a wake-up of its own the second one of each round would wait for the loop's tick, a second. */
	assert_true(boot_since_us(clock_read().boot, began) < ROUNDS * US_PER_SECOND / 2);
	assert_true(down(delivery));
}

/* --- what waits for company; no thread, no clock --- */

static size_t answered_n;

static void count_records(void *ctx, const struct record_answer *answer)
{
	(void)ctx;
	assert_true(answer->ok);
	answered_n += answer->n;
}

static void answer_all(struct delivery_jobs *jobs)
{
	for (struct mail *mail = mailbox_take_all(&world.jobs), *next; mail; mail = next) {
		struct store_job *job = (struct store_job *)(void *)mail;

		next = mail->next;
		job->result = job->run(NULL, job);
		delivery_jobs_answer(jobs, mail);
	}
}

static void records_wait_five_milliseconds_unless_somebody_waits_for_them(void **state)
{
	static const int64_t times_us[] = { 0, 2000, 3000, 5000, 6000, 7000, 8000, 9000 };
	struct mailbox answers;
	struct run run = { .id = 1 }, awaited = { .id = 1, .is_awaited = true };
	const struct {
		const struct run *run;
		enum record_kind kind;
		int64_t wait_us; /* what the flush says */
	} steps[] = {
		{ &run, RECORD_DELIVERED, -1 },	  /* after a pause */
		{ &run, RECORD_DELIVERED, 3000 }, /* 2 ms after it */
		{ &run, RECORD_RETRY, 2000 },
		{ &run, RECORD_FAILED, -1 }, /* the three go together, 5 ms after the first */
		{ &run, RECORD_DELIVERED, 4000 },
		{ &run, RECORD_PARK, -1 }, /* takes the one before with it */
		{ &awaited, RECORD_DELIVERED, -1 },
		{ &run, RECORD_RELEASE, -1 },
	};
	static const size_t answered[] = { 1, 1, 1, 4, 4, 6, 7, 8 };
	struct delivery_jobs *jobs;

	(void)state;
	world.records_fail = 0;
	memset(world.entries, 0, sizeof world.entries);
	mailbox_init(&world.jobs, 64, NULL, NULL);
	mailbox_init(&answers, 0, NULL, NULL);
	jobs = delivery_jobs_new(&(struct delivery_jobs_options){ .answers = &answers, .on_records = count_records });
	answered_n = 0;
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct instant now = { .boot = { US_PER_SECOND + times_us[i] } };

		delivery_jobs_record(jobs, &(struct run_record){ .run = steps[i].run, .kind = steps[i].kind });
		assert_int_equal(delivery_jobs_flush(jobs, now, false), steps[i].wait_us);
		answer_all(jobs);
		assert_int_equal(answered_n, answered[i]);
	}

	/* A full job does not wait, and what is left when the loop ends goes in any case. */
	for (size_t i = 0; i < 501; i++)
		delivery_jobs_record(jobs, &(struct run_record){ .run = &run, .kind = RECORD_DELIVERED });
	assert_int_equal(delivery_jobs_flush(jobs, (struct instant){ .boot = { US_PER_SECOND + 9000 } }, false), 5000);
	answer_all(jobs);
	assert_int_equal(answered_n, 508);
	assert_int_equal(delivery_jobs_flush(jobs, (struct instant){ .boot = { US_PER_SECOND + 9000 } }, true), -1);
	answer_all(jobs);
	assert_int_equal(answered_n, 509);
	delivery_jobs_free(jobs);
	mailbox_release(&answers);
	mailbox_release(&world.jobs);
}

static void a_loop_that_never_ran_is_freed(void **state)
{
	struct delivery_options options = { .dispatcher = {
						    .held_max = 8, .in_flight_max = 1, .lane_in_flight_max = 1 } };
	struct delivery *delivery;

	(void)state;
	assert_int_equal(delivery_new(&options, &delivery, NULL), ERR_OK);
	notify(delivery, (struct wall){ 1 });
	delivery_free(delivery);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_due_is_delivered_and_recorded),
		cmocka_unit_test(a_notice_wakes_the_loop),
		cmocka_unit_test(failures_of_store_and_endpoint_are_overcome),
		cmocka_unit_test(what_found_no_socket_is_not_counted),
		cmocka_unit_test(draining_puts_back_what_waits),
		cmocka_unit_test(what_hangs_is_abandoned_at_the_deadline),
		cmocka_unit_test(a_result_without_company_is_recorded_soon),
		cmocka_unit_test(records_wait_five_milliseconds_unless_somebody_waits_for_them),
		cmocka_unit_test(a_loop_that_never_ran_is_freed),
	};

	return cmocka_run_group_tests_name("delivery_loop", tests, NULL, NULL);
}
