/* SPDX-License-Identifier: BSD-3-Clause */
/* Cryptography against published vectors (FIPS 180-4, RFC 4231) and against itself: what was changed or moved does not
 * open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/text.h"

static void expect_hex(const uint8_t digest[DIGEST_BYTES], const char *want)
{
	char hex[2 * DIGEST_BYTES + 1] = { 0 };

	hex_format(digest, DIGEST_BYTES, hex);
	assert_string_equal(hex, want);
}

static struct str repeat(struct arena *arena, int byte, size_t n)
{
	char *bytes = arena_alloc(arena, n);

	memset(bytes, byte, n);
	return (struct str){ bytes, n };
}

static void expect_sha256(void **state)
{
	(void)state;
	uint8_t digest[DIGEST_BYTES];
	struct arena arena = { 0 };

	sha256((struct str){ NULL, 0 }, digest);
	expect_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256(STR("abc"), digest);
	expect_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256(STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), digest);
	expect_hex(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	sha256(repeat(&arena, 'a', 1000000), digest);
	expect_hex(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	arena_release(&arena);
}

static void expect_hmac_sha256(void **state)
{
	(void)state;
	uint8_t mac[DIGEST_BYTES];
	struct arena arena = { 0 };

	hmac_sha256(repeat(&arena, 0x0b, 20), STR("Hi There"), mac);
	expect_hex(mac, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), mac);
	expect_hex(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	hmac_sha256(repeat(&arena, 0xaa, 20), repeat(&arena, 0xdd, 50), mac);
	expect_hex(mac, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	hmac_sha256(repeat(&arena, 0xaa, 131), STR("Test Using Larger Than Block-Size Key - Hash Key First"), mac);
	expect_hex(mac, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	hmac_sha256((struct str){ NULL, 0 }, (struct str){ NULL, 0 }, mac);
	expect_hex(mac, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
	arena_release(&arena);
}

static void expect_equal(void **state)
{
	(void)state;
	assert_true(crypto_equal(STR("secret"), STR("secret")));
	assert_false(crypto_equal(STR("secret"), STR("secreT")));
	assert_false(crypto_equal(STR("secret"), STR("secre")));
	assert_false(crypto_equal(STR("secret"), (struct str){ NULL, 0 }));
	assert_true(crypto_equal(STR(""), (struct str){ NULL, 0 }));
}

static void expect_wiped(void **state)
{
	(void)state;
	char bytes[64];
	static const char zeros[sizeof bytes];

	memset(bytes, 'x', sizeof bytes);
	crypto_wipe(bytes, sizeof bytes);
	assert_memory_equal(bytes, zeros, sizeof bytes);
}

static void expect_passwords(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	struct str first = password_hash(&arena, STR("correct horse"));
	struct str second = password_hash(&arena, STR("correct horse"));

	assert_true(str_starts_with(first, STR("scrypt$15$8$3$")));
	assert_false(str_equal(first, second));
	assert_true(password_matches(first, STR("correct horse")));
	assert_true(password_matches(second, STR("correct horse")));
	assert_false(password_matches(first, STR("correct horsf")));
	assert_false(password_matches(first, STR("")));
	arena_release(&arena);
}

/* Reference: hashlib.scrypt(b"pass", salt=bytes(range(16)), n=2**15, r=8, p=3, dklen=32, maxmem=2**26). */
static void expect_known_hash(void **state)
{
	(void)state;
	assert_true(password_matches(
		STR("scrypt$15$8$3$AAECAwQFBgcICQoLDA0ODw==$iRK/1HkSHK8YEb0XmZQ1fU9+N4qkfpyFXZmWntYx0aI="),
		STR("pass")));
}

static void expect_no_match_for_malformed_hashes(void **state)
{
	(void)state;
	static const struct str hashes[] = {
		{ NULL, 0 },
		{ "!", 1 },
		{ "scrypt$15$8$3$", 14 },
		{ "scrypt$15$8$3$AAECAwQFBgcICQoLDA0ODw==", 38 },
		{ "scrypt$15$8$3$AAECAwQFBgcICQoLDA0ODw==$", 39 },
	};

	for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
		assert_false(password_matches(hashes[i], STR("")));
}

static void expect_seal_opens(void **state)
{
	(void)state;
	static const uint8_t key[SEAL_KEY_BYTES] = { 1, 2, 3 };
	static const size_t sizes[] = { 0, 1, 16, 17, 1000, 100000 };
	struct arena arena = { 0 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct str plain = repeat(&arena, 's', sizes[i]), opened = { NULL, 7 };
		struct str sealed = seal(&arena, key, STR("schedules/1/auth_token"), plain);

		assert_int_equal(sealed.n, 1 + 12 + plain.n + 16);
		assert_int_equal(sealed.p[0], 1);
		assert_true(unseal(&arena, key, STR("schedules/1/auth_token"), sealed, &opened));
		assert_non_null(opened.p);
		assert_true(str_equal(opened, plain));
	}
	struct str once = seal(&arena, key, STR(""), STR("same")), twice = seal(&arena, key, STR(""), STR("same"));

	assert_false(str_equal(once, twice));
	arena_release(&arena);
}

static void expect_seal_stays_shut(void **state)
{
	(void)state;
	static const uint8_t key[SEAL_KEY_BYTES] = { 1 }, other[SEAL_KEY_BYTES] = { 2 };
	struct arena arena = { 0 };
	struct str sealed = seal(&arena, key, STR("place"), STR("secret"));
	struct str opened = { NULL, 7 };

	assert_false(unseal(&arena, other, STR("place"), sealed, &opened));
	assert_false(unseal(&arena, key, STR("plac"), sealed, &opened));
	assert_false(unseal(&arena, key, STR(""), sealed, &opened));
	for (size_t n = 0; n < sealed.n; n++)
		assert_false(unseal(&arena, key, STR("place"), str_slice(sealed, 0, n), &opened));
	for (size_t bit = 0; bit < 8 * sealed.n; bit++) {
		char *changed = memory_new(sealed.n);

		memcpy(changed, sealed.p, sealed.n);
		changed[bit / 8] = (char)(changed[bit / 8] ^ (1 << bit % 8));
		assert_false(unseal(&arena, key, STR("place"), (struct str){ changed, sealed.n }, &opened));
		free(changed);
	}
	assert_false(unseal(&arena, key, STR("place"), (struct str){ NULL, 0 }, &opened));
	assert_null(opened.p);
	assert_int_equal(opened.n, 7);
	arena_release(&arena);
}

static void expect_version(void **state)
{
	(void)state;
	assert_int_equal(crypto_version()[0], '3');
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expect_sha256),
		cmocka_unit_test(expect_hmac_sha256),
		cmocka_unit_test(expect_equal),
		cmocka_unit_test(expect_wiped),
		cmocka_unit_test(expect_passwords),
		cmocka_unit_test(expect_known_hash),
		cmocka_unit_test(expect_no_match_for_malformed_hashes),
		cmocka_unit_test(expect_seal_opens),
		cmocka_unit_test(expect_seal_stays_shut),
		cmocka_unit_test(expect_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
