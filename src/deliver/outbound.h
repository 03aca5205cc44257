/* SPDX-License-Identifier: BSD-3-Clause */
/* One attempt on the wire: look the name up, judge every address, connect, (TLS,) send, read the answer, all under one
 * deadline.
 *
 * Lives on the delivery loop's thread. Keeps idle connections per lane for reuse. A pooled connection that its peer
 * ended before it can have read the request is replaced by a fresh one, within the same attempt. Redirects are never
 * followed. The environment's proxy variables are ignored. No decision about retries is made here. */
#ifndef DELIVER_OUTBOUND_H
#define DELIVER_OUTBOUND_H

#include "base/err.h"
#include "core/address.h"
#include "core/outcome.h"
#include "core/run.h"

struct uv_loop_s;
struct outbound;
struct outbound_attempt;

struct outbound_options {
	const struct egress_policy *egress; /* borrowed for life */
	int64_t attempt_us_max;		    /* the whole attempt: 30 s */
	int64_t connect_us_max;		    /* within it: TCP, TLS and DNS each */
	int64_t idle_us_max;		    /* a pooled connection is closed after that: 60 s */
	unsigned connections_max;	    /* open sockets, idle ones included: the oldest idle one gives way */
	const char *ca_file;		    /* additional roots; NULL = the system's alone */
	const char *dns_servers;	    /* "127.0.0.1:5353": for tests; NULL = /etc/resolv.conf */
};

/* Called exactly once per started attempt, never from within outbound_start. `outcome` is borrowed for the call. */
typedef void (*outbound_done)(void *ctx, void *attempt_ctx, const struct outcome *outcome);

enum err outbound_new(struct uv_loop_s *loop, const struct outbound_options *options, outbound_done done, void *ctx,
		      struct outbound **outbound, struct error *error) MUST_CHECK;
/* Starts one attempt. `run` and its views must stay valid until done; `attempt`: its number, from 1 (Seed-Attempt). */
void outbound_start(struct outbound *outbound, const struct run *run, uint32_t attempt, struct instant now,
		    void *attempt_ctx);
/* Ends everything on the wire without calling done (for a hard stop). Run the loop until it has no handles, then
 * outbound_free. */
void outbound_close(struct outbound *outbound);
void outbound_free(struct outbound *outbound);

#endif
