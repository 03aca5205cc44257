/* SPDX-License-Identifier: BSD-3-Clause */
/* Of an endpoint only the host is ever told: the URL is itself a credential. Delivered runs are counted; the log's
 * limit decides how many of them it tells. */
#include "deliver/delivery_report.h"

#include "base/log.h"
#include "base/metrics.h"
#include "core/url.h"

static const enum metric class_metrics[OUTCOME_CLASSES_N] = {
	[OUTCOME_DELIVERED] = METRIC_ATTEMPTS_DELIVERED, [OUTCOME_HTTP] = METRIC_ATTEMPTS_HTTP_OTHER,
	[OUTCOME_TIMEOUT] = METRIC_ATTEMPTS_TIMEOUT,	 [OUTCOME_DNS] = METRIC_ATTEMPTS_DNS,
	[OUTCOME_CONNECT] = METRIC_ATTEMPTS_CONNECT,	 [OUTCOME_TLS] = METRIC_ATTEMPTS_TLS,
	[OUTCOME_RESET] = METRIC_ATTEMPTS_RESET,	 [OUTCOME_PROTOCOL] = METRIC_ATTEMPTS_PROTOCOL,
	[OUTCOME_BLOCKED] = METRIC_ATTEMPTS_BLOCKED,	 [OUTCOME_INTERNAL] = METRIC_ATTEMPTS_INTERNAL,
};

static enum metric attempt_metric(const struct outcome *outcome)
{
	static const enum metric hundreds[] = { METRIC_ATTEMPTS_HTTP_3XX, METRIC_ATTEMPTS_HTTP_4XX,
						METRIC_ATTEMPTS_HTTP_5XX };

	if (outcome->class == OUTCOME_HTTP && outcome->status >= 300 && outcome->status < 600)
		return hundreds[outcome->status / 100 - 3];
	return class_metrics[outcome->class];
}

/* Asked only for lines that are written: a host that fails fast ends more attempts in a second than the log takes. */
static struct str host_of(const void *about)
{
	const struct run *run = about;
	struct url url;

	return url_parse(run->endpoint, &url) ? url.host : STR("-");
}

static void log_outcome(enum log_level level, const char *event, const struct run *run, uint32_t attempt,
			const struct outcome *outcome)
{
	bool of_schedule = run->kind == RUN_SCHEDULE; /* not a webhook's or a metric's */

	log_event(level, event,
		  of_schedule ? log_uuid("schedule_id", run->schedule_uuid) : log_str("schedule_id", (struct str){ 0 }),
		  log_uuid("run_id", run->uuid), log_int("attempt", attempt), log_asked("host", host_of, run),
		  log_text("class", outcome_class_name(outcome->class)), log_int("status", outcome->status),
		  log_text("detail", outcome->detail), log_int("duration_us", outcome->duration_us));
}

void report_attempt(const struct run *run, uint32_t attempt, const struct outcome *outcome)
{
	if (outcome->is_unsent) {
		log_outcome(LOG_WARN, "attempt_put_off", run, attempt, outcome);
		return;
	}
	if (attempt == 1 && run->kind == RUN_SCHEDULE)
		histogram_observe_us(HISTOGRAM_FIRE_LAG, outcome->started_at.us - run->planned_at.us);
	metric_add(attempt_metric(outcome), 1);
	histogram_observe_us(HISTOGRAM_ATTEMPT_DURATION, outcome->duration_us);
	if (outcome->class != OUTCOME_DELIVERED)
		log_outcome(LOG_INFO, "attempt_failed", run, attempt, outcome);
}

void report_recorded(const struct run_record *record)
{
	bool is_over = record->kind == RECORD_DELIVERED || record->kind == RECORD_FAILED;

	if (is_over && record->run->kind == RUN_SCHEDULE)
		metric_add(record->kind == RECORD_DELIVERED ? METRIC_FIRES_DELIVERED : METRIC_FIRES_FAILED, 1);
	if (record->kind == RECORD_RETRY)
		log_event(LOG_DEBUG, "retry_planned", log_uuid("run_id", record->run->uuid),
			  log_int("attempts", record->attempts), log_wall("next_at", record->eligible_at));
	else if (is_over)
		log_outcome(record->kind == RECORD_DELIVERED ? LOG_INFO : LOG_WARN,
			    record->kind == RECORD_DELIVERED ? "run_delivered" : "run_failed", record->run,
			    record->attempts, record->outcome);
}

void report_clock(enum clock_change change, int64_t by_us, struct wall now)
{
	metric_add(METRIC_CLOCK_STEPS, 1);
	log_event(LOG_WARN, "clock_changed", log_text("change", clock_change_name(change)), log_int("by_us", by_us),
		  log_wall("now", now));
}

void report_counts(const struct dispatcher_counts *counts, int64_t oldest_due_us, int64_t turn_us_max)
{
	metric_set(METRIC_INFLIGHT, counts->flying);
	metric_set(METRIC_HELD, (int64_t)counts->waiting + counts->ready);
	metric_set(METRIC_OLDEST_DUE_AGE_US, oldest_due_us);
	metric_set(METRIC_LOOP_LAG_US, turn_us_max);
}
