/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes that flip on the medium (T6): `corruption [--flips N] [--seed S] [--large 1]`.
 *
 * A database and its write-ahead log, as a killed process leaves them, are made once. Then a random bit of one of the
 * two files is flipped and the store opened, N times: it must refuse with words, or show damage when it is checked or
 * used, or have exactly what it had. A large database is one that is not read whole at opening. What it hands out to be
 * sent must be something that was to be sent. A crash or a hang ends the command. */
#include <inttypes.h>
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
#include "verbs.h"

enum { GROUPS = 60, SENT_MAX = 20000, ROOM = 1000, HANG_S = 30, LARGE_BYTES = 4096 * 4096 };

enum { DB, LOG, FILES_N };

/* The states before the last commits: damage in those cannot be told from a torn commit (log_check.h). */
enum { ENDS_N = 2 };

/* What one claim hands out, as hashes. */
struct sent {
	uint64_t what[SENT_MAX]; /* schedule, endpoint, body, secrets */
	uint64_t when[SENT_MAX]; /* and run id, instant */
	uint32_t n;
};

struct sums {
	uint64_t flips[FILES_N], same[FILES_N], refused[FILES_N], noticed[FILES_N], unnoticed[FILES_N];
	uint64_t at_log_end; /* same as before the last commits */
	uint64_t wrong_sent, wrong_when, handed_out;
};

struct rig {
	char directory[48], path[64], log_path[72], url[80];
	struct crash_disk *disk;
	struct digest *digest;
	uint8_t *bytes[FILES_N]; /* owned: the files as they were */
	size_t bytes_n[FILES_N];
	struct wall now;
	int64_t whole; /* the digest */
	int64_t ends[ENDS_N];
	struct sent sent; /* of the files as they were, sorted */
	struct sent now_sent;
	struct sums sums;
};

static enum err open_store(struct rig *rig, struct store **store, struct error *error)
{
	struct store_settings settings = { .url = str_from(rig->url) };

	fixed_chance_seed(1);
	*store = NULL;
	return store_open_writer(&settings, store, error);
}

/* --- what is handed out ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t sum, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
	sum ^= n;
	return next_dice(&sum);
}

static void note_sent(struct sent *sent, const struct claim_batch *batch)
{
	for (uint32_t i = 0; i < batch->runs_n && sent->n < SENT_MAX; i++) {
		const struct run *run = &batch->runs[i];
		uint64_t what = mix(1, run->schedule_uuid, 16);

		what = mix(what, run->endpoint.p, run->endpoint.n);
		what = mix(what, run->body.p, run->body.n);
		what = mix(what, run->authorization.p, run->authorization.n);
		sent->what[sent->n] = what;
		sent->when[sent->n++] = mix(mix(what, run->uuid, 16), &run->planned_at, sizeof run->planned_at);
	}
}

/* Everything that is due, claim by claim. */
static enum err claim(struct rig *rig, struct store *store, struct sent *sent)
{
	struct store_claim request = {
		.now = rig->now, .until = rig->now, .missed_before = { rig->now.us - 60 * US_PER_SECOND }, .room = ROOM
	};
	bool more = true;
	enum err err = ERR_OK;

	for (sent->n = 0; err == ERR_OK && more && sent->n < SENT_MAX;) {
		struct claim_batch batch = { 0 };

		err = store_begin(store, NULL);
		if (err == ERR_OK)
			err = store_claim(store, &request, &batch);
		if (err == ERR_OK)
			err = store_commit(store, NULL);
		else
			store_rollback(store);
		note_sent(sent, &batch);
		more = batch.runs_n > 0;
		arena_release(&batch.arena);
	}
	return err;
}

