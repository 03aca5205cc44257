/* SPDX-License-Identifier: BSD-3-Clause */
/* A tree over yajl's events. yajl says what the text means; where a value stands in the input is kept beside it, because a payload
 * is stored and sent byte for byte. Nothing recurses: depth costs an entry of a stack, not of ours. */
#include "base/json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/text.h"

/* An open array or object. */
struct level {
	struct json *value;
	struct json *last; /* its newest child */
	size_t start;      /* of its bracket */
};

struct reader {
	struct arena *arena;
	struct str text;
	yajl_handle handle;
	struct json *root;
	struct level *levels; /* owned */
	size_t levels_n, levels_room;
	size_t values_n;
	size_t last_end; /* of the token before */
	struct str name;
	const char *refusal; /* ours, when it was not yajl's */
};

static size_t consumed(const struct reader *reader)
{
	return yajl_get_bytes_consumed(reader->handle);
}

/* Where the token that has just been read began: behind the one before, white space, comma and colon. */
static size_t token_start(const struct reader *reader)
{
	size_t at = reader->last_end;

	while (at < reader->text.n && strchr(" \t\r\n,:", reader->text.p[at]))
		at++;
	return at;
}

static struct json *add(struct reader *reader, enum json_type type, size_t start, size_t end)
{
	struct json *value;

	if (++reader->values_n > JSON_VALUES_MAX) {
		reader->refusal = "too many values";
		return NULL;
	}
	value = arena_alloc(reader->arena, sizeof *value);
	*value = (struct json){ .type = type, .name = reader->name, .raw = str_slice(reader->text, start, end - start) };
	reader->name = (struct str){ NULL, 0 };
	reader->last_end = end;
	if (reader->levels_n == 0) {
		reader->root = value;
		return value;
	}
	struct level *level = &reader->levels[reader->levels_n - 1];

	if (level->last)
		level->last->next = value;
	else
		level->value->child = value;
	level->last = value;
	return value;
}

static int on_word(struct reader *reader, enum json_type type, size_t n)
{
	size_t start = token_start(reader);

	return add(reader, type, start, start + n) != NULL;
}

static int on_null(void *ctx)
{
	return on_word(ctx, JSON_NULL, 4);
}

static int on_boolean(void *ctx, int value)
{
	return value ? on_word(ctx, JSON_TRUE, 4) : on_word(ctx, JSON_FALSE, 5);
}

static int on_number(void *ctx, const char *digits, size_t n)
{
	struct reader *reader = ctx;
	size_t start = token_start(reader);
	struct json *value = add(reader, JSON_NUMBER, start, start + n);

	(void)digits;
	if (!value)
		return 0;
	value->text = value->raw;
	return 1;
}

static int on_string(void *ctx, const unsigned char *bytes, size_t n)
{
	struct reader *reader = ctx;
	struct json *value = add(reader, JSON_STRING, token_start(reader), consumed(reader));

	if (!value)
		return 0;
	value->text = arena_copy(reader->arena, (struct str){ (const char *)bytes, n });
	return 1;
}

static int on_key(void *ctx, const unsigned char *bytes, size_t n)
{
	struct reader *reader = ctx;

	reader->name = arena_copy(reader->arena, (struct str){ (const char *)bytes, n });
	reader->last_end = consumed(reader);
	return 1;
}

static int on_open(struct reader *reader, enum json_type type)
{
	size_t start = token_start(reader);
	struct json *value;

	if (reader->levels_n == JSON_DEPTH_MAX) {
		reader->refusal = "nested too deep";
		return 0;
	}
	value = add(reader, type, start, start + 1);
	if (!value)
		return 0;
	if (reader->levels_n == reader->levels_room) {
		reader->levels_room = reader->levels_room ? 2 * reader->levels_room : 32;
		reader->levels = memory_resize(reader->levels, reader->levels_room * sizeof *reader->levels);
	}
	reader->levels[reader->levels_n++] = (struct level){ .value = value, .start = start };
	return 1;
}

static int on_close(void *ctx)
{
	struct reader *reader = ctx;
	struct level *level = &reader->levels[--reader->levels_n];

	reader->last_end = token_start(reader) + 1;
	level->value->raw = str_slice(reader->text, level->start, reader->last_end - level->start);
	return 1;
}

