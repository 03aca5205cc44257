/* SPDX-License-Identifier: BSD-3-Clause */
/* Time zones by name, read from the system's zone files once and kept.
 *
 * The files lie in $TZDIR or /usr/share/zoneinfo. A cache belongs to one thread; what it hands out lives until the
 * zone's file has changed and zonefile_refresh was called, or until the cache is freed. "UTC" needs no file. */
#ifndef STORE_ZONEFILE_H
#define STORE_ZONEFILE_H

#include "core/zone.h"

enum { ZONEFILE_ZONES_MAX = 1024, ZONEFILE_BYTES_MAX = 256 * 1024 };

struct zonefile_cache;

/* `directory` NULL: the system's. */
struct zonefile_cache *zonefile_cache_new(const char *directory);
void zonefile_cache_free(struct zonefile_cache *cache);
/* The version of the zone files, such as "2025b": of tzdata.zi or +VERSION beside them; "unknown" without these. */
void zonefile_version(const struct zonefile_cache *cache, char *text, size_t size);
/* NULL: no such zone, or its file is damaged. Nothing is remembered of a failure: a repaired file is found at the next
 * call. */
const struct zone *zonefile_find(struct zonefile_cache *cache, struct str name);
/* Forgets the zones whose files were replaced or touched since they were read; true when there was one. Looks at the
 * zone `name` alone; absent: at all of them. */
bool zonefile_refresh(struct zonefile_cache *cache, struct str name);
/* SHA-256 of the bytes of the zone's file as it was read; false where zonefile_find would answer NULL. Zeros for "UTC".
 */
bool zonefile_digest(struct zonefile_cache *cache, struct str name, uint8_t digest[32]);

#endif
