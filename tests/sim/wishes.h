/* SPDX-License-Identifier: BSD-3-Clause */
/* What simulated users wish for: each function appends a member, or some, to a JSON object that is still open. */
#ifndef SIM_WISHES_H
#define SIM_WISHES_H

#include "inside.h"

/* `value` is JSON. */
void wish_member(struct buf *members, const char *key, struct str value);
void wish_number(struct buf *members, const char *key, int64_t number);
/* Told apart by the number. */
void wish_payload(struct buf *members, int64_t number);
/* The two secrets of that number, and their texts in `arena`. */
void wish_secrets(struct buf *members, int64_t number);
struct str wish_auth_token(struct arena *arena, int64_t number);
struct str wish_signing_secret(struct arena *arena, int64_t number);
void wish_endpoint(struct world *world, struct buf *members);
/* Returns the seconds. */
int64_t wish_interval(struct world *world, struct buf *members);
/* Entries still occur. */
bool wish_has_cron(const struct world *world);
void wish_cron(struct world *world, struct buf *members);
void wish_instant(struct buf *members, struct wall at);
/* An interval, a cron entry or an instant, perhaps with a frequency. */
void wish_trigger(struct world *world, struct buf *members);
void wish_policies(struct world *world, struct buf *members);

#endif
