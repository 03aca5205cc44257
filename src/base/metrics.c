/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters as relaxed atomics and the page that shows them. A gauge whose identifier ends in _US counts microseconds and is shown in seconds. */
#include "base/metrics.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

enum { BUCKETS_N = 16, VERSION_BYTES_MAX = 32 };

static const int64_t bucket_us[BUCKETS_N] = { 250,	 500,	  1000,	   2500,    5000,     10000,	25000,	  50000,
					      100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000 };

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
	_Atomic int64_t buckets[BUCKETS_N + 1], sum_us;
} histograms[HISTOGRAM_N];
static char tzdata_version[VERSION_BYTES_MAX];

void metric_add(enum metric id, int64_t n)
{
	atomic_fetch_add_explicit(&values[id], n, memory_order_relaxed);
}

void metric_set(enum metric id, int64_t value)
{
	atomic_store_explicit(&values[id], value, memory_order_relaxed);
}

int64_t metric_get(enum metric id)
{
	return atomic_load_explicit(&values[id], memory_order_relaxed);
}

void histogram_observe_us(enum histogram id, int64_t us)
{
	unsigned bucket = 0;

	while (bucket < BUCKETS_N && us > bucket_us[bucket])
		bucket++;
	atomic_fetch_add_explicit(&histograms[id].buckets[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histograms[id].sum_us, us, memory_order_relaxed);
}

void metrics_set_tzdata_version(const char *version)
{
	snprintf(tzdata_version, sizeof tzdata_version, "%s", version);
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
			buf_printf(page, "%s_bucket{le=\"%g\"} %lld\n", name, (double)bucket_us[b] / 1e6, (long long)sum);
		}
		sum += atomic_load_explicit(&histograms[i].buckets[BUCKETS_N], memory_order_relaxed);
		buf_printf(page, "%s_bucket{le=\"+Inf\"} %lld\n%s_sum %.6f\n%s_count %lld\n", name, (long long)sum, name,
			   (double)atomic_load_explicit(&histograms[i].sum_us, memory_order_relaxed) / 1e6, name, (long long)sum);
	}
}

static long count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	long n = 0;

	if (!folder)
		return 0;
	while (readdir(folder))
		n++;
	closedir(folder);
	return n - 3; /* ".", ".." and the folder's own */
}

/* When the process started, in seconds since boot; and its sizes. Field numbers as in proc(5), /proc/pid/stat. */
static void read_stat(double *started_s, long long *virtual_bytes, long long *resident_pages)
{
	char line[1024];
	unsigned long long started = 0;
	FILE *file = fopen("/proc/self/stat", "re");

	if (file && fgets(line, sizeof line, file)) {
		const char *behind_name = strrchr(line, ')');

		if (behind_name)
			sscanf(behind_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu %lld %lld", &started,
			       virtual_bytes, resident_pages);
	}
	if (file)
		fclose(file);
	*started_s = (double)started / (double)sysconf(_SC_CLK_TCK);
}

static void add_process(struct buf *page)
{
	struct rusage usage;
	struct rlimit descriptors;
	struct instant now = clock_read();
	long long virtual_bytes = 0, resident_pages = 0;
	double started_s;

	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &descriptors);
	read_stat(&started_s, &virtual_bytes, &resident_pages);
	add_head(page, "process_cpu_seconds_total", "Processor time, user and system.", "counter");
	buf_printf(page, "process_cpu_seconds_total %.6f\n",
		   (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	add_head(page, "process_resident_memory_bytes", "Resident memory.", "gauge");
	buf_printf(page, "process_resident_memory_bytes %lld\n", resident_pages * sysconf(_SC_PAGESIZE));
	add_head(page, "process_virtual_memory_bytes", "Virtual memory.", "gauge");
	buf_printf(page, "process_virtual_memory_bytes %lld\n", virtual_bytes);
	add_head(page, "process_open_fds", "Open descriptors.", "gauge");
	buf_printf(page, "process_open_fds %ld\n", count_descriptors());
	add_head(page, "process_max_fds", "Descriptors allowed.", "gauge");
	buf_printf(page, "process_max_fds %llu\n", (unsigned long long)descriptors.rlim_cur);
	add_head(page, "process_start_time_seconds", "When the process started, seconds since 1970.", "gauge");
	buf_printf(page, "process_start_time_seconds %.2f\n", (double)(now.wall.us - now.boot.us) / 1e6 + started_s);
}

void metrics_render(struct buf *page)
{
	add_values(page);
	add_histograms(page);
	add_head(page, "seed_build_info", "Version of the program.", "gauge");
	buf_printf(page, "seed_build_info{version=\"%s\"} 1\n", SEED_VERSION);
	if (tzdata_version[0]) {
		add_head(page, "seed_tzdata_info", "Version of the time zone data in use.", "gauge");
		buf_printf(page, "seed_tzdata_info{version=\"%s\"} 1\n", tzdata_version);
	}
	add_process(page);
}
