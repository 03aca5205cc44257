/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers: they grow to their maximum exactly, and remember that they would have passed it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/buf.h"

static void expect_str(const struct buf *buf, const char *want)
{
	if (!str_equal(buf_str(buf), str_from(want)))
		fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(buf_str(buf)), want);
}

static void expect_appended(void **state)
{
	(void)state;
	struct buf buf;

	buf_init(&buf, 1000);
	assert_null(buf.p);
	assert_non_null(buf_str(&buf).p);
	expect_str(&buf, "");
	buf_add(&buf, STR("a"));
	buf_add(&buf, (struct str){ NULL, 0 });
	buf_add_char(&buf, '\0');
	buf_add_u64(&buf, 0);
	buf_add_char(&buf, ' ');
	buf_add_u64(&buf, UINT64_MAX);
	buf_add_char(&buf, ' ');
	buf_add_i64(&buf, INT64_MIN);
	buf_add_char(&buf, ' ');
	buf_add_i64(&buf, INT64_MAX);
	buf_printf(&buf, " %s %d%%", "x", -7);
	assert_false(buf.failed);
	assert_true(
		str_equal(buf_str(&buf), STR("a\0"
					     "0 18446744073709551615 -9223372036854775808 9223372036854775807 x -7%")));
	buf_clear(&buf);
	expect_str(&buf, "");
	assert_non_null(buf.p);
	buf_release(&buf);
	assert_null(buf.p);
	assert_int_equal(buf.max, 1000);
	buf_add(&buf, STR("again"));
	expect_str(&buf, "again");
	buf_release(&buf);
}

static void expect_maximum(void **state)
{
	(void)state;
	struct buf buf;

	buf_init(&buf, 5);
	buf_printf(&buf, "%s", "12345");
	assert_false(buf.failed);
	expect_str(&buf, "12345");
	buf_add(&buf, (struct str){ NULL, 0 });
	assert_false(buf.failed);
	buf_add_char(&buf, '6');
	assert_true(buf.failed);
	expect_str(&buf, "12345");
	buf.n = 0;
	buf_add_char(&buf, '7'); /* still failed: part of it is missing */
	expect_str(&buf, "");
	assert_null(buf_reserve(&buf, 1));
	buf_clear(&buf);
	assert_false(buf.failed);
	buf_add(&buf, STR("1234"));
	buf_add(&buf, STR("56"));
	assert_true(buf.failed);
	expect_str(&buf, "1234");
	buf_clear(&buf);
	buf_printf(&buf, "%s", "123456");
	assert_true(buf.failed);
	expect_str(&buf, "");
	buf_release(&buf);
	buf_init(&buf, 0);
	buf_add(&buf, STR(""));
	assert_false(buf.failed);
	buf_add_char(&buf, 'x');
	assert_true(buf.failed);
	buf_release(&buf);
}

/* Every size around the points where memory grows. */
static void expect_growth(void **state)
{
	(void)state;
	struct buf buf;

	for (size_t n = 250; n < 530; n++) {
		buf_init(&buf, SIZE_MAX);
		for (size_t i = 0; i < n; i++)
			buf_add_char(&buf, (char)('a' + i % 26));
		buf_printf(&buf, "%s", "end");
		assert_int_equal(buf.n, n + 3);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf.p[i], 'a' + i % 26);
		assert_memory_equal(buf.p + n, "end", 3);
		buf_release(&buf);
	}
}

static void expect_reserved(void **state)
{
	(void)state;
	struct buf buf;

	buf_init(&buf, 600);
	for (size_t n = 1; n <= 600; n += 599) {
		char *at = buf_reserve(&buf, n);

		assert_non_null(at);
		memset(at, 'x', n);
		buf.n += n;
		assert_int_equal(buf_str(&buf).p[n - 1], 'x');
		buf_clear(&buf);
	}
	assert_null(buf_reserve(&buf, 601));
	assert_true(buf.failed);
	buf_release(&buf);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expect_appended),
		cmocka_unit_test(expect_maximum),
		cmocka_unit_test(expect_growth),
		cmocka_unit_test(expect_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
