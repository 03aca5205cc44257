/* SPDX-License-Identifier: BSD-3-Clause */
/* Is a file that we have open still the one under its name? A file that was removed or replaced takes writes as before, and
 * loses them all when its last descriptor is closed. */
#ifndef STORE_FILE_PLACE_H
#define STORE_FILE_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct file_place {
	char path[PATH_MAX]; /* empty: nothing was noted, and nothing is missed */
	dev_t device;
	ino_t inode;
};

/* Notes what `path` names now; nothing when it names nothing. */
void file_place_note(struct file_place *place, const char *path);
/* False: another file or none is there. True also when that cannot be told (permissions, an I/O error). */
bool file_place_holds(const struct file_place *place);

#endif
