/* SPDX-License-Identifier: BSD-3-Clause */
/* In place of store/file_place.c: nobody takes the files of a disk in memory away, and asking the real file system at
 * every commit costs a seventh of a history. */
#include "store/file_place.h"

void file_place_note(struct file_place *place, const char *path)
{
	(void)path;
	place->path[0] = '\0';
}

bool file_place_holds(const struct file_place *place)
{
	return place->path[0] == '\0';
}
