/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads a cron entry into bit sets.
 *
 * The words and the order of the complaints are those of the Python package `crontab`, which clients have met before;
 * what that package refuses and we take (`15W`, `fri#2`, `H` and so on) is tried first and quietly, so that a slip in
 * it is reported in the old words too. Works on the text in place: any bytes and any length are safe, and only the
 * complaint is ever cut short. */
#include <assert.h>

#include "core/cron.h"
#include "core/words.h"

enum field { FIELD_SECOND, FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, FIELD_YEAR, FIELDS_N };

struct field_rule {
	const char *name;
	int32_t min, max;
	int32_t written_max; /* the largest number that may be written; weekday 7 is 0 */
	int32_t hash_max;    /* what H spreads over; days stop at 28, which every month has */
	const char *names;   /* three letters each, for the values from `min` on; NULL without */
	bool may_wrap;
};

static const struct field_rule fields[FIELDS_N] = {
	[FIELD_SECOND] = { "second", 0, 59, 59, 59, NULL, true },
	[FIELD_MINUTE] = { "minute", 0, 59, 59, 59, NULL, true },
	[FIELD_HOUR] = { "hour", 0, 23, 23, 23, NULL, true },
	[FIELD_DAY] = { "day", 1, 31, 31, 28, NULL, true },
	[FIELD_MONTH] = { "month", 1, 12, 12, 12, "janfebmaraprmayjunjulaugsepoctnovdec", true },
	[FIELD_WEEKDAY] = { "isoweekday", 0, 6, 7, 6, "sunmontuewedthufrisat", true },
	[FIELD_YEAR] = { "year", CRON_YEAR_MIN, CRON_YEAR_MAX, CRON_YEAR_MAX, 0, NULL, false },
};

/* `count` values from `start` on, each taken modulo the field's size. */
struct range {
	int32_t start, count;
};

struct parser {
	struct cron cron;
	struct cron_problem *problem;
	size_t problem_n;
	enum field field;
	const struct field_rule *rule;
	uint64_t hash; /* for H, another one in each field */
};

/* ---- The complaint ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void put_char(struct parser *p, char c)
{
	if (p->problem_n < sizeof p->problem->text - 1)
		p->problem->text[p->problem_n++] = c;
}

static void put(struct parser *p, const char *text)
{
	while (*text)
		put_char(p, *text++);
}

static void put_number(struct parser *p, int64_t value)
{
	char digits[20];
	size_t n = 0;
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do {
		digits[n++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (value < 0)
		put_char(p, '-');
	while (n > 0)
		put_char(p, digits[--n]);
}

/* As Python's repr() of the text in lower case. */
static void put_quoted(struct parser *p, struct str s)
{
	static const char hex[] = "0123456789abcdef";
	char quote = str_find(s, '\'') < s.n && str_find(s, '"') == s.n ? '"' : '\'';

	put_char(p, quote);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)lower(s.p[i]);

		if (c < ' ' || c == 0x7F) {
			put(p, "\\x");
			put_char(p, hex[c >> 4]);
			put_char(p, hex[c & 15]);
			continue;
		}
		if (c == '\\' || c == (unsigned char)quote)
			put_char(p, '\\');
		put_char(p, (char)c);
	}
	put_char(p, quote);
}

/* Ends the complaint and the parsing. A text that was cut is cut before a whole UTF-8 sequence. */
static bool refuse(struct parser *p)
{
	char *text = p->problem->text;

	if (p->problem_n == sizeof p->problem->text - 1) {
		while (p->problem_n > 0 && ((unsigned char)text[p->problem_n - 1] & 0xC0) == 0x80)
			p->problem_n--;
		if (p->problem_n > 0 && (unsigned char)text[p->problem_n - 1] >= 0xC0)
			p->problem_n--;
	}
	text[p->problem_n] = '\0';
	return false;
}

static bool refuse_text(struct parser *p, const char *text)
{
	put(p, text);
	return refuse(p);
}

