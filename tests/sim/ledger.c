/* SPDX-License-Identifier: BSD-3-Clause */
/* The books: one entry a run row, one a schedule, both numbered in the order in which they appear. */
#include "ledger.h"

#include <assert.h>
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
	uint64_t body;	      /* of the first attempt */
	uint32_t attempt;     /* the highest that started */
	uint32_t recorded;    /* attempts on record */
	unsigned answered_in; /* life of the process in which a 2xx was read; 0 = never */
	bool is_over;	      /* delivered or failed, on record */
	bool is_failed;
};

struct schedule_entry {
	struct wall planned_at; /* the newest */
	struct wall started_at; /* planned instant of the newest first attempt */
	struct wall edited_at;
	enum overlap overlap;
	unsigned flying_n;
	bool is_deleted;
};

struct ledger {
	struct entry *entries; /* by run id */
	size_t entries_room;
	struct schedule_entry *schedules;
	unsigned schedules_n;
	struct id_map by_uuid;
	unsigned life;
	int64_t watched_lane, watched_us; /* 0 = nothing is watched */
	struct ledger_sums sums;
};

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
	ledger->schedules[ledger->schedules_n] =
		(struct schedule_entry){ .planned_at = { WALL_US_MIN - 1 }, .started_at = { WALL_US_MIN - 1 } };
	id_map_insert(&ledger->by_uuid, key_of(uuid), ledger->schedules_n);
	return ledger->schedules_n++;
}

void ledger_edited(struct ledger *ledger, const uint8_t uuid[16], struct wall now)
{
	unsigned index = ledger_schedule(ledger, uuid);

	ledger->schedules[index].edited_at = now;
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

static uint64_t hash_of(struct str s)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < s.n; i++)
		hash = (hash ^ (uint8_t)s.p[i]) * UINT64_C(1099511628211);
	return hash;
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
		*entry = (struct entry){ .is_known = true, .schedule = schedule, .planned_at = run->planned_at };
		memcpy(entry->uuid, run->uuid, 16);
		ledger->sums.runs++;
	}
	promise(memcmp(entry->uuid, run->uuid, 16) == 0 && entry->planned_at.us == run->planned_at.us, "I2", run->id,
		"the run changed its identity");
	promise(run->lease != entry->lease, "P11", run->id, "a lease was given out twice");
	entry->lease = run->lease;
	entry->is_leased = true;
	entry->is_revoked = false;
}

void ledger_set_overlap(struct ledger *ledger, const uint8_t uuid[16], enum overlap overlap)
{
	ledger->schedules[ledger_schedule(ledger, uuid)].overlap = overlap;
}

void ledger_revoked(struct ledger *ledger, int64_t run_id)
{
	entry_of(ledger, run_id)->is_revoked = true;
}

static void watch(struct ledger *ledger, const struct schedule_entry *schedule, const struct run *run, struct wall now)
{
	int64_t lateness_us = now.us - wall_max(run->planned_at, schedule->edited_at).us;

	if (!ledger->watched_us || (ledger->watched_lane && run->lane != ledger->watched_lane))
		return;
	promise(lateness_us <= ledger->watched_us, "P6", run->id, "late");
	ledger->sums.watched++;
	if (lateness_us > ledger->sums.lateness_us_max)
		ledger->sums.lateness_us_max = lateness_us;
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
	promise(attempt == entry->recorded + 1 && attempt >= entry->attempt, "I5", run->id, "attempts must rise");
	promise(attempt <= run->attempts_budget, "I5", run->id, "more attempts than its budget");
	if (entry->has_started) {
		promise(entry->body == body, "I5", run->id, "another body under the same id");
	} else {
		promise(entry->planned_at.us > schedule->started_at.us, "P10", run->id,
			"first attempts must start in planned order");
		schedule->started_at = entry->planned_at;
	}
	ledger->sums.duplicates += entry->answered_in != 0;
	if (!entry->has_started)
		watch(ledger, schedule, run, now);
	entry->has_started = entry->is_flying = true;
	schedule->flying_n++;
	entry->body = body;
	entry->attempt = attempt;
}

void ledger_answered(struct ledger *ledger, int64_t run_id, const struct outcome *outcome)
{
	struct entry *entry = entry_of(ledger, run_id);

	entry->is_flying = false;
	ledger->schedules[entry->schedule].flying_n--;
	if (outcome->class == OUTCOME_DELIVERED)
		entry->answered_in = ledger->life;
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
	if (record->kind <= STORE_FAILED)
		entry->recorded = record->attempts;
	entry->is_leased = false;
	entry->is_over = record->kind == STORE_DELIVERED || record->kind == STORE_FAILED;
	entry->is_failed = record->kind == STORE_FAILED;
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
	/* Its runs are cancelled; no lease of theirs is worth anything. */
	for (size_t i = 0; i < ledger->entries_room; i++)
		if (ledger->entries[i].is_known && ledger->entries[i].schedule == index)
			ledger->entries[i].is_leased = false;
}

static void end_leases(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->entries_room; i++)
		ledger->entries[i].is_flying = ledger->entries[i].is_leased = false;
	for (unsigned i = 0; i < ledger->schedules_n; i++)
		ledger->schedules[i].flying_n = 0;
}

void ledger_crashed(struct ledger *ledger)
{
	ledger->life++;
	end_leases(ledger);
}

void ledger_drained(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->entries_room; i++)
		promise(!ledger->entries[i].is_leased, "P4", (int64_t)i, "still leased after a graceful stop");
	end_leases(ledger);
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
