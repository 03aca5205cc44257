/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets under a poll handle that stays registered, so that a delivery on an open connection costs one send and one
 * receive. */
#include "deliver/wire.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/arena.h"
#include "deliver/round_trip.h"
#include "http/tls.h"

/* Idle TLS connections hold some 55 KB each; beyond this many of them all together a finished one is closed instead of
 * kept. */
enum { BUCKETS_N = 4096, TLS_WIRES_MAX = 1000, HOST_BYTES_MAX = 255 };

enum wire_state { WIRE_CONNECTING, WIRE_HANDSHAKING, WIRE_IS_OPEN, WIRE_IS_IDLE, WIRE_BROKEN };

struct wire {
	uv_poll_t poll;
	struct wire_pool *pool;
	void *owner;				    /* borrowed; NULL while idle */
	struct tls *tls;			    /* owned; NULL for http */
	struct wire *bucket_next, *bucket_previous; /* idle wires of one bucket, newest first */
	struct wire *older, *newer;		    /* idle wires by the time they became so */
	struct boot idle_since;
	struct address address;
	int64_t lane;
	int fd, events;
	enum wire_state state;
	enum outcome_class failure;
	const char *words;
	uint16_t port;
	bool is_https;
	uint8_t host_n;
	char host[HOST_BYTES_MAX];
};

struct wire_pool {
	uv_loop_t *loop;
	wire_on_event on_event;
	struct wire_options options;
	struct tls_context *tls;
	struct wire *oldest, *newest;
	struct wire *buckets[BUCKETS_N];
	unsigned wires_n, tls_n;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void listen_for(struct wire *wire, int events)
{
	if (wire->events == events)
		return;
	wire->events = events;
	uv_poll_start(&wire->poll, events, on_poll);
}

static struct wire **bucket_of(struct wire_pool *pool, int64_t lane)
{
	return &pool->buckets[((uint64_t)lane * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
}

static void unlink_idle(struct wire *wire)
{
	struct wire_pool *pool = wire->pool;

	assert(wire->state == WIRE_IS_IDLE);
	if (wire->bucket_previous)
		wire->bucket_previous->bucket_next = wire->bucket_next;
	else
		*bucket_of(pool, wire->lane) = wire->bucket_next;
	if (wire->bucket_next)
		wire->bucket_next->bucket_previous = wire->bucket_previous;
	if (wire->older)
		wire->older->newer = wire->newer;
	else
		pool->oldest = wire->newer;
	if (wire->newer)
		wire->newer->older = wire->older;
	else
		pool->newest = wire->older;
	wire->bucket_next = wire->bucket_previous = wire->older = wire->newer = NULL;
	wire->state = WIRE_IS_OPEN;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void wire_close(struct wire *wire)
{
	if (!wire)
		return;
	if (wire->state == WIRE_IS_IDLE)
		unlink_idle(wire);
	if (wire->tls) {
		if (wire->state == WIRE_IS_OPEN)
			tls_shutdown(wire->tls);
		tls_free(wire->tls);
		wire->tls = NULL;
		wire->pool->tls_n--;
	}
	wire->pool->wires_n--;
	wire->owner = NULL;
	uv_poll_stop(&wire->poll);
	close(wire->fd);
	uv_close((uv_handle_t *)&wire->poll, on_closed);
}

static void fail(struct wire *wire, enum outcome_class class, const char *words)
{
	wire->state = WIRE_BROKEN;
	wire->failure = class;
	wire->words = words;
}

static void fail_and_tell(struct wire *wire, enum outcome_class class, const char *words)
{
	fail(wire, class, words);
	wire->pool->on_event(wire->owner, wire, WIRE_FAILED);
}

static const char *connect_words(int code)
{
	switch (code) {
	case ECONNREFUSED:
		return "connection refused";
	case EHOSTUNREACH:
	case ENETUNREACH:
		return "host unreachable";
	case ETIMEDOUT:
		return "connection timed out";
	case ECONNRESET:
		return "connection reset";
	default:
		return "connection failed";
	}
}

static void become_open(struct wire *wire)
{
	wire->state = WIRE_IS_OPEN;
	listen_for(wire, UV_READABLE);
	wire->pool->on_event(wire->owner, wire, WIRE_OPEN);
}

static void go_on_handshaking(struct wire *wire)
{
	switch (tls_handshake(wire->tls)) {
	case TLS_OK:
		become_open(wire);
		return;
	case TLS_WANT_READ:
		listen_for(wire, UV_READABLE);
		return;
	case TLS_WANT_WRITE:
		listen_for(wire, UV_WRITABLE);
		return;
	case TLS_CLOSED:
		fail_and_tell(wire, OUTCOME_TLS, "closed during the TLS handshake");
		return;
	case TLS_FAILED:
		fail_and_tell(wire, OUTCOME_TLS, tls_reason(wire->tls));
		return;
	}
}

/* The address judged is the address reached: asked once more of the kernel. */
static bool peer_is(const struct wire *wire)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t n = sizeof peer;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (getpeername(wire->fd, (struct sockaddr *)&peer, &n))
		return false;
	if (peer.ss_family == AF_INET) {
		memcpy(&in, &peer, sizeof in);
		return !wire->address.is_v6 && memcmp(&in.sin_addr, wire->address.bytes, 4) == 0 &&
		       ntohs(in.sin_port) == wire->port;
	}
	memcpy(&in6, &peer, sizeof in6);
	return wire->address.is_v6 && memcmp(&in6.sin6_addr, wire->address.bytes, 16) == 0 &&
	       ntohs(in6.sin6_port) == wire->port;
}

static void on_connected(struct wire *wire)
{
	int code = 0;
	socklen_t n = sizeof code;

	getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &code, &n);
	if (code) {
		/* A connection that was refused never was one; a reset came after it had been accepted. */
		fail_and_tell(wire, code == ECONNRESET ? OUTCOME_RESET : OUTCOME_CONNECT, connect_words(code));
		return;
	}
	if (!peer_is(wire)) {
		fail_and_tell(wire, OUTCOME_BLOCKED, "the address reached is not the address that was judged");
		return;
	}
	if (!wire->is_https) {
		become_open(wire);
		return;
	}
	wire->state = WIRE_HANDSHAKING;
	go_on_handshaking(wire);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct wire *wire = poll->data;

	(void)status; /* a failed socket shows on the next call on it */
	switch (wire->state) {
	case WIRE_CONNECTING:
		on_connected(wire);
		return;
	case WIRE_HANDSHAKING:
		go_on_handshaking(wire);
		return;
	case WIRE_IS_IDLE:
		wire_close(wire);
		return;
	case WIRE_IS_OPEN:
		if (events & UV_WRITABLE) {
			listen_for(wire, UV_READABLE);
			wire->pool->on_event(wire->owner, wire, WIRE_WRITABLE);
		} else {
			wire->pool->on_event(wire->owner, wire, WIRE_READABLE);
		}
		return;
	case WIRE_BROKEN: /* the connect call itself had failed */
		wire->pool->on_event(wire->owner, wire, WIRE_FAILED);
		return;
	}
}

enum err wire_pool_new(uv_loop_t *loop, const struct wire_options *options, wire_on_event on_event,
		       struct wire_pool **out, struct error *error)
{
	struct wire_pool *pool = memory_new(sizeof *pool);

