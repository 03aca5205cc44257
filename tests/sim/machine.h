/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine that a simulated service runs on: its clocks and its random numbers, in place of base/clock.c.
 *
 * base/clock.h is the product's only door to either, so a program that links machine.c runs the product's own code in
 * virtual time, with ids, keys and nonces that repeat. One machine a program. */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "base/clock.h"

/* What clock_read answers from now on. */
void machine_set_clock(struct instant now);
/* What random_bytes gives from now on follows from this. */
void machine_set_chance(uint64_t seed);

#endif
