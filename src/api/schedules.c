/* SPDX-License-Identifier: BSD-3-Clause */
/* /api/v1/schedule/: the records that the service exists for.
 *
 * Writes are validated here and made by the store in one transaction; the answer shows the record that the transaction
 * left. */
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

static void add_choice(struct buf *json, struct str key, const struct choice *choice)
{
	buf_add(json, key);
	buf_add(json, str_from(choice->name));
	buf_add_char(json, '"');
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

/* "\uXXXX" at the start of `text`. */
static bool read_unit(struct str text, uint32_t *unit)
{
	uint8_t bytes[2];

	if (!str_starts_with(text, STR("\\u")) || !hex_parse(str_slice(text, 2, 4), bytes, sizeof bytes))
		return false;
	*unit = (uint32_t)bytes[0] << 8 | bytes[1];
	return true;
}

static bool is_separator(uint32_t c)
{
	return c == 0x2028 || c == 0x2029;
}

/* Bytes of the escape at the start of `text` that stands for a character beyond ASCII other than the separators; 0 for
 * any other. A payload that was taken has no lone surrogates. */
static size_t read_wide_escape(struct str text, uint32_t *c)
{
	uint32_t low;

	if (!read_unit(text, c) || *c < 0x80 || is_separator(*c))
		return 0;
	if (*c < 0xD800 || *c > 0xDFFF)
		return 6;
	if (!read_unit(str_slice(text, 6, 6), &low))
		return 0;
	*c = 0x10000 + ((*c - 0xD800) << 10) + ((low - 0xDC00) & 0x3FF);
	return 12;
}

/* Appends what the backslash or the byte E2 at the start of `text` introduces; returns how many bytes that was. */
static size_t add_special(struct buf *json, struct str text)
{
	uint32_t c = 0;
	bool is_escape = text.p[0] == '\\';
	size_t n = is_escape ? read_wide_escape(text, &c) : utf8_decode(text, 0, &c);

	if (n == 0) {
		n = is_escape ? 2 : 1;
		buf_add(json, str_slice(text, 0, n));
	} else if (is_separator(c)) {
		buf_printf(json, "\\u%04x", (unsigned)c);
	} else {
		utf8_add(json, c);
	}
	return n;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The payload as it is stored, but for what every answer writes in one way: no white space between the parts;
 * characters beyond ASCII as they are, U+2028 and U+2029 as escapes. */
static void add_payload(struct buf *json, struct str payload)
{
	bool is_in_string = false;
	size_t from = 0, at = 0;

	while (at < payload.n) {
		char c = payload.p[at];

		if (c == '"')
			is_in_string = !is_in_string;
		if (is_in_string ? c != '\\' && c != '\xE2' : !is_blank(c)) {
			at++;
			at += is_in_string ? json_plain_n(payload, at) : 0;
			continue;
		}
		buf_add(json, str_slice(payload, from, at - from));
		at += is_in_string ? add_special(json, str_slice(payload, at, payload.n)) : 1;
		from = at;
	}
	buf_add(json, str_slice(payload, from, at - from));
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
	add_choice(json, STR(",\"catch_up\":\""), &schedule_catch_ups[definition->catch_up]);
	add_choice(json, STR(",\"overlap\":\""), &schedule_overlaps[definition->overlap]);
	buf_add(json, STR(",\"put_off\":"));
	add_boolean(json, schedule->is_put_off);
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

/* As the file is now: a zone that is gone since must be refused here and not by the store, which says no more than no. */
static const struct zone *find_zone(void *zones, struct str name)
{
	zonefile_refresh(zones, name);
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
