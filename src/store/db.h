/* SPDX-License-Identifier: BSD-3-Clause */
/* The seam below the SQL: a connection that runs numbered statements with typed arguments.
 *
 * All statements stand in statements.def and are prepared once, when first used. A statement is run by one cursor at a
 *time:
 *
 *	struct db_cursor c = db_query(db, SQL_USER_GET, DB_ARGS(db_int(id)));
 *	while (db_next(&c))
 *		... db_get_int(&c, 0) ...
 *	return db_end(&c);
 *
 * db_end gives the statement back, also in the middle of its rows, and returns the first error. What a column shows is
 *borrowed until the next db_next or db_end. Errors: ERR_CONFLICT (a unique key exists), ERR_UNAVAILABLE (full,
 *read-only, busy), ERR_CORRUPT (damaged, or a constraint that guards an invariant), ERR_IO. Some of them end the
 *transaction: db_in_transaction tells. One thread at a time. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/arena.h"
#include "base/err.h"
#include "base/instant.h"
#include "store/statements.h"

enum db_type { DB_NULL, DB_INT, DB_TEXT, DB_BLOB };

struct db_value {
	enum db_type type;
	int64_t number;
	struct str bytes;
};

struct db {
	const struct db_ops *ops;
	char error[256], full[256]; /* words about the last error, and about the last write that found no space */
};

struct db_cursor {
	struct db *db;
	void *handle;
	enum err err;
};

struct db_ops {
	void (*close)(struct db *db);
	void (*start)(struct db_cursor *cursor, enum statement statement, const struct db_value *args, size_t args_n);
	bool (*next)(struct db_cursor *cursor);
	struct db_value (*column)(const struct db_cursor *cursor, unsigned column);
	enum err (*end)(struct db_cursor *cursor);
	int64_t (*changes)(const struct db *db);
	int64_t (*last_id)(const struct db *db);
	bool (*in_transaction)(const struct db *db);
	enum err (*script)(struct db *db, const char *text);
	enum err (*scalar)(struct db *db, const char *text, int64_t *number);
	enum err (*use_log)(struct db *db);
	enum err (*check_log)(struct db *db);
	unsigned (*log_pages)(const struct db *db);
	unsigned (*spilled)(const struct db *db);
	bool (*take_full)(struct db *db);
	enum err (*checkpoint)(struct db *db, bool whole);
	enum err (*integrity)(struct db *db, bool quick, char *text, size_t text_room, bool *is_ok);
};

struct db_settings {
	const char *path;
	bool read_only;
};

/* SQLite. *error names the path and says what to do. */
enum err db_sqlite_open(const struct db_settings *settings, struct db **db, struct error *error) MUST_CHECK;
const char *db_sqlite_version(void);

/* --- arguments ------------------------------------------------------------------------------------------- */

#define DB_ARGS(...)                                                                                                   \
	(const struct db_value[]){ __VA_ARGS__ },                                                                      \
		sizeof((const struct db_value[]){ __VA_ARGS__ }) / sizeof(struct db_value)
#define DB_NO_ARGS NULL, 0

static inline struct db_value db_null(void)
{
	return (struct db_value){ .type = DB_NULL };
}

static inline struct db_value db_int(int64_t number)
{
	return (struct db_value){ .type = DB_INT, .number = number };
}

static inline struct db_value db_int_or_null(bool has, int64_t number)
{
	return has ? db_int(number) : db_null();
}

/* Absent text is NULL. Borrowed until the statement's db_end. */
static inline struct db_value db_text(struct str text)
{
	return (struct db_value){ .type = text.p ? DB_TEXT : DB_NULL, .bytes = text };
}

static inline struct db_value db_blob(const void *bytes, size_t n)
{
	return (struct db_value){ .type = bytes ? DB_BLOB : DB_NULL, .bytes = { bytes, n } };
}

/* --- running --------------------------------------------------------------------------------------------- */

static inline struct db_cursor db_query(struct db *db, enum statement statement, const struct db_value *args,
					size_t args_n)
{
	struct db_cursor cursor = { .db = db };

	if (statement != SQL_ROLLBACK)
		db->error[0] = '\0';
	db->ops->start(&cursor, statement, args, args_n);
	return cursor;
}

/* True: there is a row. False: no more, or an error, which db_end tells. */
static inline bool db_next(struct db_cursor *cursor)
{
	return cursor->err == ERR_OK && cursor->db->ops->next(cursor);
}

static inline enum err db_end(struct db_cursor *cursor)
{
	return cursor->db->ops->end(cursor);
}

