/* SPDX-License-Identifier: BSD-3-Clause */
/* Instants as text, both ways. Proleptic Gregorian calendar, UTC, years 1 to 9999. Pure. */
#ifndef CORE_TIMESTAMP_H
#define CORE_TIMESTAMP_H

#include "base/buf.h"
#include "base/instant.h"

enum timestamp_verdict { TIMESTAMP_OK, TIMESTAMP_MALFORMED, TIMESTAMP_OUT_OF_RANGE };

/* What the API takes (next_send_at): YYYY-M[M]-D[D], 'T' or one blank, H[H]:M[M][:S[S][.1 to 12 digits]],
 * optional Z, +HH:MM, +HHMM or +HH below 24:00 (none = UTC); capital T and Z only; not trimmed; digits past the 6th are
 * dropped. */
enum timestamp_verdict timestamp_parse(struct str text, struct wall *at);
/* YYYY-MM-DDTHH:MM:SS[.ffffff]Z, the fraction left out when zero. */
void timestamp_add(struct buf *buf, struct wall at);
/* The same, always with six digits (Seed-Planned-At, logs). */
void timestamp_add_us(struct buf *buf, struct wall at);
/* 2030-01-01T00:00:00+00:00, the fraction as in timestamp_add (webhook bodies). */
void timestamp_add_offset(struct buf *buf, struct wall at);
/* RFC 9110 section 5.6.7, all three forms ("Sun, 06 Nov 1994 08:49:37 GMT"); false when it is none of them. */
bool timestamp_parse_http_date(struct str text, struct wall *at);

#endif
