/* SPDX-License-Identifier: BSD-3-Clause */
/* One JSON object a line on stderr. Safe from every thread; a line is one write(2).
 *
 * Keys in this order: ts (RFC 3339, UTC, microseconds), level, event, then the fields as given. Never a token, a
 * password, a body, or more of a URL than its host: the URL of an endpoint is itself a credential. An event that
 * repeats more than LOG_REPEATS_MAX times a second is dropped and counted; the next line of that event carries
 * `"dropped": n`. A line is at most PIPE_BUF (4,096) bytes: texts are cut at 1,024, and where fields had to be left out
 * it says `"cut": true`. Event names differ within their first 39 bytes. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

#include "base/instant.h"
#include "base/str.h"

enum { LOG_REPEATS_MAX = 50 };

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_kind { LOG_KIND_STR, LOG_KIND_INT, LOG_KIND_WALL, LOG_KIND_UUID, LOG_KIND_ASKED };

struct log_field {
	const char *key;
	enum log_kind kind;
	struct str text; /* LOG_KIND_STR: any bytes, escaped on output. LOG_KIND_UUID: 16 raw bytes */
	int64_t number;	 /* LOG_KIND_INT, and microseconds for LOG_KIND_WALL */
	struct str (*ask)(const void *about); /* LOG_KIND_ASKED: gives the text */
	const void *about;
};

/* An absent text is shown as null. */
static inline struct log_field log_str(const char *key, struct str text)
{
	return (struct log_field){ .key = key, .kind = LOG_KIND_STR, .text = text };
}

static inline struct log_field log_text(const char *key, const char *text)
{
	return log_str(key, str_from(text));
}

/* Units end the key: log_int("duration_us", ...). */
static inline struct log_field log_int(const char *key, int64_t number)
{
	return (struct log_field){ .key = key, .kind = LOG_KIND_INT, .number = number };
}

static inline struct log_field log_wall(const char *key, struct wall at)
{
	return (struct log_field){ .key = key, .kind = LOG_KIND_WALL, .number = at.us };
}

static inline struct log_field log_uuid(const char *key, const uint8_t uuid[16])
{
	return (struct log_field){ .key = key, .kind = LOG_KIND_UUID, .text = { (const char *)uuid, 16 } };
}

/* A text that costs something to find: `ask` is called only for a line that is written, from within log_write. */
static inline struct log_field log_asked(const char *key, struct str (*ask)(const void *about), const void *about)
{
	return (struct log_field){ .key = key, .kind = LOG_KIND_ASKED, .ask = ask, .about = about };
}

/* Lines below `level` are dropped. Call once, before threads start; the default is LOG_INFO. */
void log_set_level(enum log_level level);
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t fields_n);

/* log_event(LOG_WARN, "attempt_failed", log_uuid("run_id", run->uuid), log_int("status", 503)); at least one field. */
#define log_event(level, event, ...)                                                                                   \
	log_write((level), (event), (const struct log_field[]){ __VA_ARGS__ },                                         \
		  sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))

#endif
