/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers of endpoints: how the bytes are cut up decides nothing; a whole answer has the status, length and body that
 * an independent reading finds, and means the same when it is written out and read again. */
#include "fuzz.h"

#include "http/response.h"

enum cut { CUT_NOWHERE, CUT_EVERYWHERE, CUT_ANYWHERE, CUTS_N };

static enum response_progress feed(struct response *response, struct str bytes, enum cut cut, uint64_t *dice)
{
	enum response_progress progress = RESPONSE_NEED_MORE;

	for (size_t at = 0; at < bytes.n;) {
		size_t n = cut == CUT_NOWHERE ? bytes.n : cut == CUT_EVERYWHERE ? 1 : 1 + fuzz_dice(dice, 24);
		struct str piece = fuzz_copy(str_slice(bytes, at, n));
		enum response_progress before = progress;

		progress = response_feed(response, piece);
		assert(before == RESPONSE_NEED_MORE || progress == before);
		at += piece.n;
		fuzz_free(piece);
	}
	return progress;
}

static void check_equal(const struct response *a, const struct response *b)
{
	struct str retry_a = response_retry_after(a), retry_b = response_retry_after(b);

	assert(a->progress == b->progress && a->began == b->began && a->may_reuse == b->may_reuse);
	assert(a->status == b->status);
	if (a->progress == RESPONSE_BAD || a->progress == RESPONSE_HEAD_TOO_LARGE) {
		assert(a->problem && b->problem);
		return;
	}
	assert(!a->problem && !b->problem && a->body_bytes == b->body_bytes && a->answer_n == b->answer_n);
	assert(memcmp(a->answer, b->answer, a->answer_n) == 0);
	assert(!retry_a.p == !retry_b.p && str_equal(retry_a, retry_b));
}

/* ---- an independent reading ---- */

/* Where the head that starts at `at` ends. */
static size_t head_end(struct str bytes, size_t at)
{
	const char *end = memmem(bytes.p + at, bytes.n - at, "\r\n\r\n", 4);

	assert(end);
	return (size_t)(end - bytes.p) + 4;
}

/* How many headers of that name a head has; *value is the last one's. */
static size_t find_header(struct str head, struct str name, struct str *value)
{
	size_t n = 0;

	for (struct str rest = head; rest.p;) {
		struct str found, line = str_split(rest, '\n', &rest);
		struct str key = str_split(line, ':', &found);

		if (found.p && str_equal_nocase(key, name)) {
			*value = str_trim(found);
			n++;
		}
	}
	return n;
}

/* The final head; *at is where it ends. */
static struct str final_head(struct str bytes, size_t *at)
{
	size_t start = 0;

	*at = head_end(bytes, 0);
	while (bytes.p[start + 9] == '1') {
		start = *at;
		*at = head_end(bytes, start);
	}
	return str_slice(bytes, start, *at - start);
}

static void decode_chunks(struct str rest, struct buf *body)
{
	for (;;) {
		const char *end = memmem(rest.p, rest.n, "\r\n", 2);
		size_t line_n, n;

		assert(end && end > rest.p);
		n = strtoull(rest.p, NULL, 16); /* ends at the line end that was just found */
		line_n = (size_t)(end - rest.p) + 2;
		if (n == 0)
			return;
		rest = str_slice(rest, line_n, rest.n);
		assert(n <= rest.n);
		buf_add(body, str_slice(rest, 0, n));
		rest = str_slice(rest, n + 2, rest.n);
	}
}

static void check_done(const struct response *response, struct str bytes)
{
	size_t at;
	struct str head = final_head(bytes, &at), value = { NULL, 0 }, body = str_slice(bytes, at, bytes.n);
	size_t codings_n = find_header(head, STR("transfer-encoding"), &value);
	struct buf decoded;
	uint64_t length;

	assert(response->status == (unsigned)strtoul(head.p + 9, NULL, 10) && response->status >= 200);
	buf_init(&decoded, RESPONSE_BODY_BYTES_MAX);
	if (response->status == 204 || response->status == 304) {
		body.n = 0;
	} else if (codings_n > 0) {
		assert(value.n >= 7 && str_equal_nocase(str_slice(value, value.n - 7, 7), STR("chunked")));
		decode_chunks(body, &decoded);
		body = buf_str(&decoded);
	} else if (find_header(head, STR("content-length"), &value) > 0) {
		assert(str_to_u64(value, &length) && length <= body.n);
		body.n = length;
	}
	assert(response->body_bytes == body.n);
	assert(response->answer_n == (body.n < sizeof response->answer ? body.n : sizeof response->answer));
	assert(response->answer_n == 0 || memcmp(response->answer, body.p, response->answer_n) == 0);
	buf_release(&decoded);
}

static void check_again(const struct response *response)
{
	struct str retry = response_retry_after(response);
	struct response again;
	struct buf out;

	/* The blanks that are written around it count, too. */
	if (response->body_bytes != response->answer_n || retry.n + 2 >= RESPONSE_RETRY_AFTER_BYTES_MAX)
		return;
	buf_init(&out, 4096);
	buf_printf(&out, "HTTP/1.1 %03u\r\nretry-AFTER:\t%.*s \r\nContent-Length: %zu\r\n\r\n", response->status,
		   (int)retry.n, retry.p ? retry.p : "", response->answer_n);
	if (response->status != 204 && response->status != 304)
		buf_add(&out, (struct str){ response->answer, response->answer_n });
	response_init(&again);
	assert(response_feed(&again, buf_str(&out)) == RESPONSE_DONE && again.may_reuse);
	assert(again.status == response->status && again.body_bytes == response->body_bytes);
	assert(memcmp(again.answer, response->answer, response->answer_n) == 0);
	assert(str_equal(response_retry_after(&again), retry));
	buf_release(&out);
}

static void check_limits(const struct response *response, struct str bytes)
{
	assert(response->answer_n <= response->body_bytes && response->body_bytes <= bytes.n);
	assert(response->status == 0 || (response->status >= 200 && response->status <= 999));
	assert(!response->may_reuse || response->progress == RESPONSE_DONE);
	assert(response->began == (bytes.n > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	bool ends = fuzz_take(&in, 1) & 1;
	uint64_t dice = fuzz_take(&in, 2) | 1;
	struct str bytes = fuzz_rest(&in);
	struct response responses[CUTS_N];

	for (enum cut cut = 0; cut < CUTS_N; cut++) {
		response_init(&responses[cut]);
		feed(&responses[cut], bytes, cut, &dice);
		check_equal(&responses[CUT_NOWHERE], &responses[cut]);
	}
	for (enum cut cut = 0; cut < CUTS_N && ends; cut++) {
		assert(response_finish(&responses[cut]) != RESPONSE_NEED_MORE);
		check_equal(&responses[CUT_NOWHERE], &responses[cut]);
	}
	check_limits(&responses[CUT_NOWHERE], bytes);
	if (responses[CUT_NOWHERE].progress == RESPONSE_DONE) {
		check_done(&responses[CUT_NOWHERE], bytes);
		check_again(&responses[CUT_NOWHERE]);
	}
	fuzz_free(bytes);
	return 0;
}
