/* SPDX-License-Identifier: BSD-3-Clause */
/* Time and chance of a history: what happens next, until nothing is left to happen.
 *
 * Dense times and quiet ones alternate. Each kind of happening has a chain of its own in either: the quiet chain goes
 * on for ever, the dense one from the beginning of a dense time to its end. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catch_up.h"
#include "inside.h"
#include "machine.h"

#define SETTLE_US (5 * US_PER_SECOND)
enum { SETTLE_TRIES_MAX = 12 };

/* --- time ------------------------------------------------------------------------------------------------ */

struct instant now_of(const struct world *world)
{
	return (struct instant){ .wall = { world->boot_us + world->offset_us }, .boot = { world->boot_us } };
}

void trace(struct world *world, int64_t what, int64_t about)
{
	uint64_t x = world->sums.trace ^ (uint64_t)what * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)about ^
		     (uint64_t)world->boot_us * 31;

	world->sums.trace = next_dice(&x);
}

void tell(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (world->told_n++ >= world->told_max)
		return;
	fprintf(stdout, "%12.6f  ", (double)world->boot_us / (double)US_PER_SECOND);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

static void pass_until(struct world *world, int64_t boot_us)
{
	if (boot_us > world->boot_us) {
		world->offset_us += (boot_us - world->boot_us) / 1000 * world->slew_ppm / 1000;
		world->boot_us = boot_us;
		if (world->offset_us > world->offset_us_max)
			world->offset_us_max = world->offset_us;
	}
	machine_set_clock(now_of(world));
}

void step_clock_by(struct world *world, int64_t by_us)
{
	int64_t wall_us = world->boot_us + world->offset_us + by_us;

	/* Nobody's clock is set to before 1970. */
	if (wall_us < 0)
		return;
	world->offset_us += by_us;
	if (world->offset_us > world->offset_us_max)
		world->offset_us_max = world->offset_us;
	trace(world, 8, world->offset_us);
	machine_set_clock(now_of(world));
	if (!world->is_up)
		return;
	service_look_at_clocks(world);
	service_step(world, (struct dispatch_event){ .kind = DISPATCH_TICK });
}

/* --- what will happen ------------------------------------------------------------------------------------ */

void plan_of(struct world *world, struct happening happening, int64_t in_us)
{
	happening.at_us = world->boot_us + (in_us > 0 ? in_us : 0);
	happening.life = world->life;
	happenings_add(&world->happenings, happening);
}

void plan(struct world *world, enum happening_kind kind, int64_t in_us)
{
	plan_of(world, (struct happening){ .kind = kind }, in_us);
}

static const struct pace *pace_of(const struct world *world, enum happening_kind kind)
{
	static const struct pace never = { 0 };
	const struct world_options *options = world->options;

	switch (kind) {
	case REQUEST:
		return &options->request;
	case REQUEUE:
		return &options->requeue;
	case STEP_CLOCK:
		return &options->clock;
	case CRASH:
		return &options->crash;
	case DRAIN:
		return &options->drain;
	case DISK_FAULT:
		return &options->disk;
	case HOST_TURNS:
		return &options->host;
	default:
		return &never;
	}
}

/* The next one of a chain; 0 = never. */
static void plan_next(struct world *world, enum happening_kind kind, bool is_of_busy)
{
	const struct pace *pace = pace_of(world, kind);
	int64_t mean_us = is_of_busy ? pace->busy_us : pace->quiet_us;

	if (mean_us && !world->is_healed && (!is_of_busy || world->is_busy))
		plan_of(world, (struct happening){ .kind = kind, .is_of_busy = is_of_busy },
			between(&world->dice, 1, 2 * mean_us));
}

static void begin_busy(struct world *world)
{
	if (world->is_healed)
		return;
	world->is_busy = true;
	tell(world, "a dense time begins");
	for (enum happening_kind kind = REQUEST; kind < COME_BACK; kind++)
		plan_next(world, kind, true);
	if (world->options->busy_us_mean)
		plan(world, QUIET, between(&world->dice, US_PER_SECOND, 2 * world->options->busy_us_mean));
}

static void end_busy(struct world *world)
{
	world->is_busy = false;
	tell(world, "a quiet time begins");
	plan(world, BUSY, between(&world->dice, US_PER_SECOND, 2 * world->options->quiet_us_mean));
}

/* From here on nothing fails, and no schedule has another occurrence. What was planned by a clock ahead of ours is not
 * to be waited for. */
static void heal(struct world *world)
{
	if (!world->is_up || world->is_draining) {
		world->heals_after_start = true;
		return;
	}
	tell(world, "everything heals");
	world->room_bytes = 0;
	world->next_turn = TURN_PLAIN;
	service_set_disk(world, (struct crash_disk_faults){ 0 });
	while (!store_thread_is_idle(world->writer))
		service_turn_store(world);
	users_audit(world);
	/* Before the edits below end what nobody would ever have claimed. */
	promise(store_check(world->store, &world->sums.check, NULL) == ERR_OK && world->sums.check.integrity_ok, "I10",
		0, world->sums.check.integrity);
	world->is_healed = true;
	world->is_busy = false;
	world->offset_us = world->offset_us_max;
	world->slew_ppm = 0;
	machine_set_clock(now_of(world));
	catch_up_ended(world->catch_up, now_of(world).wall);
	plan(world, SETTLED, SETTLE_US);
}

/* Nothing has failed for a while, so all that is due is on record, as soon as there was room for it. */
static void settle(struct world *world)
{
	struct dispatcher_counts counts = dispatcher_count(world->dispatcher, now_of(world).wall);
	uint32_t held = counts.waiting + counts.ready + counts.flying + counts.recording;

	bool is_settled = !world->is_behind && held <= world->options->dispatcher.held_max / 2;

	if (!is_settled && ++world->settling_n < SETTLE_TRIES_MAX) {
		plan(world, SETTLED, SETTLE_US);
		return;
	}
	if (is_settled)
		audit_settled(world->audit, now_of(world).wall, SETTLE_US / 2);
	world->sums.unsettled += !is_settled;
	tell(world, "everything is switched off");
	users_switch_off(world);
}

/* --- it happens ------------------------------------------------------------------------------------------ */

static void end_attempt(struct world *world, const struct attempt_end *end)
{
	if (!end->outcome.is_unsent) {
		ledger_replied(world->ledger, end->run_id, end->has_answer ? &end->answer : NULL, now_of(world).wall);
		ledger_answered(world->ledger, end->run_id, &end->outcome);
	}
	service_step(world, (struct dispatch_event){ .kind = DISPATCH_DONE, .done = { end->slot, &end->outcome } });
}

static void drain(struct world *world)
{
	if (!world->is_up || world->is_draining)
		return;
	world->is_draining = true;
	tell(world, "it is asked to end");
	service_step(world, (struct dispatch_event){ .kind = DISPATCH_DRAIN });
}

static void fail_somehow(struct world *world, const struct happening *happening)
{
	switch (happening->kind) {
	case REQUEST:
		users_request(world);
		break;
	case REQUEUE:
		users_requeue(world);
		break;
	case STEP_CLOCK:
		faults_step_clock(world);
		break;
	case CRASH:
		faults_crash(world);
		break;
	case DRAIN:
		drain(world);
		break;
	case DISK_FAULT:
		faults_disk(world);
		break;
	case HOST_TURNS:
		hosts_turn(world, (unsigned)between(&world->dice, 0, world->options->hosts_n - 1));
		break;
	default:
		break;
	}
	plan_next(world, happening->kind, happening->is_of_busy);
}

static void happen(struct world *world, const struct happening *happening)
{
	bool is_of_process = happening->kind <= END_ATTEMPT;
	bool is_void = is_of_process && happening->life != world->life;

	world->sums.events++;
	trace(world, 10 + (int)happening->kind, is_void);
	if (world->is_up)
		service_look_at_clocks(world);
	switch (happening->kind) {
	case STORE_TURN:
		if (!is_void)
			service_turn_store(world);
		break;
	case HEAR_JOB:
		if (!is_void)
			service_hear(world, happening->job);
		engine_job_free(happening->job);
		break;
	case END_ATTEMPT:
		if (!is_void)
			end_attempt(world, happening->end);
		free(happening->end);
		break;
	case DISK_WELL:
		world->room_bytes = 0;
		service_set_disk(world, (struct crash_disk_faults){ 0 });
		break;
	case COME_BACK:
		service_start(world);
		if (!world->is_up || !world->heals_after_start)
			break;
		world->heals_after_start = false;
		plan(world, HEAL,
		     between(&world->dice, 1,
			     world->catch_up && world->options->busy_us_mean ? 43200 * US_PER_SECOND
									     : 300 * US_PER_SECOND));
		break;
	case BUSY:
		begin_busy(world);
		break;
	case QUIET:
		end_busy(world);
		break;
	case PURGE:
		if (world->is_up)
			service_submit_purge(world);
		plan(world, PURGE, 3600 * US_PER_SECOND);
		break;
	case HEAL:
		heal(world);
		break;
	case SETTLED:
		settle(world);
		break;
	default:
		if (!world->is_healed)
			fail_somehow(world, happening);
	}
}

/* To the next happening, or to the wake-up if that is earlier. */
static void advance(struct world *world)
{
	int64_t wake_us = world->is_up ? world->wake_at.us - world->offset_us : INT64_MAX;

	if (happenings_next_us(&world->happenings) <= wake_us) {
		struct happening happening = happenings_take(&world->happenings);

		pass_until(world, happening.at_us);
		happen(world, &happening);
		return;
	}
	assert(wake_us != INT64_MAX);
	pass_until(world, wake_us);
	service_look_at_clocks(world);
	service_step(world, (struct dispatch_event){ .kind = DISPATCH_TICK });
}

/* --- a history ------------------------------------------------------------------------------------------- */

/* Nothing is left to do, as far as the dispatcher knows; then the store is asked. */
static bool is_at_rest(struct world *world)
{
	struct dispatcher_counts counts;

	if (!world->is_healed || !world->is_up || !world->is_idle || !store_thread_is_idle(world->writer))
		return false;
	counts = dispatcher_count(world->dispatcher, now_of(world).wall);
	if (counts.waiting || counts.ready || counts.flying || counts.recording)
		return false;
	promise(store_check(world->store, &world->sums.check, NULL) == ERR_OK, "store", 0, "check");
	return world->sums.check.open == 0;
}

static void close_world(struct world *world)
{
	service_end(world);
	while (world->happenings.n) {
		struct happening happening = happenings_take(&world->happenings);

		if (happening.kind == HEAR_JOB)
			engine_job_free(happening.job);
		else if (happening.kind == END_ATTEMPT)
			free(happening.end);
	}
	free(world->happenings.heap);
	users_free(world->users);
	front_free(world->front);
	catch_up_free(world->catch_up);
	audit_free(world->audit);
	ledger_free(world->ledger);
	mailbox_release(&world->answers);
	mailbox_release(&world->notices);
	crash_disk_free(world->disk);
	free(world);
}

static struct world *open_world(const struct world_options *options, struct rig *rig, uint64_t told_max)
{
	struct world *world = memory_new(sizeof *world);
	char path[100];

	world->options = options;
	world->rig = rig;
	world->told_max = told_max;
	world->dice = options->seed ^ UINT64_C(0x5eed);
	world->boot_us = 1000 * US_PER_SECOND;
	world->offset_us = world->offset_us_max = options->start.us - world->boot_us;
	world->life = 1;
	machine_set_clock(now_of(world));
	machine_set_chance(options->seed);
	world->disk = crash_disk_new(rig->directory);
	snprintf(path, sizeof path, "%s/sim.db", rig->directory);
	crash_disk_put(world->disk, path, rig->image, rig->image_n);
	mailbox_init(&world->answers, STORE_MAILBOX_MAX, NULL, NULL);
	mailbox_init(&world->notices, STORE_MAILBOX_MAX, NULL, NULL);
	world->ledger = ledger_new();
	world->audit = audit_new();
	if (options->is_steady_catch_up)
		world->catch_up = catch_up_new(world->ledger);
	world->users = users_new(world);
	hosts_name(world);
	return world;
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
	users_insert(world, options->burst_n, once);
	users_insert(world, options->steady_n, steady);
	users_create_some(world, options->schedules_n);
	if (options->is_steady_catch_up)
		users_create_for_catch_up(world);
	for (enum happening_kind kind = REQUEST; kind < COME_BACK; kind++)
		plan_next(world, kind, false);
	begin_busy(world);
	if (options->has_purge)
		plan(world, PURGE, 3600 * US_PER_SECOND);
	plan(world, HEAL, options->faults_us);
}

struct world_sums world_run(const struct world_options *options, struct rig *rig, uint64_t told_max)
{
	struct world *world = open_world(options, rig, told_max);

	service_start(world);
	populate(world);

	int64_t end_us = world->boot_us;

	while (!is_at_rest(world)) {
		if (!world->is_healed)
			end_us = world->boot_us;
		if (end_us < world->boot_us - options->rest_us_max) {
			promise(store_check(world->store, &world->sums.check, NULL) == ERR_OK, "store", 0, "check");
			ledger_rest(world->ledger, &world->sums.check);
			promise(false, "I10", 0, "the dispatcher does not come to rest");
		}
		advance(world);
	}
	ledger_rest(world->ledger, &world->sums.check);
	catch_up_rest(world->catch_up, &world->sums.check, &world->sums.catch_up_gaps, &world->sums.catch_up_runs);

	struct world_sums sums = world->sums;

	sums.ledger = ledger_sum(world->ledger);
	sums.audit = audit_sum(world->audit);
	if (told_max && world->told_n > told_max)
		printf("… and %" PRIu64 " lines more, with --verbose\n", world->told_n - told_max);
	close_world(world);
	return sums;
}
