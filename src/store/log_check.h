/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether SQLite's write-ahead log has lost commits in its middle (https://sqlite.org/fileformat2.html#walformat).
 *
 * SQLite recovers a log up to the first frame that does not fit its sum, and says nothing about what follows: right for
 * a commit that a power cut tore, wrong for a log that has changed on the medium. Pure. */
#ifndef STORE_LOG_CHECK_H
#define STORE_LOG_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_reader {
	bool (*read)(void *ctx, void *to, size_t n, int64_t at); /* false: that cannot be read */
	void *ctx;
	int64_t bytes; /* the log's size */
};

/* True: a commit that recovery drops had been synced, since another was begun behind it. Damage in the last commit, or
 * in the last frame of the one before, cannot be told from a torn commit and is not found. */
bool log_is_damaged(const struct log_reader *reader);

#endif
