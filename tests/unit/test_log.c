/* SPDX-License-Identifier: BSD-3-Clause */
/* The log: whatever the bytes, a line is one JSON object, written at once; what repeats too fast is dropped and
 * counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"

static int stderr_kept, file = -1;

/* From here on stderr is a file. */
static void capture(void)
{
	char name[] = "/tmp/test_log_XXXXXX";

	file = mkstemp(name);
	assert_true(file >= 0);
	unlink(name);
	stderr_kept = dup(STDERR_FILENO);
	dup2(file, STDERR_FILENO);
}

/* What was written since capture(); stderr is what it was. */
static struct str end_capture(struct arena *arena)
{
	off_t n = lseek(file, 0, SEEK_END);
	char *bytes = arena_alloc(arena, (size_t)n + 1);

	dup2(stderr_kept, STDERR_FILENO);
	close(stderr_kept);
	assert_int_equal(pread(file, bytes, (size_t)n, 0), n);
	close(file);
	return (struct str){ bytes, (size_t)n };
}

/* The next line as JSON; NULL at the end. */
static const struct json *next_line(struct arena *arena, struct str *output)
{
	struct json_problem problem;
	struct str line = str_split(*output, '\n', output);

	if (!output->p) {
		assert_int_equal(line.n, 0);
		return NULL;
	}
	assert_true(line.n < 4096);
	const struct json *root = json_parse(arena, line, &problem);

	if (!root)
		fail_msg("%s in %.*s", problem.text, STR_ARG(line));
	assert_int_equal(root->type, JSON_OBJECT);
	return root;
}

static struct str member(const struct json *root, const char *name)
{
	const struct json *value = json_member(root, str_from(name));

	if (!value)
		return (struct str){ NULL, 0 };
	return value->type == JSON_STRING ? value->text : value->raw;
}

static void expect(const struct json *root, const char *name, struct str want)
{
	struct str got = member(root, name);

	if (!str_equal(got, want))
		fail_msg("%s is \"%.*s\", not \"%.*s\"", name, STR_ARG(got), STR_ARG(want));
}

static void expect_all_kinds(void **state)
{
	(void)state;
	static const uint8_t uuid[16] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
					  0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
	struct arena arena = { 0 };

	capture();
	log_event(LOG_WARN, "all_kinds", log_text("a", "text"), log_int("n", INT64_MIN), log_uuid("run_id", uuid),
		  log_wall("at", (struct wall){ INT64_C(1790000000123456) }), log_wall("before", (struct wall){ -1 }),
		  log_text("none", NULL));
	struct str output = end_capture(&arena);

	assert_true(str_starts_with(output, STR("{\"ts\":\"")));
	assert_non_null(strstr(
		output.p, "Z\",\"level\":\"warn\",\"event\":\"all_kinds\",\"a\":\"text\",\"n\":-9223372036854775808,"
			  "\"run_id\":\"01234567-89ab-cdef-0123-456789abcdef\",\"at\":\"2026-09-21T14:13:20.123456Z\","
			  "\"before\":\"1969-12-31T23:59:59.999999Z\",\"none\":null}\n"));
	const struct json *root = next_line(&arena, &output);

	assert_int_equal(member(root, "ts").n, strlen("2026-01-01T00:00:00.000000Z"));
	assert_null(next_line(&arena, &output));
	arena_release(&arena);
}

static void expect_levels(void **state)
{
	(void)state;
	struct arena arena = { 0 };

	capture();
	log_event(LOG_DEBUG, "levels", log_int("n", 0));
	log_event(LOG_INFO, "levels", log_int("n", 1));
	log_set_level(LOG_DEBUG);
	log_event(LOG_DEBUG, "levels", log_int("n", 2));
	log_set_level(LOG_ERROR);
	log_event(LOG_WARN, "levels", log_int("n", 3));
	log_event(LOG_ERROR, "levels", log_int("n", 4));
	log_set_level(LOG_INFO);
	struct str output = end_capture(&arena);
	static const char *const want[][2] = { { "info", "1" }, { "debug", "2" }, { "error", "4" } };

	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		const struct json *root = next_line(&arena, &output);

		assert_non_null(root);
		expect(root, "level", str_from(want[i][0]));
		expect(root, "n", str_from(want[i][1]));
	}
	assert_null(next_line(&arena, &output));
	arena_release(&arena);
}

