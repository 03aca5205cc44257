/* SPDX-License-Identifier: BSD-3-Clause */
/* Bodies that web forms send, and query strings: name and value pairs in, pairs out. Pure.
 *
 * application/x-www-form-urlencoded (WHATWG URL standard, section 5) and multipart/form-data (RFC 7578). All names and
 * values are valid UTF-8 afterwards: what was none becomes U+FFFD. */
#ifndef API_FORM_H
#define API_FORM_H

#include "base/arena.h"
#include "base/buf.h"

enum { FORM_PARTS_MAX = 1000 };

struct form_part {
	struct str name, value;
	bool is_file; /* came with a file name */
	struct form_part *next;
};

struct form {
	struct form_part *first, *last; /* in the order sent; in the arena */
	size_t n;
};

/* Both return false beyond FORM_PARTS_MAX pairs. *form must be zeroed. */
bool form_parse_urlencoded(struct arena *arena, struct str text, struct form *form);
/* Lenient as clients expect: what is no part is passed over, a missing end is the end of the body. */
bool form_parse_multipart(struct arena *arena, struct str body, struct str boundary, struct form *form);
/* The last part of that name; NULL when there is none. */
const struct form_part *form_last(const struct form *form, struct str name);
/* Percent-decoding alone ('+' stays): what is no escape stays as it is. The result may be any bytes. */
struct str form_unescape(struct arena *arena, struct str text);
/* Appends one name or value as a query string carries it: letters, digits and "_.-~" as they are, a blank as '+', the
 * rest as %XX. */
void form_add_escaped(struct buf *buf, struct str text);

#endif
