/* SPDX-License-Identifier: BSD-3-Clause */
/* Which texts are URLs that can be called, and what is sent for them; the refused forms of the egress table
 * (docs/design/egress.md). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/url.h"

#define N(array) (sizeof(array) / sizeof(array)[0])

/* A text may hold a zero byte, so its size counts. */
#define STR_INIT(text)                                                                                                 \
	{                                                                                                              \
		(text), sizeof(text) - 1                                                                               \
	}

static void test_refused(void **state)
{
	/* The number is the row of the egress table. */
	static const struct {
		int row;
		struct str text;
	} rows[] = {
		{ 2, STR_INIT("http://127.1/") },
		{ 2, STR_INIT("http://127.0.1/") },
		{ 3, STR_INIT("http://2130706433/") },
		{ 4, STR_INIT("http://0x7f000001/") },
		{ 4, STR_INIT("http://0x7f.0.0.1/") },
		{ 4, STR_INIT("http://0X7F000001/") },
		{ 5, STR_INIT("http://0177.0.0.1/") },
		{ 5, STR_INIT("http://017700000001/") },
		{ 6, STR_INIT("http://0/") },
		{ 16, STR_INIT("http://[fe80::1%25lo]/") },
		{ 16, STR_INIT("http://[fe80::1%lo]/") },
		{ 20, STR_INIT("http://2852039166/") },
		{ 33, STR_INIT("http://user:pw@host/") },
		{ 33, STR_INIT("http://user@host/") },
		{ 33, STR_INIT("http://@host/") },
		{ 34, STR_INIT("http://good.com@127.0.0.1/") },
		{ 34, STR_INIT("http://1.1.1.1 &@2.2.2.2# @3.3.3.3/") },
		{ 34, STR_INIT("http://1.1.1.1&@2.2.2.2#@3.3.3.3/") },
		{ 35, STR_INIT("http://good.com\\@127.0.0.1/") },
		{ 35, STR_INIT("http:\\\\good.com/") },
		{ 35, STR_INIT("http://good.com/\\x") },
		{ 35, STR_INIT("http://good.com/\t") },
		{ 35, STR_INIT("http://go\tod.com/") },
		{ 35, STR_INIT("http://good.com/\r\nX: y") },
		{ 35, STR_INIT("http://good.com/\n") },
		{ 35, STR_INIT("http://good.com/a b") },
		{ 35, STR_INIT(" http://good.com/") },
		{ 35, STR_INIT("http://good.com/\0") },
		{ 35, STR_INIT("http://good.com\0.evil.com/") },
		{ 35, STR_INIT("http://good.com/\x7f") },
		{ 36, STR_INIT("http://127.0.0.1%2f@x") },
		{ 36, STR_INIT("http://%6cocalhost/") },
		{ 36, STR_INIT("http://a%2eb.com/") },
		{ 37, STR_INIT("http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/") },
		{ 37, STR_INIT("http://\xe2\x91\xa0.com/") },
		{ 37, STR_INIT("http://127\xe3\x80\x82"
			       "0.0.1/") },
		{ 37, STR_INIT("http://local\xc2\xadhost/") },
		{ 37, STR_INIT("http://b\xc3\xbc"
			       "cher.example/") },
		{ 38, STR_INIT("file:///etc/passwd") },
		{ 38, STR_INIT("gopher://x/") },
		{ 38, STR_INIT("dict://x/") },
		{ 38, STR_INIT("ftp://x/") },
		{ 38, STR_INIT("jar:http://x!/") },
		{ 38, STR_INIT("ldap://x/") },
		{ 38, STR_INIT("data:text/plain,x") },
		{ 38, STR_INIT("//x") },
		{ 38, STR_INIT("example.com") },
		{ 38, STR_INIT("") },
		{ 38, STR_INIT("http:") },
		{ 38, STR_INIT("http:/x.com/") },
		{ 38, STR_INIT("httpx://x.com/") },
		{ 39, STR_INIT("http:///x") },
		{ 39, STR_INIT("http://") },
		{ 39, STR_INIT("http://?x") },
		{ 39, STR_INIT("http://:80/") },
		{ 39, STR_INIT("http://a:b") },
		{ 39, STR_INIT("http://a:") },
		{ 39, STR_INIT("http://a:/") },
		{ 39, STR_INIT("http://a:0") },
		{ 39, STR_INIT("http://a:65536") },
		{ 39, STR_INIT("http://a:00080") },
		{ 39, STR_INIT("http://a:080") },
		{ 39, STR_INIT("http://a:+80") },
		{ 39, STR_INIT("http://a:-1") },
		{ 39, STR_INIT("http://a:80:80") },
		{ 39, STR_INIT("http://a:18446744073709551696/") },
		{ 42, STR_INIT("http+unix://%2Fvar%2Frun%2Fx.sock/") },
		{ 42, STR_INIT("unix:/var/run/x.sock") },
		{ 42, STR_INIT("http://unix:/var/run/x.sock") },
		{ 43, STR_INIT("http://256.1.1.1/") },
		{ 43, STR_INIT("http://1.2.3.4.5/") },
		{ 43, STR_INIT("http://08.0.0.1/") },
		{ 43, STR_INIT("http://1.2.3./") },
		{ 43, STR_INIT("http://1.2.3.4./") },
		{ 43, STR_INIT("http://example.1/") },
		{ 43, STR_INIT("http://example.0x1f/") },
		{ 43, STR_INIT("http://example.0x/") },
		{ 0, STR_INIT("http://[::1/") },
		{ 0, STR_INIT("http://::1/") },
		{ 0, STR_INIT("http://[]/") },
		{ 0, STR_INIT("http://[1.2.3.4]/") },
		{ 0, STR_INIT("http://[::1]x/") },
		{ 0, STR_INIT("http://[::1]:/") },
		{ 0, STR_INIT("http://[:::1]/") },
		{ 0, STR_INIT("http://[1:2:3:4:5:6:7:8:9]/") },
		{ 0, STR_INIT("http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]/") },
		{ 0, STR_INIT("http://a..b/") },
		{ 0, STR_INIT("http://.a/") },
		{ 0, STR_INIT("http://a.../") },
		{ 0, STR_INIT("http://./") },
		{ 0, STR_INIT("http://-a.com/") },
		{ 0, STR_INIT("http://a-.com/") },
		{ 0, STR_INIT("http://a,b.com/") },
		{ 0, STR_INIT("http://a.com/\xff") },
		{ 0, STR_INIT("http://a.com/\xed\xa0\x80") },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct url url;

		if (url_parse(rows[i].text, &url))
			fail_msg("row %d accepted: %.*s", rows[i].row, STR_ARG(rows[i].text));
	}
}

