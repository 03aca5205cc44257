/* SPDX-License-Identifier: BSD-3-Clause */
/* Divides what is scarce among connections: turns of the thread, memory, and places.
 *
 * Nobody is kept out by what others do (P14). A turn is a few requests; who used one up comes after those who did not.
 * Of memory, whoever holds most gives way. Of places, who has kept us waiting longest. */
#include "http/connection.h"

#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/metrics.h"

/* ---- Turns ---- */

static bool is_over(struct boot begun, int64_t us_max)
{
	return boot_since_us(clock_read().boot, begun) >= us_max;
}

static struct http_connection *first_yielded(const struct http_server *server)
{
	struct http_connection *fresh = server->yielded[QUEUE_FRESH].first;

	return fresh ? fresh : server->yielded[QUEUE_GREEDY].first;
}

static void on_turn(uv_idle_t *turn)
{
	struct http_server *server = turn->data;
	struct boot begun = clock_read().boot;
	struct http_connection *connection;

	while ((connection = first_yielded(server))) {
		share_unyield(connection);
		connection_resume(connection);
		if (is_over(begun, TURNS_US_MAX))
			break;
	}
}

static bool is_greedy(const struct http_connection *connection)
{
	uint64_t now = uv_now(connection->server->loop);

	return connection->greedy_at_ms > 0 && now - connection->greedy_at_ms < GREEDY_MS;
}

void share_yield(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	enum turn_queue queue = is_greedy(connection) ? QUEUE_GREEDY : QUEUE_FRESH;
	struct connection_list *list = &server->yielded[queue];

	if (connection->is_yielded)
		return;
	connection->is_yielded = true;
	connection->queue = (uint8_t)queue;
	connection->prev_yielded = list->last;
	connection->next_yielded = NULL;
	if (list->last)
		list->last->next_yielded = connection;
	else
		list->first = connection;
	list->last = connection;
	uv_idle_start(&server->turn, on_turn);
}

void share_unyield(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	struct connection_list *list = &server->yielded[connection->queue];

	if (!connection->is_yielded)
		return;
	connection->is_yielded = false;
	if (connection->prev_yielded)
		connection->prev_yielded->next_yielded = connection->next_yielded;
	else
		list->first = connection->next_yielded;
	if (connection->next_yielded)
		connection->next_yielded->prev_yielded = connection->prev_yielded;
	else
		list->last = connection->prev_yielded;
	if (!first_yielded(server))
		uv_idle_stop(&server->turn);
}

bool share_must_wait(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	uint64_t now = uv_now(server->loop);

	if (server->turn_at_ms != now) {
		server->turn_at_ms = now;
		server->turn_begun = clock_read().boot;
	}
	return is_greedy(connection) || is_over(server->turn_begun, TURNS_US_MAX);
}

/* ---- Room ---- */

/* What its end would give back; a request that is being handled is the handler's. */
static size_t held_bytes(const struct http_connection *connection)
{
	bool owns_exchange = connection->exchange && connection->state != CONNECTION_HANDLING;

	if (connection->state == CONNECTION_CLOSED)
		return 0;
	return connection->counted_bytes + (owns_exchange ? connection->exchange->counted_bytes : 0);
}

static uint8_t class_of(size_t bytes)
{
	uint8_t class = 0;

	for (; bytes > 0 && class < ROOM_CLASSES - 1; bytes >>= 1)
		class ++;
	return class;
}

static void leave_class(struct http_connection *connection)
{
	struct connection_list *list = &connection->server->by_room[connection->room_class];

	if (connection->prev_room)
		connection->prev_room->next_room = connection->next_room;
	else
		list->first = connection->next_room;
	if (connection->next_room)
		connection->next_room->prev_room = connection->prev_room;
	else
		list->last = connection->prev_room;
}

static void enter_class(struct http_connection *connection, uint8_t class)
{
	struct connection_list *list = &connection->server->by_room[class];

	connection->room_class = class;
	connection->prev_room = list->last;
	connection->next_room = NULL;
	if (list->last)
		list->last->next_room = connection;
	else
		list->first = connection;
	list->last = connection;
}

