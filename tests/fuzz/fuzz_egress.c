/* SPDX-License-Identifier: BSD-3-Clause */
/* The egress policy from its options to its verdict: a list of networks, one a line, is read as an independent reading
 * does, and the verdict on an address is the one that the documented order of the rules gives. */
#include "fuzz.h"

#include <arpa/inet.h>

#include "public.h"

enum { LINES_MAX = EGRESS_NETWORKS_MAX };

struct network {
	uint8_t base[16];
	bool is_v6;
	unsigned prefix;
};

/* The bits that differ, all of them below the prefix length. */
static bool is_in(const struct network *network, bool is_v6, const uint8_t *bytes)
{
	if (network->is_v6 != is_v6)
		return false;
	for (unsigned bit = 0; bit < network->prefix; bit++)
		if ((network->base[bit / 8] ^ bytes[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

/* An independent reading of "address[/prefix]"; IPv4 inside ::ffff:0:0/96 becomes IPv4. */
static bool read_network(struct str text, struct network *network)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char copy[64];
	char *slash;
	uint64_t prefix;

	if (text.n >= sizeof copy || memchr(text.p, '\0', text.n))
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	network->is_v6 = strchr(copy, ':') != NULL;
	if (inet_pton(network->is_v6 ? AF_INET6 : AF_INET, copy, network->base) != 1)
		return false;
	prefix = network->is_v6 ? 128 : 32;
	if (slash && (strlen(slash + 1) > 3 || !str_to_u64(str_from(slash + 1), &prefix) ||
		      prefix > (network->is_v6 ? 128 : 32)))
		return false;
	if (network->is_v6 && memcmp(network->base, mapped, sizeof mapped) == 0) {
		if (prefix < 96)
			return false;
		prefix -= 96;
		network->is_v6 = false;
		memmove(network->base, network->base + 12, 4);
	}
	network->prefix = (unsigned)prefix;
	for (unsigned bit = network->prefix; bit < (network->is_v6 ? 128 : 32); bit++)
		if (network->base[bit / 8] >> (7 - bit % 8) & 1)
			return false;
	return true;
}

/* What clouds put credentials on, as text. */
static bool is_metadata(struct address address)
{
	static const char *const texts[] = { "169.254.169.254", "169.254.169.253", "169.254.170.2",
					     "169.254.170.23",	"169.254.42.42",   "100.100.100.200",
					     "168.63.129.16",	"192.0.0.192",	   "fd00:ec2::254",
					     "fd00:ec2::23",	"fd20:ce::254",	   "fd00:c1::a9fe:a9fe",
					     "fd00:42::42" };
	char text[INET6_ADDRSTRLEN];

	inet_ntop(address.is_v6 ? AF_INET6 : AF_INET, address.bytes, text, sizeof text);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (strcmp(text, texts[i]) == 0)
			return true;
	return false;
}

static enum address_verdict judge(const struct network *networks, unsigned n, struct address address, uint16_t port)
{
	static const struct network loopback = { { 127 }, false, 8 };
	static const uint8_t loopback_v6[16] = { [15] = 1 };
	bool is_listed = false, is_listed_alone = false, is_loopback_listed = false;

	for (unsigned i = 0; i < n; i++) {
		bool is_inside = is_in(&networks[i], address.is_v6, address.bytes);

		is_listed |= is_inside;
		is_listed_alone |= is_inside && networks[i].prefix == (address.is_v6 ? 128 : 32);
		is_loopback_listed |= is_in(&networks[i], false, loopback.base) && networks[i].prefix <= 8;
	}
	is_listed |= is_loopback_listed && address.is_v6 && memcmp(address.bytes, loopback_v6, 16) == 0;
	if (is_metadata(address) && !is_listed_alone)
		return ADDRESS_DENIED_METADATA;
	if (port == 0)
		return ADDRESS_DENIED_PORT;
	if (is_listed)
		return ADDRESS_ALLOWED;
	if (!public_is(address))
		return ADDRESS_DENIED;
	return public_port(port) ? ADDRESS_ALLOWED : ADDRESS_DENIED_PORT;
}

/* The option that the refusal names is one that the service takes. */
static void check_remedy(struct address address)
{
	static struct egress_policy scratch;
	char text[80];

	address_remedy(address, text);
	assert(strncmp(text, "--egress-allow ", 15) == 0);
	scratch.allowed_n = 0;
	assert(egress_allow(&scratch, str_from(text + 15)) && scratch.allowed_n == 1);
	assert(address_judge(&scratch, address, 8080) == ADDRESS_ALLOWED || is_metadata(address));
}

static void check_own(struct egress_policy *policy, struct address address, uint16_t port)
{
	policy->own_n = 1;
	policy->own[0].address = address;
	policy->own[0].port = port;
	assert(address_judge(policy, address, port) == ADDRESS_DENIED_OWN);
	policy->own_n = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	uint8_t flags = (uint8_t)fuzz_take(&in, 1), bytes[16];
	uint16_t port = (uint16_t)fuzz_take(&in, 2);
	struct egress_policy policy = { 0 };
	struct network networks[LINES_MAX];
	struct address address;
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)fuzz_take(&in, 1);

	struct str rest = fuzz_rest(&in);

	for (struct str lines = rest; lines.p && n < LINES_MAX;) {
		struct str line = fuzz_copy(str_split(lines, '\n', &lines));
		bool is_valid = read_network(line, &networks[n]);

		assert(egress_allow(&policy, line) == is_valid);
		n += is_valid;
		fuzz_free(line);
	}
	assert(policy.allowed_n == n);
	/* With flag 2, an address near a listed network rather than anywhere. */
	if (n > 0 && flags & 2)
		memcpy(bytes, networks[0].base, 4 + flags % 12);
	address = address_from_bytes(bytes, flags & 1);
	assert(address_judge(&policy, address, port) == judge(networks, n, address, port));
	check_remedy(address);
	check_own(&policy, address, port);
	fuzz_free(rest);
	return 0;
}
