/* SPDX-License-Identifier: BSD-3-Clause */
/* Shorthands over the vtable: run to the end, one number, columns as views. */
#include "store/db.h"

#include <string.h>

enum err db_run(struct db *db, enum statement statement, const struct db_value *args, size_t args_n)
{
	struct db_cursor cursor = db_query(db, statement, args, args_n);

	while (db_next(&cursor))
		;
	return db_end(&cursor);
}

enum err db_run_one(struct db *db, enum statement statement, const struct db_value *args, size_t args_n)
{
	enum err err = db_run(db, statement, args, args_n);

	return err == ERR_OK && db_changes(db) == 0 ? ERR_NOT_FOUND : err;
}

enum err db_number(struct db *db, enum statement statement, const struct db_value *args, size_t args_n, int64_t *number)
{
	struct db_cursor cursor = db_query(db, statement, args, args_n);
	bool found = db_next(&cursor);

	if (found)
		*number = db_get_count(&cursor, 0);
	enum err err = db_end(&cursor);

	return err == ERR_OK && !found ? ERR_NOT_FOUND : err;
}

struct str db_get_str(const struct db_cursor *cursor, unsigned column, struct arena *arena)
{
	struct db_value value = cursor->db->ops->column(cursor, column);

	return arena ? arena_copy(arena, value.bytes) : value.bytes;
}

void db_get_bytes(const struct db_cursor *cursor, unsigned column, void *bytes, size_t n)
{
	struct db_value value = cursor->db->ops->column(cursor, column);

	if (value.bytes.n == n && n > 0)
		memcpy(bytes, value.bytes.p, n);
	else
		memset(bytes, 0, n);
}
