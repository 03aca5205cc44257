/* SPDX-License-Identifier: BSD-3-Clause */
/* What the store's contract tests share: a store in a directory of its own, time as a variable, and short forms of the
 * verbs. */
#ifndef CONTRACT_H
#define CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

#include "store/store.h"

#define SECOND US_PER_SECOND
#define MINUTE US_PER_MINUTE
#define HOUR (60 * US_PER_MINUTE)
/* 2030-01-01T00:00:00Z, a Tuesday. */
#define T0 (INT64_C(1893456000) * SECOND)

struct fixture {
	char dir[64], path[96], url[112];
	struct store_settings settings;
	struct store *store;
	struct wall now;
	struct arena arena;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
void fixture_open(struct fixture *f);
/* As a process that was killed: nothing released, nothing recovered yet. */
void fixture_reopen(struct fixture *f);
/* One number out of the database, by SQL. */
int64_t fixture_number(struct fixture *f, const char *sql);
/* Changes the database behind the store's back. */
enum err fixture_script(struct fixture *f, const char *sql);

void begin(struct fixture *f);
void commit(struct fixture *f);
/* The sum of P3 holds, counters and references agree. */
void assert_whole(struct fixture *f);

/* "0 * * * *" to http://a.test/x, enabled, in UTC, payload {"n":1}. */
struct schedule_definition definition_cron(const char *cron);
struct schedule_definition definition_interval(const char *interval);
struct schedule_definition definition_once(int64_t once_us);
struct schedule insert(struct fixture *f, const struct schedule_definition *definition);
struct schedule get(struct fixture *f, const struct schedule *schedule);
struct schedule update(struct fixture *f, const struct schedule *schedule, unsigned set,
		       const struct schedule_definition *changes);
void delete (struct fixture *f, const struct schedule *schedule);

/* Claims up to f->now + `ahead_us`. */
struct claim_batch claim(struct fixture *f, int64_t ahead_us, uint32_t room);
struct claim_batch claim_late(struct fixture *f, int64_t missed_before_us, uint32_t room);
struct claim_batch claim_lane(struct fixture *f, int64_t lane, uint32_t room);
void batch_release(struct claim_batch *batch);
/* Claims exactly one run and forgets the batch but for what has no views. */
struct run claim_one(struct fixture *f);

struct outcome outcome_of(struct fixture *f, enum outcome_class class, unsigned status);
struct store_record record_of(const struct run *run, enum store_record_kind kind, const struct outcome *outcome);
/* Records and commits; true when it was written, false when it was fenced. */
bool record(struct fixture *f, struct store_record record);
bool record_delivered(struct fixture *f, const struct run *run);
/* The delivery side has not started it. */
bool give_back(struct fixture *f, const struct run *run);
bool record_failed(struct fixture *f, const struct run *run);
bool record_retry(struct fixture *f, const struct run *run, int64_t at_us);
int64_t count(struct fixture *f, enum store_counted what);
struct store_notice take_notice(struct fixture *f);

#define assert_ok(expression) assert_int_equal((expression), ERR_OK)

#endif
