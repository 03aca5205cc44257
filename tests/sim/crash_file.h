/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes of one file on a disk that may lose power: what programs see, and what of it is not on the medium yet.
 *
 * Every write and truncation keeps what the sectors held before. A sync forgets that; a cut goes back to it for a
 * random part of the sectors. So a synced sector is never lost, and one that was written several times since may hold
 * any of those versions. PSOW (SQLite's word): a write never touches bytes outside its range. */
#ifndef SIM_CRASH_FILE_H
#define SIM_CRASH_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CRASH_SECTOR_BYTES = 512 };

struct crash_file_change {
	int64_t sector;
	bool was_blank;	  /* zeros before: nothing is kept */
	bool is_settled;  /* a truncation since is on the medium */
	size_t before_at; /* into `before` otherwise */
};

/* File systems do it whole or not at all, and what is written after it never mixes with what it took away. */
struct crash_file_truncation {
	size_t begin, end; /* its changes */
	int64_t size_before, size;
};

struct crash_file {
	uint8_t *bytes; /* owned; zeros beyond `size` */
	int64_t size, room;
	int64_t synced_size;
	struct crash_file_change *changes; /* owned; since the last sync, oldest first */
	size_t changes_n, changes_room;
	struct crash_file_truncation *truncations; /* owned; since the last sync, oldest first */
	size_t truncations_n, truncations_room;
	uint8_t *before; /* owned: sectors */
	size_t before_n, before_room;
	size_t given_up_n; /* the first so many changes are beyond a later sync: one has failed (fsyncgate) */
};

/* How much of what was not synced survives a cut of the power. */
enum crash_survival {
	SURVIVES_NOTHING,
	SURVIVES_ALL,
	SURVIVES_IN_ORDER, /* what was written before some moment */
	SURVIVES_SCATTERED,
	CRASH_SURVIVALS_N
};

struct crash_cut {
	uint64_t *dice;
	enum crash_survival survival;
	unsigned percent;	 /* of sectors, and of sizes and names; scattered only */
	bool leaves_garbage;	 /* in sectors that the file got but that were never written */
	uint64_t sectors_lost_n; /* out */
};

void crash_file_release(struct crash_file *file);
void crash_file_write(struct crash_file *file, const void *bytes, int64_t n, int64_t at);
/* Shorter, or longer with zeros. */
void crash_file_resize(struct crash_file *file, int64_t size);
void crash_file_sync(struct crash_file *file);
/* What a Linux file system does at a failed sync: what is not on the medium counts as written, and the next sync
 * succeeds without it. */
void crash_file_sync_fails(struct crash_file *file);
void crash_file_cut(struct crash_file *file, struct crash_cut *cut);
/* Percent that something which may or may not have reached the medium has. */
bool crash_cut_survives(const struct crash_cut *cut);

#endif
