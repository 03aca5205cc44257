/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads an endpoint's answer; two readers must agree on it, or it is refused.
 *
 * The head goes byte by byte through a strict reading of lines, which finds its end, and then through llhttp, which
 * must find the same end and frames the body. Of a chunked body llhttp says which bytes are data, and the rest must fit
 * a strict grammar too. What is ours only takes away from what llhttp would let through; a mistake in it can refuse an
 * answer, not misread one. */
#include "http/response.h"

#include <assert.h>
#include <llhttp.h>
#include <string.h>

enum head_state { STATUS_LINE, HEADER_START, HEADER_NAME, HEADER_VALUE, LINE_LF, HEAD_LF, HEAD_OVER };

enum chunk_state {
	CHUNK_SIZE_START,
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	TRAILER_START,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
};

enum { STATUS_BYTES = 12 }; /* "HTTP/1.1 200" */

static const struct str retry_after_name = { "retry-after", 11 }, coding_name = { "transfer-encoding", 17 };

static_assert(sizeof(llhttp_t) <= sizeof((struct response *)0)->parser, "an llhttp_t fits");

static llhttp_t *parser_of(struct response *response)
{
	return (llhttp_t *)(void *)response->parser;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 9110 section 5.6.2. */
static bool is_token(char c)
{
	return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* What may stand in a value or a reason phrase: no control character but the tab. */
static bool is_text(char c)
{
	return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

/* Returns false, so that a failing check can end with it. */
static bool refuse(struct response *response, const char *problem)
{
	if (response->progress == RESPONSE_NEED_MORE) {
		response->progress = RESPONSE_BAD;
		response->problem = problem;
	}
	return false;
}

/* ---- llhttp's side ---- */

/* Whatever length such an answer announces (RFC 9112 section 6.3). llhttp would wait for it. */
static bool has_no_body(unsigned status)
{
	return status < 200 || status == 204 || status == 304;
}

static int on_headers_complete(llhttp_t *parser)
{
	struct response *response = parser->data;
	bool has_coding = parser->flags & F_TRANSFER_ENCODING;

	response->is_head_agreed = true;
	response->is_chunked = parser->flags & F_CHUNKED;
	if (parser->status_code == 101)
		refuse(response, "the answer switches protocols unasked");
	else if (parser->status_code < 100)
		refuse(response, "the answer's status is below 100");
	else if (has_coding && !response->is_chunked)
		refuse(response, "the answer has a transfer coding other than chunked");
	if (response->progress != RESPONSE_NEED_MORE)
		return -1;
	return has_no_body(parser->status_code) ? 1 : 0;
}

static bool accept_framing(struct response *response, const char *end);

static int on_chunk_header(llhttp_t *parser)
{
	struct response *response = parser->data;

	response->is_last_chunk = parser->content_length == 0;
	return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
	struct response *response = parser->data;
	size_t room = sizeof response->answer - response->answer_n, kept = n < room ? n : room;

	if (!accept_framing(response, at))
		return -1;
	response->framing_at = at + n;
	memcpy(response->answer + response->answer_n, at, kept);
	response->answer_n += kept;
	response->body_bytes += n;
	return 0;
}

/* An HTTP/1.0 answer with a transfer coding does not say reliably where it ends (RFC 9112 section 6.1). */
static int on_message_complete(llhttp_t *parser)
{
	struct response *response = parser->data;
	bool is_doubtful = parser->http_minor == 0 && (parser->flags & F_TRANSFER_ENCODING);

	response->is_message_over = true;
	response->may_reuse = llhttp_should_keep_alive(parser) && !is_doubtful;
	return HPE_PAUSED; /* what follows is no part of this answer */
}

static const llhttp_settings_t settings = {
	.on_headers_complete = on_headers_complete,
	.on_chunk_header = on_chunk_header,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* ---- The head, line by line ---- */

static void begin_message(struct response *response)
{
	llhttp_init(parser_of(response), HTTP_RESPONSE, &settings);
	parser_of(response)->data = response;
	response->head_state = STATUS_LINE;
	response->head_n = response->line_n = 0;
	response->retry_after_n = response->retry_afters_n = 0;
	response->is_head_over = response->is_head_agreed = response->is_message_over = response->may_reuse = false;
}

static bool accept_status_byte(struct response *response, char byte)
{
	static const char form[STATUS_BYTES + 1] = "HTTP/1.? ###";
	size_t at = response->line_n++;

	if (at >= STATUS_BYTES) {
		if (byte == '\r')
			response->head_state = LINE_LF;
		return byte == '\r' || (at == STATUS_BYTES ? byte == ' ' : is_text(byte));
	}
	if (form[at] == '?')
		return byte == '0' || byte == '1';
	return form[at] == '#' ? is_digit(byte) : byte == form[at];
}

static bool accept_name_byte(struct response *response, char byte)
{
	size_t at = response->line_n++;

	if (byte == ':') {
		response->is_retry_after = response->is_retry_after && at == retry_after_name.n;
		response->is_coding = response->is_coding && at == coding_name.n;
		response->retry_afters_n += response->is_retry_after;
		response->head_state = HEADER_VALUE;
		return true;
	}
	if (at >= retry_after_name.n || lower(byte) != retry_after_name.p[at])
		response->is_retry_after = false;
	if (at >= coding_name.n || lower(byte) != coding_name.p[at])
		response->is_coding = false;
	return is_token(byte);
}

static bool accept_header_start(struct response *response, char byte)
{
	response->head_state = byte == '\r' ? HEAD_LF : HEADER_NAME;
	response->line_n = 0;
	response->is_retry_after = response->is_coding = response->is_value_empty = true;
	return byte == '\r' || (byte != ':' && accept_name_byte(response, byte));
}

/* llhttp takes an empty Transfer-Encoding for none; another reader might not. */
static bool accept_value_byte(struct response *response, char byte)
{
	if (byte == '\r') {
		response->head_state = LINE_LF;
		return !(response->is_coding && response->is_value_empty);
	}
	if (byte != ' ' && byte != '\t')
		response->is_value_empty = false;
	if (response->is_retry_after && response->retry_after_n < sizeof response->retry_after)
		response->retry_after[response->retry_after_n++] = byte;
	return is_text(byte);
}

static bool accept_head_byte(struct response *response, char byte)
{
	switch ((enum head_state)response->head_state) {
	case STATUS_LINE:
		return accept_status_byte(response, byte) ||
		       refuse(response, "the answer does not begin as HTTP/1 does");
	case HEADER_START:
		return accept_header_start(response, byte) ||
		       refuse(response, "the answer has a malformed header name");
	case HEADER_NAME:
		return accept_name_byte(response, byte) || refuse(response, "the answer has a malformed header name");
	case HEADER_VALUE:
		return accept_value_byte(response, byte) || refuse(response, "the answer has a malformed header value");
	case LINE_LF:
		response->head_state = HEADER_START;
		return byte == '\n' || refuse(response, "the answer has a malformed line end");
	case HEAD_LF:
		response->head_state = HEAD_OVER;
		return byte == '\n' || refuse(response, "the answer has a malformed line end");
	case HEAD_OVER:
		break;
	}
	return false;
}

/* Returns how many bytes belong to the head. */
static size_t scan_head(struct response *response, struct str bytes)
{
	size_t n = 0;

	while (n < bytes.n && response->head_state != HEAD_OVER) {
		if (response->head_n++ == RESPONSE_HEAD_BYTES_MAX) {
			response->progress = RESPONSE_HEAD_TOO_LARGE;
			response->problem = "the answer's head is too large";
			break;
		}
		if (!accept_head_byte(response, bytes.p[n++]))
			break;
	}
	return n;
}

/* The empty line has come. */
static void finish_head(struct response *response)
{
	unsigned status = parser_of(response)->status_code;

	if (status >= 200) {
		response->status = status;
		response->is_head_over = true;
		response->chunk_state = CHUNK_SIZE_START;
	} else if (!response->is_message_over) {
		refuse(response, "the answer is malformed");
	} else if (++response->interim_n > RESPONSE_INTERIM_MAX) {
		refuse(response, "too many interim answers");
	} else {
		begin_message(response);
	}
}

static size_t feed_head(struct response *response, struct str bytes)
{
	size_t n = scan_head(response, bytes);

	if (response->progress != RESPONSE_NEED_MORE)
		return n;

	llhttp_errno_t verdict = llhttp_execute(parser_of(response), bytes.p, n);
	bool is_over = response->head_state == HEAD_OVER;

	if ((verdict != HPE_OK && !response->is_message_over) || response->is_head_agreed != is_over)
		refuse(response, "the answer is malformed");
	if (response->progress == RESPONSE_NEED_MORE && is_over)
		finish_head(response);
	return n;
}

/* ---- The body ---- */

static bool accept_size_byte(struct response *response, char byte)
{
	bool is_hex = is_digit(byte) || (lower(byte) >= 'a' && lower(byte) <= 'f');

	if (response->chunk_state == CHUNK_SIZE_START || is_hex) {
		response->chunk_state = CHUNK_SIZE;
		return is_hex;
	}
	response->chunk_state = byte == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
	return byte == ';' || byte == '\r';
}

static bool accept_byte(struct response *response, char byte, char expected, enum chunk_state next)
{
	response->chunk_state = (unsigned char)next;
	return byte == expected;
}

/* Extensions and the values of trailers. */
static bool accept_line_byte(struct response *response, char byte, enum chunk_state at_end)
{
	if (byte == '\r')
		response->chunk_state = (unsigned char)at_end;
	return byte == '\r' || is_text(byte);
}

static bool accept_framing_byte(struct response *response, char byte)
{
	switch ((enum chunk_state)response->chunk_state) {
	case CHUNK_SIZE_START:
	case CHUNK_SIZE:
		return accept_size_byte(response, byte);
	case CHUNK_EXTENSION:
		return accept_line_byte(response, byte, CHUNK_SIZE_LF);
	case CHUNK_SIZE_LF:
		return accept_byte(response, byte, '\n', response->is_last_chunk ? TRAILER_START : CHUNK_DATA_CR);
	case CHUNK_DATA_CR:
		return accept_byte(response, byte, '\r', CHUNK_DATA_LF);
	case CHUNK_DATA_LF:
		return accept_byte(response, byte, '\n', CHUNK_SIZE_START);
	case TRAILER_START:
		response->chunk_state = byte == '\r' ? TRAILER_LF : TRAILER_NAME;
		return byte == '\r' || is_token(byte);
	case TRAILER_NAME:
		response->chunk_state = byte == ':' ? TRAILER_VALUE : TRAILER_NAME;
		return byte == ':' || is_token(byte);
	case TRAILER_VALUE:
		return accept_line_byte(response, byte, TRAILER_LF);
	case TRAILER_LF:
		return accept_byte(response, byte, '\n', TRAILER_START);
	}
	return false;
}

/* Checks what came between the last data and `end`. */
static bool accept_framing(struct response *response, const char *end)
{
	for (; response->is_chunked && response->framing_at < end; response->framing_at++)
		if (!accept_framing_byte(response, *response->framing_at))
			return refuse(response, "the answer has a malformed chunked body");
	return true;
}

static size_t feed_body(struct response *response, struct str bytes)
{
	size_t room = RESPONSE_BODY_BYTES_MAX - response->body_raw_n, n = bytes.n < room ? bytes.n : room;

	response->framing_at = bytes.p;

	llhttp_errno_t verdict = llhttp_execute(parser_of(response), bytes.p, n);
	const char *end = verdict == HPE_OK ? bytes.p + n : llhttp_get_error_pos(parser_of(response));

	if (verdict != HPE_OK && !response->is_message_over)
		refuse(response, "the answer's body is malformed");
	if (response->progress != RESPONSE_NEED_MORE || !accept_framing(response, end))
		return n;
	n = (size_t)(end - bytes.p);
	response->body_raw_n += n;
	if (!response->is_message_over && response->body_raw_n == RESPONSE_BODY_BYTES_MAX)
		response->progress = RESPONSE_DONE_TRUNCATED;
	return n;
}

void response_init(struct response *response)
{
	*response = (struct response){ .progress = RESPONSE_NEED_MORE };
	begin_message(response);
}

enum response_progress response_feed(struct response *response, struct str bytes)
{
	response->began = response->began || bytes.n > 0;
	while (bytes.n > 0 && response->progress == RESPONSE_NEED_MORE) {
		size_t n = response->is_head_over ? feed_body(response, bytes) : feed_head(response, bytes);

		bytes = str_slice(bytes, n, bytes.n);
		if (response->progress == RESPONSE_NEED_MORE && response->is_head_over && response->is_message_over)
			response->progress = RESPONSE_DONE;
	}
	if (bytes.n > 0 || response->progress != RESPONSE_DONE)
		response->may_reuse = false;
	return response->progress;
}

enum response_progress response_finish(struct response *response)
{
	if (response->progress == RESPONSE_NEED_MORE) {
		if (response->is_head_over)
			llhttp_finish(parser_of(response));
		response->progress = response->is_message_over ? RESPONSE_DONE : RESPONSE_CUT_OFF;
	}
	response->may_reuse = false;
	return response->progress;
}

struct str response_retry_after(const struct response *response)
{
	if (response->retry_afters_n != 1 || response->retry_after_n == sizeof response->retry_after)
		return (struct str){ NULL, 0 };
	return str_trim((struct str){ response->retry_after, response->retry_after_n });
}
