/* SPDX-License-Identifier: BSD-3-Clause */
/* /api/v1/failed-tasks/: runs that used up their attempts, and sending them all again; each with its last attempts
 * (P12). */
#include "api/list.h"
#include "base/text.h"
#include "core/outcome.h"
#include "core/timestamp.h"

#define COLLECTION "/api/v1/failed-tasks/"

static bool on_attempt_row(void *ctx, const struct attempt *attempt)
{
	struct buf *json = ctx;

	if (json->p[json->n - 1] != '[')
		buf_add_char(json, ',');
	buf_printf(json, "{\"number\":%u,\"started_at\":\"", attempt->number);
	timestamp_add(json, attempt->started_at);
	buf_printf(json, "\",\"duration_ms\":%lld,\"outcome\":\"%s\",\"status\":",
		   (long long)(attempt->duration_us / US_PER_MS), outcome_class_name(attempt->class));
	if (attempt->status)
		buf_add_u64(json, attempt->status);
	else
		buf_add(json, STR("null"));
	buf_add(json, STR(",\"answer\":"));
	json_add_string(json, attempt->answer); /* bytes that are no UTF-8 show as U+FFFD */
	buf_add_char(json, '}');
	return true;
}

static enum err render(struct store *reader, struct buf *json, const struct links *links, const struct failure *failure)
{
	char id[UUID_TEXT_BYTES];
	struct str id_text = { id, sizeof id };

	buf_add(json, STR("{\"url\":"));
	links_add_number(json, links, COLLECTION, failure->id);
	buf_add(json, STR(",\"id\":"));
	buf_add_i64(json, failure->id);
	buf_add(json, STR(",\"schedule\":"));
	uuid_format(failure->schedule_uuid, id);
	links_add(json, links, "/api/v1/schedule/", id_text);
	buf_add(json, STR(",\"task_id\":\""));
	uuid_format(failure->run_uuid, id);
	buf_add(json, id_text);
	buf_add(json, STR("\",\"initiated_at\":\""));
	timestamp_add(json, failure->initiated_at);
	buf_add(json, STR("\",\"reason\":"));
	json_add_string(json, failure->reason);
	buf_add(json, STR(",\"attempts\":["));
	enum err err = store_attempt_list(reader, failure->id, on_attempt_row, json);

	buf_add(json, STR("]}"));
	return err;
}

struct rows {
	struct list *list;
	struct store *reader;
	enum err err;
};

static bool on_row(void *ctx, const struct failure *failure)
{
	struct rows *rows = ctx;

	rows->err = render(rows->reader, list_row_begin(rows->list), list_links(rows->list), failure);
	return rows->err == ERR_OK && list_row_end(rows->list, failure->id);
}

static enum err list_rows(struct store *store, struct page page, struct list *list)
{
	struct rows rows = { list, store, ERR_OK };
	enum err err = store_failure_list(store, page, on_row, &rows);

	return err == ERR_OK ? rows.err : err;
}

void failed_task_list(struct api_call *call)
{
	static const struct list_kind kind = { STORE_FAILURES, list_rows };

	list_send(call, &kind);
}

void failed_task_show(struct api_call *call)
{
	struct store *reader = call->api->options.reader;
	struct buf *json = call_body(call);
	struct failure failure;
	int64_t id;

	if (!call_integer_id(call, &id) || !call_found(call, store_failure_get(reader, id, call->arena, &failure)))
		return;
	enum err err = render(reader, json, &call->links, &failure);

	if (err != ERR_OK)
		buf_clear(json);
	if (call_found(call, err))
		call_send(call, 200);
}

static enum err run_requeue(struct store *store, struct store_job *job)
{
	struct api_call *call = job->ctx;
	int64_t requeued;

	return store_failures_requeue(store, call->now.wall, &requeued);
}

static void send_requeued(struct api_call *call)
{
	buf_add(call_body(call), STR("{\"requeued_failed_tasks\":true}"));
	call_send(call, 201);
}

void failed_tasks_requeue(struct api_call *call)
{
	call_write(call, run_requeue, send_requeued);
}
