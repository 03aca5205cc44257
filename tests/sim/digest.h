/* SPDX-License-Identifier: BSD-3-Clause */
/* One number for everything that a store's database says: its schema, and every column of every row, byte by byte. */
#ifndef SIM_DIGEST_H
#define SIM_DIGEST_H

#include "store/db.h"

struct digest;

/* Before the first database is opened: SQLite gets a function for it. */
void digest_install(void);
/* `path`: a database with the schema, for the names of tables and columns. `except`: a table that is left out; NULL:
 * none. */
struct digest *digest_new(const char *path, const char *except);
void digest_free(struct digest *digest);
/* Of what the connection sees, its open transaction included. */
enum err digest_of(const struct digest *digest, struct db *db, int64_t *number) MUST_CHECK;

#endif
