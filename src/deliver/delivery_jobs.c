/* SPDX-License-Identifier: BSD-3-Clause */
/* Four kinds of jobs: claim, record, ask for the oldest due, tell of a clock set back. A refused job (the store's queue
 * is full) is answered like a failed one, by ourselves, in the next turn: the dispatcher then waits before it asks
 * again. */
#include "deliver/delivery_jobs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/failpoint.h"
#include "store/store_thread.h"

enum {
	RECORDS_PER_JOB = 500,
	RECORD_JOBS_MAX = 2,	/* outstanding */
	CLAIM_ROWS_PER_RUN = 2, /* run row and due queue */
};

/* Records that come one by one share a commit: what is no full job waits until the last one was submitted so long ago. */
#define GATHER_US (5 * US_PER_MS)

/* A store that has not answered for so long counts as late itself. */
#define OLDEST_PATIENCE_US (2 * US_PER_SECOND)

struct claim_job {
	struct store_job job;
	struct delivery_jobs *jobs;
	struct store_claim claim;
	struct claim_batch batch;
};

struct record_job {
	struct store_job job;
	struct delivery_jobs *jobs;
	struct record_job *next;
	struct wall now;
	bool is_urgent;
	uint32_t n;
	uint32_t slots[RECORDS_PER_JOB];
	struct run_record records[RECORDS_PER_JOB];
	struct store_record stored[RECORDS_PER_JOB];
};

struct oldest_job {
	struct store_job job;
	struct delivery_jobs *jobs;
	bool is_open;
	struct instant asked_at;
	int64_t age_us; /* of the last answer */
	int64_t age_us_new;
};

struct set_back_job {
	struct store_job job;
	struct delivery_jobs *jobs;
	struct wall now;
	int64_t by_us;
};

struct delivery_jobs {
	struct delivery_jobs_options options;
	struct store_thread *thread;
	struct record_job *first, *last; /* owned: records not yet submitted, oldest first */
	struct record_job *idle;	 /* owned: for reuse */
	uint32_t records_per_job;	 /* fewer after a failure, so that one bad record cannot hold up the others */
	unsigned record_jobs_n, outstanding;
	struct boot submitted_at; /* of the last job of records */
	struct oldest_job oldest;
};

/* --- runs --- */

static struct str copy_to(char **at, struct str s)
{
	if (!s.p)
		return s;

	struct str copy = { *at, s.n };

	memcpy(*at, s.p, s.n);
	*at += s.n;
	return copy;
}

struct run *delivery_run_copy(const struct run *run)
{
	size_t n = run->endpoint.n + run->body.n + run->authorization.n + run->signing_secret.n;
	struct run *copy = memory_new(sizeof *copy + n);
	char *at = (char *)(copy + 1);

	*copy = *run;
	copy->endpoint = copy_to(&at, run->endpoint);
	copy->body = copy_to(&at, run->body);
	copy->authorization = copy_to(&at, run->authorization);
	copy->signing_secret = copy_to(&at, run->signing_secret);
	return copy;
}

void delivery_run_free(struct run *run)
{
	if (!run)
		return;
	if (run->authorization.n)
		crypto_wipe((char *)(uintptr_t)run->authorization.p, run->authorization.n);
	if (run->signing_secret.n)
		crypto_wipe((char *)(uintptr_t)run->signing_secret.p, run->signing_secret.n);
	free(run);
}

/* --- submitting --- */

static void submit(struct delivery_jobs *jobs, struct store_job *job)
{
	job->class = STORE_JOB_ENGINE;
	job->answer_to = jobs->options.answers;
	jobs->outstanding++;
	if (!store_thread_submit(jobs->thread, job)) {
		job->result = ERR_UNAVAILABLE;
		mailbox_answer(job->answer_to, &job->mail);
	}
}

/* --- claims --- */

static enum err run_claim(struct store *store, struct store_job *job)
{
	struct claim_job *claim = job->ctx;

	return store_claim(store, &claim->claim, &claim->batch);
}

