/* SPDX-License-Identifier: BSD-3-Clause */
/* The order of the checks: route, negotiation, credentials, permission, method; then the handler of the route's row.
 *
 * A check that fails answers and ends the call, so what comes later may rely on all that came before. */
#include "api/api.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "api/auth.h"
#include "api/call.h"
#include "api/negotiate.h"
#include "base/clock.h"

enum { HEADERS_BYTES_MAX = 16384 };

/* ---- the five checks ---- */

static void send_html(struct api_call *call, unsigned status, struct str html)
{
	struct buf *body = call_body(call), *headers = &call->api->headers;

	buf_add(body, html);
	buf_add(headers,
		STR("Content-Type: text/html\r\nX-Frame-Options: SAMEORIGIN\r\nX-Content-Type-Options: nosniff\r\n"
		    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"));
	http_respond(call->exchange, &(struct http_response){ .status = status, .headers = headers, .body = body });
	buf_clear(headers);
}

static void send_unknown(struct api_call *call)
{
	send_html(call, 404,
		  STR("<!doctype html><title>Not Found</title><h1>Not Found</h1>"
		      "<p>The requested resource was not found on this server.</p>\n"));
}

static void send_with_slash(struct api_call *call)
{
	const struct http_request *request = call->request;
	struct buf *headers = &call->api->headers;

	buf_add(headers, STR("Location: "));
	buf_add(headers, request->path);
	buf_add_char(headers, '/');
	if (request->query.p) {
		buf_add_char(headers, '?');
		buf_add(headers, request->query);
	}
	buf_add(headers, STR("\r\n"));
	send_html(call, 301, STR(""));
}

static const struct {
	const char *name;
	enum route_method method;
} methods[] = {
	{ "GET", METHOD_GET }, { "HEAD", METHOD_GET },	  { "POST", METHOD_POST },
	{ "PUT", METHOD_PUT }, { "PATCH", METHOD_PATCH }, { "DELETE", METHOD_DELETE },
};

static route_handler handler_of(const struct route *route, struct str method)
{
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (str_equal(method, str_from(methods[i].name)))
			return route->handlers[methods[i].method];
	return NULL;
}

static void describe(struct api_call *call)
{
	const struct route *route = call->route;
	struct buf *body = call_body(call);
	const char *action = route->handlers[METHOD_POST] ? "POST" : "PUT";

	buf_add(body, STR("{\"name\":"));
	json_add_string(body, str_from(route->name));
	buf_add(body, STR(",\"description\":\"\",\"renders\":[\"application/json\"],\"parses\":[\"application/json\","
			  "\"application/x-www-form-urlencoded\",\"multipart/form-data\"]"));
	if (route->fields) {
		buf_printf(body, ",\"actions\":{\"%s\":", action);
		fields_describe(route->fields, route->fields_n, body);
		buf_add_char(body, '}');
	}
	buf_add_char(body, '}');
	call_send(call, 200);
}

static void check_method(struct api_call *call)
{
	struct str method = call->request->method;
	route_handler handler = handler_of(call->route, method);

	if (handler)
		handler(call);
	else if (str_equal(method, STR("OPTIONS")) && !call->route->is_probe)
		describe(call);
	else
		call_detail(call, 405, arena_printf(call->arena, "Method \"%.*s\" not allowed.", STR_ARG(method)));
}

static void check_permission(struct api_call *call)
{
	if (call->route->scope != SCOPE_NONE && call->user.id == 0)
		auth_missing(call);
	else if (call->route->scope == SCOPE_STAFF && !call->user.is_staff)
		call_detail(call, 403, STR("You do not have permission to perform this action."));
	else
		check_method(call);
}

/* Several Accept headers are one, joined by commas (RFC 9110 section 5.2). */
static struct str accept_of(const struct api_call *call)
{
	const struct http_request *request = call->request;
	struct str joined = { NULL, 0 };

	for (size_t i = 0; i < request->headers_n; i++) {
		const struct http_header *header = &request->headers[i];

		if (str_equal_nocase(header->name, STR("Accept")))
			joined = joined.p ? arena_printf(call->arena, "%.*s,%.*s", STR_ARG(joined),
							 STR_ARG(header->value))
					  : (struct str){ header->value.p ? header->value.p : "", header->value.n };
	}
	return joined;
}

static void check_negotiation(struct api_call *call, struct str suffix)
{
	const struct form_part *part = form_last(&call->query, STR("format"));
	struct str format = suffix.n || !part ? suffix : part->value;

	if (!negotiate_format(format)) {
		call_not_found(call);
		return;
	}
	if (!negotiate_accept(accept_of(call), &call->indent)) {
		call_detail(call, 406, STR("Could not satisfy the request Accept header."));
		return;
	}
	if (format.n)
		call->links.style = suffix.n ? LINK_SUFFIX : LINK_QUERY;
	auth_start(call, check_permission);
}

static bool is_on_this_listener(const struct api_call *call, const struct route *route)
{
	bool is_metrics_page = route->handlers[METHOD_GET] == metrics_page;

	if (call->request->on_metrics_listener)
		return route->is_probe;
	return !is_metrics_page || !call->api->options.has_metrics_listener;
}

static void check_route(struct api_call *call)
{
	struct str path = form_unescape(call->arena, call->request->path);
	struct route_match match = route_find(path);

	if (match.verdict == ROUTE_UNKNOWN || !is_on_this_listener(call, match.route)) {
		send_unknown(call);
		return;
	}
	if (match.verdict == ROUTE_LACKS_SLASH) {
		send_with_slash(call);
		return;
	}
	call->route = match.route;
	call->id = match.id;
	if (match.route->is_probe)
		check_method(call);
	else
		check_negotiation(call, match.suffix);
}

/* ---- a call begins ---- */

/* The scheme that the client used, as the proxy on this machine says; nobody else is believed. */
static struct str base_of(const struct api_call *call)
{
	const struct http_request *request = call->request;
	struct str forwarded = http_request_header(request, STR("X-Forwarded-Proto"));
	bool is_https = request->peer_is_loopback && str_equal(forwarded, STR("https"));
	struct str host = request->host.n ? request->host : STR("localhost");

	return arena_printf(call->arena, "%s://%.*s", is_https ? "https" : "http", STR_ARG(host));
}

/* The server has judged the Host header; what would need an escape in JSON is refused here, so that links can be
 * written as they are. */
static bool host_is_plain(struct str host)
{
	for (size_t i = 0; i < host.n; i++)
		if (host.p[i] <= ' ' || host.p[i] == '"' || host.p[i] == '\\' || host.p[i] == 0x7F)
			return false;
	return true;
}

void api_handle(void *ctx, struct http_exchange *exchange)
{
	struct api *api = ctx;
	struct arena *arena = http_exchange_arena(exchange);
	struct api_call *call = arena_alloc(arena, sizeof *call);

	/* A request that was waiting behind another is handled while that one's answer, which has left, still stands in
	 * the buffers. */
	buf_clear(&api->headers);
	buf_clear(&api->body);
	buf_clear(&api->pretty);
	store_read_begin(api->options.reader);
	call->api = api;
	call->exchange = exchange;
	call->request = http_exchange_request(exchange);
	call->arena = arena;
	call->now = clock_read();
	call->problems.arena = arena;
	call->links.base = base_of(call);
	/* Beyond FORM_PARTS_MAX parameters the rest is ignored, as unknown ones are. */
	if (call->request->query.p)
		(void)form_parse_urlencoded(arena, call->request->query, &call->query);
	if (host_is_plain(call->request->host))
		check_route(call);
	else
		call_detail(call, 400, STR("Invalid Host header."));
}

void api_refuse(unsigned status, const char *reason, struct buf *headers, struct buf *body)
{
	(void)status;
	buf_add(headers,
		STR("Content-Type: application/json\r\nX-Frame-Options: SAMEORIGIN\r\nX-Content-Type-Options: nosniff\r\n"
		    "Cache-Control: no-store\r\n"));
	buf_add(body, STR("{\"detail\":"));
	json_add_string(body, str_from(reason));
	buf_add_char(body, '}');
}

/* ---- the api's own life ---- */

/* Whoever has been told of a write finds it. */
static void on_wake(uv_async_t *wake)
{
	struct api *api = wake->data;

	store_read_end(api->options.reader);
	store_jobs_done(&api->answers);
}

/* What a turn of the loop reads is the state of one moment; the next turn looks anew. */
static void on_turn_end(uv_prepare_t *turn_end)
{
	struct api *api = turn_end->data;

	store_read_end(api->options.reader);
}

static void wake_loop(void *ctx)
{
	struct api *api = ctx;
	int status = uv_async_send(&api->wake);

	assert(status == 0);
}

struct api *api_new(const struct api_options *options)
{
	struct api *api = memory_new(sizeof *api);
	int status = uv_async_init(options->loop, &api->wake, on_wake);

	assert(status == 0);
	uv_prepare_init(options->loop, &api->turn_end);
	uv_prepare_start(&api->turn_end, on_turn_end);
	uv_unref((uv_handle_t *)&api->turn_end);
	api->options = *options;
	api->wake.data = api->turn_end.data = api;
	api->throttle.peer_failures_per_minute = options->auth_failures_per_minute;
	mailbox_init(&api->answers, ANSWERS_MAX, wake_loop, api);
	buf_init(&api->headers, HEADERS_BYTES_MAX);
	buf_init(&api->body, BODY_BYTES_MAX);
	buf_init(&api->pretty, BODY_BYTES_MAX);
	random_bytes(api->key, sizeof api->key);
	return api;
}

static void close_when_idle(struct api *api)
{
	if (!api->is_draining || api->waiting_n > 0 || api->is_closed)
		return;
	api->is_closed = true;
	uv_close((uv_handle_t *)&api->wake, NULL);
	uv_close((uv_handle_t *)&api->turn_end, NULL);
}

void api_wait_begin(struct api *api)
{
	api->waiting_n++;
}

void api_wait_end(struct api *api)
{
	assert(api->waiting_n > 0);
	api->waiting_n--;
	close_when_idle(api);
}

void api_drain(struct api *api)
{
	api->is_draining = true;
	close_when_idle(api);
}

bool api_is_idle(const struct api *api)
{
	return api->waiting_n == 0;
}

void api_free(struct api *api)
{
	if (!api)
		return;
	assert(api->is_closed && api->waiting_n == 0);
	mailbox_release(&api->answers);
	buf_release(&api->headers);
	buf_release(&api->body);
	buf_release(&api->pretty);
	crypto_wipe(api, sizeof *api);
	free(api);
}
