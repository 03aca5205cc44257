/* SPDX-License-Identifier: BSD-3-Clause */
/* Plays serve.c and delivery_loop.c: one process with the real store, store thread, api and dispatcher, turned by hand.
 *
 * A job runs some time after it was submitted, in a group with what else waits then; the dispatcher hears of it some
 * time after that, in order, while a notice is heard at once and so overtakes the answers of earlier commits. The books
 * (ledger.h) hear of a commit when it is made. A process that dies in the middle of a commit leaves a doubt: its next
 * start looks on the disk whether the commit's last job is there, and then all of it has to be. */
#include "inside.h"

#include <assert.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "catch_up.h"
#include "deliver/clock_watch.h"
#include "deliver/delivery_jobs.h"
#include "steps.h"

enum { DOUBTFUL_ROWS_MAX = 900 };

enum engine_kind { ENGINE_CLAIM, ENGINE_RECORD, ENGINE_SET_BACK, ENGINE_PURGE, ENGINE_MARK };

struct engine_job {
	struct store_job job;
	enum engine_kind kind;
	bool is_refused; /* the store fails it after all the work */
	bool has_run;	 /* … and would be in the commit */
	struct wall now;
	struct store_claim claim;
	struct claim_batch batch;
	struct store_record *records; /* owned */
	uint32_t *slots;	      /* owned */
	uint32_t n;
	bool has_more;	/* to purge */
	uint64_t steps; /* along schedules, of a claim */
	int64_t by_us;	/* the clock was set back */
};

void engine_job_free(struct engine_job *job)
{
	if (!job)
		return;
	arena_release(&job->batch.arena);
	free(job->records);
	free(job->slots);
	free(job);
}

/* --- jobs ------------------------------------------------------------------------------------------------ */

static enum err run_engine_job(struct store *store, struct store_job *store_job)
{
	struct engine_job *job = store_job->ctx;
	struct error error;
	enum err err = ERR_OK;

	switch (job->kind) {
	case ENGINE_CLAIM:
		job->steps = steps_taken();
		err = store_claim(store, &job->claim, &job->batch);
		job->steps = steps_taken() - job->steps;
		break;
	case ENGINE_RECORD:
		err = store_record(store, job->records, job->n, job->now);
		break;
	case ENGINE_SET_BACK:
		err = store_set_back(store, job->now, job->by_us);
		break;
	case ENGINE_PURGE:
		err = store_purge(store, job->now, 500, &job->has_more);
		break;
	case ENGINE_MARK:
		err = store_probe(store, job->now, &error);
		break;
	}
	job->has_run = err == ERR_OK && !job->is_refused;
	return err == ERR_OK && job->is_refused ? ERR_UNAVAILABLE : err;
}

void service_expect_turn(struct world *world, unsigned rows)
{
	world->waiting_rows += rows;
	if (world->is_turn_planned)
		return;
	world->is_turn_planned = true;
	plan(world, STORE_TURN, between(&world->dice, 100, world->options->store_us_max));
}

static struct engine_job *new_job(struct world *world, enum engine_kind kind)
{
	struct engine_job *job = memory_new(sizeof *job);

	job->kind = kind;
	job->now = now_of(world).wall;
	return job;
}

static void submit(struct world *world, struct engine_job *job, uint32_t rows)
{
	job->job = (struct store_job){ .class = job->kind <= ENGINE_SET_BACK ? STORE_JOB_ENGINE : STORE_JOB_MAINTENANCE,
				       .run = run_engine_job,
				       .answer_to = &world->answers,
				       .rows = rows,
				       .ctx = job };
	promise(store_thread_submit(world->writer, &job->job), "rig", 0, "the store's queue is full");
	service_expect_turn(world, rows);
}

static bool is_refused(struct world *world, unsigned percent)
{
	return percent && !world->is_healed && chance(&world->dice, percent);
}

