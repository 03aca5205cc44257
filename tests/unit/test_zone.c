/* SPDX-License-Identifier: BSD-3-Clause */
/* Zones: real ones at known changes, the rules of footers, files built by hand, and files damaged in every way. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "core/civil.h"
#include "core/zone.h"
#include "../property/zones.h"

#define N(array) (sizeof(array) / sizeof(array)[0])

static int64_t seconds(int32_t year, int32_t month, int32_t day, int32_t hour, int32_t minute)
{
	struct civil c = { year, month, day, hour, minute, 0 };

	return civil_to_seconds(&c);
}

/* ---- Files built by hand ---- */

struct file {
	char version;
	uint32_t leaps;
	const int64_t *times;
	const uint8_t *types;
	uint32_t times_n;
	const int32_t *offsets;
	uint32_t offsets_n;
	const char *footer;
};

static void add_u32(struct buf *buf, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_add_char(buf, (char)(value >> shift & 255));
}

static void add_block(struct buf *buf, const struct file *file, bool wide)
{
	const uint32_t counts[] = { 0, 0, file->leaps, file->times_n, file->offsets_n, 4 };

	buf_add(buf, STR("TZif"));
	buf_add_char(buf, file->version);
	for (int i = 0; i < 15; i++)
		buf_add_char(buf, '\0');
	for (size_t i = 0; i < N(counts); i++)
		add_u32(buf, counts[i]);
	for (uint32_t i = 0; i < file->times_n; i++) {
		if (wide)
			add_u32(buf, (uint32_t)((uint64_t)file->times[i] >> 32));
		add_u32(buf, (uint32_t)file->times[i]);
	}
	for (uint32_t i = 0; i < file->times_n; i++)
		buf_add_char(buf, (char)file->types[i]);
	for (uint32_t i = 0; i < file->offsets_n; i++) {
		add_u32(buf, (uint32_t)file->offsets[i]);
		buf_add_char(buf, 0);
		buf_add_char(buf, 0);
	}
	buf_add(buf, (struct str){ "ABC\0", 4 });
	for (uint32_t i = 0; i < file->leaps; i++) {
		if (wide)
			add_u32(buf, 0);
		add_u32(buf, 78796800);
		add_u32(buf, 1);
	}
}

static const struct zone *build(struct arena *arena, const struct file *file)
{
	struct buf buf;

	buf_init(&buf, 1 << 16);
	add_block(&buf, file, false);
	if (file->version >= '2') {
		add_block(&buf, file, true);
		buf_printf(&buf, "\n%s\n", file->footer);
	}

	const struct zone *zone = zone_read(arena, buf_str(&buf));

	buf_release(&buf);
	return zone;
}

static const struct zone *build_rule(struct arena *arena, const char *footer)
{
	static const int32_t offsets[] = { 0 };

	return build(arena, &(struct file){ .version = '3', .offsets = offsets, .offsets_n = 1, .footer = footer });
}

static void test_built(void **state)
{
	(void)state;
	static const int64_t times[] = { -1000, 5000, 6000, 9000 };
	static const uint8_t types[] = { 1, 2, 2, 0 };
	static const int32_t offsets[] = { -2670, 3600, 7200 };
	static const char versions[] = { '\0', '2', '3', '4' };

	for (size_t i = 0; i < N(versions); i++) {
		struct arena arena = { 0 };
		const struct zone *zone = build(&arena, &(struct file){ .version = versions[i],
									.times = times,
									.types = types,
									.times_n = 4,
									.offsets = offsets,
									.offsets_n = 3,
									.footer = "" });
		int64_t at;

		assert_non_null(zone);
		assert_int_equal(zone_offset_at(zone, INT64_MIN), -2670);
		assert_int_equal(zone_offset_at(zone, -1001), -2670);
		assert_int_equal(zone_offset_at(zone, -1000), 3600);
		assert_int_equal(zone_offset_at(zone, 4999), 3600);
		assert_int_equal(zone_offset_at(zone, 5000), 7200);
		assert_int_equal(zone_offset_at(zone, 8999), 7200);
		assert_int_equal(zone_offset_at(zone, 9000), -2670);
		assert_int_equal(zone_offset_at(zone, INT64_MAX / 2), -2670);
		assert_true(zone_next_change(zone, -1000, &at));
		assert_int_equal(at, 5000);
		/* 6000 changes nothing. */
		assert_true(zone_next_change(zone, 5000, &at));
		assert_int_equal(at, 9000);
		assert_false(zone_next_change(zone, 9000, &at));
		arena_release(&arena);
	}
}

