/* SPDX-License-Identifier: BSD-3-Clause */
/* Keeps a log of what sectors held before they were written, and undoes a part of it when the power goes.
 *
 * The log is in the order of writing and is only sorted at a cut: a write costs one copy of its sectors, no look-up
 * and, once the buffers have grown, no allocation. */
#include "crash_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "dice.h"

enum { SECTOR = CRASH_SECTOR_BYTES };

void crash_file_release(struct crash_file *file)
{
	free(file->bytes);
	free(file->changes);
	free(file->truncations);
	free(file->before);
	*file = (struct crash_file){ 0 };
}

static void make_room(struct crash_file *file, int64_t size)
{
	if (size <= file->room)
		return;
	int64_t room = file->room ? file->room : 16 * SECTOR;

	while (room < size)
		room *= 2;
	file->bytes = memory_resize(file->bytes, (size_t)room);
	memset(file->bytes + file->room, 0, (size_t)(room - file->room));
	file->room = room;
}

static void note_change(struct crash_file *file, int64_t sector)
{
	bool was_blank = sector * SECTOR >= file->size;

	if (file->changes_n == file->changes_room) {
		file->changes_room = file->changes_room ? 2 * file->changes_room : 256;
		file->changes = memory_resize(file->changes, file->changes_room * sizeof *file->changes);
	}
	file->changes[file->changes_n++] = (struct crash_file_change){ sector, was_blank, false, file->before_n };
	if (was_blank)
		return;
	if (file->before_n + SECTOR > file->before_room) {
		file->before_room = file->before_room ? 2 * file->before_room : 64 * SECTOR;
		file->before = memory_resize(file->before, file->before_room);
	}
	memcpy(file->before + file->before_n, file->bytes + sector * SECTOR, SECTOR);
	file->before_n += SECTOR;
}

static void note_changes(struct crash_file *file, int64_t from, int64_t to)
{
	for (int64_t sector = from / SECTOR; sector * SECTOR < to; sector++)
		note_change(file, sector);
}

static void note_truncation(struct crash_file *file, struct crash_file_truncation truncation)
{
	if (file->truncations_n == file->truncations_room) {
		file->truncations_room = file->truncations_room ? 2 * file->truncations_room : 4;
		file->truncations =
			memory_resize(file->truncations, file->truncations_room * sizeof *file->truncations);
	}
	file->truncations[file->truncations_n++] = truncation;
}

void crash_file_write(struct crash_file *file, const void *bytes, int64_t n, int64_t at)
{
	make_room(file, at + n);
	note_changes(file, at, at + n);
	memcpy(file->bytes + at, bytes, (size_t)n);
	if (file->size < at + n)
		file->size = at + n;
}

void crash_file_resize(struct crash_file *file, int64_t size)
{
	struct crash_file_truncation truncation = { .begin = file->changes_n, .size_before = file->size, .size = size };

	make_room(file, size);
	if (size < file->size) {
		note_changes(file, size, file->size);
		memset(file->bytes + size, 0, (size_t)(file->size - size));
		truncation.end = file->changes_n;
		note_truncation(file, truncation);
	}
	file->size = size;
}

/* A sector that was given up and has been written again since is on the medium now. */
static bool is_written_again(const struct crash_file *file, int64_t sector)
{
	for (size_t i = file->given_up_n; i < file->changes_n; i++)
		if (file->changes[i].sector == sector)
			return true;
	return false;
}

void crash_file_sync(struct crash_file *file)
{
	size_t kept_n = 0;

	for (size_t i = 0; i < file->given_up_n; i++)
		if (!is_written_again(file, file->changes[i].sector))
			file->changes[kept_n++] = file->changes[i];
	file->changes_n = file->given_up_n = kept_n;
	file->truncations_n = 0;
	if (kept_n == 0)
		file->before_n = 0;
	file->synced_size = file->size;
}

void crash_file_sync_fails(struct crash_file *file)
{
	file->given_up_n = file->changes_n;
}

/* --- the cut --------------------------------------------------------------------------------------------- */

bool crash_cut_survives(const struct crash_cut *cut)
{
	switch (cut->survival) {
	case SURVIVES_NOTHING:
		return false;
	case SURVIVES_ALL:
		return true;
	default:
		return chance(cut->dice, cut->percent);
	}
}

