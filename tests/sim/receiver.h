/* SPDX-License-Identifier: BSD-3-Clause */
/* The other end of a delivery, in bytes: reads what was sent, says what it answers.
 *
 * The request is taken apart by hand and compared with what the caller has in its own books (P4 and what a receiver
 * gets, docs/api.md); ids and signatures are worked out with OpenSSL's own functions. The answer goes through
 * http/response.c in pieces of random size. */
#ifndef SIM_RECEIVER_H
#define SIM_RECEIVER_H

#include "core/outcome.h"

/* What a request of a schedule has to say. */
struct request_expected {
	const uint8_t *installation, *schedule; /* 16 bytes each */
	struct wall planned_at;
	uint32_t attempt;
	struct wall now;
	struct str authorization, signing_secret; /* absent: must not be there */
};

/* Words about the first thing that is wrong; NULL: nothing. `body` is what was received, a view into `request`. */
const char *receiver_read(struct str request, const struct request_expected *expected, struct str *body);

enum answer_end {
	ANSWER_WHOLE,
	ANSWER_CUT_OFF, /* the connection ends before the answer does */
};

struct answer_plan {
	unsigned status;
	const char *retry_after; /* NULL: none */
	enum answer_end end;
};

/* What the answer is to the product: reads it as deliver/outbound.c does. Sets the class and what belongs to it, not
 * the times. */
void receiver_answer(const struct answer_plan *plan, uint64_t *dice, struct wall now, struct outcome *outcome);

#endif
