/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes that grow up to a stated maximum.
 *
 * Appending past the maximum appends nothing and sets `failed`, which stays set until buf_clear: append
 * freely, look once at the end. `p` is NULL only while nothing was appended yet. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

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
void buf_add(struct buf *buf, struct str s);
void buf_add_char(struct buf *buf, char c);
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_add_i64(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first `n` bytes. */
void buf_drop(struct buf *buf, size_t n);
/* Makes sure that `n` more bytes fit and returns where they go (the caller writes there, then adds to buf->n);
 * NULL and `failed` when that would pass the maximum. */
char *buf_reserve(struct buf *buf, size_t n);
/* The bytes so far; borrowed until the next change. */
struct str buf_str(const struct buf *buf);

#endif