static void expect_json_whatever_the_bytes(void **state)
{
	(void)state;
	static const struct str texts[] = {
		{ "a\nb\r\n{\"event\":\"forged\"}", 24 },	    { "\"\\\b\f\t\0\x01\x1b[31m\x7f", 13 },
		{ "\xff\xfe\xc3\x28\xed\xa0\x80\xf5", 8 },	    { "%s%n%p", 6 },
		{ "\xe2\x80\xae\xe2\x80\xa8\xf0\x9f\x98\x80", 10 }, { "", 0 },
	};
	struct arena arena = { 0 };

	capture();
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		log_event(LOG_INFO, "bytes", log_str("text", texts[i]), log_int("n", (int64_t)i));
	struct str output = end_capture(&arena);

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const struct json *root = next_line(&arena, &output);
		char digit = (char)('0' + i);

		assert_non_null(root);
		expect(root, "event", STR("bytes"));
		expect(root, "n", (struct str){ &digit, 1 });
		if (i != 2)
			expect(root, "text", texts[i]);
	}
	assert_null(next_line(&arena, &output));
	arena_release(&arena);
}

static void expect_long_texts_cut(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	char *ascii = arena_alloc(&arena, 100000), *euros = arena_alloc(&arena, 3000),
	     *zeros = arena_alloc(&arena, 2000);

	memset(ascii, 'a', 100000);
	for (size_t i = 0; i < 1000; i++)
		memcpy(euros + 3 * i, "\xe2\x82\xac", 3);
	capture();
	log_event(LOG_INFO, "long", log_str("text", (struct str){ ascii, 100000 }), log_int("n", 1));
	log_event(LOG_INFO, "long", log_str("text", (struct str){ ascii, 1024 }), log_int("n", 2));
	log_event(LOG_INFO, "long", log_str("text", (struct str){ euros, 3000 }), log_int("n", 3));
	log_event(LOG_INFO, "long", log_str("text", (struct str){ zeros, 2000 }), log_int("n", 4));
	struct str output = end_capture(&arena);
	const struct json *root = next_line(&arena, &output);

	assert_int_equal(member(root, "text").n, 1024 + 3);
	assert_true(str_ends_with(member(root, "text"), STR("aaa...")));
	expect(root, "n", STR("1"));
	root = next_line(&arena, &output);
	assert_int_equal(member(root, "text").n, 1024);
	root = next_line(&arena, &output);
	assert_int_equal(member(root, "text").n, 1023 + 3);
	assert_true(str_ends_with(member(root, "text"), STR("\xe2\x82\xac...")));
	assert_null(json_member(root, STR("cut")));
	root = next_line(&arena, &output); /* six bytes each: does not fit, but what follows does */
	assert_null(json_member(root, STR("text")));
	expect(root, "n", STR("4"));
	expect(root, "cut", STR("true"));
	arena_release(&arena);
}

static size_t count_lines(struct arena *arena, struct str output)
{
	size_t n = 0;

	while (next_line(arena, &output))
		n++;
	return n;
}

/* A second may end between two lines, so that up to twice as many are written; then there are enough of them for a
 * third. */
static struct str count_asking(const void *about)
{
	++*(int *)(uintptr_t)about;
	return STR("asked");
}

/* What is costly to find is found only for lines that are written. */
static void expect_asked_only_for_lines(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	int asked = 0;

	capture();
	for (int i = 0; i < 1000; i++)
		log_event(LOG_INFO, "asks", log_asked("text", count_asking, &asked));
	log_event(LOG_DEBUG, "asks not", log_asked("text", count_asking, &asked));
	struct str output = end_capture(&arena);

	assert_int_equal(asked, count_lines(&arena, output));
	assert_in_range(asked, 1, 2 * LOG_REPEATS_MAX);
	arena_release(&arena);
}

static void expect_repeats_dropped(void **state)
{
	(void)state;
	enum { REPEATS = 1000 };
	struct arena arena = { 0 };
	int64_t dropped_before = metric_get(METRIC_LOG_DROPPED);

	capture();
	for (int i = 0; i < REPEATS; i++)
		log_event(LOG_INFO, "repeats", log_int("n", i));
	log_event(LOG_INFO, "another", log_int("n", 0));
	struct str output = end_capture(&arena);
	size_t n = count_lines(&arena, output);

	assert_in_range(n, LOG_REPEATS_MAX + 1, 2 * LOG_REPEATS_MAX + 1);
	assert_int_equal(metric_get(METRIC_LOG_DROPPED) - dropped_before, REPEATS + 1 - n);
	assert_non_null(strstr(output.p, "another"));
	arena_release(&arena);
}

