/* SPDX-License-Identifier: BSD-3-Clause */
/* Open addressing with linear probing, never more than half full; removal shifts followers back, so there are no
 * tombstones and no rehash. */
#include "deliver/id_map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"

static uint32_t home_of(const struct id_map *map, int64_t id)
{
	uint64_t mixed = (uint64_t)id * UINT64_C(0x9E3779B97F4A7C15);

	return (uint32_t)(mixed >> 32) & map->mask;
}

void id_map_init(struct id_map *map, uint32_t n_max)
{
	uint32_t cells = 4;

	assert(n_max <= UINT32_MAX / 4);
	while (cells < 2 * n_max)
		cells *= 2;
	*map = (struct id_map){ .cells = memory_new(cells * sizeof *map->cells), .mask = cells - 1, .n_max = n_max };
	id_map_clear(map);
}

void id_map_release(struct id_map *map)
{
	free(map->cells);
	map->cells = NULL;
}

void id_map_clear(struct id_map *map)
{
	for (uint32_t i = 0; i <= map->mask; i++)
		map->cells[i].place = ID_MAP_NONE;
	map->n = 0;
}

void id_map_insert(struct id_map *map, int64_t id, uint32_t place)
{
	uint32_t at = home_of(map, id);

	assert(map->n < map->n_max && place != ID_MAP_NONE);
	while (map->cells[at].place != ID_MAP_NONE)
		at = (at + 1) & map->mask;
	map->cells[at] = (struct id_map_cell){ .id = id, .place = place };
	map->n++;
}

/* Moves later members of the probe sequence into the hole, as long as that brings them nearer home. */
static void close_hole(struct id_map *map, uint32_t hole)
{
	for (uint32_t at = (hole + 1) & map->mask; map->cells[at].place != ID_MAP_NONE; at = (at + 1) & map->mask) {
		uint32_t home = home_of(map, map->cells[at].id);

		if (((at - home) & map->mask) < ((at - hole) & map->mask))
			continue;
		map->cells[hole] = map->cells[at];
		hole = at;
	}
	map->cells[hole].place = ID_MAP_NONE;
}

void id_map_remove(struct id_map *map, int64_t id, uint32_t place)
{
	uint32_t at = home_of(map, id);

	while (map->cells[at].id != id || map->cells[at].place != place) {
		assert(map->cells[at].place != ID_MAP_NONE);
		at = (at + 1) & map->mask;
	}
	close_hole(map, at);
	map->n--;
}

uint32_t id_map_each(const struct id_map *map, int64_t id, uint32_t *cursor)
{
	for (;;) {
		const struct id_map_cell *cell = &map->cells[(home_of(map, id) + *cursor) & map->mask];

		if (cell->place == ID_MAP_NONE)
			return ID_MAP_NONE;
		++*cursor;
		if (cell->id == id)
			return cell->place;
	}
}

uint32_t id_map_find(const struct id_map *map, int64_t id)
{
	uint32_t cursor = 0;

	return id_map_each(map, id, &cursor);
}
