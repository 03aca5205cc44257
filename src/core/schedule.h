/* SPDX-License-Identifier: BSD-3-Clause */
/* A schedule as it is stored and shown; and the other plain records of the API. Views belong to whoever made the record. */
#ifndef CORE_SCHEDULE_H
#define CORE_SCHEDULE_H

#include "base/instant.h"
#include "base/str.h"
#include "core/outcome.h"

/* Writable fields, as bits: which ones a request sets. */
enum schedule_field {
	SCHEDULE_FREQUENCY = 1 << 0,
	SCHEDULE_CRON = 1 << 1,
	SCHEDULE_INTERVAL = 1 << 2,
	SCHEDULE_ENDPOINT = 1 << 3,
	SCHEDULE_PAYLOAD = 1 << 4,
	SCHEDULE_AUTH_TOKEN = 1 << 5,
	SCHEDULE_ONCE_AT = 1 << 6,
	SCHEDULE_ENABLED = 1 << 7,
	SCHEDULE_TIMEZONE = 1 << 8,
	SCHEDULE_SIGNING_SECRET = 1 << 9,
	SCHEDULE_CATCH_UP = 1 << 10,
	SCHEDULE_OVERLAP = 1 << 11,
};

/* Stored in the database: append only. What happens to occurrences that were missed (P7): core/planner.h. */
enum catch_up { CATCH_UP_LATEST = 0, CATCH_UP_ALL = 1, CATCH_UP_NONE = 2 };

/* Stored in the database: append only. What happens to an occurrence while an earlier run of its schedule is open
 * (P10): it runs beside it, is recorded as skipped, or waits until that run is over. */
enum overlap { OVERLAP_ALLOW = 0, OVERLAP_SKIP = 1, OVERLAP_QUEUE = 2 };

/* Absent text (p == NULL) is null on the wire. Validated before it gets here. */
struct schedule_definition {
	bool has_frequency;
	int64_t frequency;   /* 1 or more */
	struct str cron;     /* as sent, trimmed; absent or empty = no cron */
	struct str interval; /* likewise */
	struct str endpoint;
	struct str payload;  /* JSON text, sent byte for byte */
	struct str auth_token;     /* absent = no Authorization header. A secret: only the delivery side reads it back */
	struct str signing_secret; /* absent = not signed. A secret */
	bool has_once;
	struct wall once_at; /* of a schedule with neither cron nor interval; kept as sent otherwise, without effect */
	bool enabled;
	struct str timezone; /* IANA name, never absent */
	enum catch_up catch_up;
	enum overlap overlap;
};

/* What a read shows: secrets only as "is set". */
struct schedule {
	int64_t row;
	uint8_t uuid[16];
	struct schedule_definition definition; /* auth_token and signing_secret stay absent in reads */
	bool has_auth_token, has_signing_secret;
	bool is_put_off;     /* due, but its timing cannot be computed: its time zone has no readable file */
	bool has_next;
	struct wall next_at; /* the next planned run */
	int64_t triggered;   /* runs so far */
	struct wall created_at, updated_at;
	int64_t created_by, updated_by; /* user ids; 0 = gone or none */
};

struct user {
	int64_t id;
	struct str username, email;
	struct str password_hash; /* absent: no usable password */
	bool is_staff, is_active;
	const int64_t *groups; /* ids, ascending */
	size_t groups_n;
};

struct group {
	int64_t id;
	struct str name;
};

struct token {
	int64_t id, user_id;
	char prefix[8]; /* the first digits, to tell tokens apart */
	struct wall created_at;
};

struct webhook {
	int64_t id;
	struct wall created_at, updated_at;
	struct str event, target;
	int64_t user_id;
};

struct failure {
	int64_t id;
	uint8_t schedule_uuid[16];
	uint8_t run_uuid[16];
	struct wall initiated_at; /* start of the run's first attempt */
	struct str reason;
};

/* A failed attempt of a run, as it is kept with its failed task. */
struct attempt {
	uint32_t number; /* from 1 */
	struct wall started_at;
	int64_t duration_us;
	enum outcome_class class;
	uint16_t status;   /* 0 without an answer */
	struct str answer; /* the first bytes of the answer's body, any bytes */
};

#endif
