/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the login throttle: per peer, per account, bounded memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "api/throttle.h"

static struct throttle throttle;

static struct boot at_s(int64_t seconds)
{
	return (struct boot){ seconds * US_PER_SECOND };
}

static int set_up(void **state)
{
	(void)state;
	memset(&throttle, 0, sizeof throttle);
	throttle.peer_failures_per_minute = 3;
	return 0;
}

static void test_peer(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(throttle_wait_us(&throttle, THROTTLE_PEER, 7, at_s(100 + i)), 0);
		throttle_failed(&throttle, THROTTLE_PEER, 7, at_s(100 + i));
	}
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_PEER, 7, at_s(103)), 57 * US_PER_SECOND);
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_PEER, 8, at_s(103)), 0);
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_ACCOUNT, 7, at_s(103)), 0);
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_PEER, 7, at_s(160)), 0);
	/* The next minute has as many. */
	for (int i = 0; i < 3; i++)
		throttle_failed(&throttle, THROTTLE_PEER, 7, at_s(170));
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_PEER, 7, at_s(170)), 60 * US_PER_SECOND);
}

static void test_account(void **state)
{
	static const int64_t waits[] = { 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900 };

	(void)state;
	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
		throttle_failed(&throttle, THROTTLE_ACCOUNT, 0, at_s(10));
		assert_int_equal(throttle_wait_us(&throttle, THROTTLE_ACCOUNT, 0, at_s(10)), waits[i] * US_PER_SECOND);
	}
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_ACCOUNT, 0, at_s(909)), US_PER_SECOND);
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_ACCOUNT, 0, at_s(910)), 0);
	/* Still remembered: one more failure waits in full. Much later all is forgotten. */
	throttle_failed(&throttle, THROTTLE_ACCOUNT, 0, at_s(920));
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_ACCOUNT, 0, at_s(920)), 900 * US_PER_SECOND);
	throttle_failed(&throttle, THROTTLE_ACCOUNT, 0, at_s(920 + 1800));
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_ACCOUNT, 0, at_s(920 + 1800)), 0);
}

static void test_success_and_off(void **state)
{
	(void)state;
	for (int i = 0; i < 9; i++)
		throttle_failed(&throttle, THROTTLE_ACCOUNT, 5, at_s(1));
	assert_true(throttle_wait_us(&throttle, THROTTLE_ACCOUNT, 5, at_s(1)) > 0);
	throttle_succeeded(&throttle, 5);
	throttle_succeeded(&throttle, 6);
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_ACCOUNT, 5, at_s(1)), 0);
	throttle.peer_failures_per_minute = 0;
	for (int i = 0; i < 9; i++) {
		throttle_failed(&throttle, THROTTLE_ACCOUNT, 5, at_s(1));
		throttle_failed(&throttle, THROTTLE_PEER, 5, at_s(1));
	}
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_ACCOUNT, 5, at_s(1)), 0);
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_PEER, 5, at_s(1)), 0);
}

/* A full set forgets the one that failed longest ago, and nobody else. */
static void test_full_set(void **state)
{
	(void)state;
	for (uint64_t i = 0; i <= THROTTLE_WAYS; i++)
		for (int n = 0; n < 3; n++)
			throttle_failed(&throttle, THROTTLE_PEER, 1 + i * THROTTLE_SETS, at_s((int64_t)i));
	assert_int_equal(throttle_wait_us(&throttle, THROTTLE_PEER, 1, at_s(9)), 0);
	for (uint64_t i = 1; i <= THROTTLE_WAYS; i++)
		assert_true(throttle_wait_us(&throttle, THROTTLE_PEER, 1 + i * THROTTLE_SETS, at_s(9)) > 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_peer, set_up),
		cmocka_unit_test_setup(test_account, set_up),
		cmocka_unit_test_setup(test_success_and_off, set_up),
		cmocka_unit_test_setup(test_full_set, set_up),
	};

	return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
