/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests: how the bytes are cut up decides nothing; what is accepted ends where an independent reading of its framing
 * ends, holds no byte that could be read as framing, and means the same when it is written out and read again. */
#include "fuzz.h"

#include <ctype.h>

#include "http/request.h"

enum { REQUESTS_MAX = 4, BODY_BYTES_MAX = 1 << 20 };

static const struct http_limits narrow = {
	.target_bytes_max = 32, .header_bytes_max = 64, .head_bytes_max = 160, .body_bytes_max = 64
};
static const struct http_limits wide = {
	.target_bytes_max = 8192, .header_bytes_max = 65536, .head_bytes_max = 131072, .body_bytes_max = BODY_BYTES_MAX
};

enum cut { CUT_NOWHERE, CUT_EVERYWHERE, CUT_ANYWHERE, CUTS_N };

/* Feeds one request; returns how many bytes it took. */
static size_t feed(struct request_reader *reader, struct str bytes, enum cut cut, uint64_t *dice)
{
	size_t at = 0;

	while (at < bytes.n && (reader->step == REQUEST_HEAD || reader->step == REQUEST_BODY)) {
		size_t n = cut == CUT_NOWHERE ? bytes.n : cut == CUT_EVERYWHERE ? 1 : 1 + fuzz_dice(dice, 24);
		struct str piece = fuzz_copy(str_slice(bytes, at, n));
		size_t used = request_feed(reader, piece);

		assert(used <= piece.n);
		assert(used == piece.n || reader->step == REQUEST_COMPLETE || reader->step == REQUEST_REFUSED);
		at += used;
		fuzz_free(piece);
	}
	return at;
}

static bool is_same(struct str a, struct str b)
{
	return !a.p == !b.p && str_equal(a, b);
}

static void check_equal(const struct request_reader *a, const struct request_reader *b)
{
	assert(a->step == b->step);
	/* Of several limits passed at once, any may be named. */
	if (a->step == REQUEST_REFUSED)
		assert(a->status == b->status && (a->status == 431 || strcmp(a->reason, b->reason) == 0));
	if (a->step != REQUEST_COMPLETE)
		return;
	assert(a->keep_alive == b->keep_alive && a->is_http_1_0 == b->is_http_1_0 && a->is_head == b->is_head);
	assert(a->expects_continue == b->expects_continue && a->request.body_given == b->request.body_given);
	assert(is_same(a->request.method, b->request.method) && is_same(a->request.path, b->request.path));
	assert(is_same(a->request.query, b->request.query) && is_same(a->request.host, b->request.host));
	assert(is_same(a->request.body, b->request.body) && a->request.headers_n == b->request.headers_n);
	for (size_t i = 0; i < a->request.headers_n; i++) {
		assert(is_same(a->request.headers[i].name, b->request.headers[i].name));
		assert(is_same(a->request.headers[i].value, b->request.headers[i].value));
	}
}

static bool has_byte_below(struct str s, unsigned char least)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < least && s.p[i] != '\t') || s.p[i] == 0x7f)
			return true;
	return false;
}

/* ---- an independent reading of the framing ---- */

static size_t line_end(struct str bytes, size_t from)
{
	const char *at = from < bytes.n ? memmem(bytes.p + from, bytes.n - from, "\r\n", 2) : NULL;

	assert(at);
	return (size_t)(at - bytes.p);
}

