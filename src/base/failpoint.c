/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads what is armed before main() begins, counts the hits of those places, and acts; compiled with -Dfailpoints=true only. */
#include "base/failpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum { ARMED_MAX = 16, EXIT_UNREADABLE = 2 };

enum action { ACTION_KILL, ACTION_PAUSE, ACTION_ERROR };

static const char *const action_names[] = { "kill", "pause", "error" };

static const char *const places[] = {
#define FAILPOINT_PLACE(name, text) name,
#include "base/failpoints.def"
#undef FAILPOINT_PLACE
};

struct arming {
	const char *name; /* one of `places` */
	enum action action;
	uint64_t pause_ms;
	uint64_t at; /* the hit that acts, from 1 */
	bool and_later;
	atomic_uint_fast64_t hits;
};

/* Written before threads exist; then only `hits` changes. */
static struct {
	struct arming list[ARMED_MAX];
	size_t n;
} armed;

static const char *find_place(struct str name)
{
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (str_equal(str_from(places[i]), name))
			return places[i];
	return NULL;
}

/* "kill", "pause:200" or "error". */
static bool parse_action(struct str text, struct arming *arming)
{
	struct str ms, word = str_split(text, ':', &ms);

	for (size_t i = 0; i < sizeof action_names / sizeof action_names[0]; i++)
		if (str_equal(str_from(action_names[i]), word)) {
			arming->action = (enum action)i;
			return arming->action == ACTION_PAUSE ? str_to_u64(ms, &arming->pause_ms) : ms.p == NULL;
		}
	return false;
}

/* "name=action", "name=action@3" or "name=action@3+". */
static bool parse_arming(struct str text, struct arming *arming)
{
	struct str how, at, name = str_split(text, '=', &how);
	struct str action = str_split(how, '@', &at);

	arming->name = find_place(name);
	arming->at = 1;
	if (at.p && str_ends_with(at, STR("+"))) {
		arming->and_later = true;
		at.n--;
	}
	return arming->name && parse_action(action, arming) &&
	       (!at.p || (str_to_u64(at, &arming->at) && arming->at > 0));
}

__attribute__((constructor)) static void arm(void)
{
	const char *text = getenv("SEED_FAILPOINTS");
	struct str rest = text ? str_from(text) : (struct str){ NULL, 0 };

	while (rest.n) {
		struct str part = str_split(rest, ';', &rest);

		if (armed.n == ARMED_MAX || !parse_arming(part, &armed.list[armed.n])) {
			fprintf(stderr, "SEED_FAILPOINTS: '%.*s' is no arming of a place in failpoints.def\n",
				STR_ARG(part));
			_exit(EXIT_UNREADABLE);
		}
		armed.n++;
	}
}

static void sleep_ms(uint64_t ms)
{
	struct timespec left = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000) };

	while (nanosleep(&left, &left) < 0)
		;
}

/* Whether what stands at the place has to fail. */
static bool act(const struct arming *arming, uint64_t hit)
{
	log_event(LOG_WARN, "failpoint", log_text("name", arming->name),
		  log_text("action", action_names[arming->action]), log_int("hit", (int64_t)hit));
	if (arming->action == ACTION_KILL)
		kill(getpid(), SIGKILL);
	if (arming->action == ACTION_PAUSE)
		sleep_ms(arming->pause_ms);
	return arming->action == ACTION_ERROR;
}

bool failpoint_reach(const char *name)
{
	bool fails = false;

	for (size_t i = 0; i < armed.n; i++) {
		struct arming *arming = &armed.list[i];

		if (strcmp(arming->name, name) != 0)
			continue;
		uint64_t hit = atomic_fetch_add(&arming->hits, 1) + 1;

		if (hit == arming->at || (arming->and_later && hit > arming->at))
			fails |= act(arming, hit);
	}
	return fails;
}
