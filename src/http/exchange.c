/* SPDX-License-Identifier: BSD-3-Clause */
/* What one request needs until it is answered, and the answering: whole bodies at once, long ones piece by piece.
 *
 * Exchanges come from a pool, newest first, so that a busy connection meets warm memory and an idle one holds none. */
#include "http/connection.h"

#include <assert.h>
#include <stdlib.h>

#include "base/metrics.h"

static void link_live(struct http_exchange *exchange)
{
	struct http_server *server = exchange->server;

	exchange->prev = NULL;
	exchange->next = server->live;
	if (server->live)
		server->live->prev = exchange;
	server->live = exchange;
}

static void unlink_live(struct http_exchange *exchange)
{
	if (exchange->prev)
		exchange->prev->next = exchange->next;
	else
		exchange->server->live = exchange->next;
	if (exchange->next)
		exchange->next->prev = exchange->prev;
}

struct http_exchange *exchange_new(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	struct http_exchange *exchange = server->pool;

	if (exchange) {
		server->pool = exchange->next;
		server->pooled_n--;
	} else {
		exchange = memory_new(sizeof *exchange);
		exchange->server = server;
		request_init(&exchange->reader, &server->limits);
	}
	exchange->connection = connection;
	link_live(exchange);
	exchange_count(exchange);
	return exchange;
}

static void close_source(struct http_exchange *exchange)
{
	if (exchange->has_source && exchange->source.close)
		exchange->source.close(exchange->source.ctx);
	exchange->has_source = false;
}

static void exchange_free(struct http_exchange *exchange)
{
	request_release(&exchange->reader);
	free(exchange);
}

void exchange_release(struct http_exchange *exchange)
{
	if (!exchange)
		return;
	struct http_server *server = exchange->server;

	close_source(exchange);
	unlink_live(exchange);
	arena_release(&exchange->arena);
	server->buffered_bytes -= exchange->counted_bytes;
	exchange->counted_bytes = 0;
	exchange->connection = NULL;
	if (server->pooled_n == POOLED_EXCHANGES_MAX) {
		exchange_free(exchange);
		return;
	}
	request_reset(&exchange->reader);
	exchange->next = server->pool;
	server->pool = exchange;
	server->pooled_n++;
}

void exchange_count(struct http_exchange *exchange)
{
	const struct request_reader *reader = &exchange->reader;
	size_t bytes = sizeof *exchange + reader->head.room + reader->body.room;

	if (exchange->has_source)
		bytes += arena_bytes(&exchange->arena);
	exchange->server->buffered_bytes += bytes - exchange->counted_bytes;
	exchange->counted_bytes = bytes;
	if (exchange->connection)
		share_count(exchange->connection);
}

void exchanges_free(struct http_server *server)
{
	while (server->live)
		exchange_release(server->live);
	while (server->pool) {
		struct http_exchange *next = server->pool->next;

		exchange_free(server->pool);
		server->pool = next;
	}
	server->pooled_n = 0;
}

const struct http_request *http_exchange_request(struct http_exchange *exchange)
{
	return &exchange->reader.request;
}

bool http_exchange_is_wanted(const struct http_exchange *exchange)
{
	return exchange->connection != NULL;
}

struct arena *http_exchange_arena(struct http_exchange *exchange)
{
	return &exchange->arena;
}

/* ---- Answering ---- */

static bool is_last_answer(const struct http_exchange *exchange, const struct http_response *response)
{
	const struct http_server *server = exchange->server;
	const struct request_reader *reader = &exchange->reader;

	return response->close || !reader->keep_alive || server->is_draining ||
	       exchange->connection->requests_n >= server->limits.requests_per_connection_max ||
	       (response->source && reader->is_http_1_0);
}

