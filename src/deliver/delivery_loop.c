/* SPDX-License-Identifier: BSD-3-Clause */
/* One libuv loop: wake-ups, answers of the store and ends of attempts become events; the actions that come back become
 * requests. Decides nothing.
 *
 * A turn: look at the clocks → take the mail → step the dispatcher with each event and carry its actions out → before
 * the loop sleeps, submit the records that should wait no longer and arm the one timer. The timer is a timerfd on the wall clock:
 * microseconds, and it fires when the clock is set. */
#include "deliver/delivery_loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "deliver/delivery_jobs.h"
#include "deliver/delivery_report.h"
#include "store/store_thread.h"

enum { NOTICES_MAX = 65536, SECOND_MS = 1000 };

/* A place for what flies, one for each slot of the dispatcher. */
struct flight {
	const struct run *run;
	uint32_t attempt;
};

struct delivery {
	struct delivery_options options;
	struct mailbox answers, notices;
	struct delivery_jobs *jobs;
	struct dispatcher *dispatcher;
	struct dispatch_actions actions;
	struct outbound *outbound;
	struct flight *flights; /* owned, held_max */

	uv_loop_t loop;
	uv_async_t mail;
	uv_poll_t due;
	uv_timer_t second, drain_end;
	uv_prepare_t sleep;
	int timer_fd;
	pthread_t thread;
	bool is_started;

	struct instant now; /* of the last look at the clocks */
	struct wall missed_before;
	int64_t set_back_us;	  /* by how much the wall clock was set back; the store does not know yet */
	int64_t set_back_us_told; /* of that, in the job outstanding; 0: none is */
	struct wall wake_at;  /* what the dispatcher wants */
	int64_t armed_us;     /* what the timer is set to; 0 = nothing */
	struct boot behind_since; /* the last second in which nothing that was due waited */
	struct boot slept_at; /* end of the last turn */
	uint64_t slept_ns;    /* sum of all sleeps until then */
	int64_t turn_us_max;  /* since the last report */
	bool is_draining, is_ending, is_complete;

	atomic_bool drain_asked, has_ended;
	_Atomic int64_t turned_at_us, oldest_due_us;
};

static void end(struct delivery *d);
static void step(struct delivery *d, struct dispatch_event event);

/* --- actions --- */

static void claim(struct delivery *d, const struct dispatch_action *action)
{
	struct store_claim wanted = {
		.now = d->now.wall,
		.until = action->claim.until,
		.missed_before = d->missed_before,
		.room = action->claim.room,
		.of_lane = action->kind == DISPATCH_CLAIM_LANE,
		.lane = action->claim.lane,
	};

	delivery_jobs_claim(d->jobs, &wanted);
}

static void start(struct delivery *d, const struct dispatch_action *action)
{
	struct flight *flight = &d->flights[action->start.slot];

	*flight = (struct flight){ .run = action->start.run, .attempt = action->start.attempt };
	FAILPOINT("delivery.start");
	outbound_start(d->outbound, flight->run, flight->attempt, d->now, flight);
}

static void carry_out(struct delivery *d, const struct dispatch_action *action)
{
	switch (action->kind) {
	case DISPATCH_CLAIM:
	case DISPATCH_CLAIM_LANE:
		claim(d, action);
		break;
	case DISPATCH_START:
		start(d, action);
		break;
	case DISPATCH_RECORD:
		delivery_jobs_record(d->jobs, &action->record);
		break;
	case DISPATCH_FREE:
		delivery_run_free(action->run);
		break;
	case DISPATCH_WAKE:
		d->wake_at = action->wake_at;
		break;
	case DISPATCH_DRAINED:
		FAILPOINT("delivery.drained");
		d->is_complete = true;
		end(d);
		break;
	}
}

