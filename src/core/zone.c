/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads TZif files into a table of offset changes and answers from that table alone.
 *
 * The rule of the footer ("EST5EDT,M3.2.0,M11.1.0") is written out into the table for 400 years: the calendar repeats
 * after 146,097 days, which are whole weeks, so every later instant has the offset of one inside the table. Damaged
 * files, of any bytes at all, are refused as a whole. Invariant: changes strictly increase in time, and each changes
 * the offset. */
#include "core/zone.h"

#include <assert.h>
#include <string.h>

#include "core/civil.h"

#define YEARS_PER_CYCLE 400
/* A rule may change the offset in leap years only, which lie up to eight years apart. */
#define YEARS_APART 10
#define CYCLE_S (INT64_C(146097) * 86400)
#define UNIX_S_MIN (WALL_US_MIN / US_PER_SECOND)
#define UNIX_S_MAX (WALL_US_MAX / US_PER_SECOND)

enum { HEADER_BYTES = 44, TYPE_BYTES = 6, FOOTER_BYTES_MAX = 256, NAME_BYTES_MAX = 100 };

struct change {
	int64_t at_s;
	int64_t offset_s; /* from then on */
};

struct zone {
	const struct change *changes;
	size_t changes_n;
	int32_t first_offset_s; /* before the first change */
	int64_t cycle_from_s; /* from here on an instant has the offset of the one CYCLE_S before; INT64_MAX = never */
};

const struct zone *zone_utc(void)
{
	static const struct zone utc = { .cycle_from_s = INT64_MAX };

	return &utc;
}

/* ---- The footer: a POSIX TZ rule ---- */

enum rule_day_kind { RULE_DAY_JULIAN, RULE_DAY_ZERO_BASED, RULE_DAY_MONTH };

struct rule_day {
	enum rule_day_kind kind;
	int32_t month, week, day; /* of RULE_DAY_MONTH; the others only have `day` */
	int32_t time_s;		  /* on the clock in force before the change; may be negative or beyond a day */
};

struct rule {
	int32_t standard_s, summer_s;
	bool has_summer;
	struct rule_day start, end;
};

/* Eats a decimal number of at most three digits. */
static bool eat_number(struct str *s, int32_t max, int32_t *value)
{
	size_t digits = 0;

	*value = 0;
	while (digits < s->n && digits < 3 && s->p[digits] >= '0' && s->p[digits] <= '9')
		*value = *value * 10 + (s->p[digits++] - '0');
	*s = str_slice(*s, digits, s->n);
	return digits > 0 && *value <= max;
}

static bool eat_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_slice(*s, 1, s->n);
	return true;
}

