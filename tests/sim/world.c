/* SPDX-License-Identifier: BSD-3-Clause */
/* Plays delivery_loop.c, store_thread.c and outbound.c on a clock that jumps: what they do with threads and sockets
 * happens here by happenings in a heap.
 *
 * Like the store thread, a job runs some time after it was submitted and its answer is heard some time after that, in
 * order; a notice is heard at once, so it overtakes the answers of earlier commits. Randomness that the product takes
 * from the machine (ids of schedules) never enters the trace. */
#include "world.h"

#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "core/url.h"
#include "deliver/clock_watch.h"
#include "deliver/delivery_jobs.h"
#include "dice.h"
#include "happenings.h"

#define START_WALL_US INT64_C(1900000000000000)
#define TIMEOUT_US (30 * US_PER_SECOND)

struct schedule_known {
	uint8_t uuid[16];
	bool is_deleted;
};

struct world {
	const struct world_options *options;
	uint64_t dice;
	int64_t boot_us, offset_us; /* wall = boot + offset */
	int64_t offset_us_max;	    /* so far */
	struct instant before;	    /* the last look at the clocks */
	struct wall missed_before, wake_at;
	bool is_up, is_draining, is_healed;
	unsigned life;
	struct dispatcher *dispatcher;
	struct dispatch_actions actions;
	struct store *store;
	struct ledger *ledger;
	struct happenings happenings;
	int64_t heard_at_us;		  /* answers are heard in order */
	struct schedule_known *schedules; /* owned, SCHEDULES_MAX */
	unsigned schedules_n;
	int64_t lanes[HOSTS_MAX];
	unsigned payload;
	struct world_sums sums;
};

/* --- trace, time --- */

static void trace(struct world *world, int64_t what, int64_t about)
{
	uint64_t x = world->sums.trace ^ (uint64_t)what * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)about ^
		     (uint64_t)world->boot_us * 31;

	world->sums.trace = next_dice(&x);
}

static struct instant now_of(const struct world *world)
{
	return (struct instant){ .wall = { world->boot_us + world->offset_us }, .boot = { world->boot_us } };
}

/* --- what will happen --- */

static struct happening *plan(struct world *world, enum happening_kind kind, int64_t in_us)
{
	struct happening *happening =
		happenings_add(&world->happenings, kind, world->boot_us + (in_us > 0 ? in_us : 0));

	happening->life = world->life;
	return happening;
}

/* The next one of its kind; mean `mean_us`, 0 = never. */
static void plan_again(struct world *world, enum happening_kind kind, int64_t mean_us)
{
	if (mean_us && !world->is_healed)
		plan(world, kind, between(&world->dice, 1, 2 * mean_us));
}

/* --- the dispatcher's side --- */

static void come_up(struct world *world);

static void free_run(void *ctx, struct run *run)
{
	(void)ctx;
	delivery_run_free(run);
}

static void submit(struct world *world, struct job *job)
{
	plan(world, RUN_JOB, between(&world->dice, 100, world->options->store_us_max))->job = job;
}

static struct outcome answer(struct world *world, const struct run *run)
{
	unsigned index = 0;
	struct outcome outcome = { .class = OUTCOME_DELIVERED, .status = 200, .started_at = now_of(world).wall };

	while (index + 1 < world->options->hosts_n && world->lanes[index] != run->lane)
		index++;

	const struct host *host = &world->options->hosts[index];

	outcome.duration_us = between(&world->dice, host->latency_us_min, host->latency_us_max);
	if (world->is_healed)
		return outcome;
	if (chance(&world->dice, host->timeout_percent)) {
		outcome.class = OUTCOME_TIMEOUT;
		outcome.duration_us = TIMEOUT_US;
	} else if (chance(&world->dice, host->fail_percent)) {
		outcome_classify_answer(&outcome, 503, (struct str){ 0 }, now_of(world).wall);
	} else if (chance(&world->dice, host->gone_percent)) {
		outcome_classify_answer(&outcome, 410, (struct str){ 0 }, now_of(world).wall);
	} else if (chance(&world->dice, host->later_percent)) {
		outcome_classify_answer(&outcome, 429, STR("3"), now_of(world).wall);
	}
	return outcome;
}

