/* SPDX-License-Identifier: BSD-3-Clause */
/* An independent reading of which addresses the whole internet can reach, written as comparisons instead of tables. */
#ifndef TESTS_FUZZ_PUBLIC_H
#define TESTS_FUZZ_PUBLIC_H

#include "core/address.h"

static inline bool public_is_v4(const uint8_t b[4])
{
	uint32_t a = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3], a24 = a >> 8;

	if (b[0] == 0 || b[0] == 10 || b[0] == 127 || b[0] >= 224)
		return false;
	if (a >> 22 == 0x64400000 >> 22 || a >> 16 == 0xa9fe || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 ||
	    a >> 17 == 0xc612 >> 1)
		return false;
	return a24 != 0xc00000 && a24 != 0xc00002 && a24 != 0xc05863 && a24 != 0xc63364 && a24 != 0xcb0071;
}

static inline bool public_is_v6(const uint8_t b[16])
{
	unsigned first = (unsigned)b[0] << 8 | b[1], second = (unsigned)b[2] << 8 | b[3];

	if (first < 0x2000 || first > 0x3fff || first == 0x2002)
		return false;
	return !(first == 0x2001 && (second < 0x200 || second == 0xdb8)) && !(first == 0x3fff && second < 0x1000);
}

static inline bool public_is(struct address address)
{
	return address.is_v6 ? public_is_v6(address.bytes) : public_is_v4(address.bytes);
}

static inline bool public_port(uint16_t port)
{
	return port == 80 || port == 443 || port > 1023;
}

#endif
