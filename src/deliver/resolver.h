/* SPDX-License-Identifier: BSD-3-Clause */
/* Host names to addresses, without waiting (c-ares on the delivery loop). One lookup an attempt; nothing is cached here. */
#ifndef DELIVER_RESOLVER_H
#define DELIVER_RESOLVER_H

#include "base/err.h"
#include "core/address.h"

struct uv_loop_s;
struct resolver;
struct resolver_lookup;

/* More addresses than RESOLVER_ADDRESSES_MAX: the rest is not looked at, and the answer says so by `truncated`. */
enum { RESOLVER_ADDRESSES_MAX = 64 };

struct resolver_answer {
	struct address addresses[RESOLVER_ADDRESSES_MAX]; /* in the order to try them */
	unsigned n;
	bool truncated;
	const char *problem; /* static words when n is 0: "no such host" */
};

/* Called once per lookup that was not cancelled; may be called from within resolver_start. */
typedef void (*resolver_done)(void *ctx, const struct resolver_answer *answer);

/* `servers`: "127.0.0.1:5353,…", or NULL for /etc/resolv.conf. */
enum err resolver_new(struct uv_loop_s *loop, const char *servers, struct resolver **resolver, struct error *error) MUST_CHECK;
/* Returns NULL when the answer was given at once. */
struct resolver_lookup *resolver_start(struct resolver *resolver, struct str host, resolver_done done, void *ctx);
/* The answer, when it comes, is dropped. */
void resolver_cancel(struct resolver_lookup *lookup);
/* Cancels all lookups; run the loop until it has no handles, then resolver_free. */
void resolver_close(struct resolver *resolver);
void resolver_free(struct resolver *resolver);

/* Version text of the library at run time. */
const char *resolver_version(void);

#endif
