/* SPDX-License-Identifier: BSD-3-Clause */
/* Words and integers as Python's str.split() and int() read them, because clients were written against a service in
 * Python. Pure.
 *
 * Text that is not UTF-8 is safe: odd bytes are just letters. */
#ifndef CORE_WORDS_H
#define CORE_WORDS_H

#include "base/str.h"

/* The next word of *text, which moves behind it; absent (p == NULL) when only white space is left. White space is
 * Unicode's and the separators U+001C to U+001F. */
struct str words_next(struct str *text);

/* A sign, then digits of any script (Unicode 14, category Nd), single underscores between digits. False on anything
 * else. Values beyond 64 bits stop at INT64_MIN and INT64_MAX. */
bool words_to_integer(struct str word, int64_t *value);

#endif
