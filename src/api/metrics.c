/* SPDX-License-Identifier: BSD-3-Clause */
/* /api/metrics/, the keys of the original's metric service, and GET /metrics, the page for Prometheus.
 *
 * The page shows no names and no URLs, but it is not for strangers either: a caller from this machine that no proxy
 * speaks for, the listener of its own, or a token. */
#include "base/metrics.h"

#include "api/auth.h"
#include "api/call.h"

void metrics_list(struct api_call *call)
{
	static const char *const keys[] = {
		"schedules.created.sum",
		"scheduler.deliver_task.connection_error.sum",
		"scheduler.deliver_task.http_error.400.sum",
		"scheduler.deliver_task.http_error.401.sum",
		"scheduler.deliver_task.http_error.403.sum",
		"scheduler.deliver_task.http_error.404.sum",
		"scheduler.deliver_task.http_error.500.sum",
		"scheduler.deliver_task.timeout.sum",
	};
	struct buf *body = call_body(call);

	buf_add(body, STR("{\"metrics_available\":["));
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (i > 0)
			buf_add_char(body, ',');
		json_add_string(body, str_from(keys[i]));
	}
	buf_add(body, STR("]}"));
	call_send(call, 200);
}

/* The original started its scheduled metrics here and never had any: they are all sent when they happen. */
void metrics_fire(struct api_call *call)
{
	buf_add(call_body(call), STR("{\"scheduled_metrics_initiated\":true}"));
	call_send(call, 200);
}

static bool count(struct api_call *call, enum store_counted what, int64_t *n)
{
	return call_found(call, store_count(call->api->options.reader, what, n));
}

static void send_page(struct api_call *call)
{
	int64_t schedules, enabled, failures, retries;

	if (!count(call, STORE_SCHEDULES, &schedules) || !count(call, STORE_SCHEDULES_ENABLED, &enabled) ||
	    !count(call, STORE_FAILURES, &failures) || !count(call, STORE_RETRIES, &retries))
		return;
	metric_set(METRIC_SCHEDULES_ENABLED, enabled);
	metric_set(METRIC_SCHEDULES_DISABLED, schedules - enabled);
	metric_set(METRIC_FAILURES_STORED, failures);
	metric_set(METRIC_RETRIES_PENDING, retries);
	metrics_render(call_body(call));
	call_send_text(call, "text/plain; version=0.0.4; charset=utf-8");
}

static bool is_forwarded(const struct http_request *request)
{
	return http_request_header_count(request, STR("X-Forwarded-For")) ||
	       http_request_header_count(request, STR("Forwarded")) || http_request_header_count(request, STR("Via")) ||
	       http_request_header_count(request, STR("X-Real-IP")) ||
	       http_request_header_count(request, STR("X-Forwarded-Proto"));
}

static void on_authenticated(struct api_call *call)
{
	if (call->user.id)
		send_page(call);
	else
		auth_missing(call);
}

void metrics_page(struct api_call *call)
{
	const struct http_request *request = call->request;

	if (request->on_metrics_listener || (request->peer_is_loopback && !is_forwarded(request)))
		send_page(call);
	else
		auth_start(call, on_authenticated);
}
