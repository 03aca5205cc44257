/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of an answer's head and of its chunks (RFC 9110, RFC 9112). Pure. */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include "base/buf.h"
#include "base/instant.h"

enum { ANSWER_DATE_BYTES = 29 };

enum answer_connection {
	ANSWER_KEEPS,	  /* HTTP/1.1's default, no header */
	ANSWER_KEEPS_1_0, /* said, for HTTP/1.0 */
	ANSWER_CLOSES,
};

enum answer_framing { ANSWER_LENGTH, ANSWER_CHUNKED, ANSWER_UNTIL_CLOSE };

struct answer {
	unsigned status;
	struct str date;    /* ANSWER_DATE_BYTES */
	struct str headers; /* complete lines, may be empty */
	enum answer_connection connection;
	enum answer_framing framing;
	uint64_t length; /* of ANSWER_LENGTH */
};

/* 1xx, 204 and 304 have neither body nor length. */
bool answer_has_body(unsigned status);
/* Status line to empty line. */
void answer_format_head(struct buf *out, const struct answer *answer);
/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7); no zero byte. */
void answer_format_date(char date[ANSWER_DATE_BYTES], struct wall now);
/* A chunk with its framing; nothing for empty data, which would end the body. */
void answer_format_chunk(struct buf *out, struct str data);
/* The end of a chunked body. */
void answer_format_end(struct buf *out);

#endif
