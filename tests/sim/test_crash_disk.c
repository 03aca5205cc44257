/* SPDX-License-Identifier: BSD-3-Clause */
/* The disk that loses power: what is synced stays, what is not is sometimes lost and sometimes not, faults come when
 * they were ordered, and SQLite on it keeps what it committed and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>
#include <sqlite3.h>

#include "crash_disk.h"
#include "crash_file.h"
#include "dice.h"

#define DB "/crash/x.db"

static void run(sqlite3 *db, const char *sql)
{
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static sqlite3 *open_db(const char *synchronous)
{
	sqlite3 *db;
	char sql[200];

	assert_int_equal(sqlite3_open(DB, &db), SQLITE_OK);
	snprintf(sql, sizeof sql,
		 "PRAGMA synchronous=%s; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
		 "CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b)",
		 synchronous);
	run(db, sql);
	return db;
}

static int64_t number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(statement, 0);

	sqlite3_finalize(statement);
	return n;
}

static void assert_ok(sqlite3 *db)
{
	assert_int_equal(number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
}

/* Rows found after `rows` commits, a cut, and a second start. */
static int64_t rows_after_cut(uint64_t seed, const char *synchronous, int rows)
{
	struct crash_disk *disk = crash_disk_new("/crash/");
	sqlite3 *db = open_db(synchronous);

	for (int i = 0; i < rows; i++) {
		run(db, "INSERT INTO t (b) VALUES (zeroblob(700))");
		if (i == rows / 2)
			run(db, "PRAGMA wal_checkpoint(PASSIVE)");
	}
	crash_disk_cut(disk, &seed);
	sqlite3_close(db);
	db = open_db(synchronous);
	assert_ok(db);

	int64_t found = number(db, "SELECT count(*) FROM t");

	sqlite3_close(db);
	crash_disk_free(disk);
	return found;
}

static void test_full_sync_loses_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++)
		assert_int_equal(rows_after_cut(seed, "FULL", 20), 20);
}

static void test_less_sync_loses_some(void **state)
{
	unsigned lost_n = 0, kept_n = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		int64_t found = rows_after_cut(seed, "NORMAL", 20);

		lost_n += found < 20;
		kept_n += found == 20;
	}
	assert_true(lost_n > 5 && kept_n > 5);
}

/* Wherever the power goes, the transaction that was on its way is there whole or not at all. */
static void test_off_at_each_call(void **state)
{
	unsigned cuts_n = 0;
	bool went_off = true;

	(void)state;
	for (uint64_t at = 1; went_off; at++) {
		uint64_t dice = at;
		struct crash_disk *disk = crash_disk_new("/crash/");
		sqlite3 *db = open_db("FULL");

		run(db, "INSERT INTO t (b) VALUES (zeroblob(9000))");
		crash_disk_set_faults(disk, &(struct crash_disk_faults){ .off_in = at });

		int code = sqlite3_exec(
			db, "INSERT INTO t (b) SELECT zeroblob(9000) FROM t UNION ALL SELECT 1; PRAGMA wal_checkpoint",
			NULL, NULL, NULL);

		went_off = crash_disk_is_off(disk);
		crash_disk_cut(disk, &dice);
		sqlite3_close(db);
		db = open_db("FULL");
		assert_ok(db);

		int64_t found = number(db, "SELECT count(*) FROM t");

		assert_true(found == 3 || (went_off && found == 1));
		assert_true(went_off || code == SQLITE_OK);
		cuts_n += went_off;
		sqlite3_close(db);
		crash_disk_free(disk);
	}
	assert_true(cuts_n > 10);
}

static void test_same_dice_same_bytes(void **state)
{
	uint8_t first[65536];
	size_t first_n = 0;

	(void)state;
	for (int round = 0; round < 2; round++) {
		uint64_t dice = 7;
		size_t n;
		struct crash_disk *disk = crash_disk_new("/crash/");
		sqlite3 *db = open_db("NORMAL");

		run(db, "INSERT INTO t (b) VALUES (randomblob(3000)), (randomblob(9000))");
		crash_disk_cut(disk, &dice);
		sqlite3_close(db);

		const uint8_t *bytes = crash_disk_bytes(disk, DB "-wal", &n);

		assert_true(n <= sizeof first && (round == 0 || n == first_n));
		if (round == 0 && n > 0)
			memcpy(first, bytes, first_n = n);
		else if (n > 0)
			assert_memory_equal(first, bytes, n);
		crash_disk_free(disk);
	}
}

