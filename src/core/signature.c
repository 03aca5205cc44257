/* SPDX-License-Identifier: BSD-3-Clause */
/* Signs a delivery so that its receiver can tell it from a forgery (Standard Webhooks 1.0.0, symmetric form).
 *
 * The base64 of a secret is read strictly, padding and unused bits included: a typing error is refused when the secret
 * is set, not signed with. */
#include "core/signature.h"

#include <assert.h>

#include "base/crypto.h"
#include "base/text.h"

enum {
	KEY_BYTES_MIN = 24,
	KEY_BYTES_MAX = 64,
	KEY_TEXT_BYTES_MAX = (KEY_BYTES_MAX + 2) / 3 * 4,
	SIGNED_EXTRA_BYTES = 24
};

static const struct str secret_prefix = { "whsec_", 6 };

/* Returns the number of key bytes, 0 when `secret` is none. */
static size_t parse_key(struct str secret, uint8_t key[KEY_BYTES_MAX + 2])
{
	struct str text = str_slice(secret, secret_prefix.n, secret.n);
	unsigned bits = 0, bits_n = 0;
	size_t n = 0;

	if (!str_starts_with(secret, secret_prefix) || text.n % 4 != 0 || text.n > KEY_TEXT_BYTES_MAX)
		return 0;
	for (unsigned padding = 0; padding < 2 && str_ends_with(text, STR("=")); padding++)
		text.n--;
	for (size_t i = 0; i < text.n; i++) {
		int value = base64_value(text.p[i]);

		if (value < 0)
			return 0;
		bits = (bits << 6 | (unsigned)value) & 0xffff;
		bits_n += 6;
		if (bits_n >= 8) {
			bits_n -= 8;
			key[n++] = (uint8_t)(bits >> bits_n);
		}
	}
	if (bits & ((1U << bits_n) - 1))
		return 0;
	return n >= KEY_BYTES_MIN && n <= KEY_BYTES_MAX ? n : 0;
}

bool signature_secret_is_valid(struct str secret)
{
	uint8_t key[KEY_BYTES_MAX + 2];
	size_t n = parse_key(secret, key);

	crypto_wipe(key, sizeof key);
	return n > 0;
}

void signature_add(struct buf *buf, struct str secret, struct str id, int64_t timestamp_s, struct str body)
{
	uint8_t key[KEY_BYTES_MAX + 2], mac[DIGEST_BYTES];
	size_t key_n = parse_key(secret, key);
	struct buf message;

	assert(key_n > 0);
	assert(str_find(id, '.') == id.n);
	buf_init(&message, id.n + body.n + SIGNED_EXTRA_BYTES);
	buf_add(&message, id);
	buf_add_char(&message, '.');
	buf_add_i64(&message, timestamp_s);
	buf_add_char(&message, '.');
	buf_add(&message, body);
	assert(!message.failed);
	hmac_sha256((struct str){ (const char *)key, key_n }, buf_str(&message), mac);
	crypto_wipe(key, sizeof key);
	buf_add(buf, STR("v1,"));
	base64_add(buf, (struct str){ (const char *)mac, sizeof mac });
	buf_release(&message);
}
