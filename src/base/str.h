/* SPDX-License-Identifier: BSD-3-Clause */
/* A view of bytes that somebody else owns. Not zero-terminated, may hold any byte.
 *
 * `p` may be NULL only when `n` is 0; a NULL `p` means "absent" where a caller makes that difference. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *p;
	size_t n;
};

/* A view of a string literal. */
#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })

/* For printf's "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p

struct str str_from(const char *zero_terminated);
bool str_equal(struct str a, struct str b);
/* ASCII letters compare without case, all other bytes exactly. */
bool str_equal_nocase(struct str a, struct str b);
bool str_starts_with(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);
/* Part of `s` from `from` (clamped) with at most `n` bytes. */
struct str str_slice(struct str s, size_t from, size_t n);
/* Index of the first `byte`, or s.n. */
size_t str_find(struct str s, char byte);
/* Without leading and trailing ASCII white space (blank, \t \n \v \f \r). */
struct str str_trim(struct str s);
/* The part before `separator`; *rest is what follows it, absent (p == NULL) when there was none. */
struct str str_split(struct str s, char separator, struct str *rest);
/* Decimal digits only, no sign, no blanks. False on anything else and beyond UINT64_MAX. */
bool str_to_u64(struct str s, uint64_t *value);
/* An optional '-' or '+', then digits. False on anything else and on overflow. */
bool str_to_i64(struct str s, int64_t *value);

#endif