static void claim_done(struct store_job *job)
{
	struct claim_job *claim = job->ctx;
	struct claim_batch *batch = &claim->batch;
	bool ok = job->result == ERR_OK;
	uint32_t n = ok ? batch->runs_n : 0;
	struct run **runs = memory_new((n + 1) * sizeof *runs);

	assert(n <= claim->claim.room);
	for (uint32_t i = 0; i < n; i++)
		runs[i] = delivery_run_copy(&batch->runs[i]);

	struct claim_answer answer = { .claim = &claim->claim, .ok = ok, .runs = runs, .runs_n = n };

	if (ok) {
		answer.more = batch->more;
		answer.has_next = batch->has_next;
		answer.next_at = batch->next_at;
		answer.has_no_ahead = batch->has_no_ahead;
		answer.no_ahead_at = batch->no_ahead_at;
	}
	arena_release(&batch->arena);
	claim->jobs->options.on_claim(claim->jobs->options.ctx, &answer);
	free(runs);
	free(claim);
}

void delivery_jobs_claim(struct delivery_jobs *jobs, const struct store_claim *claim)
{
	struct claim_job *job = memory_new(sizeof *job);

	job->jobs = jobs;
	job->claim = *claim;
	job->job = (struct store_job){ .can_wait = true,
				       .run = run_claim,
				       .done = claim_done,
				       .rows = claim->room * CLAIM_ROWS_PER_RUN,
				       .ctx = job };
	submit(jobs, &job->job);
}

/* --- records --- */

static enum store_record_kind stored_kind(enum record_kind kind)
{
	static const enum store_record_kind kinds[] = {
		[RECORD_DELIVERED] = STORE_DELIVERED, [RECORD_RETRY] = STORE_RETRY, [RECORD_FAILED] = STORE_FAILED,
		[RECORD_RELEASE] = STORE_RELEASE,     [RECORD_PARK] = STORE_PARK,
	};

	return kinds[kind];
}

static struct store_record stored_record(const struct run_record *record)
{
	const struct run *run = record->run;

	return (struct store_record){
		.run_id = run->id,
		.lease = run->lease,
		.schedule_row = run->schedule_row,
		.lane = run->lane,
		.run_kind = run->kind,
		.kind = stored_kind(record->kind),
		.was_failed = run->was_failed,
		.attempts = record->attempts,
		.eligible_at = record->eligible_at,
		.outcome = record->outcome,
	};
}

static enum err run_records(struct store *store, struct store_job *job)
{
	struct record_job *records = job->ctx;

	return store_record(store, records->stored, records->n, records->now);
}

static void records_done(struct store_job *job)
{
	struct record_job *records = job->ctx;
	struct delivery_jobs *jobs = records->jobs;
	bool ok = job->result == ERR_OK;

	jobs->record_jobs_n--;
	if (ok && jobs->records_per_job < RECORDS_PER_JOB)
		jobs->records_per_job =
			jobs->records_per_job < RECORDS_PER_JOB / 2 ? jobs->records_per_job * 2 : RECORDS_PER_JOB;
	else if (!ok)
		jobs->records_per_job = jobs->records_per_job > 4 ? jobs->records_per_job / 4 : 1;
	jobs->options.on_records(jobs->options.ctx, &(struct record_answer){ .ok = ok,
									     .records = records->records,
									     .stored = records->stored,
									     .slots = records->slots,
									     .n = records->n });
	records->next = jobs->idle;
	jobs->idle = records;
}

/* An empty job at the end of the queue. */
static struct record_job *open_records(struct delivery_jobs *jobs)
{
	struct record_job *job = jobs->idle;

	if (job)
		jobs->idle = job->next;
	else
		job = memory_new(sizeof *job);
	job->jobs = jobs;
	job->next = NULL;
	job->is_urgent = false;
	job->n = 0;
	if (jobs->last)
		jobs->last->next = job;
	else
		jobs->first = job;
	jobs->last = job;
	return job;
}

/* Whether somebody waits for it: the next run of the schedule, an edit, or a lane for which no claim is made meanwhile. */
static bool is_urgent(const struct run_record *record)
{
	return record->run->is_awaited || record->kind == RECORD_RELEASE || record->kind == RECORD_PARK;
}

void delivery_jobs_record(struct delivery_jobs *jobs, const struct run_record *record)
{
	struct record_job *job = jobs->last && jobs->last->n < jobs->records_per_job ? jobs->last : open_records(jobs);

	job->slots[job->n] = record->slot;
	job->records[job->n] = *record;
	job->stored[job->n] = stored_record(record);
	job->is_urgent |= is_urgent(record);
	job->n++;
}