/* [+-]hh[:mm[:ss]] */
static bool eat_time(struct str *s, int32_t hours_max, int32_t *seconds)
{
	bool negative = eat_char(s, '-');
	int32_t hour, minute = 0, second = 0;

	if (!negative)
		eat_char(s, '+');
	if (!eat_number(s, hours_max, &hour))
		return false;
	if (eat_char(s, ':')) {
		if (!eat_number(s, 59, &minute))
			return false;
		if (eat_char(s, ':') && !eat_number(s, 59, &second))
			return false;
	}
	*seconds = (negative ? -1 : 1) * (hour * 3600 + minute * 60 + second);
	return true;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "CET" or "<+03>"; what it says does not matter to us. */
static bool eat_abbreviation(struct str *s)
{
	bool quoted = eat_char(s, '<');
	size_t n = 0;

	while (n < s->n && (is_letter(s->p[n]) || (quoted && (is_digit(s->p[n]) || s->p[n] == '+' || s->p[n] == '-'))))
		n++;
	*s = str_slice(*s, n, s->n);
	return n >= 3 && (!quoted || eat_char(s, '>'));
}

static bool eat_rule_day(struct str *s, struct rule_day *day)
{
	*day = (struct rule_day){ .kind = RULE_DAY_ZERO_BASED, .time_s = 2 * 3600 };
	if (!eat_char(s, ','))
		return false;
	if (eat_char(s, 'M')) {
		day->kind = RULE_DAY_MONTH;
		if (!eat_number(s, 12, &day->month) || day->month < 1 || !eat_char(s, '.') ||
		    !eat_number(s, 5, &day->week) || day->week < 1 || !eat_char(s, '.') || !eat_number(s, 6, &day->day))
			return false;
	} else {
		if (eat_char(s, 'J'))
			day->kind = RULE_DAY_JULIAN;
		if (!eat_number(s, 365, &day->day) || (day->kind == RULE_DAY_JULIAN && day->day < 1))
			return false;
	}
	return !eat_char(s, '/') || eat_time(s, 167, &day->time_s);
}

static bool rule_parse(struct str s, struct rule *rule)
{
	*rule = (struct rule){ 0 };
	if (!eat_abbreviation(&s) || !eat_time(&s, 24, &rule->standard_s))
		return false;
	/* POSIX counts west of Greenwich. */
	rule->standard_s = -rule->standard_s;
	if (s.n == 0)
		return true;
	rule->has_summer = true;
	if (!eat_abbreviation(&s))
		return false;
	rule->summer_s = rule->standard_s + 3600;
	if (s.n > 0 && s.p[0] != ',') {
		if (!eat_time(&s, 24, &rule->summer_s))
			return false;
		rule->summer_s = -rule->summer_s;
	}
	return eat_rule_day(&s, &rule->start) && eat_rule_day(&s, &rule->end) && s.n == 0;
}

static int64_t rule_days(const struct rule_day *rule, int32_t year)
{
	if (rule->kind == RULE_DAY_ZERO_BASED)
		return civil_to_days(year, 1, 1) + rule->day;
	/* February 29 is never counted. */
	if (rule->kind == RULE_DAY_JULIAN)
		return civil_to_days(year, 1, 1) + rule->day - 1 +
		       (rule->day >= 60 && civil_days_in_month(year, 2) == 29);

	int64_t first = civil_to_days(year, rule->month, 1);
	int32_t day = (rule->day - civil_weekday(first) + 7) % 7 + 7 * (rule->week - 1);

	return first + (day < civil_days_in_month(year, rule->month) ? day : day - 7);
}

/* The two changes of a year in the order of time; summer wins a tie, so that summer time can last all year. */
static void rule_changes(const struct rule *rule, int32_t year, struct change pair[2])
{
	struct change start = { rule_days(&rule->start, year) * 86400 + rule->start.time_s - rule->standard_s,
				rule->summer_s };
	struct change end = { rule_days(&rule->end, year) * 86400 + rule->end.time_s - rule->summer_s,
			      rule->standard_s };
	bool summer_first = start.at_s < end.at_s;

	pair[0] = summer_first ? start : end;
	pair[1] = summer_first ? end : start;
}

/* ---- The file ---- */

static uint32_t read_u32(const char *p)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value = value << 8 | (unsigned char)p[i];
	return value;
}

static int32_t read_i32(const char *p)
{
	uint32_t value = read_u32(p);

	return (int32_t)value;
}

static int64_t read_i64(const char *p)
{
	uint64_t value = (uint64_t)read_u32(p) << 32 | read_u32(p + 4);

	return (int64_t)value;
}

/* One data block with its header. */
struct block {
	char version;
	size_t time_bytes; /* of one instant: 4 in the first block, 8 in the second */
	size_t times_n, types_n, abbreviations_bytes, leaps_n, standard_flags_n, utc_flags_n;
	const char *times, *type_of_time, *types;
};

/* Cuts one block off *bytes and checks that it lies within. */
static bool eat_block(struct str *bytes, size_t time_bytes, struct block *block)
{
	if (bytes->n < HEADER_BYTES || memcmp(bytes->p, "TZif", 4) != 0)
		return false;

	const char *counts = bytes->p + 20;

	*block = (struct block){
		.version = bytes->p[4],
		.time_bytes = time_bytes,
		.utc_flags_n = read_u32(counts),
		.standard_flags_n = read_u32(counts + 4),
		.leaps_n = read_u32(counts + 8),
		.times_n = read_u32(counts + 12),
		.types_n = read_u32(counts + 16),
		.abbreviations_bytes = read_u32(counts + 20),
	};

	/* No overflow: seven numbers below 2^32, times 13 at most, in 64 bits. */
	uint64_t n = (uint64_t)block->times_n * (time_bytes + 1) + (uint64_t)block->types_n * TYPE_BYTES +
		     block->abbreviations_bytes + (uint64_t)block->leaps_n * (time_bytes + 4) +
		     block->standard_flags_n + block->utc_flags_n;

	if (n > bytes->n - HEADER_BYTES || block->types_n == 0)
		return false;
	block->times = bytes->p + HEADER_BYTES;
	block->type_of_time = block->times + block->times_n * time_bytes;
	block->types = block->type_of_time + block->times_n;
	*bytes = str_slice(*bytes, HEADER_BYTES + (size_t)n, bytes->n);
	return true;
}