static int hex_value(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Appends what the chunks hold; returns where the body ends. */
static size_t decode_chunks(struct str bytes, size_t at, struct buf *body)
{
	for (;;) {
		size_t end = line_end(bytes, at), digits_n = 0, n = 0;

		for (; digits_n < 16 && isxdigit((unsigned char)bytes.p[at + digits_n]); digits_n++)
			n = n << 4 | (size_t)hex_value(bytes.p[at + digits_n]);
		assert(digits_n > 0 && (at + digits_n == end || bytes.p[at + digits_n] == ';'));
		at = end + 2;
		if (n == 0)
			break;
		assert(n <= bytes.n && at + n + 2 <= bytes.n && memcmp(bytes.p + at + n, "\r\n", 2) == 0);
		buf_add(body, str_slice(bytes, at, n));
		at += n + 2;
	}
	for (size_t end = line_end(bytes, at); end > at; end = line_end(bytes, at))
		at = end + 2;
	return at + 2;
}

static void check_framing(const struct request_reader *reader, struct str bytes, size_t used)
{
	const struct http_request *request = &reader->request;
	size_t start = str_starts_with(bytes, STR("\r\n")) ? 2 : 0;
	const char *head_end = memmem(bytes.p + start, used - start, "\r\n\r\n", 4);
	struct str length = http_request_header(request, STR("content-length"));
	struct str coding = http_request_header(request, STR("transfer-encoding"));
	uint64_t length_n = 0;

	assert(head_end && http_request_header_count(request, STR("content-length")) <= 1);
	assert(!(length.p && coding.p) && (!length.p || str_to_u64(length, &length_n)));

	size_t at = (size_t)(head_end - bytes.p) + 4;

	if (!coding.p) {
		assert(used == at + length_n && str_equal(request->body, str_slice(bytes, at, length_n)));
		return;
	}
	struct buf body;

	buf_init(&body, BODY_BYTES_MAX);
	assert(decode_chunks(bytes, at, &body) == used && str_equal(buf_str(&body), request->body));
	buf_release(&body);
}

static void check_bytes(const struct request_reader *reader)
{
	const struct http_request *request = &reader->request;

	assert(request->method.n > 0 && !has_byte_below(request->method, '!'));
	assert(request->path.n > 0 && request->path.p[0] == '/' && !has_byte_below(request->path, '!'));
	assert(!has_byte_below(request->query, '!') && !has_byte_below(request->host, '!'));
	assert(request->body.n <= reader->limits->body_bytes_max);
	for (size_t i = 0; i < request->headers_n; i++) {
		assert(request->headers[i].name.n > 0 && !has_byte_below(request->headers[i].name, '!'));
		assert(!has_byte_below(request->headers[i].value, ' '));
	}
}

/* ---- writing it out ---- */

static bool is_framing(struct str name)
{
	return str_equal_nocase(name, STR("host")) || str_equal_nocase(name, STR("content-length")) ||
	       str_equal_nocase(name, STR("transfer-encoding"));
}

static void write_out(const struct request_reader *reader, struct buf *out)
{
	const struct http_request *request = &reader->request;

	buf_printf(out, "%.*s %.*s%s%.*s HTTP/1.%d\r\n", STR_ARG(request->method), STR_ARG(request->path),
		   request->query.p ? "?" : "", (int)request->query.n, request->query.p ? request->query.p : "",
		   reader->is_http_1_0 ? 0 : 1);
	if (request->host.p)
		buf_printf(out, "host:%.*s\r\n", STR_ARG(request->host));
	for (size_t i = 0; i < request->headers_n; i++)
		if (!is_framing(request->headers[i].name))
			buf_printf(out, "%.*s: %.*s \r\n", STR_ARG(request->headers[i].name),
				   STR_ARG(request->headers[i].value));
	if (reader->is_chunked && request->body.n > 0)
		buf_printf(out, "Transfer-Encoding: Chunked\r\n\r\n%zX;a=b\r\n", request->body.n);
	else if (reader->is_chunked)
		buf_add(out, STR("Transfer-Encoding: Chunked\r\n\r\n"));
	else
		buf_printf(out, "Content-Length: %zu\r\n\r\n", request->body.n);
	buf_add(out, request->body);
	if (reader->is_chunked)
		buf_add(out, request->body.n > 0 ? STR("\r\n0\r\nA: b\r\n\r\n") : STR("0\r\n\r\n"));
}

static void check_again(const struct request_reader *reader)
{
	struct request_reader again;
	struct buf out;

	buf_init(&out, 4 * BODY_BYTES_MAX);
	write_out(reader, &out);
	request_init(&again, &wide);

	size_t used = request_feed(&again, buf_str(&out));

	/* One header more may be one too many. */
	if (again.step != REQUEST_REFUSED || again.status != 431) {
		assert(again.step == REQUEST_COMPLETE && used == out.n);
		assert(is_same(again.request.method, reader->request.method));
		assert(is_same(again.request.path, reader->request.path));
		assert(is_same(again.request.query, reader->request.query));
		assert(is_same(again.request.host, reader->request.host));
		assert(str_equal(again.request.body, reader->request.body));
		assert(again.keep_alive == reader->keep_alive && again.is_chunked == reader->is_chunked);
	}
	request_release(&again);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	const struct http_limits *limits = fuzz_take(&in, 1) & 1 ? &narrow : &wide;
	uint64_t dice = fuzz_take(&in, 2) | 1;
	struct str rest = fuzz_rest(&in), bytes = rest;
	struct request_reader readers[CUTS_N];

	for (enum cut cut = 0; cut < CUTS_N; cut++)
		request_init(&readers[cut], limits);
	for (unsigned i = 0; i < REQUESTS_MAX && bytes.n > 0; i++) {
		size_t used = feed(&readers[CUT_NOWHERE], bytes, CUT_NOWHERE, &dice);

		for (enum cut cut = CUT_EVERYWHERE; cut < CUTS_N; cut++) {
			size_t other = feed(&readers[cut], bytes, cut, &dice);

			check_equal(&readers[CUT_NOWHERE], &readers[cut]);
			assert(readers[cut].step != REQUEST_COMPLETE || other == used);
		}
		if (readers[CUT_NOWHERE].step != REQUEST_COMPLETE)
			break;
		check_bytes(&readers[CUT_NOWHERE]);
		check_framing(&readers[CUT_NOWHERE], bytes, used);
		check_again(&readers[CUT_NOWHERE]);
		bytes = str_slice(bytes, used, bytes.n);
		for (enum cut cut = 0; cut < CUTS_N; cut++)
			request_reset(&readers[cut]);
	}
	for (enum cut cut = 0; cut < CUTS_N; cut++)
		request_release(&readers[cut]);
	fuzz_free(rest);
	return 0;
}
