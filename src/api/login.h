/* SPDX-License-Identifier: BSD-3-Clause */
/* Checking a name and a password: slow on purpose (scrypt), so on libuv's worker threads, few at a time, throttled and
 * remembered. */
#ifndef API_LOGIN_H
#define API_LOGIN_H

#include "base/crypto.h"
#include "core/schedule.h"

enum {
	LOGIN_RUNNING_MAX = 2, /* 32 MiB each */
	LOGIN_WAITING_MAX = 20,
	LOGIN_CACHE_SIZE = 256,
	LOGIN_CACHE_S = 60,
};

struct api_call;
struct login;

/* A right password is remembered for a minute by a MAC over name, stored hash and password: a changed password is
 * forgotten at once. */
struct login_memory {
	uint8_t mac[DIGEST_BYTES];
	struct boot until;
};

struct logins {
	struct login *first, *last; /* waiting for a worker, oldest first; each in its call's arena */
	unsigned waiting_n, running_n;
	struct login_memory memory[LOGIN_CACHE_SIZE];
};

/* Calls done(call, user) in this call or later on the loop: `user` is the active user whose password it is, or NULL.
 * Answers 429 or 503 itself instead. A wrong password is counted and logged here. */
void login_start(struct api_call *call, struct str username, struct str password,
		 void (*done)(struct api_call *call, const struct user *user));
/* For a failure of another kind (a wrong token): counted, logged and, when the peer has failed too often, answered 429:
 * then true. */
bool login_refused(struct api_call *call, const char *reason);

#endif
