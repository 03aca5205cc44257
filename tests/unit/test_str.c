/* SPDX-License-Identifier: BSD-3-Clause */
/* Byte views: comparing, cutting, reading numbers; absent and empty views, and bytes of any value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/str.h"

static const struct str absent = { NULL, 0 };

static void expect_str(struct str got, const char *want)
{
	if (!str_equal(got, str_from(want)))
		fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(got), want);
}

static void expect_compared(void **state)
{
	(void)state;
	static const struct {
		struct str a, b;
		bool is_equal, is_equal_nocase, starts, ends;
	} rows[] = {
		{ { "", 0 }, { NULL, 0 }, true, true, true, true },
		{ { "abc", 3 }, { "abc", 3 }, true, true, true, true },
		{ { "abc", 3 }, { "ABC", 3 }, false, true, false, false },
		{ { "abc", 3 }, { "ab", 2 }, false, false, true, false },
		{ { "abc", 3 }, { "bc", 2 }, false, false, false, true },
		{ { "abc", 3 }, { "", 0 }, false, false, true, true },
		{ { "abc", 3 }, { NULL, 0 }, false, false, true, true },
		{ { NULL, 0 }, { "a", 1 }, false, false, false, false },
		{ { "ab", 2 }, { "abc", 3 }, false, false, false, false },
		{ { "a\0b", 3 }, { "a\0c", 3 }, false, false, false, false },
		{ { "a\0b", 3 }, { "A\0B", 3 }, false, true, false, false },
		{ { "[", 1 }, { "{", 1 }, false, false, false, false },
		{ { "@", 1 }, { "`", 1 }, false, false, false, false },
		{ { "\xc4", 1 }, { "\xe4", 1 }, false, false, false, false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(str_equal(rows[i].a, rows[i].b), rows[i].is_equal);
		assert_int_equal(str_equal(rows[i].b, rows[i].a), rows[i].is_equal);
		assert_int_equal(str_equal_nocase(rows[i].a, rows[i].b), rows[i].is_equal_nocase);
		assert_int_equal(str_equal_nocase(rows[i].b, rows[i].a), rows[i].is_equal_nocase);
		assert_int_equal(str_starts_with(rows[i].a, rows[i].b), rows[i].starts);
		assert_int_equal(str_ends_with(rows[i].a, rows[i].b), rows[i].ends);
	}
	assert_null(str_from(NULL).p);
	assert_int_equal(str_from("abc").n, 3);
}

static void expect_sliced(void **state)
{
	(void)state;
	struct str s = STR("hello");

	expect_str(str_slice(s, 0, 5), "hello");
	expect_str(str_slice(s, 1, 3), "ell");
	expect_str(str_slice(s, 1, SIZE_MAX), "ello");
	expect_str(str_slice(s, 4, 1), "o");
	expect_str(str_slice(s, 2, 0), "");
	expect_str(str_slice(s, 5, 1), "");
	expect_str(str_slice(s, SIZE_MAX, SIZE_MAX), "");
	assert_ptr_equal(str_slice(s, 9, 1).p, s.p + 5);
	assert_null(str_slice(absent, 0, 1).p);
	assert_int_equal(str_find(s, 'l'), 2);
	assert_int_equal(str_find(s, 'x'), 5);
	assert_int_equal(str_find(absent, 'x'), 0);
	assert_int_equal(str_find((struct str){ "a\0b", 3 }, 'b'), 2);
}

static void expect_trimmed(void **state)
{
	(void)state;
	expect_str(str_trim(STR(" \t\n\v\f\ra b\r\f\v\n\t ")), "a b");
	expect_str(str_trim(STR("ab")), "ab");
	expect_str(str_trim(STR(" ")), "");
	expect_str(str_trim(STR("")), "");
	expect_str(str_trim(STR("\x1c"
				"a\xc2\xa0")),
		   "\x1c"
		   "a\xc2\xa0");
	assert_null(str_trim(absent).p);
}

static void expect_split(void **state)
{
	(void)state;
	struct str rest;

	expect_str(str_split(STR("a,b,c"), ',', &rest), "a");
	expect_str(rest, "b,c");
	expect_str(str_split(STR("a,"), ',', &rest), "a");
	assert_non_null(rest.p);
	assert_int_equal(rest.n, 0);
	expect_str(str_split(STR(",a"), ',', &rest), "");
	expect_str(rest, "a");
	expect_str(str_split(STR("a"), ',', &rest), "a");
	assert_null(rest.p);
	expect_str(str_split(STR(""), ',', &rest), "");
	assert_null(rest.p);
	assert_null(str_split(absent, ',', &rest).p);
	assert_null(rest.p);
}

static void expect_u64(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
	} rows[] = {
		{ "0", true, 0 },
		{ "007", true, 7 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "000000000000000000000000018446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "18446744073709551620", false, 0 },
		{ "99999999999999999999", false, 0 },
		{ "184467440737095516150", false, 0 },
		{ "", false, 0 },
		{ "-1", false, 0 },
		{ "+1", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "1a", false, 0 },
		{ "0x1", false, 0 },
		{ "1/", false, 0 },
		{ "1:", false, 0 },
		{ "\xd9\xa1", false, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t value = 77;

		assert_int_equal(str_to_u64(str_from(rows[i].text), &value), rows[i].ok);
		assert_true(value == (rows[i].ok ? rows[i].value : 77));
	}
}

static void expect_i64(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool ok;
		int64_t value;
	} rows[] = {
		{ "0", true, 0 },
		{ "-0", true, 0 },
		{ "+5", true, 5 },
		{ "-5", true, -5 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "-9223372036854775809", false, 0 },
		{ "18446744073709551616", false, 0 },
		{ "", false, 0 },
		{ "-", false, 0 },
		{ "+", false, 0 },
		{ "--1", false, 0 },
		{ "+-1", false, 0 },
		{ "- 1", false, 0 },
		{ "1.0", false, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t value = 77;

		assert_int_equal(str_to_i64(str_from(rows[i].text), &value), rows[i].ok);
		assert_true(value == (rows[i].ok ? rows[i].value : 77));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expect_compared), cmocka_unit_test(expect_sliced), cmocka_unit_test(expect_trimmed),
		cmocka_unit_test(expect_split),	   cmocka_unit_test(expect_u64),    cmocka_unit_test(expect_i64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