static void claim(struct world *world, const struct dispatch_action *action)
{
	struct engine_job *job = new_job(world, ENGINE_CLAIM);

	job->is_refused = is_refused(world, world->options->claim_fail_percent);
	job->claim = (struct store_claim){
		.now = now_of(world).wall,
		.until = action->claim.until,
		.missed_before = world->missed_before,
		.room = action->claim.room,
		.of_lane = action->kind == DISPATCH_CLAIM_LANE,
		.lane = action->claim.lane,
	};
	world->is_idle = false;
	trace(world, 2, job->claim.room);
	submit(world, job, 2 * job->claim.room);
}

static void record(struct world *world, struct engine_job **job, const struct run_record *record)
{
	const struct run *run = record->run;

	if (!*job) {
		*job = new_job(world, ENGINE_RECORD);
		(*job)->is_refused = is_refused(world, world->options->record_fail_percent);
	}
	if (((*job)->n & ((*job)->n - 1)) == 0) {
		uint32_t room = (*job)->n ? 2 * (*job)->n : 1;

		(*job)->records = memory_resize((*job)->records, room * sizeof *(*job)->records);
		(*job)->slots = memory_resize((*job)->slots, room * sizeof *(*job)->slots);
	}
	trace(world, 3, run->id * 8 + (int64_t)record->kind);
	world->sums.parks += record->kind == RECORD_PARK;
	(*job)->slots[(*job)->n] = record->slot;
	(*job)->records[(*job)->n++] = (struct store_record){
		.run_id = run->id,
		.lease = run->lease,
		.schedule_row = run->schedule_row,
		.lane = run->lane,
		.run_kind = run->kind,
		.kind = (enum store_record_kind)record->kind,
		.was_failed = run->was_failed,
		.attempts = record->attempts,
		.eligible_at = record->eligible_at,
		.outcome = record->outcome,
	};
}

void service_submit_purge(struct world *world)
{
	submit(world, new_job(world, ENGINE_PURGE), 500);
}

static void tell_set_back(struct world *world)
{
	struct engine_job *job;

	if (world->set_back_us == 0 || world->set_back_us_told > 0 || world->is_draining)
		return;
	job = new_job(world, ENGINE_SET_BACK);
	job->by_us = world->set_back_us_told = world->set_back_us;
	submit(world, job, 1);
}

/* --- the dispatcher -------------------------------------------------------------------------------------- */

static void start(struct world *world, const struct dispatch_action *action)
{
	const struct run *run = action->start.run;
	struct attempt_end *end = memory_new(sizeof *end);

	*end = (struct attempt_end){ .slot = action->start.slot, .run_id = run->id };
	if (is_refused(world, world->options->unsent_percent)) {
		hosts_find_no_socket(end, now_of(world).wall);
		ledger_unsent(world->ledger, run->id, now_of(world).wall);
	} else {
		ledger_started(world->ledger, run, action->start.attempt, now_of(world).wall);
		hosts_receive(world, run, action->start.attempt, end);
	}
	trace(world, 1, run->id * 64 + action->start.attempt);
	tell(world, "run %" PRId64 " of schedule %u, planned %.6f s ago, attempt %u: %s after %" PRId64 " ms", run->id,
	     ledger_schedule(world->ledger, run->schedule_uuid),
	     (double)(now_of(world).wall.us - run->planned_at.us) / (double)US_PER_SECOND, action->start.attempt,
	     outcome_class_name(end->outcome.class), end->outcome.duration_us / US_PER_MS);
	world->sums.starts++;
	plan_of(world, (struct happening){ .kind = END_ATTEMPT, .end = end }, end->outcome.duration_us);
}

