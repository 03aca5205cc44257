/* SPDX-License-Identifier: BSD-3-Clause */
/* The linker's --wrap sends here whoever calls base/clock.h for random bytes. */
#include "fixed_chance.h"

#include <stddef.h>
#include <string.h>

#include "dice.h"

void __wrap_random_bytes(void *p, size_t n);
uint32_t __wrap_random_u32(void);

static uint64_t dice;

void fixed_chance_seed(uint64_t seed)
{
	dice = seed;
}

void __wrap_random_bytes(void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		uint64_t bits = next_dice(&dice);
		size_t part = n - done < sizeof bits ? n - done : sizeof bits;

		memcpy((char *)p + done, &bits, part);
		done += part;
	}
}

uint32_t __wrap_random_u32(void)
{
	return (uint32_t)next_dice(&dice);
}
