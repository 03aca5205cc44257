/* SPDX-License-Identifier: BSD-3-Clause */
/* The server over real sockets: answers, pipelining, refusals, deadlines, clients that vanish, drain and close.
 *
 * The server has a thread with a loop of its own; the test is the client, with blocking sockets that give up after ten
 * seconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "http/server.h"
#include "malformed.h"

enum { CLIENT_PATIENCE_S = 10, BIG_BYTES = 16 << 20, PIECES = 50, PIECE_BYTES = 20000, LATE_MAX = 16 };

static const char small_json[] =
	"{\"id\":\"3f0c\",\"endpoint\":\"https://example.org/hook\",\"cron_definition\":\"*/5 * * * *\","
	"\"enabled\":true,\"n\":1}";

struct fixture {
	uv_loop_t loop;
	uv_async_t command;
	pthread_t thread;
	struct http_server *server;
	struct sockaddr_in address;
	struct http_exchange *late[LATE_MAX]; /* the server's thread only */
	size_t late_n;
	atomic_int late_waiting, sources_closed, handled;
	atomic_bool wants_late, wants_drain, wants_close, is_idle, is_held;
};

/* ---- The server's side ---- */

struct pieces {
	struct fixture *fixture;
	int left;
};

static bool on_fill(void *ctx, struct buf *out)
{
	struct pieces *pieces = ctx;
	char *at = buf_reserve(out, PIECE_BYTES);

	assert(at);
	memset(at, 'p', PIECE_BYTES);
	out->n += PIECE_BYTES;
	return --pieces->left > 0;
}

static void on_source_closed(void *ctx)
{
	struct pieces *pieces = ctx;

	atomic_fetch_add(&pieces->fixture->sources_closed, 1);
}

static void respond_text(struct http_exchange *exchange, unsigned status, struct str text, bool close)
{
	struct buf headers, body;

	buf_init(&headers, 1000);
	buf_init(&body, BIG_BYTES + 1);
	buf_add(&headers, STR("Content-Type: text/plain\r\n"));
	buf_add(&body, text);
	http_respond(exchange,
		     &(struct http_response){ .status = status, .headers = &headers, .body = &body, .close = close });
	buf_release(&headers);
	buf_release(&body);
}

static void respond_source(struct fixture *fixture, struct http_exchange *exchange, int pieces_n)
{
	struct pieces *pieces = arena_alloc(http_exchange_arena(exchange), sizeof *pieces);
	struct http_source source = { on_fill, on_source_closed, pieces };

	*pieces = (struct pieces){ fixture, pieces_n };
	http_respond(exchange, &(struct http_response){ .status = 200, .source = &source });
}

static void on_request(void *ctx, struct http_exchange *exchange)
{
	struct fixture *fixture = ctx;
	const struct http_request *request = http_exchange_request(exchange);

	assert(request->peer.ss_family == AF_INET && !request->on_metrics_listener);
	atomic_fetch_add(&fixture->handled, 1);
	if (str_equal(request->path, STR("/late"))) {
		assert(fixture->late_n < LATE_MAX);
		fixture->late[fixture->late_n++] = exchange;
		atomic_fetch_add(&fixture->late_waiting, 1);
	} else if (str_equal(request->path, STR("/hold"))) {
		while (atomic_load(&fixture->is_held))
			poll(NULL, 0, 1);
		respond_text(exchange, 200, STR("held"), false);
	} else if (str_equal(request->path, STR("/count"))) {
		char text[20];

		snprintf(text, sizeof text, "%d", atomic_load(&fixture->handled));
		respond_text(exchange, 200, str_from(text), false);
	} else if (str_equal(request->path, STR("/source"))) {
		respond_source(fixture, exchange, PIECES);
	} else if (str_equal(request->path, STR("/endless"))) {
		respond_source(fixture, exchange, INT32_MAX);
	} else if (str_equal(request->path, STR("/big"))) {
		char *big = memory_new(BIG_BYTES);

		respond_text(exchange, 200, (struct str){ big, BIG_BYTES }, false);
		free(big);
	} else if (str_equal(request->path, STR("/none"))) {
		http_respond(exchange, &(struct http_response){ .status = 204 });
	} else if (str_equal(request->path, STR("/close"))) {
		respond_text(exchange, 200, STR("bye"), true);
	} else if (str_equal(request->path, STR("/host"))) {
		respond_text(exchange, 200, request->host, false);
	} else if (request->query.p) {
		respond_text(exchange, 200, request->query, false);
	} else if (request->body_given) {
		respond_text(exchange, 200, request->body, false);
	} else {
		respond_text(exchange, 200, STR(small_json), false);
	}
}

static void on_refusal(unsigned status, const char *reason, struct buf *headers, struct buf *body)
{
	buf_add(headers, STR("Content-Type: application/json\r\n"));
	buf_printf(body, "{\"detail\":\"%u %s\"}", status, reason);
}

