/* SPDX-License-Identifier: BSD-3-Clause */
/* The boot clock never steps and counts suspends; what the wall clock did beyond it was a step. NTP slews by at most 1
 * in 2,000. */
#include "deliver/clock_watch.h"

#include <assert.h>

enum { SLEW_DIVISOR = 1000 };

enum clock_change clock_watch(struct instant before, struct instant now, int64_t *by_us)
{
	int64_t passed = boot_since_us(now.boot, before.boot);
	int64_t step = now.wall.us - before.wall.us - passed;
	int64_t slack = CLOCK_STEP_US_MIN + passed / SLEW_DIVISOR;

	assert(passed >= 0);
	*by_us = step;
	if (step < -slack)
		return CLOCK_STEPPED_BACK;
	if (step > slack)
		return CLOCK_STEPPED_FORWARD;
	*by_us = passed;
	return passed >= CLOCK_STALL_US_MIN ? CLOCK_STALLED : CLOCK_STEADY;
}

struct wall clock_watch_missed(enum clock_change change, int64_t by_us, struct wall now, struct wall missed_before)
{
	switch (change) {
	case CLOCK_STEPPED_FORWARD:
	case CLOCK_STALLED:
		return by_us > CLOCK_STALL_US_MIN ? now : missed_before;
	case CLOCK_STEPPED_BACK:
		/* What lies between now and a wrong "now" of earlier is not missed: it is still to come. */
		return wall_is_after(missed_before, now) ? now : missed_before;
	case CLOCK_STEADY:
		break;
	}
	return missed_before;
}

const char *clock_change_name(enum clock_change change)
{
	static const char *const names[] = { "steady", "stepped_back", "stepped_forward", "stalled" };

	return names[change];
}
