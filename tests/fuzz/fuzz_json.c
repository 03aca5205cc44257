/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON: accepted is exactly what an independent reading of RFC 8259 accepts; every value's bytes lie inside its
 * parent's and mean the same alone; the compact and the indented text mean the same again. */
#include "fuzz.h"

#include "base/json.h"
#include "base/text.h"

enum { MEMORY_FACTOR = 120, ALONE_MAX = 24 };

/* ---- an independent reading: recursive, on code points known to be valid ---- */

struct scanner {
	const char *p, *end;
};

static void skip_blanks(struct scanner *s)
{
	while (s->p < s->end && memchr(" \t\r\n", *s->p, 4))
		s->p++;
}

static bool eat(struct scanner *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static size_t eat_digits(struct scanner *s)
{
	const char *start = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return (size_t)(s->p - start);
}

static bool is_number(struct scanner *s)
{
	eat(s, '-');
	if (!eat(s, '0') && eat_digits(s) == 0)
		return false;
	if (eat(s, '.') && eat_digits(s) == 0)
		return false;
	if (!eat(s, 'e') && !eat(s, 'E'))
		return true;
	if (!eat(s, '+'))
		eat(s, '-');
	return eat_digits(s) > 0;
}

/* The four digits behind \u; -1 without. */
static int hex4(struct scanner *s)
{
	int value = 0;

	for (int i = 0; i < 4; i++, s->p++) {
		static const char digits[] = "0123456789abcdef0123456789ABCDEF";
		const char *at = s->p < s->end ? memchr(digits, *s->p, 32) : NULL;

		if (!at)
			return -1;
		value = value * 16 + (int)((at - digits) % 16);
	}
	return value;
}

static bool is_escape(struct scanner *s)
{
	if (s->p == s->end)
		return false;
	if (!eat(s, 'u'))
		return memchr("\"\\/bfnrt", *s->p++, 8) != NULL;

	int unit = hex4(s);

	if (unit < 0xd800 || unit > 0xdfff)
		return unit >= 0;
	if (unit > 0xdbff || !eat(s, '\\') || !eat(s, 'u'))
		return false;
	unit = hex4(s);
	return unit >= 0xdc00 && unit <= 0xdfff;
}

static bool is_string(struct scanner *s)
{
	if (!eat(s, '"'))
		return false;
	while (s->p < s->end && *s->p != '"') {
		if ((unsigned char)*s->p < 0x20)
			return false;
		if (*s->p++ == '\\' && !is_escape(s))
			return false;
	}
	return eat(s, '"');
}

static bool is_word(struct scanner *s, const char *word)
{
	while (*word)
		if (!eat(s, *word++))
			return false;
	return true;
}

static bool is_value(struct scanner *s);

static bool is_container(struct scanner *s, bool has_names, char close)
{
	s->p++;
	skip_blanks(s);
	if (eat(s, close))
		return true;
	do {
		skip_blanks(s);
		if (has_names && !is_string(s))
			return false;
		skip_blanks(s);
		if ((has_names && !eat(s, ':')) || !is_value(s))
			return false;
		skip_blanks(s);
	} while (eat(s, ','));
	return eat(s, close);
}

static bool is_value(struct scanner *s)
{
	skip_blanks(s);
	if (s->p == s->end)
		return false;
	switch (*s->p) {
	case '{':
		return is_container(s, true, '}');
	case '[':
		return is_container(s, false, ']');
	case '"':
		return is_string(s);
	case 't':
		return is_word(s, "true");
	case 'f':
		return is_word(s, "false");
	case 'n':
		return is_word(s, "null");
	default:
		return is_number(s);
	}
}

static bool is_json(struct str text)
{
	struct scanner s = { text.p, text.p + text.n };

	if (!utf8_is_valid(text) || !is_value(&s))
		return false;
	skip_blanks(&s);
	return s.p == s.end;
}

/* ---- trees ---- */

struct pair {
	const struct json *a, *b;
};

static void check_value(const struct json *a, const struct json *b)
{
	assert(a->type == b->type && str_equal(a->name, b->name) && !a->name.p == !b->name.p);
	assert(str_equal(a->text, b->text) && !a->child == !b->child && !a->next == !b->next);
}

/* `values_max`: how many values there can be. */
static void check_trees(const struct json *a, const struct json *b, size_t values_max)
{
	struct pair *stack = memory_new(values_max * sizeof *stack);
	size_t n = 0;

	stack[n++] = (struct pair){ a, b };
	while (n > 0) {
		struct pair at = stack[--n];

		check_value(at.a, at.b);
		if (at.a->next)
			stack[n++] = (struct pair){ at.a->next, at.b->next };
		if (at.a->child)
			stack[n++] = (struct pair){ at.a->child, at.b->child };
		assert(n <= values_max);
	}
	free(stack);
}

/* A value's bytes, read alone. */
static void check_alone(const struct json *value)
{
	struct arena arena = { 0 };
	struct json_problem problem;
	struct str raw = fuzz_copy(value->raw);
	const struct json *alone = json_parse(&arena, raw, &problem);

	assert(alone && alone->type == value->type && str_equal(alone->text, value->text));
	assert(alone->raw.p == raw.p && alone->raw.n == raw.n && !alone->next && !alone->name.p);
	fuzz_free(raw);
	arena_release(&arena);
}

static void check_spans(const struct json *root, struct str text)
{
	struct pair *stack = memory_new((text.n + 1) * sizeof *stack);
	size_t n = 0, alone = 0;

	assert(fuzz_is_inside(root->raw, text));
	stack[n++] = (struct pair){ root, NULL };
	while (n > 0) {
		struct pair at = stack[--n];
		const struct json *value = at.a, *parent = at.b;

		assert(value->raw.n > 0 && (!parent || fuzz_is_inside(value->raw, parent->raw)));
		assert(!parent || parent->type == JSON_ARRAY || parent->type == JSON_OBJECT);
		assert(!parent || !value->name.p == (parent->type == JSON_ARRAY));
		assert(utf8_is_valid(value->name) && utf8_is_valid(value->text));
		if (alone++ < ALONE_MAX)
			check_alone(value);
		if (value->next) {
			assert(value->next->raw.p > value->raw.p + value->raw.n);
			stack[n++] = (struct pair){ value->next, parent };
		}
		if (value->child)
			stack[n++] = (struct pair){ value->child, value };
	}
	free(stack);
}

/* ---- writing ---- */

static void check_rewritten(const struct json *root, struct str rewritten, size_t values_max)
{
	struct arena arena = { 0 };
	struct json_problem problem;
	const struct json *again = json_parse(&arena, rewritten, &problem);

	assert(again);
	check_trees(root, again, values_max);
	arena_release(&arena);
}

static void check_writing(const struct json *root, struct str text, unsigned indent)
{
	struct buf compact, indented, again;

	buf_init(&compact, text.n);
	buf_init(&indented, 64 << 20);
	buf_init(&again, text.n);
	json_compact(&compact, text);
	json_indent(&indented, text, indent);
	json_compact(&again, buf_str(&indented));
	assert(!compact.failed && !again.failed && str_equal(buf_str(&compact), buf_str(&again)));
	check_rewritten(root, buf_str(&compact), text.n + 1);
	check_rewritten(root, buf_str(&indented), text.n + 1);
	buf_release(&compact);
	buf_release(&indented);
	buf_release(&again);
}

/* Any bytes become a string; valid UTF-8 the same string. */
static void check_string(struct str text)
{
	struct arena arena = { 0 };
	struct json_problem problem;
	struct buf buf;

	buf_init(&buf, 6 * text.n + 2);
	json_add_string(&buf, text);

	const struct json *value = json_parse(&arena, buf_str(&buf), &problem);

	assert(!buf.failed && value && value->type == JSON_STRING);
	assert(!utf8_is_valid(text) || str_equal(value->text, text));
	buf_release(&buf);
	arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned indent = (unsigned)fuzz_take(&in, 1) % 9;
	struct str text = fuzz_rest(&in);
	size_t before = fuzz_memory_bytes();
	struct arena arena = { 0 };
	struct json_problem problem = { .at = SIZE_MAX };
	const struct json *root = json_parse(&arena, text, &problem);

	fuzz_check_memory(before, text.n, MEMORY_FACTOR);
	if (root) {
		assert(is_json(text));
		check_spans(root, text);
		check_writing(root, text, indent);
	} else {
		assert(problem.at <= text.n && problem.text[0] &&
		       strnlen(problem.text, sizeof problem.text) < sizeof problem.text);
		assert(strstr(problem.text, "nested too deep") || !is_json(text));
	}
	check_string(text);
	arena_release(&arena);
	fuzz_free(text);
	return 0;
}
