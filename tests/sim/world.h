/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtual world for the real service: one thread, one clock that jumps to the next interesting moment, a disk that
 * loses power, users, scripted endpoints, faults.
 *
 * One seed is one history: every delay, failure, request, crash and step of the clock is drawn from it. Phase one has
 * faults (safety is checked at every step, ledger.h); then everything heals, the schedules are switched off, and the
 * world must come to rest with nothing open (liveness). docs/design/simulation.md says what is real here. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "deliver/dispatcher.h"
#include "store/store.h"
#include "audit.h"
#include "ledger.h"

enum { HOSTS_MAX = 8 };

/* How an endpoint's host behaves until the world heals: chances in percent, latencies uniform. */
struct host {
	int64_t latency_us_min, latency_us_max;
	unsigned fail_percent;	  /* 503 */
	unsigned timeout_percent; /* no answer for 30 s */
	unsigned gone_percent;	  /* 410 */
	unsigned later_percent;	  /* 429 with Retry-After, honest or absurd */
	unsigned lie_percent;	  /* a redirect, garbage, half an answer, a refused connection */
};

/* Mean times between happenings of a kind, in dense times and between them; 0 = never. */
struct pace {
	int64_t busy_us, quiet_us;
};

struct world_options {
	uint64_t seed;
	struct wall start;
	int64_t faults_us;   /* length of phase one */
	int64_t rest_us_max; /* the world must rest after that much of phase two */
	unsigned hosts_n;
	struct host hosts[HOSTS_MAX];
	struct dispatcher_options dispatcher;
	unsigned schedules_n;	/* at the start */
	unsigned schedules_max; /* users stop there */
	int64_t interval_s_min, interval_s_max;
	unsigned burst_n;	 /* one-shots to host 0, all due one second after the start */
	unsigned steady_n;	 /* schedules of every second to host 1 */
	int64_t lateness_us_max; /* P6 is checked, on host 1 alone when there are steady schedules; 0 = not */
	int64_t store_us_max;	 /* a job's time until it runs, and the same again until it is answered */
	unsigned claim_fail_percent, record_fail_percent;
	unsigned unsent_percent; /* of starts: no descriptor is left */
	struct pace request, requeue, clock, crash, drain, disk, host;
	int64_t busy_us_mean, quiet_us_mean; /* dense times and those between them; 0: it is always dense */
	int64_t down_us_max;		     /* how long a crash keeps the service away */
	int64_t clock_us_max;		     /* the largest step */
	unsigned flood_max;		     /* one-shots for one instant, in one go; 0 = never */
	unsigned all_percent;		     /* of schedules: catch_up all */
	bool has_zones;
	bool has_purge;
	bool is_steady_catch_up; /* T24: nothing but downtimes, and the exact set of runs is known; catch_up.h */
};

struct world_sums {
	uint64_t trace; /* of everything that happened, in order */
	uint64_t events, steps, starts, parks, crashes, drains, power_cuts, failed_starts, clock_steps, disk_faults,
		disk_full;
	uint64_t requests, answers_2xx, answers_4xx, answers_503, unanswered, refused_connections, audits, audited;
	uint64_t unsettled; /* worlds that were switched off before all that was due could be on record */
	uint64_t store_turns, store_jobs, host_turns, catch_up_gaps, catch_up_runs;
	struct ledger_sums ledger;
	struct audit_sums audit;
	struct store_check check; /* at the end */
};

/* What one program needs once: the directory of the lock and key files, a database with nothing but a user in it. */
struct rig;
struct rig *rig_new(void);
void rig_free(struct rig *rig);

/* 24 hours, the dense and the quiet ones. A random subset of the faults each time. */
struct world_options world_draw(uint64_t seed);
/* A minute or two in which nothing is quiet. */
struct world_options world_draw_dense(uint64_t seed);
void world_print(const struct world_options *options);
/* Aborts at the first broken promise, after printing what it was. Prints what happens, `told_max` lines
 * of it at most. */
struct world_sums world_run(const struct world_options *options, struct rig *rig, uint64_t told_max);

#endif