static void start(struct world *world, const struct dispatch_action *action)
{
	const struct run *run = action->start.run;
	struct outcome outcome = answer(world, run);

	ledger_started(world->ledger, run, action->start.attempt, now_of(world).wall);
	trace(world, 1, run->id * 64 + action->start.attempt);
	world->sums.starts++;

	struct happening *end = plan(world, END_ATTEMPT, outcome.duration_us);

	end->slot = action->start.slot;
	end->run_id = run->id;
	end->outcome = outcome;
}

static void claim(struct world *world, const struct dispatch_action *action)
{
	struct job *job = memory_new(sizeof *job);

	job->is_claim = true;
	job->claim = (struct store_claim){
		.now = now_of(world).wall,
		.until = action->claim.until,
		.missed_before = world->missed_before,
		.room = action->claim.room,
		.of_lane = action->kind == DISPATCH_CLAIM_LANE,
		.lane = action->claim.lane,
	};
	trace(world, 2, job->claim.room);
	submit(world, job);
}

static void record(struct world *world, struct job **job, const struct run_record *record)
{
	const struct run *run = record->run;

	if (!*job) {
		*job = memory_new(sizeof **job);
		(*job)->records = memory_new(DISPATCH_ACTIONS_MAX * sizeof *(*job)->records);
		(*job)->slots = memory_new(DISPATCH_ACTIONS_MAX * sizeof *(*job)->slots);
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

static void go_down(struct world *world, int64_t for_us)
{
	dispatcher_each_run(world->dispatcher, free_run, NULL);
	dispatcher_free(world->dispatcher);
	world->dispatcher = NULL;
	world->is_up = world->is_draining = false;
	world->life++;
	plan(world, COME_BACK, for_us);
}

static void carry_out(struct world *world, const struct dispatch_action *action, struct job **records)
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
		break;
	case DISPATCH_DRAINED:
		ledger_drained(world->ledger);
		break;
	}
}

static void look_at_clocks(struct world *world)
{
	int64_t by_us;
	struct instant now = now_of(world);
	enum clock_change change = clock_watch(world->before, now, &by_us);

	world->before = now;
	world->missed_before = clock_watch_missed(change, by_us, now.wall, world->missed_before);
}

static void step(struct world *world, struct dispatch_event event)
{
	bool is_drained = false;

	do {
		struct job *records = NULL;

		event.now = now_of(world);
		dispatcher_step(world->dispatcher, &event, &world->actions);
		if (world->options->dispatcher.held_max <= 256)
			dispatcher_sane(world->dispatcher);
		world->sums.steps++;
		for (uint32_t i = 0; i < world->actions.n; i++) {
			carry_out(world, &world->actions.list[i], &records);
			is_drained |= world->actions.list[i].kind == DISPATCH_DRAINED;
		}
		if (records)
			submit(world, records);
		event = (struct dispatch_event){ .kind = DISPATCH_TICK };
	} while (world->actions.more);
	if (is_drained)
		go_down(world, between(&world->dice, 1, US_PER_SECOND));
}

/* --- the store's side --- */

/* What the store thread does after a commit. */
static void hear_notice(struct world *world)
{
	struct store_notice notice;

	store_take_notice(world->store, &notice);
	for (size_t i = 0; i < notice.revoked_n; i++)
		ledger_revoked(world->ledger, notice.revoked[i]);
	if (world->is_up && notice.revoked_n)
		step(world, (struct dispatch_event){ .kind = DISPATCH_REVOKED,
						     .ids = { notice.revoked, (uint32_t)notice.revoked_n } });
	if (world->is_up && notice.has_due)
		step(world, (struct dispatch_event){ .kind = DISPATCH_DUE_HINT, .due_at = notice.due_at });
	free(notice.revoked);
}

static void begin(struct world *world)
{
	promise(store_begin(world->store, NULL) == ERR_OK, "store", 0, "begin");
}

static void commit(struct world *world)
{
	promise(store_commit(world->store, NULL) == ERR_OK, "store", 0, "commit");
	hear_notice(world);
}

