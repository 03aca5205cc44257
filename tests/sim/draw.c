/* SPDX-License-Identifier: BSD-3-Clause */
/* From a seed to the options of a history: a random subset of the faults each time, one in six without any, where
 * everything must be on time, and one in six with nothing but downtimes, where the exact set of runs is known. */
#include <inttypes.h>
#include <stdio.h>

#include "dice.h"
#include "oracle.h"
#include "world.h"

#define HOUR_US (3600 * US_PER_SECOND)

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
	if (chance(dice, 15))
		host.lie_percent = (unsigned)between(dice, 1, 50);
	return host;
}

/* An ordinary year, and the days on which others' clocks broke. */
static struct wall draw_start(uint64_t *dice)
{
	static const int64_t starts_s[] = {
		0,	    /* the epoch */
		2147483647, /* 2038-01-19, 32 bits end */
		4107456000, /* 2100-02-28, no leap year */
		1709078400, /* 2024-02-28, a leap year */
	};
	int64_t start_s = chance(dice, 50) ? between(dice, 1700000000, 2000000000) : starts_s[between(dice, 0, 3)];
	struct wall change;

	/* A zone's clock goes forward, or back. */
	if (chance(dice, 25) && oracle_zone_change((unsigned)between(dice, 0, ORACLE_CHANGES_N - 1), &change))
		start_s = change.us / US_PER_SECOND;

	/* Some hours before. */
	start_s -= start_s ? between(dice, 0, 20 * 3600) : 0;
	return (struct wall){ start_s * US_PER_SECOND + between(dice, 0, 999999) };
}

/* The same in either kind of history. */
static struct world_options draw_service(uint64_t seed, uint64_t *dice)
{
	struct world_options options = {
		.seed = seed,
		.start = draw_start(dice),
		.rest_us_max = HOUR_US,
		.hosts_n = (unsigned)between(dice, 1, HOSTS_MAX),
		.dispatcher = { .held_max = (uint32_t)between(dice, 16, 200),
				.held_bytes_max = 1 << 26,
				.in_flight_max = (uint32_t)between(dice, 1, 64),
				.lane_in_flight_max = (uint32_t)between(dice, 1, 32),
				.look_ahead_us = between(dice, 0, 1000) * US_PER_MS,
				.retry = { .attempts_max = (uint32_t)between(dice, 1, 6),
					   .delay_us_first = between(dice, 1, 2000) * US_PER_MS,
					   .delay_us_max = between(dice, 2, 20) * US_PER_SECOND } },
		.store_us_max = chance(dice, 30) ? 50 * US_PER_MS : 3 * US_PER_MS,
		.all_percent = 20,
	};

	for (unsigned i = 0; i < options.hosts_n; i++)
		options.hosts[i] = draw_host(dice);
	return options;
}

/* Nothing fails and there is room for everything, so that everything has to be on time, whatever is edited. */
static void be_calm(struct world_options *options, uint64_t *dice)
{
	options->dispatcher.held_max = options->dispatcher.in_flight_max = 200;
	options->dispatcher.lane_in_flight_max = 64;
	options->dispatcher.look_ahead_us = between(dice, 20, 1000) * US_PER_MS;
	options->store_us_max = 3 * US_PER_MS;
	options->lateness_us_max = 50 * US_PER_MS;
	options->schedules_n = (unsigned)between(dice, 1, 30);
	for (unsigned i = 0; i < options->hosts_n; i++)
		options->hosts[i] = (struct host){ .latency_us_min = 1000, .latency_us_max = 50 * US_PER_MS };
}

/* Nothing happens but downtimes. */
static void be_missing(struct world_options *options, int64_t down_s_max)
{
	options->lateness_us_max = 0;
	options->is_steady_catch_up = true;
	options->schedules_n = 0;
	options->down_us_max = down_s_max * US_PER_SECOND;
}

/* How often a kind of thing happens, if it happens at all in this history. */
static struct pace draw_pace(uint64_t *dice, unsigned percent, int64_t busy_s, int64_t quiet_h)
{
	struct pace pace = { 0 };

	if (!chance(dice, percent))
		return pace;
	pace.busy_us = between(dice, busy_s * US_PER_SECOND / 10, busy_s * US_PER_SECOND);
	pace.quiet_us = between(dice, quiet_h * HOUR_US / 4, quiet_h * HOUR_US);
	return pace;
}

static void draw_day_faults(struct world_options *options, uint64_t *dice)
{
	static const int64_t steps_s[] = { 60, 3600, 86400, 365 * 86400 };
	static const int64_t downs_s[] = { 5, 3600, 43200, 30 * 86400 };

	if (chance(dice, 25))
		options->claim_fail_percent = (unsigned)between(dice, 1, 30);
	if (chance(dice, 25))
		options->record_fail_percent = (unsigned)between(dice, 1, 30);
	if (chance(dice, 10))
		options->unsent_percent = (unsigned)between(dice, 1, 30);
	options->request = draw_pace(dice, 75, 20, 4);
	options->requeue = draw_pace(dice, 30, 60, 12);
	options->crash = draw_pace(dice, 50, 120, 24);
	options->drain = draw_pace(dice, 20, 120, 24);
	options->clock = draw_pace(dice, 35, 60, 12);
	options->disk = draw_pace(dice, 30, 120, 24);
	options->host = draw_pace(dice, 30, 60, 6);
	options->down_us_max = downs_s[between(dice, 0, 3)] * US_PER_SECOND;
	options->clock_us_max = steps_s[between(dice, 0, 3)] * US_PER_SECOND;
	options->has_purge = options->requeue.busy_us == 0 && chance(dice, 50);
	if (chance(dice, 10))
		options->flood_max = (unsigned)between(dice, 20, 300);
}