static void carry_out(struct world *world, const struct dispatch_action *action, struct engine_job **records)
{
	switch (action->kind) {
	case DISPATCH_CLAIM:
	case DISPATCH_CLAIM_LANE:
		claim(world, action);
		break;
	case DISPATCH_START:
		start(world, action);
		break;
	case DISPATCH_RECORD:
		record(world, records, &action->record);
		break;
	case DISPATCH_FREE:
		delivery_run_free(action->run);
		break;
	case DISPATCH_WAKE:
		world->wake_at = action->wake_at;
		promise(world->wake_at.us - now_of(world).wall.us <= US_PER_SECOND, "P8", 0, "it sleeps too long");
		break;
	case DISPATCH_DRAINED:
		ledger_drained(world->ledger);
		break;
	}
}

static void end_gracefully(struct world *world);

void service_step(struct world *world, struct dispatch_event event)
{
	bool is_drained = false;

	do {
		struct engine_job *records = NULL;

		event.now = now_of(world);
		dispatcher_step(world->dispatcher, &event, &world->actions);
		if (event.kind != DISPATCH_TICK && world->options->dispatcher.held_max <= 256)
			dispatcher_sane(world->dispatcher);
		world->sums.steps++;
		for (uint32_t i = 0; i < world->actions.n; i++) {
			carry_out(world, &world->actions.list[i], &records);
			is_drained |= world->actions.list[i].kind == DISPATCH_DRAINED;
		}
		if (records)
			submit(world, records, records->n);
		event = (struct dispatch_event){ .kind = DISPATCH_TICK };
	} while (world->actions.more);
	if (is_drained)
		end_gracefully(world);
}

static void hear_claim(struct world *world, const struct engine_job *job, bool ok)
{
	const struct claim_batch *batch = &job->batch;
	uint32_t n = ok ? batch->runs_n : 0;
	struct run **runs = memory_new((n + 1) * sizeof *runs);

	for (uint32_t i = 0; i < n; i++)
		runs[i] = delivery_run_copy(&batch->runs[i]);
	world->is_idle = ok && n == 0 && !batch->more && !batch->has_next && !batch->has_no_ahead;
	world->is_behind = !ok || batch->more || (job->claim.of_lane && world->is_behind);
	service_step(world, (struct dispatch_event){ .kind = ok ? DISPATCH_CLAIMED : DISPATCH_CLAIM_FAILED,
						     .claimed = { .runs = runs,
								  .runs_n = n,
								  .more = ok && batch->more,
								  .has_next = ok && batch->has_next,
								  .next_at = batch->next_at,
								  .has_no_ahead = ok && batch->has_no_ahead,
								  .no_ahead_at = batch->no_ahead_at,
								  .of_lane = job->claim.of_lane,
								  .lane = job->claim.lane } });
	free(runs);
}

static void hear_set_back(struct world *world, bool ok)
{
	if (ok)
		world->set_back_us -= world->set_back_us_told;
	world->set_back_us_told = 0;
	if (ok)
		service_step(world, (struct dispatch_event){ .kind = DISPATCH_SET_BACK });
}

void service_hear(struct world *world, struct engine_job *job)
{
	bool ok = job->job.result == ERR_OK;

	if (job->kind == ENGINE_CLAIM)
		hear_claim(world, job, ok);
	else if (job->kind == ENGINE_RECORD)
		service_step(world, (struct dispatch_event){ .kind = ok ? DISPATCH_RECORDED : DISPATCH_RECORD_FAILED,
							     .slots = { job->slots, job->n } });
	else if (job->kind == ENGINE_SET_BACK)
		hear_set_back(world, ok);
}

void service_look_at_clocks(struct world *world)
{
	int64_t by_us;
	struct instant now = now_of(world);
	enum clock_change change = clock_watch(world->before, now, &by_us);

	world->before = now;
	/* In the product once a second. */
	tell_set_back(world);
	if (change == CLOCK_STEADY)
		return;
	world->missed_before = clock_watch_missed(change, by_us, now.wall, world->missed_before);
	ledger_clock_stepped(world->ledger);
	if (change != CLOCK_STEPPED_BACK)
		return;
	world->set_back_us += -by_us;
	tell_set_back(world);
	service_step(world, (struct dispatch_event){ .kind = DISPATCH_SET_BACK, .by_us = -by_us });
}

