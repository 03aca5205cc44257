/* SPDX-License-Identifier: BSD-3-Clause */
/* Random work for a store: groups of the verbs that write, drawn from dice, so that the same dice make the same calls.
 *
 * The books hold what the verbs answered and later ones refer to: schedules, leases, webhooks, users, tokens. They are
 * a plain value: copy them before a group to be able to forget it. */
#ifndef SIM_VERBS_H
#define SIM_VERBS_H

#include "store/store.h"

enum { BOOKS_SCHEDULES_MAX = 40, BOOKS_RUNS_MAX = 96, BOOKS_IDS_MAX = 16 };

struct books_run {
	int64_t id, lease, schedule_row, lane;
	enum run_kind kind;
	uint32_t attempts, budget;
	uint32_t was_failed; /* not a bool: books are compared with memcmp, without gaps */
};

struct books_ids {
	int64_t ids[BOOKS_IDS_MAX];
	size_t n;
};

struct books {
	struct wall now;
	uint8_t schedules[BOOKS_SCHEDULES_MAX][16];
	size_t schedules_n;
	struct books_run runs[BOOKS_RUNS_MAX]; /* leased to us */
	size_t runs_n;
	struct books_ids webhooks, users, tokens;
	uint64_t verbs; /* that wrote */
};

/* A group: begin, some verbs in savepoints of which now and then one is undone, not yet the commit. The first error
 * that is not an answer (not found, conflict) ends it. The dice are advanced; random bytes are seeded from them
 * (fixed_chance.h), so that two stores draw the same ids. */
enum err verbs_play(struct store *store, struct books *books, uint64_t *dice) MUST_CHECK;
/* What a start does first: the leases of the dead process are void. A group of its own, not yet committed. */
enum err verbs_recover(struct store *store, struct books *books, uint64_t *dice) MUST_CHECK;

#endif
