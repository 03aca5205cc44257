/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads one request; llhttp frames it, and the checks here only take away from what llhttp would let through.
 *
 * Each line of the head is checked when its line feed arrives; then the whole head goes through llhttp, which must
 * agree on the length of the body. Of a chunked body, llhttp says which bytes are data, and every other byte must fit
 * the strict grammar of accept_framing. A mistake in these checks can therefore refuse a request, but not move the
 * place where the next one starts. llhttp knows a fixed set of methods and the API answers 405 to all others, so llhttp
 * is always told POST: of a request's framing the method decides nothing. */
#include "http/request.h"

#include <assert.h>
#include <string.h>

enum {
	METHOD_BYTES_MAX = 32,
	VERSION_BYTES = 8, /* "HTTP/1.1" */
	CHUNK_DIGITS_MAX = 16,
	HEAD_KEPT_BYTES = 4096, /* what a reader keeps for its next request */
	BODY_KEPT_BYTES = 16384,
};

/* What a byte may be part of. */
enum { TOKEN = 1, VALUE = 2, TARGET = 4, HEX = 8, NAME = 16, DIGIT = 32 };
enum { ALL = TOKEN | VALUE | TARGET, SEPARATOR = VALUE | TARGET };

static const uint8_t classes[256] = {
	['\t'] = VALUE,
	[' '] = VALUE,
	['!'] = ALL,
	['"'] = SEPARATOR,
	['#'] = TOKEN | VALUE,
	['$' ... '\''] = ALL,
	['(' ... ')'] = SEPARATOR,
	['*' ... '+'] = ALL,
	[','] = SEPARATOR,
	['-' ... '.'] = ALL | NAME,
	['/'] = SEPARATOR,
	['0' ... '9'] = ALL | HEX | NAME | DIGIT,
	[':' ... '@'] = SEPARATOR,
	['A' ... 'F'] = ALL | HEX | NAME,
	['G' ... 'Z'] = ALL | NAME,
	['[' ... ']'] = SEPARATOR,
	['^' ... '`'] = ALL,
	['a' ... 'f'] = ALL | HEX | NAME,
	['g' ... 'z'] = ALL | NAME,
	['{'] = SEPARATOR,
	['|'] = ALL,
	['}'] = SEPARATOR,
	['~'] = ALL,
	[0x80 ... 0xff] = VALUE,
};

static bool is_of(char byte, unsigned class)
{
	return classes[(unsigned char)byte] & class;
}

/* How many leading bytes are of the class. */
static size_t span(struct str s, unsigned class)
{
	size_t n = 0;

	while (n < s.n && is_of(s.p[n], class))
		n++;
	return n;
}

struct str http_request_header(const struct http_request *request, struct str name)
{
	for (size_t i = request->headers_n; i-- > 0;)
		if (str_equal_nocase(request->headers[i].name, name))
			return request->headers[i].value;
	return (struct str){ NULL, 0 };
}

size_t http_request_header_count(const struct http_request *request, struct str name)
{
	size_t n = 0;

	for (size_t i = 0; i < request->headers_n; i++)
		n += str_equal_nocase(request->headers[i].name, name);
	return n;
}

void request_refuse(struct request_reader *reader, unsigned status, const char *reason)
{
	if (reader->step == REQUEST_REFUSED)
		return;
	reader->step = REQUEST_REFUSED;
	reader->status = status;
	reader->reason = reason;
}

static void refuse_malformed(struct request_reader *reader, const char *reason)
{
	request_refuse(reader, 400, reason);
}

/* ---- llhttp's side ---- */

static int on_headers_complete(llhttp_t *llhttp)
{
	struct request_reader *reader = llhttp->data;

	reader->is_head_complete = true;
	/* We never switch protocols: "Upgrade" is a header like any other, and the body behind it is a body. */
	llhttp->upgrade = 0;
	return 0;
}

static void accept_framing(struct request_reader *reader, const char *end);

static int on_body(llhttp_t *llhttp, const char *at, size_t n)
{
	struct request_reader *reader = llhttp->data;

	accept_framing(reader, at);
	reader->framing_at = at + n;
	if (reader->step == REQUEST_REFUSED)
		return -1;
	buf_add(&reader->body, (struct str){ at, n });
	if (reader->body.failed)
		request_refuse(reader, 413, "the body is too large");
	return reader->body.failed ? -1 : 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
	struct request_reader *reader = llhttp->data;

	reader->is_message_complete = true;
	return HPE_PAUSED; /* what follows is the next request's */
}

