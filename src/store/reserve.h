/* SPDX-License-Identifier: BSD-3-Clause */
/* A file that holds room on the database's disk for the moment when there is none left: giving it up lets what must be
 * written still be written. */
#ifndef STORE_RESERVE_H
#define STORE_RESERVE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct reserve {
	char path[PATH_MAX];
	int64_t bytes; /* 0: none is kept */
	bool is_spent;
};

/* Makes `database`.reserve. A disk without the room leaves it spent; one that cannot set room aside at all (a file size
 * limit, odd file systems), none: 0 or errno's number. EEXIST: a file of that name is not ours; it is left alone. */
int reserve_open(struct reserve *reserve, const char *database, int64_t bytes);
/* Makes a spent one anew, once there is an eighth more room than it takes: 0 or errno's number. It stays spent while
 * something is short (room, quota, the file size limit, descriptors); anything else, EEXIST too, leaves none. */
int reserve_renew(struct reserve *reserve);
void reserve_spend(struct reserve *reserve);

#endif
