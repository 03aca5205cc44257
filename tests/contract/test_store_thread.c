/* SPDX-License-Identifier: BSD-3-Clause */
/* The writing thread: groups, order, isolation of a failing job, back-pressure, a lost transaction (P1, P14). */
#include "contract.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "store/internal.h"
#include "store/store_thread.h"

enum { JOBS_MAX = 5000 };

struct work {
	struct store_job job; /* first */
	struct fixture *f;
	char name[32];
	enum err fails_with; /* after it has written */
	struct work **ran;   /* where it notes that it ran, and how many did before */
	atomic_int *ran_n;
	bool is_done;
};

static enum err run_work(struct store *store, struct store_job *job)
{
	struct work *work = job->ctx;
	struct user user = { .username = str_from(work->name), .email = STR("") };
	int64_t id;
	enum err err = store_user_insert(store, &user, work->f->now, &id);

	if (work->ran)
		work->ran[(*work->ran_n)++] = work;
	return err == ERR_OK ? work->fails_with : err;
}

static void on_done(struct store_job *job)
{
	((struct work *)job->ctx)->is_done = true;
}

static void init_work(struct work *work, struct fixture *f, struct mailbox *answers, enum store_job_class class,
		      int number)
{
	*work = (struct work){ .job = { .class = class,
					.run = run_work,
					.done = on_done,
					.answer_to = answers,
					.rows = 1,
					.ctx = work },
			       .f = f };
	snprintf(work->name, sizeof work->name, "u%d", number);
}

/* Waits until `n` answers have come. */
static void await(struct mailbox *answers, size_t n)
{
	for (size_t got = 0; got < n;) {
		struct mail *mail = mailbox_wait_all(answers, 10000);

		assert_non_null(mail);
		for (struct mail *next; mail; mail = next, got++) {
			struct store_job *job = (struct store_job *)mail;

			next = mail->next;
			job->done(job);
		}
	}
}

static void a_failing_job_hurts_nobody_else(void **state)
{
	struct fixture *f = *state;
	struct mailbox answers;
	struct work work[6];
	static const enum err results[6] = { ERR_OK, ERR_NOT_FOUND, ERR_OK, ERR_CONFLICT, ERR_INVALID, ERR_OK };

	mailbox_init(&answers, 100, NULL, NULL);
	struct store_thread *thread = store_thread_start(f->store, NULL);

	for (int i = 0; i < 6; i++) {
		init_work(&work[i], f, &answers, STORE_JOB_API, i == 3 ? 0 : i);
		work[i].fails_with = i == 3 ? ERR_OK : results[i];
		assert_true(store_thread_submit(thread, &work[i].job));
	}
	await(&answers, 6);
	assert_ptr_equal(store_thread_stop(thread), f->store);
	for (int i = 0; i < 6; i++) {
		assert_true(work[i].is_done);
		assert_int_equal(work[i].job.result, results[i]);
	}
	assert_int_equal(count(f, STORE_USERS), 3);
	mailbox_release(&answers);
}

/* Holds the thread inside a job until the test lets go, so that what is submitted meanwhile waits together. */
struct gate {
	struct store_job job;
	struct mailbox inside, open;
	struct mail arrived, go;
};

static enum err run_gate(struct store *store, struct store_job *job)
{
	struct gate *gate = job->ctx;

	(void)store;
	mailbox_answer(&gate->inside, &gate->arrived);
	assert(mailbox_wait_all(&gate->open, 10000));
	return ERR_OK;
}

static void close_gate(struct gate *gate, struct store_thread *thread, struct mailbox *answers)
{
	*gate = (struct gate){
		.job = { .class = STORE_JOB_ENGINE, .run = run_gate, .answer_to = answers, .rows = 1, .ctx = gate }
	};
	mailbox_init(&gate->inside, 1, NULL, NULL);
	mailbox_init(&gate->open, 1, NULL, NULL);
	assert_true(store_thread_submit(thread, &gate->job));
	assert_non_null(mailbox_wait_all(&gate->inside, 10000));
}

static void open_gate(struct gate *gate)
{
	mailbox_answer(&gate->open, &gate->go);
}

static void release_gate(struct gate *gate)
{
	mailbox_release(&gate->inside);
	mailbox_release(&gate->open);
}

