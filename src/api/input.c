/* SPDX-License-Identifier: BSD-3-Clause */
/* Picks the reader for a body by its media type, and its decoding by the charset. */
#include "api/input.h"

#include "api/negotiate.h"
#include "base/text.h"

static const struct json empty_object = { .type = JSON_OBJECT };

/* Code units of UTF-16 to UTF-8; false on a lone surrogate or half a unit. */
static bool from_utf16(struct arena *arena, struct str bytes, bool is_big, struct str *text)
{
	struct buf out;
	bool is_valid = bytes.n % 2 == 0;

	buf_init(&out, 3 * bytes.n + 1);
	for (size_t i = 0; is_valid && i + 1 < bytes.n; i += 2) {
		uint32_t first = (uint8_t)bytes.p[i], second = (uint8_t)bytes.p[i + 1];
		uint32_t unit = is_big ? first << 8 | second : second << 8 | first;

		if (unit >= 0xD800 && unit <= 0xDBFF && i + 3 < bytes.n) {
			uint32_t third = (uint8_t)bytes.p[i + 2], fourth = (uint8_t)bytes.p[i + 3];
			uint32_t low = is_big ? third << 8 | fourth : fourth << 8 | third;

			is_valid = low >= 0xDC00 && low <= 0xDFFF;
			unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
			i += 2;
		}
		is_valid = is_valid && !(unit >= 0xD800 && unit <= 0xDFFF);
		if (is_valid)
			utf8_add(&out, unit);
	}
	*text = arena_copy(arena, buf_str(&out));
	buf_release(&out);
	return is_valid;
}

static bool from_utf16_marked(struct arena *arena, struct str bytes, struct str *text)
{
	bool is_big = str_starts_with(bytes, STR("\xFE\xFF"));

	if (is_big || str_starts_with(bytes, STR("\xFF\xFE")))
		bytes = str_slice(bytes, 2, bytes.n);
	return from_utf16(arena, bytes, is_big, text);
}

static bool from_utf16_little(struct arena *arena, struct str bytes, struct str *text)
{
	return from_utf16(arena, bytes, false, text);
}

static bool from_utf16_big(struct arena *arena, struct str bytes, struct str *text)
{
	return from_utf16(arena, bytes, true, text);
}

static bool from_latin1(struct arena *arena, struct str bytes, struct str *text)
{
	struct buf out;

	buf_init(&out, 2 * bytes.n + 1);
	for (size_t i = 0; i < bytes.n; i++)
		utf8_add(&out, (uint8_t)bytes.p[i]);
	*text = arena_copy(arena, buf_str(&out));
	buf_release(&out);
	return true;
}

static bool from_ascii(struct arena *arena, struct str bytes, struct str *text)
{
	(void)arena;
	*text = bytes;
	for (size_t i = 0; i < bytes.n; i++)
		if (bytes.p[i] & 0x80)
			return false;
	return true;
}

/* Other names, and none, mean UTF-8: the JSON reader judges that itself. */
static bool decode(struct arena *arena, struct str charset, struct str bytes, struct str *text)
{
	static const struct {
		const char *name;
		bool (*read)(struct arena *arena, struct str bytes, struct str *text);
	} charsets[] = {
		{ "utf-16", from_utf16_marked },    { "utf16", from_utf16_marked }, { "utf-16le", from_utf16_little },
		{ "utf-16-le", from_utf16_little }, { "utf-16be", from_utf16_big }, { "utf-16-be", from_utf16_big },
		{ "iso-8859-1", from_latin1 },	    { "iso8859-1", from_latin1 },   { "latin-1", from_latin1 },
		{ "latin1", from_latin1 },	    { "us-ascii", from_ascii },	    { "ascii", from_ascii },
	};

	for (size_t i = 0; i < sizeof charsets / sizeof charsets[0]; i++)
		if (str_equal_nocase(charset, str_from(charsets[i].name)))
			return charsets[i].read(arena, bytes, text);
	*text = bytes;
	return true;
}

/* Python's words for what a client sent instead of an object. */
static const char *type_name(const struct json *json)
{
	struct str number = json->text;

	switch (json->type) {
	case JSON_ARRAY:
		return "list";
	case JSON_STRING:
		return "str";
	case JSON_NUMBER:
		return str_find(number, '.') + str_find(number, 'e') + str_find(number, 'E') < 3 * number.n ? "float"
													    : "int";
	case JSON_TRUE:
	case JSON_FALSE:
		return "bool";
	case JSON_NULL:
	case JSON_OBJECT:
		break;
	}
	return "dict";
}

static enum input_verdict read_json(struct arena *arena, struct str content_type, struct str body, struct input *input,
				    struct str *problem)
{
	struct json_problem json_problem = { 0 };
	const struct json *json;
	struct str text;

	if (!decode(arena, negotiate_parameter(content_type, STR("charset")), body, &text)) {
		*problem = STR("JSON parse error - the bytes do not fit the charset");
		return INPUT_MALFORMED;
	}
	json = json_parse(arena, text, &json_problem);
	if (!json) {
		*problem = arena_printf(arena, "JSON parse error - %s: byte %zu", json_problem.text, json_problem.at);
		return INPUT_MALFORMED;
	}
	if (json->type == JSON_OBJECT) {
		input->object = json;
		return INPUT_OK;
	}
	*problem = json->type == JSON_NULL
			   ? STR("No data provided")
			   : arena_printf(arena, "Invalid data. Expected a dictionary, but got %s.", type_name(json));
	return INPUT_NOT_OBJECT;
}

static enum input_verdict read_form(struct arena *arena, struct str content_type, struct str body, struct input *input,
				    struct str *problem)
{
	struct form *form = arena_alloc(arena, sizeof *form);
	struct str boundary = negotiate_parameter(content_type, STR("boundary"));
	bool is_read = true;

	if (negotiate_body(content_type) == BODY_FORM)
		is_read = form_parse_urlencoded(arena, body, form);
	else if (boundary.n) /* without a boundary there are no parts */
		is_read = form_parse_multipart(arena, body, boundary, form);
	if (!is_read) {
		*problem = STR("Form parse error - too many fields");
		return INPUT_MALFORMED;
	}
	input->form = form;
	return INPUT_OK;
}

enum input_verdict input_read(struct arena *arena, struct str content_type, struct str body, struct input *input,
			      struct str *problem)
{
	*input = (struct input){ 0 };
	if (body.n == 0) {
		input->object = &empty_object;
		return INPUT_OK;
	}
	switch (negotiate_body(content_type)) {
	case BODY_JSON:
		return read_json(arena, content_type, body, input, problem);
	case BODY_FORM:
	case BODY_MULTIPART:
		return read_form(arena, content_type, body, input, problem);
	case BODY_UNSUPPORTED:
		break;
	}
	return INPUT_UNSUPPORTED;
}
