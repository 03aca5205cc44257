/* SPDX-License-Identifier: BSD-3-Clause */
/* The egress table (docs/design/egress.md) row by row, through the same two steps as in production: read the URL, judge
 * name or address.
 *
 * Rows about lookups (27-32) are judged here on the addresses that a lookup would bring; the connection itself is
 * tested with real sockets elsewhere. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/url.h"

#define N(array) (sizeof(array) / sizeof(array)[0])

/* 400 = no URL at all; NAME = a name that passes: its addresses will be judged. */
enum verdict { ALLOW, DENY, DENY_PORT, DENY_METADATA, DENY_OWN, REFUSE_400, NAME };

static const char *const verdict_names[] = { "allow", "deny", "deny port", "deny metadata", "deny own", "400", "name" };

static enum verdict judge(const struct egress_policy *policy, struct str text)
{
	struct url url;
	enum address_verdict verdict;

	if (!url_parse(text, &url))
		return REFUSE_400;
	if (url.host_kind != URL_HOST_NAME)
		return (enum verdict)address_judge(
			policy, address_from_bytes(url.address, url.host_kind == URL_HOST_IPV6), url.port);
	verdict = address_judge_name(policy, url.host);
	return verdict == ADDRESS_ALLOWED ? NAME : (enum verdict)verdict;
}

static struct address address_of(const char *text)
{
	uint8_t bytes[16];
	bool is_v6 = strchr(text, ':') != NULL;

	assert_int_equal(inet_pton(is_v6 ? AF_INET6 : AF_INET, text, bytes), 1);
	return address_from_bytes(bytes, is_v6);
}

static void allow(struct egress_policy *policy, const char *cidr)
{
	if (!egress_allow(policy, str_from(cidr)))
		fail_msg("egress_allow refuses %s", cidr);
}

struct row {
	int row;
	const char *text;
	enum verdict verdict;
};

static void check_rows(const struct egress_policy *policy, const struct row *rows, size_t rows_n)
{
	for (size_t i = 0; i < rows_n; i++) {
		enum verdict verdict = judge(policy, str_from(rows[i].text));

		if (verdict != rows[i].verdict)
			fail_msg("row %d: %s is \"%s\", not \"%s\"", rows[i].row, rows[i].text, verdict_names[verdict],
				 verdict_names[rows[i].verdict]);
	}
}