/* --- the store's turn ------------------------------------------------------------------------------------ */

/* What a claim has planned. */
static void book_plan(struct world *world, const struct engine_job *job)
{
	ledger_steps(world->ledger, job->steps, job->claim.room);
	world->planned = (struct audit_claim){ .now = job->claim.now,
					       .until = job->claim.until,
					       .missed_before = job->claim.missed_before,
					       .is_purged = world->is_group_purged };
	audit_look(world->audit, &world->planned);
	if (!job->batch.more)
		catch_up_planned(world->catch_up);
}

static void book(struct world *world, const struct engine_job *job)
{
	for (uint32_t i = 0; job->kind == ENGINE_CLAIM && i < job->batch.runs_n; i++) {
		const struct run *run = &job->batch.runs[i];

		tell(world, "run %" PRId64 " of schedule %u is claimed", run->id,
		     ledger_schedule(world->ledger, run->schedule_uuid));
		ledger_claimed(world->ledger, run);
		catch_up_claimed(world->catch_up, run);
	}
	if (job->kind == ENGINE_CLAIM && !job->claim.of_lane)
		book_plan(world, job);
	if (job->kind == ENGINE_PURGE)
		audit_purged(world->audit, job->now, world->options->clock.busy_us == 0);
	for (uint32_t i = 0; job->kind == ENGINE_RECORD && i < job->n; i++)
		if (!job->records[i].was_fenced)
			tell(world, "run %" PRId64 " is recorded, as %d", job->records[i].run_id,
			     (int)job->records[i].kind);
	for (uint32_t i = 0; job->kind == ENGINE_RECORD && i < job->n; i++)
		if (job->records[i].was_fenced)
			ledger_fenced(world->ledger, job->records[i].run_id);
		else
			ledger_recorded(world->ledger, &job->records[i]);
}

static void plan_hearing(struct world *world, struct engine_job *job)
{
	int64_t heard_us = world->boot_us + between(&world->dice, 10, world->options->store_us_max);

	if (heard_us < world->heard_at_us)
		heard_us = world->heard_at_us;
	world->heard_at_us = heard_us;
	plan_of(world, (struct happening){ .kind = HEAR_JOB, .job = job }, heard_us - world->boot_us);
}

static void put_in_doubt(struct world *world, struct engine_job *job)
{
	struct doubt *doubt = &world->doubt;

	if (doubt->is_open && job->has_run && job->kind <= ENGINE_RECORD) {
		promise(doubt->jobs_n < DOUBTFUL_JOBS_MAX, "rig", 0, "too many jobs in one group");
		doubt->jobs[doubt->jobs_n++] = job;
	} else {
		engine_job_free(job);
	}
}

static struct engine_job *job_of(struct mail *mail)
{
	return ((struct store_job *)(void *)mail)->ctx;
}

/* Answers to the engine: the books at once, the dispatcher later. */
static void take_answers(struct world *world, bool is_heard)
{
	struct mail *all = mailbox_take_all(&world->answers);

	world->is_group_purged &= all == NULL;
	for (struct mail *mail = all; mail; mail = mail->next)
		world->is_group_purged |= job_of(mail)->kind == ENGINE_PURGE;
	for (struct mail *mail = all, *next; mail; mail = next) {
		struct engine_job *job = job_of(mail);
		bool ok = job->job.result == ERR_OK;

		next = mail->next;
		world->sums.store_jobs++;
		trace(world, 4, (int64_t)job->kind * 2 + ok);
		if (ok)
			book(world, job);
		if (is_heard && job->kind <= ENGINE_SET_BACK)
			plan_hearing(world, job);
		else if (ok)
			engine_job_free(job);
		else
			put_in_doubt(world, job);
	}
}

