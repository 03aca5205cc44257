/* SPDX-License-Identifier: BSD-3-Clause */
/* Named places in the code where a test may kill the process, hold it, or let what stands there fail.
 *
 * Only in a program built with -Dfailpoints=true; in any other both macros are nothing. failpoints.def lists every name with
 * what has and has not happened there. The environment arms them:
 *
 *	SEED_FAILPOINTS="store.claim.advanced=kill@3;store.group.committed=pause:200;store.commit=error@2+"
 *
 * kill: SIGKILL to the process itself. pause:N: N ms of sleep for the calling thread. error: FAILPOINT_ERROR is true there.
 * @N: at the Nth hit and no other, @N+: from the Nth on; without it @1. A place that acts logs `failpoint` first, so that a
 * trial shows that it was reached. Any thread. What cannot be understood, and a name that is not in the list, end the
 * program with code 2. */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#ifdef SEED_FAILPOINTS
#include <stdbool.h>

#define FAILPOINT(name) ((void)failpoint_reach(name))
#define FAILPOINT_ERROR(name) failpoint_reach(name)

/* True: what stands here has to fail. */
bool failpoint_reach(const char *name);
#else
#define FAILPOINT(name) ((void)0)
#define FAILPOINT_ERROR(name) 0
#endif

#endif
