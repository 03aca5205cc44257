/* SPDX-License-Identifier: BSD-3-Clause */
/* What a client may say about a schedule: the table of its fields, the rules for each, and what follows for the record.
 * Pure. */
#ifndef API_SCHEDULE_FIELDS_H
#define API_SCHEDULE_FIELDS_H

#include "api/fields.h"
#include "core/address.h"
#include "core/schedule.h"
#include "core/zone.h"

/* Stands for a stored secret in answers; sent back in a PUT or PATCH it keeps the secret. */
#define SCHEDULE_SECRET_MASK "********"

enum schedule_value {
	SCHEDULE_VALUE_FREQUENCY,
	SCHEDULE_VALUE_CRON,
	SCHEDULE_VALUE_INTERVAL,
	SCHEDULE_VALUE_ENDPOINT,
	SCHEDULE_VALUE_PAYLOAD,
	SCHEDULE_VALUE_AUTH_TOKEN,
	SCHEDULE_VALUE_NEXT_SEND_AT,
	SCHEDULE_VALUE_ENABLED,
	SCHEDULE_VALUE_TIMEZONE,
	SCHEDULE_VALUE_SIGNING_SECRET,
	SCHEDULE_VALUE_CATCH_UP,
	SCHEDULE_VALUE_OVERLAP,
	SCHEDULE_VALUES_N
};

extern const struct field schedule_fields[SCHEDULE_VALUES_N];
/* The words of the two policies, by enum catch_up and enum overlap. */
extern const struct choice schedule_catch_ups[], schedule_overlaps[];

/* The part of the configuration that the rules ask. */
struct schedule_rules {
	const struct egress_policy *egress; /* borrowed */
	int64_t interval_us_min;
	const struct zone *(*find_zone)(void *zones, struct str name); /* NULL: no such zone */
	void *zones;
	struct wall now; /* a new cron entry must have an occurrence after it */
};

struct schedule_change {
	struct schedule_definition definition; /* the fields named in `set`; for a new schedule all of them */
	unsigned set;			       /* enum schedule_field bits */
};

/* `current`: the record that a PUT or PATCH changes; NULL for a new one. False: *problems has at least one more
 * problem. Views live in problems->arena. */
bool schedule_fields_read(const struct schedule_rules *rules, const struct input *input, const struct schedule *current,
			  bool is_partial, struct schedule_change *change, struct problems *problems);

#endif
