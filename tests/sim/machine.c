/* SPDX-License-Identifier: BSD-3-Clause */
/* The three functions of base/clock.h. The linker finds them here first and leaves clock.c out. */
#include "machine.h"

#include <string.h>

#include "dice.h"

static struct {
	struct instant now;
	uint64_t dice;
} machine;

void machine_set_clock(struct instant now)
{
	machine.now = now;
}

void machine_set_chance(uint64_t seed)
{
	machine.dice = seed;
}

struct instant clock_read(void)
{
	return machine.now;
}

void random_bytes(void *p, size_t n)
{
	for (size_t done = 0; done < n; done += sizeof(uint64_t)) {
		uint64_t bits = next_dice(&machine.dice);

		memcpy((char *)p + done, &bits, n - done < sizeof bits ? n - done : sizeof bits);
	}
}

uint32_t random_u32(void)
{
	return (uint32_t)next_dice(&machine.dice);
}