static void test_faults(void **state)
{
	struct crash_disk *disk = crash_disk_new("/crash/");
	sqlite3 *db = open_db("FULL");
	const char *insert = "INSERT INTO t (b) VALUES (zeroblob(9000))";

	(void)state;
	sqlite3_extended_result_codes(db, 1);
	crash_disk_set_faults(disk, &(struct crash_disk_faults){ .room_bytes = 1 });
	assert_int_equal(sqlite3_exec(db, insert, NULL, NULL, NULL), SQLITE_FULL);
	crash_disk_set_faults(disk, &(struct crash_disk_faults){ .write_in = 2 });
	assert_int_equal(sqlite3_exec(db, insert, NULL, NULL, NULL), SQLITE_IOERR_WRITE);
	crash_disk_set_faults(disk, &(struct crash_disk_faults){ .sync_in = 1 });
	assert_int_equal(sqlite3_exec(db, insert, NULL, NULL, NULL), SQLITE_IOERR_FSYNC);
	crash_disk_set_faults(disk, &(struct crash_disk_faults){ 0 });
	run(db, insert);
	sqlite3_close(db);
	db = open_db("FULL");
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 1);
	sqlite3_close(db);
	crash_disk_free(disk);
}

/* A reader beside the writer, in log mode and in journal mode. */
static void test_two_connections(void **state)
{
	struct crash_disk *disk = crash_disk_new("/crash/");
	sqlite3 *db = open_db("FULL"), *other = open_db("FULL");

	(void)state;
	run(db, "INSERT INTO t (b) VALUES (1)");
	run(other, "BEGIN");
	assert_int_equal(number(other, "SELECT count(*) FROM t"), 1);
	run(db, "INSERT INTO t (b) VALUES (2)");
	assert_int_equal(number(other, "SELECT count(*) FROM t"), 1);
	run(other, "COMMIT; BEGIN IMMEDIATE");
	assert_int_equal(sqlite3_exec(db, "INSERT INTO t (b) VALUES (3)", NULL, NULL, NULL), SQLITE_BUSY);
	run(other, "COMMIT");
	sqlite3_close(other);
	run(db, "PRAGMA journal_mode=DELETE");
	assert_int_equal(sqlite3_open(DB, &other), SQLITE_OK);
	run(other, "BEGIN; SELECT * FROM t");
	assert_int_equal(sqlite3_exec(db, "INSERT INTO t (b) VALUES (3)", NULL, NULL, NULL), SQLITE_BUSY);
	run(other, "COMMIT");
	run(db, "INSERT INTO t (b) VALUES (3)");
	assert_int_equal(number(other, "SELECT count(*) FROM t"), 3);
	sqlite3_close(other);
	sqlite3_close(db);
	crash_disk_free(disk);
}

/* Files put there are what open connections read next, and write on. */
static void test_put_under_connections(void **state)
{
	struct crash_disk *disk = crash_disk_new("/crash/");
	sqlite3 *db = open_db("FULL"), *other;
	uint8_t image[64 << 10];
	size_t n;

	(void)state;
	run(db, "INSERT INTO t (b) VALUES (1); PRAGMA wal_checkpoint(TRUNCATE)");
	const uint8_t *bytes = crash_disk_bytes(disk, DB, &n);

	assert_true(n <= sizeof image);
	memcpy(image, bytes, n);
	assert_int_equal(sqlite3_open(DB, &other), SQLITE_OK);
	for (int i = 0; i < 3; i++) {
		run(db, "INSERT INTO t (b) VALUES (zeroblob(9000))");
		if (i == 1)
			run(db, "PRAGMA wal_checkpoint(PASSIVE)");
		assert_int_equal(number(other, "SELECT count(*) FROM t"), 2);
		crash_disk_put(disk, DB, image, n);
		crash_disk_put(disk, DB "-wal", (const uint8_t *)"", 0);
		assert_int_equal(number(i == 2 ? db : other, "SELECT count(*) FROM t"), 1);
		assert_ok(db);
	}
	sqlite3_close(other);
	sqlite3_close(db);
	crash_disk_free(disk);
}

static void test_failed_sync_is_final(void **state)
{
	uint8_t bytes[3 * CRASH_SECTOR_BYTES];
	uint64_t dice = 1;
	struct crash_file file = { 0 };
	struct crash_cut cut = { .dice = &dice, .survival = SURVIVES_NOTHING };

	(void)state;
	memset(bytes, 1, sizeof bytes);
	crash_file_write(&file, bytes, sizeof bytes, 0);
	crash_file_sync(&file);
	memset(bytes, 2, sizeof bytes);
	crash_file_write(&file, bytes, sizeof bytes, 0);
	crash_file_sync_fails(&file);
	crash_file_write(&file, bytes, CRASH_SECTOR_BYTES, CRASH_SECTOR_BYTES);
	crash_file_sync(&file);
	assert_int_equal(file.bytes[0], 2);
	crash_file_cut(&file, &cut);
	assert_int_equal(file.bytes[0], 1);
	assert_int_equal(file.bytes[CRASH_SECTOR_BYTES], 2);
	assert_int_equal(file.bytes[sizeof bytes - 1], 1);
	crash_file_release(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_sync_loses_nothing),
		cmocka_unit_test(test_less_sync_loses_some),
		cmocka_unit_test(test_off_at_each_call),
		cmocka_unit_test(test_same_dice_same_bytes),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_two_connections),
		cmocka_unit_test(test_put_under_connections),
		cmocka_unit_test(test_failed_sync_is_final),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
