/* SPDX-License-Identifier: BSD-3-Clause */
/* Cuts text at Unicode white space and reads integers in the digits of every script. */
#include "core/words.h"

#include "base/text.h"

/* The zeros of all decimal digits in Unicode 14; the digits one to nine follow each. In ascending order. */
static const uint32_t zeros[] = {
	0x30,	 0x660,	  0x6F0,   0x7C0,   0x966,   0x9E6,   0xA66,   0xAE6,	0xB66,	 0xBE6,	  0xC66,
	0xCE6,	 0xD66,	  0xDE6,   0xE50,   0xED0,   0xF20,   0x1040,  0x1090,	0x17E0,	 0x1810,  0x1946,
	0x19D0,	 0x1A80,  0x1A90,  0x1B50,  0x1BB0,  0x1C40,  0x1C50,  0xA620,	0xA8D0,	 0xA900,  0xA9D0,
	0xA9F0,	 0xAA50,  0xABF0,  0xFF10,  0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0,
	0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60,
	0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
};

/* White space beyond ASCII, in UTF-8: U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000.
 */
static const char *const wide_blanks[] = {
	"\xC2\x85",	"\xC2\xA0",	"\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83",
	"\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A",
	"\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80",
};

/* Bytes of the white space that `s` starts with; 0 without. */
static size_t blank_bytes(struct str s)
{
	unsigned char c = s.n ? (unsigned char)s.p[0] : 'x';

	if (c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F))
		return 1;
	if (c < 0xC2)
		return 0;
	for (size_t i = 0; i < sizeof wide_blanks / sizeof wide_blanks[0]; i++) {
		struct str blank = str_from(wide_blanks[i]);

		if (str_starts_with(s, blank))
			return blank.n;
	}
	return 0;
}

struct str words_next(struct str *text)
{
	struct str rest = *text;
	size_t blank;

	while ((blank = blank_bytes(rest)) > 0)
		rest = str_slice(rest, blank, rest.n);

	struct str word = { rest.p, 0 };

	while (word.n < rest.n && blank_bytes(str_slice(rest, word.n, rest.n)) == 0)
		word.n++;
	*text = str_slice(rest, word.n, rest.n);
	return word.n ? word : (struct str){ NULL, 0 };
}

static int digit_value(uint32_t code_point)
{
	for (size_t i = 0; i < sizeof zeros / sizeof zeros[0] && zeros[i] <= code_point; i++)
		if (code_point - zeros[i] <= 9)
			return (int)(code_point - zeros[i]);
	return -1;
}

bool words_to_integer(struct str word, int64_t *value)
{
	bool negative = word.n > 0 && word.p[0] == '-';
	bool after_digit = false, too_large = false;
	int64_t sum = 0;
	size_t at = negative || (word.n > 0 && word.p[0] == '+');

	if (!utf8_is_valid(word))
		return false;
	while (at < word.n) {
		uint32_t code_point = utf8_next(word, &at);
		int digit = digit_value(code_point);

		if (digit < 0 && !(code_point == '_' && after_digit))
			return false;
		after_digit = digit >= 0;
		if (digit >= 0 && !too_large)
			too_large = __builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, digit, &sum);
	}
	if (!after_digit)
		return false;
	if (too_large)
		*value = negative ? INT64_MIN : INT64_MAX;
	else
		*value = negative ? -sum : sum;
	return true;
}
