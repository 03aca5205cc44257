/* SPDX-License-Identifier: BSD-3-Clause */
/* One attempt against a scripted server on the same loop: each way an endpoint can behave, and the outcome it must get.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "deliver/outbound.h"

static int ipv6_errno; /* why there is no socket for IPv6; 0: there is */

/* In place of the C library's. */
int socket(int domain, int type, int protocol)
{
	if (domain == AF_INET6 && ipv6_errno) {
		errno = ipv6_errno;
		return -1;
	}
	return (int)syscall(SYS_socket, domain, type, protocol);
}

enum { ATTEMPT_US = 400000, CONNECT_US = 200000, RUNS_MAX = 8 };

enum behaviour { ANSWERS, ANSWERS_AND_CLOSES, HANGS, CLOSES, RESETS, DRIPS, POURS, FREEZES };

struct script {
	enum behaviour behaviour;
	const char *answer;
	size_t answer_n; /* 0: strlen */
};

struct peer {
	uv_tcp_t tcp;
	uv_timer_t drip;
	uv_write_t write;
	struct fixture *fixture;
	char seen[65536];
	size_t seen_n;
	unsigned handles;
};

struct fixture {
	uv_loop_t loop;
	uv_tcp_t listener;
	struct outbound *outbound;
	struct egress_policy egress;
	struct script script;
	struct peer *peers[16];
	unsigned connections, requests, done;
	uint16_t port;
	struct outcome outcome;
	char last_request[65536];
	char pour[65536];
};

static void on_peer_closed(uv_handle_t *handle)
{
	struct peer *peer = handle->data;

	if (--peer->handles == 0)
		free(peer);
}

static void peer_close(struct peer *peer)
{
	if (uv_is_closing((uv_handle_t *)&peer->tcp))
		return;
	for (unsigned i = 0; i < 16; i++)
		if (peer->fixture->peers[i] == peer)
			peer->fixture->peers[i] = NULL;
	uv_close((uv_handle_t *)&peer->tcp, on_peer_closed);
	uv_close((uv_handle_t *)&peer->drip, on_peer_closed);
}

static void say(struct peer *peer, const char *bytes, size_t n)
{
	uv_buf_t piece = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)n);

	uv_try_write((uv_stream_t *)&peer->tcp, &piece, 1);
}

static void on_drip(uv_timer_t *timer)
{
	say(timer->data, "x", 1);
}

static void on_poured(uv_write_t *write, int status)
{
	struct peer *peer = write->data;
	uv_buf_t piece = uv_buf_init(peer->fixture->pour, sizeof peer->fixture->pour);

	if (status == 0 && !uv_is_closing((uv_handle_t *)&peer->tcp))
		uv_write(&peer->write, (uv_stream_t *)&peer->tcp, &piece, 1, on_poured);
}

/* As SIGSTOP and SIGCONT do it to the whole process. */
static void stand_still(void)
{
	struct boot began = clock_read().boot;

	while (boot_since_us(clock_read().boot, began) < 2 * ATTEMPT_US)
		;
}

