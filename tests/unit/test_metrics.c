/* SPDX-License-Identifier: BSD-3-Clause */
/* The metrics page: its values, its units, and that every line has the form that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/metrics.h"

enum { PAGE_BYTES_MAX = 1 << 16 };

/* The text behind "name " at the start of a line; absent when no line starts so. */
static struct str find(struct str page, const char *name)
{
	while (page.p) {
		struct str line = str_split(page, '\n', &page);

		if (str_starts_with(line, str_from(name)) && line.n > strlen(name) && line.p[strlen(name)] == ' ')
			return str_slice(line, strlen(name) + 1, line.n);
	}
	return (struct str){ NULL, 0 };
}

static void expect(struct str page, const char *name, const char *want)
{
	struct str got = find(page, name);

	if (!got.p || !str_equal(got, str_from(want)))
		fail_msg("%s is \"%.*s\", not \"%s\"", name, STR_ARG(got), want);
}

static struct str render(struct buf *page)
{
	buf_init(page, PAGE_BYTES_MAX);
	metrics_render(page);
	assert_false(page->failed);
	return buf_str(page);
}

static void expect_values(void **state)
{
	(void)state;
	struct buf buf;

	metric_add(METRIC_FIRES_DELIVERED, 3);
	metric_add(METRIC_FIRES_DELIVERED, 4);
	metric_set(METRIC_INFLIGHT, 9);
	metric_add(METRIC_INFLIGHT, -2);
	metric_set(METRIC_OLDEST_DUE_AGE_US, 1500000);
	metric_set(METRIC_LOOP_LAG_US, 20);
	assert_int_equal(metric_get(METRIC_FIRES_DELIVERED), 7);
	struct str page = render(&buf);

	expect(page, "seed_fires_total{outcome=\"delivered\"}", "7");
	expect(page, "seed_fires_total{outcome=\"failed\"}", "0");
	expect(page, "seed_inflight_requests", "7");
	expect(page, "seed_oldest_due_age_seconds", "1.500000");
	expect(page, "seed_loop_lag_seconds", "0.000020");
	buf_release(&buf);
}

static void expect_histogram(void **state)
{
	(void)state;
	static const int64_t samples_us[] = { -5, 0, 50, 51, 1000, 1001, 60000000, 60000001 };
	struct buf buf;

	for (size_t i = 0; i < sizeof samples_us / sizeof *samples_us; i++)
		histogram_observe_us(HISTOGRAM_FIRE_LAG, samples_us[i]);
	struct str page = render(&buf);

	expect(page, "seed_fire_lag_seconds_bucket{le=\"5e-05\"}", "3");
	expect(page, "seed_fire_lag_seconds_bucket{le=\"0.0001\"}", "4");
	expect(page, "seed_fire_lag_seconds_bucket{le=\"0.0005\"}", "4");
	expect(page, "seed_fire_lag_seconds_bucket{le=\"0.001\"}", "5");
	expect(page, "seed_fire_lag_seconds_bucket{le=\"0.0025\"}", "6");
	expect(page, "seed_fire_lag_seconds_bucket{le=\"30\"}", "6");
	expect(page, "seed_fire_lag_seconds_bucket{le=\"60\"}", "7");
	expect(page, "seed_fire_lag_seconds_bucket{le=\"+Inf\"}", "8");
	expect(page, "seed_fire_lag_seconds_count", "8");
	expect(page, "seed_fire_lag_seconds_sum", "120.002103");
	expect(page, "seed_attempt_duration_seconds_count", "0");
	buf_release(&buf);
}

static void expect_versions(void **state)
{
	(void)state;
	struct buf buf;
	struct str page = render(&buf);

	expect(page, "seed_build_info{version=\"" SEED_VERSION "\"}", "1");
	assert_null(strstr(page.p, "seed_tzdata_info"));
	buf_release(&buf);
	metrics_set_tzdata_version("2024a\"\\\n}");
	expect(render(&buf), "seed_tzdata_info{version=\"2024a___}\"}", "1");
	buf_release(&buf);
	metrics_set_tzdata_version("2025b");
	expect(render(&buf), "seed_tzdata_info{version=\"2025b\"}", "1");
	buf_release(&buf);
}

