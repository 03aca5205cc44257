/* SPDX-License-Identifier: BSD-3-Clause */
/* A tree over yajl's events, and a writer.
 *
 * yajl says what a text means; where each value stands in the input is worked out beside it, because a payload is
 * stored and sent byte for byte: a value begins behind the token before it and the white space, comma or colon between.
 * What yajl lets through although RFC 8259 does not (form feeds, overlong UTF-8, lone surrogates) is refused here.
 * Nothing recurses. */
#include "base/json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/text.h"

/* An array or object that is open. */
struct level {
	struct json *value;
	struct json *last; /* its newest child */
};

struct reader {
	struct arena *arena;
	struct str text;
	yajl_handle handle;
	struct json *root;
	struct level *levels; /* owned; outermost first */
	size_t levels_n, levels_room;
	size_t values_n;
	size_t at;	     /* end of the newest token that was taken */
	struct str name;     /* waits for its value */
	const char *refusal; /* ours, beside those of yajl; stands at `at` */
};

static void *on_alloc(void *ctx, size_t n)
{
	(void)ctx;
	return memory_new(n);
}

static void *on_resize(void *ctx, void *p, size_t n)
{
	(void)ctx;
	return memory_resize(p, n);
}

static void on_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

static int refuse(struct reader *reader, size_t at, const char *why)
{
	reader->at = at;
	reader->refusal = why;
	return 0;
}

/* Exact for strings: their last byte is their own. A number's end is noticed one byte later, so it is not asked for
 * here. */
