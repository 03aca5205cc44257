/* SPDX-License-Identifier: BSD-3-Clause */
/* Two jobs that are never outstanding twice: a probe of the disk, and a step of the purge. A purge step is small enough
 * that no delivery waits for it, and the next one waits its turn behind every other job. */
#include "cli/housekeeping.h"

#include <stdlib.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	TICK_MS = 1000,
	PROBE_TICKS = 2,
	PURGE_TICKS = 60,
	PURGE_TICK = 1, /* soon after the start: a service that never lives a minute has a history, too */
	PURGE_ROWS = 500,
	HOUSEKEEPING_STALE_S = 15
};

struct housekeeping {
	uv_timer_t timer;
	uv_async_t answered;
	struct mailbox answers;
	struct store_thread *writer; /* borrowed */
	struct store_job probe, purge;
	bool probing, purging, stopping, closed;
	bool is_ill; /* the last probe failed */
	bool purge_again;
	struct boot well_at;
	struct error trouble; /* the store thread's while the probe is outstanding */
	struct error told;    /* what was the matter, for readers */
	unsigned ticks;
};

static enum err run_probe(struct store *store, struct store_job *job)
{
	struct housekeeping *housekeeping = job->ctx;

	error_set(&housekeeping->trouble, ERR_OK, "the commit failed; the log has the reason");
	return store_probe(store, clock_read().wall, &housekeeping->trouble);
}

static enum err run_purge(struct store *store, struct store_job *job)
{
	struct housekeeping *housekeeping = job->ctx;

	return store_purge(store, clock_read().wall, PURGE_ROWS, &housekeeping->purge_again);
}

static void on_probed(struct store_job *job)
{
	struct housekeeping *housekeeping = job->ctx;

	housekeeping->probing = false;
	housekeeping->is_ill = job->result != ERR_OK;
	if (!housekeeping->is_ill) {
		housekeeping->well_at = clock_read().boot;
		return;
	}
	housekeeping->told = housekeeping->trouble;
	log_event(LOG_ERROR, "store_not_writable", log_text("problem", err_name(job->result)),
		  log_text("detail", housekeeping->told.text));
}

static void submit(struct housekeeping *housekeeping, struct store_job *job, bool *outstanding)
{
	*outstanding = store_thread_submit(housekeeping->writer, job);
}

static void on_purged(struct store_job *job)
{
	struct housekeeping *housekeeping = job->ctx;

	housekeeping->purging = false;
	if (job->result == ERR_OK && housekeeping->purge_again && !housekeeping->stopping)
		submit(housekeeping, &housekeeping->purge, &housekeeping->purging);
}

static void close_when_idle(struct housekeeping *housekeeping)
{
	if (!housekeeping->stopping || housekeeping->closed || housekeeping->probing || housekeeping->purging)
		return;
	housekeeping->closed = true;
	uv_close((uv_handle_t *)&housekeeping->timer, NULL);
	uv_close((uv_handle_t *)&housekeeping->answered, NULL);
}

static void on_answered(uv_async_t *async)
{
	struct housekeeping *housekeeping = async->data;

	store_jobs_done(&housekeeping->answers);
	close_when_idle(housekeeping);
}

static void on_tick(uv_timer_t *timer)
{
	struct housekeeping *housekeeping = timer->data;
	unsigned tick = housekeeping->ticks++;

	if ((housekeeping->is_ill || tick % PROBE_TICKS == 0) && !housekeeping->probing)
		submit(housekeeping, &housekeeping->probe, &housekeeping->probing);
	if (tick % PURGE_TICKS == PURGE_TICK && !housekeeping->purging)
		submit(housekeeping, &housekeeping->purge, &housekeeping->purging);
}

static void wake(void *ctx)
{
	uv_async_send(ctx);
}

struct housekeeping *housekeeping_start(uv_loop_t *loop, struct store_thread *writer)
{
	struct housekeeping *housekeeping = memory_new(sizeof *housekeeping);
	struct store_job job = {
		.class = STORE_JOB_MAINTENANCE, .answer_to = &housekeeping->answers, .ctx = housekeeping, .rows = 1
	};

	housekeeping->writer = writer;
	housekeeping->well_at = clock_read().boot;
	housekeeping->probe = housekeeping->purge = job;
	housekeeping->probe.run = run_probe;
	housekeeping->probe.done = on_probed;
	housekeeping->purge.run = run_purge;
	housekeeping->purge.done = on_purged;
	housekeeping->purge.rows = PURGE_ROWS;
	uv_timer_init(loop, &housekeeping->timer);
	uv_async_init(loop, &housekeeping->answered, on_answered);
	housekeeping->timer.data = housekeeping->answered.data = housekeeping;
	mailbox_init(&housekeeping->answers, 2, wake, &housekeeping->answered);
	uv_timer_start(&housekeeping->timer, on_tick, TICK_MS, TICK_MS);
	return housekeeping;
}

bool housekeeping_store_is_well(const struct housekeeping *housekeeping, struct error *error)
{
	if (!housekeeping->is_ill &&
	    boot_since_us(clock_read().boot, housekeeping->well_at) <= HOUSEKEEPING_STALE_S * US_PER_SECOND)
		return true;
	error_set(error, ERR_UNAVAILABLE, "the database takes no writes: %.400s",
		  housekeeping->is_ill ? housekeeping->told.text : "no answer for some time");
	return false;
}

void housekeeping_stop(struct housekeeping *housekeeping)
{
	housekeeping->stopping = true;
	uv_timer_stop(&housekeeping->timer);
	close_when_idle(housekeeping);
}

void housekeeping_free(struct housekeeping *housekeeping)
{
	mailbox_release(&housekeeping->answers);
	free(housekeeping);
}
