/* SPDX-License-Identifier: BSD-3-Clause */
/* What a delivery costs in the store: claim and record of batches, microseconds per run. Not a test; run by hand on a
 * build without sanitizers: bench_store DIRECTORY [SCHEDULES] [BATCH]. docs/design/storage.md has the figures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "store/store.h"

struct tally {
	int64_t runs, claim_us, record_us, commit_us, checkpoint_us, longest_us;
};

static int64_t now_us(void)
{
	return clock_read().boot.us;
}

static int64_t cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_SECOND + usage.ru_utime.tv_usec +
	       usage.ru_stime.tv_usec;
}

static void must(enum err err, const char *what, const struct store *store)
{
	if (err == ERR_OK)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, err_name(err), store ? store_last_error(store) : "");
	exit(1);
}

static void insert_schedules(struct store *store, int64_t n, struct wall now, const char *kind)
{
	char payload[200], text[40];
	int64_t since = now_us();

	memset(payload, 'x', sizeof payload);
	payload[0] = payload[sizeof payload - 1] = '"';
	for (int64_t i = 0; i < n;) {
		must(store_begin(store, NULL), "begin", store);
		for (int64_t end = i + 1000; i < end && i < n; i++) {
			struct arena arena = { 0 };
			struct schedule schedule;
			struct schedule_definition definition = { .endpoint =
									  STR("http://receiver.example.org/hooks/one"),
								  .payload = { payload, sizeof payload },
								  .enabled = true,
								  .timezone = STR("UTC") };

			snprintf(text, sizeof text, "%d seconds", 60 + rand() % 3600);
			if (strcmp(kind, "interval") == 0)
				definition.interval = str_from(text);
			else
				definition.cron = STR("* * * * *");
			must(store_schedule_insert(store, &definition, 0, now, &arena, &schedule), "insert", store);
			arena_release(&arena);
		}
		must(store_commit(store, NULL), "commit", store);
		store_checkpoint(store);
	}
	printf("  insert: %.1f us a schedule\n", (double)(now_us() - since) / (double)n);
}

/* One group as the store thread makes it: the records of the batch before and the next claim share a commit. */
static bool turn(struct store *store, struct wall now, uint32_t batch, struct claim_batch *held,
		 struct store_record *records, struct outcome *outcome, struct tally *tally)
{
	struct claim_batch next;
	struct store_claim request = { .now = now, .until = now, .missed_before = { 0 }, .room = batch };
	int64_t started = now_us();

	must(store_begin(store, NULL), "begin", store);
	for (uint32_t i = 0; i < held->runs_n; i++)
		records[i] = (struct store_record){ .run_id = held->runs[i].id,
						    .lease = held->runs[i].lease,
						    .schedule_row = held->runs[i].schedule_row,
						    .kind = STORE_DELIVERED,
						    .attempts = 1,
						    .outcome = outcome };
	must(store_record(store, records, held->runs_n, now), "record", store);
	int64_t recorded = now_us();

	must(store_claim(store, &request, &next), "claim", store);
	int64_t claimed = now_us();

	must(store_commit(store, NULL), "commit", store);
	int64_t committed = now_us();

	store_checkpoint(store);
	int64_t ended = now_us();

	tally->runs += next.runs_n;
	tally->record_us += recorded - started;
	tally->claim_us += claimed - recorded;
	tally->commit_us += committed - claimed;
	tally->checkpoint_us += ended - committed;
	if (ended - started > tally->longest_us)
		tally->longest_us = ended - started;
	arena_release(&held->arena);
	*held = next;
	return next.runs_n > 0;
}

int main(int argc, char **argv)
{
	char url[256];
	int64_t schedules = argc > 2 ? atoll(argv[2]) : 100000;
	uint32_t batch = argc > 3 ? (uint32_t)atoi(argv[3]) : 1000;
	const char *kind = argc > 4 ? argv[4] : "cron";
	struct store_settings settings = { .url = { url, 0 } };
	struct store *store;
	struct error error;
	struct tally tally = { 0 };
	struct claim_batch held = { 0 };
	struct outcome outcome = { .status = 200, .duration_us = 12000 };
	struct store_record *records = calloc(batch, sizeof *records);
	struct wall now = { INT64_C(1893456000) * US_PER_SECOND };

	if (argc < 2 || !records)
		return 2;
	settings.url.n = (size_t)snprintf(url, sizeof url, "sqlite:%s/bench.db", argv[1]);
	if (store_open_writer(&settings, &store, &error) != ERR_OK) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	printf("%ld schedules (%s), batches of %u\n", (long)schedules, kind, batch);
	insert_schedules(store, schedules, now, kind);
	int64_t cpu_before_us = cpu_us();

	for (int minute = 0; minute < 5 && tally.runs < 1000000; minute++) {
		now.us += US_PER_MINUTE;
		outcome.started_at = now;
		while (turn(store, now, batch, &held, records, &outcome, &tally))
			;
	}
	double n = (double)tally.runs;
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("  %ld runs: claim %.2f + record %.2f + commit %.2f + checkpoint %.2f = %.2f us a run, "
	       "%.2f us of CPU; longest turn %.1f ms; peak memory %ld MiB\n",
	       (long)tally.runs, (double)tally.claim_us / n, (double)tally.record_us / n, (double)tally.commit_us / n,
	       (double)tally.checkpoint_us / n,
	       (double)(tally.claim_us + tally.record_us + tally.commit_us + tally.checkpoint_us) / n,
	       (double)(cpu_us() - cpu_before_us) / n, (double)tally.longest_us / 1000.0, usage.ru_maxrss / 1024);
	store_close(store);
	free(records);
	return 0;
}
