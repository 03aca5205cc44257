/* SPDX-License-Identifier: BSD-3-Clause */
/* A database file made or changed by somebody else: it is refused with words, or opened and then every verb answers. No
 * row trips an assertion, and a run that is handed out is one.
 *
 * The input is a list of patches (three bytes of place, one of length, the bytes) for a small database that the store
 * made itself, whose pages have no sums, or for its log; or a list of columns to overwrite in some rows; or the
 * database. */
#include "fuzz.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "crash_disk.h"
#include "fixed_chance.h"
#include "store/internal.h"
#include "verbs.h"

enum { GROUPS = 14, PAGE_BYTES = 4096, SUM_BYTES = 8, PATCH_BYTES_MAX = 32 };

enum { IS_WHOLE = 1, WITH_LOG = 2, BY_COLUMN = 4 };

#define BASE_US INT64_C(1900000000000000)

static struct {
	char directory[48], path[64], log_path[72], key_path[72], url[80];
	struct crash_disk *disk;
	struct str database, log; /* owned, as the store left them */
	struct wall now;
} base;

static enum err open_store(struct store **store, struct error *error)
{
	struct store_settings settings = { .url = str_from(base.url), .metrics_url = STR("http://metrics.test/") };

	fixed_chance_seed(1);
	*store = NULL;
	return store_open_writer(&settings, store, error);
}

static void finish_group(struct store *store, enum err err)
{
	struct store_notice notice;

	if (err == ERR_OK)
		err = store_commit(store, NULL);
	else
		store_rollback(store);
	store_take_notice(store, &notice);
	free(notice.revoked);
}

static struct str keep_file(const char *path)
{
	struct str file;
	const uint8_t *bytes = crash_disk_bytes(base.disk, path, &file.n);

	file.p = (const char *)bytes;
	return fuzz_copy(file);
}

static void forget_base(void)
{
	crash_disk_free(base.disk);
	fuzz_free(base.database);
	fuzz_free(base.log);
	unlink(base.path);
	unlink(base.key_path);
	rmdir(base.directory);
}

