/* SPDX-License-Identifier: BSD-3-Clause */
/* OpenSSL 3 behind a few calls. Algorithms are fetched once: a lookup costs more than the digest of a short text. */
#include "base/crypto.h"

#include <assert.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

enum {
	SCRYPT_LOG_N = 15,
	SCRYPT_R = 8,
	SCRYPT_P = 3,
	SCRYPT_MEMORY_MAX = 64 << 20,
	SALT_BYTES = 16,
	HASH_BYTES = 32,
	SEAL_VERSION = 1,
	NONCE_BYTES = 12,
	TAG_BYTES = 16,
	SEAL_EXTRA_BYTES = 1 + NONCE_BYTES + TAG_BYTES,
};

/* Set once, then only read. */
static pthread_once_t fetched = PTHREAD_ONCE_INIT;
static EVP_MD *sha256_md;
static EVP_MAC_CTX *hmac_model; /* copied for each use: a new one would look up its digest again */
static EVP_CIPHER *aes_gcm;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "seed-scheduler: OpenSSL cannot %s, ending\n", what);
	abort();
}

static void fetch(void)
{
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
				OSSL_PARAM_construct_end() };

	sha256_md = EVP_MD_fetch(NULL, digest, NULL);
	aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	hmac_model = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	must(sha256_md && aes_gcm && hmac_model && EVP_MAC_init(hmac_model, (const unsigned char *)"", 0, params) == 1,
	     "provide SHA-256, HMAC and AES-256-GCM");
	EVP_MAC_free(hmac);
}

void sha256(struct str bytes, uint8_t digest[DIGEST_BYTES])
{
	unsigned n = 0;

	pthread_once(&fetched, fetch);
	must(EVP_Digest(bytes.p, bytes.n, digest, &n, sha256_md, NULL) == 1, "compute SHA-256");
	assert(n == DIGEST_BYTES);
}

void hmac_sha256(struct str key, struct str bytes, uint8_t mac[DIGEST_BYTES])
{
	size_t n = 0;

	pthread_once(&fetched, fetch);
	EVP_MAC_CTX *context = EVP_MAC_CTX_dup(hmac_model);

	must(context && EVP_MAC_init(context, (const unsigned char *)(key.n ? key.p : ""), key.n, NULL) == 1 &&
		     EVP_MAC_update(context, (const unsigned char *)(bytes.n ? bytes.p : ""), bytes.n) == 1 &&
		     EVP_MAC_final(context, mac, &n, DIGEST_BYTES) == 1,
	     "compute HMAC-SHA-256");
	assert(n == DIGEST_BYTES);
	EVP_MAC_CTX_free(context);
}