static void test_default_policy(void **state)
{
	static const struct row rows[] = {
		{ 1, "http://127.0.0.1/", DENY },
		{ 2, "http://127.1/", REFUSE_400 },
		{ 2, "http://127.0.1/", REFUSE_400 },
		{ 3, "http://2130706433/", REFUSE_400 },
		{ 4, "http://0x7f000001/", REFUSE_400 },
		{ 4, "http://0x7f.0.0.1/", REFUSE_400 },
		{ 5, "http://0177.0.0.1/", REFUSE_400 },
		{ 5, "http://017700000001/", REFUSE_400 },
		{ 6, "http://0/", REFUSE_400 },
		{ 6, "http://0.0.0.0/", DENY },
		{ 6, "http://0.1.2.3/", DENY },
		{ 7, "http://127.127.127.127/", DENY },
		{ 8, "http://localhost/", DENY },
		{ 8, "http://LOCALHOST./", DENY },
		{ 8, "http://foo.localhost/", DENY },
		{ 8, "http://a.b.LocalHost.:8080/", DENY },
		{ 8, "http://ip6-localhost/", DENY },
		{ 8, "http://localhost.localdomain/", DENY },
		{ 8, "http://notlocalhost/", NAME },
		{ 8, "http://localhost.example.com/", NAME },
		{ 9, "http://[::1]/", DENY },
		{ 9, "http://[0:0:0:0:0:0:0:1]/", DENY },
		{ 10, "http://[::]/", DENY },
		{ 11, "http://[::ffff:127.0.0.1]/", DENY },
		{ 11, "http://[::ffff:7f00:1]/", DENY },
		{ 12, "http://[::127.0.0.1]/", DENY },
		{ 12, "http://[::8.8.8.8]/", DENY },
		{ 13, "http://[64:ff9b::7f00:1]/", DENY },
		{ 13, "http://[64:ff9b::8.8.8.8]/", DENY },
		{ 13, "http://[64:ff9b:1::1]/", DENY },
		{ 14, "http://[2002:7f00:1::]/", DENY },
		{ 14, "http://[2002:808:808::1]/", DENY },
		{ 15, "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", DENY },
		{ 15, "http://[2001:2::1]/", DENY },
		{ 15, "http://[2001:10::1]/", DENY },
		{ 15, "http://[2001:20::1]/", DENY },
		{ 15, "http://[2001:1ff:ffff::1]/", DENY },
		{ 15, "http://[2001:200::1]/", ALLOW },
		{ 16, "http://[fe80::1]/", DENY },
		{ 16, "http://[fe80::1%25lo]/", REFUSE_400 },
		{ 17, "http://[fd00:ec2::254]/", DENY_METADATA },
		{ 17, "http://[fc00::1]/", DENY },
		{ 17, "http://[fdff:ffff::1]/", DENY },
		{ 18, "http://[fec0::1]/", DENY },
		{ 18, "http://[ff02::1]/", DENY },
		{ 19, "http://[2001:db8::1]/", DENY },
		{ 19, "http://[3fff::1]/", DENY },
		{ 19, "http://[3fff:fff:ffff::1]/", DENY },
		{ 19, "http://[3fff:1000::1]/", ALLOW },
		{ 19, "http://[100::1]/", DENY },
		{ 19, "http://[5f00::1]/", DENY },
		{ 19, "http://[4000::1]/", DENY },
		{ 19, "http://[1fff:ffff::1]/", DENY },
		{ 20, "http://169.254.169.254/", DENY_METADATA },
		{ 20, "http://[::ffff:169.254.169.254]/", DENY_METADATA },
		{ 20, "http://2852039166/", REFUSE_400 },
		{ 21, "http://169.254.170.2/", DENY_METADATA },
		{ 21, "http://100.100.100.200/", DENY_METADATA },
		{ 21, "http://169.254.169.253/", DENY_METADATA },
		{ 21, "http://168.63.129.16/", DENY_METADATA },
		{ 21, "http://[fd20:ce::254]/", DENY_METADATA },
		{ 22, "http://metadata.google.internal/", DENY_METADATA },
		{ 22, "http://Metadata.Google.Internal./", DENY_METADATA },
		{ 22, "http://metadata/", DENY_METADATA },
		{ 22, "http://metadata.example.com/", NAME },
		{ 23, "http://10.0.0.1/", DENY },
		{ 23, "http://172.16.0.1/", DENY },
		{ 23, "http://172.31.255.255/", DENY },
		{ 23, "http://172.15.255.255/", ALLOW },
		{ 23, "http://172.32.0.0/", ALLOW },
		{ 23, "http://192.168.0.1/", DENY },
		{ 24, "http://100.64.0.1/", DENY },
		{ 24, "http://100.127.255.255/", DENY },
		{ 24, "http://100.128.0.1/", ALLOW },
		{ 24, "http://100.63.255.255/", ALLOW },
		{ 24, "http://198.18.0.1/", DENY },
		{ 24, "http://198.19.255.255/", DENY },
		{ 24, "http://198.20.0.1/", ALLOW },
		{ 24, "http://192.0.0.1/", DENY },
		{ 24, "http://192.0.1.1/", ALLOW },
		{ 24, "http://192.88.99.1/", DENY },
		{ 25, "http://224.0.0.1/", DENY },
		{ 25, "http://239.255.255.255/", DENY },
		{ 25, "http://223.255.255.255/", ALLOW },
		{ 25, "http://240.0.0.1/", DENY },
		{ 25, "http://255.255.255.255/", DENY },
		{ 26, "http://192.0.2.1/", DENY },
		{ 26, "http://198.51.100.1/", DENY },
		{ 26, "http://203.0.113.1/", DENY },
		{ 27, "http://127.0.0.1.nip.io/", NAME },
		{ 33, "http://user:pw@host/", REFUSE_400 },
		{ 34, "http://good.com@127.0.0.1/", REFUSE_400 },
		{ 34, "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/", REFUSE_400 },
		{ 35, "http://good.com\\@127.0.0.1/", REFUSE_400 },
		{ 35, "http://good.com/\r\n", REFUSE_400 },
		{ 36, "http://127.0.0.1%2f@x", REFUSE_400 },
		{ 37,
		  "http://127\xe3\x80\x82"
		  "0.0.1/",
		  REFUSE_400 },
		{ 38, "file:///etc/passwd", REFUSE_400 },
		{ 38, "gopher://x/", REFUSE_400 },
		{ 39, "http:///x", REFUSE_400 },
		{ 39, "http://a:65536", REFUSE_400 },
		{ 40, "http://1.1.1.1:22/", DENY_PORT },
		{ 40, "http://1.1.1.1:25/", DENY_PORT },
		{ 40, "http://1.1.1.1:53/", DENY_PORT },
		{ 40, "http://1.1.1.1:110/", DENY_PORT },
		{ 40, "http://1.1.1.1:143/", DENY_PORT },
		{ 40, "http://1.1.1.1:389/", DENY_PORT },
		{ 40, "http://1.1.1.1:445/", DENY_PORT },
		{ 40, "http://1.1.1.1:1023/", DENY_PORT },
		{ 40, "http://1.1.1.1:1/", DENY_PORT },
		{ 40, "http://1.1.1.1:1024/", ALLOW },
		{ 40, "http://1.1.1.1:65535/", ALLOW },
		{ 40, "https://1.1.1.1:80/", ALLOW },
		{ 40, "http://1.1.1.1:443/", ALLOW },
		{ 42, "http+unix://%2Fx/", REFUSE_400 },
		{ 43, "http://256.1.1.1/", REFUSE_400 },
		{ 43, "http://1.2.3.4.5/", REFUSE_400 },
		{ 43, "http://08.0.0.1/", REFUSE_400 },
		{ 43, "http://1.2.3./", REFUSE_400 },
		{ 44, "https://93.184.216.34/", ALLOW },
		{ 45, "https://example.com./", NAME },
		{ 45, "https://xn--bcher-kva.example/", NAME },
		{ 46, "http://[2001:4860:4860::8888]/", ALLOW },
		{ 46, "http://[::ffff:8.8.8.8]/", ALLOW },
	};
	static const struct egress_policy policy;

	(void)state;
	check_rows(&policy, rows, N(rows));
}

