/* SPDX-License-Identifier: BSD-3-Clause */
/* The client side of TLS over a non-blocking socket (OpenSSL 3): handshake, read, write, goodbye, each without waiting.
 *
 * TLS 1.2 or later; the certificate chain ends in the system's roots (or the additional CA file) and names the host
 * asked for (RFC 9525: subject alternative names only); there is no way to switch that off. SNI for names, ALPN
 * http/1.1. One context lives on one loop's thread, with all its connections. The last session of each peer is kept for
 * resumption, at most TLS_SESSIONS_MAX of them. The process must ignore SIGPIPE. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/err.h"
#include "base/str.h"

enum { TLS_SESSIONS_MAX = 1024, TLS_HOST_BYTES_MAX = 253 };

enum tls_result {
	TLS_OK,
	TLS_WANT_READ,	/* call again with the same arguments when the socket is readable */
	TLS_WANT_WRITE, /* ... when it is writable */
	TLS_CLOSED,	/* the peer ended the connection, with or without a TLS goodbye */
	TLS_FAILED,	/* tls_reason() says why; only tls_free makes sense now */
};

struct tls_context;
struct tls;

/* `ca_file`: PEM, roots beside the system's; may be NULL. ERR_INVALID when it cannot be read. */
enum err tls_context_new(const char *ca_file, struct tls_context **context, struct error *error) MUST_CHECK;
/* After the last tls_free. NULL is fine. */
void tls_context_free(struct tls_context *context);

/* Whom we mean to talk to. */
struct tls_peer {
	struct str host;	/* a name (any case, a final dot is dropped) or, without brackets, a literal */
	const uint8_t *address; /* of a literal: 4 or 16 bytes, network order; NULL for a name */
	size_t address_n;
	int64_t lane; /* url_lane(): sessions are kept per lane and host */
};

/* `fd`: a connected (or connecting) non-blocking socket, borrowed; it must outlive the answer. Nothing is sent yet.
 * NULL: the name cannot stand in a certificate. */
struct tls *tls_new(struct tls_context *context, int fd, const struct tls_peer *peer);
/* Until TLS_OK: connected and the peer is who it should be. */
enum tls_result tls_handshake(struct tls *tls);
/* TLS_OK: *n (at least 1) bytes were put at `p`. Read until it wants more: the socket may be silent while bytes wait
 * inside. */
enum tls_result tls_read(struct tls *tls, char *p, size_t room, size_t *n);
/* TLS_OK: the first *n (at least 1) bytes are on their way; call again for the rest. `bytes` may have moved between
 * calls, not changed. */
enum tls_result tls_write(struct tls *tls, struct str bytes, size_t *n);
/* Says goodbye (close_notify) and does not wait for the peer's: TLS_OK when it was sent. Best effort, then close the
 * socket. */
enum tls_result tls_shutdown(struct tls *tls);
/* After TLS_FAILED: it was the connection beneath that ended, not TLS that objected. */
bool tls_was_lost(const struct tls *tls);
/* Static words for outcome.detail: "certificate has expired", "certificate is for another host". Never NULL. */
const char *tls_reason(const struct tls *tls);
/* The handshake took up an earlier session (for metrics and tests). */
bool tls_was_resumed(const struct tls *tls);
/* Does not close the socket. NULL is fine. */
void tls_free(struct tls *tls);

#endif
