/* SPDX-License-Identifier: BSD-3-Clause */
/* Small encodings: every code point there and back, every wrong sequence refused, base64 and UUIDs as Python takes
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/text.h"

#define TEXT(literal)                                                                                                  \
	{                                                                                                              \
		(literal), sizeof(literal) - 1                                                                         \
	}

static void expect_str(struct str got, struct str want)
{
	if (!str_equal(got, want))
		fail_msg("got \"%.*s\", want \"%.*s\"", STR_ARG(got), STR_ARG(want));
}

static void expect_each_code_point(void **state)
{
	(void)state;
	struct buf buf;

	buf_init(&buf, 16);
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		size_t at = 0, n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

		buf_clear(&buf);
		utf8_add(&buf, c);
		struct str text = buf_str(&buf);

		if (text.n != n)
			fail_msg("U+%04X takes %zu bytes", c, text.n);
		if (c >= 0xd800 && c < 0xe000) {
			if (utf8_is_valid(text))
				fail_msg("surrogate %04X is valid", c);
			continue;
		}
		if (!utf8_is_valid(text) || utf8_next(text, &at) != c || at != n || utf8_count(text) != 1)
			fail_msg("U+%04X does not come back", c);
	}
	buf_release(&buf);
}

static void expect_utf8(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		size_t valid_n;
	} rows[] = {
		{ TEXT(""), 0 },
		{ TEXT("plain"), 5 },
		{ TEXT("a longer text of ASCII only, more than eight bytes"), 50 },
		{ TEXT("a longer text with \xc3\xa9 and more behind it\xff"), 40 },
		{ TEXT("12345678\x80"), 8 },
		{ TEXT("1234567\x80"
		       "12345678"),
		  7 },
		{ TEXT("a\0b"), 3 },
		{ TEXT("\x80"), 0 },
		{ TEXT("\xbf"), 0 },
		{ TEXT("a\xc3"), 1 },
		{ TEXT("\xc3\xa9\xc3"), 2 },
		{ TEXT("\xc3\x28"), 0 },
		{ TEXT("\xc0\x80"), 0 },
		{ TEXT("\xc1\xbf"), 0 },
		{ TEXT("\xc2\x80"), 2 },
		{ TEXT("\xe0\x9f\xbf"), 0 },
		{ TEXT("\xe0\xa0\x80"), 3 },
		{ TEXT("\xe2\x82"), 0 },
		{ TEXT("\xe2\x28\xa1"), 0 },
		{ TEXT("\xed\x9f\xbf"), 3 },
		{ TEXT("\xed\xa0\x80"), 0 },
		{ TEXT("\xed\xbf\xbf"), 0 },
		{ TEXT("\xee\x80\x80"), 3 },
		{ TEXT("\xf0\x8f\xbf\xbf"), 0 },
		{ TEXT("\xf0\x90\x80\x80"), 4 },
		{ TEXT("\xf0\x9f\x98"), 0 },
		{ TEXT("\xf4\x8f\xbf\xbf"), 4 },
		{ TEXT("\xf4\x90\x80\x80"), 0 },
		{ TEXT("\xf5\x80\x80\x80"), 0 },
		{ TEXT("\xf8\x88\x80\x80\x80"), 0 },
		{ TEXT("\xfe"), 0 },
		{ TEXT("\xff"), 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (utf8_valid_n(rows[i].text) != rows[i].valid_n)
			fail_msg("row %zu: %zu", i, utf8_valid_n(rows[i].text));
		assert_int_equal(utf8_is_valid(rows[i].text), rows[i].valid_n == rows[i].text.n);
	}
	assert_true(utf8_is_valid((struct str){ NULL, 0 }));
	assert_int_equal(utf8_count(STR("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z")), 5);
	assert_int_equal(utf8_count((struct str){ NULL, 0 }), 0);
	size_t at = 1;

	assert_int_equal(utf8_next(STR("a\xe2\x82\xac"
				       "b"),
				   &at),
			 0x20ac);
	assert_int_equal(at, 4);
}

static void expect_hex(void **state)
{
	(void)state;
	uint8_t bytes[256], again[256];
	char text[512];

	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	hex_format(bytes, sizeof bytes, text);
	assert_memory_equal(text, "000102", 6);
	assert_memory_equal(text + 506, "fdfeff", 6);
	assert_true(hex_parse((struct str){ text, sizeof text }, again, sizeof again));
	assert_memory_equal(bytes, again, sizeof bytes);
	assert_true(hex_parse(STR("aBCdEf"), again, 3));
	assert_memory_equal(again, "\xab\xcd\xef", 3);
	assert_true(hex_parse(STR(""), again, 0));
	static const char *const wrong[] = { "abcde",  "abcdeff", "abcdeg", "abcd e", "abcde/",
					     "abcde:", "abcde@",  "abcde`", "+1-234", "0x1234" };

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(hex_parse(str_from(wrong[i]), again, 3));
}

static void expect_base64_written(void **state)
{
	(void)state;
	static const struct {
		struct str bytes, text;
	} rows[] = {
		{ TEXT(""), TEXT("") },
		{ TEXT("f"), TEXT("Zg==") },
		{ TEXT("fo"), TEXT("Zm8=") },
		{ TEXT("foo"), TEXT("Zm9v") },
		{ TEXT("foob"), TEXT("Zm9vYg==") },
		{ TEXT("fooba"), TEXT("Zm9vYmE=") },
		{ TEXT("foobar"), TEXT("Zm9vYmFy") },
		{ TEXT("\0\0\0"), TEXT("AAAA") },
		{ TEXT("\xff\xff\xff"), TEXT("////") },
		{ TEXT("\xfb\xef\xbe"), TEXT("++++") },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena arena = { 0 };
		struct str bytes;
		struct buf buf;

		buf_init(&buf, 64);
		base64_add(&buf, rows[i].bytes);
		expect_str(buf_str(&buf), rows[i].text);
		assert_true(base64_decode(&arena, rows[i].text, &bytes));
		expect_str(bytes, rows[i].bytes);
		buf_release(&buf);
		arena_release(&arena);
	}
}

/* The answers are those of Python's base64.b64decode. */
static void expect_base64_read(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		bool ok;
		struct str bytes;
	} rows[] = {
		{ TEXT(""), true, TEXT("") },
		{ TEXT("!?"), true, TEXT("") },
		{ TEXT("Z g\n=\t="), true, TEXT("f") },
		{ TEXT("Zm9v!Yg=="), true, TEXT("foob") },
		{ TEXT("Zm9vYg==Zm9v"), true, TEXT("foob") },
		{ TEXT("Zg=m8="), true, TEXT("f\t\xbc") },
		{ TEXT("Zm=9v"), true, TEXT("foo") },
		{ TEXT("=Zm9v"), true, TEXT("foo") },
		{ TEXT("Zm9v="), true, TEXT("foo") },
		{ TEXT("Zm9v===="), true, TEXT("foo") },
		{ TEXT("Z=g=="), true, TEXT("f") },
		{ TEXT("===="), true, TEXT("") },
		{ TEXT("Zh=="), true, TEXT("f") },
		{ TEXT("Zg-_=="), true, TEXT("f") },
		{ TEXT("Zg"), false, TEXT("") },
		{ TEXT("Zg="), false, TEXT("") },
		{ TEXT("Zm8"), false, TEXT("") },
		{ TEXT("Z"), false, TEXT("") },
		{ TEXT("Z==="), false, TEXT("") },
		{ TEXT("Zm9vZ"), false, TEXT("") },
		{ TEXT("Zm9vZg"), false, TEXT("") },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena arena = { 0 };
		struct str bytes = { NULL, 0 };

		if (base64_decode(&arena, rows[i].text, &bytes) != rows[i].ok)
			fail_msg("%s", rows[i].text.p);
		if (rows[i].ok)
			expect_str(bytes, rows[i].bytes);
		arena_release(&arena);
	}
}

