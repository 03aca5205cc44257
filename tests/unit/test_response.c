/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers of endpoints, whole, in pieces, cut off, endless and malformed: what they are taken for, and whether the
 * connection lives on.
 *
 * Every row is fed at once, byte by byte, and split at every place; the verdict must not depend on that. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "http/response.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define TEXT(text)                                                                                                     \
	{                                                                                                              \
		(text), sizeof(text) - 1                                                                               \
	}
#define OK "HTTP/1.1 200 OK\r\n"
/* Short, so that a row fits on a line. */
#define MORE RESPONSE_NEED_MORE
#define DONE RESPONSE_DONE
#define CUT RESPONSE_CUT_OFF
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static const char *const words[] = { "need more", "done", "done, truncated", "cut off", "bad", "head too large" };

/* Feeds `bytes` up to `split`, then the rest in portions of `step`. */
static enum response_progress feed(struct response *response, struct str bytes, size_t split, size_t step)
{
	enum response_progress progress = RESPONSE_NEED_MORE;
	struct str rest = bytes;

	response_init(response);
	for (size_t n = split; rest.n > 0; n = step) {
		/* A copy of the exact size, so that a read beyond it is seen. */
		struct str part = str_slice(rest, 0, n);
		char *copy = malloc(part.n + 1);

		memcpy(copy, part.p, part.n);
		progress = response_feed(response, (struct str){ copy, part.n });
		free(copy);
		rest = str_slice(rest, part.n, rest.n);
	}
	return progress;
}

struct answer {
	const char *name;
	struct str bytes;
	enum response_progress progress, at_end;
	unsigned status;
	bool may_reuse;
	const char *body, *retry_after;
};

static void check(const struct answer *row, const struct response *response, enum response_progress progress)
{
	struct str wish = response_retry_after(response);
	struct str body = { response->answer, response->answer_n };

	if (progress != row->progress)
		fail_msg("%s: %s, not %s (%s)", row->name, words[progress], words[row->progress],
			 response->problem ? response->problem : "no problem");
	assert_int_equal(response->problem != NULL, progress == RESPONSE_BAD || progress == RESPONSE_HEAD_TOO_LARGE);
	if (progress == RESPONSE_BAD || progress == RESPONSE_HEAD_TOO_LARGE)
		return;
	if (response->status != row->status || response->may_reuse != row->may_reuse)
		fail_msg("%s: status %u, %s", row->name, response->status,
			 response->may_reuse ? "reusable" : "to be closed");
	if (!str_equal(body, str_from(row->body ? row->body : "")))
		fail_msg("%s: body \"%.*s\"", row->name, STR_ARG(body));
	assert_int_equal(response->body_bytes, body.n);
	if ((wish.p != NULL) != (row->retry_after != NULL) || !str_equal(wish, str_from(row->retry_after)))
		fail_msg("%s: Retry-After \"%.*s\"", row->name, STR_ARG(wish));
}

static void check_answer(const struct answer *row)
{
	struct response response;
	enum response_progress progress;

	for (size_t split = 1; split <= row->bytes.n; split++) {
		progress = feed(&response, row->bytes, split, row->bytes.n);
		check(row, &response, progress);
	}
	progress = feed(&response, row->bytes, 1, 1);
	check(row, &response, progress);
	assert_int_equal(response.began, row->bytes.n > 0);
	if (response_finish(&response) != row->at_end)
		fail_msg("%s: at the end %s, not %s", row->name, words[response.progress], words[row->at_end]);
	assert_false(response.may_reuse);
}

