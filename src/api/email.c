/* SPDX-License-Identifier: BSD-3-Clause */
/* Judges an address: a local part, the last '@', a domain, an address literal or localhost. */
#include "api/email.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

enum { LABEL_BYTES_MAX = 63, LITERAL_BYTES_MAX = 45 };

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_atom_character(char c)
{
	return is_alphanumeric(c) || (c && strchr("-!#$%&'*+/=?^_{}|~`", c));
}

static bool is_dot_atoms(struct str text)
{
	for (struct str rest = text; rest.p;) {
		struct str atom = str_split(rest, '.', &rest);

		if (atom.n == 0)
			return false;
		for (size_t i = 0; i < atom.n; i++)
			if (!is_atom_character(atom.p[i]))
				return false;
	}
	return text.n > 0;
}

/* Inside the quotes: any ASCII but NUL, line ends, tab, blank, '"' and '\'; a backslash allows the tab, the blank and
 * these two. */
static bool is_quoted_string(struct str text)
{
	if (text.n < 2 || text.p[0] != '"' || text.p[text.n - 1] != '"')
		return false;
	for (size_t i = 1; i + 1 < text.n; i++) {
		bool is_escaped = text.p[i] == '\\';
		unsigned char c;

		if (is_escaped && ++i + 1 >= text.n)
			return false;
		c = (unsigned char)text.p[i];
		if (c == 0 || c > 0x7F || c == '\n' || c == '\r')
			return false;
		if (!is_escaped && (c == '\t' || c == ' ' || c == '"'))
			return false;
	}
	return true;
}

/* Bytes beyond ASCII stand for an internationalised label, which is taken. White space beyond ASCII is not: it starts
 * with U+0085, U+00A0, U+1680, U+20xx or U+3000. */
static bool is_label_character(char c)
{
	return is_alphanumeric(c) || c == '-' || (c & 0x80);
}

static bool label_is_valid(struct str label, bool is_last)
{
	if (label.n < (is_last ? 2U : 1U) || label.n > LABEL_BYTES_MAX)
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (!is_label_character(label.p[i]))
			return false;
	return label.p[label.n - 1] != '-' && (is_last || label.p[0] != '-');
}

static bool has_wide_blank(struct str text)
{
	static const char *const blanks[] = { "\xC2\x85", "\xC2\xA0",	  "\xE1\x9A\x80",
					      "\xE2\x80", "\xE2\x81\x9F", "\xE3\x80\x80" };

	for (size_t i = 0; i < sizeof blanks / sizeof blanks[0]; i++)
		if (memmem(text.p, text.n, blanks[i], strlen(blanks[i])))
			return true;
	return false;
}

static bool is_dotted_name(struct str domain)
{
	size_t labels = 0;

	for (struct str rest = domain; rest.p; labels++) {
		struct str label = str_split(rest, '.', &rest);

		if (!label_is_valid(label, !rest.p))
			return false;
	}
	return labels >= 2 && !has_wide_blank(domain);
}

static bool is_address_literal(struct str domain)
{
	char text[LITERAL_BYTES_MAX + 1];
	unsigned char bytes[16];

	if (domain.n < 3 || domain.n - 2 > LITERAL_BYTES_MAX || domain.p[0] != '[' || domain.p[domain.n - 1] != ']')
		return false;
	memcpy(text, domain.p + 1, domain.n - 2);
	text[domain.n - 2] = '\0';
	return strlen(text) == domain.n - 2 &&
	       (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1);
}

static size_t last_at(struct str text)
{
	const char *at = text.n ? memrchr(text.p, '@', text.n) : NULL;

	return at ? (size_t)(at - text.p) : text.n;
}

bool email_is_valid(struct str text)
{
	size_t at = last_at(text);
	struct str local = str_slice(text, 0, at), domain = str_slice(text, at + 1, text.n);

	if (at == text.n || !(is_dot_atoms(local) || is_quoted_string(local)))
		return false;
	return str_equal(domain, STR("localhost")) || is_dotted_name(domain) || is_address_literal(domain);
}

struct str email_normalise(struct arena *arena, struct str email)
{
	assert(email.n < SIZE_MAX);
	char *out = arena_alloc(arena, email.n + 1);

	memcpy(out, email.p, email.n);
	for (size_t i = last_at(email); i < email.n; i++)
		if (out[i] >= 'A' && out[i] <= 'Z')
			out[i] = (char)(out[i] - 'A' + 'a');
	return (struct str){ out, email.n };
}
