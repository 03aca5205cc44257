/* SPDX-License-Identifier: BSD-3-Clause */
/* Days and dates: known days, and every day from year -400 to 10400 against a walk by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/civil.h"

#define N(array) (sizeof(array) / sizeof(array)[0])

static void test_known_days(void **state)
{
	(void)state;
	static const struct {
		int32_t year, month, day, weekday;
		int64_t days;
	} rows[] = {
		{ 1970, 1, 1, 4, 0 },	     { 1969, 12, 31, 3, -1 },	 { 2000, 2, 29, 2, 11016 },
		{ 2000, 3, 1, 3, 11017 },    { 2038, 1, 19, 2, 24855 },	 { 2100, 2, 28, 0, 47540 },
		{ 2100, 3, 1, 1, 47541 },    { 1, 1, 1, 1, -719162 },	 { 9999, 12, 31, 5, 2932896 },
		{ 1752, 9, 14, 4, -79366 },  { 0, 3, 1, 3, -719468 },	 { 2024, 2, 29, 4, 19782 },
		{ 1600, 2, 29, 2, -135081 }, { 1900, 2, 28, 3, -25509 }, { 1900, 3, 1, 4, -25508 },
	};

	for (size_t i = 0; i < N(rows); i++) {
		assert_int_equal(civil_to_days(rows[i].year, rows[i].month, rows[i].day), rows[i].days);
		assert_int_equal(civil_weekday(rows[i].days), rows[i].weekday);
	}
}

static int32_t month_length(int32_t year, int32_t month)
{
	int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	switch (month) {
	case 2:
		return leap ? 29 : 28;
	case 4:
	case 6:
	case 9:
	case 11:
		return 30;
	default:
		return 31;
	}
}

static void test_every_day(void **state)
{
	(void)state;
	int64_t days = civil_to_days(-400, 1, 1);
	int32_t weekday = civil_weekday(days);

	for (int32_t year = -400; year <= 10400; year++) {
		for (int32_t month = 1; month <= 12; month++) {
			assert_int_equal(civil_days_in_month(year, month), month_length(year, month));
			for (int32_t day = 1; day <= month_length(year, month); day++) {
				struct civil c = civil_from_days(days);

				if (c.year != year || c.month != month || c.day != day ||
				    civil_to_days(year, month, day) != days || civil_weekday(days) != weekday)
					fail_msg("%d-%d-%d", year, month, day);
				days++;
				weekday = (weekday + 1) % 7;
			}
		}
	}
}

static void test_seconds(void **state)
{
	(void)state;
	static const int64_t rows[] = { 0,     -1,     1,      59,	   60,	       3599,	     3600,	  86399,
					86400, -86400, -86401, 2147483647, 2147483648, 253402300799, -62135596800 };

	for (size_t i = 0; i < N(rows); i++) {
		struct civil c = civil_from_seconds(rows[i]);

		assert_in_range(c.hour, 0, 23);
		assert_in_range(c.minute, 0, 59);
		assert_in_range(c.second, 0, 59);
		assert_int_equal(civil_to_seconds(&c), rows[i]);
	}

	struct civil before = civil_from_seconds(-1);

	assert_int_equal(before.year, 1969);
	assert_int_equal(before.hour, 23);
	assert_int_equal(before.second, 59);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_days),
		cmocka_unit_test(test_every_day),
		cmocka_unit_test(test_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
