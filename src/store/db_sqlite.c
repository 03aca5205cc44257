/* SPDX-License-Identifier: BSD-3-Clause */
/* The vtable of db.h on SQLite: with page_sums.c the only file that knows it.
 *
 * WAL with synchronous=FULL: a commit is one append and one fdatasync. One connection of the process writes and
 * checkpoints (SQLite 3.7.0 to 3.51.2 can lose a log reset when two do), so automatic checkpoints are off here and at
 * closing time for readers. No memory mapping: an I/O error must be a result code, not a signal. */
#include "store/db.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "store/log_check.h"
#include "store/page_sums.h"

/* Small blocks of a connection come from a pool of its own instead of malloc(3): a tenth of the time of a claim. */
enum { LOOKASIDE_BYTES = 1200, LOOKASIDE_N = 200 };

enum { BUSY_MS_MAX = 1000, BUSY_MS_CHECKPOINT = 20, CACHE_KIB_WRITER = 8192, CACHE_KIB_READER = 2048 };

struct sqlite_db {
	struct db db; /* first: the vtable's functions cast */
	sqlite3 *handle;
	struct page_sums sums;
	sqlite3_stmt *statements[SQL_N]; /* prepared when first used */
	unsigned log_pages;
	bool was_full;
};

static const char *const texts[SQL_N] = {
#define SQL(id, text) [SQL_##id] = text,
#include "store/statements.def"
#undef SQL
};

static struct sqlite_db *self(struct db *db)
{
	return (struct sqlite_db *)db;
}

/* After a failed sync nobody knows what the disk has, and a second one may succeed without having written it. A failed
 * write is undone with its transaction, and a later one may pass. What cannot be read is damage. */
static enum err classify_io(int code)
{
	switch (code) {
	case SQLITE_IOERR_FSYNC:
	case SQLITE_IOERR_DIR_FSYNC:
		return ERR_IO;
	case SQLITE_IOERR_READ:
	case SQLITE_IOERR_SHORT_READ:
	case SQLITE_IOERR_CORRUPTFS:
		return ERR_CORRUPT;
	default:
		return ERR_UNAVAILABLE;
	}
}

static enum err classify(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return ERR_OK;
	case SQLITE_CONSTRAINT:
		return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
				       code == SQLITE_CONSTRAINT_ROWID
			       ? ERR_CONFLICT
			       : ERR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_FULL:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_NOMEM:
	case SQLITE_INTERRUPT:
	case SQLITE_PROTOCOL:
	case SQLITE_PERM:
		return ERR_UNAVAILABLE;
	case SQLITE_IOERR:
		return classify_io(code);
	case SQLITE_TOOBIG:
		return ERR_INVALID;
	default:
		return ERR_CORRUPT;
	}
}

/* No space shows as SQLITE_FULL or, through a quota or a size limit, as a failed write. */
static bool is_full(int code, int system_errno)
{
	return (code & 0xff) == SQLITE_FULL ||
	       ((code & 0xff) == SQLITE_IOERR &&
		(system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG));
}

/* Keeps the words: a rollback that follows overwrites the library's own. */
static enum err fail(struct sqlite_db *s, int code)
{
	/* A commit that fails does not leave errno's value with the handle; errno itself was zeroed before the call. */
	int thread_errno = errno, handle_errno = s->handle ? sqlite3_system_errno(s->handle) : 0;
	int number = handle_errno ? handle_errno : thread_errno;
	enum err err = classify(code);

	assert((code & 0xff) != SQLITE_MISUSE && (code & 0xff) != SQLITE_RANGE);
	bool tell_errno = (code & 0xff) == SQLITE_IOERR && number, full = is_full(code, number);

	char page[80];
	bool is_page = err == ERR_CORRUPT && s->sums.damaged_page > 0;