/* A notice is heard after the API's answers are in the books, since what it lets happen is judged by them. */
static void hear_notices(struct world *world, bool is_heard)
{
	for (struct mail *mail = mailbox_take_all(&world->notices), *next; mail; mail = next) {
		struct store_notice_mail *notice_mail = (void *)mail;
		const struct store_notice *notice = &notice_mail->notice;

		next = mail->next;
		for (size_t i = 0; i < notice->revoked_n; i++)
			ledger_revoked(world->ledger, notice->revoked[i]);
		if (is_heard && world->is_up && notice->revoked_n)
			service_step(world, (struct dispatch_event){
						    .kind = DISPATCH_REVOKED,
						    .ids = { notice->revoked, (uint32_t)notice->revoked_n } });
		if (is_heard && world->is_up && notice->has_due)
			service_step(world,
				     (struct dispatch_event){ .kind = DISPATCH_DUE_HINT, .due_at = notice->due_at });
		store_notice_free(notice_mail);
	}
}

static void hear_turn(struct world *world, bool is_heard)
{
	take_answers(world, is_heard);
	if (users_are_waiting(world))
		uv_run(&world->rig->loop, UV_RUN_NOWAIT);
	hear_notices(world, is_heard);
}

void service_write(struct world *world, enum err (*run)(struct store *store, struct store_job *job), void *ctx)
{
	struct error error = { .text = "" };
	struct store_notice_mail *mail = memory_new(sizeof *mail);

	promise(store_run_now(world->store, run, ctx, &error) == ERR_OK, "store", 0, error.text);
	store_take_notice(world->store, &mail->notice);
	mailbox_answer(&world->notices, &mail->mail);
	hear_notices(world, true);
}

/* --- dying ----------------------------------------------------------------------------------------------- */

static void free_run(void *ctx, struct run *run)
{
	(void)ctx;
	delivery_run_free(run);
}

/* What the process had in memory. Requests that wait are answered to nobody. */
static void forget_process(struct world *world)
{
	front_set_heard(world->front, false);
	store_thread_free(world->writer);
	world->writer = NULL;
	take_answers(world, false);
	uv_run(&world->rig->loop, UV_RUN_NOWAIT);
	api_drain(world->api);
	uv_run(&world->rig->loop, UV_RUN_NOWAIT);
	api_free(world->api);
	world->api = NULL;
	hear_notices(world, false);
	dispatcher_each_run(world->dispatcher, free_run, NULL);
	dispatcher_free(world->dispatcher);
	world->dispatcher = NULL;
	world->is_up = world->is_draining = world->is_turn_planned = false;
	world->waiting_rows = 0;
	world->life++;
}

static void close_stores(struct world *world)
{
	audit_close(world->audit);
	store_close(world->reader);
	store_close(world->store);
	world->store = world->reader = NULL;
}

void service_crash(struct world *world, int64_t down_us)
{
	world->sums.crashes++;
	tell(world, "the process dies, for %" PRId64 " ms", down_us / US_PER_MS);
	/* What was committed and not yet booked is looked at after the next start. */
	audit_close(world->audit);
	crash_disk_cut(world->disk, &world->dice);
	forget_process(world);
	close_stores(world);
	ledger_crashed(world->ledger);
	plan(world, COME_BACK, down_us);
}

static int64_t short_down_us(struct world *world)
{
	return between(&world->dice, US_PER_MS, 5 * US_PER_SECOND);
}

/* Whoever waits for the store gets an answer first. */
static void end_gracefully(struct world *world)
{
	struct error error;

	world->sums.drains++;
	while (!store_thread_is_idle(world->writer)) {
		if (store_thread_turn(world->writer, &error) != ERR_OK) {
			service_crash(world, short_down_us(world));
			return;
		}
		hear_turn(world, false);
	}
	tell(world, "the process ends");
	forget_process(world);
	close_stores(world);
	plan(world, COME_BACK, between(&world->dice, 1, US_PER_SECOND));
}