int64_t delivery_jobs_flush(struct delivery_jobs *jobs, struct instant now, bool all)
{
	while (jobs->first && (all || jobs->record_jobs_n < RECORD_JOBS_MAX)) {
		struct record_job *job = jobs->first;
		int64_t waited = boot_since_us(now.boot, jobs->submitted_at);

		if (!all && !job->next && !job->is_urgent && job->n < jobs->records_per_job && waited < GATHER_US)
			return GATHER_US - waited;
		jobs->first = job->next;
		if (!jobs->first)
			jobs->last = NULL;
		job->now = now.wall;
		job->job = (struct store_job){ .run = run_records, .done = records_done, .rows = job->n, .ctx = job };
		jobs->record_jobs_n++;
		jobs->submitted_at = now.boot;
		FAILPOINT("delivery.records");
		submit(jobs, &job->job);
	}
	return -1;
}

/* --- a clock set back --- */

static enum err run_set_back(struct store *store, struct store_job *job)
{
	const struct set_back_job *set_back = job->ctx;

	return store_set_back(store, set_back->now, set_back->by_us);
}

static void set_back_done(struct store_job *job)
{
	struct set_back_job *set_back = job->ctx;

	set_back->jobs->options.on_set_back(set_back->jobs->options.ctx, job->result == ERR_OK);
	free(set_back);
}

void delivery_jobs_set_back(struct delivery_jobs *jobs, struct instant now, int64_t by_us)
{
	struct set_back_job *job = memory_new(sizeof *job);

	*job = (struct set_back_job){ .jobs = jobs, .now = now.wall, .by_us = by_us };
	job->job = (struct store_job){ .run = run_set_back, .done = set_back_done, .rows = 1, .ctx = job };
	delivery_jobs_flush(jobs, now, true);
	submit(jobs, &job->job);
}

/* --- the oldest due --- */

static enum err run_oldest(struct store *store, struct store_job *job)
{
	struct oldest_job *oldest = job->ctx;

	return store_oldest_due(store, oldest->asked_at.wall, &oldest->age_us_new);
}

static void oldest_done(struct store_job *job)
{
	struct oldest_job *oldest = job->ctx;

	oldest->is_open = false;
	if (job->result == ERR_OK)
		oldest->age_us = oldest->age_us_new;
}

void delivery_jobs_ask_oldest_due(struct delivery_jobs *jobs, struct instant now)
{
	if (jobs->oldest.is_open)
		return;
	jobs->oldest.is_open = true;
	jobs->oldest.asked_at = now;
	jobs->oldest.job =
		(struct store_job){ .run = run_oldest, .done = oldest_done, .rows = 1, .ctx = &jobs->oldest };
	submit(jobs, &jobs->oldest.job);
}

int64_t delivery_jobs_oldest_due(const struct delivery_jobs *jobs, struct boot now)
{
	int64_t waited = jobs->oldest.is_open ? boot_since_us(now, jobs->oldest.asked_at.boot) : 0;

	return jobs->oldest.age_us + (waited > OLDEST_PATIENCE_US ? waited : 0);
}

/* --- answers, life --- */

void delivery_jobs_answer(struct delivery_jobs *jobs, struct mail *mail)
{
	struct store_job *job = (struct store_job *)(void *)mail;

	_Static_assert(offsetof(struct store_job, mail) == 0, "a job begins with its mail");
	assert(jobs->outstanding);
	jobs->outstanding--;
	job->done(job);
}

unsigned delivery_jobs_outstanding(const struct delivery_jobs *jobs)
{
	return jobs->outstanding;
}

struct delivery_jobs *delivery_jobs_new(const struct delivery_jobs_options *options)
{
	struct delivery_jobs *jobs = memory_new(sizeof *jobs);

	jobs->options = *options;
	jobs->records_per_job = RECORDS_PER_JOB;
	jobs->oldest.jobs = jobs;
	return jobs;
}

void delivery_jobs_set_thread(struct delivery_jobs *jobs, struct store_thread *thread)
{
	jobs->thread = thread;
}

static void free_records(struct record_job *job)
{
	while (job) {
		struct record_job *next = job->next;

		free(job);
		job = next;
	}
}

void delivery_jobs_free(struct delivery_jobs *jobs)
{
	if (!jobs)
		return;
	assert(!jobs->outstanding);
	free_records(jobs->first);
	free_records(jobs->idle);
	free(jobs);
}
