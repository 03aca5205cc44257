/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of all routes, and finding a path in it. The rows are in routes.c; their handlers are declared here. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api/fields.h"

struct api_call;

enum route_scope { SCOPE_NONE, SCOPE_USER, SCOPE_STAFF };

enum route_method { METHOD_GET, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE, METHODS_N };

typedef void (*route_handler)(struct api_call *call);

struct route {
	const char *path; /* ends in '/'; a final ":/" stands for one id */
	const char *name; /* for OPTIONS */
	enum route_scope scope;
	const char *allow;	    /* the Allow header */
	bool has_suffix;	    /* ".json" may stand for the final '/' */
	bool only_json;		    /* one representation: no Vary */
	bool is_probe;		    /* for machines that watch: no negotiation, no credentials asked by us */
	const struct field *fields; /* of POST and PUT bodies; NULL = none */
	size_t fields_n;
	route_handler handlers[METHODS_N]; /* NULL: 405. GET serves HEAD, too */
};

enum route_verdict { ROUTE_UNKNOWN, ROUTE_LACKS_SLASH, ROUTE_FOUND };

struct route_match {
	enum route_verdict verdict;
	const struct route *route;
	struct str id;	   /* absent when the route has none */
	struct str suffix; /* without the dot; absent when there was none */
};

/* `path`: percent-decoded. Pure. */
struct route_match route_find(struct str path);

void schedule_list(struct api_call *call);
void schedule_create(struct api_call *call);
void schedule_show(struct api_call *call);
void schedule_replace(struct api_call *call);
void schedule_patch(struct api_call *call);
void schedule_delete(struct api_call *call);
void webhook_list(struct api_call *call);
void webhook_create(struct api_call *call);
void webhook_show(struct api_call *call);
void webhook_replace(struct api_call *call);
void webhook_patch(struct api_call *call);
void webhook_delete(struct api_call *call);
void user_list(struct api_call *call);
void user_show(struct api_call *call);
void group_list(struct api_call *call);
void group_show(struct api_call *call);
void token_for_email(struct api_call *call);
void token_for_password(struct api_call *call);
void failed_task_list(struct api_call *call);
void failed_task_show(struct api_call *call);
void failed_tasks_requeue(struct api_call *call);
void metrics_list(struct api_call *call);
void metrics_fire(struct api_call *call);
void metrics_page(struct api_call *call);
void health_show(struct api_call *call);
void health_live(struct api_call *call);
void health_ready(struct api_call *call);
void root_show(struct api_call *call);

enum { WEBHOOK_VALUE_EVENT, WEBHOOK_VALUE_TARGET, WEBHOOK_VALUES_N };
enum { EMAIL_VALUES_N = 1 };
enum { LOGIN_VALUE_USERNAME, LOGIN_VALUE_PASSWORD, LOGIN_VALUES_N };

extern const struct field webhook_fields[WEBHOOK_VALUES_N];
extern const struct field email_fields[EMAIL_VALUES_N];
extern const struct field login_fields[LOGIN_VALUES_N];

#endif
