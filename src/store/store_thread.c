/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups waiting jobs into commits; nobody is answered before the disk has what was promised (P1).
 *
 *   take what waits ─▶ begin ─▶ each job in a savepoint ─▶ commit ─▶ notice ─▶ answers ─▶ checkpoint
 *
 * A job that fails is undone alone. When the transaction itself is lost (disk full in the middle, a failed commit)
 * every job of the group gets that error: all of them are repeatable, nothing of them was written. Waiting jobs are
 * bounded by a count of their own, since what was taken out of the mailbox still waits; the last places are the
 * engine's, so that a flood of API calls cannot keep results from being recorded (P14). */
#include "store/store_thread.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/metrics.h"

enum { GROUP_US_MAX = 2000, ENGINE_PLACES = 256 };

struct job_list {
	struct store_job *first, *last;
};

struct store_thread {
	pthread_t thread;
	struct store *store;
	struct mailbox *notices; /* borrowed; may be NULL */
	struct mailbox box;
	struct mail stop; /* put last; where it is found, no more will come */
	atomic_size_t waiting;
	bool is_stopping;
	struct job_list classes[STORE_JOB_CLASSES_N]; /* taken and not yet run, oldest first */
	struct job_list group;			      /* run and not yet answered */
};

static struct store_job *next_of(const struct store_job *job)
{
	return (struct store_job *)job->mail.next;
}

static void append(struct job_list *list, struct store_job *job)
{
	job->mail.next = NULL;
	if (list->last)
		list->last->mail.next = &job->mail;
	else
		list->first = job;
	list->last = job;
}

static void sort_in(struct store_thread *thread, struct mail *mails)
{
	while (mails) {
		struct mail *mail = mails;

		mails = mail->next;
		if (mail == &thread->stop)
			thread->is_stopping = true;
		else
			append(&thread->classes[((struct store_job *)mail)->class], (struct store_job *)mail);
	}
}

static struct store_job *take_next(struct store_thread *thread)
{
	for (size_t i = 0; i < STORE_JOB_CLASSES_N; i++) {
		struct job_list *list = &thread->classes[i];
		struct store_job *job = list->first;

		if (!job)
			continue;
		list->first = next_of(job);
		if (!list->first)
			list->last = NULL;
		return job;
	}
	return NULL;
}

/* --- a group --------------------------------------------------------------------------------------------- */

/* ERR_OK: the group goes on, whatever became of the job. */
static enum err run_job(struct store *store, struct store_job *job, struct error *error)
{
	if (job->can_wait && store_room_is_short(store)) {
		job->result = ERR_UNAVAILABLE;
		return ERR_OK;
	}
	enum err err = store_savepoint(store, error);

	if (err != ERR_OK)
		return err;
	FAILPOINT("store.job.savepoint");
	job->result = job->run(store, job);
	if (FAILPOINT_ERROR("store.job.run"))
		job->result = ERR_UNAVAILABLE;
	if (job->result == ERR_OK)
		return store_release(store, error);
	if (job->result == ERR_IO)
		return error_set(error, ERR_IO, "%s", store_last_error(store));
	if (job->result == ERR_UNAVAILABLE || job->result == ERR_CORRUPT) {
		metric_add(METRIC_STORE_ERRORS, 1);
		log_event(LOG_ERROR, "store_job_failed", log_text("result", err_name(job->result)),
			  log_text("error", store_last_error(store)));
	}
	store_rollback_to_savepoint(store);
	FAILPOINT("store.job.undone");
	return ERR_OK;
}

/* Runs jobs until none waits, or the group is large or old enough. */
static enum err fill_group(struct store_thread *thread, struct error *error)
{
	struct boot since = clock_read().boot;
	uint32_t rows = 0;
	enum err err = ERR_OK;

	while (err == ERR_OK && rows < STORE_GROUP_ROWS_MAX) {
		struct store_job *job = take_next(thread);

		if (!job)
			break;
		append(&thread->group, job);
		err = run_job(thread->store, job, error);
		FAILPOINT("store.job.released");
		rows += job->rows ? job->rows : 1;
		if (boot_since_us(clock_read().boot, since) >= GROUP_US_MAX)
			break;
		/* An engine job that came meanwhile goes before the API jobs that wait. */
		sort_in(thread, mailbox_take_all(&thread->box));
	}
	return err;
}

static void send_notice(struct store_thread *thread)
{
	struct store_notice notice;

	store_take_notice(thread->store, &notice);
	if (thread->notices && (notice.has_due || notice.revoked_n > 0)) {
		struct store_notice_mail *mail = memory_new(sizeof *mail);

		mail->notice = notice;
		/* At most one per commit, and the receiver takes all at once. */
		mailbox_answer(thread->notices, &mail->mail);
	} else {
		free(notice.revoked);
	}
}

static void answer_group(struct store_thread *thread, enum err err)
{
	struct store_job *job = thread->group.first;

	thread->group = (struct job_list){ 0 };
	for (struct store_job *next; job; job = next) {
		next = next_of(job);
		if (err != ERR_OK)
			job->result = err;
		atomic_fetch_sub(&thread->waiting, 1);
		if (job->answer_to)
			mailbox_answer(job->answer_to, &job->mail);
		else if (job->done)
			job->done(job);
	}
}

/* ERR_IO: the disk failed, and nobody was answered. */
static enum err run_group(struct store_thread *thread, struct error *error)
{
	store_room_renew(thread->store);
	enum err err = store_begin(thread->store, error);

