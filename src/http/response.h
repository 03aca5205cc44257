/* SPDX-License-Identifier: BSD-3-Clause */
/* The answer to a POST of ours, read piece by piece (RFC 9112, on llhttp): status, Retry-After, the first bytes of the
 * body.
 *
 * No allocation, no socket, no clock: bytes in, one word out. Framing that could be read in two ways is refused.
 * Interim answers (1xx) are passed over. What is kept is bounded: the head, the number of interim answers, the bytes
 * read after the head. */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include "base/str.h"

enum {
	RESPONSE_HEAD_BYTES_MAX = 16 * 1024, /* each head, interim ones too */
	RESPONSE_BODY_BYTES_MAX = 64 * 1024, /* as they come, chunk framing included */
	RESPONSE_INTERIM_MAX = 10,
	RESPONSE_ANSWER_BYTES_MAX = 1024,
	RESPONSE_RETRY_AFTER_BYTES_MAX = 64, /* the longest HTTP-date has 33; a longer value counts as absent */
};

enum response_progress {
	RESPONSE_NEED_MORE,
	RESPONSE_DONE,		 /* the whole answer */
	RESPONSE_DONE_TRUNCATED, /* status and head are whole, the body is longer than we read: judge by the status,
				    close the connection */
	RESPONSE_CUT_OFF,	 /* only from response_finish: the connection ended inside the answer, or before it */
	RESPONSE_BAD,		 /* no HTTP/1 answer; `problem` says why */
	RESPONSE_HEAD_TOO_LARGE,
};

struct response {
	bool began;	     /* any byte came: the request may have been acted on */
	bool may_reuse;	     /* with RESPONSE_DONE: the connection can take the next request */
	unsigned status;     /* 200-999 once the final head is read, 0 before */
	uint64_t body_bytes; /* de-chunked, read so far */
	const char *
		problem; /* with RESPONSE_BAD and RESPONSE_HEAD_TOO_LARGE: static words for outcome.detail; else NULL */
	size_t answer_n;
	char answer[RESPONSE_ANSWER_BYTES_MAX]; /* the first bytes of the body, de-chunked */

	/* The rest is response.c's own. */
	enum response_progress progress;
	size_t head_n, line_n, body_raw_n, retry_after_n;
	unsigned interim_n, retry_afters_n;
	unsigned char head_state, chunk_state;
	bool is_retry_after, is_coding, is_value_empty; /* of the header being read */
	bool is_head_over, is_head_agreed, is_chunked, is_last_chunk, is_message_over;
	const char *framing_at; /* within the bytes being fed: the first that llhttp has not called body */
	char retry_after[RESPONSE_RETRY_AFTER_BYTES_MAX];
	uint64_t parser[16]; /* an llhttp_t, so that only http/ knows llhttp */
};

void response_init(struct response *response);
/* Takes the next bytes. After anything but RESPONSE_NEED_MORE the answer is over; feeding on is allowed only to learn
 * that bytes which came behind a whole answer make the connection unfit for reuse, and changes nothing else. */
enum response_progress response_feed(struct response *response, struct str bytes);
/* The peer has ended the connection: RESPONSE_DONE for a body that lasts until then, the earlier word when the answer
 * was over, else RESPONSE_CUT_OFF. */
enum response_progress response_finish(struct response *response);
/* The Retry-After value, trimmed; absent without one, when there were several, or when it was too long. Borrowed from
 * `response`. */
struct str response_retry_after(const struct response *response);

#endif
