/* SPDX-License-Identifier: BSD-3-Clause */
/* The books: one entry a run row, one a schedule, both numbered in the order in which they appear. */
#include "ledger.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "deliver/id_map.h"

enum { LEDGER_SCHEDULES_MAX = 32768 };

struct entry {
	bool is_known;
	uint8_t uuid[16];
	unsigned schedule;
	struct wall planned_at;
	int64_t lease;
	bool is_leased;
	bool is_revoked; /* the present lease */
	bool is_flying;
	bool has_started;
	bool may_have_started; /* it was leased to a process that died */
	unsigned version;      /* of the schedule, when it was first seen */
	uint64_t body;	       /* of the first attempt */
	uint32_t attempt;      /* the highest that started */
	unsigned started_in;   /* life of the process that sent it last */
	bool is_open;	       /* what came of it is to be written */
	uint32_t recorded;     /* attempts on record */
	unsigned answered_in;  /* life of the process in which a 2xx was read; 0 = never */
	uint32_t budget;
	int64_t lane;
	bool is_over; /* delivered or failed, on record; or its schedule is deleted */
	bool is_failed;
	bool has_failed_task; /* until it is delivered */
	/* What the receiver did last, when it tells. */
	bool has_reply, was_taken, is_gone; /* 2xx, 410 */
	int64_t wished_us;		    /* Retry-After */
	struct wall answered_at;
	unsigned answered_clock;
};

struct schedule_entry {
	struct wall planned_at;	   /* the newest */
	struct wall started_at;	   /* planned instant of the newest first attempt */
	int64_t started_lane;	   /* of that */
	struct wall unsent_at;	   /* when one of its runs last found no socket */
	struct wall excused_until; /* planned instant of the newest run that started in such a moment */
	struct wall edited_at;
	enum overlap overlap;
	unsigned flying_n;
	bool is_deleted, is_excused;
	uint8_t uuid[16];
	char authorization[64], secret[96]; /* "": none */
	uint64_t *bodies;		    /* owned; of all its versions */
	unsigned versions_n;
};

struct ledger {
	struct entry *entries; /* by run id */
	size_t entries_room;
	struct schedule_entry *schedules;
	unsigned schedules_n;
	struct id_map by_uuid;
	unsigned life;
	int64_t watched_lane, watched_us; /* 0 = nothing is watched */
	uint8_t installation[16];
	struct dispatcher_options options;
	uint32_t flying_n;
	unsigned clock; /* changes of it */
	struct ledger_sums sums;
};

static char about[100];

/* Also when it is an assert that has failed. */
static void tell_again(int signal_number)
{
	(void)signal_number;
	fflush(stdout);
	fprintf(stderr, "to see it again: sim %s --verbose\n", about);
}

void promise_about(const char *format, ...)
{
	va_list arguments;

	signal(SIGABRT, tell_again);
	va_start(arguments, format);
	vsnprintf(about, sizeof about, format, arguments);
	va_end(arguments);
}

void promise(bool holds, const char *name, int64_t run_id, const char *text)
{
	if (holds)
		return;
	fflush(stdout);
	fprintf(stderr, "broken: %s (run %lld): %s\n", name, (long long)run_id, text);
	abort();
}

struct ledger *ledger_new(void)
{
	struct ledger *ledger = memory_new(sizeof *ledger);

	ledger->life = 1;
	id_map_init(&ledger->by_uuid, LEDGER_SCHEDULES_MAX);
	return ledger;
}

void ledger_free(struct ledger *ledger)
{
	for (unsigned i = 0; i < ledger->schedules_n; i++)
		free(ledger->schedules[i].bodies);
	free(ledger->entries);
	free(ledger->schedules);
	id_map_release(&ledger->by_uuid);
	free(ledger);
}

void ledger_watch_lateness(struct ledger *ledger, int64_t lane, int64_t lateness_us_max)
{
	ledger->watched_lane = lane;
	ledger->watched_us = lateness_us_max;
}

/* Random ids: their first half is enough to tell them apart. */
static int64_t key_of(const uint8_t uuid[16])
{
	int64_t key;

	memcpy(&key, uuid, sizeof key);
	return key;
}

