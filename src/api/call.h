/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this folder share: the api itself, one call, and the ways to answer it. Not for other folders.
 *
 * A call lives in its exchange's arena and is over with the first answer; whoever answers must not touch it afterwards.
 * The buffers of the api are filled and sent within one callback, so that one set serves all calls. */
#ifndef API_CALL_H
#define API_CALL_H

#include <uv.h>

#include "api/api.h"
#include "api/fields.h"
#include "api/login.h"
#include "api/routes.h"
#include "api/throttle.h"

enum {
	LIST_BYTES_WHOLE = 1 << 20,	    /* a list up to here has a Content-Length; a longer one is streamed */
	BODY_BYTES_MAX = 64 << 20,	    /* of an answer: one record is a few times a request's body at most */
	STRANGER_BODY_BYTES_MAX = 64 << 10, /* without credentials: reading millions of values takes a while */
	BUFFER_BYTES_KEPT = 2 << 20,	    /* memory that a buffer keeps between answers */
	ANSWERS_MAX = STORE_MAILBOX_MAX,
};

struct api {
	struct api_options options;
	struct mailbox answers; /* jobs that the store's thread is done with */
	uv_async_t wake;
	uv_prepare_t turn_end;
	unsigned waiting_n; /* calls that wait for the store or a password */
	bool is_draining, is_closed;
	struct buf headers, body, pretty; /* of the answer being made */
	struct logins logins;
	struct throttle throttle;
	uint8_t key[DIGEST_BYTES]; /* random, for what must not be guessed from outside */
};

enum link_style { LINK_PLAIN, LINK_QUERY, LINK_SUFFIX };

/* How hyperlinks of an answer look. */
struct links {
	struct str base; /* "https://host:port"; needs no escaping in JSON */
	enum link_style style;
};

struct api_call {
	struct api *api;
	struct http_exchange *exchange;
	const struct http_request *request;
	struct arena *arena; /* of the exchange */
	const struct route *route;
	struct str id; /* the part of the path that names a record; not absent where the route has one */
	struct form query;
	struct instant now; /* when the request was handed over */
	unsigned indent;
	struct links links;
	struct user user; /* the caller; id 0 = nobody */
	struct problems problems;
	struct arena
		body_arena; /* of the body's tree, which may be many times its size: given back before the call waits */
	void (*authenticated)(struct api_call *call);
	struct login *login; /* the password check under way */
	/* A write: runs on the store's thread, `written` on ours with the job's result ERR_OK or ERR_NOT_FOUND,
	 * ERR_CONFLICT, ERR_INVALID. */
	struct store_job job;
	struct arena job_arena; /* what the job returns */
	void (*written)(struct api_call *call);
	void *work; /* the handler's own */
};

/* The body of the answer: empty, to be appended to. */
struct buf *call_body(struct api_call *call);
/* One more header of the answer. */
void call_header(struct api_call *call, const char *name, struct str value);
/* Sends what was appended to the body (204: nothing). The call is over. */
void call_send(struct api_call *call, unsigned status);
/* The same with status 200 and another type than JSON. */
void call_send_text(struct api_call *call, const char *content_type);
/* Sends the body so far and what `source` adds. The call is over; its arena lives until the source is closed. */
void call_send_source(struct api_call *call, const struct http_source *source);
/* {"detail": text} */
void call_detail(struct api_call *call, unsigned status, struct str text);
void call_not_found(struct api_call *call);
/* 503 with Retry-After, logged with what failed. */
void call_unavailable(struct api_call *call, const char *what, enum err code);
/* 429 with Retry-After. */
void call_throttled(struct api_call *call, int64_t wait_us);
/* 400 with the call's problems. */
void call_problems(struct api_call *call);
/* True: go on. Otherwise the call was answered 404 or 503. */
bool call_found(struct api_call *call, enum err code);

/* Reads the body by its Content-Type; false: the call was answered 415 or 400. What it read lives until
 * call_forget_body. */
bool call_read_body(struct api_call *call, struct input *input);
void call_forget_body(struct api_call *call);
/* Reads the fields of the body into `values`, which outlive it; false: the call was answered 415 or 400. */
bool call_read_fields(struct api_call *call, const struct field *fields, size_t n, bool is_partial,
		      struct value *values);
/* Hands `run` to the store's thread, then calls `written`. Answers 503 itself when that cannot be. */
void call_write(struct api_call *call, enum err (*run)(struct store *store, struct store_job *job),
		void (*written)(struct api_call *call));
/* The path's id as a positive integer; false: the call was answered 404. */
bool call_integer_id(struct api_call *call, int64_t *id);

/* A call waits for another thread, and has got its answer. */
void api_wait_begin(struct api *api);
void api_wait_end(struct api *api);

/* "base/collection/id/" in JSON quotes; `id` absent: the collection itself. `collection` starts and ends with '/'. */
void links_add(struct buf *json, const struct links *links, const char *collection, struct str id);
void links_add_number(struct buf *json, const struct links *links, const char *collection, int64_t id);

#endif
