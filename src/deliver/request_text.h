/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes of one attempt's request, as docs/api.md lists them. Pure. */
#ifndef DELIVER_REQUEST_TEXT_H
#define DELIVER_REQUEST_TEXT_H

#include "base/buf.h"
#include "core/run.h"
#include "core/url.h"

/* Appends head and body. `attempt` counts from 1; `now` is the attempt's start (webhook-timestamp). The trace id is the
 * run's id, so that all attempts of a run are one trace (W3C Trace Context); the span id differs by attempt. */
void request_text_add(struct buf *buf, const struct run *run, const struct url *url, uint32_t attempt, struct wall now);

#endif
