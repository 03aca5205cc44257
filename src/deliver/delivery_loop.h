/* SPDX-License-Identifier: BSD-3-Clause */
/* The delivery thread: carries out what the dispatcher decides, with sockets and store jobs, and tells it what came of
 * it.
 *
 * Order of life, because the store thread needs a place for its notices before it starts and keeps it until it has
 * stopped: delivery_new → store_thread_start(store, delivery_notices(d)) → delivery_start → … → delivery_drain →
 * delivery_join → store_thread_stop → delivery_free */
#ifndef DELIVER_DELIVERY_LOOP_H
#define DELIVER_DELIVERY_LOOP_H

#include "base/mailbox.h"
#include "deliver/dispatcher.h"
#include "deliver/outbound.h"

struct delivery;
struct store_thread;

struct delivery_options {
	struct dispatcher_options dispatcher;
	struct outbound_options outbound; /* its egress policy is borrowed for life */
	struct wall missed_before;	  /* when the service started: what was due before was missed (P7) */
	int64_t drain_us_max; /* after delivery_drain: what still flies then is abandoned, and starts again at the next
				 start (P4). 35 s */
};

/* Makes everything but the thread. */
enum err delivery_new(const struct delivery_options *options, struct delivery **delivery,
		      struct error *error) MUST_CHECK;
/* Where the store thread puts its struct store_notice_mail; any thread may put until delivery_free. */
struct mailbox *delivery_notices(struct delivery *delivery);
/* Starts the thread and with it claiming. `thread` must outlive delivery_join. */
enum err delivery_start(struct delivery *delivery, struct store_thread *thread, struct error *error) MUST_CHECK;

/* Any thread; returns at once, and may be called more than once. Claims no more, lets what flies end and be recorded,
 * puts back the rest, then the thread ends. */
void delivery_drain(struct delivery *delivery);
/* Any thread: delivery_join will not wait. */
bool delivery_has_ended(struct delivery *delivery);
/* Waits for the thread's end; delivery_drain must have been called. True: everything that flew ended and was recorded.
 */
bool delivery_join(struct delivery *delivery);
/* The store thread must have stopped, or not have got the notices' box. */
void delivery_free(struct delivery *delivery);

/* Any thread, for /readyz and the watchdog: progress, not just life. */
struct delivery_health {
	struct boot turned_at; /* the last turn of the loop; at least one a second while all is well */
	int64_t oldest_due_us; /* age of the oldest instant that is due and not on the wire, in memory or in the store;
				  0 when there is none */
};
struct delivery_health delivery_health(struct delivery *delivery);

#endif
