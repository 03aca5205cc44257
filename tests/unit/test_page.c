/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of pages: how limit and offset are read and which links an answer carries (contract, section 3). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "api/page.h"

static void test_links(void **state)
{
	static const struct {
		const char *query;
		uint64_t count;
		const char *next, *previous; /* their queries; NULL = null */
	} rows[] = {
		{ "", 7, NULL, NULL },
		{ "", 1001, "limit=1000&offset=1000", NULL },
		{ "limit=3", 7, "limit=3&offset=3", NULL },
		{ "limit=3&offset=3", 7, "limit=3&offset=6", "limit=3" },
		{ "limit=3&offset=4", 7, NULL, "limit=3&offset=1" },
		{ "limit=3&offset=1", 7, "limit=3&offset=4", "limit=3" },
		{ "offset=2", 7, NULL, "limit=1000" },
		{ "offset=100&limit=2", 7, NULL, "limit=2&offset=98" },
		{ "limit=0", 1001, "limit=1000&offset=1000", NULL },
		{ "limit=-1&offset=-1", 7, NULL, NULL },
		{ "limit=x&offset=", 7, NULL, NULL },
		{ "limit=+3", 7, "limit=3&offset=3", NULL },
		{ "limit=%2B03", 7, "limit=3&offset=3", NULL },
		{ "limit=1&limit=3", 7, "limit=3&offset=3", NULL },
		{ "z=1&limit=2&a=%C3%A9+x&&m", 7, "a=%C3%A9+x&limit=2&m=&offset=2&z=1", NULL },
		{ "x=2&limit=2&x=1", 7, "limit=2&offset=2&x=2&x=1", NULL },
		{ "a=b~-._%2F%zz", 1001, "a=b~-._%2F%25zz&limit=1000&offset=1000", NULL },
		{ "limit=99999999999999999999", 7, NULL, NULL },
		{ "limit=99999999999999999999&offset=1", 7, NULL, "limit=99999999999999999999" },
		{ "limit=9223372036854775807&offset=9223372036854775807", 7, NULL, "limit=9223372036854775807" },
		{ "limit=2&offset=9223372036854775808", 7, NULL, "limit=2&offset=9223372036854775806" },
		{ "limit=1&offset=100000000000000000000", 7, NULL, "limit=1&offset=99999999999999999999" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct arena arena = { 0 };
		struct form query = { 0 };
		struct buf json;
		char next[200] = "null", previous[200] = "null";
		struct page_request page;

		assert_true(form_parse_urlencoded(&arena, str_from(rows[i].query), &query));
		page = page_parse(&arena, &query);
		buf_init(&json, 4096);
		buf_add(&json, STR("{\"count\":0"));
		page_add_links(&json, &arena, &page, rows[i].count, STR("http://h/p/"));
		if (rows[i].next)
			snprintf(next, sizeof next, "\"http://h/p/?%s\"", rows[i].next);
		if (rows[i].previous)
			snprintf(previous, sizeof previous, "\"http://h/p/?%s\"", rows[i].previous);

		struct str expected = arena_printf(&arena, "{\"count\":0,\"next\":%s,\"previous\":%s", next, previous);

		if (!str_equal(buf_str(&json), expected))
			fail_msg("?%s\n got %.*s\nwant %.*s", rows[i].query, STR_ARG(buf_str(&json)),
				 STR_ARG(expected));
		buf_release(&json);
		arena_release(&arena);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_links) };

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
