/* SPDX-License-Identifier: BSD-3-Clause */
/* When a schedule has to run, worked out a second time and as plainly as possible: minute by minute, with the changes
 * of a few zones in a table (P9).
 *
 * It shares no code with core/. What it cannot read it says so, and then nothing is expected of that schedule but that
 * its instants increase. */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "core/schedule.h"

struct oracle {
	bool has_interval, has_cron, has_once;
	struct wall anchor, once_at;
	int64_t period_us;
	uint64_t minutes, hours; /* bits of a local clock's readings */
	bool is_hour_open;	 /* the hour field begins with '*' */
	const struct oracle_zone *zone;
};

enum { ORACLE_ZONES_N = 5 };
/* The zones it knows, until NULL. */
const char *oracle_zone_name(unsigned index);
enum { ORACLE_CHANGES_N = 15 };
/* Instants at which one of them changes its offset, in no order; false from ORACLE_CHANGES_N on. */
bool oracle_zone_change(unsigned index, struct wall *at);
/* False: a form, a zone or a combination that it does not know. `anchor`: of the interval. */
bool oracle_read(const struct schedule_definition *definition, struct wall anchor, struct oracle *oracle);
bool oracle_is(const struct oracle *oracle, struct wall at);
/* Whether it knows the offsets of its zone at that instant. */
bool oracle_covers(const struct oracle *oracle, struct wall at);
/* The first occurrence after that instant; false: there is none. */
bool oracle_next(const struct oracle *oracle, struct wall after, struct wall *at);
/* Occurrences from `from` to `to`, both included. */
int64_t oracle_count(const struct oracle *oracle, struct wall from, struct wall to);

#endif