static void engine_jobs_go_first(void **state)
{
	struct fixture *f = *state;
	struct mailbox answers;
	struct gate gate;
	struct work work[3], *ran[3];
	atomic_int ran_n = 0;
	static const enum store_job_class classes[3] = { STORE_JOB_MAINTENANCE, STORE_JOB_API, STORE_JOB_ENGINE };

	mailbox_init(&answers, 100, NULL, NULL);
	struct store_thread *thread = store_thread_start(f->store, NULL);

	close_gate(&gate, thread, &answers);
	for (int i = 0; i < 3; i++) {
		init_work(&work[i], f, &answers, classes[i], i);
		work[i].ran = ran;
		work[i].ran_n = &ran_n;
		assert_true(store_thread_submit(thread, &work[i].job));
	}
	open_gate(&gate);
	gate.job.done = on_done;
	gate.job.ctx = &work[0];
	await(&answers, 4);
	store_thread_stop(thread);
	assert_ptr_equal(ran[0], &work[2]);
	assert_ptr_equal(ran[1], &work[1]);
	assert_ptr_equal(ran[2], &work[0]);
	release_gate(&gate);
	mailbox_release(&answers);
}

static void what_waits_is_bounded_and_the_engine_has_room(void **state)
{
	struct fixture *f = *state;
	struct mailbox answers;
	struct gate gate;
	struct work *work = calloc(JOBS_MAX, sizeof *work), spare;
	int taken = 0;

	mailbox_init(&answers, JOBS_MAX, NULL, NULL);
	struct store_thread *thread = store_thread_start(f->store, NULL);

	close_gate(&gate, thread, &answers);
	for (; taken < JOBS_MAX; taken++) {
		init_work(&work[taken], f, &answers, STORE_JOB_API, taken);
		if (!store_thread_submit(thread, &work[taken].job))
			break;
	}
	assert_true(taken > STORE_MAILBOX_MAX / 2 && taken < STORE_MAILBOX_MAX);
	init_work(&spare, f, &answers, STORE_JOB_ENGINE, JOBS_MAX);
	assert_true(store_thread_submit(thread, &spare.job));
	gate.job.done = on_done;
	open_gate(&gate);
	gate.job.ctx = &spare;
	await(&answers, (size_t)taken + 2);
	store_thread_stop(thread);
	assert_int_equal(count(f, STORE_USERS), taken + 1);
	release_gate(&gate);
	mailbox_release(&answers);
	free(work);
}

struct insertion {
	struct store_job job;
	struct fixture *f;
	struct schedule_definition definition;
	struct schedule schedule;
	struct arena arena;
};

static enum err run_insertion(struct store *store, struct store_job *job)
{
	struct insertion *insertion = job->ctx;

	return store_schedule_insert(store, &insertion->definition, 0, insertion->f->now, &insertion->arena,
				     &insertion->schedule);
}

static void on_inserted(struct store_job *job)
{
	(void)job;
}

static void the_notice_comes_before_the_answer(void **state)
{
	struct fixture *f = *state;
	struct mailbox answers, notices;
	struct insertion insertion = { .f = f, .definition = definition_interval("5 seconds") };

	insertion.job = (struct store_job){ .class = STORE_JOB_API,
					    .run = run_insertion,
					    .done = on_inserted,
					    .answer_to = &answers,
					    .rows = 3,
					    .ctx = &insertion };
	mailbox_init(&answers, 10, NULL, NULL);
	mailbox_init(&notices, 10, NULL, NULL);
	struct store_thread *thread = store_thread_start(f->store, &notices);

	assert_true(store_thread_submit(thread, &insertion.job));
	await(&answers, 1);
	struct store_notice_mail *mail = (struct store_notice_mail *)mailbox_take_all(&notices);

	assert_non_null(mail);
	assert_null(mail->mail.next);
	assert_true(mail->notice.has_due);
	assert_int_equal(mail->notice.due_at.us, T0 + 5 * SECOND);
	store_notice_free(mail);
	store_thread_stop(thread);
	/* What was submitted before the stop is done and on disk. */
	fixture_reopen(f);
	assert_int_equal(get(f, &insertion.schedule).row, 1);
	arena_release(&insertion.arena);
	mailbox_release(&answers);
	mailbox_release(&notices);
}

static void a_stop_finishes_what_was_submitted(void **state)
{
	struct fixture *f = *state;
	struct mailbox answers;
	struct work work[50];

	mailbox_init(&answers, 100, NULL, NULL);
	struct store_thread *thread = store_thread_start(f->store, NULL);

	for (int i = 0; i < 50; i++) {
		init_work(&work[i], f, &answers, STORE_JOB_API, i);
		assert_true(store_thread_submit(thread, &work[i].job));
	}
	store_thread_stop(thread);
	await(&answers, 50);
	assert_int_equal(count(f, STORE_USERS), 50);
	mailbox_release(&answers);
}

