/* SPDX-License-Identifier: BSD-3-Clause */
/* Schedules as records: insert, read, list; how a definition becomes the next planned instant. Edits are in
 * store_edit.c.
 *
 * A schedule is three rows: `schedules` (when), `definitions` (what is sent, immutable), `timers` (where it stands; the
 * only one that runs write). */
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/text.h"
#include "core/url.h"
#include "store/internal.h"

/* The order of SCHEDULE_SHOWN and, from AT_DEFINITION on, of the rest of SCHEDULE_COLUMNS in statements.def. */
enum {
	AT_ID,
	AT_UUID,
	AT_FREQUENCY,
	AT_CRON,
	AT_INTERVAL,
	AT_ENDPOINT,
	AT_PAYLOAD,
	AT_ONCE,
	AT_ENABLED,
	AT_TIMEZONE,
	AT_NEXT,
	AT_TRIGGERED,
	AT_CREATED,
	AT_UPDATED,
	AT_CREATED_BY,
	AT_UPDATED_BY,
	AT_LAST,
	AT_HAS_AUTH_TOKEN,
	AT_HAS_SIGNING_SECRET,
	AT_CATCH_UP,
	AT_OVERLAP,
	AT_PUT_OFF,
	AT_DEFINITION,
	AT_ANCHOR,
	AT_LANE,
	AT_AUTH_TOKEN,
	AT_SIGNING_SECRET,
};

static void read_shown(const struct db_cursor *at, struct arena *arena, struct store_schedule_row *row)
{
	int64_t last_us = db_get_int(at, AT_LAST);

	*row = (struct store_schedule_row){
		.schedule = {
			.row = db_get_int(at, AT_ID),
			.definition = {
				.has_frequency = !db_is_null(at, AT_FREQUENCY),
				.frequency = db_get_count(at, AT_FREQUENCY),
				.cron = db_get_str(at, AT_CRON, arena),
				.interval = db_get_str(at, AT_INTERVAL, arena),
				.endpoint = db_get_str(at, AT_ENDPOINT, arena),
				.payload = db_get_str(at, AT_PAYLOAD, arena),
				.has_once = !db_is_null(at, AT_ONCE),
				.once_at = db_get_wall(at, AT_ONCE),
				.enabled = db_get_bool(at, AT_ENABLED),
				.timezone = db_get_str(at, AT_TIMEZONE, arena),
				.catch_up = (enum catch_up)db_get_enum(at, AT_CATCH_UP, CATCH_UP_NONE, CATCH_UP_LATEST),
				.overlap = (enum overlap)db_get_enum(at, AT_OVERLAP, OVERLAP_QUEUE, OVERLAP_ALLOW),
			},
			.has_auth_token = db_get_bool(at, AT_HAS_AUTH_TOKEN),
			.has_signing_secret = db_get_bool(at, AT_HAS_SIGNING_SECRET),
			.is_put_off = db_get_bool(at, AT_PUT_OFF),
			.has_next = !db_is_null(at, AT_NEXT),
			.next_at = db_get_wall(at, AT_NEXT),
			.triggered = db_get_count(at, AT_TRIGGERED),
			.created_at = db_get_wall(at, AT_CREATED),
			.updated_at = db_get_wall(at, AT_UPDATED),
			.created_by = db_get_int(at, AT_CREATED_BY),
			.updated_by = db_get_int(at, AT_UPDATED_BY),
		},
		.last_at = last_us < WALL_US_MIN ? (struct wall){ STORE_NEVER_US } : db_get_wall(at, AT_LAST),
	};
	db_get_bytes(at, AT_UUID, row->schedule.uuid, sizeof row->schedule.uuid);
}

void store_schedule_read(const struct db_cursor *at, struct arena *arena, struct store_schedule_row *row)
{
	read_shown(at, arena, row);
	row->definition_id = db_get_int(at, AT_DEFINITION);
	row->anchor_at = db_get_wall(at, AT_ANCHOR);
	row->lane = db_get_int(at, AT_LANE);
	row->auth_token = db_get_str(at, AT_AUTH_TOKEN, arena);
	row->signing_secret = db_get_str(at, AT_SIGNING_SECRET, arena);
}

