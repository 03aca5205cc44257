/* SPDX-License-Identifier: BSD-3-Clause */
/* The lock that proves that nobody else writes this database: flock(2) on the database file itself.
 *
 * The kernel drops it when the process ends, however it ends. It does not meet SQLite's own locks, which are
 * fcntl(2)'s; but closing any descriptor of the file drops those, so the lock's descriptor is closed only after SQLite
 * has closed the database. */
#ifndef STORE_FILE_LOCK_H
#define STORE_FILE_LOCK_H

#include "base/err.h"

/* Makes the file (mode 0600) if need be and locks it. ERR_LOCKED names the pid that holds it. */
enum err file_lock_take(const char *path, int *fd, struct error *error) MUST_CHECK;
void file_lock_drop(int fd);
/* Who holds it, from /proc/locks; 0: nobody, or a process that cannot be seen from here. Opens nothing. */
int file_lock_holder(const char *path);

#endif