unsigned ledger_schedule(struct ledger *ledger, const uint8_t uuid[16])
{
	uint32_t index = id_map_find(&ledger->by_uuid, key_of(uuid));

	if (index != ID_MAP_NONE)
		return index;
	if (ledger->schedules_n % 64 == 0)
		ledger->schedules =
			memory_resize(ledger->schedules, (ledger->schedules_n + 64) * sizeof *ledger->schedules);
	ledger->schedules[ledger->schedules_n] = (struct schedule_entry){ .planned_at = { WALL_US_MIN - 1 },
									  .started_at = { WALL_US_MIN - 1 },
									  .unsent_at = { WALL_US_MIN - 1 },
									  .excused_until = { WALL_US_MIN - 2 } };
	memcpy(ledger->schedules[ledger->schedules_n].uuid, uuid, 16);
	id_map_insert(&ledger->by_uuid, key_of(uuid), ledger->schedules_n);
	return ledger->schedules_n++;
}

void ledger_set_terms(struct ledger *ledger, const uint8_t installation[16], const struct dispatcher_options *options)
{
	memcpy(ledger->installation, installation, 16);
	ledger->options = *options;
}

static uint64_t hash_of(struct str s)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < s.n; i++)
		hash = (hash ^ (uint8_t)s.p[i]) * UINT64_C(1099511628211);
	return hash;
}

void ledger_edited(struct ledger *ledger, const uint8_t uuid[16], struct wall now)
{
	unsigned index = ledger_schedule(ledger, uuid);

	ledger->schedules[index].edited_at = now;
}

void ledger_set_overlap(struct ledger *ledger, const uint8_t uuid[16], enum overlap overlap)
{
	unsigned index = ledger_schedule(ledger, uuid);

	ledger->schedules[index].overlap = overlap;
}

void ledger_defined(struct ledger *ledger, const uint8_t uuid[16], const struct schedule_definition *definition,
		    struct wall now)
{
	unsigned index = ledger_schedule(ledger, uuid);
	struct schedule_entry *schedule = &ledger->schedules[index];

	ledger_edited(ledger, uuid, now);
	ledger_set_overlap(ledger, uuid, definition->overlap);
	if (definition->auth_token.p)
		snprintf(schedule->authorization, sizeof schedule->authorization, "Token %.*s",
			 STR_ARG(definition->auth_token));
	if (definition->signing_secret.p)
		snprintf(schedule->secret, sizeof schedule->secret, "%.*s", STR_ARG(definition->signing_secret));
	schedule->bodies = memory_resize(schedule->bodies, (schedule->versions_n + 1) * sizeof *schedule->bodies);
	schedule->bodies[schedule->versions_n++] = hash_of(definition->payload);
}

void ledger_excuse(struct ledger *ledger, const uint8_t uuid[16])
{
	unsigned index = ledger_schedule(ledger, uuid);

	ledger->schedules[index].is_excused = true;
}

static struct entry *entry_of(struct ledger *ledger, int64_t run_id)
{
	size_t id = (size_t)run_id;

	assert(run_id > 0 && run_id < 100000000);
	if (id >= ledger->entries_room) {
		size_t room = (id + 1) * 2;

		ledger->entries = memory_resize(ledger->entries, room * sizeof *ledger->entries);
		memset(ledger->entries + ledger->entries_room, 0,
		       (room - ledger->entries_room) * sizeof *ledger->entries);
		ledger->entries_room = room;
	}
	return &ledger->entries[id];
}

void ledger_claimed(struct ledger *ledger, const struct run *run)
{
	struct entry *entry = entry_of(ledger, run->id);

	promise(!entry->is_over, "I7", run->id, "claimed after its end");
	promise(run->attempts > 0 || run->start_at.us >= run->planned_at.us, "P6", run->id,
		"to be started before its planned instant");
	if (!entry->is_known) {
		unsigned schedule = ledger_schedule(ledger, run->schedule_uuid);

		promise(run->planned_at.us > ledger->schedules[schedule].planned_at.us, "I13", run->id,
			"planned instants must increase");
		ledger->schedules[schedule].planned_at = run->planned_at;
		*entry = (struct entry){ .is_known = true,
					 .schedule = schedule,
					 .planned_at = run->planned_at,
					 .version = ledger->schedules[schedule].versions_n };
		memcpy(entry->uuid, run->uuid, 16);
		ledger->sums.runs++;
	}
	promise(memcmp(entry->uuid, run->uuid, 16) == 0 && entry->planned_at.us == run->planned_at.us, "I2", run->id,
		"the run changed its identity");
	promise(run->lease != entry->lease, "P11", run->id, "a lease was given out twice");
	entry->lease = run->lease;
	entry->lane = run->lane;
	entry->budget = run->attempts_budget;
	entry->is_leased = true;
	entry->is_revoked = false;
}

