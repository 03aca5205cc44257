/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides whether an address may be called: global unicast yes, everything else only when the operator has listed it.
 *
 * The verdict looks at the bytes that connect(2) will get, never at text. Order: our own listeners, metadata services,
 * listed networks, the denied ranges, the port. Invariant: without a list, ADDRESS_ALLOWED implies a globally routable
 * unicast address and a port of 80, 443 or >= 1024. */
#include "core/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { PORT_UNPRIVILEGED = 1024, TEXT_BYTES_MAX = INET6_ADDRSTRLEN };

struct range {
	uint8_t base[16];
	unsigned prefix;
};

/* IANA IPv4 Special-Purpose Address Registry (RFC 6890), where not globally reachable, and the class D and E blocks. */
static const struct range denied_v4[] = {
	{ { 0 }, 8 },		  /* this network */
	{ { 10 }, 8 },		  /* private */
	{ { 100, 64 }, 10 },	  /* carrier-grade NAT */
	{ { 127 }, 8 },		  /* loopback */
	{ { 169, 254 }, 16 },	  /* link-local */
	{ { 172, 16 }, 12 },	  /* private */
	{ { 192, 0, 0 }, 24 },	  /* IETF protocol assignments */
	{ { 192, 0, 2 }, 24 },	  /* documentation */
	{ { 192, 88, 99 }, 24 },  /* 6to4 relays */
	{ { 192, 168 }, 16 },	  /* private */
	{ { 198, 18 }, 15 },	  /* benchmarks */
	{ { 198, 51, 100 }, 24 }, /* documentation */
	{ { 203, 0, 113 }, 24 },  /* documentation */
	{ { 224 }, 4 },		  /* multicast */
	{ { 240 }, 4 },		  /* reserved, limited broadcast */
};

/* Global unicast is 2000::/3 (RFC 4291); whatever lies outside needs no row of its own. */
static const struct range global_v6 = { { 0x20 }, 3 };
static const struct range denied_v6[] = {
	{ { 0x20, 0x01, 0x00 }, 23 },	    /* IETF protocol assignments: Teredo, benchmarks, ORCHID */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
	{ { 0x20, 0x02 }, 16 },		    /* 6to4: an IPv4 address of any kind inside */
	{ { 0x3f, 0xff, 0x00 }, 20 },	    /* documentation */
};

/* Where clouds hand credentials to whoever asks; some of these look like public addresses. */
static const struct address metadata[] = {
	{ false, { 169, 254, 169, 254 } }, /* AWS, Azure, Google, OpenStack and many more */
	{ false, { 169, 254, 169, 253 } }, /* AWS: resolver */
	{ false, { 169, 254, 170, 2 } },   /* AWS ECS: task credentials */
	{ false, { 169, 254, 170, 23 } },  /* AWS EKS: pod identity */
	{ false, { 169, 254, 42, 42 } },   /* Scaleway */
	{ false, { 100, 100, 100, 200 } }, /* Alibaba */
	{ false, { 168, 63, 129, 16 } },   /* Azure: wire server */
	{ false, { 192, 0, 0, 192 } },	   /* Oracle, older hosts */
	{ true, { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54 } }, /* AWS, fd00:ec2::254 */
	{ true, { 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23 } },		/* AWS EKS, fd00:ec2::23 */
	{ true, { 0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54 } }, /* Google, fd20:ce::254 */
	{ true, { 0xfd, 0x00, 0x00, 0xc1, [12] = 0xa9, [13] = 0xfe, [14] = 0xa9, [15] = 0xfe } }, /* Oracle */
	{ true, { 0xfd, 0x00, 0x00, 0x42, [15] = 0x42 } }, /* Scaleway, fd00:42::42 */
};

static const struct range loopback_v4 = { { 127 }, 8 };
static const struct address loopback_address_v4 = { false, { 127, 0, 0, 1 } };
static const struct address loopback_address_v6 = { true, { [15] = 1 } };

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static unsigned bits_of(struct address address)
{
	return address.is_v6 ? 128 : 32;
}

