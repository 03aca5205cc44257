/* SPDX-License-Identifier: BSD-3-Clause */
/* The cryptography in use, all of it OpenSSL 3's: digests, MAC, password hashes, sealing of secrets at rest.
 *
 * Safe from every thread. A failure inside OpenSSL's own machinery (out of memory, a broken provider) ends the process. */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include "base/arena.h"
#include "base/err.h"

enum { DIGEST_BYTES = 32, SEAL_KEY_BYTES = 32 };

void sha256(struct str bytes, uint8_t digest[DIGEST_BYTES]);
void hmac_sha256(struct str key, struct str bytes, uint8_t mac[DIGEST_BYTES]);
/* Constant time for equal lengths. */
bool crypto_equal(struct str a, struct str b);
/* Overwrites memory that held a secret; the compiler keeps it. */
void crypto_wipe(void *p, size_t n);

/* An API token: 160 random bits as lower-case hexadecimal digits, a secret, and the digest that is stored instead. */
enum { TOKEN_DIGITS = 40, TOKEN_PREFIX_DIGITS = 8 };

void token_mint(char digits[TOKEN_DIGITS], uint8_t digest[DIGEST_BYTES]);

/* scrypt N=2^15 r=8 p=3 (32 MiB, about 0.1 s): "scrypt$15$8$3$<salt base64>$<hash base64>". Blocking: never on a loop. */
struct str password_hash(struct arena *arena, struct str password);
/* Blocking, same cost. An absent or malformed `hash` costs the same and is false, so that a stranger cannot tell. */
bool password_matches(struct str hash, struct str password);

/* AES-256-GCM, random 96-bit nonce. `about` names the record and field (additional data), so that a sealed value cannot be
 * moved to another place. */
struct str seal(struct arena *arena, const uint8_t key[SEAL_KEY_BYTES], struct str about, struct str plain);
/* False: the key or the place is another one, or the bytes were changed. */
bool unseal(struct arena *arena, const uint8_t key[SEAL_KEY_BYTES], struct str about, struct str sealed, struct str *plain);

/* Version text of the library at run time. */
const char *crypto_version(void);

#endif