void ledger_revoked(struct ledger *ledger, int64_t run_id)
{
	entry_of(ledger, run_id)->is_revoked = true;
}

static void watch(struct ledger *ledger, const struct schedule_entry *schedule, const struct run *run, struct wall now)
{
	int64_t lateness_us = now.us - wall_max(run->planned_at, schedule->edited_at).us;

	/* One that waits for the run before it is not late. */
	if (!ledger->watched_us || (ledger->watched_lane && run->lane != ledger->watched_lane) ||
	    schedule->is_excused || schedule->overlap == OVERLAP_QUEUE)
		return;
	promise(lateness_us <= ledger->watched_us, "P6", run->id, "late");
	ledger->sums.watched++;
	if (lateness_us > ledger->sums.lateness_us_max)
		ledger->sums.lateness_us_max = lateness_us;
}

/* What is sent is what the schedule said when the run was recorded, or says since. */
static bool is_body_of(const struct schedule_entry *schedule, unsigned version, uint64_t body)
{
	for (unsigned i = version > 0 ? version - 1 : 0; i < schedule->versions_n; i++)
		if (schedule->bodies[i] == body)
			return true;
	return false;
}

static struct str text_or_none(const char *text)
{
	return *text ? str_from(text) : (struct str){ 0 };
}

void ledger_sent(struct ledger *ledger, int64_t run_id, struct str request, struct wall now)
{
	const struct entry *entry = entry_of(ledger, run_id);
	const struct schedule_entry *schedule = &ledger->schedules[entry->schedule];
	struct request_expected expected = { .installation = ledger->installation,
					     .schedule = schedule->uuid,
					     .planned_at = entry->planned_at,
					     .attempt = entry->attempt,
					     .now = now,
					     .authorization = text_or_none(schedule->authorization),
					     .signing_secret = text_or_none(schedule->secret) };
	struct str body;
	const char *problem = receiver_read(request, &expected, &body);

	promise(!problem, "P4", run_id, problem ? problem : "");
	promise(hash_of(body) == entry->body, "I5", run_id, "other bytes than those of its body");
}

/* In flight in all, and of its lane. */
static void check_room(const struct ledger *ledger, int64_t run_id, int64_t lane)
{
	uint32_t of_lane = 0;

	promise(ledger->flying_n <= ledger->options.in_flight_max, "I12", run_id, "more on the wire than allowed");
	if (ledger->flying_n <= ledger->options.lane_in_flight_max)
		return;
	for (size_t i = 0; i < ledger->entries_room; i++)
		of_lane += ledger->entries[i].is_flying && ledger->entries[i].lane == lane;
	promise(of_lane <= ledger->options.lane_in_flight_max, "I12", run_id, "more to one host than allowed");
}

void ledger_unsent(struct ledger *ledger, int64_t run_id, struct wall now)
{
	ledger->schedules[entry_of(ledger, run_id)->schedule].unsent_at = now;
}

/* The receiver gets the same attempt a second time: once for each that a death left in flight. */
static void check_repeat(struct ledger *ledger, const struct entry *entry, int64_t run_id)
{
	ledger->sums.duplicates++;
	promise(entry->is_open, "P5", run_id, "sent again though it was not in flight");
	promise(entry->started_in != ledger->life, "P5", run_id, "sent twice without a death");
}

