/* SPDX-License-Identifier: BSD-3-Clause */
/* The fields that requests to the API set, as tables of values good and bad, and bodies made of them.
 *
 * Written down from the contract, and shares no code with what reads the fields. */
#ifndef TESTS_FUZZ_API_FIELDS_H
#define TESTS_FUZZ_API_FIELDS_H

#include "fuzz.h"

enum { MEMBERS_MAX = 12, CHOICES_N = 6 };

/* A value as it is sent, and as it is shown; not shown: refused. */
struct choice {
	const char *sent, *shown;
};

/* A member of a record that requests set. `first` is what a new record shows without it; absent: it must be sent. */
struct member {
	const char *name, *first;
	struct choice choices[CHOICES_N];
};

enum {
	FREQUENCY,
	CRON,
	INTERVAL,
	ENDPOINT,
	PAYLOAD,
	AUTH_TOKEN,
	SIGNING_SECRET,
	ENABLED,
	TIMEZONE,
	CATCH_UP,
	OVERLAP,
	SCHEDULE_MEMBERS_N
};
enum { EVENT, TARGET, WEBHOOK_MEMBERS_N };

extern const struct member schedule_members[SCHEDULE_MEMBERS_N], webhook_members[WEBHOOK_MEMBERS_N];

/* A body and what it means. Begins with `members` and `n` set. */
struct edit {
	const struct member *members;
	unsigned n;
	bool is_set[MEMBERS_MAX], is_bad[MEMBERS_MAX];
	struct str shown[MEMBERS_MAX];
	struct str payload; /* as it is sent; absent: it is not */
	struct buf body;    /* owned */
};

/* `before` is what the record shows that is changed; NULL: a new one. Strings out of the input live in the arena. */
void edit_take(struct edit *edit, struct fuzz_input *in, struct arena *arena, const struct str *before);
/* Whether a request with it must be refused; what is not sent and must be counts as bad. */
bool edit_is_refused(struct edit *edit, bool needs_all);
/* {"field":["…"],…}: of each bad one, and of no other. */
void edit_check_problems(const struct edit *edit, struct str answer);

#endif
