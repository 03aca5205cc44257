/* SPDX-License-Identifier: BSD-3-Clause */
/* Every URL of the service in one table. A row says who may call, by which methods, and which function answers. */
#include "api/routes.h"

#include <string.h>

#include "api/schedule_fields.h"

#define LIST_READ_WRITE "GET, POST, HEAD, OPTIONS"
#define READ_ONLY "GET, HEAD, OPTIONS"
#define DETAIL_READ_WRITE "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
#define POST_ONLY "POST, OPTIONS"
#define FIELDS(table, n) .fields = (table), .fields_n = (n)

/* The first row that fits counts: user/token/ stands before user/:/. */
static const struct route routes[] = {
	{ "/api/v1/", "Api Root", SCOPE_USER, READ_ONLY, .handlers = { [METHOD_GET] = root_show } },
	{ "/api/v1/schedule/:/", "Schedule Instance", SCOPE_USER, DETAIL_READ_WRITE, .has_suffix = true,
	  FIELDS(schedule_fields, SCHEDULE_VALUES_N),
	  .handlers = { [METHOD_GET] = schedule_show,
			[METHOD_PUT] = schedule_replace,
			[METHOD_PATCH] = schedule_patch,
			[METHOD_DELETE] = schedule_delete } },
	{ "/api/v1/schedule/", "Schedule List", SCOPE_USER, LIST_READ_WRITE, .has_suffix = true,
	  FIELDS(schedule_fields, SCHEDULE_VALUES_N),
	  .handlers = { [METHOD_GET] = schedule_list, [METHOD_POST] = schedule_create } },
	{ "/api/v1/user/token/", "User Token", SCOPE_STAFF, POST_ONLY, FIELDS(email_fields, EMAIL_VALUES_N),
	  .handlers = { [METHOD_POST] = token_for_email } },
	{ "/api/v1/user/", "User List", SCOPE_USER, READ_ONLY, .has_suffix = true,
	  .handlers = { [METHOD_GET] = user_list } },
	{ "/api/v1/user/:/", "User Instance", SCOPE_USER, READ_ONLY, .has_suffix = true,
	  .handlers = { [METHOD_GET] = user_show } },
	{ "/api/v1/group/", "Group List", SCOPE_USER, READ_ONLY, .has_suffix = true,
	  .handlers = { [METHOD_GET] = group_list } },
	{ "/api/v1/group/:/", "Group Instance", SCOPE_USER, READ_ONLY, .has_suffix = true,
	  .handlers = { [METHOD_GET] = group_show } },
	{ "/api/v1/webhook/", "Webhook List", SCOPE_USER, LIST_READ_WRITE, .has_suffix = true,
	  FIELDS(webhook_fields, WEBHOOK_VALUES_N),
	  .handlers = { [METHOD_GET] = webhook_list, [METHOD_POST] = webhook_create } },
	{ "/api/v1/webhook/:/", "Webhook Instance", SCOPE_USER, DETAIL_READ_WRITE, .has_suffix = true,
	  FIELDS(webhook_fields, WEBHOOK_VALUES_N),
	  .handlers = { [METHOD_GET] = webhook_show,
			[METHOD_PUT] = webhook_replace,
			[METHOD_PATCH] = webhook_patch,
			[METHOD_DELETE] = webhook_delete } },
	{ "/api/v1/failed-tasks/", "Failed Task List", SCOPE_USER, LIST_READ_WRITE, .has_suffix = true,
	  .handlers = { [METHOD_GET] = failed_task_list, [METHOD_POST] = failed_tasks_requeue } },
	{ "/api/v1/failed-tasks/:/", "Failed Task Instance", SCOPE_USER, READ_ONLY, .has_suffix = true,
	  .handlers = { [METHOD_GET] = failed_task_show } },
	{ "/api/metrics/", "Metrics", SCOPE_USER, LIST_READ_WRITE,
	  .handlers = { [METHOD_GET] = metrics_list, [METHOD_POST] = metrics_fire } },
	{ "/api/health/", "Health", SCOPE_USER, READ_ONLY, .handlers = { [METHOD_GET] = health_show } },
	{ "/api/token-auth/", "Obtain Auth Token", SCOPE_NONE, POST_ONLY, .only_json = true,
	  FIELDS(login_fields, LOGIN_VALUES_N), .handlers = { [METHOD_POST] = token_for_password } },
	{ "/metrics/", "Prometheus Metrics", SCOPE_NONE, "GET, HEAD", .only_json = true, .is_probe = true,
	  .handlers = { [METHOD_GET] = metrics_page } },
	{ "/healthz/", "Liveness", SCOPE_NONE, "GET, HEAD", .only_json = true, .is_probe = true,
	  .handlers = { [METHOD_GET] = health_live } },
	{ "/readyz/", "Readiness", SCOPE_NONE, "GET, HEAD", .only_json = true, .is_probe = true,
	  .handlers = { [METHOD_GET] = health_ready } },
};

/* Letters and digits in lower case: what the original took for a suffix. */
static bool is_suffix(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!((text.p[i] >= 'a' && text.p[i] <= 'z') || (text.p[i] >= '0' && text.p[i] <= '9')))
			return false;
	return text.n > 0;
}

/* The part of the path that varies: `rest` is "<id>/", "<id>" or "<id>.json". */
static enum route_verdict match_rest(const struct route *route, struct str rest, bool has_id, struct route_match *match)
{
	bool has_slash = rest.n > 0 && rest.p[rest.n - 1] == '/';
	struct str body = str_slice(rest, 0, rest.n - (has_slash ? 1 : 0));
	struct str suffix, id = str_split(body, '.', &suffix);

	if (has_id == (id.n == 0) || str_find(body, '/') < body.n)
		return ROUTE_UNKNOWN;
	if (suffix.p && !(route->has_suffix && is_suffix(suffix)))
		return ROUTE_UNKNOWN;
	if (has_id)
		match->id = id;
	match->suffix = suffix;
	return has_slash || suffix.p ? ROUTE_FOUND : ROUTE_LACKS_SLASH;
}

static enum route_verdict match_route(const struct route *route, struct str path, struct route_match *match)
{
	struct str pattern = str_from(route->path);
	bool has_id = str_ends_with(pattern, STR(":/"));
	struct str stem = str_slice(pattern, 0, pattern.n - (has_id ? 2 : 1)); /* without the final '/' of a list */

	if (!str_starts_with(path, stem))
		return ROUTE_UNKNOWN;
	return match_rest(route, str_slice(path, stem.n, path.n), has_id, match);
}

struct route_match route_find(struct str path)
{
	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		struct route_match match = { .route = &routes[i] };

		match.verdict = match_route(&routes[i], path, &match);
		/* A watcher's URL is written without the final slash: both forms answer. */
		if (match.verdict == ROUTE_LACKS_SLASH && routes[i].is_probe)
			match.verdict = ROUTE_FOUND;
		if (match.verdict != ROUTE_UNKNOWN)
			return match;
	}
	return (struct route_match){ .verdict = ROUTE_UNKNOWN };
}