static int compare_hashes(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool is_in(const uint64_t *sorted, uint32_t n, uint64_t value)
{
	return bsearch(&value, sorted, n, sizeof *sorted, compare_hashes) != NULL;
}

static void compare_sent(struct rig *rig, const struct sent *sent)
{
	rig->sums.handed_out += sent->n;
	for (uint32_t i = 0; i < sent->n; i++)
		if (!is_in(rig->sent.what, rig->sent.n, sent->what[i]))
			rig->sums.wrong_sent++;
		else if (!is_in(rig->sent.when, rig->sent.n, sent->when[i]))
			rig->sums.wrong_when++;
}

/* --- one flip -------------------------------------------------------------------------------------------- */

static void put_files(struct rig *rig)
{
	crash_disk_put(rig->disk, rig->path, rig->bytes[DB], rig->bytes_n[DB]);
	crash_disk_put(rig->disk, rig->log_path, rig->bytes[LOG], rig->bytes_n[LOG]);
}

static void judge(struct rig *rig, int file, uint64_t place)
{
	struct error error = { .text = "" };
	struct store *store;
	struct store_check check = { 0 };
	int64_t digest = 0, recovered;
	struct sums *sums = &rig->sums;

	if (open_store(rig, &store, &error) != ERR_OK) {
		sums->refused[file] += error.text[0] != '\0';
		sums->unnoticed[file] += error.text[0] == '\0';
		return;
	}
	bool has_error = store_check(store, &check, NULL) != ERR_OK || !check.integrity_ok || !check.sum_holds;
	bool is_same = digest_of(rig->digest, store->db, &digest) == ERR_OK && digest == rig->whole;
	enum err err = store_begin(store, NULL);

	if (err == ERR_OK)
		err = store_recover(store, rig->now, &recovered);
	if (err == ERR_OK)
		err = store_commit(store, NULL);
	else
		store_rollback(store);
	if (err == ERR_OK)
		err = claim(rig, store, &rig->now_sent);
	bool is_before_end = !is_same && file == LOG && (digest == rig->ends[0] || digest == rig->ends[1]);

	if (err == ERR_OK && !is_before_end)
		compare_sent(rig, &rig->now_sent);
	has_error |= err != ERR_OK;
	store_close(store);
	if (has_error)
		sums->noticed[file]++;
	else if (is_same)
		sums->same[file]++;
	else if (is_before_end)
		sums->at_log_end++;
	else if (sums->unnoticed[file]++ < 10)
		fprintf(stderr, "corruption: bit %" PRIu64 " of the %s changed what is read, and nothing noticed\n",
			place, file == DB ? "database" : "log");
}

static void flip(struct rig *rig, uint64_t *dice)
{
	int file = chance(dice, 50) ? DB : LOG;
	uint64_t place = (uint64_t)between(dice, 0, (int64_t)rig->bytes_n[file] * 8 - 1);

	rig->bytes[file][place / 8] ^= (uint8_t)(1 << place % 8);
	put_files(rig);
	alarm(HANG_S);
	rig->sums.flips[file]++;
	judge(rig, file, place);
	alarm(0);
	rig->bytes[file][place / 8] ^= (uint8_t)(1 << place % 8);
}

/* --- the files ------------------------------------------------------------------------------------------- */

static void keep_file(struct rig *rig, int file, const char *path)
{
	const uint8_t *bytes = crash_disk_bytes(rig->disk, path, &rig->bytes_n[file]);

	rig->bytes[file] = memory_new(rig->bytes_n[file]);
	memcpy(rig->bytes[file], bytes, rig->bytes_n[file]);
}

/* More pages than are checked at opening, most of them of bodies. */
static enum err add_large_bodies(struct store *store, struct wall now)
{
	enum { BODY_BYTES = 420000, BODIES = 44 };
	struct schedule_definition definition = { .endpoint = STR("http://large.test/"),
						  .interval = STR("20 seconds"),
						  .enabled = true,
						  .timezone = STR("UTC") };
	struct arena arena = { 0 };
	enum err err = store_begin(store, NULL);

	for (int i = 0; i < BODIES && err == ERR_OK; i++) {
		struct schedule schedule;

		definition.payload = arena_printf(&arena, "\"%0*d\"", BODY_BYTES, i);
		err = store_schedule_insert(store, &definition, 0, now, &arena, &schedule);
	}
	arena_release(&arena);
	return err == ERR_OK ? store_commit(store, NULL) : err;
}

/* Half of the work is in the database, half in the log; the process dies. */
static bool make_files(struct rig *rig, uint64_t seed, bool is_large)
{
	uint64_t dice = seed;
	struct books books = { .now = { INT64_C(1900000000000000) } };
	struct store *store;
	enum err err = open_store(rig, &store, NULL);

	if (err != ERR_OK)
		return false;
	rig->digest = digest_new(rig->path, NULL);
	if (is_large)
		err = add_large_bodies(store, books.now);
	for (int i = 0; i < GROUPS && err == ERR_OK; i++) {
		struct store_notice notice;

		if (i >= GROUPS - ENDS_N)
			err = digest_of(rig->digest, store->db, &rig->ends[GROUPS - 1 - i]);
		if (err == ERR_OK)
			err = verbs_play(store, &books, &dice);
		if (err == ERR_OK)
			err = store_commit(store, NULL);
		store_take_notice(store, &notice);
		free(notice.revoked);
		if (err == ERR_OK && i == GROUPS / 2)
			err = db_checkpoint(store->db, true);
	}
	keep_file(rig, DB, rig->path);
	keep_file(rig, LOG, rig->log_path);
	store_close(store);
	rig->now.us = books.now.us + 30 * US_PER_SECOND;
	return err == ERR_OK;
}

/* As the files are, which is what everything is compared with. */
static bool look_at_whole(struct rig *rig)
{
	struct store *store;
	int64_t recovered;

	put_files(rig);
	enum err err = open_store(rig, &store, NULL);

	if (err == ERR_OK)
		err = digest_of(rig->digest, store->db, &rig->whole);
	if (err == ERR_OK)
		err = store_begin(store, NULL);
	if (err == ERR_OK)
		err = store_recover(store, rig->now, &recovered);
	if (err == ERR_OK)
		err = store_commit(store, NULL);
	if (err == ERR_OK)
		err = claim(rig, store, &rig->sent);
	store_close(store);
	qsort(rig->sent.what, rig->sent.n, sizeof *rig->sent.what, compare_hashes);
	qsort(rig->sent.when, rig->sent.n, sizeof *rig->sent.when, compare_hashes);
	return err == ERR_OK && rig->sent.n > 10 && rig->sent.n < SENT_MAX;
}

static bool report(const struct rig *rig, int64_t took_us)
{
	static const char *const names[FILES_N] = { "database", "log" };
	const struct sums *sums = &rig->sums;
	uint64_t unnoticed = sums->unnoticed[DB] + sums->unnoticed[LOG];
	bool held = sums->wrong_sent == 0 && sums->wrong_when == 0 && unnoticed == 0 && sums->handed_out > 0 &&
		    sums->flips[DB] > 0 && sums->flips[LOG] > 0;

	printf("proof: {\"part\": \"corruption%s\", \"tried\": {\"flips\": %" PRIu64,
	       rig->bytes_n[DB] > LARGE_BYTES ? "_large" : "", sums->flips[DB] + sums->flips[LOG]);
	for (int file = DB; file < FILES_N; file++)
		printf(", \"in_%s\": %" PRIu64 ", \"%s_bytes\": %zu", names[file], sums->flips[file], names[file],
		       rig->bytes_n[file]);
	printf(", \"runs_handed_out\": %" PRIu64 "}, \"found\": {", sums->handed_out);
	for (int file = DB; file < FILES_N; file++)
		printf("\"%s_same\": %" PRIu64 ", \"%s_refused\": %" PRIu64 ", \"%s_noticed\": %" PRIu64
		       ", \"%s_unnoticed\": %" PRIu64 ", ",
		       names[file], sums->same[file], names[file], sums->refused[file], names[file],
		       sums->noticed[file], names[file], sums->unnoticed[file]);
	printf("\"torn_at_log_end\": %" PRIu64 ", \"wrong_sent\": %" PRIu64 ", \"wrong_instants\": %" PRIu64
	       ", \"seconds\": %.1f}, \"held\": %s}\n",
	       sums->at_log_end, sums->wrong_sent, sums->wrong_when, (double)took_us / US_PER_SECOND,
	       held ? "true" : "false");
	return held;
}

int main(int argc, char **argv)
{
	uint64_t flips = 2000, seed = 1, is_large = 0;
	struct boot began = clock_read().boot;
	static struct rig rig;

	for (int i = 1; i + 1 < argc; i += 2)
		*(!strcmp(argv[i], "--flips")	? &flips
		  : !strcmp(argv[i], "--large") ? &is_large
						: &seed) = strtoull(argv[i + 1], NULL, 10);
	snprintf(rig.directory, sizeof rig.directory, "%s/corruption.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (argc % 2 == 0 || !mkdtemp(rig.directory)) {
		fprintf(stderr, "usage: corruption [--flips N] [--seed S] [--large 1]\n");
		return 2;
	}
	snprintf(rig.path, sizeof rig.path, "%s/x.db", rig.directory);
	snprintf(rig.log_path, sizeof rig.log_path, "%s-wal", rig.path);
	snprintf(rig.url, sizeof rig.url, "sqlite:%s", rig.path);
	log_set_level(LOG_ERROR + 1); /* damage is what happens here */
	digest_install();
	rig.disk = crash_disk_new(rig.path);
	bool is_ready = make_files(&rig, seed, is_large) && look_at_whole(&rig);

	for (uint64_t i = 0; i < flips && is_ready; i++) {
		if (i % 1000 == 999)
			fprintf(stderr, "corruption: %" PRIu64 " of %" PRIu64 " flips\n", i + 1, flips);
		flip(&rig, &seed);
	}
	bool held = report(&rig, boot_since_us(clock_read().boot, began));

	digest_free(rig.digest);
	crash_disk_free(rig.disk);
	free(rig.bytes[DB]);
	free(rig.bytes[LOG]);
	char key_file[80];

	snprintf(key_file, sizeof key_file, "%s.key", rig.path);
	unlink(key_file);
	unlink(rig.path);
	rmdir(rig.directory);
	return held ? 0 : 1;
}
