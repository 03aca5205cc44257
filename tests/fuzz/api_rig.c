/* SPDX-License-Identifier: BSD-3-Clause */
/* One loop, one disk in memory, one image of a new database and two connections to it for the life of the program;
 * stores and API anew for every input, over the image put back, so that inputs know nothing of each other.
 *
 * Reading the schema and preparing statements took half of an input's time, so a connection outlives its store: the
 * next one gets it with its statements. */
#include "api_rig.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "api/api.h"
#include "base/crypto.h"
#include "base/log.h"
#include "crash_disk.h"
#include "front.h"
#include "machine.h"
#include "store/db.h"

enum { ANSWER_BYTES_MAX = 64 << 20, PAGES = 2048, PAGE_BYTES = 4096 + 512 /* with SQLite's own header */ };

static struct {
	char directory[64], path[80], log_path[88], url[100];
	struct crash_disk *disk;
	uint8_t *image;
	size_t image_n;
	struct db *kept[2]; /* the writer's connection and the reader's */
	struct db_ops kept_ops;
	_Alignas(8) char pages[PAGES][PAGE_BYTES];
	uv_loop_t loop;
	struct zonefile_cache *zones;
	struct egress_policy egress;
	struct front *front;
	struct buf answer;

	struct instant now;
	struct store *store, *reader;
	struct store_thread *writer;
	struct api *api;
	bool is_answered;
	unsigned status;
} rig;

static void stay_open(struct db *db)
{
	(void)db;
}

/* What nobody but SQLite has written needs no check of its pages, which takes as long as ten requests. */
static enum err say_whole(struct db *db, bool quick, char *text, size_t text_room, bool *is_ok)
{
	(void)db;
	(void)quick;
	(void)text;
	(void)text_room;
	*is_ok = true;
	return ERR_OK;
}

/* The linker calls these (--wrap=db_sqlite_open). */
enum err __real_db_sqlite_open(const struct db_settings *settings, struct db **db, struct error *error);
enum err __wrap_db_sqlite_open(const struct db_settings *settings, struct db **db, struct error *error);

enum err __wrap_db_sqlite_open(const struct db_settings *settings, struct db **db, struct error *error)
{
	struct db **kept = &rig.kept[settings->read_only];

	if (!rig.image)
		return __real_db_sqlite_open(settings, db, error);
	if (!*kept && __real_db_sqlite_open(settings, kept, error) != ERR_OK)
		abort();
	rig.kept_ops = *(*kept)->ops;
	rig.kept_ops.close = stay_open;
	rig.kept_ops.integrity = say_whole;
	(*kept)->ops = &rig.kept_ops;
	*db = *kept;
	return ERR_OK;
}

static enum err insert_users(struct store *store, struct store_job *job)
{
	static const struct {
		const char *name, *token;
		bool is_staff, is_active;
	} rows[RIG_USERS_N] = { { "root", RIG_ROOT_TOKEN, true, true },
				{ "ann", RIG_ANN_TOKEN, false, true },
				{ "gone", RIG_GONE_TOKEN, true, false } };

	(void)job;
	for (int64_t i = 0; i < RIG_USERS_N; i++) {
		struct user user = { .username = str_from(rows[i].name),
				     .email = STR("a@b.example"),
				     .is_staff = rows[i].is_staff,
				     .is_active = rows[i].is_active };
		uint8_t digest[DIGEST_BYTES];
		int64_t id = 0;

		sha256(str_from(rows[i].token), digest);
		if (store_user_insert(store, &user, (struct wall){ 0 }, &id) != ERR_OK || id != i + 1 ||
		    store_user_set_active(store, id, user.is_active) != ERR_OK ||
		    store_token_insert(store, id, digest, rows[i].token, (struct wall){ 0 }) != ERR_OK)
			return ERR_INVALID;
	}
	return ERR_OK;
}

static void on_answer(void *ctx, void *request, unsigned status, struct str body)
{
	(void)ctx;
	(void)request;
	assert(!rig.is_answered);
	rig.is_answered = true;
	rig.status = status;
	buf_clear(&rig.answer);
	buf_add(&rig.answer, body);
	assert(!rig.answer.failed);
}

