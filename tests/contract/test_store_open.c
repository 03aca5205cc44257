/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening: who may, what is refused and with which words, what survives (P1, P3; the lock; the key). */
#include "contract.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "store/internal.h"

static struct error failing_open(struct fixture *f, enum err expected)
{
	struct error error = { .text = "" };
	struct store *store = NULL;

	assert_int_equal(store_open_writer(&f->settings, &store, &error), expected);
	assert_null(store);
	assert_int_equal(error.code, expected);
	return error;
}

static void close_store(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
}

static void assert_says(const struct error *error, const char *words)
{
	if (!strstr(error->text, words))
		fail_msg("\"%s\" does not say \"%s\"", error->text, words);
}

static void url_is_checked(void **state)
{
	static const struct {
		const char *url;
		enum err err;
		const char *path_or_words;
	} rows[] = {
		{ "sqlite:/a/b.db", ERR_OK, "/a/b.db" },     { "sqlite:var/s.db", ERR_OK, "var/s.db" },
		{ "sqlite:", ERR_INVALID, "names no file" }, { "postgres://h/d", ERR_INVALID, "sqlite:PATH" },
		{ "/a/b.db", ERR_INVALID, "sqlite:PATH" },   { "", ERR_INVALID, "sqlite:PATH" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct error error = { .text = "" };
		struct str path = { 0 };

		assert_int_equal(store_url_check(str_from(rows[i].url), &path, &error), rows[i].err);
		if (rows[i].err == ERR_OK)
			assert_true(str_equal(path, str_from(rows[i].path_or_words)));
		else
			assert_says(&error, rows[i].path_or_words);
	}
}

static void a_new_database_is_private(void **state)
{
	struct fixture *f = *state;
	char path[128];
	struct stat info;

	assert_int_equal(stat(f->path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	snprintf(path, sizeof path, "%s/data", f->dir);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0700);
	snprintf(path, sizeof path, "%s.key", f->path);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	snprintf(path, sizeof path, "%s-wal", f->path);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_int_equal(fixture_number(f, "PRAGMA synchronous"), 2);
}

static void identity_survives(void **state)
{
	struct fixture *f = *state;
	uint8_t id[16];

	memcpy(id, f->store->installation, sizeof id);
	fixture_reopen(f);
	assert_memory_equal(id, f->store->installation, sizeof id);
	assert_whole(f);
}

static void a_second_writer_is_refused(void **state)
{
	struct fixture *f = *state;
	struct error error = failing_open(f, ERR_LOCKED);
	char pid[32];

	snprintf(pid, sizeof pid, "process %d", (int)getpid());
	assert_says(&error, pid);
	assert_int_equal(store_lock_holder(f->settings.url), getpid());
	close_store(f);
	assert_int_equal(store_lock_holder(f->settings.url), 0);
	fixture_open(f);
}

/* The child tells by a pipe that it holds the database, and then waits to be killed. */
static void the_holder_is_named_and_its_death_frees(void **state)
{
	struct fixture *f = *state;
	int ready[2];
	char byte, words[32];

	close_store(f);
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();

	if (child == 0) {
		struct store *store;

		if (store_open_writer(&f->settings, &store, NULL) == ERR_OK && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	struct error error = failing_open(f, ERR_LOCKED);

	snprintf(words, sizeof words, "process %d", (int)child);
	assert_says(&error, words);
	assert_int_equal(store_lock_holder(f->settings.url), child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	fixture_open(f);
}

static void write_file(const char *path, const char *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

static void garbage_is_refused_and_kept(void **state)
{
	struct fixture *f = *state;
	static const char garbage[5000] = "this is somebody's shopping list and no database at all";
	struct stat info;

	close_store(f);
	write_file(f->path, garbage, sizeof garbage);
	struct error error = failing_open(f, ERR_CORRUPT);

	assert_says(&error, f->path);
	assert_says(&error, "restore a backup, or move the file away");
	assert_int_equal(stat(f->path, &info), 0);
	assert_int_equal(info.st_size, sizeof garbage);
}

static void another_programs_database_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct db_settings settings = { .path = f->path };
	struct db *db;
	int64_t version = 0;

	close_store(f);
	unlink(f->path);
	assert_ok(db_sqlite_open(&settings, &db, NULL));
	assert_ok(db_script(db, "CREATE TABLE recipes (id INTEGER)"));
	db_close(db);
	struct error error = failing_open(f, ERR_CORRUPT);

	assert_says(&error, "another program");
	assert_ok(db_sqlite_open(&settings, &db, NULL));
	/* Not even its journal mode was changed: byte 18 of the header is 1, not 2. */
	assert_int_equal(db_scalar(db, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'", &version),
			 ERR_OK);
	assert_int_equal(version, 0);
	db_close(db);
}

static void a_newer_schema_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_ok(fixture_script(f, "UPDATE meta SET value = 999 WHERE key = 'schema_version'"));
	close_store(f);
	struct error error = failing_open(f, ERR_CORRUPT);

	assert_says(&error, "was written by a newer version");
	assert_says(&error, "install it or restore a backup");
}

static void another_key_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[128], other[65];

	close_store(f);
	snprintf(path, sizeof path, "%s.key", f->path);
	memset(other, 'a', 64);
	other[64] = '\n';
	write_file(path, other, sizeof other);
	struct error error = failing_open(f, ERR_CORRUPT);

	assert_says(&error, "is not the one");
	write_file(path, "short", 5);
	error = failing_open(f, ERR_CORRUPT);
	assert_says(&error, "64 hexadecimal digits");
	unlink(path);
	error = failing_open(f, ERR_CORRUPT);
	assert_says(&error, "missing");
	/* A key is never made for a database that has one. */
	assert_int_equal(access(path, F_OK), -1);
}

static void the_key_may_lie_elsewhere(void **state)
{
	struct fixture *f = *state;
	char path[128], moved[128];

	close_store(f);
	snprintf(path, sizeof path, "%s.key", f->path);
	snprintf(moved, sizeof moved, "%s/k", f->dir);
	assert_int_equal(rename(path, moved), 0);
	f->settings.key_file = str_from(moved);
	fixture_open(f);
}

static void damage_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	char page[4096];

	for (int i = 0; i < 50; i++)
		insert(f, &definition);
	close_store(f);
	memset(page, 0x5a, sizeof page);
	struct stat info;

	assert_int_equal(stat(f->path, &info), 0);
	assert_true(info.st_size >= 10 * 4096);
	int fd = open(f->path, O_WRONLY);

	assert_int_equal(pwrite(fd, page, sizeof page, info.st_size - 4096 * 3), sizeof page);
	close(fd);
	struct error error = failing_open(f, ERR_CORRUPT);

	assert_says(&error, "is damaged");
}

/* Flips a bit where `text` stands in the file, the n-th time. */
static void flip(const char *path, const char *text, int n)
{
	static char bytes[1 << 22];
	int fd = open(path, O_RDWR);
	ssize_t size = read(fd, bytes, sizeof bytes);
	char *at = bytes;

	for (; n > 0 && at; n--)
		at = memmem(at + 1, (size_t)(bytes + size - at - 1), text, strlen(text));
	assert_non_null(at);
	*at ^= 4;
	assert_int_equal(pwrite(fd, at, 1, at - bytes), 1);
	close(fd);
}

/* T6, P14: a byte that flipped in one body while the service ran. That body is not sent, the others are. */
static void a_damaged_body_stops_only_itself(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_interval("60 seconds");
	struct schedule whole, damaged, shown;

	whole = insert(f, &definition);
	definition.payload = arena_printf(&f->arena, "\"%020000d\"", 7);
	damaged = insert(f, &definition);
	fixture_reopen(f);
	assert_ok(fixture_script(f, "PRAGMA shrink_memory"));
	flip(f->path, "00000000000000000000000000000000", 9000);
	f->now.us += 90 * SECOND;

	struct claim_batch batch = claim(f, 0, 10);

	assert_int_equal(batch.runs_n, 1);
	assert_memory_equal(batch.runs[0].schedule_uuid, whole.uuid, 16);
	batch_release(&batch);
	assert_int_equal(store_schedule_get(f->store, damaged.uuid, &f->arena, &shown), ERR_CORRUPT);
	assert_non_null(strstr(store_last_error(f->store), "has changed on the disk"));
	close_store(f);

	struct error error = failing_open(f, ERR_CORRUPT);

	assert_says(&error, "is damaged");
}

/* The files as a killed process leaves them: most of it is in the log. */
static void leave_a_log(struct fixture *f, int schedules_n)
{
	struct schedule_definition definition = definition_cron("0 * * * *");
	pid_t child = fork();
	int status;

	if (child == 0) {
		fixture_open(f);
		definition.payload = STR("{\"text\":\"in the log\"}");
		for (int i = 0; i < schedules_n; i++)
			insert(f, &definition);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
}

/* T6, P1: SQLite would drop the damaged commit and all behind it without a word. The log stays as it is. */
static void a_damaged_log_is_refused(void **state)
{
	struct fixture *f = *state;
	char log_path[112];
	struct stat before, after;

	close_store(f);
	leave_a_log(f, 20);
	snprintf(log_path, sizeof log_path, "%s-wal", f->path);
	flip(log_path, "in the log", 3);
	assert_int_equal(stat(log_path, &before), 0);
	for (int i = 0; i < 2; i++) {
		struct error error = failing_open(f, ERR_CORRUPT);

		assert_says(&error, "-wal is damaged");
	}
	assert_int_equal(stat(log_path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(truncate(log_path, 0), 0);
	fixture_open(f);
	assert_int_equal(count(f, STORE_SCHEDULES), 0);
}

/* A commit that a power cut tore was not answered, and is no damage. */
static void a_torn_end_of_the_log_is_none(void **state)
{
	struct fixture *f = *state;
	char log_path[112];
	struct stat info;

	close_store(f);
	leave_a_log(f, 20);
	snprintf(log_path, sizeof log_path, "%s-wal", f->path);
	assert_int_equal(stat(log_path, &info), 0);
	assert_int_equal(truncate(log_path, info.st_size - 5000), 0);
	fixture_open(f);
	assert_int_equal(count(f, STORE_SCHEDULES), 19);
	assert_whole(f);
}

static void a_reader_reads_beside_the_writer(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct schedule schedule = insert(f, &definition), seen;
	struct store *reader = NULL;
	struct store_check check;
	int64_t id;
	struct user user = { .username = STR("u") };

	assert_ok(store_open_reader(&f->settings, &reader, NULL));
	assert_ok(store_schedule_get(reader, schedule.uuid, &f->arena, &seen));
	assert_ok(store_check(reader, &check, NULL));
	assert_true(check.sum_holds);
	assert_int_equal(check.schedules, 1);
	assert_int_not_equal(store_user_insert(reader, &user, f->now, &id), ERR_OK);
	assert_non_null(strstr(store_last_error(reader), "readonly"));
	delete (f, &schedule);
	assert_int_equal(store_schedule_get(reader, schedule.uuid, &f->arena, &seen), ERR_NOT_FOUND);
	/* Words are about the last call alone. */
	assert_string_equal(store_last_error(reader), "");
	store_close(reader);
	insert(f, &definition);
	assert_whole(f);
}

static void a_reader_holds_up_no_start(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct store *reader = NULL;
	struct stat log_file;
	char path[128];
	int64_t n;

	insert(f, &definition);
	assert_ok(store_open_reader(&f->settings, &reader, NULL));
	store_read_begin(reader);
	assert_ok(store_count(reader, STORE_SCHEDULES, &n));
	insert(f, &definition);
	fixture_reopen(f);
	snprintf(path, sizeof path, "%s-wal", f->path);
	assert_int_equal(stat(path, &log_file), 0);
	assert_true(log_file.st_size > 0);
	store_read_end(reader);
	store_close(reader);
	assert_int_equal(count(f, STORE_SCHEDULES), 2);
}

static void a_reader_needs_a_database(void **state)
{
	struct fixture *f = *state;
	struct store *reader = NULL;
	struct error error;

	close_store(f);
	unlink(f->path);
	assert_int_equal(store_open_reader(&f->settings, &reader, &error), ERR_UNAVAILABLE);
	assert_says(&error, "start the service once");
	assert_int_equal(access(f->path, F_OK), -1);
}

static void a_place_that_cannot_be_written_is_named(void **state)
{
	struct fixture *f = *state;

	f->settings.url = STR("sqlite:/proc/nowhere/s.db");
	struct error error = failing_open(f, ERR_IO);

	assert_says(&error, "/proc/nowhere");
	f->settings.url = STR("sqlite:/proc/version");
	struct store *store = NULL;

	assert_int_not_equal(store_open_writer(&f->settings, &store, &error), ERR_OK);
	assert_says(&error, "/proc/version");
}

static void rollbacks_undo(void **state)
{
	struct fixture *f = *state;
	struct user user = { .username = STR("one") };
	int64_t id;

	begin(f);
	assert_ok(store_user_insert(f->store, &user, f->now, &id));
	store_rollback(f->store);
	assert_int_equal(count(f, STORE_USERS), 0);
	begin(f);
	assert_ok(store_user_insert(f->store, &user, f->now, &id));
	assert_ok(store_savepoint(f->store, NULL));
	user.username = STR("two");
	assert_ok(store_user_insert(f->store, &user, f->now, &id));
	store_rollback_to_savepoint(f->store);
	commit(f);
	assert_int_equal(count(f, STORE_USERS), 1);
	assert_ok(store_probe(f->store, f->now, NULL));
}

/* In a process of its own, which ends as if killed: the number of schedules whose commits were answered. */
static int64_t write_with_a_small_cache(struct fixture *f, int64_t groups_n)
{
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct schedule schedule;
	int64_t answered = 0;

	definition.payload = arena_printf(&f->arena, "\"%02000d\"", 0);
	fixture_open(f);
	assert_ok(fixture_script(f, "PRAGMA cache_size=8"));
	for (int64_t i = 0; i < groups_n; i++) {
		int64_t kept = i % 5;

		begin(f);
		for (int64_t n = 0; n < kept; n++)
			assert_ok(store_schedule_insert(f->store, &definition, 0, f->now, &f->arena, &schedule));
		assert_ok(store_savepoint(f->store, NULL));
		for (int64_t n = 0; n < i % 7 * 6; n++)
			assert_ok(store_schedule_insert(f->store, &definition, 0, f->now, &f->arena, &schedule));
		store_rollback_to_savepoint(f->store);
		answered += store_commit(f->store, NULL) == ERR_OK ? kept : 0;
	}
	return answered;
}

/* P1: an answered group survives whatever was undone in it. SQLite would lose it here (store_rollback_to_savepoint). */
static void a_job_undone_beyond_the_cache_costs_no_commit(void **state)
{
	struct fixture *f = *state;
	int64_t answered = 0;
	int ends[2], status;

	close_store(f);
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();

	if (child == 0) {
		answered = write_with_a_small_cache(f, 40);
		_exit(write(ends[1], &answered, sizeof answered) == (ssize_t)sizeof answered ? 0 : 1);
	}
	assert_int_equal(read(ends[0], &answered, sizeof answered), sizeof answered);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(ends[0]);
	close(ends[1]);
	fixture_open(f);
	assert_true(answered >= 10); /* those of the groups that undid nothing */
	assert_int_equal(count(f, STORE_SCHEDULES), answered);
	assert_whole(f);
}

/* A full disk: what was answered stays, what was refused is not there, and work goes on when there is room again (P1,
 * P14). */
/* How many schedules went in; ERR_UNAVAILABLE with a remedy ended it. */
static int write_until_refused(struct fixture *f)
{
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct schedule schedule;
	struct error error;
	enum err err = ERR_OK;
	int stored = 0;

	while (err == ERR_OK && stored < 2000) {
		begin(f);
		err = store_schedule_insert(f->store, &definition, 0, f->now, &f->arena, &schedule);
		if (err == ERR_OK)
			err = store_commit(f->store, &error);
		else
			store_rollback(f->store);
		stored += err == ERR_OK;
	}
	if (err != ERR_UNAVAILABLE || !strstr(store_last_error(f->store), "free space"))
		fail_msg("%s: %s", err_name(err), store_last_error(f->store));
	return stored;
}

/* Returns the limit that was in force. A process that ignores SIGXFSZ sees an error, as on a full disk. */
static struct rlimit limit_file_size(rlim_t bytes)
{
	struct rlimit before, tight;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight = before;
	tight.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	return before;
}

static void a_full_disk_refuses_and_recovers(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct rlimit before = limit_file_size(600 * 1024);
	int stored = write_until_refused(f);

	setrlimit(RLIMIT_FSIZE, &before);
	assert_true(stored > 10);
	assert_int_equal(count(f, STORE_SCHEDULES), stored);
	insert(f, &definition);
	assert_int_equal(count(f, STORE_SCHEDULES), stored + 1);
	fixture_reopen(f);
	assert_int_equal(count(f, STORE_SCHEDULES), stored + 1);
	assert_whole(f);
}

static void the_reserve_is_given_up_and_made_anew(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	char path[128];

	snprintf(path, sizeof path, "%s.reserve", f->path);
	assert_int_not_equal(access(path, F_OK), 0);
	f->settings.reserve_bytes = 1 << 20;
	fixture_reopen(f);
	assert_int_equal(access(path, F_OK), 0);

	struct rlimit before = limit_file_size(600 * 1024);

	write_until_refused(f);
	assert_false(store_room_is_short(f->store));
	assert_int_equal(store_checkpoint(f->store), ERR_OK);
	assert_true(store_room_is_short(f->store));
	assert_int_not_equal(access(path, F_OK), 0);
	/* The log starts anew, so results still go in; and the reserve does not. */
	insert(f, &definition);
	for (int i = 0; i < 30; i++, usleep(10000))
		store_room_renew(f->store);
	assert_true(store_room_is_short(f->store));
	setrlimit(RLIMIT_FSIZE, &before);
	for (int i = 0; i < 500 && store_room_is_short(f->store); i++, usleep(10000))
		store_room_renew(f->store);
	assert_false(store_room_is_short(f->store));
	assert_int_equal(access(path, F_OK), 0);
	assert_whole(f);
}

static int64_t file_bytes(const char *path)
{
	struct stat file;

	return stat(path, &file) == 0 ? file.st_size : -1;
}

/* Of ours there is one from an earlier life, or a half-made one. */
static void a_reserve_of_another_is_left_alone(void **state)
{
	enum { BYTES = 1 << 20 };
	struct fixture *f = *state;
	struct reserve reserve = { .bytes = 0 };
	char path[128], long_path[PATH_MAX];

	snprintf(path, sizeof path, "%s.reserve", f->path);
	assert_int_equal(reserve_open(&reserve, f->path, BYTES), 0);
	assert_int_equal(reserve_open(&reserve, f->path, BYTES), 0);
	assert_int_equal(truncate(path, BYTES + BYTES / 8), 0);
	assert_int_equal(reserve_open(&reserve, f->path, BYTES), 0);
	assert_int_equal(file_bytes(path), BYTES);
	assert_int_equal(truncate(path, BYTES + BYTES / 8 + 1), 0);
	assert_int_equal(reserve_open(&reserve, f->path, BYTES), EEXIST);
	assert_int_equal(file_bytes(path), BYTES + BYTES / 8 + 1);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(reserve_open(&reserve, f->path, BYTES), 0);

	reserve_spend(&reserve);
	assert_int_equal(file_bytes(path), -1);
	assert_int_equal(rename(f->path, path), 0);
	int64_t before = file_bytes(path);

	assert_int_equal(reserve_renew(&reserve), EEXIST);
	assert_false(reserve.is_spent || reserve.bytes);
	assert_int_equal(reserve_open(&reserve, f->path, BYTES), EEXIST);
	assert_false(reserve.is_spent || reserve.bytes);
	assert_int_equal(file_bytes(path), before);
	assert_int_equal(rename(path, f->path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(reserve_open(&reserve, f->path, BYTES), EISDIR);
	rmdir(path);

	/* What comes into its place while it is spent does not keep it so. */
	assert_int_equal(reserve_open(&reserve, f->path, BYTES), 0);
	reserve_spend(&reserve);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(reserve_renew(&reserve), EISDIR);
	assert_false(reserve.is_spent || reserve.bytes);
	rmdir(path);

	memset(long_path, 'x', sizeof long_path);
	long_path[sizeof long_path - 1] = '\0';
	assert_int_equal(reserve_open(&reserve, long_path, BYTES), ENAMETOOLONG);
	assert_false(reserve.is_spent || reserve.bytes);
}

static void the_log_is_copied_back(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	char payload[20000], path[128];
	struct stat info;

	memset(payload, '1', sizeof payload);
	definition.payload = (struct str){ payload, sizeof payload };
	snprintf(path, sizeof path, "%s-wal", f->path);
	for (int i = 0; i < 2500; i++) {
		insert(f, &definition);
		store_checkpoint(f->store);
	}
	/* 2,500 inserts write more than 15,000 pages; the log starts anew every 4,000. */
	assert_int_equal(stat(path, &info), 0);
	assert_true(info.st_size < 5000 * 4200);
	assert_int_equal(count(f, STORE_SCHEDULES), 2500);
}

/* A 2xx means "on disk": a file that has no name any more is not what the next start reads. Put back, all is well. */
static void a_file_that_was_moved_away_takes_nothing(void **state)
{
	struct fixture *f = *state;
	struct schedule_definition definition = definition_cron("0 * * * *");
	static const char *const ends[] = { "", "-wal" };
	char path[128], aside[136];

	insert(f, &definition);
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		struct error error = { .text = "" };
		struct schedule schedule;

		snprintf(path, sizeof path, "%s%s", f->path, ends[i]);
		snprintf(aside, sizeof aside, "%s.aside", path);
		assert_int_equal(rename(path, aside), 0);
		begin(f);
		assert_ok(store_schedule_insert(f->store, &definition, 0, f->now, &f->arena, &schedule));
		assert_int_equal(store_commit(f->store, &error), ERR_UNAVAILABLE);
		assert_non_null(strstr(error.text, path));
		assert_int_equal(count(f, STORE_SCHEDULES), (int64_t)i + 1);
		assert_int_equal(rename(aside, path), 0);
		insert(f, &definition);
	}
	fixture_reopen(f);
	assert_int_equal(count(f, STORE_SCHEDULES), 3);
	assert_whole(f);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(url_is_checked),
		T(a_new_database_is_private),
		T(identity_survives),
		T(a_second_writer_is_refused),
		T(the_holder_is_named_and_its_death_frees),
		T(garbage_is_refused_and_kept),
		T(another_programs_database_is_left_alone),
		T(a_newer_schema_is_refused),
		T(another_key_is_refused),
		T(the_key_may_lie_elsewhere),
		T(damage_is_noticed),
		T(a_damaged_body_stops_only_itself),
		T(a_damaged_log_is_refused),
		T(a_torn_end_of_the_log_is_none),
		T(a_reader_reads_beside_the_writer),
		T(a_reader_holds_up_no_start),
		T(a_reader_needs_a_database),
		T(a_place_that_cannot_be_written_is_named),
		T(rollbacks_undo),
		T(a_job_undone_beyond_the_cache_costs_no_commit),
		T(a_full_disk_refuses_and_recovers),
		T(the_reserve_is_given_up_and_made_anew),
		T(a_reserve_of_another_is_left_alone),
		T(the_log_is_copied_back),
		T(a_file_that_was_moved_away_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
