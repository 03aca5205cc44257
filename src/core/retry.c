/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides when a failed attempt is tried again: ceilings double up to a cap, and the wait is uniform below the ceiling
 * (full jitter).
 *
 * Full jitter spreads runs that failed together over the whole interval, so that a receiver that comes back is not
 * knocked over again. The receiver can make a wait longer, never shorter, and never longer than the policy's cap. */
#include "core/retry.h"

#include <assert.h>

const struct retry_policy retry_policy_default = {
	.attempts_max = 6,
	.delay_us_first = 5 * US_PER_SECOND,
	.delay_us_max = 300 * US_PER_SECOND,
};

static int64_t ceiling_us(const struct retry_policy *policy, uint32_t attempts)
{
	int64_t delay = policy->delay_us_first;

	for (uint32_t i = 1; i < attempts && delay > 0 && delay < policy->delay_us_max; i++)
		delay = delay <= policy->delay_us_max / 2 ? delay * 2 : policy->delay_us_max;
	return delay < policy->delay_us_max ? delay : policy->delay_us_max;
}

/* Uniform in [0, ceiling]; in two halves, so that no product passes 64 bits. */
static int64_t spread_us(int64_t ceiling, uint32_t dice)
{
	uint64_t span = (uint64_t)ceiling + 1;
	uint64_t upper = (span >> 32) * dice, lower = ((span & UINT32_MAX) * dice) >> 32;

	return (int64_t)(upper + lower);
}

enum retry_verdict retry_decide(const struct retry_policy *policy, const struct outcome *outcome, uint32_t attempts,
				struct wall now, uint32_t dice, struct wall *at)
{
	assert(attempts >= 1 && outcome->class != OUTCOME_DELIVERED);
	assert(policy->delay_us_first >= 0 && policy->delay_us_max >= 0 && outcome->retry_after_us >= 0);

	if (outcome->is_final || attempts >= policy->attempts_max)
		return RETRY_DEAD;

	int64_t own = spread_us(ceiling_us(policy, attempts), dice);
	int64_t wished =
		outcome->retry_after_us < policy->delay_us_max ? outcome->retry_after_us : policy->delay_us_max;

	assert(own <= policy->delay_us_max);
	*at = wall_add_us(now, own > wished ? own : wished);
	return RETRY_AT;
}
