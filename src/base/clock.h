/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading the machine's clocks and its random numbers: the only file that does (clock_gettime(2), getrandom(2)). */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>

#include "base/instant.h"

/* CLOCK_REALTIME and CLOCK_BOOTTIME, read one after the other. */
struct instant clock_read(void);
/* Fills `p` with `n` random bytes fit for keys and tokens. Ends the process if the kernel has none. */
void random_bytes(void *p, size_t n);
/* 32 uniform random bits. */
uint32_t random_u32(void);

#endif
