/* SPDX-License-Identifier: BSD-3-Clause */
/* The shortest round trip that the kernel has measured on a TCP connection (tcp(7), tcpi_min_rtt). */
#ifndef DELIVER_ROUND_TRIP_H
#define DELIVER_ROUND_TRIP_H

#include <stdint.h>

/* Microseconds; 0 when it cannot be known. */
int64_t round_trip_us_min(int fd);

#endif
