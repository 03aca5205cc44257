/* SPDX-License-Identifier: BSD-3-Clause */
/* A Unix socket beside the database (PATH.control, mode 0600) through which the account commands reach the process that
 * serves it.
 *
 * One command a connection: a JSON array of words, then end of input; back comes {"exit":n,"out":"…","text":"…"}. */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include "cli/accounts.h"
#include "store/store_thread.h"

struct uv_loop_s;
struct control;

/* The caller holds the database's lock, so a socket that is there is a dead one's and is replaced. */
enum err control_listen(struct uv_loop_s *loop, struct store_thread *writer, struct str database_path,
			struct control **control, struct error *error) MUST_CHECK;
/* Stops listening and removes the socket; commands under way are answered. Run the loop until it has no handles, then
 * control_free, after the store thread has stopped. */
void control_close(struct control *control);
void control_free(struct control *control);

/* The command's side: blocking. ERR_NOT_FOUND: nobody listens. */
enum err control_call(struct str database_path, const struct account_command *command, struct account_answer *answer,
		      struct error *error) MUST_CHECK;

#endif