static double number(struct str page, const char *name)
{
	struct str text = find(page, name);
	char zero_terminated[40];

	if (!text.p)
		fail_msg("no %s", name);
	snprintf(zero_terminated, sizeof zero_terminated, "%.*s", STR_ARG(text));
	return strtod(zero_terminated, NULL);
}

static void expect_process(void **state)
{
	(void)state;
	struct buf buf;
	struct str page = render(&buf);
	double resident = number(page, "process_resident_memory_bytes"), open_fds = number(page, "process_open_fds");
	double started = number(page, "process_start_time_seconds"), now = (double)time(NULL);

	assert_true(resident > 100000 && number(page, "process_virtual_memory_bytes") > resident);
	assert_true(open_fds >= 3 && open_fds < number(page, "process_max_fds"));
	assert_true(number(page, "process_cpu_seconds_total") >= 0);
	assert_true(started > now - 600 && started < now + 2);
	FILE *file = fopen("/dev/null", "r");
	struct buf again;

	assert_non_null(file);
	page = render(&again);
	assert_true(number(page, "process_open_fds") == open_fds + 1);
	assert_true(number(page, "process_start_time_seconds") == started);
	fclose(file);
	buf_release(&again);
	buf_release(&buf);
}

static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && s.p[i] != '_')
			return false;
	return s.n > 0;
}

/* HELP, then TYPE, then only lines of that name; no name comes back. */
static void expect_form(void **state)
{
	(void)state;
	struct buf buf;
	struct str page = render(&buf), rest = page, name = { NULL, 0 };
	size_t heads_n = 0;

	assert_true(str_ends_with(page, STR("\n")));
	while (rest.n) {
		struct str line = str_split(rest, '\n', &rest);

		if (str_starts_with(line, STR("# HELP "))) {
			struct str help, type, before = str_slice(page, 0, (size_t)(line.p - page.p));

			name = str_split(str_slice(line, 7, line.n), ' ', &help);
			assert_true(is_name(name) && help.n > 5);
			line = str_split(rest, '\n', &rest);
			assert_true(str_starts_with(line, STR("# TYPE ")));
			assert_true(str_equal(str_split(str_slice(line, 7, line.n), ' ', &type), name));
			assert_true(str_equal(type, STR("counter")) == str_ends_with(name, STR("_total")));
			while (before.n) {
				struct str old = str_split(before, '\n', &before), old_rest;

				assert_false(old.p[0] != '#' && str_equal(str_split(old, ' ', &old_rest), name));
			}
			heads_n++;
			continue;
		}
		assert_true(str_starts_with(line, name));
		assert_true(line.n > name.n && strchr("_{ ", line.p[name.n]));
		assert_true(str_find(line, ' ') < line.n);
	}
	assert_true(heads_n > 20);
	buf_release(&buf);
}

static void *on_thread(void *ctx)
{
	(void)ctx;
	for (int i = 0; i < 10000; i++) {
		metric_add(METRIC_CLOCK_STEPS, 1);
		histogram_observe_us(HISTOGRAM_STORE_COMMIT, 2);
	}
	return NULL;
}

static void expect_no_count_lost(void **state)
{
	(void)state;
	pthread_t threads[4];
	struct buf buf;

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, on_thread, NULL), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	struct str page = render(&buf);

	expect(page, "seed_clock_steps_total", "40000");
	expect(page, "seed_store_commit_seconds_count", "40000");
	expect(page, "seed_store_commit_seconds_sum", "0.080000");
	buf_release(&buf);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expect_values),   cmocka_unit_test(expect_histogram),
		cmocka_unit_test(expect_versions), cmocka_unit_test(expect_process),
		cmocka_unit_test(expect_form),	   cmocka_unit_test(expect_no_count_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
