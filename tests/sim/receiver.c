/* SPDX-License-Identifier: BSD-3-Clause */
/* Headers are found by name; each must be there once, or not at all. */
#include "receiver.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dice.h"
#include "http/response.h"

enum { ID_BYTES = 37, VALUE_BYTES = 200, ANSWER_BYTES = 2048 };

/* --- the request --- */

static const char *find(struct str text, const char *what)
{
	return memmem(text.p, text.n, what, strlen(what));
}

/* False: the header is not there exactly once. */
static bool header(struct str head, const char *name, struct str *value)
{
	char key[80];

	snprintf(key, sizeof key, "\r\n%s: ", name);
	const char *at = find(head, key);

	if (!at)
		return false;
	value->p = at + strlen(key);
	struct str rest = { value->p, head.n - (size_t)(value->p - head.p) };

	value->n = (size_t)(find(rest, "\r\n") - value->p);
	return !find((struct str){ value->p, rest.n }, key);
}

static bool is_header(struct str head, const char *name, const char *expected)
{
	struct str value;

	return header(head, name, &value) && value.n == strlen(expected) && memcmp(value.p, expected, value.n) == 0;
}

static void format_id(const uint8_t id[16], char text[ID_BYTES])
{
	char *at = text;

	for (unsigned i = 0; i < 16; i++)
		at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
}

/* UUIDv8 from SHA-256(installation, schedule, instant): core/run.h. */
static void run_id(const struct request_expected *expected, char text[ID_BYTES])
{
	uint8_t named[40], digest[EVP_MAX_MD_SIZE];
	uint64_t at = __builtin_bswap64((uint64_t)expected->planned_at.us);

	memcpy(named, expected->installation, 16);
	memcpy(named + 16, expected->schedule, 16);
	memcpy(named + 32, &at, sizeof at);
	EVP_Digest(named, sizeof named, digest, NULL, EVP_sha256(), NULL);
	digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x80);
	digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
	format_id(digest, text);
}

static void format_instant(struct wall at, char text[VALUE_BYTES])
{
	int64_t fraction_us = (at.us % US_PER_SECOND + US_PER_SECOND) % US_PER_SECOND;
	time_t seconds = (at.us - fraction_us) / US_PER_SECOND;
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(text, VALUE_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, VALUE_BYTES - n, ".%06dZ", (int)fraction_us);
}

static const char *check_signature(struct str head, struct str body, const char *id, struct wall now, struct str secret)
{
	uint8_t key[128], mac[EVP_MAX_MD_SIZE];
	unsigned mac_n;
	char expected[VALUE_BYTES] = "v1,", *message;
	struct str value;
	int64_t now_s = now.us / US_PER_SECOND;

	if (!secret.p)
		return header(head, "webhook-id", &value) || header(head, "webhook-signature", &value)
			       ? "signed, without a secret"
			       : NULL;
	int key_n = EVP_DecodeBlock(key, (const uint8_t *)secret.p + 6, (int)secret.n - 6);

	for (size_t i = secret.n; i > 0 && secret.p[i - 1] == '='; i--)
		key_n--;
	message = malloc(body.n + 100);
	int n = sprintf(message, "%s.%" PRId64 ".", id, now_s);

	memcpy(message + n, body.p, body.n);
	HMAC(EVP_sha256(), key, key_n, (uint8_t *)message, (size_t)n + body.n, mac, &mac_n);
	free(message);
	EVP_EncodeBlock((uint8_t *)expected + 3, mac, (int)mac_n);
	if (!is_header(head, "webhook-id", id))
		return "webhook-id is not the run's id";
	return is_header(head, "webhook-signature", expected) ? NULL : "the signature is not that of the body";
}

static const char *check_head(struct str head, const struct request_expected *expected, const char *id)
{
	char text[VALUE_BYTES];

	if (strncmp(head.p, "POST ", 5) != 0 || !is_header(head, "Content-Type", "application/json"))
		return "no POST of JSON";
	snprintf(text, sizeof text, "\"%s\"", id);
	if (!is_header(head, "Idempotency-Key", text))
		return "the id is not the one of its occurrence";
	format_id(expected->schedule, text);
	if (!is_header(head, "Seed-Schedule-Id", text))
		return "Seed-Schedule-Id";
	format_instant(expected->planned_at, text);
	if (!is_header(head, "Seed-Planned-At", text))
		return "Seed-Planned-At";
	snprintf(text, sizeof text, "%" PRIu32, expected->attempt);
	if (!is_header(head, "Seed-Attempt", text))
		return "Seed-Attempt";
	snprintf(text, sizeof text, "%.*s", STR_ARG(expected->authorization));
	struct str value;

	if (expected->authorization.p ? !is_header(head, "Authorization", text) : header(head, "Authorization", &value))
		return "Authorization";
	return NULL;
}

