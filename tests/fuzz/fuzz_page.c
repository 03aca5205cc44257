/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages of a list: the links are valid JSON, keep every other parameter, and followed from page to page they move by
 * exactly one limit. */
#include "fuzz.h"

#include "api/page.h"
#include "base/json.h"

enum { BYTES_MAX = 1 << 22, FOLLOWED_MAX = 3 };

static const struct str url = { "http://h/api/v1/schedule/", 25 };

static void check_number(const struct page_number *number)
{
	uint64_t value;

	assert(number->digits.n > 0 && number->value <= INT64_MAX);
	assert(number->digits.n == 1 || number->digits.p[0] != '0');
	for (size_t i = 0; i < number->digits.n; i++)
		assert(number->digits.p[i] >= '0' && number->digits.p[i] <= '9');
	assert(number->value == INT64_MAX || (str_to_u64(number->digits, &value) && value == number->value));
}

static size_t count_others(const struct form *form)
{
	size_t n = 0;

	for (const struct form_part *part = form->first; part; part = part->next)
		n += !str_equal(part->name, STR("limit")) && !str_equal(part->name, STR("offset"));
	return n;
}

/* What the next page asks for, when there is one. */
static bool follow(struct arena *arena, const struct page_request *page, uint64_t count, struct page_request *next,
		   struct form *query)
{
	struct json_problem problem;
	struct buf json;

	buf_init(&json, BYTES_MAX);
	buf_add_char(&json, '{');
	page_add_links(&json, arena, page, count, url);
	buf_add_char(&json, '}');

	const struct json *links = json_parse(arena, arena_copy(arena, buf_str(&json)), &problem);

	assert(!json.failed && links);
	buf_release(&json);

	const struct json *forward = json_member(links, STR("next")), *back = json_member(links, STR("previous"));

	assert(forward && back && (back->type == JSON_NULL) == (page->offset.value == 0));
	assert((forward->type == JSON_NULL) == (page->offset.value + page->limit.value >= count));
	if (back->type == JSON_STRING) {
		struct form before = { 0 };
		struct page_request to;

		assert(str_starts_with(back->text, url) && back->text.p[url.n] == '?');
		assert(form_parse_urlencoded(arena, str_slice(back->text, url.n + 1, back->text.n), &before));
		to = page_parse(arena, &before);
		assert(count_others(&before) == count_others(page->query) &&
		       str_equal(to.limit.digits, page->limit.digits));
		if (page->offset.value < INT64_MAX)
			assert(to.offset.value ==
			       (page->offset.value > page->limit.value ? page->offset.value - page->limit.value : 0));
	}
	if (forward->type == JSON_NULL)
		return false;
	assert(str_starts_with(forward->text, url) && forward->text.p[url.n] == '?');
	assert(form_parse_urlencoded(arena, str_slice(forward->text, url.n + 1, forward->text.n), query));
	*next = page_parse(arena, query);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	uint64_t count = fuzz_take(&in, 8) >> (1 + fuzz_take(&in, 1) % 63);
	struct str text = fuzz_rest(&in);
	struct arena arena = { 0 };
	struct form forms[FOLLOWED_MAX + 1] = { 0 };
	struct page_request page, next;

	/* Not more parameters than two more can be added to. */
	if (form_parse_urlencoded(&arena, text, &forms[0]) && forms[0].n + 2 <= FORM_PARTS_MAX) {
		page = page_parse(&arena, &forms[0]);
		for (unsigned i = 0; i < FOLLOWED_MAX; i++) {
			check_number(&page.limit);
			check_number(&page.offset);
			assert(page.limit.value >= 1);
			if (!follow(&arena, &page, count, &next, &forms[i + 1]))
				break;
			assert(next.offset.value == page.offset.value + page.limit.value);
			assert(next.limit.value == page.limit.value);
			assert(count_others(&forms[i + 1]) == count_others(&forms[i]));
			page = next;
		}
	}
	arena_release(&arena);
	fuzz_free(text);
	return 0;
}
