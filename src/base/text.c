/* SPDX-License-Identifier: BSD-3-Clause */
/* UTF-8 (RFC 3629), hexadecimal, base64 (RFC 4648) and UUID text (RFC 9562). */
#include "base/text.h"

#include <assert.h>
#include <string.h>

static size_t sequence_n(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t utf8_decode(struct str s, size_t at, uint32_t *code_point)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	assert(at < s.n);
	unsigned char first = (unsigned char)s.p[at];
	size_t n = sequence_n(first);

	if (n == 0 || n > s.n - at)
		return 0;
	uint32_t value = n == 1 ? first : first & (0xffU >> (n + 1));

	for (size_t i = 1; i < n; i++) {
		unsigned char next = (unsigned char)s.p[at + i];

		if ((next & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (next & 0x3f);
	}
	if (value < least[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return 0;
	*code_point = value;
	return n;
}

/* Where the ASCII bytes from `at` on end, eight at a time: most texts are nothing else. */
static size_t skip_ascii(struct str s, size_t at)
{
	uint64_t eight;

	while (s.n - at >= sizeof eight) {
		memcpy(&eight, s.p + at, sizeof eight);
		if (eight & UINT64_C(0x8080808080808080))
			break;
		at += sizeof eight;
	}
	while (at < s.n && (unsigned char)s.p[at] < 0x80)
		at++;
	return at;
}

size_t utf8_valid_n(struct str s)
{
	uint32_t code_point;
	size_t at = skip_ascii(s, 0);

	while (at < s.n) {
		size_t n = utf8_decode(s, at, &code_point);

		if (n == 0)
			return at;
		at = skip_ascii(s, at + n);
	}
	return s.n;
}

bool utf8_is_valid(struct str s)
{
	return utf8_valid_n(s) == s.n;
}

size_t utf8_count(struct str s)
{
	size_t count = 0;

	for (size_t at = 0; at < s.n; at++)
		count += ((unsigned char)s.p[at] & 0xc0) != 0x80;
	return count;
}

uint32_t utf8_next(struct str s, size_t *at)
{
	uint32_t code_point = 0;
	size_t n = utf8_decode(s, *at, &code_point);

	assert(n > 0);
	*at += n;
	return code_point;
}

void utf8_add(struct buf *buf, uint32_t c)
{
	char bytes[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	assert(c <= 0x10ffff);
	if (n == 1) {
		bytes[0] = (char)c;
	} else {
		for (size_t i = n - 1; i > 0; i--, c >>= 6)
			bytes[i] = (char)(0x80 | (c & 0x3f));
		bytes[0] = (char)((0xf00U >> n & 0xffU) | c);
	}
	buf_add(buf, (struct str){ bytes, n });
}

void hex_format(const uint8_t *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_parse(struct str text, uint8_t *bytes, size_t n)
{
	if (text.n != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(text.p[2 * i]), low = hex_value(text.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

void base64_add(struct buf *buf, struct str bytes)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < bytes.n; i += 3) {
		size_t left = bytes.n - i;
		uint32_t group = (uint32_t)(unsigned char)bytes.p[i] << 16;
		char out[4];

		if (left > 1)
			group |= (uint32_t)(unsigned char)bytes.p[i + 1] << 8;
		if (left > 2)
			group |= (unsigned char)bytes.p[i + 2];
		out[0] = alphabet[group >> 18];
		out[1] = alphabet[group >> 12 & 63];
		out[2] = left > 1 ? alphabet[group >> 6 & 63] : '=';
		out[3] = left > 2 ? alphabet[group & 63] : '=';
		buf_add(buf, (struct str){ out, 4 });
	}
}

int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* What Python's binascii does: a '=' counts only where padding may stand (third or fourth place of a group), and the
 * padding that completes a group ends the text; other bytes outside the alphabet are passed over. */
bool base64_decode(struct arena *arena, struct str text, struct str *bytes)
{
	char *out = arena_alloc(arena, text.n / 4 * 3 + 4);
	size_t n = 0;
	uint32_t group = 0;
	unsigned digits = 0, pads = 0;

	for (size_t i = 0; i < text.n; i++) {
		int value = base64_value(text.p[i]);

		if (text.p[i] == '=') {
			if (digits >= 2 && digits + ++pads >= 4)
				break;
			continue;
		}
		if (value < 0)
			continue;
		pads = 0;
		group = group << 6 | (uint32_t)value;
		digits++;
		if (digits == 4) {
			out[n++] = (char)(group >> 16);
			out[n++] = (char)(group >> 8);
			out[n++] = (char)group;
			group = digits = 0;
		}
	}
	if (digits != 0 && (digits == 1 || digits + pads < 4))
		return false;
	if (digits >= 2)
		out[n++] = (char)(group >> (digits == 2 ? 4 : 10));
	if (digits == 3)
		out[n++] = (char)(group >> 2);
	*bytes = (struct str){ out, n };
	return true;
}

void uuid_format(const uint8_t uuid[16], char *out)
{
	static const uint8_t parts[] = { 4, 2, 2, 2, 6 };

	for (size_t i = 0, at = 0; i < sizeof parts; i++) {
		if (i)
			*out++ = '-';
		hex_format(uuid + at, parts[i], out);
		out += 2 * parts[i];
		at += parts[i];
	}
}

bool uuid_parse(struct str text, uint8_t uuid[16])
{
	char digits[32];
	size_t n = 0;

	if (str_starts_with(text, STR("urn:")))
		text = str_slice(text, 4, text.n);
	if (str_starts_with(text, STR("uuid:")))
		text = str_slice(text, 5, text.n);
	while (text.n && (text.p[0] == '{' || text.p[0] == '}'))
		text = str_slice(text, 1, text.n);
	while (text.n && (text.p[text.n - 1] == '{' || text.p[text.n - 1] == '}'))
		text.n--;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '-')
			continue;
		if (n == sizeof digits)
			return false;
		digits[n++] = text.p[i];
	}
	return hex_parse((struct str){ digits, n }, uuid, 16);
}

void uuid_stamp(uint8_t uuid[16], unsigned version)
{
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | version << 4);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}
