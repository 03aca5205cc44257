/* SPDX-License-Identifier: BSD-3-Clause */
/* Compares device and inode with those noted. */
#include "store/file_place.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

void file_place_note(struct file_place *place, const char *path)
{
	struct stat file;

	place->path[0] = '\0';
	if (stat(path, &file) != 0)
		return;
	snprintf(place->path, sizeof place->path, "%s", path);
	place->device = file.st_dev;
	place->inode = file.st_ino;
}

bool file_place_holds(const struct file_place *place)
{
	struct stat file;

	if (!place->path[0])
		return true;
	if (stat(place->path, &file) != 0)
		return errno != ENOENT && errno != ENOTDIR;
	return file.st_dev == place->device && file.st_ino == place->inode;
}
