/* SPDX-License-Identifier: BSD-3-Clause */
/* Delivery's requests to the store: claims and records become jobs, answers become runs and slots. Decides nothing.
 *
 * Records are collected, so that much work makes larger commits, not more of them: one that comes after a pause, or
 * that somebody waits for, goes at once, others wait for up to 5 ms for company, and a few jobs are outstanding at most.
 * All functions are for the delivery loop's thread. */
#ifndef DELIVER_DELIVERY_JOBS_H
#define DELIVER_DELIVERY_JOBS_H

#include "base/mailbox.h"
#include "deliver/dispatcher.h"
#include "store/store.h"

struct store_thread;
struct delivery_jobs;

/* The answer to a claim. */
struct claim_answer {
	const struct store_claim *claim; /* as it was asked */
	bool ok;
	struct run *const *runs; /* each is the receiver's now: give it to delivery_run_free; the array is borrowed */
	uint32_t runs_n;
	bool more, has_next;
	struct wall next_at;
	bool has_no_ahead;
	struct wall no_ahead_at;
};

/* The answer to a job of records: for each the slot, and whether it was fenced (nothing was written, the run is not
 * ours any more). */
struct record_answer {
	bool ok;
	const struct run_record *records;
	const struct store_record *stored;
	const uint32_t *slots;
	uint32_t n;
};

struct delivery_jobs_options {
	struct mailbox *answers; /* where answers go: take them out and hand each to delivery_jobs_answer */
	void (*on_claim)(void *ctx, const struct claim_answer *answer);
	void (*on_records)(void *ctx, const struct record_answer *answer);
	void (*on_set_back)(void *ctx, bool ok);
	void *ctx;
};

struct delivery_jobs *delivery_jobs_new(const struct delivery_jobs_options *options);
/* Nothing may be outstanding; records not yet submitted are forgotten. */
void delivery_jobs_free(struct delivery_jobs *jobs);
/* Before the first request. */
void delivery_jobs_set_thread(struct delivery_jobs *jobs, struct store_thread *thread);

void delivery_jobs_claim(struct delivery_jobs *jobs, const struct store_claim *claim);
/* `record` and what it points to must stay valid until its answer. */
void delivery_jobs_record(struct delivery_jobs *jobs, const struct run_record *record);
/* The wall clock was set back: submits the records collected, which were decided before, and then tells the store. One
 * at a time: an answer is on_set_back. */
void delivery_jobs_set_back(struct delivery_jobs *jobs, struct instant now, int64_t by_us);
/* Asks the store for the age of what is due there; see delivery_jobs_oldest_due. Does nothing while the last question
 * is open. */
void delivery_jobs_ask_oldest_due(struct delivery_jobs *jobs, struct instant now);
/* Once a turn: submits the records collected, as far as the bound allows; `all` of them when there is no next turn.
 * Returns for how many microseconds from `now` those that are left wait for company, or -1: none is left, or an answer
 * comes first. */
int64_t delivery_jobs_flush(struct delivery_jobs *jobs, struct instant now, bool all);
void delivery_jobs_answer(struct delivery_jobs *jobs, struct mail *mail);
/* Jobs that the store still has to answer. */
unsigned delivery_jobs_outstanding(const struct delivery_jobs *jobs);
/* Age of the oldest instant due in the store, as of the last answer; grows while the store does not answer. */
int64_t delivery_jobs_oldest_due(const struct delivery_jobs *jobs, struct boot now);

/* A run with everything it points to in one block, so that it can be given back alone; a claim's batch could be kept
 * alive by one slow run. */
struct run *delivery_run_copy(const struct run *run);
/* Wipes its secrets. */
void delivery_run_free(struct run *run);

#endif
