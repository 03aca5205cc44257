/* SPDX-License-Identifier: BSD-3-Clause */
/* Names what came of an attempt, for the decision that follows, for the failed task and for the metrics.
 *
 * The only place that says what success is (2xx) and what is final (410). Texts hold no address and no URL: those are
 * credentials. */
#include "core/outcome.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/timestamp.h"

enum { REASON_BYTES_MAX = 300, METRIC_KEY_BYTES_MAX = 64 };

static const char *const class_names[OUTCOME_CLASSES_N] = {
	[OUTCOME_DELIVERED] = "delivered", [OUTCOME_HTTP] = "http_error",
	[OUTCOME_TIMEOUT] = "timeout",	   [OUTCOME_DNS] = "dns",
	[OUTCOME_CONNECT] = "connect",	   [OUTCOME_TLS] = "tls",
	[OUTCOME_RESET] = "reset",	   [OUTCOME_PROTOCOL] = "protocol",
	[OUTCOME_BLOCKED] = "blocked",	   [OUTCOME_INTERNAL] = "internal",
};

/* RFC 9110 section 15 and RFC 6585; what is missing here is shown as a bare number. */
static const struct phrase {
	uint16_t status;
	const char *text;
} phrases[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 402, "Payment Required" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 407, "Proxy Authentication Required" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 411, "Length Required" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 421, "Misdirected Request" },
	{ 422, "Unprocessable Content" },
	{ 425, "Too Early" },
	{ 426, "Upgrade Required" },
	{ 428, "Precondition Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 451, "Unavailable For Legal Reasons" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
	{ 507, "Insufficient Storage" },
	{ 508, "Loop Detected" },
	{ 511, "Network Authentication Required" },
};

static const char *phrase_of(uint16_t status)
{
	for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
		if (phrases[i].status == status)
			return phrases[i].text;
	return NULL;
}

const char *outcome_class_name(enum outcome_class class)
{
	assert((unsigned)class < OUTCOME_CLASSES_N);
	return class_names[class];
}

static bool is_digits(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
	return text.n > 0;
}

static int64_t wish_us(struct str retry_after, struct wall now)
{
	const int64_t wish_us_max = INT32_MAX * US_PER_SECOND;
	struct str text = str_trim(retry_after);
	struct wall until;
	uint64_t seconds;

	if (is_digits(text)) {
		if (!str_to_u64(text, &seconds) || seconds > INT32_MAX)
			return wish_us_max;
		return (int64_t)seconds * US_PER_SECOND;
	}
	if (!timestamp_parse_http_date(text, &until) || !wall_is_after(until, now))
		return 0;
	return until.us - now.us < wish_us_max ? until.us - now.us : wish_us_max;
}

void outcome_classify_answer(struct outcome *outcome, unsigned status, struct str retry_after, struct wall now)
{
	assert(status >= 200 && status <= 999);

	outcome->class = status <= 299 ? OUTCOME_DELIVERED : OUTCOME_HTTP;
	outcome->status = (uint16_t)status;
	outcome->is_final = status == 410;
	outcome->retry_after_us = outcome->class == OUTCOME_HTTP ? wish_us(retry_after, now) : 0;
}

void outcome_reason(const struct outcome *outcome, char text[300])
{
	const char *phrase = phrase_of(outcome->status);
	int detail_n = (int)strnlen(outcome->detail, sizeof outcome->detail);

	if (outcome->class == OUTCOME_DELIVERED || outcome->class == OUTCOME_HTTP)
		snprintf(text, REASON_BYTES_MAX, "HTTP %u%s%s", (unsigned)outcome->status, phrase ? " " : "",
			 phrase ? phrase : "");
	else
		snprintf(text, REASON_BYTES_MAX, "%s%s%.*s", outcome_class_name(outcome->class),
			 detail_n > 0 ? ": " : "", detail_n, outcome->detail);
}

/* The keys the clients of METRICS_URL know: everything below HTTP that is no timeout is a connection error to them. */
void outcome_metric_key(const struct outcome *outcome, char text[64])
{
	if (outcome->class == OUTCOME_HTTP)
		snprintf(text, METRIC_KEY_BYTES_MAX, "http_error.%u", (unsigned)outcome->status);
	else if (outcome->class == OUTCOME_DELIVERED || outcome->class == OUTCOME_TIMEOUT)
		snprintf(text, METRIC_KEY_BYTES_MAX, "%s", outcome_class_name(outcome->class));
	else
		snprintf(text, METRIC_KEY_BYTES_MAX, "connection_error");
}
