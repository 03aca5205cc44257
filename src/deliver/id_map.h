/* SPDX-License-Identifier: BSD-3-Clause */
/* A fixed-size table from 64-bit ids to 32-bit places; one id may stand in it more than once. Pure; all memory is taken
 * at id_map_init. */
#ifndef DELIVER_ID_MAP_H
#define DELIVER_ID_MAP_H

#include <stdint.h>

enum { ID_MAP_NONE = UINT32_MAX };

struct id_map_cell {
	int64_t id;
	uint32_t place; /* ID_MAP_NONE: the cell is empty */
};

struct id_map {
	struct id_map_cell *cells; /* owned */
	uint32_t mask;		   /* cells minus 1; a power of two, at least twice what is kept */
	uint32_t n, n_max;
};

/* Room for `n_max` entries. */
void id_map_init(struct id_map *map, uint32_t n_max);
void id_map_release(struct id_map *map);
void id_map_clear(struct id_map *map);
/* There must be room. */
void id_map_insert(struct id_map *map, int64_t id, uint32_t place);
/* The pair must be there. */
void id_map_remove(struct id_map *map, int64_t id, uint32_t place);
/* A place of `id`, or ID_MAP_NONE. */
uint32_t id_map_find(const struct id_map *map, int64_t id);
/* All places of `id`, one a call: start with *cursor = 0, ends with ID_MAP_NONE. The map must not change in between. */
uint32_t id_map_each(const struct id_map *map, int64_t id, uint32_t *cursor);

#endif
