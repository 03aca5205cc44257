/* SPDX-License-Identifier: BSD-3-Clause */
/* The only door between threads: a bounded queue that moves ownership.
 *
 * Whoever puts a mail gives it away; whoever takes it owns it. Nothing else mutable is shared between threads,
 * metrics' atomics excepted. A full box refuses: back-pressure is the sender's business (503, or no new claims). */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Embedded as a member of what travels. */
struct mail {
	struct mail *next;
};

struct mailbox {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct mail *first, *last; /* owned, oldest first */
	size_t count, count_max;
	void (*wake)(void *ctx); /* called from the putting thread when the box was empty; may be NULL */
	void *wake_ctx;
};

void mailbox_init(struct mailbox *box, size_t count_max, void (*wake)(void *ctx), void *wake_ctx);
/* The box must be empty. */
void mailbox_release(struct mailbox *box);
/* Any thread. True: the box owns the mail. False: it is full and the caller keeps it. */
bool mailbox_put(struct mailbox *box, struct mail *mail) __attribute__((warn_unused_result));
/* As mailbox_put for what may not be refused (an answer to a bounded number of requests); never full. */
void mailbox_answer(struct mailbox *box, struct mail *mail);
/* The receiving thread: all mails, oldest first, linked by `next`; NULL when there is none. */
struct mail *mailbox_take_all(struct mailbox *box);
/* As mailbox_take_all, but waits for a mail up to `timeout_ms` (negative: without end). */
struct mail *mailbox_wait_all(struct mailbox *box, int timeout_ms);

#endif
