/* SPDX-License-Identifier: BSD-3-Clause */
/* posix_fallocate(3) takes the blocks, unlink(2) gives them back: neither has to write anything on a full disk. */
#include "store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Takes `room` bytes for the file and keeps reserve->bytes of them. Returns 0 or errno's number, and then no file is
 * left. */
static int fill(const struct reserve *reserve, int64_t room)
{
	int fd = open(reserve->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return errno;
	int failed = posix_fallocate(fd, 0, room);

	if (!failed && ftruncate(fd, reserve->bytes) < 0)
		failed = errno;
	close(fd);
	if (failed)
		unlink(reserve->path);
	return failed;
}

int reserve_open(struct reserve *reserve, const char *database, int64_t bytes)
{
	if (bytes <= 0 ||
	    (size_t)snprintf(reserve->path, sizeof reserve->path, "%s.reserve", database) >= sizeof reserve->path)
		return 0;
	reserve->bytes = bytes;

	int failed = fill(reserve, bytes);

	reserve->is_spent = failed == ENOSPC || failed == EDQUOT;
	if (failed && !reserve->is_spent)
		reserve->bytes = 0;
	return failed;
}

bool reserve_renew(struct reserve *reserve)
{
	reserve->is_spent = fill(reserve, reserve->bytes + reserve->bytes / 8) != 0;
	return !reserve->is_spent;
}

void reserve_spend(struct reserve *reserve)
{
	unlink(reserve->path);
	reserve->is_spent = true;
}
