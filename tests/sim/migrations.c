/* SPDX-License-Identifier: BSD-3-Clause */
/* The power goes while a database is brought to a newer schema (T7): `migrations [--rounds N] [--seed S]`.
 *
 * For each schema that was ever released, the service is opened on a database of it, and the power goes at the first
 * call to the disk, at the second, and so on, and likewise at each statement; N times each, with other dice. What is
 * found then must be one of the schemas, whole: table for table and row for row what a database has that was brought
 * there in peace. The next start must bring it to the newest. */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "crash_disk.h"
#include "dice.h"
#include "digest.h"
#include "fixed_chance.h"
#include "store/internal.h"
#include "store/migrate.h"

/* What a database of schema i has in it before it is brought further. A new migration needs a row here. */
static const char *const samples[] = {
	"",
	"INSERT INTO timers (schedule_id, next_at, last_at, before_at, triggered, planned, held_at, no_ahead) VALUES "
	"(1, 20, 10, 0, 0, 0, NULL, 0), (2, 30, 10, 0, 0, 0, 20, 0)",
};

_Static_assert(sizeof samples / sizeof samples[0] == SCHEMA_VERSION, "a migration without a sample to start from");

enum { CALLS_MAX = 100000, BROKEN_MAX = 10 };

/* When the power goes. */
enum moment { AT_CALL, AT_STATEMENT, MOMENTS_N };

struct sums {
	uint64_t cuts[MOMENTS_N], old, between, new;
	uint64_t not_whole, not_opened;
};

struct rig {
	char directory[48], path[64], url[80];
	struct crash_disk *disk;
	int64_t whole[SCHEMA_VERSION][SCHEMA_VERSION + 1]; /* digests: begun at a schema, brought to another */
	struct sums sums;
};

/* Shared with SQLite's hook. */
static struct {
	struct crash_disk *disk;
	uint64_t left; /* statements until the power goes; 0: it stays */
} hook;

static int on_statement(unsigned kind, void *ctx, void *statement, void *text)
{
	(void)kind;
	(void)ctx;
	(void)statement;
	(void)text;
	if (hook.left > 0 && --hook.left == 0)
		crash_disk_turn_off(hook.disk);
	return 0;
}

static int on_open(sqlite3 *db, char **error, const void *api)
{
	(void)error;
	(void)api;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL);
}

static enum err open_store(struct rig *rig, struct store **store, struct error *error)
{
	struct store_settings settings = { .url = str_from(rig->url) };

	*store = NULL;
	return store_open_writer(&settings, store, error);
}

/* --- databases of each schema ---------------------------------------------------------------------------- */

static void remove_database(struct rig *rig)
{
	static const char *const ends[] = { "", "-wal", "-journal" };
	char path[80];

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		snprintf(path, sizeof path, "%s%s", rig->path, ends[i]);
		crash_disk_put(rig->disk, path, NULL, 0);
	}
}

/* The sample of schema `from`, brought to `to`. Closed, so that all of it is in the file. */
static bool make_database(struct rig *rig, int64_t from, int64_t to)
{
	struct db_settings settings = { .path = rig->path };
	struct db *db = NULL;

	remove_database(rig);
	if (to == 0)
		return true;
	enum err err = db_sqlite_open(&settings, &db, NULL);

	if (err == ERR_OK)
		err = db_use_log(db);
	if (err == ERR_OK)
		err = migrate_run(db, rig->path, 0, from, NULL);
	if (err == ERR_OK)
		err = db_script(db, samples[from]);
	if (err == ERR_OK)
		err = migrate_run(db, rig->path, from, to, NULL);
	db_close(db);
	return err == ERR_OK;
}

/* The schema that the database says it has, and what is in it; `meta` is the program's own and not compared. */
static enum err look(struct rig *rig, int64_t *version, int64_t *digest)
{
	struct db_settings settings = { .path = rig->path };
	struct db *db = NULL;
	enum err err = db_sqlite_open(&settings, &db, NULL);

	if (err == ERR_OK)
		err = migrate_version(db, rig->path, version, NULL);
	if (err == ERR_OK) {
		struct digest *names = digest_new(rig->path, "meta");

		err = digest_of(names, db, digest);
		digest_free(names);
	}
	db_close(db);
	return err;
}

/* --- one cut --------------------------------------------------------------------------------------------- */

static void broken(struct rig *rig, uint64_t *counter, const char *what, int64_t from, enum moment moment, uint64_t at)
{
	(void)rig;
	++*counter;
	fprintf(stderr, "migrations: %s; from schema %" PRId64 ", power off at %s %" PRIu64 "\n", what, from,
		moment == AT_CALL ? "call" : "statement", at);
}

