/* SPDX-License-Identifier: BSD-3-Clause */
/* Accept and Content-Type: parameters are parts of the header, what is no JSON in a list changes nothing, one more
 * element that welcomes JSON always does, and the case of a type does not matter. */
#include "fuzz.h"

#include "api/negotiate.h"

static struct str join(struct arena *arena, struct str a, struct str b)
{
	char *p = arena_alloc(arena, a.n + b.n + 1);

	if (a.n > 0)
		memcpy(p, a.p, a.n);
	if (b.n > 0)
		memcpy(p + a.n, b.p, b.n);
	return (struct str){ p, a.n + b.n };
}

static struct str other_case(struct arena *arena, struct str text)
{
	struct str copy = join(arena, text, STR(""));

	for (size_t i = 0; i < text.n; i++)
		if ((text.p[i] >= 'a' && text.p[i] <= 'z') || (text.p[i] >= 'A' && text.p[i] <= 'Z'))
			((char *)(uintptr_t)copy.p)[i] ^= 0x20;
	return copy;
}

static void check_accept(struct arena *arena, struct str accept)
{
	unsigned indent = 99, other = 99;
	bool is_welcome = negotiate_accept(accept, &indent);

	assert(indent <= NEGOTIATE_INDENT_MAX && (is_welcome || indent == 0));
	assert(negotiate_accept(join(arena, STR("text/html;q=1,image/*,"), accept), &other) == is_welcome &&
	       other == indent);
	assert(negotiate_accept(join(arena, accept, STR(", a/b ; indent=3")), &other) == is_welcome && other == indent);
	assert(negotiate_accept(join(arena, accept, STR(",application/json")), &other));
	assert(negotiate_accept(join(arena, STR("*/*,"), accept), &other));
	assert(negotiate_accept(other_case(arena, accept), &other) == is_welcome && other == indent);
	assert(negotiate_accept(join(arena, STR("application/json;x=1;indent=4,"), accept), &other) && other == 4);
}

static void check_body(struct arena *arena, struct str type)
{
	static const struct str names[] = { { "boundary", 8 }, { "charset", 7 }, { "q", 1 } };

	assert(negotiate_body(type) == negotiate_body(other_case(arena, type)));
	assert(negotiate_body(join(arena, type, STR(" "))) == negotiate_body(type));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct str value = negotiate_parameter(type, names[i]);
		struct str again = negotiate_parameter(join(arena, type, STR("")), other_case(arena, names[i]));

		assert(!value.p || fuzz_is_inside(value, type));
		assert(!value.p == !again.p && str_equal(value, again));
	}
	assert(negotiate_format(type) == (type.n == 0 || str_equal(type, STR("json"))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = fuzz_copy((struct str){ (const char *)data, size });
	struct arena arena = { 0 };

	check_accept(&arena, text);
	check_body(&arena, text);
	arena_release(&arena);
	fuzz_free(text);
	return 0;
}