void service_end(struct world *world)
{
	forget_process(world);
	close_stores(world);
}

/* --- a turn that may be the last ------------------------------------------------------------------------- */

void service_set_disk(struct world *world, struct crash_disk_faults faults)
{
	faults.room_bytes = world->room_bytes;
	crash_disk_set_faults(world->disk, &faults);
}

/* What goes wrong with the disk in this turn; the commit gets a mark by which its fate can be read later. */
static void arm(struct world *world)
{
	struct crash_disk_faults faults = { 0 };
	struct engine_job *mark = new_job(world, ENGINE_MARK);

	switch (world->next_turn) {
	case TURN_LOSES_POWER:
		faults.off_in = (uint64_t)between(&world->dice, 1, 30);
		break;
	case TURN_SYNC_FAILS:
		faults.sync_in = 1;
		break;
	case TURN_WRITE_FAILS:
		faults.write_in = (uint64_t)between(&world->dice, 1, 10);
		break;
	case TURN_PLAIN:
	case TURN_IS_UNHEARD:
	case TURNS_N:
		break;
	}
	world->doubt = (struct doubt){ .is_open = true, .mark = { ++world->marks } };
	mark->now = world->doubt.mark;
	submit(world, mark, 1);
	service_set_disk(world, faults);
}

/* Nobody was answered, or nobody was there any more to send the answers. */
static void die_in_turn(struct world *world, bool is_unheard)
{
	world->sums.power_cuts += crash_disk_is_off(world->disk);
	if (is_unheard) {
		front_set_heard(world->front, false);
	} else {
		audit_close(world->audit);
		hear_turn(world, true);
	}
	service_crash(world, short_down_us(world));
}

void service_turn_store(struct world *world)
{
	struct error error = { .text = "" };
	enum turn turn = world->waiting_rows < DOUBTFUL_ROWS_MAX ? world->next_turn : TURN_PLAIN;
	enum err err;

	world->is_turn_planned = false;
	if (turn != TURN_PLAIN)
		arm(world);
	world->waiting_rows = 0;
	world->sums.store_turns++;
	err = store_thread_turn(world->writer, &error);
	trace(world, 5, err);
	if (err == ERR_IO || crash_disk_is_off(world->disk) || turn == TURN_IS_UNHEARD) {
		tell(world, "dies in the store's turn: %s", error.text);
		/* Who was answered before the disk failed has heard it. */
		die_in_turn(world, err != ERR_IO || crash_disk_is_off(world->disk));
		return;
	}
	world->has_failed_write = turn == TURN_WRITE_FAILS;
	if (turn != TURN_PLAIN) {
		world->next_turn = TURN_PLAIN;
		world->doubt.is_open = false;
		service_set_disk(world, (struct crash_disk_faults){ 0 });
	}
	hear_turn(world, true);
	if (world->is_up && !store_thread_is_idle(world->writer))
		service_expect_turn(world, 0);
}

/* --- starting -------------------------------------------------------------------------------------------- */

static void path_of(const struct world *world, char path[100])
{
	snprintf(path, 100, "%s/sim.db", world->rig->directory);
}

