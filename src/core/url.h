/* SPDX-License-Identifier: BSD-3-Clause */
/* The one reading of an endpoint's URL that the check at creation and the sending side share. Pure.
 *
 * Accepted: absolute http or https, ASCII host name, dotted quad or [IPv6] literal, optional port 1-65535 without
 * leading zeros, no userinfo, no backslash, no blank, no control character, no percent escape in the host; at most
 * URL_BYTES_MAX bytes. Non-ASCII bytes in path and query are taken as they are when they are UTF-8 and are sent
 * percent-encoded. A fragment is accepted and not sent. docs/design/egress.md says why. */
#ifndef CORE_URL_H
#define CORE_URL_H

#include "base/buf.h"

enum { URL_BYTES_MAX = 2048 };

enum url_host_kind { URL_HOST_NAME, URL_HOST_IPV4, URL_HOST_IPV6 };

struct url {
	bool is_https;
	enum url_host_kind host_kind;
	struct str host;     /* as written, without brackets; borrowed */
	uint8_t address[16]; /* of a literal: 4 or 16 bytes, network order */
	uint16_t port;	     /* the scheme's default when none was written */
	bool port_written;
	struct str target; /* path and query as written, without fragment; may be empty or start with '?' */
};

/* False: it is no URL that can ever be called. Numeric forms that are no strict dotted quad (127.1, 0x7f000001,
 * 2130706433, 1.2.3.4.5) are refused: a host whose last label is numeric must be a dotted quad. */
bool url_parse(struct str text, struct url *url);
/* Appends the request target in origin form: always starts with '/', bytes that may not stand there percent-encoded. */
void url_add_target(struct buf *buf, const struct url *url);
/* Appends the Host header's value: host in lower case, port only when it is not the scheme's default. */
void url_add_authority(struct buf *buf, const struct url *url);
/* A number for scheme, host (case-folded, final dot dropped) and port: runs to one place share it, and its in-flight
 * bound. */
int64_t url_lane(const struct url *url);
/* Contract's rule for a webhook's target (Django's URLValidator): http, https, ftp, ftps, optional user:pass@, IPv4,
 * [IPv6], localhost or a dotted name with a TLD of 2 letters or more, port of 2-5 digits, no blanks. At most 255 code
 * points is the caller's check. */
bool url_is_webhook_target(struct str text);

#endif