/* Rows 27 to 30 and 32: whatever brought the address, it is judged by its bytes alone, and one bad one among good ones
 * stays bad. */
static void test_answers_of_lookups(void **state)
{
	static const struct {
		int row;
		const char *address;
		enum address_verdict verdict;
	} rows[] = {
		{ 27, "127.0.0.1", ADDRESS_DENIED },
		{ 28, "93.184.216.34", ADDRESS_ALLOWED },
		{ 28, "10.0.0.1", ADDRESS_DENIED },
		{ 29, "127.0.0.1", ADDRESS_DENIED },
		{ 30, "169.254.169.254", ADDRESS_DENIED_METADATA },
		{ 32, "192.168.1.1", ADDRESS_DENIED },
		{ 32, "::ffff:10.0.0.1", ADDRESS_DENIED },
		{ 32, "2606:4700::1111", ADDRESS_ALLOWED },
	};
	static const struct egress_policy policy;

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (address_judge(&policy, address_of(rows[i].address), 443) != rows[i].verdict)
			fail_msg("row %d: %s", rows[i].row, rows[i].address);
}

static void test_allowed_networks(void **state)
{
	static const struct row rows[] = {
		{ 1, "http://127.0.0.1/", ALLOW },
		{ 1, "http://127.0.0.1:22/", ALLOW },
		{ 8, "http://localhost/", NAME },
		{ 8, "http://foo.localhost/", NAME },
		{ 9, "http://[::1]:22/", ALLOW },
		{ 11, "http://[::ffff:127.0.0.1]:1/", ALLOW },
		{ 6, "http://0.0.0.0/", DENY },
		{ 16, "http://[fe80::1]/", DENY },
		{ 17, "http://[fd12::1]:25/", ALLOW },
		{ 17, "http://[fd00:ec2::254]/", DENY_METADATA },
		{ 20, "http://169.254.169.254/", DENY_METADATA },
		{ 20, "http://169.254.1.1/", ALLOW },
		{ 21, "http://100.100.100.200/", ALLOW },
		{ 22, "http://metadata.google.internal/", NAME },
		{ 23, "http://10.255.0.1:25/", ALLOW },
		{ 23, "http://192.168.1.5/", ALLOW },
		{ 23, "http://192.168.1.6/", DENY },
		{ 40, "http://1.1.1.1:25/", DENY_PORT },
		{ 44, "http://1.1.1.1/", ALLOW },
		{ 40, "http://8.8.8.8:25/", ALLOW },
	};
	struct egress_policy policy = { 0 };

	(void)state;
	allow(&policy, "127.0.0.0/8");
	allow(&policy, "10.0.0.0/8");
	allow(&policy, "192.168.1.5");
	allow(&policy, "fd00::/8");
	allow(&policy, "169.254.0.0/16");
	allow(&policy, "100.100.100.200/32");
	allow(&policy, "::ffff:8.8.8.0/120");
	check_rows(&policy, rows, N(rows));
}