static size_t consumed(const struct reader *reader)
{
	return yajl_get_bytes_consumed(reader->handle);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_separator(char c)
{
	return c == ',' || c == ':';
}

static size_t skip_blanks(struct str text, size_t at)
{
	while (at < text.n && is_blank(text.p[at]))
		at++;
	return at;
}

/* Where the token that yajl has just reported began: the grammar was right so far, so one separator at most lies
 * between. */
static size_t token_start(const struct reader *reader)
{
	size_t at = skip_blanks(reader->text, reader->at);

	return at < reader->text.n && is_separator(reader->text.p[at]) ? skip_blanks(reader->text, at + 1) : at;
}

/* Appends a value that takes the bytes up to `end`. NULL: there are too many. */
static struct json *add(struct reader *reader, enum json_type type, size_t start, size_t end)
{
	assert(start < end && end <= reader->text.n);
	if (reader->values_n == JSON_VALUES_MAX) {
		refuse(reader, start, "too many values");
		return NULL;
	}
	struct json *value = arena_alloc(reader->arena, sizeof *value);

	*value =
		(struct json){ .type = type, .name = reader->name, .raw = str_slice(reader->text, start, end - start) };
	reader->values_n++;
	reader->name = (struct str){ NULL, 0 };
	reader->at = end;
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

static int add_word(struct reader *reader, enum json_type type, size_t n)
{
	size_t start = token_start(reader);

	return add(reader, type, start, start + n) != NULL;
}

static int on_null(void *ctx)
{
	return add_word(ctx, JSON_NULL, 4);
}

static int on_boolean(void *ctx, int value)
{
	return value ? add_word(ctx, JSON_TRUE, 4) : add_word(ctx, JSON_FALSE, 5);
}

static int on_number(void *ctx, const char *digits, size_t n)
{
	struct reader *reader = ctx;
	size_t start = token_start(reader);
	struct json *value = add(reader, JSON_NUMBER, start, start + n);

	if (!value)
		return 0;
	assert(str_equal(value->raw, (struct str){ digits, n }));
	value->text = value->raw;
	return 1;
}

/* The UTF-16 unit of an escape at `at`, 0 when there is none. */
static unsigned utf16_escape(struct str text, size_t at)
{
	uint8_t unit[2];

	if (text.n < at + 6 || text.p[at] != '\\' || text.p[at + 1] != 'u' ||
	    !hex_parse(str_slice(text, at + 2, 4), unit, 2))
		return 0;
	return (unsigned)unit[0] << 8 | unit[1];
}

/* Where half of a surrogate pair stands without the other; raw.n when nowhere. yajl writes '?' for it without a word.
 */
static size_t lone_surrogate(struct str raw)
{
	for (size_t at = str_find(raw, '\\'); at < raw.n; at += str_find(str_slice(raw, at, raw.n), '\\')) {
		unsigned unit = utf16_escape(raw, at);
		bool is_pair = unit >= 0xd800 && unit < 0xdc00 && (utf16_escape(raw, at + 6) & 0xfc00) == 0xdc00;

		if (unit >= 0xd800 && unit < 0xe000 && !is_pair)
			return at;
		at += is_pair ? 12 : 2;
	}
	return raw.n;
}

/* A copy of what the string token from `start` to consumed() means, absent when it is refused. */
static struct str take_string(struct reader *reader, size_t start, struct str meaning)
{
	struct str raw = str_slice(reader->text, start, consumed(reader) - start);

	assert(raw.n >= meaning.n + 2 && raw.p[0] == '"' && raw.p[raw.n - 1] == '"');
	if (raw.n > meaning.n + 2) { /* there are escapes */
		size_t where = lone_surrogate(raw);

		if (where < raw.n) {
			refuse(reader, start + where, "half of a surrogate pair without the other half");
			return (struct str){ NULL, 0 };
		}
	}
	return arena_copy(reader->arena, meaning.n ? meaning : STR(""));
}

static int on_string(void *ctx, const unsigned char *bytes, size_t n)
{
	struct reader *reader = ctx;
	size_t start = token_start(reader);
	struct str meaning = take_string(reader, start, (struct str){ (const char *)bytes, n });
	struct json *value = meaning.p ? add(reader, JSON_STRING, start, consumed(reader)) : NULL;

	if (!value)
		return 0;
	value->text = meaning;
	return 1;
}

static int on_key(void *ctx, const unsigned char *bytes, size_t n)
{
	struct reader *reader = ctx;

	reader->name = take_string(reader, token_start(reader), (struct str){ (const char *)bytes, n });
	if (!reader->name.p)
		return 0;
	reader->at = consumed(reader);
	return 1;
}

static int open_level(struct reader *reader, enum json_type type)
{
	size_t start = token_start(reader);

	if (reader->levels_n == JSON_DEPTH_MAX)
		return refuse(reader, start, "arrays and objects nested too deep");
	struct json *value = add(reader, type, start, start + 1);

	if (!value)
		return 0;
	if (reader->levels_n == reader->levels_room) {
		reader->levels_room = reader->levels_room ? 2 * reader->levels_room : 32;
		reader->levels = memory_resize(reader->levels, reader->levels_room * sizeof *reader->levels);
	}
	reader->levels[reader->levels_n++] = (struct level){ .value = value };
	return 1;
}

static int on_open_object(void *ctx)
{
	return open_level(ctx, JSON_OBJECT);
}

static int on_open_array(void *ctx)
{
	return open_level(ctx, JSON_ARRAY);
}

static int on_close(void *ctx)
{
	struct reader *reader = ctx;

	assert(reader->levels_n > 0);
	struct json *value = reader->levels[--reader->levels_n].value;

	reader->at = token_start(reader) + 1;
	value->raw.n = (size_t)(reader->text.p + reader->at - value->raw.p);
	return 1;
}

/* Which byte a complaint is about: yajl's own idea of it is good inside tokens only. */
enum place {
	PLACE_STOP,   /* where yajl stopped */
	PLACE_BEHIND, /* the token behind the newest one that was taken */
	PLACE_VALUE,  /* the same, or the one after it when that is the comma or colon that belongs there */
};

/* What yajl complains about, recognised by some of its words, in ours. */
struct complaint {
	const char *theirs, *ours;
	enum place place;
};

static const struct complaint *find_complaint(struct reader *reader)
{
	static const struct complaint complaints[] = {
		{ "premature EOF", "the text ends too early", PLACE_STOP },
		{ "trailing garbage", "something follows the end of the value", PLACE_BEHIND },
		{ "I expect ',' or '}'", "expected a comma or a closing brace", PLACE_BEHIND },
		{ "I expect ',' or ']'", "expected a comma or a closing bracket", PLACE_BEHIND },
		{ "separated by a colon", "expected a colon after the member name", PLACE_BEHIND },
		{ "invalid object key", "expected a member name in double quotes", PLACE_VALUE },
		{ "unallowed token", "expected a value", PLACE_VALUE },
		{ "after the exponent", "expected a digit in the exponent", PLACE_STOP },
		{ "after the decimal point", "expected a digit after the decimal point", PLACE_STOP },
		{ "after the minus sign", "expected a digit after the minus sign", PLACE_STOP },
		{ "which it may not", "no such escape exists", PLACE_STOP },
		{ "non-hex", "expected four hexadecimal digits after \\u", PLACE_STOP },
		{ "inside string", "a control character in a string must be escaped", PLACE_STOP },
		{ "invalid string", "expected true, false or null", PLACE_VALUE },
		{ "comment", "comments are not allowed", PLACE_VALUE },
		{ "", "a character that cannot stand here", PLACE_VALUE },
	};
	unsigned char *text = yajl_get_error(reader->handle, 0, NULL, 0);
	size_t i = 0;

	while (!strstr((const char *)text, complaints[i].theirs))
		i++;
	yajl_free_error(reader->handle, text);
	assert(i < sizeof complaints / sizeof *complaints);
	return &complaints[i];
}

static void describe(struct json_problem *problem, struct str text, size_t at, const char *why)
{
	size_t line = 1, line_start = 0;

	for (size_t i = 0; i < at; i++) {
		if (text.p[i] == '\n') {
			line++;
			line_start = i + 1;
		}
	}
	problem->at = at;
	snprintf(problem->text, sizeof problem->text, "%s: line %zu, column %zu", why, line,
		 utf8_count(str_slice(text, line_start, at - line_start)) + 1);
}

static size_t find_place(const struct reader *reader, enum place place, bool is_all_read)
{
	struct str text = reader->text;
	size_t at = skip_blanks(text, reader->at);
	char before = reader->at ? text.p[reader->at - 1] : '[';

	if (place == PLACE_STOP)
		return is_all_read ? text.n : consumed(reader);
	if (place == PLACE_VALUE && before != '[' && before != '{' && at < text.n && is_separator(text.p[at]))
		return skip_blanks(text, at + 1);
	return at;
}

/* Finds what is wrong with the bytes, before anybody asks what they mean. */
static bool are_bytes_valid(struct str text, struct json_problem *problem)
{
	static const char blank_for_yajl[] = { '\v', '\f' };
	size_t valid_n = utf8_valid_n(text);
	const char *why = NULL;

	if (str_starts_with(text, STR("\xef\xbb\xbf"))) {
		valid_n = 0;
		why = "the text starts with a byte order mark";
	} else if (str_trim(text).n == 0) {
		valid_n = 0;
		why = "the text is empty";
	} else if (valid_n < text.n) {
		why = "not valid UTF-8";
	}
	for (size_t i = 0; i < sizeof blank_for_yajl && !why; i++) {
		valid_n = str_find(text, blank_for_yajl[i]);
		if (valid_n < text.n)
			why = "a control character is not allowed";
	}
	if (why)
		describe(problem, text, valid_n, why);
	return !why;
}

static bool read_all(struct reader *reader, struct json_problem *problem)
{
	const unsigned char *bytes = (const unsigned char *)reader->text.p;
	yajl_status status = yajl_parse(reader->handle, bytes, reader->text.n);
	bool is_all_read = status == yajl_status_ok;

	if (is_all_read)
		status = yajl_complete_parse(reader->handle);
	if (reader->refusal) {
		describe(problem, reader->text, reader->at, reader->refusal);
		return false;
	}
	if (status != yajl_status_ok) {
		const struct complaint *complaint = find_complaint(reader);

		describe(problem, reader->text, find_place(reader, complaint->place, is_all_read), complaint->ours);
		return false;
	}
	/* A string that starts behind the value and never ends is no token to yajl, so that it does not object. */
	reader->at = skip_blanks(reader->text, reader->at);
	if (reader->at < reader->text.n) {
		describe(problem, reader->text, reader->at, "something follows the end of the value");
		return false;
	}
	assert(reader->root && reader->levels_n == 0);
	return true;
}

const struct json *json_parse(struct arena *arena, struct str text, struct json_problem *problem)
{
	static const yajl_callbacks callbacks = {
		.yajl_null = on_null,
		.yajl_boolean = on_boolean,
		.yajl_number = on_number,
		.yajl_string = on_string,
		.yajl_start_map = on_open_object,
		.yajl_map_key = on_key,
		.yajl_end_map = on_close,
		.yajl_start_array = on_open_array,
		.yajl_end_array = on_close,
	};
	yajl_alloc_funcs memory = { .malloc = on_alloc, .realloc = on_resize, .free = on_free };
	struct reader reader = { .arena = arena, .text = text };

	if (!are_bytes_valid(text, problem))
		return NULL;
	reader.handle = yajl_alloc(&callbacks, &memory, &reader);
	yajl_config(reader.handle, yajl_dont_validate_strings, 1); /* done, and more strictly */
	bool is_valid = read_all(&reader, problem);

	yajl_free(reader.handle);
	free(reader.levels);
	return is_valid ? reader.root : NULL;
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

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Eight bytes at a time: most texts are nothing else. A byte of them is not plain when its highest bit is set, or that
 * of its difference to blank, or when it equals one of the two: then taking one from zero sets that bit. A borrow goes
 * to higher bytes only from one that is not plain itself. */
static bool are_plain(const char *eight)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	uint64_t word;

	memcpy(&word, eight, sizeof word);
	uint64_t quotes = word ^ each * '"', backslashes = word ^ each * '\\';

	return ((word | (word - each * 0x20) | (quotes - each) | (backslashes - each)) & each * 0x80) == 0;
}

size_t json_plain_n(struct str text, size_t at)
{
	size_t n = at;

	while (text.n - n >= sizeof(uint64_t) && are_plain(text.p + n))
		n += sizeof(uint64_t);
	while (n < text.n && is_plain((unsigned char)text.p[n]))
		n++;
	return n - at;
}

/* Adds the character at `at`, which is not plain, and returns its length. */
static size_t add_special(struct buf *buf, struct str text, size_t at)
{
	static const char pairs[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	uint32_t c = 0;
	size_t n = utf8_decode(text, at, &c);
	const char *pair = n == 1 ? strchr(pairs, (int)c) : NULL;

	if (n == 0) {
		utf8_add(buf, 0xfffd);
		return 1;
	}
	if (c && pair) {
		buf_add_char(buf, '\\');
		buf_add_char(buf, pair[1]);
	} else if (n == 1 || c == 0x2028 || c == 0x2029) {
		buf_printf(buf, "\\u%04x", (unsigned)c);
	} else {
		buf_add(buf, str_slice(text, at, n));
	}
	return n;
}

void json_add_string(struct buf *buf, struct str text)
{
	buf_add_char(buf, '"');
	for (size_t at = 0; at < text.n;) {
		size_t n = json_plain_n(text, at);

		buf_add(buf, str_slice(text, at, n));
		at += n;
		if (at < text.n)
			at += add_special(buf, text, at);
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

/* Length of the token at `at`: a string as a whole, any other byte alone. */
static size_t token_n(struct str text, size_t at)
{
	size_t n = 1;

	if (text.p[at] != '"')
		return 1;
	while (at + n < text.n && text.p[at + n] != '"')
		n += text.p[at + n] == '\\' ? 2 : 1;
	return n + 1;
}

void json_compact(struct buf *buf, struct str text)
{
	for (size_t at = skip_blanks(text, 0); at < text.n;) {
		size_t n = token_n(text, at);

		buf_add(buf, str_slice(text, at, n));
		at = skip_blanks(text, at + n);
	}
}

static void new_line(struct buf *buf, size_t blanks)
{
	buf_add_char(buf, '\n');
	for (size_t i = 0; i < blanks && !buf->failed; i++)
		buf_add_char(buf, ' ');
}

void json_indent(struct buf *buf, struct str text, unsigned indent)
{
	size_t depth = 0;
	char before = '\0'; /* the structural byte that was just written */

	for (size_t at = skip_blanks(text, 0); at < text.n;) {
		char c = text.p[at];
		size_t n = token_n(text, at);
		bool closes = c == '}' || c == ']', is_behind_open = before == '{' || before == '[';

		depth -= closes && depth > 0;
		if (closes ? !is_behind_open : is_behind_open || before == ',')
			new_line(buf, depth * indent);
		else if (before == ':')
			buf_add_char(buf, ' ');
		buf_add(buf, str_slice(text, at, n));
		depth += c == '{' || c == '[';
		before = c;
		at = skip_blanks(text, at + n);
	}
}