	snprintf(page, sizeof page, "page %lld of the database has changed on the disk", s->sums.damaged_page);
	if (err != ERR_OK)
		snprintf(s->db.error, sizeof s->db.error, "%s (SQLite code %d%s%s)%s",
			 is_page ? page : sqlite3_errmsg(s->handle), code, tell_errno ? ", " : "",
			 tell_errno ? strerror(number) : "",
			 full ? "; free space on its disk, or raise the quota or the file size limit" : "");
	if (is_page)
		s->sums.damaged_page = 0;
	if (full)
		memcpy(s->db.full, s->db.error, sizeof s->db.full);
	s->was_full |= full;
	if (err == ERR_CORRUPT && (code & 0xff) != SQLITE_CONSTRAINT)
		metric_add(METRIC_STORE_DAMAGE, 1);
	/* Closing would copy the log back, and sync it a second time. */
	if (err == ERR_IO)
		sqlite3_db_config(s->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return err;
}

static int bind(sqlite3_stmt *statement, int index, const struct db_value *value)
{
	switch (value->type) {
	case DB_NULL:
		return sqlite3_bind_null(statement, index);
	case DB_INT:
		return sqlite3_bind_int64(statement, index, value->number);
	case DB_TEXT:
		return sqlite3_bind_text64(statement, index, value->bytes.p, value->bytes.n, SQLITE_STATIC,
					   SQLITE_UTF8);
	case DB_BLOB:
		return sqlite3_bind_blob64(statement, index, value->bytes.p, value->bytes.n, SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

static sqlite3_stmt *prepared(struct sqlite_db *s, enum statement id, enum err *err)
{
	if (!s->statements[id]) {
		int code = sqlite3_prepare_v3(s->handle, texts[id], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[id],
					      NULL);

		if (code != SQLITE_OK)
			*err = fail(s, code);
	}
	return s->statements[id];
}

static void sqlite_start(struct db_cursor *cursor, enum statement id, const struct db_value *args, size_t args_n)
{
	struct sqlite_db *s = self(cursor->db);
	sqlite3_stmt *statement = prepared(s, id, &cursor->err);

	cursor->handle = statement;
	if (!statement)
		return;
	assert(!sqlite3_stmt_busy(statement));
	assert((size_t)sqlite3_bind_parameter_count(statement) == args_n);
	for (size_t i = 0; i < args_n; i++) {
		int code = bind(statement, (int)i + 1, &args[i]);

		if (code != SQLITE_OK) {
			cursor->err = fail(s, code);
			return;
		}
	}
}

static bool sqlite_next(struct db_cursor *cursor)
{
	errno = 0;
	int code = sqlite3_step(cursor->handle);

	if (code == SQLITE_ROW)
		return true;
	if (code != SQLITE_DONE)
		cursor->err = fail(self(cursor->db), code);
	return false;
}

static struct db_value sqlite_column(const struct db_cursor *cursor, unsigned column)
{
	/* Looked up once: on a connection without mutexes a value may be read like that. */
	sqlite3_value *at = sqlite3_column_value(cursor->handle, (int)column);
	struct db_value value = { 0 };

	switch (sqlite3_value_type(at)) {
	case SQLITE_INTEGER:
		value.type = DB_INT;
		value.number = sqlite3_value_int64(at);
		break;
	case SQLITE_TEXT:
		value.type = DB_TEXT;
		value.bytes.p = (const char *)sqlite3_value_text(at);
		value.bytes.n = (size_t)sqlite3_value_bytes(at);
		break;
	case SQLITE_BLOB:
		value.type = DB_BLOB;
		value.bytes.p = sqlite3_value_blob(at);
		value.bytes.n = (size_t)sqlite3_value_bytes(at);
		if (!value.bytes.p)
			value.bytes.p = "";
		break;
	default:
		break;
	}
	return value;
}

static enum err sqlite_end(struct db_cursor *cursor)
{
	if (cursor->handle)
		sqlite3_reset(cursor->handle);
	cursor->handle = NULL;
	return cursor->err;
}

static int64_t sqlite_changes(const struct db *db)
{
	return sqlite3_changes64(((const struct sqlite_db *)db)->handle);
}

static int64_t sqlite_last_id(const struct db *db)
{
	return sqlite3_last_insert_rowid(((const struct sqlite_db *)db)->handle);
}

static bool sqlite_in_transaction(const struct db *db)
{
	return !sqlite3_get_autocommit(((const struct sqlite_db *)db)->handle);
}

static unsigned sqlite_log_pages(const struct db *db)
{
	return ((const struct sqlite_db *)db)->log_pages;
}

static bool sqlite_take_full(struct db *db)
{
	bool was_full = self(db)->was_full;

	self(db)->was_full = false;
	return was_full;
}

static unsigned sqlite_spilled(const struct db *db)
{
	int pages = 0, most = 0;

	sqlite3_db_status(((const struct sqlite_db *)db)->handle, SQLITE_DBSTATUS_CACHE_SPILL, &pages, &most, 0);
	return (unsigned)pages;
}

static enum err sqlite_script(struct db *db, const char *text)
{
	struct sqlite_db *s = self(db);

	errno = 0;
	int code = sqlite3_exec(s->handle, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? ERR_OK : fail(s, code);
}

static enum err sqlite_scalar(struct db *db, const char *text, int64_t *number)
{
	struct sqlite_db *s = self(db);
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(s->handle, text, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*number = sqlite3_column_int64(statement, 0);
	enum err err = code == SQLITE_ROW ? ERR_OK : code == SQLITE_DONE ? ERR_NOT_FOUND : fail(s, code);

	sqlite3_finalize(statement);
	return err;
}

static enum err sqlite_checkpoint(struct db *db, bool whole)
{
	struct sqlite_db *s = self(db);
	int log_n = 0, copied_n = 0;

	/* A reader in the middle of a long list must not hold up delivery: the next round tries again. */
	sqlite3_busy_timeout(s->handle, BUSY_MS_CHECKPOINT);
	errno = 0;
	int code = sqlite3_wal_checkpoint_v2(
		s->handle, NULL, whole ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &log_n, &copied_n);

	sqlite3_busy_timeout(s->handle, BUSY_MS_MAX);
	if (code != SQLITE_OK) {
		enum err err = fail(s, code);

		return (code & 0xff) == SQLITE_BUSY ? ERR_LOCKED : err;
	}
	if (log_n == copied_n)
		s->log_pages = 0;
	return ERR_OK;
}

static enum err sqlite_integrity(struct db *db, bool quick, char *text, size_t text_room, bool *is_ok)
{
	struct sqlite_db *s = self(db);
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(s->handle, quick ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)", -1,
				      &statement, NULL);

	*is_ok = false;
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		const char *complaint = (const char *)sqlite3_column_text(statement, 0);

		*is_ok = complaint && strcmp(complaint, "ok") == 0;
		snprintf(text, text_room, "%s", complaint ? complaint : "no answer");
	}
	enum err err = code == SQLITE_ROW ? ERR_OK : fail(s, code);

	sqlite3_finalize(statement);
	if (err == ERR_CORRUPT)
		snprintf(text, text_room, "%s", s->db.error);
	return err == ERR_CORRUPT ? ERR_OK : err;
}

/* The mode is silently another one where shared memory cannot be had. */
static bool is_wal(struct sqlite_db *s)
{
	sqlite3_stmt *statement = NULL;
	bool yes = sqlite3_prepare_v2(s->handle, "PRAGMA journal_mode", -1, &statement, NULL) == SQLITE_OK &&
		   sqlite3_step(statement) == SQLITE_ROW &&
		   strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;

	sqlite3_finalize(statement);
	return yes;
}

static enum err sqlite_use_log(struct db *db)
{
	struct sqlite_db *s = self(db);
	enum err err = sqlite_script(db, "PRAGMA journal_mode=WAL");

	if (err == ERR_OK && !is_wal(s)) {
		err = ERR_UNAVAILABLE;
		snprintf(s->db.error, sizeof s->db.error,
			 "its file system offers no shared memory, which the write-ahead log needs");
	}
	return err;
}

static bool read_file(void *ctx, void *to, size_t n, int64_t at)
{
	sqlite3_file *file = ctx;

	return file->pMethods->xRead(file, to, (int)n, at) == SQLITE_OK;
}

static enum err sqlite_check_log(struct db *db)
{
	struct sqlite_db *s = self(db);
	sqlite3_file *file = NULL;
	sqlite3_int64 bytes = 0;
	int code = sqlite3_file_control(s->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);

	if (code == SQLITE_OK && file && file->pMethods)
		code = file->pMethods->xFileSize(file, &bytes);
	if (code != SQLITE_OK)
		return fail(s, code);
	if (!log_is_damaged(&(struct log_reader){ .read = read_file, .ctx = file, .bytes = bytes }))
		return ERR_OK;
	/* Closing would copy back what is left of it and delete it. */
	sqlite3_db_config(s->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	snprintf(s->db.error, sizeof s->db.error, "answered writes in it have changed on the disk");
	metric_add(METRIC_STORE_DAMAGE, 1);
	return ERR_CORRUPT;
}

static void sqlite_close(struct db *db)
{
	struct sqlite_db *s = self(db);

	for (size_t i = 0; i < SQL_N; i++)
		sqlite3_finalize(s->statements[i]);
	int code = sqlite3_close(s->handle);

	assert(code == SQLITE_OK);
	free(s);
}

static const struct db_ops sqlite_ops = {
	.close = sqlite_close,
	.start = sqlite_start,
	.next = sqlite_next,
	.column = sqlite_column,
	.end = sqlite_end,
	.changes = sqlite_changes,
	.last_id = sqlite_last_id,
	.in_transaction = sqlite_in_transaction,
	.script = sqlite_script,
	.scalar = sqlite_scalar,
	.use_log = sqlite_use_log,
	.check_log = sqlite_check_log,
	.log_pages = sqlite_log_pages,
	.spilled = sqlite_spilled,
	.take_full = sqlite_take_full,
	.checkpoint = sqlite_checkpoint,
	.integrity = sqlite_integrity,
};

static int on_commit_logged(void *ctx, sqlite3 *handle, const char *name, int pages)
{
	struct sqlite_db *s = ctx;

	(void)handle;
	(void)name;
	s->log_pages = (unsigned)pages;
	return SQLITE_OK;
}

/* cell_size_check and quick refusal of odd schemas: the file is data that may be damaged, never a program. */
static enum err configure(struct sqlite_db *s, bool read_only)
{
	char text[400];

	sqlite3_extended_result_codes(s->handle, 1);
	int code = page_sums_begin(&s->sums, s->handle);

	if (code != SQLITE_OK)
		return fail(s, code);
	sqlite3_db_config(s->handle, SQLITE_DBCONFIG_LOOKASIDE, NULL, LOOKASIDE_BYTES, LOOKASIDE_N);
	sqlite3_busy_timeout(s->handle, BUSY_MS_MAX);
	sqlite3_db_config(s->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(s->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (read_only)
		sqlite3_db_config(s->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	snprintf(text, sizeof text,
		 "PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON; PRAGMA cache_size=-%d;%s",
		 read_only ? CACHE_KIB_READER : CACHE_KIB_WRITER,
		 read_only ? " PRAGMA query_only=ON;" : " PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;");
	enum err err = sqlite_script(&s->db, text);

	if (err != ERR_OK || read_only)
		return err;
	sqlite3_wal_hook(s->handle, on_commit_logged, s);
	return ERR_OK;
}

enum err db_sqlite_open(const struct db_settings *settings, struct db **db, struct error *error)
{
	struct sqlite_db *s = memory_new(sizeof *s);

	/* No tally of allocations, which takes a lock for each; refused, and without effect, once the library is in
	 * use. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	int flags = settings->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	int code = sqlite3_open_v2(settings->path, &s->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);
	enum err err;

	s->db.ops = &sqlite_ops;
	if (code != SQLITE_OK)
		err = fail(s, code);
	else
		err = configure(s, settings->read_only);
	if (err == ERR_OK) {
		*db = &s->db;
		return ERR_OK;
	}
	error_set(error, err, "cannot open %s: %s; %s", settings->path, s->db.error,
		  err == ERR_CORRUPT ? "restore a backup, or move the file away to start afresh"
				     : "see to the file, its directory and its permissions");
	sqlite_close(&s->db);
	return err;
}

const char *db_sqlite_version(void)
{
	return sqlite3_libversion();
}
