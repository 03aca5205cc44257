/* SPDX-License-Identifier: BSD-3-Clause */
/* Replaces the machine's random bytes in programs linked with `fixed_chance_args` (meson.build): ids, salts and keys
 * then repeat with the seed. */
#ifndef SIM_FIXED_CHANCE_H
#define SIM_FIXED_CHANCE_H

#include <stdint.h>

void fixed_chance_seed(uint64_t seed);

#endif