static void judge(struct rig *rig, int64_t from, enum moment moment, uint64_t at)
{
	struct sums *sums = &rig->sums;
	struct error error = { .text = "" };
	struct store *store;
	struct store_check check;
	int64_t version = -1, digest = 0;

	if (look(rig, &version, &digest) != ERR_OK || version < from || version > SCHEMA_VERSION ||
	    digest != rig->whole[from][version])
		broken(rig, &sums->not_whole, "neither schema is whole", from, moment, at);
	sums->old += version == from;
	sums->new += version == SCHEMA_VERSION;
	sums->between += version > from && version < SCHEMA_VERSION;
	if (open_store(rig, &store, &error) != ERR_OK) {
		broken(rig, &sums->not_opened, error.text, from, moment, at);
		return;
	}
	bool is_whole = store_check(store, &check, &error) == ERR_OK && check.integrity_ok && check.sum_holds;

	store_close(store);
	if (!is_whole || look(rig, &version, &digest) != ERR_OK || version != SCHEMA_VERSION ||
	    digest != rig->whole[from][SCHEMA_VERSION])
		broken(rig, &sums->not_whole, "the newest schema is not whole", from, moment, at);
}

/* False: the power never went, since there were fewer calls. */
static bool cut_at(struct rig *rig, int64_t from, enum moment moment, uint64_t at, uint64_t *dice)
{
	struct store *store;

	if (!make_database(rig, from, from))
		abort();
	fixed_chance_seed(1);
	crash_disk_set_faults(rig->disk, &(struct crash_disk_faults){ .off_in = moment == AT_CALL ? at : 0 });
	hook.left = moment == AT_STATEMENT ? at : 0;

	enum err err = open_store(rig, &store, NULL);
	bool was_off = crash_disk_is_off(rig->disk);

	(void)err;
	hook.left = 0;
	crash_disk_cut(rig->disk, dice);
	store_close(store);
	if (!was_off)
		return false;
	rig->sums.cuts[moment]++;
	judge(rig, from, moment, at);
	return true;
}

static void run(struct rig *rig, uint64_t rounds, uint64_t seed)
{
	bool goes_on = true;

	for (int64_t from = 0; from < SCHEMA_VERSION; from++)
		for (int64_t to = from; to <= SCHEMA_VERSION; to++) {
			int64_t found;

			if (!make_database(rig, from, to) || look(rig, &found, &rig->whole[from][to]) != ERR_OK ||
			    found != to)
				abort();
		}
	for (int64_t from = 0; from < SCHEMA_VERSION; from++)
		for (int moment = AT_CALL; moment < MOMENTS_N; moment++, goes_on = true)
			for (uint64_t at = 1; at < CALLS_MAX && goes_on; at++)
				for (uint64_t round = 0; round < rounds && goes_on; round++)
					goes_on = cut_at(rig, from, (enum moment)moment, at, &seed) &&
						  rig->sums.not_whole + rig->sums.not_opened < BROKEN_MAX;
}

int main(int argc, char **argv)
{
	uint64_t rounds = 20, seed = 1;
	struct boot began = clock_read().boot;
	static struct rig rig;
	char key_file[80];

	for (int i = 1; i + 1 < argc; i += 2)
		*(strcmp(argv[i], "--rounds") ? &seed : &rounds) = strtoull(argv[i + 1], NULL, 10);
	snprintf(rig.directory, sizeof rig.directory, "%s/migrations.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (argc % 2 == 0 || !mkdtemp(rig.directory)) {
		fprintf(stderr, "usage: migrations [--rounds N] [--seed S]\n");
		return 2;
	}
	snprintf(rig.path, sizeof rig.path, "%s/x.db", rig.directory);
	snprintf(rig.url, sizeof rig.url, "sqlite:%s", rig.path);
	log_set_level(LOG_ERROR + 1); /* what a dying process says is no news here */
	digest_install();
	sqlite3_auto_extension((void (*)(void))on_open);
	rig.disk = hook.disk = crash_disk_new(rig.path);
	run(&rig, rounds, seed);
	crash_disk_free(rig.disk);
	snprintf(key_file, sizeof key_file, "%s.key", rig.path);
	unlink(key_file);
	unlink(rig.path);
	rmdir(rig.directory);

	const struct sums *sums = &rig.sums;
	bool held = sums->not_whole + sums->not_opened == 0 && sums->old > 0 && sums->new > 0 &&
		    sums->cuts[AT_STATEMENT] > 10 && sums->cuts[AT_CALL] > 50;

	printf("proof: {\"part\": \"migrations\", \"tried\": {\"schemas\": %d, \"cuts_at_calls\": %" PRIu64
	       ", \"cuts_at_statements\": %" PRIu64 "}, \"found\": {\"whole_old\": %" PRIu64
	       ", \"whole_between\": %" PRIu64 ", \"whole_new\": %" PRIu64 ", \"not_whole\": %" PRIu64
	       ", \"not_opened\": %" PRIu64 ", \"seconds\": %.1f}, \"held\": %s}\n",
	       SCHEMA_VERSION, sums->cuts[AT_CALL], sums->cuts[AT_STATEMENT], sums->old, sums->between, sums->new,
	       sums->not_whole, sums->not_opened, (double)boot_since_us(clock_read().boot, began) / US_PER_SECOND,
	       held ? "true" : "false");
	return held ? 0 : 1;
}