static void test_refused_files(void **state)
{
	(void)state;
	static const int64_t rising[] = { 10, 20 }, falling[] = { 20, 10 }, equal[] = { 10, 10 };
	static const uint8_t types[] = { 0, 1 }, beyond[] = { 0, 2 };
	static const int32_t offsets[] = { 0, 3600 }, huge[] = { 0, 93600 }, tiny[] = { 0, -90000 },
			     least[] = { 0, INT32_MIN };
	const struct file good = { .version = '2',
				   .times = rising,
				   .types = types,
				   .times_n = 2,
				   .offsets = offsets,
				   .offsets_n = 2,
				   .footer = "UTC0" };
	struct file files[] = { good, good, good, good, good, good, good, good, good };
	struct arena arena = { 0 };

	files[0].times = falling;
	files[1].times = equal;
	files[2].types = beyond;
	files[3].offsets = huge;
	files[4].offsets = tiny;
	files[5].offsets = least;
	files[6].offsets_n = 0;
	files[7].leaps = 1;
	files[8].footer = "UTC";
	assert_non_null(build(&arena, &good));
	for (size_t i = 0; i < N(files); i++)
		if (build(&arena, &files[i]))
			fail_msg("file %zu is taken", i);
	assert_null(zone_read(&arena, (struct str){ NULL, 0 }));
	assert_null(zone_read(&arena, STR("TZif2")));
	arena_release(&arena);
}

static void test_footers(void **state)
{
	(void)state;
	static const struct {
		const char *footer;
		bool good;
	} rows[] = {
		{ "UTC0", true },
		{ "<+03>-3", true },
		{ "<-0330>3:30", true },
		{ "ABC-24:59:59", true },
		{ "EST5EDT,M3.2.0,M11.1.0", true },
		{ "IST-1GMT0,M10.5.0,M3.5.0/1", true },
		{ "EST5EDT,0/0,J365/25", true },
		{ "EET-2EEST,M3.4.4/50,M10.4.4/50", true },
		{ "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", true },
		{ "ABC3DEF2:30:15,J60/167:59:59,365/-167", true },
		{ "ABC", false },
		{ "AB3", false },
		{ "<AB>3", false },
		{ "<ABC3", false },
		{ "A+C3", false },
		{ "ABC25", false },
		{ "ABC3:60", false },
		{ "ABC3:00:60", false },
		{ "ABC3:", false },
		{ "ABC3x", false },
		{ "ABC3DEF", false },
		{ "ABC3DEF,", false },
		{ "ABC3DEF,M3.2.0", false },
		{ "ABC3DEF,M0.2.0,M11.1.0", false },
		{ "ABC3DEF,M13.2.0,M11.1.0", false },
		{ "ABC3DEF,M3.0.0,M11.1.0", false },
		{ "ABC3DEF,M3.6.0,M11.1.0", false },
		{ "ABC3DEF,M3.2.7,M11.1.0", false },
		{ "ABC3DEF,M3.2,M11.1.0", false },
		{ "ABC3DEF,M3.2.0,M11.1.0,", false },
		{ "ABC3DEF,M3.2.0,M11.1.0x", false },
		{ "ABC3DEF,J0,J365", false },
		{ "ABC3DEF,J1,J366", false },
		{ "ABC3DEF,0,366", false },
		{ "ABC3DEF,M3.2.0/168,M11.1.0", false },
		{ "ABC3DEF,M3.2.0/,M11.1.0", false },
		{ "ABC3DEF25,M3.2.0,M11.1.0", false },
		{ "ABC3DEF,M3.2.0/1000000000000,M11.1.0", false },
		{ ":Europe/Berlin", false },
	};

	for (size_t i = 0; i < N(rows); i++) {
		struct arena arena = { 0 };

		if ((build_rule(&arena, rows[i].footer) != NULL) != rows[i].good)
			fail_msg("%s", rows[i].footer);
		arena_release(&arena);
	}
}

static void check_change(const struct zone *zone, int64_t at, int32_t before, int32_t after)
{
	int64_t found;

	assert_int_equal(zone_offset_at(zone, at - 1), before);
	assert_int_equal(zone_offset_at(zone, at), after);
	assert_true(zone_next_change(zone, at - 1, &found));
	assert_int_equal(found, at);
	assert_true(zone_next_change(zone, at - 86400, &found));
	assert_int_equal(found, at);
}