static void run_job(struct world *world, struct job *job)
{
	unsigned fail_percent =
		job->is_claim ? world->options->claim_fail_percent : world->options->record_fail_percent;
	int64_t heard_us = world->boot_us + between(&world->dice, 10, world->options->store_us_max);
	enum err err;

	begin(world);
	if (job->is_claim)
		err = store_claim(world->store, &job->claim, &job->batch);
	else
		err = store_record(world->store, job->records, job->n, now_of(world).wall);
	promise(err == ERR_OK, "store", err, job->is_claim ? "claim" : "record");
	job->ok = world->is_healed || !chance(&world->dice, fail_percent);
	trace(world, 4, job->is_claim * 2 + job->ok);
	/* Its answer first, so that the notice below overtakes it. */
	if (heard_us < world->heard_at_us)
		heard_us = world->heard_at_us;
	world->heard_at_us = heard_us;
	plan(world, HEAR_JOB, heard_us - world->boot_us)->job = job;
	if (!job->ok) {
		store_rollback(world->store);
		return;
	}
	for (uint32_t i = 0; job->is_claim && i < job->batch.runs_n; i++)
		ledger_claimed(world->ledger, &job->batch.runs[i]);
	for (uint32_t i = 0; !job->is_claim && i < job->n; i++)
		if (!job->records[i].was_fenced)
			ledger_recorded(world->ledger, &job->records[i]);
	commit(world);
}

static void hear_claim(struct world *world, const struct job *job)
{
	uint32_t n = job->ok ? job->batch.runs_n : 0;
	struct run **runs = memory_new((n + 1) * sizeof *runs);

	for (uint32_t i = 0; i < n; i++)
		runs[i] = delivery_run_copy(&job->batch.runs[i]);
	step(world, (struct dispatch_event){ .kind = job->ok ? DISPATCH_CLAIMED : DISPATCH_CLAIM_FAILED,
					     .claimed = { .runs = runs,
							  .runs_n = n,
							  .more = job->ok && job->batch.more,
							  .has_next = job->ok && job->batch.has_next,
							  .next_at = job->batch.next_at,
							  .has_no_ahead = job->ok && job->batch.has_no_ahead,
							  .no_ahead_at = job->batch.no_ahead_at,
							  .of_lane = job->claim.of_lane,
							  .lane = job->claim.lane } });
	free(runs);
}

static void hear_job(struct world *world, const struct job *job)
{
	if (job->is_claim)
		hear_claim(world, job);
	else
		step(world, (struct dispatch_event){ .kind = job->ok ? DISPATCH_RECORDED : DISPATCH_RECORD_FAILED,
						     .slots = { job->slots, job->n } });
}

/* --- the users' side --- */

static struct str text_of(struct arena *arena, const char *format, int64_t n)
{
	return arena_printf(arena, format, n);
}

static void know(struct world *world, const struct schedule *schedule)
{
	assert(world->schedules_n < SCHEDULES_MAX);
	memcpy(world->schedules[world->schedules_n].uuid, schedule->uuid, 16);
	world->schedules[world->schedules_n++].is_deleted = false;
	ledger_edited(world->ledger, schedule->uuid, now_of(world).wall);
	ledger_set_overlap(world->ledger, schedule->uuid, schedule->definition.overlap);
}

static void insert_schedule(struct world *world)
{
	if (world->schedules_n == SCHEDULES_MAX)
		return;

	struct arena arena = { 0 };
	struct schedule out;
	uint64_t *dice = &world->dice;
	int64_t host = between(dice, 0, world->options->hosts_n - 1);
	struct schedule_definition definition = {
		.endpoint = text_of(&arena, "http://h%" PRId64 ".example/x", host),
		.payload = text_of(&arena, "{\"v\":%" PRId64 "}", world->payload++),
		.enabled = true,
		.timezone = STR("UTC"),
	};

	switch (between(dice, 0, 9)) {
	case 0:
		definition.has_once = true;
		definition.once_at = wall_add_us(now_of(world).wall,
						 between(dice, -60, 120) * US_PER_SECOND + between(dice, 0, 999999));
		break;
	case 1:
		definition.cron = STR("* * * * *");
		break;
	default:
		definition.interval =
			text_of(&arena, "%" PRId64 " seconds", between(dice, 1, world->options->interval_s_max));
	}
	if (between(dice, 0, 9) == 0) {
		definition.has_frequency = true;
		definition.frequency = between(dice, 1, 20);
	}
	definition.catch_up = (enum catch_up)between(dice, CATCH_UP_LATEST, CATCH_UP_NONE);
	if (chance(dice, 50))
		definition.overlap = (enum overlap)between(dice, OVERLAP_SKIP, OVERLAP_QUEUE);
	begin(world);
	promise(store_schedule_insert(world->store, &definition, 0, now_of(world).wall, &arena, &out) == ERR_OK,
		"store", 0, "insert");
	know(world, &out);
	commit(world);
	arena_release(&arena);
}

