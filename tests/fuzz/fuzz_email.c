/* SPDX-License-Identifier: BSD-3-Clause */
/* E-mail addresses: what is accepted has both sides, no blanks outside quotes and no line ends, and written with its
 * domain in lower case it is accepted still. */
#include "fuzz.h"

#include "api/email.h"
#include "base/text.h"

static size_t last_at(struct str text)
{
	size_t at = text.n;

	while (at > 0 && text.p[at - 1] != '@')
		at--;
	return at;
}

static void check_address(struct str text)
{
	struct arena arena = { 0 };
	struct str normal, again;
	size_t at = last_at(text);

	assert(at > 1 && at < text.n);
	for (size_t i = 0; i < text.n; i++) {
		assert(text.p[i] != '\n' && text.p[i] != '\r' && text.p[i] != '\0');
		assert(text.p[0] == '"' || (text.p[i] != ' ' && text.p[i] != '\t'));
	}
	normal = email_normalise(&arena, text);
	assert(str_equal_nocase(normal, text) && str_equal(str_slice(normal, 0, at), str_slice(text, 0, at)));
	for (size_t i = at; i < normal.n; i++)
		assert(normal.p[i] < 'A' || normal.p[i] > 'Z');
	again = email_normalise(&arena, normal);
	assert(str_equal(again, normal) && email_is_valid(normal));
	arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str whole = { (const char *)data, size };
	struct str text = fuzz_copy(str_trim(str_slice(whole, 0, utf8_valid_n(whole))));

	if (email_is_valid(text))
		check_address(text);
	fuzz_free(text);
	return 0;
}