static void test_answers(void **state)
{
	static const struct answer rows[] = {
		{ "nothing", TEXT(""), MORE, CUT, 0, false, "", NULL },
		{ "half a status line", TEXT("HTTP/1.1 20"), MORE, CUT, 0, false, "", NULL },
		{ "half a head", TEXT(OK "Content-Length: 0\r\n"), MORE, CUT, 0, false, "", NULL },
		{ "length 0", TEXT(OK "Content-Length: 0\r\n\r\n"), DONE, DONE, 200, true, "", NULL },
		{ "length 5", TEXT(OK "Content-Length: 5\r\n\r\nhello"), DONE, DONE, 200, true, "hello", NULL },
		{ "length 5, 4 came", TEXT(OK "Content-Length: 5\r\n\r\nhell"), MORE, CUT, 200, false, "hell", NULL },
		{ "more than announced", TEXT(OK "Content-Length: 5\r\n\r\nhello!"), DONE, DONE, 200, false, "hello",
		  NULL },
		{ "a second answer behind", TEXT(OK "Content-Length: 0\r\n\r\n" OK "Content-Length: 0\r\n\r\n"), DONE,
		  DONE, 200, false, "", NULL },
		{ "204", TEXT("HTTP/1.1 204 No Content\r\n\r\n"), DONE, DONE, 204, true, "", NULL },
		{ "204 with a length", TEXT("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), DONE, DONE, 204,
		  true, "", NULL },
		{ "204 with a body", TEXT("HTTP/1.1 204 No Content\r\n\r\nhello"), DONE, DONE, 204, false, "", NULL },
		{ "304", TEXT("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), DONE, DONE, 304, true, "",
		  NULL },
		{ "no reason phrase", TEXT("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), DONE, DONE, 200, true, "",
		  NULL },
		{ "no blank either", TEXT("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), DONE, DONE, 200, true, "",
		  NULL },
		{ "a phrase in UTF-8", TEXT("HTTP/1.1 200 \xc3\xa9\r\nContent-Length: 0\r\n\r\n"), DONE, DONE, 200,
		  true, "", NULL },
		{ "status 999", TEXT("HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n"), DONE, DONE, 999, true, "", NULL },
		{ "until the end", TEXT(OK "\r\nhello"), MORE, DONE, 200, false, "hello", NULL },
		{ "until the end, empty", TEXT(OK "\r\n"), MORE, DONE, 200, false, "", NULL },
		{ "Connection: close", TEXT(OK "Connection: close\r\nContent-Length: 1\r\n\r\nx"), DONE, DONE, 200,
		  false, "x", NULL },
		{ "close among others", TEXT(OK "Connection: foo, Close\r\nContent-Length: 1\r\n\r\nx"), DONE, DONE,
		  200, false, "x", NULL },
		{ "1.0", TEXT("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"), DONE, DONE, 200, false, "x", NULL },
		{ "1.0 keep-alive", TEXT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"),
		  DONE, DONE, 200, true, "x", NULL },
		{ "1.0 until the end", TEXT("HTTP/1.0 200 OK\r\n\r\nx"), MORE, DONE, 200, false, "x", NULL },
		{ "1.0 chunked",
		  TEXT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		  DONE, DONE, 200, false, "", NULL },
		{ "chunked, empty", TEXT(CHUNKED "0\r\n\r\n"), DONE, DONE, 200, true, "", NULL },
		{ "chunked", TEXT(CHUNKED "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), DONE, DONE, 200, true,
		  "hello world", NULL },
		{ "chunked, hex and zeros", TEXT(CHUNKED "00B\r\nhello world\r\n00\r\n\r\n"), DONE, DONE, 200, true,
		  "hello world", NULL },
		{ "chunk extensions", TEXT(CHUNKED "5;a;b=c\r\nhello\r\n0;x\r\n\r\n"), DONE, DONE, 200, true, "hello",
		  NULL },
		{ "trailers", TEXT(CHUNKED "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n"), DONE, DONE, 200, true, "x", NULL },
		{ "chunked, then more", TEXT(CHUNKED "0\r\n\r\nx"), DONE, DONE, 200, false, "", NULL },
		{ "chunked, cut in the data", TEXT(CHUNKED "5\r\nhel"), MORE, CUT, 200, false, "hel", NULL },
		{ "chunked, cut before the last chunk", TEXT(CHUNKED "5\r\nhello\r\n"), MORE, CUT, 200, false, "hello",
		  NULL },
		{ "chunked, cut in the trailers", TEXT(CHUNKED "0\r\nA: b\r\n"), MORE, CUT, 200, false, "", NULL },
		{ "gzip and chunked", TEXT(OK "Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"), DONE,
		  DONE, 200, true, "x", NULL },
		{ "100, then 200", TEXT("HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi"), DONE, DONE,
		  200, true, "hi", NULL },
		{ "103 with headers, 102, then 503",
		  TEXT("HTTP/1.1 103 Early Hints\r\nLink: x\r\nRetry-After: 9\r\nConnection: close\r\n\r\n"
		       "HTTP/1.1 102 Processing\r\nContent-Length: 7\r\n\r\n"
		       "HTTP/1.1 503 No\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"),
		  DONE, DONE, 503, true, "", "3" },
		{ "only 100", TEXT("HTTP/1.1 100 Continue\r\n\r\n"), MORE, CUT, 0, false, "", NULL },
		{ "Retry-After", TEXT("HTTP/1.1 429 No\r\nrETRY-aFTER: \t 120 \r\nContent-Length: 0\r\n\r\n"), DONE,
		  DONE, 429, true, "", "120" },
		{ "Retry-After, a date",
		  TEXT("HTTP/1.1 429 No\r\nRetry-After:Fri, 02 Jan 2026 03:04:35 GMT\r\nContent-Length: 0\r\n\r\n"),
		  DONE, DONE, 429, true, "", "Fri, 02 Jan 2026 03:04:35 GMT" },
		{ "Retry-After, empty", TEXT("HTTP/1.1 429 No\r\nRetry-After:\r\nContent-Length: 0\r\n\r\n"), DONE,
		  DONE, 429, true, "", "" },
		{ "Retry-After twice",
		  TEXT("HTTP/1.1 429 No\r\nRetry-After: 1\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"), DONE, DONE,
		  429, true, "", NULL },
		{ "Retry-After too long",
		  TEXT("HTTP/1.1 429 No\r\nRetry-After: "
		       "0000000000000000000000000000000000000000000000000000000000000000001\r\nContent-Length: 0\r\n\r\n"),
		  DONE, DONE, 429, true, "", NULL },
		{ "names like it",
		  TEXT("HTTP/1.1 429 No\r\nRetry-Afte: 1\r\nRetry-After-: 2\r\nXRetry-After: 3\r\n"
		       "Content-Length: 0\r\n\r\n"),
		  DONE, DONE, 429, true, "", NULL },
		{ "Upgrade offered", TEXT(OK "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx"), DONE,
		  DONE, 200, true, "x", NULL },
		{ "empty values", TEXT(OK "X:\r\nY: \r\nContent-Length: 0\r\n\r\n"), DONE, DONE, 200, true, "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		check_answer(&rows[i]);
}

static void test_malformed(void **state)
{
	static const struct {
		const char *name;
		struct str bytes;
	} rows[] = {
		{ "HTTP/0.9", TEXT("hello\r\n") },
		{ "HTML", TEXT("<html></html>") },
		{ "a TLS alert", TEXT("\x15\x03\x01\x00\x02\x02\x50") },
		{ "HTTP/2 preface", TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
		{ "HTTP/2.0", TEXT("HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "HTTP/0.9 line", TEXT("HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "HTTP/1.2", TEXT("HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "HTTP/1.10", TEXT("HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "lower case", TEXT("http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "ICY", TEXT("ICY 200 OK\r\n\r\n") },
		{ "empty line first", TEXT("\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "blank first", TEXT(" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "two blanks", TEXT("HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "status of 2 digits", TEXT("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "status of 4 digits", TEXT("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "status below 100", TEXT("HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "status 000", TEXT("HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "status of letters", TEXT("HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n") },
		{ "phrase sticks to status", TEXT("HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n") },
		{ "NUL in the phrase", TEXT("HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n") },
		{ "101", TEXT("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n") },
		{ "101 without Upgrade", TEXT("HTTP/1.1 101 Switching\r\n\r\n") },
		{ "bare LF after the status line", TEXT("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n") },
		{ "bare LF after a header", TEXT(OK "Content-Length: 0\n\r\n") },
		{ "bare LF as the empty line", TEXT(OK "Content-Length: 0\r\n\n") },
		{ "bare CR in the phrase", TEXT("HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n") },
		{ "bare CR between headers", TEXT(OK "X: y\rContent-Length: 0\r\n\r\n") },
		{ "bare CR as the empty line", TEXT(OK "Content-Length: 0\r\n\rX") },
		{ "folded header", TEXT(OK "X: a\r\n b\r\nContent-Length: 0\r\n\r\n") },
		{ "folded with a tab", TEXT(OK "X: a\r\n\tb\r\nContent-Length: 0\r\n\r\n") },
		{ "blank before the first header", TEXT(OK " X: a\r\nContent-Length: 0\r\n\r\n") },
		{ "blank before the colon", TEXT(OK "Content-Length : 0\r\n\r\n") },
		{ "blank in a name", TEXT(OK "X Y: 0\r\nContent-Length: 0\r\n\r\n") },
		{ "empty name", TEXT(OK ": 0\r\nContent-Length: 0\r\n\r\n") },
		{ "no colon", TEXT(OK "Content-Length\r\n\r\n") },
		{ "NUL in a name", TEXT(OK "X\0: 0\r\nContent-Length: 0\r\n\r\n") },
		{ "a high byte in a name", TEXT(OK "X\xe9: 0\r\nContent-Length: 0\r\n\r\n") },
		{ "NUL in a value", TEXT(OK "X: a\0b\r\nContent-Length: 0\r\n\r\n") },
		{ "DEL in a value", TEXT(OK "X: a\x7f\r\nContent-Length: 0\r\n\r\n") },
		{ "control character in a value", TEXT(OK "X: a\x01\r\nContent-Length: 0\r\n\r\n") },
		{ "length twice, different", TEXT(OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx") },
		{ "length twice, same", TEXT(OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx") },
		{ "length 1, 1", TEXT(OK "Content-Length: 1, 1\r\n\r\nx") },
		{ "length +1", TEXT(OK "Content-Length: +1\r\n\r\nx") },
		{ "length -1", TEXT(OK "Content-Length: -1\r\n\r\nx") },
		{ "length 0x1", TEXT(OK "Content-Length: 0x1\r\n\r\nx") },
		{ "length 1 1", TEXT(OK "Content-Length: 1 1\r\n\r\nx") },
		{ "length empty", TEXT(OK "Content-Length:\r\n\r\nx") },
		{ "length beyond 64 bits", TEXT(OK "Content-Length: 18446744073709551617\r\n\r\nx") },
		{ "length, then chunked", TEXT(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") },
		{ "chunked, then length", TEXT(OK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n") },
		{ "another coding", TEXT(OK "Transfer-Encoding: gzip\r\n\r\nx") },
		{ "coding after chunked", TEXT(OK "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n") },
		{ "nearly chunked", TEXT(OK "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n") },
		{ "identity", TEXT(OK "Transfer-Encoding: identity\r\n\r\nx") },
		{ "no chunk size", TEXT(CHUNKED "\r\nhello") },
		{ "chunk size of no digits", TEXT(CHUNKED "x\r\nhello") },
		{ "chunk size with 0x", TEXT(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n") },
		{ "negative chunk size", TEXT(CHUNKED "-1\r\nhello\r\n0\r\n\r\n") },
		{ "chunk size beyond 64 bits", TEXT(CHUNKED "10000000000000005\r\nhello\r\n0\r\n\r\n") },
		{ "blank before the chunk size", TEXT(CHUNKED " 5\r\nhello\r\n0\r\n\r\n") },
		{ "blank after the chunk size", TEXT(CHUNKED "5 \r\nhello\r\n0\r\n\r\n") },
		{ "bare LF after the chunk size", TEXT(CHUNKED "5\nhello\r\n0\r\n\r\n") },
		{ "bare CR after the chunk size", TEXT(CHUNKED "5\rhello\r\n0\r\n\r\n") },
		{ "bare LF after an extension", TEXT(CHUNKED "5;a\nhello\r\n0\r\n\r\n") },
		{ "NUL in an extension", TEXT(CHUNKED "5;a\0\r\nhello\r\n0\r\n\r\n") },
		{ "bare LF after the data", TEXT(CHUNKED "5\r\nhello\n0\r\n\r\n") },
		{ "no line end after the data", TEXT(CHUNKED "5\r\nhello0\r\n\r\n") },
		{ "longer data than said", TEXT(CHUNKED "4\r\nhello\r\n0\r\n\r\n") },
		{ "bare LF at the very end", TEXT(CHUNKED "0\r\n\n") },
		{ "bare LF after a trailer", TEXT(CHUNKED "0\r\nA: b\n\r\n") },
		{ "blank in a trailer's name", TEXT(CHUNKED "0\r\nA b: c\r\n\r\n") },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct response response;

		for (size_t split = 1; split <= rows[i].bytes.n; split++)
			if (feed(&response, rows[i].bytes, split, rows[i].bytes.n) != RESPONSE_BAD)
				fail_msg("%s: %s (split at %zu)", rows[i].name, words[response.progress], split);
		if (feed(&response, rows[i].bytes, 1, 1) != RESPONSE_BAD)
			fail_msg("%s: %s (byte by byte)", rows[i].name, words[response.progress]);
		assert_non_null(response.problem);
		assert_true(strlen(response.problem) < 120);
		assert_false(response.may_reuse);
		assert_int_equal(response_finish(&response), RESPONSE_BAD);
	}
}

static enum response_progress feed_text(struct response *response, const struct buf *text, size_t step)
{
	assert_false(text->failed);
	return feed(response, buf_str(text), step, step);
}

static void test_head_limit(void **state)
{
	static const struct {
		size_t head_n;
		enum response_progress progress;
	} rows[] = { { RESPONSE_HEAD_BYTES_MAX, RESPONSE_DONE },
		     { RESPONSE_HEAD_BYTES_MAX + 1, RESPONSE_HEAD_TOO_LARGE } };
	struct response response;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < N(rows); i++) {
		buf_clear(&text);
		/* The limit is each head's own. */
		buf_printf(&text, "HTTP/1.1 103 Early\r\nX: %0*d\r\n\r\n", 10000, 0);
		size_t before_n = text.n;

		buf_add(&text, STR(OK "Content-Length: 0\r\n"));
		while (text.n - before_n + 4 + 100 < rows[i].head_n)
			buf_add(&text, STR("X: y\r\n"));
		int value_n = (int)(rows[i].head_n - (text.n - before_n) - 7);

		buf_printf(&text, "X: %0*d\r\n\r\n", value_n, 0);
		assert_int_equal(text.n - before_n, rows[i].head_n);
		assert_int_equal(feed_text(&response, &text, text.n), rows[i].progress);
		assert_int_equal(feed_text(&response, &text, 7), rows[i].progress);
	}
	/* An endless one is refused without its end. */
	buf_clear(&text);
	buf_printf(&text, OK "X: %0*d", RESPONSE_HEAD_BYTES_MAX, 0);
	assert_int_equal(feed_text(&response, &text, text.n), RESPONSE_HEAD_TOO_LARGE);
	assert_string_equal(response.problem, "the answer's head is too large");
	buf_release(&text);
}

static void test_interim_limit(void **state)
{
	struct response response;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	for (unsigned i = 0; i < RESPONSE_INTERIM_MAX; i++)
		buf_add(&text, STR("HTTP/1.1 100 Continue\r\n\r\n"));
	buf_add(&text, STR(OK "Content-Length: 0\r\n\r\n"));
	assert_int_equal(feed_text(&response, &text, 10), RESPONSE_DONE);
	assert_int_equal(response.status, 200);
	buf_clear(&text);
	for (unsigned i = 0; i < RESPONSE_INTERIM_MAX + 1; i++)
		buf_add(&text, STR("HTTP/1.1 100 Continue\r\n\r\n"));
	assert_int_equal(feed_text(&response, &text, 10), RESPONSE_BAD);
	buf_release(&text);
}

static void add_letters(struct buf *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_add_char(text, (char)('a' + i % 26));
}

static void test_body_limit(void **state)
{
	static const struct {
		const char *head;
		size_t body_n;
		enum response_progress progress;
		bool may_reuse;
	} rows[] = {
		{ OK "Content-Length: 65536\r\n\r\n", 65536, RESPONSE_DONE, true },
		{ OK "Content-Length: 65537\r\n\r\n", 65537, RESPONSE_DONE_TRUNCATED, false },
		{ OK "Content-Length: 65537\r\n\r\n", 65536, RESPONSE_DONE_TRUNCATED, false },
		{ OK "Content-Length: 10000000000\r\n\r\n", 70000, RESPONSE_DONE_TRUNCATED, false },
		{ OK "\r\n", 65535, RESPONSE_NEED_MORE, false },
		{ OK "\r\n", 65536, RESPONSE_DONE_TRUNCATED, false },
		{ OK "\r\n", 200000, RESPONSE_DONE_TRUNCATED, false },
		{ CHUNKED "100000\r\n", 100000, RESPONSE_DONE_TRUNCATED, false },
		{ CHUNKED "1;", 70000, RESPONSE_DONE_TRUNCATED, false }, /* an endless extension */
		{ CHUNKED "0\r\nX: ", 70000, RESPONSE_DONE_TRUNCATED, false },
	};
	struct response response;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < N(rows); i++) {
		buf_clear(&text);
		buf_add(&text, str_from(rows[i].head));
		add_letters(&text, rows[i].body_n);
		for (size_t step = 1; step <= text.n; step = step * 97) {
			enum response_progress progress = feed_text(&response, &text, step);

			if (progress != rows[i].progress)
				fail_msg("row %zu: %s", i, words[progress]);
			assert_int_equal(response.status, 200);
			assert_int_equal(response.may_reuse, rows[i].may_reuse);
			assert_true(response.body_bytes <= RESPONSE_BODY_BYTES_MAX);
		}
	}
	buf_release(&text);
}

static void test_first_bytes_are_kept(void **state)
{
	static struct response response;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_add(&text, STR(OK "\r\n"));
	add_letters(&text, 5000);
	for (size_t step = 1; step < 6000; step += 1499) {
		feed_text(&response, &text, step);
		assert_int_equal(response_finish(&response), RESPONSE_DONE);
		assert_int_equal(response.answer_n, RESPONSE_ANSWER_BYTES_MAX);
		assert_memory_equal(response.answer, text.p + sizeof(OK "\r\n") - 1, RESPONSE_ANSWER_BYTES_MAX);
		assert_int_equal(response.body_bytes, 5000);
	}
	buf_release(&text);
}

static void test_bytes_after_the_answer(void **state)
{
	struct response response;

	(void)state;
	response_init(&response);
	assert_false(response.began);
	assert_int_equal(response_feed(&response, STR(OK "Content-Length: 0\r\n\r\n")), RESPONSE_DONE);
	assert_true(response.may_reuse);
	assert_int_equal(response_feed(&response, STR("")), RESPONSE_DONE);
	assert_true(response.may_reuse);
	assert_int_equal(response_feed(&response, STR("HTTP/1.1 500")), RESPONSE_DONE);
	assert_false(response.may_reuse);
	assert_int_equal(response.status, 200);
}

/* Random damage to good answers: no crash, no overflow, and a verdict that does not depend on how the bytes are cut. */
static void test_damaged(void **state)
{
	static const struct str seeds[] = {
		TEXT("HTTP/1.1 503 No\r\nRetry-After: 12\r\nContent-Length: 12\r\nX-Y: z\r\n\r\nhello, world"),
		TEXT(CHUNKED "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n"),
		TEXT("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello"),
	};
	static const char bytes[] = "\r\n\t :;,0159aFx-H\0\x7f\xff";
	static struct response whole, pieces;
	uint64_t x = 88172645463325252U;

	(void)state;
	for (unsigned i = 0; i < 60000; i++) {
		const struct str *seed = &seeds[i % N(seeds)];
		char text[256];
		size_t n = seed->n;

		memcpy(text, seed->p, n);
		for (unsigned k = 0; k <= i % 3; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			text[x % n] = bytes[(x >> 32) % sizeof bytes];
		}
		feed(&whole, (struct str){ text, n }, n, n);
		feed(&pieces, (struct str){ text, n }, (x >> 40) % n + 1, (x >> 20) % 9 + 1);
		response_finish(&whole);
		response_finish(&pieces);
		if (whole.progress != pieces.progress)
			fail_msg("%s whole, %s in pieces: %.*s", words[whole.progress], words[pieces.progress], (int)n,
				 text);
		if (whole.progress == RESPONSE_DONE) {
			assert_int_equal(whole.status, pieces.status);
			assert_int_equal(whole.answer_n, pieces.answer_n);
			assert_memory_equal(whole.answer, pieces.answer, whole.answer_n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_head_limit),
		cmocka_unit_test(test_interim_limit),
		cmocka_unit_test(test_body_limit),
		cmocka_unit_test(test_first_bytes_are_kept),
		cmocka_unit_test(test_bytes_after_the_answer),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}