static void expect_uuids(void **state)
{
	(void)state;
	static const char canonical[] = "01234567-89ab-cdef-0123-456789abcdef";
	static const char *const good[] = {
		canonical,
		"01234567-89AB-CDEF-0123-456789ABCDEF",
		"0123456789abcdef0123456789abcdef",
		"{01234567-89ab-cdef-0123-456789abcdef}",
		"urn:uuid:01234567-89ab-cdef-0123-456789abcdef",
		"uuid:0123456789abcdef0123456789abcdef",
		"0-1-2-3-4-5-6-7-89abcdef0123456789abcdef",
	};
	static const char *const bad[] = {
		"",
		"{}",
		"-",
		"01234567-89ab-cdef-0123-456789abcde",
		"01234567-89ab-cdef-0123-456789abcdef0",
		"01234567-89ab-cdef-0123-456789abcdeg",
		" 01234567-89ab-cdef-0123-456789abcdef",
		"(01234567-89ab-cdef-0123-456789abcdef)",
		"URN:UUID:0123456789abcdef0123456789abcdef",
		"0x23456789abcdef0123456789abcdef",
		"+123456789abcdef0123456789abcdef",
		"0123456789abcdef_0123456789abcde",
		"null",
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		uint8_t uuid[16] = { 0 };
		char text[UUID_TEXT_BYTES];

		if (!uuid_parse(str_from(good[i]), uuid))
			fail_msg("%s", good[i]);
		uuid_format(uuid, text);
		assert_memory_equal(text, canonical, sizeof text);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint8_t uuid[16];

		if (uuid_parse(str_from(bad[i]), uuid))
			fail_msg("%s", bad[i]);
	}
}

static void expect_stamped(void **state)
{
	(void)state;
	uint8_t uuid[16];
	char text[UUID_TEXT_BYTES];

	memset(uuid, 0xff, sizeof uuid);
	uuid_stamp(uuid, 7);
	uuid_format(uuid, text);
	assert_memory_equal(text, "ffffffff-ffff-7fff-bfff-ffffffffffff", sizeof text);
	memset(uuid, 0, sizeof uuid);
	uuid_stamp(uuid, 4);
	uuid_format(uuid, text);
	assert_memory_equal(text, "00000000-0000-4000-8000-000000000000", sizeof text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expect_each_code_point),
		cmocka_unit_test(expect_utf8),
		cmocka_unit_test(expect_hex),
		cmocka_unit_test(expect_base64_written),
		cmocka_unit_test(expect_base64_read),
		cmocka_unit_test(expect_uuids),
		cmocka_unit_test(expect_stamped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