static int on_open_object(void *ctx)
{
	return on_open(ctx, JSON_OBJECT);
}

static int on_open_array(void *ctx)
{
	return on_open(ctx, JSON_ARRAY);
}

/* yajl turns a lone surrogate into '?' without a word. Looks at the escapes of the text itself; outside strings there are no backslashes. */
static bool has_lone_surrogate(struct str text, size_t *where)
{
	bool high_before = false;

	for (size_t i = 0; i + 1 < text.n; i++) {
		uint8_t unit[2] = { 0 };
		bool is_unit = text.p[i] == '\\' && text.p[i + 1] == 'u' && hex_parse(str_slice(text, i + 2, 4), unit, 2);
		bool is_high = is_unit && (unit[0] & 0xfc) == 0xd8, is_low = is_unit && (unit[0] & 0xfc) == 0xdc;

		*where = i;
		if (high_before != is_low)
			return true;
		high_before = is_high;
		if (text.p[i] == '\\')
			i += is_unit ? 5 : 1;
	}
	return high_before;
}

static void say(struct json_problem *problem, size_t at, const char *words)
{
	problem->at = at;
	snprintf(problem->text, sizeof problem->text, "%s: byte %zu", words, at);
}

/* yajl's own words, without the prefix and the line end. */
static void say_yajl(struct reader *reader, struct json_problem *problem)
{
	unsigned char *message = yajl_get_error(reader->handle, 0, (const unsigned char *)reader->text.p, reader->text.n);
	const char *colon = strstr((const char *)message, ": ");
	char words[sizeof problem->text - 32];

	snprintf(words, sizeof words, "%s", colon ? colon + 2 : (const char *)message);
	words[strcspn(words, "\n")] = '\0';
	say(problem, consumed(reader), words);
	yajl_free_error(reader->handle, message);
}

static bool parse(struct reader *reader, struct json_problem *problem)
{
	static const yajl_callbacks callbacks = { .yajl_null = on_null, .yajl_boolean = on_boolean, .yajl_number = on_number,
						  .yajl_string = on_string, .yajl_start_map = on_open_object, .yajl_map_key = on_key,
						  .yajl_end_map = on_close, .yajl_start_array = on_open_array, .yajl_end_array = on_close };

	reader->handle = yajl_alloc(&callbacks, NULL, reader);
	yajl_status status = yajl_parse(reader->handle, (const unsigned char *)reader->text.p, reader->text.n);

	if (status == yajl_status_ok)
		status = yajl_complete_parse(reader->handle);
	if (reader->refusal)
		say(problem, reader->last_end, reader->refusal);
	else if (status != yajl_status_ok)
		say_yajl(reader, problem);
	yajl_free(reader->handle);
	return status == yajl_status_ok;
}

const struct json *json_parse(struct arena *arena, struct str text, struct json_problem *problem)
{
	struct reader reader = { .arena = arena, .text = text };
	size_t where;

	/* yajl takes these two for white space. Elsewhere they are control characters, never allowed either. */
	for (const char *c = "\v\f"; *c; c++) {
		where = str_find(text, *c);
		if (where < text.n) {
			say(problem, where, "a control character is not allowed");
			return NULL;
		}
	}
	if (memchr(text.p ? text.p : "", '\0', text.n)) {
		say(problem, str_find(text, '\0'), "a control character is not allowed");
		return NULL;
	}
	if (has_lone_surrogate(text, &where)) {
		say(problem, where, "half of a surrogate pair");
		return NULL;
	}
	bool ok = parse(&reader, problem);

	free(reader.levels);
	return ok ? reader.root : NULL;
}

const struct json *json_member(const struct json *object, struct str name)
{
	const struct json *found = NULL;

	if (object->type != JSON_OBJECT)
		return NULL;
	for (const struct json *member = object->child; member; member = member->next)
		if (str_equal(member->name, name))
			found = member;
	return found;
}

bool json_to_i64(const struct json *value, int64_t *number)
{
	return value->type == JSON_NUMBER && str_to_i64(value->text, number);
}

