/* SPDX-License-Identifier: BSD-3-Clause */
/* /api/v1/schedule/: the records that the service exists for.
 *
 * Writes are validated here and made by the store in one transaction; the answer shows the record that the transaction
 * left. */
#include <string.h>

#include "api/list.h"
#include "api/schedule_fields.h"
#include "base/text.h"
#include "core/timestamp.h"

#define COLLECTION "/api/v1/schedule/"

static void add_boolean(struct buf *json, bool value)
{
	buf_add(json, value ? STR("true") : STR("false"));
}

static void add_secret(struct buf *json, bool is_set)
{
	buf_add(json, is_set ? STR("\"" SCHEDULE_SECRET_MASK "\"") : STR("null"));
}

static void add_timestamp(struct buf *json, bool is_set, struct wall at)
{
	if (!is_set) {
		buf_add(json, STR("null"));
		return;
	}
	buf_add_char(json, '"');
	timestamp_add(json, at);
	buf_add_char(json, '"');
}

static void add_user(struct buf *json, const struct links *links, int64_t user_id)
{
	if (user_id > 0)
		links_add_number(json, links, "/api/v1/user/", user_id);
	else
		buf_add(json, STR("null"));
}

/* The payload as it is stored, but for U+2028 and U+2029, which no answer carries unescaped. They can only stand in
 * strings. */
static void add_payload(struct buf *json, struct str payload)
{
	const char *hit;

	while ((hit = payload.n ? memmem(payload.p, payload.n, "\xE2\x80", 2) : NULL)) {
		size_t at = (size_t)(hit - payload.p);
		unsigned char last = at + 2 < payload.n ? (unsigned char)hit[2] : 0;
		bool is_separator = last == 0xA8 || last == 0xA9;

		buf_add(json, str_slice(payload, 0, is_separator ? at : at + 2));
		if (is_separator)
			buf_add(json, last == 0xA8 ? STR("\\u2028") : STR("\\u2029"));
		payload = str_slice(payload, is_separator ? at + 3 : at + 2, payload.n);
	}
	buf_add(json, payload);
}

static void render(struct buf *json, const struct links *links, const struct schedule *schedule)
{
	const struct schedule_definition *definition = &schedule->definition;
	char id[UUID_TEXT_BYTES];
	struct str id_text = { id, sizeof id };

	uuid_format(schedule->uuid, id);
	buf_add(json, STR("{\"url\":"));
	links_add(json, links, COLLECTION, id_text);
	buf_add(json, STR(",\"id\":\""));
	buf_add(json, id_text);
	buf_add(json, STR("\",\"frequency\":"));
	if (definition->has_frequency)
		buf_add_i64(json, definition->frequency);
	else
		buf_add(json, STR("null"));
	buf_add(json, STR(",\"cron_definition\":"));
	json_add_string_or_null(json, definition->cron);
	buf_add(json, STR(",\"interval_definition\":"));
	json_add_string_or_null(json, definition->interval);
	buf_add(json, STR(",\"endpoint\":"));
	json_add_string(json, definition->endpoint);
	buf_add(json, STR(",\"payload\":"));
	add_payload(json, definition->payload);
	buf_add(json, STR(",\"auth_token\":"));
	add_secret(json, schedule->has_auth_token);
	buf_add(json, STR(",\"next_send_at\":"));
	add_timestamp(json, schedule->has_next, schedule->next_at);
	buf_add(json, STR(",\"enabled\":"));
	add_boolean(json, definition->enabled);
	buf_add(json, STR(",\"created_at\":"));
	add_timestamp(json, true, schedule->created_at);
	buf_add(json, STR(",\"updated_at\":"));
	add_timestamp(json, true, schedule->updated_at);
	buf_add(json, STR(",\"created_by\":"));
	add_user(json, links, schedule->created_by);
	buf_add(json, STR(",\"updated_by\":"));
	add_user(json, links, schedule->updated_by);
	buf_add(json, STR(",\"timezone\":"));
	json_add_string(json, definition->timezone);
	buf_add(json, STR(",\"triggered\":"));
	buf_add_i64(json, schedule->triggered);
	buf_add(json, STR(",\"signing_secret\":"));
	add_secret(json, schedule->has_signing_secret);
	buf_add_char(json, '}');
}

/* ---- reading ---- */

static bool on_row(void *ctx, const struct schedule *schedule)
{
	struct list *list = ctx;

	render(list_row_begin(list), list_links(list), schedule);
	return list_row_end(list, schedule->row);
}

