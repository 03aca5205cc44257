/* SPDX-License-Identifier: BSD-3-Clause */
/* From the bytes of a body and its Content-Type to something that fields can be read from. Pure. */
#ifndef API_INPUT_H
#define API_INPUT_H

#include "api/fields.h"

enum input_verdict {
	INPUT_OK,
	INPUT_UNSUPPORTED, /* 415 */
	INPUT_MALFORMED,   /* 400: *problem is the whole text */
	INPUT_NOT_OBJECT,  /* 400: *problem is the whole text */
};

/* An empty body of any type, even none, is an empty object. `content_type` may be absent. */
enum input_verdict input_read(struct arena *arena, struct str content_type, struct str body, struct input *input,
			      struct str *problem);

#endif