/* What a scenario starts with, in one commit. */
static void insert_many(struct world *world, unsigned n, struct schedule_definition definition)
{
	struct arena arena = { 0 };
	struct schedule out;

	begin(world);
	for (unsigned i = 0; i < n; i++) {
		/* Of an interval the instants are spread over the second. */
		struct wall now =
			wall_add_us(now_of(world).wall, definition.interval.p ? -(int64_t)i * US_PER_SECOND / n : 0);

		promise(store_schedule_insert(world->store, &definition, 0, now, &arena, &out) == ERR_OK, "store", 0,
			"insert");
		know(world, &out);
	}
	commit(world);
	arena_release(&arena);
}

static void update_schedule(struct world *world, unsigned index, unsigned set,
			    const struct schedule_definition *changes)
{
	struct arena arena = { 0 };
	struct schedule out;

	begin(world);
	promise(store_schedule_update(world->store, world->schedules[index].uuid, set, changes, 0, now_of(world).wall,
				      &arena, &out) == ERR_OK,
		"store", index, "update");
	ledger_edited(world->ledger, out.uuid, now_of(world).wall);
	ledger_set_overlap(world->ledger, out.uuid, out.definition.overlap);
	commit(world);
	arena_release(&arena);
}

static void delete_schedule(struct world *world, unsigned index)
{
	begin(world);
	promise(store_schedule_delete(world->store, world->schedules[index].uuid, now_of(world).wall) == ERR_OK,
		"store", index, "delete");
	world->schedules[index].is_deleted = true;
	ledger_deleted(world->ledger, world->schedules[index].uuid);
	commit(world);
}

static void edit(struct world *world)
{
	struct arena arena = { 0 };
	uint64_t *dice = &world->dice;
	unsigned index = (unsigned)between(dice, 0, world->schedules_n - 1);
	int64_t what = between(dice, 0, 9);
	struct schedule_definition changes = {
		.payload = text_of(&arena, "{\"v\":%" PRId64 "}", world->payload++),
		.interval = text_of(&arena, "%" PRId64 " seconds", between(dice, 1, world->options->interval_s_max)),
		.endpoint =
			text_of(&arena, "http://h%" PRId64 ".example/x", between(dice, 0, world->options->hosts_n - 1)),
		.enabled = between(dice, 0, 3) > 0,
		.overlap = (enum overlap)between(dice, OVERLAP_ALLOW, OVERLAP_QUEUE),
	};

	world->sums.edits++;
	trace(world, 5, what * 1000 + index);
	if (what == 0 || world->schedules[index].is_deleted)
		insert_schedule(world);
	else if (what == 1)
		delete_schedule(world, index);
	else if (what <= 4)
		update_schedule(world, index, SCHEDULE_PAYLOAD, &changes);
	else if (what <= 6)
		update_schedule(world, index, SCHEDULE_INTERVAL, &changes);
	else if (what <= 7)
		update_schedule(world, index, SCHEDULE_ENDPOINT, &changes);
	else if (what <= 8)
		update_schedule(world, index, SCHEDULE_OVERLAP, &changes);
	else
		update_schedule(world, index, SCHEDULE_ENABLED, &changes);
	arena_release(&arena);
}

static void requeue(struct world *world)
{
	int64_t requeued;

	begin(world);
	promise(store_failures_requeue(world->store, now_of(world).wall, &requeued) == ERR_OK, "store", 0, "requeue");
	ledger_requeued(world->ledger);
	trace(world, 6, requeued);
	commit(world);
}

/* --- happenings --- */

static void come_up(struct world *world)
{
	struct dispatcher_options options = world->options->dispatcher;
	int64_t recovered;

	options.seed = next_dice(&world->dice);
	world->is_up = true;
	world->before = now_of(world);
	world->missed_before = world->before.wall;
	begin(world);
	promise(store_recover(world->store, world->before.wall, &recovered) == ERR_OK, "store", 0, "recover");
	promise(store_commit(world->store, NULL) == ERR_OK, "store", 0, "commit");
	trace(world, 7, recovered);
	world->dispatcher = dispatcher_new(&options);
	hear_notice(world);
	step(world, (struct dispatch_event){ .kind = DISPATCH_TICK });
}

