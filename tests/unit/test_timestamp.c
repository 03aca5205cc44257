/* SPDX-License-Identifier: BSD-3-Clause */
/* Instants as text: what the API takes and shows, and the dates of HTTP. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "core/timestamp.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define S US_PER_SECOND

static void test_parse(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum timestamp_verdict verdict;
		int64_t us;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", TIMESTAMP_OK, 0 },
		{ "1970-01-01 00:00", TIMESTAMP_OK, 0 },
		{ "1970-1-1T0:0", TIMESTAMP_OK, 0 },
		{ "1970-1-1T0:0:7", TIMESTAMP_OK, 7 * S },
		{ "2030-01-01T00:00:00+00:00", TIMESTAMP_OK, 1893456000 * S },
		{ "2030-01-01T01:00:00+01:00", TIMESTAMP_OK, 1893456000 * S },
		{ "2030-01-01T01:00:00+0100", TIMESTAMP_OK, 1893456000 * S },
		{ "2030-01-01T01:00:00+01", TIMESTAMP_OK, 1893456000 * S },
		{ "2029-12-31T18:30:00-05:30", TIMESTAMP_OK, 1893456000 * S },
		{ "2030-01-01T00:00:00.5Z", TIMESTAMP_OK, 1893456000 * S + 500000 },
		{ "2030-01-01T00:00:00.123456", TIMESTAMP_OK, 1893456000 * S + 123456 },
		{ "2030-01-01T00:00:00.123456999999", TIMESTAMP_OK, 1893456000 * S + 123456 },
		{ "2030-01-01T00:00:00.000001Z", TIMESTAMP_OK, 1893456000 * S + 1 },
		{ "1969-12-31T23:59:59.999999Z", TIMESTAMP_OK, -1 },
		{ "2024-02-29T12:00Z", TIMESTAMP_OK, 1709208000 * S },
		{ "0001-01-01T00:00:00Z", TIMESTAMP_OK, WALL_US_MIN },
		{ "9999-12-31T23:59:59.999999Z", TIMESTAMP_OK, WALL_US_MAX },
		{ "9999-12-31T23:59:59.999999+00:00", TIMESTAMP_OK, WALL_US_MAX },
		{ "2030-01-01T00:00-23:59", TIMESTAMP_OK, (1893456000 + 86340) * S },
		{ "0001-01-01T00:00:00+00:01", TIMESTAMP_OUT_OF_RANGE, 0 },
		{ "9999-12-31T23:59:59-00:01", TIMESTAMP_OUT_OF_RANGE, 0 },
		{ "", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00.", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00.5", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00.1234567890123", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T24:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:60:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:60Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-13-01T00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-00-01T00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-00T00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-02-29T00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "0000-01-01T00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "30-01-01T00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "12030-01-01T00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-001-01T00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01t00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01  00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ " 2030-01-01T00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00Z ", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00 Z", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00+24:00", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00+01:60", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00+1:00", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00+01:", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00+01:0", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00+010", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00+01:000", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00ZZ", TIMESTAMP_MALFORMED, 0 },
		{ "2030-01-01T00:00:00+", TIMESTAMP_MALFORMED, 0 },
		{ "-2030-01-01T00:00:00Z", TIMESTAMP_MALFORMED, 0 },
		{ "now", TIMESTAMP_MALFORMED, 0 },
		{ "1893456000", TIMESTAMP_MALFORMED, 0 },
	};

	for (size_t i = 0; i < N(rows); i++) {
		struct wall at = { 42 };

		if (timestamp_parse(str_from(rows[i].text), &at) != rows[i].verdict)
			fail_msg("%s", rows[i].text);
		if (at.us != (rows[i].verdict == TIMESTAMP_OK ? rows[i].us : 42))
			fail_msg("%s gives %lld", rows[i].text, (long long)at.us);
	}
}

static void test_a_nul_is_no_end(void **state)
{
	(void)state;
	struct wall at;

	assert_int_equal(timestamp_parse((struct str){ "2030-01-01T00:00\0", 17 }, &at), TIMESTAMP_MALFORMED);
	assert_int_equal(timestamp_parse((struct str){ NULL, 0 }, &at), TIMESTAMP_MALFORMED);
}

static void check_text(void (*add)(struct buf *, struct wall), int64_t us, const char *expected)
{
	struct buf buf;

	buf_init(&buf, 64);
	add(&buf, (struct wall){ us });
	assert_false(buf.failed);
	if (!str_equal(buf_str(&buf), str_from(expected)))
		fail_msg("%.*s instead of %s", STR_ARG(buf_str(&buf)), expected);
	buf_release(&buf);
}

static void test_add(void **state)
{
	(void)state;
	check_text(timestamp_add, 0, "1970-01-01T00:00:00Z");
	check_text(timestamp_add, -1, "1969-12-31T23:59:59.999999Z");
	check_text(timestamp_add, 1893456000 * S + 500, "2030-01-01T00:00:00.000500Z");
	check_text(timestamp_add, WALL_US_MIN, "0001-01-01T00:00:00Z");
	check_text(timestamp_add, WALL_US_MAX, "9999-12-31T23:59:59.999999Z");
	check_text(timestamp_add_us, 0, "1970-01-01T00:00:00.000000Z");
	check_text(timestamp_add_us, -1, "1969-12-31T23:59:59.999999Z");
	check_text(timestamp_add_offset, 1893456000 * S, "2030-01-01T00:00:00+00:00");
	check_text(timestamp_add_offset, 1893456000 * S + 1, "2030-01-01T00:00:00.000001+00:00");
}

static void test_round_trip(void **state)
{
	(void)state;
	uint64_t x = 88172645463325252;

	for (int i = 0; i < 20000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;

		struct wall at = { WALL_US_MIN + (int64_t)(x % (uint64_t)(WALL_US_MAX - WALL_US_MIN + 1)) }, back;
		struct buf buf;

		buf_init(&buf, 64);
		(i % 2 ? timestamp_add : timestamp_add_us)(&buf, at);
		assert_int_equal(timestamp_parse(buf_str(&buf), &back), TIMESTAMP_OK);
		assert_int_equal(back.us, at.us);
		buf_release(&buf);
	}
}

static void test_http_dates(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t s; /* -1 = none */
	} rows[] = {
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
		{ "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
		{ "Sun Nov  6 08:49:37 1994", 784111777 },
		{ "Wed Nov 16 08:49:37 1994", 784975777 },
		{ "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
		{ "Thu, 29 Feb 2024 00:00:00 GMT", 1709164800 },
		{ "Sat, 31 Dec 2016 23:59:60 GMT", 1483228800 },
		{ "Friday, 01-Jan-38 00:00:00 GMT", 2145916800 },
		{ "Wednesday, 31-Dec-69 23:59:59 GMT", -2 },
		{ "Fri, 31 Dec 9999 23:59:60 GMT", -1 },
		{ "", -1 },
		{ "120", -1 },
		{ "Sun, 06 Nov 1994 08:49:37", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 UTC", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT ", -1 },
		{ "Sun, 6 Nov 1994 08:49:37 GMT", -1 },
		{ "sun, 06 nov 1994 08:49:37 gmt", -1 },
		{ "Sun, 31 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 24:49:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 08:60:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 08:49:61 GMT", -1 },
		{ "Sun, 06 Foo 1994 08:49:37 GMT", -1 },
		{ "Sun, 06-Nov-94 08:49:37 GMT", -1 },
		{ "Sunday, 06 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun Nov 6 08:49:37 1994", -1 },
		{ "Sun Nov  6 08:49:37 1994 GMT", -1 },
		{ "2030-01-01T00:00:00Z", -1 },
	};

	for (size_t i = 0; i < N(rows); i++) {
		struct wall at = { 42 };
		bool found = timestamp_parse_http_date(str_from(rows[i].text), &at);
		/* -2 stands for the second before the epoch. */
		int64_t expected = rows[i].s == -2 ? -1 : rows[i].s;

		if (found != (rows[i].s != -1) || at.us != (found ? expected * S : 42))
			fail_msg("%s gives %d, %lld", rows[i].text, found, (long long)at.us);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	   cmocka_unit_test(test_a_nul_is_no_end), cmocka_unit_test(test_add),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_http_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
