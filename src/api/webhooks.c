/* SPDX-License-Identifier: BSD-3-Clause */
/* /api/v1/webhook/: who is told when a schedule is added. */
#include "api/list.h"
#include "core/timestamp.h"
#include "core/url.h"

enum { EVENT_CHARACTERS_MAX = 64, TARGET_CHARACTERS_MAX = 255 };

static void check_target(const void *rules, const struct field *field, const struct value *value,
			 struct problems *problems)
{
	(void)rules;
	if (!url_is_webhook_target(value->text))
		problems_add(problems, field->name, STR("Enter a valid URL."));
}

const struct field webhook_fields[WEBHOOK_VALUES_N] = {
	[WEBHOOK_VALUE_EVENT] = { .name = "event",
				  .label = "Event",
				  .kind = FIELD_TEXT,
				  .required = true,
				  .characters_max = EVENT_CHARACTERS_MAX },
	[WEBHOOK_VALUE_TARGET] = { .name = "target",
				   .label = "Target URL",
				   .kind = FIELD_TEXT,
				   .required = true,
				   .characters_max = TARGET_CHARACTERS_MAX,
				   .check_last = true,
				   .check = check_target },
};

static void render(struct buf *json, const struct webhook *webhook)
{
	buf_add(json, STR("{\"id\":"));
	buf_add_i64(json, webhook->id);
	buf_add(json, STR(",\"created\":\""));
	timestamp_add(json, webhook->created_at);
	buf_add(json, STR("\",\"updated\":\""));
	timestamp_add(json, webhook->updated_at);
	buf_add(json, STR("\",\"event\":"));
	json_add_string(json, webhook->event);
	buf_add(json, STR(",\"target\":"));
	json_add_string(json, webhook->target);
	buf_add(json, STR(",\"user\":"));
	buf_add_i64(json, webhook->user_id);
	buf_add_char(json, '}');
}

static bool on_row(void *ctx, const struct webhook *webhook)
{
	struct list *list = ctx;

	render(list_row_begin(list), webhook);
	return list_row_end(list, webhook->id);
}

static enum err rows(struct store *store, struct page page, struct list *list)
{
	return store_webhook_list(store, page, on_row, list);
}

void webhook_list(struct api_call *call)
{
	static const struct list_kind kind = { STORE_WEBHOOKS, rows };

	list_send(call, &kind);
}

struct webhook_work {
	int64_t id;
	struct value values[WEBHOOK_VALUES_N];
	struct webhook webhook; /* before the write, then after it */
};

/* False: the call was answered 404 or 503. */
static bool find(struct api_call *call, struct webhook_work *work)
{
	call->work = work;
	return call_integer_id(call, &work->id) &&
	       call_found(call, store_webhook_get(call->api->options.reader, work->id, call->arena, &work->webhook));
}

void webhook_show(struct api_call *call)
{
	struct webhook_work *work = arena_alloc(call->arena, sizeof *work);

	if (!find(call, work))
		return;
	render(call_body(call), &work->webhook);
	call_send(call, 200);
}

static bool read_values(struct api_call *call, struct webhook_work *work, bool is_partial)
{
	call->work = work;
	return call_read_fields(call, webhook_fields, WEBHOOK_VALUES_N, is_partial, work->values);
}

static enum err run_insert(struct store *store, struct store_job *job)
{
	struct api_call *call = job->ctx;
	struct webhook_work *work = call->work;

	return store_webhook_insert(store, work->values[WEBHOOK_VALUE_EVENT].text,
				    work->values[WEBHOOK_VALUE_TARGET].text, call->user.id, call->now.wall,
				    &call->job_arena, &work->webhook);
}

static void send_created(struct api_call *call)
{
	struct webhook_work *work = call->work;

	render(call_body(call), &work->webhook);
	call_send(call, 201);
}

void webhook_create(struct api_call *call)
{
	struct webhook_work *work = arena_alloc(call->arena, sizeof *work);

	if (read_values(call, work, false))
		call_write(call, run_insert, send_created);
}

static enum err run_update(struct store *store, struct store_job *job)
{
	struct api_call *call = job->ctx;
	struct webhook_work *work = call->work;

	return store_webhook_update(store, work->id, work->values[WEBHOOK_VALUE_EVENT].text,
				    work->values[WEBHOOK_VALUE_TARGET].text, call->now.wall, &call->job_arena,
				    &work->webhook);
}

static void send_updated(struct api_call *call)
{
	struct webhook_work *work = call->work;

	render(call_body(call), &work->webhook);
	call_send(call, 200);
}

static void update(struct api_call *call, bool is_partial)
{
	struct webhook_work *work = arena_alloc(call->arena, sizeof *work);

	if (find(call, work) && read_values(call, work, is_partial))
		call_write(call, run_update, send_updated);
}

void webhook_replace(struct api_call *call)
{
	update(call, false);
}

void webhook_patch(struct api_call *call)
{
	update(call, true);
}

static enum err run_delete(struct store *store, struct store_job *job)
{
	struct api_call *call = job->ctx;
	struct webhook_work *work = call->work;

	return store_webhook_delete(store, work->id);
}

static void send_deleted(struct api_call *call)
{
	call_send(call, 204);
}

void webhook_delete(struct api_call *call)
{
	struct webhook_work *work = arena_alloc(call->arena, sizeof *work);

	if (find(call, work))
		call_write(call, run_delete, send_deleted);
}