static void step(struct delivery *d, struct dispatch_event event)
{
	do {
		event.now = d->now;
		dispatcher_step(d->dispatcher, &event, &d->actions);
		for (uint32_t i = 0; i < d->actions.n; i++)
			carry_out(d, &d->actions.list[i]);
		event = (struct dispatch_event){ .kind = DISPATCH_TICK };
	} while (d->actions.more);
}

/* --- events --- */

static void tell_set_back(struct delivery *d)
{
	if (d->set_back_us == 0 || d->set_back_us_told > 0 || d->is_ending)
		return;
	d->set_back_us_told = d->set_back_us;
	delivery_jobs_set_back(d->jobs, d->now, d->set_back_us);
}

/* Told again each second until the store has it. */
static void on_set_back(void *ctx, bool ok)
{
	struct delivery *d = ctx;

	if (ok)
		d->set_back_us -= d->set_back_us_told;
	d->set_back_us_told = 0;
	if (ok && !d->is_ending)
		step(d, (struct dispatch_event){ .kind = DISPATCH_SET_BACK });
}

static void look_at_clocks(struct delivery *d)
{
	struct instant before = d->now;
	int64_t by_us;

	d->now = clock_read();
	atomic_store_explicit(&d->turned_at_us, d->now.boot.us, memory_order_relaxed);

	enum clock_change change = clock_watch(before, d->now, &by_us);

	if (change == CLOCK_STEADY)
		return;
	d->missed_before = clock_watch_missed(change, by_us, d->now.wall, d->missed_before);
	d->armed_us = 0;
	report_clock(change, by_us, d->now.wall);
	if (change != CLOCK_STEPPED_BACK || d->is_ending)
		return;
	d->set_back_us += -by_us;
	tell_set_back(d);
	step(d, (struct dispatch_event){ .kind = DISPATCH_SET_BACK, .by_us = -by_us });
}

/* All revocations in one event, before anything that is due: a step with the first would start what the second has
 * cancelled. */
static void hear_notices(struct delivery *d)
{
	struct mail *mails = mailbox_take_all(&d->notices);
	struct dispatch_event due = { .kind = DISPATCH_DUE_HINT, .due_at = { INT64_MAX } };
	size_t revoked_n = 0, at = 0;

	for (struct mail *mail = mails; mail; mail = mail->next)
		revoked_n += ((struct store_notice_mail *)(void *)mail)->notice.revoked_n;
	int64_t *revoked = revoked_n ? memory_new(revoked_n * sizeof *revoked) : NULL;

	for (struct mail *mail = mails, *next; mail; mail = next) {
		struct store_notice_mail *notice_mail = (struct store_notice_mail *)(void *)mail;
		const struct store_notice *notice = &notice_mail->notice;

		next = mail->next;
		for (size_t i = 0; i < notice->revoked_n; i++) {
			assert(revoked && at < revoked_n);
			revoked[at++] = notice->revoked[i];
		}
		if (notice->has_due && notice->due_at.us < due.due_at.us)
			due.due_at = notice->due_at;
		store_notice_free(notice_mail);
	}
	if (revoked_n && !d->is_ending) {
		FAILPOINT("delivery.revoked");
		step(d, (struct dispatch_event){ .kind = DISPATCH_REVOKED, .ids = { revoked, (uint32_t)revoked_n } });
	}
	if (due.due_at.us != INT64_MAX && !d->is_ending)
		step(d, due);
	free(revoked);
}

static void on_attempt_done(void *ctx, void *attempt_ctx, const struct outcome *outcome)
{
	struct delivery *d = ctx;
	struct flight *flight = attempt_ctx;

	FAILPOINT("delivery.attempted");
	look_at_clocks(d);
	/* Later than the turn began, runs are due that an edit answered meanwhile has cancelled (P13). */
	hear_notices(d);
	report_attempt(flight->run, flight->attempt, outcome);
	flight->run = NULL;
	step(d, (struct dispatch_event){ .kind = DISPATCH_DONE, .done = { (uint32_t)(flight - d->flights), outcome } });
}