/* `localhost` is 127.0.0.1 and ::1; who lists the first alone gets the first alone. */
static void test_both_loopbacks(void **state)
{
	static const struct {
		const char *cidr;
		enum address_verdict v4, v6, mapped_other;
	} rows[] = {
		{ "127.0.0.0/8", ADDRESS_ALLOWED, ADDRESS_ALLOWED, ADDRESS_ALLOWED },
		{ "0.0.0.0/0", ADDRESS_ALLOWED, ADDRESS_ALLOWED, ADDRESS_ALLOWED },
		{ "127.0.0.0/9", ADDRESS_ALLOWED, ADDRESS_DENIED, ADDRESS_ALLOWED },
		{ "127.0.0.1", ADDRESS_ALLOWED, ADDRESS_DENIED, ADDRESS_DENIED },
		{ "10.0.0.0/8", ADDRESS_DENIED, ADDRESS_DENIED, ADDRESS_DENIED },
		{ "::1", ADDRESS_DENIED, ADDRESS_ALLOWED, ADDRESS_DENIED },
		{ "::/0", ADDRESS_DENIED, ADDRESS_ALLOWED, ADDRESS_DENIED },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct egress_policy policy = { 0 };

		allow(&policy, rows[i].cidr);
		assert_int_equal(address_judge(&policy, address_of("127.0.0.1"), 25), rows[i].v4);
		assert_int_equal(address_judge(&policy, address_of("::1"), 25), rows[i].v6);
		assert_int_equal(address_judge(&policy, address_of("::ffff:127.0.0.2"), 25), rows[i].mapped_other);
		assert_int_equal(address_judge(&policy, address_of("fe80::1"), 25),
				 i == 6 ? ADDRESS_ALLOWED : ADDRESS_DENIED);
	}
}

/* The name passes as soon as one of its addresses could; they are judged when they are known. */
static void test_the_name_of_the_loopback(void **state)
{
	static const struct {
		const char *cidr;
		enum address_verdict verdict;
	} rows[] = {
		{ "127.0.0.0/8", ADDRESS_ALLOWED }, { "127.0.0.1", ADDRESS_ALLOWED }, { "0.0.0.0/0", ADDRESS_ALLOWED },
		{ "::1", ADDRESS_ALLOWED },	    { "::/0", ADDRESS_ALLOWED },      { "::/64", ADDRESS_ALLOWED },
		{ "10.0.0.0/8", ADDRESS_DENIED },   { "fd00::/8", ADDRESS_DENIED },   { "::2", ADDRESS_DENIED },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct egress_policy policy = { 0 };

		allow(&policy, rows[i].cidr);
		if (address_judge_name(&policy, STR("localhost")) != rows[i].verdict)
			fail_msg("localhost with %s", rows[i].cidr);
	}
}

static void test_whole_internet_still_spares_metadata(void **state)
{
	static const struct row rows[] = {
		{ 1, "http://127.0.0.1:1/", ALLOW },
		{ 9, "http://[::1]/", ALLOW },
		{ 8, "http://localhost/", NAME },
		{ 20, "http://169.254.169.254/", DENY_METADATA },
		{ 17, "http://[fd00:ec2::254]/", DENY_METADATA },
		{ 22, "http://metadata.google.internal/", DENY_METADATA },
	};
	struct egress_policy policy = { 0 };

	(void)state;
	allow(&policy, "0.0.0.0/0");
	allow(&policy, "::/0");
	check_rows(&policy, rows, N(rows));
	assert_int_equal(address_judge(&policy, address_of("10.0.0.1"), 0), ADDRESS_DENIED_PORT);
}

