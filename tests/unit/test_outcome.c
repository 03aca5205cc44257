/* SPDX-License-Identifier: BSD-3-Clause */
/* What an answer means: success, failure, final, and how long its sender asks us to wait. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/outcome.h"

#define N(array) (sizeof(array) / sizeof(array)[0])

/* 2026-01-02T03:04:05Z, a Friday. */
static const struct wall now = { 1767323045 * US_PER_SECOND };

static void test_status(void **state)
{
	static const struct {
		unsigned status;
		enum outcome_class class;
		bool is_final;
	} rows[] = {
		{ 200, OUTCOME_DELIVERED, false }, { 201, OUTCOME_DELIVERED, false }, { 204, OUTCOME_DELIVERED, false },
		{ 299, OUTCOME_DELIVERED, false }, { 300, OUTCOME_HTTP, false },      { 302, OUTCOME_HTTP, false },
		{ 307, OUTCOME_HTTP, false },	   { 400, OUTCOME_HTTP, false },      { 404, OUTCOME_HTTP, false },
		{ 409, OUTCOME_HTTP, false },	   { 410, OUTCOME_HTTP, true },	      { 411, OUTCOME_HTTP, false },
		{ 429, OUTCOME_HTTP, false },	   { 500, OUTCOME_HTTP, false },      { 503, OUTCOME_HTTP, false },
		{ 599, OUTCOME_HTTP, false },	   { 999, OUTCOME_HTTP, false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct outcome outcome = { .class = OUTCOME_INTERNAL,
					   .is_final = !rows[i].is_final,
					   .retry_after_us = 7 };

		outcome_classify_answer(&outcome, rows[i].status, (struct str){ 0 }, now);
		assert_int_equal(outcome.class, rows[i].class);
		assert_int_equal(outcome.status, rows[i].status);
		assert_int_equal(outcome.is_final, rows[i].is_final);
		assert_int_equal(outcome.retry_after_us, 0);
	}
}

static void test_retry_after(void **state)
{
	static const struct {
		const char *value;
		int64_t wish_us;
	} rows[] = {
		{ NULL, 0 },
		{ "", 0 },
		{ "0", 0 },
		{ "1", US_PER_SECOND },
		{ " 120\t", 120 * US_PER_SECOND },
		{ "007", 7 * US_PER_SECOND },
		{ "-5", 0 },
		{ "+5", 0 },
		{ "1.5", 0 },
		{ "5 s", 0 },
		{ "0x10", 0 },
		{ "soon", 0 },
		{ "2147483647", INT32_MAX * US_PER_SECOND },
		{ "2147483648", INT32_MAX * US_PER_SECOND },
		{ "99999999999999999999999999999", INT32_MAX * US_PER_SECOND },
		{ "Fri, 02 Jan 2026 03:04:35 GMT", 30 * US_PER_SECOND },
		{ "Friday, 02-Jan-26 03:04:35 GMT", 30 * US_PER_SECOND },
		{ "Fri Jan  2 03:04:35 2026", 30 * US_PER_SECOND },
		{ "Fri, 02 Jan 2026 03:04:05 GMT", 0 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
		{ "Fri, 31 Dec 9999 23:59:59 GMT", INT32_MAX * US_PER_SECOND },
		{ "Fri, 02 Jan 2026 03:04:35", 0 },
		{ "2026-01-02T03:04:35Z", 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct outcome outcome = { 0 };

		outcome_classify_answer(&outcome, 503, str_from(rows[i].value), now);
		if (outcome.retry_after_us != rows[i].wish_us)
			fail_msg("\"%s\": %lld us", rows[i].value ? rows[i].value : "(absent)",
				 (long long)outcome.retry_after_us);
	}
}

static void test_retry_after_of_success_is_nothing(void **state)
{
	struct outcome outcome = { 0 };

	(void)state;
	outcome_classify_answer(&outcome, 202, STR("60"), now);
	assert_int_equal(outcome.retry_after_us, 0);
}

static void test_texts(void **state)
{
	static const struct {
		struct outcome outcome;
		const char *reason, *key;
	} rows[] = {
		{ { .class = OUTCOME_DELIVERED, .status = 200 }, "HTTP 200 OK", "delivered" },
		{ { .class = OUTCOME_HTTP, .status = 503 }, "HTTP 503 Service Unavailable", "http_error.503" },
		{ { .class = OUTCOME_HTTP, .status = 599 }, "HTTP 599", "http_error.599" },
		{ { .class = OUTCOME_TIMEOUT, .detail = "no answer within 30 s" },
		  "timeout: no answer within 30 s",
		  "timeout" },
		{ { .class = OUTCOME_DNS, .detail = "no such name" }, "dns: no such name", "connection_error" },
		{ { .class = OUTCOME_CONNECT, .detail = "connection refused" },
		  "connect: connection refused",
		  "connection_error" },
		{ { .class = OUTCOME_TLS }, "tls", "connection_error" },
		{ { .class = OUTCOME_RESET }, "reset", "connection_error" },
		{ { .class = OUTCOME_PROTOCOL }, "protocol", "connection_error" },
		{ { .class = OUTCOME_BLOCKED }, "blocked", "connection_error" },
		{ { .class = OUTCOME_INTERNAL }, "internal", "connection_error" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char reason[300], key[64];

		outcome_reason(&rows[i].outcome, reason);
		outcome_metric_key(&rows[i].outcome, key);
		assert_string_equal(reason, rows[i].reason);
		assert_string_equal(key, rows[i].key);
	}
}

static void test_longest_detail_fits(void **state)
{
	struct outcome outcome = { .class = OUTCOME_PROTOCOL };
	char reason[300];

	(void)state;
	memset(outcome.detail, 'x', sizeof outcome.detail); /* not even terminated */
	outcome_reason(&outcome, reason);
	assert_int_equal(strlen(reason), strlen("protocol: ") + OUTCOME_DETAIL_BYTES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_retry_after_of_success_is_nothing),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_longest_detail_fits),
	};

	return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
