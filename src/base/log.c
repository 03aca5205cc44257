/* SPDX-License-Identifier: BSD-3-Clause */
/* Builds a line on the stack's side, writes it with one write(2), and drops what repeats too fast. */
#include "base/log.h"

#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/text.h"

enum { LINE_BYTES_MAX = 8192, EVENTS_MAX = 64 };

/* How often an event was logged in the second that is running. */
struct rate {
	const char *event;
	int64_t second;
	unsigned count;
	uint64_t dropped;
};

static struct {
	pthread_mutex_t lock;
	struct rate rates[EVENTS_MAX];
	enum log_level level;
} logger = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO };

void log_set_level(enum log_level level)
{
	logger.level = level;
}

static struct rate *find_rate(const char *event)
{
	for (size_t i = 0; i < EVENTS_MAX; i++) {
		if (!logger.rates[i].event)
			logger.rates[i].event = event;
		if (strcmp(logger.rates[i].event, event) == 0)
			return &logger.rates[i];
	}
	return NULL;
}

/* False: too many of this event in this second. *dropped: how many were dropped since the last line of it. */
static bool may_write(const char *event, int64_t second, uint64_t *dropped)
{
	pthread_mutex_lock(&logger.lock);
	struct rate *rate = find_rate(event);
	bool allowed = true;

	*dropped = 0;
	if (rate) {
		if (rate->second != second) {
			rate->second = second;
			rate->count = 0;
		}
		allowed = ++rate->count <= LOG_REPEATS_MAX;
		if (allowed) {
			*dropped = rate->dropped;
			rate->dropped = 0;
		} else {
			rate->dropped++;
		}
	}
	pthread_mutex_unlock(&logger.lock);
	return allowed;
}

static void add_timestamp(struct buf *line, struct wall at)
{
	time_t seconds = (time_t)(at.us / US_PER_SECOND);
	struct tm tm;
	char text[32];

	gmtime_r(&seconds, &tm);
	size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);

	buf_printf(line, "\"%.*s.%06dZ\"", (int)n, text, (int)(at.us % US_PER_SECOND));
}

static void add_field(struct buf *line, const struct log_field *field)
{
	char uuid[UUID_TEXT_BYTES];

	json_key(line, field->key);
	switch (field->kind) {
	case LOG_KIND_STR:
		json_add_string_or_null(line, field->text);
		return;
	case LOG_KIND_INT:
		buf_add_i64(line, field->number);
		return;
	case LOG_KIND_WALL:
		add_timestamp(line, (struct wall){ field->number });
		return;
	case LOG_KIND_UUID:
		uuid_format((const uint8_t *)field->text.p, uuid);
		json_add_string(line, (struct str){ uuid, sizeof uuid });
		return;
	}
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t fields_n)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	struct wall now = clock_read().wall;
	struct buf line;
	uint64_t dropped;

	if (level < logger.level)
		return;
	if (!may_write(event, now.us / US_PER_SECOND, &dropped)) {
		metric_add(METRIC_LOG_DROPPED, 1);
		return;
	}
	buf_init(&line, LINE_BYTES_MAX);
	buf_add(&line, STR("{\"ts\":"));
	add_timestamp(&line, now);
	json_key(&line, "level");
	json_add_string(&line, str_from(names[level]));
	json_key(&line, "event");
	json_add_string(&line, str_from(event));
	size_t whole = line.n;

	for (size_t i = 0; i < fields_n; i++) {
		add_field(&line, &fields[i]);
		if (line.failed || line.n > LINE_BYTES_MAX - 64) { /* a field too long: the line ends before it */
			line.failed = false;
			line.n = whole;
			break;
		}
		whole = line.n;
	}
	if (dropped) {
		json_key(&line, "dropped");
		buf_add_u64(&line, dropped);
	}
	buf_add(&line, STR("}\n"));
	/* A log that cannot be written must not stop anything. */
	ssize_t written = write(STDERR_FILENO, line.p, line.n);

	(void)written;
	buf_release(&line);
}
