/* SPDX-License-Identifier: BSD-3-Clause */
/* What came of an attempt and what follows: Retry-After of any bytes gives a wait within bounds and the right one for
 * plain digits, texts end within their room, and the next attempt lies between now and the longest wait. */
#include "fuzz.h"

#include "core/retry.h"

#define WISH_US_MAX (INT32_MAX * US_PER_SECOND)

/* Plain digits, read one by one; -1 for anything else. */
static int64_t read_seconds(struct str text)
{
	int64_t seconds = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return -1;
		seconds = seconds * 10 + (text.p[i] - '0');
		if (seconds > INT32_MAX)
			seconds = INT32_MAX;
	}
	return text.n > 0 ? seconds : -1;
}

static void check_classes(const struct outcome *outcome, unsigned status, struct str text)
{
	int64_t seconds = read_seconds(text);

	assert(outcome->class == (status < 300 ? OUTCOME_DELIVERED : OUTCOME_HTTP) && outcome->status == status);
	assert(outcome->is_final == (status == 410));
	assert(outcome->retry_after_us >= 0 && outcome->retry_after_us <= WISH_US_MAX);
	if (status < 300)
		assert(outcome->retry_after_us == 0);
	else if (seconds >= 0)
		assert(outcome->retry_after_us == seconds * US_PER_SECOND);
}

static void check_texts(const struct outcome *outcome)
{
	char reason[300], key[64];

	memset(reason, 'x', sizeof reason);
	memset(key, 'x', sizeof key);
	outcome_reason(outcome, reason);
	outcome_metric_key(outcome, key);
	assert(strnlen(reason, sizeof reason) < sizeof reason && reason[0]);
	assert(strnlen(key, sizeof key) < sizeof key && key[0]);
	for (const char *p = key; *p; p++)
		assert((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_' || *p == '.');
}

static void check_retry(const struct outcome *outcome, uint32_t attempts, struct wall now, uint32_t dice)
{
	const struct retry_policy *policy = &retry_policy_default;
	int64_t wish_us =
		outcome->retry_after_us < policy->delay_us_max ? outcome->retry_after_us : policy->delay_us_max;
	struct wall at = { INT64_MIN }, again = { INT64_MIN };
	enum retry_verdict verdict = retry_decide(policy, outcome, attempts, now, dice, &at);

	assert(retry_decide(policy, outcome, attempts, now, dice, &again) == verdict && again.us == at.us);
	if (verdict == RETRY_DEAD) {
		assert(at.us == INT64_MIN && (attempts >= policy->attempts_max || outcome->is_final));
		return;
	}
	assert(attempts < policy->attempts_max && !outcome->is_final);
	assert(at.us >= now.us + wish_us && at.us <= now.us + policy->delay_us_max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned status = (unsigned)fuzz_take_between(&in, 200, 999);
	struct wall now = { fuzz_take_between(&in, 0, INT64_C(4200000000000000)) };
	uint32_t attempts = 1 + (uint32_t)fuzz_take(&in, 1) % 8, dice = (uint32_t)fuzz_take(&in, 4);
	struct outcome outcome = { .class = OUTCOME_HTTP };
	struct str text = fuzz_rest(&in);

	outcome_classify_answer(&outcome, status, text, now);
	check_classes(&outcome, status, text);
	check_texts(&outcome);
	if (outcome.class == OUTCOME_HTTP)
		check_retry(&outcome, attempts, now, dice);
	/* The other classes, with any words. */
	outcome.class = (enum outcome_class)(2 + dice % (OUTCOME_CLASSES_N - 2));
	memcpy(outcome.detail, text.p, text.n < sizeof outcome.detail ? text.n : sizeof outcome.detail - 1);
	check_texts(&outcome);
	check_retry(&outcome, attempts, now, dice);
	fuzz_free(text);
	return 0;
}
