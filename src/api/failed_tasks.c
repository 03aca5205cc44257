/* SPDX-License-Identifier: BSD-3-Clause */
/* /api/v1/failed-tasks/: runs that used up their attempts, and sending them all again. */
#include "api/list.h"
#include "base/text.h"
#include "core/timestamp.h"

#define COLLECTION "/api/v1/failed-tasks/"

static void render(struct buf *json, const struct links *links, const struct failure *failure)
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
	buf_add_char(json, '}');
}

static bool on_row(void *ctx, const struct failure *failure)
{
	struct list *list = ctx;

	render(list_row_begin(list), list_links(list), failure);
	return list_row_end(list, failure->id);
}

static enum err rows(struct store *store, struct page page, struct list *list)
{
	return store_failure_list(store, page, on_row, list);
}

void failed_task_list(struct api_call *call)
{
	static const struct list_kind kind = { STORE_FAILURES, rows };

	list_send(call, &kind);
}

void failed_task_show(struct api_call *call)
{
	struct failure failure;
	int64_t id;

	if (!call_integer_id(call, &id) ||
	    !call_found(call, store_failure_get(call->api->options.reader, id, call->arena, &failure)))
		return;
	render(call_body(call), &call->links, &failure);
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
