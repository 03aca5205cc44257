/* SPDX-License-Identifier: BSD-3-Clause */
/* Bump allocation in chunks. This is the only file that calls malloc, calloc and realloc. */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 4096 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t bytes_n;
	_Alignas(max_align_t) char bytes[];
};

static void out_of_memory(void)
{
	static const char text[] = "seed-scheduler: out of memory, ending; nothing acknowledged is lost\n";

	fwrite(text, 1, sizeof text - 1, stderr);
	abort();
}

void *memory_new(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *memory_resize(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);

	if (!q)
		out_of_memory();
	return q;
}

void arena_release(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *next = arena->chunks->next;

		free(arena->chunks);
		arena->chunks = next;
	}
	*arena = (struct arena){ 0 };
}

size_t arena_bytes(const struct arena *arena)
{
	size_t bytes = 0;

	for (const struct arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->next)
		bytes += sizeof *chunk + chunk->bytes_n;
	return bytes;
}

void *arena_alloc(struct arena *arena, size_t n)
{
	size_t align = sizeof(max_align_t);
	size_t rounded = n ? (n + align - 1) & ~(align - 1) : align;

	assert(rounded >= n);
	if (rounded > arena->free_n) {
		size_t size = rounded > CHUNK_BYTES ? rounded : CHUNK_BYTES;
		struct arena_chunk *chunk = memory_new(sizeof *chunk + size);

		chunk->next = arena->chunks;
		chunk->bytes_n = size;
		arena->chunks = chunk;
		arena->free_at = chunk->bytes;
		arena->free_n = size;
	}
	void *p = arena->free_at;

	arena->free_at += rounded;
	arena->free_n -= rounded;
	return p;
}

struct str arena_copy(struct arena *arena, struct str s)
{
	if (!s.p)
		return s;
	char *copy = arena_alloc(arena, s.n + 1);

	if (s.n)
		memcpy(copy, s.p, s.n);
	return (struct str){ copy, s.n };
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
	va_list list;
	char *text;

	assert(format);
	va_start(list, format);
	int n = vsnprintf(NULL, 0, format, list);
	va_end(list);
	if (n < 0)
		return (struct str){ NULL, 0 };
	text = arena_alloc(arena, (size_t)n + 1);
	va_start(list, format);
	vsnprintf(text, (size_t)n + 1, format, list);
	va_end(list);
	return (struct str){ text, (size_t)n };
}
