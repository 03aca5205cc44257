/* SPDX-License-Identifier: BSD-3-Clause */
/* Calendar arithmetic on years that begin in March, so that the leap day is the last day of its year.
 *
 * Invariant: civil_to_days and civil_from_days are inverse to each other for every day of the years -5,000,000 to
 * 5,000,000. */
#include "core/civil.h"

#include <assert.h>
#include <stdbool.h>

enum { SECONDS_PER_DAY = 86400, DAYS_PER_ERA = 146097, YEARS_PER_ERA = 400, DAYS_0000_03_01_TO_1970 = 719468 };

static int64_t floor_divide(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days from the first of March to the first of the month that lies `months` after March. */
static int64_t days_before_month(int64_t months)
{
	return (153 * months + 2) / 5;
}

int64_t civil_to_days(int32_t year, int32_t month, int32_t day)
{
	assert(month >= 1 && month <= 12);

	int64_t march_year = (int64_t)year - (month <= 2);
	int64_t era = floor_divide(march_year, YEARS_PER_ERA);
	int64_t year_of_era = march_year - era * YEARS_PER_ERA;
	int64_t day_of_year = days_before_month((month + 9) % 12) + day - 1;

	return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
	       DAYS_0000_03_01_TO_1970;
}

struct civil civil_from_days(int64_t days)
{
	int64_t since_march_0 = days + DAYS_0000_03_01_TO_1970;
	int64_t era = floor_divide(since_march_0, DAYS_PER_ERA);
	int64_t day_of_era = since_march_0 - era * DAYS_PER_ERA;
	/* Take the leap days out, then years have 365 days each. */
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
	int64_t months = (5 * day_of_year + 2) / 153;

	return (struct civil){
		.year = (int32_t)(era * YEARS_PER_ERA + year_of_era + (months >= 10)),
		.month = (int32_t)((months + 2) % 12 + 1),
		.day = (int32_t)(day_of_year - days_before_month(months) + 1),
	};
}

int32_t civil_weekday(int64_t days)
{
	/* 1970-01-01 was a Thursday. */
	return (int32_t)(days + 4 - 7 * floor_divide(days + 4, 7));
}

static bool is_leap(int32_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int32_t civil_days_in_month(int32_t year, int32_t month)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	assert(month >= 1 && month <= 12);
	return days[month - 1] + (month == 2 && is_leap(year));
}

int64_t civil_to_seconds(const struct civil *c)
{
	return civil_to_days(c->year, c->month, c->day) * SECONDS_PER_DAY + c->hour * 3600 + c->minute * 60 + c->second;
}

struct civil civil_from_seconds(int64_t seconds)
{
	int64_t days = floor_divide(seconds, SECONDS_PER_DAY);
	int32_t rest = (int32_t)(seconds - days * SECONDS_PER_DAY);
	struct civil c = civil_from_days(days);

	c.hour = rest / 3600;
	c.minute = rest / 60 % 60;
	c.second = rest % 60;
	return c;
}
