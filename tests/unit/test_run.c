/* SPDX-License-Identifier: BSD-3-Clause */
/* The id of a run is fixed for ever: these vectors were computed with Python's hashlib and uuid modules. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/text.h"
#include "core/run.h"

static void test_vectors(void **state)
{
	static const uint8_t zeros[16];
	static const uint8_t low[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	static const uint8_t high[16] = { 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };
	static const struct {
		const uint8_t *installation, *schedule;
		int64_t planned_at_us;
		const char *text;
	} rows[] = {
		{ zeros, zeros, 0, "2c34ce1d-f23b-838c-9abf-2a7f6437cca3" },
		{ low, high, 1767323045000000, "3f71c114-15ee-8695-8186-fdece0ef2068" },
		{ low, high, 1767323045000001, "ccab3bc3-b5b3-8d92-ae6d-08bb3b3bf3d0" },
		{ low, high, WALL_US_MIN, "3906642e-4be9-8da6-ae85-0ae6f2d27e37" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t uuid[RUN_UUID_BYTES];
		char text[UUID_TEXT_BYTES];

		run_uuid(rows[i].installation, rows[i].schedule, (struct wall){ rows[i].planned_at_us }, uuid);
		uuid_format(uuid, text);
		assert_memory_equal(text, rows[i].text, UUID_TEXT_BYTES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors) };

	return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