/* What lies between the two line feeds behind the second block; may be empty. */
static bool eat_footer(struct str *bytes, struct str *footer)
{
	if (!eat_char(bytes, '\n'))
		return false;
	*footer = str_slice(*bytes, 0, str_find(*bytes, '\n'));
	return footer->n < bytes->n && footer->n <= FOOTER_BYTES_MAX;
}

/* The table while it grows. */
struct table {
	struct change *changes;
	size_t n, room;
	int64_t first_offset_s;
};

static int64_t table_last_offset(const struct table *table)
{
	return table->n ? table->changes[table->n - 1].offset_s : table->first_offset_s;
}

/* Adds a change behind all others. One that changes nothing is passed over; at the same instant the later call wins. */
static void table_add(struct table *table, struct change change)
{
	if (table->n > 0 && change.at_s < table->changes[table->n - 1].at_s)
		return;
	if (table->n > 0 && change.at_s == table->changes[table->n - 1].at_s)
		table->n--;
	if (change.offset_s == table_last_offset(table))
		return;
	assert(table->n < table->room);
	table->changes[table->n++] = change;
}

static bool offset_is_sane(int64_t offset_s)
{
	return offset_s >= ZONE_OFFSET_S_MIN && offset_s <= ZONE_OFFSET_S_MAX;
}

/* The explicit changes of the file. Those before year 1 only tell what offset year 1 begins with, those after 9999
 * nothing. */
static bool table_add_block(struct table *table, const struct block *block)
{
	int64_t previous = INT64_MIN;

	for (size_t i = 0; i < block->types_n; i++)
		if (!offset_is_sane(read_i32(block->types + i * TYPE_BYTES)))
			return false;
	table->first_offset_s = read_i32(block->types);
	for (size_t i = 0; i < block->times_n; i++) {
		const char *p = block->times + i * block->time_bytes;
		int64_t at_s = block->time_bytes == 8 ? read_i64(p) : read_i32(p);
		size_t type = (unsigned char)block->type_of_time[i];

		if (type >= block->types_n || (i > 0 && at_s <= previous))
			return false;
		previous = at_s;

		int64_t offset_s = read_i32(block->types + type * TYPE_BYTES);

		if (at_s < UNIX_S_MIN)
			table->first_offset_s = offset_s;
		else if (at_s <= UNIX_S_MAX)
			table_add(table, (struct change){ at_s, offset_s });
	}
	return true;
}

/* Writes the rule out behind the explicit changes; returns the instant from which the table repeats. */
static int64_t table_add_rule(struct table *table, const struct rule *rule, const struct block *block)
{
	int64_t last_s = table->n ? table->changes[table->n - 1].at_s : 0;

	/* The file's last instant may be one that keeps the offset and is no row of the table: the rule begins behind
	 * it. */
	if (block->times_n > 0) {
		const char *p = block->times + (block->times_n - 1) * block->time_bytes;
		int64_t at_s = read_i64(p);

		if (at_s > last_s && at_s <= UNIX_S_MAX)
			last_s = at_s;
	}
	if (!rule->has_summer) {
		if (block->times_n == 0)
			table->first_offset_s = rule->standard_s;
		return INT64_MAX;
	}

	int32_t first_year = civil_from_seconds(last_s).year;

	int32_t cycle_year = first_year + YEARS_APART + YEARS_PER_CYCLE;
	int64_t cycle_from_s = civil_to_days(cycle_year, 1, 1) * 86400;
	int64_t end_s = civil_to_days(cycle_year + YEARS_APART, 1, 1) * 86400;
	int64_t rule_only_s = civil_to_days(first_year + 2, 1, 1) * 86400;

	/* From the year before, because a rule's time of day may reach into the next year. Well before the cycle
	 * repeats itself and well behind its end there are changes of the rule alone, so that every repeated instant
	 * has its neighbours. */
	for (int32_t year = first_year - 1; year <= cycle_year + YEARS_APART; year++) {
		struct change pair[2];

		rule_changes(rule, year, pair);
		for (int i = 0; i < 2; i++)
			if (pair[i].at_s > last_s && pair[i].at_s < end_s)
				table_add(table, pair[i]);
	}
	/* Summer time all year, or none: nothing to repeat. */
	if (table->n == 0 || table->changes[table->n - 1].at_s < rule_only_s)
		return INT64_MAX;
	return cycle_from_s;
}

