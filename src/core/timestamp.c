/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads and writes instants: ISO 8601 as the API takes it, the three forms of HTTP dates.
 *
 * A reader is a cursor that steps over what it recognises; after the first thing it does not recognise `failed` is set
 * and the cursor moves no more, so that a format is one list of steps with one look at the end. */
#include "core/timestamp.h"

#include <assert.h>
#include <string.h>

#include "core/civil.h"

struct reader {
	struct str rest;
	bool failed;
};

static bool reader_has(const struct reader *r, char c)
{
	return !r->failed && r->rest.n > 0 && r->rest.p[0] == c;
}

static bool reader_takes(struct reader *r, char c)
{
	if (!reader_has(r, c))
		return false;
	r->rest = str_slice(r->rest, 1, r->rest.n);
	return true;
}

static void reader_expect(struct reader *r, struct str text)
{
	if (r->failed || !str_starts_with(r->rest, text))
		r->failed = true;
	else
		r->rest = str_slice(r->rest, text.n, r->rest.n);
}

static bool reader_at_digit(const struct reader *r)
{
	return !r->failed && r->rest.n > 0 && r->rest.p[0] >= '0' && r->rest.p[0] <= '9';
}

/* At least `least` and at most `most` digits; what follows is not looked at. */
static int32_t reader_number(struct reader *r, unsigned least, unsigned most)
{
	int32_t value = 0;
	unsigned n = 0;

	assert(most <= 6);
	for (; n < most && reader_at_digit(r); n++) {
		value = value * 10 + (r->rest.p[0] - '0');
		r->rest = str_slice(r->rest, 1, r->rest.n);
	}
	if (n < least)
		r->failed = true;
	return value;
}

/* The index of the name that stands here, which is then stepped over. */
static int32_t reader_name(struct reader *r, const char *const *names, int32_t names_n)
{
	for (int32_t i = 0; i < names_n && !r->failed; i++) {
		struct str name = str_from(names[i]);

		if (str_starts_with(r->rest, name)) {
			r->rest = str_slice(r->rest, name.n, r->rest.n);
			return i;
		}
	}
	r->failed = true;
	return 0;
}

static bool reader_is_done(const struct reader *r)
{
	return !r->failed && r->rest.n == 0;
}

static bool civil_is_valid(const struct civil *c)
{
	return c->year >= 1 && c->year <= 9999 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
	       c->day <= civil_days_in_month(c->year, c->month) && c->hour <= 23 && c->minute <= 59 && c->second <= 59;
}

/* The digits behind the point, as microseconds. */
static int32_t read_fraction(struct reader *r)
{
	enum { DIGITS_KEPT = 6, DIGITS_DROPPED_MAX = 6 };
	size_t before = r->rest.n;
	int32_t us = reader_number(r, 1, DIGITS_KEPT);

	for (size_t digits = before - r->rest.n; digits < DIGITS_KEPT; digits++)
		us *= 10;
	reader_number(r, 0, DIGITS_DROPPED_MAX);
	return us;
}

/* Seconds east of UTC. */
static int32_t read_offset(struct reader *r)
{
	if (r->rest.n == 0 || reader_takes(r, 'Z'))
		return 0;

	bool west = reader_takes(r, '-');

	if (!west && !reader_takes(r, '+'))
		r->failed = true;

	int32_t hours = reader_number(r, 2, 2), minutes = 0;

	if (reader_takes(r, ':') || reader_at_digit(r))
		minutes = reader_number(r, 2, 2);
	if (hours > 23 || minutes > 59)
		r->failed = true;
	return (west ? -1 : 1) * (hours * 3600 + minutes * 60);
}

enum timestamp_verdict timestamp_parse(struct str text, struct wall *at)
{
	struct reader r = { .rest = text };
	struct civil c = { 0 };
	int32_t us = 0;

	c.year = reader_number(&r, 4, 4);
	reader_expect(&r, STR("-"));
	c.month = reader_number(&r, 1, 2);
	reader_expect(&r, STR("-"));
	c.day = reader_number(&r, 1, 2);
	if (!reader_takes(&r, 'T'))
		reader_expect(&r, STR(" "));
	c.hour = reader_number(&r, 1, 2);
	reader_expect(&r, STR(":"));
	c.minute = reader_number(&r, 1, 2);
	if (reader_takes(&r, ':')) {
		c.second = reader_number(&r, 1, 2);
		if (reader_takes(&r, '.'))
			us = read_fraction(&r);
	}

	int32_t offset_s = read_offset(&r);

	if (!reader_is_done(&r) || !civil_is_valid(&c))
		return TIMESTAMP_MALFORMED;

	int64_t all_us = (civil_to_seconds(&c) - offset_s) * US_PER_SECOND + us;

	if (all_us < WALL_US_MIN || all_us > WALL_US_MAX)
		return TIMESTAMP_OUT_OF_RANGE;
	at->us = all_us;
	return TIMESTAMP_OK;
}

