/* SPDX-License-Identifier: BSD-3-Clause */
/* What can go wrong in the world around us (disk, network, database, files), as a result code plus a text.
 *
 * Four kinds of trouble have four means: our own bug is an assert (always on); the world's failure is an
 * `enum err`; a caller's mistake is a list of (field, message); a misbehaving endpoint is a `struct outcome`. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

enum err {
	ERR_OK = 0,
	ERR_NOT_FOUND,   /* no such record */
	ERR_CONFLICT,    /* exists already, or changed meanwhile */
	ERR_FENCED,      /* the lease is not ours any more: nothing was written */
	ERR_INVALID,     /* refused by the rules; the text names the value and the remedy */
	ERR_UNAVAILABLE, /* for now: disk full, read-only, database away, queue full. Nothing was written */
	ERR_LOCKED,      /* another process holds the database */
	ERR_CORRUPT,     /* the database is damaged, or newer than this program, or the key does not fit */
	ERR_IO,          /* a system call failed; the text has errno's words */
};

struct error {
	enum err code;
	char text[512]; /* "what failed: why; what to do", zero-terminated, never a secret */
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* Fills *error (which may be NULL) and returns `code`, so that a failing function can end with it. */
enum err error_set(struct error *error, enum err code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A lower-case word for logs: "unavailable". */
const char *err_name(enum err code);

#endif
