/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is calling: from the Authorization header to call->user. */
#ifndef API_AUTH_H
#define API_AUTH_H

struct api_call;

/* Calls next(call) in this call or later on the loop, with call->user set; id 0 when no credentials were sent. Wrong
 * credentials are answered here: 401, or 429 after too many. */
void auth_start(struct api_call *call, void (*next)(struct api_call *call));
/* 401 for a call without credentials that needs some. */
void auth_missing(struct api_call *call);

#endif
