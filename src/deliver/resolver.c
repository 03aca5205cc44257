/* SPDX-License-Identifier: BSD-3-Clause */
/* Drives one c-ares channel from libuv: a poll handle for each of its sockets, and a timer while lookups are open. */
#include "deliver/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/arena.h"

enum { TICK_MS = 100, QUERY_TIMEOUT_MS = 2000, QUERY_TRIES = 2, SOCKETS_MAX = 64, HOST_BYTES_MAX = 255 };

struct socket_watch {
	uv_poll_t poll;
	struct resolver *resolver;
	ares_socket_t fd;
};

struct resolver {
	ares_channel channel;
	uv_loop_t *loop;
	uv_timer_t timer;
	struct socket_watch *watches[SOCKETS_MAX]; /* owned; those in use */
	unsigned lookups_n;
	bool closing;
};

struct resolver_lookup {
	struct resolver *resolver;
	resolver_done done; /* NULL once cancelled */
	void *ctx;
	bool answered; /* within resolver_start */
	bool started;
};

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct socket_watch *watch = poll->data;
	bool failed = status < 0;

	ares_process_fd(watch->resolver->channel, failed || (events & UV_READABLE) ? watch->fd : ARES_SOCKET_BAD,
			failed || (events & UV_WRITABLE) ? watch->fd : ARES_SOCKET_BAD);
}

static struct socket_watch **find_watch(struct resolver *resolver, ares_socket_t fd)
{
	for (unsigned i = 0; i < SOCKETS_MAX; i++)
		if (resolver->watches[i] ? resolver->watches[i]->fd == fd : fd == ARES_SOCKET_BAD)
			return &resolver->watches[i];
	return NULL;
}

/* c-ares tells which of its sockets it wants to hear of; neither direction means that it is about to close it. */
static void on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct resolver *resolver = ctx;
	struct socket_watch **slot = find_watch(resolver, fd);

	if (!readable && !writable) {
		if (slot) {
			uv_poll_stop(&(*slot)->poll);
			uv_close((uv_handle_t *)&(*slot)->poll, on_watch_closed);
			*slot = NULL;
		}
		return;
	}
	if (!slot) {
		slot = find_watch(resolver, ARES_SOCKET_BAD);
		if (!slot)
			return; /* the query runs into its timeout */
		*slot = memory_new(sizeof **slot);
		(*slot)->resolver = resolver;
		(*slot)->fd = fd;
		uv_poll_init_socket(resolver->loop, &(*slot)->poll, fd);
		(*slot)->poll.data = *slot;
	}
	uv_poll_start(&(*slot)->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_socket);
}

static void on_tick(uv_timer_t *timer)
{
	struct resolver *resolver = timer->data;

	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (resolver->lookups_n == 0)
		uv_timer_stop(timer);
}

static void collect(struct resolver_answer *answer, const struct ares_addrinfo *found)
{
	for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next) {
		if (answer->n == RESOLVER_ADDRESSES_MAX) {
			answer->truncated = true;
			return;
		}
		if (node->ai_family == AF_INET) {
			struct sockaddr_in in;

			memcpy(&in, node->ai_addr, sizeof in);
			answer->addresses[answer->n++] = address_from_bytes((const uint8_t *)&in.sin_addr, false);
		} else if (node->ai_family == AF_INET6) {
			struct sockaddr_in6 in6;

			memcpy(&in6, node->ai_addr, sizeof in6);
			answer->addresses[answer->n++] = address_from_bytes(in6.sin6_addr.s6_addr, true);
		}
	}
}

static const char *problem_of(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
		return "no such host";
	case ARES_ENODATA:
		return "the host has no address";
	case ARES_ETIMEOUT:
		return "the name servers do not answer";
	case ARES_ECONNREFUSED:
		return "no name server could answer"; /* c-ares also says so when all it got was SERVFAIL or REFUSED */
	case ARES_ESERVFAIL:
		return "the name server failed";
	default:
		return "the name lookup failed";
	}
}

static void on_found(void *ctx, int status, int timeouts, struct ares_addrinfo *found)
{
	struct resolver_lookup *lookup = ctx;
	struct resolver_answer answer = { .n = 0 };

	(void)timeouts;
	if (status == ARES_SUCCESS)
		collect(&answer, found);
	if (answer.n == 0)
		answer.problem = problem_of(status == ARES_SUCCESS ? ARES_ENODATA : status);
	if (found)
		ares_freeaddrinfo(found);
	lookup->resolver->lookups_n--;
	lookup->answered = true;
	if (lookup->done)
		lookup->done(lookup->ctx, &answer);
	if (lookup->started)
		free(lookup);
}

enum err resolver_new(uv_loop_t *loop, const char *servers, struct resolver **out, struct error *error)
{
	struct resolver *resolver = memory_new(sizeof *resolver);
	struct ares_options options = { .timeout = QUERY_TIMEOUT_MS,
					.tries = QUERY_TRIES,
					.sock_state_cb = on_socket_state,
					.sock_state_cb_data = resolver };

	resolver->loop = loop;
	int status = ares_library_init(ARES_LIB_INIT_ALL);

	if (status == ARES_SUCCESS)
		status = ares_init_options(&resolver->channel, &options,
					   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS) {
		free(resolver);
		return error_set(error, ERR_IO, "name lookups: %s; is /etc/resolv.conf sound?", ares_strerror(status));
	}
	if (servers && ares_set_servers_ports_csv(resolver->channel, servers) != ARES_SUCCESS) {
		ares_destroy(resolver->channel);
		free(resolver);
		return error_set(error, ERR_INVALID, "--dns-servers: '%s' is no list of ADDRESS:PORT", servers);
	}
	uv_timer_init(loop, &resolver->timer);
	resolver->timer.data = resolver;
	*out = resolver;
	return ERR_OK;
}

struct resolver_lookup *resolver_start(struct resolver *resolver, struct str host, resolver_done done, void *ctx)
{
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct resolver_lookup *lookup = memory_new(sizeof *lookup);
	char name[HOST_BYTES_MAX + 1] = { 0 };

	memcpy(name, host.p, host.n < HOST_BYTES_MAX ? host.n : HOST_BYTES_MAX);
	*lookup = (struct resolver_lookup){ .resolver = resolver, .done = done, .ctx = ctx };
	resolver->lookups_n++;
	ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_found, lookup);
	if (lookup->answered) {
		free(lookup);
		return NULL;
	}
	lookup->started = true;
	if (!uv_is_active((uv_handle_t *)&resolver->timer))
		uv_timer_start(&resolver->timer, on_tick, TICK_MS, TICK_MS);
	return lookup;
}

void resolver_cancel(struct resolver_lookup *lookup)
{
	lookup->done = NULL;
}

void resolver_close(struct resolver *resolver)
{
	if (resolver->closing)
		return;
	resolver->closing = true;
	ares_destroy(resolver->channel); /* answers every open lookup and lets go of the sockets */
	uv_close((uv_handle_t *)&resolver->timer, NULL);
}

void resolver_free(struct resolver *resolver)
{
	free(resolver);
	ares_library_cleanup();
}

const char *resolver_version(void)
{
	return ares_version(NULL);
}