/* Whether the last job of the doubtful commit is there. */
static bool is_marked(struct world *world)
{
	char path[100];
	sqlite3 *handle = NULL;
	sqlite3_stmt *statement = NULL;
	bool is_there = false;

	path_of(world, path);
	if (sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(handle, "SELECT value FROM meta WHERE key = 'probed_at'", -1, &statement, NULL) ==
		    SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		is_there = sqlite3_column_int64(statement, 0) == world->doubt.mark.us;
	sqlite3_finalize(statement);
	sqlite3_close(handle);
	return is_there;
}

/* The commit is there as a whole or not at all; what follows in the books finds out if it is neither. */
static bool end_doubt(struct world *world)
{
	struct doubt *doubt = &world->doubt;
	bool is_committed = doubt->is_open && is_marked(world);

	if (doubt->is_open)
		tell(world, "the last commit is %s", is_committed ? "there" : "not there");
	for (unsigned i = 0; i < doubt->jobs_n; i++) {
		if (is_committed)
			book(world, doubt->jobs[i]);
		engine_job_free(doubt->jobs[i]);
	}
	/* Those leases ended with the process. */
	if (doubt->jobs_n)
		ledger_crashed(world->ledger);
	*doubt = (struct doubt){ 0 };
	return is_committed;
}

static enum err recover(struct store *store, struct store_job *job)
{
	return store_recover(store, clock_read().wall, job->ctx);
}

static enum err open_stores(struct world *world, struct error *error)
{
	char path[100], url[120];
	int64_t recovered = 0;
	struct store_settings settings = { .interval_us_min = US_PER_SECOND,
					   .attempts_max = world->options->dispatcher.retry.attempts_max };

	path_of(world, path);
	snprintf(url, sizeof url, "sqlite:%s", path);
	settings.url = str_from(url);

	enum err err = store_open_writer(&settings, &world->store, error);

	if (err == ERR_OK)
		err = store_run_now(world->store, recover, &recovered, error);
	if (err == ERR_OK)
		err = store_open_reader(&settings, &world->reader, error);
	if (err == ERR_OK)
		trace(world, 7, recovered);
	return err;
}

static void make_process(struct world *world)
{
	struct dispatcher_options options = world->options->dispatcher;

	options.seed = next_dice(&world->dice);
	world->is_up = true;
	world->next_turn = TURN_PLAIN;
	world->is_idle = false;
	world->set_back_us = world->set_back_us_told = 0;
	world->before = now_of(world);
	world->missed_before = world->before.wall;
	world->writer = store_thread_new(world->store, &world->notices);
	world->api = api_new(&(struct api_options){ .loop = &world->rig->loop,
						    .reader = world->reader,
						    .writer = world->writer,
						    .egress = &world->rig->egress,
						    .zones = world->rig->zones,
						    .interval_us_min = US_PER_SECOND });
	front_set_api(world->front, world->api);
	front_set_heard(world->front, true);
	world->dispatcher = dispatcher_new(&options);
}

static void open_audit(struct world *world)
{
	char path[100];
	uint8_t installation[16];

	path_of(world, path);
	audit_open(world->audit, path, installation);
	ledger_set_terms(world->ledger, installation, &world->options->dispatcher);
}

static void put_off_start(struct world *world, const char *why)
{
	tell(world, "it does not start: %s", why);
	world->sums.failed_starts++;
	if (crash_disk_is_off(world->disk)) {
		world->sums.power_cuts++;
		crash_disk_cut(world->disk, &world->dice);
	}
	close_stores(world);
	/* A disk that is full stays so for a while. */
	plan(world, COME_BACK, (world->room_bytes ? 10 : 1) * short_down_us(world));
}

void service_start(struct world *world)
{
	struct error error = { .text = "" };
	struct crash_disk_faults faults = { 0 };

	if (world->sums.steps && world->options->disk.busy_us && !world->is_healed && chance(&world->dice, 10))
		faults.off_in = (uint64_t)between(&world->dice, 1, 30);
	service_set_disk(world, faults);
	if (open_stores(world, &error) != ERR_OK || crash_disk_is_off(world->disk)) {
		promise(faults.off_in || world->room_bytes, "I14", 0, error.text);
		put_off_start(world, error.text);
		return;
	}
	service_set_disk(world, (struct crash_disk_faults){ 0 });
	tell(world, "the process is up");
	open_audit(world);
	bool is_committed = end_doubt(world);

	audit_look(world->audit, &world->planned);
	make_process(world);
	users_resolve(world, is_committed);
	catch_up_started(world->catch_up, world->audit, now_of(world).wall);
	service_step(world, (struct dispatch_event){ .kind = DISPATCH_TICK });
}