/* "<before>'<quoted>'<after>" */
static bool refuse_quoted(struct parser *p, const char *before, struct str quoted, const char *after)
{
	put(p, before);
	put_quoted(p, quoted);
	put(p, after);
	return refuse(p);
}

static bool refuse_specifier(struct parser *p, struct str piece, struct str item)
{
	put(p, "invalid range specifier: ");
	put_quoted(p, piece);
	put(p, " (");
	return refuse_quoted(p, "", item, ")");
}

static bool refuse_out_of_range(struct parser *p, struct str digits)
{
	while (digits.n > 1 && digits.p[0] == '0')
		digits = str_slice(digits, 1, digits.n);
	put(p, "item value ");
	for (size_t i = 0; i < digits.n; i++)
		put_char(p, digits.p[i]);
	put(p, " out of range [");
	put_number(p, p->rule->min);
	put(p, ", ");
	put_number(p, p->rule->written_max);
	return refuse_text(p, "]");
}

static bool refuse_order(struct parser *p, int32_t start, int32_t end)
{
	put(p, p->rule->name);
	put(p, " range start value ");
	put_number(p, start);
	put(p, " > end value ");
	put_number(p, end);
	return refuse(p);
}

/* ---- Numbers and names ---- */

enum number { NUMBER_OK, NUMBER_MALFORMED, NUMBER_OUT_OF_RANGE };

static bool is_word(struct str s, const char *word)
{
	return str_equal_nocase(s, str_from(word));
}

static bool is_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

/* The value of digits, or `limit + 1` when it is above `limit`. */
static int32_t digits_value(struct str digits, int32_t limit)
{
	int32_t value = 0;

	for (size_t i = 0; i < digits.n && value <= limit; i++)
		value = value * 10 + (digits.p[i] - '0');
	return value <= limit ? value : limit + 1;
}

static enum number number_read(const struct field_rule *rule, struct str s, int32_t *value)
{
	if (is_digits(s)) {
		*value = digits_value(s, rule->written_max);
		return *value >= rule->min && *value <= rule->written_max ? NUMBER_OK : NUMBER_OUT_OF_RANGE;
	}
	for (int32_t i = 0; rule->names && s.n == 3 && i <= rule->max - rule->min; i++) {
		if (str_equal_nocase(s, (struct str){ rule->names + i * 3, 3 })) {
			*value = rule->min + i;
			return NUMBER_OK;
		}
	}
	return NUMBER_MALFORMED;
}

/* As number_read, and complains. `item` is what the number stands in. */
static bool parse_number(struct parser *p, struct str s, struct str item, int32_t *value)
{
	enum number verdict = number_read(p->rule, s, value);

	if (verdict == NUMBER_MALFORMED)
		return refuse_specifier(p, s, item);
	if (verdict == NUMBER_OUT_OF_RANGE)
		return refuse_out_of_range(p, s);
	return true;
}

/* ---- Ranges ---- */

static int32_t field_size(const struct field_rule *rule)
{
	return rule->max - rule->min + 1;
}

/* Both ends are valid numbers of the field. Sunday is 7 at the end of a range and 0 at its start; beyond that a range
 * that ends before it starts goes round. */
static struct range range_between(const struct field_rule *rule, int32_t start, int32_t end)
{
	if (rule->written_max > rule->max) {
		if (end == rule->min && start != rule->min)
			end = rule->written_max;
		if (start == rule->written_max && end < rule->written_max)
			start = rule->min;
	}
	if (start > end)
		end += field_size(rule);
	return (struct range){ start, end - start + 1 };
}

static int32_t range_value(const struct field_rule *rule, int32_t value)
{
	return value > rule->max ? value - field_size(rule) : value;
}

