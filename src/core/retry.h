/* SPDX-License-Identifier: BSD-3-Clause */
/* When a failed attempt is tried again, and when we give up. Pure: time and chance are arguments, nothing is kept
 * between calls. */
#ifndef CORE_RETRY_H
#define CORE_RETRY_H

#include "core/outcome.h"

struct retry_policy {
	uint32_t attempts_max;	/* 1 = never retry */
	int64_t delay_us_first; /* the ceiling of the first wait */
	int64_t delay_us_max;	/* no wait is longer, not even one the receiver asks for */
};

/* The promise's default: 5 retries, 5 s doubling with full jitter, capped at 300 s. */
extern const struct retry_policy retry_policy_default;

enum retry_verdict { RETRY_AT, RETRY_DEAD };

/* Says what follows a failed attempt. `attempts`: finished so far, at least 1. `dice`: 32 uniform random bits. RETRY_AT
 * sets *at, never before `now`, never before the receiver's Retry-After (up to delay_us_max); RETRY_DEAD leaves *at
 * alone. Equal arguments give equal answers. */
enum retry_verdict retry_decide(const struct retry_policy *policy, const struct outcome *outcome, uint32_t attempts,
				struct wall now, uint32_t dice, struct wall *at);

#endif
