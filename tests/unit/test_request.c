/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading requests: what is accepted, what is refused, and that neither depends on how the bytes were cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/request.h"
#include "malformed.h"

struct verdict {
	enum request_step step;
	unsigned status;
	size_t used;
};

/* Feeds a copy of exactly the bytes, so that reading past their end is noticed. */
static size_t feed(struct request_reader *reader, struct str bytes)
{
	char *copy = malloc(bytes.n + 1);
	size_t used;

	assert_non_null(copy);
	memcpy(copy + 1, bytes.p, bytes.n);
	used = request_feed(reader, (struct str){ copy + 1, bytes.n });
	free(copy);
	return used;
}

static bool is_unfinished(const struct request_reader *reader)
{
	return reader->step == REQUEST_HEAD || reader->step == REQUEST_BODY;
}

/* Feeds `bytes` in portions: `first`, then `step` each. */
static struct verdict read_cut(struct request_reader *reader, struct str bytes, size_t first, size_t step)
{
	size_t at = 0;

	for (size_t n = first; at < bytes.n && is_unfinished(reader); n = step)
		at += feed(reader, str_slice(bytes, at, n));
	return (struct verdict){ reader->step, reader->status, at };
}

static struct request_reader reader_new(const struct http_limits *limits)
{
	struct request_reader reader;

	request_init(&reader, limits ? limits : &http_limits_default);
	return reader;
}

static void test_malformed_is_refused_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < MALFORMED_N; i++) {
		struct str bytes = malformed[i].bytes;

		for (size_t cut = 1; cut <= bytes.n; cut++) {
			struct request_reader reader = reader_new(NULL);
			struct verdict verdict = read_cut(&reader, bytes, cut, bytes.n);

			if (verdict.step != REQUEST_REFUSED || verdict.status != malformed[i].status)
				fail_msg("%s, cut at %zu: step %d, status %u", malformed[i].name, cut, verdict.step,
					 verdict.status);
			assert_non_null(reader.reason);
			request_release(&reader);
		}
		struct request_reader reader = reader_new(NULL);

		assert_int_equal(read_cut(&reader, bytes, 1, 1).status, malformed[i].status);
		request_release(&reader);
	}
}

#define OK(text)                                                                                                       \
	{                                                                                                              \
		text, sizeof(text) - 1                                                                                 \
	}