void ledger_started(struct ledger *ledger, const struct run *run, uint32_t attempt, struct wall now)
{
	struct entry *entry = entry_of(ledger, run->id);
	struct schedule_entry *schedule = &ledger->schedules[entry->schedule];
	uint64_t body = hash_of(run->body);

	promise(now.us >= run->start_at.us && (attempt > 1 || now.us >= run->planned_at.us), "I6", run->id,
		"started early");
	promise(!entry->is_over, "I7", run->id, "started after its end");
	promise(!(entry->is_revoked && entry->lease == run->lease), "I7", run->id, "started after it was taken back");
	promise(!entry->is_flying, "I8", run->id, "two attempts at once");
	promise(schedule->overlap == OVERLAP_ALLOW || schedule->flying_n == 0, "P10", run->id,
		"it overlaps another run of its schedule");
	promise(entry->answered_in != ledger->life, "I8", run->id, "started again after a 2xx in the same life");
	if (attempt == entry->attempt)
		check_repeat(ledger, entry, run->id);
	promise(attempt == entry->recorded + 1 && attempt >= entry->attempt, "I5", run->id, "attempts must rise");
	promise(attempt <= run->attempts_budget, "I5", run->id, "more attempts than its budget");
	if (entry->has_started) {
		promise(entry->body == body, "I5", run->id, "another body under the same id");
	} else {
		promise(!schedule->versions_n || is_body_of(schedule, entry->version, body), "I5", run->id,
			"not the body of its schedule");
		/* One that may have been sent before its process died stays with the host it was for. */
		bool stays_behind = entry->may_have_started && run->lane != schedule->started_lane;

		promise(entry->planned_at.us > schedule->started_at.us || stays_behind ||
				schedule->started_at.us <= schedule->excused_until.us,
			"P10", run->id, "first attempts must start in planned order");
		if (schedule->unsent_at.us == now.us)
			schedule->excused_until = wall_max(schedule->excused_until, entry->planned_at);
		if (!stays_behind && entry->planned_at.us > schedule->started_at.us) {
			schedule->started_at = entry->planned_at;
			schedule->started_lane = run->lane;
		}
	}
	if (!entry->has_started)
		watch(ledger, schedule, run, now);
	entry->has_started = entry->is_flying = entry->is_open = true;
	entry->started_in = ledger->life;
	schedule->flying_n++;
	ledger->flying_n++;
	if (ledger->options.in_flight_max)
		check_room(ledger, run->id, run->lane);
	entry->body = body;
	entry->attempt = attempt;
}

/* Whole seconds only; of a date nothing is asked but that it is not too late. */
static int64_t wish_us(const char *retry_after)
{
	bool is_number = retry_after && *retry_after && retry_after[strspn(retry_after, "0123456789")] == '\0';
	unsigned long long seconds = is_number ? strtoull(retry_after, NULL, 10) : 0;

	return (int64_t)(seconds < INT32_MAX ? seconds : INT32_MAX) * US_PER_SECOND;
}

void ledger_replied(struct ledger *ledger, int64_t run_id, const struct answer_plan *plan, struct wall now)
{
	struct entry *entry = entry_of(ledger, run_id);
	bool is_whole = plan && plan->end == ANSWER_WHOLE;

	entry->has_reply = true;
	entry->was_taken = is_whole && plan->status >= 200 && plan->status <= 299;
	entry->is_gone = is_whole && plan->status == 410;
	entry->wished_us = is_whole ? wish_us(plan->retry_after) : 0;
	entry->answered_at = now;
	entry->answered_clock = ledger->clock;
}

void ledger_clock_stepped(struct ledger *ledger)
{
	ledger->clock++;
}

void ledger_answered(struct ledger *ledger, int64_t run_id, const struct outcome *outcome)
{
	struct entry *entry = entry_of(ledger, run_id);
	bool is_delivered = outcome->class == OUTCOME_DELIVERED;

	promise(!entry->has_reply || entry->was_taken == is_delivered, "P3", run_id,
		is_delivered ? "delivered, but nobody said so" : "a 2xx was not understood");
	entry->is_flying = false;
	ledger->schedules[entry->schedule].flying_n--;
	ledger->flying_n--;
	if (is_delivered)
		entry->answered_in = ledger->life;
}

/* Not before what the receiver asked for, and not later than the longest wait. */
static void check_retry(const struct ledger *ledger, const struct entry *entry, const struct store_record *record)
{
	int64_t longest_us = ledger->options.retry.delay_us_max,
		wait_us = record->eligible_at.us - entry->answered_at.us;
	int64_t wished_us = entry->wished_us < longest_us ? entry->wished_us : longest_us;

	if (entry->answered_clock == ledger->clock) {
		promise(wait_us <= longest_us, "I12", record->run_id, "a retry later than the policy allows");
		promise(wait_us >= wished_us, "I6", record->run_id, "a retry before what the receiver asked for");
	}
	promise(!entry->is_gone, "I7", record->run_id, "to be tried again after a 410");
	promise(record->attempts < entry->budget, "I12", record->run_id, "to be tried again without a budget");
}

void ledger_fenced(struct ledger *ledger, int64_t run_id)
{
	entry_of(ledger, run_id)->is_open = false;
}