struct schedule store_schedule_shown(const struct store_schedule_row *row)
{
	struct schedule shown = row->schedule;

	if (shown.definition.has_once && shown.definition.once_at.us <= row->last_at.us) {
		shown.definition.has_once = false;
		shown.definition.once_at = (struct wall){ 0 };
	}
	return shown;
}

struct store_timing_source store_timing_source(const struct store_schedule_row *row)
{
	const struct schedule_definition *definition = &row->schedule.definition;

	return (struct store_timing_source){
		.uuid = row->schedule.uuid,
		.cron = definition->cron,
		.interval = definition->interval,
		.timezone = definition->timezone,
		.anchor_at = row->anchor_at,
		.has_once = definition->has_once,
		.once_at = definition->once_at,
	};
}

/* 0 for what can never be called: its attempts fail in a lane of their own. */
int64_t store_lane(struct str endpoint)
{
	struct url url;

	return url_parse(endpoint, &url) ? url_lane(&url) : 0;
}

enum err store_plan_next(struct store *store, const struct store_schedule_row *row, struct wall now, bool *has_next,
			 struct wall *next_at)
{
	const struct schedule_definition *definition = &row->schedule.definition;
	struct store_timing_source source = store_timing_source(row);
	struct timing timing;

	*has_next = false;
	*next_at = (struct wall){ 0 };
	if (!definition->enabled || (definition->has_frequency && row->schedule.triggered >= definition->frequency))
		return ERR_OK;
	if (!store_timing(store, &source, &timing))
		return ERR_INVALID;
	/* A one-shot stays due until it has fired, however long ago its instant was (P7). */
	if (timing.has_once) {
		*has_next = timing.once_at.us > row->last_at.us;
		*next_at = timing.once_at;
	} else {
		*has_next = timing_next(&timing, wall_max(now, row->last_at), next_at);
	}
	return ERR_OK;
}

/* --- reading --------------------------------------------------------------------------------------------- */

typedef void read_row(const struct db_cursor *at, struct arena *arena, struct store_schedule_row *row);

static enum err read_one(struct store *store, enum statement statement, const uint8_t uuid[16], read_row *read,
			 struct arena *arena, struct store_schedule_row *row)
{
	struct db_cursor cursor = db_query(store->db, statement, DB_ARGS(db_blob(uuid, 16)));
	bool found = db_next(&cursor);

	if (found)
		read(&cursor, arena, row);
	enum err err = db_end(&cursor);

	return err == ERR_OK && !found ? ERR_NOT_FOUND : err;
}

enum err store_schedule_load(struct store *store, const uint8_t uuid[16], struct arena *arena,
			     struct store_schedule_row *row)
{
	return read_one(store, SQL_SCHEDULE_LOAD, uuid, store_schedule_read, arena, row);
}

enum err store_schedule_get(struct store *store, const uint8_t uuid[16], struct arena *arena, struct schedule *out)
{
	struct store_schedule_row row;
	enum err err = read_one(store, SQL_SCHEDULE_GET, uuid, read_shown, arena, &row);

	if (err == ERR_OK)
		*out = store_schedule_shown(&row);
	return err;
}

enum err store_schedule_list(struct store *store, struct page page, on_schedule on_row, void *ctx)
{
	struct store_page at = store_page(page);
	struct db_cursor cursor = db_query(store->db, SQL_SCHEDULE_LIST, DB_ARGS(at.below, at.limit, at.offset));
	bool more = true;

	while (more && db_next(&cursor)) {
		struct store_schedule_row row;

		read_shown(&cursor, NULL, &row);
		struct schedule shown = store_schedule_shown(&row);

		more = on_row(ctx, &shown);
	}
	return db_end(&cursor);
}

/* --- inserting ------------------------------------------------------------------------------------------- */

