/* SPDX-License-Identifier: BSD-3-Clause */
/* user, group and token commands: what they do to the store, wherever the store is.
 *
 * A command is a few words. They run against the database directly when nobody serves it, else inside the serving
 * process, which owns the only writing connection: control.h carries the same words there and the same answer back. */
#ifndef CLI_ACCOUNTS_H
#define CLI_ACCOUNTS_H

#include "base/buf.h"
#include "store/store.h"

enum { ACCOUNT_WORDS_MAX = 8, ACCOUNT_ANSWER_BYTES_MAX = 4 << 20 };

struct account_command {
	struct str words[ACCOUNT_WORDS_MAX]; /* "user", "create", name, email, "admin" or "", password hash or "" … :
						see accounts.c's table */
	unsigned words_n;
};

struct account_answer {
	int exit_code;	 /* 0 done, 1 refused */
	struct buf out;	 /* for stdout */
	struct buf text; /* for stderr */
};

void account_answer_init(struct account_answer *answer);
void account_answer_release(struct account_answer *answer);
/* Inside a transaction. A refusal (no such user …) is in the answer, exit code 1; a failing store is the result. */
enum err account_run(struct store *store, const struct account_command *command, struct wall now,
		     struct account_answer *answer) MUST_CHECK;

#endif