static void remove_files(void)
{
	char name[100];

	snprintf(name, sizeof name, "%s.key", rig.path);
	unlink(name);
	unlink(rig.path); /* what the lock is on */
	rmdir(rig.directory);
}

static void open_writer(void)
{
	struct store_settings settings = { .url = str_from(rig.url), .interval_us_min = US_PER_SECOND };
	struct error error = { .text = "" };

	if (store_open_writer(&settings, &rig.store, &error) != ERR_OK) {
		fprintf(stderr, "%s\n", error.text);
		abort();
	}
}

/* Once. The image is what a writer leaves that has made the users and closed. */
static void begin(void)
{
	struct error error;
	const uint8_t *bytes;

	machine_set_chance(1);
	log_set_level(LOG_ERROR);
	snprintf(rig.directory, sizeof rig.directory, "%s/fuzz.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(rig.directory))
		abort();
	atexit(remove_files);
	snprintf(rig.path, sizeof rig.path, "%s/api.db", rig.directory);
	snprintf(rig.log_path, sizeof rig.log_path, "%s-wal", rig.path);
	snprintf(rig.url, sizeof rig.url, "sqlite:%s", rig.path);
	/* Pages come and go with every commit, which is dear with a sanitizer, and looks like a leak to libFuzzer. */
	sqlite3_config(SQLITE_CONFIG_PAGECACHE, rig.pages, PAGE_BYTES, PAGES);
	rig.disk = crash_disk_new(rig.directory);
	buf_init(&rig.answer, ANSWER_BYTES_MAX);
	uv_loop_init(&rig.loop);
	rig.zones = zonefile_cache_new(NULL);
	rig.front = front_new(on_answer, NULL);
	open_writer();
	if (store_run_now(rig.store, insert_users, NULL, &error) != ERR_OK)
		abort();
	store_close(rig.store);
	bytes = crash_disk_bytes(rig.disk, rig.path, &rig.image_n);
	rig.image = memory_new(rig.image_n);
	memcpy(rig.image, bytes, rig.image_n);
}

void rig_open(struct wall now)
{
	struct store_settings settings = { .interval_us_min = US_PER_SECOND };
	struct error error = { .text = "" };

	rig.now = (struct instant){ .wall = now, .boot = { US_PER_DAY } };
	machine_set_clock(rig.now);
	if (!rig.image)
		begin();
	machine_set_chance(2); /* also after begin, which has drawn */
	crash_disk_put(rig.disk, rig.path, rig.image, rig.image_n);
	crash_disk_put(rig.disk, rig.log_path, (const uint8_t *)"", 0);
	settings.url = str_from(rig.url);
	open_writer();
	if (store_open_reader(&settings, &rig.reader, &error) != ERR_OK)
		abort();
	rig.writer = store_thread_new(rig.store, NULL);
	rig.api = api_new(&(struct api_options){ .loop = &rig.loop,
						 .reader = rig.reader,
						 .writer = rig.writer,
						 .egress = &rig.egress,
						 .zones = rig.zones,
						 .interval_us_min = US_PER_SECOND });
	front_set_api(rig.front, rig.api);
}

void rig_close(void)
{
	api_drain(rig.api);
	uv_run(&rig.loop, UV_RUN_NOWAIT);
	api_free(rig.api);
	store_close(rig.reader);
	store_close(store_thread_free(rig.writer));
}

void rig_pass(int64_t us)
{
	rig.now.wall.us += us;
	rig.now.boot.us += us;
	machine_set_clock(rig.now);
}

struct wall rig_now(void)
{
	return rig.now.wall;
}

unsigned rig_ask(struct str request, struct str *body)
{
	struct error error;

	rig.is_answered = false;
	front_send(rig.front, request, request.n / 2, NULL);
	while (!store_thread_is_idle(rig.writer)) {
		enum err err = store_thread_turn(rig.writer, &error);

		assert(err == ERR_OK);
	}
	uv_run(&rig.loop, UV_RUN_NOWAIT);
	assert(rig.is_answered);
	*body = buf_str(&rig.answer);
	return rig.status;
}

void rig_write(enum err (*run)(struct store *store, struct store_job *job), void *ctx)
{
	struct error error;
	enum err err = store_run_now(rig.store, run, ctx, &error);

	assert(err == ERR_OK);
}

struct store *rig_reader(void)
{
	return rig.reader;
}