enum err store_definition_insert(struct store *store, const struct store_definition_draft *draft, int64_t *id)
{
	struct arena arena = { 0 };
	struct str auth_token = store_seal(store, &arena, draft->owner, "auth_token", store_some(draft->auth_token));
	struct str signing_secret =
		store_seal(store, &arena, draft->owner, "signing_secret", store_some(draft->signing_secret));
	enum err err =
		db_run(store->db, SQL_DEFINITION_INSERT,
		       DB_ARGS(db_int(store_lane(draft->endpoint)), db_text(draft->endpoint), db_text(draft->payload),
			       db_blob(auth_token.p, auth_token.n), db_blob(signing_secret.p, signing_secret.n),
			       db_int_or_null(draft->used_by_run != 0, draft->used_by_run)));

	if (err == ERR_OK)
		*id = db_last_id(store->db);
	arena_release(&arena);
	return err;
}

static enum err insert_rows(struct store *store, struct store_schedule_row *row)
{
	const struct schedule *schedule = &row->schedule;
	const struct schedule_definition *definition = &schedule->definition;
	enum err err = db_run(
		store->db, SQL_SCHEDULE_INSERT,
		DB_ARGS(db_blob(schedule->uuid, 16), db_int(row->definition_id),
			db_int_or_null(definition->has_frequency, definition->frequency), db_text(definition->cron),
			db_text(definition->interval), db_int(row->anchor_at.us),
			db_int_or_null(definition->has_once, definition->once_at.us), db_int(definition->enabled),
			db_text(definition->timezone), db_int(schedule->created_at.us),
			db_int_or_null(schedule->created_by != 0, schedule->created_by), db_int(definition->catch_up),
			db_int(definition->overlap)));

	if (err != ERR_OK)
		return err;
	row->schedule.row = db_last_id(store->db);
	err = db_run(store->db, SQL_TIMER_INSERT,
		     DB_ARGS(db_int(schedule->row), db_int_or_null(schedule->has_next, schedule->next_at.us),
			     db_int(row->last_at.us), db_int(definition->overlap != OVERLAP_ALLOW)));
	if (err == ERR_OK)
		err = store_counter_add(store, "schedules", 1);
	if (err == ERR_OK)
		err = store_counter_add(store, "schedules_enabled", definition->enabled);
	return err;
}

static void begin_row(struct store_schedule_row *row, const struct schedule_definition *definition, int64_t user_id,
		      struct wall now)
{
	*row = (struct store_schedule_row){
		.schedule = { .definition = *definition,
			      .created_at = now,
			      .updated_at = now,
			      .created_by = user_id,
			      .updated_by = user_id },
		.anchor_at = now,
		.last_at = { STORE_NEVER_US },
	};
	random_bytes(row->schedule.uuid, sizeof row->schedule.uuid);
	uuid_stamp(row->schedule.uuid, 4);
	if (store_is_set(definition->cron) || store_is_set(definition->interval))
		row->schedule.definition.has_once = false;
	row->schedule.has_auth_token = store_is_set(definition->auth_token);
	row->schedule.has_signing_secret = store_is_set(definition->signing_secret);
}

enum err store_schedule_insert(struct store *store, const struct schedule_definition *definition, int64_t user_id,
			       struct wall now, struct arena *arena, struct schedule *out)
{
	struct store_schedule_row row;

	begin_row(&row, definition, user_id, now);
	struct store_definition_draft draft = {
		.owner = row.schedule.uuid,
		.endpoint = definition->endpoint,
		.payload = definition->payload,
		.auth_token = definition->auth_token,
		.signing_secret = definition->signing_secret,
	};
	enum err err = store_plan_next(store, &row, now, &row.schedule.has_next, &row.schedule.next_at);

	if (err == ERR_OK)
		err = store_definition_insert(store, &draft, &row.definition_id);
	FAILPOINT("store.insert.definition");
	if (err == ERR_OK)
		err = insert_rows(store, &row);
	FAILPOINT("store.insert.rows");
	if (err == ERR_OK && store_is_set(definition->cron))
		err = store_note_zone(store, definition->timezone);
	if (err == ERR_OK)
		err = store_push_added(store, &row.schedule, now);
	FAILPOINT("store.insert.pushed");
	if (err == ERR_OK)
		err = store_push_metric(store, "schedules.created.sum", 1, now);
	if (err == ERR_OK && row.schedule.has_next)
		store_tell_due(store, row.schedule.next_at);
	return err == ERR_OK ? store_schedule_get(store, row.schedule.uuid, arena, out) : err;
}