static const llhttp_settings_t settings = {
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* ---- The chunked framing ---- */

static bool accept_extra(struct request_reader *reader)
{
	return ++reader->extra_bytes <= reader->limits->head_bytes_max;
}

static uint64_t hex_value(char digit)
{
	return (uint64_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
}

/* Sixteen digits fit. A chunk that announces more than the body may have is refused before its data. */
static bool accept_size_byte(struct request_reader *reader, char byte)
{
	if (is_of(byte, HEX)) {
		reader->chunk_n = reader->chunk_n << 4 | hex_value(byte);
		return ++reader->chunk_digits <= CHUNK_DIGITS_MAX;
	}
	reader->is_last_chunk = reader->chunk_n == 0;
	reader->chunk = byte == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
	if (reader->chunk_digits == 0 || (byte != ';' && byte != '\r'))
		return false;
	if (reader->chunk_n > reader->limits->body_bytes_max - reader->body.n)
		request_refuse(reader, 413, "the body is too large");
	return true;
}

static bool accept_data_lf(struct request_reader *reader, char byte)
{
	reader->chunk = CHUNK_SIZE;
	reader->chunk_digits = 0;
	reader->chunk_n = 0;
	return byte == '\n';
}

/* Moves to `next` when the byte is `expected`. */
static bool accept_byte(struct request_reader *reader, char byte, char expected, enum request_chunk next)
{
	reader->chunk = next;
	return byte == expected;
}

static bool accept_framing_byte(struct request_reader *reader, char byte)
{
	switch (reader->chunk) {
	case CHUNK_SIZE:
		return accept_size_byte(reader, byte);
	case CHUNK_EXTENSION:
		if (byte == '\r')
			return accept_byte(reader, byte, '\r', CHUNK_SIZE_LF);
		return is_of(byte, VALUE) && accept_extra(reader);
	case CHUNK_SIZE_LF:
		return accept_byte(reader, byte, '\n', reader->is_last_chunk ? TRAILER_START : CHUNK_DATA_CR);
	case CHUNK_DATA_CR:
		return accept_byte(reader, byte, '\r', CHUNK_DATA_LF);
	case CHUNK_DATA_LF:
		return accept_data_lf(reader, byte);
	case TRAILER_START:
		reader->chunk = byte == '\r' ? CHUNK_END_LF : TRAILER_NAME;
		return byte == '\r' || (is_of(byte, TOKEN) && accept_extra(reader));
	case TRAILER_NAME:
		if (byte == ':')
			reader->chunk = TRAILER_VALUE;
		return (byte == ':' || is_of(byte, TOKEN)) && accept_extra(reader);
	case TRAILER_VALUE:
		if (byte == '\r')
			return accept_byte(reader, byte, '\r', TRAILER_LF);
		return is_of(byte, VALUE) && accept_extra(reader);
	case TRAILER_LF:
		return accept_byte(reader, byte, '\n', TRAILER_START);
	case CHUNK_END_LF:
		return accept_byte(reader, byte, '\n', CHUNK_END);
	case CHUNK_END:
		break;
	}
	return false;
}

/* Checks what came between the last data and `end`. */
static void accept_framing(struct request_reader *reader, const char *end)
{
	if (!reader->is_chunked)
		return;
	for (const char *at = reader->framing_at; at < end && reader->step != REQUEST_REFUSED; at++) {
		if (!accept_framing_byte(reader, *at)) {
			if (reader->extra_bytes > reader->limits->head_bytes_max)
				request_refuse(reader, 431, "the chunk extensions and trailers are too large");
			else
				refuse_malformed(reader, "malformed chunked body");
			return;
		}
	}
	reader->framing_at = end;
}

static size_t feed_body(struct request_reader *reader, struct str bytes)
{
	reader->framing_at = bytes.p;

	llhttp_errno_t verdict = llhttp_execute(&reader->llhttp, bytes.p, bytes.n);
	const char *end = verdict == HPE_OK ? bytes.p + bytes.n : llhttp_get_error_pos(&reader->llhttp);

	if (reader->step != REQUEST_REFUSED)
		accept_framing(reader, end); /* before llhttp's complaint, so that portions decide nothing */
	if (verdict != HPE_OK && !reader->is_message_complete)
		refuse_malformed(reader, reader->is_chunked ? "malformed chunked body" : "malformed body");
	if (reader->step == REQUEST_REFUSED || !reader->is_message_complete)
		return bytes.n;
	assert(!reader->is_chunked || reader->chunk == CHUNK_END);
	reader->step = REQUEST_COMPLETE;
	reader->request.body = buf_str(&reader->body);
	return (size_t)(end - bytes.p);
}

/* ---- The request line ---- */

static void check_version(struct request_reader *reader, struct str version)
{
	reader->is_http_1_0 = str_equal(version, STR("HTTP/1.0"));
	if (reader->is_http_1_0 || str_equal(version, STR("HTTP/1.1")))
		return;
	if (version.n == VERSION_BYTES && str_starts_with(version, STR("HTTP/")) && is_of(version.p[5], DIGIT) &&
	    version.p[6] == '.' && is_of(version.p[7], DIGIT))
		request_refuse(reader, 505, "this server speaks HTTP/1.1 and HTTP/1.0");
	else
		refuse_malformed(reader, "malformed request line");
}

static void check_request_line(struct request_reader *reader, struct str line)
{
	size_t method_n = span(line, TOKEN);

	if (method_n == 0 || method_n > METHOD_BYTES_MAX || method_n == line.n || line.p[method_n] != ' ') {
		refuse_malformed(reader, "malformed method");
		return;
	}
	struct str rest = str_slice(line, method_n + 1, line.n);
	size_t target_n = span(rest, TARGET);

	if (target_n > reader->limits->target_bytes_max) {
		request_refuse(reader, 414, "the request target is too long");
		return;
	}
	if (target_n == 0 || target_n == rest.n || rest.p[target_n] != ' ') {
		refuse_malformed(reader, "malformed request target");
		return;
	}
	reader->method_n = method_n;
	reader->target_n = target_n;
	reader->is_head = str_equal((struct str){ line.p, method_n }, STR("HEAD"));
	check_version(reader, str_slice(rest, target_n + 1, rest.n));
}

/* ---- Headers ---- */

static void on_host(struct request_reader *reader, struct str value)
{
	(void)value;
	if (reader->hosts_n++)
		refuse_malformed(reader, "more than one Host header");
}

static void on_content_length(struct request_reader *reader, struct str value)
{
	if (reader->lengths_n++)
		refuse_malformed(reader, "more than one Content-Length header");
	else if (!str_to_u64(value, &reader->length))
		refuse_malformed(reader, "malformed Content-Length");
}

static void on_transfer_encoding(struct request_reader *reader, struct str value)
{
	if (reader->codings_n++)
		refuse_malformed(reader, "more than one Transfer-Encoding header");
	else if (reader->is_http_1_0)
		refuse_malformed(reader, "Transfer-Encoding in an HTTP/1.0 request");
	else if (!str_equal_nocase(value, STR("chunked")))
		refuse_malformed(reader, "a transfer coding other than chunked");
}

static void on_expect(struct request_reader *reader, struct str value)
{
	if (reader->is_http_1_0)
		return;
	reader->expects_continue = str_equal_nocase(value, STR("100-continue"));
	if (!reader->expects_continue)
		request_refuse(reader, 417, "the only expectation met here is 100-continue");
}

/* The headers that decide where the request ends and what it is for. */
static const struct {
	struct str name;
	void (*on_value)(struct request_reader *reader, struct str value);
} framing_headers[] = {
	{ { "host", 4 }, on_host },
	{ { "content-length", 14 }, on_content_length },
	{ { "transfer-encoding", 17 }, on_transfer_encoding },
	{ { "expect", 6 }, on_expect },
};

static struct str trim_blanks(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_slice(s, 1, s.n);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static void check_header_line(struct request_reader *reader, struct str line)
{
	struct str name = { line.p, span(line, TOKEN) };

	if (name.n == 0 || name.n == line.n || line.p[name.n] != ':') {
		refuse_malformed(reader, "malformed header name");
		return;
	}
	struct str value = trim_blanks(str_slice(line, name.n + 1, line.n));

	if (span(value, VALUE) != value.n) {
		refuse_malformed(reader, "control character in a header value");
		return;
	}
	if (reader->request.headers_n == HTTP_HEADERS_MAX) {
		request_refuse(reader, 431, "too many headers");
		return;
	}
	reader->spans[reader->request.headers_n++] = (struct request_span){
		.name_at = (uint32_t)(name.p - reader->head.p),
		.name_n = (uint32_t)name.n,
		.value_at = (uint32_t)(value.p - reader->head.p),
		.value_n = (uint32_t)value.n,
	};
	for (size_t i = 0; i < sizeof framing_headers / sizeof framing_headers[0]; i++)
		if (str_equal_nocase(name, framing_headers[i].name))
			framing_headers[i].on_value(reader, value);
}

/* ---- The whole head ---- */

/* RFC 3986's host without its rarer characters, which no name in DNS has, and an optional port. */
static bool is_authority(struct str s)
{
	size_t host_n = span(s, NAME);

	if (s.n > 0 && s.p[0] == '[') {
		size_t address_n = 0;

		while (1 + address_n < s.n &&
		       (is_of(s.p[1 + address_n], HEX) || s.p[1 + address_n] == ':' || s.p[1 + address_n] == '.'))
			address_n++;
		if (address_n < 2 || 1 + address_n == s.n || s.p[1 + address_n] != ']')
			return false;
		host_n = address_n + 2;
	}
	if (host_n == 0 || host_n == s.n)
		return host_n > 0;

	struct str port = str_slice(s, host_n + 1, s.n);
	uint64_t number;

	return s.p[host_n] == ':' && port.n <= 5 && str_to_u64(port, &number) && number <= 65535;
}

/* "http://host/path" becomes its parts, "/path" stays; others make no sense to an origin server. */
static bool split_target(struct request_reader *reader, struct str target)
{
	struct str schemes[] = { STR("http://"), STR("https://") };

	for (size_t i = 0; i < 2 && target.p[0] != '/'; i++) {
		if (!str_equal_nocase(str_slice(target, 0, schemes[i].n), schemes[i]))
			continue;
		target = str_slice(target, schemes[i].n, target.n);

		size_t n = 0;

		while (n < target.n && target.p[n] != '/' && target.p[n] != '?')
			n++;
		reader->authority = str_slice(target, 0, n);
		target = str_slice(target, n, target.n);
		if (!is_authority(reader->authority))
			return false;
		break;
	}
	reader->request.path = str_split(target, '?', &reader->request.query);
	if (reader->authority.p && reader->request.path.n == 0)
		reader->request.path = STR("/");
	return reader->request.path.n > 0 && reader->request.path.p[0] == '/';
}

static void set_views(struct request_reader *reader)
{
	struct http_request *request = &reader->request;
	const char *p = reader->head.p;

	request->method = (struct str){ p, reader->method_n };
	for (size_t i = 0; i < request->headers_n; i++) {
		const struct request_span *at = &reader->spans[i];

		request->headers[i].name = (struct str){ p + at->name_at, at->name_n };
		request->headers[i].value = (struct str){ p + at->value_at, at->value_n };
	}
	if (!split_target(reader, (struct str){ p + reader->method_n + 1, reader->target_n })) {
		refuse_malformed(reader, "malformed request target");
		return;
	}
	if (reader->hosts_n > 0)
		request->host = http_request_header(request, STR("host"));
	else if (!reader->is_http_1_0)
		refuse_malformed(reader, "no Host header");
	if (request->host.p && !is_authority(request->host))
		refuse_malformed(reader, "malformed Host header");
	if (reader->authority.p)
		request->host = reader->authority;
}

/* RFC 9110 section 7.6.1: a list of words, perhaps in several headers. */
static bool connection_says(const struct http_request *request, struct str word)
{
	for (size_t i = 0; i < request->headers_n; i++) {
		struct str rest = request->headers[i].value;

		while (rest.p && str_equal_nocase(request->headers[i].name, STR("connection")))
			if (str_equal_nocase(trim_blanks(str_split(rest, ',', &rest)), word))
				return true;
	}
	return false;
}

/* Has llhttp read the head, told that the method is POST, and compares. */
static bool is_framing_agreed(struct request_reader *reader)
{
	static const char method[] = "POST ";
	size_t method_n = reader->method_n + 1;

	llhttp_init(&reader->llhttp, HTTP_REQUEST, &settings);
	reader->llhttp.data = reader;
	if (llhttp_execute(&reader->llhttp, method, sizeof method - 1) != HPE_OK)
		return false;

	llhttp_errno_t verdict = llhttp_execute(&reader->llhttp, reader->head.p + method_n, reader->head.n - method_n);

	if (!reader->is_head_complete)
		return false;
	if (!reader->request.body_given)
		return verdict == HPE_PAUSED && reader->is_message_complete;
	if (verdict != HPE_OK || reader->is_message_complete)
		return false;
	return reader->is_chunked ? (reader->llhttp.flags & F_CHUNKED) != 0
				  : reader->llhttp.content_length == reader->length;
}

static void on_head_complete(struct request_reader *reader)
{
	reader->is_chunked = reader->codings_n > 0;
	reader->request.body_given = reader->is_chunked || reader->length > 0;
	reader->expects_continue = reader->expects_continue && reader->request.body_given;
	if (reader->is_chunked && reader->lengths_n > 0)
		refuse_malformed(reader, "Content-Length with Transfer-Encoding");
	else
		set_views(reader);
	if (reader->step == REQUEST_REFUSED)
		return;
	reader->keep_alive = !connection_says(&reader->request, STR("close")) &&
			     (!reader->is_http_1_0 || connection_says(&reader->request, STR("keep-alive")));
	if (reader->length > reader->limits->body_bytes_max)
		request_refuse(reader, 413, "the body is too large");
	else if (!is_framing_agreed(reader))
		refuse_malformed(reader, "malformed request");
	else
		reader->step = reader->request.body_given ? REQUEST_BODY : REQUEST_COMPLETE;
	if (reader->step == REQUEST_COMPLETE)
		reader->request.body = (struct str){ "", 0 };
}

/* A line with its line feed. */
static void on_line(struct request_reader *reader)
{
	struct str line = { reader->head.p + reader->line_at, reader->head.n - reader->line_at };

	assert(line.p);
	if (line.n < 2 || line.p[line.n - 2] != '\r') {
		refuse_malformed(reader, "line feed without carriage return");
		return;
	}
	line.n -= 2;
	reader->line_at = reader->head.n;
	if (reader->headers_at > 0) {
		if (line.n > 0)
			check_header_line(reader, line);
		else
			on_head_complete(reader);
	} else if (line.n > 0) {
		reader->headers_at = reader->head.n;
		check_request_line(reader, line);
	} else if (reader->is_blank_skipped) {
		refuse_malformed(reader, "malformed request line");
	} else {
		/* RFC 9112 2.2: one empty line before a request is ignored. */
		reader->is_blank_skipped = true;
		reader->line_at = 0;
		buf_clear(&reader->head);
	}
}

/* False when the unfinished line, or the head, is longer than anything that could still be right. */
static bool is_within_limits(struct request_reader *reader, size_t more_n)
{
	const struct http_limits *limits = reader->limits;
	size_t line_n = reader->head.n - reader->line_at + more_n;

	if (reader->headers_at == 0) {
		if (line_n > limits->target_bytes_max + METHOD_BYTES_MAX + VERSION_BYTES + 4)
			request_refuse(reader, 414, "the request line is too long");
	} else if (line_n > limits->header_bytes_max + 2) {
		request_refuse(reader, 431, "a header is too long");
	} else if (reader->head.n + more_n - reader->headers_at > limits->head_bytes_max + 2) {
		request_refuse(reader, 431, "the headers are too long");
	}
	return reader->step != REQUEST_REFUSED;
}

static size_t feed_head(struct request_reader *reader, struct str bytes)
{
	size_t at = 0;

	while (at < bytes.n && reader->step == REQUEST_HEAD) {
		const char *line_feed = memchr(bytes.p + at, '\n', bytes.n - at);
		size_t n = line_feed ? (size_t)(line_feed + 1 - (bytes.p + at)) : bytes.n - at;

		if (!is_within_limits(reader, n))
			break;
		buf_add(&reader->head, (struct str){ bytes.p + at, n });
		assert(!reader->head.failed);
		at += n;
		if (line_feed)
			on_line(reader);
	}
	return at;
}

size_t request_feed(struct request_reader *reader, struct str bytes)
{
	size_t used = 0;

	assert(reader->step == REQUEST_HEAD || reader->step == REQUEST_BODY);
	if (bytes.n > 0 && reader->step == REQUEST_HEAD)
		used = feed_head(reader, bytes);
	if (used < bytes.n && reader->step == REQUEST_BODY)
		used += feed_body(reader, str_slice(bytes, used, bytes.n));
	return reader->step == REQUEST_REFUSED ? bytes.n : used;
}

void request_init(struct request_reader *reader, const struct http_limits *limits)
{
	*reader = (struct request_reader){ .limits = limits };
	buf_init(&reader->head,
		 limits->target_bytes_max + METHOD_BYTES_MAX + VERSION_BYTES + 4 + limits->head_bytes_max + 2);
	buf_init(&reader->body, limits->body_bytes_max);
}

void request_reset(struct request_reader *reader)
{
	struct buf head = reader->head;
	struct buf body = reader->body;

	if (head.room > HEAD_KEPT_BYTES)
		buf_release(&head);
	if (body.room > BODY_KEPT_BYTES)
		buf_release(&body);
	buf_clear(&head);
	buf_clear(&body);
	*reader = (struct request_reader){ .limits = reader->limits, .head = head, .body = body };
}

void request_release(struct request_reader *reader)
{
	buf_release(&reader->head);
	buf_release(&reader->body);
}

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *http_parser_version(void)
{
	return VERSION_TEXT(LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH);
}
