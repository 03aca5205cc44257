/* SPDX-License-Identifier: BSD-3-Clause */
/* Asks the kernel for a connection's shortest round trip. A file of its own because the kernel's struct tcp_info, which
 * has the field, and the C library's, which libuv's header brings, cannot be seen together. */
#include "deliver/round_trip.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

int64_t round_trip_us_min(int fd)
{
	struct tcp_info info = { .tcpi_min_rtt = 0 };
	socklen_t n = sizeof info;

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 ? (int64_t)info.tcpi_min_rtt : 0;
}
