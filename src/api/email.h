/* SPDX-License-Identifier: BSD-3-Clause */
/* E-mail addresses by Django's rule, which is not RFC 5321's. Pure. */
#ifndef API_EMAIL_H
#define API_EMAIL_H

#include "base/arena.h"
#include "base/str.h"

enum { EMAIL_CHARACTERS_MAX = 150 };

/* `text` is valid UTF-8 and trimmed. */
bool email_is_valid(struct str text);
/* The same address with the ASCII letters of its domain in lower case. */
struct str email_normalise(struct arena *arena, struct str email);

#endif
