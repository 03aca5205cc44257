/* SPDX-License-Identifier: BSD-3-Clause */
/* One number for everything that a store's database says: every column of every row of every table, byte by byte. */
#ifndef SIM_DIGEST_H
#define SIM_DIGEST_H

#include "store/store.h"

struct digest;

/* Before the first database is opened: SQLite gets a function for it. `path`: a database with the schema, for the names
 * of tables and columns. */
void digest_install(void);
struct digest *digest_new(const char *path);
void digest_free(struct digest *digest);
/* Of what the store's connection sees, its open transaction included. */
enum err digest_of(const struct digest *digest, struct store *store, int64_t *number) MUST_CHECK;

#endif
