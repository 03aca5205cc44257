/* SPDX-License-Identifier: BSD-3-Clause */
/* Derives a run's id: the same occurrence gets the same id on every node and after every restore, so that a receiver
 * can tell a repeat (P4). */
#include "core/run.h"

#include <string.h>

#include "base/crypto.h"
#include "base/text.h"

void run_uuid(const uint8_t installation[16], const uint8_t schedule[16], struct wall planned_at,
	      uint8_t uuid[RUN_UUID_BYTES])
{
	uint8_t digest[DIGEST_BYTES], key[40];

	memcpy(key, installation, 16);
	memcpy(key + 16, schedule, 16);
	for (unsigned i = 0; i < 8; i++)
		key[32 + i] = (uint8_t)((uint64_t)planned_at.us >> (56 - 8 * i));
	sha256((struct str){ (const char *)key, sizeof key }, digest);
	memcpy(uuid, digest, RUN_UUID_BYTES);
	uuid_stamp(uuid, 8);
}