static void test_metadata_listed_one_by_one(void **state)
{
	static const struct row rows[] = {
		{ 20, "http://169.254.169.254/", ALLOW },
		{ 20, "http://[::ffff:169.254.169.254]/", ALLOW },
		{ 17, "http://[fd00:ec2::254]/", ALLOW },
		{ 21, "http://169.254.170.2/", DENY_METADATA },
	};
	struct egress_policy policy = { 0 };

	(void)state;
	allow(&policy, "169.254.169.254");
	allow(&policy, "fd00:ec2::254/128");
	check_rows(&policy, rows, N(rows));
}

/* Row 41. */
static void test_own_listeners(void **state)
{
	static const struct row rows[] = {
		{ 41, "http://127.0.0.1:8000/", DENY_OWN }, { 41, "http://[::ffff:127.0.0.1]:8000/", DENY_OWN },
		{ 41, "http://0.0.0.0:8000/", DENY_OWN },   { 41, "http://127.0.0.1:8001/", ALLOW },
		{ 41, "http://127.0.0.2:8000/", ALLOW },    { 41, "http://10.0.0.1:8000/", ALLOW },
		{ 41, "http://127.0.0.2:9000/", DENY_OWN }, { 41, "http://127.0.0.1:9000/", DENY_OWN },
		{ 41, "http://[::1]:9000/", DENY_OWN },	    { 41, "http://[::]:9000/", DENY_OWN },
		{ 41, "http://10.0.0.1:9000/", ALLOW },	    { 41, "http://10.0.0.9:9100/", DENY_OWN },
		{ 41, "http://10.0.0.8:9100/", ALLOW },
	};
	struct egress_policy policy = { 0 };

	(void)state;
	allow(&policy, "127.0.0.0/8");
	allow(&policy, "10.0.0.0/8");
	allow(&policy, "::1");
	policy.own[0].address = address_of("127.0.0.1");
	policy.own[0].port = 8000;
	policy.own[1].any_address = true;
	policy.own[1].port = 9000;
	policy.own[2].address = address_of("10.0.0.9");
	policy.own[2].port = 9100;
	policy.own_n = 3;
	check_rows(&policy, rows, N(rows));
}

static void test_networks_that_are_none(void **state)
{
	static const char *const texts[] = { "",
					     "/",
					     "10.0.0.0/",
					     "10.0.0.0/33",
					     "10.0.0.1/8",
					     "10.0.0.0/-1",
					     "10.0.0.0/+8",
					     "10.0.0.0/8/8",
					     "10.0.0/8",
					     "10.0.0.0/ 8",
					     "x",
					     "fd00::/129",
					     "fd00::1/8",
					     "::ffff:10.0.0.0/95",
					     "::ffff:10.0.0.1/104",
					     "010.0.0.0/8",
					     "10.0.0.0/0008",
					     "[fd00::]/8",
					     "127.0.0.1:80",
					     "localhost",
					     "fe80::1%lo",
					     "0000:0000:0000:0000:0000:0000:0000:0000:0000:00" };
	struct egress_policy policy = { 0 };

	(void)state;
	for (size_t i = 0; i < N(texts); i++)
		if (egress_allow(&policy, str_from(texts[i])))
			fail_msg("taken for a network: \"%s\"", texts[i]);
	assert_false(egress_allow(&policy, STR("10.0.0.0\0/8")));
	assert_int_equal(policy.allowed_n, 0);
	for (unsigned i = 0; i < EGRESS_NETWORKS_MAX; i++)
		allow(&policy, "10.0.0.0/8");
	assert_false(egress_allow(&policy, STR("10.0.0.0/8")));
	assert_int_equal(policy.allowed_n, EGRESS_NETWORKS_MAX);
}

