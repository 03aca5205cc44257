/* SPDX-License-Identifier: BSD-3-Clause */
/* A run: the record of one occurrence and of everything that happened to it. */
#ifndef CORE_RUN_H
#define CORE_RUN_H

#include "base/instant.h"
#include "base/str.h"

/* Stored in the database: append only.
 *
 *            claim            2xx
 *   (due) ─────────▶ OPEN ─────────▶ DELIVERED
 *                    │ ▲ │ budget used up, 410
 *        retry later └─┘ ├─────────▶ FAILED ──requeue──▶ OPEN
 *                        └─────────▶ CANCELLED (edit or delete before it was sent)
 *   Skipped occurrences are ranges in the table `skips`, not runs. */
enum run_state { RUN_OPEN = 0, RUN_DELIVERED = 1, RUN_FAILED = 2, RUN_CANCELLED = 3 };

enum run_kind {
	RUN_SCHEDULE = 0, /* an occurrence of a schedule */
	RUN_WEBHOOK = 1,  /* schedule.added to a webhook's target */
	RUN_METRIC = 2,	  /* a metric key to METRICS_URL: the operator's own choice, not judged by the egress policy */
};

enum { RUN_UUID_BYTES = 16 };

/* What the delivery side needs to know of a claimed run. Views are borrowed from the claim batch. */
struct run {
	int64_t id;	      /* of the row */
	int64_t lease;	      /* the token that every later write must carry */
	int64_t schedule_row; /* 0 for webhooks and metrics */
	int64_t lane;	      /* url_lane() of the endpoint */
	enum run_kind kind;
	uint32_t attempts; /* finished before this claim, whatever requeues lay between: Seed-Attempt counts on */
	uint32_t attempts_budget; /* attempts_max in force: attempts + those left */
	bool was_failed;	  /* requeued: a failed task stands on record until this succeeds */
	bool is_awaited;	  /* the schedule's runs may not overlap, so the next one may wait for the end of this */
	uint8_t uuid[RUN_UUID_BYTES];
	uint8_t schedule_uuid[16]; /* zeros for webhooks and metrics */
	struct wall planned_at;
	struct wall start_at; /* not before this instant: planned_at, or the retry's time */
	struct str endpoint;
	struct str body;	   /* the payload's own bytes */
	struct str authorization;  /* the whole header value, "Token …"; absent = no such header. A secret */
	struct str signing_secret; /* "whsec_…"; absent = not signed. A secret */
};

/* The id of an occurrence: UUIDv8 (RFC 9562) from SHA-256 over installation id, schedule id and planned instant
 * (big-endian microseconds). Pure. */
void run_uuid(const uint8_t installation[16], const uint8_t schedule[16], struct wall planned_at,
	      uint8_t uuid[RUN_UUID_BYTES]);

#endif
