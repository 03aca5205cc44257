/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads Authorization headers: Basic (RFC 7617, latin-1 as the original decoded it), Token and Bearer. */
#include "api/credentials.h"

#include <string.h>

#include "base/text.h"

/* The words of a header, split on white space as bytes; counts up to 3. */
static size_t split_words(struct str header, struct str words[2])
{
	static const char blanks[] = " \t\n\v\f\r";
	size_t n = 0;

	for (size_t i = 0; i < header.n && n < 3;) {
		size_t start = i;

		while (i < header.n && (header.p[i] == '\0' || !strchr(blanks, header.p[i])))
			i++;
		if (i > start && n++ < 2)
			words[n - 1] = str_slice(header, start, i - start);
		while (i < header.n && header.p[i] != '\0' && strchr(blanks, header.p[i]))
			i++;
	}
	return n;
}

static struct credentials malformed(const char *problem)
{
	return (struct credentials){ .kind = CREDENTIALS_MALFORMED, .problem = problem };
}

/* Every byte is the code point of its number. */
static struct str from_latin1(struct arena *arena, struct str bytes)
{
	char *out = arena_alloc(arena, 2 * bytes.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < bytes.n; i++) {
		unsigned char c = (unsigned char)bytes.p[i];

		if (c >= 0x80)
			out[n++] = (char)(0xC0 | c >> 6);
		out[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
	}
	return (struct str){ out, n };
}

static struct credentials parse_basic(struct arena *arena, const struct str words[2], size_t words_n)
{
	struct credentials credentials = { .kind = CREDENTIALS_PASSWORD };
	struct str pair, password;

	if (words_n == 1)
		return malformed("Invalid basic header. No credentials provided.");
	if (words_n > 2)
		return malformed("Invalid basic header. Credentials string should not contain spaces.");
	if (!base64_decode(arena, words[1], &pair))
		return malformed("Invalid basic header. Credentials not correctly base64 encoded.");
	credentials.username = from_latin1(arena, str_split(pair, ':', &password));
	credentials.password = from_latin1(arena, password);
	return credentials;
}

static struct credentials parse_token(const struct str words[2], size_t words_n)
{
	if (words_n == 1)
		return malformed("Invalid token header. No credentials provided.");
	if (words_n > 2)
		return malformed("Invalid token header. Token string should not contain spaces.");
	if (!utf8_is_valid(words[1]))
		return malformed("Invalid token header. Token string should not contain invalid characters.");
	return (struct credentials){ .kind = CREDENTIALS_TOKEN, .token = words[1] };
}

struct credentials credentials_parse(struct arena *arena, struct str header)
{
	struct str words[2];
	size_t words_n = split_words(header, words);

	if (words_n > 0 && str_equal_nocase(words[0], STR("Basic")))
		return parse_basic(arena, words, words_n);
	if (words_n > 0 && (str_equal_nocase(words[0], STR("Token")) || str_equal_nocase(words[0], STR("Bearer"))))
		return parse_token(words, words_n);
	return (struct credentials){ .kind = CREDENTIALS_NONE };
}
