/* SPDX-License-Identifier: BSD-3-Clause */
/* A mutex, a condition and a list: contention is one short lock per batch, not per item. */
#include "base/mailbox.h"

#include <assert.h>
#include <time.h>

void mailbox_init(struct mailbox *box, size_t count_max, void (*wake)(void *ctx), void *wake_ctx)
{
	pthread_condattr_t attributes;

	*box = (struct mailbox){ .count_max = count_max, .wake = wake, .wake_ctx = wake_ctx };
	pthread_mutex_init(&box->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&box->filled, &attributes);
	pthread_condattr_destroy(&attributes);
}

void mailbox_release(struct mailbox *box)
{
	assert(!box->first);
	pthread_cond_destroy(&box->filled);
	pthread_mutex_destroy(&box->lock);
}

static bool put(struct mailbox *box, struct mail *mail, size_t count_max)
{
	pthread_mutex_lock(&box->lock);
	bool accepted = box->count < count_max;
	bool was_empty = !box->first;

	if (accepted) {
		mail->next = NULL;
		if (was_empty)
			box->first = mail;
		else
			box->last->next = mail;
		box->last = mail;
		box->count++;
		if (was_empty)
			pthread_cond_signal(&box->filled);
	}
	pthread_mutex_unlock(&box->lock);
	if (accepted && was_empty && box->wake)
		box->wake(box->wake_ctx);
	return accepted;
}

bool mailbox_put(struct mailbox *box, struct mail *mail)
{
	return put(box, mail, box->count_max);
}

void mailbox_answer(struct mailbox *box, struct mail *mail)
{
	put(box, mail, (size_t)-1);
}

static struct mail *take_locked(struct mailbox *box)
{
	struct mail *all = box->first;

	box->first = box->last = NULL;
	box->count = 0;
	return all;
}

struct mail *mailbox_take_all(struct mailbox *box)
{
	pthread_mutex_lock(&box->lock);
	struct mail *all = take_locked(box);

	pthread_mutex_unlock(&box->lock);
	return all;
}

struct mail *mailbox_wait_all(struct mailbox *box, int timeout_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (timeout_ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&box->lock);
	while (!box->first && timeout_ms != 0) {
		if (timeout_ms < 0)
			pthread_cond_wait(&box->filled, &box->lock);
		else if (pthread_cond_timedwait(&box->filled, &box->lock, &until))
			break;
	}
	struct mail *all = take_locked(box);

	pthread_mutex_unlock(&box->lock);
	return all;
}