	pool->loop = loop;
	pool->options = *options;
	pool->on_event = on_event;
	enum err err = tls_context_new(options->ca_file, &pool->tls, error);

	if (err) {
		free(pool);
		return err;
	}
	*out = pool;
	return ERR_OK;
}

void wire_pool_close(struct wire_pool *pool)
{
	while (pool->oldest)
		wire_close(pool->oldest);
}

void wire_pool_free(struct wire_pool *pool)
{
	assert(pool->wires_n == 0);
	tls_context_free(pool->tls);
	free(pool);
}

void wire_pool_sweep(struct wire_pool *pool, struct boot now)
{
	while (pool->oldest && boot_since_us(now, pool->oldest->idle_since) >= pool->options.idle_us_max)
		wire_close(pool->oldest);
}

static bool leads_to(const struct wire *wire, const struct url *url, int64_t lane)
{
	return wire->lane == lane && wire->is_https == url->is_https && wire->port == url->port &&
	       str_equal_nocase((struct str){ wire->host, wire->host_n }, url->host);
}

/* Silent and open, as an idle connection has to be. */
static bool is_quiet(const struct wire *wire)
{
	char byte;

	return recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

struct wire *wire_take(struct wire_pool *pool, const struct url *url, int64_t lane, void *owner)
{
	struct wire *next;

	for (struct wire *wire = *bucket_of(pool, lane); wire; wire = next) {
		next = wire->bucket_next;
		if (!leads_to(wire, url, lane))
			continue;
		if (!is_quiet(wire)) {
			wire_close(wire);
			continue;
		}
		unlink_idle(wire);
		wire->owner = owner;
		return wire;
	}
	return NULL;
}

bool wire_died_unread(const struct wire *wire, int64_t us)
{
	return us < round_trip_us_min(wire->fd);
}

static socklen_t socket_address(const struct wire *wire, struct sockaddr_storage *out)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(wire->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(wire->port) };

	if (wire->address.is_v6) {
		memcpy(&in6.sin6_addr, wire->address.bytes, 16);
		memcpy(out, &in6, sizeof in6);
		return sizeof in6;
	}
	memcpy(&in.sin_addr, wire->address.bytes, 4);
	memcpy(out, &in, sizeof in);
	return sizeof in;
}

/* Makes room, then a socket that is connecting. A refusal that the kernel knows at once shows through SO_ERROR like a
 * late one. */
static int open_socket(struct wire_pool *pool, struct wire *wire)
{
	struct sockaddr_storage address;
	socklen_t n = socket_address(wire, &address);
	int on = 1;

	while (pool->wires_n >= pool->options.connections_max && pool->oldest)
		wire_close(pool->oldest);
	int fd = socket(wire->address.is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (const struct sockaddr *)&address, n) && errno != EINPROGRESS)
		fail(wire, OUTCOME_CONNECT, connect_words(errno));
	return fd;
}

struct wire *wire_connect(struct wire_pool *pool, const struct url *url, int64_t lane, struct address address,
			  void *owner)
{
	struct wire *wire = memory_new(sizeof *wire);

	*wire = (struct wire){ .pool = pool,
			       .owner = owner,
			       .address = address,
			       .lane = lane,
			       .port = url->port,
			       .is_https = url->is_https,
			       .host_n = (uint8_t)(url->host.n < HOST_BYTES_MAX ? url->host.n : HOST_BYTES_MAX),
			       .state = WIRE_CONNECTING };
	memcpy(wire->host, url->host.p, wire->host_n);
	wire->fd = open_socket(pool, wire);

	int failed = wire->fd < 0 ? -errno : uv_poll_init_socket(pool->loop, &wire->poll, wire->fd);

	if (failed) {
		if (wire->fd >= 0)
			close(wire->fd);
		free(wire);
		errno = -failed;
		return NULL;
	}
	wire->poll.data = wire;
	pool->wires_n++;
	if (url->is_https) {
		struct tls_peer peer = { .host = url->host, .lane = lane };

		if (url->host_kind != URL_HOST_NAME) {
			peer.address = url->address;
			peer.address_n = url->host_kind == URL_HOST_IPV6 ? 16 : 4;
		}
		wire->tls = tls_new(pool->tls, wire->fd, &peer);
		if (wire->tls)
			pool->tls_n++;
		else
			fail(wire, OUTCOME_TLS, "the host name cannot stand in a certificate");
	}
	listen_for(wire, UV_WRITABLE);
	return wire;
}

void wire_give(struct wire *wire, struct boot now)
{
	struct wire_pool *pool = wire->pool;
	struct wire **bucket = bucket_of(pool, wire->lane);

	assert(wire->state == WIRE_IS_OPEN);
	if (wire->tls && pool->tls_n > TLS_WIRES_MAX) {
		wire_close(wire);
		return;
	}
	wire->state = WIRE_IS_IDLE;
	wire->owner = NULL;
	wire->idle_since = now;
	wire->bucket_next = *bucket;
	if (*bucket)
		(*bucket)->bucket_previous = wire;
	*bucket = wire;
	wire->older = pool->newest;
	if (pool->newest)
		pool->newest->newer = wire;
	else
		pool->oldest = wire;
	pool->newest = wire;
	listen_for(wire, UV_READABLE);
}

static enum wire_io tls_io(struct wire *wire, enum tls_result result)
{
	switch (result) {
	case TLS_OK:
		return WIRE_IO_OK;
	case TLS_WANT_READ:
		return WIRE_IO_AGAIN; /* reading is always listened for */
	case TLS_WANT_WRITE:
		listen_for(wire, UV_READABLE | UV_WRITABLE);
		return WIRE_IO_AGAIN;
	case TLS_CLOSED:
		return WIRE_IO_CLOSED;
	case TLS_FAILED:
		/* In TLS 1.3 a server says only after our handshake that it wanted a client's certificate. */
		fail(wire, tls_was_lost(wire->tls) ? OUTCOME_RESET : OUTCOME_TLS, tls_reason(wire->tls));
		return WIRE_IO_FAILED;
	}
	return WIRE_IO_FAILED;
}

static enum wire_io socket_io(struct wire *wire, ssize_t done, bool writing)
{
	if (done > 0)
		return WIRE_IO_OK;
	if (done == 0)
		return WIRE_IO_CLOSED;
	if (errno == EAGAIN || errno == EINTR) {
		if (writing)
			listen_for(wire, UV_READABLE | UV_WRITABLE);
		return WIRE_IO_AGAIN;
	}
	wire->failure = OUTCOME_RESET;
	wire->words = errno == ECONNRESET || errno == EPIPE ? "connection reset" : "connection lost";
	return WIRE_IO_FAILED;
}

enum wire_io wire_send(struct wire *wire, struct str bytes, size_t *n)
{
	*n = 0;
	if (wire->state != WIRE_IS_OPEN)
		return WIRE_IO_FAILED;
	if (wire->tls)
		return tls_io(wire, tls_write(wire->tls, bytes, n));
	ssize_t sent = send(wire->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

	*n = sent > 0 ? (size_t)sent : 0;
	return socket_io(wire, sent, true);
}

enum wire_io wire_receive(struct wire *wire, char *p, size_t room, size_t *n)
{
	*n = 0;
	if (wire->state != WIRE_IS_OPEN)
		return WIRE_IO_FAILED;
	if (wire->tls)
		return tls_io(wire, tls_read(wire->tls, p, room, n));
	ssize_t received = recv(wire->fd, p, room, 0);

	*n = received > 0 ? (size_t)received : 0;
	return socket_io(wire, received, false);
}

enum outcome_class wire_failure(const struct wire *wire, const char **words)
{
	*words = wire->words ? wire->words : "connection lost";
	return wire->words ? wire->failure : OUTCOME_RESET;
}
