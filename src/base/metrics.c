/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters as relaxed atomics and the page that shows them. A gauge whose identifier ends in _US holds microseconds and
 * is shown in seconds, as histograms are. */
#include "base/metrics.h"

#include <assert.h>
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

enum { VERSION_BYTES_MAX = 32, STAT_BYTES_MAX = 1024 };

/* Upper bounds in microseconds: 50 us, which is what waking up takes, to five minutes, the longest that an attempt may
 * be given. */
static const int64_t bucket_us[] = { 50,      100,     250,	 500,	   1000,     2500,     5000,
				     10000,   25000,   50000,	 100000,   250000,   500000,   1000000,
				     2500000, 5000000, 10000000, 30000000, 60000000, 300000000 };

enum { BUCKETS_N = sizeof bucket_us / sizeof *bucket_us };

static const struct row {
	const char *id, *name, *labels, *help;
	bool is_counter;
} rows[METRIC_N] = {
#define COUNTER(id, name, labels, help) { #id, name, labels, help, true },
#define GAUGE(id, name, labels, help) { #id, name, labels, help, false },
#define HISTOGRAM(id, name, help)
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

static const struct histogram_row {
	const char *name, *help;
} histogram_rows[HISTOGRAM_N] = {
#define COUNTER(id, name, labels, help)
#define GAUGE(id, name, labels, help)
#define HISTOGRAM(id, name, help) { name, help },
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

static _Atomic int64_t values[METRIC_N];
static struct {
	_Atomic int64_t buckets[BUCKETS_N + 1]; /* each counts its own; the last one is beyond all bounds */
	_Atomic int64_t sum_us;
} histograms[HISTOGRAM_N];
static char tzdata_version[VERSION_BYTES_MAX];

void metric_add(enum metric id, int64_t n)
{
	assert(id < METRIC_N);
	atomic_fetch_add_explicit(&values[id], n, memory_order_relaxed);
}

void metric_set(enum metric id, int64_t value)
{
	assert(id < METRIC_N);
	atomic_store_explicit(&values[id], value, memory_order_relaxed);
}

int64_t metric_get(enum metric id)
{
	assert(id < METRIC_N);
	return atomic_load_explicit(&values[id], memory_order_relaxed);
}

void histogram_observe_us(enum histogram id, int64_t us)
{
	unsigned bucket = 0;

	assert(id < HISTOGRAM_N);
	us = us < 0 ? 0 : us; /* wall time may have stepped between the two readings */
	while (bucket < BUCKETS_N && us > bucket_us[bucket])
		bucket++;
	atomic_fetch_add_explicit(&histograms[id].buckets[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histograms[id].sum_us, us, memory_order_relaxed);
}

void metrics_set_tzdata_version(const char *version)
{
	snprintf(tzdata_version, sizeof tzdata_version, "%s", version);
	for (char *c = tzdata_version; *c; c++)
		if (*c < '!' || *c > '~' || *c == '"' || *c == '\\')
			*c = '_';
}

static void add_head(struct buf *page, const char *name, const char *help, const char *type)
{
	buf_printf(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_values(struct buf *page)
{
	const char *name_before = "";

	for (size_t i = 0; i < METRIC_N; i++) {
		const struct row *row = &rows[i];
		size_t n = strlen(row->id);

		if (strcmp(row->name, name_before) != 0)
			add_head(page, row->name, row->help, row->is_counter ? "counter" : "gauge");
		name_before = row->name;
		buf_add(page, str_from(row->name));
		if (row->labels[0])
			buf_printf(page, "{%s}", row->labels);
		if (n > 3 && strcmp(row->id + n - 3, "_US") == 0)
			buf_printf(page, " %.6f\n", (double)metric_get((enum metric)i) / 1e6);
		else
			buf_printf(page, " %lld\n", (long long)metric_get((enum metric)i));
	}
}

static void add_histograms(struct buf *page)
{
	for (size_t i = 0; i < HISTOGRAM_N; i++) {
		const char *name = histogram_rows[i].name;
		int64_t sum = 0;

		add_head(page, name, histogram_rows[i].help, "histogram");
		for (unsigned b = 0; b < BUCKETS_N; b++) {
			sum += atomic_load_explicit(&histograms[i].buckets[b], memory_order_relaxed);
			buf_printf(page, "%s_bucket{le=\"%g\"} %lld\n", name, (double)bucket_us[b] / 1e6,
				   (long long)sum);
		}
		sum += atomic_load_explicit(&histograms[i].buckets[BUCKETS_N], memory_order_relaxed);
		buf_printf(page, "%s_bucket{le=\"+Inf\"} %lld\n%s_sum %.6f\n%s_count %lld\n", name, (long long)sum,
			   name, (double)atomic_load_explicit(&histograms[i].sum_us, memory_order_relaxed) / 1e6, name,
			   (long long)sum);
	}
}

static int64_t count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int64_t n = 0;

	if (!folder)
		return 0;
	while (readdir(folder))
		n++;
	closedir(folder);
	return n - 3; /* ".", ".." and the folder's own */
}

struct process_stat {
	int64_t virtual_bytes, resident_bytes;
	double started_s; /* since boot */
};

/* From /proc/self/stat, see proc(5): field 22 is the start in clock ticks, 23 and 24 are the sizes. Zeros when it is
 * not there. */
static struct process_stat read_stat(void)
{
	struct process_stat stat = { 0 };
	char line[STAT_BYTES_MAX];
	FILE *file = fopen("/proc/self/stat", "re");
	const char *at =
		file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL; /* ends field 2, any text */
	unsigned long long started = 0, virtual_bytes = 0, resident_pages = 0;

	for (unsigned field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at && sscanf(at, "%llu %llu %llu", &started, &virtual_bytes, &resident_pages) == 3) {
		stat.virtual_bytes = (int64_t)virtual_bytes;
		stat.resident_bytes = (int64_t)resident_pages * sysconf(_SC_PAGESIZE);
		stat.started_s = (double)started / (double)sysconf(_SC_CLK_TCK);
	}
	if (file)
		fclose(file);
	return stat;
}

static void add_one(struct buf *page, const char *name, const char *type, const char *help, double value)
{
	add_head(page, name, help, type);
	buf_printf(page, value < 1e15 && value == (double)(int64_t)value ? "%s %.0f\n" : "%s %.6f\n", name, value);
}

static void add_process(struct buf *page)
{
	/* The start on the wall clock is worked out once: it must not move when the clock is set. */
	static _Atomic int64_t started_ms;
	struct process_stat stat = read_stat();
	struct rusage usage = { 0 };
	struct rlimit descriptors = { 0 };

	if (!started_ms) {
		struct instant now = clock_read();

		started_ms = (now.wall.us - now.boot.us) / US_PER_MS + (int64_t)(stat.started_s * 1000);
	}
	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &descriptors);
	add_one(page, "process_cpu_seconds_total", "counter", "Processor time of the program and of the system for it.",
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	add_one(page, "process_resident_memory_bytes", "gauge", "Memory in use.", (double)stat.resident_bytes);
	add_one(page, "process_virtual_memory_bytes", "gauge", "Address space in use.", (double)stat.virtual_bytes);
	add_one(page, "process_open_fds", "gauge", "Open file descriptors.", (double)count_descriptors());
	add_one(page, "process_max_fds", "gauge", "File descriptors that may be open.", (double)descriptors.rlim_cur);
	add_one(page, "process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.",
		(double)started_ms / 1e3);
}

void metrics_render(struct buf *page)
{
	add_values(page);
	add_histograms(page);
	add_head(page, "seed_build_info", "Version of the program.", "gauge");
	buf_printf(page, "seed_build_info{version=\"%s\"} 1\n", SEED_VERSION);
	if (tzdata_version[0]) {
		add_head(page, "seed_tzdata_info", "Version of the time zone data at the start.", "gauge");
		buf_printf(page, "seed_tzdata_info{version=\"%s\"} 1\n", tzdata_version);
	}
	add_process(page);
}
