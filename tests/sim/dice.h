/* SPDX-License-Identifier: BSD-3-Clause */
/* Seeded chance for the simulator: the same seed rolls the same dice. */
#ifndef SIM_DICE_H
#define SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t next_dice(uint64_t *dice)
{
	uint64_t x = *dice += UINT64_C(0x9E3779B97F4A7C15);

	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

/* Uniform in [low, high]. */
static inline int64_t between(uint64_t *dice, int64_t low, int64_t high)
{
	return low >= high ? low : low + (int64_t)(next_dice(dice) % (uint64_t)(high - low + 1));
}

static inline bool chance(uint64_t *dice, unsigned percent)
{
	return between(dice, 0, 99) < (int64_t)percent;
}

#endif