/* Every job of a group whose commit fails is told, whatever it did; nothing of them is there; the next group works. */
static void a_lost_commit_is_told_to_all(void **state)
{
	struct fixture *f = *state;
	struct mailbox answers;
	struct gate gate;
	struct insertion work[40];
	struct rlimit before, tight;
	static char payload[30000];

	signal(SIGXFSZ, SIG_IGN);
	memset(payload, '1', sizeof payload);
	mailbox_init(&answers, 100, NULL, NULL);
	struct store_thread *thread = store_thread_start(f->store, NULL);

	close_gate(&gate, thread, &answers);
	for (int i = 0; i < 40; i++) {
		work[i] = (struct insertion){ .f = f, .definition = definition_interval("5 seconds") };
		work[i].definition.payload = (struct str){ payload, sizeof payload };
		work[i].job = (struct store_job){ .class = STORE_JOB_API,
						  .run = run_insertion,
						  .done = on_inserted,
						  .answer_to = &answers,
						  .rows = 3,
						  .ctx = &work[i] };
		assert_true(store_thread_submit(thread, &work[i].job));
	}
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight = before;
	tight.rlim_cur = 512 * 1024;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	gate.job.done = on_inserted;
	open_gate(&gate);
	await(&answers, 41);
	setrlimit(RLIMIT_FSIZE, &before);
	int64_t stored = 0;

	for (int i = 0; i < 40; i++) {
		assert_true(work[i].job.result == ERR_OK || work[i].job.result == ERR_UNAVAILABLE);
		stored += work[i].job.result == ERR_OK;
	}
	assert_true(stored < 40);
	assert_true(store_thread_submit(thread, &work[0].job));
	await(&answers, 1);
	assert_int_equal(work[0].job.result, ERR_OK);
	store_thread_stop(thread);
	assert_int_equal(count(f, STORE_SCHEDULES), stored + 1);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM timers"), stored + 1);
	for (int i = 0; i < 40; i++)
		arena_release(&work[i].arena);
	assert_whole(f);
	release_gate(&gate);
	mailbox_release(&answers);
}

/* The one that SQLite calls. A second failing call would be a second try. */
static atomic_int sync_errno, failed_syncs_n;

int fdatasync(int fd)
{
	if (!sync_errno)
		return (int)syscall(SYS_fdatasync, fd);
	if (failed_syncs_n++)
		_exit(EX_SOFTWARE);
	errno = sync_errno;
	return -1;
}

static void answer_is_never_given(struct fixture *f, int number)
{
	struct mailbox answers;
	struct insertion insertion = { .f = f, .definition = definition_interval("5 seconds") };

	if (store_open_writer(&f->settings, &f->store, NULL) != ERR_OK)
		_exit(EX_NOINPUT);
	insertion.job = (struct store_job){
		.class = STORE_JOB_API, .run = run_insertion, .answer_to = &answers, .rows = 3, .ctx = &insertion
	};
	mailbox_init(&answers, 10, NULL, NULL);
	struct store_thread *thread = store_thread_start(f->store, NULL);

	sync_errno = number;
	if (!store_thread_submit(thread, &insertion.job))
		_exit(EX_TEMPFAIL);
	mailbox_wait_all(&answers, 10000);
	_exit(EX_OK);
}

/* In a child, for the process ends. Also when the disk says that it is full: what was not synced may not be there. */
static void a_failed_sync_ends_the_process(void **state)
{
	struct fixture *f = *state;
	static const int numbers[] = { EIO, ENOSPC, EROFS };

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		int status = 0;

		store_close(f->store);
		f->store = NULL;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0)
			answer_is_never_given(f, numbers[i]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), EX_IOERR);
		fixture_open(f);
		assert_true(count(f, STORE_SCHEDULES) <= (int64_t)i + 1);
		assert_whole(f);
	}
}

static enum err run_refused(struct store *store, struct store_job *job)
{
	struct user user = { .username = STR("x"), .email = STR("") };
	int64_t id;

	if (store_user_insert(store, &user, ((struct fixture *)job->ctx)->now, &id) != ERR_OK)
		return ERR_CONFLICT;
	return ERR_INVALID;
}

static void now_means_begin_run_commit(void **state)
{
	struct fixture *f = *state;
	struct insertion insertion = { .f = f, .definition = definition_interval("5 seconds") };

	assert_ok(store_run_now(f->store, run_insertion, &insertion, NULL));
	assert_int_equal(store_run_now(f->store, run_refused, f, NULL), ERR_INVALID);
	assert_int_equal(count(f, STORE_USERS), 0);
	assert_int_equal(count(f, STORE_SCHEDULES), 1);
	arena_release(&insertion.arena);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_failing_job_hurts_nobody_else),
		T(engine_jobs_go_first),
		T(what_waits_is_bounded_and_the_engine_has_room),
		T(the_notice_comes_before_the_answer),
		T(a_stop_finishes_what_was_submitted),
		T(a_lost_commit_is_told_to_all),
		T(a_failed_sync_ends_the_process),
		T(now_means_begin_run_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
