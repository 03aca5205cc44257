/* SPDX-License-Identifier: BSD-3-Clause */
/* Which occurrences run after a downtime, and which are skipped: P7 written down a second time, from the promise and
 * not from planner.c (T24).
 *
 * For histories in which nothing happens to schedules but downtimes: then for each schedule the exact sequence of
 * planned instants is known, and the number of those skipped. All functions accept NULL. */
#ifndef SIM_CATCH_UP_H
#define SIM_CATCH_UP_H

#include "core/run.h"
#include "audit.h"
#include "ledger.h"

struct catch_up_books;

struct catch_up_books *catch_up_new(struct ledger *ledger);
void catch_up_free(struct catch_up_books *books);
/* As the API showed it. */
void catch_up_created(struct catch_up_books *books, const uint8_t uuid[16], struct str record);
/* The process is up again: what lies before `now` was missed. */
void catch_up_started(struct catch_up_books *books, struct audit *audit, struct wall now);
/* A claim is committed that was not cut short: everything due by then was planned. */
void catch_up_planned(struct catch_up_books *books);
void catch_up_claimed(struct catch_up_books *books, const struct run *run);
/* The schedules are about to be switched off. */
void catch_up_ended(struct catch_up_books *books, struct wall now);
void catch_up_rest(struct catch_up_books *books, const struct store_check *check, uint64_t *gaps, uint64_t *runs);

#endif
