/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtual world for the real dispatcher and the real store: one thread, one clock that jumps to the next interesting
 * moment, scripted endpoints, faults.
 *
 * One seed is one history: every delay, failure, edit, crash and step of the clock is drawn from it. Phase one has
 * faults (safety is checked at every step, ledger.h); then everything heals, the schedules are switched off, and the
 * world must come to rest with nothing open (liveness). */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "deliver/dispatcher.h"
#include "store/store.h"
#include "ledger.h"

enum { HOSTS_MAX = 8, SCHEDULES_MAX = 30000 };

/* How an endpoint's host behaves until the world heals: chances in percent, latencies uniform. */
struct host {
	int64_t latency_us_min, latency_us_max;
	unsigned fail_percent;	  /* 503 */
	unsigned timeout_percent; /* no answer for 30 s */
	unsigned gone_percent;	  /* 410 */
	unsigned later_percent;	  /* 429 with Retry-After */
};

struct world_options {
	uint64_t seed;
	int64_t faults_us;   /* length of phase one */
	int64_t rest_us_max; /* the world must rest after that much of phase two */
	unsigned hosts_n;
	struct host hosts[HOSTS_MAX];
	struct dispatcher_options dispatcher;
	unsigned schedules_n;	 /* at the start */
	int64_t interval_s_max;	 /* of schedules, from 1 */
	unsigned burst_n;	 /* one-shots to host 0, all due one second after the start */
	unsigned steady_n;	 /* schedules of every second to host 1 */
	int64_t lateness_us_max; /* P6 is checked, on host 1 alone when there are steady schedules; 0 = not */
	int64_t store_us_max;	 /* a job's time until it runs, and the same again until it is answered */
	unsigned claim_fail_percent, record_fail_percent;
	int64_t edit_us, crash_us, drain_us, clock_us, requeue_us; /* mean time between; 0 = never */
	int64_t down_us_max;					   /* how long a crash keeps the service away */
};

struct world_sums {
	uint64_t trace; /* of everything that happened, in order */
	uint64_t steps, starts, parks, crashes, edits;
	struct ledger_sums ledger;
	struct store_check check; /* at the end */
};

/* Draws a set of options from the seed: a random subset of the faults each time. */
struct world_options world_draw(uint64_t seed);
void world_print(const struct world_options *options);
/* `directory` must exist and be empty; it is empty again afterwards. Aborts at the first broken promise, after printing
 * what it was. */
struct world_sums world_run(const struct world_options *options, const char *directory);

#endif
