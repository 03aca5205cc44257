/* SPDX-License-Identifier: BSD-3-Clause */
/* Stands between core/timing.c and what it calls; the linker puts it there. */
#include "steps.h"

#include "core/cron.h"
#include "core/interval.h"

static uint64_t steps_n;

bool __real_interval_next(struct wall anchor, int64_t period_us, struct wall after, struct wall *at);
bool __wrap_interval_next(struct wall anchor, int64_t period_us, struct wall after, struct wall *at);
bool __real_cron_next(const struct cron *cron, const struct zone *zone, struct wall after, struct wall *at);
bool __wrap_cron_next(const struct cron *cron, const struct zone *zone, struct wall after, struct wall *at);

bool __wrap_interval_next(struct wall anchor, int64_t period_us, struct wall after, struct wall *at)
{
	steps_n++;
	return __real_interval_next(anchor, period_us, after, at);
}

bool __wrap_cron_next(const struct cron *cron, const struct zone *zone, struct wall after, struct wall *at)
{
	steps_n++;
	return __real_cron_next(cron, zone, after, at);
}

uint64_t steps_taken(void)
{
	return steps_n;
}
