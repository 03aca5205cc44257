/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers: the headers that every one of them carries, the bodies of refusals, hyperlinks, and writes handed to the
 * store's thread. */
#include "api/call.h"

#include <assert.h>

#include "api/input.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/metrics.h"
#include "core/words.h"

struct buf *call_body(struct api_call *call)
{
	buf_clear(&call->api->body);
	return &call->api->body;
}

void call_header(struct api_call *call, const char *name, struct str value)
{
	struct buf *headers = &call->api->headers;

	buf_add(headers, str_from(name));
	buf_add(headers, STR(": "));
	buf_add(headers, value);
	buf_add(headers, STR("\r\n"));
}

#define JSON_TYPE "application/json"

/* `content_type` NULL: there is no body. */
static void add_common_headers(struct api_call *call, const char *content_type)
{
	struct buf *headers = &call->api->headers;
	const struct route *route = call->route;

	if (content_type)
		call_header(call, "Content-Type", str_from(content_type));
	if (route) {
		call_header(call, "Allow", str_from(route->allow));
		if (!route->only_json)
			buf_add(headers, STR("Vary: Accept\r\n"));
	}
	buf_add(headers, STR("X-Frame-Options: SAMEORIGIN\r\n"
			     "X-Content-Type-Options: nosniff\r\n"
			     "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
			     "Cross-Origin-Resource-Policy: same-origin\r\n"
			     "Cache-Control: no-store\r\n"));
}

/* A buffer that one long answer made large gives its memory back. */
static void buffer_rest(struct buf *buf)
{
	size_t max = buf->max;

	if (buf->room > BUFFER_BYTES_KEPT) {
		buf_release(buf);
		buf_init(buf, max);
	}
	buf_clear(buf);
}

/* The last thing that happens to a call. */
static void respond(struct api_call *call, const struct http_response *response)
{
	struct api *api = call->api;

	assert(!api->headers.failed);
	arena_release(&call->body_arena);
	arena_release(&call->job_arena);
	http_respond(call->exchange, response);
	buffer_rest(&api->headers);
	buffer_rest(&api->body);
	buffer_rest(&api->pretty);
}

void call_send(struct api_call *call, unsigned status)
{
	struct api *api = call->api;
	struct buf *body = &api->body;

	if (body->failed) {
		log_event(LOG_ERROR, "answer_too_large", log_text("path", call->route->path));
		call_detail(call, 503, STR("The answer is too large."));
		return;
	}
	if (call->indent > 0 && status != 204) {
		json_indent(&api->pretty, buf_str(body), call->indent);
		if (!api->pretty.failed)
			body = &api->pretty;
	}
	add_common_headers(call, status == 204 ? NULL : JSON_TYPE);
	respond(call, &(struct http_response){
			      .status = status, .headers = &api->headers, .body = status == 204 ? NULL : body });
}

void call_send_text(struct api_call *call, const char *content_type)
{
	add_common_headers(call, content_type);
	respond(call,
		&(struct http_response){ .status = 200, .headers = &call->api->headers, .body = &call->api->body });
}

void call_send_source(struct api_call *call, const struct http_source *source)
{
	add_common_headers(call, JSON_TYPE);
	respond(call, &(struct http_response){ .status = 200, .headers = &call->api->headers, .source = source });
}

void call_detail(struct api_call *call, unsigned status, struct str text)
{
	struct buf *body = call_body(call);

	buf_add(body, STR("{\"detail\":"));
	json_add_string(body, text);
	buf_add_char(body, '}');
	call_send(call, status);
}

void call_not_found(struct api_call *call)
{
	call_detail(call, 404, STR("Not found."));
}

static void refuse_for_now(struct api_call *call, struct str text)
{
	call_header(call, "Retry-After", STR("1"));
	call_detail(call, 503, text);
}

void call_unavailable(struct api_call *call, const char *what, enum err code)
{
	/* Of a write the store thread has told more. */
	const char *detail = call->written ? "" : store_last_error(call->api->options.reader);

	log_event(LOG_ERROR, "request_failed", log_text("what", what), log_text("error", err_name(code)),
		  log_text("detail", detail));
	refuse_for_now(call, STR("The database does not answer at the moment. Nothing was changed; try again."));
}

void call_throttled(struct api_call *call, int64_t wait_us)
{
	long long seconds = (long long)((wait_us + US_PER_SECOND - 1) / US_PER_SECOND);

	metric_add(METRIC_AUTH_THROTTLED, 1);
	call_header(call, "Retry-After", arena_printf(call->arena, "%lld", seconds));
	call_detail(call, 429,
		    arena_printf(call->arena, "Request was throttled. Expected available in %lld seconds.", seconds));
}