void ledger_recorded(struct ledger *ledger, const struct store_record *record)
{
	struct entry *entry = entry_of(ledger, record->run_id);

	promise(entry->lease == record->lease, "I9", record->run_id, "a stale lease changed something");
	promise(!entry->is_over, "I7", record->run_id, "recorded after its end");
	promise(record->kind != STORE_DELIVERED || entry->answered_in, "P3", record->run_id,
		"delivered, but nobody got it");
	promise(record->kind != STORE_FAILED || entry->answered_in != ledger->life, "P3", record->run_id,
		"failed after a 2xx");
	if (record->kind == STORE_RETRY && entry->has_reply)
		check_retry(ledger, entry, record);
	promise(record->kind != STORE_FAILED || !entry->has_reply || entry->is_gone ||
			record->attempts >= entry->budget,
		"P3", record->run_id, "failed with attempts left");
	if (record->kind <= STORE_FAILED) {
		entry->is_open = false;
		entry->recorded = record->attempts;
	}
	entry->is_leased = false;
	entry->is_over = record->kind == STORE_DELIVERED || record->kind == STORE_FAILED;
	entry->is_failed = record->kind == STORE_FAILED;
	entry->has_failed_task = entry->is_failed || (entry->has_failed_task && record->kind != STORE_DELIVERED);
	ledger->sums.delivered += record->kind == STORE_DELIVERED;
	ledger->sums.failed += record->kind == STORE_FAILED;
}

void ledger_requeued(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->entries_room; i++) {
		struct entry *entry = &ledger->entries[i];

		if (!entry->is_failed || ledger->schedules[entry->schedule].is_deleted)
			continue;
		entry->is_failed = entry->is_over = false;
		ledger->sums.failed--;
	}
}

void ledger_deleted(struct ledger *ledger, const uint8_t uuid[16])
{
	unsigned index = ledger_schedule(ledger, uuid);

	ledger->schedules[index].is_deleted = true;
	/* Its runs are cancelled, no lease of theirs is worth anything; its failed tasks go. */
	for (size_t i = 0; i < ledger->entries_room; i++) {
		struct entry *entry = &ledger->entries[i];

		if (!entry->is_known || entry->schedule != index)
			continue;
		entry->is_leased = entry->has_failed_task = false;
		entry->is_over = true;
	}
}

static void end_leases(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->entries_room; i++)
		ledger->entries[i].may_have_started |= ledger->entries[i].is_leased;
	for (size_t i = 0; i < ledger->entries_room; i++)
		ledger->entries[i].is_flying = ledger->entries[i].is_leased = false;
	for (unsigned i = 0; i < ledger->schedules_n; i++)
		ledger->schedules[i].flying_n = 0;
	ledger->flying_n = 0;
}

void ledger_crashed(struct ledger *ledger)
{
	uint32_t in_flight = 0;

	for (size_t i = 0; i < ledger->entries_room; i++)
		in_flight += ledger->entries[i].is_open && ledger->entries[i].started_in == ledger->life;
	promise(in_flight <= ledger->options.in_flight_max + DISPATCH_OUTCOMES_SPARE, "P5", 0,
		"more in flight than there are places");
	ledger->life++;
	end_leases(ledger);
}

void ledger_drained(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->entries_room; i++)
		promise(!ledger->entries[i].is_leased, "P4", (int64_t)i, "still leased after a graceful stop");
	end_leases(ledger);
}

void ledger_failed_tasks(const struct ledger *ledger, int64_t n)
{
	int64_t expected = 0;

	for (size_t i = 0; i < ledger->entries_room; i++)
		expected += ledger->entries[i].has_failed_task;
	promise(n == expected, "P12", 0, "failed tasks on record and in the books differ");
}

void ledger_steps(const struct ledger *ledger, uint64_t steps, uint32_t room)
{
	promise(steps <= 4 * ((uint64_t)room + ledger->schedules_n) + 100, "P7", 0,
		"a claim counts a gap step by step");
}

void ledger_rest(const struct ledger *ledger, const struct store_check *check)
{
	promise(check->sum_holds, "P3", 0, "planned = delivered + failed + cancelled + skipped + open");
	promise(check->integrity_ok, "I14", 0, check->integrity);
	promise(check->open == 0, "I10", 0, "something is still open");
	promise(check->delivered == (int64_t)ledger->sums.delivered, "I1", 0,
		"delivered runs on record and in the books differ");
	promise(check->failed == (int64_t)ledger->sums.failed, "I1", 0,
		"failed runs on record and in the books differ");
}

struct ledger_sums ledger_sum(const struct ledger *ledger)
{
	return ledger->sums;
}