	FAILPOINT("store.group.begun");
	if (err == ERR_OK)
		err = fill_group(thread, error);
	else
		append(&thread->group, take_next(thread));
	if (err == ERR_OK) {
		struct boot since = clock_read().boot;

		err = store_commit(thread->store, error);
		histogram_observe_us(HISTOGRAM_STORE_COMMIT, boot_since_us(clock_read().boot, since));
	} else if (err != ERR_IO) {
		store_rollback(thread->store);
	}
	if (err == ERR_IO)
		return err;
	if (err == ERR_OK) {
		FAILPOINT("store.group.committed");
		send_notice(thread);
		FAILPOINT("store.group.noticed");
	} else {
		metric_add(METRIC_STORE_ERRORS, 1);
		log_event(LOG_ERROR, "store_commit_failed", log_text("result", err_name(err)),
			  log_text("error", error->text));
	}
	answer_group(thread, err);
	FAILPOINT("store.group.answered");
	if (store_checkpoint(thread->store) == ERR_IO)
		return error_set(error, ERR_IO, "%s", store_last_error(thread->store));
	return ERR_OK;
}

static bool is_waiting(const struct store_thread *thread)
{
	for (size_t i = 0; i < STORE_JOB_CLASSES_N; i++)
		if (thread->classes[i].first)
			return true;
	return false;
}

/* A sync that failed must not be repeated: the kernel may have dropped the pages and call the second one a success. The
 * process ends without a word to anybody, and its next start reads what the disk really has. */
static void end_if_disk_failed(enum err err, const char *text)
{
	if (err != ERR_IO)
		return;
	log_event(LOG_ERROR, "store_failed", log_text("error", text),
		  log_text("remedy", "see to the disk; the service recovers when it is started again"));
	_exit(EX_IOERR);
}

static void *run_thread(void *ctx)
{
	struct store_thread *thread = ctx;
	struct error error = { .text = "" };

	for (;;) {
		bool idle = !is_waiting(thread) && !thread->is_stopping;

		sort_in(thread, idle ? mailbox_wait_all(&thread->box, -1) : mailbox_take_all(&thread->box));
		if (is_waiting(thread))
			end_if_disk_failed(run_group(thread, &error), error.text);
		else if (thread->is_stopping)
			return NULL;
	}
}

/* --- the other threads' side ----------------------------------------------------------------------------- */

struct store_thread *store_thread_new(struct store *store, struct mailbox *notices)
{
	struct store_thread *thread = memory_new(sizeof *thread);

	thread->store = store;
	thread->notices = notices;
	mailbox_init(&thread->box, STORE_MAILBOX_MAX + 1, NULL, NULL);
	return thread;
}

enum err store_thread_turn(struct store_thread *thread, struct error *error)
{
	sort_in(thread, mailbox_take_all(&thread->box));
	return is_waiting(thread) ? run_group(thread, error) : ERR_OK;
}

bool store_thread_is_idle(const struct store_thread *thread)
{
	return atomic_load(&thread->waiting) == 0;
}

/* What was never run, or run and never committed, is answered as such. */
struct store *store_thread_free(struct store_thread *thread)
{
	struct store *store = thread->store;

	sort_in(thread, mailbox_take_all(&thread->box));
	for (struct store_job *job; (job = take_next(thread));)
		append(&thread->group, job);
	answer_group(thread, ERR_UNAVAILABLE);
	mailbox_release(&thread->box);
	free(thread);
	return store;
}

struct store_thread *store_thread_start(struct store *store, struct mailbox *notices)
{
	struct store_thread *thread = store_thread_new(store, notices);
	int failed = pthread_create(&thread->thread, NULL, run_thread, thread);

	if (failed) {
		log_event(LOG_ERROR, "thread_failed", log_int("errno", failed));
		abort();
	}
	pthread_setname_np(thread->thread, "store");
	return thread;
}

bool store_thread_submit(struct store_thread *thread, struct store_job *job)
{
	if (FAILPOINT_ERROR("store.submit"))
		return false;
	size_t places = job->class == STORE_JOB_ENGINE ? STORE_MAILBOX_MAX : STORE_MAILBOX_MAX - ENGINE_PLACES;

	if (atomic_fetch_add(&thread->waiting, 1) < places && mailbox_put(&thread->box, &job->mail))
		return true;
	atomic_fetch_sub(&thread->waiting, 1);
	return false;
}

struct store *store_thread_stop(struct store_thread *thread)
{
	mailbox_answer(&thread->box, &thread->stop);
	pthread_join(thread->thread, NULL);
	assert(store_thread_is_idle(thread));
	struct store *store = store_thread_free(thread);

	end_if_disk_failed(store_checkpoint(store), store_last_error(store));
	return store;
}

void store_jobs_done(struct mailbox *answers)
{
	for (struct mail *mail = mailbox_take_all(answers), *next; mail; mail = next) {
		struct store_job *job = (struct store_job *)mail;

		next = mail->next;
		job->done(job);
	}
}

void store_notice_free(struct store_notice_mail *mail)
{
	if (!mail)
		return;
	free(mail->notice.revoked);
	free(mail);
}

enum err store_run_now(struct store *store, enum err (*run)(struct store *store, struct store_job *job), void *ctx,
		       struct error *error)
{
	struct store_job job = { .run = run, .ctx = ctx, .rows = 1 };
	enum err err = store_begin(store, error);

	if (err != ERR_OK)
		return err;
	job.result = run(store, &job);
	if (job.result == ERR_OK)
		return store_commit(store, error);
	error_set(error, job.result, "%s", store_last_error(store));
	store_rollback(store);
	return job.result;
}
