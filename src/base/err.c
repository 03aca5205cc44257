/* SPDX-License-Identifier: BSD-3-Clause */
/* Error texts of fixed size: no allocation on the way up. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

enum err error_set(struct error *error, enum err code, const char *format, ...)
{
	va_list list;

	if (!error)
		return code;
	error->code = code;
	va_start(list, format);
	vsnprintf(error->text, sizeof error->text, format, list);
	va_end(list);
	return code;
}

const char *err_name(enum err code)
{
	switch (code) {
	case ERR_OK:
		return "ok";
	case ERR_NOT_FOUND:
		return "not_found";
	case ERR_CONFLICT:
		return "conflict";
	case ERR_FENCED:
		return "fenced";
	case ERR_INVALID:
		return "invalid";
	case ERR_UNAVAILABLE:
		return "unavailable";
	case ERR_LOCKED:
		return "locked";
	case ERR_CORRUPT:
		return "corrupt";
	case ERR_IO:
		return "io";
	}
	return "unknown";
}