static void crash(struct world *world)
{
	if (!world->is_up)
		return;
	world->sums.crashes++;
	ledger_crashed(world->ledger);
	go_down(world, between(&world->dice, US_PER_MS, world->options->down_us_max));
}

static void step_clock(struct world *world)
{
	static const int64_t sizes[] = { 100 * US_PER_MS, US_PER_SECOND, 10 * US_PER_SECOND, 90 * US_PER_SECOND,
					 3600 * US_PER_SECOND };
	int64_t size = sizes[between(&world->dice, 0, 4)];

	switch (between(&world->dice, 0, 2)) {
	case 0:
		world->offset_us += between(&world->dice, 1, size);
		break;
	case 1:
		world->offset_us -= between(&world->dice, 1, size);
		break;
	default:
		/* A suspend: nothing happens for a while, then everything at once. */
		world->boot_us += between(&world->dice, 1, size);
	}
	if (world->offset_us > world->offset_us_max)
		world->offset_us_max = world->offset_us;
	trace(world, 8, world->offset_us);
	look_at_clocks(world);
	if (world->is_up)
		step(world, (struct dispatch_event){ .kind = DISPATCH_TICK });
}

/* From here on nothing fails, and no schedule has another occurrence. What was planned by a clock ahead of ours is not
 * to be waited for. */
static void heal(struct world *world)
{
	static const struct schedule_definition off = { .enabled = false };

	/* Before the edits below end what nobody would ever have claimed. */
	promise(store_check(world->store, &world->sums.check, NULL) == ERR_OK && world->sums.check.integrity_ok, "I10",
		0, world->sums.check.integrity);
	world->is_healed = true;
	world->offset_us = world->offset_us_max;
	for (unsigned i = 0; i < world->schedules_n; i++)
		if (!world->schedules[i].is_deleted)
			update_schedule(world, i, SCHEDULE_ENABLED, &off);
}

static void happen(struct world *world, struct happening *happening)
{
	const struct world_options *options = world->options;
	bool is_void = happening->life != world->life;

	trace(world, 10 + (int)happening->kind, is_void);
	look_at_clocks(world);
	switch (happening->kind) {
	case RUN_JOB:
		if (is_void)
			break;
		run_job(world, happening->job);
		return; /* the job goes on in HEAR_JOB */
	case HEAR_JOB:
		if (!is_void)
			hear_job(world, happening->job);
		break;
	case END_ATTEMPT:
		if (is_void)
			break;
		ledger_answered(world->ledger, happening->run_id, &happening->outcome);
		step(world, (struct dispatch_event){ .kind = DISPATCH_DONE,
						     .done = { happening->slot, &happening->outcome } });
		break;
	case EDIT:
		if (!world->is_healed)
			edit(world);
		plan_again(world, EDIT, options->edit_us);
		break;
	case REQUEUE:
		if (!world->is_healed)
			requeue(world);
		plan_again(world, REQUEUE, options->requeue_us);
		break;
	case STEP_CLOCK:
		if (!world->is_healed)
			step_clock(world);
		plan_again(world, STEP_CLOCK, options->clock_us);
		break;
	case CRASH:
		if (!world->is_healed)
			crash(world);
		plan_again(world, CRASH, options->crash_us);
		break;
	case DRAIN:
		if (!world->is_healed && world->is_up && !world->is_draining) {
			world->is_draining = true;
			step(world, (struct dispatch_event){ .kind = DISPATCH_DRAIN });
		}
		plan_again(world, DRAIN, options->drain_us);
		break;
	case COME_BACK:
		come_up(world);
		break;
	case HEAL:
		heal(world);
		break;
	}
	job_free(happening->job);
}

/* --- a history --- */

static void open_world(struct world *world, const char *directory)
{
	char url[300];
	struct store_settings settings = { .interval_us_min = US_PER_SECOND,
					   .attempts_max = world->options->dispatcher.retry.attempts_max };
	struct error error;

	snprintf(url, sizeof url, "sqlite:%s/sim.db", directory);
	settings.url = str_from(url);
	if (store_open_writer(&settings, &world->store, &error) != ERR_OK)
		promise(false, "store", 0, error.text);
}

static void empty(const char *directory)
{
	DIR *dir = opendir(directory);

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char path[600];

		snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(path);
	}
	if (dir)
		closedir(dir);
}