static void on_command(uv_async_t *async)
{
	struct fixture *fixture = async->data;

	if (atomic_exchange(&fixture->wants_late, false)) {
		/* Each answer may bring the next late one: those wait for the next command. */
		for (size_t n = fixture->late_n; n > 0; n--) {
			struct http_exchange *exchange = fixture->late[0];

			fixture->late_n--;
			memmove(fixture->late, fixture->late + 1, fixture->late_n * sizeof fixture->late[0]);
			atomic_fetch_sub(&fixture->late_waiting, 1);
			respond_text(exchange, 200, STR("late"), false);
		}
	}
	if (atomic_exchange(&fixture->wants_drain, false))
		http_server_drain(fixture->server);
	atomic_store(&fixture->is_idle, http_server_is_idle(fixture->server));
	if (atomic_exchange(&fixture->wants_close, false)) {
		http_server_close(fixture->server);
		uv_close((uv_handle_t *)async, NULL);
	}
}

static void *run_server(void *ctx)
{
	struct fixture *fixture = ctx;

	uv_run(&fixture->loop, UV_RUN_DEFAULT);
	return NULL;
}

static void command(struct fixture *fixture, atomic_bool *wish)
{
	atomic_store(wish, true);
	uv_async_send(&fixture->command);
}

static struct fixture *start_at(const char *address, const struct http_limits *limits)
{
	struct fixture *fixture = memory_new(sizeof *fixture);
	char bound[64];
	struct error error = { 0 };

	assert_int_equal(uv_loop_init(&fixture->loop), 0);
	assert_int_equal(uv_async_init(&fixture->loop, &fixture->command, on_command), 0);
	fixture->command.data = fixture;
	fixture->server = http_server_new(&fixture->loop, limits ? limits : &http_limits_default, on_request, fixture,
					  on_refusal);
	if (http_server_listen(fixture->server, str_from(address), false, bound, &error) != ERR_OK)
		fail_msg("%s", error.text);
	fixture->address.sin_family = AF_INET;
	fixture->address.sin_port = htons((uint16_t)atoi(strrchr(bound, ':') + 1));
	fixture->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(pthread_create(&fixture->thread, NULL, run_server, fixture), 0);
	return fixture;
}

static struct fixture *start(const struct http_limits *limits)
{
	return start_at("127.0.0.1:0", limits);
}

/* Nothing may be left: no handle, no connection, no exchange. */
static void stop(struct fixture *fixture)
{
	command(fixture, &fixture->wants_close);
	assert_int_equal(pthread_join(fixture->thread, NULL), 0);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
	http_server_free(fixture->server);
	free(fixture);
}

/* ---- The client's side ---- */

struct client {
	int fd;
	struct buf in;
};

struct reply {
	unsigned status;
	struct str head, body; /* views of the client's buffer */
};

static struct client client_new(struct fixture *fixture)
{
	struct client client = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	struct timeval patience = { CLIENT_PATIENCE_S, 0 };
	int on = 1;

	assert_true(client.fd >= 0);
	setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	assert_int_equal(connect(client.fd, (struct sockaddr *)&fixture->address, sizeof fixture->address), 0);
	buf_init(&client.in, 64 << 20);
	return client;
}

static void client_free(struct client *client)
{
	close(client->fd);
	buf_release(&client->in);
}