/* "a-b". A third piece is looked at before it is found to be too many. */
static bool parse_between(struct parser *p, struct str base, struct range *range)
{
	struct str rest, first = str_split(base, '-', &rest);
	struct str third, second = str_split(rest, '-', &third);
	int32_t start, end, ignored;

	if (!parse_number(p, first, base, &start) || !parse_number(p, second, base, &end))
		return false;
	if (third.p) {
		struct str more;

		if (!parse_number(p, str_split(third, '-', &more), base, &ignored))
			return false;
		return refuse_text(p, "too many values to unpack (expected 2)");
	}
	if (start > end && !p->rule->may_wrap)
		return refuse_order(p, start, end);
	*range = range_between(p->rule, start, end);
	return true;
}

/* "h" or "h(a-b)": what H spreads over. */
static bool hash_range(const struct parser *p, struct str base, struct range *range)
{
	if (p->field == FIELD_YEAR)
		return false;
	*range = range_between(p->rule, p->rule->min, p->rule->hash_max);
	if (is_word(base, "h"))
		return true;
	if (base.n < 3 || lower(base.p[0]) != 'h' || base.p[1] != '(' || base.p[base.n - 1] != ')')
		return false;

	struct str last, first = str_split(str_slice(base, 2, base.n - 3), '-', &last);
	int32_t start, end;

	if (!last.p || number_read(p->rule, first, &start) != NUMBER_OK ||
	    number_read(p->rule, last, &end) != NUMBER_OK)
		return false;
	*range = range_between(p->rule, start, end);
	return true;
}

/* One value of the range, or with a step the values from a start within the first step on. */
static struct range range_hashed(const struct parser *p, struct range range, int64_t step)
{
	int32_t choices = step > 0 && step < range.count ? (int32_t)step : range.count;
	int32_t offset = (int32_t)(p->hash % (uint64_t)choices);

	return (struct range){ range.start + offset, step > 0 ? range.count - offset : 1 };
}

/* An item without its step. `step` is 0 when there is none. */
static bool parse_range(struct parser *p, struct str base, int64_t step, struct range *range)
{
	const struct field_rule *rule = p->rule;
	struct range whole;
	int32_t value;

	if (hash_range(p, base, &whole)) {
		*range = range_hashed(p, whole, step);
		return true;
	}
	if (str_find(base, '-') < base.n)
		return parse_between(p, base, range);
	if (is_word(base, "*")) {
		*range = (struct range){ rule->min, field_size(rule) };
		return true;
	}
	if (!parse_number(p, base, base, &value))
		return false;
	value = range_value(rule, value);
	*range = (struct range){ value, step > 0 ? rule->max - value + 1 : 1 };
	return true;
}

/* ---- Where values go ---- */

static void set_value(struct parser *p, int32_t value)
{
	struct cron *cron = &p->cron;

	value = range_value(p->rule, value);
	assert(value >= p->rule->min && value <= p->rule->max);
	switch (p->field) {
	case FIELD_SECOND:
		cron->seconds |= UINT64_C(1) << value;
		break;
	case FIELD_MINUTE:
		cron->minutes |= UINT64_C(1) << value;
		break;
	case FIELD_HOUR:
		cron->hours |= UINT32_C(1) << value;
		break;
	case FIELD_DAY:
		cron->days |= UINT32_C(1) << value;
		break;
	case FIELD_MONTH:
		cron->months |= UINT32_C(1) << value;
		break;
	case FIELD_WEEKDAY:
		cron->weekdays |= UINT32_C(1) << value;
		break;
	case FIELD_YEAR:
	case FIELDS_N:
		cron->years[(value - CRON_YEAR_MIN) / 64] |= UINT64_C(1) << (value - CRON_YEAR_MIN) % 64;
		break;
	}
}

static void set_range(struct parser *p, struct range range, int64_t step)
{
	for (int64_t i = 0; i < range.count; i += step) {
		set_value(p, range.start + (int32_t)i);
		if (step >= range.count)
			break;
	}
}

