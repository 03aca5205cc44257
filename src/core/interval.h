/* SPDX-License-Identifier: BSD-3-Clause */
/* "5 minutes" as a fixed grid: anchor + n x period. No wall clock, no drift. Pure. */
#ifndef CORE_INTERVAL_H
#define CORE_INTERVAL_H

#include "base/instant.h"
#include "base/str.h"

enum interval_verdict { INTERVAL_OK, INTERVAL_BAD_TEXT, INTERVAL_BAD_PERIOD, INTERVAL_TOO_LARGE };

/* Two words split on white space: an integer as Python's int() reads it (sign, leading zeros, 1_0, Unicode digits) and
 * a period: days hours minutes seconds microseconds, or the singular. INTERVAL_OK sets *period_us, which may be zero or
 * negative: the caller compares it with the smallest interval allowed; a product beyond 64 bits stops at INT64_MIN or
 * INT64_MAX, which lies past the end of year 9999 anyway. Beyond 2147483647 periods: INTERVAL_TOO_LARGE. */
enum interval_verdict interval_parse(struct str text, int64_t *period_us);

/* The first grid instant strictly after `after`, never before anchor + 1 period. False past the end of year 9999. */
bool interval_next(struct wall anchor, int64_t period_us, struct wall after, struct wall *at);
bool interval_previous(struct wall anchor, int64_t period_us, struct wall until, struct wall *at);
/* Grid instants in (after, until]. */
uint64_t interval_count(struct wall anchor, int64_t period_us, struct wall after, struct wall until);

#endif
