/* SPDX-License-Identifier: BSD-3-Clause */
/* The egress policy: may we connect to this address and port? Pure.
 *
 * By default only global unicast addresses and the ports 80, 443 and 1024-65535 are allowed; everything listed in
 * docs/design/egress.md is refused.
 * `--egress-allow CIDR` opens a network (every port of it; 127.0.0.0/8 opens ::1 too); cloud metadata addresses stay
 * refused unless listed one by one (/32 or /128). IPv4 hidden in IPv6 (mapped) is judged as IPv4; other embeddings
 * (compatible, NAT64, 6to4, Teredo) are refused. */
#ifndef CORE_ADDRESS_H
#define CORE_ADDRESS_H

#include "base/str.h"

struct address {
	bool is_v6;
	uint8_t bytes[16]; /* 4 or 16, network order; a mapped IPv6 address is stored as IPv4 */
};

enum { EGRESS_NETWORKS_MAX = 64 };

struct egress_network {
	struct address base; /* host bits zero */
	unsigned prefix;     /* bits */
};

struct egress_policy {
	struct egress_network allowed[EGRESS_NETWORKS_MAX];
	unsigned allowed_n;
	/* Where the service itself listens: refused even inside an allowed network. */
	struct {
		struct address address;
		uint16_t port;
		bool any_address;
	} own[4];
	unsigned own_n;
};

enum address_verdict {
	ADDRESS_ALLOWED,
	ADDRESS_DENIED,
	ADDRESS_DENIED_PORT,
	ADDRESS_DENIED_METADATA,
	ADDRESS_DENIED_OWN
};

/* "10.0.0.0/8", "192.168.1.5" (= /32), "fd00::/8". False: malformed, host bits set, or the list is full. */
bool egress_allow(struct egress_policy *policy, struct str cidr);
/* From 4 or 16 bytes in network order; unwraps ::ffff:a.b.c.d. */
struct address address_from_bytes(const uint8_t *bytes, bool is_v6);
enum address_verdict address_judge(const struct egress_policy *policy, struct address address, uint16_t port);
/* The verdict on a host name before any lookup: localhost, *.localhost, metadata.google.internal and the like are
 * refused without one. A final dot and case do not matter. With `localhost` inside an allowed loopback network the
 * verdict is left to the address. */
enum address_verdict address_judge_name(const struct egress_policy *policy, struct str host);
/* "--egress-allow 127.0.0.0/8": the option that would allow it, for the 400 and for the log. Zero-terminated. */
void address_remedy(struct address address, char text[80]);

#endif
