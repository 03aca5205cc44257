/* SPDX-License-Identifier: BSD-3-Clause */
/* Small encodings: UTF-8, hexadecimal, base64, UUID text. All pure. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/arena.h"
#include "base/buf.h"

/* Length of the UTF-8 sequence at byte `at` (below s.n), which *code_point gets; 0 when there is none: no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
size_t utf8_decode(struct str s, size_t at, uint32_t *code_point);
/* Length of the longest beginning of `s` that is valid UTF-8; s.n when all of it is. */
size_t utf8_valid_n(struct str s);
bool utf8_is_valid(struct str s);
/* Number of code points of valid UTF-8. */
size_t utf8_count(struct str s);
/* Reads one code point at `*at` of valid UTF-8 and moves *at behind it. */
uint32_t utf8_next(struct str s, size_t *at);
void utf8_add(struct buf *buf, uint32_t code_point);

/* `out` has room for 2n characters; no zero byte. Lower case. */
void hex_format(const uint8_t *bytes, size_t n, char *out);
/* Exactly 2n hex digits of either case. */
bool hex_parse(struct str text, uint8_t *bytes, size_t n);

/* 0 to 63, or -1 for what is no digit of base64. */
int base64_value(char c);
void base64_add(struct buf *buf, struct str bytes);
/* As Python's base64.b64decode without validation: characters outside the alphabet (RFC 4648 section 4) are skipped, what follows
 * the padding is not looked at; false on missing padding. */
bool base64_decode(struct arena *arena, struct str text, struct str *bytes);

enum { UUID_TEXT_BYTES = 36 };

/* `out` has room for UUID_TEXT_BYTES; no zero byte. */
void uuid_format(const uint8_t uuid[16], char *out);
/* What Python's uuid.UUID() takes: hex digits of any case, with or without dashes, in braces, behind "urn:uuid:". */
bool uuid_parse(struct str text, uint8_t uuid[16]);
/* Sets the version nibble and the variant bits (RFC 9562). */
void uuid_stamp(uint8_t uuid[16], unsigned version);

#endif
