/* SPDX-License-Identifier: BSD-3-Clause */
/* Listens, accepts within the limits, and ends: drain and close.
 *
 * Accepting is our own, on a poll handle, so that running out of descriptors pauses it for a moment instead of
 * spinning. Beyond the limit the connection that needs its place least makes room; when all are busy the new one is
 * told 503, as long as there are not too many of those either. */
#include "http/connection.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

enum {
	BACKLOG = 1024,
	ACCEPTS_PER_TURN_MAX = 64, /* then the connections there are have their turn */
	ACCEPT_PAUSE_MS = 100,
	SWEEP_MS_MIN = 2,
	SWEEP_MS_MAX = 250,
};

const struct http_limits http_limits_default = {
	.target_bytes_max = 4096,
	.header_bytes_max = 8192,
	.head_bytes_max = 16384,
	.body_bytes_max = 4 << 20,
	.buffered_bytes_max = 64 << 20,
	.connections_max = 10000,
	.connections_per_ip_max = 200,
	.requests_per_connection_max = 100000,
	.head_us_max = 10 * US_PER_SECOND,
	.request_us_max = 30 * US_PER_SECOND,
	.idle_us_max = 60 * US_PER_SECOND,
	.write_us_max = 30 * US_PER_SECOND,
	.body_bytes_per_second_min = 1024,
	.body_grace_us = 5 * US_PER_SECOND,
};

struct str http_server_date(struct http_server *server)
{
	uint64_t now = uv_now(server->loop);

	if (now != server->date_at_ms) {
		struct wall wall = clock_read().wall;
		int64_t second = wall.us / US_PER_SECOND;

		if (second != server->date_second)
			answer_format_date(server->date, wall);
		server->date_second = second;
		server->date_at_ms = now;
	}
	return (struct str){ server->date, sizeof server->date };
}

/* ---- Counting ---- */

static struct http_peer **find_peer(struct http_server *server, const union peer_address *address, uint8_t key[8])
{
	uint32_t hash = server->peers_seed;

	if (address->any.sa_family == AF_INET) {
		memset(key, 0xff, 4);
		memcpy(key + 4, &address->v4.sin_addr, 4);
	} else {
		memcpy(key, &address->v6.sin6_addr, 8);
	}
	for (size_t i = 0; i < 8; i++)
		hash = (hash ^ key[i]) * 16777619u;

	struct http_peer **at = &server->peers[(hash ^ hash >> 16) % PEER_BUCKETS];

	while (*at && memcmp((*at)->key, key, 8) != 0)
		at = &(*at)->next;
	return at;
}

/* Whether the address may have one connection more. */
static bool has_peer_room(struct http_server *server, const union peer_address *address)
{
	uint8_t key[8];

	if (peer_address_is_loopback(address))
		return true;
	const struct http_peer *peer = *find_peer(server, address, key);

	return !peer || peer->connections_n < server->limits.connections_per_ip_max;
}

static void count_peer(struct http_connection *connection)
{
	uint8_t key[8];

	if (peer_address_is_loopback(&connection->address))
		return;
	struct http_peer **at = find_peer(connection->server, &connection->address, key);

	if (!*at) {
		*at = memory_new(sizeof **at);
		memcpy((*at)->key, key, sizeof key);
	}
	(*at)->connections_n++;
	connection->peer = *at;
}

static void forget_peer(struct http_connection *connection)
{
	uint8_t key[8];

	if (!connection->peer || --connection->peer->connections_n > 0)
		return;
	struct http_peer **at = find_peer(connection->server, &connection->address, key);

	assert(*at == connection->peer);
	*at = connection->peer->next;
	free(connection->peer);
}

void http_server_forget(struct http_connection *connection)
{
	struct http_server *server = connection->server;

	forget_peer(connection);
	if (connection->is_refused)
		server->refused_n--;
	else
		server->connections_n--;
	metric_add(METRIC_HTTP_CONNECTIONS, -1);
	if (server->connections_n + server->refused_n == 0 && !server->is_closed)
		uv_timer_stop(&server->sweep);
}

/* ---- Sweeping ---- */

static void on_sweep(uv_timer_t *timer)
{
	connections_sweep(timer->data);
}