const char *receiver_read(struct str request, const struct request_expected *expected, struct str *body)
{
	const char *end = find(request, "\r\n\r\n");
	char id[ID_BYTES], length[VALUE_BYTES];

	if (!end)
		return "no end of the head";
	struct str head = { request.p, (size_t)(end - request.p) + 4 };

	*body = (struct str){ end + 4, request.n - head.n };
	snprintf(length, sizeof length, "%zu", body->n);
	if (!is_header(head, "Content-Length", length))
		return "the length of the body";
	run_id(expected, id);
	const char *problem = check_head(head, expected, id);

	return problem ? problem : check_signature(head, *body, id, expected->now, expected->signing_secret);
}

/* --- the answer --- */

static size_t write_answer(const struct answer_plan *plan, uint64_t *dice, char text[ANSWER_BYTES])
{
	char body[600];
	size_t body_n = (size_t)between(dice, plan->end == ANSWER_CUT_OFF, sizeof body - 1), n = 0;
	int64_t framing = between(dice, 0, plan->end == ANSWER_CUT_OFF || plan->status == 204 ? 1 : 2);

	memset(body, 'x', sizeof body);
	if (plan->status == 204)
		body_n = 0;
	if (chance(dice, 10))
		n += (size_t)sprintf(text + n, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
	n += (size_t)sprintf(text + n, "HTTP/1.1 %u Whatever\r\nserver: x\r\n", plan->status);
	if (plan->retry_after)
		n += (size_t)sprintf(text + n, "Retry-After:  %s\r\n", plan->retry_after);
	if (framing == 0)
		n += (size_t)sprintf(text + n, "Content-Length: %zu\r\n\r\n%.*s", body_n, (int)body_n, body);
	else if (framing == 2 || plan->status == 204)
		n += (size_t)sprintf(text + n, "Connection: close\r\n\r\n%.*s", (int)body_n, body);
	else if (body_n)
		n += (size_t)sprintf(text + n, "transfer-encoding: chunked\r\n\r\n%zx\r\n%.*s\r\n0\r\n\r\n", body_n,
				     (int)body_n, body);
	else
		n += (size_t)sprintf(text + n, "transfer-encoding: chunked\r\n\r\n0\r\n\r\n");
	return n;
}

void receiver_answer(const struct answer_plan *plan, uint64_t *dice, struct wall now, struct outcome *outcome)
{
	struct response response;
	char text[ANSWER_BYTES];
	size_t n = write_answer(plan, dice, text), at = 0;
	enum response_progress progress = RESPONSE_NEED_MORE;

	/* Often inside the body: what an impatient reader takes for an answer. */
	if (plan->end == ANSWER_CUT_OFF)
		n = (size_t)between(dice, chance(dice, 50) ? 0 : (int64_t)n / 2, (int64_t)n - 1);
	response_init(&response);
	while (at < n && progress == RESPONSE_NEED_MORE) {
		size_t piece = (size_t)between(dice, 1, chance(dice, 50) ? 20 : ANSWER_BYTES);

		piece = piece < n - at ? piece : n - at;
		progress = response_feed(&response, (struct str){ text + at, piece });
		at += piece;
	}
	if (progress == RESPONSE_NEED_MORE)
		progress = response_finish(&response);
	switch (progress) {
	case RESPONSE_DONE:
	case RESPONSE_DONE_TRUNCATED:
		outcome_classify_answer(outcome, response.status, response_retry_after(&response), now);
		outcome->answer_n = (uint16_t)response.answer_n;
		memcpy(outcome->answer, response.answer, response.answer_n);
		return;
	case RESPONSE_CUT_OFF:
		outcome->class = OUTCOME_RESET;
		return;
	case RESPONSE_NEED_MORE:
	case RESPONSE_BAD:
	case RESPONSE_HEAD_TOO_LARGE:
		outcome->class = OUTCOME_PROTOCOL;
		return;
	}
}
