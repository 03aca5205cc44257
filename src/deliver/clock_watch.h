/* SPDX-License-Identifier: BSD-3-Clause */
/* Did the wall clock step, or did time pass without us, between two looks at the clocks? Pure (P8). */
#ifndef DELIVER_CLOCK_WATCH_H
#define DELIVER_CLOCK_WATCH_H

#include "base/instant.h"

enum clock_change {
	CLOCK_STEADY,	       /* both clocks went the same way, slewing allowed for */
	CLOCK_STEPPED_BACK,    /* the wall clock was set back */
	CLOCK_STEPPED_FORWARD, /* the wall clock was set forward */
	CLOCK_STALLED, /* nobody looked for CLOCK_STALL_US_MIN: a suspend, a stopped process, a machine beyond its
			  strength */
};

/* Both clocks are read one after the other, so that a smaller difference says nothing. */
#define CLOCK_STEP_US_MIN (250 * US_PER_MS)
/* The loop looks at least once a second. The same length as the gap that runs in full (P7). */
#define CLOCK_STALL_US_MIN (60 * US_PER_SECOND)

/* *by_us: how far the wall clock was set (negative: back); of a stall, how long it was. */
enum clock_change clock_watch(struct instant before, struct instant now, int64_t *by_us);
/* Occurrences before the result were missed rather than late. `missed_before`: the value so far. */
struct wall clock_watch_missed(enum clock_change change, int64_t by_us, struct wall now, struct wall missed_before);
/* "steady", "stepped_back", "stepped_forward", "stalled". */
const char *clock_change_name(enum clock_change change);

#endif
