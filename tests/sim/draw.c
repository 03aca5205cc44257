/* SPDX-License-Identifier: BSD-3-Clause */
/* From a seed to the options of a history: a random subset of the faults each time, and one in five without any, where
 * everything must be on time. */
#include <inttypes.h>
#include <stdio.h>

#include "dice.h"
#include "world.h"

static struct host draw_host(uint64_t *dice)
{
	struct host host = { .latency_us_min = between(dice, 500, 5000) };

	host.latency_us_max = host.latency_us_min * between(dice, 1, 100);
	if (chance(dice, 40))
		host.fail_percent = (unsigned)between(dice, 1, 60);
	if (chance(dice, 25))
		host.timeout_percent = (unsigned)between(dice, 1, 100);
	if (chance(dice, 10))
		host.gone_percent = (unsigned)between(dice, 1, 10);
	if (chance(dice, 15))
		host.later_percent = (unsigned)between(dice, 1, 30);
	return host;
}

/* Nothing fails and there is room for everything, so that everything has to be on time, whatever is edited. */
static struct world_options calm(struct world_options options, uint64_t *dice)
{
	options.dispatcher.held_max = options.dispatcher.in_flight_max = 200;
	options.dispatcher.lane_in_flight_max = 64;
	options.dispatcher.look_ahead_us = between(dice, 20, 1000) * US_PER_MS;
	options.store_us_max = 3 * US_PER_MS;
	options.edit_us = between(dice, 50, 5000) * US_PER_MS;
	options.lateness_us_max = 50 * US_PER_MS;
	options.schedules_n = (unsigned)between(dice, 1, 30);
	for (unsigned i = 0; i < options.hosts_n; i++)
		options.hosts[i] = (struct host){ .latency_us_min = 1000, .latency_us_max = 50 * US_PER_MS };
	return options;
}

struct world_options world_draw(uint64_t seed)
{
	uint64_t dice = seed;
	struct world_options options = {
		.seed = seed,
		.faults_us = between(&dice, 20, 120) * US_PER_SECOND,
		.rest_us_max = 3600 * US_PER_SECOND,
		.hosts_n = (unsigned)between(&dice, 1, HOSTS_MAX),
		.dispatcher = { .held_max = (uint32_t)between(&dice, 16, 200),
				.held_bytes_max = 1 << 26,
				.in_flight_max = (uint32_t)between(&dice, 1, 64),
				.lane_in_flight_max = (uint32_t)between(&dice, 1, 32),
				.look_ahead_us = between(&dice, 0, 1000) * US_PER_MS,
				.retry = { .attempts_max = (uint32_t)between(&dice, 1, 6),
					   .delay_us_first = between(&dice, 1, 2000) * US_PER_MS,
					   .delay_us_max = between(&dice, 2, 20) * US_PER_SECOND } },
		.schedules_n = (unsigned)between(&dice, 1, 60),
		.interval_s_max = between(&dice, 1, 60),
		.store_us_max = chance(&dice, 30) ? 50 * US_PER_MS : 3 * US_PER_MS,
	};

	for (unsigned i = 0; i < options.hosts_n; i++)
		options.hosts[i] = draw_host(&dice);
	if (chance(&dice, 20))
		return calm(options, &dice);
	if (chance(&dice, 30))
		options.claim_fail_percent = (unsigned)between(&dice, 1, 30);
	if (chance(&dice, 30))
		options.record_fail_percent = (unsigned)between(&dice, 1, 30);
	if (chance(&dice, 60))
		options.edit_us = between(&dice, 20, 5000) * US_PER_MS;
	if (chance(&dice, 40)) {
		options.crash_us = between(&dice, 1, 30) * US_PER_SECOND;
		options.down_us_max = between(&dice, 1, 150) * US_PER_SECOND;
	}
	if (chance(&dice, 25))
		options.drain_us = between(&dice, 5, 40) * US_PER_SECOND;
	if (chance(&dice, 35))
		options.clock_us = between(&dice, 1, 20) * US_PER_SECOND;
	if (chance(&dice, 30))
		options.requeue_us = between(&dice, 1, 20) * US_PER_SECOND;
	return options;
}

void world_print(const struct world_options *options)
{
	printf("seed %" PRIu64 ": %" PRId64 " s, hosts %u, schedules %u every 1-%" PRId64
	       " s, held %u, in flight %u, of a lane %u, look-ahead %" PRId64 " ms, attempts %u, store %" PRId64
	       " us, claims fail %u %%, records fail %u %%, mean ms between edits %" PRId64 ", crashes %" PRId64
	       ", drains %" PRId64 ", clock steps %" PRId64 ", requeues %" PRId64 "\n",
	       options->seed, options->faults_us / US_PER_SECOND, options->hosts_n, options->schedules_n,
	       options->interval_s_max, options->dispatcher.held_max, options->dispatcher.in_flight_max,
	       options->dispatcher.lane_in_flight_max, options->dispatcher.look_ahead_us / US_PER_MS,
	       options->dispatcher.retry.attempts_max, options->store_us_max, options->claim_fail_percent,
	       options->record_fail_percent, options->edit_us / US_PER_MS, options->crash_us / US_PER_MS,
	       options->drain_us / US_PER_MS, options->clock_us / US_PER_MS, options->requeue_us / US_PER_MS);
}