/* Waits, by logging, until the second is over: the first line of the new one tells how many were dropped before it. */
static void expect_dropped_count_told(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	int64_t dropped_before = metric_get(METRIC_LOG_DROPPED),
		deadline_us = clock_read().boot.us + 10 * US_PER_SECOND;

	capture();
	for (int64_t seen = -1; seen < 2;) {
		int64_t dropped = metric_get(METRIC_LOG_DROPPED);

		log_event(LOG_INFO, "told", log_int("n", 0));
		if (seen < 0 && dropped > dropped_before)
			seen = 0;
		else if (seen >= 0 && metric_get(METRIC_LOG_DROPPED) == dropped)
			seen++;
		assert_true(clock_read().boot.us < deadline_us);
	}
	int64_t dropped = metric_get(METRIC_LOG_DROPPED) - dropped_before;
	struct str output = end_capture(&arena);
	const struct json *root;
	int64_t told = 0, number;

	while ((root = next_line(&arena, &output))) {
		const struct json *value = json_member(root, STR("dropped"));

		if (value && json_to_i64(value, &number))
			told += number;
	}
	assert_true(dropped > 0);
	assert_int_equal(told, dropped);
	arena_release(&arena);
}

static void expect_many_names(void **state)
{
	(void)state;
	struct arena arena = { 0 };

	capture();
	for (int i = 0; i < 500; i++) {
		struct str name = arena_printf(&arena, "name_%d", i);

		log_event(LOG_INFO, name.p, log_int("n", i));
	}
	struct str output = end_capture(&arena);

	assert_int_equal(count_lines(&arena, output), 500);
	arena_release(&arena);
}

static void expect_closed_stderr_harmless(void **state)
{
	(void)state;
	int64_t dropped_before = metric_get(METRIC_LOG_DROPPED);

	stderr_kept = dup(STDERR_FILENO);
	close(STDERR_FILENO);
	log_event(LOG_INFO, "closed", log_int("n", 1));
	dup2(stderr_kept, STDERR_FILENO);
	close(stderr_kept);
	assert_int_equal(metric_get(METRIC_LOG_DROPPED), dropped_before + 1);
}

/* More lines than a pipe holds and nobody reads: they are dropped and counted. Once there is room, lines come again. */
static void expect_a_stuck_reader_harmless(void **state)
{
	static char text[1000], bytes[1 << 17];
	int ends[2], kept = dup(STDERR_FILENO);
	char event[16];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	int64_t dropped = metric_get(METRIC_LOG_DROPPED);
	struct boot began = clock_read().boot;

	for (int i = 0; i < 400; i++) {
		snprintf(event, sizeof event, "stuck_%d", i % 40);
		log_event(LOG_INFO, event, log_text("text", text));
	}
	int64_t took_us = boot_since_us(clock_read().boot, began);
	ssize_t n = read(ends[0], bytes, sizeof bytes);

	log_event(LOG_INFO, "read_again", log_int("n", 1));
	ssize_t last_n = read(ends[0], bytes, sizeof bytes);

	dup2(kept, STDERR_FILENO);
	close(kept);
	close(ends[0]);
	close(ends[1]);
	assert_true(n >= 32768 && n < 100000);
	assert_true(metric_get(METRIC_LOG_DROPPED) - dropped > 300);
	assert_true(took_us < US_PER_SECOND);
	assert_true(last_n > 0 && last_n < 200);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expect_all_kinds),
		cmocka_unit_test(expect_levels),
		cmocka_unit_test(expect_json_whatever_the_bytes),
		cmocka_unit_test(expect_long_texts_cut),
		cmocka_unit_test(expect_asked_only_for_lines),
		cmocka_unit_test(expect_repeats_dropped),
		cmocka_unit_test(expect_dropped_count_told),
		cmocka_unit_test(expect_many_names),
		cmocka_unit_test(expect_closed_stderr_harmless),
		cmocka_unit_test(expect_a_stuck_reader_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