/* Runs to the end; rows are passed over. */
enum err db_run(struct db *db, enum statement statement, const struct db_value *args, size_t args_n) MUST_CHECK;
/* As db_run, and ERR_NOT_FOUND when no row was changed. */
enum err db_run_one(struct db *db, enum statement statement, const struct db_value *args, size_t args_n) MUST_CHECK;
/* The first column of the first row as a count; NULL reads as 0. ERR_NOT_FOUND without a row. */
enum err db_number(struct db *db, enum statement statement, const struct db_value *args, size_t args_n,
		   int64_t *number) MUST_CHECK;

/* --- columns of the present row -------------------------------------------------------------------------- */

static inline bool db_is_null(const struct db_cursor *cursor, unsigned column)
{
	return cursor->db->ops->column(cursor, column).type == DB_NULL;
}

/* NULL reads as 0. */
static inline int64_t db_get_int(const struct db_cursor *cursor, unsigned column)
{
	return cursor->db->ops->column(cursor, column).number;
}

/* A number that is added to others: within 2^60, whatever a damaged or forged row says. */
static inline int64_t db_get_count(const struct db_cursor *cursor, unsigned column)
{
	const int64_t most = INT64_C(1) << 60;
	int64_t number = db_get_int(cursor, column);

	return number < -most ? -most : number > most ? most : number;
}

static inline bool db_get_bool(const struct db_cursor *cursor, unsigned column)
{
	return db_get_int(cursor, column) != 0;
}

/* A number from 0 to `most`. Another one is not ours, the row is damaged or forged: it reads as `otherwise`. */
static inline int db_get_enum(const struct db_cursor *cursor, unsigned column, int most, int otherwise)
{
	int64_t number = db_get_int(cursor, column);

	return number >= 0 && number <= most ? (int)number : otherwise;
}

/* Between year 1 and year 9999, whatever a damaged or forged row says: instants are added and written out. */
static inline struct wall db_get_wall(const struct db_cursor *cursor, unsigned column)
{
	int64_t us = db_get_int(cursor, column);

	return (struct wall){ us < WALL_US_MIN ? WALL_US_MIN : us > WALL_US_MAX ? WALL_US_MAX : us };
}

/* Text or blob; NULL is absent. Copied into `arena`, or borrowed from the row when that is NULL. */
struct str db_get_str(const struct db_cursor *cursor, unsigned column, struct arena *arena);
/* A blob of exactly `n` bytes; zeros when it is something else. */
void db_get_bytes(const struct db_cursor *cursor, unsigned column, void *bytes, size_t n);

/* --- the rest -------------------------------------------------------------------------------------------- */

static inline void db_close(struct db *db)
{
	if (db)
		db->ops->close(db);
}

/* Rows changed by the last statement that changed any. */
static inline int64_t db_changes(const struct db *db)
{
	return db->ops->changes(db);
}

/* The id of the last row inserted. */
static inline int64_t db_last_id(const struct db *db)
{
	return db->ops->last_id(db);
}

static inline bool db_in_transaction(const struct db *db)
{
	return db->ops->in_transaction(db);
}

/* Words about the last error; empty once a statement of statements.def other than ROLLBACK has begun since. */
static inline const char *db_last_error(const struct db *db)
{
	return db->error;
}

/* Several statements that are not in statements.def: migrations. */
static inline enum err db_script(struct db *db, const char *text)
{
	return db->ops->script(db, text);
}

/* One number by ad-hoc text; for the checks at opening. ERR_NOT_FOUND without a row. */
static inline enum err db_scalar(struct db *db, const char *text, int64_t *number)
{
	return db->ops->scalar(db, text, number);
}

/* Turns the write-ahead log on: the file's own mark, so only once it is known to be ours. */
static inline enum err db_use_log(struct db *db)
{
	return db->ops->use_log(db);
}

/* Before anything is written: ERR_CORRUPT when answered commits in the log cannot be read any more (log_check.h). */
static inline enum err db_check_log(struct db *db)
{
	return db->ops->check_log(db);
}

/* Pages in the write-ahead log after the last commit. */
static inline unsigned db_log_pages(const struct db *db)
{
	return db->ops->log_pages(db);
}

/* Whether a write has found no space (disk, quota, file size limit) since this was last asked; db->full has the words. */
static inline bool db_take_full(struct db *db)
{
	return db->ops->take_full(db);
}

/* Pages that were written to the log before their commit, since opening, for want of cache. */
static inline unsigned db_spilled(const struct db *db)
{
	return db->ops->spilled(db);
}

/* Copies the log back into the database. `whole`: waits a moment for readers, so that the log starts anew;
 * ERR_LOCKED: they keep it from that. */
static inline enum err db_checkpoint(struct db *db, bool whole)
{
	return db->ops->checkpoint(db, whole);
}

/* The database's own check of its structure; `text` gets its first complaint. */
static inline enum err db_integrity(struct db *db, bool quick, char *text, size_t text_room, bool *is_ok)
{
	return db->ops->integrity(db, quick, text, text_room, is_ok);
}

#endif
