/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk in memory that loses what was not synced when its power goes: a SQLite VFS for the real store.
 *
 * While it lives it is SQLite's default VFS and holds every file whose name begins with `prefix`; other names go to the
 * VFS that was the default before. The store needs no change: its lock and its key stay files of the real file system,
 *so `prefix` is a directory that exists, or a name in one. It behaves as Linux does with ext4: a sync of a file brings
 *its data and size to the medium, its name gets there with a sync of the directory, which SQLite asks for with a new
 *log or journal. One process, one thread at a time, any number of connections.
 *
 *	disk = crash_disk_new("/tmp/x/");
 *	crash_disk_set_faults(disk, &(struct crash_disk_faults){ .off_in = 40 });
 *	… work until a verb fails and crash_disk_is_off(disk), or stop anywhere …
 *	crash_disk_cut(disk, &dice);	what is open now is dead: every call of it fails
 *	store_close(store);		before the cut or after it, but the store of a dead process is only freed
 *	… open anew …
 *
 * The same calls with the same dice leave the same files. What they are called with depends on ids, which the product
 * draws from the machine: link fixed_chance.c for histories that repeat to the byte. */
#ifndef SIM_CRASH_DISK_H
#define SIM_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crash_disk;

/* The n-th from now on, each once; 0: never. The power goes with that call: a write happens, maybe torn, a sync does
 * not, and everything after it fails. */
struct crash_disk_faults {
	uint64_t off_in;		     /* of all reads, writes, truncations, syncs, creations and deletions */
	uint64_t off_at_sync_in;	     /* of all syncs */
	uint64_t write_in, read_in, sync_in; /* EIO. After a failed sync the next one succeeds without having written */
	int64_t room_bytes;		     /* what all files may take up together, or ENOSPC; 0: no end of it */
};

struct crash_disk_sums {
	uint64_t calls, syncs, cuts;
	uint64_t sectors_lost; /* by cuts */
	uint64_t names_lost;   /* creations and deletions undone by cuts */
	uint64_t faults;       /* calls that failed, or were cut off, by what was set */
};

struct crash_disk *crash_disk_new(const char *prefix);
/* Every connection must be closed. */
void crash_disk_free(struct crash_disk *disk);
/* Replaces those set before. */
void crash_disk_set_faults(struct crash_disk *disk, const struct crash_disk_faults *faults);
void crash_disk_turn_off(struct crash_disk *disk);
bool crash_disk_is_off(const struct crash_disk *disk);
/* Power loss and power back. Synced data is there; of the rest any part, by sector, may be. How much is drawn, too:
 * nothing, all, what was written before some moment, or each sector by itself. Faults set are gone. */
void crash_disk_cut(struct crash_disk *disk, uint64_t *dice);
struct crash_disk_sums crash_disk_sum(const struct crash_disk *disk);

/* A file's bytes as programs see them; NULL: it is not there. Borrowed until the next change. */
const uint8_t *crash_disk_bytes(const struct crash_disk *disk, const char *path, size_t *n);
/* Puts a whole file there, synced. Connections to it must be idle and find it as if they had just opened it, when its
 * log is put there, too. NULL removes it; it must not be open. */
void crash_disk_put(struct crash_disk *disk, const char *path, const uint8_t *bytes, size_t n);

#endif
