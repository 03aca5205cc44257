/* SPDX-License-Identifier: BSD-3-Clause */
/* Mailboxes: order, the bound, the wake-up when an empty one fills, and that nothing is lost between threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mailbox.h"

struct letter {
	struct mail mail; /* first, so that a mail is its letter */
	int sender, number;
};

static void on_wake(void *ctx)
{
	(*(int *)ctx)++;
}

static int number(const struct mail *mail)
{
	return ((const struct letter *)(const void *)mail)->number;
}

static void expect_order_and_bound(void **state)
{
	(void)state;
	struct letter letters[5] = {
		{ .number = 0 }, { .number = 1 }, { .number = 2 }, { .number = 3 }, { .number = 4 }
	};
	struct mailbox box;
	int wakes = 0;

	mailbox_init(&box, 3, on_wake, &wakes);
	assert_null(mailbox_take_all(&box));
	for (int i = 0; i < 3; i++)
		assert_true(mailbox_put(&box, &letters[i].mail));
	assert_int_equal(wakes, 1);
	assert_false(mailbox_put(&box, &letters[3].mail));
	mailbox_answer(&box, &letters[4].mail);
	assert_false(mailbox_put(&box, &letters[3].mail));
	static const int want[] = { 0, 1, 2, 4 };
	size_t n = 0;

	for (struct mail *mail = mailbox_take_all(&box); mail; mail = mail->next)
		assert_int_equal(number(mail), want[n++]);
	assert_int_equal(n, 4);
	assert_null(mailbox_take_all(&box));
	assert_int_equal(wakes, 1);
	assert_true(mailbox_put(&box, &letters[3].mail));
	assert_int_equal(wakes, 2);
	struct mail *last = mailbox_wait_all(&box, -1);

	assert_int_equal(number(last), 3);
	assert_null(last->next);
	mailbox_release(&box);
}

static void expect_waits_end(void **state)
{
	(void)state;
	struct mailbox box;
	struct letter letter = { .number = 9 };

	mailbox_init(&box, 1, NULL, NULL);
	assert_null(mailbox_wait_all(&box, 0));
	struct boot before = clock_read().boot;

	assert_null(mailbox_wait_all(&box, 20));
	assert_true(boot_since_us(clock_read().boot, before) >= 19 * US_PER_MS);
	assert_true(mailbox_put(&box, &letter.mail));
	assert_int_equal(number(mailbox_wait_all(&box, 60000)), 9);
	assert_true(mailbox_put(&box, &letter.mail));
	assert_int_equal(number(mailbox_wait_all(&box, 0)), 9);
	mailbox_release(&box);
}

enum { SENDERS = 3, LETTERS = 5000, BOUND = 64 };

struct sender {
	struct mailbox *box;
	int id;
	int64_t refused;
};

static void *on_sender(void *ctx)
{
	struct sender *sender = ctx;

	for (int i = 0; i < LETTERS; i++) {
		struct letter *letter = memory_new(sizeof *letter);

		*letter = (struct letter){ .sender = sender->id, .number = i };
		while (!mailbox_put(sender->box, &letter->mail)) {
			sender->refused++;
			sched_yield();
		}
	}
	return NULL;
}

static void expect_nothing_lost_between_threads(void **state)
{
	(void)state;
	struct mailbox box;
	struct sender senders[SENDERS];
	pthread_t threads[SENDERS];
	int next[SENDERS] = { 0 }, received = 0;

	mailbox_init(&box, BOUND, NULL, NULL);
	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ .box = &box, .id = i };
		assert_int_equal(pthread_create(&threads[i], NULL, on_sender, &senders[i]), 0);
	}
	while (received < SENDERS * LETTERS) {
		struct mail *mail = mailbox_wait_all(&box, 60000);
		int batch = 0;

		assert_non_null(mail);
		while (mail) {
			struct letter *letter = (struct letter *)(void *)mail;

			mail = mail->next;
			assert_int_equal(letter->number, next[letter->sender]);
			next[letter->sender]++;
			free(letter);
			batch++;
		}
		assert_in_range(batch, 1, BOUND);
		received += batch;
	}
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_null(mailbox_take_all(&box));
	mailbox_release(&box);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expect_order_and_bound),
		cmocka_unit_test(expect_waits_end),
		cmocka_unit_test(expect_nothing_lost_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
