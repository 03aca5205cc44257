/* SPDX-License-Identifier: BSD-3-Clause */
/* I1, conservation: every occurrence of every schedule is on record once, as a run or inside a skipped range, and
 * nothing else is.
 *
 * Reads the tables themselves, over a connection of its own, and compares what each commit has added with what oracle.h
 * says is next. So it also sees P7 (which of the missed ones run), P9, and whether what was on record stays there
 * (P1). Times are the wall clock's. */
#ifndef SIM_AUDIT_H
#define SIM_AUDIT_H

#include "core/schedule.h"

struct audit;

/* What it was asked for with: store/store.h. */
struct audit_claim {
	struct wall now, until, missed_before;
	bool is_purged; /* history was deleted in the same commit: old skipped ranges may be gone already */
};

struct audit_sums {
	uint64_t looks, runs, skips, skipped; /* ranges, and what is in them */
	uint64_t unread;		      /* schedules of which nothing but increase was expected */
	uint64_t settled;		      /* schedules of which all that was due was on record */
};

struct audit *audit_new(void);
void audit_free(struct audit *audit);
/* `path`: of the database, which exists; its installation id is read. Again after each start of the service; what was
 * seen before must be there. */
void audit_open(struct audit *audit, const char *path, uint8_t installation[16]);
void audit_close(struct audit *audit);

/* An edit of this schedule is on its way: from here to audit_defined or audit_deleted it may be in force or not. */
void audit_asked(struct audit *audit, const uint8_t uuid[16]);
/* … and has had no effect. */
void audit_unchanged(struct audit *audit, const uint8_t uuid[16]);
/* It was made, or edited, at some moment between the two; committed by now. `from` after `until`: the clock was changed
 * meanwhile, and nothing is expected of it. */
void audit_defined(struct audit *audit, const struct schedule *schedule, struct wall from, struct wall until);
void audit_deleted(struct audit *audit, const uint8_t uuid[16]);
/* History beyond its retention was deleted; of a clock that was never changed it is known how old that must have been.
 */
void audit_purged(struct audit *audit, struct wall now, bool is_clock_steady);
/* A claim was committed. Nothing happens while it is closed. */
void audit_look(struct audit *audit, const struct audit_claim *claim);
/* The instant up to which occurrences of that schedule are on record. */
struct wall audit_covered(struct audit *audit, const uint8_t uuid[16]);
/* Nothing has failed for `grace_us`: what is older than that has to be on record. */
void audit_settled(struct audit *audit, struct wall now, int64_t grace_us);
struct audit_sums audit_sum(const struct audit *audit);

#endif
