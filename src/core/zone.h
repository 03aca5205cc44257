/* SPDX-License-Identifier: BSD-3-Clause */
/* Time zones from the bytes of a TZif file (RFC 8536; tzfile(5)), POSIX footer included. Pure: the caller reads the
 * file.
 *
 * A zone is a sequence of spans of constant offset. Files that count leap seconds ("right/...") are refused: our
 * instants have none. */
#ifndef CORE_ZONE_H
#define CORE_ZONE_H

#include "base/arena.h"
#include "base/instant.h"

/* Every offset lies between these, in seconds: the bounds of RFC 8536. */
enum { ZONE_OFFSET_S_MIN = -89999, ZONE_OFFSET_S_MAX = 93599 };

struct zone; /* immutable once read; may be shared between threads */

/* The offset holds from `from_s` up to, not including, `until_s`; INT64_MIN and INT64_MAX where there is no change.
 * Neighbours differ in their offset. */
struct zone_span {
	int64_t from_s, until_s;
	int32_t offset_s;
};

/* Parses the bytes of a TZif file; NULL when they are damaged. All memory comes from `arena`, `bytes` is not kept. */
const struct zone *zone_read(struct arena *arena, struct str bytes);
/* The zone without transitions at offset 0. */
const struct zone *zone_utc(void);
/* The span that holds that second (Unix time, at most half of INT64_MAX). Never fails. */
struct zone_span zone_span_at(const struct zone *zone, int64_t unix_s);
/* Seconds east of UTC at that second (Unix time). */
int32_t zone_offset_at(const struct zone *zone, int64_t unix_s);
/* The first change of offset strictly after `unix_s`; false when there is none before the end of 9999. Changes that
 * keep the offset (only the abbreviation or the DST flag moves) are passed over. */
bool zone_next_change(const struct zone *zone, int64_t unix_s, int64_t *at_unix_s);

/* Where a wall-clock second stands. */
enum zone_local_kind {
	ZONE_LOCAL_ONCE,  /* *first is the instant */
	ZONE_LOCAL_TWICE, /* an overlap: *first and *second are the two */
	ZONE_LOCAL_NEVER, /* a gap: *first is the first valid instant after it */
};

/* `local_s`: the seconds from 1970-01-01T00:00:00 to the reading, both on this zone's clock face, in the years 0 to
 * 9999. */
enum zone_local_kind zone_from_local(const struct zone *zone, int64_t local_s, int64_t *first, int64_t *second);

/* "Europe/Dublin": letters, digits, '_', '-', '+', '/' in non-empty parts, no dots, at most 100 bytes. Says nothing
 * about whether the zone exists. */
bool zone_name_is_plausible(struct str name);

#endif
