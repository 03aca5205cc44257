/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads limit and offset as leniently as the original did and keeps all other parameters in the links, sorted by name.
 */
#include "api/page.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/fields.h"
#include "base/json.h"
#include "core/words.h"

static struct page_number number_of(struct arena *arena, uint64_t value)
{
	return (struct page_number){ value, arena_printf(arena, "%llu", (unsigned long long)value) };
}

/* The digits of a number too large for 64 bits; `text` is known to be one. Digits of other scripts stop at INT64_MAX.
 */
static struct str digits_of(struct arena *arena, struct str text)
{
	char *digits = arena_alloc(arena, text.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] >= '0' && text.p[i] <= '9' && (n > 0 || text.p[i] != '0'))
			digits[n++] = text.p[i];
		else if (text.p[i] & 0x80)
			return number_of(arena, INT64_MAX).digits;
	}
	return (struct str){ digits, n };
}

/* False: blank, not an integer, or below `least`. */
static bool read_number(struct arena *arena, const struct form_part *part, int64_t least, struct page_number *number)
{
	int64_t value;

	if (!part || !words_to_integer(fields_strip(part->value), &value) || value < least)
		return false;
	*number = number_of(arena, (uint64_t)value);
	if (value == INT64_MAX)
		number->digits = digits_of(arena, part->value);
	return true;
}

struct page_request page_parse(struct arena *arena, const struct form *query)
{
	struct page_request page = { .query = query };

	if (!read_number(arena, form_last(query, STR("limit")), 1, &page.limit))
		page.limit = number_of(arena, PAGE_LIMIT_DEFAULT);
	if (!read_number(arena, form_last(query, STR("offset")), 0, &page.offset))
		page.offset = number_of(arena, 0);
	return page;
}

/* a - b in decimal digits; empty when that is zero or less. */
static struct str subtract(struct arena *arena, struct str a, struct str b)
{
	if (a.n < b.n || (a.n == b.n && memcmp(a.p, b.p, a.n) <= 0))
		return STR("");

	char *digits = arena_alloc(arena, a.n);
	int borrow = 0;
	size_t zeros = 0;

	for (size_t i = 1; i <= a.n; i++) {
		int digit = a.p[a.n - i] - '0' - borrow - (i <= b.n ? b.p[b.n - i] - '0' : 0);

		borrow = digit < 0;
		digits[a.n - i] = (char)('0' + digit + 10 * borrow);
	}
	assert(borrow == 0);
	while (digits[zeros] == '0')
		zeros++;
	return (struct str){ digits + zeros, a.n - zeros };
}

/* One parameter of a link; `at` keeps equal names in their order. */
struct entry {
	struct str name, value;
	size_t at;
};

static int by_name_and_position(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int order = n ? memcmp(x->name.p, y->name.p, n) : 0;

	if (order == 0 && x->name.n != y->name.n)
		order = x->name.n < y->name.n ? -1 : 1;
	if (order == 0)
		order = x->at < y->at ? -1 : 1;
	return order;
}

static bool is_page_key(struct str name)
{
	return str_equal(name, STR("limit")) || str_equal(name, STR("offset"));
}

/* `"url?…"` with limit set, offset set (or left out when empty), the other parameters kept. */
static void add_link(struct buf *json, struct arena *arena, const struct page_request *page, struct str url,
		     struct str offset)
{
	struct entry *entries = arena_alloc(arena, (page->query->n + 2) * sizeof *entries);
	size_t n = 0;

	for (const struct form_part *part = page->query->first; part; part = part->next)
		if (!is_page_key(part->name)) {
			entries[n] = (struct entry){ part->name, part->value, n };
			n++;
		}
	entries[n] = (struct entry){ STR("limit"), page->limit.digits, n };
	n++;
	if (offset.n) {
		entries[n] = (struct entry){ STR("offset"), offset, n };
		n++;
	}
	qsort(entries, n, sizeof *entries, by_name_and_position);

	buf_add_char(json, '"');
	buf_add(json, url);
	for (size_t i = 0; i < n; i++) {
		buf_add_char(json, i ? '&' : '?');
		form_add_escaped(json, entries[i].name);
		buf_add_char(json, '=');
		form_add_escaped(json, entries[i].value);
	}
	buf_add_char(json, '"');
}

void page_add_links(struct buf *json, struct arena *arena, const struct page_request *page, uint64_t count,
		    struct str url)
{
	uint64_t limit = page->limit.value, offset = page->offset.value;

	/* Both stop at INT64_MAX, so the sum fits. */
	json_key(json, "next");
	if (offset + limit >= count)
		buf_add(json, STR("null"));
	else
		add_link(json, arena, page, url, number_of(arena, offset + limit).digits);
	json_key(json, "previous");
	if (offset == 0)
		buf_add(json, STR("null"));
	else
		add_link(json, arena, page, url, subtract(arena, page->offset.digits, page->limit.digits));
}