struct place {
	int64_t sector;
	size_t change;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->sector != y->sector)
		return x->sector < y->sector ? -1 : 1;
	return x->change < y->change ? -1 : x->change > y->change;
}

/* How many of the changes of one sector reached the medium. */
static size_t draw_version(const struct crash_cut *cut, const struct place *places, size_t n, size_t moment)
{
	size_t version = 0;

	if (cut->survival == SURVIVES_IN_ORDER) {
		while (version < n && places[version].change < moment)
			version++;
		return version;
	}
	return crash_cut_survives(cut)		     ? n
	       : cut->survival == SURVIVES_SCATTERED ? (size_t)between(cut->dice, 0, (int64_t)n - 1)
						     : 0;
}

static void put_back(struct crash_file *file, const struct crash_file_change *change, const struct crash_cut *cut)
{
	uint8_t *bytes = file->bytes + change->sector * SECTOR;

	if (!change->was_blank)
		memcpy(bytes, file->before + change->before_at, SECTOR);
	else if (!cut->leaves_garbage || change->sector * SECTOR < file->synced_size)
		memset(bytes, 0, SECTOR);
	else
		for (size_t i = 0; i < SECTOR; i += sizeof(uint64_t)) {
			uint64_t garbage = next_dice(cut->dice);

			memcpy(bytes + i, &garbage, sizeof garbage);
		}
}

static void cut_sectors(struct crash_file *file, struct crash_cut *cut)
{
	size_t n = 0, moment = (size_t)between(cut->dice, 0, (int64_t)file->changes_n);
	struct place *places = memory_new((file->changes_n + 1) * sizeof *places);

	for (size_t i = 0; i < file->changes_n; i++)
		if (!file->changes[i].is_settled)
			places[n++] = (struct place){ file->changes[i].sector, i };
	qsort(places, n, sizeof *places, compare_places);
	for (size_t at = 0, end; at < n; at = end) {
		for (end = at + 1; end < n && places[end].sector == places[at].sector; end++)
			;
		size_t version = draw_version(cut, places + at, end - at, moment);

		if (version == end - at)
			continue;
		put_back(file, &file->changes[places[at + version].change], cut);
		cut->sectors_lost_n++;
	}
	free(places);
}

static void undo(struct crash_file *file, const struct crash_file_truncation *truncation)
{
	while (file->changes_n > truncation->begin) {
		const struct crash_file_change *change = &file->changes[--file->changes_n];
		uint8_t *bytes = file->bytes + change->sector * SECTOR;

		if (change->was_blank)
			memset(bytes, 0, SECTOR);
		else
			memcpy(bytes, file->before + change->before_at, SECTOR);
	}
	file->size = truncation->size_before;
}

/* What it took away cannot come back. */
static void settle(struct crash_file *file, const struct crash_file_truncation *truncation)
{
	for (size_t i = 0; i < truncation->end; i++)
		if (file->changes[i].sector * SECTOR >= truncation->size)
			file->changes[i].is_settled = true;
	if (file->synced_size > truncation->size)
		file->synced_size = truncation->size;
}

static void cut_truncations(struct crash_file *file, const struct crash_cut *cut)
{
	for (size_t i = 0; i < file->truncations_n; i++) {
		if (!crash_cut_survives(cut)) {
			undo(file, &file->truncations[i]);
			break;
		}
		settle(file, &file->truncations[i]);
	}
	file->truncations_n = 0;
}

/* The size that was synced, the one that was seen last, or, of a file that grew, one between. */
static int64_t draw_size(const struct crash_file *file, const struct crash_cut *cut)
{
	if (crash_cut_survives(cut))
		return file->size;
	if (cut->survival == SURVIVES_NOTHING || file->size <= file->synced_size || chance(cut->dice, 50))
		return file->synced_size;
	return between(cut->dice, file->synced_size, file->size);
}

void crash_file_cut(struct crash_file *file, struct crash_cut *cut)
{
	cut_truncations(file, cut);

	int64_t size = draw_size(file, cut);

	assert(size <= file->room);
	cut_sectors(file, cut);
	if (size < file->room)
		memset(file->bytes + size, 0, (size_t)(file->room - size));
	file->size = file->synced_size = size;
	file->changes_n = file->before_n = file->given_up_n = 0;
}
