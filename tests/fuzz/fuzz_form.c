/* SPDX-License-Identifier: BSD-3-Clause */
/* Form bodies and query strings: all names and values are valid UTF-8, memory is in proportion to the body, and what
 * was read is the same when it is written out and read again, both as a query string and as multipart. */
#include "fuzz.h"

#include "api/form.h"
#include "base/text.h"

enum { MEMORY_FACTOR = 140, NAME_BYTES_MAX = 800, BYTES_MAX = 1 << 22 };

static void check_form(const struct form *form)
{
	const struct form_part *last = NULL;
	size_t n = 0;

	for (const struct form_part *part = form->first; part; part = part->next, n++) {
		assert(utf8_is_valid(part->name) && utf8_is_valid(part->value));
		last = part;
	}
	assert(n == form->n && n <= FORM_PARTS_MAX && last == form->last);
	if (last)
		assert(form_last(form, last->name) == last);
}

static void check_same(const struct form *a, const struct form *b, bool with_files)
{
	const struct form_part *x = a->first, *y = b->first;

	assert(a->n == b->n);
	for (; x && y; x = x->next, y = y->next) {
		assert(str_equal(x->name, y->name) && str_equal(x->value, y->value));
		assert(!with_files || x->is_file == y->is_file);
	}
}

static void check_query(const struct form *form)
{
	struct arena arena = { 0 };
	struct form again = { 0 };
	struct buf text;

	buf_init(&text, BYTES_MAX);
	for (const struct form_part *part = form->first; part; part = part->next) {
		buf_add(&text, part == form->first ? STR("") : STR("&"));
		form_add_escaped(&text, part->name);
		buf_add_char(&text, '=');
		form_add_escaped(&text, part->value);
	}
	for (size_t i = 0; i < text.n; i++)
		assert(text.p[i] > ' ' && text.p[i] < 0x7f && text.p[i] != '"' && text.p[i] != '\\');
	assert(form_parse_urlencoded(&arena, buf_str(&text), &again));
	check_same(form, &again, false);
	arena_release(&arena);
	buf_release(&text);
}

static void add_quoted(struct buf *text, struct str name)
{
	buf_add_char(text, '"');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			buf_add_char(text, '\\');
		buf_add_char(text, name.p[i]);
	}
	buf_add_char(text, '"');
}

/* Only what the format can carry: no line end inside a name, not the fence inside a value. */
static bool is_plain(const struct form *form)
{
	for (const struct form_part *part = form->first; part; part = part->next)
		if (part->name.n > NAME_BYTES_MAX || str_find(part->name, '\r') < part->name.n ||
		    (part->value.n > 0 && memmem(part->value.p, part->value.n, "--fence", 7)))
			return false;
	return true;
}

static void check_multipart(const struct form *form)
{
	struct arena arena = { 0 };
	struct form again = { 0 };
	struct buf text;

	if (!is_plain(form))
		return;
	buf_init(&text, BYTES_MAX);
	for (const struct form_part *part = form->first; part; part = part->next) {
		buf_add(&text, STR("--fence \r\nX: y\r\ncontent-disposition: form-data; name="));
		add_quoted(&text, part->name);
		buf_add(&text, part->is_file ? STR("; filename=\"a;b\"\r\n\r\n") : STR("\r\n\r\n"));
		buf_add(&text, part->value);
		buf_add(&text, STR("\r\n"));
	}
	buf_add(&text, STR("--fence--\r\n"));
	assert(form_parse_multipart(&arena, buf_str(&text), STR("fence"), &again));
	check_same(form, &again, true);
	arena_release(&arena);
	buf_release(&text);
}

/* Pieces between '&' that are not empty. */
static size_t count_pieces(struct str text)
{
	size_t n = 0;

	for (struct str rest = text; rest.p;)
		n += str_split(rest, '&', &rest).n > 0;
	return n;
}

static void check_unescape(struct str text)
{
	struct arena arena = { 0 };
	struct str plain = form_unescape(&arena, text);

	assert(plain.n <= text.n && (str_find(text, '%') < text.n || str_equal(plain, text)));
	arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	bool is_multipart = fuzz_take(&in, 1) & 1, is_read;
	struct str text = fuzz_rest(&in), body, boundary = str_split(text, '\n', &body);
	size_t before = fuzz_memory_bytes();
	struct arena arena = { 0 };
	struct form form = { 0 };

	if (is_multipart && boundary.n > 0)
		is_read = form_parse_multipart(&arena, body, boundary, &form);
	else
		is_read = form_parse_urlencoded(&arena, text, &form);
	fuzz_check_memory(before, text.n, MEMORY_FACTOR);
	check_form(&form);
	assert(is_read || form.n == FORM_PARTS_MAX);
	if (is_read && !(is_multipart && boundary.n > 0))
		assert(form.n == count_pieces(text));
	check_query(&form);
	check_multipart(&form);
	check_unescape(text);
	arena_release(&arena);
	fuzz_free(text);
	return 0;
}