static void test_rules(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	const struct zone *new_york = build_rule(&arena, "EST5EDT,M3.2.0,M11.1.0");

	/* Each in the table, in its repetition, and at the end of the calendar. */
	check_change(new_york, seconds(2026, 3, 8, 7, 0), -18000, -14400);
	check_change(new_york, seconds(2026, 11, 1, 6, 0), -14400, -18000);
	check_change(new_york, seconds(2371, 3, 14, 7, 0), -18000, -14400);
	check_change(new_york, seconds(2372, 3, 12, 7, 0), -18000, -14400);
	check_change(new_york, seconds(2426, 3, 8, 7, 0), -18000, -14400);
	check_change(new_york, seconds(9999, 11, 7, 6, 0), -14400, -18000);

	int64_t at;

	assert_false(zone_next_change(new_york, seconds(9999, 11, 7, 6, 0), &at));

	/* Negative summer time: the offset falls in October because winter is the exception. */
	const struct zone *dublin = build_rule(&arena, "IST-1GMT0,M10.5.0,M3.5.0/1");

	check_change(dublin, seconds(2026, 3, 29, 1, 0), 0, 3600);
	check_change(dublin, seconds(2026, 10, 25, 1, 0), 3600, 0);

	/* The fourth Thursday and fifty hours: Saturday 02:00. */
	const struct zone *gaza = build_rule(&arena, "EET-2EEST,M3.4.4/50,M10.4.4/50");

	check_change(gaza, seconds(2026, 3, 28, 0, 0), 7200, 10800);

	/* 23:00 on the day before the last Sunday. */
	const struct zone *nuuk = build_rule(&arena, "<-02>2<-01>,M3.5.0/-1,M10.5.0/0");

	check_change(nuuk, seconds(2026, 3, 29, 1, 0), -7200, -3600);

	/* J60 is the first of March in every year; 59 counts the leap day. */
	const struct zone *days = build_rule(&arena, "ABC0DEF,J60/0,300/0");

	check_change(days, seconds(2024, 3, 1, 0, 0), 0, 3600);
	check_change(days, seconds(2023, 3, 1, 0, 0), 0, 3600);
	check_change(days, seconds(2024, 10, 27, 0, 0) - 3600, 3600, 0);
	check_change(days, seconds(2023, 10, 28, 0, 0) - 3600, 3600, 0);

	/* Local readings far beyond the table. */
	const struct zone *berlin = build_rule(&arena, "CET-1CEST,M3.5.0,M10.5.0/3");
	int64_t first, second;

	assert_int_equal(zone_from_local(berlin, seconds(2426, 3, 29, 2, 30), &first, &second), ZONE_LOCAL_NEVER);
	assert_int_equal(first, seconds(2426, 3, 29, 1, 0));
	assert_int_equal(zone_from_local(berlin, seconds(2426, 10, 25, 2, 30), &first, &second), ZONE_LOCAL_TWICE);
	assert_int_equal(first, seconds(2426, 10, 25, 0, 30));
	assert_int_equal(second, seconds(2426, 10, 25, 1, 30));
	assert_int_equal(zone_from_local(berlin, seconds(9999, 12, 31, 23, 59), &first, &second), ZONE_LOCAL_ONCE);
	assert_int_equal(first, seconds(9999, 12, 31, 22, 59));

	/* Summer time all year. */
	const struct zone *summer = build_rule(&arena, "EST5EDT,0/0,J365/25");

	assert_int_equal(zone_offset_at(summer, seconds(2026, 1, 1, 4, 59)), -14400);
	assert_int_equal(zone_offset_at(summer, seconds(2026, 12, 31, 23, 0)), -14400);
	assert_int_equal(zone_offset_at(summer, seconds(2626, 7, 1, 0, 0)), -14400);
	assert_false(zone_next_change(summer, seconds(2000, 1, 1, 0, 0), &at));
	arena_release(&arena);
}

static void test_utc(void **state)
{
	(void)state;
	int64_t at, first, second;

	assert_int_equal(zone_offset_at(zone_utc(), INT64_MIN), 0);
	assert_int_equal(zone_offset_at(zone_utc(), INT64_MAX / 2), 0);
	assert_false(zone_next_change(zone_utc(), INT64_MIN, &at));
	assert_int_equal(zone_from_local(zone_utc(), 12345, &first, &second), ZONE_LOCAL_ONCE);
	assert_int_equal(first, 12345);
}

/* ---- The system's zones ---- */

static struct zones zones;