static void on_claim(void *ctx, const struct claim_answer *answer)
{
	struct delivery *d = ctx;

	FAILPOINT("delivery.claimed");
	if (d->is_ending) {
		/* Leased to us and not sent: the next start finds them. */
		for (uint32_t i = 0; i < answer->runs_n; i++)
			delivery_run_free(answer->runs[i]);
		return;
	}
	step(d, (struct dispatch_event){
			.kind = answer->ok ? DISPATCH_CLAIMED : DISPATCH_CLAIM_FAILED,
			.claimed = { .runs = answer->runs,
				     .runs_n = answer->runs_n,
				     .more = answer->more,
				     .has_next = answer->has_next,
				     .next_at = answer->next_at,
				     .has_no_ahead = answer->has_no_ahead,
				     .no_ahead_at = answer->no_ahead_at,
				     .of_lane = answer->claim->of_lane,
				     .lane = answer->claim->lane },
		});
}

static void on_records(void *ctx, const struct record_answer *answer)
{
	struct delivery *d = ctx;

	FAILPOINT("delivery.recorded");
	for (uint32_t i = 0; answer->ok && i < answer->n; i++) {
		if (!answer->stored[i].was_fenced)
			report_recorded(&answer->records[i]);
	}
	if (!answer->ok)
		log_event(LOG_WARN, "record_failed", log_int("records", answer->n));
	if (!d->is_ending)
		step(d, (struct dispatch_event){ .kind = answer->ok ? DISPATCH_RECORDED : DISPATCH_RECORD_FAILED,
						 .slots = { answer->slots, answer->n } });
}

/* The store posts a notice before the answers of the same commit. So the answers are taken first and heard last: no run
 * starts whose revocation was posted before its claim's answer. */
static void take_mail(struct delivery *d)
{
	struct mail *answers = mailbox_take_all(&d->answers);

	hear_notices(d);
	while (answers) {
		struct mail *next = answers->next;

		delivery_jobs_answer(d->jobs, answers);
		answers = next;
	}
}

static void on_drain_end(uv_timer_t *timer)
{
	struct delivery *d = timer->data;
	struct dispatcher_counts counts = dispatcher_count(d->dispatcher, d->now.wall);

	log_event(LOG_WARN, "drain_abandoned", log_int("flying", counts.flying),
		  log_int("recording", counts.recording));
	end(d);
}

static void begin_drain(struct delivery *d)
{
	d->is_draining = true;
	FAILPOINT("delivery.draining");
	uv_timer_start(&d->drain_end, on_drain_end, (uint64_t)(d->options.drain_us_max / US_PER_MS), 0);
	step(d, (struct dispatch_event){ .kind = DISPATCH_DRAIN });
}

static void close_handles(struct delivery *d)
{
	d->is_ending = true;
	if (d->outbound)
		outbound_close(d->outbound);
	uv_close((uv_handle_t *)&d->due, NULL);
	uv_close((uv_handle_t *)&d->second, NULL);
	uv_close((uv_handle_t *)&d->drain_end, NULL);
	uv_close((uv_handle_t *)&d->sleep, NULL);
}

/* The loop ends when the store has answered what it was asked: jobs point into our memory. The box for mail stays open
 * until delivery_free. */
static void let_go(struct delivery *d)
{
	if (d->is_ending && delivery_jobs_outstanding(d->jobs) == 0)
		uv_unref((uv_handle_t *)&d->mail);
}

/* Nothing more is stepped or sent. */
static void end(struct delivery *d)
{
	if (d->is_ending)
		return;
	close_handles(d);
	delivery_jobs_flush(d->jobs, d->now, true);
	let_go(d);
}

static void turn(struct delivery *d)
{
	look_at_clocks(d);
	take_mail(d);
	if (!d->is_draining && atomic_load(&d->drain_asked))
		begin_drain(d);
	if (!d->is_ending)
		step(d, (struct dispatch_event){ .kind = DISPATCH_TICK });
	let_go(d);
}

