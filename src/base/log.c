/* SPDX-License-Identifier: BSD-3-Clause */
/* Builds a line, writes it with one write(2), and drops what repeats too fast.
 *
 * A line is at most PIPE_BUF long, so that lines of several threads never mix in a pipe; a text is cut, and a field
 * that does not fit is left out, but the line stays JSON. A log that cannot be written stops nothing: a reader that
 * does not read costs one short wait, and then its lines until it does. */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/text.h"

enum {
	LINE_BYTES_MAX = PIPE_BUF,
	TAIL_BYTES_MAX = 64, /* `,"dropped":18446744073709551615`, `,"cut":true`, the brace and the line end */
	TEXT_BYTES_MAX = 1024,
	NAME_BYTES_MAX = 40,
	EVENTS_MAX = 64,
	READER_PATIENCE_MS = 50, /* a reader on a busy machine catches up; a dead one must not cost more than once */
};

/* How often an event was logged in the second that is running. */
struct rate {
	char event[NAME_BYTES_MAX];
	int64_t second;	  /* since boot */
	uint64_t count;	  /* lines of that second */
	uint64_t dropped; /* since the last line that was written */
};

static struct {
	pthread_mutex_t lock;
	struct rate rates[EVENTS_MAX];
} limiter = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct {
	pthread_mutex_t lock;
	bool is_stalled; /* the last line found no room */
} output = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Atomic int level_min = LOG_INFO;

void log_set_level(enum log_level level)
{
	level_min = (int)level;
}

/* The event's own entry, or the one that was idle longest, which becomes it. Unused ones are idle since boot. */
static struct rate *find_rate(const char *event)
{
	struct rate *oldest = &limiter.rates[0];

	for (size_t i = 0; i < EVENTS_MAX; i++) {
		struct rate *rate = &limiter.rates[i];

		if (strncmp(rate->event, event, NAME_BYTES_MAX - 1) == 0)
			return rate;
		if (rate->second < oldest->second)
			oldest = rate;
	}
	*oldest = (struct rate){ 0 };
	snprintf(oldest->event, sizeof oldest->event, "%s", event);
	return oldest;
}

/* False: too many of this event in this second. *dropped: how many were dropped since the last line of it. */
static bool may_write(const char *event, struct boot now, uint64_t *dropped)
{
	int64_t second = now.us / US_PER_SECOND;

	pthread_mutex_lock(&limiter.lock);
	struct rate *rate = find_rate(event);

	if (rate->second != second) {
		rate->second = second;
		rate->count = 0;
	}
	bool is_allowed = rate->count++ < LOG_REPEATS_MAX;

	*dropped = is_allowed ? rate->dropped : 0;
	rate->dropped = is_allowed ? 0 : rate->dropped + 1;
	pthread_mutex_unlock(&limiter.lock);
	return is_allowed;
}

static void add_timestamp(struct buf *line, struct wall at)
{
	int64_t us = at.us % US_PER_SECOND;

	us += us < 0 ? US_PER_SECOND : 0;
	time_t seconds = (time_t)((at.us - us) / US_PER_SECOND);
	struct tm tm = { 0 };

	gmtime_r(&seconds, &tm);
	buf_printf(line, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		   tm.tm_hour, tm.tm_min, tm.tm_sec, (int)us);
}

/* A long text ends with "..."; not within a character. */
static void add_text(struct buf *line, struct str text)
{
	if (text.n <= TEXT_BYTES_MAX) {
		json_add_string_or_null(line, text);
		return;
	}
	text.n = TEXT_BYTES_MAX;
	while (text.n > TEXT_BYTES_MAX - 4 && ((unsigned char)text.p[text.n] & 0xc0) == 0x80)
		text.n--;
	json_add_string(line, text);
	if (line->failed)
		return;
	line->n--;
	buf_add(line, STR("...\""));
}

static void add_field(struct buf *line, const struct log_field *field)
{
	char uuid[UUID_TEXT_BYTES];

	json_key(line, field->key);
	switch (field->kind) {
	case LOG_KIND_STR:
		add_text(line, field->text);
		return;
	case LOG_KIND_ASKED:
		add_text(line, field->ask(field->about));
		return;
	case LOG_KIND_INT:
		buf_add_i64(line, field->number);
		return;
	case LOG_KIND_WALL:
		add_timestamp(line, (struct wall){ field->number });
		return;
	case LOG_KIND_UUID:
		assert(field->text.n == 16);
		uuid_format((const uint8_t *)field->text.p, uuid);
		json_add_string(line, (struct str){ uuid, sizeof uuid });
		return;
	}
}

/* False, and the line as before: the field does not fit. */
static bool try_field(struct buf *line, const struct log_field *field)
{
	size_t n = line->n;

	add_field(line, field);
	if (!line->failed)
		return true;
	line->n = n;
	line->failed = false;
	return false;
}

/* Stderr is shared with whoever started us, so it is not made non-blocking. A pipe that can be written takes PIPE_BUF
 * bytes without waiting, pipe(7), as long as nobody writes between the question and the line: hence the lock. */
static bool has_reader(void)
{
	struct pollfd stderr_fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	output.is_stalled = poll(&stderr_fd, 1, output.is_stalled ? 0 : READER_PATIENCE_MS) == 0;
	return !output.is_stalled;
}

static bool write_whole(struct str line)
{
	while (line.n) {
		ssize_t n = write(STDERR_FILENO, line.p, line.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		line = str_slice(line, (size_t)n, line.n);
	}
	return true;
}

static void put_out(struct str line)
{
	pthread_mutex_lock(&output.lock);
	bool is_written = has_reader() && write_whole(line);

	pthread_mutex_unlock(&output.lock);
	if (!is_written)
		metric_add(METRIC_LOG_DROPPED, 1);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t fields_n)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	struct buf line;
	uint64_t dropped;
	bool is_whole = true;

	if ((int)level < level_min)
		return;
	struct instant now = clock_read();

	if (!may_write(event, now.boot, &dropped)) {
		metric_add(METRIC_LOG_DROPPED, 1);
		return;
	}
	buf_init(&line, LINE_BYTES_MAX - TAIL_BYTES_MAX);
	buf_add(&line, STR("{\"ts\":"));
	add_timestamp(&line, now.wall);
	buf_printf(&line, ",\"level\":\"%s\"", names[level]);
	json_key(&line, "event");
	json_add_string(&line, str_slice(str_from(event), 0, NAME_BYTES_MAX));
	for (size_t i = 0; i < fields_n; i++)
		is_whole = try_field(&line, &fields[i]) && is_whole;
	line.max += TAIL_BYTES_MAX;
	if (!is_whole)
		buf_add(&line, STR(",\"cut\":true"));
	if (dropped) {
		json_key(&line, "dropped");
		buf_add_u64(&line, dropped);
	}
	buf_add(&line, STR("}\n"));
	assert(!line.failed);
	put_out(buf_str(&line));
	buf_release(&line);
}
