/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs histories: `sim [--seed N] [--seeds M] [--dense K] [--twice T] [--jobs J] [--verbose]`, or one of two scenarios:
 * `sim --scenario hung|burst`.
 *
 * M histories of 24 hours from seed N on, K short ones in which nothing is quiet; the first T of either are run twice
 * and must leave the same trace. J processes share them. A broken promise prints the seed and the command that shows it
 * again. `--seed N` alone tells that one history, in STORY_LINES_MAX lines at most; --verbose tells all, with the
 * service's own log. */
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "world.h"

enum { JOBS_MAX = 64, TOLD_EVERY = 1000, STORY_LINES_MAX = 2000 };

struct arguments {
	uint64_t seed, seeds, dense, twice, jobs;
	bool verbose, has_seed, has_seeds;
	const char *scenario;
};

/* What one process found; every member is a sum or a largest value. */
struct found {
	uint64_t days, dense, repeated;
	double cpu_s, day_cpu_s;
	struct world_sums sums;
};

static bool parse_number(const char *text, uint64_t *number)
{
	char *end;

	*number = strtoull(text, &end, 10);
	return *text && !*end;
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
	const struct {
		const char *name;
		uint64_t *number;
	} numbers[] = {
		{ "--seed", &arguments->seed },	  { "--seeds", &arguments->seeds }, { "--dense", &arguments->dense },
		{ "--twice", &arguments->twice }, { "--jobs", &arguments->jobs },
	};

	for (int i = 1; i < argc; i++) {
		bool has_value = i + 1 < argc, is_known = false;

		for (unsigned k = 0; has_value && k < sizeof numbers / sizeof numbers[0]; k++)
			if (!strcmp(argv[i], numbers[k].name) && parse_number(argv[i + 1], numbers[k].number)) {
				is_known = true;
				arguments->has_seed |= k == 0;
				arguments->has_seeds |= k == 1 || k == 2;
			}
		if (is_known)
			i++;
		else if (!strcmp(argv[i], "--verbose"))
			arguments->verbose = true;
		else if (!strcmp(argv[i], "--scenario") && has_value)
			arguments->scenario = argv[++i];
		else
			return false;
	}
	return arguments->jobs >= 1 && arguments->jobs <= JOBS_MAX;
}

static bool is_story(const struct arguments *arguments)
{
	return arguments->has_seed && !arguments->has_seeds;
}

/* --- scenarios ------------------------------------------------------------------------------------------- */