static void test_accepted(void **state)
{
	static const struct {
		const char *text;
		bool is_https;
		enum url_host_kind kind;
		const char *host;
		uint16_t port;
		const char *target, *authority;
	} rows[] = {
		{ "http://a", false, URL_HOST_NAME, "a", 80, "/", "a" },
		{ "https://93.184.216.34/", true, URL_HOST_IPV4, "93.184.216.34", 443, "/", "93.184.216.34" },
		{ "https://example.com./", true, URL_HOST_NAME, "example.com.", 443, "/", "example.com." },
		{ "https://xn--bcher-kva.example/", true, URL_HOST_NAME, "xn--bcher-kva.example", 443, "/",
		  "xn--bcher-kva.example" },
		{ "http://[2001:4860:4860::8888]/", false, URL_HOST_IPV6, "2001:4860:4860::8888", 80, "/",
		  "[2001:4860:4860::8888]" },
		{ "http://[::FFFF:8.8.8.8]:8080/", false, URL_HOST_IPV6, "::FFFF:8.8.8.8", 8080, "/",
		  "[::ffff:8.8.8.8]:8080" },
		{ "HTTPS://Example.COM:8443/A/b?c=D&e", true, URL_HOST_NAME, "Example.COM", 8443, "/A/b?c=D&e",
		  "example.com:8443" },
		{ "http://a:80/", false, URL_HOST_NAME, "a", 80, "/", "a" },
		{ "https://a:80/", true, URL_HOST_NAME, "a", 80, "/", "a:80" },
		{ "http://a:65535", false, URL_HOST_NAME, "a", 65535, "/", "a:65535" },
		{ "http://a?x=1", false, URL_HOST_NAME, "a", 80, "/?x=1", "a" },
		{ "http://a#frag", false, URL_HOST_NAME, "a", 80, "/", "a" },
		{ "http://a/p?q#f?g", false, URL_HOST_NAME, "a", 80, "/p?q", "a" },
		{ "http://a/p@q:r//s", false, URL_HOST_NAME, "a", 80, "/p@q:r//s", "a" },
		{ "http://a/../b/./c", false, URL_HOST_NAME, "a", 80, "/../b/./c", "a" },
		{ "http://a/%41%zz%", false, URL_HOST_NAME, "a", 80, "/%41%25zz%25", "a" },
		{ "http://a/%e", false, URL_HOST_NAME, "a", 80, "/%25e", "a" },
		{ "http://a/\xc3\xa9?\xe2\x82\xac", false, URL_HOST_NAME, "a", 80, "/%C3%A9?%E2%82%AC", "a" },
		{ "http://a/{x}|\"<>^`", false, URL_HOST_NAME, "a", 80, "/%7Bx%7D%7C%22%3C%3E%5E%60", "a" },
		{ "http://a/[1]!$&'()*+,;=~", false, URL_HOST_NAME, "a", 80, "/[1]!$&'()*+,;=~", "a" },
		{ "http://my_service.internal:9000/x", false, URL_HOST_NAME, "my_service.internal", 9000, "/x",
		  "my_service.internal:9000" },
		{ "http://1a.2b", false, URL_HOST_NAME, "1a.2b", 80, "/", "1a.2b" },
		{ "http://1.2.3.4.com/", false, URL_HOST_NAME, "1.2.3.4.com", 80, "/", "1.2.3.4.com" },
		{ "http://0x7g/", false, URL_HOST_NAME, "0x7g", 80, "/", "0x7g" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct url url;
		struct buf buf;

		if (!url_parse(str_from(rows[i].text), &url))
			fail_msg("refused: %s", rows[i].text);
		assert_int_equal(url.is_https, rows[i].is_https);
		assert_int_equal(url.host_kind, rows[i].kind);
		assert_true(str_equal(url.host, str_from(rows[i].host)));
		assert_int_equal(url.port, rows[i].port);
		buf_init(&buf, 8192);
		url_add_target(&buf, &url);
		if (!str_equal(buf_str(&buf), str_from(rows[i].target)))
			fail_msg("%s: target %.*s", rows[i].text, STR_ARG(buf_str(&buf)));
		buf_clear(&buf);
		url_add_authority(&buf, &url);
		if (!str_equal(buf_str(&buf), str_from(rows[i].authority)))
			fail_msg("%s: authority %.*s", rows[i].text, STR_ARG(buf_str(&buf)));
		buf_release(&buf);
	}
}

static void test_literal_bytes_and_port_written(void **state)
{
	static const uint8_t v6[16] = { 0x20, 0x01, 0x48, 0x60, [15] = 0x88 };
	struct url url;

	(void)state;
	assert_true(url_parse(STR("http://1.2.3.255/"), &url));
	assert_memory_equal(url.address, ((uint8_t[]){ 1, 2, 3, 255 }), 4);
	assert_false(url.port_written);
	assert_true(url_parse(STR("http://[2001:4860::88]:443/"), &url));
	assert_memory_equal(url.address, v6, 16);
	assert_true(url.port_written);
}

static void test_lengths(void **state)
{
	char text[URL_BYTES_MAX + 2];
	struct url url;

	(void)state;
	memset(text, 'a', sizeof text);
	memcpy(text, "http://a/", 9);
	assert_true(url_parse((struct str){ text, URL_BYTES_MAX }, &url));
	assert_false(url_parse((struct str){ text, URL_BYTES_MAX + 1 }, &url));

	/* 63 bytes a label, 253 a name, one final dot beside. */
	memset(text, 'a', sizeof text);
	memcpy(text, "http://", 7);
	assert_true(url_parse((struct str){ text, 7 + 63 }, &url));
	assert_false(url_parse((struct str){ text, 7 + 64 }, &url));
	for (size_t i = 7 + 63; i < 7 + 253; i += 64)
		text[i] = '.';
	assert_true(url_parse((struct str){ text, 7 + 253 }, &url));
	assert_false(url_parse((struct str){ text, 7 + 254 }, &url));
	text[7 + 253] = '.';
	assert_true(url_parse((struct str){ text, 7 + 254 }, &url));
	assert_true(url_lane(&url) >= 0);
}

static int64_t lane_of(const char *text)
{
	struct url url;

	assert_true(url_parse(str_from(text), &url));
	return url_lane(&url);
}

static void test_lane(void **state)
{
	static const char *const same[][2] = {
		{ "http://a/", "http://A:80/x?y" },
		{ "https://Example.com/", "https://example.com.:443" },
		{ "http://[::1]/", "http://[0:0:0:0:0:0:0:1]/" },
		{ "http://10.0.0.1/", "http://10.0.0.1:80/z" },
	};
	static const char *const different[] = { "http://a/",	  "https://a/",	   "http://a:8080/", "https://a:80/",
						 "http://b/",	  "http://aa/",	   "http://a.b/",    "http://1.2.3.4/",
						 "http://[::1]/", "http://[::2]/", "http://1.2.3.5/" };

	(void)state;
	for (size_t i = 0; i < N(same); i++)
		assert_int_equal(lane_of(same[i][0]), lane_of(same[i][1]));
	for (size_t i = 0; i < N(different); i++) {
		assert_true(lane_of(different[i]) >= 0);
		for (size_t j = 0; j < i; j++)
			assert_true(lane_of(different[i]) != lane_of(different[j]));
	}
}

static void test_webhook_target(void **state)
{
	static const struct {
		struct str text;
		bool is_valid;
	} rows[] = {
		{ STR_INIT("http://example.com"), true },
		{ STR_INIT("HTTPS://Example.COM/x?y#z"), true },
		{ STR_INIT("ftp://example.com/x"), true },
		{ STR_INIT("ftps://example.com/x"), true },
		{ STR_INIT("http://localhost"), true },
		{ STR_INIT("http://LOCALHOST:8000/x"), true },
		{ STR_INIT("http://127.0.0.1:8000/x"), true },
		{ STR_INIT("http://001.02.3.255/"), true },
		{ STR_INIT("http://[::1]:8000/"), true },
		{ STR_INIT("http://[::ffff:1.2.3.4]/"), true },
		{ STR_INIT("http://user@example.com/"), true },
		{ STR_INIT("http://user:pass@example.com:8080/"), true },
		{ STR_INIT("http://user:@example.com/"), true },
		{ STR_INIT("http://a?b@example.com/"), true },
		{ STR_INIT("http://example.com?x@y"), true },
		{ STR_INIT("http://example.com:99999/"), true },
		{ STR_INIT("http://example.com./"), true },
		{ STR_INIT("http://b\xc3\xbc"
			   "cher.example/\xc3\xa9"),
		  true },
		{ STR_INIT("http://example.\xd1\x80\xd1\x84/"), true },
		{ STR_INIT("http://a.xn--p1ai/"), true },
		{ STR_INIT("http://1.2.3.4.com/"), true },
		{ STR_INIT("http://a--b.co-m/"), true },
		{ STR_INIT("http://example.com/a\\b|{}"), true },
		{ STR_INIT("http://example/"), false },
		{ STR_INIT("http://localhost./"), false },
		{ STR_INIT("http://example.c/"), false },
		{ STR_INIT("http://example.c0m/"), false },
		{ STR_INIT("http://example..com/"), false },
		{ STR_INIT("http://-example.com/"), false },
		{ STR_INIT("http://example-.com/"), false },
		{ STR_INIT("http://exa_mple.com/"), false },
		{ STR_INIT("http://256.1.1.1/"), false },
		{ STR_INIT("http://1.2.3/"), false },
		{ STR_INIT("http://1.2.3.4./"), false },
		{ STR_INIT("http://[::1/"), false },
		{ STR_INIT("http://[::g]/"), false },
		{ STR_INIT("http://[::1]8000/"), false },
		{ STR_INIT("http://example.com:8/"), false },
		{ STR_INIT("http://example.com:/"), false },
		{ STR_INIT("http://example.com:123456/"), false },
		{ STR_INIT("http://example.com:8a/"), false },
		{ STR_INIT("http://example.com/a b"), false },
		{ STR_INIT("http://example.com/\xe2\x80\xa8"), false },
		{ STR_INIT("http://example.com/\xc2\xa0"), false },
		{ STR_INIT(" http://example.com/"), false },
		{ STR_INIT("http://@example.com/"), false },
		{ STR_INIT("http://a:b:c@example.com/"), false },
		{ STR_INIT("http://a@b@example.com/"), false },
		{ STR_INIT("http://example.com\0/"), false },
		{ STR_INIT("http://"), false },
		{ STR_INIT("http:///x"), false },
		{ STR_INIT("http:example.com"), false },
		{ STR_INIT("gopher://example.com/"), false },
		{ STR_INIT("file:///etc/passwd"), false },
		{ STR_INIT("example.com"), false },
		{ STR_INIT(""), false },
		{ STR_INIT("http://example.com/\xff"), false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (url_is_webhook_target(rows[i].text) != rows[i].is_valid)
			fail_msg("%.*s should be %s", STR_ARG(rows[i].text), rows[i].is_valid ? "valid" : "invalid");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_literal_bytes_and_port_written),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_lane),
		cmocka_unit_test(test_webhook_target),
	};

	return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
