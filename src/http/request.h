/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading one request from bytes as they arrive (RFC 9112): complete, unfinished, or to be refused with a status.
 *
 * No socket and no clock here, so a fuzzer can feed it. Feeding the same bytes in other portions gives the same
 * verdict. Memory: `head` and `body`, both bounded by the limits. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <llhttp.h>

#include "http/server.h"

enum request_step {
	REQUEST_HEAD,	  /* the empty line has not come yet */
	REQUEST_BODY,	  /* the head is complete and correct, the body is not */
	REQUEST_COMPLETE, /* `request` may be used */
	REQUEST_REFUSED,  /* `status` and `reason` say why; where the next request would start is unknown: close */
};

/* Where the chunked framing stands: what is not a chunk's data, byte by byte. */
enum request_chunk {
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	TRAILER_START,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	CHUNK_END_LF,
	CHUNK_END,
};

/* A header's place in `head`, which moves while it grows. */
struct request_span {
	uint32_t name_at, name_n, value_at, value_n;
};

struct request_reader {
	enum request_step step;
	const struct http_limits *limits; /* borrowed */
	unsigned status;
	const char *reason;
	bool keep_alive; /* what the client wishes */
	bool is_http_1_0;
	bool expects_continue; /* a body was announced and waits for "100 Continue" */
	bool is_head;
	struct http_request request; /* everything but the peer, the listener, and an absent host on HTTP/1.0 */

	/* What follows is request.c's own. */
	llhttp_t llhttp;
	struct buf head, body; /* owned */
	struct request_span spans[HTTP_HEADERS_MAX];
	size_t line_at;	   /* start of the unfinished line in `head` */
	size_t headers_at; /* first byte after the request line; 0 before it was read */
	size_t method_n, target_n;
	unsigned hosts_n, lengths_n, codings_n;
	struct str authority; /* of an absolute-form target */
	uint64_t length;
	bool is_chunked, is_blank_skipped, is_head_complete, is_message_complete;
	const char *framing_at; /* within the bytes being fed: first byte that llhttp has not called body */
	enum request_chunk chunk;
	unsigned chunk_digits;
	uint64_t chunk_n; /* its size */
	bool is_last_chunk;
	size_t extra_bytes; /* of extensions and trailers */
};

/* `limits` must outlive the reader. */
void request_init(struct request_reader *reader, const struct http_limits *limits);
/* Ready for the next request; keeps a little memory. */
void request_reset(struct request_reader *reader);
void request_release(struct request_reader *reader);
/* Returns how many bytes belonged to this request; fewer than bytes.n only when it is complete or refused. Only while
 * the step is REQUEST_HEAD or REQUEST_BODY. */
size_t request_feed(struct request_reader *reader, struct str bytes);
/* For reasons the bytes do not show: too slow, too much memory in use. */
void request_refuse(struct request_reader *reader, unsigned status, const char *reason);

#endif