static void format_head(struct http_exchange *exchange, const struct http_response *response, struct buf *out)
{
	bool is_1_0 = exchange->reader.is_http_1_0;
	struct answer answer = {
		.status = response->status,
		.date = http_server_date(exchange->server),
		.length = response->body ? response->body->n : 0,
		.connection = is_1_0 ? ANSWER_KEEPS_1_0 : ANSWER_KEEPS,
	};

	if (response->headers)
		answer.headers = buf_str(response->headers);
	if (exchange->connection->closes)
		answer.connection = ANSWER_CLOSES;
	if (response->source)
		answer.framing = is_1_0 ? ANSWER_UNTIL_CLOSE : ANSWER_CHUNKED;
	answer_format_head(out, &answer);
	assert(!out->failed);
}

/* Appends the source's next piece; false when it is too large for us and the answer has to break off. */
static bool add_piece(struct http_exchange *exchange, struct buf *out)
{
	struct buf piece;

	buf_init(&piece, PIECE_BYTES_MAX);

	bool has_more = exchange->source.fill(exchange->source.ctx, &piece);
	bool is_whole = !piece.failed;

	assert(piece.n > 0 || !has_more || !is_whole);
	if (exchange->reader.is_http_1_0) {
		buf_add(out, buf_str(&piece));
	} else {
		answer_format_chunk(out, buf_str(&piece));
		if (!has_more)
			answer_format_end(out);
	}
	buf_release(&piece);
	if (!has_more)
		close_source(exchange);
	return is_whole;
}

/* Sends what is in `out` and the next piece behind it. The exchange lives until its source has ended. */
static void send_piece(struct http_exchange *exchange, struct buf *out)
{
	struct http_connection *connection = exchange->connection;
	bool is_whole = add_piece(exchange, out);

	if (!is_whole || !exchange->has_source) {
		connection->exchange = NULL;
		exchange_release(exchange);
	}
	if (is_whole && out->n > 0) {
		connection_send_later(connection, out);
	} else {
		buf_release(out);
		if (is_whole)
			connection_send(connection, NULL, 0);
		else
			connection_close(connection);
	}
}

void exchange_continue(struct http_exchange *exchange)
{
	struct buf out;

	buf_init(&out, SIZE_MAX);
	send_piece(exchange, &out);
}

static void respond_with_source(struct http_exchange *exchange, const struct http_response *response)
{
	struct buf out;

	exchange->source = *response->source;
	exchange->has_source = true;
	exchange_count(exchange);
	buf_init(&out, SIZE_MAX);
	format_head(exchange, response, &out);
	send_piece(exchange, &out);
}

static void respond_whole(struct http_exchange *exchange, const struct http_response *response)
{
	struct http_connection *connection = exchange->connection;
	struct buf *out = &exchange->server->out;
	uv_buf_t bufs[2];
	unsigned bufs_n = 1;

	buf_clear(out);
	format_head(exchange, response, out);
	bufs[0] = uv_buf_init(out->p, (unsigned)out->n);
	if (response->body && response->body->n > 0 && !response->source && !exchange->reader.is_head &&
	    answer_has_body(response->status))
		bufs[bufs_n++] = uv_buf_init(response->body->p, (unsigned)response->body->n);
	/* The body may live in the exchange's arena: detach first, free last. */
	connection->exchange = NULL;
	exchange->connection = NULL;
	connection_send(connection, bufs, bufs_n);
}

void http_respond(struct http_exchange *exchange, const struct http_response *response)
{
	struct http_connection *connection = exchange->connection;
	const struct http_source *source = response->source;

	assert(response->status >= 200 && response->status <= 599);
	assert(!source || !response->body);
	metric_add(METRIC_HTTP_REQUESTS, 1);
	if (connection) {
		assert(connection->exchange == exchange && connection->state == CONNECTION_HANDLING);
		connection->closes = is_last_answer(exchange, response);
		if (source && !exchange->reader.is_head && answer_has_body(response->status)) {
			respond_with_source(exchange, response);
			return;
		}
		respond_whole(exchange, response);
	}
	if (source && source->close)
		source->close(source->ctx);
	exchange_release(exchange);
}
