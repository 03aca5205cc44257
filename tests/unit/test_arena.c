/* SPDX-License-Identifier: BSD-3-Clause */
/* Arenas: zeroed, aligned, never overlapping, whatever the sizes; absent texts stay absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static bool is_zeroed(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static void expect_pieces(void **state)
{
	(void)state;
	static const size_t sizes[] = {
		0, 1, 2, 7, 8, 15, 16, 17, 100, 4080, 4095, 4096, 4097, 10000, 0, 3, 1000000, 1
	};
	enum { N = sizeof sizes / sizeof *sizes, ROUNDS = 20 };
	struct arena arena = { 0 };
	char *pieces[N * ROUNDS];

	for (size_t i = 0; i < N * ROUNDS; i++) {
		size_t n = sizes[i % N];

		pieces[i] = arena_alloc(&arena, n);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		assert_true(is_zeroed(pieces[i], n));
		memset(pieces[i], (int)(i % 251 + 1), n);
	}
	for (size_t i = 0; i < N * ROUNDS; i++)
		for (size_t at = 0; at < sizes[i % N]; at += 97)
			assert_int_equal((unsigned char)pieces[i][at], i % 251 + 1);
	arena_release(&arena);
	assert_null(arena.chunks);
	assert_true(is_zeroed(arena_alloc(&arena, 64), 64));
	arena_release(&arena);
	arena_release(&arena);
}

static void expect_first_piece_of_nothing(void **state)
{
	(void)state;
	struct arena arena = { 0 };

	assert_non_null(arena_alloc(&arena, 0));
	assert_ptr_not_equal(arena_alloc(&arena, 0), arena_alloc(&arena, 0));
	arena_release(&arena);
}

static void expect_copies(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	char bytes[] = { 'a', '\0', 'b' };
	struct str copy = arena_copy(&arena, (struct str){ bytes, sizeof bytes });

	bytes[0] = 'x';
	assert_int_equal(copy.n, 3);
	assert_memory_equal(copy.p, "a\0b", 4);
	copy = arena_copy(&arena, STR(""));
	assert_non_null(copy.p);
	assert_int_equal(copy.p[0], '\0');
	assert_null(arena_copy(&arena, (struct str){ NULL, 0 }).p);
	arena_release(&arena);
}

static void expect_printed(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	struct str text = arena_printf(&arena, "%d-%s", 7, "seven");

	assert_string_equal(text.p, "7-seven");
	assert_int_equal(text.n, 7);
	text = arena_printf(&arena, "%10000d", 1);
	assert_int_equal(text.n, 10000);
	assert_int_equal(strlen(text.p), 10000);
	text = arena_printf(&arena, "%s", "");
	assert_int_equal(text.n, 0);
	assert_string_equal(text.p, "");
	arena_release(&arena);
}

static void expect_plain_memory(void **state)
{
	(void)state;
	char *p = memory_new(100);

	assert_true(is_zeroed(p, 100));
	memset(p, 'x', 100);
	p = memory_resize(p, 10000);
	assert_int_equal(p[99], 'x');
	p = memory_resize(p, 0);
	assert_non_null(p);
	free(p);
	p = memory_new(0);
	assert_non_null(p);
	free(p);
	p = memory_resize(NULL, 5);
	assert_non_null(p);
	free(p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expect_pieces),       cmocka_unit_test(expect_first_piece_of_nothing),
		cmocka_unit_test(expect_copies),       cmocka_unit_test(expect_printed),
		cmocka_unit_test(expect_plain_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