/* "*" is what most fields are: its bits at once. */
static void set_all(struct parser *p)
{
	struct cron *cron = &p->cron;
	uint64_t all = ((UINT64_C(1) << (field_size(p->rule) & 63)) - 1) << (p->rule->min & 63);

	switch (p->field) {
	case FIELD_SECOND:
		cron->seconds = all;
		break;
	case FIELD_MINUTE:
		cron->minutes = all;
		break;
	case FIELD_HOUR:
		cron->hours = (uint32_t)all;
		break;
	case FIELD_DAY:
		cron->days = (uint32_t)all;
		break;
	case FIELD_MONTH:
		cron->months = (uint32_t)all;
		break;
	case FIELD_WEEKDAY:
		cron->weekdays = (uint32_t)all;
		break;
	case FIELD_YEAR:
	case FIELDS_N:
		cron->years[0] = cron->years[1] = UINT64_MAX;
		cron->years[2] = (UINT64_C(1) << (CRON_YEAR_MAX - CRON_YEAR_MIN + 1 - 128)) - 1;
		break;
	}
}

/* ---- Items ---- */

/* "15w": the workday nearest to the 15th. */
static bool take_near_workday(struct parser *p, struct str item)
{
	int32_t day;

	if (p->field != FIELD_DAY || item.n < 2 || lower(item.p[item.n - 1]) != 'w' ||
	    number_read(p->rule, str_slice(item, 0, item.n - 1), &day) != NUMBER_OK)
		return false;
	p->cron.workdays_near |= UINT32_C(1) << day;
	return true;
}

/* "5#2" or "fri#2": the second Friday. */
static bool take_nth_weekday(struct parser *p, struct str item)
{
	struct str nth, day_text = str_split(item, '#', &nth);
	int32_t day;

	if (p->field != FIELD_WEEKDAY || number_read(p->rule, day_text, &day) != NUMBER_OK || !is_digits(nth))
		return false;

	int32_t n = digits_value(nth, 5);

	if (n < 1 || n > 5)
		return false;
	p->cron.weekdays_nth |= UINT64_C(1) << (range_value(p->rule, day) * 5 + n - 1);
	return true;
}

/* "5l" or "fril": the last Friday. */
static bool take_last_weekday(struct parser *p, struct str item)
{
	int32_t day;

	if (p->field != FIELD_WEEKDAY || item.n < 2 || lower(item.p[item.n - 1]) != 'l' ||
	    number_read(p->rule, str_slice(item, 0, item.n - 1), &day) != NUMBER_OK)
		return false;
	p->cron.weekdays_last |= UINT32_C(1) << range_value(p->rule, day);
	return true;
}

/* "l5" or "l1-5": the last such days of the month. */
static bool parse_leading_last(struct parser *p, struct str item)
{
	if (p->field != FIELD_WEEKDAY)
		return refuse_text(p, "you can only specify a leading 'L' in the 'weekday' field");

	struct str last, first = str_split(str_slice(item, 1, item.n), '-', &last);
	int32_t start = is_digits(first) ? digits_value(first, 7) : 8;
	int32_t end = !last.p ? start : is_digits(last) ? digits_value(last, 7) : 8;

	if (start > 7 || end > 7)
		return refuse_quoted(p,
				     "last <day> specifier must include a day number or range in the 'weekday' field, "
				     "you entered ",
				     item, "");

	struct range range = range_between(p->rule, start, end);

	for (int32_t i = 0; i < range.count; i++)
		p->cron.weekdays_last |= UINT32_C(1) << range_value(p->rule, range.start + i);
	return true;
}

static bool parse_step(struct parser *p, struct str text, int64_t *step)
{
	if (str_find(text, '/') < text.n)
		return refuse_text(p, "too many values to unpack (expected 2)");
	if (!words_to_integer(text, step))
		return refuse_quoted(p, "invalid literal for int() with base 10: ", text, "");
	if (*step > 0)
		return true;
	put(p, "you can only use positive increment values, you provided ");
	put_number(p, *step);
	return refuse(p);
}

