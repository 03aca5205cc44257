/* SPDX-License-Identifier: BSD-3-Clause */
/* Signatures against Standard Webhooks' published vector, and which texts are secrets. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/signature.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static void assert_signature(const char *secret, const char *id, int64_t timestamp_s, struct str body,
			     const char *expected)
{
	struct buf buf;

	buf_init(&buf, 256);
	signature_add(&buf, str_from(secret), str_from(id), timestamp_s, body);
	if (!str_equal(buf_str(&buf), str_from(expected)))
		fail_msg("%.*s, not %s", STR_ARG(buf_str(&buf)), expected);
	buf_release(&buf);
}

static void test_vectors(void **state)
{
	static char body[300000];

	(void)state;
	assert_signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, STR("{\"test\": 2432232314}"),
			 "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
	/* These two were computed with Python's hmac module. */
	assert_signature("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "a", 0, (struct str){ 0 },
			 "v1,bgTtLRZwJ7Vl4qiHkyGQ/EK5IJ9kqBwQsfukbZGFDAQ=");
	memset(body, 'x', sizeof body);
	assert_signature(SECRET, "0197", 253402300799, (struct str){ body, sizeof body },
			 "v1,bXiMwRgM1DtEykgX9S7k8yTGPq0nWvXUvotPpVfin6Y=");
}

static void test_secrets(void **state)
{
	static const struct {
		const char *text;
		bool is_valid;
	} rows[] = {
		{ SECRET, true },					 /* 24 bytes */
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", true },	 /* 25, unused bits zero */
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=", true },	 /* 26 */
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB==", false }, /* unused bits set */
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAF=", false }, /* the same */
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", false },	 /* 23 */
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false },	 /* padding missing */
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA===", false },
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA====", false },
		{ "whsec_AA==AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false },
		{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS-", false }, /* the URL alphabet is another one */
		{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZI o2LaLaS", false },
		{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", false },
		{ "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false },
		{ "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false },
		{ "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false },
		{ "whsec_", false },
		{ "", false },
		{ "whsec_"
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
		  true }, /* 64 */
		{ "whsec_"
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		  false }, /* 65 */
		{ "whsec_"
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		  false }, /* 66 */
		{ "whsec_"
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		  false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		if (signature_secret_is_valid(str_from(rows[i].text)) != rows[i].is_valid)
			fail_msg("\"%s\" should be %s", rows[i].text, rows[i].is_valid ? "valid" : "invalid");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors), cmocka_unit_test(test_secrets) };

	return cmocka_run_group_tests_name("signature", tests, NULL, NULL);
}