static void test_real_zones(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int64_t at_s;
		int32_t before, after;
	} rows[] = {
		{ "Europe/Berlin", 1774746000, 3600, 7200 },
		{ "Europe/Berlin", 1792890000, 7200, 3600 },
		{ "Europe/Dublin", 1774746000, 0, 3600 },
		{ "Europe/Dublin", 1792890000, 3600, 0 },
		{ "America/New_York", 1772953200, -18000, -14400 },
		{ "Australia/Lord_Howe", 1775314800, 39600, 37800 },
		{ "Antarctica/Troll", 1774746000, 0, 7200 },
		{ "Pacific/Chatham", 1775311200, 49500, 45900 },
		{ "Pacific/Apia", 1325239200, -36000, 50400 },
		{ "America/Sao_Paulo", 1541300400, -10800, -7200 },
		{ "Africa/Monrovia", 63593070, -2670, 0 },
		{ "Asia/Kathmandu", 504901800, 19800, 20700 },
		{ "Europe/London", 57722400, 3600, 0 },
	};

	for (size_t i = 0; i < N(rows); i++) {
		const struct zone *zone = zones_find(&zones, rows[i].name);

		if (!zone)
			skip();
		if (zone_offset_at(zone, rows[i].at_s - 1) != rows[i].before ||
		    zone_offset_at(zone, rows[i].at_s) != rows[i].after)
			fail_msg("%s at %lld: %d, %d", rows[i].name, (long long)rows[i].at_s,
				 zone_offset_at(zone, rows[i].at_s - 1), zone_offset_at(zone, rows[i].at_s));
	}
}

static void test_from_local(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int32_t year, month, day, hour, minute;
		enum zone_local_kind kind;
		int64_t first, second;
	} rows[] = {
		{ "Europe/Berlin", 2026, 3, 29, 1, 59, ZONE_LOCAL_ONCE, 1774745940, 0 },
		{ "Europe/Berlin", 2026, 3, 29, 2, 0, ZONE_LOCAL_NEVER, 1774746000, 0 },
		{ "Europe/Berlin", 2026, 3, 29, 2, 59, ZONE_LOCAL_NEVER, 1774746000, 0 },
		{ "Europe/Berlin", 2026, 3, 29, 3, 0, ZONE_LOCAL_ONCE, 1774746000, 0 },
		{ "Europe/Berlin", 2026, 10, 25, 1, 59, ZONE_LOCAL_ONCE, 1792886340, 0 },
		{ "Europe/Berlin", 2026, 10, 25, 2, 0, ZONE_LOCAL_TWICE, 1792886400, 1792890000 },
		{ "Europe/Berlin", 2026, 10, 25, 2, 59, ZONE_LOCAL_TWICE, 1792889940, 1792893540 },
		{ "Europe/Berlin", 2026, 10, 25, 3, 0, ZONE_LOCAL_ONCE, 1792893600, 0 },
		{ "Australia/Lord_Howe", 2026, 4, 5, 1, 45, ZONE_LOCAL_TWICE, 1775313900, 1775315700 },
		{ "Pacific/Apia", 2011, 12, 30, 12, 0, ZONE_LOCAL_NEVER, 1325239200, 0 },
		{ "America/Sao_Paulo", 2018, 11, 4, 0, 30, ZONE_LOCAL_NEVER, 1541300400, 0 },
	};

	for (size_t i = 0; i < N(rows); i++) {
		const struct zone *zone = zones_find(&zones, rows[i].name);
		int64_t first = 0, second = 0;

		if (!zone)
			skip();

		enum zone_local_kind kind = zone_from_local(
			zone, seconds(rows[i].year, rows[i].month, rows[i].day, rows[i].hour, rows[i].minute), &first,
			&second);

		if (kind != rows[i].kind || first != rows[i].first || second != rows[i].second)
			fail_msg("row %zu: %d %lld %lld", i, kind, (long long)first, (long long)second);
	}
}

static void test_leap_second_files_are_refused(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	struct str bytes = zone_file_read(&arena, "right/Europe/Dublin");

	if (bytes.p)
		assert_null(zone_read(&arena, bytes));
	arena_release(&arena);
}

