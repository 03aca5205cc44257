/* SPDX-License-Identifier: BSD-3-Clause */
/* What came of one attempt: the answer's status or the way the transport failed, as data. Pure. */
#ifndef CORE_OUTCOME_H
#define CORE_OUTCOME_H

#include "base/instant.h"
#include "base/str.h"

/* Stored in the database and shown in the API: append only. */
enum outcome_class {
	OUTCOME_DELIVERED = 0, /* 2xx */
	OUTCOME_HTTP = 1,      /* any other final status */
	OUTCOME_TIMEOUT = 2,   /* the attempt's deadline passed, in whatever phase */
	OUTCOME_DNS = 3,       /* no such name, no address, server failure */
	OUTCOME_CONNECT = 4,   /* refused, unreachable */
	OUTCOME_TLS = 5,       /* handshake or certificate */
	OUTCOME_RESET = 6,     /* closed or reset before a whole answer */
	OUTCOME_PROTOCOL = 7,  /* what came was no HTTP/1 answer, or its head was too large */
	OUTCOME_BLOCKED = 8,   /* the egress policy refuses the address */
	OUTCOME_INTERNAL = 9,  /* ours: no descriptor left, an endpoint on record that is no URL */
};

enum { OUTCOME_CLASSES_N = 10, OUTCOME_ANSWER_BYTES_MAX = 1024, OUTCOME_DETAIL_BYTES_MAX = 120 };

struct outcome {
	enum outcome_class class;
	uint16_t status;	/* of the answer; 0 without one */
	bool is_unsent;		/* for lack of our own means nothing was sent: this was no attempt */
	bool is_final;		/* no further attempt makes sense: 410, or BLOCKED by a literal address */
	int64_t retry_after_us; /* what the receiver asked for, from now; 0 = nothing. Not yet clamped */
	struct wall started_at;
	int64_t duration_us;
	char detail[OUTCOME_DETAIL_BYTES_MAX]; /* zero-terminated words for the failed task: "connection refused"; never
						  an address or a URL */
	uint16_t answer_n;
	char answer[OUTCOME_ANSWER_BYTES_MAX]; /* the first bytes of the answer's body, as they came */
};

/* "delivered", "http_error", "timeout", "dns", "connect", "tls", "reset", "protocol", "blocked", "internal". */
const char *outcome_class_name(enum outcome_class class);
/* Fills class, status, is_final and retry_after_us from an answer. `retry_after` is the header's value or absent: delta
 * seconds or an HTTP-date (RFC 9110 section 10.2.3); what is neither, or negative, or past, is 0; absurdly large values
 * stop at INT32_MAX seconds. Success is 2xx; 410 is final; everything else is tried again. */
void outcome_classify_answer(struct outcome *outcome, unsigned status, struct str retry_after, struct wall now);
/* The text of a failed task, at most 300 bytes, e.g. "HTTP 503 Service Unavailable" or "timeout: no answer within 30
 * s". Zero-terminated. */
void outcome_reason(const struct outcome *outcome, char text[300]);
/* The metric key's middle part for METRICS_URL: "http_error.503", "timeout", "connection_error". */
void outcome_metric_key(const struct outcome *outcome, char text[64]);

#endif
