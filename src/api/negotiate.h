/* SPDX-License-Identifier: BSD-3-Clause */
/* Media types: what an answer may be (Accept, ?format=) and what a body is (Content-Type). Pure.
 *
 * The service has one representation, JSON. The rules are those of Django REST framework: `q` is ignored, wildcards
 * and case do not matter. */
#ifndef API_NEGOTIATE_H
#define API_NEGOTIATE_H

#include "base/arena.h"
#include "base/str.h"

enum { NEGOTIATE_INDENT_MAX = 8 };

/* True: JSON may be sent; *indent is the blanks a level that "application/json; indent=4" asks for, 0 = compact.
 * `accept` is the whole header; absent means everything, the empty string nothing. */
bool negotiate_accept(struct str accept, unsigned *indent);
/* The value of ?format= or of a suffix, absent or empty when there is none. False: no such format. */
bool negotiate_format(struct str format);

enum negotiate_body { BODY_JSON, BODY_FORM, BODY_MULTIPART, BODY_UNSUPPORTED };

enum negotiate_body negotiate_body(struct str content_type);
/* The value of a parameter ("charset", "boundary"), quotes undone; absent when it is not there. */
struct str negotiate_parameter(struct str media_type, struct str name);

#endif
