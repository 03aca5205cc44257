/* SPDX-License-Identifier: BSD-3-Clause */
/* Looks in /proc/locks before it opens the file: a second descriptor in the process that has the database open may
 * never be closed. */
#include "store/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int file_lock_holder(const char *path)
{
	struct stat file;
	char line[256];
	int pid = 0;
	FILE *locks = stat(path, &file) == 0 ? fopen("/proc/locks", "re") : NULL;

	while (locks && pid == 0 && fgets(line, sizeof line, locks)) {
		unsigned major_n, minor_n;
		unsigned long inode;
		int holder;

		/* "7: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF"; a waiting one has "->" after the number and does
		 * not match. */
		if (sscanf(line, "%*d: FLOCK %*s WRITE %d %x:%x:%lu", &holder, &major_n, &minor_n, &inode) == 4 &&
		    inode == file.st_ino && major_n == major(file.st_dev) && minor_n == minor(file.st_dev) &&
		    holder > 0)
			pid = holder;
	}
	if (locks)
		fclose(locks);
	return pid;
}

static enum err refuse(const char *path, int pid, struct error *error)
{
	if (pid > 0)
		return error_set(error, ERR_LOCKED,
				 "%s is in use by process %d; stop that one first, or choose another database", path,
				 pid);
	return error_set(error, ERR_LOCKED,
			 "%s is in use by another process, which cannot be seen from here; stop that one first, "
			 "or choose another database",
			 path);
}

enum err file_lock_take(const char *path, int *fd, struct error *error)
{
	int pid = file_lock_holder(path);

	if (pid > 0)
		return refuse(path, pid, error);
	int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (opened < 0)
		return error_set(
			error, errno == EMFILE || errno == ENFILE ? ERR_UNAVAILABLE : ERR_IO,
			"cannot open %s for writing: %s; see to the file, its permissions and the space on its disk",
			path, strerror(errno));
	if (flock(opened, LOCK_EX | LOCK_NB) == 0) {
		*fd = opened;
		return ERR_OK;
	}
	int why = errno;

	close(opened);
	if (why == EWOULDBLOCK)
		return refuse(path, file_lock_holder(path), error);
	return error_set(error, ERR_IO, "cannot lock %s: %s", path, strerror(why));
}

void file_lock_drop(int fd)
{
	if (fd >= 0)
		close(fd);
}
