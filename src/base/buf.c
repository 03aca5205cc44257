/* SPDX-License-Identifier: BSD-3-Clause */
/* A byte buffer that doubles up to its maximum and remembers that it overflowed. There is always one byte of room more
 * than asked for, so that vsnprintf's zero byte never costs a byte of the maximum. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum { FIRST_BYTES = 256 };

void buf_init(struct buf *buf, size_t max)
{
	*buf = (struct buf){ .max = max };
}

void buf_release(struct buf *buf)
{
	free(buf->p);
	*buf = (struct buf){ .max = buf->max };
}

void buf_clear(struct buf *buf)
{
	buf->n = 0;
	buf->failed = false;
}

char *buf_grow(struct buf *buf, size_t n)
{
	if (buf->failed || n > buf->max - buf->n) {
		buf->failed = true;
		return NULL;
	}
	assert(n < SIZE_MAX / 4);
	if (buf->n + n >= buf->room) {
		size_t room = buf->room ? buf->room : FIRST_BYTES;

		while (room <= buf->n + n)
			room *= 2;
		buf->p = memory_resize(buf->p, room);
		buf->room = room;
	}
	return buf->p + buf->n;
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_add(buf, (struct str){ digits + at, sizeof digits - at });
}

void buf_add_i64(struct buf *buf, int64_t value)
{
	if (value < 0)
		buf_add_char(buf, '-');
	buf_add_u64(buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	int n = vsnprintf(NULL, 0, format, list);
	va_end(list);
	char *at = n < 0 ? NULL : buf_reserve(buf, (size_t)n);

	if (!at)
		return;
	va_start(list, format);
	vsnprintf(at, (size_t)n + 1, format, list);
	va_end(list);
	buf->n += (size_t)n;
}

struct str buf_str(const struct buf *buf)
{
	return (struct str){ buf->p ? buf->p : "", buf->n };
}
