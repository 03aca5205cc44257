/* SPDX-License-Identifier: BSD-3-Clause */
/* The migrations in schema/, embedded when the program is built, and the marks that tell our databases from others'. */
#include "store/migrate.h"

#include <stdio.h>

#include "base/failpoint.h"

/* "SEED": the application id in the file's header; file(1) and the checks at opening read it. */
enum { APPLICATION_ID = 0x53454544 };

static const char *const migrations[SCHEMA_VERSION] = {
#include "store/schema_0001.inc"
	,
#include "store/schema_0002.inc"
	,
};

static enum err refuse_foreign(const char *path, struct error *error)
{
	return error_set(error, ERR_CORRUPT,
			 "%s is a database of another program; choose another path, or move the file away", path);
}

enum err migrate_version(struct db *db, const char *path, int64_t *version, struct error *error)
{
	int64_t application = 0, tables = 0;
	enum err err = db_scalar(db, "PRAGMA application_id", &application);

	if (err == ERR_OK)
		err = db_scalar(db, "SELECT count(*) FROM sqlite_schema", &tables);
	*version = 0;
	if (err == ERR_OK && tables > 0 && application != APPLICATION_ID)
		return refuse_foreign(path, error);
	if (err == ERR_OK && tables > 0)
		err = db_scalar(db, "SELECT value FROM meta WHERE key = 'schema_version'", version);
	if (err == ERR_CORRUPT || err == ERR_NOT_FOUND)
		return error_set(error, ERR_CORRUPT,
				 "%s is damaged: %s; restore a backup, or move the file away to start afresh", path,
				 db_last_error(db));
	if (err != ERR_OK)
		return error_set(error, err, "cannot read %s: %s", path, db_last_error(db));
	if (*version > SCHEMA_VERSION)
		return error_set(
			error, ERR_CORRUPT,
			"%s was written by a newer version of seed-scheduler (schema %lld, this one knows %d); "
			"install it or restore a backup",
			path, (long long)*version, SCHEMA_VERSION);
	return ERR_OK;
}

static enum err run_step(struct db *db, int64_t version)
{
	char mark[160];
	enum err err = db_script(db, "BEGIN IMMEDIATE");

	FAILPOINT("store.migrate.begun");
	if (err != ERR_OK)
		return err;
	snprintf(
		mark, sizeof mark,
		"INSERT OR REPLACE INTO meta (key, value) VALUES ('schema_version', %lld); PRAGMA application_id = %d; COMMIT;",
		(long long)version, APPLICATION_ID);
	err = db_script(db, migrations[version - 1]);
	FAILPOINT("store.migrate.tables");
	if (err == ERR_OK)
		err = db_script(db, mark);
	FAILPOINT("store.migrate.committed");
	if (err != ERR_OK && db_in_transaction(db)) {
		enum err undone = db_script(db, "ROLLBACK");

		(void)undone;
	}
	return err;
}

enum err migrate_run(struct db *db, const char *path, int64_t from_version, int64_t to_version, struct error *error)
{
	for (int64_t version = from_version + 1; version <= to_version; version++) {
		enum err err = run_step(db, version);

		if (err != ERR_OK)
			return error_set(error, err, "cannot bring %s to schema %lld: %s; nothing was changed", path,
					 (long long)version, db_last_error(db));
	}
	return ERR_OK;
}
