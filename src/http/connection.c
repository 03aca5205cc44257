/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection from accept to close: reads, hands over, waits for the answer, and keeps every deadline.
 *
 *             first byte        head complete        body complete
 *   WAITING ─────────────▶ HEAD ─────────────▶ BODY ───────────────▶ HANDLING ◀── at most one request at a time
 *      ▲  │                 │ │  no body        │                     │   ▲
 *      │  │                 │ └────────────────────────────────────▶  │   │ (bytes of later requests wait in the
 *      │  │ refused         │ refused           │ refused   answered  │   │  stash, and reading stops)
 *      │  ▼                 ▼                   ▼                     ▼
 *      │  └────────────────▶└───────────── WRITING ◀──────────────────┘    skipped when the kernel takes all at once
 *      │      kept alive                       │  │
 *      └───────────────────────────────────────┘  │ last answer
 *                                                 ▼
 *                          LINGERING: our side is shut, what still comes is thrown away ──▶ CLOSED
 *
 * From every state a reset, a deadline or the server's end leads to CLOSED. All changes of state go through
 * connection_move, which also sets the deadline. A connection that closes in HANDLING leaves its exchange to the
 * handler, who still has to answer it. */
#include "http/connection.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "base/metrics.h"

struct pending_write {
	uv_write_t request;
	struct http_connection *connection;
	struct buf bytes;
};

/* ---- States and deadlines ---- */

static uint64_t ms_of(int64_t us)
{
	return us <= 0 ? 1 : (uint64_t)(us + US_PER_MS - 1) / (uint64_t)US_PER_MS;
}

static uint64_t deadline_of(const struct http_connection *connection)
{
	const struct http_limits *limits = &connection->server->limits;
	uint64_t now = uv_now(connection->server->loop);

	switch ((enum connection_state)connection->state) {
	case CONNECTION_WAITING:
		return now + ms_of(limits->idle_us_max);
	case CONNECTION_HEAD:
		return now + ms_of(limits->head_us_max);
	case CONNECTION_BODY:
		return connection->request_at_ms + ms_of(limits->request_us_max);
	case CONNECTION_WRITING:
		return now + ms_of(limits->write_us_max);
	case CONNECTION_LINGERING:
		return now + LINGER_MS;
	case CONNECTION_HANDLING:
	case CONNECTION_CLOSED:
	case CONNECTION_STATES:
		break;
	}
	return UINT64_MAX;
}

static void list_append(struct connection_list *list, struct http_connection *connection)
{
	connection->prev = list->last;
	connection->next = NULL;
	if (list->last)
		list->last->next = connection;
	else
		list->first = connection;
	list->last = connection;
}

static void list_remove(struct connection_list *list, struct http_connection *connection)
{
	if (connection->prev)
		connection->prev->next = connection->next;
	else
		list->first = connection->next;
	if (connection->next)
		connection->next->prev = connection->prev;
	else
		list->last = connection->prev;
}

static void connection_move(struct http_connection *connection, enum connection_state to)
{
#define TO(state) (1u << CONNECTION_##state)
	static const unsigned allowed[CONNECTION_STATES] = {
		[CONNECTION_WAITING] = TO(HEAD) | TO(WRITING) | TO(LINGERING) | TO(CLOSED),
		[CONNECTION_HEAD] = TO(BODY) | TO(HANDLING) | TO(WRITING) | TO(LINGERING) | TO(CLOSED),
		[CONNECTION_BODY] = TO(HANDLING) | TO(WRITING) | TO(LINGERING) | TO(CLOSED),
		[CONNECTION_HANDLING] = TO(WAITING) | TO(WRITING) | TO(LINGERING) | TO(CLOSED),
		[CONNECTION_WRITING] = TO(WAITING) | TO(WRITING) | TO(LINGERING) | TO(CLOSED),
		[CONNECTION_LINGERING] = TO(CLOSED),
	};
#undef TO
	struct connection_list *lists = connection->server->by_state;

	assert(allowed[connection->state] & 1u << to);
	list_remove(&lists[connection->state], connection);
	connection->state = (uint8_t)to;
	connection->moved_at_ms = uv_now(connection->server->loop);
	connection->deadline_ms = deadline_of(connection);
	list_append(&lists[to], connection);
	share_count(connection);
}