struct world_options world_draw(uint64_t seed)
{
	uint64_t dice = seed;
	struct world_options options = draw_service(seed, &dice);
	int64_t kind = between(&dice, 0, 5);

	options.faults_us = 24 * HOUR_US;
	options.schedules_n = (unsigned)between(&dice, 5, 40);
	options.schedules_max = 80;
	options.interval_s_min = chance(&dice, 50) ? 1 : 600;
	options.interval_s_max = 43200;
	options.busy_us_mean = between(&dice, 20, 120) * US_PER_SECOND;
	options.quiet_us_mean = between(&dice, 2 * 3600, 8 * 3600) * US_PER_SECOND;
	options.has_zones = chance(&dice, 30);
	options.all_percent = chance(&dice, 30) ? 10 : 0;
	if (kind == 0) {
		be_calm(&options, &dice);
		options.request = draw_pace(&dice, 80, 10, 4);
	} else if (kind == 1) {
		be_calm(&options, &dice);
		be_missing(&options, 30 * 86400);
		options.crash = draw_pace(&dice, 100, 120, 8);
	} else {
		draw_day_faults(&options, &dice);
	}
	return options;
}

struct world_options world_draw_dense(uint64_t seed)
{
	uint64_t dice = seed;
	struct world_options options = draw_service(seed, &dice);

	options.faults_us = between(&dice, 20, 120) * US_PER_SECOND;
	options.schedules_n = (unsigned)between(&dice, 1, 60);
	options.schedules_max = 30000;
	options.interval_s_min = 1;
	options.interval_s_max = between(&dice, 1, 60);
	if (chance(&dice, 15)) {
		static const int64_t downs_s[] = { 70, 3600, 30 * 86400 };

		be_calm(&options, &dice);
		be_missing(&options, downs_s[between(&dice, 0, 2)]);
		options.faults_us = 600 * US_PER_SECOND;
		options.crash.busy_us = between(&dice, 20, 120) * US_PER_SECOND;
		return options;
	}
	if (chance(&dice, 20)) {
		be_calm(&options, &dice);
		options.request.busy_us = between(&dice, 50, 5000) * US_PER_MS;
		return options;
	}
	if (chance(&dice, 30))
		options.claim_fail_percent = (unsigned)between(&dice, 1, 30);
	if (chance(&dice, 30))
		options.record_fail_percent = (unsigned)between(&dice, 1, 30);
	if (chance(&dice, 60))
		options.request.busy_us = between(&dice, 20, 5000) * US_PER_MS;
	if (chance(&dice, 40))
		options.crash.busy_us = between(&dice, 1, 30) * US_PER_SECOND;
	options.down_us_max = between(&dice, 1, 150) * US_PER_SECOND;
	if (chance(&dice, 25))
		options.drain.busy_us = between(&dice, 5, 40) * US_PER_SECOND;
	if (chance(&dice, 35))
		options.clock.busy_us = between(&dice, 1, 20) * US_PER_SECOND;
	options.clock_us_max = HOUR_US;
	if (chance(&dice, 30))
		options.requeue.busy_us = between(&dice, 1, 20) * US_PER_SECOND;
	if (chance(&dice, 30))
		options.disk.busy_us = between(&dice, 5, 40) * US_PER_SECOND;
	if (chance(&dice, 20))
		options.host.busy_us = between(&dice, 5, 40) * US_PER_SECOND;
	if (chance(&dice, 10))
		options.flood_max = (unsigned)between(&dice, 20, 500);
	return options;
}

static void print_pace(const char *name, const struct pace *pace)
{
	if (pace->busy_us)
		printf(", %s every %.3g s", name, (double)pace->busy_us / (double)US_PER_SECOND);
	if (pace->quiet_us)
		printf(" or %.3g h", (double)pace->quiet_us / (double)HOUR_US);
}

void world_print(const struct world_options *options)
{
	printf("seed %" PRIu64 ": %" PRId64 " s from %" PRId64 ", %u hosts, %u schedules every %" PRId64 "-%" PRId64
	       " s, held %u, in flight %u, of a lane %u, look-ahead %" PRId64 " ms, attempts %u, store %" PRId64 " us",
	       options->seed, options->faults_us / US_PER_SECOND, options->start.us / US_PER_SECOND, options->hosts_n,
	       options->schedules_n, options->interval_s_min, options->interval_s_max, options->dispatcher.held_max,
	       options->dispatcher.in_flight_max, options->dispatcher.lane_in_flight_max,
	       options->dispatcher.look_ahead_us / US_PER_MS, options->dispatcher.retry.attempts_max,
	       options->store_us_max);
	if (options->claim_fail_percent || options->record_fail_percent)
		printf(", claims fail %u %%, records %u %%", options->claim_fail_percent, options->record_fail_percent);
	if (options->unsent_percent)
		printf(", no socket %u %%", options->unsent_percent);
	print_pace("requests", &options->request);
	print_pace("requeues", &options->requeue);
	print_pace("crashes", &options->crash);
	print_pace("drains", &options->drain);
	print_pace("clock steps", &options->clock);
	print_pace("disk full", &options->disk);
	print_pace("hosts turn", &options->host);
	printf("%s%s%s\n", options->lateness_us_max ? ", calm" : "", options->is_steady_catch_up ? ", catch-up" : "",
	       options->has_purge ? ", purge" : "");
}
