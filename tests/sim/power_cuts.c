/* SPDX-License-Identifier: BSD-3-Clause */
/* P1 under power cuts (T3): `power_cuts [--cuts N] [--seed S] [--synchronous full|normal]`.
 *
 * The real store works on a disk that loses power (crash_disk.h): in the middle of a group, of its commit, of a
 * checkpoint, of closing, of opening and recovering, or at rest. A twin on a disk that never does makes the same calls
 * with the same ids. After each cut the store is opened again, and everything its database says must equal, byte by
 * byte, what the twin's says: with the last group if its commit was answered, with it whole or without it if not. Then
 * the sum of P3 must hold and the database be whole.
 *
 * With `--synchronous normal` SQLite commits without a sync, as the service never does: then something answered must be
 * lost, or this proof could not see a loss. World i of a run has the seed S + i, and lives for up to 60 cuts. */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "crash_disk.h"
#include "dice.h"
#include "digest.h"
#include "fixed_chance.h"
#include "store/internal.h"
#include "store/key_file.h"
#include "verbs.h"

enum { CUTS_A_WORLD = 60, PROGRESS_CUTS = 1000, BROKEN_MAX = 10 };

/* Where the power went. */
enum phase { OPENING, VERBS, COMMIT, CHECKPOINT, CLOSING, REST, PHASES_N };

static const char *const phase_names[PHASES_N] = { "opening", "verbs", "commit", "checkpoint", "closing", "rest" };

struct sums {
	uint64_t cuts[PHASES_N];
	uint64_t worlds, groups, verbs;	   /* answered */
	uint64_t refused;		   /* groups undone by the store itself */
	uint64_t kept, gone;		   /* groups that were not answered: there whole, or absent */
	uint64_t sectors_lost, names_lost; /* by the disk, none of them synced */
	uint64_t lost, torn, damaged, not_opened, unequal;
};

struct side {
	char directory[80], path[96], url[112];
	struct crash_disk *disk;
	struct store *store;
};

struct world {
	uint64_t seed, dice;
	bool is_normal, is_over;
	struct side cut, twin;
	sqlite3 *reader; /* of the side that is cut, in the middle of reading; NULL: none */
	struct digest *digest;
	struct books books, books_after; /* after the group that is open */
	struct str key_file;
	struct sums *sums;
};

static uint64_t total_cuts(const struct sums *sums)
{
	uint64_t n = 0;

	for (int i = 0; i < PHASES_N; i++)
		n += sums->cuts[i];
	return n;
}

/* What no way of syncing excuses. */
static uint64_t wrong_in(const struct sums *sums)
{
	return sums->torn + sums->damaged + sums->not_opened + sums->unequal;
}

/* Counts it, says where to see it again, and ends the world. */
static void broken(struct world *world, uint64_t *counter, const char *what)
{
	++*counter;
	world->is_over = true;
	if (!world->is_normal || counter != &world->sums->lost)
		fprintf(stderr, "power_cuts: %s; seen again with --seed %" PRIu64 " --cuts %d\n", what, world->seed,
			CUTS_A_WORLD);
}

/* --- opening --------------------------------------------------------------------------------------------- */

static enum err open_side(struct world *world, struct side *side, struct error *error)
{
	struct store_settings settings = { .url = str_from(side->url),
					   .key_file = world->key_file,
					   .metrics_url = STR("http://metrics.test/") };

	fixed_chance_seed(world->seed);
	side->store = NULL;
	enum err err = store_open_writer(&settings, &side->store, error);

	if (err == ERR_OK && world->is_normal)
		err = db_script(side->store->db, "PRAGMA synchronous=NORMAL");
	return err;
}

static void leave_reader(struct world *world)
{
	sqlite3_close(world->reader);
	world->reader = NULL;
}

/* What is open is closed after the power is gone: closing must find nothing to write to. */
static void cut(struct world *world, enum phase phase)
{
	crash_disk_cut(world->cut.disk, &world->dice);
	leave_reader(world);
	store_close(world->cut.store);
	world->cut.store = NULL;
	world->sums->cuts[phase]++;
}

