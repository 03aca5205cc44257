/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of content negotiation: Accept, formats, media types of bodies. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "api/negotiate.h"

static void test_accept(void **state)
{
	static const struct {
		const char *accept;
		bool is_json;
		unsigned indent;
	} rows[] = {
		{ NULL, true, 0 },
		{ "*/*", true, 0 },
		{ "application/*", true, 0 },
		{ "application/json", true, 0 },
		{ "APPLICATION/Json; charset=utf-8", true, 0 },
		{ "text/html,application/xml;q=0.9,*/*;q=0.8", true, 0 },
		{ "application/json;q=0", true, 0 },
		{ "*/json", true, 0 },
		{ " text/plain , application/json ", true, 0 },
		{ "application/json; indent=4", true, 4 },
		{ "application/json;indent=99", true, 8 },
		{ "application/json; indent=0", true, 0 },
		{ "application/json; indent=-3", true, 0 },
		{ "application/json; indent=x", true, 0 },
		{ "*/*; indent=2", true, 2 },
		{ "*/*; indent=2, application/json", true, 0 },
		{ "application/json, application/json; indent=3", true, 3 },
		{ "application/xml", false, 0 },
		{ "text/plain", false, 0 },
		{ "*", false, 0 },
		{ "garbage", false, 0 },
		{ "", false, 0 },
		{ "text/html", false, 0 },
		{ "application", false, 0 },
		{ "application/", false, 0 },
		{ "application/jsonx", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned indent = 77;
		bool is_json = negotiate_accept(str_from(rows[i].accept), &indent);

		if (is_json != rows[i].is_json || (is_json && indent != rows[i].indent))
			fail_msg("Accept: %s gives %d, indent %u", rows[i].accept, is_json, indent);
	}
}

static void test_format(void **state)
{
	(void)state;
	assert_true(negotiate_format(STR("json")));
	assert_true(negotiate_format(STR("")));
	assert_true(negotiate_format((struct str){ NULL, 0 }));
	assert_false(negotiate_format(STR("xml")));
	assert_false(negotiate_format(STR("JSON")));
}

static void test_body(void **state)
{
	static const struct {
		const char *type;
		enum negotiate_body body;
	} rows[] = {
		{ "application/json", BODY_JSON },
		{ "Application/JSON ; charset=x", BODY_JSON },
		{ "*/*", BODY_JSON },
		{ "application/*", BODY_JSON },
		{ "application/x-www-form-urlencoded", BODY_FORM },
		{ "multipart/form-data; boundary=x", BODY_MULTIPART },
		{ "multipart/*", BODY_MULTIPART },
		{ "text/plain", BODY_UNSUPPORTED },
		{ "", BODY_UNSUPPORTED },
		{ NULL, BODY_UNSUPPORTED },
		{ "application/json-patch+json", BODY_UNSUPPORTED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(negotiate_body(str_from(rows[i].type)), rows[i].body);
}

static void test_parameter(void **state)
{
	struct str type = STR("multipart/form-data; x=\"a;boundary=no\" ; Boundary=\"b c\"; charset = utf-8");

	(void)state;
	assert_true(str_equal(negotiate_parameter(type, STR("boundary")), STR("b c")));
	assert_true(str_equal(negotiate_parameter(type, STR("charset")), STR("utf-8")));
	assert_null(negotiate_parameter(type, STR("q")).p);
	assert_null(negotiate_parameter(STR("text/plain"), STR("charset")).p);
	assert_null(negotiate_parameter(STR("text/plain; charset"), STR("charset")).p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_parameter),
	};

	return cmocka_run_group_tests_name("negotiate", tests, NULL, NULL);
}