static void test_remedy_is_what_would_allow_it(void **state)
{
	static const struct {
		const char *address, *text;
	} rows[] = {
		{ "127.0.0.1", "--egress-allow 127.0.0.0/8" },
		{ "::ffff:127.9.9.9", "--egress-allow 127.0.0.0/8" },
		{ "10.1.2.3", "--egress-allow 10.1.2.3/32" },
		{ "169.254.169.254", "--egress-allow 169.254.169.254/32" },
		{ "::1", "--egress-allow ::1/128" },
		{ "fd00:ec2::254", "--egress-allow fd00:ec2::254/128" },
		{ "fdff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
		  "--egress-allow fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct egress_policy policy = { 0 };
		char text[80];

		address_remedy(address_of(rows[i].address), text);
		assert_string_equal(text, rows[i].text);
		allow(&policy, text + strlen("--egress-allow "));
		assert_int_equal(address_judge(&policy, address_of(rows[i].address), 25), ADDRESS_ALLOWED);
	}
}

/* The property behind the table, over addresses drawn near every boundary: an allowed one is global unicast by a
 * second, differently written definition. */
static bool is_global_by_the_book(const uint8_t *b, bool is_v6)
{
	if (is_v6)
		return b[0] >> 5 == 1 && !(b[0] == 0x20 && b[1] == 0x02) &&
		       !(b[0] == 0x20 && b[1] == 0x01 && b[2] < 2) &&
		       !(b[0] == 0x20 && b[1] == 0x01 && b[2] == 0x0d && b[3] == 0xb8) &&
		       !(b[0] == 0x3f && b[1] == 0xff && b[2] < 0x10);
	if (b[0] == 0 || b[0] == 10 || b[0] == 127 || b[0] >= 224)
		return false;
	return !(b[0] == 100 && b[1] >= 64 && b[1] < 128) && !(b[0] == 169 && b[1] == 254) &&
	       !(b[0] == 172 && b[1] >= 16 && b[1] < 32) && !(b[0] == 192 && b[1] == 168) &&
	       !(b[0] == 192 && b[1] == 0 && (b[2] == 0 || b[2] == 2)) && !(b[0] == 192 && b[1] == 88 && b[2] == 99) &&
	       !(b[0] == 198 && (b[1] == 18 || b[1] == 19)) && !(b[0] == 198 && b[1] == 51 && b[2] == 100) &&
	       !(b[0] == 203 && b[1] == 0 && b[2] == 113);
}

static void test_allowed_means_global(void **state)
{
	static const uint8_t edges[] = { 0,   1,   2,	10,  15,  16,  18,  19,	 20,  31,  32,	51,  63,
					 64,  88,  99,	100, 113, 127, 128, 168, 169, 172, 184, 192, 198,
					 203, 223, 224, 239, 240, 252, 253, 254, 255, 13,  63,	95 };
	static const struct egress_policy policy;
	uint64_t x = 88172645463325252U;
	unsigned allowed_n = 0;

	(void)state;
	for (unsigned i = 0; i < 2000000; i++) {
		uint8_t bytes[16] = { 0 };
		bool is_v6 = i & 1;
		struct address address;

		for (unsigned k = 0; k < (is_v6 ? 8U : 4U); k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			bytes[k] = x >> 60 < 12 ? edges[(x >> 8) % sizeof edges] : (uint8_t)(x >> 16);
		}
		address = address_from_bytes(bytes, is_v6);
		if (address_judge(&policy, address, 443) == ADDRESS_ALLOWED) {
			allowed_n++;
			assert_true(is_global_by_the_book(bytes, is_v6));
		} else if (is_global_by_the_book(bytes, is_v6)) {
			assert_int_equal(address_judge(&policy, address, 443), ADDRESS_DENIED_METADATA);
		}
	}
	assert_true(allowed_n > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_policy),
		cmocka_unit_test(test_answers_of_lookups),
		cmocka_unit_test(test_allowed_networks),
		cmocka_unit_test(test_both_loopbacks),
		cmocka_unit_test(test_the_name_of_the_loopback),
		cmocka_unit_test(test_whole_internet_still_spares_metadata),
		cmocka_unit_test(test_metadata_listed_one_by_one),
		cmocka_unit_test(test_own_listeners),
		cmocka_unit_test(test_networks_that_are_none),
		cmocka_unit_test(test_remedy_is_what_would_allow_it),
		cmocka_unit_test(test_allowed_means_global),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