static const struct world_options scenario_base = {
	.seed = 1,
	.start = { 1900000000 * US_PER_SECOND },
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
static int run_hung(struct rig *rig)
{
	struct world_options options = scenario_base;

	options.faults_us = 200 * US_PER_SECOND;
	options.hosts_n = 2;
	options.hosts[0] = (struct host){ .timeout_percent = 100 };
	options.hosts[1] = (struct host){ .latency_us_min = 2000, .latency_us_max = 20000 };
	options.burst_n = 5000;
	options.steady_n = 100;
	options.lateness_us_max = 150 * US_PER_MS;

	struct world_sums sums = world_run(&options, rig, 0);

	printf("hung: %" PRIu64 " healthy runs, the latest %" PRId64 " ms late; %" PRIu64 " times parked, %" PRIu64
	       " attempts\n",
	       sums.ledger.watched, sums.ledger.lateness_us_max / US_PER_MS, sums.parks, sums.starts);
	promise(sums.ledger.watched > 19000, "T20", 0, "the healthy host got too few");
	promise(sums.parks > 2000, "T20", 0, "the hung host was not parked");
	return 0;
}

/* A burst to one quick host, ten times what fits into memory, is served from memory. */
static int run_burst(struct rig *rig)
{
	struct world_options options = scenario_base;

	options.faults_us = 3 * US_PER_SECOND;
	options.hosts_n = 1;
	options.hosts[0] = (struct host){ .latency_us_min = 500, .latency_us_max = 1500 };
	options.burst_n = 20000;
	options.lateness_us_max = 1500 * US_PER_MS;

	struct world_sums sums = world_run(&options, rig, 0);

	printf("burst: %" PRIu64 " runs, the last %" PRId64 " ms late; %" PRIu64 " parked\n", sums.ledger.watched,
	       sums.ledger.lateness_us_max / US_PER_MS, sums.parks);
	promise(sums.parks == 0, "T31", 0, "a quick host was parked");
	promise(sums.ledger.delivered == 20000, "T31", 0, "not all were delivered");
	return 0;
}

static int run_scenario(const char *name, struct rig *rig)
{
	if (!strcmp(name, "hung"))
		return run_hung(rig);
	if (!strcmp(name, "burst"))
		return run_burst(rig);
	fprintf(stderr, "sim: no scenario '%s'\n", name);
	return 2;
}

/* --- sums ------------------------------------------------------------------------------------------------ */

/* The numbers that are added up, with the names under which they are told. */
#define SUMS(sum)                                                                                                      \
	sum(events) sum(steps) sum(store_turns) sum(store_jobs) sum(starts) sum(parks) sum(requests) sum(answers_2xx)  \
		sum(answers_4xx) sum(answers_503) sum(unanswered) sum(refused_connections) sum(audits) sum(audited)    \
			sum(crashes) sum(power_cuts) sum(failed_starts) sum(drains) sum(clock_steps) sum(disk_full)    \
				sum(host_turns) sum(catch_up_gaps) sum(catch_up_runs) sum(ledger.runs)                 \
					sum(ledger.delivered) sum(ledger.failed) sum(ledger.duplicates)                \
						sum(ledger.watched) sum(audit.looks) sum(audit.skipped)                \
							sum(audit.settled) sum(unsettled)

static void add(struct world_sums *total, const struct world_sums *sums)
{
#define SUM(name) total->name += sums->name;
	SUMS(SUM)
#undef SUM
	if (sums->ledger.lateness_us_max > total->ledger.lateness_us_max)
		total->ledger.lateness_us_max = sums->ledger.lateness_us_max;
	total->trace ^= sums->trace;
}

static void print_sums(FILE *out, const struct world_sums *sums, const char *between, const char *quote)
{
	const char *before = "";

#define SUM(name)                                                                                                      \
	fprintf(out, "%s%s%s%s: %" PRIu64, before, quote, strchr(#name, '.') ? strchr(#name, '.') + 1 : #name, quote,  \
		sums->name);                                                                                           \
	before = between;
	SUMS(SUM)
#undef SUM
}

/* --- seeds ----------------------------------------------------------------------------------------------- */

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_seed(const struct arguments *arguments, struct rig *rig, uint64_t seed, bool is_dense, bool is_twice,
		     struct found *found)
{
	struct world_options options = is_dense ? world_draw_dense(seed) : world_draw(seed);
	uint64_t told_max = arguments->verbose ? UINT64_MAX : is_story(arguments) ? STORY_LINES_MAX : 0;
	double began_s = cpu_s();

	if (told_max)
		world_print(&options);
	promise_about("%s--seed %" PRIu64, is_dense ? "--dense 1 --seeds 0 " : "", seed);

	struct world_sums sums = world_run(&options, rig, told_max);

	add(&found->sums, &sums);
	*(is_dense ? &found->dense : &found->days) += 1;
	if (!is_dense)
		found->day_cpu_s += cpu_s() - began_s;
	if (is_twice) {
		promise(world_run(&options, rig, 0).trace == sums.trace, "determinism", 0,
			"the same seed left another trace");
		found->repeated++;
	}
	if (told_max) {
		print_sums(stdout, &sums, ", ", "");
		printf(", trace %016" PRIx64 "\n", sums.trace);
	}
}

static struct found run_share(const struct arguments *arguments, struct rig *rig, uint64_t job)
{
	struct found found = { 0 };
	double began_s = cpu_s();
	uint64_t all = arguments->seeds + arguments->dense;

	for (uint64_t i = job; i < all; i += arguments->jobs) {
		bool is_dense = i >= arguments->seeds;
		uint64_t nth = is_dense ? i - arguments->seeds : i;

		run_seed(arguments, rig, arguments->seed + nth, is_dense, nth < arguments->twice, &found);
		if (i / TOLD_EVERY != (i + arguments->jobs) / TOLD_EVERY)
			fprintf(stderr, "%" PRIu64 " of %" PRIu64 " histories, %.0f days a minute and core\n",
				(i + arguments->jobs) / TOLD_EVERY * TOLD_EVERY, all,
				found.day_cpu_s > 0 ? (double)found.days * 60 / found.day_cpu_s : 0);
	}
	found.cpu_s = cpu_s() - began_s;
	return found;
}

static void merge(struct found *total, const struct found *found)
{
	total->days += found->days;
	total->dense += found->dense;
	total->repeated += found->repeated;
	total->cpu_s += found->cpu_s;
	total->day_cpu_s += found->day_cpu_s;
	add(&total->sums, &found->sums);
}

static int run_child(const struct arguments *arguments, uint64_t job, int pipe_fd)
{
	struct rig *rig = rig_new();

	if (!rig)
		return 2;

	struct found found = run_share(arguments, rig, job);

	rig_free(rig);
	fflush(stdout);
	return write(pipe_fd, &found, sizeof found) == (ssize_t)sizeof found ? 0 : 2;
}

/* Every process has a store, a loop and a machine of its own. */
static bool run_jobs(const struct arguments *arguments, struct found *total)
{
	bool held = true;
	int fds[2];

	if (pipe(fds) != 0)
		return false;
	for (uint64_t job = 0; job < arguments->jobs; job++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(run_child(arguments, job, fds[1]));
		held &= pid > 0;
	}
	close(fds[1]);
	for (struct found found; read(fds[0], &found, sizeof found) == (ssize_t)sizeof found;)
		merge(total, &found);
	close(fds[0]);
	for (int status; wait(&status) > 0;) {
		held &= status == 0;
		if (WIFSIGNALED(status))
			fprintf(stderr, "sim: a process was ended by signal %d\n", WTERMSIG(status));
	}
	return held && total->days == arguments->seeds && total->dense == arguments->dense;
}

static int run_seeds(const struct arguments *arguments)
{
	struct found total = { 0 };
	bool held = run_jobs(arguments, &total);

	printf("proof: {\"part\": \"simulation\", \"tried\": {\"days\": %" PRIu64 ", \"dense_histories\": %" PRIu64
	       ", \"run_twice\": %" PRIu64 ", ",
	       total.days, total.dense, total.repeated);
	print_sums(stdout, &total.sums, ", ", "\"");
	printf("}, \"found\": {\"days_per_minute_and_core\": %.0f, \"cpu_seconds\": %.0f, \"lateness_us_max\": %" PRId64
	       "}, \"held\": %s}\n",
	       total.day_cpu_s > 0 ? (double)total.days * 60 / total.day_cpu_s : 0, total.cpu_s,
	       total.sums.ledger.lateness_us_max, held ? "true" : "false");
	return held ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .seed = 1, .seeds = 200, .twice = 0, .jobs = 1 };

	if (!parse(argc, argv, &arguments)) {
		fprintf(stderr, "usage: sim [--seed N] [--seeds M] [--dense K] [--twice T] [--jobs J] [--verbose] "
				"[--scenario hung|burst]\n");
		return 2;
	}
	if (is_story(&arguments))
		arguments.seeds = 1;
	/* A history frees what the next one takes again: nothing goes back to the kernel in between. */
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_MMAP_THRESHOLD, INT_MAX);
	/* What the service logs is part of the story, and of nothing else. */
	log_set_level(arguments.verbose ? LOG_INFO : (enum log_level)(LOG_ERROR + 1));
	if (!arguments.scenario)
		return run_seeds(&arguments);

	struct rig *rig = rig_new();
	int status = rig ? run_scenario(arguments.scenario, rig) : 2;

	if (rig)
		rig_free(rig);
	return status;
}
