/* SPDX-License-Identifier: BSD-3-Clause */
/* What an Authorization header claims, before anybody looks whether it is true. Pure. */
#ifndef API_CREDENTIALS_H
#define API_CREDENTIALS_H

#include "base/arena.h"
#include "base/str.h"

enum credentials_kind {
	CREDENTIALS_NONE,      /* no header, or a scheme that is not ours */
	CREDENTIALS_TOKEN,     /* token is set */
	CREDENTIALS_PASSWORD,  /* username and password are set */
	CREDENTIALS_MALFORMED, /* problem is set */
};

struct credentials {
	enum credentials_kind kind;
	struct str token;	       /* a secret; borrowed from the header */
	struct str username, password; /* UTF-8, in the arena. A secret */
	const char *problem;
};

#define CREDENTIALS_MISSING "Authentication credentials were not provided."
#define CREDENTIALS_WRONG_PASSWORD "Invalid username/password."
#define CREDENTIALS_WRONG_TOKEN "Invalid token."
#define CREDENTIALS_INACTIVE "User inactive or deleted."

/* `header`: the value of Authorization; absent = none was sent. */
struct credentials credentials_parse(struct arena *arena, struct str header);

#endif
