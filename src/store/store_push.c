/* SPDX-License-Identifier: BSD-3-Clause */
/* What the service itself sends: schedule.added to webhooks, and metrics to METRICS_URL, as runs of the same engine.
 *
 * Each is a definition of its own that exactly one run uses. Both are bounded: a webhook per event up to
 * HOOKS_PER_EVENT_MAX, and METRIC_RUNS_MAX open metrics, so that a metrics server that is away costs a bounded number
 * of rows. */
#include <stdio.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "core/timestamp.h"
#include "store/internal.h"

enum { HOOKS_PER_EVENT_MAX = 1000, METRIC_RUNS_MAX = 1000, BODY_BYTES_MAX = 16 * 1024 * 1024 };

struct push {
	enum run_kind kind;
	struct str endpoint, body, authorization;
};

static enum err push(struct store *store, const struct push *what, struct wall now)
{
	uint8_t uuid[16];
	int64_t definition_id;

	random_bytes(uuid, sizeof uuid);
	uuid_stamp(uuid, 4);
	struct store_definition_draft definition = {
		.owner = uuid,
		.endpoint = what->endpoint,
		.payload = what->body,
		.auth_token = what->authorization,
		.used_by_run = store->next_run_id,
	};
	enum err err = store_definition_insert(store, &definition, &definition_id);

	if (err != ERR_OK)
		return err;
	struct store_run_draft run = {
		.uuid = uuid, .definition_id = definition_id, .kind = what->kind, .planned_at = now
	};

	store_tell_due(store, now);
	FAILPOINT("store.push.definition");
	return store_run_insert(store, &run, now);
}

/* --- schedule.added -------------------------------------------------------------------------------------- */

static void add_instant(struct buf *buf, bool has, struct wall at)
{
	if (!has) {
		buf_add(buf, STR("null"));
		return;
	}
	buf_add_char(buf, '"');
	timestamp_add_offset(buf, at);
	buf_add_char(buf, '"');
}

static void add_hook(struct buf *buf, const struct webhook *hook)
{
	json_key(buf, "hook");
	buf_add_char(buf, '{');
	json_key(buf, "id");
	buf_add_i64(buf, hook->id);
	json_key(buf, "event");
	json_add_string(buf, hook->event);
	json_key(buf, "target");
	json_add_string(buf, hook->target);
	buf_add_char(buf, '}');
}

static void add_schedule(struct buf *buf, const struct schedule *schedule)
{
	const struct schedule_definition *definition = &schedule->definition;
	char id[UUID_TEXT_BYTES];

	uuid_format(schedule->uuid, id);
	json_key(buf, "data");
	buf_add_char(buf, '{');
	json_key(buf, "id");
	json_add_string(buf, (struct str){ id, sizeof id });
	json_key(buf, "frequency");
	if (definition->has_frequency)
		buf_add_i64(buf, definition->frequency);
	else
		buf_add(buf, STR("null"));
	json_key(buf, "triggered");
	buf_add_i64(buf, schedule->triggered);
	json_key(buf, "cron_definition");
	json_add_string_or_null(buf, definition->cron);
	json_key(buf, "interval_definition");
	json_add_string_or_null(buf, definition->interval);
	json_key(buf, "endpoint");
	json_add_string(buf, definition->endpoint);
	json_key(buf, "payload");
	json_compact(buf, definition->payload);
	json_key(buf, "next_send_at");
	add_instant(buf, schedule->has_next, schedule->next_at);
	json_key(buf, "enabled");
	buf_add(buf, definition->enabled ? STR("true") : STR("false"));
	json_key(buf, "created_at");
	add_instant(buf, true, schedule->created_at);
	json_key(buf, "updated_at");
	add_instant(buf, true, schedule->updated_at);
	buf_add_char(buf, '}');
}

static enum err push_hook(struct store *store, const struct webhook *hook, const struct schedule *schedule,
			  struct wall now)
{
	struct arena arena = { 0 };
	struct buf body;

	buf_init(&body, BODY_BYTES_MAX);
	buf_add_char(&body, '{');
	add_hook(&body, hook);
	add_schedule(&body, schedule);
	buf_add_char(&body, '}');
	struct push what = { .kind = RUN_WEBHOOK, .endpoint = hook->target, .body = buf_str(&body) };

	if (store_is_set(store->hook_token))
		what.authorization = arena_printf(&arena, "Token %.*s", STR_ARG(store->hook_token));
	enum err err = body.failed ? ERR_INVALID : push(store, &what, now);

	buf_release(&body);
	arena_release(&arena);
	return err;
}

enum err store_push_added(struct store *store, const struct schedule *schedule, struct wall now)
{
	struct db_cursor row = db_query(store->db, SQL_WEBHOOK_OF_EVENT,
					DB_ARGS(db_text(STR("schedule.added")), db_int(HOOKS_PER_EVENT_MAX)));
	enum err err = ERR_OK;

	while (err == ERR_OK && db_next(&row)) {
		struct webhook hook = { .id = db_get_int(&row, 0),
					.event = db_get_str(&row, 1, NULL),
					.target = db_get_str(&row, 2, NULL) };

		err = push_hook(store, &hook, schedule, now);
	}
	enum err ended = db_end(&row);

	return err == ERR_OK ? ended : err;
}

/* --- metrics --------------------------------------------------------------------------------------------- */

enum err store_push_metric(struct store *store, const char *key, int64_t value, struct wall now)
{
	struct arena arena = { 0 };
	int64_t open = 0;

	if (!store_is_set(store->metrics_url))
		return ERR_OK;
	enum err err = store_counter_get(store, "metric_runs", &open);

	if (err == ERR_OK && open >= METRIC_RUNS_MAX) {
		log_event(LOG_WARN, "metric_dropped", log_text("key", key), log_int("value", value),
			  log_int("waiting", open));
		return ERR_OK;
	}
	if (err == ERR_OK)
		err = store_counter_add(store, "metric_runs", 1);
	if (err == ERR_OK) {
		struct push what = {
			.kind = RUN_METRIC,
			.endpoint = arena_printf(&arena, "%.*s/metrics/", STR_ARG(store->metrics_url)),
			.body = arena_printf(&arena, "{\"%s\": %lld.0}", key, (long long)value),
			.authorization = store->metrics_authorization,
		};

		err = push(store, &what, now);
	}
	arena_release(&arena);
	return err;
}