static bool is_same(struct address a, struct address b)
{
	return a.is_v6 == b.is_v6 && bits_equal(a.bytes, b.bytes, bits_of(a));
}

static bool is_in_any(struct address address, const struct range *ranges, size_t ranges_n)
{
	for (size_t i = 0; i < ranges_n; i++)
		if (bits_equal(address.bytes, ranges[i].base, ranges[i].prefix))
			return true;
	return false;
}

static bool is_global(struct address address)
{
	if (!address.is_v6)
		return !is_in_any(address, denied_v4, sizeof denied_v4 / sizeof denied_v4[0]);
	return bits_equal(address.bytes, global_v6.base, global_v6.prefix) &&
	       !is_in_any(address, denied_v6, sizeof denied_v6 / sizeof denied_v6[0]);
}

static bool is_metadata(struct address address)
{
	for (size_t i = 0; i < sizeof metadata / sizeof metadata[0]; i++)
		if (is_same(address, metadata[i]))
			return true;
	return false;
}

static bool is_loopback(struct address address)
{
	return address.is_v6 ? is_same(address, loopback_address_v6) : is_in_any(address, &loopback_v4, 1);
}

static bool is_listed(const struct egress_policy *policy, struct address address, bool exactly)
{
	for (unsigned i = 0; i < policy->allowed_n; i++) {
		const struct egress_network *network = &policy->allowed[i];

		if (network->base.is_v6 == address.is_v6 && (!exactly || network->prefix == bits_of(address)) &&
		    bits_equal(address.bytes, network->base.bytes, network->prefix))
			return true;
	}
	return false;
}

/* Who lists the whole IPv4 loopback means this machine: `localhost` usually has ::1 as well, and one refused address
 * refuses the name. */
static bool is_loopback_listed(const struct egress_policy *policy, struct address address)
{
	for (unsigned i = 0; i < policy->allowed_n; i++) {
		const struct egress_network *network = &policy->allowed[i];

		if (!network->base.is_v6 && network->prefix <= loopback_v4.prefix &&
		    bits_equal(loopback_v4.base, network->base.bytes, network->prefix))
			return is_same(address, loopback_address_v6);
	}
	return false;
}

/* connect(2) to the unspecified address reaches the loopback. */
static struct address connected(struct address address)
{
	static const uint8_t zeros[16];

	if (memcmp(address.bytes, zeros, bits_of(address) / 8) != 0)
		return address;
	return address.is_v6 ? loopback_address_v6 : loopback_address_v4;
}

static bool is_own(const struct egress_policy *policy, struct address address, uint16_t port)
{
	address = connected(address);
	for (unsigned i = 0; i < policy->own_n; i++) {
		if (policy->own[i].port != port)
			continue;
		if (policy->own[i].any_address ? is_loopback(address)
					       : is_same(address, connected(policy->own[i].address)))
			return true;
	}
	return false;
}

struct address address_from_bytes(const uint8_t *bytes, bool is_v6)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct address address = { .is_v6 = is_v6 };

	if (is_v6 && memcmp(bytes, mapped, sizeof mapped) == 0) {
		address.is_v6 = false;
		memcpy(address.bytes, bytes + sizeof mapped, 4);
	} else {
		memcpy(address.bytes, bytes, is_v6 ? 16 : 4);
	}
	return address;
}