static void put_pair(char *at, int32_t value)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
				    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
				    "8081828384858687888990919293949596979899";

	memcpy(at, pairs + 2 * value, 2);
}

enum fraction { FRACTION_IF_ANY, FRACTION_ALWAYS };

static void add(struct buf *buf, struct wall at, enum fraction fraction, struct str offset)
{
	assert(at.us >= WALL_US_MIN && at.us <= WALL_US_MAX);

	int32_t us = (int32_t)(at.us % US_PER_SECOND);

	if (us < 0)
		us += (int32_t)US_PER_SECOND;

	struct civil c = civil_from_seconds((at.us - us) / US_PER_SECOND);

	char text[] = "yyyy-mm-ddThh:mm:ss.uuuuuu";

	put_pair(text, c.year / 100);
	put_pair(text + 2, c.year % 100);
	put_pair(text + 5, c.month);
	put_pair(text + 8, c.day);
	put_pair(text + 11, c.hour);
	put_pair(text + 14, c.minute);
	put_pair(text + 17, c.second);
	put_pair(text + 20, us / 10000);
	put_pair(text + 22, us / 100 % 100);
	put_pair(text + 24, us % 100);
	buf_add(buf, (struct str){ text, us > 0 || fraction == FRACTION_ALWAYS ? 26 : 19 });
	buf_add(buf, offset);
}

void timestamp_add(struct buf *buf, struct wall at)
{
	add(buf, at, FRACTION_IF_ANY, STR("Z"));
}

void timestamp_add_us(struct buf *buf, struct wall at)
{
	add(buf, at, FRACTION_ALWAYS, STR("Z"));
}

void timestamp_add_offset(struct buf *buf, struct wall at)
{
	add(buf, at, FRACTION_IF_ANY, STR("+00:00"));
}

static const char *const months[] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
};
static const char *const weekdays[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const weekdays_long[] = { "Sunday",	 "Monday", "Tuesday", "Wednesday",
					     "Thursday", "Friday", "Saturday" };

static void read_month(struct reader *r, struct civil *c)
{
	c->month = reader_name(r, months, 12) + 1;
}

static void read_time(struct reader *r, struct civil *c)
{
	c->hour = reader_number(r, 2, 2);
	reader_expect(r, STR(":"));
	c->minute = reader_number(r, 2, 2);
	reader_expect(r, STR(":"));
	c->second = reader_number(r, 2, 2);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static void read_fixdate(struct reader *r, struct civil *c)
{
	reader_name(r, weekdays, 7);
	reader_expect(r, STR(", "));
	c->day = reader_number(r, 2, 2);
	reader_expect(r, STR(" "));
	read_month(r, c);
	reader_expect(r, STR(" "));
	c->year = reader_number(r, 4, 4);
	reader_expect(r, STR(" "));
	read_time(r, c);
	reader_expect(r, STR(" GMT"));
}

/* Sunday, 06-Nov-94 08:49:37 GMT. Without a clock at hand the century follows POSIX: 69 to 99 are 19xx. */
static void read_rfc850(struct reader *r, struct civil *c)
{
	reader_name(r, weekdays_long, 7);
	reader_expect(r, STR(", "));
	c->day = reader_number(r, 2, 2);
	reader_expect(r, STR("-"));
	read_month(r, c);
	reader_expect(r, STR("-"));
	c->year = reader_number(r, 2, 2);
	c->year += c->year >= 69 ? 1900 : 2000;
	reader_expect(r, STR(" "));
	read_time(r, c);
	reader_expect(r, STR(" GMT"));
}

/* Sun Nov  6 08:49:37 1994 */
static void read_asctime(struct reader *r, struct civil *c)
{
	reader_name(r, weekdays, 7);
	reader_expect(r, STR(" "));
	read_month(r, c);
	reader_expect(r, STR(" "));
	c->day = reader_takes(r, ' ') ? reader_number(r, 1, 1) : reader_number(r, 2, 2);
	reader_expect(r, STR(" "));
	read_time(r, c);
	reader_expect(r, STR(" "));
	c->year = reader_number(r, 4, 4);
}

bool timestamp_parse_http_date(struct str text, struct wall *at)
{
	static void (*const forms[])(struct reader *, struct civil *) = { read_fixdate, read_rfc850, read_asctime };

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct reader r = { .rest = text };
		struct civil c = { 0 };
		int32_t leap_second = 0;

		forms[i](&r, &c);
		/* The grammar allows second 60; our time scale has none. */
		if (c.second == 60) {
			c.second = 59;
			leap_second = 1;
		}
		if (!reader_is_done(&r) || !civil_is_valid(&c))
			continue;

		int64_t us = (civil_to_seconds(&c) + leap_second) * US_PER_SECOND;

		if (us > WALL_US_MAX)
			return false;
		at->us = us;
		return true;
	}
	return false;
}
