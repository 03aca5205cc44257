/* SPDX-License-Identifier: BSD-3-Clause */
/* The one thread that writes: takes jobs from a mailbox, groups them into commits, answers after the disk has them
 * (P1).
 *
 * A job is a function that calls verbs of store.h; it runs in a savepoint of its own. Commit when STORE_GROUP_ROWS_MAX
 * row operations are waiting or 2 ms after the first job of the group, at once when no other job waits. Engine jobs
 * (claims, records) go before API jobs, API jobs before maintenance. When a commit fails, every job of the group is
 * answered with that error. A disk that fails (ERR_IO) ends the process with code 74 before anybody is answered: what
 * it has is known again only when the database is opened anew. After the commit and before the answers the delivery
 * side gets the notice of what became due or was revoked. */
#ifndef STORE_STORE_THREAD_H
#define STORE_STORE_THREAD_H

#include "base/mailbox.h"
#include "store/store.h"

enum store_job_class { STORE_JOB_ENGINE, STORE_JOB_API, STORE_JOB_MAINTENANCE, STORE_JOB_CLASSES_N };

enum { STORE_GROUP_ROWS_MAX = 1000, STORE_MAILBOX_MAX = 4096 };

struct store_job {
	struct mail mail;
	enum store_job_class class;
	/* Runs on the store thread. ERR_OK: keep what it wrote; anything else undoes this job alone and is the result.
	 */
	enum err (*run)(struct store *store, struct store_job *job);
	/* Called through `answer_to`'s owner: it takes mails from its box and calls done(job). */
	void (*done)(struct store_job *job);
	struct mailbox *answer_to;
	bool can_wait;	 /* answered ERR_UNAVAILABLE while the disk is full: the room left is for results */
	uint32_t rows;	 /* row operations it will do, roughly; for the group's bound */
	enum err result; /* set before it is answered */
	void *ctx;
};

struct store_thread;

/* What delivery must hear after a commit; a mail of its own in `notices`, freed by the receiver with store_notice_free.
 */
struct store_notice_mail {
	struct mail mail;
	struct store_notice notice;
};

/* Takes the store over until store_thread_stop gives it back. `notices`: where store_notice_mails go; may be NULL. */
struct store_thread *store_thread_start(struct store *store, struct mailbox *notices);
/* Any thread. False: the queue is full; the caller keeps the job and answers 503, or claims later. */
bool store_thread_submit(struct store_thread *thread, struct store_job *job) MUST_CHECK;
/* Runs what was submitted, commits, joins, returns the store (checkpointed). */
struct store *store_thread_stop(struct store_thread *thread);
void store_notice_free(struct store_notice_mail *mail);

/* The same without a thread of its own, for an owner with one thread who turns it by hand: the simulator. */
struct store_thread *store_thread_new(struct store *store, struct mailbox *notices);
/* One group of what waits, if anything does. ERR_IO: the disk failed and nobody of the group was answered; all that is
 * left to do is to end. */
enum err store_thread_turn(struct store_thread *thread, struct error *error) MUST_CHECK;
/* Everything submitted was answered. */
bool store_thread_is_idle(const struct store_thread *thread);
/* Answers ERR_UNAVAILABLE to whatever still waits, unrun, and returns the store. */
struct store *store_thread_free(struct store_thread *thread);

/* On the thread that owns the mailbox `answer_to` of some jobs: takes what was answered and calls each job's done(). */
void store_jobs_done(struct mailbox *answers);
/* The same on the calling thread, for the command line, tests and the simulator: begin, run, commit, done. */
enum err store_run_now(struct store *store, enum err (*run)(struct store *store, struct store_job *job), void *ctx,
		       struct error *error);

#endif