static void client_send(struct client *client, struct str bytes)
{
	while (bytes.n > 0) {
		ssize_t n = send(client->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

		assert_true(n > 0);
		bytes = str_slice(bytes, (size_t)n, bytes.n);
	}
}

/* False at the end; a reset or a time-out fails the test. */
static bool client_read(struct client *client)
{
	char *at = buf_reserve(&client->in, 65536);
	ssize_t n = at ? recv(client->fd, at, 65536, 0) : -1;

	if (n < 0)
		fail_msg("recv: %s", strerror(errno));
	client->in.n += (size_t)n;
	return n > 0;
}

static size_t find(struct str in, const char *what)
{
	const char *hit = in.p ? memmem(in.p, in.n, what, strlen(what)) : NULL;

	return hit ? (size_t)(hit - in.p) : SIZE_MAX;
}

static bool has_line(struct reply reply, const char *line)
{
	char text[200];

	snprintf(text, sizeof text, "\r\n%s\r\n", line);
	return find(reply.head, text) != SIZE_MAX;
}

/* Adds up the chunks from `body_at` on; false while the last has not come. */
static bool dechunk(struct client *client, size_t body_at, size_t *end, size_t *body_n)
{
	size_t at = body_at;

	*body_n = 0;
	for (;;) {
		struct str rest = str_slice(buf_str(&client->in), at, SIZE_MAX);
		size_t line_n = find(rest, "\r\n");

		if (line_n == SIZE_MAX)
			return false;
		size_t size = strtoul(rest.p, NULL, 16);

		if (rest.n < line_n + 2 + size + 2)
			return false;
		assert_memory_equal(rest.p + line_n + 2 + size, "\r\n", 2);
		at += line_n + 2 + size + 2;
		*body_n += size;
		if (size == 0) {
			*end = at;
			return true;
		}
	}
}

/* Reads one answer; the views hold until the next call. For a chunked one only body.n counts. */
static struct reply client_reply(struct client *client, size_t *consumed, bool is_head)
{
	struct reply reply = { 0 };

	client->in.n -= *consumed;
	if (client->in.n > 0)
		memmove(client->in.p, client->in.p + *consumed, client->in.n);
	while (find(buf_str(&client->in), "\r\n\r\n") == SIZE_MAX)
		if (!client_read(client))
			fail_msg("the connection ended before an answer: %.*s", STR_ARG(buf_str(&client->in)));

	size_t head_n = find(buf_str(&client->in), "\r\n\r\n") + 4;
	size_t length_at = find(str_slice(buf_str(&client->in), 0, head_n), "Content-Length: ");
	bool is_chunked = find(str_slice(buf_str(&client->in), 0, head_n), "Transfer-Encoding: chunked") != SIZE_MAX;
	size_t length = length_at == SIZE_MAX ? 0 : strtoul(client->in.p + length_at + 16, NULL, 10);
	size_t end = head_n + (is_head ? 0 : length);

	while (client->in.n < end)
		assert_true(client_read(client));
	while (is_chunked && !is_head && !dechunk(client, head_n, &end, &length))
		assert_true(client_read(client));
	assert_memory_equal(client->in.p, "HTTP/1.1 ", 9);
	reply.status = (unsigned)strtoul(client->in.p + 9, NULL, 10);
	reply.head = (struct str){ client->in.p, head_n };
	reply.body = (struct str){ client->in.p + head_n, is_head ? 0 : length };
	assert_true(find(reply.head, "\r\nDate: ") != SIZE_MAX);
	*consumed = end;
	return reply;
}

static void assert_ended(struct client *client, size_t consumed)
{
	while (client_read(client))
		;
	assert_int_equal(client->in.n, consumed);
}

/* Sends and expects one answer, after which the connection ends. */
static void assert_refused(struct fixture *fixture, struct str bytes, unsigned status, const char *name)
{
	struct client client = client_new(fixture);
	size_t consumed = 0;

	client_send(&client, bytes);

	struct reply reply = client_reply(&client, &consumed, false);

	if (reply.status != status)
		fail_msg("%s: %u instead of %u", name, reply.status, status);
	assert_true(has_line(reply, "Connection: close"));
	assert_true(find(reply.body, "detail") != SIZE_MAX);
	assert_ended(&client, consumed);
	client_free(&client);
}

static void assert_answer(struct client *client, size_t *consumed, struct str request, unsigned status, struct str body)
{
	client_send(client, request);

	struct reply reply = client_reply(client, consumed, false);

	assert_int_equal(reply.status, status);
	assert_true(str_equal(reply.body, body));
}

static void wait_for(const atomic_int *count, int at_least)
{
	for (int i = 0; atomic_load(count) < at_least; i++) {
		assert_true(i < 10000);
		poll(NULL, 0, 1);
	}
}

static void wait_until_idle(struct fixture *fixture)
{
	atomic_store(&fixture->is_idle, false);
	for (int i = 0; !atomic_load(&fixture->is_idle); i++) {
		assert_true(i < 10000);
		uv_async_send(&fixture->command);
		poll(NULL, 0, 1);
	}
}

/* ---- Tests ---- */

static void test_keep_alive_and_methods(void **state)
{
	struct fixture *fixture = start(NULL);
	struct client client = client_new(fixture);
	size_t consumed = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_answer(&client, &consumed, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR(small_json));
	assert_answer(&client, &consumed, STR("FOO / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR(small_json));
	assert_answer(&client, &consumed, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"), 200,
		      STR("hello"));
	assert_answer(&client, &consumed, STR("GET /host HTTP/1.1\r\nHost: a.b:1\r\n\r\n"), 200, STR("a.b:1"));

	client_send(&client, STR("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
				 "GET /none HTTP/1.1\r\nHost: a\r\n\r\n"
				 "HEAD /source HTTP/1.1\r\nHost: a\r\n\r\n"));
	struct reply head = client_reply(&client, &consumed, true);
	char length[40];

	snprintf(length, sizeof length, "Content-Length: %zu", sizeof small_json - 1);
	assert_true(has_line(head, length) && has_line(head, "Content-Type: text/plain"));
	assert_false(has_line(head, "Connection: close"));

	struct reply none = client_reply(&client, &consumed, false);

	assert_int_equal(none.status, 204);
	assert_int_equal(find(none.head, "Content-"), SIZE_MAX);
	assert_true(has_line(client_reply(&client, &consumed, true), "Transfer-Encoding: chunked"));
	assert_answer(&client, &consumed,
		      STR("GET /close HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR("bye"));
	assert_ended(&client, consumed);
	client_free(&client);
	assert_int_equal(atomic_load(&fixture->sources_closed), 1);
	stop(fixture);
}

static void test_http_1_0(void **state)
{
	struct fixture *fixture = start(NULL);
	struct client client = client_new(fixture);
	size_t consumed = 0;
	char host[30];

	(void)state;
	snprintf(host, sizeof host, "127.0.0.1:%u", ntohs(fixture->address.sin_port));
	client_send(&client, STR("GET /host HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
	struct reply reply = client_reply(&client, &consumed, false);

	assert_true(has_line(reply, "Connection: keep-alive"));
	assert_true(str_equal(reply.body, str_from(host)));
	client_send(&client, STR("GET /source HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
	reply = client_reply(&client, &consumed, false);
	assert_true(has_line(reply, "Connection: close"));
	assert_int_equal(find(reply.head, "Transfer-Encoding"), SIZE_MAX);
	assert_ended(&client, consumed + PIECES * PIECE_BYTES);
	client_free(&client);
	stop(fixture);
}

/* Every cut of three requests in one stream, the two parts as two packets. */
static void test_split_at_every_offset(void **state)
{
	static const char all[] = "POST /?1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
				  "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
				  "GET /?3 HTTP/1.1\r\nHost: a\r\n\r\n";
	struct fixture *fixture = start(NULL);
	struct client client = client_new(fixture);
	size_t consumed = 0;

	(void)state;
	for (size_t cut = 1; cut < sizeof all - 1; cut++) {
		int handled = atomic_load(&fixture->handled);

		client_send(&client, (struct str){ all, cut });
		/* The first part arrives alone: an answer of its own proves it where there is one. */
		if (cut >= sizeof "POST /?1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" - 1)
			wait_for(&fixture->handled, handled + 1);
		assert_answer(&client, &consumed, (struct str){ all + cut, sizeof all - 1 - cut }, 200, STR("1"));
		assert_answer(&client, &consumed, STR(""), 200, STR("xyz"));
		assert_answer(&client, &consumed, STR(""), 200, STR("3"));
	}
	client_free(&client);
	stop(fixture);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
	struct fixture *fixture = start(NULL);
	struct client client = client_new(fixture);
	struct buf all;
	size_t consumed = 0;
	char number[20];

	(void)state;
	buf_init(&all, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_printf(&all, "GET %s?%d HTTP/1.1\r\nHost: a\r\n\r\n", i == 300 || i == 600 ? "/late" : "/", i);
	client_send(&client, buf_str(&all));
	for (int i = 0; i < 1000; i++) {
		if (i == 300 || i == 600) {
			wait_for(&fixture->late_waiting, 1);
			command(fixture, &fixture->wants_late);
		}
		struct reply reply = client_reply(&client, &consumed, false);

		snprintf(number, sizeof number, "%d", i);
		assert_true(str_equal(reply.body, i == 300 || i == 600 ? STR("late") : str_from(number)));
	}
	buf_release(&all);
	client_free(&client);
	stop(fixture);
}

/* While the server is held up, one client sends very many requests in one go and another one a single request. */
static void test_many_requests_at_once_hold_up_nobody(void **state)
{
	enum { MANY = 3000 };
	struct str one = STR("GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
	struct fixture *fixture = start(NULL);
	struct client holder = client_new(fixture), many = client_new(fixture), other = client_new(fixture);
	size_t consumed = 0;
	uint64_t handled;
	struct buf text;

	(void)state;
	buf_init(&text, MANY * one.n);
	for (int i = 0; i < MANY; i++)
		buf_add(&text, one);
	atomic_store(&fixture->is_held, true);
	client_send(&holder, STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
	wait_for(&fixture->handled, 1);
	client_send(&many, buf_str(&text));
	client_send(&other, STR("GET /count HTTP/1.1\r\nHost: a\r\n\r\n"));
	atomic_store(&fixture->is_held, false);
	struct reply reply = client_reply(&other, &consumed, false);

	assert_int_equal(reply.status, 200);
	assert_true(str_to_u64(reply.body, &handled));
	assert_in_range(handled, 2, 100);
	wait_for(&fixture->handled, MANY + 2);
	consumed = 0;
	for (int i = 0; i < MANY; i++)
		assert_int_equal(client_reply(&many, &consumed, false).status, 204);
	buf_release(&text);
	client_free(&holder);
	client_free(&many);
	client_free(&other);
	stop(fixture);
}

static void test_malformed_is_refused_and_closed(void **state)
{
	struct fixture *fixture = start(NULL);

	(void)state;
	for (size_t i = 0; i < MALFORMED_N; i++)
		assert_refused(fixture, malformed[i].bytes, malformed[i].status, malformed[i].name);
	assert_int_equal(atomic_load(&fixture->handled), 0);
	stop(fixture);
}

/* What follows a malformed request is not answered. */
static void test_nothing_is_served_after_a_refusal(void **state)
{
	struct fixture *fixture = start(NULL);

	(void)state;
	assert_refused(fixture, STR("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400,
		       "smuggled");
	assert_refused(fixture,
		       STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
			   "0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
		       400, "smuggled");
	assert_int_equal(atomic_load(&fixture->handled), 0);
	stop(fixture);
}

static void test_too_large(void **state)
{
	struct fixture *fixture = start(NULL);
	struct buf text;

	(void)state;
	buf_init(&text, 16 << 20);
	assert_refused(fixture, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4194305\r\n\r\n"), 413, "length");

	buf_printf(&text, "GET /%04096d HTTP/1.1\r\nHost: a\r\n\r\n", 0);
	assert_refused(fixture, buf_str(&text), 414, "target");
	buf_clear(&text);
	buf_printf(&text, "GET / HTTP/1.1\r\nHost: a\r\nX: %0100000d\r\n\r\n", 0);
	assert_refused(fixture, buf_str(&text), 431, "one header");
	buf_clear(&text);
	buf_add(&text, STR("GET / HTTP/1.1\r\nHost: a\r\n"));
	for (int i = 0; i < 2000; i++)
		buf_add(&text, STR("X: y\r\n"));
	assert_refused(fixture, buf_str(&text), 431, "2,000 headers");

	/* The answer reaches a client that sends its whole body first: 413 in the middle, the rest thrown away. */
	buf_clear(&text);
	buf_add(&text, STR("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
	for (int i = 0; i < 1100; i++)
		buf_printf(&text, "1000\r\n%04096d\r\n", 0);
	assert_refused(fixture, buf_str(&text), 413, "chunked");
	assert_int_equal(atomic_load(&fixture->handled), 0);
	buf_release(&text);
	stop(fixture);
}

static void test_large_bodies_both_ways(void **state)
{
	struct fixture *fixture = start(NULL);
	struct client client = client_new(fixture);
	struct buf text;
	size_t consumed = 0;

	(void)state;
	buf_init(&text, 16 << 20);
	buf_printf(&text, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4194304\r\n\r\n%04194304d", 7);
	client_send(&client, buf_str(&text));
	struct reply reply = client_reply(&client, &consumed, false);

	assert_int_equal(reply.body.n, 4194304);
	assert_memory_equal(reply.body.p, text.p + text.n - 4194304, 4194304);
	client_send(&client, STR("GET /big HTTP/1.1\r\nHost: a\r\n\r\n"
				 "GET /source HTTP/1.1\r\nHost: a\r\n\r\n"
				 "GET /?end HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_int_equal(client_reply(&client, &consumed, false).body.n, BIG_BYTES);
	assert_int_equal(client_reply(&client, &consumed, false).body.n, PIECES * PIECE_BYTES);
	assert_answer(&client, &consumed, STR(""), 200, STR("end"));
	buf_release(&text);
	client_free(&client);
	stop(fixture);
}

static void test_bodies_share_their_room(void **state)
{
	struct http_limits limits = http_limits_default;

	(void)state;
	limits.buffered_bytes_max = 100000;
	struct fixture *fixture = start(&limits);
	struct client client = client_new(fixture);
	struct buf text;
	size_t consumed = 0;

	buf_init(&text, 1 << 20);
	buf_printf(&text, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n%0200000d", 0);
	client_send(&client, buf_str(&text));
	struct reply reply = client_reply(&client, &consumed, false);

	assert_int_equal(reply.status, 503);
	assert_true(has_line(reply, "Retry-After: 1"));
	assert_ended(&client, consumed);
	client_free(&client);
	client = client_new(fixture);
	consumed = 0;
	assert_answer(&client, &consumed, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"), 200,
		      STR("hi"));
	client_free(&client);
	buf_release(&text);
	stop(fixture);
}

/* Whoever holds most of what is scarce gives way, not whoever comes last. */
static void test_the_largest_gives_way(void **state)
{
	struct http_limits limits = http_limits_default;
	size_t consumed = 0, big_consumed = 0;
	struct buf text;

	(void)state;
	limits.buffered_bytes_max = 200000;
	struct fixture *fixture = start(&limits);
	struct client large = client_new(fixture), small = client_new(fixture);

	buf_init(&text, 1 << 20);
	buf_printf(&text, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 120000\r\n\r\n%0100000d", 0);
	client_send(&large, buf_str(&text));
	buf_clear(&text);
	buf_printf(&text, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n%060000d", 0);
	assert_answer(&small, &consumed, buf_str(&text), 204, STR(""));
	assert_int_equal(client_reply(&large, &big_consumed, false).status, 503);
	assert_ended(&large, big_consumed);
	buf_release(&text);
	client_free(&large);
	client_free(&small);
	stop(fixture);
}

static void test_the_oldest_untaken_answer_gives_way(void **state)
{
	struct http_limits limits = http_limits_default;
	size_t consumed = 0;

	(void)state;
	limits.buffered_bytes_max = 24 << 20;
	struct fixture *fixture = start(&limits);
	struct client silent = client_new(fixture), reader = client_new(fixture);

	client_send(&silent, STR("GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
	wait_for(&fixture->handled, 1);
	client_send(&reader, STR("GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
	wait_for(&fixture->handled, 2);
	assert_int_equal(client_reply(&reader, &consumed, false).body.n, BIG_BYTES);
	/* What it gets when it reads at last is not the whole. */
	char bytes[65536];
	size_t got = 0;

	for (ssize_t n; (n = recv(silent.fd, bytes, sizeof bytes, 0)) > 0; got += (size_t)n)
		;
	assert_in_range(got, 1, BIG_BYTES - 1);
	client_free(&silent);
	client_free(&reader);
	stop(fixture);
}

static void test_expect(void **state)
{
	struct fixture *fixture = start(NULL);
	struct client client = client_new(fixture);
	size_t consumed = 0;

	(void)state;
	client_send(&client, STR("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
	while (client.in.n < 25)
		assert_true(client_read(&client));
	assert_memory_equal(client.in.p, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	consumed = 25;
	assert_answer(&client, &consumed, STR("hello"), 200, STR("hello"));
	client_free(&client);
	assert_refused(fixture,
		       STR("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"),
		       413, "expect");
	stop(fixture);
}

static void test_deadlines(void **state)
{
	struct http_limits limits = http_limits_default;
	size_t consumed = 0;

	(void)state;
	limits.idle_us_max = 60 * US_PER_MS;
	limits.head_us_max = 50 * US_PER_MS;
	limits.request_us_max = 80 * US_PER_MS;
	struct fixture *fixture = start(&limits);
	struct client idle = client_new(fixture);

	/* Idle: closed without a word, also after an answer. */
	assert_ended(&idle, 0);
	client_free(&idle);
	idle = client_new(fixture);
	assert_answer(&idle, &consumed, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR(small_json));
	assert_ended(&idle, consumed);
	client_free(&idle);
	assert_refused(fixture, STR("G"), 408, "head");
	assert_refused(fixture, STR("GET / HTTP/1.1\r\nHost: a\r\n"), 408, "head");
	assert_refused(fixture, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell"), 408, "body");
	assert_refused(fixture, STR("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"), 408,
		       "chunks");
	stop(fixture);
}

static void test_slow_bodies_and_slow_readers(void **state)
{
	struct http_limits limits = http_limits_default;
	char byte;

	(void)state;
	limits.body_grace_us = 30 * US_PER_MS;
	limits.body_bytes_per_second_min = 1000000;
	limits.write_us_max = 50 * US_PER_MS;
	struct fixture *fixture = start(&limits);

	assert_refused(fixture, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nhello"), 408,
		       "slow body");
	/* A client that asks and does not read: the source is closed, which only happens when its deadline has passed.
	 */
	struct client client = client_new(fixture);

	client_send(&client, STR("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"));
	wait_for(&fixture->sources_closed, 1);
	client_free(&client);
	client = client_new(fixture);
	client_send(&client, STR("GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
	wait_for(&fixture->handled, 2);
	for (size_t n = 0; recv(client.fd, &byte, 1, 0) == 1 && n < 100; n++)
		poll(NULL, 0, 1);
	client_free(&client);
	stop(fixture);
}

static void test_clients_that_vanish(void **state)
{
	struct fixture *fixture = start(NULL);
	struct linger reset = { 1, 0 };

	(void)state;
	/* Before the answer, by reset and by close; before the head or the body was complete. */
	for (int i = 0; i < 4; i++) {
		struct client client = client_new(fixture);

		if (i % 2)
			setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		client_send(&client, STR("GET /late HTTP/1.1\r\nHost: a\r\n\r\n"));
		if (i >= 2)
			client_send(&client, STR("GET /more HTTP/1.1\r\nHost: a\r\n\r\n"));
		wait_for(&fixture->late_waiting, i + 1);
		client_free(&client);
	}
	static const struct str parts[] = { { "GET", 3 },
					    { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", 48 } };

	for (size_t i = 0; i < 2; i++) {
		struct client client = client_new(fixture);

		client_send(&client, parts[i]);
		client_free(&client);
	}
	struct client client = client_new(fixture);

	client_send(&client, STR("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_true(client_read(&client));
	client_free(&client);
	wait_for(&fixture->sources_closed, 1);
	command(fixture, &fixture->wants_late);
	while (atomic_load(&fixture->late_waiting) > 0)
		poll(NULL, 0, 1);
	/* One that only closed its sending side still gets its answer. */
	client = client_new(fixture);
	size_t consumed = 0;

	client_send(&client, STR("GET /late HTTP/1.1\r\nHost: a\r\n\r\n"));
	shutdown(client.fd, SHUT_WR);
	wait_for(&fixture->late_waiting, 1);
	command(fixture, &fixture->wants_late);
	assert_answer(&client, &consumed, STR(""), 200, STR("late"));
	assert_ended(&client, consumed);
	client_free(&client);
	stop(fixture);
}

static void test_connection_limits(void **state)
{
	struct http_limits limits = http_limits_default;
	size_t consumed = 0;

	(void)state;
	limits.connections_max = 2;
	limits.connections_per_ip_max = 1; /* loopback does not count */
	limits.requests_per_connection_max = 2;
	struct fixture *fixture = start(&limits);
	struct client first = client_new(fixture), second = client_new(fixture);

	/* The longest idle makes room. */
	assert_answer(&first, &consumed, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR(small_json));
	struct client third = client_new(fixture);
	size_t third_consumed = 0;

	assert_answer(&third, &third_consumed, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR(small_json));
	assert_ended(&second, 0);
	/* When all are busy there is no room. */
	client_send(&first, STR("GET /late HTTP/1.1\r\nHost: a\r\n\r\n"));
	client_send(&third, STR("GET /late HTTP/1.1\r\nHost: a\r\n\r\n"));
	wait_for(&fixture->late_waiting, 2);
	assert_refused(fixture, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 503, "third");
	command(fixture, &fixture->wants_late);
	assert_answer(&first, &consumed, STR(""), 200, STR("late"));
	assert_ended(&first, consumed);
	client_free(&first);
	client_free(&second);
	client_free(&third);
	stop(fixture);
}

/* Who leaves makes room at once, also for one that comes in the same turn of the loop. */
static void test_a_place_is_free_at_once(void **state)
{
	struct http_limits limits = http_limits_default;
	size_t consumed = 0;

	(void)state;
	limits.connections_max = 2;
	struct fixture *fixture = start(&limits);
	struct client busy = client_new(fixture), leaving = client_new(fixture);

	client_send(&busy, STR("GET /late HTTP/1.1\r\nHost: a\r\n\r\n"));
	wait_for(&fixture->late_waiting, 1);
	atomic_store(&fixture->is_held, true);
	client_send(&leaving, STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
	wait_for(&fixture->handled, 2);
	client_free(&leaving);
	struct client coming = client_new(fixture);

	atomic_store(&fixture->is_held, false);
	assert_answer(&coming, &consumed, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR(small_json));
	client_free(&busy);
	client_free(&coming);
	stop(fixture);
}

/* One that takes its time with its head, or hardly sends its body, makes room for one that does not. */
static void test_the_slow_give_way(void **state)
{
	static const char *const beginnings[] = { "GET / HT",
						  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nh" };
	struct http_limits limits = http_limits_default;
	size_t consumed = 0;

	(void)state;
	limits.connections_max = 1;
	for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
		struct fixture *fixture = start(&limits);
		struct client slow = client_new(fixture);

		client_send(&slow, str_from(beginnings[i]));
		for (unsigned status = 503; status == 503; poll(NULL, 0, 10)) {
			struct client good = client_new(fixture);

			consumed = 0;
			client_send(&good, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
			status = client_reply(&good, &consumed, false).status;
			client_free(&good);
		}
		assert_ended(&slow, 0);
		client_free(&slow);
		stop(fixture);
	}
}

/* An address of this machine that is not loopback; what is sent to it stays within the machine all the same. */
static bool own_address(struct in_addr *address)
{
	struct ifaddrs *all, *at;
	bool is_found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (at = all; at && !is_found; at = at->ifa_next) {
		if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(address, (char *)at->ifa_addr + offsetof(struct sockaddr_in, sin_addr), sizeof *address);
		is_found = ntohl(address->s_addr) >> 24 != 127;
	}
	freeifaddrs(all);
	return is_found;
}

static void test_connections_of_one_address(void **state)
{
	struct http_limits limits = http_limits_default;
	struct in_addr address = { 0 };
	size_t consumed = 0;

	(void)state;
	if (!own_address(&address))
		skip();
	limits.connections_per_ip_max = 2;
	struct fixture *fixture = start_at("0.0.0.0:0", &limits);

	fixture->address.sin_addr = address;
	for (int i = 0; i < 3; i++) {
		struct client first = client_new(fixture), second = client_new(fixture);

		consumed = 0;
		assert_answer(&first, &consumed, STR("GET /?1 HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR("1"));
		consumed = 0;
		assert_answer(&second, &consumed, STR("GET /?2 HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR("2"));
		assert_refused(fixture, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 503, "third");
		/* A close that we asked for is complete, and counted, when its end has come back. */
		client_send(&first, STR("GET /close HTTP/1.1\r\nHost: a\r\n\r\n"));
		client_send(&second, STR("GET /close HTTP/1.1\r\nHost: a\r\n\r\n"));
		while (client_read(&first) || client_read(&second))
			;
		client_free(&first);
		client_free(&second);
		wait_until_idle(fixture);
	}
	stop(fixture);
}

/* Who has as many connections as it may takes nobody's place. */
static void test_too_many_take_no_place(void **state)
{
	struct http_limits limits = http_limits_default;
	struct in_addr address = { 0 };
	size_t consumed = 0;

	(void)state;
	if (!own_address(&address))
		skip();
	limits.connections_per_ip_max = 1;
	limits.connections_max = 2;
	struct fixture *fixture = start_at("0.0.0.0:0", &limits);
	struct client other = client_new(fixture);

	assert_answer(&other, &consumed, STR("GET /?1 HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR("1"));
	fixture->address.sin_addr = address;
	struct client first = client_new(fixture);

	for (int i = 0; i < 3; i++)
		assert_refused(fixture, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 503, "second");
	assert_answer(&other, &consumed, STR("GET /?2 HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR("2"));
	client_free(&first);
	client_free(&other);
	stop(fixture);
}

static int64_t cpu_us(const struct rusage *usage)
{
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * US_PER_SECOND + usage->ru_utime.tv_usec +
	       usage->ru_stime.tv_usec;
}

static void test_accept_pauses_without_descriptors(void **state)
{
	struct fixture *fixture = start(NULL);
	struct client client = client_new(fixture);
	struct rlimit limit, none;
	struct rusage before, after;
	size_t consumed = 0;

	(void)state;
	assert_answer(&client, &consumed, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR(small_json));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	connect(fd, (struct sockaddr *)&fixture->address, sizeof fixture->address);
	getrusage(RUSAGE_SELF, &before);
	poll(NULL, 0, 300);
	getrusage(RUSAGE_SELF, &after);
	/* 300 ms of spinning would cost 300 ms of CPU. */
	assert_true(cpu_us(&after) - cpu_us(&before) < 100000);
	assert_answer(&client, &consumed, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR(small_json));
	setrlimit(RLIMIT_NOFILE, &limit);

	struct client waiting = { .fd = fd };
	struct timeval patience = { CLIENT_PATIENCE_S, 0 };

	buf_init(&waiting.in, 1 << 20);
	fcntl(fd, F_SETFL, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	consumed = 0;
	assert_answer(&waiting, &consumed, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR(small_json));
	client_free(&waiting);
	client_free(&client);
	stop(fixture);
}

static void test_drain(void **state)
{
	struct fixture *fixture = start(NULL);
	struct client idle = client_new(fixture), busy = client_new(fixture);
	size_t consumed = 0, idle_consumed = 0;

	(void)state;
	assert_answer(&idle, &idle_consumed, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, STR(small_json));
	client_send(&busy, STR("GET /late HTTP/1.1\r\nHost: a\r\n\r\n"));
	wait_for(&fixture->late_waiting, 1);
	command(fixture, &fixture->wants_drain);
	assert_ended(&idle, idle_consumed);
	assert_false(atomic_load(&fixture->is_idle));
	command(fixture, &fixture->wants_late);
	struct reply reply = client_reply(&busy, &consumed, false);

	assert_true(has_line(reply, "Connection: close"));
	assert_ended(&busy, consumed);
	client_free(&busy);
	client_free(&idle);
	wait_until_idle(fixture);
	stop(fixture);
}

static void test_close_frees_what_is_under_way(void **state)
{
	struct fixture *fixture = start(NULL);
	struct client late = client_new(fixture), body = client_new(fixture), endless = client_new(fixture);

	(void)state;
	client_send(&late, STR("GET /late HTTP/1.1\r\nHost: a\r\n\r\n"));
	client_send(&body, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"));
	client_send(&endless, STR("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"));
	wait_for(&fixture->handled, 2);
	stop(fixture);
	client_free(&late);
	client_free(&body);
	client_free(&endless);
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {
		"",	  ":80",   "127.0.0.1",	     "127.0.0.1:",   "127.0.0.1:65536", "localhost:80",
		"::1:80", "[::1]", "[127.0.0.1]:80", "127.0.0.1:-1", "127.0.0.1:8o"
	};
	static const char *const good[] = { "127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0" };
	uv_loop_t loop;
	char bound[64], again[64];
	struct error error;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	struct http_server *server = http_server_new(&loop, &http_limits_default, on_request, NULL, on_refusal);

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(http_server_listen(server, str_from(bad[i]), false, bound, &error), ERR_INVALID);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		if (http_server_listen(server, str_from(good[i]), true, bound, &error) != ERR_OK) {
			assert_int_equal(good[i][0], '['); /* a machine without IPv6 */
			continue;
		}
		assert_int_equal(strncmp(bound, good[i], strlen(good[i]) - 1), 0);
		assert_int_equal(http_server_listen(server, str_from(bound), false, again, &error), ERR_IO);
		assert_non_null(strstr(error.text, "in use"));
	}
	http_server_close(server);
	uv_run(&loop, UV_RUN_DEFAULT);
	http_server_free(server);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep_alive_and_methods),
		cmocka_unit_test(test_http_1_0),
		cmocka_unit_test(test_split_at_every_offset),
		cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
		cmocka_unit_test(test_malformed_is_refused_and_closed),
		cmocka_unit_test(test_nothing_is_served_after_a_refusal),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_large_bodies_both_ways),
		cmocka_unit_test(test_bodies_share_their_room),
		cmocka_unit_test(test_the_largest_gives_way),
		cmocka_unit_test(test_the_oldest_untaken_answer_gives_way),
		cmocka_unit_test(test_the_slow_give_way),
		cmocka_unit_test(test_a_place_is_free_at_once),
		cmocka_unit_test(test_many_requests_at_once_hold_up_nobody),
		cmocka_unit_test(test_expect),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_slow_bodies_and_slow_readers),
		cmocka_unit_test(test_clients_that_vanish),
		cmocka_unit_test(test_connection_limits),
		cmocka_unit_test(test_connections_of_one_address),
		cmocka_unit_test(test_too_many_take_no_place),
		cmocka_unit_test(test_accept_pauses_without_descriptors),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_close_frees_what_is_under_way),
		cmocka_unit_test(test_addresses),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
