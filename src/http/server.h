/* SPDX-License-Identifier: BSD-3-Clause */
/* The serving side of HTTP/1.1 (RFC 9110, RFC 9112): listeners, connections, whole requests in, answers out.
 *
 * Knows nothing of schedules. One server lives on one libuv loop; every call and every callback is on that loop's
 * thread. A request is handed over only when it is complete and its framing is beyond doubt; ambiguous framing is
 * answered 400 here and the connection closed. Pipelined requests are handed over one at a time and answered in order.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <sys/socket.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"

enum { HTTP_HEADERS_MAX = 64 };

struct http_header {
	struct str name, value; /* value without blanks around */
};

/* All views live until the exchange is answered. */
struct http_request {
	struct str method; /* as sent */
	struct str path;   /* raw, not percent-decoded, starts with '/' */
	struct str query;  /* without '?'; absent when there was no '?' */
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t headers_n;
	struct str body; /* de-chunked */
	bool body_given; /* a length above 0 or a chunked body was announced */
	struct str host; /* as the client wrote it, checked: the authority of an absolute-form target, else the Host
			  * header (exactly one on HTTP/1.1), else, on HTTP/1.0, the address and port it connected to */
	struct sockaddr_storage peer;
	bool peer_is_loopback;
	bool on_metrics_listener; /* accepted by the listener of its own for metrics */
};

/* The last header of that name in any case; absent when there is none. */
struct str http_request_header(const struct http_request *request, struct str name);
/* How many headers of that name there are. */
size_t http_request_header_count(const struct http_request *request, struct str name);

/* Produces a long answer piece by piece so that memory stays bounded: appends some bytes (at least one, at most 4 MiB)
 * to *out and returns true while more will follow; the last call may append none. Called when the bytes before have
 * left. */
struct http_source {
	bool (*fill)(void *ctx, struct buf *out);
	void (*close)(void *ctx); /* called once, also when the client went away */
	void *ctx;
};

struct http_response {
	unsigned status;
	struct buf *headers; /* complete lines with CRLF, without Content-Length, Date, Connection, Transfer-Encoding;
				borrowed; NULL = none */
	struct buf *body;    /* borrowed; NULL = none (204 and 304 then carry no Content-Length) */
	const struct http_source *source; /* instead of body: copied, sent chunked (HTTP/1.0: until close); the
					     exchange's arena lives until its close */
	bool close;			  /* close the connection after this answer */
};

/* One request and the duty to answer it: exactly one http_respond. Stays valid until then, even when the client has
 * gone. */
struct http_exchange;

const struct http_request *http_exchange_request(struct http_exchange *exchange);
/* False when the client has gone: nobody will see the answer, which is due all the same. */
bool http_exchange_is_wanted(const struct http_exchange *exchange);
/* Freed after the answer. */
struct arena *http_exchange_arena(struct http_exchange *exchange);
/* Sends the answer (a HEAD request gets no body but its Content-Length) and ends the exchange. Same thread, from within
 * the handler or later. */
void http_respond(struct http_exchange *exchange, const struct http_response *response);

typedef void (*http_handler)(void *ctx, struct http_exchange *exchange);
/* What the server itself has to say (400, 408, 413, 414, 417, 431, 503, 505): headers and body of such an answer, JSON
 * in this product. `reason` is a short sentence. A 503 gets "Retry-After: 1" unless the headers have one. */
typedef void (*http_refusal)(unsigned status, const char *reason, struct buf *headers, struct buf *body);

/* Beyond each of them stands what happens. */
struct http_limits {
	size_t target_bytes_max;   /* 414 */
	size_t header_bytes_max;   /* one header: 431 */
	size_t head_bytes_max;	   /* all of them: 431 */
	size_t body_bytes_max;	   /* 413 */
	size_t buffered_bytes_max; /* all requests not yet answered and answers not yet taken: who holds most gets 503
				      with Retry-After, or is closed in the midst of an answer */
	unsigned connections_max;  /* the longest idle, or slowest, is closed; when there is none, 503 and close */
	unsigned connections_per_ip_max; /* 503 and close; loopback peers are not counted, IPv6 ones by their /64 */
	unsigned requests_per_connection_max; /* the last one is answered with "Connection: close" */
	int64_t head_us_max;		      /* from the first byte of a request to the end of its head: 408 */
	int64_t request_us_max;		      /* to the end of its body: 408 */
	int64_t idle_us_max;		      /* keep-alive without a request: closed */
	int64_t write_us_max;		      /* taking an answer more slowly than the rate below: closed */
	size_t body_bytes_per_second_min;     /* after body_grace_us of body: 408 */
	int64_t body_grace_us;
};

extern const struct http_limits http_limits_default;

struct http_server;
struct uv_loop_s;

/* The server is owned by the caller until http_server_free. */
struct http_server *http_server_new(struct uv_loop_s *loop, const struct http_limits *limits, http_handler handler,
				    void *handler_ctx, http_refusal refusal);
/* "127.0.0.1:8000", "[::1]:8000", "0.0.0.0:80"; port 0 picks one. "[::]" is IPv6 alone. `bound` gets the address in the
 * same form. */
enum err http_server_listen(struct http_server *server, struct str address, bool for_metrics, char bound[64],
			    struct error *error) MUST_CHECK;
/* The form that http_server_listen takes: a literal address and a port. */
bool http_address_is_valid(struct str address);
/* Stops accepting; idle connections close, busy ones after their answer. A request whose bytes have reached the kernel
 * is answered. */
void http_server_drain(struct http_server *server);
/* No connection is open and every exchange was answered. */
bool http_server_is_idle(const struct http_server *server);
/* Closes everything; run the loop afterwards until it has no handles, then http_server_free, which also frees the
 * exchanges that were never answered: they must not be touched after it. */
void http_server_close(struct http_server *server);
void http_server_free(struct http_server *server);

/* Version of the HTTP parser that was compiled in: "8.1.0". */
const char *http_parser_version(void);

#endif