const struct zone *zone_read(struct arena *arena, struct str bytes)
{
	struct block block;
	struct str footer = { NULL, 0 };
	struct rule rule;

	if (!eat_block(&bytes, 4, &block))
		return NULL;
	if (block.version >= '2' && (!eat_block(&bytes, 8, &block) || !eat_footer(&bytes, &footer)))
		return NULL;
	if (block.leaps_n > 0)
		return NULL;
	if (footer.n > 0 && !rule_parse(footer, &rule))
		return NULL;

	struct table table = { .room = block.times_n + 2 * (YEARS_PER_CYCLE + 2 * YEARS_APART + 2) };

	table.changes = arena_alloc(arena, table.room * sizeof table.changes[0]);
	if (!table_add_block(&table, &block))
		return NULL;

	struct zone *zone = arena_alloc(arena, sizeof *zone);

	zone->cycle_from_s = footer.n > 0 ? table_add_rule(&table, &rule, &block) : INT64_MAX;
	zone->changes = table.changes;
	zone->changes_n = table.n;
	zone->first_offset_s = (int32_t)table.first_offset_s;
	return zone;
}

/* ---- Answers ---- */

/* How many changes lie at or before `unix_s`. */
static size_t changes_until(const struct zone *zone, int64_t unix_s)
{
	size_t low = 0, high = zone->changes_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (zone->changes[middle].at_s <= unix_s)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct zone_span zone_span_at(const struct zone *zone, int64_t unix_s)
{
	assert(unix_s <= INT64_MAX / 2);

	int64_t shift = 0;

	if (unix_s >= zone->cycle_from_s)
		shift = ((unix_s - zone->cycle_from_s) / CYCLE_S + 1) * CYCLE_S;

	size_t n = changes_until(zone, unix_s - shift);
	struct zone_span span = { INT64_MIN, INT64_MAX, zone->first_offset_s };

	if (n > 0) {
		span.from_s = zone->changes[n - 1].at_s + shift;
		span.offset_s = (int32_t)zone->changes[n - 1].offset_s;
	}
	if (n < zone->changes_n)
		span.until_s = zone->changes[n].at_s + shift;
	assert(span.from_s <= unix_s && (unix_s < span.until_s || span.until_s == INT64_MAX));
	return span;
}

int32_t zone_offset_at(const struct zone *zone, int64_t unix_s)
{
	return zone_span_at(zone, unix_s).offset_s;
}

bool zone_next_change(const struct zone *zone, int64_t unix_s, int64_t *at_unix_s)
{
	struct zone_span span = zone_span_at(zone, unix_s);

	if (span.until_s > UNIX_S_MAX)
		return false;
	*at_unix_s = span.until_s;
	return true;
}

enum zone_local_kind zone_from_local(const struct zone *zone, int64_t local_s, int64_t *first, int64_t *second)
{
	assert(local_s >= UNIX_S_MIN - 366 * 86400 && local_s <= UNIX_S_MAX);

	int64_t gap_end = INT64_MAX, at_s = local_s - ZONE_OFFSET_S_MAX;
	unsigned found = 0;

	/* Nothing before or after these bounds can read local_s. */
	while (at_s <= local_s - ZONE_OFFSET_S_MIN && found < 2) {
		struct zone_span span = zone_span_at(zone, at_s);
		int64_t candidate = local_s - span.offset_s;

		if (candidate >= span.from_s && candidate < span.until_s)
			*(found++ == 0 ? first : second) = candidate;
		/* The first span that begins beyond it: what was skipped ends here. */
		if (candidate < span.from_s && span.from_s < gap_end)
			gap_end = span.from_s;
		if (span.until_s == INT64_MAX)
			break;
		at_s = span.until_s;
	}
	if (found == 2)
		return ZONE_LOCAL_TWICE;
	if (found == 1)
		return ZONE_LOCAL_ONCE;
	assert(gap_end != INT64_MAX);
	*first = gap_end;
	return ZONE_LOCAL_NEVER;
}

static bool is_name_byte(char c)
{
	return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '+';
}

bool zone_name_is_plausible(struct str name)
{
	if (name.n == 0 || name.n > NAME_BYTES_MAX)
		return false;

	struct str rest = name;

	do {
		struct str part = str_split(rest, '/', &rest);

		if (part.n == 0)
			return false;
		for (size_t i = 0; i < part.n; i++)
			if (!is_name_byte(part.p[i]))
				return false;
	} while (rest.p);
	return true;
}
