/* SPDX-License-Identifier: BSD-3-Clause */
/* Keeps failures in two small set-associative tables, one for peers and one for accounts. */
#include "api/throttle.h"

#include <stddef.h>

static struct throttle_slot *set_of(struct throttle *throttle, enum throttle_kind kind, uint64_t key)
{
	return throttle->slots[kind][key % THROTTLE_SETS];
}

static uint64_t used_key(uint64_t key)
{
	return key ? key : 1;
}

static struct throttle_slot *find(struct throttle *throttle, enum throttle_kind kind, uint64_t key)
{
	struct throttle_slot *set = set_of(throttle, kind, used_key(key));

	for (size_t i = 0; i < THROTTLE_WAYS; i++)
		if (set[i].key == used_key(key))
			return &set[i];
	return NULL;
}

/* The slot of this key, made in place of a free one or of the one that failed longest ago. */
static struct throttle_slot *find_or_take(struct throttle *throttle, enum throttle_kind kind, uint64_t key,
					  struct boot now)
{
	struct throttle_slot *set = set_of(throttle, kind, used_key(key)), *slot = find(throttle, kind, key),
			     *oldest = &set[0];

	if (slot)
		return slot;
	for (size_t i = 0; i < THROTTLE_WAYS && oldest->key; i++)
		if (!set[i].key || boot_is_after(oldest->since, set[i].since))
			oldest = &set[i];
	*oldest = (struct throttle_slot){ .key = used_key(key), .since = now };
	return oldest;
}

static int64_t account_wait_us(const struct throttle *throttle, uint32_t failures)
{
	uint32_t half = throttle->peer_failures_per_minute / 2;
	uint32_t free = half > THROTTLE_ACCOUNT_FREE ? half : THROTTLE_ACCOUNT_FREE;
	uint32_t doublings = failures > free ? failures - free : 0;

	if (failures < free)
		return 0;
	return (doublings < 10 && 1 << doublings < THROTTLE_WAIT_S_MAX ? 1 << doublings : THROTTLE_WAIT_S_MAX) *
	       US_PER_SECOND;
}

int64_t throttle_wait_us(const struct throttle *throttle, enum throttle_kind kind, uint64_t key, struct boot now)
{
	const struct throttle_slot *slot = find((struct throttle *)throttle, kind, key);
	int64_t wait = 0;

	if (!slot || throttle->peer_failures_per_minute == 0)
		return 0;
	if (kind == THROTTLE_ACCOUNT)
		wait = account_wait_us(throttle, slot->failures);
	else if (slot->failures >= throttle->peer_failures_per_minute)
		wait = US_PER_MINUTE;
	wait -= boot_since_us(now, slot->since);
	return wait > 0 ? wait : 0;
}

void throttle_failed(struct throttle *throttle, enum throttle_kind kind, uint64_t key, struct boot now)
{
	struct throttle_slot *slot = find_or_take(throttle, kind, key, now);
	int64_t age = boot_since_us(now, slot->since);

	if (age >= (kind == THROTTLE_PEER ? US_PER_MINUTE : 2 * THROTTLE_WAIT_S_MAX * US_PER_SECOND))
		slot->failures = 0;
	if (kind == THROTTLE_ACCOUNT || slot->failures == 0)
		slot->since = now;
	if (slot->failures < UINT32_MAX)
		slot->failures++;
}

void throttle_succeeded(struct throttle *throttle, uint64_t account)
{
	struct throttle_slot *slot = find(throttle, THROTTLE_ACCOUNT, account);

	if (slot)
		*slot = (struct throttle_slot){ 0 };
}
