/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs histories: `sim [--seed N] [--seeds M] [--twice K] [--verbose]`, or one of two scenarios: `sim --scenario
 * hung|burst`.
 *
 * Seeds N … N + M - 1, of which the first K are run twice and must leave the same trace. A broken promise prints the
 * seed and aborts; the same seed shows it again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "world.h"

struct arguments {
	uint64_t seed, seeds, twice;
	bool verbose;
	const char *scenario;
};

static bool parse(int argc, char **argv, struct arguments *arguments)
{
	for (int i = 1; i < argc; i++) {
		bool has_value = i + 1 < argc;

		if (!strcmp(argv[i], "--verbose"))
			arguments->verbose = true;
		else if (!strcmp(argv[i], "--seed") && has_value)
			arguments->seed = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--seeds") && has_value)
			arguments->seeds = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--twice") && has_value)
			arguments->twice = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--scenario") && has_value)
			arguments->scenario = argv[++i];
		else
			return false;
	}
	return true;
}

/* Memory, where there is a file system of it: the simulated crash is of the process, not of the disk. */
static bool make_directory(char path[64])
{
	snprintf(path, 64, "%s/sim.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(path) != NULL;
}

static void show(uint64_t seed, const struct world_sums *sums)
{
	printf("  seed %" PRIu64 ": runs %" PRIu64 " starts %" PRIu64 " delivered %" PRIu64 " failed %" PRIu64
	       " parks %" PRIu64 " crashes %" PRIu64 " edits %" PRIu64 " duplicates %" PRIu64 " steps %" PRIu64
	       " trace %016" PRIx64 "\n",
	       seed, sums->ledger.runs, sums->starts, sums->ledger.delivered, sums->ledger.failed, sums->parks,
	       sums->crashes, sums->edits, sums->ledger.duplicates, sums->steps, sums->trace);
}

static const struct world_options scenario_base = {
	.seed = 1,
	.rest_us_max = 3600 * US_PER_SECOND,
	.store_us_max = 3 * US_PER_MS,
	.dispatcher = { .held_max = 2000,
			.held_bytes_max = 1 << 28,
			.in_flight_max = 256,
			.lane_in_flight_max = 64,
			.look_ahead_us = 200 * US_PER_MS,
			.retry = { .attempts_max = 6,
				   .delay_us_first = 5 * US_PER_SECOND,
				   .delay_us_max = 300 * US_PER_SECOND } },
};

/* T20: 5,000 runs are due at once to a host that never answers, more than fit into memory; a healthy host gets 100 a
 * second, and must not notice. */
static int run_hung(const char *directory)
{
	struct world_options options = scenario_base;

	options.faults_us = 200 * US_PER_SECOND;
	options.hosts_n = 2;
	options.hosts[0] = (struct host){ .timeout_percent = 100 };
	options.hosts[1] = (struct host){ .latency_us_min = 2000, .latency_us_max = 20000 };
	options.burst_n = 5000;
	options.steady_n = 100;
	options.lateness_us_max = 150 * US_PER_MS;

	struct world_sums sums = world_run(&options, directory);

	printf("hung: %" PRIu64 " healthy runs, the latest %" PRId64 " ms late; %" PRIu64 " times parked, %" PRIu64
	       " attempts\n",
	       sums.ledger.watched, sums.ledger.lateness_us_max / US_PER_MS, sums.parks, sums.starts);
	promise(sums.ledger.watched > 19000, "T20", 0, "the healthy host got too few");
	promise(sums.parks > 2000, "T20", 0, "the hung host was not parked");
	return 0;
}

/* A burst to one quick host, ten times what fits into memory, is served from memory. */
static int run_burst(const char *directory)
{
	struct world_options options = scenario_base;

	options.faults_us = 3 * US_PER_SECOND;
	options.hosts_n = 1;
	options.hosts[0] = (struct host){ .latency_us_min = 500, .latency_us_max = 1500 };
	options.burst_n = 20000;
	options.lateness_us_max = 1500 * US_PER_MS;

	struct world_sums sums = world_run(&options, directory);

	printf("burst: %" PRIu64 " runs, the last %" PRId64 " ms late; %" PRIu64 " parked\n", sums.ledger.watched,
	       sums.ledger.lateness_us_max / US_PER_MS, sums.parks);
	promise(sums.parks == 0, "T31", 0, "a quick host was parked");
	promise(sums.ledger.delivered == 20000, "T31", 0, "not all were delivered");
	return 0;
}

static int run_scenario(const char *name, const char *directory)
{
	if (!strcmp(name, "hung"))
		return run_hung(directory);
	if (!strcmp(name, "burst"))
		return run_burst(directory);
	fprintf(stderr, "sim: no scenario '%s'\n", name);
	return 2;
}

static int run_seeds(const struct arguments *arguments, const char *directory)
{
	struct world_sums total = { 0 };
	struct boot began = clock_read().boot;

	for (uint64_t i = 0; i < arguments->seeds; i++) {
		struct world_options options = world_draw(arguments->seed + i);

		if (arguments->verbose)
			world_print(&options);
		else
			fprintf(stderr, "\rseed %" PRIu64 " ", arguments->seed + i);

		struct world_sums sums = world_run(&options, directory);

		if (i < arguments->twice)
			promise(world_run(&options, directory).trace == sums.trace, "determinism", 0,
				"the same seed left another trace");
		if (arguments->verbose)
			show(arguments->seed + i, &sums);
		total.starts += sums.starts;
		total.steps += sums.steps;
		total.parks += sums.parks;
		total.crashes += sums.crashes;
		total.ledger.runs += sums.ledger.runs;
		total.ledger.duplicates += sums.ledger.duplicates;
	}

	int64_t took_us = boot_since_us(clock_read().boot, began);

	printf("\n%" PRIu64 " seeds, %" PRIu64 " runs, %" PRIu64 " attempts, %" PRIu64 " steps, %" PRIu64
	       " parked, %" PRIu64 " crashes, %" PRIu64 " duplicates after crashes; %" PRId64 " seeds/min\n",
	       arguments->seeds, total.ledger.runs, total.starts, total.steps, total.parks, total.crashes,
	       total.ledger.duplicates,
	       (int64_t)(arguments->seeds + arguments->twice) * 60 * US_PER_SECOND / (took_us ? took_us : 1));
	return 0;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .seed = 1, .seeds = 200, .twice = 10 };
	char directory[64];

	if (!parse(argc, argv, &arguments) || !make_directory(directory)) {
		fprintf(stderr, "usage: sim [--seed N] [--seeds M] [--twice K] [--verbose] [--scenario hung|burst]\n");
		return 2;
	}
	log_set_level(LOG_ERROR);

	int status =
		arguments.scenario ? run_scenario(arguments.scenario, directory) : run_seeds(&arguments, directory);

	rmdir(directory);
	return status;
}
