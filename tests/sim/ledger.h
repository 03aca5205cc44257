/* SPDX-License-Identifier: BSD-3-Clause */
/* What was promised, checked against everything that happens: its own books of runs and schedules, kept apart from the
 * product's.
 *
 * The names are those of docs/promise.md and of the test plan: I2 one row and one id an occurrence, I5 same id same
 * body and rising attempts, I6 never early, I7 nothing after the end, I8 duplicates only after a crash, P5 one of each
 * attempt that it left in flight, I9 no write without the lease, I12 bounds, I13 planned instants increase, P10 first
 * attempts in planned order, and one at a time where runs may not overlap. I1 and I3 are audit.h's. */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "core/outcome.h"
#include "core/run.h"
#include "deliver/dispatcher.h"
#include "receiver.h"
#include "store/store.h"

struct ledger;

struct ledger_sums {
	uint64_t runs, delivered, failed, duplicates;
	int64_t lateness_us_max; /* of first attempts on the lanes watched */
	uint64_t watched;
};

struct ledger *ledger_new(void);
void ledger_free(struct ledger *ledger);
/* P6 is checked: first attempts of this lane (0: of every lane) must start within `lateness_us_max` of their instant,
 * or of the last edit of their schedule. */
void ledger_watch_lateness(struct ledger *ledger, int64_t lane, int64_t lateness_us_max);
/* What ids are made of, and the bounds that hold. */
void ledger_set_terms(struct ledger *ledger, const uint8_t installation[16], const struct dispatcher_options *options);
/* The schedule was made or edited just now. */
void ledger_edited(struct ledger *ledger, const uint8_t uuid[16], struct wall now);
/* As of its last edit. */
void ledger_set_overlap(struct ledger *ledger, const uint8_t uuid[16], enum overlap overlap);
/* Both, and what it sends from now on; secrets as given with it, or absent. */
void ledger_defined(struct ledger *ledger, const uint8_t uuid[16], const struct schedule_definition *definition,
		    struct wall now);
/* A zone of its own is damaged: it alone may be late. */
void ledger_excuse(struct ledger *ledger, const uint8_t uuid[16]);
/* A small number for a schedule's random id, the same in every repetition of a seed. */
unsigned ledger_schedule(struct ledger *ledger, const uint8_t uuid[16]);

void ledger_claimed(struct ledger *ledger, const struct run *run);
/* A notice asks for the run's present lease back: it must not start on it any more. */
void ledger_revoked(struct ledger *ledger, int64_t run_id);
void ledger_started(struct ledger *ledger, const struct run *run, uint32_t attempt, struct wall now);
/* It should have started and found no socket; a younger run that was asked to start at this instant, too, may have
 * found one. */
void ledger_unsent(struct ledger *ledger, int64_t run_id, struct wall now);
/* The bytes of the attempt that has just started. */
void ledger_sent(struct ledger *ledger, int64_t run_id, struct str request, struct wall now);
/* The wall clock was changed: what is to be tried again later is so by another clock (P8). */
void ledger_clock_stepped(struct ledger *ledger);
/* What the receiver did, whatever the product makes of it; `plan` NULL: it never answered. Before ledger_answered. */
void ledger_replied(struct ledger *ledger, int64_t run_id, const struct answer_plan *plan, struct wall now);
void ledger_answered(struct ledger *ledger, int64_t run_id, const struct outcome *outcome);
/* A committed record that was not fenced. */
void ledger_recorded(struct ledger *ledger, const struct store_record *record);
/* One that was: nothing will come of its attempt, since the run's schedule was deleted. */
void ledger_fenced(struct ledger *ledger, int64_t run_id);
/* Every failed run whose schedule still exists is open again. */
void ledger_requeued(struct ledger *ledger);
void ledger_deleted(struct ledger *ledger, const uint8_t uuid[16]);
/* The process is gone: its leases are worth nothing, answers it had read but not recorded may be asked for again. */
void ledger_crashed(struct ledger *ledger);
/* The process has ended gracefully: every lease was given back. */
void ledger_drained(struct ledger *ledger);
/* P12: so many failed tasks are on record now. */
void ledger_failed_tasks(const struct ledger *ledger, int64_t n);
/* P7: what a claim of so much room may take, in steps along schedules. */
void ledger_steps(const struct ledger *ledger, uint64_t steps, uint32_t room);
void ledger_rest(const struct ledger *ledger, const struct store_check *check);
struct ledger_sums ledger_sum(const struct ledger *ledger);

/* What is being tried, as arguments that repeat it; told when a promise is broken or an assert fails. */
void promise_about(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints and aborts unless `holds`. */
void promise(bool holds, const char *name, int64_t run_id, const char *text);

#endif
