/* SPDX-License-Identifier: BSD-3-Clause */
/* Slows down guessing of credentials: counts failures per peer address and per account. Pure: time is an argument.
 *
 * Only wrong credentials count, never missing ones. A peer (login.c says who that is behind a proxy) may fail N times a
 * minute; then its further failures, and its passwords, are refused until the minute is over. An account bears 5
 * failures in a row, or half of N when that is more; then it waits 1 s, doubling with each further failure up to 15
 * min, and is forgotten half an hour after its last one. Memory is fixed: a full table forgets whoever failed longest
 * ago. */
#ifndef API_THROTTLE_H
#define API_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

enum { THROTTLE_SETS = 256, THROTTLE_WAYS = 8 };
enum { THROTTLE_ACCOUNT_FREE = 5, THROTTLE_WAIT_S_MAX = 900 };

enum throttle_kind { THROTTLE_PEER, THROTTLE_ACCOUNT, THROTTLE_KINDS_N };

struct throttle_slot {
	uint64_t key; /* 0 = free */
	uint32_t failures;
	struct boot since; /* PEER: start of the minute. ACCOUNT: the last failure */
};

struct throttle {
	uint32_t peer_failures_per_minute; /* 0 = nothing is ever refused */
	struct throttle_slot slots[THROTTLE_KINDS_N][THROTTLE_SETS][THROTTLE_WAYS];
};

/* `key`: a keyed hash of the address or name, so that nobody can choose who shares a set. */
/* How long this peer or account has to wait; 0 = not at all. */
int64_t throttle_wait_us(const struct throttle *throttle, enum throttle_kind kind, uint64_t key, struct boot now);
void throttle_failed(struct throttle *throttle, enum throttle_kind kind, uint64_t key, struct boot now);
/* The right password: the account starts anew. */
void throttle_succeeded(struct throttle *throttle, uint64_t account);

#endif
