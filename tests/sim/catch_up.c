/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts occurrences one by one, by minute or by interval: slow, and with nothing to get wrong. */
#include "catch_up.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "core/timestamp.h"
#include "record_text.h"

enum { ALL_RUNS_MAX = 1000, BOOKS_MAX = 64 };

#define GAP_IN_FULL_US (60 * US_PER_SECOND)
#define ALL_AGE_US (24 * 3600 * US_PER_SECOND)

enum policy { LATEST, ALL, NONE };

struct entry {
	uint8_t uuid[16];
	enum policy policy;
	bool is_once, is_over;
	int64_t step_us;      /* of an interval; 0: cron */
	int minute, hour;     /* of cron; -1: each */
	int64_t next_us;      /* the first occurrence not dealt with */
	int64_t first_run_us; /* of those missed, the first that runs; 0: nothing was missed */
	int64_t skips;	      /* recorded along with it */
};

struct catch_up_books {
	struct ledger *ledger;
	struct entry entries[BOOKS_MAX];
	unsigned n;
	int64_t skipped;
	struct wall started_at;
	uint64_t gaps, runs;
};

struct catch_up_books *catch_up_new(struct ledger *ledger)
{
	struct catch_up_books *books = memory_new(sizeof *books);

	books->ledger = ledger;
	return books;
}

void catch_up_free(struct catch_up_books *books)
{
	free(books);
}

static bool matches(const struct entry *entry, int64_t minute_n)
{
	return (entry->minute < 0 || minute_n % 60 == entry->minute) &&
	       (entry->hour < 0 || minute_n / 60 % 24 == entry->hour);
}

static int64_t after(const struct entry *entry, int64_t us)
{
	int64_t minute_n = us / US_PER_MINUTE + 1;

	if (entry->step_us)
		return us + entry->step_us;
	while (!matches(entry, minute_n))
		minute_n++;
	return minute_n * US_PER_MINUTE;
}

static struct str unquoted(struct str record, struct str key)
{
	struct str value = record_text_value(record, key);

	return value.n >= 2 && value.p[0] == '"' ? str_slice(value, 1, value.n - 2) : (struct str){ 0 };
}

static struct str zero_ended(struct arena *arena, struct str text)
{
	return arena_copy(arena, text);
}

void catch_up_created(struct catch_up_books *books, const uint8_t uuid[16], struct str record)
{
	struct arena arena = { 0 };
	struct entry *entry = books ? &books->entries[books->n] : NULL;
	struct wall first;

	if (!books)
		return;
	promise(books->n++ < BOOKS_MAX, "rig", 0, "too many schedules");
	memcpy(entry->uuid, uuid, 16);

	struct str interval = zero_ended(&arena, unquoted(record, STR("interval_definition")));
	struct str cron = zero_ended(&arena, unquoted(record, STR("cron_definition")));
	struct str catch_up = unquoted(record, STR("catch_up"));

	entry->policy = str_equal(catch_up, STR("all")) ? ALL : str_equal(catch_up, STR("none")) ? NONE : LATEST;
	entry->minute = entry->hour = -1;
	if (interval.p)
		entry->step_us = strtoll(interval.p, NULL, 10) * US_PER_SECOND;
	else if (cron.p)
		promise(sscanf(cron.p, "%d %d", &entry->minute, &entry->hour) >= (cron.p[0] != '*'), "rig", 0, cron.p);
	else
		entry->is_once = true;
	promise(timestamp_parse(unquoted(record, STR("next_send_at")), &first) == TIMESTAMP_OK, "rig", 0,
		"no next_send_at");
	entry->next_us = first.us;
	arena_release(&arena);
}

/* P7: of the occurrences from `next_us` on and before `now_us`, the first one that runs; then it goes on from there. */
static int64_t first_run(struct entry *entry, int64_t now_us, int64_t *skips)
{
	int64_t missed_n = 0, latest_us = 0, first_us = 0, from;

	for (int64_t at = entry->next_us; at < now_us; at = after(entry, at)) {
		missed_n++;
		latest_us = at;
		first_us = at;
	}
	*skips = 0;
	if (missed_n == 0 || now_us - entry->next_us <= GAP_IN_FULL_US)
		return entry->next_us;
	switch (entry->policy) {
	case LATEST:
		*skips = missed_n - 1;
		return latest_us;
	case NONE:
		*skips = missed_n;
		return after(entry, latest_us);
	case ALL:
		break;
	}
	first_us = entry->next_us;
	from = now_us - ALL_AGE_US;
	while (first_us < now_us && (first_us < from || missed_n - *skips > ALL_RUNS_MAX)) {
		first_us = after(entry, first_us);
		++*skips;
	}
	return first_us;
}

static void deal(struct catch_up_books *books, struct entry *entry)
{
	if (!entry->first_run_us)
		return;
	books->skipped += entry->skips;
	entry->next_us = entry->first_run_us;
	entry->first_run_us = 0;
}

void catch_up_started(struct catch_up_books *books, struct audit *audit, struct wall now)
{
	for (unsigned i = 0; books && i < books->n; i++) {
		struct entry *entry = &books->entries[i];

		/* A life too short to plan everything may have planned this one. */
		if (audit_covered(audit, entry->uuid).us >= entry->next_us)
			deal(books, entry);
		entry->first_run_us = 0;
		if (entry->is_once || entry->is_over || entry->next_us >= now.us)
			continue;
		books->gaps++;
		entry->first_run_us = first_run(entry, now.us, &entry->skips);
	}
	if (books)
		books->started_at = now;
}

void catch_up_planned(struct catch_up_books *books)
{
	for (unsigned i = 0; books && i < books->n; i++)
		deal(books, &books->entries[i]);
}

void catch_up_claimed(struct catch_up_books *books, const struct run *run)
{
	struct entry *entry = NULL;

	for (unsigned i = 0; books && i < books->n && !entry; i++)
		if (memcmp(books->entries[i].uuid, run->schedule_uuid, 16) == 0)
			entry = &books->entries[i];
	/* What runs again was dealt with when it was planned. */
	if (!entry || entry->is_over || (run->planned_at.us < entry->next_us && !entry->first_run_us) ||
	    run->planned_at.us < entry->next_us)
		return;
	deal(books, entry);
	promise(run->planned_at.us == entry->next_us, "P7", run->id, "not the occurrence that was to run next");
	books->runs++;
	entry->is_over = entry->is_once;
	entry->next_us = after(entry, entry->next_us);
}

void catch_up_ended(struct catch_up_books *books, struct wall now)
{
	for (unsigned i = 0; books && i < books->n; i++) {
		const struct entry *entry = &books->entries[i];

		promise(entry->is_over || entry->next_us > now.us - 5 * US_PER_SECOND ||
				books->started_at.us > now.us - 5 * US_PER_SECOND,
			"P7", (int64_t)i, "an occurrence that was due has not been planned");
	}
}

void catch_up_rest(struct catch_up_books *books, const struct store_check *check, uint64_t *gaps, uint64_t *runs)
{
	if (!books)
		return;
	promise(check->skipped == books->skipped, "P7", check->skipped,
		"so many were skipped, and not as many as should");
	*gaps = books->gaps;
	*runs = books->runs;
}
