/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads the JSON objects that the API answers with, well enough to compare them byte by byte. Pure.
 *
 * Not the product's parser: what checks an answer shares no code with what made it. Expects no white space. */
#ifndef SIM_RECORD_TEXT_H
#define SIM_RECORD_TEXT_H

#include "base/buf.h"

/* The value that begins `text`: an object, a list, a string or a word. */
struct str record_text_object(struct str text);
/* The next member of an object; *rest begins as the whole object. False: no more. */
bool record_text_next(struct str *rest, struct str *key, struct str *value);
/* A member's value as it is written; absent: there is none. */
struct str record_text_value(struct str object, struct str key);
/* Members that move without an edit. */
bool record_text_is_moving(struct str key);
/* Appends the others. */
void record_text_add_steady(struct buf *out, struct str object);

#endif
