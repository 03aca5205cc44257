/* SPDX-License-Identifier: BSD-3-Clause */
/* Instants as text: what is read lies in the years 1 to 9999, is written and read back the same, and is what the C
 * library makes of the same digits; HTTP dates likewise. */
#include "fuzz.h"

#include <stdio.h>
#include <time.h>

#include "core/timestamp.h"
#include "http/answer.h"

static int64_t floor_second(struct wall at)
{
	return at.us / US_PER_SECOND - (at.us % US_PER_SECOND < 0);
}

/* The C library's reading of canonical text. */
static int64_t read_digits(struct str text)
{
	struct tm tm = { 0 };
	char copy[64];

	assert(text.n < sizeof copy);
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	assert(sscanf(copy, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
		      &tm.tm_sec) == 6);
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return timegm(&tm);
}

static void check_form(void (*add)(struct buf *, struct wall), struct wall at)
{
	struct wall again;
	struct buf buf;

	buf_init(&buf, 64);
	add(&buf, at);
	assert(!buf.failed && timestamp_parse(buf_str(&buf), &again) == TIMESTAMP_OK && again.us == at.us);
	assert(read_digits(buf_str(&buf)) == floor_second(at));
	buf_release(&buf);
}

static void check_http_form(struct wall at)
{
	char date[ANSWER_DATE_BYTES];
	struct wall again;

	answer_format_date(date, at);
	assert(timestamp_parse_http_date((struct str){ date, sizeof date }, &again));
	assert(again.us == floor_second(at) * US_PER_SECOND);
}

static void check_instant(struct wall at)
{
	assert(at.us >= WALL_US_MIN && at.us <= WALL_US_MAX);
	check_form(timestamp_add, at);
	check_form(timestamp_add_us, at);
	check_form(timestamp_add_offset, at);
	check_http_form(at);
}

/* An offset moves the instant by itself and nothing else: the same digits without it are read as UTC. */
static void check_offset(struct str text, struct wall at)
{
	struct str bare = text;
	struct wall utc;
	int hours = 0, minutes = 0;
	char copy[8] = { 0 };
	size_t sign = text.n;

	while (sign > 11 && text.p[sign - 1] != '+' && text.p[sign - 1] != '-')
		sign--;
	if (sign <= 11)
		return;
	memcpy(copy, text.p + sign, text.n - sign < 6 ? text.n - sign : 6);
	bare.n = sign - 1;
	assert(sscanf(copy, copy[2] == ':' ? "%2d:%2d" : "%2d%2d", &hours, &minutes) >= 1 && hours < 24 &&
	       minutes < 60);
	if (timestamp_parse(bare, &utc) == TIMESTAMP_OK)
		assert(utc.us - (text.p[sign - 1] == '-' ? -1 : 1) * (hours * 60 + minutes) * US_PER_MINUTE == at.us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct wall any = { fuzz_take_between(&in, WALL_US_MIN, WALL_US_MAX) }, at = { INT64_MIN };
	struct str text = fuzz_rest(&in);
	enum timestamp_verdict verdict = timestamp_parse(text, &at);

	check_instant(any);
	if (verdict == TIMESTAMP_OK) {
		check_instant(at);
		check_offset(text, at);
	} else {
		assert(at.us == INT64_MIN);
	}
	at.us = INT64_MIN;
	if (timestamp_parse_http_date(text, &at)) {
		assert(at.us % US_PER_SECOND == 0 && verdict == TIMESTAMP_MALFORMED);
		check_instant(at);
	} else {
		assert(at.us == INT64_MIN);
	}
	fuzz_free(text);
	return 0;
}