/* Often enough for the shortest deadline, and seldom enough not to matter. */
static uint64_t sweep_ms(const struct http_limits *limits)
{
	int64_t waits[] = { limits->head_us_max, limits->request_us_max, limits->idle_us_max, limits->write_us_max };
	int64_t ms = SWEEP_MS_MAX;

	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
		if (waits[i] / (4 * US_PER_MS) < ms)
			ms = waits[i] / (4 * US_PER_MS);
	return ms < SWEEP_MS_MIN ? SWEEP_MS_MIN : (uint64_t)ms;
}

/* ---- Accepting ---- */

static void admit(struct http_listener *listener, int fd, const union peer_address *address)
{
	struct http_server *server = listener->server;
	/* Nobody gives a place to who has too many already. */
	bool is_welcome = has_peer_room(server, address) &&
			  (server->connections_n < server->limits.connections_max || share_give_place(server));

	if (!is_welcome && server->refused_n >= REFUSED_CONNECTIONS_MAX) {
		metric_add(METRIC_HTTP_REFUSED, 1);
		close(fd);
		return;
	}
	if (server->connections_n + server->refused_n == 0)
		uv_timer_start(&server->sweep, on_sweep, sweep_ms(&server->limits), sweep_ms(&server->limits));
	server->connections_n++;
	metric_add(METRIC_HTTP_CONNECTIONS, 1);

	struct http_connection *connection = connection_open(server, fd, address);

	if (!connection || connection->state == CONNECTION_CLOSED)
		return;
	connection->for_metrics = listener->for_metrics;
	if (is_welcome) {
		count_peer(connection);
		return;
	}
	server->connections_n--;
	server->refused_n++;
	connection->is_refused = true;
	connection_refuse(connection, 503, "too many connections");
}

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
	struct http_server *server = timer->data;

	for (struct http_listener *listener = server->listeners; listener; listener = listener->next)
		uv_poll_start(&listener->poll, UV_READABLE, on_acceptable);
}

static void pause_accepting(struct http_server *server, int error)
{
	log_event(LOG_WARN, "accept_failed", log_text("error", strerror(error)));
	for (struct http_listener *listener = server->listeners; listener; listener = listener->next)
		uv_poll_stop(&listener->poll);
	uv_timer_start(&server->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
	struct http_listener *listener = poll->data;

	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN_MAX; i++) {
		union peer_address address = { .any.sa_family = AF_UNSPEC };
		socklen_t address_n = sizeof address;
		int fd = accept4(listener->fd, &address.any, &address_n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			admit(listener, fd, &address);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(listener->server, errno);
			return;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		}
		/* Everything else concerned a peer that is gone already (accept(2)). */
	}
}

/* ---- Listening ---- */

static bool parse_address(struct str text, union peer_address *address)
{
	size_t host_n = text.n;
	char host[INET6_ADDRSTRLEN];
	uint64_t port;

	while (host_n > 0 && text.p[host_n - 1] != ':')
		host_n--;
	if (host_n < 2 || !str_to_u64(str_slice(text, host_n, text.n), &port) || port > 65535)
		return false;

	struct str name = { text.p, host_n - 1 };
	bool is_v6 = name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']';

	if (is_v6)
		name = str_slice(name, 1, name.n - 2);
	if (name.n >= sizeof host)
		return false;
	memcpy(host, name.p, name.n);
	host[name.n] = '\0';
	return (is_v6 ? uv_ip6_addr(host, (int)port, &address->v6) : uv_ip4_addr(host, (int)port, &address->v4)) == 0;
}

/* Reads back what the socket got. */
static bool format_bound(int fd, char bound[64])
{
	union peer_address address = { 0 };
	socklen_t address_n = sizeof address;
	char host[INET6_ADDRSTRLEN];

	if (getsockname(fd, &address.any, &address_n) < 0 || uv_ip_name(&address.any, host, sizeof host) < 0)
		return false;
	if (address.any.sa_family == AF_INET6)
		snprintf(bound, 64, "[%s]:%u", host, ntohs(address.v6.sin6_port));
	else
		snprintf(bound, 64, "%s:%u", host, ntohs(address.v4.sin_port));
	return true;
}