static void act(struct peer *peer)
{
	const struct script *script = &peer->fixture->script;
	size_t n = script->answer_n ? script->answer_n : script->answer ? strlen(script->answer) : 0;

	peer->fixture->requests++;
	memcpy(peer->fixture->last_request, peer->seen, peer->seen_n);
	peer->fixture->last_request[peer->seen_n] = '\0';
	peer->seen_n = 0;
	switch (script->behaviour) {
	case HANGS:
		return;
	case CLOSES:
		peer_close(peer);
		return;
	case RESETS:
		uv_tcp_close_reset(&peer->tcp, on_peer_closed);
		uv_close((uv_handle_t *)&peer->drip, on_peer_closed);
		for (unsigned i = 0; i < 16; i++)
			if (peer->fixture->peers[i] == peer)
				peer->fixture->peers[i] = NULL;
		return;
	case ANSWERS:
	case ANSWERS_AND_CLOSES:
		say(peer, script->answer, n);
		if (script->behaviour == ANSWERS_AND_CLOSES)
			peer_close(peer);
		return;
	case FREEZES:
		say(peer, script->answer, n);
		stand_still();
		return;
	case DRIPS:
		say(peer, script->answer, n);
		uv_timer_start(&peer->drip, on_drip, 5, 5);
		return;
	case POURS:
		say(peer, script->answer, n);
		peer->write.data = peer;
		on_poured(&peer->write, 0);
		return;
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *bytes)
{
	struct peer *peer = handle->data;

	(void)suggested;
	*bytes = uv_buf_init(peer->seen + peer->seen_n, (unsigned)(sizeof peer->seen - 1 - peer->seen_n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct peer *peer = stream->data;

	(void)bytes;
	if (n < 0) {
		peer_close(peer);
		return;
	}
	peer->seen_n += (size_t)n;
	peer->seen[peer->seen_n] = '\0';
	const char *body = strstr(peer->seen, "\r\n\r\n"), *length = strstr(peer->seen, "Content-Length: ");

	if (body && length && strlen(body + 4) >= (size_t)atol(length + 16))
		act(peer);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct fixture *fixture = listener->data;
	struct peer *peer = calloc(1, sizeof *peer);

	assert_int_equal(status, 0);
	peer->fixture = fixture;
	peer->handles = 2;
	uv_tcp_init(&fixture->loop, &peer->tcp);
	uv_timer_init(&fixture->loop, &peer->drip);
	peer->tcp.data = peer->drip.data = peer;
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&peer->tcp), 0);
	fixture->peers[fixture->connections++ % 16] = peer;
	uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read);
}

static void on_done(void *ctx, void *attempt_ctx, const struct outcome *outcome)
{
	struct fixture *fixture = ctx;

	assert_ptr_equal(attempt_ctx, &fixture->outcome);
	fixture->outcome = *outcome;
	fixture->done++;
}

static void open_fixture(struct fixture *fixture)
{
	struct outbound_options options = { .egress = &fixture->egress,
					    .attempt_us_max = ATTEMPT_US,
					    .connect_us_max = CONNECT_US,
					    .idle_us_max = 60 * US_PER_SECOND,
					    .connections_max = 64,
					    .dns_servers = "127.0.0.1:9" };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int n = sizeof address;
	struct error error;

	signal(SIGPIPE, SIG_IGN);
	memset(fixture, 0, sizeof *fixture);
	assert_true(egress_allow(&fixture->egress, STR("127.0.0.0/8")));
	uv_loop_init(&fixture->loop);
	uv_tcp_init(&fixture->loop, &fixture->listener);
	fixture->listener.data = fixture;
	uv_tcp_bind(&fixture->listener, (const struct sockaddr *)&address, 0);
	assert_int_equal(uv_listen((uv_stream_t *)&fixture->listener, 16, on_connection), 0);
	uv_tcp_getsockname(&fixture->listener, (struct sockaddr *)&address, &n);
	fixture->port = ntohs(address.sin_port);
	assert_int_equal(outbound_new(&fixture->loop, &options, on_done, fixture, &fixture->outbound, &error), ERR_OK);
}

static void close_fixture(struct fixture *fixture)
{
	outbound_close(fixture->outbound);
	uv_close((uv_handle_t *)&fixture->listener, NULL);
	for (unsigned i = 0; i < 16; i++)
		if (fixture->peers[i])
			peer_close(fixture->peers[i]);
	uv_run(&fixture->loop, UV_RUN_DEFAULT);
	outbound_free(fixture->outbound);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
}

static void attempt(struct fixture *fixture, const char *endpoint, struct str body)
{
	struct run run = { .id = 1,
			   .lane = 7,
			   .kind = RUN_SCHEDULE,
			   .uuid = { 1, 2, 3 },
			   .schedule_uuid = { 4 },
			   .endpoint = str_from(endpoint),
			   .body = body,
			   .authorization = STR("Token s3cret"),
			   .planned_at = { 1750000000123456 } };
	unsigned before = fixture->done;

	outbound_start(fixture->outbound, &run, 3, clock_read(), &fixture->outcome);
	assert_int_equal(fixture->done, before); /* never from within */
	while (fixture->done == before)
		uv_run(&fixture->loop, UV_RUN_ONCE);
	assert_int_equal(fixture->done, before + 1);
}

