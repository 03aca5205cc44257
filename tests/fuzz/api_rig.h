/* SPDX-License-Identifier: BSD-3-Clause */
/* The service in one thread for a fuzz target: the product's parser of requests, its API and its store over a disk in
 * memory, on a clock that only the target moves.
 *
 * rig_open begins with the same new database every time. It has three users: ROOT (staff), ANN, and GONE, who is not
 * active. A request is answered before rig_ask returns. */
#ifndef TESTS_FUZZ_API_RIG_H
#define TESTS_FUZZ_API_RIG_H

#include "base/buf.h"
#include "store/store_thread.h"

enum { RIG_ROOT_ID = 1, RIG_ANN_ID, RIG_GONE_ID, RIG_USERS_N = 3 };

#define RIG_ROOT_TOKEN "0000000000000000000000000000000000000001"
#define RIG_ANN_TOKEN "0000000000000000000000000000000000000002"
#define RIG_GONE_TOKEN "0000000000000000000000000000000000000003"
#define RIG_HOST "fuzz.example"

void rig_open(struct wall now);
void rig_close(void);
/* The clocks show this much more. */
void rig_pass(int64_t us);
struct wall rig_now(void);
/* A whole request. The body of its answer is borrowed until the next one. */
unsigned rig_ask(struct str request, struct str *body);
/* In one commit, as the delivery side's jobs are. Anything but ERR_OK fails the program. */
void rig_write(enum err (*run)(struct store *store, struct store_job *job), void *ctx);
/* What reads. */
struct store *rig_reader(void);

#endif
