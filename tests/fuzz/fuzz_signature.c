/* SPDX-License-Identifier: BSD-3-Clause */
/* Signing secrets: valid is exactly the canonical base64 of 24 to 64 bytes behind the prefix, and the signature is the
 * MAC that any receiver computes from the same parts. */
#include "fuzz.h"

#include "base/crypto.h"
#include "base/text.h"
#include "core/signature.h"

static const struct str prefix = { "whsec_", 6 };

/* The key, when decoding and encoding it again gives the same text. */
static bool read_key(struct arena *arena, struct str secret, struct str *key)
{
	struct str text = str_slice(secret, prefix.n, secret.n);
	struct buf again;
	bool is_same;

	if (!str_starts_with(secret, prefix) || !base64_decode(arena, text, key))
		return false;
	buf_init(&again, text.n + 8);
	base64_add(&again, *key);
	is_same = str_equal(buf_str(&again), text);
	buf_release(&again);
	return is_same && key->n >= 24 && key->n <= 64;
}

static void check_signature(struct str secret, struct str key, struct str id, int64_t timestamp_s, struct str body)
{
	uint8_t mac[DIGEST_BYTES];
	struct buf signed_text, wanted, signature;

	buf_init(&signed_text, id.n + body.n + 64);
	buf_init(&wanted, 64);
	buf_init(&signature, 64);
	buf_add(&signed_text, id);
	buf_add_char(&signed_text, '.');
	buf_add_i64(&signed_text, timestamp_s);
	buf_add_char(&signed_text, '.');
	buf_add(&signed_text, body);
	hmac_sha256(key, buf_str(&signed_text), mac);
	buf_add(&wanted, STR("v1,"));
	base64_add(&wanted, (struct str){ (const char *)mac, sizeof mac });
	signature_add(&signature, secret, id, timestamp_s, body);
	assert(str_equal(buf_str(&signature), buf_str(&wanted)));
	buf_release(&signed_text);
	buf_release(&wanted);
	buf_release(&signature);
}

static void check_secret(struct str secret, int64_t timestamp_s, struct str body)
{
	struct arena arena = { 0 };
	struct str key, rest;
	bool is_valid = read_key(&arena, secret, &key);

	assert(signature_secret_is_valid(secret) == is_valid);
	if (is_valid)
		check_signature(secret, key, str_split(str_slice(body, 0, 12), '.', &rest), timestamp_s, body);
	arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	int64_t timestamp_s = (int64_t)fuzz_take(&in, 5);
	struct str text = fuzz_rest(&in), body, secret = str_split(text, '\n', &body);
	struct buf made;

	buf_init(&made, 2 * text.n + 32);
	check_secret(secret, timestamp_s, body);
	/* The bytes themselves as a key. */
	buf_add(&made, prefix);
	base64_add(&made, text);
	check_secret(buf_str(&made), timestamp_s, body);
	buf_release(&made);
	fuzz_free(text);
	return 0;
}