/* Whatever the bytes were: spans join without holes, offsets are sane, local readings are found again. */
static void check_sane(const struct zone *zone)
{
	int64_t at = -INT64_C(5000000000);

	for (int i = 0; i < 300; i++) {
		struct zone_span span = zone_span_at(zone, at);
		int64_t first, second;

		assert_true(span.from_s <= at && at < span.until_s);
		assert_in_range(span.offset_s + 100000, 100000 + ZONE_OFFSET_S_MIN, 100000 + ZONE_OFFSET_S_MAX);
		if (zone_from_local(zone, at + span.offset_s, &first, &second) == ZONE_LOCAL_NEVER)
			fail_msg("%lld is not found again", (long long)at);
		if (span.until_s >= INT64_C(253402300800))
			break;
		assert_int_equal(zone_span_at(zone, span.until_s).from_s, span.until_s);
		at = span.until_s;
	}
}

static void test_damaged_files(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	struct str good = zone_file_read(&arena, "Asia/Gaza");
	uint64_t x = 88172645463325252;
	int taken = 0;

	if (!good.p)
		skip();
	for (size_t n = 0; n < good.n; n++) {
		/* A copy of exactly n bytes, so that reading beyond them is seen. */
		char *cut = malloc(n + 1);
		struct arena own = { 0 };

		memcpy(cut, good.p, n);
		cut = realloc(cut, n ? n : 1);
		if (zone_read(&own, (struct str){ cut, n }))
			fail_msg("%zu of %zu bytes are taken", n, good.n);
		arena_release(&own);
		free(cut);
	}
	for (int i = 0; i < 4000; i++) {
		char *copy = malloc(good.n);
		struct arena own = { 0 };

		memcpy(copy, good.p, good.n);
		for (int changes = 1 + i % 4; changes > 0; changes--) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;

			/* The heads and the footer matter most. */
			size_t places[] = { x % good.n, x % 48, good.n - 1 - x % 34, 44 + x % 3000 % good.n % 2000 };

			copy[places[x >> 40 & 3] % good.n] = (char)(x >> 50);
		}

		const struct zone *zone = zone_read(&own, (struct str){ copy, good.n });

		free(copy);
		if (zone) {
			check_sane(zone);
			taken++;
		}
		arena_release(&own);
	}
	/* Otherwise the test looked at nothing. */
	assert_in_range(taken, 100, 3900);
	arena_release(&arena);
}

/* Rules that make no sense, such as summer time that ends after it began again, still give a sane zone. */
static void test_senseless_rules(void **state)
{
	static const char *const footers[] = { "ABC0DEF,0/0,J365/30", "ABC0DEF,J365/167,0/-167",
					       "ABC0DEF,10/0,10/0",   "ABC0DEF,10/0,10/1",
					       "ABC24DEF-24,0,J365",  "ABC0DEF0,M3.2.0,M11.1.0" };
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < N(footers); i++) {
		const struct zone *zone = build_rule(&arena, footers[i]);

		assert_non_null(zone);
		check_sane(zone);
	}
	arena_release(&arena);
}

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		bool plausible;
	} rows[] = {
		{ "UTC", true },
		{ "Europe/Dublin", true },
		{ "America/Argentina/Buenos_Aires", true },
		{ "Etc/GMT+12", true },
		{ "Etc/GMT-14", true },
		{ "GMT0", true },
		{ "", false },
		{ "/", false },
		{ "/etc/passwd", false },
		{ "Europe/", false },
		{ "Europe//Dublin", false },
		{ "..", false },
		{ "../../etc/passwd", false },
		{ "Europe/../Europe/Dublin", false },
		{ "./UTC", false },
		{ "zone1970.tab", false },
		{ "Europe/Dublin ", false },
		{ "Europe\\Dublin", false },
		{ "Euro\xC3\xA9", false },
		{ "A123456789B123456789C123456789D123456789E123456789F123456789G123456789H123456789I123456789J12345678",
		  true },
		{ "A123456789B123456789C123456789D123456789E123456789F123456789G123456789H123456789I123456789J1234567890A",
		  false },
	};

	for (size_t i = 0; i < N(rows); i++)
		if (zone_name_is_plausible(str_from(rows[i].name)) != rows[i].plausible)
			fail_msg("%s", rows[i].name);
	assert_false(zone_name_is_plausible((struct str){ "UTC\0", 4 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_built),	      cmocka_unit_test(test_refused_files),
		cmocka_unit_test(test_footers),	      cmocka_unit_test(test_rules),
		cmocka_unit_test(test_utc),	      cmocka_unit_test(test_real_zones),
		cmocka_unit_test(test_from_local),    cmocka_unit_test(test_leap_second_files_are_refused),
		cmocka_unit_test(test_damaged_files), cmocka_unit_test(test_senseless_rules),
		cmocka_unit_test(test_names),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	arena_release(&zones.arena);
	return failed;
}