static enum err rows(struct store *store, struct page page, struct list *list)
{
	return store_schedule_list(store, page, on_row, list);
}

void schedule_list(struct api_call *call)
{
	static const struct list_kind kind = { STORE_SCHEDULES, rows };

	list_send(call, &kind);
}

/* False: the call was answered 404 or 503. */
static bool find(struct api_call *call, uint8_t uuid[16], struct schedule *schedule)
{
	if (!uuid_parse(call->id, uuid)) {
		call_not_found(call);
		return false;
	}
	return call_found(call, store_schedule_get(call->api->options.reader, uuid, call->arena, schedule));
}

void schedule_show(struct api_call *call)
{
	struct schedule schedule;
	uint8_t uuid[16];

	if (!find(call, uuid, &schedule))
		return;
	render(call_body(call), &call->links, &schedule);
	call_send(call, 200);
}

/* ---- writing ---- */

struct schedule_work {
	uint8_t uuid[16];
	struct schedule_change change;
	struct schedule current; /* before the change */
	struct schedule result;	 /* after it; in the job's arena */
};

static const struct zone *find_zone(void *zones, struct str name)
{
	return zonefile_find(zones, name);
}

static struct schedule_rules rules_of(const struct api_call *call)
{
	const struct api_options *options = &call->api->options;

	return (struct schedule_rules){ .egress = options->egress,
					.interval_us_min = options->interval_us_min,
					.find_zone = find_zone,
					.zones = options->zones,
					.now = call->now.wall };
}

/* Reads the body into work->change; false: the call was answered. */
static bool read_change(struct api_call *call, struct schedule_work *work, const struct schedule *current,
			bool is_partial)
{
	struct schedule_rules rules = rules_of(call);
	struct input input;
	bool is_valid;

	call->work = work;
	if (!call_read_body(call, &input))
		return false;
	is_valid = schedule_fields_read(&rules, &input, current, is_partial, &work->change, &call->problems);
	call_forget_body(call);
	if (!is_valid)
		call_problems(call);
	return is_valid;
}

static enum err run_insert(struct store *store, struct store_job *job)
{
	struct api_call *call = job->ctx;
	struct schedule_work *work = call->work;

	return store_schedule_insert(store, &work->change.definition, call->user.id, call->now.wall, &call->job_arena,
				     &work->result);
}

static void send_created(struct api_call *call)
{
	struct schedule_work *work = call->work;
	struct buf *body = call_body(call);

	/* The Location is the record's own url: the same text without its quotes. */
	char id[UUID_TEXT_BYTES];

	uuid_format(work->result.uuid, id);
	links_add(body, &call->links, COLLECTION, (struct str){ id, sizeof id });
	call_header(call, "Location", str_slice(buf_str(body), 1, body->n - 2));
	render(call_body(call), &call->links, &work->result);
	call_send(call, 201);
}

void schedule_create(struct api_call *call)
{
	struct schedule_work *work = arena_alloc(call->arena, sizeof *work);

	if (read_change(call, work, NULL, false))
		call_write(call, run_insert, send_created);
}

static enum err run_update(struct store *store, struct store_job *job)
{
	struct api_call *call = job->ctx;
	struct schedule_work *work = call->work;

	return store_schedule_update(store, work->uuid, work->change.set, &work->change.definition, call->user.id,
				     call->now.wall, &call->job_arena, &work->result);
}

static void send_updated(struct api_call *call)
{
	struct schedule_work *work = call->work;

	render(call_body(call), &call->links, &work->result);
	call_send(call, 200);
}

static void update(struct api_call *call, bool is_partial)
{
	struct schedule_work *work = arena_alloc(call->arena, sizeof *work);

	if (find(call, work->uuid, &work->current) && read_change(call, work, &work->current, is_partial))
		call_write(call, run_update, send_updated);
}

void schedule_replace(struct api_call *call)
{
	update(call, false);
}

void schedule_patch(struct api_call *call)
{
	update(call, true);
}

static enum err run_delete(struct store *store, struct store_job *job)
{
	struct api_call *call = job->ctx;
	struct schedule_work *work = call->work;

	return store_schedule_delete(store, work->uuid, call->now.wall);
}

static void send_deleted(struct api_call *call)
{
	call_send(call, 204);
}

void schedule_delete(struct api_call *call)
{
	struct schedule_work *work = arena_alloc(call->arena, sizeof *work);

	call->work = work;
	if (find(call, work->uuid, &work->current))
		call_write(call, run_delete, send_deleted);
}
