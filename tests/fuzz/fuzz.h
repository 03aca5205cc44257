/* SPDX-License-Identifier: BSD-3-Clause */
/* What the fuzz targets share: taking the input apart, views that end where their memory ends, small zone files.
 *
 * A target is one function that gets bytes and asserts what must hold for any bytes. It keeps nothing between calls,
 * and equal bytes do equal things. Under libFuzzer the bytes are searched for; in the ordinary tests replay.c feeds the
 * corpus. docs/design/fuzzing.md lists the targets. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The sanitizer's own count of bytes in use; not there in builds without it. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

enum { FUZZ_ARENA_BYTES_SPARE = 64 * 1024 };

/* The bytes not taken yet. Numbers are taken from the front, text is what is left. */
struct fuzz_input {
	const uint8_t *p;
	size_t n;
};

/* Zeros where the bytes have run out, so that every input is a valid one. */
static inline uint64_t fuzz_take(struct fuzz_input *in, size_t bytes_n)
{
	uint64_t value = 0;

	assert(bytes_n <= sizeof value);
	for (size_t i = 0; i < bytes_n; i++) {
		value = value << 8 | (in->n > 0 ? *in->p : 0);
		if (in->n > 0) {
			in->p++;
			in->n--;
		}
	}
	return value;
}

static inline int64_t fuzz_take_i64(struct fuzz_input *in)
{
	return (int64_t)fuzz_take(in, 8);
}

/* A number from `least` to `most`. */
static inline int64_t fuzz_take_between(struct fuzz_input *in, int64_t least, int64_t most)
{
	return least + (int64_t)(fuzz_take(in, 8) % ((uint64_t)most - (uint64_t)least + 1));
}

/* A copy with no byte of slack behind it, so that reading on is found. Free `p`. */
static inline struct str fuzz_copy(struct str s)
{
	char *p = memory_new(s.n);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct str){ p, s.n };
}

/* What is left, as fuzz_copy. */
static inline struct str fuzz_rest(const struct fuzz_input *in)
{
	return fuzz_copy((struct str){ (const char *)in->p, in->n });
}

static inline void fuzz_free(struct str s)
{
	free((void *)(uintptr_t)s.p);
}

static inline bool fuzz_is_inside(struct str part, struct str whole)
{
	return (uintptr_t)part.p >= (uintptr_t)whole.p && (uintptr_t)part.p + part.n <= (uintptr_t)whole.p + whole.n;
}

/* Bytes in use now; 0 where nobody counts them. */
static inline size_t fuzz_memory_bytes(void)
{
	return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
}

/* What was made of `input_n` bytes since `before` is in proportion to them: no input blows up in memory. */
static inline void fuzz_check_memory(size_t before, size_t input_n, size_t factor)
{
	assert(fuzz_memory_bytes() <= before + input_n * factor + FUZZ_ARENA_BYTES_SPARE);
}

/* A generator for what the input has no bytes for: xorshift64. */
static inline uint64_t fuzz_dice(uint64_t *state, uint64_t sides)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % sides;
}

static inline void fuzz_add_u32(struct buf *buf, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_add_char(buf, (char)(value >> shift & 255));
}

/* The shortest zone file of version 2 (RFC 8536): one type at `offset_s`, and the footer, which rules all time. */
static inline void fuzz_add_zone_file(struct buf *buf, int32_t offset_s, const char *footer)
{
	for (int block = 0; block < 2; block++) {
		buf_add(buf, STR("TZif2"));
		for (int i = 0; i < 15; i++)
			buf_add_char(buf, '\0');
		for (int i = 0; i < 4; i++)
			fuzz_add_u32(buf, 0);
		fuzz_add_u32(buf, 1); /* types */
		fuzz_add_u32(buf, 4); /* bytes of abbreviations */
		fuzz_add_u32(buf, (uint32_t)offset_s);
		buf_add_char(buf, '\0');
		buf_add_char(buf, '\0');
		buf_add(buf, (struct str){ "LMT", 4 });
	}
	buf_add_char(buf, '\n');
	buf_add(buf, str_from(footer));
	buf_add_char(buf, '\n');
}

#endif