/* Opens the side that is cut; the power may go while it does, several times. */
static void come_up(struct world *world)
{
	for (;;) {
		struct error error = { .text = "" };
		struct crash_disk_faults faults = { 0 };

		if (chance(&world->dice, 30))
			faults.off_in = (uint64_t)between(&world->dice, 1, 80);
		crash_disk_set_faults(world->cut.disk, &faults);

		enum err err = open_side(world, &world->cut, &error);

		if (crash_disk_is_off(world->cut.disk)) {
			cut(world, OPENING);
			continue;
		}
		crash_disk_set_faults(world->cut.disk, &(struct crash_disk_faults){ 0 });
		/* A small cache writes pages to the log before the commit, as a large transaction does. */
		if (err == ERR_OK && chance(&world->dice, 40))
			err = db_script(world->cut.store->db, "PRAGMA cache_size=8");
		/* Without syncs a commit may be gone and a later one there, which the store refuses. */
		if (err != ERR_OK)
			broken(world, world->is_normal ? &world->sums->lost : &world->sums->not_opened, error.text);
		return;
	}
}

static void reopen_twin(struct world *world)
{
	struct error error = { .text = "" };

	store_close(world->twin.store);
	if (open_side(world, &world->twin, &error) != ERR_OK)
		broken(world, &world->sums->not_opened, error.text);
}

/* --- comparing ------------------------------------------------------------------------------------------- */

static bool is_same(struct world *world)
{
	int64_t cut_side = 0, twin_side = 1;
	enum err err = digest_of(world->digest, world->cut.store->db, &cut_side);

	if (err == ERR_OK)
		err = digest_of(world->digest, world->twin.store->db, &twin_side);
	return err == ERR_OK && cut_side == twin_side;
}

static void check_whole(struct world *world)
{
	struct store_check check;
	struct error error = { .text = "" };
	enum err err = store_check(world->cut.store, &check, &error);

	if (err != ERR_OK)
		broken(world, &world->sums->damaged, error.text);
	else if (!check.integrity_ok)
		broken(world, &world->sums->damaged, check.integrity);
	else if (!check.sum_holds)
		broken(world, &world->sums->damaged, "the sum of P3 does not hold");
}

/* After a cut. A group may be open in the twin: `was_answered` says whether the other side's commit returned. */
static void compare(struct world *world, bool was_answered)
{
	bool is_open = db_in_transaction(world->twin.store->db);

	if (world->is_over)
		return;
	check_whole(world);
	if (is_same(world)) {
		world->sums->kept += is_open && !was_answered;
		if (is_open && store_commit(world->twin.store, NULL) != ERR_OK)
			abort();
		if (is_open)
			world->books = world->books_after;
		return;
	}
	if (!is_open || was_answered) {
		broken(world, &world->sums->lost, "an answered write is lost");
		return;
	}
	store_rollback(world->twin.store);
	world->sums->gone++;
	if (!is_same(world))
		broken(world, world->is_normal ? &world->sums->lost : &world->sums->torn,
		       "a group that was not answered is there in part, or took an answered one with it");
}

static void die(struct world *world, enum phase phase, bool was_answered)
{
	cut(world, phase);
	come_up(world);
	compare(world, was_answered);
	if (!world->is_over)
		reopen_twin(world);
}

/* --- living ---------------------------------------------------------------------------------------------- */

typedef enum err (*group_maker)(struct store *store, struct books *books, uint64_t *dice);

static void forget_notice(struct store *store)
{
	struct store_notice notice;

	store_take_notice(store, &notice);
	free(notice.revoked);
}

static bool restart(struct world *world)
{
	leave_reader(world);
	store_close(world->cut.store);
	world->cut.store = NULL;
	if (crash_disk_is_off(world->cut.disk)) {
		die(world, CLOSING, false);
		return false;
	}
	come_up(world);
	compare(world, false);
	if (!world->is_over)
		reopen_twin(world);
	return false;
}