static const char *here(struct fixture *fixture)
{
	static char text[64];

	snprintf(text, sizeof text, "http://127.0.0.1:%u/hook?a=b", fixture->port);
	return text;
}

#define HEAD "HTTP/1.1 200 OK\r\n"

static const struct {
	const char *name;
	struct script script;
	enum outcome_class class;
	unsigned status;
	bool is_final;
} cases[] = {
	{ "200", { ANSWERS, HEAD "Content-Length: 2\r\n\r\nok", 0 }, OUTCOME_DELIVERED, 200, false },
	{ "200 chunked",
	  { ANSWERS, HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 0 },
	  OUTCOME_DELIVERED,
	  200,
	  false },
	{ "200 until close", { ANSWERS_AND_CLOSES, HEAD "\r\nok", 0 }, OUTCOME_DELIVERED, 200, false },
	{ "200 while we stood still",
	  { FREEZES, HEAD "Content-Length: 2\r\n\r\nok", 0 },
	  OUTCOME_DELIVERED,
	  200,
	  false },
	{ "204", { ANSWERS, "HTTP/1.1 204 No Content\r\n\r\n", 0 }, OUTCOME_DELIVERED, 204, false },
	{ "299", { ANSWERS, "HTTP/1.1 299 x\r\nContent-Length: 0\r\n\r\n", 0 }, OUTCOME_DELIVERED, 299, false },
	{ "100 first",
	  { ANSWERS, "HTTP/1.1 100 Continue\r\n\r\n" HEAD "Content-Length: 0\r\n\r\n", 0 },
	  OUTCOME_DELIVERED,
	  200,
	  false },
	{ "302",
	  { ANSWERS, "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 0 },
	  OUTCOME_HTTP,
	  302,
	  false },
	{ "304", { ANSWERS, "HTTP/1.1 304 Not Modified\r\n\r\n", 0 }, OUTCOME_HTTP, 304, false },
	{ "404", { ANSWERS, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0 }, OUTCOME_HTTP, 404, false },
	{ "410", { ANSWERS, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", 0 }, OUTCOME_HTTP, 410, true },
	{ "503",
	  { ANSWERS, "HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 0 },
	  OUTCOME_HTTP,
	  503,
	  false },
	{ "hangs", { HANGS, NULL, 0 }, OUTCOME_TIMEOUT, 0, false },
	{ "closes", { CLOSES, NULL, 0 }, OUTCOME_RESET, 0, false },
	{ "resets", { RESETS, NULL, 0 }, OUTCOME_RESET, 0, false },
	{ "closes in the head", { ANSWERS_AND_CLOSES, "HTTP/1.1 200 O", 0 }, OUTCOME_RESET, 0, false },
	{ "closes in the body",
	  { ANSWERS_AND_CLOSES, HEAD "Content-Length: 9\r\n\r\nok", 0 },
	  OUTCOME_RESET,
	  0,
	  false },
	{ "drips the body", { DRIPS, HEAD "Content-Length: 100000\r\n\r\n", 0 }, OUTCOME_TIMEOUT, 0, false },
	{ "drips the head", { DRIPS, HEAD "X-A: ", 0 }, OUTCOME_TIMEOUT, 0, false },
	{ "endless body", { POURS, HEAD "Content-Length: 1000000000\r\n\r\n", 0 }, OUTCOME_DELIVERED, 200, false },
	{ "endless head", { POURS, HEAD "X-A: ", 0 }, OUTCOME_PROTOCOL, 0, false },
	{ "garbage", { ANSWERS, "\x01\x02 no http at all\r\n\r\n", 0 }, OUTCOME_PROTOCOL, 0, false },
	{ "HTTP/0.9", { ANSWERS_AND_CLOSES, "hello", 0 }, OUTCOME_PROTOCOL, 0, false },
	{ "HTTP/2.0", { ANSWERS, "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0 }, OUTCOME_PROTOCOL, 0, false },
	{ "101", { ANSWERS, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", 0 }, OUTCOME_PROTOCOL, 0, false },
	{ "two lengths",
	  { ANSWERS, HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 0 },
	  OUTCOME_PROTOCOL,
	  0,
	  false },
	{ "length and chunked",
	  { ANSWERS, HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0 },
	  OUTCOME_PROTOCOL,
	  0,
	  false },
	{ "bad chunk",
	  { ANSWERS, HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n", 0 },
	  OUTCOME_PROTOCOL,
	  0,
	  false },
	{ "negative length", { ANSWERS, HEAD "Content-Length: -1\r\n\r\n", 0 }, OUTCOME_PROTOCOL, 0, false },
};

static void test_each_behaviour(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fixture *fixture = malloc(sizeof *fixture);

		open_fixture(fixture);
		fixture->script = cases[i].script;
		attempt(fixture, here(fixture), STR("{}"));
		if (fixture->outcome.class != cases[i].class ||
		    (cases[i].status && fixture->outcome.status != cases[i].status) ||
		    fixture->outcome.is_final != cases[i].is_final)
			fail_msg("%s: class %s, status %u, final %d, '%s'", cases[i].name,
				 outcome_class_name(fixture->outcome.class), fixture->outcome.status,
				 fixture->outcome.is_final, fixture->outcome.detail);
		assert_true(cases[i].script.behaviour == FREEZES ||
			    fixture->outcome.duration_us <= ATTEMPT_US + 100000);
		close_fixture(fixture);
		free(fixture);
	}
}

static void test_request_text_and_reuse(void **state)
{
	struct fixture *fixture = malloc(sizeof *fixture);

	(void)state;
	open_fixture(fixture);
	fixture->script = (struct script){ ANSWERS, HEAD "Content-Length: 5\r\n\r\nhello", 0 };
	attempt(fixture, here(fixture), STR("{\"a\": 1.10}"));
	const char *text = fixture->last_request;

	assert_ptr_equal(strstr(text, "POST /hook?a=b HTTP/1.1\r\nHost: 127.0.0.1:"), text);
	assert_non_null(strstr(text, "\r\nAuthorization: Token s3cret\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(text, "\r\nIdempotency-Key: \"01020300-0000-0000-0000-000000000000\"\r\n"));
	assert_non_null(strstr(text, "\r\nSeed-Schedule-Id: 04000000-0000-0000-0000-000000000000\r\n"));
	assert_non_null(strstr(text, "\r\nSeed-Planned-At: 2025-06-15T15:06:40.123456Z\r\n"));
	assert_non_null(strstr(text, "\r\nSeed-Attempt: 3\r\n"));
	assert_non_null(strstr(text, "\r\ntraceparent: 00-01020300000000000000000000000000-"));
	assert_null(strstr(text, "webhook-signature"));
	assert_non_null(strstr(text, "\r\n\r\n{\"a\": 1.10}"));
	assert_int_equal(fixture->outcome.answer_n, 5);
	for (int i = 0; i < 5; i++)
		attempt(fixture, here(fixture), STR("{}"));
	assert_int_equal(fixture->connections, 1); /* all on the one connection */
	assert_int_equal(fixture->requests, 6);
	close_fixture(fixture);
	free(fixture);
}

static void test_closed_pooled_connection_is_replaced(void **state)
{
	struct fixture *fixture = malloc(sizeof *fixture);

	(void)state;
	open_fixture(fixture);
	fixture->script = (struct script){ ANSWERS, HEAD "Content-Length: 0\r\n\r\n", 0 };
	attempt(fixture, here(fixture), STR("{}"));
	shutdown(fixture->peers[0]->tcp.io_watcher.fd, SHUT_RDWR); /* the pool has not heard of it yet */
	attempt(fixture, here(fixture), STR("{}"));
	assert_int_equal(fixture->outcome.class, OUTCOME_DELIVERED);
	assert_int_equal(fixture->connections, 2);
	assert_int_equal(fixture->requests, 2);
	close_fixture(fixture);
	free(fixture);
}

static void test_request_that_may_have_been_read_is_not_repeated(void **state)
{
	struct fixture *fixture = malloc(sizeof *fixture);

	(void)state;
	open_fixture(fixture);
	fixture->script = (struct script){ ANSWERS, HEAD "Content-Length: 0\r\n\r\n", 0 };
	attempt(fixture, here(fixture), STR("{}"));
	fixture->script.behaviour = RESETS;
	attempt(fixture, here(fixture), STR("{}"));
	assert_int_equal(fixture->outcome.class, OUTCOME_RESET);
	assert_int_equal(fixture->requests, 2);
	assert_int_equal(fixture->connections, 1);
	close_fixture(fixture);
	free(fixture);
}

static void test_refusals_before_the_wire(void **state)
{
	static const struct {
		const char *endpoint;
		enum outcome_class class;
		bool is_final;
	} refusals[] = {
		{ "http://10.1.2.3/", OUTCOME_BLOCKED, true },
		{ "http://169.254.169.254/latest", OUTCOME_BLOCKED, true },
		{ "http://[fd00::1]/", OUTCOME_BLOCKED, true },
		{ "http://metadata.google.internal/", OUTCOME_BLOCKED, true },
		{ "ftp://127.0.0.1/", OUTCOME_INTERNAL, true },
		{ "http://127.0.0.1:1/", OUTCOME_CONNECT, false },
	};
	struct fixture *fixture = malloc(sizeof *fixture);

	(void)state;
	open_fixture(fixture);
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		attempt(fixture, refusals[i].endpoint, STR("{}"));
		if (fixture->outcome.class != refusals[i].class || fixture->outcome.is_final != refusals[i].is_final)
			fail_msg("%s: class %s", refusals[i].endpoint, outcome_class_name(fixture->outcome.class));
	}
	/* No name server answers at port 9. */
	attempt(fixture, "http://host.example/", STR("{}"));
	assert_true(fixture->outcome.class == OUTCOME_DNS || fixture->outcome.class == OUTCOME_TIMEOUT);
	assert_int_equal(fixture->requests, 0);
	close_fixture(fixture);
	free(fixture);
}

/* What we lack for a moment is no attempt; a machine without IPv6 has made one, else its run would never end. */
static void test_no_socket(void **state)
{
	static const struct {
		int number;
		enum outcome_class class;
		bool is_unsent;
	} failures[] = {
		{ EMFILE, OUTCOME_INTERNAL, true },
		{ ENFILE, OUTCOME_INTERNAL, true },
		{ ENOBUFS, OUTCOME_INTERNAL, true },
		{ EAFNOSUPPORT, OUTCOME_CONNECT, false },
		{ EACCES, OUTCOME_CONNECT, false },
	};
	struct fixture *fixture = malloc(sizeof *fixture);

	(void)state;
	open_fixture(fixture);
	assert_true(egress_allow(&fixture->egress, STR("::1/128")));
	for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
		ipv6_errno = failures[i].number;
		attempt(fixture, "http://[::1]:1/", STR("{}"));
		assert_int_equal(fixture->outcome.class, failures[i].class);
		assert_int_equal(fixture->outcome.is_unsent, failures[i].is_unsent);
		assert_false(fixture->outcome.is_final);
	}
	ipv6_errno = 0;
	close_fixture(fixture);
	free(fixture);
}

static void test_large_body_arrives_whole(void **state)
{
	struct fixture *fixture = malloc(sizeof *fixture);
	char *body = malloc(60000);

	(void)state;
	memset(body, 'x', 60000);
	open_fixture(fixture);
	fixture->script = (struct script){ ANSWERS, HEAD "Content-Length: 0\r\n\r\n", 0 };
	attempt(fixture, here(fixture), (struct str){ body, 60000 });
	assert_int_equal(fixture->outcome.class, OUTCOME_DELIVERED);
	assert_int_equal(strlen(strstr(fixture->last_request, "\r\n\r\n") + 4), 60000);
	close_fixture(fixture);
	free(fixture);
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_behaviour),
		cmocka_unit_test(test_request_text_and_reuse),
		cmocka_unit_test(test_closed_pooled_connection_is_replaced),
		cmocka_unit_test(test_request_that_may_have_been_read_is_not_repeated),
		cmocka_unit_test(test_refusals_before_the_wire),
		cmocka_unit_test(test_no_socket),
		cmocka_unit_test(test_large_body_arrives_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
