/* SPDX-License-Identifier: BSD-3-Clause */
/* An aggregate function in SQL, and one SELECT over all tables that calls it.
 *
 * The store's connection is asked, through its own ad-hoc reading of one number, since another one would not see an
 * open transaction. Rows come in the order of their keys. */
#include "digest.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "dice.h"

struct digest {
	struct buf sql;
};

static uint64_t mix(uint64_t sum, uint64_t value)
{
	sum ^= value;
	return next_dice(&sum);
}

static uint64_t mix_value(uint64_t sum, sqlite3_value *value)
{
	int type = sqlite3_value_type(value);

	sum = mix(sum, (uint64_t)type);
	if (type == SQLITE_NULL)
		return sum;
	if (type == SQLITE_INTEGER)
		return mix(sum, (uint64_t)sqlite3_value_int64(value));
	const unsigned char *bytes = sqlite3_value_blob(value);
	size_t n = (size_t)sqlite3_value_bytes(value);

	for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, bytes + i, n - i < sizeof word ? n - i : sizeof word);
		sum = mix(sum, word);
	}
	return mix(sum, n);
}

static void on_row(sqlite3_context *context, int n, sqlite3_value **values)
{
	uint64_t *sum = sqlite3_aggregate_context(context, sizeof *sum);

	for (int i = 0; i < n; i++)
		*sum = mix_value(*sum, values[i]);
}

static void on_end(sqlite3_context *context)
{
	const uint64_t *sum = sqlite3_aggregate_context(context, sizeof *sum);

	sqlite3_result_int64(context, (sqlite3_int64)*sum);
}

static int on_open(sqlite3 *db, char **error, const void *api)
{
	(void)error;
	(void)api;
	return sqlite3_create_function(db, "sim_digest", -1, SQLITE_UTF8, NULL, NULL, on_row, on_end);
}

void digest_install(void)
{
	sqlite3_auto_extension((void (*)(void))on_open);
}

struct digest *digest_new(const char *path, const char *except)
{
	struct digest *digest = memory_new(sizeof *digest);
	sqlite3 *db = NULL;
	sqlite3_stmt *tables = NULL;
	int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(
			db,
			"SELECT 'SELECT sim_digest(' || (SELECT group_concat(name) FROM "
			"pragma_table_info(t.name)) || ') AS d FROM \"' || t.name || '\"' FROM sqlite_schema t "
			"WHERE t.type = 'table' AND t.name IS NOT ?1 ORDER BY t.name",
			-1, &tables, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(tables, 1, except, -1, SQLITE_STATIC);
	assert(code == SQLITE_OK);
	buf_init(&digest->sql, 65536);
	buf_add(&digest->sql,
		STR("SELECT sim_digest(d) FROM (SELECT sim_digest(type, name, sql) AS d FROM sqlite_schema"));
	while (sqlite3_step(tables) == SQLITE_ROW) {
		buf_add(&digest->sql, STR(" UNION ALL "));
		buf_add(&digest->sql, str_from((const char *)sqlite3_column_text(tables, 0)));
	}
	buf_add(&digest->sql, STR(")"));
	buf_add_char(&digest->sql, '\0');
	sqlite3_finalize(tables);
	sqlite3_close(db);
	return digest;
}

void digest_free(struct digest *digest)
{
	if (digest)
		buf_release(&digest->sql);
	free(digest);
}

enum err digest_of(const struct digest *digest, struct db *db, int64_t *number)
{
	return db_scalar(db, buf_str(&digest->sql).p, number);
}
