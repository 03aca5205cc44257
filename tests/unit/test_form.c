/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of form bodies: urlencoded and multipart. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "api/form.h"

/* Pairs as "name=value;name=value;", a file with '@' in front of its name. */
static struct str shown(struct arena *arena, const struct form *form)
{
	struct str text = STR("");

	for (const struct form_part *part = form->first; part; part = part->next)
		text = arena_printf(arena, "%.*s%s%.*s=%.*s;", STR_ARG(text), part->is_file ? "@" : "",
				    STR_ARG(part->name), STR_ARG(part->value));
	return text;
}

static void test_urlencoded(void **state)
{
	static const struct {
		const char *text, *pairs;
	} rows[] = {
		{ "", "" },
		{ "a=1&b=2", "a=1;b=2;" },
		{ "a", "a=;" },
		{ "=", "=;" },
		{ "&&a=1&", "a=1;" },
		{ "a=1=2", "a=1=2;" },
		{ "a+b=c+d%20e", "a b=c d e;" },
		{ "%C3%A9=%c3%a9", "\xC3\xA9=\xC3\xA9;" },
		{ "a=%", "a=%;" },
		{ "a=%4", "a=%4;" },
		{ "a=%zz%41", "a=%zzA;" },
		{ "a=%ff", "a=\xEF\xBF\xBD;" },
		{ "a=x%C3", "a=x\xEF\xBF\xBD;" },
		{ "a=1&a=2", "a=1;a=2;" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct arena arena = { 0 };
		struct form form = { 0 };

		assert_true(form_parse_urlencoded(&arena, str_from(rows[i].text), &form));
		if (!str_equal(shown(&arena, &form), str_from(rows[i].pairs)))
			fail_msg("%s gives %.*s", rows[i].text, STR_ARG(shown(&arena, &form)));
		arena_release(&arena);
	}
}

#define PART(name, rest, value) "--b\r\nContent-Disposition: form-data; name=" name rest "\r\n\r\n" value "\r\n"

static void test_multipart(void **state)
{
	static const struct {
		const char *body, *pairs;
	} rows[] = {
		{ "", "" },
		{ "--b--\r\n", "" },
		{ "garbage", "" },
		{ PART("\"a\"", "", "1") "--b--\r\n", "a=1;" },
		{ PART("\"a\"", "", "1") PART("a", "", "2\r\n3") "--b--", "a=1;a=2\r\n3;" },
		{ "preamble\r\n" PART("\"a\"", "", "1") "--b--\r\nepilogue", "a=1;" },
		{ PART("\"a\"", "; filename=\"x.txt\"", "1") "--b--\r\n", "@a=1;" },
		{ PART("\"a\"", "; filename=\"\"", "1") "--b--\r\n", "a=1;" },
		{ PART("\"a\\\"b\"", "", "1") "--b--\r\n", "a\"b=1;" },
		{ "--b\r\ncontent-disposition:form-data;NAME=a\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--\r\n",
		  "a=1;" },
		{ "--b\r\n\r\nno headers\r\n" PART("\"a\"", "", "1") "--b--\r\n", "a=1;" },
		{ "--b  \r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--\r\n", "a=1;" },
		{ PART("\"a\"", "", "1") "--b\r\nContent-Disposition: form-data; name=c\r\n\r\nno end",
		  "a=1;c=no end;" },
		{ PART("\"a\"", "", "") "--b--\r\n", "a=;" },
		{ "--b", "" },
		{ "--b\r\n", "" },
		{ "--b\r\nx", "" },
		{ "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n", "a=;" },
		{ "--b\r\nContent-Disposition: form-data; name\r\n\r\n1\r\n--b--", "=1;" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct arena arena = { 0 };
		struct form form = { 0 };

		assert_true(form_parse_multipart(&arena, str_from(rows[i].body), STR("b"), &form));
		if (!str_equal(shown(&arena, &form), str_from(rows[i].pairs)))
			fail_msg("row %zu gives %.*s", i, STR_ARG(shown(&arena, &form)));
		arena_release(&arena);
	}
}

static void test_bounds_and_lookup(void **state)
{
	struct arena arena = { 0 };
	struct form form = { 0 };
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 16);
	for (int i = 0; i < FORM_PARTS_MAX; i++)
		buf_printf(&text, "k%d=%d&", i % 10, i);
	assert_true(form_parse_urlencoded(&arena, buf_str(&text), &form));
	assert_true(str_equal(form_last(&form, STR("k3"))->value, STR("993")));
	assert_null(form_last(&form, STR("k")));
	buf_add(&text, STR("x=1"));
	form = (struct form){ 0 };
	assert_false(form_parse_urlencoded(&arena, buf_str(&text), &form));
	assert_true(str_equal(form_unescape(&arena, STR("/a%2Fb+%20%")), STR("/a/b+ %")));
	buf_clear(&text);
	form_add_escaped(&text, STR("a Z9_.-~/\xC3\xA9\0"));
	assert_true(str_equal(buf_str(&text), STR("a+Z9_.-~%2F%C3%A9%00")));
	buf_release(&text);
	arena_release(&arena);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urlencoded),
		cmocka_unit_test(test_multipart),
		cmocka_unit_test(test_bounds_and_lookup),
	};

	return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