static const struct good {
	struct str bytes;
	const char *method, *path, *query, *host, *body;
	size_t headers_n;
	bool keep_alive, body_given;
} good[] = {
	{ OK("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "/", NULL, "a", "", 1, true, false },
	{ OK("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "/", NULL, "a", "", 1, true, false },
	{ OK("FOO /a/b?c=d?e HTTP/1.1\r\nhOsT:a.b-c:80\r\n\r\n"), "FOO", "/a/b", "c=d?e", "a.b-c:80", "", 1, true,
	  false },
	{ OK("get /? HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n"), "get", "/", "", "[::1]:8000", "", 1, true, false },
	{ OK("M-SEARCH /%00{}|\"<> HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), "M-SEARCH", "/%00{}|\"<>", NULL, "127.0.0.1",
	  "", 1, true, false },
	{ OK("PRI / HTTP/1.1\r\nHost: a\r\n\r\n"), "PRI", "/", NULL, "a", "", 1, true, false },
	{ OK("SETUP / HTTP/1.1\r\nHost: a\r\n\r\n"), "SETUP", "/", NULL, "a", "", 1, true, false },
	{ OK("CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n"), "CONNECT", "/x", NULL, "a", "", 1, true, false },
	{ OK("GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "/x", "y", "b:81", "", 1, true, false },
	{ OK("GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "/", NULL, "b", "", 1, true, false },
	{ OK("GET http://b?y HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "/", "y", "b", "", 1, true, false },
	{ OK("GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "//b/c", NULL, "a", "", 1, true, false },
	{ OK("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "GET", "/", NULL, "a", "", 2, false, false },
	{ OK("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n"), "GET", "/", NULL, "a", "", 2, false,
	  false },
	{ OK("GET / HTTP/1.0\r\n\r\n"), "GET", "/", NULL, NULL, "", 0, false, false },
	{ OK("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "GET", "/", NULL, NULL, "", 1, true, false },
	{ OK("GET / HTTP/1.0\r\nExpect: anything\r\n\r\n"), "GET", "/", NULL, NULL, "", 1, false, false },
	{ OK("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"), "POST", "/", NULL, NULL, "hi", 1, false, true },
	{ OK("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), "POST", "/", NULL, "a", "", 2, true, false },
	{ OK("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:  005  \r\n\r\nhello"), "POST", "/", NULL, "a", "hello", 2,
	  true, true },
	{ OK("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"), "GET", "/", NULL, "a", "hello", 2, true,
	  true },
	{ OK("POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nhello"),
	  "POST", "/", NULL, "a", "hello", 4, true, true },
	{ OK("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), "GET", "/", NULL, "a",
	  "", 3, true, false },
	{ OK("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n"
	     "5\r\nhello\r\nA\r\n, world!!!\r\n0\r\n\r\n"),
	  "PUT", "/", NULL, "a", "hello, world!!!", 2, true, true },
	{ OK("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "PUT", "/", NULL, "a", "", 2,
	  true, true },
	{ OK("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "5;x=\"y z\"\r\nhello\r\n0000;l\r\nA: b\r\nC:\r\n\r\n"),
	  "PUT", "/", NULL, "a", "hello", 2, true, true },
	{ OK("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000002\r\n\r\n\r\n0\r\n\r\n"),
	  "PUT", "/", NULL, "a", "\r\n", 2, true, true },
	{ OK("GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: b\xc3\xbc\tc \r\nX: 2\r\n\r\n"), "GET", "/", NULL, "a", "", 4, true,
	  false },
};

static void assert_str(struct str s, const char *expected)
{
	if (!expected) {
		assert_null(s.p);
		return;
	}
	if (!str_equal(s, str_from(expected)))
		fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), expected);
}

static void check_good(const struct good *row, size_t first, size_t step)
{
	struct request_reader reader = reader_new(NULL);
	struct verdict verdict = read_cut(&reader, row->bytes, first, step);

	if (verdict.step != REQUEST_COMPLETE)
		fail_msg("%s: step %d %s", row->bytes.p, verdict.step, reader.reason ? reader.reason : "");
	assert_int_equal(verdict.used, row->bytes.n);
	assert_str(reader.request.method, row->method);
	assert_str(reader.request.path, row->path);
	assert_str(reader.request.query, row->query);
	assert_str(reader.request.host, row->host);
	assert_str(reader.request.body, row->body);
	assert_int_equal(reader.request.headers_n, row->headers_n);
	assert_int_equal(reader.keep_alive, row->keep_alive);
	assert_int_equal(reader.request.body_given, row->body_given);
	request_release(&reader);
}

static void test_good_is_accepted_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		for (size_t cut = 1; cut <= good[i].bytes.n; cut++)
			check_good(&good[i], cut, good[i].bytes.n);
		check_good(&good[i], 1, 1);
	}
}

static void test_next_request_starts_where_this_one_ends(void **state)
{
	struct request_reader reader = reader_new(NULL);
	char all[8192] = "";
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		strcat(all, good[i].bytes.p);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		at += feed(&reader, str_slice(str_from(all), at, sizeof all));
		assert_int_equal(reader.step, REQUEST_COMPLETE);
		assert_str(reader.request.method, good[i].method);
		assert_str(reader.request.body, good[i].body);
		request_reset(&reader);
	}
	assert_int_equal(at, strlen(all));
	request_release(&reader);
}

static void test_headers_are_found(void **state)
{
	struct request_reader reader = reader_new(NULL);

	(void)state;
	feed(&reader, STR("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx:  2 \r\nEmpty:\r\n\r\n"));
	assert_int_equal(reader.step, REQUEST_COMPLETE);
	assert_str(http_request_header(&reader.request, STR("X")), "2");
	assert_str(http_request_header(&reader.request, STR("empty")), "");
	assert_str(http_request_header(&reader.request, STR("none")), NULL);
	assert_int_equal(http_request_header_count(&reader.request, STR("x")), 2);
	assert_int_equal(http_request_header_count(&reader.request, STR("none")), 0);
	request_release(&reader);
}

static void test_continue_is_expected_only_with_a_body(void **state)
{
	struct request_reader reader = reader_new(NULL);

	(void)state;
	feed(&reader, STR("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n"));
	assert_int_equal(reader.step, REQUEST_BODY);
	assert_true(reader.expects_continue);
	request_reset(&reader);
	feed(&reader, STR("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"));
	assert_int_equal(reader.step, REQUEST_COMPLETE);
	assert_false(reader.expects_continue);
	request_release(&reader);
}

/* "prefix" + n times 'x' + "suffix" */
static struct str padded(char *room, const char *prefix, size_t n, const char *suffix)
{
	size_t prefix_n = strlen(prefix), suffix_n = strlen(suffix);

	memcpy(room, prefix, prefix_n);
	memset(room + prefix_n, 'x', n);
	memcpy(room + prefix_n + n, suffix, suffix_n);
	return (struct str){ room, prefix_n + n + suffix_n };
}

#define NINETY_ONE "1" TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define TEN "0123456789"

static void test_limits(void **state)
{
	static const struct http_limits limits = {
		.target_bytes_max = 100, .header_bytes_max = 200, .head_bytes_max = 300, .body_bytes_max = 50
	};
	static const struct {
		const char *prefix;
		size_t n;
		const char *suffix;
		unsigned status; /* 0: complete */
	} rows[] = {
		{ "GET /", 99, " HTTP/1.1\r\nHost: a\r\n\r\n", 0 },
		{ "GET /", 100, " HTTP/1.1\r\nHost: a\r\n\r\n", 414 },
		{ "GET /", 1000, "", 414 },
		{ "GET /?", 99, " HTTP/1.1\r\nHost: a\r\n\r\n", 414 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nX: ", 197, "\r\n\r\n", 0 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nX: ", 198, "\r\n\r\n", 431 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nX: ", 100000, "", 431 },
		{ "GET / HTTP/1.1\r\nHost: a\r\n", 199, ":\r\n\r\n", 0 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nX: ", 190, "\r\nY: " NINETY_ONE "\r\n\r\n", 0 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nX: ", 191, "\r\nY: " NINETY_ONE "\r\n\r\n", 431 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n", 50, "", 0 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 51\r\n\r\n", 0, "", 413 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n32\r\n", 50, "\r\n0\r\n\r\n", 0 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n33\r\n", 51, "\r\n0\r\n\r\n", 413 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 0, "", 413 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", 300, "\r\nx\r\n0\r\n\r\n", 0 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", 301, "\r\nx\r\n0\r\n\r\n",
		  431 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA:", 298, "\r\n\r\n", 0 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA:", 299, "\r\n\r\n", 431 },
	};
	static char room[110000];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct str bytes = padded(room, rows[i].prefix, rows[i].n, rows[i].suffix);

		for (size_t step = 1; step <= bytes.n; step += 1 + step / 2) {
			struct request_reader reader = reader_new(&limits);
			struct verdict verdict = read_cut(&reader, bytes, step, step);

			if (verdict.status != rows[i].status ||
			    verdict.step != (rows[i].status ? REQUEST_REFUSED : REQUEST_COMPLETE))
				fail_msg("row %zu in steps of %zu: step %d, status %u", i, step, verdict.step,
					 verdict.status);
			request_release(&reader);
		}
	}
}

static void test_number_of_headers(void **state)
{
	(void)state;
	for (size_t n = HTTP_HEADERS_MAX; n <= HTTP_HEADERS_MAX + 1; n++) {
		struct request_reader reader = reader_new(NULL);

		feed(&reader, STR("GET / HTTP/1.1\r\nHost: a\r\n"));
		for (size_t i = 1; i < n && is_unfinished(&reader); i++)
			feed(&reader, STR("X: y\r\n"));
		if (n == HTTP_HEADERS_MAX)
			feed(&reader, STR("\r\n"));
		assert_int_equal(reader.step, n == HTTP_HEADERS_MAX ? REQUEST_COMPLETE : REQUEST_REFUSED);
		assert_int_equal(reader.status, n == HTTP_HEADERS_MAX ? 0 : 431);
		request_release(&reader);
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Mutants of good and bad requests: the verdict, and where the request ends, must not depend on the cuts. */
static void test_mutants_have_one_verdict(void **state)
{
	static const char spice[] = "\r\n\0 \t:;0aF5,\x7f\xff/?%[]@";
	uint32_t seed = 2463534242u;

	(void)state;
	for (int round = 0; round < 60000; round++) {
		struct str from = round % 2 ? malformed[next_random(&seed) % MALFORMED_N].bytes
					    : good[next_random(&seed) % (sizeof good / sizeof good[0])].bytes;
		char bytes[1024];
		size_t n = from.n;

		memcpy(bytes, from.p, n);
		for (uint32_t i = next_random(&seed) % 3; i-- > 0;) {
			size_t at = next_random(&seed) % n;

			if (next_random(&seed) % 2) {
				bytes[at] = spice[next_random(&seed) % (sizeof spice - 1)];
			} else {
				memmove(bytes + at, bytes + at + 1, n - at - 1);
				n--;
			}
		}
		struct str mutant = { bytes, n };
		struct request_reader whole = reader_new(NULL), cut = reader_new(NULL);
		struct verdict a = read_cut(&whole, mutant, n, n);
		struct verdict b = read_cut(&cut, mutant, 1 + next_random(&seed) % n, 1 + next_random(&seed) % 9);

		assert_int_equal(a.step, b.step);
		assert_int_equal(a.status, b.status);
		if (a.step == REQUEST_COMPLETE) {
			assert_int_equal(a.used, b.used);
			assert_true(str_equal(whole.request.body, cut.request.body));
		}
		request_release(&whole);
		request_release(&cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_malformed_is_refused_however_it_is_cut),
		cmocka_unit_test(test_good_is_accepted_however_it_is_cut),
		cmocka_unit_test(test_next_request_starts_where_this_one_ends),
		cmocka_unit_test(test_headers_are_found),
		cmocka_unit_test(test_continue_is_expected_only_with_a_body),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_number_of_headers),
		cmocka_unit_test(test_mutants_have_one_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
