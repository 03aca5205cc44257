/* SPDX-License-Identifier: BSD-3-Clause */
/* What a running service does now and then on its front loop: asks the disk whether it is there, deletes old history in
 * small steps, and says whether it is ready. */
#ifndef CLI_HOUSEKEEPING_H
#define CLI_HOUSEKEEPING_H

#include "store/store_thread.h"

struct uv_loop_s;
struct housekeeping;

struct housekeeping *housekeeping_start(struct uv_loop_s *loop, struct store_thread *writer);
/* The store took a write within the last HOUSEKEEPING_STALE_S seconds; false: *error says what it answered. */
bool housekeeping_store_is_well(const struct housekeeping *housekeeping, struct error *error);
/* Starts no further job; closes its handles as soon as the jobs it started are answered. */
void housekeeping_stop(struct housekeeping *housekeeping);
/* After the loop has no handles left. */
void housekeeping_free(struct housekeeping *housekeeping);

#endif