static void on_mail(uv_async_t *async)
{
	turn(async->data);
}

static void on_due(uv_poll_t *poll, int status, int events)
{
	struct delivery *d = poll->data;
	uint64_t expirations;

	(void)status;
	(void)events;
	/* ECANCELED: the clock was set. Either way the timer has to be set anew. */
	if (read(d->timer_fd, &expirations, sizeof expirations) < 0 && errno == EAGAIN)
		return;
	d->armed_us = 0;
	turn(d);
}

/* Once a second whatever happens: the report, and the last resort should a wake-up be lost. */
static void on_second(uv_timer_t *timer)
{
	struct delivery *d = timer->data;

	turn(d);
	if (d->is_ending)
		return;
	tell_set_back(d);
	delivery_jobs_ask_oldest_due(d->jobs, d->now);

	struct dispatcher_counts counts = dispatcher_count(d->dispatcher, d->now.wall);
	int64_t oldest = delivery_jobs_oldest_due(d->jobs, d->now.boot);

	if (counts.oldest_ready_age_us > oldest)
		oldest = counts.oldest_ready_age_us;
	/* A one-shot of the year 2020 that was made a moment ago has not waited since then. */
	if (oldest == 0)
		d->behind_since = d->now.boot;
	else if (oldest > boot_since_us(d->now.boot, d->behind_since))
		oldest = boot_since_us(d->now.boot, d->behind_since);
	atomic_store_explicit(&d->oldest_due_us, oldest, memory_order_relaxed);
	report_counts(&counts, oldest, d->turn_us_max);
	d->turn_us_max = 0;
}

/* --- sleeping --- */

/* An earlier wake-up than wanted does no harm, so a timer that is set is left alone unless it is set too late. */
static void arm(struct delivery *d, int64_t gather_us)
{
	int64_t at = d->wake_at.us > 0 ? d->wake_at.us : 1;

	if (gather_us >= 0 && at > d->now.wall.us + gather_us)
		at = d->now.wall.us + gather_us;
	if (d->armed_us && d->armed_us <= at)
		return;

	struct itimerspec spec = { .it_value = { .tv_sec = at / US_PER_SECOND, .tv_nsec = at % US_PER_SECOND * 1000 } };

	d->armed_us =
		timerfd_settime(d->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec, NULL) == 0 ? at : 0;
}

static void on_sleep(uv_prepare_t *prepare)
{
	struct delivery *d = prepare->data;
	struct boot now = clock_read().boot;
	uint64_t slept_ns = uv_metrics_idle_time(&d->loop);
	int64_t turn_us = boot_since_us(now, d->slept_at) - (int64_t)((slept_ns - d->slept_ns) / 1000);

	if (turn_us > d->turn_us_max)
		d->turn_us_max = turn_us;
	d->slept_at = now;
	d->slept_ns = slept_ns;
	arm(d, delivery_jobs_flush(d->jobs, d->now, false));
}

/* --- life --- */

static void wake(void *ctx)
{
	struct delivery *d = ctx;

	uv_async_send(&d->mail);
}

static void handles_init(struct delivery *d)
{
	uv_async_init(&d->loop, &d->mail, on_mail);
	uv_poll_init(&d->loop, &d->due, d->timer_fd);
	uv_timer_init(&d->loop, &d->second);
	uv_timer_init(&d->loop, &d->drain_end);
	uv_prepare_init(&d->loop, &d->sleep);
	d->mail.data = d->due.data = d->second.data = d->drain_end.data = d->sleep.data = d;
}

enum err delivery_new(const struct delivery_options *options, struct delivery **delivery, struct error *error)
{
	struct delivery *d = memory_new(sizeof *d);

