/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection to an endpoint, plain or TLS, and the pool of idle ones. Non-blocking; on the delivery loop's thread.
 *
 *   CONNECTING ─▶ HANDSHAKING (https) ─▶ OPEN ⇄ IDLE (in the pool) ─▶ closed
 *
 * The owner hears WIRE_OPEN once, then WIRE_READABLE and WIRE_WRITABLE while it is OPEN, or WIRE_FAILED once with a
 * class and words; after WIRE_FAILED only wire_close makes sense. An idle wire that becomes readable (closed by the
 * peer, or talking out of turn) leaves the pool and is closed by itself. */
#ifndef DELIVER_WIRE_H
#define DELIVER_WIRE_H

#include "base/err.h"
#include "core/address.h"
#include "core/outcome.h"
#include "core/url.h"

struct uv_loop_s;
struct wire;
struct wire_pool;

enum wire_event { WIRE_OPEN, WIRE_READABLE, WIRE_WRITABLE, WIRE_FAILED };

typedef void (*wire_on_event)(void *owner, struct wire *wire, enum wire_event event);

struct wire_options {
	unsigned connections_max; /* the oldest idle one gives way */
	int64_t idle_us_max;
	const char *ca_file;
};

enum err wire_pool_new(struct uv_loop_s *loop, const struct wire_options *options, wire_on_event on_event,
		       struct wire_pool **pool, struct error *error) MUST_CHECK;
/* Closes what is idle; wires in use are closed by their owners. Run the loop until it has no handles, then
 * wire_pool_free. */
void wire_pool_close(struct wire_pool *pool);
void wire_pool_free(struct wire_pool *pool);
/* Closes idle wires whose time is up. */
void wire_pool_sweep(struct wire_pool *pool, struct boot now);

/* An idle wire to the same scheme, host and port, now OPEN and owned by `owner`; NULL when there is none. One that its
 * peer has closed meanwhile is closed here. */
struct wire *wire_take(struct wire_pool *pool, const struct url *url, int64_t lane, void *owner);
/* Begins to connect; never calls the owner from within. NULL: no socket could be had, errno says why. */
struct wire *wire_connect(struct wire_pool *pool, const struct url *url, int64_t lane, struct address address,
			  void *owner);
/* Puts an OPEN wire back for the next request. */
void wire_give(struct wire *wire, struct boot now);
/* NULL is fine. */
void wire_close(struct wire *wire);

enum wire_io { WIRE_IO_OK, WIRE_IO_AGAIN, WIRE_IO_CLOSED, WIRE_IO_FAILED };

/* Sends as much as goes now; *n says how much. WIRE_IO_AGAIN: WIRE_WRITABLE will follow. WIRE_IO_FAILED: what has
 * arrived before can still be received. */
enum wire_io wire_send(struct wire *wire, struct str bytes, size_t *n);
/* WIRE_IO_OK: *n bytes were read. WIRE_IO_AGAIN: WIRE_READABLE will follow. WIRE_IO_CLOSED: the peer ended. */
enum wire_io wire_receive(struct wire *wire, char *p, size_t room, size_t *n);
/* The wire died `us` after the request was sent: less than the shortest round trip seen on it, so the peer ended it
 * before it can have read the request. */
bool wire_died_unread(const struct wire *wire, int64_t us);
/* After WIRE_FAILED or WIRE_IO_FAILED: static words and the class they belong to. */
enum outcome_class wire_failure(const struct wire *wire, const char **words);

#endif
