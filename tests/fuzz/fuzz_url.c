/* SPDX-License-Identifier: BSD-3-Clause */
/* Endpoints: what is accepted gives a request line and a Host header of visible ASCII alone, means the same when it is
 * written out, has one lane per place, is no name that a resolver would take for a number, and a literal address that
 * the default policy allows is a public one. Webhook targets likewise hold no blanks. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <netdb.h>

#include "base/text.h"
#include "core/url.h"
#include "public.h"

static void check_visible(struct str s)
{
	assert(s.n > 0);
	for (size_t i = 0; i < s.n; i++)
		assert(s.p[i] > ' ' && s.p[i] < 0x7f);
}

/* getaddrinfo's numeric reading, which takes all the odd forms: 127.1, 0x7f000001, 017700000001. */
static bool is_numeric(struct str host, uint8_t v4[4])
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_family = AF_INET }, *found = NULL;
	char name[URL_BYTES_MAX + 1];

	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	if (getaddrinfo(name, NULL, &hints, &found) != 0)
		return false;
	memcpy(v4, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, 4);
	freeaddrinfo(found);
	return true;
}

static const struct egress_policy nothing_listed;

/* A final dot and case do not matter; the names of the machine itself are refused unless loopback is listed. */
static void check_name(struct str host, struct str undotted)
{
	static struct egress_policy loopback_listed;
	enum address_verdict verdict = address_judge_name(&nothing_listed, host);
	struct str localhost = STR(".localhost");
	bool is_local = str_equal_nocase(undotted, str_slice(localhost, 1, localhost.n)) ||
			(undotted.n > localhost.n &&
			 str_equal_nocase(str_slice(undotted, undotted.n - localhost.n, localhost.n), localhost));

	if (loopback_listed.allowed_n == 0)
		assert(egress_allow(&loopback_listed, STR("127.0.0.0/8")) &&
		       egress_allow(&loopback_listed, STR("::1")));
	assert(verdict == ADDRESS_ALLOWED || verdict == ADDRESS_DENIED || verdict == ADDRESS_DENIED_METADATA);
	assert(verdict == address_judge_name(&nothing_listed, undotted) && (!is_local || verdict == ADDRESS_DENIED));
	assert(verdict != ADDRESS_DENIED || address_judge_name(&loopback_listed, host) == ADDRESS_ALLOWED);
}

static void check_host(const struct url *url)
{
	struct str undotted = url->host;
	struct address address;
	uint8_t v4[4], v6[16];
	char name[64];

	if (url->host_kind == URL_HOST_NAME) {
		undotted.n -= str_ends_with(undotted, STR("."));
		assert(!is_numeric(url->host, v4) && !is_numeric(undotted, v4));
		check_name(url->host, undotted);
		return;
	}
	if (url->host_kind == URL_HOST_IPV4) {
		assert(is_numeric(url->host, v4) && memcmp(v4, url->address, 4) == 0);
	} else {
		assert(url->host.n < sizeof name);
		memcpy(name, url->host.p, url->host.n);
		name[url->host.n] = '\0';
		assert(inet_pton(AF_INET6, name, v6) == 1 && memcmp(v6, url->address, 16) == 0);
	}
	address = address_from_bytes(url->address, url->host_kind == URL_HOST_IPV6);
	if (address_judge(&nothing_listed, address, url->port) == ADDRESS_ALLOWED)
		assert(public_is(address) && public_port(url->port));
}

static void check_target(const struct url *url, struct str target)
{
	struct str rest = url->target;

	check_visible(target);
	assert(target.p[0] == '/' && str_find(target, '#') == target.n && str_find(target, '"') == target.n);
	assert(rest.n <= target.n && fuzz_is_inside(url->host, (struct str){ url->host.p, URL_BYTES_MAX }));
}

/* Written out and read again it is the same place and target, byte for byte. */
static void check_again(const struct url *url, struct str authority, struct str target)
{
	struct buf text, again_authority, again_target;
	struct url again;

	buf_init(&text, 4 * URL_BYTES_MAX);
	buf_init(&again_authority, URL_BYTES_MAX);
	buf_init(&again_target, 4 * URL_BYTES_MAX);
	buf_printf(&text, "%s://%.*s%.*s#x", url->is_https ? "HTTPS" : "HTTP", STR_ARG(authority), STR_ARG(target));
	if (text.n <= URL_BYTES_MAX) {
		assert(url_parse(buf_str(&text), &again));
		assert(again.is_https == url->is_https && again.host_kind == url->host_kind && again.port == url->port);
		assert(url_lane(&again) == url_lane(url) && str_equal_nocase(again.host, url->host));
		url_add_authority(&again_authority, &again);
		url_add_target(&again_target, &again);
		assert(str_equal(buf_str(&again_authority), authority) && str_equal(buf_str(&again_target), target));
		again.port ^= 1;
		assert(again.port == 0 || url_lane(&again) != url_lane(url));
	}
	buf_release(&text);
	buf_release(&again_authority);
	buf_release(&again_target);
}

static void check_endpoint(struct str text)
{
	struct buf authority, target;
	struct url url;

	if (!url_parse(text, &url))
		return;
	assert(text.n <= URL_BYTES_MAX && utf8_is_valid(text) && url.port > 0 && url_lane(&url) >= 0);
	assert(fuzz_is_inside(url.host, text) && (url.target.n == 0 || fuzz_is_inside(url.target, text)));
	buf_init(&authority, URL_BYTES_MAX);
	buf_init(&target, 4 * URL_BYTES_MAX);
	url_add_authority(&authority, &url);
	url_add_target(&target, &url);
	assert(!authority.failed && !target.failed);
	check_visible(buf_str(&authority));
	assert(str_find(buf_str(&authority), '@') == authority.n && str_find(buf_str(&authority), '/') == authority.n);
	check_target(&url, buf_str(&target));
	check_host(&url);
	check_again(&url, buf_str(&authority), buf_str(&target));
	buf_release(&authority);
	buf_release(&target);
}

static void check_webhook_target(struct str text)
{
	if (!url_is_webhook_target(text))
		return;
	assert(utf8_is_valid(text) && text.n > 7 && memmem(text.p, text.n, "://", 3));
	for (size_t i = 0; i < text.n; i++)
		assert(text.p[i] != ' ' && (text.p[i] < '\t' || text.p[i] > '\r'));
	assert(strchr("hHfF", text.p[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = fuzz_copy((struct str){ (const char *)data, size });

	check_endpoint(text);
	check_webhook_target(text);
	fuzz_free(text);
	return 0;
}
