/* SPDX-License-Identifier: BSD-3-Clause */
/* Brings a database to the schema this program knows, each numbered step in a transaction of its own: whole old or
 * whole new, never between. */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "store/db.h"

/* Of the newest migration in schema/. */
enum { SCHEMA_VERSION = 2 };

/* *version 0: an empty database. ERR_CORRUPT: another program's, or a newer one's; *error says what to do. */
enum err migrate_version(struct db *db, const char *path, int64_t *version, struct error *error) MUST_CHECK;
enum err migrate_run(struct db *db, const char *path, int64_t from_version, int64_t to_version,
		     struct error *error) MUST_CHECK;

#endif