static int open_listening(const union peer_address *address, char bound[64])
{
	bool is_v6 = address->any.sa_family == AF_INET6;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -1;
	/* Accepted sockets inherit TCP_NODELAY. "[::]" means IPv6 alone, so that "0.0.0.0" beside it never clashes. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
	    (!is_v6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
	    bind(fd, &address->any, is_v6 ? sizeof address->v6 : sizeof address->v4) == 0 && listen(fd, BACKLOG) == 0 &&
	    format_bound(fd, bound))
		return fd;

	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

bool http_address_is_valid(struct str address)
{
	union peer_address parsed = { 0 };

	return parse_address(address, &parsed);
}

enum err http_server_listen(struct http_server *server, struct str address, bool for_metrics, char bound[64],
			    struct error *error)
{
	union peer_address parsed = { 0 };

	assert(!server->is_draining);
	if (!parse_address(address, &parsed))
		return error_set(
			error, ERR_INVALID,
			"cannot listen on \"%.*s\": not an address and a port; write 127.0.0.1:8000 or [::1]:8000",
			STR_ARG(address));

	int fd = open_listening(&parsed, bound);

	if (fd < 0)
		return error_set(error, ERR_IO, "cannot listen on %.*s: %s", STR_ARG(address), strerror(errno));

	struct http_listener *listener = memory_new(sizeof *listener);

	listener->server = server;
	listener->fd = fd;
	listener->for_metrics = for_metrics;
	listener->poll.data = listener;
	if (uv_poll_init(server->loop, &listener->poll, fd) < 0) {
		close(fd);
		free(listener);
		return error_set(error, ERR_IO, "cannot listen on %.*s: the event loop refused it", STR_ARG(address));
	}
	uv_poll_start(&listener->poll, UV_READABLE, on_acceptable);
	listener->next = server->listeners;
	server->listeners = listener;
	return ERR_OK;
}

/* ---- Beginning and end ---- */

struct http_server *http_server_new(struct uv_loop_s *loop, const struct http_limits *limits, http_handler handler,
				    void *handler_ctx, http_refusal refusal)
{
	struct http_server *server = memory_new(sizeof *server);

	assert(handler && refusal);
	server->loop = loop;
	server->limits = *limits;
	server->handler = handler;
	server->handler_ctx = handler_ctx;
	server->refusal = refusal;
	server->peers_seed = random_u32();
	server->date_at_ms = UINT64_MAX;
	server->date_second = INT64_MIN;
	buf_init(&server->out, 2 * HEADERS_BYTES_MAX + READ_BYTES);
	buf_init(&server->refusal_headers, HEADERS_BYTES_MAX);
	buf_init(&server->refusal_body, READ_BYTES);
	uv_idle_init(loop, &server->turn);
	uv_timer_init(loop, &server->sweep);
	uv_timer_init(loop, &server->pause);
	server->turn.data = server;
	server->sweep.data = server;
	server->pause.data = server;
	return server;
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct http_listener *listener = handle->data;

	close(listener->fd);
	free(listener);
}

static void close_listeners(struct http_server *server)
{
	while (server->listeners) {
		struct http_listener *next = server->listeners->next;

		uv_close((uv_handle_t *)&server->listeners->poll, on_listener_closed);
		server->listeners = next;
	}
}

void http_server_drain(struct http_server *server)
{
	struct http_connection *connection, *next;

	server->is_draining = true;
	close_listeners(server);
	for (connection = server->by_state[CONNECTION_WAITING].first; connection; connection = next) {
		next = connection->next;
		/* A request that has reached the kernel is served, whether we have looked or not. */
		if (!connection->is_serving && !share_has_unread_bytes(connection))
			connection_close(connection);
	}
}

bool http_server_is_idle(const struct http_server *server)
{
	return server->connections_n + server->refused_n == 0 && !server->live;
}

void http_server_close(struct http_server *server)
{
	if (server->is_closed)
		return;
	server->is_draining = true;
	server->is_closed = true;
	close_listeners(server);
	for (unsigned state = 0; state < CONNECTION_CLOSED; state++)
		while (server->by_state[state].first)
			connection_close(server->by_state[state].first);
	uv_close((uv_handle_t *)&server->turn, NULL);
	uv_close((uv_handle_t *)&server->sweep, NULL);
	uv_close((uv_handle_t *)&server->pause, NULL);
}

void http_server_free(struct http_server *server)
{
	if (!server)
		return;
	assert(server->is_closed && server->connections_n + server->refused_n == 0);
	exchanges_free(server);
	buf_release(&server->out);
	buf_release(&server->refusal_headers);
	buf_release(&server->refusal_body);
	free(server);
}
