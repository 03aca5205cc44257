/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading JSON text into a tree of views, and writing JSON.
 *
 * The reader (on yajl) accepts RFC 8259 and nothing more: no BOM, no comments, no NaN, no control characters in
 * strings, no form feed as white space, no lone surrogates, no trailing data, valid UTF-8 only. Numbers stay text, so that
 * 1e400, 0.10 and 2^64+1 survive. Every value knows its own bytes in the input, so that a payload is kept verbatim. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"

/* The depth is what the API must take (over 1,000) with room; nothing here or behind it recurses. */
enum { JSON_DEPTH_MAX = 10000, JSON_VALUES_MAX = 1000000 };

enum json_type { JSON_NULL, JSON_TRUE, JSON_FALSE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	struct str name;    /* decoded member name when the parent is an object */
	struct str text;    /* decoded string, or a number's own characters */
	struct str raw;     /* the value's bytes in the input; borrowed from it */
	struct json *child; /* first element or member, in input order */
	struct json *next;  /* next sibling */
};

struct json_problem {
	size_t at;       /* byte offset in the input */
	char text[120];  /* what is wrong there */
};

/* NULL when `text` is not JSON (then *problem says why) or is nested deeper than JSON_DEPTH_MAX. Strings live in
 * the arena, `raw` in `text`. */
const struct json *json_parse(struct arena *arena, struct str text, struct json_problem *problem);
/* The last member of that name (duplicates: the last counts); NULL when there is none or `object` is no object. */
const struct json *json_member(const struct json *object, struct str name);
/* The number is written without fraction or exponent and fits. */
bool json_to_i64(const struct json *value, int64_t *number);

/* Writing: appends to a buf. `json_add_string` adds the quotes; non-ASCII stays as it is, U+2028 and U+2029 are escaped, so
 * are control characters; invalid UTF-8 becomes U+FFFD. */
void json_add_string(struct buf *buf, struct str text);
/* How many bytes from `at` on stand for themselves in a string: ASCII, no quotes, backslashes or control characters. */
size_t json_plain_n(struct str text, size_t at);
/* {"a":1,"b":2}: json_key writes the comma where one is due (judged by the last byte written), the name and the colon. */
void json_key(struct buf *buf, const char *name);
/* `null` when text.p is NULL. */
void json_add_string_or_null(struct buf *buf, struct str text);
/* The same JSON text indented by `indent` blanks a level (for "Accept: application/json; indent=4"). `text` must be JSON. */
void json_indent(struct buf *buf, struct str text, unsigned indent);
/* Compact: insignificant white space removed, everything else byte for byte. `text` must be JSON. */
void json_compact(struct buf *buf, struct str text);

#endif