static void make_base(void)
{
	struct books books = { .now = { BASE_US } };
	struct store *store;
	uint64_t dice = 1;

	log_set_level(LOG_ERROR + 1); /* damage is what happens here */
	snprintf(base.directory, sizeof base.directory, "%s/hostile-db.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert(mkdtemp(base.directory));
	snprintf(base.path, sizeof base.path, "%s/x.db", base.directory);
	snprintf(base.log_path, sizeof base.log_path, "%s-wal", base.path);
	snprintf(base.key_path, sizeof base.key_path, "%s.key", base.path);
	snprintf(base.url, sizeof base.url, "sqlite:%s", base.path);
	base.disk = crash_disk_new(base.path);
	assert(open_store(&store, NULL) == ERR_OK);
	for (int i = 0; i < GROUPS; i++) {
		finish_group(store, verbs_play(store, &books, &dice));
		if (i == GROUPS - 3)
			assert(db_checkpoint(store->db, true) == ERR_OK);
	}
	base.database = keep_file(base.path);
	base.log = keep_file(base.log_path);
	base.now = books.now;
	store_close(store);
	for (size_t at = PAGE_BYTES; at <= base.database.n; at += PAGE_BYTES)
		memset((char *)base.database.p + at - SUM_BYTES, 0, SUM_BYTES);
	atexit(forget_base);
}

static void patch(struct str file, struct fuzz_input *in)
{
	uint64_t place = fuzz_take(in, 3);
	size_t n = (size_t)fuzz_take_between(in, 1, PATCH_BYTES_MAX);

	for (size_t i = 0; i < n && in->n > 0 && file.n > 0; i++)
		((char *)file.p)[(place + i) % file.n] = (char)fuzz_take(in, 1);
}

static void put(const char *path, struct str file)
{
	crash_disk_put(base.disk, path, (const uint8_t *)file.p, file.n);
}

static const struct {
	const char *column;
	bool is_text;
} columns[] = {
	{ "timers SET next_at", false },
	{ "timers SET last_at", false },
	{ "timers SET before_at", false },
	{ "timers SET triggered", false },
	{ "timers SET planned", false },
	{ "timers SET held_at", false },
	{ "timers SET no_ahead", false },
	{ "schedules SET definition_id", false },
	{ "schedules SET frequency", false },
	{ "schedules SET cron", true },
	{ "schedules SET interval", true },
	{ "schedules SET anchor_at", false },
	{ "schedules SET once_at", false },
	{ "schedules SET enabled", false },
	{ "schedules SET timezone", true },
	{ "schedules SET catch_up", false },
	{ "schedules SET overlap", false },
	{ "schedules SET created_at", false },
	{ "definitions SET lane", false },
	{ "definitions SET endpoint", true },
	{ "definitions SET payload", true },
	{ "definitions SET superseded_after", false },
	{ "runs SET schedule_id", false },
	{ "runs SET definition_id", false },
	{ "runs SET kind", false },
	{ "runs SET state", false },
	{ "runs SET planned_at", false },
	{ "runs SET lease", false },
	{ "runs SET eligible_at", false },
	{ "runs SET queued", false },
	{ "runs SET not_before", false },
	{ "runs SET parked_lane", false },
	{ "runs SET attempts", false },
	{ "runs SET attempts_budget", false },
	{ "runs SET was_failed", false },
	{ "runs SET recall", false },
	{ "runs SET started_at", false },
	{ "runs SET status", false },
	{ "runs SET id", false },
	{ "attempts SET n", false },
	{ "attempts SET class", false },
	{ "attempts SET status", false },
	{ "failures SET run_id", false },
	{ "failures SET schedule_id", false },
	{ "failures SET reason", true },
	{ "skips SET count", false },
	{ "counters SET n", false },
	{ "webhooks SET event", true },
	{ "webhooks SET target", true },
};

/* A number is small, or near a boundary, or near now, or anything. */
static int64_t take_number(struct fuzz_input *in)
{
	static const int64_t near[] = { 0, 0, BASE_US, INT64_MIN, INT64_MAX, WALL_US_MAX, WALL_US_MIN, INT32_MAX };
	uint64_t kind = fuzz_take(in, 1) % 16;

	if (kind >= sizeof near / sizeof near[0])
		return fuzz_take_i64(in);
	return (int64_t)((uint64_t)near[kind] + (uint64_t)fuzz_take_between(in, -300, 300));
}

static void overwrite(struct db *db, struct fuzz_input *in)
{
	size_t which = (size_t)fuzz_take_between(in, 0, sizeof columns / sizeof columns[0] - 1);
	unsigned step = (unsigned)fuzz_take(in, 1) % 8 + 1;
	char sql[256], value[80];

	if (columns[which].is_text) {
		size_t n = (size_t)fuzz_take_between(in, 0, 20);
		int at = snprintf(value, sizeof value, "CAST(x'");

		for (size_t i = 0; i < n; i++)
			at += snprintf(value + at, sizeof value - (size_t)at, "%02x", (unsigned)fuzz_take(in, 1));
		snprintf(value + at, sizeof value - (size_t)at, "' AS TEXT)");
	} else {
		snprintf(value, sizeof value, "%lld", (long long)take_number(in));
	}
	snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s = %s WHERE rowid %% %u = 0", columns[which].column, value, step);

	/* A table without rowids refuses the condition: then all its rows. */
	enum err err = db_script(db, sql);

	if (err != ERR_OK) {
		snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s = %s", columns[which].column, value);
		err = db_script(db, sql);
	}
}

static void overwrite_columns(struct fuzz_input *in)
{
	struct db_settings settings = { .path = base.path };
	struct db *db;

	put(base.path, base.database);
	assert(db_sqlite_open(&settings, &db, NULL) == ERR_OK);
	assert(db_script(db, "PRAGMA ignore_check_constraints=ON; BEGIN") == ERR_OK);
	while (in->n > 0)
		overwrite(db, in);
	if (db_in_transaction(db))
		assert(db_script(db, "COMMIT") == ERR_OK);
	db_close(db);
}

static void put_files(struct fuzz_input *in)
{
	uint64_t kind = fuzz_take(in, 1);

	crash_disk_put(base.disk, base.log_path, NULL, 0);
	if (kind & IS_WHOLE) {
		put(base.path, (struct str){ (const char *)in->p, in->n });
		return;
	}
	if (kind & BY_COLUMN) {
		overwrite_columns(in);
		return;
	}
	struct str database = fuzz_copy(base.database), log = fuzz_copy(base.log);

	while (in->n > 0)
		patch(kind & WITH_LOG && fuzz_take(in, 1) % 2 ? log : database, in);
	put(base.path, database);
	if (kind & WITH_LOG)
		put(base.log_path, log);
	fuzz_free(database);
	fuzz_free(log);
}

static bool see_schedule(void *ctx, const struct schedule *schedule)
{
	struct books *books = ctx;

	memcpy(books->schedules[books->schedules_n++], schedule->uuid, 16);
	return books->schedules_n < 8;
}

static bool see_failure(void *ctx, const struct failure *failure)
{
	*(int64_t *)ctx = failure->id;
	return true;
}

static bool see_attempt(void *ctx, const struct attempt *attempt)
{
	(void)attempt;
	++*(int *)ctx;
	return true;
}

static void assert_told(const struct store *store, enum err err)
{
	assert(err != ERR_CORRUPT || store_last_error(store)[0]);
}

static void read_all(struct store *store, struct books *books)
{
	struct store_check check;
	struct page page = { .limit = 100 };
	int64_t failure = 0, age;
	int attempts = 0;

	assert_told(store, store_check(store, &check, NULL));
	assert_told(store, store_schedule_list(store, page, see_schedule, books));
	assert_told(store, store_failure_list(store, page, see_failure, &failure));
	assert_told(store, store_attempt_list(store, failure, see_attempt, &attempts));
	assert_told(store, store_oldest_due(store, books->now, &age));
}

static void check_claim(struct store *store, struct wall now)
{
	struct store_claim request = { .now = now, .until = now, .missed_before = now, .room = 50 };
	struct claim_batch batch = { 0 };
	enum err err = store_begin(store, NULL);

	if (err == ERR_OK)
		err = store_claim(store, &request, &batch);
	for (uint32_t i = 0; err == ERR_OK && i < batch.runs_n; i++) {
		const struct run *run = &batch.runs[i];

		assert(run->lease != 0 && run->kind <= RUN_METRIC);
	}
	arena_release(&batch.arena);
	finish_group(store, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct books books = { 0 };
	struct error error = { .text = "" };
	struct store *store;
	uint64_t dice = size;

	if (!base.disk)
		make_base();
	books.now.us = base.now.us + 60 * US_PER_SECOND;
	put_files(&in);
	if (open_store(&store, &error) != ERR_OK) {
		assert(error.text[0]);
		return 0;
	}
	read_all(store, &books);
	finish_group(store, verbs_recover(store, &books, &dice));
	check_claim(store, books.now);
	for (int i = 0; i < 3; i++)
		finish_group(store, verbs_play(store, &books, &dice));
	store_close(store);
	return 0;
}
