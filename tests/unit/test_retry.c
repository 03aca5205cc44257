/* SPDX-License-Identifier: BSD-3-Clause */
/* When a failed attempt is tried again: the doubling ceiling, full jitter, Retry-After, and the end of the budget. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/retry.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define DAY (24 * 3600 * US_PER_SECOND)

static const struct wall now = { 1767323045 * US_PER_SECOND };

static void test_table(void **state)
{
	static const struct retry_policy patient = { .attempts_max = 100,
						     .delay_us_first = 5 * US_PER_SECOND,
						     .delay_us_max = DAY };
	static const struct retry_policy eager = { .attempts_max = 3,
						   .delay_us_first = 0,
						   .delay_us_max = 10 * US_PER_SECOND };
	static const struct retry_policy once = { .attempts_max = 1,
						  .delay_us_first = US_PER_SECOND,
						  .delay_us_max = US_PER_SECOND };
	static const struct {
		const struct retry_policy *policy;
		uint32_t attempts, dice;
		int64_t wished_s;
		bool is_final;
		enum retry_verdict verdict;
		int64_t wait_us;
	} rows[] = {
		{ NULL, 1, 0, 0, false, RETRY_AT, 0 },
		{ NULL, 1, UINT32_MAX, 0, false, RETRY_AT, 5 * US_PER_SECOND },
		{ NULL, 1, 1U << 31, 0, false, RETRY_AT, 2500000 },
		{ NULL, 2, UINT32_MAX, 0, false, RETRY_AT, 10 * US_PER_SECOND },
		{ NULL, 3, UINT32_MAX, 0, false, RETRY_AT, 20 * US_PER_SECOND },
		{ NULL, 4, UINT32_MAX, 0, false, RETRY_AT, 40 * US_PER_SECOND },
		{ NULL, 5, UINT32_MAX, 0, false, RETRY_AT, 80 * US_PER_SECOND },
		{ NULL, 6, 0, 0, false, RETRY_DEAD, 0 },
		{ NULL, 7, 0, 0, false, RETRY_DEAD, 0 },
		{ NULL, 1, UINT32_MAX, 0, true, RETRY_DEAD, 0 },
		{ NULL, 1, 0, 60, true, RETRY_DEAD, 0 },
		{ NULL, 1, UINT32_MAX, 2, false, RETRY_AT, 5 * US_PER_SECOND },
		{ NULL, 1, UINT32_MAX, 60, false, RETRY_AT, 60 * US_PER_SECOND },
		{ NULL, 1, 0, 3, false, RETRY_AT, 3 * US_PER_SECOND },
		{ NULL, 1, 0, 300, false, RETRY_AT, 300 * US_PER_SECOND },
		{ NULL, 1, 0, 301, false, RETRY_AT, 300 * US_PER_SECOND },
		{ NULL, 1, 0, INT32_MAX, false, RETRY_AT, 300 * US_PER_SECOND },
		{ &patient, 6, UINT32_MAX, 0, false, RETRY_AT, 160 * US_PER_SECOND },
		{ &patient, 15, UINT32_MAX, 0, false, RETRY_AT,
		  81919999981 }, /* of 81920000001: 32 bits of chance do not reach every value */
		{ &patient, 16, UINT32_MAX, 0, false, RETRY_AT, DAY - 20 },
		{ &patient, 99, UINT32_MAX, 0, false, RETRY_AT, DAY - 20 },
		{ &patient, 99, 1U << 31, 0, false, RETRY_AT, DAY / 2 },
		{ &patient, 100, 0, 0, false, RETRY_DEAD, 0 },
		{ &eager, 2, UINT32_MAX, 0, false, RETRY_AT, 0 },
		{ &eager, 2, UINT32_MAX, 9, false, RETRY_AT, 9 * US_PER_SECOND },
		{ &once, 1, 0, 0, false, RETRY_DEAD, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct outcome outcome = { .class = OUTCOME_HTTP,
					   .status = 503,
					   .is_final = rows[i].is_final,
					   .retry_after_us = rows[i].wished_s * US_PER_SECOND };
		struct wall at = { -1 };
		enum retry_verdict verdict = retry_decide(rows[i].policy ? rows[i].policy : &retry_policy_default,
							  &outcome, rows[i].attempts, now, rows[i].dice, &at);

		if (verdict != rows[i].verdict || at.us != (verdict == RETRY_AT ? now.us + rows[i].wait_us : -1))
			fail_msg("row %zu: verdict %d, wait %lld us", i, (int)verdict, (long long)(at.us - now.us));
	}
}

/* P: never before now, never beyond the cap, and chance spreads over the whole interval. */
static void test_jitter_is_full(void **state)
{
	unsigned quarters[4] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		struct outcome outcome = { .class = OUTCOME_TIMEOUT };
		struct wall at;

		assert_int_equal(retry_decide(&retry_policy_default, &outcome, 3, now, i << 20 | i, &at), RETRY_AT);
		assert_in_range(at.us - now.us, 0, 20 * US_PER_SECOND);
		quarters[(at.us - now.us) * 4 / (20 * US_PER_SECOND + 1)]++;
	}
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(quarters[i], 1000, 1048);
}

static void test_promised_default(void **state)
{
	(void)state;
	assert_int_equal(retry_policy_default.attempts_max, 6);
	assert_int_equal(retry_policy_default.delay_us_first, 5 * US_PER_SECOND);
	assert_int_equal(retry_policy_default.delay_us_max, 300 * US_PER_SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_jitter_is_full),
		cmocka_unit_test(test_promised_default),
	};

	return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
