/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes a POST whose head depends on nothing but the run, the attempt's number and its start. */
#include "deliver/request_text.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "core/signature.h"
#include "core/timestamp.h"

static void add_uuid(struct buf *buf, const uint8_t uuid[16])
{
	char text[UUID_TEXT_BYTES];

	uuid_format(uuid, text);
	buf_add(buf, (struct str){ text, sizeof text });
}

/* A 64-bit finaliser (splitmix64): spreads run and attempt over the span id, never zero. */
static uint64_t span_id(const uint8_t uuid[16], uint32_t attempt)
{
	uint64_t x;

	memcpy(&x, uuid + 8, sizeof x);
	x += attempt * UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	x ^= x >> 31;
	return x ? x : 1;
}

static void add_trace(struct buf *buf, const uint8_t uuid[16], uint32_t attempt)
{
	char trace[32], span[16];
	uint64_t id = span_id(uuid, attempt);

	hex_format(uuid, 16, trace);
	hex_format((const uint8_t *)&id, sizeof id, span);
	buf_add(buf, STR("\r\ntraceparent: 00-"));
	buf_add(buf, (struct str){ trace, sizeof trace });
	buf_add_char(buf, '-');
	buf_add(buf, (struct str){ span, sizeof span });
	buf_add(buf, STR("-01"));
}

static void add_signature(struct buf *buf, const struct run *run, struct wall now)
{
	char id[UUID_TEXT_BYTES];
	int64_t timestamp_s = now.us / US_PER_SECOND;

	uuid_format(run->uuid, id);
	buf_add(buf, STR("\r\nwebhook-id: "));
	buf_add(buf, (struct str){ id, sizeof id });
	buf_add(buf, STR("\r\nwebhook-timestamp: "));
	buf_add_i64(buf, timestamp_s);
	buf_add(buf, STR("\r\nwebhook-signature: "));
	signature_add(buf, run->signing_secret, (struct str){ id, sizeof id }, timestamp_s, run->body);
}

void request_text_add(struct buf *buf, const struct run *run, const struct url *url, uint32_t attempt, struct wall now)
{
	assert(attempt >= 1);
	buf_add(buf, STR("POST "));
	url_add_target(buf, url);
	buf_add(buf, STR(" HTTP/1.1\r\nHost: "));
	url_add_authority(buf, url);
	buf_add(buf, STR("\r\nUser-Agent: seed-scheduler/" SEED_VERSION "\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
			 "Content-Type: application/json\r\nContent-Length: "));
	buf_add_u64(buf, run->body.n);
	if (run->authorization.p) {
		buf_add(buf, STR("\r\nAuthorization: "));
		buf_add(buf, run->authorization);
	}
	buf_add(buf, STR("\r\nIdempotency-Key: \""));
	add_uuid(buf, run->uuid);
	buf_add_char(buf, '"');
	if (run->kind == RUN_SCHEDULE) {
		buf_add(buf, STR("\r\nSeed-Schedule-Id: "));
		add_uuid(buf, run->schedule_uuid);
	}
	buf_add(buf, STR("\r\nSeed-Planned-At: "));
	timestamp_add_us(buf, run->planned_at);
	buf_add(buf, STR("\r\nSeed-Attempt: "));
	buf_add_u64(buf, attempt);
	add_trace(buf, run->uuid, attempt);
	if (run->signing_secret.p)
		add_signature(buf, run, now);
	buf_add(buf, STR("\r\n\r\n"));
	buf_add(buf, run->body);
}
