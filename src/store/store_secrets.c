/* SPDX-License-Identifier: BSD-3-Clause */
/* Sealing of secrets: bound to the record and field they belong to, so that a row copied elsewhere opens nothing. */
#include <stdio.h>

#include "base/text.h"
#include "store/internal.h"

enum { ABOUT_BYTES_MAX = 64 };

static struct str about(char room[ABOUT_BYTES_MAX], const uint8_t owner[16], const char *field)
{
	hex_format(owner, 16, room);
	int n = snprintf(room + 32, ABOUT_BYTES_MAX - 32, " %s", field);

	return (struct str){ room, 32 + (size_t)n };
}

struct str store_seal(const struct store *store, struct arena *arena, const uint8_t owner[16], const char *field,
		      struct str secret)
{
	char room[ABOUT_BYTES_MAX];

	return secret.p ? seal(arena, store->key, about(room, owner, field), secret) : secret;
}

bool store_unseal(const struct store *store, struct arena *arena, const uint8_t owner[16], const char *field,
		  struct str sealed, struct str *secret)
{
	char room[ABOUT_BYTES_MAX];

	*secret = (struct str){ 0 };
	return !sealed.p || unseal(arena, store->key, about(room, owner, field), sealed, secret);
}