static bool is_at_rest(struct world *world)
{
	struct dispatcher_counts counts;

	if (!world->is_healed || !world->is_up)
		return false;
	counts = dispatcher_count(world->dispatcher, now_of(world).wall);
	if (counts.waiting || counts.ready || counts.flying || counts.recording)
		return false;
	promise(store_check(world->store, &world->sums.check, NULL) == ERR_OK, "store", 0, "check");
	return world->sums.check.open == 0;
}

/* To the next happening, or to the wake-up if that is earlier. */
static void advance(struct world *world)
{
	int64_t wake_us = world->is_up ? world->wake_at.us - world->offset_us : INT64_MAX;

	if (world->happenings.n && world->happenings.heap[0]->at_us <= wake_us) {
		struct happening *happening = happenings_take(&world->happenings);

		if (happening->at_us > world->boot_us)
			world->boot_us = happening->at_us;
		happen(world, happening);
		free(happening);
		return;
	}
	assert(wake_us != INT64_MAX);
	if (wake_us > world->boot_us)
		world->boot_us = wake_us;
	look_at_clocks(world);
	step(world, (struct dispatch_event){ .kind = DISPATCH_TICK });
}

static void close_world(struct world *world, const char *directory)
{
	happenings_release(&world->happenings);
	free(world->schedules);
	dispatcher_each_run(world->dispatcher, free_run, NULL);
	dispatcher_free(world->dispatcher);
	store_close(world->store);
	ledger_free(world->ledger);
	empty(directory);
}

static void name_lanes(struct world *world)
{
	for (unsigned i = 0; i < world->options->hosts_n; i++) {
		char text[40];
		struct url url;

		snprintf(text, sizeof text, "http://h%u.example/x", i);
		promise(url_parse(str_from(text), &url), "url", i, text);
		world->lanes[i] = url_lane(&url);
	}
}

static void populate(struct world *world)
{
	const struct world_options *options = world->options;

	struct schedule_definition once = { .endpoint = STR("http://h0.example/x"),
					    .payload = STR("{}"),
					    .enabled = true,
					    .timezone = STR("UTC"),
					    .has_once = true,
					    .once_at = wall_add_us(now_of(world).wall, US_PER_SECOND) };
	struct schedule_definition steady = { .endpoint = STR("http://h1.example/x"),
					      .payload = STR("{}"),
					      .enabled = true,
					      .timezone = STR("UTC"),
					      .interval = STR("1 second") };

	if (options->lateness_us_max)
		ledger_watch_lateness(world->ledger, options->steady_n ? world->lanes[1] : 0, options->lateness_us_max);
	insert_many(world, options->burst_n, once);
	insert_many(world, options->steady_n, steady);
	for (unsigned i = 0; i < options->schedules_n; i++)
		insert_schedule(world);
	plan_again(world, EDIT, options->edit_us);
	plan_again(world, REQUEUE, options->requeue_us);
	plan_again(world, STEP_CLOCK, options->clock_us);
	plan_again(world, CRASH, options->crash_us);
	plan_again(world, DRAIN, options->drain_us);
	plan(world, HEAL, options->faults_us);
}

struct world_sums world_run(const struct world_options *options, const char *directory)
{
	struct world *world = memory_new(sizeof *world);

	world->options = options;
	world->dice = options->seed ^ UINT64_C(0x5eed);
	world->boot_us = 1000 * US_PER_SECOND;
	world->offset_us = world->offset_us_max = START_WALL_US - world->boot_us;
	world->life = 1;
	world->ledger = ledger_new();
	world->schedules = memory_new(SCHEDULES_MAX * sizeof *world->schedules);
	name_lanes(world);
	open_world(world, directory);
	come_up(world);
	populate(world);

	int64_t end_us = world->boot_us + options->faults_us;

	for (unsigned turns = 0; !world->is_healed || turns % 16 != 0 || !is_at_rest(world); turns++) {
		if (world->is_healed && end_us < world->boot_us - options->rest_us_max) {
			promise(store_check(world->store, &world->sums.check, NULL) == ERR_OK, "store", 0, "check");
			ledger_rest(world->ledger, &world->sums.check);
			promise(false, "I10", 0, "the dispatcher does not come to rest");
		}
		if (!world->is_healed)
			end_us = world->boot_us;
		advance(world);
	}
	ledger_rest(world->ledger, &world->sums.check);

	struct world_sums sums = world->sums;

	sums.ledger = ledger_sum(world->ledger);
	close_world(world, directory);
	free(world);
	return sums;
}
