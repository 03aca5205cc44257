/* SPDX-License-Identifier: BSD-3-Clause */
/* Two kinds of time that must not be mixed, so they are two types.
 *
 * `struct wall` is an instant on the calendar: microseconds since 1970-01-01T00:00:00Z without leap seconds, may
 * step in either direction; planned instants are compared with it. `struct boot` is elapsed time including
 * suspend (CLOCK_BOOTTIME), never steps; deadlines and durations use it. All functions here are pure. */
#ifndef BASE_INSTANT_H
#define BASE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_SECOND INT64_C(1000000)
#define US_PER_MINUTE (60 * US_PER_SECOND)
#define US_PER_DAY (86400 * US_PER_SECOND)

/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: no instant of the product lies outside. */
#define WALL_US_MIN INT64_C(-62135596800000000)
#define WALL_US_MAX INT64_C(253402300799999999)

struct wall {
	int64_t us;
};

struct boot {
	int64_t us;
};

/* Both clocks, read together, once per loop turn. */
struct instant {
	struct wall wall;
	struct boot boot;
};

static inline struct wall wall_add_us(struct wall w, int64_t us)
{
	return (struct wall){ w.us + us };
}

static inline bool wall_is_after(struct wall a, struct wall b)
{
	return a.us > b.us;
}

static inline struct wall wall_max(struct wall a, struct wall b)
{
	return a.us > b.us ? a : b;
}

static inline struct boot boot_add_us(struct boot b, int64_t us)
{
	return (struct boot){ b.us + us };
}

static inline int64_t boot_since_us(struct boot later, struct boot earlier)
{
	return later.us - earlier.us;
}

static inline bool boot_is_after(struct boot a, struct boot b)
{
	return a.us > b.us;
}

#endif