static bool has_host_bits(struct address address, unsigned prefix)
{
	for (unsigned bit = prefix; bit < bits_of(address); bit++)
		if (address.bytes[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

bool egress_allow(struct egress_policy *policy, struct str cidr)
{
	struct str prefix_text, address_text = str_split(cidr, '/', &prefix_text);
	char copy[TEXT_BYTES_MAX];
	uint8_t bytes[16];
	struct address address;
	uint64_t prefix;
	bool is_v6 = str_find(address_text, ':') < address_text.n;

	if (policy->allowed_n == EGRESS_NETWORKS_MAX || address_text.n >= sizeof copy || address_text.n == 0 ||
	    memchr(address_text.p, '\0', address_text.n))
		return false;
	memcpy(copy, address_text.p, address_text.n);
	copy[address_text.n] = '\0';
	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, copy, bytes) != 1)
		return false;
	address = address_from_bytes(bytes, is_v6);
	prefix = is_v6 ? 128 : 32;
	if (prefix_text.p && (prefix_text.n > 3 || !str_to_u64(prefix_text, &prefix) || prefix > (is_v6 ? 128 : 32)))
		return false;
	if (is_v6 && !address.is_v6) {
		if (prefix < 96)
			return false;
		prefix -= 96;
	}
	if (has_host_bits(address, (unsigned)prefix))
		return false;
	policy->allowed[policy->allowed_n++] = (struct egress_network){ address, (unsigned)prefix };
	return true;
}

enum address_verdict address_judge(const struct egress_policy *policy, struct address address, uint16_t port)
{
	assert(policy->allowed_n <= EGRESS_NETWORKS_MAX && policy->own_n <= sizeof policy->own / sizeof policy->own[0]);

	if (is_own(policy, address, port))
		return ADDRESS_DENIED_OWN;
	if (is_metadata(address) && !is_listed(policy, address, true))
		return ADDRESS_DENIED_METADATA;
	if (port == 0)
		return ADDRESS_DENIED_PORT;
	if (is_listed(policy, address, false) || is_loopback_listed(policy, address))
		return ADDRESS_ALLOWED;
	if (!is_global(address))
		return ADDRESS_DENIED;
	return port == 80 || port == 443 || port >= PORT_UNPRIVILEGED ? ADDRESS_ALLOWED : ADDRESS_DENIED_PORT;
}

static bool is_one_of(struct str host, const char *const *names, size_t names_n)
{
	for (size_t i = 0; i < names_n; i++)
		if (str_equal_nocase(host, str_from(names[i])))
			return true;
	return false;
}

static bool is_loopback_name(struct str host)
{
	static const char *const names[] = { "localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback" };
	static const struct str suffix = { ".localhost", 10 };

	return is_one_of(host, names, sizeof names / sizeof names[0]) ||
	       (host.n > suffix.n && str_equal_nocase(str_slice(host, host.n - suffix.n, suffix.n), suffix));
}

static bool is_metadata_name(struct str host)
{
	static const char *const names[] = { "metadata.google.internal", "metadata.goog", "metadata", "instance-data",
					     "instance-data.ec2.internal" };

	return is_one_of(host, names, sizeof names / sizeof names[0]);
}

/* Some loopback address could be allowed. */
static bool may_reach_loopback(const struct egress_policy *policy)
{
	for (unsigned i = 0; i < policy->allowed_n; i++) {
		const struct egress_network *network = &policy->allowed[i];
		unsigned bits = network->prefix < loopback_v4.prefix ? network->prefix : loopback_v4.prefix;

		if (network->base.is_v6 ? bits_equal(network->base.bytes, loopback_address_v6.bytes, network->prefix)
					: bits_equal(network->base.bytes, loopback_v4.base, bits))
			return true;
	}
	return false;
}

static bool may_reach_metadata(const struct egress_policy *policy)
{
	for (size_t i = 0; i < sizeof metadata / sizeof metadata[0]; i++)
		if (is_listed(policy, metadata[i], true))
			return true;
	return false;
}

enum address_verdict address_judge_name(const struct egress_policy *policy, struct str host)
{
	if (str_ends_with(host, STR(".")))
		host.n--;
	if (is_loopback_name(host) && !may_reach_loopback(policy))
		return ADDRESS_DENIED;
	if (is_metadata_name(host) && !may_reach_metadata(policy))
		return ADDRESS_DENIED_METADATA;
	return ADDRESS_ALLOWED;
}

void address_remedy(struct address address, char text[80])
{
	char name[TEXT_BYTES_MAX];

	if (!address.is_v6 && is_loopback(address)) {
		snprintf(text, 80, "--egress-allow 127.0.0.0/8");
		return;
	}
	inet_ntop(address.is_v6 ? AF_INET6 : AF_INET, address.bytes, name, sizeof name);
	snprintf(text, 80, "--egress-allow %s/%u", name, bits_of(address));
}
