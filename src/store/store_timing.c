/* SPDX-License-Identifier: BSD-3-Clause */
/* From a schedule's texts to the timing that the planner works on, and what happens when the rules of a time zone
 * change.
 *
 * Parsing costs less than looking a parsed form up would; nothing is cached but zones. The digest of each zone file
 * that a schedule uses is on record: when the file is another one, the next instants in that zone are computed anew.
 * Instants that are due already stay: they were promised by the rules of their time (P9: a changed zone moves future
 * runs and never repeats a past one). */
#include <string.h>

#include "base/log.h"
#include "store/internal.h"

static uint64_t seed_of(const uint8_t uuid[16])
{
	uint64_t seed = 0;

	for (int i = 0; i < 8; i++)
		seed = seed << 8 | uuid[i];
	return seed;
}

bool store_timing(struct store *store, const struct store_timing_source *source, struct timing *timing)
{
	struct cron_problem problem;

	*timing = (struct timing){ .has_cron = store_is_set(source->cron),
				   .has_interval = store_is_set(source->interval) };
	if (timing->has_cron) {
		if (!cron_parse(source->cron, seed_of(source->uuid), &timing->cron, &problem))
			return false;
		timing->zone = zonefile_find(store->zones, source->timezone);
		if (!timing->zone)
			return false;
	}
	if (timing->has_interval) {
		if (interval_parse(source->interval, &timing->period_us) != INTERVAL_OK)
			return false;
		/* The smallest interval may have been raised since it was taken. */
		if (timing->period_us < store->interval_us_min)
			timing->period_us = store->interval_us_min;
		timing->anchor = source->anchor_at;
	}
	if (!timing->has_cron && !timing->has_interval) {
		timing->has_once = source->has_once;
		timing->once_at = source->once_at;
	}
	return true;
}

/* --- zones that change ----------------------------------------------------------------------------------- */

static enum err replan(struct store *store, const struct store_schedule_row *row, struct wall now)
{
	bool has_next;
	struct wall next_at;
	enum err err = store_plan_next(store, row, now, &has_next, &next_at);

	if (err != ERR_OK)
		return err == ERR_INVALID ? ERR_OK : err;
	if (has_next)
		store_tell_due(store, next_at);
	return db_run(store->db, SQL_TIMER_SET_NEXT,
		      DB_ARGS(db_int(row->schedule.row), db_int_or_null(has_next, next_at.us)));
}

/* Schedules one by one, by id: a statement that reads a table is not left open while rows of it change. */
static enum err replan_zone(struct store *store, struct str name, struct wall now)
{
	struct arena arena = { 0 };
	enum err err = ERR_OK;
	int64_t after = 0, moved = 0;

	while (err == ERR_OK) {
		struct store_schedule_row row;
		struct db_cursor cursor = db_query(store->db, SQL_SCHEDULE_IN_ZONE_AFTER,
						   DB_ARGS(db_text(name), db_int(after), db_int(now.us)));
		bool found = db_next(&cursor);

		if (found)
			store_schedule_read(&cursor, &arena, &row);
		err = db_end(&cursor);
		if (!found || err != ERR_OK)
			break;
		after = row.schedule.row;
		err = replan(store, &row, now);
		moved++;
		arena_release(&arena);
	}
	arena_release(&arena);
	log_event(LOG_INFO, "zone_changed", log_str("timezone", name), log_int("schedules", moved));
	return err;
}

static enum err follow_zone(struct store *store, struct str name, const uint8_t known[DIGEST_BYTES], struct wall now)
{
	uint8_t digest[DIGEST_BYTES];

	if (!zonefile_digest(store->zones, name, digest) || memcmp(digest, known, DIGEST_BYTES) == 0)
		return ERR_OK;
	enum err err = replan_zone(store, name, now);

	return err == ERR_OK
		       ? db_run(store->db, SQL_ZONE_UPDATE, DB_ARGS(db_text(name), db_blob(digest, sizeof digest)))
		       : err;
}

enum err store_note_zone(struct store *store, struct str name)
{
	uint8_t digest[DIGEST_BYTES];

	if (str_equal(name, STR("UTC")) || !zonefile_digest(store->zones, name, digest))
		return ERR_OK;
	return db_run(store->db, SQL_ZONE_INSERT, DB_ARGS(db_text(name), db_blob(digest, sizeof digest)));
}

struct known_zone {
	struct known_zone *next;
	struct str name;
	uint8_t digest[DIGEST_BYTES];
};

enum err store_follow_zones(struct store *store, struct wall now)
{
	struct arena arena = { 0 };
	struct known_zone *zones = NULL;
	int64_t passed = now.us - store->zones_checked_at.us;

	if (passed >= 0 && passed < US_PER_MINUTE)
		return ERR_OK;
	store->zones_checked_at = now;
	zonefile_refresh(store->zones, (struct str){ NULL, 0 });
	struct db_cursor cursor = db_query(store->db, SQL_ZONES, DB_NO_ARGS);

	while (db_next(&cursor)) {
		struct known_zone *zone = arena_alloc(&arena, sizeof *zone);

		zone->name = db_get_str(&cursor, 0, &arena);
		db_get_bytes(&cursor, 1, zone->digest, sizeof zone->digest);
		zone->next = zones;
		zones = zone;
	}
	enum err err = db_end(&cursor);

	for (; zones && err == ERR_OK; zones = zones->next)
		err = follow_zone(store, zones->name, zones->digest, now);
	arena_release(&arena);
	return err;
}
