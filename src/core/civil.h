/* SPDX-License-Identifier: BSD-3-Clause */
/* Dates of the proleptic Gregorian calendar and day numbers. Pure; algorithm: Howard Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms". */
#ifndef CORE_CIVIL_H
#define CORE_CIVIL_H

#include <stdint.h>

struct civil {
	int32_t year;
	int32_t month;	/* 1-12 */
	int32_t day;	/* 1-31 */
	int32_t hour;	/* 0-23 */
	int32_t minute; /* 0-59 */
	int32_t second; /* 0-59 */
};

/* Days since 1970-01-01. */
int64_t civil_to_days(int32_t year, int32_t month, int32_t day);
/* Fills year, month, day and sets the time of day to 0. */
struct civil civil_from_days(int64_t days);
/* 0 = Sunday. */
int32_t civil_weekday(int64_t days);
int32_t civil_days_in_month(int32_t year, int32_t month);
/* Seconds since 1970-01-01T00:00:00, both read on the same clock face. */
int64_t civil_to_seconds(const struct civil *c);
struct civil civil_from_seconds(int64_t seconds);

#endif
