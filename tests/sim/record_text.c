/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts brackets outside of strings. */
#include "record_text.h"

static size_t string_end(struct str text, size_t at)
{
	for (at++; at < text.n && text.p[at] != '"'; at++)
		if (text.p[at] == '\\')
			at++;
	return at + 1;
}

struct str record_text_object(struct str text)
{
	unsigned depth = 0;
	size_t at = 0;

	while (at < text.n) {
		char c = text.p[at];

		if (c == '"') {
			at = string_end(text, at);
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if (depth == 0 && (c == ',' || c == '}' || c == ']'))
			break;
		else if (c == '}' || c == ']')
			depth--;
		at++;
		if (depth == 0 && (c == '}' || c == ']'))
			break;
	}
	return str_slice(text, 0, at);
}

bool record_text_next(struct str *rest, struct str *key, struct str *value)
{
	struct str text = *rest;
	size_t end;

	if (text.n < 2 || text.p[1] != '"')
		return false;
	text = str_slice(text, 1, text.n); /* the brace, or the comma */
	end = string_end(text, 0);
	*key = str_slice(text, 1, end - 2);
	text = str_slice(text, end + 1, text.n);
	*value = record_text_object(text);
	*rest = str_slice(text, value->n, text.n);
	return true;
}

struct str record_text_value(struct str object, struct str wanted)
{
	struct str key, value;

	while (record_text_next(&object, &key, &value))
		if (str_equal(key, wanted))
			return value;
	return (struct str){ 0 };
}

bool record_text_is_moving(struct str key)
{
	return str_equal(key, STR("next_send_at")) || str_equal(key, STR("triggered"));
}

void record_text_add_steady(struct buf *out, struct str object)
{
	struct str key, value;

	buf_add_char(out, '{');
	while (record_text_next(&object, &key, &value)) {
		if (record_text_is_moving(key))
			continue;
		if (out->p[out->n - 1] != '{')
			buf_add_char(out, ',');
		buf_add_char(out, '"');
		buf_add(out, key);
		buf_add(out, STR("\":"));
		buf_add(out, value);
	}
	buf_add_char(out, '}');
}