bool crypto_equal(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

void crypto_wipe(void *p, size_t n)
{
	OPENSSL_cleanse(p, n);
}

void token_mint(char digits[TOKEN_DIGITS], uint8_t digest[DIGEST_BYTES])
{
	uint8_t bytes[TOKEN_DIGITS / 2];

	random_bytes(bytes, sizeof bytes);
	hex_format(bytes, sizeof bytes, digits);
	crypto_wipe(bytes, sizeof bytes);
	sha256((struct str){ digits, TOKEN_DIGITS }, digest);
}

/* The salt is public and the memory is OpenSSL's to give back; the limit only has to be above the 32 MiB that N and r
 * ask for. */
static void scrypt(struct str password, const uint8_t salt[SALT_BYTES], uint8_t hash[HASH_BYTES])
{
	must(EVP_PBE_scrypt(password.p, password.n, salt, SALT_BYTES, UINT64_C(1) << SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P,
			    SCRYPT_MEMORY_MAX, hash, HASH_BYTES) == 1,
	     "compute scrypt");
}

struct str password_hash(struct arena *arena, struct str password)
{
	uint8_t salt[SALT_BYTES], hash[HASH_BYTES];
	struct buf text;

	random_bytes(salt, sizeof salt);
	scrypt(password, salt, hash);
	buf_init(&text, 256);
	buf_printf(&text, "scrypt$%d$%d$%d$", SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P);
	base64_add(&text, (struct str){ (const char *)salt, sizeof salt });
	buf_add_char(&text, '$');
	base64_add(&text, (struct str){ (const char *)hash, sizeof hash });
	struct str result = arena_copy(arena, buf_str(&text));

	buf_release(&text);
	return result;
}

bool password_matches(struct str hash, struct str password)
{
	uint8_t salt_bytes[SALT_BYTES] = { 0 }, computed[HASH_BYTES];
	struct str salt = { NULL, 0 }, wanted = { NULL, 0 }, rest = { NULL, 0 };
	struct arena arena = { 0 };
	struct str prefix = arena_printf(&arena, "scrypt$%d$%d$%d$", SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P);
	bool is_usable = str_starts_with(hash, prefix);

	hash = is_usable ? str_split(str_slice(hash, prefix.n, hash.n), '$', &rest) : hash;
	is_usable = is_usable && base64_decode(&arena, hash, &salt) && base64_decode(&arena, rest, &wanted) &&
		    salt.n == SALT_BYTES && wanted.n == HASH_BYTES;
	if (is_usable)
		memcpy(salt_bytes, salt.p, sizeof salt_bytes);
	scrypt(password, salt_bytes, computed);
	bool matches = is_usable && crypto_equal(wanted, (struct str){ (const char *)computed, sizeof computed });

	crypto_wipe(computed, sizeof computed);
	arena_release(&arena);
	return matches;
}

struct str seal(struct arena *arena, const uint8_t key[SEAL_KEY_BYTES], struct str about, struct str plain)
{
	assert(plain.n <= INT_MAX && about.n <= INT_MAX);
	uint8_t *out = arena_alloc(arena, plain.n + SEAL_EXTRA_BYTES);
	uint8_t *nonce = out + 1, *text = nonce + NONCE_BYTES;
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int n = 0, last = 0;

	pthread_once(&fetched, fetch);
	out[0] = SEAL_VERSION;
	random_bytes(nonce, NONCE_BYTES);
	must(context && EVP_EncryptInit_ex2(context, aes_gcm, key, nonce, NULL) == 1 &&
		     EVP_EncryptUpdate(context, NULL, &n, (const unsigned char *)about.p, (int)about.n) == 1 &&
		     EVP_EncryptUpdate(context, text, &n, (const unsigned char *)plain.p, (int)plain.n) == 1 &&
		     EVP_EncryptFinal_ex(context, text + n, &last) == 1 &&
		     EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, text + plain.n) == 1,
	     "seal with AES-256-GCM");
	EVP_CIPHER_CTX_free(context);
	return (struct str){ (const char *)out, plain.n + SEAL_EXTRA_BYTES };
}

bool unseal(struct arena *arena, const uint8_t key[SEAL_KEY_BYTES], struct str about, struct str sealed,
	    struct str *plain)
{
	if (sealed.n < SEAL_EXTRA_BYTES || sealed.n > INT_MAX || sealed.p[0] != SEAL_VERSION)
		return false;
	const unsigned char *nonce = (const unsigned char *)sealed.p + 1, *text = nonce + NONCE_BYTES;
	size_t text_n = sealed.n - SEAL_EXTRA_BYTES;
	uint8_t tag[TAG_BYTES], *out = arena_alloc(arena, text_n + 1);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int n = 0, last = 0;

	pthread_once(&fetched, fetch);
	memcpy(tag, text + text_n, sizeof tag);
	must(context && EVP_DecryptInit_ex2(context, aes_gcm, key, nonce, NULL) == 1, "unseal with AES-256-GCM");
	bool ok = EVP_DecryptUpdate(context, NULL, &n, (const unsigned char *)about.p, (int)about.n) == 1 &&
		  EVP_DecryptUpdate(context, out, &n, text, (int)text_n) == 1 &&
		  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
		  EVP_DecryptFinal_ex(context, out + n, &last) == 1;

	EVP_CIPHER_CTX_free(context);
	if (!ok)
		crypto_wipe(out, text_n);
	else
		*plain = (struct str){ (const char *)out, text_n };
	return ok;
}

const char *crypto_version(void)
{
	return OpenSSL_version(OPENSSL_VERSION_STRING);
}
