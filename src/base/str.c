/* SPDX-License-Identifier: BSD-3-Clause */
/* Comparing, cutting and reading numbers from byte views. Locale never matters here. */
#include "base/str.h"

#include <string.h>

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_from(const char *zero_terminated)
{
	return (struct str){ zero_terminated, zero_terminated ? strlen(zero_terminated) : 0 };
}

bool str_equal(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_equal_nocase(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool str_starts_with(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_equal((struct str){ s.p, prefix.n }, prefix);
}

bool str_ends_with(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_equal(str_slice(s, s.n - suffix.n, suffix.n), suffix);
}

struct str str_slice(struct str s, size_t from, size_t n)
{
	if (from >= s.n)
		return (struct str){ s.p ? s.p + s.n : NULL, 0 };
	return (struct str){ s.p + from, n < s.n - from ? n : s.n - from };
}

size_t str_find(struct str s, char byte)
{
	const char *hit = s.n ? memchr(s.p, byte, s.n) : NULL;

	return hit ? (size_t)(hit - s.p) : s.n;
}

struct str str_trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_slice(s, 1, s.n);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct str str_split(struct str s, char separator, struct str *rest)
{
	size_t at = str_find(s, separator);

	*rest = at < s.n ? str_slice(s, at + 1, s.n) : (struct str){ NULL, 0 };
	return str_slice(s, 0, at);
}

bool str_to_u64(struct str s, uint64_t *value)
{
	uint64_t sum = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(sum, 10U, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(s.p[i] - '0'), &sum))
			return false;
	}
	*value = sum;
	return true;
}

bool str_to_i64(struct str s, int64_t *value)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t size;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
		s = str_slice(s, 1, s.n);
	if (!str_to_u64(s, &size) || size > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return false;
	*value = negative ? (int64_t)(0 - size) : (int64_t)size;
	return true;
}
