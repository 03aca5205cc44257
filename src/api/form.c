/* SPDX-License-Identifier: BSD-3-Clause */
/* Takes form bodies and query strings apart; an odd body gives odd pairs, never a failure. */
#include "api/form.h"

#include <string.h>

#include "base/text.h"

enum { DISPOSITION_BYTES_MAX = 2048 };

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decoded text is never longer than the text: one pass into arena memory. */
static struct str unescape(struct arena *arena, struct str text, char plus)
{
	char *out = arena_alloc(arena, text.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '%' && i + 2 < text.n && hex_digit(text.p[i + 1]) >= 0 && hex_digit(text.p[i + 2]) >= 0) {
			c = (char)(hex_digit(text.p[i + 1]) << 4 | hex_digit(text.p[i + 2]));
			i += 2;
		} else if (c == '+') {
			c = plus;
		}
		out[n++] = c;
	}
	return (struct str){ out, n };
}

struct str form_unescape(struct arena *arena, struct str text)
{
	return memchr(text.p ? text.p : "", '%', text.n) ? unescape(arena, text, '+') : text;
}

/* Every byte that starts no valid code point becomes U+FFFD. */
static struct str repair(struct arena *arena, struct str text)
{
	if (utf8_is_valid(text))
		return text;

	char *out = arena_alloc(arena, 3 * text.n);
	size_t n = 0;

	for (size_t i = 0; i < text.n;) {
		size_t step = 1;

		while (step <= 4 && i + step <= text.n && !utf8_is_valid(str_slice(text, i, step)))
			step++;
		if (step <= 4 && i + step <= text.n) {
			memcpy(out + n, text.p + i, step);
			n += step;
			i += step;
		} else {
			memcpy(out + n, "\xEF\xBF\xBD", 3);
			n += 3;
			i++;
		}
	}
	return (struct str){ out, n };
}

static bool add(struct arena *arena, struct form *form, struct form_part part)
{
	if (form->n == FORM_PARTS_MAX)
		return false;

	struct form_part *kept = arena_alloc(arena, sizeof *kept);

	*kept = (struct form_part){ repair(arena, part.name), repair(arena, part.value), part.is_file, NULL };
	if (form->last)
		form->last->next = kept;
	else
		form->first = kept;
	form->last = kept;
	form->n++;
	return true;
}

bool form_parse_urlencoded(struct arena *arena, struct str text, struct form *form)
{
	for (struct str rest = text; rest.p;) {
		struct str value, pair = str_split(rest, '&', &rest);

		if (pair.n == 0)
			continue;

		struct str name = str_split(pair, '=', &value);
		struct form_part part = { .name = unescape(arena, name, ' '), .value = unescape(arena, value, ' ') };

		if (!add(arena, form, part))
			return false;
	}
	return true;
}

const struct form_part *form_last(const struct form *form, struct str name)
{
	const struct form_part *found = NULL;

	for (const struct form_part *part = form->first; part; part = part->next)
		if (str_equal(part->name, name))
			found = part;
	return found;
}

void form_add_escaped(struct buf *buf, struct str text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
				(c && strchr("_.-~", c));

		if (is_plain) {
			buf_add_char(buf, c);
		} else if (c == ' ') {
			buf_add_char(buf, '+');
		} else {
			buf_add_char(buf, '%');
			buf_add_char(buf, digits[(unsigned char)c >> 4]);
			buf_add_char(buf, digits[(unsigned char)c & 15]);
		}
	}
}

/* ---- multipart ---- */

static size_t find_bytes(struct str text, struct str wanted)
{
	const char *at = text.n ? memmem(text.p, text.n, wanted.p, wanted.n) : NULL;

	return at ? (size_t)(at - text.p) : text.n;
}

/* Reads the value at the beginning of `text` into `out`, or with NULL only passes over it; returns where it ends. */
static size_t disposition_value(struct str text, char *out, size_t *out_n)
{
	size_t i = 0;
	bool is_quoted;

	while (i < text.n && (text.p[i] == ' ' || text.p[i] == '\t'))
		i++;
	is_quoted = i < text.n && text.p[i] == '"';
	for (i += is_quoted; i < text.n && text.p[i] != (is_quoted ? '"' : ';'); i++) {
		if (is_quoted && text.p[i] == '\\' && i + 1 < text.n)
			i++;
		if (out)
			out[(*out_n)++] = text.p[i];
	}
	return i + is_quoted;
}

/* The value of a parameter of a Content-Disposition, quotes and backslashes undone; absent when it is not there. Only
 * that value gets memory: a line may have hundreds of others. */
static struct str disposition_parameter(struct arena *arena, struct str line, struct str name)
{
	struct str rest = line;

	str_split(rest, ';', &rest);
	while (rest.p && rest.n) {
		size_t key_n = str_find(rest, '='), n = 0;
		struct str value = str_slice(rest, key_n + 1, rest.n);

		if (str_equal_nocase(str_trim(str_slice(rest, 0, key_n)), name)) {
			char *out = arena_alloc(arena, value.n + 1);

			disposition_value(value, out, &n);
			return (struct str){ out, n };
		}
		str_split(str_slice(value, disposition_value(value, NULL, NULL), value.n), ';', &rest);
	}
	return (struct str){ NULL, 0 };
}

/* One part, headers and content; what names no field is passed over. */
static bool add_part(struct arena *arena, struct str part, struct form *form)
{
	size_t head_n = find_bytes(part, STR("\r\n\r\n"));
	struct str head = str_slice(part, 0, head_n), content = str_slice(part, head_n + 4, part.n);
	struct str name = { NULL, 0 }, file = { NULL, 0 };

	while (head.n) {
		size_t line_n = find_bytes(head, STR("\r\n"));
		struct str value, line = str_slice(head, 0, line_n);
		struct str header = str_trim(str_split(line, ':', &value));

		if (str_equal_nocase(header, STR("Content-Disposition")) && value.n <= DISPOSITION_BYTES_MAX) {
			name = disposition_parameter(arena, value, STR("name"));
			file = disposition_parameter(arena, value, STR("filename"));
		}
		head = str_slice(head, line_n + 2, head.n);
	}
	return !name.p || add(arena, form, (struct form_part){ .name = name, .value = content, .is_file = file.n > 0 });
}

bool form_parse_multipart(struct arena *arena, struct str body, struct str boundary, struct form *form)
{
	struct str fence = arena_printf(arena, "\r\n--%.*s", STR_ARG(boundary));
	struct str first = str_slice(fence, 2, fence.n);
	struct str rest;

	/* The first fence may open the body without a line end before it. */
	if (str_starts_with(body, first))
		rest = str_slice(body, first.n, body.n);
	else
		rest = str_slice(body, find_bytes(body, fence) + fence.n, body.n);
	while (rest.n && !str_starts_with(rest, STR("--"))) {
		size_t part_n = find_bytes(rest, fence);
		struct str part = str_slice(rest, 0, part_n);

		/* Padding behind the fence, up to the line's end, belongs to it. The headers may be missing altogether.
		 */
		part = str_slice(part, find_bytes(part, STR("\r\n")) + 2, part.n);
		if (!str_starts_with(part, STR("\r\n")) && !add_part(arena, part, form))
			return false;
		rest = str_slice(rest, part_n + fence.n, rest.n);
	}
	return true;
}
