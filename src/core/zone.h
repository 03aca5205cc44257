/* SPDX-License-Identifier: BSD-3-Clause */
/* Time zones from the bytes of a TZif file, version 2 or later (RFC 8536; tzfile(5)), POSIX footer included. Pure: the
 * caller reads the file. */
#ifndef CORE_ZONE_H
#define CORE_ZONE_H

#include "base/arena.h"
#include "base/instant.h"

struct zone; /* immutable once read; may be shared between threads */

/* Parses the bytes of a TZif file; NULL when they are damaged. All memory comes from `arena`, `bytes` is not kept. */
const struct zone *zone_read(struct arena *arena, struct str bytes);
/* The zone without transitions at offset 0. */
const struct zone *zone_utc(void);
/* Seconds east of UTC at that second (Unix time). */
int32_t zone_offset_at(const struct zone *zone, int64_t unix_s);
/* The first change of offset strictly after `unix_s`; false when there is none before the end of 9999. Changes that keep the offset
 * (only the abbreviation or the DST flag moves) are passed over. */
bool zone_next_change(const struct zone *zone, int64_t unix_s, int64_t *at_unix_s);

/* Where a wall-clock second stands. */
enum zone_local_kind {
	ZONE_LOCAL_ONCE,  /* *first is the instant */
	ZONE_LOCAL_TWICE, /* an overlap: *first and *second are the two */
	ZONE_LOCAL_NEVER, /* a gap: *first is the first valid instant after it */
};

enum zone_local_kind zone_from_local(const struct zone *zone, int64_t local_s, int64_t *first, int64_t *second);

/* "Europe/Dublin": letters, digits, '_', '-', '+', '/' in non-empty parts, no part made of dots, at most 100 bytes. Says nothing about
 * whether the zone exists. */
bool zone_name_is_plausible(struct str name);

#endif
