/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads an endpoint's URL once, strictly, so that what was checked is what will be called.
 *
 * Every form that two parsers could read differently is refused, not repaired: userinfo, backslashes, blanks, percent
 * escapes and non-ASCII in the host, numeric hosts that are no dotted quad. Invariant: an accepted host is a name, an
 * IPv4 or an IPv6 literal, never something a resolver would read as a number. */
#include "core/url.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/crypto.h"
#include "base/text.h"

enum { HOST_BYTES_MAX = 253, LABEL_BYTES_MAX = 63, LITERAL_BYTES_MAX = 45 };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_hex(char c)
{
	return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}

/* inet_pton takes strict forms only: four decimal numbers without leading zeros, no zone. */
static bool parse_literal(struct str text, int family, uint8_t address[16])
{
	char copy[LITERAL_BYTES_MAX + 1];

	if (text.n == 0 || text.n > LITERAL_BYTES_MAX || memchr(text.p, '\0', text.n))
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	return inet_pton(family, copy, address) == 1;
}

/* A last label that some resolver would take for a number: 1, 0177, 0x7f, 0x. */
static bool is_numeric(struct str label)
{
	bool is_prefixed = label.n >= 2 && label.p[0] == '0' && lower(label.p[1]) == 'x';

	for (size_t i = is_prefixed ? 2 : 0; i < label.n; i++)
		if (is_prefixed ? !is_hex(label.p[i]) : !is_digit(label.p[i]))
			return false;
	return true;
}

