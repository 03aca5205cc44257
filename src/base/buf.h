/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes that grow up to a stated maximum.
 *
 * Appending past the maximum appends nothing and sets `failed`, which stays set until buf_clear: append
 * freely, look once at the end. `p` is NULL only while nothing was appended yet. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <string.h>

#include "base/str.h"

struct buf {
	char *p; /* owned */
	size_t n;
	size_t room; /* allocated */
	size_t max;
	bool failed;
};

void buf_init(struct buf *buf, size_t max);
void buf_release(struct buf *buf);
/* Empty again; keeps the memory and the maximum. */
void buf_clear(struct buf *buf);
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_add_i64(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What buf_reserve does when there is no room yet. */
char *buf_grow(struct buf *buf, size_t n);
/* Makes sure that `n` more bytes fit and returns where they go (the caller writes there, then adds to buf->n);
 * NULL and `failed` when that would pass the maximum. */
static inline __attribute__((always_inline)) char *buf_reserve(struct buf *buf, size_t n)
{
	bool is_there = !buf->failed && n < buf->room - buf->n && n <= buf->max - buf->n;

	return is_there ? buf->p + buf->n : buf_grow(buf, n);
}

/* Inlined wherever it stands: most of what is appended are constants, which then cost two stores and no call. */
static inline __attribute__((always_inline)) void buf_add(struct buf *buf, struct str s)
{
	char *at = buf_reserve(buf, s.n);

	if (!at || s.n == 0)
		return;
	memcpy(at, s.p, s.n);
	buf->n += s.n;
}

static inline void buf_add_char(struct buf *buf, char c)
{
	char *at = buf_reserve(buf, 1);

	if (!at)
		return;
	*at = c;
	buf->n++;
}

/* The bytes so far; borrowed until the next change. */
struct str buf_str(const struct buf *buf);

#endif