/* The same group on both sides, the twin's first and left open. False: the power went, or the world is over. */
static bool live_through(struct world *world, group_maker make)
{
	uint64_t dice = world->dice;
	struct books books = world->books;
	enum phase phase = VERBS;

	world->books_after = world->books;
	enum err twin_err = make(world->twin.store, &world->books_after, &world->dice);
	enum err err = make(world->cut.store, &books, &dice);

	if (!crash_disk_is_off(world->cut.disk) && err == ERR_OK) {
		phase = COMMIT;
		err = store_commit(world->cut.store, NULL);
	}
	if (crash_disk_is_off(world->cut.disk)) {
		die(world, phase, phase == COMMIT && err == ERR_OK);
		return false;
	}
	/* With a small cache the undoing of one job may undo the group. */
	if (err == ERR_UNAVAILABLE && twin_err == ERR_OK && !db_in_transaction(world->cut.store->db)) {
		store_rollback(world->twin.store);
		world->sums->refused++;
		return restart(world);
	}
	if (err != ERR_OK || twin_err != ERR_OK || memcmp(&books, &world->books_after, sizeof books) != 0) {
		broken(world, &world->sums->unequal, "the same calls were answered differently");
		return false;
	}
	if (store_commit(world->twin.store, NULL) != ERR_OK)
		abort();
	forget_notice(world->cut.store);
	forget_notice(world->twin.store);
	world->sums->groups++;
	world->sums->verbs += books.verbs - world->books.verbs;
	world->books = books;
	return true;
}