static bool is_label(struct str label)
{
	if (label.n == 0 || label.n > LABEL_BYTES_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (!is_letter(label.p[i]) && !is_digit(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
			return false;
	return true;
}

static struct str without_final_dot(struct str host)
{
	return str_ends_with(host, STR(".")) ? str_slice(host, 0, host.n - 1) : host;
}

static bool is_host_name(struct str host)
{
	struct str rest = without_final_dot(host), label;

	if (rest.n == 0 || rest.n > HOST_BYTES_MAX)
		return false;
	do {
		label = str_split(rest, '.', &rest);
		if (!is_label(label))
			return false;
	} while (rest.p);
	return !is_numeric(label);
}

static bool parse_port(struct str text, uint16_t *port)
{
	uint64_t number;

	if (text.n == 0 || text.n > 5 || text.p[0] == '0' || !str_to_u64(text, &number) || number > UINT16_MAX)
		return false;
	*port = (uint16_t)number;
	return true;
}

static bool parse_host(struct str host, struct url *url)
{
	url->host = host;
	if (parse_literal(host, AF_INET, url->address))
		url->host_kind = URL_HOST_IPV4;
	else if (is_host_name(host))
		url->host_kind = URL_HOST_NAME;
	else
		return false;
	return true;
}

/* "host", "host:port", "[v6]", "[v6]:port". A userinfo part fails here: '@' stands in no host and no port. */
static bool parse_authority(struct str authority, struct url *url)
{
	struct str port;

	if (str_starts_with(authority, STR("["))) {
		size_t end = str_find(authority, ']');

		url->host = str_slice(authority, 1, end - 1);
		url->host_kind = URL_HOST_IPV6;
		if (end == authority.n || !parse_literal(url->host, AF_INET6, url->address))
			return false;
		port = str_slice(authority, end + 1, authority.n);
		if (port.n > 0 && port.p[0] != ':')
			return false;
		url->port_written = port.n > 0;
		port = str_slice(port, 1, port.n);
	} else {
		if (!parse_host(str_split(authority, ':', &port), url))
			return false;
		url->port_written = port.p != NULL;
	}
	return !url->port_written || parse_port(port, &url->port);
}

static bool has_forbidden_byte(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c <= ' ' || c == 0x7f || c == '\\')
			return true;
	}
	return false;
}

static size_t find_any(struct str text, const char *bytes)
{
	size_t i = 0;

	while (i < text.n && (text.p[i] == '\0' || !strchr(bytes, text.p[i])))
		i++;
	return i;
}

bool url_parse(struct str text, struct url *url)
{
	struct str rest;
	size_t scheme_n;

	*url = (struct url){ 0 };
	if (text.n > URL_BYTES_MAX || has_forbidden_byte(text) || !utf8_is_valid(text))
		return false;
	url->is_https = str_equal_nocase(str_slice(text, 0, 8), STR("https://"));
	if (!url->is_https && !str_equal_nocase(str_slice(text, 0, 7), STR("http://")))
		return false;
	url->port = url->is_https ? 443 : 80;
	scheme_n = url->is_https ? 8 : 7;
	rest = str_slice(text, scheme_n, text.n);
	size_t authority_n = find_any(rest, "/?#");

	if (!parse_authority(str_slice(rest, 0, authority_n), url))
		return false;
	rest = str_slice(rest, authority_n, rest.n);
	url->target = str_slice(rest, 0, str_find(rest, '#'));
	assert(url->port != 0 && url->host.n > 0);
	return true;
}

/* RFC 3986: what may stand in a path or query as it is; '%' is judged by what follows it. */
static bool is_target_byte(char c)
{
	return is_letter(c) || is_digit(c) || (c != '\0' && strchr("-._~!$&'()*+,;=:@/?[]", c));
}

static bool is_escape(struct str target, size_t at)
{
	return target.p[at] == '%' && at + 2 < target.n && is_hex(target.p[at + 1]) && is_hex(target.p[at + 2]);
}

void url_add_target(struct buf *buf, const struct url *url)
{
	struct str target = url->target;

	if (target.n == 0 || target.p[0] != '/')
		buf_add_char(buf, '/');
	for (size_t i = 0; i < target.n; i++) {
		if (is_target_byte(target.p[i]) || is_escape(target, i))
			buf_add_char(buf, target.p[i]);
		else
			buf_printf(buf, "%%%02X", (unsigned)(unsigned char)target.p[i]);
	}
}

void url_add_authority(struct buf *buf, const struct url *url)
{
	bool is_default = url->port == (url->is_https ? 443 : 80);

	if (url->host_kind == URL_HOST_IPV6)
		buf_add_char(buf, '[');
	for (size_t i = 0; i < url->host.n; i++)
		buf_add_char(buf, lower(url->host.p[i]));
	if (url->host_kind == URL_HOST_IPV6)
		buf_add_char(buf, ']');
	if (!is_default)
		buf_printf(buf, ":%u", (unsigned)url->port);
}

/* A digest, not a quick hash: nobody can choose a host name that lands in somebody else's lane. */
int64_t url_lane(const struct url *url)
{
	uint8_t digest[DIGEST_BYTES];
	char key[4 + HOST_BYTES_MAX];
	struct str host = without_final_dot(url->host);
	uint64_t lane = 0;

	assert(host.n <= HOST_BYTES_MAX);
	key[0] = url->is_https ? 's' : 'p';
	key[1] = (char)(url->port >> 8);
	key[2] = (char)(url->port & 0xff);
	key[3] = (char)('0' + url->host_kind);
	if (url->host_kind == URL_HOST_NAME) {
		for (size_t i = 0; i < host.n; i++)
			key[4 + i] = lower(host.p[i]);
	} else {
		host.n = url->host_kind == URL_HOST_IPV4 ? 4 : 16;
		memcpy(key + 4, url->address, host.n);
	}
	sha256((struct str){ key, 4 + host.n }, digest);
	for (size_t i = 0; i < sizeof lane; i++)
		lane = lane << 8 | digest[i];
	return (int64_t)(lane & INT64_MAX);
}

/* What Python's \s matches, Unicode's blanks included. */
static bool is_blank(uint32_t c)
{
	return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f) || c == 0x85 || c == 0xa0 ||
	       c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

static bool has_blank(struct str text)
{
	for (size_t at = 0; at < text.n;)
		if (is_blank(utf8_next(text, &at)))
			return true;
	return false;
}

/* Letters, digits and inner hyphens, 1 to 63 code points; letters beyond ASCII from U+00A1 on. With `is_last`: 2 or
 * more, and no digit unless it is an A-label. */
static bool is_webhook_label(struct str label, bool is_last)
{
	bool may_have_digits = !is_last || (label.n > 4 && str_equal_nocase(str_slice(label, 0, 4), STR("xn--")));
	size_t count = 0;

	if (label.n == 0 || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t at = 0; at < label.n; count++) {
		uint32_t c = utf8_next(label, &at);

		if (c >= 0x80 ? c < 0xa1 : !is_letter((char)c) && c != '-' && !(is_digit((char)c) && may_have_digits))
			return false;
	}
	return count <= LABEL_BYTES_MAX && count >= (is_last ? 2 : 1);
}

static bool is_webhook_name(struct str host)
{
	struct str rest = without_final_dot(host), label;
	bool has_dot = false;

	if (str_equal_nocase(host, STR("localhost")))
		return true;
	for (;;) {
		label = str_split(rest, '.', &rest);
		if (!rest.p)
			return has_dot && is_webhook_label(label, true);
		if (!is_webhook_label(label, false))
			return false;
		has_dot = true;
	}
}

/* 0-255 four times; up to three digits each, leading zeros allowed. */
static bool is_webhook_quad(struct str host)
{
	struct str rest = host;
	unsigned parts = 0;

	do {
		struct str part = str_split(rest, '.', &rest);
		uint64_t number;

		if (part.n > 3 || !str_to_u64(part, &number) || number > 255)
			return false;
		parts++;
	} while (rest.p);
	return parts == 4;
}

static bool is_webhook_place(struct str place)
{
	uint8_t address[16];
	size_t end = str_starts_with(place, STR("[")) ? str_find(place, ']') + 1 : str_find(place, ':');
	struct str host = str_slice(place, 0, end), port = str_slice(place, end, place.n);

	if (port.n > 0) {
		uint64_t number;

		if (port.p[0] != ':' || port.n < 3 || port.n > 6 || !str_to_u64(str_slice(port, 1, port.n), &number))
			return false;
	}
	if (str_starts_with(host, STR("[")))
		return str_ends_with(host, STR("]")) &&
		       parse_literal(str_slice(host, 1, host.n - 2), AF_INET6, address);
	return is_webhook_quad(host) || is_webhook_name(host);
}

static bool is_webhook_scheme(struct str scheme)
{
	static const char *const schemes[] = { "http", "https", "ftp", "ftps" };

	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (str_equal_nocase(scheme, str_from(schemes[i])))
			return true;
	return false;
}

bool url_is_webhook_target(struct str text)
{
	size_t scheme_n = str_find(text, ':'), at;
	struct str rest = str_slice(text, scheme_n, text.n), user, password;

	if (!utf8_is_valid(text) || has_blank(text) || !is_webhook_scheme(str_slice(text, 0, scheme_n)) ||
	    !str_starts_with(rest, STR("://")))
		return false;
	rest = str_slice(rest, 3, rest.n);
	at = find_any(rest, "@/");
	if (at < rest.n && rest.p[at] == '@') {
		user = str_split(str_slice(rest, 0, at), ':', &password);
		struct str behind = str_slice(rest, at + 1, rest.n);

		if (user.n > 0 && str_find(password, ':') == password.n &&
		    is_webhook_place(str_slice(behind, 0, find_any(behind, "/?#"))))
			return true;
	}
	return is_webhook_place(str_slice(rest, 0, find_any(rest, "/?#")));
}
