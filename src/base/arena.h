/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is given back all at once: one arena a request, an attempt batch, a store job.
 *
 * Never returns NULL: what goes in is bounded by the limits of the caller (body size, batch size), so
 * running dry means the machine is out of memory, and then the process ends with a message; what was
 * answered or recorded is on disk (P1, P2), and the supervisor starts it again. Not thread-safe: it has one
 * owner at a time, and may move between threads with its owner. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* owned, newest first */
	char *free_at;		    /* within the newest chunk */
	size_t free_n;
};

/* A zeroed arena is ready for use; there is no init. */
void arena_release(struct arena *arena);
/* The memory it holds. */
size_t arena_bytes(const struct arena *arena);
/* `n` zeroed bytes, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t n);
/* A copy of `s` inside the arena, with a zero byte behind it that `n` does not count. Absent stays absent. */
struct str arena_copy(struct arena *arena, struct str s);
struct str arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same rule for plain memory: zeroed, or the process ends. Give back with free(). */
void *memory_new(size_t n);
/* As realloc(); new bytes are not zeroed. */
void *memory_resize(void *p, size_t n);

#endif
