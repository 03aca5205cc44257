/* SPDX-License-Identifier: BSD-3-Clause */
/* The small encodings: UTF-8 as RFC 3629's table has it, base64, hexadecimal and UUIDs there and back, numbers as the C
 * library reads them, words that lose nothing but blanks. */
#include "fuzz.h"

#include <ctype.h>
#include <errno.h>

#include "base/text.h"
#include "core/words.h"

/* ---- UTF-8 ---- */

/* RFC 3629, section 4, row by row: the length of the sequence at p, 0 when there is none. */
static size_t sequence_n(const uint8_t *p, size_t n)
{
	static const struct {
		uint8_t first_min, first_max, second_min, second_max;
		size_t n;
	} rows[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (p[0] < rows[i].first_min || p[0] > rows[i].first_max)
			continue;
		if (rows[i].n > n || (rows[i].n > 1 && (p[1] < rows[i].second_min || p[1] > rows[i].second_max)))
			return 0;
		for (size_t k = 2; k < rows[i].n; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return rows[i].n;
	}
	return 0;
}

static void check_utf8(struct str text)
{
	size_t at = 0, count = 0;
	struct buf again;

	buf_init(&again, text.n);
	while (at < text.n) {
		size_t n = sequence_n((const uint8_t *)text.p + at, text.n - at), next = at;
		uint32_t code_point;

		assert(utf8_decode(text, at, &code_point) == n);
		if (n == 0)
			break;
		assert(utf8_next(text, &next) == code_point && next == at + n);
		utf8_add(&again, code_point);
		at += n;
		count++;
	}
	assert(utf8_valid_n(text) == at && utf8_is_valid(text) == (at == text.n));
	assert(str_equal(buf_str(&again), str_slice(text, 0, at)) && utf8_count(str_slice(text, 0, at)) == count);
	buf_release(&again);
}

/* ---- base64, hexadecimal ---- */

static void check_base64(struct str bytes)
{
	struct arena arena = { 0 };
	struct str again, spoiled;
	struct buf text, noise;

	buf_init(&text, 2 * bytes.n + 8);
	buf_init(&noise, 4 * bytes.n + 16);
	base64_add(&text, bytes);
	assert(!text.failed && text.n == (bytes.n + 2) / 3 * 4);
	assert(base64_decode(&arena, buf_str(&text), &again) && str_equal(again, bytes));
	/* Characters outside the alphabet are passed over. */
	for (size_t i = 0; i < text.n; i++) {
		buf_add_char(&noise, text.p[i]);
		buf_add_char(&noise, "\n -_"[i % 4]);
	}
	assert(base64_decode(&arena, buf_str(&noise), &spoiled) && str_equal(spoiled, bytes));
	if (base64_decode(&arena, bytes, &again))
		assert(again.n <= bytes.n / 4 * 3 + 3);
	buf_release(&text);
	buf_release(&noise);
	arena_release(&arena);
}

static void check_hex(struct str bytes)
{
	char *digits = memory_new(2 * bytes.n);
	uint8_t *again = memory_new(bytes.n);

	hex_format((const uint8_t *)bytes.p, bytes.n, digits);
	for (size_t i = 0; i < 2 * bytes.n; i += 3)
		digits[i] = (char)toupper(digits[i]);
	assert(hex_parse((struct str){ digits, 2 * bytes.n }, again, bytes.n));
	assert(memcmp(again, bytes.p, bytes.n) == 0);
	assert(!hex_parse((struct str){ digits, 2 * bytes.n }, again, bytes.n + 1));
	free(digits);
	free(again);
}

/* ---- UUID ---- */

static void check_uuid(struct str text)
{
	uint8_t uuid[16], again[16];
	char canonical[UUID_TEXT_BYTES];
	size_t digits_n = 0;

	if (uuid_parse(text, uuid)) {
		for (size_t i = 0; i < text.n; i++)
			digits_n += isxdigit((unsigned char)text.p[i]) != 0;
		/* The 'd' of "uuid:" is a digit, too. */
		assert(digits_n == 32 || digits_n == 33);
	} else {
		memset(uuid, 0, sizeof uuid);
		memcpy(uuid, text.p, text.n < sizeof uuid ? text.n : sizeof uuid);
	}
	uuid_format(uuid, canonical);
	assert(uuid_parse((struct str){ canonical, sizeof canonical }, again) && memcmp(uuid, again, 16) == 0);
	assert(!uuid_parse((struct str){ canonical, sizeof canonical - 1 }, again));
	uuid_stamp(uuid, 7);
	uuid_format(uuid, canonical);
	assert(canonical[14] == '7' && strchr("89ab", canonical[19]));
}

/* ---- Numbers ---- */

static bool is_plain_number(const char *text)
{
	return isdigit((unsigned char)text[*text == '-' || *text == '+']);
}

static void check_numbers(struct str text)
{
	char *copy = memory_new(text.n + 1), *end;
	int64_t value = 0, word_value = 0;
	uint64_t unsigned_value = 0;
	bool is_read = str_to_i64(text, &value), is_word = words_to_integer(text, &word_value);

	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	errno = 0;

	long long expected = strtoll(copy, &end, 10);
	bool is_whole = is_plain_number(copy) && end == copy + text.n;

	assert(is_read == (is_whole && errno == 0) && (!is_read || value == expected));
	/* strtoll() stops at the same ends. */
	assert(!is_whole || (is_word && word_value == expected));
	assert(str_to_u64(text, &unsigned_value) ==
	       (is_whole && isdigit((unsigned char)copy[0]) && (errno = 0, strtoull(copy, &end, 10), errno == 0)));
	free(copy);
}

/* ---- Views ---- */

static void check_words(struct str text)
{
	struct str rest = text, word;
	size_t before = 0;

	while ((word = words_next(&rest)).p) {
		struct str same = word, more;

		assert(word.n > 0 && fuzz_is_inside(word, text) && (size_t)(word.p - text.p) >= before);
		before = (size_t)(word.p - text.p) + word.n;
		more = words_next(&same);
		assert(str_equal(more, word) && !words_next(&same).p);
	}
	assert(rest.n == 0 || !words_next(&rest).p);
}

static void check_split(struct str text)
{
	struct buf again;
	struct str rest = text, trimmed = str_trim(text);

	buf_init(&again, text.n);
	while (rest.p) {
		buf_add(&again, str_split(rest, ',', &rest));
		if (rest.p)
			buf_add_char(&again, ',');
	}
	assert(!again.failed && str_equal(buf_str(&again), text));
	assert(trimmed.n == 0 || (fuzz_is_inside(trimmed, text) && !isspace((unsigned char)trimmed.p[0]) &&
				  !isspace((unsigned char)trimmed.p[trimmed.n - 1])));
	buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = fuzz_copy((struct str){ (const char *)data, size });

	check_utf8(text);
	check_base64(text);
	check_hex(text);
	check_uuid(text);
	check_numbers(text);
	check_words(text);
	check_split(text);
	fuzz_free(text);
	return 0;
}
