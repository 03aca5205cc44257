/* SPDX-License-Identifier: BSD-3-Clause */
/* How long the store is left alone after it refused: 100 ms, doubling to 1 s, on the boot clock. Part of the dispatcher. Pure. */
#ifndef DELIVER_BACKOFF_H
#define DELIVER_BACKOFF_H

#include "base/instant.h"

#define BACKOFF_US_FIRST (100 * US_PER_MS)
#define BACKOFF_US_MAX US_PER_SECOND

struct backoff {
	uint32_t failures; /* in a row; 0 = not backing off */
	struct boot until;
};

/* Several failures of one moment count once. */
static inline void backoff_fail(struct backoff *backoff, struct boot now)
{
	int64_t delay = BACKOFF_US_FIRST;

	if (backoff->failures && boot_is_after(backoff->until, now))
		return;
	for (uint32_t i = 0; i < backoff->failures && delay < BACKOFF_US_MAX; i++)
		delay *= 2;
	backoff->failures++;
	backoff->until = boot_add_us(now, delay < BACKOFF_US_MAX ? delay : BACKOFF_US_MAX);
}

static inline bool backoff_is_over(const struct backoff *backoff, struct boot now)
{
	return !backoff->failures || !boot_is_after(backoff->until, now);
}

#endif