void call_problems(struct api_call *call)
{
	problems_render(&call->problems, call_body(call));
	call_send(call, 400);
}

bool call_found(struct api_call *call, enum err code)
{
	if (code == ERR_OK)
		return true;
	if (code == ERR_NOT_FOUND)
		call_not_found(call);
	else
		call_unavailable(call, "read", code);
	return false;
}

bool call_read_body(struct api_call *call, struct input *input)
{
	struct str type = http_request_header(call->request, STR("Content-Type"));
	struct str problem = { NULL, 0 };

	if (call->route->scope == SCOPE_NONE && call->request->body.n > STRANGER_BODY_BYTES_MAX) {
		call_detail(call, 413, STR("The body is too large."));
		return false;
	}
	switch (input_read(&call->body_arena, type, call->request->body, input, &problem)) {
	case INPUT_OK:
		return true;
	case INPUT_UNSUPPORTED:
		call_detail(call, 415,
			    arena_printf(call->arena, "Unsupported media type \"%.*s\" in request.", STR_ARG(type)));
		return false;
	case INPUT_MALFORMED:
		call_detail(call, 400, problem);
		return false;
	case INPUT_NOT_OBJECT:
		break;
	}
	problems_add(&call->problems, "non_field_errors", problem);
	call_problems(call);
	return false;
}

void call_forget_body(struct api_call *call)
{
	arena_release(&call->body_arena);
}

bool call_read_fields(struct api_call *call, const struct field *fields, size_t n, bool is_partial,
		      struct value *values)
{
	struct input input;
	struct fields_request request = { .fields = fields, .fields_n = n, .input = &input, .is_partial = is_partial };

	if (!call_read_body(call, &input))
		return false;
	fields_read(&request, values, &call->problems);
	call_forget_body(call);
	if (!call->problems.first)
		return true;
	call_problems(call);
	return false;
}

bool call_integer_id(struct api_call *call, int64_t *id)
{
	if (words_to_integer(fields_strip(call->id), id) && *id > 0 && *id < INT64_MAX)
		return true;
	call_not_found(call);
	return false;
}

/* ---- writes ---- */

static void on_written(struct store_job *job)
{
	struct api_call *call = job->ctx;
	struct api *api = call->api;

	FAILPOINT("api.written");
	switch (job->result) {
	case ERR_OK:
		call->written(call);
		break;
	case ERR_NOT_FOUND:
		call_not_found(call);
		break;
	case ERR_INVALID:
		problems_add(&call->problems, "non_field_errors", STR("The store refuses this record."));
		call_problems(call);
		break;
	case ERR_CONFLICT:
	case ERR_FENCED:
	case ERR_UNAVAILABLE:
	case ERR_LOCKED:
	case ERR_CORRUPT:
	case ERR_IO:
		call_unavailable(call, "write", job->result);
		break;
	}
	api_wait_end(api);
}

void call_write(struct api_call *call, enum err (*run)(struct store *store, struct store_job *job),
		void (*written)(struct api_call *call))
{
	struct api *api = call->api;

	FAILPOINT("api.write");
	call->written = written;
	call->job = (struct store_job){ .class = STORE_JOB_API,
					.can_wait = true,
					.run = run,
					.done = on_written,
					.answer_to = &api->answers,
					.rows = 4,
					.ctx = call };
	if (api->is_closed || !store_thread_submit(api->options.writer, &call->job)) {
		log_event(LOG_WARN, "write_refused", log_text("path", call->route->path));
		refuse_for_now(call,
			       STR("Too many writes are waiting for the database. Nothing was changed; try again."));
		return;
	}
	api_wait_begin(api);
}

/* ---- hyperlinks ---- */

void links_add(struct buf *json, const struct links *links, const char *collection, struct str id)
{
	struct str path = str_from(collection);

	assert(path.n > 1 && path.p[path.n - 1] == '/');
	buf_add_char(json, '"');
	buf_add(json, links->base);
	if (links->style == LINK_SUFFIX && !id.p)
		path.n--;
	buf_add(json, path);
	buf_add(json, id);
	if (links->style == LINK_SUFFIX)
		buf_add(json, STR(".json"));
	else if (id.p)
		buf_add_char(json, '/');
	if (links->style == LINK_QUERY)
		buf_add(json, STR("?format=json"));
	buf_add_char(json, '"');
}

void links_add_number(struct buf *json, const struct links *links, const char *collection, int64_t id)
{
	char digits[20];
	size_t at = sizeof digits;

	assert(id > 0);
	for (; id > 0; id /= 10)
		digits[--at] = (char)('0' + id % 10);
	links_add(json, links, collection, (struct str){ digits + at, sizeof digits - at });
}