/* Bytes that can be copied as they are, from `at`: no quote, backslash, control character, and nothing beyond ASCII. */
static size_t plain_run(struct str text, size_t at)
{
	size_t n = 0;

	while (at + n < text.n) {
		unsigned char c = (unsigned char)text.p[at + n];

		if (c < 0x20 || c == '"' || c == '\\' || c >= 0x7f)
			break;
		n++;
	}
	return n;
}

static void add_escaped(struct buf *buf, unsigned char c)
{
	static const char short_escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0; short_escapes[i]; i += 2) {
		if ((unsigned char)short_escapes[i] == c) {
			buf_add_char(buf, '\\');
			buf_add_char(buf, short_escapes[i + 1]);
			return;
		}
	}
	buf_printf(buf, "\\u%04x", c);
}

static size_t add_beyond_ascii(struct buf *buf, struct str text, size_t at)
{
	for (size_t n = 2; n <= 4 && n <= text.n - at; n++) {
		struct str one = str_slice(text, at, n);

		if (!utf8_is_valid(one))
			continue;
		if (str_equal(one, STR("\xe2\x80\xa8")))
			buf_add(buf, STR("\\u2028"));
		else if (str_equal(one, STR("\xe2\x80\xa9")))
			buf_add(buf, STR("\\u2029"));
		else
			buf_add(buf, one);
		return n;
	}
	utf8_add(buf, 0xfffd);
	return 1;
}

void json_add_string(struct buf *buf, struct str text)
{
	buf_add_char(buf, '"');
	for (size_t at = 0; at < text.n;) {
		size_t n = plain_run(text, at);

		buf_add(buf, str_slice(text, at, n));
		at += n;
		if (at == text.n)
			break;
		if ((unsigned char)text.p[at] >= 0x80) {
			at += add_beyond_ascii(buf, text, at);
		} else if (text.p[at] == 0x7f) {
			buf_add_char(buf, text.p[at++]);
		} else {
			add_escaped(buf, (unsigned char)text.p[at++]);
		}
	}
	buf_add_char(buf, '"');
}

void json_add_string_or_null(struct buf *buf, struct str text)
{
	if (text.p)
		json_add_string(buf, text);
	else
		buf_add(buf, STR("null"));
}

void json_key(struct buf *buf, const char *name)
{
	char last = buf->n ? buf->p[buf->n - 1] : '{';

	if (last != '{' && last != ',' && last != '[')
		buf_add_char(buf, ',');
	json_add_string(buf, str_from(name));
	buf_add_char(buf, ':');
}

/* Length of the string that starts at `at`, quotes included. */
static size_t string_span(struct str text, size_t at)
{
	size_t n = 1;

	while (at + n < text.n && text.p[at + n] != '"')
		n += text.p[at + n] == '\\' ? 2 : 1;
	return n + 1;
}

void json_compact(struct buf *buf, struct str text)
{
	for (size_t at = 0; at < text.n;) {
		size_t n = text.p[at] == '"' ? string_span(text, at) : 1;

		if (n > 1 || !strchr(" \t\r\n", text.p[at]))
			buf_add(buf, str_slice(text, at, n));
		at += n;
	}
}

static void new_line(struct buf *buf, size_t blanks)
{
	buf_add_char(buf, '\n');
	for (size_t i = 0; i < blanks; i++)
		buf_add_char(buf, ' ');
}

void json_indent(struct buf *buf, struct str text, unsigned indent)
{
	size_t depth = 0;

	for (size_t at = 0; at < text.n;) {
		char c = text.p[at];
		size_t n = c == '"' ? string_span(text, at) : 1;
		char after = at + n < text.n ? text.p[at + n] : '\0';

		if ((c == ']' || c == '}') && n == 1)
			new_line(buf, --depth * indent);
		buf_add(buf, str_slice(text, at, n));
		at += n;
		if (c == '{' || c == '[') {
			if (after == '}' || after == ']') {
				buf_add_char(buf, after);
				at++;
			} else {
				new_line(buf, ++depth * indent);
			}
		} else if (c == ',') {
			new_line(buf, depth * indent);
		} else if (c == ':') {
			buf_add_char(buf, ' ');
		}
	}
}
