/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies the log back in time, and keeps room on the disk, so that a full one stops new work and nothing else.
 *
 *   kept ──── a write found no space: the file goes, the log is copied back and cut ────▶ spent
 *     ▲─────────────────────────────── it could be made anew ───────────────────────────────┘
 *
 * While the reserve is spent, what can wait is refused by the store thread; what comes of runs that are on the wire
 * uses the room, and the log is cut after every group, so that it never takes the room of the database (P14). */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/metrics.h"
#include "store/internal.h"

enum {
	CHECKPOINT_PAGES = 4000,      /* copy back when the log is longer than this */
	CHECKPOINT_PAGES_LOW = 500,   /* the same on a disk that is nearly full */
	CHECKPOINT_PAGES_MAX = 15000, /* 60 MB: from here wait for readers */
	ROOM_BYTES_LOW = 16 << 20,
};

#define RENEW_US (250 * US_PER_MS) /* between two attempts to make the reserve anew */

static const char remedy[] =
	"free space, or raise the quota or the file size limit; until then writes are refused and nothing new is sent, "
	"and within 2 s of it the service goes on by itself";

static void set_spent(struct store *store)
{
	store->room_looked_at = clock_read().boot;
	metric_set(METRIC_STORE_RESERVE_SPENT, 1);
}

static void log_failed(const struct store *store, int failed)
{
	bool is_spent = store->reserve.is_spent;

	log_event(LOG_ERROR, is_spent ? "disk_full" : "reserve_failed", log_text("path", store->reserve.path),
		  log_text("error",
			   failed == EEXIST ? "the service did not make this file; move it away" : strerror(failed)),
		  log_text("remedy",
			   is_spent ? remedy
				    : "see to it, then start again; until then results may wait for a full disk"));
}

void store_room_open(struct store *store, const char *path, int64_t reserve_bytes)
{
	int failed = reserve_open(&store->reserve, path, reserve_bytes);

	if (store->reserve.is_spent)
		set_spent(store);
	if (failed)
		log_failed(store, failed);
}

/* Also without a reserve: the log's own length is room. */
static enum err make_room(struct store *store)
{
	if (store->reserve.bytes && !store->reserve.is_spent) {
		log_event(LOG_ERROR, "disk_full", log_text("path", store->places[0].path),
			  log_text("error", store->db->full), log_text("remedy", remedy));
		reserve_spend(&store->reserve);
		set_spent(store);
	}
	return db_checkpoint(store->db, true);
}

void store_room_renew(struct store *store)
{
	struct boot now = clock_read().boot;

	if (!store->reserve.is_spent || boot_since_us(now, store->room_looked_at) < RENEW_US)
		return;
	store->room_looked_at = now;
	int failed = reserve_renew(&store->reserve);

	if (store->reserve.is_spent)
		return;
	metric_set(METRIC_STORE_RESERVE_SPENT, 0);
	if (failed)
		log_failed(store, failed);
	else
		log_event(LOG_INFO, "disk_has_room", log_text("path", store->places[0].path));
}

bool store_room_is_short(const struct store *store)
{
	return store->reserve.is_spent;
}

static bool is_low(const struct store *store)
{
	struct statvfs disk;

	return statvfs(store->places[0].path, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < ROOM_BYTES_LOW;
}

enum err store_checkpoint(struct store *store)
{
	unsigned pages = db_log_pages(store->db);

	if (db_take_full(store->db))
		return make_room(store);
	if (pages == 0 ||
	    (pages < CHECKPOINT_PAGES && !store->reserve.is_spent && (pages < CHECKPOINT_PAGES_LOW || !is_low(store))))
		return ERR_OK;
	bool whole = store->reserve.is_spent || pages > CHECKPOINT_PAGES_MAX;

	FAILPOINT("store.checkpoint.due");
	enum err err = db_checkpoint(store->db, whole);

	FAILPOINT("store.checkpoint.done");
	if (err != ERR_OK && pages > CHECKPOINT_PAGES_MAX)
		log_event(LOG_WARN, "checkpoint_held_up", log_int("log_pages", pages),
			  log_text("error", db_last_error(store->db)));
	return err;
}