static bool parse_item(struct parser *p, struct str item)
{
	if (is_word(item, "*") || is_word(item, "?")) {
		if (item.p[0] == '?' && p->field != FIELD_DAY && p->field != FIELD_WEEKDAY) {
			put(p, "cannot use '?' in the '");
			put(p, p->rule->name);
			return refuse_text(p, "' field");
		}
		set_all(p);
		return true;
	}
	if (is_word(item, "l")) {
		p->cron.day_last = true;
		return p->field == FIELD_DAY || refuse_text(p, "you can only specify a bare 'L' in the 'day' field");
	}
	if (is_word(item, "lw") && p->field == FIELD_DAY) {
		p->cron.workday_last = true;
		return true;
	}
	if (item.n > 0 && lower(item.p[0]) == 'l')
		return parse_leading_last(p, item);
	if (take_near_workday(p, item) || take_nth_weekday(p, item) || take_last_weekday(p, item))
		return true;

	struct str step_text, base = str_split(item, '/', &step_text);
	struct range range = { 0 };
	int64_t step = 0;

	if (step_text.p && !parse_step(p, step_text, &step))
		return false;
	if (!parse_range(p, base, step, &range))
		return false;
	set_range(p, range, step > 0 ? step : 1);
	return true;
}

/* Spreads the seed, so that the fields of one schedule do not move together (the finaliser of SplitMix64). */
static uint64_t field_hash(uint64_t seed, enum field field)
{
	uint64_t x = seed + ((uint64_t)field + 1) * UINT64_C(0x9E3779B97F4A7C15);

	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

static bool parse_field(struct parser *p, enum field field, struct str text, uint64_t seed)
{
	bool starts_open = text.p[0] == '*' || text.p[0] == '?';

	p->field = field;
	p->rule = &fields[field];
	p->hash = field_hash(seed, field);
	if (field == FIELD_DAY)
		p->cron.day_is_open = starts_open;
	if (field == FIELD_WEEKDAY)
		p->cron.weekday_is_open = starts_open;
	if (field == FIELD_HOUR)
		p->cron.hour_is_open = starts_open;

	struct str rest = text;

	do {
		if (!parse_item(p, str_split(rest, ',', &rest)))
			return false;
	} while (rest.p);
	return true;
}

/* ---- The entry ---- */

static struct str macro_expand(struct str word)
{
	static const struct {
		const char *name, *entry;
	} macros[] = {
		{ "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" },
		{ "@weekly", "0 0 * * 0" }, { "@daily", "0 0 * * *" },	  { "@midnight", "0 0 * * *" },
		{ "@hourly", "0 * * * *" },
	};

	for (size_t i = 0; i < sizeof macros / sizeof macros[0]; i++)
		if (is_word(word, macros[i].name))
			return str_from(macros[i].entry);
	return word;
}

/* Cuts the text into words, of which at most FIELDS_N are kept; returns how many there are. */
static size_t split(struct str text, struct str words[FIELDS_N])
{
	size_t n = 0;

	for (struct str word = words_next(&text); word.p; word = words_next(&text), n++)
		if (n < FIELDS_N)
			words[n] = word;
	return n;
}

bool cron_parse(struct str text, uint64_t seed, struct cron *cron, struct cron_problem *problem)
{
	struct parser p = { .problem = problem };
	struct str words[FIELDS_N];
	size_t n = split(text, words);

	if (n == 1)
		n = split(macro_expand(words[0]), words);
	if (n < 5 || n > FIELDS_N) {
		put(&p, "improper number of cron entries specified; got ");
		put_number(&p, (int64_t)n);
		return refuse_text(&p, " need 5 to 7");
	}

	enum field field = n == FIELDS_N ? FIELD_SECOND : FIELD_MINUTE;

	p.cron.seconds = n == FIELDS_N ? 0 : 1;
	for (size_t i = 0; i < n; i++, field++)
		if (!parse_field(&p, field, words[i], seed))
			return false;
	if (field != FIELDS_N) {
		p.field = FIELD_YEAR;
		p.rule = &fields[FIELD_YEAR];
		set_all(&p);
	}
	assert(p.cron.seconds && p.cron.minutes && p.cron.hours && p.cron.months);
	*cron = p.cron;
	return true;
}
