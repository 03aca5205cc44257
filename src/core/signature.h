/* SPDX-License-Identifier: BSD-3-Clause */
/* Standard Webhooks 1.0.0 signatures: v1,<base64 HMAC-SHA256(key, id.timestamp.body)>. Pure. */
#ifndef CORE_SIGNATURE_H
#define CORE_SIGNATURE_H

#include "base/buf.h"
#include "base/instant.h"

/* "whsec_" and the base64 of 24 to 64 bytes. */
bool signature_secret_is_valid(struct str secret);
/* Appends the value of the webhook-signature header. `secret` must be valid. */
void signature_add(struct buf *buf, struct str secret, struct str id, int64_t timestamp_s, struct str body);

#endif
