/* SPDX-License-Identifier: BSD-3-Clause */
/* /api/health/ as the original had it, and the probes of an orchestrator: /healthz (the process turns its loop) and
 * /readyz (it may get traffic). */
#include "api/call.h"

void health_show(struct api_call *call)
{
	const struct api_options *options = &call->api->options;
	struct buf *body;
	int64_t ignored;

	if (!call_found(call, store_count(options->reader, STORE_SCHEDULES, &ignored)))
		return;
	body = call_body(call);
	buf_add(body, STR("{\"up\":true,\"result\":{\"database\":\"Accessible\",\"version\":\"" SEED_VERSION
			  "\",\"libraries\":{"));
	for (size_t i = 0; i < options->libraries_n; i++) {
		json_key(body, options->libraries[i].name);
		json_add_string(body, str_from(options->libraries[i].version));
	}
	buf_add(body, STR("}}}"));
	call_send(call, 200);
}

void health_live(struct api_call *call)
{
	buf_add(call_body(call), STR("{\"status\":\"ok\"}"));
	call_send(call, 200);
}

void health_ready(struct api_call *call)
{
	const struct api_options *options = &call->api->options;
	struct error error = { 0 };
	struct buf *body;

	if (!options->is_ready || options->is_ready(options->is_ready_ctx, &error)) {
		buf_add(call_body(call), STR("{\"status\":\"ready\"}"));
		call_send(call, 200);
		return;
	}
	body = call_body(call);
	buf_add(body, STR("{\"status\":\"not ready\",\"reason\":"));
	json_add_string(body, str_from(error.text));
	buf_add_char(body, '}');
	call_header(call, "Retry-After", STR("1"));
	call_send(call, 503);
}
