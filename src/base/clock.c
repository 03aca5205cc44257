/* SPDX-License-Identifier: BSD-3-Clause */
/* The product's only clock and only source of chance; everything else takes them as arguments. */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * US_PER_SECOND + t.tv_nsec / 1000;
}

struct instant clock_read(void)
{
	return (struct instant){ .wall = { read_us(CLOCK_REALTIME) }, .boot = { read_us(CLOCK_BOOTTIME) } };
}

void random_bytes(void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = getrandom((char *)p + done, n - done, 0);

		if (got < 0 && errno != EINTR) {
			perror("seed-scheduler: getrandom");
			abort();
		}
		done += got > 0 ? (size_t)got : 0;
	}
}

uint32_t random_u32(void)
{
	uint32_t bits;

	random_bytes(&bits, sizeof bits);
	return bits;
}
