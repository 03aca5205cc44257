/* SPDX-License-Identifier: BSD-3-Clause */
/* Authorization headers: a token is a word of the header, a name and a password are UTF-8, a refusal has words, and any
 * name and password come through the way a client writes them. */
#include "fuzz.h"

#include "api/credentials.h"
#include "base/text.h"

static void check_header(struct str header)
{
	struct arena arena = { 0 };
	struct credentials credentials = credentials_parse(&arena, header);

	assert((credentials.kind == CREDENTIALS_MALFORMED) == (credentials.problem != NULL));
	assert((credentials.kind == CREDENTIALS_TOKEN) == (credentials.token.n > 0));
	switch (credentials.kind) {
	case CREDENTIALS_TOKEN:
		assert(fuzz_is_inside(credentials.token, header) && utf8_is_valid(credentials.token));
		for (size_t i = 0; i < credentials.token.n; i++)
			assert(credentials.token.p[i] != ' ' &&
			       (credentials.token.p[i] < '\t' || credentials.token.p[i] > '\r'));
		break;
	case CREDENTIALS_PASSWORD:
		assert(utf8_is_valid(credentials.username) && utf8_is_valid(credentials.password));
		assert(str_find(credentials.username, ':') == credentials.username.n);
		break;
	case CREDENTIALS_MALFORMED:
	case CREDENTIALS_NONE:
		assert(!credentials.username.n && !credentials.password.n);
		break;
	}
	arena_release(&arena);
}

/* Every byte as the code point of its number. */
static void check_latin1(struct str bytes, struct str text)
{
	size_t at = 0;

	for (size_t i = 0; i < bytes.n; i++)
		assert(at < text.n && utf8_next(text, &at) == (uint8_t)bytes.p[i]);
	assert(at == text.n);
}

static void check_basic(struct str pair)
{
	struct str password, username = str_split(pair, ':', &password);
	struct arena arena = { 0 };
	struct credentials credentials;
	struct buf header;

	buf_init(&header, 2 * pair.n + 32);
	buf_add(&header, STR("bASIC \t"));
	base64_add(&header, pair);
	credentials = credentials_parse(&arena, buf_str(&header));
	assert(credentials.kind == (pair.n > 0 ? CREDENTIALS_PASSWORD : CREDENTIALS_MALFORMED));
	if (pair.n > 0) {
		check_latin1(username, credentials.username);
		check_latin1(password, credentials.password);
	}
	buf_release(&header);
	arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = fuzz_copy((struct str){ (const char *)data, size });

	check_header(text);
	check_basic(text);
	fuzz_free(text);
	return 0;
}