	d->options = *options;
	d->missed_before = options->missed_before;
	d->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (d->timer_fd < 0 || uv_loop_init(&d->loop)) {
		error_set(error, ERR_IO, "delivery: timer or event loop: %s", strerror(errno));
		if (d->timer_fd >= 0)
			close(d->timer_fd);
		free(d);
		return ERR_IO;
	}
	uv_loop_configure(&d->loop, UV_METRICS_IDLE_TIME);
	handles_init(d);
	mailbox_init(&d->answers, 0, wake, d);
	mailbox_init(&d->notices, NOTICES_MAX, wake, d);
	d->jobs = delivery_jobs_new(&(struct delivery_jobs_options){
		.answers = &d->answers, .on_claim = on_claim, .on_records = on_records, .on_set_back = on_set_back, .ctx = d });
	d->dispatcher = dispatcher_new(&options->dispatcher);
	d->flights = memory_new(options->dispatcher.held_max * sizeof *d->flights);
	*delivery = d;

	enum err err = outbound_new(&d->loop, &options->outbound, on_attempt_done, d, &d->outbound, error);

	if (err != ERR_OK) {
		delivery_free(d);
		*delivery = NULL;
	}
	return err;
}

struct mailbox *delivery_notices(struct delivery *d)
{
	return &d->notices;
}

static void *run_loop(void *ctx)
{
	struct delivery *d = ctx;

	d->now = clock_read();
	d->slept_at = d->behind_since = d->now.boot;
	uv_poll_start(&d->due, UV_READABLE, on_due);
	uv_timer_start(&d->second, on_second, 0, SECOND_MS);
	uv_prepare_start(&d->sleep, on_sleep);
	uv_run(&d->loop, UV_RUN_DEFAULT);
	atomic_store(&d->has_ended, true);
	return NULL;
}

enum err delivery_start(struct delivery *d, struct store_thread *thread, struct error *error)
{
	sigset_t all, before;

	delivery_jobs_set_thread(d->jobs, thread);
	atomic_store(&d->turned_at_us, clock_read().boot.us);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);

	int failed = pthread_create(&d->thread, NULL, run_loop, d);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		return error_set(error, ERR_IO, "delivery: no thread: %s", strerror(failed));
	pthread_setname_np(d->thread, "delivery");
	d->is_started = true;
	return ERR_OK;
}

void delivery_drain(struct delivery *d)
{
	atomic_store(&d->drain_asked, true);
	uv_async_send(&d->mail);
}

bool delivery_has_ended(struct delivery *d)
{
	return atomic_load(&d->has_ended);
}

bool delivery_join(struct delivery *d)
{
	assert(d->is_started && atomic_load(&d->drain_asked));
	pthread_join(d->thread, NULL);
	d->is_started = false;
	return d->is_complete;
}

struct delivery_health delivery_health(struct delivery *d)
{
	return (struct delivery_health){
		.turned_at = { atomic_load_explicit(&d->turned_at_us, memory_order_relaxed) },
		.oldest_due_us = atomic_load_explicit(&d->oldest_due_us, memory_order_relaxed),
	};
}

static void free_held(void *ctx, struct run *run)
{
	(void)ctx;
	delivery_run_free(run);
}

void delivery_free(struct delivery *d)
{
	if (!d)
		return;
	assert(!d->is_started);
	if (!d->is_ending) /* never started */
		close_handles(d);
	take_mail(d);
	uv_close((uv_handle_t *)&d->mail, NULL);
	uv_run(&d->loop, UV_RUN_DEFAULT);
	if (d->outbound)
		outbound_free(d->outbound);
	int busy = uv_loop_close(&d->loop);

	assert(busy == 0);
	close(d->timer_fd);
	dispatcher_each_run(d->dispatcher, free_held, NULL);
	dispatcher_free(d->dispatcher);
	delivery_jobs_free(d->jobs);
	mailbox_release(&d->answers);
	mailbox_release(&d->notices);
	free(d->flights);
	free(d);
}
