/* SPDX-License-Identifier: BSD-3-Clause */
/* posix_fallocate(3) takes the blocks, unlink(2) gives them back: neither has to write anything on a full disk. */
#include "store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A reserve that renewal makes anew is cut to its length last. */
static int64_t bytes_most(const struct reserve *reserve)
{
	return reserve->bytes + reserve->bytes / 8;
}

/* What we made is a file of zeros; in another one somebody may miss something. */
static bool is_ours(const struct reserve *reserve, int fd)
{
	static const char zeros[16384];
	char bytes[sizeof zeros];
	struct stat file;
	ssize_t n;

	if (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode) || file.st_size > bytes_most(reserve))
		return false;
	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		if (memcmp(bytes, zeros, (size_t)n) != 0)
			return false;
	return n == 0;
}

/* Takes `room` bytes for the file and keeps reserve->bytes of them. Returns 0 or errno's number, and then no file of
 * ours is left. EEXIST: there is another's. */
static int fill(const struct reserve *reserve, int64_t room)
{
	int fd = open(reserve->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return errno;
	if (!is_ours(reserve, fd)) {
		close(fd);
		return EEXIST;
	}
	int failed = posix_fallocate(fd, 0, room);

	if (!failed && ftruncate(fd, reserve->bytes) < 0)
		failed = errno;
	close(fd);
	if (failed)
		unlink(reserve->path);
	return failed;
}

/* What we are short of may be there later; where anything else is in the way there is no reserve. A file size limit, or
 * one of descriptors, that a reserve was once made under has been lowered or met since, and may be raised. */
static int make(struct reserve *reserve, int64_t room)
{
	int failed = fill(reserve, room);

	reserve->is_spent =
		failed == ENOSPC || failed == EDQUOT ||
		(reserve->is_spent && (failed == EFBIG || failed == EMFILE || failed == ENFILE || failed == EINTR));
	if (failed && !reserve->is_spent)
		reserve->bytes = 0;
	return failed;
}

int reserve_open(struct reserve *reserve, const char *database, int64_t bytes)
{
	if (bytes <= 0)
		return 0;
	if ((size_t)snprintf(reserve->path, sizeof reserve->path, "%s.reserve", database) >= sizeof reserve->path)
		return ENAMETOOLONG;
	reserve->bytes = bytes;
	reserve->is_spent = false;
	return make(reserve, bytes);
}

int reserve_renew(struct reserve *reserve)
{
	return make(reserve, bytes_most(reserve));
}

void reserve_spend(struct reserve *reserve)
{
	unlink(reserve->path);
	reserve->is_spent = true;
}
