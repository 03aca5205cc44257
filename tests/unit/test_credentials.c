/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of Authorization headers and of e-mail addresses (contract, sections 2 and 4). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "api/credentials.h"
#include "api/email.h"

static void test_headers(void **state)
{
	static const struct {
		const char *header;
		enum credentials_kind kind;
		const char *first, *second; /* token; or name and password; or the problem */
	} rows[] = {
		{ NULL, CREDENTIALS_NONE, NULL, NULL },
		{ "", CREDENTIALS_NONE, NULL, NULL },
		{ "0123", CREDENTIALS_NONE, NULL, NULL },
		{ "Digest x", CREDENTIALS_NONE, NULL, NULL },
		{ "Tokenx y", CREDENTIALS_NONE, NULL, NULL },
		{ "Token abc", CREDENTIALS_TOKEN, "abc", NULL },
		{ "tOKEN \t abc ", CREDENTIALS_TOKEN, "abc", NULL },
		{ "bearer abc", CREDENTIALS_TOKEN, "abc", NULL },
		{ "Token \xC3\xA9", CREDENTIALS_TOKEN, "\xC3\xA9", NULL },
		{ "Token", CREDENTIALS_MALFORMED, "Invalid token header. No credentials provided.", NULL },
		{ "Token a b", CREDENTIALS_MALFORMED, "Invalid token header. Token string should not contain spaces.",
		  NULL },
		{ "Token \xFF", CREDENTIALS_MALFORMED,
		  "Invalid token header. Token string should not contain invalid characters.", NULL },
		{ "Basic", CREDENTIALS_MALFORMED, "Invalid basic header. No credentials provided.", NULL },
		{ "Basic a b c", CREDENTIALS_MALFORMED,
		  "Invalid basic header. Credentials string should not contain spaces.", NULL },
		{ "Basic abc", CREDENTIALS_MALFORMED, "Invalid basic header. Credentials not correctly base64 encoded.",
		  NULL },
		{ "basic YWxpY2U6cGE6c3M=", CREDENTIALS_PASSWORD, "alice", "pa:ss" },
		{ "Basic YWxp*Y2U6cGE6c3M=", CREDENTIALS_PASSWORD, "alice", "pa:ss" },
		{ "Basic YWxpY2U=", CREDENTIALS_PASSWORD, "alice", "" },
		{ "Basic !!!!", CREDENTIALS_PASSWORD, "", "" },
		{ "Basic 6Tr/", CREDENTIALS_PASSWORD, "\xC3\xA9", "\xC3\xBF" }, /* latin-1 */
	};
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct credentials found = credentials_parse(&arena, str_from(rows[i].header));

		if (found.kind != rows[i].kind)
			fail_msg("%s gives %d", rows[i].header, (int)found.kind);
		if (found.kind == CREDENTIALS_TOKEN)
			assert_true(str_equal(found.token, str_from(rows[i].first)));
		if (found.kind == CREDENTIALS_MALFORMED)
			assert_string_equal(found.problem, rows[i].first);
		if (found.kind == CREDENTIALS_PASSWORD)
			assert_true(str_equal(found.username, str_from(rows[i].first)) &&
				    str_equal(found.password, str_from(rows[i].second)));
	}
	arena_release(&arena);
}

#define B63 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void test_emails(void **state)
{
	static const char *const good[] = {
		"bob@example.org",
		"b.o.b+tag@Sub.Example.ORG",
		"!#$%&'*+/=?^_{}|~-`@example.org",
		"\"quoted\"@example.org",
		"\"a@b\\ c\\\"\"@example.org",
		"a@localhost",
		"a@[127.0.0.1]",
		"a@[::1]",
		"a@example.o-g",
		"a@example.-og",
		"a@" B63 ".org",
		"a@b\xC3\xBC"
		"cher.example",
		"0@0.example",
		"a@x." B63,
	};
	static const char *const bad[] = {
		"",
		"x",
		"@",
		"a@",
		"@example.org",
		"a@b",
		"a b@example.org",
		"a..b@example.org",
		".a@example.org",
		"a.@example.org",
		"a@example..org",
		"a@-example.org",
		"a@example-.org",
		"a@example.o",
		"a@example.org-",
		"a@exa_mple.org",
		"a@@example.org",
		"\xC3\xA9@example.org",
		"a@[999.1.1.1]",
		"a@[x]",
		"a@[]",
		"\"a b\"@example.org",
		"\"a\"b\"@example.org",
		"\"@example.org",
		"\"a\\\"@example.org",
		"a@example.org\nx",
		("a@b" B63 ".org"),
		"a@LOCALHOST",
		"a@example.org.",
		"a@\xC2\xA0.org",
		("a@x.b" B63),
	};
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (!email_is_valid(str_from(good[i])))
			fail_msg("%s is refused", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (email_is_valid(str_from(bad[i])))
			fail_msg("%s is accepted", bad[i]);
	assert_false(email_is_valid(STR("a\0@example.org")));
	assert_true(str_equal(email_normalise(&arena, STR("A@b@EXAMPLE.Org")), STR("A@b@example.org")));
	arena_release(&arena);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_emails),
	};

	return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}