void share_count(struct http_connection *connection)
{
	size_t bytes = connection->stash.room + connection->pending_bytes;

	connection->server->buffered_bytes += bytes - connection->counted_bytes;
	connection->counted_bytes = bytes;

	uint8_t class = class_of(held_bytes(connection));

	if (class == connection->room_class)
		return;
	if (connection->room_class > 0)
		leave_class(connection);
	connection->room_class = 0;
	if (class > 0)
		enter_class(connection, class);
}

static struct http_connection *find_large(struct http_server *server)
{
	for (unsigned class = ROOM_CLASSES - 1; class > 0; class --)
		if (server->by_room[class].first)
			return server->by_room[class].first;
	return NULL;
}

/* The longest of those that hold most, by powers of two: one holds at least half of what was added just now, so two are
 * enough. */
void share_make_room(struct http_server *server, struct http_connection *reading)
{
	static const char reason[] = "requests and answers under way fill the room there is for them";

	if (server->is_making_room) /* a refusal that is not taken at once asks for room as well */
		return;
	server->is_making_room = true;
	for (int i = 0; i < 2 && server->buffered_bytes > server->limits.buffered_bytes_max; i++) {
		struct http_connection *large = find_large(server);

		if (!large || large == reading) {
			if (large)
				request_refuse(&reading->exchange->reader, 503, reason);
			break;
		}
		if (large->state == CONNECTION_HEAD || large->state == CONNECTION_BODY) {
			connection_refuse(large, 503, reason);
		} else {
			metric_add(METRIC_HTTP_REFUSED, 1);
			connection_cut(large);
		}
	}
	server->is_making_room = false;
}

/* ---- Places ---- */

bool share_has_unread_bytes(const struct http_connection *connection)
{
	uv_os_fd_t fd;
	int n = 0;

	return connection->stash.n > 0 ||
	       (uv_fileno((const uv_handle_t *)&connection->tcp, &fd) == 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0);
}

/* Since when it keeps us waiting, without doing anything else; UINT64_MAX when it does not. */
static uint64_t waits_since_ms(const struct http_connection *connection)
{
	const struct http_limits *limits = &connection->server->limits;
	uint64_t now = uv_now(connection->server->loop);

	if (connection->is_refused || connection->is_serving || share_has_unread_bytes(connection))
		return UINT64_MAX;
	switch ((enum connection_state)connection->state) {
	case CONNECTION_WAITING:
	case CONNECTION_LINGERING:
		return connection->moved_at_ms;
	case CONNECTION_HEAD:
		return now - connection->request_at_ms >= PATIENCE_MS ? connection->request_at_ms : UINT64_MAX;
	case CONNECTION_BODY:
		return now - connection->body_at_ms >= PATIENCE_MS &&
				       connection->body_bytes <
					       (now - connection->body_at_ms) * limits->body_bytes_per_second_min / 1000
			       ? connection->body_at_ms
			       : UINT64_MAX;
	case CONNECTION_HANDLING:
	case CONNECTION_WRITING:
	case CONNECTION_CLOSED:
	case CONNECTION_STATES:
		break;
	}
	return UINT64_MAX;
}

bool share_give_place(struct http_server *server)
{
	struct http_connection *longest = NULL;
	uint64_t longest_ms = UINT64_MAX;

	/* Each list begins with who has been in it longest. */
	for (unsigned state = 0; state < CONNECTION_CLOSED; state++) {
		struct http_connection *at = server->by_state[state].first;

		for (int i = 0; i < PLACE_TRIES_MAX && at; i++, at = at->next) {
			uint64_t since_ms = waits_since_ms(at);

			if (since_ms < longest_ms) {
				longest = at;
				longest_ms = since_ms;
			}
		}
	}
	if (!longest)
		return false;
	metric_add(METRIC_HTTP_REFUSED, 1);
	connection_close(longest);
	return true;
}