/* A reader in a snapshot keeps the log from being reset. */
static void change_reader(struct world *world)
{
	if (world->reader) {
		leave_reader(world);
		return;
	}
	if (sqlite3_open_v2(world->cut.path, &world->reader, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
	    sqlite3_exec(world->reader, "BEGIN; SELECT count(*) FROM meta", NULL, NULL, NULL) != SQLITE_OK)
		leave_reader(world);
}

static bool checkpoint(struct world *world)
{
	enum err err = db_checkpoint(world->cut.store->db, !world->reader && chance(&world->dice, 30));

	if (crash_disk_is_off(world->cut.disk)) {
		die(world, CHECKPOINT, false);
		return false;
	}
	if (err != ERR_OK)
		broken(world, &world->sums->unequal, "a checkpoint failed on a healthy disk");
	return err == ERR_OK;
}

/* From a start to the next: false when this process is over. */
static bool step(struct world *world)
{
	int64_t what = between(&world->dice, 0, 99);

	if (what < 12)
		return checkpoint(world);
	if (what < 17)
		return restart(world);
	if (what < 22)
		change_reader(world);
	return live_through(world, verbs_play);
}

static void live(struct world *world)
{
	struct crash_disk_faults faults = { 0 };

	if (chance(&world->dice, 30))
		faults.off_at_sync_in = (uint64_t)between(&world->dice, 1, 20);
	else if (chance(&world->dice, 85))
		faults.off_in = (uint64_t)between(&world->dice, 1, 400);
	crash_disk_set_faults(world->cut.disk, &faults);
	if (!live_through(world, verbs_recover))
		return;
	for (int64_t n = between(&world->dice, 1, 25); n > 0; n--)
		if (!step(world))
			return;
	die(world, REST, false);
}

/* --- worlds ---------------------------------------------------------------------------------------------- */

static void begin_side(struct side *side, const char *directory, const char *name)
{
	snprintf(side->directory, sizeof side->directory, "%s/%s/", directory, name);
	snprintf(side->path, sizeof side->path, "%sx.db", side->directory);
	snprintf(side->url, sizeof side->url, "sqlite:%s", side->path);
	if (mkdir(side->directory, 0700) != 0)
		perror(side->directory);
	side->disk = crash_disk_new(side->directory);
}

static void end_side(struct side *side)
{
	crash_disk_free(side->disk);
	unlink(side->path);
	rmdir(side->directory);
}

/* Both are made, the one that is cut with cuts, and closed again: from there on they draw the same. */
static void begin_world(struct world *world, const char *directory)
{
	begin_side(&world->twin, directory, "twin");
	begin_side(&world->cut, directory, "cut");
	world->dice = world->seed;
	world->books.now.us = INT64_C(1900000000000000);
	come_up(world);
	reopen_twin(world);
	if (world->is_over)
		return;
	store_close(world->cut.store);
	come_up(world);
	reopen_twin(world);
	if (!world->is_over)
		world->digest = digest_new(world->twin.path, NULL);
}

static void end_world(struct world *world)
{
	struct crash_disk_sums disk = crash_disk_sum(world->cut.disk);

	world->sums->worlds++;
	world->sums->sectors_lost += disk.sectors_lost;
	world->sums->names_lost += disk.names_lost;
	leave_reader(world);
	digest_free(world->digest);
	/* SQLite reaches the twin's disk through the other one, which was made last. */
	store_close(world->twin.store);
	store_close(world->cut.store);
	end_side(&world->cut);
	end_side(&world->twin);
}

static void run_world(struct world *world, const char *directory, uint64_t cuts_max)
{
	uint64_t before = total_cuts(world->sums), cuts_n = 0;

	begin_world(world, directory);
	while (!world->is_over && cuts_n < CUTS_A_WORLD && before + cuts_n < cuts_max) {
		live(world);
		cuts_n = total_cuts(world->sums) - before;
	}
	end_world(world);
	if ((before + cuts_n) / PROGRESS_CUTS > before / PROGRESS_CUTS)
		fprintf(stderr, "power_cuts: %" PRIu64 " of %" PRIu64 " cuts\n", before + cuts_n, cuts_max);
}

/* --- the report ------------------------------------------------------------------------------------------ */

/* Without each of these the run has not tried what it says. */
static bool has_load(const struct sums *sums)
{
	bool has = sums->kept > 0 && sums->gone > 0 && sums->sectors_lost > 0 && sums->groups > 0;

	for (int i = 0; i < PHASES_N; i++)
		has = has && sums->cuts[i] > 0;
	return has;
}

static bool report(const struct sums *sums, bool is_normal, int64_t took_us)
{
	bool held = has_load(sums) && wrong_in(sums) == 0 && (is_normal ? sums->lost > 0 : sums->lost == 0);

	printf("proof: {\"part\": \"power_cuts%s\", \"tried\": {\"cuts\": %" PRIu64, is_normal ? "_normal" : "",
	       total_cuts(sums));
	for (int i = 0; i < PHASES_N; i++)
		printf(", \"cuts_in_%s\": %" PRIu64, phase_names[i], sums->cuts[i]);
	printf(", \"worlds\": %" PRIu64 ", \"groups_answered\": %" PRIu64 ", \"groups_refused\": %" PRIu64
	       ", \"verbs_answered\": %" PRIu64 ", \"unsynced_sectors_lost\": %" PRIu64 ", \"names_lost\": %" PRIu64
	       "}, ",
	       sums->worlds, sums->groups, sums->refused, sums->verbs, sums->sectors_lost, sums->names_lost);
	printf("\"found\": {\"answered_lost\": %" PRIu64 ", \"torn\": %" PRIu64 ", \"damaged\": %" PRIu64
	       ", \"not_opened\": %" PRIu64 ", \"unequal\": %" PRIu64 ", \"unanswered_kept\": %" PRIu64
	       ", \"unanswered_gone\": %" PRIu64 ", \"seconds\": %.1f}, \"held\": %s}\n",
	       sums->lost, sums->torn, sums->damaged, sums->not_opened, sums->unequal, sums->kept, sums->gone,
	       (double)took_us / US_PER_SECOND, held ? "true" : "false");
	return held;
}

struct arguments {
	uint64_t cuts, seed;
	bool is_normal;
};

static bool parse(int argc, char **argv, struct arguments *arguments)
{
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc)
			return false;
		if (!strcmp(argv[i], "--cuts"))
			arguments->cuts = strtoull(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--seed"))
			arguments->seed = strtoull(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--synchronous") && !strcmp(argv[i + 1], "normal"))
			arguments->is_normal = true;
		else if (strcmp(argv[i], "--synchronous") != 0 || strcmp(argv[i + 1], "full") != 0)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .cuts = 20000, .seed = 1 };
	char directory[48], key_file[64];
	uint8_t key[SEAL_KEY_BYTES];
	struct sums sums = { 0 };
	struct boot began = clock_read().boot;

	snprintf(directory, sizeof directory, "%s/power-cuts.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!parse(argc, argv, &arguments) || !mkdtemp(directory)) {
		fprintf(stderr, "usage: power_cuts [--cuts N] [--seed S] [--synchronous full|normal]\n");
		return 2;
	}
	snprintf(key_file, sizeof key_file, "%s/key", directory);
	if (key_file_make(key_file, key, NULL) != ERR_OK)
		return 2;
	log_set_level(LOG_ERROR);
	digest_install();
	for (uint64_t i = 0; total_cuts(&sums) < arguments.cuts && wrong_in(&sums) < BROKEN_MAX; i++) {
		struct world world = { .seed = arguments.seed + i,
				       .is_normal = arguments.is_normal,
				       .key_file = str_from(key_file),
				       .sums = &sums };

		run_world(&world, directory, arguments.cuts);
	}
	unlink(key_file);
	rmdir(directory);
	return report(&sums, arguments.is_normal, boot_since_us(clock_read().boot, began)) ? 0 : 1;
}
