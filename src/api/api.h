/* SPDX-License-Identifier: BSD-3-Clause */
/* The HTTP API v1: whole requests in, answers out (docs/api.md). Knows the store, nothing of delivery.
 *
 * One api lives on one libuv loop, the one of its http_server; every function is called on that loop's thread. Reads
 * are done at once on a read-only store; writes are jobs for the store's thread and are answered after their commit
 * (P1). Passwords are checked on libuv's worker threads, at most LOGIN_RUNNING_MAX at a time. */
#ifndef API_API_H
#define API_API_H

#include "core/address.h"
#include "http/server.h"
#include "store/store_thread.h"
#include "store/zonefile.h"

struct uv_loop_s;
struct api;

struct api_library {
	const char *name, *version;
};

struct api_options {
	struct uv_loop_s *loop;
	struct store *reader;		    /* borrowed; nobody else uses it */
	struct store_thread *writer;	    /* borrowed */
	const struct egress_policy *egress; /* borrowed */
	struct zonefile_cache *zones;	    /* borrowed; nobody else uses it */
	int64_t interval_us_min;
	unsigned auth_failures_per_minute; /* of one peer; 0 = logins are never throttled */
	bool has_metrics_listener;	   /* GET /metrics is answered there and 404 elsewhere */
	/* May traffic be sent here? False: *error says why. NULL = always. */
	bool (*is_ready)(void *ctx, struct error *error);
	void *is_ready_ctx;
	const struct api_library *libraries; /* for GET /api/health/; borrowed */
	size_t libraries_n;
};

/* The options are copied. */
struct api *api_new(const struct api_options *options);
/* An http_handler; `api` is a struct api. */
void api_handle(void *api, struct http_exchange *exchange);
/* An http_refusal: {"detail": reason}. */
void api_refuse(unsigned status, const char *reason, struct buf *headers, struct buf *body);
/* Once the server drains: the handle on the loop is closed as soon as no request waits for the store or a password any
 * more; writes that come later are answered 503. */
void api_drain(struct api *api);
/* No request waits for the store or a password. */
bool api_is_idle(const struct api *api);
/* After api_drain, when the loop has no handles left and the store's thread has stopped. */
void api_free(struct api *api);

#endif