static bool is_reading(const struct http_connection *connection)
{
	return connection->state <= CONNECTION_BODY;
}

static void release_stash(struct http_connection *connection)
{
	buf_release(&connection->stash);
	connection->stash_at = 0;
	share_count(connection);
}

/* ---- The end ---- */

static void on_closed(uv_handle_t *handle)
{
	struct http_connection *connection = (struct http_connection *)handle;

	list_remove(&connection->server->by_state[CONNECTION_CLOSED], connection);
	buf_release(&connection->stash);
	share_count(connection);
	free(connection);
}

static void end(struct http_connection *connection, bool takes_back)
{
	struct http_exchange *exchange = connection->exchange;

	if (connection->state == CONNECTION_CLOSED)
		return;
	share_unyield(connection);
	connection->pending_bytes = 0;
	share_count(connection);
	if (!connection->is_serving)
		release_stash(connection);
	connection->exchange = NULL;
	if (connection->state == CONNECTION_HANDLING && exchange)
		exchange->connection = NULL;
	else
		exchange_release(exchange);
	connection_move(connection, CONNECTION_CLOSED);
	http_server_forget(connection);
	if (!takes_back || uv_tcp_close_reset(&connection->tcp, on_closed) < 0)
		uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

void connection_close(struct http_connection *connection)
{
	end(connection, false);
}

/* With a reset, which also throws away what the kernel holds: otherwise it would keep megabytes for minutes for a peer
 * that does not read. */
void connection_cut(struct http_connection *connection)
{
	end(connection, true);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void on_alloc(uv_handle_t *handle, size_t wished, uv_buf_t *buf)
{
	struct http_connection *connection = (struct http_connection *)handle;

	(void)wished;
	*buf = uv_buf_init(connection->server->read_bytes, READ_BYTES);
}

static void stop_reading(struct http_connection *connection)
{
	connection->is_read_stopped = true;
	uv_read_stop((uv_stream_t *)&connection->tcp);
}

static void start_reading(struct http_connection *connection)
{
	connection->is_read_stopped = false;
	if (uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) < 0)
		connection_close(connection);
}

/* A close with unread input makes the kernel send a reset, which can overtake and destroy the answer. So: say that we
 * are done, and wait for the peer to say the same. */
static void linger(struct http_connection *connection)
{
	uv_os_fd_t fd;

	connection_move(connection, CONNECTION_LINGERING);
	if (!connection->is_serving)
		release_stash(connection);
	if (connection->is_ended || uv_fileno((uv_handle_t *)&connection->tcp, &fd) < 0 || shutdown(fd, SHUT_WR) < 0)
		connection_close(connection);
	else if (connection->is_read_stopped)
		start_reading(connection);
}

/* ---- Writing ---- */

static void connection_sent(struct http_connection *connection)
{
	if (connection->exchange && connection->exchange->has_source) {
		exchange_continue(connection->exchange);
	} else if (connection->closes || connection->server->is_draining) {
		linger(connection);
	} else {
		connection_move(connection, CONNECTION_WAITING);
		connection_resume(connection);
	}
}

static void on_written(uv_write_t *request, int status)
{
	struct pending_write *pending = request->data;
	struct http_connection *connection = pending->connection;

	buf_release(&pending->bytes);
	free(pending);
	if (connection->state == CONNECTION_CLOSED)
		return;
	connection->pending_bytes = 0;
	share_count(connection);
	if (status < 0)
		connection_close(connection);
	else
		connection_sent(connection);
}

void connection_send_later(struct http_connection *connection, struct buf *bytes)
{
	struct pending_write *pending = memory_new(sizeof *pending);
	uv_buf_t buf = uv_buf_init(bytes->p, (unsigned)bytes->n);

	pending->request.data = pending;
	pending->connection = connection;
	pending->bytes = *bytes;
	*bytes = (struct buf){ 0 };
	connection_move(connection, CONNECTION_WRITING);
	connection->unsent_bytes = buf.len;
	if (uv_write(&pending->request, (uv_stream_t *)&connection->tcp, &buf, 1, on_written) < 0) {
		buf_release(&pending->bytes);
		free(pending);
		connection_close(connection);
		return;
	}
	connection->pending_bytes = pending->bytes.room;
	share_count(connection);
	share_make_room(connection->server, NULL);
}

void connection_send(struct http_connection *connection, const uv_buf_t *bufs, unsigned bufs_n)
{
	int written = bufs_n > 0 ? uv_try_write((uv_stream_t *)&connection->tcp, bufs, bufs_n) : 0;
	size_t gone = written < 0 ? 0 : (size_t)written;
	struct buf rest;

	if (written < 0 && written != UV_EAGAIN) {
		connection_close(connection);
		return;
	}
	buf_init(&rest, SIZE_MAX);
	for (unsigned i = 0; i < bufs_n; i++) {
		size_t skipped = gone < bufs[i].len ? gone : bufs[i].len;

		gone -= skipped;
		if (skipped < bufs[i].len)
			buf_add(&rest, (struct str){ bufs[i].base + skipped, bufs[i].len - skipped });
	}
	if (rest.n == 0)
		connection_sent(connection);
	else
		connection_send_later(connection, &rest);
}

static void add_retry_after(struct buf *headers)
{
	static const struct str name = { "retry-after:", 12 };

	for (size_t i = 0; i + name.n <= headers->n; i++)
		if (strncasecmp(headers->p + i, name.p, name.n) == 0)
			return;
	buf_add(headers, STR("Retry-After: 1\r\n"));
}

void connection_refuse(struct http_connection *connection, unsigned status, const char *reason)
{
	struct http_server *server = connection->server;
	struct http_exchange *exchange = connection->exchange;
	bool is_head = exchange && exchange->reader.is_head;

	metric_add(METRIC_HTTP_REFUSED, 1);
	connection->exchange = NULL;
	exchange_release(exchange);
	connection->closes = true;
	buf_clear(&server->refusal_headers);
	buf_clear(&server->refusal_body);
	server->refusal(status, reason, &server->refusal_headers, &server->refusal_body);
	if (status == 503)
		add_retry_after(&server->refusal_headers);
	buf_clear(&server->out);
	answer_format_head(&server->out, &(struct answer){ .status = status,
							   .date = http_server_date(server),
							   .headers = buf_str(&server->refusal_headers),
							   .connection = ANSWER_CLOSES,
							   .length = server->refusal_body.n });
	if (!is_head)
		buf_add(&server->out, buf_str(&server->refusal_body));
	assert(!server->out.failed);

	uv_buf_t buf = uv_buf_init(server->out.p, (unsigned)server->out.n);

	connection_send(connection, &buf, 1);
}

/* ---- Reading ---- */

static void say_continue(struct http_connection *connection)
{
	static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uv_buf_t buf = uv_buf_init(text, sizeof text - 1);
	int written = uv_try_write((uv_stream_t *)&connection->tcp, &buf, 1);

	/* A peer whose window has no room for this line is not one to wait for. */
	if (written != (int)sizeof text - 1)
		connection_close(connection);
}

static void begin_request(struct http_connection *connection)
{
	connection->exchange = exchange_new(connection);
	connection->request_at_ms = uv_now(connection->server->loop);
	connection_move(connection, CONNECTION_HEAD);
}

static void begin_body(struct http_connection *connection, bool is_body_there)
{
	connection->body_at_ms = uv_now(connection->server->loop);
	connection->body_bytes = 0;
	connection_move(connection, CONNECTION_BODY);
	if (connection->exchange->reader.expects_continue && !is_body_there)
		say_continue(connection);
}

/* HTTP/1.0 may leave out Host: then it is where the client connected to. */
static struct str local_host(struct http_connection *connection, struct arena *arena)
{
	union peer_address local;
	int local_n = sizeof local;
	char text[INET6_ADDRSTRLEN];

	if (uv_tcp_getsockname(&connection->tcp, &local.any, &local_n) < 0 ||
	    uv_ip_name(&local.any, text, sizeof text) < 0)
		return STR("localhost");
	if (local.any.sa_family == AF_INET6)
		return arena_printf(arena, "[%s]:%u", text, ntohs(local.v6.sin6_port));
	return arena_printf(arena, "%s:%u", text, ntohs(local.v4.sin_port));
}

bool peer_address_is_loopback(const union peer_address *address)
{
	const struct in6_addr *v6 = &address->v6.sin6_addr;

	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

static void hand_over(struct http_connection *connection)
{
	struct http_exchange *exchange = connection->exchange;
	struct http_request *request = &exchange->reader.request;

	if (!request->host.p)
		request->host = local_host(connection, &exchange->arena);
	*(union peer_address *)&request->peer = connection->address;
	request->peer_is_loopback = peer_address_is_loopback(&connection->address);
	request->on_metrics_listener = connection->for_metrics;
	connection->requests_n++;
	connection_move(connection, CONNECTION_HANDLING);
	connection->server->handler(connection->server->handler_ctx, exchange);
}

/* Gives the request being read what belongs to it, and returns how much that was. */
static size_t take(struct http_connection *connection, struct str bytes)
{
	if (connection->state == CONNECTION_WAITING)
		begin_request(connection);

	struct request_reader *reader = &connection->exchange->reader;
	size_t used = request_feed(reader, bytes);

	if (connection->state == CONNECTION_BODY)
		connection->body_bytes += used;
	exchange_count(connection->exchange);
	share_make_room(connection->server, connection);
	if (reader->step == REQUEST_COMPLETE)
		hand_over(connection);
	else if (reader->step == REQUEST_REFUSED)
		connection_refuse(connection, reader->status, reader->reason);
	else if (reader->step == REQUEST_BODY && connection->state == CONNECTION_HEAD)
		begin_body(connection, reader->body.n > 0);
	return used;
}

/* Serves requests until the bytes end, one has to wait, or the turn is over; returns what is left for later. */
static struct str serve(struct http_connection *connection, struct str bytes)
{
	unsigned end = connection->requests_n + REQUESTS_PER_TURN_MAX;
	struct boot begun = clock_read().boot;

	assert(!connection->is_serving);
	connection->is_serving = true;
	while (bytes.n > 0 && is_reading(connection) && connection->requests_n != end) {
		bytes = str_slice(bytes, take(connection, bytes), bytes.n);
		if (boot_since_us(clock_read().boot, begun) >= TURN_US_MAX)
			break;
	}
	if (bytes.n > 0 && is_reading(connection))
		connection->greedy_at_ms = uv_now(connection->server->loop);
	connection->is_serving = false;
	if (connection->state >= CONNECTION_LINGERING)
		bytes.n = 0;
	return bytes;
}

/* After an answer: first what is in the stash, then what the socket has. */
void connection_resume(struct http_connection *connection)
{
	struct buf *stash = &connection->stash;

	if (connection->is_serving)
		return;
	if (stash->n > 0) {
		struct str rest = serve(connection, str_slice(buf_str(stash), connection->stash_at, stash->n));

		connection->stash_at = stash->n - rest.n;
		if (rest.n == 0)
			release_stash(connection);
	}
	if (!is_reading(connection))
		return;
	if (stash->n > 0)
		share_yield(connection);
	else if (connection->is_ended)
		connection_close(connection);
	else if (connection->is_read_stopped)
		start_reading(connection);
}

static void on_bytes(struct http_connection *connection, struct str bytes)
{
	if (connection->state == CONNECTION_LINGERING) {
		connection->lingered_bytes += bytes.n;
		if (connection->lingered_bytes > LINGER_BYTES_MAX)
			connection_close(connection);
		return;
	}
	assert(connection->stash.n == 0);

	struct str rest = share_must_wait(connection) ? bytes : serve(connection, bytes);

	if (rest.n > 0) {
		buf_add(&connection->stash, rest);
		share_count(connection);
		stop_reading(connection);
		if (is_reading(connection))
			share_yield(connection);
		share_make_room(connection->server, NULL);
	}
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct http_connection *connection = (struct http_connection *)stream;

	if (n > 0) {
		on_bytes(connection, (struct str){ buf->base, (size_t)n });
	} else if (n == UV_EOF &&
		   (connection->state == CONNECTION_HANDLING || connection->state == CONNECTION_WRITING)) {
		/* Half closed: it still wants its answer. */
		connection->is_ended = true;
		stop_reading(connection);
	} else if (n < 0) {
		connection_close(connection);
	}
}

struct http_connection *connection_open(struct http_server *server, int fd, const union peer_address *address)
{
	struct http_connection *connection = memory_new(sizeof *connection);

	connection->server = server;
	connection->address = *address;
	buf_init(&connection->stash, READ_BYTES);
	if (uv_tcp_init(server->loop, &connection->tcp) < 0 || uv_tcp_open(&connection->tcp, fd) < 0) {
		/* A handle without a socket has nothing in the loop but its place in the list of handles. */
		close(fd);
		connection->state = CONNECTION_CLOSED;
		list_append(&server->by_state[CONNECTION_CLOSED], connection);
		http_server_forget(connection);
		uv_close((uv_handle_t *)&connection->tcp, on_closed);
		return NULL;
	}
	connection->state = CONNECTION_WAITING;
	connection->moved_at_ms = uv_now(server->loop);
	connection->deadline_ms = deadline_of(connection);
	list_append(&server->by_state[CONNECTION_WAITING], connection);
	start_reading(connection);
	return connection;
}

/* ---- Deadlines ---- */

static void on_read_expired(struct http_connection *connection)
{
	connection_refuse(connection, 408, "the request did not arrive in time");
}

/* A peer that takes its answer slowly but steadily may go on. */
static void on_write_expired(struct http_connection *connection)
{
	const struct http_limits *limits = &connection->server->limits;
	size_t unsent = uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
	size_t taken = connection->unsent_bytes - unsent;

	if (taken == 0 || taken < limits->body_bytes_per_second_min * ms_of(limits->write_us_max) / 1000) {
		connection_cut(connection);
		return;
	}
	connection_move(connection, CONNECTION_WRITING);
	connection->unsent_bytes = unsent;
}

static bool is_body_too_slow(const struct http_connection *connection, uint64_t now)
{
	const struct http_limits *limits = &connection->server->limits;
	uint64_t elapsed_ms = now - connection->body_at_ms;

	return now >= connection->deadline_ms ||
	       (elapsed_ms >= ms_of(limits->body_grace_us) &&
		connection->body_bytes < elapsed_ms * limits->body_bytes_per_second_min / 1000);
}

void connections_sweep(struct http_server *server)
{
	static void (*const on_expired[CONNECTION_STATES])(struct http_connection * connection) = {
		[CONNECTION_WAITING] = connection_close,
		[CONNECTION_HEAD] = on_read_expired,
		[CONNECTION_WRITING] = on_write_expired,
		[CONNECTION_LINGERING] = connection_close,
	};
	uint64_t now = uv_now(server->loop);
	struct http_connection *connection, *next;

	for (unsigned state = 0; state < CONNECTION_STATES; state++)
		while (on_expired[state] && (connection = server->by_state[state].first) &&
		       connection->deadline_ms <= now)
			on_expired[state](connection);
	for (connection = server->by_state[CONNECTION_BODY].first; connection; connection = next) {
		next = connection->next;
		if (is_body_too_slow(connection, now))
			on_read_expired(connection);
	}
}
