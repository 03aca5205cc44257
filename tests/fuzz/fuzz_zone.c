/* SPDX-License-Identifier: BSD-3-Clause */
/* Zone files of any bytes: refused, or a zone whose offsets are in bounds, whose changes strictly increase and do
 * change the offset, whose clock can be read both ways, and in which cron entries strictly advance. */
#include "fuzz.h"

#include "core/cron.h"

enum { CHANGES_MAX = 400, READINGS = 16, FIRES = 12, MEMORY_FACTOR = 40 };

#define YEAR_0_S INT64_C(-62167219200)
#define UNIX_S_MIN (WALL_US_MIN / US_PER_SECOND)
#define UNIX_S_MAX (WALL_US_MAX / US_PER_SECOND)

static void check_span(const struct zone *zone, int64_t unix_s)
{
	struct zone_span span = zone_span_at(zone, unix_s);

	assert(span.from_s <= unix_s && (unix_s < span.until_s || span.until_s == INT64_MAX));
	assert(span.offset_s >= ZONE_OFFSET_S_MIN && span.offset_s <= ZONE_OFFSET_S_MAX);
	assert(zone_offset_at(zone, unix_s) == span.offset_s);
	if (span.until_s != INT64_MAX) {
		struct zone_span after = zone_span_at(zone, span.until_s);

		assert(after.from_s == span.until_s && after.offset_s != span.offset_s);
	}
	if (span.from_s != INT64_MIN) {
		struct zone_span before = zone_span_at(zone, span.from_s - 1);

		assert(before.until_s == span.from_s && before.offset_s != span.offset_s);
	}
}

static void check_changes(const struct zone *zone, int64_t from_s)
{
	int64_t at = from_s, next;

	for (unsigned i = 0; i < CHANGES_MAX && zone_next_change(zone, at, &next); i++) {
		assert(next > at && next <= UNIX_S_MAX);
		assert(zone_offset_at(zone, next) != zone_offset_at(zone, next - 1));
		assert(zone_offset_at(zone, at) == zone_offset_at(zone, next - 1));
		check_span(zone, next);
		at = next;
	}
}

/* What a reading stands for shows that reading. */
static void check_reading(const struct zone *zone, int64_t local_s)
{
	int64_t first = INT64_MIN, second = INT64_MIN;

	switch (zone_from_local(zone, local_s, &first, &second)) {
	case ZONE_LOCAL_TWICE:
		assert(second > first && second + zone_offset_at(zone, second) == local_s);
		assert(first + zone_offset_at(zone, first) == local_s);
		break;
	case ZONE_LOCAL_ONCE:
		assert(first + zone_offset_at(zone, first) == local_s);
		break;
	case ZONE_LOCAL_NEVER:
		assert(first + zone_offset_at(zone, first) > local_s);
		assert(first - 1 + zone_offset_at(zone, first - 1) < local_s);
		break;
	}
}

/* Near a change, where it matters. */
static void check_readings(const struct zone *zone, struct fuzz_input *in, int64_t from_s)
{
	int64_t at = from_s, next;

	for (unsigned i = 0; i < READINGS; i++) {
		int64_t aside = fuzz_take_between(in, -100000, 100000), local_s;

		if (zone_next_change(zone, at, &next))
			at = next;
		local_s = at + aside;
		if (local_s >= YEAR_0_S && local_s <= UNIX_S_MAX)
			check_reading(zone, local_s);
	}
}

static void check_cron(const struct zone *zone, const char *entry, struct wall after)
{
	struct cron_problem problem;
	struct wall before = after, at, found;
	struct cron cron;
	uint64_t n = 0;

	assert(cron_parse(str_from(entry), 0, &cron, &problem));
	for (; n < FIRES && cron_next(&cron, zone, before, &at); n++) {
		assert(wall_is_after(at, before) && cron_previous(&cron, zone, at, &found) && found.us == at.us);
		assert(cron_count(&cron, zone, before, at) == 1);
		before = at;
	}
	assert(cron_count(&cron, zone, after, before) == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	int64_t from_s = fuzz_take_between(&in, UNIX_S_MIN, UNIX_S_MAX), now_s = fuzz_take_between(&in, 0, 4200000000);
	struct str bytes = fuzz_rest(&in);
	size_t before = fuzz_memory_bytes();
	struct arena arena = { 0 };
	const struct zone *zone = zone_read(&arena, bytes);

	fuzz_check_memory(before, bytes.n, MEMORY_FACTOR);
	fuzz_free(bytes); /* nothing of it is kept */
	if (zone) {
		check_span(zone, from_s);
		check_span(zone, INT64_MIN);
		check_span(zone, INT64_MAX / 4);
		check_changes(zone, UNIX_S_MIN - 1);
		check_changes(zone, from_s);
		check_readings(zone, &in, from_s);
		check_readings(zone, &in, now_s);
		check_cron(zone, "30 2 * * *", (struct wall){ now_s * US_PER_SECOND });
		check_cron(zone, "*/20 * * * *", (struct wall){ now_s * US_PER_SECOND });
		check_cron(zone, "7 1,2,3 L * sun#1", (struct wall){ now_s * US_PER_SECOND });
	}
	arena_release(&arena);
	return 0;
}
